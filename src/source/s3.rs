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

pub(super) async fn read(bucket: &str, key: &str, version_id: Option<&str>) -> Result<Vec<u8>, S3Failure> {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build();
    let config = aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts).load().await;
    let uri = || format!("s3://{bucket}/{key}");

    let request = Client::new(&config).get_object().bucket(bucket).key(key);
    let mut object = request.set_version_id(version_id.map(str::to_owned)).send().await.map_err(|error| {
        let status = error.raw_response().map(|response| response.status().as_u16());
        S3Failure::Refused {
            uri: uri(),
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
        }
    })?;

    let mut bytes = Vec::new();
    while let Some(chunk) = object.body.next().await {
        bytes.extend_from_slice(&chunk.map_err(|source| S3Failure::Interrupted { uri: uri(), source })?);
        if bytes.len() > MAX_BUNDLE_BYTES {
            return Err(S3Failure::TooLarge { uri: uri() });
        }
    }
    Ok(bytes)
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

/// Lambda gives the init phase ten seconds (Lambda Developer Guide, "Lambda execution
/// environment"); three attempts of the SDK and some room fit.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(2500);
const OPERATION_TIMEOUT: Duration = Duration::from_secs(8);
