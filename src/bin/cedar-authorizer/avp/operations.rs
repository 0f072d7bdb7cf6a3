//! The operations of Verified Permissions.

use serde_json::Value;

use super::error::ServiceError;
use super::model;
use super::service::Service;

/// Answers one request: `name` is the operation, `input` the members of its input.
///
/// # Errors
/// What the client is told.
pub async fn answer(_service: &Service, name: &str, mut input: Value) -> Result<Value, ServiceError> {
    model::check(name, &mut input)?;
    match name {
        _ => Err(ServiceError::UnknownOperation),
    }
}
