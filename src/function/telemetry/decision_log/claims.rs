//! The claims that an operator wants in each line.

use serde_json::Value;

use super::redaction::{CUT, Redaction, bounded};
use crate::decide::Session;
use crate::function::masking::{MASKED, looks_like_token};
use crate::function::telemetry::json::Json;

/// The values of these claims as a JSON object. `None`: the token has none of them.
pub(super) fn of(session: &Session, names: &[String], redaction: &Redaction<'_>) -> Option<String> {
    let claims = session.token().claims();
    let found: Vec<(&String, &Value)> = names.iter().filter_map(|name| claims.get_key_value(name)).collect();
    if found.is_empty() {
        return None;
    }
    let mut text = Vec::new();
    Json::new(&mut text).object(|json| {
        for (name, value) in found {
            write(json, name, value, redaction);
        }
    });
    String::from_utf8(text).ok()
}

fn write(json: &mut Json<'_>, name: &str, value: &Value, redaction: &Redaction<'_>) {
    let hides = |text: &str| redaction.hides(text) || looks_like_token(text);
    let shown = match value {
        Value::String(text) if hides(text) => MASKED.into(),
        Value::String(text) => bounded(text).into(),
        Value::Array(_) | Value::Object(_) => {
            let whole = value.to_string();
            if hides(&whole) {
                MASKED.into()
            } else if whole.len() > MAX_NESTED_BYTES {
                let end = whole.floor_char_boundary(MAX_NESTED_BYTES);
                format!("{}{CUT}", whole.get(..end).unwrap_or_default()).into()
            } else {
                return json.value_at(name, value);
            }
        }
        Value::Number(number) if redaction.hides(&number.to_string()) => MASKED.into(),
        Value::Null | Value::Bool(_) | Value::Number(_) => return json.value_at(name, value),
    };
    json.value_at(name, &shown);
}

/// A list of groups has room. A longer value is cut, and then is text.
const MAX_NESTED_BYTES: usize = 2048;
