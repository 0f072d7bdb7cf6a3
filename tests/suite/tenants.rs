//! Bundles of tenants: how the tenant of a call is found, how tenants are kept apart, and what an unknown one costs.

use std::thread;
use std::time::{Duration, Instant};

use cedar_authorizer::bundle::signature::PublicKeys;
use cedar_authorizer::bundle::{DevelopmentKeys, StoreFiles, Tenant};
use cedar_authorizer::function::config::Config;
use cedar_authorizer::function::lambda::{Answer, Function};
use cedar_authorizer::function::source::current::{Audience, Conditions};
use cedar_authorizer::function::source::{DEFAULT_CACHE_BYTES, Fetcher, LoadFailure};
use cedar_authorizer::function::telemetry::settings::Settings;
use cedar_authorizer::function::tenant::TenantFrom;
use cedar_authorizer::function::tenant::{CallPart, Tenancy};
use cedar_authorizer::gateway::cache_key::CacheKey;
use cedar_authorizer::gateway::response::SimpleResponses;
use cedar_authorizer::reason::Reason;
use cedar_authorizer::store::build::PrivateKey;
use cedar_authorizer::store::build::{self, Edition};
use cedar_authorizer::store::{Store, directory};
use cedar_authorizer::time::UnixTime;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::gateway::{Request, connect};
use crate::loopback::{self, S3, S3Fault};
use crate::signing::SigningKey;
use crate::world::{EXPIRES_AT, FUNCTION, ISSUED_AT, sample_store};

const BUCKET: &str = "bundles";
const START: u64 = 1_800_000_000;
const REQUESTED: &str = "arn:aws:execute-api:us-east-1:123456789012";

fn at(seconds: u64) -> UnixTime {
    UnixTime::from_seconds(START + seconds)
}

/// An issuer of tokens, and the sample store for its users.
struct Provider {
    issuer: String,
    key: SigningKey,
}

impl Provider {
    fn new(name: &str) -> Self {
        Self { issuer: format!("https://{name}.example.com"), key: SigningKey::p256() }
    }

    fn token(&self, claims: Value) -> String {
        let mut all = json!({"iss": self.issuer, "aud": "api", "sub": "u1", "client_id": "app", "iat": ISSUED_AT, "exp": EXPIRES_AT});
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        self.key.token(&json!({"alg": "ES256", "kid": "k"}), &all)
    }

    /// A store where its users may see the front page, and do what `policy` says.
    fn store(&self, policy: &str) -> StoreFiles {
        let mut files = StoreFiles::default();
        for (path, content) in directory::read(&sample_store()).unwrap().iter() {
            if !path.ends_with("/cognito.json") {
                files.insert(path.to_owned(), content.to_vec());
            }
        }
        let source = json!({
            "principalEntityType": "PetStore::User",
            "configuration": {"openIdConnectConfiguration": {
                "issuer": self.issuer, "entityIdPrefix": "idp",
                "tokenSelection": {"accessTokenOnly": {"audiences": ["api"]}}
            }}
        });
        let keys = json!({"keys": [self.key.jwk("k")]});
        files.insert("identity-sources/idp.json".to_owned(), source.to_string().into());
        files.insert("jwks/idp.json".to_owned(), keys.to_string().into());
        files.insert("policies/more.cedar".to_owned(), policy.as_bytes().to_vec());
        files
    }

    fn bundle<'a>(&self, edition: impl Into<Edition<'a>>) -> Vec<u8> {
        build(&self.store(""), edition)
    }
}

fn build<'a>(files: &StoreFiles, edition: impl Into<Edition<'a>>) -> Vec<u8> {
    let store = Store::open(files).unwrap_or_else(|findings| panic!("{findings:?}"));
    build::bundle(&store, files, edition).unwrap()
}

const SEE_PETS: &str = "permit (principal, action == PetStore::Action::\"get /pets\", resource);";

fn key(tenant: &str) -> String {
    format!("tenants/{tenant}.bundle")
}

#[derive(Clone)]
struct Setup {
    from: TenantFrom,
    max_open: usize,
    cache_key: CacheKey,
    simple_responses: SimpleResponses,
    public_keys: Option<PublicKeys>,
    name: Option<&'static str>,
}

impl Setup {
    fn new(part: CallPart) -> Self {
        Self {
            from: TenantFrom::Call(part),
            max_open: 100,
            cache_key: CacheKey::None,
            simple_responses: SimpleResponses::Disabled,
            public_keys: None,
            name: None,
        }
    }

    /// The claim `tenant` names the tenant. The bundle at `root.bundle` vouches for it.
    fn claim() -> Self {
        let root_uri = format!("s3://{BUCKET}/root.bundle").parse().unwrap();
        let from = TenantFrom::Claim { name: "tenant".to_owned(), root_uri };
        Self { from, ..Self::new(CallPart::Stage) }
    }
}

/// A function under the test's own clock.
struct InProcess {
    runtime: tokio::runtime::Runtime,
    function: Function,
}

impl InProcess {
    fn start(s3: &S3, setup: &Setup) -> Self {
        Self::try_start(s3, setup).unwrap()
    }

    fn try_start(s3: &S3, setup: &Setup) -> Result<Self, LoadFailure> {
        Self::start_at(&format!("s3://{BUCKET}/tenants/{{tenant}}.bundle"), s3, setup)
    }

    fn start_at(uri: &str, s3: &S3, setup: &Setup) -> Result<Self, LoadFailure> {
        let config = Config {
            bundle_uri: uri.parse().unwrap(),
            fallback_uri: None,
            shadow_uri: None,
            tenancy: Some(Tenancy { from: setup.from.clone(), max_open: setup.max_open }),
            conditions: Conditions {
                key_trust: DevelopmentKeys::Refuse.into(),
                public_keys: setup.public_keys.clone(),
                name: setup.name.map(str::to_owned),
                audience: Audience::NoTenant,
                min_revision: 0,
                trusted_issuers: None,
                cache_key: setup.cache_key.clone(),
                refresh: Duration::from_secs(60),
                max_stale: Duration::from_secs(3600),
            },
            bundle_cache_bytes: DEFAULT_CACHE_BYTES,
            jwks_proxy: None,
            simple_responses: setup.simple_responses,
            telemetry: Settings::default(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let fetcher = Fetcher::with_s3(config.bundle_uri.clone(), s3.reader());
        let function = runtime.block_on(Function::with_fetcher(fetcher, &config, at(0)))?;
        Ok(Self { runtime, function })
    }

    fn answer(&self, event: Value, seconds: u64) -> Answer {
        self.runtime.block_on(self.function.answer(&event.to_string(), at(seconds)))
    }

    /// How a call ends, and the revision that decided it.
    fn call(&self, event: Value, seconds: u64) -> (Reason, Option<u64>) {
        let answer = self.answer(event, seconds);
        let reason = answer.reason();
        let response = answer.into_response().ok().map(|response| serde_json::to_value(response).unwrap());
        (reason, response.and_then(|response| response["context"]["revision"].as_u64()))
    }

    /// Calls until the call ends like this. A look at S3 makes progress only during calls.
    fn settle(&self, event: &Value, seconds: u64, expected: (Reason, Option<u64>)) {
        for _ in 0..300 {
            if self.call(event.clone(), seconds) == expected {
                return;
            }
            self.runtime.block_on(async { tokio::time::sleep(Duration::from_millis(10)).await });
        }
        panic!("never {expected:?}");
    }
}

const ALLOWED: Reason = Reason::AllowedByPolicy;

/// `GET` of a path at this stage, as a REST API with a REQUEST authorizer sends it.
fn at_stage(stage: &str, token: &str, path: &str) -> Value {
    let mut event = Request::new(token, "GET", path, path).rest();
    event["methodArn"] = format!("{REQUESTED}:abcdef123/{stage}/GET{path}").into();
    event
}

/// The front page, which every tenant's users may see.
fn front_page(stage: &str, token: &str) -> Value {
    at_stage(stage, token, "/")
}

fn at_domain(domain: impl Into<Value>, token: &str) -> Value {
    let mut event = Request::new(token, "GET", "/", "/").rest();
    event["requestContext"]["domainName"] = domain.into();
    event
}

#[test]
fn each_source_of_the_name_leads_to_the_bundle_of_that_tenant_in_every_kind_of_event() {
    let s3 = S3::start();
    let acme = Provider::new("acme");
    s3.put(BUCKET, "root.bundle", acme.bundle(1));
    s3.put(BUCKET, &key("acme"), acme.bundle(7));
    s3.put(BUCKET, &key("globex"), acme.bundle(8));
    // Everything that a caller can send has another name in it.
    let token = acme.token(json!({"tenant": "acme"}));
    let mut request = Request::new(&token, "GET", "/", "/");
    request.headers = json!({"Host": "globex", "X-Tenant": "globex", "tenant": "globex"});
    request.query = &[("tenant", "globex"), ("stage", "globex")];
    let with_arn = |mut event: Value, end: &str| {
        let name = if event["routeArn"].is_string() { "routeArn" } else { "methodArn" };
        event[name] = format!("{REQUESTED}:{end}").into();
        event
    };
    let headers = json!({"Authorization": format!("Bearer {token}"), "Host": "globex"});
    let sources = [
        (Setup::new(CallPart::Stage), "globex/acme"),
        (Setup::new(CallPart::ApiId), "acme/globex"),
        (Setup::new(CallPart::DomainName), "globex/globex"),
        (Setup::claim(), "globex/globex"),
    ];
    for (setup, part) in sources {
        let function = InProcess::start(&s3, &setup);
        let events = [request.rest(), request.http1(), request.http2(), request.token()];
        for mut event in events.map(|event| with_arn(event, &format!("{part}/GET/"))) {
            let is_token = event["type"] == "TOKEN";
            if !is_token {
                event["requestContext"]["domainName"] = "ACME".into();
            }
            let expected = match setup.from {
                TenantFrom::Call(CallPart::DomainName) if is_token => (Reason::TenantUnknown, None),
                _ => (ALLOWED, Some(7)),
            };
            assert_eq!(function.call(event.clone(), 1), expected, "{:?} {event}", setup.from);
        }
        let mut event = with_arn(connect(headers.clone(), json!({})), &format!("{part}/$connect"));
        event["requestContext"]["domainName"] = "acme".into();
        assert_eq!(function.call(event, 1), (Reason::RouteUnmapped, Some(7)), "{:?}", setup.from);
    }
}

#[test]
fn a_tenant_has_policies_and_keys_of_its_own() {
    let s3 = S3::start();
    let (acme, globex) = (Provider::new("acme"), Provider::new("globex"));
    // The same issuer and key id as acme, but another key.
    let twin = Provider::new("acme");
    s3.put(BUCKET, &key("acme"), build(&acme.store(SEE_PETS), 1));
    s3.put(BUCKET, &key("globex"), globex.bundle(2));
    s3.put(BUCKET, &key("twin"), build(&twin.store(SEE_PETS), 3));
    let function = InProcess::start(&s3, &Setup::new(CallPart::Stage));
    // Nothing is loaded at the start.
    assert_eq!(s3.requests(), 0);
    // Twice, so that all tokens have been seen before the second time.
    for _ in 0..2 {
        for (provider, stage, expected) in [
            (&acme, "acme", (ALLOWED, Some(1))),
            (&acme, "globex", (Reason::IssuerUnknown, None)),
            (&acme, "twin", (Reason::SignatureInvalid, None)),
            (&globex, "globex", (Reason::NoMatchingPermit, Some(2))),
            (&globex, "acme", (Reason::IssuerUnknown, None)),
            (&twin, "twin", (ALLOWED, Some(3))),
            (&twin, "acme", (Reason::SignatureInvalid, None)),
        ] {
            let event = at_stage(stage, &provider.token(json!({})), "/pets");
            assert_eq!(function.call(event, 1), expected, "{} at {stage}", provider.issuer);
        }
    }
    assert_eq!(s3.requests(), 3);
}

#[test]
fn an_answer_for_the_whole_api_is_that_of_one_tenant() {
    let s3 = S3::start();
    let acme = Provider::new("acme");
    s3.put(BUCKET, &key("acme"), build(&acme.store(SEE_PETS), 1));
    s3.put(BUCKET, &key("globex"), acme.bundle(1));
    let setup = Setup { cache_key: CacheKey::Token, ..Setup::new(CallPart::Stage) };
    let function = InProcess::start(&s3, &setup);
    let token = acme.token(json!({}));
    for (stage, may_see_pets) in [("acme", true), ("globex", false), ("acme", true)] {
        let Answer::Decided(outcome, _) = function.answer(front_page(stage, &token), 1) else {
            panic!("no decision");
        };
        for other in ["acme", "globex"] {
            let arn = format!("{REQUESTED}:abcdef123/{other}/GET/pets").parse().unwrap();
            assert_eq!(outcome.grant.allows(&arn), may_see_pets && other == stage, "{stage}, at {other}");
        }
    }
}

#[test]
fn an_unknown_tenant_costs_one_request_a_minute_and_is_known_when_it_is_published() {
    let s3 = S3::start();
    let acme = Provider::new("acme");
    let function = InProcess::start(&s3, &Setup::new(CallPart::Stage));
    let event = front_page("acme", &acme.token(json!({})));
    for call in 0..1_000 {
        assert_eq!(function.call(event.clone(), call * 60 / 1_000), (Reason::TenantUnknown, None));
    }
    assert_eq!(s3.requests(), 1);
    assert_eq!(function.call(event.clone(), 60), (Reason::TenantUnknown, None));
    assert_eq!(s3.requests(), 2);
    s3.put(BUCKET, &key("acme"), acme.bundle(1));
    assert_eq!(function.call(event.clone(), 119), (Reason::TenantUnknown, None));
    assert_eq!(function.call(event.clone(), 120), (ALLOWED, Some(1)));
    assert_eq!(s3.requests(), 3);
    // If the clock was ahead and is set back, no tenant stays unknown for longer.
    let other = front_page("other", &acme.token(json!({})));
    assert_eq!(function.call(other.clone(), 1_000_000), (Reason::TenantUnknown, None));
    s3.put(BUCKET, &key("other"), acme.bundle(2));
    assert_eq!(function.call(other, 200), (ALLOWED, Some(2)));
}

#[test]
fn a_name_that_could_be_more_than_a_name_is_of_no_tenant_and_asks_nobody() {
    let s3 = S3::start();
    let root = Provider::new("root");
    s3.put(BUCKET, "root.bundle", root.bundle(1));
    // What a path traversal would find.
    s3.put(BUCKET, "tenants/../root.bundle", root.bundle(2));
    let by_claim = InProcess::start(&s3, &Setup::claim());
    let by_domain = InProcess::start(&s3, &Setup::new(CallPart::DomainName));
    let by_stage = InProcess::start(&s3, &Setup::new(CallPart::Stage));
    let long = "a".repeat(65);
    let names = [
        "../x",
        "../root",
        "a/b",
        "a\\b",
        "",
        ".",
        "..",
        "a..b",
        ".a",
        "-a",
        "%2e",
        "%2e%2e%2fx",
        "*",
        "?",
        "a\0",
        "a\n",
        " a",
        "é",
        "аcme",
        "{tenant}",
        "$default",
        "a#b",
        "a?versionId=b",
        &long,
    ];
    for name in names {
        let token = root.token(json!({"tenant": name}));
        assert_eq!(by_claim.call(front_page("s", &token), 1), (Reason::TenantUnknown, None), "{name:?}");
        assert_eq!(by_domain.call(at_domain(name, &token), 1), (Reason::TenantUnknown, None), "{name:?}");
    }
    for claim in [json!(7), json!(null), json!(true), json!(["acme"]), json!({"acme": "acme"})] {
        let token = root.token(json!({"tenant": claim}));
        assert_eq!(by_claim.call(front_page("s", &token), 1), (Reason::TenantUnknown, None), "{claim}");
        assert_eq!(by_domain.call(at_domain(claim, &token), 1).1, None);
    }
    let token = root.token(json!({}));
    assert_eq!(by_claim.call(front_page("s", &token), 1), (Reason::TenantUnknown, None));
    for stage in ["*", "$default"] {
        assert_eq!(by_stage.call(front_page(stage, &token), 1), (Reason::TenantUnknown, None), "{stage}");
    }
    for stage in ["..", "a.b", "%2e", ""] {
        assert_eq!(by_stage.call(front_page(stage, &token), 1), (Reason::EventMalformed, None), "{stage}");
    }
    // The one request was for the bundle that vouches for claims.
    assert_eq!(s3.requests(), 1);
}

#[test]
fn a_claim_that_nobody_vouches_for_names_no_tenant() {
    let s3 = S3::start();
    let (root, stranger) = (Provider::new("root"), Provider::new("root"));
    let acme = Provider::new("acme");
    s3.put(BUCKET, "root.bundle", root.bundle(1));
    s3.put(BUCKET, &key("acme"), acme.bundle(2));
    s3.put(BUCKET, &key("globex"), build(&root.store(SEE_PETS), 3));
    let function = InProcess::start(&s3, &Setup::claim());
    let claims = json!({"tenant": "globex"});
    let token = root.token(claims.clone());
    let (signed, _) = token.rsplit_once('.').unwrap();
    for (token, reason) in [
        (stranger.token(claims.clone()), Reason::SignatureInvalid),
        (format!("{signed}."), Reason::TokenMalformed),
        (acme.token(claims), Reason::IssuerUnknown),
        (root.token(json!({"tenant": "globex", "exp": START})), Reason::TokenExpired),
        (String::new(), Reason::TokenMissing),
    ] {
        let answer = function.answer(front_page("s", &token), 1);
        assert_eq!(answer.reason(), reason);
        assert_eq!(answer.into_response().unwrap_err().error_message, "Unauthorized");
    }
    assert_eq!(s3.requests(), 1);
    // The tenant's own identity sources decide in the end: those of acme accept no token of this issuer.
    assert_eq!(function.call(at_stage("s", &token, "/pets"), 1), (ALLOWED, Some(3)));
    let token = root.token(json!({"tenant": "acme"}));
    assert_eq!(function.call(front_page("s", &token), 1), (Reason::IssuerUnknown, None));
    assert_eq!(s3.requests(), 3);
}

#[test]
fn the_token_that_names_the_tenant_is_the_one_that_is_judged() {
    let s3 = S3::start();
    let root = Provider::new("root");
    s3.put(BUCKET, "root.bundle", root.bundle(1));
    let mut files = root.store("");
    let settings = String::from_utf8(files.get("store.toml").unwrap().to_vec()).unwrap();
    let settings = settings.replace("[tokens]", "[tokens]\nheader = \"X-Other\"");
    files.insert("store.toml".to_owned(), settings.into());
    s3.put(BUCKET, &key("acme"), build(&files, 2));
    let function = InProcess::start(&s3, &Setup::claim());
    let mut event = front_page("s", &root.token(json!({"tenant": "acme"})));
    let other = root.token(json!({"tenant": "globex"}));
    event["headers"]["X-Other"] = other.clone().into();
    event["multiValueHeaders"]["X-Other"] = json!([other]);
    assert_eq!(function.call(event, 1), (Reason::TenantUnavailable, None));
}

#[test]
fn without_the_bundle_that_vouches_for_claims_the_function_does_not_start() {
    let s3 = S3::start();
    let failure = InProcess::try_start(&s3, &Setup::claim()).err().unwrap();
    assert_eq!(failure.code(), "bundle-missing");
}

#[test]
fn the_tenant_not_seen_for_longest_is_closed_and_read_again() {
    let s3 = S3::start();
    let providers = ["a", "b", "c"].map(|name| (name, Provider::new(name)));
    for (name, provider) in &providers {
        s3.put(BUCKET, &key(name), provider.bundle(1));
    }
    let function = InProcess::start(&s3, &Setup { max_open: 2, ..Setup::new(CallPart::Stage) });
    for (name, requests) in [
        ("a", 1),
        ("b", 2),
        ("a", 2),
        // Replaces b.
        ("c", 3),
        ("a", 3),
        ("c", 3),
        // Replaces a.
        ("b", 4),
        ("c", 4),
        ("a", 5),
        ("b", 6),
    ] {
        let (_, provider) = providers.iter().find(|(known, _)| *known == name).unwrap();
        assert_eq!(function.call(front_page(name, &provider.token(json!({}))), 1), (ALLOWED, Some(1)));
        assert_eq!(s3.requests(), requests, "{name}");
    }
}

#[test]
fn a_revision_does_not_go_back_when_a_bundle_is_closed_in_between() {
    let s3 = S3::start();
    let provider = Provider::new("a");
    let event = |name: &str| front_page(name, &provider.token(json!({})));
    s3.put(BUCKET, &key("a"), provider.bundle(5));
    s3.put(BUCKET, &key("b"), provider.bundle(1));
    let function = InProcess::start(&s3, &Setup { max_open: 1, ..Setup::new(CallPart::Stage) });
    assert_eq!(function.call(event("a"), 1), (ALLOWED, Some(5)));
    // The last revision in use counts, not the one that was opened.
    s3.put(BUCKET, &key("a"), provider.bundle(6));
    function.settle(&event("a"), 61, (ALLOWED, Some(6)));
    assert_eq!(function.call(event("b"), 62), (ALLOWED, Some(1)));
    s3.put(BUCKET, &key("a"), provider.bundle(5));
    assert_eq!(function.call(event("a"), 63), (Reason::TenantUnavailable, None));
    // The same after a failure, and in a later minute.
    assert_eq!(function.call(event("a"), 200), (Reason::TenantUnavailable, None));
    s3.put(BUCKET, &key("a"), provider.bundle(6));
    assert_eq!(function.call(event("a"), 300), (ALLOWED, Some(6)));
    assert_eq!(function.call(event("b"), 300), (ALLOWED, Some(1)));
    s3.put(BUCKET, &key("a"), provider.bundle(7));
    assert_eq!(function.call(event("a"), 301), (ALLOWED, Some(7)));
}

#[test]
fn calls_at_once_open_a_bundle_once_and_do_not_wait_for_that_of_another() {
    let s3 = S3::start();
    let provider = Provider::new("a");
    s3.put(BUCKET, &key("slow"), provider.bundle(1));
    s3.put(BUCKET, &key("quick"), provider.bundle(2));
    s3.fault_get(&key("slow"), S3Fault::Slow(Duration::from_millis(1_500)));
    let function = InProcess::start(&s3, &Setup::new(CallPart::Stage));
    let token = provider.token(json!({}));
    let names = ["slow", "slow", "slow", "quick", "slow", "quick"];
    let started = Instant::now();
    let answers = function.runtime.block_on(join_all(names.map(|name| {
        let (function, event) = (&function.function, front_page(name, &token).to_string());
        async move { (name, function.answer(&event, at(1)).await.reason(), started.elapsed()) }
    })));
    for (name, reason, elapsed) in answers {
        assert_eq!(reason, ALLOWED, "{name}");
        assert_eq!(elapsed < Duration::from_millis(1_500), name == "quick", "{name}: {elapsed:?}");
    }
    assert_eq!(s3.requests(), 2);
}

#[test]
fn a_call_does_not_wait_for_ever_and_the_opening_goes_on_in_later_ones() {
    let s3 = S3::start();
    let provider = Provider::new("a");
    s3.put(BUCKET, &key("a"), provider.bundle(1));
    // The first attempt is given up after 2.5 seconds. The second one is answered after the 3 seconds of a call.
    s3.fault_get(&key("a"), S3Fault::Hang);
    let function = InProcess::start(&s3, &Setup::new(CallPart::Stage));
    let event = front_page("a", &provider.token(json!({})));
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_secs(2));
            s3.fault_get(&key("a"), S3Fault::Slow(Duration::from_millis(1_500)));
        });
        assert_eq!(function.call(event.clone(), 1), (Reason::TenantUnavailable, None));
    });
    assert_eq!(function.call(event, 6), (ALLOWED, Some(1)));
    assert_eq!(s3.requests(), 2);
}

#[test]
fn what_goes_wrong_with_one_tenant_is_a_fault_of_its_own_and_not_asked_for_at_each_call() {
    let signer = PrivateKey::generate().unwrap();
    let provider = Provider::new("a");
    let tenants: [Tenant; 2] = ["good", "bad"].map(|name| name.parse().unwrap());
    let [good, bad] = [0, 1].map(|index| {
        let (signing_keys, tenant) = (std::slice::from_ref(&signer), Some(&tenants[index]));
        let edition = Edition { revision: 1, tenant, signing_keys, ..Edition::default() };
        provider.bundle(edition)
    });
    let (served, good) = (good, || bad.clone());
    let length = good().len();
    let altered = || [good(), vec![0]].concat();
    let unsigned = || provider.bundle(1);
    let faults = [
        (S3Fault::Forbidden, good(), 1),
        (S3Fault::InternalError, good(), 3),
        (S3Fault::Truncated, good(), 3),
        (S3Fault::Error(404, "NoSuchBucket"), good(), 1),
        (S3Fault::None, good()[..length / 2].to_vec(), 1),
        (S3Fault::None, altered(), 1),
        (S3Fault::None, unsigned(), 1),
        // An empty object has no last bytes, so it is asked for once more.
        (S3Fault::None, Vec::new(), 2),
    ];
    for (number, (fault, bytes, attempts)) in faults.into_iter().enumerate() {
        let s3 = S3::start();
        s3.put(BUCKET, &key("bad"), bytes);
        s3.put(BUCKET, &key("good"), served.clone());
        s3.fault_get(&key("bad"), fault);
        let public_keys = Some(signer.public_key().to_string().parse().unwrap());
        let function = InProcess::start(&s3, &Setup { public_keys, ..Setup::new(CallPart::Stage) });
        let token = provider.token(json!({}));
        let bad = |seconds| function.call(front_page("bad", &token), seconds);
        assert_eq!(bad(0), (Reason::TenantUnavailable, None), "{number}");
        assert_eq!(function.call(front_page("good", &token), 0), (ALLOWED, Some(1)), "{number}");
        for seconds in [0, 1, 2, 3, 4] {
            assert_eq!(bad(seconds), (Reason::TenantUnavailable, None), "{number}");
        }
        assert_eq!(s3.requests(), attempts + 1, "{number}");
        // It asks again after 5 s, then after 10.
        for (seconds, asked) in [(5, 2), (14, 2), (15, 3), (34, 3)] {
            assert_eq!(bad(seconds), (Reason::TenantUnavailable, None), "{number}");
            assert_eq!(s3.requests(), asked * attempts + 1, "{number} after {seconds} s");
        }
        s3.fault_get(&key("bad"), S3Fault::None);
        s3.put(BUCKET, &key("bad"), good());
        assert_eq!(bad(35), (ALLOWED, Some(1)), "{number}");
    }
}

#[test]
fn a_refresh_is_that_of_one_tenant() {
    let s3 = S3::start();
    let (a, b) = (Provider::new("a"), Provider::new("b"));
    s3.put(BUCKET, &key("a"), a.bundle(1));
    s3.put(BUCKET, &key("b"), b.bundle(1));
    let function = InProcess::start(&s3, &Setup::new(CallPart::Stage));
    let page = |name: &str, provider: &Provider| at_stage(name, &provider.token(json!({})), "/pets");
    let denied = |revision| (Reason::NoMatchingPermit, Some(revision));
    assert_eq!(function.call(page("a", &a), 1), denied(1));
    assert_eq!(function.call(page("b", &b), 1), denied(1));
    s3.put(BUCKET, &key("a"), build(&a.store(SEE_PETS), 2));
    function.settle(&page("a", &a), 62, (ALLOWED, Some(2)));
    assert_eq!(function.call(page("b", &b), 62), denied(1));
    // If the new bundle of a tenant is broken, the last good one serves, and again only for this tenant.
    s3.put(BUCKET, &key("a"), "broken");
    s3.put(BUCKET, &key("b"), b.bundle(2));
    function.settle(&page("b", &b), 124, denied(2));
    assert_eq!(function.call(page("a", &a), 124), (ALLOWED, Some(2)));
}

#[test]
fn a_tenant_whose_bundle_is_deleted_is_served_until_that_is_too_stale_and_then_unknown() {
    let s3 = S3::start();
    let provider = Provider::new("a");
    s3.put(BUCKET, &key("a"), provider.bundle(3));
    let function = InProcess::start(&s3, &Setup::new(CallPart::Stage));
    let event = front_page("a", &provider.token(json!({})));
    assert_eq!(function.call(event.clone(), 0), (ALLOWED, Some(3)));
    s3.remove(BUCKET, &key("a"));
    assert_eq!(function.call(event.clone(), 3600), (ALLOWED, Some(3)));
    assert_eq!(function.call(event.clone(), 3700), (Reason::BundleStale, None));
    assert_eq!(function.call(event.clone(), 3701), (Reason::TenantUnknown, None));
    // Whoever takes the name again cannot begin at revision 1.
    s3.put(BUCKET, &key("a"), provider.bundle(1));
    assert_eq!(function.call(event.clone(), 3800), (Reason::TenantUnavailable, None));
    s3.put(BUCKET, &key("a"), provider.bundle(4));
    assert_eq!(function.call(event, 3900), (ALLOWED, Some(4)));
}

#[test]
fn names_that_are_made_up_stand_in_nobodys_way() {
    let s3 = S3::start();
    let provider = Provider::new("a");
    let real = |number: u64| format!("real{number}.example.com");
    for number in 0..60 {
        s3.put(BUCKET, &key(&real(number)), provider.bundle(1));
    }
    let function = InProcess::start(&s3, &Setup { max_open: 10, ..Setup::new(CallPart::DomainName) });
    let token = provider.token(json!({}));
    let call = |name: &str, seconds| function.call(at_domain(name, &token), seconds);
    // Ten thousand names in a minute, and each second a tenant that was not open before.
    for number in 0..10_000 {
        let seconds = number * 60 / 10_000;
        if number % 166 == 0 && number / 166 < 60 {
            assert_eq!(call(&real(number / 166), seconds), (ALLOWED, Some(1)), "{number}");
        }
        let name = format!("x{number}.example.com");
        assert_eq!(call(&name, seconds), (Reason::TenantUnknown, None), "{number}");
    }
    assert_eq!(s3.requests(), 60 + 10_000);
    // A name that was asked for within the minute costs no request. A tenant that was closed is opened again.
    assert_eq!(call("x9999.example.com", 59), (Reason::TenantUnknown, None));
    assert_eq!(s3.requests(), 60 + 10_000);
    assert_eq!(call(&real(0), 59), (ALLOWED, Some(1)));
}

#[test]
fn look_ups_are_limited_and_that_ends_with_the_second() {
    let s3 = S3::start();
    let provider = Provider::new("a");
    for name in ["first", "second", "new"] {
        s3.put(BUCKET, &key(name), provider.bundle(1));
    }
    let function = InProcess::start(&s3, &Setup { max_open: 1, ..Setup::new(CallPart::DomainName) });
    let token = provider.token(json!({}));
    let call = |name: &str, seconds| function.call(at_domain(name, &token), seconds);
    assert_eq!(call("first", 0), (ALLOWED, Some(1)));
    assert_eq!(call("second", 0), (ALLOWED, Some(1)));
    // More within one second than S3 could answer one after another.
    for number in 0..1_000 {
        let expected = if number < 400 - 2 { Reason::TenantUnknown } else { Reason::TenantUnavailable };
        assert_eq!(call(&format!("x{number}.example.com"), 0), (expected, None), "{number}");
    }
    assert_eq!(s3.requests(), 400);
    // A fault, which API Gateway does not cache. Known tenants are answered, and those that were open
    // before are opened.
    assert_eq!(call("new", 0), (Reason::TenantUnavailable, None));
    assert_eq!(call("x0.example.com", 0), (Reason::TenantUnknown, None));
    assert_eq!(call("first", 0), (ALLOWED, Some(1)));
    assert_eq!(call("second", 0), (ALLOWED, Some(1)));
    assert_eq!(call("new", 1), (ALLOWED, Some(1)));
}

#[test]
fn a_tenant_is_unknown_only_if_s3_says_that_there_is_no_such_key() {
    const NO_SUCH_KEY: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchKey</Code>\
        <Message>The specified key does not exist.</Message><Key>tenants/a.bundle</Key></Error>";
    let unknown = Reason::TenantUnknown;
    let fault = Reason::TenantUnavailable;
    for (status, body, expected) in [
        (404, NO_SUCH_KEY, unknown),
        (404, "<Error><Code>NoSuchKey</Code></Error>", unknown),
        (404, "", fault),
        (404, "NoSuchKey", fault),
        (404, "NoSuchKey: The specified key does not exist.", fault),
        (404, "<html><head><title>404 Not Found</title></head><body>nginx</body></html>", fault),
        (404, "{\"code\": \"NoSuchKey\"}", fault),
        (404, "<Error><Code>NoSuchKey</Code><Message>The specified", fault),
        (404, "<Error><Code>NoSuchKey</Code><Message>m</Message>", fault),
        (404, "<Error><Code>NoSuchBucket</Code><Message>NoSuchKey</Message></Error>", fault),
        (404, "<Error><Code>NoSuchVersion</Code><Message>m</Message></Error>", fault),
        (404, "<Error><Code>NoSuchKeyPair</Code><Message>m</Message></Error>", fault),
        (404, "<Error><Message>&lt;Code&gt;NoSuchKey&lt;/Code&gt;</Message></Error>", fault),
        (404, "<html><Error><Code>NoSuchKey</Code></Error></html>", fault),
        (403, NO_SUCH_KEY, fault),
        (410, NO_SUCH_KEY, fault),
        (400, NO_SUCH_KEY, fault),
        (204, NO_SUCH_KEY, fault),
        (200, NO_SUCH_KEY, fault),
        (304, "", fault),
    ] {
        let s3 = S3::start();
        s3.fault(S3Fault::Answer(status, body));
        let provider = Provider::new("a");
        let function = InProcess::start(&s3, &Setup::new(CallPart::Stage));
        let event = front_page("a", &provider.token(json!({})));
        assert_eq!(function.call(event, 1), (expected, None), "{status} {body}");
    }
}

#[test]
fn an_opening_that_drips_is_given_up_and_the_next_one_follows() {
    let s3 = S3::start();
    let provider = Provider::new("a");
    s3.put(BUCKET, &key("a"), provider.bundle(1));
    s3.put(BUCKET, &key("b"), provider.bundle(1));
    s3.fault_get(&key("a"), S3Fault::Drips(Duration::from_millis(100)));
    let function = InProcess::start(&s3, &Setup::new(CallPart::Stage));
    let event = |name: &str| front_page(name, &provider.token(json!({})));
    assert_eq!(function.call(event("a"), 1), (Reason::TenantUnavailable, None));
    s3.fault_get(&key("a"), S3Fault::None);
    assert_eq!(function.call(event("b"), 2), (ALLOWED, Some(1)));
    // Three seconds by the clock of timers, and eleven by the wall clock: there was a freeze.
    assert_eq!(function.call(event("a"), 12), (ALLOWED, Some(1)));
    assert_eq!(s3.requests(), 3);
}

#[test]
fn the_bundle_that_vouches_for_claims_is_not_held_up_by_a_look_that_drips() {
    let s3 = S3::start();
    let root = Provider::new("root");
    s3.put(BUCKET, "root.bundle", root.bundle(1));
    s3.put(BUCKET, &key("acme"), root.bundle(7));
    let function = InProcess::start(&s3, &Setup::claim());
    let event = front_page("s", &root.token(json!({"tenant": "acme"})));
    assert_eq!(function.call(event.clone(), 1), (ALLOWED, Some(7)));
    s3.put(BUCKET, "root.bundle", root.bundle(2));
    s3.fault_get("root.bundle", S3Fault::Drips(Duration::from_millis(100)));
    assert_eq!(function.call(event.clone(), 3700), (Reason::BundleStale, None));
    s3.fault_get("root.bundle", S3Fault::None);
    assert_eq!(function.call(event, 3711), (ALLOWED, Some(7)));
}

#[test]
fn without_the_folder_of_all_tenants_none_is_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let provider = Provider::new("a");
    let event = |name: &str| front_page(name, &provider.token(json!({})));
    for ending in ["{tenant}", "{tenant}.d", "{tenant}/store.bundle", "a-{tenant}"] {
        let path = folder.path().join("mount");
        let uri = format!("file://{}/{ending}", path.display());
        let function = InProcess::start_at(&uri, &S3::start(), &Setup::new(CallPart::Stage)).unwrap();
        assert_eq!(function.call(event("x"), 1), (Reason::TenantUnavailable, None), "{ending}");
        std::fs::create_dir(&path).unwrap();
        assert_eq!(function.call(event("x"), 10), (Reason::TenantUnknown, None), "{ending}");
        std::fs::remove_dir(&path).unwrap();
    }
}

#[test]
fn a_denial_without_a_token_is_complete_in_every_shape() {
    let s3 = S3::start();
    let function = InProcess::start(&s3, &Setup::new(CallPart::ApiId));
    let request = Request::new("nobody's", "GET", "/pets", "/pets");
    let policy = |event: Value, stage: &str| {
        let answer = function.answer(event, 1);
        assert_eq!(answer.reason(), Reason::TenantUnknown);
        let response = serde_json::to_value(answer.into_response().unwrap()).unwrap();
        let expected = json!({
            "principalId": "unknown",
            "policyDocument": {"Version": "2012-10-17", "Statement": [{
                "Action": "execute-api:Invoke", "Effect": "Deny",
                "Resource": [format!("{REQUESTED}:abcdef123/{stage}/*")]
            }]},
            "context": {"decision": "deny", "reason": "tenant-unknown"}
        });
        assert_eq!(response, expected);
    };
    policy(request.rest(), "test");
    policy(request.token(), "test");
    policy(request.http1(), "test");
    policy(request.http2(), "dev");
    policy(connect(json!({}), json!({})), "prod");
    // None of these read a token, so there was only one more request for all of them.
    assert_eq!(s3.requests(), 1);

    let simple = Setup { simple_responses: SimpleResponses::Enabled, ..Setup::new(CallPart::ApiId) };
    let function = InProcess::start(&s3, &simple);
    let response = function.answer(request.http2(), 1).into_response().unwrap();
    let expected =
        json!({"isAuthorized": false, "context": {"decision": "deny", "reason": "tenant-unknown"}});
    assert_eq!(serde_json::to_value(response).unwrap(), expected);
    // Other APIs still get a policy.
    let response = function.answer(request.rest(), 1).into_response().unwrap();
    assert_eq!(serde_json::to_value(response).unwrap()["principalId"], "unknown");
}

#[test]
fn the_executable_takes_it_from_the_environment_and_loads_nothing_before_it_is_needed() {
    let s3 = S3::start();
    let acme = Provider::new("acme");
    s3.put(BUCKET, &key("acme"), acme.bundle(7));
    let endpoint = s3.endpoint();
    let uri = format!("s3://{BUCKET}/tenants/{{tenant}}.bundle");
    let environment = [
        ("BUNDLE_URI", uri.as_str()),
        ("TENANT_FROM", "stage"),
        ("MAX_TENANTS", "5"),
        ("AWS_ENDPOINT_URL_S3", endpoint.as_str()),
        ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
    ];
    let function =
        loopback::Function::start(FUNCTION, environment.to_vec()).map_err(|failure| failure.message);
    let function = function.unwrap();
    assert_eq!(s3.requests(), 0);
    let token = acme.token(json!({}));
    for (stage, effect) in [("acme", "Allow"), ("globex", "Deny"), ("acme", "Allow")] {
        let loopback::Answer::Response(response) = function.invoke(&front_page(stage, &token)) else {
            panic!("no response");
        };
        assert_eq!(response["policyDocument"]["Statement"][0]["Effect"], effect, "{stage}");
    }
    assert_eq!(s3.requests(), 2);
    // After the start, each line says which bundle or call it is about.
    let logs = function.logs();
    for (words, tenant) in [
        ("bundle loaded", "acme"),
        ("\"allow\"", "acme"),
        ("no such tenant", "globex"),
        ("\"deny\"", "globex"),
    ] {
        let mut lines = logs.lines().filter(|line| line.contains(words));
        assert!(lines.any(|line| line.contains(&format!("\"tenant\":\"{tenant}\""))), "{words}: {logs}");
    }
}

#[test]
fn bundles_of_tenants_may_be_files_and_stores() {
    let folder = tempfile::tempdir().unwrap();
    let acme = Provider::new("acme");
    std::fs::write(folder.path().join("acme.d"), acme.bundle(7)).unwrap();
    for (path, content) in acme.store("").iter() {
        let path = folder.path().join("globex.d").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    let uri = format!("file://{}/{{tenant}}.d", folder.path().display());
    let s3 = S3::start();
    let function = InProcess::start_at(&uri, &s3, &Setup::new(CallPart::Stage)).unwrap();
    let token = acme.token(json!({}));
    for (stage, expected) in [
        ("acme", (ALLOWED, Some(7))),
        ("globex", (ALLOWED, Some(0))),
        ("other", (Reason::TenantUnknown, None)),
    ] {
        assert_eq!(function.call(front_page(stage, &token), 1), expected, "{stage}");
    }
    std::fs::write(folder.path().join("other.d"), acme.bundle(8)).unwrap();
    assert_eq!(function.call(front_page("other", &token), 61), (ALLOWED, Some(8)));
    assert_eq!(s3.requests(), 0);
}

/// A bundle of the sample store for a tenant. It is signed if there is a signer.
fn for_tenant(
    provider: &Provider,
    tenant: Option<&str>,
    signer: Option<&PrivateKey>,
    revision: u64,
) -> Vec<u8> {
    let tenant: Option<Tenant> = tenant.map(|name| name.parse().unwrap());
    let signing_keys = signer.map_or(&[][..], std::slice::from_ref);
    provider.bundle(Edition { revision, tenant: tenant.as_ref(), signing_keys, ..Edition::default() })
}

#[test]
fn the_signed_bundle_of_one_tenant_is_not_that_of_another() {
    let signer = PrivateKey::generate().unwrap();
    let provider = Provider::new("a");
    let public_keys: Option<PublicKeys> = Some(signer.public_key().to_string().parse().unwrap());
    let refused = (Reason::TenantUnavailable, None);
    for (is_signed, without_tenant) in [(true, refused), (false, (ALLOWED, Some(1)))] {
        let signer = Some(&signer).filter(|_| is_signed);
        let setup =
            Setup { public_keys: public_keys.clone().filter(|_| is_signed), ..Setup::new(CallPart::Stage) };
        for (tenant, expected) in [
            (Some("acme"), (ALLOWED, Some(1))),
            (Some("globex"), refused),
            (Some("Acme"), refused),
            (Some("acme.x"), refused),
            (None, without_tenant),
        ] {
            let s3 = S3::start();
            s3.put(BUCKET, &key("acme"), for_tenant(&provider, tenant, signer, 1));
            let function = InProcess::start(&s3, &setup);
            let event = front_page("acme", &provider.token(json!({})));
            assert_eq!(function.call(event, 1), expected, "{tenant:?}, signed: {is_signed}");
        }
        // At a refresh it is refused too: the last good one serves.
        let s3 = S3::start();
        s3.put(BUCKET, &key("acme"), for_tenant(&provider, Some("acme"), signer, 1));
        let function = InProcess::start(&s3, &setup);
        let event = front_page("acme", &provider.token(json!({})));
        assert_eq!(function.call(event.clone(), 1), (ALLOWED, Some(1)));
        s3.put(BUCKET, &key("acme"), for_tenant(&provider, Some("globex"), signer, 2));
        let before = s3.requests();
        for seconds in [62, 63, 64] {
            function.call(event.clone(), seconds);
            function.runtime.block_on(async { tokio::time::sleep(Duration::from_millis(50)).await });
        }
        assert!(s3.requests() > before);
        assert_eq!(function.call(event, 65), (ALLOWED, Some(1)));
    }
}

#[test]
fn the_bundle_that_vouches_for_claims_is_for_no_tenant_and_of_the_same_store() {
    let provider = Provider::new("a");
    for signer in [None, Some(PrivateKey::generate().unwrap())] {
        let public_keys = signer.as_ref().map(|signer| signer.public_key().to_string().parse().unwrap());
        let setup = Setup { public_keys, name: Some("petstore"), ..Setup::claim() };
        let s3 = S3::start();
        let code = |setup: &Setup| InProcess::try_start(&s3, setup).err().map(|failure| failure.code());
        // Otherwise the issuer of one tenant could say who belongs to which tenant.
        s3.put(BUCKET, "root.bundle", for_tenant(&provider, Some("acme"), signer.as_ref(), 1));
        assert_eq!(code(&setup), Some("bundle-tenant-mismatch"));
        s3.put(BUCKET, "root.bundle", for_tenant(&provider, None, signer.as_ref(), 2));
        assert_eq!(code(&setup), None);
        assert_eq!(code(&Setup { name: Some("kennel"), ..setup.clone() }), Some("bundle-name-mismatch"));

        // The bundles of the tenants must be of this store too.
        let mut files = provider.store("");
        let settings = String::from_utf8(files.get("store.toml").unwrap().to_vec()).unwrap();
        files.insert("store.toml".to_owned(), settings.replace("\"petstore\"", "\"kennel\"").into());
        let tenant: Tenant = "acme".parse().unwrap();
        let signing_keys = signer.as_slice();
        let edition = Edition { revision: 1, tenant: Some(&tenant), signing_keys, ..Edition::default() };
        s3.put(BUCKET, &key("acme"), build(&files, edition));
        let function = InProcess::start(&s3, &setup);
        let event = front_page("s", &provider.token(json!({"tenant": "acme"})));
        assert_eq!(function.call(event, 1), (Reason::TenantUnavailable, None));
    }
}
