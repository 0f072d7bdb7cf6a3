//! One request, from call to outcome.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use cedar_policy::EntityUid;
use serde_json::{Map, Value};

use crate::bundle::Bundle;
use crate::decide::decision::{Decision, Effort, InContext, Shared, Subject, TooExpensive, list};
use crate::decide::memo::{Remembered, Whole};
use crate::decide::resource::Resource;
use crate::decide::response::{Response, room_for_grant};
use crate::decide::{context, principal};
use crate::gateway::arn::ANY_STAGE;
use crate::gateway::cache_key::{CacheKey, KeyOfRoute, Span};
use crate::gateway::call::{Api, Call, Target};
use crate::gateway::input::Input;
use crate::gateway::path_parameters;
use crate::gateway::route::{Route, RouteId};
use crate::grant::{Grant, OfRoutes};
use crate::projection::Record;
use crate::reason::{Reason, Status};
use crate::token::VerifiedToken;
use crate::token::identity_source::IdentitySource;

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
        shortened.breadth = Breadth::Fallback(Narrow::TooLarge);
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
    /// For the requested method alone, though the cache key asks for more. Safe, but other requests are denied until
    /// API Gateway forgets it.
    Fallback(Narrow),
}

/// Why a grant cannot speak for the whole API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Narrow {
    /// The routes overlap in too many ways to be told apart.
    Inseparable,
    /// There is no room for one route, or for the answer at all.
    TooLarge,
    /// To decide on all routes would take too long: too many conditions have to be evaluated.
    TooExpensive,
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
    let key = cache_key.through(call.route_key());

    // 1. For what?
    let speaks_of_more = key.span() != Span::Method;
    let routes = find_routes(call, bundle, speaks_of_more);
    let route = match &routes {
        Ok(routes) => routes.first().copied().ok_or(Reason::RouteUnmapped),
        Err(reason) => Err(*reason),
    };
    let is_path_safe = route.and_then(|(_, route)| path_parameters::check(call, route)).is_ok();
    let is_for_api = *cache_key == CacheKey::Token;
    if let Ok((index, _)) = route
        && is_path_safe
        && is_for_api
        && let Some(known) = remembered.with_api(call, |of_api| of_api.outcomes.get(&index).map(Arc::clone))
        && known.grant.allows(call.method_arn())
    {
        return Ok(known);
    }
    let route = match (call.target(), speaks_of_more) {
        // It separates the fields of an ARN, and here the path in it is all there is to go by.
        (Target::Path, false) if call.method_arn().path().contains(':') => Err(Reason::PathUnsafe),
        _ => route,
    };
    let resource = route.and_then(|(_, route)| match (is_path_safe, speaks_of_more) {
        (false, _) => Err(Reason::PathUnsafe),
        (true, true) => Ok(some_resource(route, bundle)),
        (true, false) => make_resource(call, route, bundle),
    });

    // 2. Who asks?
    let subject = remembered.subject.get_or_init(|| {
        let (principal, dropped) = principal::from_token(token, source, bundle.projection())?;
        Ok((Subject::new(bundle, principal)?, dropped))
    });
    let caller = Caller {
        call,
        bundle,
        token,
        source,
        cache_key,
        key,
        remembered,
        subject,
        contexts: RefCell::default(),
        shared: RefCell::default(),
    };

    // 3. May they?
    let decided = route.and_then(|route| caller.decide(route, resource.clone()?));
    let decided = match decided {
        Ok(_) if !caller.may_take(routes.iter().flatten().skip(1)) => Err(Reason::PathUnsafe),
        decided => decided,
    };
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
    /// The same as it is for the route of the call.
    key: KeyOfRoute<'a>,
    remembered: &'a Remembered,
    subject: &'a Result<(Subject, usize), Reason>,
    contexts: RefCell<Contexts>,
    /// What decisions on several routes have in common.
    shared: RefCell<Shared>,
}

/// The contexts of the routes, as far as they have something in common.
#[derive(Default)]
struct Contexts {
    /// Those that are the same for all routes, by their shapes.
    of_token: Vec<(Record, InContext)>,
    /// The shapes of `context.token`. `None`: there is none, or it is as the token has it.
    tokens: Vec<Option<Record>>,
    /// How many were made.
    made: u32,
}

/// A resource, and the parameters of the path that it was made from.
type Made = (Resource, BTreeMap<String, String>);

impl Caller<'_> {
    /// Whether the caller may take a route. The count is that of dropped values.
    fn decide(&self, (index, route): (RouteId, &Route), made: Made) -> Result<(Decision, usize), Reason> {
        let reads = self.bundle.route(index).ok_or(Reason::RouteUnmapped)?.reads;
        if !self.is_cacheable(route, reads) {
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

    /// Whether the caller may take all of these routes, whatever their resources are.
    fn may_take<'a>(&self, mut routes: impl Iterator<Item = &'a (RouteId, &'a Route)>) -> bool {
        routes.all(|route| {
            let decided = self.decide(*route, some_resource(route.1, self.bundle));
            decided.is_ok_and(|(decision, _)| decision.reason.status() == Status::Allow)
        })
    }

    /// Whether requests with the key of this one get the same answer for a route.
    fn is_cacheable(&self, route: &Route, reads: &BTreeSet<Input>) -> bool {
        // The route itself is another one for another method.
        let mixes_routes =
            self.key.mixes_methods() && self.bundle.routes().tells_methods_apart(&route.template.to_string());
        !mixes_routes && self.key.lacking(reads, route).next().is_none()
    }

    fn evaluate(
        &self,
        route: &Route,
        reads: &BTreeSet<Input>,
        made: Made,
    ) -> Result<(Decision, usize), Reason> {
        let (subject, of_principal) = self.subject.as_ref().map_err(|reason| *reason)?;
        let (resource, path_parameters) = made;
        let context = self.context(route, reads, &path_parameters)?;
        let dropped = of_principal + context.dropped();
        let mut shared = self.shared.borrow_mut();
        let decision =
            subject.decide_among(self.bundle, &route.action, &resource, &mut shared, || Some(context))?;
        Ok((decision, dropped))
    }

    /// The context of a request. One that is the same for all routes is made once.
    fn context(
        &self,
        route: &Route,
        reads: &BTreeSet<Input>,
        path_parameters: &BTreeMap<String, String>,
    ) -> Result<InContext, Reason> {
        let projection = self.bundle.projection();
        let inputs = context::Inputs {
            call: self.call,
            route,
            reads,
            path_parameters,
            token: self.token,
            source: self.source,
        };
        let shape = projection.context(&route.action);
        let of_token = shape.as_ref().filter(|shape| context::is_of_token_alone(shape));
        let mut made = self.contexts.borrow_mut();
        if let Some(shape) = of_token
            && let Some((_, known)) = made.of_token.iter().find(|(of_shape, _)| *of_shape == **shape)
        {
            return Ok(known.clone());
        }
        let prepared = Rc::new(context::prepare(inputs, projection)?);
        let token = made.token(shape.as_ref().and_then(|shape| context::token_shape(shape)));
        let context = InContext::new(prepared, token, made.made);
        made.made = made.made.saturating_add(1);
        if let Some(shape) = of_token {
            made.of_token.push((Record::clone(shape), context.clone()));
        }
        Ok(context)
    }

    /// The grant for a decision on the call, and for how much it speaks. The decision is another one
    /// where it cannot be granted. `room` says how long a grant for the whole API may be.
    fn grant(
        &self,
        decision: Decision,
        requested: Option<RouteId>,
        room: impl FnOnce() -> usize,
    ) -> (Decision, Told) {
        let arn = self.call.method_arn();
        let is_allowed = decision.reason.status() == Status::Allow;
        // It was denied, and nothing else of this API may be allowed with it.
        let is_wild = arn.stage() == ANY_STAGE;
        if self.key.span() == Span::Method || is_wild {
            let deny = Told::of_method(Grant::deny(arn), Breadth::Method);
            return match is_allowed.then(|| Grant::allow(arn)) {
                Some(Ok(grant)) => (decision, Told::of_method(grant, Breadth::Method)),
                Some(Err(reason)) => (Decision::deny(reason.into()), deny),
                None => (decision, deny),
            };
        }
        let whole = match self.whole_api(requested, room) {
            Ok(whole) => whole,
            Err(narrow) => {
                let breadth = Breadth::Fallback(narrow);
                let deny = Told::of_method(Grant::deny(arn), breadth);
                return match is_allowed.then(|| Grant::allow(arn)) {
                    Some(Ok(grant)) => (decision, Told::of_method(grant, breadth)),
                    Some(Err(reason)) => (Decision::deny(reason.into()), deny),
                    None => (decision, deny),
                };
            }
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

    /// The grant for all that the caller may do. `room` says how long it may be.
    fn whole_api(
        &self,
        requested: Option<RouteId>,
        room: impl FnOnce() -> usize,
    ) -> Result<Arc<Whole>, Narrow> {
        // With another key it depends on the call, too.
        let is_memorable = *self.cache_key == CacheKey::Token;
        let (known, allowed, is_too_expensive) =
            self.remembered.with_api(self.call, |of_api| match is_memorable {
                true => (
                    of_api.grant(requested),
                    of_api.allowed.as_ref().map(Arc::clone),
                    of_api.is_too_expensive,
                ),
                false => (None, None, of_api.is_too_expensive),
            });
        if let Some(known) = known {
            return Ok(known);
        }
        let separation = self.bundle.separation().ok_or(Narrow::Inseparable)?;
        let allowed = match allowed {
            Some(allowed) => allowed,
            None if is_too_expensive => return Err(Narrow::TooExpensive),
            None => self.allowed_routes().map(Arc::from).map_err(|TooExpensive| {
                // Whatever else the key has, the next call of the token would take as long.
                self.remembered.with_api(self.call, |of_api| of_api.is_too_expensive = true);
                Narrow::TooExpensive
            })?,
        };
        let api = self.call.method_arn().api_prefix();
        let of_routes =
            Grant::of_routes_within(room(), api, separation, &allowed, requested).ok_or(Narrow::TooLarge)?;
        let whole = Arc::new(Whole { requested, of_routes, response: Arc::default() });
        if is_memorable {
            self.remembered.with_api(self.call, |of_api| {
                of_api.allowed = Some(allowed);
                of_api.add_grant(Arc::clone(&whole));
            });
        }
        Ok(whole)
    }

    /// The routes that the caller may take, whatever the rest of a request is.
    fn allowed_routes(&self) -> Result<Vec<RouteId>, TooExpensive> {
        let Ok((subject, _)) = self.subject else {
            return Ok(Vec::new());
        };
        let decided = |(index, (decision, _)): (&RouteId, &(Decision, usize))| {
            (*index, decision.reason.status() == Status::Allow)
        };
        let known: BTreeMap<RouteId, bool> =
            self.remembered.with_api(self.call, |of_api| of_api.decisions.iter().map(decided).collect());
        let mut shared = self.shared.borrow_mut();
        shared.limit(Effort::BUDGET);
        let mut allowed = Vec::new();
        for (index, route) in self.bundle.bundled_routes().map(|bundled| (bundled.id, bundled.route)) {
            // It has an API of its own, and an ARN that names it.
            if route.template.is_connect() {
                continue;
            }
            let Some(reads) = self.bundle.route(index).map(|bundled| bundled.reads) else {
                continue;
            };
            if !self.is_cacheable(route, reads) {
                continue;
            }
            let is_allowed = match known.get(&index) {
                Some(is_allowed) => *is_allowed,
                None => {
                    let (resource, parameters) = some_resource(route, self.bundle);
                    let context = || self.context(route, reads, &parameters);
                    subject.is_allowed(self.bundle, &route.action, &resource, &mut shared, context)?
                }
            };
            if is_allowed {
                allowed.push(index);
            }
        }
        Ok(allowed)
    }
}

impl Contexts {
    /// The number of a `context.token` of this shape.
    fn token(&mut self, shape: Option<&Record>) -> u32 {
        let known = self.tokens.iter().position(|known| known.as_ref() == shape);
        let position = known.unwrap_or_else(|| {
            self.tokens.push(shape.cloned());
            self.tokens.len() - 1
        });
        u32::try_from(position).unwrap_or(u32::MAX)
    }
}

/// The resource of a route where nothing depends on what the path says.
fn some_resource(route: &Route, bundle: &Bundle) -> Made {
    let resource = match &route.resource {
        // Without parameters it is the same for every path.
        Some(template) => {
            Resource::from_path(template, &BTreeMap::new(), bundle.entities(), bundle.projection())
                .unwrap_or_else(|_| Resource::unnamed(template))
        }
        None => Resource { uid: bundle.resource().clone(), entity: None },
    };
    (resource, BTreeMap::new())
}

/// The route of a call: the one that API Gateway chose, or where the event does not say which, the one that it would
/// choose. With `speaks_of_more` nothing of the path counts but the route, and if the path can be read in several ways, the
/// routes of all of them are there: that of the path as it stands first.
fn find_routes<'a>(
    call: &Call,
    bundle: &'a Bundle,
    speaks_of_more: bool,
) -> Result<Vec<(RouteId, &'a Route)>, Reason> {
    // In an Allow it would stand for other stages, and for a piece of their paths.
    if call.method_arn().stage() == ANY_STAGE {
        return Err(Reason::StageWildcard);
    }
    if call.overrides_method() {
        return Err(Reason::MethodOverridden);
    }
    let table = bundle.routes();
    let indices = match call.target() {
        Target::Route { verb, template } => vec![table.get(verb.as_deref(), template)?],
        Target::Path => {
            let arn = call.method_arn();
            let verb = arn.verb().ok_or(Reason::RouteUnmapped)?;
            match speaks_of_more {
                true => table.find_all(verb, arn.path())?,
                false => vec![table.find(verb, arn.path())?],
            }
        }
    };
    let route = |index: RouteId| Some((index, table.route(index)?));
    indices.into_iter().map(route).collect::<Option<_>>().ok_or(Reason::RouteUnmapped)
}

/// The resource of a call and the parameters of its path, as the backend reads them.
fn make_resource(call: &Call, route: &Route, bundle: &Bundle) -> Result<Made, Reason> {
    let parameters = path_parameters::of_call(call, route)?;
    let resource = match &route.resource {
        Some(template) => Resource::from_path(template, &parameters, bundle.entities(), bundle.projection())?,
        None => Resource { uid: bundle.resource().clone(), entity: None },
    };
    Ok((resource, parameters))
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
