use serde_json::json;

use super::*;

fn cognito(token_type: TokenType) -> IdentitySource {
    let file = json!({
        "policyStoreId": "PSEXAMPLE",
        "principalEntityType": "PetStore::User",
        "configuration": {"cognitoUserPoolConfiguration": {
            "userPoolArn": "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_EXAMPLE",
            "clientIds": ["1example23456789"],
            "groupConfiguration": {"groupEntityType": "PetStore::UserGroup"}
        }}
    });
    let mut source = IdentitySource::from_json("cognito", &file.to_string()).unwrap();
    source.set_token_type(token_type);
    source
}

fn oidc(selection: Value) -> IdentitySource {
    let file = json!({
        "principalEntityType": "PetStore::User",
        "configuration": {"openIdConnectConfiguration": {
            "issuer": "https://auth.example.com/",
            "tokenSelection": selection,
            "entityIdPrefix": "Example",
            "groupConfiguration": {"groupClaim": "roles", "groupEntityType": "PetStore::UserGroup"}
        }}
    });
    IdentitySource::from_json("example", &file.to_string()).unwrap()
}

fn oidc_access() -> IdentitySource {
    oidc(json!({"accessTokenOnly": {"audiences": ["https://api.example.com"], "principalIdClaim": "uid"}}))
}

fn oidc_id() -> IdentitySource {
    oidc(json!({"identityTokenOnly": {"clientIds": ["app", "web"]}}))
}

#[track_caller]
fn claims(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

#[test]
fn reads_both_shapes_of_create_identity_source() {
    let source = cognito(TokenType::Id);
    assert_eq!(source.token_type(), Some(TokenType::Id));
    assert_eq!(source.principal_id_claim(), "sub");
    assert_eq!(source.group_claim(), "cognito:groups");
    let group = source.entity(source.group_type().unwrap(), "admins");
    assert_eq!(group.to_string(), "PetStore::UserGroup::\"us-east-1_EXAMPLE|admins\"");
    assert_eq!(
        source.key_locations(),
        [
            "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_EXAMPLE/.well-known/jwks.json",
            "https://issuer-cognito-idp.us-east-1.amazonaws.com/us-east-1_EXAMPLE/.well-known/jwks.json"
        ]
        .map(|url| KeyLocation::Url(url.to_owned()))
    );

    let source = oidc_access();
    assert_eq!(source.token_type(), Some(TokenType::Access));
    assert_eq!((source.principal_id_claim(), source.group_claim()), ("uid", "roles"));
    assert_eq!(source.issuers(), ["https://auth.example.com/"]);
    let user = source.entity(source.principal_type(), "7");
    assert_eq!(user.to_string(), "PetStore::User::\"Example|7\"");
    let issuer = "https://auth.example.com/".to_owned();
    assert_eq!(source.key_locations(), [KeyLocation::Discovery { issuer }]);
    assert_eq!(oidc_id().principal_id_claim(), "sub");
}

#[test]
fn without_a_prefix_there_is_no_bar() {
    let file = json!({
        "principalEntityType": "User",
        "configuration": {"openIdConnectConfiguration": {
            "issuer": "https://auth.example.com", "tokenSelection": {"accessTokenOnly": {}}
        }}
    });
    let source = IdentitySource::from_json("x", &file.to_string()).unwrap();
    assert_eq!(source.entity(source.principal_type(), "7").to_string(), "User::\"7\"");
    assert_eq!(source.groups(&claims(json!({"": ["a"]}))), Ok(vec![]));
}

#[test]
fn an_emulator_may_have_an_issuer_keys_and_no_prefix_of_its_own() {
    let file = json!({
        "principalEntityType": "User",
        "configuration": {"cognitoUserPoolConfiguration": {
            "userPoolArn": "arn:aws:cognito-idp:us-east-1:000000000000:userpool/us-east-1_84e2d3fb"
        }},
        "issuer": "http://localhost:4566/us-east-1_84e2d3fb",
        "jwksUri": "http://localhost:4566/us-east-1_84e2d3fb/.well-known/jwks.json",
        "entityIdPrefix": ""
    });
    let source = IdentitySource::from_json("x", &file.to_string()).unwrap();
    assert_eq!(source.issuers(), ["http://localhost:4566/us-east-1_84e2d3fb"]);
    assert_eq!(source.key_locations().len(), 1);
    assert_eq!(source.id_prefix(), None);
}

#[test]
fn a_problem_names_its_line() {
    for (text, line, message) in [
        (
            "{\n\"principalEntityType\": \"PetStore::\",\n\"configuration\": {}}",
            2,
            "`PetStore::` is not the name of an entity type",
        ),
        (
            "{\"principalEntityType\": \"User\",\n\"configuration\": {\"openIdConnectConfiguration\":\n\
             {\"issuer\": \"http://auth.example.com\"}}}",
            3,
            "`http://auth.example.com` is not the https URL of an issuer",
        ),
        (
            "{\"principalEntityType\": \"User\",\n\"configuration\": {\"samlConfiguration\": {}}}",
            2,
            "unknown variant `samlConfiguration`",
        ),
    ] {
        let error = IdentitySource::from_json("x", text).unwrap_err();
        assert_eq!(error.line(), line, "{error}");
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[test]
fn cognito_says_the_type_by_token_use() {
    let (access, id) = (cognito(TokenType::Access), cognito(TokenType::Id));
    let check = |source: &IdentitySource, value| source.check_token_type(&claims(value), false);
    assert_eq!(check(&access, json!({"token_use": "access"})), Ok(()));
    assert_eq!(check(&id, json!({"token_use": "id"})), Ok(()));
    assert_eq!(check(&access, json!({"token_use": "id"})), Err(Reason::TokenTypeMismatch));
    assert_eq!(check(&id, json!({"token_use": "access"})), Err(Reason::TokenTypeMismatch));
    assert_eq!(check(&id, json!({})), Err(Reason::ClaimInvalid));
}

#[test]
fn other_providers_say_it_by_marks_that_the_other_type_does_not_have() {
    let mismatch = Err(Reason::TokenTypeMismatch);
    for (value, explicit_access, as_access, as_id) in [
        (json!({}), false, Ok(()), Ok(())),
        (json!({}), true, Ok(()), mismatch),
        (json!({"scope": "a"}), false, Ok(()), mismatch),
        (json!({"scp": ["a"]}), false, Ok(()), mismatch),
        (json!({"client_id": "a"}), false, Ok(()), mismatch),
        (json!({"nonce": "a"}), false, mismatch, Ok(())),
        (json!({"at_hash": "a"}), false, mismatch, Ok(())),
        (json!({"nonce": "a"}), true, Ok(()), mismatch),
        // Keycloak before 25.
        (json!({"nonce": "a", "typ": "Bearer"}), false, Ok(()), mismatch),
        (json!({"typ": "ID"}), false, mismatch, Ok(())),
        (json!({"typ": "Refresh"}), false, mismatch, mismatch),
        (json!({"typ": 5}), false, mismatch, mismatch),
        (json!({"token_use": "access"}), false, Ok(()), mismatch),
        (json!({"token_use": "id"}), false, mismatch, Ok(())),
    ] {
        let claims = claims(value.clone());
        assert_eq!(oidc_access().check_token_type(&claims, explicit_access), as_access, "{value}");
        assert_eq!(oidc_id().check_token_type(&claims, explicit_access), as_id, "{value}");
    }
}

#[test]
fn the_audience_is_in_the_claims_that_the_guide_names() {
    let (ours, api) = ("1example23456789", "https://api.example.com");
    let (invalid, mismatch) = (Err(Reason::ClaimInvalid), Err(Reason::ClientMismatch));
    for (source, value, expected) in [
        (cognito(TokenType::Access), json!({"client_id": ours}), Ok(())),
        (cognito(TokenType::Access), json!({"client_id": "other"}), mismatch),
        (cognito(TokenType::Access), json!({"aud": ours}), invalid),
        (cognito(TokenType::Access), json!({"client_id": "other", "aud": ours}), mismatch),
        (cognito(TokenType::Id), json!({"aud": ours}), Ok(())),
        (cognito(TokenType::Id), json!({"aud": [ours]}), invalid),
        (cognito(TokenType::Id), json!({"client_id": ours}), invalid),
        (oidc_id(), json!({"aud": "app"}), Ok(())),
        (oidc_id(), json!({"aud": ["x", "web"]}), Ok(())),
        (oidc_id(), json!({"aud": ["x"]}), mismatch),
        (oidc_id(), json!({"aud": []}), invalid),
        (oidc_id(), json!({"aud": ["app", 5]}), invalid),
        (oidc_id(), json!({"aud": null}), invalid),
        (oidc_id(), json!({"azp": "app"}), invalid),
        (oidc_access(), json!({"aud": api}), Ok(())),
        (oidc_access(), json!({"aud": ["x", api]}), Ok(())),
        (oidc_access(), json!({"aud": "x", "client_id": api}), mismatch),
        (oidc_access(), json!({"cid": api}), Ok(())),
        (oidc_access(), json!({"client_id": api}), Ok(())),
        (oidc_access(), json!({"client_id": "x"}), mismatch),
        (oidc_access(), json!({"client_id": 5}), invalid),
        (oidc_access(), json!({"aud": null, "client_id": api}), invalid),
        (oidc_access(), json!({}), invalid),
    ] {
        assert_eq!(source.check_audience(&claims(value.clone())), expected, "{} {value}", source.name());
    }
}

#[test]
fn any_client_will_do_where_none_is_named_but_there_must_be_one() {
    let source = oidc(json!({"identityTokenOnly": {}}));
    assert_eq!(source.check_audience(&claims(json!({"aud": "anything"}))), Ok(()));
    assert_eq!(source.check_audience(&claims(json!({}))), Err(Reason::ClaimInvalid));
}

#[test]
fn groups_come_in_three_forms() {
    let list = |names: &[&str]| Ok(names.iter().map(|name| (*name).to_owned()).collect());
    let invalid = Err(Reason::ClaimInvalid);
    for (value, of_oidc, of_cognito) in [
        (json!(["a", "b c"]), list(&["a", "b c"]), list(&["a", "b c"])),
        (json!([]), list(&[]), list(&[])),
        (json!(null), list(&[]), list(&[])),
        (json!("a"), list(&["a"]), invalid.clone()),
        (json!("a  b"), list(&["a", "b"]), invalid.clone()),
        (json!(""), list(&[]), invalid.clone()),
        (json!([1]), invalid.clone(), invalid.clone()),
        (json!([""]), invalid.clone(), invalid.clone()),
        (json!({"a": 1}), invalid.clone(), invalid.clone()),
        (json!(7), invalid.clone(), invalid.clone()),
    ] {
        assert_eq!(oidc_id().groups(&claims(json!({"roles": value}))), of_oidc, "{value}");
        let groups = claims(json!({"cognito:groups": value}));
        assert_eq!(cognito(TokenType::Id).groups(&groups), of_cognito, "{value}");
    }
}

#[test]
fn names_that_mean_two_things_are_refused_of_cognito_alone() {
    for (value, expected) in [
        (json!({"cognito:username": "a", "custom:x": "b"}), Ok(())),
        (json!({"cognito": {"username": "a"}}), Ok(())),
        (json!({"cognito": 1, "custom:x": "b"}), Ok(())),
        (json!({"cognito": 1, "cognito:username": "b"}), Err(Reason::ClaimInvalid)),
        (json!({"custom": 1, "custom:x": "b"}), Err(Reason::ClaimInvalid)),
        (json!({"custom": 1, "customer:x": "b"}), Ok(())),
    ] {
        let claims = claims(value.clone());
        assert_eq!(cognito(TokenType::Id).check_names(&claims), expected, "{value}");
        assert_eq!(oidc_id().check_names(&claims), Ok(()), "{value}");
    }
}
