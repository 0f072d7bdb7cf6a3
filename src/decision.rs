//! The decision: what the policies say about a request.

use std::iter;

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Effect, Entities, Entity, EntityUid, PolicyId, PolicySet,
    Request,
};

use crate::bundle::{Bundle, Unreadable};
use crate::entities::reachable;
use crate::reason::Reason;
use crate::resource::Resource;
use crate::slice::{ForPrincipal, with_ancestors};

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

/// A principal, with what of one bundle concerns it whatever it does.
#[derive(Debug)]
pub struct Subject {
    principal: Entity,
    policies: ForPrincipal,
    /// The entities of a request for an action without groups on the resource of the API.
    entities: Option<Entities>,
}

impl Subject {
    /// Gathers what concerns a principal.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn new(bundle: &Bundle, principal: Entity) -> Result<Self, Unreadable> {
        let roots = bundle.named_entities().iter().chain([bundle.resource()]).cloned();
        let found = reachable(bundle.entities(), vec![principal.clone()], roots)?;
        // The store's entities were checked against the schema when it was opened.
        let entities = Entities::from_entities(found, None).ok();
        let uid = principal.uid();
        let principals = match &entities {
            Some(entities) => with_ancestors(entities, &uid),
            None => vec![uid],
        };
        let policies = bundle.policy_index().for_principal(&principals)?;
        Ok(Self { principal, policies, entities })
    }

    /// Whether any policy could allow an action on a resource: a quick no for most routes of an API. The bundle is
    /// that of [`Subject::new`].
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn may_be_allowed(
        &self,
        bundle: &Bundle,
        action: &EntityUid,
        resource: &EntityUid,
    ) -> Result<bool, Unreadable> {
        let (entities, index) = (bundle.entities(), bundle.policy_index());
        let (actions, resources) = (entities.with_ancestors(action)?, entities.with_ancestors(resource)?);
        index.has_permit(&index.slice(&self.policies, &actions, &resources)?)
    }

    /// Evaluates the policies of the bundle, which is that of [`Subject::new`].
    ///
    /// It follows Cedar but for one point: a forbid policy whose condition cannot be evaluated counts
    /// as one that applies. Cedar skips it, as it skips a permit policy (Cedar Policy Language
    /// Reference, "Authorization: policy evaluation"), but skipping a forbid opens what it closed.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn decide(
        &self,
        bundle: &Bundle,
        action: &EntityUid,
        resource: Resource,
        context: Context,
    ) -> Result<Decision, Unreadable> {
        let invalid = Ok(Decision::deny(Reason::RequestInvalid));
        let Resource { uid: resource, entity } = resource;
        if !bundle.may_request(self.principal.uid().type_name(), action, resource.type_name()) {
            return invalid;
        }
        let is_of_api = entity.is_none() && resource == *bundle.resource();
        let stored = bundle.entities().get(action)?;
        let groups = stored.iter().flat_map(|stored| &stored.ancestors);
        let actions: Vec<EntityUid> = iter::once(action).chain(groups).cloned().collect();
        // Without a schema an action may have attributes, which a policy may ask for.
        let is_bare = stored.is_none_or(|action| action.is_bare());
        // Without them nobody knows what the principal is in, and so which policies are about it.
        let Some(of_principal) = &self.entities else {
            return invalid;
        };
        let own;
        let entities = match is_of_api && is_bare {
            true => of_principal,
            false => {
                let roots = [action, &resource].into_iter().chain(bundle.named_entities()).cloned();
                let given = iter::once(self.principal.clone()).chain(entity).collect();
                let found = reachable(bundle.entities(), given, roots)?;
                let Ok(found) = Entities::from_entities(found, None) else {
                    return invalid;
                };
                own = found;
                &own
            }
        };
        // What the schema says of it was looked at above, and the context was made by it.
        let Ok(request) = Request::new(self.principal.uid(), action.clone(), resource.clone(), context, None)
        else {
            return invalid;
        };
        let index = bundle.policy_index();
        let slice = index.slice(&self.policies, &actions, &with_ancestors(entities, &resource))?;
        Ok(evaluate(&request, &*index.policies(slice)?, entities))
    }
}

fn evaluate(request: &Request, policies: &PolicySet, entities: &Entities) -> Decision {
    let response = Authorizer::new().is_authorized(request, policies, entities);

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

/// The ids of policies as one text, separated by commas.
pub fn list(policies: &[PolicyId]) -> String {
    policies.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn effect(policies: &PolicySet, id: &PolicyId) -> Option<Effect> {
    policies.policy(id).map(cedar_policy::Policy::effect)
}

fn sorted<'a>(ids: impl Iterator<Item = &'a PolicyId>) -> Vec<PolicyId> {
    let mut ids: Vec<PolicyId> = ids.cloned().collect();
    ids.sort();
    ids
}
