//! A function in this process whose lines a test can read, on the store `tests/data/stores/kennel`.

use std::cell::RefCell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cedar_authorizer::bundle::{Bundle, DevelopmentKeys};
use cedar_authorizer::function::config::Config;
use cedar_authorizer::function::lambda::{Answer, Function};
use cedar_authorizer::function::source::DEFAULT_CACHE_BYTES;
use cedar_authorizer::function::source::current::{Audience, Conditions};
use cedar_authorizer::function::telemetry::Telemetry;
use cedar_authorizer::function::telemetry::invocation::LambdaContext;
use cedar_authorizer::function::telemetry::settings::{DecisionLogSettings, Settings};
use cedar_authorizer::function::tenant::Tenancy;
use cedar_authorizer::gateway::response::SimpleResponses;
use cedar_authorizer::store::build::bundle_of_directory;
use cedar_authorizer::time::UnixTime;
use serde_json::{Value, json};

use crate::signing::SigningKey;
use crate::world::{EXPIRES_AT, ISSUED_AT, StoreCopy, root};

/// The store, with a key of its own for its pool.
pub struct Kennel {
    pub store: StoreCopy,
    key: SigningKey,
}

impl Kennel {
    pub fn new() -> Self {
        let (store, key) = (StoreCopy::of(&root().join("tests/data/stores/kennel")), SigningKey::p256());
        store.write("jwks/pool.json", json!({"keys": [key.jwk("k")]}).to_string().as_bytes());
        Self { store, key }
    }

    /// A token of a user. `claims` add to what every token has, and override it.
    pub fn token(&self, user: &str, claims: &Value) -> String {
        let mut all = json!({
            "iss": "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_KENNEL", "client_id": "7kennel",
            "token_use": "access", "sub": user, "iat": ISSUED_AT, "exp": EXPIRES_AT,
        });
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        self.key.token(&json!({"alg": "ES256", "kid": "k"}), &all)
    }

    pub fn bundle(&self) -> Bundle {
        Bundle::open(bundle_of_directory(self.store.path(), 1).unwrap(), DevelopmentKeys::Allow).unwrap()
    }

    pub fn listen(&self, settings: &DecisionLogSettings, cache_key: &str) -> Listening {
        Listening::new(&self.store.uri(), settings, cache_key, None)
    }
}

/// A function whose lines can be read.
pub struct Listening {
    runtime: tokio::runtime::Runtime,
    function: Function,
}

impl Listening {
    pub fn new(uri: &str, settings: &DecisionLogSettings, cache_key: &str, tenancy: Option<Tenancy>) -> Self {
        let config = Config {
            bundle_uri: uri.parse().unwrap(),
            fallback_uri: None,
            shadow_uri: None,
            tenancy,
            conditions: Conditions {
                key_trust: DevelopmentKeys::Allow.into(),
                public_keys: None,
                name: None,
                audience: Audience::NoTenant,
                min_revision: 0,
                trusted_issuers: None,
                cache_key: cache_key.parse().unwrap(),
                refresh: Duration::from_secs(60),
                max_stale: Duration::from_secs(3600),
            },
            bundle_cache_bytes: DEFAULT_CACHE_BYTES,
            jwks_proxy: None,
            simple_responses: SimpleResponses::Disabled,
            telemetry: Settings { decision_log: settings.clone(), ..Settings::default() },
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let now = UnixTime::from_seconds(ISSUED_AT + 1);
        let function = runtime.block_on(Function::init(&config, now)).unwrap();
        let telemetry = Telemetry::new(config.telemetry, hear);
        Self { runtime, function: function.with_telemetry(telemetry) }
    }

    /// The answer to an event, and the lines of it.
    pub fn ask(&self, event: &str, context: &LambdaContext) -> (Answer, String) {
        LINES.with_borrow_mut(Vec::clear);
        let answer = self.runtime.block_on(self.function.answer_to(event, context, received()));
        (answer, String::from_utf8(LINES.with_borrow(Clone::clone)).unwrap())
    }

    /// The only line of an event.
    #[track_caller]
    pub fn line(&self, event: &Value) -> String {
        let (_, lines) = self.ask(&event.to_string(), &context());
        let line = lines.strip_suffix('\n').unwrap_or_else(|| panic!("no line: {lines}"));
        assert!(!line.contains('\n'), "{line}");
        line.to_owned()
    }

    #[track_caller]
    pub fn json(&self, event: &Value) -> Value {
        serde_json::from_str(&self.line(event)).unwrap()
    }
}

pub fn context() -> LambdaContext {
    LambdaContext {
        request_id: Some("8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned()),
        trace_id: Some(format!("Root={TRACE_ID};Parent=53995c3f42cd8ad8;Sampled=1")),
    }
}

fn received() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(ISSUED_AT * 1000 + 1_250)
}

fn hear(lines: &[u8]) {
    LINES.with_borrow_mut(|heard| heard.extend_from_slice(lines));
}

thread_local! {
    static LINES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

pub const TRACE_ID: &str = "1-5759e988-bd862e3fe1be46a994272793";
