//! The lines of a shadow bundle: the samples that the unit tests of the reader use are what the function writes.

use std::fs;

use serde_json::json;

use crate::loopback::Function;
use crate::world::{FUNCTION, StoreCopy, event, golden, root, token};

#[test]
fn the_samples_are_what_the_function_writes() {
    let (served, candidate) = (StoreCopy::new(), StoreCopy::new());
    let policies = "@id(\"no-more-lists\")\n\
                    forbid (principal, action == PetStore::Action::\"get /pets\", resource);\n\
                    @id(\"every \\\"one\\\" adds\")\n\
                    @accept(\"permit-for-everyone\")\n\
                    permit (principal, action == PetStore::Action::\"post /pets\", resource);";
    candidate.write("policies/candidate.cedar", policies.as_bytes());
    // A candidate that knows no issuer refuses all tokens.
    let stranger = StoreCopy::new();
    let source = stranger.path().join("identity-sources/cognito.json");
    fs::write(
        &source,
        fs::read_to_string(&source).unwrap().replace("us-east-1_EXAMPLE", "us-east-1_ANOTHER"),
    )
    .unwrap();
    for (format, name) in [("JSON", "json.log"), ("Text", "text.log")] {
        let mut lines = String::new();
        for shadow in [&candidate, &stranger] {
            let environment = [
                ("BUNDLE_URI", served.uri()),
                ("SHADOW_BUNDLE_URI", shadow.uri()),
                ("CACHE_KEY", "none".to_owned()),
                ("ALLOW_DEVELOPMENT_KEYS", "true".to_owned()),
                ("AWS_LAMBDA_LOG_FORMAT", format.to_owned()),
            ];
            let function = Function::start(FUNCTION, environment).unwrap();
            for (persona, verb, path) in [
                ("alice", "GET", "/pets"),
                ("bob", "POST", "/pets"),
                ("alice", "GET", "/pets"),
                ("bob", "GET", "/"),
            ] {
                function.invoke(&event(&token(persona, json!({})), verb, path));
            }
            lines += &function.logs();
        }
        golden(&root().join("tests/data/shadow").join(name), &masked(&lines));
    }
}

/// The lines without what differs from one run to the next: times, and the ids of invocations.
fn masked(lines: &str) -> String {
    let mut masked = String::new();
    for line in lines.lines().filter(|line| line.contains("the shadow bundle differs")) {
        let mut line = line.to_owned();
        for (from, to) in [("\"timestamp\":\"", "\""), ("\"requestId\":\"", "\""), ("requestId=\"", "\"")] {
            if let Some((before, rest)) = line.split_once(from) {
                let (_, after) = rest.split_once(to).unwrap();
                line = format!("{before}{from}…{to}{after}");
            }
        }
        masked += &(line + "\n");
    }
    masked
}
