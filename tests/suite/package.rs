//! What is deployed, tried out before it is real: the executable of the package under a Runtime API, with the variables
//! of the templates.
//!
//! `CEDAR_AUTHORIZER_BOOTSTRAP` names the executable, as `cargo lambda build` or `sam build` leaves it. Without it, the
//! one of this build is taken.

use std::env;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::loopback::{Answer, Function};
use crate::world::{FUNCTION, bundle_bytes, root};

fn executable() -> PathBuf {
    env::var_os("CEDAR_AUTHORIZER_BOOTSTRAP").map_or_else(|| PathBuf::from(FUNCTION), PathBuf::from)
}

/// One of each kind of API, and one of each answer.
const EVENTS: [&str; 10] = [
    "token-get-pets-allow",
    "token-post-pets-deny",
    "token-expired",
    "token-path-encoded-slash-deny",
    "rest-get-pet-allow",
    "rest-post-pets-deny",
    "http1-get-pets-allow",
    "http2-get-pet-allow",
    "websocket-connect-missing-token",
    "event-not-an-authorizer",
];

#[test]
fn the_package_answers_ten_events() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("petstore.bundle");
    // The golden answers are those of a store that was not published.
    fs::write(&bundle, bundle_bytes(0)).unwrap();
    let bundle_uri = format!("file://{}", bundle.display());
    let variables = [
        ("BUNDLE_URI", bundle_uri.as_str()),
        ("BUNDLE_NAME", "petstore"),
        ("CACHE_KEY", "token"),
        ("USER_POOL_ARN", "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_EXAMPLE"),
        ("USER_POOL_CLIENT_IDS", "1example23456789"),
        ("ALLOW_DEVELOPMENT_KEYS", "true"),
    ];
    let function = Function::start(executable(), variables).map_err(|failure| failure.message).unwrap();
    for name in EVENTS {
        let read = |folder: &str| -> Value {
            let path = root().join(folder).join(format!("{name}.json"));
            serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
        };
        let answered = match function.invoke(&read("events")) {
            Answer::Response(response) => json!({"response": response}),
            Answer::Error { error_type, error_message } => {
                json!({"error": {"errorType": error_type, "errorMessage": error_message}})
            }
        };
        let expected = read("tests/data/answers");
        for kind in ["response", "error"] {
            assert_eq!(answered.get(kind), expected.get(kind), "{name}");
        }
    }
}
