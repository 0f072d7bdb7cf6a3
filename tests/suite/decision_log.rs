//! The decision log: the lines of every kind of event, in both formats, and what they are good for.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use cedar_authorizer::cedar::{Context, Entities, EntityUid, PolicyId, Schema};
use cedar_authorizer::decide::{AuthorizationRequest, Gate};
use cedar_authorizer::function::telemetry::decision_log::principal_ids::PrincipalIds;
use cedar_authorizer::function::telemetry::invocation::LambdaContext;
use cedar_authorizer::function::telemetry::settings::{DecisionLogSettings, Extent, Format};
use cedar_authorizer::function::tenant::{CallPart, Tenancy, TenantFrom};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::gateway::{Request, connect};
use crate::listening::{Kennel, Listening, context};
use crate::loopback::Function;
use crate::world::{EXPIRES_AT, FUNCTION, ISSUED_AT, golden, root};

const KEY: &str = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3JldCE=";

fn pet<'a>(token: &'a str, id: &'a str, path: &'a str) -> Request<'a> {
    Request { parameters: json!({"petId": id}), ..Request::new(token, "GET", "/pets/{petId}", path) }
}

fn hashed() -> PrincipalIds {
    PrincipalIds::Hashed(KEY.parse().unwrap())
}

/// A policy that cannot be evaluated for a house.
const COUNTS_HOUSES: &str = r#"@id("counts-houses")
permit (principal, action == Kennel::Action::"ViewPet", resource)
when {
  context has pathParameters && context.pathParameters has houseId &&
  context.pathParameters.houseId + 9223372036854775807 > 0
};"#;

/// Lines of every status, kind of API and setting.
fn lines(format: Format) -> Vec<String> {
    let kennel = Kennel::new();
    kennel.store.write("policies/houses.cedar", COUNTS_HOUSES.as_bytes());
    let settings = |settings: DecisionLogSettings| DecisionLogSettings { format, ..settings };
    let plain = settings(DecisionLogSettings::default());
    let ann = kennel.token("ann", &json!({"username": "Ann", "level": 3, "teams": [{"name": "a"}]}));
    let ben = kennel.token("ben", &json!({}));
    let sue = kennel.token("sue", &json!({"cognito:groups": ["staff"]}));
    let mut lines = Vec::new();

    // Every kind of API. The first event of the instance is a cold start, and the others remember the token.
    let function = kennel.listen(&plain, "none");
    let seven = pet(&ann, "7", "/pets/7");
    let mut rest = seven.rest();
    rest["headers"]["traceparent"] = json!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    lines.push(function.line(&seven.token()));
    lines.extend([rest, seven.http2(), seven.http1()].map(|event| function.line(&event)));
    let socket = connect(json!({}), json!({"access_token": sue}));
    lines.push(function.line(&socket));

    // Denials: nothing permits, something forbids, a route for others, an error.
    lines.push(function.line(&pet(&ben, "7", "/pets/7").token()));
    lines.push(function.line(&pet(&ann, "10", "/pets/10").token()));
    lines.push(function.line(&Request::new(&ann, "POST", "/pets/{petId}", "/pets/7/toys").token()));
    let house = Request {
        parameters: json!({"houseId": "7", "petId": "8"}),
        ..Request::new(&ben, "GET", "/houses/{houseId}/pets/{petId}", "/houses/7/pets/99")
    };
    lines.push(function.line(&house.rest()));
    // A claim of another type than that of the schema.
    let report = Request { query: &[("year", "soon")], ..Request::new(&ann, "GET", "/report", "/report") };
    lines.push(function.line(&report.rest()));

    // Refusals and faults.
    lines.push(function.line(&Request::new("", "GET", "/pets/{petId}", "/pets/7").token()));
    lines.push(
        function.line(&pet(&kennel.token("ann", &json!({"exp": ISSUED_AT - 600})), "7", "/pets/7").http2()),
    );
    lines.push(function.line(&json!({"type": "TOKEN", "authorizationToken": "x"})));
    lines.push(function.ask("{}", &LambdaContext::default()).1.trim_end().to_owned());

    // A tenant that has no bundle.
    let tenancy = Tenancy { from: TenantFrom::Call(CallPart::Stage), max_open: 10 };
    let tenants = tempfile::tempdir().unwrap();
    let uri = format!("file://{}/{{tenant}}", tenants.path().display());
    let function = Listening::new(&uri, &plain, "none", Some(tenancy));
    lines.push(function.line(&seven.token()));

    // What is there only by opt-in, and the ids of callers.
    let opted_in = settings(DecisionLogSettings {
        claims: ["username", "level", "teams", "absent"].map(str::to_owned).into(),
        has_requests: true,
        sample_rate: "0.999999".parse().unwrap(),
        ..DecisionLogSettings::default()
    });
    lines.push(kennel.listen(&opted_in, "none").line(&seven.http2()));
    // An answer for all pets that is remembered.
    let function = kennel.listen(&plain, "token");
    lines.push(function.line(&Request::new(&sue, "GET", "/{proxy+}", "/x").token()));
    lines.push(function.line(&Request::new(&sue, "GET", "/{proxy+}", "/x").token()));
    for principal_ids in [hashed(), PrincipalIds::Off] {
        let settings = settings(DecisionLogSettings { principal_ids, ..DecisionLogSettings::default() });
        lines.push(kennel.listen(&settings, "none").line(&seven.rest()));
    }
    lines
}

/// The line without what differs from one run to the next: how long it took, and the hash of the bundle, which has a key
/// of the test.
fn masked(line: &str) -> String {
    let mut masked = line.to_owned();
    for (from, to) in [("\"durations\":{", "}"), ("\"digest\":\"", "\""), ("\"duration\":", ",")] {
        let Some((before, rest)) = masked.split_once(from) else { continue };
        let (value, after) = rest.split_once(to).unwrap();
        let value: String = if from.contains("digest") {
            "…".to_owned()
        } else {
            let mut last = ' ';
            let digits = value.chars().filter(|char| {
                let is_first = !(char.is_ascii_digit() && last.is_ascii_digit());
                last = *char;
                is_first
            });
            digits.map(|char| if char.is_ascii_digit() { '0' } else { char }).collect()
        };
        masked = format!("{before}{from}{value}{to}{after}");
    }
    // In OCSF the digest is the `uid` of the policy.
    match masked.split_once("\"type\":\"Cedar\"") {
        Some((before, after)) => {
            let (before, _) = before.rsplit_once("\"uid\":\"").unwrap();
            format!("{before}\"uid\":\"…\",\"type\":\"Cedar\"{after}")
        }
        None => masked,
    }
}

#[test]
fn lines_of_every_status_and_kind_are_as_checked_in() {
    for (format, name) in [(Format::Json, "json"), (Format::Ocsf, "ocsf")] {
        let lines: Vec<String> = lines(format).iter().map(|line| masked(line) + "\n").collect();
        golden(&root().join(format!("tests/data/decision_log/{name}.jsonl")), &lines.concat());
    }
}

/// For the step of `.ci/run` that compares them with the published schema.
#[test]
fn an_ocsf_line_has_what_its_class_requires() {
    let mut seen = BTreeSet::new();
    for line in lines(Format::Ocsf) {
        let line: Value = serde_json::from_str(&line).unwrap();
        for member in [
            "activity_id",
            "actor",
            "api",
            "category_uid",
            "class_uid",
            "metadata",
            "severity_id",
            "src_endpoint",
            "time",
            "type_uid",
            "action_id",
            "status_id",
            "disposition_id",
        ] {
            assert!(!line[member].is_null(), "{member}: {line}");
        }
        assert_eq!(line["class_uid"], 6003);
        assert_eq!(line["type_uid"], json!(600_300 + line["activity_id"].as_u64().unwrap()));
        assert_eq!(line["metadata"]["version"], "1.8.0");
        assert_eq!(line["metadata"]["profiles"], json!(["security_control"]));
        assert!(line["api"]["operation"].is_string() && line["time"].is_u64());
        seen.insert(line["disposition"].as_str().unwrap().to_owned());
    }
    assert_eq!(seen, ["Allowed", "Blocked", "Error", "Unauthorized"].map(str::to_owned).into());
}

#[test]
fn what_gets_a_line_is_a_setting() {
    let kennel = Kennel::new();
    let token = kennel.token("ann", &json!({}));
    let (allowed, denied) = (pet(&token, "7", "/pets/7").token(), pet(&token, "99", "/pets/99").token());
    let refused = Request::new("", "GET", "/pets/{petId}", "/pets/7").token();
    for (extent, expected) in [(Extent::All, 3), (Extent::Deny, 2), (Extent::Off, 0)] {
        let function =
            kennel.listen(&DecisionLogSettings { extent, ..DecisionLogSettings::default() }, "none");
        let events = [&allowed, &denied, &refused];
        let lines = events.map(|event| function.ask(&event.to_string(), &context()).1);
        assert_eq!(lines.concat().lines().count(), expected, "{extent:?}");
    }
    // A share of the Allows, always the same ones, and everything else.
    let settings =
        DecisionLogSettings { sample_rate: "0.25".parse().unwrap(), ..DecisionLogSettings::default() };
    let (first, second) = (kennel.listen(&settings, "none"), kennel.listen(&settings, "none"));
    let mut taken = 0;
    for number in 0..400 {
        let context = LambdaContext { request_id: Some(format!("r-{number}")), trace_id: None };
        let line = first.ask(&allowed.to_string(), &context).1;
        assert_eq!(line.is_empty(), second.ask(&allowed.to_string(), &context).1.is_empty());
        assert!(line.is_empty() || line.contains(r#","sampleRate":0.25"#), "{line}");
        taken += usize::from(!line.is_empty());
        let line = first.ask(&denied.to_string(), &context).1;
        assert!(line.contains("no-matching-permit") && !line.contains("sampleRate"), "{line}");
    }
    assert!((60..140).contains(&taken), "{taken}");
}

#[test]
fn a_hidden_id_is_nowhere_in_a_line() {
    let kennel = Kennel::new();
    // The caller is the resource, is named by the path and by a policy, and is in a claim that was opted in.
    let id = "4f6c2a80-1b1d-4c1e-9a0e-0c6b1f0b7f11";
    let own = r#"[[routes]]
method = "GET"
path = "/users/{id}"
action = "ViewUser"
resource = 'Kennel::User::"us-east-1_KENNEL|{id}"'

[[routes]]
method = "GET"
path = "/pets/of/{petId}"
action = "ViewPet"
resource = 'Kennel::Pet::"{petId}"'
"#;
    let toml = fs::read_to_string(kennel.store.path().join("store.toml")).unwrap();
    kennel.store.write("store.toml", format!("{toml}\n{own}").as_bytes());
    let schema = fs::read_to_string(kennel.store.path().join("schema.cedarschema")).unwrap();
    let schema = schema.replace(
        "  action read;",
        "  action ViewUser appliesTo { principal: User, resource: User };\n  action read;",
    );
    kennel.store.write("schema.cedarschema", schema.as_bytes());
    let policy = format!("@id(\"for-{id}\")\npermit (principal, action, resource) when {{ true }};");
    kennel.store.write("policies/own.cedar", policy.as_bytes());
    let token = kennel.token(id, &json!({"username": id, "mail": [format!("{id}@example.com")]}));
    let by_path = |path: &str, template: &str| {
        let (_, last) = path.rsplit_once('/').unwrap();
        let name = if template.contains("petId") { "petId" } else { "id" };
        Request { parameters: json!({name: last}), ..Request::new(&token, "GET", template, path) }.rest()
    };
    let events = [
        by_path(&format!("/users/{id}"), "/users/{id}"),
        by_path(&format!("/pets/of/{id}"), "/pets/of/{petId}"),
        by_path(&format!("/pets/of/x{id}y"), "/pets/of/{petId}"),
        by_path("/users/somebody-else", "/users/{id}"),
    ];
    let mut ids = BTreeSet::new();
    for format in [Format::Json, Format::Ocsf] {
        for (principal_ids, is_hidden) in
            [(PrincipalIds::Plain, false), (hashed(), true), (PrincipalIds::Off, true)]
        {
            let settings = DecisionLogSettings {
                format,
                principal_ids,
                claims: ["username", "mail", "sub"].map(str::to_owned).into(),
                ..DecisionLogSettings::default()
            };
            let function = kennel.listen(&settings, "none");
            for (number, event) in events.iter().enumerate() {
                let line = function.line(event);
                assert!(line.contains("allowed-by-policy"), "{line}");
                assert_eq!(!line.contains(id), is_hidden, "{line}");
                let line: Value = serde_json::from_str(&line).unwrap();
                if is_hidden && format == Format::Json {
                    ids.insert(line["principal"]["id"].to_string());
                    // Who acts on themselves can be seen all the same.
                    assert_eq!(line["resource"]["id"] == line["principal"]["id"], number == 0, "{line}");
                }
            }
        }
    }
    assert_eq!(ids.len(), 2, "{ids:?}");
    assert!(ids.iter().any(|id| id == "null"));
    // The command of the documentation gives the hash of an id.
    let docs = fs::read_to_string(root().join("docs/decision-log.md")).unwrap();
    let (_, from) = docs.split_once("```sh\nprintf %s").unwrap();
    let (command, _) = from.split_once("```").unwrap();
    let command =
        format!("printf %s{command}").replace("us-east-1_EXAMPLE|alice", &format!("us-east-1_KENNEL|{id}"));
    let output = Command::new("sh").arg("-c").arg(&command).env("PRINCIPAL_IDS_KEY", KEY).output().unwrap();
    let hash = String::from_utf8(output.stdout).unwrap();
    assert!(ids.contains(&format!("{:?}", hash.trim_end())), "{hash} {ids:?} {:?}", output.stderr);
}

#[test]
fn what_is_wrong_with_the_settings_is_said_at_once_and_without_their_values() {
    let secret = "c2Vrcml0c2Vrcml0";
    for (environment, expected) in [
        (
            vec![
                ("DECISION_LOG", secret),
                ("DECISION_LOG_FORMAT", secret),
                ("DECISION_LOG_SAMPLE_RATE", secret),
                ("DECISION_LOG_REQUESTS", secret),
                ("DECISION_LOG_CLAIMS", " , "),
                ("PRINCIPAL_IDS", secret),
                ("PRINCIPAL_IDS_KEY", secret),
            ],
            vec![
                "DECISION_LOG: neither `all`, `deny` nor `off`",
                "DECISION_LOG_FORMAT: neither `json` nor `ocsf`",
                "DECISION_LOG_SAMPLE_RATE: not a number from 0 to 1, such as 0.1",
                "DECISION_LOG_REQUESTS: neither `true` nor `false`",
                "DECISION_LOG_CLAIMS: empty; it lists names of claims, separated by commas",
                "PRINCIPAL_IDS: neither `plain`, `hashed` nor `off`",
                "PRINCIPAL_IDS_KEY: not the base64, with padding, of 16 or more bytes",
            ],
        ),
        (
            vec![("PRINCIPAL_IDS", "hashed")],
            vec!["PRINCIPAL_IDS_KEY: not set; PRINCIPAL_IDS=hashed needs it"],
        ),
        (vec![("PRINCIPAL_IDS_KEY", KEY)], vec!["PRINCIPAL_IDS_KEY: set without PRINCIPAL_IDS=hashed"]),
        (
            vec![("PRINCIPAL_IDS", "hashed"), ("PRINCIPAL_IDS_KEY", secret)],
            vec!["PRINCIPAL_IDS_KEY: not the base64, with padding, of 16 or more bytes"],
        ),
        (
            vec![("PRINCIPAL_IDS", "off"), ("DECISION_LOG_REQUESTS", "true")],
            vec!["DECISION_LOG_REQUESTS: `true` needs PRINCIPAL_IDS=plain"],
        ),
    ] {
        let all = [&[("BUNDLE_URI", "s3://b/k"), ("CACHE_KEY", "none")], environment.as_slice()].concat();
        let failure = Function::start(FUNCTION, all).err().unwrap();
        let message = failure.message;
        for line in &expected {
            assert!(message.contains(&format!("\n  {line}")), "{line}: {message}");
        }
        assert_eq!(message.lines().count(), 1 + expected.len(), "{message}");
        assert!(!message.contains(secret) && !failure.logs.contains(secret), "{message}");
    }
}

#[test]
fn hostile_text_is_cut_and_stays_on_one_line() {
    let kennel = Kennel::new();
    let function = kennel.listen(&DecisionLogSettings::default(), "none");
    let hostile = "\"\\\n\u{2028}\u{202e}\u{7f}\u{85}\u{1f600}é";
    let token = kennel.token(&format!("{hostile}{}", "€".repeat(2000)), &json!({}));
    for (id, path) in [
        ("p".repeat(600), format!("/pets/{}", "p".repeat(600))),
        ("p".repeat(512), format!("/pets/{}", "p".repeat(512))),
    ] {
        let line = function.line(&pet(&token, &id, &path).http2());
        assert!(line.len() < 4000 && !line.contains(['\u{2028}', '\u{202e}', '\u{85}', '\u{7f}']), "{line}");
        let line: Value = serde_json::from_str(&line).unwrap();
        let shown = line["resource"]["id"].as_str().unwrap();
        let begins = shown.strip_suffix('…').is_some_and(|begin| id.starts_with(begin) && begin.len() == 512);
        assert_eq!(line["resource"]["type"], "Kennel::Pet", "{line}");
        assert!(shown == id || (id.len() > 512 && begins), "{line}");
        let principal = line["principal"]["id"].as_str().unwrap();
        assert!(principal.contains(hostile) && principal.ends_with("€€…"), "{line}");
    }
    // A request that is too long is not logged in part.
    let settings = DecisionLogSettings { has_requests: true, ..DecisionLogSettings::default() };
    let function = kennel.listen(&settings, "none");
    let headers = json!({"X-Tenant": "y".repeat(140_000)});
    let event = Request { headers, ..Request::new(&token, "GET", "/report", "/report") };
    let line = function.json(&event.rest());
    assert_eq!(line["request"], json!({"version": 1, "omitted": "size"}), "{line}");
}

/// Policies for random stores: they read whatever a request has.
const POLICIES: [&str; 8] = [
    r#"permit (principal, action == Kennel::Action::"Report", resource) when { context.http.headers has "x-tenant" && context.http.headers["x-tenant"] like "k*" };"#,
    r#"permit (principal, action == Kennel::Action::"ViewPet", resource) when { context has pathParameters && context.pathParameters has houseId && context.pathParameters.houseId > 5 };"#,
    r#"forbid (principal in Kennel::Group::"us-east-1_KENNEL|banned", action, resource);"#,
    r#"permit (principal == Kennel::User::"us-east-1_KENNEL|ben", action, resource) when { resource is Kennel::Pet && resource has house && resource.house == "7" };"#,
    r#"forbid (principal, action == Kennel::Action::"ViewPet", resource) when { context has pathParameters && context.pathParameters has houseId && context.pathParameters.houseId + 9223372036854775807 > 0 };"#,
    r#"permit (principal, action, resource is Kennel::Pet) when { resource has size && resource.size == 7 };"#,
    r#"permit (principal, action == Kennel::Action::"Report", resource) when { context.http has sourceIp && context.http.sourceIp.isInRange(ip("10.0.0.0/8")) };"#,
    r#"permit (principal in Kennel::Group::"us-east-1_KENNEL|staff", action, resource);"#,
];

/// One call: the caller, the kind of call and of event, the pet and the house.
type AnyCall = (usize, usize, usize, &'static str, &'static str);

/// Which of the policies there are, whether those of the store are there too, the cache key, and calls.
fn calls() -> impl Strategy<Value = (Vec<bool>, bool, usize, Vec<AnyCall>)> {
    let pet = prop::sample::select(vec!["7", "8", "9", "10", "99", "a b", "\"x\"", "ü"]);
    let house = prop::sample::select(vec!["7", "4", "open", "-1"]);
    let call = (0..4_usize, 0..4_usize, 0..4_usize, pet, house);
    (
        prop::collection::vec(any::<bool>(), POLICIES.len()),
        any::<bool>(),
        0..3_usize,
        prop::collection::vec(call, 1..12),
    )
}

fn event_of(call: &AnyCall, tokens: &[String]) -> Value {
    let (caller, what, kind, pet, house) = *call;
    let token = &tokens[caller];
    let path = format!("/pets/{}", pet.replace(['"', ' ', 'ü'], "_"));
    let in_house = format!("/houses/{house}{path}");
    let request = match what {
        0 => self::pet(token, pet, &path),
        1 | 2 => Request {
            parameters: json!({"houseId": house, "petId": pet}),
            ..Request::new(
                token,
                if what == 1 { "GET" } else { "PUT" },
                "/houses/{houseId}/pets/{petId}",
                &in_house,
            )
        },
        _ => Request {
            query: &[("year", "2025"), ("kind", "all")],
            headers: json!({"X-Tenant": "kennel"}),
            ..Request::new(token, "GET", "/report", "/report")
        },
    };
    match kind {
        0 => request.rest(),
        1 => request.token(),
        2 => request.http2(),
        _ => request.http1(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_logged_request_is_decided_again_as_it_was((chosen, has_own, key, calls) in calls()) {
        let kennel = Kennel::new();
        if !has_own {
            // What is left reads nothing of the path, so an answer may be for all pets.
            fs::remove_dir_all(kennel.store.path().join("policies")).unwrap();
        }
        let reads_path = |policy: &str| policy.contains("pathParameters") || policy.contains("resource is");
        let text = POLICIES.iter().enumerate().filter(|(number, _)| chosen[*number]);
        let text = text.filter(|(_, policy)| has_own || !reads_path(policy));
        let text: String = text.map(|(number, policy)| format!("@id(\"random-{number}\")\n{policy}\n")).collect();
        kennel.store.write("policies/random.cedar", text.as_bytes());
        let groups = |groups: Value| json!({"cognito:groups": groups, "scope": "a b"});
        let tokens = [
            kennel.token("ann", &json!({})),
            kennel.token("ben", &groups(json!(["banned"]))),
            kennel.token("sue", &groups(json!(["staff", "x"]))),
            kennel.token("\"q\\u{0}", &groups(json!(["staff", "banned"]))),
        ];
        let settings = DecisionLogSettings { has_requests: true, ..DecisionLogSettings::default() };
        let key = ["none", "token", "$request.header.Authorization,$context.path,$context.httpMethod"][key];
        let function = kennel.listen(&settings, key);
        let gate = Gate::with_pinned_keys(kennel.bundle());
        for call in &calls {
            let line = function.json(&event_of(call, &tokens));
            let is_by_policy = ["allowed-by-policy", "no-matching-permit", "forbidden-by-policy", "forbid-error"]
                .contains(&line["reason"].as_str().unwrap());
            prop_assert_eq!(line["request"].is_object(), is_by_policy, "{}", line);
            if is_by_policy {
                let (principal, request) = read(&line["request"]);
                let decision = gate.is_authorized(&principal, &request).unwrap();
                let ids = |policies: &[PolicyId]| -> Vec<Value> {
                    policies.iter().map(|id| json!(id.to_string())).collect()
                };
                let logged = |name: &str| line[name].as_array().cloned().unwrap_or_default();
                prop_assert_eq!(decision.reason.code(), line["reason"].as_str().unwrap(), "{}", line);
                prop_assert_eq!(ids(&decision.policies), logged("policies"), "{}", line);
                prop_assert_eq!(ids(&decision.errors), logged("errors"), "{}", line);
                prop_assert_eq!(&line["request"]["resource"], &line["resource"], "{}", line);
            }
        }
    }
}

/// Reads a logged request back. It says itself what is an entity or an extension value, so it needs no schema.
fn read(request: &Value) -> (EntityUid, AuthorizationRequest) {
    assert_eq!(request["version"], 1);
    let uid = |name: &str| EntityUid::from_json(request[name].clone()).unwrap();
    let context = Context::from_json_value(request["context"].clone(), None).unwrap();
    let entities = Entities::from_json_value(request["entities"].clone(), None).unwrap();
    let request = AuthorizationRequest::new(uid("action"), uid("resource"));
    (uid("principal"), request.with_context(context).with_entities(entities.into_iter().collect()))
}

/// What no policy reads is not in a logged request, so the schema takes it only if nothing else is required.
#[test]
fn with_the_schema_a_logged_request_is_the_same() {
    let kennel = Kennel::new();
    let text = fs::read_to_string(kennel.store.path().join("schema.cedarschema")).unwrap();
    let (schema, _) = Schema::from_cedarschema_str(&text).unwrap();
    let settings = DecisionLogSettings { has_requests: true, ..DecisionLogSettings::default() };
    let function = kennel.listen(&settings, "none");
    let token = kennel.token("ann", &json!({"cognito:groups": ["staff"]}));
    let move_pet = Request {
        parameters: json!({"houseId": "7", "petId": "7"}),
        ..Request::new(&token, "PUT", "/houses/{houseId}/pets/{petId}", "/houses/7/pets/7")
    };
    for event in [pet(&token, "7", "/pets/7").rest(), move_pet.http2()] {
        let line = function.json(&event);
        let (_, request) = read(&line["request"]);
        let logged = |name: &str| line["request"][name].clone();
        let context = Context::from_json_value(logged("context"), Some((&schema, &request.action))).unwrap();
        assert_eq!(context.to_json_value().unwrap(), request.context.to_json_value().unwrap());
        let entities = Entities::from_json_value(logged("entities"), Some(&schema)).unwrap();
        for entity in &request.entities {
            assert_eq!(entities.get(&entity.uid()), Some(entity), "{line}");
        }
    }
}

#[test]
fn the_line_is_json_in_the_executable_whatever_the_format_and_the_level_of_the_log() {
    let kennel = Kennel::new();
    let uri = kennel.store.uri();
    let token = kennel.token("ann", &json!({}));
    for (level, format) in [("FATAL", "Text"), ("TRACE", "Text"), ("INFO", "JSON")] {
        let function = Function::start(
            FUNCTION,
            [
                ("BUNDLE_URI", uri.as_str()),
                ("CACHE_KEY", "none"),
                ("AWS_LAMBDA_LOG_LEVEL", level),
                ("AWS_LAMBDA_LOG_FORMAT", format),
                ("POWERTOOLS_SERVICE_NAME", "kennel \"at night\""),
            ],
        );
        let function = function.unwrap();
        function.invoke(&pet(&token, "7", "/pets/7").rest());
        let logs = function.logs();
        let mut lines = logs.lines().filter(|line| line.contains("\"message\":\"decision\""));
        let line: Value = serde_json::from_str(lines.next().unwrap()).unwrap();
        assert_eq!(lines.next(), None);
        assert_eq!(line["service"], "kennel \"at night\"");
        assert_eq!(line["principal"]["id"], "us-east-1_KENNEL|ann");
        assert!(line["durations"]["total"].as_u64().unwrap() > 0 && line["requestId"].is_string(), "{line}");
        assert!(EXPIRES_AT > ISSUED_AT && line["coldStart"] == true, "{line}");
    }
}

/// All members of a line: `api.kind` for a member of a member.
fn members(line: &Value, before: &str, found: &mut BTreeSet<String>) {
    for (name, value) in line.as_object().unwrap() {
        let path = format!("{before}{name}");
        match value {
            Value::Object(_) if !["claims", "request"].contains(&path.as_str()) => {
                members(value, &format!("{path}."), found);
            }
            _ => drop(found.insert(path)),
        }
    }
}

#[test]
fn the_documentation_has_every_member_and_its_queries_have_no_others() {
    let docs = fs::read_to_string(root().join("docs/decision-log.md")).unwrap();
    let section = |title: &str| docs.split(title).nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = section("\n## The line").lines().filter_map(|line| line.strip_prefix("| `"));
    let documented: BTreeSet<String> = rows.map(|row| row.split('`').next().unwrap().to_owned()).collect();
    let mut found = BTreeSet::new();
    for line in lines(Format::Json) {
        members(&serde_json::from_str(&line).unwrap(), "", &mut found);
    }
    // Only with a shadow bundle, and with a large bundle in S3.
    found.extend(["durations.shadow", "durations.parts"].map(str::to_owned));
    assert_eq!(found, documented);

    let words = [
        "and",
        "as",
        "asc",
        "bin",
        "by",
        "coalesce",
        "count",
        "count_distinct",
        "desc",
        "fields",
        "filter",
        "in",
        "ispresent",
        "latest",
        "limit",
        "sort",
        "stats",
        "sum",
    ];
    let queries: Vec<&str> =
        docs.split("```text\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(queries.len(), 13);
    for query in queries {
        // Without texts, and without the names that a query gives.
        let outside: String = query.split('"').step_by(2).collect();
        let is_of_word = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '.' | '@');
        let all: Vec<&str> =
            outside.split(|char| !is_of_word(char)).filter(|word| !word.is_empty()).collect();
        let given: BTreeSet<&str> =
            all.windows(2).filter(|pair| pair[0] == "as").map(|pair| pair[1]).collect();
        for word in all {
            let is_number = word.starts_with(|char: char| char.is_ascii_digit());
            let member = word.strip_suffix(".0").unwrap_or(word);
            assert!(
                words.contains(&word) || given.contains(word) || is_number || documented.contains(member),
                "{word}: {query}"
            );
        }
    }
}
