//! One request, from call to outcome.

use std::collections::BTreeMap;

use cedar_policy::EntityUid;
use serde_json::{Map, Value};

use crate::bundle::Bundle;
use crate::call::Call;
use crate::decision::{Decision, decide};
use crate::grant::Grant;
use crate::reason::{Reason, Status};
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
    /// The claims that the backend gets.
    pub backend_claims: BTreeMap<String, Value>,
    /// How many claims were dropped, being of another type than the schema has.
    pub dropped_claims: usize,
}

/// Decides on a call. `token` is that of the caller, verified for this bundle.
///
/// # Errors
/// A reason only where the token is of another bundle. Every other doubt is a denial.
pub fn authorize(call: &Call, bundle: &Bundle, token: &VerifiedToken) -> Result<Outcome, Reason> {
    // 1. Who asks?
    let source = bundle.identity_sources().get(token.source()).ok_or(Reason::IssuerUnknown)?;

    // 2. For what?
    let arn = call.method_arn();
    let route = arn.verb().ok_or(NoRoute::Unmapped).and_then(|verb| bundle.routes().find(verb, arn.path()));

    // 3. May they?
    let projection = bundle.projection();
    let evaluate = || {
        let action = &route?.action;
        let (principal, dropped) = principal::from_token(token, source, projection)?;
        let (context, more) = context::from_token(token, source, action, projection)?;
        let resource = bundle.resource().clone();
        Ok((decide(bundle, principal, action.clone(), resource, context), dropped + more))
    };
    let (decision, dropped_claims) = evaluate().unwrap_or_else(|reason| (Decision::deny(reason), 0));

    // 4. What is API Gateway told?
    let (decision, grant) = match decision.reason.status() {
        Status::Allow => match Grant::allow(arn) {
            Ok(grant) => (decision, grant),
            Err(_) => (Decision::deny(Reason::ResourceTooLong), Grant::deny(arn)),
        },
        Status::Deny | Status::Unauthorized | Status::Fault => (decision, Grant::deny(arn)),
    };
    Ok(Outcome {
        decision,
        principal: principal::uid(token, source),
        route: route.ok().cloned(),
        resource: bundle.resource().clone(),
        grant,
        backend_claims: backend_claims(token, bundle.backend_claims()),
        dropped_claims,
    })
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
