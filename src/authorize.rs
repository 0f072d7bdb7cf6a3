//! One request, from call to outcome.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use cedar_policy::EntityUid;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::bundle::Bundle;
use crate::cache_key::{CacheKey, Span};
use crate::call::{Api, Call, Target};
use crate::context::Prepared;
use crate::decision::{Decision, Subject, list};
use crate::grant::{Grant, OfRoutes};
use crate::identity_source::IdentitySource;
use crate::inputs::Input;
use crate::projection::Record;
use crate::reason::{Reason, Status};
use crate::remembered::{Remembered, Whole};
use crate::resource::Resource;
use crate::response::{Response, room_for_grant};
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
    pub grant: Arc<Grant>,
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
    /// The response, once it was written. Outcomes that are told the same share it.
    pub response: Arc<OnceLock<Response>>,
    /// See [`Outcome::texts`].
    texts: OnceLock<Texts>,
}

/// Parts of an outcome as people read them.
#[derive(Clone, Debug)]
pub struct Texts {
    /// Who asks.
    pub principal: String,
    /// The action, if there is a route.
    pub action: Option<String>,
    /// What is acted on.
    pub resource: String,
    /// The determining policies, separated by commas.
    pub policies: String,
    /// Those that could not be evaluated.
    pub errors: String,
}

impl Outcome {
    /// The reason of a response that has no room for the whole outcome, and so denies.
    pub(crate) fn reason_if_shortened(&self) -> Reason {
        match self.decision.reason.status() {
            Status::Allow => Reason::ResponseTooLarge,
            Status::Deny | Status::Unauthorized | Status::Fault => self.decision.reason,
        }
    }

    /// What becomes of it with [such a response](Response::is_shortened).
    pub(crate) fn shortened(&self) -> Self {
        let mut shortened = self.clone();
        let reason = self.reason_if_shortened();
        if reason != self.decision.reason {
            shortened.decision = Decision::deny(reason);
            shortened.texts = OnceLock::new();
        }
        shortened.grant = Arc::new(Grant::deny_all());
        shortened.breadth = Breadth::Fallback;
        shortened
    }

    /// Its parts as the log and the response have them, written once.
    pub fn texts(&self) -> &Texts {
        self.texts.get_or_init(|| Texts {
            principal: self.principal.to_string(),
            action: self.route.as_ref().map(|route| route.action.to_string()),
            resource: self.resource.to_string(),
            policies: list(&self.decision.policies),
            errors: list(&self.decision.errors),
        })
    }
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
/// A reason only where the token is of another bundle, or a part of the bundle that the decision needs cannot be
/// read ([`Reason::BundleUnreadable`]). Every other doubt is a denial.
pub fn authorize(
    call: &Call,
    bundle: &Bundle,
    token: &VerifiedToken,
    cache_key: &CacheKey,
    remembered: &Remembered,
) -> Result<Arc<Outcome>, Reason> {
    let source = bundle.identity_sources().get(token.source()).ok_or(Reason::IssuerUnknown)?;
    let cache_key = cache_key.of(call.api());

    // 1. For what?
    let route = find_route(call, bundle);
    // The console's test call has `*` for a stage, which in a pattern would stand for more.
    let is_for_api = *cache_key == CacheKey::Token && call.method_arn().stage() != "*";
    if let Ok((index, _)) = route
        && is_for_api
        && let Some(known) = remembered.with_api(call, |of_api| of_api.outcomes.get(&index).map(Arc::clone))
        && known.grant.allows(call.method_arn())
    {
        return Ok(known);
    }
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

    // 2. Who asks?
    let subject = remembered.subject.get_or_init(|| {
        let (principal, dropped) = principal::from_token(token, source, bundle.projection())?;
        Ok((Subject::new(bundle, principal)?, dropped))
    });
    let caller =
        Caller { call, bundle, token, source, cache_key, remembered, subject, contexts: RefCell::default() };

    // 3. May they?
    let decided = route.and_then(|route| caller.decide(route, resource.clone()?));
    if let Err(reason) = decided
        && reason.status() == Status::Fault
    {
        return Err(reason);
    }
    let (decision, dropped) = decided.unwrap_or_else(|reason| (Decision::deny(reason), 0));

    // 4. What is API Gateway told?
    let (principal, backend_claims) =
        (principal::uid(token, source), backend_claims(token, bundle.backend_claims()));
    let usage_identifier =
        bundle.usage_identifier_claim().and_then(|claim| token.claims().get(claim)?.as_str());
    let room = || room_for_grant(&principal, &backend_claims, usage_identifier);
    let (decision, Told { grant, breadth, response }) =
        caller.grant(decision, route.ok().map(|(index, _)| index), room);
    let outcome = Arc::new(Outcome {
        decision,
        principal,
        route: route.ok().map(|(_, route)| route.clone()),
        resource: resource.map_or_else(|_| bundle.resource().clone(), |(resource, _)| resource.uid),
        grant,
        breadth,
        api: call.api(),
        backend_claims,
        usage_identifier_key: usage_identifier.map(str::to_owned),
        dropped,
        response,
        texts: OnceLock::new(),
    });
    // Such an answer is a function of token and route.
    if let Ok((index, _)) = route
        && is_for_api
        && outcome.decision.reason.status() == Status::Allow
        && matches!(outcome.breadth, Breadth::Api { .. })
    {
        remembered.with_api(call, |of_api| of_api.add_outcome(index, Arc::clone(&outcome)));
    }
    Ok(outcome)
}

/// What API Gateway is told.
struct Told {
    grant: Arc<Grant>,
    breadth: Breadth,
    response: Arc<OnceLock<Response>>,
}

impl Told {
    fn of_method(grant: Grant, breadth: Breadth) -> Self {
        Self { grant: Arc::new(grant), breadth, response: Arc::default() }
    }
}

/// Who calls, and under which key the answer is kept.
struct Caller<'a> {
    call: &'a Call,
    bundle: &'a Bundle,
    token: &'a VerifiedToken,
    source: &'a IdentitySource,
    cache_key: &'a CacheKey,
    remembered: &'a Remembered,
    subject: &'a Result<(Subject, usize), Reason>,
    /// Those that are the same for all routes, by their shapes.
    contexts: RefCell<Vec<(Record, Rc<Prepared>)>>,
}

/// A resource, and the parameters of the path that it was made from.
type Made = (Resource, BTreeMap<String, String>);

impl Caller<'_> {
    /// Whether the caller may take a route. The count is that of dropped values.
    fn decide(&self, (index, route): (usize, &Route), made: Made) -> Result<(Decision, usize), Reason> {
        let reads = self.bundle.reads(index).ok_or(Reason::RouteUnmapped)?;
        if self.cache_key.lacking(reads, route).next().is_some() {
            return Err(Reason::NotCacheable);
        }
        // What the token decides alone is the same for every call of the route, whatever the key.
        if CacheKey::Token.lacking(reads, route).next().is_some() {
            return self.evaluate(route, reads, made);
        }
        let known = self.remembered.with_api(self.call, |of_api| of_api.decisions.get(&index).cloned());
        if let Some(known) = known {
            return Ok(known);
        }
        let decided = self.evaluate(route, reads, made)?;
        self.remembered.with_api(self.call, |of_api| of_api.add_decision(index, decided.clone()));
        Ok(decided)
    }

    fn evaluate(
        &self,
        route: &Route,
        reads: &BTreeSet<Input>,
        made: Made,
    ) -> Result<(Decision, usize), Reason> {
        let (subject, of_principal) = self.subject.as_ref().map_err(|reason| *reason)?;
        let (resource, path_parameters) = made;
        let inputs = context::Inputs {
            call: self.call,
            route,
            reads,
            path_parameters: &path_parameters,
            token: self.token,
            source: self.source,
        };
        let context = self.context(inputs)?;
        let decision = subject.decide(self.bundle, &route.action, resource, || context.context())?;
        Ok((decision, of_principal + context.dropped))
    }

    /// The context of a request. One that is the same for all routes is made once.
    fn context(&self, inputs: context::Inputs<'_>) -> Result<Rc<Prepared>, Reason> {
        let projection = self.bundle.projection();
        let shape = projection.context(&inputs.route.action);
        let Some(shape) = shape.filter(|shape| context::is_of_token_alone(shape)) else {
            return context::prepare(inputs, projection).map(Rc::new);
        };
        let mut made = self.contexts.borrow_mut();
        if let Some((_, context)) = made.iter().find(|(of_shape, _)| *of_shape == *shape) {
            return Ok(Rc::clone(context));
        }
        let context = Rc::new(context::prepare(inputs, projection)?);
        made.push((shape.into_owned(), Rc::clone(&context)));
        Ok(context)
    }

    /// The grant for a decision on the call, and for how much it speaks. The decision is another one
    /// where it cannot be granted. `room` says how long a grant for the whole API may be.
    fn grant(
        &self,
        decision: Decision,
        requested: Option<usize>,
        room: impl FnOnce() -> usize,
    ) -> (Decision, Told) {
        let arn = self.call.method_arn();
        let is_allowed = decision.reason.status() == Status::Allow;
        // The console's test call has `*` for a stage, which in a pattern would stand for more.
        if self.cache_key.span() == Span::Method || arn.stage() == "*" {
            let deny = Told::of_method(Grant::deny(arn), Breadth::Method);
            return match is_allowed.then(|| Grant::allow(arn)) {
                Some(Ok(grant)) => (decision, Told::of_method(grant, Breadth::Method)),
                Some(Err(reason)) => (Decision::deny(reason.into()), deny),
                None => (decision, deny),
            };
        }
        let Some(whole) = self.whole_api(requested, room) else {
            let deny = Told::of_method(Grant::deny(arn), Breadth::Fallback);
            return match is_allowed.then(|| Grant::allow(arn)) {
                Some(Ok(grant)) => (decision, Told::of_method(grant, Breadth::Fallback)),
                Some(Err(reason)) => (Decision::deny(reason.into()), deny),
                None => (decision, deny),
            };
        };
        let OfRoutes { grant, allowed, left_out, harmed } = &whole.of_routes;
        let breadth = Breadth::Api { allowed: *allowed, left_out: *left_out, harmed: harmed.len() };
        if is_allowed && grant.allows(arn) {
            let (grant, response) = (Arc::clone(grant), Arc::clone(&whole.response));
            return (decision, Told { grant, breadth, response });
        }
        let decision = if is_allowed { Decision::deny(Reason::NotCacheable) } else { decision };
        (decision, Told::of_method(Grant::clone(grant).except(arn), breadth))
    }

    /// The grant for all that the caller may do. `None`: not even the requested route fits into one, or the
    /// routes cannot be told apart.
    fn whole_api(&self, requested: Option<usize>, room: impl FnOnce() -> usize) -> Option<Arc<Whole>> {
        // With another key it depends on the call, too.
        let is_memorable = *self.cache_key == CacheKey::Token;
        let (known, allowed) = match is_memorable {
            true => self.remembered.with_api(self.call, |of_api| {
                (of_api.grant(requested), of_api.allowed.as_ref().map(Arc::clone))
            }),
            false => (None, None),
        };
        if let Some(known) = known {
            return Some(known);
        }
        let api = self.call.method_arn().api_prefix();
        let allowed = allowed.unwrap_or_else(|| self.allowed_routes().into());
        let separation = self.bundle.separation()?;
        let of_routes = Grant::of_routes_within(room(), api, separation, &allowed, requested)?;
        let whole = Arc::new(Whole { requested, of_routes, response: Arc::default() });
        if is_memorable {
            self.remembered.with_api(self.call, |of_api| {
                of_api.allowed = Some(allowed);
                of_api.add_grant(Arc::clone(&whole));
            });
        }
        Some(whole)
    }

    /// The routes that the caller may take, whatever the rest of a request is.
    fn allowed_routes(&self) -> Vec<usize> {
        let routes = self.bundle.routes().routes();
        let Ok((subject, _)) = self.subject else {
            return Vec::new();
        };
        let is_allowed = |(index, route): (usize, &Route)| {
            let (resource, _) = some_resource(route, self.bundle);
            // What cannot be read is allowed to nobody.
            if !subject.may_be_allowed(self.bundle, &route.action, &resource.uid).unwrap_or(false) {
                return None;
            }
            let reads = self.bundle.reads(index)?;
            if self.cache_key.lacking(reads, route).next().is_some() {
                return None;
            }
            let known = self.remembered.with_api(self.call, |of_api| of_api.decisions.get(&index).cloned());
            let decide = || self.evaluate(route, reads, some_resource(route, self.bundle));
            let decided = known.map_or_else(decide, Ok);
            decided.is_ok_and(|(decision, _)| decision.reason.status() == Status::Allow).then_some(index)
        };
        let allowed = routes.iter().enumerate().filter_map(is_allowed);
        // It has an API of its own, and an ARN that names it.
        allowed.filter(|index| routes.get(*index).is_some_and(|route| !route.template.is_connect())).collect()
    }
}

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
