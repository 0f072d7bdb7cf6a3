//! Tokens: from the text that a caller sent to claims that an identity source vouches for.

pub mod algorithm;
pub mod bearer;
#[cfg(feature = "cli")]
pub mod crypto_provider;
pub(crate) mod ed25519;
pub mod identity_source;
mod json;
pub mod jws;
pub mod key_set;
mod rsa;
pub mod verifier;

use std::{fmt, iter};

use serde_json::{Map, Value};

use crate::reason::Reason;
use crate::time::UnixTime;
use crate::token::identity_source::IdentitySource;
use bearer::Bearer;
use jws::Jws;
use key_set::{KeyPlace, KeySets};

/// Which of an issuer's two tokens a policy store works with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenType {
    /// What the bearer may do. Its claims become `context.token`.
    Access,
    /// Who the user is. Its claims become attributes of the principal.
    Id,
}

impl TokenType {
    /// The value of the `token_use` claim of Cognito, and of `[tokens] type` in `store.toml`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Id => "id",
        }
    }
}

/// The claims of a token whose signature, issuer, audience, type and times have been checked.
///
/// Only [`verify`] makes one, so whoever holds one knows that the token was verified.
#[derive(Clone)]
pub struct VerifiedToken {
    claims: Map<String, Value>,
    principal_id: String,
    groups: Vec<String>,
    keys: KeyPlace,
    expires_at: f64,
}

impl VerifiedToken {
    /// All the claims of the token.
    pub fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// The id of the user at the issuer, without prefix; never empty.
    pub fn principal_id(&self) -> &str {
        &self.principal_id
    }

    /// The groups of the user, without prefix.
    pub fn groups(&self) -> &[String] {
        &self.groups
    }

    /// The keys that verified the token.
    pub fn keys(&self) -> KeyPlace {
        self.keys
    }

    /// Whether the token has expired since it was verified.
    pub fn has_expired(&self, leeway_seconds: u32, now: UnixTime) -> bool {
        now.as_seconds_f64() >= self.expires_at + f64::from(leeway_seconds)
    }
}

impl fmt::Debug for VerifiedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifiedToken({:?})", self.keys)
    }
}

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// The key that the token names is not among those of this place. They may be stale.
    #[error("{}", Reason::KeyUnknown)]
    KeyMissing(KeyPlace),
    /// The token is refused. Newer keys would not change that.
    #[error("{0}")]
    Refused(Reason),
}

impl Unverified {
    /// The reason code.
    pub fn reason(self) -> Reason {
        match self {
            Self::KeyMissing(_) => Reason::KeyUnknown,
            Self::Refused(reason) => reason,
        }
    }
}

impl From<Reason> for Unverified {
    fn from(reason: Reason) -> Self {
        Self::Refused(reason)
    }
}

/// Verifies a token.
///
/// Nothing is fetched here. The issuer is read from the payload before that is verified, and only selects one of
/// the configured sources (RFC 8725 3.8). If several sources have this issuer, the one is taken whose token type
/// and audience fit.
///
/// # Errors
/// [`Unverified::KeyMissing`] where fresh keys could change the answer, otherwise [`Unverified::Refused`].
pub fn verify(
    bearer: Bearer<'_>,
    sources: &[IdentitySource],
    key_sets: &KeySets,
    leeway_seconds: u32,
    now: UnixTime,
) -> Result<VerifiedToken, Unverified> {
    let jws = Jws::parse(bearer.as_str())?;
    let claims = json::parse_object(jws.unverified_payload()).map_err(|_| Reason::TokenMalformed)?;
    let check = |source: &IdentitySource| {
        source.check_token_type(&claims, jws.is_explicit_access_token())?;
        source.check_audience(&claims)
    };

    let issuer = required_text(&claims, "iss")?;
    let mut of_issuer = sources.iter().enumerate().filter_map(|(position, source)| {
        let issuer = source.issuers().iter().position(|known| known == issuer)?;
        Some((source, KeyPlace { source: position, issuer }))
    });
    let first = of_issuer.next().ok_or(Reason::IssuerUnknown)?;
    let fitting = iter::once(first).chain(of_issuer).find(|(source, _)| check(source).is_ok());
    let (source, place) = fitting.unwrap_or(first);

    let keys = key_sets.get(place).ok_or(Unverified::KeyMissing(place))?;
    jws.verify(keys).map_err(|reason| match reason {
        Reason::KeyUnknown => Unverified::KeyMissing(place),
        reason => reason.into(),
    })?;

    check(source)?;
    source.check_names(&claims)?;
    let expires_at = check_times(&claims, leeway_seconds, now)?;
    // `cnf` binds a token to a key of its holder. Such a token must be refused if it is presented as a bearer
    // token (RFC 9449 7.2, RFC 8705 3).
    if claims.contains_key("cnf") {
        return Err(Reason::TokenBound.into());
    }
    let principal_id = required_text(&claims, source.principal_id_claim())?.to_owned();
    let groups = source.groups(&claims)?;
    Ok(VerifiedToken { claims, principal_id, groups, keys: place, expires_at })
}

/// Checks the times (RFC 7519 4.1.4 to 4.1.6) and returns `exp`. `exp` is required; the others are checked if
/// they are present.
fn check_times(claims: &Map<String, Value>, leeway_seconds: u32, now: UnixTime) -> Result<f64, Reason> {
    let (now, leeway) = (now.as_seconds_f64(), f64::from(leeway_seconds));
    let expires = numeric_date(claims, "exp")?.ok_or(Reason::ClaimInvalid)?;
    if now >= expires + leeway {
        return Err(Reason::TokenExpired);
    }
    for name in ["nbf", "iat"] {
        if numeric_date(claims, name)?.is_some_and(|starts| now + leeway < starts) {
            return Err(Reason::TokenNotYetValid);
        }
    }
    Ok(expires)
}

/// A NumericDate (RFC 7519 2): seconds since 1970, perhaps with a fraction.
fn numeric_date(claims: &Map<String, Value>, name: &str) -> Result<Option<f64>, Reason> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => match value.as_f64() {
            Some(seconds) if (0.0..=MAX_NUMERIC_DATE).contains(&seconds) => Ok(Some(seconds)),
            _ => Err(Reason::ClaimInvalid),
        },
    }
}

pub(crate) fn required_text<'a>(claims: &'a Map<String, Value>, name: &str) -> Result<&'a str, Reason> {
    match claims.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text),
        _ => Err(Reason::ClaimInvalid),
    }
}

/// The last second of the year 9999. A later time is a mistake.
const MAX_NUMERIC_DATE: f64 = 253_402_300_799.0;
