//! The report for people.

use cedar_authorizer::reason::{Reason, Status};

use super::Report;
use crate::output::{ERROR, HINT, SUCCESS, paint, plural, printable};
use crate::test::case::{Case, Step};
use crate::test::run::{CaseResult, StepResult};

/// How much a report says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A character for each case that is as expected.
    Brief,
    /// A line for each.
    Verbose,
}

/// The lines of the report.
pub fn human(report: &Report<'_>, style: Style) -> Vec<String> {
    let mut lines = match style {
        Style::Brief => dots(report),
        Style::Verbose => report.cases.iter().map(|(case, result)| line(case, result)).collect(),
    };
    for (case, result) in report.cases.iter().filter(|(_, result)| !result.is_passed()) {
        lines.push(String::new());
        lines.extend(failure(case, result));
    }
    if !lines.is_empty() {
        lines.push(String::new());
    }
    if let Some(coverage) = &report.coverage {
        lines.extend(coverage.lines());
    }
    lines.push(summary(report));
    lines
}

/// A line for each file, with a dot for each case that passed.
fn dots(report: &Report<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    for of_file in report.cases.chunk_by(|(a, _), (b, _)| a.file == b.file) {
        let Some((first, _)) = of_file.first() else { continue };
        let file = printable(&first.file);
        for (row, cases) in of_file.chunks(DOTS).enumerate() {
            let dots: String = cases
                .iter()
                .map(|(_, result)| if result.is_passed() { ".".to_owned() } else { paint(ERROR, "F") })
                .collect();
            let begin = if row == 0 { file.clone() } else { " ".repeat(file.chars().count()) };
            lines.push(format!("{begin} {dots}"));
        }
    }
    lines
}

fn line(case: &Case, result: &CaseResult) -> String {
    let verdict = if result.is_passed() { paint(SUCCESS, "ok    ") } else { paint(ERROR, "failed") };
    format!("{verdict} {}: {}", printable(&case.file), printable(&case.name))
}

/// What a failed case was, what it should have been, and why it is not.
fn failure(case: &Case, result: &CaseResult) -> Vec<String> {
    let mut lines = vec![format!("{}: {}", paint(ERROR, "failed"), printable(&case.name))];
    let several = case.steps.len() > 1;
    let steps = case.steps.iter().zip(&result.steps).enumerate();
    for (number, (step, result)) in steps.filter(|(_, (_, result))| !result.differences.is_empty()) {
        lines.push(format!("  {} {}:{}", paint(HINT, "-->"), printable(&case.file), step.place));
        let of = if several {
            format!("  (request {} of {})", number + 1, case.steps.len())
        } else {
            String::new()
        };
        lines.extend(rows(step, result, &of));
    }
    lines
}

fn rows(step: &Step, StepResult { got, subject, differences, why }: &StepResult, of: &str) -> Vec<String> {
    let row =
        |name: &str, text: &str| format!("  {} {}", paint(HINT, &format!("{name:<9}")), printable(text));
    let mut rows = vec![row("request", &format!("{}{of}", step.shown()))];
    for difference in differences {
        let what = match difference.what.as_str() {
            "decision" => String::new(),
            what => format!("{what}: "),
        };
        rows.push(row("expected", &format!("{what}{}", difference.expected)));
        rows.push(row("got", &format!("{what}{}", difference.got)));
    }
    if let Some(reason) = got.reason {
        rows.push(row("reason", &format!("{}: {}", reason.code(), reason.meaning())));
    }
    if let Some(subject) = subject {
        rows.push(row("principal", &subject.principal));
        rows.extend(subject.action.as_ref().map(|action| row("action", action)));
        rows.push(row("resource", &subject.resource));
    }
    if let Some(policies) = &got.policies
        && got.reason.is_some_and(is_of_policies)
    {
        let none = || "none".to_owned();
        let names = |names: &[String]| if names.is_empty() { none() } else { names.join(", ") };
        rows.push(row("policies", &names(&policies.determining)));
        if !policies.errors.is_empty() {
            rows.push(row("errors", &names(&policies.errors)));
        }
    }
    let names = ["why"].into_iter().chain(std::iter::repeat(""));
    rows.extend(why.iter().zip(names).map(|(text, name)| row(name, text)));
    rows
}

/// Whether a decision with this reason is one of the policies.
fn is_of_policies(reason: Reason) -> bool {
    matches!(reason.status(), Status::Allow | Status::Deny)
}

fn summary(report: &Report<'_>) -> String {
    let Report { cases, not_run, left_out, .. } = report;
    let failed = report.failed();
    let verdict = if failed == 0 {
        paint(SUCCESS, &format!("ok: {} passed", plural(cases.len(), "test")))
    } else {
        paint(ERROR, &format!("failed: {failed} of {}", plural(cases.len(), "test")))
    };
    let also = |count: usize, text: &str| if count > 0 { format!(", {count} {text}") } else { String::new() };
    format!("{verdict}{}{}", also(*not_run, "not run"), also(*left_out, "left out by the filter"))
}

/// How many cases a line has.
const DOTS: usize = 50;

/// The failures of a case as plain text, for reports that have a place for it.
pub fn plain_failure(case: &Case, result: &CaseResult) -> String {
    let text = failure(case, result).join("\n");
    anstream::adapter::strip_str(&text).to_string()
}
