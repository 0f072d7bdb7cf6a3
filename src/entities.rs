//! Entities: as few of the store's as a request can reach.
//!
//! A store may have a hundred thousand entities, of which a request concerns a handful. To hand
//! Cedar all of them costs a merge of the whole set for each call, and to parse them all when a bundle is
//! opened 14 microseconds for each. So a bundle has a table from the key of an entity
//! to its JSON as Cedar has it (uid, attributes, parents, tags), the parents being all that it is in. What it is in
//! is read without Cedar, which reads the rest when a condition could ask for it.

use std::collections::{BTreeMap, HashSet};
use std::iter;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use cedar_policy::{Entities, Entity, EntityUid, EvalResult};
use quick_cache::sync::Cache;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

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
    /// All that it is in.
    pub ancestors: Vec<EntityUid>,
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
        for entity in entities.iter() {
            let uid = entity.uid();
            let json = exact_json(entity).ok_or_else(|| CannotBuild::Entity(Box::new(uid.clone())))?;
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

    /// An entity with all that it is in.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn with_ancestors(&self, uid: &EntityUid) -> Result<Vec<EntityUid>, Unreadable> {
        let mut all = vec![uid.clone()];
        all.extend(self.get(uid)?.iter().flat_map(|stored| &stored.ancestors).cloned());
        Ok(all)
    }
}

impl StoredEntity {
    /// Whether it is in nothing and has nothing that a policy could ask for.
    pub fn is_bare(&self) -> bool {
        self.ancestors.is_empty() && self.json.is_none()
    }

    /// The entity.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn entity(&self) -> Result<&Entity, Unreadable> {
        self.linked().map(|linked| &linked.entity)
    }

    fn read(uid: &EntityUid, json: Bytes) -> Result<Self, Unreadable> {
        let text = str::from_utf8(&json).map_err(|_| Unreadable)?;
        let EntityJson { uid: own, attrs, parents, tags } =
            serde_json::from_str(text).map_err(|_| Unreadable)?;
        let ancestors = parents.iter().map(uid::Json::read).collect::<Option<_>>().ok_or(Unreadable)?;
        if own.read().as_ref() != Some(uid) {
            return Err(Unreadable);
        }
        let is_plain = iter::once(attrs).chain(tags).all(|raw| raw.get() == "{}");
        let json = (!is_plain).then_some(json);
        Ok(Self { uid: uid.clone(), ancestors, json, linked: OnceLock::new() })
    }

    fn linked(&self) -> Result<&Linked, Unreadable> {
        let linked = self.linked.get_or_init(|| {
            let entity = match &self.json {
                Some(json) => {
                    let text = str::from_utf8(json).map_err(|_| Unreadable)?;
                    Entity::from_json_str(text, None).map_err(|_| Unreadable)?
                }
                None => Entity::new_no_attrs(self.uid.clone(), self.ancestors.iter().cloned().collect()),
            };
            Ok(Linked { references: references(&entity), entity })
        });
        linked.as_ref().map_err(|unreadable| *unreadable)
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
/// from them and from `roots`, over parents, attributes and tags. A given entity goes before that
/// of the store.
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
    let mut found: Vec<Entity> = Vec::new();
    for entity in given {
        let (uid, _, parents) = entity.clone().into_inner();
        seen.insert(uid);
        pending.extend(parents);
        pending.extend(references(&entity));
        found.push(entity);
    }
    while let Some(uid) = pending.pop() {
        if !seen.insert(uid.clone()) {
            continue;
        }
        if let Some(stored) = store.get(&uid)? {
            let Linked { entity, references } = stored.linked()?;
            pending.extend(stored.ancestors.iter().chain(references).cloned());
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

/// The JSON form of an entity, if it says it all. Its parents are put in order, which Cedar leaves to chance.
fn exact_json(entity: &Entity) -> Option<String> {
    let json_of = |entity: &Entity| {
        let mut json = entity.to_json_value().ok()?;
        json.get_mut("parents").and_then(Value::as_array_mut)?.sort_by_cached_key(Value::to_string);
        Some(json)
    };
    let json = json_of(entity)?;
    let text = json.to_string();
    (json_of(&Entity::from_json_str(&text, None).ok()?)? == json).then_some(text)
}

/// One takes some kilobytes with its attributes; most are actions, which have none. A grant for a thousand routes
/// needs as many.
const CAPACITY: usize = 2500;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn follows_parents_attributes_and_tags_and_nothing_else() {
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
        let all = ["by-tag", "grandparent", "nested", "parent", "root", "tagged"];
        assert_eq!(names(vec![], vec![uid("root")]), all);
        assert_eq!(names(vec![], vec![uid("unknown")]), [""; 0]);
        let given = Entity::new_no_attrs(uid("root"), [uid("grandparent")].into());
        assert_eq!(names(vec![given], vec![uid("root")]), ["grandparent", "root"]);
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
