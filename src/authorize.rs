//! One request, from call to outcome.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use cedar_policy::EntityUid;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::bundle::Bundle;
use crate::cache_key::{CacheKey, Span};
use crate::call::{Api, Call, Target};
use crate::decision::{Decision, Subject};
use crate::grant::{Grant, OfRoutes};
use crate::identity_source::IdentitySource;
use crate::reason::{Reason, Status};
use crate::resource::Resource;
use crate::route::{NoRoute, Route};
use crate::token::VerifiedToken;
use crate::{context, principal};

/// A decision, with all that explains it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What the policies say.
    pub decision: Decision,
    /// Who asks.
    pub principal: EntityUid,
    /// The route, and with it the action. `None`: there is none that is safe to name.
    pub route: Option<Route>,
    /// What is acted on.
    pub resource: EntityUid,
    /// What API Gateway is told.
    pub grant: Grant,
    /// For how much of the API it speaks.
    pub breadth: Breadth,
    /// The kind of API that is told.
    pub api: Api,
    /// The claims that the backend gets.
    pub backend_claims: BTreeMap<String, Value>,
    /// The API key of the caller, for usage plans of REST APIs.
    pub usage_identifier_key: Option<String>,
    /// How many values of the token and the call were dropped, being of another type than the
    /// schema has.
    pub dropped: usize,
}

/// For how much of an API a grant speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breadth {
    /// For the requested method alone, which is all that the cache key asks for.
    Method,
    /// For the whole API.
    Api {
        /// How many routes it allows.
        allowed: usize,
        /// How many more the caller may take, for which there was no room.
        left_out: usize,
        /// How many of the allowed ones are denied in part or as a whole, since patterns cannot tell them
        /// from others.
        harmed: usize,
    },
    /// For the requested method alone, though the cache key asks for more: there is no room for one
    /// route, or the routes cannot be told apart. Safe, but other requests are denied until API
    /// Gateway forgets it.
    Fallback,
}

/// Decides on a call. `token` is that of the caller, verified for this bundle; `cache_key` is what API
/// Gateway keeps the answer under; `remembered` belongs to this token and bundle.
///
/// # Errors
/// A reason only where the token is of another bundle. Every other doubt is a denial.
pub fn authorize(
    call: &Call,
    bundle: &Bundle,
    token: &VerifiedToken,
    cache_key: &CacheKey,
    remembered: &Remembered,
) -> Result<Outcome, Reason> {
    // 1. Who asks?
    let source = bundle.identity_sources().get(token.source()).ok_or(Reason::IssuerUnknown)?;
    let cache_key = cache_key.of(call.api());
    let subject = principal::from_token(token, source, bundle.projection())
        .and_then(|(principal, dropped)| Ok((Subject::new(bundle, principal)?, dropped)));
    let caller = Caller { call, bundle, token, source, cache_key, remembered, subject };

    // 2. For what?
    let route = find_route(call, bundle);
    let speaks_of_more = cache_key.span() != Span::Method;
    let route = match (call.target(), speaks_of_more) {
        // It separates the fields of an ARN, and here the path in it is all there is to go by.
        (Target::Path, false) if call.method_arn().path().contains(':') => Err(Reason::PathUnsafe),
        _ => route,
    };
    let resource = route.and_then(|(_, route)| match speaks_of_more {
        true => Ok(some_resource(route, bundle)),
        false => make_resource(call, route, bundle),
    });

    // 3. May they?
    let decided = route.and_then(|route| caller.decide(route, resource.clone()?));
    let (decision, dropped) = decided.unwrap_or_else(|reason| (Decision::deny(reason), 0));

    // 4. What is API Gateway told?
    let (decision, grant, breadth) = caller.grant(decision, route.ok().map(|(index, _)| index));
    let usage_identifier =
        bundle.usage_identifier_claim().and_then(|claim| token.claims().get(claim)?.as_str());
    Ok(Outcome {
        decision,
        principal: principal::uid(token, source),
        route: route.ok().map(|(_, route)| route.clone()),
        resource: resource.map_or_else(|_| bundle.resource().clone(), |(resource, _)| resource.uid),
        grant,
        breadth,
        api: call.api(),
        backend_claims: backend_claims(token, bundle.backend_claims()),
        usage_identifier_key: usage_identifier.map(str::to_owned),
        dropped,
    })
}

/// Who calls, and under which key the answer is kept.
struct Caller<'a> {
    call: &'a Call,
    bundle: &'a Bundle,
    token: &'a VerifiedToken,
    source: &'a IdentitySource,
    cache_key: &'a CacheKey,
    remembered: &'a Remembered,
    subject: Result<(Subject<'a>, usize), Reason>,
}

/// A resource, and the parameters of the path that it was made from.
type Made = (Resource, BTreeMap<String, String>);

impl Caller<'_> {
    /// Whether the caller may take a route. The count is that of dropped values.
    fn decide(&self, (index, route): (usize, &Route), made: Made) -> Result<(Decision, usize), Reason> {
        let (subject, of_principal) = self.subject.as_ref().map_err(|reason| *reason)?;
        let reads = self.bundle.reads(index).ok_or(Reason::RouteUnmapped)?;
        if self.cache_key.lacking(reads, route).next().is_some() {
            return Err(Reason::NotCacheable);
        }
        let (resource, path_parameters) = made;
        let inputs = context::Inputs {
            call: self.call,
            route,
            reads,
            path_parameters: &path_parameters,
            token: self.token,
            source: self.source,
        };
        let (context, of_context) = context::build(inputs, self.bundle.projection())?;
        Ok((subject.decide(&route.action, resource, context)?, of_principal + of_context))
    }

    /// The grant for a decision on the call, and for how much it speaks. The decision is another one
    /// where it cannot be granted.
    fn grant(&self, decision: Decision, requested: Option<usize>) -> (Decision, Grant, Breadth) {
        let arn = self.call.method_arn();
        let is_allowed = decision.reason.status() == Status::Allow;
        // The console's test call has `*` for a stage, which in a pattern would stand for more.
        if self.cache_key.span() == Span::Method || arn.stage() == "*" {
            return match is_allowed.then(|| Grant::allow(arn)) {
                Some(Ok(grant)) => (decision, grant, Breadth::Method),
                Some(Err(reason)) => (Decision::deny(reason.into()), Grant::deny(arn), Breadth::Method),
                None => (decision, Grant::deny(arn), Breadth::Method),
            };
        }
        let Some(whole) = self.whole_api(requested) else {
            return match is_allowed.then(|| Grant::allow(arn)) {
                Some(Ok(grant)) => (decision, grant, Breadth::Fallback),
                _ => (decision, Grant::deny(arn), Breadth::Fallback),
            };
        };
        let OfRoutes { grant, allowed, left_out, harmed } = whole;
        let breadth = Breadth::Api { allowed, left_out, harmed: harmed.len() };
        match is_allowed {
            true if grant.allows(arn) => (decision, grant, breadth),
            true => (Decision::deny(Reason::NotCacheable), grant, breadth),
            false => (decision, grant.except(arn), breadth),
        }
    }

    /// The grant for all that the caller may do. `None`: not even the requested route fits into one, or the
    /// routes cannot be told apart.
    fn whole_api(&self, requested: Option<usize>) -> Option<OfRoutes> {
        let api = self.call.method_arn().api_prefix();
        // With another key it depends on the call, too.
        let is_memorable = *self.cache_key == CacheKey::Token;
        let known = is_memorable.then(|| self.remembered.get(&api)).flatten().unwrap_or_default();
        // If there is no room for all, what was asked for comes first.
        let is_it = |whole: &&Whole| whole.of_routes.left_out == 0 || whole.requested == requested;
        if let Some(whole) = known.grants.iter().find(is_it) {
            return Some(whole.of_routes.clone());
        }
        let allowed = known.allowed.unwrap_or_else(|| self.allowed_routes().into());
        let of_routes = Grant::of_routes(&api, self.bundle.separation()?, &allowed, requested)?;
        if is_memorable {
            self.remembered.add(api, allowed, Whole { requested, of_routes: of_routes.clone() });
        }
        Some(of_routes)
    }

    /// The routes that the caller may take, whatever the rest of a request is.
    fn allowed_routes(&self) -> Vec<usize> {
        let routes = self.bundle.routes().routes();
        let Ok((subject, _)) = &self.subject else {
            return Vec::new();
        };
        let is_allowed = |(index, route): (usize, &Route)| {
            let (resource, _) = some_resource(route, self.bundle);
            // What cannot be read is allowed to nobody.
            if !subject.may_be_allowed(&route.action, &resource.uid).unwrap_or(false) {
                return None;
            }
            let decided = self.decide((index, route), some_resource(route, self.bundle));
            decided.is_ok_and(|(decision, _)| decision.reason.status() == Status::Allow).then_some(index)
        };
        let allowed = routes.iter().enumerate().filter_map(is_allowed);
        // It has an API of its own, and an ARN that names it.
        allowed.filter(|index| routes.get(*index).is_some_and(|route| !route.template.is_connect())).collect()
    }
}

/// What was worked out for a token: what it may call of an API, and grants for that.
#[derive(Debug, Default)]
pub struct Remembered(Mutex<Option<(String, Known)>>);

#[derive(Clone, Debug, Default)]
struct Known {
    allowed: Option<Arc<[usize]>>,
    grants: Vec<Whole>,
}

/// A grant for the whole API, made for a call of this route.
#[derive(Clone, Debug)]
struct Whole {
    requested: Option<usize>,
    of_routes: OfRoutes,
}

impl Remembered {
    fn get(&self, api: &str) -> Option<Known> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().filter(|(known, _)| known == api).map(|(_, known)| known.clone())
    }

    fn add(&self, api: String, allowed: Arc<[usize]>, whole: Whole) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut grants = match known.take() {
            Some((before, known)) if before == api => known.grants,
            _ => Vec::new(),
        };
        // API Gateway asks again for the same token only when its cache has forgotten it.
        grants.truncate(MAX_GRANTS - 1);
        grants.insert(0, whole);
        *known = Some((api, Known { allowed: Some(allowed), grants }));
    }
}

/// How many grants are kept for a token that may call more than fits into one.
const MAX_GRANTS: usize = 4;

/// The resource of a route where nothing depends on what the path says.
fn some_resource(route: &Route, bundle: &Bundle) -> Made {
    let resource = match &route.resource {
        // Without parameters it is the same for every path.
        Some(made) => made
            .fill(&BTreeMap::new(), bundle.entities(), bundle.projection())
            .unwrap_or_else(|_| made.unnamed()),
        None => Resource { uid: bundle.resource().clone(), entity: None },
    };
    (resource, BTreeMap::new())
}

/// The route of a call: the one that API Gateway chose, or where the event does not say which,
/// the one that it would choose.
fn find_route<'a>(call: &Call, bundle: &'a Bundle) -> Result<(usize, &'a Route), Reason> {
    if call.overrides_method() {
        return Err(Reason::MethodOverridden);
    }
    let index = match call.target() {
        Target::Route { verb, template } => bundle.routes().get(verb.as_deref(), template)?,
        Target::Path => {
            let arn = call.method_arn();
            bundle.routes().find(arn.verb().ok_or(Reason::RouteUnmapped)?, arn.path())?
        }
    };
    Ok((index, bundle.routes().routes().get(index).ok_or(Reason::RouteUnmapped)?))
}

/// The resource of a call and the parameters of its path, as the backend reads them.
fn make_resource(call: &Call, route: &Route, bundle: &Bundle) -> Result<Made, Reason> {
    let parameters = match call.target() {
        Target::Path => decoded(route.template.values(call.method_arn().path()))?,
        Target::Route { .. } if call.api() == Api::RestRequest => decoded(call.path_parameters().clone())?,
        Target::Route { .. } => call.path_parameters().clone(),
    };
    let resource = match &route.resource {
        Some(template) => template.fill(&parameters, bundle.entities(), bundle.projection())?,
        None => Resource { uid: bundle.resource().clone(), entity: None },
    };
    Ok((resource, parameters))
}

/// REST APIs hand parameters to the authorizer as they were sent, and to the backend decoded. One
/// that is encoded twice may be read in two ways, so it is read in none.
fn decoded(parameters: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Reason> {
    let decode = |text: &str| {
        percent_decode_str(text).decode_utf8().map(Cow::into_owned).map_err(|_| Reason::PathUnsafe)
    };
    let once = |(name, value): (String, String)| {
        let once = decode(&value)?;
        if once != value && decode(&once)? != once {
            return Err(Reason::PathUnsafe);
        }
        Ok((name, once))
    };
    parameters.into_iter().map(once).collect()
}

impl From<NoRoute> for Reason {
    fn from(no_route: NoRoute) -> Self {
        match no_route {
            NoRoute::Unmapped => Self::RouteUnmapped,
            NoRoute::Unsafe => Self::PathUnsafe,
        }
    }
}

/// The claims of these names that are flat, which is all that API Gateway passes on.
fn backend_claims(token: &VerifiedToken, names: &[String]) -> BTreeMap<String, Value> {
    let claims: &Map<String, Value> = token.claims();
    let flat = |name: &String| match claims.get(name)? {
        value @ (Value::Bool(_) | Value::Number(_) | Value::String(_)) => Some((name.clone(), value.clone())),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    names.iter().filter_map(flat).collect()
}
