//! Policies that can never apply to a request through the API. Cedar does not know the routes and the identity
//! sources, so it cannot find them.

use std::collections::HashSet;

use cedar_policy::{ActionConstraint, EntityUid, Policy, PolicyId, PrincipalConstraint, ResourceConstraint};
use rayon::prelude::*;

use super::{Scene, some_of};
use crate::store::finding::{Code, Finding, Position};
use crate::store::guess::nearest;
use crate::store::stored_policy::StoredPolicy;

pub(super) fn check(scene: &Scene<'_>, impossible: &HashSet<PolicyId>, findings: &mut Vec<Finding>) {
    let store = scene.store;
    let is_impossible = |id: &str| !impossible.is_empty() && impossible.contains(&PolicyId::new(id));
    let policies: Vec<&Policy> =
        store.policies.policies().filter(|policy| !impossible.contains(policy.id())).collect();
    let of_policies = policies.into_par_iter().filter_map(|policy| {
        let cause = of_action(scene, policy.id(), policy.action_constraint());
        let cause = cause.or_else(|| of_entities(scene, &StoredPolicy::Static(policy)))?;
        Some((policy.id().to_string(), cause))
    });
    let mut causes: Vec<(String, Cause)> = of_policies.collect();

    // What the text of a template says is said once, not for each of its links.
    let linked = || store.links.par_iter().filter(|link| !is_impossible(link.id));
    let linked_templates: HashSet<&PolicyId> = linked().map(|link| link.template_id).collect();
    let mut templates: HashSet<String> = HashSet::new();
    for template in linked_templates.into_iter().filter_map(|id| store.policies.template(id)) {
        if let Some(cause) = of_action(scene, template.id(), template.action_constraint()) {
            templates.insert(template.id().to_string());
            causes.push((template.id().to_string(), cause));
        }
    }
    let of_links = linked().filter(|link| !templates.contains::<str>(link.template_id.as_ref()));
    let of_links = of_links.filter_map(|link| StoredPolicy::linked(link, &store.policies));
    let of_links = of_links.filter_map(|policy| {
        let cause = of_entities(scene, &policy)?;
        Some((if cause.of_template { policy.text_id().as_ref() } else { policy.id() }.to_owned(), cause))
    });
    let of_links: Vec<(String, Cause)> = of_links.collect();
    causes.extend(
        of_links.into_iter().filter(|(id, cause)| !cause.of_template || templates.insert(id.clone())),
    );

    for (id, Cause { message, hint, position, of_template: _ }) in causes {
        let message = format!("policy `{id}` never applies: {message}");
        let finding = Finding::new(Code::PolicyNeverApplies, position, message).about(id);
        findings.push(match hint {
            Some(hint) => finding.hint(hint),
            None => finding,
        });
    }
}

/// Why a policy never applies.
struct Cause {
    message: String,
    hint: Option<String>,
    position: Position,
    /// Whether the cause is in the text of a template, not in a link.
    of_template: bool,
}

/// Why no request has a principal and a resource for a policy.
fn of_entities(scene: &Scene<'_>, policy: &StoredPolicy<'_>) -> Option<Cause> {
    of_resource(scene, policy).or_else(|| of_principal(scene, policy))
}

/// Why no request has an action for a policy or template.
fn of_action(scene: &Scene<'_>, id: &PolicyId, constraint: ActionConstraint) -> Option<Cause> {
    let named = match constraint {
        constraint if scene.requests.may_have_action(&constraint) => return None,
        ActionConstraint::Any => return None,
        ActionConstraint::Eq(action) => vec![action],
        ActionConstraint::In(actions) => actions,
    };
    let message = match named.first() {
        Some(_) => format!("no route leads to {}", some_of(named.iter().map(|action| format!("`{action}`")))),
        None => "its scope names no action".to_owned(),
    };
    let position = match named.first() {
        Some(action) => scene.origins.entity_position(id, action),
        None => scene.origins.effect_position(id),
    };
    let first = named.first().map(|action| action.id().unescaped());
    let mut routed: Vec<&str> = scene.requests.actions().map(|action| action.id().unescaped()).collect();
    routed.sort_unstable();
    let near = first.and_then(|first| nearest(first, routed));
    Some(Cause {
        message,
        hint: near.map(|near| format!("did you mean `{near}`?")),
        position,
        of_template: true,
    })
}

fn of_resource(scene: &Scene<'_>, policy: &StoredPolicy<'_>) -> Option<Cause> {
    let constraint = policy.resource_constraint();
    if scene.requests.may_have_resource(&policy.action_constraint(), &constraint) {
        return None;
    }
    let (what, uid) = match &constraint {
        ResourceConstraint::Any => return None,
        ResourceConstraint::Is(entity_type) => (format!("of type `{entity_type}`"), None),
        ResourceConstraint::Eq(uid) => (format!("`{uid}`"), Some(uid)),
        ResourceConstraint::In(uid) => (format!("in `{uid}`"), Some(uid)),
        ResourceConstraint::IsIn(entity_type, uid) => {
            (format!("of type `{entity_type}` in `{uid}`"), Some(uid))
        }
    };
    let actions = match policy.action_constraint() {
        ActionConstraint::Any => "",
        _ => " of these actions",
    };
    let message = format!("no route{actions} has a resource {what}");
    let entity_type = match &constraint {
        ResourceConstraint::Is(entity_type) | ResourceConstraint::IsIn(entity_type, _) => Some(entity_type),
        _ => uid.map(EntityUid::type_name),
    };
    let example = entity_type.and_then(|entity_type| scene.requests.resource_of_type(entity_type));
    let hint = example.map(|example| format!("routes have the resource `{example}`"));
    Some(at_scope(scene, policy, uid, "resource", message, hint))
}

fn of_principal(scene: &Scene<'_>, policy: &StoredPolicy<'_>) -> Option<Cause> {
    let constraint = policy.principal_constraint();
    if scene.requests.may_have_principal(&constraint) {
        return None;
    }
    let sources = &scene.store.identity_sources;
    let (what, uid) = match &constraint {
        PrincipalConstraint::Any => return None,
        PrincipalConstraint::Is(entity_type) => (format!("of type `{entity_type}`"), None),
        PrincipalConstraint::Eq(uid) => (format!("`{uid}`"), Some(uid)),
        PrincipalConstraint::In(uid) => (format!("in `{uid}`"), Some(uid)),
        PrincipalConstraint::IsIn(entity_type, uid) => {
            (format!("of type `{entity_type}` in `{uid}`"), Some(uid))
        }
    };
    let is_group =
        |uid: &EntityUid| sources.iter().any(|source| source.group_type() == Some(uid.type_name()));
    // Another finding says so.
    if uid.is_some_and(|uid| is_group(uid) && scene.store.entities.get(uid).is_none()) {
        return None;
    }
    let source = sources.first()?;
    let hint = match uid.filter(|uid| is_group(uid)) {
        Some(group) => {
            let source = sources.iter().find(|source| source.group_type() == Some(group.type_name()))?;
            format!("the groups of `{}` read `{}`", source.name(), source.entity(group.type_name(), "GROUP"))
        }
        None => {
            let example = source.entity(source.principal_type(), "ID");
            format!("the users of `{}` read `{example}`", source.name())
        }
    };
    let message = format!("no identity source makes a principal {what}");
    Some(at_scope(scene, policy, uid, "principal", message, Some(hint)))
}

/// A cause that is in the text of a policy, or in what a link puts into the slot for `variable`.
fn at_scope(
    scene: &Scene<'_>,
    policy: &StoredPolicy<'_>,
    uid: Option<&EntityUid>,
    variable: &str,
    message: String,
    hint: Option<String>,
) -> Cause {
    let is_linked = uid.is_some_and(|uid| policy.linked_entities().any(|entity| entity.is(uid)));
    let link;
    let id = if is_linked {
        link = PolicyId::new(policy.id());
        &link
    } else {
        policy.text_id()
    };
    let position = match uid {
        Some(uid) => scene.origins.entity_position(id, uid),
        None => scene.origins.variable_position(id, variable),
    };
    Cause { message, hint, position, of_template: !is_linked }
}
