use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use cedar_authorizer::bundle::{Bundle, DevelopmentKeys};
use cedar_authorizer::decide::outcome::Outcome;
use cedar_authorizer::decide::{Gate, Session};
use cedar_authorizer::function::config::{self, Config};
use cedar_authorizer::function::lambda::Function;
use cedar_authorizer::function::log;
use cedar_authorizer::function::telemetry::Telemetry;
use cedar_authorizer::function::telemetry::invocation::LambdaContext;
use cedar_authorizer::function::telemetry::settings::Extent;
use cedar_authorizer::function::token_cache::{MAX_TOKENS, TokenCache, TokenHash};
use cedar_authorizer::gateway::cache_key::CacheKey;
use cedar_authorizer::gateway::call::Call;
use cedar_authorizer::gateway::response::SimpleResponses;
use cedar_authorizer::time::UnixTime;
use cedar_authorizer::token::bearer::Bearer;
use cedar_authorizer::token::key_set::{KeySet, KeySets};
use cedar_authorizer::token::{self, VerifiedToken};
use serde_json::{Value, json};
use tokio::runtime;

use crate::callgrind::counted_by_callgrind;
use crate::world::store::Shape;
use crate::world::{ISSUED_AT, bundle_file, events, root, target, tokens};

/// What is counted.
pub struct Part {
    pub name: &'static str,
    /// How many calls are counted: the more, the less it matters how the hash maps of this run lie.
    pub calls: u64,
    shape: Shape,
    cache_key: &'static str,
    /// Makes ready for calls, and gives one that can be made again and again.
    ready: fn() -> Box<dyn FnMut()>,
}

pub const PARTS: [Part; 21] = [
    Part::new("event-token", FEW, || of_event(&events::token(&some_token(), ROUTE))),
    Part::new("event-rest", FEW, || of_event(&sample("rest-get-pets-allow.json"))),
    Part::new("event-http2", FEW, || of_event(&sample("http2-get-pet-allow.json"))),
    Part::new("token-rs256", FEW, || {
        let (bundle, keys, token) = (bundle(), keys(), some_token());
        Box::new(move || drop(black_box(verify(&token, &bundle, &keys))))
    }),
    Part::new("token-es256", FEW, || {
        let (bundle, keys, token) = (bundle(), keys(), es256()["token"].as_str().unwrap().to_owned());
        Box::new(move || drop(black_box(verify(&token, &bundle, &keys))))
    }),
    Part::new("token-seen", FEW, seen_token),
    Part::new("decision-12-policies", FEW, || decision("none", ROUTE)),
    Part::new("decision-10000-policies", MANY, || decision("none", ROUTE)),
    Part::new("decision-10000-entities", Shape::of_entities(10_000), || decision("none", "/items/i7")),
    Part::new("grant-100-routes", Shape::of_routes(100), || decision("token", ROUTE)).heavy(),
    Part::new("grant-1000-routes", Shape::of_routes(1000), || decision("token", ROUTE)).heavy(),
    Part::new("response", FEW, response),
    Part::new("bundle-12-policies", FEW, open),
    Part::new("bundle-10000-policies", MANY, open).heavy(),
    Part::new("answer-new-token", FEW, || answer(NEW)),
    Part::new("answer-seen-token", FEW, || answer(SEEN)),
    Part::new("answer-seen-token-no-log", FEW, || silent_answer(SEEN)),
    Part::new("answer-new-token-no-cache", FEW, || answer(NEW)).under("none"),
    Part::new("answer-seen-token-no-cache", FEW, || answer(SEEN)).under("none"),
    Part::new("answer-seen-token-metrics", FEW, answer_with_metrics),
    Part::new("answer-10000-policies", MANY, || answer(NEW)),
];

const FEW: Shape = Shape::of_policies(12);
const MANY: Shape = Shape::of_policies(10_000);

impl Part {
    const fn new(name: &'static str, shape: Shape, ready: fn() -> Box<dyn FnMut()>) -> Self {
        Self { name, calls: 50, shape, cache_key: "token", ready }
    }

    /// One that takes long: few calls will do.
    const fn heavy(self) -> Self {
        Self { calls: 5, ..self }
    }

    /// Under this `CACHE_KEY`.
    const fn under(self, cache_key: &'static str) -> Self {
        Self { cache_key, ..self }
    }

    /// Makes the files that the part needs, and says where they are in environment variables.
    pub fn prepare(&self) -> Vec<(&'static str, String)> {
        let signed = tokens::sign(0..usize::try_from(WARM_UP + self.calls).unwrap());
        fs::create_dir_all(tokens_file().parent().unwrap()).unwrap();
        fs::write(tokens_file(), signed.join("\n")).unwrap();
        vec![
            ("ALLOW_DEVELOPMENT_KEYS", "true".to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256".to_owned()),
            ("AWS_LAMBDA_FUNCTION_NAME", "cedar-authorizer".to_owned()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
            ("AWS_LAMBDA_LOG_FORMAT", "JSON".to_owned()),
            ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9".to_owned()),
            ("BUNDLE_URI", format!("file://{}", bundle_file(&self.shape).display())),
            ("CACHE_KEY", self.cache_key.to_owned()),
            ("POWERTOOLS_METRICS_NAMESPACE", "CedarAuthorizer".to_owned()),
        ]
    }

    /// Makes the calls that are counted.
    pub fn run(&self) {
        let mut call = (self.ready)();
        (0..WARM_UP).for_each(|_| call());
        (0..self.calls).for_each(|_| counted_by_callgrind(&mut call));
    }
}

fn of_event(text: &str) -> Box<dyn FnMut()> {
    let text = text.to_owned();
    Box::new(move || drop(black_box(Call::from_json(black_box(&text)).unwrap())))
}

fn seen_token() -> Box<dyn FnMut()> {
    let (bundle, keys, token) = (bundle(), keys(), some_token());
    let cache = TokenCache::new(MAX_TOKENS);
    let session = Arc::new(session(&token, bundle, &keys));
    cache.insert(TokenHash::new(Bearer::parse(&token).unwrap()), &session, &keys);
    Box::new(move || {
        let bearer = Bearer::parse(black_box(&token)).unwrap();
        let hash = TokenHash::new(bearer);
        drop(black_box(cache.get(hash, |place| keys.get(place).cloned(), now()).unwrap()));
    })
}

/// The first call of a token, after its verification.
fn decision(cache_key: &str, path: &str) -> Box<dyn FnMut()> {
    let token = some_token();
    let session = session(&token, bundle(), &keys());
    let (call, cache_key) = (call(&token, path), cache_key.parse().unwrap());
    Box::new(move || drop(black_box(decide(&call, &session, &cache_key))))
}

fn decide(call: &Call, session: &Session, cache_key: &CacheKey) -> Arc<Outcome> {
    let outcome = session.afresh().authorize(call, cache_key).unwrap();
    assert_eq!(outcome.decision.reason.code(), "allowed-by-policy");
    outcome
}

fn response() -> Box<dyn FnMut()> {
    let token = some_token();
    let session = session(&token, bundle(), &keys());
    let outcome = decide(&call(&token, ROUTE), &session, &CacheKey::Token);
    Box::new(move || {
        let response = black_box(&outcome).respond(SimpleResponses::Disabled);
        drop(black_box(serde_json::to_vec(&response).unwrap()));
    })
}

fn open() -> Box<dyn FnMut()> {
    let bytes = fs::read(bundle_path()).unwrap();
    Box::new(move || drop(black_box(Bundle::open(bytes.clone(), DevelopmentKeys::Allow).unwrap())))
}

/// All that the function does but for HTTP: the text of an event in, that of a response out, and a line in the decision
/// log.
fn answer(is_seen: bool) -> Box<dyn FnMut()> {
    let config = Config::from_env().unwrap();
    let telemetry = Telemetry::new(config.telemetry.clone(), log::write);
    answer_of(is_seen, &config, |function| function.with_telemetry(telemetry))
}

/// The same without the line.
fn silent_answer(is_seen: bool) -> Box<dyn FnMut()> {
    answer_of(is_seen, &Config::from_env().unwrap(), |function| function)
}

/// The same for a seen token, with a line of metrics instead.
fn answer_with_metrics() -> Box<dyn FnMut()> {
    let config = Config::from_env().unwrap();
    let mut settings = config.telemetry.clone();
    settings.decision_log.extent = Extent::Off;
    let telemetry = Telemetry::new(settings, |lines| {
        black_box(lines);
    });
    answer_of(SEEN, &config, |function| function.with_telemetry(telemetry))
}

fn answer_of(is_seen: bool, config: &Config, with: impl FnOnce(Function) -> Function) -> Box<dyn FnMut()> {
    log::init(config::variable).unwrap();
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let function = with(runtime.block_on(Function::init(config, now())).unwrap());
    let mut tokens = tokens();
    if is_seen {
        tokens.fill(some_token());
    }
    let events: Vec<String> = tokens.iter().map(|token| events::token(token, ROUTE)).collect();
    let mut events = events.into_iter();
    let context = LambdaContext {
        request_id: Some("8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned()),
        trace_id: Some(
            "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1".to_owned(),
        ),
    };
    let received = UNIX_EPOCH + Duration::from_secs(now().as_seconds());
    Box::new(move || {
        let event = events.next().unwrap();
        let answer = runtime.block_on(function.answer_to(&event, &context, received));
        drop(black_box(Bytes::from(answer.into_response().unwrap())));
    })
}

fn verify(token: &str, bundle: &Bundle, keys: &KeySets) -> VerifiedToken {
    let bearer = Bearer::parse(black_box(token)).unwrap();
    token::verify(bearer, bundle.identity_sources(), keys, bundle.leeway_seconds(), now()).unwrap()
}

fn session(token: &str, bundle: Bundle, keys: &KeySets) -> Session {
    Gate::new(bundle, keys.clone()).authenticate(token, now()).unwrap()
}

/// The development key and one for ES256.
fn keys() -> KeySets {
    let text = fs::read(root().join("policies/jwks/cognito.json")).unwrap();
    let development: Value = serde_json::from_slice(&text).unwrap();
    let keys = json!({"keys": [development["keys"][0], es256()["jwk"]]});
    KeySets::new(vec![vec![Arc::new(KeySet::parse(keys.to_string().as_bytes()).unwrap())]])
}

/// A token, and the public half of the key that signed it. The other half is nowhere.
fn es256() -> Value {
    serde_json::from_str(include_str!("../data/es256.json")).unwrap()
}

fn sample(event: &str) -> String {
    fs::read_to_string(root().join("events").join(event)).unwrap()
}

fn call(token: &str, path: &str) -> Call {
    Call::from_event(serde_json::from_str(&events::token(token, path)).unwrap()).unwrap()
}

fn bundle() -> Bundle {
    Bundle::open(fs::read(bundle_path()).unwrap(), DevelopmentKeys::Allow).unwrap()
}

fn bundle_path() -> PathBuf {
    let uri = std::env::var("BUNDLE_URI").unwrap();
    Path::new(uri.strip_prefix("file://").unwrap()).to_owned()
}

fn tokens() -> Vec<String> {
    fs::read_to_string(tokens_file()).unwrap().lines().map(str::to_owned).collect()
}

fn some_token() -> String {
    tokens().pop().unwrap()
}

fn tokens_file() -> PathBuf {
    target().join("benches/tokens.txt")
}

fn now() -> UnixTime {
    UnixTime::from_seconds(ISSUED_AT + 1)
}

/// One that the caller may take.
const ROUTE: &str = "/r0";

const NEW: bool = false;
const SEEN: bool = true;

/// Enough for what is parsed once and kept.
const WARM_UP: u64 = 3;
