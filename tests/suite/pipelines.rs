//! `docs/ci.md`: its workflows can be read, and what they call is there.

use std::collections::BTreeSet;
use std::fs;

use granit_parser::{Event, Parser};
use serde_json::Value;

use crate::help::{help, verbs};
use crate::world::root;

/// What the page promises and this version does not have yet, as verb and option.
const NOT_YET: [(&str, &str); 7] = [
    ("check", "--deny"),
    ("test", "--format"),
    ("test", "--output"),
    ("test", "--coverage-min"),
    ("test", "--coverage-html"),
    ("matrix", "--check"),
    ("matrix", "--format"),
];

#[test]
fn every_workflow_is_yaml_and_every_policy_is_json() {
    let page = page();
    let workflows = blocks(&page, "yaml");
    let names: Vec<&str> = workflows.iter().map(|text| text.lines().next().unwrap()).collect();
    assert_eq!(
        names,
        [
            "# .github/workflows/policies.yml",
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
            let options = words.clone().take_while(|word| !["`", "|", ">", "||"].contains(word));
            for option in options.filter(|word| word.starts_with("--")) {
                if !help.contains(&format!("{option} ")) && !help.contains(&format!("{option}\n")) {
                    missing.insert((verb.to_owned(), option.to_owned()));
                }
            }
        }
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["check", "keygen", "matrix", "publish", "test"]);
    let not_yet: BTreeSet<(String, String)> =
        NOT_YET.iter().map(|(verb, option)| ((*verb).to_owned(), (*option).to_owned())).collect();
    assert_eq!(missing, not_yet, "what is missing; or NOT_YET names what is there");
}

const VERBS: [&str; 5] = ["check", "keygen", "matrix", "publish", "test"];

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
