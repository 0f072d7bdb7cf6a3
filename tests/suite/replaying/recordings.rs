//! What was recorded is decided again as it was, and a change of policies is seen.

use std::fs;

use cedar_authorizer::function::telemetry::settings::Format;
use serde_json::{Value, json};

use super::{Recording, left_out, read, replay};
use crate::loopback::Function;
use crate::serving::ServeProcess;
use crate::world::{FUNCTION, StoreCopy, event, root, run, stderr, stdout, token};

/// How many calls are recorded; `REPLAY_SOAK=100000` takes some minutes.
fn calls() -> usize {
    std::env::var("REPLAY_SOAK").ok().and_then(|text| text.parse().ok()).unwrap_or(600)
}

#[test]
fn a_recorded_run_replays_to_the_very_answers() {
    for (format, cache_key) in [(Format::Json, "none"), (Format::Ocsf, "none"), (Format::Json, "token")] {
        let calls = calls();
        let recording = Recording::of(calls, format, cache_key);
        let report = recording.replay(&recording.write("log", &recording.lines));
        assert_eq!(report["differences"], json!([]), "{format:?} {cache_key}");
        let decided = report["requests"].as_u64().unwrap();
        let left_out: u64 = left_out(&report).iter().map(|(_, count)| count).sum();
        assert_eq!(decided + left_out, calls as u64, "{format:?} {cache_key}: {report:#}");
        let with_request =
            recording.lines.lines().filter(|line| line.contains("\"request\":{\"version\"")).count();
        assert_eq!(decided, with_request as u64);
        assert!(decided > calls as u64 / 2, "{decided}");
    }
}

#[test]
fn a_run_of_the_executable_replays_to_the_very_answers() {
    let store = StoreCopy::new();
    for format in ["json", "ocsf"] {
        let environment = [
            ("BUNDLE_URI", store.uri()),
            ("CACHE_KEY", "none".to_owned()),
            ("ALLOW_DEVELOPMENT_KEYS", "true".to_owned()),
            ("DECISION_LOG_REQUESTS", "true".to_owned()),
            ("DECISION_LOG_FORMAT", format.to_owned()),
        ];
        let function = Function::start(FUNCTION, environment).unwrap();
        for persona in ["alice", "bob", "carol"] {
            let token = token(persona, json!({}));
            for (verb, path) in
                [("GET", "/"), ("GET", "/pets"), ("POST", "/pets"), ("GET", "/pets/7"), ("GET", "/no")]
            {
                function.invoke(&event(&token, verb, path));
            }
        }
        let file = store.path().join(format!("{format}.log"));
        fs::write(&file, function.logs()).unwrap();
        let path = store.path().to_str().unwrap();
        let output = replay(file.to_str().unwrap(), path, &["--format", "json"]);
        assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
        let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
        assert_eq!(report["requests"], 12, "{report:#}");
        let why = "the line has no request: no policy was asked (`route-unmapped`)".to_owned();
        assert_eq!(left_out(&report), [(why, 3)]);
        // A bundle decides the same.
        let bundle = store.path().join("a.bundle");
        let bundle = bundle.to_str().unwrap();
        assert!(run(&["build", "--store", path, "--output", bundle]).status.success());
        let output = run(&["replay", file.to_str().unwrap(), "--bundle", bundle]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
}

#[test]
fn what_serve_records_replays_to_the_very_answers() {
    let server = ServeProcess::start(&["--cache-key", "token"]);
    for persona in ["alice", "bob", "alice"] {
        let token = token(persona, json!({}));
        for path in ["/", "/pets", "/no"] {
            server.get_as(&token, path);
        }
    }
    let output = run(&["replay", server.record().to_str().unwrap(), "--format", "json"]);
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(output.status.code(), Some(0), "{report:#}{}", stderr(&output));
    let lines = read(server.record()).lines().count() as u64;
    let left_out = left_out(&report);
    assert_eq!(
        report["requests"].as_u64().unwrap() + left_out.iter().map(|(_, count)| count).sum::<u64>(),
        lines
    );
    assert!(left_out.iter().any(|(why, _)| why.contains("cache of API Gateway")), "{report:#}");
}

#[test]
fn a_change_of_policies_is_shown_by_route_and_effect() {
    let recording = Recording::of(400, Format::Json, "none");
    let policies = recording.kennel.store.path().join("policies/pets.cedar");
    let changed = read(&policies).replace(
        "resource in Kennel::House::\"open\")",
        "resource in Kennel::House::\"open\") when { principal != Kennel::User::\"us-east-1_KENNEL|person-3\" }",
    );
    let changed = changed
        + "\n@id(\"typo\") permit (principal, action == Kennel::Action::\"MovePet\", resource) when \
                             { resource has house && resource.house == \"4\" };";
    fs::write(&policies, changed).unwrap();
    let file = recording.write("log", &recording.lines);
    let report = recording.replay(&file);
    let differences = report["differences"].as_array().unwrap();
    let gained: Vec<&Value> =
        differences.iter().filter(|difference| difference["access"] == "gained").collect();
    let [gained] = gained.as_slice() else { panic!("{report:#}") };
    assert_eq!(gained["route"], "put /houses/{houseId}/pets/{petId}");
    assert_eq!(gained["after"]["policies"], json!(["typo"]));
    assert_eq!(gained["before"]["reason"], "no-matching-permit");

    // Counts and callers are those of the file, by a way of its own.
    let is_it = |line: &&Value| {
        line["action"] == "MovePet"
            && line["decision"] == "deny"
            && line["reason"] == "no-matching-permit"
            && line["request"]["entities"].to_string().contains("\"house\":\"4\"")
    };
    let all: Vec<Value> = recording.lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let lines: Vec<(usize, &Value)> = all.iter().enumerate().filter(|(_, line)| is_it(line)).collect();
    let callers: std::collections::BTreeSet<String> =
        lines.iter().map(|(_, line)| line["principal"]["id"].to_string()).collect();
    assert!(lines.len() > 3 && callers.len() > 1, "{}", lines.len());
    assert_eq!(gained["count"], lines.len());
    assert_eq!(gained["callers"], callers.len());
    let (first, line) = lines[0];
    assert_eq!(gained["example"]["place"], format!("{file}:{}", first + 1));
    assert_eq!(gained["example"]["request"], line["request"]);

    let lost: Vec<&Value> = differences.iter().filter(|difference| difference["access"] == "lost").collect();
    assert!(!lost.is_empty() && lost.iter().all(|lost| lost["callers"] == 1), "{report:#}");
    assert!(lost.iter().all(|lost| lost["before"]["policies"] == json!(["open-house"])), "{report:#}");

    // For people, and each of them.
    let output = replay(&file, recording.store(), &["--list"]);
    assert_eq!(output.status.code(), Some(2));
    let text = stdout(&output);
    assert!(
        text.contains("gained put /houses/{houseId}/pets/{petId}\n  recorded  deny, no-matching-permit\n"),
        "{text}"
    );
    assert!(text.contains("  now       allow, allowed-by-policy: typo\n"), "{text}");
    let listed = text.lines().filter(|line| line.starts_with(&file)).count() as u64;
    let differing: u64 = differences.iter().map(|difference| difference["count"].as_u64().unwrap()).sum();
    assert_eq!(listed, differing, "{text}");
    assert!(
        stderr(&output).contains(&format!("decides {differing} requests otherwise")),
        "{}",
        stderr(&output)
    );

    // Only some of them, and into a file.
    let target = recording.path("replayed.json");
    let only = ["--route", "put /houses/{houseId}/pets/{petId}", "--format", "json", "--output"];
    let output = replay(&file, recording.store(), &[&only[..], &[target.to_str().unwrap()]].concat());
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""));
    let report: Value = serde_json::from_str(&read(target)).unwrap();
    assert_eq!(report["differences"].as_array().unwrap().len(), 1, "{report:#}");
    let output = replay(&file, recording.store(), &["--caller", "us-east-1_KENNEL|ann"]);
    assert!(
        matches!(output.status.code(), Some(0 | 2)) && !stdout(&output).contains("person-3"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn a_removed_route_is_lost() {
    let recording = Recording::of(400, Format::Json, "none");
    let store = recording.kennel.store.path().join("store.toml");
    let text = read(&store);
    let (before, behind) = text.split_once("[[routes]]\nmethod = \"PUT\"").unwrap();
    let (_, behind) = behind.split_once("[[routes]]").unwrap();
    fs::write(&store, format!("{before}[[routes]]{behind}")).unwrap();
    let report = recording.replay(&recording.write("log", &recording.lines));
    let differences = report["differences"].as_array().unwrap();
    assert!(differences.iter().any(|difference| difference["access"] == "lost"), "{report:#}");
    for difference in differences {
        assert_eq!(difference["route"], "put /houses/{houseId}/pets/{petId}");
        assert_eq!(
            difference["after"],
            json!({"decision": "deny", "reason": "route-unmapped", "policies": []})
        );
    }
}

#[test]
fn the_documentation_says_how_records_are_made() {
    let docs = read(root().join("docs/replay.md"));
    for text in [
        "DECISION_LOG_REQUESTS=true",
        "aws logs create-export-task",
        "aws logs filter-log-events",
        "REDACT_KEY",
    ] {
        assert!(docs.contains(text), "{text}");
    }
}
