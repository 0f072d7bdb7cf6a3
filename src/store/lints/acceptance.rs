//! `@accept("code,code")`: the warnings that a policy accepts about itself.
//!
//! Cedar gives annotations no meaning, and Verified Permissions keeps them (Cedar Policy Language Reference,
//! "Annotations"), so the annotation changes no decision.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::PolicyId;

use super::Checks;
use crate::store::Store;
use crate::store::finding::{Code, Finding, Severity};
use crate::store::guess::nearest;
use crate::store::policies::StorePolicies;
use crate::store::statement::annotation;

/// Leaves out the warnings that policies accept. An acceptance of nothing is a warning itself.
pub(in crate::store) fn accept(
    store: &Store,
    origins: &StorePolicies<'_>,
    checks: &Checks,
    findings: &mut Vec<Finding>,
) {
    let acceptances = acceptances(store);
    if acceptances.is_empty() {
        return;
    }
    let mut used: BTreeSet<(&str, Code)> = BTreeSet::new();
    findings.retain(|finding| {
        let Some(policy) = &finding.policy else {
            return true;
        };
        // A link has the annotations of its template.
        let policy = store.links.get(policy).map_or(policy.as_str(), |link| link.template_id.as_ref());
        let Some((policy, accepted)) = acceptances.get_key_value(policy) else {
            return true;
        };
        let is_accepted =
            finding.severity == Severity::Warning && names(accepted).any(|name| name == finding.code.name());
        if is_accepted {
            used.insert((policy, finding.code));
        }
        !is_accepted
    });
    for (policy, accepted) in &acceptances {
        let id = PolicyId::new(policy);
        let mut unused = |message: String, hint: Option<String>| {
            let position = origins.annotation_position(&id, ANNOTATION);
            let finding = Finding::new(Code::AcceptanceUnused, position, message).about(&id);
            findings.push(match hint {
                Some(hint) => finding.hint(hint),
                None => finding,
            });
        };
        let mut is_empty = true;
        for name in names(accepted) {
            is_empty = false;
            match Code::from_name(name) {
                None => {
                    let near = nearest(name, Code::ALL.iter().map(|code| code.name()));
                    unused(
                        format!("policy `{id}` accepts `{name}`, but no finding has this code"),
                        near.map(|near| format!("did you mean `{near}`?")),
                    );
                }
                Some(code) if code.severity() == Severity::Error => {
                    unused(
                        format!("policy `{id}` accepts `{code}`, which is an error and cannot be accepted"),
                        None,
                    );
                }
                Some(code) if !used.contains(&(*policy, code)) && checks.looks_for(code) => {
                    let hint = "take it out of `@accept`, so that it cannot hide a later mistake";
                    unused(
                        format!("policy `{id}` accepts `{code}`, but there is no such finding about it"),
                        Some(hint.to_owned()),
                    );
                }
                Some(_) => {}
            }
        }
        if is_empty {
            unused(format!("policy `{id}` accepts nothing: its `@accept` names no finding"), None);
        }
    }
}

/// The static policies and templates that accept something, each with the text of the annotation.
fn acceptances(store: &Store) -> BTreeMap<&str, &str> {
    let policies = store.policies.policies();
    let policies = policies
        .filter_map(|policy| Some((policy.id().as_ref(), annotation(policy.annotations(), ANNOTATION)?)));
    let templates = store.policies.templates();
    let templates = templates.filter_map(|template| {
        Some((template.id().as_ref(), annotation(template.annotations(), ANNOTATION)?))
    });
    policies.chain(templates).collect()
}

/// The names of findings in the text of an annotation.
fn names(accepted: &str) -> impl Iterator<Item = &str> {
    accepted.split(',').map(str::trim).filter(|name| !name.is_empty())
}

const ANNOTATION: &str = "accept";
