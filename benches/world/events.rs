//! Events of a TOKEN authorizer, the kind that says least: the route has to be found.

use serde_json::json;

/// `GET` on a path, with this token.
pub fn token(token: &str, path: &str) -> String {
    let arn = format!("arn:aws:execute-api:us-east-1:123456789012:abcdef123/prod/GET{path}");
    json!({"type": "TOKEN", "authorizationToken": format!("Bearer {token}"), "methodArn": arn}).to_string()
}
