//! JSON Web Signatures in compact form (RFC 7515), read strictly.
//!
//! ```text
//! eyJraWQiOi...J9 . eyJzdWIiOi...fQ . Zk3q0X...A
//! header, JSON      payload, JSON     signature      each in base64url without padding
//! `------- signing input ---------'
//! ```
//!
//! Signatures are verified through `jsonwebtoken`, by its trait for a [verifier](super::verifier). Its token
//! reader is not used. Like other common ones, it ignores `crit`, `b64`, `typ` and the purpose of a key, treats a
//! claim of a wrong type as absent, and parses the key for each token.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::signature::Verifier;
use serde_json::{Map, Value};

use super::algorithm::{self, Algorithm};
use super::json;
use super::key_set::{Key, KeySet, MAX_KEY_ID_BYTES};
use crate::reason::Reason;

/// Verifies the signature of a compact JWS and returns its payload.
///
/// This does all that RFC 7515 asks for and nothing that RFC 7519 does: no claim is read. It is public for
/// outside test vectors; the function uses [`verify`](super::verify).
///
/// # Errors
/// [`Reason::TokenMalformed`], [`Reason::HeaderUnsupported`], [`Reason::AlgorithmUnsupported`],
/// [`Reason::KeyUnknown`] or [`Reason::SignatureInvalid`].
pub fn verify_jws(compact: &str, keys: &KeySet) -> Result<Vec<u8>, Reason> {
    let jws = Jws::parse(compact)?;
    jws.verify(keys)?;
    Ok(jws.payload)
}

/// A JWS whose signature has not been verified yet.
pub(super) struct Jws<'a> {
    signing_input: &'a str,
    signature: Vec<u8>,
    algorithm: Algorithm,
    key_id: Option<String>,
    is_explicit_access_token: bool,
    payload: Vec<u8>,
}

impl<'a> Jws<'a> {
    pub(super) fn parse(compact: &'a str) -> Result<Self, Reason> {
        let (signing_input, signature) = compact.rsplit_once('.').ok_or(Reason::TokenMalformed)?;
        let (header, payload) = signing_input.split_once('.').ok_or(Reason::TokenMalformed)?;
        let signature = decode(signature)?;
        if payload.contains('.') || signature.is_empty() {
            return Err(Reason::TokenMalformed);
        }
        let header = json::parse_object(&decode(header)?).map_err(|_| Reason::TokenMalformed)?;
        check_header(&header)?;
        let payload = decode(payload)?;
        Ok(Self {
            signing_input,
            signature,
            algorithm: algorithm(&header)?,
            key_id: key_id(&header)?,
            is_explicit_access_token: has_type(&header, &ACCESS_TOKEN_TYPES),
            payload,
        })
    }

    /// The payload, which is not verified yet.
    pub(super) fn unverified_payload(&self) -> &[u8] {
        &self.payload
    }

    /// Whether the header says that it is an access token (RFC 9068 2.1).
    pub(super) fn is_explicit_access_token(&self) -> bool {
        self.is_explicit_access_token
    }

    pub(super) fn verify(&self, keys: &KeySet) -> Result<(), Reason> {
        if let Some(key) = keys.find(self.key_id.as_deref()) {
            return self.verify_by(key);
        }
        // Whoever names a test key without having it gets what others get who name a key that is not there.
        let test_key = keys.find_test_key(self.key_id.as_deref());
        test_key.and_then(|key| self.verify_by(key).ok()).ok_or(Reason::KeyUnknown)
    }

    fn verify_by(&self, key: &Key) -> Result<(), Reason> {
        let verifier = key.verifier(self.algorithm).ok_or(Reason::AlgorithmUnsupported)?;
        let verified = verifier.verify(self.signing_input.as_bytes(), &self.signature);
        verified.map_err(|_| Reason::SignatureInvalid)
    }
}

/// Refuses a header that asks for more than is supported. Members that point to keys (`jku`, `jwk`, `x5u`, `x5c`)
/// are ignored: keys come only from the identity source (RFC 8725 3.10).
fn check_header(header: &Map<String, Value>) -> Result<(), Reason> {
    // No extension is supported, so a critical one must be refused (RFC 7515 4.1.11). `b64` changes what is
    // signed (RFC 7797 3). `enc` and `zip` belong to encryption (RFC 7516 4.1).
    if ["crit", "b64", "enc", "zip"].iter().any(|name| header.contains_key(*name)) {
        return Err(Reason::HeaderUnsupported);
    }
    // Explicit typing (RFC 8725 3.11): a token of another type is neither an ID token nor an access token.
    let is_known =
        !header.contains_key("typ") || has_type(header, &TYPES) || has_type(header, &ACCESS_TOKEN_TYPES);
    if is_known { Ok(()) } else { Err(Reason::HeaderUnsupported) }
}

/// Compares media types without regard to case (RFC 7515 4.1.9).
fn has_type(header: &Map<String, Value>, types: &[&str]) -> bool {
    let kind = header.get("typ").and_then(Value::as_str);
    kind.is_some_and(|kind| types.iter().any(|known| known.eq_ignore_ascii_case(kind)))
}

fn key_id(header: &Map<String, Value>) -> Result<Option<String>, Reason> {
    match header.get("kid") {
        None => Ok(None),
        Some(Value::String(id)) if id.len() <= MAX_KEY_ID_BYTES => Ok(Some(id.clone())),
        Some(_) => Err(Reason::HeaderUnsupported),
    }
}

fn algorithm(header: &Map<String, Value>) -> Result<Algorithm, Reason> {
    match header.get("alg") {
        Some(Value::String(name)) => algorithm::accepted(name).ok_or(Reason::AlgorithmUnsupported),
        _ => Err(Reason::TokenMalformed),
    }
}

/// Strict base64url: no padding, no other characters, no stray bits at the end. So a token has only one spelling
/// (RFC 7515 2).
fn decode(part: &str) -> Result<Vec<u8>, Reason> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Reason::TokenMalformed)
}

/// RFC 7519 5.1.
const TYPES: [&str; 2] = ["JWT", "application/jwt"];

/// RFC 9068 2.1.
const ACCESS_TOKEN_TYPES: [&str; 2] = ["at+jwt", "application/at+jwt"];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(header: &Value) -> Result<(), Reason> {
        let header = URL_SAFE_NO_PAD.encode(header.to_string());
        Jws::parse(&format!("{header}.e30.AAAA")).map(|_| ())
    }

    #[test]
    fn refuses_a_header_that_asks_for_more_than_is_supported() {
        for (header, reason) in [
            (json!({"alg": "RS256", "crit": ["exp"]}), Reason::HeaderUnsupported),
            (json!({"alg": "RS256", "crit": []}), Reason::HeaderUnsupported),
            (json!({"alg": "RS256", "b64": false}), Reason::HeaderUnsupported),
            (json!({"alg": "RS256", "b64": true}), Reason::HeaderUnsupported),
            (json!({"alg": "RS256", "zip": "DEF"}), Reason::HeaderUnsupported),
            (json!({"alg": "RSA-OAEP", "enc": "A128GCM"}), Reason::HeaderUnsupported),
            (json!({"alg": "RS256", "typ": "dpop+jwt"}), Reason::HeaderUnsupported),
            (json!({"alg": "RS256", "typ": 5}), Reason::HeaderUnsupported),
            (json!({"alg": "RS256", "kid": 5}), Reason::HeaderUnsupported),
            (json!({"alg": "RS256", "kid": "x".repeat(257)}), Reason::HeaderUnsupported),
            (json!({"alg": "none"}), Reason::AlgorithmUnsupported),
            (json!({"alg": "nOnE"}), Reason::AlgorithmUnsupported),
            (json!({"alg": "HS256"}), Reason::AlgorithmUnsupported),
            (json!({"alg": "rs256"}), Reason::AlgorithmUnsupported),
            (json!({"alg": ["RS256"]}), Reason::TokenMalformed),
            (json!({}), Reason::TokenMalformed),
        ] {
            assert_eq!(parse(&header), Err(reason), "{header}");
        }
    }

    #[test]
    fn takes_the_types_of_id_and_access_tokens() {
        for kind in ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt"] {
            assert_eq!(parse(&json!({"alg": "RS256", "typ": kind, "jku": "https://x"})), Ok(()));
        }
    }

    #[test]
    fn refuses_every_other_shape_than_three_parts_in_strict_base64url() {
        // {"alg":"RS256"}
        let header = "eyJhbGciOiJSUzI1NiJ9";
        for compact in [
            String::new(),
            "..".to_owned(),
            format!("{header}.e30"),
            format!("{header}.e30."),
            format!("{header}.e30.AAAA.AAAA"),
            format!("{header}.e30.AAAA.AAAA.AAAA"),
            format!("{header}.e30.AAA="),
            format!("{header}.e30.AAB"),
            format!("{header}.e3+.AAAA"),
            format!("{header} .e30.AAAA"),
            format!("{header}=.e30.AAAA"),
            "W10.e30.AAAA".to_owned(),
            // {"alg":"RS256","alg":"none"}
            "eyJhbGciOiJSUzI1NiIsImFsZyI6Im5vbmUifQ.e30.AAAA".to_owned(),
        ] {
            assert_eq!(Jws::parse(&compact).map(|_| ()), Err(Reason::TokenMalformed), "{compact}");
        }
    }

    // RFC 8037 appendix A.4: an Ed25519 example. Its payload is not JSON.
    #[test]
    fn verifies_the_example_of_rfc_8037() {
        let keys = json!({"keys": [
            {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
        ]});
        let keys = KeySet::parse(keys.to_string().as_bytes()).unwrap();
        let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
                     hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        assert_eq!(verify_jws(token, &keys), Ok(b"Example of Ed25519 signing".to_vec()));
    }

    // RFC 7515 appendix A.3: an ES256 example, complete.
    #[test]
    fn verifies_the_example_of_rfc_7515_and_no_other_signature() {
        let keys = json!({"keys": [{
            "kty": "EC", "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
        }]});
        let keys = KeySet::parse(keys.to_string().as_bytes()).unwrap();
        let payload =
            "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signature =
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
        let token = format!("eyJhbGciOiJFUzI1NiJ9.{payload}.{signature}");
        assert_eq!(verify_jws(&token, &keys), Ok(URL_SAFE_NO_PAD.decode(payload).unwrap()));

        let other = token.replace("DtEh", "DtEi");
        assert_eq!(verify_jws(&other, &keys), Err(Reason::SignatureInvalid));
        let other = token.replace("eyJpc3Mi", "eyJpc3Mj");
        assert_eq!(verify_jws(&other, &keys), Err(Reason::SignatureInvalid));
    }
}
