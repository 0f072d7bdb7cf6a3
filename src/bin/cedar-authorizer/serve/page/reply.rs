//! What endpoints get and give: JSON, and refusals that say what to do.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;
use cedar_authorizer::bundle::with_room;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::task;

use crate::output::Failure;

/// Why an endpoint does not do what it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    status: StatusCode,
    message: String,
    hint: Option<String>,
}

impl Refusal {
    pub fn new(status: StatusCode, message: impl ToString) -> Self {
        Self { status, message: message.to_string(), hint: None }
    }

    /// The request is wrong.
    pub fn bad_request(message: impl ToString) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// There is nothing of that name.
    pub fn not_found(message: impl ToString) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// Something has changed since the page read it.
    pub fn conflict(message: impl ToString) -> Self {
        Self::new(StatusCode::CONFLICT, message)
    }

    /// Adds advice.
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        let hint = failure.advice().map(str::to_owned);
        Self { hint, ..Self::bad_request(failure.message()) }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response<Body> {
        let Self { status, message, hint } = self;
        let body = json!({"error": {"message": message, "hint": hint}});
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, JSON);
        response
    }
}

/// An answer as JSON.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response<Body> {
        match serde_json::to_vec(&self.0) {
            Ok(body) => {
                let mut response = Response::new(Body::from(body));
                response.headers_mut().insert(CONTENT_TYPE, JSON);
                response
            }
            Err(error) => Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error).into_response(),
        }
    }
}

/// The body of a request, as JSON.
pub async fn body<T: DeserializeOwned>(request: Request) -> Result<T, Refusal> {
    require_json(request.headers())?;
    let bytes = to_bytes(request.into_body(), MAX_BODY_BYTES).await.map_err(|_| {
        let message = format!("the request is cut off, or has more than {} KiB", MAX_BODY_BYTES / 1024);
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    })?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Refusal::bad_request(format!("the request is wrong: {error}")))
}

/// Refuses what a form can send: a browser asks before it sends JSON to another origin (Fetch standard, "CORS-safelisted
/// request-header").
pub fn require_json(headers: &HeaderMap) -> Result<(), Refusal> {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = value.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let message = "the request is not JSON: its `Content-Type` is not `application/json`";
    Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message))
}

/// Does work that takes the processor for a while, and may go deep into policies, while others are served.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let failed = |error: &dyn std::fmt::Display| {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("the test bench failed: {error}"))
    };
    match task::spawn_blocking(|| with_room(work)).await {
        Ok(Ok(result)) => result,
        Ok(Err(error)) => Err(failed(&error)),
        Err(error) => Err(failed(&error)),
    }
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Larger than any policy that somebody edits by hand.
const MAX_BODY_BYTES: usize = 1024 * 1024;
