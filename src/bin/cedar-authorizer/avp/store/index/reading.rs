//! From files to what they mean.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::SystemTime;

use cedar_authorizer::store::finding::{Code, Finding, Position, Severity};
use cedar_authorizer::store::settings::{Settings, Validation};
use cedar_authorizer::token::identity_source::IdentitySource;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::ids::{Claim, Ids};
use super::parsed::{ParsedFile, Part};
use super::{
    Dates, Definition, Index, NO_PRINCIPAL_TYPE, StoredIdentitySource, StoredPolicy, StoredTemplate,
    linked_scope,
};
use crate::avp::contents::ValidationMode;
use crate::avp::store::files::{Files, StoredFile};
use crate::avp::store::links::{self, WrittenLink};
use crate::avp::store::notes::{Kind, Note, STORE_NOTE, id_of};
use crate::avp::store::schema::StoredSchema;
use crate::avp::store::scope::Scope;

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
        let mut noted_links: HashMap<&str, &str> = HashMap::new();
        for (id, note) in &notes_of_links {
            noted_links.insert(note.link.as_deref().unwrap_or(id), id);
        }
        for id in written.iter().filter_map(|link| noted_links.get(link.id.as_str())) {
            ids.claim(id);
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
                    policy: Box::new(policy.clone()),
                    place: parsed.place(path, part),
                },
                note,
                id,
            });
        }
        let several = written.len().max(2);
        for (number, link) in written.into_iter().enumerate() {
            // A second link with the same id is another policy.
            let noted = noted_links.remove(link.id.as_str());
            let named = Some(link.id.as_str());
            let claim = Claim { path: links::FILE, number: number + 1, of: several, named };
            let id = noted.map_or_else(|| ids.id(&claim), str::to_owned);
            let noted = noted.and_then(|id| notes_of_links.get(id));
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
            let Some(value) = json::<Value>(path, file, mistakes) else { continue };
            let mut id = ids.id(&Claim { path, number: 1, of: 1, named: None });
            if id.contains(['/', '_']) {
                id = ids.unique(&id.replace(['/', '_'], "-"));
            }
            let note = notes.get(&id).cloned().unwrap_or_default();
            let principal = value
                .get("principalEntityType")
                .and_then(Value::as_str)
                .filter(|name| *name != NO_PRINCIPAL_TYPE);
            self.put_identity_source(StoredIdentitySource {
                file: path.clone(),
                dates: Dates::of(&note, file.modified),
                principal_entity_type: principal.map(str::to_owned),
                configuration: value.get("configuration").cloned().unwrap_or_default(),
                note,
                id,
            });
        }
    }
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

pub(super) fn json_mistake(path: &str, error: &serde_json::Error) -> String {
    let position = Position::line(path, error.line(), error.column());
    let finding = Finding::json(Code::FileUnreadable, path, error);
    format!("{position}: {}", finding.message)
}
