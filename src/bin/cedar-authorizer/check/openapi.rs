//! `check --openapi`: where a description of the API and the policy store disagree.

use std::collections::BTreeSet;

use cedar_authorizer::gateway::route::{Method, Route, RouteId, RouteTable, Segment};
use cedar_authorizer::store::Store;
use cedar_authorizer::store::finding::{Code, Finding, Position};
use cedar_authorizer::store::unpermitted_routes;

use crate::description::{Description, Operation, ProblemKind};
use crate::nearest::did_you_mean;
use crate::yaml::{Place, Problem};

/// Compares a description with a store. `file` is the name of the description in findings.
pub fn audit(description: &Description, store: &Store, file: &str) -> Vec<Finding> {
    let at = |place: Place| Position::line(file, place.line, place.column);
    let mut findings = Vec::new();
    for problem in &description.problems {
        if problem.kind == ProblemKind::LeftOut {
            findings.push(Finding::new(Code::DescriptionPartial, at(problem.place), &problem.message));
        }
    }
    let table = &store.routes;
    let unpermitted: BTreeSet<RouteId> = unpermitted_routes(store).into_iter().collect();
    let mut found: BTreeSet<RouteId> = BTreeSet::new();
    for operation in &description.operations {
        let known = routes_of(operation, table);
        found.extend(&known);
        let id = operation.action_id();
        if known.is_empty() {
            let message = format!("the policy store has no route `{id}`: it is always denied");
            let hint = renamed(operation, table).unwrap_or_else(|| {
                let routes: Vec<String> = table.routes().iter().map(ToString::to_string).collect();
                let near = did_you_mean(&id, routes.iter().map(String::as_str));
                near.unwrap_or_else(|| "add it with `init --update`, or as an action of that name".to_owned())
            });
            findings.push(Finding::new(Code::RouteUnknown, at(operation.place), message).hint(hint));
        } else if known.iter().all(|route| unpermitted.contains(route)) {
            let message = format!("no permit policy is about `{id}`: everybody is denied");
            findings.push(Finding::new(Code::RouteUnpermitted, at(operation.place), message));
        }
    }
    let missing: Vec<String> = (0..table.routes().len())
        .map(RouteId)
        .filter(|id| !found.contains(id))
        .filter_map(|id| table.route(id).map(|route| format!("`{route}`")))
        .collect();
    if !missing.is_empty() {
        let shown = missing.iter().take(MAX_NAMES).cloned().collect::<Vec<_>>().join(", ");
        let more = missing.len().saturating_sub(MAX_NAMES);
        let also = if more > 0 { format!(" and {more} more") } else { String::new() };
        let message = format!("the description has not all routes of the policy store: {shown}{also}");
        findings.push(Finding::new(Code::RouteUndeployed, Position::file(file), message));
    }
    findings.sort_by(|a, b| (&a.position, a.code).cmp(&(&b.position, b.code)));
    findings
}

/// What is wrong with a description that cannot be read at all.
pub fn unreadable(problem: &Problem, file: &str) -> Finding {
    let at = Position::line(file, problem.place.line, problem.place.column);
    Finding::new(Code::DescriptionInvalid, at, &problem.message)
}

/// The routes of the store that an operation leads to; an operation for any method may lead to several.
fn routes_of(operation: &Operation, table: &RouteTable) -> BTreeSet<RouteId> {
    let path = operation.path.to_string();
    let methods = match operation.method {
        Method::Any => &Method::ALL[..],
        ref method => std::slice::from_ref(method),
    };
    let verbs = methods.iter().map(|method| method.name().to_ascii_uppercase());
    verbs.filter_map(|verb| table.get(Some(&verb), &path).ok()).collect()
}

/// The route of the store that differs only in the names of parameters. To API Gateway it is another one, because the
/// store knows a route by its template.
fn renamed(operation: &Operation, table: &RouteTable) -> Option<String> {
    let is_alike = |(a, b): (&Segment, &Segment)| match (a, b) {
        (Segment::Static(a), Segment::Static(b)) | (Segment::Key(a), Segment::Key(b)) => a == b,
        (Segment::Parameter(_), Segment::Parameter(_)) | (Segment::Greedy(_), Segment::Greedy(_)) => true,
        _ => false,
    };
    let own = operation.path.segments();
    let is_same = |route: &&Route| {
        let segments = route.template.segments();
        route.method == operation.method
            && segments.len() == own.len()
            && segments.iter().zip(own).all(is_alike)
    };
    let route = table.routes().iter().find(is_same)?;
    Some(format!("the store has `{route}`, and parameters must have the same names"))
}

/// More names would not be read.
const MAX_NAMES: usize = 10;
