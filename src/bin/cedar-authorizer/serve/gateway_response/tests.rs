//! Every case on every kind of API, and what the owner of a REST API can change.

use std::collections::BTreeMap;

use cedar_authorizer::gateway::route::{RouteId, RouteTable};

use super::*;
use crate::serve::api::{Cors, Preflight, RouteProtection};

/// An API with three routes: `get /pets/{petId}`, which is protected, and the open `options` and `get /files/{path+}`.
fn api() -> ServedApi {
    let mut routes = RouteTable::default();
    for action in ["get /pets/{petId}", "options /pets/{petId}", "get /files/{path+}"] {
        routes
            .insert(Route::from_action(&format!("A::Action::{action:?}").parse().unwrap()).unwrap())
            .unwrap();
    }
    ServedApi {
        name: "Pets".to_owned(),
        stage: "prod".to_owned(),
        routes,
        authorizers: Vec::new(),
        protections: vec![RouteProtection::Authorizer(0), RouteProtection::Nothing, RouteProtection::Nothing],
        gateway_responses: BTreeMap::new(),
        cors: None,
        preflights: BTreeMap::new(),
        findings: Vec::new(),
    }
}

fn details(headers: &[(String, String)]) -> Details<'_> {
    Details { request_id: "r-1", method: "GET", path: "/pets/7", headers, ..Details::default() }
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

/// The headers as `name: value`, without those that every answer has.
fn shown(headers: &HeaderMap) -> Vec<String> {
    let is_own = |name: &HeaderName| ![header::CONTENT_TYPE, REST_REQUEST_ID, HTTP_REQUEST_ID].contains(name);
    let mut lines: Vec<String> = headers
        .iter()
        .filter(|(name, _)| is_own(name))
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    lines.sort();
    lines
}

/// All of them.
fn cases() -> [Case; 12] {
    [
        Case::Unauthorized,
        Case::ExplicitDeny,
        Case::ImplicitDeny,
        Case::AuthorizerFailed,
        Case::NotServed("AWS_IAM".to_owned()),
        Case::NoRoute,
        Case::BadRequest,
        Case::BodyTooLarge,
        Case::PathTooLong,
        Case::HeadersTooLarge,
        Case::BackendFailed,
        Case::BackendTimeout,
    ]
}

#[test]
fn every_case_on_every_kind_of_api() {
    let api = api();
    let table = |kind: Kind| {
        cases().map(|case| {
            let (status, headers, body) = of(&api, kind, &case, &details(&[]));
            let id = if kind.is_rest() { &REST_REQUEST_ID } else { &HTTP_REQUEST_ID };
            assert_eq!(headers.get(id).unwrap(), "r-1");
            assert_eq!(headers.get(header::CONTENT_TYPE).unwrap(), "application/json");
            let error_type = headers.get(ERROR_TYPE).map_or("-", |value| value.to_str().unwrap());
            format!("{} {error_type} {body}", status.as_u16())
        })
    };
    let rest = [
        r#"401 UnauthorizedException {"message":"Unauthorized"}"#,
        r#"403 AccessDeniedException {"Message":"User is not authorized to access this resource with an explicit deny"}"#,
        r#"403 AccessDeniedException {"Message":"User is not authorized to access this resource"}"#,
        r#"500 AuthorizerConfigurationException {"message":null}"#,
        r#"500 - {"message":"this route is protected by AWS_IAM, which is not served here"}"#,
        r#"403 MissingAuthenticationTokenException {"message":"Missing Authentication Token"}"#,
        r#"400 BadRequestException {"message":"Bad Request"}"#,
        r#"413 RequestTooLargeException {"message":"Request Too Long"}"#,
        r#"414 - {"message":"Request-URI Too Long"}"#,
        r#"431 - {"message":"Request Header Fields Too Large"}"#,
        r#"502 InternalServerErrorException {"message":"Internal server error"}"#,
        r#"504 InternalServerErrorException {"message":"Endpoint request timed out"}"#,
    ];
    for kind in [Kind::RestRequest, Kind::RestToken, Kind::WebSocket] {
        assert_eq!(table(kind), rest, "{kind:?}");
    }
    let http = [
        r#"401 - {"message":"Unauthorized"}"#,
        r#"403 - {"message":"Forbidden"}"#,
        r#"403 - {"message":"Forbidden"}"#,
        r#"500 - {"message":"Internal Server Error"}"#,
        r#"500 - {"message":"this route is protected by AWS_IAM, which is not served here"}"#,
        r#"404 - {"message":"Not Found"}"#,
        r#"400 - {"message":"Bad Request"}"#,
        r#"413 - {"message":"Request Entity Too Large"}"#,
        r#"414 - {"message":"Request-URI Too Long"}"#,
        r#"431 - {"message":"Request Header Fields Too Large"}"#,
        r#"502 - {"message":"Internal Server Error"}"#,
        r#"504 - {"message":"Endpoint request timed out"}"#,
    ];
    for kind in [Kind::Http, Kind::HttpSimple, Kind::HttpV1] {
        assert_eq!(table(kind), http, "{kind:?}");
    }
}

fn response(status: Option<u16>, header: (&str, &str), json_template: Option<&str>) -> GatewayResponse {
    let headers = BTreeMap::from([(header.0.to_owned(), header.1.to_owned())]);
    GatewayResponse { status, headers, json_template: json_template.map(str::to_owned) }
}

#[test]
fn the_owner_of_a_rest_api_changes_a_type_or_all_that_have_none() {
    let mut api = api();
    api.gateway_responses = BTreeMap::from([
        ("UNAUTHORIZED".to_owned(), response(None, ("WWW-Authenticate", "'Bearer'"), None)),
        ("DEFAULT_4XX".to_owned(), response(Some(404), ("X-Of", "'4XX'"), Some("not here"))),
        ("DEFAULT_5XX".to_owned(), response(None, ("X-Of", "'5XX'"), None)),
    ]);
    for (kind, case, expected) in [
        (
            Kind::RestToken,
            Case::Unauthorized,
            r#"401 {"message":"Unauthorized"} www-authenticate: Bearer, x-amzn-errortype: UnauthorizedException"#,
        ),
        (
            Kind::RestToken,
            Case::ExplicitDeny,
            "404 not here x-amzn-errortype: AccessDeniedException, x-of: 4XX",
        ),
        (
            Kind::RestToken,
            Case::AuthorizerFailed,
            r#"500 {"message":null} x-amzn-errortype: AuthorizerConfigurationException, x-of: 5XX"#,
        ),
        // What API Gateway refuses before it knows the API.
        (Kind::RestToken, Case::PathTooLong, r#"414 {"message":"Request-URI Too Long"} "#),
        // These have no gateway responses.
        (Kind::Http, Case::ExplicitDeny, r#"403 {"message":"Forbidden"} "#),
        (
            Kind::WebSocket,
            Case::Unauthorized,
            r#"401 {"message":"Unauthorized"} x-amzn-errortype: UnauthorizedException"#,
        ),
    ] {
        let (status, headers, body) = of(&api, kind, &case, &details(&[]));
        assert_eq!(
            format!("{} {body} {}", status.as_u16(), shown(&headers).join(", ")),
            expected,
            "{case:?}"
        );
    }
}

#[test]
fn variables_of_a_gateway_response() {
    let mut api = api();
    let headers = pairs(&[("Origin", "https://a.example"), ("User-Agent", "curl/8")]);
    let query = pairs(&[("q", "1"), ("q", "2")]);
    let context = Map::from_iter([
        ("reason".to_owned(), json!("no \"permit\"")),
        ("revision".to_owned(), json!(3)),
        ("ok".to_owned(), json!(true)),
    ]);
    let route = api.routes.routes()[2].clone();
    let details = Details {
        path: "/files/a/b%20c",
        query: &query,
        route: Some(&route),
        source_ip: "192.0.2.1",
        principal: Some("alice"),
        context: Some(&context),
        ..details(&headers)
    };
    for (template, expected) in [
        ("$context.error.message", "Unauthorized"),
        (r#"{"m":$context.error.messageString}"#, r#"{"m":"Unauthorized"}"#),
        ("$context.error.responseType at $context.stage.", "UNAUTHORIZED at prod."),
        ("$context.requestId/$context.extendedRequestId", "r-1/r-1"),
        ("$context.authorizer.principalId $context.authorizer.reason", "alice no \"permit\""),
        ("$context.authorizer.revision-$context.authorizer.ok", "3-true"),
        ("$context.httpMethod $context.path $context.resourcePath", "GET /prod/files/a/b%20c /files/{path+}"),
        ("$context.identity.sourceIp $context.identity.userAgent", "192.0.2.1 curl/8"),
        ("$method.request.header.origin $method.request.querystring.q", "https://a.example 1"),
        ("$method.request.path.path", "a/b%20c"),
        // Without a value.
        ("[$context.authorizer.none$context.unknown$stageVariables.x$method.request.body]", "[]"),
        // No variable.
        ("$ $$ $5 $context $contextual.x #set($x = 1) ü$", "$ $$ $5 $context $contextual.x #set($x = 1) ü$"),
        ("", ""),
    ] {
        let own = response(None, ("X", "'x'"), Some(template));
        api.gateway_responses.insert("UNAUTHORIZED".to_owned(), own);
        let (_, _, body) = of(&api, Kind::RestRequest, &Case::Unauthorized, &details);
        assert_eq!(body, expected, "{template}");
    }
    for (mapping, expected) in [
        ("'*'", Some("*")),
        ("'it''s'", Some("it''s")),
        ("''", Some("")),
        ("method.request.header.Origin", Some("https://a.example")),
        ("context.requestId", Some("r-1")),
        ("method.request.path.path", Some("a/b%20c")),
        ("method.request.header.Absent", None),
        ("unquoted", None),
        ("'line\nbreak'", None),
        ("'", None),
    ] {
        api.gateway_responses.insert("UNAUTHORIZED".to_owned(), response(None, ("X-Y", mapping), None));
        let (_, headers, _) = of(&api, Kind::RestRequest, &Case::Unauthorized, &details);
        assert_eq!(headers.get("x-y").map(|value| value.to_str().unwrap()), expected, "{mapping}");
    }
    // A name that no header can have, and a status that no answer can have.
    api.gateway_responses.insert("UNAUTHORIZED".to_owned(), response(Some(9), ("a b", "'x'"), None));
    let (status, headers, _) = of(&api, Kind::RestRequest, &Case::Unauthorized, &details);
    assert_eq!(
        (status.as_u16(), shown(&headers)),
        (401, vec![format!("{ERROR_TYPE}: UnauthorizedException")])
    );
}

#[test]
fn an_http_api_answers_preflight_requests_by_itself() {
    let mut api = api();
    let headers = pairs(&[("origin", "https://a.example"), ("access-control-request-method", "GET")]);
    let [protected, open, _] = [0, 1, 2].map(|index| api.routes.routes()[index].clone());
    let ask = |api: &ServedApi, route: Option<&Route>, headers: &[(String, String)]| {
        preflight(api, Kind::Http, route, "OPTIONS", headers)
            .map(|(status, headers, body)| (status.as_u16(), shown(&headers), body))
    };
    assert_eq!(ask(&api, None, &headers), None, "without a configuration");
    api.cors = Some(Cors {
        allow_origins: vec!["https://*".to_owned(), "http://localhost:8080".to_owned()],
        allow_methods: vec!["GET".to_owned(), "POST".to_owned()],
        allow_headers: vec!["authorization".to_owned()],
        expose_headers: vec!["date".to_owned()],
        allow_credentials: true,
        max_age_seconds: Some(600),
    });
    let full = [
        "access-control-allow-credentials: true",
        "access-control-allow-headers: authorization",
        "access-control-allow-methods: GET,POST",
        "access-control-allow-origin: https://a.example",
        "access-control-max-age: 600",
    ];
    let full = Some((204, full.map(str::to_owned).to_vec(), String::new()));
    assert_eq!(ask(&api, None, &headers), full);
    assert_eq!(ask(&api, Some(&open), &headers), full);
    assert_eq!(ask(&api, Some(&protected), &headers), None, "its authorizer is asked");
    assert_eq!(ask(&api, None, &headers[..1]), None, "no preflight request");
    assert_eq!(ask(&api, None, &headers[1..]), None, "no request of a page");
    assert_eq!(preflight(&api, Kind::Http, None, "GET", &headers), None);
    let of_stranger = pairs(&[("origin", "http://localhost"), ("access-control-request-method", "GET")]);
    assert_eq!(ask(&api, None, &of_stranger), Some((204, Vec::new(), String::new())));

    let (status, headers, body) = of(&api, Kind::Http, &Case::Unauthorized, &details(&headers));
    assert_eq!((status.as_u16(), body.as_str()), (401, r#"{"message":"Unauthorized"}"#));
    let expected = [
        "access-control-allow-credentials: true",
        "access-control-allow-origin: https://a.example",
        "access-control-expose-headers: date",
    ];
    assert_eq!(shown(&headers), expected);
}

#[test]
fn the_headers_of_a_backend_give_way_to_those_of_the_api() {
    let mut api = api();
    let of_backend = || HeaderMap::from_iter([(header::ACCESS_CONTROL_ALLOW_ORIGIN, "x".parse().unwrap())]);
    let mut headers = of_backend();
    add_cors(&api, Kind::Http, &pairs(&[("Origin", "https://a.example")]), &mut headers);
    assert_eq!(headers, of_backend(), "without a configuration");
    api.cors = Some(Cors { allow_origins: vec!["*".to_owned()], ..Cors::default() });
    add_cors(&api, Kind::RestToken, &pairs(&[("Origin", "https://a.example")]), &mut headers);
    assert_eq!(headers, of_backend(), "not for REST APIs");
    add_cors(&api, Kind::Http, &pairs(&[("Origin", "https://a.example")]), &mut headers);
    assert_eq!(shown(&headers), ["access-control-allow-origin: *"]);
    add_cors(&api, Kind::Http, &[], &mut headers);
    assert_eq!(shown(&headers), [""; 0], "no request of a page");
}

#[test]
fn an_open_method_of_a_rest_api_answers_preflight_requests() {
    let mut api = api();
    let own = Preflight { status: 204, headers: pairs(&[("Access-Control-Allow-Origin", "*")]) };
    api.preflights = BTreeMap::from([(RouteId(0), own.clone()), (RouteId(1), own)]);
    let routes: Vec<Route> = api.routes.routes().to_vec();
    let ask = |route: Option<&Route>| {
        preflight(&api, Kind::RestToken, route, "OPTIONS", &[])
            .map(|(status, headers, body)| (status.as_u16(), shown(&headers), body))
    };
    let expected = (204, vec!["access-control-allow-origin: *".to_owned()], String::new());
    assert_eq!(ask(routes.get(1)), Some(expected));
    assert_eq!(ask(routes.first()), None, "its authorizer is asked");
    assert_eq!(ask(routes.get(2)), None, "no such answer");
    assert_eq!(ask(None), None);
}
