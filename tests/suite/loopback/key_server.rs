use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream;
use serde_json::Value;

use super::{Server, dripping, exchange};

/// Serves a key set at `/{anything}/.well-known/jwks.json`, where Cognito has that of a user pool. It also serves
/// the discovery document of OpenID Connect that leads to the key set.
pub struct KeyServer {
    server: Server,
    keys: Arc<Keys>,
}

/// What goes wrong with the next requests. If possible, the answer still carries the keys: a client that
/// overlooks the fault accepts them, and is caught.
#[derive(Clone)]
pub enum KeyServerFault {
    None,
    /// The keys, with this status.
    Status(u16),
    /// The right answer, but only after this time.
    Slow(Duration),
    /// The keys, one byte at a time, each after this time.
    Drips(Duration),
    /// The keys, then 4 MiB of white space. This is valid JSON, and no `Content-Length` gives a reason to refuse
    /// it.
    Huge,
    /// 302 to this URL.
    Redirect(String),
    /// A page of HTML, with status 200.
    NotJson,
}

impl KeyServer {
    /// Serves this key set, with no fault.
    pub fn start(jwks: Value) -> Self {
        let keys = Arc::new(Keys {
            jwks: Mutex::new(jwks),
            discovery: Mutex::new(Value::Null),
            discovery_drips: Mutex::new(None),
            cache_control: Mutex::new(String::new()),
            fault: Mutex::new(KeyServerFault::None),
            requests: AtomicUsize::new(0),
        });
        let router = Router::new()
            .route("/{issuer}/.well-known/jwks.json", get(key_set))
            .route("/{issuer}/.well-known/openid-configuration", get(discovery))
            .with_state(Arc::clone(&keys));
        let server = Self { server: Server::start(router), keys };
        server.set_discovery(serde_json::json!({"issuer": server.issuer(), "jwks_uri": server.uri()}));
        server
    }

    /// The issuer whose discovery document this is.
    pub fn issuer(&self) -> String {
        format!("http://{}/pool", self.server.address)
    }

    /// Replaces the discovery document.
    pub fn set_discovery(&self, document: Value) {
        *self.keys.discovery.lock().unwrap() = document;
    }

    /// Sends the discovery document one byte at a time, each after this time. `None`: as a whole.
    pub fn drip_discovery(&self, pause: Option<Duration>) {
        *self.keys.discovery_drips.lock().unwrap() = pause;
    }

    /// Sends this `Cache-Control` with the keys.
    pub fn cache_control(&self, directives: &str) {
        *self.keys.cache_control.lock().unwrap() = directives.to_owned();
    }

    /// The URL of the key set; `pool` may be anything.
    pub fn uri(&self) -> String {
        format!("http://{}/pool/.well-known/jwks.json", self.server.address)
    }

    /// Replaces the key set, as an issuer does when it rotates its keys.
    pub fn set(&self, jwks: Value) {
        *self.keys.jwks.lock().unwrap() = jwks;
    }

    /// Sets a fault. It holds from the next request on, until another one is set.
    pub fn fault(&self, fault: KeyServerFault) {
        *self.keys.fault.lock().unwrap() = fault;
    }

    /// How many requests for keys have come so far, including those that failed.
    pub fn requests(&self) -> usize {
        self.keys.requests.load(Ordering::SeqCst)
    }
}

struct Keys {
    jwks: Mutex<Value>,
    discovery: Mutex<Value>,
    discovery_drips: Mutex<Option<Duration>>,
    cache_control: Mutex<String>,
    fault: Mutex<KeyServerFault>,
    requests: AtomicUsize,
}

impl Keys {
    fn jwks(&self) -> String {
        self.jwks.lock().unwrap().to_string()
    }
}

async fn discovery(State(keys): State<Arc<Keys>>) -> Response {
    if let KeyServerFault::Redirect(to) = keys.fault.lock().unwrap().clone() {
        return (StatusCode::FOUND, [(header::LOCATION, to)]).into_response();
    }
    let document = keys.discovery.lock().unwrap().to_string();
    let pause = *keys.discovery_drips.lock().unwrap();
    match pause {
        Some(pause) => dripping(document.into(), pause).into_response(),
        None => document.into_response(),
    }
}

async fn key_set(State(keys): State<Arc<Keys>>) -> Response {
    keys.requests.fetch_add(1, Ordering::SeqCst);
    let fault = keys.fault.lock().unwrap().clone();
    let json = [(header::CONTENT_TYPE, "application/json")];
    let mut status = StatusCode::OK;
    match fault {
        KeyServerFault::None => {}
        KeyServerFault::Status(code) => status = StatusCode::from_u16(code).unwrap(),
        KeyServerFault::Slow(delay) => tokio::time::sleep(delay).await,
        KeyServerFault::Drips(pause) => {
            return (json, dripping(keys.jwks().into(), pause)).into_response();
        }
        KeyServerFault::Huge => {
            let chunks = [keys.jwks(), " ".repeat(4 << 20)].map(Ok::<_, Infallible>);
            return (json, Body::from_stream(stream::iter(chunks))).into_response();
        }
        KeyServerFault::Redirect(to) => {
            return (StatusCode::FOUND, [(header::LOCATION, to)]).into_response();
        }
        KeyServerFault::NotJson => {
            let html = [(header::CONTENT_TYPE, "text/html")];
            return (html, "<html>Be right back</html>").into_response();
        }
    }
    let cache_control = [(header::CACHE_CONTROL, keys.cache_control.lock().unwrap().clone())];
    (status, json, cache_control, keys.jwks()).into_response()
}

#[test]
fn a_redirect_leads_away_and_carries_no_keys() {
    let keys = KeyServer::start(serde_json::json!({"keys": []}));
    keys.fault(KeyServerFault::Redirect("http://127.0.0.1:1/".to_owned()));
    let redirect = keys.get();
    assert!(redirect.starts_with("HTTP/1.1 302 "), "{redirect}");
    assert!(redirect.contains("location: http://127.0.0.1:1/\r\n"), "{redirect}");
    assert!(!redirect.contains("keys"), "{redirect}");
    assert_eq!(keys.requests(), 1);
}

#[test]
fn a_huge_key_set_states_no_length() {
    let keys = KeyServer::start(serde_json::json!({"keys": []}));
    keys.fault(KeyServerFault::Huge);
    let huge = keys.get();
    assert!(huge.len() > 4 << 20, "{}", huge.len());
    assert!(!huge.contains("content-length"), "{}", huge.len());
}

impl KeyServer {
    /// One request for the tests above.
    fn get(&self) -> String {
        let path = "GET /pool/.well-known/jwks.json";
        exchange(self.server.address, path, "", "")
    }
}
