//! What is exported is what is imported again; and changes to a live store, step by step, on a store in memory.

mod hcl_reader;
mod live_model;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{cloudformation, terraform, yaml};
use crate::avp::contents::{
    EntityIdentifier, IdentitySource, PolicyTemplate, StaticPolicy, StoreContents, TemplateLinkedPolicy,
    ValidationMode,
};
use crate::import::testing::{import_plan, import_template};

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn a_template_holds_the_whole_store(contents in contents()) {
        let template = cloudformation::template(&contents);
        for text in [yaml::document(&template), template.json()] {
            let (imported, notes) = import_template(&text);
            prop_assert_eq!(&imported, &contents, "{}\n{:?}", text, notes);
        }
    }

    #[test]
    fn a_configuration_of_terraform_holds_all_that_the_provider_takes(contents in contents()) {
        let contents = without_what_terraform_lacks(contents);
        let (text, _) = terraform::configuration(&contents);
        let plan = hcl_reader::plan(&text);
        let (imported, notes) = import_plan(&plan);
        prop_assert_eq!(&imported, &contents, "{}\n{:#}\n{:?}", text, plan, notes);
    }
}

fn without_what_terraform_lacks(mut contents: StoreContents) -> StoreContents {
    contents.encryption = None;
    contents.templates.iter_mut().for_each(|template| template.name = None);
    contents
}

/// Text that every format has its own trouble with.
fn hostile_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-zA-Z0-9 ]{1,6}",
        Just("${a}".to_owned()),
        Just("$${".to_owned()),
        Just("%{if}".to_owned()),
        Just("%%{".to_owned()),
        Just("$".to_owned()),
        Just("\\n".to_owned()),
        Just("\"".to_owned()),
        Just("'".to_owned()),
        Just("\n".to_owned()),
        Just("\r\n".to_owned()),
        Just("\n\n".to_owned()),
        Just("\t".to_owned()),
        Just(" \n".to_owned()),
        Just("EOT\n".to_owned()),
        Just(": #x".to_owned()),
        Just("- ".to_owned()),
        Just("\u{85}\u{2028}\u{feff}".to_owned()),
        Just("\u{1}\u{7f}\u{9f}".to_owned()),
        Just("é𝄞".to_owned()),
        "\\PC{1,3}",
    ];
    proptest::collection::vec(piece, 1..6).prop_map(|pieces| pieces.concat())
}

fn statement() -> impl Strategy<Value = String> {
    let ends = prop_oneof![Just(""), Just("\n"), Just("\r\n"), Just("\n\n"), Just("\n// end ${x} %{y}\n")];
    let annotation = prop_oneof![
        3 => Just(String::new()),
        1 => Just("@id(\"same\")\n".to_owned()),
        1 => Just("@cdkId(\"cdk\") ".to_owned()),
    ];
    (annotation, hostile_text(), ends).prop_map(|(annotation, text, end)| {
        let comment = text.replace(['\n', '\r', '\u{85}', '\u{2028}'], " ");
        format!(
            "// {comment}\n{annotation}permit (principal, action, resource) when {{ {text:?} == \"\" }};{end}"
        )
    })
}

fn id() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9]{22}",
        "[a-z]{1,4}[-_/][a-zA-Z]{1,4}",
        Just("a-b".to_owned()),
        Just("a_b".to_owned()),
        Just("AB".to_owned()),
        Just("aB".to_owned()),
        Just("über alles".to_owned()),
        Just("7 up: \"x\"".to_owned()),
        "[a-z]{200}",
    ]
}

fn optional(text: impl Strategy<Value = String>) -> impl Strategy<Value = Option<String>> {
    proptest::option::of(text)
}

fn entity() -> impl Strategy<Value = EntityIdentifier> {
    hostile_text().prop_map(|entity_id| EntityIdentifier { entity_type: "Shop::User".to_owned(), entity_id })
}

fn identity() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({ "cognitoUserPoolConfiguration": {
            "userPoolArn": "arn:aws:cognito-idp:eu-west-1:123456789012:userpool/eu-west-1_AbCdEfGhI",
            "clientIds": ["one", "two"],
            "groupConfiguration": { "groupEntityType": "Shop::Group" },
        } })),
        hostile_text().prop_map(|prefix| json!({ "openIdConnectConfiguration": {
            "issuer": "https://login.example.com",
            "entityIdPrefix": prefix,
            "groupConfiguration": { "groupClaim": "groups", "groupEntityType": "Shop::Group" },
            "tokenSelection": { "identityTokenOnly": { "principalIdClaim": "sub", "clientIds": ["shop"] } },
        } })),
        Just(json!({ "openIdConnectConfiguration": {
            "issuer": "https://login.example.com",
            "tokenSelection": { "accessTokenOnly": { "principalIdClaim": "sub" } },
        } })),
    ]
}

/// A store with things of every kind, each in the order of its ids.
fn contents() -> impl Strategy<Value = StoreContents> {
    let named = || (id(), optional("name/own-[a-z]{6}"), optional(hostile_text()));
    let policies = proptest::collection::vec((named(), statement()), 0..5);
    let templates = proptest::collection::vec((named(), statement()), 0..3);
    let links = proptest::collection::vec(
        (named(), any::<prop::sample::Index>(), optional_entity(), optional_entity()),
        0..3,
    );
    let sources = proptest::collection::vec((id(), identity()), 0..3);
    let store =
        (optional(hostile_text()), any::<bool>(), any::<bool>(), optional(hostile_text()), any::<bool>());
    let tags = proptest::collection::btree_map("[a-zA-Z:/]{1,5}", hostile_text(), 0..3);
    (store, tags, policies, templates, links, sources).prop_map(
        |(store, tags, policies, templates, links, sources)| {
            let (description, strict, deletion_protection, schema, encrypted) = store;
            // Ids are unique among all policies, and names among those of a kind.
            let mut taken = BTreeSet::new();
            let mut names = BTreeSet::new();
            let mut free = |id: &String| taken.insert(id.clone());
            let mut own = |name: Option<String>| name.filter(|name| names.insert(name.clone()));
            let templates: BTreeMap<String, PolicyTemplate> = templates
                .into_iter()
                .filter(|((id, ..), _)| free(id))
                .map(|((id, name, description), statement)| {
                    let statement = statement.replace("principal,", "principal == ?principal,");
                    (id.clone(), PolicyTemplate { id, name: own(name), description, statement })
                })
                .collect();
            let policies: BTreeMap<String, StaticPolicy> = policies
                .into_iter()
                .filter(|((id, ..), _)| free(id))
                .map(|((id, name, description), statement)| {
                    (id.clone(), StaticPolicy { id, name: own(name), description, statement })
                })
                .collect();
            let template_ids: Vec<String> = templates.keys().cloned().collect();
            let links: BTreeMap<String, TemplateLinkedPolicy> = links
                .into_iter()
                .filter(|((id, ..), ..)| !template_ids.is_empty() && free(id))
                .map(|((id, name, _), index, principal, resource)| {
                    let template_id = template_ids[index.index(template_ids.len())].clone();
                    (
                        id.clone(),
                        TemplateLinkedPolicy { id, name: own(name), template_id, principal, resource },
                    )
                })
                .collect();
            let identity_sources: BTreeMap<String, IdentitySource> = sources
                .into_iter()
                .map(|(id, configuration)| {
                    let principal_entity_type = Some("Shop::User".to_owned());
                    (id.clone(), IdentitySource { id, principal_entity_type, configuration })
                })
                .collect();
            StoreContents {
                description,
                validation: if strict { ValidationMode::Strict } else { ValidationMode::Off },
                deletion_protection,
                encryption: encrypted.then(|| {
                    json!({ "kmsEncryptionSettings": {
                "key": "alias/shop", "encryptionContext": { "department": "pets" },
            } })
                }),
                tags,
                schema,
                policies: policies.into_values().collect(),
                templates: templates.into_values().collect(),
                links: links.into_values().collect(),
                identity_sources: identity_sources.into_values().collect(),
                aliases: if strict { vec!["policy-store-alias/shop".to_owned()] } else { Vec::new() },
            }
        },
    )
}

fn optional_entity() -> impl Strategy<Value = Option<EntityIdentifier>> {
    proptest::option::of(entity())
}

#[test]
fn names_are_stable_and_different() {
    use super::names::{identifier, logical_id, names};
    let named = names(["a-b", "a_b", "AB", "aB"], |id| logical_id("Policy", id));
    assert_eq!(named["AB"], "PolicyAB");
    let values: BTreeSet<&String> = named.values().collect();
    assert_eq!(values.len(), 4);
    let fewer = names(["a-b", "AB"], |id| logical_id("Policy", id));
    assert_eq!(fewer["a-b"], named["a-b"]);
    assert_eq!(identifier("7 up"), "_7_up");
}
