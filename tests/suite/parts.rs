//! Large bundles in S3: what the function fetches of them, and that it answers as if it had all of them.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cedar_authorizer::bundle::DevelopmentKeys;
use cedar_authorizer::function::config::Config;
use cedar_authorizer::function::lambda::{Answer, Function};
use cedar_authorizer::function::source::current::{Audience, Conditions};
use cedar_authorizer::function::source::{Fetcher, LoadFailure};
use cedar_authorizer::function::telemetry::settings::Settings;
use cedar_authorizer::gateway::cache_key::CacheKey;
use cedar_authorizer::gateway::response::SimpleResponses;
use cedar_authorizer::reason::Reason;
use cedar_authorizer::store::{Store, build, directory};
use cedar_authorizer::time::UnixTime;
use serde_json::{Value, json};

use crate::bundle_life::resident_kb;
use crate::loopback::{RangeFault, S3, S3Fault};
use crate::signing::SigningKey;
use crate::world::{Parts, event, sample_store, token};

const BUCKET: &str = "bundles";
const KEY: &str = "large.bundle";

fn at(seconds: u64) -> UnixTime {
    UnixTime::from_seconds(1_800_000_000 + seconds)
}

/// So many users are named by a policy.
const USERS: usize = 8000;

fn user(number: usize) -> String {
    // Neighbours of one call are in different chunks.
    format!("{:08x}", number.wrapping_mul(2_654_435_761) & 0xffff_ffff)
}

/// The sample store with a policy for each user, and groups in groups. Users whose number has the remainder of the revision
/// are forbidden.
fn large(revision: u64) -> Vec<u8> {
    // In a debug build one takes some seconds.
    static KNOWN: Mutex<BTreeMap<u64, Vec<u8>>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap();
    known.entry(revision).or_insert_with(|| build_large(revision, 500)).clone()
}

/// So many policies are in each file.
fn build_large(revision: u64, in_file: usize) -> Vec<u8> {
    let mut files = directory::read(&sample_store()).unwrap();
    files.insert("jwks/cognito.json".to_owned(), json!({"keys": [KEY_PAIR.jwk("k")]}).to_string().into());
    let policy = |number: usize| {
        let principal = format!("PetStore::User::\"us-east-1_EXAMPLE|{}\"", user(number));
        match number as u64 % 5 {
            remainder if remainder == revision % 5 => {
                format!("forbid (principal == {principal}, action, resource);\n")
            }
            1 => format!(
                "permit (principal == {principal}, action == PetStore::Action::\"get /pets\", resource) \
                 when {{ context.token.client_id == \"{number}\" }};\n"
            ),
            _ => format!("permit (principal == {principal}, action, resource);\n"),
        }
    };
    for file in 0..USERS / in_file {
        let text: String = (file * in_file..(file + 1) * in_file).map(policy).collect();
        files.insert(format!("policies/users/{file}.cedar"), text.into_bytes());
    }
    let store = Store::open(&files).unwrap();
    build::bundle(&store, &files, revision).unwrap()
}

struct InProcess {
    runtime: tokio::runtime::Runtime,
    function: Function,
}

impl InProcess {
    fn start(s3: &S3, bundle_cache_bytes: u64, cache_key: CacheKey) -> Self {
        Self::of(&format!("s3://{BUCKET}/{KEY}"), s3, bundle_cache_bytes, cache_key)
    }

    fn of(uri: &str, s3: &S3, bundle_cache_bytes: u64, cache_key: CacheKey) -> Self {
        Self::try_start(uri, s3, bundle_cache_bytes, cache_key).unwrap()
    }

    fn try_start(
        uri: &str,
        s3: &S3,
        bundle_cache_bytes: u64,
        cache_key: CacheKey,
    ) -> Result<Self, LoadFailure> {
        let config = Config {
            bundle_uri: uri.parse().unwrap(),
            fallback_uri: None,
            shadow_uri: None,
            tenancy: None,
            conditions: Conditions {
                key_trust: DevelopmentKeys::Allow.into(),
                public_keys: None,
                name: None,
                audience: Audience::NoTenant,
                min_revision: 0,
                trusted_issuers: None,
                cache_key,
                refresh: Duration::from_secs(60),
                max_stale: Duration::from_secs(3600),
            },
            bundle_cache_bytes,
            jwks_proxy: None,
            simple_responses: SimpleResponses::Disabled,
            telemetry: Settings::default(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let fetcher = Fetcher::with_s3(config.bundle_uri.clone(), s3.reader());
        let function = runtime.block_on(Function::with_fetcher(fetcher, &config, at(0)))?;
        Ok(Self { runtime, function })
    }

    fn answer(&self, token: &str, path: &str, seconds: u64) -> Answer {
        let event = event(token, "GET", path).to_string();
        self.runtime.block_on(self.function.answer(&event, at(seconds)))
    }

    fn reason(&self, number: usize, seconds: u64) -> Reason {
        self.answer(&of_user(number), "/pets", seconds).reason()
    }
}

static KEY_PAIR: LazyLock<SigningKey> = LazyLock::new(SigningKey::rsa);

/// The claims of a user of the sample store.
static CLAIMS: LazyLock<Value> = LazyLock::new(|| {
    let token = token("alice", json!({"cognito:groups": []}));
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
});

fn of_user(number: usize) -> String {
    let mut claims = CLAIMS.clone();
    claims["sub"] = user(number).into();
    KEY_PAIR.token(&json!({"alg": "RS256", "kid": "k"}), &claims)
}

/// The response as JSON, or the reason of a fault.
fn said(answer: Answer) -> Result<Value, Reason> {
    let reason = answer.reason();
    answer.into_response().map(|response| serde_json::to_value(response).unwrap()).map_err(|_| reason)
}

#[test]
fn a_large_bundle_is_answered_from_as_if_all_of_it_were_here() {
    let (s3, folder) = (S3::start(), tempfile::tempdir().unwrap());
    let bytes = large(7);
    let path = folder.path().join(KEY);
    std::fs::write(&path, &bytes).unwrap();
    s3.put(BUCKET, KEY, bytes.clone());
    for cache_key in [CacheKey::None, CacheKey::Token] {
        // Without room in the cache, every call fetches what it needs.
        for cache_bytes in [0, 16 << 20] {
            let away = InProcess::start(&s3, cache_bytes, cache_key.clone());
            let file =
                InProcess::of(&format!("file://{}", path.display()), &s3, cache_bytes, cache_key.clone());
            let mut allowed = 0;
            for round in 0..60_usize {
                let number = round * 131 % (USERS + 300);
                let token = of_user(number);
                let path = ["/pets", "/pets/1", "/nothing", "/"][round % 4];
                let (of_away, of_file) = (away.answer(&token, path, 1), file.answer(&token, path, 1));
                allowed += usize::from(of_away.reason() == Reason::AllowedByPolicy);
                assert_eq!(said(of_away), said(of_file), "{number} {path}");
            }
            assert!(allowed > 10, "{allowed}");
        }
    }
}

#[test]
fn a_start_fetches_the_end_and_a_call_what_it_needs() {
    let s3 = S3::start();
    let bytes = large(7);
    s3.put(BUCKET, KEY, bytes.clone());
    let function = InProcess::start(&s3, 16 << 20, CacheKey::None);
    assert_eq!((s3.requests(), s3.sent()), (1, 512 * 1024));
    assert_eq!(function.reason(8, 1), Reason::AllowedByPolicy);
    let (requests, sent) = (s3.requests(), s3.sent());
    assert!(requests <= 3, "{requests}");
    assert!(sent < bytes.len() / 2, "{sent} of {}", bytes.len());
    // The same caller needs nothing more, nor does somebody whose policies stand next to theirs.
    assert_eq!(function.reason(8, 1), Reason::AllowedByPolicy);
    assert_eq!(s3.requests(), requests);

    // A new revision with the same chunks: only the end is fetched.
    s3.put(BUCKET, KEY, bytes.clone());
    s3.put(BUCKET, KEY, bytes);
    assert_eq!(function.reason(8, 100), Reason::AllowedByPolicy);
    assert_eq!(s3.requests(), requests + 1);
}

#[test]
fn whatever_goes_wrong_with_a_part_it_never_leads_to_an_allow_and_the_next_call_is_right() {
    let faults = [
        S3Fault::Forbidden,
        S3Fault::InternalError,
        S3Fault::Error(404, "NoSuchVersion"),
        S3Fault::Truncated,
        S3Fault::Reset,
        S3Fault::Hang,
        S3Fault::Drips(Duration::from_millis(50)),
        S3Fault::Range(RangeFault::NoContentRange),
        S3Fault::Range(RangeFault::ContentRange("bytes 0-1/2")),
        S3Fault::Range(RangeFault::Later),
        S3Fault::Range(RangeFault::Shorter),
        S3Fault::Range(RangeFault::BodyShorter),
        S3Fault::Range(RangeFault::BodyLonger),
        S3Fault::Range(RangeFault::OtherTag),
        S3Fault::Range(RangeFault::IgnoredOfAnother),
    ];
    let s3 = S3::start();
    s3.put(BUCKET, KEY, large(7));
    // Without room for chunks, only what was read of them stays.
    let function = InProcess::start(&s3, 0, CacheKey::None);
    // Permitted without conditions.
    let mut permitted = (0..USERS).filter(|number| [0, 3, 4].contains(&(number % 5))).step_by(101);
    let mut away = || {
        s3.fault(S3Fault::Forbidden);
        permitted.find(|number| function.reason(*number, 1) == Reason::BundleAway).unwrap()
    };
    let here = (0..).find(|number| function.reason(*number, 1) == Reason::AllowedByPolicy).unwrap();
    for fault in faults {
        let number = away();
        s3.fault(fault);
        assert_eq!(function.reason(number, 1), Reason::BundleAway, "{fault:?}");
        s3.fault(S3Fault::None);
        assert_eq!(function.reason(number, 1), Reason::AllowedByPolicy, "{fault:?}");
    }
    // What is here does not need S3.
    s3.fault(S3Fault::Forbidden);
    assert_eq!(function.reason(here, 1), Reason::AllowedByPolicy);
}

/// 404 and 412 say that there is another object now. What else goes wrong does not.
#[test]
fn the_next_call_looks_for_a_new_bundle_only_if_the_old_one_is_gone() {
    let s3 = S3::start();
    s3.put(BUCKET, KEY, large(7));
    let requests_for = |function: &InProcess, number: usize| {
        let before = s3.requests();
        assert_eq!(function.reason(number, 1), Reason::AllowedByPolicy);
        s3.requests() - before
    };
    let faults = [
        (S3Fault::Error(404, "NoSuchKey"), 1),
        (S3Fault::Error(404, "NoSuchVersion"), 1),
        (S3Fault::Error(412, "PreconditionFailed"), 1),
        (S3Fault::Forbidden, 0),
        (S3Fault::InternalError, 0),
        (S3Fault::Truncated, 0),
    ];
    for (fault, looks) in faults {
        let function = InProcess::start(&s3, 0, CacheKey::None);
        let mut permitted = (0..USERS).filter(|number| number % 5 == 0).step_by(101);
        s3.fault(fault);
        let number = permitted.find(|number| function.reason(*number, 1) == Reason::BundleAway).unwrap();
        s3.fault(S3Fault::None);
        let parts = requests_for(&InProcess::start(&s3, 0, CacheKey::None), number);
        assert_eq!(requests_for(&function, number), parts + looks, "{fault:?}");
    }
}

/// The names of all files are in the end of the bundle, of which the function asks for half a megabyte at first.
#[test]
fn an_end_that_is_longer_than_what_is_asked_for_is_fetched_in_two_parts() {
    let s3 = S3::start();
    let (small, long) = (large(7), build_large(7, 1));
    s3.put(BUCKET, KEY, long.clone());
    let function = InProcess::start(&s3, 16 << 20, CacheKey::None);
    assert_eq!(s3.requests(), 2);
    assert!(s3.sent() > 600 * 1024 && s3.sent() < long.len() / 2, "{} of {}", s3.sent(), long.len());
    let other = S3::start();
    other.put(BUCKET, KEY, small);
    let expected = InProcess::start(&other, 16 << 20, CacheKey::None);
    for number in (0..USERS).step_by(997) {
        assert_eq!(function.reason(number, 1), expected.reason(number, 1), "{number}");
    }
    // Whatever goes wrong with the rest of the end, there is no function.
    for fault in [S3Fault::Forbidden, S3Fault::Truncated, S3Fault::Range(RangeFault::OtherTag)] {
        s3.fault_gets(KEY, &[S3Fault::None, fault, fault, fault]);
        let uri = format!("s3://{BUCKET}/{KEY}");
        assert!(InProcess::try_start(&uri, &s3, 16 << 20, CacheKey::None).is_err(), "{fault:?}");
    }
}

#[test]
fn an_altered_chunk_is_refused_when_it_is_needed() {
    let s3 = S3::start();
    let mut bytes = large(7);
    // The sources come first, then the map: its last chunks come with the end.
    let map = bytes.len() - 700 * 1024;
    bytes[map] ^= 1;
    s3.put(BUCKET, KEY, bytes);
    let function = InProcess::start(&s3, 16 << 20, CacheKey::None);
    let reasons: Vec<Reason> = (0..USERS).step_by(7).map(|number| function.reason(number, 1)).collect();
    let away = reasons.iter().filter(|reason| **reason == Reason::BundleAway).count();
    assert!(away > 0 && away < reasons.len() / 4, "{away} of {}", reasons.len());
    for (reason, number) in reasons.iter().zip((0..USERS).step_by(7)) {
        let is_forbidden = number % 5 == 2;
        let expected = if is_forbidden { Reason::ForbiddenByPolicy } else { Reason::AllowedByPolicy };
        let is_right = *reason == expected || (number % 5 == 1 && *reason == Reason::NoMatchingPermit);
        assert!(is_right || *reason == Reason::BundleAway, "{number} {reason:?}");
    }
}

/// The bundle is replaced all the time while calls need ever new chunks: every answer is right for exactly one revision.
/// `PARTS_SOAK=20000` makes so many calls, and looks at the memory; it takes some minutes.
#[test]
fn a_bundle_that_is_replaced_in_the_middle_of_a_call_never_mixes_with_the_next_one() {
    let calls: usize = std::env::var("PARTS_SOAK").map_or(90, |calls| calls.parse().unwrap());
    let s3 = S3::start();
    let stores = [10, 11, 12].map(|revision| Parts::of(&large(revision)));
    let bundle = |revision: u64| {
        let mut parts = stores[revision as usize % 3].clone();
        parts.manifest["revision"] = revision.into();
        parts.together()
    };
    s3.put(BUCKET, KEY, bundle(1));
    let cache_bytes = 1 << 20;
    let function = InProcess::start(&s3, cache_bytes, CacheKey::None);
    let (mut newest, mut seen, mut changes, mut resident) = (1, 1, 0, None);
    for call in 0..calls {
        // Nobody has looked for it, as far as the clock goes. Some are replaced before the function has asked for
        // anything, others between two parts of one call.
        if call % 3 == 1 && !s3.is_to_be_replaced() {
            newest += 1;
            s3.replace_before_get(BUCKET, KEY, 1 + call / 3 % 4, bundle(newest));
        }
        let number = call * 2741 % USERS;
        let response = said(function.answer(&of_user(number), "/pets", 1));
        let response = response.unwrap_or_else(|reason| panic!("call {call}: {reason}"));
        let revision = response["context"]["revision"].as_u64().unwrap();
        let expected = match number as u64 % 5 {
            remainder if remainder == revision % 3 => "deny",
            1 => "deny",
            _ => "allow",
        };
        assert_eq!(response["context"]["decision"], expected, "{number} at {revision}");
        assert!((seen..=newest).contains(&revision), "call {call}: {revision} after {seen}");
        changes += u64::from(revision > seen);
        seen = revision;
        if call == calls / 2 {
            resident = resident_kb();
        }
    }
    assert!(changes as usize > calls / 9, "{changes}");
    if calls >= 10_000 {
        let (before, after) = (resident.unwrap(), resident_kb().unwrap());
        let told =
            format!("{calls} calls, {changes} of {newest} revisions, {before} kB and then {after} kB\n");
        std::io::stderr().write_all(told.as_bytes()).unwrap();
        assert!(after - before < 16 * 1024, "{before} kB and then {after} kB");
    }
}

#[test]
fn what_is_no_bundle_of_this_format_is_named_however_large_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let mut older = large(7);
    let end = older.len() - 28;
    for at in [24, end] {
        older[at] = 5;
    }
    let cut = large(7)[..1 << 20].to_vec();
    let noise: Vec<u8> =
        (0..1 << 20).map(|number: u32| number.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    for (bytes, code) in [(older, "bundle-format"), (cut, "bundle-truncated"), (noise, "bundle-invalid")] {
        let (s3, path) = (S3::start(), folder.path().join("large"));
        std::fs::write(&path, &bytes).unwrap();
        s3.put(BUCKET, KEY, bytes);
        for uri in [format!("s3://{BUCKET}/{KEY}"), format!("file://{}", path.display())] {
            let failure = InProcess::try_start(&uri, &s3, 0, CacheKey::None).err().unwrap();
            assert_eq!(failure.code(), code, "{uri}: {failure}");
        }
    }
}
