//! The slice of a bundle: Cedar decides the same as on all policies and entities.

mod worlds;

use std::collections::{HashMap, HashSet};

use cedar_authorizer::bundle::{Bundle, DevelopmentKeys, StoreFiles};
use cedar_authorizer::decide::principal::Principal;
use cedar_authorizer::decide::resource::Resource;
use cedar_authorizer::decide::subject::Subject;
use cedar_authorizer::decide::{AuthorizationRequest, CedarGate, Gate};
use cedar_authorizer::reason::Reason;
use cedar_authorizer::store::{Store, build};
use cedar_authorizer::token::key_set::KeySets;
use cedar_policy::{Context, EntityUid, PolicyId, RestrictedExpression};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

pub use worlds::{CedarRequest, World, answer_of, ask_all, cedar_request, world};
use worlds::{naive, naive_of, principal};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_slice_decides_as_cedar_does_on_everything(
        world in world(),
        requests in proptest::collection::vec(
            (
                principal(),
                select(vec!["read", "write", "any", "other", "unheard-of"]),
                select(vec!["Doc d0", "Doc d1", "Doc d2", "Folder f1", "User u0"]),
                proptest::option::of(0..2_i64),
            ),
            1..6,
        ),
    ) {
        let files = world.files();
        let (store, findings) = Store::check(&files);
        let store = store.unwrap_or_else(|| panic!("{findings:#?}"));
        let bytes = build::bundle(&store, &files, 1).unwrap();
        prop_assert_eq!(&bytes, &build::bundle(&Store::open(&files).unwrap(), &files, 1).unwrap());
        let bundle = Bundle::open(bytes.clone(), DevelopmentKeys::Refuse).unwrap();
        for (principal, action, resource, x) in requests {
            let action: EntityUid = format!("Action::{action:?}").parse().unwrap();
            let (entity_type, id) = resource.split_once(' ').unwrap();
            let uid: EntityUid = format!("{entity_type}::{id:?}").parse().unwrap();
            let x = x.map(|x| ("x".to_owned(), RestrictedExpression::new_long(x)));
            let context = Context::from_pairs(x).unwrap();
            let resource = Resource { uid: uid.clone(), entity: None };
            let (uid_of_principal, attributes, parents) = principal.clone().into_inner();
            let known = Principal { uid: uid_of_principal, parents, attributes };
            let subject = Subject::new(&bundle, known).unwrap();
            let decision = subject.decide(&bundle, &action, resource, || Some(context.clone())).unwrap();
            prop_assert_eq!(decision, naive(&store, principal, &action, &uid, context));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// With entities of the request over those of the store, in whatever way they nest.
    #[test]
    fn a_request_in_cedars_terms_is_decided_as_cedar_does_on_everything(
        world in world(),
        requests in proptest::collection::vec(cedar_request(), 1..6),
    ) {
        let files = world.files();
        let store = Store::open(&files).unwrap();
        let bundle = Bundle::open(build::bundle(&store, &files, 1).unwrap(), DevelopmentKeys::Refuse).unwrap();
        let gate = Gate::new(bundle, KeySets::default());
        for CedarRequest { principal, given, action, resource, context } in requests {
            let request = AuthorizationRequest::new(action.clone(), resource.clone())
                .with_context(context.clone())
                .with_entities(given.clone());
            let decision = gate.is_authorized(&principal, &request).unwrap();
            prop_assert_eq!(decision, naive_of(&store, given, &principal, &action, &resource, context));
        }
    }

    /// By Cedar's own rules: the answer is Cedar's answer, with its errors. The policies may come from elsewhere than
    /// the files, and the store needs no more than a name.
    #[test]
    fn a_cedar_gate_answers_as_cedar_does_on_everything(
        world in world(),
        requests in proptest::collection::vec(cedar_request(), 1..6),
    ) {
        let files = world.files();
        let store = Store::open(&files).unwrap();
        let bundle = Bundle::open(build::bundle(&store, &files, 1).unwrap(), DevelopmentKeys::Refuse).unwrap();
        let mut bare = StoreFiles::default();
        bare.insert("store.toml".to_owned(), b"[store]\nname = 'x'\nnamespace = ''\n".to_vec());
        bare.insert("entities.json".to_owned(), files.get("entities.json").unwrap().to_vec());
        let bare = Store::open_with_policies(&bare, store.policy_set()).unwrap();
        let gates = [CedarGate::of_bundle(&bundle), build::cedar_gate(&bare).unwrap()];
        for CedarRequest { principal, given, action, resource, context } in requests {
            let request = AuthorizationRequest::new(action.clone(), resource.clone())
                .with_context(context.clone())
                .with_entities(given.clone());
            let expected = ask_all(&store, &given, &principal, &action, &resource, context);
            let expected = expected.as_ref().map(answer_of).ok_or(Reason::RequestInvalid);
            for gate in &gates {
                let answer = gate.is_authorized(&principal, &request).map(|decided| {
                    let failed = decided.decision.errors.iter().map(ToString::to_string);
                    let errors = failed.zip(decided.messages.clone()).collect();
                    let policies = decided.decision.policies.iter().map(ToString::to_string).collect();
                    (decided.decision.is_allowed(), policies, errors)
                });
                prop_assert_eq!(&answer, &expected);
            }
        }
    }
}

#[test]
fn a_policy_too_deep_for_json_is_kept_in_cedars_own_syntax() {
    decide_by_deep_policies(100);
}

/// Cedar recurses into a condition on the stack. A test has two megabytes of it.
#[test]
fn a_policy_as_deep_as_may_be_is_decided_on_a_small_stack() {
    decide_by_deep_policies(1000);
}

fn decide_by_deep_policies(most: usize) {
    let terms = |count: usize| {
        let terms: Vec<String> = (0..count).map(|number| format!("context.x == {number}")).collect();
        format!("permit (principal, action, resource) when {{ {} }};", terms.join(" || "))
    };
    let templates = vec![terms(most).replace("(principal,", "(principal == ?principal,")];
    let links = vec![json!({
        "id": "link", "templateId": "t#1", "principal": {"entityType": "User", "entityId": "u0"}
    })];
    let world = World { policies: vec![terms(2), terms(most)], templates, links, entities: vec![] };
    let files = world.files();
    let store = Store::open(&files).unwrap();
    let bytes = build::bundle(&store, &files, 1).unwrap();
    let bundle = Bundle::open(bytes.clone(), DevelopmentKeys::Refuse).unwrap();
    let uid = "User::\"u0\"".parse().unwrap();
    let principal = Principal { uid, parents: HashSet::new(), attributes: HashMap::new() };
    let subject = Subject::new(&bundle, principal).unwrap();
    let last = i64::try_from(most).unwrap() - 1;
    for (x, expected) in [(1, vec!["link", "p#1", "p#2"]), (last, vec!["link", "p#2"]), (last + 1, vec![])] {
        let context = Context::from_pairs([("x".to_owned(), RestrictedExpression::new_long(x))]).unwrap();
        let resource = Resource { uid: bundle.resource().clone(), entity: None };
        let decision = subject
            .decide(&bundle, &"Action::\"read\"".parse().unwrap(), resource, || Some(context))
            .unwrap();
        assert_eq!(decision.policies, expected.into_iter().map(PolicyId::new).collect::<Vec<_>>(), "{x}");
    }
}
