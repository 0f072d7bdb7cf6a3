//! Calls through `authorize`, on stores other than the sample.

use cedar_authorizer::bundle::{Bundle, DevelopmentKeys};
use cedar_authorizer::decide::outcome::Outcome;
use cedar_authorizer::gateway::call::Call;
use cedar_authorizer::gateway::response::SimpleResponses;
use cedar_authorizer::grant::Effect;
use cedar_authorizer::reason::{Reason, Status};
use cedar_authorizer::store::{Store, build, directory};
use cedar_authorizer::time::UnixTime;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;

use crate::world::{
    EXPIRES_AT, ISSUED_AT, StoreCopy, answer, event, method_arn, root, run, sample_bundle, stdout, token,
};

fn bundle_of(path: &std::path::Path) -> Bundle {
    let files = directory::read(path).unwrap();
    let (store, findings) = Store::check(&files);
    let store = store.unwrap_or_else(|| panic!("{findings:#?}"));
    Bundle::open(build::bundle(&store, &files, 1).unwrap(), DevelopmentKeys::Allow).unwrap()
}

#[track_caller]
fn decide(bundle: &Bundle, token: &str, verb: &str, path: &str) -> Arc<Outcome> {
    let call = Call::from_event(event(token, verb, path)).unwrap();
    answer(&call, bundle, UnixTime::from_seconds(ISSUED_AT + 1)).unwrap()
}

/// An ID token for the store `tests/data/stores/clinic`.
fn clinic_token(claims: Value) -> String {
    let mut all = json!({"iat": ISSUED_AT, "exp": EXPIRES_AT, "email": "dr@example.com"});
    for (name, value) in claims.as_object().unwrap() {
        all[name] = value.clone();
    }
    let output = run(&["token", "--store", "tests/data/stores/clinic", "--claims", &all.to_string()]);
    stdout(&output).trim_end().to_owned()
}

#[test]
fn the_claims_of_an_id_token_are_attributes_of_the_principal() {
    let bundle = bundle_of(&root().join("tests/data/stores/clinic"));
    let decide = |claims, verb, path| decide(&bundle, &clinic_token(claims), verb, path).decision.reason;
    let senior = json!({"custom:level": "senior"});
    assert_eq!(decide(senior.clone(), "GET", "/patients/7"), Reason::AllowedByPolicy);
    assert_eq!(decide(json!({"custom:level": "junior"}), "GET", "/patients/7"), Reason::NoMatchingPermit);
    assert_eq!(decide(json!({"custom:level": ["senior"]}), "GET", "/patients/7"), Reason::NoMatchingPermit);
    assert_eq!(decide(json!({"email": null}), "GET", "/patients/7"), Reason::RequiredClaimMissing);
    // Another verb or another path goes to `any /{proxy+}`.
    assert_eq!(decide(senior.clone(), "PUT", "/patients/7"), Reason::NoMatchingPermit);
    let admin = json!({"cognito:groups": ["admins"]});
    assert_eq!(decide(admin.clone(), "PUT", "/patients/7"), Reason::AllowedByPolicy);
    assert_eq!(decide(admin.clone(), "GET", "/a/b/c"), Reason::AllowedByPolicy);
    assert_eq!(decide(admin, "GET", "/"), Reason::RouteUnmapped);
}

#[test]
fn claims_that_look_like_entities_are_data() {
    let bundle = bundle_of(&root().join("tests/data/stores/clinic"));
    let injected =
        json!({"custom:level": {"__entity": {"type": "Clinic::Team", "id": "eu-west-1_CLINIC|admins"}}});
    let outcome = decide(&bundle, &clinic_token(injected), "GET", "/patients/7");
    assert_eq!(outcome.decision.reason, Reason::NoMatchingPermit);
    assert_eq!(outcome.dropped, 1);
}

#[test]
fn a_forbid_policy_that_errors_denies_and_a_permit_policy_that_errors_is_skipped() {
    let settings =
        "[store]\nname = 'x'\nnamespace = 'PetStore'\nvalidation = 'off'\n[tokens]\ntype = 'access'\n";
    let with = |policy: &str| {
        let store = StoreCopy::new();
        store.write("store.toml", settings.as_bytes());
        store.write("policies/error.cedar", policy.as_bytes());
        decide(&bundle_of(store.path()), &token("bob", json!({})), "GET", "/pets").decision.clone()
    };
    let forbid =
        with("@id(\"broken\") forbid (principal, action, resource) when { context.token.nothing == 1 };");
    assert_eq!(forbid.reason, Reason::ForbidError);
    assert_eq!(forbid.policies.iter().map(ToString::to_string).collect::<Vec<_>>(), ["broken"]);
    assert_eq!(forbid.errors, forbid.policies);

    let permit =
        with("@id(\"broken\") permit (principal, action, resource) when { context.token.nothing == 1 };");
    assert_eq!(permit.reason, Reason::AllowedByPolicy);
    assert_eq!(permit.errors.len(), 1);

    // If a forbid policy applies, it is the reason, whatever else fails.
    let both = with(
        "forbid (principal, action, resource);\n\
         forbid (principal, action, resource) when { context.token.nothing == 1 };",
    );
    assert_eq!(both.reason, Reason::ForbiddenByPolicy);
    assert_eq!(both.policies.iter().map(ToString::to_string).collect::<Vec<_>>(), ["error#1"]);
}

#[test]
fn a_method_arn_that_no_policy_can_name_is_denied() {
    let bundle = sample_bundle();
    let alice = token("alice", json!({}));
    let free = 512 - method_arn("GET", "/pets/").len();
    for (length, reason) in [(free, Reason::AllowedByPolicy), (free + 1, Reason::ResourceTooLong)] {
        let outcome = decide(&bundle, &alice, "GET", &format!("/pets/{}", "7".repeat(length)));
        assert_eq!(outcome.decision.reason, reason);
        let expected = if reason.status() == Status::Allow { Effect::Allow } else { Effect::Deny };
        assert_eq!(outcome.grant.statements()[0].effect(), expected);
    }
}

#[test]
fn a_response_stays_within_the_limit_of_api_gateway() {
    let bundle = sample_bundle();
    for (length, is_shortened) in [(7000, false), (9000, true)] {
        let large = token("bob", json!({"username": "x".repeat(length)}));
        let outcome = decide(&bundle, &large, "GET", "/pets");
        let response = outcome.respond(SimpleResponses::Disabled);
        assert_eq!(response.is_shortened(), is_shortened);
        let response = serde_json::to_value(response).unwrap();
        assert!(response.to_string().len() <= 8192);
        // No claim is ever left out of an answer that allows.
        let effect = if is_shortened { "Deny" } else { "Allow" };
        assert_eq!(response["policyDocument"]["Statement"][0]["Effect"], effect);
        let username = response["context"]["username"].as_str();
        assert_eq!(username.map(str::len), (!is_shortened).then_some(length));
    }
}

#[test]
fn a_claim_that_is_not_flat_does_not_go_to_the_backend() {
    let bundle = sample_bundle();
    for (claim, expected) in [
        (json!("x"), Some(json!("x"))),
        (json!(5), Some(json!(5))),
        (json!(true), Some(json!(true))),
        (json!(null), None),
        (json!(["x"]), None),
        (json!({"a": 1}), None),
    ] {
        let outcome = decide(&bundle, &token("bob", json!({"username": claim})), "GET", "/pets");
        assert_eq!(outcome.backend_claims.get("username"), expected.as_ref());
    }
}

#[derive(Clone, Copy, Debug)]
enum Part {
    Static(&'static str),
    Parameter,
    Greedy,
}

/// The documented precedence, read literally. Of the routes that fit, the one wins that has the more specific segment
/// at the first difference; after that, the verb wins over `any`.
fn naive(routes: &[(String, Vec<Part>)], verb: &str, path: &[&str]) -> Option<usize> {
    let rank = |part: &Part| match part {
        Part::Static(_) => 0,
        Part::Parameter => 1,
        Part::Greedy => 2,
    };
    let fits = |parts: &[Part]| {
        let mut left = path.to_vec();
        for part in parts {
            match part {
                Part::Greedy => return !left.is_empty(),
                Part::Static(text) if left.first() == Some(text) => left.remove(0),
                Part::Parameter if !left.is_empty() => left.remove(0),
                _ => return false,
            };
        }
        left.is_empty()
    };
    let candidates = routes
        .iter()
        .enumerate()
        .filter(|(_, (method, parts))| (method == "any" || method.eq_ignore_ascii_case(verb)) && fits(parts));
    let best = candidates
        .min_by_key(|(_, (method, parts))| (parts.iter().map(rank).collect::<Vec<_>>(), method == "any"));
    best.map(|(index, _)| index)
}

fn parts() -> impl Strategy<Value = Vec<Part>> {
    let part = prop_oneof![
        3 => proptest::sample::select(vec!["a", "b", "c"]).prop_map(Part::Static),
        2 => Just(Part::Parameter),
    ];
    (proptest::collection::vec(part, 0..4), proptest::bool::weighted(0.3)).prop_map(|(mut parts, greedy)| {
        if greedy {
            parts.push(Part::Greedy);
        }
        parts
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_route_is_found_as_a_naive_reading_of_the_documentation_finds_it(
        routes in proptest::collection::vec((proptest::sample::select(vec!["get", "post", "any"]), parts()), 1..12),
        requests in proptest::collection::vec(
            (proptest::sample::select(vec!["GET", "POST", "PUT"]),
             proptest::collection::vec(proptest::sample::select(vec!["a", "b", "c", "d"]), 0..5)),
            1..20,
        ),
    ) {
        use cedar_authorizer::gateway::route::{Route, RouteTable};
        let mut table = RouteTable::default();
        let mut known = Vec::new();
        for (method, parts) in routes {
            let text: String = parts.iter().enumerate().map(|(number, part)| match part {
                Part::Static(text) => format!("/{text}"),
                Part::Parameter => format!("/{{p{number}}}"),
                Part::Greedy => "/{rest+}".to_owned(),
            }).collect();
            let template = if text.is_empty() { "/".to_owned() } else { text };
            let action = format!("X::Action::\"{method} {template}\"").parse().unwrap();
            if table.insert(Route::from_action(&action).unwrap()).is_ok() {
                known.push((method.to_owned(), parts));
            }
        }
        for (verb, path) in requests {
            let found = table.find(verb, &format!("/{}", path.join("/"))).ok().map(|route| route.0);
            let expected = naive(&known, verb, &path);
            prop_assert_eq!(found, expected, "{} {:?}", verb, path);
        }
    }
}
