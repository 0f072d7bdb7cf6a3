//! The schema that AVP's own generator makes of an API.
//!
//! Rules: the generator in the construct library of the AWS CDK, `@cdklabs/cdk-verified-permissions` 0.3.3, which
//! decides as AVP's console does. `tests/data/openapi/` has schemas that it made.

use std::collections::HashSet;

use cedar_authorizer::gateway::route::Method;

use super::super::text;
use crate::description::WrittenPath;

/// The namespace for an API whose title has nothing that could be one.
pub const NO_NAMESPACE: &str = "ImportedApi";

/// The methods that become actions, in the generator's order.
pub const METHODS: [Method; 6] =
    [Method::Get, Method::Post, Method::Put, Method::Patch, Method::Delete, Method::Head];

/// The namespace for an API with this title.
pub fn namespace(title: &str) -> String {
    let name: String = title.chars().filter(|char| char.is_ascii_alphanumeric() || *char == '_').collect();
    match name.chars().next() {
        None => NO_NAMESPACE.to_owned(),
        Some('0'..='9' | '_') => format!("Api{name}"),
        Some(_) => name,
    }
}

/// The ids of the actions. Paths and methods are taken as they are written.
pub fn actions(paths: &[WrittenPath]) -> Vec<String> {
    let (mut actions, mut known) = (Vec::new(), HashSet::new());
    for WrittenPath { path, keys } in paths {
        let named = keys.iter().filter_map(|key| METHODS.into_iter().find(|method| method.name() == key));
        let methods: Vec<Method> =
            if keys.iter().any(|key| key == ANY) { METHODS.to_vec() } else { named.collect() };
        for method in methods {
            let action = format!("{method} {path}");
            if known.insert(action.clone()) {
                actions.push(action);
            }
        }
    }
    actions
}

/// The file: what the generator makes, as `JSON.stringify(schema, null, 2)` writes it.
pub fn file(namespace: &str, actions: &[String], group_type: Option<&str>) -> String {
    let namespace = text::json(namespace);
    let group = group_type.map(|name| format!("      {}: {{\n{SHAPE}\n      }},\n", text::json(name)));
    let members = match group_type {
        Some(name) => format!("[\n          {}\n        ]", text::json(name)),
        None => "[]".to_owned(),
    };
    let actions: Vec<String> =
        actions.iter().map(|id| format!("      {}: {{\n{APPLIES_TO}\n      }}", text::json(id))).collect();
    let actions =
        if actions.is_empty() { "{}".to_owned() } else { format!("{{\n{}\n    }}", actions.join(",\n")) };
    format!(
        "{{\n  {namespace}: {{\n    \"entityTypes\": {{\n{}      \"User\": {{\n{SHAPE},\n        \
         \"memberOfTypes\": {members}\n      }},\n      \"Application\": {{\n{SHAPE}\n      }}\n    }},\n    \
         \"actions\": {actions}\n  }}\n}}\n",
        group.unwrap_or_default()
    )
}

const ANY: &str = "x-amazon-apigateway-any-method";

const SHAPE: &str = r#"        "shape": {
          "type": "Record",
          "attributes": {}
        }"#;

const APPLIES_TO: &str = r#"        "appliesTo": {
          "context": {
            "type": "Record",
            "attributes": {}
          },
          "principalTypes": [
            "User"
          ],
          "resourceTypes": [
            "Application"
          ]
        }"#;
