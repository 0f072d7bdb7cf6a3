//! The life of a bundle in the function: refreshed, refused, too stale. With every fault of S3, and with a clock that
//! the test sets.

use std::thread;
use std::time::{Duration, Instant};

use cedar_authorizer::bundle::signature::PublicKeys;
use cedar_authorizer::bundle::{Bundle, DevelopmentKeys, StoreFiles, Trust};
use cedar_authorizer::function::config::Config;
use cedar_authorizer::function::lambda::Function;
use cedar_authorizer::function::source::current::{Audience, Conditions};
use cedar_authorizer::function::source::{DEFAULT_CACHE_BYTES, Fetcher, LoadFailure};
use cedar_authorizer::function::telemetry::settings::Settings;
use cedar_authorizer::gateway::cache_key::CacheKey;
use cedar_authorizer::gateway::response::SimpleResponses;
use cedar_authorizer::reason::Reason;
use cedar_authorizer::store::build::PrivateKey;
use cedar_authorizer::store::build::{self, Edition};
use cedar_authorizer::store::{Store, directory};
use cedar_authorizer::time::UnixTime;
use serde_json::{Value, json};

use crate::loopback::{KeyServer, KeyServerFault, S3, S3Fault};
use crate::signing::SigningKey;
use crate::world::{Head, Parts, bundle_bytes, event, sample_store, token};

const BUCKET: &str = "bundles";
const KEY: &str = "shop/petstore.bundle";
const START: u64 = 1_800_000_000;

fn at(seconds: u64) -> UnixTime {
    UnixTime::from_seconds(START + seconds)
}

/// Builds the sample store.
pub fn build<'a>(edition: impl Into<Edition<'a>>) -> Vec<u8> {
    let files = directory::read(&sample_store()).unwrap();
    let (store, _) = Store::check(&files);
    build::bundle(&store.unwrap(), &files, edition).unwrap()
}

/// Builds the sample store with one file changed.
pub fn build_changed<'a>(
    path: &str,
    change: impl Fn(&str) -> String,
    edition: impl Into<Edition<'a>>,
) -> Vec<u8> {
    let mut files = directory::read(&sample_store()).unwrap();
    let text = change(std::str::from_utf8(files.get(path).unwrap()).unwrap());
    files.insert(path.to_owned(), text.into_bytes());
    let (store, findings) = Store::check(&files);
    build::bundle(&store.unwrap_or_else(|| panic!("{findings:?}")), &files, edition).unwrap()
}

/// A function under the test's own clock.
struct InProcess {
    runtime: tokio::runtime::Runtime,
    function: Function,
    token: String,
}

#[derive(Default)]
struct Setup<'a> {
    public_keys: Option<&'a PublicKeys>,
    name: Option<&'a str>,
    min_revision: u64,
    fallback: Option<String>,
    shadow: Option<String>,
}

impl InProcess {
    fn start(s3: &S3, setup: &Setup) -> Result<Self, LoadFailure> {
        let config = Config {
            bundle_uri: format!("s3://{BUCKET}/{KEY}").parse().unwrap(),
            fallback_uri: setup.fallback.as_ref().map(|uri| uri.parse().unwrap()),
            shadow_uri: setup.shadow.as_ref().map(|uri| uri.parse().unwrap()),
            tenancy: None,
            conditions: Conditions {
                key_trust: DevelopmentKeys::Allow.into(),
                public_keys: setup.public_keys.cloned(),
                name: setup.name.map(str::to_owned),
                audience: Audience::NoTenant,
                min_revision: setup.min_revision,
                trusted_issuers: None,
                cache_key: CacheKey::None,
                refresh: Duration::from_secs(60),
                max_stale: Duration::from_secs(3600),
            },
            bundle_cache_bytes: DEFAULT_CACHE_BYTES,
            jwks_proxy: None,
            simple_responses: SimpleResponses::Disabled,
            telemetry: Settings::default(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let fetcher = Fetcher::with_s3(config.bundle_uri.clone(), s3.reader());
        let function = runtime.block_on(Function::with_fetcher(fetcher, &config, at(0)))?;
        Ok(Self { runtime, function, token: token("alice", json!({})) })
    }

    /// The revision that answers a call, or the reason why nothing does.
    fn call(&self, seconds: u64) -> Result<u64, Reason> {
        let event = event(&self.token, "GET", "/pets");
        let answer = self.runtime.block_on(self.function.answer(&event.to_string(), at(seconds)));
        let reason = answer.reason();
        let response = answer.into_response().map_err(|_| reason)?;
        let response: Value = serde_json::to_value(response).unwrap();
        assert_eq!(reason, Reason::AllowedByPolicy);
        Ok(response["context"]["revision"].as_u64().unwrap())
    }

    /// Calls until the look that is under way has ended. It makes progress only during calls.
    fn settle(&self, seconds: u64, until: impl Fn(&Self) -> bool) {
        for _ in 0..300 {
            let _ = self.call(seconds);
            if until(self) {
                return;
            }
            self.runtime.block_on(async { tokio::time::sleep(Duration::from_millis(10)).await });
        }
        panic!("nothing came of it");
    }
}

/// Whoever can write a bundle can write anything into it; what would let the wrong tokens in is checked again.
#[test]
fn the_identity_sources_of_a_bundle_are_checked_again_when_it_is_opened() {
    let good = Parts::of(&bundle_bytes(1));
    let source = |parts: &Parts| String::from_utf8(parts.members[1].1.clone()).unwrap();
    assert_eq!(good.members[1].0, "identity-sources/cognito.json");
    let text = source(&good);
    let groups_are_users = text.replace("PetStore::UserGroup", "PetStore::User");
    let other_client = text.replace("1example23456789", "another");
    let other_pool = text.replace("us-east-1_EXAMPLE", "us-east-1_OTHER");
    let same_ids = other_pool.replacen('{', "{\"entityIdPrefix\": \"us-east-1_EXAMPLE|x\",", 1);
    let elsewhere = text.replacen('{', "{\"jwksFile\": \"jwks/other.json\",", 1);
    for (cognito, other, expected) in [
        (text.as_bytes(), None, None),
        (text.as_bytes(), Some(&other_pool), None),
        // Two clients of one pool are told apart by the audience.
        (text.as_bytes(), Some(&other_client), None),
        (b"[{]", None, Some("`identity-sources/cognito.json`: ")),
        (b"\xff", None, Some("not UTF-8")),
        (groups_are_users.as_bytes(), None, Some("users and groups have one type")),
        (elsewhere.as_bytes(), None, Some("there is no key set `jwks/other.json`")),
        (text.as_bytes(), Some(&text), Some("could accept the same tokens")),
        (text.as_bytes(), Some(&same_ids), Some("the id of a user or group of `cognito`")),
    ] {
        let mut parts = Parts::of(&bundle_bytes(1));
        *parts.member("identity-sources/cognito.json") = cognito.to_vec();
        if let Some(other) = other {
            parts.members.insert(2, ("identity-sources/other.json".to_owned(), other.as_bytes().to_vec()));
        }
        let opened = Bundle::open(parts.together(), DevelopmentKeys::Allow);
        match (opened, expected) {
            (Ok(bundle), None) => {
                assert_eq!(bundle.identity_sources().len(), 1 + usize::from(other.is_some()))
            }
            (Err(error), Some(expected)) => {
                assert_eq!(error.code(), "bundle-invalid");
                assert!(error.to_string().contains(expected), "{error}");
            }
            (opened, expected) => panic!("{expected:?}: {opened:?}"),
        }
    }
    for (keys, expected) in
        [(&b"["[..], "`jwks/cognito.json`: "), (br#"{"keys": []}"#, "no key of the set can be used")]
    {
        let mut parts = Parts::of(&bundle_bytes(1));
        *parts.member("jwks/cognito.json") = keys.to_vec();
        let error = Bundle::open(parts.together(), DevelopmentKeys::Allow).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    let mut parts = Parts::of(&bundle_bytes(1));
    parts.members.retain(|(path, _)| !path.starts_with("identity-sources/"));
    let error = Bundle::open(parts.together(), DevelopmentKeys::Allow).unwrap_err();
    assert!(error.to_string().contains("there is no identity source"), "{error}");
}

#[test]
fn a_new_revision_is_in_force_within_the_interval_and_one_request_is_all_it_takes() {
    let s3 = S3::start();
    s3.put(BUCKET, KEY, build(1));
    let function = InProcess::start(&s3, &Setup::default()).unwrap();
    assert_eq!((function.call(1), s3.requests()), (Ok(1), 1));
    s3.put(BUCKET, KEY, build(2));
    // No look is due, so nobody asks S3.
    assert_eq!((function.call(50), s3.requests()), (Ok(1), 1));
    function.settle(60, |function| function.call(60) == Ok(2));
    assert_eq!(s3.requests(), 2);
    // Unchanged: a conditional request, and an answer without a body.
    function.settle(121, |_| s3.requests() == 3);
    assert_eq!((function.call(121), s3.requests()), (Ok(2), 3));
    assert_eq!(function.function.current().unwrap().last_failure(), None);
}

#[test]
fn a_slow_s3_costs_a_call_no_more_than_its_budget() {
    let s3 = S3::start();
    s3.put(BUCKET, KEY, build(1));
    let function = InProcess::start(&s3, &Setup::default()).unwrap();
    s3.put(BUCKET, KEY, build(2));
    s3.fault(S3Fault::Slow(Duration::from_millis(400)));
    // The look is under way, and calls are still answered. There is only one look at a time.
    assert_eq!(function.call(60), Ok(1));
    assert_eq!(function.call(61), Ok(1));
    function.settle(62, |function| function.call(62) == Ok(2));
    assert_eq!(s3.requests(), 2);
}

/// Every kind of unusable bundle, with its code. `ended` is a time in the past.
pub fn faults(signer: &PrivateKey, ended: UnixTime) -> Vec<(&'static str, Vec<u8>)> {
    let stranger = PrivateKey::generate().unwrap();
    let signed = |edition: Edition| build(edition);
    let good = || {
        signed(Edition { revision: 1000, signing_keys: std::slice::from_ref(signer), ..Edition::default() })
    };
    let flipped = |at: usize| {
        let mut bytes = good();
        bytes[at] ^= 1;
        bytes
    };
    let length = good().len();
    vec![
        ("bundle-altered", flipped(length - 33)),
        ("bundle-altered", flipped(200)),
        ("bundle-truncated", [good(), vec![0]].concat()),
        ("bundle-truncated", flipped(length - 1)),
        ("bundle-truncated", good()[..length / 2].to_vec()),
        ("bundle-format", flipped(24)),
        ("bundle-invalid", b"not a bundle".to_vec()),
        ("bundle-invalid", Vec::new()),
        ("bundle-unsigned", build(1000)),
        (
            "bundle-untrusted",
            signed(Edition {
                revision: 1000,
                signing_keys: std::slice::from_ref(&stranger),
                ..Edition::default()
            }),
        ),
        (
            "bundle-expired",
            signed(Edition {
                revision: 1000,
                not_after: Some(ended),
                signing_keys: std::slice::from_ref(signer),
                ..Edition::default()
            }),
        ),
        ("bundle-revision-too-high", {
            let mut parts = Parts::of(&build(1000));
            parts.manifest["revision"] = u64::MAX.into();
            parts.together()
        }),
        ("bundle-name-mismatch", {
            let name = |text: &str| text.replace("name = \"petstore\"", "name = \"kennel\"");
            let edition =
                Edition { revision: 1000, signing_keys: std::slice::from_ref(signer), ..Edition::default() };
            build_changed("store.toml", name, edition)
        }),
        (
            "bundle-tenant-mismatch",
            signed(Edition {
                revision: 1000,
                tenant: Some(&"acme".parse().unwrap()),
                signing_keys: std::slice::from_ref(signer),
                ..Edition::default()
            }),
        ),
        (
            "bundle-revision-too-low",
            signed(Edition { revision: 1, signing_keys: std::slice::from_ref(signer), ..Edition::default() }),
        ),
    ]
}

/// Faults of S3, each with its code and the number of requests of a cold start.
pub const FAULTS_OF_S3: [(S3Fault, &str, usize); 5] = [
    (S3Fault::Forbidden, "bundle-denied", 1),
    (S3Fault::NotFound, "bundle-missing", 1),
    (S3Fault::InternalError, "bundle-unreachable", 3),
    (S3Fault::Reset, "bundle-unreachable", 3),
    (S3Fault::Truncated, "bundle-interrupted", 3),
];

#[test]
fn whatever_is_wrong_at_a_refresh_the_last_good_bundle_serves_and_the_next_good_one_follows() {
    let signer = PrivateKey::generate().unwrap();
    let keys: PublicKeys = signer.public_key().to_string().parse().unwrap();
    let edition =
        |revision| Edition { revision, signing_keys: std::slice::from_ref(&signer), ..Edition::default() };
    let s3 = S3::start();
    s3.put(BUCKET, KEY, build(edition(2)));
    let setup =
        Setup { public_keys: Some(&keys), name: Some("petstore"), min_revision: 2, ..Setup::default() };
    let function = InProcess::start(&s3, &setup).unwrap();
    let (mut now, mut revision, mut requests) = (0, 2, 1);

    let bundles = faults(&signer, at(0)).into_iter().map(|(code, bytes)| (S3Fault::None, code, Some(bytes)));
    let of_s3 = FAULTS_OF_S3.into_iter().map(|(fault, code, _)| (fault, code, None));
    for (fault, code, bytes) in bundles.chain(of_s3) {
        // An empty object has no last bytes, so it is asked for once more.
        let looks = 1 + usize::from(bytes.as_ref().is_some_and(Vec::is_empty));
        s3.put(BUCKET, KEY, bytes.unwrap_or_else(|| build(edition(revision + 1))));
        s3.fault(fault);
        now += 61;
        function.settle(now, |function| function.function.current().unwrap().last_failure() == Some(code));
        requests += looks;
        assert_eq!((function.call(now), s3.requests()), (Ok(revision), requests), "{code}");
        // It is tried again only after a while, and an object that is known to be bad is not read again.
        now += 6;
        function.settle(now, |_| s3.requests() == requests + 1);
        requests += 1;
        assert_eq!(function.call(now), Ok(revision), "{code}");

        s3.fault(S3Fault::None);
        revision += 1;
        s3.put(BUCKET, KEY, build(edition(revision)));
        now += 61;
        function.settle(now, |function| function.call(now) == Ok(revision));
        requests += 1;
        assert_eq!(s3.requests(), requests, "{code}");
    }
}

#[test]
fn whatever_is_wrong_at_a_cold_start_has_a_code_and_the_fallback_serves_if_there_is_one() {
    let signer = PrivateKey::generate().unwrap();
    let keys: PublicKeys = signer.public_key().to_string().parse().unwrap();
    let edition =
        |revision| Edition { revision, signing_keys: std::slice::from_ref(&signer), ..Edition::default() };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fallback.bundle");
    std::fs::write(&file, build(edition(5))).unwrap();

    let bundles = faults(&signer, at(0)).into_iter().map(|(code, bytes)| {
        // An empty object has no last bytes, so it is asked for once more.
        (S3Fault::None, code, 1 + usize::from(bytes.is_empty()), Some(bytes))
    });
    let of_s3 = FAULTS_OF_S3.into_iter().map(|(fault, code, requests)| (fault, code, requests, None));
    for (fault, code, requests, bytes) in bundles.chain(of_s3) {
        let s3 = S3::start();
        s3.put(BUCKET, KEY, bytes.unwrap_or_else(|| build(edition(6))));
        s3.fault(fault);
        let mut setup =
            Setup { public_keys: Some(&keys), name: Some("petstore"), min_revision: 2, ..Setup::default() };
        let failure = InProcess::start(&s3, &setup).err().unwrap_or_else(|| panic!("{code}"));
        assert_eq!((failure.code(), s3.requests()), (code, requests), "{failure}");

        setup.fallback = Some(format!("file://{}", file.display()));
        let function = InProcess::start(&s3, &setup).unwrap();
        assert_eq!(function.call(1), Ok(5), "{code}");
        // The function looks again, and finds the bundle once it is there.
        s3.fault(S3Fault::None);
        s3.put(BUCKET, KEY, build(edition(6)));
        function.settle(60, |function| function.call(60) == Ok(6));
    }
}

#[test]
fn without_s3_the_last_good_bundle_serves_for_so_long_and_then_nothing_is_allowed() {
    let s3 = S3::start();
    s3.put(BUCKET, KEY, build(1));
    let function = InProcess::start(&s3, &Setup::default()).unwrap();
    s3.fault(S3Fault::Reset);
    for seconds in (60..=3600).step_by(60) {
        assert_eq!(function.call(seconds), Ok(1), "{seconds}");
    }
    // Once a minute, and no request is repeated.
    assert!(s3.requests() <= 1 + 60 + 5, "{}", s3.requests());
    assert_eq!(function.call(3601), Err(Reason::BundleStale));
    // As soon as S3 is back, within the call that needs the bundle.
    s3.fault(S3Fault::None);
    function.settle(3700, |function| function.call(3700) == Ok(1));
}

#[test]
fn a_bundle_past_its_time_is_as_one_that_is_too_stale() {
    let s3 = S3::start();
    s3.put(BUCKET, KEY, build(Edition { revision: 1, not_after: Some(at(100)), ..Edition::default() }));
    let function = InProcess::start(&s3, &Setup::default()).unwrap();
    assert_eq!(function.call(99), Ok(1));
    assert_eq!(function.call(100), Err(Reason::BundleStale));
    s3.put(BUCKET, KEY, build(2));
    function.settle(200, |function| function.call(200) == Ok(2));
}

#[test]
fn a_function_that_slept_for_long_asks_before_it_answers() {
    let s3 = S3::start();
    s3.put(BUCKET, KEY, build(1));
    let function = InProcess::start(&s3, &Setup::default()).unwrap();
    s3.put(BUCKET, KEY, build(2));
    s3.fault(S3Fault::Slow(Duration::from_millis(200)));
    assert_eq!(function.call(100_000), Ok(2));
}

/// Slow enough that a bundle takes minutes, but no single read waits for long.
const DRIPS: S3Fault = S3Fault::Drips(Duration::from_millis(100));

#[test]
fn a_body_that_drips_is_given_up_at_a_cold_start_and_the_fallback_serves() {
    let s3 = S3::start();
    s3.put(BUCKET, KEY, build(6));
    s3.fault(DRIPS);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fallback.bundle");
    std::fs::write(&file, build(5)).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let started = Instant::now();
            let failure = InProcess::start(&s3, &Setup::default()).err().unwrap();
            assert_eq!(failure.code(), "bundle-too-slow", "{failure}");
            // Lambda gives the init phase ten seconds.
            assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
        });
        scope.spawn(|| {
            let fallback = Some(format!("file://{}", file.display()));
            let function = InProcess::start(&s3, &Setup { fallback, ..Setup::default() }).unwrap();
            assert_eq!(function.call(1), Ok(5));
            s3.fault(S3Fault::None);
            function.settle(60, |function| function.call(60) == Ok(6));
        });
    });
    assert_eq!(s3.requests(), 3);
}

#[test]
fn a_look_that_drips_holds_up_no_call_that_can_do_without_and_the_next_one_follows() {
    let s3 = S3::start();
    s3.put(BUCKET, KEY, build(1));
    let function = InProcess::start(&s3, &Setup::default()).unwrap();
    s3.put(BUCKET, KEY, build(2));
    s3.fault(DRIPS);
    for seconds in 60..70 {
        let started = Instant::now();
        assert_eq!(function.call(seconds), Ok(1));
        assert!(started.elapsed() < Duration::from_secs(1), "{seconds}: {:?}", started.elapsed());
    }
    assert_eq!(s3.requests(), 2);
    s3.fault(S3Fault::None);
    // The clock of timers has hardly moved, as in a freeze. By the wall clock the look took too long.
    function.settle(130, |function| function.call(130) == Ok(2));
    assert_eq!(s3.requests(), 3);
}

#[test]
fn a_function_without_a_bundle_that_may_serve_recovers_with_s3_whichever_clock_goes_on() {
    let stale = || {
        let s3 = S3::start();
        s3.put(BUCKET, KEY, build(1));
        let function = InProcess::start(&s3, &Setup::default()).unwrap();
        s3.put(BUCKET, KEY, build(2));
        s3.fault(DRIPS);
        assert_eq!(function.call(3700), Err(Reason::BundleStale));
        s3.fault(S3Fault::None);
        (s3, function)
    };
    thread::scope(|scope| {
        // The clock of timers stood still in a freeze: the first call after it is answered.
        scope.spawn(|| {
            let (s3, function) = stale();
            assert_eq!(function.call(3705), Err(Reason::BundleStale));
            assert_eq!(function.call(3711), Ok(2));
            assert_eq!(s3.requests(), 3);
        });
        // The wall clock stands still: answered within the rest of the seven seconds.
        scope.spawn(|| {
            let (s3, function) = stale();
            let started = Instant::now();
            while function.call(3705) != Ok(2) {
                assert!(started.elapsed() < Duration::from_secs(6), "still stale");
            }
            assert_eq!(s3.requests(), 3);
        });
    });
}

#[test]
fn whatever_failed_while_nothing_could_serve_s3_is_asked_again_within_five_seconds() {
    let s3 = S3::start();
    s3.put(BUCKET, KEY, build(1));
    let function = InProcess::start(&s3, &Setup::default()).unwrap();
    s3.fault(S3Fault::Reset);
    // After this many failures a look is due once a minute.
    for seconds in (4000..4060).step_by(5) {
        assert_eq!(function.call(seconds), Err(Reason::BundleStale), "{seconds}");
        assert_eq!(function.call(seconds + 4), Err(Reason::BundleStale), "{seconds}");
    }
    // Two attempts each, and no more.
    assert_eq!(s3.requests(), 1 + 2 * 12);
    s3.fault(S3Fault::None);
    assert_eq!(function.call(4060), Ok(1));
}

#[test]
fn a_bundle_is_not_taken_for_the_one_in_use_because_its_look_was_given_up() {
    let key = SigningKey::p256();
    let server = KeyServer::start(json!({"keys": [key.jwk("k")]}));
    server.fault(KeyServerFault::Drips(Duration::from_millis(100)));
    let s3 = S3::start();
    s3.put(BUCKET, KEY, build(1));
    let function = InProcess::start(&s3, &Setup::default()).unwrap();
    // Its keys have to be fetched, and the function is frozen during that fetch.
    let mut files = directory::read(&sample_store()).unwrap();
    let source = json!({
        "principalEntityType": "PetStore::User",
        "configuration": {"openIdConnectConfiguration": {
            "issuer": server.issuer(), "entityIdPrefix": "provider",
            "tokenSelection": {"accessTokenOnly": {"audiences": ["api"]}}
        }}
    });
    files.insert("identity-sources/provider.json".to_owned(), source.to_string().into());
    let (store, findings) = Store::check(&files);
    let store = store.unwrap_or_else(|| panic!("{findings:?}"));
    s3.put(BUCKET, KEY, build::bundle(&store, &files, 2).unwrap());
    assert_eq!(function.call(60), Ok(1));
    function.settle(61, |_| server.requests() == 1);
    assert_eq!(function.call(62), Ok(1));
    server.fault(KeyServerFault::None);
    function.settle(130, |function| function.call(130) == Ok(2));
}

#[test]
fn what_is_no_answer_of_s3_is_a_failure_of_its_own_at_a_refresh_and_at_a_cold_start() {
    let s3 = S3::start();
    s3.put(BUCKET, KEY, build(1));
    let function = InProcess::start(&s3, &Setup::default()).unwrap();
    s3.put(BUCKET, KEY, build(2));
    let mut now = 0;
    for (fault, code) in [
        (S3Fault::Answer(404, ""), "bundle-unreachable"),
        (S3Fault::Answer(404, "<html>Not Found</html>"), "bundle-unreachable"),
        (S3Fault::Error(404, "NoSuchKey"), "bundle-missing"),
        (S3Fault::Error(404, "NoSuchBucket"), "bundle-missing"),
        (S3Fault::Error(404, "NoSuchWebsiteConfiguration"), "bundle-unreachable"),
    ] {
        s3.fault(fault);
        now += 100;
        function.settle(now, |function| function.function.current().unwrap().last_failure() == Some(code));
        assert_eq!(function.call(now), Ok(1), "{code}");
        assert_eq!(InProcess::start(&s3, &Setup::default()).err().unwrap().code(), code);
        s3.fault(S3Fault::None);
        s3.remove(BUCKET, KEY);
        s3.put(BUCKET, KEY, build(1));
        now += 100;
        function.settle(now, |function| function.function.current().unwrap().last_failure().is_none());
    }
}

/// The sample store, and the same with one more permit policy: every customer may add pets.
fn two_stores() -> [(Store, StoreFiles); 2] {
    let files = directory::read(&sample_store()).unwrap();
    let mut more = files.clone();
    let policy = "@id(\"more\") permit (principal, action == PetStore::Action::\"post /pets\", resource);";
    more.insert("policies/more.cedar".to_owned(), policy.as_bytes().to_vec());
    [files, more].map(|files| (Store::check(&files).0.unwrap(), files))
}

/// `SOAK_CALLS=100000` makes a thousand changes. Without it, the test does the same in small.
#[test]
fn a_soak_with_a_failing_s3_answers_every_call_as_its_revision_says() {
    let calls: u64 = std::env::var("SOAK_CALLS").map_or(3_000, |calls| calls.parse().unwrap());
    let stores = two_stores();
    let bundle = |revision: u64| {
        let (store, files) = &stores[usize::from(revision.is_multiple_of(2))];
        build::bundle(store, files, revision).unwrap()
    };
    let s3 = S3::start();
    s3.put(BUCKET, KEY, bundle(1));
    let function = InProcess::start(&s3, &Setup::default()).unwrap();
    let bob = token("bob", json!({}));
    let (mut seen, mut resident) = (1, None);
    for call in 1..=calls {
        let now = at(call * 6);
        if call.is_multiple_of(100) {
            // The loopback S3 is in this process too, and keeps every version of an object.
            s3.remove(BUCKET, KEY);
            s3.put(BUCKET, KEY, bundle(1 + call / 100));
        }
        s3.fault(if s3.requests() % 7 == 6 { S3Fault::Reset } else { S3Fault::None });
        let answer = function
            .runtime
            .block_on(function.function.answer(&event(&bob, "POST", "/pets").to_string(), now));
        let reason = answer.reason();
        let response = answer.into_response().unwrap_or_else(|_| panic!("call {call}: {reason}"));
        let response = serde_json::to_value(response).unwrap();
        let revision = response["context"]["revision"].as_u64().unwrap();
        assert!(revision >= seen, "call {call}: from {seen} back to {revision}");
        seen = revision;
        let expected =
            if revision.is_multiple_of(2) { Reason::AllowedByPolicy } else { Reason::NoMatchingPermit };
        assert_eq!(reason, expected, "call {call}, revision {revision}");
        if call == calls / 2 {
            resident = resident_kb();
        }
    }
    assert!(seen >= calls / 100 - 1, "{seen}");
    if calls >= 100_000 {
        let grown = resident_kb().unwrap() - resident.unwrap();
        assert!(grown < 1024, "{grown} kB in the second half");
    }
}

/// The memory that this process holds, with all that the test itself has in it.
pub fn resident_kb() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[test]
fn every_flipped_byte_of_a_signed_bundle_is_refused() {
    let signer = PrivateKey::generate().unwrap();
    let keys: PublicKeys = signer.public_key().to_string().parse().unwrap();
    let bytes =
        build(Edition { revision: 1, signing_keys: std::slice::from_ref(&signer), ..Edition::default() });
    let trust = || Trust { development_keys: DevelopmentKeys::Allow, public_keys: Some(&keys) };
    assert!(Bundle::open(bytes.clone(), trust()).is_ok());
    // Every byte of hashes, manifest and signatures, and some bytes of the rest.
    let Head { sections: [.., signatures, _], hashes: [first, ..], .. } = Head::of(&bytes);
    let head = first.start - 4..signatures.end;
    for at in head.clone().chain((0..head.start).step_by(97)).chain((head.end..bytes.len()).step_by(97)) {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        assert!(Bundle::open(changed.clone(), trust()).is_err(), "byte {at}");
    }
    for length in (0..bytes.len()).step_by(101) {
        assert!(Bundle::open(bytes[..length].to_vec(), trust()).is_err(), "{length} bytes");
    }
}

#[test]
fn a_bundle_of_another_store_is_used_nowhere() {
    let kennel = |revision: u64| {
        build_changed("store.toml", |text| text.replace("name = \"petstore\"", "name = \"kennel\""), revision)
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("other.bundle");
    std::fs::write(&file, kennel(5)).unwrap();
    let uri = Some(format!("file://{}", file.display()));
    let s3 = S3::start();
    let start = |name: Option<&'static str>, fallback: &Option<String>, shadow: &Option<String>| {
        let setup = Setup { name, fallback: fallback.clone(), shadow: shadow.clone(), ..Setup::default() };
        InProcess::start(&s3, &setup)
    };
    let code = |started: Result<InProcess, LoadFailure>| started.err().map(|failure| failure.code());

    s3.put(BUCKET, KEY, kennel(1));
    assert_eq!(code(start(None, &None, &None)), None);
    assert_eq!(code(start(Some("kennel"), &None, &None)), None);
    for name in ["petstore", "Kennel", "kennel ", "kenne", "kennels", "*"] {
        assert_eq!(code(start(Some(name), &None, &None)), Some("bundle-name-mismatch"), "{name}");
    }
    // The fallback must have the right name too.
    assert_eq!(code(start(Some("petstore"), &uri, &None)), Some("bundle-name-mismatch"));
    s3.put(BUCKET, KEY, b"broken".as_slice());
    assert_eq!(code(start(Some("petstore"), &uri, &None)), Some("bundle-name-mismatch"));
    assert_eq!(start(Some("kennel"), &uri, &None).unwrap().call(1), Ok(5));
    // A shadow with another name does not stop the start.
    s3.put(BUCKET, KEY, build(1));
    let function = start(Some("petstore"), &None, &uri).unwrap();
    assert_eq!(function.call(1), Ok(1));
    // At a refresh, a bundle with another name is refused too.
    s3.put(BUCKET, KEY, kennel(2));
    let current = function.function.current().unwrap();
    function.settle(61, |_| current.last_failure() == Some("bundle-name-mismatch"));
    assert_eq!(function.call(62), Ok(1));
}
