//! AWS JSON 1.0: one path, the operation in a header, JSON in both directions.
//!
//! Source: Smithy, "AWS JSON 1.0 protocol".

use std::future::poll_fn;
use std::pin::Pin;

use aws_lc_rs::rand;
use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body::Body as _;
use serde_json::Value;
use tokio::time::timeout;

use super::error::{CommonError, ServiceError};
use crate::local_server::connections::PATIENCE;

/// The operation that the head of a request names.
///
/// # Errors
/// What the client is told: the head is not that of a request.
pub fn operation(head: &Parts) -> Result<String, ServiceError> {
    if head.method != Method::POST || head.uri.path() != "/" || head.uri.query().is_some() {
        return Err(ServiceError::UnknownOperation);
    }
    let content_type = single(&head.headers, &CONTENT_TYPE).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case(JSON_1_0) {
        return Err(
            CommonError::UnsupportedMediaType.because(format_args!("the content type is not `{JSON_1_0}`"))
        );
    }
    let target =
        single(&head.headers, &TARGET).and_then(|target| target.strip_prefix("VerifiedPermissions."));
    target.map(str::to_owned).ok_or(ServiceError::UnknownOperation)
}

/// The value of a header that is there once.
pub fn single<'head>(headers: &'head HeaderMap, name: &HeaderName) -> Option<&'head str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

/// Reads the body of a request.
///
/// # Errors
/// It is too large, too slow, or breaks off.
pub async fn body(head: &Parts, body: Body) -> Result<Vec<u8>, ServiceError> {
    let announced = single(&head.headers, &CONTENT_LENGTH).and_then(|length| length.parse().ok());
    if announced.is_some_and(|length: u64| length > MAX_IGNORED_BYTES) {
        return Err(too_large());
    }
    let read = timeout(PATIENCE, whole(body)).await;
    read.unwrap_or_else(|_| {
        let seconds = PATIENCE.as_secs();
        Err(CommonError::RequestTimeout
            .because(format_args!("the body did not come within {seconds} seconds")))
    })
}

async fn whole(mut body: Body) -> Result<Vec<u8>, ServiceError> {
    let mut bytes = Vec::new();
    let mut ignored = 0_u64;
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(|error| ServiceError::Serialization {
            message: format!("the body cannot be read to its end: {error}"),
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if ignored == 0 && bytes.len() + data.len() <= MAX_BODY_BYTES {
            bytes.extend_from_slice(&data);
        } else {
            // A client that is still sending might not see the answer, so the rest is read first.
            ignored = ignored.saturating_add(u64::try_from(data.len()).unwrap_or(u64::MAX));
            bytes = Vec::new();
            if ignored > MAX_IGNORED_BYTES {
                break;
            }
        }
    }
    if ignored > 0 { Err(too_large()) } else { Ok(bytes) }
}

fn too_large() -> ServiceError {
    CommonError::RequestTooLarge.because(format_args!("the body has more than {MAX_BODY_BYTES} bytes"))
}

/// The answer to a request.
pub fn response(answer: Result<Value, ServiceError>) -> Response<Body> {
    let (status, body) = match answer {
        Ok(body) => (200, body),
        Err(error) => (error.status(), error.body()),
    };
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON_1_0));
    if let Some(id) = request_id() {
        headers.insert(REQUEST_ID, id);
    }
    response
}

/// A new id, in the form of a random UUID (RFC 9562, section 5.4).
fn request_id() -> Option<HeaderValue> {
    let mut bytes = [0; 16];
    // Without random numbers an answer has no id, which no client needs.
    rand::fill(&mut bytes).ok()?;
    let random = u128::from_be_bytes(bytes);
    let id = random & !(0xf000 << 64) & !(0xc000 << 48) | (0x4000 << 64) | (0x8000 << 48);
    let part = |shift: u32, bits: u32| (id >> shift) & ((1 << bits) - 1);
    let id = format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        part(96, 32),
        part(80, 16),
        part(64, 16),
        part(48, 16),
        part(0, 48)
    );
    id.parse().ok()
}

pub const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

const JSON_1_0: &str = "application/x-amz-json-1.0";

/// More than any request may have: that of an authorization is at most 1 MB (User Guide, "Quotas for resources").
const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;

/// How much is read of a body that is refused. The connection of a client that sends more is closed.
const MAX_IGNORED_BYTES: u64 = 64 * 1024 * 1024;
