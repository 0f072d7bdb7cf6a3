//! Why S3 did not give a bundle, or a part of one.

use std::ops::Range;
use std::time::Duration;

use super::range::length_of;
use super::refusal::{ErrorCode, Refusal};
use super::settings::InvalidSettings;
use crate::bundle::MAX_BUNDLE_BYTES;

/// Why S3 did not give a bundle.
#[derive(Debug, thiserror::Error)]
pub enum S3Failure {
    /// The answer broke off.
    #[error("cannot read `{uri}` to its end: {cause}")]
    Interrupted {
        /// The object.
        uri: String,
        /// How it broke off.
        cause: String,
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
        /// Whether the same request may succeed a little later.
        is_passing: bool,
    },
    /// There is another object now than the one that was read before.
    #[error("`{uri}` was replaced: it no longer has the entity tag {etag}")]
    Replaced {
        /// The object.
        uri: String,
        /// The entity tag that it had.
        etag: String,
    },
    /// Settings are missing or wrong in the environment.
    #[error(transparent)]
    Settings(#[from] InvalidSettings),
    /// The answer began, but took too long.
    #[error("cannot read `{uri}` to its end within {limit:?}")]
    TooSlow {
        /// The object.
        uri: String,
        /// The time that there was.
        limit: Duration,
    },
    /// The object is larger than a bundle may be.
    #[error("`{uri}` is larger than a bundle may be, {MAX_BUNDLE_BYTES} bytes")]
    TooLarge {
        /// The object.
        uri: String,
    },
    /// An answer that does not fit what was asked for.
    #[error("the answer for a part of `{uri}` is wrong: {problem}; is there a proxy, or another endpoint?")]
    Wrong {
        /// The object.
        uri: String,
        /// What does not fit.
        problem: WrongAnswer,
    },
}

/// Why an answer is not the part of an object that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongAnswer {
    /// The body has another length than `Content-Range` says.
    #[error("it has {} than {expected} bytes", if *.is_longer { "more" } else { "fewer" })]
    Length {
        /// The bytes that should have come.
        expected: u64,
        /// Whether there were more of them.
        is_longer: bool,
    },
    /// It does not say of which object it is.
    #[error("it has no entity tag")]
    NoEntityTag,
    /// It is of another object.
    #[error("it has the entity tag {found}, not {expected}")]
    OtherEntityTag {
        /// The entity tag that was asked for.
        expected: String,
        /// The entity tag of the answer.
        found: String,
    },
    /// It is of another version.
    #[error("it is of version {found}, not {expected}")]
    OtherVersion {
        /// The version that was asked for.
        expected: String,
        /// The version of the answer.
        found: String,
    },
    /// It is another part.
    #[error("{} bytes from {} on were asked for, and `Content-Range` says `{found}`", length_of(.asked), .asked.start)]
    Range {
        /// The bytes that were asked for.
        asked: Range<u64>,
        /// The header, empty if there is none.
        found: String,
    },
    /// It is not the end.
    #[error("the last {asked} bytes were asked for, and `Content-Range` says `{found}`")]
    NotTheEnd {
        /// How many bytes were asked for.
        asked: u64,
        /// The header, empty if there is none.
        found: String,
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
            Self::Replaced { .. } => "bundle-replaced",
            Self::TooLarge { .. } => "bundle-too-large",
            Self::TooSlow { .. } => "bundle-too-slow",
            Self::Wrong { .. } => "bundle-part-wrong",
        }
    }

    /// Whether S3 said that there is no such object. A 404 alone does not say so: a proxy, a wrong endpoint and a
    /// missing bucket answer with the same status (Amazon S3 API Reference, "Error responses").
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { status: Some(404), code: Some(ErrorCode::NoSuchKey), .. })
    }

    /// Whether the object that was asked for, of one entity tag and perhaps one version, is there no longer.
    pub(crate) fn is_gone(&self) -> bool {
        let is_version_missing =
            matches!(self, Self::Refused { status: Some(404), code: Some(ErrorCode::NoSuchVersion), .. });
        matches!(self, Self::Replaced { .. }) || self.is_missing() || is_version_missing
    }

    /// Whether the same request may succeed a little later.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Interrupted { .. } => true,
            Self::Refused { is_passing, .. } => *is_passing,
            Self::Replaced { .. } | Self::Settings(_) | Self::TooLarge { .. } | Self::TooSlow { .. } => false,
            // The next answer comes from the same server.
            Self::Wrong { .. } => false,
        }
    }

    pub(super) fn refused(uri: String, refusal: Refusal) -> Self {
        let (status, code, is_passing) = (refusal.status(), refusal.code(), refusal.is_passing());
        let hint = match (status, &code) {
            // S3 answers 301 if the bucket is in another region.
            (Some(301), _) => "; is the function in the region of the bucket?",
            // Without s3:ListBucket, S3 answers 403 for an object that does not exist.
            (Some(403), _) => "; is the bundle published, and may the function do s3:GetObject on it?",
            (Some(416), _) => "; is the bundle shorter than it was?",
            (_, Some(ErrorCode::NoSuchKey)) => "; is the bundle published under this key?",
            (Some(404), None) => "; that is no answer of S3: is there a proxy, or another endpoint?",
            _ => "",
        };
        Self::Refused { uri, status, code, cause: refusal.to_string(), hint, is_passing }
    }
}
