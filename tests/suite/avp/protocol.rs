//! Requests that no client of AWS sends, slow ones, many at once, and the end of the process.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use super::server::{AvpServer, Reply};
use crate::world::{run, stderr};

const HEADERS: &str =
    "Content-Type: application/x-amz-json-1.0\r\nX-Amz-Target: VerifiedPermissions.GetPolicyStore\r\n";

/// The status and the name of the error.
#[track_caller]
fn refusal(reply: &Reply) -> (u16, String) {
    let body = reply.json();
    assert!(body["message"].as_str().is_some_and(|message| !message.is_empty()), "{body}");
    assert_eq!(reply.header("content-type"), Some("application/x-amz-json-1.0"));
    let id = reply.header("x-amzn-requestid").unwrap();
    assert!(id.len() == 36 && id.as_bytes()[14] == b'4' && b"89ab".contains(&id.as_bytes()[19]), "{id}");
    (reply.status, body["__type"].as_str().unwrap().rsplit('#').next().unwrap().to_owned())
}

#[test]
fn what_is_no_request_is_refused_by_name() {
    let server = AvpServer::start(&[]);
    let deep = format!("{}1{}", r#"{"a":"#.repeat(10_000), "}".repeat(10_000));
    let rows: &[(&str, &str, &[u8], u16, &str)] = &[
        ("GET /", HEADERS, b"", 404, "UnknownOperationException"),
        ("PUT /", HEADERS, b"{}", 404, "UnknownOperationException"),
        ("POST /x", HEADERS, b"{}", 404, "UnknownOperationException"),
        ("POST /?x=y", HEADERS, b"{}", 404, "UnknownOperationException"),
        ("POST /", "", b"{}", 415, "UnsupportedMediaTypeException"),
        ("POST /", "Content-Type: application/json\r\n", b"{}", 415, "UnsupportedMediaTypeException"),
        (
            "POST /",
            "Content-Type: application/x-amz-json-1.1\r\n",
            b"{}",
            415,
            "UnsupportedMediaTypeException",
        ),
        ("POST /", "Content-Type: application/x-amz-json-1.0\r\n", b"{}", 404, "UnknownOperationException"),
        (
            "POST /",
            "Content-Type: application/x-amz-json-1.0\r\nX-Amz-Target: DynamoDB.GetItem\r\n",
            b"{}",
            404,
            "UnknownOperationException",
        ),
        (
            "POST /",
            "Content-Type: application/x-amz-json-1.0\r\nX-Amz-Target: VerifiedPermissions.Drop\r\n",
            b"{}",
            404,
            "UnknownOperationException",
        ),
        ("POST /", HEADERS, b"policyStoreId=1", 400, "SerializationException"),
        ("POST /", HEADERS, b"[]", 400, "SerializationException"),
        ("POST /", HEADERS, b"null", 400, "SerializationException"),
        ("POST /", HEADERS, b"{} {}", 400, "SerializationException"),
        ("POST /", HEADERS, b"\xef\xbb\xbf{}", 400, "SerializationException"),
        ("POST /", HEADERS, b"{\"policyStoreId\": \"\xff\"}", 400, "SerializationException"),
        ("POST /", HEADERS, br#"{"policyStoreId": "\ud800"}"#, 400, "SerializationException"),
        (
            "POST /",
            HEADERS,
            br#"{"policyStoreId": "a", "policyStoreId": "b"}"#,
            400,
            "SerializationException",
        ),
        ("POST /", HEADERS, br#"{"x": {"a": 1, "\u0061": 2}}"#, 400, "SerializationException"),
        ("POST /", HEADERS, deep.as_bytes(), 400, "SerializationException"),
        ("POST /", HEADERS, br#"{"x": 1e999}"#, 400, "SerializationException"),
        ("POST /", HEADERS, b"{\"policyStoreId\": \"a\x00b\"}", 400, "SerializationException"),
        ("POST /", HEADERS, b"{}", 400, "ValidationException"),
        ("POST /", HEADERS, b"", 400, "ValidationException"),
        ("POST /", HEADERS, br#"{"policyStoreId": "a\u0000b"}"#, 400, "ValidationException"),
    ];
    for (line, headers, body, status, name) in rows {
        let reply = server.send(line, headers, body);
        assert_eq!(
            refusal(&reply),
            (*status, (*name).to_owned()),
            "{line} {headers} {:?}",
            body.escape_ascii()
        );
    }
}

#[test]
fn large_bodies_are_refused_with_an_answer() {
    let server = AvpServer::start(&[]);
    for size in [8 * 1024 * 1024 + 1, 10_000_000, 60_000_000] {
        let reply = server.send("POST /", HEADERS, &vec![b' '; size]);
        assert_eq!(refusal(&reply), (413, "RequestEntityTooLargeException".to_owned()), "{size}");
    }
    let endless = server.send_raw(
        format!("POST / HTTP/1.1\r\nHost: localhost\r\n{HEADERS}Content-Length: 9999999999999\r\n\r\n")
            .as_bytes(),
    );
    assert_eq!(endless.status, 413);
    let reply = server.send("POST /", HEADERS, &vec![b' '; 8 * 1024 * 1024]);
    assert_eq!(refusal(&reply), (400, "SerializationException".to_owned()));
}

#[test]
fn all_faults_of_a_request_are_in_the_answer() {
    let server = AvpServer::start(&[]);
    let definition = json!({"static": {"statement": "", "description": 1}});
    let (name, answer) = server.refusal("CreatePolicy", &json!({"definition": definition, "nmae": "x"}));
    assert_eq!(name, "ValidationException");
    let fields = answer["fieldList"].as_array().unwrap();
    let paths: Vec<&str> = fields.iter().map(|field| field["path"].as_str().unwrap()).collect();
    assert_eq!(
        paths,
        ["nmae", "policyStoreId", "definition.static.description", "definition.static.statement"]
    );
    assert_eq!(answer["message"], "4 invalid members: `nmae` is not a member that there is");
}

#[test]
fn other_hosts_and_their_pages_are_refused() {
    let server = AvpServer::start(&["--allow-host", "avp"]);
    let post = |host: &str, more: &str| {
        let head = format!("POST / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 2\r\n");
        server.send_raw(format!("{head}{HEADERS}{more}\r\n{{}}").as_bytes())
    };
    for host in ["localhost", "127.0.0.1", "avp:8180"] {
        assert_eq!(refusal(&post(host, "")).1, "ValidationException", "{host}");
    }
    for host in ["rebound.example.com", "10.0.0.1:8180"] {
        assert_eq!(refusal(&post(host, "")).1, "AccessDeniedException", "{host}");
    }
    assert_eq!(refusal(&post("localhost", "Origin: https://example.com\r\n")).1, "AccessDeniedException");
    assert_eq!(refusal(&post("localhost", "Origin: null\r\n")).1, "AccessDeniedException");
    let page = post("localhost", "Origin: http://localhost:3000\r\n");
    assert_eq!(refusal(&page).1, "ValidationException");
    assert_eq!(page.header("access-control-allow-origin"), Some("http://localhost:3000"));
    let preflight = server.send("OPTIONS /", "Origin: http://localhost:3000\r\n", b"");
    assert_eq!((preflight.status, preflight.header("access-control-allow-methods")), (204, Some("POST")));
    assert_eq!(server.send("OPTIONS /", "Origin: https://example.com\r\n", b"").status, 400);
}

#[test]
fn health_is_told_to_anybody() {
    let server = AvpServer::start(&[]);
    for host in ["localhost", "10.1.2.3:8180"] {
        let reply = server.send_raw(
            format!("GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes(),
        );
        assert_eq!((reply.status, reply.body.as_str()), (200, r#"{"status":"ok"}"#));
    }
}

/// Connections that stop at each stage of a request are closed; one that is used goes on.
#[test]
fn clients_that_stop_lose_their_connection() {
    let server = AvpServer::start(&[]);
    let begun = Instant::now();
    let head = format!("POST / HTTP/1.1\r\nHost: localhost\r\n{HEADERS}Content-Length: 2\r\n\r\n");
    let stages = ["", "POST / HTTP/1.1\r\nHost: loc", &format!("{head}{{"), &format!("{head}{{}}")];
    let waiting: Vec<_> = stages
        .into_iter()
        .map(|sent| {
            let mut socket = TcpStream::connect(server.address()).unwrap();
            socket.write_all(sent.as_bytes()).unwrap();
            std::thread::spawn(move || {
                let mut received = String::new();
                socket.set_read_timeout(Some(Duration::from_secs(55))).unwrap();
                socket.read_to_string(&mut received).unwrap();
                received
            })
        })
        .collect();
    // Dripping is no progress.
    let mut dripping = TcpStream::connect(server.address()).unwrap();
    let mut dripped = 0;
    while begun.elapsed() < Duration::from_secs(40) && dripping.write_all(b"P").is_ok() {
        std::thread::sleep(Duration::from_millis(200));
        dripped += 1;
    }
    assert!(dripped < 180, "{dripped}");
    let received: Vec<String> = waiting.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert!(begun.elapsed() >= Duration::from_secs(29));
    assert_eq!((received[0].as_str(), received[1].as_str()), ("", ""));
    assert!(received[2].starts_with("HTTP/1.1 408 ") && received[2].contains("RequestTimeoutException"));
    assert!(received[3].starts_with("HTTP/1.1 400 ") && received[3].contains("ValidationException"));
}

#[test]
fn a_thousand_clients_are_answered_at_once() {
    let server = AvpServer::start(&[]);
    let request = format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n{HEADERS}\r\n{{}}");
    let mut sockets: Vec<TcpStream> = Vec::new();
    for _ in 0..1_000 {
        // The test has no more open files than the service.
        let Ok(socket) = TcpStream::connect(server.address()) else { break };
        sockets.push(socket);
    }
    assert!(sockets.len() > 900, "{}", sockets.len());
    for socket in &mut sockets {
        socket.write_all(request.as_bytes()).unwrap();
    }
    for socket in &mut sockets {
        socket.set_read_timeout(Some(Duration::from_secs(50))).unwrap();
        let mut start = [0; 12];
        socket.read_exact(&mut start).unwrap();
        assert_eq!(&start, b"HTTP/1.1 400");
    }
}

#[test]
fn signals_end_it_after_the_request_under_way() {
    for signal in ["INT", "TERM"] {
        let server = AvpServer::start(&[]);
        let mut idle = TcpStream::connect(server.address()).unwrap();
        let mut busy = TcpStream::connect(server.address()).unwrap();
        let head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n";
        write!(busy, "{head}{HEADERS}\r\n{{").unwrap();
        // Until the service has read the head.
        std::thread::sleep(Duration::from_millis(300));
        let id = server.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
        std::thread::sleep(Duration::from_millis(300));
        busy.write_all(b"}").unwrap();
        let mut received = String::new();
        busy.read_to_string(&mut received).unwrap();
        assert!(received.starts_with("HTTP/1.1 400 "), "{signal} {received}");
        let mut nothing = Vec::new();
        idle.read_to_end(&mut nothing).unwrap();
        assert!(nothing.is_empty());
        assert!(server.wait(), "{signal}");
    }
}

#[test]
fn with_credentials_requests_must_be_signed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys of tests");
    std::fs::write(&file, "[a]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = secret\n").unwrap();
    let server = AvpServer::start(&["--credentials", file.to_str().unwrap()]);
    assert_eq!(server.refusal("ListPolicyStores", &json!({})).0, "MissingAuthenticationTokenException");
    assert_eq!(server.send("GET /health", "", b"").status, 200);
    std::fs::write(&file, "aws_secret_access_key = hunter2").unwrap();
    let output = run(&["avp", "--port", "0", "--credentials", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("line 1 is in no profile"), "{}", stderr(&output));
    assert!(!stderr(&output).contains("hunter2"));
}

#[test]
fn every_nth_request_is_throttled_if_asked_for() {
    let server = AvpServer::start(&["--throttle", "3"]);
    let names: Vec<String> = (0..6).map(|_| server.refusal("GetPolicyStore", &json!({})).0).collect();
    let (bad, throttled) = ("ValidationException", "ThrottlingException");
    assert_eq!(names, [bad, bad, throttled, bad, bad, throttled]);
}

#[test]
fn a_port_in_use_is_said_so() {
    let server = AvpServer::start(&[]);
    let port = server.address().rsplit(':').next().unwrap();
    let output = run(&["avp", "--port", port]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("cannot listen on"), "{}", stderr(&output));
}
