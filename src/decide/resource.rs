//! The resource: what a call acts on.

use std::collections::{BTreeMap, HashMap, HashSet};

use cedar_policy::{Entity, EntityId, EntityUid, EvalResult, RestrictedExpression};

use crate::bundle::entities::StoredEntities;
use crate::gateway::route::ResourceTemplate;
use crate::projection::Projection;
use crate::reason::Reason;

/// A resource of a call.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Its id.
    pub uid: EntityUid,
    /// The entity, if the path gives it attributes. `None`: the entity is as the store has it. If the store does
    /// not have it, it has no attributes and no parents.
    pub entity: Option<Entity>,
}

impl Resource {
    /// A resource with the type of a template, for when nothing depends on which one it is.
    pub fn unnamed(template: &ResourceTemplate) -> Self {
        let id = EntityId::new(template.id.to_string());
        let uid = EntityUid::from_type_name_and_id(template.entity_type.clone(), id);
        Self { uid, entity: None }
    }

    /// The id of the resource that a template makes from these parameters. `None`: one of them is missing.
    pub(super) fn uid_from_path(
        template: &ResourceTemplate,
        parameters: &BTreeMap<String, String>,
    ) -> Option<EntityUid> {
        let id = template.id.fill(parameters)?;
        Some(EntityUid::from_type_name_and_id(template.entity_type.clone(), EntityId::new(id)))
    }

    /// The resource that a template makes from these parameters.
    ///
    /// # Errors
    /// [`Reason::RequiredContextMissing`], if the call lacks a parameter, or if the text of a parameter does not
    /// have the type that the schema declares for the attribute; [`Reason::BundleUnreadable`].
    pub fn from_path(
        template: &ResourceTemplate,
        parameters: &BTreeMap<String, String>,
        entities: &StoredEntities,
        projection: &Projection,
    ) -> Result<Self, Reason> {
        let missing = Reason::RequiredContextMissing;
        let uid = Self::uid_from_path(template, parameters).ok_or(missing)?;
        if template.attributes.is_empty() {
            return Ok(Self { uid, entity: None });
        }
        let mut from_path = HashMap::new();
        for (name, text) in &template.attributes {
            let text = text.fill(parameters).ok_or(missing)?;
            let value = projection.text_attribute(&template.entity_type, name, &text).ok_or(missing)?;
            from_path.insert(name.clone(), value);
        }
        let entity = match entities.entity(&uid)? {
            Some(known) => overlay(&known, from_path),
            None => Entity::new(uid.clone(), from_path, [].into()).ok(),
        };
        Ok(Self { uid, entity: Some(entity.ok_or(Reason::RequestInvalid)?) })
    }
}

/// An entity with some of its attributes replaced.
fn overlay(known: &Entity, attributes: HashMap<String, RestrictedExpression>) -> Option<Entity> {
    let tags = tags(known)?;
    let (uid, mut all, parents) = known.clone().into_inner();
    all.extend(attributes);
    Entity::new_with_tags(uid, all, parents, tags).ok()
}

/// The same entity with other parents. `None`: it has a value that Cedar cannot give back.
pub(super) fn with_parents(entity: &Entity, parents: impl Iterator<Item = EntityUid>) -> Option<Entity> {
    let (uid, attributes, _) = entity.clone().into_inner();
    let parents: HashSet<EntityUid> = parents.collect();
    Entity::new_with_tags(uid, attributes, parents, tags(entity)?).ok()
}

fn tags(entity: &Entity) -> Option<HashMap<String, RestrictedExpression>> {
    entity.tags().map(|(name, value)| Some((name.to_owned(), restricted(&value.ok()?)?))).collect()
}

/// The entity of a caller who is also the resource. It has the attributes of the token and those of the path. Its
/// parents come from the token.
///
/// # Errors
/// [`Reason::ResourceConflict`], if the token and the path give an attribute different values.
pub fn merged(principal: &Entity, resource: &Entity) -> Result<Entity, Reason> {
    for (name, value) in resource.attrs() {
        let of_path = value.map_err(|_| Reason::RequestInvalid)?;
        if let Some(of_token) = principal.attr(name)
            && of_token.map_err(|_| Reason::RequestInvalid)? != of_path
        {
            return Err(Reason::ResourceConflict);
        }
    }
    let (_, of_path, _) = resource.clone().into_inner();
    overlay(principal, of_path).ok_or(Reason::RequestInvalid)
}

fn restricted(value: &EvalResult) -> Option<RestrictedExpression> {
    Some(match value {
        EvalResult::Bool(value) => RestrictedExpression::new_bool(*value),
        EvalResult::Long(value) => RestrictedExpression::new_long(*value),
        EvalResult::String(value) => RestrictedExpression::new_string(value.clone()),
        EvalResult::EntityUid(uid) => RestrictedExpression::new_entity_uid(uid.clone()),
        EvalResult::Set(set) => {
            RestrictedExpression::new_set(set.iter().map(restricted).collect::<Option<Vec<_>>>()?)
        }
        EvalResult::Record(record) => {
            let fields = record.iter().map(|(name, value)| Some((name.clone(), restricted(value)?)));
            RestrictedExpression::new_record(fields.collect::<Option<Vec<_>>>()?).ok()?
        }
        EvalResult::ExtensionValue(text) => text.parse().ok()?,
    })
}
