//! Every form in which the lines of a log come out of CloudWatch Logs.

use std::io::Write;
use std::process::{Command, Stdio};

use cedar_authorizer::function::telemetry::settings::Format;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::{Recording, left_out};
use crate::world::{CLI, stderr, stdout};

pub fn gzip(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes.as_ref()).unwrap();
    encoder.finish().unwrap()
}

/// The lines, among others that Lambda and the function write.
fn with_others(lines: &str) -> Vec<String> {
    let mut all = vec![
        "INIT_START Runtime Version: provided:al2023.v1\tRuntime Version ARN: arn:aws:lambda:x".to_owned(),
        r#"{"time":"2026-01-01T00:00:00.000Z","type":"platform.start","record":{"requestId":"x"}}"#
            .to_owned(),
        "INFO bundle loaded uri=\"s3://b/k\" revision=7".to_owned(),
        r#"{"timestamp":"2026-01-01T00:00:00.000Z","level":"INFO","message":"bundle loaded","revision":7}"#
            .to_owned(),
    ];
    for line in lines.lines() {
        all.push("START RequestId: 8476a536 Version: $LATEST".to_owned());
        all.push(line.to_owned());
        all.push(
            r#"{"_aws":{"Timestamp":1,"CloudWatchMetrics":[]},"Decisions":1,"effect":"allow"}"#.to_owned(),
        );
        all.push("END RequestId: 8476a536".to_owned());
        all.push("REPORT RequestId: 8476a536\tDuration: 1.00 ms\tBilled Duration: 2 ms".to_owned());
    }
    all
}

/// An object as a subscription or Firehose delivers it.
fn subscription(lines: &[String]) -> String {
    let events: Vec<Value> = lines
        .iter()
        .enumerate()
        .map(|(number, line)| json!({"id": number.to_string(), "timestamp": 1, "message": line}))
        .collect();
    // Members in the order in which AWS writes them.
    format!(
        r#"{{"messageType":"DATA_MESSAGE","owner":"1","logGroup":"/aws/lambda/x","logStream":"s","subscriptionFilters":["f"],"logEvents":{}}}"#,
        Value::from(events)
    )
}

fn forms(lines: &str) -> Vec<(&'static str, Vec<u8>)> {
    let all = with_others(lines);
    let plain = all.join("\n") + "\n";
    let with_time: String = all.iter().map(|line| format!("2026-01-01T00:00:00.000Z {line}\n")).collect();
    let with_prefix: String = all
        .iter()
        .map(|line| format!("2026-01-01T00:00:00.000Z\t8476a536-e9f4-11e8-9739-2dfe598c3fcd\tINFO\t{line}\n"))
        .collect();
    let tail: String = all
        .iter()
        .map(|line| format!("2026-01-01T00:00:00.000000+00:00 2026/01/01/[$LATEST]0123 {line}\n"))
        .collect();
    let events: Vec<Value> =
        all.iter().map(|line| json!({"logStreamName": "s", "message": line, "eventId": "1"})).collect();
    let filtered = format!("{:#}\n", json!({"events": events, "searchedLogStreams": [], "nextToken": "x"}));
    let results: Vec<Value> = all
        .iter()
        .map(|line| json!([{"field": "@timestamp", "value": "x"}, {"field": "@message", "value": line}, {"field": "@ptr", "value": "p"}]))
        .collect();
    let insights = json!({"results": results, "statistics": {"recordsMatched": 1.0}, "status": "Complete"});
    let halves: String = all.chunks(7).map(subscription).collect();
    let control = r#"{"messageType":"CONTROL_MESSAGE","owner":"CloudwatchLogs","logGroup":"","logStream":"","subscriptionFilters":[],"logEvents":[{"id":"","timestamp":1,"message":"CWL CONTROL MESSAGE: Checking health of destination Firehose."}]}"#;
    let members: Vec<u8> = all.chunks(9).flat_map(|part| gzip(subscription(part))).collect();
    let messages: Vec<Value> = all.iter().map(|line| json!(line)).collect();
    let decisions: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let pretty: String = decisions.iter().map(|line| format!("{line:#}\n")).collect();
    let wrapped: String =
        all.iter().map(|line| format!("{}\n", json!({"timestamp": 1, "message": line}))).collect();
    vec![
        ("plain", plain.clone().into_bytes()),
        ("without the last line break", plain.trim_end().as_bytes().to_vec()),
        ("with carriage returns", plain.replace('\n', "\r\n").into_bytes()),
        ("with a byte order mark", [b"\xef\xbb\xbf", plain.as_bytes()].concat()),
        ("gzip", gzip(&plain)),
        ("gzip twice", gzip(gzip(&plain))),
        ("an export to S3", gzip(&with_time)),
        ("with Lambda's prefix", with_prefix.into_bytes()),
        ("aws logs tail", tail.into_bytes()),
        ("a subscription", subscription(&all).into_bytes()),
        ("subscriptions without line breaks", format!("{control}{halves}").into_bytes()),
        ("subscriptions, each compressed", members.clone()),
        ("the same, compressed again", gzip(members)),
        ("filter-log-events", filtered.clone().into_bytes()),
        ("two of them", format!("{filtered}{filtered}").into_bytes()),
        ("the same without line breaks", json!({"events": events}).to_string().into_bytes()),
        ("get-query-results", format!("{insights:#}").into_bytes()),
        ("the same in a line", insights.to_string().into_bytes()),
        ("messages alone, as an array", format!("{:#}", Value::from(messages)).into_bytes()),
        ("events, one a line", wrapped.into_bytes()),
        ("lines on several lines", pretty.into_bytes()),
        ("lines without line breaks", lines.replace('\n', "").into_bytes()),
        ("an array of lines", Value::from(decisions).to_string().into_bytes()),
    ]
}

#[test]
fn every_form_has_the_same_requests() {
    for format in [Format::Json, Format::Ocsf] {
        let recording = Recording::of(80, format, "none");
        let expected = recording.replay(&recording.write("log", &recording.lines));
        assert_eq!(expected["differences"], json!([]), "{expected:#}");
        let requests = expected["requests"].as_u64().unwrap();
        assert!(requests > 40 && left_out(&expected).len() == 3, "{expected:#}");
        for (name, bytes) in forms(&recording.lines) {
            let report = recording.replay(&recording.write(name, bytes));
            let times = if name == "two of them" { 2 } else { 1 };
            assert_eq!(report["requests"], requests * times, "{name}");
            assert_eq!(report["differences"], json!([]), "{name}");
            let counts = left_out(&expected).into_iter().map(|(why, count)| (why, count * times));
            assert_eq!(left_out(&report), counts.collect::<Vec<_>>(), "{name}");
        }
    }
}

#[test]
fn a_place_is_a_line_and_the_number_of_the_message_on_it() {
    let recording = Recording::of(30, Format::Json, "none");
    let refused = recording.lines.lines().find(|line| line.contains("\"unauthorized\"")).unwrap();
    let good = recording.lines.lines().find(|line| line.contains("\"request\":{")).unwrap();
    for (content, expected) in [
        (format!("{good}\n\n{refused}\n"), "log:3"),
        (subscription(&[good.to_owned(), good.to_owned(), refused.to_owned()]), "log:1#3"),
        (format!("{:#}", json!({"events": [{"message": good}, {"message": refused}]})), "log:6"),
    ] {
        let report = recording.replay(&recording.write("log", content));
        let place = report["leftOut"][0]["first"].as_str().unwrap();
        assert!(place.ends_with(expected), "{place}, not {expected}");
    }
}

#[test]
fn folders_and_standard_input_are_read() {
    let recording = Recording::of(60, Format::Json, "none");
    let expected = recording.replay(&recording.write("log", &recording.lines));
    let lines: Vec<&str> = recording.lines.lines().collect();
    recording.write("bucket/aws-logs-write-test", "Permission Check Successful");
    for (number, part) in lines.chunks(25).enumerate() {
        let lines: String = part.iter().map(|line| format!("2026-01-01T00:00:00.000Z {line}\n")).collect();
        recording.write(&format!("bucket/task/stream-{number}/000000.gz"), gzip(lines));
    }
    let folder = recording.path("bucket").to_str().unwrap().to_owned();
    let report = recording.replay(&folder);
    assert_eq!(report["requests"], expected["requests"]);
    let first = report["leftOut"][0]["first"].as_str().unwrap();
    assert!(first.contains("bucket/task/stream-0/000000.gz:"), "{first}");

    // A pipe gives what it has, a few bytes at a time.
    let mut child = Command::new(CLI)
        .args(["replay", "-", "--store", recording.store(), "--format", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let bytes = gzip(&recording.lines);
    for part in [&bytes[..1], &bytes[1..2], &bytes[2..100], &bytes[100..]] {
        stdin.write_all(part).unwrap();
        stdin.flush().unwrap();
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(report["requests"], expected["requests"]);
}
