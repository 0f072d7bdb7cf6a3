//! What API Gateway keeps of an answer, and what that means for other requests.

use cedar_authorizer::decide::Session;
use cedar_authorizer::gateway::cache_key::{CacheKey, CacheScope};
use cedar_authorizer::gateway::route::Route;
use cedar_authorizer::reason::Status;
use cedar_authorizer::time::UnixTime;
use serde::Serialize;
use serde_json::Value;

use super::Sender;
use super::explained::{authorizer, call};
use crate::authorize::unverified_claims;
use crate::gateway_cache::{Applied, apply};
use crate::invoke::breadth;
use crate::matrix::cells;
use crate::output::plural;
use crate::serve::exchange::{CacheUse, Effect, Exchange, KeyPart};
use crate::serve::in_force::InForce;
use crate::serve::page::state::reads;
use crate::test_bench::{HttpRequest, TestBench};

/// What a kept answer says of the whole API.
#[derive(Clone, Debug, Serialize)]
pub struct GrantReport {
    /// How wide it is, and why.
    breadth: String,
    /// Its statements, without the beginning that all their patterns share.
    statements: Vec<String>,
    /// What it says of each route.
    routes: Vec<GrantRow>,
}

/// What the policies and a kept answer say of a route.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct GrantRow {
    route: String,
    /// What the policies decide of a request that takes the route.
    decision: &'static str,
    /// What API Gateway does with the kept answer: `allow`, `deny`, or `none` if it asks again.
    kept: &'static str,
    /// Whether it is the route of this request.
    is_asked: bool,
    /// Why the two differ.
    note: Option<String>,
}

/// What the cache did with a request.
pub fn sentence(exchange: &Exchange, in_force: &InForce) -> String {
    let seconds = authorizer(in_force, exchange).map(|authorizer| authorizer.time_to_live.as_secs());
    match &exchange.cache {
        CacheUse::Miss { key } => format!(
            "The authorizer was asked. Its answer is kept for {}, for every request with the same {}.",
            plural(usize::try_from(seconds.unwrap_or_default()).unwrap_or_default(), "second"),
            sources(key)
        ),
        CacheUse::Hit { key, made_for, age_seconds } => format!(
            "The authorizer was not asked: its answer to request {made_for} was kept {} ago under the same {}, and API \
             Gateway applies it to this request.",
            plural(usize::try_from(*age_seconds).unwrap_or_default(), "second"),
            sources(key)
        ),
        CacheUse::NotKept { .. } => {
            "The authorizer was asked. API Gateway does not keep errors, so the next request asks again.".to_owned()
        }
        CacheUse::Off => match (exchange.effect, seconds) {
            (Effect::Open, _) => "Nobody was asked, so nothing is kept.".to_owned(),
            (Effect::Unauthorized, Some(_)) if exchange.answer.is_none() => {
                "An identity source is missing, so API Gateway answers by itself. The authorizer is not asked."
                    .to_owned()
            }
            (_, Some(0)) => "The authorizer was asked, and its answers are not kept.".to_owned(),
            _ => "No answer is kept for this request.".to_owned(),
        },
    }
}

fn sources(key: &[KeyPart]) -> String {
    let names: Vec<String> = key.iter().map(|part| format!("`{}`", part.source)).collect();
    names.join(" and ")
}

/// What the kept answer says of each route. `None`: none is kept.
pub fn grant(
    exchange: &Exchange,
    sender: &Sender,
    http: &HttpRequest,
    in_force: &InForce,
    now: UnixTime,
) -> Option<GrantReport> {
    let (CacheUse::Miss { .. } | CacheUse::Hit { .. }) = exchange.cache else { return None };
    let (answer, bench) = (exchange.answer.as_ref()?, &in_force.bench);
    let authorizer = authorizer(in_force, exchange)?;
    let claims = match sender {
        Sender::Claims { claims, .. } => claims.clone(),
        Sender::Token(token) => unverified_claims(token)?,
        Sender::Nobody => return None,
    };
    let signed = bench.sign(&claims, now).ok()?;
    let session = signed.session.as_ref().ok()?;
    let outcome = session.authorize(&call(exchange, http, bench).ok()?, &authorizer.key).ok()?;
    let scope = authorizer.key.for_api(http.api.api()).scope();
    let rows = in_force.api.routes.routes().iter().take(MAX_ROUTES).map(|route| {
        let is_asked = Some(route.to_string()) == exchange.route;
        let kept = if is_asked {
            if exchange.effect == Effect::Allow { "allow" } else { "deny" }
        } else if scope == CacheScope::Api {
            kept(answer, route, http, in_force)
        } else {
            "none"
        };
        row(route, kept, is_asked, session, http, in_force)
    });
    Some(GrantReport {
        breadth: sentence_of(&breadth(outcome.breadth)),
        statements: statements(answer),
        routes: rows.collect(),
    })
}

fn row(
    route: &Route,
    kept: &'static str,
    is_asked: bool,
    session: &Session,
    http: &HttpRequest,
    in_force: &InForce,
) -> GrantRow {
    let bench = &in_force.bench;
    let asked = if is_asked { Some(http.clone()) } else { sample(route, http, in_force) };
    let decision = asked.and_then(|asked| decision(&asked, session, bench)).unwrap_or(Status::Deny.name());
    let read = reads(route, bench);
    let note = if decision == "allow" && kept == "deny" {
        Some(match read.as_slice() {
            [] => "no IAM statement can allow it without allowing more".to_owned(),
            read => format!("depends on `{}`, which the key lacks", read.join("`, `")),
        })
    } else {
        None
    };
    GrantRow { route: route.to_string(), decision, kept, is_asked, note }
}

fn decision(asked: &HttpRequest, session: &Session, bench: &TestBench) -> Option<&'static str> {
    let call = bench.call(asked, None).ok()?;
    let outcome = session.authorize(&call, &CacheKey::None).ok()?;
    Some(outcome.decision.reason.status().name())
}

/// A request of the same client that takes a route.
fn sample(route: &Route, http: &HttpRequest, in_force: &InForce) -> Option<HttpRequest> {
    let sample = cells::request(&in_force.api.routes, route)?;
    let HttpRequest { verb, path, query, .. } = sample;
    Some(HttpRequest { verb, path, query, ..http.clone() })
}

fn kept(answer: &Value, route: &Route, http: &HttpRequest, in_force: &InForce) -> &'static str {
    let Some(sample) = sample(route, http, in_force) else { return "none" };
    let event = sample.event(&in_force.api.routes, in_force.bench.bundle().token_location(), None);
    let arn = event.get("methodArn").or(event.get("routeArn")).and_then(Value::as_str).unwrap_or_default();
    match apply(answer, arn) {
        Applied::Allow { .. } => "allow",
        Applied::ExplicitDeny | Applied::ImplicitDeny => "deny",
    }
}

/// The statements of an answer, for people.
fn statements(answer: &Value) -> Vec<String> {
    let all = answer.pointer("/policyDocument/Statement").and_then(Value::as_array);
    let statement = |statement: &Value| {
        let effect = statement.get("Effect").and_then(Value::as_str).unwrap_or_default();
        let (word, patterns) = match statement.get("NotResource") {
            Some(patterns) => ("all but ", Some(patterns)),
            None => ("", statement.get("Resource")),
        };
        let patterns: Vec<&str> = match patterns {
            Some(Value::String(pattern)) => vec![pattern],
            Some(Value::Array(patterns)) => patterns.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        if patterns.iter().all(|pattern| pattern.starts_with(ANY_API)) && !patterns.is_empty() {
            return format!("{effect} spellings of paths that can be read in two ways");
        }
        let short = |pattern: &&str| pattern.splitn(3, '/').nth(2).unwrap_or(pattern).to_owned();
        let short: Vec<String> = patterns.iter().map(short).collect();
        format!("{effect} {word}{}", short.join(" "))
    };
    all.into_iter().flatten().map(statement).collect()
}

/// A sentence of what is written for the right side of a colon.
fn sentence_of(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(chars).chain(['.']).collect()
}

/// How the patterns of a statement about odd spellings begin.
const ANY_API: &str = "arn:aws:execute-api:*:*:*";

/// More routes are no picture any more.
const MAX_ROUTES: usize = 300;
