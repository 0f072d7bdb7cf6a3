//! The API that is served: its routes, who decides about their calls, and what clients get if nobody does.

pub mod openapi;
pub mod store;
pub mod template;

use std::collections::BTreeMap;
use std::time::Duration;

use cedar_authorizer::gateway::cache_key::CacheKey;
use cedar_authorizer::gateway::route::{Method, PathTemplate, Route, RouteId, RouteTable};
use cedar_authorizer::store::Store;
use cedar_authorizer::store::finding::Finding;
use clap::ValueEnum;

use super::gateway::ValidationExpression;
pub use crate::deployment::{Cors, GatewayResponse};
use crate::test_bench::ApiKind;

/// A kind of API with its authorizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A REST API with a REQUEST authorizer
    RestRequest,
    /// A REST API with a TOKEN authorizer
    RestToken,
    /// An HTTP API, payload format 2.0, answered with IAM policies
    Http,
    /// An HTTP API, payload format 2.0, with simple responses
    HttpSimple,
    /// An HTTP API, payload format 1.0
    #[value(name = "http-1")]
    HttpV1,
    /// A WebSocket API
    #[value(name = "websocket")]
    WebSocket,
}

impl Kind {
    /// Which events its authorizer gets.
    pub fn events(self) -> ApiKind {
        match self {
            Self::RestRequest => ApiKind::RestRequest,
            Self::RestToken => ApiKind::RestToken,
            Self::Http | Self::HttpSimple => ApiKind::HttpV2,
            Self::HttpV1 => ApiKind::HttpV1,
            Self::WebSocket => ApiKind::WebSocket,
        }
    }

    /// Whether its clients get what those of REST APIs get. Those of HTTP APIs get other texts.
    pub fn is_rest(self) -> bool {
        matches!(self, Self::RestRequest | Self::RestToken | Self::WebSocket)
    }
}

/// An API as it is served.
#[derive(Debug)]
pub struct ServedApi {
    /// Its name in the template; otherwise that of the policy store.
    pub name: String,
    /// The stage, e.g. `prod`. HTTP APIs have `$default`.
    pub stage: String,
    /// All routes, of which API Gateway chooses.
    pub routes: RouteTable,
    /// The authorizers that routes name.
    pub authorizers: Vec<ServedAuthorizer>,
    /// Who decides about calls of a route, in the order of `routes`.
    pub protections: Vec<RouteProtection>,
    /// What clients of a REST API get instead of the default, by response type (`UNAUTHORIZED`, `DEFAULT_4XX`, ...).
    pub gateway_responses: BTreeMap<String, GatewayResponse>,
    /// How an HTTP API answers the preflight requests of browsers. `None`: it does not.
    pub cors: Option<Cors>,
    /// What routes of a REST API answer to preflight requests, where the template says it.
    pub preflights: BTreeMap<RouteId, Preflight>,
    /// What is not served as the template or the description says, and where it and the policy store disagree.
    pub findings: Vec<Finding>,
}

impl ServedApi {
    /// The kind of its first authorizer: what its clients get is the same for all of them.
    pub fn kind(&self) -> Kind {
        self.authorizers.first().map_or(Kind::RestRequest, |authorizer| authorizer.kind)
    }

    /// Who decides about calls of this route.
    pub fn protection(&self, route: &Route) -> Option<&RouteProtection> {
        self.protections.get(self.id(route)?.0)
    }

    /// What a route answers to preflight requests.
    pub fn preflight(&self, route: &Route) -> Option<&Preflight> {
        self.preflights.get(&self.id(route)?)
    }

    fn id(&self, route: &Route) -> Option<RouteId> {
        self.routes.routes().iter().position(|known| known == route).map(RouteId)
    }
}

/// A Lambda authorizer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedAuthorizer {
    /// Its name in the template; otherwise `authorizer`.
    pub name: String,
    /// Its kind, with that of its API.
    pub kind: Kind,
    /// The identity sources: what clients must send, and what answers are kept under.
    pub key: CacheKey,
    /// How long an answer is kept. Zero: not at all.
    pub time_to_live: Duration,
    /// The pattern that a token must match, for TOKEN authorizers. `None`: any token.
    pub validation_expression: Option<ValidationExpression>,
    /// `CACHE_KEY` of its function, where the template says it. `None`: one that fits the identity sources.
    pub function_key: Option<CacheKey>,
}

/// A route with the action that the policy store has for it; if there is none, with an action that no policy is about.
pub fn route(store: &Store, method: Method, template: PathTemplate) -> Option<Route> {
    let verb = (method != Method::Any).then(|| method.name().to_ascii_uppercase());
    let known = store.routes.get(verb.as_deref(), &template.to_string()).ok();
    let known = known.and_then(|id| store.routes.route(id)).filter(|route| route.method == method);
    if let Some(known) = known {
        return Some(known.clone());
    }
    let action = format!("Action::{:?}", format!("{method} {template}")).parse().ok()?;
    Some(Route { method, template, action, resource: None })
}

/// Who decides about the calls of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteProtection {
    /// The authorizer at this position.
    Authorizer(usize),
    /// Nobody: everybody may call.
    Nothing,
    /// Something that is not served here, such as `AWS_IAM`: the call is refused, with a message that says so.
    Other(String),
}

/// What the mock integration of an `OPTIONS` method answers (Developer Guide, "Enable CORS on a REST API").
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preflight {
    /// Its status.
    pub status: u16,
    /// Its headers, by name.
    pub headers: Vec<(String, String)>,
}
