//! What API Gateway makes of what an authorizer said.

use serde_json::Value;

use super::authorizer::Said;
use crate::serve::api::Kind;

/// What comes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is an answer: it is applied to the call, and may be kept.
    Answer,
    /// The client gets 401.
    Unauthorized,
    /// The client gets 500. Says why, for people.
    Fault(String),
}

/// Reads what was said to an authorizer of this kind.
pub fn of(said: &Said, kind: Kind) -> Verdict {
    if said.is_error {
        let message = said.json.get("errorMessage").and_then(Value::as_str).unwrap_or_default();
        let error_type = said.json.get("errorType").and_then(Value::as_str);
        return match message {
            UNAUTHORIZED => Verdict::Unauthorized,
            // The message is ours, and says it all.
            _ if error_type == Some(UNREACHABLE) => Verdict::Fault(message.to_owned()),
            _ => Verdict::Fault(format!("the authorizer failed: {message}")),
        };
    }
    if said.bytes > MAX_BYTES {
        return Verdict::Fault(format!("the answer has {} bytes, and may have {MAX_BYTES}", said.bytes));
    }
    let checked =
        if kind == Kind::HttpSimple { check_simple(&said.json) } else { check_policy(&said.json, kind) };
    match checked {
        Ok(()) => Verdict::Answer,
        Err(problem) => Verdict::Fault(problem.to_owned()),
    }
}

fn check_simple(answer: &Value) -> Result<(), &'static str> {
    match answer.get("isAuthorized") {
        Some(Value::Bool(_)) => check_context(answer, Kind::HttpSimple),
        Some(_) => Err("`isAuthorized` is not a boolean"),
        None if answer.get("policyDocument").is_some() => {
            Err("the answer is an IAM policy, but the authorizer is set to simple responses")
        }
        None => Err("the answer has no `isAuthorized`"),
    }
}

fn check_policy(answer: &Value, kind: Kind) -> Result<(), &'static str> {
    // Beside a policy, too: which of them counts is not documented.
    if answer.get("isAuthorized").is_some() {
        return Err("the answer is a simple response, but the authorizer is set to IAM policies");
    }
    if answer.get("principalId").and_then(Value::as_str).is_none_or(str::is_empty) {
        return Err("the answer has no `principalId`");
    }
    let statements = match answer.pointer("/policyDocument/Statement") {
        Some(Value::Array(statements)) => statements.as_slice(),
        Some(statement @ Value::Object(_)) => std::slice::from_ref(statement),
        _ => return Err("the answer has no `policyDocument` with a `Statement`"),
    };
    // Whatever cannot be read may be a denial, so the answer as a whole is malformed.
    match answer.pointer("/policyDocument/Version") {
        None => {}
        Some(Value::String(version)) if VERSIONS.contains(&version.as_str()) => {}
        Some(_) => return Err("the `Version` of `policyDocument` is none of IAM's"),
    }
    for statement in statements {
        let has = |name: &str| statement.get(name).is_some();
        if !matches!(statement.get("Effect").and_then(Value::as_str), Some("Allow" | "Deny")) {
            return Err("the `Effect` of a statement is neither `Allow` nor `Deny`");
        }
        if has("Resource") == has("NotResource") {
            return Err("a statement needs either `Resource` or `NotResource`");
        }
        if !has("Action") {
            return Err("a statement has no `Action`");
        }
        let are_texts = |name: &str| match statement.get(name) {
            None | Some(Value::String(_)) => true,
            Some(Value::Array(texts)) => !texts.is_empty() && texts.iter().all(Value::is_string),
            Some(_) => false,
        };
        if !["Action", "Resource", "NotResource"].into_iter().all(are_texts) {
            return Err(
                "`Action`, `Resource` or `NotResource` of a statement is neither a text nor a list of texts",
            );
        }
        if has("Condition") {
            return Err("a statement has a `Condition`, which is not evaluated here");
        }
        if has("NotAction") || has("Principal") || has("NotPrincipal") {
            return Err(
                "a statement has `NotAction`, `Principal` or `NotPrincipal`, which is not evaluated here",
            );
        }
    }
    check_context(answer, kind)
}

fn check_context(answer: &Value, kind: Kind) -> Result<(), &'static str> {
    match answer.get("context") {
        None | Some(Value::Null) => Ok(()),
        Some(Value::Object(members)) => {
            let is_flat = |value: &Value| !matches!(value, Value::Array(_) | Value::Object(_));
            // HTTP APIs take lists and objects.
            if kind.is_rest() && !members.values().all(is_flat) {
                return Err("`context` has a list or an object, which only HTTP APIs take");
            }
            Ok(())
        }
        Some(_) => Err("`context` is not an object"),
    }
}

/// The type of the error if an authorizer elsewhere gives no answer that can be read.
pub const UNREACHABLE: &str = "Unreachable";

/// API Gateway turns exactly this message into 401.
const UNAUTHORIZED: &str = "Unauthorized";

/// IAM User Guide, "IAM JSON policy elements: Version".
const VERSIONS: [&str; 2] = ["2012-10-17", "2008-10-17"];

/// Service Quotas, "Lambda authorizer result size".
const MAX_BYTES: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(json: Value) -> Said {
        let bytes = json.to_string().len();
        Said { json, is_error: false, bytes, decided: None, log: None }
    }

    fn policy() -> Value {
        json!({
            "principalId": "alice",
            "policyDocument": {
                "Version": "2012-10-17",
                "Statement": [{"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "*"}],
            },
            "context": {"a": "b", "c": 1, "d": true, "e": null},
        })
    }

    fn with(pointer: &str, value: Value) -> Value {
        let mut answer = policy();
        *answer.pointer_mut(pointer).unwrap() = value;
        answer
    }

    fn without(pointer: &str, name: &str) -> Value {
        let mut answer = policy();
        answer.pointer_mut(pointer).unwrap().as_object_mut().unwrap().remove(name);
        answer
    }

    #[test]
    fn an_answer_is_one_of_the_form_that_its_kind_takes() {
        let simple = json!({"isAuthorized": true, "context": {"a": ["b"]}});
        for (kind, answer) in [
            (Kind::RestRequest, policy()),
            (Kind::RestToken, without("", "context")),
            (Kind::RestToken, without("/policyDocument", "Version")),
            (Kind::RestToken, with("/policyDocument/Statement/0/Resource", json!(["a", "b"]))),
            (Kind::Http, with("/context", json!({"a": [1], "b": {}}))),
            (Kind::HttpV1, policy()),
            (Kind::WebSocket, with("/context", Value::Null)),
            (
                Kind::RestRequest,
                with("/policyDocument/Statement", policy()["policyDocument"]["Statement"][0].clone()),
            ),
            (Kind::HttpSimple, simple),
        ] {
            assert_eq!(of(&said(answer.clone()), kind), Verdict::Answer, "{kind:?} {answer}");
        }
    }

    #[test]
    fn any_other_answer_is_a_fault() {
        let statement = "/policyDocument/Statement/0";
        for (kind, answer) in [
            (Kind::RestRequest, Value::Null),
            (Kind::RestRequest, json!([])),
            (Kind::RestRequest, json!("Allow")),
            (Kind::RestRequest, json!({"isAuthorized": true})),
            (Kind::RestRequest, {
                let mut both = with("/policyDocument/Statement/0/Effect", json!("Deny"));
                both["isAuthorized"] = json!(true);
                both
            }),
            (Kind::RestRequest, without("", "principalId")),
            (Kind::RestRequest, with("/principalId", json!(""))),
            (Kind::RestRequest, with("/principalId", json!(7))),
            (Kind::RestRequest, without("", "policyDocument")),
            (Kind::RestRequest, without("/policyDocument", "Statement")),
            (Kind::RestRequest, with("/policyDocument/Statement", json!("*"))),
            (Kind::RestRequest, without(statement, "Effect")),
            (Kind::RestRequest, with(&format!("{statement}/Effect"), json!("allow"))),
            (Kind::RestRequest, without(statement, "Resource")),
            (Kind::RestRequest, without(statement, "Action")),
            (
                Kind::RestRequest,
                with(statement, json!({"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {}})),
            ),
            (Kind::RestRequest, with(&format!("{statement}/Action"), json!(7))),
            (Kind::RestRequest, with(&format!("{statement}/Action"), json!([]))),
            (Kind::RestRequest, with(&format!("{statement}/Resource"), json!(["*", 7]))),
            (Kind::RestRequest, with(&format!("{statement}/Resource"), json!([]))),
            (Kind::RestRequest, with(&format!("{statement}/Resource"), json!(null))),
            (Kind::RestRequest, with(statement, json!({"Effect": "Deny", "Action": "*", "NotResource": {}}))),
            (
                Kind::RestRequest,
                with(statement, json!({"Effect": "Deny", "Action": "*", "NotAction": "*", "Resource": "*"})),
            ),
            (
                Kind::RestRequest,
                with(statement, json!({"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"})),
            ),
            (Kind::RestRequest, with("/policyDocument/Version", json!("2012"))),
            (Kind::RestRequest, with("/policyDocument/Version", json!(null))),
            (Kind::RestRequest, with("/context", json!({"a": [1]}))),
            (Kind::WebSocket, with("/context", json!({"a": {}}))),
            (Kind::RestRequest, with("/context", json!(7))),
            (Kind::RestRequest, with("/context", json!({"a": "x".repeat(8 * 1024)}))),
            (Kind::HttpSimple, policy()),
            (Kind::HttpSimple, json!({"isAuthorized": "true"})),
            (Kind::HttpSimple, json!({})),
            (Kind::HttpSimple, json!({"isAuthorized": true, "context": 7})),
            (Kind::Http, json!({"isAuthorized": true})),
        ] {
            let verdict = of(&said(answer.clone()), kind);
            assert!(matches!(verdict, Verdict::Fault(_)), "{kind:?} {answer}: {verdict:?}");
        }
    }

    #[test]
    fn exactly_one_message_is_no_fault() {
        assert_eq!(of(&Said::error("x", "Unauthorized"), Kind::RestToken), Verdict::Unauthorized);
        for message in ["unauthorized", "Unauthorized ", "Error: Unauthorized", ""] {
            assert!(
                matches!(of(&Said::error("x", message), Kind::RestToken), Verdict::Fault(_)),
                "{message}"
            );
        }
    }
}
