//! Which route of an API a request takes.

use std::cmp::Reverse;

use cedar_authorizer::gateway::call::Api;
use cedar_authorizer::gateway::route::{Method, Route, RouteTable, Segment};

/// The route that API Gateway takes for a request. `path` is as the client sent it, and is compared as it is. `None`:
/// no route has this method and path.
///
/// The library reads a path in every way that somebody on the way could read it. This is only what API Gateway does,
/// because events say what it chose.
///
/// REST APIs (Developer Guide, "Set up a method request"): level by level, a static segment goes before `{param}`,
/// which goes before `{proxy+}`. HTTP APIs (Developer Guide, "Create routes for HTTP APIs"): a template that matches
/// all of the path goes before one with a greedy parameter. On one resource a verb goes before `ANY`.
pub fn chosen<'a>(routes: &'a RouteTable, api: Api, verb: &str, path: &str) -> Option<&'a Route> {
    let segments = segments(path)?;
    let method = Method::from_verb(verb);
    let takes = |route: &Route| route.method == Method::Any || Some(route.method) == method;
    let candidates = routes.routes().iter().filter(|route| takes(route) && covers(route, &segments));
    match api {
        Api::RestRequest | Api::RestToken => candidates.min_by_key(|route| (kinds(route), is_any(route))),
        Api::HttpV1 | Api::HttpV2 => candidates
            .min_by_key(|route| {
                let length = if is_greedy(route) { route.template.segments().len() } else { 0 };
                (is_greedy(route), Reverse(length), kinds(route), is_any(route))
            })
            .or_else(|| named(routes, DEFAULT)),
        Api::WebSocket => named(routes, CONNECT),
    }
}

/// The segments of a path; a slash at the end belongs to none. `None`: it is not the path of an API.
fn segments(path: &str) -> Option<Vec<&str>> {
    let path = path.strip_prefix('/')?;
    let path = path.strip_suffix('/').unwrap_or(path);
    Some(if path.is_empty() { Vec::new() } else { path.split('/').collect() })
}

fn covers(route: &Route, path: &[&str]) -> bool {
    let template = route.template.segments();
    let has_length =
        if is_greedy(route) { template.len() <= path.len() } else { template.len() == path.len() };
    has_length
        && template.iter().zip(path).all(|(segment, text)| match segment {
            Segment::Static(known) => known == text,
            Segment::Parameter(_) => !text.is_empty(),
            Segment::Greedy(_) => true,
            Segment::Key(_) => false,
        })
}

fn is_greedy(route: &Route) -> bool {
    matches!(route.template.segments().last(), Some(Segment::Greedy(_)))
}

fn is_any(route: &Route) -> bool {
    route.method == Method::Any
}

/// The kinds of the segments, in the order in which API Gateway prefers them.
fn kinds(route: &Route) -> Vec<u8> {
    let kind = |segment: &Segment| match segment {
        Segment::Key(_) | Segment::Static(_) => 0,
        Segment::Parameter(_) => 1,
        Segment::Greedy(_) => 2,
    };
    route.template.segments().iter().map(kind).collect()
}

fn named<'a>(routes: &'a RouteTable, key: &str) -> Option<&'a Route> {
    let is_named =
        |route: &&Route| matches!(route.template.segments(), [Segment::Key(known)] if known == key);
    routes.routes().iter().find(is_named)
}

/// The route of an HTTP API that takes what no other route does.
pub const DEFAULT: &str = "$default";

/// The route of a WebSocket API that can have an authorizer.
pub const CONNECT: &str = "$connect";
