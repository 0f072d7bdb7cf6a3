//! The policies of a policy store: static ones, templates, and template links.

mod unprovided;
mod validation;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Display;
use std::ops::Range;
use std::str::FromStr;

use cedar_policy::{Entities, EntityId, EntityTypeName, EntityUid, Policy, PolicyId, PolicySet, SlotId};
use miette::Diagnostic;
use serde::Deserialize;
use serde_json::Value;

use super::finding::{Code, Finding, Position, Text, chain};
use super::schema::{StoreSchema, part_of, with_expectation};
use super::settings::Settings;
use super::{in_folder, read_text, sources};
use crate::bundle::files::{POLICY_FOLDER, StoreFiles, TEMPLATE_FOLDER, TEMPLATE_LINKS_FILE};
use crate::bundle::nesting;
use crate::bundle::policies::with_ancestors;
use crate::gateway::input::Input;
use crate::gateway::route::Route;
use crate::projection::Projection;
use crate::store::guess::nearest;
use crate::store::inputs::{self, InputsByAction, PolicyInputs};
use crate::token::identity_source::IdentitySource;

/// The member with the text of a policy in JSON.
const STATEMENT: &str = "statement";

/// The policies of a store, and where each came from.
#[derive(Default)]
pub(super) struct StorePolicies<'a> {
    pub(super) set: PolicySet,
    sources: HashMap<PolicyId, PolicySource<'a>>,
    texts: BTreeMap<&'a str, Text<'a>>,
}

/// Policies without files. Nothing is known of where they came from.
impl From<PolicySet> for StorePolicies<'_> {
    fn from(set: PolicySet) -> Self {
        Self { set, ..Self::default() }
    }
}

/// Where a policy came from.
struct PolicySource<'a> {
    file: &'a str,
    /// Where it is in the text of the file. `None`: the file is JSON, for which positions are not known.
    part: Option<Range<usize>>,
}

impl<'a> StorePolicies<'a> {
    pub(super) fn read(files: &'a StoreFiles, findings: &mut Vec<Finding>) -> Self {
        let mut policies = Self::default();
        let mut is_empty = files.get(TEMPLATE_LINKS_FILE).is_none();
        for folder in [POLICY_FOLDER, TEMPLATE_FOLDER] {
            for file in in_folder(files, folder, ".cedar") {
                is_empty &= folder != POLICY_FOLDER;
                if let Some(text) = read_text(files, file, findings) {
                    policies.read_file(file, text, folder, findings);
                }
            }
        }
        for file in in_folder(files, POLICY_FOLDER, ".json") {
            is_empty = false;
            if let Some(text) = read_text(files, file, findings) {
                policies.read_definition(file, text, findings);
            }
        }
        if let Some(text) = read_text(files, TEMPLATE_LINKS_FILE, findings) {
            policies.read_links(text, findings);
        }
        if is_empty {
            let at = Position::file(POLICY_FOLDER);
            findings.push(Finding::new(
                Code::PolicyMissing,
                at,
                "there are no policies: everything is denied",
            ));
        }
        policies
    }

    /// The entities that policies and templates name in their conditions.
    pub(super) fn named_entities(&self) -> Vec<EntityUid> {
        let named: BTreeSet<EntityUid> =
            self.as_json().flat_map(|(_, json)| inputs::named_entities(&json)).collect();
        named.into_iter().collect()
    }

    /// For each route, what the policies that may matter to it read in a call. `named_entities` are those from
    /// [`StorePolicies::named_entities`].
    pub(super) fn reads(
        &self,
        routes: &[Route],
        entities: &Entities,
        settings: &Settings,
        projection: &Projection,
        sources: &[IdentitySource],
        named_entities: &[EntityUid],
    ) -> Vec<BTreeSet<Input>> {
        let mut inputs = InputsByAction::default();
        self.as_json()
            .filter_map(|(_, json)| PolicyInputs::from_policy(&json))
            .for_each(|policy| inputs.add(policy));
        let mut named_types: BTreeSet<EntityTypeName> =
            named_entities.iter().map(|uid| uid.type_name().clone()).collect();
        if !named_types.is_empty() {
            named_types.extend(entities.iter().map(|entity| entity.uid().type_name().clone()));
        }
        let of_route = |route: &Route| {
            let made = route.resource.as_ref();
            let resource_type = made.map_or(settings.resource.type_name(), |made| &made.entity_type);
            let actions = with_ancestors(entities, &route.action);
            let mut reads = inputs.for_request(&actions, resource_type);
            // A parameter that does not have the type of its attribute denies, whether or not any policy reads
            // it.
            let takes_any_text = |name: &String| {
                made.is_some_and(|made| projection.text_attribute(&made.entity_type, name, "\u{1}").is_some())
            };
            if made.is_some_and(|made| !made.attributes.keys().all(takes_any_text)) {
                reads.insert(Input::PathParameters);
            }
            // Policies can see what the path says about a resource without reading `resource`: if the resource is
            // the caller, or if it may be an entity that a condition names or reaches from there.
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

    /// Where a text is first found in a policy, otherwise where the policy begins.
    fn position(&self, policy: &PolicyId, needle: &str) -> Position {
        let Some((PolicySource { part, .. }, text)) = self.source(policy) else {
            return Position::file(POLICY_FOLDER);
        };
        let part = part.clone().or_else(|| Some(text.string(policy.as_ref())?.start..text.len()));
        match part {
            Some(part) => match text.find_in(part.clone(), needle) {
                Some(found) => text.span(found..found + needle.len()),
                None => text.at(part.start),
            },
            None => text.find(needle),
        }
    }

    /// Where the effect of a policy or template stands, or where a link does.
    pub(super) fn effect_position(&self, policy: &PolicyId) -> Position {
        self.word_position(policy, |word| word == "permit" || word == "forbid")
    }

    /// Where `principal`, `action` or `resource` stands in the scope.
    pub(super) fn variable_position(&self, policy: &PolicyId, variable: &str) -> Position {
        self.word_position(policy, |word| word == variable)
    }

    fn word_position(&self, policy: &PolicyId, is_it: impl Fn(&str) -> bool) -> Position {
        match self.source(policy) {
            Some((PolicySource { part: Some(part), .. }, text)) => {
                let found = text.words_in(part.clone()).find(|(word, _)| is_it(word));
                found.map_or_else(|| text.at(part.start), |(_, word)| text.span(word))
            }
            Some((PolicySource { file, .. }, text)) if *file == TEMPLATE_LINKS_FILE => {
                text.find_string(policy.as_ref())
            }
            Some((_, text)) => text.find_string(STATEMENT),
            None => Position::file(POLICY_FOLDER),
        }
    }

    /// Where a policy names an entity, or a link does.
    pub(super) fn entity_position(&self, policy: &PolicyId, uid: &EntityUid) -> Position {
        let Some((PolicySource { part, .. }, text)) = self.source(policy) else {
            return Position::file(POLICY_FOLDER);
        };
        let (part, needle) = match part {
            Some(part) => (part.clone(), uid.to_string()),
            None => {
                let start = text.string(policy.as_ref()).map_or(0, |link| link.start);
                (start..text.len(), format!("{:?}", uid.id().unescaped()))
            }
        };
        match text.find_in(part, &needle) {
            Some(found) => text.span(found..found + needle.len()),
            None => self.effect_position(policy),
        }
    }

    /// Where the value of an annotation of a policy stands.
    pub(super) fn annotation_position(&self, policy: &PolicyId, name: &str) -> Position {
        self.position(policy, &format!("@{name}"))
    }

    /// The text of a policy or template.
    pub(super) fn text_of(&self, policy: &PolicyId) -> Option<sources::PolicySource<'_>> {
        let (PolicySource { file, part }, text) = self.source(policy)?;
        match part {
            Some(part) => {
                let text = Cow::Borrowed(text.part(part.clone())?);
                Some(sources::PolicySource { file, text, offset: Some(part.start) })
            }
            None => {
                let Definition { r#static: StaticPolicy { statement, .. } } =
                    serde_json::from_str(text.part(0..text.len())?).ok()?;
                Some(sources::PolicySource { file, text: statement.into(), offset: None })
            }
        }
    }

    /// The position of a byte offset in the text of a policy or template.
    pub(super) fn position_in(&self, policy: &PolicyId, offset: usize) -> Option<Position> {
        let (PolicySource { part, .. }, text) = self.source(policy)?;
        Some(match part {
            Some(part) => text.at(part.start + offset),
            None => text.find_string(STATEMENT),
        })
    }

    fn source(&self, policy: &PolicyId) -> Option<(&PolicySource<'a>, &Text<'a>)> {
        let source = self.sources.get(policy)?;
        Some((source, self.texts.get(source.file)?))
    }

    fn finding(&self, code: Code, diagnostic: &(impl Diagnostic + Display), policy: &PolicyId) -> Finding {
        let position = match (self.source(policy), part_of(diagnostic)) {
            (Some((PolicySource { part: Some(part), .. }, text)), found) => {
                let found = found.unwrap_or_default();
                text.span(part.start + found.start..part.start + found.end)
            }
            (Some((PolicySource { file, .. }, text)), _) if *file == TEMPLATE_LINKS_FILE => {
                text.find_string(policy.as_ref())
            }
            (Some((_, text)), _) => text.find_string(STATEMENT),
            (None, _) => Position::file(POLICY_FOLDER),
        };
        let finding = Finding::new(code, position, diagnostic).about(policy);
        match diagnostic.help() {
            Some(help) => finding.hint(help.to_string()),
            None => finding,
        }
    }

    fn read_file(&mut self, file: &'a str, text: &'a str, folder: &str, findings: &mut Vec<Finding>) {
        let places = Text::new(file, text);
        let starts = match nesting::policies(text) {
            Ok(starts) => starts,
            Err(too_deep) => {
                findings.push(Finding::new(Code::PolicyTooDeep, places.at(too_deep.offset), too_deep));
                return;
            }
        };
        let ends = starts.iter().skip(1).copied().chain([text.len()]);
        let parts = starts.iter().zip(ends).map(|(start, end)| *start..end);
        let mut parsed: Vec<(Range<usize>, PolicySet)> = Vec::new();
        let before = findings.len();
        // One policy at a time: Cedar caches diagnostics of a policy by a hash of the whole text from which it
        // was read.
        for part in parts {
            match PolicySet::from_str(text.get(part.clone()).unwrap_or_default()) {
                Ok(policies) => parsed.push((part, policies)),
                Err(errors) => findings.extend(errors.iter().map(|error| {
                    let position = part_of(error)
                        .map(|found| places.span(part.start + found.start..part.start + found.end));
                    let position = position.unwrap_or_else(|| places.whole());
                    Finding::new(Code::PolicyInvalid, position, with_expectation(error))
                })),
            }
        }
        if findings.len() > before {
            return;
        }
        self.texts.insert(file, places);
        let stem = stem(file);
        let mut misplaced = |what: &str, other: &str| {
            let message = format!("a {what} stands in `{folder}/`");
            let at = Position::file(file);
            findings
                .push(Finding::new(Code::PolicyInvalid, at, message).hint(format!("move it to `{other}/`")));
        };
        if folder == POLICY_FOLDER && parsed.iter().any(|(_, parsed)| parsed.templates().next().is_some()) {
            return misplaced("template", TEMPLATE_FOLDER);
        }
        if folder == TEMPLATE_FOLDER && parsed.iter().any(|(_, parsed)| parsed.policies().next().is_some()) {
            return misplaced("static policy", POLICY_FOLDER);
        }
        for (number, (part, parsed)) in parsed.iter().enumerate() {
            let source = || PolicySource { file, part: Some(part.clone()) };
            for policy in parsed.policies() {
                let id = id_of(number, policy.annotation("id"), stem);
                let added = self.set.add(policy.new_id(id.clone())).is_ok();
                self.note(id, added, source(), findings);
            }
            for template in parsed.templates() {
                let id = id_of(number, template.annotation("id"), stem);
                let added = self.set.add_template(template.new_id(id.clone())).is_ok();
                self.note(id, added, source(), findings);
            }
        }
    }

    /// Reads a static policy in the JSON that AVP's `CreatePolicy` takes as its definition.
    fn read_definition(&mut self, file: &'a str, text: &'a str, findings: &mut Vec<Finding>) {
        let Definition { r#static: StaticPolicy { statement, description: _ } } =
            match serde_json::from_str(text) {
                Ok(definition) => definition,
                Err(error) => {
                    findings.push(Finding::json(Code::PolicyInvalid, file, error));
                    return;
                }
            };
        let places = Text::new(file, text);
        if let Err(too_deep) = nesting::policies(&statement) {
            findings.push(Finding::new(Code::PolicyTooDeep, places.find_string(STATEMENT), too_deep));
            return;
        }
        let stem = stem(file);
        match Policy::parse(None, &statement) {
            Ok(policy) => {
                let id = PolicyId::new(policy.annotation("id").unwrap_or(stem));
                let added = self.set.add(policy.new_id(id.clone())).is_ok();
                self.texts.insert(file, places);
                self.note(id, added, PolicySource { file, part: None }, findings);
            }
            Err(errors) => {
                let position = places.find_string(STATEMENT);
                findings.extend(errors.iter().map(|error| {
                    Finding::new(Code::PolicyInvalid, position.clone(), with_expectation(error))
                }));
            }
        }
    }

    fn read_links(&mut self, text: &'a str, findings: &mut Vec<Finding>) {
        let links: Vec<TemplateLink> = match serde_json::from_str(text) {
            Ok(links) => links,
            Err(error) => {
                findings.push(Finding::json(Code::LinkInvalid, TEMPLATE_LINKS_FILE, error));
                return;
            }
        };
        let places = Text::new(TEMPLATE_LINKS_FILE, text);
        for link in links {
            let TemplateLink { id, template_id, principal, resource } = link;
            let mut problem = |needle: &str, message: String| {
                findings
                    .push(Finding::new(Code::LinkInvalid, places.find_string(needle), message).about(&id));
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
                let position = places.find_string(&template_id);
                let message = format!("there is no template `{template_id}`");
                let finding = Finding::new(Code::LinkInvalid, position, message).about(&id);
                let near = nearest(&template_id, self.set.templates().map(|template| template.id().as_ref()));
                findings.push(match near {
                    Some(near) => finding.hint(format!("did you mean `{near}`?")),
                    None => finding,
                });
                continue;
            }
            let link_id = PolicyId::new(&id);
            match self.set.link(template, link_id.clone(), values) {
                Ok(()) => {
                    self.sources.insert(link_id, PolicySource { file: TEMPLATE_LINKS_FILE, part: None });
                }
                Err(error) => problem(&id, format!("link `{id}`: {}", chain(&error))),
            }
        }
        self.texts.insert(TEMPLATE_LINKS_FILE, places);
    }

    fn note(&mut self, id: PolicyId, added: bool, source: PolicySource<'a>, findings: &mut Vec<Finding>) {
        if added {
            self.sources.insert(id, source);
            return;
        }
        let PolicySource { file, part } = source;
        let place = part.zip(self.texts.get(file)).and_then(|(part, text)| {
            let offset = text.find_in(part, "@id(")?;
            Some(text.at(offset))
        });
        let first = self.sources.get(&id).map_or("", |source| source.file);
        let message = format!("the id `{id}` is taken by a policy of `{first}`");
        let position = place.unwrap_or_else(|| Position::file(file));
        findings.push(Finding::new(Code::PolicyDuplicate, position, message));
    }
}

/// The name of a file without its folders and extension.
fn stem(file: &str) -> &str {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// The id: that of the annotation `@id`, otherwise the stem of the file and the number of the policy in it, from
/// 1.
fn id_of(number: usize, annotation: Option<&str>, stem: &str) -> PolicyId {
    match annotation {
        Some(id) => PolicyId::new(id),
        None => PolicyId::new(format!("{stem}#{}", number + 1)),
    }
}

/// AVP's `PolicyDefinition`. Its templates have files of their own here.
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
