//! Policies, templates, schemas: what is taken, refused, listed.

use std::fmt::Write;

use serde_json::{Value, json};

use super::server::AvpServer;
use super::stores::{new_store, refused};

pub const SCHEMA: &str = r#"{"Photos": {
    "entityTypes": {
        "User": {"memberOfTypes": ["Group"], "shape": {"type": "Record", "attributes": {"age": {"type": "Long"}}}},
        "Group": {}, "Photo": {"memberOfTypes": ["Album"]}, "Album": {}
    },
    "actions": {
        "get /photos": {"appliesTo": {"principalTypes": ["User"], "resourceTypes": ["Photo"]}},
        "view": {"appliesTo": {"principalTypes": ["User"], "resourceTypes": ["Photo"]}},
        "edit": {"appliesTo": {"principalTypes": ["User"], "resourceTypes": ["Photo"]}}
    }
}}"#;

#[track_caller]
pub fn put_schema(server: &AvpServer, store: &str) -> Value {
    server.answer("PutSchema", &json!({"policyStoreId": store, "definition": {"cedarJson": SCHEMA}}))
}

pub fn statement(store: &str, statement: &str) -> Value {
    json!({"policyStoreId": store, "definition": {"static": {"statement": statement}}})
}

/// Creates a static policy. Returns its id.
#[track_caller]
pub fn create(server: &AvpServer, store: &str, text: &str) -> String {
    server.answer("CreatePolicy", &statement(store, text))["policyId"].as_str().unwrap().to_owned()
}

#[track_caller]
pub fn template(server: &AvpServer, store: &str, text: &str) -> String {
    let made = server.answer("CreatePolicyTemplate", &json!({"policyStoreId": store, "statement": text}));
    made["policyTemplateId"].as_str().unwrap().to_owned()
}

pub fn link(store: &str, template: &str, principal: Option<&str>, resource: Option<&str>) -> Value {
    let entity = |kind: &str, id: &str| json!({"entityType": format!("Photos::{kind}"), "entityId": id});
    let mut linked = json!({"policyTemplateId": template});
    if let Some(id) = principal {
        linked["principal"] = entity("User", id);
    }
    if let Some(id) = resource {
        linked["resource"] = entity("Photo", id);
    }
    json!({"policyStoreId": store, "definition": {"templateLinked": linked}})
}

/// The ids of all policies with a filter.
#[track_caller]
pub fn listed(server: &AvpServer, store: &str, filter: Value) -> Vec<String> {
    let mut ids = Vec::new();
    let mut input = json!({"policyStoreId": store, "filter": filter, "maxResults": 50});
    loop {
        let page = server.answer("ListPolicies", &input);
        let items = page["policies"].as_array().unwrap();
        ids.extend(items.iter().map(|item| item["policyId"].as_str().unwrap().to_owned()));
        if page["nextToken"].is_null() {
            return ids;
        }
        input["nextToken"] = page["nextToken"].clone();
    }
}

#[test]
fn answers_have_the_scope_of_a_policy() {
    let server = AvpServer::start(&[]);
    let store = new_store(&server, "OFF");
    let entity = |kind: &str, id: &str| json!({"entityType": kind, "entityId": id});
    let action = |id: &str| json!({"actionType": "A::Action", "actionId": id});
    for (text, expected) in [
        ("permit (principal, action, resource);", json!({"effect": "Permit"})),
        (
            "// c\r\nforbid (principal == A::User::\"a\\\"b\", action == A::Action::\"x\", resource in A::Album::\"t\");",
            json!({"effect": "Forbid", "principal": entity("A::User", "a\"b"), "resource": entity("A::Album", "t"),
                   "actions": [action("x")]}),
        ),
        (
            "permit (principal is A::User, action in [A::Action::\"x\", A::Action::\"y\"], resource is A::P in A::Album::\"t\") when { true };//",
            json!({"effect": "Permit", "resource": entity("A::Album", "t"), "actions": [action("x"), action("y")]}),
        ),
        (
            "permit (principal, action in A::Action::\"g\", resource);",
            json!({"effect": "Permit", "actions": [action("g")]}),
        ),
    ] {
        let mut input = statement(&store, text);
        input["definition"]["static"]["description"] = json!("d");
        let made = server.answer("CreatePolicy", &input);
        let named = json!({"policyStoreId": store, "policyId": made["policyId"]});
        let got = server.answer("GetPolicy", &named);
        for member in ["effect", "principal", "resource", "actions"] {
            assert_eq!(made[member], expected[member], "{text} {member}");
            assert_eq!(got[member], expected[member], "{text} {member}");
        }
        assert_eq!(got["definition"], json!({"static": {"description": "d", "statement": text}}));
        assert_eq!((&made["policyType"], &made["createdDate"]), (&json!("STATIC"), &made["lastUpdatedDate"]));
        let items = server.answer("ListPolicies", &json!({"policyStoreId": store, "maxResults": 50}));
        let items = items["policies"].as_array().unwrap();
        let item = items.iter().find(|item| item["policyId"] == made["policyId"]).unwrap();
        assert_eq!(item["definition"], json!({"static": {"description": "d"}}), "lists have no statements");
    }
}

#[test]
fn what_is_no_policy_is_refused_with_its_place() {
    let server = AvpServer::start(&[]);
    let store = new_store(&server, "STRICT");
    let create = |text: &str| ("CreatePolicy", statement(&store, text));
    let make = |text: &str| ("CreatePolicyTemplate", json!({"policyStoreId": store, "statement": text}));
    let check = |(operation, input): (&'static str, Value), path: &str, words: &str| {
        let (name, answer) = server.refusal(operation, &input);
        assert_eq!(name, "ValidationException", "{input} {answer}");
        assert_eq!(answer["fieldList"][0]["path"], path, "{answer}");
        let message = answer["fieldList"][0]["message"].as_str().unwrap();
        assert!(message.contains(words), "{input}\n{message}");
    };
    let path = "definition.static.statement";
    check(create("permit (principal, action, resource);"), path, "no schema");
    put_schema(&server, &store);
    check(create("permit (principal,\n actio, resource);"), path, "line 2, column 2");
    check(create(" "), path, "no policy");
    check(
        create("permit (principal, action, resource);permit (principal, action, resource);"),
        path,
        "more than one",
    );
    check(create("permit (principal == ?principal, action, resource);"), path, "template");
    check(
        create(&format!("permit (principal, action, resource) when {{ {} }};", "(".repeat(5000))),
        path,
        "levels deep",
    );
    check(
        create(
            "//\n  permit (principal, action == Photos::Action::\"view\", resource)\nwhen { principal.agee == 1 };",
        ),
        path,
        "line 3, column 8",
    );
    check(create("permit (principal, action == Photos::Action::\"vieww\", resource);"), path, "vieww");
    check(
        make("permit (principal, action, resource == ?resource);"),
        "statement",
        "both principal and resource",
    );
    check(make("permit (principal, action, resource);"), "statement", "no template");
    check(make("permit (principal == ?principal, action, resource is Photos::Nope);"), "statement", "Nope");
    let (name, _) = server.refusal("CreatePolicy", &link(&store, "nope", Some("a"), None));
    assert_eq!(name, "ResourceNotFoundException");
    assert_eq!(listed(&server, &store, json!({})), Vec::<String>::new());

    // As deep as the library allows, in and out.
    let deep = format!(
        "permit (principal, action, resource) when {{ {}true{} }};",
        "(".repeat(900),
        ")".repeat(900)
    );
    let off = new_store(&server, "OFF");
    let id = super::policies::create(&server, &off, &deep);
    let named = json!({"policyStoreId": off, "policyId": id});
    let mut update = named.clone();
    update["definition"] = json!({"static": {"statement": deep.replace("true", "false")}});
    server.answer("UpdatePolicy", &update);
    server.answer("DeletePolicy", &named);
}

#[test]
fn only_parts_of_a_policy_can_be_changed() {
    let server = AvpServer::start(&[]);
    let store = new_store(&server, "STRICT");
    put_schema(&server, &store);
    let old = "permit (principal == Photos::User::\"a\", action == Photos::Action::\"view\", resource);";
    let id = create(&server, &store, old);
    let update = |text: &str| json!({"policyStoreId": store, "policyId": id, "definition": {"static": {"statement": text}}});
    let refusal = "ValidationException";
    refused(
        &server,
        &[
            ("UpdatePolicy", update(&old.replace("permit", "forbid")), refusal, "the effect"),
            ("UpdatePolicy", update(&old.replace("\"a\"", "\"b\"")), refusal, "the principal"),
            (
                "UpdatePolicy",
                update(&old.replace("resource", "resource is Photos::Photo")),
                refusal,
                "the resource",
            ),
            ("UpdatePolicy", update(&old.replace("view", "vieww")), refusal, "vieww"),
            (
                "UpdatePolicy",
                json!({"policyStoreId": store, "policyId": "x"}),
                "ResourceNotFoundException",
                "POLICY",
            ),
        ],
    );
    let new = old.replace("view", "edit").replace(';', " when { principal.age > 3 }; // new");
    let updated = server.answer("UpdatePolicy", &update(&new));
    assert_eq!(updated["actions"][0]["actionId"], "edit");
    assert!(updated["lastUpdatedDate"].as_str() > updated["createdDate"].as_str());
    let got = server.answer("GetPolicy", &json!({"policyStoreId": store, "policyId": id}));
    assert_eq!(got["definition"]["static"]["statement"], new);
}

#[test]
fn names_stand_for_ids() {
    let server = AvpServer::start(&[]);
    let store = new_store(&server, "OFF");
    let all = "permit (principal, action, resource);";
    let mut input = statement(&store, all);
    input["name"] = json!("name/p");
    let id = server.answer("CreatePolicy", &input)["policyId"].clone();
    let by_name = json!({"policyStoreId": store, "policyId": "name/p"});
    let got = server.answer("GetPolicy", &by_name);
    assert_eq!((&got["policyId"], &got["name"]), (&id, &json!("name/p")));
    refused(&server, &[("CreatePolicy", input.clone(), "ConflictException", "name/p")]);
    input["name"] = json!("p");
    refused(&server, &[("CreatePolicy", input, "ValidationException", "name/")]);
    let rename = |name: &str| json!({"policyStoreId": store, "policyId": id, "name": name});
    server.answer("UpdatePolicy", &rename("name/q"));
    refused(&server, &[("GetPolicy", by_name.clone(), "ResourceNotFoundException", "POLICY")]);
    server.answer("UpdatePolicy", &json!({"policyStoreId": store, "policyId": "name/q"}));
    server.answer("UpdatePolicy", &rename(""));
    assert_eq!(
        server.answer("GetPolicy", &json!({"policyStoreId": store, "policyId": id}))["name"],
        Value::Null
    );

    let text = "permit (principal == ?principal, action, resource in Photos::Album::\"a\");";
    let made = json!({"policyStoreId": store, "statement": text, "name": "name/t", "clientToken": "k"});
    let template = server.answer("CreatePolicyTemplate", &made);
    assert_eq!(server.answer("CreatePolicyTemplate", &made), template);
    let linked = server.answer("CreatePolicy", &link(&store, "name/t", Some("u"), None));
    let got = server.answer("GetPolicy", &json!({"policyStoreId": store, "policyId": linked["policyId"]}));
    assert_eq!(got["definition"]["templateLinked"]["policyTemplateId"], template["policyTemplateId"]);
    assert_eq!(listed(&server, &store, json!({"policyTemplateId": "name/t"})).len(), 1);
}

#[test]
fn a_repeated_request_makes_one_policy() {
    let server = AvpServer::start(&[]);
    let store = new_store(&server, "OFF");
    let mut input = statement(&store, "permit (principal, action, resource);");
    input["clientToken"] = json!("again");
    let made = server.answer("CreatePolicy", &input);
    assert_eq!(server.answer("CreatePolicy", &input), made);
    input["definition"]["static"]["statement"] = json!("forbid (principal, action, resource);");
    let (name, answer) = server.refusal("CreatePolicy", &input);
    assert_eq!(
        (name.as_str(), &answer["resources"][0]["resourceId"]),
        ("ConflictException", &made["policyId"])
    );
    assert_eq!(listed(&server, &store, json!({})).len(), 1);
}

#[test]
fn links_live_and_die_with_their_template() {
    let server = AvpServer::start(&[]);
    let store = new_store(&server, "STRICT");
    put_schema(&server, &store);
    let text = "@id(\"t\") permit (principal == ?principal, action == Photos::Action::\"view\", resource == ?resource);";
    let (one, two) = (template(&server, &store, text), template(&server, &store, text));
    let made = server.answer("CreatePolicy", &link(&store, &one, Some("a"), Some("p")));
    assert_eq!(made["principal"], json!({"entityType": "Photos::User", "entityId": "a"}));
    assert_eq!(
        (&made["policyType"], &made["actions"][0]["actionId"]),
        (&json!("TEMPLATE_LINKED"), &json!("view"))
    );
    let other = server.answer("CreatePolicy", &link(&store, &two, Some("b"), Some("p")));
    refused(
        &server,
        &[
            ("CreatePolicy", link(&store, &one, Some("a"), None), "ValidationException", "resource"),
            (
                "CreatePolicy",
                json!({"policyStoreId": store, "definition": {"templateLinked": {"policyTemplateId": one,
            "principal": {"entityType": "Photos::Nope", "entityId": "x"}, "resource": {"entityType": "Photos::Photo", "entityId": "p"}}}}),
                "ValidationException",
                "Nope",
            ),
            (
                "UpdatePolicy",
                json!({"policyStoreId": store, "policyId": made["policyId"], "definition": {"static": {"statement":
            "permit (principal, action, resource);"}}}),
                "ValidationException",
                "UpdatePolicyTemplate",
            ),
        ],
    );
    // The update of a template reaches its links, whatever becomes of its `@id`.
    let update = |text: &str| json!({"policyStoreId": store, "policyTemplateId": one, "statement": text, "description": "d"});
    server.answer("UpdatePolicyTemplate", &update(&text.replace("view", "edit").replace("@id(\"t\") ", "")));
    let get = |id: &Value| server.answer("GetPolicy", &json!({"policyStoreId": store, "policyId": id}));
    assert_eq!(get(&made["policyId"])["actions"][0]["actionId"], "edit");
    assert_eq!(get(&other["policyId"])["actions"][0]["actionId"], "view");
    let got = server.answer("GetPolicyTemplate", &json!({"policyStoreId": store, "policyTemplateId": one}));
    assert_eq!(got["description"], "d");
    refused(
        &server,
        &[
            (
                "UpdatePolicyTemplate",
                update(&text.replace("permit", "forbid")),
                "ValidationException",
                "the effect",
            ),
            (
                "UpdatePolicyTemplate",
                update(&text.replace("== ?principal", "in ?principal")),
                "ValidationException",
                "the principal",
            ),
            (
                "UpdatePolicyTemplate",
                update(&text.replace("== ?resource", "in ?resource")),
                "ValidationException",
                "the resource",
            ),
        ],
    );
    server.answer("DeletePolicyTemplate", &json!({"policyStoreId": store, "policyTemplateId": one}));
    refused(
        &server,
        &[
            (
                "GetPolicy",
                json!({"policyStoreId": store, "policyId": made["policyId"]}),
                "ResourceNotFoundException",
                "POLICY",
            ),
            (
                "DeletePolicyTemplate",
                json!({"policyStoreId": store, "policyTemplateId": one}),
                "ResourceNotFoundException",
                "POLICY_TEMPLATE",
            ),
        ],
    );
    assert_eq!(listed(&server, &store, json!({})), [other["policyId"].as_str().unwrap()]);
    server.answer("DeletePolicy", &json!({"policyStoreId": store, "policyId": other["policyId"]}));
    server.answer("DeletePolicy", &json!({"policyStoreId": store, "policyId": other["policyId"]}));
}

#[test]
fn filters_mean_the_scope_as_it_is_written() {
    let server = AvpServer::start(&[]);
    let store = new_store(&server, "OFF");
    let user = "Photos::User::\"a\"";
    let eq = create(&server, &store, &format!("permit (principal == {user}, action, resource);"));
    let within = create(
        &server,
        &store,
        &format!("forbid (principal in {user}, action, resource == Photos::Photo::\"p\");"),
    );
    let is = create(&server, &store, "permit (principal is Photos::User, action, resource);");
    let both =
        create(&server, &store, &format!("permit (principal is Photos::User in {user}, action, resource);"));
    let any = create(&server, &store, "permit (principal, action, resource);");
    let template = template(
        &server,
        &store,
        "permit (principal == ?principal, action, resource in Photos::Album::\"x\");",
    );
    let linked = server.answer("CreatePolicy", &link(&store, &template, Some("a"), None))["policyId"]
        .as_str()
        .unwrap()
        .to_owned();
    let check = |filter: Value, expected: &[&String]| {
        let mut expected: Vec<&String> = expected.to_vec();
        expected.sort();
        assert_eq!(listed(&server, &store, filter.clone()).iter().collect::<Vec<_>>(), expected, "{filter}");
    };
    let a = json!({"identifier": {"entityType": "Photos::User", "entityId": "a"}});
    let p = json!({"identifier": {"entityType": "Photos::Photo", "entityId": "p"}});
    check(json!({}), &[&eq, &within, &is, &both, &any, &linked]);
    check(json!({"principal": a}), &[&eq, &within, &both, &linked]);
    check(json!({"principal": {"unspecified": true}}), &[&is, &any]);
    check(json!({"resource": p, "principal": a}), &[&within]);
    check(json!({"resource": {"unspecified": true}, "principal": a}), &[&eq, &both]);
    check(json!({"policyType": "TEMPLATE_LINKED"}), &[&linked]);
    check(json!({"policyType": "STATIC", "principal": {"unspecified": true}}), &[&is, &any]);
    check(json!({"policyTemplateId": template}), &[&linked]);
    check(json!({"policyTemplateId": "other"}), &[]);
    let batch = server.answer(
        "BatchGetPolicy",
        &json!({"requests": [
            {"policyStoreId": store, "policyId": eq}, {"policyStoreId": store, "policyId": "x"},
            {"policyStoreId": "y", "policyId": eq}, {"policyStoreId": "policy-store-alias/z", "policyId": eq},
        ]}),
    );
    assert_eq!(batch["results"][0]["policyId"], eq.as_str());
    let codes: Vec<&str> =
        batch["errors"].as_array().unwrap().iter().map(|error| error["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["POLICY_NOT_FOUND", "POLICY_STORE_NOT_FOUND", "POLICY_STORE_ALIAS_NOT_FOUND"]);
}

#[test]
fn a_schema_is_kept_byte_for_byte_and_fits_the_policies() {
    let server = AvpServer::start(&[]);
    let store = new_store(&server, "STRICT");
    let put = |text: &str| json!({"policyStoreId": store, "definition": {"cedarJson": text}});
    let invalid = "ValidationException";
    refused(
        &server,
        &[
            ("GetSchema", json!({"policyStoreId": store}), "ResourceNotFoundException", "SCHEMA"),
            ("PutSchema", put("{}"), invalid, "namespace"),
            ("PutSchema", put("{"), invalid, "cedarJson"),
            ("PutSchema", put("{\"\": {\"entityTypes\": {}, \"actions\": {}}}"), invalid, "namespace"),
            ("PutSchema", put("{\"aws\": {\"entityTypes\": {}, \"actions\": {}}}"), invalid, "reserved"),
            (
                "PutSchema",
                put("{\"A::Cedar\": {\"entityTypes\": {}, \"actions\": {}}}"),
                invalid,
                "cedarJson",
            ),
            ("PutSchema", put("namespace A { entity B; }"), invalid, "cedarJson"),
            (
                "PutSchema",
                put("{\"A\": {\"entityTypes\": {\"B\": {\"memberOfTypes\": [\"C\"]}}, \"actions\": {}}}"),
                invalid,
                "C",
            ),
        ],
    );
    let first = put_schema(&server, &store);
    assert_eq!(first["namespaces"], json!(["Photos"]));
    assert_eq!(server.answer("GetSchema", &json!({"policyStoreId": store}))["schema"], SCHEMA);
    let id = create(&server, &store, "permit (principal, action == Photos::Action::\"edit\", resource);");
    let without = SCHEMA.replace("\"edit\"", "\"change\"");
    refused(&server, &[("PutSchema", put(&without), invalid, &id)]);
    let update = |mode: &str| json!({"policyStoreId": store, "validationSettings": {"mode": mode}});
    server.answer("UpdatePolicyStore", &update("OFF"));
    let second = server.answer("PutSchema", &put(&without));
    assert_eq!(second["createdDate"], first["createdDate"]);
    refused(&server, &[("UpdatePolicyStore", update("STRICT"), invalid, &id)]);
    server.answer("DeletePolicy", &json!({"policyStoreId": store, "policyId": id}));
    server.answer("UpdatePolicyStore", &update("STRICT"));
    let several = "{\"A\": {\"entityTypes\": {\"U\": {}}, \"actions\": {}}, \"B\": {\"entityTypes\": {}, \"actions\": {}}}";
    assert_eq!(server.answer("PutSchema", &put(several))["namespaces"], json!(["A", "B"]));
}

#[test]
fn quotas_apply_unless_they_are_off() {
    let strict = AvpServer::start(&[]);
    let free = AvpServer::start(&["--limits", "off"]);
    let (store, other) = (new_store(&strict, "OFF"), new_store(&free, "OFF"));
    let quota = "ServiceQuotaExceededException";
    let both = |operation: &'static str, input: &dyn Fn(&str) -> Value, words: &str| {
        refused(&strict, &[(operation, input(&store), quota, words)]);
        free.answer(operation, &input(&other));
    };
    let long = |length: usize| {
        let text = "permit (principal, action, resource);".to_owned();
        let comment = "x".repeat(length - text.len() - 2);
        format!("{text}//{comment}")
    };
    strict.answer("CreatePolicy", &statement(&store, &long(10_000)));
    both("CreatePolicy", &|store| statement(store, &long(10_001)), "10000");
    let template = |store: &str| json!({"policyStoreId": store, "statement": "permit (principal == ?principal, action, resource in A::B::\"x\");"});
    for _ in 0..40 {
        strict.answer("CreatePolicyTemplate", &template(&store));
        free.answer("CreatePolicyTemplate", &template(&other));
    }
    both("CreatePolicyTemplate", &template, "POLICY_TEMPLATE");
    let mut schema = "{\"A\": {\"entityTypes\": {}, \"actions\": {}}}".to_owned();
    write!(schema, "{}", " ".repeat(200_000)).unwrap();
    both(
        "PutSchema",
        &|store| json!({"policyStoreId": store, "definition": {"cedarJson": schema}}),
        "SCHEMA",
    );
    for _ in 0..19 {
        strict.answer("CreatePolicy", &statement(&store, &long(10_000)));
        free.answer("CreatePolicy", &statement(&other, &long(10_000)));
    }
    both("CreatePolicy", &|store| statement(store, "permit (principal, action, resource);"), "200000");
    // Another resource has room.
    strict.answer("CreatePolicy", &statement(&store, "permit (principal, action, resource == A::B::\"y\");"));
}
