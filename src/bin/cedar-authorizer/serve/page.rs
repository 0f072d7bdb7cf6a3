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
use axum::http::{HeaderName, HeaderValue, Response, header};
use axum::middleware::map_response;
use axum::response::Redirect;
use axum::routing::{get, post};
use tokio::sync::Mutex;

use super::Served;
use crate::progress;
use attempt::Issued;
use effects::Newest;

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
        .layer(map_response(protect))
        .with_state(Page { served, newest: Arc::default(), issued: Arc::default(), saving: Arc::default() })
}

/// Adds what makes a browser distrust the answer: it may load, run, send and be framed only as the page needs it.
async fn protect<B>(mut response: Response<B>) -> Response<B> {
    let headers = response.headers_mut();
    for (name, value) in PROTECTION {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

const PROTECTION: [(HeaderName, &str); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
];
