//! Who may what: the matrix of `matrix`, with requests to try its cells.

use std::collections::{BTreeMap, HashMap};

use axum::extract::{RawQuery, State};
use cedar_authorizer::gateway::route::Route;
use serde::Serialize;
use url::form_urlencoded;

use super::Page;
use super::reply::{Json, Refusal, blocking};
use super::state::{SampleRequest, sample};
use crate::matrix::By;
use crate::matrix::callers::{Caller, callers};
use crate::matrix::cells::{Cell, Matrix};
use crate::test_bench::{Claims, TestBench};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MatrixReport {
    matrix: Grid,
    /// How many more routes there are, for which the page has no room.
    left_out: usize,
}

#[derive(Debug, Serialize)]
struct Grid {
    callers: Vec<String>,
    /// The claims of the callers, without those that every token has.
    claims: BTreeMap<String, Claims>,
    rows: Vec<Line>,
}

#[derive(Debug, Serialize)]
struct Line {
    route: String,
    reads: Vec<String>,
    /// A request for the row. `None`: no request takes the route.
    request: Option<SampleRequest>,
    cells: BTreeMap<String, Cell>,
}

/// `GET /_bench/api/matrix?by=persona|group&with=TEXT`
pub async fn matrix(
    State(page): State<Page>,
    RawQuery(query): RawQuery,
) -> Result<Json<MatrixReport>, Refusal> {
    let query = query.unwrap_or_default();
    let parameter = |name| {
        let mut all = form_urlencoded::parse(query.as_bytes());
        all.find_map(|(known, value)| (known == name).then(|| value.into_owned()))
    };
    let with = parameter("with").unwrap_or_default().to_lowercase();
    let by = match parameter("by").as_deref() {
        Some("group") => By::Group,
        Some("persona") => By::Persona,
        Some(_) => return Err(Refusal::bad_request("the callers are `persona` or `group`")),
        None => By::Persona,
    };
    blocking(move || {
        let in_force = page.served.in_force.get();
        let api = &in_force.api;
        let callers = callers_by(&in_force.bench, by)?;
        let most = MAX_CELLS / callers.len().max(1);
        let (matrix, left_out) = Matrix::decide_some(&in_force.bench, &callers, &with, most)?;
        let claims = callers.into_iter().map(|caller| claims_of(caller, &in_force.bench)).collect();
        let Matrix { callers, rows } = matrix;
        let of_store = in_force.bench.store().routes.routes();
        // The API may have fewer routes than the store. Where both have one, that of the API comes last, and counts.
        let all = of_store.iter().chain(api.routes.routes());
        let routes: HashMap<String, &Route> = all.map(|route| (route.to_string(), route)).collect();
        let rows = rows.into_iter().map(|row| Line {
            request: routes.get(&row.route).and_then(|route| sample(route, api)),
            route: row.route,
            reads: row.reads,
            cells: row.cells,
        });
        Ok(Json(MatrixReport { matrix: Grid { callers, claims, rows: rows.collect() }, left_out }))
    })
    .await
}

/// The name of a caller, and claims that lead to its identity source.
fn claims_of(caller: Caller, bench: &TestBench) -> (String, Claims) {
    let Caller { name, group: _, mut claims, source } = caller;
    let sources = bench.bundle().identity_sources();
    let source = sources.iter().find(|known| source.as_deref() == Some(known.name()) && sources.len() > 1);
    if let Some(issuer) = source.and_then(|source| source.issuers().first()) {
        claims.insert("iss".to_owned(), issuer.as_str().into());
    }
    (name, claims)
}

/// Who has a column. Without personas, none of them has.
fn callers_by(bench: &TestBench, by: By) -> Result<Vec<Caller>, Refusal> {
    let has_personas = bench.personas().names().next().is_some();
    Ok(match by {
        By::Persona if !has_personas => Vec::new(),
        by => callers(bench, Some(by))?,
    })
}

/// The whole matrix of a store. `None`: it has more cells than are decided while somebody waits.
pub fn decide(bench: &TestBench, by: By) -> Result<Option<Matrix>, Refusal> {
    let callers = callers_by(bench, by)?;
    let fits = callers.len().saturating_mul(bench.store().routes.routes().len()) <= MAX_CELLS;
    Ok(if fits { Some(Matrix::decide(bench, &callers, &[])?) } else { None })
}

/// A browser still draws as many in a moment.
const MAX_CELLS: usize = 20_000;
