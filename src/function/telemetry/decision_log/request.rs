//! The Cedar request in a line, so that the same can be decided again: on another bundle, or to find out why.

use cedar_policy::EntityUid;
use serde_json::{Value, json};

use crate::decide::outcome::Outcome;
use crate::decide::{PrincipalRequest, Session};
use crate::function::masking::{Tokens, looks_like_token};
use crate::function::telemetry::json::Json;
use crate::gateway::cache_key::CacheKey;
use crate::gateway::call::Call;
use crate::reason::ReasonClass;

/// The request as a JSON object. `None`: no policy was asked.
///
/// Principal, context and entities are in Cedar's own JSON forms. The principal has its groups as parents; the entities
/// of the store are not there. A request with a token in it, or one that is too long, is left out as a whole, because a
/// request without some of its values would be decided differently.
pub(super) fn of(
    outcome: &Outcome,
    session: &Session,
    call: &Call,
    cache_key: &CacheKey,
    tokens: &Tokens<'_>,
) -> Option<String> {
    if outcome.decision.reason.class() != ReasonClass::Policy {
        return None;
    }
    let request = session.authorization_request_under(call, cache_key).ok()?;
    let Some(value) = to_json(&request) else {
        return Some(omitted("form"));
    };
    let mut text = Vec::new();
    Json::new(&mut text).value(&value);
    let text = String::from_utf8(text).ok()?;
    Some(if text.len() > MAX_BYTES {
        omitted("size")
    } else if looks_like_token(&text) || tokens.touch([text.as_str()]) {
        omitted("token")
    } else {
        text
    })
}

/// `None`: it has a value that Cedar cannot write. This does not happen, because all values come from JSON.
fn to_json(PrincipalRequest { principal, request }: &PrincipalRequest) -> Option<Value> {
    let entities = request.entities.iter().map(|entity| entity.to_json_value().ok());
    Some(json!({
        "version": VERSION,
        "principal": of_uid(principal),
        "action": of_uid(&request.action),
        "resource": of_uid(&request.resource),
        "context": request.context.to_json_value().ok()?,
        "entities": entities.collect::<Option<Vec<Value>>>()?,
    }))
}

fn of_uid(uid: &EntityUid) -> Value {
    json!({"type": uid.type_name().to_string(), "id": uid.id().unescaped()})
}

fn omitted(why: &str) -> String {
    json!({"version": VERSION, "omitted": why}).to_string()
}

/// The version of the form. It changes if the same members mean something else.
const VERSION: u64 = 1;

/// With the rest of its line this is well below 256 KB, which every version of CloudWatch Logs takes as one event.
const MAX_BYTES: usize = 128 * 1024;
