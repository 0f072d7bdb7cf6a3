//! Signatures through `jsonwebtoken`: its `encode` and `decode` with our cryptography, and our verifiers
//! through its trait.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cedar_authorizer::token::algorithm::{ACCEPTED, Algorithm};
use cedar_authorizer::token::crypto_provider::AWS_LC;
use cedar_authorizer::token::jws::verify_jws;
use cedar_authorizer::token::key_set::KeySet;
use jsonwebtoken::crypto::JwtVerifier;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use jsonwebtoken::signature::Verifier;
use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde_json::{Value, json};

use crate::signing::SigningKey;

/// All tests of this program share one provider, because a process can have only one.
fn install() {
    // An error means that another test was faster.
    let _ = AWS_LC.install_default();
}

/// A key for each algorithm that is accepted.
fn keys() -> Vec<(Algorithm, SigningKey)> {
    let all = || [SigningKey::rsa(), SigningKey::p256(), SigningKey::p384(), SigningKey::ed25519()];
    let key = |algorithm: Algorithm| {
        all().into_iter().find(|key| key.algorithms().contains(&format!("{algorithm:?}").as_str())).unwrap()
    };
    ACCEPTED.into_iter().map(|algorithm| (algorithm, key(algorithm))).collect()
}

fn key_set(key: &SigningKey) -> KeySet {
    KeySet::parse(json!({"keys": [key.jwk("k1")]}).to_string().as_bytes()).unwrap()
}

fn encoded(algorithm: Algorithm, key: &SigningKey, claims: &Value) -> String {
    install();
    let header = Header { kid: Some("k1".to_owned()), ..Header::new(algorithm) };
    encode(&header, claims, &key.encoding_key()).unwrap()
}

fn decoding_key(jwk: &Value) -> DecodingKey {
    DecodingKey::from_jwk(&serde_json::from_value::<Jwk>(jwk.clone()).unwrap()).unwrap()
}

#[test]
fn what_encode_signs_is_verified_and_nothing_else() {
    let claims = json!({"sub": "alice"});
    for (algorithm, key) in keys() {
        let token = encoded(algorithm, &key, &claims);
        let keys = key_set(&key);
        assert_eq!(verify_jws(&token, &keys), Ok(claims.to_string().into_bytes()), "{algorithm:?}");

        let (message, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let verifier: &dyn JwtVerifier = keys.find(Some("k1")).unwrap().verifier(algorithm).unwrap();
        assert_eq!(verifier.algorithm(), algorithm);
        // The second time, the key has already been parsed.
        for _ in 0..2 {
            assert!(verifier.verify(message.as_bytes(), &signature).is_ok(), "{algorithm:?}");
        }
        for at in 0..signature.len() {
            let mut flipped = signature.clone();
            flipped[at] ^= 1;
            assert!(verifier.verify(message.as_bytes(), &flipped).is_err(), "{algorithm:?} byte {at}");
        }
        let longer = [signature.as_slice(), &[0]].concat();
        let shorter = signature[..signature.len() - 1].to_vec();
        for other in [longer, shorter, vec![], vec![0; signature.len()]] {
            assert!(verifier.verify(message.as_bytes(), &other).is_err(), "{algorithm:?} {other:?}");
        }
        assert!(verifier.verify(&message.as_bytes()[1..], &signature).is_err(), "{algorithm:?}");
    }
}

#[test]
fn a_signature_is_one_of_its_algorithm_and_of_its_key_alone() {
    let keys = keys();
    let message = b"message".as_slice();
    for (algorithm, key) in &keys {
        let token = encoded(*algorithm, key, &json!({}));
        let (message_of_token, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let own = key_set(key);
        for (other_algorithm, other) in &keys {
            // Keys of another kind have no such verifier. RSA keys have one for each of six algorithms.
            if let Some(verifier) = own.find(None).unwrap().verifier(*other_algorithm) {
                let verified = verifier.verify(message_of_token.as_bytes(), &signature);
                assert_eq!(
                    verified.is_ok(),
                    algorithm == other_algorithm,
                    "{algorithm:?} {other_algorithm:?}"
                );
                assert!(verifier.verify(message, &signature).is_err());
            }
            // `keys` has other keys of the same kind.
            let set = key_set(other);
            let verifier = set.find(None).unwrap().verifier(*algorithm);
            let verified = verifier
                .is_some_and(|verifier| verifier.verify(message_of_token.as_bytes(), &signature).is_ok());
            assert_eq!(
                verified,
                algorithm == other_algorithm,
                "{algorithm:?} by a key for {other_algorithm:?}"
            );
        }
    }
}

#[test]
fn decode_verifies_what_another_signed() {
    install();
    for (algorithm, key) in keys() {
        let decoding_key = decoding_key(&key.jwk("k1"));
        let mut validation = Validation::new(algorithm);
        validation.required_spec_claims.clear();
        let token = key.token(&json!({"alg": format!("{algorithm:?}")}), &json!({"sub": "alice"}));
        let claims = decode::<Value>(&token, &decoding_key, &validation).map(|data| data.claims);
        assert_eq!(claims, Ok(json!({"sub": "alice"})), "{algorithm:?}");

        let (message, _) = token.rsplit_once('.').unwrap();
        let other = encoded(algorithm, &key, &json!({}));
        let (_, signature_of_other) = other.rsplit_once('.').unwrap();
        let forged = format!("{message}.{signature_of_other}");
        let refused = decode::<Value>(&forged, &decoding_key, &validation).map(|data| data.claims);
        assert_eq!(refused.unwrap_err().into_kind(), ErrorKind::InvalidSignature, "{algorithm:?}");
    }
}

#[test]
fn the_provider_takes_no_secret_and_no_weak_key() {
    install();
    let refused = |algorithm: Algorithm, key: &DecodingKey| {
        (AWS_LC.verifier_factory)(&algorithm, key).err().map(jsonwebtoken::errors::Error::into_kind)
    };
    let secret = EncodingKey::from_secret(b"a secret that both sides have");
    let error = encode(&Header::new(Algorithm::HS256), &json!({}), &secret).unwrap_err();
    assert_eq!(error.into_kind(), ErrorKind::InvalidAlgorithm);
    let secret = DecodingKey::from_secret(b"a secret that both sides have");
    for algorithm in [Algorithm::HS256, Algorithm::RS256] {
        assert_eq!(refused(algorithm, &secret), Some(ErrorKind::InvalidAlgorithm), "{algorithm:?}");
    }

    let (rsa, p256) = (SigningKey::rsa(), SigningKey::p256());
    let mut weak = rsa.jwk("k");
    weak["e"] = "AQ".into();
    let weak_kind = ErrorKind::InvalidRsaKey("weak".to_owned());
    assert_eq!(refused(Algorithm::RS256, &decoding_key(&weak)), Some(weak_kind));
    // A point of small order: anybody can sign for this key.
    let small = DecodingKey::from_ed_der(&[0; 32]);
    assert_eq!(refused(Algorithm::EdDSA, &small), Some(ErrorKind::InvalidEddsaKey));

    let point = decoding_key(&p256.jwk("k"));
    assert_eq!(refused(Algorithm::ES256, &point), None);
    assert_eq!(refused(Algorithm::ES384, &point), Some(ErrorKind::InvalidKeyFormat));
    assert_eq!(refused(Algorithm::RS256, &point), Some(ErrorKind::InvalidAlgorithm));
    let mut elsewhere = p256.jwk("k");
    elsewhere["y"] = elsewhere["x"].clone();
    assert_eq!(refused(Algorithm::ES256, &decoding_key(&elsewhere)), Some(ErrorKind::InvalidKeyFormat));
    // Public keys must be given as the numbers of a JWK.
    for der in [DecodingKey::from_rsa_der(&[0x30]), DecodingKey::from_ec_der(&[0x30])] {
        let algorithm = der.family().algorithms()[0];
        assert_eq!(refused(algorithm, &der), Some(ErrorKind::InvalidKeyFormat), "{algorithm:?}");
    }
}

// Unsupported operations return an error. A provider without them would panic.
#[test]
fn a_thumbprint_is_made_and_no_jwk_of_a_private_key() {
    install();
    // RFC 7638 3.1.
    let jwk = json!({
        "kty": "RSA", "alg": "RS256", "kid": "2011-04-29", "e": "AQAB",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjB\
              ZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8\
              KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_\
              xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    });
    let jwk: Jwk = serde_json::from_value(jwk).unwrap();
    let thumbprint = jwk.thumbprint(ThumbprintHash::SHA256);
    assert_eq!(thumbprint.unwrap(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    for (algorithm, key) in keys() {
        assert!(Jwk::from_encoding_key(&key.encoding_key(), algorithm).is_err(), "{algorithm:?}");
    }
}
