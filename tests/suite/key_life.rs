//! The life of keys in the function: rotation, outages, discovery, and tokens that were seen before.
//!
//! The function runs in this process, so that a test can set the time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cedar_authorizer::bundle::DevelopmentKeys;
use cedar_authorizer::function::config::Config;
use cedar_authorizer::function::jwks::KeyTrust;
use cedar_authorizer::function::lambda::Function;
use cedar_authorizer::function::source::DEFAULT_CACHE_BYTES;
use cedar_authorizer::function::source::current::{Audience, Conditions};
use cedar_authorizer::function::telemetry::settings::Settings;
use cedar_authorizer::gateway::cache_key::CacheKey;
use cedar_authorizer::gateway::response::SimpleResponses;
use cedar_authorizer::reason::Reason;
use cedar_authorizer::store::finding::Code;
use cedar_authorizer::store::{Store, directory};
use cedar_authorizer::time::UnixTime;
use cedar_authorizer::token::key_set::KeySet;
use serde_json::{Value, json};

use crate::loopback::{KeyServer, KeyServerFault};
use crate::signing::SigningKey;
use crate::world::{StoreCopy, event};

const START: u64 = 1_700_000_000;
const POOL: &str = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_EXAMPLE";

struct InProcess {
    runtime: tokio::runtime::Runtime,
    function: Function,
}

impl InProcess {
    fn start(store: &StoreCopy) -> Self {
        Self::start_with(store, None)
    }

    /// Trusts these keys besides.
    fn start_with(store: &StoreCopy, test_keys: Option<Value>) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let config = Self::config(store, test_keys);
        let function = runtime.block_on(Function::init(&config, UnixTime::from_seconds(START))).unwrap();
        Self { runtime, function }
    }

    /// A function with another bundle takes its place, this many seconds after the start.
    fn replace(&mut self, store: &StoreCopy, seconds: u64) {
        let keys = self.function.current().unwrap().serving().keys.clone();
        let (config, now) = (Self::config(store, None), UnixTime::from_seconds(START + seconds));
        let function = self.runtime.block_on(Function::init_with_keys(&config, Some(&keys), now));
        self.function = function.unwrap();
    }

    fn config(store: &StoreCopy, test_keys: Option<Value>) -> Config {
        let test_keys = test_keys.map(|keys| Arc::new(KeySet::parse(keys.to_string().as_bytes()).unwrap()));
        Config {
            bundle_uri: store.uri().parse().unwrap(),
            fallback_uri: None,
            shadow_uri: None,
            tenancy: None,
            conditions: Conditions {
                key_trust: KeyTrust { test_keys, ..DevelopmentKeys::Refuse.into() },
                public_keys: None,
                name: None,
                audience: Audience::NoTenant,
                min_revision: 0,
                trusted_issuers: None,
                cache_key: CacheKey::None,
                refresh: Duration::from_secs(60),
                max_stale: Duration::from_secs(365 * 24 * 3600),
            },
            bundle_cache_bytes: DEFAULT_CACHE_BYTES,
            jwks_proxy: None,
            simple_responses: SimpleResponses::Disabled,
            telemetry: Settings::default(),
        }
    }

    /// How a call ends, this many seconds after the start.
    fn reason(&self, token: &str, seconds: u64) -> Reason {
        let event = event(token, "GET", "/");
        self.runtime
            .block_on(self.function.answer(&event.to_string(), UnixTime::from_seconds(START + seconds)))
            .reason()
    }
}

fn key_set(keys: &[(&SigningKey, &str)]) -> Value {
    json!({"keys": keys.iter().map(|(key, id)| key.jwk(id)).collect::<Vec<_>>()})
}

/// An access token of the pool, valid for ten days.
fn pool_token(key: &SigningKey, key_id: &str) -> String {
    pool_token_with(key, &json!({"alg": key.algorithms()[0], "kid": key_id}))
}

fn pool_token_with(key: &SigningKey, header: &Value) -> String {
    let claims = json!({
        "iss": POOL, "client_id": "1example23456789", "token_use": "access", "sub": "u1",
        "iat": START, "exp": START + 10 * 86_400
    });
    key.token(header, &claims)
}

#[test]
fn a_rotated_key_is_accepted_at_once_and_the_old_one_no_more() {
    let (old, new) = (SigningKey::p256(), SigningKey::p256());
    let server = KeyServer::start(key_set(&[(&old, "old")]));
    let function = InProcess::start(&StoreCopy::with_jwks_uri(&server.uri()));
    let (old_token, new_token) = (pool_token(&old, "old"), pool_token(&new, "new"));
    assert_eq!(function.reason(&old_token, 20), Reason::AllowedByPolicy);

    server.set(key_set(&[(&new, "new")]));
    assert_eq!(function.reason(&new_token, 21), Reason::AllowedByPolicy);
    assert_eq!(server.requests(), 2);
    // The token was verified before, but its key is gone.
    assert_eq!(function.reason(&old_token, 22), Reason::KeyUnknown);
    assert_eq!(server.requests(), 2);
}

#[test]
fn a_key_that_appears_later_is_fetched_when_the_cooldown_is_over() {
    let (key, other) = (SigningKey::p256(), SigningKey::p256());
    let server = KeyServer::start(json!({"keys": []}));
    let function = InProcess::start(&StoreCopy::with_jwks_uri(&server.uri()));
    let token = pool_token(&key, "k");
    assert_eq!(function.reason(&token, 9), Reason::KeysUnavailable);
    assert_eq!(server.requests(), 1);
    server.set(key_set(&[(&key, "k")]));
    assert_eq!(function.reason(&token, 10), Reason::AllowedByPolicy);
    assert_eq!(server.requests(), 2);

    // A key id that does not exist costs one fetch in ten seconds. As there are other keys, the token is what is wrong.
    let unknown = pool_token(&other, "nobody's");
    for second in 11..=30 {
        assert_eq!(function.reason(&unknown, second), Reason::KeyUnknown);
    }
    assert_eq!(server.requests(), 4);

    // A failed fetch does not lose the keys that are there.
    server.fault(KeyServerFault::Status(503));
    assert_eq!(function.reason(&unknown, 60), Reason::KeyUnknown);
    assert_eq!(function.reason(&token, 61), Reason::AllowedByPolicy);
}

#[test]
fn new_material_under_the_same_key_id_replaces_the_old() {
    let (old, new) = (SigningKey::p256(), SigningKey::p256());
    let server = KeyServer::start(key_set(&[(&old, "k")]));
    let function = InProcess::start(&StoreCopy::with_jwks_uri(&server.uri()));
    assert_eq!(function.reason(&pool_token(&old, "k"), 1), Reason::AllowedByPolicy);
    server.set(key_set(&[(&new, "k")]));
    // The old set is used until it is stale. Then a call has the new one fetched.
    assert_eq!(function.reason(&pool_token(&old, "k"), 3600), Reason::AllowedByPolicy);
    assert_eq!(function.reason(&pool_token(&old, "k"), 3601), Reason::SignatureInvalid);
    assert_eq!(function.reason(&pool_token(&new, "k"), 3602), Reason::AllowedByPolicy);
    assert_eq!(server.requests(), 2);
}

#[test]
fn a_key_server_that_is_down_for_an_hour_stops_nothing_and_is_hardly_asked() {
    let key = SigningKey::p256();
    let server = KeyServer::start(key_set(&[(&key, "k")]));
    let function = InProcess::start(&StoreCopy::with_jwks_uri(&server.uri()));
    let token = pool_token(&key, "k");
    server.fault(KeyServerFault::Status(503));
    for second in (3600..7200).step_by(5) {
        assert_eq!(function.reason(&token, second), Reason::AllowedByPolicy);
    }
    // At last once a minute, each time with a second attempt, for 720 calls.
    let asked = server.requests() - 1;
    assert!((2..=2 * 64).contains(&asked), "{asked}");

    // Within a day nothing is refused. After that nothing is accepted, and it is a fault.
    assert_eq!(function.reason(&token, 86_399), Reason::AllowedByPolicy);
    assert_eq!(function.reason(&token, 86_400 + 60), Reason::KeysUnavailable);
    server.fault(KeyServerFault::None);
    assert_eq!(function.reason(&token, 86_400 + 120), Reason::AllowedByPolicy);
}

#[test]
fn a_bad_answer_does_not_replace_good_keys() {
    let key = SigningKey::p256();
    let server = KeyServer::start(key_set(&[(&key, "k")]));
    let function = InProcess::start(&StoreCopy::with_jwks_uri(&server.uri()));
    let token = pool_token(&key, "k");
    let mut now = 0;
    for fault in [KeyServerFault::NotJson, KeyServerFault::Huge, KeyServerFault::Status(404)] {
        server.fault(fault);
        now += 3600;
        assert_eq!(function.reason(&token, now), Reason::AllowedByPolicy);
        assert_eq!(function.reason(&token, now + 1), Reason::AllowedByPolicy);
    }
    server.fault(KeyServerFault::None);
    for keys in [json!({"keys": []}), json!({"keys": [{"kty": "oct", "k": "AAAA"}]}), json!({})] {
        server.set(keys);
        now += 3600;
        assert_eq!(function.reason(&token, now), Reason::AllowedByPolicy);
        assert_eq!(function.reason(&token, now + 1), Reason::AllowedByPolicy);
    }
    assert_eq!(server.requests(), 7);
}

#[test]
fn a_slow_key_server_does_not_hold_up_calls_that_can_do_without() {
    let key = SigningKey::p256();
    let server = KeyServer::start(key_set(&[(&key, "k")]));
    let function = InProcess::start(&StoreCopy::with_jwks_uri(&server.uri()));
    let token = pool_token(&key, "k");
    server.fault(KeyServerFault::Slow(Duration::from_millis(700)));
    assert_eq!(function.reason(&token, 3600), Reason::AllowedByPolicy);
    // The fetch continues during later calls, and no second one begins.
    for second in 3601..3604 {
        assert_eq!(function.reason(&token, second), Reason::AllowedByPolicy);
    }
    assert_eq!(server.requests(), 2);
}

#[test]
fn keys_that_drip_are_given_up_and_fetched_again_when_the_server_has_recovered() {
    let key = SigningKey::p256();
    let pause = Duration::from_millis(50);
    let token_of = |server: &KeyServer| {
        let claims = json!({
            "iss": server.issuer(), "aud": "api", "sub": "u1", "client_id": "app", "exp": START + 90_000
        });
        key.token(&json!({"alg": "ES256", "kid": "k"}), &claims)
    };
    // The key set at the start, the discovery document at the start, and the key set when no usable one is left.
    for (drips_keys, at_start) in [(true, true), (false, true), (true, false)] {
        let server = KeyServer::start(key_set(&[(&key, "k")]));
        let drip = || {
            if drips_keys {
                server.fault(KeyServerFault::Drips(pause))
            } else {
                server.drip_discovery(Some(pause))
            }
        };
        if at_start {
            drip();
        }
        let started = Instant::now();
        let function = InProcess::start(&oidc_store(&server.issuer()));
        let token = token_of(&server);
        let begin = if at_start { 0 } else { 86_400 };
        drip();
        assert_eq!(function.reason(&token, begin + 1), Reason::KeysUnavailable);
        // Reading either to its end would take more than ten seconds.
        assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
        server.fault(KeyServerFault::None);
        server.drip_discovery(None);
        assert_eq!(function.reason(&token, begin + 11), Reason::AllowedByPolicy);
    }
}

#[test]
fn a_fetch_that_a_freeze_cut_off_is_begun_again_when_the_cooldown_is_over() {
    let key = SigningKey::p256();
    let server = KeyServer::start(key_set(&[(&key, "k")]));
    let function = InProcess::start(&StoreCopy::with_jwks_uri(&server.uri()));
    let token = pool_token(&key, "k");
    server.fault(KeyServerFault::Drips(Duration::from_millis(50)));
    assert_eq!(function.reason(&token, 3600), Reason::AllowedByPolicy);
    server.fault(KeyServerFault::None);
    // The fetch took 150 ms by the clock of timers, and four seconds by the wall clock.
    assert_eq!(function.reason(&token, 3604), Reason::AllowedByPolicy);
    assert_eq!(server.requests(), 2);
    assert_eq!(function.reason(&token, 3610), Reason::AllowedByPolicy);
    assert_eq!(server.requests(), 3);
}

#[test]
fn the_publisher_says_how_long_keys_are_fresh() {
    let key = SigningKey::p256();
    let server = KeyServer::start(key_set(&[(&key, "k")]));
    server.cache_control("public, max-age=7200");
    let function = InProcess::start(&StoreCopy::with_jwks_uri(&server.uri()));
    let token = pool_token(&key, "k");
    assert_eq!(function.reason(&token, 7199), Reason::AllowedByPolicy);
    assert_eq!(server.requests(), 1);
    assert_eq!(function.reason(&token, 7200), Reason::AllowedByPolicy);
    assert_eq!(server.requests(), 2);
}

#[test]
fn a_token_that_was_seen_expires_all_the_same() {
    let key = SigningKey::p256();
    let server = KeyServer::start(key_set(&[(&key, "k")]));
    let function = InProcess::start(&StoreCopy::with_jwks_uri(&server.uri()));
    let claims = json!({
        "iss": POOL, "client_id": "1example23456789", "token_use": "access", "sub": "u1", "exp": START + 60
    });
    let token = key.token(&json!({"alg": "ES256", "kid": "k"}), &claims);
    assert_eq!(function.reason(&token, 58), Reason::AllowedByPolicy);
    assert_eq!(function.reason(&token, 59), Reason::AllowedByPolicy);
    assert_eq!(function.reason(&token, 60), Reason::TokenExpired);
}

#[test]
fn a_token_that_was_seen_does_not_vouch_for_another_with_the_same_beginning() {
    let key = SigningKey::p256();
    let server = KeyServer::start(key_set(&[(&key, "k")]));
    let function = InProcess::start(&StoreCopy::with_jwks_uri(&server.uri()));
    let token = pool_token(&key, "k");
    assert_eq!(function.reason(&token, 1), Reason::AllowedByPolicy);
    let other = pool_token(&SigningKey::p256(), "k");
    let (signed, _) = token.rsplit_once('.').unwrap();
    let (_, signature) = other.rsplit_once('.').unwrap();
    assert_eq!(function.reason(&format!("{signed}.{signature}"), 1), Reason::SignatureInvalid);
    assert_eq!(function.reason(&format!("{token}A"), 1), Reason::SignatureInvalid);
}

/// The sample store with an OIDC provider on this machine instead of the user pool.
fn oidc_store(issuer: &str) -> StoreCopy {
    let store = StoreCopy::new();
    store.remove("jwks/cognito.json");
    store.remove("identity-sources/cognito.json");
    let source = json!({
        "principalEntityType": "PetStore::User",
        "configuration": {"openIdConnectConfiguration": {
            "issuer": issuer, "entityIdPrefix": "provider", "tokenSelection": {"accessTokenOnly": {"audiences": ["api"]}}
        }}
    });
    store.write("identity-sources/provider.json", source.to_string().as_bytes());
    store
}

#[test]
fn the_keys_of_a_provider_are_discovered() {
    let key = SigningKey::ed25519();
    let server = KeyServer::start(key_set(&[(&key, "k")]));
    let claims = json!({
        "iss": server.issuer(), "aud": "api", "sub": "u1", "client_id": "app", "exp": START + 86_400
    });
    let token = key.token(&json!({"alg": "EdDSA", "kid": "k"}), &claims);
    let function = InProcess::start(&oidc_store(&server.issuer()));
    assert_eq!(function.reason(&token, 1), Reason::AllowedByPolicy);
    assert_eq!(server.requests(), 1);
}

#[test]
fn a_discovery_document_that_is_not_of_the_issuer_or_leads_astray_is_not_followed() {
    let key = SigningKey::ed25519();
    let server = KeyServer::start(key_set(&[(&key, "k")]));
    let issuer = server.issuer();
    let claims = json!({"iss": issuer, "aud": "api", "sub": "u1", "exp": START + 86_400});
    let token = key.token(&json!({"alg": "EdDSA", "kid": "k"}), &claims);
    for document in [
        json!({"issuer": format!("{issuer}/"), "jwks_uri": server.uri()}),
        json!({"issuer": "https://auth.example.com", "jwks_uri": server.uri()}),
        json!({"issuer": issuer, "jwks_uri": "http://auth.example.com/keys"}),
        json!({"issuer": issuer, "jwks_uri": "file:///etc/passwd"}),
        json!({"issuer": issuer}),
        json!([]),
    ] {
        server.set_discovery(document.clone());
        let function = InProcess::start(&oidc_store(&issuer));
        assert_eq!(function.reason(&token, 1), Reason::KeysUnavailable, "{document}");
    }
    assert_eq!(server.requests(), 0);
}

#[test]
fn an_issuer_that_keys_may_not_be_fetched_from_is_found_before() {
    let check = |changes: Value| {
        let store = oidc_store("https://auth.example.com");
        let file = store.path().join("identity-sources/provider.json");
        let mut source: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        source.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        store.write("identity-sources/provider.json", source.to_string().as_bytes());
        let (_, findings) = Store::check(&directory::read(store.path()).unwrap());
        findings.iter().any(|finding| finding.code == Code::KeysUnfetchable)
    };
    for issuer in ["http://auth.example.com", "http://169.254.169.254/latest", "auth", "file:///etc/passwd"] {
        assert!(check(json!({"issuer": issuer})), "{issuer}");
        // An issuer that is never fetched may be any text.
        assert!(!check(json!({"issuer": issuer, "jwksUri": "https://auth.example.com/keys"})), "{issuer}");
    }
    assert!(!check(json!({})) && !check(json!({"issuer": "http://localhost:4566/pool"})));
}

#[test]
fn a_redirect_of_a_discovery_document_is_not_followed() {
    let key = SigningKey::ed25519();
    let (server, elsewhere) =
        (KeyServer::start(json!({"keys": []})), KeyServer::start(key_set(&[(&key, "k")])));
    let issuer = server.issuer();
    elsewhere.set_discovery(json!({"issuer": issuer, "jwks_uri": elsewhere.uri()}));
    let document = format!("{}/.well-known/openid-configuration", elsewhere.issuer());
    server.fault(KeyServerFault::Redirect(document));
    let claims = json!({"iss": issuer, "aud": "api", "sub": "u1", "exp": START + 86_400});
    let token = key.token(&json!({"alg": "EdDSA", "kid": "k"}), &claims);
    let function = InProcess::start(&oidc_store(&issuer));
    assert_eq!(function.reason(&token, 1), Reason::KeysUnavailable);
    assert_eq!((server.requests(), elsewhere.requests()), (0, 0));
}

#[test]
fn one_provider_that_is_down_does_not_stop_the_other() {
    let key = SigningKey::p256();
    let (up, down) = (KeyServer::start(key_set(&[(&key, "k")])), KeyServer::start(json!({"keys": []})));
    down.fault(KeyServerFault::Status(500));
    let store = oidc_store(&down.issuer());
    let pool = StoreCopy::with_jwks_uri(&up.uri());
    let source = std::fs::read(pool.path().join("identity-sources/cognito.json")).unwrap();
    store.write("identity-sources/cognito.json", &source);
    let function = InProcess::start(&store);
    assert_eq!(function.reason(&pool_token(&key, "k"), 1), Reason::AllowedByPolicy);
    let claims = json!({"iss": down.issuer(), "aud": "api", "sub": "u1", "exp": START + 60});
    let token = key.token(&json!({"alg": "ES256", "kid": "k"}), &claims);
    assert_eq!(function.reason(&token, 1), Reason::KeysUnavailable);
}

#[test]
fn a_token_that_no_test_key_signed_fares_as_if_there_were_none() {
    let (key, other, test) = (SigningKey::p256(), SigningKey::p256(), SigningKey::ed25519());
    let without_id = |key: &SigningKey| pool_token_with(key, &json!({"alg": key.algorithms()[0]}));
    let tokens = [
        ("its own key", pool_token(&key, "k")),
        ("its own key, without an id", without_id(&key)),
        ("another key, without an id", without_id(&other)),
        ("the test key, without an id", without_id(&test)),
        ("an unknown id", pool_token(&other, "nobody's")),
        ("the id of the test key, another key", pool_token(&other, "test")),
        ("the id of the test key, another key of its kind", pool_token(&SigningKey::ed25519(), "test")),
        ("the id of the test key, its own key", pool_token(&key, "test")),
        ("the test key, under another id", pool_token(&test, "k")),
    ];
    let of_test = pool_token(&test, "test");
    let one = key_set(&[(&key, "k")]);
    let two = key_set(&[(&key, "k"), (&other, "o")]);
    let of_same_id = key_set(&[(&key, "k"), (&other, "test")]);
    for (says, keys, fault, seconds, allowed) in [
        ("one key", one.clone(), None, 1, true),
        ("two keys", two, None, 1, true),
        ("no keys", json!({"keys": []}), None, 1, true),
        ("down from the start", one.clone(), Some(503), 1, true),
        ("too old", one, Some(503), 90_000, true),
        ("a key with the id of the test key", of_same_id, None, 1, false),
    ] {
        let server = KeyServer::start(keys);
        let store = StoreCopy::with_jwks_uri(&server.uri());
        if let Some(status) = fault.filter(|_| seconds == 1) {
            server.fault(KeyServerFault::Status(status));
        }
        let deployed = InProcess::start(&store);
        let tried_out = InProcess::start_with(&store, Some(key_set(&[(&test, "test")])));
        if let Some(status) = fault {
            server.fault(KeyServerFault::Status(status));
        }
        for (token, text) in &tokens {
            let (expected, found) = (deployed.reason(text, seconds), tried_out.reason(text, seconds));
            assert_eq!(found, expected, "{says}: {token}");
        }
        assert_eq!(tried_out.reason(&of_test, seconds) == Reason::AllowedByPolicy, allowed, "{says}");
        assert_ne!(deployed.reason(&of_test, seconds), Reason::AllowedByPolicy, "{says}");
        // A token that was verified before fares the same.
        assert_eq!(tried_out.reason(&of_test, seconds) == Reason::AllowedByPolicy, allowed, "{says}");
    }
}

#[test]
fn a_function_that_takes_the_place_of_another_needs_no_fetch() {
    let (key, other) = (SigningKey::p256(), SigningKey::p256());
    let server = KeyServer::start(key_set(&[(&key, "k")]));
    let store = StoreCopy::with_jwks_uri(&server.uri());
    let mut function = InProcess::start(&store);
    let token = pool_token(&key, "k");
    server.fault(KeyServerFault::Status(503));
    function.replace(&store, 3599);
    assert_eq!(function.reason(&token, 3599), Reason::AllowedByPolicy);
    assert_eq!(server.requests(), 1);
    // The keys do not become younger by it: they are stale now, and too old within a day.
    function.replace(&store, 3601);
    assert_eq!(function.reason(&token, 3602), Reason::AllowedByPolicy);
    let asked = server.requests();
    assert!(asked > 1, "{asked}");
    function.replace(&store, 86_400);
    assert_eq!(function.reason(&token, 86_400), Reason::KeysUnavailable);
    server.fault(KeyServerFault::None);
    function.replace(&store, 86_500);
    assert_eq!(function.reason(&token, 86_500), Reason::AllowedByPolicy);
    // Another address has other keys.
    let elsewhere = KeyServer::start(key_set(&[(&other, "k")]));
    function.replace(&StoreCopy::with_jwks_uri(&elsewhere.uri()), 86_501);
    assert_eq!(function.reason(&token, 86_501), Reason::SignatureInvalid);
    assert_eq!(function.reason(&pool_token(&other, "k"), 86_501), Reason::AllowedByPolicy);
}
