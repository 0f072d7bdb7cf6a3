//! Requests in Cedar's terms, decided by Cedar's own rules.

use std::collections::HashMap;
use std::sync::Arc;

use cedar_policy::{AuthorizationError, EntityUid, PolicyId, Response};

use super::authorization_request::{AuthorizationRequest, Evaluation, Known};
use super::decision::Decision;
use crate::bundle::Bundle;
use crate::bundle::entities::StoredEntities;
use crate::bundle::policies::PolicyIndex;
use crate::reason::Reason;

/// Policies and entities that decide exactly as Cedar does, and so as AVP does. A [`Gate`](super::Gate) differs from
/// it in two ways, because it guards an API:
///
/// | | `Gate` | `CedarGate` |
/// |---|---|---|
/// | a forbid policy that cannot be evaluated | denies | is skipped |
/// | a request that the schema does not allow | is denied | is decided by the policies |
///
/// Both find the policies that may matter in the same way, and both leave their conditions to Cedar. A `CedarGate`
/// knows neither routes nor tokens. [`AuthorizationRequest::with_principal`] makes a request of a token.
///
/// ```
/// # #[cfg(feature = "authoring")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use cedar_authorizer::bundle::{Bundle, DevelopmentKeys};
/// use cedar_authorizer::cedar::EntityUid;
/// use cedar_authorizer::decide::{AuthorizationRequest, CedarGate};
/// # use cedar_authorizer::store::build::bundle_of_directory;
/// # let bytes = bundle_of_directory("policies".as_ref(), 1)?;
///
/// let gate = CedarGate::of_bundle(&Bundle::open(bytes, DevelopmentKeys::Allow)?);
/// let nobody: EntityUid = r#"PetStore::User::"nobody""#.parse()?;
/// let action = r#"PetStore::Action::"get /pets""#.parse()?;
/// let resource = r#"PetStore::Application::"PetStore""#.parse()?;
/// let decided = gate.is_authorized(&nobody, &AuthorizationRequest::new(action, resource))?;
/// assert!(!decided.decision.is_allowed());
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "authoring"))]
/// # fn main() {}
/// ```
#[derive(Clone, Debug)]
pub struct CedarGate {
    policies: PolicyIndex,
    entities: StoredEntities,
    named_entities: Arc<[EntityUid]>,
}

impl CedarGate {
    /// The policies and entities of a bundle.
    pub fn of_bundle(bundle: &Bundle) -> Self {
        Self::new(bundle.policy_index().clone(), bundle.entities().clone(), bundle.named_entities())
    }

    /// `named_entities` are the entities that policies name in their conditions.
    pub(crate) fn new(policies: PolicyIndex, entities: StoredEntities, named_entities: &[EntityUid]) -> Self {
        Self { policies, entities, named_entities: named_entities.into() }
    }

    /// Decides on a request of any principal. This does not check who the caller is: verify that first.
    ///
    /// # Errors
    /// [`Reason::RequestInvalid`], if the request has an entity twice, or one that is its own ancestor;
    /// [`Reason::BundleUnreadable`].
    pub fn is_authorized(
        &self,
        principal: &EntityUid,
        request: &AuthorizationRequest,
    ) -> Result<CedarDecision, Reason> {
        let Self { policies, entities, named_entities } = self;
        let Evaluation { applying, response, lines } =
            request.evaluate(Known { policies, entities, named_entities }, principal)?;
        let decision = applying.decide_by_cedar();
        let messages = response.map_or_else(Vec::new, |response| messages(&response, &decision.errors));
        let [principal, action, resource] = lines.map(|line| line.len() - 1);
        Ok(CedarDecision { decision, messages, ancestors: Ancestors { principal, action, resource } })
    }
}

/// What Cedar's rules say about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CedarDecision {
    /// The decision. Its reason is [`AllowedByPolicy`](Reason::AllowedByPolicy),
    /// [`ForbiddenByPolicy`](Reason::ForbiddenByPolicy) or [`NoMatchingPermit`](Reason::NoMatchingPermit).
    pub decision: Decision,
    /// What Cedar says of each policy that could not be evaluated, in the order of `decision.errors`.
    pub messages: Vec<String>,
    /// How much the request is in.
    pub ancestors: Ancestors,
}

/// How many ancestors the entities of a request have, through all levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "Cedar's own words")]
pub struct Ancestors {
    pub principal: usize,
    pub action: usize,
    pub resource: usize,
}

/// What Cedar says of these policies.
fn messages(response: &Response, failed: &[PolicyId]) -> Vec<String> {
    let errors = response.diagnostics().errors();
    let by_policy: HashMap<&PolicyId, &AuthorizationError> = errors
        .map(|error| match error {
            AuthorizationError::PolicyEvaluationError(inner) => (inner.policy_id(), error),
        })
        .collect();
    failed.iter().filter_map(|policy| Some(by_policy.get(policy)?.to_string())).collect()
}
