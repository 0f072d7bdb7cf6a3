//! Connections to S3, some of them open before they are needed.
//!
//! With TLS, a new connection takes two round trips until a request can be sent. A first call may need several parts of
//! a large bundle at the same time, and init waits for the end of the bundle anyhow. So others are opened beside the
//! first connection, and closed again if there is nothing more to fetch.

use std::error::Error;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use std::{io, mem};

use hyper::Uri;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::ClientConfig;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tower_service::Service;

use crate::cache::lock;

/// Why there is no connection.
pub(super) type BoxError = Box<dyn Error + Send + Sync>;

/// An open connection, with TLS or without.
pub(super) type Connection = <HttpsConnector<HttpConnector> as Service<Uri>>::Response;

/// Opens connections.
#[derive(Clone, Debug)]
pub(super) struct Connections {
    https: HttpsConnector<HttpConnector>,
    spare: Arc<Mutex<Spare>>,
}

#[derive(Debug, Default)]
struct Spare {
    /// How many are opened beside the next connection.
    wanted: usize,
    opened: Vec<SpareConnection>,
}

/// A connection that nobody needs yet. It is closed if it is dropped.
#[derive(Debug)]
struct SpareConnection {
    to: Uri,
    until: Instant,
    opening: JoinHandle<Result<Connection, BoxError>>,
}

impl Connections {
    pub(super) fn new(tls: ClientConfig) -> Self {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_keepalive(Some(KEEPALIVE));
        Self { https: HttpsConnector::from((http, tls)), spare: Arc::default() }
    }

    /// Opens so many connections beside the next one that is opened, to the same server.
    pub(super) fn open_beside(&self, count: usize) {
        lock(&self.spare).wanted = count;
    }

    /// Closes the connections that nobody has needed, and opens no more of them.
    pub(super) fn close_spare(&self) {
        *lock(&self.spare) = Spare::default();
    }

    fn take_spare(&self, to: &Uri) -> Option<SpareConnection> {
        let opened = &mut lock(&self.spare).opened;
        let now = Instant::now();
        opened.retain(|spare| now < spare.until);
        let position = opened.iter().position(|spare| is_same_server(&spare.to, to))?;
        Some(opened.swap_remove(position))
    }

    fn open_spare(&self, to: &Uri) {
        let mut spare = lock(&self.spare);
        for _ in 0..mem::take(&mut spare.wanted) {
            let opening = tokio::spawn(open(self.https.clone(), to.clone()));
            let until = Instant::now() + SPARE_LIFETIME;
            spare.opened.push(SpareConnection { to: to.clone(), until, opening });
        }
    }
}

impl Service<Uri> for Connections {
    type Response = Connection;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Connection, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.https.poll_ready(context)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connections = self.clone();
        Box::pin(async move {
            if let Some(mut spare) = connections.take_spare(&to)
                && let Ok(Ok(connection)) = (&mut spare.opening).await
            {
                return Ok(connection);
            }
            // They begin when this one first waits, so it stays ahead of them.
            connections.open_spare(&to);
            open(connections.https.clone(), to).await
        })
    }
}

impl Drop for SpareConnection {
    fn drop(&mut self) {
        self.opening.abort();
    }
}

async fn open(mut https: HttpsConnector<HttpConnector>, to: Uri) -> Result<Connection, BoxError> {
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "cannot connect in time");
    timeout(CONNECT_TIMEOUT, https.call(to)).await.map_err(late)?
}

fn is_same_server(one: &Uri, other: &Uri) -> bool {
    (one.scheme(), one.authority()) == (other.scheme(), other.authority())
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// A first call comes right after init. S3 closes a connection on which nothing is asked.
const SPARE_LIFETIME: Duration = Duration::from_secs(5);

/// A server that is gone is found out in the end.
const KEEPALIVE: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::super::{Reader, S3Settings};
    use super::*;

    /// A server on the loopback interface, which counts connections.
    struct Server {
        uri: Uri,
        accepted: Arc<AtomicUsize>,
        /// Of the connections that the client has closed.
        closed: Arc<AtomicUsize>,
    }

    impl Server {
        /// `serve` gets each connection with its number, from 0 on.
        async fn start<F>(serve: impl Fn(TcpStream, usize) -> F + Send + 'static) -> Self
        where
            F: Future<Output = ()> + Send + 'static,
        {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let uri = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
            let (accepted, closed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let counts = (Arc::clone(&accepted), Arc::clone(&closed));
            tokio::spawn(async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    let (served, closed) =
                        (serve(stream, counts.0.fetch_add(1, Ordering::Relaxed)), Arc::clone(&counts.1));
                    tokio::spawn(async move {
                        served.await;
                        closed.fetch_add(1, Ordering::Relaxed);
                    });
                }
            });
            Self { uri, accepted, closed }
        }

        /// A server that only waits until the client closes a connection.
        async fn silent() -> Self {
            Self::start(|mut stream, _| async move {
                let _ = stream.read_to_end(&mut Vec::new()).await;
            })
            .await
        }
    }

    /// Waits until there were so many.
    async fn are(count: &AtomicUsize, expected: usize) {
        let reached = async {
            while count.load(Ordering::Relaxed) < expected {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let in_time = timeout(Duration::from_secs(20), reached).await;
        assert!(in_time.is_ok(), "{} of {expected}", count.load(Ordering::Relaxed));
        assert_eq!(count.load(Ordering::Relaxed), expected);
    }

    fn connections() -> Connections {
        Connections::new(crate::function::tls::config().unwrap())
    }

    #[tokio::test]
    async fn the_first_connection_brings_others_that_are_used_before_new_ones() {
        let server = Server::silent().await;
        let mut connections = connections();
        connections.open_beside(2);
        let mut open = vec![connections.call(server.uri.clone()).await.unwrap()];
        are(&server.accepted, 3).await;
        for expected in [3, 3, 4] {
            open.push(connections.call(server.uri.clone()).await.unwrap());
            are(&server.accepted, expected).await;
        }
    }

    #[tokio::test]
    async fn what_nobody_needs_is_closed() {
        let server = Server::silent().await;
        let mut connections = connections();
        connections.open_beside(2);
        let _first = connections.call(server.uri.clone()).await.unwrap();
        are(&server.accepted, 3).await;
        connections.close_spare();
        are(&server.closed, 2).await;
        let _next = connections.call(server.uri.clone()).await.unwrap();
        are(&server.accepted, 4).await;
    }

    #[tokio::test]
    async fn a_spare_connection_is_for_its_server_and_for_a_short_time() {
        let (server, other) = (Server::silent().await, Server::silent().await);
        let mut connections = connections();
        connections.open_beside(2);
        let _first = connections.call(server.uri.clone()).await.unwrap();
        let _other = connections.call(other.uri.clone()).await.unwrap();
        are(&other.accepted, 1).await;
        for spare in &mut lock(&connections.spare).opened {
            spare.until = Instant::now();
        }
        let _next = connections.call(server.uri.clone()).await.unwrap();
        are(&server.accepted, 4).await;
    }

    #[tokio::test]
    async fn connections_that_died_meanwhile_stop_no_call() {
        const OBJECT: &[u8] = b"0123456789";
        // The first connection answers, the ones beside it end with the first request, and all later ones answer.
        let server = Server::start(|mut stream, number| async move {
            let mut request = Vec::new();
            while let Ok(1..) = stream.read_buf(&mut request).await {
                if (1..=3).contains(&number) {
                    return;
                }
                if !request.ends_with(b"\r\n\r\n") {
                    continue;
                }
                let text = String::from_utf8(mem::take(&mut request)).unwrap().to_lowercase();
                let range = text.lines().find_map(|line| line.strip_prefix("range: bytes=")).unwrap();
                let (from, last): (usize, usize) = match range.split_once('-').unwrap() {
                    ("", length) => (OBJECT.len() - length.parse::<usize>().unwrap(), OBJECT.len() - 1),
                    (from, last) => (from.parse().unwrap(), last.parse().unwrap()),
                };
                let body = &OBJECT[from..=last];
                let head = format!(
                    "HTTP/1.1 206 Partial Content\r\netag: \"e\"\r\ncontent-range: bytes {from}-{last}/10\r\n\
                     content-length: {}\r\n\r\n",
                    body.len()
                );
                stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
            }
        })
        .await;
        let uri = server.uri.to_string();
        let variable = |name: &str| match name {
            "AWS_REGION" => Some("eu-central-1".to_owned()),
            "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("x".to_owned()),
            "AWS_ENDPOINT_URL_S3" => Some(uri.clone()),
            _ => None,
        };
        let reader = Reader::new(S3Settings::from_lookup(variable).unwrap());
        reader.open_ahead();
        reader.read_end("bucket", "key", None, None, 4, 1).await.unwrap();
        are(&server.accepted, 4).await;
        let read = async |from| reader.read_range("bucket", "key", None, "\"e\"", from..from + 2, 2).await;
        // One of them finds that its connection is dead, and must not try the next dead one.
        let (a, b) = tokio::join!(read(0), read(2));
        assert_eq!([a.unwrap(), b.unwrap()].concat(), &OBJECT[..4]);
    }
}
