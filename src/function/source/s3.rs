//! Bundles in S3.
//!
//! The function sends S3 one kind of request, a conditional GET: of an object, of its end or of a range in it. A crate
//! of the AWS SDK signs it. The SDK itself would double the size of the function and its cold start
//! (`docs/decisions.md`).

mod connections;
mod content_range;
mod endpoint;
mod failure;
mod http;
mod range;
mod refusal;
mod settings;
mod signature;
#[cfg(feature = "cli")]
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use aws_lc_rs::rand;
use bytes::Bytes;
use http_body_util::Empty;
use hyper::header::{ETAG, HeaderMap, HeaderName, IF_NONE_MATCH, USER_AGENT};
use hyper::{Request, StatusCode};
use tokio::time::{Instant, sleep, timeout_at};
use url::Url;

use crate::bundle::MAX_BUNDLE_BYTES;
use content_range::ContentRange;
pub use failure::{S3Failure, WrongAnswer};
use http::{Answer, Broken, Http};
pub use range::ReadEnd;
pub use refusal::ErrorCode;
use refusal::Refusal;
pub use settings::{InvalidSettings, S3Settings};
pub use signature::NotSigned;

/// Reads bundles, over a few connections for as long as they last.
#[derive(Clone, Debug)]
pub struct Reader {
    settings: Arc<S3Settings>,
    /// Set up when first needed.
    http: Arc<OnceLock<Http>>,
}

/// What was found.
#[derive(Clone, Debug)]
pub enum Read {
    /// The same object as before.
    Unchanged,
    /// Another object.
    New {
        /// Its content.
        bytes: Bytes,
        /// Its entity tag, for the next conditional request.
        etag: Option<String>,
    },
}

impl Reader {
    /// A reader with this endpoint, region and credentials.
    pub fn new(settings: S3Settings) -> Self {
        Self { settings: Arc::new(settings), http: Arc::default() }
    }

    /// Reads an object, unless it still has this entity tag. `attempts` is how often this is tried. All attempts, up
    /// to the last byte, have seven seconds.
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
        let etag = text(response.headers(), ETAG);
        // Only this limit stops a body that drips.
        let bytes = timeout_at(deadline, body(response, uri)).await;
        let bytes = bytes.unwrap_or_else(|_| Err(S3Failure::TooSlow { uri: uri(), limit: DEADLINE }))?;
        Ok(Read::New { bytes, etag })
    }

    /// The answer to the first attempt that is not worth repeating, or to the last one. `None`: unchanged.
    async fn answer(&self, url: &Url, etag: Option<&str>, attempts: u32) -> Result<Option<Answer>, Refusal> {
        let mut attempt = 1;
        loop {
            match self.attempt(url, etag).await {
                Err(refusal) if refusal.is_passing() && attempt < attempts => sleep(pause(attempt)).await,
                answer => return answer,
            }
            attempt += 1;
        }
    }

    async fn attempt(&self, url: &Url, etag: Option<&str>) -> Result<Option<Answer>, Refusal> {
        let conditions: Vec<_> = etag.map(|etag| (IF_NONE_MATCH, etag)).into_iter().collect();
        let response = self.send(url, &conditions).await?;
        match response.status() {
            StatusCode::OK => Ok(Some(response)),
            StatusCode::NOT_MODIFIED => Ok(None),
            _ => Err(Refusal::read(response).await),
        }
    }

    /// Sends a GET with these headers, all of them signed. Whatever the answer says, it is not looked at.
    async fn send(&self, url: &Url, headers: &[(HeaderName, &str)]) -> Result<Answer, Refusal> {
        let signed: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let signature = signature::headers_for(url, &signed, &self.settings, SystemTime::now())?;
        let mut request = Request::get(url.as_str()).header(USER_AGENT, AGENT);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        for (name, value) in signature {
            request = request.header(name, value);
        }
        let request = request.body(Empty::new()).map_err(Refusal::NotARequest)?;
        Ok(self.http()?.send(request).await?)
    }

    fn http(&self) -> Result<&Http, Broken> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        let http = Http::new()?;
        // If another call was faster, its own is used.
        Ok(self.http.get_or_init(|| http))
    }

    /// If no connection is open yet: opens others beside the first one.
    pub(crate) fn open_ahead(&self) {
        if self.http.get().is_none()
            && let Ok(http) = self.http()
        {
            http.connections.open_beside(SPARE_CONNECTIONS);
        }
    }

    /// Closes the connections that nobody has needed so far.
    pub(crate) fn close_spare(&self) {
        if let Some(http) = self.http.get() {
            http.connections.close_spare();
        }
    }
}

/// Reads the whole object.
async fn body(mut response: Answer, uri: impl Fn() -> String) -> Result<Bytes, S3Failure> {
    let length = response.content_length().and_then(|length| usize::try_from(length).ok());
    let mut bytes = Vec::with_capacity(length.unwrap_or_default().min(MAX_BUNDLE_BYTES));
    let interrupted = |cause: Broken| S3Failure::Interrupted { uri: uri(), cause: cause.to_string() };
    while let Some(chunk) = response.chunk().await.map_err(interrupted)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MAX_BUNDLE_BYTES {
            return Err(S3Failure::TooLarge { uri: uri() });
        }
    }
    Ok(bytes.into())
}

/// The text of a header.
fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// A random part of one second, then of two, and so on. Functions that failed together then do not retry together
/// (AWS SDKs and Tools Reference Guide, "Retry behavior").
fn pause(attempt: u32) -> Duration {
    let mut part = [0];
    // Without random numbers all retry at the same time. That is no reason not to try.
    let _ = rand::fill(&mut part);
    let longest = Duration::from_secs(1).saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1)));
    longest * u32::from(part[0]) / u32::from(u8::MAX)
}

/// With the first connection there are as many as a first call fetches parts of a large bundle: of the caller, and of
/// about three groups.
const SPARE_CONNECTIONS: usize = 3;

/// The limit for all attempts and the whole object. Lambda's init phase has ten seconds (Lambda Developer Guide,
/// "Lambda execution environment"), and fetching keys afterwards takes up to three of them. The largest bundle, 256
/// MiB, needs 38 MB/s for this.
const DEADLINE: Duration = Duration::from_secs(7);

const AGENT: &str = concat!("cedar-authorizer/", env!("CARGO_PKG_VERSION"));
