//! What the stores say of the entities that policies name.
//!
//! A solver takes every entity to be anything. Without these facts a group of the store could be in groups of which it
//! is no member, and a resource could have other attributes than `entities.json` gives it.

use std::collections::BTreeSet;

use cedar_authorizer::cedar::{EntityUid, EvalResult};
use cedar_policy_symcc::SymEnv;
use serde_json::{Value, json};

use super::existence::{EXISTS, exists};
use super::expression::{binary, entity, not};
use super::policies::{Environment, find_entities};
use crate::test_bench::TestBench;

/// What all these stores say of the entities that conditions name, as far as no request can say otherwise. So entities
/// of the type of the caller are left out, and resources to which a path gives attributes.
pub fn facts(
    conditions: &[&Value],
    environment: &Environment,
    benches: &[&TestBench],
    types: &SymEnv,
) -> Vec<Value> {
    let mut named = BTreeSet::new();
    conditions.iter().for_each(|condition| find_entities(condition, &mut named));
    let is_fixed = |uid: &&EntityUid| {
        let name = uid.type_name();
        *name != environment.principal
            && name != environment.action.type_name()
            && types.entities.get(name).is_some_and(|data| data.members.is_none())
            && !benches.iter().any(|bench| is_of_path(uid, bench))
    };
    let named: Vec<&EntityUid> = named.iter().filter(is_fixed).collect();
    let mut facts = Vec::new();
    // Whether an entity is there matters only to what reads it.
    if conditions.iter().any(|condition| condition.to_string().contains(EXISTS)) {
        facts.extend(named.iter().take(MOST_NAMED).flat_map(|uid| of_entity(uid, benches)));
    }
    for group in &named {
        for member in named.iter().filter(|member| *member != group) {
            if types.entities.ancestors_of_type(member.type_name(), group.type_name()).is_none() {
                continue;
            }
            let said = benches.iter().map(|bench| bench.store().entities.is_ancestor_of(group, member));
            let fact = || binary("in", entity(member), entity(group));
            match agreed(said) {
                Some(true) => facts.push(fact()),
                // A caller may have any groups, so it does no harm if the solver puts a group into another one: the
                // caller is then in both. What a resource is in, the store says.
                Some(false) if *member.type_name() == environment.resource => facts.push(not(fact())),
                _ => {}
            }
            if facts.len() >= MOST_FACTS {
                return facts;
            }
        }
    }
    facts
}

/// Whether a path may give attributes to an entity of this type.
fn is_of_path(uid: &EntityUid, bench: &TestBench) -> bool {
    let mut templates = bench.store().routes.routes().iter().filter_map(|route| route.resource.as_ref());
    templates.any(|template| template.entity_type == *uid.type_name() && !template.attributes.is_empty())
}

/// Whether an entity is there, and its plain attributes.
fn of_entity(uid: &EntityUid, benches: &[&TestBench]) -> Vec<Value> {
    let known: Vec<_> = benches.iter().map(|bench| bench.store().entities.get(uid)).collect();
    match agreed(known.iter().map(Option::is_some)) {
        Some(false) => return vec![not(exists(entity(uid)))],
        Some(true) => {}
        None => return Vec::new(),
    }
    let mut facts = vec![exists(entity(uid))];
    let known: Vec<_> = known.into_iter().flatten().collect();
    for (name, _) in known.first().into_iter().flat_map(|first| first.attrs()) {
        let values = known.iter().map(|known| match known.attr(name) {
            Some(Ok(EvalResult::Bool(value))) => Some(json!({"Value": value})),
            Some(Ok(EvalResult::Long(value))) => Some(json!({"Value": value})),
            Some(Ok(EvalResult::String(value))) => Some(json!({"Value": value})),
            Some(Ok(EvalResult::EntityUid(value))) => Some(entity(&value)),
            _ => None,
        });
        let Some(Some(value)) = agreed(values) else { continue };
        let part = || json!({"left": entity(uid), "attr": name});
        facts.push(binary("&&", json!({"has": part()}), binary("==", json!({".": part()}), value)));
    }
    facts
}

/// What all say, if they say the same.
fn agreed<T: PartialEq>(mut said: impl Iterator<Item = T>) -> Option<T> {
    let first = said.next()?;
    said.all(|other| other == first).then_some(first)
}

/// Of so many entities the attributes are told, and so many facts there are. What the store says beyond that is left
/// open, which is no less sound.
const MOST_NAMED: usize = 30;
const MOST_FACTS: usize = 1000;
