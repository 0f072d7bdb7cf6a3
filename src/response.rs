//! The response: what API Gateway reads.
//!
//! The writer is our own. The types of `aws_lambda_events` let an effect be left out, in which
//! case it reads as Allow, and write `null` where API Gateway expects a value or nothing.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::authorize::{Breadth, Outcome};
use crate::call::{Api, Call};
use crate::decision::list;
use crate::grant::Grant;
use crate::reason::{Reason, Status};

/// What the function answers, in the shape that API Gateway expects.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Response {
    /// An IAM policy: every kind of API takes it.
    Policy(PolicyResponse),
    /// A boolean: HTTP APIs with payload format 2.0 and simple responses enabled.
    Simple(SimpleResponse),
}

/// Whether HTTP APIs with payload format 2.0 get simple responses. Their authorizer is set to the
/// one or the other, and its events do not say to which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SimpleResponses {
    /// They get IAM policies, like all others.
    Disabled,
    /// They do.
    Enabled,
}

/// An IAM policy in the shape that API Gateway takes from a Lambda authorizer.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyResponse {
    principal_id: String,
    policy_document: PolicyDocument,
    context: BTreeMap<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage_identifier_key: Option<String>,
}

/// A decision as a boolean.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SimpleResponse {
    is_authorized: bool,
    context: BTreeMap<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct PolicyDocument {
    version: &'static str,
    statement: Grant,
}

impl Response {
    /// Writes an outcome. `revision` is that of the bundle.
    ///
    /// `context` has flat values alone: `decision`, `reason`, `policies` (ids, separated by
    /// commas), `action`, `principal`, `revision`, and the claims that the policy store names. The first
    /// four speak of one call, so they are left out where the grant speaks of the whole API.
    /// What would make the response larger than API Gateway takes is left out: the claims first,
    /// then the policies.
    pub fn new(outcome: &Outcome, revision: u64, simple_responses: SimpleResponses) -> Self {
        let mut response = Self::with_context(outcome, revision, simple_responses);
        for name in outcome.backend_claims.keys().map(String::as_str).chain([POLICIES]) {
            if response.size() <= MAX_BYTES {
                break;
            }
            response.context_mut().remove(name);
        }
        response
    }

    /// Denies a call of which no token was verified and on which no policy decided.
    ///
    /// All of the API is denied explicitly: what is only not allowed, a resource policy of the API could
    /// allow, out of the cache too.
    pub fn denied(call: &Call, reason: Reason, simple_responses: SimpleResponses) -> Self {
        let own = [("decision", "deny"), ("reason", reason.code())];
        let context = own.map(|(name, value)| (name.to_owned(), value.into())).into();
        if (call.api(), simple_responses) == (Api::HttpV2, SimpleResponses::Enabled) {
            return Self::Simple(SimpleResponse { is_authorized: false, context });
        }
        let statement = Grant::deny_api(call.method_arn());
        Self::Policy(PolicyResponse {
            principal_id: UNKNOWN.to_owned(),
            policy_document: PolicyDocument { version: VERSION, statement },
            context,
            usage_identifier_key: None,
        })
    }

    fn with_context(outcome: &Outcome, revision: u64, simple_responses: SimpleResponses) -> Self {
        let context = context(outcome, revision);
        if (outcome.api, simple_responses) == (Api::HttpV2, SimpleResponses::Enabled) {
            let is_authorized = outcome.decision.reason.status() == Status::Allow;
            return Self::Simple(SimpleResponse { is_authorized, context });
        }
        let has_usage_plans = matches!(outcome.api, Api::RestRequest | Api::RestToken);
        Self::Policy(PolicyResponse {
            principal_id: outcome.principal.to_string(),
            policy_document: PolicyDocument { version: VERSION, statement: outcome.grant.clone() },
            context,
            usage_identifier_key: outcome.usage_identifier_key.clone().filter(|_| has_usage_plans),
        })
    }

    fn context_mut(&mut self) -> &mut BTreeMap<String, Value> {
        match self {
            Self::Policy(response) => &mut response.context,
            Self::Simple(response) => &mut response.context,
        }
    }

    fn size(&self) -> usize {
        serde_json::to_vec(self).map_or(usize::MAX, |json| json.len())
    }
}

fn context(outcome: &Outcome, revision: u64) -> BTreeMap<String, Value> {
    let Outcome { decision, principal, route, backend_claims, .. } = outcome;
    let effect = match decision.reason.status() {
        Status::Allow => "allow",
        Status::Deny | Status::Unauthorized | Status::Fault => "deny",
    };
    let action = route.as_ref().map(|route| route.action.id().unescaped().to_owned());
    // API Gateway hands the context to the backend with every request that it answers out of its cache.
    let of_call = |value: Value| (!matches!(outcome.breadth, Breadth::Api { .. })).then_some(value);
    let own = [
        ("decision", of_call(effect.into())),
        ("reason", of_call(decision.reason.code().into())),
        (POLICIES, of_call(list(&decision.policies).into())),
        ("action", action.map(Value::from).and_then(of_call)),
        ("principal", Some(principal.to_string().into())),
        ("revision", Some(revision.into())),
    ];
    let mut context = backend_claims.clone();
    context.extend(own.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    context
}

/// The names in `context` that a policy store may not use for claims.
pub const RESERVED_CONTEXT: [&str; 6] = ["action", "decision", POLICIES, "principal", "reason", "revision"];

const POLICIES: &str = "policies";

/// The principal of a call that says nothing of one: API Gateway takes no empty one.
const UNKNOWN: &str = "unknown";

/// The version of IAM's policy language; anything older has no policy variables.
const VERSION: &str = "2012-10-17";

/// AWS service quotas, L-20859C74: the result of a Lambda authorizer.
const MAX_BYTES: usize = 8 * 1024;
