//! The picture of the schema.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderValue, Response};

use super::Page;
use super::reply::{Refusal, blocking};
use crate::schema::picture_of;

/// `GET /_bench/api/schema.svg`
pub async fn picture(State(page): State<Page>) -> Result<Response<Body>, Refusal> {
    blocking(move || {
        let in_force = page.served.in_force.get();
        let svg = picture_of(in_force.bench.files())
            .ok_or_else(|| Refusal::not_found("the store has no schema, so there is nothing to draw"))?;
        let mut response = Response::new(Body::from(svg));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("image/svg+xml"));
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(OF_PICTURE));
        Ok(response)
    })
    .await
}

/// The picture has its styles in it, and nothing else.
const OF_PICTURE: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox";
