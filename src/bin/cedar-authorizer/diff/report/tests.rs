//! Recorded traffic, shadow bundles and proofs in every form, with values made by hand.

use serde_json::json;

use super::*;
use crate::access::Access;
use crate::diff::human::human;
use crate::diff::markdown::{self, markdown};
use crate::diff::page::page;
use crate::proof::{ActionProof, Counterexample, Finding};
use crate::recorded::{Example, LeftOut, ShadowDifference, TrafficDifference, Verdict};

fn identity(name: &str) -> Identity {
    Identity {
        name: name.to_owned(),
        store: "petstore".to_owned(),
        tenant: None,
        revision: None,
        digest: None,
        commit: None,
        signatures: None,
    }
}

fn verdict(decision: &str, reason: &str, policies: &[&str]) -> Verdict {
    Verdict {
        decision: decision.to_owned(),
        reason: reason.to_owned(),
        policies: policies.iter().map(|id| (*id).to_owned()).collect(),
    }
}

fn traffic(access: Access, route: &str, policies: &[&str]) -> TrafficDifference {
    let (denied, allowed) =
        (verdict("deny", "no-matching-permit", &[]), verdict("allow", "allowed-by-policy", policies));
    let (before, after) = match access {
        Access::Gained => (denied, allowed),
        Access::Lost => (allowed, denied),
        Access::Same => (allowed, verdict("allow", "allowed-by-policy", &["other"])),
    };
    TrafficDifference {
        access,
        route: route.to_owned(),
        before,
        after,
        count: 12,
        callers: 3,
        example: Example {
            place: "calls.jsonl:7".to_owned(),
            principal: "A::User::\"<i>\"".to_owned(),
            action: "A::Action::\"get /\"".to_owned(),
            resource: "A::App::\"A\"".to_owned(),
            request: json!({}),
        },
    }
}

fn proof(action: &str, more: Finding, less: Finding) -> ActionProof {
    ActionProof {
        principal_type: "A::User".to_owned(),
        action: format!("A::Action::\"{action}\""),
        resource_type: "A::App".to_owned(),
        policies: "0f".to_owned(),
        more,
        less,
    }
}

fn shown(told: &[&str]) -> Finding {
    let example = Counterexample {
        access: Access::Gained,
        told: told.iter().map(|line| (*line).to_owned()).collect(),
        policies_before: Vec::new(),
        policies_after: vec!["kennel".to_owned()],
        request: json!({}),
    };
    Finding::Shown { example: Box::new(example) }
}

/// A report with everything that others fill.
fn report() -> Report {
    let mut report = Report::of_first(identity("policies"));
    report.old = Some(identity("main:policies"));
    report.traffic = Some(Traffic {
        files: vec!["calls.jsonl".to_owned()],
        requests: 100,
        left_out: vec![LeftOut {
            why: "its token was refused".to_owned(),
            count: 2,
            first: "calls.jsonl:3".to_owned(),
        }],
        differences: vec![
            traffic(Access::Lost, "get /", &["a"]),
            traffic(Access::Gained, "get /", &["a", "b"]),
            traffic(Access::Same, "get /", &["a"]),
        ],
    });
    report.shadow = Some(ShadowLog {
        files: vec!["function.log".to_owned()],
        decisions: Some(50),
        differences: vec![ShadowDifference {
            access: Access::Gained,
            action: None,
            before: verdict("deny", "route-unmapped", &[]),
            after: verdict("allow", "allowed-by-policy", &["a"]),
            revisions: vec![4, 5],
            count: 6,
            first: "function.log:9".to_owned(),
        }],
    });
    report.proof = Some(Proof {
        solver: "cvc5 1.3.1".to_owned(),
        actions: vec![
            proof("get /", Finding::Proved, Finding::Proved),
            proof("post /", shown(&["somebody in the group <b>", "at night"]), Finding::Proved),
            proof("put /", Finding::Proved, Finding::Undecided { why: "no answer within 10 s".to_owned() }),
        ],
        notes: vec!["only one store has `delete /`".to_owned()],
    });
    report
}

const LINES: [&str; 6] = [
    "traffic gained \"get /\" no-matching-permit [] -> allowed-by-policy [\"a\",\"b\"]",
    "traffic lost \"get /\" allowed-by-policy [\"a\"] -> no-matching-permit []",
    "shadow gained \"\" route-unmapped [] -> allowed-by-policy [\"a\"]",
    "proof more A::User A::Action \"post /\" A::App 0f",
    "proof less-undecided A::User A::Action \"put /\" A::App 0f",
    "proof not-asked \"only one store has `delete /`\"",
];

#[test]
fn every_change_has_a_line_and_what_stays_the_same_has_none() {
    let judged = report().judge(None);
    let lines: Vec<String> = judged.entries().map(|entry| entry.line.to_string()).collect();
    assert_eq!(lines, LINES);
    assert_eq!((judged.is_changed(), judged.open()), (true, 6));
    let (head, rest) = judged.headline().split_once("; ").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    assert_eq!(head, "widens access: 1 group of requests, 1 group of calls, 1 claim not proved");
    assert!(
        rest.starts_with("takes access away: 1 group of requests; changes something else: 2 claims"),
        "{rest}"
    );
}

#[test]
fn what_is_not_proved_is_never_the_same() {
    let mut report = report();
    (report.traffic, report.shadow) = (None, None);
    let with = |actions: Vec<ActionProof>, notes: Vec<String>| {
        let mut report = report.clone();
        report.proof = Some(Proof { solver: "cvc5".to_owned(), actions, notes });
        report.judge(None).is_changed()
    };
    let undecided = || Finding::Undecided { why: "it died".to_owned() };
    assert!(!with(vec![proof("a", Finding::Proved, Finding::Proved)], Vec::new()));
    assert!(with(vec![proof("a", undecided(), Finding::Proved)], Vec::new()));
    assert!(with(vec![proof("a", Finding::Proved, undecided())], Vec::new()));
    assert!(with(Vec::new(), vec!["an action was not asked".to_owned()]));
}

#[test]
fn agreement_is_line_by_line() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let judge = |lines: &[&str]| {
        std::fs::write(file.path(), lines.join("\n")).unwrap();
        report().judge(Some(&Agreement::read(file.path()).unwrap()))
    };
    assert!(!judge(&LINES).is_changed());
    for left_out in LINES {
        let lines: Vec<&str> = LINES.into_iter().filter(|line| *line != left_out).collect();
        assert_eq!(judge(&lines).open(), 1, "{left_out}");
    }
    // Who agrees to what is not known has not agreed to a counterexample.
    let judged = judge(&["proof more-undecided A::User A::Action \"post /\" A::App 0f"]);
    assert_eq!((judged.open(), judged.stale.len()), (6, 1));
    // Nor to what other policies allow under the same action.
    let judged = judge(&["proof more A::User A::Action \"post /\" A::App 1f"]);
    assert_eq!((judged.open(), judged.stale.len()), (6, 1));
    let judged = judge(&["traffic gained \"get /\" no-matching-permit [] -> allowed-by-policy [\"a\"]"]);
    assert_eq!(judged.open(), 6);
}

#[test]
fn every_form_shows_every_change_and_no_markup_of_names() {
    let judged = report().judge(None);
    let text = human(&judged);
    let (comment, page) = (markdown(&judged), page(&judged));
    for form in [&text, &comment, &page] {
        for part in ["12 of 3 callers", "at night", "no answer within 10 s", "no policy", "kennel"] {
            assert!(form.contains(part), "{part}: {form}");
        }
    }
    assert!(text.contains("2 left out: its token was refused (calls.jsonl:3)"), "{text}");
    assert!(text.contains("by cvc5 1.3.1: 4 of 6 claims that nothing changes are proved"), "{text}");
    for form in [&comment, &page] {
        assert!(!form.contains("<b>") && !form.contains("<i>"), "{form}");
    }
    let json = judged.json();
    assert_eq!(json["changes"].as_array().unwrap().len(), LINES.len());
    assert_eq!(json["proof"]["actions"][1]["more"]["result"], "shown");
    assert_eq!(json["traffic"]["differences"].as_array().unwrap().len(), 3);
}

#[test]
fn a_comment_is_short_whatever_is_in_it() {
    let mut report = report();
    let (name, many) = ("@|".repeat(300), 1_000);
    if let Some(all) = &mut report.traffic {
        all.differences = vec![traffic(Access::Gained, &name, &[&name, &name]); many];
        all.left_out = (0..many)
            .map(|count| LeftOut { why: name.clone(), count: count as u64, first: name.clone() })
            .collect();
    }
    if let Some(all) = &mut report.proof {
        let told: Vec<&str> = (0..20).map(|_| name.as_str()).collect();
        all.actions = vec![proof("post /", shown(&told), Finding::Proved); many];
        all.notes = vec![name.clone(); many];
    }
    report.changed.files.added = vec![name.clone(); many];
    let judged = report.judge(None);
    let comment = markdown(&judged);
    let length = comment.chars().count();
    assert!(length <= markdown::MOST, "{length}");
    assert!(comment.contains(" left out"), "{length}");
    assert_eq!(comment.matches("<details").count(), comment.matches("</details>").count());
    assert!(human(&judged).chars().count() < 200_000);
}
