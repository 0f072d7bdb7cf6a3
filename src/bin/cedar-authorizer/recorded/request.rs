//! The Cedar request of a line, as docs/decision-log.md describes it.

use cedar_authorizer::cedar::{Context, Entities, EntityUid};
use cedar_authorizer::decide::AuthorizationRequest;
use serde::Deserialize;
use serde_json::Value;

use super::left_out::{Omitted, Why};

/// A request that can be decided again.
#[derive(Clone, Debug)]
pub struct RecordedRequest {
    pub principal: EntityUid,
    pub request: AuthorizationRequest,
}

#[derive(Deserialize)]
struct Members {
    version: Value,
    omitted: Option<String>,
    principal: Option<Value>,
    action: Option<Value>,
    resource: Option<Value>,
    context: Option<Value>,
    entities: Option<Value>,
}

impl RecordedRequest {
    /// Reads a request. It says itself what is an entity or an extension value, so it needs no schema.
    ///
    /// # Errors
    /// Why it cannot be decided.
    pub fn read(text: &str) -> Result<Self, Why> {
        Self::of(serde_json::from_str(text).map_err(|_| Why::Part("request"))?)
    }

    /// The same of a value.
    pub fn of_value(value: Value) -> Result<Self, Why> {
        Self::of(serde_json::from_value(value).map_err(|_| Why::Part("request"))?)
    }

    fn of(members: Members) -> Result<Self, Why> {
        let Members { version, omitted, principal, action, resource, context, entities } = members;
        if version != VERSION {
            return Err(Why::RequestVersion(version.to_string()));
        }
        if let Some(omitted) = omitted {
            return Err(Why::Omitted(match omitted.as_str() {
                "token" => Omitted::Token,
                "size" => Omitted::Size,
                "form" => Omitted::Form,
                _ => Omitted::Unknown,
            }));
        }
        let uid = |value: Option<Value>, part| {
            let value = value.ok_or(Why::Part(part))?;
            EntityUid::from_json(value).map_err(|_| Why::Part(part))
        };
        let request = AuthorizationRequest::new(uid(action, "action")?, uid(resource, "resource")?);
        let context = context.ok_or(Why::Part("context"))?;
        let context = Context::from_json_value(context, None).map_err(|_| Why::Part("context"))?;
        let entities = entities.ok_or(Why::Part("entities"))?;
        let entities = Entities::from_json_value(entities, None).map_err(|_| Why::Part("entities"))?;
        Ok(Self {
            principal: uid(principal, "principal")?,
            request: request.with_context(context).with_entities(entities.into_iter().collect()),
        })
    }
}

/// The version of the requests that are read.
const VERSION: u64 = 1;
