//! Entities: as few of the store's as a request can reach.
//!
//! A store may have a hundred thousand entities, of which a request concerns a handful. To hand
//! Cedar all of them costs a merge of the whole set for each call.

use std::collections::HashSet;

use cedar_policy::{Entities, Entity, EntityUid, EvalResult};

/// The entities of a request: those that are `given`, and of the store's those that can be reached
/// from them and from `roots`, over parents, attributes and tags. A given entity goes before that
/// of the store.
pub fn reachable(
    store: &Entities,
    given: Vec<Entity>,
    roots: impl IntoIterator<Item = EntityUid>,
) -> Vec<Entity> {
    let mut seen: HashSet<EntityUid> = HashSet::new();
    let mut pending: Vec<EntityUid> = roots.into_iter().collect();
    let mut found: Vec<Entity> = Vec::new();
    for entity in given {
        seen.insert(entity.uid());
        links(&entity, &mut pending);
        found.push(entity);
    }
    while let Some(uid) = pending.pop() {
        if !seen.insert(uid.clone()) {
            continue;
        }
        if let Some(entity) = store.get(&uid) {
            links(entity, &mut pending);
            found.push(entity.clone());
        }
    }
    found
}

/// The entities that an entity leads to.
fn links(entity: &Entity, to: &mut Vec<EntityUid>) {
    let (_, _, parents) = entity.clone().into_inner();
    to.extend(parents);
    let attributes = entity.attrs().filter_map(|(_, value)| value.ok());
    let tags = entity.tags().filter_map(|(_, value)| value.ok());
    for value in attributes.chain(tags) {
        references(&value, to);
    }
}

fn references(value: &EvalResult, to: &mut Vec<EntityUid>) {
    match value {
        EvalResult::EntityUid(uid) => to.push(uid.clone()),
        EvalResult::Set(set) => set.iter().for_each(|element| references(element, to)),
        EvalResult::Record(record) => record.iter().for_each(|(_, field)| references(field, to)),
        EvalResult::Bool(_) | EvalResult::Long(_) | EvalResult::String(_) | EvalResult::ExtensionValue(_) => {
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn follows_parents_attributes_and_tags_and_nothing_else() {
        let entity = |id: &str, parents: &[&str], attributes: serde_json::Value| {
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
        let uid = |id: &str| format!("T::{id:?}").parse::<EntityUid>().unwrap();
        let names = |given, roots| {
            let found = reachable(&store, given, roots);
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
}
