//! The event that an authorizer gets of a request.

use cedar_authorizer::gateway::cache_key::{CacheKey, IdentitySourceExpression};
use cedar_authorizer::gateway::call::TokenLocation;
use serde_json::{Value, json};

use crate::serve::api::{Kind, ServedApi, ServedAuthorizer};
use crate::test_bench::HttpRequest;

/// The event of a request.
pub fn event(
    request: &HttpRequest,
    api: &ServedApi,
    authorizer: &ServedAuthorizer,
    location: &TokenLocation,
) -> Value {
    let mut event = request.event(&api.routes, location, None);
    let id = request.received.as_ref().map(|received| received.id.as_str()).unwrap_or_default();
    match authorizer.kind {
        Kind::RestToken => {
            set(&mut event, "", "authorizationToken", json!(token(request, authorizer, location)))
        }
        Kind::WebSocket => set(&mut event, "/requestContext", "connectionId", json!(id)),
        Kind::Http | Kind::HttpSimple => move_cookies(&mut event, request),
        Kind::RestRequest | Kind::HttpV1 => {}
    }
    event
}

/// Says what the identity sources of an HTTP API are worth.
pub fn set_identity(event: &mut Value, kind: Kind, identity: Option<&[(String, String)]>) {
    let values: Option<Vec<&str>> =
        identity.map(|sources| sources.iter().map(|(_, value)| value.as_str()).collect());
    match kind {
        Kind::Http | Kind::HttpSimple => set(event, "", "identitySource", json!(values)),
        Kind::HttpV1 => {
            let values = json!(values.map(|values| values.join(",")));
            set(event, "", "identitySource", values.clone());
            set(event, "", "authorizationToken", values);
        }
        Kind::RestRequest | Kind::RestToken | Kind::WebSocket => {}
    }
}

/// The value of the header that a TOKEN authorizer names; otherwise of the one that the store names.
///
/// Which of several API Gateway takes is not documented. All of them together are no token, so they are refused.
fn token(request: &HttpRequest, authorizer: &ServedAuthorizer, location: &TokenLocation) -> String {
    let named = token_header(authorizer).unwrap_or(&location.header);
    let values = request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(named));
    values.map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(",")
}

/// The header that a TOKEN authorizer names. `None`: none.
pub fn token_header(authorizer: &ServedAuthorizer) -> Option<&str> {
    match &authorizer.key {
        CacheKey::Sources(sources) if authorizer.kind == Kind::RestToken => {
            sources.iter().find_map(|source| match source {
                IdentitySourceExpression::Header(name) => Some(name.as_str()),
                _ => None,
            })
        }
        CacheKey::Sources(_) | CacheKey::None | CacheKey::Token => None,
    }
}

/// Format 2.0 has cookies in a list of their own (Developer Guide, "Create AWS Lambda proxy integrations for HTTP APIs").
fn move_cookies(event: &mut Value, request: &HttpRequest) {
    let cookies = request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("cookie"));
    let cookies: Vec<&str> = cookies.flat_map(|(_, value)| value.split(';')).map(str::trim).collect();
    if cookies.is_empty() {
        return;
    }
    if let Some(headers) = event.get_mut("headers").and_then(Value::as_object_mut) {
        headers.remove("cookie");
    }
    set(event, "", "cookies", json!(cookies));
}

fn set(event: &mut Value, pointer: &str, name: &str, value: Value) {
    if let Some(members) = event.pointer_mut(pointer).and_then(Value::as_object_mut) {
        members.insert(name.to_owned(), value);
    }
}

#[cfg(test)]
mod tests;
