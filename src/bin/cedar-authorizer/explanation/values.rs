//! The values that a clause saw.

use std::str::FromStr;

use cedar_authorizer::cedar::{EvalResult, Expression, Policy, eval_expression};
use cedar_authorizer::decide::CedarRequest;
use cedar_authorizer::store::inputs::{self, AttributeRead, Variable};
use serde::Serialize;

/// Something that a clause reads.
pub struct Read {
    /// As Cedar writes it: `context.token.scope`.
    path: String,
    expression: Option<Expression>,
}

/// Something that a clause read, and what it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SeenValue {
    /// As Cedar writes it: `context.token.scope`.
    pub path: String,
    /// As Cedar writes it. `None`: it is missing.
    pub value: Option<String>,
}

/// What an expression reads. Variables as a whole come last, and only if nothing else is read of them.
pub fn reads(expression: &str) -> Vec<Read> {
    let all: Vec<AttributeRead> =
        json_of(expression).map(|json| inputs::reads(&json).into_iter().collect()).unwrap_or_default();
    // Of `context.a has b && context.a.b.c == 1`, the last says all.
    let says_more = |read: &AttributeRead, other: &AttributeRead| {
        other.variable == read.variable
            && other.path.len() > read.path.len()
            && other.path.starts_with(&read.path)
    };
    let shown = all.iter().filter(|read| !all.iter().any(|other| says_more(read, other)));
    shown.map(Read::new).collect()
}

impl Read {
    fn new(read: &AttributeRead) -> Self {
        let path = path(read);
        let expression = Expression::from_str(&path).ok();
        Self { path, expression }
    }

    /// What it is in a request.
    pub fn value(&self, CedarRequest { request, entities }: &CedarRequest) -> SeenValue {
        let value = self.expression.as_ref();
        let value = value.and_then(|expression| eval_expression(request, entities, expression).ok());
        SeenValue { path: self.path.clone(), value: value.as_ref().map(shown) }
    }
}

/// A value as Cedar writes it, with sets in order.
fn shown(value: &EvalResult) -> String {
    match value {
        EvalResult::Set(set) => {
            let mut elements: Vec<String> = set.iter().map(shown).collect();
            elements.sort();
            format!("[{}]", elements.join(", "))
        }
        EvalResult::Record(record) => {
            let mut members: Vec<String> =
                record.iter().map(|(name, value)| format!("{}: {}", member(name), shown(value))).collect();
            members.sort();
            format!("{{{}}}", members.join(", "))
        }
        EvalResult::String(text) => format!("{text:?}"),
        other => other.to_string(),
    }
}

/// An access in Cedar's syntax.
fn path(read: &AttributeRead) -> String {
    let variable = match read.variable {
        Variable::Action => "action",
        Variable::Context => "context",
        Variable::Principal => "principal",
        Variable::Resource => "resource",
    };
    read.path.iter().fold(variable.to_owned(), |path, name| {
        if is_identifier(name) { format!("{path}.{name}") } else { format!("{path}[{name:?}]") }
    })
}

fn member(name: &str) -> String {
    if is_identifier(name) { name.to_owned() } else { format!("{name:?}") }
}

fn is_identifier(name: &str) -> bool {
    name.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_')
        && name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
        && Expression::from_str(&format!("context.{name}")).is_ok()
}

/// An expression in Cedar's JSON form, as the condition of a policy.
pub fn json_of(expression: &str) -> Option<serde_json::Value> {
    let policy = format!("permit (principal, action, resource) when {{ {expression}\n}};");
    Policy::parse(None, policy).ok()?.to_json().ok()
}
