use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::answer::failure;
use super::fault::S3Fault;
use super::multipart::put_part;
use super::version::Version;
use super::{CHECKSUM, Shelf, checksum, is_signed};
use crate::loopback::close_connection;

/// A PUT: of an object, or of a part of one.
pub(super) async fn put(
    State(shelf): State<Arc<Shelf>>,
    Path((bucket, key)): Path<(String, String)>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Response {
    shelf.received.fetch_add(bytes.len(), Ordering::SeqCst);
    match query.get("uploadId") {
        Some(id) => put_part(&shelf, id, &query, &headers, bytes).await,
        None => put_object(&shelf, &bucket, &key, &headers, bytes).await,
    }
}

async fn put_object(shelf: &Shelf, bucket: &str, key: &str, headers: &HeaderMap, bytes: Bytes) -> Response {
    shelf.puts.fetch_add(1, Ordering::SeqCst);
    if !is_signed(headers) {
        return failure(StatusCode::FORBIDDEN, "AccessDenied");
    }
    let fault = shelf.put_faults.lock().unwrap().get(key).copied().unwrap_or(S3Fault::None);
    if matches!(fault, S3Fault::Truncated | S3Fault::Drips(_)) {
        close_connection();
    }
    if let Some(answer) = fault.answer().await {
        return answer;
    }
    if has_wrong_checksum(headers, &bytes) {
        return failure(StatusCode::BAD_REQUEST, "BadDigest");
    }
    let stored = shelf.store(bucket, key, headers, |number| Version::new(number, bytes, headers));
    fault.after(stored.map(|version| version.headers().into_response()))
}

/// Whether the body is not the one that was meant.
pub(super) fn has_wrong_checksum(headers: &HeaderMap, bytes: &[u8]) -> bool {
    headers.get(CHECKSUM).is_some_and(|sent| sent.as_bytes() != checksum(bytes).as_bytes())
}
