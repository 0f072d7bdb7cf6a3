//! What is too large for Verified Permissions.
//!
//! All numbers are from the Verified Permissions User Guide, "Quotas for Amazon Verified Permissions", tables
//! "Quotas for resources" and "Quotas for hierarchies". They are the defaults; AWS raises some on request.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{EntityUid, PolicyId, ResourceConstraint};

use super::Scene;
use crate::bundle::files::{IDENTITY_SOURCE_FOLDER, POLICY_FOLDER, TEMPLATE_FOLDER};
use crate::store::finding::{Code, Finding, Position};

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
    for (resource, size) in size_by_resource(scene).into_iter().filter(|(_, size)| *size > MAX_RESOURCE_BYTES)
    {
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
    let policies =
        scene.store.policies.policies().filter(|policy| policy.is_static()).map(|policy| policy.id());
    let templates = scene.store.policies.templates().map(|template| template.id());
    policies.chain(templates).map(|id| (id, size(scene, id)))
}

/// The size of the text of a static policy or a template.
fn size(scene: &Scene<'_>, policy: &PolicyId) -> usize {
    scene.origins.text_of(policy).map_or(0, |source| source.text.trim().len())
}

/// The size of all policies for each resource of a scope. A template counts once, and each of its links with its
/// parameters.
fn size_by_resource(scene: &Scene<'_>) -> BTreeMap<Option<EntityUid>, usize> {
    let mut sizes: BTreeMap<Option<EntityUid>, usize> = BTreeMap::new();
    let mut counted: BTreeSet<(Option<EntityUid>, &PolicyId)> = BTreeSet::new();
    for policy in scene.store.policies.policies() {
        let resource = match policy.resource_constraint() {
            ResourceConstraint::Any | ResourceConstraint::Is(_) => None,
            ResourceConstraint::Eq(uid) | ResourceConstraint::In(uid) | ResourceConstraint::IsIn(_, uid) => {
                Some(uid)
            }
        };
        let parameters = policy.template_links().into_iter().flatten().map(|(_, uid)| uid.to_string().len());
        let mut size: usize = parameters.sum();
        let text = policy.template_id().unwrap_or(policy.id());
        if counted.insert((resource.clone(), text)) {
            size += self::size(scene, text);
        }
        *sizes.entry(resource).or_default() += size;
    }
    sizes
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
