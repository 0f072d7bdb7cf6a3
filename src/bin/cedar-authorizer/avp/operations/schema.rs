//! The schema of a store.

use serde::{Deserialize, Serialize};

use super::requests::check_quota;
use super::statements;
use crate::avp::contents::ValidationMode;
use crate::avp::error::{Field, ResourceKind, ServiceError};
use crate::avp::moment::Moment;
use crate::avp::service::Service;
use crate::avp::store::files::{Files, Step};
use crate::avp::store::index::Index;
use crate::avp::store::notes::{Note, SCHEMA_NOTE, written};
use crate::avp::store::schema::{CEDAR_FILE, CheckedSchema, JSON_FILE, checked};
use crate::avp::store::{Change, Update, settings};
use cedar_policy::Validator;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetSchema {
    policy_store_id: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GetSchemaAnswer {
    policy_store_id: String,
    schema: String,
    created_date: Moment,
    last_updated_date: Moment,
    namespaces: Vec<String>,
}

/// `GetSchema`.
pub fn get(service: &Service, input: GetSchema) -> Result<GetSchemaAnswer, ServiceError> {
    let store = service.store(&input.policy_store_id)?;
    store.read(|index| {
        let missing = || ServiceError::NotFound(ResourceKind::Schema.named(&store.id));
        let schema = index.schema.as_ref().ok_or_else(missing)?;
        Ok(GetSchemaAnswer {
            policy_store_id: store.id.clone(),
            schema: schema.json.clone(),
            created_date: schema.created,
            last_updated_date: schema.updated,
            namespaces: schema.namespaces.clone(),
        })
    })
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PutSchema {
    policy_store_id: String,
    definition: SchemaDefinition,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SchemaDefinition {
    cedar_json: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PutSchemaAnswer {
    policy_store_id: String,
    namespaces: Vec<String>,
    created_date: Moment,
    last_updated_date: Moment,
}

/// `PutSchema`. In a strict store, all policies must fit the new schema. AVP does not ask for that; here the store
/// would be one that no tool accepts.
pub fn put(service: &Service, input: PutSchema) -> Result<PutSchemaAnswer, ServiceError> {
    let store = service.store(&input.policy_store_id)?;
    let text = input.definition.cedar_json;
    let resource = ResourceKind::Schema.named(&store.id);
    check_quota(service, text.len(), MAX_SCHEMA_BYTES, "the bytes of the schema", resource)?;
    let schema = checked(JSON_FILE, text.as_bytes()).map_err(|mistakes| invalid(&mistakes))?;
    check_namespaces(&schema.namespaces)?;
    let now = Moment::now();
    store.change(|index, files| {
        if index.validation == ValidationMode::Strict {
            statements::validate_all(index, PATH, &Validator::new(schema.schema.clone()))?;
        }
        let created = index.schema.as_ref().map_or(now, |schema| schema.created);
        let note = Note { created_date: Some(created), last_updated_date: Some(now), ..Note::default() };
        let mut steps: Vec<Step> = vec![(SCHEMA_NOTE.to_owned(), Some(written(&note)))];
        if let Some(settings) = followed(&store.id, index, files, index.validation, Some(&schema)) {
            steps.push(("store.toml".to_owned(), Some(settings.into_bytes())));
        }
        steps.push((JSON_FILE.to_owned(), Some(text.into_bytes())));
        if files.contains_key(CEDAR_FILE) {
            steps.push((CEDAR_FILE.to_owned(), None));
        }
        let answer = PutSchemaAnswer {
            policy_store_id: store.id.clone(),
            namespaces: schema.namespaces,
            created_date: created,
            last_updated_date: now,
        };
        Ok((Some(Change { steps, update: Update::Reread }), answer))
    })
}

/// What `store.toml` says with another validation or schema, if it is as this program made it.
pub fn followed(
    name: &str,
    index: &Index,
    files: &Files,
    validation: ValidationMode,
    new: Option<&CheckedSchema>,
) -> Option<String> {
    let known = super::policies::text_of(files, "store.toml")?;
    let old = index.schema.as_ref();
    let namespaces = old.map(|schema| schema.namespaces.as_slice()).unwrap_or_default();
    let old_schema = old.map(|schema| &schema.schema);
    let is_own = known == settings::made(name, index.validation, namespaces, old_schema);
    is_own.then(|| match new {
        Some(new) => settings::made(name, validation, &new.namespaces, Some(&new.schema)),
        None => settings::made(name, validation, namespaces, old_schema),
    })
}

fn invalid(mistakes: &[String]) -> ServiceError {
    let field = |mistake: &String| {
        let message = mistake.strip_prefix(JSON_FILE).unwrap_or(mistake);
        Field { path: PATH.to_owned(), message: message.trim_start_matches(':').trim_start().to_owned() }
    };
    let fields: Vec<Field> = mistakes.iter().map(field).collect();
    let first = fields.first().map(|field| field.message.clone()).unwrap_or_default();
    ServiceError::Validation { message: format!("{PATH}: {first}"), fields }
}

/// Refuses a schema without namespace, and the namespaces that AVP keeps to itself (User Guide, "Differences"). Several
/// are allowed since May 2026 (API reference, `CreatePolicyStore`).
fn check_namespaces(namespaces: &[String]) -> Result<(), ServiceError> {
    if namespaces.is_empty() || namespaces.iter().any(String::is_empty) {
        return Err(ServiceError::invalid(PATH, "the schema needs a namespace with a name"));
    }
    let is_reserved = |namespace: &&String| {
        namespace.split("::").any(|part| RESERVED.iter().any(|name| part.eq_ignore_ascii_case(name)))
    };
    match namespaces.iter().find(is_reserved) {
        None => Ok(()),
        Some(namespace) => {
            Err(ServiceError::invalid(PATH, format_args!("the namespace `{namespace}` is reserved")))
        }
    }
}

const PATH: &str = "definition.cedarJson";

const RESERVED: [&str; 3] = ["amazon", "aws", "cedar"];

/// "Schema size" (User Guide, "Quotas for resources"). "Length and size limits" says 100,000.
const MAX_SCHEMA_BYTES: usize = 200_000;
