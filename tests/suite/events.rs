//! Every file in `events/`: how it is made, and what it leads to.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::gateway::{Request, connect};
use crate::loopback::{Answer, Function};
use crate::oracle::{NotResource, passes};
use crate::world::{FUNCTION, event, golden, pretty, root, run, sample_store, stdout, token};

/// The event files, by what they show. After a change here, `UPDATE_GOLDEN=1 cargo test` writes them.
fn recipes() -> Vec<(&'static str, Value)> {
    let bearer = |persona| format!("Bearer {}", token(persona, json!({})));
    let with = |persona, claims| format!("Bearer {}", token(persona, claims));
    let alice = token("alice", json!({}));
    let bob = token("bob", json!({}));
    let (_, payload, signature) = parts(&alice);
    let (bob_header, bob_payload, _) = parts(&bob);
    // {"alg":"RS256","kid":"unknown"} and {"alg":"none"}
    let unknown_key = format!("eyJhbGciOiJSUzI1NiIsImtpZCI6InVua25vd24ifQ.{payload}.{signature}");
    let none = format!("eyJhbGciOiJub25lIn0.{payload}.{signature}");
    let stranger = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_STRANGER";

    let pets = Request::new(&bob, "GET", "/pets", "/pets");
    let pet = Request {
        parameters: json!({"petId": "7"}),
        ..Request::new(&bob, "GET", "/pets/{petId}", "/pets/7")
    };
    let post = Request { verb: "POST", ..pets.clone() };
    let with_header = |name: &str, value: Value| {
        let mut event = pets.rest();
        event["headers"][name] = value.clone();
        event["multiValueHeaders"][name] = json!([value]);
        event
    };

    vec![
        ("rest-get-pets-allow", pets.rest()),
        ("rest-get-pet-allow", pet.rest()),
        ("rest-post-pets-deny", post.rest()),
        ("rest-unknown-resource-deny", Request { template: "/cats", path: "/cats", ..pets.clone() }.rest()),
        ("rest-path-wildcard-allow", Request { path: "/pets/*", ..pet.clone() }.rest()),
        ("rest-method-override-deny", with_header("X-HTTP-Method-Override", json!("DELETE"))),
        ("rest-two-tokens", with_header("authorization", json!("Bearer another"))),
        ("rest-missing-token", {
            let mut event = pets.rest();
            event["headers"] = json!({"Accept": "*/*"});
            event["multiValueHeaders"] = json!(null);
            event
        }),
        ("http1-get-pets-allow", pets.http1()),
        ("http1-post-pets-deny", post.http1()),
        ("http2-get-pet-allow", pet.http2()),
        ("http2-post-pets-deny", post.http2()),
        ("http2-missing-token", {
            let mut event = pets.http2();
            event["headers"] = json!({});
            event
        }),
        ("websocket-connect-unmapped-deny", connect(json!({"Authorization": bob}), json!({}))),
        ("websocket-connect-missing-token", connect(json!({}), json!({"token": bob}))),
        ("token-get-root-allow", event(&bearer("mallory"), "GET", "/")),
        ("token-get-pets-allow", event(&bearer("bob"), "GET", "/pets")),
        ("token-console-test-deny", {
            let mut event = event(&bearer("bob"), "GET", "/pets");
            event["methodArn"] = event["methodArn"].as_str().unwrap().replace("/test/", "/*/").into();
            event
        }),
        ("token-get-pet-allow", event(&bearer("bob"), "GET", "/pets/7")),
        ("token-get-pets-nested-group-allow", event(&bearer("olivia"), "GET", "/pets")),
        ("token-get-pets-template-link-allow", event(&bearer("dave"), "GET", "/pets")),
        ("token-post-pets-allow", event(&bearer("alice"), "POST", "/pets")),
        ("token-without-scheme-allow", event(&bob, "GET", "/pets")),
        ("token-post-pets-deny", event(&bearer("bob"), "POST", "/pets")),
        ("token-post-pets-missing-scope-deny", event(&bearer("carol"), "POST", "/pets")),
        ("token-get-pets-no-group-deny", event(&bearer("mallory"), "GET", "/pets")),
        ("token-get-pets-forbidden-deny", event(&bearer("erin"), "GET", "/pets")),
        ("token-unknown-route-deny", event(&bearer("alice"), "DELETE", "/pets")),
        ("token-path-wildcard-allow", event(&bearer("alice"), "GET", "/pets/*")),
        ("token-path-question-mark-deny", event(&bearer("alice"), "GET", "/pets/?")),
        ("token-path-policy-variable-allow", event(&bearer("alice"), "GET", "/pets/${aws:username}")),
        ("token-path-colon-allow", event(&bearer("alice"), "GET", "/pets/7:8")),
        ("token-path-encoded-slash-deny", event(&bearer("alice"), "GET", "/pets/7%2F8")),
        ("token-missing-bearer", event("Bearer ", "GET", "/pets")),
        ("token-malformed", event("Bearer not-a-token", "GET", "/pets")),
        ("token-basic-scheme", event("Basic Ym9iOnNlY3JldA==", "GET", "/pets")),
        ("token-expired", event(&with("bob", json!({"exp": 1_704_070_800})), "GET", "/pets")),
        ("token-not-yet-valid", event(&with("bob", json!({"nbf": 4_070_908_800_u64})), "GET", "/pets")),
        ("token-without-expiry", event(&with("bob", json!({"exp": null})), "GET", "/pets")),
        (
            "token-wrong-signature",
            event(&format!("Bearer {bob_header}.{bob_payload}.{signature}"), "GET", "/pets"),
        ),
        ("token-wrong-issuer", event(&with("bob", json!({"iss": stranger})), "GET", "/pets")),
        ("token-wrong-client", event(&with("bob", json!({"client_id": "another-client"})), "GET", "/pets")),
        ("token-wrong-type", event(&with("bob", json!({"token_use": "id"})), "GET", "/pets")),
        ("token-unknown-key", event(&format!("Bearer {unknown_key}"), "GET", "/pets")),
        ("token-algorithm-none", event(&format!("Bearer {none}"), "GET", "/pets")),
        ("event-malformed-arn", json!({"type": "TOKEN", "authorizationToken": bob, "methodArn": "*"})),
        ("event-not-an-authorizer", json!({"key1": "value1", "key2": "value2"})),
    ]
}

fn parts(token: &str) -> (&str, &str, &str) {
    let mut parts = token.split('.');
    let mut part = || parts.next().unwrap();
    (part(), part(), part())
}

#[test]
fn each_file_is_what_its_recipe_makes_and_there_are_no_others() {
    let recipes = recipes();
    for (name, event) in &recipes {
        golden(&root().join("events").join(format!("{name}.json")), &pretty(event));
    }
    let expected: BTreeSet<String> = recipes.iter().map(|(name, _)| format!("{name}.json")).collect();
    let files: BTreeSet<String> = names();
    assert_eq!(files, expected);
}

#[test]
fn each_leads_to_its_golden_answer_by_invoke_and_in_the_running_function() {
    let bundle_uri = format!("file://{}", sample_store().display());
    let environment = [("BUNDLE_URI", bundle_uri.as_str()), ("ALLOW_DEVELOPMENT_KEYS", "true")];
    let function = Function::start(FUNCTION, environment).unwrap();
    for name in names() {
        let path = format!("events/{name}");
        let output = run(&["invoke", &path, "--format", "json"]);
        let invoked: Value = serde_json::from_str(&stdout(&output)).unwrap();
        golden(&root().join("tests/data/answers").join(&name), &pretty(&invoked));

        let event: Value = serde_json::from_str(&fs::read_to_string(root().join(&path)).unwrap()).unwrap();
        let answered = match function.invoke(&event) {
            Answer::Response(response) => json!({"response": response}),
            Answer::Error { error_type, error_message } => {
                json!({"error": {"errorType": error_type, "errorMessage": error_message}})
            }
        };
        for kind in ["response", "error"] {
            assert_eq!(answered.get(kind), invoked.get(kind), "{name}");
        }
        let reason = invoked["explanation"]["reason"].as_str().unwrap();
        assert!(
            function.logs().contains(&format!("\"reason\":\"{reason}\"")),
            "{name}: {reason} is not logged"
        );
        assert_eq!(output.status.code(), Some(exit_code(&name, &invoked)), "{name}");
    }
}

#[test]
fn no_log_line_holds_any_part_of_a_token() {
    let bundle_uri = format!("file://{}", sample_store().display());
    let environment =
        [("BUNDLE_URI", bundle_uri.as_str()), ("CACHE_KEY", "none"), ("ALLOW_DEVELOPMENT_KEYS", "true")];
    let function = Function::start(FUNCTION, environment).unwrap();
    let events: Vec<Value> = recipes().into_iter().map(|(_, event)| event).collect();
    for event in &events {
        function.invoke(event);
    }
    let logs = function.logs();
    for event in &events {
        let tokens = [&event["authorizationToken"], &event["headers"]["Authorization"]];
        for token in tokens.into_iter().filter_map(Value::as_str) {
            for part in token.split(['.', ' ']).filter(|part| part.len() > "Bearer".len()) {
                assert!(!logs.contains(part), "a part of a token is in the log");
            }
        }
    }
}

/// The end of a file name says how the call ends.
fn exit_code(name: &str, invoked: &Value) -> i32 {
    let event: Value =
        serde_json::from_str(&fs::read_to_string(root().join("events").join(name)).unwrap()).unwrap();
    let arn = event["methodArn"].as_str().or(event["routeArn"].as_str());
    let status = match (invoked.get("response"), arn) {
        (Some(response), Some(arn)) => {
            Some(if passes(Some(response), arn, NotResource::Honoured) { "Allow" } else { "Deny" })
        }
        _ => None,
    };
    let (expected, code) = match name.trim_end_matches(".json") {
        name if name.ends_with("-allow") => (Some("Allow"), 0),
        name if name.ends_with("-deny") => (Some("Deny"), 2),
        name if !name.starts_with("event-") => (None, 2),
        _ => (None, 1),
    };
    assert_eq!(status, expected, "{name}");
    let is_unauthorized = invoked["error"]["errorMessage"] == "Unauthorized";
    assert_eq!(is_unauthorized, status.is_none() && code == 2, "{name}");
    code
}

fn names() -> BTreeSet<String> {
    let entries = fs::read_dir(root().join("events")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".json")).collect()
}
