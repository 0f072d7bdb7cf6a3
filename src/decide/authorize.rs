//! How one call of API Gateway is answered, from the call to its outcome.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::answer::room_for_grant;
use super::api_grant::GrantedDecision;
use super::asked::{Asked, RequestedResource};
use super::caller::{Caller, Decided};
use super::outcome::Outcome;
use super::principal;
use super::session::Session;
use super::steps::Steps;
use crate::bundle::BundledRoute;
use crate::gateway::cache_key::CacheKey;
use crate::gateway::call::Call;
use crate::reason::Reason;
use crate::token::VerifiedToken;

impl Session {
    /// Decides on a call that carries the token of this session. `cache_key` is the key under which API Gateway
    /// caches the answer.
    ///
    /// # Errors
    /// [`Reason::BundleUnreadable`], if a part of the bundle that the decision needs cannot be read. Any other
    /// doubt leads to a denial.
    pub fn authorize(&self, call: &Call, cache_key: &CacheKey) -> Result<Arc<Outcome>, Reason> {
        self.authorize_in(call, cache_key, &mut ())
    }

    /// The same, and tells when each step ends. If it tells of none, the whole outcome is remembered.
    ///
    /// # Errors
    /// [`Reason::BundleUnreadable`].
    pub fn authorize_in(
        &self,
        call: &Call,
        cache_key: &CacheKey,
        steps: &mut impl Steps,
    ) -> Result<Arc<Outcome>, Reason> {
        let asked = Asked::new(call, self.bundle(), cache_key);
        self.memo().outcome(&asked, || answer(self, &asked, steps))
    }
}

/// Works out the outcome of a call. Parts of it may be remembered, but not the outcome as a whole.
fn answer(session: &Session, asked: &Asked<'_>, steps: &mut impl Steps) -> Result<Outcome, Reason> {
    let (bundle, token) = (session.bundle(), session.token());
    // For what?
    let (route, resource) = (asked.route(), asked.resource());
    // Who asks?
    let caller = Answering { session, asked, caller: Caller::new(session, asked.call.fields())? };
    let principal = principal::uid(token, caller.caller.source());
    // May they?
    let Decided { decision, dropped } = caller.decide(route, &resource)?;
    steps.decided();
    // What are API Gateway and the backend told?
    let backend_claims = backend_claims(token, bundle.backend_claims());
    let usage_identifier =
        bundle.usage_identifier_claim().and_then(|claim| token.claims().get(claim)?.as_str());
    let room = || room_for_grant(&principal, &backend_claims, usage_identifier);
    let GrantedDecision { decision, without_grant, grant, breadth } =
        caller.tell(decision, route.ok().map(|route| route.id), room)?;
    steps.granted();

    let route = route.ok().map(|route| route.route);
    let resource = resource.map_or_else(|_| bundle.resource().clone(), |requested| requested.resource.uid);
    Ok(Outcome {
        texts: OnceLock::new(),
        decision,
        without_grant,
        principal,
        route: route.cloned(),
        resource,
        grant,
        breadth,
        api: asked.call.api(),
        backend_claims,
        usage_identifier_key: usage_identifier.map(str::to_owned),
        dropped,
        revision: bundle.revision(),
    })
}

/// What an answer needs: the session, what its call asks for, and the caller.
pub(super) struct Answering<'a> {
    pub(super) session: &'a Session,
    pub(super) asked: &'a Asked<'a>,
    pub(super) caller: Caller<'a>,
}

impl Answering<'_> {
    /// Decides on the call. To be allowed, the caller must be allowed to take the route of the call and every
    /// other route that the call could take.
    ///
    /// # Errors
    /// Only faults.
    fn decide(
        &self,
        route: Result<BundledRoute<'_>, Reason>,
        resource: &Result<RequestedResource, Reason>,
    ) -> Result<Decided, Reason> {
        let decided = route.and_then(|route| {
            let decided = self.decide_route(route, resource.as_ref().map_err(|reason| *reason)?)?;
            if self.may_take_others()? { Ok(decided) } else { Err(Reason::PathUnsafe) }
        });
        Decided::or_deny(decided)
    }

    /// Decides whether the caller may take a route. A decision that depends only on the token is the same for
    /// every call of the route, so it is remembered.
    fn decide_route(&self, route: BundledRoute<'_>, resource: &RequestedResource) -> Result<Decided, Reason> {
        if !self.is_cacheable(route) {
            return Err(Reason::NotCacheable);
        }
        if CacheKey::Token.lacking(route.reads, route.route).next().is_some() {
            return self.caller.decide(route, resource);
        }
        self.session.memo().decided(self.asked.call, route.id, || self.caller.decide(route, resource))
    }

    /// Whether the caller may take all other routes that the call could take, whatever their resources are.
    ///
    /// # Errors
    /// Only faults.
    fn may_take_others(&self) -> Result<bool, Reason> {
        for route in self.asked.other_routes() {
            let resource = RequestedResource::of_any_path(route.route, self.session.bundle())?;
            let decided = Decided::or_deny(self.decide_route(route, &resource))?;
            if !decided.decision.is_allowed() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether all requests with the cache key of this one get the same answer for a route.
    pub(super) fn is_cacheable(&self, BundledRoute { route, reads, .. }: BundledRoute<'_>) -> bool {
        let (key, routes) = (self.asked.key, self.session.bundle().routes());
        // Another method may lead to another route.
        let mixes_routes = key.mixes_methods() && routes.tells_methods_apart(&route.template.to_string());
        !mixes_routes && key.lacking(reads, route).next().is_none()
    }
}

/// The claims with these names whose values are flat. API Gateway passes on no others.
fn backend_claims(token: &VerifiedToken, names: &[String]) -> BTreeMap<String, Value> {
    let flat = |name: &String| match token.claims().get(name)? {
        value @ (Value::Bool(_) | Value::Number(_) | Value::String(_)) => Some((name.clone(), value.clone())),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    names.iter().filter_map(flat).collect()
}
