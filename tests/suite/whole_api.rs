//! Answers for the whole API: each route is decided as it would be alone, even if little is computed for it.

use std::fmt::Write;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use cedar_authorizer::bundle::{Bundle, DevelopmentKeys, StoreFiles};
use cedar_authorizer::decide::Session;
use cedar_authorizer::decide::outcome::{Breadth, Narrow, Outcome};
use cedar_authorizer::gateway::arn::MethodArn;
use cedar_authorizer::gateway::cache_key::CacheKey;
use cedar_authorizer::gateway::call::Call;
use cedar_authorizer::gateway::input::Input;
use cedar_authorizer::reason::{Reason, Status};
use cedar_authorizer::store::finding::{Code, Finding};
use cedar_authorizer::store::{Store, build, directory};
use cedar_authorizer::time::UnixTime;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

use crate::world::{
    EXPIRES_AT, ISSUED_AT, answer, answer_under, event, method_arn, run, sample_store, session, stdout, token,
};

const SOURCE: &str = r#"{"principalEntityType": "User", "configuration": {"cognitoUserPoolConfiguration": {
    "userPoolArn": "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_EXAMPLE",
    "clientIds": ["1example23456789"], "groupConfiguration": {"groupEntityType": "Group"}}}}"#;

fn files(settings: &str, policies: &str, entities: &[Value]) -> StoreFiles {
    let sample = directory::read(&sample_store()).unwrap();
    let mut files = StoreFiles::default();
    let settings = format!(
        "[store]\nname = 'w'\nnamespace = ''\nvalidation = 'off'\n[tokens]\ntype = 'access'\n\
         [api]\nresource = 'Doc::\"api\"'\n{settings}"
    );
    for (path, content) in [
        ("store.toml", settings.as_bytes()),
        ("identity-sources/cognito.json", SOURCE.as_bytes()),
        ("jwks/cognito.json", sample.get("jwks/cognito.json").unwrap()),
        ("policies/p.cedar", policies.as_bytes()),
        ("entities.json", Value::from(entities).to_string().as_bytes()),
    ] {
        files.insert(path.to_owned(), content.to_vec());
    }
    files
}

#[track_caller]
fn open(files: &StoreFiles) -> (Bundle, Vec<Finding>) {
    let (store, findings) = Store::check(files);
    let store = store.unwrap_or_else(|| panic!("{findings:#?}"));
    (Bundle::open(build::bundle(&store, files, 1).unwrap(), DevelopmentKeys::Allow).unwrap(), findings)
}

fn route(path: &str, action: &str, rest: &str) -> String {
    format!("[[routes]]\nmethod = 'GET'\npath = '{path}'\naction = '{action}'\n{rest}\n")
}

/// A caller and its calls.
struct Caller {
    text: String,
    session: Session,
}

impl Caller {
    fn new(text: &str, bundle: &Bundle) -> Self {
        let call = Call::from_event(event(text, "GET", "/")).unwrap();
        let session = session(&call, bundle, UnixTime::from_seconds(ISSUED_AT + 1)).unwrap();
        Self { text: text.to_owned(), session }
    }

    /// A call when nothing is remembered of the caller.
    fn call(&self, key: &CacheKey, path: &str) -> Arc<Outcome> {
        self.call_in(&self.session.afresh(), key, path)
    }

    fn call_in(&self, session: &Session, key: &CacheKey, path: &str) -> Arc<Outcome> {
        let call = Call::from_event(event(&self.text, "GET", path)).unwrap();
        session.authorize(&call, key).unwrap()
    }

    /// The time of the fastest of several first calls.
    fn time(&self, path: &str) -> Duration {
        let time = |_| {
            let started = Instant::now();
            self.call(&CacheKey::Token, path);
            started.elapsed()
        };
        (0..6).map(time).min().unwrap()
    }
}

// --- Anything that policies may read.

const ROUTES: [(&str, &str, &str); 9] = [
    ("/r0", "a0", ""),
    ("/r1", "a1", ""),
    ("/r2", "a2", ""),
    ("/r3", "a0", "resource = 'Doc::\"d0\"'"),
    ("/r4", "a1", "resource = 'Doc::\"d0\"'\nattributes = { level = '1' }"),
    ("/r5", "a1", "resource = 'Doc::\"d1\"'\nattributes = { level = '2' }"),
    ("/r6", "a2", "resource = 'Group::\"us-east-1_EXAMPLE|g0\"'\nattributes = { level = '1' }"),
    ("/r7", "a0", "resource = 'User::\"us-east-1_EXAMPLE|u0\"'\nattributes = { level = '1' }"),
    ("/r8", "a2", "resource = 'Doc::\"d0\"'\nattributes = { level = '1' }"),
];

const PRINCIPALS: [&str; 5] = [
    "principal",
    "principal",
    "principal == User::\"POOL|u0\"",
    "principal in Group::\"POOL|g0\"",
    "principal is User in Group::\"POOL|g1\"",
];

const ACTIONS: [&str; 6] = [
    "action",
    "action",
    "action == Action::\"a0\"",
    "action in Action::\"some\"",
    "action == Action::\"some\"",
    "action in [Action::\"a1\", Action::\"some\"]",
];

const RESOURCES: [&str; 7] = [
    "resource",
    "resource",
    "resource is Doc",
    "resource == Doc::\"api\"",
    "resource in Folder::\"f\"",
    "resource == Doc::\"d0\"",
    "resource in Group::\"POOL|g1\"",
];

const CONDITIONS: [&str; 19] = [
    "true",
    "context.token.username == \"alice\"",
    "context.token.nobody == 1",
    "context.token has level && context.token.level == 1",
    "context.token.level > 1",
    "context has pathParameters",
    "action == Action::\"a1\"",
    "action in Action::\"some\"",
    "action in [Action::\"a0\", Action::\"a2\"] && context.token has level",
    "resource == Doc::\"d0\"",
    "resource.level == \"1\"",
    "resource has level && resource.level == 1",
    "resource in Folder::\"f\"",
    "principal in resource",
    "principal has level && principal.level == \"1\"",
    "principal in Group::\"POOL|g1\"",
    "Group::\"POOL|g0\".level == \"1\"",
    "Doc::\"d0\" has owner && Doc::\"d0\".owner.level == 1",
    "Doc::\"d1\".level == \"2\" || Doc::\"d0\" in Folder::\"f\"",
];

fn policies() -> impl Strategy<Value = String> {
    let effect = select(vec!["permit", "permit", "forbid"]);
    let scope = (select(&PRINCIPALS[..]), select(&ACTIONS[..]), select(&RESOURCES[..]));
    let condition = proptest::option::weighted(0.9, (select(&CONDITIONS[..]), any::<bool>()));
    let policy = (effect, scope, condition).prop_map(|(effect, (principal, action, resource), condition)| {
        let condition = condition
            .map(|(text, is_when)| format!("{} {{ {text} }}", if is_when { "when" } else { "unless" }));
        format!("{effect} ({principal}, {action}, {resource}) {};\n", condition.unwrap_or_default())
    });
    proptest::collection::vec(policy, 1..10)
        .prop_map(|policies| policies.concat().replace("POOL", "us-east-1_EXAMPLE"))
}

fn uid(name: &str) -> Value {
    let (entity_type, id) = name.split_once(' ').unwrap();
    json!({"type": entity_type, "id": id})
}

fn entities() -> impl Strategy<Value = Vec<Value>> {
    let owner = json!({"__entity": uid("Group us-east-1_EXAMPLE|g0")});
    let all = [
        ("Group us-east-1_EXAMPLE|g0", json!({"level": 1}), vec!["Group us-east-1_EXAMPLE|g1"]),
        ("Group us-east-1_EXAMPLE|g1", json!({"level": "1"}), vec![]),
        ("Folder f", json!({}), vec![]),
        ("Doc api", json!({"level": 1}), vec!["Folder f"]),
        ("Doc d0", json!({"level": 1, "owner": owner}), vec!["Folder f"]),
        ("Doc d1", json!({}), vec!["Group us-east-1_EXAMPLE|g1"]),
        ("Action a0", json!({}), vec!["Action some"]),
        ("Action a1", json!({}), vec![]),
        ("Action a2", json!({}), vec!["Action some"]),
        ("Action some", json!({}), vec![]),
    ];
    let entity = |(name, attributes, parents): (&str, Value, Vec<&str>)| {
        let parents: Vec<Value> = parents.into_iter().map(uid).collect();
        json!({"uid": uid(name), "attrs": attributes, "parents": parents})
    };
    subsequence(all.map(entity).to_vec(), 5..=10)
}

static TOKENS: LazyLock<[String; 3]> = LazyLock::new(|| {
    [
        json!({"sub": "u0", "username": "alice", "level": 1, "cognito:groups": ["g0"]}),
        json!({"sub": "u1", "username": "bob", "level": 2, "cognito:groups": ["g1", "g2"]}),
        json!({"sub": "u2", "username": "carol", "cognito:groups": []}),
    ]
    .map(|claims| token("alice", claims))
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_route_is_decided_as_it_would_be_alone(
        policies in policies(),
        entities in entities(),
        caller in 0..3_usize,
        order in Just((0..ROUTES.len()).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let settings: String = ROUTES.iter().map(|(path, action, rest)| route(path, action, rest)).collect();
        let (bundle, _) = open(&files(&settings, &policies, &entities));
        let caller = Caller::new(&TOKENS[caller], &bundle);
        let alone = ROUTES.map(|(path, ..)| caller.call(&CacheKey::None, path).decision.clone());
        let known = caller.session.afresh();
        for requested in order {
            let (path, ..) = ROUTES[requested];
            for session in [&known, &caller.session.afresh()] {
                let outcome = caller.call_in(session, &CacheKey::Token, path);
                prop_assert_eq!(&outcome.decision, &alone[requested], "{}\n{}", path, policies);
                let is_whole = matches!(outcome.breadth, Breadth::Api { left_out: 0, harmed: 0, .. });
                prop_assert!(is_whole, "{:?}", outcome.breadth);
                for ((other, ..), alone) in ROUTES.iter().zip(&alone) {
                    let called: MethodArn = method_arn("GET", other).parse().unwrap();
                    let is_allowed = alone.reason.status() == Status::Allow;
                    prop_assert_eq!(outcome.grant.allows(&called), is_allowed, "{} for {}\n{}", other, path, policies);
                }
            }
        }
    }
}

// --- How much work this is.

/// A store with routes of different actions, and policies with these conditions for everything.
fn conditional(
    routes: usize,
    policies: usize,
    condition: impl Fn(usize) -> String,
) -> (Bundle, Vec<Finding>) {
    let settings: String =
        (0..routes).map(|number| route(&format!("/r{number}"), &format!("a{number}"), "")).collect();
    let mut text = String::new();
    for number in 0..policies {
        writeln!(text, "permit (principal, action, resource) when {{ {} }};", condition(number)).unwrap();
    }
    open(&files(&settings, &text, &[]))
}

fn has_code(findings: &[Finding], code: Code) -> Option<&Finding> {
    findings.iter().find(|finding| finding.code == code)
}

#[test]
fn forty_times_the_routes_are_not_forty_times_the_conditions() {
    let condition = |number: usize| {
        format!("context.token.username == \"{}\"", if number == 299 { "alice" } else { "x" })
    };
    let times = [12, 480].map(|routes| {
        let (bundle, findings) = conditional(routes, 300, condition);
        assert_eq!(has_code(&findings, Code::GrantExpensive), None);
        let caller = Caller::new(&TOKENS[0], &bundle);
        let outcome = caller.call(&CacheKey::Token, "/r0");
        let Breadth::Api { allowed, left_out, .. } = outcome.breadth else { panic!("{:?}", outcome.breadth) };
        assert_eq!(allowed + left_out, routes);
        // The caller may do nothing, so no grant is made.
        Caller::new(&TOKENS[1], &bundle).time("/r0")
    });
    assert!(times[1] < times[0] * 20, "{times:?}");
}

#[test]
fn an_answer_that_takes_too_long_is_for_one_method_and_check_says_so() {
    let condition =
        |number: usize| format!("action == Action::\"b{number}\" || context.token.username == \"alice\"");
    let (bundle, findings) = conditional(100, 300, condition);
    let finding = has_code(&findings, Code::GrantExpensive).unwrap();
    assert!(
        finding.message.contains(" 30000 evaluations") && finding.message.contains(" 100 routes"),
        "{finding}"
    );
    let caller = Caller::new(&TOKENS[1], &bundle);
    let call = |path: &str| {
        let started = Instant::now();
        let outcome = caller.call_in(&caller.session, &CacheKey::Token, path);
        assert_eq!(outcome.breadth, Breadth::Fallback(Narrow::TooExpensive));
        assert_eq!(outcome.decision.reason, Reason::NoMatchingPermit);
        started.elapsed()
    };
    let first = call("/r0");
    // The expensive attempt is not repeated.
    let next = (1..6).map(|number| call(&format!("/r{number}"))).min().unwrap();
    assert!(next * 3 < first, "{next:?} {first:?}");
    // A caller who may is not denied.
    let called: MethodArn = method_arn("GET", "/r7").parse().unwrap();
    let other: MethodArn = method_arn("GET", "/r8").parse().unwrap();
    let (bundle, findings) = conditional(20, 300, condition);
    let caller = Caller::new(&TOKENS[0], &bundle);
    assert_eq!(has_code(&findings, Code::GrantExpensive), None);
    let outcome = caller.call(&CacheKey::Token, "/r7");
    assert!(matches!(outcome.breadth, Breadth::Api { allowed: 20, .. }), "{:?}", outcome.breadth);
    assert!(outcome.grant.allows(&called) && outcome.grant.allows(&other));
}

#[test]
fn conditions_of_single_users_and_groups_do_not_add_up_in_check() {
    let settings: String =
        (0..50).map(|number| route(&format!("/r{number}"), &format!("a{number}"), "")).collect();
    let findings = |scope: &str, count: usize| {
        let policies: String = (0..count)
            .map(|number| {
                let principal = scope.replace('#', &number.to_string());
                format!(
                    "permit (principal {principal}, action, resource) when {{ action == Action::\"b\" }};\n"
                )
            })
            .collect();
        let (_, findings) = Store::check(&files(&settings, &policies, &[]));
        has_code(&findings, Code::GrantExpensive).map(|finding| finding.message.clone())
    };
    assert_eq!(findings("== User::\"us-east-1_EXAMPLE|u#\"", 500), None);
    assert_eq!(findings("in Group::\"us-east-1_EXAMPLE|g#\"", 500), None);
    assert!(findings("is User", 500).unwrap().contains(" 25000 evaluations"));
    assert!(findings("in Group::\"us-east-1_EXAMPLE|g\"", 500).unwrap().contains(" 25000 evaluations"));
}

#[test]
fn nested_groups_take_what_they_are_in_and_no_more() {
    let worlds = [60, 600].map(|depth: usize| {
        let group = |number: usize| uid(&format!("Group us-east-1_EXAMPLE|n{number}"));
        let parents = |number: usize| (number + 1 < depth).then(|| group(number + 1)).into_iter().collect::<Vec<_>>();
        let entities: Vec<Value> = (0..depth)
            .map(|number| json!({"uid": group(number), "attrs": {"level": number}, "parents": parents(number)}))
            .collect();
        let last = depth - 1;
        let policies = format!(
            "permit (principal in Group::\"us-east-1_EXAMPLE|n{last}\", action, resource) when {{ \
             principal in Group::\"us-east-1_EXAMPLE|n7\" && Group::\"us-east-1_EXAMPLE|n8\" in Group::\"us-east-1_EXAMPLE|n{last}\" \
             && Group::\"us-east-1_EXAMPLE|n{last}\".level == {last} }};"
        );
        let settings = route("/r0", "a0", "");
        let files = files(&settings, &policies, &entities);
        let store = Store::open(&files).unwrap();
        let bytes = build::bundle(&store, &files, 1).unwrap();
        let size = bytes.len();
        let bundle = Bundle::open(bytes, DevelopmentKeys::Allow).unwrap();
        let caller = Caller::new(&token("alice", json!({"cognito:groups": ["n0"]})), &bundle);
        let outcome = caller.call(&CacheKey::Token, "/r0");
        assert_eq!(outcome.decision.reason, Reason::AllowedByPolicy);
        let outsider = Caller::new(&token("alice", json!({"cognito:groups": ["n9"]})), &bundle);
        let outcome = outsider.call(&CacheKey::Token, "/r0");
        assert_eq!(outcome.decision.reason, Reason::NoMatchingPermit);
        (size, caller.time("/r0"))
    });
    let [(small, fast), (large, slow)] = worlds;
    assert!(large < small * 12, "{small} {large}");
    // Generous, for a busy machine. Cubic time would be a thousand times as much.
    assert!(slow < fast * 150, "{fast:?} {slow:?}");
}

// --- The resource is the caller, or a parent of the caller.

const PEOPLE: &str = "namespace W {
    entity Group = { level?: String };
    entity User in [Group] = { tenant?: String, plan?: String };
    entity Application;
    action see, look appliesTo { principal: User, resource: User };
    action team appliesTo { principal: User, resource: Group };
}";

const PEOPLE_POLICIES: &str = "
    @id(\"self\") permit (principal, action == W::Action::\"see\", resource)
        when { principal == resource && resource has tenant && resource.tenant == \"a\" };
    @id(\"staff\") permit (principal in W::Group::\"us-east-1_EXAMPLE|staff\", action == W::Action::\"see\", resource)
        when { resource has plan && resource.plan == \"gold\" };
    @id(\"look\") permit (principal, action == W::Action::\"look\", resource);
    @id(\"team\") permit (principal, action == W::Action::\"team\", resource)
        when { W::Group::\"us-east-1_EXAMPLE|g\" has level && W::Group::\"us-east-1_EXAMPLE|g\".level == \"7\" };
";

const PEOPLE_SETTINGS: &str = "[store]\nname = 'w'\nnamespace = 'W'\n[tokens]\ntype = 'id'\n
    [[routes]]\nmethod = 'GET'\npath = '/users/{sub}/{tenant}'\naction = 'see'
    resource = 'W::User::\"us-east-1_EXAMPLE|{sub}\"'\nattributes = { tenant = '{tenant}', plan = 'gold' }
    [[routes]]\nmethod = 'GET'\npath = '/looks/{sub}/{tenant}'\naction = 'look'
    resource = 'W::User::\"us-east-1_EXAMPLE|{sub}\"'\nattributes = { tenant = '{tenant}' }
    [[routes]]\nmethod = 'GET'\npath = '/teams/{id}/{level}'\naction = 'team'
    resource = 'W::Group::\"us-east-1_EXAMPLE|{id}\"'\nattributes = { level = '{level}' }\n";

#[test]
fn a_caller_that_is_the_resource_has_the_attributes_of_both() {
    let folder = tempfile::tempdir().unwrap();
    let keys = directory::read(&sample_store()).unwrap().get("jwks/cognito.json").unwrap().to_vec();
    let source = SOURCE.replace("\"User\"", "\"W::User\"").replace("\"Group\"", "\"W::Group\"");
    for (path, content) in [
        ("store.toml", PEOPLE_SETTINGS.as_bytes()),
        ("schema.cedarschema", PEOPLE.as_bytes()),
        ("policies/p.cedar", PEOPLE_POLICIES.as_bytes()),
        ("identity-sources/cognito.json", source.as_bytes()),
        ("jwks/cognito.json", &keys),
        ("entities.json", b"[]"),
    ] {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    let (bundle, _) = open(&directory::read(folder.path()).unwrap());
    let token = |mut claims: Value| {
        claims["iat"] = ISSUED_AT.into();
        claims["exp"] = EXPIRES_AT.into();
        let store = folder.path().to_str().unwrap();
        stdout(&run(&["token", "--store", store, "--claims", &claims.to_string()])).trim_end().to_owned()
    };
    let [of_a, of_none, staff, in_g] = [
        json!({"sub": "u1", "tenant": "a"}),
        json!({"sub": "u1"}),
        json!({"sub": "u1", "tenant": "a", "cognito:groups": ["staff"]}),
        json!({"sub": "u1", "cognito:groups": ["g"]}),
    ]
    .map(token);
    let now = UnixTime::from_seconds(ISSUED_AT + 1);
    for (token, path, reason, policies) in [
        (&of_a, "/users/u1/a", Reason::AllowedByPolicy, "self"),
        (&of_a, "/users/u1/b", Reason::ResourceConflict, ""),
        (&of_a, "/users/u2/a", Reason::NoMatchingPermit, ""),
        (&of_none, "/users/u1/a", Reason::AllowedByPolicy, "self"),
        (&of_none, "/users/u1/b", Reason::NoMatchingPermit, ""),
        (&staff, "/users/u1/a", Reason::AllowedByPolicy, "self,staff"),
        (&staff, "/users/u2/b", Reason::AllowedByPolicy, "staff"),
        // With or without a condition that asks for it.
        (&of_a, "/looks/u1/a", Reason::AllowedByPolicy, "look"),
        (&of_a, "/looks/u1/b", Reason::ResourceConflict, ""),
        (&of_a, "/looks/u2/b", Reason::AllowedByPolicy, "look"),
        (&in_g, "/teams/g/7", Reason::AllowedByPolicy, "team"),
        (&in_g, "/teams/g/8", Reason::NoMatchingPermit, ""),
        (&in_g, "/teams/h/7", Reason::NoMatchingPermit, ""),
        (&of_a, "/teams/g/7", Reason::AllowedByPolicy, "team"),
    ] {
        let call = Call::from_event(event(token, "GET", path)).unwrap();
        let outcome = answer(&call, &bundle, now).unwrap();
        assert_eq!(outcome.decision.reason, reason, "{path}");
        assert_eq!(outcome.texts().policies, policies, "{path}");
        // The decision depends on the path, so no answer may be used for other paths.
        let outcome = answer_under(&CacheKey::Token, &call, &bundle, now).unwrap();
        assert_eq!(outcome.decision.reason, Reason::NotCacheable, "{path}");
    }
    for bundled in bundle.bundled_routes().take(3) {
        assert!(bundled.reads.contains(&Input::Resource), "{}", bundled.route);
    }
}
