//! `matrix`: who may call what, in every form, and compared with one that is kept.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::world::{StoreCopy, golden, root, run, stderr, stdout};

/// The sample store with a route whose policies read the query, a route for any method, and names that are markup.
fn store() -> StoreCopy {
    let store = StoreCopy::new();
    add_actions(&store, "\"any /files/{path+}\", \"get /search\"", "all");
    let policies = "permit (principal, action == PetStore::Action::\"any /files/{path+}\", resource);
        permit (principal, action == PetStore::Action::\"get /search\", resource)
        unless { context has queryStringParameters && context.queryStringParameters has all };\n";
    store.write("policies/more.cedar", policies.as_bytes());
    let personas = "[\"<b>|*_x\"]\nsub = \"1\"\n[guest]\nsub = \"2\"\niss = \"https://elsewhere.example\"\n\
                    [\"a, \\\"b\\\"\"]\nsub = \"3\"\n\"cognito:groups\" = [\"employee\"]\n";
    store.write("personas.toml", personas.as_bytes());
    store
}

/// A store in which every name that may be anything is markup or has a control character.
fn hostile_store() -> StoreCopy {
    let store = StoreCopy::new();
    add_actions(&store, "\"get /search\"", "\"<parameter>\\u{1b}\"");
    let policy =
        "@id(\"<policy>\") permit (principal, action == PetStore::Action::\"get /search\", resource) unless
        { context has queryStringParameters && context.queryStringParameters has \"<parameter>\\u{1b}\" };\n";
    store.write("policies/more.cedar", policy.as_bytes());
    store.write("personas.toml", b"[\"<persona>\\u001b[31m\"]\nsub = \"1\"\n");
    let settings = fs::read_to_string(store.path().join("store.toml")).unwrap();
    store.write("store.toml", settings.replace("\"petstore\"", "\"<store>\"").as_bytes());
    store
}

/// Adds actions whose policies may read a query parameter.
fn add_actions(store: &StoreCopy, actions: &str, parameter: &str) {
    let schema = fs::read_to_string(store.path().join("schema.cedarschema")).unwrap();
    let schema = schema.trim_end().strip_suffix('}').unwrap();
    let action = format!(
        "action {actions} appliesTo {{ principal: User, resource: Application,
             context: {{ token: Token, queryStringParameters?: {{ {parameter}?: String }} }} }};"
    );
    store.write("schema.cedarschema", format!("{schema}  {action}\n}}\n").as_bytes());
}

fn matrix(store: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = run(&[&["matrix", "--store", store.to_str().unwrap()], arguments].concat());
    (output.status.code().unwrap(), stdout(&output), stderr(&output))
}

#[test]
fn every_form_shows_the_same() {
    let store = store();
    for (form, file) in
        [("table", "txt"), ("csv", "csv"), ("json", "json"), ("markdown", "md"), ("html", "html")]
    {
        let (code, text, said) = matrix(store.path(), &["--format", form]);
        assert_eq!((code, said.as_str()), (0, ""), "{form}");
        golden(&root().join(format!("tests/data/matrices/personas.{file}")), &text);
    }
    let (_, text, _) = matrix(store.path(), &["--by", "group"]);
    golden(&root().join("tests/data/matrices/groups.txt"), &text);
}

#[test]
fn a_page_has_no_markup_of_names() {
    let store = hostile_store();
    let request = "GET /search?<request>=1";
    let (code, page, said) = matrix(store.path(), &["--format", "html", "--request", request]);
    assert_eq!(code, 0, "{said}");
    for name in ["store", "persona", "policy", "parameter", "request"] {
        assert!(page.contains(&format!("&lt;{name}&gt;")), "{name}: {page}");
        assert!(!page.contains(&format!("<{name}>")), "{name}: {page}");
    }
    assert!(!page.contains("<script") && !page.contains("http"), "{page}");
}

#[test]
fn a_terminal_obeys_no_name() {
    let store = hostile_store();
    let (code, table, said) = matrix(store.path(), &[]);
    assert_eq!(code, 0, "{said}");
    assert!(table.contains("<persona>\\u{1b}[31m"), "{table}");
    assert!(table.contains("depends on query parameter `<parameter>\\u{1b}`"), "{table}");
    assert!(!table.contains('\u{1b}'), "{table:?}");

    let kept =
        r#"{"callers": ["\u001b[1m"], "rows": [{"route": "get /\u001b[2m", "cells": {"\u001b[1m": CELL}}]}"#;
    store.write("kept.json", kept.replace("CELL", r#"{"decision": "allow"}"#).as_bytes());
    let path = store.path().join("kept.json").display().to_string();
    let (code, text, said) = matrix(store.path(), &["--check", &path]);
    assert_eq!(code, 2, "{said}");
    assert!(text.contains("get /\\u{1b}[2m, \\u{1b}[1m: allow -> gone\n"), "{text}");
    assert!(!text.contains('\u{1b}') && !said.contains('\u{1b}'), "{text:?} {said:?}");
}

#[test]
fn a_group_is_one_of_its_identity_source() {
    let store = StoreCopy::new();
    let read = |path: &str| fs::read_to_string(store.path().join(path)).unwrap();
    let partner = read("identity-sources/cognito.json").replace("EXAMPLE", "PARTNER");
    store.write("identity-sources/partner.json", partner.as_bytes());
    store.write("jwks/partner.json", read("jwks/cognito.json").as_bytes());
    let policy = "permit (principal in PetStore::UserGroup::\"us-east-1_PARTNER|staff\",
        action == PetStore::Action::\"post /pets\", resource);";
    store.write("policies/partner.cedar", policy.as_bytes());
    let (code, text, said) = matrix(store.path(), &["--by", "group", "--format", "csv"]);
    assert_eq!(code, 0, "{said}");
    let allowed = text.lines().filter(|line| line.starts_with("post /pets,") && line.contains(",allow,"));
    assert_eq!(
        allowed.collect::<Vec<_>>(),
        ["post /pets,partner: staff,allow,allowed-by-policy,partner#1,"],
        "{text}"
    );
    assert!(text.contains("post /pets,cognito: (no group),deny,"), "{text}");
    assert!(text.contains("post /pets,partner: (no group),deny,"), "{text}");
}

#[test]
fn requests_stand_beside_the_routes() {
    let store = root().join("samples/photoflash");
    let requests =
        ["GET /photos/colosseum", "GET /albums/italy", "GET /nothing?a=|`b,\"c", "GET /photos/colosseum"];
    let arguments: Vec<&str> = requests.iter().flat_map(|request| ["--request", request]).collect();
    let (code, text, said) = matrix(&store, &arguments);
    assert_eq!((code, said.as_str()), (0, ""));
    golden(&root().join("tests/data/matrices/requests.txt"), &text);

    // What is kept says what to ask.
    let folder = tempfile::tempdir().unwrap();
    for name in ["kept.csv", "kept.json", "kept.md"] {
        let path = folder.path().join(name).display().to_string();
        assert_eq!(matrix(&store, &[arguments.as_slice(), &["--output", &path]].concat()).0, 0);
        let (code, text, said) = matrix(&store, &["--check", &path]);
        assert_eq!((code, text.as_str()), (0, ""), "{said}");
        let turned = fs::read_to_string(&path).unwrap();
        let photo = turned.find("GET /photos/colosseum").unwrap();
        let (before, after) = turned.split_at(photo);
        fs::write(&path, before.to_owned() + &after.replacen("allow", "deny", 1)).unwrap();
        let (code, text, _) = matrix(&store, &["--check", &path]);
        assert_eq!(code, 2);
        assert!(text.starts_with("GET /photos/colosseum, "), "{text}");
    }
    for (request, problem) in [("get /a", "upper case"), ("/a", "not a method and a path"), ("GET a", "`/`")]
    {
        let (code, _, said) = matrix(&store, &["--request", request]);
        assert_eq!(code, 1, "{request}");
        assert!(said.contains(problem), "{said}");
    }
}

#[test]
fn a_kept_matrix_is_compared_cell_by_cell() {
    let store = store();
    let folder = tempfile::tempdir().unwrap();
    let kept = |name: &str| folder.path().join(name).display().to_string();
    for name in ["kept.csv", "kept.json", "kept.md"] {
        assert_eq!(matrix(store.path(), &["--output", &kept(name)]).0, 0);
        let (code, text, said) = matrix(store.path(), &["--check", &kept(name)]);
        assert_eq!((code, text.as_str()), (0, ""), "{said}");
        assert!(said.starts_with("ok: "), "{said}");

        let windows = fs::read_to_string(kept(name)).unwrap().replace('\n', "\r\n");
        fs::write(kept(name), windows).unwrap();
        let (code, text, said) = matrix(store.path(), &["--check", &kept(name)]);
        assert_eq!((code, text.as_str()), (0, ""), "{name} with Windows line ends: {said}");
    }

    // Employees lose a route, everybody gains one, a route goes, and a persona comes.
    let groups = fs::read_to_string(store.path().join("policies/groups.cedar")).unwrap();
    store.write(
        "policies/groups.cedar",
        groups.replace("employees-see-pets", "staff-see-pets").replace("|employee\"", "|staff\"").as_bytes(),
    );
    store.write(
        "policies/new.cedar",
        b"@id(\"open\") permit (principal, action == PetStore::Action::\"post /pets\", resource);",
    );
    let schema = fs::read_to_string(store.path().join("schema.cedarschema")).unwrap();
    store.write("schema.cedarschema", schema.replace(", \"get /search\"", "").as_bytes());
    let more = fs::read_to_string(store.path().join("policies/more.cedar")).unwrap();
    store.write("policies/more.cedar", more.split_inclusive(';').next().unwrap().as_bytes());
    let personas = fs::read_to_string(store.path().join("personas.toml")).unwrap();
    store.write("personas.toml", (personas + "[newcomer]\nsub = \"9\"\n").as_bytes());
    for name in ["kept.csv", "kept.json", "kept.md"] {
        let (code, text, said) = matrix(store.path(), &["--check", &kept(name)]);
        assert_eq!(code, 2, "{said}");
        golden(&root().join(format!("tests/data/matrices/changed-from-{name}.txt")), &text);
    }
    let (code, text, _) = matrix(store.path(), &["--check", &kept("kept.json"), "--format", "json"]);
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(code, 2);
    let of_page =
        report["changes"].as_array().unwrap().iter().find(|change| change["route"] == "get /pets").unwrap();
    assert_eq!((&of_page["before"], &of_page["after"]), (&"allow".into(), &"deny".into()), "{of_page:#}");
    assert_eq!(of_page["because"][0], "`employees-see-pets` is gone", "{of_page:#}");
}

#[test]
fn rows_and_callers_that_come_or_go_are_changes() {
    let (small, large) = (StoreCopy::new(), StoreCopy::new());
    small.write("personas.toml", b"[one]\nsub = \"1\"\n");
    large.write("personas.toml", b"[one]\nsub = \"1\"\n[two]\nsub = \"2\"\n");
    add_actions(&large, "\"get /search\"", "all");
    let policy = "@id(\"search\") permit (principal, action == PetStore::Action::\"get /search\", resource);";
    large.write("policies/more.cedar", policy.as_bytes());
    let folder = tempfile::tempdir().unwrap();
    for name in ["kept.csv", "kept.json", "kept.md"] {
        let kept = folder.path().join(name).display().to_string();
        let changes = |from: &StoreCopy, to: &StoreCopy| {
            assert_eq!(matrix(from.path(), &["--output", &kept]).0, 0);
            let (code, text, said) = matrix(to.path(), &["--check", &kept]);
            assert_eq!(code, 2, "{name}: {said}");
            text
        };
        let (come, gone) = (changes(&small, &large), changes(&large, &small));
        for (route, decision) in [
            ("get /", "allow, because `everyone-sees-the-front-page` permits it"),
            ("get /pets", "deny, because no-matching-permit"),
            ("post /pets", "deny, because no-matching-permit"),
            ("get /pets/{petId}", "deny, because no-matching-permit"),
        ] {
            assert!(come.contains(&format!("{route}, two: new -> {decision}\n")), "{name}: {come}");
            let (before, _) = decision.split_once(',').unwrap();
            assert!(gone.contains(&format!("{route}, two: {before} -> gone\n")), "{name}: {gone}");
        }
        for caller in ["one", "two"] {
            let new = format!("get /search, {caller}: new -> allow, because `search` permits it\n");
            assert!(come.contains(&new), "{name}: {come}");
            assert!(gone.contains(&format!("get /search, {caller}: allow -> gone\n")), "{name}: {gone}");
        }
        assert_eq!((come.lines().count(), gone.lines().count()), (6, 6), "{name}: {come}{gone}");
    }
}

#[test]
fn a_matrix_that_cannot_be_compared_is_no_success() {
    let folder = tempfile::tempdir().unwrap();
    let sample = root().join("policies");
    for (name, content, expected) in [
        ("none.csv", None, "make it with"),
        ("empty.csv", Some(""), "the first line is not"),
        ("header.csv", Some("a,b\n"), ":1: the first line is not"),
        (
            "short.csv",
            Some("route,caller,decision,reason,policies,depends on\nget /,alice\n"),
            ":2: not 6 fields",
        ),
        (
            "open.csv",
            Some("route,caller,decision,reason,policies,depends on\n\"get /,alice\n"),
            ":2: a quote",
        ),
        ("text.json", Some("x"), "is not a matrix in JSON"),
        ("other.json", Some("{\"a\": 1}"), "is not a matrix in JSON"),
        ("empty.md", Some("# Title\n"), "there is no table"),
        ("short.md", Some("| route | alice |\n| --- | --- |\n| `get /` |\n"), ":3: not 2 cells"),
        ("page.html", Some("<html>"), "cannot be compared"),
    ] {
        let path = folder.path().join(name);
        content.iter().for_each(|content| fs::write(&path, content).unwrap());
        let (code, text, said) = matrix(&sample, &["--check", path.to_str().unwrap()]);
        assert_eq!((code, text.as_str()), (1, ""), "{name}: {said}");
        assert!(said.contains(expected), "{name}: {said}");
    }
    let nobody = StoreCopy::new();
    nobody.remove("personas.toml");
    assert_eq!(matrix(nobody.path(), &["--by", "persona"]).0, 1);
    assert!(matrix(nobody.path(), &[]).1.contains("(no group)"));
}
