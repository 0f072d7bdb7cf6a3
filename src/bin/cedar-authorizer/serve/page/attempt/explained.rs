//! Why the policies decide as they do.

use cedar_authorizer::gateway::cache_key::CacheKey;
use cedar_authorizer::gateway::call::{Call, InvalidEvent};
use cedar_authorizer::reason::{Reason, Status};
use cedar_authorizer::time::UnixTime;

use super::Sender;
use crate::authorize::{Inquiry, NEAREST, Refused, unverified_claims};
use crate::explanation::report::Report;
use crate::serve::api::{RouteProtection, ServedAuthorizer};
use crate::serve::exchange::{Effect, Exchange};
use crate::serve::in_force::InForce;
use crate::test_bench::{HttpRequest, TestBench};

/// What the policies say to a request that was answered. `None`: they have no say in it.
pub fn explain(
    in_force: &InForce,
    exchange: &Exchange,
    sender: &Sender,
    http: &HttpRequest,
    now: UnixTime,
) -> Option<Report> {
    let bench = &in_force.bench;
    let inquiry = Inquiry { bench, most: NEAREST };
    match exchange.effect {
        Effect::Open | Effect::Invalid => return None,
        Effect::NoRoute => {
            let mut report = Report::refused(Reason::RouteUnmapped, bench.explainer());
            report.notes.extend(inquiry.near_route(http));
            return Some(report);
        }
        Effect::Allow | Effect::Deny | Effect::Unauthorized | Effect::Fault => {}
    }
    let session = match sender {
        Sender::Claims { claims, .. } => inquiry.signed(claims, now).ok()?,
        Sender::Token(token) => {
            let claims = unverified_claims(token);
            match (&claims, refusal(exchange, token, bench, now)) {
                // The gateway has verified it.
                (Some(claims), None) => inquiry.signed(claims, now).ok()?,
                (_, reason) => Err(Refused { reason: reason.unwrap_or(Reason::TokenMalformed), claims }),
            }
        }
        Sender::Nobody => Err(Refused { reason: Reason::TokenMissing, claims: None }),
    };
    let call = call(exchange, http, bench).ok()?;
    let mut report = inquiry.of_call(&call, session, now);
    // The verdict on a fault has it already.
    if exchange.effect != Effect::Fault {
        report.notes.extend(exchange.problem.clone());
    }
    if in_force.functions.is_empty() {
        report.notes.push(
            "The authorizer of `--authorizer` answers. The policies here are those of the store.".to_owned(),
        );
    }
    if let Some(authorizer) = authorizer(in_force, exchange)
        && report.decision == Status::Allow
        && exchange.effect == Effect::Deny
    {
        report.notes.extend(uncovered(bench, authorizer, &call, exchange.route.as_deref()));
    }
    Some(report)
}

/// The authorizer of the route that was taken.
pub fn authorizer<'a>(in_force: &'a InForce, exchange: &Exchange) -> Option<&'a ServedAuthorizer> {
    let api = &in_force.api;
    let route = api.routes.routes().iter().find(|route| Some(route.to_string()) == exchange.route)?;
    match api.protection(route)? {
        RouteProtection::Authorizer(index) => api.authorizers.get(*index),
        RouteProtection::Nothing | RouteProtection::Other(_) => None,
    }
}

/// The call as the authorizer got it, or would have got it.
pub fn call(exchange: &Exchange, http: &HttpRequest, bench: &TestBench) -> Result<Call, InvalidEvent> {
    match &exchange.event {
        Some(event) => Call::from_event(event.clone()).or_else(|_| bench.call(http, None)),
        None => bench.call(http, None),
    }
}

/// Why a token of somebody else is refused. `None`: it is not.
fn refusal(exchange: &Exchange, token: &str, bench: &TestBench, now: UnixTime) -> Option<Reason> {
    if exchange.effect != Effect::Unauthorized {
        return None;
    }
    let said = exchange.decision.as_ref().map(|decided| decided.reason.as_str());
    let named = Reason::ALL.iter().copied().find(|reason| Some(reason.code()) == said);
    named.or_else(|| Some(bench.gate().authenticate(token, now).err()?.reason()))
}

/// What the cache key lacks of what the policies of a route read.
fn uncovered(
    bench: &TestBench,
    authorizer: &ServedAuthorizer,
    call: &Call,
    route: Option<&str>,
) -> Option<String> {
    let store = bench.store();
    let known = store.routes.routes().iter().zip(&store.reads);
    let (route, reads) = known.into_iter().find(|(known, _)| Some(known.to_string().as_str()) == route)?;
    let key = authorizer.key.for_api(call.api());
    let lacking: Vec<String> =
        key.through(call.route_key()).lacking(reads, route).map(|input| format!("`{input}`")).collect();
    if lacking.is_empty() {
        return None;
    }
    let matters = reads.iter().filter(|input| input.matters_to(route));
    let least = CacheKey::least_for(matters, bench.bundle().token_location());
    Some(format!(
        "The policies read {}, which the key `{key}` lacks, so no answer for this key would be right for all requests. \
         Enough is `{least}`.",
        lacking.join(", ")
    ))
}
