//! Whether a request has the shape that its operation takes.

use std::collections::HashMap;
use std::fmt::{Display, Write as _};
use std::sync::{LazyLock, RwLock};

use regex_lite::Regex;
use serde_json::{Map, Value};

use super::super::error::{Field, ServiceError};
use super::{Length, Presence, Shape, Structure, Text, operations};
use crate::locks;
use crate::output::{many, plural};

/// Checks a request, and removes members that are `null`: for AWS they are absent.
///
/// # Errors
/// `UnknownOperation`, or one `Validation` that names every fault. No message repeats a value: it may be a secret.
pub fn check(operation: &str, input: &mut Value) -> Result<(), ServiceError> {
    let operation = operations::named(operation).ok_or(ServiceError::UnknownOperation)?;
    let mut check = Check { path: String::new(), fields: Vec::new(), faults: 0 };
    check.structure(&operation.input, input);
    let Some(first) = check.fields.first() else { return Ok(()) };
    let message = format!("{}: `{}` {}", plural(check.faults, "invalid member"), first.path, first.message);
    Err(ServiceError::Validation { message, fields: check.fields })
}

/// A walk through a request. Its depth is that of the JSON, which the parser bounds.
struct Check {
    /// Where it is: `requests[3].action`.
    path: String,
    /// The first faults.
    fields: Vec<Field>,
    /// How many faults there are.
    faults: usize,
}

impl Check {
    fn value(&mut self, shape: Shape, value: &mut Value) {
        match shape {
            Shape::Boolean if !value.is_boolean() => self.fault("is not a boolean"),
            Shape::Boolean => {}
            Shape::Integer { min } => self.integer(min, value),
            Shape::List(list) => self.list(list, value),
            Shape::Long if value.as_i64().is_none() => self.fault("is not an integer of 64 bits"),
            Shape::Long => {}
            Shape::Map(map) => self.map(map, value),
            Shape::Structure(structure) => self.structure(structure, value),
            Shape::Text(text) => self.text(&text, value),
            // Only answers have it.
            Shape::Timestamp => {}
            Shape::Union(union) => self.union(union, value),
        }
    }

    fn structure(&mut self, structure: &Structure, value: &mut Value) {
        let Some(members) = self.members(structure, value) else { return };
        for member in structure.members {
            match members.get_mut(member.name) {
                Some(value) => self.at_member(member.name, |check| check.value(member.shape, value)),
                None if member.presence == Presence::Required => {
                    self.at_member(member.name, |check| check.fault("is required"));
                }
                None => {}
            }
        }
    }

    fn union(&mut self, union: &Structure, value: &mut Value) {
        let Some(members) = self.members(union, value) else { return };
        let mut present = union.members.iter().filter(|member| members.contains_key(member.name));
        match (present.next(), present.count()) {
            (Some(member), 0) => {
                if let Some(value) = members.get_mut(member.name) {
                    self.at_member(member.name, |check| check.value(member.shape, value));
                }
            }
            (Some(_), others) => self.fault(format_args!("has {} members, where one is chosen", others + 1)),
            (None, _) => {
                let names = union.members.iter().map(|member| member.name);
                self.fault(format_args!("has no member: one of {} is required", listed(names)));
            }
        }
    }

    /// The members of an object, without those that are `null`. Reports those that the structure does not have.
    fn members<'value>(
        &mut self,
        structure: &Structure,
        value: &'value mut Value,
    ) -> Option<&'value mut Map<String, Value>> {
        let Value::Object(members) = value else {
            self.fault("is not an object");
            return None;
        };
        members.retain(|_, value| !value.is_null());
        for name in members.keys() {
            if !structure.members.iter().any(|member| member.name == name) {
                self.at_member(name, |check| check.fault("is not a member that there is"));
            }
        }
        Some(members)
    }

    fn list(&mut self, list: &super::List, value: &mut Value) {
        let Value::Array(elements) = value else { return self.fault("is not a list") };
        self.length(list.length, elements.len(), ("element", "elements"));
        for (index, element) in elements.iter_mut().enumerate() {
            self.at(format_args!("[{index}]"), |check| check.value(list.element, element));
        }
    }

    fn map(&mut self, map: &super::Map, value: &mut Value) {
        let Value::Object(entries) = value else { return self.fault("is not an object") };
        self.length(map.length, entries.len(), ("entry", "entries"));
        for (key, value) in entries {
            self.at_member(key, |check| {
                check.length(map.key.length, key.chars().count(), CHARACTERS);
                check.value(map.value, value);
            });
        }
    }

    fn text(&mut self, text: &Text, value: &Value) {
        let Value::String(value) = value else { return self.fault("is not a string") };
        if !self.length(text.length, value.chars().count(), CHARACTERS) {
            // A pattern is not tried on a string of any length.
            return;
        }
        if let Some(pattern) = text.pattern.filter(|pattern| !matches(pattern, value)) {
            self.fault(format_args!("does not match the pattern `{pattern}`"));
        }
        if !text.values.is_empty() && !text.values.contains(&value.as_str()) {
            self.fault(format_args!("is not one of {}", listed(text.values.iter().copied())));
        }
    }

    fn integer(&mut self, min: i32, value: &Value) {
        match value.as_i64().and_then(|value| i32::try_from(value).ok()) {
            None => self.fault("is not an integer of 32 bits"),
            Some(value) if value < min => self.fault(format_args!("is less than {min}")),
            Some(_) => {}
        }
    }

    /// Reports a length that is not allowed. Returns whether it is.
    fn length(&mut self, allowed: Length, actual: usize, (one, several): (&str, &str)) -> bool {
        let Length { min, max } = allowed;
        if actual < min {
            self.fault(format_args!("has {}, fewer than {min}", many(actual, one, several)));
            return false;
        }
        if let Some(max) = max.filter(|max| actual > *max) {
            self.fault(format_args!("has {}, more than {max}", many(actual, one, several)));
            return false;
        }
        true
    }

    fn fault(&mut self, message: impl Display) {
        self.faults += 1;
        if self.fields.len() < MAX_FIELDS {
            self.fields.push(Field { path: self.path.clone(), message: message.to_string() });
        }
    }

    /// Goes to a member, and back.
    fn at_member(&mut self, name: &str, look: impl FnOnce(&mut Self)) {
        // A name may be a client's, of any length.
        let end = name.char_indices().nth(MAX_NAME_CHARS).map_or(name.len(), |(end, _)| end);
        let dot = if self.path.is_empty() { "" } else { "." };
        self.at(format_args!("{dot}{}", name.get(..end).unwrap_or_default()), look);
    }

    fn at(&mut self, step: impl Display, look: impl FnOnce(&mut Self)) {
        let back = self.path.len();
        // A `String` takes everything.
        let _ = write!(self.path, "{step}");
        look(self);
        self.path.truncate(back);
    }
}

/// Whether a pattern matches all of a string: Smithy anchors no pattern, but the service means the whole string.
fn matches(pattern: &'static str, value: &str) -> bool {
    static COMPILED: LazyLock<RwLock<HashMap<&'static str, Option<Regex>>>> = LazyLock::new(RwLock::default);
    let compiled = locks::read(&COMPILED);
    if let Some(regex) = compiled.get(pattern) {
        return regex.as_ref().is_some_and(|regex| regex.is_match(value));
    }
    drop(compiled);
    // A pattern that is not a regular expression matches nothing. A test sees that there is none.
    let regex = Regex::new(&format!("^(?:{pattern})$")).ok();
    let matched = regex.as_ref().is_some_and(|regex| regex.is_match(value));
    locks::write(&COMPILED).insert(pattern, regex);
    matched
}

/// Names in backticks.
fn listed<'name>(names: impl Iterator<Item = &'name str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

const CHARACTERS: (&str, &str) = ("character", "characters");

/// How many faults are named. A client that makes more has one mistake in a loop.
const MAX_FIELDS: usize = 50;

/// How much of a member's name is shown: more than any member of the API has.
const MAX_NAME_CHARS: usize = 100;
