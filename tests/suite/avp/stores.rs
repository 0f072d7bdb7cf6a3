//! Policy stores, aliases, tags, identity sources.

use serde_json::{Value, json};

use super::server::AvpServer;

/// A new store. Returns its id.
#[track_caller]
pub fn new_store(server: &AvpServer, mode: &str) -> String {
    let made = server.answer("CreatePolicyStore", &json!({"validationSettings": {"mode": mode}}));
    made["policyStoreId"].as_str().unwrap().to_owned()
}

/// Checks that each request is refused with this error, and that the message has these words.
#[track_caller]
pub fn refused(server: &AvpServer, cases: &[(&str, Value, &str, &str)]) {
    for (operation, input, name, words) in cases {
        let (refusal, answer) = server.refusal(operation, input);
        assert_eq!(refusal, *name, "{operation} {input}\n{answer}");
        assert!(answer.to_string().contains(words), "{operation} {input}\n{answer}");
    }
}

#[test]
fn a_store_lives() {
    let server = AvpServer::start(&[]);
    let made = server.answer(
        "CreatePolicyStore",
        &json!({
            "validationSettings": {"mode": "OFF"}, "description": "first", "deletionProtection": "ENABLED",
            "tags": {"team": "pets"}, "clientToken": "t1",
            "encryptionSettings": {"kmsEncryptionSettings": {"key": "alias/k"}},
        }),
    );
    let id = made["policyStoreId"].as_str().unwrap();
    assert_eq!(id.len(), 22);
    assert_eq!(made["arn"], format!("arn:aws:verifiedpermissions::000000000000:policy-store/{id}"));
    assert_eq!(made["createdDate"].as_str().unwrap().len(), "2026-11-20T12:00:00.123456Z".len());

    let got = server.answer("GetPolicyStore", &json!({"policyStoreId": id}));
    assert_eq!(got["description"], "first");
    assert_eq!(got["validationSettings"], json!({"mode": "OFF"}));
    assert_eq!(got["deletionProtection"], "ENABLED");
    assert_eq!(got["cedarVersion"], "CEDAR_4");
    assert_eq!(
        got["encryptionState"],
        json!({"kmsEncryptionState": {"key": "alias/k", "encryptionContext": {}}})
    );
    assert_eq!(got["tags"], Value::Null, "tags only if asked for");
    let with_tags = server.answer("GetPolicyStore", &json!({"policyStoreId": id, "tags": true}));
    assert_eq!(with_tags["tags"], json!({"team": "pets"}));

    // Protected until the protection is taken away.
    let (name, _) = server.refusal("DeletePolicyStore", &json!({"policyStoreId": id}));
    assert_eq!(name, "InvalidStateException");
    let update = json!({
        "policyStoreId": id, "validationSettings": {"mode": "STRICT"}, "deletionProtection": "DISABLED",
    });
    let updated = server.answer("UpdatePolicyStore", &update);
    assert!(updated["lastUpdatedDate"].as_str() > updated["createdDate"].as_str());
    let got = server.answer("GetPolicyStore", &json!({"policyStoreId": id}));
    assert_eq!(
        (got["validationSettings"]["mode"].as_str(), got["description"].as_str()),
        (Some("STRICT"), Some("first"))
    );
    assert_eq!(server.answer("DeletePolicyStore", &json!({"policyStoreId": id})), json!({}));
    assert_eq!(server.answer("DeletePolicyStore", &json!({"policyStoreId": id})), json!({}));
    refused(
        &server,
        &[
            ("GetPolicyStore", json!({"policyStoreId": id}), "ResourceNotFoundException", "POLICY_STORE"),
            ("GetSchema", json!({"policyStoreId": id}), "ResourceNotFoundException", "POLICY_STORE"),
        ],
    );
}

#[test]
fn the_same_request_twice_makes_one_store() {
    let server = AvpServer::start(&[]);
    let input = json!({"validationSettings": {"mode": "OFF"}, "clientToken": "a", "description": "d"});
    let first = server.answer("CreatePolicyStore", &input);
    assert_eq!(server.answer("CreatePolicyStore", &input), first);
    let other = json!({"validationSettings": {"mode": "OFF"}, "clientToken": "a", "description": "e"});
    let (name, answer) = server.refusal("CreatePolicyStore", &other);
    assert_eq!(
        (name.as_str(), &answer["resources"][0]["resourceId"]),
        ("ConflictException", &first["policyStoreId"])
    );
    assert_eq!(server.answer("ListPolicyStores", &json!({}))["policyStores"].as_array().unwrap().len(), 1);
}

#[test]
fn lists_have_pages() {
    let server = AvpServer::start(&[]);
    let mut all: Vec<String> = (0..23).map(|_| new_store(&server, "OFF")).collect();
    all.sort();
    let (mut listed, mut sizes, mut input) = (Vec::new(), Vec::new(), json!({}));
    loop {
        let page = server.answer("ListPolicyStores", &input);
        let items = page["policyStores"].as_array().unwrap();
        sizes.push(items.len());
        listed.extend(items.iter().map(|item| item["policyStoreId"].as_str().unwrap().to_owned()));
        let Some(token) = page["nextToken"].as_str() else { break };
        input = json!({"nextToken": token});
    }
    assert_eq!((listed, sizes), (all.clone(), vec![10, 10, 3]));
    let many = server.answer("ListPolicyStores", &json!({"maxResults": 1000}));
    assert_eq!(many["policyStores"].as_array().unwrap().len(), 23);
    let token = input["nextToken"].as_str().unwrap();
    refused(
        &server,
        &[
            (
                "ListPolicyStores",
                json!({"nextToken": format!("{token}A")}),
                "ValidationException",
                "nextToken",
            ),
            ("ListPolicyStores", json!({"nextToken": "forged"}), "ValidationException", "nextToken"),
            (
                "ListPolicies",
                json!({"policyStoreId": all[0], "nextToken": token}),
                "ValidationException",
                "nextToken",
            ),
        ],
    );
}

#[test]
fn an_alias_stands_for_its_store() {
    let server = AvpServer::start(&[]);
    let (one, two) = (new_store(&server, "OFF"), new_store(&server, "OFF"));
    let input = json!({"aliasName": "policy-store-alias/a", "policyStoreId": one});
    let made = server.answer("CreatePolicyStoreAlias", &input);
    assert_eq!(made["aliasArn"], "arn:aws:verifiedpermissions:us-east-1:000000000000:policy-store-alias/a");
    assert_eq!(server.answer("CreatePolicyStoreAlias", &input), made, "again");
    let alias = json!({"policyStoreId": "policy-store-alias/a"});
    assert_eq!(server.answer("GetPolicyStore", &alias)["policyStoreId"], one.as_str());
    let create = |alias: &str, store: &str| json!({"aliasName": alias, "policyStoreId": store});
    refused(
        &server,
        &[
            (
                "CreatePolicyStoreAlias",
                create("policy-store-alias/a", &two),
                "ConflictException",
                "POLICY_STORE_ALIAS",
            ),
            ("CreatePolicyStoreAlias", create("a", &one), "ValidationException", "aliasName"),
            (
                "CreatePolicyStoreAlias",
                create("policy-store-alias/", &one),
                "ValidationException",
                "aliasName",
            ),
            (
                "CreatePolicyStoreAlias",
                create("policy-store-alias/b", "nowhere"),
                "ResourceNotFoundException",
                "POLICY_STORE",
            ),
            (
                "CreatePolicyStoreAlias",
                create("policy-store-alias/b", "policy-store-alias/a"),
                "ValidationException",
                "policyStoreId",
            ),
            (
                "GetPolicyStore",
                json!({"policyStoreId": "policy-store-alias/b"}),
                "ResourceNotFoundException",
                "POLICY_STORE_ALIAS",
            ),
            (
                "GetPolicyStoreAlias",
                json!({"aliasName": "policy-store-alias/b"}),
                "ResourceNotFoundException",
                "POLICY_STORE_ALIAS",
            ),
        ],
    );
    let name = json!({"aliasName": "policy-store-alias/a"});
    assert_eq!(server.answer("GetPolicyStoreAlias", &name)["state"], "Active");

    // Softly: the name stays taken and finds nothing.
    server.answer("DeletePolicyStoreAlias", &name);
    assert_eq!(server.answer("GetPolicyStoreAlias", &name)["state"], "PendingDeletion");
    refused(
        &server,
        &[
            ("GetPolicyStore", alias.clone(), "ResourceNotFoundException", "POLICY_STORE_ALIAS"),
            ("CreatePolicyStoreAlias", input.clone(), "ConflictException", "being deleted"),
        ],
    );
    server.answer(
        "DeletePolicyStoreAlias",
        &json!({"aliasName": "policy-store-alias/a", "deletionMode": "HardDelete"}),
    );
    server.answer("CreatePolicyStoreAlias", &create("policy-store-alias/a", &two));
    server.answer("DeletePolicyStoreAlias", &json!({"aliasName": "policy-store-alias/never"}));

    // Pages of five, and ten to a store.
    for number in 0..9 {
        server.answer("CreatePolicyStoreAlias", &create(&format!("policy-store-alias/n{number}"), &two));
    }
    let too_many = create("policy-store-alias/n9", &two);
    refused(&server, &[("CreatePolicyStoreAlias", too_many, "ServiceQuotaExceededException", "10")]);
    let page = server.answer("ListPolicyStoreAliases", &json!({}));
    assert_eq!(page["policyStoreAliases"].as_array().unwrap().len(), 5);
    let of = |store: &str| json!({"filter": {"policyStoreId": store}, "maxResults": 50});
    let count = |store: &str| {
        server.answer("ListPolicyStoreAliases", &of(store))["policyStoreAliases"].as_array().unwrap().len()
    };
    assert_eq!((count(&one), count(&two)), (0, 10));
    server.answer("DeletePolicyStore", &json!({"policyStoreId": two}));
    assert_eq!(server.answer("ListPolicyStoreAliases", &json!({}))["policyStoreAliases"], json!([]));
}

#[test]
fn stores_have_tags() {
    let server = AvpServer::start(&[]);
    let id = new_store(&server, "OFF");
    let arn = format!("arn:aws:verifiedpermissions::000000000000:policy-store/{id}");
    let other_account = arn.replace("000000000000", "123456789012");
    server.answer("TagResource", &json!({"resourceArn": arn, "tags": {"a": "1", "b": "2"}}));
    server.answer("TagResource", &json!({"resourceArn": other_account, "tags": {"b": "3"}}));
    let list = json!({"resourceArn": arn});
    assert_eq!(server.answer("ListTagsForResource", &list)["tags"], json!({"a": "1", "b": "3"}));
    server.answer("UntagResource", &json!({"resourceArn": arn, "tagKeys": ["a", "never"]}));
    assert_eq!(server.answer("ListTagsForResource", &list)["tags"], json!({"b": "3"}));
    let many: Value =
        (0..50).map(|number| (format!("k{number}"), json!(""))).collect::<serde_json::Map<_, _>>().into();
    refused(
        &server,
        &[
            (
                "TagResource",
                json!({"resourceArn": arn, "tags": many}),
                "TooManyTagsException",
                "resourceName",
            ),
            ("ListTagsForResource", json!({"resourceArn": "nonsense"}), "ValidationException", "resourceArn"),
            (
                "ListTagsForResource",
                json!({"resourceArn": "arn:aws:s3:::policy-store/x"}),
                "ValidationException",
                "resourceArn",
            ),
            (
                "ListTagsForResource",
                json!({"resourceArn": arn.replace(&id, "x")}),
                "ResourceNotFoundException",
                "POLICY_STORE",
            ),
        ],
    );
    assert_eq!(server.answer("ListTagsForResource", &list)["tags"], json!({"b": "3"}), "nothing of it");
}

const POOL: &str = "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_1a2b3c4d5";

#[test]
fn an_identity_source_lives() {
    let server = AvpServer::start(&[]);
    let store = new_store(&server, "OFF");
    let input = json!({
        "policyStoreId": store, "clientToken": "c",
        "configuration": {"cognitoUserPoolConfiguration": {"userPoolArn": POOL}},
    });
    let made = server.answer("CreateIdentitySource", &input);
    assert_eq!(server.answer("CreateIdentitySource", &input), made);
    let id = made["identitySourceId"].as_str().unwrap();
    let named = json!({"policyStoreId": store, "identitySourceId": id});
    let got = server.answer("GetIdentitySource", &named);
    let issuer = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_1a2b3c4d5";
    assert_eq!(got["principalEntityType"], "AWS::Cognito");
    assert_eq!(
        got["configuration"],
        json!({"cognitoUserPoolConfiguration": {"userPoolArn": POOL, "clientIds": [], "issuer": issuer}})
    );
    assert_eq!(
        got["details"],
        json!({"clientIds": [], "userPoolArn": POOL, "openIdIssuer": "COGNITO",
               "discoveryUrl": format!("{issuer}/.well-known/openid-configuration")})
    );
    let second = json!({
        "policyStoreId": store, "configuration": {"cognitoUserPoolConfiguration": {"userPoolArn": POOL}},
    });
    refused(
        &server,
        &[
            ("CreateIdentitySource", second.clone(), "ServiceQuotaExceededException", "IDENTITY_SOURCE"),
            (
                "GetIdentitySource",
                json!({"policyStoreId": store, "identitySourceId": "x"}),
                "ResourceNotFoundException",
                "IDENTITY_SOURCE",
            ),
            (
                "DeleteIdentitySource",
                json!({"policyStoreId": store, "identitySourceId": "x"}),
                "ResourceNotFoundException",
                "IDENTITY_SOURCE",
            ),
            (
                "UpdateIdentitySource",
                json!({"policyStoreId": store, "identitySourceId": id, "principalEntityType": "not a type",
            "updateConfiguration": {"cognitoUserPoolConfiguration": {"userPoolArn": POOL}}}),
                "ValidationException",
                "entity type",
            ),
        ],
    );
    let oidc = json!({"openIdConnectConfiguration": {
        "issuer": "https://example.com", "entityIdPrefix": "P", "tokenSelection": {"accessTokenOnly": {"audiences": ["a"]}},
    }});
    server.answer(
        "UpdateIdentitySource",
        &json!({"policyStoreId": store, "identitySourceId": id, "updateConfiguration": oidc, "principalEntityType": "A::User"}),
    );
    let got = server.answer("GetIdentitySource", &named);
    assert_eq!(
        (&got["configuration"], &got["principalEntityType"], &got["details"]),
        (&oidc, &json!("A::User"), &Value::Null)
    );
    let list = |filters: Value| {
        let listed =
            server.answer("ListIdentitySources", &json!({"policyStoreId": store, "filters": filters}));
        listed["identitySources"].as_array().unwrap().len()
    };
    assert_eq!(list(json!([])), 1);
    assert_eq!(list(json!([{"principalEntityType": "A::User"}])), 1);
    assert_eq!(list(json!([{"principalEntityType": "B::User"}])), 0);
    server.answer("DeleteIdentitySource", &named);
    server.answer("CreateIdentitySource", &second);

    let without_limits = AvpServer::start(&["--limits", "off"]);
    let store = new_store(&without_limits, "OFF");
    for _ in 0..2 {
        let mut input = second.clone();
        input["policyStoreId"] = store.clone().into();
        without_limits.answer("CreateIdentitySource", &input);
    }
}
