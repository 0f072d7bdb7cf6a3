//! One request, from call to outcome.

use std::borrow::Cow;
use std::collections::BTreeMap;

use cedar_policy::EntityUid;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::bundle::Bundle;
use crate::call::{Api, Call, Target};
use crate::decision::{Decision, decide};
use crate::grant::Grant;
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

/// Decides on a call. `token` is that of the caller, verified for this bundle.
///
/// # Errors
/// A reason only where the token is of another bundle. Every other doubt is a denial.
pub fn authorize(call: &Call, bundle: &Bundle, token: &VerifiedToken) -> Result<Outcome, Reason> {
    // 1. Who asks?
    let source = bundle.identity_sources().get(token.source()).ok_or(Reason::IssuerUnknown)?;

    // 2. For what?
    let route = find_route(call, bundle);
    let resource = route.and_then(|route| make_resource(call, route, bundle));

    // 3. May they?
    let projection = bundle.projection();
    let evaluate = || {
        let (route, (resource, path_parameters)) = (route?, resource.clone()?);
        let (principal, of_principal) = principal::from_token(token, source, projection)?;
        let inputs = context::Inputs { call, route, path_parameters: &path_parameters, token, source };
        let (context, of_context) = context::build(inputs, projection)?;
        let decision = decide(bundle, principal, route.action.clone(), resource, context);
        Ok((decision, of_principal + of_context))
    };
    let (decision, dropped) = evaluate().unwrap_or_else(|reason| (Decision::deny(reason), 0));

    // 4. What is API Gateway told?
    let arn = call.method_arn();
    let (decision, grant) = match decision.reason.status() {
        Status::Allow => match Grant::allow(arn) {
            Ok(grant) => (decision, grant),
            Err(not_grantable) => (Decision::deny(not_grantable.into()), Grant::deny(arn)),
        },
        Status::Deny | Status::Unauthorized | Status::Fault => (decision, Grant::deny(arn)),
    };
    let usage_identifier =
        bundle.usage_identifier_claim().and_then(|claim| token.claims().get(claim)?.as_str());
    Ok(Outcome {
        decision,
        principal: principal::uid(token, source),
        route: route.ok().cloned(),
        resource: resource.map_or_else(|_| bundle.resource().clone(), |(resource, _)| resource.uid),
        grant,
        api: call.api(),
        backend_claims: backend_claims(token, bundle.backend_claims()),
        usage_identifier_key: usage_identifier.map(str::to_owned),
        dropped,
    })
}

/// The route of a call: the one that API Gateway chose, or where the event does not say which,
/// the one that it would choose.
fn find_route<'a>(call: &Call, bundle: &'a Bundle) -> Result<&'a Route, Reason> {
    if call.overrides_method() {
        return Err(Reason::MethodOverridden);
    }
    Ok(match call.target() {
        Target::Route { verb, template } => bundle.routes().get(verb.as_deref(), template)?,
        Target::Path => {
            let arn = call.method_arn();
            bundle.routes().find(arn.verb().ok_or(Reason::RouteUnmapped)?, arn.path())?
        }
    })
}

/// The resource of a call and the parameters of its path, as the backend reads them.
fn make_resource(
    call: &Call,
    route: &Route,
    bundle: &Bundle,
) -> Result<(Resource, BTreeMap<String, String>), Reason> {
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
