use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::*;

/// A Runtime API that sends these responses as they are, whatever the function asks for. `None` closes the connection.
/// Gives the requests.
struct Script {
    address: String,
    requests: JoinHandle<Vec<String>>,
}

impl Script {
    fn new(responses: Vec<Option<String>>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests = thread::spawn(move || {
            let accept = || BufReader::new(listener.accept().unwrap().0);
            let (mut connection, mut requests) = (accept(), Vec::new());
            for response in responses {
                let Some(response) = response else {
                    connection = accept();
                    continue;
                };
                requests.push(read_request(&mut connection));
                // In small pieces, as they may come.
                for piece in response.as_bytes().chunks(700) {
                    connection.get_mut().write_all(piece).unwrap();
                    connection.get_mut().flush().unwrap();
                }
            }
            requests
        });
        Self { address, requests }
    }

    /// Serves until the script ends; gives why the function stopped, the events that it saw, and its requests.
    fn play(self, prefix: &str, suffix: &str) -> (RuntimeFailure, Vec<String>, Vec<String>) {
        let api = RuntimeApi::new(&format!("{prefix}{}{suffix}", self.address)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let events = std::cell::RefCell::new(Vec::new());
        let answer = async |event: &str, context: &LambdaContext| {
            events.borrow_mut().push(format!("{} {event}", context.trace_id.as_deref().unwrap_or_default()));
            if event == "refused" {
                let (error_type, error_message) = ("Unauthorized".to_owned(), "Unauthorized".to_owned());
                return Err(Diagnostic { error_type, error_message });
            }
            Ok(Bytes::copy_from_slice(event.to_uppercase().as_bytes()))
        };
        let Err(failure) = runtime.block_on(api.serve(answer));
        (failure, events.into_inner(), self.requests())
    }

    /// The requests, when the script has ended. A function that stops before its end makes it wait for ever.
    fn requests(self) -> Vec<String> {
        let begun = Instant::now();
        while !self.requests.is_finished() {
            assert!(begun.elapsed() < PATIENCE, "the function stopped before the end of the script");
            thread::sleep(Duration::from_millis(1));
        }
        self.requests.join().unwrap()
    }
}

fn read_request(connection: &mut BufReader<TcpStream>) -> String {
    let (mut text, mut length) = (String::new(), 0);
    loop {
        let start = text.len();
        assert!(connection.read_line(&mut text).unwrap() > 0, "the function closed the connection");
        match text.get(start..).unwrap().trim_end().to_ascii_lowercase().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().unwrap(),
            Some(_) => {}
            None if start == 0 => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body).unwrap();
    text + std::str::from_utf8(&body).unwrap()
}

/// Only a test that fails takes so long.
const PATIENCE: Duration = Duration::from_secs(10);

const EVENT: &str =
    "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: r-1\r\nLambda-Runtime-Trace-Id: Root=1\r\n";
const TAKEN: &str =
    "HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{\"status\":\"OK\"}\n\r\n0\r\n\r\n";
const END: &str = "HTTP/1.1 410 Gone\r\nContent-Length: 4\r\n\r\ngone";

fn event(text: &str) -> Option<String> {
    Some(format!("{EVENT}Content-Length: {}\r\n\r\n{text}", text.len()))
}

fn taken() -> Option<String> {
    Some(TAKEN.to_owned())
}

fn end() -> Option<String> {
    Some(END.to_owned())
}

/// The first line of a request, and its body.
fn gist(request: &str) -> (&str, &str) {
    (request.lines().next().unwrap(), request.split_once("\r\n\r\n").unwrap().1)
}

#[test]
fn each_event_is_answered_until_there_are_no_more() {
    let script = Script::new(vec![event("one"), taken(), event("refused"), taken(), end()]);
    let (failure, events, requests) = script.play("", "");
    assert_eq!(failure.to_string(), "the Runtime API gave no event: status 410 Gone");
    assert_eq!(events, ["Root=1 one", "Root=1 refused"]);
    let next = ("GET /2018-06-01/runtime/invocation/next HTTP/1.1", "");
    let refusal = r#"{"errorType":"Unauthorized","errorMessage":"Unauthorized"}"#;
    let gists: Vec<_> = requests.iter().map(|request| gist(request)).collect();
    let expected = [
        next,
        ("POST /2018-06-01/runtime/invocation/r-1/response HTTP/1.1", "ONE"),
        next,
        ("POST /2018-06-01/runtime/invocation/r-1/error HTTP/1.1", refusal),
        next,
    ];
    assert_eq!(gists, expected);
    assert!(requests[3].contains("lambda-runtime-function-error-type: unhandled\r\n"), "{requests:?}");
    assert!(!requests[1].contains("error-type"), "{requests:?}");
}

#[test]
fn a_long_event_that_comes_in_chunks_is_put_together() {
    let text = "long ".repeat(2000);
    let (first, rest) = text.split_at(4000);
    let (second, third) = rest.split_at(1);
    let chunks = [first, second, third].map(|part| format!("{:x}\r\n{part}\r\n", part.len())).concat();
    let chunked = format!("{EVENT}Transfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n");
    let (_, events, requests) = Script::new(vec![Some(chunked), taken(), end()]).play("", "");
    assert_eq!(events, [format!("Root=1 {text}")]);
    assert_eq!(gist(&requests[1]).1, text.to_uppercase());
}

#[test]
fn a_connection_that_was_closed_is_made_anew() {
    let closing = TAKEN.replace("Accepted\r\n", "Accepted\r\nConnection: close\r\n");
    let script = Script::new(vec![event("one"), Some(closing), None, event("two"), taken(), end()]);
    let (_, events, requests) = script.play("", "");
    assert_eq!(
        (events.as_slice(), requests.len()),
        (&["Root=1 one".to_owned(), "Root=1 two".to_owned()][..], 5)
    );
}

#[test]
fn what_tells_an_event_from_one_that_timed_out_is_given_back() {
    let with_id =
        event("one").map(|event| event.replace("OK\r\n", "OK\r\nLambda-Runtime-Invocation-Id: i-1\r\n"));
    let (_, _, requests) = Script::new(vec![with_id, taken(), event("two"), taken(), end()]).play("", "");
    let gives_back = |request: &String| request.contains("lambda-runtime-invocation-id: i-1\r\n");
    assert_eq!(requests.iter().map(gives_back).collect::<Vec<_>>(), [false, true, false, false, false]);
}

#[test]
fn an_answer_that_is_not_taken_does_not_stop_the_function() {
    let refused = Some("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\n{}".to_owned());
    let (_, events, _) = Script::new(vec![event("one"), refused, event("two"), taken(), end()]).play("", "");
    assert_eq!(events.len(), 2);
}

#[test]
fn an_emulator_may_have_no_event() {
    let nothing = Some("HTTP/1.1 204 No Content\r\n\r\n".to_owned());
    let (_, events, _) = Script::new(vec![nothing, event("one"), taken(), end()]).play("", "");
    assert_eq!(events, ["Root=1 one"]);
}

#[test]
fn an_emulator_may_have_a_path_of_its_own() {
    let (_, _, requests) = Script::new(vec![event("one"), taken(), end()]).play("http://", "/.rt/function/");
    assert!(requests[0].starts_with("GET /.rt/function/2018-06-01/runtime/invocation/next "), "{requests:?}");
    assert!(requests[1].starts_with("POST /.rt/function/2018-06-01/runtime/invocation/r-1/response "));
}

#[test]
fn an_event_is_never_guessed() {
    let without_id = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned();
    let (failure, events, _) = Script::new(vec![Some(without_id)]).play("", "");
    assert!(matches!(failure, RuntimeFailure::NoRequestId) && events.is_empty(), "{failure}");
    let cut = format!("{EVENT}Content-Length: 100\r\n\r\nhalf");
    let (failure, events, _) = Script::new(vec![Some(cut)]).play("", "");
    assert!(matches!(failure, RuntimeFailure::Exchange(_)) && events.is_empty(), "{failure}");
    let odd = event("one").map(|event| event.replace("r-1", "r 1"));
    let (failure, _, requests) = Script::new(vec![odd]).play("", "");
    assert!(matches!(failure, RuntimeFailure::RequestId(_)) && requests.len() == 1, "{failure}");
}

#[test]
fn an_address_is_host_and_port_or_a_url() {
    for (text, host, port, authority, base) in [
        ("127.0.0.1:9001", "127.0.0.1", 9001, "127.0.0.1:9001", "/2018-06-01/runtime"),
        ("localhost", "localhost", 80, "localhost:80", "/2018-06-01/runtime"),
        ("[::1]:9001", "::1", 9001, "[::1]:9001", "/2018-06-01/runtime"),
        ("http://127.0.0.1:9001/.rt/f", "127.0.0.1", 9001, "127.0.0.1:9001", "/.rt/f/2018-06-01/runtime"),
    ] {
        let api = RuntimeApi::new(text).unwrap();
        let found = (api.host.as_str(), api.port, api.authority.to_str().unwrap(), api.base.as_str());
        assert_eq!(found, (host, port, authority, base), "{text}");
    }
    for text in ["", "https://127.0.0.1:9001", "ftp://127.0.0.1", "http://", "a b"] {
        assert!(matches!(RuntimeApi::new(text), Err(RuntimeFailure::Address)), "{text}");
    }
}

#[test]
fn a_snapshot_gets_a_connection_of_its_own() {
    let restored = Some("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned());
    let script = Script::new(vec![restored, None, event("one"), taken(), end()]);
    let mut api = RuntimeApi::new(&script.address).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let Err(failure) = runtime.block_on(async {
        api.restored().await.unwrap();
        api.serve(async |_: &str, _: &LambdaContext| Ok(Bytes::from_static(b"{}"))).await
    });
    assert!(matches!(failure, RuntimeFailure::Status(StatusCode::GONE)), "{failure}");
    assert!(script.requests()[0].starts_with("GET /2018-06-01/runtime/restore/next "));
}
