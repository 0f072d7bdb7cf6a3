//! The body of a PUT, which reports its progress.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// Called during an upload: how many bytes are on their way, of how many.
pub type Progress = Arc<dyn Fn(usize, usize) + Send + Sync>;

/// The body of a PUT. The SDK makes it anew for every attempt.
pub(super) fn upload(bytes: &Bytes, progress: &Progress) -> ByteStream {
    let (bytes, progress) = (bytes.clone(), Arc::clone(progress));
    ByteStream::new(SdkBody::retryable(move || {
        SdkBody::from_body_1_x(Upload {
            rest: bytes.clone(),
            total: bytes.len(),
            progress: Arc::clone(&progress),
        })
    }))
}

/// Bytes in pieces, with a progress report for each.
struct Upload {
    rest: Bytes,
    total: usize,
    progress: Progress,
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let length = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(length);
        (self.progress)(self.total - self.rest.len(), self.total);
        Poll::Ready((length > 0).then(|| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upload({} of {})", self.total - self.rest.len(), self.total)
    }
}

const PIECE: usize = 64 * 1024;
