//! Access tokens of one caller, signed with the development key.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::store::POOL;
use super::{EXPIRES_AT, ISSUED_AT};

/// Signs tokens that differ in their `jti` alone, the first of these numbers. The same number makes the same token.
pub fn sign(numbers: impl Iterator<Item = usize>) -> Vec<String> {
    let lines = DEVELOPMENT_KEY.lines().skip_while(|line| !line.starts_with("-----BEGIN")).skip(1);
    let body: String = lines.take_while(|line| !line.starts_with("-----END")).collect();
    let key = EncodingKey::from_rsa_der(&STANDARD.decode(body).unwrap());
    let mut header = Header::new(Algorithm::RS256);
    header.typ = None;
    header.kid = Some(DEVELOPMENT_KEY_ID.to_owned());
    numbers.map(|number| jsonwebtoken::encode(&header, &claims(number), &key).unwrap()).collect()
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
