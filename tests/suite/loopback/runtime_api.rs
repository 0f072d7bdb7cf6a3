use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{PATIENCE, Server, exchange};

/// Hands events to a function, one at a time, and takes its answers.
///
/// <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>
#[derive(Debug)]
pub struct RuntimeApi {
    server: Server,
    desk: Arc<Desk>,
    events: UnboundedSender<Invocation>,
    invocations: AtomicU64,
}

/// How an invocation ended, in the function's own words.
#[derive(Debug, PartialEq)]
pub enum Answer {
    /// What API Gateway would be given.
    Response(Value),
    /// What API Gateway would turn into 401 or 500, depending on the message.
    Error { error_type: String, error_message: String },
}

/// How the function's start ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Init {
    /// It asked for its first event.
    Ready,
    /// It reported that it cannot run.
    Failed { error_type: String, error_message: String },
}

/// What the function is sent: JSON, or plain bytes for anything that is not JSON.
pub struct Event(Bytes);

impl From<&Value> for Event {
    fn from(json: &Value) -> Self {
        Self(json.to_string().into())
    }
}

impl From<&[u8]> for Event {
    fn from(bytes: &[u8]) -> Self {
        Self(Bytes::copy_from_slice(bytes))
    }
}

impl RuntimeApi {
    /// Starts the server with no event waiting. If a function polls now, it is held until there is one.
    pub fn start() -> Self {
        let (events, waiting) = unbounded_channel();
        let desk = Arc::new(Desk {
            waiting: tokio::sync::Mutex::new(waiting),
            answers: Mutex::default(),
            init: Mutex::default(),
            init_ended: Condvar::new(),
        });
        let router = Router::new()
            .route("/2018-06-01/runtime/init/error", post(init_error))
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .with_state(Arc::clone(&desk));
        Self { server: Server::start(router), desk, events, invocations: AtomicU64::new(1) }
    }

    /// The value of `AWS_LAMBDA_RUNTIME_API`: host and port, no scheme.
    pub fn address(&self) -> String {
        self.server.address.to_string()
    }

    /// Gives the function an event and waits for its answer.
    #[track_caller]
    pub fn invoke(&self, event: impl Into<Event>) -> Answer {
        let Some(answer) = self.begin(event.into()).within(PATIENCE) else {
            panic!("the function gave no answer within {PATIENCE:?}");
        };
        answer
    }

    /// Waits until the function has started, or has said why it cannot.
    #[track_caller]
    pub fn wait_for_init(&self) -> Init {
        let Some(init) = self.init_within(PATIENCE) else {
            panic!("the function neither polled nor reported an error within {PATIENCE:?}");
        };
        init
    }

    pub(super) fn begin(&self, Event(event): Event) -> Pending {
        let number = self.invocations.fetch_add(1, Ordering::Relaxed);
        let id = format!("00000000-0000-4000-8000-{number:012}");
        let (sender, receiver) = mpsc::channel();
        self.desk.answers.lock().unwrap().insert(id.clone(), sender);
        self.events.send(Invocation { id, event }).unwrap();
        Pending(receiver)
    }

    pub(super) fn init_within(&self, patience: Duration) -> Option<Init> {
        let init = self.desk.init.lock().unwrap();
        let (init, _) =
            self.desk.init_ended.wait_timeout_while(init, patience, |init| init.is_none()).unwrap();
        init.clone()
    }
}

/// An invocation that the function may not have answered yet.
pub(super) struct Pending(mpsc::Receiver<Answer>);

impl Pending {
    #[track_caller]
    pub(super) fn within(&self, patience: Duration) -> Option<Answer> {
        match self.0.recv_timeout(patience) {
            Ok(answer) => Some(answer),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                panic!("the function's answer could not be read: see the server's panic above")
            }
        }
    }
}

/// Where tests leave events and the function leaves answers.
#[derive(Debug)]
struct Desk {
    waiting: tokio::sync::Mutex<UnboundedReceiver<Invocation>>,
    answers: Mutex<HashMap<String, mpsc::Sender<Answer>>>,
    init: Mutex<Option<Init>>,
    init_ended: Condvar,
}

#[derive(Debug)]
struct Invocation {
    id: String,
    event: Bytes,
}

/// The body of both error calls, with only the fields that tests look at.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ErrorReport {
    error_type: String,
    error_message: String,
}

async fn next(State(desk): State<Arc<Desk>>) -> Response {
    desk.end_init(Init::Ready);
    let Some(Invocation { id, event }) = desk.waiting.lock().await.recv().await else {
        // The test has ended, and this server is about to.
        return StatusCode::GONE.into_response();
    };
    let headers = [
        ("Content-Type", "application/json".to_owned()),
        ("Lambda-Runtime-Aws-Request-Id", id),
        ("Lambda-Runtime-Deadline-Ms", deadline_ms().to_string()),
        ("Lambda-Runtime-Invoked-Function-Arn", FUNCTION_ARN.to_owned()),
        ("Lambda-Runtime-Trace-Id", TRACE_ID.to_owned()),
    ];
    (headers, event).into_response()
}

async fn response(State(desk): State<Arc<Desk>>, Path(id): Path<String>, body: Bytes) -> StatusCode {
    desk.answer(&id, || Answer::Response(serde_json::from_slice(&body).expect("a response in JSON")))
}

async fn error(State(desk): State<Arc<Desk>>, Path(id): Path<String>, body: Bytes) -> StatusCode {
    desk.answer(&id, || {
        let ErrorReport { error_type, error_message } =
            serde_json::from_slice(&body).expect("an error report in JSON");
        Answer::Error { error_type, error_message }
    })
}

async fn init_error(State(desk): State<Arc<Desk>>, body: Bytes) -> StatusCode {
    let ErrorReport { error_type, error_message } =
        serde_json::from_slice(&body).expect("an error report in JSON");
    desk.end_init(Init::Failed { error_type, error_message });
    StatusCode::ACCEPTED
}

impl Desk {
    /// Only the first result counts: a function that has started stays started, and one that has failed stays
    /// failed.
    fn end_init(&self, init: Init) {
        self.init.lock().unwrap().get_or_insert(init);
        self.init_ended.notify_all();
    }

    /// Passes an answer on. If `read` panics, the sender is dropped, and the test notices.
    fn answer(&self, id: &str, read: impl FnOnce() -> Answer) -> StatusCode {
        let sender = self.answers.lock().unwrap().remove(id);
        let Some(sender) = sender else {
            // Unknown, or answered before: AWS says `InvalidRequestID`.
            return StatusCode::BAD_REQUEST;
        };
        // A test that no longer waits has failed already.
        let _ = sender.send(read());
        StatusCode::ACCEPTED
    }
}

fn deadline_ms() -> u128 {
    let deadline = SystemTime::now() + FUNCTION_TIMEOUT;
    deadline.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis()
}

/// The timeout that the function can read from its deadline. Nothing here enforces it.
const FUNCTION_TIMEOUT: Duration = Duration::from_secs(10);

const FUNCTION_ARN: &str = "arn:aws:lambda:eu-west-1:123456789012:function:cedar-authorizer";

const TRACE_ID: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0";

#[test]
fn an_event_reaches_the_function_and_its_answer_comes_back() {
    let api = RuntimeApi::start();
    let address = api.server.address;
    let function = std::thread::spawn(move || {
        let event = exchange(address, "GET /2018-06-01/runtime/invocation/next", "", "");
        let (_, id) = event.split_once("lambda-runtime-aws-request-id: ").unwrap();
        let (id, _) = id.split_once("\r\n").unwrap();
        let answer = format!("POST /2018-06-01/runtime/invocation/{id}/response");
        let first = exchange(address, &answer, "", r#"{"isAuthorized":false}"#);
        let second = exchange(address, &answer, "", "{}");
        (event, first, second)
    });
    assert_eq!(api.wait_for_init(), Init::Ready);
    let answer = api.invoke(b"no JSON".as_slice());
    assert_eq!(answer, Answer::Response(serde_json::json!({"isAuthorized": false})));
    let (event, first, second) = function.join().unwrap();
    assert!(event.ends_with("\r\n\r\nno JSON"), "{event}");
    assert!(first.starts_with("HTTP/1.1 202 "), "{first}");
    assert!(second.starts_with("HTTP/1.1 400 "), "{second}");
}

#[test]
fn a_start_that_failed_stays_failed() {
    let api = RuntimeApi::start();
    let report = r#"{"errorType": "Config.Missing", "errorMessage": "no `BUNDLE_URI`"}"#;
    let path = "POST /2018-06-01/runtime/init/error";
    exchange(api.server.address, path, "", report);
    api.desk.end_init(Init::Ready);
    let failed =
        Init::Failed { error_type: "Config.Missing".to_owned(), error_message: "no `BUNDLE_URI`".to_owned() };
    assert_eq!(api.wait_for_init(), failed);
}
