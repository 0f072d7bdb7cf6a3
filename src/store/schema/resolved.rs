//! The shapes of a schema.
//!
//! Cedar's library tells which types and actions a schema has, but not what attributes they have. Only the JSON
//! form of the schema has those.

use std::collections::BTreeSet;

use cedar_policy::{CedarSchemaError, EntityId, EntityUid, schema_str_to_json_with_resolved_types};
use serde_json::Value;

use crate::gateway::route::Route;
use crate::projection::{Attribute, Extension, Record, Shapes, ValueType};

/// A schema in Cedar's JSON form in which every type reference is resolved, as
/// [`cedar_policy::schema_str_to_json_with_resolved_types`] writes it.
#[derive(Clone, Debug)]
pub struct ResolvedSchema(Value);

impl ResolvedSchema {
    /// Reads a schema in Cedar's own syntax.
    ///
    /// # Errors
    /// What Cedar finds wrong with it.
    pub fn parse(schema: &str) -> Result<Self, Box<CedarSchemaError>> {
        let (json, _) = schema_str_to_json_with_resolved_types(schema)?;
        Ok(Self(json))
    }

    /// The JSON itself, with everything that the schema declares.
    pub fn json(&self) -> &Value {
        &self.0
    }

    /// The routes in the annotations `httpVerb` and `httpPathTemplate` of actions, which Cedar's generators for
    /// OpenAPI write.
    pub fn annotated_routes(&self) -> Vec<Route> {
        let route = |(namespace, id, definition): (&str, &String, &Value)| {
            let annotation = |name: &str| definition.get("annotations")?.get(name)?.as_str();
            let action_type = qualify(namespace, "Action").parse().ok()?;
            let action = EntityUid::from_type_name_and_id(action_type, EntityId::new(id));
            let verb = annotation("httpVerb")?.to_ascii_lowercase();
            Route::new(&verb, annotation("httpPathTemplate")?, &action)
        };
        self.definitions("actions").filter_map(route).collect()
    }

    /// The entity types of which it lists all entities: `entity Name enum ["a", "b"]`.
    pub(in crate::store) fn enumerated(&self) -> BTreeSet<String> {
        let types = self.definitions("entityTypes");
        let enumerated = types.filter(|(_, _, definition)| definition.get("enum").is_some());
        enumerated.map(|(namespace, name, _)| qualify(namespace, name)).collect()
    }

    /// Reads the shapes of entity types and of the context of actions.
    ///
    /// # Errors
    /// [`UnknownType`] for a type that this version does not support.
    pub fn shapes(&self) -> Result<Shapes, UnknownType> {
        let mut shapes = Shapes::default();
        for (namespace, name, definition) in self.definitions("entityTypes") {
            let Ok(entity_type) = qualify(namespace, name).parse() else {
                return Err(UnknownType(name.clone()));
            };
            let shape = match definition.get("shape") {
                Some(shape) => self.record(shape)?,
                None => Record::default(),
            };
            shapes.insert_entity(entity_type, shape);
        }
        for (namespace, id, definition) in self.definitions("actions") {
            let Some(context) = definition.pointer("/appliesTo/context") else {
                continue;
            };
            let Ok(action_type) = qualify(namespace, "Action").parse() else {
                return Err(UnknownType(id.clone()));
            };
            let action = EntityUid::from_type_name_and_id(action_type, EntityId::new(id));
            shapes.insert_context(action, self.record(context)?);
        }
        Ok(shapes)
    }

    /// The entries of one section (`entityTypes`, `actions` or `commonTypes`) of all namespaces,
    /// as (namespace, name, definition).
    fn definitions<'a>(&'a self, section: &'a str) -> impl Iterator<Item = (&'a str, &'a String, &'a Value)> {
        let namespaces = self.0.as_object().into_iter().flatten();
        namespaces.flat_map(move |(namespace, body)| {
            let entries = body.get(section).and_then(Value::as_object);
            let entries = entries.into_iter().flatten();
            entries.map(move |(name, definition)| (namespace.as_str(), name, definition))
        })
    }

    fn record(&self, definition: &Value) -> Result<Record, UnknownType> {
        match self.value_type(definition)? {
            ValueType::Record(record) => Ok(record),
            _ => Err(UnknownType("a shape that is no record".to_owned())),
        }
    }

    // Cedar refuses common types that contain themselves, so this ends.
    fn value_type(&self, definition: &Value) -> Result<ValueType, UnknownType> {
        let name = definition.get("type").and_then(Value::as_str).unwrap_or_default();
        if let Some(common) = self.common_type(name) {
            return self.value_type(common);
        }
        Ok(match name.strip_prefix("__cedar::").unwrap_or(name) {
            "String" => ValueType::String,
            "Long" => ValueType::Long,
            "Bool" | "Boolean" => ValueType::Bool,
            "Set" => match definition.get("element") {
                Some(element) => ValueType::Set(Box::new(self.value_type(element)?)),
                None => return Err(UnknownType(name.to_owned())),
            },
            "Record" => {
                let attributes = definition.get("attributes").and_then(Value::as_object);
                let attributes = attributes.into_iter().flatten().map(|(name, attribute)| {
                    let value_type = self.value_type(attribute)?;
                    let required = attribute.get("required").and_then(Value::as_bool).unwrap_or(true);
                    Ok((name.clone(), Attribute { value_type, required }))
                });
                ValueType::Record(Record { attributes: attributes.collect::<Result<_, UnknownType>>()? })
            }
            "Entity" => ValueType::Entity,
            "Extension" => {
                let name = definition.get("name").and_then(Value::as_str).unwrap_or_default();
                ValueType::Extension(extension(name)?)
            }
            name => ValueType::Extension(extension(name)?),
        })
    }

    fn common_type(&self, name: &str) -> Option<&Value> {
        let (namespace, name) = name.rsplit_once("::").unwrap_or(("", name));
        self.0.get(namespace)?.get("commonTypes")?.get(name)
    }
}

fn extension(name: &str) -> Result<Extension, UnknownType> {
    match name {
        "datetime" => Ok(Extension::Datetime),
        "decimal" => Ok(Extension::Decimal),
        "duration" => Ok(Extension::Duration),
        "ipaddr" => Ok(Extension::IpAddr),
        _ => Err(UnknownType(name.to_owned())),
    }
}

pub(crate) fn qualify(namespace: &str, name: &str) -> String {
    match namespace {
        "" => name.to_owned(),
        namespace => format!("{namespace}::{name}"),
    }
}

/// A type that this version does not support, by its name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the schema uses a type that is not supported: `{0}`")]
pub struct UnknownType(String);

#[cfg(test)]
mod tests;
