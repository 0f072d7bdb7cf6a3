//! Files that change while they are served.

use std::fs;
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

/// Waits until the server has noticed a change. From then on it answers by it.
fn pause() {
    std::thread::sleep(Duration::from_millis(50));
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
    assert!(errors.contains("revision 2 is in force; 1 kept answer dropped"), "{errors}");
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
