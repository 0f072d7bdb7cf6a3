//! Objects that are composed of what is in S3 already, and of new bytes.
//!
//! ```text
//! <from>   | first part, copied within S3 |  dropped  |
//! <key>    | first part                   | second part, the only bytes that are sent |
//! ```
//!
//! That is a multipart upload: it is created, has its parts copied and uploaded, and is completed under a
//! [`Condition`]. Nobody sees the object before, so completing it is to it what a PUT is to an object that is stored
//! whole. Whatever fails before that, the upload is aborted. If interrupted, its parts stay until a lifecycle rule of
//! the bucket removes them; nobody reads them.

use std::ops::Range;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, CopyPartResult};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Shelf;
use super::failure::{S3Cause, ShelfFailure};
use super::put::{ANSWER_TIMEOUT, Condition, ID, REVISION, SHA256_OF_BUNDLE, at_slowest, status, within};
use super::upload::{Progress, upload};

/// The object that a part is copied from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its key, in the bucket of the shelf.
    pub key: String,
    /// The entity tag that it has to have.
    pub etag: String,
    /// The bytes that are copied: at least [`MIN_COPIED_BYTES`], of an object that is larger than that.
    pub range: Range<u64>,
}

/// What is stored with a composed object.
#[derive(Clone, Copy, Debug)]
pub struct Notes<'a> {
    /// The media type.
    pub content_type: &'a str,
    /// The revision that it belongs to.
    pub revision: u64,
    /// The attempt that stores it.
    pub id: &'a str,
    /// The SHA-256 of the whole object, in lower-case hexadecimal digits, if it is known. S3 cannot say it: the
    /// checksum of a composed object is one of the checksums of its parts.
    pub sha256: Option<&'a str>,
}

/// What became of a composed object.
#[derive(Debug)]
#[must_use]
pub enum Composed {
    /// It is stored.
    Done {
        /// Its version, in a bucket with versioning.
        version_id: Option<String>,
    },
    /// It is not stored, or was stored by an earlier attempt whose answer was lost: the condition does not hold, or
    /// somebody else was writing there. What is under the key now tells them apart.
    Refused {
        /// Why parts of it stay in S3, if they do.
        left: Option<ShelfFailure>,
    },
    /// It is not stored: its source is gone, or has another entity tag.
    SourceChanged {
        /// Why parts of it stay in S3, if they do.
        left: Option<ShelfFailure>,
    },
}

impl Shelf {
    /// Stores an object that begins with bytes of another one and goes on with `rest`. `progress` is told how many
    /// bytes of `rest` are on their way, of how many. The key may be that of the source.
    ///
    /// # Errors
    /// [`ShelfFailure`].
    pub async fn compose(
        &self,
        key: &str,
        from: &Source,
        rest: Bytes,
        notes: Notes<'_>,
        condition: Condition<'_>,
        progress: &Progress,
    ) -> Result<Composed, ShelfFailure> {
        // S3 would refuse only the completed upload, after all bytes were sent.
        if from.range.end.saturating_sub(from.range.start) < MIN_COPIED_BYTES {
            return Err(self.failed(COPY, key, S3Cause::TooSmallToCopy));
        }
        let pending = self.begin(key, notes).await?;
        let stored = async {
            let copied = pending.copy(1, &from.key, &from.etag, Some(&from.range)).await?;
            // A part may not be empty if it is not the only one.
            let mut parts = vec![copied];
            if !rest.is_empty() {
                parts.push(pending.send(2, &rest, progress).await?);
            }
            pending.complete(parts, condition).await
        };
        let stored = stored.await;
        pending.settle(stored).await
    }

    /// Stores a copy of an object. No bytes of it are sent.
    ///
    /// # Errors
    /// [`ShelfFailure`].
    pub async fn copy(
        &self,
        key: &str,
        from: &str,
        etag: &str,
        notes: Notes<'_>,
        condition: Condition<'_>,
    ) -> Result<Composed, ShelfFailure> {
        let pending = self.begin(key, notes).await?;
        let stored = async {
            let copied = pending.copy(1, from, etag, None).await?;
            pending.complete(vec![copied], condition).await
        };
        let stored = stored.await;
        pending.settle(stored).await
    }

    async fn begin<'a>(&'a self, key: &'a str, notes: Notes<'_>) -> Result<Pending<'a>, ShelfFailure> {
        let request = self
            .client
            .create_multipart_upload()
            .bucket(&self.bucket)
            .key(key)
            .content_type(notes.content_type)
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .metadata(REVISION, notes.revision.to_string())
            .metadata(ID, notes.id);
        let request = match notes.sha256 {
            Some(sha256) => request.metadata(SHA256_OF_BUNDLE, sha256),
            None => request,
        };
        let created = request.send().await;
        let created = created.map_err(|error| self.failed(BEGIN, key, S3Cause::from_sdk(&error)))?;
        let no_id = || self.failed(BEGIN, key, S3Cause::Other("S3 gave no id of the upload".to_owned()));
        Ok(Pending { shelf: self, key, id: created.upload_id.ok_or_else(no_id)? })
    }
}

/// A multipart upload that has begun.
struct Pending<'a> {
    shelf: &'a Shelf,
    key: &'a str,
    id: String,
}

/// Why an upload is not completed.
enum Stopped {
    Failed(ShelfFailure),
    Refused,
    SourceChanged,
}

impl From<ShelfFailure> for Stopped {
    fn from(failure: ShelfFailure) -> Self {
        Self::Failed(failure)
    }
}

impl Pending<'_> {
    /// Copies a part. `range`: `None` copies the whole object, however small it is.
    async fn copy(
        &self,
        number: i32,
        from: &str,
        etag: &str,
        range: Option<&Range<u64>>,
    ) -> Result<CompletedPart, Stopped> {
        let Self { shelf, key, id } = self;
        let source = format!("{}/{from}", shelf.bucket);
        let request = shelf
            .client
            .upload_part_copy()
            .bucket(&shelf.bucket)
            .key(*key)
            .upload_id(id)
            .part_number(number)
            .copy_source(utf8_percent_encode(&source, &RESERVED).to_string())
            .copy_source_if_match(etag)
            .set_copy_source_range(range.map(|range| {
                let last = range.end.saturating_sub(1);
                format!("bytes={}-{last}", range.start)
            }));
        let length = range.map_or(0, |range| range.end.saturating_sub(range.start));
        let deadline = COPY_TIMEOUT + Duration::from_secs(length / SLOWEST_BYTES_COPIED_PER_SECOND);
        let copied = match request.customize().config_override(within(deadline)).send().await {
            Ok(copied) => copied.copy_part_result.unwrap_or_else(|| CopyPartResult::builder().build()),
            Err(error) => {
                return Err(match (status(&error), error.code()) {
                    (Some(412), _) | (Some(404), Some("NoSuchKey")) => Stopped::SourceChanged,
                    (Some(404), Some("NoSuchUpload")) => Stopped::Refused,
                    _ => self.failed(COPY, S3Cause::from_sdk(&error)).into(),
                });
            }
        };
        let etag = copied.e_tag.ok_or_else(|| self.failed(COPY, S3Cause::NoEntityTag))?;
        // S3 lists the checksum of each part. Other servers of its protocol have none for a part that is copied.
        let part = CompletedPart::builder().part_number(number).e_tag(etag);
        Ok(part.set_checksum_sha256(copied.checksum_sha256).build())
    }

    /// Sends a part.
    async fn send(&self, number: i32, bytes: &Bytes, progress: &Progress) -> Result<CompletedPart, Stopped> {
        let Self { shelf, key, id } = self;
        let checksum = STANDARD.encode(digest(&SHA256, bytes).as_ref());
        let request = shelf
            .client
            .upload_part()
            .bucket(&shelf.bucket)
            .key(*key)
            .upload_id(id)
            .part_number(number)
            .content_length(i64::try_from(bytes.len()).unwrap_or(i64::MAX))
            // S3 refuses a body with another checksum.
            .checksum_sha256(&checksum)
            .body(upload(bytes, progress));
        let deadline = ANSWER_TIMEOUT + at_slowest(bytes.len());
        match request.customize().config_override(within(deadline)).send().await {
            Ok(sent) => {
                let etag = sent.e_tag.ok_or_else(|| self.failed(SEND, S3Cause::NoEntityTag))?;
                Ok(CompletedPart::builder().part_number(number).e_tag(etag).checksum_sha256(checksum).build())
            }
            Err(error) if error.code() == Some("NoSuchUpload") => Err(Stopped::Refused),
            Err(error) => Err(self.failed(SEND, S3Cause::from_sdk(&error)).into()),
        }
    }

    /// Makes an object of the parts.
    async fn complete(
        &self,
        parts: Vec<CompletedPart>,
        condition: Condition<'_>,
    ) -> Result<Option<String>, Stopped> {
        let Self { shelf, key, id } = self;
        let request = shelf
            .client
            .complete_multipart_upload()
            .bucket(&shelf.bucket)
            .key(*key)
            .upload_id(id)
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build());
        let request = match condition {
            Condition::Absent => request.if_none_match("*"),
            Condition::Unchanged(etag) => request.if_match(etag),
        };
        match request.customize().config_override(within(COPY_TIMEOUT)).send().await {
            Ok(completed) => Ok(completed.version_id),
            Err(error) => Err(match (status(&error), error.code()) {
                // As for a PUT. NoSuchUpload: an earlier attempt of the SDK completed it and its answer was lost, or
                // somebody else aborted it.
                (Some(409 | 412), _) | (Some(404), Some("NoSuchKey" | "NoSuchUpload")) => Stopped::Refused,
                _ => self.failed(COMPLETE, S3Cause::from_sdk(&error)).into(),
            }),
        }
    }

    /// What became of it, once nothing of it is left.
    async fn settle(&self, stored: Result<Option<String>, Stopped>) -> Result<Composed, ShelfFailure> {
        let stopped = match stored {
            Ok(version_id) => return Ok(Composed::Done { version_id }),
            Err(stopped) => stopped,
        };
        let left = self.abort().await.err();
        match stopped {
            Stopped::Refused => Ok(Composed::Refused { left }),
            Stopped::SourceChanged => Ok(Composed::SourceChanged { left }),
            Stopped::Failed(failure) => Err(ShelfFailure { left: left.map(Box::new), ..failure }),
        }
    }

    async fn abort(&self) -> Result<(), ShelfFailure> {
        let Self { shelf, key, id } = self;
        let aborted =
            shelf.client.abort_multipart_upload().bucket(&shelf.bucket).key(*key).upload_id(id).send();
        match aborted.await {
            Ok(_) => Ok(()),
            // S3 removed it after a conflict, or completed it, or somebody else aborted it.
            Err(error) if error.code() == Some("NoSuchUpload") => Ok(()),
            Err(error) => Err(shelf.failed(ABORT, key, S3Cause::from_sdk(&error))),
        }
    }

    fn failed(&self, operation: &'static str, cause: S3Cause) -> ShelfFailure {
        self.shelf.failed(operation, self.key, cause)
    }
}

/// What may fail. Only COMPLETE makes an object of the parts.
pub(super) const BEGIN: &str = "begin to write";
pub(super) const COPY: &str = "copy to";
pub(super) const SEND: &str = "send a part of";
const COMPLETE: &str = "write";
pub(super) const ABORT: &str = "abort the upload of";

/// The least that can be copied if bytes follow: the size of each part but the last (Amazon S3 User Guide, "Amazon S3
/// multipart upload limits"). What is smaller is stored whole.
pub const MIN_COPIED_BYTES: u64 = 5 * 1024 * 1024;

/// From the request of a copy, or of an upload that is completed, to its answer. S3 begins the answer at once, and ends
/// it when it is done.
const COPY_TIMEOUT: Duration = Duration::from_secs(60);

/// Far below the speed at which S3 copies within a region.
const SLOWEST_BYTES_COPIED_PER_SECOND: u64 = 4 * 1024 * 1024;

/// The name of a source "must be URL-encoded" (Amazon S3 API Reference, "UploadPartCopy"): all but the unreserved
/// characters of RFC 3986 2.3 and the slashes.
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');
