//! The page at `/_bench/`: its files, and the endpoints that they ask.
//!
//! The server has let in only requests of this machine and of its own pages. What changes something takes only JSON, so
//! that no form of another page can send it.

mod attempt;
mod cache;
mod effects;
mod files;
mod matrix;
mod policies;
mod reply;
mod schema;
mod state;
mod tests;
mod traffic;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use axum::middleware::{Next, from_fn, map_response};
use axum::response::{IntoResponse, Redirect};
use axum::routing::{get, post};
use tokio::sync::Mutex;

use super::Served;
use crate::progress;
use attempt::Issued;
use effects::Newest;
use reply::Refusal;

/// What the endpoints work on.
#[derive(Clone)]
pub struct Page {
    served: Arc<Served>,
    /// The newest edit whose effects are asked for.
    newest: Arc<Newest>,
    /// When the tokens of the page were issued.
    issued: Arc<Issued>,
    /// Held while a file is written.
    saving: Arc<Mutex<()>>,
}

/// Everything under `/_bench/`.
pub fn router(served: Arc<Served>) -> Router {
    progress::silence();
    Router::new()
        .route("/_bench", get(|| async { Redirect::permanent("/_bench/") }))
        .route("/_bench/", get(files::page))
        .route("/_bench/{*file}", get(files::file))
        .route("/_bench/api/state", get(state::state))
        .route("/_bench/api/try", post(attempt::attempt))
        .route("/_bench/api/save-test", post(tests::save))
        .route("/_bench/api/matrix", get(matrix::matrix))
        .route("/_bench/api/policies", get(policies::list).put(policies::save))
        .route("/_bench/api/policies/check", post(effects::check))
        .route("/_bench/api/schema.svg", get(schema::picture))
        .route("/_bench/api/traffic", get(traffic::stream))
        .route("/_bench/api/cache", get(cache::list).delete(cache::flush))
        .layer(from_fn(refuse_other_sites))
        .layer(map_response(protect))
        .with_state(Page { served, newest: Arc::default(), issued: Arc::default(), saving: Arc::default() })
}

/// Refuses what a page of another site makes a browser ask for, such as by an image: it cannot read the answer, but could
/// keep this machine busy. Browsers say so in a header that no page can set (W3C, "Fetch Metadata Request Headers").
async fn refuse_other_sites(request: Request, next: Next) -> Response<Body> {
    let is_of_another = request.headers().get("sec-fetch-site").is_some_and(|site| site == "cross-site");
    // A link may lead to the page.
    if is_of_another && request.uri().path().starts_with("/_bench/api/") {
        let message = "a page of another site asks; only the test bench may";
        return Refusal::new(StatusCode::FORBIDDEN, message).into_response();
    }
    next.run(request).await
}

/// Adds what makes a browser distrust the answer: it may load, run, send and be framed only as the page needs it.
async fn protect<B>(mut response: Response<B>) -> Response<B> {
    let headers = response.headers_mut();
    for (name, value) in PROTECTION {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

const PROTECTION: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];
