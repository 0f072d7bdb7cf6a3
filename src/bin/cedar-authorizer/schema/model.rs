//! What a picture of a schema shows.

mod reading;

use std::collections::{BTreeMap, HashMap};

use cedar_authorizer::store::schema::ResolvedSchema;
use serde::Serialize;

use reading::Reading;

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
        let reading = Reading::new(schema.json());
        let (mut entity_types, mut types) = (reading.entity_types(), reading.common_types());
        entity_types.sort_by(|one, other| one.name.cmp(&other.name));
        types.sort_by(|one, other| one.name.cmp(&other.name));
        Self {
            namespace: reading.namespace().map(str::to_owned),
            entity_types,
            actions: shared(reading.actions(), boxes),
            types,
        }
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
