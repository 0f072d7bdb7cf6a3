//! Results that were worked out for a token, kept so that they are not worked out again.
//!
//! A memo belongs to one [session](super::Session), so to one token and one bundle, and is dropped with it. All
//! that it knows of a call is its API, so its results are the same for every call with the token. Each function
//! here wraps a function that knows nothing of the memo.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use super::api_grant::NoGrant;
use super::asked::Asked;
use super::caller::{Decided, IdentifiedSubject};
use super::outcome::{Breadth, Narrow, Outcome};
use super::subject::Undecided;
use crate::cache::lock;
use crate::gateway::call::{Api, Call};
use crate::gateway::response::{Response, SimpleResponses};
use crate::gateway::route::RouteId;
use crate::grant::{ApiGrant, Grant};
use crate::reason::{Reason, Status};

/// The results for a token.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    subject: OnceLock<Result<IdentifiedSubject, Reason>>,
    of_api: Mutex<Option<ApiMemo>>,
}

/// The results for calls with the token to one API at one stage.
#[derive(Debug)]
struct ApiMemo {
    /// The ARN of the API up to its stage.
    prefix: String,
    api: Api,
    /// Decisions that depend only on the token, by route.
    decisions: BTreeMap<RouteId, Decided>,
    /// Outcomes that allow a route as part of a grant for the whole API, by route.
    outcomes: BTreeMap<RouteId, Arc<Outcome>>,
    /// The routes that the caller may take.
    allowed: Option<Arc<[RouteId]>>,
    /// Whether it takes too long to find these routes.
    is_too_expensive: bool,
    /// Grants for these routes, the newest first.
    grants: Vec<KnownGrant>,
    /// Responses with such a grant for a call that is itself allowed, the newest first.
    responses: Vec<KnownResponse>,
}

/// A grant for the whole API, made for a call of this route.
#[derive(Debug)]
struct KnownGrant {
    requested: Option<RouteId>,
    api_grant: Arc<ApiGrant>,
}

#[derive(Debug)]
struct KnownResponse {
    grant: Arc<Grant>,
    simple_responses: SimpleResponses,
    response: Response,
}

impl Memo {
    /// The caller as a principal.
    pub(super) fn subject(
        &self,
        make: impl FnOnce() -> Result<IdentifiedSubject, Reason>,
    ) -> Result<&IdentifiedSubject, Reason> {
        if let Some(known) = self.subject.get() {
            return known.as_ref().map_err(|reason| *reason);
        }
        let made = match make() {
            // What cannot be read or fetched now, perhaps can be the next time.
            Err(reason) if reason.status() == Status::Fault => return Err(reason),
            made => made,
        };
        self.subject.get_or_init(|| made).as_ref().map_err(|reason| *reason)
    }

    /// The outcome of a call.
    pub(super) fn outcome(
        &self,
        asked: &Asked<'_>,
        answer: impl FnOnce() -> Result<Outcome, Reason>,
    ) -> Result<Arc<Outcome>, Reason> {
        let route = asked.memorable_route();
        if let Some(route) = route
            && let Some(known) = self.with_api(asked.call, |api| api.outcomes.get(&route.id).map(Arc::clone))
            && known.grant.allows(asked.call.method_arn())
        {
            return Ok(known);
        }
        let outcome = Arc::new(answer()?);
        // Such an outcome depends only on the token and the route.
        if let Some(route) = route
            && outcome.decision.is_allowed()
            && matches!(outcome.breadth, Breadth::Api { .. })
        {
            self.with_api(asked.call, |api| insert(&mut api.outcomes, route.id, Arc::clone(&outcome)));
        }
        Ok(outcome)
    }

    /// A decision on a route. It must depend on nothing but the token.
    pub(super) fn decided(
        &self,
        call: &Call,
        route: RouteId,
        decide: impl FnOnce() -> Result<Decided, Reason>,
    ) -> Result<Decided, Reason> {
        if let Some(known) = self.with_api(call, |api| api.decisions.get(&route).cloned()) {
            return Ok(known);
        }
        let decided = decide()?;
        self.with_api(call, |api| insert(&mut api.decisions, route, decided.clone()));
        Ok(decided)
    }

    /// The routes with a remembered decision, and whether each is allowed.
    pub(super) fn known_decisions(&self, call: &Call) -> BTreeMap<RouteId, bool> {
        let is_allowed = |(route, decided): (&RouteId, &Decided)| (*route, decided.decision.is_allowed());
        self.with_api(call, |api| api.decisions.iter().map(is_allowed).collect())
    }

    /// The grant for the whole API. If it has no room for all routes, the requested one comes first.
    pub(super) fn api_grant(
        &self,
        call: &Call,
        requested: Option<RouteId>,
        find_allowed: impl FnOnce() -> Result<Arc<[RouteId]>, Undecided>,
        make: impl FnOnce(&[RouteId]) -> Result<ApiGrant, Narrow>,
    ) -> Result<Arc<ApiGrant>, NoGrant> {
        let fits = |known: &&KnownGrant| known.api_grant.left_out == 0 || known.requested == requested;
        let find = |api: &mut ApiMemo| {
            (api.grants.iter().find(fits).map(|known| Arc::clone(&known.api_grant)), api.allowed.clone())
        };
        let (known, allowed) = self.with_api(call, find);
        if let Some(known) = known {
            return Ok(known);
        }
        let allowed = match allowed {
            Some(allowed) => allowed,
            None => self.within_budget(call, find_allowed)?,
        };
        let api_grant = Arc::new(make(&allowed)?);
        self.with_api(call, |api| {
            api.allowed = Some(allowed);
            let known = KnownGrant { requested, api_grant: Arc::clone(&api_grant) };
            insert_first(&mut api.grants, known);
        });
        Ok(api_grant)
    }

    /// The routes that the caller may take. If it takes too long to find them once, it is not tried again. The
    /// next call with the token would take just as long, whatever else the cache key contains.
    pub(super) fn within_budget(
        &self,
        call: &Call,
        find_allowed: impl FnOnce() -> Result<Arc<[RouteId]>, Undecided>,
    ) -> Result<Arc<[RouteId]>, NoGrant> {
        if self.with_api(call, |api| api.is_too_expensive) {
            return Err(Narrow::TooExpensive.into());
        }
        find_allowed().map_err(|undecided| match undecided {
            Undecided::Fault(reason) => NoGrant::Fault(reason),
            Undecided::TooExpensive => {
                self.with_api(call, |api| api.is_too_expensive = true);
                Narrow::TooExpensive.into()
            }
        })
    }

    /// The response for an outcome. Outcomes that allow their calls with the same grant for the whole API have
    /// the same response.
    pub(super) fn response(
        &self,
        call: &Call,
        outcome: &Outcome,
        simple_responses: SimpleResponses,
        write: impl FnOnce() -> Response,
    ) -> Response {
        let is_memorable = outcome.decision.is_allowed() && matches!(outcome.breadth, Breadth::Api { .. });
        if !is_memorable {
            return write();
        }
        let is_it = |known: &&KnownResponse| {
            Arc::ptr_eq(&known.grant, &outcome.grant) && known.simple_responses == simple_responses
        };
        let find = |api: &mut ApiMemo| api.responses.iter().find(is_it).map(|known| known.response.clone());
        if let Some(known) = self.with_api(call, find) {
            return known;
        }
        let (grant, response) = (Arc::clone(&outcome.grant), write());
        let known = KnownResponse { grant, simple_responses, response: response.clone() };
        self.with_api(call, |api| insert_first(&mut api.responses, known));
        response
    }

    /// Reads or changes what is known for the API of a call. What is known for another API is forgotten: a token
    /// is for one API.
    fn with_api<T>(&self, call: &Call, use_it: impl FnOnce(&mut ApiMemo) -> T) -> T {
        let (prefix, api) = (call.method_arn().api_prefix(), call.api());
        let mut known = lock(&self.of_api);
        if known.as_ref().is_none_or(|known| known.api != api || known.prefix != prefix) {
            *known = None;
        }
        use_it(known.get_or_insert_with(|| ApiMemo::new(prefix, api)))
    }
}

impl ApiMemo {
    fn new(prefix: &str, api: Api) -> Self {
        Self {
            prefix: prefix.to_owned(),
            api,
            decisions: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            allowed: None,
            is_too_expensive: false,
            grants: Vec::new(),
            responses: Vec::new(),
        }
    }
}

/// Inserts a value. If there are too many, it first forgets all others.
fn insert<T>(known: &mut BTreeMap<RouteId, T>, route: RouteId, value: T) {
    if known.len() >= MAX_ROUTES {
        known.clear();
    }
    known.insert(route, value);
}

/// Inserts a value as the newest. If there are too many, it forgets the oldest: API Gateway asks for the same
/// token again only after its cache has forgotten the answer.
fn insert_first<T>(known: &mut Vec<T>, value: T) {
    known.truncate(MAX_GRANTS - 1);
    known.insert(0, value);
}

/// How many grants are kept for a token that may take more routes than fit into one grant.
const MAX_GRANTS: usize = 4;

/// How many routes the decisions of a token are kept for. Each takes some hundred bytes.
const MAX_ROUTES: usize = 32;
