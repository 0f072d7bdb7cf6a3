//! The report for CI systems, in the XML of JUnit.

use quick_junit::{NonSuccessKind, Report as JunitReport, TestCase, TestCaseStatus, TestSuite};

use super::Report;
use super::human::plain_failure;
use crate::output::Failure;
use crate::test::case::Case;
use crate::test::run::CaseResult;

/// The report as a document: a suite for each file, with a test case for each case.
pub fn junit(report: &Report<'_>) -> Result<String, Failure> {
    let mut document = JunitReport::new("cedar-authorizer");
    for of_file in report.cases.chunk_by(|(a, _), (b, _)| a.file == b.file) {
        let Some((first, _)) = of_file.first() else { continue };
        let mut suite = TestSuite::new(&*first.file);
        suite.add_test_cases(of_file.iter().map(|(case, result)| test_case(case, result)));
        document.add_test_suite(suite);
    }
    document.to_string().map_err(Failure::could_not_run)
}

fn test_case(case: &Case, result: &CaseResult) -> TestCase {
    let status = if result.is_passed() {
        TestCaseStatus::success()
    } else {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        let differences = result.steps.iter().flat_map(|step| &step.differences);
        let differences: Vec<String> = differences.map(ToString::to_string).collect();
        status.set_message(differences.join("; "));
        status.set_type("unexpected");
        status.set_description(plain_failure(case, result));
        status
    };
    let mut test_case = TestCase::new(case.name.as_str(), status);
    test_case.set_classname(&*case.file);
    test_case
}
