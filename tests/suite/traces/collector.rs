//! A collector of OTLP over HTTP, and the ways in which it can fail.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;

use super::wire::{Field, fields};

/// Takes spans at `/v1/traces`.
pub struct Collector {
    endpoint: String,
    inbox: Arc<Inbox>,
}

/// What the collector does with requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Behaviour {
    Takes,
    /// Takes the spans, but answers only after this time.
    Slow(Duration),
    /// Never answers.
    Hangs,
    /// This status.
    Status(u16),
    /// 200 with a body that is no answer.
    Nonsense,
    /// 200 with a body without an end.
    Endless,
    /// A redirect to itself.
    Redirects,
}

struct Inbox {
    spans: Mutex<Vec<Span>>,
    headers: Mutex<Vec<HeaderMap>>,
    behaviour: Behaviour,
}

/// A span as it was sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    pub trace: String,
    pub id: String,
    /// Empty: there is none.
    pub parent: String,
    pub name: String,
    pub kind: u64,
    pub begins: u64,
    pub ends: u64,
    /// 2: an error.
    pub status: u64,
    pub attributes: BTreeMap<String, String>,
    pub resource: BTreeMap<String, String>,
}

impl Collector {
    pub fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let inbox = Arc::new(Inbox { spans: Mutex::default(), headers: Mutex::default(), behaviour });
        let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&inbox));
        // It lives as long as the tests: a test that ends must not end the collector of another.
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, router).await
            })
        });
        Self { endpoint, inbox }
    }

    /// The value of `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The spans that have come, once there are this many events among them.
    #[track_caller]
    pub fn events(&self, count: usize) -> Vec<Span> {
        let begun = Instant::now();
        loop {
            let spans = self.inbox.spans.lock().unwrap().clone();
            if spans.iter().filter(|span| span.kind == SERVER).count() >= count {
                return spans;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{spans:#?}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// The spans that have come so far.
    pub fn spans(&self) -> Vec<Span> {
        self.inbox.spans.lock().unwrap().clone()
    }

    /// The headers of the requests that have come so far.
    pub fn headers(&self) -> Vec<HeaderMap> {
        self.inbox.headers.lock().unwrap().clone()
    }
}

async fn take(State(inbox): State<Arc<Inbox>>, headers: HeaderMap, body: Bytes) -> Response {
    inbox.headers.lock().unwrap().push(headers);
    inbox.spans.lock().unwrap().extend(read(&body));
    match inbox.behaviour {
        Behaviour::Takes => StatusCode::OK.into_response(),
        Behaviour::Slow(delay) => {
            tokio::time::sleep(delay).await;
            StatusCode::OK.into_response()
        }
        Behaviour::Hangs => std::future::pending().await,
        Behaviour::Status(code) => StatusCode::from_u16(code).unwrap().into_response(),
        Behaviour::Nonsense => "\u{fffd}<html>sekrit".into_response(),
        Behaviour::Endless => {
            let chunk = Bytes::from(vec![b'x'; 64 * 1024]);
            let chunks = futures_util::stream::repeat_with(move || Ok::<_, std::io::Error>(chunk.clone()));
            Body::from_stream(chunks).into_response()
        }
        Behaviour::Redirects => {
            (StatusCode::TEMPORARY_REDIRECT, [("location", "/v1/traces")]).into_response()
        }
    }
}

/// `ExportTraceServiceRequest` of `opentelemetry/proto/collector/trace/v1/trace_service.proto`.
fn read(request: &[u8]) -> Vec<Span> {
    let mut spans = Vec::new();
    for of_resource in all(request, 1) {
        let resource = all(of_resource, 1).into_iter().flat_map(|resource| attributes(resource, 1)).collect();
        for of_scope in all(of_resource, 2) {
            spans.extend(all(of_scope, 2).into_iter().map(|span| Span {
                trace: hex(first(span, 1)),
                id: hex(first(span, 2)),
                parent: hex(first(span, 4)),
                name: String::from_utf8(first(span, 5).to_vec()).unwrap(),
                kind: number(span, 6),
                begins: number(span, 7),
                ends: number(span, 8),
                attributes: attributes(span, 9),
                status: number(first(span, 15), 3),
                resource: BTreeMap::clone(&resource),
            }));
        }
    }
    spans
}

fn attributes(message: &[u8], field: u64) -> BTreeMap<String, String> {
    let attribute = |pair: &[u8]| {
        let value = match fields(first(pair, 2)).pop().unwrap() {
            (1, Field::Bytes(text)) => String::from_utf8(text.to_vec()).unwrap(),
            (2, Field::Number(flag)) => (flag == 1).to_string(),
            (3, Field::Number(number)) => number.to_string(),
            other => panic!("{other:?}"),
        };
        (String::from_utf8(first(pair, 1).to_vec()).unwrap(), value)
    };
    all(message, field).into_iter().map(attribute).collect()
}

fn all(message: &[u8], field: u64) -> Vec<&[u8]> {
    let of_field = |(number, value)| match value {
        Field::Bytes(bytes) if number == field => Some(bytes),
        _ => None,
    };
    fields(message).into_iter().filter_map(of_field).collect()
}

fn first(message: &[u8], field: u64) -> &[u8] {
    all(message, field).first().copied().unwrap_or_default()
}

fn number(message: &[u8], field: u64) -> u64 {
    let of_field = |(number, value)| match value {
        Field::Number(value) if number == field => Some(value),
        _ => None,
    };
    fields(message).into_iter().find_map(of_field).unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `SPAN_KIND_SERVER`.
pub const SERVER: u64 = 2;
