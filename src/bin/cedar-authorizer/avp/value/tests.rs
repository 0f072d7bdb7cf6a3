use cedar_authorizer::cedar::EvalResult;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

use super::*;

/// Names that mean something to Cedar's JSON, and others.
fn name() -> impl Strategy<Value = String> {
    static KNOWN: [&str; 12] =
        ["__entity", "__extn", "__expr", "type", "id", "fn", "arg", "", "a b", "\"", "\u{0}", "ä.b"];
    prop_oneof![select(&KNOWN[..]).prop_map(str::to_owned), "[a-c]"]
}

/// A value of AVP, of any depth.
fn value() -> impl Strategy<Value = Value> {
    let uid = ("[A-C](::[A-C])?", ".{0,3}").prop_map(|(t, id)| json!({"entityType": t, "entityId": id}));
    let leaf = prop_oneof![
        any::<bool>().prop_map(|v| json!({"boolean": v})),
        any::<i64>().prop_map(|v| json!({"long": v})),
        prop_oneof![".{0,5}", Just("ip(\"1.2.3.4\")".to_owned())].prop_map(|v| json!({"string": v})),
        uid.prop_map(|v| json!({"entityIdentifier": v})),
        any::<[u8; 4]>().prop_map(|[a, b, c, d]| json!({"ipaddr": format!("{a}.{b}.{c}.{d}")})),
        (0..1000, 0..10).prop_map(|(a, b)| json!({"decimal": format!("{a}.{b}")})),
        (1..28).prop_map(|day| json!({"datetime": format!("2026-02-{day:02}T01:02:03Z")})),
        (1..28).prop_map(|hours| json!({"duration": format!("{hours}h")})),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(|v| json!({"set": v})),
            proptest::collection::btree_map(name(), inner, 0..5).prop_map(|v| json!({"record": v})),
        ]
    })
}

/// Whether a value of Cedar is what AVP's value says.
fn is_same(value: &Value, cedar: &EvalResult) -> bool {
    let (kind, inner) = value.as_object().unwrap().iter().next().unwrap();
    match (kind.as_str(), cedar) {
        ("boolean", EvalResult::Bool(v)) => inner == v,
        ("long", EvalResult::Long(v)) => inner == v,
        ("string", EvalResult::String(v)) => inner == v,
        ("entityIdentifier", EvalResult::EntityUid(uid)) => json!(identifier(uid)) == *inner,
        ("set", EvalResult::Set(set)) => {
            let all = inner.as_array().unwrap();
            all.iter().all(|value| set.iter().any(|element| is_same(value, element)))
                && set.iter().all(|element| all.iter().any(|value| is_same(value, element)))
        }
        ("record", EvalResult::Record(record)) => {
            let members = inner.as_object().unwrap();
            record.iter().count() == members.len()
                && members
                    .iter()
                    .all(|(name, value)| record.get(name).is_some_and(|found| is_same(value, found)))
        }
        ("ipaddr" | "decimal" | "datetime" | "duration", EvalResult::ExtensionValue(text)) => {
            text.contains(inner.as_str().unwrap())
        }
        _ => false,
    }
}

proptest! {
    #[test]
    fn every_value_becomes_the_same_value_of_cedar(
        members in proptest::collection::btree_map(name(), value(), 0..4),
    ) {
        let context = context(Some(&json!({"contextMap": members})), Path::of("context")).unwrap();
        prop_assert_eq!(context.clone().into_iter().count(), members.len());
        for (name, value) in &members {
            let found = context.get(name).unwrap();
            prop_assert!(is_same(value, &found), "{} {:?}", value, found);
        }
        let item = json!({
            "identifier": {"entityType": "A", "entityId": "a"}, "attributes": members, "tags": members
        });
        let entity = entity(&item, Path::of("entities")).unwrap();
        for (name, value) in &members {
            let found = entity.attr(name).unwrap().unwrap();
            prop_assert!(is_same(value, &found), "{} {:?}", value, found);
            let found = entity.tag(name).unwrap().unwrap();
            prop_assert!(is_same(value, &found), "{} {:?}", value, found);
        }
    }

    /// Whatever else is sent is refused or read, and nothing panics.
    #[test]
    fn no_json_leads_to_a_panic(text in "[\\[\\]{}:,\"a-z0-9 _.-]{0,60}") {
        for wrapped in [json!({"cedarJson": text}), json!({"contextMap": {"a": {"ipaddr": text}}}), json!(text)] {
            let _ = context(Some(&wrapped), Path::of("context"));
            let _ = entities(Some(&wrapped), Path::of("entities"));
        }
    }
}

#[track_caller]
fn fault(result: Result<impl std::fmt::Debug, ServiceError>) -> String {
    match result {
        Err(ServiceError::Validation { fields, .. }) => {
            fields.iter().map(|field| format!("{} {}", field.path, field.message)).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_fault_is_named_with_its_place() {
    let deep = json!({"record": {"__entity": {"set": [{"long": 1}, {"ipaddr": "1.2.3"}]}}});
    for (value, path) in [
        (json!({"long": 9_223_372_036_854_775_808_u64}), ".long"),
        (json!({"long": -9_223_372_036_854_775_809_f64}), ".long"),
        (json!({"long": 1.5}), ".long"),
        (json!({"long": "1"}), ".long"),
        (json!({"boolean": "true"}), ".boolean"),
        (json!({"string": 1}), ".string"),
        (json!({"ipaddr": "10.0.0.0/33"}), ".ipaddr"),
        (json!({"ipaddr": ""}), ".ipaddr"),
        (json!({"decimal": "922337203685477.5808"}), ".decimal"),
        (json!({"decimal": "1"}), ".decimal"),
        (json!({"datetime": "2026-02-30"}), ".datetime"),
        (json!({"duration": "1h1d"}), ".duration"),
        (json!({"entityIdentifier": {"entityType": "A b", "entityId": "x"}}), ".entityIdentifier.entityType"),
        (json!({"entityIdentifier": {"entityType": "A"}}), ".entityIdentifier"),
        (deep, ".record.__entity.set.1.ipaddr"),
        (json!({}), ""),
        (json!({"long": 1, "string": "a"}), ""),
        (json!({"integer": 1}), ".integer"),
        (json!(1), ""),
        (Value::Null, ""),
    ] {
        let definition = json!({"contextMap": {"k": value}});
        let said = fault(context(Some(&definition), Path::of("context")));
        assert!(said.starts_with(&format!("context.contextMap.k{path} ")), "{value}: {said}");
    }
    for (definition, path) in [
        (json!({"cedarJson": "{"}), "entities.cedarJson "),
        (json!({"cedarJson": "{}"}), "entities.cedarJson "),
        (json!({"cedarJson": 1}), "entities.cedarJson "),
        (json!({"entityList": {}}), "entities.entityList "),
        (json!({"entityList": [{}]}), "entities.entityList.0.identifier "),
        (json!({"entityList": [], "cedarJson": "[]"}), "entities "),
        (json!({"entities": []}), "entities.entities "),
    ] {
        let said = fault(entities(Some(&definition), Path::of("entities")));
        assert!(said.starts_with(path), "{definition}: {said}");
    }
}

#[test]
fn cedars_json_has_its_escapes_and_avps_values_have_none() {
    let inner = json!({"__entity": {"type": "A", "id": "a"}});
    let read = |definition: &Value| context(Some(definition), Path::of("context")).unwrap().get("k").unwrap();
    let by_cedar = read(&json!({"cedarJson": json!({"k": inner}).to_string()}));
    assert!(matches!(by_cedar, EvalResult::EntityUid(_)), "{by_cedar:?}");
    let record =
        json!({"record": {"__entity": {"record": {"type": {"string": "A"}, "id": {"string": "a"}}}}});
    let by_avp = read(&json!({"contextMap": {"k": record}}));
    assert!(matches!(by_avp, EvalResult::Record(_)), "{by_avp:?}");
}

fn item(id: &str, level: i64) -> Value {
    json!({"identifier": {"entityType": "A", "entityId": id}, "attributes": {"level": {"long": level}}})
}

#[test]
fn of_entities_with_one_identifier_the_last_counts() {
    let list = json!({"entityList": [item("a", 1), item("b", 1), item("a", 2)]});
    let found = entities(Some(&list), Path::of("entities")).unwrap();
    let levels: Vec<_> = found.iter().map(|entity| entity.attr("level").unwrap().unwrap()).collect();
    assert_eq!(levels, [EvalResult::Long(2), EvalResult::Long(1)]);
}

#[test]
fn an_action_may_only_be_named() {
    let action = |rest: Value| {
        let mut item = json!({"identifier": {"entityType": "N::Action", "entityId": "x"}});
        item.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        let list = json!({"entityList": [item]});
        entities(Some(&list), Path::of("entities"))
    };
    for named in [json!({}), json!({"parents": [], "attributes": {}, "tags": {}}), json!({"parents": null})] {
        assert!(action(named).unwrap().is_empty());
    }
    let parent = json!({"entityType": "N::Action", "entityId": "all"});
    for described in [
        json!({"parents": [parent]}),
        json!({"attributes": {"a": {"long": 1}}}),
        json!({"tags": {"a": {"long": 1}}}),
    ] {
        let said = fault(action(described));
        assert!(said.starts_with("entities.entityList.0 `N::Action::\"x\"` is an action"), "{said}");
    }
    let json = json!([{"uid": {"type": "Action", "id": "x"}, "attrs": {}, "parents": [{"type": "Action", "id": "y"}]}]);
    let definition = json!({"cedarJson": json.to_string()});
    assert!(fault(entities(Some(&definition), Path::of("entities"))).contains("is an action"));
}
