//! What API Gateway does with an answer of the function.

use cedar_authorizer::grant::matches;
use serde_json::{Map, Value};

/// What comes of a call, given the answer of the function to it or to an earlier call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The backend is called, and gets these values.
    Allow {
        /// The `context` of the answer.
        context: Map<String, Value>,
    },
    /// A statement denies it.
    ExplicitDeny,
    /// No statement is about it. A resource policy of the API may still allow it.
    ImplicitDeny,
}

/// Applies an answer, as JSON, to a call of this ARN: the IAM policy is evaluated, or the boolean of a simple response
/// is taken.
///
/// Source: Developer Guide, "API Gateway authorization flow"; IAM User Guide, "Policy evaluation logic".
pub fn apply(answer: &Value, arn: &str) -> Applied {
    let context = || answer.get("context").and_then(Value::as_object).cloned().unwrap_or_default();
    if let Some(is_authorized) = answer.get("isAuthorized") {
        return match is_authorized {
            Value::Bool(true) => Applied::Allow { context: context() },
            _ => Applied::ExplicitDeny,
        };
    }
    // IAM takes one statement without a list, too.
    let statements = match answer.pointer("/policyDocument/Statement") {
        Some(Value::Array(statements)) => statements.as_slice(),
        Some(statement) => std::slice::from_ref(statement),
        None => &[],
    };
    let effects = || {
        let applying = statements.iter().filter(|statement| applies(statement, arn));
        applying.filter_map(|statement| statement.get("Effect")?.as_str())
    };
    if effects().any(|effect| effect == "Deny") {
        Applied::ExplicitDeny
    } else if effects().any(|effect| effect == "Allow") {
        Applied::Allow { context: context() }
    } else {
        Applied::ImplicitDeny
    }
}

fn applies(statement: &Value, arn: &str) -> bool {
    let any = |patterns: &Value, is_match: &dyn Fn(&str) -> bool| match patterns {
        Value::String(pattern) => is_match(pattern),
        Value::Array(patterns) => patterns.iter().filter_map(Value::as_str).any(is_match),
        _ => false,
    };
    let any_matches = |patterns: &Value| any(patterns, &|pattern| matches(pattern, arn));
    // IAM does not tell the case of actions apart (IAM User Guide, "Action").
    let is_invoke = |pattern: &str| matches(&pattern.to_ascii_lowercase(), INVOKE);
    if !statement.get("Action").is_some_and(|actions| any(actions, &is_invoke)) {
        return false;
    }
    match (statement.get("Resource"), statement.get("NotResource")) {
        (Some(patterns), None) => any_matches(patterns),
        (None, Some(patterns)) => !any_matches(patterns),
        _ => false,
    }
}

/// The action of a call, in lower case.
const INVOKE: &str = "execute-api:invoke";
