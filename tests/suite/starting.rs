//! Starts of the function: what is asked of the network before the first call, and in which order.

use std::fs;
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use cedar_authorizer::bundle::DevelopmentKeys;
use cedar_authorizer::function::config::Config;
use cedar_authorizer::function::lambda;
use cedar_authorizer::function::source::DEFAULT_CACHE_BYTES;
use cedar_authorizer::function::source::current::{Audience, Conditions};
use cedar_authorizer::function::telemetry::settings::Settings;
use cedar_authorizer::gateway::response::SimpleResponses;
use cedar_authorizer::store::build::bundle_of_directory;
use serde_json::{Value, json};

use crate::loopback::{Answer, Function, KeyServer, KeyServerFault, S3, Tls};
use crate::signing::SigningKey;
use crate::world::{FUNCTION, ISSUED_AT, StoreCopy, bundle_bytes, event, token};

const BUCKET: &str = "bundles";
const KEY: &str = "petstore.bundle";
const URI: &str = "s3://bundles/petstore.bundle";

fn start(environment: &[(&str, &str)]) -> Result<Function, String> {
    let all = [&[("CACHE_KEY", "none"), ("BUNDLE_URI", URI)], environment].concat();
    Function::start(FUNCTION, all).map_err(|failure| failure.message)
}

/// The sample store for tokens of a provider on this machine.
fn store_of(issuer: &str) -> StoreCopy {
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

/// A provider with a key, and a call with a token of it.
fn provider() -> (KeyServer, Value) {
    let key = SigningKey::ed25519();
    let server = KeyServer::start(json!({"keys": [key.jwk("k")]}));
    let claims = json!({
        "iss": server.issuer(), "aud": "api", "sub": "u1", "client_id": "app", "exp": 4_102_444_800_u64
    });
    let token = key.token(&json!({"alg": "EdDSA", "kid": "k"}), &claims);
    (server, event(&token, "GET", "/"))
}

#[track_caller]
fn effect(answer: Answer) -> String {
    match answer {
        Answer::Response(response) => {
            response["policyDocument"]["Statement"][0]["Effect"].as_str().unwrap().to_owned()
        }
        Answer::Error { error_type, error_message: _ } => error_type,
    }
}

/// Waits until something holds.
fn until(holds: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(30) {
        if holds() {
            return true;
        }
        thread::sleep(Duration::from_millis(5));
    }
    false
}

#[test]
fn keys_of_a_known_issuer_are_fetched_while_the_bundle_is_on_its_way() {
    let (provider, call) = provider();
    let s3 = S3::start();
    s3.put(BUCKET, KEY, bundle_of_directory(store_of(&provider.issuer()).path(), 1).unwrap());
    // S3 keeps the bundle until this test has asked for it, too.
    s3.meet(KEY, 2);
    let (endpoint, issuer) = (s3.endpoint(), provider.issuer());
    let starting = thread::spawn(move || start(&[("AWS_ENDPOINT_URL_S3", &endpoint), ("ISSUERS", &issuer)]));
    assert!(until(|| provider.requests() == 1), "the keys wait for the bundle");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(s3.reader().read(BUCKET, KEY, None, None, 1)).unwrap();
    let function = starting.join().unwrap().unwrap();
    assert_eq!(effect(function.invoke(&call)), "Allow");
    assert_eq!(provider.requests(), 1);
}

#[test]
fn a_key_server_that_fails_early_is_asked_again_when_a_call_needs_it() {
    let (provider, call) = provider();
    provider.fault(KeyServerFault::Status(404));
    let store = store_of(&provider.issuer());
    let function = start(&[("BUNDLE_URI", &store.uri()), ("ISSUERS", &provider.issuer())]).unwrap();
    assert_eq!(provider.requests(), 1);
    assert_eq!(effect(function.invoke(&call)), "keys-unavailable");
    provider.fault(KeyServerFault::None);
    assert!(until(|| effect(function.invoke(&call)) == "Allow"), "{}", function.logs());
}

#[test]
fn a_bundle_that_accepts_tokens_of_an_issuer_without_a_name_is_refused() {
    let pool = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_EXAMPLE";
    let updated = "https://issuer-cognito-idp.us-east-1.amazonaws.com/us-east-1_EXAMPLE";
    let arn = "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_EXAMPLE";
    let own = "http://127.0.0.1:1/pool";
    let of_provider = store_of(own);
    let of_both = store_of(own);
    let cognito = fs::read(StoreCopy::new().path().join("identity-sources/cognito.json")).unwrap();
    of_both.write("identity-sources/cognito.json", &cognito);
    let both = format!("{pool}, {updated}, {own}");
    for (store, named, stranger) in [
        (&of_provider, vec![("ISSUERS", own)], None),
        (&of_provider, vec![("ISSUERS", "http://127.0.0.1:1/other")], Some("provider")),
        (&of_provider, vec![("ISSUERS", "http://127.0.0.1:1/pool/")], Some("provider")),
        (&of_provider, vec![("USER_POOL_ARN", arn)], Some("provider")),
        (&of_both, vec![("ISSUERS", own)], Some("cognito")),
        // One of the two issuers of a pool is not the whole pool.
        (&of_both, vec![("ISSUERS", &format!("{pool},{own}"))], Some("cognito")),
        (&of_both, vec![("ISSUERS", own), ("USER_POOL_ARN", arn)], None),
        (&of_both, vec![("ISSUERS", &both)], None),
        (
            &of_both,
            vec![("ISSUERS", own), ("USER_POOL_ARN", &arn.replace("EXAMPLE", "OTHER"))],
            Some("cognito"),
        ),
    ] {
        let uri = store.uri();
        // The keys of Cognito are nowhere here.
        let proxy = [("BUNDLE_URI", uri.as_str()), ("JWKS_PROXY", "http://127.0.0.1:1")];
        let started = start(&[&proxy, named.as_slice()].concat());
        match (started, stranger) {
            (Ok(_), None) => {}
            (Err(message), Some(stranger)) => {
                assert!(message.contains(&format!("identity source `{stranger}`")), "{named:?}: {message}");
            }
            (started, _) => panic!("{named:?}: {:?}", started.err()),
        }
    }
}

/// Answers of a function of this process, with a rehearsal or without.
fn answers(store: &StoreCopy, cache_key: &str, events: &[String], is_rehearsed: bool) -> Vec<String> {
    let config = Config {
        bundle_uri: store.uri().parse().unwrap(),
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
            cache_key: cache_key.parse().unwrap(),
            refresh: Duration::from_secs(60),
            max_stale: Duration::from_secs(3600),
        },
        bundle_cache_bytes: DEFAULT_CACHE_BYTES,
        jwks_proxy: None,
        simple_responses: SimpleResponses::Disabled,
        telemetry: Settings::default(),
    };
    let now = UNIX_EPOCH + Duration::from_secs(ISSUED_AT + 1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let function = lambda::Function::init(&config, now.into()).await.unwrap();
        if is_rehearsed {
            function.rehearse(now).await;
        }
        let mut answers = Vec::new();
        for event in events {
            answers.push(match function.answer(event, now.into()).await.into_response() {
                Ok(response) => response.as_json().to_owned(),
                Err(refused) => refused.error_type,
            });
        }
        answers
    })
}

#[test]
fn a_rehearsal_changes_no_answer() {
    let tokens = ["alice", "bob"].map(|persona| token(persona, json!({})));
    let mut events: Vec<String> = Vec::new();
    for token in tokens.iter().map(String::as_str).chain(["x.y.z", ""]) {
        for (verb, path) in [("GET", "/pets"), ("POST", "/pets"), ("GET", "/pets/7"), ("GET", "/nowhere")] {
            events.push(event(token, verb, path).to_string());
        }
    }
    events.extend(["{}".to_owned(), "x".to_owned()]);
    let store = StoreCopy::new();
    for cache_key in ["none", "token", "method.request.header.Authorization,context.path"] {
        let plain = answers(&store, cache_key, &events, false);
        assert_eq!(answers(&store, cache_key, &events, true), plain, "{cache_key}");
    }
}

#[test]
fn init_tells_nobody_of_the_calls_that_it_makes_up() {
    let (provider, call) = provider();
    let s3 = S3::start();
    s3.put(BUCKET, KEY, bundle_of_directory(store_of(&provider.issuer()).path(), 1).unwrap());
    let (endpoint, issuer) = (s3.endpoint(), provider.issuer());
    let function = start(&[
        ("AWS_ENDPOINT_URL_S3", &endpoint),
        ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
        ("AWS_LAMBDA_LOG_LEVEL", "TRACE"),
        ("ISSUERS", &issuer),
        ("POWERTOOLS_METRICS_NAMESPACE", "CedarAuthorizer"),
    ])
    .unwrap();
    let lines = || -> Vec<Value> {
        function.logs().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let messages: Vec<Value> = lines().iter().map(|line| line["message"].clone()).collect();
    assert_eq!(messages, ["key set fetched", "bundle loaded"]);
    assert_eq!((s3.requests(), provider.requests()), (1, 1));
    assert_eq!(effect(function.invoke(&call)), "Allow");
    let [decision, start, metrics] = &lines()[2..] else { panic!("{}", function.logs()) };
    assert_eq!(decision["coldStart"], true);
    assert_eq!(decision["remembered"], json!({"token": false, "answer": false}));
    assert_eq!(
        (&start["ColdStart"], &metrics["Decisions"], &metrics["KeyFetches"]),
        (&json!(1), &json!(1), &json!(1))
    );
    assert!(metrics.get("RememberedTokens").is_none() && metrics.get("RememberedAnswers").is_none());
    assert_eq!((s3.requests(), provider.requests()), (1, 1));
}

#[test]
fn what_cannot_be_rehearsed_is_left_to_the_first_call() {
    let nobody = event("x.y.z", "GET", "/");
    let without = |files: &[&str], schema: Option<&str>| {
        let store = StoreCopy::new();
        files.iter().for_each(|file| store.remove(file));
        if let Some(schema) = schema {
            for folder in ["policies", "templates"] {
                fs::remove_dir_all(store.path().join(folder)).unwrap();
            }
            for file in ["entities.json", "template-links.json"] {
                store.remove(file);
            }
            store.write("schema.cedarschema", schema.as_bytes());
        }
        store
    };
    let no_routes = "namespace PetStore { entity Application; entity UserGroup; entity User in [UserGroup];
                     action read appliesTo { principal: User, resource: Application, context: {} }; }";
    let only_connect = "namespace PetStore { entity Application; entity UserGroup; entity User in [UserGroup];
                        action \"$connect\" appliesTo { principal: User, resource: Application, context: {} }; }";
    for store in [
        without(&[], Some(no_routes)),
        without(&[], Some(only_connect)),
        without(&["jwks/cognito.json"], None),
    ] {
        let uri = store.uri();
        for cache_key in ["none", "token"] {
            let function = start(&[
                ("ALLOW_DEVELOPMENT_KEYS", "true"),
                ("BUNDLE_URI", &uri),
                ("CACHE_KEY", cache_key),
                // The keys of Cognito are nowhere here.
                ("JWKS_PROXY", "http://127.0.0.1:1"),
            ])
            .unwrap();
            assert_eq!(effect(function.invoke(&nobody)), "Unauthorized");
        }
    }
    // The bundle of a tenant is opened by the first call.
    let s3 = S3::start();
    let function = start(&[
        ("AWS_ENDPOINT_URL_S3", &s3.endpoint()),
        ("BUNDLE_URI", "s3://bundles/{tenant}.bundle"),
        ("TENANT_FROM", "stage"),
    ])
    .unwrap();
    assert_eq!(s3.requests(), 0);
    assert_eq!(effect(function.invoke(&nobody)), "Deny");
}

#[test]
fn issuers_are_urls_with_tls() {
    for wrong in
        ["", " , ", "auth.example.com", "http://auth.example.com", "https://a.example,ftp://b.example"]
    {
        let message = start(&[("ISSUERS", wrong)]).err().unwrap();
        assert!(message.contains("\n  ISSUERS: "), "{wrong}: {message}");
    }
}

#[test]
fn a_server_is_known_by_the_certificates_of_the_system_and_by_nothing_else() {
    let s3 = S3::start();
    s3.put(BUCKET, KEY, bundle_bytes(7));
    let (tls, other) = (Tls::before(s3.address()), Tls::before(s3.address()));
    let elsewhere = Tls::named("example.com", s3.address());
    let with = |endpoint: &str, trusted: &Tls| {
        let certificate = trusted.certificate();
        start(&[
            ("ALLOW_DEVELOPMENT_KEYS", "true"),
            ("AWS_ENDPOINT_URL_S3", endpoint),
            ("SSL_CERT_FILE", certificate.to_str().unwrap()),
        ])
        .map(|_| ())
    };
    assert_eq!(with(&tls.endpoint(), &tls), Ok(()));
    assert_eq!(s3.requests(), 1);
    // A certificate that nobody trusts, a name that it is not for, and no certificates at all.
    assert!(with(&tls.endpoint(), &other).is_err());
    assert!(with(&elsewhere.endpoint(), &elsewhere).is_err());
    fs::write(tls.certificate(), "").unwrap();
    assert!(with(&tls.endpoint(), &tls).is_err());
    assert_eq!(s3.requests(), 1);
}
