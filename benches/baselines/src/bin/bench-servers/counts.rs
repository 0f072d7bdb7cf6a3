use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::http::{Request, Response};

/// What was asked of all servers, connection by connection.
#[derive(Default)]
pub struct Counts(Mutex<Vec<Arc<Connection>>>);

/// What went over a connection.
pub struct Connection {
    server: &'static str,
    opened: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    received: usize,
    sent: usize,
    asked: Vec<Asked>,
}

struct Asked {
    host: String,
    line: String,
    range: Option<String>,
    status: u16,
    body: usize,
    /// When the client sent it.
    at: u64,
    /// When the client could read the last byte of the answer.
    answered: u64,
}

impl Counts {
    /// A connection that was opened just now.
    pub fn connection(&self, server: &'static str) -> Arc<Connection> {
        let connection =
            Arc::new(Connection { server, opened: microseconds(SystemTime::now()), state: Mutex::default() });
        lock(&self.0).push(Arc::clone(&connection));
        connection
    }

    /// All of it as JSON, and forgets it. Moments are microseconds since 1970.
    pub fn take(&self) -> Value {
        mem::take(&mut *lock(&self.0)).iter().map(|connection| connection.to_json()).collect()
    }
}

impl Connection {
    pub fn received(&self, bytes: usize) {
        lock(&self.state).received += bytes;
    }

    pub fn sent(&self, bytes: usize) {
        let mut state = lock(&self.state);
        state.sent += bytes;
        if let Some(last) = state.asked.last_mut() {
            last.answered = microseconds(SystemTime::now());
        }
    }

    /// This request is about to be answered.
    pub fn asked(&self, at: SystemTime, request: &Request, response: &Response) {
        let at = microseconds(at);
        lock(&self.state).asked.push(Asked {
            host: request.header("host").unwrap_or_default().to_owned(),
            line: format!("{} {}", request.method, request.path),
            range: request.header("range").map(str::to_owned),
            status: response.status,
            body: response.body().len(),
            at,
            answered: at,
        });
    }

    fn to_json(&self) -> Value {
        let state = lock(&self.state);
        let requests = state.asked.iter().map(|Asked { host, line, range, status, body, at, answered }| {
            json!({
                "host": host,
                "line": line,
                "range": range,
                "status": status,
                "body": body,
                "at": at,
                "answered": answered,
            })
        });
        json!({
            "server": self.server,
            "opened": self.opened,
            "received": state.received,
            "sent": state.sent,
            "requests": requests.collect::<Value>(),
        })
    }
}

fn microseconds(moment: SystemTime) -> u64 {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or_default()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
