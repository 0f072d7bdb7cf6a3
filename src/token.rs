//! Tokens: from the text that a caller sent to claims that an identity source vouches for.

pub mod bearer;
mod json;
pub mod jws;
pub mod key_set;

use serde_json::{Map, Value};

use crate::identity_source::IdentitySource;
use crate::reason::Reason;
use crate::time::UnixTime;
use bearer::Bearer;
use jws::Jws;
use key_set::KeySet;

/// Which of an issuer's two tokens a policy store works with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenType {
    /// Says what the bearer may do. Its claims become `context.token`.
    Access,
    /// Says who the user is. Its claims become attributes of the principal.
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

/// What every token of a policy store must meet, whatever its issuer.
#[derive(Clone, Copy, Debug)]
pub struct TokenRules {
    /// The type of token that is accepted.
    pub token_type: TokenType,
    /// How far the clocks of issuer and function may differ, in seconds.
    pub leeway_seconds: u32,
}

/// The claims of a token whose signature, issuer, audience, type and times have been checked.
///
/// [`verify`] alone makes one, so whoever holds one knows that it was called.
#[derive(Clone)]
pub struct VerifiedToken {
    claims: Map<String, Value>,
    subject: String,
    groups: Vec<String>,
    source: usize,
}

impl VerifiedToken {
    /// All the claims of the token.
    pub fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// The `sub` claim, never empty.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The groups of the user, without prefix.
    pub fn groups(&self) -> &[String] {
        &self.groups
    }

    /// The position of the identity source that vouches for the token.
    pub fn source(&self) -> usize {
        self.source
    }
}

impl std::fmt::Debug for VerifiedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "VerifiedToken(of source {})", self.source)
    }
}

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unverified {
    /// It is refused for good.
    Refused(Reason),
    /// The keys at hand do not hold the one that it names: keys of this source may be stale.
    KeyMissing {
        /// The position of the identity source.
        source: usize,
    },
}

impl From<Reason> for Unverified {
    fn from(reason: Reason) -> Self {
        Self::Refused(reason)
    }
}

/// Verifies a token.
///
/// `key_sets` holds the keys of each identity source, in the order of `sources`. Nothing is
/// fetched here: the issuer, read from the still unverified payload, only chooses among the
/// sources that are configured (RFC 8725 3.8).
///
/// # Errors
/// [`Unverified::KeyMissing`] where fresh keys could change the answer, else
/// [`Unverified::Refused`].
pub fn verify(
    bearer: Bearer<'_>,
    sources: &[IdentitySource],
    key_sets: &[impl AsRef<KeySet>],
    rules: TokenRules,
    now: UnixTime,
) -> Result<VerifiedToken, Unverified> {
    let jws = Jws::parse(bearer.as_str())?;
    let claims = json::parse_object(jws.unverified_payload()).map_err(|_| Reason::TokenMalformed)?;

    let issuer = required_text(&claims, "iss")?;
    let (position, source) = sources
        .iter()
        .enumerate()
        .find(|(_, source)| source.issuers().iter().any(|known| known == issuer))
        .ok_or(Reason::IssuerUnknown)?;
    let missing = Unverified::KeyMissing { source: position };
    let keys = key_sets.get(position).ok_or(missing)?;
    jws.verify(keys.as_ref()).map_err(|reason| match reason {
        Reason::KeyUnknown => missing,
        reason => reason.into(),
    })?;

    source.check_token_type(&claims, rules.token_type)?;
    source.check_client(&claims, rules.token_type)?;
    check_times(&claims, rules.leeway_seconds, now)?;
    // A token that is bound to a key of its holder says so by `cnf`; presented as a bearer token
    // it must be refused (RFC 9449 7.2, RFC 8705 3).
    if claims.contains_key("cnf") {
        return Err(Reason::TokenBound.into());
    }
    let subject = required_text(&claims, "sub")?.to_owned();
    let groups = source.groups(&claims)?;
    Ok(VerifiedToken { claims, subject, groups, source: position })
}

/// Chooses AWS-LC for signatures. To be called once, at start: without it `jsonwebtoken` panics
/// at the first token should another crate ever turn on its second backend.
pub fn install_crypto_provider() {
    // An error means that it was installed before, by a test of the same process.
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
}

/// RFC 7519 4.1.4 to 4.1.6. `exp` is required here; the others are checked where they stand.
fn check_times(claims: &Map<String, Value>, leeway_seconds: u32, now: UnixTime) -> Result<(), Reason> {
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
    Ok(())
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

/// The last second of the year 9999: anything later is no date but a mistake.
const MAX_NUMERIC_DATE: f64 = 253_402_300_799.0;
