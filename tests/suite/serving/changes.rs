//! Files that change while they are served.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::ServeProcess;
use super::server::eventually;
use crate::world::{StoreCopy, run, stderr, token};

/// Forbids everything.
const CLOSED: &[u8] = b"@id(\"closed\") forbid(principal, action, resource);";

fn serve(copy: &StoreCopy, more: &[&str]) -> ServeProcess {
    let store = copy.path().to_str().unwrap();
    ServeProcess::start(&[&["--store", store][..], more].concat())
}

/// An API without operations would be protected, too. This one has the sample store's.
#[cfg(unix)]
const DESCRIPTION: &[u8] =
    b"{openapi: 3.0.0, info: {title: Pets, version: '1'}, paths: {/pets: {get: {responses: {}}}}}";

/// A template with its function in a nested one.
const OUTER: &str = "Resources:
  Nested: {Type: AWS::Serverless::Application, Properties: {Location: stacks/inner.yaml}}
  Api: {Type: AWS::ApiGateway::RestApi}
  Cedar:
    Type: AWS::ApiGateway::Authorizer
    Properties:
      RestApiId: !Ref Api
      Type: TOKEN
      AuthorizerUri: !Sub arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/${Nested.Outputs.Arn}/invocations
      IdentitySource: method.request.header.Authorization
";

const INNER: &str = "Resources:
  Function: {Type: AWS::Lambda::Function, Properties: {Environment: {Variables: {CACHE_KEY: KEY}}}}
Outputs:
  Arn: {Value: !GetAtt Function.Arn}
";

/// Waits until the server has noticed a change. From then on it answers by it.
fn pause() {
    thread::sleep(Duration::from_millis(50));
}

#[test]
fn a_saved_file_is_in_force_at_the_next_call() {
    let copy = StoreCopy::new();
    let server = serve(&copy, &[]);
    let alice = token("alice", json!({}));
    assert_eq!(server.get_as(&alice, "/pets").status, 200);
    assert_eq!(server.get_as(&alice, "/pets").status, 200);
    assert_eq!(server.last()["cache"]["outcome"], "hit");
    copy.write("policies/closed.cedar", CLOSED);
    pause();
    assert_eq!(server.get_as(&alice, "/pets").status, 403);
    let exchange = server.last();
    // What was kept is forgotten.
    assert_eq!(exchange["cache"]["outcome"], "miss", "{exchange:#}");
    assert_eq!(exchange["decision"]["policies"], json!(["closed"]), "{exchange:#}");
    assert_eq!(exchange["decision"]["revision"], 2, "{exchange:#}");
    copy.remove("policies/closed.cedar");
    pause();
    assert_eq!(server.get_as(&alice, "/pets").status, 200);
    let errors = server.errors();
    assert!(
        errors.contains("`policies/closed.cedar` changed: revision 2 is in force; 1 kept answer dropped"),
        "{errors}"
    );
}

/// What is read last at the start is a pipe, so the store is changed after it was read, and before anybody can ask.
#[cfg(unix)]
#[test]
fn a_change_during_the_start_is_noticed() {
    let (folder, copy) = (tempfile::tempdir().unwrap(), StoreCopy::new());
    let pipe = folder.path().join("openapi.yaml");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // The pipe opens when somebody reads it: at the start, and again after the change.
    let write = |change: Option<PathBuf>| {
        let path = pipe.clone();
        thread::spawn(move || {
            let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
            if let Some(policy) = change {
                fs::write(policy, CLOSED).unwrap();
            }
            file.write_all(DESCRIPTION).unwrap();
        })
    };
    write(Some(copy.path().join("policies/closed.cedar")));
    let server = serve(&copy, &["--openapi", pipe.to_str().unwrap()]);
    write(None);
    let alice = token("alice", json!({}));
    eventually(|| (server.get_as(&alice, "/pets").status == 403).then_some(()));
}

/// `git checkout` removes the folder and brings it back.
#[test]
fn a_store_that_goes_and_comes_again_is_watched() {
    let copy = StoreCopy::new();
    let server = serve(&copy, &[]);
    let alice = token("alice", json!({}));
    let saved = copy.path().with_extension("saved");
    fs::rename(copy.path(), &saved).unwrap();
    eventually(|| server.errors().contains("revision 1 stays in force").then_some(()));
    assert_eq!(server.get_as(&alice, "/pets").status, 200);
    fs::rename(&saved, copy.path()).unwrap();
    eventually(|| server.errors().contains("the files are again those of revision 1").then_some(()));
    for (revision, content) in [(2, CLOSED), (3, b"".as_slice())] {
        copy.write("policies/closed.cedar", content);
        eventually(|| server.errors().contains(&format!("revision {revision} is in force")).then_some(()));
    }
}

#[test]
fn the_templates_of_nested_stacks_are_watched() {
    let folder = tempfile::tempdir().unwrap();
    let template = folder.path().join("template.yaml");
    fs::write(&template, OUTER).unwrap();
    let inner = folder.path().join("stacks/inner.yaml");
    let server = ServeProcess::start(&["--template", template.to_str().unwrap()]);
    // It does not exist yet, and neither does its folder.
    assert!(server.errors().contains("inner.yaml"), "{}", server.errors());
    fs::create_dir(inner.parent().unwrap()).unwrap();
    for (revision, key) in [(2, "token"), (3, "none")] {
        fs::write(&inner, INNER.replace("KEY", key)).unwrap();
        let changed = format!("stacks/inner.yaml` changed: revision {revision} is in force");
        eventually(|| server.errors().contains(&changed).then_some(()));
    }
}

#[test]
fn a_broken_store_leaves_the_last_good_one_in_force() {
    let copy = StoreCopy::new();
    let server = serve(&copy, &[]);
    let alice = token("alice", json!({}));
    for broken in [
        b"permit(".as_slice(),
        b"\xff\xfe",
        b"permit(principal, action == Action::\"get /nothing\", resource);",
    ] {
        copy.write("policies/broken.cedar", broken);
        pause();
        assert_eq!(server.get_as(&alice, "/pets").status, 200);
    }
    let errors = server.errors();
    assert!(errors.contains("broken.cedar:1:"), "{errors}");
    assert!(errors.contains("revision 1 stays in force"), "{errors}");
    copy.write("policies/broken.cedar", CLOSED);
    pause();
    assert_eq!(server.get_as(&alice, "/pets").status, 403);
}

#[test]
fn answers_may_be_kept_over_a_change() {
    let copy = StoreCopy::new();
    let server = serve(&copy, &["--keep-cache"]);
    let (alice, bob) = (token("alice", json!({})), token("bob", json!({})));
    assert_eq!(server.get_as(&alice, "/pets").status, 200);
    copy.write("policies/closed.cedar", CLOSED);
    pause();
    assert_eq!(server.get_as(&bob, "/pets").status, 403);
    assert_eq!(server.get_as(&alice, "/pets").status, 200);
    assert_eq!(server.last()["cache"]["outcome"], "hit");
}

#[test]
fn what_nobody_can_see_is_no_change() {
    let copy = StoreCopy::new();
    let server = serve(&copy, &[]);
    let alice = token("alice", json!({}));
    server.get_as(&alice, "/pets");
    let policy = fs::read_dir(copy.path().join("policies")).unwrap().next().unwrap().unwrap().path();
    fs::write(&policy, fs::read(&policy).unwrap()).unwrap();
    copy.write("tests/new.yaml", b"tests: []\n");
    pause();
    server.get_as(&alice, "/pets");
    assert_eq!(server.last()["cache"]["outcome"], "hit");
    assert_eq!(server.errors(), "");
}

#[test]
fn a_bundle_is_replaced_in_place() {
    let (folder, copy) = (tempfile::tempdir().unwrap(), StoreCopy::new());
    let bundle = folder.path().join("a store's.bundle");
    let build = |name: &str| {
        let output = folder.path().join(name);
        let built =
            run(&["build", "--store", copy.path().to_str().unwrap(), "--output", output.to_str().unwrap()]);
        assert!(built.status.success(), "{}", stderr(&built));
        fs::rename(output, &bundle).unwrap();
    };
    build("1");
    let server = ServeProcess::start(&["--bundle", bundle.to_str().unwrap()]);
    let alice = token("alice", json!({}));
    assert_eq!(server.get_as(&alice, "/pets").status, 200);
    copy.write("policies/closed.cedar", CLOSED);
    build("2");
    pause();
    assert_eq!(server.get_as(&alice, "/pets").status, 403);
    fs::write(&bundle, "no bundle").unwrap();
    pause();
    assert_eq!(server.get_as(&alice, "/pets").status, 403);
    let errors =
        eventually(|| Some(server.errors()).filter(|errors| errors.contains("revision 2 stays in force")));
    assert!(errors.contains("a store's.bundle`: "), "{errors}");
}

#[test]
fn tokens_of_the_test_key_stay_valid_over_changes() {
    let copy = StoreCopy::new();
    let server = serve(&copy, &[]);
    let printed = server.printed_last();
    let (_, token) = printed.split_once("Bearer ").unwrap();
    let (token, _) = token.split_once('\'').unwrap();
    assert_eq!(server.get_as(token, "/").status, 200);
    let settings = fs::read_to_string(copy.path().join("store.toml")).unwrap();
    copy.write("store.toml", settings.replace("\"petstore\"", "\"renamed\"").as_bytes());
    pause();
    assert_eq!(server.get_as(token, "/").status, 200);
    assert_eq!(server.last()["decision"]["revision"], 2);
}
