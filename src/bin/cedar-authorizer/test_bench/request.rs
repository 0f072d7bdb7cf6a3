//! A request as a person writes it, and the event that API Gateway makes of it.

use std::collections::BTreeMap;

use cedar_authorizer::gateway::call::{Api, TokenLocation};
use cedar_authorizer::gateway::route::{Method, Route, RouteTable};
use clap::ValueEnum;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::routing::{CONNECT, DEFAULT, chosen};

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

    /// The event that the authorizer gets. `routes` are the routes of the API; if none takes the request, the event
    /// is that of a route which has just this path. `token` goes to where the store expects it.
    pub fn event(&self, routes: &RouteTable, location: &TokenLocation, token: Option<&str>) -> Value {
        let authorization = token.map(|token| format!("Bearer {token}"));
        let authorization = authorization.as_deref();
        match self.api {
            ApiKind::RestToken => json!({
                "type": "TOKEN",
                "authorizationToken": authorization.or(self.header(&location.header)).unwrap_or_default(),
                "methodArn": self.method_arn(),
            }),
            ApiKind::RestRequest => self.rest_event(routes, location, authorization),
            ApiKind::HttpV1 => self.http_v1_event(routes, location, authorization),
            ApiKind::HttpV2 => self.http_v2_event(routes, location, authorization),
            ApiKind::WebSocket => self.connect_event(location, authorization),
        }
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

    fn rest_event(
        &self,
        routes: &RouteTable,
        location: &TokenLocation,
        authorization: Option<&str>,
    ) -> Value {
        let (template, parameters) = match self.route(routes) {
            Some(route) => (route.template.to_string(), route.template.values(&self.path)),
            None => (self.path.clone(), BTreeMap::new()),
        };
        let headers = self.all_headers(location, authorization);
        json!({
            "type": "REQUEST",
            "methodArn": self.method_arn(),
            "resource": template,
            "path": self.path,
            "httpMethod": self.verb,
            "headers": last_values(&headers),
            "multiValueHeaders": all_values(&headers),
            "queryStringParameters": last_values(&self.query),
            "multiValueQueryStringParameters": all_values(&self.query),
            "pathParameters": parameters,
            "stageVariables": {},
            "requestContext": {
                "accountId": ACCOUNT,
                "apiId": API_ID,
                "domainName": self.host(),
                "httpMethod": self.verb,
                "identity": {"sourceIp": self.source_ip, "userAgent": self.user_agent()},
                "path": format!("/{}{}", self.stage, self.path),
                "protocol": "HTTP/1.1",
                "requestId": REQUEST_ID,
                "requestTimeEpoch": self.time_milliseconds,
                "resourceId": RESOURCE_ID,
                "resourcePath": template,
                "stage": self.stage,
            },
        })
    }

    fn http_v1_event(
        &self,
        routes: &RouteTable,
        location: &TokenLocation,
        authorization: Option<&str>,
    ) -> Value {
        let (route_key, parameters) = self.http_route(routes);
        let headers = self.all_headers(location, authorization);
        let source = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(&location.header));
        let source = source.map(|(_, value)| value.as_str());
        let path = format!("{}{}", self.stage_prefix(), decoded(&self.path));
        json!({
            "version": "1.0",
            "type": "REQUEST",
            "methodArn": self.method_arn(),
            "identitySource": source,
            "authorizationToken": source,
            "resource": template_of(&route_key),
            "path": path,
            "httpMethod": self.verb,
            "headers": last_values(&headers),
            "multiValueHeaders": all_values(&headers),
            "queryStringParameters": last_values(&self.query),
            "multiValueQueryStringParameters": all_values(&self.query),
            "pathParameters": parameters,
            "stageVariables": {},
            "requestContext": {
                "accountId": ACCOUNT,
                "apiId": API_ID,
                "domainName": self.host(),
                "httpMethod": self.verb,
                "identity": {"sourceIp": self.source_ip, "userAgent": self.user_agent()},
                "path": path,
                "protocol": "HTTP/1.1",
                "requestId": REQUEST_ID,
                "requestTimeEpoch": self.time_milliseconds,
                "resourceId": route_key,
                "resourcePath": template_of(&route_key),
                "stage": self.stage,
            },
        })
    }

    fn http_v2_event(
        &self,
        routes: &RouteTable,
        location: &TokenLocation,
        authorization: Option<&str>,
    ) -> Value {
        let (route_key, parameters) = self.http_route(routes);
        let headers = self.all_headers(location, authorization);
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.query).finish();
        let path = format!("{}{}", self.stage_prefix(), decoded(&self.path));
        let source = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(&location.header));
        let mut event = json!({
            "version": "2.0",
            "type": "REQUEST",
            "routeArn": self.method_arn(),
            "identitySource": source.map(|(_, value)| [value]),
            "routeKey": route_key,
            "rawPath": path,
            "rawQueryString": query,
            "headers": joined_values(&headers),
            "requestContext": {
                "accountId": ACCOUNT,
                "apiId": API_ID,
                "domainName": self.host(),
                "http": {
                    "method": self.verb,
                    "path": path,
                    "protocol": "HTTP/1.1",
                    "sourceIp": self.source_ip,
                    "userAgent": self.user_agent(),
                },
                "requestId": REQUEST_ID,
                "routeKey": route_key,
                "stage": self.stage,
                "timeEpoch": self.time_milliseconds,
            },
        });
        // Absent if empty.
        if let Some(event) = event.as_object_mut() {
            if !parameters.is_empty() {
                event.insert("pathParameters".to_owned(), json!(parameters));
            }
            if !self.query.is_empty() {
                event.insert("queryStringParameters".to_owned(), joined_values(&self.query));
            }
        }
        event
    }

    fn connect_event(&self, location: &TokenLocation, authorization: Option<&str>) -> Value {
        let headers = self.all_headers(location, authorization);
        json!({
            "type": "REQUEST",
            "methodArn": self.method_arn(),
            "headers": last_values(&headers),
            "multiValueHeaders": all_values(&headers),
            "queryStringParameters": last_values(&self.query),
            "multiValueQueryStringParameters": all_values(&self.query),
            "stageVariables": {},
            "requestContext": {
                "apiId": API_ID,
                "connectedAt": self.time_milliseconds,
                "connectionId": "c-1",
                "domainName": self.host(),
                "eventType": "CONNECT",
                "identity": {"sourceIp": self.source_ip, "userAgent": self.user_agent()},
                "messageDirection": "IN",
                "requestId": REQUEST_ID,
                "requestTimeEpoch": self.time_milliseconds,
                "routeKey": CONNECT,
                "stage": self.stage,
            },
        })
    }

    /// The route key of an HTTP API, and the path parameters, which such an API decodes.
    fn http_route(&self, routes: &RouteTable) -> (String, BTreeMap<String, String>) {
        let Some(route) = self.route(routes) else {
            return (format!("{} {}", self.verb, self.path), BTreeMap::new());
        };
        let template = route.template.to_string();
        if template == DEFAULT {
            return (template, BTreeMap::new());
        }
        let verb = if route.method == Method::Any { "ANY" } else { self.verb.as_str() };
        let values = route.template.values(&self.path).into_iter();
        (format!("{verb} {template}"), values.map(|(name, value)| (name, decoded(&value))).collect())
    }

    fn method_arn(&self) -> String {
        let api = format!("arn:aws:execute-api:{REGION}:{ACCOUNT}:{API_ID}/{}", self.stage);
        match self.api {
            ApiKind::WebSocket => format!("{api}/{CONNECT}"),
            _ => format!("{api}/{}{}", self.verb, self.path),
        }
    }

    /// HTTP APIs put the stage before the path, unless it is `$default`.
    fn stage_prefix(&self) -> String {
        if self.stage == DEFAULT { String::new() } else { format!("/{}", self.stage) }
    }

    /// The headers of the client, with those that every client sends.
    fn all_headers(&self, location: &TokenLocation, authorization: Option<&str>) -> Vec<(String, String)> {
        let mut headers = self.headers.clone();
        let mut add = |name: &str, value: &str| {
            if self.header(name).is_none() {
                headers.push((name.to_owned(), value.to_owned()));
            }
        };
        add("Host", self.host());
        add("User-Agent", self.user_agent());
        if let Some(authorization) = authorization {
            headers.push((location.header.clone(), authorization.to_owned()));
        }
        if matches!(self.api, ApiKind::HttpV1 | ApiKind::HttpV2) {
            headers.iter_mut().for_each(|(name, _)| name.make_ascii_lowercase());
        }
        headers
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
        self.user_agent.as_deref().or(self.header("user-agent")).unwrap_or(USER_AGENT)
    }
}

/// What a route key says besides the method.
fn template_of(route_key: &str) -> &str {
    route_key.split_once(' ').map_or(route_key, |(_, template)| template)
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn last_values(pairs: &[(String, String)]) -> Value {
    pairs.iter().map(|(name, value)| (name.clone(), json!(value))).collect::<Map<_, _>>().into()
}

fn all_values(pairs: &[(String, String)]) -> Value {
    let mut values: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, value) in pairs {
        values.entry(name).or_default().push(value);
    }
    json!(values)
}

fn joined_values(pairs: &[(String, String)]) -> Value {
    let mut values: BTreeMap<&str, String> = BTreeMap::new();
    for (name, value) in pairs {
        let joined = values.entry(name).or_default();
        if !joined.is_empty() {
            joined.push(',');
        }
        joined.push_str(value);
    }
    json!(values)
}

// What a request has if a test says nothing about it. The address and the name are for documentation (RFC 5737,
// RFC 2606).
const SOURCE_IP: &str = "203.0.113.1";
const HOST: &str = "api.example.com";
const USER_AGENT: &str = "test";
const STAGE: &str = "prod";

// What no policy reads.
const REGION: &str = "us-east-1";
const ACCOUNT: &str = "123456789012";
const API_ID: &str = "abcdef123";
const REQUEST_ID: &str = "r-1";
const RESOURCE_ID: &str = "05c7jb";
