//! Bundles in S3.

#[cfg(feature = "cli")]
pub mod publish;

use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata};
use aws_sdk_s3::primitives::ByteStreamError;

use crate::bundle::MAX_BUNDLE_BYTES;

/// Reads bundles, over one connection as long as that lasts.
#[derive(Clone, Debug)]
pub struct Reader {
    client: Client,
}

/// What is there.
#[derive(Clone, Debug)]
pub enum Read {
    /// The object that was there before.
    Unchanged,
    /// Another one.
    New {
        /// Its content.
        bytes: Vec<u8>,
        /// Its entity tag, to ask for changes.
        etag: Option<String>,
    },
}

impl Reader {
    /// With endpoint, region and credentials as every AWS SDK finds them.
    pub async fn connect() -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(OPERATION_TIMEOUT)
            .build();
        let config = aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts).load().await;
        Self { client: Client::new(&config) }
    }

    /// With a client of one's own.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Reads an object, if it is not the one with this entity tag. `attempts` is how often it is tried.
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
        let request = self.client.get_object().bucket(bucket).key(key);
        let request =
            request.set_version_id(version_id.map(str::to_owned)).set_if_none_match(etag.map(str::to_owned));
        let retries = aws_sdk_s3::config::Builder::new()
            .retry_config(aws_sdk_s3::config::retry::RetryConfig::standard().with_max_attempts(attempts));
        let mut object = match request.customize().config_override(retries).send().await {
            Ok(object) => object,
            Err(error) => {
                let status = error.raw_response().map(|response| response.status().as_u16());
                if status == Some(304) {
                    return Ok(Read::Unchanged);
                }
                return Err(S3Failure::Refused {
                    uri: uri(),
                    status,
                    cause: match (error.code(), error.message()) {
                        (Some(code), Some(message)) => format!("{code}: {message}"),
                        _ => DisplayErrorContext(&error).to_string(),
                    },
                    hint: match status {
                        // Without s3:ListBucket, S3 answers 403 for an object that does not exist.
                        Some(403) => "; is the bundle published, and may the function do s3:GetObject on it?",
                        Some(404) => "; is the bundle published under this key?",
                        _ => "",
                    },
                });
            }
        };

        let mut bytes = Vec::new();
        while let Some(chunk) = object.body.next().await {
            bytes.extend_from_slice(&chunk.map_err(|source| S3Failure::Interrupted { uri: uri(), source })?);
            if bytes.len() > MAX_BUNDLE_BYTES {
                return Err(S3Failure::TooLarge { uri: uri() });
            }
        }
        Ok(Read::New { bytes, etag: object.e_tag })
    }
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
        source: ByteStreamError,
    },
    /// No answer, or one that says no.
    #[error("cannot read `{uri}`: {cause}{hint}")]
    Refused {
        /// The object.
        uri: String,
        /// The HTTP status, if there was an answer.
        status: Option<u16>,
        /// What S3 or the network said.
        cause: String,
        /// What to look at.
        hint: &'static str,
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
            Self::Refused { status: Some(404), .. } => "bundle-missing",
            Self::Refused { .. } => "bundle-unreachable",
            Self::TooLarge { .. } => "bundle-too-large",
        }
    }
}

/// Lambda gives the init phase ten seconds (Lambda Developer Guide, "Lambda execution
/// environment"); three attempts of the SDK and some room fit.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(2500);
const OPERATION_TIMEOUT: Duration = Duration::from_secs(8);
