//! `inspect`: what it shows of a bundle, of two bundles, and of broken ones.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use cedar_authorizer::bundle::{Bundle, DevelopmentKeys, MAX_BUNDLE_BYTES};
use cedar_authorizer::store::build::Edition;
use cedar_authorizer::store::build::PrivateKey;
use cedar_authorizer::store::directory;
use cedar_authorizer::time::UnixTime;
use serde_json::{Value, json};

use crate::bundle_life::build;
use crate::loopback::{S3, S3Fault};
use crate::world::{
    CLI, EXPIRES_AT, Head, ISSUED_AT, Parts, StoreCopy, bundle_bytes, golden, pretty, root, run,
    sample_store, stderr, stdout, with_manifest,
};

/// A folder with bundles. `inspect` runs in it.
struct Desk(tempfile::TempDir);

impl Desk {
    /// A folder with the sample store as `petstore.bundle`, revision 1.
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        desk.put("petstore.bundle", &bundle_bytes(1));
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    /// Builds a bundle from another store.
    fn build(&self, name: &str, store: &StoreCopy, revision: u64) {
        let output = run(&[
            "build",
            "--store",
            store.path().to_str().unwrap(),
            "--output",
            self.path(name).to_str().unwrap(),
            "--revision",
            &revision.to_string(),
        ]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(CLI);
        command.arg("inspect").args(arguments).current_dir(self.0.path()).stdin(Stdio::null());
        command
    }

    fn inspect(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    #[track_caller]
    fn report(&self, arguments: &[&str], exit: i32) -> Value {
        let output = self.inspect(&[arguments, &["--format", "json"]].concat());
        assert_eq!(output.status.code(), Some(exit), "{}{}", stdout(&output), stderr(&output));
        serde_json::from_str(&stdout(&output)).unwrap()
    }

    /// The files beside the bundles.
    fn others(&self) -> Vec<String> {
        let names = fs::read_dir(self.0.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| !name.ends_with(".bundle")).collect()
    }
}

#[track_caller]
fn refused(output: &Output, exit: i32, texts: &[&str]) {
    assert_eq!(output.status.code(), Some(exit), "{}{}", stdout(output), stderr(output));
    for text in texts {
        assert!(stderr(output).contains(text), "{text}: {}", stderr(output));
    }
    assert!(stdout(output).is_empty(), "{}", stdout(output));
}

#[track_caller]
fn shown(output: &Output, exit: i32, texts: &[&str]) {
    assert_eq!(output.status.code(), Some(exit), "{}{}", stdout(output), stderr(output));
    for text in texts {
        assert!(stdout(output).contains(text), "{text}: {}", stdout(output));
    }
}

#[test]
fn the_sample_store_is_shown_as_checked_in() {
    let desk = Desk::new();
    let folder = root().join("tests/data/inspections");
    let output = desk.inspect(&["petstore.bundle", "--verify"]);
    shown(&output, 0, &[]);
    golden(&folder.join("petstore.txt"), &stdout(&output));
    let report = desk.report(&["petstore.bundle", "--verify"], 0);
    golden(&folder.join("petstore.json"), &pretty(&report));
}

#[test]
fn a_bundle_that_the_function_would_refuse_for_its_key_is_shown_with_a_warning() {
    let desk = Desk::new();
    shown(
        &desk.inspect(&["petstore.bundle"]),
        0,
        &["development-key; the function refuses it unless ALLOW_DEVELOPMENT_KEYS=true\n"],
    );
    let store = StoreCopy::with_jwks_uri("https://issuer.example.com/keys");
    desk.build("clean.bundle", &store, 1);
    let report = desk.report(&["clean.bundle"], 0);
    assert_eq!((&report["developmentKey"], &report["findings"]), (&json!(false), &json!([])));
    assert!(!stdout(&desk.inspect(&["clean.bundle"])).contains("warnings"));
}

#[test]
fn a_bundle_is_a_path_a_uri_or_a_store() {
    let desk = Desk::new();
    let path = desk.path("petstore.bundle");
    let absolute = path.to_str().unwrap().to_owned();
    let store = sample_store().to_str().unwrap().to_owned();
    for (name, revision) in [
        ("petstore.bundle", 1),
        ("./petstore.bundle", 1),
        (&absolute, 1),
        (&format!("file://{absolute}"), 1),
        (&store, 0),
        (&format!("file://{store}"), 0),
    ] {
        let report = desk.report(&[name, "--verify"], 0);
        assert_eq!((&report["bundle"], &report["revision"]), (&json!(name), &json!(revision)));
        assert_eq!(report["verification"], json!({"matches": true, "differences": []}));
    }
    for name in ["s3://bucket", "s3://Bucket/key", "s3://bucket/key?versionId=", "file://relative"] {
        refused(&desk.inspect(&[name]), 1, &["not of the form s3://bucket/key"]);
    }
    refused(&desk.inspect(&["no/such.bundle"]), 1, &["cannot read `no/such.bundle`"]);

    let broken = StoreCopy::new();
    broken.write("entities.json", b"[{]");
    refused(&desk.inspect(&[broken.path().to_str().unwrap()]), 3, &["error[entities-invalid]", "is invalid"]);
}

#[test]
fn options_that_do_not_go_together_are_refused() {
    let desk = Desk::new();
    for more in [["petstore.bundle", "--verify"].as_slice(), &["petstore.bundle", "--extract", "x"]] {
        refused(&desk.inspect(&[&["petstore.bundle"], more].concat()), 1, &["cannot be used with"]);
    }
    refused(&desk.inspect(&["petstore.bundle", "--exit-code"]), 1, &["OTHER"]);
}

/// A broken file, what is wrong with it, and what can still be shown.
struct Broken {
    bytes: Vec<u8>,
    problems: Vec<&'static str>,
    shown: Vec<&'static str>,
    /// The states of members, by path, if they are not `whole`.
    states: Vec<(&'static str, &'static str)>,
    /// Whether the sources are those that the bundle was built from, so that they can be extracted.
    is_whole: bool,
}

impl Broken {
    fn new(bytes: impl Into<Vec<u8>>, problem: &'static str) -> Self {
        let (problems, shown, states) = (vec![problem], Vec::new(), Vec::new());
        Self { bytes: bytes.into(), problems, shown, states, is_whole: false }
    }

    fn made(change: impl FnOnce(&mut Parts), problem: &'static str) -> Self {
        let mut parts = Parts::of(&bundle_bytes(1));
        change(&mut parts);
        Self::new(parts.together(), problem).and("petstore revision 1")
    }

    fn and(mut self, text: &'static str) -> Self {
        self.shown.push(text);
        self
    }

    fn problem(mut self, problem: &'static str) -> Self {
        self.problems.push(problem);
        self
    }

    fn state(mut self, path: &'static str, state: &'static str) -> Self {
        self.states.push((path, state));
        self
    }

    fn whole(self) -> Self {
        Self { is_whole: true, ..self }
    }
}

fn broken() -> Vec<Broken> {
    let good = bundle_bytes(1);
    let flipped = |positions: &[usize]| {
        let mut bytes = good.clone();
        positions.iter().for_each(|position| bytes[*position] ^= 1);
        bytes
    };
    let end = good.len();
    let Head { sections: [manifest, ..], hashes: [hash, .., of_layout], .. } = Head::of(&good);
    let (head, member) = (hash.start - 4, end - 33);
    let revision = good.windows(11).position(|window| window == b"\"revision\":").unwrap() + 11;
    let truncated = "the bundle is truncated";
    vec![
        Broken::new("", "the file is not a bundle").and("no bundle that can be read"),
        Broken::new("<html>", "the file is not a bundle"),
        Broken::new(flipped(&[0]), "the file is not a bundle"),
        Broken::new(flipped(&[24]), "the bundle has format version 7, this version reads 6")
            .and("format     7\n"),
        Broken::new(&good[..26], truncated),
        Broken::new(&good[..40], truncated).and("format     6\n"),
        Broken::new(&good[..head], truncated),
        Broken::new(&good[..manifest.end], truncated),
        Broken::new(&good[..end - 1], truncated).and("no bundle that can be read"),
        Broken::new([&good[..], b"!"].concat(), "goes on behind its end").and("no bundle that can be read"),
        Broken::new(flipped(&[hash.start]), "the manifest of the bundle was altered")
            .and("petstore revision 1"),
        Broken::new(flipped(&[of_layout.start]), "the layout of the bundle was altered")
            .and("petstore revision 1"),
        // 1 becomes 0. The value is shown, but not trusted.
        Broken::new(flipped(&[revision]), "the manifest of the bundle was altered")
            .and("petstore revision 0"),
        Broken::new(flipped(&[member]), "`jwks/cognito.json` in the bundle was altered")
            .state("jwks/cognito.json", "altered"),
        // The sources come first in the file, and the map after them.
        Broken::new(flipped(&[28, head - 1]), "`compiled/map` in the bundle was altered")
            .problem("`entities.json` in the bundle was altered")
            .state("entities.json", "altered"),
        Broken::new(with_manifest(b"{\"name\":1}", b""), "the manifest of the bundle cannot be read")
            .and("no bundle that can be read"),
        Broken::made(
            |parts| parts.members.insert(0, ("../x".to_owned(), b"x".to_vec())),
            "does not list the members that belong",
        )
        .state("../x", "misplaced"),
        Broken::made(
            |parts| parts.members.push(("policies/../../x.cedar".to_owned(), Vec::new())),
            "does not list the members that belong",
        )
        .state("policies/../../x.cedar", "misplaced"),
        Broken::made(
            |parts| parts.sources.insert(0, ("../x".to_owned(), Vec::new())),
            "the sources in the bundle are not listed as they should be",
        ),
        Broken::made(|parts| parts.members.swap(0, 1), "does not list the members that belong"),
        Broken::made(
            |parts| parts.members.push(parts.members[2].clone()),
            "does not list the members that belong",
        ),
        Broken::made(
            |parts| parts.manifest["cedar_version"] = json!("99.0.0"),
            "the bundle is for Cedar 99.0.0",
        )
        .and("cedar      99.0.0\n"),
        Broken::made(
            |parts| parts.manifest["revision"] = json!(u64::MAX),
            "the bundle has revision 18446744073709551615, and none is above 9007199254740991",
        ),
        Broken::made(|parts| drop(parts.members.remove(0)), "does not list the members that belong"),
        Broken::made(
            |parts| *parts.member("compiled/outline.json") = b"{}".to_vec(),
            "the compiled part of the bundle",
        )
        .whole(),
        Broken::made(|parts| parts.map.0 = b"\x01\0\0\0".to_vec(), "the compiled part of the bundle"),
        Broken::made(
            |parts| {
                *parts.member("identity-sources/cognito.json") = b"[{]".to_vec();
                *parts.member("jwks/cognito.json") = b"[".to_vec();
            },
            "identity-sources/cognito.json:1:1: error[identity-source-invalid]",
        )
        .whole(),
    ]
}

#[test]
fn all_that_is_wrong_is_said_and_what_can_be_read_is_shown() {
    for Broken { bytes, problems, shown: texts, states, is_whole } in broken() {
        assert!(Bundle::open(bytes.clone(), DevelopmentKeys::Allow).is_err(), "{problems:?}");
        let desk = Desk::new();
        desk.put("broken.bundle", &bytes);
        let output = desk.inspect(&["broken.bundle"]);
        let lines = problems.iter().chain(&texts).copied().collect::<Vec<_>>();
        shown(&output, 3, &[&lines[..], &["unusable: no function loads it\n"]].concat());

        let report = desk.report(&["broken.bundle", "--verify", "--extract", "sources"], 3);
        assert_eq!((&report["status"], &report["verification"]), (&json!("unusable"), &Value::Null));
        let said = report["problems"].as_array().unwrap();
        for problem in &problems {
            assert!(said.iter().any(|said| said.as_str().unwrap().contains(problem)), "{problem}: {said:?}");
        }
        let members = report["members"].as_array().unwrap().iter();
        let not_whole = members.filter(|member| member["state"] != "whole");
        let not_whole: Vec<_> = not_whole
            .map(|member| (member["path"].as_str().unwrap(), member["state"].as_str().unwrap()))
            .collect();
        assert_eq!(not_whole, states, "{problems:?}");
        // Sources that nothing vouches for are not extracted.
        assert_eq!(desk.others(), if is_whole { vec!["sources"] } else { vec![] }, "{problems:?}");

        for pair in [["broken.bundle", "petstore.bundle"], ["petstore.bundle", "broken.bundle"]] {
            let first =
                ["`broken.bundle` cannot be used: ", "`cedar-authorizer inspect broken.bundle` shows"];
            refused(&desk.inspect(&pair), 3, &first);
        }
    }
}

/// Keys, and the sample store at revision 1 signed with some of them.
struct Signed {
    keys: [PrivateKey; 2],
    ids: [String; 2],
}

impl Signed {
    fn new() -> Self {
        let mut keys = [PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap()];
        // In the order of an envelope.
        keys.sort_by(|a, b| a.public_key().key_id().cmp(b.public_key().key_id()));
        let ids = [0, 1].map(|index| keys[index].public_key().key_id().to_string());
        Self { keys, ids }
    }

    fn public(&self, index: usize) -> String {
        self.keys[index].public_key().to_string()
    }

    fn bundle(&self, signers: std::ops::Range<usize>, not_after: Option<u64>) -> Vec<u8> {
        let not_after = not_after.map(UnixTime::from_seconds);
        build(Edition { revision: 1, not_after, signing_keys: &self.keys[signers], ..Edition::default() })
    }

    /// Signed with both keys, but the second signature is for another manifest.
    fn half_broken(&self) -> Vec<u8> {
        let (good, other) = (self.bundle(0..2, None), self.bundle(0..2, Some(EXPIRES_AT)));
        let envelope = |bytes: &[u8]| {
            let Head { sections: [_, envelope, _], hashes: [_, hash, _], .. } = Head::of(bytes);
            (envelope.start, hash, String::from_utf8(bytes[envelope].to_vec()).unwrap())
        };
        let ((start, hash, text), (_, _, of_other)) = (envelope(&good), envelope(&other));
        let mixed = [text.split_once("},{").unwrap().0, of_other.split_once("},{").unwrap().1].join("},{");
        let mut broken = good;
        broken[start..start + mixed.len()].copy_from_slice(mixed.as_bytes());
        broken[hash].copy_from_slice(digest(&SHA256, mixed.as_bytes()).as_ref());
        broken
    }
}

#[test]
fn a_signature_is_valid_invalid_or_not_checked() {
    let signed = Signed::new();
    let [a, b] = [signed.public(0), signed.public(1)];
    let both = format!("{a},{b}");
    let stranger = PrivateKey::generate().unwrap().public_key().to_string();
    let desk = Desk::new();
    desk.put("one.bundle", &signed.bundle(0..1, None));
    desk.put("two.bundle", &signed.bundle(0..2, None));
    desk.put("half.bundle", &signed.half_broken());
    let (valid, invalid, unknown) = ("valid", "invalid", "not-checked");
    let rows: [(&str, Option<&str>, &[&str], i32); 13] = [
        ("petstore.bundle", None, &[], 0),
        ("petstore.bundle", Some(&a), &[], 3),
        ("one.bundle", None, &[unknown], 0),
        ("one.bundle", Some(&a), &[valid], 0),
        ("one.bundle", Some(&b), &[unknown], 3),
        ("one.bundle", Some(&both), &[valid], 0),
        ("two.bundle", Some(&b), &[unknown, valid], 0),
        ("two.bundle", Some(&stranger), &[unknown, unknown], 3),
        ("two.bundle", Some(&both), &[valid, valid], 0),
        ("half.bundle", None, &[unknown, unknown], 0),
        // Only a signature in the name of a trusted key can be invalid.
        ("half.bundle", Some(&a), &[valid, unknown], 0),
        ("half.bundle", Some(&b), &[unknown, invalid], 3),
        ("half.bundle", Some(&both), &[valid, invalid], 3),
    ];
    for (name, keys, states, exit) in rows {
        let trust = keys.map_or(vec![], |keys| vec!["--public-keys", keys]);
        let report = desk.report(&[&[name, "--verify"], &trust[..]].concat(), exit);
        let expected: Vec<Value> = states
            .iter()
            .zip(&signed.ids)
            .map(|(status, id)| json!({"keyId": id, "status": status}))
            .collect();
        assert_eq!(report["signatures"], json!(expected), "{name} {keys:?}");
        assert_eq!(report["status"] == "usable", exit == 0, "{name} {keys:?}");
        assert_eq!(report["verification"].is_null(), exit != 0, "{name} {keys:?}");

        let output = desk.inspect(&[&[name, "--verify"], &trust[..]].concat());
        let lines = states.iter().zip(&signed.ids);
        let lines: Vec<String> =
            lines.map(|(state, id)| format!("{id} ({})", state.replace('-', " "))).collect();
        let lines = if lines.is_empty() { "nobody".to_owned() } else { lines.join(", ") };
        shown(&output, exit, &[&format!("  signed by  {lines}\n")]);
        let verdict = match (keys, states, exit) {
            (_, _, 3) => "unusable: no function loads it\n",
            (None, [], _) => "every byte of it; nobody signed it\n",
            (None, ..) => "every byte of it; its signatures were not checked\n",
            (Some(_), ..) => "every byte of it; a trusted key signed it\n",
        };
        shown(&output, exit, &[verdict]);

        // With the variable of the function, whatever is asked.
        let mut command = desk.command(&[name]);
        if let Some(keys) = keys {
            command.env("BUNDLE_PUBLIC_KEYS", keys);
        }
        assert_eq!(command.output().unwrap().status.code(), Some(exit), "{name} {keys:?}");
        let store = sample_store();
        let pair = [&[name, store.to_str().unwrap()], &trust[..]].concat();
        let compared = desk.inspect(&pair);
        if exit == 0 {
            shown(&compared, 0, &[&format!("signed by {lines}: {name}\n"), "the same"]);
        } else {
            refused(&compared, 3, &["cannot be used: the bundle "]);
        }
        let event = root().join("events/token-get-pets-allow.json");
        let mut command = Command::new(CLI);
        command.args(["invoke", "--bundle", name, event.to_str().unwrap()]).args(&trust);
        let output = command.current_dir(desk.path("")).output().unwrap();
        assert_eq!(output.status.code(), Some(exit), "{name} {keys:?} {}", stderr(&output));
    }
}

#[test]
fn a_bundle_past_its_time_is_shown_as_one_that_no_function_loads() {
    let signed = Signed::new();
    let desk = Desk::new();
    desk.put("old.bundle", &signed.bundle(0..1, Some(ISSUED_AT)));
    desk.put("good.bundle", &signed.bundle(0..1, Some(EXPIRES_AT)));
    for more in [[].as_slice(), &["--verify"], &["--public-keys", &signed.public(0)]] {
        let output = desk.inspect(&[&["old.bundle"], more].concat());
        shown(&output, 3, &["past the time", "unusable: no function loads it\n", "5 policies"]);
        shown(&desk.inspect(&[&["good.bundle"], more].concat()), 0, &["5 policies"]);
    }
    assert_eq!(desk.report(&["old.bundle"], 3)["status"], "unusable");
    // A bundle that comes after it can be compared.
    shown(&desk.inspect(&["old.bundle", "good.bundle"]), 0, &["the same"]);
}

#[test]
fn whom_a_bundle_is_for_is_shown_and_verified() {
    let desk = Desk::new();
    let tenant = "acme".parse().unwrap();
    desk.put("acme.bundle", &build(Edition { revision: 1, tenant: Some(&tenant), ..Edition::default() }));
    let report = desk.report(&["acme.bundle", "--verify"], 0);
    assert_eq!((&report["tenant"], &report["verification"]["matches"]), (&json!("acme"), &json!(true)));
    shown(&desk.inspect(&["acme.bundle"]), 0, &["  tenant     acme\n"]);
    let compared = desk.report(&["petstore.bundle", "acme.bundle"], 0);
    assert_eq!((&compared["old"]["tenant"], &compared["new"]["tenant"]), (&Value::Null, &json!("acme")));
    // `build` makes the same bundle.
    let built = desk.path("built");
    let store = sample_store();
    let arguments = ["build", "--store", store.to_str().unwrap(), "--output", built.to_str().unwrap()];
    let output = run(&[&arguments[..], &["--tenant", "acme"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(fs::read(&built).unwrap(), fs::read(desk.path("acme.bundle")).unwrap());
    let output = run(&[&arguments[..], &["--revision", "9007199254740992"]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let desk = Desk::new();
    fs::File::create(desk.path("large.bundle")).unwrap().set_len(MAX_BUNDLE_BYTES as u64 + 1).unwrap();
    refused(&desk.inspect(&["large.bundle"]), 3, &["more than a bundle may hold"]);
}

#[test]
fn what_a_terminal_would_obey_is_shown_as_text() {
    let desk = Desk::new();
    let mut parts = Parts::of(&bundle_bytes(1));
    parts.manifest["name"] = json!("pet\u{1b}[2Jstore\u{202e}");
    parts.sources.push(("policies/z\n\u{1b}]0;x\u{7}.cedar".to_owned(), b"permit (".to_vec()));
    parts.sources.sort();
    desk.put("hostile.bundle", &parts.together());
    let output = desk.inspect(&["hostile.bundle"]);
    shown(&output, 0, &["pet\\u{1b}[2Jstore\\u{202e} revision 1\n", "policies/z\\n\\u{1b}]0;x\\u{7}.cedar"]);
    let store = StoreCopy::new();
    store.write("policies/z.cedar", b"@id(\"a\\u{1b}b\")\nforbid (principal, action, resource);\n");
    desk.build("id.bundle", &store, 1);
    let compared = desk.inspect(&["petstore.bundle", "id.bundle"]);
    shown(&compared, 0, &["added   policy a\\u{1b}b\n"]);
    let mut parts = Parts::of(&bundle_bytes(1));
    *parts.member("compiled/outline.json") = b"{}".to_vec();
    parts.sources.push(("policies/z\u{1b}.cedar".to_owned(), Vec::new()));
    parts.sources.sort();
    desk.put("broken.bundle", &parts.together());
    let failed = desk.inspect(&["petstore.bundle", "broken.bundle"]);
    for text in [stdout(&output), stdout(&compared), stderr(&failed)] {
        assert!(text.chars().all(|char| char == '\n' || !char.is_control()), "{text:?}");
    }
}

#[test]
fn verify_finds_what_the_sources_do_not_make() {
    type Change = fn(&mut Parts);
    let rows: [(Change, &str, &str); 4] = [
        (
            |parts| parts.member("compiled/outline.json").push(b' '),
            "compiled/outline.json",
            "`compiled/outline.json` is not what this version makes of the sources",
        ),
        (
            |parts| parts.manifest["name"] = json!("kennel"),
            "manifest",
            "the name `kennel`, and `store.toml` has `petstore`",
        ),
        (
            |parts| parts.manifest["cedar_version"] = json!("4.0.0"),
            "manifest",
            "is for Cedar 4.0.0, and this is Cedar",
        ),
        // The same manifest with its JSON keys in another order.
        (
            |parts| {
                let manifest = parts.manifest.as_object_mut().unwrap();
                let name = manifest.remove("name").unwrap();
                manifest.insert("name".to_owned(), name);
            },
            "manifest",
            "is written otherwise",
        ),
    ];
    for (change, member, text) in rows {
        let mut parts = Parts::of(&bundle_bytes(1));
        change(&mut parts);
        let desk = Desk::new();
        desk.put("other.bundle", &parts.together());
        assert_eq!(desk.report(&["other.bundle"], 0)["status"], "usable");
        let report = desk.report(&["other.bundle", "--verify"], 3);
        assert_eq!(report["verification"], json!({"matches": false, "differences": [member]}));
        shown(&desk.inspect(&["other.bundle", "--verify"]), 3, &[text, "not verified: build it anew\n"]);
    }
}

#[test]
fn a_bundle_with_errors_that_only_check_finds_is_shown_with_them() {
    let desk = Desk::new();
    let policy = b"permit (principal, action, resource) when { principal.nothing == 1 };".as_slice();
    for (path, content, code) in [
        ("policies/everyone.cedar", policy, "policy-mismatch"),
        ("entities.json", b"[{]", "entities-invalid"),
    ] {
        let mut parts = Parts::of(&bundle_bytes(1));
        *parts.member(path) = content.to_vec();
        desk.put("odd.bundle", &parts.together());
        shown(&desk.inspect(&["odd.bundle"]), 0, &[code, "1 error for `check` of this version"]);
    }
    // Nobody can build it from these sources.
    let verified = desk.inspect(&["odd.bundle", "--verify"]);
    refused(&verified, 3, &["the policy store in the bundle is invalid without its compiled part"]);
}

#[test]
fn what_differs_is_named_file_by_file_and_policy_by_policy() {
    let desk = Desk::new();
    let store = StoreCopy::new();
    store.write("policies/more.cedar", b"@id(\"more\")\nforbid (principal, action, resource);\n");
    store.remove("policies/attributes.cedar");
    let everyone = fs::read_to_string(store.path().join("policies/everyone.cedar")).unwrap();
    store.write("policies/everyone.cedar", format!("// Why.\n{everyone}").as_bytes());
    desk.build("new.bundle", &store, 2);

    let report = desk.report(&["petstore.bundle", "new.bundle"], 0);
    let difference = |added: &[&str], removed: &[&str], changed: &[&str]| json!({"added": added, "removed": removed, "changed": changed});
    assert_eq!(report["status"], "different");
    assert_eq!((&report["old"]["revision"], &report["new"]["revision"]), (&json!(1), &json!(2)));
    let removed = report["changes"]["policies"]["removed"].clone();
    let removed: Vec<&str> = removed.as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    assert!(!removed.is_empty());
    let is_changed =
        |path: &Value| path.as_str().unwrap().starts_with("compiled/") || path == "policies/everyone.cedar";
    let files = &report["changes"]["files"];
    assert_eq!(files["added"], json!(["policies/more.cedar"]));
    assert_eq!(files["removed"], json!(["policies/attributes.cedar"]));
    assert!(files["changed"].as_array().unwrap().iter().all(is_changed), "{files}");
    // Another comment makes another file, but the same policy.
    assert_eq!(report["changes"]["policies"], difference(&["more"], &removed, &[]));

    let output = desk.inspect(&["petstore.bundle", "new.bundle", "--exit-code"]);
    shown(
        &output,
        2,
        &[
            "old petstore revision 1, Cedar ",
            "new petstore revision 2, Cedar ",
            "\n  added   policies/more.cedar\n",
            "\n  removed policies/attributes.cedar\n",
            "\n  changed policies/everyone.cedar\n",
            "\n  added   policy more\n",
            "\ndifferent: ",
        ],
    );
    assert_eq!(
        desk.report(&["new.bundle", "petstore.bundle"], 0)["changes"]["policies"]["removed"],
        json!(["more"])
    );
}

#[test]
fn the_same_content_is_the_same_under_any_revision() {
    let desk = Desk::new();
    desk.put("later.bundle", &bundle_bytes(9));
    let store = sample_store();
    for other in ["petstore.bundle", "later.bundle", store.to_str().unwrap()] {
        let output = desk.inspect(&["petstore.bundle", other, "--exit-code"]);
        shown(&output, 0, &["\nthe same: every file and policy\n"]);
        assert_eq!(desk.report(&["petstore.bundle", other], 0)["status"], "same");
    }
}

#[test]
fn what_is_extracted_is_the_store_and_makes_the_same_bundle() {
    let desk = Desk::new();
    fs::create_dir(desk.path("empty")).unwrap();
    std::os::unix::fs::symlink("empty", desk.path("link")).unwrap();
    for target in ["new", "link"] {
        let report = desk.report(&["petstore.bundle", "--extract", target], 0);
        assert_eq!(report["extracted"], json!({"directory": target, "files": 10}));
        let files = |path: &Path| directory::read(path).unwrap();
        assert_eq!(files(&desk.path(target)), files(&sample_store()), "{target}");
    }
    assert!(fs::symlink_metadata(desk.path("link")).unwrap().is_symlink());
    let built = desk.path("again");
    let store = desk.path("new");
    let output = run(&["build", "--store", store.to_str().unwrap(), "--output", built.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(fs::read(built).unwrap(), bundle_bytes(1));
}

#[test]
fn nothing_is_extracted_over_what_is_there() {
    let desk = Desk::new();
    let inside = desk.path("full");
    fs::create_dir(&inside).unwrap();
    fs::write(inside.join("mine"), "mine").unwrap();
    fs::create_dir(desk.path("current")).unwrap();
    fs::write(desk.path("file"), "mine").unwrap();
    std::os::unix::fs::symlink("nowhere", desk.path("dangling")).unwrap();
    let before = desk.others().len();
    for (target, text) in [
        ("full", "`full` is not empty"),
        (".", "`.` is not empty"),
        ("file", "`file` is not a directory"),
        ("dangling", "`dangling` is not a directory"),
        ("no/such/parent", "cannot write `no/such/parent`"),
    ] {
        refused(&desk.inspect(&["petstore.bundle", "--extract", target]), 1, &[text]);
    }
    let mut command = desk.command(&["../petstore.bundle", "--extract", "."]);
    let output = command.current_dir(desk.path("current")).output().unwrap();
    refused(&output, 1, &["is the current directory"]);
    assert_eq!(desk.others().len(), before, "{:?}", desk.others());
    assert_eq!(fs::read_dir(&inside).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(desk.path("file")).unwrap(), "mine");
}

const BUCKET: &str = "bundles";
const KEY: &str = "shop/petstore.bundle";
const URI: &str = "s3://bundles/shop/petstore.bundle";

fn inspect_in_s3(s3: &S3, arguments: &[&str]) -> Output {
    let desk = Desk::new();
    let mut command = desk.command(arguments);
    command
        .env_clear()
        .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
        .env("AWS_REGION", "eu-west-1")
        .env("AWS_ENDPOINT_URL_S3", s3.endpoint());
    command.output().unwrap()
}

#[test]
fn bundles_and_their_versions_are_read_from_s3() {
    let s3 = S3::start();
    let first = s3.put(BUCKET, KEY, bundle_bytes(1));
    s3.put(BUCKET, KEY, bundle_bytes(2));
    let version = format!("{URI}?versionId={first}");
    for (uri, revision) in [(URI, 2), (&version, 1)] {
        let output = inspect_in_s3(&s3, &[uri, "--verify"]);
        shown(&output, 0, &[&format!("{uri}: petstore revision {revision}\n"), "verified: "]);
    }
    let output = inspect_in_s3(&s3, &[&version, URI]);
    shown(&output, 0, &["old petstore revision 1, ", "new petstore revision 2, ", "the same"]);
    shown(&inspect_in_s3(&s3, &[URI, "petstore.bundle"]), 0, &["the same"]);
    s3.put(BUCKET, KEY, "<html>");
    shown(&inspect_in_s3(&s3, &[URI]), 3, &["error: the file is not a bundle\n"]);
    assert_eq!(s3.puts(), 0);
}

#[test]
fn what_s3_does_not_give_is_said_with_advice() {
    let s3 = S3::start();
    s3.put(BUCKET, KEY, bundle_bytes(1));
    let missing = "s3://bundles/shop/petstore.bundle.7";
    let version = format!("{URI}?versionId=none");
    refused(&inspect_in_s3(&s3, &[missing]), 1, &["petstore.bundle.7` does not exist", "aws s3 ls"]);
    refused(&inspect_in_s3(&s3, &[&version]), 1, &["?versionId=none` does not exist"]);
    for (fault, texts) in [
        (S3Fault::Forbidden, ["AccessDenied", "to inspect takes s3:GetObject"]),
        (S3Fault::Error(404, "NoSuchBucket"), ["there is no such bucket", "correct its name"]),
        (S3Fault::Truncated, ["the answer broke off", URI]),
    ] {
        s3.fault(fault);
        refused(&inspect_in_s3(&s3, &[URI]), 1, &texts);
        refused(&inspect_in_s3(&s3, &["petstore.bundle", URI]), 1, &texts);
    }
    s3.fault(S3Fault::Drips(Duration::from_millis(100)));
    refused(&inspect_in_s3(&s3, &[URI]), 1, &["the answer did not end within", "is the network up?"]);
    s3.fault(S3Fault::None);
    s3.put(BUCKET, KEY, vec![0; MAX_BUNDLE_BYTES + 1]);
    refused(&inspect_in_s3(&s3, &[URI]), 3, &["larger than a bundle may be"]);
}
