//! `diff`: what a change of policies would do, in every view and form.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::loopback::S3;
use crate::world::{CLI, StoreCopy, bundle_bytes, golden, root, run, sample_store, stderr, stdout};

/// The sample store as somebody might change it: employees add pets without the scope, the auditor is gone, and a policy
/// has another name.
fn changed() -> StoreCopy {
    let store = StoreCopy::of(&sample_store());
    edit(
        &store,
        "policies/attributes.cedar",
        "when { context.token has scope",
        "when { true || context.token has scope",
    );
    edit(&store, "policies/groups.cedar", "@id(\"customers-see-pets\")", "@id(\"customers-look-at-pets\")");
    store.remove("template-links.json");
    store
}

fn edit(store: &StoreCopy, path: &str, from: &str, to: &str) {
    let text = fs::read_to_string(store.path().join(path)).unwrap();
    assert!(text.contains(from), "{path}: {from}");
    store.write(path, text.replace(from, to).as_bytes());
}

fn diff(arguments: &[&str]) -> (i32, String, String) {
    ended(&run(&[&["diff"], arguments].concat()))
}

fn ended(output: &Output) -> (i32, String, String) {
    (output.status.code().unwrap(), stdout(output), stderr(output))
}

#[track_caller]
fn json(arguments: &[&str]) -> Value {
    let (_, text, said) = diff(&[arguments, &["--format", "json"]].concat());
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{said}"))
}

/// The lines of the changes in a view.
fn lines(report: &Value, view: &str) -> Vec<String> {
    let changes = report["changes"].as_array().unwrap().iter();
    let of_view = changes.filter(|change| change["view"] == view);
    of_view.map(|change| change["line"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_form_shows_the_same_change() {
    let folder = tempfile::tempdir().unwrap();
    copy(&sample_store(), &folder.path().join("old"));
    copy(changed().path(), &folder.path().join("new"));
    let diff = |arguments: &[&str]| {
        let mut command = Command::new(CLI);
        command.args(["diff", "old", "new"]).args(arguments).current_dir(folder.path());
        ended(&command.output().unwrap())
    };
    for (form, file) in [
        ("human", "report.txt"),
        ("json", "report.json"),
        ("markdown", "report.md"),
        ("html", "report.html"),
        ("agreement", "agreed.txt"),
    ] {
        let (code, text, said) = diff(&["--format", form]);
        assert_eq!(code, 2, "{form}: {said}");
        golden(&root().join("tests/data/diffs").join(file), &text);
        let (code, printed, _) = diff(&["--format", form, "--output", "out"]);
        assert_eq!((code, printed.as_str()), (2, ""), "{form}");
        assert_eq!(fs::read_to_string(folder.path().join("out")).unwrap(), text, "{form}");
    }
}

#[test]
fn what_does_not_change_is_said_with_exit_code_0() {
    let store = StoreCopy::of(&sample_store());
    store.write("policies/note.cedar", b"// Nothing but a comment.\n");
    let (code, text, said) = diff(&["policies", store.path().to_str().unwrap()]);
    assert_eq!(code, 0, "{text}{said}");
    assert!(text.contains("files added: policies/note.cedar\n"), "{text}");
    assert!(text.contains("the same: nothing changes in identity sources, "), "{text}");
    assert!(text.ends_with("which is no proof: see --prove\n"), "{text}");
    let report = json(&["policies", "policies"]);
    assert_eq!((&report["result"], &report["version"]), (&"fine".into(), &1.into()));
    assert_eq!(report["changes"], Value::Array(Vec::new()));
}

#[test]
fn the_matrix_has_personas_and_groups_of_either_side() {
    let store = changed();
    store.write("personas.toml", b"[zoe]\nsub = \"9\"\n\"cognito:groups\" = [\"night\"]\n");
    let policy = "@id(\"night\") permit (principal in PetStore::UserGroup::\"us-east-1_EXAMPLE|night\",
        action == PetStore::Action::\"get /pets\", resource);\n";
    store.write("policies/night.cedar", policy.as_bytes());
    store.remove("tests/pets.yaml");
    store.remove("tests/tokens.yaml");
    let new = store.path().to_str().unwrap();
    let expected = [
        "matrix gained persona zoe \"get /pets\"",
        "matrix gained persona carol \"post /pets\"",
        "matrix gained group employee \"post /pets\"",
        "matrix gained group night \"get /pets\"",
        "matrix lost persona dave \"get /pets\"",
        "matrix lost persona dave \"get /pets/{petId}\"",
    ];
    let report = json(&["policies", new]);
    let mut found = lines(&report, "matrix");
    // The group of store owners is below employees.
    found.retain(|line| !line.contains("store-owner"));
    assert_eq!(found, expected);
    let personas = lines(&json(&["policies", new, "--by", "persona"]), "matrix");
    assert!(personas.len() == 4 && personas.iter().all(|line| line.contains(" persona ")), "{personas:?}");
    let groups = lines(&json(&["policies", new, "--by", "group"]), "matrix");
    assert!(groups.iter().all(|line| line.contains(" group ")), "{groups:?}");
    // And the other way round.
    let back = lines(&json(&[new, "policies"]), "matrix");
    assert!(back.contains(&"matrix lost persona carol \"post /pets\"".to_owned()), "{back:?}");
    assert!(back.contains(&"matrix lost group night \"get /pets\"".to_owned()), "{back:?}");
}

#[test]
fn a_route_of_one_side_is_denied_on_the_other() {
    let store = StoreCopy::of(&sample_store());
    let schema = fs::read_to_string(store.path().join("schema.cedarschema")).unwrap();
    let schema = schema.trim_end().strip_suffix('}').unwrap();
    let action = "action \"get /search\" appliesTo { principal: User, resource: Application, context: { token: Token } };";
    store.write("schema.cedarschema", format!("{schema}  {action}\n}}\n").as_bytes());
    store.write(
        "policies/search.cedar",
        b"@id(\"search\") @accept(\"permit-for-everyone\")
          permit (principal, action == PetStore::Action::\"get /search\", resource);\n",
    );
    let new = store.path().to_str().unwrap();
    let (code, text, _) = diff(&["policies", new, "--by", "persona"]);
    assert_eq!(code, 2);
    assert!(text.contains("get /search  deny -> allow (new route)  `search` permits it"), "{text}");
    let (_, text, _) = diff(&[new, "policies", "--by", "persona"]);
    assert!(text.contains("get /search  allow -> deny (route is gone)"), "{text}");
    let (_, text, _) = diff(&[new, "policies", "--by", "persona", "--request", "GET /search?x=1"]);
    assert!(text.contains("GET /search?x=1"), "{text}");
    let (code, _, said) = diff(&["policies", new, "--request", "nonsense"]);
    assert_eq!(code, 1, "{said}");
}

#[test]
fn tests_are_those_of_the_new_side_or_else_of_the_old() {
    let store = changed();
    let new = store.path().to_str().unwrap();
    let fails = "test fails tests/pets.yaml \"employees add no pets without the scope\"";
    let report = json(&["policies", new]);
    assert!(
        lines(&report, "test").iter().any(|line| line.starts_with(fails.trim_end_matches('"'))),
        "{report:#}"
    );
    fs::remove_dir_all(store.path().join("tests")).unwrap();
    assert_eq!(lines(&json(&["policies", new]), "test"), lines(&report, "test"));
    let back = lines(&json(&[new, "policies"]), "test");
    assert!(
        back.iter().any(|line| line.starts_with("test passes tests/pets.yaml \"employees add no pets")),
        "{back:?}"
    );

    store.write("tests/broken.yaml", b"tests: [{ name: a, as: nobody, request: GET /, expect: allow }]");
    let (code, _, said) = diff(&["policies", new]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("nobody") && said.contains("the tests cannot be read"), "{said}");
}

#[test]
fn whose_tokens_are_accepted_is_a_change_of_its_own() {
    let store = StoreCopy::of(&sample_store());
    let text = fs::read_to_string(store.path().join("identity-sources/cognito.json")).unwrap();
    let source: Value = serde_json::from_str(&text).unwrap();
    let clients = source.pointer("/configuration/cognitoUserPoolConfiguration/clientIds").unwrap();
    let first = clients[0].as_str().unwrap();
    edit(
        &store,
        "identity-sources/cognito.json",
        &format!("\"{first}\""),
        &format!("\"{first}\", \"another\""),
    );
    let report = json(&["policies", store.path().to_str().unwrap()]);
    // Nobody of the matrix has a token of that client.
    assert_eq!(lines(&report, "matrix"), [""; 0]);
    let tokens = lines(&report, "tokens");
    assert_eq!(tokens.len(), 1, "{tokens:?}");
    assert!(
        tokens[0].starts_with("tokens changed identity-sources/cognito.json configuration."),
        "{tokens:?}"
    );
    assert!(tokens[0].contains("another"), "{tokens:?}");
    assert_eq!(report["result"], "changed");
}

#[test]
fn a_token_of_the_old_issuer_is_asked_too() {
    let store = StoreCopy::new();
    edit(&store, "identity-sources/cognito.json", "us-east-1_EXAMPLE", "us-east-1_OTHER");
    edit(&store, "policies/groups.cedar", "us-east-1_EXAMPLE", "us-east-1_OTHER");
    let report = json(&["policies", store.path().to_str().unwrap(), "--by", "persona"]);
    let matrix = lines(&report, "matrix");
    assert!(
        matrix.contains(&"matrix lost persona-with-old-token bob \"get /pets\"".to_owned()),
        "{matrix:?}"
    );
    assert!(matrix.contains(&"matrix gained persona bob \"get /pets\"".to_owned()), "{matrix:?}");
}

/// A git repository with the sample store in `policies`, and the changed one in the work tree.
struct Repository(tempfile::TempDir);

impl Repository {
    fn new() -> Self {
        let repository = Self(tempfile::tempdir().unwrap());
        copy(&sample_store(), &repository.path().join("policies"));
        copy(&root().join("events"), &repository.path().join("events"));
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository.commit("first");
        let changed = changed();
        fs::remove_dir_all(repository.path().join("policies")).unwrap();
        copy(changed.path(), &repository.path().join("policies"));
        repository
    }

    fn path(&self) -> PathBuf {
        self.0.path().to_owned()
    }

    fn git(&self, arguments: &[&str]) {
        let who = ["-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "commit.gpgsign=false"];
        let output = Command::new("git")
            .args(who)
            .args(arguments)
            .current_dir(self.0.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    }

    fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", message]);
    }

    fn diff_in(&self, folder: &str, arguments: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(CLI);
        command.arg("diff").args(arguments).current_dir(self.0.path().join(folder));
        ended(&command.output().unwrap())
    }

    fn diff(&self, arguments: &[&str]) -> (i32, String, String) {
        self.diff_in("", arguments)
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_side_may_be_a_git_revision() {
    let repository = Repository::new();
    let expected =
        lines(&json(&["policies", repository.path().join("policies").to_str().unwrap()]), "matrix");
    assert!(!expected.is_empty());
    let found = |arguments: &[&str]| {
        let (code, text, said) = repository.diff(&[arguments, &["--format", "json"]].concat());
        assert_eq!(code, 2, "{said}");
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let report = found(&["main:policies", "policies"]);
    assert_eq!(lines(&report, "matrix"), expected);
    assert_eq!(report["old"]["commit"].as_str().unwrap().len(), 40);
    assert_eq!(report["old"]["name"], "main:policies");
    // Also with tests that name events elsewhere in the repository.
    repository.commit("second");
    let committed = found(&["HEAD~1:policies", "HEAD:policies/"]);
    assert_eq!(committed["changes"], report["changes"]);
    assert_eq!(committed["tests"]["tests"], report["tests"]["tests"]);
    // As with git, a path is from here only if it says so.
    let (code, _, said) = repository.diff_in("policies", &["main~1:./", "main:policies"]);
    assert_eq!(code, 2, "{said}");
    // A directory of that very name goes first.
    copy(&sample_store(), &repository.path().join("main:policies"));
    let (code, text, said) = repository.diff(&["main:policies", "main~1:policies"]);
    assert_eq!(code, 0, "{text}{said}");
}

#[test]
fn a_git_revision_that_cannot_be_read_says_why() {
    let repository = Repository::new();
    for (old, text) in [
        ("nowhere:policies", "there is no revision `nowhere`"),
        ("--upload-pack=x:policies", "unexpected argument"),
        ("main:nowhere", "this revision has no directory `nowhere`"),
        ("main:policies/store.toml", "is not a directory in this revision"),
        ("main:../..", "leads out of the repository"),
        (":policies", "the part before `:` is no git revision"),
        ("nowhere", "there is no file or directory `nowhere`"),
        ("main:events", "there is no `store.toml`"),
    ] {
        let (code, printed, said) = repository.diff(&[old, "policies"]);
        assert!(code == 1 || code == 3, "{old}: {code} {said}");
        assert!(said.contains(text) && printed.is_empty(), "{old}: {said}");
    }
    let (code, _, said) = repository.diff(&["--", "--upload-pack=touch x:policies", "policies"]);
    assert_eq!(code, 1);
    assert!(said.contains("is no git revision"), "{said}");
    assert!(!repository.path().join("x").exists());
    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = Command::new(CLI);
    command.args(["diff", "main:policies", "."]).current_dir(elsewhere.path());
    command.env("GIT_CEILING_DIRECTORIES", elsewhere.path().parent().unwrap());
    let (code, _, said) = ended(&command.output().unwrap());
    assert_eq!(code, 1);
    assert!(said.contains("this is not a git repository"), "{said}");
}

#[cfg(unix)]
#[test]
fn a_link_in_a_git_revision_is_refused() {
    let repository = Repository::new();
    std::os::unix::fs::symlink("/etc/passwd", repository.path().join("policies/policies/link.cedar"))
        .unwrap();
    repository.commit("second");
    fs::remove_file(repository.path().join("policies/policies/link.cedar")).unwrap();
    let (code, _, said) = repository.diff(&["main:policies", "policies"]);
    assert_eq!(code, 1);
    assert!(said.contains("`policies/policies/link.cedar` is a symbolic link"), "{said}");
}

#[test]
fn bundles_borrow_personas_and_tests_and_are_verified() {
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("old.bundle");
    fs::write(&old, bundle_bytes(7)).unwrap();
    let old = old.to_str().unwrap();
    let store = changed();
    let new = store.path().to_str().unwrap();
    let (expected, report) = (json(&["policies", new]), json(&[old, new]));
    assert_eq!(report["changes"], expected["changes"]);
    assert_eq!((&report["old"]["revision"], &report["old"]["store"]), (&7.into(), &"petstore".into()));
    assert_eq!(report["old"]["digest"].as_str().unwrap().len(), 64);
    let back = json(&[new, old]);
    assert_eq!(back["tests"]["tests"], expected["tests"]["tests"]);
    assert!(!lines(&back, "matrix").is_empty());

    // Two bundles have nobody but groups.
    let report = json(&[old, old]);
    assert_eq!((&report["result"], &report["tests"]), (&"fine".into(), &Value::Null));
    assert!(report["matrix"]["callers"].as_u64().unwrap() > 2);

    let made = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let key = |name: &str| stdout(&run(&["keygen", "--output", &made(name)])).trim().to_owned();
    let (own, other) = (key("own.pem"), key("other.pem"));
    let signed = made("signed.bundle");
    let built = run(&["build", "--output", &signed, "--sign-key", &made("own.pem")]);
    assert!(built.status.success(), "{}", stderr(&built));
    assert_eq!(diff(&[&signed, "policies", "--public-keys", &own]).0, 0);
    for (bundle, trusted, problem) in
        [(signed.as_str(), &other, "the bundle cannot be trusted"), (old, &own, "the bundle is not signed")]
    {
        let (code, printed, said) = diff(&[bundle, "policies", "--public-keys", trusted]);
        assert_eq!((code, printed.as_str()), (3, ""), "{said}");
        assert!(said.contains(problem), "{said}");
    }

    let s3 = S3::start();
    s3.put("bundles", "petstore.bundle", bundle_bytes(7));
    let mut command = Command::new(CLI);
    command
        .args(["diff", "s3://bundles/petstore.bundle", new, "--format", "json"])
        .current_dir(root())
        .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
        .env("AWS_REGION", "eu-west-1")
        .env("AWS_ENDPOINT_URL_S3", s3.endpoint());
    let (code, text, said) = ended(&command.output().unwrap());
    assert_eq!(code, 2, "{said}");
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["changes"], expected["changes"]);
    assert_eq!(report["old"]["name"], "s3://bundles/petstore.bundle");
}

#[test]
fn a_new_side_with_errors_is_invalid() {
    let store = changed();
    store.write("policies/broken.cedar", b"permit (principal, action, resource) when { principal.nothing };");
    let new = store.path().to_str().unwrap();
    let (code, printed, said) = diff(&["policies", new]);
    assert_eq!((code, printed.as_str()), (3, ""), "{said}");
    assert!(said.contains("broken.cedar") && said.contains("is invalid"), "{said}");
    // What was valid once can be compared with what comes after it.
    let (code, _, said) = diff(&[new, "policies"]);
    assert_eq!(code, 2, "{said}");
}

#[test]
fn only_what_was_not_agreed_to_counts() {
    let store = changed();
    let new = store.path().to_str().unwrap();
    let (_, agreed, _) = diff(&["policies", new, "--format", "agreement"]);
    let file = store.path().join("agreed.md");
    let allow = file.to_str().unwrap().to_owned();
    let judge = |text: &str| {
        fs::write(&file, text).unwrap();
        diff(&["policies", new, "--allow-only", &allow])
    };
    let (code, text, said) = judge(&agreed);
    assert_eq!(code, 0, "{text}{said}");
    assert!(text.contains("agreed: ") && text.contains("gained (agreed)"), "{text}");

    // In any order, and each line counts.
    let all: Vec<&str> = agreed.lines().filter(|line| !line.starts_with('#')).collect();
    let reversed: Vec<&str> = all.iter().rev().copied().collect();
    assert_eq!(judge(&reversed.join("\r\n")).0, 0);
    for left_out in 0..all.len() {
        let rest: Vec<&str> =
            all.iter().enumerate().filter(|(number, _)| *number != left_out).map(|(_, line)| *line).collect();
        let (code, text, _) = judge(&rest.join("\n"));
        assert_eq!(code, 2, "{}: {text}", all[left_out]);
        assert!(text.contains("agreed to, 1 not"), "{}: {text}", all[left_out]);
    }

    let (code, text, _) = judge(&format!("{agreed}\nmatrix gained persona mallory \"get /pets\"\n"));
    assert_eq!(code, 0);
    assert!(text.contains("names no change: matrix gained persona mallory \"get /pets\"\n"), "{text}");
    for (line, problem) in
        [("nonsense", "no view `nonsense`"), ("matrix gained carol", "there should be a name")]
    {
        let (code, printed, said) = judge(&format!("# a\n{line}\n"));
        assert_eq!((code, printed.as_str()), (1, ""), "{said}");
        assert!(said.contains("agreed.md:2") && said.contains(problem), "{said}");
    }
    let (code, _, said) = diff(&["policies", new, "--allow-only", "/nowhere/agreed.txt"]);
    assert_eq!(code, 1, "{said}");
}

#[test]
fn no_name_is_markup_or_obeyed() {
    let store = StoreCopy::new();
    let persona =
        "[\"</code>|<img src=x>@all #1 `x` [a](http://b.example)\\u001b[31m\\u202e\"]\nsub = \"1\"\n";
    store.write("personas.toml", persona.as_bytes());
    let policy = "@id(\"<b>|`@all\") @accept(\"permit-for-everyone\")
        permit (principal, action == PetStore::Action::\"get /pets\", resource);\n";
    store.write("policies/more.cedar", policy.as_bytes());
    let new = store.path().to_str().unwrap();
    for form in ["human", "markdown", "html", "agreement", "json"] {
        let (code, text, said) = diff(&["policies", new, "--format", form]);
        assert_eq!(code, 2, "{said}");
        assert!(!text.contains('\u{1b}') && !said.contains('\u{1b}'), "{form}: {text:?}");
        if form != "json" {
            assert!(!text.contains('\u{202e}'), "{form}: {text:?}");
        }
        if form == "markdown" || form == "html" {
            assert!(!text.contains("<img") && !text.contains("<b>") && !text.contains("<script"), "{text}");
        }
        if form == "markdown" {
            for part in ["@all", "#1 ", "`x`", "](", "http:", "b.example"] {
                assert!(!text.contains(part), "{part}: {text}");
            }
            let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
            assert!(
                !rows.is_empty() && rows.iter().all(|row| (5..=6).contains(&row.matches('|').count())),
                "{text}"
            );
        }
    }
    let (_, agreed, _) = diff(&["policies", new, "--format", "agreement"]);
    store.write("agreed.md", agreed.as_bytes());
    let agreed = store.path().join("agreed.md");
    assert_eq!(diff(&["policies", new, "--allow-only", agreed.to_str().unwrap()]).0, 0);
}

#[test]
fn a_comment_is_never_too_long_and_says_what_it_leaves_out() {
    let store = StoreCopy::new();
    let personas: String =
        (0..3_000).map(|n| format!("[\"{}{n}\"]\nsub = \"{n}\"\n", "é|".repeat(40))).collect();
    store.write("personas.toml", personas.as_bytes());
    let policy = "@id(\"all\") @accept(\"permit-for-everyone\")
        permit (principal, action == PetStore::Action::\"get /pets\", resource);\n";
    store.write("policies/more.cedar", policy.as_bytes());
    let (code, text, said) = diff(&["policies", store.path().to_str().unwrap(), "--format", "markdown"]);
    assert_eq!(code, 2, "{said}");
    let length = text.chars().count();
    assert!((50_000..=65_000).contains(&length), "{length}");
    assert!(text.contains(" rows left out here, ") && text.contains(" of which widen access"), "{length}");
    assert_eq!(text.matches("<details").count(), text.matches("</details>").count());
}
