//! `redact`: people are gone, and what is left is decided as before.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::{Command, Output};

use cedar_authorizer::function::telemetry::settings::Format;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Recording, read, replay};
use crate::world::{CLI, root, stderr, stdout};

const KEY: &str = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3JldCE=";

fn redact(arguments: &[&str]) -> Output {
    let mut command = Command::new(CLI);
    command.arg("redact").args(arguments).env("REDACT_KEY", KEY).current_dir(root());
    command.output().unwrap()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn what_is_left_replays_as_before_and_the_rest_is_counted() {
    for format in [Format::Json, Format::Ocsf] {
        let recording = Recording::of(400, format, "none");
        let file = recording.write("log", &recording.lines);
        let requests = recording.replay(&file)["requests"].as_u64().unwrap();
        for principals in ["hash", "remove"] {
            let output = recording.path("shared.jsonl");
            let shared = output.to_str().unwrap();
            let arguments =
                [file.as_str(), "--store", recording.store(), "--principals", principals, "--output", shared];
            let told = redact(&arguments);
            assert_eq!(told.status.code(), Some(0), "{}", stderr(&told));
            let report = recording.replay(shared);
            assert_eq!(report["differences"], json!([]), "{report:#}");
            let left = report["requests"].as_u64().unwrap();
            // Ann owns pets: without her name nobody does.
            let text = stderr(&told);
            let counted = text.lines().find(|line| line.contains("would be decided otherwise")).unwrap();
            let counted: u64 = counted.trim().split([' ', ':']).nth(2).unwrap().parse().unwrap();
            assert_eq!(left + counted, requests, "{text}");
            assert!(left > requests * 3 / 4 && counted > 0, "{text}");
            let text = read(&output);
            for hidden in
                ["person-", "us-east-1_KENNEL|ann", "10.1.2.3", "8476a536", "1-5759e988", "abcdef123"]
            {
                assert!(!text.contains(hidden), "{hidden}");
            }
            assert!(text.contains("us-east-1_KENNEL|staff"));
            if principals == "remove" {
                assert!(text.contains("\"caller-1\"") && !text.contains("caller-hmac"), "{text}");
            }
        }
    }
}

#[test]
fn a_person_is_the_same_one_everywhere_and_under_one_key() {
    let recording = Recording::of(200, Format::Json, "none");
    let file = recording.write("log", &recording.lines);
    let (one, two) = (recording.path("one"), recording.path("two"));
    for output in [&one, &two] {
        let told = redact(&[&file, "--store", recording.store(), "--output", output.to_str().unwrap()]);
        assert!(told.status.success(), "{}", stderr(&told));
    }
    assert_eq!(read(&one), read(&two));
    // The hash is that of the decision log under the same key.
    let output = Command::new("sh")
        .arg("-c")
        .arg(
            "printf %s 'us-east-1_KENNEL|person-3' | openssl dgst -sha256 -mac HMAC -macopt \"hexkey:$(printf %s \"$K\" \
             | openssl base64 -d -A | od -An -v -tx1 | tr -d ' \\n')\" | sed 's/.*= \\(.\\{32\\}\\).*/hmac-sha256:\\1/'",
        )
        .env("K", KEY)
        .output()
        .unwrap();
    let hash = stdout(&output).trim().to_owned();
    let of_person: Vec<Value> =
        lines(&read(&one)).into_iter().filter(|line| line["principal"]["id"] == *hash).collect();
    assert!(of_person.len() > 2, "{hash}");
    for line in of_person {
        assert_eq!(line["request"]["principal"]["id"], *hash);
        assert_eq!(line["request"]["entities"][0]["uid"]["id"], *hash);
        assert_eq!(line["redacted"], json!({"version": 1, "principals": "hash"}));
    }
}

/// A line with secrets in every place that a value may have.
fn line(secrets: &Secrets) -> Value {
    let Secrets { caller, friend, claims, group, number } = secrets;
    let claim = |number: usize| claims[number % claims.len()].clone();
    let id = format!("us-east-1_KENNEL|{caller}");
    let user = |id: &str| json!({"type": "Kennel::User", "id": id});
    json!({
        "timestamp": "2026-01-01T00:00:00.000Z", "level": "INFO", "message": "decision", "version": 1,
        "service": claim(0), "requestId": claim(1), "traceId": claim(2), "api": {"kind": "http", "requestId": claim(3)},
        "tenant": claim(4), "decision": "deny", "reason": "no-matching-permit", "detail": claim(5),
        "route": "get /pets/{petId}", "action": "ViewPet", "principal": {"type": "Kennel::User", "id": id},
        "resource": {"type": "Kennel::Pet", "id": claim(6)}, "claims": {"email": claim(0), "n": [claim(1)]},
        "bundle": {"name": "kennel", "revision": 3, "digest": claim(2)}, "unknown": {"deep": [claim(3)]},
        "request": {
            "version": 1,
            "principal": user(&id),
            "action": {"type": "Kennel::Action", "id": "ViewPet"},
            "resource": {"type": "Kennel::Pet", "id": claim(6)},
            "unknown": claim(4),
            "context": {
                "token": {
                    "sub": caller, "email": format!("{caller}@example.com"), "username": claim(0), "scope": [claim(1), claim(2)],
                    "profile": {"phone": claim(3), "number": number}, "note": format!("by {id}"),
                },
                "boss": {"__entity": user(friend)},
                "flat": {"__entity": {"type": "Kennel::House", "id": claim(4)}},
                "http": {"sourceIp": {"__extn": {"fn": "ip", "arg": "203.0.113.77"}},
                    "born": {"__extn": {"fn": "datetime", "arg": "1987-06-05T00:00:00Z"}},
                    "balance": {"__extn": {"fn": "decimal", "arg": "4711.25"}}},
            },
            "entities": [
                {"uid": user(&id), "attrs": {"mail": claim(5), "friend": {"__entity": user(friend)}}, "unknown": claim(1),
                    "parents": [{"type": "Kennel::Group", "id": group}], "tags": {"mood": claim(6)}},
                {"uid": user(friend), "attrs": {}, "parents": []},
                {"uid": {"type": "Kennel::Pet", "id": claim(6)}, "attrs": {"owner": {"__entity": user(&id)}},
                    "parents": [{"type": "Kennel::House", "id": claim(0)}]},
            ],
        },
    })
}

#[derive(Clone, Debug)]
struct Secrets {
    caller: String,
    friend: String,
    claims: Vec<String>,
    group: String,
    number: i64,
}

impl Secrets {
    fn all(&self) -> Vec<String> {
        let others = ["203.0.113.77", "1987-06-05", "4711.25", "@example.com", "us-east-1_KENNEL|zq"]
            .map(str::to_owned);
        let number = self.number.to_string();
        [&self.caller, &self.friend, &number].into_iter().chain(&self.claims).cloned().chain(others).collect()
    }
}

fn secrets() -> impl Strategy<Value = Secrets> {
    // No digits and letters of hashes, and a beginning that no name has.
    let secret = || "[g-z|<>\"\\\\ \u{e4}\u{1F600}]{2,12}".prop_map(|text| format!("zq{text}"));
    (secret(), secret(), prop::collection::vec(secret(), 1..8), 1000..i64::MAX).prop_map(
        |(caller, friend, claims, number)| Secrets {
            caller,
            friend,
            claims,
            group: "us-east-1_KENNEL|staff".to_owned(),
            number,
        },
    )
}

/// All texts in a value, with the names of members.
fn texts(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| texts(value, found)),
        Value::Object(members) => {
            for (name, value) in members {
                found.insert(name.clone());
                texts(value, found);
            }
        }
        Value::String(text) => drop(found.insert(text.clone())),
        other => drop(found.insert(other.to_string())),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_id_and_no_value_of_the_input_is_in_the_output(
        all in prop::collection::vec(secrets(), 1..12), how in 0..4_usize
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let (input, output) = (path("in"), path("out"));
        let text: String = all.iter().map(|secrets| format!("{}\n", line(secrets))).collect();
        fs::write(&input, text).unwrap();
        let principals = ["hash", "remove"][how % 2];
        let store = root().join("tests/data/stores/kennel");
        let store = ["--store", store.to_str().unwrap()];
        let mut arguments = vec![input.as_str(), "--principals", principals, "--output", output.as_str()];
        if how > 1 {
            arguments.extend(store);
        }
        let told = redact(&arguments);
        prop_assert!(told.status.success(), "{}", stderr(&told));
        let text = read(&output);
        let records = lines(&text);
        prop_assert_eq!(records.len(), all.len(), "{}", stderr(&told));
        let mut found = BTreeSet::new();
        records.iter().for_each(|line| texts(line, &mut found));
        for secret in all.iter().flat_map(Secrets::all) {
            prop_assert!(!text.contains(&secret), "{}: {}", secret, text);
            let with = found.iter().find(|text| text.contains(&secret));
            prop_assert!(with.is_none(), "{}: {:?}", secret, with);
        }
        // Groups stay, and who was the same is the same.
        for (record, secrets) in records.iter().zip(&all) {
            let request = &record["request"];
            prop_assert_eq!(&request["entities"][0]["parents"][0]["id"], &json!(secrets.group));
            prop_assert_eq!(&request["entities"][0]["uid"], &request["principal"]);
            prop_assert_eq!(&request["entities"][2]["attrs"]["owner"]["__entity"], &request["principal"]);
            prop_assert_eq!(&request["entities"][2]["uid"], &request["resource"]);
            prop_assert_eq!(&request["context"]["boss"], &request["entities"][0]["attrs"]["friend"]);
            prop_assert_eq!(&request["principal"], &record["principal"]);
            prop_assert!(record.get("claims").is_none() && request.get("unknown").is_none());
        }
    }
}

#[test]
fn what_is_named_stays_and_so_does_what_policies_compare_with() {
    let recording = Recording::of(40, Format::Json, "none");
    let secrets = Secrets {
        caller: "zqcaller".to_owned(),
        friend: "zqfriend".to_owned(),
        claims: ["zqone", "zqtwo", "kennel", "zqfour", "zqfive", "zqsix", "zqseven"]
            .map(str::to_owned)
            .into(),
        group: "g".to_owned(),
        number: 7,
    };
    let file = recording.write("log", line(&secrets).to_string());
    let output = recording.path("out");
    let context = |arguments: &[&str]| {
        let told = redact(&[&[&file, "--output", output.to_str().unwrap()], arguments].concat());
        assert!(told.status.success(), "{}", stderr(&told));
        let line = lines(&read(&output)).remove(0);
        (line["request"].clone(), stderr(&told))
    };
    let (request, told) = context(&[]);
    assert!(told.contains("name the policies by --store DIR"), "{told}");
    assert!(
        request["context"]["token"]["scope"].to_string().matches("hmac-sha256:").count() == 2,
        "{request:#}"
    );
    assert_eq!(request["context"]["token"]["profile"]["number"], 7);
    let (request, told) = context(&["--store", recording.store()]);
    assert!(!told.contains("name the policies"), "{told}");
    assert_eq!(request["context"]["token"]["scope"][1], "kennel", "{request:#}");
    let (request, _) = context(&["--keep", "context.token.scope,principal.mail,resource,context.http"]);
    assert_eq!(request["context"]["token"]["scope"], json!(["zqtwo", "kennel"]));
    assert_eq!(request["entities"][0]["attrs"]["mail"], "zqsix");
    assert_eq!(request["resource"]["id"], "zqseven");
    assert_eq!(request["context"]["http"]["sourceIp"]["__extn"]["arg"], "203.0.113.77");
    assert!(request["context"]["token"]["username"].as_str().unwrap().starts_with("hmac-"));
    // A path is no prefix of a name.
    let (request, _) = context(&["--keep", "context.token.sco"]);
    assert!(!request["context"]["token"]["scope"].to_string().contains("zqtwo"));
    let (request, _) = context(&["--groups", "hash"]);
    assert!(request["entities"][0]["parents"][0]["id"].as_str().unwrap().starts_with("hmac-"));
}

#[test]
fn a_record_whose_names_have_the_id_of_a_person_is_left_out() {
    let recording = Recording::of(10, Format::Json, "none");
    let secrets = Secrets {
        caller: "zqcaller".to_owned(),
        friend: "zqfriend".to_owned(),
        claims: vec!["zqone".to_owned()],
        group: "g".to_owned(),
        number: 7,
    };
    let good = line(&secrets);
    for (number, change) in [
        (&|line: &mut Value| line["route"] = json!("get /of/zqcaller")) as &dyn Fn(&mut Value),
        &|line| line["policies"] = json!(["for zqfriend"]),
        &|line| line["bundle"]["name"] = json!("zqcaller"),
        &|line| line["request"]["action"]["id"] = json!("let zqcaller in"),
        &|line| line["request"]["entities"][0]["parents"][0]["id"] = json!("friends of zqcaller"),
        &|line| line["request"]["context"]["zqcaller"] = json!(true),
        &|line| line["request"]["context"]["x"] = json!({"__extn": {"fn": "unknown", "arg": "x"}}),
        &|line| line["request"]["context"]["x"] = json!(null),
    ]
    .into_iter()
    .enumerate()
    {
        let mut bad = good.clone();
        change(&mut bad);
        let file = recording.write("log", format!("{bad}\n{good}\n"));
        let output = recording.path("out");
        let told = redact(&[&file, "--output", output.to_str().unwrap()]);
        assert!(told.status.success(), "{number}: {}", stderr(&told));
        assert_eq!(read(&output).lines().count(), 1, "{number}: {}", stderr(&told));
        assert!(stderr(&told).contains("left out 1: "), "{number}: {}", stderr(&told));
    }
}

#[test]
fn nothing_is_written_over_and_no_key_is_shown() {
    let recording = Recording::of(20, Format::Json, "none");
    let file = recording.write("log", &recording.lines);
    let linked = recording.path("linked");
    fs::hard_link(&file, &linked).unwrap();
    let folder = recording.path("").to_str().unwrap().to_owned();
    let short = recording.write("short.key", "c2hvcnQ=");
    let secret = recording.write("secret.key", "no base64 but a secret");
    let out = recording.path("out");
    let (linked, out) = (linked.to_str().unwrap(), out.to_str().unwrap());
    for (arguments, expected) in [
        (vec![file.as_str(), "--output", &file], "is both read and written"),
        (vec![&file, "--output", linked], "is both read and written"),
        (vec![&folder, "--output", linked], "is both read and written"),
        (vec![&file, "--output", "/dev/null"], "is no file"),
        (vec![&file, "--output", "no/such/folder/x"], "cannot write `no/such/folder/x`"),
        (vec![&file, "--output", out, "--key", &short], "not the base64, with padding, of 16 or more bytes"),
        (vec![&file, "--output", out, "--key", &secret], "not the base64, with padding, of 16 or more bytes"),
        (vec![&file, "--output", out, "--key", "none"], "cannot read `none`"),
        (vec![&file, "--output", out, "--store", "none"], "--store DIR"),
        (vec!["Cargo.toml", "--output", out], "there are no recorded requests"),
    ] {
        let told = redact(&arguments);
        assert_eq!(told.status.code(), Some(1), "{arguments:?}");
        assert!(stderr(&told).contains(expected), "{}", stderr(&told));
        assert!(!stderr(&told).contains("but a secret"));
        assert_eq!(read(&file), recording.lines);
        assert!(!fs::exists(out).unwrap());
    }
    let mut command = Command::new(CLI);
    command.args(["redact", &file, "--output", out]).env_remove("REDACT_KEY").current_dir(root());
    let told = command.output().unwrap();
    assert_eq!(told.status.code(), Some(1));
    assert!(stderr(&told).contains("openssl rand -base64 32"), "{}", stderr(&told));
}

/// Numbers are those of one file: nothing links two of them.
#[test]
fn numbers_and_their_hashes_differ_from_run_to_run() {
    let recording = Recording::of(60, Format::Json, "none");
    let file = recording.write("log", &recording.lines);
    let mut seen = BTreeMap::new();
    for name in ["one", "two"] {
        let output = recording.path(name);
        let mut command = Command::new(CLI);
        command.args(["redact", &file, "--principals", "remove", "--output", output.to_str().unwrap()]);
        assert!(command.env_remove("REDACT_KEY").current_dir(root()).status().unwrap().success());
        let lines = lines(&read(&output));
        let callers: Vec<Value> = lines.iter().map(|line| line["principal"]["id"].clone()).collect();
        assert_eq!(callers[0], "caller-1");
        seen.insert(name, (callers, lines[0]["request"]["resource"].to_string()));
    }
    assert_eq!(seen["one"].0, seen["two"].0);
    assert_ne!(seen["one"].1, seen["two"].1);
    assert_eq!(
        replay(recording.path("one").to_str().unwrap(), recording.store(), &[]).status.code(),
        Some(2)
    );
}
