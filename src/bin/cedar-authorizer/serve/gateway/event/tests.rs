use std::collections::BTreeMap;
use std::time::Duration;

use aws_lambda_events::apigw::{
    ApiGatewayCustomAuthorizerRequest, ApiGatewayCustomAuthorizerRequestTypeRequest,
    ApiGatewayV2CustomAuthorizerV1Request, ApiGatewayV2CustomAuthorizerV2Request,
    ApiGatewayWebsocketProxyRequest,
};
use cedar_authorizer::gateway::call::Call;
use cedar_authorizer::gateway::route::{Route, RouteTable};
use serde::de::DeserializeOwned;

use super::*;
use crate::serve::api::RouteProtection;
use crate::serve::gateway::ClientRequest;

fn api(authorizer: &ServedAuthorizer) -> ServedApi {
    let mut routes = RouteTable::default();
    for action in ["get /pets/{petId}", "$connect"] {
        routes.insert(Route::from_action(&format!("Action::{action:?}").parse().unwrap()).unwrap()).unwrap();
    }
    ServedApi {
        name: "pets".to_owned(),
        stage: if authorizer.kind.is_rest() { "prod" } else { "$default" }.to_owned(),
        protections: vec![RouteProtection::Authorizer(0); 2],
        routes,
        authorizers: vec![authorizer.clone()],
        gateway_responses: BTreeMap::new(),
        cors: None,
        preflights: BTreeMap::new(),
        findings: Vec::new(),
    }
}

fn authorizer(kind: Kind, key: &str) -> ServedAuthorizer {
    ServedAuthorizer {
        name: "authorizer".to_owned(),
        kind,
        key: key.parse().unwrap(),
        time_to_live: Duration::ZERO,
        validation_expression: None,
        function_key: None,
    }
}

/// The event of a request with most of what a request can have.
fn made(kind: Kind, headers: &[(&str, &str)]) -> Value {
    let authorizer = authorizer(kind, "token");
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let client = ClientRequest::of_page("GET", "/pets/a%20b?x=1&x=%2F&y", headers, "192.0.2.7").head;
    let api = api(&authorizer);
    let request = client.to_http(&api, kind, "id-1", 1_795_000_000_123);
    let mut made = event(&request, &api, &authorizer, &TokenLocation::default());
    let identity = [
        ("method.request.header.authorization".to_owned(), "Bearer t".to_owned()),
        ("context.path".to_owned(), "/pets".to_owned()),
    ];
    set_identity(&mut made, kind, Some(&identity));
    made
}

const HEADERS: [(&str, &str); 5] = [
    ("host", "localhost:3000"),
    ("authorization", "Bearer t"),
    ("user-agent", "curl/8"),
    ("cookie", "a=b; c=d"),
    ("x-two", "1"),
];

#[track_caller]
fn parses<T: DeserializeOwned>(kind: Kind) {
    for headers in [&HEADERS[..], &[]] {
        let event = made(kind, headers);
        if let Err(error) = serde_json::from_value::<T>(event.clone()) {
            panic!("{kind:?} {error}: {event:#}");
        }
        Call::from_event(event).unwrap();
    }
}

#[test]
fn every_event_is_of_the_type_of_its_kind() {
    parses::<ApiGatewayCustomAuthorizerRequest>(Kind::RestToken);
    parses::<ApiGatewayCustomAuthorizerRequestTypeRequest>(Kind::RestRequest);
    parses::<ApiGatewayV2CustomAuthorizerV1Request>(Kind::HttpV1);
    parses::<ApiGatewayV2CustomAuthorizerV2Request>(Kind::Http);
    parses::<ApiGatewayV2CustomAuthorizerV2Request>(Kind::HttpSimple);
    parses::<ApiGatewayWebsocketProxyRequest>(Kind::WebSocket);
}

#[test]
fn an_event_has_what_the_client_sent_and_nothing_that_it_did_not() {
    for (kind, pointer, expected) in [
        (Kind::RestRequest, "/path", json!("/pets/a%20b")),
        (Kind::RestRequest, "/pathParameters/petId", json!("a%20b")),
        (Kind::RestRequest, "/multiValueQueryStringParameters/x", json!(["1", "/"])),
        (Kind::RestRequest, "/requestContext/identity/sourceIp", json!("192.0.2.7")),
        (Kind::RestRequest, "/requestContext/requestId", json!("id-1")),
        (Kind::RestRequest, "/requestContext/domainName", json!("localhost")),
        (Kind::RestRequest, "/headers/host", json!("localhost:3000")),
        (Kind::RestRequest, "/headers/cookie", json!("a=b; c=d")),
        (Kind::RestToken, "/authorizationToken", json!("Bearer t")),
        (Kind::Http, "/rawPath", json!("/pets/a b")),
        (Kind::Http, "/rawQueryString", json!("x=1&x=%2F&y")),
        (Kind::Http, "/cookies", json!(["a=b", "c=d"])),
        (Kind::Http, "/identitySource", json!(["Bearer t", "/pets"])),
        (Kind::HttpV1, "/identitySource", json!("Bearer t,/pets")),
        (Kind::HttpV1, "/authorizationToken", json!("Bearer t,/pets")),
        (Kind::WebSocket, "/requestContext/connectionId", json!("id-1")),
        (
            Kind::WebSocket,
            "/methodArn",
            json!("arn:aws:execute-api:us-east-1:123456789012:abcdef123/prod/$connect"),
        ),
    ] {
        let event = made(kind, &HEADERS);
        assert_eq!(event.pointer(pointer), Some(&expected), "{kind:?} {pointer} {event:#}");
    }
    assert_eq!(made(Kind::Http, &HEADERS).pointer("/headers/cookie"), None);
    assert_eq!(made(Kind::RestRequest, &[])["headers"], json!({}));
}

#[test]
fn a_token_authorizer_gets_the_header_that_it_names() {
    let authorizer = authorizer(Kind::RestToken, "method.request.header.X-Token");
    let headers = vec![("authorization".to_owned(), "a".to_owned()), ("x-token".to_owned(), "b".to_owned())];
    let client = ClientRequest::of_page("GET", "/pets/1", headers, "192.0.2.7").head;
    let api = api(&authorizer);
    let request = client.to_http(&api, Kind::RestToken, "id-1", 0);
    let event = event(&request, &api, &authorizer, &TokenLocation::default());
    assert_eq!(event["authorizationToken"], "b");
}
