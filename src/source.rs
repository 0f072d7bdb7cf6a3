//! Where the bundle comes from.

pub mod directory;
pub mod s3;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::bundle::{self, Bundle, DevelopmentKeys, InvalidArchive, InvalidBundle, lines};
use crate::store::Store;
use crate::store::finding::{Finding, Severity};
use directory::UnreadableDirectory;
use s3::S3Failure;

/// Where a bundle is: the value of `BUNDLE_URI`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BundleUri {
    /// `file:///path`: a bundle, or the directory of a policy store.
    File(PathBuf),
    /// `s3://bucket/key`, perhaps with `?versionId=`.
    S3 {
        /// The bucket.
        bucket: String,
        /// The key of the object.
        key: String,
        /// The version of the object. `None`: the latest.
        version_id: Option<String>,
    },
}

impl BundleUri {
    /// Loads the bundle.
    ///
    /// # Errors
    /// [`LoadFailure`].
    pub async fn load(&self, development_keys: DevelopmentKeys) -> Result<Bundle, LoadFailure> {
        let bytes = match self {
            Self::File(path) if path.is_dir() => {
                let revision = DIRECTORY_REVISION;
                build_from_directory(path, revision)?
            }
            Self::File(path) => directory::read_bundle(path)?,
            Self::S3 { bucket, key, version_id } => s3::read(bucket, key, version_id.as_deref()).await?,
        };
        Ok(Bundle::open(&bytes, development_keys)?)
    }
}

/// Reads and checks a policy store and builds a bundle of it, all in memory.
fn build_from_directory(path: &Path, revision: u64) -> Result<Vec<u8>, LoadFailure> {
    let files = directory::read(path)?;
    match Store::check(&files) {
        (Some(store), _) => Ok(bundle::build(&store, &files, revision).map_err(InvalidBundle::from)?),
        (None, mut findings) => {
            findings.retain(|finding| finding.severity == Severity::Error);
            Err(LoadFailure::InvalidStore { path: path.to_owned(), findings })
        }
    }
}

impl FromStr for BundleUri {
    type Err = InvalidBundleUri;

    fn from_str(text: &str) -> Result<Self, InvalidBundleUri> {
        if let Some(path) = text.strip_prefix("file://") {
            return match path.starts_with('/') {
                true => Ok(Self::File(PathBuf::from(path))),
                false => Err(InvalidBundleUri),
            };
        }
        let rest = text.strip_prefix("s3://").ok_or(InvalidBundleUri)?;
        let (bucket, rest) = rest.split_once('/').ok_or(InvalidBundleUri)?;
        let (key, version_id) = match rest.split_once("?versionId=") {
            Some((_, "")) => return Err(InvalidBundleUri),
            Some((key, version_id)) => (key, Some(version_id.to_owned())),
            None => (rest, None),
        };
        let is_bucket_byte =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
        if bucket.is_empty() || !bucket.bytes().all(is_bucket_byte) || key.is_empty() || key.contains('?') {
            return Err(InvalidBundleUri);
        }
        Ok(Self::S3 { bucket: bucket.to_owned(), key: key.to_owned(), version_id })
    }
}

impl fmt::Display for BundleUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file://{}", path.display()),
            Self::S3 { bucket, key, version_id: None } => write!(f, "s3://{bucket}/{key}"),
            Self::S3 { bucket, key, version_id: Some(id) } => write!(f, "s3://{bucket}/{key}?versionId={id}"),
        }
    }
}

/// The text is not the URI of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not of the form s3://bucket/key, s3://bucket/key?versionId=id or file:///absolute/path")]
pub struct InvalidBundleUri;

/// Why a bundle could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadFailure {
    /// What was loaded cannot be used.
    #[error(transparent)]
    InvalidBundle(#[from] InvalidBundle),
    /// The policy store has errors.
    #[error("the policy store `{}` is invalid:{}", .path.display(), lines(.findings))]
    InvalidStore {
        /// The directory.
        path: PathBuf,
        /// The errors.
        findings: Vec<Finding>,
    },
    /// S3 did not give it.
    #[error(transparent)]
    S3(#[from] S3Failure),
    /// The file system did not give it.
    #[error(transparent)]
    Unreadable(#[from] UnreadableDirectory),
}

impl From<InvalidArchive> for LoadFailure {
    fn from(error: InvalidArchive) -> Self {
        Self::InvalidBundle(error.into())
    }
}

/// The revision of a store that is used straight from its directory: it has none yet.
const DIRECTORY_REVISION: u64 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_prints_as_it_was_written() {
        for text in ["file:///var/task/policies", "s3://my-bucket/a/b.bundle", "s3://b.c/k?versionId=v1"] {
            assert_eq!(text.parse::<BundleUri>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn refuses_what_is_no_bundle_uri() {
        for text in [
            "",
            "policies",
            "/policies",
            "file://policies",
            "https://bucket.s3.amazonaws.com/key",
            "s3://",
            "s3://bucket",
            "s3://bucket/",
            "s3:///key",
            "s3://Bucket/key",
            "s3://bucket/key?versionId=",
            "s3://bucket/key?versionID=1",
        ] {
            assert_eq!(text.parse::<BundleUri>(), Err(InvalidBundleUri), "{text}");
        }
    }
}
