//! Requests in the form of docs/decision-log.md, "The Cedar request": written from what a solver found, read for a
//! decision.

use cedar_authorizer::cedar::{Context, Entities, Entity, EntityUid, Request, Schema};
use cedar_authorizer::decide::AuthorizationRequest;
use cedar_policy_symcc::Env;
use serde_json::{Map, Value, json};

use super::existence::EXISTS;

/// The request of a counterexample. `None`: Cedar cannot write it.
///
/// Of the entities it has those of which `is_wanted` is true, apart from those that the solver takes not to be there.
pub fn of_env(env: &Env, is_wanted: impl Fn(&EntityUid) -> bool) -> Option<Value> {
    let request = &env.request;
    let principal = request.principal()?;
    let mut entities = Vec::new();
    for entity in env.entities.iter().filter(|entity| is_wanted(&entity.uid())) {
        let is_missing =
            matches!(entity.attr(EXISTS), Some(Ok(cedar_authorizer::cedar::EvalResult::Bool(false))));
        if is_missing && entity.uid() != *principal {
            continue;
        }
        let mut json = entity.to_json_value().ok()?;
        json.get_mut("attrs").and_then(Value::as_object_mut).map(|attributes| attributes.remove(EXISTS));
        entities.push(json);
    }
    Some(json!({
        "version": 1,
        "principal": of_uid(principal),
        "action": of_uid(request.action()?),
        "resource": of_uid(request.resource()?),
        "context": request.context()?.to_json_value().ok()?,
        "entities": entities,
    }))
}

/// `type` and `id`.
pub fn of_uid(uid: &EntityUid) -> Value {
    json!({"type": uid.type_name().to_string(), "id": uid.id().unescaped()})
}

/// The entity that a member of a request names.
pub fn uid(request: &Value, member: &str) -> Option<EntityUid> {
    EntityUid::from_json(request.get(member)?.clone()).ok()
}

/// The entities that a request brings.
pub fn entities(request: &Value) -> &[Value] {
    request.get("entities").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The description of an entity, if the request brings it.
pub fn description<'a>(request: &'a Value, wanted: &EntityUid) -> Option<&'a Map<String, Value>> {
    let is_wanted = |entity: &&Value| {
        let uid = entity.get("uid").and_then(|uid| EntityUid::from_json(uid.clone()).ok());
        uid.as_ref() == Some(wanted)
    };
    entities(request).iter().find(is_wanted)?.as_object()
}

/// A request that can be decided.
pub struct Readable {
    pub principal: EntityUid,
    pub request: AuthorizationRequest,
}

/// Reads a request. `None`: it is none.
pub fn read(request: &Value) -> Option<Readable> {
    let context = Context::from_json_value(request.get("context")?.clone(), None).ok()?;
    let described = entities(request).iter().map(|entity| Entity::from_json_value(entity.clone(), None).ok());
    let asked = AuthorizationRequest::new(uid(request, "action")?, uid(request, "resource")?);
    Some(Readable {
        principal: uid(request, "principal")?,
        request: asked.with_context(context).with_entities(described.collect::<Option<Vec<_>>>()?),
    })
}

/// Whether a request has all that the schema requires, and nothing else.
pub fn conforms(request: &Value, schema: &Schema) -> bool {
    let Some(Readable { principal, request }) = read(request) else { return false };
    let AuthorizationRequest { action, resource, context, entities } = request;
    Request::new(principal, action, resource, context, Some(schema)).is_ok()
        && Entities::from_entities(entities, Some(schema)).is_ok()
}
