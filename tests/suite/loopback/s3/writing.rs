use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::answer::{error, failure, redirect};
use super::fault::S3Fault;
use super::{CHECKSUM, Shelf, checksum, is_signed};
use crate::loopback::close_connection;

pub(super) async fn put_object(
    State(shelf): State<Arc<Shelf>>,
    Path((bucket, key)): Path<(String, String)>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Response {
    shelf.puts.fetch_add(1, Ordering::SeqCst);
    if !is_signed(&headers) {
        return failure(StatusCode::FORBIDDEN, "AccessDenied");
    }
    let fault = shelf.put_faults.lock().unwrap().get(&key).copied().unwrap_or(S3Fault::None);
    match fault {
        S3Fault::None | S3Fault::AnswerLost => {}
        S3Fault::Forbidden => return failure(StatusCode::FORBIDDEN, "AccessDenied"),
        S3Fault::NotFound => return failure(StatusCode::NOT_FOUND, "NoSuchKey"),
        S3Fault::InternalError => {
            return failure(StatusCode::INTERNAL_SERVER_ERROR, "InternalError");
        }
        S3Fault::Slow(delay) => tokio::time::sleep(delay).await,
        S3Fault::Truncated | S3Fault::Drips(_) | S3Fault::Reset => close_connection(),
        S3Fault::Error(status, code) => return error(status, code),
        S3Fault::Answer(status, body) => {
            return (StatusCode::from_u16(status).unwrap(), body).into_response();
        }
        S3Fault::Region(region) => return redirect(region),
        S3Fault::Hang => std::future::pending().await,
    }
    if headers.get(CHECKSUM).is_some_and(|sent| sent.as_bytes() != checksum(&bytes).as_bytes()) {
        return failure(StatusCode::BAD_REQUEST, "BadDigest");
    }
    let stored = shelf.store(&bucket, &key, &headers, bytes);
    match (fault, stored) {
        (S3Fault::AnswerLost, Ok(_)) => close_connection(),
        (_, Ok(version)) => version.headers().into_response(),
        (_, Err((status, code))) => failure(status, code),
    }
}
