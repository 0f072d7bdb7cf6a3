use serde_json::{Map, Value, json};

use super::*;

const ARN: &str = "arn:aws:execute-api:us-east-1:123456789012:abcdef123/prod";

fn rest(verb: &str, path: &str, template: &str, token: &str) -> Call {
    let event = json!({
        "type": "REQUEST", "methodArn": format!("{ARN}/{verb}{path}"), "resource": template, "path": path,
        "httpMethod": verb, "headers": {"Authorization": token, "x-tenant": "acme"},
        "queryStringParameters": {"page": "1"},
        "requestContext": {"identity": {"sourceIp": "203.0.113.1"}, "domainName": "api.example.com"},
    });
    Call::from_event(event).unwrap()
}

fn http(verb: &str, path: &str, route_key: &str, token: &str) -> Call {
    let event = json!({
        "version": "2.0", "type": "REQUEST", "routeArn": format!("{ARN}/{verb}{path}"), "routeKey": route_key,
        "rawPath": path, "rawQueryString": "", "headers": {"authorization": token},
        "requestContext": {"http": {"method": verb}, "routeKey": route_key},
    });
    Call::from_event(event).unwrap()
}

fn token_event(path: &str, token: &str) -> Call {
    let event =
        json!({"type": "TOKEN", "methodArn": format!("{ARN}/GET{path}"), "authorizationToken": token});
    Call::from_event(event).unwrap()
}

fn cache<A: Clone>(key: &str, seconds: u64) -> GatewayCache<A> {
    let time_to_live = Duration::from_secs(seconds);
    GatewayCache::new(key.parse().unwrap(), time_to_live, TokenLocation::default()).unwrap()
}

fn call(token: &str) -> Call {
    rest("GET", "/", "/", token)
}

/// What happens to the second call, after the first was answered with 1.
fn second(key: &str, first: &Call, second: &Call) -> Lookup<u8> {
    let (mut cache, now) = (cache(key, 300), UnixTime::from_seconds(1000));
    match cache.look_up(first, now) {
        Lookup::Ask(Some(key)) => cache.keep(key, 1, now),
        Lookup::Ask(None) => {}
        other => panic!("{other:?}"),
    }
    match cache.look_up(second, now) {
        // What the key is made of is no matter here.
        Lookup::Ask(_) => Lookup::Ask(None),
        other => other,
    }
}

#[test]
fn an_answer_is_kept_for_calls_with_the_same_identity_sources() {
    let first = rest("GET", "/pets/7", "/pets/{petId}", "a");
    let same_route = rest("GET", "/pets/8", "/pets/{petId}", "a");
    let other_method = rest("DELETE", "/pets/7", "/pets/{petId}", "a");
    let other_token = rest("GET", "/pets/7", "/pets/{petId}", "b");
    let (kept, asked) = (Lookup::Kept(1), Lookup::Ask(None));
    const AUTHORIZATION: &str = "method.request.header.Authorization";
    for (key, call, expected) in [
        ("none", &first, &asked),
        ("token", &first, &kept),
        ("token", &same_route, &kept),
        ("token", &other_method, &kept),
        ("token", &other_token, &asked),
        (AUTHORIZATION, &other_method, &kept),
        (&format!("{AUTHORIZATION},context.path"), &same_route, &asked),
        (&format!("{AUTHORIZATION},context.path"), &other_method, &kept),
        (&format!("{AUTHORIZATION},context.httpMethod"), &same_route, &kept),
        (&format!("{AUTHORIZATION},context.httpMethod"), &other_method, &asked),
        (&format!("{AUTHORIZATION},context.resourcePath"), &same_route, &kept),
        (&format!("{AUTHORIZATION},method.request.header.X-Tenant"), &same_route, &kept),
        (&format!("{AUTHORIZATION},context.identity.sourceIp,stageVariables.x"), &same_route, &kept),
        // Without the token in the key, one caller gets the answer for another.
        ("method.request.header.x-tenant", &other_token, &kept),
    ] {
        assert_eq!(second(key, &first, call), *expected, "{key} {call:?}");
    }
}

#[test]
fn the_route_key_of_an_http_api_names_the_method_only_if_the_route_does() {
    const KEY: &str = "$request.header.Authorization,$context.routeKey";
    let get = http("GET", "/pets", "GET /pets", "a");
    assert_eq!(second(KEY, &get, &http("POST", "/pets", "POST /pets", "a")), Lookup::Ask(None));
    let any = http("GET", "/pets", "ANY /pets", "a");
    assert_eq!(second(KEY, &any, &http("POST", "/pets", "ANY /pets", "a")), Lookup::Kept(1));
}

#[test]
fn a_missing_identity_source_is_401_before_the_function_is_asked() {
    let now = UnixTime::from_seconds(1000);
    let without = |key: &str, seconds: u64, call: &Call| {
        cache::<u8>(key, seconds).look_up(call, now) == Lookup::Unauthorized
    };
    let nobody = rest("GET", "/pets", "/pets", "");
    assert!(without("token", 300, &nobody));
    assert!(without(
        "method.request.header.Authorization,method.request.querystring.year",
        300,
        &rest("GET", "/", "/", "a")
    ));
    // A REQUEST authorizer of a REST API without a cache is asked; a TOKEN authorizer never is.
    assert!(!without("token", 0, &nobody));
    assert!(!without("none", 300, &nobody));
    assert!(without("token", 0, &token_event("/pets", "")));
    assert!(without("none", 300, &token_event("/pets", "")));
    assert!(without("token", 0, &http("GET", "/pets", "GET /pets", "")));
}

#[test]
fn an_answer_is_forgotten_after_its_time_to_live() {
    let (mut cache, call) = (cache("token", 300), rest("GET", "/pets", "/pets", "a"));
    let at = UnixTime::from_seconds;
    let Lookup::Ask(Some(key)) = cache.look_up(&call, at(1000)) else {
        panic!("kept before it was answered")
    };
    cache.keep(key, 1, at(1000));
    assert_eq!(cache.look_up(&call, at(1299)), Lookup::Kept(1));
    assert!(matches!(cache.look_up(&call, at(1300)), Lookup::Ask(Some(_))));
}

#[test]
fn stages_and_kinds_without_a_cache_share_nothing() {
    let first = rest("GET", "/pets", "/pets", "a");
    let mut event = json!({
        "type": "REQUEST", "methodArn": "arn:aws:execute-api:us-east-1:123456789012:abcdef123/dev/GET/pets",
        "resource": "/pets", "path": "/pets", "httpMethod": "GET", "headers": {"Authorization": "a"},
    });
    assert_eq!(second("token", &first, &Call::from_event(event.clone()).unwrap()), Lookup::Ask(None));
    event["methodArn"] = format!("{ARN}/$connect").into();
    event["requestContext"] = json!({"connectionId": "c-1"});
    let connect = Call::from_event(event).unwrap();
    assert_eq!(second("token", &connect, &connect), Lookup::Ask(None));
}

#[test]
fn a_variable_without_a_model_is_refused() {
    let key = "method.request.header.Authorization,context.requestId".parse().unwrap();
    let refused = GatewayCache::<u8>::new(key, Duration::from_secs(1), TokenLocation::default());
    assert_eq!(refused.unwrap_err(), UnknownVariable { name: "requestId".to_owned() });
}

#[test]
fn a_deny_wins_over_an_allow_and_silence_is_an_implicit_deny() {
    let statement = |effect: &str, key: &str, patterns: &[&str]| -> Value {
        let patterns: Vec<String> = patterns.iter().map(|pattern| format!("{ARN}/{pattern}")).collect();
        json!({"Action": "execute-api:Invoke", "Effect": effect, key: patterns})
    };
    let allow = statement("Allow", "Resource", &["GET/pets/?*"]);
    let deny = statement("Deny", "Resource", &["GET/pets/*/toys"]);
    let rest = statement("Deny", "NotResource", &["GET/pets/?*"]);
    let allowed = Applied::Allow { context: Map::from_iter([("a".to_owned(), json!(1))]) };
    for (statements, path, expected) in [
        (vec![&allow], "GET/pets/7", &allowed),
        (vec![&allow], "GET/pets/7/toys", &allowed),
        (vec![&allow], "GET/pets/", &Applied::ImplicitDeny),
        (vec![&allow, &deny], "GET/pets/7/toys", &Applied::ExplicitDeny),
        (vec![&deny, &allow], "GET/pets/7/toys", &Applied::ExplicitDeny),
        (vec![&allow, &rest], "GET/pets/7", &allowed),
        (vec![&allow, &rest], "POST/pets/7", &Applied::ExplicitDeny),
        (vec![], "GET/pets/7", &Applied::ImplicitDeny),
    ] {
        let answer = json!({"policyDocument": {"Statement": statements}, "context": {"a": 1}});
        assert_eq!(apply(&answer, &format!("{ARN}/{path}")), *expected, "{path} {statements:?}");
    }
    assert_eq!(apply(&json!({"isAuthorized": true, "context": {"a": 1}}), ARN), allowed);
    assert_eq!(apply(&json!({"isAuthorized": false}), ARN), Applied::ExplicitDeny);
    assert_eq!(apply(&json!({"isAuthorized": "true"}), ARN), Applied::ExplicitDeny);
}

#[test]
fn kept_answers_can_be_listed_and_forgotten() {
    let mut cache = cache("token", 300);
    for (token, now) in [("a", 100), ("b", 200), ("a", 350)] {
        let Lookup::Ask(Some(key)) = cache.look_up(&call(token), UnixTime::from_seconds(now + 100)) else {
            panic!()
        };
        cache.keep(key, now, UnixTime::from_seconds(now));
    }
    let listed = |cache: &GatewayCache<u64>, now| {
        cache
            .list(UnixTime::from_seconds(now))
            .map(|kept| (kept.answer, kept.age.as_secs(), kept.remaining.as_secs()))
            .collect::<Vec<_>>()
    };
    assert_eq!(listed(&cache, 400), [(200, 200, 100), (350, 50, 250)]);
    assert_eq!(listed(&cache, 500), [(350, 150, 150)]);
    assert_eq!(cache.age(&call("a"), UnixTime::from_seconds(400)).as_secs(), 50);
    assert_eq!(cache.flush(), 2);
    assert_eq!(listed(&cache, 400), []);
}

#[test]
fn the_oldest_of_too_many_is_forgotten() {
    let mut cache = cache("token", 300);
    let now = UnixTime::from_seconds(100);
    for number in 0..=MAX_KEPT {
        let Lookup::Ask(Some(key)) = cache.look_up(&call(&format!("t{number}")), now) else { panic!() };
        cache.keep(key, number as u64, now);
    }
    assert_eq!(cache.list(now).count(), MAX_KEPT);
    assert!(matches!(cache.look_up(&call("t0"), now), Lookup::Ask(Some(_))));
    assert_eq!(cache.look_up(&call("t1"), now), Lookup::Kept(1));
}
