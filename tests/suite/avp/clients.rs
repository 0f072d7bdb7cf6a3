//! Real clients: boto3, the AWS CLI and the SDKs for JavaScript and Rust. Each plays the whole API.
//!
//! No client can provoke an `InternalServerException` while the program and the disk work.

mod rust;
mod walkthroughs;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::server::AvpServer;
use crate::world::{root, run, stderr, stdout};

/// A client that plays stories.
struct Client {
    program: PathBuf,
    script: &'static str,
    /// Arguments behind endpoint, story and values.
    more: Vec<String>,
}

/// Where `.ci/run` installs the clients.
fn tools() -> PathBuf {
    let tools = std::env::var_os("CI_TOOLS").map_or_else(|| "target/ci-tools".into(), PathBuf::from);
    root().join(tools).join("aws-clients")
}

/// The client, if all of it is installed. Without it a test is skipped, but not in CI.
#[expect(clippy::print_stderr, reason = "a test has no other way to say that it was skipped")]
fn client(script: &'static str, needs: &str) -> Option<Client> {
    if !tools().join(needs).exists() {
        assert!(std::env::var_os("AVP_CLIENTS").is_none_or(|when| when != "required"), "{needs} is missing");
        eprintln!("skipped: {needs} is not installed (see .ci/run)");
        return None;
    }
    let is_python = script.ends_with(".py");
    let program = if is_python { tools().join("bin/python") } else { "node".into() };
    let more = if is_python { Vec::new() } else { vec![tools().display().to_string()] };
    Some(Client { program, script, more })
}

fn boto3() -> Option<Client> {
    client("play_boto3.py", "bin/python")
}

fn cli() -> Option<Client> {
    client("play_cli.py", "bin/aws")
}

fn javascript() -> Option<Client> {
    client("play_js.mjs", "node_modules/@aws-sdk/client-verifiedpermissions/package.json")
}

impl Client {
    /// Plays a story and returns what came of each step.
    #[track_caller]
    fn play(&self, endpoint: &str, story: &Path, values: &Value, environment: &[(&str, &str)]) -> Vec<Value> {
        let mut command = aws(Command::new(&self.program));
        command
            .arg(stories().join(self.script))
            .arg(endpoint)
            .arg(story)
            .arg(values.to_string())
            .args(&self.more);
        let output = command.envs(environment.iter().copied()).output().unwrap();
        assert!(output.status.success(), "{}\n{}{}", self.script, stdout(&output), stderr(&output));
        stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The error of a single request.
    #[track_caller]
    fn error(&self, endpoint: &str, environment: &[(&str, &str)]) -> Value {
        let folder = tempfile::tempdir().unwrap();
        let story = folder.path().join("one step.json");
        fs::write(&story, r#"[{"operation": "ListPolicyStores", "input": {}}]"#).unwrap();
        let played = self.play(endpoint, &story, &json!({}), environment);
        played[0]["error"].clone()
    }
}

/// A command in an environment that has nothing but what clients need.
fn aws(mut command: Command) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let python = stories();
    command.env_clear().env("PATH", path).env("PYTHONPATH", python).env("PYTHONDONTWRITEBYTECODE", "1");
    command.envs([
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_MAX_ATTEMPTS", "1"),
        ("AWS_PAGER", ""),
    ]);
    command
}

fn stories() -> PathBuf {
    root().join("tests/data/avp/clients")
}

fn story() -> PathBuf {
    stories().join("story.json")
}

/// A service that accepts tokens of `cedar-authorizer token`, and such a token.
fn with_tokens(arguments: &[&str]) -> (AvpServer, String) {
    let keys = root().join("policies/jwks/cognito.json");
    let server = AvpServer::start(&[arguments, &["--jwks", keys.to_str().unwrap()]].concat());
    let claims = json!({"sub": "3ab9e816", "cognito:groups": ["AVPGroup"], "token_use": "id"});
    let output = run(&["token", "--type", "id", "--claims", &claims.to_string()]);
    assert!(output.status.success(), "{}", stderr(&output));
    (server, stdout(&output).trim_end().to_owned())
}

/// Plays the story and compares each line with what the story says.
#[track_caller]
fn plays_the_story(client: Option<Client>) {
    let Some(client) = client else { return };
    let (server, token) = with_tokens(&[]);
    let played = client.play(&server.url(), &story(), &json!({"token": token}), &[]);
    let steps: Value = serde_json::from_str(&fs::read_to_string(story()).unwrap()).unwrap();
    let steps = steps.as_array().unwrap();
    assert_eq!(played.len(), steps.len());
    let mut kept = json!({"token": token});
    let (mut operations, mut errors) = (BTreeSet::new(), BTreeSet::new());
    for (step, line) in steps.iter().zip(&played) {
        assert_eq!(line["operation"], step["operation"]);
        assert_eq!(line["error"], step["error"], "{}\n{step}\n{line}", client.script);
        for (name, member) in step["keep"].as_object().into_iter().flatten() {
            kept[name] = line["output"][member.as_str().unwrap()].clone();
        }
        if let Some(expected) = step.get("expect") {
            let expected = filled(expected, &kept);
            assert!(has(&line["output"], &expected), "{}\n{step}\n{line}\n{expected}", client.script);
        }
        operations.extend(step["operation"].as_str());
        errors.extend(step["error"].as_str());
    }
    assert_eq!(operations.len(), 34, "{operations:?}");
    // The others need another service: see below.
    let expected = [
        "ConflictException",
        "InvalidStateException",
        "ResourceNotFoundException",
        "ServiceQuotaExceededException",
        "TooManyTagsException",
        "ValidationException",
    ];
    assert_eq!(errors, expected.into());
}

/// Whether an answer has these members. Lists have as many elements.
fn has(answer: &Value, expected: &Value) -> bool {
    match (answer, expected) {
        (Value::Object(answer), Value::Object(expected)) => {
            expected.iter().all(|(name, value)| answer.get(name).is_some_and(|known| has(known, value)))
        }
        (Value::Array(answer), Value::Array(expected)) => {
            answer.len() == expected.len()
                && answer.iter().zip(expected).all(|(known, value)| has(known, value))
        }
        (answer, expected) => answer == expected,
    }
}

/// With values in place of `$name`.
fn filled(value: &Value, values: &Value) -> Value {
    match value {
        Value::String(text) => match text.strip_prefix('$') {
            Some(name) => values[name].clone(),
            None => value.clone(),
        },
        Value::Array(elements) => elements.iter().map(|element| filled(element, values)).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, member)| (name.clone(), filled(member, values))).collect()
        }
        _ => value.clone(),
    }
}

#[test]
fn boto3_uses_every_operation() {
    plays_the_story(boto3());
}

#[test]
fn the_cli_uses_every_operation() {
    plays_the_story(cli());
}

#[test]
fn javascript_uses_every_operation() {
    plays_the_story(javascript());
}

#[test]
fn clients_know_that_they_are_throttled_or_denied() {
    let always = AvpServer::start(&["--throttle", "1"]);
    // Another name for the same machine, which the service does not know.
    let elsewhere = always.url().replace("127.0.0.1", "0.0.0.0");
    for client in [boto3(), cli(), javascript()].into_iter().flatten() {
        assert_eq!(client.error(&always.url(), &[]), "ThrottlingException", "{}", client.script);
        assert_eq!(client.error(&elsewhere, &[]), "AccessDeniedException", "{}", client.script);
    }
}

#[test]
fn clients_try_again_when_throttled() {
    for client in [boto3(), cli(), javascript()].into_iter().flatten() {
        let sometimes = AvpServer::start(&["--throttle", "2"]);
        sometimes.answer("ListPolicyStores", &json!({}));
        let error = client.error(&sometimes.url(), &[("AWS_MAX_ATTEMPTS", "3")]);
        assert_eq!(error, Value::Null, "{}", client.script);
    }
}

#[test]
fn signatures_of_clients_are_verified() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials");
    let session =
        "[b]\naws_access_key_id = ASIAEXAMPLE\naws_secret_access_key = other\naws_session_token = a/b==\n";
    let keys = format!("[a]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = secret\n{session}");
    fs::write(&file, keys).unwrap();
    let server = AvpServer::start(&["--credentials", file.to_str().unwrap()]);
    let temporary = [("AWS_ACCESS_KEY_ID", "ASIAEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "other")];
    for client in [boto3(), cli()].into_iter().flatten() {
        assert_eq!(client.error(&server.url(), &[]), Value::Null, "{}", client.script);
        let with_token = [temporary.as_slice(), &[("AWS_SESSION_TOKEN", "a/b==")]].concat();
        assert_eq!(client.error(&server.url(), &with_token), Value::Null, "{}", client.script);
    }
    for client in [cli()].into_iter().flatten() {
        let wrong = [("AWS_SECRET_ACCESS_KEY", "wrong")];
        assert_eq!(client.error(&server.url(), &wrong), "InvalidSignatureException");
        assert_eq!(client.error(&server.url(), &temporary), "UnrecognizedClientException");
    }
    if let Some(client) = javascript() {
        assert_eq!(client.error(&server.url(), &[]), Value::Null);
    }
}
