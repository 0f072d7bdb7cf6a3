//! `check`: what it prints for people, scanners and workflows, and which warnings count.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::world::{CLI, StoreCopy, golden, root, run, stderr, stdout};

/// Runs `check` on a store, and returns its findings as `code file:line`, without the development key of the sample.
#[track_caller]
fn findings(store: &Path, more: &[&str]) -> Vec<String> {
    let output = run(&[&["check", "--format", "json", "--store", store.to_str().unwrap()], more].concat());
    let report: Value =
        serde_json::from_str(&stdout(&output)).unwrap_or_else(|error| panic!("{error}: {}", stderr(&output)));
    let all =
        report["findings"].as_array().unwrap().iter().filter(|finding| finding["code"] != "development-key");
    let text = |finding: &Value| {
        let (code, position) = (finding["code"].as_str().unwrap(), &finding["position"]);
        match position["line"].as_u64() {
            Some(line) => format!("{code} {}:{line}", position["file"].as_str().unwrap()),
            None => format!("{code} {}", position["file"].as_str().unwrap()),
        }
    };
    all.map(text).collect()
}

/// The sample store with one more file of policies.
fn store_with(policies: &str) -> StoreCopy {
    let store = StoreCopy::new();
    store.write("policies/more.cedar", policies.as_bytes());
    store
}

/// Each golden file is what `check` prints in the folder of the package, with these arguments.
#[test]
fn people_see_the_piece_of_source_that_is_meant() {
    for (name, arguments) in [
        ("clinic_bad.human.txt", ["--store", "tests/data/stores/clinic_bad"].as_slice()),
        ("kennel.human.txt", &["--store", "tests/data/stores/kennel"]),
        ("kennel.sarif.json", &["--store", "tests/data/stores/kennel", "--format", "sarif"]),
        ("kennel.github.txt", &["--store", "tests/data/stores/kennel", "--format", "github"]),
        ("petstore.denied.txt", &["--deny", "warnings"]),
        ("petstore.inputs.txt", &["--inputs"]),
        ("shelter.human.txt", &["--store", "tests/data/stores/shelter"]),
        ("shelter.json", &["--store", "tests/data/stores/shelter", "--format", "json"]),
        ("unreadable_bad.human.txt", &["--store", "tests/data/stores/unreadable_bad"]),
    ] {
        let output = Command::new(CLI)
            .arg("check")
            .args(arguments)
            .env_remove("COLUMNS")
            .current_dir(root())
            .output()
            .unwrap();
        assert!(stderr(&output).is_empty(), "{name}: {}", stderr(&output));
        golden(&root().join("tests/data/findings").join(name), &stdout(&output));
    }
}

#[test]
fn other_verbs_show_the_piece_of_source_too() {
    let store = store_with("permit (principal, action, resource)\nwhen { context.nothing };");
    for verb in [["build", "--output", "/dev/null"].as_slice(), &["check"]] {
        let output = run(&[verb, &["--store", store.path().to_str().unwrap()]].concat());
        assert_eq!(output.status.code(), Some(3));
        let text = if verb == ["check"] { stdout(&output) } else { stderr(&output) };
        let expected = "  |\n2 | when { context.nothing };\n  |        ^^^^^^^^^^^^^^^\n";
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn colours_follow_the_terminal_and_what_the_environment_says() {
    let colours = |name: &str| {
        let output = Command::new(CLI).arg("check").env(name, "1").current_dir(root()).output().unwrap();
        stdout(&output).contains("\u{1b}[")
    };
    assert!(colours("CLICOLOR_FORCE"));
    assert!(!colours("NO_COLOR"));
    assert!(!colours("NOTHING"));
}

#[test]
fn long_lines_are_cut_around_the_caret_to_the_width() {
    let condition = "context.token.client_id == \"ü\" || ".repeat(1_000);
    let store =
        store_with(&format!("permit (principal, action, resource) when {{ {condition}context.token.no }};"));
    let output = Command::new(CLI)
        .args(["check", "--store", store.path().to_str().unwrap()])
        .env("COLUMNS", "80")
        .output()
        .unwrap();
    let text = stdout(&output);
    let column = "permit (principal, action, resource) when { ".len() + condition.chars().count() + 1;
    assert!(text.contains(&format!("more.cedar:1:{column}\n")), "{text}");
    let lines: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("1 |")).take(2).collect();
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:?}");
    let caret = lines[1].find('^').unwrap();
    let shown: String = lines[0].chars().skip(caret).collect();
    assert!(shown.starts_with("context.token.no "), "{text}");
}

#[test]
fn tabs_wide_characters_and_line_ends_of_windows_keep_the_caret_in_place() {
    let store = store_with(
        "// é\r\n@id(\"x\")\r\npermit (\t\tprincipal, action, resource)\r\nwhen { \"日本語\" == \"\u{9b}\" || context.no };\r\n",
    );
    let output = run(&["check", "--store", store.path().to_str().unwrap()]);
    let text = stdout(&output);
    // Three characters are six columns wide.
    let expected =
        "4 | when { \"日本語\" == \"\u{fffd}\" || context.no };\n  |                           ^^^^^^^^^^\n";
    assert!(text.contains(expected), "{text}");
    assert!(!text.contains(['\r', '\u{9b}', '\t']), "{text:?}");
}

/// For each fault in the sample store, what is found and where.
#[test]
fn one_mistake_is_one_finding_whatever_the_number_of_actions() {
    for policy in [
        "permit (principal, action, resource) when { context.token.nothing == 1 };",
        "permit (principal, action, resource) when { context.token.username == \"a\" };",
        "permit (principal, action in [PetStore::Action::\"get /\", PetStore::Action::\"get /pets\"], resource) when { context.no };",
    ] {
        let store = store_with(policy);
        assert_eq!(findings(store.path(), &[]), ["policy-mismatch policies/more.cedar:1"], "{policy}");
    }
    let store = store_with("permit (principal, action, resource) when { context.token.nothing == 1 };");
    let text = stdout(&run(&["check", "--store", store.path().to_str().unwrap()]));
    let actions = "PetStore::Action::\"get /\", PetStore::Action::\"get /pets\", PetStore::Action::\"get /pets/{petId}\" and 1 more";
    assert!(text.contains(actions), "{text}");
}

#[test]
fn a_guess_is_near_to_what_was_written() {
    for (policy, expected) in [
        ("action == PetStore::Action::\"get /pet/{petId}\"", Some("PetStore::Action::\"get /pets/{petId}\"")),
        ("action == PetStore::Action::\"get /pets/{id}\"", Some("PetStore::Action::\"get /pets/{petId}\"")),
        ("action == PetStore::Action::\"put /pets\"", Some("PetStore::Action::\"get /pets\"")),
        ("action == Action::\"get /\"", Some("PetStore::Action::\"get /\"")),
        ("action == PetStore::Action::\"delete /orders/{orderId}/items\"", None),
        ("action, resource == PetStore::Aplication::\"x\"", Some("PetStore::Application")),
        ("action, resource == Application::\"x\"", Some("PetStore::Application")),
        ("action, resource == PetStore::Invoice::\"x\"", None),
    ] {
        let resource = if policy.contains("resource") { "" } else { ", resource" };
        let store = store_with(&format!("permit (principal, {policy}{resource});"));
        let output = run(&["check", "--format", "json", "--store", store.path().to_str().unwrap()]);
        let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
        let found = report["findings"].as_array().unwrap();
        let mismatch = found.iter().find(|finding| finding["code"] == "policy-mismatch").unwrap();
        let expected = expected.map_or(Value::Null, |name| json!(format!("did you mean `{name}`?")));
        assert_eq!(mismatch["hint"], expected, "{policy}");
    }
}

#[test]
fn a_store_that_the_cache_key_would_deny_is_said_to_be_so() {
    let store = store_with(
        "@id(\"beta\")\nforbid (principal, action, resource)\nwhen { context has queryStringParameters.beta };",
    );
    let schema = fs::read_to_string(store.path().join("schema.cedarschema")).unwrap();
    let schema = schema.replace(
        "context: { token: Token }",
        "context: { token: Token, queryStringParameters?: { beta?: String } }",
    );
    store.write("schema.cedarschema", schema.as_bytes());
    let path = store.path().to_str().unwrap();
    assert_eq!(findings(store.path(), &[]), ["cache-key-needed policies/more.cedar:2"]);
    let text = stdout(&run(&["check", "--store", path]));
    assert!(text.contains("policy `beta` reads query parameter `beta`"), "{text}");
    assert!(
        text.contains("`get /`, `get /pets`, `get /pets/{petId}` and 1 more are always denied"),
        "{text}"
    );
    let key = "method.request.header.authorization,method.request.querystring.beta";
    assert!(text.contains(&format!("authorizer to `{key}`")), "{text}");

    // What it says helps.
    for key in [key, "none"] {
        assert_eq!(findings(store.path(), &["--cache-key", key]), Vec::<String>::new(), "{key}");
    }
    let other = "method.request.header.authorization,context.httpMethod,context.path";
    assert_eq!(findings(store.path(), &["--cache-key", other]), ["cache-key-needed policies/more.cedar:2"]);

    // A key that mixes up callers is no key, and neither is nonsense.
    for (key, message) in
        [("context.path", "does not have the token"), ("tokens", "not `none`, `token`, or a list")]
    {
        let output = run(&["check", "--store", path, "--cache-key", key]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
    }
    // The keys of a template are compared with the store instead.
    let of_template = findings(store.path(), &["--template", "template.yaml"]);
    assert!(
        of_template.iter().all(|finding| finding.starts_with("route-not-cacheable template.yaml")),
        "{of_template:?}"
    );
    assert_eq!(of_template.len(), 4);
}

#[test]
fn warnings_count_as_the_command_line_says() {
    let store = store_with("permit (principal, action, resource);");
    let path = store.path().to_str().unwrap();
    for (arguments, code, verdict) in [
        ([].as_slice(), 0, "ok: 7 policies, 4 routes, 2 warnings"),
        (&["--deny", "warnings"], 3, "denied: 2 warnings"),
        (&["--deny", "permit-for-everyone"], 3, "denied: 1 warning, 1 warning"),
        (&["--deny", "policy-mismatch"], 0, "ok: 7 policies, 4 routes, 2 warnings"),
        (&["--accept", "permit-for-everyone"], 0, "ok: 7 policies, 4 routes, 1 warning"),
        (
            &["--deny", "warnings", "--accept", "permit-for-everyone", "--accept", "development-key"],
            0,
            "ok: 7 policies, 4 routes",
        ),
    ] {
        let output = run(&[&["check", "--store", path], arguments].concat());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert_eq!(stdout(&output).lines().last(), Some(verdict), "{arguments:?}");
    }
    for (arguments, message) in [
        (["--deny", "permit-for-everybody"], "did you mean `permit-for-everyone`?"),
        (["--deny", "warning"], "did you mean `warnings`?"),
        (["--accept", "Policy-Shadowed"], "did you mean `policy-shadowed`?"),
        (["--accept", "nonsense"], "docs/findings.md lists them"),
        (["--accept", "policy-mismatch"], "cannot be accepted"),
    ] {
        let output = run(&[&["check", "--store", path], arguments.as_slice()].concat());
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
    }
}

#[test]
fn a_policy_accepts_a_warning_about_itself_and_changes_nothing_else() {
    let policy = "permit (principal, action, resource);\n";
    for (annotation, expected) in [
        ("", vec!["permit-for-everyone policies/more.cedar:2"]),
        ("@accept(\"permit-for-everyone\")", vec![]),
        (
            "@accept(\" policy-shadowed , permit-for-everyone\")",
            vec!["acceptance-unused policies/more.cedar:1"],
        ),
        (
            "@accept(\"policy-shadowed\")",
            vec!["acceptance-unused policies/more.cedar:1", "permit-for-everyone policies/more.cedar:2"],
        ),
        (
            "@accept(\"cache-key-needed\")",
            vec!["acceptance-unused policies/more.cedar:1", "permit-for-everyone policies/more.cedar:2"],
        ),
        // Nobody has looked for it.
        ("@accept(\"permit-for-everyone,avp-limit\")", vec![]),
    ] {
        let store = store_with(&format!("@id(\"all\") {annotation}\n{policy}"));
        assert_eq!(findings(store.path(), &[]), expected, "{annotation}");
        let event = "events/token-post-pets-deny.json";
        let output = run(&["invoke", event, "--store", store.path().to_str().unwrap()]);
        let answer: Value = serde_json::from_str(&stdout(&output)).unwrap();
        let plain = store_with(&format!("@id(\"all\")\n{policy}"));
        let output = run(&["invoke", event, "--store", plain.path().to_str().unwrap()]);
        assert_eq!(answer, serde_json::from_str::<Value>(&stdout(&output)).unwrap(), "{annotation}");
    }
    // An error stays an error.
    let store =
        store_with("@accept(\"policy-mismatch\")\npermit (principal, action, resource) when { context.no };");
    assert_eq!(findings(store.path(), &[]), ["policy-mismatch policies/more.cedar:2"]);
}

#[test]
fn what_is_too_large_for_verified_permissions_is_found_if_asked_for() {
    let store = StoreCopy::new();
    let note = "x".repeat(9_000);
    let policy = |resource: &str, note: &str| {
        format!(
            "@note(\"{note}\")\npermit (principal in PetStore::UserGroup::\"us-east-1_EXAMPLE|a\", action, resource{resource});\n"
        )
    };
    let application = " == PetStore::Application::\"PetStore\"";
    store.write("policies/many.cedar", policy(application, &note).repeat(23).as_bytes());
    store.write("policies/open.cedar", policy("", &note).repeat(23).as_bytes());
    store.write("policies/large.cedar", policy("", &"x".repeat(10_000)).as_bytes());
    let template =
        |number: usize| format!("@id(\"t{number}\")\npermit (principal == ?principal, action, resource);\n");
    store.write("templates/many.cedar", (0..41).map(template).collect::<String>().as_bytes());
    let chain: Vec<Value> = (0..=101)
        .map(|number| {
            let uid = |number: usize| json!({"type": "PetStore::UserGroup", "id": format!("us-east-1_EXAMPLE|g{number}")});
            let parents = if number == 0 { vec![] } else { vec![uid(number - 1)] };
            json!({"uid": uid(number), "attrs": {}, "parents": parents})
        })
        .collect();
    store.write("entities.json", json!(chain).to_string().as_bytes());
    let limits = |more: &[&str]| {
        let all = findings(store.path(), more);
        all.into_iter().filter(|finding| finding.starts_with("avp-limit")).collect::<Vec<_>>()
    };
    assert_eq!(limits(&[]), Vec::<String>::new());
    assert_eq!(
        limits(&["--avp-limits"]),
        [
            "avp-limit entities.json:1",
            "avp-limit policies",
            "avp-limit policies",
            "avp-limit policies/large.cedar:2",
            "avp-limit templates"
        ]
    );
    assert_eq!(findings(&root().join("policies"), &["--avp-limits"]), Vec::<String>::new());
}

#[test]
fn paths_for_scanners_begin_at_the_root_of_the_repository() {
    let repository = tempfile::tempdir().unwrap();
    let folder = repository.path().join("a b/100%,ü");
    fs::create_dir_all(folder.join("policies")).unwrap();
    fs::create_dir(repository.path().join(".git")).unwrap();
    fs::write(folder.join("policies/x:y.cedar"), "permit (").unwrap();
    for (directory, store) in
        [(repository.path(), "a b/100%,ü"), (folder.as_path(), "."), (&folder.join("policies"), "..")]
    {
        let check = |format: &str| {
            let arguments = ["check", "--store", store, "--format", format];
            stdout(&Command::new(CLI).args(arguments).current_dir(directory).output().unwrap())
        };
        let log: Value = serde_json::from_str(&check("sarif")).unwrap();
        let uris: Vec<&str> = log["runs"][0]["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|result| {
                result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].as_str().unwrap()
            })
            .collect();
        assert!(uris.contains(&"a%20b/100%25%2C%C3%BC/policies/x%3Ay.cedar"), "{uris:?}");
        let commands = check("github");
        assert!(commands.contains("::error file=a b/100%25%2Cü/policies/x%3Ay.cedar,line=1,"), "{commands}");
    }
}

#[test]
fn fingerprints_stay_if_lines_move_and_differ_between_findings() {
    let policy = "permit (principal, action, resource);\n";
    let fingerprints = |text: &str| {
        let store = tempfile::tempdir().unwrap();
        for entry in ["store.toml", "schema.cedarschema", "identity-sources/cognito.json"] {
            let target = store.path().join(entry);
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::copy(root().join("policies").join(entry), target).unwrap();
        }
        fs::create_dir(store.path().join("policies")).unwrap();
        fs::write(store.path().join("policies/p.cedar"), text).unwrap();
        let arguments = ["check", "--store", ".", "--format", "sarif"];
        let output = Command::new(CLI).args(arguments).current_dir(store.path()).output().unwrap();
        let log: Value = serde_json::from_str(&stdout(&output)).unwrap();
        let results = log["runs"][0]["results"].as_array().unwrap().clone();
        results.iter().map(|result| result["partialFingerprints"].to_string()).collect::<Vec<_>>()
    };
    let two = format!("@id(\"a\")\n{policy}@id(\"b\")\n{policy}");
    let known = fingerprints(&two);
    assert_eq!(known.len(), 2);
    assert_ne!(known[0], known[1]);
    assert_eq!(fingerprints(&format!("// one\n\n// two\n{two}")), known);
}

#[test]
fn a_watched_store_is_checked_again_after_a_change() {
    let store = StoreCopy::new();
    let mut program = Command::new(CLI)
        .args(["check", "--watch", "--store", store.path().to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (sender, verdicts) = channel();
    let lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let reader = thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let is_verdict = ["ok:", "invalid:", "error"].iter().any(|start| line.starts_with(start));
            if is_verdict && sender.send(line).is_err() {
                break;
            }
        }
    });
    // The last line of stderr says that the watch has begun.
    let mut said = BufReader::new(program.stderr.take().unwrap()).lines();
    let mut wait = |text: &str| while !said.next().unwrap().unwrap().contains(text) {};
    let next = || verdicts.recv_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!(next(), "ok: 6 policies, 4 routes, 1 warning");
    wait("waiting for a change");
    store.write("policies/new.cedar", b"permit (");
    assert!(next().starts_with("error[policy-invalid]"));
    assert_eq!(next(), "invalid: 1 error, 1 warning");
    wait("waiting for a change");
    // A store that cannot be read does not end it.
    let settings = fs::read(store.path().join("store.toml")).unwrap();
    fs::remove_file(store.path().join("policies/new.cedar")).unwrap();
    store.write("store.toml", b"nonsense");
    assert!(next().starts_with("error[settings-invalid]"));
    assert!(next().starts_with("invalid: 1 error"));
    wait("waiting for a change");
    store.write("store.toml", &settings);
    assert_eq!(next(), "ok: 6 policies, 4 routes, 1 warning");
    program.kill().unwrap();
    program.wait().unwrap();
    reader.join().unwrap();

    let output = run(&["check", "--watch", "--store", "no/such/store"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("cannot watch"), "{}", stderr(&output));
}

/// Each lint looks at every policy, and each finding is rendered. Both are little beside what Cedar does.
#[test]
fn a_warning_for_each_of_many_policies_costs_little() {
    let time = |id_prefix: &str, warnings: usize| {
        let policy = |number: usize| {
            let user = format!("PetStore::User::\"{id_prefix}{number}\"");
            format!("@id(\"p{number}\")\npermit (principal == {user}, action, resource);\n")
        };
        let store = store_with(&(0..1_000).map(policy).collect::<String>());
        let begun = Instant::now();
        let text = stdout(&run(&["check", "--store", store.path().to_str().unwrap()]));
        let verdict = if warnings == 1 { "1 warning".to_owned() } else { format!("{warnings} warnings") };
        assert!(text.ends_with(&format!("ok: 1006 policies, 4 routes, {verdict}\n")), "{text}");
        begun.elapsed()
    };
    let (many, none) = (time("", 1_001), time("us-east-1_EXAMPLE|", 1));
    assert!(many < 3 * none + Duration::from_secs(1), "with warnings: {many:?}, without: {none:?}");
}

const DESCRIPTION: &str = "openapi: 3.0.3
info: { title: Pet Store, version: '1' }
paths:
  /: { get: {} }
  /pets: { get: {}, post: {}, put: {} }
  /pets/{id}: { get: {} }
  /pets/{petId}/{a}-{b}: { get: {} }
";

#[test]
fn a_description_is_compared_route_by_route() {
    let store = StoreCopy::new();
    let schema = fs::read_to_string(store.path().join("schema.cedarschema")).unwrap();
    store.write("schema.cedarschema", schema.replace("\"get /\",", "\"get /\", \"put /pets\",").as_bytes());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pets.yaml");
    fs::write(&path, DESCRIPTION).unwrap();
    let arguments = ["check", "--store", store.path().to_str().unwrap(), "--openapi", path.to_str().unwrap()];
    let output = run(&arguments);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let text = stdout(&output).replace(folder.path().to_str().unwrap(), "FOLDER");
    let text = text.replace(store.path().to_str().unwrap(), "STORE");
    golden(&root().join("tests/data/findings/openapi.human.txt"), &text);

    for (content, code, expected) in [
        ("openapi: [", 3, "description-invalid"),
        ("a: 1\n", 3, "description-invalid"),
        ("\u{0}", 3, "description-invalid"),
    ] {
        fs::write(&path, content).unwrap();
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(code), "{content:?}: {}", stdout(&output));
        assert!(stdout(&output).contains(expected), "{content:?}: {}", stdout(&output));
    }
    fs::remove_file(&path).unwrap();
    let output = run(&arguments);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(1), ""));
}

#[test]
fn patterns_do_not_matter_under_a_key_with_the_path() {
    let store = StoreCopy::of(&root().join("samples/digitalpetstore"));
    let settings = fs::read_to_string(store.path().join("store.toml")).unwrap();
    assert!(settings.contains("\ncomplete = true "));
    store.write("store.toml", settings.replace("\ncomplete = true ", "\ncomplete = false ").as_bytes());
    let key = "method.request.header.Authorization,context.httpMethod,context.path";
    let inexact = |more: &[&str]| {
        findings(store.path(), more).iter().filter(|finding| finding.starts_with("grant-inexact")).count()
    };
    assert_ne!(inexact(&[]), 0);
    assert_eq!(inexact(&["--cache-key", key]), 0);
}
