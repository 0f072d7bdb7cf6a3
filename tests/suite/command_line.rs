//! The command line on the sample store and on invalid input.

use std::fs;
use std::time::Duration;

use base64::Engine;
use cedar_authorizer::bundle::{Bundle, DevelopmentKeys};
use serde_json::{Value, json};

use crate::loopback::{KeyServer, KeyServerFault};
use crate::oracle::{NotResource, passes};
use crate::signing::SigningKey;
use crate::terminal::{Terminal, on_a_terminal};
use crate::world::{StoreCopy, development_key_set, root, run, stderr, stdout, token};

#[test]
fn check_finds_nothing_but_the_development_key_in_the_sample_store() {
    let output = run(&["check", "--format", "json"]);
    assert_eq!(output.status.code(), Some(0));
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((&report["errors"], &report["warnings"]), (&json!(0), &json!(1)));
    assert_eq!(report["findings"][0]["code"], "development-key");

    let output = run(&["check"]);
    assert!(stdout(&output).contains("warning[development-key]"));
    assert!(stdout(&output).ends_with("ok: 6 policies, 4 routes, 1 warning\n"), "{}", stdout(&output));
    assert!(!stdout(&output).contains('\u{1b}'), "colours where there is no terminal");
}

#[test]
fn check_of_a_broken_store_says_file_and_line_and_exits_with_3() {
    let store = StoreCopy::new();
    store.write("policies/groups.cedar", b"\npermit (principal, action, resource) when { context.token.x };");
    let path = store.path().to_str().unwrap();
    let output = run(&["check", "--store", path]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stdout(&output).contains(&format!("--> {path}/policies/groups.cedar:2:")), "{}", stdout(&output));

    let output = run(&["check", "--store", "no/such/store"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("cannot read `no/such/store`"), "{}", stderr(&output));
}

#[test]
fn build_makes_the_same_bytes_twice_and_invoke_takes_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for name in ["a", "b"] {
        let output = run(&["build", "--output", &path(name), "--revision", "7"]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(stderr(&output).contains("warning[development-key]"));
    }
    let bytes = fs::read(path("a")).unwrap();
    assert_eq!(bytes, fs::read(path("b")).unwrap());

    let output = run(&["invoke", "--bundle", &path("a"), "events/token-get-pets-allow.json"]);
    let response: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(response["context"]["revision"], 7);

    // The personas and tests of a store never go into a bundle.
    for text in ["personas", "mallory"] {
        assert!(!bytes.windows(text.len()).any(|window| window == text.as_bytes()), "{text}");
    }
    fs::write(path("a"), &bytes[1..]).unwrap();
    let output = run(&["invoke", "--bundle", &path("a"), "events/token-get-pets-allow.json"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("not a bundle"), "{}", stderr(&output));
}

#[test]
fn build_of_a_broken_store_leaves_the_old_bundle_alone() {
    let store = StoreCopy::new();
    store.write("template-links.json", b"[{\"id\": \"x\", \"templateId\": \"none\"}]");
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("petstore.bundle");
    fs::write(&target, "old").unwrap();
    let arguments =
        ["build", "--store", store.path().to_str().unwrap(), "--output", target.to_str().unwrap()];
    let output = run(&arguments);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("error[link-invalid]"), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(&target).unwrap(), "old");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn build_makes_a_file_that_others_may_read_and_replaces_nothing_but_files() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("petstore.bundle");
    let build = |path: &std::path::Path| run(&["build", "--output", path.to_str().unwrap()]);
    assert_eq!(build(&target).status.code(), Some(0));
    let plain = folder.path().join("plain");
    fs::write(&plain, "").unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&target), mode(&plain));

    // A directory is not replaced, and neither is a link to a device.
    let output = build(folder.path());
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("cannot write"), "{}", stderr(&output));
    let device = folder.path().join("device");
    std::os::unix::fs::symlink("/dev/null", &device).unwrap();
    assert_eq!(build(&device).status.code(), Some(0));
    assert!(fs::symlink_metadata(&device).unwrap().is_symlink());
    assert_ne!(fs::metadata("/dev/null").unwrap().rdev(), 0);
}

#[test]
fn build_into_a_missing_folder_says_so() {
    let output = run(&["build", "--output", "no/such/folder/petstore.bundle"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("cannot write `no/such/folder/petstore.bundle`"));
}

#[test]
fn invoke_explains_on_stderr_and_answers_on_stdout() {
    let output = run(&["invoke", "events/token-post-pets-deny.json", "--explain"]);
    assert_eq!(output.status.code(), Some(2));
    let response: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let arn = "arn:aws:execute-api:us-east-1:123456789012:ymy8tbxw7b/test/POST/pets";
    assert!(!passes(Some(&response), arn, NotResource::Honoured));
    for text in [
        "denied",
        "no-matching-permit",
        "post /pets",
        "PetStore::User::\"us-east-1_EXAMPLE|b0b",
        "the whole API, 3 routes allowed",
        "Allow GET/ GET/pets GET/pets/?*",
    ] {
        assert!(stderr(&output).contains(text), "{text}: {}", stderr(&output));
    }
}

#[test]
fn invoke_of_nonsense_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("event.json");
    fs::write(&file, "{").unwrap();
    for (arguments, message) in [
        (["invoke", "no/such/event.json"].as_slice(), "cannot read `no/such/event.json`"),
        (&["invoke", file.to_str().unwrap()], "is not JSON"),
        (&["invoke", "events/token-expired.json", "--store", "no/such/store"], "cannot read `no/such/store`"),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(message), "{message}: {}", stderr(&output));
        assert!(stdout(&output).is_empty());
    }
}

#[test]
fn token_takes_claims_over_those_of_the_persona() {
    let given = json!({"sub": "u1", "cognito:groups": null, "extra": [1]});
    let token = token("alice", given);
    let claims = claims_of(&token);
    assert_eq!(claims["sub"], "u1");
    assert_eq!(claims["username"], "alice");
    assert_eq!(claims["client_id"], "1example23456789");
    assert_eq!(claims["extra"], json!([1]));
    assert_eq!(claims.get("cognito:groups"), None);
}

#[test]
fn token_of_nobody_names_those_there_are() {
    let output = run(&["token", "--as", "nobody"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("alice, bob, carol, dave, erin, mallory, olivia"),
        "{}",
        stderr(&output)
    );
    let output = run(&["token", "--claims", "[]"]);
    assert!(stderr(&output).contains("--claims is not a JSON object"), "{}", stderr(&output));
    let output = run(&["token", "--as", "alice", "--source", "okta"]);
    assert!(stderr(&output).contains("there is no identity source `okta`"), "{}", stderr(&output));
}

#[test]
fn token_warns_where_the_store_would_refuse_it() {
    let store = StoreCopy::new();
    store.remove("jwks/cognito.json");
    let output = run(&["token", "--as", "alice", "--store", store.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stderr(&output).contains("does not trust the development key"), "{}", stderr(&output));
}

#[test]
fn a_wrong_usage_is_not_a_denial() {
    for arguments in [[].as_slice(), &["invoke"], &["check", "--stor", "x"], &["publish"], &["inspect"]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(stderr(&output).contains("Usage:"), "{arguments:?}");
    }
}

#[test]
fn the_function_is_built_without_the_command_line() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let features = manifest["features"]["cli"].as_array().unwrap();
    for dependency in ["anstream", "anstyle", "clap", "indicatif", "tempfile"] {
        assert!(manifest["dependencies"][dependency]["optional"].as_bool().unwrap(), "{dependency}");
        assert!(features.contains(&format!("dep:{dependency}").into()), "{dependency}");
    }
}

#[test]
fn build_pins_the_keys_that_it_fetches_and_the_function_fetches_none() {
    let key = SigningKey::p256();
    let server = KeyServer::start(json!({"keys": [key.jwk("k")]}));
    let store = StoreCopy::with_jwks_uri(&server.uri());
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("petstore.bundle");
    let arguments = [
        "build",
        "--store",
        store.path().to_str().unwrap(),
        "--output",
        target.to_str().unwrap(),
        "--pin-jwks",
    ];
    let output = run(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("fetching the keys of `cognito`"));
    assert_eq!(server.requests(), 1);

    let bundle = Bundle::open(fs::read(&target).unwrap(), DevelopmentKeys::Refuse).unwrap();
    assert_eq!(bundle.identity_sources()[0].pinned_keys().unwrap().len(), 1);

    fs::remove_file(&target).unwrap();
    for fault in [KeyServerFault::Status(500), KeyServerFault::NotJson] {
        server.fault(fault);
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("the keys of identity source `cognito`"), "{}", stderr(&output));
        assert!(!target.exists());
    }
    // Everybody has the development key, so it is never pinned by fetching it.
    server.fault(KeyServerFault::None);
    server.set(development_key_set());
    assert_eq!(run(&arguments).status.code(), Some(1));
}

#[test]
fn token_mints_what_each_identity_source_accepts() {
    let store = StoreCopy::new();
    for (name, selection) in [
        ("id", json!({"identityTokenOnly": {"clientIds": ["app"], "principalIdClaim": "oid"}})),
        ("access", json!({"accessTokenOnly": {"audiences": ["https://api.example.com"]}})),
    ] {
        let source = json!({
            "principalEntityType": "PetStore::User",
            "configuration": {"openIdConnectConfiguration": {
                "issuer": "https://auth.example.com", "tokenSelection": selection, "entityIdPrefix": "example"
            }}
        });
        store.write(&format!("identity-sources/{name}.json"), source.to_string().as_bytes());
    }
    let path = store.path().to_str().unwrap();
    let claims = |source: &str| {
        let output = run(&["token", "--store", path, "--source", source, "--claims", "{}"]);
        claims_of(stdout(&output).trim_end())
    };
    let id = claims("id");
    assert_eq!((&id["aud"], &id["iss"]), (&json!("app"), &json!("https://auth.example.com")));
    assert!(id["oid"].is_string() && id.get("sub").is_none() && id.get("token_use").is_none());
    let access = claims("access");
    assert_eq!(access["aud"], "https://api.example.com");
    assert_eq!(claims("cognito")["token_use"], "access");
}

#[test]
fn what_build_refuses_check_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("petstore.bundle");
    let sparse = |store: &StoreCopy, path: &str| {
        fs::File::create(store.path().join(path)).unwrap().set_len(600 << 20).unwrap();
    };
    let source = |file: &str| {
        let text = fs::read_to_string(root().join("policies/identity-sources/cognito.json")).unwrap();
        let mut source: Value = serde_json::from_str(&text).unwrap();
        source["jwksFile"] = file.into();
        source.to_string()
    };
    let keys = development_key_set().to_string();
    type Change<'a> = &'a dyn Fn(&StoreCopy);
    let changes: [(Change<'_>, i32); 5] = [
        (&|_| {}, 0),
        (&|store| sparse(store, "entities.json"), 1),
        // If a file has no place in a store, the bundle has no copy of it.
        (
            &|store| {
                store.write("identity-sources/cognito.json", source("keys/a.json").as_bytes());
                store.write("keys/a.json", keys.as_bytes());
            },
            3,
        ),
        (
            &|store| {
                store.write("identity-sources/cognito.json", source("jwks/a.json").as_bytes());
                store.write("jwks/a.json", keys.as_bytes());
            },
            0,
        ),
        (&|store| store.write("policies/deep.cedar", "(".repeat(5000).as_bytes()), 3),
    ];
    for (number, (change, expected)) in changes.into_iter().enumerate() {
        let store = StoreCopy::new();
        change(&store);
        let path = store.path().to_str().unwrap();
        let check = run(&["check", "--store", path]);
        let build = run(&["build", "--store", path, "--output", target.to_str().unwrap()]);
        let said = (stdout(&check), stderr(&build));
        assert_eq!(
            (check.status.code(), build.status.code()),
            (Some(expected), Some(expected)),
            "{number}: {said:?}"
        );
    }
}

#[test]
fn what_takes_longer_than_a_second_is_shown_on_a_terminal_and_nowhere_else() {
    let server = KeyServer::start(json!({"keys": [SigningKey::p256().jwk("k")]}));
    // It is waited for, and then given up.
    server.fault(KeyServerFault::Slow(Duration::from_secs(10)));
    let store = StoreCopy::with_jwks_uri(&server.uri());
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("petstore.bundle");
    let arguments = [
        "build",
        "--store",
        store.path().to_str().unwrap(),
        "--output",
        target.to_str().unwrap(),
        "--pin-jwks",
    ];
    let on_terminal = |name: &str| {
        let output = on_a_terminal(Terminal::Stderr, &arguments).env("TERM", name).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
        stdout(&output)
    };
    let shown = "waiting for the keys of `cognito` (";
    let output = on_terminal("xterm");
    assert!(output.contains(shown), "{output}");
    // A dumb terminal cannot draw a line again.
    let output = on_terminal("dumb");
    assert!(!output.contains(shown), "{output}");

    let output = run(&arguments);
    assert_eq!(output.status.code(), Some(1));
    assert!(!stderr(&output).contains(shown), "{}", stderr(&output));
}

fn claims_of(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap();
    serde_json::from_slice(&payload).unwrap()
}
