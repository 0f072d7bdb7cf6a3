//! Connections: so many at once, and none that waits for its client for ever.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use http_body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::locks;

/// How long a client may take for the head of a request, for its body, and to read an answer.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How many connections are open at once; more wait. The usual limit of a process is 1,024 open files, and stores need
/// some of them.
const MAX_CONNECTIONS: usize = 960;

/// A listener that accepts a limited number of connections.
#[derive(Debug)]
pub struct Connections {
    listener: TcpListener,
    free: Arc<Semaphore>,
}

impl Connections {
    pub fn of(listener: TcpListener) -> Self {
        Self { listener, free: Arc::new(Semaphore::new(MAX_CONNECTIONS)) }
    }
}

impl Listener for Connections {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // An error would mean that the semaphore is closed, which nobody does.
        let place = Arc::clone(&self.free).acquire_owned().await.ok();
        let (stream, address) = Listener::accept(&mut self.listener).await;
        // Without it answers may be slower, but the same.
        let _ = stream.set_nodelay(true);
        let deadline = Instant::now() + PATIENCE;
        let pace = Pace { deadline: Arc::new(Mutex::new(Some(deadline))), free: Arc::clone(&self.free) };
        (Connection { stream, pace, timer: Box::pin(sleep_until(deadline)), _place: place }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that fails if its client takes too long.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    pace: Pace,
    timer: Pin<Box<Sleep>>,
    /// Free again when the connection is closed.
    _place: Option<OwnedSemaphorePermit>,
}

/// How much time a client has left. Shared between its connection and its requests.
#[derive(Clone, Debug)]
pub struct Pace {
    /// `None`: a request is being answered.
    deadline: Arc<Mutex<Option<Instant>>>,
    free: Arc<Semaphore>,
}

impl Pace {
    /// The client has sent the head of a request. Its time stands still until the value is dropped.
    pub fn answering(&self) -> Answering {
        self.set(None);
        Answering(self.clone())
    }

    /// The same body, as one that may take long to come.
    pub fn paced(&self, body: Body) -> Body {
        if body.is_end_stream() { body } else { Body::new(PacedBody { body, pace: self.clone() }) }
    }

    /// Whether others wait for a connection.
    pub fn is_crowded(&self) -> bool {
        self.free.available_permits() == 0
    }

    fn set(&self, deadline: Option<Instant>) {
        *locks::lock(&self.deadline) = deadline;
    }
}

/// An answer that may take long to come, such as a stream of events. Only the time that it waits for the client counts.
#[derive(Debug)]
pub struct PacedBody {
    body: Body,
    pace: Pace,
}

impl HttpBody for PacedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        self.pace.set(frame.is_ready().then(|| Instant::now() + PATIENCE));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A request is being answered.
#[derive(Debug)]
pub struct Answering(Pace);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.set(Some(Instant::now() + PATIENCE));
    }
}

impl Connected<IncomingStream<'_, Connections>> for Pace {
    fn connect_info(stream: IncomingStream<'_, Connections>) -> Self {
        stream.io().pace.clone()
    }
}

impl Connection {
    /// Fails once the client's time is over. Called when there is nothing else to do, so that the timer wakes the task.
    fn overdue<T>(&mut self, context: &mut Context) -> Poll<io::Result<T>> {
        let deadline = *locks::lock(&self.pace.deadline);
        let Some(deadline) = deadline else { return Poll::Pending };
        if self.timer.deadline() != deadline {
            self.timer.as_mut().reset(deadline);
        }
        self.timer.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context,
        buffer: &mut ReadBuf,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Ready(result) => Poll::Ready(result),
            Poll::Pending => self.overdue(context),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(context, bytes) {
            Poll::Ready(result) => Poll::Ready(result),
            Poll::Pending => self.overdue(context),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
