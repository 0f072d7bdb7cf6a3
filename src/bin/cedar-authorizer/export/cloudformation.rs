//! `export cloudformation`: a template with the whole store.

use std::collections::BTreeMap;

use super::names::{avp_name, logical_id, names};
use super::tree::Tree;
use crate::avp::contents::{EntityIdentifier, StoreContents, ValidationMode};
use crate::import::NOTE;
use crate::import::resource::id_of;
use crate::init::text::comment;

/// The template.
pub fn template(contents: &StoreContents) -> Tree {
    let StoreContents { policies, templates, links, identity_sources, aliases, .. } = contents;
    let template_names =
        names(templates.iter().map(|template| template.id.as_str()), |id| logical_id("Template", id));
    let policy_names = names(policies.iter().map(|policy| policy.id.as_str()), |id| logical_id("Policy", id));
    let link_names = names(links.iter().map(|link| link.id.as_str()), |id| logical_id("Link", id));
    let source_names = names(identity_sources.iter().map(|source| source.id.as_str()), |id| {
        logical_id("IdentitySource", id)
    });
    let alias_names = names(aliases.iter().map(String::as_str), |name| {
        logical_id("Alias", name.strip_prefix("policy-store-alias/").unwrap_or(name))
    });

    let mut resources = vec![(STORE.to_owned(), store(contents))];
    for template in templates {
        let name = template.name.clone().or_else(|| avp_name(&template.id));
        let properties = Tree::map([
            ("PolicyStoreId", Some(store_id())),
            ("Name", name.as_deref().map(Tree::text)),
            ("Description", template.description.as_deref().map(Tree::text)),
            ("Statement", Some(Tree::text(&template.statement))),
        ]);
        let logical = logical(&template_names, &template.id);
        let note = note(&template.id, Some(&template.statement), name.as_deref(), &logical);
        resources.push((logical, resource("PolicyTemplate", note, properties)));
    }
    for policy in policies {
        let name = policy.name.clone().or_else(|| avp_name(&policy.id));
        let definition = Tree::map([
            ("Description", policy.description.as_deref().map(Tree::text)),
            ("Statement", Some(Tree::text(&policy.statement))),
        ]);
        let properties = Tree::map([
            ("PolicyStoreId", Some(store_id())),
            ("Name", name.as_deref().map(Tree::text)),
            ("Definition", Some(Tree::map([("Static", Some(definition))]))),
        ]);
        let logical = logical(&policy_names, &policy.id);
        let note = note(&policy.id, Some(&policy.statement), name.as_deref(), &logical);
        resources.push((logical, resource("Policy", note, properties)));
    }
    for link in links {
        let name = link.name.clone().or_else(|| avp_name(&link.id));
        let template = logical(&template_names, &link.template_id);
        let definition = Tree::map([
            ("PolicyTemplateId", Some(Tree::GetAtt(template, "PolicyTemplateId"))),
            ("Principal", link.principal.as_ref().map(entity)),
            ("Resource", link.resource.as_ref().map(entity)),
        ]);
        let properties = Tree::map([
            ("PolicyStoreId", Some(store_id())),
            ("Name", name.as_deref().map(Tree::text)),
            ("Definition", Some(Tree::map([("TemplateLinked", Some(definition))]))),
        ]);
        let logical = logical(&link_names, &link.id);
        let note = note(&link.id, None, name.as_deref(), &logical);
        resources.push((logical, resource("Policy", note, properties)));
    }
    for source in identity_sources {
        let properties = Tree::map([
            ("PolicyStoreId", Some(store_id())),
            ("PrincipalEntityType", source.principal_entity_type.as_deref().map(Tree::text)),
            ("Configuration", Some(Tree::of_api(&source.configuration))),
        ]);
        let logical = logical(&source_names, &source.id);
        let note = note(&source.id, None, None, &logical);
        resources.push((logical, resource("IdentitySource", note, properties)));
    }
    for alias in aliases {
        let properties =
            Tree::map([("AliasName", Some(Tree::text(alias))), ("PolicyStoreId", Some(store_id()))]);
        resources.push((logical(&alias_names, alias), resource("PolicyStoreAlias", None, properties)));
    }
    let output = Tree::map([("Value", Some(store_id()))]);
    Tree::map([
        ("AWSTemplateFormatVersion", Some(Tree::text("2010-09-09"))),
        ("Resources", Some(Tree::Map(resources))),
        ("Outputs", Some(Tree::map([("PolicyStoreId", Some(output))]))),
    ])
}

fn store(contents: &StoreContents) -> Tree {
    let mode = |mode: &str| Tree::map([("Mode", Some(Tree::text(mode)))]);
    let validation = match contents.validation {
        ValidationMode::Off => "OFF",
        ValidationMode::Strict => "STRICT",
    };
    let tag = |(key, value): (&String, &String)| {
        Tree::map([("Key", Some(Tree::text(key))), ("Value", Some(Tree::text(value)))])
    };
    let tags = (!contents.tags.is_empty()).then(|| Tree::List(contents.tags.iter().map(tag).collect()));
    let schema =
        contents.schema.as_deref().map(|schema| Tree::map([("CedarJson", Some(Tree::text(schema)))]));
    let properties = Tree::map([
        ("Description", contents.description.as_deref().map(Tree::text)),
        ("ValidationSettings", Some(mode(validation))),
        ("DeletionProtection", contents.deletion_protection.then(|| mode("ENABLED"))),
        ("EncryptionSettings", contents.encryption.as_ref().map(encryption)),
        ("Tags", tags),
        ("Schema", schema),
    ]);
    resource("PolicyStore", None, properties)
}

/// The keys of an encryption context are not names of members.
fn encryption(settings: &serde_json::Value) -> Tree {
    let Some(kms) = settings.get("kmsEncryptionSettings") else { return Tree::of_api(settings) };
    let context =
        kms.get("encryptionContext").and_then(serde_json::Value::as_object).filter(|map| !map.is_empty());
    let context = context.map(|context| {
        let entry = |(key, value): (&String, &serde_json::Value)| {
            (key.clone(), Tree::text(value.as_str().unwrap_or_default()))
        };
        Tree::Map(context.iter().map(entry).collect())
    });
    let key = kms.get("key").and_then(serde_json::Value::as_str).map(Tree::text);
    let kms = Tree::map([("Key", key), ("EncryptionContext", context)]);
    Tree::map([("KmsEncryptionSettings", Some(kms))])
}

fn resource(kind: &str, note: Option<Tree>, properties: Tree) -> Tree {
    let kind = Tree::text(format!("AWS::VerifiedPermissions::{kind}"));
    Tree::map([("Type", Some(kind)), ("Metadata", note), ("Properties", Some(properties))])
}

/// The metadata with the id, if an import would not find it without.
fn note(id: &str, statement: Option<&str>, name: Option<&str>, logical: &str) -> Option<Tree> {
    let id = (id_of(None, statement, name, logical) != id).then(|| Tree::text(id))?;
    Some(Tree::map([(NOTE, Some(Tree::map([("Id", Some(id))])))]))
}

fn entity(entity: &EntityIdentifier) -> Tree {
    let (kind, id) = (Tree::text(&entity.entity_type), Tree::text(&entity.entity_id));
    Tree::map([("EntityType", Some(kind)), ("EntityId", Some(id))])
}

fn store_id() -> Tree {
    Tree::GetAtt(STORE.to_owned(), "PolicyStoreId")
}

fn logical(names: &BTreeMap<&str, String>, id: &str) -> String {
    names.get(id).cloned().unwrap_or_else(|| logical_id("Template", id))
}

/// What CloudFormation does not take of the template.
pub fn limits(contents: &StoreContents, template: &Tree, bytes: usize) -> Vec<String> {
    let mut notes = Vec::new();
    let Tree::Map(parts) = template else { return notes };
    let resources = parts.iter().find_map(|(key, part)| match part {
        Tree::Map(resources) if key == "Resources" => Some(resources.len()),
        _ => None,
    });
    let resources = resources.unwrap_or_default();
    if resources > MAX_RESOURCES {
        notes.push(format!(
            "{resources} resources, and a template has at most {MAX_RESOURCES}: use `export avp` or `export terraform`"
        ));
    }
    if bytes > MAX_BYTES {
        notes.push(format!("{bytes} bytes, and a template has at most {MAX_BYTES}, even in S3"));
    } else if bytes > MAX_DIRECT_BYTES {
        notes.push(format!(
            "{bytes} bytes: above {MAX_DIRECT_BYTES} a template must come from S3, as `aws cloudformation deploy \
             --s3-bucket` does"
        ));
    }
    notes.extend(long_texts(contents, MAX_STATEMENT));
    notes
}

/// Texts that are longer than AVP takes.
pub fn long_texts(contents: &StoreContents, max_statement: usize) -> Vec<String> {
    let statements = contents.policies.iter().map(|policy| (&policy.id, &policy.statement));
    let templates = contents.templates.iter().map(|template| (&template.id, &template.statement));
    let statements = statements.chain(templates).filter(|(_, text)| text.chars().count() > max_statement);
    let long = |(id, text): (&String, &String)| {
        format!(
            "`{}` has {} characters, and at most {max_statement} are taken",
            comment(id),
            text.chars().count()
        )
    };
    let policies = contents.policies.iter().map(|policy| (&policy.id, &policy.description));
    let templates = contents.templates.iter().map(|template| (&template.id, &template.description));
    let descriptions = policies.chain(templates).filter_map(|(id, text)| Some((id, text.as_ref()?)));
    let descriptions = descriptions.filter(|(_, text)| text.chars().count() > MAX_DESCRIPTION);
    let described = |(id, _): (&String, &String)| {
        format!("the description of `{}` has more than {MAX_DESCRIPTION} characters", comment(id))
    };
    statements.map(long).chain(descriptions.map(described)).collect()
}

const STORE: &str = "PolicyStore";

/// CloudFormation User Guide, "Understand CloudFormation quotas".
const MAX_RESOURCES: usize = 500;
const MAX_BYTES: usize = 1_000_000;
const MAX_DIRECT_BYTES: usize = 51_200;

/// CloudFormation Template Reference, "AWS::VerifiedPermissions::Policy StaticPolicyDefinition".
pub const MAX_STATEMENT: usize = 10_000;

/// The same.
const MAX_DESCRIPTION: usize = 150;
