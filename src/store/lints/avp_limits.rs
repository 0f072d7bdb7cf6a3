//! What is too large for Verified Permissions.
//!
//! All numbers are from the Verified Permissions User Guide, "Quotas for Amazon Verified Permissions", tables
//! "Quotas for resources" and "Quotas for hierarchies". They are the defaults; AWS raises some on request.

use std::collections::{HashMap, HashSet};

use cedar_policy::{EntityUid, PolicyId, ResourceConstraint};

use super::Scene;
use crate::bundle::files::{IDENTITY_SOURCE_FOLDER, POLICY_FOLDER, TEMPLATE_FOLDER};
use crate::store::finding::{Code, Finding, Position};
use crate::store::stored_policy::StoredPolicy;

pub(super) fn check(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    let exceeds = |position: Position, what: &str, size: usize, limit: usize| {
        let message = format!("{what}: {size}, and Verified Permissions takes {limit}");
        Finding::new(Code::AvpLimit, position, message)
    };
    let store = scene.store;
    for (id, size) in sizes(scene).filter(|(_, size)| *size > MAX_POLICY_BYTES) {
        let position = scene.origins.effect_position(id);
        let what = format!("the bytes of policy `{id}`");
        findings.push(exceeds(position, &what, size, MAX_POLICY_BYTES).about(id));
    }
    if let Some(schema) = scene.schema
        && let Some(bytes) = schema.json_bytes().filter(|bytes| *bytes > MAX_SCHEMA_BYTES)
    {
        let position = Position::file(schema.file);
        findings.push(exceeds(position, "the bytes of the schema as JSON", bytes, MAX_SCHEMA_BYTES));
    }
    let templates = store.policies.templates().count();
    if templates > MAX_TEMPLATES {
        let position = Position::file(TEMPLATE_FOLDER);
        findings.push(
            exceeds(position, "the templates of the store", templates, MAX_TEMPLATES)
                .hint("AWS raises this quota on request"),
        );
    }
    let sources = store.identity_sources.len();
    if sources > MAX_IDENTITY_SOURCES {
        let position = Position::file(IDENTITY_SOURCE_FOLDER);
        findings.push(exceeds(position, "the identity sources of the store", sources, MAX_IDENTITY_SOURCES));
    }
    for (resource, size) in large_resources(scene) {
        let what = match resource {
            Some(resource) => format!("the bytes of all policies for `{resource}`"),
            None => "the bytes of all policies whose scope names no resource".to_owned(),
        };
        findings.push(
            exceeds(Position::file(POLICY_FOLDER), &what, size, MAX_RESOURCE_BYTES)
                .hint("AWS raises this quota on request"),
        );
    }
    let mut deep: Vec<(EntityUid, usize)> = store
        .entities
        .iter()
        .map(|entity| (entity.uid(), store.entities.ancestors(&entity.uid()).map_or(0, Iterator::count)))
        .filter(|(_, parents)| *parents > MAX_PARENTS)
        .collect();
    deep.sort();
    for (uid, parents) in deep {
        let position = match scene.schema {
            Some(schema) if schema.schema.actions().any(|action| *action == uid) => {
                schema.find(uid.id().unescaped())
            }
            _ => scene.entity_position(&uid),
        };
        findings.push(exceeds(position, &format!("all that `{uid}` is in"), parents, MAX_PARENTS));
    }
}

/// The static policies and templates with the sizes of their texts.
fn sizes<'a>(scene: &'a Scene<'_>) -> impl Iterator<Item = (&'a PolicyId, usize)> {
    let policies = scene.store.policies.policies().map(|policy| policy.id());
    let templates = scene.store.policies.templates().map(|template| template.id());
    policies.chain(templates).map(|id| (id, size(scene, id)))
}

/// The size of the text of a static policy or a template.
fn size(scene: &Scene<'_>, policy: &PolicyId) -> usize {
    scene.origins.text_of(policy).map_or(0, |source| source.text.trim().len())
}

/// The resources of scopes with the size of all policies for each, where that is too large. A template counts once for
/// a resource, and each of its links with its parameters.
fn large_resources(scene: &Scene<'_>) -> Vec<(Option<EntityUid>, usize)> {
    let store = scene.store;
    let mut sizes: HashMap<Option<EntityUid>, usize> = HashMap::new();
    // By the numbers of entities in slots.
    let mut of_linked: HashMap<usize, usize> = HashMap::new();
    let mut counted: HashSet<(Option<usize>, &PolicyId)> = HashSet::new();
    for policy in store.stored_policies() {
        let slot = match policy {
            StoredPolicy::Static(_) => None,
            StoredPolicy::Linked(link, _) => link.resource.map(|resource| resource.number),
        };
        let mut size: usize = policy.linked_entities().map(|entity| entity.uid().to_string().len()).sum();
        // A resource that the text names is the same for all links.
        if counted.insert((slot, policy.text_id())) {
            size += self::size(scene, policy.text_id());
        }
        *match slot {
            Some(number) => of_linked.entry(number).or_default(),
            None => sizes.entry(resource_of(&policy)).or_default(),
        } += size;
    }
    for linked in store.links.entities() {
        if let Some(size) = of_linked.get(&linked.number) {
            let known = sizes.get_mut(&Some(linked.uid()));
            match known {
                Some(known) => *known += size,
                None if *size > MAX_RESOURCE_BYTES => {
                    sizes.insert(Some(linked.uid()), *size);
                }
                None => {}
            }
        }
    }
    let mut large: Vec<_> = sizes.into_iter().filter(|(_, size)| *size > MAX_RESOURCE_BYTES).collect();
    large.sort();
    large
}

fn resource_of(policy: &StoredPolicy<'_>) -> Option<EntityUid> {
    match policy.resource_constraint() {
        ResourceConstraint::Any | ResourceConstraint::Is(_) => None,
        ResourceConstraint::Eq(uid) | ResourceConstraint::In(uid) | ResourceConstraint::IsIn(_, uid) => {
            Some(uid)
        }
    }
}

/// "Policy size".
const MAX_POLICY_BYTES: usize = 10_000;

/// "Schema size".
const MAX_SCHEMA_BYTES: usize = 200_000;

/// "Policy templates per policy store".
const MAX_TEMPLATES: usize = 40;

/// "Identity sources per policy store".
const MAX_IDENTITY_SOURCES: usize = 1;

/// "Policy size per resource", for one resource and for all policies without one.
const MAX_RESOURCE_BYTES: usize = 200_000;

/// "Transitive parents per principal", "per action" and "per resource". They are added together; here each
/// entity is looked at alone.
const MAX_PARENTS: usize = 100;
