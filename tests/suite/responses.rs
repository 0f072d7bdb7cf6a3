//! Responses and their limit of 8 KB: for any token and any store, none is longer, and none lacks what it must say.

use std::time::Duration;

use cedar_authorizer::bundle::{DevelopmentKeys, StoreFiles};
use cedar_authorizer::function::config::Config;
use cedar_authorizer::function::lambda::{Answer, Function};
use cedar_authorizer::function::source::DEFAULT_CACHE_BYTES;
use cedar_authorizer::function::source::current::{Audience, Conditions};
use cedar_authorizer::function::telemetry::settings::Settings;
use cedar_authorizer::gateway::cache_key::CacheKey;
use cedar_authorizer::gateway::response::{MAX_BYTES, SimpleResponses};
use cedar_authorizer::reason::Reason;
use cedar_authorizer::store::{Store, build};
use cedar_authorizer::time::UnixTime;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::gateway::Request;
use crate::oracle::{NotResource, passes};
use crate::signing::SigningKey;
use crate::world::{EXPIRES_AT, ISSUED_AT};

const CLAIMS: [&str; 3] = ["alpha", "beta", "gamma"];

/// A store made for a test, and a function that uses it.
struct World {
    runtime: tokio::runtime::Runtime,
    function: Function,
    key: SigningKey,
}

#[derive(Clone, Copy)]
struct Size {
    /// The number of routes. Everybody may call every other one.
    routes: usize,
    /// The number of policies. All of them allow `/r0`.
    policies: usize,
    /// The length of the id of each policy, in characters.
    policy_id: usize,
    /// The length of the action of `/r0`, in characters.
    action: usize,
}

const SMALL: Size = Size { routes: 4, policies: 1, policy_id: 10, action: 10 };

impl World {
    fn new(size: Size, cache_key: CacheKey, simple_responses: SimpleResponses) -> Self {
        let key = SigningKey::p256();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.bundle");
        std::fs::write(&path, bundle_of(size, &key)).unwrap();
        let config = Config {
            bundle_uri: format!("file://{}", path.display()).parse().unwrap(),
            fallback_uri: None,
            shadow_uri: None,
            tenancy: None,
            conditions: Conditions {
                name: None,
                audience: Audience::NoTenant,
                key_trust: DevelopmentKeys::Refuse.into(),
                public_keys: None,
                min_revision: 0,
                trusted_issuers: None,
                cache_key,
                refresh: Duration::from_secs(3600),
                max_stale: Duration::from_secs(7200),
            },
            bundle_cache_bytes: DEFAULT_CACHE_BYTES,
            jwks_proxy: None,
            simple_responses,
            telemetry: Settings::default(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let function = runtime.block_on(Function::init(&config, now())).unwrap();
        Self { runtime, function, key }
    }

    fn token(&self, claims: &Value) -> String {
        let mut all = json!({
            "iss": "https://auth.example.com", "aud": "api", "client_id": "app", "sub": "alice",
            "iat": ISSUED_AT, "exp": EXPIRES_AT
        });
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        self.key.token(&json!({"alg": "ES256", "kid": "k"}), &all)
    }

    /// How a call ends, and the response that API Gateway gets.
    fn answer(&self, event: &Value) -> (Reason, Option<Value>) {
        let answer = self.runtime.block_on(self.function.answer(&event.to_string(), now()));
        let reason = answer.reason();
        if let Answer::Decided(outcome, _) = &answer {
            let arn = event.get("methodArn").or(event.get("routeArn")).unwrap().as_str().unwrap();
            let is_allowed = reason == Reason::AllowedByPolicy;
            assert_eq!(outcome.grant.allows(&arn.parse().unwrap()), is_allowed, "{reason}");
        }
        let Ok(response) = answer.into_response() else {
            return (reason, None);
        };
        let text = serde_json::to_string(&response).unwrap();
        assert!(text.len() <= MAX_BYTES, "{} bytes: {text}", text.len());
        (reason, Some(serde_json::from_str(&text).unwrap()))
    }
}

fn now() -> UnixTime {
    UnixTime::from_seconds(ISSUED_AT + 1)
}

fn bundle_of(size: Size, key: &SigningKey) -> Vec<u8> {
    let Size { routes, policies, policy_id, action } = size;
    let action = "a".repeat(action);
    let names: Vec<String> = (1..routes).map(|route| format!("{:?}", format!("get /r{route}/x"))).collect();
    let settings = format!(
        "[store]\nname = 'r'\nnamespace = 'R'\n[tokens]\ntype = 'access'\n\
         [response]\nclaims = ['alpha', 'beta', 'gamma']\nusage_identifier_key = 'plan'\n\
         [[routes]]\nmethod = 'GET'\npath = '/r0'\naction = '{action}'\n\
         [[routes]]\nmethod = 'GET'\npath = '/r0/{{id}}'\naction = '{action}'\n"
    );
    let schema = format!(
        "namespace R {{ entity User; entity Application; action \"{action}\", {} appliesTo \
         {{ principal: User, resource: Application }}; }}",
        names.join(", ")
    );
    let allowed: Vec<String> = names.iter().step_by(2).map(|name| format!("R::Action::{name}")).collect();
    let mut texts = format!("permit (principal, action in [{}], resource);\n", allowed.join(", "));
    for number in 0..policies {
        texts += &format!(
            "@id(\"{number:0policy_id$}\") permit (principal, action == R::Action::\"{action}\", resource);\n"
        );
    }
    let source = json!({
        "principalEntityType": "R::User",
        "configuration": {"openIdConnectConfiguration": {
            "issuer": "https://auth.example.com", "entityIdPrefix": "idp",
            "tokenSelection": {"accessTokenOnly": {"audiences": ["api"]}}
        }}
    });
    let mut files = StoreFiles::default();
    for (path, text) in [
        ("store.toml", settings),
        ("schema.cedarschema", schema),
        ("policies/r.cedar", texts),
        ("identity-sources/idp.json", source.to_string()),
        ("jwks/idp.json", json!({"keys": [key.jwk("k")]}).to_string()),
    ] {
        files.insert(path.to_owned(), text.into_bytes());
    }
    let store = Store::open(&files).unwrap_or_else(|findings| panic!("{findings:?}"));
    build::bundle(&store, &files, 1).unwrap()
}

/// The four kinds of events of a request.
fn events(token: &str, template: &str, path: &str) -> [Value; 4] {
    let mut request = Request::new(token, "GET", template, path);
    if let Some(id) = path.strip_prefix("/r0/") {
        request.parameters = json!({"id": id});
    }
    [request.rest(), request.token(), request.http1(), request.http2()]
}

fn is_allowed(event: &Value, response: &Value) -> bool {
    if let Some(is_authorized) = response.get("isAuthorized") {
        return is_authorized.as_bool().unwrap();
    }
    let arn = event.get("methodArn").or(event.get("routeArn")).unwrap().as_str().unwrap();
    passes(Some(response), arn, NotResource::Ignored)
}

const DISABLED: SimpleResponses = SimpleResponses::Disabled;

#[test]
fn a_subject_of_4500_characters_is_denied_by_name_and_never_cut() {
    for (cache_key, simple) in
        [(CacheKey::None, DISABLED), (CacheKey::Token, DISABLED), (CacheKey::None, SimpleResponses::Enabled)]
    {
        let world = World::new(SMALL, cache_key, simple);
        for end in ["a", "b"] {
            let token = world.token(&json!({"sub": "s".repeat(4_500) + end}));
            for event in events(&token, "/r0", "/r0") {
                // The second time, the token has been seen before.
                for _ in 0..2 {
                    let (reason, response) = world.answer(&event);
                    let response = response.unwrap();
                    if response.get("isAuthorized") == Some(&json!(true)) {
                        // The response has the principal once.
                        let whole = format!("R::User::\"idp|{}{end}\"", "s".repeat(4_500));
                        assert_eq!(response["context"]["principal"], whole);
                        continue;
                    }
                    assert_eq!(reason, Reason::ResponseTooLarge);
                    assert!(!is_allowed(&event, &response), "{response}");
                    assert_eq!(response["principalId"], "unknown");
                    assert_eq!(
                        response["context"],
                        json!({"decision": "deny", "reason": "response-too-large"})
                    );
                    assert_eq!(response["policyDocument"]["Statement"][0]["Effect"], "Deny");
                }
            }
        }
    }
    let world = World::new(SMALL, CacheKey::None, SimpleResponses::Enabled);
    let token = world.token(&json!({"sub": "s".repeat(9_000)}));
    let [.., http2] = events(&token, "/r0", "/r0");
    let expected = json!({
        "isAuthorized": false, "context": {"decision": "deny", "reason": "response-too-large"}
    });
    assert_eq!(world.answer(&http2), (Reason::ResponseTooLarge, Some(expected)));
}

#[test]
fn a_denial_keeps_its_reason_however_long_its_subject_is() {
    for cache_key in [CacheKey::None, CacheKey::Token] {
        let world = World::new(SMALL, cache_key, DISABLED);
        let token = world.token(&json!({"sub": "s".repeat(4_500)}));
        for (path, expected) in [("/r2/x", Reason::NoMatchingPermit), ("/nowhere", Reason::RouteUnmapped)] {
            for event in events(&token, path, path) {
                let (reason, response) = world.answer(&event);
                assert_eq!(reason, expected);
                assert_eq!(response.unwrap()["context"]["reason"], expected.code());
            }
        }
    }
}

#[test]
fn claims_for_the_backend_are_whole_or_the_call_is_denied() {
    for cache_key in [CacheKey::None, CacheKey::Token] {
        let world = World::new(SMALL, cache_key, DISABLED);
        for (lengths, expected) in [
            ([2_000, 2_000, 2_000], Reason::AllowedByPolicy),
            ([7_000, 0, 1], Reason::AllowedByPolicy),
            ([3_000, 3_000, 3_000], Reason::ResponseTooLarge),
            ([1, 9_000, 1], Reason::ResponseTooLarge),
        ] {
            let mut claims = json!({});
            for (name, length) in CLAIMS.iter().zip(lengths) {
                claims[name] = "c".repeat(length).into();
            }
            let token = world.token(&claims);
            for event in events(&token, "/r0", "/r0") {
                let (reason, response) = world.answer(&event);
                let response = response.unwrap();
                assert_eq!(reason, expected, "{lengths:?}");
                for name in CLAIMS.iter().filter(|_| reason == Reason::AllowedByPolicy) {
                    assert_eq!(response["context"][name], claims[name], "{lengths:?}");
                }
            }
        }
    }
}

#[test]
fn large_claims_take_room_from_the_routes_of_a_grant_and_not_the_other_way_round() {
    let world = World::new(Size { routes: 300, ..SMALL }, CacheKey::Token, DISABLED);
    let mut sizes = Vec::new();
    for length in [0, 2_000, 4_000, 6_000, 7_000] {
        let token = world.token(&json!({"alpha": "c".repeat(length)}));
        for event in events(&token, "/r1/x", "/r1/x") {
            let (reason, response) = world.answer(&event);
            let response = response.unwrap();
            assert_eq!(reason, Reason::AllowedByPolicy, "{length}");
            assert!(is_allowed(&event, &response), "{length}");
            assert_eq!(response["context"]["alpha"], "c".repeat(length));
            sizes.push(response["policyDocument"].to_string().len());
        }
    }
    assert!(sizes.is_sorted_by(|a, b| a >= b || a.abs_diff(*b) < 100), "{sizes:?}");
    assert!(sizes[0] > 3_000 && sizes[19] < 1_000, "{sizes:?}");
}

#[test]
fn what_no_policy_can_name_is_denied_as_well_where_there_is_no_room_for_a_wider_grant() {
    for simple in [DISABLED, SimpleResponses::Enabled] {
        let world = World::new(SMALL, CacheKey::Token, simple);
        let token = world.token(&json!({"alpha": "c".repeat(7_000)}));
        for event in events(&token, "/r0/{id}", &format!("/r0/{}", "7".repeat(500))) {
            let (reason, response) = world.answer(&event);
            assert_eq!(reason, Reason::ResourceTooLong);
            assert!(!is_allowed(&event, &response.unwrap()));
        }
    }
}

#[test]
fn what_is_only_for_information_is_left_out_of_a_response_that_is_too_large() {
    let many = Size { policies: 1_000, policy_id: 100, ..SMALL };
    let long = Size { action: 9_000, ..SMALL };
    for (size, left_out, kept) in [(many, "policies", "action"), (long, "action", "principal")] {
        let world = World::new(size, CacheKey::None, DISABLED);
        let token = world.token(&json!({"alpha": "a"}));
        for event in events(&token, "/r0", "/r0") {
            let (reason, response) = world.answer(&event);
            let context = &response.unwrap()["context"];
            assert_eq!((reason, &context["alpha"]), (Reason::AllowedByPolicy, &json!("a")));
            assert_eq!((context.get(left_out), context[kept].is_string()), (None, true));
        }
    }
}

/// Text of up to this many characters that JSON, Cedar and IAM write in different ways.
fn text(longest: usize) -> impl Strategy<Value = String> {
    let characters =
        prop::sample::select(vec!['a', '"', '\\', '\u{1}', '\n', 'é', '€', '😀', '\u{301}', '*', '$', ',']);
    (characters, prop_oneof![3 => 0..longest, 1 => 0..40_usize], any::<bool>()).prop_map(
        |(character, length, is_plain)| {
            if is_plain { "a".repeat(length) } else { character.to_string().repeat(length) }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_response_is_within_the_limit_and_an_allowed_one_is_whole(
        tokens in prop::collection::vec((text(3_000), text(3_000), text(2_000), text(800), text(800)), 4),
        routes in prop::sample::select(vec![2_usize, 40, 300]),
        (policies, policy_id) in prop::sample::select(vec![(1, 10), (50, 150), (1, 8_000)]),
        action in prop::sample::select(vec![1_usize, 500, 3_000]),
        is_for_token in any::<bool>(),
        is_simple in any::<bool>(),
        id in text(500),
    ) {
        let size = Size { routes, policies, policy_id, action };
        let cache_key = if is_for_token { CacheKey::Token } else { CacheKey::None };
        let simple = if is_simple { SimpleResponses::Enabled } else { DISABLED };
        let world = World::new(size, cache_key, simple);
        for (sub, alpha, beta, gamma, plan) in tokens {
            let mut claims = json!({"alpha": alpha, "beta": beta, "gamma": gamma, "plan": plan, "sub": sub});
            if sub.is_empty() {
                claims["sub"] = "alice".into();
            }
            let token = world.token(&claims);
            let id = format!("/r0/{id}");
            for (template, path) in [("/r0", "/r0"), ("/r1/x", "/r1/x"), ("/r2/x", "/r2/x"), ("/r0/{id}", &id)] {
                for event in events(&token, template, path) {
                    let (reason, response) = world.answer(&event);
                    let Some(response) = response else { continue };
                    prop_assert_eq!(is_allowed(&event, &response), reason == Reason::AllowedByPolicy, "{}", reason);
                    if reason == Reason::AllowedByPolicy {
                        for name in CLAIMS {
                            prop_assert_eq!(&response["context"][name], &claims[name]);
                        }
                        let principal = response["context"]["principal"].as_str().unwrap();
                        let uid: cedar_policy::EntityUid = principal.parse().unwrap();
                        prop_assert_eq!(uid.id().unescaped(), format!("idp|{}", claims["sub"].as_str().unwrap()));
                        prop_assert!(response.get("principalId").is_none_or(|id| id == principal));
                    }
                    if reason == Reason::ResponseTooLarge {
                        // Nobody is denied without need: what must be in the response is nearly too much by itself.
                        // The ARN of the call takes up to 512 characters of up to six bytes.
                        let json = |value: &Value| value.to_string().len();
                        let principal = format!("R::User::{:?}", format!("idp|{}", claims["sub"].as_str().unwrap()));
                        let rest = 2 * json(&principal.into()) + CLAIMS.iter().map(|name| json(&claims[name])).sum::<usize>() + json(&claims["plan"]);
                        prop_assert!(rest > MAX_BYTES - 1_000 - 6 * 512, "{}", rest);
                    }
                }
            }
        }
    }
}
