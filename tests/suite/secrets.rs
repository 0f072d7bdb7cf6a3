//! Secrets: nothing that the compiled function writes contains a token, or a secret from its settings.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use cedar_authorizer::function::telemetry::decision_log::principal_ids::PrincipalIds;
use cedar_authorizer::function::telemetry::invocation::LambdaContext;
use cedar_authorizer::function::telemetry::settings::{DecisionLogSettings, Format};
use cedar_authorizer::store::build::PrivateKey;
use cedar_authorizer::store::directory;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::gateway::{Request, connect};
use crate::listening::{Kennel, Listening, TRACE_ID};
use crate::loopback::{Answer, Function};
use crate::signing::SigningKey;
use crate::world::{
    CLI, EXPIRES_AT, FUNCTION, ISSUED_AT, StoreCopy, development_key_set, event, root, run, sample_store,
    stdout, token,
};

/// The length of the runs that are searched for. Shorter ones may occur by chance.
const RUN: usize = 8;

/// Every run of characters in some tokens.
struct Runs(HashSet<Vec<u8>>);

impl Runs {
    fn of<'a>(tokens: impl IntoIterator<Item = &'a str>) -> Self {
        let parts = tokens.into_iter();
        Self(parts.flat_map(|part| part.as_bytes().windows(RUN).map(<[u8]>::to_vec)).collect())
    }

    #[track_caller]
    fn assert_absent(&self, output: &str, of: &str) {
        let found = output.as_bytes().windows(RUN).find(|run| self.0.contains(*run));
        if let Some(run) = found {
            let run = String::from_utf8_lossy(run);
            let line = output.lines().find(|line| line.contains(&*run)).unwrap_or(output);
            panic!("{of} has `{run}` of a token: {line}");
        }
    }
}

/// The kennel store, with the development key for its pool.
fn kennel() -> StoreCopy {
    let store = StoreCopy::new();
    for folder in ["policies", "templates", "identity-sources", "jwks"] {
        std::fs::remove_dir_all(store.path().join(folder)).unwrap();
    }
    for file in ["entities.json", "template-links.json"] {
        let _ = std::fs::remove_file(store.path().join(file));
    }
    let files = directory::read(&root().join("tests/data/stores/kennel")).unwrap();
    for (path, content) in files.iter() {
        store.write(path, content);
    }
    store.write("jwks/pool.json", development_key_set().to_string().as_bytes());
    store
}

fn kennel_token(user: &str, claims: &Value) -> String {
    let mut all = json!({"iat": ISSUED_AT, "exp": EXPIRES_AT, "sub": user});
    all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    let output = run(&["token", "--store", "tests/data/stores/kennel", "--claims", &all.to_string()]);
    stdout(&output).trim_end().to_owned()
}

/// The token with another header.
fn with_header(token: &str, header: &Value) -> String {
    let (_, rest) = token.split_once('.').unwrap();
    format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string()))
}

/// Tokens that are accepted, and tokens that are refused, each for another reason.
fn tokens() -> Vec<String> {
    let good = kennel_token("ann", &json!({"username": "ann"}));
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let other = kennel_token("ben", &json!({"scope": "a-scope-of-some-length"}));
    let wrong = SigningKey::p256().token(&json!({"alg": "ES256", "kid": "nobody's"}), &json!({"sub": "eve"}));
    let mut tokens = vec![
        kennel_token("sue", &json!({"cognito:groups": ["staff"]})),
        kennel_token("ann", &json!({"exp": ISSUED_AT + 1})),
        kennel_token("ann", &json!({"iss": "https://issuer.example.com"})),
        kennel_token("ann", &json!({"client_id": "another-client"})),
        kennel_token("ann", &json!({"cognito:groups": {"admins": true}})),
        format!("{signed}.{}", other.rsplit_once('.').unwrap().1),
        format!("{good}AAAA"),
        format!("{signature}.{signed}"),
        with_header(&good, &json!({"alg": "none"})),
        with_header(&good, &json!({"alg": "RS256", "kid": good})),
        with_header(&good, &json!({"alg": "RS256", "kid": other, "crit": [good]})),
        with_header(&good, &json!({"alg": good, "typ": other})),
        wrong,
    ];
    tokens.extend([good, other]);
    tokens
}

/// Events with a token in its place, and with another one in every other place.
fn events(token: &str, other: &str) -> Vec<Vec<u8>> {
    let pet = |path: &str, id: &str, query: &[(&str, &str)], headers: Value| {
        let request = Request {
            parameters: json!({"petId": id}),
            query,
            headers,
            ..Request::new(token, "GET", "/pets/{petId}", path)
        };
        [request.rest(), request.token(), request.http2(), request.http1()]
    };
    let in_path = format!("/pets/{other}");
    let mut events: Vec<Value> = Vec::new();
    events.extend(pet("/pets/7", "7", &[], json!({})));
    // A token other than the one that is verified, in places where a client may put it.
    events.extend(pet(&in_path, other, &[], json!({})));
    events.extend(pet(&format!("/pets/a{other}=b"), &format!("a{other}=b"), &[], json!({})));
    events.extend(pet("/pets/7", "7", &[("access_token", other), (other, "1")], json!({})));
    let headers =
        json!({"X-Token": other, other: "1", "Cookie": format!("session={other}"), "X-Tenant": other});
    events.extend(pet("/pets/7", "7", &[("year", other)], headers.clone()));
    let report = Request {
        query: &[("year", other), ("kind", other)],
        headers,
        ..Request::new(token, "GET", "/report", "/report")
    };
    events.extend([report.rest(), report.http2()]);
    events.push(connect(json!({}), json!({"access_token": token})));
    events.push(connect(json!({"Sec-WebSocket-Protocol": format!("bearer, {token}")}), json!({})));
    let arn =
        |api: &str, verb: &str| format!("arn:aws:execute-api:us-east-1:123456789012:{api}/test/{verb}/");
    let mut hostile = vec![
        // In place of a field of another type, or of any type.
        json!({"type": "TOKEN", "authorizationToken": [token], "methodArn": arn("api", "GET")}),
        json!({"type": "TOKEN", "authorizationToken": {"token": token}, "methodArn": token}),
        json!({"type": token, "authorizationToken": token}),
        json!({"type": "TOKEN", "authorizationToken": token, "methodArn": [token]}),
        json!({"type": "TOKEN", "authorizationToken": token, "methodArn": arn(token, "GET")}),
        json!({"type": "TOKEN", "authorizationToken": token, "methodArn": arn("api", token)}),
        json!(token),
        json!([token]),
        json!({token: token}),
        json!({"type": "REQUEST", "headers": token}),
        json!({"type": "REQUEST", "version": token, "routeKey": token, "rawQueryString": [token]}),
    ];
    events.append(&mut hostile);
    let mut wrong = pet("/pets/7", "7", &[], json!({}));
    wrong[0]["requestContext"]["requestTimeEpoch"] = json!(token);
    wrong[2]["requestContext"]["http"]["method"] = json!(token);
    wrong[2]["routeKey"] = json!(token);
    wrong[3]["requestContext"]["resourcePath"] = json!(format!("/{token}"));
    events.extend(wrong);
    let mut bytes: Vec<Vec<u8>> = events.iter().map(|event| event.to_string().into_bytes()).collect();
    bytes.extend([
        // Neither JSON nor UTF-8.
        format!("{{\"authorizationToken\": \"{token}").into_bytes(),
        format!("{{\"authorizationToken\": {token}}}").into_bytes(),
        token.as_bytes().to_vec(),
        [b"{\"authorizationToken\": \"", token.as_bytes(), b"\xff\"}"].concat(),
        [b"\xff", token.as_bytes()].concat(),
    ]);
    bytes
}

/// The answer without its method and path. An answer for just these contains their ARN, or the beginning of a long
/// one, because API Gateway compares the two.
fn without_arn(answer: &Answer, event: &[u8]) -> String {
    let mut response = match answer {
        Answer::Response(response) => response.clone(),
        Answer::Error { error_type, error_message } => return format!("{error_type}: {error_message}"),
    };
    let event: Value = serde_json::from_slice(event).unwrap();
    let arns: Vec<&str> = ["methodArn", "routeArn"].iter().filter_map(|name| event[name].as_str()).collect();
    for statement in response["policyDocument"]["Statement"].as_array_mut().unwrap() {
        statement["Resource"].as_array_mut().unwrap().retain(|resource| {
            let beginning = resource.as_str().unwrap().trim_end_matches('*');
            !arns.iter().any(|arn| arn.starts_with(beginning))
        });
    }
    response.to_string()
}

#[test]
fn no_part_of_a_token_is_in_anything_that_the_function_writes() {
    let store = kennel();
    let uri = store.uri();
    let tokens = tokens();
    let runs = Runs::of(tokens.iter().map(String::as_str));
    for level in ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"] {
        for format in ["JSON", "Text"] {
            let function = Function::start(
                FUNCTION,
                [
                    ("BUNDLE_URI", uri.as_str()),
                    ("CACHE_KEY", "none"),
                    ("ALLOW_DEVELOPMENT_KEYS", "true"),
                    ("AWS_LAMBDA_LOG_LEVEL", level),
                    ("AWS_LAMBDA_LOG_FORMAT", format),
                ],
            )
            .unwrap();
            let mut allowed = 0;
            // All tokens at the level that writes most, and some at the other levels.
            let step = if level == "TRACE" { 1 } else { 4 };
            for (number, token) in tokens.iter().enumerate().step_by(step) {
                let other = &tokens[(number + 1) % tokens.len()];
                for event in events(token, other) {
                    let answer = function.invoke(event.as_slice());
                    runs.assert_absent(&without_arn(&answer, &event), "an answer");
                    allowed += usize::from(matches!(answer, Answer::Response(_)));
                }
            }
            let logs = function.logs();
            runs.assert_absent(&logs, &format!("the log at {level} as {format}"));
            let is_terse = ["WARN", "ERROR"].contains(&level);
            let is_loud = logs.contains("bundle loaded");
            assert!(allowed > 0 && is_loud != is_terse, "{level}: {logs}");
            assert!(logs.contains("allowed-by-policy"), "the decision log depends on the level {level}");
        }
    }
}

#[test]
fn no_setting_of_the_log_shows_what_other_crates_say_below_info() {
    let uri = format!("file://{}", sample_store().display());
    for variable in ["AWS_LAMBDA_LOG_LEVEL", "RUST_LOG"] {
        let environment = [
            ("BUNDLE_URI", uri.as_str()),
            ("CACHE_KEY", "none"),
            ("ALLOW_DEVELOPMENT_KEYS", "true"),
            (variable, "trace"),
        ];
        let function = Function::start(FUNCTION, environment).unwrap();
        function.invoke(&event(&token("alice", json!({})), "GET", "/pets"));
        let logs = function.logs();
        for line in logs.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let is_detail = line["level"] == "TRACE" || line["level"] == "DEBUG";
            assert!(!is_detail || line["message"] == "alternative key set not fetched", "{line}");
        }
        assert!(logs.contains("bundle loaded"), "{logs}");
    }
}

/// Places of an event that a client or a mistake could fill with part of a token.
const PLACES: [&str; 15] = [
    "path",
    "query",
    "query name",
    "header",
    "header name",
    "stage",
    "api id",
    "verb",
    "route key",
    "request id",
    "trace id",
    "traceparent",
    "user agent",
    "host",
    "lambda request id",
];

/// What is put there: the token or part of it, as it is or in another encoding.
#[derive(Clone, Debug)]
struct Leak {
    place: usize,
    /// Where the part begins and how long it is, in thousandths of the token.
    from: usize,
    length: usize,
    encoding: usize,
    /// Of the token in the header, or of another one in another header.
    is_other: bool,
    around: &'static str,
}

impl Leak {
    fn text(&self, token: &str) -> String {
        let characters: Vec<char> = token.chars().collect();
        let from = self.from * characters.len() / 1000;
        let length = (self.length * characters.len() / 1000).max(8);
        let part: String = characters.iter().skip(from).take(length).collect();
        let part = match self.encoding {
            0 | 1 => part,
            2 => part.replace('-', "+").replace('_', "/"),
            3 => part.replace('.', "%2E").replace('-', "%2d"),
            4 => part.bytes().map(|byte| format!("%{byte:02X}")).collect(),
            5 => part.as_bytes().chunks(8).map(String::from_utf8_lossy).collect::<Vec<_>>().join("/"),
            _ => format!("Bearer {part}"),
        };
        self.around.replace('*', &part)
    }
}

fn leaks() -> impl Strategy<Value = Vec<Leak>> {
    let around = prop::sample::select(vec!["*", "a*b", "x-*", "*/*", "{\"id\":\"*\"}"]);
    let leak = (
        0..PLACES.len(),
        0..1000_usize,
        prop_oneof![0..30_usize, Just(1000)],
        0..7_usize,
        any::<bool>(),
        around,
    );
    let leak = leak.prop_map(|(place, from, length, encoding, is_other, around)| Leak {
        place,
        from,
        length,
        encoding,
        is_other,
        around,
    });
    prop::collection::vec(leak, 1..6)
}

/// Claims with values that occur nowhere else, in all the forms that a claim may have.
fn personal_claims(unique: &str) -> (Value, Vec<String>) {
    let names = ["mail", "name", "phone", "nested", "deep", "group", "tenant", "number"];
    let value = |name: &str| format!("{name}.{unique}.of.ann");
    let values: Vec<String> = names.iter().map(|name| value(name)).collect();
    let claims = json!({
        "email": value("mail"), "name": value("name"), "phone_number": [value("phone")],
        "address": {"street": value("nested"), "more": [{"deep": value("deep")}]},
        "cognito:groups": [value("group"), "staff"], "custom:tenant": value("tenant"),
        "username": value("number"),
    });
    (claims, values)
}

/// An event of a kind, with the leaks in their places.
fn leaking_event(
    kind: usize,
    token: &str,
    leaked: &[(usize, String)],
    in_path: Option<&str>,
) -> (Value, LambdaContext) {
    let place = |name: &str| {
        let number = PLACES.iter().position(|known| *known == name).unwrap();
        leaked.iter().filter(move |(place, _)| *place == number).map(|(_, text)| text.as_str()).next()
    };
    let id = in_path.or(place("path")).unwrap_or("7");
    let path = format!("/pets/{id}");
    let query: Vec<(&str, &str)> =
        [place("query").map(|text| ("year", text)), place("query name").map(|text| (text, "1"))]
            .into_iter()
            .flatten()
            .collect();
    let mut headers = json!({});
    for (name, value) in [
        (Some("X-Tenant"), place("header")),
        (place("header name"), Some("1")),
        (Some("traceparent"), place("traceparent")),
        (Some("User-Agent"), place("user agent")),
    ] {
        if let (Some(name), Some(value)) = (name, value) {
            headers[name] = json!(value);
        }
    }
    let request = Request {
        parameters: json!({"petId": id}),
        query: &query,
        headers,
        ..Request::new(token, "GET", "/pets/{petId}", &path)
    };
    let mut event = match kind % 5 {
        0 => request.rest(),
        1 => request.token(),
        2 => request.http2(),
        3 => request.http1(),
        // Without a scheme, and what is no event of API Gateway.
        _ => json!({"type": "TOKEN", "authorizationToken": token, "methodArn": request.token()["methodArn"]}),
    };
    let arn = if kind % 5 == 2 { "routeArn" } else { "methodArn" };
    let text = event[arn].as_str().unwrap().to_owned();
    let mut parts: Vec<String> = text.splitn(4, '/').map(str::to_owned).collect();
    if let Some(stage) = place("stage") {
        parts[1] = stage.to_owned();
    }
    if let Some(api) = place("api id") {
        parts[0] = parts[0].replace("abcdef123", api);
    }
    if let Some(verb) = place("verb") {
        parts[2] = verb.to_owned();
    }
    event[arn] = json!(parts.join("/"));
    if kind % 5 != 1 && kind % 5 != 4 {
        if let Some(key) = place("route key") {
            event["routeKey"] = json!(key);
        }
        if let Some(id) = place("request id") {
            event["requestContext"]["requestId"] = json!(id);
        }
        if let Some(host) = place("host") {
            event["requestContext"]["domainName"] = json!(host);
        }
    }
    let trace = place("trace id").map(|text| format!("Root={text}"));
    let context = LambdaContext {
        request_id: Some(place("lambda request id").unwrap_or("r-1").to_owned()),
        trace_id: trace.or_else(|| Some(format!("Root={TRACE_ID}"))),
    };
    (event, context)
}

/// The first piece of a token that is in a text, if there is one of more than seven characters.
fn part_of(token: &str, text: &str) -> Option<String> {
    let pieces: HashSet<&[u8]> = token.as_bytes().windows(8).collect();
    let found = text.as_bytes().windows(8).find(|piece| pieces.contains(piece));
    found.map(|piece| String::from_utf8_lossy(piece).into_owned())
}

/// Every way of telling, with whether it shows what the schema declares of a token.
fn tellings() -> Vec<(DecisionLogSettings, bool)> {
    let base = DecisionLogSettings::default;
    let hashed = PrincipalIds::Hashed(STANDARD.encode([7; 32]).parse().unwrap());
    vec![
        (base(), false),
        (DecisionLogSettings { format: Format::Ocsf, ..base() }, false),
        (DecisionLogSettings { principal_ids: hashed, ..base() }, false),
        (DecisionLogSettings { principal_ids: PrincipalIds::Off, format: Format::Ocsf, ..base() }, false),
        (DecisionLogSettings { has_requests: true, ..base() }, true),
        (DecisionLogSettings { has_requests: true, format: Format::Ocsf, ..base() }, true),
    ]
}

/// A trace is the client's as well, and a claim may look like one.
#[test]
fn no_claim_is_in_a_trace() {
    let (claim, short) = ("0af7651916cd43dd8448eb211c80319c", "bd862e3fe1be46a994272793");
    let kennel = Kennel::new();
    let token = kennel.token("ann", &json!({"jti": claim, "sid": short}));
    let request = |headers| {
        let request = Request {
            parameters: json!({"petId": "7"}),
            headers,
            ..Request::new(&token, "GET", "/pets/{petId}", "/pets/7")
        };
        request.rest().to_string()
    };
    let context = |id: &str| LambdaContext {
        request_id: Some("r-1".to_owned()),
        trace_id: Some(format!("Root=1-5759e988-{id};Sampled=1")),
    };
    for (settings, _) in tellings() {
        let function = kennel.listen(&settings, "token");
        let traceparent = |id: &str| json!({"traceparent": format!("00-{id}-b7ad6b7169203331-01")});
        let (_, lines) = function.ask(&request(traceparent(claim)), &context(short));
        assert!(!lines.contains(claim) && !lines.contains(short), "{lines}");
        let (others, other) = (claim.replace('a', "b"), short.replace('b', "c"));
        let (_, lines) = function.ask(&request(traceparent(&others)), &context(&other));
        assert!(lines.contains(&other), "{lines}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// The functions are started once, and each case asks all of them.
    #[test]
    fn no_eight_characters_of_a_token_and_no_claim_are_in_any_line(
        (leaks, kind, claim, number) in (leaks(), 0..5_usize, prop::option::of(0..8_usize), any::<u64>())
    ) {
        thread_local! {
            static WORLD: (Kennel, Vec<(Listening, bool)>) = {
                let kennel = Kennel::new();
                let functions = tellings().into_iter().flat_map(|(settings, shows)| {
                    ["none", "token"].map(|key| (kennel.listen(&settings, key), shows))
                });
                let functions = functions.collect();
                (kennel, functions)
            };
        }
        WORLD.with(|(kennel, functions)| {
            let unique = format!("{number:016x}").to_uppercase();
            let (claims, values) = personal_claims(&unique);
            let token = kennel.token("ann", &claims);
            let other = SigningKey::p256().token(&json!({"alg": "ES256", "typ": "JWT"}), &json!({"sub": unique}));
            let leaked: Vec<(usize, String)> =
                leaks.iter().map(|leak| (leak.place, leak.text(if leak.is_other { &other } else { &token }))).collect();
            // A client that names a resource by what its token says of it.
            let in_path = claim.map(|claim| format!("a-{}", values[claim]));
            let (mut event, context) = leaking_event(kind, &token, &leaked, in_path.as_deref());
            // The other token is somewhere in the event, or nobody could know it.
            match kind {
                0 | 3 => event["headers"]["X-Id-Token"] = json!(other),
                2 => event["headers"]["cookie"] = json!(format!("a=b; id={other}")),
                _ => {}
            }
            let tokens = if kind == 1 || kind == 4 { vec![&token] } else { vec![&token, &other] };
            for (function, shows_requests) in functions {
                let (answer, lines) = function.ask(&event.to_string(), &context);
                for line in lines.lines() {
                    serde_json::from_str::<Value>(line).unwrap();
                }
                prop_assert_eq!(lines.lines().count(), 1);
                // A part is one as well if it has to be decoded first.
                let plain = percent_encoding::percent_decode_str(&lines).decode_utf8_lossy().into_owned();
                let lines = format!("{lines}\n{plain}\n{}", plain.replace('+', "-").replace('/', "_"));
                for token in &tokens {
                    prop_assert_eq!(part_of(token, &lines), None, "{:?} {} {}", answer.reason(), lines, event);
                }
                for value in &values {
                    let is_group = value.starts_with("group.");
                    // With the Cedar request there are the groups of the caller, and what names the resource.
                    let is_opted_in = *shows_requests && (is_group || in_path.as_ref().is_some_and(|id| id.contains(value)));
                    prop_assert!(is_opted_in || !lines.contains(value.as_str()), "{}", lines);
                }
            }
            Ok(())
        })?;
    }
}

#[test]
fn of_two_tokens_in_one_header_nothing_is_shown() {
    let kennel = Kennel::new();
    let function = kennel.listen(&DecisionLogSettings::default(), "none");
    let signed = [kennel.token("ann", &json!({})), kennel.token("ben", &json!({}))];
    // Not even JWTs.
    let opaque = ["kq3Vw8Zt", "M2xR7yLp"].map(|word| format!("{word}-{}", word.repeat(40)));
    for [first, second] in [signed, opaque] {
        for (authorization, others) in [
            (format!("Bearer {first} {second}"), json!([])),
            (format!("{first},{second}"), json!([])),
            (format!("Bearer {first}"), json!([format!("Bearer {first}"), format!("Bearer {second}")])),
        ] {
            let request = Request {
                parameters: json!({"petId": "7"}),
                ..Request::new(&first, "GET", "/pets/{petId}", "/pets/7")
            };
            let mut event = request.rest();
            event["headers"]["Authorization"] = json!(authorization);
            event["multiValueHeaders"]["Authorization"] = others;
            event["requestContext"]["requestId"] = json!(second.get(200..240).unwrap());
            let stage = second.get(second.len() - 30..).unwrap().replace('.', "-");
            let arn = event["methodArn"].as_str().unwrap().replace("/test/", &format!("/{stage}/"));
            event["methodArn"] = json!(arn);
            let line = function.line(&event);
            assert!(line.contains("token-malformed"), "{line}");
            for token in [&first, &second] {
                assert_eq!(part_of(token, &line), None, "{line}");
            }
        }
    }
}

/// The lines about a tenant have its name, which may come from the stage.
#[test]
fn a_part_of_the_token_in_place_of_a_tenant_is_in_no_line() {
    let kennel = Kennel::new();
    let token = kennel.token("ann", &json!({}));
    let tenants = tempfile::tempdir().unwrap();
    let uri = format!("file://{}/{{tenant}}", tenants.path().display());
    for format in ["JSON", "Text"] {
        let function = Function::start(
            FUNCTION,
            [
                ("BUNDLE_URI", uri.as_str()),
                ("TENANT_FROM", "stage"),
                ("CACHE_KEY", "none"),
                ("AWS_LAMBDA_LOG_LEVEL", "TRACE"),
                ("AWS_LAMBDA_LOG_FORMAT", format),
            ],
        );
        let function = function.unwrap();
        let parts = token.split('.').map(|part| part.get(8..28).unwrap().trim_start_matches(['-', '_']));
        for part in parts {
            let mut event = Request::new(&token, "GET", "/pets/{petId}", "/pets/7").token();
            let arn = event["methodArn"].as_str().unwrap();
            event["methodArn"] = json!(arn.replace("/test/", &format!("/{part}/")));
            function.invoke(&event);
        }
        let logs = function.logs();
        assert_eq!(logs.matches("no such tenant").count(), 3, "{logs}");
        assert!(logs.contains("***"), "{logs}");
        assert_eq!(part_of(&token, &logs), None, "{logs}");
    }
}

#[test]
fn a_claim_is_shown_only_by_its_name() {
    let kennel = Kennel::new();
    let (claims, values) = personal_claims("8c0a2f");
    let token = kennel.token("ann", &claims);
    let settings = DecisionLogSettings {
        claims: vec!["email".to_owned(), "address".to_owned()],
        ..DecisionLogSettings::default()
    };
    let function = kennel.listen(&settings, "none");
    for value in &values {
        let event = Request {
            parameters: json!({"petId": value}),
            ..Request::new(&token, "GET", "/pets/{petId}", "/pets/x")
        };
        let line: Value = function.json(&event.rest());
        assert_eq!(line["claims"], json!({"address": claims["address"], "email": claims["email"]}), "{line}");
        let is_shown = ["mail.", "nested.", "deep."].iter().any(|name| value.starts_with(name));
        assert_eq!(line["resource"]["id"], if is_shown { value.as_str() } else { "***" }, "{line}");
    }
}

/// A value, and the parts of it that must not be written.
type Secret = (String, Vec<String>);

/// Keys, and URLs with passwords or signatures: values that are recognizably secret.
fn keys_and_passwords() -> Vec<Secret> {
    let key = PrivateKey::generate().unwrap();
    let pem = key.to_pem().unwrap().to_string();
    let body = pem.lines().nth(1).unwrap().to_owned();
    let raw = STANDARD.encode(b"sekrit0123456789sekrit0123456789");
    let marker = MARKER.to_owned();
    vec![
        (pem.clone(), vec![body.clone()]),
        (pem.replace('\n', " "), vec![body.clone()]),
        (body.clone(), vec![body]),
        (pem.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"), vec![pem.lines().nth(1).unwrap().to_owned()]),
        (raw.clone(), vec![raw]),
        (format!("https://user:{marker}@proxy.example.com:3128"), vec![marker.clone()]),
        (format!("http://user:{marker}@[::1"), vec![marker.clone()]),
        (format!("//user:{marker}@host"), vec![marker.clone()]),
        (format!("s3://AKIAIOSFODNN7EXAMPLE:{marker}@bucket/key"), vec![marker.clone()]),
        (format!("s3://bucket/key?X-Amz-Signature={marker}"), vec![marker]),
    ]
}

/// Other values of a variable. There, any value may be a secret.
fn words() -> Vec<Secret> {
    let raw = STANDARD.encode([7; 32]);
    [
        format!("{raw},{MARKER}"),
        MARKER.to_owned(),
        format!("file://{MARKER}"),
        format!("claim {MARKER}"),
        format!("true {MARKER}"),
        format!("5{MARKER}"),
        format!("{MARKER}\n"),
        format!("\u{1b}[31m{MARKER}"),
    ]
    .map(|value| (value, vec![MARKER.to_owned()]))
    .into()
}

const MARKER: &str = "sekrit0123456789";

/// The settings that can be wrong; see docs/function.md.
const VARIABLES: [&str; 37] = [
    "BUNDLE_URI",
    "BUNDLE_REFRESH_SECONDS",
    "BUNDLE_MAX_STALE_SECONDS",
    "BUNDLE_PUBLIC_KEYS",
    "BUNDLE_MIN_REVISION",
    "BUNDLE_FALLBACK_URI",
    "SHADOW_BUNDLE_URI",
    "TENANT_FROM",
    "ROOT_BUNDLE_URI",
    "MAX_TENANTS",
    "CACHE_KEY",
    "USER_POOL_ARN",
    "SIMPLE_RESPONSES",
    "JWKS_PROXY",
    "ISSUERS",
    "ALLOW_DEVELOPMENT_KEYS",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_REGION",
    "DECISION_LOG",
    "DECISION_LOG_FORMAT",
    "DECISION_LOG_REQUESTS",
    "DECISION_LOG_SAMPLE_RATE",
    "PRINCIPAL_IDS",
    "PRINCIPAL_IDS_KEY",
    "POWERTOOLS_METRICS_NAMESPACE",
    "POWERTOOLS_METRICS_DISABLED",
    "POWERTOOLS_SERVICE_NAME",
    "POWERTOOLS_LOG_LEVEL",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
    "OTEL_SDK_DISABLED",
];

#[test]
fn no_value_of_a_setting_is_in_what_the_function_says_of_it() {
    let values = [keys_and_passwords(), words()].concat();
    for (number, (value, secrets)) in values.iter().enumerate() {
        // First all settings at once, all wrong. Then, one by one, those that are read only after a good start.
        let mut environments: Vec<Vec<(&str, &str)>> =
            vec![VARIABLES.iter().map(|name| (*name, value.as_str())).collect()];
        let of_s3 = ["AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_SESSION_TOKEN", "AWS_SECRET_ACCESS_KEY"];
        // A start that gets as far as asking S3 takes seconds.
        let name = of_s3[number % of_s3.len()];
        environments.push(vec![
            ("BUNDLE_URI", "s3://bucket/key"),
            ("CACHE_KEY", "none"),
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
            (name, value.as_str()),
        ]);
        for mut environment in environments {
            environment.push(("AWS_LAMBDA_LOG_LEVEL", "TRACE"));
            let failure = Function::start(FUNCTION, environment.iter().copied()).err().unwrap();
            for (secret, text) in
                secrets.iter().flat_map(|secret| [(secret, &failure.message), (secret, &failure.logs)])
            {
                assert!(!text.contains(secret.as_str()), "{environment:?}: {text}");
            }
        }
    }
}

#[test]
fn what_is_wrong_with_a_setting_is_said_by_its_name_and_the_form_that_it_has() {
    let failure = Function::start(
        FUNCTION,
        [
            ("BUNDLE_URI", "policies"),
            ("CACHE_KEY", "all"),
            ("BUNDLE_PUBLIC_KEYS", "x"),
            ("USER_POOL_ARN", "us-east-1_EXAMPLE"),
            ("SIMPLE_RESPONSES", "yes"),
            ("JWKS_PROXY", "http://[::1"),
        ],
    );
    let message = failure.err().unwrap().message;
    for line in [
        "BUNDLE_URI: not of the form s3://bucket/key, s3://bucket/key?versionId=id or file:///absolute/path",
        "CACHE_KEY: not `none`, `token`, or a list of identity sources such as",
        "BUNDLE_PUBLIC_KEYS: key 1 is neither a public key in PEM nor base64 with padding",
        "USER_POOL_ARN: not a user pool ARN of the form",
        "SIMPLE_RESPONSES: neither `true` nor `false`",
        "JWKS_PROXY: not the URL of a proxy",
    ] {
        assert!(message.contains(&format!("\n  {line}")), "{line}: {message}");
    }
}

#[test]
fn the_password_of_a_proxy_is_in_no_log() {
    let store = StoreCopy::with_jwks_uri("http://127.0.0.1:2/keys");
    let proxy = "http://user:sekrit0123456789@127.0.0.1:1";
    let environment = [
        ("BUNDLE_URI", store.uri()),
        ("CACHE_KEY", "none".to_owned()),
        ("ALLOW_DEVELOPMENT_KEYS", "true".to_owned()),
        ("JWKS_PROXY", proxy.to_owned()),
        ("AWS_LAMBDA_LOG_LEVEL", "TRACE".to_owned()),
    ];
    let function = Function::start(FUNCTION, environment).unwrap();
    function.invoke(&event(&token("alice", json!({})), "GET", "/pets"));
    let logs = function.logs();
    assert!(logs.contains("key set not fetched"), "{logs}");
    for secret in ["sekrit", &STANDARD.encode("user:sekrit0123456789")] {
        assert!(!logs.contains(secret), "{logs}");
    }
}

#[test]
fn a_key_or_password_among_its_arguments_is_not_repeated_by_the_command_line() {
    for (value, secrets) in keys_and_passwords() {
        for arguments in [
            vec!["keygen".to_owned(), "--public".to_owned(), value.clone()],
            vec!["keygen".to_owned(), format!("--public={value}")],
            vec!["build".to_owned(), "--output=/dev/null".to_owned(), format!("--sign-key={value}")],
            vec!["publish".to_owned(), "--to".to_owned(), value.clone(), "--dry-run".to_owned()],
            vec!["inspect".to_owned(), value.clone()],
            vec![value.clone()],
            vec!["inspect".to_owned(), format!("--bundle-key={value}")],
        ] {
            let output =
                std::process::Command::new(CLI).args(&arguments).current_dir(root()).output().unwrap();
            assert_eq!(output.status.code(), Some(1), "{arguments:?}");
            let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            for secret in &secrets {
                assert!(!text.contains(secret.as_str()), "{arguments:?}: {text}");
            }
        }
    }
}
