use serde_json::json;

use super::*;

const ARN: &str = "arn:aws:execute-api:us-west-2:123456789012:ymy8tbxw7b/*/GET/";

fn location() -> TokenLocation {
    TokenLocation::default()
}

#[track_caller]
fn call(event: Value) -> Call {
    Call::from_event(event).unwrap()
}

fn rest(changes: Value) -> Value {
    let mut event = json!({
        "type": "REQUEST", "methodArn": ARN, "resource": "/", "path": "/", "httpMethod": "GET",
        "headers": {"Authorization": "Bearer x"}, "requestContext": {"resourcePath": "/", "httpMethod": "GET"}
    });
    for (name, value) in changes.as_object().unwrap() {
        event[name] = value.clone();
    }
    event
}

#[test]
fn reads_the_event_of_a_token_authorizer() {
    let event = json!({"type": "TOKEN", "authorizationToken": "Bearer x", "methodArn": ARN});
    let call = call(event);
    assert_eq!((call.api(), call.target()), (Api::RestToken, &Target::Path));
    assert_eq!(call.authorization(&location()), Ok("Bearer x"));
    assert!(!format!("{call:?}").contains("Bearer"));
}

#[test]
fn a_missing_token_is_an_empty_one() {
    for event in [
        json!({"type": "TOKEN", "methodArn": ARN}),
        json!({"type": "TOKEN", "methodArn": ARN, "authorizationToken": null}),
        rest(json!({"headers": null})),
        rest(json!({"headers": {"authorization": null}})),
    ] {
        assert_eq!(call(event).authorization(&location()), Ok(""));
    }
}

#[test]
fn each_kind_is_told_by_its_own_marks() {
    let context = |value: Value| json!({"type": "REQUEST", "methodArn": ARN, "requestContext": value});
    for (event, api) in [
        (json!({"type": "TOKEN", "methodArn": ARN}), Api::RestToken),
        (rest(json!({})), Api::RestRequest),
        (rest(json!({"authorizationToken": "x", "version": "1.0"})), Api::HttpV1),
        (
            json!({
                "type": "REQUEST", "version": "2.0", "routeArn": ARN, "routeKey": "$default",
                "requestContext": {"http": {"method": "GET"}}
            }),
            Api::HttpV2,
        ),
        (
            json!({
                "type": "REQUEST", "methodArn": "arn:aws:execute-api:r:1:a/prod/$connect", "version": "$LATEST",
                "requestContext": {"connectionId": "c", "routeKey": "$connect"}
            }),
            Api::WebSocket,
        ),
        (
            json!({
                "type": "REQUEST", "methodArn": "arn:aws:execute-api:r:1:a/prod/$connect",
                "requestContext": {"eventType": "CONNECT"}
            }),
            Api::WebSocket,
        ),
    ] {
        assert_eq!(call(event).api(), api);
    }
    // The marks of a WebSocket API with the ARN of another kind of API, and the reverse.
    assert!(Call::from_event(context(json!({"connectionId": "c"}))).is_err());
    assert!(Call::from_event(rest(json!({"methodArn": "arn:aws:execute-api:r:1:a/prod/$connect"}))).is_err());
}

#[test]
fn the_route_is_the_one_that_api_gateway_chose() {
    let route = |verb: &str, template: &str| Target::Route {
        verb: Some(verb.to_owned()),
        template: template.to_owned(),
    };
    let event = rest(json!({"resource": "/{proxy+}", "requestContext": {"resourcePath": "/{proxy+}"}}));
    assert_eq!(*call(event).target(), route("GET", "/{proxy+}"));
    let event = rest(json!({"version": "1.0", "requestContext": {"resourcePath": "ANY /pets"}}));
    assert_eq!(*call(event).target(), route("GET", "/pets"));
    for (key, template) in
        [("GET /pets/{id}", "/pets/{id}"), ("ANY /pets", "/pets"), ("$default", "$default")]
    {
        let event = json!({
            "type": "REQUEST", "version": "2.0", "routeArn": ARN, "routeKey": key,
            "requestContext": {"http": {"method": "GET"}}
        });
        assert_eq!(*call(event).target(), route("GET", template));
    }
}

#[test]
fn a_route_key_names_a_method_only_if_all_of_an_event_says_so() {
    let http2 = |verb: &str, key: Value, of_context: Value| {
        call(json!({
            "type": "REQUEST", "version": "2.0", "routeArn": ARN, "routeKey": key,
            "requestContext": {"http": {"method": verb}, "routeKey": of_context}
        }))
        .route_key()
    };
    for (verb, key, of_context, expected) in [
        ("GET", json!("GET /pets"), json!(null), RouteKey::OneMethod),
        ("GET", json!(null), json!("GET /pets"), RouteKey::OneMethod),
        ("GET", json!("GET /pets"), json!("GET /pets"), RouteKey::OneMethod),
        ("GET", json!("ANY /pets"), json!("ANY /pets"), RouteKey::AnyMethod),
        ("GET", json!("$default"), json!(null), RouteKey::AnyMethod),
        // A route key that says otherwise, or is not written as API Gateway writes it.
        ("GET", json!("GET /pets"), json!("ANY /pets"), RouteKey::AnyMethod),
        ("DELETE", json!("GET /pets"), json!(null), RouteKey::AnyMethod),
        ("GET", json!("get /pets"), json!(null), RouteKey::AnyMethod),
        ("GET", json!(" /pets"), json!(null), RouteKey::AnyMethod),
        ("ANY", json!("ANY /pets"), json!(null), RouteKey::AnyMethod),
    ] {
        assert_eq!(http2(verb, key.clone(), of_context), expected, "{verb} {key}");
    }
    let http1 = |context: Value| call(rest(json!({"version": "1.0", "requestContext": context}))).route_key();
    for (context, expected) in [
        (json!({"resourcePath": "/", "resourceId": "GET /"}), RouteKey::OneMethod),
        (json!({"resourcePath": "GET /"}), RouteKey::OneMethod),
        (json!({"resourcePath": "/", "resourceId": "ANY /"}), RouteKey::AnyMethod),
        (json!({"resourcePath": "GET /", "resourceId": "ANY /"}), RouteKey::AnyMethod),
        (json!({"resourcePath": "/", "resourceId": "05c7jb"}), RouteKey::AnyMethod),
        (json!({"resourcePath": "/"}), RouteKey::AnyMethod),
    ] {
        assert_eq!(http1(context.clone()), expected, "{context}");
    }
    // A REST API has no route keys, whatever the event says.
    assert_eq!(call(rest(json!({"routeKey": "GET /"}))).route_key(), RouteKey::Absent);
}

#[test]
fn a_token_is_found_in_any_case_and_never_among_several() {
    for (headers, multiple, expected) in [
        (json!({"authorization": "a"}), json!(null), Ok("a")),
        (json!({"AUTHORIZATION": "a"}), json!({"AUTHORIZATION": ["a"]}), Ok("a")),
        (json!({"Authorization": "a"}), json!({"Authorization": ["a", "a"]}), Ok("a")),
        (json!({"Authorization": "a"}), json!({"Authorization": ["b", "a"]}), Err(Reason::TokenMalformed)),
        (json!({"Authorization": "a", "authorization": "b"}), json!(null), Err(Reason::TokenMalformed)),
    ] {
        let event = rest(json!({"headers": headers, "multiValueHeaders": multiple}));
        assert_eq!(call(event).authorization(&location()), expected);
    }
}

#[test]
fn a_web_socket_connection_may_carry_the_token_elsewhere() {
    let connect = |headers: Value, query: Value| {
        call(json!({
            "type": "REQUEST", "methodArn": "arn:aws:execute-api:r:1:a/prod/$connect", "headers": headers,
            "queryStringParameters": query, "requestContext": {"connectionId": "c", "routeKey": "$connect"}
        }))
    };
    let location = TokenLocation {
        query: Some("token".to_owned()),
        subprotocol: Some("bearer".to_owned()),
        ..TokenLocation::default()
    };
    let by_query = connect(json!({}), json!({"token": "q"}));
    assert_eq!(by_query.authorization(&location), Ok("q"));
    assert_eq!(by_query.authorization(&TokenLocation::default()), Ok(""));
    let by_subprotocol = |value: &str| connect(json!({"Sec-WebSocket-Protocol": value}), json!(null));
    assert_eq!(by_subprotocol("bearer, s").authorization(&location), Ok("s"));
    assert_eq!(by_subprotocol("bearer").authorization(&location), Err(Reason::TokenMissing));
    assert_eq!(by_subprotocol("other, s").authorization(&location), Err(Reason::TokenMissing));
    let both = connect(json!({"Authorization": "h"}), json!({"token": "q"}));
    assert_eq!(both.authorization(&location), Ok("h"));
    // Only for the connection of a WebSocket API.
    let event = rest(json!({"headers": {}, "queryStringParameters": {"token": "q"}}));
    assert_eq!(call(event).authorization(&location), Ok(""));
}

#[test]
fn a_method_that_is_overridden_is_seen() {
    for (changes, expected) in [
        (json!({}), false),
        (json!({"headers": {"X-HTTP-Method-Override": "GET"}}), false),
        (json!({"headers": {"x-http-method-override": "DELETE"}}), true),
        (json!({"multiValueHeaders": {"X-HTTP-Method-Override": ["GET", "DELETE"]}}), true),
        (json!({"httpMethod": "DELETE"}), true),
    ] {
        assert_eq!(call(rest(changes.clone())).overrides_method(), expected, "{changes}");
    }
}

#[test]
fn the_values_of_format_2_are_those_of_the_raw_query() {
    let event = json!({
        "type": "REQUEST", "version": "2.0", "routeArn": ARN, "routeKey": "$default",
        "rawQueryString": "a=1%2C2&b=x&b=y&c&d=%26+", "queryStringParameters": {"a": "1,2", "b": "x,y"},
        "requestContext": {"http": {"method": "GET"}}
    });
    let call = call(event);
    let query = call.query();
    assert_eq!(query.get("a"), Ok(Some("1,2")));
    assert_eq!(query.get("b"), Err(Ambiguous));
    assert_eq!((query.get("c"), query.get("d"), query.get("e")), (Ok(Some("")), Ok(Some("& ")), Ok(None)));
}

#[test]
fn nulls_and_unknown_members_are_no_fault() {
    let event = rest(json!({
        "queryStringParameters": null, "multiValueQueryStringParameters": {"a": null}, "pathParameters": {"a": null},
        "stageVariables": null, "headers": {"Authorization": "x", "Bad\nName": "\u{1}"}, "new": {"x": [1]},
        "requestContext": {"resourcePath": "/", "identity": {"sourceIp": null, "userAgent": null}, "new": 5}
    }));
    let call = call(event);
    assert_eq!(call.authorization(&location()), Ok("x"));
    assert!(call.path_parameters().is_empty() && call.source_ip().is_none());
}

#[test]
fn refuses_other_events_without_repeating_them() {
    for event in [
        json!(null),
        json!([]),
        json!({}),
        json!({"type": "token", "methodArn": ARN}),
        json!({"type": "TOKEN", "authorizationToken": {"secret": 1}, "methodArn": ARN}),
        json!({"type": "TOKEN", "authorizationToken": "secret"}),
        json!({"type": "TOKEN", "methodArn": "secret"}),
        json!({"type": "TOKEN", "methodArn": "arn:aws:execute-api:r:1:a/prod/$connect"}),
        json!({"type": "REQUEST", "methodArn": ARN}),
        json!({"type": "secret", "version": "1.0", "methodArn": ARN}),
        rest(json!({"headers": "secret"})),
        rest(json!({"headers": {"Authorization": {"secret": 1}}})),
        rest(json!({"methodArn": null})),
        json!({"version": "2.0", "type": "REQUEST", "routeArn": ARN, "routeKey": "$default"}),
    ] {
        let error = Call::from_event(event.clone()).unwrap_err();
        assert!(!error.to_string().contains("secret"), "{event}");
    }
}
