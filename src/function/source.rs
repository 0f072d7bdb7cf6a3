//! Where the bundle comes from.

pub(crate) mod away;
pub mod current;
pub mod s3;
mod schedule;

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::{fmt, io};

use bytes::Bytes;

use crate::bundle::archive::{START_BYTES, end_length};
use crate::bundle::chunks::{ChunkCache, chunk_cache};
use crate::bundle::file::{self, UnreadableFile};
use crate::bundle::{Bundle, InvalidArchive, InvalidBundle, Opening, Tenant, Trust};
use crate::function::config;
use crate::function::tenant::InvalidTenantUri;
#[cfg(feature = "authoring")]
use crate::store::build::{UnusableStore, bundle_of_directory};
use away::S3Object;
use s3::{InvalidSettings, ReadEnd, S3Failure};

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
    /// Loads the whole bundle once.
    ///
    /// # Errors
    /// [`LoadFailure`].
    pub async fn load<'a>(&self, trust: impl Into<Trust<'a>>) -> Result<Bundle, LoadFailure> {
        Ok(Bundle::open(Fetcher::from_env(self.clone()).await.whole().await?, trust)?)
    }
}

/// Reads the bundle at a URI, as often as asked.
#[derive(Clone, Debug)]
pub struct Fetcher {
    uri: BundleUri,
    /// `None`: the URI is that of a file.
    s3: Option<Result<s3::Reader, InvalidSettings>>,
    /// The parts of bundles that were read last.
    cache: ChunkCache,
}

/// What a fetcher found.
#[derive(Debug)]
pub(crate) enum Found {
    /// The same bundle as before.
    Unchanged,
    /// Another bundle.
    New(FoundBundle),
}

/// A bundle that was found.
#[derive(Debug)]
pub(crate) struct FoundBundle {
    pub(crate) opening: Opening,
    /// For the next conditional request.
    pub(crate) etag: Option<String>,
    /// The object, if parts of it are still there.
    pub(crate) object: Option<S3Object>,
}

impl Fetcher {
    /// Gets ready to read, with the settings of the environment.
    pub async fn from_env(uri: BundleUri) -> Self {
        let s3 = match &uri {
            BundleUri::S3 { .. } => Some(s3::S3Settings::from_lookup(config::variable).map(s3::Reader::new)),
            BundleUri::File(_) => None,
        };
        Self { uri, s3, cache: chunk_cache(DEFAULT_CACHE_BYTES) }
    }

    /// Reads with this client if the bundle is in S3.
    pub fn with_s3(uri: BundleUri, s3: s3::Reader) -> Self {
        Self { uri, s3: Some(Ok(s3)), cache: chunk_cache(DEFAULT_CACHE_BYTES) }
    }

    /// The same fetcher, but it keeps so many bytes of the parts of large bundles that were read last. All bundles that it
    /// and the fetchers [made of it](Self::at) read share them.
    #[must_use]
    pub fn keeping(self, cache_bytes: u64) -> Self {
        Self { cache: chunk_cache(cache_bytes), ..self }
    }

    /// A fetcher for another URI. If both are in S3, it uses the same connection.
    pub async fn at(&self, uri: BundleUri) -> Self {
        let s3 = match (&uri, &self.s3) {
            (BundleUri::S3 { .. }, None) => Self::from_env(uri.clone()).await.s3,
            (_, s3) => s3.clone(),
        };
        Self { uri, s3, cache: Arc::clone(&self.cache) }
    }

    /// The URI that it reads.
    pub fn uri(&self) -> &BundleUri {
        &self.uri
    }

    /// Reads the bundle, unless it still has this entity tag. The entity tag of a file is made of its time and
    /// length. A directory is built only once, when the function starts. Of a large file or object only the end is read,
    /// which has all that is needed to open it.
    ///
    /// # Errors
    /// [`LoadFailure`].
    pub(crate) async fn fetch(&self, etag: Option<&str>, attempts: u32) -> Result<Found, LoadFailure> {
        match (&self.uri, &self.s3) {
            (BundleUri::File(path), _) if path.is_dir() => match etag {
                None => {
                    let opening = build_from_directory(path)?.into();
                    let etag = Some(DIRECTORY_TAG.to_owned());
                    Ok(Found::New(FoundBundle { opening, etag, object: None }))
                }
                Some(_) => Ok(Found::Unchanged),
            },
            (BundleUri::File(path), _) => {
                let tag = file::tag(path)?;
                if etag == Some(tag.as_str()) {
                    return Ok(Found::Unchanged);
                }
                let opening = file::open(path, END_BYTES, &self.cache)?;
                Ok(Found::New(FoundBundle { opening, etag: Some(tag), object: None }))
            }
            (BundleUri::S3 { .. }, Some(Err(invalid))) => Err(S3Failure::from(invalid.clone()).into()),
            (BundleUri::S3 { bucket, key, version_id }, Some(Ok(s3))) => {
                let place = (bucket.as_str(), key.as_str(), version_id.as_deref());
                self.fetch_end(s3, place, etag, attempts).await
            }
            (BundleUri::S3 { .. }, None) => Err(LoadFailure::Unreadable(UnreadableFile::Changed)),
        }
    }

    /// Reads the end of an object, which is all of it if it is small.
    async fn fetch_end(
        &self,
        s3: &s3::Reader,
        (bucket, key, version_id): (&str, &str, Option<&str>),
        etag: Option<&str>,
        attempts: u32,
    ) -> Result<Found, LoadFailure> {
        s3.open_ahead();
        let read = s3.read_end(bucket, key, version_id, etag, END_BYTES, attempts).await;
        if !matches!(&read, Ok(ReadEnd::New { bytes, total, .. }) if (bytes.len() as u64) < *total) {
            s3.close_spare();
        }
        let ReadEnd::New { bytes, total, etag, .. } = read? else {
            return Ok(Found::Unchanged);
        };
        let object = || S3Object {
            reader: s3.clone(),
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            version_id: version_id.map(str::to_owned),
            etag: etag.clone(),
        };
        if bytes.len() as u64 == total {
            let found = FoundBundle { opening: bytes.into(), etag: Some(etag), object: None };
            return Ok(Found::New(found));
        }
        let Ok(needed) = end_length(&bytes) else {
            // Its beginning says whether it is another version of the format, or none at all.
            let start =
                s3.read_range(bucket, key, version_id, &etag, 0..START_BYTES as u64, attempts).await?;
            return Ok(Found::New(FoundBundle { opening: start.into(), etag: Some(etag), object: None }));
        };
        let known = bytes.len() as u64;
        let end = match total.checked_sub(needed) {
            Some(_) if needed <= known => bytes,
            Some(start) if needed <= MAX_END_BYTES => {
                let range = start..total.saturating_sub(known);
                let more = s3.read_range(bucket, key, version_id, &etag, range, attempts).await?;
                Bytes::from([more, bytes].concat())
            }
            _ => return Err(InvalidArchive::Truncated.into()),
        };
        let opening = Opening::away(end, total, Arc::clone(&self.cache));
        Ok(Found::New(FoundBundle { opening, etag: Some(etag.clone()), object: Some(object()) }))
    }

    /// Reads all bytes of the bundle.
    ///
    /// # Errors
    /// [`LoadFailure`].
    async fn whole(&self) -> Result<Opening, LoadFailure> {
        match (&self.uri, &self.s3) {
            (BundleUri::S3 { bucket, key, version_id }, Some(Ok(s3))) => {
                match s3.read(bucket, key, version_id.as_deref(), None, COLD_ATTEMPTS).await? {
                    s3::Read::New { bytes, .. } => Ok(bytes.into()),
                    // There was no entity tag to compare with.
                    s3::Read::Unchanged => Err(LoadFailure::Unreadable(UnreadableFile::Changed)),
                }
            }
            _ => match self.fetch(None, COLD_ATTEMPTS).await? {
                Found::New(found) => Ok(found.opening),
                Found::Unchanged => Err(LoadFailure::Unreadable(UnreadableFile::Changed)),
            },
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

/// How much of the end of a bundle is read before it is known how long the end is: enough for the head of a bundle of a
/// million policies, with the parts that most calls need, and for the whole of most bundles. S3 sends it in six
/// milliseconds.
const END_BYTES: u64 = 512 * 1024;

/// The head of a bundle of thirty million policies. It is read before it is known who signed it.
const MAX_END_BYTES: u64 = 16 * 1024 * 1024;

/// What `BUNDLE_CACHE_BYTES` is by default: some hundred parts.
pub const DEFAULT_CACHE_BYTES: u64 = 16 * 1024 * 1024;

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
