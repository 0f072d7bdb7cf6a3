//! Recording: a file of tests that say what the policies decide now, for every persona.

use std::collections::HashMap;
use std::sync::Arc;

use super::case::{Asked, Caller, Case, Step};
use super::expectation::{Expectation, Verdict};
use super::read::MAX_BYTES;
use super::{Mode, run_all};
use crate::init::text::yaml;
use crate::output::Failure;
use crate::test_bench::{ApiKind, Claims, DEFAULT_TIME, HttpRequest, NoSource, TestBench};
use crate::yaml::Place;

/// Records what the policies decide about these requests. The answers are those of [`super::Test`], so the tests pass.
///
/// `head` is the beginning of the file, and the names of all tests begin with `name`. `None`: there are no personas or
/// no requests, or the file would be larger than [`super::Test`] reads.
pub fn record(
    bench: &TestBench,
    requests: &[HttpRequest],
    head: &str,
    name: &str,
) -> Result<Option<String>, Failure> {
    let callers = bench.personas().iter().map(|(name, claims)| caller(bench, name, claims));
    let callers: Vec<Caller> = callers.collect::<Result<_, _>>()?;
    if callers.is_empty() || requests.is_empty() {
        return Ok(None);
    }
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut known: HashMap<(Option<&str>, Vec<Verdict>), usize> = HashMap::new();
    for some in requests.chunks(CASES_AT_ONCE.div_ceil(callers.len())) {
        let cases: Vec<Case> =
            some.iter().flat_map(|request| callers.iter().map(|caller| case(caller, request))).collect();
        let ran = run_all(bench, &cases, Mode { counts: false, fail_fast: false })?;
        for (request, results) in some.iter().zip(ran.results.chunks(callers.len())) {
            let steps = results.iter().flat_map(|result| &result.steps);
            let verdicts: Vec<Verdict> = steps.map(|step| step.got.verdict).collect();
            let api = named_api(request);
            let number = *known.entry((api, verdicts.clone())).or_insert(groups.len());
            match groups.get_mut(number) {
                Some(group) => group.requests.push(request),
                None => groups.push(Group { api, verdicts, requests: vec![request] }),
            }
        }
    }
    let people: Vec<&str> = bench.personas().names().collect();
    let tests: String =
        groups.iter().enumerate().map(|(index, group)| group.tests(index, &people, name)).collect();
    let file = format!("{head}tests:\n{tests}");
    Ok(Some(file).filter(|file| !tests.is_empty() && file.len() as u64 <= MAX_BYTES))
}

/// Requests with the same answers. They share their tests.
struct Group<'a> {
    /// The kind of API, if the tests have to name it.
    api: Option<&'static str>,
    /// What becomes of them, for each persona.
    verdicts: Vec<Verdict>,
    requests: Vec<&'a HttpRequest>,
}

impl Group<'_> {
    /// A test for each verdict.
    fn tests(&self, index: usize, people: &[&str], name: &str) -> String {
        let lines: String =
            self.requests.iter().map(|request| format!("      - {}\n", yaml(&request.line()))).collect();
        let mut requests = format!("&requests{index}\n{lines}");
        let api = self.api.map(|api| format!("    api: {api}\n")).unwrap_or_default();
        let mut tests = String::new();
        for verdict in Verdict::EXPECTED {
            let of_verdict = people.iter().zip(&self.verdicts).filter(|(_, got)| **got == verdict);
            let names: Vec<String> = of_verdict.map(|(name, _)| yaml(name)).collect();
            if names.is_empty() {
                continue;
            }
            let (number, names, expect) = (index + 1, names.join(", "), verdict.name());
            tests += &format!(
                "  - name: {name} {number}, {expect}\n    as: [{names}]\n{api}    request: {requests}    expect: {expect}\n"
            );
            requests = format!("*requests{index}\n");
        }
        tests
    }
}

fn caller(bench: &TestBench, name: &str, claims: &Claims) -> Result<Caller, Failure> {
    let source = bench.source(None, claims).map_err(NoSource::into_failure)?;
    let claims = bench.claims(claims, source, None, DEFAULT_TIME);
    Ok(Caller::Holder { persona: Some(name.to_owned()), claims })
}

fn case(caller: &Caller, request: &HttpRequest) -> Case {
    let step = Step {
        place: Place::START,
        caller: caller.clone(),
        asked: Asked::Request(request.clone()),
        now: DEFAULT_TIME,
        expected: Expectation::default(),
    };
    Case { file: Arc::from(""), place: Place::START, name: String::new(), steps: vec![step], cache: None }
}

/// The kind of API, unless the line of a request says it.
fn named_api(request: &HttpRequest) -> Option<&'static str> {
    match request.api {
        ApiKind::RestRequest | ApiKind::WebSocket => None,
        api => Some(api.name()),
    }
}

/// Cases take memory, so there are never many more of them than this.
const CASES_AT_ONCE: usize = 4096;
