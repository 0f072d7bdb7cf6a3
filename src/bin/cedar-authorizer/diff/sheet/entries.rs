//! The changes of each view.

use cedar_authorizer::cedar::EntityUid;

use super::{Entry, Weight};
use crate::access::Access;
use crate::diff::agreement::Line;
use crate::diff::view::changed::Setting;
use crate::diff::view::matrix::{CellDifference, Only};
use crate::matrix::cells::Cell;
use crate::output::plural;
use crate::proof::{ActionProof, Finding};
use crate::recorded::{ShadowDifference, TrafficDifference, Verdict};
use crate::test::comparison::{StepAnswer, StepDifference, TestChange, TestDifference};

/// A setting that says whose tokens are accepted.
pub fn setting(setting: &Setting) -> Entry {
    let (before, after) = (setting.value_before(), setting.value_after());
    let line =
        Line::new("tokens", "changed").text(&setting.file).text(&setting.key).text(&before).text(&after);
    Entry {
        weight: Weight::Differs,
        word: "changed",
        cells: vec![setting.key.clone(), setting.file.clone(), before, after],
        details: Vec::new(),
        line,
        agreed: false,
    }
}

/// A cell of the matrix. `None`: it is allowed, or not, as before.
pub fn cell(difference: &CellDifference) -> Option<Entry> {
    let CellDifference { access, caller, route, route_is, before, after, because } = difference;
    let weight = weight(*access)?;
    let mut decision = change(before, after);
    match route_is {
        Some(Only::New) => decision += " (new route)",
        Some(Only::Gone) => decision += " (route is gone)",
        None => {}
    }
    Some(Entry {
        weight,
        word: access.name(),
        cells: vec![
            format!("{} {}", caller.kind.name(), caller.name),
            route.clone(),
            decision,
            because.join(", "),
        ],
        details: Vec::new(),
        line: Line::new("matrix", access.name()).text(caller.kind.name()).text(&caller.name).text(route),
        agreed: false,
    })
}

fn change(before: &Cell, after: &Cell) -> String {
    format!("{} -> {}", before.decision, after.decision)
}

/// A test. `None`: the result and the decisions are as before.
pub fn test(difference: &TestDifference) -> Option<Entry> {
    let TestDifference { file, line, name, change, steps } = difference;
    let has = |access| steps.iter().any(|step| step.access == access);
    let weight = match change {
        TestChange::Same => return None,
        _ if has(Access::Gained) => Weight::Widens,
        _ if has(Access::Lost) => Weight::Narrows,
        _ => Weight::Differs,
    };
    let mut lines = steps.iter().map(step);
    let why = lines.next().unwrap_or_default();
    Some(Entry {
        weight,
        word: change.name(),
        cells: vec![name.clone(), format!("{file}:{line}"), why],
        details: lines.collect(),
        line: Line::new("test", change.name()).text(file).text(name),
        agreed: false,
    })
}

/// A step of a test in a line.
fn step(step: &StepDifference) -> String {
    let StepDifference { asked, access: _, before, after, unexpected } = step;
    let answer = |StepAnswer { decision, reason, policies }: &StepAnswer| {
        let why =
            if policies.is_empty() { reason.unwrap_or_default().to_owned() } else { policies.join(", ") };
        if why.is_empty() { (*decision).to_owned() } else { format!("{decision} ({why})") }
    };
    let unexpected =
        if unexpected.is_empty() { String::new() } else { format!("; {}", unexpected.join("; ")) };
    format!("{asked}: {} -> {}{unexpected}", answer(before), answer(after))
}

/// Recorded requests. `None`: they are allowed, or not, as before.
pub fn traffic(difference: &TrafficDifference) -> Option<Entry> {
    let TrafficDifference { access, route, before, after, count, callers, example } = difference;
    let callers = usize::try_from(*callers).unwrap_or(usize::MAX);
    Some(Entry {
        weight: weight(*access)?,
        word: access.name(),
        cells: vec![
            route.clone(),
            format!("{count} of {}", plural(callers, "caller")),
            format!("{} -> {}", before.decision, after.decision),
            why(before, after),
            format!("{} at {}", example.principal, example.place),
        ],
        details: Vec::new(),
        line: verdicts(Line::new("traffic", access.name()).text(route), before, after),
        agreed: false,
    })
}

/// Calls of a function with a shadow bundle. `None`: they are allowed, or not, as before.
pub fn shadow(difference: &ShadowDifference) -> Option<Entry> {
    let ShadowDifference { access, action, before, after, revisions, count, first } = difference;
    let revisions: Vec<String> = revisions.iter().map(ToString::to_string).collect();
    let action_or_none = action.as_deref().unwrap_or_default();
    Some(Entry {
        weight: weight(*access)?,
        word: access.name(),
        cells: vec![
            action.clone().unwrap_or_else(|| "(no route)".to_owned()),
            count.to_string(),
            format!("{} -> {}", before.decision, after.decision),
            why(before, after),
            format!("{first}, revision {}", revisions.join(", ")),
        ],
        details: Vec::new(),
        line: verdicts(Line::new("shadow", access.name()).text(action_or_none), before, after),
        agreed: false,
    })
}

/// Adds two decisions to a line. Groups differ in these.
fn verdicts(line: Line, before: &Verdict, after: &Verdict) -> Line {
    line.text(&before.reason).list(&before.policies).text("->").text(&after.reason).list(&after.policies)
}

/// What decided, before and now.
fn why(before: &Verdict, after: &Verdict) -> String {
    let of = |Verdict { reason, policies, .. }: &Verdict| {
        if policies.is_empty() { reason.clone() } else { policies.join(", ") }
    };
    format!("{} -> {}", of(before), of(after))
}

/// What is not proved of a request environment.
pub fn proofs(proof: &ActionProof) -> Vec<Entry> {
    let ActionProof { principal_type, action, resource_type, policies, more, less } = proof;
    let directions = [
        (more, Weight::Widens, "more", "more-undecided", "more is allowed"),
        (less, Weight::Narrows, "less", "less-undecided", "less is allowed"),
    ];
    let mut entries = Vec::new();
    for (finding, weight, word, undecided, meaning) in directions {
        let (weight, word, request, details) = match finding {
            Finding::Proved => continue,
            Finding::Shown { example } => {
                let deciding = |policies: &Vec<String>| {
                    if policies.is_empty() { "no policy".to_owned() } else { policies.join(", ") }
                };
                let mut told = example.told.iter().cloned();
                let first = told.next().unwrap_or_default();
                let decided = format!(
                    "decided by {} -> {}",
                    deciding(&example.policies_before),
                    deciding(&example.policies_after)
                );
                (weight, word, first, told.chain([decided]).collect())
            }
            Finding::Undecided { why } => {
                let request = format!("it is not proved whether {meaning}: {why}");
                (Weight::Differs, undecided, request, Vec::new())
            }
        };
        let (type_name, id) = match action.parse::<EntityUid>() {
            Ok(action) => (action.type_name().to_string(), action.id().unescaped().to_owned()),
            Err(_) => (String::new(), action.clone()),
        };
        let line = Line::new("proof", word).text(principal_type).text(&type_name).text(&id);
        let line = line.text(resource_type).text(policies);
        entries.push(Entry {
            weight,
            word,
            cells: vec![id, principal_type.clone(), resource_type.clone(), request],
            details,
            line,
            agreed: false,
        });
    }
    entries
}

/// What a solver was not asked.
pub fn not_asked(note: &str) -> Entry {
    Entry {
        weight: Weight::Differs,
        word: NOT_ASKED,
        cells: vec![String::new(), String::new(), String::new(), note.to_owned()],
        details: Vec::new(),
        line: Line::new("proof", NOT_ASKED).text(note),
        agreed: false,
    }
}

/// `None`: access is the same.
fn weight(access: Access) -> Option<Weight> {
    match access {
        Access::Gained => Some(Weight::Widens),
        Access::Lost => Some(Weight::Narrows),
        Access::Same => None,
    }
}

/// The word of what a solver was not asked.
pub const NOT_ASKED: &str = "not-asked";
