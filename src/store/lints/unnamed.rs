//! Groups of the entities that no policy names, directly or through a group that they are in.

use std::collections::HashSet;

use cedar_policy::EntityUid;
use serde_json::Value;

use super::Scene;
use super::requests::is_group_of;
use crate::bundle::files::ENTITIES_FILE;
use crate::bundle::policies::with_ancestors;
use crate::store::finding::{Code, Finding};
use crate::store::inputs;

pub(super) fn check(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    let store = scene.store;
    let is_group = |uid: &EntityUid| store.identity_sources.iter().any(|source| is_group_of(source, uid));
    let mut groups: Vec<EntityUid> =
        store.entities.iter().map(|entity| entity.uid()).filter(is_group).collect();
    if groups.is_empty() || looks_up_groups(scene) {
        return;
    }
    let mut named: HashSet<EntityUid> = HashSet::new();
    for policy in store.policies.policies() {
        named.extend(policy.entity_literals());
        named.extend(policy.template_links().into_iter().flatten().map(|(_, uid)| uid));
    }
    groups.sort();
    for group in groups {
        if with_ancestors(&store.entities, &group).iter().any(|above| named.contains(above)) {
            continue;
        }
        let position = scene.entity_position(&group);
        let message = format!("no policy names `{group}`, nor a group that it is in");
        let finding = Finding::new(Code::GroupUnnamed, position, message);
        findings.push(finding.hint(format!("use it in a policy, or remove it from `{ENTITIES_FILE}`")));
    }
}

/// Whether a condition asks what something is in without naming it, as `principal in resource.readers`.
fn looks_up_groups(scene: &Scene<'_>) -> bool {
    let policies = &scene.store.policies;
    let has_condition =
        policies.policies().filter(|policy| policy.is_static() && policy.has_non_scope_constraint());
    let of_policies = has_condition.filter_map(|policy| policy.to_json().ok());
    let templates = policies.templates().filter(|template| template.has_non_scope_constraint());
    let of_templates = templates.filter_map(|template| template.to_json().ok());
    of_policies.chain(of_templates).any(|json| json.get("conditions").is_some_and(looks_up))
}

fn looks_up(expression: &Value) -> bool {
    match expression {
        Value::Array(parts) => parts.iter().any(looks_up),
        Value::Object(parts) => parts.iter().any(|(operator, part)| {
            let group = match operator.as_str() {
                "in" => part.get("right"),
                "is" => part.get("in"),
                _ => None,
            };
            group.is_some_and(|group| !inputs::is_entities(group)) || looks_up(part)
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
