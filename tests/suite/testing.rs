//! `test`: its files, its answers, its reports.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use cedar_authorizer::bundle::Bundle;
use cedar_authorizer::gateway::cache_key::CacheKey;
use cedar_authorizer::gateway::call::Call;
use cedar_authorizer::gateway::response::SimpleResponses;
use cedar_authorizer::time::UnixTime;
use serde_json::{Value, json};

use crate::gateway::Request;
use crate::oracle::{AuthorizerCache, NotResource, passes};
use crate::world::{
    ISSUED_AT, StoreCopy, golden, pretty, root, run, sample_bundle, sample_store, session, stderr, stdout,
    token,
};

const DATA: &str = "tests/data/testing";

/// Runs `test` on a file with these tests, for a store.
fn run_on(store: &Path, tests: &str, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tests.yaml");
    fs::write(&file, tests).unwrap();
    let fixed = ["test", "--store", store.to_str().unwrap(), file.to_str().unwrap()];
    run(&[&fixed[..], arguments].concat())
}

/// The report of such a run as JSON.
#[track_caller]
fn report_on(store: &Path, tests: &str) -> Value {
    let output = run_on(store, tests, &["--format", "json"]);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr(&output)))
}

/// What a run says, without the warning about the development key of the sample store.
fn complaints(output: &Output) -> String {
    let text = stderr(output);
    let lines = text.lines().skip_while(|line| !line.starts_with("error"));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_sample_store_passes_its_tests() {
    let output = run(&["test"]);
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    golden(&root().join(DATA).join("sample.txt"), &stdout(&run(&["test", "--verbose", "--coverage"])));
}

#[test]
fn every_form_of_test_passes_as_it_is_written() {
    let output = run(&["test", "tests/data/testing/passing.yaml", "--verbose"]);
    golden(&root().join(DATA).join("passing.txt"), &stdout(&output));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn a_failed_test_says_what_was_expected_what_came_and_why() {
    let file = "tests/data/testing/failing.yaml";
    for (format, extension) in [("human", "txt"), ("json", "json"), ("junit", "xml")] {
        let output = run(&["test", file, "--format", format]);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        golden(&root().join(DATA).join("failing").with_extension(extension), &stdout(&output));
    }
}

#[test]
fn nothing_in_a_test_file_is_ignored() {
    let mut files = 0;
    for entry in fs::read_dir(root().join(DATA).join("bad")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        files += 1;
        let output = run(&["test", path.strip_prefix(root()).unwrap().to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1), "{}", path.display());
        assert_eq!(stdout(&output), "", "{}", path.display());
        golden(&path.with_extension("txt"), &complaints(&output));
    }
    assert_eq!(files, 13);
}

#[test]
fn a_file_that_cannot_be_read_is_no_panic() {
    let (folder, store) = (tempfile::tempdir().unwrap(), sample_store());
    let at = |name: &str| folder.path().join(name);
    fs::write(at("latin1.yaml"), b"tests:\n  - name: caf\xe9\n").unwrap();
    fs::create_dir(at("folder.yaml")).unwrap();
    fs::write(at("deep.yaml"), "[".repeat(100_000)).unwrap();
    let bomb: String =
        (1..30).map(|level| format!("a{level}: &a{level} [*a{0}, *a{0}]\n", level - 1)).collect();
    fs::write(at("bomb.yaml"), format!("a0: &a0 [x]\n{bomb}tests: *a29\n")).unwrap();
    fs::write(at("nul.yaml"), "tests:\n  - name: \"\\0\"\n    request: \"GET /\\0\"\n    expect: deny\n")
        .unwrap();
    let many = vec!["GET /pets"; 1000].join(", ");
    let product = format!(
        "tests:\n  - name: x\n    as: [{}]\n    request: [{many}]\n    expect: deny\n",
        ["bob"; 600].join(", ")
    );
    fs::write(at("product.yaml"), product).unwrap();
    for (name, message) in [
        ("missing.yaml", "cannot read the file: No such file"),
        ("latin1.yaml", "the file is not UTF-8"),
        ("folder.yaml", "cannot read the file: Is a directory"),
        ("deep.yaml", "not YAML"),
        ("bomb.yaml", "more than 4000000 values"),
        ("nul.yaml", "'\\0' is not part of a path"),
        ("product.yaml", "more cases than one file may have"),
    ] {
        let path = at(name);
        let output = run(&["test", "--store", store.to_str().unwrap(), path.to_str().unwrap()]);
        let complaints = complaints(&output);
        assert_eq!(output.status.code(), Some(1), "{name} {complaints}");
        assert!(complaints.contains(message), "{name} {complaints}");
    }
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_make_no_difference() {
    let tests = "\u{feff}tests:\r\n  - name: customers see pets\r\n    as: bob\r\n    request: GET /pets\r\n    expect: allow\r\n";
    let output = run_on(&sample_store(), tests, &[]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
}

#[test]
fn no_tests_and_no_match_are_not_a_success() {
    let copy = StoreCopy::new();
    let store = copy.path().to_str().unwrap();
    let none = run(&["test", "--store", store]);
    assert_eq!(none.status.code(), Some(1));
    assert!(stderr(&none).contains("there are no tests in"), "{}", stderr(&none));
    copy.write("tests/deep/down.yml", b"tests: [{name: A b, request: GET /, expect: unauthorized}]");
    copy.write("tests/README.md", b"no test");
    assert!(run(&["test", "--store", store]).status.success());
    assert!(run(&["test", "--store", store, "--filter", "a B"]).status.success());
    let filtered = run(&["test", "--store", store, "--filter", "x"]);
    assert_eq!(filtered.status.code(), Some(1));
    assert!(stderr(&filtered).contains("no test has `x` in its name"), "{}", stderr(&filtered));
}

#[test]
fn a_broken_store_is_said_to_be_one() {
    let copy = StoreCopy::of(&sample_store());
    copy.write("policies/broken.cedar", b"permit (principal");
    let output = run(&["test", "--store", copy.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert_eq!(stdout(&output), "");
}

#[test]
fn a_store_needs_no_development_key() {
    let copy = StoreCopy::of(&sample_store());
    copy.remove("jwks/cognito.json");
    let output = run(&["test", "--store", copy.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    assert_eq!(stderr(&output), "");
}

#[test]
fn fail_fast_stops_at_the_first_failure() {
    let output = run(&["test", "tests/data/testing/failing.yaml", "--fail-fast"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stdout(&output).ends_with("failed: 1 of 1 test, 11 not run\n"), "{}", stdout(&output));
}

#[test]
fn a_report_goes_to_a_file_and_the_one_for_people_to_stdout() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a report's.xml");
    let arguments = ["test", "--format", "junit", "--output", path.to_str().unwrap()];
    let output = run(&arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).ends_with("tests passed\n"));
    assert!(fs::read_to_string(&path).unwrap().starts_with("<?xml"));
    // Nothing is left behind where nothing can be written.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o500)).unwrap();
    let missing = folder.path().join("no/such/folder.xml");
    let output = run(&["test", "--format", "junit", "--output", missing.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("cannot write"), "{}", stderr(&output));
}

#[test]
fn coverage_says_what_no_test_has_tried() {
    let tests = "tests:\n  - { name: a, as: bob, request: GET /pets, expect: allow }\n";
    let output = run_on(&sample_store(), tests, &["--coverage-min", "15"]);
    golden(
        &root().join(DATA).join("coverage.txt"),
        &stdout(&output).replacen(first_word(&output), "FILE", 1),
    );
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let more = run_on(&sample_store(), tests, &["--coverage-min", "16"]);
    assert_eq!(more.status.code(), Some(2));
    assert!(stderr(&more).contains("the coverage is 15%, less than 16%"), "{}", stderr(&more));

    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("coverage.html");
    run_on(&sample_store(), tests, &["--coverage-html", page.to_str().unwrap()]);
    let html = fs::read_to_string(&page).unwrap();
    golden(
        &root().join(DATA).join("coverage.html"),
        &html.replace(sample_store().to_str().unwrap(), "STORE"),
    );
}

fn first_word(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap().split(' ').next().unwrap()
}

#[test]
fn every_sample_event_is_answered_as_by_the_function() {
    let mut tests = "tests:\n".to_owned();
    let mut expected = BTreeMap::new();
    for entry in fs::read_dir(root().join("events")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let path = path.to_str().unwrap().to_owned();
        writeln!(tests, "  - {{ name: {path}, event: {path}, expect: allow }}").unwrap();
        let output = run(&["invoke", "--format", "json", "--cache-key", "none", &path]);
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        expected.insert(path, answer["explanation"]["reason"].clone());
    }
    assert!(expected.len() > 40);
    let report = report_on(&sample_store(), &tests);
    for test in report["tests"].as_array().unwrap() {
        let name = test["name"].as_str().unwrap();
        assert_eq!(test["requests"][0]["got"]["reason"], expected[name], "{name}");
    }
}

/// Sequences of requests of several people: the answers, and whether the cache gave them, are those of the oracle.
#[test]
fn sequences_are_answered_as_the_model_of_the_tests_answers_them() {
    let bundle = sample_bundle();
    let people = ["bob", "carol", "mallory", "erin", "alice"];
    let tokens: BTreeMap<&str, String> =
        people.iter().map(|person| (*person, token(person, json!({})))).collect();
    let requests = [
        ("GET", "/", "/"),
        ("GET", "/pets", "/pets"),
        ("GET", "/pets/7", "/pets/{petId}"),
        ("POST", "/pets", "/pets"),
        ("GET", "/pets/8", "/pets/{petId}"),
        // Patterns of a grant match these two. A denial in it goes before.
        ("GET", "/pets/7/toys", "/pets/7/toys"),
        ("GET", "/pets/..", "/pets/{petId}"),
    ];
    const AUTHORIZATION: &str = "method.request.header.Authorization";
    let keys = [
        "none".to_owned(),
        "token".to_owned(),
        AUTHORIZATION.to_owned(),
        format!("{AUTHORIZATION},context.httpMethod,context.path"),
        format!("{AUTHORIZATION},context.httpMethod,context.resourcePath"),
        format!("{AUTHORIZATION},context.path"),
    ];
    // Every person makes every request twice, in an order that mixes them.
    let order: Vec<usize> = (0..people.len() * requests.len() * 2).map(|step| step * 37 % 70).collect();
    let mut tests = "tests:\n".to_owned();
    for key in &keys {
        writeln!(tests, "  - name: {key}\n    cache_key: {key}\n    requests:").unwrap();
        for step in &order {
            let (person, (verb, path, _)) = (people[step % 5], requests[step / 5 % 7]);
            writeln!(tests, "      - {{ as: {person}, request: {verb} {path}, expect: allow }}").unwrap();
        }
    }
    let report = report_on(&sample_store(), &tests);
    let mut hits = 0;
    for (key, test) in keys.iter().zip(report["tests"].as_array().unwrap()) {
        let mut cache = AuthorizerCache::default();
        for (step, answer) in order.iter().zip(test["requests"].as_array().unwrap()) {
            let (person, (verb, path, template)) = (people[step % 5], requests[step / 5 % 7]);
            let parameters = if template.contains('{') {
                json!({"petId": path.trim_start_matches("/pets/")})
            } else {
                json!({})
            };
            let request = Request { parameters, ..Request::new(&tokens[person], verb, template, path) };
            let event = request.rest();
            let values = values_of_key(key, person, verb, path, template);
            let mut is_hit = true;
            let mut ask = || {
                is_hit = false;
                respond(&bundle, &event, key)
            };
            let response = match values {
                Some(values) => cache.get_or_call(&values, ask),
                None => ask(),
            };
            let arn = event["methodArn"].as_str().unwrap();
            let is_allowed = passes(response.as_ref(), arn, NotResource::Honoured);
            let expected =
                json!({"decision": if is_allowed { "allow" } else { "deny" }, "fromCache": is_hit});
            let got = &answer["got"];
            let got = json!({"decision": got["decision"], "fromCache": got["fromCache"]});
            assert_eq!(got, expected, "{key} {person} {verb} {path}");
            hits += usize::from(is_hit);
        }
    }
    assert_eq!(hits, 250);
}

/// What API Gateway stores an answer under. None: it stores none.
fn values_of_key(key: &str, person: &str, verb: &str, path: &str, template: &str) -> Option<String> {
    let values = key.split(',').map(|source| match source {
        "context.httpMethod" => verb,
        "context.path" => path,
        "context.resourcePath" => template,
        _ => person,
    });
    (key != "none").then(|| values.collect::<Vec<_>>().join(" "))
}

fn respond(bundle: &Bundle, event: &Value, key: &str) -> Option<Value> {
    let call = Call::from_event(event.clone()).unwrap();
    let session = session(&call, bundle, UnixTime::from_seconds(ISSUED_AT + 1)).unwrap();
    let key: CacheKey = key.parse().unwrap();
    let outcome = session.authorize(&call, &key).unwrap();
    Some(serde_json::to_value(session.respond(&call, &outcome, SimpleResponses::Disabled)).unwrap())
}

/// The store of dogs has resources, and policies that read the query, headers, the address and the time.
#[test]
fn what_policies_read_in_a_request_comes_from_the_test() {
    let tests = "tests:
  - name: the owner
    claims: { sub: ann }
    request: GET /pets/7
    expect: allow
  - name: nobody else
    claims: { sub: ben }
    request: GET /pets/7
    api: http-2
    expect: deny
  - &report
    name: a report
    claims: { sub: ann }
    request: GET /report?year=2024
    headers: { X-Tenant: kennel }
    source_ip: 10.1.2.3
    time: 2024-01-01T00:00:00Z
    expect: allow
  - { <<: *report, name: an HTTP API, api: http-2 }
  - { <<: *report, name: an HTTP API with format 1.0, api: http-1 }
  - { <<: *report, name: from elsewhere, source_ip: 192.0.2.1, expect: deny }
  - { <<: *report, name: too early, time: 1970-01-01T00:00:01Z, expect: deny }
  - { <<: *report, name: another tenant, headers: { x-tenant: other }, expect: deny }
  - { <<: *report, name: two years, query: { year: 1999 }, expect: { reason: parameter-ambiguous } }
  - { <<: *report, name: one year twice, query: { year: 2024 }, expect: allow }
  - { <<: *report, name: without a query, request: GET /report, expect: deny }
";
    let output = run_on(&root().join("tests/data/stores/kennel"), tests, &[]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
}

#[test]
fn a_denial_for_the_sake_of_the_cache_names_the_key_that_is_enough() {
    let file = "tests/data/testing/uncacheable.yaml";
    let output = run(&["test", "--store", "tests/data/stores/kennel", file]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    golden(&root().join(DATA).join("uncacheable.txt"), &stdout(&output));
}

#[test]
fn the_order_of_results_does_not_depend_on_the_threads() {
    let tests: String = (0..2000)
        .map(|number| {
            format!("  - {{ name: t{number}, as: bob, request: GET /pets/{number}, expect: allow }}\n")
        })
        .collect();
    let report = report_on(&sample_store(), &format!("tests:\n{tests}"));
    assert_eq!((&report["passed"], &report["failed"]), (&json!(2000), &json!(0)));
    let names = report["tests"].as_array().unwrap().iter().map(|test| test["name"].as_str().unwrap());
    assert!(names.eq((0..2000).map(|number| format!("t{number}"))));
    assert!(pretty(&report["tests"][7]).contains("/pets/7"));
}
