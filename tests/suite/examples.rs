//! The examples, compiled and run.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::gateway::Request;
use crate::loopback::{Answer, Function, exchange};
use crate::world::{bundle_bytes, root, token};

/// Builds an example beside the tested executables. Usually Cargo has already built it with the tests.
fn example(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_BIN_EXE_cedar-authorizer")).parent().unwrap();
    let mut build = Command::new(env!("CARGO"));
    // The same library as in the tests, so that it is not built again.
    let profile = if folder.ends_with("release") { "release" } else { "test" };
    build.args(["build", "--quiet", "--profile", profile, "--example", name]).current_dir(root());
    build.env("CARGO_TARGET_DIR", folder.parent().unwrap());
    assert!(build.status().unwrap().success());
    folder.join("examples").join(name)
}

/// The bundle of the sample store, in its own folder.
fn bundle() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("petstore.bundle");
    fs::write(&path, bundle_bytes(1)).unwrap();
    (folder, path)
}

/// Killed when dropped.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_axum_service_lets_through_whom_the_policies_allow() {
    let executable = example("axum");
    let (_folder, bundle) = bundle();
    let start = |allow: &str| {
        let mut command = Command::new(&executable);
        command.arg(&bundle).arg("127.0.0.1:0").env("ALLOW_DEVELOPMENT_KEYS", allow);
        command.stderr(Stdio::piped()).spawn().unwrap()
    };
    // The sample store trusts the development key.
    assert!(!start("false").wait().unwrap().success());

    let mut service = Service(start("true"));
    let mut log = BufReader::new(service.0.stderr.take().unwrap()).lines();
    let first = log.next().unwrap().unwrap();
    let address = first.strip_prefix("listening on ").unwrap().parse().unwrap();
    let ask = |method: &str, path: &str, authorization: &str| {
        let headers = format!("authorization: {authorization}\r\n");
        let answer = exchange(address, &format!("{method} {path}"), &headers, "");
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    let (alice, stranger) = (token("alice", json!({})), token("alice", json!({"client_id": "another"})));
    for (method, path, authorization, expected) in [
        ("GET", "/pets", alice.as_str(), "200"),
        ("GET", "/pets?limit=10", alice.as_str(), "200"),
        ("GET", "/pets", &format!("Bearer {alice}\r\nauthorization: {alice}"), "401"),
        ("GET", "/pets", "", "401"),
        ("GET", "/pets", &stranger, "401"),
        ("GET", "/pets/7", &format!("Bearer {alice}"), "200"),
        ("GET", "/pets/..%2f7", &alice, "403"),
        ("DELETE", "/pets", &alice, "403"),
        ("GET", "/elsewhere", &alice, "403"),
    ] {
        assert_eq!(ask(method, path, authorization), expected, "{method} {path}");
    }
    let answer = exchange(address, "GET /pets", &format!("authorization: {alice}\r\n"), "");
    assert!(answer.contains("the pets that a11ce000-0001-4000-8000-000000000001 may see"), "{answer}");
}

#[test]
fn a_custom_lambda_answers_as_the_policies_say_and_turns_suspended_users_away() {
    let (_folder, bundle) = bundle();
    let environment = [
        ("BUNDLE_FILE", bundle.to_str().unwrap()),
        ("ALLOW_DEVELOPMENT_KEYS", "true"),
        ("SUSPENDED_USERS", "ca201000-0003-4000-8000-000000000003"),
    ];
    let function = Function::start(example("custom_lambda"), environment).map_err(|failure| failure.message);
    let function = function.unwrap();
    let answer = |persona: &str, changes: Value| {
        let token = token(persona, changes);
        match function.invoke(&Request::new(&token, "GET", "/pets", "/pets").http2()) {
            Answer::Response(response) => json!([response["isAuthorized"], response["context"]["reason"]]),
            Answer::Error { error_message, .. } => json!(error_message),
        }
    };
    assert_eq!(answer("alice", json!({})), json!([true, "allowed-by-policy"]));
    assert_eq!(answer("carol", json!({})), json!([false, "suspended"]));
    assert_eq!(answer("alice", json!({"client_id": "another"})), json!("Unauthorized"));
    let nobody = Request::new("", "GET", "/pets", "/pets").http2();
    assert!(matches!(
        function.invoke(&nobody),
        Answer::Error { error_message, .. } if error_message == "Unauthorized"
    ));
}
