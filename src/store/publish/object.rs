//! Objects as they are read.

use std::time::Duration;

use aws_sdk_s3::error::ProvideErrorMetadata;
use bytes::Bytes;
use tokio::time::timeout;

use super::Shelf;
use super::failure::{S3Cause, ShelfFailure};
use super::put::{ID, REVISION, at_slowest};
use crate::bundle::MAX_BUNDLE_BYTES;

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
    pub(super) id: Option<String>,
}

impl Shelf {
    pub(super) async fn read(&self, key: &str) -> Result<Option<Object>, ShelfFailure> {
        self.read_version(key, None).await
    }

    pub(super) async fn read_version(
        &self,
        key: &str,
        id: Option<&str>,
    ) -> Result<Option<Object>, ShelfFailure> {
        let failure = |cause| self.failed("read", key, cause);
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
}

/// Whether the current object is still the one to be replaced.
pub(super) fn is_same(current: Option<&Object>, replaced: Option<&Object>) -> bool {
    current.map(|object| &object.etag) == replaced.map(|object| &object.etag)
}

/// From the beginning of an answer to its end, without the time for the body at the slowest speed.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
