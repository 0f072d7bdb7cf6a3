//! Why a token is refused, in its own words: what it says, and what the identity sources expect.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cedar_authorizer::reason::Reason;
use cedar_authorizer::token::identity_source::IdentitySource;
use chrono::DateTime;
use serde_json::Value;

use crate::test_bench::Claims;

/// The claims of a token that may be forged, only to be shown.
pub fn unverified_claims(token: &str) -> Option<Claims> {
    let payload = token.trim().rsplit(' ').next()?.split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

/// What the token says, and what is expected, as far as that explains the refusal.
pub fn notes(reason: Reason, claims: &Claims, sources: &[IdentitySource]) -> Vec<String> {
    let shown = |name: &str| match claims.get(name) {
        Some(value) => format!("the claim `{name}` is {value}"),
        None => format!("there is no claim `{name}`"),
    };
    let list =
        |texts: Vec<&str>| texts.into_iter().map(|text| format!("`{text}`")).collect::<Vec<_>>().join(", ");
    let issuers = |source: &IdentitySource| source.issuers().to_vec();
    let issuer = claims.get("iss").and_then(Value::as_str);
    let source = sources
        .iter()
        .find(|source| issuer.is_some_and(|issuer| issuers(source).iter().any(|known| known == issuer)));
    match (reason, source) {
        (Reason::IssuerUnknown, _) => {
            let known: Vec<String> = sources.iter().flat_map(issuers).collect();
            let known = list(known.iter().map(String::as_str).collect());
            vec![format!("{}, and the identity sources have {known}", shown("iss"))]
        }
        (Reason::ClientMismatch, Some(source)) => {
            let accepted = list(source.accepted().iter().map(String::as_str).collect());
            let names = ["aud", "client_id", "cid"].into_iter().filter(|name| claims.contains_key(*name));
            let said: Vec<String> = names.map(shown).collect();
            vec![format!("{}, and `{}` accepts {accepted}", said.join(" and "), source.name())]
        }
        (Reason::TokenTypeMismatch, Some(source)) => {
            let accepted = source.token_type().map_or("any", |token_type| token_type.name());
            vec![format!("{}, and `{}` accepts {accepted} tokens", shown("token_use"), source.name())]
        }
        (Reason::TokenExpired, _) => time("exp", claims).into_iter().collect(),
        (Reason::TokenNotYetValid, _) => {
            ["nbf", "iat"].iter().filter_map(|name| time(name, claims)).collect()
        }
        (Reason::KeyUnknown | Reason::KeysUnavailable, Some(source)) => {
            vec![format!(
                "the token is from `{}`, whose keys are neither with the store nor to be had",
                source.name()
            )]
        }
        _ => Vec::new(),
    }
}

/// A claim that is a time, for people.
fn time(name: &str, claims: &Claims) -> Option<String> {
    let seconds = claims.get(name)?.as_i64()?;
    Some(format!("the claim `{name}` is {seconds}, {}", DateTime::from_timestamp(seconds, 0)?.to_rfc3339()))
}
