//! Identity sources, on their way into a store: what is dropped, filled in, and left out.

use serde_json::{Map, Value, json};

use super::imported::Imported;
use crate::avp::contents::IdentitySource;

/// Adds an identity source, if a store can have it. `given_pool`: the ARN of --user-pool. `unknown`: why the ARN in the
/// source is not known.
pub fn add(
    imported: &mut Imported,
    place: &str,
    id: String,
    principal_entity_type: Option<String>,
    configuration: Value,
    given_pool: Option<&str>,
    unknown: Option<&str>,
) {
    let mut configuration = configuration;
    // AVP answers so when the type was never set; no schema can have it.
    let principal_entity_type = principal_entity_type.filter(|name| name != COGNITO_TYPE);
    let Some(principal_entity_type) = principal_entity_type else {
        return imported.left_out(
            place,
            "the identity source has no principal entity type, so its callers have no type in the schema: \
             left out; set `PrincipalEntityType` there",
        );
    };
    if let Some(pool) = configuration.get_mut(COGNITO).and_then(Value::as_object_mut) {
        // AVP tells the issuer, but does not take it.
        pool.remove("issuer");
        let arn = pool
            .get(ARN)
            .and_then(Value::as_str)
            .filter(|arn| arn.starts_with("arn:") && !arn.contains("${"));
        match (arn, given_pool) {
            (Some(_), _) => {}
            (None, Some(given)) => {
                pool.insert(ARN.to_owned(), json!(given));
            }
            (None, None) => {
                let why = unknown.unwrap_or("it is known to a deployment only");
                return imported.left_out(
                    place,
                    format!("the ARN of the user pool: {why}; give it by --user-pool. The identity source is left out"),
                );
            }
        }
        if let Some(clients) = pool.get_mut("clientIds").and_then(Value::as_array_mut) {
            let before = clients.len();
            clients.retain(|client| client.as_str().is_some_and(|client| !client.contains("${")));
            let lost = before - clients.len();
            if lost > 0 && clients.is_empty() {
                // Without clients, tokens of every client are accepted.
                return imported.left_out(
                    place,
                    "the client ids are known to a deployment only, and without them every client of the pool \
                     would be accepted: the identity source is left out",
                );
            }
            if lost > 0 {
                imported.left_out(place, format!("{lost} client ids, known to a deployment only"));
            }
        }
    } else if configuration.get(OPEN_ID).is_none() {
        return imported.left_out(place, "the identity source has no configuration: left out");
    } else if let Some(why) = unknown {
        return imported.left_out(place, format!("the identity source is left out: {why}"));
    }
    without_nulls(&mut configuration);
    let principal_entity_type = Some(principal_entity_type);
    imported.contents.identity_sources.push(IdentitySource { id, principal_entity_type, configuration });
}

/// The configuration in the deprecated `details` of an answer.
pub fn of_details(details: &Map<String, Value>) -> Option<Value> {
    let arn = details.get(ARN)?;
    let clients = details.get("clientIds").cloned().unwrap_or_else(|| json!([]));
    Some(json!({ COGNITO: { ARN: arn, "clientIds": clients } }))
}

/// Removes members without a value, at every level, and objects in which nothing is left.
fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.values_mut().for_each(without_nulls);
            members.retain(|_, member| !member.is_null());
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

pub const COGNITO: &str = "cognitoUserPoolConfiguration";
pub const OPEN_ID: &str = "openIdConnectConfiguration";
const ARN: &str = "userPoolArn";
const COGNITO_TYPE: &str = "AWS::Cognito";
