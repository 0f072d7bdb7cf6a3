//! Entities: as few of the store's as a request can reach.
//!
//! A store may have a hundred thousand entities, of which a request concerns a handful. To hand
//! Cedar all of them costs a merge of the whole set for each call, and to parse them all when a bundle is
//! opened 14 microseconds for each. So a bundle has a table from the key of an entity
//! to its JSON as Cedar has it (uid, attributes, parents, tags), with the fewest parents from which all that it is in
//! follows. What it is in is read without Cedar, which reads the rest when a condition could ask for it.
//!
//! Cedar gets each entity with all that it is in for parents, and so never needs the parents themselves: no expression
//! leads from an entity to its parents, `in` asks an entity for what it is in, and nothing is read of what stands on
//! its right. With nested groups this makes a call linear in their depth, where Cedar would work the nesting out again.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::iter;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use cedar_policy::{Entities, Entity, EntityUid, EvalResult};
use quick_cache::sync::Cache;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::bundle::CannotBuild;
use crate::bundle::table::{Table, Unreadable, entity_key};
use crate::bundle::text::uid;
use crate::cache::bounded;

/// The entities of a bundle, with the actions of its schema. Each is parsed when it is needed.
#[derive(Clone, Debug)]
pub struct StoredEntities {
    table: Table,
    /// `None`: the bundle does not have it.
    parsed: Arc<Cache<EntityUid, Option<Arc<StoredEntity>>>>,
}

/// One of them.
#[derive(Debug)]
pub struct StoredEntity {
    uid: EntityUid,
    /// From these follows all that it is in.
    pub parents: Vec<EntityUid>,
    /// Its JSON, if it has attributes or tags.
    json: Option<Bytes>,
    /// For Cedar, once it was needed.
    linked: OnceLock<Result<Linked, Unreadable>>,
}

/// An entity, and those that its attributes and tags name.
#[derive(Debug)]
struct Linked {
    entity: Entity,
    references: Vec<EntityUid>,
}

impl StoredEntities {
    /// Writes the table.
    ///
    /// # Errors
    /// [`CannotBuild`].
    pub(crate) fn write(entities: &Entities) -> Result<Vec<u8>, CannotBuild> {
        let mut rows = BTreeMap::new();
        let parents = Parents::of(entities);
        for entity in entities.iter() {
            let uid = entity.uid();
            let json = exact_json(entity, &parents.of_entity(&uid));
            let json = json.ok_or_else(|| CannotBuild::Entity(Box::new(uid.clone())))?;
            rows.insert(entity_key(&uid).into_string().into_bytes(), json.into_bytes());
        }
        Ok(Table::write(&rows)?)
    }

    /// Opens what [`StoredEntities::write`] wrote.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub(crate) fn open(bytes: Bytes) -> Result<Self, Unreadable> {
        Ok(Self { table: Table::open(bytes)?, parsed: Arc::new(bounded(CAPACITY)) })
    }

    /// The type of each, as it is written.
    pub fn types(&self) -> impl Iterator<Item = &str> {
        let keys = (0..self.len()).filter_map(|row| self.table.row(row));
        keys.filter_map(|(key, _)| str::from_utf8(key).ok()?.split('\0').next())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An entity. `None`: the bundle does not have it.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn get(&self, uid: &EntityUid) -> Result<Option<Arc<StoredEntity>>, Unreadable> {
        if let Some(parsed) = self.parsed.get(uid) {
            return Ok(parsed);
        }
        let json = self.table.get_shared(entity_key(uid).as_bytes());
        let parsed = json.map(|json| StoredEntity::read(uid, json).map(Arc::new)).transpose()?;
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

    /// Entities with all that any of them is in, each once.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn all_with_ancestors<'a>(
        &self,
        uids: impl IntoIterator<Item = &'a EntityUid>,
    ) -> Result<Vec<EntityUid>, Unreadable> {
        let mut found = Distinct::default();
        uids.into_iter().for_each(|uid| found.add(uid));
        let mut next = 0;
        while let Some(uid) = found.uids.get(next) {
            if let Some(stored) = self.get(uid)? {
                stored.parents.iter().for_each(|parent| found.add(parent));
            }
            next += 1;
        }
        Ok(found.uids)
    }

    /// An entity as Cedar takes it, with all that it is in for parents. `None`: the bundle does not have it.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn entity(&self, uid: &EntityUid) -> Result<Option<Entity>, Unreadable> {
        let stored = self.get(uid)?;
        stored.map(|stored| Ok(stored.linked(self)?.entity.clone())).transpose()
    }
}

/// Entity ids, each once, in the order in which they came.
#[derive(Debug, Default)]
struct Distinct {
    uids: Vec<EntityUid>,
    /// The same, once they are too many to be looked through.
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
    /// Whether it is in nothing and has nothing that a policy could ask for.
    pub fn is_bare(&self) -> bool {
        self.parents.is_empty() && self.json.is_none()
    }

    fn read(uid: &EntityUid, json: Bytes) -> Result<Self, Unreadable> {
        let text = str::from_utf8(&json).map_err(|_| Unreadable)?;
        let EntityJson { uid: own, attrs, parents, tags } =
            serde_json::from_str(text).map_err(|_| Unreadable)?;
        let parents = parents.iter().map(uid::Json::read).collect::<Option<_>>().ok_or(Unreadable)?;
        if own.read().as_ref() != Some(uid) {
            return Err(Unreadable);
        }
        let is_plain = iter::once(attrs).chain(tags).all(|raw| raw.get() == "{}");
        let json = (!is_plain).then_some(json);
        Ok(Self { uid: uid.clone(), parents, json, linked: OnceLock::new() })
    }

    fn linked(&self, store: &StoredEntities) -> Result<&Linked, Unreadable> {
        let link = || {
            let all = store.with_ancestors(&self.uid)?;
            let (_, ancestors) = all.split_first().ok_or(Unreadable)?;
            let entity = match &self.json {
                Some(json) => {
                    let text = str::from_utf8(json).map_err(|_| Unreadable)?;
                    // As a rule the parents are in nothing, and the text is as Cedar has to have it.
                    if ancestors.len() == self.parents.len() {
                        Entity::from_json_str(text, None).map_err(|_| Unreadable)?
                    } else {
                        let mut json: Value = serde_json::from_str(text).map_err(|_| Unreadable)?;
                        *json.get_mut(PARENTS).ok_or(Unreadable)? = parents_json(ancestors);
                        Entity::from_json_value(json, None).map_err(|_| Unreadable)?
                    }
                }
                None => Entity::new_no_attrs(self.uid.clone(), ancestors.iter().cloned().collect()),
            };
            Ok(Linked { references: references(&entity), entity })
        };
        self.linked.get_or_init(link).as_ref().map_err(|unreadable| *unreadable)
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

/// The entities of a request: those that are `given`, and of the store's those that can be reached
/// from them and from `roots`, over attributes and tags. A given entity goes before that
/// of the store, and has all that it is in for parents, as those of the store.
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
    let mut found = given;
    while let Some(uid) = pending.pop() {
        if !seen.insert(uid.clone()) {
            continue;
        }
        if let Some(stored) = store.get(&uid)? {
            let Linked { entity, references } = stored.linked(store)?;
            pending.extend(references.iter().cloned());
            found.push(entity.clone());
        }
    }
    Ok(found)
}

/// The entities that the attributes and tags of an entity name.
fn references(entity: &Entity) -> Vec<EntityUid> {
    let attributes = entity.attrs().filter_map(|(_, value)| value.ok());
    let tags = entity.tags().filter_map(|(_, value)| value.ok());
    let mut references = Vec::new();
    attributes.chain(tags).for_each(|value| find_references(&value, &mut references));
    references
}

fn find_references(value: &EvalResult, to: &mut Vec<EntityUid>) {
    match value {
        EvalResult::EntityUid(uid) => to.push(uid.clone()),
        EvalResult::Set(set) => set.iter().for_each(|element| find_references(element, to)),
        EvalResult::Record(record) => record.iter().for_each(|(_, field)| find_references(field, to)),
        EvalResult::Bool(_) | EvalResult::Long(_) | EvalResult::String(_) | EvalResult::ExtensionValue(_) => {
        }
    }
}

/// The fewest parents of each entity from which all that it is in follows.
struct Parents<'a> {
    entities: &'a Entities,
    /// In how many each is.
    ancestors: HashMap<EntityUid, usize>,
}

impl<'a> Parents<'a> {
    fn of(entities: &'a Entities) -> Self {
        let uids = entities.iter().map(Entity::uid);
        let counted = uids.map(|uid| {
            let count = entities.ancestors(&uid).into_iter().flatten().count();
            (uid, count)
        });
        Self { entities, ancestors: counted.collect() }
    }

    /// An entity is in more than what it is in. So the one that is in most is a parent, and
    /// of what that one is not in again the one that is in most.
    fn of_entity(&self, uid: &EntityUid) -> Vec<&'a EntityUid> {
        let count = |uid: &EntityUid| self.ancestors.get(uid).copied().unwrap_or_default();
        let mut rest: Vec<&EntityUid> = self.entities.ancestors(uid).into_iter().flatten().collect();
        // Each in the next, as with most nested groups: that is one parent.
        if let Some(first) = rest.iter().max_by_key(|uid| count(uid))
            && count(first) + 1 == rest.len()
        {
            return vec![first];
        }
        rest.sort_by_cached_key(|uid| (Reverse(count(uid)), entity_key(uid)));
        let (mut parents, mut followed) = (Vec::new(), HashSet::new());
        for uid in rest {
            if !followed.contains(uid) {
                followed.extend(self.entities.ancestors(uid).into_iter().flatten());
                parents.push(uid);
            }
        }
        parents
    }
}

/// The JSON form of an entity, if it says it all, with these parents. They are put in order, which Cedar leaves to
/// chance.
fn exact_json(entity: &Entity, parents: &[&EntityUid]) -> Option<String> {
    let json_of = |entity: &Entity| {
        let mut json = entity.to_json_value().ok()?;
        json.get_mut(PARENTS).and_then(Value::as_array_mut)?.sort_by_cached_key(Value::to_string);
        Some(json)
    };
    let mut json = json_of(entity)?;
    let mut own = parents_json(parents.iter().copied());
    own.as_array_mut()?.sort_by_cached_key(Value::to_string);
    *json.get_mut(PARENTS)? = own;
    let text = json.to_string();
    (json_of(&Entity::from_json_str(&text, None).ok()?)? == json).then_some(text)
}

/// Entity ids as Cedar's JSON has them.
fn parents_json<'a>(parents: impl IntoIterator<Item = &'a EntityUid>) -> Value {
    let json = |uid: &EntityUid| json!({"type": uid.type_name().to_string(), "id": uid.id().unescaped()});
    parents.into_iter().map(json).collect()
}

/// The member of Cedar's JSON that has them.
const PARENTS: &str = "parents";

/// So many are looked through as fast as they are hashed.
const FEW: usize = 16;

/// One takes some kilobytes with its attributes; most are actions, which have none. A grant for a thousand routes
/// needs as many.
const CAPACITY: usize = 2500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_and_tags_are_followed_and_nothing_else() {
        let entity = |id: &str, parents: &[&str], attributes: Value| {
            let parents: Vec<_> = parents.iter().map(|id| json!({"type": "T", "id": id})).collect();
            json!({"uid": {"type": "T", "id": id}, "attrs": attributes, "parents": parents})
        };
        let to = |id: &str| json!({"__entity": {"type": "T", "id": id}});
        let mut tagged = entity("tagged", &[], json!({}));
        tagged["tags"] = json!({"t": to("by-tag")});
        let store = Entities::from_json_value(
            json!([
                entity("root", &["parent"], json!({"x": [{"y": to("nested")}], "z": to("tagged")})),
                entity("parent", &["grandparent"], json!({})),
                entity("grandparent", &[], json!({})),
                entity("nested", &[], json!({"back": to("root")})),
                tagged,
                entity("by-tag", &[], json!({})),
                entity("stranger", &["parent"], json!({"x": to("root")})),
            ]),
            None,
        )
        .unwrap();
        let store = StoredEntities::open(StoredEntities::write(&store).unwrap().into()).unwrap();
        let uid = |id: &str| format!("T::{id:?}").parse::<EntityUid>().unwrap();
        let names = |given, roots| {
            let found = reachable(&store, given, roots).unwrap();
            let mut names: Vec<String> =
                found.iter().map(|entity| entity.uid().id().unescaped().to_owned()).collect();
            names.sort();
            names
        };
        assert_eq!(names(vec![], vec![uid("root")]), ["by-tag", "nested", "root", "tagged"]);
        assert_eq!(names(vec![], vec![uid("unknown")]), [""; 0]);
        let given = Entity::new_no_attrs(uid("root"), [uid("grandparent")].into());
        assert_eq!(names(vec![given], vec![uid("root")]), ["root"]);
        // What they are in comes with them.
        let (_, _, parents) = store.entity(&uid("root")).unwrap().unwrap().into_inner();
        assert_eq!(parents, [uid("parent"), uid("grandparent")].into());
    }

    #[test]
    fn the_fewest_parents_are_kept_and_all_that_follows_is_found() {
        let entity = |id: usize, parents: &[usize]| {
            let parents: Vec<_> =
                parents.iter().map(|id| json!({"type": "T", "id": id.to_string()})).collect();
            json!({"uid": {"type": "T", "id": id.to_string()}, "attrs": {"n": 1}, "parents": parents})
        };
        let uid = |id: usize| format!("T::\"{id}\"").parse::<EntityUid>().unwrap();
        // A chain, with a way past each link; then pairs, each in both of the pair before; then one with two that
        // are unknown to the store.
        let chain = |number: usize| entity(number, &[number + 1, number + 2]);
        let pair = |number: usize| entity(number, &[number / 2 * 2 + 2, number / 2 * 2 + 3]);
        let all: Vec<Value> =
            (0..30).map(chain).chain((100..130).map(pair)).chain([entity(99, &[7, 888, 999])]).collect();
        let entities = Entities::from_json_value(all.clone().into(), None).unwrap();
        let bytes = StoredEntities::write(&entities).unwrap();
        let again = Entities::from_json_value(all.into_iter().rev().collect(), None).unwrap();
        assert_eq!(bytes, StoredEntities::write(&again).unwrap());
        let stored = StoredEntities::open(bytes.into()).unwrap();
        let parents = |id: usize| stored.get(&uid(id)).unwrap().unwrap().parents.clone();
        assert_eq!(parents(0), [uid(1)]);
        assert_eq!(parents(100), [uid(102), uid(103)]);
        assert_eq!(parents(99).len(), 3);
        for entity in entities.iter() {
            let uid = entity.uid();
            let expected: HashSet<EntityUid> = entities.ancestors(&uid).unwrap().cloned().collect();
            let found = stored.with_ancestors(&uid).unwrap();
            assert_eq!(found.first(), Some(&uid));
            assert_eq!(found.len(), expected.len() + 1);
            assert_eq!(found.into_iter().skip(1).collect::<HashSet<_>>(), expected);
            assert_eq!(stored.entity(&uid).unwrap().unwrap().into_inner().2, expected);
        }
    }

    #[test]
    fn what_is_not_as_it_was_written_is_unreadable() {
        let entity = json!({"uid": {"type": "T", "id": "a"}, "attrs": {"x": {"y": [1]}}, "parents": []});
        let entities = Entities::from_json_value(json!([entity]), None).unwrap();
        let bytes = StoredEntities::write(&entities).unwrap();
        let uid: EntityUid = "T::\"a\"".parse().unwrap();
        for position in 0..bytes.len() {
            for by in [1, 0x80, 0xff] {
                let mut altered = bytes.clone();
                altered[position] ^= by;
                let _ = StoredEntities::open(altered.into()).map(|stored| stored.get(&uid).map(|_| ()));
            }
            assert!(StoredEntities::open(bytes[..position].to_vec().into()).is_err());
        }
        for text in
            ["", "{}", "[]", "{\"uid\": {\"type\": \"T\", \"id\": \"b\"}, \"attrs\": {}, \"parents\": []}"]
        {
            let rows = [(entity_key(&uid).into_string().into_bytes(), text.as_bytes().to_vec())].into();
            let stored = StoredEntities::open(Table::write(&rows).unwrap().into()).unwrap();
            assert_eq!(stored.get(&uid).map(|_| ()), Err(Unreadable), "{text}");
        }
    }
}
