//! Sequences of requests, which `serve` answers as the oracle's model of API Gateway does.

use std::collections::HashMap;
use std::time::Duration;
use std::{fs, thread};

use percent_encoding::percent_decode_str;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use super::ServeProcess;
use crate::oracle::{Api, AuthorizerCache, Effect, NotResource, arn, evaluate, requests, route_tables};
use crate::world::{StoreCopy, token};

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
