//! Decisions over HTTP: they are Cedar's, and tokens are really verified.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cedar_authorizer::cedar::{Context, Entity, EntityUid, EvalResult};
use cedar_authorizer::store::Store;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use super::server::AvpServer;
use crate::loopback::KeyServer;
use crate::signing::SigningKey;
use crate::slices::{CedarRequest, World, answer_of, ask_all, cedar_request, world};
use crate::world::{StoreCopy, development_key_set, run, stderr, token};

fn write(folder: &Path, path: &str, content: &[u8]) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn identifier(uid: &EntityUid) -> Value {
    json!({"entityType": uid.type_name().to_string(), "entityId": uid.id().unescaped()})
}

/// A value of Cedar as AVP's `AttributeValue`.
fn attribute(value: &EvalResult) -> Value {
    match value {
        EvalResult::Long(long) => json!({"long": long}),
        EvalResult::EntityUid(uid) => json!({"entityIdentifier": identifier(uid)}),
        EvalResult::ExtensionValue(_) => json!({"datetime": "2024-06-01"}),
        other => panic!("{other:?}"),
    }
}

/// An entity as AVP's `EntityItem`.
fn item(entity: &Entity) -> Value {
    let (uid, attributes, parents) = entity.clone().into_inner();
    let attributes = attributes.keys().map(|name| (name.clone(), entity.attr(name).unwrap().unwrap()));
    let tags = entity.tags().map(|(name, value)| (name.to_owned(), value.unwrap()));
    let map = |members: &mut dyn Iterator<Item = (String, EvalResult)>| {
        Value::Object(members.map(|(name, value)| (name, attribute(&value))).collect())
    };
    json!({
        "identifier": identifier(&uid),
        "attributes": map(&mut { attributes }),
        "tags": map(&mut { tags }),
        "parents": parents.iter().map(identifier).collect::<Value>(),
    })
}

fn context_map(context: &Context) -> Value {
    let names = context.clone().into_iter().map(|(name, _)| name);
    let members = names.map(|name| (name.clone(), attribute(&context.get(&name).unwrap())));
    json!({"contextMap": Value::Object(members.collect())})
}

/// A store as AVP may have it: ids of links have no spaces.
fn random_world(runner: &mut TestRunner) -> World {
    let mut world = world().new_tree(runner).unwrap().current();
    for (number, link) in world.links.iter_mut().enumerate() {
        link["id"] = format!("link{number}").into();
    }
    if world.policies.len() == 1 {
        // The only policy of a file has no number.
        world.policies.push("permit (principal, action, resource) when { false };".to_owned());
    }
    world
}

/// The id that the service gives a policy of `policies/p.cedar`.
fn avp_id(id: &str) -> String {
    id.replace("p#", "p/")
}

#[test]
fn decisions_policies_and_errors_are_those_of_cedar() {
    const STORES: usize = 25;
    const REQUESTS: usize = 16;
    let data = tempfile::tempdir().unwrap();
    let mut runner = TestRunner::deterministic();
    let worlds: Vec<World> = (0..STORES).map(|_| random_world(&mut runner)).collect();
    for (number, world) in worlds.iter().enumerate() {
        for (path, content) in world.files().iter() {
            write(data.path(), &format!("store{number}/{path}"), content);
        }
    }
    let avp = AvpServer::start(&["--data", data.path().to_str().unwrap()]);
    let (mut allowed, mut failed, mut refused) = (0, 0, 0);
    for (number, world) in worlds.iter().enumerate() {
        let store = Store::open(&world.files()).unwrap();
        for request in 0..REQUESTS {
            let CedarRequest { principal, mut given, action, resource, context } =
                cedar_request().new_tree(&mut runner).unwrap().current();
            given.retain(|entity| entity.uid().type_name().basename() != "Action");
            let entities = if request % 2 == 0 {
                json!({"entityList": given.iter().map(item).collect::<Value>()})
            } else {
                let json = given.iter().map(|entity| entity.to_json_value().unwrap()).collect::<Value>();
                json!({"cedarJson": json.to_string()})
            };
            let input = json!({
                "policyStoreId": format!("store{number}"),
                "principal": identifier(&principal),
                "action": {
                    "actionType": action.type_name().to_string(), "actionId": action.id().unescaped()
                },
                "resource": identifier(&resource),
                "context": context_map(&context),
                "entities": entities,
            });
            let Some(expected) = ask_all(&store, &given, &principal, &action, &resource, context) else {
                assert_eq!(avp.refusal("IsAuthorized", &input).0, "ValidationException", "{input}");
                refused += 1;
                continue;
            };
            let (is_allowed, policies, errors) = answer_of(&expected);
            let answer = avp.answer("IsAuthorized", &input);
            let texts = |list: &str, member: &str| -> Vec<String> {
                let items = answer[list].as_array().unwrap().iter();
                items.map(|item| item[member].as_str().unwrap().to_owned()).collect()
            };
            assert_eq!(answer["decision"], if is_allowed { "ALLOW" } else { "DENY" }, "{input}");
            let mut determining = texts("determiningPolicies", "policyId");
            determining.sort();
            let mut policies: Vec<String> = policies.iter().map(|id| avp_id(id)).collect();
            policies.sort();
            assert_eq!(determining, policies, "{input}");
            let mut told = texts("errors", "errorDescription");
            told.sort();
            let mut errors: Vec<String> = errors.values().map(|error| avp_id(error)).collect();
            errors.sort();
            assert_eq!(told, errors, "{input}");
            allowed += usize::from(is_allowed);
            failed += usize::from(!errors.is_empty());
        }
    }
    // Otherwise nothing was compared.
    assert!(allowed > 20 && failed > 20 && refused > 5, "{allowed} {failed} {refused}");
}

const ISSUER: &str = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_P";

/// A store whose policies say what they read in a token.
struct TokenStore {
    data: tempfile::TempDir,
    key: SigningKey,
}

impl TokenStore {
    fn new() -> Self {
        let store = Self { data: tempfile::tempdir().unwrap(), key: SigningKey::p256() };
        store.write("s/store.toml", "[store]\nname = 's'\nnamespace = ''\nvalidation = 'off'\n");
        store.write_source(json!({}));
        for (name, condition) in [
            ("group", "principal in Group::\"us-east-1_P|staff\""),
            ("email", "principal has email && principal.email == \"ann@example.com\""),
            ("scope", "context has token && context.token.scope.contains(\"write\")"),
            ("context", "context has ip && context.ip.isLoopback()"),
        ] {
            let policy = format!("permit (principal, action, resource) when {{ {condition} }};");
            store.write(&format!("s/policies/{name}.cedar"), &policy);
        }
        store.write("keys.json", &json!({"keys": [store.key.jwk("k")]}).to_string());
        store
    }

    fn write(&self, path: &str, text: &str) {
        write(self.data.path(), path, text.as_bytes());
    }

    fn write_source(&self, more: Value) {
        let mut source = json!({
            "principalEntityType": "User",
            "configuration": {"cognitoUserPoolConfiguration": {
                "userPoolArn": "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_P",
                "clientIds": ["client"],
                "groupConfiguration": {"groupEntityType": "Group"},
            }},
        });
        source.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.write("s/identity-sources/p.json", &source.to_string());
    }

    fn path(&self, name: &str) -> String {
        self.data.path().join(name).to_str().unwrap().to_owned()
    }

    /// The service with the keys of a file.
    fn start(&self) -> AvpServer {
        AvpServer::start(&["--data", &self.path(""), "--jwks", &self.path("keys.json")])
    }

    fn claims(token_use: &str) -> Value {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let mut claims = json!({
            "iss": ISSUER, "sub": "ann", "token_use": token_use, "iat": now, "exp": now + 600,
            "cognito:groups": ["staff", "other"],
        });
        let of_type = match token_use {
            "id" => json!({"aud": "client", "email": "ann@example.com"}),
            _ => json!({"client_id": "client", "scope": "read write"}),
        };
        claims.as_object_mut().unwrap().extend(of_type.as_object().unwrap().clone());
        claims
    }

    fn sign(&self, claims: &Value) -> String {
        self.key.token(&json!({"alg": "ES256", "kid": "k"}), claims)
    }

    /// A good token.
    fn token(&self, token_use: &str) -> String {
        self.sign(&Self::claims(token_use))
    }
}

/// A request with these tokens.
fn with_tokens(tokens: Value) -> Value {
    let mut input = json!({
        "policyStoreId": "s",
        "action": {"actionType": "Action", "actionId": "read"},
        "resource": {"entityType": "Doc", "entityId": "d"},
    });
    input.as_object_mut().unwrap().extend(tokens.as_object().unwrap().clone());
    input
}

fn determining(answer: &Value) -> Vec<&str> {
    let policies = answer["determiningPolicies"].as_array().unwrap().iter();
    policies.map(|policy| policy["policyId"].as_str().unwrap()).collect()
}

#[test]
fn an_id_token_gives_attributes_an_access_token_the_context_and_either_groups() {
    let store = TokenStore::new();
    let avp = store.start();
    let (id, access) = (store.token("id"), store.token("access"));
    for (tokens, expected) in [
        (json!({"identityToken": id}), &["email", "group"][..]),
        (json!({"accessToken": access}), &["group", "scope"]),
        (json!({"identityToken": id, "accessToken": access}), &["email", "group", "scope"]),
    ] {
        let answer = avp.answer("IsAuthorizedWithToken", &with_tokens(tokens));
        assert_eq!(answer["decision"], "ALLOW");
        assert_eq!(determining(&answer), expected);
        assert_eq!(answer["principal"], json!({"entityType": "User", "entityId": "us-east-1_P|ann"}));
    }
    // What the request itself says of the circumstances counts, except of the token.
    let mut input = with_tokens(json!({"identityToken": id}));
    input["context"] = json!({"contextMap": {
        "ip": {"ipaddr": "127.0.0.1"}, "token": {"record": {"scope": {"set": [{"string": "write"}]}}}
    }});
    assert_eq!(determining(&avp.answer("IsAuthorizedWithToken", &input)), ["context", "email", "group"]);
}

#[test]
fn a_schema_says_what_is_read_in_a_token() {
    let store = TokenStore::new();
    store.write(
        "s/schema.cedarschema",
        "entity Group, Doc; entity User in [Group] { email?: String };\n\
         action read appliesTo { principal: User, resource: Doc, context: { token?: { scope?: Set<String> } } };",
    );
    store.write(
        "s/policies/scope.cedar",
        "permit (principal, action, resource) when { context.token.scope.contains(\"write\") };",
    );
    let avp = store.start();
    let tokens = json!({"identityToken": store.token("id"), "accessToken": store.token("access")});
    let answer = avp.answer("IsAuthorizedWithToken", &with_tokens(tokens));
    assert_eq!(determining(&answer), ["email", "group", "scope"]);

    // An attribute that the schema requires must be in the token.
    store.write("r/store.toml", "[store]\nname = 's'\nnamespace = ''\nvalidation = 'off'\n");
    let source = fs::read(store.path("s/identity-sources/p.json")).unwrap();
    write(store.data.path(), "r/identity-sources/p.json", &source);
    store.write(
        "r/schema.cedarschema",
        "entity Group, Doc; entity User in [Group] { email: String };\n\
         action read appliesTo { principal: User, resource: Doc };",
    );
    let avp = store.start();
    let mut input = with_tokens(json!({"accessToken": store.token("access")}));
    input["policyStoreId"] = "r".into();
    let (error, answer) = avp.refusal("IsAuthorizedWithToken", &input);
    assert_eq!(error, "ValidationException");
    assert!(answer["message"].as_str().unwrap().contains("(required-claim-missing)"), "{answer}");
}

/// No part of a token that is long enough to mean something.
#[track_caller]
fn tells_nothing_of(answer: &Value, token: &str) {
    let text = answer.to_string();
    for part in token.split('.').filter_map(|part| part.get(..8)) {
        assert!(!text.contains(part), "{text}");
    }
}

#[test]
fn a_token_that_is_not_good_is_refused_with_its_reason() {
    let store = TokenStore::new();
    let avp = store.start();
    let access = |changes: Value| {
        let mut claims = TokenStore::claims("access");
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        claims
    };
    let good = store.token("access");
    let tampered = {
        let forged = store.sign(&access(json!({"cognito:groups": ["admin"]})));
        let (signature, payload) = (good.rsplit('.').next().unwrap(), forged.rsplit_once('.').unwrap().0);
        format!("{payload}.{signature}")
    };
    let header = |header: Value| store.key.token(&header, &TokenStore::claims("access"));
    // `alg` must name an algorithm to sign with.
    let unsigned = header(json!({"alg": "none"})).rsplit_once('.').unwrap().0.to_owned();
    let foreign =
        SigningKey::p256().token(&json!({"alg": "ES256", "kid": "k"}), &TokenStore::claims("access"));
    for (token, reason) in [
        (store.sign(&access(json!({"exp": 1_704_067_200}))), "token-expired"),
        (store.sign(&access(json!({"iat": 4_102_444_800_u64}))), "token-not-yet-valid"),
        (store.sign(&access(json!({"client_id": "other"}))), "client-mismatch"),
        (store.sign(&access(json!({"iss": "https://example.com/"}))), "issuer-unknown"),
        (store.sign(&access(json!({"sub": null}))), "claim-invalid"),
        (store.sign(&access(json!({"custom:a": "x", "custom": "y"}))), "claim-invalid"),
        (store.sign(&access(json!({"cnf": {"jkt": "x"}}))), "token-bound"),
        (store.token("id"), "token-type-mismatch"),
        (foreign, "signature-invalid"),
        (tampered, "signature-invalid"),
        (format!("{unsigned}.{}", good.rsplit('.').next().unwrap()), "algorithm-unsupported"),
        (header(json!({"alg": "ES256", "kid": "unknown"})), "key-unknown"),
        ("aaaaaaaaaaaa.bbbbbbbbbbbb.cccccccccccc".to_owned(), "token-malformed"),
    ] {
        let (error, answer) =
            avp.refusal("IsAuthorizedWithToken", &with_tokens(json!({"accessToken": token})));
        assert_eq!(error, "ValidationException", "{reason}");
        let message = answer["message"].as_str().unwrap();
        assert!(message.starts_with("Failed to verify AccessToken: "), "{message}");
        assert!(message.ends_with(&format!("({reason})")), "{reason}: {message}");
        tells_nothing_of(&answer, &token);
        let mut batch = json!({"policyStoreId": "s", "accessToken": token, "requests": []});
        batch["requests"] = json!([{
            "action": {"actionType": "Action", "actionId": "read"},
            "resource": {"entityType": "Doc", "entityId": "d"},
        }]);
        let (error, in_batch) = avp.refusal("BatchIsAuthorizedWithToken", &batch);
        assert_eq!((error.as_str(), &in_batch["message"]), ("ValidationException", &answer["message"]));
    }
    let input = with_tokens(json!({"identityToken": good}));
    let (_, answer) = avp.refusal("IsAuthorizedWithToken", &input);
    let message = answer["message"].as_str().unwrap();
    assert!(
        message.contains("Expected IdentityToken in the IdentityToken parameter but received AccessToken"),
        "{message}"
    );
}

#[test]
fn two_tokens_must_be_of_one_user_and_one_there_must_be() {
    let store = TokenStore::new();
    let avp = store.start();
    let mut other = TokenStore::claims("access");
    other["sub"] = "bob".into();
    let tokens = json!({"identityToken": store.token("id"), "accessToken": store.sign(&other)});
    for (tokens, words) in [(tokens, "not of the same user"), (json!({}), "must be set")] {
        let (error, answer) = avp.refusal("IsAuthorizedWithToken", &with_tokens(tokens));
        assert_eq!(error, "ValidationException");
        assert!(answer["message"].as_str().unwrap().contains(words), "{answer}");
    }
}

#[test]
fn entities_of_a_request_say_nothing_of_users_and_groups() {
    let store = TokenStore::new();
    let avp = store.start();
    for (entity_type, id) in [("User", "us-east-1_P|ann"), ("User", "x"), ("Group", "us-east-1_P|staff")] {
        let mut input = with_tokens(json!({"accessToken": store.token("access")}));
        let named = json!({"entityType": entity_type, "entityId": id});
        input["entities"] = json!({"entityList": [{"identifier": named}]});
        let (error, answer) = avp.refusal("IsAuthorizedWithToken", &input);
        assert_eq!(
            (error.as_str(), &answer["fieldList"][0]["path"]),
            ("ValidationException", &json!("entities"))
        );
        let cedar = json!([{"uid": {"type": entity_type, "id": id}, "attrs": {}, "parents": []}]);
        input["entities"] = json!({"cedarJson": cedar.to_string()});
        assert_eq!(avp.refusal("IsAuthorizedWithToken", &input).0, "ValidationException");
    }
    let mut input = with_tokens(json!({"accessToken": store.token("access")}));
    let doc = json!({"entityType": "Doc", "entityId": "d"});
    input["entities"] = json!({"entityList": [{"identifier": doc}]});
    avp.answer("IsAuthorizedWithToken", &input);
}

#[test]
fn a_batch_is_answered_in_its_order_with_each_request() {
    let store = TokenStore::new();
    store.write(
        "s/policies/one.cedar",
        "forbid (principal, action == Action::\"write\", resource) unless { resource == Doc::\"mine\" };",
    );
    let avp = store.start();
    let request = |action: &str, resource: &str| {
        json!({
            "action": {"actionType": "Action", "actionId": action},
            "resource": {"entityType": "Doc", "entityId": resource},
            "context": {"contextMap": {"ip": {"ipaddr": "::1"}}},
        })
    };
    let requests = [request("read", "d"), request("write", "d"), request("write", "mine")];
    let mut input = json!({"policyStoreId": "s", "identityToken": store.token("id"), "requests": requests});
    let answer = avp.answer("BatchIsAuthorizedWithToken", &input);
    assert_eq!(answer["principal"], json!({"entityType": "User", "entityId": "us-east-1_P|ann"}));
    for ((result, request), decision) in
        answer["results"].as_array().unwrap().iter().zip(&requests).zip(["ALLOW", "DENY", "ALLOW"])
    {
        assert_eq!((&result["request"], &result["decision"]), (request, &json!(decision)));
    }
    assert_eq!(determining(&answer["results"][1]), ["one"]);

    input.as_object_mut().unwrap().remove("identityToken");
    let user = json!({"entityType": "User", "entityId": "u"});
    let mut requests = requests.to_vec();
    requests.iter_mut().for_each(|request| request["principal"] = user.clone());
    input["requests"] = requests.clone().into();
    let answer = avp.answer("BatchIsAuthorized", &input);
    assert_eq!(answer["results"].as_array().unwrap().len(), 3);
    assert_eq!(answer.get("principal"), None);
    assert_eq!(answer["results"][2]["request"], requests[2]);
}

#[test]
fn keys_come_from_the_issuer_are_kept_and_are_fetched_again_if_one_is_missing() {
    let store = TokenStore::new();
    let keys = KeyServer::start(json!({"keys": [store.key.jwk("k")]}));
    store.write_source(json!({"jwksUri": keys.uri()}));
    let avp = AvpServer::start(&["--data", &store.path("")]);
    for _ in 0..3 {
        for (name, token_use) in [("accessToken", "access"), ("identityToken", "id")] {
            let input = with_tokens(json!({name: store.token(token_use)}));
            assert_eq!(avp.answer("IsAuthorizedWithToken", &input)["decision"], "ALLOW");
        }
    }
    assert_eq!(keys.requests(), 1);

    // A change of the policies fetches no keys.
    store.write("s/policies/none.cedar", "forbid (principal, action, resource);");
    let input = with_tokens(json!({"accessToken": store.token("access")}));
    // The folder is not looked at all the time.
    let is_denied = |_| {
        thread::sleep(Duration::from_millis(20));
        avp.answer("IsAuthorizedWithToken", &input)["decision"] == "DENY"
    };
    assert!((0..500).any(is_denied));
    assert_eq!(keys.requests(), 1);

    // A key that nobody has heard of may be a new one of the issuer.
    let new = SigningKey::p256();
    keys.set(json!({"keys": [store.key.jwk("k"), new.jwk("new")]}));
    let token = new.token(&json!({"alg": "ES256", "kid": "new"}), &TokenStore::claims("access"));
    let is_known = |_| {
        thread::sleep(Duration::from_millis(200));
        avp.ask("IsAuthorizedWithToken", &with_tokens(json!({"accessToken": token}))).0 == 200
    };
    assert!((0..200).any(is_known));
    assert_eq!(keys.requests(), 2);
}

#[test]
fn an_issuer_without_keys_is_named_as_the_reason() {
    let store = TokenStore::new();
    let keys = KeyServer::start(json!({"keys": []}));
    store.write_source(json!({"jwksUri": keys.uri()}));
    let avp = AvpServer::start(&["--data", &store.path("")]);
    let (error, answer) =
        avp.refusal("IsAuthorizedWithToken", &with_tokens(json!({"accessToken": store.token("access")})));
    assert_eq!(error, "ValidationException");
    assert!(answer["message"].as_str().unwrap().ends_with("(keys-unavailable)"), "{answer}");

    // Keys are refused with which everybody can sign.
    let keys = KeyServer::start(development_key_set());
    store.write_source(json!({"jwksUri": keys.uri()}));
    let avp = AvpServer::start(&["--data", &store.path("")]);
    let (_, answer) =
        avp.refusal("IsAuthorizedWithToken", &with_tokens(json!({"accessToken": store.token("access")})));
    assert!(answer["message"].as_str().unwrap().ends_with("(keys-unavailable)"), "{answer}");
}

#[test]
fn a_store_without_identity_source_takes_no_tokens() {
    let store = TokenStore::new();
    let token = store.token("access");
    fs::remove_file(store.path("s/identity-sources/p.json")).unwrap();
    let avp = store.start();
    let (error, answer) = avp.refusal("IsAuthorizedWithToken", &with_tokens(json!({"accessToken": token})));
    assert_eq!(
        (error.as_str(), &answer["resourceType"]),
        ("ResourceNotFoundException", &json!("IDENTITY_SOURCE"))
    );
    tells_nothing_of(&answer, &token);
}

#[test]
fn tokens_of_the_command_line_are_accepted_with_its_key() {
    let data = tempfile::tempdir().unwrap();
    let store = StoreCopy::new();
    for (path, content) in cedar_authorizer::store::directory::read(store.path())
        .unwrap()
        .iter()
        .filter(|(path, _)| !path.starts_with("jwks/"))
    {
        write(data.path(), &format!("petstore/{path}"), content);
    }
    write(data.path(), "keys.json", development_key_set().to_string().as_bytes());
    let (folder, keys) = (data.path().to_str().unwrap(), data.path().join("keys.json"));
    let avp = AvpServer::start(&["--data", folder, "--jwks", keys.to_str().unwrap()]);
    for (persona, decision, policy) in [
        ("alice", "ALLOW", json!([{"policyId": "employees-add-pets-with-the-scope"}])),
        ("carol", "DENY", json!([])),
        ("erin", "DENY", json!([{"policyId": "suspended-users-see-the-front-page-only"}])),
    ] {
        let input = json!({
            "policyStoreId": "petstore",
            "accessToken": token(persona, json!({})),
            "action": {"actionType": "PetStore::Action", "actionId": "post /pets"},
            "resource": {"entityType": "PetStore::Application", "entityId": "PetStore"},
        });
        let answer = avp.answer("IsAuthorizedWithToken", &input);
        assert_eq!((&answer["decision"], &answer["determiningPolicies"]), (&json!(decision), &policy));
    }
}

#[test]
fn a_key_set_that_cannot_be_used_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in [("text", &b"no keys"[..]), ("empty", br#"{"keys": []}"#), ("bytes", &[255, 0])] {
        write(folder.path(), name, content);
        let path = folder.path().join(name);
        let output = run(&["avp", "--port", "0", "--jwks", path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("cannot use the key set"), "{}", stderr(&output));
    }
    assert_eq!(run(&["avp", "--port", "0", "--jwks", "/no/such/file"]).status.code(), Some(1));
}
