//! Requests that API Gateway does not take, clients that misbehave, and how the server starts and ends.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::http::HeaderMap;
use axum::routing::any;
use serde_json::json;

use super::server::eventually;
use super::{Client, ServeProcess};
use crate::loopback::Server;
use crate::world::{CLI, StoreCopy, root, run, stderr, stdout, token};

#[test]
fn what_api_gateway_does_not_take_is_refused_before_anybody_is_asked() {
    let server = ServeProcess::start(&[]);
    let authorization = format!("Authorization: Bearer {}\r\n", token("alice", json!({})));
    let long = |bytes: usize| "a".repeat(bytes);
    for (method, target, headers, status) in [
        ("GET", format!("/pets?{}", long(10_240)), String::new(), 414),
        ("GET", "/pets".to_owned(), format!("X-Long: {}\r\n", long(10_240)), 431),
        // The longest ARN has 1,600 bytes.
        ("GET", format!("/pets/{}", long(1_600)), String::new(), 414),
        ("OPTIONS", "*".to_owned(), String::new(), 400),
        ("get", "/pets".to_owned(), String::new(), 400),
        ("GET", "/pets".to_owned(), "Content-Length: 5\r\nContent-Length: 6\r\n".to_owned(), 400),
        ("GET", "/pets".to_owned(), "Content-Length: -1\r\n".to_owned(), 400),
        ("GET", "/pets".to_owned(), (0..200).map(|number| format!("X-{number}: 1\r\n")).collect(), 431),
        ("GET", "/pets".to_owned(), "X-Bad: a\0b\r\n".to_owned(), 400),
        ("GET", "/pets".to_owned(), "Bad Name: 1\r\n".to_owned(), 400),
        ("GET", "/pe ts".to_owned(), String::new(), 400),
    ] {
        let reply = server.connect().ask(method, &target, &format!("{authorization}{headers}"), b"");
        let start: String = target.chars().take(20).collect();
        assert_eq!(reply.status, status, "{method} {start} {}", headers.chars().take(40).collect::<String>());
        assert_ne!(reply.status, 200);
    }
    for exchange in server.exchanges() {
        assert_eq!(
            (&exchange["effect"], &exchange["log"]),
            (&json!("invalid"), &json!(null)),
            "{exchange:#}"
        );
    }
    // It is still there.
    assert_eq!(server.get("/pets", &authorization).status, 200);
}

// Of two ways to say where a body ends, the one goes on that was followed (RFC 9112, 6.3).
#[test]
fn no_request_is_smuggled_to_the_backend() {
    let shown = async |request: axum::extract::Request| {
        let headers = request.headers().clone();
        let body = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap();
        let lengths = headers.get_all("content-length").iter().count();
        format!("{} {lengths}", body.len())
    };
    let backend = Server::start(Router::new().fallback(any(shown)));
    let server = ServeProcess::start(&["--backend", &format!("http://{}", backend.address)]);
    let authorization = format!("Authorization: Bearer {}\r\n", token("alice", json!({})));
    let body = "0\r\n\r\nGET /admin HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for order in [
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    ] {
        let mut client = server.connect();
        let head = format!("POST /pets HTTP/1.1\r\nHost: localhost\r\n{authorization}{order}\r\n");
        client.send(head.as_bytes());
        client.send(body.as_bytes());
        let reply = client.read("POST");
        assert_eq!((reply.status, reply.text()), (200, "0 0"));
        // What is behind the body is not answered.
        assert_eq!(client.rest(), "");
    }
    for bad in [
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding : chunked\r\n",
    ] {
        let reply = server.connect().ask("POST", "/pets", &format!("{authorization}{bad}"), b"");
        assert_eq!(reply.status, 400, "{bad}");
    }
}

#[test]
fn a_target_reaches_the_routes_as_it_was_sent() {
    let server = ServeProcess::start(&["--kind", "rest-request", "--allow-host", "api.example.com"]);
    let authorization = format!("Authorization: Bearer {}\r\n", token("alice", json!({})));
    for (target, status, route) in [
        ("/pets/a%2Fb", 403, Some("get /pets/{petId}")),
        ("/%70ets", 403, None),
        // The function does not rely on what API Gateway makes of the slash.
        ("/pets/", 403, Some("get /pets")),
        ("//pets", 403, None),
        ("/pets/../pets", 403, None),
        ("http://api.example.com/pets?a=b", 200, Some("get /pets")),
    ] {
        let reply = server.get(target, &authorization);
        let exchange = server.last();
        assert_eq!((reply.status, exchange["route"].as_str()), (status, route), "{target}: {exchange:#}");
    }
    // What the page has not, no route of the API has.
    for target in ["/_bench/nothing", "/_bench/api/nothing", "/_bench/../pets"] {
        assert_eq!(server.get(target, &authorization).status, 404, "{target}");
    }
    // An absolute target names a host, too.
    for target in
        ["http://example.com/pets", "http://localhost@example.com/pets", "http://example.com/_bench/"]
    {
        assert_eq!(server.get(target, &authorization).status, 403, "{target}");
    }
    assert_eq!(server.exchanges().len(), 6);
}

#[test]
fn only_names_of_this_machine_are_answered() {
    let server = ServeProcess::start(&["--allow-host", "gateway"]);
    let authorization = format!("Authorization: Bearer {}\r\n", token("alice", json!({})));
    for (path, host, origin, expected) in [
        ("/pets", "localhost", "", 200),
        ("/pets", "gateway:80", "", 200),
        ("/pets", "localhost.:80", "", 200),
        ("/pets", "LOCALHOST", "", 200),
        ("/pets", "[::1]:3000", "", 200),
        ("/pets", "example.com", "", 403),
        ("/pets", "localhost.example.com", "", 403),
        ("/pets", "localhost@example.com", "", 403),
        ("/pets", "localhost\r\nHost: localhost", "", 403),
        ("/pets", "localhost\r\nHost: example.com", "", 403),
        ("/pets", "", "", 403),
        // Who may read the API's answers, the API says.
        ("/pets", "localhost", "https://example.com", 200),
        ("/_bench/", "localhost", "", 200),
        ("/_bench/", "localhost", "http://localhost:9", 200),
        ("/_bench/", "localhost", "https://example.com", 403),
        ("/_bench/", "localhost", "null", 403),
        ("/_bench/", "example.com", "", 403),
        ("/_bench/api/state", "example.com", "", 403),
    ] {
        let origin = if origin.is_empty() { String::new() } else { format!("Origin: {origin}\r\n") };
        let reply = server.get(path, &format!("Host: {host}\r\n{origin}{authorization}"));
        assert_eq!(reply.status, expected, "{path} {host} {origin}");
    }
}

#[test]
fn a_thousand_clients_are_answered() {
    let server = ServeProcess::start(&[]);
    let authorization = format!("Authorization: Bearer {}\r\n", token("alice", json!({})));
    // Some hold their connection without ever sending a request.
    let _idle: Vec<Client> = (0..100).map(|_| server.connect()).collect();
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| {
                let mut clients: Vec<Client> = (0..100).map(|_| server.connect()).collect();
                for client in &mut clients {
                    client.send(format!("GET /pets HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{authorization}\r\n").as_bytes());
                }
                for mut client in clients {
                    assert_eq!(client.read("GET").status, 200);
                }
            });
        }
    });
    assert_eq!(server.exchanges().len(), 1000);
}

// --- WebSockets.

const HANDSHAKE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A store whose API is a WebSocket API.
fn chat() -> StoreCopy {
    let copy = StoreCopy::new();
    let schema = fs::read_to_string(copy.path().join("schema.cedarschema")).unwrap();
    let schema = schema.replacen("action \"get /\"", "action \"$connect\", \"get /\"", 1);
    assert!(schema.contains("$connect"), "{schema}");
    copy.write("schema.cedarschema", schema.as_bytes());
    let policy = "@id(\"connect\") permit(principal in PetStore::UserGroup::\"us-east-1_EXAMPLE|employee\", action == PetStore::Action::\"$connect\", resource);";
    copy.write("policies/connect.cedar", policy.as_bytes());
    copy
}

/// A text frame of a client (RFC 6455, 5.2), masked with zeros.
fn frame(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap();
    [&[0x81, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat()
}

fn open(server: &ServeProcess, token: &str) -> (Client, u16) {
    let mut client = server.connect();
    let reply = client.ask("GET", "/", &format!("{HANDSHAKE}Authorization: Bearer {token}\r\n"), b"");
    (client, reply.status)
}

#[track_caller]
fn says(client: &mut Client, text: &str, expected: &str) {
    client.send(&frame(text));
    let head = client.take(2);
    assert_eq!(head, [0x81, u8::try_from(expected.len()).unwrap()]);
    assert_eq!(client.take(expected.len()), expected.as_bytes());
}

#[test]
fn a_websocket_is_opened_if_it_is_allowed() {
    let store = chat();
    let backend =
        Server::start(Router::new().fallback(any(async |headers: HeaderMap, upgrade: WebSocketUpgrade| {
            let name = headers["x-authorizer-username"].to_str().unwrap().to_owned();
            upgrade.on_upgrade(async move |mut socket| {
                while let Some(Ok(Message::Text(text))) = socket.recv().await {
                    let _ = socket.send(Message::Text(format!("{name}: {text}").into())).await;
                }
            })
        })));
    let arguments = ["--store", store.path().to_str().unwrap(), "--kind", "websocket"];
    let (alice, bob) = (token("alice", json!({})), token("bob", json!({})));
    let mock = ServeProcess::start(&arguments);
    let passed = ServeProcess::start(
        &[&arguments[..], &["--backend", &format!("http://{}", backend.address)]].concat(),
    );
    for (server, answer) in [(&mock, "hello"), (&passed, "alice: hello")] {
        let (mut client, status) = open(server, &alice);
        assert_eq!(status, 101);
        says(&mut client, "hello", answer);
        // It stays open while others come and go.
        assert_eq!(open(server, &bob).1, 403);
        assert_eq!(open(server, "nonsense").1, 401);
        says(&mut client, "hello", answer);
        assert_eq!(server.exchanges()[0]["route"], "any $connect");
        // Without the handshake there is nothing to open.
        assert_eq!(server.get_as(&alice, "/").status, 400);
    }
    let (mut client, _) = open(&mock, &alice);
    client.send(&[0x88, 0x80, 0, 0, 0, 0]);
    assert_eq!(client.take(2), [0x88, 0]);
}

#[test]
fn the_end_of_a_websocket_reaches_the_other_side() {
    let store = chat();
    let ended = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&ended);
    let answer = async move |upgrade: WebSocketUpgrade| {
        upgrade.on_upgrade(async move |mut socket| {
            while let Some(Ok(message)) = socket.recv().await {
                if matches!(message, Message::Text(_)) {
                    let _ = socket.send(Message::Close(None)).await;
                }
            }
            counted.fetch_add(1, Ordering::Relaxed);
        })
    };
    let backend = Server::start(Router::new().fallback(any(answer)));
    let server = ServeProcess::start(&[
        "--store",
        store.path().to_str().unwrap(),
        "--kind",
        "websocket",
        "--backend",
        &format!("http://{}", backend.address),
    ]);
    let alice = token("alice", json!({}));
    let ends = |times: usize| eventually(|| (ended.load(Ordering::Relaxed) == times).then_some(()));
    // A ping is answered by the backend, and a close frame of the client ends both.
    let (mut client, _) = open(&server, &alice);
    client.send(&[0x89, 0x80, 0, 0, 0, 0]);
    assert_eq!(client.take(2), [0x8a, 0]);
    client.send(&[0x88, 0x80, 0, 0, 0, 0]);
    assert_eq!(client.take(2), [0x88, 0]);
    assert_eq!(client.rest(), "");
    ends(1);
    // A client that is gone.
    let (client, _) = open(&server, &alice);
    drop(client);
    ends(2);
    // The backend ends it.
    let (mut client, _) = open(&server, &alice);
    client.send(&frame("bye"));
    assert_eq!(client.take(2), [0x88, 0]);
    client.send(&[0x88, 0x80, 0, 0, 0, 0]);
    assert_eq!(client.rest(), "");
    ends(3);
    drop(backend);
    assert_eq!(open(&server, &alice).1, 502);
    // A backend may refuse it.
    let refuses = Server::start(Router::new().fallback(any(async || axum::http::StatusCode::IM_A_TEAPOT)));
    let arguments = ["--store", store.path().to_str().unwrap(), "--kind", "websocket", "--backend"];
    let server = ServeProcess::start(&[&arguments[..], &[&format!("http://{}", refuses.address)]].concat());
    assert_eq!(open(&server, &alice).1, 418);
}

#[test]
fn other_apis_do_not_upgrade() {
    let server = ServeProcess::start(&[]);
    let authorization = format!("Authorization: Bearer {}\r\n", token("alice", json!({})));
    assert_eq!(server.get("/pets", &format!("{HANDSHAKE}{authorization}")).status, 200);
    assert_eq!(
        server.get("/pets", &format!("Connection: Upgrade\r\nUpgrade: h2c\r\n{authorization}")).status,
        200
    );
}

// --- Start and end.

#[cfg(unix)]
#[test]
fn a_signal_ends_it_at_once_whatever_is_open() {
    let store = chat();
    for signal in ["INT", "TERM"] {
        let arguments = ["--store", store.path().to_str().unwrap(), "--kind", "websocket"];
        let server = ServeProcess::start(&arguments);
        let (_socket, status) = open(&server, &token("alice", json!({})));
        assert_eq!(status, 101);
        // A page that listens.
        let mut page = server.connect();
        page.send(b"GET /_bench/api/traffic HTTP/1.1\r\nHost: localhost\r\n\r\n");
        server.signal(signal);
        let (code, took) = server.wait();
        assert_eq!(code, Some(0));
        assert!(took < Duration::from_secs(1), "{signal}: {took:?}");
        // A request that is allowed, and whose body does not end.
        let server = ServeProcess::start(&[]);
        let mut half = server.connect();
        let authorization = format!("Authorization: Bearer {}\r\n", token("alice", json!({})));
        half.send(
            format!(
                "POST /pets HTTP/1.1\r\nHost: localhost\r\n{authorization}Content-Length: 10\r\n\r\n12345"
            )
            .as_bytes(),
        );
        // Until the request is under way.
        assert_eq!(server.get("/pets", "").status, 401);
        server.signal(signal);
        let (code, took) = server.wait();
        assert_eq!(code, Some(0));
        assert!(took < Duration::from_secs(1), "{signal}: {took:?}");
    }
}

#[test]
fn what_cannot_be_served_is_said_in_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("file"), "nonsense").unwrap();
    for (arguments, code, says) in [
        (&["--port", &port][..], 1, "cannot listen on 127.0.0.1:"),
        (&["--store", &path("none")], 1, "cannot read"),
        (&["--bundle", &path("none")], 1, "none"),
        (&["--bundle", &path("file")], 1, "file`: "),
        (&["--openapi", &path("none")], 1, ""),
        (&["--template", &path("none")], 1, ""),
        (&["--record", &path("none/record")], 1, "cannot write"),
        (&["--kind", "http-simple"], 1, "one boolean"),
        (&["--cache-key", "context.nothing,method.request.header.Authorization"], 1, "context.nothing"),
        (&["--cache-key", "context.path"], 1, "authorization"),
        (&["--cache-key", "nonsense"], 1, "nonsense"),
        (&["--backend", "nonsense"], 1, "nonsense"),
        (&["--ttl", "3601"], 1, "3601"),
        (&["--public-keys", "x"], 1, "--public-keys needs --bundle"),
    ] {
        let free = if arguments.contains(&"--port") { &[][..] } else { &["--port", "0"] };
        let output = run(&[&["serve"][..], free, arguments].concat());
        let errors = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?} {errors}");
        assert!(errors.contains(says), "{arguments:?} {errors}");
        assert_eq!(
            errors.lines().filter(|line| line.starts_with("error")).count(),
            1,
            "{arguments:?} {errors}"
        );
        assert_eq!(stdout(&output), "", "{arguments:?}");
    }
    let broken = StoreCopy::new();
    broken.write("policies/broken.cedar", b"permit(");
    let output = run(&["serve", "--port", "0", "--store", broken.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("broken.cedar:1:"), "{}", stderr(&output));
}

#[test]
fn the_printed_call_works() {
    let server = ServeProcess::start(&[]);
    let printed = server.printed_last();
    let (_, call) = printed.split_once("curl ").unwrap();
    let (header, url) = call.strip_prefix("-H '").unwrap().trim_end().split_once("' ").unwrap();
    let target = url.strip_prefix(&format!("http://{}", server.address())).unwrap();
    let reply = server.get(target, &format!("{header}\r\n"));
    assert_eq!(reply.status, 200);
    assert_eq!(reply.json()["authorizer"]["username"], "alice");
    assert!(server.printed.contains(&format!("http://{}/_bench/", server.address())));
}

#[test]
fn a_record_is_continued_on_a_line_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a record");
    fs::write(&path, "{\"id\": 1}\n{\"id\": 2, \"ki").unwrap();
    let mut command = std::process::Command::new(CLI);
    command.args(["serve", "--port", "0", "--record"]).arg(&path).current_dir(root());
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line)
        .unwrap();
    let mut client = Client::connect(line.trim_end().strip_prefix("listening on http://").unwrap());
    assert_eq!(client.ask("GET", "/pets", "", b"").status, 401);
    child.kill().unwrap();
    child.wait().unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines.len(), lines[1]), (3, "{\"id\": 2, \"ki"));
    let exchange: serde_json::Value = serde_json::from_str(lines[2]).unwrap();
    assert_eq!((&exchange["status"], &exchange["target"]), (&json!(401), &json!("/pets")));
    #[cfg(unix)]
    {
        let mode = |path| std::os::unix::fs::MetadataExt::mode(&fs::metadata(path).unwrap());
        let server = ServeProcess::start(&[]);
        assert_eq!(mode(&server.record()) & 0o777, 0o600);
    }
}

#[test]
fn memory_stays_flat_over_many_requests_with_reloads() {
    // A soak of any length: `SERVE_SOAK=100000`.
    let requests: usize =
        std::env::var("SERVE_SOAK").ok().and_then(|text| text.parse().ok()).unwrap_or(3_000);
    let copy = StoreCopy::new();
    let server = ServeProcess::start(&["--store", copy.path().to_str().unwrap(), "--record", "/dev/null"]);
    let tokens: Vec<String> = ["alice", "bob", "erin"].map(|name| token(name, json!({}))).to_vec();
    let ask = |first: usize, count: usize| {
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let (server, tokens) = (&server, &tokens);
                scope.spawn(move || {
                    let mut client = server.connect();
                    for number in (first + worker..first + count).step_by(4) {
                        let expected = [200, 200, 403][number % 3];
                        let headers = format!("Authorization: Bearer {}\r\n", tokens[number % 3]);
                        let target = format!("/pets/{number}?page={number}");
                        assert_eq!(client.ask("GET", &target, &headers, b"").status, expected, "{number}");
                    }
                });
            }
        });
    };
    let change = |number: usize| {
        copy.write(
            "policies/more.cedar",
            format!("@id(\"more\") forbid(principal, action, resource) when {{ {number} < 0 }};").as_bytes(),
        );
        std::thread::sleep(Duration::from_millis(30));
    };
    // Until everything that is kept is full.
    let round = requests / 10;
    for number in 0..3 {
        change(number);
        ask(0, round.max(600));
    }
    let before = server.resident_kb();
    for number in 3..10 {
        change(number);
        ask(round * number, round);
    }
    let after = server.resident_kb();
    assert!(after < before + before / 4 + 10_000, "{before} KiB, then {after} KiB");
    assert!(server.errors().matches("is in force").count() >= 8, "{}", server.errors());
    let _ = std::io::stdout().flush();
}
