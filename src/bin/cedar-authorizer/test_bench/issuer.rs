//! The issuer of tests: it signs tokens for every identity source of a store.

use std::sync::Arc;

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cedar_authorizer::time::UnixTime;
use cedar_authorizer::token::TokenType;
use cedar_authorizer::token::identity_source::{IdentitySource, Provider};
use cedar_authorizer::token::key_set::{KeySet, KeySets};
use serde_json::{Value, json};

use super::Claims;
use crate::nearest::choice;
use crate::output::Failure;

/// Signs tokens with a key that it made for itself and that nobody else has.
///
/// So a store needs no development key to be tested, and yet every token is signed and verified as in production.
#[derive(Debug)]
pub struct TestIssuer {
    key: Ed25519KeyPair,
    keys: Arc<KeySet>,
    /// The first part of every token.
    header: String,
}

impl TestIssuer {
    /// Makes a key.
    pub fn new() -> Result<Self, Failure> {
        let unusable = |_: Unspecified| Failure::could_not_run("cannot make a key for tests");
        let key = Ed25519KeyPair::generate().map_err(unusable)?;
        // No issuer may publish another key with this id: it would be the one that counts.
        let mut random = [0; 8];
        rand::fill(&mut random).map_err(unusable)?;
        let id = format!("test-{:016x}", u64::from_be_bytes(random));
        let keys = KeySet::parse(jwks(&key, &id).to_string().as_bytes());
        let keys =
            keys.map_err(|error| Failure::could_not_run(format_args!("the key for tests: {error}")))?;
        // Cognito's headers have `kid` and `alg`, but no `typ`.
        let header = json!({"kid": id, "alg": "EdDSA"}).to_string();
        Ok(Self { key, keys: Arc::new(keys), header: URL_SAFE_NO_PAD.encode(header) })
    }

    /// The key that verifies its tokens, as an issuer would publish it.
    pub fn key_set(&self) -> Arc<KeySet> {
        Arc::clone(&self.keys)
    }

    /// The key sets of these identity sources, as if this key were the only one of each.
    pub fn key_sets(&self, sources: &[IdentitySource]) -> KeySets {
        KeySets::new(sources.iter().map(|_| vec![Arc::clone(&self.keys)]).collect())
    }

    /// A token with these claims (RFC 7515, 3.1).
    pub fn sign(&self, claims: &Claims) -> Result<String, Failure> {
        let unsigned = |_: Unspecified| Failure::could_not_run("cannot sign a token");
        let claims = serde_json::to_vec(claims).map_err(Failure::could_not_run)?;
        let message = format!("{}.{}", self.header, URL_SAFE_NO_PAD.encode(claims));
        let signature = self.key.try_sign(message.as_bytes()).map_err(unsigned)?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref())))
    }
}

fn jwks(key: &Ed25519KeyPair, id: &str) -> Value {
    let x = URL_SAFE_NO_PAD.encode(key.public_key().as_ref());
    json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": id, "x": x}]})
}

/// The identity source that a token is from: the named one, else the one whose issuer the claim `iss` is, else the
/// first.
pub fn find_source<'a>(
    sources: &'a [IdentitySource],
    name: Option<&str>,
    claims: &Claims,
) -> Result<&'a IdentitySource, NoSource> {
    if let Some(name) = name {
        return sources.iter().find(|source| source.name() == name).ok_or_else(|| {
            let hint = choice(name, sources.iter().map(IdentitySource::name));
            NoSource { message: format!("there is no identity source `{name}`"), hint }
        });
    }
    let issuer = claims.get("iss").and_then(Value::as_str);
    let of_issuer = sources
        .iter()
        .find(|source| issuer.is_some_and(|issuer| source.issuers().iter().any(|known| known == issuer)));
    of_issuer.or(sources.first()).ok_or_else(|| NoSource {
        message: "the policy store has no identity source, so no token is accepted".to_owned(),
        hint: "add one to `identity-sources/`".to_owned(),
    })
}

/// There is no such identity source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoSource {
    /// What is missing.
    pub message: String,
    /// What to do.
    pub hint: String,
}

impl NoSource {
    /// The same as a failure of a verb.
    pub fn into_failure(self) -> Failure {
        Failure::could_not_run(self.message).hint(self.hint)
    }
}

/// The type of a token if nothing else is asked for: the one that the source accepts.
pub fn token_type(source: &IdentitySource) -> TokenType {
    source.token_type().unwrap_or(TokenType::Access)
}

/// The claims that every token of this source and type has.
pub fn default_claims(
    source: &IdentitySource,
    token_type: TokenType,
    now: UnixTime,
    expires_in: u64,
) -> Claims {
    let (audience_claim, token_use) = match (source.provider(), token_type) {
        (Provider::Cognito(_), TokenType::Access) => ("client_id", Some(token_type.name())),
        (Provider::Cognito(_), TokenType::Id) => ("aud", Some(token_type.name())),
        (Provider::OpenIdConnect, _) => ("aud", None),
    };
    let audience = source.accepted().first().map_or("any", String::as_str);
    let claims = [
        ("iss", json!(source.issuers().first())),
        (audience_claim, json!(audience)),
        ("token_use", json!(token_use)),
        (source.principal_id_claim(), json!("00000000-0000-4000-8000-000000000000")),
        ("iat", json!(now.as_seconds())),
        ("exp", json!(now.as_seconds().saturating_add(expires_in))),
    ];
    claims.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
