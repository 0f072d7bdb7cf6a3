//! The operations of Verified Permissions.

mod aliases;
mod identity_sources;
pub mod pages;
mod policies;
mod policy_stores;
mod requests;
mod schema;
mod statements;
mod tags;
mod templates;

use std::collections::BTreeMap;
use std::ops::Bound;

use cedar_authorizer::bundle::with_room;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::task::block_in_place;

use super::error::ServiceError;
use super::service::Service;

/// Answers one request: `name` is the operation, `input` the members of its input.
///
/// # Errors
/// What the client is told.
pub async fn answer(service: &Service, name: &str, input: Value) -> Result<Value, ServiceError> {
    match name {
        "BatchGetPolicy" => read(service, input, policies::batch_get),
        "CreateIdentitySource" => change(service, input, identity_sources::create).await,
        "CreatePolicy" => change(service, input, policies::create).await,
        "CreatePolicyStore" => change(service, input, policy_stores::create).await,
        "CreatePolicyStoreAlias" => change(service, input, aliases::create).await,
        "CreatePolicyTemplate" => change(service, input, templates::create).await,
        "DeleteIdentitySource" => change(service, input, identity_sources::delete).await,
        "DeletePolicy" => change(service, input, policies::delete).await,
        "DeletePolicyStore" => change(service, input, policy_stores::delete).await,
        "DeletePolicyStoreAlias" => change(service, input, aliases::delete).await,
        "DeletePolicyTemplate" => change(service, input, templates::delete).await,
        "GetIdentitySource" => read(service, input, identity_sources::get),
        "GetPolicy" => read(service, input, policies::get),
        "GetPolicyStore" => read(service, input, policy_stores::get),
        "GetPolicyStoreAlias" => read(service, input, aliases::get),
        "GetPolicyTemplate" => read(service, input, templates::get),
        "GetSchema" => read(service, input, schema::get),
        "ListIdentitySources" => read(service, input, identity_sources::list),
        "ListPolicies" => read(service, input, policies::list),
        "ListPolicyStoreAliases" => read(service, input, aliases::list),
        "ListPolicyStores" => read(service, input, policy_stores::list),
        "ListPolicyTemplates" => read(service, input, templates::list),
        "ListTagsForResource" => read(service, input, tags::list),
        "PutSchema" => change(service, input, schema::put).await,
        "TagResource" => change(service, input, tags::add).await,
        "UntagResource" => change(service, input, tags::remove).await,
        "UpdateIdentitySource" => change(service, input, identity_sources::update).await,
        "UpdatePolicy" => change(service, input, policies::update).await,
        "UpdatePolicyStore" => change(service, input, policy_stores::update).await,
        "UpdatePolicyTemplate" => change(service, input, templates::update).await,
        _ => Err(ServiceError::UnknownOperation),
    }
}

/// Answers from memory.
fn read<I: DeserializeOwned, O: Serialize>(
    service: &Service,
    input: Value,
    answer: fn(&Service, I) -> Result<O, ServiceError>,
) -> Result<Value, ServiceError> {
    let input = serde_json::from_value(input).map_err(misshapen)?;
    serde_json::to_value(answer(service, input)?).map_err(ServiceError::internal)
}

/// Answers after a change. It waits for the disk, and may work on deep policies.
async fn change<I: DeserializeOwned, O: Serialize>(
    service: &Service,
    input: Value,
    answer: fn(&Service, I) -> Result<O, ServiceError>,
) -> Result<Value, ServiceError> {
    let _turn = service.turn().await;
    block_in_place(|| with_room(|| read(service, input, answer))).map_err(ServiceError::internal)?
}

/// The input does not have the shape of the operation.
fn misshapen(error: serde_json::Error) -> ServiceError {
    ServiceError::Validation { message: error.to_string(), fields: Vec::new() }
}

/// What comes after a key.
fn after<'a, T>(
    items: &'a BTreeMap<String, T>,
    key: Option<&str>,
) -> impl Iterator<Item = (&'a String, &'a T)> + use<'a, T> {
    let from = key.map_or(Bound::Unbounded, |key| Bound::Excluded(key.to_owned()));
    items.range((from, Bound::Unbounded))
}
