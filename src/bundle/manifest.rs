//! The manifest of a bundle.

use cedar_policy::get_lang_version;
use serde::{Deserialize, Serialize};

use super::archive::FORMAT_VERSION;
use super::files::StoreFiles;
use super::outline::COMPILED_FILES;
use super::sources;
use super::tenant::Tenant;
use crate::time::UnixTime;

/// What a bundle is and what it contains. Written as JSON, with the fields in this order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The name of the policy store.
    pub name: String,
    /// The tenant that it is for. Left out: it is for no tenant, or for all of them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tenant: Option<Tenant>,
    /// The increasing number of this version of the store, up to [`MAX_REVISION`].
    pub revision: u64,
    /// The version of the file format. The signature covers it here.
    pub format_version: u32,
    /// When it was built, in seconds since 1970, if that is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub created: Option<u64>,
    /// Expiry time, in seconds since 1970. Left out: it never expires.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub not_after: Option<u64>,
    /// The version of the Cedar language that the policies were built for.
    pub cedar_version: String,
    /// The members of the head, in the order of their paths. The bundle has them in the same order. They have the hashes of
    /// everything else.
    pub members: Vec<Member>,
}

/// A member of the head of a bundle.
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
    /// Whether the bundle has expired.
    pub fn has_ended(&self, now: UnixTime) -> bool {
        self.not_after.is_some_and(|not_after| now.as_seconds() >= not_after)
    }

    pub(super) fn parse(json: &[u8]) -> Result<Self, InvalidManifest> {
        let manifest = Self::read(json)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Reads a manifest, usable or not.
    pub(super) fn read(json: &[u8]) -> Result<Self, InvalidManifest> {
        serde_json::from_slice(json).map_err(InvalidManifest::Json)
    }

    /// Checks whether it can be used.
    pub(super) fn check(&self) -> Result<(), InvalidManifest> {
        self.check_revision()?;
        // A member must not be one that nothing reads, occur twice, or lead elsewhere.
        let is_ordered = self.members.is_sorted_by(|a, b| a.path < b.path);
        let is_compiled = |member: &&Member| COMPILED_FILES.contains(&member.path.as_str());
        // Since none occurs twice, these are all of them.
        let is_whole = self.members.iter().filter(is_compiled).count() == COMPILED_FILES.len();
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

    /// Checks whether a bundle may have this revision.
    pub(crate) fn check_revision(&self) -> Result<(), InvalidManifest> {
        if self.revision > MAX_REVISION {
            return Err(InvalidManifest::Revision(self.revision));
        }
        Ok(())
    }
}

impl Member {
    /// Whether it has a place in the head of a bundle.
    pub(super) fn belongs(&self) -> bool {
        let path = self.path.as_str();
        COMPILED_FILES.contains(&path) || (StoreFiles::is_known(path) && !sources::is_apart(path))
    }
}

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidManifest {
    /// The header of the file has another format version than the manifest.
    #[error("the manifest of the bundle is for format version {0}")]
    FormatVersion(u32),
    /// The policies are for a version of Cedar that this program does not have.
    #[error("the bundle is for Cedar {0}, this is Cedar {version}", version = get_lang_version())]
    CedarVersion(String),
    /// Not the JSON of a manifest.
    #[error("the manifest of the bundle cannot be read: {0}")]
    Json(#[source] serde_json::Error),
    /// Members that are missing, occur twice, are out of order, or have no place in a bundle.
    #[error("the manifest of the bundle does not list the members that belong there")]
    Members,
    /// A revision after which there would be no room for another.
    #[error("the bundle has revision {0}, and none is above {MAX_REVISION}")]
    Revision(u64),
}

/// The highest revision: 2^53 - 1, the last whole number that every reader of JSON keeps exactly (RFC 8259 6).
/// The revision goes to logs and backends as JSON. With one publication a second it lasts 285 million years.
pub const MAX_REVISION: u64 = (1 << 53) - 1;

fn major_minor(version: &str) -> Vec<u64> {
    version.split('.').take(2).map(|number| number.parse().unwrap_or(u64::MAX)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A manifest with these members instead of its name and revision.
    fn manifest(head: &str) -> String {
        let members: Vec<String> =
            COMPILED_FILES.map(|path| format!(r#"{{"path":"{path}","size":0,"sha256":""}}"#)).to_vec();
        format!(
            r#"{{{head},"format_version":{FORMAT_VERSION},"cedar_version":"4.0.0","members":[{}]}}"#,
            members.join(",")
        )
    }

    #[test]
    fn a_revision_is_a_whole_number_up_to_the_highest() {
        let read = |revision: &str| {
            let json = manifest(&format!(r#""name":"x","revision":{revision}"#));
            Manifest::parse(json.as_bytes()).map(|manifest| manifest.revision)
        };
        assert_eq!(MAX_REVISION, 9_007_199_254_740_991);
        for revision in [0, 1, 41, MAX_REVISION] {
            assert_eq!(read(&revision.to_string()).unwrap(), revision);
        }
        for revision in [MAX_REVISION + 1, u64::MAX - 1, u64::MAX] {
            let error = read(&revision.to_string()).unwrap_err();
            assert!(matches!(error, InvalidManifest::Revision(found) if found == revision), "{error}");
        }
        let huge = "9".repeat(400);
        for revision in [
            "18446744073709551616",
            &huge,
            "-1",
            "-0",
            "1.0",
            "1e3",
            "007",
            "\"7\"",
            "null",
            "true",
            "[7]",
            "",
        ] {
            assert!(matches!(read(revision), Err(InvalidManifest::Json(_))), "{revision}");
        }
    }

    #[test]
    fn a_tenant_is_a_name_of_a_tenant_or_left_out() {
        let read = |tenant: &str| {
            let json = manifest(&format!(r#""name":"x",{tenant}"revision":1"#));
            Manifest::parse(json.as_bytes()).map(|manifest| manifest.tenant.map(|tenant| tenant.to_string()))
        };
        assert_eq!(read("").unwrap(), None);
        assert_eq!(read(r#""tenant":"acme","#).unwrap().as_deref(), Some("acme"));
        for tenant in
            ["\"\"", "\"../x\"", "\"a/b\"", "\"a\\u0000\"", "\"\u{430}cme\"", "7", "[\"acme\"]", "{}"]
        {
            assert!(read(&format!(r#""tenant":{tenant},"#)).is_err(), "{tenant}");
        }
        assert!(read(r#""tenants":"acme","#).is_err());
    }

    #[test]
    fn no_member_stands_twice() {
        for head in [
            r#""name":"x","name":"x","revision":1"#,
            r#""name":"x","revision":1,"revision":2"#,
            r#""name":"x","revision":1,"tenant":"acme","tenant":"globex""#,
            r#""name":"x","revision":1,"tenant":null,"tenant":"globex""#,
            r#""name":"x","revision":1,"format_version":4"#,
            r#""name":"x","revision":1,"members":[]"#,
            r#""name":"x","revision":1,"n\u0061me":"y""#,
        ] {
            assert!(
                matches!(Manifest::parse(manifest(head).as_bytes()), Err(InvalidManifest::Json(_))),
                "{head}"
            );
        }
    }
}
