//! A picture from a schema in Cedar's JSON form.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{ActionBox, CommonType, EntityType, Field, Type};

/// A definition of the schema, and where it stands.
struct Part<'a> {
    namespace: &'a str,
    name: &'a str,
    body: &'a Value,
}

/// A schema while it is read.
pub struct Reading<'a> {
    schema: &'a Value,
    /// The namespace that names leave out, because it is the only one.
    namespace: Option<&'a str>,
}

impl<'a> Reading<'a> {
    pub fn new(schema: &'a Value) -> Self {
        let is_used = |body: &Value| {
            let mut sections = body.as_object().into_iter().flat_map(Map::values);
            sections.any(|section| section.as_object().is_some_and(|section| !section.is_empty()))
        };
        let namespaces = schema.as_object().into_iter().flatten();
        let mut used = namespaces.filter(|(_, body)| is_used(body)).map(|(name, _)| name.as_str());
        let namespace = used.next().filter(|_| used.next().is_none());
        Self { schema, namespace }
    }

    /// The only namespace, if it has a name.
    pub fn namespace(&self) -> Option<&'a str> {
        self.namespace.filter(|namespace| !namespace.is_empty())
    }

    pub fn entity_types(&self) -> Vec<EntityType> {
        self.definitions("entityTypes").map(|part| self.entity_type(&part)).collect()
    }

    pub fn common_types(&self) -> Vec<CommonType> {
        self.definitions("commonTypes").map(|part| self.common_type(&part)).collect()
    }

    fn definitions(&self, section: &'a str) -> impl Iterator<Item = Part<'a>> + use<'a> {
        self.schema.as_object().into_iter().flatten().flat_map(move |(namespace, body)| {
            let entries = body.get(section).and_then(Value::as_object).into_iter().flatten();
            entries.map(move |(name, body)| Part { namespace, name, body })
        })
    }

    /// A name as the picture shows it, from its namespace and name.
    fn name(&self, namespace: &str, name: &str) -> String {
        match namespace {
            "" => name.to_owned(),
            namespace if self.namespace == Some(namespace) => name.to_owned(),
            namespace => format!("{namespace}::{name}"),
        }
    }

    /// The same for a name with its namespace.
    fn short(&self, name: &str) -> String {
        match name.rsplit_once("::") {
            Some((namespace, name)) => self.name(namespace, name),
            None => name.to_owned(),
        }
    }

    /// An action as the picture shows it: by its id alone, if that is enough.
    fn action(&self, namespace: &str, id: &str) -> String {
        match self.namespace {
            Some(only) if only == namespace => id.to_owned(),
            _ => {
                let id = serde_json::to_string(id).unwrap_or_default();
                format!("{}::{id}", self.name(namespace, "Action"))
            }
        }
    }

    fn names(&self, list: Option<&Value>) -> Vec<String> {
        let names = list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        names.map(|name| self.short(name)).collect()
    }

    fn entity_type(&self, part: &Part<'a>) -> EntityType {
        let Part { namespace, name, body } = part;
        let ids = body.get("enum").and_then(Value::as_array).into_iter().flatten();
        EntityType {
            name: self.name(namespace, name),
            member_of: self.names(body.get("memberOfTypes")),
            attributes: body.get("shape").map_or_else(Vec::new, |shape| self.record(shape)),
            tags: body.get("tags").map(|tags| self.value_type(tags)),
            ids: ids.filter_map(Value::as_str).map(str::to_owned).collect(),
        }
    }

    fn common_type(&self, part: &Part<'a>) -> CommonType {
        CommonType { name: self.name(part.namespace, part.name), definition: self.value_type(part.body) }
    }

    /// A box for each action: groups first, then in the order of paths.
    pub fn actions(&self) -> Vec<ActionBox> {
        let mut parts: Vec<Part<'a>> = self.definitions("actions").collect();
        let groups: HashSet<Name<'a>> = parts.iter().flat_map(parents).collect();
        let is_group = |part: &Part<'a>| groups.contains(&(part.namespace, part.name));
        parts.sort_by_cached_key(|part| (part.namespace, !is_group(part), by_path(part.name)));
        parts.iter().map(|part| self.action_box(part, is_group(part))).collect()
    }

    fn action_box(&self, part: &Part<'a>, is_group: bool) -> ActionBox {
        let applies_to = |key: &str| part.body.get("appliesTo").and_then(|applies| applies.get(key));
        ActionBox {
            actions: vec![self.action(part.namespace, part.name)],
            is_group,
            member_of: parents(part).into_iter().map(|(namespace, id)| self.action(namespace, id)).collect(),
            principals: self.names(applies_to("principalTypes")),
            resources: self.names(applies_to("resourceTypes")),
            context: applies_to("context").map_or_else(Vec::new, |context| self.record(context)),
        }
    }

    /// The attributes of a record, which may be given by the name of a common type.
    fn record(&self, definition: &'a Value) -> Vec<Field> {
        let name = definition.get("type").and_then(Value::as_str).unwrap_or_default();
        let (namespace, short) = name.rsplit_once("::").unwrap_or(("", name));
        let common = self.schema.get(namespace).and_then(|body| body.get("commonTypes")?.get(short));
        // Cedar refuses common types that contain themselves, so this ends.
        match common {
            Some(common) => self.record(common),
            None => self.value_type(definition).attributes,
        }
    }

    fn value_type(&self, definition: &'a Value) -> Type {
        let text = |key: &str| definition.get(key).and_then(Value::as_str).unwrap_or_default();
        let name = text("type");
        match name.strip_prefix("__cedar::").unwrap_or(name) {
            "Set" => match definition.get("element") {
                Some(element) => {
                    let Type { name, attributes } = self.value_type(element);
                    Type { name: format!("Set<{name}>"), attributes }
                }
                None => Type { name: "Set".to_owned(), attributes: Vec::new() },
            },
            "Record" => {
                let attributes = definition.get("attributes").and_then(Value::as_object);
                let field = |(name, attribute): (&String, &'a Value)| Field {
                    name: name.clone(),
                    value: self.value_type(attribute),
                    required: attribute.get("required").and_then(Value::as_bool).unwrap_or(true),
                    in_actions: None,
                };
                let attributes = attributes.into_iter().flatten().map(field).collect();
                Type { name: "Record".to_owned(), attributes }
            }
            "Entity" | "Extension" => Type { name: self.short(text("name")), attributes: Vec::new() },
            "Boolean" => Type { name: "Bool".to_owned(), attributes: Vec::new() },
            name => Type { name: self.short(name), attributes: Vec::new() },
        }
    }
}

/// A namespace and a name in it.
type Name<'a> = (&'a str, &'a str);

/// The groups that an action is in.
fn parents<'a>(part: &Part<'a>) -> Vec<Name<'a>> {
    let parents = part.body.get("memberOf").and_then(Value::as_array).into_iter().flatten();
    let name = |parent: &'a Value| {
        let namespace = match parent.get("type").and_then(Value::as_str) {
            Some(of_type) => of_type.rsplit_once("::").map_or("", |(namespace, _)| namespace),
            None => part.namespace,
        };
        Some((namespace, parent.get("id")?.as_str()?))
    };
    parents.filter_map(name).collect()
}

/// Sorts routes by path, then by method, so that what is done to one thing stands together. Actions that are no routes
/// come first.
fn by_path(id: &str) -> (&str, &str) {
    match id.split_once(' ') {
        Some((method, path)) if path.starts_with('/') => (path, method),
        _ => ("", id),
    }
}
