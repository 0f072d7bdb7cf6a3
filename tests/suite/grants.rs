//! Grants under API Gateway's cache, compared with the oracle.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use cedar_authorizer::bundle::{Bundle, DevelopmentKeys, StoreFiles};
use cedar_authorizer::decide::outcome::Breadth;
use cedar_authorizer::gateway::arn::MethodArn;
use cedar_authorizer::gateway::cache_key::CacheKey;
use cedar_authorizer::gateway::call::Call;
use cedar_authorizer::gateway::response::SimpleResponses;
use cedar_authorizer::gateway::route::{Route, RouteId};
use cedar_authorizer::grant::{ApiGrant, Grant, MAX_BYTES, Scope, Selection, Separation};
use cedar_authorizer::store::finding::{Code, Finding};
use cedar_authorizer::store::{Store, build, directory};
use cedar_authorizer::time::UnixTime;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRunner};
use serde_json::{Value, json};

use crate::gateway::Request;
use crate::oracle::{Api, AuthorizerCache, NotResource, arn, passes, readings, requests, route_tables};
use crate::world::{ISSUED_AT, answer_under, sample_bundle, sample_store, token};

const API: &str = "arn:aws:execute-api:us-east-1:123456789012:abcdef123/prod/";

fn routes(table: &[(String, String)]) -> Vec<Route> {
    let action = "Action::\"any\"".parse().unwrap();
    table
        .iter()
        .map(|(verb, template)| Route::new(&verb.to_lowercase(), template, &action).unwrap())
        .collect()
}

/// The answer of the function.
fn response(grant: &Grant) -> Value {
    json!({
        "principalId": "p",
        "policyDocument": {"Version": "2012-10-17", "Statement": grant},
    })
}

/// Methods and paths, of routes or of requests.
type Pairs = Vec<(String, String)>;

/// A table of routes; then, several times, which of them are allowed, and the requests of one caller.
type Case = (Pairs, Vec<(Vec<bool>, Pairs)>);

fn cases() -> impl Strategy<Value = Case> {
    route_tables().prop_flat_map(|table| {
        let decisions = prop::collection::vec(any::<bool>(), table.len());
        let sequence = (decisions, requests(&table));
        (Just(table), prop::collection::vec(sequence, SEQUENCES_OF_A_TABLE))
    })
}

const SEQUENCES_OF_A_TABLE: usize = 25;

/// Whether all readings of a path are the same. If not, the function denies on purpose, and that is no fault
/// of a grant.
fn is_plain(path: &str) -> bool {
    let odd = ["//", "/./", "/..", "%"];
    !odd.iter().any(|text| path.contains(text))
        && !path.ends_with("/.")
        && (path == "/" || !path.ends_with('/'))
}

/// Plays the requests of a case through the cache under the key `token`.
fn play(
    case: &Case,
    is_complete: bool,
    grant: impl Fn(ApiGrant, &MethodArn) -> Grant,
) -> Result<(), TestCaseError> {
    let (table, sequences) = case;
    let api = Api::new(table.clone());
    let separation = build::separate(&routes(table), is_complete).unwrap();
    for (decisions, requests) in sequences {
        play_one(&api, &separation, is_complete, decisions, requests, &grant)?;
    }
    Ok(())
}

fn ids(routes: &[usize]) -> Vec<RouteId> {
    routes.iter().copied().map(RouteId).collect()
}

fn play_one(
    api: &Api,
    separation: &Separation,
    is_complete: bool,
    decisions: &[bool],
    requests: &Pairs,
    grant: impl Fn(ApiGrant, &MethodArn) -> Grant,
) -> Result<(), TestCaseError> {
    let allowed: Vec<usize> = (0..decisions.len()).filter(|route| decisions[*route]).collect();
    let of_routes = Grant::of_routes(API, separation, &ids(&allowed), None).unwrap();
    let exact = separation.overlaps(|_, _| false).is_empty();
    prop_assert!(!exact || of_routes.harmed.is_empty(), "{separation:#?}");
    let mut cache = AuthorizerCache::default();
    for (verb, path) in requests {
        let called = arn(verb, path);
        let answer = cache
            .get_or_call("token", || Some(response(&grant(of_routes.clone(), &called.parse().unwrap()))));
        // REST and HTTP APIs may differ, a slash at the end may lead to the same route, and an encoded path may count
        // as it is or decoded.
        let readings = readings(path);
        let taken: Vec<BTreeSet<usize>> =
            readings.iter().flatten().map(|reading| api.possible_routes(verb, reading)).collect();
        let leads_nowhere = taken.iter().any(BTreeSet::is_empty);
        let taken: BTreeSet<usize> = taken.into_iter().flatten().collect();
        let all_allowed = taken.iter().all(|route| decisions[*route]);
        for not_resource in [NotResource::Honoured, NotResource::Ignored] {
            let passed = passes(answer.as_ref(), &called, not_resource);
            prop_assert!(!passed || readings.is_some(), "false Allow, no path: {verb} {path}\n{answer:#?}");
            // API Gateway refuses such a request. But if the API has a route that is not in the store, ...
            let may_pass = !leads_nowhere || is_complete;
            prop_assert!(!passed || may_pass, "false Allow, no route: {verb} {path}\n{answer:#?}");
            prop_assert!(!passed || all_allowed, "false Allow: {verb} {path}\n{answer:#?}");
            if !taken.is_empty() && all_allowed && is_plain(path) {
                let harmed = taken.iter().any(|route| of_routes.harmed.contains(&RouteId(*route)));
                let is_known = harmed || of_routes.left_out > 0;
                prop_assert!(passed || is_known, "false Deny: {verb} {path}\n{answer:#?}");
            }
        }
    }
    Ok(())
}

type Judgement = Result<(), proptest::test_runner::TestError<Case>>;

fn judge(tables: u32, is_complete: bool, grant: impl Fn(ApiGrant, &MethodArn) -> Grant) -> Judgement {
    let config = Config {
        cases: tables,
        failure_persistence: None,
        max_shrink_time: 10_000,
        rng_algorithm: RngAlgorithm::XorShift,
        ..Config::default()
    };
    TestRunner::new(config).run(&cases(), |case| play(&case, is_complete, &grant))
}

#[test]
fn fifty_thousand_sequences_are_answered_out_of_the_cache_as_without_it() {
    let judged = judge(2_000, false, |of_routes, _| Grant::clone(&of_routes.grant));
    judged.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn and_fifty_thousand_where_the_api_has_no_other_routes() {
    let judged = judge(2_000, true, |of_routes, _| Grant::clone(&of_routes.grant));
    judged.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn what_other_authorizers_answer_is_found_wrong() {
    let everything = || -> MethodArn { format!("{API}GET/").parse().unwrap() };
    // Too narrow: only the one method ARN, so the next allowed route is denied.
    let one_method = |of_routes: ApiGrant, arn: &MethodArn| {
        if of_routes.grant.allows(arn) {
            Grant::allow(arn).unwrap_or_else(|_| Grant::deny(arn))
        } else {
            Grant::deny(arn)
        }
    };
    let failure = judge(100, true, one_method).unwrap_err().to_string();
    assert!(failure.contains("false Deny"), "{failure}");
    // Too wide: `*` as soon as anything is allowed.
    let all = |of_routes: ApiGrant, _: &MethodArn| match of_routes.allowed {
        0 => Grant::deny(&everything()),
        _ => {
            let selection = Selection { allow: ["*".to_owned()].into(), ..Selection::default() };
            Grant::of_api(API, &selection)
        }
    };
    let failure = judge(100, true, all).unwrap_err().to_string();
    assert!(failure.contains("false Allow"), "{failure}");
    // Too wide: a pattern for each route, without taking out what it matches beyond the route.
    let patterns = |of_routes: ApiGrant, _: &MethodArn| {
        let Scope::Resource(allowed) = of_routes.grant.statements()[0].scope() else { panic!() };
        let allow = allowed.iter().map(|pattern| pattern.strip_prefix(API).unwrap().to_owned()).collect();
        Grant::of_api(API, &Selection { allow, ..Selection::default() })
    };
    let failure = judge(200, true, patterns).unwrap_err().to_string();
    assert!(failure.contains("false Allow"), "{failure}");
}

/// A store with these routes. Everybody may take those with a `true` in `decisions`.
fn store_of(table: &Pairs, decisions: &[bool], is_complete: bool) -> Bundle {
    let id =
        |(verb, template): &(String, String)| format!("{:?}", format!("{} {template}", verb.to_lowercase()));
    let ids: Vec<String> = table.iter().map(id).collect();
    let schema = format!(
        "namespace C {{ entity UserGroup; entity User in [UserGroup]; entity Application;
         action {} appliesTo {{ principal: User, resource: Application, context: {{}} }}; }}",
        ids.join(", ")
    );
    let permit =
        |(id, _): (&String, &bool)| format!("permit (principal, action == C::Action::{id}, resource);\n");
    let policies: String = ids.iter().zip(decisions).filter(|(_, decision)| **decision).map(permit).collect();
    let sample = directory::read(&sample_store()).unwrap();
    let source = String::from_utf8(sample.get("identity-sources/cognito.json").unwrap().to_vec()).unwrap();
    let settings = format!(
        "[store]\nname = 'c'\nnamespace = 'C'\n[tokens]\ntype = 'access'\n[api]\ncomplete = {is_complete}\n"
    );
    let mut files = StoreFiles::default();
    for (path, text) in [
        ("store.toml", settings.as_bytes()),
        ("schema.cedarschema", schema.as_bytes()),
        ("policies/c.cedar", policies.as_bytes()),
        ("identity-sources/cognito.json", source.replace("PetStore::", "C::").as_bytes()),
        ("jwks/cognito.json", sample.get("jwks/cognito.json").unwrap()),
    ] {
        files.insert(path.to_owned(), text.to_vec());
    }
    let (store, findings) = Store::check(&files);
    let store = store.unwrap_or_else(|| panic!("{schema}\n{policies}\n{findings:#?}"));
    Bundle::open(build::bundle(&store, &files, 1).unwrap(), DevelopmentKeys::Allow).unwrap()
}

/// What the authorizer of a REST API answers, and whether that has room for everything that the caller may do.
fn ask(bundle: &Bundle, event: impl Fn(&str) -> Value) -> (Value, bool) {
    static TOKEN: LazyLock<String> = LazyLock::new(|| token("alice", json!({})));
    let call = Call::from_event(event(&TOKEN)).unwrap();
    let outcome =
        answer_under(&CacheKey::Token, &call, bundle, UnixTime::from_seconds(ISSUED_AT + 1)).unwrap();
    let answer = serde_json::to_value(outcome.respond(SimpleResponses::Disabled)).unwrap();
    (answer, matches!(outcome.breadth, Breadth::Api { left_out: 0, .. }))
}

/// The event of a TOKEN authorizer.
fn token_event(verb: &str, path: &str) -> impl Fn(&str) -> Value {
    let called = arn(verb, path);
    move |token| json!({"type": "TOKEN", "authorizationToken": token, "methodArn": called})
}

/// The event of a REQUEST authorizer, with the parameters as sent. None: API Gateway has no route for it.
fn request_event(api: &Api, verb: &str, path: &str) -> Option<impl Fn(&str) -> Value> {
    let (template, parameters) = api.template_and_parameters(verb, path)?;
    let (called, verb, path) = (arn(verb, path), verb.to_owned(), path.to_owned());
    Some(move |token: &str| {
        json!({
            "type": "REQUEST", "methodArn": called, "resource": template, "path": path, "httpMethod": verb,
            "headers": {"Authorization": token}, "pathParameters": parameters,
            "requestContext": {"resourcePath": template, "httpMethod": verb},
        })
    })
}

fn allows(answer: &Value, verb: &str, path: &str) -> bool {
    passes(Some(answer), &arn(verb, path), NotResource::Ignored)
}

proptest! {
    #![proptest_config(Config { cases: 400, failure_persistence: None, max_shrink_time: 20_000, ..Config::default() })]

    /// No client can send a question mark as part of a path, so there is no pattern for one.
    #[test]
    fn whatever_a_path_is_spelt_like_the_cache_answers_what_the_function_would(
        (table, decisions, requests) in route_tables().prop_flat_map(|table| {
            let decisions = prop::collection::vec(prop::bool::weighted(0.7), table.len());
            let requests = requests(&table);
            (Just(table), decisions, requests)
        }),
        is_complete in any::<bool>(),
        is_token in any::<bool>(),
    ) {
        let bundle = store_of(&table, &decisions, is_complete);
        let api = Api::new(table);
        let answer = |verb: &str, path: &str| if is_token { Some(ask(&bundle, token_event(verb, path))) } else { request_event(&api, verb, path).map(|event| ask(&bundle, event)) };
        let (first_verb, first_path) = &requests[0];
        let Some((kept, is_whole)) = answer(first_verb, first_path) else { return Ok(()) };
        let first_passes = allows(&kept, first_verb, first_path);
        for (verb, path) in requests.iter().filter(|(_, path)| !path.contains('?')) {
            // API Gateway refuses this request without asking the authorizer.
            if is_complete && api.possible_routes(verb, path).is_empty() {
                continue;
            }
            let Some((answer, _)) = answer(verb, path) else { continue };
            let alone = allows(&answer, verb, path);
            let cached = allows(&kept, verb, path);
            prop_assert!(!cached || alone, "false Allow: {} {} after {}\n{:#?}", verb, path, first_path, kept);
            // The answer to a denied call denies its ARN, which may be a pattern.
            prop_assert!(
                cached || !alone || !first_passes || !is_whole,
                "false Deny: {} {} after {}\n{:#?}", verb, path, first_path, kept
            );
        }
    }
}

// Spellings that got through according to an outside review.
#[test]
fn a_kept_answer_allows_no_spelling_that_the_function_denies() {
    let pairs = |routes: &[&str]| -> Pairs {
        let pair = |route: &&str| {
            route.split_once(' ').map(|(verb, template)| (verb.to_owned(), template.to_owned()))
        };
        routes.iter().filter_map(pair).collect()
    };
    for is_complete in [false, true] {
        let pets = store_of(&pairs(&["GET /pets/{petId}", "GET /pets"]), &[true, true], is_complete);
        let root = store_of(&pairs(&["GET /{x}", "GET /"]), &[true, false], is_complete);
        for (bundle, asked, denied) in [
            (
                &pets,
                "/pets/7",
                &[
                    "/pets/x%2f..%2f..%2fadmin",
                    "/pets/..%5c..",
                    "/pets/7%2ftoys",
                    "/pets/7%2Ftoys",
                    "/pets/x%252f%252e%252e",
                    "/pets/7%00",
                    "/pets/7%0A",
                    "/pets/a\\b",
                    "/pets/a#b",
                    "/pets/a%3Fb",
                    "/pets/a%c0%afb",
                    "/pets/a%E0%80%afb",
                    "/pets/%2e%2e",
                    "/pets/..;a",
                    "/pets/%3Ba",
                ][..],
            ),
            (&root, "/x", &["/%2f", "/%2F", "/%2e", "/"]),
        ] {
            let ask = |path: &str| ask(bundle, token_event("GET", path)).0;
            let kept = ask(asked);
            assert!(allows(&kept, "GET", asked), "{asked}");
            for path in denied {
                assert!(!allows(&kept, "GET", path), "{path} {is_complete}");
                assert!(!allows(&ask(path), "GET", path), "{path} {is_complete}");
            }
        }
        // A path that is merely encoded is not odd.
        let ask = |path: &str| ask(&pets, token_event("GET", path)).0;
        let kept = ask("/pets/7");
        for path in [
            "/pets/M%C3%BCsli",
            "/pets/a%20b",
            "/pets/user%40example.com",
            "/pets/%E2%80%99",
            "/pets/7/",
            "/pets/%FF",
            "/pets/a;b",
        ] {
            assert!(allows(&kept, "GET", path) && allows(&ask(path), "GET", path), "{path}");
        }
    }
}

// An HTTP API may prefer the template with more segments, or compare level by level. The guide does not say which.
#[test]
fn of_two_proxies_that_could_take_a_path_both_must_be_allowed() {
    let table: Pairs = [("ANY", "/a/{proxy+}"), ("ANY", "/{x}/b/{proxy+}"), ("ANY", "/{proxy+}")]
        .map(|(verb, template)| (verb.to_owned(), template.to_owned()))
        .into();
    for is_complete in [false, true] {
        let separation = build::separate(&routes(&table), is_complete).unwrap();
        for (allowed, passing, denied) in [
            (vec![0, 1, 2], &["/a/b/c", "/a/x", "/x/b/c", "/z"][..], &[][..]),
            (vec![0, 2], &["/a/x", "/z"], &["/a/b/c", "/x/b/c"]),
            (vec![1, 2], &["/x/b/c", "/z"], &["/a/b/c", "/a/x"]),
            (vec![0, 1], &["/a/b/c", "/a/x", "/x/b/c"], &["/z"]),
            (vec![0], &["/a/x"], &["/a/b/c", "/x/b/c", "/z"]),
            (vec![1], &["/x/b/c"], &["/a/b/c", "/a/x", "/z"]),
        ] {
            let grant = Grant::of_routes(API, &separation, &ids(&allowed), None).unwrap().grant;
            for (paths, expected) in [(passing, true), (denied, false)] {
                for path in paths {
                    assert_eq!(
                        grant.allows(&arn("GET", path).parse().unwrap()),
                        expected,
                        "{path} {allowed:?}"
                    );
                }
            }
        }
    }
}

/// Whether a request gets through, with API Gateway's cache and without it.
fn compare(
    bundle: &Bundle,
    cache: &mut AuthorizerCache,
    key: &str,
    event: &Value,
    called: &str,
) -> (bool, bool) {
    let call = Call::from_event(event.clone()).unwrap();
    let now = UnixTime::from_seconds(ISSUED_AT + 1);
    let answer = |cache_key: &CacheKey| {
        let outcome = answer_under(cache_key, &call, bundle, now).ok()?;
        Some(serde_json::to_value(outcome.respond(SimpleResponses::Disabled)).unwrap())
    };
    let alone = passes(answer(&CacheKey::None).as_ref(), called, NotResource::Honoured);
    let kept = cache.get_or_call(key, || answer(&CacheKey::Token));
    (passes(kept.as_ref(), called, NotResource::Honoured), alone)
}

proptest! {
    #![proptest_config(Config { cases: 60, failure_persistence: None, ..Config::default() })]

    #[test]
    fn every_walk_through_the_sample_store_is_answered_as_with_no_cache(
        walk in prop::collection::vec((0..PEOPLE.len(), 0..4usize), 1..40),
        kind in 0..4usize,
    ) {
        static TOKENS: LazyLock<Vec<String>> =
            LazyLock::new(|| PEOPLE.iter().map(|name| token(name, json!({}))).collect());
        static BUNDLE: LazyLock<Bundle> = LazyLock::new(sample_bundle);
        let mut cache = AuthorizerCache::default();
        for (person, route) in walk {
            let (verb, template, path) =
                [("GET", "/", "/"), ("GET", "/pets", "/pets"), ("POST", "/pets", "/pets"), ("GET", "/pets/{petId}", "/pets/7")][route];
            let request = Request::new(&TOKENS[person], verb, template, path);
            let event = [request.rest(), request.token(), request.http1(), request.http2()][kind].clone();
            let arn = event.get("methodArn").or(event.get("routeArn")).unwrap().as_str().unwrap().to_owned();
            let (cached, alone) = compare(&BUNDLE, &mut cache, PEOPLE[person], &event, &arn);
            prop_assert_eq!(cached, alone, "{} {} {}", PEOPLE[person], verb, path);
        }
    }
}

/// Everybody in `personas.toml`.
const PEOPLE: [&str; 7] = ["alice", "bob", "carol", "dave", "erin", "mallory", "olivia"];

/// The sample store with a thousand more routes: resources with sub-resources, as in real APIs.
fn thousand_routes(is_complete: bool) -> (Store, Vec<Finding>, Vec<(String, String)>) {
    let mut files = directory::read(&sample_store()).unwrap();
    let mut table = Vec::new();
    for number in 0..250 {
        for (verb, template) in [
            ("get", format!("/r{number}")),
            ("post", format!("/r{number}")),
            ("get", format!("/r{number}/{{id}}")),
            ("get", format!("/r{number}/{{id}}/parts/{{part}}")),
        ] {
            table.push((verb.to_owned(), template));
        }
    }
    let actions: Vec<String> =
        table.iter().map(|(verb, template)| format!("{:?}", format!("{verb} {template}"))).collect();
    let text = |name: &str| String::from_utf8(files.get(name).unwrap().to_vec()).unwrap();
    let mut schema = text("schema.cedarschema");
    schema.truncate(schema.rfind('}').unwrap());
    schema += &format!(
        "action {} appliesTo {{ principal: User, resource: Application, context: {{ token: Token }} }};\n}}",
        actions.join(", ")
    );
    let settings = text("store.toml") + if is_complete { "\n[api]\ncomplete = true\n" } else { "" };
    files.insert("schema.cedarschema".to_owned(), schema.into_bytes());
    files.insert("store.toml".to_owned(), settings.into_bytes());
    let (store, findings) = Store::check(&files);
    (store.unwrap_or_else(|| panic!("{findings:#?}")), findings, table)
}

#[test]
fn a_thousand_routes_stay_within_the_limits_or_fall_back_and_check_had_said_which() {
    for is_complete in [false, true] {
        let (store, findings, _) = thousand_routes(is_complete);
        let said = |code: Code| findings.iter().any(|finding| finding.code == code);
        assert!(said(Code::GrantTooLarge), "{is_complete}");
        // Between `/r/{id}` and `/r/{id}/parts/{part}` there are paths without a route.
        assert_eq!(said(Code::GrantInexact), !is_complete);

        let separation = build::separate(store.routes.routes(), is_complete).unwrap();
        let all: Vec<usize> = (0..store.routes.routes().len()).collect();
        let some = |each: usize| all.iter().copied().filter(|route| route % each == 1).collect::<Vec<_>>();
        let everybody = Grant::of_routes(API, &separation, &ids(&all), None).unwrap();
        assert_eq!(everybody.left_out == 0, is_complete, "all routes of a complete API are one pattern");
        for (allowed, fits) in [(some(2), false), (some(100), true), (vec![700], true), (vec![], true)] {
            for requested in [None, allowed.last().copied()] {
                let grant =
                    Grant::of_routes(API, &separation, &ids(&allowed), requested.map(RouteId)).unwrap();
                assert!(grant.grant.size() <= MAX_BYTES);
                assert_eq!(grant.left_out == 0, fits, "{is_complete} {}", allowed.len());
                // The route that was asked for is always among them, and a denied one never is.
                for (index, route) in store.routes.routes().iter().enumerate() {
                    let path = route
                        .template
                        .to_string()
                        .replace("{id}", "7")
                        .replace("{part}", "8")
                        .replace("{petId}", "9");
                    let called: MethodArn = arn(&route.method.name().to_uppercase(), &path).parse().unwrap();
                    let passes = grant.grant.allows(&called);
                    assert!(!passes || allowed.contains(&index), "{route}");
                    assert!(passes || requested != Some(index), "{route}");
                }
            }
        }
    }
}

/// A store whose policies depend on the route, but not on anything else in the call.
fn constant_store() -> Bundle {
    let mut files = StoreFiles::default();
    let sample = directory::read(&sample_store()).unwrap();
    for path in ["identity-sources/cognito.json", "jwks/cognito.json"] {
        files.insert(path.to_owned(), sample.get(path).unwrap().to_vec());
    }
    let settings = "[store]\nname = 'c'\nnamespace = 'C'\n[tokens]\ntype = 'access'\n
        [[routes]]\nmethod = 'GET'\npath = '/shop'\naction = 'read'\nresource = 'C::Shop::\"one\"'\nattributes = { open = 'true' }\n
        [[routes]]\nmethod = 'GET'\npath = '/depot'\naction = 'read'\nresource = 'C::Shop::\"two\"'\nattributes = { open = 'false' }\n";
    let schema = "namespace C {
        entity UserGroup; entity User in [UserGroup]; entity Application; entity Shop = { open?: Bool };
        action read appliesTo { principal: User, resource: Shop };
        action \"get /a\", \"post /a\", \"any /b\", \"get /a/{id}\" appliesTo { principal: User, resource: Application,
            context: { http: { method: String, route: String, path?: String }, pathParameters?: { id?: String } } };
    }";
    let policies = "
        @id(\"open\") permit (principal, action == C::Action::\"read\", resource)
            when { resource has open && resource.open };
        @id(\"gets\") permit (principal, action, resource is C::Application) when { context.http.method == \"GET\" };
        @id(\"no-ids\") forbid (principal, action == C::Action::\"get /a/{id}\", resource)
            when { !(context has pathParameters) };
    ";
    let source = String::from_utf8(sample.get("identity-sources/cognito.json").unwrap().to_vec()).unwrap();
    files
        .insert("identity-sources/cognito.json".to_owned(), source.replace("PetStore::", "C::").into_bytes());
    for (path, text) in
        [("store.toml", settings), ("schema.cedarschema", schema), ("policies/c.cedar", policies)]
    {
        files.insert(path.to_owned(), text.as_bytes().to_vec());
    }
    let (store, findings) = Store::check(&files);
    let store = store.unwrap_or_else(|| panic!("{findings:#?}"));
    Bundle::open(build::bundle(&store, &files, 1).unwrap(), DevelopmentKeys::Allow).unwrap()
}

#[test]
fn each_route_is_decided_as_a_call_of_its_own_would_be() {
    let bundle = constant_store();
    let token = token("alice", json!({}));
    let routes = [
        ("GET", "/shop", "/shop", true),
        ("GET", "/depot", "/depot", false),
        ("GET", "/a", "/a", true),
        ("POST", "/a", "/a", false),
        // These depend on the call: on the method of `any`, and on whether there are parameters.
        ("GET", "/b", "/b", true),
        ("GET", "/a/{id}", "/a/7", true),
    ];
    for first in &routes {
        let mut cache = AuthorizerCache::default();
        for (verb, template, path, allowed) in [first].into_iter().chain(&routes) {
            let parameters = if *path == "/a/7" { json!({"id": "7"}) } else { json!({}) };
            let event = Request { parameters, ..Request::new(&token, verb, template, path) }.rest();
            let arn = event["methodArn"].as_str().unwrap().to_owned();
            let (cached, alone) = compare(&bundle, &mut cache, "token", &event, &arn);
            assert_eq!(alone, *allowed, "{verb} {path}");
            let depends_on_the_call = ["/b", "/a/7"].contains(path);
            assert_eq!(cached, *allowed && !depends_on_the_call, "{verb} {path} after {first:?}");
        }
    }
}
