//! `BatchIsAuthorized` and `BatchIsAuthorizedWithToken`.

use cedar_authorizer::cedar::Entity;
use cedar_authorizer::decide::{AuthorizationRequest, PrincipalRequest};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::is_authorized::{action, entity};
use super::with_token::{Caller, Tokens};
use crate::avp::Limits;
use crate::avp::contents::EntityIdentifier;
use crate::avp::decide::{Verdict, check_size, request};
use crate::avp::error::ServiceError;
use crate::avp::keys::Keys;
use crate::avp::snapshot::Snapshot;
use crate::avp::value::{self, ActionIdentifier, Path};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    entities: Option<Value>,
    requests: Vec<Item>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InputWithToken {
    policy_store_id: String,
    #[serde(flatten)]
    tokens: Tokens,
    entities: Option<Value>,
    requests: Vec<Item>,
}

/// One request of a batch, which is also part of its answer. With a token, there is no principal.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<EntityIdentifier>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<ActionIdentifier>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<EntityIdentifier>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<Value>,
}

/// What a client is told.
#[derive(Debug, Serialize)]
pub struct Output {
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<EntityIdentifier>,
    results: Vec<Answered>,
}

#[derive(Debug, Serialize)]
struct Answered {
    request: Item,
    #[serde(flatten)]
    verdict: Verdict,
}

/// Decides on several requests for one principal or one resource.
///
/// # Errors
/// What the client is told.
pub fn answer(snapshot: &Snapshot, limits: Limits, input: &Value) -> Result<Output, ServiceError> {
    check_size(input, limits)?;
    let Input { entities, requests } = super::authorization::shaped(input)?;
    check_count(requests.len(), limits)?;
    let share_principal = all_equal(requests.iter().map(|item| &item.principal));
    if !share_principal && !all_equal(requests.iter().map(|item| &item.resource)) {
        let message = "neither the principal nor the resource is the same in all requests";
        return Err(ServiceError::invalid("requests", message));
    }
    let entities = value::entities(entities.as_ref(), Path::of("entities"))?;
    check_entity_count(&entities, MAX_ENTITIES, limits)?;
    let decider = snapshot.decider()?;
    let mut results = Vec::new();
    for (number, item) in requests.into_iter().enumerate() {
        let (all, principal) = (Path::of("requests"), item.principal.as_ref());
        let at = all.at(number);
        let principal = entity(principal, at.then("principal"))?;
        let request = item.request(at, &entities)?;
        results.push(Answered { verdict: decider.decide(&principal, &request, limits)?, request: item });
    }
    Ok(Output { principal: None, results })
}

/// Decides on several requests of the user of a token.
///
/// # Errors
/// What the client is told.
pub async fn answer_with_token(
    snapshot: &Snapshot,
    limits: Limits,
    keys: &Keys,
    input: &Value,
) -> Result<Output, ServiceError> {
    check_size(input, limits)?;
    let InputWithToken { policy_store_id, tokens, entities, requests } = super::authorization::shaped(input)?;
    check_count(requests.len(), limits)?;
    let entities = value::entities(entities.as_ref(), Path::of("entities"))?;
    check_entity_count(&entities, MAX_RESOURCES, limits)?;
    let decider = snapshot.decider()?;
    let caller = Caller::verify(decider, &policy_store_id, &entities, keys, &tokens).await?;
    let mut results = Vec::new();
    for (number, item) in requests.into_iter().enumerate() {
        let all = Path::of("requests");
        let PrincipalRequest { principal, request } =
            caller.asks(item.request(all.at(number), &entities)?)?;
        results.push(Answered { verdict: decider.decide(&principal, &request, limits)?, request: item });
    }
    Ok(Output { principal: Some(value::identifier(caller.principal())), results })
}

impl Item {
    /// What is asked, apart from who asks.
    fn request(&self, at: Path<'_>, entities: &[Entity]) -> Result<AuthorizationRequest, ServiceError> {
        let action = action(self.action.as_ref(), at.then("action"))?;
        let resource = entity(self.resource.as_ref(), at.then("resource"))?;
        let context = value::context(self.context.as_ref(), at.then("context"))?;
        Ok(request(action, resource, context, entities.to_vec()))
    }
}

fn all_equal<T: PartialEq>(mut values: impl Iterator<Item = T>) -> bool {
    let first = values.next();
    values.all(|value| Some(value) == first)
}

fn check_count(requests: usize, limits: Limits) -> Result<(), ServiceError> {
    if limits == Limits::On && requests > MAX_REQUESTS {
        let message = format!("there are {requests} requests; at most {MAX_REQUESTS} are allowed");
        return Err(ServiceError::invalid("requests", message));
    }
    Ok(())
}

fn check_entity_count(entities: &[Entity], most: usize, limits: Limits) -> Result<(), ServiceError> {
    if limits == Limits::On && entities.len() > most {
        let message = format!("there are {} entities; at most {most} are allowed", entities.len());
        return Err(ServiceError::invalid("entities", message));
    }
    Ok(())
}

/// API reference, `BatchIsAuthorized`: up to 30 requests, with up to 100 principals and 100 resources.
const MAX_REQUESTS: usize = 30;
const MAX_ENTITIES: usize = 200;

/// API reference, `BatchIsAuthorizedWithToken`: up to 100 resources. The groups come from the token.
const MAX_RESOURCES: usize = 100;
