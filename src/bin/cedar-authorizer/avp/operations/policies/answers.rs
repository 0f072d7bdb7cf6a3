//! A policy as answers have it.

use serde::Serialize;

use crate::avp::contents::EntityIdentifier;
use crate::avp::moment::Moment;
use crate::avp::store::index::{Definition, StoredPolicy};
use crate::avp::store::scope::{ActionIdentifier, PolicyEffect};

/// What all answers with scopes have.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MadePolicy {
    policy_store_id: String,
    policy_id: String,
    policy_type: PolicyType,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<EntityIdentifier>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<EntityIdentifier>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actions: Option<Vec<ActionIdentifier>>,
    created_date: Moment,
    last_updated_date: Moment,
    effect: PolicyEffect,
}

/// AVP's `PolicyType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PolicyType {
    Static,
    TemplateLinked,
}

impl PolicyType {
    /// That of a policy.
    pub fn of(policy: &StoredPolicy) -> Self {
        match policy.definition {
            Definition::Linked { .. } => Self::TemplateLinked,
            Definition::Static { .. } => Self::Static,
        }
    }
}

/// AVP's `PolicyDefinitionDetail` and, without the statement, its `PolicyDefinitionItem`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
enum DefinitionDetail {
    #[serde(rename_all = "camelCase")]
    Static {
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        statement: Option<String>,
    },
    #[serde(rename_all = "camelCase")]
    TemplateLinked {
        policy_template_id: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        principal: Option<EntityIdentifier>,
        #[serde(skip_serializing_if = "Option::is_none")]
        resource: Option<EntityIdentifier>,
    },
}

/// Whether an answer has the statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Detail {
    WithStatement,
    WithoutStatement,
}

impl DefinitionDetail {
    fn of(policy: &StoredPolicy, detail: Detail) -> Self {
        match &policy.definition {
            Definition::Static { statement, .. } => Self::Static {
                description: policy.note.description.clone(),
                statement: (detail == Detail::WithStatement).then(|| statement.clone()),
            },
            Definition::Linked { template_id, principal, resource, .. } => Self::TemplateLinked {
                policy_template_id: template_id.clone(),
                principal: principal.clone(),
                resource: resource.clone(),
            },
        }
    }
}

impl MadePolicy {
    /// The answer of `CreatePolicy` and `UpdatePolicy`.
    pub fn of(store: &str, policy: &StoredPolicy) -> Self {
        Self {
            policy_store_id: store.to_owned(),
            policy_id: policy.id.clone(),
            policy_type: PolicyType::of(policy),
            principal: policy.scope.principal.clone(),
            resource: policy.scope.resource.clone(),
            actions: policy.scope.actions.clone(),
            created_date: policy.dates.created,
            last_updated_date: policy.dates.updated,
            effect: policy.scope.effect,
        }
    }
}

/// The answer of `GetPolicy`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OnePolicy {
    #[serde(flatten)]
    policy: MadePolicy,
    definition: DefinitionDetail,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

impl OnePolicy {
    pub fn of(store: &str, policy: &StoredPolicy) -> Self {
        Self {
            policy: MadePolicy::of(store, policy),
            definition: DefinitionDetail::of(policy, Detail::WithStatement),
            name: policy.note.name.clone(),
        }
    }
}

/// An item of `ListPolicies`.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct PolicyItem(OnePolicy);

impl PolicyItem {
    pub fn of(store: &str, policy: &StoredPolicy) -> Self {
        let definition = DefinitionDetail::of(policy, Detail::WithoutStatement);
        let name = policy.note.name.clone();
        Self(OnePolicy { policy: MadePolicy::of(store, policy), definition, name })
    }
}

/// A result of `BatchGetPolicy`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchPolicy {
    policy_store_id: String,
    policy_id: String,
    policy_type: PolicyType,
    definition: DefinitionDetail,
    created_date: Moment,
    last_updated_date: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

impl BatchPolicy {
    pub fn of(store: &str, policy: &StoredPolicy) -> Self {
        Self {
            policy_store_id: store.to_owned(),
            policy_id: policy.id.clone(),
            policy_type: PolicyType::of(policy),
            definition: DefinitionDetail::of(policy, Detail::WithStatement),
            created_date: policy.dates.created,
            last_updated_date: policy.dates.updated,
            name: policy.note.name.clone(),
        }
    }
}
