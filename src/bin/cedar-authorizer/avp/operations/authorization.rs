//! The four operations that decide.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{batch, is_authorized, with_token};
use crate::avp::error::ServiceError;
use crate::avp::service::Service;

/// Answers a request for a decision, from one state of the policy store.
///
/// # Errors
/// What the client is told.
pub async fn answer(service: &Service, name: &str, input: &Value) -> Result<Value, ServiceError> {
    let operation = match name {
        "BatchIsAuthorized" => Operation::Batch,
        "BatchIsAuthorizedWithToken" => Operation::BatchWithToken,
        "IsAuthorized" => Operation::One,
        "IsAuthorizedWithToken" => Operation::OneWithToken,
        _ => return Err(ServiceError::UnknownOperation),
    };
    let Asked { policy_store_id } = shaped(input)?;
    let (snapshot, limits, keys) = (service.snapshot(&policy_store_id)?, service.limits(), service.keys());
    match operation {
        Operation::Batch => written(&batch::answer(&snapshot, limits, input)?),
        Operation::BatchWithToken => {
            written(&batch::answer_with_token(&snapshot, limits, keys, input).await?)
        }
        Operation::One => written(&is_authorized::answer(&snapshot, limits, input)?),
        Operation::OneWithToken => written(&with_token::answer(&snapshot, limits, keys, input).await?),
    }
}

enum Operation {
    Batch,
    BatchWithToken,
    One,
    OneWithToken,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    policy_store_id: String,
}

/// Reads an input whose shape was checked.
pub fn shaped<T: DeserializeOwned>(input: &Value) -> Result<T, ServiceError> {
    T::deserialize(input).map_err(super::misshapen)
}

fn written(output: &impl Serialize) -> Result<Value, ServiceError> {
    serde_json::to_value(output).map_err(ServiceError::internal)
}
