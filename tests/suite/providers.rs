//! Tokens of OpenID Connect providers: every algorithm, and one fault each.

use std::sync::Arc;
use std::sync::LazyLock;

use cedar_authorizer::reason::Reason;
use cedar_authorizer::time::UnixTime;
use cedar_authorizer::token::bearer::Bearer;
use cedar_authorizer::token::identity_source::IdentitySource;
use cedar_authorizer::token::jws::verify_jws;
use cedar_authorizer::token::key_set::{KeyPlace, KeySet, KeySets};
use cedar_authorizer::token::{Unverified, verify};
use serde_json::{Value, json};

use crate::signing::SigningKey;

const NOW: u64 = 1_700_000_000;
const ISSUER: &str = "https://auth.example.com/tenant/";

static KEY: LazyLock<SigningKey> = LazyLock::new(SigningKey::p256);

fn source(selection: Value) -> IdentitySource {
    let file = json!({
        "principalEntityType": "User",
        "configuration": {"openIdConnectConfiguration": {
            "issuer": ISSUER,
            "tokenSelection": selection,
            "entityIdPrefix": "Example",
            "groupConfiguration": {"groupClaim": "groups", "groupEntityType": "UserGroup"}
        }}
    });
    IdentitySource::from_json("example", &file.to_string()).unwrap()
}

fn access() -> IdentitySource {
    source(json!({"accessTokenOnly": {"audiences": ["https://api.example.com"]}}))
}

fn id() -> IdentitySource {
    source(json!({"identityTokenOnly": {"clientIds": ["app"], "principalIdClaim": "oid"}}))
}

fn key_sets(keys: Value, sources: usize) -> KeySets {
    let keys = Arc::new(KeySet::parse(json!({"keys": keys}).to_string().as_bytes()).unwrap());
    KeySets::new(vec![vec![keys]; sources])
}

fn verify_with(sources: &[IdentitySource], token: &str) -> Result<(usize, String), Unverified> {
    let keys = key_sets(json!([KEY.jwk("k1")]), sources.len());
    let verified = verify(Bearer::parse(token)?, sources, &keys, 0, UnixTime::from_seconds(NOW))?;
    Ok((verified.keys().source, verified.principal_id().to_owned()))
}

/// A good token with some of its header and claims replaced, or removed by `null`.
fn token(source: &IdentitySource, header: Value, claims: Value) -> String {
    let mut all = json!({"iss": ISSUER, "exp": NOW + 60, "iat": NOW, "sub": "alice", "oid": "o-7"});
    all["aud"] = source.accepted().first().unwrap().as_str().into();
    let mut head = json!({"alg": "ES256", "kid": "k1"});
    for (target, changes) in [(&mut all, claims), (&mut head, header)] {
        let target = target.as_object_mut().unwrap();
        for (name, value) in changes.as_object().unwrap() {
            target.insert(name.clone(), value.clone());
        }
        target.retain(|_, value| !value.is_null());
    }
    KEY.token(&head, &all)
}

#[test]
fn a_signature_of_every_algorithm_is_verified_and_under_no_other_name() {
    for key in [SigningKey::rsa(), SigningKey::p256(), SigningKey::p384(), SigningKey::ed25519()] {
        let keys = KeySet::parse(json!({"keys": [key.jwk("k1")]}).to_string().as_bytes()).unwrap();
        for algorithm in key.algorithms() {
            let token = key.token(&json!({"alg": algorithm, "kid": "k1"}), &json!({}));
            assert_eq!(verify_jws(&token, &keys), Ok(b"{}".to_vec()), "{algorithm}");

            // A key for one algorithm works for no other.
            let mut jwk = key.jwk("k1");
            jwk["alg"] = (*algorithm).into();
            let only = KeySet::parse(json!({"keys": [jwk]}).to_string().as_bytes()).unwrap();
            for other in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"] {
                let token = key.token(&json!({"alg": other, "kid": "k1"}), &json!({}));
                let expected =
                    if other == *algorithm { Ok(b"{}".to_vec()) } else { Err(Reason::AlgorithmUnsupported) };
                assert_eq!(verify_jws(&token, &only), expected, "{algorithm} {other}");
            }
        }
    }
}

#[test]
fn the_public_key_is_no_secret_to_sign_with() {
    // RFC 8725 2.1: an HMAC made with the text of the public key.
    let keys = KeySet::parse(json!({"keys": [KEY.jwk("k1")]}).to_string().as_bytes()).unwrap();
    let token = KEY.token(&json!({"alg": "HS256", "kid": "k1"}), &json!({}));
    assert_eq!(verify_jws(&token, &keys), Err(Reason::AlgorithmUnsupported));
}

#[test]
fn a_good_token_of_each_type_says_who_it_is_by_the_claim_that_is_set() {
    let sources = [access()];
    assert_eq!(verify_with(&sources, &token(&access(), json!({}), json!({}))), Ok((0, "alice".to_owned())));
    let sources = [id()];
    assert_eq!(verify_with(&sources, &token(&id(), json!({}), json!({}))), Ok((0, "o-7".to_owned())));
}

#[test]
fn each_fault_has_its_reason() {
    let none = json!({});
    for (source, header, claims, reason) in [
        (access(), none.clone(), json!({"iss": ISSUER.trim_end_matches('/')}), Reason::IssuerUnknown),
        (access(), none.clone(), json!({"iss": null}), Reason::ClaimInvalid),
        (access(), none.clone(), json!({"iss": [ISSUER]}), Reason::ClaimInvalid),
        (access(), none.clone(), json!({"aud": "https://other.example.com"}), Reason::ClientMismatch),
        (access(), none.clone(), json!({"aud": "https://api.example.com/"}), Reason::ClientMismatch),
        (access(), none.clone(), json!({"aud": null}), Reason::ClaimInvalid),
        (access(), none.clone(), json!({"aud": null, "client_id": "other"}), Reason::ClientMismatch),
        (access(), none.clone(), json!({"aud": {"https://api.example.com": 1}}), Reason::ClaimInvalid),
        (access(), none.clone(), json!({"nonce": "n"}), Reason::TokenTypeMismatch),
        (access(), none.clone(), json!({"typ": "Refresh"}), Reason::TokenTypeMismatch),
        (access(), none.clone(), json!({"exp": NOW}), Reason::TokenExpired),
        (access(), none.clone(), json!({"exp": null}), Reason::ClaimInvalid),
        (access(), none.clone(), json!({"nbf": NOW + 1}), Reason::TokenNotYetValid),
        (access(), none.clone(), json!({"iat": NOW + 1}), Reason::TokenNotYetValid),
        (access(), none.clone(), json!({"cnf": {"x5t#S256": "x"}}), Reason::TokenBound),
        (access(), none.clone(), json!({"sub": null}), Reason::ClaimInvalid),
        (access(), none.clone(), json!({"groups": {"admin": true}}), Reason::ClaimInvalid),
        (access(), json!({"typ": "dpop+jwt"}), none.clone(), Reason::HeaderUnsupported),
        (access(), json!({"crit": ["x"]}), none.clone(), Reason::HeaderUnsupported),
        (access(), json!({"kid": 5}), none.clone(), Reason::HeaderUnsupported),
        (access(), json!({"alg": "RS256"}), none.clone(), Reason::AlgorithmUnsupported),
        (id(), none.clone(), json!({"aud": "other"}), Reason::ClientMismatch),
        (id(), none.clone(), json!({"aud": ["other", "another"]}), Reason::ClientMismatch),
        (id(), none.clone(), json!({"aud": null, "client_id": "app"}), Reason::TokenTypeMismatch),
        (id(), none.clone(), json!({"scope": "read"}), Reason::TokenTypeMismatch),
        (id(), json!({"typ": "at+jwt"}), none.clone(), Reason::TokenTypeMismatch),
        (id(), none.clone(), json!({"oid": null}), Reason::ClaimInvalid),
        (id(), none.clone(), json!({"oid": 7}), Reason::ClaimInvalid),
    ] {
        let token = token(&source, header.clone(), claims.clone());
        assert_eq!(verify_with(&[source], &token), Err(Unverified::Refused(reason)), "{header} {claims}");
    }
    // An unknown key id may become known after a fetch.
    let unknown = token(&access(), json!({"kid": "k2"}), none);
    let place = KeyPlace { source: 0, issuer: 0 };
    assert_eq!(verify_with(&[access()], &unknown), Err(Unverified::KeyMissing(place)));
}

#[test]
fn what_providers_send_besides_is_no_fault() {
    for (source, header, claims) in [
        (access(), json!({"typ": "at+jwt"}), json!({"nonce": "n", "client_id": "app"})),
        (access(), json!({"typ": "JWT"}), json!({"typ": "Bearer", "nonce": "n", "scope": "a"})),
        (access(), json!({}), json!({"aud": ["https://other.example.com", "https://api.example.com"]})),
        (access(), json!({}), json!({"aud": null, "cid": "https://api.example.com"})),
        (access(), json!({"jku": "https://evil.example.com"}), json!({"exp": NOW as f64 + 0.5})),
        (id(), json!({"typ": "JWT"}), json!({"nonce": "n", "at_hash": "h", "typ": "ID"})),
        (id(), json!({}), json!({"aud": ["other", "app"], "azp": "app"})),
        (id(), json!({"kid": null}), json!({"iat": null})),
    ] {
        let token = token(&source, header.clone(), claims.clone());
        assert!(verify_with(&[source], &token).is_ok(), "{header} {claims}");
    }
}

#[test]
fn two_sources_of_one_issuer_are_told_apart_by_type_and_audience() {
    let sources = [
        source(json!({"accessTokenOnly": {"audiences": ["https://api.example.com"]}})),
        source(json!({"accessTokenOnly": {"audiences": ["https://admin.example.com"]}})),
        source(json!({"identityTokenOnly": {"clientIds": ["app"]}})),
    ];
    for (audience, claims, expected) in [
        ("https://api.example.com", json!({}), 0),
        ("https://admin.example.com", json!({}), 1),
        ("app", json!({"nonce": "n"}), 2),
    ] {
        let mut claims = claims;
        claims["aud"] = audience.into();
        let token = token(&sources[0], json!({}), claims);
        assert_eq!(verify_with(&sources, &token).map(|(source, _)| source), Ok(expected), "{audience}");
    }
    let other = token(&sources[0], json!({}), json!({"aud": "https://other.example.com"}));
    assert_eq!(verify_with(&sources, &other), Err(Unverified::Refused(Reason::ClientMismatch)));
}

#[test]
fn one_bad_key_does_not_spoil_the_set() {
    let keys = key_sets(json!([{"kty": "AKP", "kid": "new"}, 5, {"kty": "RSA", "kid": 7}, KEY.jwk("k1")]), 1);
    let token = token(&access(), json!({}), json!({}));
    let bearer = Bearer::parse(&token).unwrap();
    assert!(verify(bearer, &[access()], &keys, 0, UnixTime::from_seconds(NOW)).is_ok());
}
