//! Every event and every answer through the types of `aws_lambda_events`, and what these types change.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use aws_lambda_events::apigw::{
    ApiGatewayCustomAuthorizerRequest, ApiGatewayCustomAuthorizerRequestTypeRequest,
    ApiGatewayCustomAuthorizerResponse, ApiGatewayV2CustomAuthorizerIamPolicyResponse,
    ApiGatewayV2CustomAuthorizerSimpleResponse, ApiGatewayV2CustomAuthorizerV1Request,
    ApiGatewayV2CustomAuthorizerV2Request,
};
use aws_lambda_events::iam::IamPolicyEffect;
use cedar_authorizer::gateway::cache_key::CacheKey;
use cedar_authorizer::gateway::call::{Api, Call, InvalidEvent, TokenLocation};
use cedar_authorizer::gateway::events::{InexpressibleAnswer, WithoutResourcePolicy};
use cedar_authorizer::gateway::response::{Response, SimpleResponses};
use cedar_authorizer::reason::Reason;
use cedar_authorizer::time::UnixTime;
use cedar_authorizer::token::Unverified;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::gateway::{Request, connect};
use crate::world::{ISSUED_AT, answer_under, root, sample_bundle};

/// What a type changes in events: the beginning of the file names, the accessor of [`Call`], and why.
const EVENT_DIFFERENCES: [(&str, &str, &str); 10] = [
    ("rest-", "host", "the type has no `domainName`"),
    ("rest-", "time_milliseconds", "the type has no `requestTimeEpoch`"),
    ("rest-", "user_agent", "the type has no `userAgent`"),
    ("http1-", "host", "the type has no `domainName`"),
    ("http1-", "time_milliseconds", "the type has no `requestTimeEpoch`"),
    ("http1-", "user_agent", "the type has no `userAgent`"),
    ("websocket-", "host", "the type has no `domainName`"),
    ("websocket-", "time_milliseconds", "the type has no `requestTimeEpoch`"),
    ("event-malformed-arn", "", "no difference: both refuse it"),
    ("event-not-an-authorizer", "", "no difference: both refuse it"),
];

/// What a type changes in answers: the type, the part of the JSON, and why.
const ANSWER_DIFFERENCES: [(&str, &str, &str); 8] = [
    ("policy", "an action: a text, a list", "the type has a list, which IAM takes as well"),
    (
        "policy",
        "refused: NotResource",
        "the type has no `NotResource`, and the API may have a resource policy",
    ),
    ("policy", "usageIdentifierKey: none, null", "the type writes null for what is absent"),
    ("policy without rest", "NotResource left out", "the type has no `NotResource`"),
    ("policy without rest", "an action: a text, a list", "the type has a list, which IAM takes as well"),
    ("policy without rest", "usageIdentifierKey: none, null", "the type writes null for what is absent"),
    (
        "policy of HTTP API",
        "NotResource left out",
        "the type has no `NotResource`, and no API a resource policy",
    ),
    ("policy of HTTP API", "an action: a text, a list", "the type has a list, which IAM takes as well"),
];

/// The types of events, and the beginnings of the file names that they are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EventType {
    Token,
    Request,
    HttpV1,
    HttpV2,
}

const EVENT_TYPES: [EventType; 4] =
    [EventType::Token, EventType::Request, EventType::HttpV1, EventType::HttpV2];

impl EventType {
    fn of_file(name: &str) -> Self {
        match name.split('-').next().unwrap() {
            "token" | "event" => Self::Token,
            "rest" | "websocket" => Self::Request,
            "http1" => Self::HttpV1,
            "http2" => Self::HttpV2,
            other => panic!("{other}"),
        }
    }

    /// Reads an event through this type.
    fn read(self, event: &Value) -> Result<Call, Refused> {
        match self {
            Self::Token => through::<ApiGatewayCustomAuthorizerRequest>(event),
            Self::Request => through::<ApiGatewayCustomAuthorizerRequestTypeRequest>(event),
            Self::HttpV1 => through::<ApiGatewayV2CustomAuthorizerV1Request>(event),
            Self::HttpV2 => through::<ApiGatewayV2CustomAuthorizerV2Request>(event),
        }
    }
}

#[derive(Debug)]
enum Refused {
    /// The type cannot be read from the text.
    ByType,
    ByUs(InvalidEvent),
}

fn through<T: DeserializeOwned>(event: &Value) -> Result<Call, Refused>
where
    Call: TryFrom<T, Error = InvalidEvent>,
{
    let typed: T = serde_json::from_str(&event.to_string()).map_err(|_| Refused::ByType)?;
    typed.try_into().map_err(Refused::ByUs)
}

/// Everything that a call says, by the names of its accessors.
fn said(call: &Call) -> BTreeMap<&'static str, String> {
    let header = TokenLocation::default();
    let websocket = TokenLocation {
        header: "x-token".to_owned(),
        query: Some("token".to_owned()),
        subprotocol: Some("bearer".to_owned()),
    };
    [
        ("api", format!("{:?}", call.api())),
        ("method_arn", call.method_arn().to_string()),
        ("target", format!("{:?}", call.target())),
        ("route_key", format!("{:?}", call.route_key())),
        ("authorization", format!("{:?}", [call.authorization(&header), call.authorization(&websocket)])),
        ("overrides_method", call.overrides_method().to_string()),
        ("path_parameters", format!("{:?}", call.path_parameters())),
        ("query", format!("{:?}", call.query())),
        ("headers", format!("{:?}", call.headers())),
        ("verb", format!("{:?}", call.verb())),
        ("path", format!("{:?}", call.path())),
        ("host", format!("{:?}", call.host())),
        ("source_ip", format!("{:?}", call.source_ip())),
        ("user_agent", format!("{:?}", call.user_agent())),
        ("time_milliseconds", format!("{:?}", call.time_milliseconds())),
    ]
    .into()
}

/// The accessors whose values differ.
fn differences(one: &Call, other: &Call) -> BTreeSet<&'static str> {
    let (one, other) = (said(one), said(other));
    one.into_iter().filter(|(name, value)| other[name] != *value).map(|(name, _)| name).collect()
}

fn files() -> Vec<(String, Value)> {
    let mut files: Vec<_> = fs::read_dir(root().join("events"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap())
        })
        .collect();
    files.sort_by(|(one, _), (other, _)| one.cmp(other));
    files
}

/// Compares the findings with a table: nothing else, and nothing less.
#[track_caller]
fn is_the_table(found: &BTreeSet<(String, String)>, table: &[(&str, &str, &str)]) {
    let known: BTreeSet<_> =
        table.iter().map(|(of, what, _)| ((*of).to_owned(), (*what).to_owned())).collect();
    let new: Vec<_> = found.difference(&known).collect();
    assert!(new.is_empty(), "not in the table: {new:#?}");
    let gone: Vec<_> = known.difference(found).collect();
    assert!(gone.is_empty(), "in the table, and do not occur: {gone:#?}");
}

#[test]
fn every_event_is_the_same_call_through_its_type_but_for_the_table() {
    let mut found = BTreeSet::new();
    for (name, event) in files() {
        let own = EventType::of_file(&name);
        let (row, differing) = match (Call::from_json(&event.to_string()), own.read(&event)) {
            (Ok(read), Ok(typed)) => {
                let kind = name.split_inclusive('-').next().unwrap().to_owned();
                (kind, differences(&read, &typed))
            }
            (Err(read), Err(Refused::ByUs(typed))) => {
                assert_eq!(read, typed, "{name}");
                (name, BTreeSet::from([""]))
            }
            (read, typed) => panic!("{name}: {read:?}, but {typed:?}"),
        };
        found.extend(differing.into_iter().map(|accessor| (row.clone(), accessor.to_owned())));
    }
    is_the_table(&found, &EVENT_DIFFERENCES);
}

#[test]
fn no_event_is_a_call_through_the_type_of_another_kind() {
    for (name, event) in files() {
        for other in EVENT_TYPES.into_iter().filter(|other| *other != EventType::of_file(&name)) {
            assert!(other.read(&event).is_err(), "{name} as {other:?}");
        }
    }
}

/// A request to `GET /pets/{petId}` with one token, and with the parameters that are easily lost.
fn request() -> Request<'static> {
    Request {
        parameters: json!({"petId": "7"}),
        query: &[("sort", "name"), ("tag", "a b"), ("tag", "c")],
        ..Request::new("one", "GET", "/pets/{petId}", "/pets/7")
    }
}

#[test]
fn values_that_repeat_are_kept_but_by_the_type_of_format_1() {
    let request = request();
    for (own, event, lost) in [
        (EventType::Token, request.token(), vec![]),
        (EventType::Request, request.rest(), vec!["host", "time_milliseconds", "user_agent"]),
        (EventType::HttpV1, request.http1(), vec!["host", "query", "time_milliseconds", "user_agent"]),
        (EventType::HttpV2, request.http2(), vec![]),
    ] {
        let read = Call::from_event(event.clone()).unwrap();
        let differing = differences(&read, &own.read(&event).unwrap());
        assert_eq!(differing, lost.into_iter().collect(), "{own:?}");
    }

    let location = TokenLocation::default();
    for (own, mut event, expected) in [
        (EventType::Request, request.rest(), Err(Reason::TokenMalformed)),
        (EventType::HttpV1, request.http1(), Ok("Bearer two")),
    ] {
        // API Gateway's form of two headers of the same name: the last in the single form, both in the other.
        event["headers"]["Authorization"] = "Bearer two".into();
        event["multiValueHeaders"]["Authorization"] = json!(["Bearer one", "Bearer two"]);
        let read = Call::from_event(event.clone()).unwrap();
        assert_eq!(read.authorization(&location), Err(Reason::TokenMalformed), "{own:?}");
        assert_eq!(own.read(&event).unwrap().authorization(&location), expected, "{own:?}");
    }
    // Only the single form, with two spellings of one name.
    let mut event = request.rest();
    event["headers"] = json!({"Authorization": "Bearer one", "authorization": "Bearer two"});
    event["multiValueHeaders"] = json!(null);
    let read = Call::from_event(event.clone()).unwrap();
    assert_eq!(read.authorization(&location), Err(Reason::TokenMalformed));
    let typed = EventType::Request.read(&event).unwrap();
    assert_eq!(typed.authorization(&location), Ok("Bearer two"));
}

#[test]
fn each_limit_of_the_types_is_as_documented() {
    let request = request();
    let with = |mut event: Value, pointer: &str, value: Value| {
        let (object, name) = pointer.rsplit_once('/').unwrap();
        event.pointer_mut(object).unwrap()[name] = value;
        event
    };
    // Our reader takes all of these.
    for (own, event) in [
        (EventType::Request, with(request.rest(), "/headers/X Y", json!("1"))),
        (EventType::Request, with(request.rest(), "/headers/X-Y", json!("\u{7}"))),
        (EventType::Request, with(request.rest(), "/headers/X-Y", json!(null))),
        (EventType::Request, with(request.rest(), "/pathParameters/petId", json!(null))),
        (EventType::HttpV1, with(request.http1(), "/headers", json!(null))),
        (EventType::HttpV2, with(request.http2(), "/headers", json!(null))),
        (EventType::HttpV2, with(request.http2(), "/headers/X Y", json!("1"))),
    ] {
        assert!(Call::from_event(event.clone()).is_ok(), "{event}");
        assert!(matches!(own.read(&event), Err(Refused::ByType)), "{event}");
    }
    // The types read text beyond ASCII as it is.
    for (own, event, lost) in [
        (EventType::Request, request.rest(), vec!["host", "time_milliseconds", "user_agent"]),
        (EventType::HttpV2, request.http2(), vec![]),
    ] {
        let event = with(event, "/headers/x-y", json!("ü"));
        let typed = own.read(&event).unwrap();
        assert_eq!(typed.headers().get("x-y"), Ok(Some("ü")));
        assert_eq!(differences(&Call::from_event(event).unwrap(), &typed), lost.into_iter().collect());
    }

    // The iterator of `QueryMap` panics at a parameter without values. Such a parameter counts as missing.
    let event = with(request.rest(), "/multiValueQueryStringParameters/none", json!([]));
    let typed = EventType::Request.read(&event).unwrap();
    assert!(!typed.query().names().any(|name| name == "none"));

    // The types take an empty method for GET. Our reader takes it for none.
    let empty = with(with(request.rest(), "/httpMethod", json!("")), "/requestContext/httpMethod", json!(""));
    assert_eq!(EventType::Request.read(&empty).unwrap().verb(), Some("GET"));
    assert_eq!(Call::from_event(empty).unwrap().verb(), Some(""));

    // A time of 0 means none.
    let mut event = request.http2();
    event["requestContext"].as_object_mut().unwrap().remove("timeEpoch");
    assert_eq!(EventType::HttpV2.read(&event).unwrap().time_milliseconds(), None);
}

#[test]
fn an_event_that_is_incomplete_or_of_another_kind_is_no_call() {
    let request = request();
    let without = |mut event: Value, name: &str| {
        event.as_object_mut().unwrap().remove(name).unwrap();
        event
    };
    let as_rest = |mut event: Value| {
        event["methodArn"] = request.rest()["methodArn"].clone();
        event
    };
    let connection = || connect(json!({}), json!({}));
    for (own, event, expected) in [
        (EventType::Token, without(request.token(), "type"), InvalidEvent::NotAnAuthorizerEvent),
        (EventType::Token, without(request.token(), "methodArn"), InvalidEvent::NoMethodArn),
        (EventType::Token, request.rest(), InvalidEvent::NotAnAuthorizerEvent),
        (EventType::Request, without(request.rest(), "type"), InvalidEvent::NotAnAuthorizerEvent),
        (EventType::Request, without(request.rest(), "methodArn"), InvalidEvent::NoMethodArn),
        // An event of an HTTP API is recognized by its route key. An answer for a REST API could be cached
        // for too much.
        (EventType::Request, request.http1(), InvalidEvent::NotAnAuthorizerEvent),
        // A connection goes to `$connect`.
        (EventType::Request, as_rest(connection()), InvalidEvent::NoRoute),
        (EventType::HttpV1, without(request.http1(), "version"), InvalidEvent::NotAnAuthorizerEvent),
        (EventType::HttpV1, request.rest(), InvalidEvent::NotAnAuthorizerEvent),
        (EventType::HttpV2, without(request.http2(), "version"), InvalidEvent::NotAnAuthorizerEvent),
        (EventType::HttpV2, without(request.http2(), "routeArn"), InvalidEvent::NoMethodArn),
    ] {
        match own.read(&event) {
            Err(Refused::ByUs(invalid)) => assert_eq!(invalid, expected, "{own:?} {event}"),
            other => panic!("{own:?} {event}: {other:?}"),
        }
    }
    let connected = EventType::Request.read(&connection()).unwrap();
    assert_eq!(connected.api(), Api::WebSocket);
}

/// All answers to the events, under each kind of cache key and in both forms.
fn answers() -> Vec<(String, Response)> {
    let bundle = sample_bundle();
    let now = UnixTime::from_seconds(ISSUED_AT + 1);
    let mut answers = Vec::new();
    for (name, event) in files() {
        let Ok(call) = Call::from_event(event) else { continue };
        for form in [SimpleResponses::Disabled, SimpleResponses::Enabled] {
            for key in [CacheKey::None, CacheKey::Token] {
                let response = match answer_under(&key, &call, &bundle, now) {
                    Ok(outcome) => outcome.respond(form),
                    Err(Unverified::Refused(reason)) => Response::denied(&call, reason, form),
                    Err(Unverified::KeyMissing(_)) => Response::denied(&call, Reason::KeyUnknown, form),
                };
                answers.push((format!("{name} {key:?} {form:?}"), response));
            }
        }
    }
    answers
}

/// The differences between an answer and its typed form, part by part.
fn answer_differences(own: &Value, typed: &Value) -> BTreeSet<String> {
    let mut differences = BTreeSet::new();
    let mut own = own.clone();
    if let Some(statements) = own.pointer_mut("/policyDocument/Statement").and_then(Value::as_array_mut) {
        let all = statements.len();
        statements.retain(|statement| statement.get("NotResource").is_none());
        if statements.len() < all {
            differences.insert("NotResource left out".to_owned());
        }
        for statement in statements {
            differences.insert("an action: a text, a list".to_owned());
            statement["Action"] = json!([statement["Action"]]);
        }
    }
    let names: BTreeSet<&String> =
        [&own, typed].into_iter().flat_map(|answer| answer.as_object().unwrap().keys()).collect();
    for name in names {
        let value = |answer: &Value| answer.get(name).map_or("none".to_owned(), ToString::to_string);
        if own.get(name) != typed.get(name) {
            differences.insert(format!("{name}: {}, {}", value(&own), value(typed)));
        }
    }
    differences
}

#[test]
fn every_answer_is_the_same_through_its_type_but_for_the_table() {
    let mut found = BTreeSet::new();
    let (mut policies, mut simple, mut refused) = (0, 0, 0);
    for (name, response) in answers() {
        let own = serde_json::to_value(&response).unwrap();
        let mut record = |of: &str, differences: BTreeSet<String>| {
            found.extend(differences.into_iter().map(|difference| (of.to_owned(), difference)));
        };
        let compare = |typed| answer_differences(&own, &typed);
        let plain = ApiGatewayCustomAuthorizerResponse::try_from(&response);
        let without_rest = ApiGatewayCustomAuthorizerResponse::try_from(WithoutResourcePolicy(&response));
        let http = ApiGatewayV2CustomAuthorizerIamPolicyResponse::try_from(&response);
        let boolean = ApiGatewayV2CustomAuthorizerSimpleResponse::try_from(&response);
        if own.get("isAuthorized").is_some() {
            simple += 1;
            assert_eq!(plain.unwrap_err(), InexpressibleAnswer::AnotherForm, "{name}");
            assert_eq!(without_rest.unwrap_err(), InexpressibleAnswer::AnotherForm, "{name}");
            assert_eq!(http.unwrap_err(), InexpressibleAnswer::AnotherForm, "{name}");
            record("simple", compare(serde_json::to_value(boolean.unwrap()).unwrap()));
            continue;
        }
        policies += 1;
        assert_eq!(boolean.unwrap_err(), InexpressibleAnswer::AnotherForm, "{name}");
        match plain {
            Ok(typed) => record("policy", compare(serde_json::to_value(typed).unwrap())),
            Err(error) => {
                refused += 1;
                assert_eq!(error, InexpressibleAnswer::NotResource, "{name}");
                record("policy", BTreeSet::from(["refused: NotResource".to_owned()]));
            }
        }
        let (without_rest, http) = (without_rest.unwrap(), http.unwrap());
        // Everything that allows, and how much, is there.
        let allowed = |statements: &Value| -> Vec<Value> {
            let all = statements.as_array().unwrap().iter();
            all.filter(|statement| statement["Effect"] == "Allow")
                .map(|one| one["Resource"].clone())
                .collect()
        };
        let typed = without_rest.policy_document.statement.iter();
        let typed: Vec<Value> = typed
            .filter(|statement| statement.effect == IamPolicyEffect::Allow)
            .map(|statement| json!(statement.resource))
            .collect();
        assert_eq!(typed, allowed(&own["policyDocument"]["Statement"]), "{name}");
        assert_eq!(http.policy_document, without_rest.policy_document, "{name}");
        assert_eq!((&http.principal_id, &http.context), (&without_rest.principal_id, &without_rest.context));
        record("policy without rest", compare(serde_json::to_value(without_rest).unwrap()));
        record("policy of HTTP API", compare(serde_json::to_value(http).unwrap()));
    }
    // There were answers of all kinds.
    assert!(policies > 100 && simple > 5 && refused > 10, "{policies} {simple} {refused}");
    is_the_table(&found, &ANSWER_DIFFERENCES);
}
