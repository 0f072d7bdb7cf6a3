//! A whole policy store in the terms of Verified Permissions: what is imported, exported and served.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Everything of a policy store that Verified Permissions knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoreContents {
    /// What the store is for.
    pub description: Option<String>,
    /// Whether policies are validated against the schema.
    pub validation: ValidationMode,
    /// Whether the store is kept from being deleted.
    pub deletion_protection: bool,
    /// AVP's `EncryptionSettings`, as given.
    pub encryption: Option<Value>,
    /// Tags of the store.
    pub tags: BTreeMap<String, String>,
    /// The schema in Cedar's JSON form, as text.
    pub schema: Option<String>,
    /// Static policies, in the order of their ids.
    pub policies: Vec<StaticPolicy>,
    /// Policy templates, in the order of their ids.
    pub templates: Vec<PolicyTemplate>,
    /// Template-linked policies, in the order of their ids.
    pub links: Vec<TemplateLinkedPolicy>,
    /// Identity sources, in the order of their ids.
    pub identity_sources: Vec<IdentitySource>,
    /// Other names of the store.
    pub aliases: Vec<String>,
}

/// AVP's `ValidationMode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ValidationMode {
    /// Any policy that parses is accepted.
    #[default]
    Off,
    /// Policies must fit the schema.
    Strict,
}

/// A static policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticPolicy {
    /// Its id in AVP.
    pub id: String,
    /// Its name in AVP, which can stand for the id.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Its text, byte for byte.
    pub statement: String,
}

/// A policy template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyTemplate {
    /// Its id in AVP.
    pub id: String,
    /// Its name in AVP.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Its text, byte for byte.
    pub statement: String,
}

/// A template with values for its slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateLinkedPolicy {
    /// Its id in AVP.
    pub id: String,
    /// Its name in AVP.
    pub name: Option<String>,
    /// The id of the template.
    pub template_id: String,
    /// The value of `?principal`.
    pub principal: Option<EntityIdentifier>,
    /// The value of `?resource`.
    pub resource: Option<EntityIdentifier>,
}

/// An identity source.
#[derive(Clone, Debug, PartialEq)]
pub struct IdentitySource {
    /// Its id in AVP.
    pub id: String,
    /// The entity type of callers.
    pub principal_entity_type: Option<String>,
    /// AVP's `Configuration`: a union with `cognitoUserPoolConfiguration` or `openIdConnectConfiguration`.
    pub configuration: Value,
}

/// AVP's `EntityIdentifier`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EntityIdentifier {
    /// The entity type, with its namespace.
    pub entity_type: String,
    /// The id, without quotes.
    pub entity_id: String,
}
