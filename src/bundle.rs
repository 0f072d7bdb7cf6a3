//! A bundle: one file built from a policy store, at one revision. It is what the function loads.

mod archive;
pub mod entities;
mod manifest;
mod outline;
pub mod policies;
pub mod signature;
#[cfg(feature = "cli")]
mod survey;
pub(crate) mod table;
pub(crate) mod text;

use std::collections::{BTreeSet, HashMap};
use std::io;

use bytes::Bytes;
#[cfg(feature = "cli")]
use cedar_policy::PolicySet;
use cedar_policy::{EntityTypeName, EntityUid, PolicyId};

use crate::bundle::entities::StoredEntities;
use crate::bundle::policies::PolicyIndex;
use crate::function::tenant::Tenant;
use crate::gateway::call::TokenLocation;
use crate::gateway::route::RouteTable;
use crate::grant::Separation;
use crate::projection::Projection;
use crate::store::finding::{self, Code, Finding, Position};
use crate::store::inputs::Input;
use crate::store::nesting;
use crate::store::{self, Store, StoreFiles, settings};
use crate::time::UnixTime;
use crate::token::identity_source::IdentitySource;
use crate::token::key_set::KeySet;
use archive::Unpacked;
pub use archive::{InvalidArchive, MAX_BYTES as MAX_BUNDLE_BYTES};
pub use manifest::{InvalidManifest, MAX_REVISION, Manifest, Member};
use outline::{Outline, RequestTypes, Routes};
use signature::{CannotSign, PrivateKey, PublicKeys, Untrusted};
#[cfg(feature = "cli")]
pub use survey::{MemberState, Survey, survey};
pub use table::Unreadable;

/// An opened bundle: complete and unaltered.
///
/// [`Bundle::open`] alone makes one. Of its policies and entities nothing is parsed before a call needs it.
#[derive(Clone, Debug)]
pub struct Bundle {
    manifest: Manifest,
    outline: Outline,
    routes: RouteTable,
    reads: Vec<BTreeSet<Input>>,
    projection: Projection,
    requests: Option<HashMap<EntityUid, RequestTypes>>,
    identity_sources: Vec<IdentitySource>,
    pinned_keys: Vec<Option<KeySet>>,
    policy_index: PolicyIndex,
    entities: StoredEntities,
}

impl Bundle {
    /// Opens a bundle. Its bytes are kept, not copied.
    ///
    /// # Errors
    /// [`InvalidBundle`]: a bundle is used whole or not at all.
    pub fn open<'a>(bytes: impl Into<Bytes>, trust: impl Into<Trust<'a>>) -> Result<Self, InvalidBundle> {
        let (bytes, trust) = (bytes.into(), trust.into());
        let Unpacked { manifest, signed, signatures, members } = archive::unpack(&bytes)?;
        if let Some(trusted) = trust.public_keys {
            signatures.ok_or(InvalidBundle::Unsigned)?.verify(signed, trusted)?;
        }
        let member = |path| members.get(path).ok_or(InvalidBundle::Compiled);
        let mut outline: Outline =
            serde_json::from_slice(member(outline::OUTLINE)?).map_err(|_| InvalidBundle::Compiled)?;
        let Routes { table: routes, reads, projection, requests } = outline.take_routes()?;
        let table = |path| member(path).map(|content| bytes.slice_ref(content));
        let entities = StoredEntities::open(table(outline::ENTITIES)?)?;
        let policy_index = PolicyIndex::open(
            table(outline::POLICIES)?,
            table(outline::POLICY_PARTS)?,
            table(outline::POLICY_INDEX)?,
        )?;

        let files = members.files(StoreFiles::is_of_identity_source);
        let sources =
            store::open_identity_sources(&files, outline.token_type).map_err(InvalidBundle::Store)?;
        let (identity_sources, pinned_keys): (Vec<_>, Vec<Option<KeySet>>) = sources.into_iter().unzip();
        if trust.development_keys == DevelopmentKeys::Refuse {
            let holds = |keys: &Option<KeySet>| keys.as_ref().is_some_and(KeySet::holds_development_key);
            if pinned_keys.iter().any(holds) {
                return Err(InvalidBundle::DevelopmentKey);
            }
        }
        Ok(Self {
            manifest,
            outline,
            routes,
            reads,
            projection,
            requests,
            identity_sources,
            pinned_keys,
            policy_index,
            entities,
        })
    }

    /// The name, revision and members.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The increasing number of this version of the store.
    pub fn revision(&self) -> u64 {
        self.manifest.revision
    }

    /// What is read of a token.
    pub fn projection(&self) -> &Projection {
        &self.projection
    }

    /// The routes of the API.
    pub fn routes(&self) -> &RouteTable {
        &self.routes
    }

    /// The resource of every route that does not make its own.
    pub fn resource(&self) -> &EntityUid {
        &self.outline.resource
    }

    /// The policies, by their scopes.
    pub fn policy_index(&self) -> &PolicyIndex {
        &self.policy_index
    }

    /// All policies, templates and template links.
    ///
    /// # Errors
    /// [`Unreadable`].
    #[cfg(feature = "cli")]
    pub fn policies(&self) -> Result<PolicySet, Unreadable> {
        self.policy_index.all()
    }

    /// What the policies of a route read of a call, the route given by its index; without the route table's own
    /// knowledge, see [`Input::matters_to`].
    pub fn reads(&self, route: usize) -> Option<&BTreeSet<Input>> {
        self.reads.get(route)
    }

    /// How the routes are told apart. `None`: they overlap in too many ways.
    pub fn separation(&self) -> Option<&Separation> {
        self.outline.separation.as_ref()
    }

    /// Whether the schema lets an action apply to a principal and resource of these types.
    pub fn may_request(
        &self,
        principal_type: &EntityTypeName,
        action: &EntityUid,
        resource_type: &EntityTypeName,
    ) -> bool {
        self.requests.as_ref().is_none_or(|requests| {
            requests.get(action).is_some_and(|types| {
                types.principals.contains(principal_type) && types.resources.contains(resource_type)
            })
        })
    }

    /// The entities of the store, with the actions of the schema.
    pub fn entities(&self) -> &StoredEntities {
        &self.entities
    }

    /// The entities of the store that policies name in their conditions.
    pub fn named_entities(&self) -> &[EntityUid] {
        &self.outline.named_entities
    }

    /// Where a request carries its token.
    pub fn token_location(&self) -> &TokenLocation {
        &self.outline.token_location
    }

    /// The claim whose value is the API key of the caller, for usage plans.
    pub fn usage_identifier_claim(&self) -> Option<&str> {
        self.outline.usage_identifier_claim.as_deref()
    }

    /// The identity sources, in the order of their names.
    pub fn identity_sources(&self) -> &[IdentitySource] {
        &self.identity_sources
    }

    /// The keys that came with the store, for each identity source.
    pub fn pinned_keys(&self) -> &[Option<KeySet>] {
        &self.pinned_keys
    }

    /// How far the clocks of issuer and function may differ, in seconds.
    pub fn leeway_seconds(&self) -> u32 {
        self.outline.leeway_seconds
    }

    /// The names of the claims that the backend gets.
    pub fn backend_claims(&self) -> &[String] {
        &self.outline.backend_claims
    }
}

/// Builds a bundle from a store and the files that it was read from. The same files and edition
/// always make the same bytes.
///
/// # Errors
/// [`CannotBuild`].
pub fn build<'a>(
    store: &Store,
    files: &StoreFiles,
    edition: impl Into<Edition<'a>>,
) -> Result<Vec<u8>, CannotBuild> {
    build_within(MAX_BUNDLE_BYTES, store, files, &edition.into())
}

/// The same with another limit.
fn build_within(
    max_bytes: usize,
    store: &Store,
    files: &StoreFiles,
    edition: &Edition<'_>,
) -> Result<Vec<u8>, CannotBuild> {
    let mut members = files.clone();
    members.retain_known();
    for (path, content) in nesting::with_room(|| outline::compile(store)).map_err(CannotBuild::Room)?? {
        members.insert(path.to_owned(), content);
    }
    archive::pack(max_bytes, &store.settings.name, edition, members.iter())
}

/// Checks a policy store as [`Store::check`] does, and whether a bundle can be made of it: one is built, in memory, and
/// opened. The store is left out if it cannot.
pub fn check(files: &StoreFiles) -> (Option<Store>, Vec<Finding>) {
    check_within(MAX_BUNDLE_BYTES, files)
}

fn check_within(max_bytes: usize, files: &StoreFiles) -> (Option<Store>, Vec<Finding>) {
    let (store, mut findings) = Store::check(files);
    let Some(store) = store else {
        return (None, findings);
    };
    match try_build(max_bytes, &store, files) {
        Ok(()) => (Some(store), findings),
        Err(finding) => {
            findings.push(*finding);
            finding::sort(&mut findings);
            (None, findings)
        }
    }
}

/// Of all editions, tries one that takes the most room.
fn try_build(max_bytes: usize, store: &Store, files: &StoreFiles) -> Result<(), Box<Finding>> {
    let last = Some(UnixTime::from_seconds(u64::MAX));
    let tenant = Tenant::longest();
    let edition = Edition {
        revision: MAX_REVISION,
        tenant: Some(&tenant),
        created: last,
        not_after: last,
        signing_keys: &[],
    };
    let built = build_within(max_bytes, store, files, &edition).map_err(|error| {
        let code = match error {
            CannotBuild::Archive(InvalidArchive::TooLarge) => Code::BundleTooLarge,
            _ => Code::BundleImpossible,
        };
        let file = match error {
            CannotBuild::Entity(_) => store::ENTITIES_FILE,
            _ => settings::FILE,
        };
        Finding::new(code, Position::file(file), error)
    })?;
    let opened = Bundle::open(built, DevelopmentKeys::Allow);
    opened.map_err(|error| Finding::new(Code::BundleImpossible, Position::file(settings::FILE), error))?;
    Ok(())
}

/// All members of a bundle: the files of the policy store, and the compiled part.
///
/// # Errors
/// [`InvalidArchive`].
pub fn unpack(bytes: &[u8]) -> Result<StoreFiles, InvalidArchive> {
    archive::unpack(bytes).map(|unpacked| unpacked.members.files(|_| true))
}

/// What makes one bundle of a store differ from another.
#[derive(Clone, Debug, Default)]
pub struct Edition<'a> {
    /// The increasing number, up to [`MAX_REVISION`].
    pub revision: u64,
    /// The tenant that it is for.
    pub tenant: Option<&'a Tenant>,
    /// When it is built. Left out, the same store makes the same bytes at any time.
    pub created: Option<UnixTime>,
    /// When it ends to be good.
    pub not_after: Option<UnixTime>,
    /// The keys that sign it; none for a bundle without signatures.
    pub signing_keys: &'a [PrivateKey],
}

impl From<u64> for Edition<'_> {
    fn from(revision: u64) -> Self {
        Self { revision, ..Self::default() }
    }
}

/// Why a bundle cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum CannotBuild {
    /// It would not be a bundle.
    #[error(transparent)]
    Archive(#[from] InvalidArchive),
    /// An entity of the store has no exact JSON form.
    #[error("the entity `{0}` cannot be written into a bundle")]
    Entity(Box<EntityUid>),
    /// A policy has neither an exact JSON form nor a text.
    #[error("the policy `{0}` cannot be written into a bundle")]
    Policy(PolicyId),
    /// There is no stack that is large enough.
    #[error("there is no room to build a bundle: {0}")]
    Room(io::Error),
    /// It cannot be signed.
    #[error("the bundle cannot be signed: {0}")]
    Sign(#[from] CannotSign),
}

impl From<InvalidManifest> for CannotBuild {
    fn from(error: InvalidManifest) -> Self {
        Self::Archive(error.into())
    }
}

/// Whose bundles are opened, and with which keys.
#[derive(Clone, Copy, Debug)]
pub struct Trust<'a> {
    /// Whether the development key is trusted to sign tokens.
    pub development_keys: DevelopmentKeys,
    /// Who may sign bundles: one of these must have. `None`: a bundle need not be signed.
    pub public_keys: Option<&'a PublicKeys>,
}

impl From<DevelopmentKeys> for Trust<'_> {
    fn from(development_keys: DevelopmentKeys) -> Self {
        Self { development_keys, public_keys: None }
    }
}

/// Whether the development key is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DevelopmentKeys {
    /// It is: anybody can sign tokens. For one's own machine alone.
    Allow,
    /// It is not: a bundle that has it is refused.
    Refuse,
}

/// Why a bundle cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidBundle {
    /// The file is not a whole and unaltered bundle.
    #[error(transparent)]
    Archive(#[from] InvalidArchive),
    /// The compiled part is not one that was built.
    #[error("the compiled part of the bundle cannot be read: build it anew")]
    Compiled,
    /// It trusts the development key, whose private half everybody has.
    #[error(
        "the bundle trusts the development key, with which everybody can sign tokens; remove it from `jwks/`, or on your own machine set ALLOW_DEVELOPMENT_KEYS=true"
    )]
    DevelopmentKey,
    /// Keys are trusted, and it is not signed.
    #[error("the bundle is not signed, and only those of trusted keys are accepted (BUNDLE_PUBLIC_KEYS)")]
    Unsigned,
    /// It is not signed by a key that is trusted.
    #[error("the bundle cannot be trusted: {0}")]
    Untrusted(#[from] Untrusted),
    /// The policy store inside has errors.
    #[error("the policy store in the bundle is invalid:{}", lines(.0))]
    Store(Vec<Finding>),
}

impl InvalidBundle {
    /// A stable name for the log.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Archive(InvalidArchive::FormatVersion(_)) => "bundle-format",
            Self::Archive(InvalidArchive::Truncated) => "bundle-truncated",
            Self::Archive(
                InvalidArchive::ManifestAltered
                | InvalidArchive::MemberAltered(_)
                | InvalidArchive::SignaturesAltered
                | InvalidArchive::TrailingBytes,
            ) => "bundle-altered",
            Self::Archive(InvalidArchive::Manifest(InvalidManifest::Revision(_))) => {
                "bundle-revision-too-high"
            }
            Self::Unsigned => "bundle-unsigned",
            Self::Untrusted(_) => "bundle-untrusted",
            Self::DevelopmentKey => "development-key",
            _ => "bundle-invalid",
        }
    }
}

impl From<Unreadable> for InvalidBundle {
    fn from(Unreadable: Unreadable) -> Self {
        Self::Compiled
    }
}

pub(crate) fn lines(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("\n  {finding}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::source::directory;

    #[test]
    fn whatever_is_built_in_any_edition_passed_the_check_and_nothing_else() {
        let files = directory::read(concat!(env!("CARGO_MANIFEST_DIR"), "/policies").as_ref()).unwrap();
        let store = Store::open(&files).unwrap();
        let keys = [PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap()];
        let last = Some(UnixTime::from_seconds(u64::MAX));
        let tenant = Tenant::longest();
        let editions = [
            Edition::from(1),
            Edition { signing_keys: &keys, ..Edition::from(7) },
            Edition {
                revision: MAX_REVISION,
                tenant: Some(&tenant),
                created: last,
                not_after: last,
                signing_keys: &keys,
            },
        ];
        let size = build(&store, &files, 1).unwrap().len();
        let (mut passed, mut refused) = (0, 0);
        for max_bytes in (size - 50..size + 3000).step_by(50) {
            let (usable, findings) = check_within(max_bytes, &files);
            let too_large = findings.iter().any(|finding| finding.code == Code::BundleTooLarge);
            assert_eq!(usable.is_none(), too_large);
            for edition in &editions {
                match build_within(max_bytes, &store, &files, edition) {
                    Ok(bytes) => assert!(bytes.len() <= max_bytes),
                    Err(error) => assert!(too_large, "{max_bytes}: {error}"),
                }
            }
            if too_large { refused += 1 } else { passed += 1 }
        }
        assert!(passed > 0 && refused > 0);
    }
}
