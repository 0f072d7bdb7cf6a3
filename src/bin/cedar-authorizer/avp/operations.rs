//! The operations of Verified Permissions.

use serde_json::Value;

use super::error::ServiceError;
use super::service::Service;

/// Answers one request: `name` is the operation, `input` the members of its input.
///
/// # Errors
/// What the client is told.
pub async fn answer(_service: &Service, name: &str, _input: Value) -> Result<Value, ServiceError> {
    match name {
        _ => Err(ServiceError::UnknownOperation),
    }
}
