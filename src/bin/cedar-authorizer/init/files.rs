//! The files of a new store.

pub mod avp_schema;
mod guide;
pub mod personas;
mod policies;
pub mod routes_tests;
pub mod schema;
mod settings;

use std::collections::BTreeMap;

use super::plan::Plan;

/// Files by their paths in the store, with `/` between folders.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Writes the files of a plan.
pub fn write(plan: &Plan) -> Files {
    let mut files = Files::new();
    let mut add = |path: String, content: String| {
        files.insert(path, content.into_bytes());
    };
    add("store.toml".to_owned(), settings::file(plan));
    match &plan.avp_schema {
        Some(schema) => add("schema.cedarschema.json".to_owned(), schema.clone()),
        None => add("schema.cedarschema".to_owned(), schema::file(plan)),
    }
    let source = plan.identity.file(&plan.namespace, plan.group_type());
    add(format!("identity-sources/{}.json", plan.identity.name()), source);
    for (name, content) in policies::files(plan) {
        add(format!("policies/{name}.cedar"), content);
    }
    add("personas.toml".to_owned(), personas::file(plan));
    if let Some(tests) = routes_tests::file(plan) {
        add("tests/routes.yaml".to_owned(), tests);
    }
    add("README.md".to_owned(), guide::file(plan));
    files
}
