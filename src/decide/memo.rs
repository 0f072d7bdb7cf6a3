//! What was worked out for a token, so that it is not worked out again.
//!
//! It belongs to one token and one bundle and goes with either. Nothing of a call is in it but the API that was
//! called, so it says the same for every call of the token.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::decide::authorize::Outcome;
use crate::decide::decision::{Decision, Subject};
use crate::decide::response::Response;
use crate::gateway::call::{Api, Call};
use crate::gateway::route::RouteId;
use crate::grant::OfRoutes;
use crate::reason::Reason;

/// What was worked out for a token.
#[derive(Debug, Default)]
pub struct Remembered {
    /// The principal, with a count of dropped values.
    pub(crate) subject: OnceLock<Result<(Subject, usize), Reason>>,
    of_api: Mutex<Option<(String, Api, OfApi)>>,
}

/// What was worked out for its calls of one API at one stage.
#[derive(Debug, Default)]
pub(crate) struct OfApi {
    /// Decisions that do not depend on a call, with counts of dropped values, by route.
    pub(crate) decisions: HashMap<RouteId, (Decision, usize)>,
    /// Outcomes that allow a route as part of a grant for the whole API, by route.
    pub(crate) outcomes: HashMap<RouteId, Arc<Outcome>>,
    /// The routes that the caller may take.
    pub(crate) allowed: Option<Arc<[RouteId]>>,
    /// Whether it takes too long to find that out.
    pub(crate) is_too_expensive: bool,
    /// Grants for them.
    grants: Vec<Arc<Whole>>,
}

/// A grant for the whole API, made for a call of this route.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) requested: Option<RouteId>,
    pub(crate) of_routes: OfRoutes,
    /// What API Gateway is told where the call itself is allowed.
    pub(crate) response: Arc<OnceLock<Response>>,
}

impl Remembered {
    /// Reads or changes what is known for the API of a call. That of another one is forgotten: a token is for one.
    pub(crate) fn with_api<T>(&self, call: &Call, use_it: impl FnOnce(&mut OfApi) -> T) -> T {
        let (prefix, api) = (call.method_arn().api_prefix(), call.api());
        // A poisoned lock holds a whole value all the same: what is missing is worked out again.
        let mut known = self.of_api.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_ref().is_none_or(|(of_prefix, of_api, _)| *of_api != api || of_prefix != prefix) {
            *known = None;
        }
        let (_, _, of_api) = known.get_or_insert_with(|| (prefix.to_owned(), api, OfApi::default()));
        use_it(of_api)
    }
}

impl OfApi {
    /// A grant for a call of this route: if there is no room for all, what was asked for comes first.
    pub(crate) fn grant(&self, requested: Option<RouteId>) -> Option<Arc<Whole>> {
        let is_it = |whole: &&Arc<Whole>| whole.of_routes.left_out == 0 || whole.requested == requested;
        self.grants.iter().find(is_it).map(Arc::clone)
    }

    pub(crate) fn add_grant(&mut self, whole: Arc<Whole>) {
        // API Gateway asks again for the same token only when its cache has forgotten it.
        self.grants.truncate(MAX_GRANTS - 1);
        self.grants.insert(0, whole);
    }

    pub(crate) fn add_decision(&mut self, route: RouteId, decision: (Decision, usize)) {
        if self.decisions.len() >= MAX_ROUTES {
            self.decisions.clear();
        }
        self.decisions.insert(route, decision);
    }

    pub(crate) fn add_outcome(&mut self, route: RouteId, outcome: Arc<Outcome>) {
        if self.outcomes.len() >= MAX_ROUTES {
            self.outcomes.clear();
        }
        self.outcomes.insert(route, outcome);
    }
}

/// How many grants are kept for a token that may call more than fits into one.
const MAX_GRANTS: usize = 4;

/// For how many routes a token has its decisions kept, at some hundred bytes each.
const MAX_ROUTES: usize = 32;
