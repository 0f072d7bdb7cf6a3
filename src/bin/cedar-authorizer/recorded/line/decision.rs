//! Lines of the decision log, in both formats.

use cedar_authorizer::reason::{Reason, ReasonClass, Status};
use cedar_authorizer::time::iso_8601;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Line, Record};
use crate::recorded::left_out::Why;

/// A line of the format `json`.
#[derive(Deserialize)]
struct Decision<'a> {
    version: Value,
    timestamp: Option<String>,
    decision: String,
    reason: String,
    route: Option<String>,
    action: Option<String>,
    principal: Option<Principal>,
    #[serde(default)]
    policies: Vec<String>,
    bundle: Option<Bundle>,
    #[serde(borrow, default)]
    request: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Principal {
    id: Option<String>,
}

#[derive(Deserialize)]
struct Bundle {
    name: Option<String>,
    revision: Option<u64>,
}

/// Reads a line of the format `json`.
pub fn of_json(json: &str) -> Line<'_> {
    let Ok(line) = serde_json::from_str::<Decision<'_>>(json) else {
        return Line::LeftOut(Why::Malformed);
    };
    if line.version != VERSION {
        return Line::LeftOut(Why::LineVersion(line.version.to_string()));
    }
    let bundle = line.bundle.unwrap_or(Bundle { name: None, revision: None });
    of_parts(Parts {
        timestamp: line.timestamp,
        decision: &line.decision,
        reason: &line.reason,
        principal_id: line.principal.and_then(|principal| principal.id),
        policies: line.policies,
        route: line.route,
        action: line.action,
        bundle_name: bundle.name,
        bundle_revision: bundle.revision,
        request: line.request,
    })
}

/// A line of the format `ocsf`.
#[derive(Deserialize)]
struct Ocsf<'a> {
    time: Option<u64>,
    status_code: String,
    actor: Option<Actor>,
    api: Option<Api>,
    #[serde(default)]
    authorizations: Vec<Authorization>,
    policy: Option<Policy>,
    #[serde(borrow)]
    unmapped: Unmapped<'a>,
}

#[derive(Deserialize)]
struct Actor {
    user: Option<Uid>,
}

#[derive(Deserialize)]
struct Uid {
    uid: String,
}

#[derive(Deserialize)]
struct Api {
    operation: Option<String>,
}

#[derive(Deserialize)]
struct Authorization {
    policy: Option<Uid>,
}

#[derive(Deserialize)]
struct Policy {
    name: Option<String>,
    version: Option<String>,
}

#[derive(Deserialize)]
struct Unmapped<'a> {
    decision: String,
    route: Option<String>,
    #[serde(borrow, default)]
    request: Option<&'a RawValue>,
}

/// Reads a line of the format `ocsf`.
pub fn of_ocsf(json: &str) -> Line<'_> {
    let Ok(line) = serde_json::from_str::<Ocsf<'_>>(json) else {
        return Line::LeftOut(Why::Malformed);
    };
    let policies = line.authorizations.into_iter().filter_map(|authorization| authorization.policy);
    let policy = line.policy.unwrap_or(Policy { name: None, version: None });
    of_parts(Parts {
        timestamp: line.time.and_then(iso_8601),
        decision: &line.unmapped.decision,
        reason: &line.status_code,
        principal_id: line.actor.and_then(|actor| actor.user).map(|user| user.uid),
        policies: policies.map(|policy| policy.uid).collect(),
        route: line.unmapped.route,
        action: line.api.and_then(|api| api.operation),
        bundle_name: policy.name,
        bundle_revision: policy.version.and_then(|version| version.parse().ok()),
        request: line.unmapped.request,
    })
}

/// What both formats have.
struct Parts<'a, 'b> {
    timestamp: Option<String>,
    decision: &'b str,
    reason: &'b str,
    principal_id: Option<String>,
    policies: Vec<String>,
    route: Option<String>,
    action: Option<String>,
    bundle_name: Option<String>,
    bundle_revision: Option<u64>,
    request: Option<&'a RawValue>,
}

fn of_parts<'a>(parts: Parts<'a, '_>) -> Line<'a> {
    let Some(reason) = reason(parts.reason) else {
        return Line::LeftOut(Why::UnknownReason);
    };
    if reason.status().name() != parts.decision {
        return Line::LeftOut(Why::Malformed);
    }
    let Some(request) = parts.request else {
        return Line::LeftOut(without_request(reason, parts.principal_id.as_deref()));
    };
    if reason.class() != ReasonClass::Policy {
        return Line::LeftOut(Why::Malformed);
    }
    Line::Decision(Box::new(Record {
        timestamp: parts.timestamp,
        reason,
        policies: parts.policies,
        route: parts.route,
        action: parts.action,
        bundle_name: parts.bundle_name,
        bundle_revision: parts.bundle_revision,
        request: request.get(),
    }))
}

/// The reason with this code.
pub fn reason(code: &str) -> Option<Reason> {
    Reason::ALL.iter().copied().find(|reason| reason.code() == code)
}

/// Why a line without a request has none.
fn without_request(reason: Reason, principal_id: Option<&str>) -> Why {
    match (reason.status(), reason.class(), principal_id) {
        (Status::Unauthorized, _, _) => Why::Refused,
        (Status::Fault, _, _) => Why::Fault(reason),
        (_, ReasonClass::Policy, Some(id)) if !id.starts_with(HASHED) => Why::NotRecorded,
        (_, ReasonClass::Policy, _) => Why::Hidden,
        _ => Why::NoPolicy(reason),
    }
}

/// The version of the lines that are read; docs/decision-log.md.
const VERSION: u64 = 1;

/// How the id of a caller begins with `PRINCIPAL_IDS=hashed`.
const HASHED: &str = "hmac-sha256:";
