//! HTTP with S3.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Incoming};
use hyper::header::HeaderMap;
use hyper::{Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;

use super::connections::{BoxError, Connections};
use crate::function::tls;

/// Sends requests. Connections are kept for later ones.
#[derive(Clone, Debug)]
pub(super) struct Http {
    client: Client<Connections, Empty<Bytes>>,
    pub(super) connections: Connections,
}

/// An answer, whose body is still to come.
#[derive(Debug)]
pub(super) struct Answer(Response<Incoming>);

/// The network, or the server, broke off.
#[derive(Debug)]
pub struct Broken(BoxError);

impl Http {
    /// # Errors
    /// [`Broken`]: TLS cannot be set up.
    pub(super) fn new() -> Result<Self, Broken> {
        let connections = Connections::new(tls::config().map_err(|error| Broken(error.into()))?);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build(connections.clone());
        Ok(Self { client, connections })
    }

    /// Sends a request. Redirections are not followed.
    ///
    /// # Errors
    /// [`Broken`]: no answer has begun.
    pub(super) async fn send(&self, request: Request<Empty<Bytes>>) -> Result<Answer, Broken> {
        let answer = within(self.client.request(request)).await?;
        Ok(Answer(answer))
    }
}

impl Answer {
    pub(super) fn status(&self) -> StatusCode {
        self.0.status()
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        self.0.headers()
    }

    /// The length of the body. `None`: the answer does not say it.
    pub(super) fn content_length(&self) -> Option<u64> {
        self.0.body().size_hint().exact()
    }

    /// The next part of the body. `None`: it has ended.
    ///
    /// # Errors
    /// [`Broken`].
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Broken> {
        loop {
            let Some(frame) = within(async { self.0.frame().await.transpose() }).await? else {
                return Ok(None);
            };
            // What is no data comes after it.
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
    }
}

/// Waits for the next sign of the server.
async fn within<T, E: Into<BoxError>>(sign: impl Future<Output = Result<T, E>>) -> Result<T, Broken> {
    match timeout(READ_TIMEOUT, sign).await {
        Ok(result) => result.map_err(|error| Broken(error.into())),
        Err(_) => Err(Broken(format!("nothing has come for {READ_TIMEOUT:?}").into())),
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl Error for Broken {}

/// The limit for an answer to begin, and for each further part of it.
const READ_TIMEOUT: Duration = Duration::from_millis(2500);

/// As `reqwest` has it, which speaks to the issuers.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
