//! The events of API Gateway, in the forms that AWS documents and in those that were captured.

use serde_json::{Map, Value, json};

use crate::world::ISSUED_AT;

/// The parts of a request. It can be turned into an event of any kind of API.
#[derive(Clone)]
pub struct Request<'a> {
    pub token: &'a str,
    pub verb: &'a str,
    pub template: &'a str,
    pub path: &'a str,
    pub parameters: Value,
    pub query: &'a [(&'a str, &'a str)],
    pub headers: Value,
    /// What the API's own route takes: a verb, or `ANY`. `None`: the verb of the request. Only events of HTTP
    /// APIs contain it.
    pub takes: Option<&'a str>,
}

impl<'a> Request<'a> {
    pub fn new(token: &'a str, verb: &'a str, template: &'a str, path: &'a str) -> Self {
        Self {
            token,
            verb,
            template,
            path,
            parameters: json!({}),
            query: &[],
            headers: json!({}),
            takes: None,
        }
    }

    /// The route key in the form of HTTP APIs.
    pub fn route_key(&self) -> String {
        match self.template {
            "$default" => "$default".to_owned(),
            template => format!("{} {template}", self.takes.unwrap_or(self.verb)),
        }
    }

    fn arn(&self, stage: &str) -> String {
        format!("arn:aws:execute-api:us-east-1:123456789012:abcdef123/{stage}/{}{}", self.verb, self.path)
    }

    fn headers(&self, authorization: &str) -> Map<String, Value> {
        let mut headers = self.headers.as_object().unwrap().clone();
        headers.insert(authorization.to_owned(), format!("Bearer {}", self.token).into());
        headers
    }

    /// A REST API with a REQUEST authorizer, behind a custom domain with a base path.
    pub fn rest(&self) -> Value {
        let headers = self.headers("Authorization");
        let multiple = |map: &Map<String, Value>| {
            map.iter().map(|(name, value)| (name.clone(), json!([value]))).collect::<Map<_, _>>()
        };
        let single: Map<String, Value> =
            self.query.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let mut query = Map::new();
        for (name, value) in self.query {
            let values = query.entry(*name).or_insert_with(|| json!([]));
            values.as_array_mut().unwrap().push(json!(value));
        }
        json!({
            "type": "REQUEST", "methodArn": self.arn("test"), "resource": self.template,
            "path": format!("/base{}", self.path), "httpMethod": self.verb,
            "headers": headers, "multiValueHeaders": multiple(&headers),
            "queryStringParameters": single, "multiValueQueryStringParameters": query,
            "pathParameters": self.parameters, "stageVariables": {},
            "requestContext": {
                "path": format!("/base{}", self.path), "accountId": "123456789012", "resourceId": "05c7jb",
                "stage": "test", "domainName": "api.example.com", "domainPrefix": "api", "requestId": "r-1",
                "protocol": "HTTP/1.1", "requestTime": "04/Mar/2020:19:03:58 +0000",
                "requestTimeEpoch": ISSUED_AT * 1000,
                "identity": {
                    "apiKey": null, "sourceIp": "10.1.2.3", "userAgent": "curl", "clientCert": null, "user": null
                },
                "resourcePath": self.template, "httpMethod": self.verb, "apiId": "abcdef123"
            }
        })
    }

    /// A REST API with a TOKEN authorizer.
    pub fn token(&self) -> Value {
        json!({
            "type": "TOKEN", "authorizationToken": format!("Bearer {}", self.token), "methodArn": self.arn("test")
        })
    }

    /// An HTTP API with format 2.0, on a named stage behind a custom domain.
    pub fn http2(&self) -> Value {
        let query: Vec<String> = self.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let key = self.route_key();
        let mut event = json!({
            "version": "2.0", "type": "REQUEST", "routeArn": self.arn("dev"), "identitySource": null,
            "routeKey": key, "rawPath": format!("/dev{}", self.path), "rawQueryString": query.join("&"),
            "headers": self.headers("authorization"),
            "requestContext": {
                "accountId": "123456789012", "apiId": "abcdef123", "domainName": "api.example.com",
                "domainPrefix": "api", "requestId": "r-1", "routeKey": key, "stage": "dev",
                "http": {
                    "method": self.verb, "path": format!("/dev{}", self.path), "protocol": "HTTP/1.1",
                    "sourceIp": "10.1.2.3", "userAgent": "curl"
                },
                "time": "04/Mar/2020:19:03:58 +0000", "timeEpoch": ISSUED_AT * 1000
            }
        });
        // Absent if empty.
        if !self.parameters.as_object().unwrap().is_empty() {
            event["pathParameters"] = self.parameters.clone();
        }
        event
    }

    /// An HTTP API with format 1.0.
    pub fn http1(&self) -> Value {
        let mut event = self.rest();
        event["version"] = json!("1.0");
        event["identitySource"] = format!("Bearer {}", self.token).into();
        event["authorizationToken"] = event["identitySource"].clone();
        event["requestContext"]["resourceId"] = self.route_key().into();
        event["requestContext"]["resourcePath"] = self.template.into();
        event
    }
}

/// A connection to a WebSocket API.
pub fn connect(headers: Value, query: Value) -> Value {
    json!({
        "type": "REQUEST", "methodArn": "arn:aws:execute-api:us-east-1:123456789012:abcdef123/prod/$connect",
        "headers": headers, "multiValueHeaders": {}, "queryStringParameters": query,
        "multiValueQueryStringParameters": {}, "stageVariables": {},
        "requestContext": {
            "routeKey": "$connect", "eventType": "CONNECT", "messageDirection": "IN", "connectionId": "c-1",
            "connectedAt": ISSUED_AT * 1000, "requestTimeEpoch": ISSUED_AT * 1000, "stage": "prod",
            "domainName": "abcdef123.execute-api.us-east-1.amazonaws.com", "apiId": "abcdef123",
            "identity": {"sourceIp": "10.1.2.3"}
        }
    })
}
