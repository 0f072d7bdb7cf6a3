//! A principal together with a bundle, and what the policies say about its requests.

mod shared;

use std::iter;
use std::sync::OnceLock;

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Entities, Entity, EntityUid, EvaluationError, PolicySet,
    Request, Response,
};

use super::decision::{Applying, Decision, Verdict};
use super::principal::Principal;
use super::resource::{Resource, merged};
use crate::bundle::entities::reachable;
use crate::bundle::policies::{PrincipalPolicies, Slice};
use crate::bundle::{Bundle, Unreadable, with_room};
use crate::reason::Reason;
pub(crate) use shared::{Effort, NumberedContext, SharedWork, Undecided};
use shared::{Evaluation, NotEvaluated};

/// A principal, with the parts of one bundle that concern it in every request.
#[derive(Debug)]
pub struct Subject {
    principal: Principal,
    /// All its ancestors.
    ancestors: Vec<EntityUid>,
    policies: PrincipalPolicies,
    /// Whether the principal is its own ancestor. Cedar does not accept such entities.
    is_circular: bool,
    /// The entities for a request whose action has no groups and whose resource is that of the API. They are
    /// gathered when a condition first needs them. `None`: Cedar does not accept them.
    entities: OnceLock<Option<Entities>>,
}

impl Subject {
    /// Gathers the parts of a bundle that concern a principal.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn new(bundle: &Bundle, principal: Principal) -> Result<Self, Unreadable> {
        let ancestors = bundle.entities().all_with_ancestors(&principal.parents)?;
        let is_circular = ancestors.contains(&principal.uid);
        let all = iter::once(&principal.uid).chain(&ancestors);
        let policies = bundle.policy_index().for_principal(all)?;
        Ok(Self { principal, ancestors, policies, is_circular, entities: OnceLock::new() })
    }

    /// Evaluates the policies of the bundle, which must be the one given to [`Subject::new`]. `context` is called
    /// only if a condition may read the context. If it returns `None`, the request is invalid.
    ///
    /// The decision is Cedar's, with one exception: a forbid policy whose condition cannot be evaluated counts as
    /// one that applies.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn decide(
        &self,
        bundle: &Bundle,
        action: &EntityUid,
        resource: Resource,
        context: impl FnOnce() -> Option<Context>,
    ) -> Result<Decision, Unreadable> {
        let context = || context().map(NumberedContext::from);
        self.decide_among(bundle, action, &resource, &mut SharedWork::default(), context)
    }

    /// The same for one of several requests. Results that the other requests can use are kept in `shared`.
    pub(crate) fn decide_among(
        &self,
        bundle: &Bundle,
        action: &EntityUid,
        resource: &Resource,
        shared: &mut SharedWork,
        context: impl FnOnce() -> Option<NumberedContext>,
    ) -> Result<Decision, Unreadable> {
        if !self.may_request(bundle, action, &resource.uid) {
            return Ok(Decision::deny(Reason::RequestInvalid));
        }
        let given = match self.given(resource) {
            Ok(given) => given,
            Err(reason) => return Ok(Decision::deny(reason)),
        };
        let index = bundle.policy_index();
        let Slice { permits, forbids, conditional, .. } =
            index.slice(&self.policies, action, &resource.uid, bundle.entities())?;
        let mut applying = Applying::new(permits, forbids);
        if conditional.is_empty() {
            return Ok(applying.decide());
        }
        let Some(context) = context() else {
            return Ok(Decision::deny(Reason::RequestInvalid));
        };
        let mut evaluation = Evaluation::new(self, bundle, action, resource, given, context, shared);
        let verdicts = match evaluation.verdicts(&conditional) {
            Ok(verdicts) => verdicts,
            Err(NotEvaluated::Unreadable(unreadable)) => return Err(unreadable),
            Err(NotEvaluated::Invalid | NotEvaluated::TooExpensive) => {
                return Ok(Decision::deny(Reason::RequestInvalid));
            }
        };
        for (policy, verdict) in conditional.into_iter().zip(verdicts) {
            if let Some(verdict @ (Verdict::Holds | Verdict::Fails)) = verdict {
                applying.add(policy.id().clone(), policy.effect(), verdict);
            }
        }
        Ok(applying.decide())
    }

    /// Whether Cedar accepts such a request, whatever the policies say.
    fn may_request(&self, bundle: &Bundle, action: &EntityUid, resource: &EntityUid) -> bool {
        let principal_type = self.principal.uid.type_name();
        !self.is_circular && bundle.may_request(principal_type, action, resource.type_name())
    }

    /// The entities to which the path gives attributes: the resource, or the principal if it is the resource
    /// itself. They are used in place of those of the store and the token.
    ///
    /// # Errors
    /// [`Reason::ResourceConflict`].
    fn given(&self, resource: &Resource) -> Result<GivenEntities, Reason> {
        match &resource.entity {
            None => Ok(GivenEntities::default()),
            Some(entity) if resource.uid == self.principal.uid => {
                let principal = self.principal.entity(&self.ancestors).ok_or(Reason::RequestInvalid)?;
                Ok(GivenEntities { principal: Some(merged(&principal, entity)?), resource: None })
            }
            Some(entity) => Ok(GivenEntities { principal: None, resource: Some(entity.clone()) }),
        }
    }

    /// The principal, and the entities that a request for this resource brings: the principal with its groups and
    /// attributes, and the resource if the path gives it attributes.
    ///
    /// # Errors
    /// [`Reason::ResourceConflict`], [`Reason::RequestInvalid`].
    pub(crate) fn entities_of_request(
        &self,
        resource: &Resource,
    ) -> Result<(EntityUid, Vec<Entity>), Reason> {
        let GivenEntities { principal, resource } = self.given(resource)?;
        let parents: Vec<EntityUid> = self.principal.parents.iter().cloned().collect();
        let principal =
            principal.or_else(|| self.principal.entity(&parents)).ok_or(Reason::RequestInvalid)?;
        Ok((self.principal.uid.clone(), [Some(principal), resource].into_iter().flatten().collect()))
    }

    /// The entities of a request: the principal, the given entities, and all entities of the store that can be
    /// reached from these and from `roots`. `None`: Cedar does not accept them.
    fn gather<'a>(
        &self,
        bundle: &Bundle,
        given: GivenEntities,
        roots: impl Iterator<Item = &'a EntityUid>,
    ) -> Result<Option<Entities>, Unreadable> {
        let Some(principal) = given.principal.or_else(|| self.principal.entity(&self.ancestors)) else {
            return Ok(None);
        };
        let given = [Some(principal), given.resource].into_iter().flatten().collect();
        let found = reachable(bundle.entities(), given, roots.cloned())?;
        // No schema is needed: the store's entities were checked against it when the bundle was built. Both
        // functions find the ancestors of each entity and refuse circles. For a few entities, `add_entities`
        // takes half the time. But if each entity is in all those before it, its time grows with the third power
        // of their number.
        Ok(match found.len() {
            ..=FEW_ENTITIES => Entities::empty().add_entities(found, None).ok(),
            _ => Entities::from_entities(found, None).ok(),
        })
    }
}

/// Entities that get attributes from the path of a request.
#[derive(Debug, Default)]
struct GivenEntities {
    /// The principal, if the path gives it attributes.
    principal: Option<Entity>,
    /// The resource, if the path gives it attributes.
    resource: Option<Entity>,
}

/// Whether an action has neither groups nor attributes. Without a schema it may have attributes, and a policy may
/// read them.
fn is_bare(action: &EntityUid, bundle: &Bundle) -> Result<bool, Unreadable> {
    Ok(bundle.entities().get(action)?.is_none_or(|action| action.is_bare()))
}

/// Asks Cedar. If Cedar runs out of stack, it is asked again with a larger one. That is rare, and making room for
/// every call would cost more than the call itself.
pub(super) fn ask_cedar(request: &Request, policies: &PolicySet, entities: &Entities) -> Response {
    let ask = || Authorizer::new().is_authorized(request, policies, entities);
    let response = ask();
    let is_out_of_room = |error: &AuthorizationError| match error {
        AuthorizationError::PolicyEvaluationError(error) => {
            matches!(error.inner(), EvaluationError::RecursionLimit(_))
        }
    };
    if response.diagnostics().errors().any(is_out_of_room) {
        // Without room, the errors stand. They deny.
        return with_room(ask).unwrap_or(response);
    }
    response
}

/// For up to this many entities, one way to find their ancestors is faster than the other; see
/// [`Subject::gather`].
const FEW_ENTITIES: usize = 16;
