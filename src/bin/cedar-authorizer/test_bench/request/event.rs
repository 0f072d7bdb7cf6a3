//! The event that API Gateway makes of a request, for each kind of API.

use std::collections::BTreeMap;

use cedar_authorizer::gateway::call::TokenLocation;
use cedar_authorizer::gateway::route::{Method, RouteTable};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::{ApiKind, HttpRequest};
use crate::test_bench::routing::{CONNECT, DEFAULT};

impl HttpRequest {
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
                "requestId": self.request_id(),
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
                "requestId": self.request_id(),
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
        let query = match &self.received {
            Some(received) => received.query.clone(),
            None => form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.query).finish(),
        };
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
                "requestId": self.request_id(),
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
                "requestId": self.request_id(),
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

    fn request_id(&self) -> &str {
        self.received.as_ref().map_or(REQUEST_ID, |received| received.id.as_str())
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
        if self.received.is_none() {
            add("Host", self.host());
            add("User-Agent", self.user_agent());
        }
        if let Some(authorization) = authorization {
            headers.push((location.header.clone(), authorization.to_owned()));
        }
        if matches!(self.api, ApiKind::HttpV1 | ApiKind::HttpV2) {
            headers.iter_mut().for_each(|(name, _)| name.make_ascii_lowercase());
        }
        headers
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

// What no policy reads.
const REGION: &str = "us-east-1";
const ACCOUNT: &str = "123456789012";
const API_ID: &str = "abcdef123";
const REQUEST_ID: &str = "r-1";
const RESOURCE_ID: &str = "05c7jb";
