//! A principal beside a bundle, and what the policies say of its requests.

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
pub(crate) use shared::{Effort, NumberedContext, SharedWork, TooExpensive};
use shared::{Evaluation, NotEvaluated};

/// A principal, with what of one bundle concerns it whatever it does.
#[derive(Debug)]
pub struct Subject {
    principal: Principal,
    /// All that it is in.
    ancestors: Vec<EntityUid>,
    policies: PrincipalPolicies,
    /// Whether it is in itself, by way of what it is in. Cedar takes no such entities.
    is_circular: bool,
    /// The entities of a request for an action without groups on the resource of the API, once a condition could
    /// ask for them. `None`: Cedar does not take them.
    entities: OnceLock<Result<Option<Entities>, Unreadable>>,
}

impl Subject {
    /// Gathers what concerns a principal.
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

    /// Evaluates the policies of the bundle, which is that of [`Subject::new`]. The context is asked for only if a
    /// condition could read it; without one the request is invalid.
    ///
    /// It follows Cedar but for one point: a forbid policy whose condition cannot be evaluated counts
    /// as one that applies.
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

    /// The same for one of several requests, which leaves what the others can use.
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
            Err(NotEvaluated::Unreadable) => return Err(Unreadable),
            Err(NotEvaluated::Invalid | NotEvaluated::TooExpensive) => {
                return Ok(Decision::deny(Reason::RequestInvalid));
            }
        };
        for (number, verdict) in conditional.into_iter().zip(verdicts) {
            if let Some(verdict @ (Verdict::Holds | Verdict::Fails)) = verdict {
                let (id, effect) = index.policy(number)?;
                applying.add(id, effect, verdict);
            }
        }
        Ok(applying.decide())
    }

    /// Whether Cedar takes such a request, whatever its policies say.
    fn may_request(&self, bundle: &Bundle, action: &EntityUid, resource: &EntityUid) -> bool {
        let principal_type = self.principal.uid.type_name();
        !self.is_circular && bundle.may_request(principal_type, action, resource.type_name())
    }

    /// The entities that a request brings along, if it is not the store that has them: the principal as it is where
    /// the path does not speak of it, and the resource.
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

    /// The entities of a request: the principal, what is given, and what of the store can be reached
    /// from them and these. `None`: Cedar does not take them.
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
        // The store's entities were checked against the schema when the bundle was built.
        // Both ways find out what each is in and refuse circles. For a few entities this one takes half the time, but
        // it takes the third power of their number where each is in all before.
        Ok(match found.len() {
            ..=FEW_ENTITIES => Entities::empty().add_entities(found, None).ok(),
            _ => Entities::from_entities(found, None).ok(),
        })
    }
}

/// Entities that a request brings along.
#[derive(Debug, Default)]
struct GivenEntities {
    /// The principal, where the path says something of it.
    principal: Option<Entity>,
    /// The resource, where the path says something of it.
    resource: Option<Entity>,
}

/// Without a schema an action may have attributes, which a policy may ask for.
fn is_bare(action: &EntityUid, bundle: &Bundle) -> Result<bool, Unreadable> {
    Ok(bundle.entities().get(action)?.is_none_or(|action| action.is_bare()))
}

/// What Cedar says. It stops where the stack comes to its end, and is asked again with more of it: that is rare, and
/// to make room for each call would cost more than the call.
pub(super) fn ask_cedar(request: &Request, policies: &PolicySet, entities: &Entities) -> Response {
    let ask = || Authorizer::new().is_authorized(request, policies, entities);
    let response = ask();
    let is_out_of_room = |error: &AuthorizationError| match error {
        AuthorizationError::PolicyEvaluationError(error) => {
            matches!(error.inner(), EvaluationError::RecursionLimit(_))
        }
    };
    if response.diagnostics().errors().any(is_out_of_room) {
        // Without room the errors stand, which deny.
        return with_room(ask).unwrap_or(response);
    }
    response
}

/// Up to so many, one way to close entities over what they are in is the faster one; see [`Subject::gather`].
const FEW_ENTITIES: usize = 16;
