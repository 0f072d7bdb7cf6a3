//! Decisions on requests, by Cedar's rules.

use cedar_authorizer::bundle::StoreFiles;
use cedar_authorizer::cedar::{Context, Entity, EntityUid, PolicySet};
use cedar_authorizer::decide::{Ancestors, AuthorizationRequest, CedarDecision, CedarGate};
use cedar_authorizer::reason::Reason;
use cedar_authorizer::store::{Store, build};
use serde::Serialize;
use serde_json::Value;

use super::Limits;
use super::error::ServiceError;
use super::keys::TokenReader;

/// What decides on the requests to one policy store.
#[derive(Debug)]
pub struct Decider {
    gate: CedarGate,
    /// What reads tokens. `None`: the store has no identity source.
    pub tokens: Option<TokenReader>,
}

impl Decider {
    /// Prepares a store for requests, with these policies instead of those in the files.
    ///
    /// # Errors
    /// An `InternalServerException`.
    pub fn new(files: &StoreFiles, policies: &PolicySet) -> Result<Self, ServiceError> {
        let store = Store::open_with_policies(files, policies.clone()).map_err(|findings| {
            let problems: Vec<String> = findings.iter().map(ToString::to_string).collect();
            ServiceError::internal(format_args!("the policy store cannot be used: {}", problems.join("; ")))
        })?;
        let gate = build::cedar_gate(&store).map_err(ServiceError::internal)?;
        Ok(Self { gate, tokens: TokenReader::new(store, files) })
    }

    /// Decides on one request.
    ///
    /// # Errors
    /// A `ValidationException`, if the entities do not form a hierarchy or exceed a quota.
    pub fn decide(
        &self,
        principal: &EntityUid,
        request: &AuthorizationRequest,
        limits: Limits,
    ) -> Result<Verdict, ServiceError> {
        let decided = self.gate.is_authorized(principal, request).map_err(|reason| match reason {
            Reason::RequestInvalid => ServiceError::invalid("entities", "an entity is its own ancestor"),
            reason => ServiceError::internal(reason),
        })?;
        if limits == Limits::On {
            check_ancestors(decided.ancestors)?;
        }
        Ok(Verdict::from(decided))
    }
}

/// What is asked, apart from who asks.
pub fn request(
    action: EntityUid,
    resource: EntityUid,
    context: Context,
    entities: Vec<Entity>,
) -> AuthorizationRequest {
    AuthorizationRequest::new(action, resource).with_context(context).with_entities(entities)
}

/// A decision as clients get it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    decision: &'static str,
    determining_policies: Vec<DeterminingPolicy>,
    errors: Vec<EvaluationError>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct DeterminingPolicy {
    policy_id: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct EvaluationError {
    error_description: String,
}

impl From<CedarDecision> for Verdict {
    fn from(CedarDecision { decision, messages, ancestors: _ }: CedarDecision) -> Self {
        let policies = decision.policies.iter();
        let errors = messages.into_iter();
        Self {
            decision: if decision.is_allowed() { "ALLOW" } else { "DENY" },
            determining_policies: policies
                .map(|id| DeterminingPolicy { policy_id: id.to_string() })
                .collect(),
            errors: errors.map(|error_description| EvaluationError { error_description }).collect(),
        }
    }
}

/// User Guide, "Quotas for hierarchies"; the API reference (`EntityItem`) counts the entity itself among the hundred.
fn check_ancestors(Ancestors { principal, action, resource }: Ancestors) -> Result<(), ServiceError> {
    for (member, ancestors) in [("principal", principal), ("action", action), ("resource", resource)] {
        if ancestors >= MAX_LINE {
            let most = MAX_LINE - 1;
            let message = format!("has {ancestors} transitive parents; at most {most} are allowed");
            return Err(ServiceError::invalid(member, message));
        }
    }
    Ok(())
}

/// Checks the size of a request for authorization (User Guide, "Quotas for resources").
///
/// # Errors
/// A `ValidationException`.
pub fn check_size(input: &Value, limits: Limits) -> Result<(), ServiceError> {
    if limits == Limits::On && Bytes::of(input) > MAX_REQUEST_BYTES {
        let message = format!("the request is larger than {MAX_REQUEST_BYTES} bytes");
        return Err(ServiceError::Validation { message, fields: Vec::new() });
    }
    Ok(())
}

/// Counts what is written.
struct Bytes(usize);

impl Bytes {
    /// The size of a value as JSON without white space.
    fn of(value: &Value) -> usize {
        let mut bytes = Self(0);
        // Counting does not fail.
        let _ = serde_json::to_writer(&mut bytes, value);
        bytes.0
    }
}

impl std::io::Write for Bytes {
    fn write(&mut self, piece: &[u8]) -> std::io::Result<usize> {
        self.0 += piece.len();
        Ok(piece.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

const MAX_LINE: usize = 100;
const MAX_REQUEST_BYTES: usize = 1_000_000;

#[cfg(test)]
mod tests;
