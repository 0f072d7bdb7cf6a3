//! One call of API Gateway, from the call to its outcome.

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
use crate::bundle::BundledRoute;
use crate::gateway::cache_key::CacheKey;
use crate::gateway::call::Call;
use crate::reason::Reason;
use crate::token::VerifiedToken;

impl Session {
    /// Decides on a call, the token of which is that of this session. `cache_key` is what API Gateway keeps the answer
    /// under.
    ///
    /// # Errors
    /// A reason only where a part of the bundle that the decision needs cannot be read
    /// ([`Reason::BundleUnreadable`]). Every other doubt is a denial.
    pub fn authorize(&self, call: &Call, cache_key: &CacheKey) -> Result<Arc<Outcome>, Reason> {
        let asked = Asked::new(call, self.bundle(), cache_key);
        self.memo().outcome(&asked, || answer(self, &asked))
    }
}

/// The way of one call, with nothing remembered of it as a whole.
fn answer(session: &Session, asked: &Asked<'_>) -> Result<Outcome, Reason> {
    let (bundle, token) = (session.bundle(), session.token());
    // For what?
    let (route, resource) = (asked.route(), asked.resource());
    // Who asks?
    let caller = Answering { session, asked, caller: Caller::new(session, asked.call.fields())? };
    let principal = principal::uid(token, caller.caller.source());
    // May they?
    let Decided { decision, dropped } = caller.decide(route, &resource)?;
    // What is API Gateway told, and the backend?
    let backend_claims = backend_claims(token, bundle.backend_claims());
    let usage_identifier =
        bundle.usage_identifier_claim().and_then(|claim| token.claims().get(claim)?.as_str());
    let room = || room_for_grant(&principal, &backend_claims, usage_identifier);
    let GrantedDecision { decision, grant, breadth } =
        caller.tell(decision, route.ok().map(|route| route.id), room);

    let route = route.ok().map(|route| route.route);
    let resource = resource.map_or_else(|_| bundle.resource().clone(), |requested| requested.resource.uid);
    Ok(Outcome {
        texts: OnceLock::new(),
        decision,
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

/// A caller, beside what was asked and what API Gateway keeps the answer under.
pub(super) struct Answering<'a> {
    pub(super) session: &'a Session,
    pub(super) asked: &'a Asked<'a>,
    pub(super) caller: Caller<'a>,
}

impl Answering<'_> {
    /// The decision on the call: on the route that it takes, and on all others that it could take.
    ///
    /// # Errors
    /// Faults.
    fn decide(
        &self,
        route: Result<BundledRoute<'_>, Reason>,
        resource: &Result<RequestedResource, Reason>,
    ) -> Result<Decided, Reason> {
        let decided = route.and_then(|route| {
            let decided = self.decide_route(route, resource.as_ref().map_err(|reason| *reason)?)?;
            if self.may_take_others() { Ok(decided) } else { Err(Reason::PathUnsafe) }
        });
        Decided::or_deny(decided)
    }

    /// Whether the caller may take a route. What the token decides alone is the same for every call of it.
    fn decide_route(&self, route: BundledRoute<'_>, resource: &RequestedResource) -> Result<Decided, Reason> {
        if !self.is_cacheable(route) {
            return Err(Reason::NotCacheable);
        }
        if CacheKey::Token.lacking(route.reads, route.route).next().is_some() {
            return self.caller.decide(route, resource);
        }
        self.session.memo().decided(self.asked.call, route.id, || self.caller.decide(route, resource))
    }

    /// Whether the caller may take the other routes of the call, whatever their resources are.
    fn may_take_others(&self) -> bool {
        self.asked.other_routes().all(|route| {
            let resource = RequestedResource::of_any_path(route.route, self.session.bundle());
            self.decide_route(route, &resource).is_ok_and(|decided| decided.decision.is_allowed())
        })
    }

    /// Whether requests with the key of this one get the same answer for a route.
    pub(super) fn is_cacheable(&self, BundledRoute { route, reads, .. }: BundledRoute<'_>) -> bool {
        let (key, routes) = (self.asked.key, self.session.bundle().routes());
        // The route itself is another one for another method.
        let mixes_routes = key.mixes_methods() && routes.tells_methods_apart(&route.template.to_string());
        !mixes_routes && key.lacking(reads, route).next().is_none()
    }
}

/// The claims of these names that are flat, which is all that API Gateway passes on.
fn backend_claims(token: &VerifiedToken, names: &[String]) -> BTreeMap<String, Value> {
    let flat = |name: &String| match token.claims().get(name)? {
        value @ (Value::Bool(_) | Value::Number(_) | Value::String(_)) => Some((name.clone(), value.clone())),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    names.iter().filter_map(flat).collect()
}
