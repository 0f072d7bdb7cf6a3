//! Events of API Gateway that are kept in files.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use cedar_authorizer::gateway::call::TokenLocation;
use serde_json::{Map, Value, json};

/// Reads an event.
///
/// # Errors
/// Why it cannot be read, for people.
pub fn read(path: &Path) -> Result<Value, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| format!("cannot read the event: {error}"))?;
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("cannot read the event: {error}"))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("the event is larger than {} KiB", MAX_BYTES / 1024));
    }
    serde_json::from_slice(&bytes).map_err(|error| format!("the event is not JSON: {error}"))
}

/// When API Gateway received the event, in milliseconds since 1970.
pub fn time(event: &Value) -> Option<u64> {
    let context = event.get("requestContext")?;
    TIMES.iter().find_map(|name| context.get(name)?.as_u64())
}

/// Sets that time, where the event has one.
pub fn set_time(event: &mut Value, milliseconds: u64) {
    let context = event.get_mut("requestContext").and_then(Value::as_object_mut);
    for (name, value) in context.into_iter().flatten() {
        if TIMES.contains(&name.as_str()) {
            *value = json!(milliseconds);
        }
    }
}

/// Puts a token into an event, in place of the one that it has.
pub fn set_token(event: &mut Value, location: &TokenLocation, token: &str) {
    let authorization = format!("Bearer {token}");
    let Some(event) = event.as_object_mut() else { return };
    if event.get("type").and_then(Value::as_str) == Some("TOKEN") {
        event.insert("authorizationToken".to_owned(), authorization.into());
        return;
    }
    event.entry("headers").or_insert_with(|| Value::Object(Map::new()));
    for (name, value) in [("headers", json!(authorization)), ("multiValueHeaders", json!([authorization]))] {
        if let Some(headers) = event.get_mut(name).and_then(Value::as_object_mut) {
            headers.retain(|name, _| !name.eq_ignore_ascii_case(&location.header));
            headers.insert(location.header.clone(), value);
        }
    }
}

/// The names in events of REST and WebSocket APIs, and of HTTP APIs.
const TIMES: [&str; 2] = ["requestTimeEpoch", "timeEpoch"];

/// Far more than API Gateway sends.
const MAX_BYTES: u64 = 1024 * 1024;
