use std::str::FromStr;

use cedar_policy::Policy;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

use super::*;
use crate::bundle::StoreFiles;

const SCHEMA: &str = r#"
    namespace N {
        entity Group, Folder;
        entity User in [Group] { name: String, manager?: User };
        entity Doc in [Folder] { owner: User };
        entity Colour enum ["red", "blue"];
        action "all";
        action "read" in ["all"] appliesTo { principal: [User], resource: [Doc], context: { token: { level?: Long } } };
        action "paint" appliesTo { principal: [User], resource: [Colour], context: {} };
        action "join" appliesTo { principal: [User, Colour], resource: [Group], context: { token: { level: Long } } };
    }
"#;

/// Types and ids, good and bad. The last letter of `rеd` is Latin, the second is not.
const TYPES: [&str; 7] = ["N::User", "N::Group", "N::Doc", "N::Folder", "N::Colour", "N::Action", "Other"];
const IDS: [&str; 9] = ["a", "b", "red", "blue", "read", "r\\u{65}d", "rеd", "é", "a b/c"];

fn entity() -> impl Strategy<Value = String> {
    (select(&TYPES[..]), select(&IDS[..])).prop_map(|(of, id)| format!("{of}::\"{id}\""))
}

/// A part of a scope, with `ID` for the id of its entity. `slot` stands for an entity in a template.
fn part(variable: &'static str, slot: Option<&'static str>) -> BoxedStrategy<String> {
    let named = match slot {
        Some(slot) => Just(slot.to_owned()).boxed(),
        None => select(&TYPES[..]).prop_map(|of| format!("{of}::\"ID\"")).boxed(),
    };
    let is = (select(&TYPES[..]), named.clone())
        .prop_map(move |(of, named)| format!("{variable} is {of} in {named}"));
    let with = |operator: &'static str| {
        named.clone().prop_map(move |named| format!("{variable} {operator} {named}"))
    };
    match slot {
        Some(_) => prop_oneof![with("=="), with("in"), is].boxed(),
        None => prop_oneof![Just(variable.to_owned()), with("=="), with("in"), is].boxed(),
    }
}

fn action() -> impl Strategy<Value = &'static str> {
    select(vec![
        "action",
        "action == N::Action::\"read\"",
        "action == N::Action::\"paint\"",
        "action in N::Action::\"all\"",
        "action in [N::Action::\"read\", N::Action::\"join\"]",
        "action == N::Action::\"gone\"",
        "action == Other::Action::\"read\"",
    ])
}

fn condition() -> impl Strategy<Value = &'static str> {
    select(vec![
        "",
        "when { true }",
        "when { context.token has level && context.token.level > 1 }",
        "when { context.token.level > 1 }",
        "when { context.nothing == 1 }",
        "when { principal.name == \"x\" }",
        "when { principal.name == 1 } // why\n",
        "when { principal has manager && principal.manager == resource.owner }",
        "unless { resource in N::Folder::\"a\" }",
        "unless { resource == N::Colour::\"ID\" }",
        "when { N::User::\"ID\" == N::User::\"a\" }",
        "when { principal.name == \"rеd\" }",
        "when { false }",
    ])
}

/// What stands before a policy, and around its words.
fn dress() -> impl Strategy<Value = (&'static str, &'static str)> {
    select(vec![
        ("", " "),
        ("@note(\"); permit\")\n", "\n"),
        ("@empty @a(\"b\")", "\n// forbid\n"),
        ("// x\n", "  "),
    ])
}

/// A few forms, each with several ids: many policies have one shape.
fn policies() -> impl Strategy<Value = Vec<String>> {
    let form = (dress(), part("principal", None), action(), part("resource", None), condition()).prop_map(
        |((before, space), principal, action, resource, condition)| {
            format!(
                "{before}permit{space}({principal},{space}{action}, {resource}{space}){space}{condition};\n"
            )
        },
    );
    let with_ids = (form, vec(vec(select(&IDS[..]), 3), 1..8)).prop_map(|(form, all)| {
        let with = |ids: Vec<&str>| ids.into_iter().fold(form.clone(), |form, id| form.replacen("ID", id, 1));
        all.into_iter().map(with).collect::<Vec<_>>()
    });
    vec(with_ids, 0..8).prop_map(|all| all.concat())
}

fn templates() -> impl Strategy<Value = Vec<String>> {
    let slots = prop_oneof![
        part("principal", Some("?principal")).prop_map(|principal| (principal, "resource".to_owned())),
        part("resource", Some("?resource")).prop_map(|resource| ("principal".to_owned(), resource)),
        (part("principal", Some("?principal")), part("resource", Some("?resource"))),
    ];
    let template = (slots, action(), condition()).prop_map(|((principal, resource), action, condition)| {
        format!("permit ({principal}, {action}, {resource}) {condition};\n").replace("ID", "a")
    });
    vec(template, 0..5)
}

/// A link of a template by its number, with a principal and a resource that it may or may not have slots for.
fn links() -> impl Strategy<Value = Vec<(usize, String, String)>> {
    vec((0..5_usize, entity(), entity()), 0..30)
}

fn files(policies: &[String], templates: &[String], links: &[(usize, String, String)]) -> StoreFiles {
    let mut files = StoreFiles::default();
    for (number, policies) in policies.chunks(7).enumerate() {
        files.insert(format!("policies/p{number}.cedar"), policies.concat().into_bytes());
    }
    files.insert("templates/t.cedar".to_owned(), templates.concat().into_bytes());
    let uid = |entity: &str| {
        let uid = EntityUid::from_str(&entity.replace("\\u{65}", "e")).unwrap();
        json!({"entityType": uid.type_name().to_string(), "entityId": uid.id().unescaped()})
    };
    let of_template = |(number, (template, principal, resource)): (usize, &(usize, String, String))| {
        let text = templates.get(*template)?;
        let mut link = json!({"id": format!("link{number}"), "templateId": format!("t#{}", template + 1)});
        if text.contains("?principal") {
            link["principal"] = uid(principal);
        }
        if text.contains("?resource") {
            link["resource"] = uid(resource);
        }
        Some(link)
    };
    let links: Vec<_> = links.iter().enumerate().filter_map(of_template).collect();
    files.insert("template-links.json".to_owned(), json!(links).to_string().into_bytes());
    files.insert("schema.cedarschema".to_owned(), SCHEMA.as_bytes().to_vec());
    files
}

/// What is found, policy by policy: the message, which names the policy, and where it is in its text.
fn said(problems: &Problems) -> Vec<(String, String)> {
    use miette::Diagnostic;
    let place = |problem: &dyn Diagnostic| {
        let labels = problem.labels().into_iter().flatten();
        labels.map(|label| format!("{}+{} ", label.offset(), label.len())).collect::<String>()
    };
    let errors = problems.errors.iter().map(|error| (error.to_string(), place(error)));
    let warnings = problems.warnings.iter().map(|warning| (warning.to_string(), place(warning)));
    let mut said: Vec<_> = errors.chain(warnings).collect();
    said.sort();
    said
}

#[track_caller]
fn assert_found_as_by_cedar(files: &StoreFiles) -> (usize, usize) {
    let mut findings = Vec::new();
    let Ok(Some(schema)) = StoreSchema::read(files, true, &mut findings) else {
        panic!("{findings:?}");
    };
    let mut policies = StorePolicies::read(files, &mut findings);
    assert!(findings.is_empty(), "{findings:?}");
    policies.analyse(Some(&schema));
    let found = policies.problems(&schema.schema);

    let mut set = policies.set.clone();
    for link in policies.links.iter() {
        set.link(link.template_id.clone(), PolicyId::new(link.id), link.values()).unwrap();
    }
    let whole = Validator::new(schema.schema).validate(&set, ValidationMode::Strict);
    let expected = Problems {
        errors: whole.validation_errors().cloned().collect(),
        warnings: whole.validation_warnings().cloned().collect(),
    };
    assert_eq!(said(&found), said(&expected));
    let shapes: HashSet<_> = set
        .policies()
        .filter(|policy| policy.is_static())
        .map(|policy| policies.shape(policy.id()))
        .collect();
    (shapes.len(), set.policies().filter(|policy| Policy::is_static(policy)).count())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_shape_once_finds_what_the_validator_finds_policy_by_policy(
        policies in policies(),
        templates in templates(),
        links in links(),
    ) {
        assert_found_as_by_cedar(&files(&policies, &templates, &links));
    }
}

#[test]
fn ids_in_the_scope_are_no_difference_unless_the_validator_looks_at_them() {
    let policy = |principal: &str, resource: &str| {
        format!(
            "permit (principal == {principal}, action == N::Action::\"paint\", resource == {resource});\n"
        )
    };
    for (others, is_alike) in [
        ([("N::User::\"a\"", "N::Doc::\"a\""), ("N::User::\"b\"", "N::Doc::\"c\"")], true),
        ([("N::User::\"a\"", "N::Doc::\"a\""), ("/* */N::User::\"b\"", "N::Doc::\"c\"")], true),
        ([("N::User::\"a\"", "N::Doc::\"a\""), ("N::User::\"a\"", "N::Folder::\"a\"")], false),
        ([("N::User::\"a\"", "N::Colour::\"red\""), ("N::User::\"a\"", "N::Colour::\"green\"")], false),
        ([("N::User::\"a\"", "N::Action::\"read\""), ("N::User::\"a\"", "N::Action::\"gone\"")], false),
        ([("N::User::\"red\"", "N::Doc::\"a\""), ("N::User::\"rеd\"", "N::Doc::\"a\"")], false),
    ] {
        let policies: Vec<String> = others
            .iter()
            .map(|(principal, resource)| policy(&principal.replace("/* */", "// no\n"), resource))
            .collect();
        let (shapes, count) = assert_found_as_by_cedar(&files(&policies, &[], &[]));
        assert_eq!((shapes, count), (if is_alike { 1 } else { 2 }, 2), "{others:?}");
    }
}

#[test]
fn ids_in_a_condition_are_a_difference() {
    let policy = |id: &str| {
        format!("permit (principal, action, resource) when {{ N::User::\"a\" == N::User::\"{id}\" }};\n")
    };
    let (shapes, count) =
        assert_found_as_by_cedar(&files(&[policy("a"), policy("b"), policy("a")], &[], &[]));
    assert_eq!((shapes, count), (2, 3));
}
