//! An axum service that lets a bundle decide on its requests. A tower middleware verifies the caller's token and
//! asks the policies before any handler runs.
//!
//! ```sh
//! cargo run -- build --output petstore.bundle
//! ALLOW_DEVELOPMENT_KEYS=true cargo run --example axum -- petstore.bundle 127.0.0.1:8080
//! curl -H "Authorization: Bearer $(cargo run -- token --as alice)" http://127.0.0.1:8080/pets
//! ```

#![expect(clippy::print_stderr, reason = "an example has no log")]

use std::error::Error;
use std::sync::Arc;
use std::time::SystemTime;
use std::{env, fs};

use axum::body::Body;
use axum::extract::{Extension, Query, State};
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{self, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, serve};
use cedar_authorizer::bundle::{Bundle, DevelopmentKeys};
use cedar_authorizer::decide::{Gate, Session};
use cedar_authorizer::gateway::request::Request;
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [bundle, address] = arguments.as_slice() else {
        return Err("usage: axum BUNDLE ADDRESS".into());
    };
    let development_keys = match env::var("ALLOW_DEVELOPMENT_KEYS").as_deref() {
        Ok("true") => DevelopmentKeys::Allow,
        _ => DevelopmentKeys::Refuse,
    };
    let gate = Gate::with_pinned_keys(Bundle::open(fs::read(bundle)?, development_keys)?);
    let listener = TcpListener::bind(address).await?;
    eprintln!("listening on {}", listener.local_addr()?);
    Ok(serve(listener, app(gate)).await?)
}

/// The service, behind the gate.
fn app(gate: Gate) -> Router {
    Router::new()
        .route("/", get(|| async { "a pet store\n" }))
        .route("/pets", get(pets).post(|| async { (StatusCode::CREATED, "a new pet\n") }))
        .route("/pets/{petId}", get(|| async { "a pet\n" }))
        .layer(from_fn_with_state(Arc::new(gate), authorize))
}

/// A handler that knows who calls.
async fn pets(Extension(session): Extension<Arc<Session>>) -> String {
    format!("the pets that {} may see\n", session.token().principal_id())
}

/// Lets a request through if its token is valid and the policies allow it.
async fn authorize(State(gate): State<Arc<Gate>>, mut request: http::Request<Body>, next: Next) -> Response {
    let mut tokens = request.headers().get_all(AUTHORIZATION).iter();
    let token = match (tokens.next(), tokens.next()) {
        (Some(token), None) => token.to_str().unwrap_or_default(),
        // No token, or several: it would depend on the reader which one counts.
        _ => "",
    };
    let session = match gate.authenticate(token, SystemTime::now().into()) {
        Ok(session) => session,
        Err(unverified) => {
            eprintln!("refused: {unverified}");
            return (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")]).into_response();
        }
    };
    let Some(asked) = read(&request) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    match session.decide(&asked) {
        Ok(decision) if decision.is_allowed() => {
            request.extensions_mut().insert(Arc::new(session));
            next.run(request).await
        }
        Ok(decision) => {
            eprintln!("denied: {}", decision.reason);
            StatusCode::FORBIDDEN.into_response()
        }
        Err(fault) => {
            eprintln!("fault: {fault}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// The parts of a request that policies may read. `None`: its query cannot be read.
fn read(request: &http::Request<Body>) -> Option<Request> {
    let Query(query) = Query::<Vec<(String, String)>>::try_from_uri(request.uri()).ok()?;
    let mut asked = Request::with_verb(request.method().as_str(), request.uri().path());
    for (name, value) in query {
        asked = asked.query(name, value);
    }
    for (name, value) in request.headers() {
        asked = asked.header(name.as_str(), String::from_utf8_lossy(value.as_bytes()));
    }
    Some(asked)
}
