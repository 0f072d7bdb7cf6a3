//! A call to try first.

use std::time::SystemTime;

use cedar_authorizer::gateway::cache_key::CacheKey;
use cedar_authorizer::gateway::route::{Method, Route, Segment};
use cedar_authorizer::reason::Status;
use cedar_authorizer::time::UnixTime;

use crate::serve::api::{Kind, RouteProtection};
use crate::serve::in_force::InForce;
use crate::test_bench::{CONNECT, Claims, HttpRequest, SignedToken};

/// A line for a shell with a call that is allowed: of the first persona that may do anything. If nobody may, a call of
/// the first persona. `None`: nobody can sign tokens for the store.
pub fn line(in_force: &InForce, address: &str) -> Option<String> {
    let bench = &in_force.bench;
    let now: UnixTime = SystemTime::now().into();
    let anybody = Claims::new();
    let mut personas: Vec<&Claims> = bench.personas().iter().map(|(_, claims)| claims).take(MOST).collect();
    if personas.is_empty() {
        personas.push(&anybody);
    }
    let requests = requests(in_force, now);
    let header = &bench.bundle().token_location().header;
    let mut first = None;
    for claims in personas {
        let source = bench.source(None, claims).ok()?;
        let token = bench.sign(&bench.claims(claims, source, None, now), now).ok()?;
        for (request, key) in &requests {
            let options = options(request);
            let target = if request.path == CONNECT { "/" } else { request.path.as_str() };
            let line = format!("curl{options} -H '{header}: Bearer {}' {address}{target}", token.text);
            if is_allowed(in_force, request, &token, key) {
                return Some(line);
            }
            first.get_or_insert(line);
        }
    }
    first
}

/// A request for each route that has an authorizer, and the cache key of that.
fn requests(in_force: &InForce, now: UnixTime) -> Vec<(HttpRequest, CacheKey)> {
    let api = &in_force.api;
    let mut routes: Vec<&Route> = api.routes.routes().iter().collect();
    // Those that need no made-up parameter come first, then those that only read.
    routes.sort_by_key(|route| (route.template.to_string().contains('{'), route.method != Method::Get));
    let request = |route: &Route| {
        let Some(RouteProtection::Authorizer(index)) = api.protection(route) else { return None };
        let authorizer = api.authorizers.get(*index)?;
        let line = call(route, authorizer.kind)?;
        let mut request = HttpRequest::parse(&line, now.as_seconds().saturating_mul(1000)).ok()?;
        request.api = authorizer.kind.events();
        request.stage.clone_from(&api.stage);
        let is_kept = !authorizer.time_to_live.is_zero();
        Some((request, if is_kept { authorizer.key.clone() } else { CacheKey::None }))
    };
    routes.into_iter().filter_map(request).take(MOST).collect()
}

fn is_allowed(in_force: &InForce, request: &HttpRequest, token: &SignedToken, key: &CacheKey) -> bool {
    let (Ok(call), Ok(session)) = (in_force.bench.call(request, Some(&token.text)), &token.session) else {
        return false;
    };
    session.authorize(&call, key).is_ok_and(|outcome| outcome.decision.reason.status() == Status::Allow)
}

/// A method and a path that take a route. `None`: no client calls it by itself.
fn call(route: &Route, kind: Kind) -> Option<String> {
    let segments = route.template.segments();
    if let [Segment::Key(key)] = segments {
        return (kind == Kind::WebSocket && key == CONNECT).then(|| key.clone());
    }
    let verb = match route.method {
        Method::Any => "GET".to_owned(),
        method => method.name().to_ascii_uppercase(),
    };
    let segment = |segment: &Segment| match segment {
        Segment::Static(text) => text.clone(),
        Segment::Key(_) | Segment::Parameter(_) | Segment::Greedy(_) => "1".to_owned(),
    };
    let path: Vec<String> = segments.iter().map(segment).collect();
    (kind != Kind::WebSocket).then(|| format!("{verb} /{}", path.join("/")))
}

fn options(request: &HttpRequest) -> String {
    match request.verb.as_str() {
        "" => format!(" -i{UPGRADE}"),
        "GET" => String::new(),
        verb => format!(" -X {verb}"),
    }
}

/// Options with which `curl` opens a WebSocket connection. RFC 6455, 1.3, has this key. What comes behind the answer are
/// frames.
pub const UPGRADE: &str = " -N -H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' \
                           -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='";

/// So many personas and so many routes are tried.
const MOST: usize = 50;
