//! What the files of a store mean: policies, templates, links and identity sources with their ids.

mod ids;
mod parsed;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::SystemTime;

use cedar_authorizer::store::finding::{Finding, Position, Severity};
use cedar_authorizer::store::settings::{Settings, Validation};
use cedar_authorizer::token::identity_source::IdentitySource;
use cedar_policy::{Policy, PolicyId, PolicySet, SlotId, Template};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::files::{Files, StoredFile};
use super::links::{self, WrittenLink, uid};
use super::notes::{Kind, Note, STORE_NOTE, StoreNote, id_of};
use super::schema::StoredSchema;
use super::scope::Scope;
use crate::avp::contents::{EntityIdentifier, ValidationMode};
use crate::avp::moment::Moment;
use ids::{Claim, Ids};
pub use ids::{fit, fits};
use parsed::{ParsedFile, Part};
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
        policy: Policy,
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
    /// Reads all files. Files that are the same in `previous` are not parsed again. Needs
    /// [room](cedar_authorizer::bundle::with_room).
    ///
    /// # Errors
    /// All that makes the store unusable, with file and position.
    pub fn read(files: &Files, previous: &Self) -> Result<Self, Vec<String>> {
        let mut index = Self::default();
        let mut mistakes = Vec::new();
        index.read_settings(files, &mut mistakes);
        index.schema = StoredSchema::read(files, previous.schema.as_ref(), &mut mistakes);
        if let Some(file) = files.get(STORE_NOTE) {
            index.note = json(STORE_NOTE, file, &mut mistakes).unwrap_or_default();
        }
        index.read_statements(files, previous, &mut mistakes);
        index.read_identity_sources(files, &mut mistakes);
        if mistakes.is_empty() { Ok(index) } else { Err(mistakes) }
    }

    fn read_settings(&mut self, files: &Files, mistakes: &mut Vec<String>) {
        let text = files.get("store.toml").map(|file| String::from_utf8_lossy(&file.bytes));
        let Some(text) = text else {
            mistakes.push("store.toml: there is no such file".to_owned());
            return;
        };
        let mut findings = Vec::new();
        let settings = Settings::parse(&text, &mut findings);
        findings.retain(|finding| finding.severity == Severity::Error);
        mistakes.extend(findings.iter().map(|finding| format!("{}: {}", finding.position, finding.message)));
        self.validation = match settings.map(|settings| settings.validation) {
            Some(Validation::Off) => ValidationMode::Off,
            Some(Validation::Strict) | None => ValidationMode::Strict,
        };
    }

    fn read_statements(&mut self, files: &Files, previous: &Self, mistakes: &mut Vec<String>) {
        let is_statements = |path: &str| {
            let is_in = |folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
            is_in("policies") && (path.ends_with(".cedar") || path.ends_with(".json"))
                || is_in("templates") && path.ends_with(".cedar")
        };
        for (path, file) in files.iter().filter(|(path, _)| is_statements(path)) {
            let known = previous.parsed.get(path).filter(|known| Arc::ptr_eq(&known.bytes, &file.bytes));
            match known.cloned().map_or_else(|| ParsedFile::read(path, &file.bytes).map(Arc::new), Ok) {
                Ok(parsed) => {
                    self.parsed.insert(path.clone(), parsed);
                }
                Err(found) => mistakes.extend(found),
            }
        }
        self.read_templates(files, mistakes);
        self.read_policies(files, mistakes);
    }

    fn read_templates(&mut self, files: &Files, mistakes: &mut Vec<String>) {
        let notes = notes(files, Kind::Template, mistakes);
        let mut ids = Ids::new(&notes);
        let parts: Vec<(&String, &Arc<ParsedFile>, usize, &Part)> =
            parts(&self.parsed).filter(|(path, ..)| path.starts_with("templates/")).collect();
        for (path, parsed, number, _) in &parts {
            ids.claim_by_note(path, *number, parsed.parts.len());
        }
        let mut read = Vec::new();
        for (path, parsed, number, part) in parts {
            let Some(template) = part.template() else { continue };
            let claim = Claim { path, number, of: parsed.parts.len(), named: template.annotation("id") };
            let id = ids.id(&claim);
            let note = notes.get(&id).cloned().unwrap_or_default();
            let modified = files.get(path).map_or(SystemTime::UNIX_EPOCH, |file| file.modified);
            read.push(StoredTemplate {
                written_id: claim.written_id(),
                dates: Dates::of(&note, modified),
                statement: parsed.statement(part),
                template: template.clone(),
                place: parsed.place(path, part),
                note,
                id,
            });
        }
        read.into_iter().for_each(|template| self.put_template(template));
    }

    fn read_policies(&mut self, files: &Files, mistakes: &mut Vec<String>) {
        let notes_of_links = notes(files, Kind::Link, mistakes);
        let notes = notes(files, Kind::Policy, mistakes);
        let mut ids = Ids::new(&notes);
        let (written, links_modified) = match files.get(links::FILE) {
            Some(file) => match links::read(&String::from_utf8_lossy(&file.bytes)) {
                Ok(links) => (links, file.modified),
                Err(error) => return mistakes.push(json_mistake(links::FILE, &error)),
            },
            None => (Vec::new(), SystemTime::UNIX_EPOCH),
        };
        let parts: Vec<(&String, &Arc<ParsedFile>, usize, &Part)> =
            parts(&self.parsed).filter(|(path, ..)| path.starts_with("policies/")).collect();
        for (path, parsed, number, _) in &parts {
            ids.claim_by_note(path, *number, parsed.parts.len());
        }
        for link in written.iter().filter(|link| notes_of_links.contains_key(&link.id)) {
            ids.claim(&link.id);
        }
        let mut read = Vec::new();
        for (path, parsed, number, part) in parts {
            let Some(policy) = part.policy() else { continue };
            let id = ids.id(&Claim { path, number, of: parsed.parts.len(), named: policy.annotation("id") });
            let note = notes.get(&id).cloned().unwrap_or_default();
            let modified = files.get(path).map_or(SystemTime::UNIX_EPOCH, |file| file.modified);
            let mut note =
                Note { description: note.description.clone().or_else(|| part.description()), ..note };
            note.id = None;
            read.push(StoredPolicy {
                dates: Dates::of(&note, modified),
                scope: Scope::of(policy),
                definition: Definition::Static {
                    statement: parsed.statement(part),
                    policy: policy.clone(),
                    place: parsed.place(path, part),
                },
                note,
                id,
            });
        }
        let mut seen = std::collections::HashSet::new();
        let several = written.len();
        for (number, link) in written.into_iter().enumerate() {
            let noted = notes_of_links.get(&link.id).filter(|_| seen.insert(link.id.clone()));
            let id = match noted {
                Some(_) => link.id.clone(),
                None => {
                    let named = Some(link.id.as_str());
                    ids.id(&Claim { path: links::FILE, number: number + 1, of: several.max(2), named })
                }
            };
            let note = noted.cloned().unwrap_or_default();
            let dates = Dates::of(&note, links_modified);
            match self.link(&link, &note) {
                Ok((template_id, scope)) => read.push(StoredPolicy {
                    dates,
                    scope,
                    definition: Definition::Linked {
                        template_id,
                        principal: link.principal,
                        resource: link.resource,
                        written_id: link.id,
                    },
                    note,
                    id,
                }),
                Err(message) => mistakes.push(format!("{}: link `{}`: {message}", links::FILE, link.id)),
            }
        }
        read.into_iter().for_each(|policy| self.put_policy(policy));
    }

    /// The id of a link's template, and the scope with the values of the link.
    fn link(&self, link: &WrittenLink, note: &Note) -> Result<(String, Scope), String> {
        let by_note = note.template_id.as_ref().and_then(|id| self.templates.get(id));
        let by_name = || self.templates.values().find(|template| template.written_id == link.template_id);
        let template = by_note.or_else(by_name);
        let template = template.ok_or_else(|| format!("there is no template `{}`", link.template_id))?;
        let scope = linked_scope(template, link.principal.as_ref(), link.resource.as_ref())?;
        Ok((template.id.clone(), scope))
    }

    fn read_identity_sources(&mut self, files: &Files, mistakes: &mut Vec<String>) {
        let notes = notes(files, Kind::IdentitySource, mistakes);
        let mut ids = Ids::new(&notes);
        let is_source =
            |path: &str| path.strip_prefix("identity-sources/").is_some_and(|_| path.ends_with(".json"));
        let sources: Vec<_> = files.iter().filter(|(path, _)| is_source(path)).collect();
        for (path, _) in &sources {
            ids.claim_by_note(path, 1, 1);
        }
        for (path, file) in sources {
            let text = String::from_utf8_lossy(&file.bytes);
            if let Err(error) = IdentitySource::from_json("", &text) {
                mistakes.push(json_mistake(path, &error));
                continue;
            }
            let Some(mut value) = json::<Value>(path, file, mistakes) else { continue };
            let mut id = ids.id(&Claim { path, number: 1, of: 1, named: None });
            if id.contains(['/', '_']) {
                id = ids.unique(&id.replace(['/', '_'], "-"));
            }
            let note = notes.get(&id).cloned().unwrap_or_default();
            let principal = value["principalEntityType"].as_str().filter(|name| *name != NO_PRINCIPAL_TYPE);
            self.put_identity_source(StoredIdentitySource {
                file: path.clone(),
                dates: Dates::of(&note, file.modified),
                principal_entity_type: principal.map(str::to_owned),
                configuration: value["configuration"].take(),
                note,
                id,
            });
        }
    }

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
    set.link(template_id, id.clone(), values).map_err(|error| error.to_string())?;
    set.policy(&id).map(Scope::of).ok_or_else(|| "it cannot be linked".to_owned())
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

/// All parts of the files, numbered from 1 in each.
fn parts(
    parsed: &BTreeMap<String, Arc<ParsedFile>>,
) -> impl Iterator<Item = (&String, &Arc<ParsedFile>, usize, &Part)> {
    parsed.iter().flat_map(|(path, file)| {
        file.parts.iter().enumerate().map(move |(number, part)| (path, file, number + 1, part))
    })
}

/// The notes of one kind, by the ids that they are about.
fn notes(files: &Files, kind: Kind, mistakes: &mut Vec<String>) -> BTreeMap<String, Note> {
    let folder = kind.folder().to_owned();
    let in_folder = files.range(folder..).take_while(|(path, _)| path.starts_with(kind.folder()));
    let mut notes = BTreeMap::new();
    for (path, file) in in_folder {
        let Some(note) = json::<Note>(path, file, mistakes) else { continue };
        if let Some(id) = note.id.clone().or_else(|| id_of(path, kind)) {
            notes.insert(id, note);
        }
    }
    notes
}

fn json<T: DeserializeOwned>(path: &str, file: &StoredFile, mistakes: &mut Vec<String>) -> Option<T> {
    serde_json::from_slice(&file.bytes).map_err(|error| mistakes.push(json_mistake(path, &error))).ok()
}

fn json_mistake(path: &str, error: &serde_json::Error) -> String {
    let position = Position::line(path, error.line(), error.column());
    let finding = Finding::json(cedar_authorizer::store::finding::Code::FileUnreadable, path, error);
    format!("{position}: {}", finding.message)
}

/// What AVP answers for an identity source without an entity type (seen in live stores).
pub const NO_PRINCIPAL_TYPE: &str = "AWS::Cognito";
