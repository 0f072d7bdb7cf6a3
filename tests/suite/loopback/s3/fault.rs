use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::answer::{error, failure, redirect};
use crate::loopback::close_connection;

/// What goes wrong with the next GETs, with the PUTs of a key, or with a [`Step`] of multipart uploads. A request that
/// is not signed fails in any case.
#[derive(Clone, Copy, Debug)]
pub enum S3Fault {
    None,
    /// 403 `AccessDenied`.
    Forbidden,
    /// 404 `NoSuchKey`, though the object is there.
    NotFound,
    /// 500 `InternalError`, which the SDK retries.
    InternalError,
    /// The right answer, but only after this time.
    Slow(Duration),
    /// The `Content-Length` of the whole object, but only half of its bytes before the connection ends.
    Truncated,
    /// The right answer, but its body comes one byte at a time, each after this time. A body that has begun
    /// continues like this, whatever fault is set later.
    Drips(Duration),
    /// The connection ends with no answer. Nothing was stored.
    Reset,
    /// An error with this status and code.
    Error(u16, &'static str),
    /// This status and this body, whatever it is.
    Answer(u16, &'static str),
    /// A redirect to another region, which the SDK does not follow.
    Region(&'static str),
    /// Of a PUT or a step: it is done, but the connection ends with no answer.
    AnswerLost,
    /// Of a PUT or a step: nothing is done. Of all: there is no answer until the client goes away.
    Hang,
    /// Of a GET with a range: the answer does not fit it.
    Range(RangeFault),
}

/// In which way the answer to a GET with a range does not fit it.
#[derive(Clone, Copy, Debug)]
pub enum RangeFault {
    /// The whole object with status 200, as from a server that knows no ranges.
    Ignored,
    /// The same, of an object with another entity tag.
    IgnoredOfAnother,
    /// The right body, but this `Content-Range`.
    ContentRange(&'static str),
    /// No `Content-Range`.
    NoContentRange,
    /// The range without its first byte: header and body agree.
    Later,
    /// The range without its last byte: header and body agree.
    Shorter,
    /// A body without the last byte, of a length that it states rightly.
    BodyShorter,
    /// A body with one byte more, of a length that it states rightly.
    BodyLonger,
    /// Another entity tag.
    OtherTag,
    /// No entity tag.
    NoTag,
    /// Another version id.
    OtherVersion,
}

/// A step of a multipart upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// `CreateMultipartUpload`.
    Create,
    /// `UploadPart`.
    UploadPart,
    /// `UploadPartCopy`.
    CopyPart,
    /// `CompleteMultipartUpload`.
    Complete,
    /// `AbortMultipartUpload`.
    Abort,
}

impl S3Fault {
    /// The answer that comes instead of the right one. `None`: the request is looked at.
    pub(super) async fn answer(self) -> Option<Response> {
        Some(match self {
            Self::None | Self::Truncated | Self::Drips(_) | Self::AnswerLost | Self::Range(_) => return None,
            Self::Forbidden => failure(StatusCode::FORBIDDEN, "AccessDenied"),
            Self::NotFound => failure(StatusCode::NOT_FOUND, "NoSuchKey"),
            Self::InternalError => failure(StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
            Self::Slow(delay) => {
                tokio::time::sleep(delay).await;
                return None;
            }
            Self::Reset => close_connection(),
            Self::Error(status, code) => error(status, code),
            Self::Answer(status, body) => (StatusCode::from_u16(status).unwrap(), body).into_response(),
            Self::Region(region) => redirect(region),
            Self::Hang => std::future::pending().await,
        })
    }

    /// The right answer to a request that changes something, unless it is lost.
    pub(super) fn after(self, done: Result<Response, (StatusCode, &'static str)>) -> Response {
        match (self, done) {
            (Self::AnswerLost, Ok(_)) => close_connection(),
            (_, Ok(answer)) => answer,
            (_, Err((status, code))) => failure(status, code),
        }
    }
}
