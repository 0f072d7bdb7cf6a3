//! The manifest of a bundle.

use cedar_policy::get_lang_version;
use serde::{Deserialize, Serialize};

use super::compiled;
use crate::store::StoreFiles;

/// What a bundle is and holds. Written as JSON, its members in this order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The name of the policy store.
    pub name: String,
    /// The increasing number of this version of the store.
    pub revision: u64,
    /// The version of the Cedar language that the policies were built for.
    pub cedar_version: String,
    /// The files, in the order in which they stand in the bundle: that of their paths.
    pub members: Vec<Member>,
}

/// A file of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// The path in the policy store.
    pub path: String,
    /// The length in bytes.
    pub size: u64,
    /// The SHA-256 of the content, in lower-case hexadecimal digits.
    pub sha256: String,
}

impl Manifest {
    pub(super) fn new(name: &str, revision: u64, members: Vec<Member>) -> Self {
        let cedar_version = get_lang_version().to_string();
        Self { name: name.to_owned(), revision, cedar_version, members }
    }

    pub(super) fn parse(json: &[u8]) -> Result<Self, InvalidManifest> {
        let manifest: Self = serde_json::from_slice(json).map_err(InvalidManifest::Json)?;
        // A member that nothing reads, stands twice or leads elsewhere has no business here.
        let is_ordered = manifest.members.is_sorted_by(|a, b| a.path < b.path);
        let is_compiled = |member: &&Member| compiled::FILES.contains(&member.path.as_str());
        let is_known = |member: &Member| is_compiled(&member) || StoreFiles::is_known(&member.path);
        // As none stands twice, these are all.
        let is_whole = manifest.members.iter().filter(is_compiled).count() == compiled::FILES.len();
        if !is_ordered || !is_whole || !manifest.members.iter().all(is_known) {
            return Err(InvalidManifest::Members);
        }
        if major_minor(&manifest.cedar_version) > major_minor(&get_lang_version().to_string()) {
            return Err(InvalidManifest::CedarVersion(manifest.cedar_version));
        }
        Ok(manifest)
    }
}

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidManifest {
    /// The policies are for a Cedar that this version does not have.
    #[error("the bundle is for Cedar {0}, this is Cedar {version}", version = get_lang_version())]
    CedarVersion(String),
    /// Not the JSON of a manifest.
    #[error("the manifest of the bundle cannot be read: {0}")]
    Json(#[source] serde_json::Error),
    /// Members that are missing, stand twice, out of order, or have no place in a bundle.
    #[error("the manifest of the bundle does not list the members that belong there")]
    Members,
}

fn major_minor(version: &str) -> Vec<u64> {
    version.split('.').take(2).map(|number| number.parse().unwrap_or(u64::MAX)).collect()
}
