//! Writes the entities that [`crate::bundle::entities`] reads.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use cedar_policy::{Entities, Entity, EntityUid};
use serde_json::Value;

use super::CannotBuild;
use super::chunks::{RowValue, Rows};
use crate::bundle::chunks::key;
use crate::bundle::entities::{PARENTS, parents_json};
use crate::bundle::table::entity_key;

/// Adds entities to the rows of a map.
///
/// # Errors
/// [`CannotBuild`].
pub(crate) fn add(entities: &Entities, rows: &mut Rows) -> Result<(), CannotBuild> {
    let parents = Parents::new(entities);
    for entity in entities.iter() {
        let uid = entity.uid();
        let json = exact_json(entity, &parents.of_entity(&uid));
        let json = json.ok_or_else(|| CannotBuild::Entity(Box::new(uid.clone())))?;
        rows.insert(key::entity(&uid), RowValue::Bytes(json.into_bytes()));
    }
    Ok(())
}

/// The smallest set of parents for each entity from which all its ancestors follow.
struct Parents<'a> {
    entities: &'a Entities,
    /// How many ancestors each entity has.
    ancestors: HashMap<EntityUid, usize>,
}

impl<'a> Parents<'a> {
    fn new(entities: &'a Entities) -> Self {
        let uids = entities.iter().map(Entity::uid);
        let counted = uids.map(|uid| {
            let count = entities.ancestors(&uid).into_iter().flatten().count();
            (uid, count)
        });
        Self { entities, ancestors: counted.collect() }
    }

    /// An entity has more ancestors than any of its ancestors. So the ancestor with the most ancestors is a
    /// parent. Among the ancestors that this parent does not have, again the one with the most is a parent.
    fn of_entity(&self, uid: &EntityUid) -> Vec<&'a EntityUid> {
        let count = |uid: &EntityUid| self.ancestors.get(uid).copied().unwrap_or_default();
        let mut rest: Vec<&EntityUid> = self.entities.ancestors(uid).into_iter().flatten().collect();
        // If each ancestor is in the next, as with most nested groups, there is one parent.
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

/// The JSON form of an entity with these parents, if it is complete. The parents are put in order, because Cedar
/// lists them in random order.
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::bundle::Unreadable;
    use crate::bundle::entities::{StoredEntities, reachable};
    use crate::store::build::chunks::WrittenMap;
    use crate::store::build::forms::Parts;

    fn write(entities: &Entities) -> WrittenMap {
        let mut rows = Rows::default();
        add(entities, &mut rows).unwrap();
        rows.write(&Parts::default()).unwrap()
    }

    fn stored(map: WrittenMap) -> StoredEntities {
        StoredEntities::new(map.open().unwrap())
    }

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
        let store = stored(write(&store));
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
        // The ancestors of the parents are included.
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
        let map = write(&entities);
        let again = Entities::from_json_value(all.into_iter().rev().collect(), None).unwrap();
        assert_eq!(map.index, write(&again).index);
        let stored = stored(map);
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
        let text = r#"{"uid": {"type": "T", "id": "a"}, "attrs": {"x": {"y": [1]}}, "parents": []}"#;
        let uid: EntityUid = "T::\"a\"".parse().unwrap();
        let read = |text: &[u8]| {
            let mut rows = Rows::default();
            rows.insert(key::entity(&uid), RowValue::Bytes(text.to_vec()));
            let stored = stored(rows.write(&Parts::default()).unwrap());
            stored.get(&uid).and_then(|_| stored.entity(&uid)).map(|_| ())
        };
        assert_eq!(read(text.as_bytes()), Ok(()));
        for position in 0..text.len() {
            for by in [1, 0x80, 0xff] {
                let mut altered = text.as_bytes().to_vec();
                altered[position] ^= by;
                let _ = read(&altered);
            }
            assert_eq!(read(&text.as_bytes()[..position]), Err(Unreadable::Malformed));
        }
        for text in
            ["", "{}", "[]", "{\"uid\": {\"type\": \"T\", \"id\": \"b\"}, \"attrs\": {}, \"parents\": []}"]
        {
            assert_eq!(read(text.as_bytes()), Err(Unreadable::Malformed), "{text}");
        }
    }
}
