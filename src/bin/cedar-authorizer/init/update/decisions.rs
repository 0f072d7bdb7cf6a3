//! What the policies of a store decide about routes that it has just got, as a file of tests.

use std::path::Path;

use cedar_authorizer::bundle::StoreFiles;
use cedar_authorizer::gateway::route::Method;
use cedar_authorizer::store::Store;

use super::super::files::routes_tests;
use crate::description::Operation;
use crate::output::Failure;
use crate::test::record;
use crate::test_bench::{DEFAULT_TIME, HttpRequest, Personas, TestBench};

/// The file. `None`: the store has no personas, or no request leads to these routes. `store` and `files` are as they
/// will be: they are not in their place yet, because that may still fail.
pub fn of_routes(
    routes: &[Operation],
    store: Store,
    files: &StoreFiles,
    folder: &Path,
) -> Result<Option<String>, Failure> {
    let personas = Personas::read(folder)?;
    if personas.names().next().is_none() {
        return Ok(None);
    }
    let bench = TestBench::new(folder.display().to_string(), store, files.clone(), personas)?;
    record(&bench, &requests(routes, &bench)?, HEAD, "added routes")
}

/// A request for each route that one can lead to.
fn requests(routes: &[Operation], bench: &TestBench) -> Result<Vec<HttpRequest>, Failure> {
    let table = &bench.store().routes;
    let id_of = |operation: &Operation| {
        let verb = (operation.method != Method::Any).then(|| operation.method.name().to_ascii_uppercase());
        table.get(verb.as_deref(), &operation.path.to_string()).ok()
    };
    let lines =
        routes.iter().filter_map(|operation| routes_tests::request(operation, id_of(operation)?, table));
    let milliseconds = DEFAULT_TIME.as_seconds().saturating_mul(1000);
    lines.map(|line| HttpRequest::parse(&line, milliseconds).map_err(Failure::could_not_run)).collect()
}

const HEAD: &str =
    "# What the policies decide about routes that `cedar-authorizer init --update` added. Go through it:
# the policies were there before the routes.
";
