//! Grants under API Gateway's cache, judged by the oracle.

use std::collections::BTreeSet;

use cedar_authorizer::arn::MethodArn;
use cedar_authorizer::grant::{Grant, OfRoutes, Separation};
use cedar_authorizer::route::Route;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::oracle::{Api, AuthorizerCache, NotResource, arn, passes, requests, route_tables};

const API: &str = "arn:aws:execute-api:us-east-1:123456789012:abcdef123/prod/";

fn routes(table: &[(String, String)]) -> Vec<Route> {
    let action = "Action::\"any\"".parse().unwrap();
    table
        .iter()
        .map(|(verb, template)| Route::new(&verb.to_lowercase(), template, &action).unwrap())
        .collect()
}

/// What the function answers.
fn response(grant: &Grant) -> Value {
    json!({
        "principalId": "p",
        "policyDocument": {"Version": "2012-10-17", "Statement": grant},
    })
}

/// Methods and paths, of routes or of requests.
type Pairs = Vec<(String, String)>;

/// A table, and several times which of its routes are allowed, and the requests of one caller.
type Case = (Pairs, Vec<(Vec<bool>, Pairs)>);

fn cases() -> impl Strategy<Value = Case> {
    route_tables().prop_flat_map(|table| {
        let decisions = prop::collection::vec(any::<bool>(), table.len());
        let sequence = (decisions, requests(&table));
        (Just(table), prop::collection::vec(sequence, SEQUENCES_OF_A_TABLE))
    })
}

const SEQUENCES_OF_A_TABLE: usize = 25;

/// Whether all readings of a path are one: what is denied on purpose else is not held against a grant.
fn is_plain(path: &str) -> bool {
    let odd = ["//", "/./", "/..", "%"];
    !odd.iter().any(|text| path.contains(text)) && !path.ends_with("/.") && (path == "/" || !path.ends_with('/'))
}

/// Plays the requests of a case through the cache under the key `token`.
fn play(case: &Case, is_complete: bool, grant: impl Fn(OfRoutes, &MethodArn) -> Grant) -> Result<(), TestCaseError> {
    let (table, sequences) = case;
    let api = Api::new(table.clone());
    let separation = Separation::of(&routes(table), is_complete).unwrap();
    for (decisions, requests) in sequences {
        play_one(&api, &separation, is_complete, decisions, requests, &grant)?;
    }
    Ok(())
}

fn play_one(
    api: &Api,
    separation: &Separation,
    is_complete: bool,
    decisions: &[bool],
    requests: &Pairs,
    grant: impl Fn(OfRoutes, &MethodArn) -> Grant,
) -> Result<(), TestCaseError> {
    let allowed: Vec<usize> = (0..decisions.len()).filter(|route| decisions[*route]).collect();
    let of_routes = Grant::of_routes(API, separation, &allowed, None).unwrap();
    let exact = separation.overlaps(|_, _| false).is_empty();
    prop_assert!(!exact || of_routes.harmed.is_empty(), "{separation:#?}");
    let mut cache = AuthorizerCache::default();
    for (verb, path) in requests {
        let called = arn(verb, path);
        let answer = cache.get_or_call("token", || {
            Some(response(&grant(of_routes.clone(), &called.parse().unwrap())))
        });
        // REST and HTTP APIs may differ, and a trailing slash may lead to the same route.
        let taken = [api.route(verb, path), api.route_trailing_slash(verb, path), api.route_http(verb, path)];
        let taken: BTreeSet<usize> = taken.into_iter().flatten().collect();
        let all_allowed = taken.iter().all(|route| decisions[*route]);
        for not_resource in [NotResource::Honoured, NotResource::Ignored] {
            let passed = passes(answer.as_ref(), &called, not_resource);
            if taken.is_empty() {
                // API Gateway refuses it. If there were a route that the store does not know, ...
                prop_assert!(!passed || is_complete, "false Allow, no route: {verb} {path}\n{answer:#?}");
            } else {
                prop_assert!(!passed || all_allowed, "false Allow: {verb} {path}\n{answer:#?}");
            }
            if !taken.is_empty() && all_allowed && is_plain(path) {
                let harmed = taken.iter().any(|route| of_routes.harmed.contains(route));
                let is_known = harmed || of_routes.left_out > 0;
                prop_assert!(passed || is_known, "false Deny: {verb} {path}\n{answer:#?}");
            }
        }
    }
    Ok(())
}

fn run(tables: u32, is_complete: bool) {
    let mut runner = TestRunner::new(Config { cases: tables, failure_persistence: None, max_shrink_time: 10_000, ..Config::default() });
    let judged = runner.run(&cases(), |case| play(&case, is_complete, |of_routes, _| of_routes.grant));
    judged.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn fifty_thousand_sequences_are_answered_out_of_the_cache_as_without_it() {
    run(2_000, false);
}

#[test]
fn and_fifty_thousand_where_the_api_has_no_other_routes() {
    run(2_000, true);
}
