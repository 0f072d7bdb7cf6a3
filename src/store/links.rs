//! Template links, kept small: a store may have a million of them.
//!
//! As a policy of Cedar, a link takes some kilobytes, mostly for what it has in common with its template. Here it
//! takes what is in its file, and an entity that many links name is kept once.

use std::borrow::Cow;
use std::collections::HashMap;
use std::str::FromStr;
use std::{fmt, mem};

use cedar_policy::{EntityId, EntityTypeName, EntityUid, Policy, PolicyId, PolicySet, SlotId};
use rayon::prelude::*;

/// The template links of a store, in the order of their ids.
#[derive(Clone, Default)]
pub struct TemplateLinks {
    /// In the order of their ids.
    links: Vec<StoredLink>,
    templates: Vec<PolicyId>,
    types: Vec<EntityTypeName>,
    entities: Vec<StoredEntity>,
    texts: Texts,
}

/// A link: where its parts are in [`TemplateLinks`].
#[derive(Clone, Copy)]
struct StoredLink {
    id: usize,
    template: usize,
    principal: Option<usize>,
    resource: Option<usize>,
}

/// An entity: its type, and the text of its id.
#[derive(Clone, Copy)]
struct StoredEntity {
    entity_type: usize,
    id: usize,
}

/// Many short texts in one piece of memory.
#[derive(Clone, Default)]
struct Texts {
    text: String,
    /// Where each ends.
    ends: Vec<usize>,
}

/// A template with its slots filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TemplateLink<'a> {
    /// The id by which decisions name it.
    pub id: &'a str,
    /// The template.
    pub template_id: &'a PolicyId,
    /// What is in the slot for the principal. `None`: the template has none.
    pub principal: Option<LinkedEntity<'a>>,
    /// What is in the slot for the resource. `None`: the template has none.
    pub resource: Option<LinkedEntity<'a>>,
}

/// An entity in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkedEntity<'a> {
    /// Its type.
    pub entity_type: &'a EntityTypeName,
    /// Its id.
    pub id: &'a str,
    /// Its number in [`TemplateLinks`]: the same in all links that name it.
    pub(in crate::store) number: usize,
}

impl TemplateLinks {
    /// Takes the links out of a set of policies.
    pub(in crate::store) fn split(set: PolicySet) -> (PolicySet, Self) {
        if set.policies().all(Policy::is_static) {
            return (set, Self::default());
        }
        let mut rest = PolicySet::new();
        let mut links = NewLinks::default();
        // INVARIANT: each id is in the set once, so it is in the new one once.
        for template in set.templates() {
            let _ = rest.add_template(template.clone());
        }
        for policy in set.policies() {
            let (Some(template), Some(values)) = (policy.template_id(), policy.template_links()) else {
                let _ = rest.add(policy.clone());
                continue;
            };
            let template = links.template(template);
            let mut entity = |slot| {
                let uid: &EntityUid = values.get(&slot)?;
                let entity_type = links.entity_type(uid.type_name());
                Some(links.entity(entity_type, uid.id().unescaped().to_owned().into()))
            };
            let (principal, resource) = (entity(SlotId::principal()), entity(SlotId::resource()));
            links.push(policy.id().as_ref(), template, principal, resource);
        }
        (rest, links.finish(|_| {}))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.links.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// All of them, in the order of their ids.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = TemplateLink<'_>> {
        self.links.iter().filter_map(|link| self.link(*link))
    }

    /// The same, on all processors.
    pub(in crate::store) fn par_iter(&self) -> impl ParallelIterator<Item = TemplateLink<'_>> {
        self.links.par_iter().filter_map(|link| self.link(*link))
    }

    /// The link with this id.
    pub fn get(&self, id: &str) -> Option<TemplateLink<'_>> {
        let found = self.links.binary_search_by(|link| self.texts.get(link.id).cmp(id)).ok()?;
        self.link(*self.links.get(found)?)
    }

    /// The templates that have links.
    pub fn templates(&self) -> &[PolicyId] {
        &self.templates
    }

    /// The different entities in slots.
    pub fn entities(&self) -> impl Iterator<Item = LinkedEntity<'_>> {
        (0..self.entities.len()).filter_map(|number| self.entity(number))
    }

    /// `None` does not happen: a link is made of parts that are there.
    fn link(&self, StoredLink { id, template, principal, resource }: StoredLink) -> Option<TemplateLink<'_>> {
        let entity = |number: Option<usize>| match number {
            Some(number) => self.entity(number).map(Some),
            None => Some(None),
        };
        Some(TemplateLink {
            id: self.texts.get(id),
            template_id: self.templates.get(template)?,
            principal: entity(principal)?,
            resource: entity(resource)?,
        })
    }

    fn entity(&self, number: usize) -> Option<LinkedEntity<'_>> {
        let StoredEntity { entity_type, id } = *self.entities.get(number)?;
        Some(LinkedEntity { entity_type: self.types.get(entity_type)?, id: self.texts.get(id), number })
    }
}

impl fmt::Debug for TemplateLinks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl TemplateLink<'_> {
    /// The slots with their entities, as Cedar takes them.
    pub fn values(&self) -> HashMap<SlotId, EntityUid> {
        let slots = [(SlotId::principal(), self.principal), (SlotId::resource(), self.resource)];
        slots.into_iter().filter_map(|(slot, entity)| Some((slot, entity?.uid()))).collect()
    }
}

impl LinkedEntity<'_> {
    /// The entity, as Cedar has it.
    pub fn uid(&self) -> EntityUid {
        EntityUid::from_type_name_and_id(self.entity_type.clone(), EntityId::new(self.id))
    }

    /// Whether it is this entity.
    pub(in crate::store) fn is(&self, uid: &EntityUid) -> bool {
        self.id == uid.id().unescaped() && self.entity_type == uid.type_name()
    }
}

/// The entities that the text of a template names: in its scope, without the slots, and in its conditions.
pub(in crate::store) fn literals_of(template: &PolicyId, set: &PolicySet) -> Vec<EntityUid> {
    let Some(template) = set.template(template) else {
        return Vec::new();
    };
    // Cedar says it of policies only. What is in the slots does not matter.
    let (mut set, id) = (PolicySet::new(), PolicyId::new(format!("{}#link", template.id())));
    let anyone = EntityUid::from_str("Any::\"\"").ok();
    let values = template.slots().filter_map(|slot| Some((slot.clone(), anyone.clone()?))).collect();
    if set.add_template(template.clone()).is_err()
        || set.link(template.id().clone(), id.clone(), values).is_err()
    {
        return Vec::new();
    }
    set.policy(&id).map(Policy::entity_literals).unwrap_or_default()
}

/// Links that are being read.
#[derive(Default)]
pub(in crate::store) struct NewLinks<'a> {
    links: TemplateLinks,
    known_types: HashMap<EntityTypeName, usize>,
    known_templates: HashMap<PolicyId, usize>,
    known_entities: HashMap<(usize, Cow<'a, str>), usize>,
}

impl<'a> NewLinks<'a> {
    /// The number of a template.
    pub(in crate::store) fn template(&mut self, template: &PolicyId) -> usize {
        if let Some(number) = self.known_templates.get(template) {
            return *number;
        }
        let number = self.links.templates.len();
        self.links.templates.push(template.clone());
        self.known_templates.insert(template.clone(), number);
        number
    }

    /// The number of an entity type.
    pub(in crate::store) fn entity_type(&mut self, entity_type: &EntityTypeName) -> usize {
        if let Some(number) = self.known_types.get(entity_type) {
            return *number;
        }
        let number = self.links.types.len();
        self.links.types.push(entity_type.clone());
        self.known_types.insert(entity_type.clone(), number);
        number
    }

    /// The number of an entity.
    pub(in crate::store) fn entity(&mut self, entity_type: usize, id: Cow<'a, str>) -> usize {
        let links = &mut self.links;
        *self.known_entities.entry((entity_type, id)).or_insert_with_key(|(entity_type, id)| {
            let id = links.texts.push(id);
            links.entities.push(StoredEntity { entity_type: *entity_type, id });
            links.entities.len() - 1
        })
    }

    /// Adds a link of what has these numbers.
    pub(in crate::store) fn push(
        &mut self,
        id: &str,
        template: usize,
        principal: Option<usize>,
        resource: Option<usize>,
    ) {
        let id = self.links.texts.push(id);
        self.links.links.push(StoredLink { id, template, principal, resource });
    }

    /// The links. Of several with one id, the first stays, and each other is passed to `is_taken`.
    pub(in crate::store) fn finish(self, mut is_taken: impl FnMut(TemplateLink<'_>)) -> TemplateLinks {
        let Self { links: mut new, .. } = self;
        let mut links = mem::take(&mut new.links);
        let id = |link: &StoredLink| new.texts.get(link.id);
        // Stable: those with one id stay in the order of the file.
        links.par_sort_by(|a, b| id(a).cmp(id(b)));
        let mut first: Option<StoredLink> = None;
        links.retain(|link| {
            let is_new = first.as_ref().is_none_or(|first| id(first) != id(link));
            if is_new {
                first = Some(*link);
            } else if let Some(link) = new.link(*link) {
                is_taken(link);
            }
            is_new
        });
        links.shrink_to_fit();
        new.links = links;
        new
    }
}

impl Texts {
    /// Adds a text. Returns its number.
    fn push(&mut self, text: &str) -> usize {
        self.text.push_str(text);
        self.ends.push(self.text.len());
        self.ends.len() - 1
    }

    fn get(&self, number: usize) -> &str {
        let start = number.checked_sub(1).and_then(|before| self.ends.get(before)).copied();
        let end = self.ends.get(number).copied();
        end.and_then(|end| self.text.get(start.unwrap_or_default()..end)).unwrap_or_default()
    }
}
