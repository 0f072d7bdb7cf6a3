//! `IsAuthorized`.

use cedar_authorizer::cedar::EntityUid;
use serde::Deserialize;
use serde_json::Value;

use crate::avp::Limits;
use crate::avp::contents::EntityIdentifier;
use crate::avp::decide::{Verdict, check_size, request};
use crate::avp::error::ServiceError;
use crate::avp::snapshot::Snapshot;
use crate::avp::value::{self, ActionIdentifier, Path};

/// What is asked, without the policy store.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    principal: Option<EntityIdentifier>,
    action: Option<ActionIdentifier>,
    resource: Option<EntityIdentifier>,
    context: Option<Value>,
    entities: Option<Value>,
}

/// Decides on one request.
///
/// # Errors
/// What the client is told.
pub fn answer(snapshot: &Snapshot, limits: Limits, input: &Value) -> Result<Verdict, ServiceError> {
    check_size(input, limits)?;
    let Input { principal, action, resource, context, entities } = super::authorization::shaped(input)?;
    let principal = entity(principal.as_ref(), Path::of("principal"))?;
    let action = self::action(action.as_ref(), Path::of("action"))?;
    let resource = entity(resource.as_ref(), Path::of("resource"))?;
    let context = value::context(context.as_ref(), Path::of("context"))?;
    let entities = value::entities(entities.as_ref(), Path::of("entities"))?;
    snapshot.decider()?.decide(&principal, &request(action, resource, context, entities), limits)
}

/// The principal or the resource of a request. AVP's shapes have them as optional, but Cedar decides on nothing less.
pub fn entity(identifier: Option<&EntityIdentifier>, at: Path<'_>) -> Result<EntityUid, ServiceError> {
    value::entity_uid(identifier.ok_or_else(|| at.invalid(MISSING))?, at)
}

/// The action of a request.
pub fn action(identifier: Option<&ActionIdentifier>, at: Path<'_>) -> Result<EntityUid, ServiceError> {
    value::action_uid(identifier.ok_or_else(|| at.invalid(MISSING))?, at)
}

const MISSING: &str = "must be set";
