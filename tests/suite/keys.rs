//! Random policies, APIs and calls under every kind of cache key: an answer from the cache is what the call would
//! have got by itself.

use std::collections::HashMap;
use std::sync::LazyLock;

use cedar_authorizer::bundle::{Bundle, DevelopmentKeys, StoreFiles};
use cedar_authorizer::decide::outcome::Breadth;
use cedar_authorizer::decide::{Decision, Gate, PrincipalRequest, Session};
use cedar_authorizer::gateway::cache_key::{CacheKey, CacheScope};
use cedar_authorizer::gateway::call::{Call, RouteKey};
use cedar_authorizer::gateway::response::SimpleResponses;
use cedar_authorizer::store::{Store, build, directory};
use cedar_authorizer::time::UnixTime;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use crate::gateway::Request;
use crate::oracle::{NotResource, passes};
use crate::world::{ISSUED_AT, sample_store, session, token};

const SCHEMA: &str = "namespace C {
    entity UserGroup; entity User in [UserGroup]; entity Application; entity Thing = { of?: String };
    type Call = {
        token: { username?: String },
        http: { method: String, route: String, path?: String, sourceIp?: ipaddr, headers: { \"x-a\"?: String } },
        pathParameters?: { id?: String },
        queryStringParameters?: { q?: String, r?: String },
    };
    action see appliesTo { principal: User, resource: Thing, context: Call };
    action \"get /a\", \"post /a\", \"any /b\", \"get /a/{id}\", \"get /e\", \"delete /e\", \"any /e\"DEFAULT
        appliesTo { principal: User, resource: Application, context: Call };
}";

const SETTINGS: &str = "[store]\nname = 'c'\nnamespace = 'C'\n[tokens]\ntype = 'access'\n
    [[routes]]\nmethod = 'GET'\npath = '/c'\naction = 'see'\nresource = 'C::Thing::\"c\"'\nattributes = { of = '7' }\n
    [[routes]]\nmethod = 'GET'\npath = '/d/{id}'\naction = 'see'\nresource = 'C::Thing::\"{id}\"'\nattributes = { of = '{id}' }\n";

/// Everything that a policy can ask about a call, and some things that it can ask about the token.
const ATOMS: [&str; 16] = [
    "true",
    "context.token has username && context.token.username == \"alice\"",
    "principal in C::UserGroup::\"us-east-1_EXAMPLE|employee\"",
    "context.http.method == \"GET\"",
    "context.http.method == \"POST\"",
    "context.http.route == \"/a\"",
    "context.http has path && context.http.path like \"*7\"",
    "context.http has sourceIp && context.http.sourceIp.isInRange(ip(\"10.0.0.0/8\"))",
    "context.http.headers has \"x-a\"",
    "context.http.headers has \"x-a\" && context.http.headers[\"x-a\"] == \"1\"",
    "context has pathParameters",
    "context has pathParameters && context.pathParameters has id && context.pathParameters.id == \"7\"",
    "context has queryStringParameters",
    "context has queryStringParameters && context.queryStringParameters has q",
    "context has queryStringParameters && context.queryStringParameters has r && context.queryStringParameters.r == \"x\"",
    "RESOURCE",
];

const ACTIONS: [&str; 9] = [
    "action",
    "action == C::Action::\"get /a\"",
    "action in [C::Action::\"get /a\", C::Action::\"post /a\"]",
    "action == C::Action::\"any /b\"",
    "action == C::Action::\"get /a/{id}\"",
    "action == C::Action::\"see\"",
    "action in [C::Action::\"see\", C::Action::\"any /b\"]",
    "action == C::Action::\"delete /e\"",
    "action in [C::Action::\"get /e\", C::Action::\"get /a\"]",
];

/// Whether it permits, its action, and two conditions. Each may be negated. They are joined by `and` or `or`.
type Policy = (bool, &'static str, ((&'static str, bool), (&'static str, bool), bool));

fn policies() -> impl Strategy<Value = String> {
    let atom = (select(&ATOMS[..]), any::<bool>());
    let condition = (atom.clone(), atom, any::<bool>());
    let policy = (any::<bool>(), select(&ACTIONS[..]), condition);
    prop::collection::vec(policy, 1..5).prop_map(|policies| {
        let print = |(permits, action, ((a, not_a), (b, not_b), and)): Policy| {
            // Only things have this attribute.
            let is_of_things = action == "action == C::Action::\"see\"";
            let text = |atom: &str, negated: bool| {
                let atom = match (atom, is_of_things) {
                    ("RESOURCE", true) => "resource has of && resource.of == \"7\"",
                    ("RESOURCE", false) => "true",
                    (atom, _) => atom,
                };
                if negated { format!("!({atom})") } else { format!("({atom})") }
            };
            let (effect, operator) =
                (if permits { "permit" } else { "forbid" }, if and { "&&" } else { "||" });
            format!(
                "{effect} (principal, {action}, resource) when {{ {} {operator} {} }};\n",
                text(a, not_a),
                text(b, not_b)
            )
        };
        policies.into_iter().map(print).collect()
    })
}

fn open(policies: &str, has_default: bool) -> Bundle {
    let sample = directory::read(&sample_store()).unwrap();
    let mut files = StoreFiles::default();
    let source = String::from_utf8(sample.get("identity-sources/cognito.json").unwrap().to_vec()).unwrap();
    for (path, content) in [
        ("identity-sources/cognito.json", source.replace("PetStore::", "C::").as_bytes()),
        ("jwks/cognito.json", sample.get("jwks/cognito.json").unwrap()),
        ("store.toml", SETTINGS.as_bytes()),
        (
            "schema.cedarschema",
            SCHEMA.replace("DEFAULT", if has_default { ", \"$default\"" } else { "" }).as_bytes(),
        ),
        ("policies/p.cedar", policies.as_bytes()),
    ] {
        files.insert(path.to_owned(), content.to_vec());
    }
    let (store, findings) = Store::check(&files);
    let store = store.unwrap_or_else(|| panic!("{policies}\n{findings:#?}"));
    Bundle::open(build::bundle(&store, &files, 1).unwrap(), DevelopmentKeys::Allow).unwrap()
}

/// The parts of a request: method, route, id, query, header, address, caller.
type Parts = (&'static str, usize, bool, usize, usize, bool, usize);

fn requests() -> impl Strategy<Value = Vec<Parts>> {
    // API Gateway forwards methods of any name.
    let verb = prop_oneof![3 => Just("GET"), 1 => select(&["POST", "DELETE", "PURGE"][..])];
    prop::collection::vec(
        (verb, 0..TEMPLATES.len(), any::<bool>(), 0..4usize, 0..3usize, any::<bool>(), 0..2usize),
        1..25,
    )
}

/// The templates, each with the methods that the store has for it.
const TEMPLATES: [(&str, &[&str]); 7] = [
    ("/a", &["GET", "POST"]),
    ("/b", &["ANY"]),
    ("/a/{id}", &["GET"]),
    ("/c", &["GET"]),
    ("/d/{id}", &["GET"]),
    ("/e", &["GET", "DELETE", "ANY"]),
    // Only in some stores and some HTTP APIs.
    ("$default", &["ANY"]),
];
const QUERIES: [&[(&str, &str)]; 4] = [&[], &[("q", "1")], &[("r", "x")], &[("q", "2"), ("r", "x")]];

/// The kind of an API, and how its routes differ from those of the store.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Rest,
    Http1,
    Http2,
    /// Format 2.0 with simple responses.
    Simple,
}

/// The routes of an API for a template whose methods the store may distinguish.
#[derive(Clone, Copy, Debug)]
enum Routes {
    AsTheStore,
    /// One route for all methods.
    Wider,
    /// A route for GET, and one for the others.
    Mixed,
    /// A route for each method.
    Narrower,
}

/// What the API's route for a request takes: a method, or `ANY`. `None`: there is no such route.
fn taken_by(routes: Routes, verb: &'static str, of_store: &[&'static str]) -> Option<&'static str> {
    match routes {
        Routes::AsTheStore => [verb, "ANY"].into_iter().find(|taken| of_store.contains(taken)),
        Routes::Wider => Some("ANY"),
        Routes::Mixed => Some(if verb == "GET" { "GET" } else { "ANY" }),
        Routes::Narrower => Some(verb),
    }
}

const KEYS: [&str; 13] = [
    "token",
    "method.request.header.Authorization,method.request.header.X-A",
    "method.request.header.Authorization,context.identity.sourceIp",
    "method.request.header.Authorization,method.request.querystring.q",
    "method.request.header.Authorization,context.httpMethod",
    "method.request.header.Authorization,context.httpMethod,context.path",
    "method.request.header.Authorization,context.httpMethod,context.resourcePath",
    "method.request.header.Authorization,context.resourceId,context.path",
    "method.request.header.Authorization,context.httpMethod,context.path,method.request.querystring.r,context.identity.sourceIp",
    "$request.header.Authorization,$context.routeKey",
    "$request.header.Authorization,$context.routeKey,$context.path",
    "$request.header.Authorization,$context.routeKey,$context.httpMethod",
    "$request.header.Authorization,$context.routeKey,$context.httpMethod,$context.path",
];

/// The key that API Gateway computes for a request. `None`: the request lacks an identity source.
fn key_of(key: &str, kind: Kind, request: &Request<'_>, address: &str, caller: usize) -> Option<String> {
    let is_rest = matches!(kind, Kind::Rest);
    let query = |name: &str| {
        request.query.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    };
    let mut values = vec![caller.to_string()];
    for source in key.split(',').skip(1) {
        values.push(match source.trim_start_matches('$') {
            "method.request.header.X-A" => request.headers["X-A"].as_str()?.to_owned(),
            "context.identity.sourceIp" => address.to_owned(),
            "method.request.querystring.q" => query("q")?,
            "method.request.querystring.r" => query("r")?,
            "context.httpMethod" => request.verb.to_owned(),
            "context.path" => request.path.to_owned(),
            "context.resourcePath" | "context.resourceId" if is_rest => request.template.to_owned(),
            "context.routeKey" if !is_rest => request.route_key(),
            // API Gateway does not have this for this kind of API.
            "context.resourcePath" | "context.resourceId" | "context.routeKey" => return None,
            other => panic!("{other}"),
        });
    }
    Some(values.join("\n"))
}

/// Whether an answer lets a request through: by its policy, or by the boolean of a simple response.
fn lets_through(answer: &Value, arn: &str) -> bool {
    match answer.get("isAuthorized") {
        Some(is_authorized) => is_authorized.as_bool().unwrap(),
        None => passes(Some(answer), arn, NotResource::Honoured),
    }
}

static TOKENS: LazyLock<[String; 2]> = LazyLock::new(|| ["alice", "bob"].map(|name| token(name, json!({}))));

/// Policies, a cache key, an API and the requests of two callers.
#[derive(Clone, Debug)]
struct Case {
    policies: String,
    key: &'static str,
    kind: Kind,
    api: Routes,
    has_default: bool,
    requests: Vec<Parts>,
}

fn cases() -> impl Strategy<Value = Case> {
    let api = [Routes::AsTheStore, Routes::Wider, Routes::Mixed, Routes::Narrower];
    let api = (select(&KINDS[..]), select(api.to_vec()), prop::bool::weighted(0.3));
    (policies(), select(&KEYS[..]), api, requests()).prop_map(
        |(policies, key, (kind, api, has_default), requests)| Case {
            policies,
            key,
            kind,
            api,
            has_default,
            requests,
        },
    )
}

const KINDS: [Kind; 4] = [Kind::Rest, Kind::Http1, Kind::Http2, Kind::Simple];

/// An HTTP API with wider routes than the store, under a key with the route but without the method.
fn wider_cases() -> impl Strategy<Value = Case> {
    let keys = [
        "$request.header.Authorization,$context.routeKey",
        "$request.header.Authorization,$context.routeKey,$context.path",
    ];
    (cases(), select(keys.to_vec()), select(&KINDS[1..]), any::<bool>()).prop_map(
        |(case, key, kind, is_mixed)| {
            let api = if is_mixed { Routes::Mixed } else { Routes::Wider };
            let policies = case.policies
                + "permit (principal, action in [C::Action::\"get /a\", C::Action::\"get /e\"], resource);";
            Case { policies, key, kind, api, has_default: false, ..case }
        },
    )
}

/// Sends the requests through the cache. `is_misread`: as if each route of the API had the method of the request.
fn play(case: &Case, is_misread: bool) -> Result<(), TestCaseError> {
    let Case { policies, key, kind, api, has_default, requests } = case;
    let (key, kind, api, has_default) = (*key, *kind, *api, *has_default);
    let has_default = has_default && !matches!(kind, Kind::Rest);
    let bundle = open(policies, has_default);
    let cache_key: CacheKey = key.parse().unwrap();
    // The function refuses to start with these.
    let is_simple = matches!(kind, Kind::Simple);
    prop_assume!(!is_simple || cache_key.through(RouteKey::OneMethod).scope() != CacheScope::Api);
    let form = if is_simple { SimpleResponses::Enabled } else { SimpleResponses::Disabled };
    // If the store has `$default`, additional routes of the API go to it. `check --template` reports them.
    let api = if has_default { Routes::AsTheStore } else { api };

    let gate = Gate::with_pinned_keys(bundle.clone());
    let mut cache: HashMap<String, (Value, bool)> = HashMap::new();
    let mut known: HashMap<(usize, bool), Session> = HashMap::new();
    for (verb, template, is_seven, query, header, is_office, caller) in requests.iter().copied() {
        let (template, of_store) = TEMPLATES[template];
        let id = if is_seven { "7" } else { "8" };
        let path = if template == "$default" { "/z".to_owned() } else { template.replace("{id}", id) };
        // Requests that no other route takes go to `$default`.
        let (template, takes) = match taken_by(api, verb, of_store) {
            Some(takes) if template != "$default" => (template, takes),
            _ if has_default => ("$default", "ANY"),
            _ => continue,
        };
        let mut request = Request::new(&TOKENS[caller], verb, template, &path);
        request.takes = Some(takes);
        request.query = QUERIES[query];
        if template.contains("{id}") {
            request.parameters = json!({"id": id});
        }
        if header > 0 {
            request.headers = json!({"X-A": header.to_string()});
        }
        let address = if is_office { "10.1.2.3" } else { "192.0.2.1" };
        let Some(of_request) = key_of(key, kind, &request, address, caller) else { continue };
        let called_by = request.route_key();
        if is_misread {
            request.takes = None;
        }
        let mut event = match kind {
            Kind::Rest => request.rest(),
            Kind::Http1 => request.http1(),
            Kind::Http2 | Kind::Simple => request.http2(),
        };
        let place = if event.get("routeArn").is_some() { "http" } else { "identity" };
        event["requestContext"][place]["sourceIp"] = json!(address);

        let call = Call::from_event(event.clone()).unwrap();
        let fresh = session(&call, &bundle, UnixTime::from_seconds(ISSUED_AT + 1)).unwrap();
        let outcome = |cache_key: &CacheKey, session: &Session| {
            let outcome = session.authorize(&call, cache_key).unwrap();
            let response = outcome.respond(form);
            // The text that was written before is for the same answer.
            let written = session.respond(&call, &outcome, form);
            assert_eq!(serde_json::to_string(&written).unwrap(), serde_json::to_string(&response).unwrap());
            let route = outcome.route.as_ref().map(ToString::to_string);
            let is_whole = match outcome.breadth {
                Breadth::Method => true,
                Breadth::Api { left_out, harmed, .. } => (left_out, harmed) == (0, 0),
                Breadth::Fallback(_) => false,
            };
            let response = serde_json::to_value(response).unwrap();
            (response, outcome.decision.clone(), route, outcome.dropped, is_whole)
        };
        for (under, is_alone) in [(&cache_key, false), (&CacheKey::None, true)] {
            let known = known.entry((caller, is_alone)).or_insert_with(|| fresh.afresh());
            prop_assert_eq!(outcome(under, known), outcome(under, &fresh.afresh()));
        }
        // The same call in Cedar's terms.
        let alone = fresh.afresh().authorize(&call, &CacheKey::None).unwrap().decision.clone();
        match fresh.authorization_request_of_call(&call) {
            Ok(PrincipalRequest { principal, request }) => {
                prop_assert_eq!(gate.is_authorized(&principal, &request).unwrap(), alone);
            }
            Err(reason) => prop_assert_eq!(Decision::deny(reason), alone),
        }
        let answer = |cache_key: &CacheKey| {
            let (response, _, _, _, is_whole) = outcome(cache_key, &fresh.afresh());
            (response, is_whole)
        };
        let arn = event.get("routeArn").or(event.get("methodArn")).unwrap().as_str().unwrap();
        let alone = lets_through(&answer(&CacheKey::None).0, arn);
        let (kept, is_whole) = cache.entry(of_request).or_insert_with(|| answer(&cache_key));
        let cached = lets_through(kept, arn);
        let said = format!("{verb} {path} by {} of {kind:?} under {key}\n{policies}", called_by);
        prop_assert!(!cached || alone, "false Allow: {said}");

        let Ok(id) = bundle.routes().get(Some(verb), template) else { continue };
        let bundled = bundle.route(id).unwrap();
        let route = bundled.route;
        let of_route = cache_key.through(call.route_key());
        let mut reads = bundled.reads.iter();
        // `ANY` and `$default` of an HTTP API name no method, but the store may ask for it.
        let names_method = matches!(kind, Kind::Rest) || takes != "ANY" || key.contains("httpMethod");
        let of_one_route =
            !key.contains("routeKey") || names_method || ["/b", "$default"].contains(&template);
        let is_cacheable =
            of_one_route && reads.all(|input| !input.matters_to(route) || of_route.covers(input));
        // A policy for the whole API names the methods that API Gateway documents.
        let is_named = verb != "PURGE" || is_simple;
        prop_assert!(cached || !alone || !is_cacheable || !*is_whole || !is_named, "false Deny: {said}");
    }
    Ok(())
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, max_shrink_time: 20_000, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(150))]

    #[test]
    fn whatever_policies_read_the_cache_answers_as_a_call_alone(case in cases()) {
        play(&case, false)?;
    }
}

proptest! {
    #![proptest_config(config(80))]

    #[test]
    fn and_where_the_routes_of_the_api_are_wider_than_those_of_the_store(case in wider_cases()) {
        play(&case, false)?;
    }
}

#[test]
fn to_take_the_route_key_of_any_method_for_a_method_is_found_wrong() {
    let mut runner = TestRunner::new_with_rng(
        ProptestConfig { max_shrink_iters: 0, ..config(300) },
        TestRng::deterministic_rng(RngAlgorithm::ChaCha),
    );
    let failure = runner.run(&wider_cases(), |case| play(&case, true)).unwrap_err().to_string();
    assert!(failure.contains("false Allow"), "{failure}");
}

/// No IAM statement for the whole API names a method like this one, but a boolean names none.
#[test]
fn a_simple_response_needs_no_pattern() {
    let case = Case {
        policies: "permit (principal, action, resource);".to_owned(),
        key: "$request.header.Authorization,$context.routeKey",
        kind: Kind::Simple,
        api: Routes::Wider,
        has_default: false,
        requests: vec![("PURGE", 1, false, 0, 0, false, 0), ("GET", 1, false, 0, 0, false, 0)],
    };
    play(&case, false).unwrap();
}
