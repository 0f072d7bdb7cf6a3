//! A whole policy store in the terms of Verified Permissions: what is imported, exported and served.

use std::collections::BTreeMap;
use std::path::Path;

use cedar_authorizer::bundle::{StoreFiles, with_room};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::moment::Moment;
use super::store::files::{self, Files, Step};
use super::store::index::{Definition, Index, StoredPolicy, StoredTemplate};
use super::store::links::WrittenLink;
use super::store::notes::{Alias, Kind, Note, STORE_NOTE, StoreNote, written};
use super::store::{layout, schema, settings};
use crate::output::Failure;

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

impl ValidationMode {
    /// As `store.toml` has it.
    pub fn setting(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Strict => "strict",
        }
    }
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

/// How a store is written.
#[derive(Clone, Debug, Default)]
pub struct WriteOptions {
    /// Its name in `store.toml`.
    pub name: String,
    /// Its id in AVP.
    pub policy_store_id: Option<String>,
    /// When that is.
    pub now: Moment,
}

/// Reads a store from its folder. Also returns what it has that AVP has no place for.
///
/// # Errors
/// The folder cannot be read, or the store is invalid.
pub fn read(folder: &Path) -> Result<(StoreContents, Vec<String>), Failure> {
    let files = files::read(folder).map_err(Failure::could_not_run)?;
    let index = with_room(|| Index::read(&files, &Index::default())).map_err(Failure::could_not_run)?;
    let index = index.map_err(|mistakes| {
        Failure::invalid(mistakes.join("\n")).hint("`cedar-authorizer check` says more about a store")
    })?;
    Ok((StoreContents::of(&index), without_place(&files)))
}

/// The files of a store with these contents, notes included.
pub fn write(contents: &StoreContents, options: &WriteOptions) -> StoreFiles {
    let mut files = Files::new();
    // Statements may be deep.
    let steps = with_room(|| steps(contents, options)).unwrap_or_default();
    files::apply(&mut files, steps, std::time::SystemTime::UNIX_EPOCH);
    let mut written = StoreFiles::default();
    for (path, file) in files {
        written.insert(path, file.bytes.to_vec());
    }
    written
}

impl StoreContents {
    /// What a store holds.
    pub fn of(index: &Index) -> Self {
        let StoreNote { description, deletion_protection, encryption_settings, tags, aliases, .. } =
            index.note.clone();
        let mut contents = Self {
            description,
            validation: index.validation,
            deletion_protection,
            encryption: encryption_settings,
            tags,
            schema: index.schema.as_ref().map(|schema| schema.json.clone()),
            aliases: aliases
                .into_iter()
                .filter(|alias| alias.deleted_at.is_none())
                .map(|alias| alias.name)
                .collect(),
            ..Self::default()
        };
        for policy in index.policies.values() {
            let StoredPolicy { id, note: Note { name, description, .. }, definition, .. } =
                (**policy).clone();
            match definition {
                Definition::Static { statement, .. } => {
                    contents.policies.push(StaticPolicy { id, name, description, statement });
                }
                Definition::Linked { template_id, principal, resource, .. } => {
                    contents.links.push(TemplateLinkedPolicy { id, name, template_id, principal, resource });
                }
            }
        }
        for template in index.templates.values() {
            let StoredTemplate { id, note: Note { name, description, .. }, statement, .. } =
                (**template).clone();
            contents.templates.push(PolicyTemplate { id, name, description, statement });
        }
        for source in index.identity_sources.values() {
            contents.identity_sources.push(IdentitySource {
                id: source.id.clone(),
                principal_entity_type: source.principal_entity_type.clone(),
                configuration: source.configuration.clone(),
            });
        }
        contents
    }
}

/// The files of a store, one after the other.
fn steps(contents: &StoreContents, WriteOptions { name, policy_store_id, now }: &WriteOptions) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let alias = |name: &String| Alias { name: name.clone(), created_at: *now, deleted_at: None };
    let note = StoreNote {
        policy_store_id: policy_store_id.clone(),
        created_date: Some(*now),
        last_updated_date: Some(*now),
        description: contents.description.clone(),
        deletion_protection: contents.deletion_protection,
        encryption_settings: contents.encryption.clone(),
        tags: contents.tags.clone(),
        aliases: contents.aliases.iter().map(alias).collect(),
        client_token: None,
        request: None,
    };
    steps.push((STORE_NOTE.to_owned(), Some(written(&note))));
    let text = contents.schema.as_deref();
    let checked = text.and_then(|text| schema::checked(schema::JSON_FILE, text.as_bytes()).ok());
    let namespaces = checked.as_ref().map(|schema| schema.namespaces.clone()).unwrap_or_default();
    let schema = checked.as_ref().map(|schema| &schema.schema);
    let settings = settings::made(name, contents.validation, &namespaces, schema);
    steps.push(("store.toml".to_owned(), Some(settings.into_bytes())));
    if let Some(text) = text {
        steps.push((schema::JSON_FILE.to_owned(), Some(text.as_bytes().to_vec())));
    }
    let mut written_ids = BTreeMap::new();
    for PolicyTemplate { id, name, description, statement } in &contents.templates {
        let file = layout::template_file(id);
        written_ids.insert(id.clone(), layout::written_template_id(&file, statement));
        let note =
            Note { name: name.clone(), description: description.clone(), ..Note::new(id, &file, *now) };
        steps.extend(layout::with_note(Kind::Template, id, &note, file, statement.clone().into_bytes()));
    }
    for StaticPolicy { id, name, description, statement } in &contents.policies {
        let file = layout::policy_file(id);
        let note =
            Note { name: name.clone(), description: description.clone(), ..Note::new(id, &file, *now) };
        steps.extend(layout::with_note(Kind::Policy, id, &note, file, statement.clone().into_bytes()));
    }
    let mut links: Vec<WrittenLink> = Vec::new();
    for TemplateLinkedPolicy { id, name, template_id, principal, resource } in &contents.links {
        let file = super::store::links::FILE;
        let template = Some(template_id.clone());
        let note = Note { name: name.clone(), template_id: template, ..Note::new(id, file, *now) };
        steps.push((Kind::Link.note(id), Some(written(&note))));
        let written_id = written_ids.get(template_id).unwrap_or(template_id);
        links.push(WrittenLink {
            id: id.clone(),
            template_id: written_id.clone(),
            principal: principal.clone(),
            resource: resource.clone(),
        });
    }
    if !links.is_empty() {
        steps.push((super::store::links::FILE.to_owned(), Some(written(&links))));
    }
    for IdentitySource { id, principal_entity_type, configuration } in &contents.identity_sources {
        let file = layout::identity_source_file(id);
        let content = layout::identity_source(principal_entity_type.as_deref(), configuration);
        let note = Note::new(id, &file, *now);
        steps.extend(layout::with_note(Kind::IdentitySource, id, &note, file, written(&content)));
    }
    steps
}

/// What a store has that AVP has no place for, one line each.
fn without_place(files: &Files) -> Vec<String> {
    let mut list = Vec::new();
    for (path, file) in files {
        let text = String::from_utf8_lossy(&file.bytes);
        match path.as_str() {
            "entities.json" => list.push("`entities.json`: requests to AVP bring their entities".to_owned()),
            "store.toml" => {
                list.extend(settings::other_tables(&text).into_iter().map(|table| match table.as_str() {
                    "routes" => "`[[routes]]` of `store.toml`: AVP has no routes".to_owned(),
                    table => format!("`[{table}]` of `store.toml`"),
                }));
            }
            schema::CEDAR_FILE => list.push(format!("comments of `{path}`: AVP takes the schema as JSON")),
            path if path.starts_with("jwks/") => {
                list.push(format!("`{path}`: AVP fetches keys from the issuer"))
            }
            path if path.starts_with("identity-sources/") => {
                let value: Value = serde_json::from_str(&text).unwrap_or_default();
                let members = ["entityIdPrefix", "issuer", "jwksFile", "jwksUri"];
                let own = members.into_iter().filter(|member| value.get(member).is_some());
                list.extend(own.map(|member| format!("`{member}` of `{path}`")));
            }
            path if path.starts_with(".avp/") || StoreFiles::is_known(path) => {}
            path => list.push(format!("`{path}`: nothing reads it")),
        }
    }
    list
}

#[cfg(test)]
mod tests;
