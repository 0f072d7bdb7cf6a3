//! Broken policy stores, and what `check` says of them.

use std::env;
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use cedar_authorizer::bundle::{Bundle, DevelopmentKeys, MAX_DEPTH};
use cedar_authorizer::decide::{AuthorizationRequest, CedarGate};
use cedar_authorizer::store::finding::{Code, Finding};
use cedar_authorizer::store::{Store, build, directory};
use serde_json::{Value, json};

use crate::world::{StoreCopy, golden, root, run, stdout};

/// Each folder of `tests/data/stores` is a store. The file beside it has the findings of `check`.
#[test]
fn each_store_has_its_golden_findings() {
    let folder = root().join("tests/data/stores");
    let mut count = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_dir() {
            continue;
        }
        count += 1;
        let (store, findings) = Store::check(&directory::read(&path).unwrap());
        let mut text = String::new();
        for finding in &findings {
            writeln!(text, "{finding}").unwrap();
            if let Some(hint) = &finding.hint {
                writeln!(text, "  help: {hint}").unwrap();
            }
        }
        writeln!(text, "{}", if store.is_some() { "usable" } else { "not usable" }).unwrap();
        let is_bad = path.file_name().unwrap().to_str().unwrap().ends_with("_bad");
        assert_eq!(store.is_none(), is_bad, "{}\n{text}", path.display());
        golden(&path.with_extension("findings.txt"), &text);
    }
    assert!(count > 0);
}

/// Reads a store faster than waiting for a pipe would take.
#[track_caller]
fn read(store: &StoreCopy) -> Result<usize, String> {
    let (answer, answers) = channel();
    let path = store.path().to_owned();
    thread::spawn(move || answer.send(directory::read(&path)));
    let read = answers.recv_timeout(Duration::from_secs(60)).expect("the store is not read");
    read.map(|files| files.iter().count()).map_err(|error| error.to_string())
}

#[test]
fn only_regular_files_below_the_folder_of_a_store_are_read() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret.json"), "{}").unwrap();
    let count = read(&StoreCopy::new()).unwrap();
    let make = |make: &dyn Fn(&StoreCopy)| {
        let store = StoreCopy::new();
        make(&store);
        read(&store)
    };
    let link = |target: &str, name: &str| make(&|store| symlink(target, store.path().join(name)).unwrap());
    let secret = outside.path().join("secret.json");
    for (result, message) in [
        (link(secret.to_str().unwrap(), "jwks/other.json"), "other.json` leads out of the folder"),
        (link(outside.path().to_str().unwrap(), "jwks/more"), "more` leads out of the folder"),
        (link("..", "policies/up"), "up` leads to a folder that is read already"),
        (link(".", "policies/itself"), "itself` leads to a folder that is read already"),
        (link("../jwks", "policies/twice"), "` leads to a folder that is read already"),
        (link("../..", "policies/out"), "out` leads out of the folder"),
        (link("/dev/zero", "policies/zero.cedar"), "zero.cedar` leads out of the folder"),
        (link("none", "policies/none.cedar"), "cannot read"),
        (link("round.cedar", "policies/round.cedar"), "cannot read"),
        (
            make(&|store| {
                let path = store.path().join("jwks/pipe.json");
                assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
            }),
            "pipe.json` is not a regular file",
        ),
        (
            make(&|store| {
                let path = store.path().join("jwks/pipe");
                assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
                symlink("pipe", store.path().join("jwks/link.json")).unwrap();
            }),
            "` is not a regular file",
        ),
        (
            make(&|store| drop(UnixListener::bind(store.path().join("jwks/socket.json")).unwrap())),
            "socket.json` is not a regular file",
        ),
        (
            make(&|store| {
                let file = fs::File::create(store.path().join("policies/large.cedar")).unwrap();
                file.set_len(1 << 40).unwrap();
            }),
            "large.cedar` there is more than a bundle may hold",
        ),
    ] {
        let error = result.expect_err(message);
        assert!(error.contains(message), "{message}: {error}");
    }

    // Links within the folder, as Kubernetes makes them for a ConfigMap.
    assert_eq!(link("cognito.json", "jwks/other.json"), Ok(count + 1));
    let mounted = make(&|store| {
        store.write("..data/more.cedar", b"permit (principal, action, resource);");
        symlink("../..data/more.cedar", store.path().join("policies/more.cedar")).unwrap();
    });
    assert_eq!(mounted, Ok(count + 1));
    // A link to a file that is left out may lead anywhere.
    assert_eq!(link(secret.to_str().unwrap(), ".hidden"), Ok(count));
    assert_eq!(link(secret.to_str().unwrap(), "README.md"), Ok(count));
    // The folder itself may be a link.
    let store = StoreCopy::new();
    let name = outside.path().join("store");
    symlink(store.path(), &name).unwrap();
    assert_eq!(directory::read(&name).unwrap().iter().count(), count);
}

fn around(before: &str, inner: &str, behind: &str, depth: usize) -> String {
    format!("{}{inner}{}", before.repeat(depth), behind.repeat(depth))
}

fn check(store: &StoreCopy) -> Vec<Finding> {
    Store::check(&directory::read(store.path()).unwrap()).1
}

#[test]
fn policies_are_refused_where_they_are_deeper_than_may_be() {
    // Each shape, with the number of levels that one repetition takes.
    type Shape = dyn Fn(usize) -> String;
    let shapes: [(&str, usize, &Shape); 10] = [
        ("parentheses", 1, &|depth| around("(", "true", ")", depth)),
        ("and", 1, &|depth| around("true && ", "true", "", depth)),
        ("or", 1, &|depth| around("false || ", "true", "", depth)),
        ("if", 1, &|depth| around("if true then true else ", "true", "", depth)),
        ("set", 1, &|depth| around("[", "1", "]", depth) + " == 1"),
        ("record", 1, &|depth| around("{a: ", "1", "}", depth) + " == 1"),
        ("sum", 1, &|depth| around("1 + ", "1", "", depth) + " == 1"),
        ("access", 1, &|depth| around("context", "", ".token", depth) + " == 1"),
        ("not", 2, &|depth| around("!(", "true", ")", depth)),
        ("call", 3, &|depth| around("[1].contains(", "1", ")", depth)),
    ];
    for (name, levels, shape) in shapes {
        // The scope and the braces take two levels.
        let most = (MAX_DEPTH - 2) / levels;
        for (depth, is_too_deep) in [(most, false), (most + 1, true), (10_000, true), (100_000, true)] {
            let store = StoreCopy::new();
            let policy = format!("\npermit (principal, action, resource) when {{ {} }};", shape(depth));
            store.write("policies/deep.cedar", policy.as_bytes());
            let findings = check(&store);
            let found: Vec<_> =
                findings.iter().filter(|finding| finding.code == Code::PolicyTooDeep).collect();
            assert_eq!(found.len(), usize::from(is_too_deep), "{name} {depth}");
            for finding in found {
                assert_eq!(finding.position.file, "policies/deep.cedar");
                assert_eq!(finding.position.line, Some(2));
            }
        }
    }
}

#[test]
fn templates_definitions_and_schemas_are_refused_where_they_are_deeper_than_may_be() {
    let condition = "true && ".repeat(100_000);
    let policy = format!("permit (principal, action, resource) when {{ {condition}true }};");
    let template = policy.replace("(principal,", "(principal == ?principal,");
    let definition = json!({"static": {"statement": policy}}).to_string();
    let types = |depth: usize| format!("type Deep = {}Long{};\n", "Set<".repeat(depth), ">".repeat(depth));
    let chain: String = (0..20_000).map(|n| format!("type T{n} = Set<T{}>;\n", n + 1)).collect();
    let chain = format!("{chain}type T20000 = Long;\n");
    let doubling: String =
        (0..60).map(|n| format!("type T{n} = {{a: T{}, b: T{}}};\n", n + 1, n + 1)).collect();
    let doubling = format!("{doubling}type T60 = {{}};\n");
    let circle = "type A = Set<B>;\ntype B = Set<A>;\n".to_owned();
    let known = fs::read_to_string(root().join("policies/schema.cedarschema")).unwrap();
    let schema = |types: String| format!("{types}{known}");
    for (file, content, code) in [
        ("templates/deep.cedar", template, Code::PolicyTooDeep),
        ("policies/deep.json", definition, Code::PolicyTooDeep),
        ("schema.cedarschema", schema(types(100)), Code::SchemaInvalid),
        ("schema.cedarschema", schema(types(1_000_000)), Code::SchemaInvalid),
        ("schema.cedarschema", schema(chain), Code::SchemaInvalid),
        ("schema.cedarschema", schema(doubling), Code::SchemaInvalid),
        ("schema.cedarschema", schema(circle), Code::SchemaInvalid),
    ] {
        let store = StoreCopy::new();
        store.write(file, content.as_bytes());
        let findings = check(&store);
        assert!(
            findings.iter().any(|finding| finding.code == code && finding.position.file == file),
            "{file}: {findings:?}"
        );
    }
    let store = StoreCopy::new();
    store.write("schema.cedarschema", schema(types(20)).as_bytes());
    assert!(check(&store).iter().all(|finding| finding.code == Code::DevelopmentKey));
}

#[test]
fn the_command_line_says_where_a_policy_is_too_deep() {
    let store = StoreCopy::new();
    let nested = format!("{}true{}", "(".repeat(1_000_000), ")".repeat(1_000_000));
    store.write(
        "policies/deep.cedar",
        format!("permit (principal, action, resource) when {{ {nested} }};").as_bytes(),
    );
    let output = run(&["check", "--store", store.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stdout(&output).contains("error[policy-too-deep]"), "{}", stdout(&output));
    assert!(stdout(&output).contains("policies/deep.cedar:1:"), "{}", stdout(&output));
}

#[test]
fn of_two_policies_with_one_id_the_second_is_named() {
    let store = StoreCopy::new();
    let policy = |id: &str| format!("@id({id:?})\npermit (principal, action, resource);\n");
    let text: String = ["a", "b", "a", "c", "b"].into_iter().map(policy).collect();
    store.write("policies/twice.cedar", text.as_bytes());
    let lines = check(&store)
        .into_iter()
        .filter(|finding| finding.code == Code::PolicyDuplicate)
        .map(|finding| finding.position.line);
    assert_eq!(lines.collect::<Vec<_>>(), [Some(5), Some(9)]);
}

#[test]
fn each_policy_of_a_file_has_its_own_position() {
    let store = StoreCopy::new();
    let policy = "permit (principal, action, resource)\nwhen { context.token has email };\n";
    store.write("policies/many.cedar", policy.repeat(300).as_bytes());
    let findings = check(&store);
    let lines = findings
        .iter()
        .filter(|finding| finding.code == Code::ClaimUnprovided)
        .map(|finding| (finding.position.line.unwrap(), finding.position.column.unwrap()));
    let expected: Vec<_> = (1..=300).map(|number| (2 * number, 26)).collect();
    assert_eq!(lines.collect::<Vec<_>>(), expected);
}

/// Cedar's validator hashes the whole text of a policy for each of its findings.
#[test]
fn what_is_found_in_one_large_file_takes_as_long_as_in_many_small_ones() {
    let note = "x".repeat(10_000);
    let policy =
        format!("@note(\"{note}\")\npermit (principal, action, resource) when {{ context.nothing }};\n");
    let time = |files: usize, policies: usize| {
        let store = StoreCopy::new();
        for file in 0..files {
            store.write(&format!("policies/many{file}.cedar"), policy.repeat(policies).as_bytes());
        }
        let files = directory::read(store.path()).unwrap();
        let begun = Instant::now();
        let findings = Store::check(&files).1;
        assert!(findings.len() >= 200, "{}", findings.len());
        begun.elapsed()
    };
    let (one, many) = (time(1, 200), time(200, 1));
    assert!(one < 4 * many + Duration::from_secs(1), "one file: {one:?}, many: {many:?}");
}

/// Links of the sample's template `auditor`, one a line; the first is on line 2.
fn links(count: usize) -> Vec<Value> {
    let link = |number: usize| {
        let principal = format!("us-east-1_EXAMPLE|user-{}", number % 500);
        json!({
            "id": format!("share-{number}"),
            "templateId": "auditor",
            "principal": {"entityType": "PetStore::User", "entityId": principal},
            "resource": {"entityType": "PetStore::Application", "entityId": "PetStore"},
        })
    };
    (0..count).map(link).collect()
}

fn write_links(store: &StoreCopy, links: &[Value]) {
    let lines: Vec<String> = links.iter().map(Value::to_string).collect();
    store.write("template-links.json", format!("[\n{}\n]", lines.join(",\n")).as_bytes());
}

/// `LINKS` sets how many there are.
#[test]
fn of_very_many_links_each_is_checked_and_the_wrong_ones_are_named_where_they_stand() {
    let count = env::var("LINKS").map_or(20_000, |count| count.parse().unwrap());
    let store = StoreCopy::new();
    let before = check(&store);
    let good = links(count);
    write_links(&store, &good);
    let files = directory::read(store.path()).unwrap();
    let (read, findings) = Store::check(&files);
    assert_eq!(findings, before);
    let read = read.unwrap();
    assert_eq!(read.links.len(), count);
    assert!(read.links.iter().is_sorted_by_key(|link| link.id));
    for number in [0, count / 2, count - 1] {
        let link = read.links.get(&format!("share-{number}")).unwrap();
        let principal = link.principal.unwrap().uid().to_string();
        assert_eq!(principal, format!("PetStore::User::\"us-east-1_EXAMPLE|user-{}\"", number % 500));
    }
    let bytes = build::bundle(&read, &files, 1).unwrap();
    let bundle = Bundle::open(bytes, DevelopmentKeys::Allow).unwrap();
    let last = format!("PetStore::User::\"us-east-1_EXAMPLE|user-{}\"", (count - 1) % 500).parse().unwrap();
    let gate = CedarGate::of_bundle(&bundle);
    let request = AuthorizationRequest::new(
        "PetStore::Action::\"get /pets\"".parse().unwrap(),
        read.settings.resource.clone(),
    );
    let decided = gate.is_authorized(&last, &request).unwrap();
    let of_last = (0..count).filter(|number| number % 500 == (count - 1) % 500).count();
    assert_eq!(decided.decision.policies.len(), of_last);

    let mut wrong = good;
    let third = count / 3;
    wrong[third]["templateId"] = "auditors".into();
    wrong[third + 1]["resource"] = Value::Null;
    wrong[third + 2]["principal"]["entityType"] = "PetStore::Nobody".into();
    wrong[third + 3]["id"] = "share-0".into();
    wrong[third + 4]["principal"]["entityType"] = "no type".into();
    write_links(&store, &wrong);
    let found: Vec<_> = check(&store)
        .into_iter()
        .filter(|finding| !before.contains(finding) && finding.code != Code::PolicyWarning)
        .map(|finding| (finding.code, finding.position.line.unwrap(), finding.policy.unwrap()))
        .collect();
    let id = |number: usize| format!("share-{number}");
    let line = third + 2;
    assert_eq!(
        found,
        [
            // The id is that of the first link.
            (Code::LinkInvalid, 2, id(0)),
            (Code::LinkInvalid, line, id(third)),
            (Code::LinkInvalid, line + 1, id(third + 1)),
            (Code::PolicyMismatch, line + 2, id(third + 2)),
            // The type, and the slot that is left empty.
            (Code::LinkInvalid, line + 4, id(third + 4)),
            (Code::LinkInvalid, line + 4, id(third + 4)),
        ]
    );
}
