//! The HTTP server: the page for people, the gateway for everybody else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{CONNECTION, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Response, StatusCode};
use axum::middleware::{self, Next};
use axum::serve::IncomingStream;
use hyper::upgrade::OnUpgrade;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::sleep;

use super::gateway::{ClientHead, ClientRequest, Upgrade};
use super::{Served, page};
use crate::local_server::admission::NotAdmitted;
use crate::local_server::connections::{Connections, Pace};
use crate::output::Failure;

/// Serves until the process is interrupted.
pub async fn serve(served: Arc<Served>, listener: TcpListener) -> Result<(), Failure> {
    let bench = page::router(Arc::clone(&served))
        .layer(middleware::from_fn_with_state(Arc::clone(&served), for_people));
    let stop = served.stop.clone();
    let router = Router::new()
        .fallback(answer)
        .with_state(served)
        .merge(bench)
        .into_make_service_with_connect_info::<Client>();
    let serve = axum::serve(Connections::of(listener), router);
    let served = serve.with_graceful_shutdown(stop.clone().wait());
    tokio::select! {
        result = served => result.map_err(Failure::could_not_run),
        // Streams of events and WebSockets never end by themselves.
        () = async { stop.wait().await; sleep(GRACE).await } => Ok(()),
    }
}

/// Who is connected.
#[derive(Clone, Debug)]
struct Client {
    pace: Pace,
    address: SocketAddr,
}

impl Connected<IncomingStream<'_, Connections>> for Client {
    fn connect_info(stream: IncomingStream<'_, Connections>) -> Self {
        let address = *stream.remote_addr();
        Self { pace: Pace::connect_info(stream), address }
    }
}

/// The gateway.
async fn answer(
    State(served): State<Arc<Served>>,
    ConnectInfo(client): ConnectInfo<Client>,
    request: Request,
) -> Response<Body> {
    let _answering = client.pace.answering();
    let (mut head, body) = request.into_parts();
    // The API's own clients may be pages of other machines: what those may read, the API says. But no page may reach
    // this machine under a name of its own.
    let mut response = match served.admission.admit_host(&head) {
        Err(NotAdmitted { message }) => refusal(&message),
        // The page has all of these, and no API may have them.
        Ok(()) if head.uri.path().split('/').nth(1) == Some(BENCH) => not_found(),
        Ok(()) => {
            let connection = head.extensions.remove::<OnUpgrade>();
            let upgrade = connection.map(|connection| Upgrade { connection, pace: client.pace.clone() });
            let request = ClientRequest { head: client_head(&head, client.address), body, upgrade };
            // Whether the client waits for it or not: the backend may have the request already.
            let answered = tokio::spawn(async move { served.gateway.answer(request).await.0 });
            answered
                .await
                .unwrap_or_else(|error| self::error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()))
        }
    };
    if client.pace.is_crowded() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response.map(|body| client.pace.paced(body))
}

/// Lets only pages of this machine and programs on it at the test bench, which can sign tokens.
async fn for_people(State(served): State<Arc<Served>>, request: Request, next: Next) -> Response<Body> {
    let (head, body) = request.into_parts();
    let pace = head.extensions.get::<ConnectInfo<Client>>().map(|ConnectInfo(client)| client.pace.clone());
    let _answering = pace.as_ref().map(Pace::answering);
    let response = match served.admission.admit(&head) {
        Err(NotAdmitted { message }) => refusal(&message),
        Ok(_) => next.run(Request::from_parts(head, body)).await,
    };
    match pace {
        Some(pace) => response.map(|body| pace.paced(body)),
        None => response,
    }
}

fn client_head(head: &Parts, address: SocketAddr) -> ClientHead {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    // A proxy's request has the whole URL; only the path and the query are the API's.
    let target = head.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    ClientHead {
        method: head.method.to_string(),
        target,
        headers: head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        source_ip: address.ip().to_canonical().to_string(),
        is_of_page: false,
    }
}

fn not_found() -> Response<Body> {
    error(StatusCode::NOT_FOUND, "the test bench has nothing here; its page is `/_bench/`")
}

fn refusal(message: &str) -> Response<Body> {
    error(StatusCode::FORBIDDEN, message)
}

fn error(status: StatusCode, message: &str) -> Response<Body> {
    let body = json!({"error": {"message": message}}).to_string();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The first segment of the page's paths.
const BENCH: &str = "_bench";

/// How long requests under way may take after the signal to end.
const GRACE: Duration = Duration::from_millis(500);
