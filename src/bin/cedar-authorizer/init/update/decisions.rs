//! What the policies of a store decide about routes that it has just got, as a file of tests.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use cedar_authorizer::bundle::StoreFiles;
use cedar_authorizer::gateway::cache_key::CacheKey;
use cedar_authorizer::gateway::route::Method;

use super::super::files::routes_tests;
use super::super::text;
use crate::description::Operation;
use crate::output::Failure;
use crate::store::StoreArgs;
use crate::test_bench::{DEFAULT_TIME, HttpRequest, NoSource, TestBench};

/// The file. `None`: the store has no personas, or no request leads to these routes.
pub fn of_routes(routes: &[Operation], files: &StoreFiles, store: &Path) -> Result<Option<String>, Failure> {
    let personas = store.join("personas.toml");
    let Ok(personas) = fs::read(&personas) else { return Ok(None) };
    // The store as it will be. It is not in its place yet, because that may still fail.
    let copy = tempfile::tempdir().map_err(Failure::could_not_run)?;
    let own = [("personas.toml", personas.as_slice())];
    for (path, content) in files.iter().chain(own) {
        let path = copy.path().join(path);
        let folder = path.parent().unwrap_or(copy.path());
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&path, content))
            .map_err(Failure::could_not_run)?;
    }
    let bench = TestBench::open(&StoreArgs { store: copy.path().to_path_buf() })?;
    let requests = requests(routes, &bench);
    let everybody: Vec<&str> = bench.personas().names().collect();
    if requests.is_empty() || everybody.is_empty() {
        return Ok(None);
    }
    // Requests with the same answers share a test.
    let mut by_answers: BTreeMap<Vec<&str>, Vec<&str>> = BTreeMap::new();
    for request in &requests {
        let mut allowed = Vec::new();
        for name in &everybody {
            if is_allowed(&bench, name, request)? {
                allowed.push(*name);
            }
        }
        by_answers.entry(allowed).or_default().push(request);
    }
    let mut file = HEAD.to_owned();
    for (number, (allowed, requests)) in by_answers.iter().enumerate() {
        let others: Vec<&str> = everybody.iter().copied().filter(|name| !allowed.contains(name)).collect();
        let lines: String =
            requests.iter().map(|request| format!("      - {}\n", text::yaml(request))).collect();
        let list = format!("&requests{number}\n{lines}");
        let again = format!("*requests{number}\n");
        for (people, expect) in [(allowed.as_slice(), "allow"), (&others, "deny")] {
            if people.is_empty() {
                continue;
            }
            let is_first = expect == "allow" || allowed.is_empty();
            let requests = if is_first { &list } else { &again };
            let names: Vec<String> = people.iter().map(|name| text::yaml(name)).collect();
            file += &format!(
                "  - name: added routes {}, {expect}\n    as: [{}]\n    request: {requests}    expect: {expect}\n",
                number + 1,
                names.join(", "),
            );
        }
    }
    Ok(Some(file))
}

/// A request for each route that one can lead to.
fn requests(routes: &[Operation], bench: &TestBench) -> Vec<String> {
    let table = &bench.store().routes;
    let id_of = |operation: &Operation| {
        let verb = (operation.method != Method::Any).then(|| operation.method.name().to_ascii_uppercase());
        table.get(verb.as_deref(), &operation.path.to_string()).ok()
    };
    routes.iter().filter_map(|operation| routes_tests::request(operation, id_of(operation)?, table)).collect()
}

fn is_allowed(bench: &TestBench, persona: &str, request: &str) -> Result<bool, Failure> {
    let claims = bench.personas().find(persona)?;
    let source = bench.source(None, claims).map_err(NoSource::into_failure)?;
    let claims = bench.claims(claims, source, None, DEFAULT_TIME);
    let signed = bench.sign(&claims, DEFAULT_TIME)?;
    let milliseconds = DEFAULT_TIME.as_seconds().saturating_mul(1000);
    let request = HttpRequest::parse(request, milliseconds).map_err(Failure::could_not_run)?;
    let call = bench.call(&request, Some(&signed.text)).map_err(Failure::could_not_run)?;
    let Ok(session) = &signed.session else { return Ok(false) };
    let outcome = session.authorize(&call, &CacheKey::None).map_err(Failure::could_not_run)?;
    Ok(outcome.decision.is_allowed())
}

const HEAD: &str =
    "# What the policies decide about routes that `cedar-authorizer init --update` added. Go through it:
# the policies were there before the routes.
tests:
";
