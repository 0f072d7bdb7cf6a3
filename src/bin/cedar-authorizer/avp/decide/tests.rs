use serde_json::json;

use super::*;
use crate::avp::operations::{batch, is_authorized};
use crate::avp::snapshot::Snapshot;

/// A store with these files, and a policy for each of these texts, whose id is its number.
fn snapshot(files: &[(&str, &str)], policies: &[&str]) -> Snapshot {
    let mut all = StoreFiles::default();
    all.insert("store.toml".to_owned(), b"[store]\nname = 'x'\nnamespace = ''\n".to_vec());
    for (path, text) in files {
        all.insert((*path).to_owned(), text.as_bytes().to_vec());
    }
    let mut set = PolicySet::new();
    for (number, text) in policies.iter().enumerate() {
        let id = cedar_authorizer::cedar::PolicyId::new(number.to_string());
        set.add(cedar_authorizer::cedar::Policy::parse(Some(id), text).unwrap()).unwrap();
    }
    Snapshot::new(all, set)
}

fn uid(name: &str) -> Value {
    let (entity_type, id) = name.split_once(' ').unwrap();
    json!({"entityType": entity_type, "entityId": id})
}

fn asked(principal: &str, action: &str, resource: &str) -> Value {
    json!({
        "principal": uid(principal),
        "action": {"actionType": "Action", "actionId": action},
        "resource": uid(resource),
    })
}

fn answer(snapshot: &Snapshot, input: &Value) -> Result<Value, ServiceError> {
    is_authorized::answer(snapshot, Limits::On, input).map(|verdict| serde_json::to_value(verdict).unwrap())
}

#[test]
fn a_store_needs_no_schema_identity_source_or_route() {
    let store = snapshot(&[], &["permit (principal == A::\"a\", action, resource);"]);
    let allowed = json!({"decision": "ALLOW", "determiningPolicies": [{"policyId": "0"}], "errors": []});
    assert_eq!(answer(&store, &asked("A a", "x", "R r")).unwrap(), allowed);
    let denied = json!({"decision": "DENY", "determiningPolicies": [], "errors": []});
    assert_eq!(answer(&store, &asked("A b", "x", "R r")).unwrap(), denied);
}

#[test]
fn a_forbid_that_fails_is_skipped_and_its_error_told() {
    let policies = [
        "permit (principal, action, resource);",
        "forbid (principal, action, resource) when { resource.x };",
    ];
    let store = snapshot(&[], &policies);
    let answer = answer(&store, &asked("A a", "x", "R r")).unwrap();
    assert_eq!(answer["decision"], "ALLOW");
    assert_eq!(answer["determiningPolicies"], json!([{"policyId": "0"}]));
    let error = answer["errors"][0]["errorDescription"].as_str().unwrap();
    assert!(error.contains("policy `1`") && error.contains("R::\"r\""), "{error}");
}

#[test]
fn action_groups_of_the_schema_count() {
    let schema = "entity A, R; action all; action x in [all] appliesTo { principal: A, resource: R };";
    let policies = ["permit (principal, action in Action::\"all\", resource);"];
    let store = snapshot(&[("schema.cedarschema", schema)], &policies);
    assert_eq!(answer(&store, &asked("A a", "x", "R r")).unwrap()["decision"], "ALLOW");
    // What the schema does not allow is decided all the same.
    assert_eq!(answer(&store, &asked("R a", "all", "A r")).unwrap()["decision"], "ALLOW");
    assert_eq!(answer(&store, &asked("A a", "y", "R r")).unwrap()["decision"], "DENY");
}

#[test]
fn a_store_that_cannot_be_used_is_no_fault_of_the_request() {
    let store = snapshot(&[("entities.json", "{")], &[]);
    let error = answer(&store, &asked("A a", "x", "R r")).unwrap_err();
    assert_eq!(error.name(), "InternalServerException");
    assert!(format!("{error:?}").contains("entities.json"), "{error:?}");
}

#[test]
fn nobody_can_be_asked_about_nothing() {
    let store = snapshot(&[], &["permit (principal, action, resource);"]);
    for member in ["principal", "action", "resource"] {
        let mut input = asked("A a", "x", "R r");
        input.as_object_mut().unwrap().remove(member);
        let error = answer(&store, &input).unwrap_err();
        assert_eq!(error, ServiceError::invalid(member, "must be set"));
    }
}

/// A line of entities, each in the next one; the last is not an entity of the list.
fn line(length: usize) -> Value {
    let one = |number: usize| json!({"identifier": uid(&format!("A {number}")), "parents": [uid(&format!("A {}", number + 1))]});
    (0..length).map(one).collect()
}

#[test]
fn quotas_hold_unless_they_are_off() {
    let store = snapshot(&[], &["permit (principal in A::\"99\", action, resource);"]);
    let within = |limits, length| {
        let mut input = asked("A 0", "x", "R r");
        input["entities"] = json!({"entityList": line(length)});
        is_authorized::answer(&store, limits, &input)
    };
    assert!(within(Limits::On, 99).is_ok());
    let error = format!("{:?}", within(Limits::On, 100).unwrap_err());
    assert!(error.contains("principal: has 100 transitive parents"), "{error}");
    assert!(within(Limits::Off, 1000).is_ok());

    let mut input = asked("A 0", "x", "R r");
    input["context"] = json!({"contextMap": {"a": {"string": "x".repeat(1_000_000)}}});
    assert_eq!(answer(&store, &input).unwrap_err().name(), "ValidationException");
    assert!(is_authorized::answer(&store, Limits::Off, &input).is_ok());

    let requests = |count: usize| json!({"requests": vec![asked("A 0", "x", "R r"); count]});
    assert!(batch::answer(&store, Limits::On, &requests(30)).is_ok());
    assert!(batch::answer(&store, Limits::On, &requests(31)).is_err());
    assert!(batch::answer(&store, Limits::Off, &requests(31)).is_ok());
}

#[test]
fn an_entity_in_itself_is_refused() {
    let store = snapshot(&[], &["permit (principal, action, resource);"]);
    let list = json!([
        {"identifier": uid("A a"), "parents": [uid("A b")]},
        {"identifier": uid("A b"), "parents": [uid("A a")]},
    ]);
    let cedar = json!([
        {"uid": {"type": "A", "id": "a"}, "attrs": {}, "parents": [{"type": "A", "id": "b"}]},
        {"uid": {"type": "A", "id": "b"}, "attrs": {}, "parents": [{"type": "A", "id": "a"}]},
    ]);
    for entities in [json!({"entityList": list}), json!({"cedarJson": cedar.to_string()})] {
        let mut input = asked("R r", "x", "R r");
        input["entities"] = entities;
        assert_eq!(answer(&store, &input).unwrap_err().name(), "ValidationException");
    }
}

#[test]
fn a_batch_is_about_one_principal_or_one_resource_and_echoes_each_request() {
    let store = snapshot(&[], &["permit (principal, action == Action::\"x\", resource == R::\"r\");"]);
    let batch = |requests: &[Value]| {
        let output = batch::answer(&store, Limits::On, &json!({"requests": requests}))?;
        Ok::<_, ServiceError>(serde_json::to_value(output).unwrap())
    };
    let mut with_context = asked("A a", "x", "R s");
    with_context["context"] = json!({"contextMap": {"k": {"long": 1}}});
    let of_principal = [asked("A a", "x", "R r"), with_context, asked("A a", "y", "R r")];
    let of_resource = [asked("A a", "x", "R r"), asked("A b", "x", "R r")];
    for (requests, decisions) in
        [(&of_principal[..], &["ALLOW", "DENY", "DENY"][..]), (&of_resource, &["ALLOW", "ALLOW"])]
    {
        let output = batch(requests).unwrap();
        assert_eq!(output.get("principal"), None);
        let results = output["results"].as_array().unwrap();
        assert_eq!(results.len(), requests.len());
        for ((result, request), decision) in results.iter().zip(requests).zip(decisions) {
            assert_eq!((&result["request"], &result["decision"]), (request, &json!(decision)));
        }
    }
    let error = batch(&[asked("A a", "x", "R r"), asked("A b", "x", "R s")]).unwrap_err();
    assert_eq!(error.name(), "ValidationException");
    let mut third = asked("A a", "x", "R r");
    third["context"] = json!({"contextMap": {"k": {"ipaddr": "x"}}});
    let error =
        format!("{:?}", batch(&[of_principal[0].clone(), of_principal[2].clone(), third]).unwrap_err());
    assert!(error.contains("requests.2.context.contextMap.k.ipaddr"), "{error}");
}

#[test]
fn values_of_every_kind_reach_the_policies_as_attributes_and_as_tags() {
    let conditions = [
        ("ipaddr", "10.0.0.0/8", "== ip(\"10.0.0.0/8\")"),
        ("decimal", "1.2300", "== decimal(\"1.23\")"),
        ("datetime", "2026-02-01T01:02:03.004+0130", "== datetime(\"2026-01-31T23:32:03.004Z\")"),
        ("duration", "-1d2h", "== duration(\"-26h\")"),
    ];
    let of = |read: &str| {
        let parts = conditions.iter().map(|(kind, _, is)| format!("{} {is}", read.replace("KIND", kind)));
        let escaped = read.replace("KIND", "__entity") + ".__extn == \"x\"";
        let all: Vec<String> = parts.chain([escaped]).collect();
        format!("permit (principal, action, resource) when {{ {} }};", all.join(" && "))
    };
    let policies = [of("principal[\"KIND\"]"), of("principal.getTag(\"KIND\")"), of("context[\"KIND\"]")];
    let store = snapshot(&[], &policies.each_ref().map(String::as_str));
    let mut values: Value =
        conditions.iter().map(|(kind, text, _)| ((*kind).to_owned(), json!({*kind: text}))).collect();
    values["__entity"] = json!({"record": {"__extn": {"string": "x"}}});
    let mut input = asked("A a", "x", "R r");
    input["entities"] =
        json!({"entityList": [{"identifier": uid("A a"), "attributes": values, "tags": values}]});
    input["context"] = json!({"contextMap": values});
    let answer = answer(&store, &input).unwrap();
    let expected = json!([{"policyId": "0"}, {"policyId": "1"}, {"policyId": "2"}]);
    assert_eq!(answer["determiningPolicies"], expected, "{answer}");
}
