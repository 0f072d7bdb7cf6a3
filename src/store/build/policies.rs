//! Files the policies of a store by their scopes. The format is in [`crate::bundle::policies::format`].

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{
    ActionConstraint, EntityUid, Policy, PolicyId, PolicySet, PolicyToJsonError, PrincipalConstraint,
    ResourceConstraint, Template,
};
use serde_json::{Map, Value, json};

use super::{CannotBuild, table};
use crate::bundle::policies::format::{ACTION, ANY_ACTION, OTHERS, PRINCIPAL, RESOURCE, index_key};
use crate::bundle::table::entity_key;
use crate::bundle::text::uid;
use crate::store::build::table::TooLarge;
use crate::store::links::{LinkedEntity, TemplateLinks};
use crate::store::stored_policy::{self, StoredPolicy};

/// The members of a set of policies.
#[derive(Clone, Debug)]
pub(crate) struct PolicyMembers {
    pub(crate) policies: Vec<u8>,
    pub(crate) parts: Vec<u8>,
    pub(crate) index: Vec<u8>,
}

/// Writes the members.
///
/// # Errors
/// [`CannotBuild`].
pub(crate) fn file(set: &PolicySet, links: &TemplateLinks) -> Result<PolicyMembers, CannotBuild> {
    let mut forms = BTreeMap::new();
    for template in set.templates() {
        let json = exact(template.to_json(), |json| Template::from_json(None, json).ok()?.to_json().ok());
        let form = json.map_or_else(|| WrittenPolicy::Text(template.to_cedar()), WrittenPolicy::Json);
        forms.insert(key(template.id()), form);
    }
    for policy in stored_policy::all(set, links) {
        let form = form(&policy).ok_or_else(|| CannotBuild::Policy(PolicyId::new(policy.id())))?;
        forms.insert(policy.id().as_bytes().to_vec(), form);
    }
    let parts = common_parts(forms.values());
    let numbers_of_parts = numbers(&parts)?;
    let rows: BTreeMap<Vec<u8>, Vec<u8>> =
        forms.into_iter().map(|(key, form)| (key, form.written(&numbers_of_parts).into_bytes())).collect();
    let index = index(stored_policy::all(set, links), &numbers(&rows)?)?;
    Ok(PolicyMembers { policies: table::write(&rows)?, parts: table::write(&parts)?, index })
}

/// A policy, template or link before it is written.
enum WrittenPolicy {
    /// Cedar's JSON.
    Json(Map<String, Value>),
    /// Written as it is.
    Text(String),
}

impl WrittenPolicy {
    fn written(self, parts: &Numbers<'_>) -> String {
        match self {
            Self::Json(mut json) => {
                for value in json.values_mut() {
                    if let Some(part) = parts.get(value.to_string().as_bytes()) {
                        *value = Value::from(*part);
                    }
                }
                Value::Object(json).to_string()
            }
            Self::Text(text) => text,
        }
    }
}

/// The texts of the parts that more than one policy has. The values are empty.
fn common_parts<'a>(forms: impl Iterator<Item = &'a WrittenPolicy>) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut counts: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    let parts = forms.flat_map(|form| match form {
        WrittenPolicy::Json(json) => json.values().map(Value::to_string).collect(),
        WrittenPolicy::Text(_) => Vec::new(),
    });
    for part in parts.filter(|part| part.len() >= LEAST_PART) {
        *counts.entry(part.into_bytes()).or_default() += 1;
    }
    counts.into_iter().filter(|(_, count)| *count > 1).map(|(part, _)| (part, Vec::new())).collect()
}

/// The index of policies. `policies` has the number of each policy by its key.
fn index<'a>(
    all: impl Iterator<Item = StoredPolicy<'a>>,
    policies: &Numbers<'_>,
) -> Result<Vec<u8>, CannotBuild> {
    let mut places: BTreeMap<Vec<u8>, BTreeSet<IndexedPolicy>> = BTreeMap::new();
    for policy in all {
        let Some(&number) = policies.get(policy.id().as_bytes()) else {
            return Err(CannotBuild::Policy(PolicyId::new(policy.id())));
        };
        let named = principal_of(&policy).map(|uid| index_key(PRINCIPAL, &entity_key(&uid)).into_bytes());
        let named = named
            .or_else(|| resource_of(&policy).map(|uid| index_key(RESOURCE, &entity_key(&uid)).into_bytes()));
        let actions = match policy.action_constraint() {
            ActionConstraint::Any => {
                let place = named.unwrap_or_else(|| OTHERS.to_vec());
                places.entry(place).or_default().insert(IndexedPolicy { policy: number, action: None });
                continue;
            }
            ActionConstraint::Eq(action) => vec![action],
            ActionConstraint::In(actions) => actions,
        };
        for action in actions.iter().map(|action| index_key(ACTION, &entity_key(action)).into_bytes()) {
            places.entry(action.clone()).or_default();
            let place = named.clone().unwrap_or_else(|| action.clone());
            places.entry(place).or_default().insert(IndexedPolicy { policy: number, action: Some(action) });
        }
    }
    let actions = numbers(&places)?;
    let written = |filed: &IndexedPolicy| {
        // Each action has a row: it was added above.
        let action = filed.action.as_deref().and_then(|action| actions.get(action));
        [action.copied().unwrap_or(ANY_ACTION).to_le_bytes(), filed.policy.to_le_bytes()]
    };
    let mut rows = BTreeMap::new();
    for (place, filed) in &places {
        rows.insert(place.clone(), filed.iter().flat_map(written).flatten().collect());
    }
    Ok(table::write(&rows)?)
}

/// A policy at a place, with one of the actions of its scope.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct IndexedPolicy {
    policy: u32,
    action: Option<Vec<u8>>,
}

/// The row of each key in the table of these rows.
type Numbers<'a> = BTreeMap<&'a [u8], u32>;

fn numbers<T>(rows: &BTreeMap<Vec<u8>, T>) -> Result<Numbers<'_>, TooLarge> {
    u32::try_from(rows.len()).map_err(|_| TooLarge)?;
    Ok(rows.keys().map(Vec::as_slice).zip(0..).collect())
}

fn key(id: &PolicyId) -> Vec<u8> {
    let id: &str = id.as_ref();
    id.as_bytes().to_vec()
}

fn form(policy: &StoredPolicy<'_>) -> Option<WrittenPolicy> {
    let policy = match policy {
        StoredPolicy::Static(policy) => policy,
        StoredPolicy::Linked(link, _) => {
            let value = |entity: Option<LinkedEntity<'_>>| entity.map(|entity| uid::pair(&entity.uid()));
            let template: &str = link.template_id.as_ref();
            let link = json!([template, value(link.principal), value(link.resource)]);
            return Some(WrittenPolicy::Text(link.to_string()));
        }
    };
    let json = exact(policy.to_json(), |json| Policy::from_json(None, json).ok()?.to_json().ok());
    json.map(WrittenPolicy::Json).or_else(|| policy.to_cedar().map(WrittenPolicy::Text))
}

/// A complete JSON form: it can be read again, and is then the same. If it nests too deeply, a reader of JSON
/// cannot read it.
fn exact(
    json: Result<Value, PolicyToJsonError>,
    read_again: impl Fn(Value) -> Option<Value>,
) -> Option<Map<String, Value>> {
    let json = json.ok()?;
    let again = read_again(serde_json::from_str(&json.to_string()).ok()?)?;
    match json {
        Value::Object(json) if again == Value::Object(json.clone()) => Some(json),
        _ => None,
    }
}

fn principal_of(policy: &StoredPolicy<'_>) -> Option<EntityUid> {
    match policy.principal_constraint() {
        PrincipalConstraint::Any | PrincipalConstraint::Is(_) => None,
        PrincipalConstraint::In(uid) | PrincipalConstraint::Eq(uid) | PrincipalConstraint::IsIn(_, uid) => {
            Some(uid)
        }
    }
}

fn resource_of(policy: &StoredPolicy<'_>) -> Option<EntityUid> {
    match policy.resource_constraint() {
        ResourceConstraint::Any | ResourceConstraint::Is(_) => None,
        ResourceConstraint::In(uid) | ResourceConstraint::Eq(uid) | ResourceConstraint::IsIn(_, uid) => {
            Some(uid)
        }
    }
}

/// The shortest part for which a number saves room.
const LEAST_PART: usize = 16;

#[cfg(test)]
mod tests;
