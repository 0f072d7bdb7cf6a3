//! The signature of a request, AWS Signature Version 4.

use std::time::SystemTime;

use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningError, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use reqwest::Url;

use super::settings::S3Settings;

/// The headers that sign a GET of this URL with these headers.
///
/// # Errors
/// [`NotSigned`].
pub fn headers_for(
    url: &Url,
    headers: &[(&str, &str)],
    settings: &S3Settings,
    now: SystemTime,
) -> Result<Vec<(&'static str, String)>, NotSigned> {
    let identity = settings.credentials.clone().into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(&settings.region)
        .name("s3")
        .time(now)
        .settings(rules_of_s3())
        .build()
        .map_err(|_| NotSigned)?
        .into();
    let request = SignableRequest::new("GET", url.as_str(), headers.iter().copied(), SignableBody::empty())?;
    let (instructions, _) = sign(request, &parameters)?.into_parts();
    let (headers, _) = instructions.into_parts();
    Ok(headers.into_iter().map(|header| (header.name(), header.value().to_owned())).collect())
}

/// S3's rules: paths are not normalized, and the hash of the body is a header (Amazon S3 API Reference, "Signature
/// calculations for the Authorization header").
fn rules_of_s3() -> SigningSettings {
    let mut rules = SigningSettings::default();
    rules.percent_encoding_mode = PercentEncodingMode::Single;
    rules.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    rules.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    rules
}

/// A request that cannot be signed. No URL is known to cause this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request cannot be signed")]
pub struct NotSigned;

impl From<SigningError> for NotSigned {
    fn from(_: SigningError) -> Self {
        Self
    }
}
