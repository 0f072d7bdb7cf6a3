//! What `serve` does is what API Gateway and the function do.

use std::fs;

use serde_json::{Value, json};

use super::ServeProcess;
use crate::loopback::{Answer, Function};
use crate::world::{FUNCTION, root, sample_store};

const API: &str = "arn:aws:execute-api:us-east-1:123456789012:abcdef123/";

/// Events that no HTTP request leads to: those that are no events, the test of the console, and a path with a question
/// mark, where a client's query begins.
const NOT_SENT: [&str; 4] = [
    "event-malformed-arn",
    "event-not-an-authorizer",
    "token-console-test-deny",
    "token-path-question-mark-deny",
];

/// Events of routes that the API of the store does not have: nobody is asked.
const WITHOUT_ROUTE: [&str; 2] = ["token-unknown-route-deny", "rest-unknown-resource-deny"];

/// A request that an event is made of.
struct Sent {
    kind: &'static str,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
}

impl Sent {
    fn of(name: &str, event: &Value) -> Self {
        let kind = match name.split('-').next().unwrap() {
            "token" => "rest-token",
            "rest" => "rest-request",
            "http1" => "http-1",
            "http2" => "http",
            "websocket" => "websocket",
            other => panic!("{other}"),
        };
        let arn = event.get("methodArn").or(event.get("routeArn")).unwrap().as_str().unwrap();
        let mut parts = arn.splitn(6, ':').last().unwrap().splitn(4, '/').skip(2);
        let (method, path) = (parts.next().unwrap(), parts.next());
        let mut target = format!("/{}", path.unwrap_or_default());
        let of_either = |several: &str, one: &str| {
            let several =
                event.get(several).filter(|values| values.as_object().is_some_and(|all| !all.is_empty()));
            several.or(event.get(one))
        };
        let query = pairs(of_either("multiValueQueryStringParameters", "queryStringParameters"));
        if !query.is_empty() {
            let pairs: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
            target += &format!("?{}", pairs.join("&"));
        }
        let method = if kind == "websocket" { "GET" } else { method };
        let mut headers = match event.get("authorizationToken") {
            Some(token) if kind == "rest-token" => {
                vec![("Authorization".to_owned(), token.as_str().unwrap().to_owned())]
            }
            _ => pairs(of_either("multiValueHeaders", "headers")),
        };
        headers.retain(|(name, _)| !name.eq_ignore_ascii_case("host"));
        if kind == "websocket" {
            headers.retain(|(name, _)| {
                !name.to_lowercase().starts_with("sec-")
                    && !name.eq_ignore_ascii_case("connection")
                    && !name.eq_ignore_ascii_case("upgrade")
            });
            let more = [
                ("Connection", "Upgrade"),
                ("Upgrade", "websocket"),
                ("Sec-WebSocket-Version", "13"),
                ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ];
            headers.extend(more.map(|(name, value)| (name.to_owned(), value.to_owned())));
        }
        Self { kind, method: method.to_owned(), target, headers }
    }

    fn lines(&self) -> String {
        self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect()
    }
}

fn pairs(values: Option<&Value>) -> Vec<(String, String)> {
    let members = values.and_then(Value::as_object).into_iter().flatten();
    let texts = |value: &Value| match value {
        Value::Array(values) => values.iter().map(|value| value.as_str().unwrap().to_owned()).collect(),
        other => vec![other.as_str().unwrap().to_owned()],
    };
    members.flat_map(|(name, value)| texts(value).into_iter().map(|text| (name.clone(), text))).collect()
}

/// Puts the tokens back that the record of an event has not. The headers are those that were sent.
fn with_tokens(mut event: Value, sent: &Sent) -> Value {
    let is_http2 = event["version"] == "2.0";
    let same = |name: &str| {
        let name = name.to_owned();
        move |(known, _): &&(String, String)| known.eq_ignore_ascii_case(&name)
    };
    let value = |name: &str| {
        sent.headers.iter().filter(same(name)).map(|(_, value)| value.clone()).collect::<Vec<_>>()
    };
    for (member, is_list) in [("headers", false), ("multiValueHeaders", true)] {
        let names: Vec<String> =
            event[member].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
        for name in names.iter().filter(|name| name.eq_ignore_ascii_case("authorization")) {
            let values = value(name);
            event[member][name] = match (is_list, is_http2) {
                (true, _) => json!(values),
                (false, true) => json!(values.join(",")),
                (false, false) => json!(values.last()),
            };
        }
    }
    let authorization = value("authorization");
    if event["type"] == "TOKEN" {
        event["authorizationToken"] = json!(authorization.first());
    }
    event
}

/// The same answer as one of another API and another revision.
fn elsewhere(answer: &Value, from: &str) -> Value {
    let mut answer: Value = serde_json::from_str(&answer.to_string().replace(from, "API/")).unwrap();
    if let Some(revision) = answer.pointer_mut("/context/revision") {
        *revision = json!(0);
    }
    answer
}

fn in_words(answer: Answer) -> Value {
    match answer {
        Answer::Response(response) => response,
        Answer::Error { error_type, error_message } => {
            json!({"errorType": error_type, "errorMessage": error_message})
        }
    }
}

#[test]
fn every_event_gets_the_answer_of_the_compiled_function() {
    let uri = format!("file://{}", sample_store().display());
    let function = Function::start(
        FUNCTION,
        [("BUNDLE_URI", uri.as_str()), ("CACHE_KEY", "none"), ("ALLOW_DEVELOPMENT_KEYS", "true")],
    );
    let function = function.unwrap();
    let mut names: Vec<String> = fs::read_dir(root().join("events"))
        .unwrap()
        .filter_map(|entry| Some(entry.unwrap().file_name().to_str()?.strip_suffix(".json")?.to_owned()))
        .filter(|name| !NOT_SENT.contains(&name.as_str()))
        .collect();
    names.sort();
    assert!(names.len() > 40, "{names:?}");
    let mut servers: Vec<(&str, ServeProcess)> = Vec::new();
    for name in names {
        let text = fs::read_to_string(root().join(format!("events/{name}.json"))).unwrap();
        let event: Value = serde_json::from_str(&text).unwrap();
        let sent = Sent::of(&name, &event);
        if !servers.iter().any(|(kind, _)| *kind == sent.kind) {
            servers.push((sent.kind, ServeProcess::start(&["--kind", sent.kind, "--cache-key", "none"])));
        }
        let (_, server) = servers.iter().find(|(kind, _)| *kind == sent.kind).unwrap();
        let reply = server.connect().ask(&sent.method, &sent.target, &sent.lines(), b"");
        let exchange = server.last();
        let expected = match () {
            () if WITHOUT_ROUTE.contains(&name.as_str()) => 403,
            // Without a cache, an answer is for one path, and no pattern may have these characters.
            () if name.contains("-path-") => 403,
            () if name.ends_with("-allow") && sent.kind == "websocket" => 101,
            () if name.ends_with("-allow") => 200,
            () if name.ends_with("-deny") => 403,
            () => 401,
        };
        assert_eq!(reply.status, expected, "{name}: {exchange:#}");
        if WITHOUT_ROUTE.contains(&name.as_str()) {
            assert_eq!(exchange["effect"], "no-route", "{name}");
            continue;
        }
        if exchange["answer"].is_null() {
            // API Gateway does not ask about a token that is missing.
            assert!(name.contains("missing") && expected == 401, "{name}: {exchange:#}");
            continue;
        }
        let prefix = format!("{API}{}/", if sent.kind.starts_with("http") { "$default" } else { "prod" });
        let of_serve = elsewhere(&exchange["answer"], &prefix);
        let again = in_words(function.invoke(&with_tokens(exchange["event"].clone(), &sent)));
        assert_eq!(elsewhere(&again, &prefix), of_serve, "{name}: {exchange:#}");
        // The file has another API and another stage, and API Gateway may have added headers to it.
        let arn = event.get("methodArn").or(event.get("routeArn")).unwrap().as_str().unwrap();
        let prefix: String = arn.splitn(3, '/').take(2).map(|part| format!("{part}/")).collect();
        let of_file = in_words(function.invoke(&event));
        assert_eq!(elsewhere(&of_file, &prefix), of_serve, "{name}: {exchange:#}");
    }
    assert_eq!(servers.len(), 5);
}
