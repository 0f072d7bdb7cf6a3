//! Why S3 did not give a bundle, or a part of one.

use super::DEADLINE;
use super::refusal::{ErrorCode, Refusal};
use super::settings::InvalidSettings;
use crate::bundle::MAX_BUNDLE_BYTES;

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
    /// No answer, or an answer that is an error.
    #[error("cannot read `{uri}`: {cause}{hint}")]
    Refused {
        /// The object.
        uri: String,
        /// The HTTP status, if there was an answer.
        status: Option<u16>,
        /// The error code, if S3 itself answered. A server in between may have answered instead.
        code: Option<ErrorCode>,
        /// What S3 or the network said.
        cause: String,
        /// What to look at.
        hint: &'static str,
    },
    /// Settings are missing or wrong in the environment.
    #[error(transparent)]
    Settings(#[from] InvalidSettings),
    /// The answer began, but took too long.
    #[error("cannot read `{uri}` to its end within {DEADLINE:?}")]
    TooSlow {
        /// The object.
        uri: String,
    },
    /// The object is larger than a bundle may be.
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

    /// Whether S3 said that there is no such object. A 404 alone does not say so: a proxy, a wrong endpoint and a
    /// missing bucket answer with the same status (Amazon S3 API Reference, "Error responses").
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { status: Some(404), code: Some(ErrorCode::NoSuchKey), .. })
    }

    pub(super) fn refused(uri: String, refusal: Refusal) -> Self {
        let (status, code) = (refusal.status(), refusal.code());
        let hint = match (status, &code) {
            // S3 answers 301 if the bucket is in another region.
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
