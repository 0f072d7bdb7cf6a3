//! `store.toml` of an imported store.

use std::collections::{BTreeMap, BTreeSet};

use cedar_authorizer::bundle::nesting;
use cedar_policy::{EntityTypeName, Schema, SchemaFragment};
use serde_json::Value;

use super::Tokens;
use super::identity::{COGNITO, OPEN_ID};
use super::imported::Imported;
use crate::avp::contents::{StoreContents, ValidationMode};
use crate::init::text::{json, slug};

/// What `store.toml` says.
#[derive(Debug)]
pub struct Settings {
    /// The name of the store.
    pub name: String,
    /// The namespace of the actions.
    pub namespace: String,
    /// Which of Cognito's tokens callers send. `None`: no identity source is a user pool.
    pub tokens: Option<Tokens>,
    /// Whether the file is to be read as saying how policies are validated.
    pub validation: ValidationMode,
    /// The resource of the routes, if it is not the default.
    pub resource: Option<String>,
}

impl Settings {
    /// The settings that fit what was imported.
    pub fn new(imported: &Imported, name: &str, namespace: Option<&str>, tokens: Option<Tokens>) -> Self {
        let contents = &imported.contents;
        let fragment = fragment_of(imported);
        let schema = fragment.clone().and_then(|fragment| Schema::from_schema_fragments([fragment]).ok());
        let namespace = match namespace {
            Some(namespace) => namespace.to_owned(),
            None => namespace_of(contents, fragment.as_ref(), schema.as_ref()),
        };
        let is_pool = |source: &Value| source.get(COGNITO).is_some();
        let has_pool = contents.identity_sources.iter().any(|source| is_pool(&source.configuration));
        // Policy stores that Verified Permissions made for an API get access tokens.
        let tokens = tokens.or_else(|| of_provider(contents)).or(has_pool.then_some(Tokens::Access));
        Self {
            name: name_of(contents, name),
            resource: schema.as_ref().and_then(|schema| resource_of(&namespace, schema)),
            namespace,
            tokens: tokens.filter(|_| has_pool),
            validation: contents.validation,
        }
    }

    /// The whole file.
    pub fn file(&self) -> String {
        let validation = match self.validation {
            ValidationMode::Strict => "strict",
            ValidationMode::Off => "off",
        };
        let mut file = format!(
            "[store]\nname = {}\nnamespace = {}\nvalidation = \"{validation}\"\n",
            json(&self.name),
            json(&self.namespace)
        );
        if let Some(tokens) = self.tokens {
            let tokens = if tokens == Tokens::Access { "access" } else { "id" };
            file.push_str(&format!(
                "\n[tokens]\n# Which of Cognito's tokens callers send: \"access\" or \"id\".\ntype = \"{tokens}\"\n"
            ));
        }
        if let Some(resource) = &self.resource {
            file.push_str(&format!("\n[api]\nresource = {}\n", json(resource)));
        }
        file
    }
}

/// The schema, in whichever form it came. `None`: there is none, or it cannot be read, and `check` says why.
fn fragment_of(imported: &Imported) -> Option<SchemaFragment> {
    if let Some(schema) = &imported.contents.schema {
        // A schema that is nested too deeply is not parsed.
        nesting::schema(schema).ok()?;
        return SchemaFragment::from_json_str(schema).ok();
    }
    let text = std::str::from_utf8(imported.files.get("schema.cedarschema")?).ok()?;
    nesting::schema(text).ok()?;
    SchemaFragment::from_cedarschema_str(text).ok().map(|(fragment, _)| fragment)
}

fn name_of(contents: &StoreContents, name: &str) -> String {
    let description = contents.description.as_deref().map(slug).unwrap_or_default();
    let short = !description.is_empty() && description.len() <= MAX_NAME;
    let name = if short { description } else { slug(name) };
    if name.is_empty() { "imported".to_owned() } else { name }
}

/// The namespace of the actions, or of the principals if there is no schema.
fn namespace_of(
    contents: &StoreContents,
    fragment: Option<&SchemaFragment>,
    schema: Option<&Schema>,
) -> String {
    let of_actions: BTreeSet<String> =
        schema.into_iter().flat_map(Schema::actions).map(|action| action.type_name().namespace()).collect();
    if let Some(namespace) = of_actions.into_iter().next() {
        return namespace;
    }
    let declared = fragment
        .into_iter()
        .flat_map(SchemaFragment::namespaces)
        .flatten()
        .map(|name| name.to_string())
        .min();
    let of_principals = || {
        let types =
            contents.identity_sources.iter().filter_map(|source| source.principal_entity_type.as_deref());
        types.filter_map(|name| name.parse::<EntityTypeName>().ok()).map(|name| name.namespace()).next()
    };
    declared.or_else(of_principals).unwrap_or_default()
}

/// The token of the first OpenID provider.
fn of_provider(contents: &StoreContents) -> Option<Tokens> {
    contents.identity_sources.iter().find_map(|source| {
        let selection = source.configuration.get(OPEN_ID)?.get("tokenSelection")?;
        Some(if selection.get("identityTokenOnly").is_some() { Tokens::Id } else { Tokens::Access })
    })
}

/// The resource that routes act on, if the schema does not have the default's type: of the type to which most actions
/// apply. Routes that act on others say so in `store.toml`.
fn resource_of(namespace: &str, schema: &Schema) -> Option<String> {
    let qualified =
        |name: &str| if namespace.is_empty() { name.to_owned() } else { format!("{namespace}::{name}") };
    let is_there = |name: &str| schema.entity_types().any(|known| known.to_string() == name);
    if is_there(&qualified("Application")) {
        return None;
    }
    let mut uses: BTreeMap<String, usize> = BTreeMap::new();
    for resource in
        schema.actions().flat_map(|action| schema.resources_for_action(action).into_iter().flatten())
    {
        *uses.entry(resource.to_string()).or_default() += 1;
    }
    // Of those that are used as often, the first.
    let name = uses.iter().rev().max_by_key(|(_, uses)| **uses).map(|(name, _)| name)?;
    let id = namespace.rsplit("::").next().filter(|id| !id.is_empty()).unwrap_or("api");
    Some(format!("{name}::{}", json(id)))
}

/// A description that is longer is no name.
const MAX_NAME: usize = 40;
