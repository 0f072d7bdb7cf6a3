//! Compares the tables of the documentation with the code.

use std::fmt::Write;
use std::fs;
use std::process::Command;

use cedar_authorizer::reason::{Reason, Status};
use cedar_authorizer::store::finding::Code;

use crate::world::{CLI, golden, root, stderr, stdout};

#[test]
fn every_reason_is_in_the_documented_table() {
    let mut page = String::from(
        "# Reason codes\n\n\
         Every call ends with one of these. The code is in the log and, where API Gateway gets a policy, in its\n\
         `context`. The class says what the reason has to do with; it is a dimension of the metric `Decisions`. This\n\
         table is written from `src/reason.rs` by the tests (`UPDATE_GOLDEN=1 cargo test`).\n\n\
         | code | meaning | the client gets | class |\n|---|---|---|---|\n",
    );
    for reason in Reason::ALL {
        let status = match reason.status() {
            Status::Allow => "the answer of the backend",
            Status::Deny => "403",
            Status::Unauthorized => "401",
            Status::Fault => "500",
        };
        let class = reason.class().name();
        writeln!(page, "| `{reason}` | {} | {status} | {class} |", reason.meaning()).unwrap();
    }
    golden(&root().join("docs/reasons.md"), &page);
}

#[test]
fn every_finding_is_in_the_documented_table() {
    let mut page = String::from(
        "# Findings\n\n\
         What `cedar-authorizer check` can say of a policy store. An error makes the store unusable, a warning\n\
         does not. This table is written from `src/store/finding.rs` by the tests (`UPDATE_GOLDEN=1 cargo test`).\n\n\
         | code | severity | meaning |\n|---|---|---|\n",
    );
    for code in Code::ALL {
        writeln!(page, "| `{code}` | {} | {} |", code.severity(), code.meaning()).unwrap();
    }
    golden(&root().join("docs/findings.md"), &page);
}

/// From the description of an API to a bundle, as README.md has it, in a folder with nothing but the description.
#[test]
fn the_five_minutes_of_the_readme_work_as_printed() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let (_, from) = readme.split_once("```sh\ncargo run -- init").unwrap();
    let (block, _) = from.split_once("```").unwrap();
    let commands = format!("cargo run -- init{block}").replace("\\\n", " ");

    let folder = tempfile::tempdir().unwrap();
    let description = "examples/petstore.yaml";
    fs::create_dir(folder.path().join("examples")).unwrap();
    fs::copy(root().join(description), folder.path().join(description)).unwrap();
    let mut verbs = Vec::new();
    for line in commands.lines() {
        let command = line.split(" # ").next().unwrap();
        let arguments: Vec<&str> =
            command.strip_prefix("cargo run -- ").unwrap().split_whitespace().collect();
        let output = Command::new(CLI).args(&arguments).current_dir(folder.path()).output().unwrap();
        let expected = if arguments[0] == "authorize" { 2 } else { 0 };
        assert_eq!(output.status.code(), Some(expected), "{line}\n{}{}", stdout(&output), stderr(&output));
        if arguments[0] == "check" {
            assert_eq!(stdout(&output), "ok: 2 policies, 5 routes\n");
        }
        verbs.push(arguments[0]);
    }
    assert_eq!(verbs, ["init", "check", "test", "matrix", "authorize", "build"]);
    assert!(folder.path().join("shop.bundle").is_file());
}

/// `docs/limits.md` names a constant as `NAME` in `file`. If one is renamed or moved, the page is to follow.
#[test]
fn every_constant_of_the_limits_is_where_the_page_says() {
    let page = fs::read_to_string(root().join("docs/limits.md")).unwrap();
    let mut named = 0;
    for (line, parts) in page.lines().map(|line| (line, line.split('`').collect::<Vec<_>>())) {
        for window in parts.windows(3).filter(|window| window[1] == " in " && window[2].starts_with("src/")) {
            let source =
                fs::read_to_string(root().join(window[2])).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert!(source.contains(&format!("const {}: ", window[0])), "{line}");
            named += 1;
        }
    }
    assert!(named > 50, "{named}");
}
