//! What was published before, and which of it counts.
//!
//! Whoever can write to the bucket decides what is read from it. So with trusted keys, a bundle counts only if one of
//! these keys signed it. This holds for its content and for its revision. Without trusted keys, everything counts
//! that can be opened.

use cedar_authorizer::bundle::{
    self, Bundle, InvalidBundle, MAX_REVISION, Manifest, StoreFiles, Tenant, Trust,
};
use cedar_authorizer::store::Store;
use cedar_authorizer::store::publish::{Object, Shelf};
use tokio::runtime::Runtime;

use super::shelf_failure;
use crate::output::Failure;

/// The bundles in S3, for one publication.
pub struct Past<'a> {
    pub shelf: &'a Shelf,
    pub runtime: &'a Runtime,
    /// The keys whose bundles count.
    pub trust: Trust<'a>,
    pub is_forced: bool,
    pub is_rollback: bool,
}

/// The bundle that will be replaced.
pub struct Replaced {
    pub object: Object,
    /// The revision that the next one comes after.
    pub revision: u64,
    /// `None`: it cannot be opened, and nothing in it counts.
    pub bundle: Option<Bundle>,
}

/// Whose bundles they are: the store and the tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner<'a> {
    /// The name of the store.
    pub name: &'a str,
    pub tenant: Option<&'a Tenant>,
}

impl<'a> Owner<'a> {
    pub fn from_manifest(manifest: &'a Manifest) -> Self {
        Self { name: &manifest.name, tenant: manifest.tenant.as_ref() }
    }

    /// The tenant, in words.
    pub fn whose(self) -> String {
        match self.tenant {
            Some(tenant) => format!("the tenant `{tenant}`"),
            None => "no tenant".to_owned(),
        }
    }
}

impl Past<'_> {
    /// The bundle that will be replaced by one of this owner. If it cannot be opened, it is replaced only by force.
    pub fn current(&self, owner: Option<Owner<'_>>) -> Result<Option<Replaced>, Failure> {
        let Some(object) = self.runtime.block_on(self.shelf.current()).map_err(shelf_failure)? else {
            return Ok(None);
        };
        let uri = self.shelf.uri();
        let (problem, is_untrusted) = match Bundle::open(object.bytes.clone(), self.trust) {
            Ok(bundle) if bundle.revision() < MAX_REVISION => {
                return Ok(Some(Replaced { revision: bundle.revision(), bundle: Some(bundle), object }));
            }
            Ok(_) => (format!("has revision {MAX_REVISION}, and there is none after it"), false),
            Err(error) => (format!("cannot be opened: {error}"), is_untrusted(&error)),
        };
        let failure = Failure::invalid(format_args!("what is at `{uri}` now {problem}"));
        if self.is_rollback && self.trust.public_keys.is_some() {
            return Err(failure.hint(format!(
                "--public-keys, if another key of yours signed it; --force does not help a rollback: publish the \
                 store itself by force, or bring back a revision that was signed: aws s3 cp {uri}.N {uri}"
            )));
        }
        let hint = match self.last_known(&object, owner) {
            Ok(Some(revision)) if self.is_forced => {
                return Ok(Some(Replaced { object, revision, bundle: None }));
            }
            Ok(Some(revision)) => format!("--force replaces it by revision {}", revision.saturating_add(1)),
            Ok(None) => "its revision is not known; move it away, or name another key".to_owned(),
            Err(failure) if self.is_forced => return Err(failure),
            // The news is that the current bundle cannot be opened, so this failure is not reported.
            Err(_) => "--force replaces it".to_owned(),
        };
        Err(failure.hint(if is_untrusted {
            format!("--public-keys, if another key of yours signed it; {hint}")
        } else {
            hint
        }))
    }

    /// The revision that the next one comes after, if the current bundle cannot be opened. Nothing vouches for the
    /// revision in such a bundle, so it counts only up to [`MAX_UNVOUCHED`]. `None`: the bundle has none.
    fn last_known(&self, object: &Object, owner: Option<Owner<'_>>) -> Result<Option<u64>, Failure> {
        let claims = [object.revision, bundle::survey(&object.bytes).manifest.map(|found| found.revision)];
        let claims = claims.into_iter().flatten();
        let claimed = claims.map(|claim| if claim <= MAX_UNVOUCHED { claim } else { 0 }).max();
        Ok(self.newest(owner)?.max(claimed))
    }

    /// The newest revision in the history that counts.
    fn newest(&self, owner: Option<Owner<'_>>) -> Result<Option<u64>, Failure> {
        let highest = match self.trust.public_keys {
            Some(_) => MAX_REVISION - 1,
            None => MAX_UNVOUCHED,
        };
        let revisions = self.runtime.block_on(self.shelf.revisions()).map_err(shelf_failure)?;
        for revision in revisions.into_iter().filter(|revision| *revision <= highest).take(MAX_TRIED) {
            let object = match self.runtime.block_on(self.shelf.history(revision)) {
                Ok(Some(object)) => object,
                Ok(None) => continue,
                Err(failure) if failure.is_too_large() => continue,
                Err(failure) => return Err(shelf_failure(failure)),
            };
            if let Ok(bundle) = Bundle::open(object.bytes, self.trust)
                && bundle.revision() == revision
                && owner.is_none_or(|owner| owner == Owner::from_manifest(bundle.manifest()))
            {
                return Ok(Some(revision));
            }
        }
        Ok(None)
    }

    /// The store of an earlier revision, and the tenant that it is for. It could be opened then, so it need not pass
    /// checks that `check` has learned since: somebody wants to go back.
    ///
    /// `current` says which store it must be of, and which tenant if that is given. The bundle must have the revision
    /// that was asked for: each of these bundles is signed, so one could be swapped for another.
    pub fn revision(
        &self,
        revision: u64,
        current: Option<&Bundle>,
        tenant: Option<&Tenant>,
    ) -> Result<(Store, StoreFiles, Option<Tenant>), Failure> {
        let (uri, current_uri) = (self.shelf.history_uri(revision), self.shelf.uri());
        let is_verified = self.trust.public_keys.is_some();
        if is_verified && current.is_none() {
            let message = format!("there is no bundle at `{current_uri}`, which would say whose it is");
            return Err(Failure::could_not_run(message).hint(format!(
                "publish the store itself, or bring back the last one: aws s3 cp {current_uri}.N {current_uri}"
            )));
        }
        let object = self.runtime.block_on(self.shelf.history(revision)).map_err(shelf_failure)?;
        let object = object.ok_or_else(|| {
            Failure::could_not_run(format_args!("there is no revision {revision}: `{uri}` does not exist"))
                .hint(format!("`aws s3 ls {current_uri}.` has those that there are"))
        })?;
        let invalid = |error: &dyn std::fmt::Display| Failure::invalid(format_args!("`{uri}`: {error}"));
        let bundle = Bundle::open(object.bytes.clone(), self.trust).map_err(|error| {
            if is_untrusted(&error) {
                invalid(&error).hint("--public-keys, if another key of yours signed it")
            } else {
                invalid(&error)
            }
        })?;
        if bundle.revision() != revision {
            return Err(invalid(&format_args!("the bundle says that it is revision {}", bundle.revision())));
        }
        let found = Owner::from_manifest(bundle.manifest());
        if let Some(current) = current.map(|current| Owner::from_manifest(current.manifest()))
            && current != found
            && (is_verified || !self.is_forced)
        {
            return Err(invalid(&format_args!(
                "the bundle is of the store `{}` for {}, and that at `{current_uri}` of `{}` for {}",
                found.name.escape_debug(),
                found.whose(),
                current.name.escape_debug(),
                current.whose(),
            )));
        }
        if tenant.is_some() && tenant != found.tenant {
            return Err(invalid(&format_args!(
                "the bundle is for {}, and --tenant is another",
                found.whose()
            )));
        }
        let tenant = found.tenant.cloned();
        let files = bundle::unpack(&object.bytes).map_err(|error| invalid(&error))?;
        let store = Store::open(&files).map_err(|_| invalid(&"the policy store in the bundle is invalid"))?;
        Ok((store, files, tenant))
    }
}

/// Whether the problem is a missing or untrusted signature.
fn is_untrusted(error: &InvalidBundle) -> bool {
    matches!(error, InvalidBundle::Unsigned | InvalidBundle::Untrusted(_))
}

/// The highest revision that counts if nothing vouches for it. Nobody publishes that many, and it is so far below
/// [`MAX_REVISION`] that nobody who can write to the bucket can use the numbers up.
const MAX_UNVOUCHED: u64 = 1 << 32;

/// How many bundles of the history are tried. Bundles that do not count were put there by somebody else.
const MAX_TRIED: usize = 20;
