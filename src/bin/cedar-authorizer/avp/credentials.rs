//! Signatures of requests, with known credentials.
//!
//! Source: the IAM User Guide, "Create a signed AWS API request" (Signature Version 4).

mod file;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use chrono::NaiveDateTime;
use zeroize::Zeroizing;

use super::error::{CommonError, ServiceError};
use super::protocol::{TARGET, single};

/// The credentials that may sign requests.
pub struct Credentials {
    all: Vec<Credential>,
}

/// One access key.
struct Credential {
    access_key_id: String,
    secret_access_key: Zeroizing<String>,
    session_token: Option<Zeroizing<String>>,
}

impl Credentials {
    /// Verifies the signature of a request.
    ///
    /// # Errors
    /// What AWS would answer, by name.
    pub fn verify(&self, head: &Parts, body: &[u8], now: SystemTime) -> Result<(), ServiceError> {
        let authorization = Authorization::read(&head.headers)?;
        let credential = self.all.iter().find(|known| known.access_key_id == authorization.access_key_id);
        let credential = credential.ok_or_else(|| unrecognized("the access key is unknown"))?;
        credential.check_token(head.headers.get(SECURITY_TOKEN).map(|token| token.as_bytes()))?;
        let date =
            single(&head.headers, &DATE).ok_or_else(|| incomplete("the header `X-Amz-Date` is missing"))?;
        authorization.check_scope(date)?;
        check_time(date, now)?;
        authorization.check_signed_headers(&head.headers)?;
        let request = authorization.canonical_request(&head.headers, body)?;
        let Authorization { date: day, region, .. } = authorization;
        let to_sign = format!(
            "{ALGORITHM}\n{date}\n{day}/{region}/{SERVICE}/{TERMINATOR}\n{}",
            sha256_hex(request.as_bytes())
        );
        // In constant time.
        hmac::verify(&credential.key(day, region), to_sign.as_bytes(), &authorization.signature)
            .map_err(|_| invalid("the signature is not that of this request with this access key"))
    }
}

impl Credential {
    fn check_token(&self, token: Option<&[u8]>) -> Result<(), ServiceError> {
        let equal = match (&self.session_token, token) {
            (None, None) => true,
            (Some(known), Some(token)) => verify_slices_are_equal(known.as_bytes(), token).is_ok(),
            (None, Some(_)) | (Some(_), None) => false,
        };
        if equal { Ok(()) } else { Err(unrecognized("the session token is not that of the access key")) }
    }

    /// The key for one day, region and service.
    fn key(&self, day: &str, region: &str) -> hmac::Key {
        let secret = Zeroizing::new(format!("AWS4{}", self.secret_access_key.as_str()));
        let first = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        [day, region, SERVICE, TERMINATOR].iter().fold(first, |key, part| {
            hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref())
        })
    }
}

/// The header `Authorization`:
///
/// ```text
/// AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261122/us-east-1/verifiedpermissions/aws4_request,
///   SignedHeaders=host;x-amz-date;x-amz-target, Signature=5d67...
/// ```
struct Authorization<'head> {
    access_key_id: &'head str,
    date: &'head str,
    region: &'head str,
    service: &'head str,
    terminator: &'head str,
    signed_headers: &'head str,
    signature: Vec<u8>,
}

impl<'head> Authorization<'head> {
    fn read(headers: &'head HeaderMap) -> Result<Self, ServiceError> {
        if !headers.contains_key(AUTHORIZATION) {
            return Err(CommonError::MissingAuthenticationToken.because("the request is not signed"));
        }
        let text = single(headers, &AUTHORIZATION);
        let text = text.ok_or_else(|| incomplete("the header `Authorization` is not one line of ASCII"))?;
        let parameters = text.strip_prefix(ALGORITHM).and_then(|rest| rest.strip_prefix(' '));
        let parameters = parameters
            .ok_or_else(|| incomplete(format_args!("`Authorization` does not begin with `{ALGORITHM}`")))?;
        let [mut credential, mut signed_headers, mut signature] = [None; 3];
        for parameter in parameters.split(',') {
            let place = match parameter.trim().split_once('=') {
                Some(("Credential", value)) => credential.replace(value),
                Some(("SignedHeaders", value)) => signed_headers.replace(value),
                Some(("Signature", value)) => signature.replace(value),
                _ => return Err(incomplete("`Authorization` has something else than its three parameters")),
            };
            if place.is_some() {
                return Err(incomplete("`Authorization` has a parameter twice"));
            }
        }
        let (Some(credential), Some(signed_headers), Some(signature)) =
            (credential, signed_headers, signature)
        else {
            return Err(incomplete("`Authorization` needs `Credential`, `SignedHeaders` and `Signature`"));
        };
        // An access key id has no slash, but nothing forbids it in files.
        let mut parts = credential.rsplitn(5, '/');
        let mut part = || parts.next().ok_or_else(|| incomplete("`Credential` does not have five parts"));
        let [terminator, service, region, date, access_key_id] =
            [part()?, part()?, part()?, part()?, part()?];
        let signature = hex::decode(signature).map_err(|_| incomplete("`Signature` is not hexadecimal"))?;
        Ok(Self { access_key_id, date, region, service, terminator, signed_headers, signature })
    }

    fn check_scope(&self, date: &str) -> Result<(), ServiceError> {
        if (self.service, self.terminator) != (SERVICE, TERMINATOR) {
            return Err(invalid(format_args!("`Credential` is not for `{SERVICE}/{TERMINATOR}`")));
        }
        if date.split('T').next() != Some(self.date) {
            return Err(invalid("the date in `Credential` is not that of `X-Amz-Date`"));
        }
        Ok(())
    }

    /// What a signature must cover, or somebody in between could change it.
    fn check_signed_headers(&self, headers: &HeaderMap) -> Result<(), ServiceError> {
        let signed = || self.signed_headers.split(';');
        if !signed().is_sorted_by(|a, b| a < b) {
            return Err(incomplete("the names in `SignedHeaders` are not in order"));
        }
        for name in [HOST, DATE, TARGET, SECURITY_TOKEN] {
            if headers.contains_key(&name) && !signed().any(|signed| signed == name.as_str()) {
                return Err(invalid(format_args!("the header `{name}` is not signed")));
            }
        }
        Ok(())
    }

    fn canonical_request(&self, headers: &HeaderMap, body: &[u8]) -> Result<String, ServiceError> {
        let mut request = "POST\n/\n\n".to_owned();
        for name in self.signed_headers.split(';') {
            let mut values = headers.get_all(name).iter().peekable();
            if values.peek().is_none() {
                return Err(invalid("a header of `SignedHeaders` is missing"));
            }
            let values: Option<Vec<String>> = values
                .map(|value| {
                    let words = value.to_str().ok()?.split(' ').filter(|word| !word.is_empty());
                    Some(words.collect::<Vec<_>>().join(" "))
                })
                .collect();
            let values = values.ok_or_else(|| incomplete("a signed header is not ASCII"))?;
            // A `String` takes everything.
            let _ = writeln!(request, "{name}:{}", values.join(","));
        }
        let _ = write!(request, "\n{}\n{}", self.signed_headers, sha256_hex(body));
        Ok(request)
    }
}

/// A signature holds for a short time, because whoever sees the request could send it again.
fn check_time(date: &str, now: SystemTime) -> Result<(), ServiceError> {
    let at = NaiveDateTime::parse_from_str(date, "%Y%m%dT%H%M%SZ")
        .map_err(|_| incomplete("`X-Amz-Date` is not in the form `20261122T035000Z`"))?;
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let between = at.and_utc().timestamp().abs_diff(i64::try_from(now).unwrap_or(i64::MAX));
    if between > MAX_SKEW.as_secs() {
        let message = format!("`X-Amz-Date` is {between} seconds from now, more than {}", MAX_SKEW.as_secs());
        return Err(invalid(message));
    }
    Ok(())
}

fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(digest(&SHA256, bytes))
}

fn incomplete(message: impl std::fmt::Display) -> ServiceError {
    CommonError::IncompleteSignature.because(message)
}

fn invalid(message: impl std::fmt::Display) -> ServiceError {
    CommonError::InvalidSignature.because(message)
}

fn unrecognized(message: impl std::fmt::Display) -> ServiceError {
    CommonError::UnrecognizedClient.because(message)
}

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SERVICE: &str = "verifiedpermissions";
const TERMINATOR: &str = "aws4_request";
const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// How far the clocks of client and service may be apart (IAM User Guide, "Elements of an AWS API request signature").
const MAX_SKEW: Duration = Duration::from_secs(5 * 60);
