//! Publishing bundles to S3. A revision can be taken only once, and nobody overwrites a bundle that they have not
//! seen.
//!
//! ```text
//! <key>              the current bundle, which functions load
//! <key>.<revision>   every bundle that was meant to become current: the history
//! <key>.<revision><suffix>   what a publisher says of this bundle: its [`Companion`]
//! ```
//!
//! 1. The current bundle is read, with its entity tag. If it is usable but is not in the history (because of an
//!    `aws s3 cp`), it is added there.
//! 2. The next one is stored as `<key>.<revision>`, on the condition that nothing is there.
//! 3. If it has a companion, that is stored beside it, on the condition that nothing is there.
//! 4. The bundle is stored as `<key>`, on the condition that the entity tag is still that of step 1.
//!
//! So the current bundle is always in the history, with its companion if it has one, and only one of all who have
//! seen the same bundle can replace it. Each PUT takes effect completely or not at all: if interrupted between two
//! steps, either the old or the new bundle stays in place. If step 2 finds a number taken, somebody else is between
//! steps 2 and 4, or was interrupted there. If the same bundle is stored under that number, and the same companion or
//! none, it is used. Otherwise the number is skipped, and step 4 decides who was first. So numbers rise, but may have
//! gaps. A companion beside a bundle that never became current says so itself: it names the bundle.

mod failure;
mod upload;

use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::timeout::TimeoutConfig;
use aws_lc_rs::digest::{SHA256, digest};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use tokio::time::timeout;

use crate::bundle::MAX_BUNDLE_BYTES;
use crate::bundle::archive::sha256_hex;
use crate::store::build::CannotBuild;
use failure::S3Cause;
pub use failure::{NotPublished, ShelfFailure};
pub use upload::Progress;
use upload::upload;

/// The place in S3 where the bundles of one policy store are published.
#[derive(Clone, Debug)]
pub struct Shelf {
    client: Client,
    bucket: String,
    key: String,
}

impl Shelf {
    /// Finds endpoint, region and credentials as every AWS SDK does.
    pub async fn open(bucket: &str, key: &str) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ANSWER_TIMEOUT)
            .build();
        let config = aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts).load().await;
        Self { client: Client::new(&config), bucket: bucket.to_owned(), key: key.to_owned() }
    }

    /// The URI of the current bundle.
    pub fn uri(&self) -> String {
        self.uri_of(&self.key)
    }

    /// The URI of a bundle of the history.
    pub fn history_uri(&self, revision: u64) -> String {
        self.uri_of(&self.history_key(revision))
    }

    /// The current bundle. `None`: there is none yet.
    ///
    /// # Errors
    /// [`ShelfFailure`].
    pub async fn current(&self) -> Result<Option<Object>, ShelfFailure> {
        self.read(&self.key).await
    }

    /// A version of the bundle, in a bucket with versioning. `None`: there is no version with this id.
    ///
    /// # Errors
    /// [`ShelfFailure`].
    pub async fn version(&self, id: &str) -> Result<Option<Object>, ShelfFailure> {
        self.read_version(&self.key, Some(id)).await
    }

    /// A bundle of the history.
    ///
    /// # Errors
    /// [`ShelfFailure`].
    pub async fn history(&self, revision: u64) -> Result<Option<Object>, ShelfFailure> {
        self.read(&self.history_key(revision)).await
    }

    /// The revisions in the history, newest first, whatever is stored under their names.
    ///
    /// # Errors
    /// [`ShelfFailure`].
    pub async fn revisions(&self) -> Result<Vec<u64>, ShelfFailure> {
        let prefix = format!("{}.", self.key);
        let list = self.client.list_objects_v2().bucket(&self.bucket).prefix(&prefix);
        let mut pages = list.into_paginator().send();
        let mut revisions = Vec::new();
        while let Some(page) = pages.next().await {
            let uri = || self.uri_of(&format!("{prefix}*"));
            let page = page.map_err(|error| ShelfFailure {
                operation: "list",
                uri: uri(),
                cause: S3Cause::from_sdk(&error),
            })?;
            let keys = page.contents().iter().filter_map(|object| object.key()?.strip_prefix(&prefix));
            revisions.extend(keys.filter_map(|text| {
                let revision: u64 = text.parse().ok()?;
                // Each number has only one spelling, and so only one object.
                (revision.to_string() == text).then_some(revision)
            }));
        }
        revisions.sort_unstable_by(|a, b| b.cmp(a));
        Ok(revisions)
    }

    /// Publishes the bundle that `build` makes, under the first free revision. `progress` is told how many bytes of an
    /// object are on their way, of how many.
    ///
    /// # Errors
    /// [`NotPublished`].
    pub async fn publish(
        &self,
        attempt: Attempt<'_>,
        build: impl Fn(u64) -> Result<Vec<u8>, CannotBuild>,
        progress: Progress,
    ) -> Result<Published, NotPublished> {
        let Attempt { replaced, kept_as, id, .. } = attempt;
        if let (Some(Object { id: None, bytes, .. }), Some(revision)) = (replaced, kept_as) {
            let upload = Upload::bundle(self.history_key(revision), bytes, revision, id);
            // Here too, an object under a number that is taken stays as it is.
            self.put(&upload, Condition::Absent, &progress).await?;
        }
        let (revision, bytes) = self.take_revision(&attempt, build, &progress).await?;
        let upload = Upload::bundle(self.key.clone(), &bytes, revision, id);
        let condition = match replaced {
            Some(object) => Condition::Unchanged(&object.etag),
            None => Condition::Absent,
        };
        for _ in 0..MAX_CONFLICTS {
            let put = self.put(&upload, condition, &progress).await;
            if let Put::Done { version_id } = put.map_err(|source| source.at_current(revision))? {
                return Ok(Published::new(revision, bytes, version_id));
            }
            let current = self.current().await.map_err(|source| source.at_current(revision))?;
            if !is_same(current.as_ref(), replaced) {
                return match current {
                    // The answer to an earlier attempt of the SDK was lost.
                    Some(Object { id: Some(stored), bytes: found, version_id, .. })
                        if stored == id && found == bytes =>
                    {
                        Ok(Published::new(revision, bytes, version_id))
                    }
                    current => Err(self.overtaken(current)),
                };
            }
        }
        Err(NotPublished::Contended { uri: self.uri() })
    }

    /// Stores the bundle in the history, and its companion, under the first revision that is free for both.
    async fn take_revision(
        &self,
        attempt: &Attempt<'_>,
        build: impl Fn(u64) -> Result<Vec<u8>, CannotBuild>,
        progress: &Progress,
    ) -> Result<(u64, Bytes), NotPublished> {
        let Attempt { replaced, first, id, companion, .. } = *attempt;
        let end = first.saturating_add(MAX_TAKEN);
        for revision in first..end {
            let bytes = Bytes::from(build(revision)?);
            let upload = Upload::bundle(self.history_key(revision), &bytes, revision, id);
            if self.take(&upload, replaced, progress).await? == Taken::ByAnother {
                continue;
            }
            let Some(Companion { suffix, content_type, make }) = companion else {
                return Ok((revision, bytes));
            };
            let content = Bytes::from(make(revision, &bytes).map_err(NotPublished::Companion)?);
            let key = format!("{}{suffix}", self.history_key(revision));
            let upload = Upload { key, bytes: &content, content_type, revision, id };
            if self.take(&upload, replaced, progress).await? == Taken::ByUs {
                return Ok((revision, bytes));
            }
        }
        Err(NotPublished::Taken { uri: self.uri(), first, last: end.saturating_sub(1) })
    }

    /// Stores an object that belongs to a revision, unless another one is there.
    async fn take(
        &self,
        upload: &Upload<'_>,
        replaced: Option<&Object>,
        progress: &Progress,
    ) -> Result<Taken, NotPublished> {
        for _ in 0..MAX_CONFLICTS {
            if let Put::Done { .. } = self.put(upload, Condition::Absent, progress).await? {
                return Ok(Taken::ByUs);
            }
            let current = self.current().await?;
            if !is_same(current.as_ref(), replaced) {
                return Err(self.overtaken(current));
            }
            match self.read(&upload.key).await {
                Ok(Some(stored)) if stored.bytes == *upload.bytes => return Ok(Taken::ByUs),
                Ok(Some(_)) => return Ok(Taken::ByAnother),
                // What caused the conflict is gone: the number is still free.
                Ok(None) => {}
                Err(failure) if failure.is_too_large() => return Ok(Taken::ByAnother),
                Err(failure) => return Err(failure.into()),
            }
        }
        Err(NotPublished::Contended { uri: self.uri_of(&upload.key) })
    }

    fn overtaken(&self, current: Option<Object>) -> NotPublished {
        NotPublished::Overtaken { uri: self.uri(), revision: current.and_then(|object| object.revision) }
    }

    async fn read(&self, key: &str) -> Result<Option<Object>, ShelfFailure> {
        self.read_version(key, None).await
    }

    async fn read_version(&self, key: &str, id: Option<&str>) -> Result<Option<Object>, ShelfFailure> {
        let failure = |cause| ShelfFailure { operation: "read", uri: self.uri_of(key), cause };
        let request = self.client.get_object().bucket(&self.bucket).key(key);
        let mut object = match request.set_version_id(id.map(str::to_owned)).send().await {
            Ok(object) => object,
            Err(error) if matches!(error.code(), Some("NoSuchKey" | "NoSuchVersion")) => return Ok(None),
            Err(error) => return Err(failure(S3Cause::from_sdk(&error))),
        };
        let length =
            object.content_length.and_then(|length| usize::try_from(length).ok()).unwrap_or_default();
        let mut bytes = Vec::new();
        let body = async {
            while let Some(chunk) = object.body.next().await {
                bytes.extend_from_slice(&chunk.map_err(S3Cause::Interrupted)?);
                if bytes.len() > MAX_BUNDLE_BYTES {
                    return Err(S3Cause::TooLarge);
                }
            }
            Ok(())
        };
        // The SDK limits the time until the answer begins, but not the time of the body as long as bytes arrive.
        let deadline = BODY_TIMEOUT + at_slowest(length.min(MAX_BUNDLE_BYTES));
        timeout(deadline, body).await.unwrap_or(Err(S3Cause::TooSlow(deadline))).map_err(failure)?;
        let note = |name: &str| object.metadata.as_ref().and_then(|all| all.get(name)).cloned();
        Ok(Some(Object {
            bytes: Bytes::from(bytes),
            etag: object.e_tag.ok_or_else(|| failure(S3Cause::NoEntityTag))?,
            version_id: object.version_id,
            revision: note(REVISION).and_then(|text| text.parse().ok()),
            id: note(ID),
        }))
    }

    async fn put(
        &self,
        Upload { key, bytes, content_type, revision, id }: &Upload<'_>,
        condition: Condition<'_>,
        progress: &Progress,
    ) -> Result<Put, ShelfFailure> {
        let bytes = *bytes;
        let sha256 = digest(&SHA256, bytes);
        let request = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .content_type(*content_type)
            .content_length(i64::try_from(bytes.len()).unwrap_or(i64::MAX))
            // S3 refuses a body with another checksum, and keeps the checksum with the object.
            .checksum_sha256(STANDARD.encode(sha256.as_ref()))
            .metadata(REVISION, revision.to_string())
            .metadata(SHA256_OF_BUNDLE, hex::encode(sha256.as_ref()))
            .metadata(ID, *id)
            .body(upload(bytes, progress));
        let request = match condition {
            Condition::Absent => request.if_none_match("*"),
            Condition::Unchanged(etag) => request.if_match(etag),
        };
        let deadline = ANSWER_TIMEOUT + at_slowest(bytes.len());
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(deadline).build();
        let config = aws_sdk_s3::config::Builder::new().timeout_config(timeouts);
        match request.customize().config_override(config).send().await {
            Ok(stored) => Ok(Put::Done { version_id: stored.version_id }),
            Err(error) => match status(&error) {
                // PreconditionFailed, ConditionalRequestConflict. With If-Match, S3 also says that there is no
                // such key if the object is gone.
                Some(409 | 412) => Ok(Put::Refused),
                Some(404) if error.code() == Some("NoSuchKey") => Ok(Put::Refused),
                _ => Err(ShelfFailure {
                    operation: "write",
                    uri: self.uri_of(key),
                    cause: S3Cause::from_sdk(&error),
                }),
            },
        }
    }

    fn history_key(&self, revision: u64) -> String {
        format!("{}.{revision}", self.key)
    }

    fn uri_of(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.bucket)
    }
}

/// An object as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The content.
    pub bytes: Bytes,
    /// The entity tag that a later PUT compares.
    pub etag: String,
    /// The version, in a bucket with versioning.
    pub version_id: Option<String>,
    /// The revision in its metadata. It is not verified.
    pub revision: Option<u64>,
    /// The attempt that stored it.
    id: Option<String>,
}

/// What is to be published.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    /// The current bundle, which is replaced. `None`: there is none.
    pub replaced: Option<&'a Object>,
    /// The revision as which the replaced bundle is kept, unless it is already in the history.
    pub kept_as: Option<u64>,
    /// The first revision that may be taken.
    pub first: u64,
    /// Unique to this attempt, which recognizes its own object by it.
    pub id: &'a str,
    /// What is stored beside the bundle in the history.
    pub companion: Option<&'a Companion<'a>>,
}

/// An object that is stored beside each bundle of the history, before the bundle becomes the current one.
pub struct Companion<'a> {
    /// What comes after the key of the bundle. It is not a number, so no companion is taken for a bundle.
    pub suffix: &'static str,
    /// The media type.
    pub content_type: &'static str,
    /// Makes the content for a revision and its bundle. The same bundle has to give the same content: after an
    /// interruption, the next attempt recognizes it.
    pub make: MakeCompanion<'a>,
}

/// Makes the content of a [`Companion`], or says why not.
pub type MakeCompanion<'a> = Box<dyn Fn(u64, &[u8]) -> Result<Vec<u8>, String> + 'a>;

/// An object that is about to be stored.
struct Upload<'a> {
    key: String,
    bytes: &'a Bytes,
    content_type: &'static str,
    revision: u64,
    /// The attempt that stores it.
    id: &'a str,
}

impl<'a> Upload<'a> {
    fn bundle(key: String, bytes: &'a Bytes, revision: u64, id: &'a str) -> Self {
        Self { key, bytes, content_type: CONTENT_TYPE, revision, id }
    }
}

/// Whose object is under the key of a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    /// Ours, or the same.
    ByUs,
    ByAnother,
}

/// A bundle that is now the current one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Its revision.
    pub revision: u64,
    /// The bundle.
    pub bytes: Bytes,
    /// Its SHA-256, in lower-case hexadecimal digits.
    pub sha256: String,
    /// The version of the object, in a bucket with versioning.
    pub version_id: Option<String>,
}

impl Published {
    fn new(revision: u64, bytes: Bytes, version_id: Option<String>) -> Self {
        let sha256 = sha256_hex(&bytes);
        Self { revision, bytes, sha256, version_id }
    }
}

/// The condition under which an object is stored.
#[derive(Clone, Copy, Debug)]
enum Condition<'a> {
    /// There is no object yet.
    Absent,
    /// The object still has this entity tag.
    Unchanged(&'a str),
}

enum Put {
    Done { version_id: Option<String> },
    Refused,
}

/// Whether the current object is still the one to be replaced.
fn is_same(current: Option<&Object>, replaced: Option<&Object>) -> bool {
    current.map(|object| &object.etag) == replaced.map(|object| &object.etag)
}

fn status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

/// How long this many bytes take at the slowest accepted speed.
fn at_slowest(bytes: usize) -> Duration {
    Duration::from_secs(bytes as u64 / SLOWEST_BYTES_PER_SECOND)
}

/// User metadata (`x-amz-meta-...`), for people and tools that look at a bucket.
const REVISION: &str = "revision";
const SHA256_OF_BUNDLE: &str = "sha256";
const ID: &str = "publication";

/// In the vendor tree of RFC 6838, unregistered.
const CONTENT_TYPE: &str = "application/vnd.cedar-authorizer.bundle";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// From a request to its answer, without the time for the body at the slowest speed.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
const SLOWEST_BYTES_PER_SECOND: u64 = 16 * 1024;

/// From the beginning of an answer to its end, without the time for the body at the slowest speed.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// Each taken number means that somebody was interrupted or came second. That does not happen a hundred times in
/// a row.
const MAX_TAKEN: u64 = 100;

/// S3 may answer 409 although nothing has changed afterwards (User Guide, "Conditional writes").
const MAX_CONFLICTS: usize = 3;
