//! A request as a person writes it, and the event that API Gateway makes of it.

mod event;

use cedar_authorizer::gateway::call::Api;
use cedar_authorizer::gateway::route::{Route, RouteTable};
use clap::ValueEnum;
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use url::form_urlencoded;

use super::routing::{CONNECT, chosen};

/// A kind of API and authorizer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ApiKind {
    /// A REST API with a REQUEST authorizer
    #[default]
    RestRequest,
    /// A REST API with a TOKEN authorizer
    RestToken,
    /// An HTTP API, payload format 1.0
    #[value(name = "http-1")]
    HttpV1,
    /// An HTTP API, payload format 2.0
    #[value(name = "http-2")]
    HttpV2,
    /// The connection of a WebSocket API
    #[value(name = "websocket")]
    WebSocket,
}

impl ApiKind {
    /// The name on the command line and in test files.
    pub fn name(self) -> &'static str {
        match self {
            Self::RestRequest => "rest-request",
            Self::RestToken => "rest-token",
            Self::HttpV1 => "http-1",
            Self::HttpV2 => "http-2",
            Self::WebSocket => "websocket",
        }
    }

    /// All kinds, in the order of the documentation.
    pub const ALL: [Self; 5] =
        [Self::RestRequest, Self::RestToken, Self::HttpV1, Self::HttpV2, Self::WebSocket];

    /// The same in the words of the library.
    pub fn api(self) -> Api {
        match self {
            Self::RestRequest => Api::RestRequest,
            Self::RestToken => Api::RestToken,
            Self::HttpV1 => Api::HttpV1,
            Self::HttpV2 => Api::HttpV2,
            Self::WebSocket => Api::WebSocket,
        }
    }
}

/// A request to an API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    /// The kind of API that gets it.
    pub api: ApiKind,
    /// The method, in upper case. Empty for a WebSocket API.
    pub verb: String,
    /// The path as the client sends it, without a query. `$connect` for a WebSocket API.
    pub path: String,
    /// Query parameters, decoded. A name may be there several times.
    pub query: Vec<(String, String)>,
    /// Headers. A name may be there several times.
    pub headers: Vec<(String, String)>,
    /// The address of the client.
    pub source_ip: String,
    /// What the client claims to be. `None`: as the header `User-Agent` says.
    pub user_agent: Option<String>,
    /// The domain name in the request. `None`: as the header `Host` says.
    pub host: Option<String>,
    /// The stage of the API.
    pub stage: String,
    /// When API Gateway received it, in milliseconds since 1970.
    pub time_milliseconds: u64,
    /// What is known of a request that a client really sent. `None`: a person wrote the request, and it has what every
    /// request has.
    pub received: Option<Received>,
}

/// What only a request has that a client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// API Gateway's id of the request.
    pub id: String,
    /// The query as the client sent it, without the question mark.
    pub query: String,
}

impl HttpRequest {
    /// Reads a method and a path, such as `GET /pets/7?limit=10`, or `$connect`.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn parse(text: &str, time_milliseconds: u64) -> Result<Self, String> {
        let new = |api, verb: &str, path: &str, query| Self {
            api,
            verb: verb.to_owned(),
            path: path.to_owned(),
            query,
            headers: Vec::new(),
            source_ip: SOURCE_IP.to_owned(),
            user_agent: None,
            host: None,
            stage: STAGE.to_owned(),
            time_milliseconds,
            received: None,
        };
        if text == CONNECT {
            return Ok(new(ApiKind::WebSocket, "", CONNECT, Vec::new()));
        }
        let not_a_request = || "not a method and a path, such as `GET /pets/7`".to_owned();
        let (verb, target) = text.split_once(' ').ok_or_else(not_a_request)?;
        if verb.is_empty() || !verb.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            return Err(not_a_request());
        }
        if verb.bytes().any(|byte| byte.is_ascii_lowercase()) {
            return Err(format!("methods are in upper case: `{}`", verb.to_ascii_uppercase()));
        }
        if verb == "ANY" {
            let any = "`ANY` stands for every method in a route; a request has one, such as `GET`";
            return Err(any.to_owned());
        }
        if !target.starts_with('/') {
            return Err("the path does not begin with `/`".to_owned());
        }
        // RFC 3986, 3.3 and 3.5: clients encode these, and send no fragment.
        if let Some(bad) = target.chars().find(|char| !char.is_ascii_graphic() || *char == '#') {
            let encoded = percent_encode(bad.to_string().as_bytes(), NON_ALPHANUMERIC).to_string();
            return Err(format!("{bad:?} is not part of a path; encode it, as in `{encoded}`"));
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        Ok(new(ApiKind::default(), verb, path, query))
    }

    /// Method and path, as [`HttpRequest::parse`] reads them.
    pub fn line(&self) -> String {
        if self.verb.is_empty() { self.path.clone() } else { format!("{} {}", self.verb, self.target()) }
    }

    /// The path with its query.
    pub fn target(&self) -> String {
        if self.query.is_empty() {
            return self.path.clone();
        }
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.query).finish();
        format!("{}?{query}", self.path)
    }

    /// The route that API Gateway takes.
    pub fn route<'a>(&self, routes: &'a RouteTable) -> Option<&'a Route> {
        chosen(routes, self.api.api(), &self.verb, &self.path)
    }

    /// The first value of a header, whose name may be in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    fn host(&self) -> &str {
        self.host.as_deref().or(self.header("host")).unwrap_or(HOST)
    }

    fn user_agent(&self) -> &str {
        let default = if self.received.is_some() { "" } else { USER_AGENT };
        self.user_agent.as_deref().or(self.header("user-agent")).unwrap_or(default)
    }
}

// What a request has if a test says nothing about it. The address and the name are for documentation (RFC 5737,
// RFC 2606).
const SOURCE_IP: &str = "203.0.113.1";
const HOST: &str = "api.example.com";
const USER_AGENT: &str = "test";
const STAGE: &str = "prod";
