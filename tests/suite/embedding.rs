//! The library in somebody else's program: sessions, HTTP requests, and requests in Cedar's terms.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use cedar_authorizer::bundle::{Bundle, DevelopmentKeys, StoreFiles, Trust};
use cedar_authorizer::cedar::{Context, Entity, EntityUid, RestrictedExpression};
use cedar_authorizer::decide::{AuthorizationRequest, Decision, Gate, Session};
use cedar_authorizer::gateway::request::Request;
use cedar_authorizer::gateway::route::Method;
use cedar_authorizer::reason::Reason;
use cedar_authorizer::store::{Store, build};
use cedar_authorizer::time::UnixTime;
use cedar_authorizer::token::Unverified;
use cedar_authorizer::token::identity_source::KeyLocation;
use cedar_authorizer::token::key_set::{KeySet, KeySets};
use serde_json::json;

use crate::world::{development_key_set, sample_bundle, token};

const NOW: UnixTime = UnixTime::from_seconds(1_704_067_201);

fn files(parts: &[(&str, &str)]) -> StoreFiles {
    let mut files = StoreFiles::default();
    for (path, text) in parts {
        files.insert((*path).to_owned(), text.as_bytes().to_vec());
    }
    files
}

fn open(files: &StoreFiles) -> Bundle {
    let (store, findings) = Store::check(files);
    let store = store.unwrap_or_else(|| panic!("{findings:#?}"));
    let trust = &Trust { development_keys: DevelopmentKeys::Allow, public_keys: None };
    Bundle::open(build::bundle(&store, files, 1).unwrap(), trust).unwrap()
}

const SOURCE: &str = r#"{"principalEntityType": "Shop::User", "configuration": {"cognitoUserPoolConfiguration": {
    "userPoolArn": "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_EXAMPLE",
    "clientIds": ["1example23456789"],
    "groupConfiguration": {"groupEntityType": "Shop::Group"}}}}"#;

/// A store with an action that a route leads to and some that none does, in two namespaces.
fn shop(policies: &str) -> Gate {
    let keys = development_key_set().to_string();
    Gate::with_pinned_keys(open(&files(&[
        (
            "store.toml",
            "[store]\nname = 'shop'\nnamespace = 'Shop'\n[tokens]\ntype = 'access'\n\
             [api]\nresource = 'Shop::Application::\"Shop\"'\n",
        ),
        (
            "schema.cedarschema",
            "namespace Shop {
                entity Application;
                entity Group in [Group];
                entity User in [Group] { level?: Long } tags String;
                entity Folder in [Folder];
                entity Doc in [Folder] { owner?: User };
                action \"get /docs/{id}\" appliesTo {
                    principal: User, resource: Application,
                    context: { token: { scope?: Set<String> }, pathParameters?: { id?: String } }
                };
                action all;
                action edit in [all] appliesTo {
                    principal: User, resource: Doc,
                    context: { token?: { scope?: Set<String> }, reviewer?: User, urgent?: Bool }
                };
            }
            namespace Other {
                entity Robot;
                action sweep appliesTo { principal: Robot, resource: Shop::Folder };
            }",
        ),
        ("policies/p.cedar", policies),
        ("identity-sources/cognito.json", SOURCE),
        ("jwks/cognito.json", &keys),
    ])))
}

fn alice(gate: &Gate) -> Session {
    gate.authenticate(&token("alice", json!({})), NOW).unwrap()
}

fn uid(text: &str) -> EntityUid {
    text.parse().unwrap()
}

fn ask(action: &str, resource: &str) -> AuthorizationRequest {
    AuthorizationRequest::new(uid(action), uid(resource))
}

fn policies(decision: &Decision) -> Vec<String> {
    decision.policies.iter().map(ToString::to_string).collect()
}

#[test]
fn a_request_is_decided_by_the_route_of_its_method_and_path() {
    let gate = Gate::with_pinned_keys(sample_bundle());
    let session = alice(&gate);
    for (method, path, reason) in [
        (Method::Get, "/pets", Reason::AllowedByPolicy),
        (Method::Get, "/pets/7", Reason::AllowedByPolicy),
        (Method::Get, "/pets/", Reason::AllowedByPolicy),
        (Method::Delete, "/pets", Reason::RouteUnmapped),
        (Method::Get, "/elsewhere", Reason::RouteUnmapped),
        (Method::Get, "pets", Reason::PathUnsafe),
        (Method::Get, "", Reason::PathUnsafe),
        (Method::Get, "/pets/..", Reason::PathUnsafe),
        (Method::Get, "/pets/%2e%2e", Reason::PathUnsafe),
        (Method::Get, "/pets/a%2fb", Reason::PathUnsafe),
        (Method::Get, "/pets?x=1", Reason::PathUnsafe),
    ] {
        let decision = session.decide(&Request::new(method, path)).unwrap();
        assert_eq!(
            (decision.reason, decision.is_allowed()),
            (reason, reason == Reason::AllowedByPolicy),
            "{path}"
        );
    }
    assert_eq!(
        session.principal().unwrap().to_string(),
        "PetStore::User::\"us-east-1_EXAMPLE|a11ce000-0001-4000-8000-000000000001\""
    );
}

#[test]
fn policies_read_what_a_request_has() {
    let gate = shop(
        "@id(\"by id\") permit (principal, action, resource) when {
             context has pathParameters && context.pathParameters has id && context.pathParameters.id == \"a b\"
         };",
    );
    let session = alice(&gate);
    let decide = |path: &str| session.decide(&Request::new(Method::Get, path)).unwrap().reason;
    assert_eq!(decide("/docs/a%20b"), Reason::AllowedByPolicy);
    assert_eq!(decide("/docs/ab"), Reason::NoMatchingPermit);
}

#[test]
fn a_token_that_is_not_good_for_the_bundle_makes_no_session() {
    let gate = Gate::with_pinned_keys(sample_bundle());
    let refused = |authorization: &str| gate.authenticate(authorization, NOW).unwrap_err();
    assert_eq!(refused(""), Unverified::Refused(Reason::TokenMissing));
    assert_eq!(refused("Basic YTpi"), Unverified::Refused(Reason::TokenMalformed));
    let stranger = token("alice", json!({"client_id": "another"}));
    assert_eq!(refused(&stranger).reason(), Reason::ClientMismatch);
    // Without keys nothing is true.
    let bundle = Arc::new(sample_bundle());
    let empty = Gate::new(Arc::clone(&bundle), KeySets::default());
    assert!(matches!(empty.authenticate(&token("alice", json!({})), NOW), Err(Unverified::KeyMissing(_))));
    let late = UnixTime::from_seconds(u64::MAX / 2);
    assert_eq!(
        gate.authenticate(&token("alice", json!({})), late).unwrap_err().reason(),
        Reason::TokenExpired
    );
    let session = alice(&gate);
    assert!(!session.has_expired(NOW) && session.has_expired(late));
    // Nothing of a token is in what is printed of a session.
    let printed = format!("{session:?} {gate:?}");
    assert!(!printed.contains("a11ce000") && !printed.contains("eyJ"), "{printed}");
}

#[test]
fn keys_are_collected_for_each_place_where_they_are_published() {
    let mut store = files(&[
        (
            "store.toml",
            "[store]\nname = 'x'\nnamespace = ''\nvalidation = 'off'\n[tokens]\ntype = 'access'\n[api]\nresource = 'A::\"a\"'\n[[routes]]\nmethod = 'GET'\npath = '/'\naction = 'a'\n",
        ),
        ("policies/p.cedar", "permit (principal, action, resource);"),
        ("identity-sources/cognito.json", &SOURCE.replace("Shop::", "")),
    ]);
    let bundle = open(&store);
    let keys = Arc::new(KeySet::parse(development_key_set().to_string().as_bytes()).unwrap());
    let mut asked = Vec::new();
    let collected = KeySets::collect(bundle.identity_sources(), |location| {
        let KeyLocation::Url(url) = location else { panic!("{location:?}") };
        asked.push(url.clone());
        Some(Arc::clone(&keys))
    });
    assert!(asked.iter().all(|url| url.ends_with("/us-east-1_EXAMPLE/.well-known/jwks.json")), "{asked:?}");
    let session = Gate::new(bundle, collected).authenticate(&token("alice", json!({})), NOW).unwrap();
    assert!(session.decide(&Request::new(Method::Get, "/")).unwrap().is_allowed());

    store.insert("jwks/cognito.json".to_owned(), development_key_set().to_string().into_bytes());
    let pinned = KeySets::collect(open(&store).identity_sources(), |_| panic!("nothing is fetched"));
    assert!(Gate::new(open(&store), pinned).authenticate(&token("alice", json!({})), NOW).is_ok());
}

#[test]
fn any_action_of_the_schema_can_be_asked_for() {
    let gate = shop(
        "@id(\"edit\") permit (principal, action in Shop::Action::\"all\", resource in Shop::Folder::\"f\");
         @id(\"sweep\") permit (principal == Other::Robot::\"r2\", action == Other::Action::\"sweep\", resource);",
    );
    let folder = Entity::new_no_attrs(uid("Shop::Folder::\"f\""), HashSet::new());
    let doc = Entity::new_no_attrs(uid("Shop::Doc::\"d\""), [uid("Shop::Folder::\"f\"")].into());
    let edit = ask("Shop::Action::\"edit\"", "Shop::Doc::\"d\"");
    let within = edit.clone().with_entities(vec![doc.clone(), folder]);
    let user = uid("Shop::User::\"u\"");
    assert_eq!(policies(&gate.is_authorized(&user, &within).unwrap()), ["edit"]);
    // A parent that nobody describes is a parent all the same.
    let alone = edit.clone().with_entities(vec![doc]);
    assert_eq!(policies(&gate.is_authorized(&user, &alone).unwrap()), ["edit"]);
    assert_eq!(gate.is_authorized(&user, &edit).unwrap().reason, Reason::NoMatchingPermit);
    assert_eq!(policies(&alice(&gate).is_authorized(&within).unwrap()), ["edit"]);

    let sweep = ask("Other::Action::\"sweep\"", "Shop::Folder::\"f\"");
    assert_eq!(policies(&gate.is_authorized(&uid("Other::Robot::\"r2\""), &sweep).unwrap()), ["sweep"]);
    for (principal, request) in [
        // What the schema does not let the action apply to, and what it does not have.
        ("Shop::User::\"u\"", &sweep),
        ("Other::Robot::\"r2\"", &edit),
        ("Other::Robot::\"r2\"", &ask("Other::Action::\"sweep\"", "Shop::Doc::\"d\"")),
        ("Other::Robot::\"r2\"", &ask("Other::Action::\"fly\"", "Shop::Folder::\"f\"")),
        ("Shop::User::\"u\"", &ask("Shop::Action::\"all\"", "Shop::Doc::\"d\"")),
    ] {
        assert_eq!(
            gate.is_authorized(&uid(principal), request).unwrap(),
            Decision::deny(Reason::RequestInvalid)
        );
    }
}

#[test]
fn a_principal_may_have_attributes_and_tags_and_a_context_may_name_entities() {
    let gate = shop(
        "@id(\"tag\") permit (principal, action == Shop::Action::\"edit\", resource) when {
             principal.hasTag(\"team\") && principal.getTag(\"team\") == \"red\"
         };
         @id(\"reviewer\") permit (principal, action == Shop::Action::\"edit\", resource) when {
             context has reviewer && context.reviewer has level && context.reviewer.level > 3
         };",
    );
    let user = uid("Shop::User::\"u\"");
    let edit = ask("Shop::Action::\"edit\"", "Shop::Doc::\"d\"");
    let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
    let tagged = |team: &str| {
        let tags = HashMap::from([("team".to_owned(), text(team))]);
        Entity::new_with_tags(user.clone(), HashMap::new(), HashSet::new(), tags).unwrap()
    };
    let of_team =
        |team: &str| gate.is_authorized(&user, &edit.clone().with_entities(vec![tagged(team)])).unwrap();
    assert_eq!(policies(&of_team("red")), ["tag"]);
    assert_eq!(of_team("blue").reason, Reason::NoMatchingPermit);

    let boss = uid("Shop::User::\"boss\"");
    let reviewed = |level: i64| {
        let attributes = HashMap::from([("level".to_owned(), RestrictedExpression::new_long(level))]);
        let boss_entity = Entity::new(boss.clone(), attributes, HashSet::new()).unwrap();
        let context = [("reviewer".to_owned(), RestrictedExpression::new_entity_uid(boss.clone()))];
        let request = edit.clone().with_context(Context::from_pairs(context).unwrap());
        gate.is_authorized(&user, &request.with_entities(vec![boss_entity])).unwrap()
    };
    assert_eq!(policies(&reviewed(4)), ["reviewer"]);
    assert_eq!(reviewed(3).reason, Reason::NoMatchingPermit);

    // Entities that are in themselves, or there twice, are no entities.
    let circular = Entity::new_no_attrs(uid("Shop::Doc::\"d\""), [uid("Shop::Folder::\"f\"")].into());
    let back = Entity::new_no_attrs(uid("Shop::Folder::\"f\""), [uid("Shop::Doc::\"d\"")].into());
    for entities in [vec![circular.clone(), back], vec![tagged("red"), tagged("blue")]] {
        let decision = gate.is_authorized(&user, &edit.clone().with_entities(entities)).unwrap();
        assert_eq!(decision, Decision::deny(Reason::RequestInvalid));
    }
}

#[test]
fn what_a_request_says_of_the_caller_does_not_count_in_a_session() {
    let gate = shop(
        "@id(\"group\") permit (principal in Shop::Group::\"us-east-1_EXAMPLE|admin\", action, resource);
         @id(\"level\") permit (principal, action, resource) when { principal has level };
         @id(\"scope\") permit (principal, action == Shop::Action::\"edit\", resource) when {
             context has token && context.token has scope && context.token.scope.contains(\"everything\")
         };
         @id(\"true scope\") permit (principal, action == Shop::Action::\"edit\", resource) when {
             context has token && context.token has scope && context.token.scope.contains(\"petstore/pets.write\") && context has urgent
         };",
    );
    let session = alice(&gate);
    let caller = session.principal().unwrap();
    let attributes = HashMap::from([("level".to_owned(), RestrictedExpression::new_long(9))]);
    let admin = uid("Shop::Group::\"us-east-1_EXAMPLE|admin\"");
    let forged = Entity::new(caller.clone(), attributes, [admin].into()).unwrap();
    let scope = RestrictedExpression::new_set([RestrictedExpression::new_string("everything".to_owned())]);
    let forged_token = RestrictedExpression::new_record([("scope".to_owned(), scope)]).unwrap();
    let context = Context::from_pairs([("token".to_owned(), forged_token)]).unwrap();
    let request =
        ask("Shop::Action::\"edit\"", "Shop::Doc::\"d\"").with_entities(vec![forged]).with_context(context);
    assert_eq!(session.is_authorized(&request).unwrap().reason, Reason::NoMatchingPermit);
    // Whoever vouches for the principal vouches for what it is.
    assert_eq!(policies(&gate.is_authorized(&caller, &request).unwrap()), ["group", "level", "scope"]);
    // The claims of the token are there beside the rest of the context.
    let urgent = Context::from_pairs([("urgent".to_owned(), RestrictedExpression::new_bool(true))]).unwrap();
    let decision = session.is_authorized(&request.with_context(urgent)).unwrap();
    assert_eq!(policies(&decision), ["true scope"]);
}

#[test]
fn a_session_decides_for_its_own_bundle_and_caller_whatever_was_decided_before() {
    let gate = Gate::with_pinned_keys(sample_bundle());
    let post = Request::new(Method::Post, "/pets");
    let (alice, bob) = (alice(&gate), gate.authenticate(&token("bob", json!({})), NOW).unwrap());
    for _ in 0..2 {
        assert!(alice.decide(&post).unwrap().is_allowed());
        assert!(!bob.decide(&post).unwrap().is_allowed());
        assert_eq!(alice.decide(&post).unwrap(), alice.afresh().decide(&post).unwrap());
    }
}
