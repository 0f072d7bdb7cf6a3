//! The report for programs.

use serde_json::{Map, Value, json};

use super::Report;
use crate::test::case::{Case, Step};
use crate::test::run::{CaseResult, StepResult};

/// The report as one JSON object. It is the same for the same tests and store, whenever they are run.
pub fn json(report: &Report<'_>) -> Value {
    let tests: Vec<Value> = report.cases.iter().map(|(case, result)| test(case, result)).collect();
    let failed = report.failed();
    let mut object = Map::from_iter([
        ("store".to_owned(), json!(report.store)),
        ("passed".to_owned(), json!(report.cases.len() - failed)),
        ("failed".to_owned(), json!(failed)),
        ("notRun".to_owned(), json!(report.not_run)),
        ("leftOut".to_owned(), json!(report.left_out)),
        ("tests".to_owned(), json!(tests)),
    ]);
    if let Some(coverage) = &report.coverage {
        object.insert("coverage".to_owned(), coverage.json());
    }
    Value::Object(object)
}

fn test(case: &Case, result: &CaseResult) -> Value {
    let steps: Vec<Value> =
        case.steps.iter().zip(&result.steps).map(|(step, result)| request(step, result)).collect();
    json!({
        "file": &*case.file,
        "line": case.place.line,
        "column": case.place.column,
        "name": case.name,
        "passed": result.is_passed(),
        "requests": steps,
    })
}

fn request(step: &Step, StepResult { got, subject, differences, why }: &StepResult) -> Value {
    let differences: Vec<Value> = differences
        .iter()
        .map(|difference| json!({"what": difference.what, "expected": difference.expected, "got": difference.got}))
        .collect();
    json!({
        "line": step.place.line,
        "request": step.shown(),
        "principal": subject.as_ref().map(|subject| &subject.principal),
        "action": subject.as_ref().and_then(|subject| subject.action.as_ref()),
        "resource": subject.as_ref().map(|subject| &subject.resource),
        "expected": step.expected.json(),
        "got": got.json(),
        "differences": differences,
        "why": why,
    })
}
