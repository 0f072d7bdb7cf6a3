//! What a step is answered, before it is compared with what is expected.

use std::sync::Arc;

use cedar_authorizer::decide::outcome::{Breadth, Outcome};
use cedar_authorizer::decide::{AuthorizationRequest, Decision};
use cedar_authorizer::gateway::call::Call;
use cedar_authorizer::reason::{Reason, Status};
use cedar_policy::{EntityUid, PolicyId};
use serde_json::{Map, Value};

use super::Subject;
use crate::gateway_cache::{Applied, apply};
use crate::test::expectation::{Got, Policies, Verdict};

/// An answer, before it is compared.
pub struct Answered {
    /// What is compared.
    pub got: Got,
    /// Who asked, for what. `None`: the answer does not say.
    pub subject: Option<Subject>,
    /// What explains the answer, a line each.
    pub why: Vec<String>,
}

impl Answered {
    /// No decision, because of the token, the event or the bundle.
    pub fn refused(reason: Reason) -> Self {
        let got = Got {
            verdict: reason.status().into(),
            reason: Some(reason),
            policies: Some(Policies::default()),
            backend: Map::new(),
            from_cache: false,
        };
        Self { got, subject: None, why: Vec::new() }
    }

    /// What API Gateway makes of an answer for this call.
    pub fn by(KeptAnswer { outcome, response }: &KeptAnswer, call: &Call, from_cache: bool) -> Self {
        let (verdict, backend) = match apply(response, call.method_arn().as_str()) {
            Applied::Allow { context } => (Verdict::Allow, context),
            Applied::ExplicitDeny | Applied::ImplicitDeny => (Verdict::Deny, Map::new()),
        };
        // An answer for one method and path says why. One for several requests says why of the first of them.
        let is_of_call = !from_cache || outcome.breadth == Breadth::Method;
        let decision = Some(&outcome.decision).filter(|_| is_of_call);
        let got = Got {
            verdict,
            reason: decision.map(|decision| decision.reason),
            policies: decision.map(policies),
            backend,
            from_cache,
        };
        let subject = Subject {
            principal: outcome.texts().principal.clone(),
            action: outcome.texts().action.clone().filter(|_| is_of_call),
            resource: outcome.texts().resource.clone(),
        };
        let answered = Self { got, subject: Some(subject), why: Vec::new() };
        let is_allowed = decision.is_some_and(|decision| decision.reason.status() == Status::Allow);
        match (from_cache, verdict) {
            (true, _) => {
                answered.because("API Gateway's cache answered, with an earlier answer of the function")
            }
            (false, Verdict::Deny) if is_allowed => {
                answered.because("the policies allow it, but the answer has no room for it, or no pattern")
            }
            _ => answered,
        }
    }

    /// What the policies answer to a request in Cedar's terms.
    pub fn to_request(principal: &EntityUid, request: &AuthorizationRequest, decision: &Decision) -> Self {
        let got = Got {
            verdict: decision.reason.status().into(),
            reason: Some(decision.reason),
            policies: Some(policies(decision)),
            backend: Map::new(),
            from_cache: false,
        };
        let subject = Subject {
            principal: principal.to_string(),
            action: Some(request.action.to_string()),
            resource: request.resource.to_string(),
        };
        Self { got, subject: Some(subject), why: Vec::new() }
    }

    /// The same answer with a line more that explains it.
    pub fn because(mut self, text: impl ToString) -> Self {
        self.why.push(text.to_string());
        self
    }

    /// What to do about a token that is refused.
    pub fn with_advice(self, reason: Reason, is_of_bench: bool) -> Self {
        match (reason, is_of_bench) {
            (Reason::TokenMissing, false) => self.because("add `as` or `claims` to give the request a token"),
            (Reason::KeyUnknown, false) => self.because(
                "the token is not one of `as` or `claims`, and the store has no key for it in `jwks/`",
            ),
            _ => self,
        }
    }
}

/// An answer as API Gateway keeps it.
#[derive(Clone, Debug)]
pub struct KeptAnswer {
    /// The decision and what comes with it.
    pub outcome: Arc<Outcome>,
    /// The JSON that the function answered.
    pub response: Arc<Value>,
}

fn policies(decision: &Decision) -> Policies {
    let names = |ids: &[PolicyId]| {
        let mut names: Vec<String> = ids.iter().map(ToString::to_string).collect();
        names.sort();
        names
    };
    Policies { determining: names(&decision.policies), errors: names(&decision.errors) }
}
