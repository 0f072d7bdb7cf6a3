//! What a policy store says itself, and so is no secret of a request.

use std::collections::HashSet;

use cedar_authorizer::bundle::entities::StoredEntities;
use cedar_authorizer::cedar::{EntityUid, PolicySet};
use serde_json::Value;

use super::name_of;

/// The values and entities that policies and entities of a store name.
#[derive(Debug, Default)]
pub struct Known {
    texts: HashSet<String>,
    numbers: HashSet<i64>,
    entities: HashSet<(String, String)>,
    /// The entities of the store.
    pub is_in_store: Option<StoredEntities>,
}

impl Known {
    /// What policies compare with.
    pub fn of_policies(policies: &PolicySet) -> Self {
        let mut known = Self::default();
        // A policy that cannot be written as JSON adds nothing: then more is hashed.
        for json in policies.policies().filter_map(|policy| policy.to_json().ok()) {
            known.add_json(&json);
        }
        for json in policies.templates().filter_map(|template| template.to_json().ok()) {
            known.add_json(&json);
        }
        known
    }

    /// An entity that is no secret.
    pub fn add(&mut self, uid: &EntityUid) {
        self.entities.insert(name_of(uid));
    }

    /// Whether a policy compares with this text.
    pub fn has_text(&self, text: &str) -> bool {
        self.texts.contains(text)
    }

    /// Whether a policy compares with this number.
    pub fn has_number(&self, number: i64) -> bool {
        self.numbers.contains(&number)
    }

    /// Whether the store or a policy names this entity.
    pub fn has_entity(&self, kind: &str, id: &str) -> bool {
        let in_store = || {
            let uid = EntityUid::from_json(serde_json::json!({"type": kind, "id": id})).ok()?;
            self.is_in_store.as_ref()?.get(&uid).ok()?
        };
        self.entities.contains(&(kind.to_owned(), id.to_owned())) || in_store().is_some()
    }

    /// Adds the values of a policy in Cedar's JSON form, but not the names of policies and attributes.
    fn add_json(&mut self, json: &Value) {
        match json {
            Value::Array(values) => values.iter().for_each(|value| self.add_json(value)),
            Value::Object(members) => {
                if let (Some(kind), Some(id)) = (text_of(members.get("type")), text_of(members.get("id"))) {
                    self.entities.insert((kind, id));
                }
                for (name, value) in members {
                    match name.as_str() {
                        "Value" => self.add_value(value),
                        "annotations" => {}
                        _ => self.add_json(value),
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// Adds a literal.
    fn add_value(&mut self, value: &Value) {
        match value {
            Value::String(text) => drop(self.texts.insert(text.clone())),
            Value::Number(number) => self.numbers.extend(number.as_i64()),
            Value::Array(values) => values.iter().for_each(|value| self.add_value(value)),
            Value::Object(members) => match members.get("__entity") {
                Some(entity) => self.add_json(entity),
                None => members.values().for_each(|value| self.add_value(value)),
            },
            Value::Null | Value::Bool(_) => {}
        }
    }
}

fn text_of(value: Option<&Value>) -> Option<String> {
    value.and_then(Value::as_str).map(str::to_owned)
}
