//! The views of a report as tables, which every form for people shows.

mod entries;

use super::agreement::Line;
use super::report::Report;
use crate::output::{many, plural};

/// A view: what was looked at, and what changes.
#[derive(Clone, Debug)]
pub struct Sheet {
    /// The name in lines of `--allow-only`.
    pub view: &'static str,
    pub title: &'static str,
    pub noun: Noun,
    /// What was looked at: `7 callers x 12 routes`.
    pub looked_at: String,
    /// The titles of the columns.
    pub columns: &'static [&'static str],
    /// What changes: what widens access first.
    pub entries: Vec<Entry>,
    /// What else there is to know.
    pub notes: Vec<String>,
}

/// What is counted in a view.
#[derive(Clone, Copy, Debug)]
pub struct Noun(&'static str, &'static str);

impl Noun {
    /// A count with the noun.
    pub fn count(self, count: usize) -> String {
        many(count, self.0, self.1)
    }
}

/// A change.
#[derive(Clone, Debug)]
pub struct Entry {
    pub weight: Weight,
    /// What happens, in a word: `gained`.
    pub word: &'static str,
    /// A text for each column.
    pub cells: Vec<String>,
    /// More about it, a line each.
    pub details: Vec<String>,
    /// Its name in `--allow-only`.
    pub line: Line,
    /// Whether it was agreed to.
    pub agreed: bool,
}

/// What a change means for access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Somebody may do what they might not.
    Widens,
    /// Somebody may not do any more what they might.
    Narrows,
    /// Something else: a result of a test, or whose tokens are accepted. Or it is not known.
    Differs,
}

impl Weight {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Widens => "widens",
            Self::Narrows => "narrows",
            Self::Differs => "differs",
        }
    }
}

/// The views of a report.
pub fn sheets(report: &Report) -> Vec<Sheet> {
    if report.old.is_none() {
        return Vec::new();
    }
    let mut sheets = vec![tokens(report), matrix(report)];
    sheets.extend(tests(report));
    sheets.extend(traffic(report));
    sheets.extend(shadow(report));
    sheets.extend(proof(report));
    for sheet in &mut sheets {
        sheet.entries.sort_by_key(|entry| entry.weight);
    }
    sheets
}

fn tokens(report: &Report) -> Sheet {
    Sheet {
        view: "tokens",
        title: "Whose tokens are accepted",
        noun: Noun("setting", "settings"),
        looked_at: "identity sources".to_owned(),
        columns: &["setting", "file", "before", "after"],
        entries: report.tokens.differences.iter().map(entries::setting).collect(),
        notes: Vec::new(),
    }
}

fn matrix(report: &Report) -> Sheet {
    let matrix = &report.matrix;
    let mut notes = Vec::new();
    if matrix.same() > 0 {
        let verb = if matrix.same() == 1 { "is" } else { "are" };
        notes.push(format!(
            "{} {verb} decided as before, by other policies or for another reason",
            plural(matrix.same(), "cell")
        ));
    }
    match matrix.depending.len() {
        0 => {}
        count => notes.push(format!(
            "{} on more than the token, so other requests may be decided otherwise: see --request, --replay, --prove",
            many(count, "route depends", "routes depend")
        )),
    }
    Sheet {
        view: "matrix",
        title: "Who may call what",
        noun: Noun("cell", "cells"),
        looked_at: format!("{} x {}", plural(matrix.callers, "caller"), plural(matrix.rows, "route"),),
        columns: &["caller", "route", "decision", "because"],
        entries: matrix.differences.iter().filter_map(entries::cell).collect(),
        notes,
    }
}

fn tests(report: &Report) -> Option<Sheet> {
    let Some(tests) = &report.tests else { return None };
    let entries: Vec<Entry> = tests.differences.iter().filter_map(entries::test).collect();
    let same = tests.differences.len() - entries.len();
    let notes = match same {
        0 => Vec::new(),
        same => {
            vec![format!("{} answered as before, for another reason", many(same, "test is", "tests are"))]
        }
    };
    Some(Sheet {
        view: "test",
        title: "Tests",
        noun: Noun("test", "tests"),
        looked_at: plural(tests.tests, "test"),
        columns: &["test", "file", "why"],
        entries,
        notes,
    })
}

fn traffic(report: &Report) -> Option<Sheet> {
    let traffic = report.traffic.as_ref()?;
    let entries: Vec<Entry> = traffic.differences.iter().filter_map(entries::traffic).collect();
    let same = traffic.differences.len() - entries.len();
    let left_out = traffic
        .left_out
        .iter()
        .map(|left_out| format!("{} left out: {} ({})", left_out.count, left_out.why, left_out.first));
    let mut notes: Vec<String> = left_out.collect();
    if same > 0 {
        let groups = many(same, "group of requests is", "groups of requests are");
        notes.push(format!("{groups} decided as before, by other policies or for another reason"));
    }
    Some(Sheet {
        view: "traffic",
        title: "Recorded requests",
        noun: Noun("group of requests", "groups of requests"),
        looked_at: many_of(traffic.requests, "recorded request"),
        columns: &["route", "requests", "decision", "because", "example"],
        entries,
        notes,
    })
}

fn shadow(report: &Report) -> Option<Sheet> {
    let shadow = report.shadow.as_ref()?;
    let entries: Vec<Entry> = shadow.differences.iter().filter_map(entries::shadow).collect();
    let same = shadow.differences.len() - entries.len();
    let notes = match same {
        0 => Vec::new(),
        _ => vec![format!("{} for another reason only", many(same, "group differs", "groups differ"))],
    };
    let looked_at = match shadow.decisions {
        Some(count) => many_of(count, "decision"),
        None => plural(shadow.files.len(), "log"),
    };
    Some(Sheet {
        view: "shadow",
        title: "The shadow bundle",
        noun: Noun("group of calls", "groups of calls"),
        looked_at: format!("{looked_at} beside a shadow bundle"),
        columns: &["action", "calls", "decision", "because", "example"],
        entries,
        notes,
    })
}

fn proof(report: &Report) -> Option<Sheet> {
    let proof = report.proof.as_ref()?;
    let directions = proof.actions.iter().flat_map(entries::proofs);
    let entries: Vec<Entry> =
        directions.chain(proof.notes.iter().map(|note| entries::not_asked(note))).collect();
    let proved = proof.actions.len() * 2 - directions_open(&entries);
    let of = proof.actions.len() * 2;
    let notes = vec![format!("by {}: {proved} of {of} claims that nothing changes are proved", proof.solver)];
    Some(Sheet {
        view: "proof",
        title: "Every possible request",
        noun: Noun("claim not proved", "claims not proved"),
        looked_at: plural(proof.actions.len(), "action"),
        columns: &["action", "principal", "resource", "request"],
        entries,
        notes,
    })
}

/// How many claims these entries refute or leave open.
fn directions_open(entries: &[Entry]) -> usize {
    entries.iter().filter(|entry| entry.word != entries::NOT_ASKED).count()
}

fn many_of(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
