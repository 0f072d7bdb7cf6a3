use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Hands events to a function and takes the time of its answers.
///
/// <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>
pub struct RuntimeApi {
    pub address: SocketAddr,
    desk: Arc<Desk>,
}

/// One call.
#[derive(Clone, Copy, Debug)]
pub struct Answered {
    /// When the event was about to be written.
    pub given: Instant,
    /// When the answer was read to its end.
    pub answered: Instant,
    /// Whether an allowing statement is in it.
    pub allows: bool,
}

impl Answered {
    pub fn took(&self) -> Duration {
        self.answered - self.given
    }
}

#[derive(Default)]
struct Desk {
    state: Mutex<State>,
    /// There are events, or none is open any more.
    changed: Condvar,
    /// The function asked for an event.
    polled: Condvar,
}

#[derive(Default)]
struct State {
    events: VecDeque<Arc<str>>,
    /// When the function asked first.
    first_poll: Option<Instant>,
    polls: usize,
    given: Option<Instant>,
    answers: Vec<Answered>,
    awaited: usize,
    failure: Option<String>,
    is_closed: bool,
}

impl RuntimeApi {
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let desk = Arc::<Desk>::default();
        let of_thread = Arc::clone(&desk);
        thread::spawn(move || {
            // A function has one connection, but may open it anew.
            for connection in listener.incoming() {
                let desk = Arc::clone(&of_thread);
                if desk.state.lock().unwrap().is_closed {
                    break;
                }
                thread::spawn(move || {
                    // A connection that breaks shows in the answers that are missing.
                    let _ = desk.serve(connection?);
                    io::Result::Ok(())
                });
            }
        });
        Self { address, desk }
    }

    /// Gives the function these events, one after the other.
    pub fn give<'a>(&self, events: impl Iterator<Item = &'a Arc<str>>) {
        let mut state = self.desk.state.lock().unwrap();
        state.events.extend(events.cloned());
        state.awaited = state.events.len();
        self.desk.changed.notify_all();
    }

    /// Waits until the function has asked for its first event, which ends its init; gives when that was.
    pub fn first_poll(&self) -> Instant {
        self.wait_for_polls(1).unwrap()
    }

    /// Waits until the function has asked for its second event, and so is done with all that follows its first answer.
    pub fn second_poll(&self) {
        self.wait_for_polls(2);
    }

    fn wait_for_polls(&self, polls: usize) -> Option<Instant> {
        let state = self.desk.state.lock().unwrap();
        let is_busy = |state: &mut State| state.polls < polls && state.failure.is_none();
        let (state, waited) = self.desk.polled.wait_timeout_while(state, PATIENCE, is_busy).unwrap();
        if let Some(failure) = &state.failure {
            panic!("the function failed: {failure}");
        }
        assert!(!waited.timed_out(), "no request for an event within {PATIENCE:?}");
        state.first_poll
    }

    /// Waits until all events are answered.
    pub fn take(&self) -> Vec<Answered> {
        let state = self.desk.state.lock().unwrap();
        let is_busy = |state: &mut State| state.answers.len() < state.awaited && state.failure.is_none();
        let (mut state, waited) = self.desk.changed.wait_timeout_while(state, PATIENCE, is_busy).unwrap();
        if let Some(failure) = &state.failure {
            panic!("a call failed: {failure}");
        }
        assert!(!waited.timed_out(), "no answer within {PATIENCE:?}");
        std::mem::take(&mut state.answers)
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.desk.state.lock().unwrap().is_closed = true;
        self.desk.changed.notify_all();
        // So that the listener looks up.
        let _ = TcpStream::connect(self.address);
    }
}

impl Desk {
    fn serve(&self, connection: TcpStream) -> io::Result<()> {
        connection.set_nodelay(true)?;
        let mut connection = BufReader::new(connection);
        while let Some(Request { path, body }) = Request::read(&mut connection)? {
            if path.ends_with("/next") {
                self.poll(Instant::now());
                let Some(event) = self.next() else {
                    return Ok(());
                };
                let answer = format!("{NEXT}Content-Length: {}\r\n\r\n{event}", event.len());
                self.state.lock().unwrap().given = Some(Instant::now());
                connection.get_mut().write_all(answer.as_bytes())?;
                continue;
            }
            let answered = Instant::now();
            self.answer(&path, &body, answered);
            connection.get_mut().write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")?;
        }
        Ok(())
    }

    fn poll(&self, now: Instant) {
        let mut state = self.state.lock().unwrap();
        state.first_poll.get_or_insert(now);
        state.polls += 1;
        self.polled.notify_all();
    }

    fn next(&self) -> Option<Arc<str>> {
        let state = self.state.lock().unwrap();
        let is_idle = |state: &mut State| state.events.is_empty() && !state.is_closed;
        self.changed.wait_while(state, is_idle).unwrap().events.pop_front()
    }

    fn answer(&self, path: &str, body: &[u8], answered: Instant) {
        let mut state = self.state.lock().unwrap();
        match state.given.take() {
            Some(given) if path.ends_with("/response") => {
                let allows = body.windows(ALLOW.len()).any(|window| window == ALLOW);
                state.answers.push(Answered { given, answered, allows });
            }
            _ => {
                state.failure = Some(format!("{path}: {}", String::from_utf8_lossy(body)));
                self.polled.notify_all();
            }
        }
        // To wake anybody sooner would take time from the function.
        if state.answers.len() == state.awaited || state.failure.is_some() {
            self.changed.notify_all();
        }
    }
}

struct Request {
    path: String,
    body: Vec<u8>,
}

impl Request {
    /// `None`: the connection was closed.
    fn read(connection: &mut BufReader<TcpStream>) -> io::Result<Option<Self>> {
        let mut line = String::new();
        if connection.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut length = 0;
        loop {
            line.clear();
            connection.read_line(&mut line)?;
            match line.trim_end().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().map_err(io::Error::other)?;
                }
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        connection.read_exact(&mut body)?;
        Ok(Some(Self { path, body }))
    }
}

const ALLOW: &[u8] = br#""Effect":"Allow""#;

/// A deadline far away: it is not looked at.
const NEXT: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
    Lambda-Runtime-Aws-Request-Id: 8476a536-e9f4-11e8-9739-2dfe598c3fcd\r\n\
    Lambda-Runtime-Deadline-Ms: 4102444800000\r\n\
    Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:123456789012:function:cedar-authorizer\r\n\
    Lambda-Runtime-Trace-Id: Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0\r\n";

/// Far more than the slowest needs.
const PATIENCE: Duration = Duration::from_secs(120);
