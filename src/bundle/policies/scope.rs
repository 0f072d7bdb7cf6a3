//! The scope of a policy, read from Cedar's JSON form without Cedar.
//!
//! Whether a scope matches depends only on the ids of principal, action and resource and on their ancestors. So a
//! policy without conditions needs no evaluation (Cedar Policy Language Reference, "Policy scope"; for the form,
//! "JSON policy format").

use std::borrow::Cow;

use cedar_policy::Effect;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::bundle::table::key_of;
use crate::bundle::text::uid;

/// Effect and scope of a policy or a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PolicyScope {
    pub(super) effect: Effect,
    principal: Constraint,
    action: Constraint,
    resource: Constraint,
    /// Whether there is also a `when` or `unless`.
    pub(super) has_conditions: bool,
    /// Whether this is all that the scope asks for. Otherwise Cedar has to look at it.
    pub(super) is_known: bool,
}

/// What a scope requires of principal, action or resource. Entities are named by their [keys].
///
/// [keys]: crate::bundle::table::entity_key
#[derive(Clone, Debug, PartialEq, Eq)]
enum Constraint {
    Any,
    Eq(EntityOrSlot),
    In(Vec<EntityOrSlot>),
    Is(String),
    IsIn(String, EntityOrSlot),
}

/// An entity, or a slot of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
enum EntityOrSlot {
    Key(Box<str>),
    Slot,
}

/// An entity and all its ancestors, by their keys; the entity comes first.
pub(super) type Keys = [Box<str>];

impl PolicyScope {
    /// Reads the scope of a policy or template in Cedar's JSON form, where a number may stand for the text of a
    /// part. `None`: it has a part that is not supported here.
    pub(super) fn read<'a>(json: &'a str, text: impl Fn(&'a RawValue) -> Option<&'a str>) -> Option<Self> {
        let PolicyJson { effect, principal, action, resource, conditions, .. } =
            serde_json::from_str(json).ok()?;
        let effect = match &*effect {
            "permit" => Effect::Permit,
            "forbid" => Effect::Forbid,
            _ => return None,
        };
        let part = |raw| serde_json::from_str::<ConstraintJson<'_>>(text(raw)?).ok()?.read();
        let [principal, action, resource] = [part(principal)?, part(action)?, part(resource)?];
        let conditions: Vec<IgnoredAny> = serde_json::from_str(text(conditions)?).ok()?;
        let has_conditions = !conditions.is_empty();
        Some(Self { effect, principal, action, resource, has_conditions, is_known: true })
    }

    /// For a policy whose scope is not known: Cedar has to look at it.
    pub(super) fn unknown(effect: Effect) -> Self {
        let [principal, action, resource] = [Constraint::Any, Constraint::Any, Constraint::Any];
        Self { effect, principal, action, resource, has_conditions: true, is_known: false }
    }

    /// The scope with the slots of a template filled. `None`: one of them is not filled.
    pub(super) fn linked(&self, principal: Option<&str>, resource: Option<&str>) -> Option<Self> {
        Some(Self {
            principal: self.principal.linked(principal)?,
            resource: self.resource.linked(resource)?,
            ..self.clone()
        })
    }

    /// Whether a slot is not filled. A template by itself decides nothing.
    pub(super) fn is_open(&self) -> bool {
        [&self.principal, &self.resource].into_iter().any(|part| match part {
            Constraint::Any | Constraint::Is(_) => false,
            Constraint::Eq(named) | Constraint::IsIn(_, named) => *named == EntityOrSlot::Slot,
            Constraint::In(all) => all.contains(&EntityOrSlot::Slot),
        })
    }

    /// Whether it matches.
    pub(super) fn matches(&self, principal: &Keys, action: &Keys, resource: &Keys) -> bool {
        self.principal.matches(principal) && self.action.matches(action) && self.resource.matches(resource)
    }
}

impl Constraint {
    fn linked(&self, key: Option<&str>) -> Option<Self> {
        let filled = |named: &EntityOrSlot| match named {
            EntityOrSlot::Key(_) => Some(named.clone()),
            EntityOrSlot::Slot => key.map(|key| EntityOrSlot::Key(key.into())),
        };
        Some(match self {
            Self::Any | Self::Is(_) => self.clone(),
            Self::Eq(named) => Self::Eq(filled(named)?),
            Self::In(all) => Self::In(all.iter().map(filled).collect::<Option<_>>()?),
            Self::IsIn(entity_type, named) => Self::IsIn(entity_type.clone(), filled(named)?),
        })
    }

    fn matches(&self, keys: &Keys) -> bool {
        let is = |entity_type: &str| {
            let key = keys.first().and_then(|key| key.strip_prefix(entity_type));
            key.is_some_and(|id| id.starts_with('\0'))
        };
        match self {
            Self::Any => true,
            Self::Eq(named) => keys.first().is_some_and(|key| named.is(key)),
            Self::In(all) => keys.iter().any(|key| all.iter().any(|named| named.is(key))),
            Self::Is(entity_type) => is(entity_type),
            Self::IsIn(entity_type, named) => is(entity_type) && keys.iter().any(|key| named.is(key)),
        }
    }
}

impl EntityOrSlot {
    /// An open slot matches nobody.
    fn is(&self, key: &str) -> bool {
        matches!(self, Self::Key(known) if **known == *key)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyJson<'a> {
    #[serde(borrow)]
    effect: Cow<'a, str>,
    #[serde(borrow)]
    principal: &'a RawValue,
    #[serde(borrow)]
    action: &'a RawValue,
    #[serde(borrow)]
    resource: &'a RawValue,
    #[serde(borrow)]
    conditions: &'a RawValue,
    #[serde(default, rename = "annotations")]
    _annotations: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConstraintJson<'a> {
    #[serde(borrow)]
    op: Cow<'a, str>,
    entity: Option<uid::Json<'a>>,
    slot: Option<IgnoredAny>,
    entities: Option<Vec<uid::Json<'a>>>,
    entity_type: Option<Cow<'a, str>>,
    r#in: Option<InJson<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InJson<'a> {
    #[serde(borrow)]
    entity: Option<uid::Json<'a>>,
    slot: Option<IgnoredAny>,
}

impl ConstraintJson<'_> {
    fn read(self) -> Option<Constraint> {
        let Self { op, entity, slot, entities, entity_type, r#in } = self;
        if entity.is_some() && slot.is_some() {
            return None;
        }
        Some(match (&*op, one(entity, slot), entities, entity_type, r#in) {
            ("All", None, None, None, None) => Constraint::Any,
            ("==", Some(named), None, None, None) => Constraint::Eq(named),
            ("in", Some(named), None, None, None) => Constraint::In(vec![named]),
            ("in", None, Some(all), None, None) => Constraint::In(all.iter().map(named).collect()),
            ("is", None, None, Some(entity_type), None) => Constraint::Is(entity_type.into_owned()),
            ("is", None, None, Some(entity_type), Some(InJson { entity, slot })) => {
                Constraint::IsIn(entity_type.into_owned(), one(entity, slot)?)
            }
            _ => return None,
        })
    }
}

fn named(entity: &uid::Json<'_>) -> EntityOrSlot {
    EntityOrSlot::Key(key_of(&entity.r#type, &entity.id))
}

fn one(entity: Option<uid::Json<'_>>, slot: Option<IgnoredAny>) -> Option<EntityOrSlot> {
    match (entity, slot) {
        (Some(entity), None) => Some(named(&entity)),
        (None, Some(_)) => Some(EntityOrSlot::Slot),
        _ => None,
    }
}
