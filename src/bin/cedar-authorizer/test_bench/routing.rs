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
    if api == Api::WebSocket {
        return named(routes, CONNECT);
    }
    let segments = segments(path)?;
    let method = Method::from_verb(verb);
    let takes = |route: &Route| route.method == Method::Any || Some(route.method) == method;
    let candidates = routes.routes().iter().filter(|route| takes(route) && covers(route, &segments));
    match api {
        Api::RestRequest | Api::RestToken | Api::WebSocket => {
            candidates.min_by_key(|route| (kinds(route), is_any(route)))
        }
        Api::HttpV1 | Api::HttpV2 => candidates
            .min_by_key(|route| {
                let length = if is_greedy(route) { route.template.segments().len() } else { 0 };
                (is_greedy(route), Reverse(length), kinds(route), is_any(route))
            })
            .or_else(|| named(routes, DEFAULT)),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn table(actions: &[&str]) -> RouteTable {
        let mut table = RouteTable::default();
        for action in actions {
            let action = format!("A::Action::{action:?}").parse().unwrap();
            table.insert(Route::from_action(&action).unwrap()).unwrap();
        }
        table
    }

    #[test]
    fn the_route_is_the_one_that_api_gateway_takes() {
        let routes = table(&[
            "get /",
            "get /pets",
            "any /pets",
            "get /pets/{id}",
            "get /pets/me",
            "post /pets/{id}",
            "any /{proxy+}",
            "get /a/{x}/c",
            "get /a/b/{rest+}",
        ]);
        let (rest, http) = (Api::RestRequest, Api::HttpV2);
        for (api, verb, path, expected) in [
            (rest, "GET", "/", Some("get /")),
            (rest, "GET", "/pets", Some("get /pets")),
            (rest, "DELETE", "/pets", Some("any /pets")),
            (rest, "PURGE", "/pets/", Some("any /pets")),
            (rest, "GET", "/pets/me", Some("get /pets/me")),
            // No resource is taken that lacks the method.
            (rest, "POST", "/pets/me", Some("post /pets/{id}")),
            (rest, "GET", "/pets/7/", Some("get /pets/{id}")),
            (rest, "PUT", "/pets/7", Some("any /{proxy+}")),
            (rest, "GET", "/pets/7/toys", Some("any /{proxy+}")),
            (rest, "POST", "/", None),
            (rest, "GET", "/pets/%2F", Some("get /pets/{id}")),
            // A REST API decides level by level, an HTTP API takes a match of the whole path first.
            (rest, "GET", "/a/b/c", Some("get /a/b/{rest+}")),
            (http, "GET", "/a/b/c", Some("get /a/{x}/c")),
            (http, "GET", "/a/b/d", Some("get /a/b/{rest+}")),
            (Api::WebSocket, "", CONNECT, None),
        ] {
            let found = chosen(&routes, api, verb, path).map(ToString::to_string);
            assert_eq!(found.as_deref(), expected, "{api:?} {verb} {path}");
        }
    }

    #[test]
    fn named_routes_are_for_apis_that_have_them() {
        let routes = table(&["get /pets", "$default", "$connect"]);
        let found = |api, path: &str| chosen(&routes, api, "GET", path).map(ToString::to_string);
        assert_eq!(found(Api::HttpV1, "/toys").as_deref(), Some("any $default"));
        assert_eq!(found(Api::HttpV1, "/pets").as_deref(), Some("get /pets"));
        assert_eq!(found(Api::RestRequest, "/toys"), None);
        assert_eq!(found(Api::WebSocket, CONNECT).as_deref(), Some("any $connect"));
    }
}
