//! Backends and authorizers elsewhere, and their faults.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use futures_util::StreamExt;
use serde_json::{Value, json};

use super::ServeProcess;
use super::server::eventually;
use crate::loopback::{Answer, Function, Server};
use crate::world::{FUNCTION, sample_store, token};

fn url(server: &Server) -> String {
    format!("http://{}", server.address)
}

async fn show(request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let headers: Vec<_> =
        head.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    let shown = json!({"method": head.method.as_str(), "uri": head.uri.to_string(), "headers": headers, "bytes": body.len()});
    ([("x-backend", "yes"), ("connection", "x-hop"), ("x-hop", "1")], shown.to_string()).into_response()
}

#[test]
fn the_backend_gets_the_request_and_the_values_of_the_authorizer() {
    let backend = Server::start(Router::new().fallback(any(show)));
    let server = ServeProcess::start(&["--backend", &format!("{}/base/", url(&backend))]);
    let alice = token("alice", json!({}));
    let headers = format!(
        "Authorization: Bearer {alice}\r\nX-Authorizer-PrincipalId: root\r\nX-Authorizer-Role: root\r\nX_Authorizer_Role: root\r\nx.authorizer.role: root\r\nX-Forwarded-Host: example.com\r\nConnection: keep-alive, X-Mine\r\nX-Mine: 1\r\nAccept-Encoding: gzip\r\n"
    );
    let reply = server.connect().ask("POST", "/pets?a=%2F&a=b", &headers, b"0123456789");
    assert_eq!((reply.status, reply.header("x-backend"), reply.header("x-hop")), (200, Some("yes"), None));
    let shown = reply.json();
    assert_eq!(
        (&shown["method"], &shown["uri"], &shown["bytes"]),
        (&json!("POST"), &json!("/base/pets?a=%2F&a=b"), &json!(10))
    );
    let value = |name: &str| {
        let found = shown["headers"].as_array().unwrap().iter().filter(|header| header[0] == name);
        found.map(|header| header[1].as_str().unwrap().to_owned()).collect::<Vec<_>>().join("|")
    };
    assert_eq!(value("x-authorizer-username"), "alice");
    assert!(!shown.to_string().contains("root"), "{shown:#}");
    assert!(
        value("x-authorizer-principalid").ends_with("a11ce000-0001-4000-8000-000000000001\""),
        "{shown:#}"
    );
    assert_eq!(value("x-forwarded-for"), "127.0.0.1");
    assert_eq!(value("x-forwarded-host"), server.address());
    assert_eq!(value("content-length"), "10");
    assert_eq!(value("accept-encoding"), "gzip");
    assert_eq!(value("authorization"), format!("Bearer {alice}"));
    assert_eq!((value("x-mine"), value("transfer-encoding")), (String::new(), String::new()));
    // What was not allowed never gets there, and what is not the path that was routed neither.
    assert_eq!(server.get("/pets", "").status, 401);
    assert_eq!(server.get_as(&alice, "/pets/..%2f").status, 403);
}

async fn odd(request: Request) -> Response {
    match request.uri().query().unwrap_or_default() {
        "empty" => StatusCode::NO_CONTENT.into_response(),
        "moved" => (StatusCode::FOUND, [("location", "/elsewhere")]).into_response(),
        "compressed" => ([("content-encoding", "gzip")], b"\x1f\x8b not really".to_vec()).into_response(),
        "breaks" => {
            let pieces = [Ok(Bytes::from_static(b"a")), Err(std::io::Error::other("broken"))];
            Body::from_stream(futures_util::stream::iter(pieces)).into_response()
        }
        "slow" => {
            tokio::time::sleep(Duration::from_secs(30)).await;
            StatusCode::OK.into_response()
        }
        "stream" => {
            let pieces = futures_util::stream::iter(0..3).then(|number| async move {
                tokio::time::sleep(Duration::from_millis(50)).await;
                Ok::<_, std::io::Error>(format!("{number};"))
            });
            Body::from_stream(pieces).into_response()
        }
        _ => "ok".into_response(),
    }
}

#[test]
fn answers_come_through_as_they_are() {
    let backend = Server::start(Router::new().fallback(any(odd)));
    let server = ServeProcess::start(&["--backend", &url(&backend), "--backend-timeout", "1"]);
    let alice = token("alice", json!({}));
    let headers = format!("Authorization: Bearer {alice}\r\n");
    let mut client = server.connect();
    let mut ask = |query: &str| client.ask("GET", &format!("/pets?{query}"), &headers, b"");
    assert_eq!(ask("empty").status, 204);
    let moved = ask("moved");
    assert_eq!((moved.status, moved.header("location")), (302, Some("/elsewhere")));
    let compressed = ask("compressed");
    assert_eq!(
        (compressed.header("content-encoding"), compressed.body.as_slice()),
        (Some("gzip"), b"\x1f\x8b not really".as_slice())
    );
    assert_eq!(ask("stream").text(), "0;1;2;");
    assert_eq!(ask("").text(), "ok");
    let slow = ask("slow");
    assert_eq!((slow.status, slow.json()["message"].as_str()), (504, Some("Endpoint request timed out")));
    assert!(server.errors().contains("the backend did not answer within 1 seconds"), "{}", server.errors());
    let broken = std::panic::catch_unwind(|| server.get_as(&alice, "/pets?breaks"));
    assert!(broken.is_err() || !broken.unwrap().body.ends_with(b"0\r\n\r\n"));
    // The server is not impressed.
    assert_eq!(server.get_as(&alice, "/pets").text(), "ok");
}

#[test]
fn a_body_that_does_not_come_to_its_end_is_the_fault_of_the_client() {
    let backend = Server::start(Router::new().fallback(any(show)));
    let (mocked, passed) = (ServeProcess::start(&[]), ServeProcess::start(&["--backend", &url(&backend)]));
    let headers = format!("Authorization: Bearer {}\r\n", token("alice", json!({})));
    for server in [&mocked, &passed] {
        for body in ["ZZ\r\nabc\r\n0\r\n\r\n", "-1\r\n", "3\nabc\n0\n\n"] {
            let mut client = server.connect();
            client.send(
                format!("POST /pets HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n{headers}\r\n{body}")
                    .as_bytes(),
            );
            assert_eq!(client.read("POST").status, 400, "{body:?}");
            assert_eq!(server.last()["problem"], Value::Null);
        }
        assert_eq!(server.errors(), "");
    }
}

#[test]
fn a_request_whose_client_leaves_is_recorded() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let slow = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(1))
    };
    let backend = Server::start(Router::new().fallback(any(slow)));
    let server = ServeProcess::start(&["--backend", &url(&backend)]);
    let mut client = server.connect();
    let alice = token("alice", json!({}));
    client.send(
        format!("GET /pets HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {alice}\r\n\r\n").as_bytes(),
    );
    eventually(|| (calls.load(Ordering::Relaxed) == 1).then_some(()));
    drop(client);
    let exchange = eventually(|| server.exchanges().pop());
    assert_eq!((&exchange["status"], &exchange["cache"]["outcome"]), (&json!(200), &json!("miss")));
}

/// Answers every request with these bytes, and closes the connection.
fn raw(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut socket, _)) = listener.accept() {
            let _ = socket.read(&mut [0; 4096]);
            let _ = socket.write_all(answer);
        }
    });
    format!("http://{address}")
}

#[test]
fn a_backend_that_answers_no_http_is_502() {
    let alice = token("alice", json!({}));
    for answer in [
        b"nonsense\r\n\r\n".as_slice(),
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Len",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Bad: a\0b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    ] {
        let server = ServeProcess::start(&["--backend", &raw(answer)]);
        let reply = server.get_as(&alice, "/pets");
        let said = String::from_utf8_lossy(answer);
        assert_eq!(
            (reply.status, reply.text()),
            (502, "{\"message\":\"Internal server error\"}"),
            "{said:?}"
        );
        let exchange = server.last();
        let problem = exchange["problem"].as_str().unwrap();
        assert!(problem.starts_with("the backend broke off"), "{said:?} {problem}");
        assert!(server.errors().contains(problem), "{}", server.errors());
    }
    let server = ServeProcess::start(&[
        "--backend",
        &raw(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
    ]);
    assert_eq!(server.get_as(&alice, "/pets").status, 502);
    assert!(server.errors().contains("which nobody asked for"), "{}", server.errors());
    let server = ServeProcess::start(&[
        "--backend",
        &raw(b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello"),
    ]);
    let reply = server.get_as(&alice, "/pets");
    assert_eq!((reply.status, reply.header("content-length")), (204, None));
    // Where the head was good, the client sees that something is missing.
    let server =
        ServeProcess::start(&["--backend", &raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")]);
    let mut client = server.connect();
    client.send(
        format!("GET /pets HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {alice}\r\n\r\n").as_bytes(),
    );
    let rest = client.rest().to_lowercase();
    assert!(rest.contains("content-length: 10") && !rest.ends_with("67890"), "{rest}");
}

#[test]
fn a_backend_that_is_down_is_502() {
    let backend = Server::start(Router::new().fallback(any(odd)));
    let address = url(&backend);
    drop(backend);
    let server = ServeProcess::start(&["--backend", &address]);
    let reply = server.get_as(&token("alice", json!({})), "/pets");
    assert_eq!((reply.status, reply.header("content-type")), (502, Some("application/json")));
    let (exchange, errors) = (server.last(), server.errors());
    assert_eq!((&exchange["status"], &exchange["effect"]), (&json!(502), &json!("allow")), "{exchange:#}");
    assert!(errors.contains("the backend cannot be reached: ") && errors.lines().count() == 1, "{errors}");
}

#[test]
fn a_body_goes_up_to_ten_megabytes() {
    let backend = Server::start(Router::new().fallback(any(show)));
    let (mocked, passed) = (ServeProcess::start(&[]), ServeProcess::start(&["--backend", &url(&backend)]));
    let headers = format!("Authorization: Bearer {}\r\n", token("alice", json!({})));
    let (most, more) = (vec![b'a'; 10 * 1024 * 1024], vec![b'a'; 10 * 1024 * 1024 + 1]);
    for server in [&mocked, &passed] {
        assert_eq!(server.connect().ask("POST", "/pets", &headers, &most).status, 200);
        let reply = server.connect().ask("POST", "/pets", &headers, &more);
        assert_eq!(reply.status, 413);
        // Nobody waits for what is too much.
        let mut client = server.connect();
        let length = more.len();
        client.send(
            format!("POST /pets HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n{headers}\r\n")
                .as_bytes(),
        );
        assert_eq!(client.read("POST").status, 413);
        // The same without saying so before.
        let mut client = server.connect();
        client.send(
            format!("POST /pets HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n{headers}\r\n")
                .as_bytes(),
        );
        for piece in more.chunks(1024 * 1024) {
            client.send(format!("{:x}\r\n", piece.len()).as_bytes());
            client.send(piece);
            client.send(b"\r\n");
        }
        client.send(b"0\r\n\r\n");
        assert_eq!(client.read("POST").status, 413);
    }
}

// --- Authorizers elsewhere.

fn policy(effect: &str) -> Value {
    json!({
        "principalId": "somebody",
        "policyDocument": {"Version": "2012-10-17", "Statement": [{"Effect": effect, "Action": "execute-api:Invoke", "Resource": "*"}]},
        "context": {"reason": "no-matching-permit", "policies": "a,b", "principal": "User::\"u\""},
    })
}

/// Answers by what the query of the event says.
async fn authorize(body: Bytes) -> Response {
    let event: Value = serde_json::from_slice(&body).unwrap();
    let asked = event["queryStringParameters"]["q"].as_str().unwrap_or_default().to_owned();
    let fault = |message: &str| json!({"errorType": "x", "errorMessage": message}).to_string();
    match asked.as_str() {
        "allow" => policy("Allow").to_string().into_response(),
        "deny" => policy("Deny").to_string().into_response(),
        "unauthorized" => ([("x-amz-function-error", "Unhandled")], fault("Unauthorized")).into_response(),
        "unauthorized-by-body" => fault("Unauthorized").into_response(),
        "fault" => {
            (StatusCode::INTERNAL_SERVER_ERROR, [("x-amz-function-error", "Handled")], fault("broken"))
                .into_response()
        }
        "token" => {
            let token = event["headers"]["authorization"].as_str().unwrap();
            let mut answer = policy("Allow");
            answer["principalId"] = token.into();
            answer["context"] = json!({"reason": token, "policies": format!("a,{}", token.split_at(3).1), "principal": token.split_at(6).1, "a:b": 1, "a-b": 2});
            answer.to_string().into_response()
        }
        "token-in-fault" => fault(event["headers"]["authorization"].as_str().unwrap()).into_response(),
        "503" => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        "404-with-policy" => (StatusCode::NOT_FOUND, policy("Allow").to_string()).into_response(),
        "302-with-policy" => {
            (StatusCode::FOUND, [("location", "/invoke?allow")], policy("Allow").to_string()).into_response()
        }
        "nonsense" => "<html>".into_response(),
        "empty" => "".into_response(),
        "null" => "null".into_response(),
        "no-principal" => {
            json!({"policyDocument": policy("Allow")["policyDocument"]}).to_string().into_response()
        }
        "nested" => {
            let mut answer = policy("Allow");
            answer["context"]["list"] = json!([1]);
            answer.to_string().into_response()
        }
        "large" => {
            let mut answer = policy("Allow");
            answer["context"]["large"] = "x".repeat(8 * 1024).into();
            answer.to_string().into_response()
        }
        "huge" => "x".repeat(7 * 1024 * 1024).into_response(),
        "slow" => {
            tokio::time::sleep(Duration::from_secs(30)).await;
            policy("Allow").to_string().into_response()
        }
        other => panic!("{other}"),
    }
}

#[test]
fn an_authorizer_elsewhere_is_believed_as_api_gateway_believes_it() {
    let authorizer = Server::start(Router::new().route("/invoke", post(authorize)));
    let address = format!("{}/invoke", url(&authorizer));
    let server = ServeProcess::start(&["--authorizer", &address, "--authorizer-timeout", "1", "--ttl", "0"]);
    for (asked, status, says) in [
        ("allow", 200, ""),
        ("deny", 403, "explicit deny"),
        ("unauthorized", 401, "Unauthorized"),
        ("unauthorized-by-body", 401, "Unauthorized"),
        ("fault", 500, "null"),
        ("503", 500, "null"),
        ("404-with-policy", 500, "null"),
        ("302-with-policy", 500, "null"),
        ("nonsense", 500, "null"),
        ("empty", 500, "null"),
        ("null", 500, "null"),
        ("no-principal", 500, "null"),
        ("nested", 500, "null"),
        ("large", 500, "null"),
        ("huge", 500, "null"),
        ("slow", 500, "null"),
    ] {
        let reply = server.get(&format!("/pets?q={asked}"), "Authorization: x\r\n");
        let exchange = server.last();
        assert_eq!(reply.status, status, "{asked}: {exchange:#}");
        assert!(status == 200 || reply.text().contains(says), "{asked}: {}", reply.text());
        assert_eq!(exchange["problem"].is_string(), status == 500, "{asked}: {exchange:#}");
        assert_eq!(exchange["log"], Value::Null);
        if asked == "huge" {
            let problem = exchange["problem"].as_str().unwrap();
            assert!(problem.contains("longer than Lambda allows"), "{problem}");
        }
    }
    server.get("/pets?q=deny", "Authorization: x\r\n");
    let decision = &server.last()["decision"];
    assert_eq!(
        (&decision["reason"], &decision["policies"]),
        (&json!("no-matching-permit"), &json!(["a", "b"]))
    );
    assert!(decision["meaning"].as_str().is_some_and(|meaning| !meaning.is_empty()), "{decision}");
    drop(authorizer);
    assert_eq!(server.get("/pets?q=allow", "Authorization: x\r\n").status, 500);
    assert!(server.errors().contains("the authorizer cannot be asked: "), "{}", server.errors());
}

#[test]
fn a_token_that_the_authorizer_repeats_is_not_shown() {
    let authorizer = Server::start(Router::new().route("/invoke", post(authorize)));
    let server = ServeProcess::start(&["--authorizer", &format!("{}/invoke", url(&authorizer))]);
    let token = "Z9yXw-8VuTs7RqPo6NmLk5JiHg4";
    for (asked, status) in [("token-in-fault", 500), ("token", 200)] {
        let reply = server.get(&format!("/pets?q={asked}"), &format!("Authorization: {token}\r\n"));
        assert_eq!(reply.status, status);
        let shown = server.last().to_string() + &server.errors();
        let run = token.as_bytes().windows(8).map(|run| str::from_utf8(run).unwrap());
        for run in run {
            assert!(!shown.contains(run), "`{run}`: {shown}");
        }
    }
    // Nor is one value sent as another.
    let errors = server.errors();
    assert!(errors.contains("the backend does not get `a:b` of the authorizer's `context`"), "{errors}");
    let reply = server.get("/pets?q=token", &format!("Authorization: {token}\r\n")).json();
    assert_eq!(reply["headers"]["x-authorizer-a-b"], "2");
}

#[test]
fn errors_are_not_kept_and_answers_are() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let authorize = move |_: HeaderMap, body: Bytes| {
        counted.fetch_add(1, Ordering::Relaxed);
        authorize(body)
    };
    let authorizer = Server::start(Router::new().route("/", post(authorize)));
    let server = ServeProcess::start(&["--authorizer", &url(&authorizer)]);
    for (asked, token, expected, outcome) in [
        ("fault", "a", 1, "not-kept"),
        ("fault", "a", 2, "not-kept"),
        ("unauthorized", "a", 3, "not-kept"),
        ("deny", "a", 4, "miss"),
        ("allow", "a", 4, "hit"),
        ("allow", "b", 5, "miss"),
        ("deny", "b", 5, "hit"),
    ] {
        server.get(&format!("/pets?q={asked}"), &format!("Authorization: {token}\r\n"));
        assert_eq!(calls.load(Ordering::Relaxed), expected, "{asked} {token}");
        assert_eq!(server.last()["cache"]["outcome"], outcome, "{asked} {token}");
    }
}

#[test]
fn the_compiled_function_can_be_asked() {
    let uri = format!("file://{}", sample_store().display());
    let function = Function::start(
        FUNCTION,
        [("BUNDLE_URI", uri.as_str()), ("ALLOW_DEVELOPMENT_KEYS", "true"), ("CACHE_KEY", "token")],
    );
    let function = Arc::new(function.unwrap());
    let invoke = move |body: Bytes| {
        let function = Arc::clone(&function);
        async move {
            let event: Value = serde_json::from_slice(&body).unwrap();
            let answer = tokio::task::spawn_blocking(move || function.invoke(&event)).await.unwrap();
            match answer {
                Answer::Response(response) => response.to_string().into_response(),
                Answer::Error { error_type, error_message } => {
                    let body = json!({"errorType": error_type, "errorMessage": error_message}).to_string();
                    ([("x-amz-function-error", "Unhandled")], body).into_response()
                }
            }
        }
    };
    let endpoint =
        Server::start(Router::new().route("/2015-03-31/functions/function/invocations", post(invoke)));
    let server = ServeProcess::start(&[
        "--authorizer",
        &format!("{}/2015-03-31/functions/function/invocations", url(&endpoint)),
    ]);
    assert_eq!(server.get_as(&token("alice", json!({})), "/pets").status, 200);
    assert_eq!(server.get_as(&token("mallory", json!({})), "/pets").status, 403);
    assert_eq!(server.get_as("nonsense", "/pets").status, 401);
    let exchanges = server.exchanges();
    assert_eq!(
        exchanges[0]["decision"]["principal"],
        "PetStore::User::\"us-east-1_EXAMPLE|a11ce000-0001-4000-8000-000000000001\""
    );
}
