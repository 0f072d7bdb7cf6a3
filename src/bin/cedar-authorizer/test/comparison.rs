//! What becomes of tests under another policy store.

use std::path::Path;

use cedar_authorizer::reason::Reason;
use serde::Serialize;
use serde_json::Value;

use super::case::{Case, Step};
use super::expectation::Got;
use super::run::{CaseResult, StepResult};
use super::{Mode, collect_files, read_cases, run_all};
use crate::access::Access;
use crate::output::Failure;
use crate::test_bench::TestBench;

/// The tests of a store, run under two stores.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// How many tests there are, with all their cases.
    pub tests: usize,
    /// Those whose result or answers differ, in the order of the files.
    pub differences: Vec<TestDifference>,
}

/// A test whose result or answers differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TestDifference {
    /// The file, relative to the store.
    pub file: String,
    pub line: usize,
    pub name: String,
    pub change: TestChange,
    /// The steps that are answered otherwise, and those that are not as expected any more.
    pub steps: Vec<StepDifference>,
}

/// What becomes of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TestChange {
    /// It passed, and fails now.
    Fails,
    /// It failed, and passes now.
    Passes,
    /// The result is the same, but a step is allowed that was not.
    Gained,
    /// The result is the same, but a step is not allowed any more.
    Lost,
    /// Both of these.
    GainedAndLost,
    /// The same result and decisions, for other reasons or with other content for the backend.
    Same,
}

impl TestChange {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fails => "fails",
            Self::Passes => "passes",
            Self::Gained => "gained",
            Self::Lost => "lost",
            Self::GainedAndLost => "gained-and-lost",
            Self::Same => "same",
        }
    }
}

/// A step that is answered otherwise.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StepDifference {
    /// What is asked and by whom.
    pub asked: String,
    pub access: Access,
    pub before: StepAnswer,
    pub after: StepAnswer,
    /// What is not as expected now, a line each.
    pub unexpected: Vec<String>,
}

/// The answer to a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StepAnswer {
    pub decision: &'static str,
    /// `None`: API Gateway's cache answered.
    pub reason: Option<&'static str>,
    pub policies: Vec<String>,
}

/// Runs the tests in `folder`, a policy store, under both stores. `home` is the store whose tests they are. `None`: there
/// are none.
///
/// # Errors
/// The tests cannot be read.
pub fn compare(
    folder: &Path,
    home: &TestBench,
    old: &TestBench,
    new: &TestBench,
) -> Result<Option<Comparison>, Failure> {
    let tests = folder.join("tests");
    let mut files = Vec::new();
    if tests.is_dir() {
        collect_files(&tests, &mut files)?;
    }
    files.sort();
    if files.is_empty() {
        return Ok(None);
    }
    let cases = read_cases(home, &files)?;
    let mode = Mode { counts: false, fail_fast: false };
    let (before, after) = (run_all(old, &cases, mode)?, run_all(new, &cases, mode)?);
    let results = before.results.iter().zip(&after.results);
    let compared = cases.iter().zip(results);
    let differences = compared.filter_map(|(case, results)| TestDifference::new(case, results, folder));
    Ok(Some(Comparison { tests: cases.len(), differences: differences.collect() }))
}

impl TestDifference {
    fn new(case: &Case, (before, after): (&CaseResult, &CaseResult), folder: &Path) -> Option<Self> {
        let steps = case.steps.iter().zip(before.steps.iter().zip(&after.steps));
        let steps: Vec<StepDifference> = steps
            .filter(|(_, (before, after))| {
                !is_same(&before.got, &after.got)
                    || before.differences.is_empty() != after.differences.is_empty()
            })
            .map(|(step, (before, after))| StepDifference::new(step, before, after))
            .collect();
        let has = |access| steps.iter().any(|step| step.access == access);
        let change = match (before.is_passed(), after.is_passed()) {
            (true, false) => TestChange::Fails,
            (false, true) => TestChange::Passes,
            _ if steps.is_empty() => return None,
            _ => match (has(Access::Gained), has(Access::Lost)) {
                (true, true) => TestChange::GainedAndLost,
                (true, false) => TestChange::Gained,
                (false, true) => TestChange::Lost,
                (false, false) => TestChange::Same,
            },
        };
        let path = Path::new(&*case.file);
        let file = path.strip_prefix(folder).unwrap_or(path).display().to_string();
        Some(Self { file, line: case.place.line, name: case.name.clone(), change, steps })
    }
}

impl StepDifference {
    fn new(step: &Step, before: &StepResult, after: &StepResult) -> Self {
        let (old, new) = (StepAnswer::new(&before.got), StepAnswer::new(&after.got));
        Self {
            asked: step.shown(),
            access: Access::between(old.decision, new.decision),
            before: old,
            after: new,
            unexpected: after.differences.iter().map(ToString::to_string).collect(),
        }
    }
}

impl StepAnswer {
    fn new(got: &Got) -> Self {
        Self {
            decision: got.verdict.name(),
            reason: got.reason.map(Reason::code),
            policies: got.policies.iter().flat_map(|policies| policies.determining.clone()).collect(),
        }
    }
}

/// Whether two answers are the same, but for the revision of the bundle.
fn is_same(before: &Got, after: &Got) -> bool {
    let json = |got: &Got| {
        let mut json = got.json();
        if let Some(backend) = json.get_mut("backend").and_then(Value::as_object_mut) {
            backend.remove(REVISION);
        }
        json
    };
    json(before) == json(after)
}

/// The member of the context that says which bundle decided.
const REVISION: &str = "revision";
