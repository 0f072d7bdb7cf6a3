//! Bundles in S3.
//!
//! The function needs one request of S3, a conditional GET. It is signed by the crate of the AWS SDK and
//! sent by the HTTP client that fetches keys; the SDK itself would double the function and its cold start
//! (`docs/decisions.md`).

mod endpoint;
mod refusal;
mod settings;
mod signature;
#[cfg(feature = "cli")]
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lc_rs::rand;
use bytes::Bytes;
use reqwest::header::{ETAG, IF_NONE_MATCH, USER_AGENT};
use reqwest::{Client, Response, StatusCode, Url, redirect};
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep, timeout_at};

use crate::bundle::MAX_BUNDLE_BYTES;
pub use refusal::ErrorCode;
use refusal::Refusal;
pub use settings::{InvalidSettings, Settings};
pub use signature::NotSigned;

/// Reads bundles, over one connection as long as that lasts.
#[derive(Clone, Debug)]
pub struct Reader {
    settings: Arc<Settings>,
    /// Set up when it is first needed, since that reads the certificates of the system.
    client: Arc<OnceCell<Client>>,
}

/// What is there.
#[derive(Clone, Debug)]
pub enum Read {
    /// The object that was there before.
    Unchanged,
    /// Another one.
    New {
        /// Its content.
        bytes: Bytes,
        /// Its entity tag, to ask for changes.
        etag: Option<String>,
    },
}

impl Reader {
    /// With endpoint, region and credentials as they are set.
    pub fn new(settings: Settings) -> Self {
        Self { settings: Arc::new(settings), client: Arc::default() }
    }

    /// Reads an object, if it is not the one with this entity tag. `attempts` is how often it is tried, within
    /// seven seconds for all of them and the last byte.
    ///
    /// # Errors
    /// [`S3Failure`].
    pub async fn read(
        &self,
        bucket: &str,
        key: &str,
        version_id: Option<&str>,
        etag: Option<&str>,
        attempts: u32,
    ) -> Result<Read, S3Failure> {
        let uri = || format!("s3://{bucket}/{key}");
        let url = self.settings.endpoint.object(bucket, key, version_id);
        let deadline = Instant::now() + DEADLINE;
        let answer = timeout_at(deadline, self.answer(&url, etag, attempts));
        let answer = answer.await.unwrap_or(Err(Refusal::Timeout));
        let response = match answer.map_err(|refusal| S3Failure::refused(uri(), refusal))? {
            Some(response) => response,
            None => return Ok(Read::Unchanged),
        };
        let etag = response.headers().get(ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        // A body that drips keeps every limit but this one.
        let bytes = timeout_at(deadline, body(response, uri)).await;
        let bytes = bytes.unwrap_or_else(|_| Err(S3Failure::TooSlow { uri: uri() }))?;
        Ok(Read::New { bytes, etag })
    }

    /// The answer to one of so many attempts, as soon as it is not worth another one. `None`: unchanged.
    async fn answer(
        &self,
        url: &Url,
        etag: Option<&str>,
        attempts: u32,
    ) -> Result<Option<Response>, Refusal> {
        let mut attempt = 1;
        loop {
            match self.attempt(url, etag).await {
                Err(refusal) if refusal.is_passing() && attempt < attempts => sleep(pause(attempt)).await,
                answer => return answer,
            }
            attempt += 1;
        }
    }

    async fn attempt(&self, url: &Url, etag: Option<&str>) -> Result<Option<Response>, Refusal> {
        let client = self.client.get_or_try_init(|| async { self.set_up() }).await?;
        let conditions: Vec<_> = etag.map(|etag| (IF_NONE_MATCH.as_str(), etag)).into_iter().collect();
        let signature = signature::headers_for(url, &conditions, &self.settings, SystemTime::now())?;
        let mut request = client.get(url.clone()).header(USER_AGENT, AGENT);
        for (name, value) in conditions {
            request = request.header(name, value);
        }
        for (name, value) in signature {
            request = request.header(name, value);
        }
        let response = request.send().await?;
        match response.status() {
            StatusCode::OK => Ok(Some(response)),
            StatusCode::NOT_MODIFIED => Ok(None),
            _ => Err(Refusal::read(response).await),
        }
    }

    fn set_up(&self) -> Result<Client, Refusal> {
        let builder = Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT);
        let builder = match self.settings.endpoint.has_tls() {
            true => builder,
            // It has no use for the certificates of the system: such an endpoint is another S3, nearby.
            false => builder.tls_certs_only([]),
        };
        Ok(builder.build()?)
    }
}

/// All of an object.
async fn body(mut response: Response, uri: impl Fn() -> String) -> Result<Bytes, S3Failure> {
    let length = response.content_length().and_then(|length| usize::try_from(length).ok());
    let mut bytes = Vec::with_capacity(length.unwrap_or_default().min(MAX_BUNDLE_BYTES));
    let interrupted = |source: reqwest::Error| {
        let source = source.without_url();
        S3Failure::Interrupted { uri: uri(), source }
    };
    while let Some(chunk) = response.chunk().await.map_err(interrupted)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MAX_BUNDLE_BYTES {
            return Err(S3Failure::TooLarge { uri: uri() });
        }
    }
    Ok(bytes.into())
}

/// A random part of a second, of two and so on: those who failed together do not come again together
/// (AWS SDKs and Tools Reference Guide, "Retry behavior").
fn pause(attempt: u32) -> Duration {
    let mut part = [0];
    // Without random numbers all come at once, which is no reason not to try.
    let _ = rand::fill(&mut part);
    let longest = Duration::from_secs(1).saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1)));
    longest * u32::from(part[0]) / u32::from(u8::MAX)
}

/// Why S3 did not give a bundle.
#[derive(Debug, thiserror::Error)]
pub enum S3Failure {
    /// The answer broke off.
    #[error("cannot read `{uri}` to its end: {source}")]
    Interrupted {
        /// The object.
        uri: String,
        /// How it broke off.
        source: reqwest::Error,
    },
    /// No answer, or one that says no.
    #[error("cannot read `{uri}`: {cause}{hint}")]
    Refused {
        /// The object.
        uri: String,
        /// The HTTP status, if there was an answer.
        status: Option<u16>,
        /// The code of the error, if the answer was an error of S3. A server in between may answer as well.
        code: Option<ErrorCode>,
        /// What S3 or the network said.
        cause: String,
        /// What to look at.
        hint: &'static str,
    },
    /// The environment lacks something.
    #[error(transparent)]
    Settings(#[from] InvalidSettings),
    /// The answer began, and took too long.
    #[error("cannot read `{uri}` to its end within {DEADLINE:?}")]
    TooSlow {
        /// The object.
        uri: String,
    },
    /// More than a bundle may be.
    #[error("`{uri}` is larger than a bundle may be, {MAX_BUNDLE_BYTES} bytes")]
    TooLarge {
        /// The object.
        uri: String,
    },
}

impl S3Failure {
    /// A stable name for the log.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Interrupted { .. } => "bundle-interrupted",
            Self::Refused { status: Some(403), .. } => "bundle-denied",
            Self::Refused {
                code: Some(ErrorCode::NoSuchBucket | ErrorCode::NoSuchKey | ErrorCode::NoSuchVersion),
                ..
            } => "bundle-missing",
            Self::Refused { .. } | Self::Settings(_) => "bundle-unreachable",
            Self::TooLarge { .. } => "bundle-too-large",
            Self::TooSlow { .. } => "bundle-too-slow",
        }
    }

    /// Whether S3 said that there is no such object. A 404 alone does not say so: a proxy, a wrong endpoint and a bucket
    /// that does not exist answer with the same status (Amazon S3 API Reference, "Error responses").
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { status: Some(404), code: Some(ErrorCode::NoSuchKey), .. })
    }

    fn refused(uri: String, refusal: Refusal) -> Self {
        let (status, code) = (refusal.status(), refusal.code());
        let hint = match (status, &code) {
            // S3 answers so if the bucket is in another region.
            (Some(301), _) => "; is the function in the region of the bucket?",
            // Without s3:ListBucket, S3 answers 403 for an object that does not exist.
            (Some(403), _) => "; is the bundle published, and may the function do s3:GetObject on it?",
            (_, Some(ErrorCode::NoSuchKey)) => "; is the bundle published under this key?",
            (Some(404), None) => "; that is no answer of S3: is there a proxy, or another endpoint?",
            _ => "",
        };
        Self::Refused { uri, status, code, cause: refusal.to_string(), hint }
    }
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// For an answer to begin, and for each part of it to follow.
const READ_TIMEOUT: Duration = Duration::from_millis(2500);

/// For all attempts and the whole object. Lambda gives the init phase ten seconds (Lambda Developer Guide, "Lambda
/// execution environment"), of which a fetch of keys takes up to three behind it. The largest bundle, 64 MiB,
/// needs 10 MB/s for this; a typical one of some hundred kilobytes less than a thousandth of that.
const DEADLINE: Duration = Duration::from_secs(7);

const AGENT: &str = concat!("cedar-authorizer/", env!("CARGO_PKG_VERSION"));
