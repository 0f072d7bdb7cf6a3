//! The scope of a policy, as answers and filters have it.

use cedar_policy::{
    ActionConstraint, Effect, EntityUid, Policy, PrincipalConstraint, ResourceConstraint, Template,
    TemplatePrincipalConstraint, TemplateResourceConstraint,
};
use serde::Serialize;

use crate::avp::contents::EntityIdentifier;

/// Whom, what and which actions a policy is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Whether it permits or forbids.
    pub effect: PolicyEffect,
    /// The principal that it names with `==` or `in`.
    pub principal: Option<EntityIdentifier>,
    /// The resource that it names with `==` or `in`.
    pub resource: Option<EntityIdentifier>,
    /// The actions that it names. `None`: all.
    pub actions: Option<Vec<ActionIdentifier>>,
}

/// AVP's `PolicyEffect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum PolicyEffect {
    Forbid,
    Permit,
}

/// AVP's `ActionIdentifier`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionIdentifier {
    pub action_type: String,
    pub action_id: String,
}

impl Scope {
    /// The scope of a static policy, or of a link with its values.
    pub fn of(policy: &Policy) -> Self {
        let principal = match policy.principal_constraint() {
            PrincipalConstraint::Any | PrincipalConstraint::Is(_) => None,
            PrincipalConstraint::In(uid)
            | PrincipalConstraint::Eq(uid)
            | PrincipalConstraint::IsIn(_, uid) => Some(identifier(&uid)),
        };
        let resource = match policy.resource_constraint() {
            ResourceConstraint::Any | ResourceConstraint::Is(_) => None,
            ResourceConstraint::In(uid) | ResourceConstraint::Eq(uid) | ResourceConstraint::IsIn(_, uid) => {
                Some(identifier(&uid))
            }
        };
        let actions = match policy.action_constraint() {
            ActionConstraint::Any => None,
            ActionConstraint::In(uids) => Some(uids),
            ActionConstraint::Eq(uid) => Some(vec![uid]),
        };
        let effect = match policy.effect() {
            Effect::Permit => PolicyEffect::Permit,
            Effect::Forbid => PolicyEffect::Forbid,
        };
        let action = |uid: &EntityUid| ActionIdentifier {
            action_type: uid.type_name().to_string(),
            action_id: uid.id().unescaped().to_owned(),
        };
        let actions = actions.map(|actions| actions.iter().map(action).collect());
        Self { effect, principal, resource, actions }
    }
}

/// Whether a template says something about both principal and resource. AVP takes no others (User Guide,
/// "Differences").
pub fn is_constrained(template: &Template) -> bool {
    template.principal_constraint() != TemplatePrincipalConstraint::Any
        && template.resource_constraint() != TemplateResourceConstraint::Any
}

/// An entity as AVP writes it.
pub fn identifier(uid: &EntityUid) -> EntityIdentifier {
    EntityIdentifier { entity_type: uid.type_name().to_string(), entity_id: uid.id().unescaped().to_owned() }
}
