//! Policy stores themselves.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::pages;
use super::policies::text_of;
use super::requests::{Empty, check_quota, fingerprint, is_repeated};
use super::schema::followed;
use super::statements;
use super::tags::MAX_TAGS;
use crate::avp::contents::ValidationMode;
use crate::avp::error::{ResourceKind, ServiceError};
use crate::avp::moment::Moment;
use crate::avp::service::{ALIAS_PREFIX, Service, new_id};
use crate::avp::store::index::Index;
use crate::avp::store::notes::{STORE_NOTE, StoreNote, written};
use crate::avp::store::{Change, Store, Update, settings};

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatePolicyStore {
    client_token: Option<String>,
    validation_settings: ValidationSettings,
    description: Option<String>,
    deletion_protection: Option<DeletionProtection>,
    encryption_settings: Option<Value>,
    tags: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ValidationSettings {
    mode: ValidationMode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum DeletionProtection {
    Disabled,
    Enabled,
}

/// The answer of `CreatePolicyStore` and `UpdatePolicyStore`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MadeStore {
    policy_store_id: String,
    arn: String,
    created_date: Moment,
    last_updated_date: Moment,
}

impl MadeStore {
    fn of(store: &str, note: &StoreNote) -> Self {
        let created = note.created_date.unwrap_or_default();
        Self {
            policy_store_id: store.to_owned(),
            arn: arn(store),
            created_date: created,
            last_updated_date: note.last_updated_date.unwrap_or(created),
        }
    }
}

/// The ARN of a store. AVP's has no region.
pub fn arn(store: &str) -> String {
    format!("{ARN_PREFIX}{store}")
}

/// What the ARNs of stores begin with.
pub const ARN_PREFIX: &str = "arn:aws:verifiedpermissions::000000000000:policy-store/";

/// `CreatePolicyStore`.
pub fn create(service: &Service, input: CreatePolicyStore) -> Result<MadeStore, ServiceError> {
    let request = fingerprint("CreatePolicyStore", &input);
    let id = new_id()?;
    let now = Moment::now();
    let token = input.client_token.clone();
    let tags = input.tags.unwrap_or_default();
    let resource = || ResourceKind::PolicyStore.named(&id);
    check_quota(service, tags.len(), MAX_TAGS, "the tags of the policy store", resource())?;
    let note = StoreNote {
        policy_store_id: Some(id.clone()),
        created_date: Some(now),
        last_updated_date: Some(now),
        description: input.description,
        deletion_protection: input.deletion_protection == Some(DeletionProtection::Enabled),
        encryption_settings: input.encryption_settings,
        tags,
        aliases: Vec::new(),
        client_token: input.client_token,
        request: Some(request.clone()),
    };
    let settings = settings::made(&id, input.validation_settings.mode, &[], None);
    let steps = vec![
        (STORE_NOTE.to_owned(), Some(written(&note))),
        ("store.toml".to_owned(), Some(settings.into_bytes())),
    ];
    let known = |stores: &[std::sync::Arc<Store>]| {
        let of_token = |store: &&std::sync::Arc<Store>| {
            token.is_some() && store.read_known(|index| index.note.client_token == token)
        };
        if let Some(known) = stores.iter().find(of_token) {
            let note = known.read_known(|index| index.note.clone());
            let created = note.created_date.unwrap_or_default();
            let resource = ResourceKind::PolicyStore.named(&known.id);
            if is_repeated(resource, created, note.request.as_deref(), &request)? {
                return Ok(Some(MadeStore::of(&known.id, &note)));
            }
        }
        check_quota(service, stores.len() + 1, MAX_STORES, "the policy stores", resource())?;
        Ok(None)
    };
    service.make(id.clone(), steps, known, |store| {
        store.read_known(|index| MadeStore::of(&store.id, &index.note))
    })
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetPolicyStore {
    policy_store_id: String,
    #[serde(default)]
    tags: Option<bool>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GetPolicyStoreAnswer {
    #[serde(flatten)]
    store: MadeStore,
    validation_settings: ValidationSettings,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    deletion_protection: DeletionProtection,
    encryption_state: Value,
    cedar_version: &'static str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
}

/// `GetPolicyStore`.
pub fn get(service: &Service, input: GetPolicyStore) -> Result<GetPolicyStoreAnswer, ServiceError> {
    let store = service.store(&input.policy_store_id)?;
    store.read(|index| {
        let note = &index.note;
        Ok(GetPolicyStoreAnswer {
            store: MadeStore::of(&store.id, note),
            validation_settings: ValidationSettings { mode: index.validation },
            description: note.description.clone(),
            deletion_protection: if note.deletion_protection {
                DeletionProtection::Enabled
            } else {
                DeletionProtection::Disabled
            },
            encryption_state: encryption_state(note.encryption_settings.as_ref()),
            cedar_version: "CEDAR_4",
            tags: if input.tags == Some(true) { note.tags.clone() } else { BTreeMap::new() },
        })
    })
}

/// AVP's `EncryptionState`, as if what was asked for were done.
fn encryption_state(settings: Option<&Value>) -> Value {
    match settings.and_then(|settings| settings.get("kmsEncryptionSettings")) {
        None => json!({"default": {}}),
        Some(kms) => {
            let context = kms.get("encryptionContext").cloned().unwrap_or_else(|| json!({}));
            json!({"kmsEncryptionState": {"key": kms.get("key"), "encryptionContext": context}})
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListPolicyStores {
    next_token: Option<String>,
    max_results: Option<usize>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListPolicyStoresAnswer {
    policy_stores: Vec<PolicyStoreItem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PolicyStoreItem {
    #[serde(flatten)]
    store: MadeStore,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

/// `ListPolicyStores`.
pub fn list(service: &Service, input: ListPolicyStores) -> Result<ListPolicyStoresAnswer, ServiceError> {
    let size = pages::size(input.max_results, pages::DEFAULT);
    let stores = service.stores();
    let page = service.pages().page(&["ListPolicyStores"], input.next_token.as_deref(), size, |after| {
        let after = after.map(str::to_owned);
        let found = stores.iter().filter(move |store| after.as_ref().is_none_or(|after| store.id > *after));
        found.map(|store| {
            let item = |index: &Index| PolicyStoreItem {
                store: MadeStore::of(&store.id, &index.note),
                description: index.note.description.clone(),
            };
            (store.id.clone(), store.read(item))
        })
    })?;
    Ok(ListPolicyStoresAnswer { policy_stores: page.items, next_token: page.next_token })
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdatePolicyStore {
    policy_store_id: String,
    validation_settings: ValidationSettings,
    deletion_protection: Option<DeletionProtection>,
    description: Option<String>,
}

/// `UpdatePolicyStore`. A store becomes strict only if all its policies fit the schema.
pub fn update(service: &Service, input: UpdatePolicyStore) -> Result<MadeStore, ServiceError> {
    let store = service.store(&input.policy_store_id)?;
    let mode = input.validation_settings.mode;
    store.change(|index, files| {
        let mut note = index.note.clone();
        note.last_updated_date = Some(Moment::now());
        note.description = input.description.or(note.description);
        if let Some(protection) = input.deletion_protection {
            note.deletion_protection = protection == DeletionProtection::Enabled;
        }
        let answer = MadeStore::of(&store.id, &note);
        let mut steps = vec![(STORE_NOTE.to_owned(), Some(written(&note)))];
        if mode == index.validation {
            return Ok((Some(Change { steps, update: Update::Note(note) }), answer));
        }
        if mode == ValidationMode::Strict {
            let is_empty = index.policies.is_empty() && index.templates.is_empty();
            match &index.schema {
                Some(schema) => statements::validate_all(index, MODE, &schema.validator)?,
                None if is_empty => {}
                None => {
                    let message = "the policy store has policies, and no schema to validate them against";
                    return Err(ServiceError::invalid(MODE, message));
                }
            }
        }
        let known = text_of(files, "store.toml").unwrap_or_default();
        let followed = followed(&store.id, index, files, mode, None);
        let settings = followed.or_else(|| settings::with_validation(known, mode)).ok_or_else(|| {
            let message = "`store.toml` has a form in which the validation cannot be changed".to_owned();
            ServiceError::Conflict { message, resources: vec![ResourceKind::PolicyStore.named(&store.id)] }
        })?;
        steps.push(("store.toml".to_owned(), Some(settings.into_bytes())));
        Ok((Some(Change { steps, update: Update::Reread }), answer))
    })
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeletePolicyStore {
    policy_store_id: String,
}

/// `DeletePolicyStore`. One that does not exist is deleted already.
pub fn delete(service: &Service, input: DeletePolicyStore) -> Result<Empty, ServiceError> {
    let store = match service.store(&input.policy_store_id) {
        Ok(store) => store,
        Err(ServiceError::NotFound(_)) if !input.policy_store_id.starts_with(ALIAS_PREFIX) => {
            return Ok(Empty {});
        }
        Err(error) => return Err(error),
    };
    if store.read(|index| index.note.deletion_protection) {
        let message = format!("the policy store `{}` is protected from being deleted", store.id);
        return Err(ServiceError::InvalidState { message });
    }
    service.remove(&store)?;
    Ok(Empty {})
}

const MODE: &str = "validationSettings.mode";

/// "Policy stores per Region per account" (User Guide, "Quotas for resources").
const MAX_STORES: usize = 30_000;
