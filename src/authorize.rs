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
use crate::decision::{Decision, Effort, InContext, Shared, Subject, TooExpensive, list};
use crate::grant::{Grant, OfRoutes};
use crate::identity_source::IdentitySource;
use crate::inputs::Input;
use crate::projection::Record;
use crate::reason::{Reason, Status};
use crate::remembered::{Remembered, Whole};
use crate::resource::Resource;
use crate::response::Response;
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
    /// There is no room for one route.
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
    let caller = Caller {
        call,
        bundle,
        token,
        source,
        cache_key,
        remembered,
        subject,
        contexts: RefCell::default(),
        shared: RefCell::default(),
    };

    // 3. May they?
    let decided = route.and_then(|route| caller.decide(route, resource.clone()?));
    if let Err(reason) = decided
        && reason.status() == Status::Fault
    {
        return Err(reason);
    }
    let (decision, dropped) = decided.unwrap_or_else(|reason| (Decision::deny(reason), 0));

    // 4. What is API Gateway told?
    let (decision, Told { grant, breadth, response }) =
        caller.grant(decision, route.ok().map(|(index, _)| index));
    let usage_identifier =
        bundle.usage_identifier_claim().and_then(|claim| token.claims().get(claim)?.as_str());
    let outcome = Arc::new(Outcome {
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
    /// where it cannot be granted.
    fn grant(&self, decision: Decision, requested: Option<usize>) -> (Decision, Told) {
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
        let whole = match self.whole_api(requested) {
            Ok(whole) => whole,
            Err(narrow) => {
                return match is_allowed.then(|| Grant::allow(arn)) {
                    Some(Ok(grant)) => (decision, Told::of_method(grant, Breadth::Fallback(narrow))),
                    _ => (decision, Told::of_method(Grant::deny(arn), Breadth::Fallback(narrow))),
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

    /// The grant for all that the caller may do.
    fn whole_api(&self, requested: Option<usize>) -> Result<Arc<Whole>, Narrow> {
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
        let of_routes = Grant::of_routes(api, separation, &allowed, requested).ok_or(Narrow::TooLarge)?;
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
    fn allowed_routes(&self) -> Result<Vec<usize>, TooExpensive> {
        let Ok((subject, _)) = self.subject else {
            return Ok(Vec::new());
        };
        let decided = |(index, (decision, _)): (&usize, &(Decision, usize))| {
            (*index, decision.reason.status() == Status::Allow)
        };
        let known: BTreeMap<usize, bool> =
            self.remembered.with_api(self.call, |of_api| of_api.decisions.iter().map(decided).collect());
        let mut shared = self.shared.borrow_mut();
        shared.limit(Effort::BUDGET);
        let mut allowed = Vec::new();
        for (index, route) in self.bundle.routes().routes().iter().enumerate() {
            // It has an API of its own, and an ARN that names it.
            if route.template.is_connect() {
                continue;
            }
            let Some(reads) = self.bundle.reads(index) else {
                continue;
            };
            if self.cache_key.lacking(reads, route).next().is_some() {
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
