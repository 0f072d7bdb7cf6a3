use std::collections::BTreeSet;
use std::fs;

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Ids as AVP makes them, as people could, and as nobody should.
fn id() -> impl Strategy<Value = String> {
    let hostile = [
        "../../up",
        "..",
        ".",
        "a/b",
        "A",
        "a",
        "a#1",
        "%2F",
        "CON",
        "name/x",
        "\u{fc}\u{202e}x",
        " ",
        "",
        "a\"b\n",
        "sha256-x",
        "policy0",
        "-",
        "store.toml",
    ];
    prop_oneof![
        "[a-zA-Z0-9]{22}",
        "[a-zA-Z0-9/_-]{1,8}",
        "[a-z/]{190,200}",
        prop::sample::select(hostile.map(str::to_owned).to_vec())
    ]
}

fn text() -> impl Strategy<Value = Option<String>> {
    prop::option::of(prop_oneof!["name/[a-z]{1,9}", Just("\"\\\u{0}\r\n\u{2028}".to_owned())])
}

fn statement(scope: &'static str) -> impl Strategy<Value = String> {
    let before =
        ["", "// before; permit\r\n", "\n\n", "@id(\"same\") ", "@id(\"a/b\")\r\n@note(\"x;\")", "//\n\t"];
    let behind = ["", "\n", "\r\n// behind", " // no end ;", "\n\n\n", "//"];
    let parts = (prop::sample::select(before.to_vec()), prop::sample::select(behind.to_vec()));
    parts.prop_map(move |(before, behind)| format!("{before}permit{scope};{behind}"))
}

fn entity() -> impl Strategy<Value = EntityIdentifier> {
    let ids = ["alice", "\"\\\n", "", "\u{1f600}"];
    prop::sample::select(ids.to_vec())
        .prop_map(|id| EntityIdentifier { entity_type: "A::User".to_owned(), entity_id: id.to_owned() })
}

fn contents() -> impl Strategy<Value = StoreContents> {
    let policy = (id(), text(), text(), statement("(principal, action, resource)"));
    let template =
        (id(), text(), text(), statement("(principal == ?principal, action, resource == A::R::\"r\")"));
    let link = (id(), text(), any::<prop::sample::Index>(), entity());
    let store = (text(), any::<bool>(), any::<bool>(), prop::collection::btree_map(".{0,5}", ".{0,5}", 0..3));
    let parts = (
        prop::collection::vec(policy, 0..6),
        prop::collection::vec(template, 0..3),
        prop::collection::vec(link, 0..5),
        store,
        prop::option::of(Just(" { \"A\": {\"entityTypes\": {},\r\n \"actions\": {}} }\n".to_owned())),
        prop::collection::btree_set("[a-zA-Z0-9-]{1,22}", 0..2),
    );
    parts.prop_map(|(policies, templates, links, (description, strict, protected, tags), schema, sources)| {
        let mut contents = StoreContents {
            description,
            validation: if strict { ValidationMode::Strict } else { ValidationMode::Off },
            deletion_protection: protected,
            tags,
            schema,
            aliases: vec!["policy-store-alias/a".to_owned()],
            encryption: Some(json!({"default": {}})),
            ..StoreContents::default()
        };
        let mut ids = BTreeSet::new();
        for (id, name, description, statement) in policies {
            if ids.insert(id.clone()) {
                contents.policies.push(StaticPolicy { id, name, description, statement });
            }
        }
        let mut template_ids = BTreeSet::new();
        for (id, name, description, statement) in templates {
            if template_ids.insert(id.clone()) {
                contents.templates.push(PolicyTemplate { id, name, description, statement });
            }
        }
        for (id, name, template, principal) in links {
            if !contents.templates.is_empty() && ids.insert(id.clone()) {
                let template_id = template.get(&contents.templates).id.clone();
                let principal = Some(principal);
                contents.links.push(TemplateLinkedPolicy {
                    id,
                    name,
                    template_id,
                    principal,
                    resource: None,
                });
            }
        }
        for id in sources {
            let issuer = format!("https://example.com/{id}");
            let selection = json!({"identityTokenOnly": {"clientIds": ["a"]}});
            let configuration =
                json!({"openIdConnectConfiguration": {"issuer": issuer, "tokenSelection": selection}});
            contents.identity_sources.push(IdentitySource { id, principal_entity_type: None, configuration });
        }
        contents.policies.sort_by(|a, b| a.id.cmp(&b.id));
        contents.templates.sort_by(|a, b| a.id.cmp(&b.id));
        contents.links.sort_by(|a, b| a.id.cmp(&b.id));
        contents
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn what_is_written_is_read(contents in contents()) {
        let folder = tempfile::tempdir().unwrap();
        let files = write(&contents, &WriteOptions { name: "a \"store\"".to_owned(), ..WriteOptions::default() });
        for (path, content) in files.iter() {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let (read, without_place) = read(folder.path()).unwrap();
        prop_assert_eq!(read, contents);
        prop_assert_eq!(without_place, ["`[tokens]` of `store.toml`"]);
    }
}

#[test]
fn stores_that_people_wrote_are_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (contents, without_place) = read(&root.join("policies")).unwrap();
    let ids: Vec<&str> = contents.policies.iter().map(|policy| policy.id.as_str()).collect();
    assert!(ids.contains(&"everyone-sees-the-front-page"), "{ids:?}");
    assert_eq!(contents.links[0].template_id, contents.templates[0].id);
    let schema: Value = serde_json::from_str(&contents.schema.unwrap()).unwrap();
    assert!(schema["PetStore"]["entityTypes"]["User"].is_object());
    assert!(without_place.iter().any(|line| line.starts_with("`entities.json`")), "{without_place:?}");
    // The only policy of a file is all of it; of several, each ends with its semicolon.
    let statement = |id: &str| {
        contents
            .policies
            .iter()
            .find(|policy| policy.id == id)
            .map(|policy| policy.statement.clone())
            .unwrap()
    };
    assert!(statement("everyone-sees-the-front-page").starts_with("// Whoever"));
    assert!(statement("customers-see-pets").starts_with("@id"));
    assert!(statement("customers-see-pets").ends_with(");"));
    let others = ["samples", "tests/data/stores"].map(|folder| fs::read_dir(root.join(folder)).unwrap());
    for folder in others.into_iter().flatten() {
        let path = folder.unwrap().path();
        let is_store = path.join("store.toml").exists();
        if is_store && !path.to_str().unwrap().ends_with("_bad") {
            let read = read(&path);
            assert!(read.is_ok(), "{}: {}", path.display(), read.unwrap_err());
            assert!(!read.unwrap().0.policies.is_empty(), "{}", path.display());
        }
    }
    assert!(read(&root.join("tests/data/stores/clinic_bad")).is_err());
    assert!(read(&root.join("tests/data/stores/empty_bad")).is_err());
    assert!(read(&root.join("nowhere")).is_err());
}
