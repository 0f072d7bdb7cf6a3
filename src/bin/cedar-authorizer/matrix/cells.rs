//! The cells of a matrix.

use std::collections::BTreeMap;

use cedar_authorizer::gateway::cache_key::CacheKey;
use cedar_authorizer::gateway::route::{Method, Route, Segment};
use cedar_authorizer::reason::{Reason, Status};
use serde::{Deserialize, Serialize};

use super::callers::Caller;
use crate::output::Failure;
use crate::progress;
use crate::test_bench::{ApiKind, DEFAULT_TIME, HttpRequest, NoSource, TestBench};

/// Who may call what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matrix {
    /// The callers, in the order of the columns.
    pub callers: Vec<String>,
    /// The routes.
    pub rows: Vec<Row>,
}

/// A route, and who may take it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
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
    /// Decides every route for every caller.
    pub fn decide(bench: &TestBench, callers: &[Caller]) -> Result<Self, Failure> {
        let routes = bench.store().routes.routes();
        let decide = || {
            let mut rows: Vec<Row> = routes
                .iter()
                .zip(&bench.store().reads)
                .map(|(route, reads)| {
                    let reads = reads.iter().filter(|input| input.matters_to(route));
                    Row {
                        route: route.to_string(),
                        reads: reads.map(ToString::to_string).collect(),
                        cells: BTreeMap::new(),
                    }
                })
                .collect();
            for caller in callers {
                let source =
                    bench.source(caller.source.as_deref(), &caller.claims).map_err(NoSource::into_failure)?;
                let claims = bench.claims(&caller.claims, source, None, DEFAULT_TIME);
                let signed = bench.sign(&claims, DEFAULT_TIME)?;
                for (route, row) in routes.iter().zip(&mut rows) {
                    let cell = match (&signed.session, request(bench, route)) {
                        (Err(reason), _) => Cell::refused(*reason),
                        (Ok(_), None) => Cell::refused(Reason::RouteUnmapped),
                        (Ok(session), Some(request)) => {
                            let call = bench.call(&request, None).map_err(Failure::could_not_run)?;
                            let outcome = session.authorize(&call, &CacheKey::None);
                            outcome.map_or_else(Cell::refused, |outcome| Cell {
                                policies: outcome.decision.policies.iter().map(ToString::to_string).collect(),
                                ..Cell::refused(outcome.decision.reason)
                            })
                        }
                    };
                    row.cells.insert(caller.name.clone(), cell);
                }
            }
            rows.sort_by(|a, b| by_path(&a.route).cmp(&by_path(&b.route)));
            Ok(Self { callers: callers.iter().map(|caller| caller.name.clone()).collect(), rows })
        };
        progress::during(format!("deciding {} routes for {} callers", routes.len(), callers.len()), decide)
    }

    /// The decision of a cell.
    pub fn cell(&self, route: &str, caller: &str) -> Option<&Cell> {
        self.rows.iter().find(|row| row.route == route)?.cells.get(caller)
    }
}

impl Cell {
    fn refused(reason: Reason) -> Self {
        let decision = match reason.status() {
            Status::Allow => "allow",
            Status::Deny => "deny",
            Status::Unauthorized => "unauthorized",
            Status::Fault => "fault",
        };
        Self { decision: decision.to_owned(), reason: reason.code().to_owned(), policies: Vec::new() }
    }
}

/// A request that takes a route. `None`: every request is taken by another one.
fn request(bench: &TestBench, route: &Route) -> Option<HttpRequest> {
    let milliseconds = DEFAULT_TIME.as_seconds().saturating_mul(1000);
    let verbs = match route.method {
        // A method that has no route of its own on this resource.
        Method::Any => &["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "PURGE"][..],
        _ => &[""],
    };
    let own = route.method.name().to_ascii_uppercase();
    let verbs = verbs.iter().map(|verb| if verb.is_empty() { own.as_str() } else { verb });
    let values = ["1", "x", "~", "~~~"];
    let requests = verbs.flat_map(|verb| values.map(|value| (verb, value)));
    let made = requests.filter_map(|(verb, value)| {
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
    });
    let table = &bench.store().routes;
    let mut made = made;
    made.find(|request| request.route(table) == Some(route))
}

/// Routes are in the order of their paths, and then of their methods.
fn by_path(route: &str) -> (&str, &str) {
    route.split_once(' ').map_or((route, ""), |(method, path)| (path, method))
}
