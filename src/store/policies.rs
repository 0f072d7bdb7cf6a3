//! The policies of a policy store: static ones, templates, and template links.

mod unprovided;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Display;
use std::str::FromStr;

use cedar_policy::{
    Entities, EntityId, EntityTypeName, EntityUid, Policy, PolicyId, PolicySet, SlotId, ValidationMode,
    Validator,
};
use miette::Diagnostic;
use serde::Deserialize;
use serde_json::Value;

use super::StoreFiles;
use super::finding::{Code, Finding, Position, chain};
use super::schema::{StoreSchema, offset_of, with_expectation};
use super::settings::Settings;
use crate::identity_source::IdentitySource;
use crate::inputs::{self, Input, PolicyInputs};
use crate::projection::Projection;
use crate::route::Route;
use crate::slice::with_ancestors;

pub(super) const STATIC_FOLDER: &str = "policies";
pub(super) const TEMPLATE_FOLDER: &str = "templates";
pub(super) const LINKS_FILE: &str = "template-links.json";

/// The policies of a store, and which file each came from.
#[derive(Default)]
pub(super) struct Policies {
    pub(super) set: PolicySet,
    files: BTreeMap<PolicyId, String>,
}

impl Policies {
    pub(super) fn read(files: &StoreFiles, findings: &mut Vec<Finding>) -> Self {
        let mut policies = Self::default();
        let mut is_empty = files.get(LINKS_FILE).is_none();
        for folder in [STATIC_FOLDER, TEMPLATE_FOLDER] {
            for file in files.in_folder(folder, ".cedar") {
                is_empty &= folder != STATIC_FOLDER;
                if let Some(text) = files.text(file, findings) {
                    policies.read_file(file, text, folder, findings);
                }
            }
        }
        for file in files.in_folder(STATIC_FOLDER, ".json") {
            is_empty = false;
            if let Some(text) = files.text(file, findings) {
                policies.read_definition(file, text, findings);
            }
        }
        if let Some(text) = files.text(LINKS_FILE, findings) {
            policies.read_links(text, findings);
        }
        if is_empty {
            let at = Position::file(STATIC_FOLDER);
            findings.push(Finding::new(
                Code::PolicyMissing,
                at,
                "there are no policies: everything is denied",
            ));
        }
        policies
    }

    /// Validates all policies against the schema, strictly.
    pub(super) fn validate(&self, files: &StoreFiles, schema: &StoreSchema, findings: &mut Vec<Finding>) {
        let result = Validator::new(schema.schema.clone()).validate(&self.set, ValidationMode::Strict);
        for error in result.validation_errors() {
            findings.push(self.finding(Code::PolicyMismatch, error, error.policy_id(), files));
        }
        for warning in result.validation_warnings() {
            findings.push(self.finding(Code::PolicyWarning, warning, warning.policy_id(), files));
        }
    }

    /// The entities that policies and templates name in their conditions.
    pub(super) fn named_entities(&self) -> Vec<EntityUid> {
        let named: BTreeSet<EntityUid> =
            self.as_json().flat_map(|(_, json)| inputs::named_entities(&json)).collect();
        named.into_iter().collect()
    }

    /// For each route, what the policies that may matter to it read of a call. `named_entities` are those of
    /// [`Policies::named_entities`].
    pub(super) fn reads(
        &self,
        routes: &[Route],
        entities: &Entities,
        settings: &Settings,
        projection: &Projection,
        sources: &[IdentitySource],
        named_entities: &[EntityUid],
    ) -> Vec<BTreeSet<Input>> {
        let policies: Vec<PolicyInputs> =
            self.as_json().filter_map(|(_, json)| PolicyInputs::of(&json)).collect();
        let mut named_types: BTreeSet<EntityTypeName> =
            named_entities.iter().map(|uid| uid.type_name().clone()).collect();
        if !named_types.is_empty() {
            named_types.extend(entities.iter().map(|entity| entity.uid().type_name().clone()));
        }
        let of_route = |route: &Route| {
            let made = route.resource.as_ref();
            let resource_type = made.map_or(settings.resource.type_name(), |made| &made.entity_type);
            let actions = with_ancestors(entities, &route.action);
            let matching =
                policies.iter().filter_map(|policy| policy.for_request(actions.iter(), resource_type));
            let mut reads: BTreeSet<Input> = matching.flatten().cloned().collect();
            // A parameter that is not of the type of its attribute denies, whether or not anything reads it.
            let takes_any_text = |name: &String| {
                made.is_some_and(|made| projection.text_attribute(&made.entity_type, name, "\u{1}").is_some())
            };
            if made.is_some_and(|made| !made.attributes.keys().all(takes_any_text)) {
                reads.insert(Input::PathParameters);
            }
            // What the path says of a resource is seen without asking for it, if the resource is the caller, or may be
            // what a condition names or comes to from there.
            let is_seen = |entity_type: &EntityTypeName| {
                sources.iter().any(|source| source.principal_type() == entity_type)
                    || named_types.contains(entity_type)
            };
            if made.is_some_and(|made| !made.attributes.is_empty() && is_seen(&made.entity_type)) {
                reads.insert(Input::Resource);
            }
            reads
        };
        routes.iter().map(of_route).collect()
    }

    /// Static policies and templates in Cedar's JSON form.
    fn as_json(&self) -> impl Iterator<Item = (&PolicyId, Value)> {
        let policies = self.set.policies().filter(|policy| policy.is_static());
        let policies = policies.filter_map(|policy| Some((policy.id(), policy.to_json().ok()?)));
        let templates =
            self.set.templates().filter_map(|template| Some((template.id(), template.to_json().ok()?)));
        policies.chain(templates)
    }

    /// Where a text first stands in the file of a policy, from its id on if that is there.
    fn position(&self, policy: &PolicyId, files: &StoreFiles, needle: &str) -> Position {
        let file = self.files.get(policy).map_or(STATIC_FOLDER, String::as_str);
        let text = files.get(file).and_then(|content| std::str::from_utf8(content).ok()).unwrap_or_default();
        let start = text.find(&format!("\"{policy}\"")).unwrap_or_default();
        let found = text.get(start..).and_then(|rest| rest.find(needle));
        match found {
            Some(offset) => Position::offset(file, text, start + offset),
            None => Position::find(file, text, needle),
        }
    }

    fn finding(
        &self,
        code: Code,
        diagnostic: &(impl Diagnostic + Display),
        policy: &PolicyId,
        files: &StoreFiles,
    ) -> Finding {
        let file = self.files.get(policy).map_or(STATIC_FOLDER, String::as_str);
        let text = files.get(file).and_then(|content| std::str::from_utf8(content).ok());
        let position = match (text, offset_of(diagnostic)) {
            (Some(text), Some(offset)) if file != LINKS_FILE => Position::offset(file, text, offset),
            (Some(text), _) => Position::find(file, text, &format!("\"{policy}\"")),
            (None, _) => Position::file(file),
        };
        let finding = Finding::new(code, position, diagnostic);
        match diagnostic.help() {
            Some(help) => finding.hint(help.to_string()),
            None => finding,
        }
    }

    fn read_file(&mut self, file: &str, text: &str, folder: &str, findings: &mut Vec<Finding>) {
        let parsed = match PolicySet::from_str(text) {
            Ok(parsed) => parsed,
            Err(errors) => {
                findings.extend(errors.iter().map(|error| {
                    let position = offset_of(error)
                        .map_or_else(|| Position::file(file), |offset| Position::offset(file, text, offset));
                    Finding::new(Code::PolicyInvalid, position, with_expectation(error))
                }));
                return;
            }
        };
        let stem = stem(file);
        let mut misplaced = |what: &str, other: &str| {
            let message = format!("a {what} stands in `{folder}/`");
            let at = Position::file(file);
            findings
                .push(Finding::new(Code::PolicyInvalid, at, message).hint(format!("move it to `{other}/`")));
        };
        if folder == STATIC_FOLDER && parsed.templates().next().is_some() {
            return misplaced("template", TEMPLATE_FOLDER);
        }
        if folder == TEMPLATE_FOLDER && parsed.policies().next().is_some() {
            return misplaced("static policy", STATIC_FOLDER);
        }
        for policy in parsed.policies() {
            let id = id_of(policy.id(), policy.annotation("id"), stem);
            let added = self.set.add(policy.new_id(id.clone())).is_ok();
            self.note(id, added, file, text, findings);
        }
        for template in parsed.templates() {
            let id = id_of(template.id(), template.annotation("id"), stem);
            let added = self.set.add_template(template.new_id(id.clone())).is_ok();
            self.note(id, added, file, text, findings);
        }
    }

    /// Reads a static policy in the JSON that AVP's `CreatePolicy` takes as its definition.
    fn read_definition(&mut self, file: &str, text: &str, findings: &mut Vec<Finding>) {
        let Definition { r#static: StaticPolicy { statement, description: _ } } =
            match serde_json::from_str(text) {
                Ok(definition) => definition,
                Err(error) => {
                    findings.push(Finding::json(Code::PolicyInvalid, file, error));
                    return;
                }
            };
        let stem = stem(file);
        match Policy::parse(None, &statement) {
            Ok(policy) => {
                let id = PolicyId::new(policy.annotation("id").unwrap_or(stem));
                let added = self.set.add(policy.new_id(id.clone())).is_ok();
                self.note(id, added, file, text, findings);
            }
            Err(errors) => {
                let position = Position::find(file, text, "\"statement\"");
                findings.extend(errors.iter().map(|error| {
                    Finding::new(Code::PolicyInvalid, position.clone(), with_expectation(error))
                }));
            }
        }
    }

    fn read_links(&mut self, text: &str, findings: &mut Vec<Finding>) {
        let links: Vec<TemplateLink> = match serde_json::from_str(text) {
            Ok(links) => links,
            Err(error) => {
                findings.push(Finding::json(Code::LinkInvalid, LINKS_FILE, error));
                return;
            }
        };
        for link in links {
            let TemplateLink { id, template_id, principal, resource } = link;
            let mut problem = |needle: &str, message: String| {
                let position = Position::find(LINKS_FILE, text, &format!("{needle:?}"));
                findings.push(Finding::new(Code::LinkInvalid, position, message));
            };
            let mut values = HashMap::new();
            for (slot, entity) in [(SlotId::principal(), principal), (SlotId::resource(), resource)] {
                let Some(EntityIdentifier { entity_type, entity_id }) = entity else {
                    continue;
                };
                match entity_type.parse() {
                    Ok(entity_type) => {
                        let uid = EntityUid::from_type_name_and_id(entity_type, EntityId::new(entity_id));
                        values.insert(slot, uid);
                    }
                    Err(_) => {
                        problem(&entity_type, format!("`{entity_type}` is not the name of an entity type"))
                    }
                }
            }
            let template = PolicyId::new(&template_id);
            if self.set.template(&template).is_none() {
                problem(&template_id, format!("there is no template `{template_id}`"));
                continue;
            }
            let link_id = PolicyId::new(&id);
            match self.set.link(template, link_id.clone(), values) {
                Ok(()) => {
                    self.files.insert(link_id, LINKS_FILE.to_owned());
                }
                Err(error) => problem(&id, format!("link `{id}`: {}", chain(&error))),
            }
        }
    }

    fn note(&mut self, id: PolicyId, added: bool, file: &str, text: &str, findings: &mut Vec<Finding>) {
        if added {
            self.files.insert(id, file.to_owned());
            return;
        }
        let needle = format!("@id({:?})", id.to_string());
        let position = match text.rfind(&needle) {
            Some(offset) => Position::offset(file, text, offset),
            None => Position::file(file),
        };
        let first = self.files.get(&id).map_or("", String::as_str);
        let message = format!("the id `{id}` is taken by a policy of `{first}`");
        findings.push(Finding::new(Code::PolicyDuplicate, position, message));
    }
}

/// The name of a file without folders and extension.
fn stem(file: &str) -> &str {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// The id that `@id` gives, else the stem of the file and the number of the policy in it.
fn id_of(parsed: &PolicyId, annotation: Option<&str>, stem: &str) -> PolicyId {
    if let Some(id) = annotation {
        return PolicyId::new(id);
    }
    // Cedar numbers the policies of one text from zero: `policy0`, `policy1`, ...
    let number = parsed.to_string().strip_prefix("policy").and_then(|number| number.parse::<usize>().ok());
    PolicyId::new(format!("{stem}#{}", number.map_or(1, |number| number + 1)))
}

/// AVP's `PolicyDefinition`, of which templates have files of their own here.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Definition {
    r#static: StaticPolicy,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StaticPolicy {
    statement: String,
    #[serde(default)]
    #[expect(dead_code, reason = "part of AVP's definition")]
    description: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TemplateLink {
    id: String,
    template_id: String,
    principal: Option<EntityIdentifier>,
    resource: Option<EntityIdentifier>,
}

/// AVP's `EntityIdentifier`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EntityIdentifier {
    entity_type: String,
    entity_id: String,
}
