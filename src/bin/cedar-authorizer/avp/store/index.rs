//! What the files of a store mean: policies, templates, links and identity sources with their ids.

mod ids;
mod parsed;
mod reading;

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::iter;
use std::sync::Arc;
use std::time::SystemTime;

use cedar_policy::{Policy, PolicyId, PolicySet, SlotId, Template};
use serde_json::Value;

use super::links::uid;
use super::notes::{Kind, Note, StoreNote};
use super::schema::StoredSchema;
use super::scope::Scope;
use crate::avp::contents::{EntityIdentifier, ValidationMode};
use crate::avp::moment::Moment;
pub use ids::fit;
use parsed::ParsedFile;
pub use parsed::{StaticDefinition, WrittenDefinition};

/// What the files of a store mean.
#[derive(Debug, Default)]
pub struct Index {
    /// Whether policies are validated.
    pub validation: ValidationMode,
    /// What is known of the store itself.
    pub note: StoreNote,
    /// The schema.
    pub schema: Option<Arc<StoredSchema>>,
    /// Static and template-linked policies by their ids.
    pub policies: BTreeMap<String, Arc<StoredPolicy>>,
    /// Templates by their ids.
    pub templates: BTreeMap<String, Arc<StoredTemplate>>,
    /// Identity sources by their ids.
    pub identity_sources: BTreeMap<String, Arc<StoredIdentitySource>>,
    /// The ids of what has a name. Links share the names of policies.
    names: HashMap<(Kind, String), String>,
    /// What was made with a token of the client.
    tokens: HashMap<(Kind, String), String>,
    /// Files that were parsed, so that an unchanged file is not parsed again.
    parsed: BTreeMap<String, Arc<ParsedFile>>,
}

/// A static or template-linked policy.
#[derive(Clone, Debug)]
pub struct StoredPolicy {
    pub id: String,
    pub dates: Dates,
    pub note: Note,
    pub scope: Scope,
    pub definition: Definition,
}

/// What a policy is made of.
#[derive(Clone, Debug)]
pub enum Definition {
    Linked {
        template_id: String,
        principal: Option<EntityIdentifier>,
        resource: Option<EntityIdentifier>,
        /// The id in `template-links.json`.
        written_id: String,
    },
    Static {
        statement: String,
        policy: Box<Policy>,
        place: Place,
    },
}

/// A policy template.
#[derive(Clone, Debug)]
pub struct StoredTemplate {
    pub id: String,
    /// The id by which links of the store name it.
    pub written_id: String,
    pub dates: Dates,
    pub note: Note,
    pub statement: String,
    pub template: Template,
    pub place: Place,
}

/// Where a statement stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub file: String,
    /// Which part of the file it is. `None`: the file is nothing but the statement, or JSON with it.
    pub part: Option<std::ops::Range<usize>>,
}

/// An identity source.
#[derive(Clone, Debug)]
pub struct StoredIdentitySource {
    pub id: String,
    pub file: String,
    pub dates: Dates,
    pub note: Note,
    pub principal_entity_type: Option<String>,
    pub configuration: Value,
}

/// When something was made and last changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dates {
    pub created: Moment,
    pub updated: Moment,
}

impl Dates {
    /// Those of the note, otherwise that of the file.
    fn of(note: &Note, modified: SystemTime) -> Self {
        let created = note.created_date.unwrap_or_else(|| modified.into());
        Self { created, updated: note.last_updated_date.unwrap_or(created) }
    }
}

impl StoredPolicy {
    /// Which kind of note it has.
    pub fn kind(&self) -> Kind {
        match self.definition {
            Definition::Linked { .. } => Kind::Link,
            Definition::Static { .. } => Kind::Policy,
        }
    }

    /// The id of its template.
    pub fn template_id(&self) -> Option<&str> {
        match &self.definition {
            Definition::Linked { template_id, .. } => Some(template_id),
            Definition::Static { .. } => None,
        }
    }
}

impl Index {
    /// Adds a policy, or replaces the one with its id.
    pub fn put_policy(&mut self, policy: StoredPolicy) {
        self.remove_policy(&policy.id);
        self.note_name(Kind::Policy, &policy.note, &policy.id);
        self.policies.insert(policy.id.clone(), Arc::new(policy));
    }

    /// Removes a policy.
    pub fn remove_policy(&mut self, id: &str) {
        if let Some(policy) = self.policies.remove(id) {
            self.forget_name(Kind::Policy, &policy.note, id);
        }
    }

    /// Adds a template, or replaces the one with its id.
    pub fn put_template(&mut self, template: StoredTemplate) {
        if let Some(known) = self.templates.remove(&template.id) {
            self.forget_name(Kind::Template, &known.note, &known.id);
        }
        self.note_name(Kind::Template, &template.note, &template.id);
        self.templates.insert(template.id.clone(), Arc::new(template));
    }

    /// Adds an identity source, or replaces the one with its id.
    pub fn put_identity_source(&mut self, source: StoredIdentitySource) {
        self.remove_identity_source(&source.id);
        self.note_name(Kind::IdentitySource, &source.note, &source.id);
        self.identity_sources.insert(source.id.clone(), Arc::new(source));
    }

    /// Removes an identity source.
    pub fn remove_identity_source(&mut self, id: &str) {
        if let Some(source) = self.identity_sources.remove(id) {
            self.forget_name(Kind::IdentitySource, &source.note, id);
        }
    }

    fn note_name(&mut self, kind: Kind, note: &Note, id: &str) {
        if let Some(name) = &note.name {
            self.names.entry((kind, name.clone())).or_insert_with(|| id.to_owned());
        }
        if let Some(token) = &note.client_token {
            self.tokens.insert((kind, token.clone()), id.to_owned());
        }
    }

    fn forget_name(&mut self, kind: Kind, note: &Note, id: &str) {
        if let Some(name) = &note.name {
            let key = (kind, name.clone());
            if self.names.get(&key).is_some_and(|known| known == id) {
                self.names.remove(&key);
            }
        }
        if let Some(token) = &note.client_token {
            self.tokens.remove(&(kind, token.clone()));
        }
    }

    /// The id of what has a name.
    pub fn named(&self, kind: Kind, name: &str) -> Option<&str> {
        self.names.get(&(kind, name.to_owned())).map(String::as_str)
    }

    /// The id of what was made with a token of the client.
    pub fn made_with(&self, kind: Kind, token: &str) -> Option<&str> {
        self.tokens.get(&(kind, token.to_owned())).map(String::as_str)
    }

    /// The links of a template.
    pub fn links_of(&self, template_id: &str) -> impl Iterator<Item = &Arc<StoredPolicy>> {
        self.policies.values().filter(move |policy| policy.template_id() == Some(template_id))
    }

    /// All policies, templates and links under their ids. Needs room.
    pub fn policy_set(&self) -> Result<PolicySet, String> {
        let mut set = PolicySet::new();
        for template in self.templates.values() {
            let id = PolicyId::new(self.template_id_in_set(&template.id));
            set.add_template(template.template.new_id(id)).map_err(|error| error.to_string())?;
        }
        for policy in self.policies.values() {
            let id = PolicyId::new(&policy.id);
            match &policy.definition {
                Definition::Static { policy, .. } => {
                    set.add(policy.new_id(id)).map_err(|error| error.to_string())?;
                }
                Definition::Linked { template_id, principal, resource, .. } => {
                    let template = PolicyId::new(self.template_id_in_set(template_id));
                    let values = values(principal.as_ref(), resource.as_ref())?;
                    set.link(template, id, values).map_err(|error| error.to_string())?;
                }
            }
        }
        Ok(set)
    }

    /// The id of a template in [`Index::policy_set`], where policies and templates share their ids. No id of AVP has
    /// the mark.
    fn template_id_in_set(&self, id: &str) -> String {
        if self.policies.contains_key(id) { format!("{id}#template") } else { id.to_owned() }
    }
}

/// The scope of a link.
pub fn linked_scope(
    template: &StoredTemplate,
    principal: Option<&EntityIdentifier>,
    resource: Option<&EntityIdentifier>,
) -> Result<Scope, String> {
    let mut set = PolicySet::new();
    let (template_id, id) = (PolicyId::new("template"), PolicyId::new("link"));
    let values = values(principal, resource)?;
    set.add_template(template.template.new_id(template_id.clone())).map_err(|error| error.to_string())?;
    set.link(template_id, id.clone(), values).map_err(|error| with_causes(&error))?;
    set.policy(&id).map(Scope::of).ok_or_else(|| "it cannot be linked".to_owned())
}

/// An error with its causes, separated by colons.
fn with_causes(error: &dyn Error) -> String {
    let causes = iter::successors(error.source(), |cause: &&dyn Error| (*cause).source());
    causes.fold(error.to_string(), |message, cause| format!("{message}: {cause}"))
}

/// The values of a link's slots.
pub fn values(
    principal: Option<&EntityIdentifier>,
    resource: Option<&EntityIdentifier>,
) -> Result<HashMap<SlotId, cedar_policy::EntityUid>, String> {
    let slots = [(SlotId::principal(), principal), (SlotId::resource(), resource)];
    let given = slots.into_iter().filter_map(|(slot, value)| Some((slot, value?)));
    given
        .map(|(slot, value)| {
            let uid = uid(value)
                .ok_or_else(|| format!("`{}` is not the name of an entity type", value.entity_type))?;
            Ok((slot, uid))
        })
        .collect()
}

/// What AVP answers for an identity source without an entity type (seen in live stores).
pub const NO_PRINCIPAL_TYPE: &str = "AWS::Cognito";
