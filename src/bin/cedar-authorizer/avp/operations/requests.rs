//! What requests have in common: tokens of clients, names in place of ids, quotas.

use serde::Serialize;
use serde_json::Value;

use crate::avp::Limits;
use crate::avp::error::{ResourceKind, ResourceName, ServiceError};
use crate::avp::moment::Moment;
use crate::avp::service::Service;
use crate::avp::store::index::Index;
use crate::avp::store::notes::{Kind, sha256};

/// An empty answer.
#[derive(Debug, Serialize)]
pub struct Empty {}

/// The hash of a request, by which a repetition is known. The token of the client is not part of it.
pub fn fingerprint(operation: &str, input: &impl Serialize) -> String {
    let mut input = serde_json::to_value(input).unwrap_or_default();
    if let Some(members) = input.as_object_mut() {
        members.remove("clientToken");
        members.retain(|_, value| !value.is_null());
    }
    sha256(&format!("{operation} {input}"))
}

/// What was made with a token of the client: `created` and `request` are those of its note.
///
/// # Errors
/// The token came with another request.
pub fn is_repeated(
    resource: ResourceName,
    created: Moment,
    request: Option<&str>,
    fingerprint: &str,
) -> Result<bool, ServiceError> {
    if Moment::now().since(created).as_secs() >= TOKEN_LIFE_SECONDS {
        return Ok(false);
    }
    if request == Some(fingerprint) {
        return Ok(true);
    }
    let message = "the client token was used with another request".to_owned();
    Err(ServiceError::Conflict { message, resources: vec![resource] })
}

/// Checks the name of a policy or template. An empty one is none.
///
/// # Errors
/// It is not the name of a resource.
pub fn checked_name(name: Option<&str>) -> Result<Option<&str>, ServiceError> {
    match name {
        None | Some("") => Ok(None),
        Some(name) if name.len() > NAME_PREFIX.len() && name.starts_with(NAME_PREFIX) => Ok(Some(name)),
        Some(_) => Err(ServiceError::invalid("name", format_args!("it does not begin with `{NAME_PREFIX}`"))),
    }
}

/// Checks that nothing else has a name.
///
/// # Errors
/// Something else has it.
pub fn check_free_name(
    index: &Index,
    kind: Kind,
    name: Option<&str>,
    except: Option<&str>,
) -> Result<(), ServiceError> {
    match name.and_then(|name| index.named(kind, name)).filter(|id| Some(*id) != except) {
        None => Ok(()),
        Some(id) => {
            let message = format!("the name `{}` is taken", name.unwrap_or_default());
            Err(ServiceError::Conflict { message, resources: vec![resource_kind(kind).named(id)] })
        }
    }
}

/// The id of a resource that is given by its id or name.
pub fn id_of<'a>(index: &'a Index, kind: Kind, id: &'a str) -> Option<&'a str> {
    if id.starts_with(NAME_PREFIX) { index.named(kind, id) } else { Some(id) }
}

/// How AVP calls a kind of resource.
pub fn resource_kind(kind: Kind) -> ResourceKind {
    match kind {
        Kind::IdentitySource => ResourceKind::IdentitySource,
        Kind::Link | Kind::Policy => ResourceKind::Policy,
        Kind::Template => ResourceKind::PolicyTemplate,
    }
}

/// Checks that something is not more than AVP takes.
///
/// # Errors
/// It is more, and quotas apply.
pub fn check_quota(
    service: &Service,
    count: usize,
    quota: usize,
    what: &str,
    resource: ResourceName,
) -> Result<(), ServiceError> {
    if service.limits() == Limits::Off || count <= quota {
        return Ok(());
    }
    let message = format!("{what}: {count}, and the quota is {quota}");
    Err(ServiceError::QuotaExceeded { message, resource })
}

/// A member that may be absent.
pub fn is_absent(value: &Value) -> bool {
    value.is_null()
}

/// What the names of policies and templates begin with.
const NAME_PREFIX: &str = "name/";

/// "Verified Permissions recognizes a `ClientToken` for eight hours" (API reference).
const TOKEN_LIFE_SECONDS: u64 = 8 * 60 * 60;
