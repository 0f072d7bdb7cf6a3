//! What a picture of a schema shows.

use std::collections::{BTreeMap, HashMap, HashSet};

use cedar_authorizer::store::schema::ResolvedSchema;
use serde::Serialize;
use serde_json::{Map, Value};

/// A schema in the words of its picture.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Picture {
    /// The namespace of all names, which leave it out. `None`: there is none, or there are several.
    pub namespace: Option<String>,
    pub entity_types: Vec<EntityType>,
    pub actions: Vec<ActionBox>,
    /// The common types.
    pub types: Vec<CommonType>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EntityType {
    pub name: String,
    /// The types of its parents.
    pub member_of: Vec<String>,
    pub attributes: Vec<Field>,
    /// The type of its tags, if it may have any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Type>,
    /// The ids of an enumerated type. Empty: any id.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
}

/// Actions that apply to the same things.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionBox {
    pub actions: Vec<String>,
    /// Whether other actions are members of this one.
    pub is_group: bool,
    /// The groups of actions that they are in.
    pub member_of: Vec<String>,
    /// The types of principals that they apply to.
    pub principals: Vec<String>,
    /// The types of resources that they apply to.
    pub resources: Vec<String>,
    pub context: Vec<Field>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CommonType {
    pub name: String,
    #[serde(flatten)]
    pub definition: Type,
}

/// An attribute, or a part of the context.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Field {
    pub name: String,
    #[serde(flatten)]
    pub value: Type,
    pub required: bool,
    /// How many actions of the box have it, if not all do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_actions: Option<usize>,
}

impl Field {
    /// How many fields it is, with those in it.
    pub fn size(&self) -> usize {
        1 + self.value.attributes.iter().map(Self::size).sum::<usize>()
    }
}

/// A type by its name, such as `String`, `Set<Record>` or `User`; with the attributes if it is a record.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Type {
    #[serde(rename = "type")]
    pub name: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<Field>,
}

/// Which actions share a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boxes {
    /// Those with the same principals, resources, context and groups.
    ByTypesAndContext,
    /// The same, whatever the context.
    ByTypes,
}

impl Picture {
    pub fn new(schema: &ResolvedSchema, boxes: Boxes) -> Self {
        let reading = Reading::new(schema);
        let mut types: Vec<CommonType> =
            reading.definitions("commonTypes").map(|part| reading.common_type(&part)).collect();
        types.sort_by(|one, other| one.name.cmp(&other.name));
        let mut entity_types: Vec<EntityType> =
            reading.definitions("entityTypes").map(|part| reading.entity_type(&part)).collect();
        entity_types.sort_by(|one, other| one.name.cmp(&other.name));
        let namespace = reading.namespace.filter(|namespace| !namespace.is_empty());
        Self {
            namespace: namespace.map(str::to_owned),
            entity_types,
            actions: shared(reading.actions(), boxes),
            types,
        }
    }
}

/// A definition of the schema, and where it stands.
struct Part<'a> {
    namespace: &'a str,
    name: &'a str,
    body: &'a Value,
}

/// A schema while it is read.
struct Reading<'a> {
    schema: &'a Value,
    /// The namespace that names leave out, because it is the only one.
    namespace: Option<&'a str>,
}

impl<'a> Reading<'a> {
    fn new(schema: &'a ResolvedSchema) -> Self {
        let schema = schema.json();
        let is_used = |body: &Value| {
            let mut sections = body.as_object().into_iter().flat_map(Map::values);
            sections.any(|section| section.as_object().is_some_and(|section| !section.is_empty()))
        };
        let namespaces = schema.as_object().into_iter().flatten();
        let mut used = namespaces.filter(|(_, body)| is_used(body)).map(|(name, _)| name.as_str());
        let namespace = used.next().filter(|_| used.next().is_none());
        Self { schema, namespace }
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

    /// A box for each action, in the order of paths.
    fn actions(&self) -> Vec<ActionBox> {
        let parents = |part: &Part<'a>| {
            let parents = part.body.get("memberOf").and_then(Value::as_array).into_iter().flatten();
            let uid = |parent: &'a Value| {
                let id = parent.get("id")?.as_str()?;
                let namespace =
                    parent.get("type").and_then(Value::as_str).map_or(part.namespace, |of_type| {
                        of_type.rsplit_once("::").map_or("", |(namespace, _)| namespace)
                    });
                Some((namespace, id))
            };
            parents.filter_map(uid).collect::<Vec<(&'a str, &'a str)>>()
        };
        let groups: HashSet<(&str, &str)> =
            self.definitions("actions").flat_map(|part| parents(&part)).collect();
        let mut parts: Vec<Part<'a>> = self.definitions("actions").collect();
        parts.sort_by_cached_key(|part| {
            (part.namespace, !groups.contains(&(part.namespace, part.name)), by_path(part.name))
        });
        let action = |part: &Part<'a>| {
            let types =
                |name: &str| self.names(part.body.get("appliesTo").and_then(|applies| applies.get(name)));
            let context = part.body.pointer("/appliesTo/context");
            ActionBox {
                actions: vec![self.action(part.namespace, part.name)],
                is_group: groups.contains(&(part.namespace, part.name)),
                member_of: parents(part)
                    .into_iter()
                    .map(|(namespace, id)| self.action(namespace, id))
                    .collect(),
                principals: types("principalTypes"),
                resources: types("resourceTypes"),
                context: context.map_or_else(Vec::new, |context| self.record(context)),
            }
        };
        parts.iter().map(action).collect()
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

/// Sorts routes by path, then by method, so that what is done to one thing stands together. Actions that are no routes
/// come first.
fn by_path(id: &str) -> (&str, &str) {
    match id.split_once(' ') {
        Some((method, path)) if path.starts_with('/') => (path, method),
        _ => ("", id),
    }
}

/// Puts actions that apply to the same things into one box, where the first of them stood. A group of actions has a
/// box of its own.
fn shared(actions: Vec<ActionBox>, boxes: Boxes) -> Vec<ActionBox> {
    let mut places = HashMap::new();
    let mut found: Vec<(ActionBox, Vec<Vec<Field>>)> = Vec::new();
    for mut action in actions {
        let ActionBox { is_group, member_of, principals, resources, context, .. } = &action;
        let of_context = (boxes == Boxes::ByTypesAndContext).then(|| context.clone());
        let key = (member_of.clone(), principals.clone(), resources.clone(), of_context);
        let place = if *is_group { found.len() } else { *places.entry(key).or_insert(found.len()) };
        match found.get_mut(place) {
            Some((known, contexts)) => {
                known.actions.append(&mut action.actions);
                contexts.push(action.context);
            }
            None => {
                let context = std::mem::take(&mut action.context);
                found.push((action, vec![context]));
            }
        }
    }
    let merge = |(mut known, contexts): (ActionBox, Vec<Vec<Field>>)| {
        let count = contexts.len();
        known.context = merged(contexts, count);
        known
    };
    found.into_iter().map(merge).collect()
}

/// One record of all the fields of these records, which as many actions have.
fn merged(records: Vec<Vec<Field>>, actions: usize) -> Vec<Field> {
    let mut same: BTreeMap<(String, String), Vec<Field>> = BTreeMap::new();
    for field in records.into_iter().flatten() {
        same.entry((field.name.clone(), field.value.name.clone())).or_default().push(field);
    }
    let one = |((name, of_type), fields): ((String, String), Vec<Field>)| {
        let count = fields.len();
        let required = fields.iter().all(|field| field.required);
        let attributes = fields.into_iter().map(|field| field.value.attributes).collect();
        Field {
            name,
            value: Type { name: of_type, attributes: merged(attributes, actions) },
            required,
            in_actions: (count < actions).then_some(count),
        }
    };
    same.into_iter().map(one).collect()
}
