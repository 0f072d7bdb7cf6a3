//! What API Gateway is told: a grant for the requested method only, or for everything that the caller may do.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::authorize::Answering;
use super::decision::Decision;
use super::outcome::{Breadth, Narrow};
use super::subject::Undecided;
use crate::gateway::arn::ANY_STAGE;
use crate::gateway::cache_key::CacheKey;
use crate::gateway::route::RouteId;
use crate::grant::{ApiGrant, Grant};
use crate::reason::Reason;

/// What API Gateway is told. If the policies allow the call but this cannot be granted, `decision` is a denial.
pub(super) struct GrantedDecision {
    pub(super) decision: Decision,
    /// What the policies decide, if only the grant denies.
    pub(super) without_grant: Option<Decision>,
    pub(super) grant: Arc<Grant>,
    pub(super) breadth: Breadth,
}

/// Why there is no grant for the whole API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoGrant {
    /// A fault, which says nothing about the API.
    Fault(Reason),
    /// There can only be a grant for one method and path.
    Narrow(Narrow),
}

impl From<Narrow> for NoGrant {
    fn from(narrow: Narrow) -> Self {
        Self::Narrow(narrow)
    }
}

impl Answering<'_> {
    /// Turns a decision on the call into what API Gateway is told. `requested` is the route of the call. `room`
    /// gives the maximum size in bytes of a grant for the whole API.
    ///
    /// # Errors
    /// Only faults.
    pub(super) fn tell(
        &self,
        decision: Decision,
        requested: Option<RouteId>,
        room: impl FnOnce() -> usize,
    ) -> Result<GrantedDecision, Reason> {
        let arn = self.asked.call.method_arn();
        // A grant for a call to any stage (`*`) must not allow anything else.
        if !self.asked.speaks_of_more() || arn.stage() == ANY_STAGE {
            return Ok(self.tell_of_method(decision, Breadth::Method));
        }
        let api_grant = match self.api_grant(requested, room) {
            Ok(api_grant) => api_grant,
            Err(NoGrant::Narrow(narrow)) => {
                return Ok(self.tell_of_method(decision, Breadth::Fallback(narrow)));
            }
            Err(NoGrant::Fault(reason)) => return Err(reason),
        };
        let ApiGrant { grant, allowed, left_out, harmed } = &*api_grant;
        let breadth = Breadth::Api { allowed: *allowed, left_out: *left_out, harmed: harmed.len() };
        if decision.is_allowed() && grant.allows(arn) {
            return Ok(GrantedDecision { decision, without_grant: None, grant: Arc::clone(grant), breadth });
        }
        let grant = Arc::new(Grant::clone(grant).except(arn));
        if decision.is_allowed() {
            let denied = Decision::deny(Reason::NotCacheable);
            return Ok(GrantedDecision { decision: denied, without_grant: Some(decision), grant, breadth });
        }
        Ok(GrantedDecision { decision, without_grant: None, grant, breadth })
    }

    /// The same, but what API Gateway is told covers only the method and path of the call.
    fn tell_of_method(&self, decision: Decision, breadth: Breadth) -> GrantedDecision {
        let arn = self.asked.call.method_arn();
        let (decision, grant) = match decision.is_allowed().then(|| Grant::allow(arn)) {
            Some(Ok(grant)) => (decision, grant),
            Some(Err(reason)) => (Decision::deny(reason.into()), Grant::deny(arn)),
            None => (decision, Grant::deny(arn)),
        };
        GrantedDecision { decision, without_grant: None, grant: Arc::new(grant), breadth }
    }

    /// The grant for everything that the caller may do.
    fn api_grant(
        &self,
        requested: Option<RouteId>,
        room: impl FnOnce() -> usize,
    ) -> Result<Arc<ApiGrant>, NoGrant> {
        let (call, memo) = (self.asked.call, self.session.memo());
        let make = |allowed: &[RouteId]| {
            let separation = self.session.bundle().separation().ok_or(Narrow::Inseparable)?;
            let api = call.method_arn().api_prefix();
            Grant::of_routes_within(room(), api, separation, allowed, requested).ok_or(Narrow::TooLarge)
        };
        if self.session.bundle().separation().is_none() {
            return Err(NoGrant::Narrow(Narrow::Inseparable));
        }
        // With any other cache key, the grant depends on the call, too.
        if *self.asked.cache_key == CacheKey::Token {
            return memo.api_grant(call, requested, || self.allowed_routes(), make);
        }
        let allowed = memo.within_budget(call, || self.allowed_routes())?;
        Ok(Arc::new(make(&allowed)?))
    }

    /// The routes that the caller may take, whatever else a request contains.
    fn allowed_routes(&self) -> Result<Arc<[RouteId]>, Undecided> {
        let known: BTreeMap<RouteId, bool> = self.session.memo().known_decisions(self.asked.call);
        self.caller.limit();
        let (mut allowed, mut fault) = (Vec::new(), None);
        for bundled in self.session.bundle().bundled_routes() {
            // `$connect` has an API of its own, and an ARN that names it.
            if bundled.route.template.is_connect() || !self.is_cacheable(bundled) {
                continue;
            }
            let is_allowed = match known.get(&bundled.id) {
                Some(is_allowed) => Ok(*is_allowed),
                None => self.caller.is_allowed(bundled),
            };
            match is_allowed {
                Ok(true) => allowed.push(bundled.id),
                Ok(false) => {}
                // The other routes are looked at as well, so that all that is away is asked for at once.
                Err(Undecided::Fault(reason)) => {
                    fault.get_or_insert(reason);
                }
                // What it takes is only known when all of it is here.
                Err(Undecided::TooExpensive) if fault.is_some() => break,
                Err(too_expensive) => return Err(too_expensive),
            }
        }
        fault.map_or_else(|| Ok(allowed.into()), |reason| Err(Undecided::Fault(reason)))
    }
}
