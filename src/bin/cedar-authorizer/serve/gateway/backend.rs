//! The backend: what gets the requests that may go on.

mod forward;
mod headers;
mod mock;
mod websocket;

use std::time::Duration;

use axum::body::Body;
use axum::http::Response;
use cedar_authorizer::gateway::route::{Route, Segment};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use serde_json::{Map, Value};

use super::request::{ClientHead, Upgrade};
use crate::output::Failure;
use crate::serve::gateway_response::Case;
use crate::test_bench::CONNECT;

/// What gets the requests that may go on.
#[derive(Clone, Debug)]
pub enum Backend {
    /// Nobody: the answer shows what a backend would get.
    Mock,
    /// A server.
    Server(Server),
}

/// A server, and how long it may take.
#[derive(Clone, Debug)]
pub struct Server {
    client: Client,
    url: Url,
    patience: Duration,
}

/// The backend gave no answer.
#[derive(Debug)]
pub struct Failed {
    /// What the client gets.
    pub case: Case,
    /// What is wrong with the backend, for people. `None`: it is the request.
    pub problem: Option<String>,
}

impl Failed {
    fn new(case: Case, problem: impl Into<Option<String>>) -> Self {
        Self { case, problem: problem.into() }
    }
}

impl Backend {
    /// A server at this URL. The path of a request is put behind the one of the URL.
    pub fn server(url: Url, patience: Duration) -> Result<Self, Failure> {
        let client = Client::builder().no_proxy().redirect(Policy::none()).http1_only();
        let client = client.build().map_err(Failure::could_not_run)?;
        Ok(Self::Server(Server { client, url, patience }))
    }

    /// Calls it, with the values of the authorizer as headers.
    pub async fn call(
        &self,
        client: &ClientHead,
        body: Body,
        upgrade: Option<Upgrade>,
        context: &Map<String, Value>,
        route: Option<&Route>,
    ) -> Result<Response<Body>, Failed> {
        let headers = headers::for_backend(client, context);
        // Only WebSocket APIs have such a route. Other APIs ignore what a client would like to upgrade to.
        let is_websocket = route.is_some_and(is_connect);
        match (self, upgrade.filter(|_| is_websocket)) {
            (Self::Mock, None) => mock::answer(client, headers, context, route, body).await,
            (Self::Server(server), None) => server.forward(client, headers, body).await,
            (Self::Mock, Some(upgrade)) => websocket::echo(client, upgrade).await,
            (Self::Server(server), Some(upgrade)) => server.connect(client, headers, upgrade).await,
        }
    }
}

/// Says which values of the authorizer no header tells the backend of. `None`: there are none.
pub fn problem_of(context: &Map<String, Value>) -> Option<String> {
    let names: Vec<String> = headers::left_out(context).iter().map(|name| format!("`{name}`")).collect();
    (!names.is_empty()).then(|| {
        format!(
            "the backend does not get {} of the authorizer's `context`: other values would have the same header",
            names.join(", ")
        )
    })
}

fn is_connect(route: &Route) -> bool {
    matches!(route.template.segments(), [Segment::Key(key)] if key == CONNECT)
}
