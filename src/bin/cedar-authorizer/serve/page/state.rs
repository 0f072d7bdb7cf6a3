//! What the page has to know of the store, the API and the people.

use std::collections::BTreeSet;
use std::time::SystemTime;

use axum::extract::State;
use cedar_authorizer::gateway::route::{Route, Segment};
use cedar_authorizer::store::finding::Finding;
use cedar_authorizer::token::identity_source::IdentitySource;
use serde::Serialize;

use super::Page;
use super::reply::{Json, Refusal, blocking};
use crate::matrix::callers::groups;
use crate::matrix::cells;
use crate::serve::api::{RouteProtection, ServedApi};
use crate::test_bench::{ApiKind, Claims, TestBench, default_claims, token_type};

/// Everything that the forms of the page offer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StateReport {
    /// The name of the store.
    store: String,
    /// The name of the API.
    api: String,
    /// The revision that is in force.
    revision: u64,
    /// What is wrong with the files. Errors keep them from being in force.
    findings: Vec<Finding>,
    /// What else keeps the files from being in force.
    problem: Option<Problem>,
    /// Whether files may be saved.
    edit: bool,
    /// Whether a backend gets what is allowed, and may act on it.
    has_backend: bool,
    /// Whether a bundle is served, which has no tests and is not edited.
    is_bundle: bool,
    /// Where clients find the gateway.
    address: String,
    authorizers: Vec<AuthorizerReport>,
    routes: Vec<RouteReport>,
    personas: Vec<PersonaReport>,
    sources: Vec<SourceReport>,
    /// The header that carries the token.
    token_header: String,
}

/// Something that is wrong, and what to do about it.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    pub message: String,
    pub hint: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AuthorizerReport {
    name: String,
    kind: &'static str,
    key: String,
    ttl_seconds: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RouteReport {
    /// As everywhere: `get /pets/{petId}`.
    route: String,
    /// In upper case; `ANY` for all.
    method: String,
    path: String,
    parameters: Vec<String>,
    /// What its policies read besides the token.
    reads: Vec<String>,
    /// The authorizer that protects it, or what else does.
    protection: String,
    /// A request that takes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    sample: Option<SampleRequest>,
}

/// A request that takes a route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SampleRequest {
    pub method: String,
    pub path: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PersonaReport {
    name: String,
    claims: Claims,
    /// The uid of the principal that it is, by which the traffic names it. `None`: its token is refused.
    principal: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SourceReport {
    name: String,
    issuers: Vec<String>,
    group_claim: String,
    /// The groups that policies and entities name.
    groups: Vec<String>,
    /// The claims that every token of it has.
    claims: Claims,
}

/// `GET /_bench/api/state`
pub async fn state(State(page): State<Page>) -> Result<Json<StateReport>, Refusal> {
    blocking(move || {
        let served = &page.served;
        let (in_force, look) = (served.in_force.get(), served.in_force.findings());
        let api = &in_force.api;
        let bench = &in_force.bench;
        Ok(Json(StateReport {
            store: bench.store().settings.name.clone(),
            api: api.name.clone(),
            revision: in_force.revision,
            findings: look.findings.clone(),
            problem: look.problem.clone().map(|(message, hint)| Problem { message, hint }),
            edit: served.settings.is_editable,
            has_backend: served.settings.has_backend,
            is_bundle: served.settings.is_bundle,
            address: served.settings.address.clone(),
            authorizers: authorizers(api),
            routes: routes(api, bench),
            personas: bench.personas().iter().map(|(name, claims)| persona(name, claims, bench)).collect(),
            sources: bench
                .bundle()
                .identity_sources()
                .iter()
                .map(|source| self::source(source, bench))
                .collect(),
            token_header: bench.bundle().token_location().header.clone(),
        }))
    })
    .await
}

fn authorizers(api: &ServedApi) -> Vec<AuthorizerReport> {
    let report = |authorizer: &crate::serve::api::ServedAuthorizer| AuthorizerReport {
        name: authorizer.name.clone(),
        kind: authorizer.kind.events().name(),
        key: authorizer.key.to_string(),
        ttl_seconds: authorizer.time_to_live.as_secs(),
    };
    api.authorizers.iter().map(report).collect()
}

fn routes(api: &ServedApi, bench: &TestBench) -> Vec<RouteReport> {
    let report = |route: &Route| RouteReport {
        route: route.to_string(),
        method: route.method.name().to_ascii_uppercase(),
        path: route.template.to_string(),
        parameters: parameters(route),
        reads: reads(route, bench),
        protection: match api.protection(route) {
            Some(RouteProtection::Authorizer(index)) => {
                api.authorizers.get(*index).map_or_else(String::new, |authorizer| authorizer.name.clone())
            }
            Some(RouteProtection::Other(name)) => name.clone(),
            Some(RouteProtection::Nothing) | None => "none".to_owned(),
        },
        sample: sample(route, api),
    };
    api.routes.routes().iter().map(report).collect()
}

fn parameters(route: &Route) -> Vec<String> {
    let name = |segment: &Segment| match segment {
        Segment::Parameter(name) | Segment::Greedy(name) => Some(name.clone()),
        Segment::Static(_) | Segment::Key(_) => None,
    };
    route.template.segments().iter().filter_map(name).collect()
}

/// What the policies of a route read besides the token.
pub fn reads(route: &Route, bench: &TestBench) -> Vec<String> {
    let store = bench.store();
    let found = store.routes.routes().iter().zip(&store.reads).find(|(known, _)| *known == route);
    let inputs =
        found.into_iter().flat_map(|(route, reads)| reads.iter().filter(|input| input.matters_to(route)));
    inputs.map(ToString::to_string).collect()
}

/// A request that takes this route. `None`: others take them all.
pub fn sample(route: &Route, api: &ServedApi) -> Option<SampleRequest> {
    let request = cells::request(&api.routes, route)?;
    if request.api == ApiKind::WebSocket {
        // What opens a connection, whatever its path.
        return Some(SampleRequest { method: "GET".to_owned(), path: "/".to_owned() });
    }
    Some(SampleRequest { method: request.verb.clone(), path: request.target() })
}

fn persona(name: &str, claims: &Claims, bench: &TestBench) -> PersonaReport {
    let now = SystemTime::now().into();
    let principal = bench.source(None, claims).ok().and_then(|source| {
        let signed = bench.sign(&bench.claims(claims, source, None, now), now).ok()?;
        Some(signed.session.as_ref().ok()?.principal().ok()?.to_string())
    });
    PersonaReport { name: name.to_owned(), claims: claims.clone(), principal }
}

fn source(source: &IdentitySource, bench: &TestBench) -> SourceReport {
    let of_source = groups(bench.store());
    let of_source = of_source.into_iter().filter(|caller| caller.source.as_deref() == Some(source.name()));
    let known: BTreeSet<String> = of_source.filter_map(|caller| caller.group).collect();
    SourceReport {
        name: source.name().to_owned(),
        issuers: source.issuers().to_vec(),
        group_claim: source.group_claim().to_owned(),
        groups: known.into_iter().take(MAX_GROUPS).collect(),
        claims: default_claims(source, token_type(source), SystemTime::now().into(), 3600),
    }
}

/// More groups than this are no choice; the page takes others by name.
const MAX_GROUPS: usize = 100;
