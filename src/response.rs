//! The response: what API Gateway reads.
//!
//! The writer is our own. The types of `aws_lambda_events` let an effect be left out, in which
//! case it reads as Allow, and write `null` where API Gateway expects a value or nothing.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::authorize::Outcome;
use crate::grant::Grant;
use crate::reason::Status;

/// An IAM policy in the shape that API Gateway takes from a Lambda authorizer.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyResponse {
    principal_id: String,
    policy_document: PolicyDocument,
    context: BTreeMap<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct PolicyDocument {
    version: &'static str,
    statement: Grant,
}

impl PolicyResponse {
    /// Writes an outcome. `revision` is that of the bundle.
    ///
    /// `context` has flat values alone: `decision`, `reason`, `policies` (ids, separated by
    /// commas), `action`, `principal`, `revision`, and the claims that the policy store names.
    /// What would make the response larger than API Gateway takes is left out: the claims first,
    /// then the policies.
    pub fn new(outcome: &Outcome, revision: u64) -> Self {
        let mut response = Self::with_context(outcome, revision);
        for name in outcome.backend_claims.keys().map(String::as_str).chain([POLICIES]) {
            if response.size() <= MAX_BYTES {
                break;
            }
            response.context.remove(name);
        }
        response
    }

    fn with_context(outcome: &Outcome, revision: u64) -> Self {
        let Outcome { decision, principal, route, grant, backend_claims, .. } = outcome;
        let principal = principal.to_string();
        let policies: Vec<String> = decision.policies.iter().map(ToString::to_string).collect();
        let effect = match decision.reason.status() {
            Status::Allow => "allow",
            Status::Deny | Status::Unauthorized | Status::Fault => "deny",
        };
        let mut context = backend_claims.clone();
        let action = route.as_ref().map(|route| route.action.id().unescaped().to_owned());
        context.extend(
            [
                ("decision", Some(effect.into())),
                ("reason", Some(decision.reason.code().into())),
                (POLICIES, Some(policies.join(",").into())),
                ("action", action.map(Value::from)),
                ("principal", Some(principal.clone().into())),
                ("revision", Some(revision.into())),
            ]
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?))),
        );
        Self {
            principal_id: principal,
            policy_document: PolicyDocument { version: VERSION, statement: grant.clone() },
            context,
        }
    }

    fn size(&self) -> usize {
        serde_json::to_vec(self).map_or(usize::MAX, |json| json.len())
    }
}

/// The names in `context` that a policy store may not use for claims.
pub const RESERVED_CONTEXT: [&str; 6] = ["action", "decision", POLICIES, "principal", "reason", "revision"];

const POLICIES: &str = "policies";

/// The version of IAM's policy language; anything older has no policy variables.
const VERSION: &str = "2012-10-17";

/// AWS service quotas, L-20859C74: the result of a Lambda authorizer.
const MAX_BYTES: usize = 8 * 1024;
