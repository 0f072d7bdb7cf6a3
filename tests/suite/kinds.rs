//! Every kind of event in the forms that AWS documents, on the store `tests/data/stores/kennel`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::LazyLock;

use cedar_authorizer::bundle::{Bundle, DevelopmentKeys, StoreFiles};
use cedar_authorizer::decide::outcome::Outcome;
use cedar_authorizer::gateway::call::Call;
use cedar_authorizer::gateway::response::SimpleResponses;
use cedar_authorizer::grant::Scope;
use cedar_authorizer::reason::{Reason, Status};
use cedar_authorizer::store::{Store, build, directory};
use cedar_authorizer::time::UnixTime;
use cedar_authorizer::token::Unverified;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::gateway::{Request, connect};
use crate::world::{EXPIRES_AT, ISSUED_AT, answer, answer_under, root, run, sample_bundle, stdout};

static KENNEL: LazyLock<Bundle> = LazyLock::new(|| open(&files("kennel")));

fn files(store: &str) -> StoreFiles {
    directory::read(&root().join("tests/data/stores").join(store)).unwrap()
}

fn open(files: &StoreFiles) -> Bundle {
    let (store, findings) = Store::check(files);
    let store = store.unwrap_or_else(|| panic!("{findings:#?}"));
    Bundle::open(build::bundle(&store, files, 1).unwrap(), DevelopmentKeys::Allow).unwrap()
}

fn token(user: &str, claims: Value) -> String {
    let mut all = json!({"iat": ISSUED_AT, "exp": EXPIRES_AT, "sub": user});
    all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    let output = run(&["token", "--store", "tests/data/stores/kennel", "--claims", &all.to_string()]);
    stdout(&output).trim_end().to_owned()
}

static ANN: LazyLock<String> = LazyLock::new(|| token("ann", json!({})));
static BEN: LazyLock<String> = LazyLock::new(|| token("ben", json!({})));
static STAFF: LazyLock<String> = LazyLock::new(|| token("sue", json!({"cognito:groups": ["staff"]})));

fn outcome(bundle: &Bundle, event: &Value) -> Result<Arc<Outcome>, Unverified> {
    answer(&Call::from_event(event.clone()).unwrap(), bundle, UnixTime::from_seconds(ISSUED_AT + 1))
}

#[track_caller]
fn reason(event: &Value) -> Reason {
    match outcome(&KENNEL, event) {
        Ok(outcome) => outcome.decision.reason,
        Err(Unverified::Refused(reason)) => reason,
        Err(missing) => panic!("{missing:?}"),
    }
}

fn pet<'a>(token: &'a str, id: &'a str, path: &'a str) -> Request<'a> {
    Request { parameters: json!({"petId": id}), ..Request::new(token, "GET", "/pets/{petId}", path) }
}

#[test]
fn a_pet_is_protected_by_its_owner_whatever_the_kind_of_api() {
    for (token, id, path, expected) in [
        (ANN.as_str(), "7", "/pets/7", Reason::AllowedByPolicy),
        (&BEN, "7", "/pets/7", Reason::NoMatchingPermit),
        // Through an attribute of an entity that the resource refers to.
        (&ANN, "8", "/pets/8", Reason::AllowedByPolicy),
        // Through a parent, and against a tag.
        (&ANN, "9", "/pets/9", Reason::AllowedByPolicy),
        (&ANN, "10", "/pets/10", Reason::ForbiddenByPolicy),
        (&BEN, "10", "/pets/10", Reason::AllowedByPolicy),
        // An unknown entity has no attributes, and the policies decide.
        (&ANN, "99", "/pets/99", Reason::NoMatchingPermit),
    ] {
        let request = pet(token, id, path);
        for event in [request.rest(), request.token(), request.http2(), request.http1()] {
            let outcome = outcome(&KENNEL, &event).unwrap();
            assert_eq!(outcome.decision.reason, expected, "{event:#}");
            assert_eq!(outcome.resource.to_string(), format!("Kennel::Pet::{id:?}"));
        }
    }
}

#[test]
fn attributes_come_from_the_path_as_the_schema_has_them() {
    let put = |token, house: &'static str| Request {
        parameters: json!({"houseId": house, "petId": "7"}),
        ..Request::new(token, "PUT", "/houses/{houseId}/pets/{petId}", "/houses/7/pets/7")
    };
    assert_eq!(reason(&put(&ANN, "7").rest()), Reason::AllowedByPolicy);
    assert_eq!(reason(&put(&ANN, "8").rest()), Reason::NoMatchingPermit);
    assert_eq!(reason(&put(&BEN, "7").rest()), Reason::NoMatchingPermit);
    // `size` is a number.
    assert_eq!(reason(&put(&ANN, "seven").rest()), Reason::RequiredContextMissing);
    // The route needs a parameter that the event does not have.
    let without = Request { parameters: json!({"petId": "7"}), ..put(&ANN, "7") };
    assert_eq!(reason(&without.rest()), Reason::RequiredContextMissing);
}

#[test]
fn rest_parameters_are_decoded_once_and_those_of_http_apis_not_again() {
    let rest = |value: &'static str| {
        let outcome = outcome(&KENNEL, &pet(&ANN, value, "/pets/x").rest()).unwrap();
        (outcome.resource.id().unescaped().to_owned(), outcome.decision.reason)
    };
    assert_eq!(rest("a%20b"), ("a b".to_owned(), Reason::NoMatchingPermit));
    assert_eq!(rest("100%"), ("100%".to_owned(), Reason::NoMatchingPermit));
    for twice in ["a%2520b", "%2537", "%FF"] {
        assert_eq!(rest(twice).1, Reason::PathUnsafe, "{twice}");
    }
    let http = outcome(&KENNEL, &pet(&ANN, "a b", "/pets/x").http2()).unwrap();
    assert_eq!(http.resource.id().unescaped(), "a b");
    for twice in ["%37", "a%20b", "%FF"] {
        assert_eq!(reason(&pet(&ANN, twice, "/pets/x").http2()), Reason::PathUnsafe, "{twice}");
    }
}

/// Cache keys that API Gateway can have, and `none`.
const KEYS: [&str; 4] = [
    "none",
    "token",
    "method.request.header.Authorization,context.httpMethod,context.path",
    "$request.header.Authorization,$context.routeKey",
];

/// The reason under each key. It must be the same under all of them.
#[track_caller]
fn reason_under_any_key(bundle: &Bundle, event: &Value) -> Reason {
    let call = Call::from_event(event.clone()).unwrap();
    let reasons = KEYS.map(|key| {
        let outcome =
            answer_under(&key.parse().unwrap(), &call, bundle, UnixTime::from_seconds(ISSUED_AT + 1))
                .unwrap();
        let reason = outcome.decision.reason;
        assert_eq!(outcome.grant.allows(call.method_arn()), reason.status() == Status::Allow, "{key}");
        reason
    });
    assert!(reasons.iter().all(|reason| *reason == reasons[0]), "{reasons:?} {event:#}");
    reasons[0]
}

#[test]
fn a_parameter_that_is_another_path_to_a_backend_is_denied_for_every_kind_of_event() {
    let bundle = api_of(
        &["get /tenants/{tenant}/docs/{doc}", "get /files/{path+}"],
        "permit (principal, action, resource);",
    );
    let doc = |doc: &'static str, path: &'static str| Request {
        parameters: json!({"tenant": "a", "doc": doc}),
        ..Request::new(&ANN, "GET", "/tenants/{tenant}/docs/{doc}", path)
    };
    let file = |rest: &'static str| Request {
        parameters: json!({"path": rest}),
        ..Request::new(&ANN, "GET", "/files/{path+}", "/files/x")
    };
    // As sent, and as an HTTP API decodes it.
    for (sent, decoded) in [
        ("x%2f..%2fadmin", "x/../admin"),
        ("b%2Fc", "b/c"),
        ("%2F", "/"),
        ("7%2F", "7/"),
        ("%5c", "\\"),
        ("..%5Cadmin", "..\\admin"),
        ("%2e%2E", ".."),
        (".", "."),
        ("..", ".."),
        ("..%3bx", "..;x"),
        ("a%00", "a\0"),
        ("a%0Ab", "a\nb"),
        ("", ""),
        // Encoded twice.
        ("x%252f..%252fadmin", "x%2f..%2fadmin"),
        ("%252e%252e", "%2e%2e"),
    ] {
        let path = "/tenants/a/docs/x";
        for event in [
            doc(sent, path).rest(),
            doc(decoded, path).rest(),
            doc(decoded, path).http2(),
            doc(decoded, path).http1(),
        ] {
            assert_eq!(reason_under_any_key(&bundle, &event), Reason::PathUnsafe, "{event:#}");
        }
        if !sent.is_empty() {
            let path = format!("/tenants/a/docs/{sent}");
            let event = Request::new(&ANN, "GET", "", &path).token();
            assert_eq!(reason_under_any_key(&bundle, &event), Reason::PathUnsafe, "{path}");
        }
    }
    for (sent, decoded, is_safe) in [
        ("a/b", "a/b", true),
        ("a/b/", "a/b/", true),
        ("a%2Fb", "a/b", true),
        ("a/../b", "a/../b", false),
        ("a/%2e%2e/b", "a/../b", false),
        ("a//b", "a//b", false),
        ("a%2F%2Fb", "a//b", false),
        ("a/b%5Cc", "a/b\\c", false),
        ("..%2Fb", "../b", false),
    ] {
        let expected = if is_safe { Reason::AllowedByPolicy } else { Reason::PathUnsafe };
        for event in [file(sent).rest(), file(decoded).http2(), file(decoded).http1()] {
            assert_eq!(reason_under_any_key(&bundle, &event), expected, "{event:#}");
        }
    }
    for plain in ["7", "a b", "urn:a:b", "...", "100%", "a.b..c"] {
        let path = "/tenants/a/docs/x";
        for event in [doc(plain, path).rest(), doc(plain, path).http2()] {
            assert_eq!(reason_under_any_key(&bundle, &event), Reason::AllowedByPolicy, "{plain}");
        }
    }
}

/// Sends requests by one route of an HTTP API. The first fills the cache. Returns which ones get through.
fn out_of_the_cache(
    bundle: &Bundle,
    key: &str,
    form: SimpleResponses,
    verbs: &[&str],
) -> (Reason, Vec<bool>) {
    let request = |verb| Request { takes: Some("ANY"), ..Request::new(&ANN, verb, "/pets", "/pets") };
    let now = UnixTime::from_seconds(ISSUED_AT + 1);
    let first = Call::from_event(request(verbs[0]).http2()).unwrap();
    let outcome = answer_under(&key.parse().unwrap(), &first, bundle, now).unwrap();
    let kept = serde_json::to_value(outcome.respond(form)).unwrap();
    let passes = verbs.iter().map(|verb| match kept.get("isAuthorized") {
        Some(is_authorized) => is_authorized.as_bool().unwrap(),
        None => {
            let event = request(verb).http2();
            crate::oracle::passes(
                Some(&kept),
                event["routeArn"].as_str().unwrap(),
                crate::oracle::NotResource::Honoured,
            )
        }
    });
    (outcome.decision.reason, passes.collect())
}

#[test]
fn a_route_for_any_method_is_not_answered_under_a_key_without_the_method() {
    let policy = "permit (principal, action == Kennel::Action::\"get /pets\", resource);";
    let bundle = api_of(&["get /pets", "delete /pets"], policy);
    let both = [SimpleResponses::Enabled, SimpleResponses::Disabled];
    for more in ["", ",$context.path", ",$context.stage"] {
        let key = format!("$request.header.Authorization,$context.routeKey{more}");
        for form in both {
            // A GET is allowed, so the cache would allow a DELETE too.
            let get = out_of_the_cache(&bundle, &key, form, &["GET", "DELETE", "PURGE"]);
            assert_eq!(get, (Reason::NotCacheable, vec![false; 3]), "{key}");
            let delete = out_of_the_cache(&bundle, &key, form, &["DELETE", "GET"]);
            assert_eq!(delete, (Reason::NotCacheable, vec![false; 2]), "{key}");
        }
    }
    // With the method in the key, each method has its own answer.
    for more in ["", ",$context.path"] {
        let key = format!("$request.header.Authorization,$context.routeKey,$context.httpMethod{more}");
        for form in both {
            assert_eq!(
                out_of_the_cache(&bundle, &key, form, &["GET"]),
                (Reason::AllowedByPolicy, vec![true])
            );
            assert_eq!(out_of_the_cache(&bundle, &key, form, &["DELETE"]).1, [false]);
        }
    }
    // A policy for the whole API names each method.
    let whole = out_of_the_cache(&bundle, "token", SimpleResponses::Disabled, &["GET", "DELETE", "GET"]);
    assert_eq!(whole, (Reason::AllowedByPolicy, vec![true, false, true]));
    // If the API's route names its method, it is answered as before, under its own key.
    let key = "$request.header.Authorization,$context.routeKey".parse().unwrap();
    let get = Call::from_event(Request::new(&ANN, "GET", "/pets", "/pets").http2()).unwrap();
    let outcome = answer_under(&key, &get, &bundle, UnixTime::from_seconds(ISSUED_AT + 1)).unwrap();
    assert_eq!(outcome.decision.reason, Reason::AllowedByPolicy);
}

#[test]
fn a_route_for_any_method_is_answered_where_the_method_decides_nothing() {
    let bundle = api_of(&["any /pets"], "permit (principal, action, resource);");
    for more in ["", ",$context.path"] {
        let key = format!("$request.header.Authorization,$context.routeKey{more}");
        // A policy names the methods that API Gateway documents. A boolean names none.
        for (form, other) in [(SimpleResponses::Enabled, true), (SimpleResponses::Disabled, false)] {
            let all = out_of_the_cache(&bundle, &key, form, &["GET", "DELETE", "PUT", "PURGE"]);
            assert_eq!(all, (Reason::AllowedByPolicy, vec![true, true, true, other]), "{key}");
        }
    }
}

fn report<'a>(query: &'a [(&'a str, &'a str)]) -> Request<'a> {
    Request {
        query,
        headers: json!({"X-Tenant": "kennel"}),
        ..Request::new(&ANN, "GET", "/report", "/report")
    }
}

#[test]
fn the_context_of_a_call_is_what_the_schema_declares() {
    for event in [report(&[("year", "2024")]).rest(), report(&[("year", "2024")]).http2()] {
        assert_eq!(reason(&event), Reason::AllowedByPolicy, "{event:#}");
    }
    let mut elsewhere = report(&[("year", "2024")]).rest();
    elsewhere["requestContext"]["identity"]["sourceIp"] = json!("192.0.2.1");
    assert_eq!(reason(&elsewhere), Reason::NoMatchingPermit);
    let mut early = report(&[("year", "2024")]).rest();
    early["requestContext"]["requestTimeEpoch"] = json!(1);
    assert_eq!(reason(&early), Reason::NoMatchingPermit);
    let other_tenant = Request { headers: json!({"x-tenant": "other"}), ..report(&[("year", "2024")]) };
    assert_eq!(reason(&other_tenant.rest()), Reason::NoMatchingPermit);
    for query in [[("year", "1999")], [("year", "MMXXIV")], [("years", "2024")]] {
        assert_eq!(reason(&report(&query).rest()), Reason::NoMatchingPermit, "{query:?}");
    }
    assert_eq!(reason(&report(&[]).rest()), Reason::NoMatchingPermit);
    // A TOKEN event has neither address nor headers.
    assert_eq!(reason(&report(&[]).token()), Reason::NoMatchingPermit);
}

#[test]
fn a_value_that_the_policies_read_must_be_the_only_one() {
    let twice = [("year", "2024"), ("year", "1999")];
    assert_eq!(reason(&report(&twice).rest()), Reason::ParameterAmbiguous);
    assert_eq!(reason(&report(&twice).http2()), Reason::ParameterAmbiguous);
    // The same value twice counts as one. A parameter that nothing reads may have any values.
    let same = [("year", "2024"), ("year", "2024"), ("page", "1"), ("page", "2")];
    assert_eq!(reason(&report(&same).rest()), Reason::AllowedByPolicy);
    let mut headers = report(&[("year", "2024")]).rest();
    headers["multiValueHeaders"]["x-tenant"] = json!(["other"]);
    assert_eq!(reason(&headers), Reason::ParameterAmbiguous);
}

#[test]
fn a_proxy_and_the_default_route_take_what_no_other_does() {
    let proxy = |token| Request {
        parameters: json!({"proxy": "a/b"}),
        ..Request::new(token, "PATCH", "/{proxy+}", "/a/b")
    };
    assert_eq!(reason(&proxy(&STAFF).rest()), Reason::AllowedByPolicy);
    assert_eq!(reason(&proxy(&STAFF).token()), Reason::AllowedByPolicy);
    assert_eq!(reason(&proxy(&ANN).rest()), Reason::NoMatchingPermit);
    // An undeclared verb on a declared path goes to the proxy (measured on real APIs).
    assert_eq!(
        reason(&Request::new(&STAFF, "DELETE", "/pets/{petId}", "/pets/7").token()),
        Reason::AllowedByPolicy
    );
    let default = |token| Request::new(token, "GET", "$default", "/anything");
    assert_eq!(reason(&default(&STAFF).http2()), Reason::AllowedByPolicy);
    assert_eq!(reason(&default(&ANN).http2()), Reason::NoMatchingPermit);
    // AWS does not document the ARN of that route.
    let mut event = default(&STAFF).http2();
    event["routeArn"] = json!("arn:aws:execute-api:us-east-1:123456789012:abcdef123/dev/$default");
    assert_eq!(reason(&event), Reason::AllowedByPolicy);
    let mut event = pet(&STAFF, "7", "/pets/7").http2();
    event["routeArn"] = json!("arn:aws:execute-api:us-east-1:123456789012:abcdef123/dev/$default");
    assert!(Call::from_event(event).is_err());
    // The template in the event decides, whatever the path looks like.
    let claimed = Request::new(&STAFF, "GET", "/unknown", "/pets/7");
    assert_eq!(reason(&claimed.rest()), Reason::RouteUnmapped);
}

#[test]
fn a_web_socket_connects_with_the_token_in_a_header_the_query_or_a_subprotocol() {
    let allowed = [
        connect(json!({"Authorization": STAFF.as_str()}), json!({})),
        connect(json!({}), json!({"access_token": STAFF.as_str()})),
        connect(json!({"Sec-WebSocket-Protocol": format!("bearer, {}", STAFF.as_str())}), json!(null)),
    ];
    for event in allowed {
        let outcome = outcome(&KENNEL, &event).unwrap();
        assert_eq!(outcome.decision.reason, Reason::AllowedByPolicy);
        let connect = "arn:aws:execute-api:us-east-1:123456789012:abcdef123/prod/$connect";
        assert_eq!(*outcome.grant.statements()[0].scope(), Scope::Resource(vec![connect.to_owned()]));
    }
    assert_eq!(reason(&connect(json!({}), json!({"access_token": ANN.as_str()}))), Reason::NoMatchingPermit);
    assert_eq!(reason(&connect(json!({}), json!({"token": STAFF.as_str()}))), Reason::TokenMissing);
}

#[test]
fn simple_responses_are_for_http_apis_with_format_2_alone() {
    let request = pet(&ANN, "7", "/pets/7");
    let response = |event: &Value, simple| {
        let outcome = outcome(&KENNEL, event).unwrap();
        serde_json::to_value(outcome.respond(simple)).unwrap()
    };
    let simple = response(&request.http2(), SimpleResponses::Enabled);
    assert_eq!((&simple["isAuthorized"], &simple["context"]["decision"]), (&json!(true), &json!("allow")));
    assert_eq!(simple.get("policyDocument"), None);
    let denied = response(&pet(&BEN, "7", "/pets/7").http2(), SimpleResponses::Enabled);
    assert_eq!(denied["isAuthorized"], false);
    for event in [request.rest(), request.token(), request.http1()] {
        assert!(response(&event, SimpleResponses::Enabled)["policyDocument"].is_object());
    }
    assert!(response(&request.http2(), SimpleResponses::Disabled)["policyDocument"].is_object());
}

#[test]
fn the_key_for_usage_plans_is_a_claim_and_for_rest_apis_alone() {
    let keyed = token("ann", json!({"custom:apikey": "key-1"}));
    let response = |event: &Value| {
        let outcome = outcome(&KENNEL, event).unwrap();
        serde_json::to_value(outcome.respond(SimpleResponses::Disabled)).unwrap()
    };
    assert_eq!(response(&pet(&keyed, "7", "/pets/7").rest())["usageIdentifierKey"], "key-1");
    assert_eq!(response(&pet(&keyed, "7", "/pets/7").http2()).get("usageIdentifierKey"), None);
    assert_eq!(response(&pet(&ANN, "7", "/pets/7").rest()).get("usageIdentifierKey"), None);
}

#[test]
fn a_request_that_hides_its_method_is_denied() {
    let mut event = pet(&ANN, "7", "/pets/7").rest();
    event["headers"]["X-HTTP-Method-Override"] = json!("DELETE");
    assert_eq!(reason(&event), Reason::MethodOverridden);
    let mut event = pet(&ANN, "7", "/pets/7").rest();
    event["methodArn"] = event["methodArn"].as_str().unwrap().replace("/GET/", "/DELETE/").into();
    assert_eq!(reason(&event), Reason::MethodOverridden);
}

#[test]
fn a_hostile_path_is_never_part_of_an_allow() {
    for path in ["/pets/*", "/pets/?", "/pets/${aws:username}", "/pets/a*b", "/*"] {
        let event = pet(&ANN, "7", path).rest();
        let outcome = outcome(&KENNEL, &event).unwrap();
        assert_eq!(outcome.decision.reason, Reason::PathUnsafe, "{path}");
        assert_eq!(outcome.grant.statements()[0].effect(), cedar_authorizer::grant::Effect::Deny);
    }
    // These are not patterns in an exact ARN, and identifiers like these are common.
    assert_eq!(reason(&pet(&ANN, "7", "/pets/urn:pet:7").rest()), Reason::AllowedByPolicy);
}

#[test]
fn two_tokens_are_none() {
    let mut event = pet(&ANN, "7", "/pets/7").rest();
    event["multiValueHeaders"]["Authorization"] = json!([format!("Bearer {}", ANN.as_str()), "Bearer other"]);
    assert_eq!(reason(&event), Reason::TokenMalformed);
    let mut event = pet(&ANN, "7", "/pets/7").http2();
    event["headers"]["authorization"] = format!("Bearer {0},Bearer {0}", ANN.as_str()).into();
    assert_eq!(reason(&event), Reason::TokenMalformed);
}

#[test]
fn a_thousand_routes_are_each_found() {
    let mut files = files("kennel");
    let mut schema = String::from_utf8(files.get("schema.cedarschema").unwrap().to_vec()).unwrap();
    let ids: Vec<String> = (0..1000).map(|number| format!("get /r{number}/{{id}}/x{}", number % 7)).collect();
    let actions: Vec<String> = ids.iter().map(|id| format!("{id:?}")).collect();
    let more =
        format!("action {} appliesTo {{ principal: User, resource: Application }};\n}}", actions.join(", "));
    schema.truncate(schema.rfind('}').unwrap());
    files.insert("schema.cedarschema".to_owned(), (schema + &more).into_bytes());
    let bundle = open(&files);
    for (number, id) in ids.iter().enumerate() {
        let path = format!("/r{number}/7/x{}", number % 7);
        for event in [
            Request::new(&ANN, "GET", id.strip_prefix("get ").unwrap(), &path).rest(),
            Request::new(&ANN, "GET", "", &path).token(),
        ] {
            let outcome = outcome(&bundle, &event).unwrap();
            assert_eq!(outcome.route.as_ref().unwrap().to_string(), *id);
        }
    }
}

/// What AVP's generated authorizer asks for a REST event, according to its description (`{method in lower case}
/// {resource path}`, the application, AVP's two maps).
fn avp_request(event: &Value) -> (String, String, Value) {
    let context = &event["requestContext"];
    let action = format!(
        "{} {}",
        context["httpMethod"].as_str().unwrap().to_lowercase(),
        context["resourcePath"].as_str().unwrap()
    );
    let mut map = Map::new();
    for name in ["queryStringParameters", "pathParameters"] {
        if event[name].as_object().is_some_and(|values| !values.is_empty()) {
            map.insert(name.to_owned(), event[name].clone());
        }
    }
    (format!("PetStore::Action::{action:?}"), "PetStore::Application::\"PetStore\"".to_owned(), map.into())
}

#[test]
fn a_rest_event_asks_cedar_what_avps_authorizer_asks() {
    use cedar_authorizer::decide::context;
    let mut files = directory::read(&root().join("policies")).unwrap();
    let schema = String::from_utf8(files.get("schema.cedarschema").unwrap().to_vec()).unwrap();
    let declared = "context: { token: Token, pathParameters?: { petId?: String }, \
                    queryStringParameters?: { q?: String, page?: String } }";
    files.insert(
        "schema.cedarschema".to_owned(),
        schema.replace("context: { token: Token }", declared).into_bytes(),
    );
    // Inputs that no policy reads are missing.
    let reads = "@id(\"reads\") permit (principal, action, resource) when {
        context has pathParameters.petId || context has queryStringParameters.q ||
        context has queryStringParameters.page };";
    files.insert("policies/reads.cedar".to_owned(), reads.as_bytes().to_vec());
    let bundle = open(&files);
    let bob = crate::world::token("bob", json!({}));
    let get = |template, path, parameters, query| Request {
        parameters,
        query,
        ..Request::new(&bob, "GET", template, path)
    };
    for request in [
        get("/", "/", json!({}), [].as_slice()),
        get("/pets", "/pets", json!({}), &[("q", "cat"), ("page", "2")]),
        get("/pets/{petId}", "/pets/7", json!({"petId": "7"}), &[]),
        get("/pets/{petId}", "/pets/7", json!({"petId": "7"}), &[("q", "")]),
        Request::new(&bob, "POST", "/pets", "/pets"),
    ] {
        let event = request.rest();
        let (action, resource, expected) = avp_request(&event);
        let outcome = outcome(&bundle, &event).unwrap();
        let route = outcome.route.clone().unwrap();
        assert_eq!(route.action.to_string(), action);
        assert_eq!(outcome.resource.to_string(), resource);
        let principal = "PetStore::User::\"us-east-1_EXAMPLE|b0b00000-0002-4000-8000-000000000002\"";
        assert_eq!(outcome.principal.to_string(), principal);

        let call = Call::from_event(event).unwrap();
        let source = &bundle.identity_sources()[0];
        let session = crate::world::session(&call, &bundle, UnixTime::from_seconds(ISSUED_AT + 1)).unwrap();
        let inputs = context::Inputs {
            request: call.fields(),
            route: &route,
            reads: &BTreeSet::new(),
            path_parameters: call.path_parameters(),
            token: session.token(),
            source,
        };
        let prepared = context::prepare(inputs, bundle.projection()).unwrap();
        let context = prepared.context().unwrap();
        let mut context = context.to_json_value().unwrap();
        context.as_object_mut().unwrap().remove("token");
        assert_eq!(context, expected);
    }
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        proptest::sample::select(vec![
            "TOKEN", "REQUEST", "2.0", "1.0", "GET", "/", "$connect", "$default", "GET /"
        ])
        .prop_map(Value::from),
        Just(Value::from("arn:aws:execute-api:us-east-1:123456789012:a/s/GET/")),
        Just(Value::from("arn:aws:execute-api:us-east-1:123456789012:a/s/$connect")),
    ];
    let name = proptest::sample::select(vec![
        "type",
        "version",
        "methodArn",
        "routeArn",
        "authorizationToken",
        "headers",
        "Authorization",
        "httpMethod",
        "resource",
        "requestContext",
        "http",
        "method",
        "routeKey",
        "resourcePath",
        "connectionId",
        "pathParameters",
    ]);
    leaf.prop_recursive(4, 48, 8, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(name.clone().prop_map(str::to_owned), inner, 0..10)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// For any event: no panic, and no answer without a verified token.
    #[test]
    fn no_event_without_a_token_is_answered(event in json_value(), over in 0_usize..4) {
        let request = Request::new("not-a-token", "GET", "/pets", "/pets");
        let event = match (over, event) {
            (0, event) => event,
            (kind, Value::Object(members)) => {
                let mut base = [request.rest(), request.token(), request.http2()][kind - 1].clone();
                base.as_object_mut().unwrap().extend(members);
                base
            }
            (_, event) => event,
        };
        if let Ok(call) = Call::from_event(event) {
            let bundle = sample_bundle_once();
            let answered = answer(&call, bundle, UnixTime::from_seconds(ISSUED_AT + 1));
            prop_assert!(matches!(answered, Err(Unverified::Refused(reason)) if reason.status() == Status::Unauthorized));
        }
    }
}

fn sample_bundle_once() -> &'static Bundle {
    static BUNDLE: LazyLock<Bundle> = LazyLock::new(sample_bundle);
    &BUNDLE
}

/// A store with these actions, open to everybody except for one policy.
fn api_of(actions: &[&str], policy: &str) -> Bundle {
    let mut files = StoreFiles::default();
    let quoted: Vec<String> = actions.iter().map(|action| format!("{action:?}")).collect();
    let schema = format!(
        "namespace People {{ entity Group; entity User in [Group]; }}
         namespace Kennel {{
           entity Application;
           action {} appliesTo {{ principal: People::User, resource: Application }};
         }}",
        quoted.join(", ")
    );
    let source = json!({
        "principalEntityType": "People::User",
        "configuration": {"cognitoUserPoolConfiguration": {
            "userPoolArn": "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_KENNEL",
            "clientIds": ["7kennel"], "groupConfiguration": {"groupEntityType": "People::Group"}
        }}
    });
    let settings = "[store]\nname = 'api'\nnamespace = 'Kennel'\n[tokens]\ntype = 'access'\n\
                    [api]\nresource = 'Kennel::Application::\"api\"'\n";
    for (path, text) in [
        ("store.toml", settings),
        ("schema.cedarschema", &schema),
        ("policies/policy.cedar", policy),
        ("identity-sources/pool.json", &source.to_string()),
    ] {
        files.insert(path.to_owned(), text.as_bytes().to_vec());
    }
    open(&files)
}

#[test]
fn an_api_of_proxies_is_routed_as_was_measured() {
    let actions = ["any /{proxy+}", "get /a/{proxy+}", "post /a/b/{proxy+}", "get /a/{id}/c", "put /a/b"];
    let bundle = api_of(&actions, "permit (principal, action, resource);");
    for (verb, path, expected) in [
        ("GET", "/x", "any /{proxy+}"),
        ("GET", "/a", "any /{proxy+}"),
        ("GET", "/a/b", "get /a/{proxy+}"),
        ("PUT", "/a/b", "put /a/b"),
        ("DELETE", "/a/b", "any /{proxy+}"),
        ("GET", "/a/b/c", "get /a/{id}/c"),
        ("GET", "/a/b/d", "get /a/{proxy+}"),
        ("POST", "/a/b/d", "post /a/b/{proxy+}"),
        ("POST", "/a/x/d", "any /{proxy+}"),
    ] {
        // By the path alone, and by the template from API Gateway.
        let (_, template) = expected.split_once(' ').unwrap();
        for event in
            [Request::new(&ANN, verb, "", path).token(), Request::new(&ANN, verb, template, path).rest()]
        {
            let outcome = outcome(&bundle, &event).unwrap();
            assert_eq!(outcome.decision.reason, Reason::AllowedByPolicy, "{verb} {path}");
            assert_eq!(outcome.route.as_ref().unwrap().to_string(), expected, "{verb} {path}");
        }
    }
    let root = outcome(&bundle, &Request::new(&ANN, "GET", "", "/").token()).unwrap();
    assert_eq!(root.decision.reason, Reason::RouteUnmapped);
}

#[test]
fn principals_may_be_of_another_namespace_than_actions() {
    let policy = "permit (principal in People::Group::\"us-east-1_KENNEL|staff\", action, resource is Kennel::Application);";
    let bundle = api_of(&["get /"], policy);
    let decide = |token| outcome(&bundle, &Request::new(token, "GET", "/", "/").rest()).unwrap();
    let allowed = decide(&STAFF);
    assert_eq!(allowed.decision.reason, Reason::AllowedByPolicy);
    assert_eq!(allowed.principal.to_string(), "People::User::\"us-east-1_KENNEL|sue\"");
    assert_eq!(decide(&ANN).decision.reason, Reason::NoMatchingPermit);
}

#[test]
fn a_test_event_of_the_console_without_a_stage_is_denied() {
    let request = pet(&ANN, "7", "/pets/7");
    for mut event in [request.rest(), request.token(), request.http1(), request.http2()] {
        let place = if event.get("routeArn").is_some() { "routeArn" } else { "methodArn" };
        let arn = event[place].as_str().unwrap().replace("/test/", "/*/").replace("/dev/", "/*/");
        event[place] = arn.into();
        assert_eq!(reason_under_any_key(&KENNEL, &event), Reason::StageWildcard);
        let call = Call::from_event(event).unwrap();
        for key in KEYS {
            let outcome =
                answer_under(&key.parse().unwrap(), &call, &KENNEL, UnixTime::from_seconds(ISSUED_AT + 1))
                    .unwrap();
            let effects = outcome.grant.statements().iter().map(|statement| statement.effect());
            assert_eq!(effects.collect::<Vec<_>>(), [cedar_authorizer::grant::Effect::Deny], "{key}");
        }
    }
}

#[test]
fn a_test_call_of_the_console_is_answered() {
    for stage in ["test-invoke-stage", "ESTestInvoke-stage", "null"] {
        let mut event = report(&[("year", "2024")]).rest();
        event["methodArn"] =
            event["methodArn"].as_str().unwrap().replace("/test/", &format!("/{stage}/")).into();
        // This is not an address, so it counts as missing, and the policy asks for one.
        event["requestContext"]["identity"]["sourceIp"] = json!("test-invoke-source-ip");
        assert_eq!(reason(&event), Reason::NoMatchingPermit, "{stage}");
        let mut event = pet(&ANN, "7", "/pets/7").rest();
        event["methodArn"] =
            event["methodArn"].as_str().unwrap().replace("/test/", &format!("/{stage}/")).into();
        assert_eq!(reason(&event), Reason::AllowedByPolicy, "{stage}");
    }
}

#[test]
fn a_call_takes_only_the_entities_that_it_reaches() {
    let mut files = files("kennel");
    let mut entities: Vec<Value> = serde_json::from_slice(files.get("entities.json").unwrap()).unwrap();
    entities.extend((0..20_000).map(|number| {
        json!({"uid": {"type": "Kennel::Pet", "id": format!("n{number}")}, "attrs": {}, "parents": [
            {"type": "Kennel::House", "id": "open"}
        ]})
    }));
    files.insert("entities.json".to_owned(), Value::from(entities).to_string().into_bytes());
    let bundle = open(&files);
    assert!(bundle.entities().types().unwrap().len() > 20_000);
    let reached = |resource: &str| {
        let roots = [resource.parse().unwrap(), "Kennel::Action::\"ViewPet\"".parse().unwrap()];
        cedar_authorizer::bundle::entities::reachable(bundle.entities(), vec![], roots).unwrap().len()
    };
    // The action, the pet, and its friend. Their parents come with them.
    assert_eq!(reached("Kennel::Pet::\"7\""), 2);
    assert_eq!(reached("Kennel::Pet::\"8\""), 3);
    assert_eq!(reached("Kennel::Pet::\"n19999\""), 2);
    assert_eq!(
        outcome(&bundle, &pet(&ANN, "n7", "/pets/n7").rest()).unwrap().decision.reason,
        Reason::AllowedByPolicy
    );
}
