//! What came of properties, for people and for programs.

use serde_json::{Value, json};

use super::decide::{Answer, Verdict};
use super::{Claim, Property};
use crate::output::{ERROR, SUCCESS, WARNING, paint, plural, printable};

/// What came of a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Holds,
    Fails,
    Undecided,
}

/// A property with what is known in each environment.
pub struct Proven<'a> {
    pub property: &'a Property,
    pub verdicts: &'a [Verdict],
}

impl Proven<'_> {
    /// What came of it. What was not decided never holds.
    pub fn outcome(&self) -> Outcome {
        let is_undecided = self.verdicts.iter().any(|verdict| matches!(verdict.answer, Answer::Undecided(_)));
        let is_shown = self.verdicts.iter().any(|verdict| matches!(verdict.answer, Answer::Shown { .. }));
        let is_empty = self.verdicts.iter().all(|verdict| matches!(verdict.answer, Answer::Empty));
        let matters = matches!(self.property.claim, Claim::Matters(_));
        match (matters, is_shown) {
            (true, true) => Outcome::Holds,
            (false, true) => Outcome::Fails,
            _ if is_undecided => Outcome::Undecided,
            (true, false) => Outcome::Fails,
            // Of what no request matches, anything could be claimed.
            (false, false) if is_empty => Outcome::Fails,
            (false, false) => Outcome::Holds,
        }
    }

    /// Lines for people.
    pub fn lines(&self, file: &str) -> Vec<String> {
        let word = match self.outcome() {
            Outcome::Holds => paint(SUCCESS, "holds    "),
            Outcome::Fails => paint(ERROR, "fails    "),
            Outcome::Undecided => paint(WARNING, "undecided"),
        };
        let mut lines = vec![format!("{word}  {}", printable(&self.property.name))];
        if self.outcome() == Outcome::Holds {
            return lines;
        }
        lines.push(format!("           {}:{}", printable(file), self.property.place));
        let told =
            self.verdicts.iter().filter(|verdict| !matches!(verdict.answer, Answer::Holds | Answer::Empty));
        let told: Vec<&Verdict> = told.collect();
        for verdict in told.iter().take(MOST_TOLD) {
            lines.extend(of_verdict(verdict));
        }
        if told.len() > MOST_TOLD {
            lines.push(format!("           and {}", plural(told.len() - MOST_TOLD, "more action")));
        }
        if told.is_empty() {
            let why = if matches!(self.property.claim, Claim::Matters(_)) {
                "without the policy every request is decided in the same way"
            } else {
                "no request at all is what it is about, so it would hold whatever the policies say"
            };
            lines.push(format!("           {why}"));
        }
        lines
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let verdicts = self.verdicts.iter().map(|verdict| {
            let environment = &verdict.environment;
            let mut json = json!({
                "principalType": environment.principal.to_string(),
                "action": environment.action.to_string(),
                "resourceType": environment.resource.to_string(),
            });
            let more = match &verdict.answer {
                Answer::Holds => json!({"result": "none"}),
                Answer::Empty => json!({"result": "empty"}),
                Answer::Shown { example, why, policies } => json!({
                    "result": "shown", "what": why, "policies": policies, "told": example.told,
                    "request": example.request,
                }),
                Answer::Undecided(why) => json!({"result": "undecided", "why": why}),
            };
            if let (Value::Object(json), Value::Object(more)) = (&mut json, more) {
                json.extend(more);
            }
            json
        });
        let outcome = match self.outcome() {
            Outcome::Holds => "holds",
            Outcome::Fails => "fails",
            Outcome::Undecided => "undecided",
        };
        json!({
            "name": self.property.name,
            "line": self.property.place.line,
            "claim": self.property.claim.name(),
            "result": outcome,
            "actions": verdicts.collect::<Vec<_>>(),
        })
    }
}

fn of_verdict(verdict: &Verdict) -> Vec<String> {
    let action = printable(&verdict.environment.action.to_string());
    match &verdict.answer {
        Answer::Holds | Answer::Empty => Vec::new(),
        Answer::Undecided(why) => vec![format!("           {action}: {}", printable(why))],
        Answer::Shown { example, why, policies } => {
            let mut lines = vec![format!("           {action} {}:", printable(why))];
            lines.extend(example.told.iter().map(|line| format!("             {line}")));
            if !policies.is_empty() {
                let policies: Vec<String> =
                    policies.iter().map(|id| format!("`{}`", printable(id))).collect();
                lines.push(format!("             by {}", policies.join(", ")));
            }
            lines
        }
    }
}

/// How many actions of a property are told of.
const MOST_TOLD: usize = 5;
