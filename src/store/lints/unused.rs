//! Templates without a link.

use std::collections::HashSet;

use cedar_policy::PolicyId;

use super::Scene;
use crate::store::finding::{Code, Finding};

pub(super) fn check(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    let policies = &scene.store.policies;
    let linked: HashSet<&PolicyId> = scene.store.links.templates().iter().collect();
    for template in policies.templates().filter(|template| !linked.contains(template.id())) {
        let id = template.id();
        let position = scene.origins.effect_position(id);
        let message = format!("template `{id}` has no links");
        let finding = Finding::new(Code::TemplateUnused, position, message).about(id);
        findings.push(finding.hint("add a link to `template-links.json`, or remove the template"));
    }
}
