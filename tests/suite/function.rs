//! The compiled function under a Runtime API, with S3 and key servers and their faults.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::loopback::{Answer, Function, Init, KeyServer, KeyServerFault, RuntimeApi, S3, S3Fault};
use crate::world::{FUNCTION, StoreCopy, bundle_bytes, development_key_set, event, sample_store, token};

const BUCKET: &str = "bundles";
const KEY: &str = "shop/petstore.bundle";

fn start(environment: &[(&str, &str)]) -> Result<Function, String> {
    let all = [&[("CACHE_KEY", "none"), ("ALLOW_DEVELOPMENT_KEYS", "true")], environment].concat();
    Function::start(FUNCTION, all).map_err(|failure| failure.message)
}

fn start_from_s3(s3: &S3, query: &str) -> Result<Function, String> {
    let uri = format!("s3://{BUCKET}/{KEY}{query}");
    start(&[("BUNDLE_URI", &uri), ("AWS_ENDPOINT_URL_S3", &s3.endpoint())])
}

#[track_caller]
fn effect(answer: Answer) -> String {
    match answer {
        Answer::Response(response) => {
            response["policyDocument"]["Statement"][0]["Effect"].as_str().unwrap().to_owned()
        }
        Answer::Error { error_type: _, error_message } => error_message,
    }
}

/// Cargo passes this variable to rustc and to the build of AWS-LC.
#[test]
fn the_function_is_built_without_the_jitter_of_the_cpu() {
    assert_eq!(option_env!("AWS_LC_SYS_NO_JITTER_ENTROPY"), Some("1"), "see .cargo/config.toml");
}

#[test]
fn the_bundle_comes_from_s3_with_one_request() {
    let s3 = S3::start();
    s3.put(BUCKET, KEY, bundle_bytes(42));
    let function = start_from_s3(&s3, "").unwrap();
    let alice = token("alice", json!({}));
    let Answer::Response(response) = function.invoke(&event(&alice, "POST", "/pets")) else {
        panic!("no response");
    };
    assert_eq!(response["context"]["revision"], 42);
    assert_eq!(effect(function.invoke(&event(&token("bob", json!({})), "POST", "/pets"))), "Deny");
    assert_eq!(s3.requests(), 1);
}

#[test]
fn a_version_of_the_bundle_can_be_pinned() {
    let s3 = S3::start();
    let first = s3.put(BUCKET, KEY, bundle_bytes(1));
    s3.put(BUCKET, KEY, bundle_bytes(2));
    let function = start_from_s3(&s3, &format!("?versionId={first}")).unwrap();
    let Answer::Response(response) = function.invoke(&event(&token("bob", json!({})), "GET", "/pets")) else {
        panic!("no response");
    };
    assert_eq!(response["context"]["revision"], 1);
}

#[test]
fn init_fails_with_the_reason_when_s3_does_not_give_the_bundle() {
    for (fault, message) in [
        (S3Fault::Forbidden, "AccessDenied"),
        (S3Fault::NotFound, "NoSuchKey"),
        (S3Fault::Region("eu-central-1"), "is the function in the region of the bucket?"),
        (S3Fault::InternalError, "InternalError"),
        (S3Fault::Reset, "cannot read `s3://bundles/shop/petstore.bundle`"),
        (S3Fault::Truncated, "cannot read `s3://bundles/shop/petstore.bundle` to its end"),
    ] {
        let s3 = S3::start();
        s3.put(BUCKET, KEY, bundle_bytes(1));
        s3.fault(fault);
        let error = start_from_s3(&s3, "").unwrap_err();
        assert!(error.contains(message), "{message}: {error}");
    }
}

#[test]
fn init_fails_with_the_names_of_what_is_missing_for_s3() {
    let error = start(&[("BUNDLE_URI", "s3://bundles/key"), ("AWS_ACCESS_KEY_ID", ""), ("AWS_REGION", "")]);
    let error = error.err().unwrap();
    assert!(error.contains("AWS_REGION is not set, AWS_ACCESS_KEY_ID is not set"), "{error}");
}

#[test]
fn init_fails_before_lambda_ends_it_when_s3_hangs() {
    let s3 = S3::start();
    s3.put(BUCKET, KEY, bundle_bytes(1));
    s3.fault(S3Fault::Slow(Duration::from_secs(20)));
    let error = start_from_s3(&s3, "").unwrap_err();
    assert!(error.contains("cannot read `s3://bundles/shop/petstore.bundle`"), "{error}");
}

#[test]
fn init_fails_before_lambda_ends_it_when_s3_drips() {
    let s3 = S3::start();
    s3.put(BUCKET, KEY, bundle_bytes(1));
    s3.fault(DRIPS);
    let started = Instant::now();
    let error = start_from_s3(&s3, "").unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert!(
        error.contains("cannot read `s3://bundles/shop/petstore.bundle` to its end within 7s"),
        "{error}"
    );
}

/// One byte at a time, but each so soon that no single wait is long.
const DRIPS: S3Fault = S3Fault::Drips(Duration::from_millis(100));

/// Starts a function whose bundle is too stale after two seconds.
fn short_lived(s3: &S3) -> Function {
    let uri = format!("s3://{BUCKET}/{KEY}");
    start(&[
        ("BUNDLE_URI", &uri),
        ("AWS_ENDPOINT_URL_S3", &s3.endpoint()),
        ("BUNDLE_REFRESH_SECONDS", "1"),
        ("BUNDLE_MAX_STALE_SECONDS", "2"),
    ])
    .unwrap()
}

/// Calls until the function answers again, and returns how long that took.
#[track_caller]
fn until_answered(function: &Function, call: &serde_json::Value) -> Duration {
    let started = Instant::now();
    while effect(function.invoke(call)) != "Allow" {
        assert!(started.elapsed() < Duration::from_secs(30), "{}", function.logs());
        thread::sleep(Duration::from_millis(100));
    }
    started.elapsed()
}

#[test]
fn the_function_answers_again_when_s3_has_dripped_and_recovered() {
    let s3 = S3::start();
    s3.put(BUCKET, KEY, bundle_bytes(1));
    let function = short_lived(&s3);
    let call = event(&token("bob", json!({})), "GET", "/pets");
    assert_eq!(effect(function.invoke(&call)), "Allow");
    s3.put(BUCKET, KEY, bundle_bytes(2));
    s3.fault(DRIPS);
    thread::sleep(Duration::from_secs(4));
    let stale = function.invoke(&call);
    assert!(matches!(&stale, Answer::Error { error_type, .. } if error_type == "bundle-stale"), "{stale:?}");
    s3.fault(S3Fault::None);
    // The body that has begun keeps dripping until the look is given up.
    let recovered = until_answered(&function, &call);
    assert!(recovered < Duration::from_secs(8), "{recovered:?}");
    let Answer::Response(response) = function.invoke(&call) else { panic!("{}", function.logs()) };
    assert_eq!(response["context"]["revision"], 2);
}

/// Lambda freezes all processes of a function. Here timers go on. In Lambda they may or may not.
#[test]
#[cfg(unix)]
fn a_look_that_hangs_when_the_function_is_frozen_is_given_up_by_the_first_call_after_it() {
    let s3 = S3::start();
    s3.put(BUCKET, KEY, bundle_bytes(1));
    let function = short_lived(&s3);
    let call = event(&token("bob", json!({})), "GET", "/pets");
    s3.put(BUCKET, KEY, bundle_bytes(2));
    s3.fault(S3Fault::Hang);
    thread::sleep(Duration::from_secs(1));
    let _ = function.invoke(&call);
    function.freeze();
    thread::sleep(Duration::from_secs(11));
    s3.fault(S3Fault::None);
    function.thaw();
    let Answer::Response(response) = function.invoke(&call) else { panic!("{}", function.logs()) };
    assert_eq!(response["context"]["revision"], 2);
}

#[test]
fn a_shadow_that_drips_neither_stops_the_start_nor_a_call() {
    let s3 = S3::start();
    s3.put(BUCKET, KEY, bundle_bytes(1));
    s3.put(BUCKET, "shadow.bundle", bundle_bytes(2));
    s3.fault_get("shadow.bundle", DRIPS);
    let (uri, shadow) = (format!("s3://{BUCKET}/{KEY}"), format!("s3://{BUCKET}/shadow.bundle"));
    let started = Instant::now();
    let function = start(&[
        ("BUNDLE_URI", &uri),
        ("SHADOW_BUNDLE_URI", &shadow),
        ("AWS_ENDPOINT_URL_S3", &s3.endpoint()),
    ]);
    let function = function.unwrap();
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
    assert!(function.logs().contains("shadow bundle not loaded in time"), "{}", function.logs());
    assert_eq!(effect(function.invoke(&event(&token("bob", json!({})), "GET", "/pets"))), "Allow");
}

#[test]
fn a_bundle_that_was_altered_is_refused() {
    let whole = bundle_bytes(1);
    let mut flipped = whole.clone();
    // The last byte of the last member.
    let last = flipped.len() - 33;
    flipped[last] ^= 1;
    for (bytes, message) in [
        (flipped, "was altered"),
        (whole[..whole.len() - 1].to_vec(), "truncated"),
        ([whole.as_slice(), b"\n"].concat(), "goes on behind its end"),
        (b"<html>".to_vec(), "not a bundle"),
        (Vec::new(), "not a bundle"),
    ] {
        let s3 = S3::start();
        s3.put(BUCKET, KEY, bytes);
        let error = start_from_s3(&s3, "").unwrap_err();
        assert!(error.contains(message), "{message}: {error}");
    }
}

#[test]
fn the_development_key_is_refused_by_default() {
    let uri = format!("file://{}", sample_store().display());
    for value in ["false", ""] {
        let environment =
            [("BUNDLE_URI", uri.as_str()), ("CACHE_KEY", "none"), ("ALLOW_DEVELOPMENT_KEYS", value)];
        let failure = Function::start(FUNCTION, environment).err().unwrap();
        assert!(failure.message.contains("ALLOW_DEVELOPMENT_KEYS"), "{}", failure.message);
    }
    let failure =
        Function::start(FUNCTION, [("BUNDLE_URI", uri.as_str()), ("CACHE_KEY", "none")]).err().unwrap();
    assert!(failure.message.contains("the bundle trusts the development key"), "{}", failure.message);
}

#[test]
fn every_problem_of_the_environment_is_in_one_message() {
    let error = start(&[
        ("BUNDLE_URI", "policies"),
        ("CACHE_KEY", "all"),
        ("BUNDLE_PUBLIC_KEYS", "x"),
        ("USER_POOL_ARN", "us-east-1_EXAMPLE"),
    ])
    .err()
    .unwrap();
    for name in ["BUNDLE_URI", "CACHE_KEY", "BUNDLE_PUBLIC_KEYS", "USER_POOL_ARN"] {
        assert!(error.contains(&format!("\n  {name}: ")), "{error}");
    }
}

#[test]
fn every_problem_of_the_store_is_in_one_message() {
    let store = StoreCopy::new();
    store.write("policies/groups.cedar", b"permit (principal, action, resource) when { ");
    store.write("entities.json", b"[{]");
    let error = start(&[("BUNDLE_URI", &store.uri())]).err().unwrap();
    assert!(error.contains("policies/groups.cedar:1:") && error.contains("entities.json:1:3"), "{error}");

    let error = start(&[("BUNDLE_URI", "file:///no/such/place")]).err().unwrap();
    assert!(error.contains("cannot read `/no/such/place`"), "{error}");
}

#[test]
fn a_bundle_for_another_user_pool_is_refused() {
    let uri = format!("file://{}", sample_store().display());
    let pool = "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_EXAMPLE";
    let with = |arn: &str, clients: &str| {
        start(&[("BUNDLE_URI", &uri), ("USER_POOL_ARN", arn), ("USER_POOL_CLIENT_IDS", clients)]).map(|_| ())
    };
    assert_eq!(with(pool, "other, 1example23456789"), Ok(()));
    for (arn, clients) in [(pool, "other"), (&pool.replace("EXAMPLE", "OTHER"), "1example23456789")] {
        let error = with(arn, clients).unwrap_err();
        assert!(error.contains("identity source `cognito`"), "{error}");
    }
}

#[test]
fn keys_that_are_not_in_the_store_are_fetched_once_in_init() {
    let server = KeyServer::start(development_key_set());
    let store = StoreCopy::with_jwks_uri(&server.uri());
    let function = start(&[("BUNDLE_URI", &store.uri())]).unwrap();
    let bob = token("bob", json!({}));
    for _ in 0..3 {
        assert_eq!(effect(function.invoke(&event(&bob, "GET", "/pets"))), "Allow");
    }
    assert_eq!(server.requests(), 1);
}

#[test]
fn keys_are_fetched_through_the_proxy_that_is_set_and_no_other() {
    let server = KeyServer::start(development_key_set());
    let address = server.issuer().replace("/pool", "");
    let nowhere = "http://127.0.0.1:1";
    let call = event(&token("bob", json!({})), "GET", "/pets");
    // The key server is at the address of the proxy. There is nothing at the address of the keys.
    let behind = StoreCopy::with_jwks_uri(&server.uri().replace(&address, nowhere));
    let function = start(&[("BUNDLE_URI", &behind.uri()), ("JWKS_PROXY", &address)]).unwrap();
    assert_eq!(effect(function.invoke(&call)), "Allow");
    assert_eq!(server.requests(), 1);
    // The proxy settings of the system are for other programs.
    let direct = StoreCopy::with_jwks_uri(&server.uri());
    let system =
        [("BUNDLE_URI", direct.uri()), ("http_proxy", nowhere.to_owned()), ("ALL_PROXY", nowhere.to_owned())];
    let system: Vec<(&str, &str)> = system.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(effect(start(&system).unwrap().invoke(&call)), "Allow");
    assert_eq!(server.requests(), 2);
}

#[test]
fn a_fetched_development_key_is_refused_by_default() {
    let server = KeyServer::start(development_key_set());
    let store = StoreCopy::with_jwks_uri(&server.uri());
    let function = start(&[("BUNDLE_URI", &store.uri()), ("ALLOW_DEVELOPMENT_KEYS", "false")]).unwrap();
    let answer = function.invoke(&event(&token("bob", json!({})), "GET", "/pets"));
    assert!(matches!(answer, Answer::Error { error_type, .. } if error_type == "keys-unavailable"));
}

#[test]
fn a_key_server_at_fault_makes_a_fault_and_never_an_answer() {
    let elsewhere = KeyServer::start(development_key_set());
    for (fault, requests) in [
        (KeyServerFault::Status(500), 2),
        (KeyServerFault::Status(404), 1),
        (KeyServerFault::Redirect(elsewhere.uri()), 1),
        (KeyServerFault::NotJson, 1),
        (KeyServerFault::Huge, 1),
        (KeyServerFault::Slow(Duration::from_secs(5)), 1),
        (KeyServerFault::Drips(Duration::from_millis(50)), 1),
    ] {
        let server = KeyServer::start(development_key_set());
        server.fault(fault);
        let store = StoreCopy::with_jwks_uri(&server.uri());
        let function = start(&[("BUNDLE_URI", &store.uri())]).unwrap();
        for _ in 0..3 {
            let answer = function.invoke(&event(&token("bob", json!({})), "GET", "/pets"));
            assert!(matches!(answer, Answer::Error { error_type, .. } if error_type == "keys-unavailable"));
        }
        // The calls are within the cooldown of the fetch during init.
        assert_eq!(server.requests(), requests);
        assert!(!function.logs().contains("/pool/"), "a URL is in the log");
    }
    assert_eq!(elsewhere.requests(), 0);
}

#[test]
fn a_malformed_event_is_an_error_and_the_function_goes_on() {
    let uri = format!("file://{}", sample_store().display());
    let function = start(&[("BUNDLE_URI", &uri)]).unwrap();
    for event in [
        b"".as_slice(),
        b"not JSON",
        b"null",
        b"[]",
        br#"{"type":"TOKEN"}"#,
        br#"{"type":"TOKEN","methodArn":5}"#,
        br#"{"type":"TOKEN","methodArn":"arn:aws:execute-api:::a/s/GET/"}"#,
    ] {
        let answer = function.invoke(event);
        assert!(matches!(answer, Answer::Error { error_message, .. } if error_message != "Unauthorized"));
    }
    let bob = token("bob", json!({}));
    assert_eq!(effect(function.invoke(&event(&bob, "GET", "/pets"))), "Allow");
}

#[test]
fn a_thousand_events_in_a_row_are_answered_in_flat_memory() {
    let uri = format!("file://{}", sample_store().display());
    let function = start(&[("BUNDLE_URI", &uri)]).unwrap();
    let alice = token("alice", json!({}));
    let run = |count: usize| {
        for number in 0..count {
            let call = event(&alice, "GET", &format!("/pets/{number}"));
            assert_eq!(effect(function.invoke(&call)), "Allow");
        }
    };
    run(200);
    let before = function.resident_kb();
    run(1000);
    let growth = function.resident_kb().saturating_sub(before);
    // A leak of one event would be about a kilobyte. The allocator may still round up by a few pages.
    assert!(growth < 512, "{growth} kB more after a thousand events");
}

#[test]
fn an_init_failure_is_reported_to_the_runtime() {
    let api = RuntimeApi::start();
    let status = std::process::Command::new(FUNCTION)
        .env_clear()
        .env("AWS_LAMBDA_RUNTIME_API", api.address())
        .status()
        .unwrap();
    assert!(!status.success());
    let Init::Failed { error_type, error_message } = api.wait_for_init() else {
        panic!("init did not fail");
    };
    assert_eq!(error_type, "CedarAuthorizer.InitError");
    assert!(error_message.contains("BUNDLE_URI: not set"), "{error_message}");
}

#[test]
fn keys_are_never_asked_of_the_runtime_api() {
    for host in ["127.0.0.1", "localhost", "[::1]", "127.1", "2130706433"] {
        let api = RuntimeApi::start();
        let (_, port) =
            api.address().rsplit_once(':').map(|(host, port)| (host.to_owned(), port.to_owned())).unwrap();
        let store =
            StoreCopy::with_jwks_uri(&format!("http://{host}:{port}/2018-06-01/runtime/invocation/next"));
        let call = event(&token("bob", json!({})), "GET", "/pets");
        let mut function = std::process::Command::new(FUNCTION)
            .env_clear()
            .envs([("AWS_LAMBDA_FUNCTION_NAME", "f"), ("AWS_LAMBDA_FUNCTION_VERSION", "1")])
            .envs([("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"), ("CACHE_KEY", "none")])
            .env("AWS_LAMBDA_RUNTIME_API", api.address())
            .env("BUNDLE_URI", store.uri())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // The event is waiting when the function starts, so whoever asks first gets it.
        let answer = thread::scope(|scope| scope.spawn(|| api.invoke(&call)).join());
        function.kill().unwrap();
        function.wait().unwrap();
        let Ok(Answer::Error { error_type, .. }) = &answer else { panic!("{host}: {answer:?}") };
        assert_eq!(error_type, "keys-unavailable", "{host}");
    }
}

#[test]
fn a_shadow_bundle_is_compared_and_changes_nothing() {
    let served = StoreCopy::new();
    let candidate = StoreCopy::new();
    let policy =
        "@id(\"no-more-lists\") forbid (principal, action == PetStore::Action::\"get /pets\", resource);";
    candidate.write("policies/candidate.cedar", policy.as_bytes());
    let alice = token("alice", json!({}));
    let function = start(&[("BUNDLE_URI", &served.uri()), ("SHADOW_BUNDLE_URI", &candidate.uri())]).unwrap();
    for (path, effect_of_served) in [("/pets", "Allow"), ("/", "Allow")] {
        assert_eq!(effect(function.invoke(&event(&alice, "GET", path))), effect_of_served);
    }
    let logs = function.logs();
    let differences: Vec<&str> =
        logs.lines().filter(|line| line.contains("the shadow bundle differs")).collect();
    let [line] = differences.as_slice() else { panic!("{logs}") };
    for text in ["get /pets", "allowed-by-policy", "forbidden-by-policy", "no-more-lists"] {
        assert!(line.contains(text), "{text}: {line}");
    }

    // A shadow that cannot be loaded costs only a line in the log.
    let function =
        start(&[("BUNDLE_URI", &served.uri()), ("SHADOW_BUNDLE_URI", "file:///no/such.bundle")]).unwrap();
    assert_eq!(effect(function.invoke(&event(&alice, "GET", "/pets"))), "Allow");
    assert!(function.logs().contains("shadow bundle not loaded"), "{}", function.logs());
}
