//! Where the bundle comes from.

pub mod current;
pub mod s3;
mod schedule;

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::{fmt, io};

use crate::bundle::file::{self, UnreadableFile};
use crate::bundle::{Bundle, InvalidArchive, InvalidBundle, Tenant, Trust};
use crate::function::config;
use crate::function::tenant::InvalidTenantUri;
#[cfg(feature = "authoring")]
use crate::store::build::{UnusableStore, bundle_of_directory};
use s3::{InvalidSettings, Read, S3Failure};

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
    /// Loads the bundle once.
    ///
    /// # Errors
    /// [`LoadFailure`].
    pub async fn load<'a>(&self, trust: impl Into<Trust<'a>>) -> Result<Bundle, LoadFailure> {
        match Fetcher::from_env(self.clone()).await.fetch(None, COLD_ATTEMPTS).await? {
            Read::New { bytes, .. } => Ok(Bundle::open(bytes, trust)?),
            // There was no entity tag to compare with.
            Read::Unchanged => Err(LoadFailure::Unreadable(UnreadableFile::Changed)),
        }
    }
}

/// Reads the bundle at a URI, as often as asked.
#[derive(Clone, Debug)]
pub struct Fetcher {
    uri: BundleUri,
    /// `None`: the URI is that of a file.
    s3: Option<Result<s3::Reader, InvalidSettings>>,
}

impl Fetcher {
    /// Gets ready to read, with the settings of the environment.
    pub async fn from_env(uri: BundleUri) -> Self {
        let s3 = match &uri {
            BundleUri::S3 { .. } => Some(s3::S3Settings::from_lookup(config::variable).map(s3::Reader::new)),
            BundleUri::File(_) => None,
        };
        Self { uri, s3 }
    }

    /// Reads with this client if the bundle is in S3.
    pub fn with_s3(uri: BundleUri, s3: s3::Reader) -> Self {
        Self { uri, s3: Some(Ok(s3)) }
    }

    /// A fetcher for another URI. If both are in S3, it uses the same connection.
    pub async fn at(&self, uri: BundleUri) -> Self {
        match (&uri, &self.s3) {
            (BundleUri::S3 { .. }, None) => Self::from_env(uri).await,
            (_, s3) => Self { uri, s3: s3.clone() },
        }
    }

    /// The URI that it reads.
    pub fn uri(&self) -> &BundleUri {
        &self.uri
    }

    /// Reads the bundle, unless it still has this entity tag. The entity tag of a file is made of its time and
    /// length. A directory is built only once, when the function starts.
    ///
    /// # Errors
    /// [`LoadFailure`].
    pub async fn fetch(&self, etag: Option<&str>, attempts: u32) -> Result<Read, LoadFailure> {
        match (&self.uri, &self.s3) {
            (BundleUri::File(path), _) if path.is_dir() => match etag {
                None => {
                    let bytes = build_from_directory(path)?;
                    Ok(Read::New { bytes: bytes.into(), etag: Some(DIRECTORY_TAG.to_owned()) })
                }
                Some(_) => Ok(Read::Unchanged),
            },
            (BundleUri::File(path), _) => {
                let tag = file::tag(path)?;
                if etag == Some(tag.as_str()) {
                    return Ok(Read::Unchanged);
                }
                Ok(Read::New { bytes: file::read(path)?.into(), etag: Some(tag) })
            }
            (BundleUri::S3 { .. }, Some(Err(invalid))) => Err(S3Failure::from(invalid.clone()).into()),
            (BundleUri::S3 { bucket, key, version_id }, Some(Ok(s3))) => {
                Ok(s3.read(bucket, key, version_id.as_deref(), etag, attempts).await?)
            }
            (BundleUri::S3 { .. }, None) => Err(LoadFailure::Unreadable(UnreadableFile::Changed)),
        }
    }
}

/// Builds a bundle straight from the directory of a policy store, for local work.
#[cfg(feature = "authoring")]
fn build_from_directory(path: &Path) -> Result<Vec<u8>, LoadFailure> {
    Ok(bundle_of_directory(path, DIRECTORY_REVISION)?)
}

#[cfg(not(feature = "authoring"))]
fn build_from_directory(path: &Path) -> Result<Vec<u8>, LoadFailure> {
    Err(LoadFailure::Directory(path.to_owned()))
}

impl FromStr for BundleUri {
    type Err = InvalidBundleUri;

    fn from_str(text: &str) -> Result<Self, InvalidBundleUri> {
        if let Some(path) = text.strip_prefix("file://") {
            return if path.starts_with('/') {
                Ok(Self::File(PathBuf::from(path)))
            } else {
                Err(InvalidBundleUri)
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
        // URLs resolve these segments, so a client could not be sure which object it gets.
        let is_dots = |segment| segment == "." || segment == "..";
        if key.split('/').any(is_dots) {
            return Err(InvalidBundleUri);
        }
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
    /// Callers would get answers that were made for other tokens.
    #[error(
        "CACHE_KEY does not have the token, so API Gateway would give one caller's answers to others: add `method.request.header.{0}`"
    )]
    CacheKeyWithoutToken(String),
    /// The URI is the directory of a policy store, but this build of the function cannot build a bundle from it.
    #[cfg(not(feature = "authoring"))]
    #[error(
        "`{}` is a directory, and this function is built without the feature `authoring`: \
         make a bundle of it with `cedar-authorizer build`", .0.display()
    )]
    Directory(PathBuf),
    /// The bundle has expired.
    #[error("the bundle is past the time to which it is good (`not_after`): publish a new one")]
    Expired,
    /// The bundle is of another store.
    #[error("the bundle is of the store `{}`, and BUNDLE_NAME is `{expected}`", .found.escape_debug())]
    NameMismatch {
        /// The name of the store.
        found: String,
        /// The name that it should have.
        expected: String,
    },
    /// The revision of the bundle is too low.
    #[error("the bundle has revision {found}, and may not be below {least}")]
    RevisionTooLow {
        /// The revision of the bundle.
        found: u64,
        /// The revision of the bundle in use, or BUNDLE_MIN_REVISION.
        least: u64,
    },
    /// The bundle is for another tenant, or for no tenant.
    #[error("the bundle is for {}, and not for {}", addressee(.found.as_ref()), addressee(.expected.as_ref()))]
    TenantMismatch {
        /// The tenant that it is for.
        found: Option<Tenant>,
        /// The tenant that it should be for.
        expected: Option<Tenant>,
    },
    /// The bundle accepts tokens that this deployment must not accept.
    #[error(
        "the bundle accepts tokens of others than USER_POOL_ARN, USER_POOL_CLIENT_IDS and ISSUERS name: identity source `{0}`"
    )]
    UntrustedIdentitySource(String),
    /// What was loaded cannot be used.
    #[error(transparent)]
    InvalidBundle(#[from] InvalidBundle),
    /// S3 did not return the bundle.
    #[error(transparent)]
    S3(#[from] S3Failure),
    /// The policy store in the directory cannot be built into a bundle.
    #[cfg(feature = "authoring")]
    #[error(transparent)]
    Store(#[from] UnusableStore),
    /// The URI cannot name the bundles of all tenants.
    #[error("the URI of the bundles {0}")]
    TenantUri(#[from] InvalidTenantUri),
    /// The file cannot be read.
    #[error(transparent)]
    Unreadable(#[from] UnreadableFile),
}

impl LoadFailure {
    /// A stable name for the log.
    pub fn code(&self) -> &'static str {
        match self {
            #[cfg(not(feature = "authoring"))]
            Self::Directory(_) => "store-unsupported",
            Self::Expired => "bundle-expired",
            Self::InvalidBundle(invalid) => invalid.code(),
            Self::NameMismatch { .. } => "bundle-name-mismatch",
            Self::RevisionTooLow { .. } => "bundle-revision-too-low",
            Self::S3(failure) => failure.code(),
            #[cfg(feature = "authoring")]
            Self::Store(UnusableStore::Unreadable(_)) => "bundle-unreadable",
            #[cfg(feature = "authoring")]
            Self::Store(_) => "store-invalid",
            Self::TenantMismatch { .. } => "bundle-tenant-mismatch",
            Self::TenantUri(_) => "bundle-uri-invalid",
            Self::Unreadable(_) => "bundle-unreadable",
            Self::UntrustedIdentitySource(_) => "identity-source-untrusted",
            Self::CacheKeyWithoutToken(_) => "cache-key-without-token",
        }
    }

    /// Whether it is certain that there is no bundle at the URI.
    pub fn is_missing(&self) -> bool {
        match self {
            Self::S3(failure) => failure.is_missing(),
            Self::Unreadable(UnreadableFile::Io { source, .. }) => source.kind() == io::ErrorKind::NotFound,
            _ => false,
        }
    }
}

impl From<InvalidArchive> for LoadFailure {
    fn from(error: InvalidArchive) -> Self {
        Self::InvalidBundle(error.into())
    }
}

/// The tenant that a bundle is for, in words.
fn addressee(tenant: Option<&Tenant>) -> String {
    match tenant {
        Some(tenant) => format!("the tenant `{tenant}`"),
        None => "no tenant in particular".to_owned(),
    }
}

/// How often a cold start tries to read. Lambda's init phase is long enough for that.
pub(crate) const COLD_ATTEMPTS: u32 = 3;

/// A directory does not change while the function runs.
const DIRECTORY_TAG: &str = "directory";

/// The revision of a store that is used straight from its directory. It has no number yet.
#[cfg(feature = "authoring")]
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
            "s3://bucket/a/../key",
            "s3://bucket/.",
        ] {
            assert_eq!(text.parse::<BundleUri>(), Err(InvalidBundleUri), "{text}");
        }
    }
}
