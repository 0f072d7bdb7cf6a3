//! The keys of the map.
//!
//! ```text
//! \0*            policies that name no principal, no resource and no action
//! \0a T\0id      policies that name neither principal nor resource, but this action
//! \0e T\0id      an action, as an entity
//! \0t id         a template
//! T\0id e        any other entity
//! T\0id p        policies whose scopes name this principal
//! T\0id r        policies that name no principal, but this resource
//! ```
//!
//! (without the spaces). All that belongs to one entity stands together, and so does all that calls of different callers
//! have in common: it begins with a zero byte, as no entity type does.

use cedar_policy::EntityUid;

use crate::bundle::table::entity_key;

/// Where the policies are that name no entity.
pub(crate) const OTHERS: &[u8] = b"\0*";

/// What all keys begin with that calls of different callers have in common.
#[cfg(feature = "authoring")]
pub(crate) const COMMON: u8 = 0;

const ACTION_POLICIES: &[u8] = b"\0a";
const ACTION_ENTITY: &[u8] = b"\0e";
const TEMPLATE: &[u8] = b"\0t";
const ENTITY: u8 = b'e';
const OF_PRINCIPAL: u8 = b'p';
const OF_RESOURCE: u8 = b'r';

/// What a key of the map leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyKind {
    /// An entity.
    Entity,
    /// Policies.
    Policies,
    /// A template.
    Template,
}

/// An entity.
pub(crate) fn entity(uid: &EntityUid) -> Vec<u8> {
    let key = entity_key(uid);
    if uid.type_name().basename() == ACTION_TYPE {
        [ACTION_ENTITY, key.as_bytes()].concat()
    } else {
        [key.as_bytes(), &[ENTITY]].concat()
    }
}

/// The policies that name an action, given by its [key](entity_key), and neither principal nor resource.
pub(crate) fn action(key: &str) -> Vec<u8> {
    [ACTION_POLICIES, key.as_bytes()].concat()
}

/// The policies that name a principal, given by its [key](entity_key).
pub(crate) fn principal(key: &str) -> Vec<u8> {
    [key.as_bytes(), &[OF_PRINCIPAL]].concat()
}

/// The policies that name a resource, given by its [key](entity_key), and no principal.
pub(crate) fn resource(key: &str) -> Vec<u8> {
    [key.as_bytes(), &[OF_RESOURCE]].concat()
}

/// A template.
pub(crate) fn template(id: &str) -> Vec<u8> {
    [TEMPLATE, id.as_bytes()].concat()
}

/// What a key leads to, and the name of it: of an entity its [key](entity_key), of a template its id. `None`: it is no
/// key of a map.
pub(crate) fn read(key: &[u8]) -> Option<(KeyKind, &[u8])> {
    if key == OTHERS {
        return Some((KeyKind::Policies, b""));
    }
    let common = [
        (ACTION_POLICIES, KeyKind::Policies),
        (ACTION_ENTITY, KeyKind::Entity),
        (TEMPLATE, KeyKind::Template),
    ];
    for (prefix, kind) in common {
        if let Some(name) = key.strip_prefix(prefix) {
            return Some((kind, name));
        }
    }
    match key.split_last()? {
        (&ENTITY, name) => Some((KeyKind::Entity, name)),
        (&(OF_PRINCIPAL | OF_RESOURCE), name) => Some((KeyKind::Policies, name)),
        _ => None,
    }
}

/// The last part of the type of every action (Cedar Policy Language Reference, "Entities").
const ACTION_TYPE: &str = "Action";
