//! What a request says of entities and of its circumstances, as Cedar's values.
//!
//! Values in AVP's own shapes become Cedar's directly. Cedar's JSON has escapes, `{"__entity": ..}` and
//! `{"__extn": ..}`, which would turn a record with such a name into something else.

mod path;

use std::collections::BTreeMap;
use std::error::Error;

use cedar_authorizer::cedar::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::contents::EntityIdentifier;
use super::error::ServiceError;
pub use path::Path;

/// AVP's `ActionIdentifier`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionIdentifier {
    /// The entity type, with its namespace; its last part is `Action`.
    pub action_type: String,
    /// The id, without quotes.
    pub action_id: String,
}

/// An entity that a request names.
pub fn entity_uid(identifier: &EntityIdentifier, at: Path<'_>) -> Result<EntityUid, ServiceError> {
    let EntityIdentifier { entity_type, entity_id } = identifier;
    uid(entity_type, entity_id, at.then("entityType"))
}

/// An action that a request names.
pub fn action_uid(identifier: &ActionIdentifier, at: Path<'_>) -> Result<EntityUid, ServiceError> {
    let ActionIdentifier { action_type, action_id } = identifier;
    uid(action_type, action_id, at.then("actionType"))
}

/// `at` is the type.
fn uid(entity_type: &str, id: &str, at: Path<'_>) -> Result<EntityUid, ServiceError> {
    let type_name: EntityTypeName = entity_type
        .parse()
        .map_err(|_| at.invalid(format_args!("`{entity_type}` is not the name of an entity type")))?;
    Ok(EntityUid::from_type_name_and_id(type_name, EntityId::new(id)))
}

/// How AVP names an entity.
pub fn identifier(uid: &EntityUid) -> EntityIdentifier {
    EntityIdentifier { entity_type: uid.type_name().to_string(), entity_id: uid.id().unescaped().to_owned() }
}

/// AVP's `ContextDefinition`, a union; without one, the context is empty.
pub fn context(definition: Option<&Value>, at: Path<'_>) -> Result<Context, ServiceError> {
    let Some(definition) = definition else {
        return Ok(Context::empty());
    };
    match only_member(definition, at)? {
        ("contextMap", members) => {
            let at = at.then("contextMap");
            Context::from_pairs(attributes(members, at)?).map_err(|error| at.invalid(chain(&error)))
        }
        ("cedarJson", json) => {
            let at = at.then("cedarJson");
            Context::from_json_str(text(json, at)?, None).map_err(|error| at.invalid(chain(&error)))
        }
        (name, _) => Err(at.then(name).invalid("there is no such member")),
    }
}

/// AVP's `EntitiesDefinition`, a union. Actions are left out: the schema says what they are in.
///
/// Source: the API reference, `IsAuthorized` and `IsAuthorizedWithToken`, `entities`.
pub fn entities(definition: Option<&Value>, at: Path<'_>) -> Result<Vec<Entity>, ServiceError> {
    let Some(definition) = definition else {
        return Ok(Vec::new());
    };
    match only_member(definition, at)? {
        ("entityList", list) => {
            let at = at.then("entityList");
            let mut found = BTreeMap::new();
            for (number, item) in array(list, at)?.iter().enumerate() {
                let at = at.at(number);
                let entity = entity(item, at)?;
                if !is_action(&entity, at)? {
                    // Of several entities with one identifier the last counts (API reference, `EntitiesDefinition`).
                    found.insert(entity.uid(), entity);
                }
            }
            Ok(found.into_values().collect())
        }
        ("cedarJson", json) => {
            let at = at.then("cedarJson");
            let read = Entities::from_json_str(text(json, at)?, None);
            let read = read.map_err(|error| at.invalid(chain(&error)))?;
            let mut found = Vec::new();
            for entity in read.iter() {
                if !is_action(entity, at)? {
                    found.push(entity.clone());
                }
            }
            Ok(found)
        }
        (name, _) => Err(at.then(name).invalid("there is no such member")),
    }
}

/// Whether an entity is an action, which may only be named.
fn is_action(entity: &Entity, at: Path<'_>) -> Result<bool, ServiceError> {
    let uid = entity.uid();
    if uid.type_name().basename() != "Action" {
        return Ok(false);
    }
    let has_tags = entity.tags().next().is_some();
    let (_, attributes, parents) = entity.clone().into_inner();
    if attributes.is_empty() && parents.is_empty() && !has_tags {
        return Ok(true);
    }
    Err(at.invalid(format_args!("`{uid}` is an action: only the schema says what it is in")))
}

/// AVP's `EntityItem`.
fn entity(item: &Value, at: Path<'_>) -> Result<Entity, ServiceError> {
    let member = |name: &str| item.get(name).filter(|value| !value.is_null());
    let named = |value: &Value, at: Path<'_>| {
        let identifier = EntityIdentifier::deserialize(value).map_err(|error| at.invalid(error))?;
        entity_uid(&identifier, at)
    };
    let uid = named(item.get("identifier").unwrap_or(&Value::Null), at.then("identifier"))?;
    let attributes_of = |name: &'static str| match member(name) {
        Some(members) => attributes(members, at.then(name)),
        None => Ok(Vec::new()),
    };
    let mut parents = Vec::new();
    if let Some(list) = member("parents") {
        let at = at.then("parents");
        for (number, parent) in array(list, at)?.iter().enumerate() {
            parents.push(named(parent, at.at(number))?);
        }
    }
    Entity::new_with_tags(uid, attributes_of("attributes")?, parents, attributes_of("tags")?)
        .map_err(|error| at.invalid(chain(&error)))
}

/// The members of a map of AVP's `AttributeValue` or `CedarTagValue`, which have the same shape.
fn attributes(members: &Value, at: Path<'_>) -> Result<Vec<(String, RestrictedExpression)>, ServiceError> {
    let members = object(members, at)?;
    let read = |(name, value): (&String, &Value)| Ok((name.clone(), attribute(value, at.then(name))?));
    members.iter().map(read).collect()
}

/// AVP's `AttributeValue`, a union.
fn attribute(value: &Value, at: Path<'_>) -> Result<RestrictedExpression, ServiceError> {
    let (kind, value) = only_member(value, at)?;
    let at = at.then(kind);
    match kind {
        "boolean" => {
            let truth = value.as_bool().ok_or_else(|| at.invalid("not true or false"))?;
            Ok(RestrictedExpression::new_bool(truth))
        }
        "long" => {
            let long = value.as_i64().ok_or_else(|| {
                at.invalid(format_args!("not a whole number from {} to {}", i64::MIN, i64::MAX))
            })?;
            Ok(RestrictedExpression::new_long(long))
        }
        "string" => Ok(RestrictedExpression::new_string(text(value, at)?.to_owned())),
        "entityIdentifier" => {
            let identifier = EntityIdentifier::deserialize(value).map_err(|error| at.invalid(error))?;
            Ok(RestrictedExpression::new_entity_uid(entity_uid(&identifier, at)?))
        }
        "set" => {
            let elements = array(value, at)?.iter().enumerate();
            let elements: Result<Vec<_>, _> =
                elements.map(|(number, element)| attribute(element, at.at(number))).collect();
            Ok(RestrictedExpression::new_set(elements?))
        }
        "record" => RestrictedExpression::new_record(attributes(value, at)?)
            .map_err(|error| at.invalid(chain(&error))),
        "ipaddr" => extension(RestrictedExpression::new_ip(text(value, at)?), at),
        "decimal" => extension(RestrictedExpression::new_decimal(text(value, at)?), at),
        "datetime" => extension(RestrictedExpression::new_datetime(text(value, at)?), at),
        "duration" => extension(RestrictedExpression::new_duration(text(value, at)?), at),
        _ => Err(at.invalid("there is no such member")),
    }
}

/// A value of an extension. Cedar reads its text only when it evaluates it, so that is done here, where it is known
/// which value it is.
fn extension(value: RestrictedExpression, at: Path<'_>) -> Result<RestrictedExpression, ServiceError> {
    Context::from_pairs([("value".to_owned(), value.clone())]).map_err(|error| at.invalid(chain(&error)))?;
    Ok(value)
}

/// The only member of a union.
fn only_member<'a>(union: &'a Value, at: Path<'_>) -> Result<(&'a str, &'a Value), ServiceError> {
    let mut members = object(union, at)?.iter().filter(|(_, value)| !value.is_null());
    match (members.next(), members.next()) {
        (Some((name, value)), None) => Ok((name, value)),
        _ => Err(at.invalid("exactly one member must be set")),
    }
}

fn object<'a>(value: &'a Value, at: Path<'_>) -> Result<&'a Map<String, Value>, ServiceError> {
    value.as_object().ok_or_else(|| at.invalid("not an object"))
}

fn array<'a>(value: &'a Value, at: Path<'_>) -> Result<&'a Vec<Value>, ServiceError> {
    value.as_array().ok_or_else(|| at.invalid("not a list"))
}

fn text<'a>(value: &'a Value, at: Path<'_>) -> Result<&'a str, ServiceError> {
    value.as_str().ok_or_else(|| at.invalid("not a string"))
}

/// An error with its causes, each once.
fn chain(error: &dyn Error) -> String {
    let (mut text, mut source) = (error.to_string(), error.source());
    while let Some(cause) = source {
        let message = cause.to_string();
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;
