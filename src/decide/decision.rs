//! The decision: what the policies say about a request.

use cedar_policy::{Effect, PolicyId};

use crate::reason::{Reason, Status};

/// What the policies say about a request, and which policies say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The reason. Its [`status`](Reason::status) is Allow or Deny.
    pub reason: Reason,
    /// The policies that determined the decision, in the order of their ids.
    pub policies: Vec<PolicyId>,
    /// The policies that could not be evaluated, in the order of their ids.
    pub errors: Vec<PolicyId>,
}

impl Decision {
    /// A denial for which no policy was evaluated.
    pub fn deny(reason: Reason) -> Self {
        Self { reason, policies: Vec::new(), errors: Vec::new() }
    }

    /// Whether the decision is Allow.
    pub fn is_allowed(&self) -> bool {
        self.reason.status() == Status::Allow
    }
}

/// The result of evaluating the condition of a policy for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Holds,
    HoldsNot,
    /// The condition cannot be evaluated.
    Fails,
}

/// The policies that apply to a request.
///
/// Together they decide as Cedar does, with one exception: a forbid policy whose condition cannot be evaluated
/// counts as one that applies. Cedar skips such a policy, whether it permits or forbids (Cedar Policy Language
/// Reference, "Authorization: policy evaluation"). But to skip a forbid policy would open what it closes.
#[derive(Debug, Default)]
pub(super) struct Applying {
    permits: Vec<PolicyId>,
    forbids: Vec<PolicyId>,
    /// The policies whose conditions could not be evaluated.
    errors: Vec<PolicyId>,
    /// The forbid policies among `errors`.
    failed_forbids: Vec<PolicyId>,
}

impl Applying {
    /// Starts with policies that have no conditions and whose scopes match.
    pub(super) fn new(permits: Vec<PolicyId>, forbids: Vec<PolicyId>) -> Self {
        Self { permits, forbids, ..Self::default() }
    }

    /// Adds a policy with conditions, and what evaluating them gave.
    pub(super) fn add(&mut self, id: PolicyId, effect: Effect, verdict: Verdict) {
        match (effect, verdict) {
            (Effect::Permit, Verdict::Holds) => self.permits.push(id),
            (Effect::Forbid, Verdict::Holds) => self.forbids.push(id),
            (_, Verdict::HoldsNot) => {}
            (effect, Verdict::Fails) => {
                if effect == Effect::Forbid {
                    self.failed_forbids.push(id.clone());
                }
                self.errors.push(id);
            }
        }
    }

    pub(super) fn decide(self) -> Decision {
        let Self { permits, forbids, mut errors, failed_forbids } = self;
        let (reason, mut policies) = if !forbids.is_empty() {
            (Reason::ForbiddenByPolicy, forbids)
        } else if !failed_forbids.is_empty() {
            (Reason::ForbidError, failed_forbids)
        } else if !permits.is_empty() {
            (Reason::AllowedByPolicy, permits)
        } else {
            (Reason::NoMatchingPermit, Vec::new())
        };
        policies.sort();
        errors.sort();
        Decision { reason, policies, errors }
    }

    /// Decides exactly as Cedar does: a policy that could not be evaluated does not apply.
    pub(super) fn decide_by_cedar(self) -> Decision {
        Self { failed_forbids: Vec::new(), ..self }.decide()
    }
}

/// The ids of policies as one text, separated by commas.
pub fn list(policies: &[PolicyId]) -> String {
    policies.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
