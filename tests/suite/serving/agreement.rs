//! What `serve` does is what API Gateway and the function do.

use std::collections::{HashMap, HashSet};
use std::time::Duration;
use std::{fs, thread};

use percent_encoding::percent_decode_str;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use super::ServeProcess;
use crate::loopback::{Answer, Function};
use crate::oracle::{Api, AuthorizerCache, Effect, NotResource, arn, evaluate, requests, route_tables};
use crate::world::{FUNCTION, StoreCopy, root, sample_store, token};

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

/// A store with these routes, of which some are allowed to everybody who has a token.
fn store(table: &[(String, String)], decisions: &[bool]) -> StoreCopy {
    let copy = StoreCopy::new();
    for path in ["template-links.json", "entities.json", "schema.cedarschema"] {
        copy.remove(path);
    }
    for folder in ["policies", "templates"] {
        fs::remove_dir_all(copy.path().join(folder)).unwrap();
    }
    let route = |(index, (verb, template)): (usize, &(String, String))| {
        format!("[[routes]]\nmethod = '{verb}'\npath = '{template}'\naction = 'a{index}'\n")
    };
    let routes: String = table.iter().enumerate().map(route).collect();
    let settings = format!(
        "[store]\nname = 'w'\nnamespace = ''\nvalidation = 'off'\n[tokens]\ntype = 'access'\n\
         [api]\nresource = 'Doc::\"api\"'\n{routes}"
    );
    let permit = |(index, _)| {
        format!("@id(\"p{index}\") permit(principal, action == Action::\"a{index}\", resource);\n")
    };
    let policies: String =
        decisions.iter().enumerate().filter(|(_, allowed)| **allowed).map(permit).collect();
    let source = fs::read_to_string(copy.path().join("identity-sources/cognito.json")).unwrap();
    let mut source: Value = serde_json::from_str(&source).unwrap();
    source["principalEntityType"] = "User".into();
    source["configuration"]["cognitoUserPoolConfiguration"]["groupConfiguration"]["groupEntityType"] =
        "Group".into();
    copy.write("identity-sources/cognito.json", source.to_string().as_bytes());
    copy.write("store.toml", settings.as_bytes());
    copy.write("policies/p.cedar", policies.as_bytes());
    copy
}

/// An identity source, and its value in a request by the Developer Guide.
enum Source {
    Header(String),
    /// The query parameter `v`.
    Query,
    Method,
    Path,
    Template,
    RouteKey,
    /// The same for all requests of one client.
    Constant,
}

impl Source {
    fn of(text: &str) -> Self {
        let text = text.trim_start_matches('$').trim_start_matches("method.");
        if let Some(name) = text.strip_prefix("request.header.") {
            return Self::Header(name.to_owned());
        }
        match text {
            "request.querystring.v" => Self::Query,
            "token" => Self::Header("Authorization".to_owned()),
            "context.httpMethod" => Self::Method,
            "context.path" => Self::Path,
            "context.resourcePath" | "context.resourceId" => Self::Template,
            "context.routeKey" => Self::RouteKey,
            "context.identity.sourceIp" | "context.stage" | "context.apiId" | "stageVariables.flavour" => {
                Self::Constant
            }
            other => panic!("{other}"),
        }
    }
}

/// An authorizer: its kind, its identity sources, for how long its answers are kept.
const AUTHORIZERS: [(&str, &str, u32); 16] = [
    ("rest-request", "token", 300),
    ("http", "token", 300),
    ("rest-token", "token", 300),
    ("http-1", "token", 300),
    ("rest-request", "method.request.header.Authorization,method.request.header.X-Tenant", 300),
    ("rest-request", "method.request.header.Authorization,method.request.querystring.v", 300),
    (
        "rest-request",
        "method.request.header.Authorization,context.httpMethod,context.path,context.identity.sourceIp",
        300,
    ),
    (
        "rest-request",
        "context.resourcePath,method.request.header.Authorization,stageVariables.flavour,context.stage",
        300,
    ),
    ("http", "$request.header.Authorization,$request.header.X-Tenant,$request.querystring.v", 300),
    ("http", "$request.header.Authorization,$context.routeKey", 300),
    ("http", "$request.querystring.v,$request.header.Authorization,$context.httpMethod,$context.path", 300),
    ("http-1", "$request.header.Authorization,$request.header.X-Tenant", 300),
    ("http-simple", "$request.header.Authorization,$context.httpMethod,$context.path", 300),
    (
        "http-simple",
        "$request.header.Authorization,$request.header.X-Tenant,$context.httpMethod,$context.path",
        300,
    ),
    ("rest-request", "method.request.header.Authorization,method.request.header.X-Tenant", 0),
    ("http", "$request.header.Authorization,$request.header.X-Tenant", 0),
];

/// The values of the identity sources. `None`: one is missing.
fn identity(
    sources: &[Source],
    (verb, path): (&str, &str),
    headers: &[(&str, String)],
    v: Option<&str>,
    route: &(String, String),
    is_http: bool,
) -> Option<Vec<String>> {
    let value = |source: &Source| match source {
        Source::Header(name) => {
            let found = headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.clone())
        }
        Source::Query => v.map(str::to_owned),
        Source::Method => Some(verb.to_owned()),
        // HTTP APIs decode the path, REST APIs do not.
        Source::Path if is_http => Some(percent_decode_str(path).decode_utf8_lossy().into_owned()),
        Source::Path => Some(path.to_owned()),
        Source::Template => Some(route.1.clone()),
        Source::RouteKey => Some(format!("{} {}", route.0, route.1)),
        Source::Constant => Some("the same".to_owned()),
    };
    sources.iter().map(|source| value(source).filter(|value| !value.is_empty())).collect()
}

// The answer of the function is taken from the record. What API Gateway makes of it is the oracle's.
#[test]
fn requests_are_routed_kept_and_evaluated_as_by_the_oracle() {
    let bearer = |name: &str| format!("Bearer {}", token(name, json!({})));
    let tokens =
        [bearer("alice"), bearer("alice"), bearer("bob"), "Bearer nonsense".to_owned(), String::new()];
    let mut runner = TestRunner::deterministic();
    let (mut asked, mut hits, mut passed, mut unasked, mut refused) = (0, 0, 0, 0, 0);
    for (round, (kind, key, seconds)) in AUTHORIZERS.into_iter().enumerate() {
        let table = route_tables().new_tree(&mut runner).unwrap().current();
        let decisions: Vec<bool> = (0..table.len()).map(|route| (route + round) % 3 != 0).collect();
        let copy = store(&table, &decisions);
        let is_http = kind.starts_with("http");
        let seconds_text = seconds.to_string();
        let server = ServeProcess::start(&[
            "--store",
            copy.path().to_str().unwrap(),
            "--kind",
            kind,
            "--cache-key",
            key,
            "--ttl",
            &seconds_text,
        ]);
        let sources: Vec<Source> = key.split(',').map(Source::of).collect();
        let api = Api::new(table.clone());
        let mut cache = AuthorizerCache::default();
        let mut simple = HashMap::new();
        let mut client = server.connect();
        let (mut number, mut step) = (0, 0_usize);
        for _ in 0..6 {
            for (verb, path) in requests(&table).new_tree(&mut runner).unwrap().current() {
                // No client can send these as parts of a path, and what API Gateway makes of an empty segment is not
                // known.
                if path.contains("//")
                    || path.contains(['?', '#'])
                    || !path.bytes().all(|byte| byte.is_ascii_graphic())
                {
                    continue;
                }
                step += 1;
                let v = [Some("1"), Some("1"), Some("2"), Some(""), None][step / 3 % 5];
                let tenant = [Some("a"), Some("a"), Some("b"), None, Some("a"), Some("")][step / 2 % 6];
                let mut headers: Vec<(&str, String)> = Vec::new();
                headers.extend(tokens.get(step * 7 % 11 % 6).map(|token| ("Authorization", token.clone())));
                headers.extend(tenant.map(|tenant| ("x-tenant", tenant.to_owned())));
                let lines: String =
                    headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
                let target = v.map_or(path.clone(), |v| format!("{path}?v={v}"));
                let reply = client.ask(&verb, &target, &lines, b"");
                let exchanges = server.exchanges();
                if reply.status == 400 && exchanges.len() == number {
                    // The server of HTTP refuses it, and closes the connection.
                    client = server.connect();
                    continue;
                }
                number += 1;
                assert_eq!(exchanges.len(), number);
                let exchange = exchanges.last().unwrap();
                let said = format!("{kind} {key} {verb} {target} {lines} {table:?}: {exchange:#}");
                let without_slash = match path.strip_suffix('/') {
                    None | Some("" | "/") => path.as_str(),
                    Some(path) => path,
                };
                let route = if is_http {
                    api.route_http_longest(&verb, without_slash)
                } else {
                    api.route_trailing_slash(&verb, &path)
                };
                let named =
                    route.map(|route| format!("{} {}", table[route].0.to_lowercase(), table[route].1));
                assert_eq!(exchange["route"], json!(named), "{said}");
                let Some(route) = route else {
                    assert_eq!(reply.status, if is_http { 404 } else { 403 }, "{said}");
                    continue;
                };
                let identity = identity(&sources, (&verb, &path), &headers, v, &table[route], is_http);
                // A REQUEST authorizer of a REST API without a cache is asked whatever is missing.
                if identity.is_none() && (seconds > 0 || kind != "rest-request") {
                    unasked += 1;
                    assert_eq!(reply.status, 401, "{said}");
                    assert!(exchange["answer"].is_null() && exchange["log"].is_null(), "{said}");
                    assert_eq!(exchange["cache"]["outcome"], "off", "{said}");
                    continue;
                }
                asked += 1;
                let answer = exchange["answer"].clone();
                let is_error = answer.get("errorMessage").is_some();
                let key = json!(identity).to_string();
                let mut is_hit = seconds > 0;
                let mut ask = || {
                    is_hit = false;
                    (!is_error).then(|| answer.clone())
                };
                let kept = if seconds == 0 {
                    (!is_error).then(|| answer.clone())
                } else if kind == "http-simple" {
                    // The oracle keeps policies alone.
                    simple.get(&key).cloned().or_else(|| {
                        let answer = ask()?;
                        simple.insert(key, answer.clone());
                        Some(answer)
                    })
                } else {
                    cache.get_or_call(&key, ask)
                };
                let outcome = match () {
                    () if seconds == 0 => "off",
                    () if is_hit => "hit",
                    () if is_error => "not-kept",
                    () => "miss",
                };
                assert_eq!(exchange["cache"]["outcome"], outcome, "{said}");
                hits += usize::from(is_hit);
                let Some(kept) = kept else {
                    refused += 1;
                    assert_eq!(
                        (reply.status, &answer["errorMessage"]),
                        (401, &json!("Unauthorized")),
                        "{said}"
                    );
                    continue;
                };
                assert_eq!(kept, answer, "{said}");
                let stage = if is_http { "$default" } else { "prod" };
                let arn = arn(&verb, &path).replace("/prod/", &format!("/{stage}/"));
                let effect = match kept["isAuthorized"].as_bool() {
                    Some(true) => Effect::Allow,
                    Some(false) => Effect::ImplicitDeny,
                    None => evaluate(&kept["policyDocument"], &arn, NotResource::Honoured),
                };
                assert_eq!(kept["isAuthorized"].is_boolean(), kind == "http-simple", "{said}");
                let expected = if effect == Effect::Allow { 200 } else { 403 };
                passed += usize::from(effect == Effect::Allow);
                assert_eq!(reply.status, expected, "{said}");
                let is_explicit =
                    exchange["body"].as_str().is_some_and(|body| body.contains("explicit deny"));
                assert_eq!(is_explicit, !is_http && effect == Effect::ExplicitDeny, "{said}");
            }
        }
    }
    assert!(
        asked > 300 && hits > 60 && passed > 60 && unasked > 100 && refused > 30,
        "of {asked}, {hits} hits, {passed} passed, {refused} refused; {unasked} without an identity"
    );
}

#[test]
fn an_answer_is_kept_for_the_time_to_live_and_no_longer() {
    let server = ServeProcess::start(&["--ttl", "3"]);
    let alice = token("alice", json!({}));
    for (wait, outcome) in [(0, "miss"), (0, "hit"), (1_500, "hit"), (1_700, "miss"), (0, "hit")] {
        thread::sleep(Duration::from_millis(wait));
        assert_eq!(server.get_as(&alice, "/pets").status, 200);
        // That it was asked for again does not make it younger.
        assert_eq!(server.last()["cache"]["outcome"], outcome, "{:#}", server.last()["cache"]);
    }
    let server = ServeProcess::start(&["--ttl", "0"]);
    for _ in 0..2 {
        assert_eq!(server.get_as(&alice, "/pets").status, 200);
        assert_eq!(server.last()["cache"]["outcome"], "off");
    }
}

/// Fails if a text has eight characters in a row of a token.
#[track_caller]
fn assert_has_nothing_of(token: &str, text: &str) {
    let runs: HashSet<&[u8]> = token.as_bytes().windows(8).collect();
    if let Some(run) = text.as_bytes().windows(8).find(|run| runs.contains(run)) {
        let run = String::from_utf8_lossy(run);
        let line = text.lines().find(|line| line.contains(&*run)).unwrap_or(text);
        panic!("`{run}` of a token: {line}");
    }
}

#[test]
fn a_token_is_neither_in_the_record_nor_on_stderr_nor_in_the_traffic() {
    let jwt = token("alice", json!({}));
    let opaque = "q7GhX-29aLmZp0_vRt5KwEyB83Nd";
    for (kind, text) in [
        ("rest-request", jwt.as_str()),
        ("rest-token", &jwt),
        ("http", &jwt),
        ("http-1", &jwt),
        ("rest-request", opaque),
        ("http", opaque),
    ] {
        let server = ServeProcess::start(&["--kind", kind]);
        let mut client = server.connect();
        let headers = format!(
            "Authorization: Bearer {text}\r\nCookie: a=b; t={text}; s=hush-this-is-secret\r\nX-Other: {text}\r\nUser-Agent: curl {text}\r\n"
        );
        let half = &text[text.len() / 2..];
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let encoded_half: String = half.bytes().map(|byte| format!("%25{byte:02X}")).collect();
        let targets = [
            "/pets?a=hush-this-is-secret".to_owned(),
            format!("/pets/{text}"),
            format!("/pets?token={text}"),
            format!("/pets?{text}=1"),
            format!("/pets/{half}"),
            format!("/pets/x{half}/y?z={half}"),
            format!("/pets/{}", &half[..8]),
            format!("/pets/a.{}.b?c", &text[3..12]),
            format!("/pets/{}", &encoded[..encoded.len().min(900)]),
            format!("/pets/{}", &encoded_half[..encoded_half.len().min(900)]),
        ];
        for target in &targets {
            client.ask("GET", target, &headers, b"");
        }
        // A method is a word that the client chooses, too.
        client.ask(&text[..20], "/pets", &headers, b"");
        let mut exchanges = server.exchanges();
        assert_eq!(exchanges.len(), targets.len() + 1, "{kind}");
        assert_eq!(exchanges[5]["target"], "/pets/x***/y?z=***", "{kind}");
        // The policies read these claims, and other parts of a token are not shown with them.
        let record = json!(exchanges.drain(..).collect::<Vec<_>>()).to_string();
        let mut page = server.connect();
        page.send(b"GET /_bench/api/traffic HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let traffic = page.rest_for(Duration::from_secs(2));
        assert!(traffic.matches("event: exchange").count() == targets.len() + 1, "{traffic}");
        for shown in [record, server.errors(), traffic] {
            assert!(!shown.contains("hush-this-is-secret"), "{shown}");
            assert_has_nothing_of(text, &shown);
        }
    }
}
