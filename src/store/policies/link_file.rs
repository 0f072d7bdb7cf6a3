//! `template-links.json`, read one link at a time.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use cedar_policy::{EntityTypeName, EntityUid, PolicyId, PolicySet, SlotId, Template};
use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};

use super::StorePolicies;
use crate::bundle::files::TEMPLATE_LINKS_FILE;
use crate::store::finding::{Code, Finding, Text, chain};
use crate::store::guess::nearest;
use crate::store::links::{NewLinks, TemplateLinks};

impl<'a> StorePolicies<'a> {
    /// Reads the links. Static policies and templates are there already.
    pub(super) fn read_links(&mut self, text: &'a str, findings: &mut Vec<Finding>) {
        let places = Text::new(TEMPLATE_LINKS_FILE, text);
        let mut reading = Reading {
            set: &self.set,
            places: &places,
            links: NewLinks::default(),
            templates: HashMap::new(),
            types: HashMap::new(),
            findings: Vec::new(),
        };
        let mut json = serde_json::Deserializer::from_str(text);
        let read = json.deserialize_seq(EachLink(|link| reading.add(link))).and_then(|()| json.end());
        match read {
            Ok(()) => {
                self.links = reading.finish(findings);
                self.texts.insert(TEMPLATE_LINKS_FILE, places);
            }
            Err(error) => findings.push(Finding::json(Code::LinkInvalid, TEMPLATE_LINKS_FILE, error)),
        }
    }
}

/// The links so far.
struct Reading<'r, 'a> {
    set: &'r PolicySet,
    places: &'r Text<'a>,
    links: NewLinks<'a>,
    templates: HashMap<Cow<'a, str>, Known<'r>>,
    /// The entity types, each with its number in the links. `None`: it is not a name of one.
    types: HashMap<Cow<'a, str>, Option<(EntityTypeName, usize)>>,
    findings: Vec<Finding>,
}

/// What is known of the template of a link.
#[derive(Clone)]
enum Known<'r> {
    /// There is none, but perhaps one with a similar name.
    Missing { near: Option<String> },
    /// It has these slots.
    Template { template: &'r Template, principal: bool, resource: bool, number: usize },
}

impl<'r, 'a> Reading<'r, 'a> {
    fn add(&mut self, link: LinkJson<'a>) {
        let LinkJson { id, template_id, principal, resource } = link;
        let principal = principal.and_then(|entity| self.entity(&id, entity));
        let resource = resource.and_then(|entity| self.entity(&id, entity));
        let (template, has_principal, has_resource, number) = match self.template(template_id.clone()) {
            Known::Template { template, principal, resource, number } => {
                (template, principal, resource, number)
            }
            Known::Missing { near } => {
                let position = self.places.find_string(&template_id);
                let message = format!("there is no template `{template_id}`");
                let finding = Finding::new(Code::LinkInvalid, position, message).about(&id);
                self.findings.push(match near {
                    Some(near) => finding.hint(format!("did you mean `{near}`?")),
                    None => finding,
                });
                return;
            }
        };
        let policy = PolicyId::new(&id);
        let is_taken = self.set.policy(&policy).is_some() || self.set.template(&policy).is_some();
        if is_taken || has_principal != principal.is_some() || has_resource != resource.is_some() {
            let uid = |entity: Option<Entity<'a>>| {
                let Entity { entity_type, id, .. } = entity?;
                Some(EntityUid::from_type_name_and_id(entity_type, cedar_policy::EntityId::new(id)))
            };
            let slots = [(SlotId::principal(), uid(principal)), (SlotId::resource(), uid(resource))];
            let values = slots.into_iter().filter_map(|(slot, uid)| Some((slot, uid?))).collect();
            self.findings.push(refused(self.places, template, &id, values));
            return;
        }
        let links = &mut self.links;
        let [principal, resource] = [principal, resource]
            .map(|entity| entity.map(|Entity { number, id, .. }| links.entity(number, id)));
        links.push(&id, number, principal, resource);
    }

    fn template(&mut self, id: Cow<'a, str>) -> Known<'r> {
        let Self { set, links, templates, .. } = self;
        let known = templates.entry(id).or_insert_with_key(|id| {
            let id = PolicyId::new(id);
            match set.template(&id) {
                Some(template) => Known::Template {
                    template,
                    principal: template.slots().any(|slot| *slot == SlotId::principal()),
                    resource: template.slots().any(|slot| *slot == SlotId::resource()),
                    number: links.template(&id),
                },
                None => {
                    let all = set.templates().map(|template| template.id().as_ref());
                    Known::Missing { near: nearest(id.as_ref(), all).map(str::to_owned) }
                }
            }
        });
        known.clone()
    }

    /// An entity for a slot of the link with this id.
    fn entity(&mut self, link: &str, entity: EntityIdentifier<'a>) -> Option<Entity<'a>> {
        let EntityIdentifier { entity_type, entity_id: id } = entity;
        let Self { links, types, .. } = self;
        let known = types.entry(entity_type.clone()).or_insert_with_key(|name| {
            let entity_type: EntityTypeName = name.parse().ok()?;
            let number = links.entity_type(&entity_type);
            Some((entity_type, number))
        });
        let Some((entity_type, number)) = known.clone() else {
            let message = format!("`{entity_type}` is not the name of an entity type");
            let position = self.places.find_string(&entity_type);
            self.findings.push(Finding::new(Code::LinkInvalid, position, message).about(link));
            return None;
        };
        Some(Entity { entity_type, number, id })
    }

    fn finish(self, findings: &mut Vec<Finding>) -> TemplateLinks {
        let Self { set, places, links, findings: mut found, .. } = self;
        let links = links.finish(|link| {
            if let Some(template) = set.template(link.template_id) {
                found.push(refused(places, template, link.id, link.values()));
            }
        });
        findings.append(&mut found);
        links
    }
}

/// What Cedar says of a link that it refuses, for its slots or for an id that is taken.
fn refused(places: &Text<'_>, template: &Template, id: &str, values: HashMap<SlotId, EntityUid>) -> Finding {
    let (mut set, link) = (PolicySet::new(), PolicyId::new(id));
    // INVARIANT: an empty set takes any template.
    let _ = set.add_template(template.clone());
    let mut try_link = || set.link(template.id().clone(), link.clone(), values.clone()).err();
    // If the slots fit, the id is taken.
    let error = try_link().or_else(try_link);
    let why = error.map(|error| chain(&error)).unwrap_or_default();
    let message = format!("link `{id}`: {why}");
    Finding::new(Code::LinkInvalid, places.find_string(id), message).about(id)
}

/// An entity for a slot. Its type has this number in the links.
struct Entity<'a> {
    entity_type: EntityTypeName,
    number: usize,
    id: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LinkJson<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    template_id: Cow<'a, str>,
    #[serde(borrow)]
    principal: Option<EntityIdentifier<'a>>,
    #[serde(borrow)]
    resource: Option<EntityIdentifier<'a>>,
}

/// AVP's `EntityIdentifier`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EntityIdentifier<'a> {
    #[serde(borrow)]
    entity_type: Cow<'a, str>,
    #[serde(borrow)]
    entity_id: Cow<'a, str>,
}

/// Reads an array of links, and passes on each.
struct EachLink<F>(F);

impl<'de, F: FnMut(LinkJson<'de>)> Visitor<'de> for EachLink<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut links: A) -> Result<(), A::Error> {
        while let Some(link) = links.next_element()? {
            (self.0)(link);
        }
        Ok(())
    }
}
