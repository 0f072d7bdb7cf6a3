//! Tokens with one fault each.

use std::sync::LazyLock;

use cedar_authorizer::reason::Reason;
use cedar_authorizer::time::UnixTime;
use cedar_authorizer::token::bearer::Bearer;
use cedar_authorizer::token::jws::verify_jws;
use cedar_authorizer::token::key_set::KeySet;
use cedar_authorizer::token::{Unverified, verify};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::world::{EXPIRES_AT, ISSUED_AT, development_key_set, development_keys, sample_bundle, token};

static GOOD: LazyLock<String> = LazyLock::new(|| token("alice", json!({})));

fn key_set() -> KeySet {
    KeySet::parse(development_key_set().to_string().as_bytes()).unwrap()
}

fn verify_at(token: &str, now: u64, leeway_seconds: u32) -> Result<String, Unverified> {
    let bundle = sample_bundle();
    let (sources, keys) = (bundle.identity_sources(), development_keys(&bundle));
    let bearer = Bearer::parse(token)?;
    let verified = verify(bearer, sources, &keys, leeway_seconds, UnixTime::from_seconds(now))?;
    Ok(verified.principal_id().to_owned())
}

#[track_caller]
fn refused(claims: Value, reason: Reason) {
    let token = token("alice", claims.clone());
    let expected = Err(Unverified::Refused(reason));
    assert_eq!(verify_at(&token, ISSUED_AT + 1, 0), expected, "{claims}");
}

#[test]
fn each_fault_in_the_claims_has_its_reason() {
    for (claims, reason) in [
        (json!({"iss": null}), Reason::ClaimInvalid),
        (
            json!({"iss": ["https://cognito-idp.us-east-1.amazonaws.com/us-east-1_EXAMPLE"]}),
            Reason::ClaimInvalid,
        ),
        (
            json!({"iss": "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_EXAMPLE/"}),
            Reason::IssuerUnknown,
        ),
        (
            json!({"iss": "HTTPS://cognito-idp.us-east-1.amazonaws.com/us-east-1_EXAMPLE"}),
            Reason::IssuerUnknown,
        ),
        (json!({"token_use": null}), Reason::ClaimInvalid),
        (json!({"token_use": "id"}), Reason::TokenTypeMismatch),
        (json!({"token_use": "Access"}), Reason::TokenTypeMismatch),
        (json!({"client_id": null}), Reason::ClaimInvalid),
        (json!({"client_id": null, "aud": "1example23456789"}), Reason::ClaimInvalid),
        (json!({"client_id": ["1example23456789"]}), Reason::ClaimInvalid),
        (json!({"client_id": "1example2345678"}), Reason::ClientMismatch),
        (json!({"exp": null}), Reason::ClaimInvalid),
        (json!({"exp": "4102444800"}), Reason::ClaimInvalid),
        (json!({"exp": 1e300}), Reason::ClaimInvalid),
        (json!({"exp": -1}), Reason::ClaimInvalid),
        (json!({"exp": ISSUED_AT}), Reason::TokenExpired),
        (json!({"exp": ISSUED_AT + 1}), Reason::TokenExpired),
        (json!({"nbf": ISSUED_AT + 2}), Reason::TokenNotYetValid),
        (json!({"nbf": "soon"}), Reason::ClaimInvalid),
        (json!({"iat": ISSUED_AT + 2}), Reason::TokenNotYetValid),
        (json!({"sub": null}), Reason::ClaimInvalid),
        (json!({"sub": ""}), Reason::ClaimInvalid),
        (json!({"sub": 7}), Reason::ClaimInvalid),
        (json!({"cnf": {"jkt": "x"}}), Reason::TokenBound),
        (json!({"cognito:groups": "employee"}), Reason::ClaimInvalid),
        (json!({"cognito:groups": [{}]}), Reason::ClaimInvalid),
    ] {
        refused(claims, reason);
    }
}

#[test]
fn a_good_token_is_accepted_from_its_first_second_to_its_last() {
    let subject = Ok("a11ce000-0001-4000-8000-000000000001".to_owned());
    assert_eq!(verify_at(&GOOD, ISSUED_AT, 0), subject);
    assert_eq!(verify_at(&GOOD, EXPIRES_AT - 1, 0), subject);
    assert_eq!(verify_at(&GOOD, EXPIRES_AT, 0), Err(Unverified::Refused(Reason::TokenExpired)));
    assert_eq!(verify_at(&GOOD, ISSUED_AT - 1, 0), Err(Unverified::Refused(Reason::TokenNotYetValid)));
}

#[test]
fn leeway_stretches_both_ends_and_no_more() {
    assert!(verify_at(&GOOD, EXPIRES_AT + 59, 60).is_ok());
    assert!(verify_at(&GOOD, ISSUED_AT - 60, 60).is_ok());
    assert_eq!(verify_at(&GOOD, EXPIRES_AT + 60, 60), Err(Unverified::Refused(Reason::TokenExpired)));
    assert_eq!(verify_at(&GOOD, ISSUED_AT - 61, 60), Err(Unverified::Refused(Reason::TokenNotYetValid)));
}

#[test]
fn both_issuers_of_a_pool_are_its_own() {
    let issuer = "https://issuer-cognito-idp.us-east-1.amazonaws.com/us-east-1_EXAMPLE";
    assert!(verify_at(&token("alice", json!({"iss": issuer})), ISSUED_AT, 0).is_ok());
}

#[test]
fn every_changed_byte_of_a_token_is_refused() {
    let keys = key_set();
    assert!(verify_jws(&GOOD, &keys).is_ok());
    for position in 0..GOOD.len() {
        for replacement in [b'A', b'B', b'.', b'=', b' ', b'\0', b'_'] {
            let mut altered = GOOD.clone().into_bytes();
            if altered[position] == replacement {
                continue;
            }
            altered[position] = replacement;
            let altered = String::from_utf8(altered).unwrap();
            assert!(verify_jws(&altered, &keys).is_err(), "byte {position}");
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_text_is_refused_without_a_panic(text in any::<String>(), at in 0_usize..400) {
        let keys = key_set();
        prop_assert!(verify_jws(&text, &keys).is_err());
        let cut: String = GOOD.chars().take(at).collect();
        let joined = cut + &text;
        prop_assert!(verify_jws(&joined, &keys).is_err());
    }
}
