//! The manifest of a bundle.

use cedar_policy::get_lang_version;
use serde::{Deserialize, Serialize};

use super::archive::FORMAT_VERSION;
use super::{Edition, compiled};
use crate::store::StoreFiles;
use crate::time::UnixTime;

/// What a bundle is and holds. Written as JSON, its members in this order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The name of the policy store.
    pub name: String,
    /// The increasing number of this version of the store.
    pub revision: u64,
    /// The version of the file format, which the signature covers here.
    pub format_version: u32,
    /// When it was built, in seconds since 1970, if that was said.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub created: Option<u64>,
    /// When it ends to be good, in seconds since 1970. Left out: never.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub not_after: Option<u64>,
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
    pub(super) fn new(name: &str, edition: &Edition<'_>, members: Vec<Member>) -> Self {
        Self {
            name: name.to_owned(),
            revision: edition.revision,
            format_version: FORMAT_VERSION,
            created: edition.created.map(UnixTime::as_seconds),
            not_after: edition.not_after.map(UnixTime::as_seconds),
            cedar_version: get_lang_version().to_string(),
            members,
        }
    }

    /// Whether it is past its time.
    pub fn has_ended(&self, now: UnixTime) -> bool {
        self.not_after.is_some_and(|not_after| now.as_seconds() >= not_after)
    }

    pub(super) fn parse(json: &[u8]) -> Result<Self, InvalidManifest> {
        let manifest = Self::read(json)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Reads a manifest that may be of no use.
    pub(super) fn read(json: &[u8]) -> Result<Self, InvalidManifest> {
        serde_json::from_slice(json).map_err(InvalidManifest::Json)
    }

    /// Whether it can be used.
    pub(super) fn check(&self) -> Result<(), InvalidManifest> {
        // A member that nothing reads, stands twice or leads elsewhere has no business here.
        let is_ordered = self.members.is_sorted_by(|a, b| a.path < b.path);
        let is_compiled = |member: &&Member| compiled::FILES.contains(&member.path.as_str());
        // As none stands twice, these are all.
        let is_whole = self.members.iter().filter(is_compiled).count() == compiled::FILES.len();
        if !is_ordered || !is_whole || !self.members.iter().all(Member::belongs) {
            return Err(InvalidManifest::Members);
        }
        if self.format_version != FORMAT_VERSION {
            return Err(InvalidManifest::FormatVersion(self.format_version));
        }
        if major_minor(&self.cedar_version) > major_minor(&get_lang_version().to_string()) {
            return Err(InvalidManifest::CedarVersion(self.cedar_version.clone()));
        }
        Ok(())
    }
}

impl Member {
    /// Whether a bundle has a place for it.
    pub(super) fn belongs(&self) -> bool {
        compiled::FILES.contains(&self.path.as_str()) || StoreFiles::is_known(&self.path)
    }
}

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidManifest {
    /// The header of the file says another format version than the manifest.
    #[error("the manifest of the bundle is for format version {0}")]
    FormatVersion(u32),
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
