//! The decision: what the policies say about a request.

use std::iter;

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Effect, Entities, Entity, EntityUid, PolicyId, PolicySet,
    Request,
};

use crate::bundle::Bundle;
use crate::entities::reachable;
use crate::reason::Reason;
use crate::resource::Resource;

/// What the policies say, and which of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Why; its [`status`](Reason::status) is Allow or Deny.
    pub reason: Reason,
    /// The policies that determined the decision, in the order of their ids.
    pub policies: Vec<PolicyId>,
    /// The policies that could not be evaluated, in the order of their ids.
    pub errors: Vec<PolicyId>,
}

impl Decision {
    /// A denial for which no policy was asked.
    pub fn deny(reason: Reason) -> Self {
        Self { reason, policies: Vec::new(), errors: Vec::new() }
    }
}

/// Evaluates the policies of a bundle.
///
/// It follows Cedar but for one point: a forbid policy whose condition cannot be evaluated counts
/// as one that applies. Cedar skips it, as it skips a permit policy (Cedar Policy Language
/// Reference, "Authorization: policy evaluation"), but skipping a forbid opens what it closed.
pub fn decide(
    bundle: &Bundle,
    principal: Entity,
    action: EntityUid,
    resource: Resource,
    context: Context,
) -> Decision {
    let Resource { uid: resource, entity } = resource;
    let roots = [action.clone(), resource.clone()].into_iter().chain(bundle.named_entities().iter().cloned());
    let given = iter::once(principal.clone()).chain(entity).collect();
    let entities = reachable(bundle.entities(), given, roots);
    // The store's entities were checked against the schema when it was opened.
    let Ok(entities) = Entities::from_entities(entities, None) else {
        return Decision::deny(Reason::RequestInvalid);
    };
    let Ok(request) = Request::new(principal.uid(), action, resource, context, bundle.schema()) else {
        return Decision::deny(Reason::RequestInvalid);
    };
    let policies = bundle.policies();
    let response = Authorizer::new().is_authorized(&request, policies, &entities);

    let diagnostics = response.diagnostics();
    let errors = sorted(diagnostics.errors().map(|error| match error {
        AuthorizationError::PolicyEvaluationError(error) => error.policy_id(),
    }));
    let determining = sorted(diagnostics.reason());
    let forbids = |id: &PolicyId| effect(policies, id) != Some(Effect::Permit);
    let failed_forbids: Vec<PolicyId> = errors.iter().filter(|id| forbids(id)).cloned().collect();

    match response.decision() {
        cedar_policy::Decision::Deny if determining.iter().any(forbids) => {
            Decision { reason: Reason::ForbiddenByPolicy, policies: determining, errors }
        }
        _ if !failed_forbids.is_empty() => {
            Decision { reason: Reason::ForbidError, policies: failed_forbids, errors }
        }
        cedar_policy::Decision::Allow => {
            Decision { reason: Reason::AllowedByPolicy, policies: determining, errors }
        }
        cedar_policy::Decision::Deny => {
            Decision { reason: Reason::NoMatchingPermit, policies: determining, errors }
        }
    }
}

fn effect(policies: &PolicySet, id: &PolicyId) -> Option<Effect> {
    policies.policy(id).map(cedar_policy::Policy::effect)
}

fn sorted<'a>(ids: impl Iterator<Item = &'a PolicyId>) -> Vec<PolicyId> {
    let mut ids: Vec<PolicyId> = ids.cloned().collect();
    ids.sort();
    ids
}
