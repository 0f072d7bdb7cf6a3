//! Actions of the schema that no route leads to.

use std::collections::HashSet;

use cedar_policy::EntityUid;

use super::Scene;
use crate::store::finding::{Code, Finding};

pub(super) fn check(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    let Some(schema) = scene.schema else {
        return;
    };
    let entities = &scene.store.entities;
    let mut actions: Vec<&EntityUid> = schema.schema.actions().collect();
    actions.sort();
    // A group of actions is there for policies, not for requests.
    let groups: HashSet<&EntityUid> =
        actions.iter().flat_map(|action| entities.ancestors(action).into_iter().flatten()).collect();
    for action in actions {
        if scene.requests.has_action(action) || groups.contains(action) {
            continue;
        }
        let position = schema.find(action.id().unescaped());
        let message = format!("no route leads to `{action}`");
        let finding = Finding::new(Code::ActionUnrouted, position, message);
        findings.push(finding.hint(
            "add a `[[routes]]` to `store.toml`, name the action after its route, such as \"get /pets\", or leave it \
             out of the schema",
        ));
    }
}
