//! Entities: as few of the store's entities as a request can reach.
//!
//! A store may have a hundred thousand entities, but a request concerns only a handful. If Cedar got all of them,
//! it would merge the whole set for each call. Parsing them all when a bundle is opened would take 14
//! microseconds for each. So the map of a bundle has each entity as JSON in Cedar's form (uid,
//! attributes, parents, tags), with the smallest set of parents from which all its ancestors follow. The
//! ancestors are read without Cedar. Cedar parses the rest when a condition could ask for it.
//!
//! Cedar gets each entity with all its ancestors as parents, and so never needs the ancestors themselves: no
//! expression leads from an entity to its parents, `in` asks an entity for its ancestors, and nothing is read in
//! the entity on the right of `in`. With nested groups this makes a call linear in their depth; otherwise Cedar
//! would compute the nesting again.

use std::collections::HashSet;
use std::iter;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use cedar_policy::{Entity, EntityUid, EvalResult};
use quick_cache::sync::Cache;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::bundle::chunks::ChunkMap;
use crate::bundle::chunks::key::{self, KeyKind};
use crate::bundle::table::Unreadable;
use crate::bundle::text::uid;
use crate::cache::bounded;

/// The entities of a bundle, including the actions of its schema. Each is parsed when it is needed.
#[derive(Clone, Debug)]
pub struct StoredEntities {
    map: ChunkMap,
    /// An inner `None`: the bundle does not have the entity.
    parsed: Arc<Cache<EntityUid, Option<Arc<StoredEntity>>>>,
}

/// An entity of a bundle.
#[derive(Debug)]
pub struct StoredEntity {
    uid: EntityUid,
    /// All its ancestors follow from these.
    pub parents: Vec<EntityUid>,
    /// Its JSON, if it has attributes or tags.
    json: Option<Bytes>,
    /// The entity for Cedar, once it has been needed.
    linked: OnceLock<Linked>,
}

/// An entity, and the entities that its attributes and tags name.
#[derive(Debug)]
struct Linked {
    entity: Entity,
    references: Vec<EntityUid>,
}

impl StoredEntities {
    /// The entities of a map.
    pub(crate) fn new(map: ChunkMap) -> Self {
        Self { map, parsed: Arc::new(bounded(CAPACITY)) }
    }

    /// The type of each entity, as it is written. This reads the whole map.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn types(&self) -> Result<Vec<String>, Unreadable> {
        let mut types = Vec::new();
        for chunk in self.map.chunks() {
            for (key, _) in chunk?.rows.rows() {
                if let Some((KeyKind::Entity, name)) = key::read(key) {
                    let name = str::from_utf8(name).map_err(|_| Unreadable::Malformed)?;
                    types.extend(name.split('\0').next().map(str::to_owned));
                }
            }
        }
        Ok(types)
    }

    /// An entity. `None`: the bundle does not have it.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn get(&self, uid: &EntityUid) -> Result<Option<Arc<StoredEntity>>, Unreadable> {
        if let Some(parsed) = self.parsed.get(uid) {
            return Ok(parsed);
        }
        let value = self.map.get(&key::entity(uid))?;
        let parsed = value.map(|value| StoredEntity::read(uid, &value.bytes).map(Arc::new)).transpose()?;
        self.parsed.insert(uid.clone(), parsed.clone());
        Ok(parsed)
    }

    /// An entity with all that it is in; the entity comes first.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn with_ancestors(&self, uid: &EntityUid) -> Result<Vec<EntityUid>, Unreadable> {
        self.all_with_ancestors([uid])
    }

    /// Entities with all their ancestors, each once.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn all_with_ancestors<'a>(
        &self,
        uids: impl IntoIterator<Item = &'a EntityUid>,
    ) -> Result<Vec<EntityUid>, Unreadable> {
        let mut found = Distinct::default();
        uids.into_iter().for_each(|uid| found.add(uid));
        let (mut next, mut unreadable) = (0, None);
        while let Some(uid) = found.uids.get(next) {
            match self.get(uid) {
                Ok(Some(stored)) => stored.parents.iter().for_each(|parent| found.add(parent)),
                Ok(None) => {}
                // The others are looked for as well, so that all of them are asked for at once.
                Err(error) => unreadable = Some(error),
            }
            next += 1;
        }
        unreadable.map_or(Ok(found.uids), Err)
    }

    /// An entity for Cedar, with all its ancestors as parents. `None`: the bundle does not have it.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn entity(&self, uid: &EntityUid) -> Result<Option<Entity>, Unreadable> {
        let stored = self.get(uid)?;
        stored.map(|stored| Ok(stored.linked(self)?.entity.clone())).transpose()
    }
}

/// Entity ids, each once, in the order in which they were added.
#[derive(Debug, Default)]
struct Distinct {
    uids: Vec<EntityUid>,
    /// The same ids, once there are too many to search one by one.
    known: HashSet<EntityUid>,
}

impl Distinct {
    fn add(&mut self, uid: &EntityUid) {
        if self.uids.len() < FEW {
            if !self.uids.contains(uid) {
                self.uids.push(uid.clone());
            }
            return;
        }
        if self.known.is_empty() {
            self.known.extend(self.uids.iter().cloned());
        }
        if self.known.insert(uid.clone()) {
            self.uids.push(uid.clone());
        }
    }
}

impl StoredEntity {
    /// Whether it has no parents, and nothing that a policy could ask for.
    pub fn is_bare(&self) -> bool {
        self.parents.is_empty() && self.json.is_none()
    }

    fn read(uid: &EntityUid, json: &[u8]) -> Result<Self, Unreadable> {
        let text = str::from_utf8(json).map_err(|_| Unreadable::Malformed)?;
        let EntityJson { uid: own, attrs, parents, tags } =
            serde_json::from_str(text).map_err(|_| Unreadable::Malformed)?;
        let parents = parents.iter().map(uid::Json::read).collect::<Option<_>>();
        let parents = parents.ok_or(Unreadable::Malformed)?;
        if own.read().as_ref() != Some(uid) {
            return Err(Unreadable::Malformed);
        }
        let is_plain = iter::once(attrs).chain(tags).all(|raw| raw.get() == "{}");
        // A copy, so that the whole chunk need not stay.
        let json = (!is_plain).then(|| Bytes::copy_from_slice(json));
        Ok(Self { uid: uid.clone(), parents, json, linked: OnceLock::new() })
    }

    fn linked(&self, store: &StoredEntities) -> Result<&Linked, Unreadable> {
        if let Some(linked) = self.linked.get() {
            return Ok(linked);
        }
        let link = || {
            let all = store.with_ancestors(&self.uid)?;
            let (_, ancestors) = all.split_first().ok_or(Unreadable::Malformed)?;
            let entity = match &self.json {
                Some(json) => {
                    let text = str::from_utf8(json).map_err(|_| Unreadable::Malformed)?;
                    // Usually the parents have no parents, and the text is already what Cedar needs.
                    if ancestors.len() == self.parents.len() {
                        Entity::from_json_str(text, None).map_err(|_| Unreadable::Malformed)?
                    } else {
                        let mut json: Value =
                            serde_json::from_str(text).map_err(|_| Unreadable::Malformed)?;
                        *json.get_mut(PARENTS).ok_or(Unreadable::Malformed)? = parents_json(ancestors);
                        Entity::from_json_value(json, None).map_err(|_| Unreadable::Malformed)?
                    }
                }
                None => Entity::new_no_attrs(self.uid.clone(), ancestors.iter().cloned().collect()),
            };
            Ok(Linked { references: references(&entity), entity })
        };
        // A failure is not kept: what is away now can be here the next time.
        let linked = link()?;
        Ok(self.linked.get_or_init(|| linked))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EntityJson<'a> {
    #[serde(borrow)]
    uid: uid::Json<'a>,
    #[serde(borrow)]
    attrs: &'a RawValue,
    #[serde(borrow)]
    parents: Vec<uid::Json<'a>>,
    #[serde(borrow)]
    tags: Option<&'a RawValue>,
}

/// The entities of a request: those that are `given`, and those of the store that can be reached from them and
/// from `roots` through attributes and tags. A given entity replaces that of the store. Like those of the store,
/// it has all its ancestors as parents.
///
/// # Errors
/// [`Unreadable`].
pub fn reachable(
    store: &StoredEntities,
    given: Vec<Entity>,
    roots: impl IntoIterator<Item = EntityUid>,
) -> Result<Vec<Entity>, Unreadable> {
    let mut seen: HashSet<EntityUid> = HashSet::new();
    let mut pending: Vec<EntityUid> = roots.into_iter().collect();
    for entity in &given {
        seen.insert(entity.uid());
        pending.extend(references(entity));
    }
    let (mut found, mut unreadable) = (given, None);
    while let Some(uid) = pending.pop() {
        if !seen.insert(uid.clone()) {
            continue;
        }
        let reached = store.get(&uid).and_then(|stored| {
            let Some(stored) = stored else { return Ok(()) };
            let Linked { entity, references } = stored.linked(store)?;
            pending.extend(references.iter().cloned());
            found.push(entity.clone());
            Ok(())
        });
        // The others are looked for as well, so that all of them are asked for at once.
        unreadable = reached.err().or(unreadable);
    }
    unreadable.map_or(Ok(found), Err)
}

/// The entities that the attributes and tags of an entity name.
fn references(entity: &Entity) -> Vec<EntityUid> {
    let attributes = entity.attrs().filter_map(|(_, value)| value.ok());
    let tags = entity.tags().filter_map(|(_, value)| value.ok());
    let mut references = Vec::new();
    attributes.chain(tags).for_each(|value| find_references(&value, &mut references));
    references
}

/// Adds the entities that a value names.
pub(crate) fn find_references(value: &EvalResult, to: &mut Vec<EntityUid>) {
    match value {
        EvalResult::EntityUid(uid) => to.push(uid.clone()),
        EvalResult::Set(set) => set.iter().for_each(|element| find_references(element, to)),
        EvalResult::Record(record) => record.iter().for_each(|(_, field)| find_references(field, to)),
        EvalResult::Bool(_) | EvalResult::Long(_) | EvalResult::String(_) | EvalResult::ExtensionValue(_) => {
        }
    }
}

/// Entity ids in the form of Cedar's JSON.
pub(crate) fn parents_json<'a>(parents: impl IntoIterator<Item = &'a EntityUid>) -> Value {
    let json = |uid: &EntityUid| json!({"type": uid.type_name().to_string(), "id": uid.id().unescaped()});
    parents.into_iter().map(json).collect()
}

/// The member of Cedar's JSON with the parents.
pub(crate) const PARENTS: &str = "parents";

/// Up to this many ids are searched as fast as they are hashed.
const FEW: usize = 16;

/// An entity takes some kilobytes with its attributes. Most entities are actions, which have none. A grant for a
/// thousand routes needs as many.
const CAPACITY: usize = 2500;
