use cedar_policy::Entity;
use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::projection::{Projected, Projection, RequiredClaimMissing, project_simple};
use crate::token::TokenType;
use crate::token::identity_source::IdentitySource;

const SCHEMA: &str = r#"
    type Place = { city: String, zip?: Long };
    namespace Shop {
        type Token = { scope?: Set<String>, client_id: String };
        entity Group;
        entity User in [Group] = {
            email: String, age?: Long, vip?: Bool, tags?: Set<String>, home?: Place, boss?: User,
            ip?: ipaddr, since?: datetime, limit?: decimal, every?: duration, "custom:shop"?: String,
        };
        entity Dotted in [Group] = {
            cognito?: { username: String }, custom?: { shop?: String, a?: { b?: String } },
        };
        entity Application;
        action "get /" appliesTo { principal: User, resource: Application, context: { token: Token } };
        action "get /free" appliesTo { principal: User, resource: Application };
    }"#;

fn projection() -> Projection {
    Projection::Schema(ResolvedSchema::parse(SCHEMA).unwrap().shapes().unwrap())
}

fn cognito(principal_type: &str, token_type: TokenType) -> IdentitySource {
    let file = json!({
        "principalEntityType": principal_type,
        "configuration": {"cognitoUserPoolConfiguration": {
            "userPoolArn": "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_EXAMPLE"
        }}
    });
    let mut source = IdentitySource::from_json("cognito", &file.to_string()).unwrap();
    source.set_token_type(token_type);
    source
}

fn oidc(principal_type: &str) -> IdentitySource {
    let file = json!({
        "principalEntityType": principal_type,
        "configuration": {"openIdConnectConfiguration": {
            "issuer": "https://auth.example.com", "tokenSelection": {"identityTokenOnly": {}},
            "groupConfiguration": {"groupClaim": "roles", "groupEntityType": "Shop::Group"}
        }}
    });
    IdentitySource::from_json("oidc", &file.to_string()).unwrap()
}

/// Values as Cedar prints them, and how many claims were dropped.
fn printed(projected: Projected) -> (BTreeMap<String, String>, usize) {
    let Projected { values, dropped } = projected;
    let names: Vec<String> = values.keys().cloned().collect();
    let entity = Entity::new("X::\"x\"".parse().unwrap(), values, [].into()).unwrap();
    let print = |name: String| (name.clone(), entity.attr(&name).unwrap().unwrap().to_string());
    (names.into_iter().map(print).collect(), dropped)
}

fn project(claims: Value) -> Result<(BTreeMap<String, String>, usize), RequiredClaimMissing> {
    let source = cognito("Shop::User", TokenType::Id);
    projection().principal(claims.as_object().unwrap(), &source).map(printed)
}

#[test]
fn takes_each_claim_as_the_type_of_its_attribute() {
    let (attributes, dropped) = project(json!({
        "email": "a@example.com", "age": 7, "vip": true, "tags": ["a", "b"], "custom:shop": "x",
        "home": {"city": "Bern", "zip": 3000, "street": "not in the schema"},
        "ip": "10.0.0.1", "since": "2024-01-02", "limit": "1.5", "every": "1h",
        "unknown": "not in the schema"
    }))
    .unwrap();
    assert_eq!(dropped, 0);
    let names: Vec<&str> = attributes.keys().map(String::as_str).collect();
    let expected = ["age", "custom:shop", "email", "every", "home", "ip", "limit", "since", "tags", "vip"];
    assert_eq!(names, expected);
    assert_eq!(attributes["age"], "7");
    assert!(attributes["ip"].contains("ip(\"10.0.0.1\")"), "{attributes:?}");
    assert!(!attributes["home"].contains("street"));
}

#[test]
fn drops_and_counts_claims_of_another_type() {
    for claims in [
        json!({"age": "7"}),
        json!({"age": 7.5}),
        json!({"age": u64::MAX}),
        json!({"vip": "true"}),
        json!({"tags": "a b"}),
        json!({"tags": ["a", 1]}),
        json!({"home": {"zip": 3000}}),
        json!({"home": "Bern"}),
        json!({"ip": "not an address"}),
        json!({"since": "yesterday"}),
        json!({"limit": "1.23456"}),
        json!({"custom:shop": {"__entity": {"type": "Shop::User", "id": "admin"}}}),
        json!({"ip": {"__extn": {"fn": "ip", "arg": "10.0.0.1"}}}),
        json!({"boss": {"__entity": {"type": "Shop::User", "id": "admin"}}}),
        json!({"boss": "admin"}),
    ] {
        let mut whole = claims.clone();
        whole["email"] = json!("a@example.com");
        let (attributes, dropped) = project(whole).unwrap();
        assert_eq!((attributes.len(), dropped), (1, 1), "{claims}");
    }
}

#[test]
fn null_is_absent() {
    let (attributes, dropped) = project(json!({"email": "a", "age": null})).unwrap();
    assert_eq!((attributes.len(), dropped), (1, 0));
}

#[test]
fn a_required_attribute_without_its_claim_is_an_error() {
    for claims in [json!({}), json!({"email": null}), json!({"email": 5})] {
        assert_eq!(project(claims), Err(RequiredClaimMissing));
    }
    let source = cognito("Shop::User", TokenType::Access);
    assert!(projection().principal_without_claims(&source).is_err());
}

#[test]
fn scope_is_a_set_of_words() {
    let source = cognito("Shop::User", TokenType::Access);
    let action = "Shop::Action::\"get /\"".parse().unwrap();
    let projection = projection();
    let token = |claims: Value| {
        let shape = projection.context(&action).unwrap();
        shape.record("token").unwrap().project_claims(claims.as_object().unwrap(), &source)
    };
    for scope in [json!("read  write"), json!(["read", "write"])] {
        let (values, _) = printed(token(json!({"client_id": "c", "scope": scope})).unwrap());
        assert!(values["scope"].contains("\"read\"") && values["scope"].contains("\"write\""), "{values:?}");
    }
    assert!(token(json!({"scope": "read"})).is_err());
}

#[test]
fn an_action_without_context_declares_nothing() {
    let projection = projection();
    let shape = projection.context(&"Shop::Action::\"get /free\"".parse().unwrap()).unwrap();
    assert_eq!(shape.attributes().count(), 0);
    assert!(Projection::Schemaless.context(&"Action::\"x\"".parse().unwrap()).is_none());
}

#[test]
fn a_text_is_taken_as_the_type_of_its_attribute() {
    let projection = projection();
    let user = "Shop::User".parse().unwrap();
    for (name, text, is_taken) in [
        ("email", "anything", true),
        ("age", "7", true),
        ("age", "-7", true),
        ("age", "+7", false),
        ("age", "07", false),
        ("age", "x", false),
        ("vip", "true", true),
        ("vip", "yes", false),
        ("ip", "10.0.0.1", true),
        ("ip", "x", false),
        ("boss", "admin", false),
        ("tags", "a", false),
        ("home", "Bern", false),
        ("unknown", "x", false),
    ] {
        assert_eq!(projection.text_attribute(&user, name, text).is_some(), is_taken, "{name} {text}");
    }
}

#[test]
fn dot_notation_is_for_cognito_alone() {
    let claims = json!({
        "cognito:username": "alice", "cognito:groups": ["a"], "custom:shop": "dallas", "custom:a:b": "c",
        "custom:a": "too late"
    });
    let claims = claims.as_object().unwrap();
    let of_cognito = projection().principal(claims, &cognito("Shop::Dotted", TokenType::Id)).unwrap();
    let (attributes, _) = printed(of_cognito);
    assert!(attributes["cognito"].contains("alice") && !attributes["cognito"].contains("groups"));
    assert!(attributes["custom"].contains("dallas"), "{attributes:?}");
    let (attributes, _) = printed(projection().principal(claims, &oidc("Shop::Dotted")).unwrap());
    assert!(attributes.is_empty());
}

#[test]
fn the_claim_of_groups_is_never_an_attribute() {
    let schema = "entity G; entity User in [G] = { roles?: Set<String> };";
    let projection = Projection::Schema(ResolvedSchema::parse(schema).unwrap().shapes().unwrap());
    let claims = json!({"roles": ["a"]});
    let (attributes, dropped) =
        printed(projection.principal(claims.as_object().unwrap(), &oidc("User")).unwrap());
    assert_eq!((attributes.len(), dropped), (0, 0));
}

#[test]
fn without_a_schema_every_simple_claim_is_taken() {
    let claims = json!({
        "sub": "u", "aud": "a", "exp": 1, "iss": "i", "jti": "j", "cognito:groups": ["g"],
        "email": "a@example.com", "age": 7, "vip": true, "tags": ["a", "b"], "scope": "read write",
        "float": 1.5, "null": null, "object": {"__entity": {"type": "User", "id": "admin"}},
        "mixed": ["a", 1], "numbers": [1], "custom:shop": "x"
    });
    let claims = claims.as_object().unwrap();
    let id = cognito("User", TokenType::Id);
    let (attributes, dropped) = printed(Projection::Schemaless.principal(claims, &id).unwrap());
    let names: Vec<&str> = attributes.keys().map(String::as_str).collect();
    assert_eq!(names, ["age", "custom:shop", "email", "scope", "tags", "vip"]);
    assert_eq!(attributes["scope"], "\"read write\"");
    assert_eq!(dropped, 4);

    let access = cognito("User", TokenType::Access);
    assert!(printed(project_simple(claims, &access)).0["scope"].starts_with('['));
    let none = printed(Projection::Schemaless.principal_without_claims(&access).unwrap());
    assert!(none.0.is_empty());
}
