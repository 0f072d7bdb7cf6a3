//! Inputs: what the policies read of a request.
//!
//! The answer is syntactic and errs on the side of more: it walks the JSON form of a policy
//! (Cedar Policy Language Reference, "JSON policy format") and takes every attribute that stands
//! in it for one that is read.

use std::collections::BTreeSet;

use cedar_policy::{EntityId, EntityTypeName, EntityUid};
use serde_json::Value;

/// Something that a policy reads: a variable and the attributes below it, as far as they are
/// named. Without attributes it reads the variable as a whole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Read {
    /// The variable.
    pub variable: Variable,
    /// The attributes, outermost first.
    pub path: Vec<String>,
}

/// A variable of Cedar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "Cedar's own words")]
pub enum Variable {
    Action,
    Context,
    Principal,
    Resource,
}

/// What the conditions of a policy or template read. `policy` is its JSON form.
pub fn reads(policy: &Value) -> BTreeSet<Read> {
    let mut reads = BTreeSet::new();
    if let Some(conditions) = policy.get("conditions") {
        collect(conditions, &mut reads);
    }
    reads
}

/// The entities that the conditions of a policy or template name. A policy may ask for their
/// attributes and parents, so they belong to every request.
pub fn named_entities(policy: &Value) -> BTreeSet<EntityUid> {
    let mut found = BTreeSet::new();
    if let Some(conditions) = policy.get("conditions") {
        collect_entities(conditions, &mut found);
    }
    found
}

fn collect_entities(expression: &Value, found: &mut BTreeSet<EntityUid>) {
    if let Some(entity) = expression.get("__entity") {
        let text = |name: &str| entity.get(name).and_then(Value::as_str);
        if let (Some(Ok(entity_type)), Some(id)) =
            (text("type").map(str::parse::<EntityTypeName>), text("id"))
        {
            found.insert(EntityUid::from_type_name_and_id(entity_type, EntityId::new(id)));
        }
    }
    match expression {
        Value::Array(parts) => parts.iter().for_each(|part| collect_entities(part, found)),
        Value::Object(parts) => parts.values().for_each(|part| collect_entities(part, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn collect(expression: &Value, reads: &mut BTreeSet<Read>) {
    if let Some(read) = access(expression) {
        reads.insert(read);
        return;
    }
    // Whatever it is, all that is in it counts.
    match expression {
        Value::Array(parts) => parts.iter().for_each(|part| collect(part, reads)),
        Value::Object(parts) => parts.values().for_each(|part| collect(part, reads)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// `variable`, `variable.a.b` or `variable.a has b`; nothing else.
fn access(expression: &Value) -> Option<Read> {
    let operators = expression.as_object().filter(|object| object.len() == 1)?;
    let (operator, operand) = operators.iter().next()?;
    if operator == "Var" {
        let variable = match operand.as_str()? {
            "action" => Variable::Action,
            "context" => Variable::Context,
            "principal" => Variable::Principal,
            "resource" => Variable::Resource,
            _ => return None,
        };
        return Some(Read { variable, path: Vec::new() });
    }
    if operator != "." && operator != "has" {
        return None;
    }
    let mut read = access(operand.get("left")?)?;
    match operand.get("attr")? {
        Value::String(attribute) => read.path.push(attribute.clone()),
        // `has a.b` names all of its attributes at once.
        Value::Array(attributes) => {
            let names: Option<Vec<&str>> = attributes.iter().map(Value::as_str).collect();
            read.path.extend(names?.into_iter().map(str::to_owned));
        }
        _ => return None,
    }
    Some(read)
}

#[cfg(test)]
mod tests {
    use cedar_policy::Policy;

    use super::*;

    fn printed(condition: &str) -> Vec<String> {
        let text = format!("permit (principal, action, resource) when {{ {condition} }};");
        let policy = Policy::parse(None, text).unwrap().to_json().unwrap();
        let print = |read: Read| format!("{:?} {}", read.variable, read.path.join("."));
        reads(&policy).into_iter().map(print).collect()
    }

    #[test]
    fn the_entities_of_conditions_are_named() {
        let text = "permit (principal in G::\"scope\", action, resource) when { [X::\"a\"].contains(A::B::\"b\".c) };";
        let policy = Policy::parse(None, text).unwrap().to_json().unwrap();
        let named: Vec<String> = named_entities(&policy).iter().map(ToString::to_string).collect();
        assert_eq!(named, ["A::B::\"b\"", "X::\"a\""]);
    }

    #[test]
    fn an_attribute_is_read_wherever_it_stands() {
        for (condition, expected) in [
            ("true", vec![]),
            ("principal.email == \"a\"", vec!["Principal email"]),
            ("principal[\"custom:x\"] == 1", vec!["Principal custom:x"]),
            (
                "context has token && context.token.scope.contains(\"a\")",
                vec!["Context token", "Context token.scope"],
            ),
            ("principal has a.b", vec!["Principal a.b"]),
            ("[context.a, {\"x\": resource.b}].contains(1)", vec!["Context a", "Resource b"]),
            ("if context.a then context.b else context.c", vec!["Context a", "Context b", "Context c"]),
            ("ip(context.ip).isInRange(ip(\"10.0.0.0/8\"))", vec!["Context ip"]),
            ("principal.name like \"a*\" || !(principal.age < 5)", vec!["Principal age", "Principal name"]),
            ("(if true then principal else resource).a == 1", vec!["Principal ", "Resource "]),
            ("context == {}", vec!["Context "]),
            ("principal in resource.owners", vec!["Principal ", "Resource owners"]),
            ("resource.getTag(principal.key) == 1", vec!["Principal key", "Resource "]),
            ("{\"Var\": \"principal\"}.Var == 1", vec![]),
        ] {
            assert_eq!(printed(condition), expected, "{condition}");
        }
    }
}
