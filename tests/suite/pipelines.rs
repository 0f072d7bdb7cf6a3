//! `docs/ci.md`: its workflows can be read, and what they call is there.

use std::collections::BTreeSet;
use std::fs;

use granit_parser::{Event, Parser};
use serde_json::Value;

use crate::help::{help, verbs};
use crate::world::root;

#[test]
fn every_workflow_is_yaml_and_every_policy_is_json() {
    let page = page();
    let workflows = blocks(&page, "yaml");
    let names: Vec<&str> = workflows.iter().map(|text| text.lines().next().unwrap()).collect();
    assert_eq!(
        names,
        [
            "# .github/workflows/policies.yml",
            "# .github/workflows/policies-comment.yml",
            "# .gitlab-ci.yml",
            "# buildspec-check.yml",
            "# buildspec-publish.yml"
        ]
    );
    for workflow in workflows {
        let mut scalars = 0;
        for event in Parser::new_from_str(workflow) {
            match event {
                Ok((Event::Scalar(..), _)) => scalars += 1,
                Ok(_) => {}
                Err(error) => panic!("{error}\n{workflow}"),
            }
        }
        assert!(scalars > 15, "{scalars}: {workflow}");
        assert!(!workflow.contains("AWS_SECRET_ACCESS_KEY") && !workflow.contains('\t'), "{workflow}");
    }
    let policies = blocks(&page, "json");
    assert_eq!(policies.len(), 2);
    for policy in policies {
        let policy: Value = serde_json::from_str(policy).unwrap();
        assert_eq!(policy["Version"], "2012-10-17");
    }
}

#[test]
fn every_command_and_option_is_there() {
    let page = page();
    let known = verbs();
    let mut missing = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for line in page.lines().filter(|line| !line.contains("cargo install")) {
        // In code, or in a table.
        let line = line.replace('`', " ` ");
        let mut words = line.split_whitespace().peekable();
        while let Some(word) = words.next() {
            if word != "cedar-authorizer" && word != "`" {
                continue;
            }
            let Some(verb) = words.peek().copied().filter(|verb| VERBS.contains(verb)) else { continue };
            words.next();
            seen.insert(verb.to_owned());
            let help = if known.iter().any(|known| known == verb) { help(&[verb]) } else { String::new() };
            let rest: Vec<&str> =
                words.clone().take_while(|word| !["`", "|", ">", "||"].contains(word)).collect();
            for (number, option) in rest.iter().enumerate().filter(|(_, word)| word.starts_with("--")) {
                let is_known = help.contains(&format!("{option} ")) || help.contains(&format!("{option}\n"));
                // The forms of a result are listed in the help, with what they are for.
                let form = rest.get(number + 1).filter(|_| *option == "--format");
                if let Some(form) = form {
                    if !is_known || !help.contains(&format!("- {form}:")) {
                        missing.insert((verb.to_owned(), format!("{option} {form}")));
                    }
                } else if !is_known {
                    missing.insert((verb.to_owned(), (*option).to_owned()));
                }
            }
        }
    }
    assert_eq!(
        seen.into_iter().collect::<Vec<_>>(),
        ["check", "diff", "keygen", "matrix", "publish", "test"]
    );
    assert_eq!(missing, BTreeSet::new(), "what the page has, and the program has not");
}

/// The code of a change gets no token that may write, and what may write runs no code of a change.
#[test]
fn what_a_change_brings_gets_no_token_that_may_write() {
    let page = page();
    let workflows = blocks(&page, "yaml");
    let of = |name: &str| *workflows.iter().find(|text| text.starts_with(&format!("# {name}"))).unwrap();
    let (_, diff) = of(".github/workflows/policies.yml").split_once("\n  diff:\n").unwrap();
    let (diff, _) = diff.split_once("\n  publish:\n").unwrap();
    assert!(diff.contains("contents: read") && !diff.contains(": write"), "{diff}");
    let comment = of(".github/workflows/policies-comment.yml");
    assert!(comment.contains("pull-requests: write") && comment.contains("\npermissions: {}\n"), "{comment}");
    for code in ["checkout", "cedar-authorizer", "cargo", "contents: write", "id-token"] {
        assert!(!comment.contains(code), "{code}: {comment}");
    }
    // Text of a change is never put into a script.
    let (_, script) = comment.split_once("run: |").unwrap();
    assert!(!script.contains("${{"), "{script}");
    for (workflow, count) in [(of(".github/workflows/policies.yml"), 2), (of(".gitlab-ci.yml"), 2)] {
        assert_eq!(workflow.matches("--allow-only agreed.txt").count(), count, "{workflow}");
    }
}

const VERBS: [&str; 6] = ["check", "diff", "keygen", "matrix", "publish", "test"];

fn page() -> String {
    fs::read_to_string(root().join("docs/ci.md")).unwrap()
}

/// The blocks of code in this language.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let begin = format!("```{language}\n");
    let mut blocks = Vec::new();
    let mut rest = page;
    while let Some((_, after)) = rest.split_once(&begin) {
        let (block, after) = after.split_once("\n```\n").unwrap();
        blocks.push(block);
        rest = after;
    }
    blocks
}
