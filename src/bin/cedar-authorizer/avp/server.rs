//! The HTTP server.

use std::net::IpAddr;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{CONNECTION, CONTENT_TYPE, VARY};
use axum::http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use axum::routing::get;
use serde_json::Value;
use tokio::time::sleep;

use super::credentials::Credentials;
use super::error::ServiceError;
use super::service::Service;
use super::{json, operations, protocol};
use crate::local_server::admission::{Admission, NotAdmitted};
use crate::local_server::connections::{Connections, Pace};
use crate::local_server::stop::stop;
use crate::local_server::{self, GRACE};
use crate::output::{Failure, print};

/// What answers requests.
pub struct Server {
    pub service: Service,
    pub admission: Admission,
    /// Those that may sign requests. `None`: signatures are not looked at.
    pub credentials: Option<Credentials>,
    /// Every so many requests one is refused with a `ThrottlingException`.
    pub throttle: Option<NonZeroU64>,
    /// How many requests there were.
    pub requests: AtomicU64,
}

impl Server {
    /// Serves until the process is interrupted. Prints one line with the address, once it can be asked.
    pub async fn serve(self, host: IpAddr, port: u16) -> Result<(), Failure> {
        let listener = local_server::bind(host, port).await?;
        let address = listener.local_addr().map_err(Failure::could_not_run)?;
        let stopped = stop()?;
        print(&format_args!("listening on http://{address}"))?;
        let router = Router::new()
            .route("/health", get(health))
            .fallback(answer)
            .with_state(Arc::new(self))
            .into_make_service_with_connect_info::<Pace>();
        let serve = axum::serve(Connections::of(listener), router);
        let served = serve.with_graceful_shutdown(stopped.clone().wait());
        tokio::select! {
            result = served => result.map_err(Failure::could_not_run),
            () = async { stopped.wait().await; sleep(GRACE).await } => Ok(()),
        }
    }

    async fn ask(&self, request: Request) -> Result<Value, ServiceError> {
        let (head, body) = request.into_parts();
        let operation = protocol::operation(&head)?;
        let body = protocol::body(&head, body).await?;
        if let Some(credentials) = &self.credentials {
            credentials.verify(&head, &body, SystemTime::now())?;
        }
        if let Some(every) = self.throttle {
            let before = self.requests.fetch_add(1, Ordering::Relaxed);
            if (before + 1).is_multiple_of(every.get()) {
                return Err(ServiceError::Throttling);
            }
        }
        let input = json::object(&body).map_err(|message| ServiceError::Serialization { message })?;
        operations::answer(&self.service, &operation, input).await
    }
}

/// Says that requests are answered. Any host may ask for it, as the probes of containers do.
async fn health(State(_): State<Arc<Server>>) -> ([(HeaderName, &'static str); 1], &'static str) {
    ([(CONTENT_TYPE, "application/json")], r#"{"status":"ok"}"#)
}

async fn answer(
    State(server): State<Arc<Server>>,
    ConnectInfo(pace): ConnectInfo<Pace>,
    request: Request,
) -> Response<Body> {
    let _answering = pace.answering();
    let (head, body) = request.into_parts();
    let mut response = match server.admission.admit(&head) {
        Err(NotAdmitted { message }) => protocol::response(Err(ServiceError::AccessDenied { message })),
        Ok(Some(page)) if head.method == Method::OPTIONS => preflight(page),
        Ok(page) => {
            let mut response = protocol::response(server.ask(Request::from_parts(head, body)).await);
            if let Some(page) = page {
                allow(&mut response, page);
            }
            response
        }
    };
    if pace.is_crowded() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// What a browser asks before a page may send a request: which headers it may have (Fetch standard, "CORS protocol").
fn preflight(page: HeaderValue) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ALLOW_METHODS, HeaderValue::from_static("POST"));
    // The `*` of the standard does not stand for `authorization`.
    headers.insert(ALLOW_HEADERS, HeaderValue::from_static("authorization, *"));
    allow(&mut response, page);
    response
}

fn allow(response: &mut Response<Body>, page: HeaderValue) {
    let headers = response.headers_mut();
    headers.insert(ALLOW_ORIGIN, page);
    headers.insert(EXPOSE_HEADERS, HeaderValue::from_static("x-amzn-requestid"));
    headers.insert(VARY, HeaderValue::from_static("origin"));
}

const ALLOW_HEADERS: HeaderName = HeaderName::from_static("access-control-allow-headers");
const ALLOW_METHODS: HeaderName = HeaderName::from_static("access-control-allow-methods");
const ALLOW_ORIGIN: HeaderName = HeaderName::from_static("access-control-allow-origin");
const EXPOSE_HEADERS: HeaderName = HeaderName::from_static("access-control-expose-headers");
