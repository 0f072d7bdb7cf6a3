//! Groups of the entities that no policy names, directly or through a group that they are in.

use cedar_policy::EntityUid;

use super::Scene;
use super::requests::is_group_of;
use crate::bundle::files::ENTITIES_FILE;
use crate::bundle::policies::with_ancestors;
use crate::store::finding::{Code, Finding};

pub(super) fn check(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    let store = scene.store;
    let is_group = |uid: &EntityUid| store.identity_sources.iter().any(|source| is_group_of(source, uid));
    let mut groups: Vec<EntityUid> =
        store.entities.iter().map(|entity| entity.uid()).filter(is_group).collect();
    // A condition may ask what something is in without naming it, as `principal in resource.readers`.
    if groups.is_empty() || scene.origins.all_facts().any(|facts| facts.looks_up_groups) {
        return;
    }
    let named = store.entities_in_policies();
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
