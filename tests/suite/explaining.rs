//! `authorize`: what it says of a decision is true, and the change that it names does allow the request.

use std::collections::HashSet;
use std::fs;

use cedar_authorizer::bundle::{Bundle, DevelopmentKeys};
use cedar_authorizer::cedar::{Context, Entity, EntityUid};
use cedar_authorizer::decide::{AuthorizationRequest, Decision, Gate};
use cedar_authorizer::store::build::bundle_of_directory;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};

use crate::world::{golden, root, run, stderr, stdout};

const SCHEMA: &str = r#"namespace C {
    entity G in [G]; entity User in [G]; entity Application;
    type Token = { username?: String, scope?: Set<String>, level?: Long, vip?: Bool };
    action "get /a", "post /a" appliesTo { principal: User, resource: Application, context: { token: Token } };
}"#;

const SETTINGS: &str = "[store]\nname = 'c'\nnamespace = 'C'\n[tokens]\ntype = 'access'\n";

const SOURCE: &str = r#"{"principalEntityType": "C::User", "configuration": {"cognitoUserPoolConfiguration": {
    "userPoolArn": "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_P",
    "clientIds": ["1client"],
    "groupConfiguration": {"groupEntityType": "C::G"}}}}"#;

/// The group `c` is in `a`.
const ENTITIES: &str = r#"[
    {"uid": {"type": "C::G", "id": "us-east-1_P|c"}, "attrs": {}, "parents": [{"type": "C::G", "id": "us-east-1_P|a"}]},
    {"uid": {"type": "C::G", "id": "us-east-1_P|a"}, "attrs": {}, "parents": []}
]"#;

/// Everything that a policy asks of a caller here.
const ATOMS: [&str; 11] = [
    "true",
    "principal in C::G::\"us-east-1_P|a\"",
    "principal in C::G::\"us-east-1_P|b\"",
    "context.token has level && context.token.level > 2",
    "context.token has level && context.token.level <= 7",
    "context.token has scope && context.token.scope.contains(\"write\")",
    "context.token has username && context.token.username == \"ann\"",
    "context.token has username && context.token.username like \"b*\"",
    "context.token has vip && context.token.vip",
    "context.token has vip",
    "action == C::Action::\"get /a\"",
];

const PRINCIPALS: [&str; 5] = [
    "principal",
    "principal in C::G::\"us-east-1_P|a\"",
    "principal in C::G::\"us-east-1_P|b\"",
    "principal is C::User in C::G::\"us-east-1_P|c\"",
    "principal == C::User::\"us-east-1_P|somebody-else\"",
];

const ACTIONS: [&str; 3] = [
    "action",
    "action == C::Action::\"get /a\"",
    "action in [C::Action::\"post /a\", C::Action::\"get /a\"]",
];

fn policy() -> impl Strategy<Value = String> {
    let atom = || (select(&ATOMS[..]), any::<bool>());
    let condition = prop_oneof![
        2 => Just(String::new()),
        4 => (any::<bool>(), atom(), select(&["&&", "||"][..]), atom()).prop_map(|(is_when, (a, not_a), operator, (b, not_b))| {
            let text = |atom: &str, is_negated: bool| if is_negated { format!("!({atom})") } else { format!("({atom})") };
            let word = if is_when { "when" } else { "unless" };
            format!("{word} {{ {} {operator} {} }}", text(a, not_a), text(b, not_b))
        }),
        3 => (any::<bool>(), select(&ATOMS[..])).prop_map(|(is_when, atom)| {
            format!("{} {{ {atom} }}", if is_when { "when" } else { "unless" })
        }),
    ];
    let effect = prop_oneof![3 => Just("permit"), 1 => Just("forbid")];
    (effect, select(&PRINCIPALS[..]), select(&ACTIONS[..]), condition).prop_map(
        |(effect, principal, action, condition)| {
            format!("{effect} ({principal}, {action}, resource) {condition};\n")
        },
    )
}

/// What a token says of its caller.
#[derive(Clone, Debug)]
struct Caller {
    groups: Vec<&'static str>,
    claims: Map<String, Value>,
}

fn caller() -> impl Strategy<Value = Caller> {
    let of = |name: &'static str, values: Vec<Value>| {
        proptest::option::of(select(values))
            .prop_map(move |value| value.map(|value| (name.to_owned(), value)))
    };
    let claims = (
        of("username", vec![json!("ann"), json!("bob"), json!("zoe")]),
        of("scope", vec![json!("openid"), json!("openid write")]),
        of("level", vec![json!(1), json!(5), json!(9)]),
        of("vip", vec![json!(true), json!(false)]),
    );
    (subsequence(vec!["a", "b", "c"], 0..=3), claims).prop_map(|(groups, (username, scope, level, vip))| {
        Caller { groups, claims: [username, scope, level, vip].into_iter().flatten().collect() }
    })
}

struct World {
    store: tempfile::TempDir,
    gate: Gate,
}

impl World {
    fn new(policies: &str) -> Self {
        let store = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("store.toml", SETTINGS),
            ("schema.cedarschema", SCHEMA),
            ("identity-sources/p.json", SOURCE),
            ("entities.json", ENTITIES),
            ("policies/p.cedar", policies),
        ] {
            let path = store.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let bytes = bundle_of_directory(store.path(), 1).unwrap();
        let gate = Gate::with_pinned_keys(Bundle::open(bytes, DevelopmentKeys::Refuse).unwrap());
        Self { store, gate }
    }

    /// Decides without any token: the naive way.
    fn decide(&self, Caller { groups, claims }: &Caller, action: &str) -> Decision {
        let uid = |text: &str| text.parse::<EntityUid>().unwrap();
        let principal = uid("C::User::\"us-east-1_P|me\"");
        let parents = groups.iter().map(|group| uid(&format!("C::G::\"us-east-1_P|{group}\"")));
        let parents: HashSet<EntityUid> = parents.collect();
        let mut token = Value::Object(claims.clone());
        if let Some(scope) = claims.get("scope") {
            token["scope"] = scope.as_str().unwrap().split(' ').collect();
        }
        let context = Context::from_json_value(json!({"token": token}), None).unwrap();
        let request = AuthorizationRequest::new(
            uid(&format!("C::Action::\"{action} /a\"")),
            uid("C::Application::\"C\""),
        );
        let entities = vec![Entity::new_no_attrs(principal.clone(), parents)];
        self.gate.is_authorized(&principal, &request.with_context(context).with_entities(entities)).unwrap()
    }

    /// The fewest edits that allow the request: groups to join or leave, and claims to change. `None`: there are none.
    fn fewest_edits(&self, caller: &Caller, action: &str) -> Option<usize> {
        let values = |name: &str, values: &[Value]| {
            let mut all = vec![None];
            all.extend(values.iter().cloned().map(Some));
            let own = caller.claims.get(name).cloned();
            if !all.contains(&own) {
                all.push(own);
            }
            all
        };
        let usernames = values("username", &[json!("ann"), json!("bob"), json!("zoe")]);
        let scopes = values("scope", &[json!("write")]);
        let levels = values("level", &[json!(1), json!(5), json!(9)]);
        let vips = values("vip", &[json!(true), json!(false)]);
        let mut fewest = None;
        for groups in 0..8_usize {
            let groups: Vec<&'static str> = ["a", "b", "c"]
                .into_iter()
                .enumerate()
                .filter(|(bit, _)| groups >> bit & 1 == 1)
                .map(|(_, group)| group)
                .collect();
            let moved = ["a", "b", "c"]
                .iter()
                .filter(|group| groups.contains(group) != caller.groups.contains(group))
                .count();
            for username in &usernames {
                for scope in &scopes {
                    for level in &levels {
                        for vip in &vips {
                            let named =
                                [("username", username), ("scope", scope), ("level", level), ("vip", vip)];
                            let changed = named
                                .iter()
                                .filter(|(name, value)| caller.claims.get(*name) != value.as_ref())
                                .count();
                            let edits = moved + changed;
                            if fewest.is_some_and(|fewest| fewest <= edits) {
                                continue;
                            }
                            let claims = named
                                .iter()
                                .filter_map(|(name, value)| Some(((*name).to_owned(), (*value).clone()?)))
                                .collect();
                            if self.decide(&Caller { groups: groups.clone(), claims }, action).is_allowed() {
                                fewest = Some(edits);
                            }
                        }
                    }
                }
            }
        }
        fewest
    }

    /// Runs `authorize`, and checks its exit code.
    fn authorize(&self, claims: &Value, action: &str) -> Value {
        let store = self.store.path().display().to_string();
        let action = format!("{action} /a");
        let (method, path) = action.split_once(' ').unwrap();
        let output = run(&[
            "authorize",
            "--store",
            &store,
            "--claims",
            &claims.to_string(),
            method,
            path,
            "--format",
            "json",
        ]);
        let report: Value =
            serde_json::from_str(&stdout(&output)).unwrap_or_else(|_| panic!("{}", stderr(&output)));
        let expected = if report["decision"] == "allow" { 0 } else { 2 };
        assert_eq!(output.status.code(), Some(expected), "{report:#}");
        report
    }
}

/// The ids of the candidates of this effect with this verdict.
fn with_verdict(report: &Value, effect: &str, verdict: &str) -> Vec<Value> {
    let candidates = report["candidates"].as_array().unwrap().iter();
    let mut ids: Vec<Value> = candidates
        .filter(|policy| policy["effect"] == effect && policy["verdict"] == verdict)
        .map(|policy| policy["id"].clone())
        .collect();
    ids.sort_by_key(ToString::to_string);
    ids
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn an_explanation_agrees_with_the_decision_and_its_change_is_the_smallest(
        policies in proptest::collection::vec(policy(), 1..6),
        caller in caller(),
        action in select(&["get", "post"][..]),
    ) {
        let policies: String = policies.concat();
        let world = World::new(&policies);
        let mut claims = json!({"sub": "me", "cognito:groups": caller.groups});
        for (name, value) in &caller.claims {
            claims[name] = value.clone();
        }
        let report = world.authorize(&claims, action);
        let decision = world.decide(&caller, action);
        let ids: Vec<String> = decision.policies.iter().map(ToString::to_string).collect();
        prop_assert_eq!(&report["policies"], &json!(ids));
        prop_assert_eq!(&report["reason"], decision.reason.code());

        // The clauses say the same.
        let permits = with_verdict(&report, "permit", "applies");
        let forbids = with_verdict(&report, "forbid", "applies");
        let determining = if forbids.is_empty() { permits } else { forbids };
        prop_assert_eq!(json!(determining), json!(ids));

        if decision.is_allowed() {
            prop_assert!(report["change"].is_null());
            return Ok(());
        }
        match world.fewest_edits(&caller, action) {
            None => prop_assert!(report["change"].is_null(), "{:#}\n{}", report["change"], policies),
            Some(fewest) => {
                let change = &report["change"];
                prop_assert!(!change.is_null(), "{fewest} edits are enough\n{policies}\n{claims}");
                let changed = world.authorize(&change["claims"], action);
                prop_assert_eq!(&changed["decision"], "allow");
                let edits = change["edits"].as_array().unwrap().len();
                prop_assert_eq!(edits, fewest, "{:#}\n{}\n{}", change, policies, claims);
            }
        }
    }
}

/// A value that no policy names: what a claim is compared with is only in the request.
#[test]
fn a_claim_is_given_the_value_that_it_is_compared_with() {
    for (store, arguments, expected) in [
        (
            "samples/multitenant",
            vec!["--as", "alice", "GET", "/tenants/globex/invoices"],
            "set the claim `tenant` to `\"globex\"`",
        ),
        (
            "samples/digitalpetstore",
            vec!["--as", "carol", "PUT", "/stores/austin/pets/7"],
            "set the claim `custom:employmentStoreCode` to `\"austin\"`",
        ),
    ] {
        let output = run(&[&["authorize", "--store", store, "--format", "json"][..], &arguments].concat());
        let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
        assert_eq!(report["change"]["edits"], json!([expected]), "{report:#}");
    }
}

/// What `authorize` prints for people about the sample store.
#[test]
fn people_read_why() {
    let of_cedar = "PetStore::Action::\"get /pets\"";
    for (name, arguments) in [
        ("allowed", vec!["--as", "alice", "GET", "/pets/7"]),
        ("no-permit", vec!["--as", "bob", "POST", "/pets"]),
        ("forbidden", vec!["--as", "erin", "GET", "/pets"]),
        ("unmapped", vec!["--as", "alice", "GET", "/pet/7"]),
        ("template-link", vec!["--as", "mallory", "GET", "/pets", "--all"]),
        ("in-cedars-terms", vec!["--as", "dave", "--action", of_cedar]),
        (
            "principal",
            vec![
                "--principal",
                "PetStore::User::\"us-east-1_EXAMPLE|x\"",
                "--parent",
                "PetStore::UserGroup::\"us-east-1_EXAMPLE|customer\"",
                "--action",
                of_cedar,
            ],
        ),
        ("event", vec!["--event", "events/token-post-pets-deny.json"]),
        ("event-of-another", vec!["--event", "events/token-post-pets-deny.json", "--as", "alice"]),
        ("expired", vec!["--event", "events/token-expired.json"]),
        ("claims", vec!["--claims", "{\"scope\": null, \"iss\": \"https://example.com\"}", "GET", "/"]),
    ] {
        let output = run(&[&["authorize"][..], &arguments].concat());
        let code = output.status.code().unwrap();
        let shown =
            format!("$ {}\n{}{}exit code {code}\n", arguments.join(" "), stdout(&output), stderr(&output));
        golden(&root().join(format!("tests/data/explanations/{name}.txt")), &shown);
    }
}

#[test]
fn what_cannot_be_asked_is_said() {
    for (arguments, expected) in [
        (vec![], "nothing is asked"),
        (vec!["GET", "/pets"], "nobody asks"),
        (vec!["--as", "alcie", "GET", "/pets"], "did you mean `alice`?"),
        (vec!["--as", "alice", "GET", "pets"], "the path does not begin with `/`"),
        (vec!["--as", "alice", "GET"], "--help"),
        (vec!["--claims", "[]", "GET", "/pets"], "--claims is not a JSON object"),
        (vec!["--as", "alice", "--source", "cogito", "GET", "/pets"], "did you mean `cognito`?"),
        (vec!["--as", "alice", "GET", "/pets", "--header", "x"], "not of the form `Name: value`"),
        (vec!["--as", "alice", "GET", "/pets", "--time", "noon"], "--time"),
        (vec!["--event", "events/nothing.json"], "cannot read `events/nothing.json`"),
        (vec!["--event", "events/README.md"], "is not JSON"),
        (
            vec!["--event", "events/event-not-an-authorizer.json"],
            "not that of an API Gateway Lambda authorizer",
        ),
        (vec!["--as", "alice", "--action", "nonsense"], "--action"),
        (vec!["--as", "alice", "--action", "PetStore::Action::\"x\"", "--context", "["], "--context"),
    ] {
        let output = run(&[&["authorize"][..], &arguments].concat());
        let said = stderr(&output);
        assert!(said.contains(expected), "{arguments:?}\n{said}");
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(1), ""), "{arguments:?}\n{said}");
    }
}
