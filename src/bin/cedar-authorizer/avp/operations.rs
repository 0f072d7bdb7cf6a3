//! The operations of Verified Permissions.

pub mod batch;
pub mod is_authorized;
pub mod with_token;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::ServiceError;
use super::service::Service;

/// Answers one request: `name` is the operation, `input` the members of its input.
///
/// # Errors
/// What the client is told.
pub async fn answer(service: &Service, name: &str, input: Value) -> Result<Value, ServiceError> {
    match name {
        "BatchIsAuthorized" | "BatchIsAuthorizedWithToken" | "IsAuthorized" | "IsAuthorizedWithToken" => {
            authorize(service, name, &input).await
        }
        _ => Err(ServiceError::UnknownOperation),
    }
}

/// Answers a request for a decision, from one state of the policy store.
async fn authorize(service: &Service, name: &str, input: &Value) -> Result<Value, ServiceError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Asked {
        policy_store_id: String,
    }
    let Asked { policy_store_id } = read(input)?;
    let (snapshot, limits, keys) = (service.snapshot(&policy_store_id)?, service.limits(), service.keys());
    match name {
        "BatchIsAuthorized" => written(&batch::answer(&snapshot, limits, input)?),
        "BatchIsAuthorizedWithToken" => {
            written(&batch::answer_with_token(&snapshot, limits, keys, input).await?)
        }
        "IsAuthorized" => written(&is_authorized::answer(&snapshot, limits, input)?),
        _ => written(&with_token::answer(&snapshot, limits, keys, input).await?),
    }
}

/// Reads an input whose shape was checked.
fn read<T: DeserializeOwned>(input: &Value) -> Result<T, ServiceError> {
    T::deserialize(input).map_err(|error| ServiceError::Serialization { message: error.to_string() })
}

fn written(output: &impl Serialize) -> Result<Value, ServiceError> {
    serde_json::to_value(output).map_err(ServiceError::internal)
}
