//! Random policies and calls under every kind of cache key: what comes out of the cache is what a call of its own
//! would have got.

use std::collections::HashMap;
use std::sync::LazyLock;

use cedar_authorizer::authorize::authorize;
use cedar_authorizer::bundle::{Bundle, DevelopmentKeys, build};
use cedar_authorizer::cache_key::CacheKey;
use cedar_authorizer::call::Call;
use cedar_authorizer::remembered::Remembered;
use cedar_authorizer::response::{Response, SimpleResponses};
use cedar_authorizer::source::directory;
use cedar_authorizer::store::{Store, StoreFiles};
use cedar_authorizer::time::UnixTime;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::gateway::Request;
use crate::oracle::{NotResource, passes};
use crate::world::{ISSUED_AT, sample_store, token, verified};

const SCHEMA: &str = "namespace C {
    entity UserGroup; entity User in [UserGroup]; entity Application; entity Thing = { of?: String };
    type Call = {
        token: { username?: String },
        http: { method: String, route: String, path?: String, sourceIp?: ipaddr, headers: { \"x-a\"?: String } },
        pathParameters?: { id?: String },
        queryStringParameters?: { q?: String, r?: String },
    };
    action see appliesTo { principal: User, resource: Thing, context: Call };
    action \"get /a\", \"post /a\", \"any /b\", \"get /a/{id}\"
        appliesTo { principal: User, resource: Application, context: Call };
}";

const SETTINGS: &str = "[store]\nname = 'c'\nnamespace = 'C'\n[tokens]\ntype = 'access'\n
    [[routes]]\nmethod = 'GET'\npath = '/c'\naction = 'see'\nresource = 'C::Thing::\"c\"'\nattributes = { of = '7' }\n
    [[routes]]\nmethod = 'GET'\npath = '/d/{id}'\naction = 'see'\nresource = 'C::Thing::\"{id}\"'\nattributes = { of = '{id}' }\n";

/// Everything that a policy can ask of a call, and some that it can ask of the token.
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

const ACTIONS: [&str; 7] = [
    "action",
    "action == C::Action::\"get /a\"",
    "action in [C::Action::\"get /a\", C::Action::\"post /a\"]",
    "action == C::Action::\"any /b\"",
    "action == C::Action::\"get /a/{id}\"",
    "action == C::Action::\"see\"",
    "action in [C::Action::\"see\", C::Action::\"any /b\"]",
];

/// Whether it permits, its action, and two conditions, each perhaps negated, joined by `and` or `or`.
type Policy = (bool, &'static str, ((&'static str, bool), (&'static str, bool), bool));

fn policies() -> impl Strategy<Value = String> {
    let atom = (select(&ATOMS[..]), any::<bool>());
    let condition = (atom.clone(), atom, any::<bool>());
    let policy = (any::<bool>(), select(&ACTIONS[..]), condition);
    prop::collection::vec(policy, 1..5).prop_map(|policies| {
        let print = |(permits, action, ((a, not_a), (b, not_b), and)): Policy| {
            // The attribute is one of things alone.
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

fn open(policies: &str) -> Bundle {
    let sample = directory::read(&sample_store()).unwrap();
    let mut files = StoreFiles::default();
    let source = String::from_utf8(sample.get("identity-sources/cognito.json").unwrap().to_vec()).unwrap();
    for (path, content) in [
        ("identity-sources/cognito.json", source.replace("PetStore::", "C::").as_bytes()),
        ("jwks/cognito.json", sample.get("jwks/cognito.json").unwrap()),
        ("store.toml", SETTINGS.as_bytes()),
        ("schema.cedarschema", SCHEMA.as_bytes()),
        ("policies/p.cedar", policies.as_bytes()),
    ] {
        files.insert(path.to_owned(), content.to_vec());
    }
    let (store, findings) = Store::check(&files);
    let store = store.unwrap_or_else(|| panic!("{policies}\n{findings:#?}"));
    Bundle::open(build(&store, &files, 1).unwrap(), DevelopmentKeys::Allow).unwrap()
}

/// A request, as its parts: route, id, query, header, address, caller.
type Parts = (usize, bool, usize, usize, bool, usize);

fn requests() -> impl Strategy<Value = Vec<Parts>> {
    prop::collection::vec(
        (0..ROUTES.len(), any::<bool>(), 0..4usize, 0..3usize, any::<bool>(), 0..2usize),
        1..25,
    )
}

const ROUTES: [(&str, &str, bool); 7] = [
    ("GET", "/a", false),
    ("POST", "/a", false),
    ("GET", "/b", false),
    ("POST", "/b", false),
    ("GET", "/a/{id}", true),
    ("GET", "/c", false),
    ("GET", "/d/{id}", true),
];
const QUERIES: [&[(&str, &str)]; 4] = [&[], &[("q", "1")], &[("r", "x")], &[("q", "2"), ("r", "x")]];

/// The key, and what API Gateway makes of it for a request; `None`: the request lacks an identity source.
const KEYS: [&str; 6] = [
    "token",
    "method.request.header.Authorization,method.request.header.X-A",
    "method.request.header.Authorization,context.identity.sourceIp",
    "method.request.header.Authorization,method.request.querystring.q",
    "method.request.header.Authorization,context.httpMethod,context.path",
    "method.request.header.Authorization,context.httpMethod,context.path,method.request.querystring.r,context.identity.sourceIp",
];

fn key_of(key: &str, event: &Value, caller: usize) -> Option<String> {
    let mut values = vec![caller.to_string()];
    for source in key.split(',').skip(1) {
        let value = match source {
            "method.request.header.X-A" => &event["headers"]["X-A"],
            "context.identity.sourceIp" => &event["requestContext"]["identity"]["sourceIp"],
            "method.request.querystring.q" => &event["queryStringParameters"]["q"],
            "method.request.querystring.r" => &event["queryStringParameters"]["r"],
            "context.httpMethod" => &event["httpMethod"],
            "context.path" => &event["path"],
            other => panic!("{other}"),
        };
        values.push(value.as_str()?.to_owned());
    }
    Some(values.join("\n"))
}

static TOKENS: LazyLock<[String; 2]> = LazyLock::new(|| ["alice", "bob"].map(|name| token(name, json!({}))));

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, max_shrink_time: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_policies_read_the_cache_answers_as_a_call_alone(
        policies in policies(),
        key in select(&KEYS[..]),
        requests in requests(),
    ) {
        let bundle = open(&policies);
        let cache_key: CacheKey = key.parse().unwrap();
        let mut cache: HashMap<String, Value> = HashMap::new();
        let (known, known_alone): ([Remembered; 2], [Remembered; 2]) = Default::default();
        for (route, is_seven, query, header, is_office, caller) in requests {
            let (verb, template, has_id) = ROUTES[route];
            let id = if is_seven { "7" } else { "8" };
            let path = template.replace("{id}", id);
            let mut request = Request::new(&TOKENS[caller], verb, template, &path);
            request.query = QUERIES[query];
            if has_id {
                request.parameters = json!({"id": id});
            }
            if header > 0 {
                request.headers = json!({"X-A": header.to_string()});
            }
            let mut event = request.rest();
            event["requestContext"]["identity"]["sourceIp"] = json!(if is_office { "10.1.2.3" } else { "192.0.2.1" });
            let Some(of_request) = key_of(key, &event, caller) else { continue };

            let call = Call::from_event(event.clone()).unwrap();
            let token = verified(&call, &bundle, UnixTime::from_seconds(ISSUED_AT + 1)).unwrap();
            let outcome = |cache_key: &CacheKey, remembered: &Remembered| {
                let outcome = authorize(&call, &bundle, &token, cache_key, remembered).unwrap();
                let response = Response::new(&outcome, 1, SimpleResponses::Disabled);
                // What was written before is for the same answer.
                let written = outcome.response.get_or_init(|| response.clone());
                assert_eq!(serde_json::to_string(written).unwrap(), serde_json::to_string(&response).unwrap());
                let route = outcome.route.as_ref().map(ToString::to_string);
                (serde_json::to_value(response).unwrap(), outcome.decision.clone(), route, outcome.dropped)
            };
            for (under, remembered) in [(&cache_key, &known[caller]), (&CacheKey::None, &known_alone[caller])] {
                prop_assert_eq!(outcome(under, remembered), outcome(under, &Remembered::default()));
            }
            let answer = |cache_key: &CacheKey| outcome(cache_key, &Remembered::default()).0;
            let arn = event["methodArn"].as_str().unwrap();
            let alone = passes(Some(&answer(&CacheKey::None)), arn, NotResource::Honoured);
            let kept = cache.entry(of_request).or_insert_with(|| answer(&cache_key));
            let cached = passes(Some(kept), arn, NotResource::Honoured);
            prop_assert!(!cached || alone, "false Allow: {verb} {path} under {key}\n{policies}");
            let index = bundle.routes().get(Some(verb), template).unwrap();
            let route = &bundle.routes().routes()[index];
            let mut reads = bundle.reads(index).unwrap().iter();
            let is_cacheable = reads.all(|input| !input.matters_to(route) || cache_key.covers(input));
            prop_assert!(cached || !alone || !is_cacheable, "false Deny: {verb} {path} under {key}\n{policies}");
        }
    }
}
