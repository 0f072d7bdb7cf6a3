//! Objects that are stored whole, under a condition.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::Shelf;
use super::compose::{Composed, Notes, Source};
use super::failure::{S3Cause, ShelfFailure};
use super::upload::{Progress, upload};
use crate::bundle::archive::sha256_hex;

/// An object that is about to be stored.
pub(super) struct Upload<'a> {
    pub(super) key: String,
    pub(super) bytes: &'a Bytes,
    pub(super) content_type: &'static str,
    pub(super) revision: u64,
    /// The attempt that stores it.
    pub(super) id: &'a str,
    /// The object that begins with the same bytes, so that they need not be sent. `None`: all are sent.
    pub(super) base: Option<&'a Source>,
}

impl<'a> Upload<'a> {
    pub(super) fn bundle(key: String, bytes: &'a Bytes, revision: u64, id: &'a str) -> Self {
        Self { key, bytes, content_type: CONTENT_TYPE, revision, id, base: None }
    }

    pub(super) fn based_on(self, base: Option<&'a Source>) -> Self {
        Self { base, ..self }
    }
}

/// The condition under which an object is stored.
#[derive(Clone, Copy, Debug)]
pub enum Condition<'a> {
    /// There is no object yet.
    Absent,
    /// The object still has this entity tag.
    Unchanged(&'a str),
}

pub(super) enum Put {
    Done { version_id: Option<String> },
    Refused,
}

impl Shelf {
    /// Stores an object, whole or on the base of another one.
    pub(super) async fn store(
        &self,
        upload: &Upload<'_>,
        condition: Condition<'_>,
        progress: &Progress,
    ) -> Result<Put, ShelfFailure> {
        let Upload { key, bytes, content_type, revision, id, base } = upload;
        let Some((base, sent)) = base.and_then(|base| {
            let sent = usize::try_from(base.range.end).ok().filter(|kept| *kept <= bytes.len())?;
            Some((base, bytes.slice(sent..)))
        }) else {
            return self.put(upload, condition, progress).await;
        };
        let sha256 = sha256_hex(bytes);
        let notes = Notes { content_type, revision: *revision, id, sha256: Some(&sha256) };
        match self.compose(key, base, sent, notes, condition, progress).await? {
            Composed::Done { version_id } => Ok(Put::Done { version_id }),
            Composed::Refused { left: Some(left) } | Composed::SourceChanged { left: Some(left) } => {
                Err(left)
            }
            Composed::Refused { left: None } | Composed::SourceChanged { left: None } => Ok(Put::Refused),
        }
    }

    pub(super) async fn put(
        &self,
        Upload { key, bytes, content_type, revision, id, base: _ }: &Upload<'_>,
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
        match request.customize().config_override(within(deadline)).send().await {
            Ok(stored) => Ok(Put::Done { version_id: stored.version_id }),
            Err(error) => match status(&error) {
                // PreconditionFailed, ConditionalRequestConflict. With If-Match, S3 also says that there is no
                // such key if the object is gone.
                Some(409 | 412) => Ok(Put::Refused),
                Some(404) if error.code() == Some("NoSuchKey") => Ok(Put::Refused),
                _ => Err(self.failed("write", key, S3Cause::from_sdk(&error))),
            },
        }
    }
}

pub(super) fn status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

/// The settings of a request that has this much time for each attempt.
pub(super) fn within(deadline: Duration) -> aws_sdk_s3::config::Builder {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(deadline).build();
    aws_sdk_s3::config::Builder::new().timeout_config(timeouts)
}

/// How long this many bytes take at the slowest accepted speed.
pub(super) fn at_slowest(bytes: usize) -> Duration {
    Duration::from_secs(bytes as u64 / SLOWEST_BYTES_PER_SECOND)
}

/// User metadata (`x-amz-meta-...`), for people and tools that look at a bucket.
pub(super) const REVISION: &str = "revision";
pub(super) const SHA256_OF_BUNDLE: &str = "sha256";
pub(super) const ID: &str = "publication";

/// In the vendor tree of RFC 6838, unregistered.
pub(super) const CONTENT_TYPE: &str = "application/vnd.cedar-authorizer.bundle";

/// From a request to its answer, without the time for the body at the slowest speed.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
const SLOWEST_BYTES_PER_SECOND: u64 = 16 * 1024;
