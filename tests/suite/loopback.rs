//! Servers on 127.0.0.1 that stand in for the services around the function.
//!
//! | stand-in | for | left out on purpose |
//! |---|---|---|
//! | [`RuntimeApi`] | the Lambda Runtime API | the freeze between invocations, enforcing the deadline, extensions, snapshots |
//! | [`Function`] | the Lambda service running the executable | memory and CPU limits, restarts, IAM: its credentials are made up |
//! | [`S3`] | S3's `GetObject`, `PutObject`, `ListObjectsV2` and multipart uploads | every other operation, several ranges at once, checksums other than SHA-256, and whether a signature is right (only that there is one) |
//! | [`ApiGateway`] | the exports of API Gateway | whether a signature is right (only that there is one) |
//! | [`KeyServer`] | an issuer's key set URL | issuing tokens |
//! | [`Tls`] | the HTTPS of each of them | chains of certificates |
//!
//! Each server binds a free port, runs on its own thread and stops when dropped. So tests are plain blocking
//! functions that run side by side. A test can set a fault at any moment. It lasts until the next one is set.

/// The management API of API Gateway, as far as an export needs it.
mod api_gateway;
/// The executable as a child process, under a [`RuntimeApi`] of its own.
mod function;
/// Key sets over HTTP, and the ways in which serving them can fail.
mod key_server;
/// The other end of the runtime's long poll.
mod runtime_api;
/// Objects with versions and entity tags, and the ways in which reading and writing them can fail.
mod s3;
/// TLS before any of these servers.
mod tls;

pub use api_gateway::ApiGateway;
pub use function::Function;
pub use key_server::{KeyServer, KeyServerFault};
pub use runtime_api::{Answer, Init, RuntimeApi};
pub use s3::{RangeFault, S3, S3Fault, Step};
pub use tls::Tls;

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use futures_util::stream::{self, StreamExt};
use tokio::sync::oneshot;

/// How long a test waits for the function before it fails: far more than a busy machine needs, far less than a
/// job's limit.
const PATIENCE: Duration = Duration::from_secs(30);

/// A router on 127.0.0.1, served until this is dropped.
#[derive(Debug)]
pub struct Server {
    pub address: SocketAddr,
    /// Nothing is ever sent: dropping it is the signal to stop.
    stop: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves at once, on a free port.
    pub fn start(router: Router) -> Self {
        // Bound here, not on the thread, so that a client can connect as soon as it knows the address.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || serve(listener, router, stopped));
        Self { address, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported there. A second one here could abort the tests.
            let _ = thread.join();
        }
    }
}

/// Serves until `stopped`. Open connections are cut, not drained, because a long poll would never end.
fn serve(listener: TcpListener, router: Router, stopped: oneshot::Receiver<Infallible>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        tokio::spawn(async { axum::serve(listener, router).await });
        let _ = stopped.await;
    });
}

/// Closes the connection without an answer: hyper drops it when a handler unwinds. Unlike
/// `panic!`, this prints nothing.
fn close_connection() -> ! {
    std::panic::resume_unwind(Box::new("closed on purpose"))
}

/// A body of these bytes, each sent after a pause.
fn dripping(bytes: Bytes, pause: Duration) -> Body {
    let each = stream::iter(bytes).then(move |byte| async move {
        tokio::time::sleep(pause).await;
        Ok::<_, Infallible>(Bytes::copy_from_slice(&[byte]))
    });
    Body::from_stream(each)
}

/// Sends one request over a plain socket, and returns all that comes back until the server closes the connection.
/// Self tests look at the bytes, because a client library would retry, follow or refuse.
pub fn exchange(address: SocketAddr, request_line: &str, headers: &str, body: &str) -> String {
    use std::io::{Read, Write};

    let mut socket = std::net::TcpStream::connect(address).unwrap();
    write!(
        socket,
        "{request_line} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut received = Vec::new();
    // A reset connection is one of the answers. What came before the reset is what counts.
    let _ = socket.read_to_end(&mut received);
    String::from_utf8(received).unwrap()
}
