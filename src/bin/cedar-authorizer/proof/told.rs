//! A request in words.

use cedar_authorizer::cedar::EntityUid;
use cedar_authorizer::token::identity_source::IdentitySource;
use serde_json::{Map, Value};

use super::request;
use crate::output::printable;

/// The request, a line for each thing: who, with which claims and groups, when, from where, to what.
pub fn told(asked: &Value, sources: &[IdentitySource]) -> Vec<String> {
    let Some(principal) = request::uid(asked, "principal") else { return Vec::new() };
    let mut lines = vec![caller(asked, &principal, sources)];
    if let Some(attributes) = request::description(asked, &principal).and_then(|entity| entity.get("attrs")) {
        lines.extend(claims(attributes, ""));
    }
    let context = asked.get("context").and_then(Value::as_object);
    for (name, value) in context.into_iter().flatten() {
        match (name.as_str(), value) {
            ("token", token) => lines.extend(claims(token, "")),
            ("http", Value::Object(fields)) => {
                lines.extend(fields.iter().map(|(name, value)| http(name, value)))
            }
            (name, Value::Object(fields)) if !is_escape(value) => {
                let inner = fields.iter();
                lines.extend(inner.map(|(inner, value)| format!("with {name}.{inner} {}", shown(value))));
            }
            (name, value) => lines.push(format!("with {name} {}", shown(value))),
        }
    }
    if let Some(resource) = request::uid(asked, "resource") {
        lines.push(match request::description(asked, &resource) {
            Some(entity) if resource != principal => {
                let fields = entity.get("attrs").and_then(Value::as_object).map(listed).unwrap_or_default();
                format!("to {resource}{}{fields}", groups_of(entity, " in "))
            }
            _ => format!("to {resource}"),
        });
        for other in request::entities(asked) {
            let uid = other.get("uid").and_then(|uid| EntityUid::from_json(uid.clone()).ok());
            if let (Some(uid), Some(entity)) = (uid, other.as_object())
                && uid != principal
                && uid != resource
            {
                let fields = entity.get("attrs").and_then(Value::as_object).map(listed).unwrap_or_default();
                lines.push(format!("where {uid} is{}{fields}", groups_of(entity, " in ")));
            }
        }
    }
    lines.iter().map(|line| printable(line)).collect()
}

/// `a caller in group `admin``.
fn caller(asked: &Value, principal: &EntityUid, sources: &[IdentitySource]) -> String {
    let parents = request::description(asked, principal).and_then(|entity| entity.get("parents"));
    let parents = parents.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let groups = parents.iter().filter_map(|parent| EntityUid::from_json(parent.clone()).ok());
    let mut groups: Vec<String> =
        groups.map(|group| format!("`{}`", without_prefix(&group, sources))).collect();
    groups.sort();
    let id = principal.id().unescaped();
    let who = if id == SOMEONE || id.ends_with("|someone") {
        "a caller".to_owned()
    } else {
        format!("the caller {principal}")
    };
    match groups.as_slice() {
        [] => format!("{who} in no group"),
        [group] => format!("{who} in group {group}"),
        groups => format!("{who} in groups {}", groups.join(", ")),
    }
}

/// The name of a group, as a token has it.
fn without_prefix(group: &EntityUid, sources: &[IdentitySource]) -> String {
    let id = group.id().unescaped();
    let name =
        sources.iter().filter(|source| source.group_type() == Some(group.type_name())).find_map(|source| {
            match source.id_prefix() {
                Some(prefix) => id.strip_prefix(prefix)?.strip_prefix('|'),
                None => Some(id),
            }
        });
    name.map_or_else(|| group.to_string(), str::to_owned)
}

/// `whose claim `department` is "x"`.
fn claims(record: &Value, before: &str) -> Vec<String> {
    let members = record.as_object().into_iter().flatten();
    let lines = members.flat_map(|(name, value)| match value {
        Value::Object(_) if !is_escape(value) => claims(value, &format!("{before}{name}.")),
        value => vec![format!("whose claim `{before}{name}` is {}", shown(value))],
    });
    lines.collect()
}

fn http(name: &str, value: &Value) -> String {
    match name {
        "sourceIp" => format!("from {}", shown(value)),
        "requestTime" => format!("at {}", shown(value)),
        "headers" => format!("with the headers {}", shown(value)),
        name => format!("with the {name} {}", shown(value)),
    }
}

fn groups_of(entity: &Map<String, Value>, word: &str) -> String {
    let parents = entity.get("parents").and_then(Value::as_array).into_iter().flatten();
    let names: Vec<String> =
        parents.filter_map(|parent| Some(EntityUid::from_json(parent.clone()).ok()?.to_string())).collect();
    if names.is_empty() { String::new() } else { format!("{word}{}", names.join(", ")) }
}

fn listed(fields: &Map<String, Value>) -> String {
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name} {}", shown(value))).collect();
    if fields.is_empty() { String::new() } else { format!(" with {}", fields.join(", ")) }
}

fn is_escape(value: &Value) -> bool {
    value.get("__entity").is_some() || value.get("__extn").is_some()
}

/// A value as Cedar writes it.
fn shown(value: &Value) -> String {
    if let Some(uid) = value.get("__entity").and_then(|uid| EntityUid::from_json(uid.clone()).ok()) {
        return uid.to_string();
    }
    let Some(call) = value.get("__extn") else {
        return value.to_string();
    };
    // A date is written as an offset of the epoch: the inner calls are the parts of it.
    let argument = call.get("arg").or_else(|| call.get("args")).unwrap_or(call);
    match argument {
        Value::String(text) => text.clone(),
        other => {
            let parts = other.as_array().into_iter().flatten().map(shown);
            parts.collect::<Vec<_>>().join(" + ")
        }
    }
}

const SOMEONE: &str = "someone";
