//! Requests of pages of other origins.
//!
//! An HTTP API with a CORS configuration answers preflight requests by itself, and puts its headers in place of those of
//! the backend (Developer Guide, "Configure CORS for HTTP APIs in API Gateway"). Of a REST API, methods answer.

use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use cedar_authorizer::gateway::route::Route;

use super::{final_status, insert};
use crate::serve::api::{Cors, Kind, RouteProtection, ServedApi};

/// The answer to a preflight request that needs no backend. `None`: the request goes the way of any other.
///
/// A route with an authorizer asks it, whether it is a route for `OPTIONS`, `ANY` or `$default`. For HTTP APIs that is
/// said of `$default` in the Developer Guide, on the same page; others saw it with `ANY`.
pub fn preflight(
    api: &ServedApi,
    kind: Kind,
    route: Option<&Route>,
    method: &str,
    headers: &[(String, String)],
) -> Option<(StatusCode, HeaderMap, String)> {
    let mut answer = HeaderMap::new();
    if route.is_some_and(|route| api.protection(route) != Some(&RouteProtection::Nothing)) {
        return None;
    }
    if kind.is_rest() {
        let preflight = api.preflight(route?)?;
        for (name, value) in &preflight.headers {
            if let Ok(name) = HeaderName::try_from(name.as_str()) {
                insert(&mut answer, &name, value);
            }
        }
        let status = final_status(preflight.status).unwrap_or(StatusCode::OK);
        return Some((status, answer, String::new()));
    }
    let cors = api.cors.as_ref()?;
    let is_preflight = method == "OPTIONS"
        && value(headers, header::ORIGIN.as_str()).is_some()
        && value(headers, header::ACCESS_CONTROL_REQUEST_METHOD.as_str()).is_some();
    if !is_preflight {
        return None;
    }
    if allow_origin(cors, headers, &mut answer) {
        for (name, values) in [
            (header::ACCESS_CONTROL_ALLOW_METHODS, &cors.allow_methods),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, &cors.allow_headers),
        ] {
            if !values.is_empty() {
                insert(&mut answer, &name, &values.join(","));
            }
        }
        if let Some(seconds) = cors.max_age_seconds {
            answer.insert(header::ACCESS_CONTROL_MAX_AGE, seconds.into());
        }
    }
    Some((StatusCode::NO_CONTENT, answer, String::new()))
}

/// Puts the headers of the API's CORS configuration in place of those that an answer has. Without a configuration the
/// answer stays as it is.
pub fn add_cors(api: &ServedApi, kind: Kind, request: &[(String, String)], answer: &mut HeaderMap) {
    let Some(cors) = api.cors.as_ref().filter(|_| !kind.is_rest()) else { return };
    for name in CORS_HEADERS {
        answer.remove(name);
    }
    if allow_origin(cors, request, answer) && !cors.expose_headers.is_empty() {
        insert(answer, &header::ACCESS_CONTROL_EXPOSE_HEADERS, &cors.expose_headers.join(","));
    }
}

/// Lets the origin of a request read the answer. `false`: it is not one of the configuration.
fn allow_origin(cors: &Cors, request: &[(String, String)], answer: &mut HeaderMap) -> bool {
    let Some(origin) = value(request, header::ORIGIN.as_str()) else { return false };
    let is_covered = |allowed: &String| match allowed.strip_suffix('*') {
        Some(start) => origin.starts_with(start),
        None => origin == allowed,
    };
    if !cors.allow_origins.iter().any(is_covered) {
        return false;
    }
    let is_for_all = cors.allow_origins.iter().any(|allowed| allowed == "*");
    insert(answer, &header::ACCESS_CONTROL_ALLOW_ORIGIN, if is_for_all { "*" } else { origin });
    if cors.allow_credentials {
        insert(answer, &header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
    }
    true
}

fn value<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// Fetch Standard, "HTTP responses".
const CORS_HEADERS: [HeaderName; 6] = [
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_ALLOW_HEADERS,
    header::ACCESS_CONTROL_ALLOW_METHODS,
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
    header::ACCESS_CONTROL_MAX_AGE,
];
