//! What changed since a matrix was kept.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use super::cells::{Cell, Matrix};
use crate::test_bench::TestBench;

/// A cell that changed.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    pub route: String,
    pub caller: String,
    /// The decision that is kept. `None`: the route or the caller is new.
    pub before: Option<String>,
    /// The decision now. `None`: there is no such route or caller any more.
    pub after: Option<String>,
    /// What made the difference.
    pub because: Vec<String>,
}

impl Display for Change {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { route, caller, before, after, because } = self;
        let word =
            |decision: &Option<String>, none: &str| decision.clone().unwrap_or_else(|| none.to_owned());
        write!(f, "{route}, {caller}: {} -> {}", word(before, "new"), word(after, "gone"))?;
        if because.is_empty() { Ok(()) } else { write!(f, ", because {}", because.join(", ")) }
    }
}

/// The cells whose decisions differ, in the order of the matrix, and then those that are gone.
pub fn changes(kept: &Matrix, matrix: &Matrix, bench: &TestBench) -> Vec<Change> {
    let mut changes = Vec::new();
    for row in &matrix.rows {
        for caller in &matrix.callers {
            let (before, after) = (kept.cell(&row.route, caller), row.cells.get(caller));
            if before.map(|cell| &cell.decision) != after.map(|cell| &cell.decision) {
                changes.push(Change::new(&row.route, caller, before, after, bench));
            }
        }
    }
    for row in &kept.rows {
        for (caller, before) in &row.cells {
            if matrix.cell(&row.route, caller).is_none() {
                changes.push(Change::new(&row.route, caller, Some(before), None, bench));
            }
        }
    }
    changes
}

impl Change {
    fn new(
        route: &str,
        caller: &str,
        before: Option<&Cell>,
        after: Option<&Cell>,
        bench: &TestBench,
    ) -> Self {
        let because = after.map(|after| because(before, after, bench)).unwrap_or_default();
        let decision = |cell: Option<&Cell>| cell.map(|cell| cell.decision.clone());
        Self {
            route: route.to_owned(),
            caller: caller.to_owned(),
            before: decision(before),
            after: decision(after),
            because,
        }
    }
}

/// What made the difference. `bench` is that of the decision after.
pub fn because(before: Option<&Cell>, after: &Cell, bench: &TestBench) -> Vec<String> {
    let mut because = Vec::new();
    for id in before.iter().flat_map(|cell| &cell.policies).filter(|id| !after.policies.contains(id)) {
        let is_known = bench.store().stored_policy(id).is_some();
        because.push(format!("`{id}` {}", if is_known { "does not decide any more" } else { "is gone" }));
    }
    let effect = if after.decision == "allow" { "permits" } else { "forbids" };
    because.extend(after.policies.iter().map(|id| format!("`{id}` {effect} it")));
    if after.policies.is_empty() && after.decision != "allow" {
        because.push(after.reason.clone());
    }
    because
}
