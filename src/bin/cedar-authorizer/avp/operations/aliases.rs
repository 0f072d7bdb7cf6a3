//! Other names of policy stores.

use serde::{Deserialize, Serialize};

use super::pages;
use super::requests::{Empty, check_quota};
use crate::avp::error::{ResourceKind, ServiceError};
use crate::avp::moment::Moment;
use crate::avp::service::{ALIAS_PREFIX, Service};
use crate::avp::store::notes::{Alias, STORE_NOTE, StoreNote, written};
use crate::avp::store::{Change, Store, Update};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatePolicyStoreAlias {
    alias_name: String,
    policy_store_id: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MadeAlias {
    alias_name: String,
    policy_store_id: String,
    alias_arn: String,
    created_at: Moment,
}

impl MadeAlias {
    fn of(alias: &Alias, store: &Store) -> Self {
        Self {
            alias_arn: format!("{ARN_PREFIX}{}", alias.name),
            alias_name: alias.name.clone(),
            policy_store_id: store.id.clone(),
            created_at: alias.created_at,
        }
    }
}

/// `CreatePolicyStoreAlias`. It has no token: the same alias of the same store is the same request.
pub fn create(service: &Service, input: CreatePolicyStoreAlias) -> Result<MadeAlias, ServiceError> {
    let CreatePolicyStoreAlias { alias_name: name, policy_store_id } = input;
    check_name(&name)?;
    if policy_store_id.starts_with(ALIAS_PREFIX) {
        return Err(ServiceError::invalid("policyStoreId", "an alias cannot be made of an alias"));
    }
    let _naming = service.naming();
    let store = service.store(&policy_store_id)?;
    if let Some((known, of)) = service.alias(&name) {
        if known.deleted_at.is_none() && of.id == store.id {
            return Ok(MadeAlias::of(&known, &store));
        }
        let message = match known.deleted_at {
            None => format!("`{name}` is an alias of another policy store"),
            Some(_) => format!("`{name}` is being deleted"),
        };
        let resources = vec![ResourceKind::PolicyStoreAlias.named(&name)];
        return Err(ServiceError::Conflict { message, resources });
    }
    let alias = Alias { name, created_at: Moment::now(), deleted_at: None };
    store.change(|index, _| {
        let mut note = index.note.clone();
        let count = note.aliases.iter().filter(|alias| alias.deleted_at.is_none()).count() + 1;
        let resource = ResourceKind::PolicyStoreAlias.named(&alias.name);
        check_quota(service, count, MAX_ALIASES, "the aliases of the policy store", resource)?;
        note.aliases.retain(|known| known.name != alias.name);
        note.aliases.push(alias.clone());
        Ok((Some(changed(note)), MadeAlias::of(&alias, &store)))
    })
}

fn check_name(name: &str) -> Result<(), ServiceError> {
    match name.strip_prefix(ALIAS_PREFIX) {
        Some(rest) if !rest.is_empty() => Ok(()),
        _ => Err(ServiceError::invalid("aliasName", format_args!("it does not begin with `{ALIAS_PREFIX}`"))),
    }
}

fn changed(note: StoreNote) -> Change {
    Change { steps: vec![(STORE_NOTE.to_owned(), Some(written(&note)))], update: Update::Note(note) }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetPolicyStoreAlias {
    alias_name: String,
}

#[derive(Debug, Serialize)]
pub struct OneAlias {
    #[serde(flatten)]
    alias: MadeAlias,
    state: AliasState,
}

/// AVP's `AliasState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum AliasState {
    Active,
    PendingDeletion,
}

impl OneAlias {
    fn of(alias: &Alias, store: &Store) -> Self {
        let state = match alias.deleted_at {
            None => AliasState::Active,
            Some(_) => AliasState::PendingDeletion,
        };
        Self { alias: MadeAlias::of(alias, store), state }
    }
}

/// `GetPolicyStoreAlias`.
pub fn get(service: &Service, input: GetPolicyStoreAlias) -> Result<OneAlias, ServiceError> {
    check_name(&input.alias_name)?;
    let missing = || ServiceError::NotFound(ResourceKind::PolicyStoreAlias.named(&input.alias_name));
    let (alias, store) = service.alias(&input.alias_name).ok_or_else(missing)?;
    Ok(OneAlias::of(&alias, &store))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListPolicyStoreAliases {
    next_token: Option<String>,
    max_results: Option<usize>,
    filter: Option<AliasFilter>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AliasFilter {
    policy_store_id: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListPolicyStoreAliasesAnswer {
    policy_store_aliases: Vec<OneAlias>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

/// `ListPolicyStoreAliases`.
pub fn list(
    service: &Service,
    input: ListPolicyStoreAliases,
) -> Result<ListPolicyStoreAliasesAnswer, ServiceError> {
    let size = pages::size(input.max_results, DEFAULT_PAGE);
    let only = input.filter.and_then(|filter| filter.policy_store_id);
    let aliases = service.aliases();
    let of = ["ListPolicyStoreAliases", only.as_deref().unwrap_or_default()];
    let page = service.pages().page(&of, input.next_token.as_deref(), size, |after| {
        let after = after.map(str::to_owned);
        let of_store = aliases.iter().filter(|(_, store)| only.as_ref().is_none_or(|id| store.id == *id));
        let found = of_store.filter(move |(alias, _)| after.as_ref().is_none_or(|after| alias.name > *after));
        found.map(|(alias, store)| (alias.name.clone(), OneAlias::of(alias, store)))
    })?;
    Ok(ListPolicyStoreAliasesAnswer { policy_store_aliases: page.items, next_token: page.next_token })
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeletePolicyStoreAlias {
    alias_name: String,
    #[serde(default)]
    deletion_mode: DeletionMode,
}

/// AVP's `DeletionMode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
enum DeletionMode {
    HardDelete,
    /// The name stays taken for a day.
    #[default]
    SoftDelete,
}

/// `DeletePolicyStoreAlias`. One that does not exist is deleted already.
pub fn delete(service: &Service, input: DeletePolicyStoreAlias) -> Result<Empty, ServiceError> {
    check_name(&input.alias_name)?;
    let _naming = service.naming();
    let Some((_, store)) = service.alias(&input.alias_name) else { return Ok(Empty {}) };
    store.change(|index, _| {
        let mut note = index.note.clone();
        match input.deletion_mode {
            DeletionMode::HardDelete => note.aliases.retain(|alias| alias.name != input.alias_name),
            DeletionMode::SoftDelete => {
                for alias in note.aliases.iter_mut().filter(|alias| alias.name == input.alias_name) {
                    alias.deleted_at.get_or_insert_with(Moment::now);
                }
            }
        }
        Ok((Some(changed(note)), Empty {}))
    })
}

/// Aliases belong to a region, unlike stores.
const ARN_PREFIX: &str = "arn:aws:verifiedpermissions:us-east-1:000000000000:";

/// How many aliases a page has (API reference, `maxResults`).
const DEFAULT_PAGE: usize = 5;

/// User Guide, "Creating Amazon Verified Permissions policy store aliases".
const MAX_ALIASES: usize = 10;
