//! The policies of a policy store: static ones, templates, and template links.

mod facts;
mod link_file;
mod reading;
mod shape;
mod shapes;
mod unprovided;
mod validation;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Display;
use std::ops::Range;

use cedar_policy::{Entities, EntityTypeName, EntityUid, PolicyId, PolicySet};
use miette::Diagnostic;
use rayon::prelude::*;

use super::finding::{Code, Finding, Position, Text};
use super::links::TemplateLinks;
use super::schema::{StoreSchema, part_of};
use super::settings::Settings;
use super::statement::Statement;
use super::{in_folder, read_text, sources};
use crate::bundle::files::{POLICY_FOLDER, StoreFiles, TEMPLATE_FOLDER, TEMPLATE_LINKS_FILE};
use crate::bundle::policies::with_ancestors;
use crate::gateway::input::Input;
use crate::gateway::route::Route;
use crate::projection::Projection;
use crate::store::inputs::InputsByAction;
use crate::token::identity_source::IdentitySource;
pub(super) use facts::Facts;
use reading::{Definition, Form, PlacedStatement, ReadFile, STATEMENT, StaticPolicy};
use shapes::Shapes;

/// The policies of a store, and where each came from.
#[derive(Default)]
pub(super) struct StorePolicies<'a> {
    /// Static policies and templates.
    pub(super) set: PolicySet,
    pub(super) links: TemplateLinks,
    /// What policies have in common. Empty until they are [analysed](StorePolicies::analyse).
    shapes: Shapes,
    /// Where static policies and templates came from. Links have a file of their own.
    sources: HashMap<PolicyId, PolicySource<'a>>,
    texts: BTreeMap<&'a str, Text<'a>>,
}

/// Policies without files. Nothing is known of where they came from.
impl From<PolicySet> for StorePolicies<'_> {
    fn from(set: PolicySet) -> Self {
        let (set, links) = TemplateLinks::split(set);
        Self { set, links, ..Self::default() }
    }
}

/// Where a policy came from.
#[derive(Clone)]
struct PolicySource<'a> {
    file: &'a str,
    /// Where it is in the text of the file. `None`: the file is JSON, for which positions are not known.
    part: Option<Range<usize>>,
    /// From where in that text Cedar counts when it points to something in the policy.
    origin: usize,
}

impl<'a> StorePolicies<'a> {
    pub(super) fn read(files: &'a StoreFiles, findings: &mut Vec<Finding>) -> Self {
        let mut policies = Self::default();
        let mut is_empty = files.get(TEMPLATE_LINKS_FILE).is_none();
        let mut texts = Vec::new();
        for folder in [POLICY_FOLDER, TEMPLATE_FOLDER] {
            for file in in_folder(files, folder, ".cedar") {
                is_empty &= folder != POLICY_FOLDER;
                let text = read_text(files, file, findings);
                texts.extend(text.map(|text| (file, text, Form::Cedar { folder })));
            }
        }
        for file in in_folder(files, POLICY_FOLDER, ".json") {
            is_empty = false;
            let text = read_text(files, file, findings);
            texts.extend(text.map(|text| (file, text, Form::Definition)));
        }
        let read: Vec<ReadFile<'a>> =
            texts.into_par_iter().map(|(file, text, form)| ReadFile::read(file, text, form)).collect();
        for file in read {
            policies.add_file(file, findings);
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
        let named: BTreeSet<&EntityUid> =
            self.shapes.facts().flat_map(|facts| &facts.named_entities).collect();
        named.into_iter().cloned().collect()
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
        if routes.is_empty() {
            return Vec::new();
        }
        let mut inputs = InputsByAction::default();
        self.shapes.facts().filter_map(|facts| facts.inputs.clone()).for_each(|policy| inputs.add(policy));
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

    /// Finds out what policies have in common, before anything else is asked about them. `schema` says which ids
    /// matter.
    pub(super) fn analyse(&mut self, schema: Option<&StoreSchema>) {
        let none = BTreeSet::new();
        let enumerated = schema.map_or(&none, |schema| &schema.enumerated);
        self.shapes = Shapes::of(self, enumerated);
    }

    /// What the conditions of a static policy or template read and name. `None`: Cedar cannot write it as JSON.
    pub(super) fn facts(&self, policy: &PolicyId) -> Option<&Facts> {
        self.shapes.of_policy(policy)
    }

    /// The same for all static policies and templates, once where it is the same.
    pub(super) fn all_facts(&self) -> impl Iterator<Item = &Facts> {
        self.shapes.facts()
    }

    /// The number of the shape of a static policy or template.
    pub(super) fn shape(&self, policy: &PolicyId) -> Option<usize> {
        self.shapes.number(policy)
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
            Some((PolicySource { file: TEMPLATE_LINKS_FILE, .. }, text)) => text.find_string(policy.as_ref()),
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
        let (PolicySource { file, part, .. }, text) = self.source(policy)?;
        match part {
            None if file == TEMPLATE_LINKS_FILE => None,
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

    /// The text of a policy or template in a file of Cedar's syntax.
    fn cedar_text(&self, policy: &PolicyId) -> Option<&str> {
        let PolicySource { file, part, .. } = self.sources.get(policy)?;
        self.texts.get(file)?.part(part.clone()?)
    }

    /// The position of a byte offset in the text of a policy or template.
    pub(super) fn position_in(&self, policy: &PolicyId, offset: usize) -> Option<Position> {
        let (PolicySource { part, .. }, text) = self.source(policy)?;
        Some(match part {
            Some(part) => text.at(part.start + offset),
            None => text.find_string(STATEMENT),
        })
    }

    fn source(&self, policy: &PolicyId) -> Option<(PolicySource<'a>, &Text<'a>)> {
        // What is in no other file is a link.
        let link = || PolicySource { file: TEMPLATE_LINKS_FILE, part: None, origin: 0 };
        let source = self.sources.get(policy).cloned().unwrap_or_else(link);
        let text = self.texts.get(source.file)?;
        Some((source, text))
    }

    fn finding(&self, code: Code, diagnostic: &(impl Diagnostic + Display), policy: &PolicyId) -> Finding {
        let position = match (self.source(policy), part_of(diagnostic)) {
            (Some((PolicySource { part: Some(part), origin, .. }, text)), found) => match found {
                Some(found) => text.span(origin + found.start..origin + found.end),
                None => text.at(part.start),
            },
            (Some((PolicySource { file: TEMPLATE_LINKS_FILE, .. }, text)), _) => {
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

    fn add_file(
        &mut self,
        ReadFile { file, text, form, content }: ReadFile<'a>,
        findings: &mut Vec<Finding>,
    ) {
        let statements = match content {
            Ok(statements) => statements,
            Err(mistakes) => return findings.extend(mistakes),
        };
        self.texts.insert(file, Text::new(file, text));
        let is_misplaced = |PlacedStatement { statement, .. }: &&PlacedStatement| match form {
            Form::Cedar { folder: TEMPLATE_FOLDER } => matches!(statement, Statement::Static(_)),
            Form::Cedar { .. } => matches!(statement, Statement::Template(_)),
            Form::Definition => false,
        };
        if let (Form::Cedar { folder }, Some(misplaced)) = (form, statements.iter().find(is_misplaced)) {
            let (what, other) = match misplaced.statement {
                Statement::Static(_) => ("static policy", POLICY_FOLDER),
                Statement::Template(_) => ("template", TEMPLATE_FOLDER),
            };
            let finding = Finding::new(
                Code::PolicyInvalid,
                Position::file(file),
                format_args!("a {what} stands in `{folder}/`"),
            );
            return findings.push(finding.hint(format!("move it to `{other}/`")));
        }
        for PlacedStatement { part, origin, statement } in statements {
            let (id, added) = match statement {
                Statement::Static(policy) => (policy.id().clone(), self.set.add(policy).is_ok()),
                Statement::Template(template) => {
                    (template.id().clone(), self.set.add_template(template).is_ok())
                }
            };
            self.note(id, added, PolicySource { file, part, origin }, findings);
        }
    }

    fn note(&mut self, id: PolicyId, added: bool, source: PolicySource<'a>, findings: &mut Vec<Finding>) {
        if added {
            self.sources.insert(id, source);
            return;
        }
        let PolicySource { file, part, .. } = source;
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
