//! `export terraform`: resources of the provider `aws`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::cloudformation::{MAX_STATEMENT, long_texts};
use super::hcl::{Body, quoted};
use super::names::{avp_name, identifier, names};
use crate::avp::contents::{EntityIdentifier, StoreContents, ValidationMode};
use crate::import::identity::{COGNITO, OPEN_ID};
use crate::import::resource::id_of;
use crate::import::terraform::IDS_OUTPUT;

/// The configuration, and what the provider does not take.
pub fn configuration(contents: &StoreContents) -> (String, Vec<String>) {
    let StoreContents { policies, templates, links, identity_sources, aliases, .. } = contents;
    let mut notes = long_texts(contents, MAX_STATEMENT);
    let template_names = names(templates.iter().map(|template| template.id.as_str()), identifier);
    // Static and template-linked policies are resources of one type.
    let policy_ids = policies.iter().map(|policy| policy.id.as_str());
    let policy_names = names(policy_ids.chain(links.iter().map(|link| link.id.as_str())), identifier);
    let source_names = names(identity_sources.iter().map(|source| source.id.as_str()), identifier);
    let alias_names = names(aliases.iter().map(String::as_str), |name| {
        identifier(name.strip_prefix("policy-store-alias/").unwrap_or(name))
    });
    // The ids that an import would not find again.
    let mut ids: BTreeMap<String, String> = BTreeMap::new();
    let mut note_id = |address: String, id: &str, found: String| {
        if id != found {
            ids.insert(address, id.to_owned());
        }
    };

    let mut file = Body::default();
    file.block(head("policy_store", "this"), store(contents));
    if contents.encryption.is_some() {
        notes.push("the provider has no encryption settings for policy stores: they are left out".to_owned());
    }
    if let Some(schema) = &contents.schema {
        let (mut body, mut definition) = (of_store(), Body::default());
        definition.text("value", schema);
        body.block("definition", definition);
        file.block(head("schema", "this"), body);
    }
    for template in templates {
        let mut body = of_store();
        if let Some(description) = &template.description {
            body.text("description", description);
        }
        body.text("statement", &template.statement);
        let name = named(&template_names, &template.id);
        let found = id_of(None, Some(&template.statement), None, &name);
        note_id(format!("{PREFIX}policy_template.{name}"), &template.id, found);
        if template.name.is_some() {
            notes.push(format!(
                "the provider has no names for policy templates: that of `{name}` is left out"
            ));
        }
        file.block(head("policy_template", &name), body);
    }
    let mut policy = |id: &str, own_name: Option<&String>, statement: Option<&str>, definition: Body| {
        let name = named(&policy_names, id);
        let own_name = own_name.cloned().or_else(|| avp_name(id));
        let mut body = of_store();
        if let Some(own_name) = &own_name {
            body.text("policy_name", own_name);
        }
        body.block("definition", definition);
        note_id(format!("{PREFIX}policy.{name}"), id, id_of(None, statement, own_name.as_deref(), &name));
        file.block(head("policy", &name), body);
    };
    for own in policies {
        let (mut definition, mut inner) = (Body::default(), Body::default());
        if let Some(description) = &own.description {
            inner.text("description", description);
        }
        inner.text("statement", &own.statement);
        definition.block("static", inner);
        policy(&own.id, own.name.as_ref(), Some(&own.statement), definition);
    }
    for link in links {
        let (mut definition, mut inner) = (Body::default(), Body::default());
        let template = named(&template_names, &link.template_id);
        let reference = format!("{PREFIX}policy_template.{template}.policy_template_id");
        inner.expression("policy_template_id", reference);
        for (variable, value) in [("principal", &link.principal), ("resource", &link.resource)] {
            if let Some(EntityIdentifier { entity_type, entity_id }) = value {
                let mut body = Body::default();
                body.text("entity_type", entity_type);
                body.text("entity_id", entity_id);
                inner.block(variable, body);
            }
        }
        definition.block("template_linked", inner);
        policy(&link.id, link.name.as_ref(), None, definition);
    }
    for source in identity_sources {
        let mut body = of_store();
        if let Some(name) = &source.principal_entity_type {
            body.text("principal_entity_type", name);
        }
        body.block("configuration", configuration_block(&source.configuration));
        let name = named(&source_names, &source.id);
        note_id(format!("{PREFIX}identity_source.{name}"), &source.id, name.clone());
        file.block(head("identity_source", &name), body);
    }
    for alias in aliases {
        let mut body = of_store();
        body.text("alias_name", alias);
        file.block(head("policy_store_alias", &named(&alias_names, alias)), body);
    }
    if !ids.is_empty() {
        let entries = ids.iter().map(|(address, id)| format!("{} = {}", quoted(address), quoted(id)));
        let mut body = Body::default();
        body.expression("value", format!("{{ {} }}", entries.collect::<Vec<_>>().join(", ")));
        file.block(format!("output \"{IDS_OUTPUT}\""), body);
    }
    (file.file(), notes)
}

fn head(kind: &str, name: &str) -> String {
    format!("resource \"{PREFIX}{kind}\" \"{name}\"")
}

fn of_store() -> Body {
    let mut body = Body::default();
    body.expression("policy_store_id", format!("{PREFIX}policy_store.this.policy_store_id"));
    body
}

fn store(contents: &StoreContents) -> Body {
    let (mut body, mut validation) = (Body::default(), Body::default());
    if let Some(description) = &contents.description {
        body.text("description", description);
    }
    if contents.deletion_protection {
        body.expression("deletion_protection", "\"ENABLED\"");
    }
    if !contents.tags.is_empty() {
        let tags = contents.tags.iter().map(|(key, value)| format!("{} = {}", quoted(key), quoted(value)));
        body.expression("tags", format!("{{ {} }}", tags.collect::<Vec<_>>().join(", ")));
    }
    let mode = match contents.validation {
        ValidationMode::Off => "\"OFF\"",
        ValidationMode::Strict => "\"STRICT\"",
    };
    validation.expression("mode", mode);
    body.block("validation_settings", validation);
    body
}

fn configuration_block(configuration: &Value) -> Body {
    let mut outer = Body::default();
    if let Some(pool) = configuration.get(COGNITO) {
        let mut body = Body::default();
        text(&mut body, "user_pool_arn", pool.get("userPoolArn"));
        texts(&mut body, "client_ids", pool.get("clientIds"));
        if let Some(groups) = pool.get("groupConfiguration") {
            let mut inner = Body::default();
            text(&mut inner, "group_entity_type", groups.get("groupEntityType"));
            body.block("group_configuration", inner);
        }
        outer.block("cognito_user_pool_configuration", body);
        return outer;
    }
    let provider = configuration.get(OPEN_ID).unwrap_or(&Value::Null);
    let mut body = Body::default();
    text(&mut body, "issuer", provider.get("issuer"));
    text(&mut body, "entity_id_prefix", provider.get("entityIdPrefix"));
    if let Some(groups) = provider.get("groupConfiguration") {
        let mut inner = Body::default();
        text(&mut inner, "group_claim", groups.get("groupClaim"));
        text(&mut inner, "group_entity_type", groups.get("groupEntityType"));
        body.block("group_configuration", inner);
    }
    let mut selection = Body::default();
    let kinds = [
        ("accessTokenOnly", "access_token_only", "audiences", "audiences"),
        ("identityTokenOnly", "identity_token_only", "clientIds", "client_ids"),
    ];
    for (member, block, list, name) in kinds {
        if let Some(own) = provider.get("tokenSelection").and_then(|selection| selection.get(member)) {
            let mut inner = Body::default();
            text(&mut inner, "principal_id_claim", own.get("principalIdClaim"));
            texts(&mut inner, name, own.get(list));
            selection.block(block, inner);
        }
    }
    body.block("token_selection", selection);
    outer.block("open_id_connect_configuration", body);
    outer
}

fn text(body: &mut Body, name: &str, value: Option<&Value>) {
    if let Some(value) = value.and_then(Value::as_str) {
        body.text(name, value);
    }
}

fn texts(body: &mut Body, name: &str, value: Option<&Value>) {
    if let Some(items) = value.and_then(Value::as_array) {
        body.texts(name, items.iter().filter_map(Value::as_str));
    }
}

fn named(names: &BTreeMap<&str, String>, id: &str) -> String {
    names.get(id).cloned().unwrap_or_else(|| identifier(id))
}

const PREFIX: &str = "aws_verifiedpermissions_";
