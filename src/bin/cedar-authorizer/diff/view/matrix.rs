//! Who may call what, under both stores: only the cells that differ.

use std::collections::{BTreeMap, BTreeSet};

use cedar_authorizer::gateway::route::Route;
use serde::Serialize;

use crate::access::Access;
use crate::diff::side::Side;
use crate::matrix::By;
use crate::matrix::callers::{Caller, groups};
use crate::matrix::cells::{Cell, by_path, read_request, request, requests};
use crate::matrix::comparison::because;
use crate::output::{Failure, plural};
use crate::progress;
use crate::test_bench::{Claims, DEFAULT_TIME, HttpRequest, TestBench};

/// Personas and groups x routes, decided under both stores.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Matrix {
    /// How many callers and rows were asked.
    pub callers: usize,
    pub rows: usize,
    /// The rows whose policies read more than the token: other requests may be decided otherwise.
    pub depending: Vec<String>,
    /// The cells that differ: those that gain access first, then those that lose it, then those that are decided for
    /// another reason.
    pub differences: Vec<CellDifference>,
}

/// A cell that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CellDifference {
    pub access: Access,
    pub caller: CallerName,
    /// `get /pets/{petId}`; or a request, `GET /pets/7`.
    pub route: String,
    /// Whether only one store has the route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route_is: Option<Only>,
    pub before: Cell,
    pub after: Cell,
    /// What made the difference.
    pub because: Vec<String>,
}

/// Which store has a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Only {
    New,
    Gone,
}

/// A caller.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallerName {
    pub kind: Kind,
    pub name: String,
}

/// Who a caller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A persona.
    Persona,
    /// Somebody in a group.
    Group,
    /// A persona with a token of the old identity source, where the new one makes another.
    PersonaWithOldToken,
    GroupWithOldToken,
}

impl Kind {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Persona => "persona",
            Self::Group => "group",
            Self::PersonaWithOldToken => "persona-with-old-token",
            Self::GroupWithOldToken => "group-with-old-token",
        }
    }

    fn with_old_token(self) -> Self {
        match self {
            Self::Persona | Self::PersonaWithOldToken => Self::PersonaWithOldToken,
            Self::Group | Self::GroupWithOldToken => Self::GroupWithOldToken,
        }
    }
}

/// A caller with all claims of a token, which is the same for both stores.
struct Asking {
    name: CallerName,
    claims: Claims,
}

/// What is asked for a row.
struct Row {
    name: String,
    only: Option<Only>,
    /// `None`: every request is taken by another route.
    request: Option<HttpRequest>,
}

impl Matrix {
    /// Decides every route of either store and these requests for every caller that either store names.
    ///
    /// # Errors
    /// A request is malformed, or there are no personas although they were asked for.
    pub fn between(old: &Side, new: &Side, by: Option<By>, asked: &[String]) -> Result<Self, Failure> {
        let callers = callers(&old.bench, &new.bench, by)?;
        let rows = rows(&old.bench, &new.bench, asked)?;
        let message =
            format!("deciding {} for {}", plural(rows.len(), "request"), plural(callers.len(), "caller"));
        let mut differences =
            progress::during(message, || differences(&old.bench, &new.bench, &callers, &rows))?;
        differences.sort_by_key(|difference| difference.access);
        Ok(Self {
            callers: callers.len(),
            rows: rows.len(),
            depending: depending(&old.bench, &new.bench),
            differences,
        })
    }

    /// The cells that are decided for another reason.
    pub fn same(&self) -> usize {
        self.differences.iter().filter(|difference| difference.access == Access::Same).count()
    }
}

fn differences(
    old: &TestBench,
    new: &TestBench,
    callers: &[Asking],
    rows: &[Row],
) -> Result<Vec<CellDifference>, Failure> {
    let mut differences = Vec::new();
    for Asking { name, claims } in callers {
        let (of_old, of_new) = (old.sign(claims, DEFAULT_TIME)?, new.sign(claims, DEFAULT_TIME)?);
        for Row { name: route, only, request } in rows {
            let before = Cell::decide(&of_old, request.as_ref(), old)?;
            let after = Cell::decide(&of_new, request.as_ref(), new)?;
            if before != after {
                differences.push(CellDifference {
                    access: Access::between(&before.decision, &after.decision),
                    caller: name.clone(),
                    route: route.clone(),
                    route_is: *only,
                    because: because(Some(&before), &after, new),
                    before,
                    after,
                });
            }
        }
    }
    Ok(differences)
}

/// The personas of the new store, those that only the old one has, and the groups that either of them names.
fn callers(old: &TestBench, new: &TestBench, by: Option<By>) -> Result<Vec<Asking>, Failure> {
    let mut callers = Vec::new();
    if by != Some(By::Group) {
        let of_old = old.personas().iter().filter(|(name, _)| new.personas().get(name).is_none());
        for (name, claims) in new.personas().iter().chain(of_old) {
            add(&mut callers, (old, new), Kind::Persona, &Caller::persona(name, claims));
        }
        if by == Some(By::Persona) && callers.is_empty() {
            return Err(Failure::could_not_run("neither policy store has personas")
                .hint("add them to `personas.toml`, or use --by group"));
        }
    }
    if by != Some(By::Persona) {
        let mut seen = BTreeSet::new();
        for caller in groups(new.store()).into_iter().chain(groups(old.store())) {
            if seen.insert((caller.source.clone(), caller.group.clone())) {
                add(&mut callers, (old, new), Kind::Group, &caller);
            }
        }
    }
    Ok(callers)
}

/// Adds a caller with the token of the new store, and with that of the old one if it is another: who has such a token
/// would notice.
fn add(callers: &mut Vec<Asking>, (old, new): (&TestBench, &TestBench), kind: Kind, caller: &Caller) {
    let claims = |bench: &TestBench| {
        let source = bench.source(caller.source.as_deref(), &caller.claims).ok()?;
        Some(bench.claims(&caller.claims, source, None, DEFAULT_TIME))
    };
    let name = |kind| CallerName { kind, name: caller.name.clone() };
    let (of_old, of_new) = (claims(old), claims(new));
    if of_old.is_none() && of_new.is_none() {
        // No source, so no store takes the token.
        callers.push(Asking { name: name(kind), claims: caller.claims.clone() });
        return;
    }
    if let Some(claims) = &of_new {
        callers.push(Asking { name: name(kind), claims: claims.clone() });
    }
    if let Some(claims) = of_old.filter(|claims| Some(claims) != of_new.as_ref()) {
        callers.push(Asking { name: name(kind.with_old_token()), claims });
    }
}

/// The routes of either store, in the order of their paths, and then the requests.
fn rows(old: &TestBench, new: &TestBench, asked: &[String]) -> Result<Vec<Row>, Failure> {
    let table = |bench: &TestBench| -> BTreeMap<String, Route> {
        let routes = bench.store().routes.routes().iter();
        routes.map(|route| (route.to_string(), route.clone())).collect()
    };
    let (of_old, of_new) = (table(old), table(new));
    let mut names: Vec<&String> = of_old.keys().chain(of_new.keys()).collect();
    names.sort_by(|a, b| by_path(a).cmp(&by_path(b)));
    names.dedup();
    let mut rows = Vec::new();
    for name in names {
        let (before, after) = (of_old.get(name), of_new.get(name));
        rows.push(Row {
            name: name.clone(),
            only: match (before, after) {
                (None, Some(_)) => Some(Only::New),
                (Some(_), None) => Some(Only::Gone),
                _ => None,
            },
            request: request_for((old, before), (new, after)),
        });
    }
    for text in asked {
        rows.push(Row { name: text.clone(), only: None, request: Some(read_request(text)?) });
    }
    Ok(rows)
}

/// A request that takes the route in every store that has it, if there is one.
fn request_for(
    (old, before): (&TestBench, Option<&Route>),
    (new, after): (&TestBench, Option<&Route>),
) -> Option<HttpRequest> {
    let takes = |bench: &TestBench, route: Option<&Route>, asked: &HttpRequest| {
        let routes = &bench.store().routes;
        route.is_none_or(|route| asked.route(routes).map(ToString::to_string) == Some(route.to_string()))
    };
    let route = after.or(before)?;
    let in_both = requests(route).find(|asked| takes(new, after, asked) && takes(old, before, asked));
    let in_one = || after.and_then(|route| request(&new.store().routes, route));
    in_both.or_else(in_one).or_else(|| before.and_then(|route| request(&old.store().routes, route)))
}

/// The routes whose policies read more than the token.
fn depending(old: &TestBench, new: &TestBench) -> Vec<String> {
    let of = |bench: &TestBench| {
        let store = bench.store();
        let routes = store.routes.routes().iter().zip(&store.reads);
        let routes = routes.filter(|(route, reads)| reads.iter().any(|input| input.matters_to(route)));
        routes.map(|(route, _)| route.to_string()).collect::<BTreeSet<_>>()
    };
    of(old).union(&of(new)).cloned().collect()
}
