//! Access tokens of one caller, signed with the development key.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::store::POOL;
use super::{EXPIRES_AT, ISSUED_AT};

/// Signs tokens that differ in their `jti` alone, the first of these numbers. The same number makes the same token.
pub fn sign(numbers: impl Iterator<Item = usize>) -> Vec<String> {
    let lines = DEVELOPMENT_KEY.lines().skip_while(|line| !line.starts_with("-----BEGIN")).skip(1);
    let body: String = lines.take_while(|line| !line.starts_with("-----END")).collect();
    let key = RsaKeyPair::from_der(&STANDARD.decode(body).unwrap()).unwrap();
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let header = encode(&json!({"alg": "RS256", "kid": DEVELOPMENT_KEY_ID}));
    let sign = |number: usize| {
        let signing_input = format!("{header}.{}", encode(&claims(number)));
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signing_input.as_bytes(), &mut signature).unwrap();
        format!("{signing_input}.{}", URL_SAFE_NO_PAD.encode(signature))
    };
    numbers.map(sign).collect()
}

/// As Cognito has them. Of the groups, four are in policies.
pub fn claims(number: usize) -> Value {
    json!({
        "sub": "u1",
        "cognito:groups": ["g0", "g3", "g6", "g9", "none"],
        "iss": format!("https://cognito-idp.us-east-1.amazonaws.com/{POOL}"),
        "version": 2,
        "client_id": "1example23456789",
        "origin_jti": format!("3b3a1f0e-6f0c-4a53-9b1c-{number:012}"),
        "event_id": "7d3c3a0f-5a6f-4a8e-8a3e-1f7c6a1f2b3c",
        "token_use": "access",
        "scope": "openid profile email",
        "auth_time": ISSUED_AT,
        "exp": EXPIRES_AT,
        "iat": ISSUED_AT,
        "jti": format!("9f1e2d3c-4b5a-4c6d-8e7f-{number:012}"),
        "username": "u1"
    })
}

/// Not a secret: see the file.
const DEVELOPMENT_KEY: &str = include_str!("../../src/bin/cedar-authorizer/development-key.pem");

/// The id of the key in `policies/jwks/cognito.json`.
const DEVELOPMENT_KEY_ID: &str = "development-key-never-in-production";
