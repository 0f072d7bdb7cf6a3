//! Issuers that publish their keys: `serve` verifies their tokens as the function does, beside those of its own key.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::ServeProcess;
use super::server::eventually;
use crate::loopback::{KeyServer, KeyServerFault};
use crate::signing::SigningKey;
use crate::world::StoreCopy;

const POOL: &str = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_EXAMPLE";

fn pool_token(key: &SigningKey, id: Option<&str>) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({
        "iss": POOL, "client_id": "1example23456789", "token_use": "access", "sub": "u1",
        "iat": now, "exp": now + 3600
    });
    let mut header = json!({"alg": key.algorithms()[0]});
    if let Some(id) = id {
        header["kid"] = id.into();
    }
    key.token(&header, &claims)
}

fn serve(store: &StoreCopy) -> ServeProcess {
    ServeProcess::start(&["--store", store.path().to_str().unwrap()])
}

/// The token of the call that is printed at the start. The test key signed it.
fn own_token(server: &ServeProcess) -> String {
    let printed = server.printed_last();
    let (_, token) = printed.split_once("Bearer ").unwrap();
    token.split_once('\'').unwrap().0.to_owned()
}

#[track_caller]
fn check(server: &ServeProcess, token: &str, status: u16, reason: &str) {
    let found = server.get_as(token, "/").status;
    let exchange = server.last();
    assert_eq!((found, &exchange["decision"]["reason"]), (status, &Value::from(reason)), "{exchange:#}");
}

#[test]
fn tokens_of_an_issuer_fare_as_in_the_deployed_function() {
    let (key, other) = (SigningKey::p256(), SigningKey::p256());
    let issuer = KeyServer::start(json!({"keys": [key.jwk("k")]}));
    let store = StoreCopy::with_jwks_uri(&issuer.uri());
    let server = serve(&store);
    check(&server, &pool_token(&key, Some("k")), 200, "allowed-by-policy");
    // The only key of its issuer.
    check(&server, &pool_token(&key, None), 200, "allowed-by-policy");
    check(&server, &pool_token(&other, None), 401, "signature-invalid");
    check(&server, &pool_token(&other, Some("other")), 401, "key-unknown");
    check(&server, &own_token(&server), 200, "allowed-by-policy");

    issuer.fault(KeyServerFault::Status(503));
    let server = serve(&store);
    // Nobody can say whose fault it is.
    check(&server, &pool_token(&key, Some("k")), 500, "keys-unavailable");
    check(&server, &pool_token(&key, None), 500, "keys-unavailable");
    check(&server, &own_token(&server), 200, "allowed-by-policy");
}

#[test]
fn a_change_of_the_store_fetches_no_keys() {
    let key = SigningKey::p256();
    let issuer = KeyServer::start(json!({"keys": [key.jwk("k")]}));
    let store = StoreCopy::with_jwks_uri(&issuer.uri());
    let server = serve(&store);
    let token = pool_token(&key, Some("k"));
    check(&server, &token, 200, "allowed-by-policy");
    assert_eq!(issuer.requests(), 1);
    issuer.fault(KeyServerFault::Status(503));
    for revision in 2..5 {
        let policy = format!("@id(\"never\") forbid(principal, action, resource) when {{ {revision} < 0 }};");
        store.write("policies/never.cedar", policy.as_bytes());
        let says = format!("revision {revision} is in force");
        eventually(|| server.errors().contains(&says).then_some(()));
        check(&server, &token, 200, "allowed-by-policy");
    }
    assert_eq!(issuer.requests(), 1);
    // Another address has keys of its own.
    let other = SigningKey::p256();
    let elsewhere = KeyServer::start(json!({"keys": [other.jwk("k")]}));
    let path = "identity-sources/cognito.json";
    let source = fs::read_to_string(store.path().join(path)).unwrap();
    store.write(path, source.replace(&issuer.uri(), &elsewhere.uri()).as_bytes());
    eventually(|| server.errors().contains("revision 5 is in force").then_some(()));
    check(&server, &token, 401, "signature-invalid");
    check(&server, &pool_token(&other, Some("k")), 200, "allowed-by-policy");
}
