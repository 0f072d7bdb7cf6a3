//! Whether a bundle is what its sources make.

use std::collections::BTreeSet;

use bytes::Bytes;
use cedar_authorizer::bundle::{self, Bundle, DevelopmentKeys, Manifest};
use cedar_authorizer::store::Store;
use cedar_authorizer::store::build::{self, Edition};
use cedar_authorizer::time::UnixTime;

use crate::output::Failure;
use crate::progress;

/// The differences between a bundle and one that is built again from its sources, in words. Empty: every byte is the
/// same, apart from signatures.
pub fn differences(bundle: &Bundle, bytes: &[u8]) -> Result<Vec<MemberDifference>, Failure> {
    let members = bundle::unpack(bytes).map_err(Failure::invalid)?;
    let mut sources = members.clone();
    sources.retain_known();
    let opened = progress::during("reading its sources", || Store::open(&sources));
    let store = opened.map_err(|_| {
        Failure::invalid("the policy store in the bundle is invalid without its compiled part")
    })?;
    let Manifest { revision, tenant, created, not_after, .. } = bundle.manifest();
    let seconds = |seconds: &Option<u64>| seconds.map(UnixTime::from_seconds);
    let edition = Edition {
        revision: *revision,
        tenant: tenant.as_ref(),
        created: seconds(created),
        not_after: seconds(not_after),
        signing_keys: &[],
    };
    let made = progress::during("building it anew", || build::bundle(&store, &sources, edition));
    let made = made.map_err(Failure::invalid)?;
    let made = Bytes::from(made);
    let made_bundle = Bundle::open(made.clone(), DevelopmentKeys::Allow).map_err(Failure::invalid)?;
    // The digest stands for every byte but the signatures, which say who vouches for a bundle, and the layout, which says
    // where the chunks are: a published bundle can have them in another order.
    if made_bundle.digest() == bundle.digest() {
        return Ok(Vec::new());
    }
    let made_members = bundle::unpack(&made).map_err(Failure::invalid)?;
    let paths: BTreeSet<&str> = members.iter().chain(made_members.iter()).map(|(path, _)| path).collect();
    let mut differences: Vec<MemberDifference> = paths
        .into_iter()
        .filter(|path| members.get(path) != made_members.get(path))
        .map(|path| MemberDifference {
            member: path.to_owned(),
            message: format!("`{path}` is not what this version makes of the sources"),
        })
        .collect();
    differences.extend(of_manifest(bundle.manifest(), made_bundle.manifest()));
    if differences.is_empty() {
        // The members and the facts about them are the same, but they are written differently.
        differences.push(MemberDifference::of_manifest(
            "is written otherwise than this version writes it".to_owned(),
        ));
    }
    Ok(differences)
}

/// A part of a bundle that is not what its sources make.
pub struct MemberDifference {
    /// The path of the member, or `manifest`.
    pub member: String,
    /// What is different about it.
    pub message: String,
}

impl MemberDifference {
    fn of_manifest(what: String) -> Self {
        Self { member: "manifest".to_owned(), message: format!("the manifest {what}") }
    }
}

/// What the manifest says that follows neither from the members nor from the edition.
fn of_manifest(found: &Manifest, made: &Manifest) -> Option<MemberDifference> {
    let Manifest {
        name,
        tenant: _,
        revision: _,
        format_version: _,
        created: _,
        not_after: _,
        cedar_version,
        members: _,
    } = found;
    if *name != made.name {
        let what = format!("has the name `{name}`, and `store.toml` has `{}`", made.name);
        return Some(MemberDifference::of_manifest(what));
    }
    (*cedar_version != made.cedar_version).then(|| {
        MemberDifference::of_manifest(format!(
            "is for Cedar {cedar_version}, and this is Cedar {}: verify it with the version that built it",
            made.cedar_version
        ))
    })
}
