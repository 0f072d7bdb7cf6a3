use std::hash::{DefaultHasher, Hash, Hasher};

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, header};

use super::CHECKSUM;

#[derive(Clone)]
pub(super) struct Version {
    pub(super) id: String,
    pub(super) etag: String,
    pub(super) bytes: Bytes,
    /// Type, checksum and user metadata, as the PUT sent them.
    pub(super) kept: HeaderMap,
}

impl Version {
    pub(super) fn new(number: usize, bytes: Bytes, headers: &HeaderMap) -> Self {
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        Self {
            id: format!("version-{number}"),
            // As long as S3's MD5, and like MD5 the same for the same bytes.
            etag: format!("\"{:016x}{:016x}\"", hasher.finish(), bytes.len()),
            bytes,
            kept: headers
                .iter()
                .filter(|(name, _)| is_kept(name))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
        }
    }

    pub(super) fn headers(&self) -> [(&'static str, String); 3] {
        [
            ("ETag", self.etag.clone()),
            ("Last-Modified", LAST_MODIFIED.to_owned()),
            ("x-amz-version-id", self.id.clone()),
        ]
    }
}

/// Whether S3 stores this header with the bytes and sends it back. Only headers that the tests look at count.
pub(super) fn is_kept(name: &HeaderName) -> bool {
    name == header::CONTENT_TYPE || name == CHECKSUM || name.as_str().starts_with("x-amz-meta-")
}

/// The same for all versions. S3's dates have whole seconds, so two versions may share one. A client has to tell
/// them apart by `ETag`.
const LAST_MODIFIED: &str = "Wed, 01 Jan 2025 00:00:00 GMT";
