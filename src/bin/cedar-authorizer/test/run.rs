//! Running a case: every step is answered as in production, and compared with what is expected.

mod answer;

use std::sync::Arc;

use cedar_authorizer::decide::outcome::Outcome;
use cedar_authorizer::decide::{AuthorizationRequest, CedarRequest, Decision, PrincipalRequest, Session};
use cedar_authorizer::gateway::cache_key::CacheKey;
use cedar_authorizer::gateway::call::{Call, InvalidEvent};
use cedar_authorizer::gateway::response::SimpleResponses;
use cedar_authorizer::reason::Reason;
use cedar_policy::EntityUid;
use serde_json::Value;

use answer::{Answered, KeptAnswer};

use super::case::{Asked, Caller, Case, Step};
use super::event;
use super::expectation::{Difference, Got};
use crate::explanation::report::Report;
use crate::gateway_cache::{GatewayCache, Lookup};
use crate::output::Failure;
use crate::test_bench::{SignedToken, TestBench};

/// What became of a case.
#[derive(Clone, Debug)]
pub struct CaseResult {
    /// What became of its steps, in order.
    pub steps: Vec<StepResult>,
}

/// What became of a step.
#[derive(Clone, Debug)]
pub struct StepResult {
    /// The answer.
    pub got: Got,
    /// Who asked, what they did and to what, in Cedar's terms, as far as the answer says it.
    pub subject: Option<Subject>,
    /// Everything that is not as expected.
    pub differences: Vec<Difference>,
    /// What explains the answer, a line each.
    pub why: Vec<String>,
}

/// Who asks, what for, and on what.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Who asks.
    pub principal: String,
    /// The action, if there is a route.
    pub action: Option<String>,
    /// What is acted on.
    pub resource: String,
}

impl CaseResult {
    /// Whether everything is as expected.
    pub fn is_passed(&self) -> bool {
        self.steps.iter().all(|step| step.differences.is_empty())
    }
}

/// A decision that a test led to, for whoever counts or explains decisions.
pub enum Decided<'a> {
    /// A call of API Gateway.
    Call {
        /// The caller.
        session: &'a Session,
        /// The call.
        call: &'a Call,
        /// The decision and what comes with it.
        outcome: &'a Outcome,
    },
    /// A request in Cedar's terms.
    Request {
        /// The caller. `None`: the test names the principal.
        session: Option<&'a Session>,
        /// Who asks.
        principal: &'a EntityUid,
        /// What is asked.
        request: &'a AuthorizationRequest,
        /// The decision.
        decision: &'a Decision,
    },
}

impl Decided<'_> {
    /// What the policies were asked. `None`: they were not.
    pub fn cedar_request(&self, bench: &TestBench) -> Option<CedarRequest> {
        let own;
        let (principal, request) = match self {
            Self::Call { session, call, .. } => {
                own = session.authorization_request_of_call(call).ok()?;
                (&own.principal, &own.request)
            }
            Self::Request { session: Some(session), request, .. } => {
                own = session.request_of_caller(request).ok()?;
                (&own.principal, &own.request)
            }
            Self::Request { session: None, principal, request, .. } => (*principal, *request),
        };
        request.for_cedar(bench.bundle(), principal).ok()
    }
}

/// How many policies of each effect are shown that did not decide.
const NEAREST: usize = 1;

/// Runs cases.
pub struct Runner<'a, O> {
    bench: &'a TestBench,
    observe: O,
}

impl<'a, O: FnMut(&Decided<'_>)> Runner<'a, O> {
    /// A runner that shows each decision to `observe`.
    pub fn new(bench: &'a TestBench, observe: O) -> Self {
        Self { bench, observe }
    }

    /// Runs a case.
    ///
    /// # Errors
    /// The test bench cannot sign. No test fails for that.
    pub fn run(&mut self, case: &Case) -> Result<CaseResult, Failure> {
        let location = self.bench.bundle().token_location().clone();
        let mut cache = match &case.cache {
            // The reader of the file has made sure that the key has a model.
            Some(settings) => GatewayCache::new(settings.key.clone(), settings.time_to_live, location).ok(),
            None => None,
        };
        let steps = case.steps.iter().map(|step| self.run_step(step, cache.as_mut()));
        Ok(CaseResult { steps: steps.collect::<Result<_, _>>()? })
    }

    fn run_step(
        &mut self,
        step: &Step,
        cache: Option<&mut GatewayCache<KeptAnswer>>,
    ) -> Result<StepResult, Failure> {
        let token = match &step.caller {
            Caller::Unknown => None,
            Caller::Holder { claims, .. } => Some(self.bench.sign(claims, step.now)?),
        };
        let signed = token.as_deref();
        let Answered { got, subject, mut why } = match (&step.asked, self.call(&step.asked, signed)) {
            (Asked::Cedar { principal, request }, _) => self.ask_cedar(principal.as_ref(), request, signed),
            (_, Some(call)) => self.ask(call, signed, step, cache),
            (_, None) => Answered::refused(Reason::EventMalformed),
        };
        let differences = step.expected.differences(&got);
        if differences.is_empty() {
            why.clear();
        } else if !got.from_cache {
            why.extend(self.explain(step, signed).unwrap_or_default());
        }
        Ok(StepResult { got, subject, differences, why })
    }

    /// What the policies say that decided a step, or that nearly did, a line each. `None`: they were not asked.
    fn explain(&self, step: &Step, token: Option<&SignedToken>) -> Option<Vec<String>> {
        let session = token.and_then(|token| token.session.as_ref().ok());
        let (decision, asked) = match &step.asked {
            Asked::Cedar { principal: Some(principal), request } => {
                let decision = self.bench.gate().is_authorized(principal, request).ok()?;
                (
                    decision,
                    PrincipalRequest {
                        principal: principal.clone(),
                        request: AuthorizationRequest::clone(request),
                    },
                )
            }
            Asked::Cedar { principal: None, request } => {
                (session?.is_authorized(request).ok()?, session?.request_of_caller(request).ok()?)
            }
            Asked::Request(_) | Asked::Event { .. } => {
                let call = self.call(&step.asked, token)?.ok()?;
                let own;
                let session = match session {
                    Some(session) => session,
                    None => {
                        own = self.bench.authenticate(&call, step.now).ok()?;
                        &own
                    }
                };
                let outcome = session.authorize(&call, &CacheKey::None).ok()?;
                (outcome.decision.clone(), session.authorization_request_of_call(&call).ok()?)
            }
        };
        let request = asked.request.for_cedar(self.bench.bundle(), &asked.principal).ok()?;
        let report = Report::new(&decision, Some(&request), self.bench.explainer(), NEAREST);
        Some(report.brief(self.bench.name()))
    }

    /// The call of a request or event, with the token of its caller. `None`: it is neither.
    fn call(&self, asked: &Asked, token: Option<&SignedToken>) -> Option<Result<Call, InvalidEvent>> {
        let text = token.map(|token| token.text.as_str());
        match asked {
            Asked::Request(request) => Some(self.bench.call(request, text)),
            Asked::Event { event, .. } => {
                let mut event = event.clone();
                if let Some(text) = text {
                    event::set_token(&mut event, self.bench.bundle().token_location(), text);
                }
                Some(Call::from_event(event))
            }
            Asked::Cedar { .. } => None,
        }
    }

    /// Asks as API Gateway does.
    fn ask(
        &mut self,
        call: Result<Call, InvalidEvent>,
        token: Option<&SignedToken>,
        step: &Step,
        mut cache: Option<&mut GatewayCache<KeptAnswer>>,
    ) -> Answered {
        let call = match &call {
            Ok(call) => call,
            Err(invalid) => return Answered::refused(invalid.reason()).because(invalid),
        };
        let mut slot = None;
        if let Some(cache) = &cache {
            match cache.look_up(call, step.now) {
                Lookup::Kept(kept) => return Answered::by(&kept, call, true),
                Lookup::Unauthorized => {
                    let text = "an identity source is missing, so API Gateway answers 401 without asking the function";
                    return Answered::refused(Reason::TokenMissing).because(text);
                }
                Lookup::Ask(key) => slot = key,
            }
        }
        let own;
        let session = match token {
            Some(token) => token.session.as_ref().map_err(|reason| *reason),
            None => {
                own = self.bench.authenticate(call, step.now);
                own.as_ref().map_err(|reason| *reason)
            }
        };
        let session = match session {
            Ok(session) => session,
            Err(reason) => return Answered::refused(reason).with_advice(reason, token.is_some()),
        };
        let cache_key = cache.as_ref().map_or(&CacheKey::None, |cache| cache.key());
        let outcome = match session.authorize(call, cache_key) {
            Ok(outcome) => outcome,
            Err(reason) => return Answered::refused(reason),
        };
        (self.observe)(&Decided::Call { session, call, outcome: &outcome });
        let uncovered = self.uncovered(call, &outcome, cache_key);
        let response = session.respond(call, &outcome, SimpleResponses::Disabled);
        let outcome = if response.is_shortened() { Arc::new(outcome.shortened()) } else { outcome };
        // Only a fault of this program could make it anything else than JSON. API Gateway would then answer 500.
        let response = serde_json::from_str(response.as_json()).unwrap_or(Value::Null);
        let kept = KeptAnswer { outcome, response: Arc::new(response) };
        if let (Some(cache), Some(key)) = (cache.as_mut(), slot) {
            cache.keep(key, kept.clone(), step.now);
        }
        let answered = Answered::by(&kept, call, false);
        uncovered.into_iter().fold(answered, Answered::because)
    }

    /// What the policies of a route read that the cache key lacks, if that is why the call is denied.
    fn uncovered(&self, call: &Call, outcome: &Outcome, cache_key: &CacheKey) -> Option<String> {
        let store = self.bench.store();
        let asked = outcome.route.as_ref().filter(|_| outcome.decision.reason == Reason::NotCacheable)?;
        let (route, reads) =
            store.routes.routes().iter().zip(&store.reads).find(|(route, _)| *route == asked)?;
        let key = cache_key.for_api(call.api());
        let lacking: Vec<String> =
            key.through(call.route_key()).lacking(reads, route).map(ToString::to_string).collect();
        let matters = reads.iter().filter(|input| input.matters_to(route));
        let least = CacheKey::least_for(matters, self.bench.bundle().token_location());
        Some(format!(
            "the cache key `{key}` lacks what its policies read: {}; enough is `{least}`",
            lacking.join(", ")
        ))
    }

    fn ask_cedar(
        &mut self,
        principal: Option<&EntityUid>,
        request: &AuthorizationRequest,
        token: Option<&SignedToken>,
    ) -> Answered {
        let session = match token.map(|token| token.session.as_ref()) {
            Some(Ok(session)) => Some(session),
            Some(Err(reason)) => return Answered::refused(*reason),
            None => None,
        };
        let asked = match (principal, session) {
            (Some(principal), _) => {
                let decided = self.bench.gate().is_authorized(principal, request);
                decided.map(|decision| (principal.clone(), decision))
            }
            (None, Some(session)) => {
                session.principal().and_then(|principal| Ok((principal, session.is_authorized(request)?)))
            }
            (None, None) => Err(Reason::TokenMissing),
        };
        let (principal, decision) = match asked {
            Ok(asked) => asked,
            Err(reason) => return Answered::refused(reason),
        };
        (self.observe)(&Decided::Request { session, principal: &principal, request, decision: &decision });
        Answered::to_request(&principal, request, &decision)
    }
}
