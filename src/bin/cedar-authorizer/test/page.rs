//! Tests for the page of `serve`: what became of them, and a new one of a request that somebody tried.

use std::path::Path;

use cedar_authorizer::reason::Reason;
use serde::Serialize;
use serde_json::Value;

use super::case::{Asked, Caller, Case, Step};
use super::expectation::{Expectation, Got};
use super::run::CaseResult;
use super::{Mode, collect_files, read, run_all};
use crate::init::text::{json, yaml};
use crate::output::Failure;
use crate::test_bench::{ApiKind, Claims, DEFAULT_TIME, HttpRequest, NoSource, TestBench};
use crate::yaml::Place;

/// What became of the tests of a store.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// How many passed.
    pub passed: usize,
    pub failed: Vec<FailedTest>,
    /// What is wrong with the files of tests, a line each. Their tests did not run.
    pub problems: Vec<String>,
}

/// A test that failed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct FailedTest {
    /// The file, relative to the store.
    pub file: String,
    pub line: usize,
    pub name: String,
    /// What is not as expected, a line each.
    pub differences: Vec<String>,
}

/// Runs all tests of a policy store. `None`: there are more than `most`.
pub fn run_tests(bench: &TestBench, store: &Path, most: usize) -> Result<Option<Summary>, Failure> {
    let folder = store.join("tests");
    let (mut files, mut cases, mut summary) = (Vec::new(), Vec::new(), Summary::default());
    if folder.is_dir() {
        collect_files(&folder, &mut files)?;
    }
    files.sort();
    for path in files {
        match read::read_file(bench, &path) {
            Ok(of_file) => cases.extend(of_file),
            Err(problems) => {
                let line = |problem: super::problem::Problem| {
                    format!("`{}:{}`: {}", below(&problem.file, store), problem.place, problem.message)
                };
                summary.problems.extend(problems.into_iter().map(line));
            }
        }
        if cases.len() > most {
            return Ok(None);
        }
    }
    let ran = run_all(bench, &cases, Mode { counts: false, fail_fast: false })?;
    for (case, result) in cases.iter().zip(&ran.results) {
        if result.is_passed() {
            summary.passed += 1;
        } else {
            summary.failed.push(FailedTest::new(case, result, store));
        }
    }
    Ok(Some(summary))
}

impl FailedTest {
    fn new(case: &Case, result: &CaseResult, store: &Path) -> Self {
        let differences = result.steps.iter().flat_map(|step| &step.differences);
        Self {
            file: below(&case.file, store),
            line: case.place.line,
            name: case.name.clone(),
            differences: differences.map(ToString::to_string).collect(),
        }
    }
}

/// A path relative to the store.
fn below(file: &str, store: &Path) -> String {
    let path = Path::new(file);
    path.strip_prefix(store).unwrap_or(path).display().to_string()
}

/// A request that somebody tried, to be kept as a test.
#[derive(Clone, Debug)]
pub struct NewTest {
    /// The persona who asks.
    pub persona: Option<String>,
    /// What overrides the claims of the persona.
    pub claims: Option<Claims>,
    /// All claims that are not those of every token. `None`: the request has no token.
    pub all_claims: Option<Claims>,
    pub request: HttpRequest,
    /// Whether the address of the client is not the one of every test.
    pub has_address: bool,
}

/// A test in YAML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestText {
    pub name: String,
    /// Everything but the name, as it goes into a list of tests.
    pub body: String,
}

impl NewTest {
    /// The test, which expects what the policies decide now. So it passes.
    pub fn text(&self, bench: &TestBench) -> Result<TestText, Failure> {
        let got = self.ask(bench)?;
        let Self { persona, claims, all_claims: _, request, has_address } = self;
        let verdict = got.verdict.name();
        let who = persona.as_deref().unwrap_or(if claims.is_some() { "somebody" } else { "without a token" });
        let mut body = String::new();
        let mut add = |key: &str, value: &str| body += &format!("    {key}: {value}\n");
        if let Some(persona) = persona {
            add("as", &yaml(persona));
        }
        if let Some(claims) = claims {
            add("claims", &json_value(&Value::Object(claims.clone())));
        }
        add("request", &yaml(&request.line()));
        if !request.headers.is_empty() {
            add("headers", &lists(&request.headers));
        }
        // Other requests have it in their line.
        if request.verb.is_empty() && !request.query.is_empty() {
            add("query", &lists(&request.query));
        }
        if *has_address {
            add("source_ip", &json(&request.source_ip));
        }
        if !matches!(request.api, ApiKind::RestRequest | ApiKind::WebSocket) {
            add("api", request.api.name());
        }
        let reason = got.reason.map(Reason::code);
        let expected = match reason {
            Some(reason) => format!("{{ decision: {verdict}, reason: {reason} }}"),
            None => verdict.to_owned(),
        };
        add("expect", &expected);
        Ok(TestText { name: format!("{who}, {}: {verdict}", request.line()), body })
    }

    fn ask(&self, bench: &TestBench) -> Result<Got, Failure> {
        let caller = match &self.all_claims {
            None => Caller::Unknown,
            Some(claims) => {
                let source = bench.source(None, claims).map_err(NoSource::into_failure)?;
                let claims = bench.claims(claims, source, None, DEFAULT_TIME);
                Caller::Holder { persona: self.persona.clone(), claims }
            }
        };
        let step = Step {
            place: Place::START,
            caller,
            asked: Asked::Request(self.request.clone()),
            now: DEFAULT_TIME,
            expected: Expectation::default(),
        };
        let case = Case {
            file: "".into(),
            place: Place::START,
            name: String::new(),
            steps: vec![step],
            cache: None,
        };
        let ran = run_all(bench, &[case], Mode { counts: false, fail_fast: true })?;
        let step = ran.results.into_iter().flat_map(|result| result.steps).next();
        Ok(step.ok_or_else(|| Failure::could_not_run("the request was not answered"))?.got)
    }
}

/// The names of the tests in a file, or what is wrong with it.
pub fn names_in(bench: &TestBench, path: &Path) -> Result<Vec<String>, Failure> {
    match read::read_file(bench, path) {
        Ok(cases) => Ok(cases.into_iter().map(|case| case.name).collect()),
        Err(problems) => {
            let first = problems.into_iter().next();
            let text = first.map(|problem| format!("line {}: {}", problem.place.line, problem.message));
            Err(Failure::could_not_run(text.unwrap_or_default()))
        }
    }
}

/// A map of names, each with a list of its values.
fn lists(pairs: &[(String, String)]) -> String {
    let mut map = serde_json::Map::new();
    for (name, value) in pairs {
        let values = map.entry(name.clone()).or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(values) = values {
            values.push(Value::from(value.as_str()));
        }
    }
    json_value(&Value::Object(map))
}

/// JSON is YAML, apart from characters that only JSON takes as they are.
fn json_value(value: &Value) -> String {
    match value {
        Value::String(text) => json(text),
        Value::Array(values) => {
            let values: Vec<String> = values.iter().map(json_value).collect();
            format!("[{}]", values.join(", "))
        }
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| format!("{}: {}", json(name), json_value(value));
            let members: Vec<String> = members.iter().map(member).collect();
            format!("{{{}}}", members.join(", "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}
