//! Expressions in Cedar's JSON form, put together.

use cedar_authorizer::cedar::EntityUid;
use serde_json::{Value, json};

/// Always true.
pub fn truth() -> Value {
    json!({"Value": true})
}

/// A variable of the request: `principal`, `action`, `resource`, `context`.
pub fn variable(name: &str) -> Value {
    json!({"Var": name})
}

/// An entity.
pub fn entity(uid: &EntityUid) -> Value {
    let reference = json!({"type": uid.type_name().to_string(), "id": uid.id().unescaped()});
    json!({"Value": {"__entity": reference}})
}

/// An operator with two sides: `==`, `in`, `&&`.
pub fn binary(operator: &str, left: Value, right: Value) -> Value {
    json!({operator: {"left": left, "right": right}})
}

/// The opposite.
pub fn not(expression: Value) -> Value {
    json!({"!": {"arg": expression}})
}

/// True if all are, from left to right. True if there are none.
pub fn all(expressions: Vec<Value>) -> Value {
    tree("&&", expressions).unwrap_or_else(truth)
}

/// True if one is. `None`: there are none.
pub fn any(expressions: Vec<Value>) -> Option<Value> {
    tree("||", expressions)
}

/// A tree that is as flat as it can be: what walks it may be recursive.
fn tree(operator: &str, mut expressions: Vec<Value>) -> Option<Value> {
    if expressions.len() <= 1 {
        return expressions.pop();
    }
    let right = expressions.split_off(expressions.len() / 2);
    Some(binary(operator, tree(operator, expressions)?, tree(operator, right)?))
}

/// A policy for everything of which this is true.
pub fn permit_when(condition: Value) -> Value {
    let any = json!({"op": "All"});
    json!({
        "effect": "permit", "principal": any, "action": any, "resource": any,
        "conditions": [{"kind": "when", "body": condition}],
    })
}

/// Whether evaluating a valid expression can end in an error. Cedar's validator leaves overflows, extension values of
/// texts that are not written out, and attributes of entities that are not there: see [`super::existence`].
pub fn may_err(expression: &Value) -> bool {
    match expression {
        Value::Object(members) => members.iter().any(|(name, inner)| match name.as_str() {
            "Value" | "Var" => false,
            "Record" => inner.as_object().is_none_or(|fields| fields.values().any(may_err)),
            "like" | "has" | "is" | "." => {
                inner.get("left").is_none_or(may_err) || inner.get("in").is_some_and(may_err)
            }
            name if CONSTRUCTORS.contains(&name) => !is_literal(inner),
            name if TOTAL.contains(&name) => may_err(inner),
            _ => true,
        }),
        Value::Array(items) => items.iter().any(may_err),
        _ => false,
    }
}

fn is_literal(arguments: &Value) -> bool {
    let mut arguments = arguments.as_array().into_iter().flatten();
    arguments.all(|argument| argument.get("Value").is_some_and(Value::is_string))
}

/// Extension functions that read a text, which the validator has checked if it is written out.
const CONSTRUCTORS: [&str; 4] = ["datetime", "decimal", "duration", "ip"];

/// Operators and functions that have a value for all arguments of their types, and the names of their parts.
const TOTAL: [&str; 33] = [
    "!",
    "!=",
    "&&",
    "<",
    "<=",
    "==",
    ">",
    ">=",
    "Set",
    "arg",
    "contains",
    "containsAll",
    "containsAny",
    "else",
    "getTag",
    "greaterThan",
    "greaterThanOrEqual",
    "hasTag",
    "if",
    "if-then-else",
    "in",
    "isEmpty",
    "isInRange",
    "isIpv4",
    "isIpv6",
    "isLoopback",
    "isMulticast",
    "left",
    "lessThan",
    "lessThanOrEqual",
    "right",
    "then",
    "||",
];

#[cfg(test)]
mod tests {
    use cedar_authorizer::cedar::Policy;

    use super::*;

    fn condition(text: &str) -> Value {
        let policy = Policy::parse(None, format!("permit(principal, action, resource) when {{ {text} }};"));
        policy.unwrap().to_json().unwrap()["conditions"][0]["body"].clone()
    }

    #[test]
    fn what_may_err_is_found() {
        for text in [
            "context has a && context.a == 1",
            "context.ip.isInRange(ip(\"10.0.0.0/8\"))",
            "if principal in G::\"a\" then true else context.name like \"a*\"",
            "context.price.lessThan(decimal(\"1.50\"))",
            "[1, 2].contains(context.n) || principal is User in G::\"b\"",
            "{a: 1} == {a: 2}",
        ] {
            assert!(!may_err(&condition(text)), "{text}");
        }
        for text in [
            "context.n + 1 > 2",
            "-context.n > 2",
            "ip(context.text).isIpv4()",
            "context.at.offset(duration(\"1h\")) > context.now",
            "[1, context.n * 2].contains(4)",
            "{a: context.n - 1} == {a: 2}",
            "(if context.n * 2 == 4 then context else context) has a",
        ] {
            assert!(may_err(&condition(text)), "{text}");
        }
    }
}
