//! Starts of the function: what is asked of the network before the first call, and in which order.

use std::thread;
use std::time::{Duration, Instant};

use cedar_authorizer::store::build::bundle_of_directory;
use serde_json::json;

use crate::loopback::{Answer, Function, KeyServer, KeyServerFault, S3, Tls};
use crate::signing::SigningKey;
use crate::world::{FUNCTION, StoreCopy, bundle_bytes, event};

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
fn provider() -> (KeyServer, serde_json::Value) {
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
    let cognito = std::fs::read(StoreCopy::new().path().join("identity-sources/cognito.json")).unwrap();
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
    std::fs::write(tls.certificate(), "").unwrap();
    assert!(with(&tls.endpoint(), &tls).is_err());
    assert_eq!(s3.requests(), 1);
}
