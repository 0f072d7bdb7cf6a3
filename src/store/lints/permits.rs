//! Permits for callers of whom nothing is known but that they have a token.

use std::collections::{BTreeSet, HashSet};

use cedar_policy::{Effect, PolicyId};

use super::{Scene, some_of};
use crate::gateway::input::Input;
use crate::store::finding::{Code, Finding};
use crate::store::inputs::{AttributeRead, Variable};
use crate::store::policies::Facts;

pub(super) fn check(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    // What the text of a template says is said once, not for each of its links.
    let mut templates: HashSet<&PolicyId> = HashSet::new();
    for policy in scene.store.stored_policies() {
        // Whether a scope is for everybody does not depend on what is in a slot.
        if policy.template_id().is_some_and(|template| !templates.insert(template)) {
            continue;
        }
        let is_open = policy.effect() == Effect::Permit
            && scene.requests.is_every_principal(&policy.principal_constraint());
        if !is_open {
            continue;
        }
        let id = policy.text_id();
        // A policy without conditions says the same as `when { true }`.
        let facts = scene.origins.facts(id).filter(|_| policy.has_conditions());
        if facts.is_none_or(|facts| facts.is_always_true) {
            let position = scene.origins.variable_position(id, "principal");
            let message = format!("policy `{id}` is for every caller with a token");
            let finding = Finding::new(Code::PermitForEveryone, position, message).about(id);
            findings.push(finding.hint(
                "name a group or user in the scope, or say that it is meant so with \
                 `@accept(\"permit-for-everyone\")`",
            ));
        } else if let Some(claimed) = facts.and_then(claimed_alone) {
            let position = scene.origins.variable_position(id, "principal");
            let message = format!(
                "policy `{id}` is for every caller who sends the right {}: nothing of it is verified",
                some_of(claimed)
            );
            let finding = Finding::new(Code::PermitUnverified, position, message).about(id);
            findings.push(finding.hint(
                "ask also for a group, a claim of the token or the source address; a client may send whatever it \
                 likes",
            ));
        }
    }
}

/// What the conditions read, if all of it is what a client may claim. The action, the method, the stage and the
/// time say nothing of the caller.
fn claimed_alone(facts: &Facts) -> Option<BTreeSet<String>> {
    let mut claimed = BTreeSet::new();
    for read in &facts.reads {
        if read.variable == Variable::Action {
            continue;
        }
        let inputs = read.inputs();
        if inputs.is_empty() && !is_of_call(read) {
            return None;
        }
        for input in inputs {
            match input {
                Input::Header(_)
                | Input::Headers
                | Input::Host
                | Input::Path
                | Input::PathParameters
                | Input::Query(_)
                | Input::QueryParameters
                | Input::QueryPresence
                | Input::UserAgent => {
                    claimed.insert(input.to_string());
                }
                Input::Method | Input::Stage | Input::Time => {}
                Input::Resource | Input::SourceIp => return None,
            }
        }
    }
    Some(claimed).filter(|claimed| !claimed.is_empty())
}

/// Whether it is read in the call, not in the token: the presence of `context.http`, or the route.
fn is_of_call(read: &AttributeRead) -> bool {
    read.variable == Variable::Context && read.path.first().is_some_and(|name| name == "http")
}
