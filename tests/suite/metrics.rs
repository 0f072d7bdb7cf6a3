//! The metrics that the function writes, read by the rules of the embedded metric format.

/// The rules of the embedded metric format.
mod emf;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::thread;
use std::time::Duration;

use cedar_authorizer::store::{Store, build, directory};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::loopback::{Function, KeyServer, KeyServerFault, S3, S3Fault};
use crate::world::{
    FUNCTION, StoreCopy, bundle_bytes, development_key_set, event, golden, root, sample_store, token,
};
use emf::{Dimensions, Metrics};

const BUCKET: &str = "bundles";
const KEY: &str = "petstore.bundle";

fn start(environment: &[(&str, &str)]) -> Result<Function, String> {
    let usual = [
        ("CACHE_KEY", "none"),
        ("ALLOW_DEVELOPMENT_KEYS", "true"),
        ("POWERTOOLS_METRICS_NAMESPACE", "CedarAuthorizer"),
    ];
    Function::start(FUNCTION, [&usual, environment].concat()).map_err(|failure| failure.message)
}

fn lines(function: &Function) -> Vec<String> {
    function.logs().lines().filter(|line| line.starts_with("{\"_aws\"")).map(str::to_owned).collect()
}

/// The metrics of each line.
fn written(function: &Function) -> Vec<Metrics> {
    lines(function).iter().map(|line| emf::read(line)).collect()
}

/// The metrics of the service alone in the last line.
#[track_caller]
fn last(function: &Function) -> BTreeMap<String, f64> {
    let last = written(function).pop().unwrap();
    last.into_iter()
        .filter(|((_, dimensions), _)| dimensions.len() == 1)
        .map(|((name, _), (value, _))| (name, value))
        .collect()
}

fn service(more: &[(&str, &str)]) -> Dimensions {
    let all = [&[("service", "cedar-authorizer")], more].concat();
    all.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn the_lines_are_as_documented() {
    let store = StoreCopy::new();
    let function = start(&[("BUNDLE_URI", &store.uri())]).unwrap();
    let alice = token("alice", json!({}));
    function.invoke(&event(&alice, "GET", "/pets"));
    function.invoke(&event(&alice, "GET", "/pets"));
    function.invoke(&event(&alice, "GET", "/secret/path"));
    function.invoke(&event("x", "GET", "/pets"));
    function.invoke(&json!({}));
    let mut page = String::new();
    for line in lines(&function) {
        emf::read(&line);
        let mut line: Value = serde_json::from_str(&line).unwrap();
        assert!(line["_aws"]["Timestamp"].as_u64().unwrap() > 1_704_067_200_000);
        line["_aws"]["Timestamp"] = 0.into();
        for (name, most) in [("Latency", 10_000_000), ("InitDuration", 10_000), ("BundleAge", 10)] {
            if let Some(value) = line.get_mut(name) {
                assert!(value.as_u64().unwrap() < most, "{name}");
                *value = 0.into();
            }
        }
        page.push_str(&format!("{line}\n"));
    }
    golden(&root().join("tests/data/metrics/lines.jsonl"), &page);
}

#[test]
fn a_decision_counts_for_its_effect_and_class() {
    let store = StoreCopy::new();
    let function = start(&[("BUNDLE_URI", &store.uri())]).unwrap();
    let bob = token("bob", json!({}));
    for (event, effect, class) in [
        (event(&bob, "GET", "/pets"), "allow", "policy"),
        (event(&bob, "POST", "/pets"), "deny", "policy"),
        (event(&bob, "GET", "/nowhere"), "deny", "request"),
        (event("x.y.z", "GET", "/pets"), "unauthorized", "token"),
        (json!({}), "fault", "request"),
    ] {
        function.invoke(&event);
        let of_event = written(&function).pop().unwrap();
        for dimensions in [
            service(&[]),
            service(&[("effect", effect)]),
            service(&[("effect", effect), ("reasonClass", class)]),
        ] {
            let decisions = of_event.get(&("Decisions".to_owned(), dimensions.clone()));
            assert_eq!(decisions, Some(&(1.0, "Count".to_owned())), "{dimensions:?}");
        }
        assert_eq!(of_event.keys().filter(|(name, _)| name == "Decisions").count(), 3);
    }
}

/// The table of `docs/operating.md` has these metrics.
#[test]
fn each_metric_appears_when_what_it_is_about_happens() {
    let mut seen = BTreeSet::new();
    for function in [
        cold_starts(),
        refreshes(),
        fetches_of_keys(),
        fetches_of_parts(),
        differences_of_the_shadow(),
        what_cannot_be_cached(),
    ] {
        for line in written(&function) {
            seen.extend(line.into_iter().map(|((name, dimensions), (_, unit))| {
                let names: Vec<String> = dimensions.into_keys().collect();
                format!("{name} {unit} {}", names.join(","))
            }));
        }
    }
    let expected = [
        "BundleAge Seconds service",
        "BundleRefreshFailed Count service",
        "BundleRefreshReplaced Count service",
        "BundleRefreshUnchanged Count service",
        "BundleRevision None service",
        "ColdStart Count function_name,service",
        "Decisions Count effect,reasonClass,service",
        "Decisions Count effect,service",
        "Decisions Count service",
        "InitDuration Milliseconds service",
        "KeyFetchFailures Count service",
        "KeyFetches Count service",
        "Latency Microseconds service",
        "NotCacheable Count service",
        "PartFetchFailures Count service",
        "PartFetches Count service",
        "RememberedAnswers Count service",
        "RememberedTokens Count service",
        "RouteUnmapped Count service",
        "ShadowDifferences Count service",
    ];
    assert_eq!(seen.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}

fn cold_starts() -> Function {
    let store = StoreCopy::new();
    let function = start(&[("BUNDLE_URI", &store.uri()), ("CACHE_KEY", "token")]).unwrap();
    let alice = token("alice", json!({}));
    function.invoke(&event(&alice, "GET", "/pets"));
    let of_start = written(&function).remove(0);
    let dimensions = service(&[("function_name", "cedar-authorizer")]);
    let cold_start = BTreeMap::from([(("ColdStart".to_owned(), dimensions), (1.0, "Count".to_owned()))]);
    assert_eq!(of_start, cold_start);
    assert!(last(&function).contains_key("InitDuration"));
    assert!(!last(&function).contains_key("RememberedTokens"));

    function.invoke(&event(&alice, "GET", "/pets"));
    let second = last(&function);
    assert_eq!((second["RememberedTokens"], second["RememberedAnswers"]), (1.0, 1.0), "{second:?}");
    assert!(!second.contains_key("InitDuration"));
    function.invoke(&event(&alice, "GET", "/nowhere"));
    assert_eq!(last(&function)["RouteUnmapped"], 1.0);
    assert_eq!(lines(&function).len(), 4);
    function
}

/// A policy for each of many users makes the bundle so large that not all of it is read at the start.
fn fetches_of_parts() -> Function {
    let mut files = directory::read(&sample_store()).unwrap();
    let policy = |number: usize| {
        format!(
            "permit (principal == PetStore::User::\"us-east-1_EXAMPLE|{number:08}\", action, resource);\n"
        )
    };
    for file in 0..12 {
        let text: String = (file * 500..file * 500 + 500).map(policy).collect();
        files.insert(format!("policies/users/{file}.cedar"), text.into_bytes());
    }
    let s3 = S3::start();
    s3.put(BUCKET, KEY, build::bundle(&Store::open(&files).unwrap(), &files, 1).unwrap());
    let environment =
        [("BUNDLE_URI", &*format!("s3://{BUCKET}/{KEY}")), ("AWS_ENDPOINT_URL_S3", &s3.endpoint())];
    let function = start(&[&environment[..], &[("BUNDLE_CACHE_BYTES", "0")]].concat()).unwrap();
    let until = |name: &str| {
        for number in (0..6000).step_by(97) {
            let token = token("bob", json!({"sub": format!("{number:08}")}));
            function.invoke(&event(&token, "GET", "/pets"));
            let last = last(&function);
            if last.contains_key(name) {
                return last;
            }
        }
        panic!("no {name}: {}", function.logs())
    };
    assert!(!until("PartFetches").contains_key("PartFetchFailures"));
    let has_duration = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap_or_default();
        line["durations"]["parts"].as_u64() <= line["durations"]["decide"].as_u64()
            && line["durations"]["parts"].is_u64()
    };
    assert!(function.logs().lines().any(has_duration), "{}", function.logs());
    s3.fault(S3Fault::Forbidden);
    assert!(until("PartFetchFailures").contains_key("PartFetches"));
    function
}

fn refreshes() -> Function {
    let s3 = S3::start();
    s3.put(BUCKET, KEY, bundle_bytes(41));
    let function = start(&[
        ("BUNDLE_URI", &format!("s3://{BUCKET}/{KEY}")),
        ("AWS_ENDPOINT_URL_S3", &s3.endpoint()),
        ("BUNDLE_REFRESH_SECONDS", "1"),
        ("BUNDLE_MAX_STALE_SECONDS", "4"),
    ])
    .unwrap();
    let call = event(&token("bob", json!({})), "GET", "/pets");
    let until = |name: &str| {
        for _ in 0..100 {
            function.invoke(&call);
            let last = last(&function);
            if last.contains_key(name) {
                return last;
            }
            thread::sleep(Duration::from_millis(100));
        }
        panic!("no {name}: {}", function.logs())
    };
    assert_eq!(until("BundleRefreshUnchanged")["BundleRevision"], 41.0);
    s3.put(BUCKET, KEY, bundle_bytes(42));
    until("BundleRefreshReplaced");
    function.invoke(&call);
    assert_eq!(last(&function)["BundleRevision"], 42.0);
    s3.fault(S3Fault::Error(503, "SlowDown"));
    assert!(until("BundleRefreshFailed")["BundleAge"] < 4.0);
    // The age is known most of all when the bundle is too old to serve.
    thread::sleep(Duration::from_secs(5));
    function.invoke(&call);
    let stale = last(&function);
    assert!(stale["BundleAge"] > 4.0 && stale["BundleRevision"] == 42.0, "{stale:?}");
    let of_event = written(&function).pop().unwrap();
    assert!(
        of_event.contains_key(&(
            "Decisions".to_owned(),
            service(&[("effect", "fault"), ("reasonClass", "bundle")])
        )),
        "{of_event:?}"
    );
    function
}

fn fetches_of_keys() -> Function {
    let keys = KeyServer::start(development_key_set());
    keys.fault(KeyServerFault::Status(500));
    let store = StoreCopy::with_jwks_uri(&keys.uri());
    let function = start(&[("BUNDLE_URI", &store.uri())]).unwrap();
    function.invoke(&event(&token("bob", json!({})), "GET", "/pets"));
    let first = last(&function);
    // One at the start, and none for the first event, because that was a moment ago.
    assert_eq!((first["KeyFetches"], first["KeyFetchFailures"]), (1.0, 1.0), "{first:?}");
    let of_event = written(&function).pop().unwrap();
    let dimensions = service(&[("effect", "fault"), ("reasonClass", "keys")]);
    assert!(of_event.contains_key(&("Decisions".to_owned(), dimensions)), "{of_event:?}");
    function
}

fn differences_of_the_shadow() -> Function {
    let (served, candidate) = (StoreCopy::new(), StoreCopy::new());
    let policy = "forbid (principal, action == PetStore::Action::\"get /pets\", resource);";
    candidate.write("policies/candidate.cedar", policy.as_bytes());
    let function = start(&[("BUNDLE_URI", &served.uri()), ("SHADOW_BUNDLE_URI", &candidate.uri())]).unwrap();
    let alice = token("alice", json!({}));
    function.invoke(&event(&alice, "GET", "/pets"));
    assert_eq!(last(&function)["ShadowDifferences"], 1.0);
    function.invoke(&event(&alice, "GET", "/"));
    assert!(!last(&function).contains_key("ShadowDifferences"));
    function
}

fn what_cannot_be_cached() -> Function {
    let store = StoreCopy::new();
    let schema = fs::read_to_string(store.path().join("schema.cedarschema")).unwrap();
    let context = "context: { token: Token, pathParameters?: { petId?: String } }";
    store.write("schema.cedarschema", schema.replace("context: { token: Token }", context).as_bytes());
    let policy = "permit (principal, action == PetStore::Action::\"get /pets/{petId}\", resource)
        when { context has pathParameters && context.pathParameters has petId && context.pathParameters.petId == \"7\" };";
    store.write("policies/one-pet.cedar", policy.as_bytes());
    // An answer for this token would count for all pets.
    let function = start(&[("BUNDLE_URI", &store.uri()), ("CACHE_KEY", "token")]).unwrap();
    function.invoke(&event(&token("alice", json!({})), "GET", "/pets/7"));
    assert_eq!(last(&function)["NotCacheable"], 1.0, "{}", function.logs());
    function
}

/// What a client can send, and what it leads to.
#[derive(Clone, Copy, Debug)]
enum Sent {
    Allowed,
    Denied,
    Unmapped,
    Unauthorized,
    Malformed,
}

#[test]
fn the_sums_over_many_events_are_what_was_asked() {
    let store = StoreCopy::new();
    let (bob, uri) = (token("bob", json!({})), store.uri());
    let sent = proptest::collection::vec(
        prop_oneof![
            Just(Sent::Allowed),
            Just(Sent::Denied),
            Just(Sent::Unmapped),
            Just(Sent::Unauthorized),
            Just(Sent::Malformed)
        ],
        1..60,
    );
    let mut runner =
        TestRunner::new(ProptestConfig { cases: 6, failure_persistence: None, ..Default::default() });
    runner
        .run(&sent, |sent| {
            let function = start(&[("BUNDLE_URI", &uri)]).unwrap();
            let mut expected = BTreeMap::new();
            let mut verified = 0;
            for sent in &sent {
                let (event, effect) = match sent {
                    Sent::Allowed => (event(&bob, "GET", "/pets"), "allow"),
                    Sent::Denied => (event(&bob, "POST", "/pets"), "deny"),
                    Sent::Unmapped => (event(&bob, "GET", "/nowhere"), "deny"),
                    Sent::Unauthorized => (event("x", "GET", "/pets"), "unauthorized"),
                    Sent::Malformed => (json!({"type": "TOKEN"}), "fault"),
                };
                verified += usize::from(!matches!(sent, Sent::Unauthorized | Sent::Malformed));
                *expected.entry(effect.to_owned()).or_insert(0.0) += 1.0;
                function.invoke(&event);
            }
            let mut sums: BTreeMap<String, f64> = BTreeMap::new();
            let (mut all, mut remembered, mut unmapped, mut cold) = (0.0, 0.0, 0.0, 0.0);
            for line in written(&function) {
                for ((name, dimensions), (value, _)) in line {
                    match (name.as_str(), dimensions.len()) {
                        ("Decisions", 1) => all += value,
                        ("Decisions", 2) => *sums.entry(dimensions["effect"].clone()).or_default() += value,
                        ("RememberedTokens", _) => remembered += value,
                        ("RouteUnmapped", _) => unmapped += value,
                        ("ColdStart", _) => cold += value,
                        _ => {}
                    }
                }
            }
            let of_unmapped = sent.iter().filter(|sent| matches!(sent, Sent::Unmapped)).count();
            prop_assert_eq!(all as usize, sent.len());
            prop_assert_eq!(sums, expected);
            prop_assert_eq!(remembered as usize, verified.saturating_sub(1));
            prop_assert_eq!(unmapped as usize, of_unmapped);
            prop_assert_eq!(cold as usize, 1);
            Ok(())
        })
        .unwrap();
}

/// Every text in a line is one of few, so none of them can say who calls or what is called.
#[test]
fn nothing_that_a_client_sends_is_in_a_line() {
    let store = StoreCopy::new();
    let function = start(&[("BUNDLE_URI", &store.uri())]).unwrap();
    let alice = token("alice", json!({"username": "sekrit", "email": "sekrit@example.com"}));
    for sent in [
        event(&alice, "GET", "/pets"),
        event(&alice, "GET", "/pets/sekrit"),
        event(&alice, "SEKRIT", "/sekrit?sekrit=\"}\n{\"_aws\":{}}"),
        event("sekrit", "GET", "/pets"),
        json!({"type": "sekrit", "methodArn": "sekrit\n{\"_aws\":1}"}),
    ] {
        function.invoke(&sent);
    }
    let dimensions = ["service", "effect", "reasonClass", "function_name"];
    for line in lines(&function) {
        let names: BTreeSet<String> = emf::read(&line).into_keys().map(|(name, _)| name).collect();
        let line: Value = serde_json::from_str(&line).unwrap();
        for (name, value) in line.as_object().unwrap() {
            match value {
                Value::String(text) => {
                    assert!(dimensions.contains(&name.as_str()), "{name}");
                    let known = [
                        "cedar-authorizer",
                        "allow",
                        "deny",
                        "unauthorized",
                        "fault",
                        "policy",
                        "request",
                        "token",
                    ];
                    assert!(known.contains(&text.as_str()), "{text}");
                }
                _ => assert!(name == "_aws" || names.contains(name), "{name}"),
            }
        }
    }
    assert_eq!(lines(&function).len(), 6);
}

#[test]
fn the_names_are_those_that_are_set() {
    let store = StoreCopy::new();
    let call = event(&token("bob", json!({})), "GET", "/pets");
    let odd = "a \"b\" \\ {c} 'd'";
    let names = [
        ("BUNDLE_URI", store.uri()),
        ("POWERTOOLS_SERVICE_NAME", odd.to_owned()),
        ("AWS_LAMBDA_FUNCTION_NAME", odd.to_owned()),
        ("POWERTOOLS_METRICS_NAMESPACE", "Shop / auth#1".to_owned()),
    ];
    let names = names.each_ref().map(|(name, value)| (*name, value.as_str()));
    let function = start(&names).unwrap();
    function.invoke(&call);
    for (line, metrics) in lines(&function).iter().zip(written(&function)) {
        assert!(line.contains("\"Namespace\":\"Shop / auth#1\""), "{line}");
        assert!(metrics.keys().all(|(_, dimensions)| dimensions["service"] == odd), "{line}");
    }
    assert_eq!(lines(&function).len(), 2);

    for none in [("POWERTOOLS_METRICS_DISABLED", "true"), ("POWERTOOLS_METRICS_DISABLED", "1")] {
        let function = start(&[names.as_slice(), &[none]].concat()).unwrap();
        function.invoke(&call);
        assert_eq!(lines(&function), [""; 0]);
    }
}

#[test]
fn every_problem_of_the_settings_is_in_one_message() {
    let message = start(&[
        ("BUNDLE_URI", "s3://bucket/key"),
        ("POWERTOOLS_SERVICE_NAME", ""),
        ("POWERTOOLS_METRICS_NAMESPACE", "AWS/sekrit"),
        ("POWERTOOLS_METRICS_DISABLED", "sekrit"),
        ("POWERTOOLS_LOG_LEVEL", "sekrit"),
    ])
    .unwrap_err();
    for name in ["SERVICE_NAME", "METRICS_NAMESPACE", "METRICS_DISABLED", "LOG_LEVEL"] {
        assert!(message.contains(&format!("\n  POWERTOOLS_{name}: ")), "{message}");
    }
    assert!(!message.contains("sekrit"), "{message}");
}

#[test]
fn lambda_s_level_counts_before_that_of_powertools() {
    let store = StoreCopy::new();
    let uri = store.uri();
    let level = |levels: &[(&str, &str)]| {
        let function = start(&[&[("BUNDLE_URI", uri.as_str())], levels].concat()).unwrap();
        function.logs().contains("bundle loaded")
    };
    let (lambda, powertools, rust) = ("AWS_LAMBDA_LOG_LEVEL", "POWERTOOLS_LOG_LEVEL", "RUST_LOG");
    assert!(level(&[]));
    assert!(!level(&[(powertools, "WARNING"), (rust, "info")]));
    assert!(!level(&[(powertools, "critical")]) && !level(&[(powertools, "SILENT")]));
    assert!(level(&[(lambda, "INFO"), (powertools, "ERROR")]));
    assert!(!level(&[(lambda, "ERROR"), (powertools, "INFO")]));
    assert!(!level(&[(rust, "error")]));
}
