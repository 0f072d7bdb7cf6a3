//! Why a bundle was not published, and what to do about it.

use std::error::Error;
use std::iter;
use std::time::Duration;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStreamError;

use super::compose::{ABORT, BEGIN, COPY, MIN_COPIED_BYTES, SEND};
use crate::bundle::MAX_BUNDLE_BYTES;
use crate::store::build::CannotBuild;

/// Why a bundle was not published.
#[derive(Debug, thiserror::Error)]
pub enum NotPublished {
    /// It cannot be built.
    #[error(transparent)]
    Bundle(#[from] CannotBuild),
    /// What is stored beside it cannot be made.
    #[error("cannot make what is stored beside the bundle: {0}")]
    Companion(String),
    /// S3 refuses repeatedly, although nothing changes.
    #[error("S3 says that somebody else is writing to `{uri}`; nothing was overwritten")]
    Contended {
        /// The place in S3.
        uri: String,
    },
    /// Another bundle was published after this attempt began.
    #[error("somebody else published to `{uri}` at the same time: {} is current now, and nothing was overwritten",
        .revision.map_or("another bundle".to_owned(), |revision| format!("revision {revision}")))]
    Overtaken {
        /// The place in S3.
        uri: String,
        /// The revision in the metadata of the current object.
        revision: Option<u64>,
    },
    /// A request to S3 failed.
    #[error(transparent)]
    Shelf(#[from] ShelfFailure),
    /// The history is far ahead of the current bundle.
    #[error("the revisions {first} to {last} of `{uri}` are all taken")]
    Taken {
        /// The place in S3.
        uri: String,
        /// The first revision that was tried.
        first: u64,
        /// The last revision that was tried.
        last: u64,
    },
    /// The last step got no answer.
    #[error("{source}; it is not known whether revision {revision} is current now")]
    Unknown {
        /// The revision, which is in the history.
        revision: u64,
        /// What happened.
        source: ShelfFailure,
    },
}

impl NotPublished {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Bundle(_) | Self::Companion(_) => None,
            Self::Contended { .. } => Some("publish again in a minute".to_owned()),
            Self::Overtaken { .. } => {
                Some("look at what they changed, and publish again if yours is still right".to_owned())
            }
            Self::Shelf(failure) => failure.hint(),
            Self::Taken { uri, last, .. } => Some(format!(
                "the current bundle is older than its history; to bring back the last one: aws s3 cp {uri}.{last} {uri}"
            )),
            Self::Unknown { source, .. } => {
                let again = "publish again: that finds out, and finishes it if need be";
                Some(source.hint().map_or(again.to_owned(), |hint| format!("{hint}; then {again}")))
            }
        }
    }
}

/// What failed in S3, and why.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} `{uri}`: {cause}{}", what_is_left(.left.as_deref()))]
pub struct ShelfFailure {
    pub(super) operation: &'static str,
    pub(super) uri: String,
    pub(super) cause: S3Cause,
    /// Why parts of the object stay in S3, if they do.
    pub(super) left: Option<Box<ShelfFailure>>,
}

impl ShelfFailure {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let Self { operation, uri, cause, .. } = self;
        let hint = match cause {
            S3Cause::BucketMissing => "create the bucket, or correct its name",
            S3Cause::ClockSkewed => "set the clock of this machine",
            S3Cause::Credentials(_) => {
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; \
                 eval \"$(aws configure export-credentials --format env)\" does it for any profile"
            }
            // Without s3:ListBucket, S3 answers 403 for an object that does not exist.
            S3Cause::Forbidden(_) if *operation == "read" => {
                "to inspect takes s3:GetObject on the key, to publish s3:GetObject, s3:PutObject and \
                 s3:AbortMultipartUpload on the key and on `<key>.*`, and both s3:ListBucket on the bucket: without \
                 that, S3 says the same of an object that does not exist"
            }
            S3Cause::Forbidden(_) if *operation == "list" => {
                "to list the revisions takes s3:ListBucket on the bucket"
            }
            S3Cause::Forbidden(_) if *operation == ABORT => {
                "publishing needs s3:AbortMultipartUpload on the key and on `<key>.*`"
            }
            S3Cause::Forbidden(_) if *operation == COPY => {
                "publishing needs s3:GetObject and s3:PutObject on the key and on `<key>.*`"
            }
            S3Cause::Forbidden(_) => "publishing needs s3:PutObject on the key and on `<key>.*`",
            S3Cause::Region { bucket: Some(region) } => return Some(format!("set AWS_REGION={region}")),
            S3Cause::Region { bucket: None } => "set AWS_REGION to the region of the bucket",
            S3Cause::RegionMissing => "set AWS_REGION to the region of the bucket, or AWS_PROFILE",
            S3Cause::TooLarge => return Some(format!("is `{uri}` a bundle?")),
            S3Cause::TooSlow(_) | S3Cause::Unreachable(_) => {
                "is the network up? AWS_ENDPOINT_URL_S3 is used if it is set"
            }
            S3Cause::Interrupted(_) | S3Cause::NoEntityTag | S3Cause::Other(_) | S3Cause::TooSmallToCopy => {
                return None;
            }
        };
        Some(hint.to_owned())
    }

    /// Whether the object is too large to be a bundle, so that it was not read.
    pub fn is_too_large(&self) -> bool {
        matches!(self.cause, S3Cause::TooLarge)
    }

    /// The same failure, if it happened in the step that makes the bundle current.
    pub(super) fn at_current(self, revision: u64) -> NotPublished {
        match self.cause {
            // Nothing is under the key before the upload is completed.
            _ if [BEGIN, COPY, SEND].contains(&self.operation) => NotPublished::Shelf(self),
            S3Cause::Interrupted(_) | S3Cause::TooSlow(_) | S3Cause::Unreachable(_) | S3Cause::Other(_) => {
                NotPublished::Unknown { revision, source: self }
            }
            _ => NotPublished::Shelf(self),
        }
    }
}

fn what_is_left(failure: Option<&ShelfFailure>) -> String {
    failure.map_or(String::new(), |failure| format!("; nor can its parts be removed: {failure}"))
}

/// Why a request to S3 failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum S3Cause {
    #[error("there is no such bucket")]
    BucketMissing,
    #[error("the clock of this machine is wrong, says S3")]
    ClockSkewed,
    #[error("no usable credentials: {0}")]
    Credentials(String),
    #[error("{0}")]
    Forbidden(String),
    #[error("the answer broke off: {0}")]
    Interrupted(#[source] ByteStreamError),
    #[error("S3 gave no entity tag")]
    NoEntityTag,
    #[error("{0}")]
    Other(String),
    #[error("the bucket is in {}", .bucket.as_deref().unwrap_or("another region"))]
    Region { bucket: Option<String> },
    #[error("no region is set")]
    RegionMissing,
    #[error("it is larger than a bundle may be, {MAX_BUNDLE_BYTES} bytes")]
    TooLarge,
    #[error("S3 copies parts of at least {MIN_COPIED_BYTES} bytes")]
    TooSmallToCopy,
    #[error("the answer did not end within {0:?}")]
    TooSlow(Duration),
    #[error("no answer: {0}")]
    Unreachable(String),
}

impl S3Cause {
    /// The codes are in the S3 API Reference, "Error responses".
    pub(super) fn from_sdk<E: ProvideErrorMetadata + Error + 'static>(
        error: &SdkError<E, HttpResponse>,
    ) -> Self {
        let text = match (error.code(), error.message()) {
            (Some(code), Some(message)) => format!("{code}: {message}"),
            (Some(code), None) => code.to_owned(),
            _ => causes(error),
        };
        let Some(response) = error.raw_response() else {
            return match error {
                // For missing settings the SDK has no error types, only texts.
                _ if text.contains("region must be set") => Self::RegionMissing,
                SdkError::DispatchFailure(failure) if failure.is_other() && text.contains("credential") => {
                    Self::Credentials(text)
                }
                SdkError::ConstructionFailure(_) => Self::Other(text),
                _ => Self::Unreachable(text),
            };
        };
        let region = response.headers().get("x-amz-bucket-region").map(str::to_owned);
        match (response.status().as_u16(), error.code()) {
            (_, Some("NoSuchBucket")) => Self::BucketMissing,
            (_, Some("RequestTimeTooSkewed" | "RequestExpired")) => Self::ClockSkewed,
            (_, Some("PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraint"))
            | (301 | 307, _) => Self::Region { bucket: region },
            (_, Some("ExpiredToken" | "InvalidAccessKeyId" | "InvalidToken" | "SignatureDoesNotMatch")) => {
                Self::Credentials(text)
            }
            (401 | 403, _) => Self::Forbidden(text),
            _ => Self::Other(text),
        }
    }
}

/// The causes of an error in one line. The error's own text is left out: it only says which stage of the SDK it
/// came from.
fn causes(error: &dyn Error) -> String {
    let mut texts: Vec<String> = Vec::new();
    for cause in iter::successors(error.source(), |cause: &&dyn Error| (*cause).source()) {
        let text = cause.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        // Some errors repeat the text of their cause.
        if !texts.last().is_some_and(|last| last.ends_with(&text)) {
            texts.push(text);
        }
    }
    if texts.is_empty() { error.to_string() } else { texts.join(": ") }
}
