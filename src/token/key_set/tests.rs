use serde_json::json;

use super::*;

// RFC 7515 appendix A.3, the public key of an ES256 example.
fn ec() -> Value {
    json!({
        "kty": "EC", "crv": "P-256", "kid": "ec",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
    })
}

#[track_caller]
fn with(changes: Value) -> Value {
    let mut key = ec();
    for (name, value) in changes.as_object().unwrap() {
        key[name] = value.clone();
    }
    key
}

fn parse(keys: Vec<Value>) -> Result<KeySet, InvalidKeySet> {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes())
}

#[test]
fn an_unusable_key_is_skipped_and_counted() {
    for unusable in [
        json!("text"),
        json!({"kty": "oct", "k": "AAAA"}),
        with(json!({"kid": 5})),
        with(json!({"kid": "x".repeat(MAX_KEY_ID_BYTES + 1)})),
        with(json!({"kty": "AKP"})),
        with(json!({"crv": "secp256k1"})),
        with(json!({"crv": "P-384"})),
        with(json!({"x": "AAAA"})),
        with(json!({"x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU="})),
        with(json!({"use": "enc"})),
        with(json!({"use": 5})),
        with(json!({"key_ops": ["encrypt"]})),
        with(json!({"alg": "ES384"})),
        with(json!({"alg": "none"})),
        with(json!({"d": "AAAA"})),
        json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"}),
    ] {
        let good = with(json!({"kid": "good"}));
        let set = parse(vec![unusable.clone(), good]).unwrap();
        assert_eq!((set.len(), set.skipped()), (1, 1), "{unusable}");
        assert!(set.find(Some("good")).is_some());
    }
}

#[test]
fn the_key_decides_on_the_algorithm() {
    let set = parse(vec![ec()]).unwrap();
    let key = set.find(Some("ec")).unwrap();
    assert!(key.verifier(Algorithm::ES256).is_some());
    for other in [Algorithm::ES384, Algorithm::RS256, Algorithm::HS256] {
        assert!(key.verifier(other).is_none(), "{other:?}");
    }
}

#[test]
fn a_token_without_key_id_is_for_the_only_key() {
    assert!(parse(vec![ec()]).unwrap().find(None).is_some());
    let two = parse(vec![ec(), with(json!({"kid": "other"}))]).unwrap();
    assert!(two.find(None).is_none());
}

#[test]
fn two_keys_with_one_id_are_both_skipped() {
    let set = parse(vec![ec(), with(json!({"kid": "other"})), ec()]).unwrap();
    assert_eq!((set.len(), set.skipped()), (1, 2));
    assert!(set.find(Some("ec")).is_none());
}

#[test]
fn refuses_what_is_no_key_set() {
    assert_eq!(KeySet::parse(b"nonsense").unwrap_err(), InvalidKeySet::Json);
    assert_eq!(KeySet::parse(b"{}").unwrap_err(), InvalidKeySet::NoKeys);
    assert_eq!(parse(vec![json!(1); MAX_KEYS + 1]).unwrap_err(), InvalidKeySet::TooManyKeys);
    let large = vec![b' '; MAX_BYTES + 1];
    assert_eq!(KeySet::parse(&large).unwrap_err(), InvalidKeySet::TooLarge);
}

// RFC 7638 3.1, the example.
#[test]
fn thumbprints_are_those_of_rfc_7638() {
    let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
    let thumbprint = JwkMembers::Rsa { n, e: "AQAB" }.thumbprint();
    assert_eq!(URL_SAFE_NO_PAD.encode(thumbprint), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

#[test]
fn a_test_key_is_found_by_its_id_alone_and_is_no_key_of_the_set() {
    let test_keys = Arc::new(parse(vec![with(json!({"kid": "test"}))]).unwrap());
    for (keys, len, only) in [(vec![], 0, false), (vec![ec()], 1, true)] {
        let set = parse(keys).unwrap().with_test_keys(Some(Arc::clone(&test_keys)));
        assert_eq!((set.len(), set.is_empty(), set.find(None).is_some()), (len, len == 0, only));
        assert!(set.find(Some("test")).is_none() && set.find_test_key(Some("test")).is_some());
        assert!(set.find_test_key(None).is_none() && set.find_test_key(Some("ec")).is_none());
    }
    assert!(parse(vec![ec()]).unwrap().find_test_key(Some("test")).is_none());
}
