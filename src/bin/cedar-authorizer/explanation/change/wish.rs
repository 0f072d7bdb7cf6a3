//! Wishes: what would make an expression true, or false.

use std::str::FromStr;

use cedar_authorizer::cedar::{EntityId, EntityUid, EvalResult, Expression, eval_expression};
use cedar_authorizer::decide::CedarRequest;
use serde_json::Value;

use crate::explanation::values::json_of;

/// Something about the caller that would make an expression true, or false.
///
/// The paths are accesses: `principal`, `department` or `context`, `token`, `scope`.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    /// The caller is in this group, or is this entity.
    InGroup(EntityUid),
    /// The caller is not in this group.
    NotInGroup(EntityUid),
    /// There is something.
    Present(Vec<String>),
    /// There is nothing.
    Absent(Vec<String>),
    /// This is its value.
    Is(Vec<String>, Value),
    /// Its value is what this expression is.
    IsAs(Vec<String>, String),
    /// This is one of its elements.
    Has(Vec<String>, Value),
    /// What this expression is, is one of its elements.
    HasAs(Vec<String>, String),
    /// This is none of its elements.
    HasNot(Vec<String>, Value),
}

impl Wish {
    /// Whether it gives a value to what another wish is about.
    pub fn fills(&self, other: &Self) -> bool {
        let wanted = match other {
            Self::Present(path) | Self::Is(path, _) | Self::IsAs(path, _) => path,
            _ => return false,
        };
        match self {
            Self::Is(path, _) | Self::IsAs(path, _) | Self::Has(path, _) | Self::HasAs(path, _) => {
                path.starts_with(wanted)
            }
            _ => false,
        }
    }
}

impl Wish {
    /// The same with the value of the expression that it names, if it names one. `None`: that has no value that a claim
    /// can have.
    pub fn resolved(self, CedarRequest { request, entities }: &CedarRequest) -> Option<Self> {
        let value = |expression: &str| {
            let expression = Expression::from_str(expression).ok()?;
            as_claim(&eval_expression(request, entities, &expression).ok()?)
        };
        Some(match self {
            Self::IsAs(path, expression) => Self::Is(path, value(&expression)?),
            Self::HasAs(path, expression) => Self::Has(path, value(&expression)?),
            wish => wish,
        })
    }
}

/// A value as a claim has it.
fn as_claim(value: &EvalResult) -> Option<Value> {
    match value {
        EvalResult::Bool(value) => Some((*value).into()),
        EvalResult::Long(value) => Some((*value).into()),
        EvalResult::String(value) => Some(value.clone().into()),
        EvalResult::Set(set) => set.iter().map(as_claim).collect::<Option<Vec<_>>>().map(Value::from),
        EvalResult::EntityUid(_) | EvalResult::Record(_) | EvalResult::ExtensionValue(_) => None,
    }
}

/// What may make an expression of Cedar true, or false. These are hints: each may do too little or nothing.
pub fn wishes(expression: &str, wanted: bool) -> Vec<Wish> {
    let mut found = Vec::new();
    let json = json_of(expression);
    let conditions = json.as_ref().and_then(|json| json.get("conditions")?.as_array());
    for condition in conditions.into_iter().flatten() {
        if let Some(body) = condition.get("body") {
            collect(body, wanted, &mut found);
        }
    }
    found
}

/// Source of the operators: Cedar Policy Language Reference, "JSON policy format".
fn collect(expression: &Value, wanted: bool, found: &mut Vec<Wish>) {
    let Some((operator, operands)) = expression.as_object().and_then(|object| object.iter().next()) else {
        return;
    };
    let operand = |name: &str| operands.get(name).unwrap_or(&Value::Null);
    let (left, right) = (operand("left"), operand("right"));
    match operator.as_str() {
        "!" => collect(operand("arg"), !wanted, found),
        "&&" | "||" => [left, right].into_iter().for_each(|part| collect(part, wanted, found)),
        "if-then-else" => {
            collect(operand("then"), wanted, found);
            collect(operand("else"), wanted, found);
            collect(operand("if"), true, found);
            collect(operand("if"), false, found);
        }
        "==" => compare(left, right, wanted, found),
        "!=" => compare(left, right, !wanted, found),
        "<" | "<=" | ">" | ">=" => {
            let pair = match (path(left), path(right)) {
                (Some(path), None) => Some((path, literal(right))),
                (None, Some(path)) => Some((path, literal(left))),
                _ => None,
            };
            if let Some((path, Some(Value::Number(bound)))) = pair
                && let Some(bound) = bound.as_i64()
            {
                // One of these is on each side of the bound.
                let near = [bound.saturating_sub(1), bound, bound.saturating_add(1)];
                found.extend(near.into_iter().map(|value| Wish::Is(path.clone(), value.into())));
            }
        }
        "has" => {
            let attribute = match operand("attr") {
                Value::String(name) => vec![name.clone()],
                Value::Array(names) => names.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
                _ => Vec::new(),
            };
            if let Some(of) = path(left) {
                let path = [of, attribute].concat();
                found.push(if wanted { Wish::Present(path) } else { Wish::Absent(path) });
            }
        }
        "." => {
            if let Some(path) = path(expression) {
                found.push(Wish::Is(path, wanted.into()));
            }
        }
        "contains" => {
            if let (Some(path), Some(element)) = (path(left), literal(right)) {
                found.push(if wanted { Wish::Has(path, element) } else { Wish::HasNot(path, element) });
            } else if let (Some(path), Some(other)) = (path(left), written(right).filter(|_| wanted)) {
                found.push(Wish::HasAs(path, other));
            }
        }
        "containsAll" | "containsAny" => {
            if let Some(path) = path(left) {
                let wish = |element| {
                    if wanted {
                        Wish::Has(path.clone(), element)
                    } else {
                        Wish::HasNot(path.clone(), element)
                    }
                };
                found.extend(elements(right).into_iter().map(wish));
            }
        }
        "isEmpty" => {
            if let Some(path) = path(operand("arg")).filter(|_| wanted) {
                found.push(Wish::Absent(path));
            }
        }
        "like" => {
            if let Some(path) = path(left) {
                let texts = ["", "x"].map(|wildcard| example(operand("pattern"), wildcard));
                found.extend(texts.map(|text| Wish::Is(path.clone(), text.into())));
                found.extend((!wanted).then_some(Wish::Absent(path)));
            }
        }
        "in" if is_principal(left) => groups(right, wanted, found),
        "is" if is_principal(left) => groups(operand("in"), wanted, found),
        _ => {}
    }
}

fn compare(left: &Value, right: &Value, wanted: bool, found: &mut Vec<Wish>) {
    for (access, value) in [(left, right), (right, left)] {
        if let (Some(path), Some(other)) = (path(access), written(value)) {
            found.push(if wanted { Wish::IsAs(path, other) } else { Wish::Absent(path) });
        }
        let (Some(path), Some(value)) = (path(access), literal(value)) else {
            continue;
        };
        if wanted {
            found.push(Wish::Is(path, value));
        } else {
            let other = match &value {
                Value::Bool(value) => Some((!value).into()),
                Value::Number(number) => number.as_i64().map(|number| number.saturating_add(1).into()),
                Value::String(text) => Some(format!("not-{text}").into()),
                _ => None,
            };
            found.extend(other.map(|other| Wish::Is(path.clone(), other)));
            found.push(Wish::Absent(path));
        }
    }
}

fn groups(expression: &Value, wanted: bool, found: &mut Vec<Wish>) {
    for value in
        [expression].into_iter().chain(expression.get("Set").and_then(Value::as_array).into_iter().flatten())
    {
        if let Some(uid) = entity(value) {
            found.push(if wanted { Wish::InGroup(uid) } else { Wish::NotInGroup(uid) });
        }
    }
}

fn is_principal(expression: &Value) -> bool {
    expression.get("Var").is_some_and(|variable| variable == "principal")
}

/// The path of an access to the principal or the context: `principal.a`, `context.token.b`.
fn path(expression: &Value) -> Option<Vec<String>> {
    if let Some(variable) = expression.get("Var").and_then(Value::as_str) {
        return ["principal", "context"].contains(&variable).then(|| vec![variable.to_owned()]);
    }
    let access = expression.get(".")?;
    let mut path = path(access.get("left")?)?;
    path.push(access.get("attr")?.as_str()?.to_owned());
    Some(path)
}

/// An access to any variable in Cedar's syntax: `resource["store"]`.
fn written(expression: &Value) -> Option<String> {
    if let Some(variable) = expression.get("Var").and_then(Value::as_str) {
        return Some(variable.to_owned());
    }
    let access = expression.get(".")?;
    Some(format!("{}[{:?}]", written(access.get("left")?)?, access.get("attr")?.as_str()?))
}

/// A literal as the JSON that a claim would be: text, a number, a boolean, or the text of an extension value.
fn literal(expression: &Value) -> Option<Value> {
    if let Some(value) = expression.get("Value") {
        return (!value.is_object()).then(|| value.clone());
    }
    if expression.get("Set").is_some() {
        return Some(Value::Array(elements(expression)));
    }
    let (name, arguments) = expression.as_object()?.iter().next()?;
    let is_constructor = ["datetime", "decimal", "duration", "ip"].contains(&name.as_str());
    literal(arguments.as_array()?.first()?).filter(|_| is_constructor)
}

fn elements(expression: &Value) -> Vec<Value> {
    let set = expression.get("Set").or_else(|| expression.get("Value"));
    let elements = set.and_then(Value::as_array).into_iter().flatten();
    elements
        .filter_map(|element| literal(element).or_else(|| element.is_string().then(|| element.clone())))
        .collect()
}

fn entity(expression: &Value) -> Option<EntityUid> {
    let entity = expression.get("Value")?.get("__entity")?;
    let text = |name: &str| entity.get(name).and_then(Value::as_str);
    Some(EntityUid::from_type_name_and_id(text("type")?.parse().ok()?, EntityId::new(text("id")?)))
}

/// A text that a pattern matches.
fn example(pattern: &Value, wildcard: &str) -> String {
    let parts = pattern.as_array().into_iter().flatten();
    parts.map(|part| part.get("Literal").and_then(Value::as_str).unwrap_or(wildcard)).collect()
}
