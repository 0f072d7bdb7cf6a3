//! `prove`, and the proofs of `diff`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::world::{CLI, StoreCopy, root, sample_store, stderr, stdout};

/// Whether there is a solver. Where `SOLVER` is `required`, there has to be one.
fn has_solver() -> bool {
    let program = std::env::var_os("CVC5").unwrap_or_else(|| "cvc5".into());
    let found = Command::new(&program).arg("--version").output().is_ok();
    let is_required = std::env::var("SOLVER").is_ok_and(|value| value == "required");
    assert!(found || !is_required, "there is no solver, though SOLVER=required");
    if !found {
        skip("there is no cvc5");
    }
    found
}

/// Says that a test does nothing. To stdout, which is shown with `--nocapture` alone.
#[expect(clippy::print_stdout, reason = "whoever runs the tests should know")]
fn skip(why: &str) {
    println!("skipped: {why}");
}

fn prove(arguments: &[&str]) -> Output {
    Command::new(CLI).arg("prove").args(arguments).current_dir(root()).output().unwrap()
}

/// Runs `prove` with a script of the shell in place of the solver.
fn prove_with(script: &str, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let program = solver(folder.path(), script);
    Command::new(CLI).arg("prove").args(arguments).env("CVC5", program).current_dir(root()).output().unwrap()
}

fn solver(folder: &Path, script: &str) -> PathBuf {
    let path = folder.join("solver");
    let version = "if [ \"$1\" = --version ]; then echo 'This is cvc5 version 9.9.9 [fake]'; exit; fi";
    fs::write(&path, format!("#!/bin/sh\n{version}\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// A copy of the sample store with these properties.
fn with_properties(text: &str) -> StoreCopy {
    let copy = StoreCopy::of(&sample_store());
    copy.write("tests/properties.yaml", text.as_bytes());
    copy
}

#[track_caller]
fn name(copy: &StoreCopy) -> &str {
    copy.path().to_str().unwrap()
}

#[test]
fn the_properties_of_the_sample_store_hold() {
    if !has_solver() {
        return;
    }
    let output = prove(&[]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    assert!(stdout(&output).contains("holds      suspended users reach nothing but the front page"));
    assert!(stdout(&output).contains("7 of 7 properties hold, by cvc5 "), "{}", stdout(&output));
}

#[test]
fn a_property_that_fails_is_shown_by_a_request() {
    if !has_solver() {
        return;
    }
    let copy = with_properties(
        "properties:\n  - name: only employees see pets\n    never: { action: get /pets*, not_in_group: employee }\n",
    );
    let output = prove(&["--store", name(&copy)]);
    assert_eq!(output.status.code(), Some(2), "{}{}", stdout(&output), stderr(&output));
    let text = stdout(&output);
    for expected in [
        "fails      only employees see pets",
        "is allowed:",
        "to PetStore::Application::\"PetStore\"",
        "0 of 1 property",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    assert!(
        text.contains("a caller in group `customer`") || text.contains("auditor-dave"),
        "neither of the two who may: {text}"
    );
}

#[test]
fn every_claim_has_an_answer() {
    if !has_solver() {
        return;
    }
    let copy = with_properties(
        r#"properties:
  - { name: a, disjoint: [customers-see-pets, employees-see-pets] }
  - { name: b, equivalent: [customers-see-pets, customers-see-pets-again] }
  - { name: c, equivalent: [customers-see-pets, employees-see-pets] }
  - { name: d, changes_nothing: customers-see-pets-again }
  - { name: e, changes_nothing: employees-see-pets }
  - { name: f, matters: customers-see-pets-again }
  - { name: g, never_applies: customers-see-pets }
  - { name: h, never_applies: nobody }
  - { name: i, never: { claims: { username: mallory }, in_group: customer, action: get /pets } }
  - { name: j, always: { in_group: customer, action: get /pets } }
  - { name: k, never: { action: get /pets, when: 'principal != principal' } }
  - { name: l, never_errors: [customers-see-pets] }
"#,
    );
    let path = copy.path().join("policies/groups.cedar");
    let text = fs::read_to_string(&path).unwrap();
    let policy = text.split(';').find(|policy| policy.contains("\"customers-see-pets\"")).unwrap();
    let again = policy.replace("customers-see-pets", "customers-see-pets-again");
    let nobody = "@id(\"nobody\") permit(principal, action == PetStore::Action::\"get /\", resource) \
        when { context.token has username && context.token.username == \"a\" && context.token.username == \"b\" };";
    fs::write(&path, format!("{text}\n{again};\n{nobody}\n")).unwrap();
    let output = prove(&["--store", name(&copy), "--format", "json"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let results: Vec<(&str, &str)> = report["properties"]
        .as_array()
        .unwrap()
        .iter()
        .map(|property| (property["name"].as_str().unwrap(), property["result"].as_str().unwrap()))
        .collect();
    let expected = [
        ("a", "fails"),
        ("b", "holds"),
        ("c", "fails"),
        ("d", "holds"),
        ("e", "fails"),
        ("f", "fails"),
        ("g", "fails"),
        ("h", "holds"),
        ("i", "fails"),
        ("j", "fails"),
        ("k", "fails"),
        ("l", "holds"),
    ];
    assert_eq!(results, expected, "{report:#}");
}

#[test]
fn what_is_wrong_with_a_file_is_said_with_its_place() {
    if !has_solver() {
        return;
    }
    for (text, expected) in [
        ("", "there are no properties in this file"),
        ("properties: 7\n", "properties.yaml:1:13"),
        ("properties:\n  - never: { action: get / }\n", "the property has no `name`"),
        ("properties:\n  - name: a\n", "the property claims nothing"),
        ("properties:\n  - { name: a, nver: { action: get / } }\n", "did you mean `never`?"),
        ("properties:\n  - { name: a, never: { action: delete * } }\n", "no action is `delete *`"),
        ("properties:\n  - { name: a, never: { action: get /pet } }\n", "did you mean `get /pets`?"),
        ("properties:\n  - { name: a, never: { in_group: custmer } }\n", "did you mean `customer`?"),
        ("properties:\n  - { name: a, matters: customers-see-pet }\n", "did you mean `customers-see-pets`?"),
        ("properties:\n  - { name: a, disjoint: [auditor-dave] }\n", "`disjoint` takes two policies"),
        (
            "properties:\n  - { name: a, never: { when: 'true) } permit (' } }\n",
            "`when` is no expression of Cedar",
        ),
        (
            "properties:\n  - { name: a, never: { when: 'true } unless { false' } }\n",
            "`when` should be one expression",
        ),
        ("properties:\n  - { name: a, never: { principal: alice } }\n", "`alice` is no entity"),
        ("properties:\n  - { name: a, never: { except_action: '*' } }\n", "no action is left"),
        ("properties:\n  - { name: a, never: {}, always: {} }\n", "of which it takes one"),
        (
            "properties:\n  - { name: a, matters: auditor-dave }\n  - { name: a, matters: auditor-dave }\n",
            "properties.yaml:3:13",
        ),
        ("properties:\n  - { name: \"a\\e[31m\", nothing: 1 }\n", "the key `nothing` is not known"),
        ("properties: [\n", "not YAML"),
    ] {
        let copy = with_properties(text);
        let output = prove(&["--store", name(&copy)]);
        assert_eq!(output.status.code(), Some(1), "{text}\n{}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{text}\n{}", stderr(&output));
        assert!(stdout(&output).is_empty());
    }
}

#[test]
fn a_store_of_which_nothing_can_be_proved_says_why() {
    if !has_solver() {
        return;
    }
    let copy = with_properties("properties:\n  - { name: a, matters: auditor-dave }\n");
    let settings = fs::read_to_string(copy.path().join("store.toml")).unwrap();
    copy.write("store.toml", settings.replace("\"strict\"", "\"off\"").as_bytes());
    let output = prove(&["--store", name(&copy)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("its validation is off"), "{}", stderr(&output));
    copy.write("store.toml", b"[store]\n");
    assert_eq!(prove(&["--store", name(&copy)]).status.code(), Some(3));
}

#[test]
fn without_a_solver_prove_says_how_to_get_one() {
    let output =
        Command::new(CLI).arg("prove").env("CVC5", "/nowhere/cvc5").current_dir(root()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains("the solver `CVC5=/nowhere/cvc5` is not installed"), "{text}");
    assert!(text.contains("https://github.com/cvc5/cvc5/releases"), "{text}");
    let other = Command::new(CLI).arg("prove").env("CVC5", "true").current_dir(root()).output().unwrap();
    assert_eq!(other.status.code(), Some(1));
    assert!(stderr(&other).contains("does not name a version of cvc5"), "{}", stderr(&other));
}

#[test]
fn what_a_broken_solver_leaves_open_is_never_proved() {
    let one = ["--property", "suspended users reach nothing but the front page", "--seconds-per-query", "1"];
    for (script, expected) in [
        // It ends at once, or in the middle.
        ("exit 3", "the solver"),
        ("read line; read line; exit 0", "the solver"),
        // It closes its output, but goes on reading.
        ("exec 1>&-; cat > /dev/null", "it ended, or closed its output"),
        ("while read line; do echo nonsense; done", "the solver wrote what is no answer: `nonsense`"),
        ("while read line; do printf '\\033[31mred\\n'; done", "\\u{1b}[31mred"),
        ("while read line; do echo unknown; done", "the solver did not finish within 1 s"),
        ("while read line; do echo 'unknown (TIMEOUT)'; done", "the solver did not finish within 1 s"),
        ("while read line; do echo '(error \"it broke\")'; done", "the solver failed: it broke"),
        // It says that there is an example, and gives none.
        ("while read line; do echo sat; done", "the solver wrote what is no answer: `sat`"),
        // It never answers: it is killed.
        ("cat > /dev/null; exec sleep 600", "the solver did not answer within 6 s, and was stopped"),
        ("yes | tr -d '\\n'", "the solver failed: its answer is too long"),
    ] {
        let output = prove_with(script, &one);
        let text = stdout(&output);
        assert_eq!(output.status.code(), Some(2), "{script}\n{text}{}", stderr(&output));
        assert!(text.starts_with("undecided"), "{script}\n{text}");
        assert!(text.contains(expected), "{script}\n{text}");
        assert!(text.contains("0 of 1 property holds, by cvc5 9.9.9"), "{script}\n{text}");
    }
}

#[test]
fn tests_do_not_read_the_properties() {
    let copy = with_properties("properties: 7\n");
    let output = Command::new(CLI).args(["test", "--store", name(&copy)]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
}
