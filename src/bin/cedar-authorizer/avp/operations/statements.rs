//! Statements of requests: parsed, and validated against the schema.

use std::collections::BTreeMap;

use cedar_authorizer::store::statement::{self, InvalidStatement, Statement};
use cedar_policy::{Policy, PolicySet, Template, ValidationMode as Mode, Validator};

use crate::avp::contents::EntityIdentifier;
use crate::avp::contents::ValidationMode;
use crate::avp::error::{Field, ServiceError};
use crate::avp::service::Service;
use crate::avp::store::index::{Definition, Index, StoredTemplate, values};
use crate::avp::store::scope::{Scope, is_constrained};

/// Reads the one static policy of a statement. `path` is the member of the request.
///
/// # Errors
/// It is anything else.
pub fn static_policy(path: &str, text: &str) -> Result<Policy, ServiceError> {
    match one(path, text)? {
        Statement::Static(policy) => Ok(policy),
        Statement::Template(_) => {
            Err(ServiceError::invalid(path, "it is a policy template: it has `?principal` or `?resource`"))
        }
    }
}

/// Reads the one template of a statement.
///
/// # Errors
/// It is anything else, or a template that AVP does not take.
pub fn template(path: &str, text: &str) -> Result<Template, ServiceError> {
    match one(path, text)? {
        Statement::Template(template) if is_constrained(&template) => Ok(template),
        Statement::Template(_) => Err(ServiceError::invalid(
            path,
            "the scope of a template must constrain both principal and resource",
        )),
        Statement::Static(_) => Err(ServiceError::invalid(
            path,
            "it has neither `?principal` nor `?resource`, so it is no template",
        )),
    }
}

fn one(path: &str, text: &str) -> Result<Statement, ServiceError> {
    let mut read = statement::read(text).map_err(|mistakes| invalid(path, &mistakes))?;
    match (read.pop(), read.is_empty()) {
        (Some((_, statement)), true) => Ok(statement),
        (None, _) => Err(ServiceError::invalid(path, "it has no policy")),
        (Some(_), false) => Err(ServiceError::invalid(path, "it has more than one policy")),
    }
}

/// All mistakes of one member.
fn invalid(path: &str, mistakes: &[InvalidStatement]) -> ServiceError {
    let field = |mistake: &InvalidStatement| Field { path: path.to_owned(), message: mistake.to_string() };
    let fields: Vec<Field> = mistakes.iter().map(field).collect();
    let first = fields.first().map(|field| field.message.clone()).unwrap_or_default();
    ServiceError::Validation { message: format!("{path}: {first}"), fields }
}

/// Validates one policy, template or link in a set of its own, if the store is strict.
///
/// # Errors
/// It does not fit the schema, or there is none: `STRICT` then lets no policy pass (API reference,
/// `ValidationSettings`).
pub fn validate(index: &Index, path: &str, text: &str, set: &PolicySet) -> Result<(), ServiceError> {
    if index.validation == ValidationMode::Off {
        return Ok(());
    }
    let Some(schema) = &index.schema else {
        return Err(ServiceError::invalid(path, "the policy store is STRICT and has no schema"));
    };
    let result = schema.validator.validate(set, Mode::Strict);
    let mistakes: Vec<InvalidStatement> = result
        .validation_errors()
        .map(|error| InvalidStatement::from_diagnostic(error, text, begin(text)))
        .collect();
    if mistakes.is_empty() { Ok(()) } else { Err(invalid(path, &mistakes)) }
}

/// Where the statement of a text begins. Cedar counts from there.
fn begin(text: &str) -> usize {
    let read = cedar_authorizer::bundle::nesting::policies(text).unwrap_or_default();
    read.first().copied().unwrap_or_default()
}

/// Checks that all policies of a store fit a schema.
///
/// # Errors
/// Some do not. They are named.
pub fn validate_all(index: &Index, path: &str, validator: &Validator) -> Result<(), ServiceError> {
    let set = index.policy_set().map_err(ServiceError::internal)?;
    let result = validator.validate(&set, Mode::Strict);
    let mut by_policy: BTreeMap<String, String> = BTreeMap::new();
    for error in result.validation_errors() {
        let message = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        by_policy.entry(error.policy_id().to_string()).or_insert(message);
    }
    if by_policy.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = by_policy.keys().take(MOST_NAMED).map(String::as_str).collect();
    let others = match by_policy.len().saturating_sub(MOST_NAMED) {
        0 => String::new(),
        others => format!(" and {others} more"),
    };
    let message = format!("{path}: these policies would not fit the schema: {}{others}", names.join(", "));
    let field = |(id, message): (&String, &String)| Field {
        path: path.to_owned(),
        message: format!("policy `{id}`: {message}"),
    };
    let fields = by_policy.iter().take(MOST_NAMED).map(field).collect();
    Err(ServiceError::Validation { message, fields })
}

/// The bytes of all policies with the same resource in their scope. A template counts once, and each of its links with
/// its values (User Guide, "Quotas for resources", note 2).
pub fn bytes_for_resource(index: &Index, resource: Option<&EntityIdentifier>, except: Option<&str>) -> usize {
    let mut templates: BTreeMap<&str, usize> = BTreeMap::new();
    let mut total = 0;
    let same = index.policies.values().filter(|policy| policy.scope.resource.as_ref() == resource);
    for policy in same.filter(|policy| Some(policy.id.as_str()) != except) {
        match &policy.definition {
            Definition::Static { statement, .. } => total += statement.trim().len(),
            Definition::Linked { template_id, principal, resource, .. } => {
                total += values_len(principal.as_ref()) + values_len(resource.as_ref());
                let template = index.templates.get(template_id);
                let size = template.map_or(0, |template| template.statement.trim().len());
                templates.insert(template_id, size);
            }
        }
    }
    total + templates.values().sum::<usize>()
}

/// The bytes that a link adds.
pub fn link_bytes(
    index: &Index,
    template: &StoredTemplate,
    principal: Option<&EntityIdentifier>,
    resource: Option<&EntityIdentifier>,
    scope: &Scope,
) -> usize {
    let mut links = index.links_of(&template.id);
    let is_counted = links.any(|link| link.scope.resource == scope.resource);
    let text = if is_counted { 0 } else { template.statement.trim().len() };
    text + values_len(principal) + values_len(resource)
}

fn values_len(entity: Option<&EntityIdentifier>) -> usize {
    let uids = values(entity, None).unwrap_or_default();
    uids.values().map(|uid| uid.to_string().len()).sum()
}

/// Checks the size of a statement.
///
/// # Errors
/// It is more than AVP takes, and quotas apply.
pub fn check_size(
    service: &Service,
    statement: &str,
    resource: crate::avp::error::ResourceName,
) -> Result<(), ServiceError> {
    super::requests::check_quota(
        service,
        statement.len(),
        MAX_POLICY_BYTES,
        "the bytes of the statement",
        resource,
    )
}

/// "Policy size" (User Guide, "Quotas for resources").
const MAX_POLICY_BYTES: usize = 10_000;

/// More names would not be read.
const MOST_NAMED: usize = 20;
