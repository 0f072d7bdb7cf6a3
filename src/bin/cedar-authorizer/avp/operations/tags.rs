//! Tags of policy stores.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::policy_stores::ARN_PREFIX;
use super::requests::Empty;
use crate::avp::Limits;
use crate::avp::error::{ResourceKind, ServiceError};
use crate::avp::service::{ALIAS_PREFIX, Service};
use crate::avp::store::notes::{STORE_NOTE, StoreNote, written};
use crate::avp::store::{Change, Store, Update};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListTagsForResource {
    resource_arn: String,
}

#[derive(Debug, Serialize)]
pub struct ListTagsForResourceAnswer {
    tags: BTreeMap<String, String>,
}

/// `ListTagsForResource`.
pub fn list(
    service: &Service,
    input: ListTagsForResource,
) -> Result<ListTagsForResourceAnswer, ServiceError> {
    let store = store(service, &input.resource_arn)?;
    Ok(ListTagsForResourceAnswer { tags: store.read(|index| index.note.tags.clone()) })
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TagResource {
    resource_arn: String,
    tags: BTreeMap<String, String>,
}

/// `TagResource`.
pub fn add(service: &Service, input: TagResource) -> Result<Empty, ServiceError> {
    store(service, &input.resource_arn)?.change(|index, _| {
        let mut note = index.note.clone();
        note.tags.extend(input.tags);
        if service.limits() == Limits::On && note.tags.len() > MAX_TAGS {
            return Err(ServiceError::TooManyTags { resource: input.resource_arn });
        }
        Ok((Some(changed(note)), Empty {}))
    })
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UntagResource {
    resource_arn: String,
    tag_keys: Vec<String>,
}

/// `UntagResource`.
pub fn remove(service: &Service, input: UntagResource) -> Result<Empty, ServiceError> {
    store(service, &input.resource_arn)?.change(|index, _| {
        let mut note = index.note.clone();
        note.tags.retain(|key, _| !input.tag_keys.contains(key));
        Ok((Some(changed(note)), Empty {}))
    })
}

fn changed(note: StoreNote) -> Change {
    Change { steps: vec![(STORE_NOTE.to_owned(), Some(written(&note)))], update: Update::Note(note) }
}

/// The store with an ARN, of any account: requests may be signed for another one.
fn store(service: &Service, arn: &str) -> Result<Arc<Store>, ServiceError> {
    let mut parts = arn.splitn(6, ':');
    let is_ours = parts.next() == Some("arn")
        && parts.next().is_some()
        && parts.next() == Some("verifiedpermissions")
        && parts.next().is_some()
        && parts.next().is_some();
    let resource = parts.next().filter(|_| is_ours);
    let Some(id) = resource.and_then(|resource| resource.strip_prefix("policy-store/")) else {
        let message = format!("it is not the ARN of a policy store, such as `{ARN_PREFIX}ID`");
        return Err(ServiceError::invalid("resourceArn", message));
    };
    if id.starts_with(ALIAS_PREFIX) {
        return Err(ServiceError::NotFound(ResourceKind::PolicyStore.named(id)));
    }
    service.store(id)
}

/// "You can associate as many as 50 tags with a resource" (API reference, `TagResource`).
pub const MAX_TAGS: usize = 50;
