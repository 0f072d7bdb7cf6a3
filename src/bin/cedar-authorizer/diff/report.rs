//! Everything that a comparison found.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::{Value, json};

use super::agreement::{Agreement, Line};
use super::sheet::{self, Entry, Sheet, Weight};
use super::side::{Identity, Side};
use super::view::changed::Changed;
use super::view::matrix::Matrix;
use super::view::tokens::Tokens;
use crate::matrix::By;
use crate::output::Failure;
use crate::proof::{self, Proof};
use crate::recorded::{self, ShadowLog, Traffic};
use crate::test::comparison::{self, Comparison};

/// What is compared, besides what is always compared.
#[derive(Clone, Debug, Default)]
pub struct Questions {
    /// Whose access the matrix shows. `None`: personas and groups.
    pub by: Option<By>,
    /// Requests of the matrix.
    pub requests: Vec<String>,
    /// Recorded requests.
    pub replay: Vec<PathBuf>,
    /// Logs of a function with a shadow bundle.
    pub shadow_logs: Vec<PathBuf>,
    /// Whether and how a solver is asked.
    pub proof: Option<proof::Settings>,
}

/// Everything that a comparison found.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// `None`: there was nothing before.
    pub old: Option<Identity>,
    pub new: Identity,
    pub changed: Changed,
    pub tokens: Tokens,
    pub matrix: Matrix,
    /// `None`: there are no tests.
    pub tests: Option<Comparison>,
    /// `None`: not asked for, as with the rest.
    pub traffic: Option<Traffic>,
    pub shadow: Option<ShadowLog>,
    pub proof: Option<Proof>,
}

impl Report {
    /// Compares two sides.
    ///
    /// # Errors
    /// A view could not be made. A view that is missing could hide a change.
    pub fn compare(old: &Side, new: &Side, questions: &Questions) -> Result<Self, Failure> {
        let Questions { by, requests, replay, shadow_logs, proof } = questions;
        // The tests are those of the new side, and read with its personas.
        let homes = [new, old].into_iter().filter_map(|side| Some((side.folder.as_ref()?, &side.bench)));
        let mut tests = None;
        for (folder, home) in homes {
            if tests.is_none() {
                tests = comparison::compare(folder.path(), home, &old.bench, &new.bench)?;
            }
        }
        Ok(Self {
            old: Some(old.identity.clone()),
            new: new.identity.clone(),
            changed: Changed::between(old, new).map_err(Failure::invalid)?,
            tokens: Tokens::between(old, new),
            matrix: Matrix::between(old, new, *by, requests)?,
            tests,
            traffic: if replay.is_empty() {
                None
            } else {
                Some(recorded::compare(replay, &old.bench, &new.bench)?)
            },
            shadow: if shadow_logs.is_empty() { None } else { Some(recorded::shadow_log(shadow_logs)?) },
            proof: proof
                .as_ref()
                .map(|settings| proof::compare(&old.bench, &new.bench, settings))
                .transpose()?,
        })
    }

    /// The report of what is the first of its kind.
    pub fn of_first(new: Identity) -> Self {
        Self {
            old: None,
            new,
            changed: Changed::default(),
            tokens: Tokens::default(),
            matrix: Matrix::default(),
            tests: None,
            traffic: None,
            shadow: None,
            proof: None,
        }
    }

    /// Compares the changes with those that were agreed to.
    pub fn judge(self, agreement: Option<&Agreement>) -> Judged {
        let mut sheets = sheet::sheets(&self);
        if let Some(agreement) = agreement {
            for entry in sheets.iter_mut().flat_map(|sheet| &mut sheet.entries) {
                entry.agreed = agreement.has(&entry.line);
            }
        }
        let lines: BTreeSet<&Line> =
            sheets.iter().flat_map(|sheet| &sheet.entries).map(|e| &e.line).collect();
        let stale = agreement.map(|agreement| agreement.stale(&lines)).unwrap_or_default();
        Judged { report: self, sheets, stale }
    }
}

/// A report whose changes were compared with those that were agreed to.
#[derive(Clone, Debug)]
pub struct Judged {
    pub report: Report,
    /// The views, with what changes in them.
    pub sheets: Vec<Sheet>,
    /// The lines of `--allow-only` that name no change, with their numbers.
    pub stale: Vec<(usize, String)>,
}

impl Judged {
    /// All changes, in the order of the views.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.sheets.iter().flat_map(|sheet| &sheet.entries)
    }

    /// Whether something changes that was not agreed to.
    pub fn is_changed(&self) -> bool {
        self.entries().any(|entry| !entry.agreed)
    }

    /// How many changes were not agreed to.
    pub fn open(&self) -> usize {
        self.entries().filter(|entry| !entry.agreed).count()
    }

    /// The report in one sentence.
    pub fn headline(&self) -> String {
        if self.report.old.is_none() {
            return "the first of its kind: there is nothing that access could be compared with".to_owned();
        }
        let counts = [
            (Weight::Widens, "widens access"),
            (Weight::Narrows, "takes access away"),
            (Weight::Differs, "changes something else"),
        ];
        let mut parts = Vec::new();
        for (weight, verb) in counts {
            let of_views = self.sheets.iter().filter_map(|sheet| {
                let count = sheet.entries.iter().filter(|entry| entry.weight == weight).count();
                (count > 0).then(|| sheet.noun.count(count))
            });
            let of_views: Vec<String> = of_views.collect();
            if !of_views.is_empty() {
                parts.push(format!("{verb}: {}", of_views.join(", ")));
            }
        }
        let agreed = self.entries().filter(|entry| entry.agreed).count();
        if parts.is_empty() {
            let not_proved =
                if self.report.proof.is_some() { "" } else { ", which is no proof: see --prove" };
            return format!("nothing changes in {}{not_proved}", self.looked_at());
        }
        match (agreed, self.open()) {
            (0, _) => {}
            (agreed, 0) => parts.push(format!("all {agreed} agreed to")),
            (agreed, open) => parts.push(format!("{agreed} agreed to, {open} not")),
        }
        parts.join("; ")
    }

    /// What was looked at.
    fn looked_at(&self) -> String {
        self.sheets.iter().map(|sheet| sheet.looked_at.clone()).collect::<Vec<_>>().join(", ")
    }

    /// The lines for `--allow-only`.
    pub fn agreement(&self) -> String {
        let name = |identity: Option<&Identity>| {
            let shown = identity.map_or_else(|| "nothing".to_owned(), Identity::shown);
            crate::output::printable(&shown)
        };
        let (old, new) = (name(self.report.old.as_ref()), name(Some(&self.report.new)));
        let mut text = format!("# from {old}\n# to   {new}\n");
        let mut seen = BTreeSet::new();
        for entry in self.entries().filter(|entry| seen.insert(&entry.line)) {
            text += &format!("{}\n", entry.line);
        }
        text
    }

    /// The report for programs; see docs/diff.md.
    pub fn json(&self) -> Value {
        let change = |sheet: &Sheet, entry: &Entry| {
            json!({
                "view": sheet.view,
                "weight": entry.weight.name(),
                "line": entry.line.to_string(),
                "agreed": entry.agreed,
            })
        };
        let changes =
            self.sheets.iter().flat_map(|sheet| sheet.entries.iter().map(move |e| change(sheet, e)));
        let stale = self.stale.iter().map(|(number, line)| json!({"number": number, "line": line}));
        let mut json = json!({
            "version": VERSION,
            "result": if self.is_changed() { "changed" } else { "fine" },
            "summary": self.headline(),
            "changes": changes.collect::<Vec<Value>>(),
            "staleAgreements": stale.collect::<Vec<Value>>(),
        });
        if let Ok(Value::Object(views)) = serde_json::to_value(&self.report)
            && let Some(json) = json.as_object_mut()
        {
            json.extend(views);
        }
        json
    }
}

/// The version of the form for programs.
const VERSION: u64 = 1;

#[cfg(test)]
mod tests;
