//! The cells of a matrix.

use std::collections::{BTreeMap, BTreeSet};

use cedar_authorizer::gateway::cache_key::CacheKey;
use cedar_authorizer::gateway::input::Input;
use cedar_authorizer::gateway::route::{Method, Route, RouteTable, Segment};
use cedar_authorizer::reason::Reason;
use serde::{Deserialize, Serialize};

use super::callers::Caller;
use crate::output::{Failure, printable};
use crate::progress;
use crate::test_bench::{ApiKind, DEFAULT_TIME, HttpRequest, NoSource, SignedToken, TestBench};

/// Who may call what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matrix {
    /// The callers, in the order of the columns.
    pub callers: Vec<String>,
    /// The routes.
    pub rows: Vec<Row>,
}

/// A route or a request, and who may make it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// `get /pets/{petId}`; or a request, `GET /pets/7`.
    pub route: String,
    /// What its policies read of a request besides the token, so that other requests may be decided otherwise.
    #[serde(default)]
    pub reads: Vec<String>,
    /// By caller.
    pub cells: BTreeMap<String, Cell>,
}

/// A decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// `allow`, `deny`, or `unauthorized` if the token of the caller is refused.
    pub decision: String,
    /// The reason code. Empty if a matrix is kept in a form without reasons.
    #[serde(default)]
    pub reason: String,
    /// The determining policies.
    #[serde(default)]
    pub policies: Vec<String>,
}

impl Matrix {
    /// Decides every route and these requests for every caller. A request is written `GET /pets/7`.
    ///
    /// # Errors
    /// A request is malformed, or the test bench cannot make a token for a caller.
    pub fn decide(bench: &TestBench, callers: &[Caller], requests: &[String]) -> Result<Self, Failure> {
        let routes = bench.store().routes.routes().iter().zip(&bench.store().reads);
        let mut asked: Vec<Asked> = routes.map(|(route, reads)| Asked::route(route, reads, bench)).collect();
        for request in requests {
            asked.push(Asked::request(request, bench)?);
        }
        Self::of(asked, bench, callers)
    }

    /// Decides at most so many of the routes that have a text in their names, in lower case. Returns also how many more
    /// there are.
    ///
    /// # Errors
    /// The test bench cannot make a token for a caller.
    pub fn decide_some(
        bench: &TestBench,
        callers: &[Caller],
        with: &str,
        most: usize,
    ) -> Result<(Self, usize), Failure> {
        let routes = bench.store().routes.routes().iter().zip(&bench.store().reads);
        let mut wanted: Vec<(String, &Route, &BTreeSet<Input>)> = routes
            .map(|(route, reads)| (route.to_string(), route, reads))
            .filter(|(name, ..)| name.to_lowercase().contains(with))
            .collect();
        wanted.sort_by(|(a, ..), (b, ..)| by_path(a).cmp(&by_path(b)));
        let left_out = wanted.len().saturating_sub(most);
        let asked = wanted.iter().take(most).map(|(_, route, reads)| Asked::route(route, reads, bench));
        Ok((Self::of(asked.collect(), bench, callers)?, left_out))
    }

    fn of(mut asked: Vec<Asked>, bench: &TestBench, callers: &[Caller]) -> Result<Self, Failure> {
        asked.sort_by(|a, b| by_path(&a.name).cmp(&by_path(&b.name)));
        asked.dedup_by(|a, b| a.name == b.name);
        let names = callers.iter().map(|caller| caller.name.clone()).collect();
        let message = format!("deciding {} requests for {} callers", asked.len(), callers.len());
        let cells = progress::during(message, || {
            callers.iter().map(|caller| cells_of(caller, &asked, bench)).collect::<Result<Vec<_>, _>>()
        })?;
        let mut rows: Vec<Row> = asked.into_iter().map(Asked::into_row).collect();
        for (caller, cells) in callers.iter().zip(cells) {
            for (row, cell) in rows.iter_mut().zip(cells) {
                row.cells.insert(caller.name.clone(), cell);
            }
        }
        Ok(Self { callers: names, rows })
    }

    /// The rows that are requests, not routes, as [`Matrix::decide`] takes them.
    pub fn requests(&self) -> impl Iterator<Item = &str> {
        let names = self.rows.iter().map(|row| row.route.as_str());
        names.filter(|name| name.starts_with(|first: char| first.is_ascii_uppercase()))
    }

    /// The decision of a cell.
    pub fn cell(&self, route: &str, caller: &str) -> Option<&Cell> {
        self.rows.iter().find(|row| row.route == route)?.cells.get(caller)
    }
}

impl Cell {
    /// The decision on a request of whoever has this token. `None`: every request is taken by another route.
    ///
    /// # Errors
    /// API Gateway would not take the request.
    pub fn decide(
        signed: &SignedToken,
        request: Option<&HttpRequest>,
        bench: &TestBench,
    ) -> Result<Self, Failure> {
        let (session, request) = match (&signed.session, request) {
            (Err(reason), _) => return Ok(Self::refused(*reason)),
            (Ok(_), None) => return Ok(Self::refused(Reason::RouteUnmapped)),
            (Ok(session), Some(request)) => (session, request),
        };
        let call = bench.call(request, None).map_err(Failure::could_not_run)?;
        let outcome = session.authorize(&call, &CacheKey::None);
        Ok(outcome.map_or_else(Self::refused, |outcome| Self {
            policies: outcome.decision.policies.iter().map(ToString::to_string).collect(),
            ..Self::refused(outcome.decision.reason)
        }))
    }

    fn refused(reason: Reason) -> Self {
        let decision = reason.status().name();
        Self { decision: decision.to_owned(), reason: reason.code().to_owned(), policies: Vec::new() }
    }
}

/// What is asked for a row.
struct Asked {
    name: String,
    reads: Vec<String>,
    /// `None`: every request is taken by another route.
    request: Option<HttpRequest>,
}

impl Asked {
    fn route(route: &Route, reads: &BTreeSet<Input>, bench: &TestBench) -> Self {
        let reads = reads.iter().filter(|input| input.matters_to(route)).map(ToString::to_string).collect();
        Self { name: route.to_string(), reads, request: request(&bench.store().routes, route) }
    }

    fn request(text: &str, bench: &TestBench) -> Result<Self, Failure> {
        let request = read_request(text)?;
        let store = bench.store();
        let found = request.route(&store.routes);
        let read = store.routes.routes().iter().zip(&store.reads).find(|(route, _)| found == Some(*route));
        let reads = read.into_iter().flat_map(|(route, reads)| {
            reads
                .iter()
                .filter(|input| input.matters_to(route) && !is_written(input))
                .map(ToString::to_string)
        });
        Ok(Self { name: text.to_owned(), reads: reads.collect(), request: Some(request) })
    }

    fn into_row(self) -> Row {
        Row { route: self.name, reads: self.reads, cells: BTreeMap::new() }
    }
}

/// Reads a request as it is given on the command line.
///
/// # Errors
/// It is malformed.
pub fn read_request(text: &str) -> Result<HttpRequest, Failure> {
    HttpRequest::parse(text, milliseconds()).map_err(|error| {
        Failure::could_not_run(format_args!("request `{}`: {error}", printable(text)))
            .hint("a request reads `GET /pets/7?all=true`")
    })
}

/// Whether the line of a request says it: `GET /pets/7?all=true`.
fn is_written(input: &Input) -> bool {
    let is_of_path = matches!(input, Input::Method | Input::Path | Input::PathParameters | Input::Resource);
    is_of_path || input.is_of_query()
}

fn cells_of(caller: &Caller, asked: &[Asked], bench: &TestBench) -> Result<Vec<Cell>, Failure> {
    let source = bench.source(caller.source.as_deref(), &caller.claims).map_err(NoSource::into_failure)?;
    let claims = bench.claims(&caller.claims, source, None, DEFAULT_TIME);
    let signed = bench.sign(&claims, DEFAULT_TIME)?;
    asked.iter().map(|asked| Cell::decide(&signed, asked.request.as_ref(), bench)).collect()
}

fn milliseconds() -> u64 {
    DEFAULT_TIME.as_seconds().saturating_mul(1000)
}

/// A request that takes a route of this table. `None`: every request is taken by another one.
pub fn request(table: &RouteTable, route: &Route) -> Option<HttpRequest> {
    requests(route).find(|request| request.route(table) == Some(route))
}

/// Requests that this route covers. Other routes may take some of them.
pub fn requests(route: &Route) -> impl Iterator<Item = HttpRequest> {
    let milliseconds = milliseconds();
    let verbs = match route.method {
        // A method that has no route of its own on this resource.
        Method::Any => &["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "PURGE"][..],
        _ => &[""],
    };
    let own = route.method.name().to_ascii_uppercase();
    let verbs = verbs.iter().map(|verb| if verb.is_empty() { own.as_str() } else { verb });
    let values = ["1", "x", "~", "~~~"];
    let requests = verbs.flat_map(|verb| values.map(|value| (verb, value)));
    let requests: Vec<HttpRequest> = requests
        .filter_map(|(verb, value)| {
            let mut request = match route.template.segments() {
                [Segment::Key(key)] if route.template.is_connect() => {
                    HttpRequest::parse(key, milliseconds).ok()?
                }
                [Segment::Key(_)] => HttpRequest::parse(&format!("{verb} /{value}"), milliseconds).ok()?,
                segments => {
                    let path = segments.iter().map(|segment| match segment {
                        Segment::Static(text) | Segment::Key(text) => text.as_str(),
                        Segment::Parameter(_) | Segment::Greedy(_) => value,
                    });
                    let path = path.collect::<Vec<_>>().join("/");
                    HttpRequest::parse(&format!("{verb} /{path}"), milliseconds).ok()?
                }
            };
            if !route.template.is_connect() && matches!(route.template.segments(), [Segment::Key(_)]) {
                // Only HTTP APIs have `$default`.
                request.api = ApiKind::HttpV2;
            }
            Some(request)
        })
        .collect();
    requests.into_iter()
}

/// Routes are in the order of their paths, and then of their methods.
pub fn by_path(route: &str) -> (&str, &str) {
    route.split_once(' ').map_or((route, ""), |(method, path)| (path, method))
}
