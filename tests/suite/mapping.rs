//! From the claims of a token to what policies see: the cases of the User Guide's section "Mapping identity provider
//! tokens to schema". Each has the claims, schema and policy that the guide shows, and variants with one thing changed.

use cedar_authorizer::bundle::{Bundle, DevelopmentKeys, StoreFiles};
use cedar_authorizer::gateway::call::Call;
use cedar_authorizer::reason::Reason;
use cedar_authorizer::store::{Store, build, directory};
use cedar_authorizer::time::UnixTime;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::world::{EXPIRES_AT, ISSUED_AT, answer, event, root, run, stdout};

/// A policy store in memory, with one route `get /`.
struct World {
    bundle: Bundle,
    files: StoreFiles,
}

impl World {
    #[track_caller]
    fn new(settings: &str, schema: Option<(&str, &str)>, policy: &str, source: &Value) -> Self {
        let mut files = StoreFiles::default();
        let settings = format!("[store]\nname = 'world'\nnamespace = 'World'\n{settings}");
        files.insert("store.toml".to_owned(), settings.into_bytes());
        files.insert("policies/policy.cedar".to_owned(), policy.as_bytes().to_vec());
        files.insert("identity-sources/source.json".to_owned(), source.to_string().into_bytes());
        if let Some((name, text)) = schema {
            files.insert(name.to_owned(), text.as_bytes().to_vec());
        }
        let (store, findings) = Store::check(&files);
        let store = store.unwrap_or_else(|| panic!("{findings:#?}"));
        let bytes = build::bundle(&store, &files, 1).unwrap();
        Self { bundle: Bundle::open(bytes.clone(), DevelopmentKeys::Allow).unwrap(), files }
    }

    /// How `get /` ends for a token with the claims `good`, changed by `changes`.
    #[track_caller]
    fn decide(&self, good: &Value, changes: Value) -> Reason {
        let mut claims = json!({"iat": ISSUED_AT, "exp": EXPIRES_AT});
        for (name, value) in good.as_object().unwrap().iter().chain(changes.as_object().unwrap()) {
            claims[name] = value.clone();
        }
        let folder = tempfile::tempdir().unwrap();
        for (path, content) in self.files.iter() {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let output =
            run(&["token", "--store", folder.path().to_str().unwrap(), "--claims", &claims.to_string()]);
        let call = Call::from_event(event(stdout(&output).trim_end(), "GET", "/")).unwrap();
        match answer(&call, &self.bundle, UnixTime::from_seconds(ISSUED_AT)) {
            Ok(outcome) => outcome.decision.reason,
            Err(cedar_authorizer::token::Unverified::Refused(reason)) => reason,
            Err(missing) => panic!("{missing:?}"),
        }
    }
}

fn cognito() -> Value {
    json!({
        "principalEntityType": "World::User",
        "configuration": {"cognitoUserPoolConfiguration": {
            "userPoolArn": "arn:aws:cognito-idp:us-east-2:123456789012:userpool/us-east-2_EXAMPLE",
            "clientIds": ["1example23456789"],
            "groupConfiguration": {"groupEntityType": "World::UserGroup"}
        }}
    })
}

fn oidc(selection: Value) -> Value {
    json!({
        "principalEntityType": "World::User",
        "configuration": {"openIdConnectConfiguration": {
            "issuer": "https://auth.example.com",
            "tokenSelection": selection,
            "entityIdPrefix": "MyOIDCProvider",
            "groupConfiguration": {"groupClaim": "groups", "groupEntityType": "World::UserGroup"}
        }}
    })
}

/// A schema in AVP's JSON form, with these attributes of the user and this context of `get /`.
fn json_schema(user: Value, context: Value) -> String {
    let schema = json!({"World": {
        "entityTypes": {
            "Application": {},
            "UserGroup": {},
            "User": {"memberOfTypes": ["UserGroup"], "shape": {"type": "Record", "attributes": user}}
        },
        "actions": {"get /": {"appliesTo": {
            "principalTypes": ["User"], "resourceTypes": ["Application"], "context": context
        }}}
    }});
    schema.to_string()
}

fn no_context() -> Value {
    json!({"type": "Record", "attributes": {}})
}

const JSON: &str = "schema.cedarschema.json";

/// The claims of a Cognito ID token: Cognito's own, custom, standard and transient ones.
fn cognito_id_claims() -> Value {
    json!({
        "sub": "91eb4550-0001", "cognito:groups": ["Store-Owner-Role", "Customer"], "email_verified": true,
        "clearance": "confidential", "cognito:username": "alice", "custom:employmentStoreCode": "petstore-dallas",
        "event_id": "0ed5ad5c", "auth_time": ISSUED_AT, "department": "engineering", "tenant": "x11app-tenant-1",
        "email": "alice@example.com"
    })
}

#[test]
fn cognito_id_token_in_bracket_notation() {
    let string = |required: bool| json!({"type": "String", "required": required});
    let user = json!({
        "cognito:username": string(false), "custom:employmentStoreCode": string(false),
        "email": {"type": "String"}, "tenant": string(true)
    });
    let policy = r#"permit (
        principal in World::UserGroup::"us-east-2_EXAMPLE|Customer", action, resource
    ) when {
        principal has "cognito:username" && principal["cognito:username"] == "alice" &&
        principal has "custom:employmentStoreCode" &&
        principal["custom:employmentStoreCode"] == "petstore-dallas" &&
        principal.tenant == "x11app-tenant-1" && principal.email like "*@example.com"
    };"#;
    let schema = json_schema(user, no_context());
    let world = World::new("[tokens]\ntype = 'id'\n", Some((JSON, &schema)), policy, &cognito());
    for (changes, reason) in [
        (json!({}), Reason::AllowedByPolicy),
        (json!({"cognito:groups": ["Customers"]}), Reason::NoMatchingPermit),
        (json!({"cognito:groups": null}), Reason::NoMatchingPermit),
        (json!({"cognito:username": "bob"}), Reason::NoMatchingPermit),
        (json!({"cognito:username": null}), Reason::NoMatchingPermit),
        (json!({"custom:employmentStoreCode": ["petstore-dallas"]}), Reason::NoMatchingPermit),
        (json!({"tenant": "x11app-tenant-2"}), Reason::NoMatchingPermit),
        (json!({"tenant": null}), Reason::RequiredClaimMissing),
        (json!({"email": true}), Reason::RequiredClaimMissing),
        (json!({"custom": {}}), Reason::ClaimInvalid),
        (json!({"token_use": "access"}), Reason::TokenTypeMismatch),
    ] {
        assert_eq!(world.decide(&cognito_id_claims(), changes.clone()), reason, "{changes}");
    }
}

#[test]
fn cognito_id_token_in_dot_notation() {
    let record = |name: &str| json!({"type": "Record", "required": true, "attributes": {name: {"type": "String", "required": true}}});
    let user = json!({
        "cognito": record("username"), "custom": record("employmentStoreCode"),
        "email": {"type": "String", "required": false}, "tenant": {"type": "String", "required": true}
    });
    let policy = r#"permit (principal, action, resource) when {
        principal.cognito.username == "alice" && principal.custom.employmentStoreCode == "petstore-dallas" &&
        principal.tenant == "x11app-tenant-1" && principal has email && principal.email == "alice@example.com"
    };"#;
    let schema = json_schema(user, no_context());
    let world = World::new("[tokens]\ntype = 'id'\n", Some((JSON, &schema)), policy, &cognito());
    for (changes, reason) in [
        (json!({}), Reason::AllowedByPolicy),
        (json!({"custom:employmentStoreCode": "petstore-austin"}), Reason::NoMatchingPermit),
        (json!({"email": null}), Reason::NoMatchingPermit),
        (json!({"cognito:username": null}), Reason::RequiredClaimMissing),
        (json!({"custom:employmentStoreCode": null, "custom:other": "x"}), Reason::RequiredClaimMissing),
        (json!({"cognito": {"username": "alice"}}), Reason::ClaimInvalid),
    ] {
        assert_eq!(world.decide(&cognito_id_claims(), changes.clone()), reason, "{changes}");
    }
}

#[test]
fn oidc_id_token() {
    let user = json!({
        "email": {"type": "String"}, "email_verified": {"type": "Boolean"},
        "name": {"type": "String", "required": true},
        "phone_number": {"type": "String"}, "phone_number_verified": {"type": "Boolean"}
    });
    let policy = r#"permit (principal in World::UserGroup::"MyOIDCProvider|MyUserGroup", action, resource) when {
        principal.email_verified && principal.email == "alice@example.com" &&
        principal.phone_number_verified && principal.phone_number like "+1206*"
    };"#;
    let schema = json_schema(user, no_context());
    let source =
        oidc(json!({"identityTokenOnly": {"clientIds": ["1example23456789"], "principalIdClaim": "sub"}}));
    let world = World::new("", Some((JSON, &schema)), policy, &source);
    let good = json!({
        "sub": "91eb4550-0001", "groups": ["MyUserGroup", "other"], "name": "Alice", "email": "alice@example.com",
        "email_verified": true, "phone_number": "+12065550100", "phone_number_verified": true, "nonce": "n"
    });
    for (changes, reason) in [
        (json!({}), Reason::AllowedByPolicy),
        // The three forms of a groups claim.
        (json!({"groups": "MyUserGroup"}), Reason::AllowedByPolicy),
        (json!({"groups": "other MyUserGroup another"}), Reason::AllowedByPolicy),
        (json!({"groups": ["other MyUserGroup"]}), Reason::NoMatchingPermit),
        (json!({"groups": "other,MyUserGroup"}), Reason::NoMatchingPermit),
        (json!({"phone_number": "+441632960000"}), Reason::NoMatchingPermit),
        (json!({"email_verified": false}), Reason::NoMatchingPermit),
        (json!({"email_verified": "true"}), Reason::RequiredClaimMissing),
        (json!({"name": null}), Reason::RequiredClaimMissing),
        (json!({"scope": "openid"}), Reason::TokenTypeMismatch),
    ] {
        assert_eq!(world.decide(&good, changes.clone()), reason, "{changes}");
    }
}

fn token_context() -> Value {
    json!({"type": "Record", "attributes": {"token": {"type": "Record", "attributes": {
        "scope": {"type": "Set", "element": {"type": "String"}}, "client_id": {"type": "String"}
    }}}})
}

#[test]
fn cognito_access_token() {
    let policy = r#"permit (principal, action in [World::Action::"get /"], resource) when {
        context.token.client_id == "1example23456789" && context.token.scope.contains("MyAPI/mydata.write")
    };"#;
    let schema = json_schema(json!({}), token_context());
    let world = World::new("[tokens]\ntype = 'access'\n", Some((JSON, &schema)), policy, &cognito());
    let good = json!({
        "sub": "91eb4550-0001", "cognito:groups": ["Customer"], "event_id": "bda909cb", "auth_time": ISSUED_AT,
        "scope": "openid MyAPI/mydata.write", "username": "alice"
    });
    for (changes, reason) in [
        (json!({}), Reason::AllowedByPolicy),
        (json!({"scope": "MyAPI/mydata.write"}), Reason::AllowedByPolicy),
        (json!({"scope": "MyAPI/mydata.writes"}), Reason::NoMatchingPermit),
        (json!({"scope": ""}), Reason::NoMatchingPermit),
        (json!({"scope": null}), Reason::RequiredClaimMissing),
        (json!({"client_id": "other"}), Reason::ClientMismatch),
        (json!({"token_use": "id"}), Reason::TokenTypeMismatch),
    ] {
        assert_eq!(world.decide(&good, changes.clone()), reason, "{changes}");
    }
}

#[test]
fn oidc_access_token() {
    let policy = r#"permit (
        principal == World::User::"MyOIDCProvider|91eb4550-0001", action, resource
    ) when { context.token.client_id == "1example23456789" && context.token.scope.contains("MyAPI-Read") };"#;
    let schema = json_schema(json!({}), token_context());
    let audiences = json!(["https://myapplication.example.com"]);
    let source = oidc(json!({"accessTokenOnly": {"audiences": audiences, "principalIdClaim": "sub"}}));
    let world = World::new("", Some((JSON, &schema)), policy, &source);
    let good = json!({
        "sub": "91eb4550-0001", "groups": ["Customer"], "client_id": "1example23456789", "scope": "MyAPI-Read",
        "username": "alice"
    });
    for (changes, reason) in [
        (json!({}), Reason::AllowedByPolicy),
        (json!({"sub": "91eb4550-0002"}), Reason::NoMatchingPermit),
        (json!({"scope": ["MyAPI-Read"]}), Reason::AllowedByPolicy),
        (json!({"client_id": "other"}), Reason::NoMatchingPermit),
        (json!({"aud": "https://other.example.com"}), Reason::ClientMismatch),
        (json!({"aud": null, "client_id": "https://myapplication.example.com"}), Reason::NoMatchingPermit),
        (json!({"nonce": "n"}), Reason::TokenTypeMismatch),
    ] {
        assert_eq!(world.decide(&good, changes.clone()), reason, "{changes}");
    }
}

#[test]
fn without_a_schema_claims_are_what_they_look_like() {
    let settings =
        "validation = 'off'\n[tokens]\ntype = 'id'\n[[routes]]\nmethod = 'GET'\npath = '/'\naction = 'go'\n";
    let policy = r#"permit (principal, action == World::Action::"go", resource) when {
        principal.department == "engineering" && principal.email_verified && principal.auth_time > 5
    };
    forbid (principal, action, resource) when { principal has admin && principal.admin in World::User::"root" };"#;
    let world = World::new(settings, None, policy, &cognito());
    for (changes, reason) in [
        (json!({}), Reason::AllowedByPolicy),
        (json!({"department": "sales"}), Reason::NoMatchingPermit),
        (json!({"auth_time": "soon"}), Reason::NoMatchingPermit),
        // This looks like an entity, but is not one: it is dropped.
        (json!({"admin": {"__entity": {"type": "World::User", "id": "root"}}}), Reason::AllowedByPolicy),
        // The policy needs an entity and gets a string. The forbid policy fails, and that denies.
        (json!({"admin": "root"}), Reason::ForbidError),
    ] {
        assert_eq!(world.decide(&cognito_id_claims(), changes.clone()), reason, "{changes}");
    }
}

/// The text of a Cedar type that needs no definitions in the schema.
fn cedar_type() -> impl Strategy<Value = String> {
    let leaf =
        proptest::sample::select(vec!["String", "Long", "Bool", "ipaddr", "decimal", "datetime", "User"]);
    leaf.prop_map(str::to_owned).prop_recursive(3, 12, 4, |inner| {
        prop_oneof![inner.clone().prop_map(|element| format!("Set<{element}>")), record_type(inner),]
    })
}

fn record_type(attribute: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let name = proptest::sample::select(vec!["a", "b", "scope", "custom", "cognito"]);
    proptest::collection::btree_map(name, (any::<bool>(), attribute), 0..4).prop_map(|attributes| {
        let print = |(name, (optional, text)): (&str, (bool, String))| {
            format!("{name}{}: {text}", if optional { "?" } else { "" })
        };
        format!("{{{}}}", attributes.into_iter().map(print).collect::<Vec<_>>().join(", "))
    })
}

fn claim() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        proptest::sample::select(vec!["", "x y", "10.0.0.1", "1.5", "2024-01-02", "::1/128"])
            .prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(json!({"__entity": {"type": "World::User", "id": "x"}})),
        Just(json!({"__extn": {"fn": "ip", "arg": "10.0.0.1"}})),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            claims(inner).prop_map(Value::Object),
        ]
    })
}

fn claims(claim: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    let name = proptest::sample::select(vec![
        "a",
        "b",
        "scope",
        "custom",
        "custom:a",
        "cognito:b",
        "custom:a:b",
        "c",
    ]);
    proptest::collection::btree_map(name, claim, 0..6)
        .prop_map(|claims| claims.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    /// For any schema and any claims: Cedar accepts the result of the projection, or the projection says that a
    /// required claim is missing.
    #[test]
    fn every_projection_is_taken_by_cedar(
        user in record_type(cedar_type()), token in record_type(cedar_type()), claims in claims(claim()),
    ) {
        use cedar_authorizer::projection::Projection;
        use cedar_authorizer::store::schema::ResolvedSchema;
        use cedar_authorizer::token::identity_source::IdentitySource;
        use cedar_policy::{Context, Entities, Entity, EntityUid, RestrictedExpression, Schema};

        let schema = "namespace World { entity Application; entity User = ".to_owned() + &user
            + "; action \"get /\" appliesTo { principal: User, resource: Application, context: { token: "
            + &token + " } }; }";
        let resolved = ResolvedSchema::parse(&schema).unwrap();
        let projection = Projection::Schema(resolved.shapes().unwrap());
        let (schema, _) = Schema::from_cedarschema_str(&schema).unwrap();
        let source = IdentitySource::from_json("cognito", &cognito().to_string()).unwrap();

        if let Ok(projected) = projection.principal(&claims, &source) {
            let uid: EntityUid = "World::User::\"x\"".parse().unwrap();
            let entity = Entity::new(uid, projected.values, [].into()).unwrap();
            prop_assert!(Entities::from_entities([entity], Some(&schema)).is_ok());
        }
        let action: EntityUid = "World::Action::\"get /\"".parse().unwrap();
        let shape = projection.context(&action).unwrap();
        if let Ok(projected) = shape.record("token").unwrap().project_claims(&claims, &source) {
            let record = RestrictedExpression::new_record(projected.values).unwrap();
            let context = Context::from_pairs([("token".to_owned(), record)]).unwrap();
            prop_assert!(context.validate(&schema, &action).is_ok());
        }
    }
}

/// How a call on the stores `albums` and `albums_prefixed` ends, for an ID token as in the second walkthrough.
/// `action` and `resource` replace those of the store.
fn album(store: &str, user: &str, action: &str, resource: &str) -> Reason {
    let path = root().join("tests/data/stores").join(store);
    let mut files = directory::read(&path).unwrap();
    let settings = String::from_utf8(files.get("store.toml").unwrap().to_vec()).unwrap();
    let settings = settings.replace("action = \"create\"", &format!("action = {action:?}"));
    let settings = settings.replace("Album::\"vacations\"", &format!("Album::{resource:?}"));
    files.insert("store.toml".to_owned(), settings.into_bytes());
    let (store, findings) = Store::check(&files);
    let store = store.unwrap_or_else(|| panic!("{findings:#?}"));
    let bundle = build::bundle(&store, &files, 1).unwrap();
    let bundle = Bundle::open(bundle.clone(), DevelopmentKeys::Allow).unwrap();
    let claims = json!({
        "exp": EXPIRES_AT, "iat": ISSUED_AT, "auth_time": ISSUED_AT, "sub": user, "event_id": "e8b89c86",
        "token_use": "id", "cognito:username": "avp-user", "email": "avp@test.com",
        "cognito:groups": ["AVPGroup"], "email_verified": "true", "cognito:user_status": "CONFIRMED"
    });
    let output = run(&["token", "--store", path.to_str().unwrap(), "--claims", &claims.to_string()]);
    let call = Call::from_event(event(stdout(&output).trim_end(), "POST", "/albums/vacations")).unwrap();
    answer(&call, &bundle, UnixTime::from_seconds(ISSUED_AT)).unwrap().decision.reason
}

#[test]
fn the_stores_of_localstacks_walkthroughs_decide_as_they_do_there() {
    assert_eq!(album("albums", "alice", "view", "trip"), Reason::AllowedByPolicy);
    assert_eq!(album("albums", "bob", "view", "trip"), Reason::NoMatchingPermit);
    let user = "3ab9e816-80ac-47ea-bd5f-9e29f97673ce";
    assert_eq!(album("albums", user, "create", "vacations"), Reason::AllowedByPolicy);
    assert_eq!(album("albums", user, "create", "trip"), Reason::NoMatchingPermit);
    // With AVP's prefix, the policy of the walkthrough names a group without members.
    assert_eq!(album("albums_prefixed", user, "create", "vacations"), Reason::NoMatchingPermit);
}
