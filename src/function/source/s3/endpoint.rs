//! Where an object of S3 is.
//!
//! ```text
//! https://petstore-bundles.s3.eu-central-1.amazonaws.com/shop/petstore.bundle    the bucket in the host
//! https://s3.eu-central-1.amazonaws.com/petstore.bundles/shop/petstore.bundle    the bucket in the path
//! ```
//!
//! The rules are those of every AWS SDK (Amazon S3 User Guide, "Virtual hosting of general purpose buckets"). The
//! tests compare the results with the SDK for Rust.

use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;

/// Where S3 is: a URL without query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(Url);

impl Endpoint {
    /// S3 in a region of AWS. `fips`: with cryptography validated for FIPS 140. `dual_stack`: over IPv6 as
    /// well as IPv4.
    ///
    /// # Errors
    /// [`InvalidEndpoint`], if this is not the name of a region.
    pub fn of_region(region: &str, fips: bool, dual_stack: bool) -> Result<Self, InvalidEndpoint> {
        if !is_label(region) {
            return Err(InvalidEndpoint);
        }
        let fips = if fips { "-fips" } else { "" };
        let dual_stack = if dual_stack { ".dualstack" } else { "" };
        format!("https://s3{fips}{dual_stack}.{region}.{}", dns_suffix(region)).parse()
    }

    /// Whether requests to it are encrypted.
    pub fn has_tls(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The URL that gets an object.
    pub fn object(&self, bucket: &str, key: &str, version_id: Option<&str>) -> Url {
        let mut url = self.0.clone();
        let before = url.path().trim_end_matches('/').to_owned();
        let key = utf8_percent_encode(key, &RESERVED_IN_KEY);
        let place = match self.own_host(bucket).map(|host| url.set_host(Some(&host))) {
            Some(Ok(())) => before,
            _ => format!("{before}/{bucket}"),
        };
        url.set_path(&format!("{place}/{key}"));
        // Names the operation, as SDKs do for access logs.
        let version = version_id.map(|id| format!("&versionId={}", utf8_percent_encode(id, &RESERVED)));
        url.set_query(Some(&format!("x-id=GetObject{}", version.unwrap_or_default())));
        url
    }

    /// The host of a bucket, if it can have one. An IP address has no names below it, and the certificate covers
    /// only one label.
    fn own_host(&self, bucket: &str) -> Option<String> {
        let domain = self.0.domain()?;
        let is_name = if self.has_tls() { is_label(bucket) } else { bucket.split('.').all(is_label) };
        is_name.then(|| format!("{bucket}.{domain}"))
    }
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        let url: Url = text.parse().map_err(|_| InvalidEndpoint)?;
        let is_plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        if is_plain && matches!(url.scheme(), "http" | "https") && url.password().is_none() {
            Ok(Self(url))
        } else {
            Err(InvalidEndpoint)
        }
    }
}

/// The text is not the URL of an endpoint, or not the name of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not of the form https://host, http://host:port or either with a path")]
pub struct InvalidEndpoint;

/// One label of the name of a bucket. It must be fit for the DNS (Amazon S3 User Guide, "General purpose
/// bucket naming rules").
fn is_label(text: &str) -> bool {
    let is_alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (3..=63).contains(&text.len())
        && text.bytes().all(|byte| is_alphanumeric(&byte) || byte == b'-')
        && [text.as_bytes().first(), text.as_bytes().last()].into_iter().flatten().all(is_alphanumeric)
}

/// The end of the host names of a region, which depends on its partition.
fn dns_suffix(region: &str) -> &'static str {
    let partition = PARTITIONS.iter().find(|(prefix, _)| region.starts_with(prefix));
    partition.map_or("amazonaws.com", |(_, suffix)| suffix)
}

/// The partitions other than `aws` and `aws-us-gov`, by the first letters of their regions.
const PARTITIONS: [(&str, &str); 6] = [
    ("cn-", "amazonaws.com.cn"),
    ("eu-isoe-", "cloud.adc-e.uk"),
    ("eusc-", "amazonaws.eu"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("us-isof-", "csp.hci.ic.gov"),
];

/// All but the unreserved characters of RFC 3986 2.3, as the signature requires.
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const RESERVED_IN_KEY: AsciiSet = RESERVED.remove(b'/');
