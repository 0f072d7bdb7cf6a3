//! One policy store out of the resources of a template or plan.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::identity;
use super::imported::Imported;
use super::resource::{Kind, Resource, id_of, referred};
use crate::avp::contents::{
    PolicyTemplate, StaticPolicy, StoreContents, TemplateLinkedPolicy, ValidationMode,
};
use crate::init::text::comment;
use crate::output::Failure;

/// What the command line says about the choice.
#[derive(Clone, Copy, Debug)]
pub struct Wishes<'a> {
    /// The policy store, if there are several.
    pub policy_store: Option<&'a str>,
    /// The ARN of the user pool of identity sources that do not say it.
    pub user_pool: Option<&'a str>,
}

/// Puts a store together.
///
/// # Errors
/// There is none, or several and none was chosen.
pub fn assemble(resources: &[Resource], wishes: Wishes<'_>) -> Result<Imported, Failure> {
    let store = choose(resources, wishes.policy_store)?;
    let mut imported = Imported::default();
    let several = resources.iter().filter(|resource| resource.kind == Kind::PolicyStore).count() > 1;
    let own: Vec<&Resource> = resources
        .iter()
        .filter(|resource| match (resource.kind, store) {
            (Kind::PolicyStore, _) => false,
            (_, Some(store)) => belongs(resource, store, several),
            (_, None) => true,
        })
        .collect();
    match store {
        Some(store) => read_store(store, &mut imported),
        None => imported.remark(
            "the policy store",
            "is not in this file, so neither are its schema and validation mode: policies are not validated",
        ),
    }
    for schema in own.iter().filter(|resource| resource.kind == Kind::Schema) {
        set_schema(schema, "definition.value", &mut imported);
    }
    let templates = read_templates(&own, &mut imported);
    read_policies(&own, &templates, &mut imported);
    for source in own.iter().filter(|resource| resource.kind == Kind::IdentitySource) {
        let id = id_of(source.noted_id.as_deref(), None, None, &source.name);
        let configuration = source.at("configuration").cloned().unwrap_or(Value::Null);
        let unknown = source.unknown_at("configuration");
        let principal_type = source.text("principalEntityType").map(str::to_owned);
        identity::add(
            &mut imported,
            &source.place,
            id,
            principal_type,
            configuration,
            wishes.user_pool,
            unknown,
        );
    }
    for alias in own.iter().filter(|resource| resource.kind == Kind::PolicyStoreAlias) {
        match alias.text("aliasName") {
            Some(name) => imported.contents.aliases.push(name.to_owned()),
            None => imported.left_out(&alias.place, not_known(alias, "aliasName", "the name of the alias")),
        }
    }
    imported.contents.aliases.sort();
    Ok(imported)
}

/// The store to import. `None`: it is elsewhere.
fn choose<'r>(resources: &'r [Resource], wanted: Option<&str>) -> Result<Option<&'r Resource>, Failure> {
    let stores: Vec<&Resource> =
        resources.iter().filter(|resource| resource.kind == Kind::PolicyStore).collect();
    let names = || {
        let names: Vec<String> =
            stores.iter().map(|store| format!("`{}`", comment(&store.address))).collect();
        names.join(", ")
    };
    if let Some(wanted) = wanted {
        let mut found = stores.iter().filter(|store| store.address == wanted || store.name == wanted);
        return match (found.next(), found.next()) {
            (Some(store), None) => Ok(Some(store)),
            (Some(_), Some(_)) => {
                let message = format!("several policy stores are named `{}`: {}", comment(wanted), names());
                Err(Failure::could_not_run(message).hint("name the whole address by --policy-store"))
            }
            (None, _) => {
                let message = format!("there is no policy store `{}`", comment(wanted));
                Err(Failure::could_not_run(message).hint(format!("there is: {}", names())))
            }
        };
    }
    match stores.as_slice() {
        [store] => Ok(Some(store)),
        [] if resources.is_empty() => {
            Err(Failure::could_not_run("nothing of Verified Permissions is in there"))
        }
        [] => Ok(None),
        several => {
            let message = format!("there are {} policy stores: {}", several.len(), names());
            Err(Failure::could_not_run(message).hint("choose one by --policy-store"))
        }
    }
}

fn belongs(resource: &Resource, store: &Resource, several: bool) -> bool {
    let Some(reference) = resource.text("policyStoreId") else { return !several };
    match referred(reference) {
        Some(name) => name == store.address || name.starts_with(&format!("{}.", store.address)),
        None => {
            store.text("policyStoreId").is_none_or(|id| id == reference) && !several
                || store.text("policyStoreId") == Some(reference)
        }
    }
}

fn read_store(store: &Resource, imported: &mut Imported) {
    imported.name = Some(store.name.clone());
    let contents = &mut imported.contents;
    contents.description = store.text("description").map(str::to_owned);
    contents.deletion_protection = store.text("deletionProtection.mode") == Some("ENABLED")
        || store.text("deletionProtection") == Some("ENABLED");
    contents.encryption = store.at("encryptionSettings").cloned();
    contents.tags = tags(store.at("tags"));
    match store.text("validationSettings.mode") {
        Some("STRICT") => contents.validation = ValidationMode::Strict,
        Some("OFF") => contents.validation = ValidationMode::Off,
        _ => {
            contents.validation = ValidationMode::Strict;
            imported.remark(
                &store.place,
                not_known(store, "validationSettings", "the validation mode") + "; STRICT is assumed",
            );
        }
    }
    set_schema(store, "schema.cedarJson", imported);
}

/// CloudFormation has a list of keys with values, Terraform a map.
fn tags(tags: Option<&Value>) -> BTreeMap<String, String> {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    match tags {
        Some(Value::Array(tags)) => {
            let tag = |tag: &Value| Some((text(tag.get("key"))?, text(tag.get("value"))?));
            tags.iter().filter_map(tag).collect()
        }
        Some(Value::Object(tags)) => {
            tags.iter().filter_map(|(key, value)| Some((key.clone(), text(Some(value))?))).collect()
        }
        _ => BTreeMap::new(),
    }
}

fn set_schema(resource: &Resource, path: &str, imported: &mut Imported) {
    let schema = match resource.at(path) {
        Some(Value::String(text)) => Some(text.clone()),
        // People write it as YAML too, though CloudFormation takes a string only.
        Some(value @ Value::Object(_)) => Some(format!("{value:#}\n")),
        _ => None,
    };
    match schema {
        Some(schema) => imported.contents.schema = Some(schema),
        None => {
            let parent = path.split_once('.').map_or(path, |(parent, _)| parent);
            if resource.unknown_at(parent).is_some() {
                imported.left_out(&resource.place, not_known(resource, parent, "the schema"));
            }
        }
    }
}

/// Reads the templates. Returns the ids that they get, by their addresses and by their ids in AVP.
fn read_templates(own: &[&Resource], imported: &mut Imported) -> BTreeMap<String, String> {
    let (mut ids, mut taken) = (BTreeMap::new(), BTreeSet::new());
    for template in own.iter().filter(|resource| resource.kind == Kind::PolicyTemplate) {
        let known = template.text("statement").filter(|_| template.unknown_at("statement").is_none());
        let Some(statement) = known else {
            imported.left_out(&template.place, not_known(template, "statement", "the text of the template"));
            continue;
        };
        let name = template.text("name");
        let id = id_of(template.noted_id.as_deref(), Some(statement), name, &template.name);
        let id = free(id, &mut taken, template, imported);
        ids.insert(template.address.clone(), id.clone());
        if let Some(known) = template.text("policyTemplateId") {
            ids.insert(known.to_owned(), id.clone());
        }
        if let Some(name) = name {
            ids.insert(name.to_owned(), id.clone());
        }
        imported.contents.templates.push(PolicyTemplate {
            name: other_name(name, &id),
            description: template.text("description").map(str::to_owned),
            statement: statement.to_owned(),
            id,
        });
    }
    imported.contents.templates.sort_by(|left, right| left.id.cmp(&right.id));
    ids
}

fn read_policies(own: &[&Resource], templates: &BTreeMap<String, String>, imported: &mut Imported) {
    let mut taken: BTreeSet<String> =
        imported.contents.templates.iter().map(|template| template.id.clone()).collect();
    for policy in own.iter().filter(|resource| resource.kind == Kind::Policy) {
        let name = policy.text("name");
        if policy.at("definition.templateLinked").is_some() {
            let reference = policy.text("definition.templateLinked.policyTemplateId");
            let template_id = reference.and_then(|reference| {
                let address = referred(reference).unwrap_or(reference);
                let owner = address.rsplit_once('.').map_or(address, |(owner, _)| owner);
                templates.get(address).or_else(|| templates.get(owner))
            });
            let Some(template_id) = template_id.cloned() else {
                imported.left_out(
                    &policy.place,
                    "a template-linked policy whose template is not in this file: left out",
                );
                continue;
            };
            let parts = ["principal", "resource"].map(|part| format!("definition.templateLinked.{part}"));
            if let Some(why) = parts.iter().find_map(|part| policy.unknown_at(part)) {
                imported.left_out(&policy.place, format!("a template-linked policy is left out: {why}"));
                continue;
            }
            let id = id_of(policy.noted_id.as_deref(), None, name, &policy.name);
            let id = free(id, &mut taken, policy, imported);
            let name = other_name(name, &id);
            let principal = policy.entity("definition.templateLinked.principal");
            let resource = policy.entity("definition.templateLinked.resource");
            imported.contents.links.push(TemplateLinkedPolicy { id, name, template_id, principal, resource });
            continue;
        }
        let known = policy.text("definition.static.statement");
        let Some(statement) = known.filter(|_| policy.unknown_at("definition.static.statement").is_none())
        else {
            imported.left_out(&policy.place, not_known(policy, "definition", "the text of the policy"));
            continue;
        };
        let id = id_of(policy.noted_id.as_deref(), Some(statement), name, &policy.name);
        let id = free(id, &mut taken, policy, imported);
        imported.contents.policies.push(StaticPolicy {
            name: other_name(name, &id),
            description: policy.text("definition.static.description").map(str::to_owned),
            statement: statement.to_owned(),
            id,
        });
    }
    let StoreContents { policies, links, .. } = &mut imported.contents;
    policies.sort_by(|left, right| left.id.cmp(&right.id));
    links.sort_by(|left, right| left.id.cmp(&right.id));
}

/// The id, or with a number behind it if it is taken.
fn free(id: String, taken: &mut BTreeSet<String>, resource: &Resource, imported: &mut Imported) -> String {
    if taken.insert(id.clone()) {
        return id;
    }
    let mut numbers = 2_usize..;
    let free = numbers.find_map(|number| Some(format!("{id}-{number}")).filter(|id| !taken.contains(id)));
    let free = free.unwrap_or_else(|| id.clone());
    imported.remark(
        &resource.place,
        format!("the id `{}` is taken by another policy, so this one is `{}`", comment(&id), comment(&free)),
    );
    taken.insert(free.clone());
    free
}

/// A name, unless it only repeats the id.
pub fn other_name(name: Option<&str>, id: &str) -> Option<String> {
    name.filter(|name| name.strip_prefix("name/").unwrap_or(name) != id).map(str::to_owned)
}

fn not_known(resource: &Resource, path: &str, what: &str) -> String {
    match resource.unknown_at(path) {
        Some(why) => format!("{what} is not known: {why}"),
        None => format!("{what} is missing"),
    }
}
