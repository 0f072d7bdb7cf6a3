//! AWS JSON 1.0: one path, the operation in a header, JSON in both directions.
//!
//! Source: Smithy, "AWS JSON 1.0 protocol".

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, Response, StatusCode, header};
use serde_json::Value;

use super::error::ServiceError;

/// A request of a client, before anybody looks at the members of its input.
#[derive(Debug)]
pub struct ServiceRequest {
    /// The name of the operation.
    pub operation: String,
    /// Its input, a JSON object.
    pub input: Value,
}

impl ServiceRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// What the client is told.
    pub async fn read(request: Request<Body>) -> Result<Self, ServiceError> {
        let (parts, body) = request.into_parts();
        if parts.method != Method::POST {
            return Err(ServiceError::UnknownOperation);
        }
        let operation = operation(&parts.headers)?;
        let body = to_bytes(body, MAX_BODY_BYTES).await.map_err(|_| ServiceError::Serialization {
            message: format!("the body could not be read, or has more than {MAX_BODY_BYTES} bytes"),
        })?;
        let input: Value = serde_json::from_slice(&body).map_err(|error| ServiceError::Serialization {
            message: format!("the body is not JSON: {error}"),
        })?;
        if !input.is_object() {
            return Err(ServiceError::Serialization { message: "the body is not a JSON object".to_owned() });
        }
        Ok(Self { operation, input })
    }
}

/// The operation that a request names.
fn operation(headers: &HeaderMap) -> Result<String, ServiceError> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let content_type = text("content-type").unwrap_or_default();
    if content_type.split(';').next().is_none_or(|kind| kind.trim() != CONTENT_TYPE) {
        let message = format!("the content type is not {CONTENT_TYPE}");
        return Err(ServiceError::Serialization { message });
    }
    let target = text("x-amz-target").and_then(|target| target.strip_prefix("VerifiedPermissions."));
    target.map(str::to_owned).ok_or(ServiceError::UnknownOperation)
}

/// The answer to a request.
pub fn response(answer: Result<Value, ServiceError>) -> Response<Body> {
    let (status, body) = match answer {
        Ok(body) => (200, body),
        Err(error) => (error.status(), error.body()),
    };
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(CONTENT_TYPE));
    response
}

const CONTENT_TYPE: &str = "application/x-amz-json-1.0";

/// More than any request may have: that of an authorization is at most 1 MB (User Guide, "Quotas for resources").
const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;
