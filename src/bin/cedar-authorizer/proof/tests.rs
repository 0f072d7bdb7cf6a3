//! Proofs, against what the function decides: random pairs of stores, and random requests to both.
//!
//! `PROOF_PAIRS=10000 PROOF_SECONDS=2 SOLVER=required cargo test --bin cedar-authorizer -- proof::` is the long run: of so
//! many, some are hard, and what stays undecided is counted.

mod random;
mod stores;

use std::collections::BTreeMap;
use std::env;

use serde_json::Value;

use super::{ActionProof, Counterexample, Finding, Settings, compare, request};
use crate::access::Access;
use crate::test_bench::TestBench;
use random::Random;
use stores::{PolicyText, StoreText};

/// As long as a busy machine may need for an easy question.
fn settings() -> Settings {
    let seconds = env::var("PROOF_SECONDS").ok().and_then(|text| text.parse().ok());
    Settings { seconds_per_query: seconds.unwrap_or(120) }
}

/// Whether there is a solver. Where `SOLVER` is `required`, there has to be one.
fn has_solver() -> bool {
    match super::solver::Program::find() {
        Ok(_) => true,
        Err(failure) if env::var("SOLVER").is_ok_and(|value| value == "required") => panic!("{failure}"),
        Err(failure) => {
            note(&format!("skipped: {failure}"));
            false
        }
    }
}

/// Says something to whoever runs the tests with `--nocapture`.
#[expect(
    clippy::print_stdout,
    reason = "a test has no other way to say that it was skipped, and what it counted"
)]
fn note(text: &str) {
    println!("{text}");
}

#[track_caller]
fn compared(old: &TestBench, new: &TestBench) -> Vec<ActionProof> {
    let proof = compare(old, new, &settings()).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(proof.solver.starts_with("cvc5 "), "{}", proof.solver);
    proof.actions
}

/// Whether both stores allow a request.
fn decided(old: &TestBench, new: &TestBench, asked: &Value) -> (bool, bool) {
    let request::Readable { principal, request } = request::read(asked).unwrap();
    let decide = |bench: &TestBench| bench.gate().is_authorized(&principal, &request).unwrap().is_allowed();
    (decide(old), decide(new))
}

/// Decides the example again.
#[track_caller]
fn replay(old: &TestBench, new: &TestBench, example: &Counterexample) {
    let wanted = match example.access {
        Access::Gained => (false, true),
        Access::Lost => (true, false),
        Access::Same => panic!("an example that shows nothing"),
    };
    assert_eq!(decided(old, new, &example.request), wanted, "{:#}", example.request);
    assert!(!example.told.is_empty());
}

/// How many actions of random pairs ended how, by the name of the result.
type Counts = BTreeMap<&'static str, u32>;

fn count(counts: &mut Counts, finding: &Finding) {
    *counts.entry(name(finding)).or_default() += 1;
}

fn name(finding: &Finding) -> &'static str {
    match finding {
        Finding::Proved => "proved",
        Finding::Shown { .. } => "shown",
        Finding::Undecided { .. } => "undecided",
    }
}

/// Compares a pair, and tries the result with random requests.
#[track_caller]
fn try_pair(old: &StoreText, new: &StoreText, random: &mut Random, counts: &mut Counts) -> Vec<ActionProof> {
    let (of_old, of_new) = (old.bench(), new.bench());
    let proofs = compared(&of_old, &of_new);
    for proof in &proofs {
        for finding in [&proof.more, &proof.less] {
            count(counts, finding);
            match finding {
                Finding::Shown { example } => replay(&of_old, &of_new, example),
                Finding::Proved => {}
                Finding::Undecided { why } => {
                    assert!(!why.is_empty());
                    *counts.entry("with a reason").or_default() += 1;
                    note(&format!("undecided: {why}\n--- old\n{old}\n--- new\n{new}"));
                }
            }
        }
        for _ in 0..SAMPLES {
            let asked = random.request(&proof.action);
            match decided(&of_old, &of_new, &asked) {
                (false, true) => {
                    assert_ne!(proof.more, Finding::Proved, "{asked:#}\n--- old\n{old}\n--- new\n{new}");
                    *counts.entry("gained").or_default() += 1;
                }
                (true, false) => {
                    assert_ne!(proof.less, Finding::Proved, "{asked:#}\n--- old\n{old}\n--- new\n{new}");
                    *counts.entry("lost").or_default() += 1;
                }
                _ => {}
            }
        }
    }
    proofs
}

fn pairs() -> u64 {
    env::var("PROOF_PAIRS").ok().and_then(|text| text.parse().ok()).unwrap_or(12)
}

fn first_pair() -> u64 {
    env::var("PROOF_FIRST").ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

#[test]
fn what_is_proved_of_random_pairs_holds_for_random_requests() {
    if !has_solver() {
        return;
    }
    let mut counts = Counts::new();
    for seed in first_pair()..first_pair() + pairs() {
        let mut random = Random::new(seed);
        let old = random.store();
        let mut new = old.clone();
        for _ in 0..random.below(3) {
            random.mutate(&mut new);
        }
        note(&format!("pair {seed}"));
        try_pair(&old, &new, &mut random, &mut counts);
    }
    note(&format!("{counts:?}"));
    for kind in ["proved", "shown"] {
        assert!(counts.get(kind).is_some_and(|count| *count > 0), "no {kind}: {counts:?}");
    }
    // The others are there to be looked at; most pairs are decided.
    let undecided = counts.get("undecided").copied().unwrap_or_default();
    let shown = counts.get("shown").copied().unwrap_or_default();
    assert!(undecided <= shown / 2 + 4, "{counts:?}");
}

#[test]
fn a_widening_that_random_requests_find_is_shown() {
    if !has_solver() {
        return;
    }
    let mut counts = Counts::new();
    let mut found = 0;
    for seed in first_pair()..first_pair() + pairs() {
        let mut random = Random::new(0x5eed_0000 + seed);
        let old = random.store();
        let mut new = old.clone();
        random.widen(&mut new);
        note(&format!("pair {seed}"));
        let before = counts.get("gained").copied().unwrap_or_default();
        let proofs = try_pair(&old, &new, &mut random, &mut counts);
        if counts.get("gained").copied().unwrap_or_default() > before {
            found += 1;
            let shown = proofs.iter().any(|proof| matches!(proof.more, Finding::Shown { .. }));
            assert!(shown, "seed {seed}\n--- old\n{old}\n--- new\n{new}\n{proofs:#?}");
        }
    }
    note(&format!("{found} widenings, {counts:?}"));
    assert!(found > 0, "no widening was one: {counts:?}");
}

/// The rules of the function that Cedar does not have, one pair each.
#[test]
fn proofs_follow_the_rules_of_the_function() {
    if !has_solver() {
        return;
    }
    let permit = |condition: &str| PolicyText::new("permit", "principal", "resource", condition);
    let forbid = |condition: &str| PolicyText::new("forbid", "principal", "resource", condition);
    let store = |policies: &[PolicyText]| StoreText { policies: policies.to_vec(), ..StoreText::default() };
    let overflow = "principal.level + 1 > 0";
    let anyone = permit("true");
    for (old, new, more, less) in [
        // A forbid that cannot be evaluated denies: without it, the largest level gains access.
        (
            store(&[anyone.clone(), forbid("principal.level + 1 < -5000000000000000000")]),
            store(&[anyone.clone(), forbid("principal.level < -5000000000000000001")]),
            false,
            true,
        ),
        // A permit that cannot be evaluated is skipped.
        (store(&[permit(overflow)]), store(&[permit("principal.level >= 0")]), false, true),
        (store(&[permit("principal.level >= 0")]), store(&[permit(overflow)]), true, false),
        // It does not keep others from permitting: of the largest level the first says nothing, the second does.
        (
            store(&[permit(overflow), permit("principal.level > 3")]),
            store(&[permit("principal.level >= 0")]),
            true,
            true,
        ),
        // An entity that is not there has no attributes, whatever the schema requires.
        (
            store(&[permit("resource.open || !resource.open")]),
            store(std::slice::from_ref(&anyone)),
            false,
            true,
        ),
        (
            store(&[anyone.clone(), forbid("resource.open && !resource.open")]),
            store(std::slice::from_ref(&anyone)),
            false,
            true,
        ),
        (store(&[permit("resource has open")]), store(std::slice::from_ref(&anyone)), false, true),
        // The principal is always there.
        (
            store(&[permit("principal.level > 0 || principal.level <= 0")]),
            store(std::slice::from_ref(&anyone)),
            true,
            true,
        ),
        // Groups are as `entities.json` has them: staff are members.
        (
            store(&[permit("principal in Z::Group::\"members\"")]),
            store(&[permit("principal in Z::Group::\"members\" || principal in Z::Group::\"staff\"")]),
            true,
            true,
        ),
    ] {
        let (of_old, of_new) = (old.bench(), new.bench());
        for proof in compared(&of_old, &of_new) {
            for (finding, is_proved) in [(&proof.more, more), (&proof.less, less)] {
                match finding {
                    Finding::Proved => assert!(is_proved, "--- old\n{old}\n--- new\n{new}"),
                    Finding::Shown { example } => {
                        assert!(!is_proved, "{example:#?}");
                        replay(&of_old, &of_new, example);
                    }
                    Finding::Undecided { why } => panic!("{why}\n--- old\n{old}\n--- new\n{new}"),
                }
            }
        }
    }
}

/// Two schemas are compared only as far as a request under one is a request under the other.
#[test]
fn what_differs_in_schemas_is_never_proved_away() {
    if !has_solver() {
        return;
    }
    let none: &[(&'static str, &'static str)] = &[];
    let with_more: &[_] = &[("text?: String", "text?: String, geo?: String")];
    let with_more_of_caller: &[_] = &[("department?: String", "department?: String, rank?: Long")];
    let with_other: &[_] = &[("text?: String", "text?: Bool")];
    let with_required_of_caller: &[_] = &[("department?: String", "department?: String, rank: Long")];
    let with_required: &[_] = &[("text?: String", "text: String")];
    let (plain, geo) = ("context.n > 3", "context.n > 3 || (context has geo && context.geo == \"x\")");
    let rank = "context.n > 3 || (principal has rank && principal.rank > 3)";
    let (proved, shown, undecided) = ("proved", "shown", "undecided");
    for (of_old, of_new, old, new, more, less) in [
        (none, with_more, plain, plain, proved, proved),
        (with_more, none, plain, plain, proved, proved),
        (none, with_more, plain, geo, shown, proved),
        (with_more, none, geo, plain, proved, shown),
        (none, with_more_of_caller, plain, rank, shown, proved),
        (with_more_of_caller, none, rank, plain, proved, shown),
        // The function gives the old policies no such attribute, whatever the request has.
        (none, with_more, geo, geo, undecided, undecided),
        // The function denies whoever lacks a claim that the schema requires.
        (none, with_required_of_caller, plain, plain, undecided, undecided),
        // What the one takes for a text the other does not know.
        (none, with_other, plain, plain, undecided, undecided),
        (none, with_required, plain, plain, undecided, undecided),
        (with_required, none, plain, "context.n > 2", shown, undecided),
    ] {
        let store = |schema: &[(&'static str, &'static str)], condition: &str| StoreText {
            policies: vec![PolicyText::new("permit", "principal", "resource", condition)],
            schema: schema.to_vec(),
            ..StoreText::default()
        };
        let (mut random, mut counts) = (Random::new(13), Counts::new());
        for proof in try_pair(&store(of_old, old), &store(of_new, new), &mut random, &mut counts) {
            assert_eq!(
                (name(&proof.more), name(&proof.less)),
                (more, less),
                "{of_old:?} {of_new:?} {proof:#?}"
            );
        }
    }
}

/// How many requests are tried for each action of a pair.
const SAMPLES: u32 = 120;

/// A slip of the pen in one of a hundred policies that all are about the same requests.
#[test]
fn one_change_among_a_hundred_policies_is_found() {
    if !has_solver() {
        return;
    }
    let policy = |number: usize| {
        let principal = format!("principal in Z::Group::\"team{number}\"");
        let condition = format!("principal has department && principal.department like \"d{number}*\"");
        PolicyText::new("permit", &principal, "resource", &condition)
    };
    let closed = PolicyText::new("forbid", "principal in Z::Group::\"guests\"", "resource", "context.n > 3");
    let policies: Vec<PolicyText> = (0..100).map(policy).chain([closed]).collect();
    let old = StoreText { policies, ..StoreText::default() };
    let mut new = old.clone();
    new.policies[50].condition = "principal has department".to_owned();
    let (of_old, of_new) = (old.bench(), new.bench());
    for proof in compared(&of_old, &of_new) {
        let Finding::Shown { example } = &proof.more else { panic!("{proof:#?}") };
        replay(&of_old, &of_new, example);
        assert_eq!(
            example.told.first().map(String::as_str),
            Some("a caller in group `Z::Group::\"team50\"`")
        );
        assert_eq!(proof.less, Finding::Proved);
    }
}
