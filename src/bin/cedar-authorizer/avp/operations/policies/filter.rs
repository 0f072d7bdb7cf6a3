//! Which policies are listed.

use serde::{Deserialize, Serialize};

use super::answers::PolicyType;
use crate::avp::contents::EntityIdentifier;
use crate::avp::operations::requests::id_of;
use crate::avp::store::index::{Index, StoredPolicy};
use crate::avp::store::notes::Kind;

/// AVP's `PolicyFilter`. A policy must match all that is given.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyFilter {
    principal: Option<EntityReference>,
    resource: Option<EntityReference>,
    policy_type: Option<PolicyType>,
    policy_template_id: Option<String>,
}

/// AVP's `EntityReference`: what the scope says, not what is in it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum EntityReference {
    Identifier(EntityIdentifier),
    Unspecified(bool),
}

impl EntityReference {
    fn matches(&self, entity: Option<&EntityIdentifier>) -> bool {
        match self {
            Self::Identifier(identifier) => entity == Some(identifier),
            Self::Unspecified(is_unspecified) => entity.is_none() == *is_unspecified,
        }
    }
}

impl PolicyFilter {
    /// The same filter with the id of a template in place of its name.
    pub fn resolved(mut self, index: &Index) -> Self {
        if let Some(id) = &self.policy_template_id {
            // No template has a name as its id, so an unknown name finds nothing.
            self.policy_template_id = Some(id_of(index, Kind::Template, id).unwrap_or(id).to_owned());
        }
        self
    }

    /// Whether a policy is listed.
    pub fn matches(&self, policy: &StoredPolicy) -> bool {
        let Self { principal, resource, policy_type, policy_template_id } = self;
        principal.as_ref().is_none_or(|reference| reference.matches(policy.scope.principal.as_ref()))
            && resource.as_ref().is_none_or(|reference| reference.matches(policy.scope.resource.as_ref()))
            && policy_type.is_none_or(|policy_type| policy_type == PolicyType::of(policy))
            && policy_template_id.as_ref().is_none_or(|id| policy.template_id() == Some(id))
    }
}
