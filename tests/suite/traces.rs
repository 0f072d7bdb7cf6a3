//! The spans that the function sends to a collector.

/// A collector of OTLP over HTTP, and the ways in which it can fail.
mod collector;
/// The wire format of Protocol Buffers.
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::loopback::{Answer, Function, KeyServer};
use crate::world::{FUNCTION, StoreCopy, development_key_set, event, method_arn, token};
use collector::{Behaviour, Collector, SERVER, Span};

fn start(environment: &[(&str, &str)]) -> Result<Function, String> {
    let usual = [("CACHE_KEY", "none"), ("ALLOW_DEVELOPMENT_KEYS", "true")];
    Function::start(FUNCTION, [&usual, environment].concat()).map_err(|failure| failure.message)
}

/// A function that sends spans whatever is around an event: the Runtime API of the tests says `Sampled=0`.
fn traced(store: &StoreCopy, collector: &Collector, more: &[(&str, &str)]) -> Function {
    let usual = [
        ("BUNDLE_URI", store.uri()),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint().to_owned()),
        ("OTEL_TRACES_SAMPLER", "always_on".to_owned()),
    ];
    let usual = usual.each_ref().map(|(name, value)| (*name, value.as_str()));
    start(&[usual.as_slice(), more].concat()).unwrap()
}

fn request(token: &str, path: &str, traceparent: Option<&str>) -> Value {
    let mut headers = json!({"Authorization": token});
    if let Some(traceparent) = traceparent {
        headers["traceparent"] = traceparent.into();
    }
    json!({
        "type": "REQUEST",
        "methodArn": method_arn("GET", path),
        "resource": path,
        "path": path,
        "httpMethod": "GET",
        "headers": headers,
        "multiValueHeaders": {},
        "queryStringParameters": {},
        "pathParameters": {},
        "requestContext": {"resourcePath": path, "httpMethod": "GET", "stage": "test", "apiId": "ymy8tbxw7b"},
    })
}

/// The span of an event and its steps by name, of the latest event.
#[track_caller]
fn latest(spans: &[Span]) -> (Span, BTreeMap<String, Span>) {
    let of_event = spans.iter().rfind(|span| span.kind == SERVER).unwrap();
    let mut within = BTreeSet::from([of_event.id.as_str()]);
    let mut steps = BTreeMap::new();
    // Steps may come before the step that they are in.
    for _ in 0..2 {
        for span in spans.iter().filter(|span| within.contains(span.parent.as_str())).collect::<Vec<_>>() {
            within.insert(&span.id);
            steps.insert(span.name.clone(), span.clone());
        }
    }
    (of_event.clone(), steps)
}

#[track_caller]
fn effect(answer: &Answer) -> &str {
    match answer {
        Answer::Response(response) => response["policyDocument"]["Statement"][0]["Effect"].as_str().unwrap(),
        Answer::Error { error_message, .. } => error_message,
    }
}

/// What Lambda says in these tests: `Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0`.
const X_RAY: (&str, &str) = ("5759e988bd862e3fe1be46a994272793", "53995c3f42cd8ad8");

const W3C: (&str, &str) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");

#[test]
fn an_event_is_a_span_with_its_steps_in_the_trace_of_lambda() {
    let (store, collector) = (StoreCopy::new(), Collector::start(Behaviour::Takes));
    let before = nanoseconds();
    let function = traced(&store, &collector, &[]);
    assert_eq!(effect(&function.invoke(&event(&token("alice", json!({})), "GET", "/pets"))), "Allow");
    let spans = collector.events(1);
    let (of_event, steps) = latest(&spans);
    assert_eq!((of_event.trace.as_str(), of_event.parent.as_str()), X_RAY);
    assert_eq!(of_event.name, "cedar-authorizer");
    assert_eq!(steps.keys().collect::<Vec<_>>(), ["bundle", "decide", "grant", "respond", "verify"]);
    assert_eq!(spans.len(), 6);
    assert!(before <= of_event.begins && of_event.ends <= nanoseconds());
    let mut last = of_event.begins;
    for name in ["bundle", "verify", "decide", "grant", "respond"] {
        let step = &steps[name];
        assert_eq!((step.trace.as_str(), step.parent.as_str()), (X_RAY.0, of_event.id.as_str()));
        assert!(last <= step.begins && step.begins <= step.ends && step.ends <= of_event.ends, "{name}");
        last = step.ends;
    }
    let ids: BTreeSet<&str> = spans.iter().map(|span| span.id.as_str()).collect();
    assert_eq!(ids.len(), spans.len());
}

#[test]
fn the_attributes_have_few_values_and_say_nothing_of_the_caller() {
    let (store, collector) = (StoreCopy::new(), Collector::start(Behaviour::Takes));
    let function = traced(
        &store,
        &collector,
        &[
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=prod,cloud.region=eu-x-1"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=k1"),
            ("POWERTOOLS_SERVICE_NAME", "shop-authorizer"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/11/22/[$LATEST]abc"),
        ],
    );
    let alice = token("alice", json!({"username": "sekrit"}));
    function.invoke(&event(&alice, "GET", "/pets/sekrit"));
    let (of_event, _) = latest(&collector.events(1));
    let expected = |more: &[(&str, &str)]| -> BTreeMap<String, String> {
        more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    assert_eq!(
        of_event.attributes,
        expected(&[
            ("cedar_authorizer.answer.remembered", "false"),
            ("cedar_authorizer.api", "rest-token"),
            ("cedar_authorizer.bundle.revision", "0"),
            ("cedar_authorizer.decision", "allow"),
            ("cedar_authorizer.reason", "allowed-by-policy"),
            ("cedar_authorizer.token.remembered", "false"),
            ("faas.coldstart", "true"),
            ("faas.invocation_id", "00000000-0000-4000-8000-000000000001"),
            ("faas.trigger", "http"),
            ("http.route", "/pets/{petId}"),
        ])
    );
    let mut resource = of_event.resource.clone();
    assert_eq!(resource.remove("telemetry.sdk.language").as_deref(), Some("rust"));
    resource.retain(|name, _| !name.starts_with("telemetry."));
    assert_eq!(
        resource,
        expected(&[
            ("cloud.platform", "aws_lambda"),
            ("cloud.provider", "aws"),
            ("cloud.region", "eu-x-1"),
            ("deployment.environment.name", "prod"),
            ("faas.instance", "2026/11/22/[$LATEST]abc"),
            ("faas.max_memory", "268435456"),
            ("faas.name", "cedar-authorizer"),
            ("faas.version", "$LATEST"),
            ("service.name", "shop-authorizer"),
        ])
    );
    for sent in [
        event(&alice, "GET", "/sekrit"),
        event("sekrit", "GET", "/pets"),
        request(&alice, "/pets", Some("sekrit")),
        json!({"type": "sekrit"}),
    ] {
        function.invoke(&sent);
    }
    let spans = collector.events(5);
    assert!(!format!("{spans:?}").contains("sekrit"));
    let (of_malformed, steps) = latest(&spans);
    assert_eq!((of_malformed.status, steps.len()), (2, 0), "{of_malformed:?}");
    assert!(spans.iter().filter(|span| span.status == 2).count() == 1);
    let headers = collector.headers();
    assert!(headers.iter().all(|headers| headers["api-key"] == "k1"));
    assert_eq!(headers[0]["content-type"], "application/x-protobuf");
}

#[test]
fn the_trace_of_the_request_counts_before_that_of_lambda() {
    let (store, collector) = (StoreCopy::new(), Collector::start(Behaviour::Takes));
    let function = traced(&store, &collector, &[("OTEL_SERVICE_NAME", "of-traces")]);
    let alice = token("alice", json!({}));
    let good = format!("00-{}-{}-01", W3C.0, W3C.1);
    for (number, (traceparent, expected)) in [
        (Some(good.as_str()), W3C),
        (None, X_RAY),
        (Some("00-00000000000000000000000000000000-b7ad6b7169203331-01"), X_RAY),
        (Some("00-\"}\u{0}-x-01"), X_RAY),
        (Some(&"0".repeat(9000)), X_RAY),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(effect(&function.invoke(&request(&alice, "/pets", traceparent))), "Allow");
        let (of_event, _) = latest(&collector.events(number + 1));
        assert_eq!((of_event.trace.as_str(), of_event.parent.as_str()), expected, "{traceparent:?}");
        assert_eq!(of_event.resource["service.name"], "of-traces");
    }
}

#[test]
fn a_trace_that_is_not_sampled_has_no_spans() {
    let (store, collector) = (StoreCopy::new(), Collector::start(Behaviour::Takes));
    // The default. Lambda's trace is not sampled here.
    let function = traced(&store, &collector, &[("OTEL_TRACES_SAMPLER", "parentbased_always_on")]);
    let alice = token("alice", json!({}));
    let traceparent = |flags: &str| format!("00-{}-{}-{flags}", W3C.0, W3C.1);
    function.invoke(&event(&alice, "GET", "/pets"));
    function.invoke(&request(&alice, "/pets", Some(&traceparent("00"))));
    function.invoke(&request(&alice, "/pets", Some(&traceparent("01"))));
    let spans = collector.events(1);
    assert!(spans.iter().all(|span| span.trace == W3C.0), "{spans:#?}");
    assert_eq!(spans.iter().filter(|span| span.kind == SERVER).count(), 1);
}

#[test]
fn a_fetch_of_keys_is_a_span_within_the_verification() {
    let keys = KeyServer::start(json!({"keys": []}));
    let store = StoreCopy::with_jwks_uri(&keys.uri());
    let collector = Collector::start(Behaviour::Takes);
    let function = traced(&store, &collector, &[]);
    let call = event(&token("alice", json!({})), "GET", "/pets");
    keys.set(development_key_set());
    // The keys of the start have none for this token; they are fetched again when that is allowed.
    let mut events = 0;
    let (of_event, steps) = loop {
        let answer = function.invoke(&call);
        events += 1;
        if effect(&answer) == "Allow" {
            break latest(&collector.events(events));
        }
        assert!(events < 200, "{}", function.logs());
        thread::sleep(Duration::from_millis(200));
    };
    let (verify, fetch) = (&steps["verify"], &steps["keys"]);
    assert_eq!((verify.parent.as_str(), fetch.parent.as_str()), (of_event.id.as_str(), verify.id.as_str()));
    assert!(verify.begins <= fetch.begins && fetch.begins < fetch.ends && fetch.ends <= verify.ends);
}

#[test]
fn a_collector_that_fails_neither_delays_nor_changes_an_answer() {
    let store = StoreCopy::new();
    let alice = token("alice", json!({}));
    for behaviour in [
        Behaviour::Hangs,
        Behaviour::Slow(Duration::from_secs(5)),
        Behaviour::Status(503),
        Behaviour::Status(400),
        Behaviour::Nonsense,
        Behaviour::Endless,
        Behaviour::Redirects,
    ] {
        let collector = Collector::start(behaviour);
        let function = traced(&store, &collector, &[("OTEL_EXPORTER_OTLP_TIMEOUT", "1000")]);
        function.invoke(&event(&alice, "GET", "/pets"));
        let begun = Instant::now();
        for _ in 0..100 {
            assert_eq!(effect(&function.invoke(&event(&alice, "GET", "/pets"))), "Allow");
        }
        // A hundred answers would wait a hundred seconds for such a collector.
        assert!(begun.elapsed() < Duration::from_secs(20), "{behaviour:?}: {:?}", begun.elapsed());
        let lines = until(&function, |line| line.contains("traces of events are lost"), behaviour);
        let is_told = behaviour != Behaviour::Nonsense;
        assert_eq!(lines.len(), usize::from(is_told), "{behaviour:?}: {lines:?}");
        assert!(!function.logs().contains("sekrit") && !function.logs().contains(collector.endpoint()));
    }
}

/// The lines that are as wanted, after time for the first of them.
fn until(function: &Function, is_wanted: impl Fn(&str) -> bool, behaviour: Behaviour) -> Vec<String> {
    let patience = if behaviour == Behaviour::Nonsense { 1 } else { 10 };
    let begun = Instant::now();
    loop {
        let logs = function.logs();
        let lines: Vec<String> = logs.lines().filter(|line| is_wanted(line)).map(str::to_owned).collect();
        if !lines.is_empty() || begun.elapsed() > Duration::from_secs(patience) {
            return lines;
        }
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn without_a_collector_the_function_answers_and_says_it_once() {
    let store = StoreCopy::new();
    let uri = store.uri();
    let function = start(&[
        ("BUNDLE_URI", &uri),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://user:sekrit@127.0.0.1:9/spans"),
        ("OTEL_TRACES_SAMPLER", "always_on"),
        ("AWS_LAMBDA_LOG_LEVEL", "TRACE"),
    ])
    .unwrap();
    let alice = token("alice", json!({}));
    for _ in 0..100 {
        assert_eq!(effect(&function.invoke(&event(&alice, "GET", "/pets"))), "Allow");
    }
    let lines = until(&function, |line| line.contains("traces of events are lost"), Behaviour::Takes);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(!function.logs().contains("sekrit"), "{}", function.logs());
}

/// Lambda freezes all processes between events.
#[test]
#[cfg(unix)]
fn spans_that_a_freeze_keeps_leave_later() {
    let (store, collector) =
        (StoreCopy::new(), Collector::start(Behaviour::Slow(Duration::from_millis(300))));
    let function = traced(&store, &collector, &[]);
    let call = event(&token("alice", json!({})), "GET", "/pets");
    for _ in 0..3 {
        function.invoke(&call);
        function.freeze();
        thread::sleep(Duration::from_millis(500));
        function.thaw();
    }
    assert_eq!(collector.events(3).iter().filter(|span| span.kind == SERVER).count(), 3);
    assert!(!function.logs().contains("traces of events are lost"), "{}", function.logs());
}

#[test]
fn every_problem_of_the_settings_is_in_one_message() {
    let message = start(&[
        ("BUNDLE_URI", "s3://bucket/key"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "sekrit"),
        ("OTEL_TRACES_SAMPLER", "sekrit"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
    ])
    .unwrap_err();
    for name in ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_SAMPLER", "OTEL_EXPORTER_OTLP_PROTOCOL"] {
        assert!(message.contains(&format!("\n  {name}: ")), "{message}");
    }
    assert!(!message.contains("sekrit"), "{message}");
}

#[test]
fn turned_off_nothing_is_sent() {
    let (store, collector) = (StoreCopy::new(), Collector::start(Behaviour::Takes));
    for off in [
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_TRACES_SAMPLER", "always_off"),
    ] {
        let function = traced(&store, &collector, &[off]);
        function.invoke(&event(&token("alice", json!({})), "GET", "/pets"));
        thread::sleep(Duration::from_millis(300));
        assert_eq!((collector.spans(), collector.headers().len()), (vec![], 0), "{off:?}");
    }
}

fn nanoseconds() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}
