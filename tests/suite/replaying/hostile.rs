//! Files that are damaged, too long, or made to do harm.

use cedar_authorizer::function::telemetry::settings::Format;
use serde_json::{Value, json};

use super::containers::gzip;
use super::{Recording, left_out, replay};
use crate::world::{run, stderr, stdout};

#[test]
fn what_cannot_be_decided_is_counted_by_reason() {
    let recording = Recording::of(30, Format::Json, "none");
    let good = recording.lines.lines().find(|line| line.contains("\"request\":{")).unwrap();
    let line: Value = serde_json::from_str(good).unwrap();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut line = line.clone();
        change(&mut line);
        line.to_string()
    };
    let without_request = with(&|line| drop(line.as_object_mut().unwrap().remove("request")));
    for (text, expected) in [
        (good.get(..good.len() - 30).unwrap().to_owned(), "the line is malformed"),
        (
            with(&|line| line["decision"] = json!("deny")).replace("\"reason\":\"no", "\"reason\":\"allowed"),
            "malformed",
        ),
        (with(&|line| line["reason"] = json!("because")), "a reason that this program does not know"),
        (with(&|line| line["version"] = json!(2)), "the line has version 2; this program reads version 1"),
        (
            with(&|line| line["request"]["version"] = json!("\u{1b}[31m")),
            "the request has version \"\\u001b[31m\"",
        ),
        (with(&|line| line["request"] = json!({"version": 1, "omitted": "token"})), "(`token`)"),
        (with(&|line| line["request"] = json!({"version": 1, "omitted": "size"})), "(`size`)"),
        (with(&|line| line["request"] = json!({"version": 1, "omitted": "form"})), "(`form`)"),
        (with(&|line| line["request"]["principal"] = json!("ann")), "malformed: `principal`"),
        (
            with(&|line| line["request"]["action"] = json!({"type": "no type", "id": "x"})),
            "malformed: `action`",
        ),
        (with(&|line| line["request"]["context"] = json!([])), "malformed: `context`"),
        (with(&|line| line["request"]["entities"] = json!([{"uid": 1}])), "malformed: `entities`"),
        (
            with(&|line| line["request"]["context"]["x"] = json!({"__extn": {"fn": "ip", "arg": "no"}})),
            "malformed: `context`",
        ),
        (without_request.clone(), "DECISION_LOG_REQUESTS=true"),
        (
            without_request.replace("us-east-1_KENNEL|", "hmac-sha256:0123"),
            "the function hides callers (PRINCIPAL_IDS)",
        ),
        (format!("{{\"message\":\"decision\",\"x\":\"{}\"}}", "y".repeat(1 << 20)), "longer than 1 MiB"),
    ] {
        // What comes behind it is read all the same.
        let file = recording.write("log", format!("{text}\n{good}\n"));
        let report = recording.replay(&file);
        assert_eq!(report["requests"], 1, "{expected}: {report:#}");
        let all = left_out(&report);
        let [(why, 1)] = all.as_slice() else { panic!("{expected}: {report:#}") };
        assert!(why.contains(expected), "{why}, not {expected}");
        let human = stdout(&replay(&file, recording.store(), &[]));
        assert!(human.contains("left out 1: ") && !human.contains('\u{1b}'), "{human}");
    }
}

#[test]
fn lines_of_others_are_passed_over() {
    let recording = Recording::of(30, Format::Json, "none");
    let good = recording.lines.lines().find(|line| line.contains("\"request\":{")).unwrap();
    for text in [
        "hello",
        "{ a: 1 }",
        "{",
        "}",
        "[",
        "[INFO] hello",
        "[1, 2",
        "\u{0}\u{0}",
        "2026-01-01T00:00:00.000Z {not json}",
        "{\"message\": 7}",
        "{\"events\": 7}",
        "{\"events\": [1, 2]}",
        "{\"results\": [[]]}",
        "\"decision\"",
        "INFO detail=\"{\\\"message\\\":\\\"decision\\\"}\"",
        &"x".repeat(3 << 20),
        &"[".repeat(100_000),
        &"{\"a\":".repeat(100_000),
    ] {
        let report = recording.replay(&recording.write("log", format!("{text}\n{good}\n{good}")));
        assert_eq!(report["requests"], 2, "{}: {report:#}", text.chars().take(60).collect::<String>());
    }
}

#[test]
fn a_file_that_cannot_be_read_to_its_end_is_an_error() {
    let recording = Recording::of(30, Format::Json, "none");
    let bytes = gzip(&recording.lines);
    let utf_16: Vec<u8> = recording.lines.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (name, bytes, expected) in [
        ("cut.gz", bytes[..bytes.len() / 2].to_vec(), "its compressed data are damaged"),
        ("changed.gz", [&bytes[..60], b"xxxx", &bytes[64..]].concat(), "cannot read"),
        ("thrice.gz", gzip(gzip(gzip(&recording.lines))), "compressed more than 2 times"),
        ("utf-16", [vec![0xff, 0xfe], utf_16].concat(), "it is in UTF-16"),
        ("empty", Vec::new(), "there are no recorded requests"),
        ("none", b"hello\n".to_vec(), "there are no recorded requests"),
    ] {
        let output = replay(&recording.write(name, bytes), recording.store(), &[]);
        assert_eq!(output.status.code(), Some(1), "{name}");
        assert!(stderr(&output).contains(expected), "{name}: {}", stderr(&output));
        assert_eq!(stdout(&output), "", "{name}");
    }
    for (arguments, expected) in [
        (&["replay", "no/such/file"][..], "cannot read `no/such/file`"),
        (&["replay", "Cargo.toml", "--store", "none"], "--store DIR"),
        (&["replay", "Cargo.toml", "--store", "x", "--bundle", "y"], "cannot be used with"),
        (&["replay", "Cargo.toml", "--bundle", "Cargo.toml"], "cannot be used"),
    ] {
        let output = run(arguments);
        assert!(matches!(output.status.code(), Some(1 | 3)), "{arguments:?}");
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    }
}

/// A gigabyte in a megabyte takes time, but no memory.
#[test]
#[cfg(target_os = "linux")]
fn what_is_compressed_far_takes_no_memory() {
    let recording = Recording::of(30, Format::Json, "none");
    let line = recording.lines.lines().find(|line| line.contains("\"request\":{")).unwrap();
    let one_line = format!("{{\"message\":\"{}\"}}\n{line}\n", "decision".repeat(8 << 20));
    let in_an_export = format!("{{\"events\":[{{\"message\":\"{}\"}}]}}\n{line}\n", " ".repeat(64 << 20));
    for (text, expected) in [(one_line, 1), (in_an_export, 1)] {
        let file = recording.write("log.gz", gzip(text));
        // A tenth of what there is, but enough for the stacks of the threads: 256 MiB each, of which little is used.
        let output = std::process::Command::new("python3")
            .args([
                "-c",
                PEAK,
                crate::world::CLI,
                "replay",
                &file,
                "--store",
                recording.store(),
                "--format",
                "json",
            ])
            .output()
            .unwrap();
        let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
        assert_eq!(report["requests"], expected, "{report:#}");
        assert_eq!(left_out(&report), [("the line is longer than 1 MiB".to_owned(), 1)]);
        let peak: u64 = stderr(&output).lines().last().unwrap().parse().unwrap();
        assert!(peak < 60 * 1024, "{peak} KiB");
    }
}

/// Runs a program, and prints the most memory that it had, in KiB.
#[cfg(target_os = "linux")]
const PEAK: &str = "
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)";

#[test]
fn hostile_names_are_shown_as_text() {
    let recording = Recording::of(30, Format::Json, "none");
    let good = recording.lines.lines().find(|line| line.contains("\"request\":{")).unwrap();
    let mut line: Value = serde_json::from_str(good).unwrap();
    let hostile = "\u{1b}[2J<script>\u{202e}\n| x |";
    line["route"] = json!(format!("get /{hostile}"));
    line["policies"] = json!([hostile]);
    line["request"]["principal"]["id"] = json!(hostile);
    line["request"]["resource"]["id"] = json!(hostile);
    let file = recording.write(&format!("a{}b", "\u{1b}[31m"), line.to_string());
    for arguments in [&[][..], &["--list"]] {
        let output = replay(&file, recording.store(), arguments);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        let all = stdout(&output) + &stderr(&output);
        assert!(!all.contains(['\u{1b}', '\u{202e}']) && all.contains("\\u{1b}[2J"), "{all:?}");
    }
}
