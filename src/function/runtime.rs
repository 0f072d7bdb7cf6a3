//! Lambda's Runtime API: gives the function its events, one at a time, and takes their answers.
//!
//! `lambda_runtime` does the same for functions of every kind. For a token that was seen, it takes longer than all the
//! rest of a call: see `docs/decisions.md`.

use std::convert::Infallible;
use std::io;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::http::uri::InvalidUri;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use lambda_runtime::Diagnostic;
use tokio::net::TcpStream;
use tracing::{Instrument, error, info_span};
use url::Url;

use crate::function::telemetry::invocation::LambdaContext;
use crate::gateway;

/// The Runtime API, and the connection to it.
#[derive(Debug)]
pub struct RuntimeApi {
    /// The address, without the brackets of IPv6.
    host: String,
    port: u16,
    /// Host and port as requests name them.
    authority: HeaderValue,
    /// What all paths begin with.
    base: String,
    /// Where the next event is.
    next: Uri,
    connection: Option<SendRequest<Full<Bytes>>>,
}

impl RuntimeApi {
    /// Reads the value of `AWS_LAMBDA_RUNTIME_API`: host and port, or a URL, as emulators set it.
    ///
    /// # Errors
    /// [`RuntimeFailure::Address`].
    pub fn new(address: &str) -> Result<Self, RuntimeFailure> {
        let url = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
        let url: Url = url.parse().map_err(|_| RuntimeFailure::Address)?;
        let (Some(host), Some(port), "http") = (url.host_str(), url.port_or_known_default(), url.scheme())
        else {
            return Err(RuntimeFailure::Address);
        };
        let authority = format!("{host}:{port}").try_into().map_err(|_| RuntimeFailure::Address)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let base = format!("{}/{VERSION}/runtime", url.path().trim_end_matches('/'));
        let next = format!("{base}/invocation/next").try_into().map_err(|_| RuntimeFailure::Address)?;
        Ok(Self { host, port, authority, base, next, connection: None })
    }

    /// Waits until the process was restored from a snapshot, if Lambda made one of it when it was ready (SnapStart).
    ///
    /// # Errors
    /// The process cannot go on.
    pub async fn restored(&mut self) -> Result<(), RuntimeFailure> {
        let path = format!("{}/restore/next", self.base).try_into()?;
        let response = self.send(Method::GET, path, HeaderMap::new(), Bytes::new()).await?;
        let status = response.status();
        if !status.is_success() {
            return Err(RuntimeFailure::Status(status));
        }
        // The connection is one of the process that the snapshot was made of.
        self.connection = None;
        Ok(())
    }

    /// Answers events for ever. An answer that Lambda refuses is reported to the log: the next event may fare better.
    ///
    /// # Errors
    /// Events cannot be had any more, or their answers cannot be sent. Lambda starts another process.
    pub async fn serve<A: Into<Bytes>>(
        mut self,
        answer: impl AsyncFn(&str, &LambdaContext) -> Result<A, Diagnostic>,
    ) -> Result<Infallible, RuntimeFailure> {
        loop {
            let response = self.send(Method::GET, self.next.clone(), HeaderMap::new(), Bytes::new()).await?;
            let (head, body) = response.into_parts();
            let event = body.collect().await?.to_bytes();
            match head.status {
                StatusCode::OK => {}
                // Emulators may have no event.
                StatusCode::NO_CONTENT => continue,
                status => return Err(RuntimeFailure::Status(status)),
            }
            let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
            let context = LambdaContext {
                request_id: Some(text(REQUEST_ID).ok_or(RuntimeFailure::NoRequestId)?.to_owned()),
                trace_id: text(TRACE_ID).map(str::to_owned),
            };
            let span = info_span!(
                "call",
                requestId = context.request_id,
                xrayTraceId = context.trace_id,
                tenantId = text(TENANT_ID),
            );
            let of_invocation = head.headers.get(&INVOCATION_ID).cloned();
            let answering = async {
                // What is no text is no event of API Gateway either, and is answered as such.
                let answer = answer(str::from_utf8(&event).unwrap_or_default(), &context).await;
                self.give(&context, of_invocation, answer.map(Into::into)).await
            };
            answering.instrument(span).await?;
        }
    }

    /// Sends the answer to an event. `of_invocation` tells it from one that Lambda does not wait for any more.
    async fn give(
        &mut self,
        context: &LambdaContext,
        of_invocation: Option<HeaderValue>,
        answer: Result<Bytes, Diagnostic>,
    ) -> Result<(), RuntimeFailure> {
        let mut headers = HeaderMap::new();
        headers.extend(of_invocation.map(|id| (INVOCATION_ID, id)));
        let (kind, body) = match answer {
            Ok(response) => ("response", response),
            Err(diagnostic) => {
                headers.insert(ERROR_TYPE, HeaderValue::from_static("unhandled"));
                // Two texts can always be written.
                ("error", serde_json::to_vec(&diagnostic).unwrap_or_default().into())
            }
        };
        let id = context.request_id.as_deref().unwrap_or_default();
        let path = [&self.base, "/invocation/", id, "/", kind].concat().try_into()?;
        let response = self.send(Method::POST, path, headers, body).await?;
        let status = response.status();
        if !status.is_success() {
            error!(status = status.as_u16(), "Lambda did not take the answer");
        }
        // The connection is free when all of the response was read.
        if response.into_body().collect().await.is_err() {
            self.connection = None;
        }
        Ok(())
    }

    async fn send(
        &mut self,
        method: Method,
        path: Uri,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<hyper::body::Incoming>, RuntimeFailure> {
        headers.insert(HOST, self.authority.clone());
        headers.insert(USER_AGENT, AGENT);
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = path;
        *request.headers_mut() = headers;
        match self.connection().await?.try_send_request(request).await {
            Ok(response) => Ok(response),
            Err(mut failed) => match failed.take_message() {
                // Nothing of it was sent: the connection was closed a moment ago.
                Some(request) => {
                    self.connection = None;
                    Ok(self.connection().await?.send_request(request).await?)
                }
                None => Err(failed.into_error().into()),
            },
        }
    }

    /// The connection, which is made anew if it was closed since the last request.
    async fn connection(&mut self) -> Result<&mut SendRequest<Full<Bytes>>, RuntimeFailure> {
        if let Some(connection) = &mut self.connection
            && connection.ready().await.is_err()
        {
            self.connection = None;
        }
        let open = match self.connection.take() {
            Some(open) => open,
            None => self.connect().await?,
        };
        Ok(self.connection.insert(open))
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, RuntimeFailure> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) =
            http1::Builder::new().max_buf_size(MAX_BUFFER_BYTES).handshake(TokioIo::new(stream)).await?;
        // It ends with the connection. Whoever sends next gets to know why.
        tokio::spawn(connection);
        Ok(sender)
    }
}

/// The JSON of a response. Nothing of it is copied.
impl From<gateway::response::Response> for Bytes {
    fn from(response: gateway::response::Response) -> Self {
        Self::from_owner(Json(response))
    }
}

struct Json(gateway::response::Response);

impl AsRef<[u8]> for Json {
    fn as_ref(&self) -> &[u8] {
        self.0.as_json().as_bytes()
    }
}

/// Why there are no more events.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeFailure {
    /// The address is not that of an HTTP server.
    #[error("AWS_LAMBDA_RUNTIME_API is neither host and port nor a URL with `http`")]
    Address,
    /// No connection.
    #[error("the Runtime API cannot be reached: {0}")]
    Connect(#[from] io::Error),
    /// The connection broke.
    #[error("the Runtime API does not answer: {0}")]
    Exchange(#[from] hyper::Error),
    /// An event without an id cannot be answered.
    #[error("the Runtime API gave an event without a request id")]
    NoRequestId,
    /// An id that cannot be part of a path.
    #[error("the Runtime API gave a request id that cannot be part of a path: {0}")]
    RequestId(#[from] InvalidUri),
    /// Something else than an event.
    #[error("the Runtime API gave no event: status {0}")]
    Status(StatusCode),
}

/// Lambda Developer Guide, "Using the Lambda runtime API for custom runtimes".
const VERSION: &str = "2018-06-01";
const REQUEST_ID: &str = "lambda-runtime-aws-request-id";
const TRACE_ID: &str = "lambda-runtime-trace-id";
const TENANT_ID: &str = "lambda-runtime-aws-tenant-id";
const ERROR_TYPE: HeaderName = HeaderName::from_static("lambda-runtime-function-error-type");

/// Not documented. `lambda_runtime` 1.5.0 gives it back, so that Lambda can refuse the answer to an event that timed
/// out.
const INVOCATION_ID: HeaderName = HeaderName::from_static("lambda-runtime-invocation-id");

const AGENT: HeaderValue = HeaderValue::from_static(concat!("cedar-authorizer/", env!("CARGO_PKG_VERSION")));

/// As `lambda_runtime` has it. An event of API Gateway is much shorter.
const MAX_BUFFER_BYTES: usize = 1024 * 1024;

#[cfg(test)]
mod tests;
