//! The decision: what the policies say about a request.

use std::iter;
use std::sync::OnceLock;

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Effect, Entities, Entity, EntityUid, EvaluationError, PolicyId,
    PolicySet, Request, Response,
};

use crate::bundle::{Bundle, Unreadable};
use crate::entities::reachable;
use crate::nesting;
use crate::principal::Principal;
use crate::reason::Reason;
use crate::resource::Resource;
use crate::slice::{ForPrincipal, Slice};

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
    principal: Principal,
    policies: ForPrincipal,
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
        let mut ancestors: Vec<EntityUid> = Vec::new();
        for parent in &principal.parents {
            for uid in bundle.entities().with_ancestors(parent)? {
                if !ancestors.contains(&uid) {
                    ancestors.push(uid);
                }
            }
        }
        let is_circular = ancestors.contains(&principal.uid);
        let all: Vec<EntityUid> = iter::once(principal.uid.clone()).chain(ancestors).collect();
        let policies = bundle.policy_index().for_principal(&all)?;
        Ok(Self { principal, policies, is_circular, entities: OnceLock::new() })
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
        let slice = bundle.policy_index().slice(&self.policies, action, resource, bundle.entities())?;
        Ok(slice.may_be_allowed())
    }

    /// Evaluates the policies of the bundle, which is that of [`Subject::new`]. The context is asked for only if a
    /// condition could read it; without one the request is invalid.
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
        context: impl FnOnce() -> Option<Context>,
    ) -> Result<Decision, Unreadable> {
        let invalid = Ok(Decision::deny(Reason::RequestInvalid));
        let Resource { uid: resource, entity } = resource;
        let principal = self.principal.uid.clone();
        if self.is_circular || !bundle.may_request(principal.type_name(), action, resource.type_name()) {
            return invalid;
        }
        let index = bundle.policy_index();
        let Slice { permits, forbids, conditional, .. } =
            index.slice(&self.policies, action, &resource, bundle.entities())?;
        let mut applying = Applying { permits, forbids, ..Applying::default() };
        if conditional.is_empty() {
            return Ok(applying.decide());
        }
        let named = bundle.named_entities();
        let own;
        let entities = match entity.is_none() && resource == *bundle.resource() && is_bare(action, bundle)? {
            true => {
                let roots = || named.iter().chain([&resource]);
                let gathered = self.entities.get_or_init(|| self.gather(bundle, None, roots()));
                gathered.as_ref().map_err(|unreadable| *unreadable)?
            }
            false => {
                own = self.gather(bundle, entity, named.iter().chain([action, &resource]))?;
                &own
            }
        };
        let Some(entities) = entities else {
            return invalid;
        };
        // What the schema says of it was looked at above, and the context was made by it.
        let request = context()
            .and_then(|context| Request::new(principal, action.clone(), resource, context, None).ok());
        let Some(request) = request else {
            return invalid;
        };
        applying.evaluate(&request, &*index.policies(conditional)?, entities);
        Ok(applying.decide())
    }

    /// The entities of a request: the principal, the resource if it is given, and what of the store can be reached
    /// from them and these. `None`: Cedar does not take them.
    fn gather<'a>(
        &self,
        bundle: &Bundle,
        resource: Option<Entity>,
        roots: impl Iterator<Item = &'a EntityUid>,
    ) -> Result<Option<Entities>, Unreadable> {
        let Some(principal) = self.principal.entity() else {
            return Ok(None);
        };
        let given = iter::once(principal).chain(resource).collect();
        let found = reachable(bundle.entities(), given, roots.cloned())?;
        // The store's entities were checked against the schema when the bundle was built.
        // Its way to find out what each is in takes half the time of `from_entities`, and refuses circles as well.
        Ok(Entities::empty().add_entities(found, None).ok())
    }
}

/// Without a schema an action may have attributes, which a policy may ask for.
fn is_bare(action: &EntityUid, bundle: &Bundle) -> Result<bool, Unreadable> {
    Ok(bundle.entities().get(action)?.is_none_or(|action| action.is_bare()))
}

/// What Cedar says. It stops where the stack comes to its end, and is asked again with more of it: that is rare, and
/// to make room for each call would cost more than the call.
fn is_authorized(request: &Request, policies: &PolicySet, entities: &Entities) -> Response {
    let ask = || Authorizer::new().is_authorized(request, policies, entities);
    let response = ask();
    let is_out_of_room = |error: &AuthorizationError| match error {
        AuthorizationError::PolicyEvaluationError(error) => {
            matches!(error.inner(), EvaluationError::RecursionLimit(_))
        }
    };
    if response.diagnostics().errors().any(is_out_of_room) {
        // Without room the errors stand, which deny.
        return nesting::with_room(ask).unwrap_or(response);
    }
    response
}

/// The policies that apply to a request.
#[derive(Debug, Default)]
struct Applying {
    permits: Vec<PolicyId>,
    forbids: Vec<PolicyId>,
    /// Those that could not be evaluated.
    errors: Vec<PolicyId>,
    /// The forbids among them.
    failed_forbids: Vec<PolicyId>,
}

impl Applying {
    /// Adds those of these whose conditions hold.
    fn evaluate(&mut self, request: &Request, policies: &PolicySet, entities: &Entities) {
        let response = is_authorized(request, policies, entities);
        let diagnostics = response.diagnostics();
        self.errors.extend(diagnostics.errors().map(|error| match error {
            AuthorizationError::PolicyEvaluationError(error) => error.policy_id().clone(),
        }));
        let is_permit =
            |id: &&PolicyId| policies.policy(id).map(cedar_policy::Policy::effect) == Some(Effect::Permit);
        self.failed_forbids = self.errors.iter().filter(|id| !is_permit(id)).cloned().collect();
        // Cedar names the forbids if there are any, and the permits if not.
        for id in diagnostics.reason() {
            match is_permit(&id) {
                true => self.permits.push(id.clone()),
                false => self.forbids.push(id.clone()),
            }
        }
    }

    fn decide(self) -> Decision {
        let Self { permits, forbids, mut errors, failed_forbids } = self;
        let (reason, mut policies) = match () {
            () if !forbids.is_empty() => (Reason::ForbiddenByPolicy, forbids),
            () if !failed_forbids.is_empty() => (Reason::ForbidError, failed_forbids),
            () if !permits.is_empty() => (Reason::AllowedByPolicy, permits),
            () => (Reason::NoMatchingPermit, Vec::new()),
        };
        policies.sort();
        errors.sort();
        Decision { reason, policies, errors }
    }
}

/// The ids of policies as one text, separated by commas.
pub fn list(policies: &[PolicyId]) -> String {
    policies.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
