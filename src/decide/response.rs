//! The response: what API Gateway reads.
//!
//! The writer is our own. The types of the crate `aws_lambda_events` let an effect be left out, in which
//! case it reads as Allow, and write `null` where API Gateway expects a value or nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use cedar_policy::EntityUid;
use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use crate::decide::authorize::{Breadth, Outcome};
use crate::gateway::call::{Api, Call};
use crate::grant::{self, Grant};
use crate::reason::{Reason, Status};

/// What the function answers, as JSON in the shape that API Gateway expects: an IAM policy, which every kind
/// of API takes, or a boolean for HTTP APIs with payload format 2.0 and simple responses enabled.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Response {
    #[serde(serialize_with = "as_it_is")]
    text: Arc<RawValue>,
    #[serde(skip)]
    is_shortened: bool,
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

#[derive(Serialize)]
#[serde(untagged)]
enum Form<'a> {
    #[serde(rename_all = "camelCase")]
    Policy {
        principal_id: &'a str,
        policy_document: PolicyDocument<'a>,
        context: &'a BTreeMap<&'a str, Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        usage_identifier_key: Option<&'a str>,
    },
    #[serde(rename_all = "camelCase")]
    Simple { is_authorized: bool, context: &'a BTreeMap<&'a str, Value> },
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PolicyDocument<'a> {
    version: &'static str,
    statement: &'a Grant,
}

impl Response {
    /// Writes an outcome. `revision` is that of the bundle.
    ///
    /// `context` has flat values alone: `decision`, `reason`, `policies` (ids, separated by
    /// commas), `action`, `principal`, `revision`, and the claims that the policy store names. The first
    /// four speak of one call, so they are left out where the grant speaks of the whole API.
    ///
    /// It is never larger than API Gateway takes. If need be, what is only for information is left out: `policies`,
    /// then `action`. The principal and the claims are never cut or left out: a backend could take one user for
    /// another, or a limit for none. Where they are too large, the response [denies](Self::is_shortened).
    pub fn new(outcome: &Outcome, revision: u64, simple_responses: SimpleResponses) -> Self {
        let principal = &outcome.texts().principal;
        let mut context = context(outcome, revision);
        let mut for_information = [POLICIES, ACTION].into_iter();
        loop {
            let text = write(outcome, principal, &context, simple_responses);
            if text.get().len() <= MAX_BYTES {
                return Self::of(text);
            }
            let Some(name) = for_information.next() else {
                let (reason, grant) = (outcome.reason_if_shortened(), Grant::deny_all());
                let text = write_denial(outcome.api, reason, &grant, simple_responses);
                return Self { is_shortened: true, ..Self::of(text) };
            };
            context.remove(name);
        }
    }

    /// Whether principal and claims were too large for it, so that it denies, with a reason and nothing else.
    pub fn is_shortened(&self) -> bool {
        self.is_shortened
    }

    fn of(text: Box<RawValue>) -> Self {
        Self { text: text.into(), is_shortened: false }
    }

    /// Denies a call of which no token was verified and on which no policy decided.
    ///
    /// All of the API is denied explicitly: what is only not allowed, a resource policy of the API could
    /// allow, out of the cache too.
    pub fn denied(call: &Call, reason: Reason, simple_responses: SimpleResponses) -> Self {
        Self::of(write_denial(call.api(), reason, &Grant::deny_api(call.method_arn()), simple_responses))
    }
}

/// How many bytes of a response are left for a grant of several routes, beside what must be in it.
pub(crate) fn room_for_grant(
    principal: &EntityUid,
    claims: &BTreeMap<String, Value>,
    usage_identifier_key: Option<&str>,
) -> usize {
    let size = |text: &str| serde_json::to_vec(text).map_or(MAX_BYTES, |json| json.len());
    let claim = |(name, value): (&String, &Value)| {
        size(name) + serde_json::to_vec(value).map_or(MAX_BYTES, |json| json.len()) + ":,".len()
    };
    let rest = 2 * size(&principal.to_string())
        + claims.iter().map(claim).sum::<usize>()
        + usage_identifier_key.map_or(0, size);
    MAX_BYTES.saturating_sub(FRAME_BYTES).saturating_sub(rest).min(grant::MAX_BYTES)
}

fn write_denial(api: Api, reason: Reason, grant: &Grant, simple_responses: SimpleResponses) -> Box<RawValue> {
    let context = [("decision", "deny".into()), ("reason", reason.code().into())].into();
    let form = match is_simple(api, simple_responses) {
        true => Form::Simple { is_authorized: false, context: &context },
        false => Form::Policy {
            principal_id: UNKNOWN,
            policy_document: PolicyDocument { version: VERSION, statement: grant },
            context: &context,
            usage_identifier_key: None,
        },
    };
    form.text()
}

fn write(
    outcome: &Outcome,
    principal: &str,
    context: &BTreeMap<&str, Value>,
    simple_responses: SimpleResponses,
) -> Box<RawValue> {
    if is_simple(outcome.api, simple_responses) {
        let is_authorized = outcome.decision.reason.status() == Status::Allow;
        return Form::Simple { is_authorized, context }.text();
    }
    let has_usage_plans = matches!(outcome.api, Api::RestRequest | Api::RestToken);
    let form = Form::Policy {
        principal_id: principal,
        policy_document: PolicyDocument { version: VERSION, statement: &outcome.grant },
        context,
        usage_identifier_key: outcome.usage_identifier_key.as_deref().filter(|_| has_usage_plans),
    };
    form.text()
}

fn is_simple(api: Api, simple_responses: SimpleResponses) -> bool {
    (api, simple_responses) == (Api::HttpV2, SimpleResponses::Enabled)
}

impl Form<'_> {
    fn text(&self) -> Box<RawValue> {
        // Every part of it has a form in JSON. Were it otherwise, API Gateway answers `null` with 500.
        to_raw_value(self).unwrap_or_else(|_| RawValue::NULL.to_owned())
    }
}

fn as_it_is<S: Serializer>(text: &Arc<RawValue>, serializer: S) -> Result<S::Ok, S::Error> {
    (**text).serialize(serializer)
}

fn context(outcome: &Outcome, revision: u64) -> BTreeMap<&str, Value> {
    let Outcome { decision, route, backend_claims, .. } = outcome;
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
        (POLICIES, of_call(outcome.texts().policies.clone().into())),
        (ACTION, action.map(Value::from).and_then(of_call)),
        ("principal", Some(outcome.texts().principal.clone().into())),
        ("revision", Some(revision.into())),
    ];
    let claims = backend_claims.iter().map(|(name, claim)| (name.as_str(), claim.clone()));
    claims.chain(own.into_iter().filter_map(|(name, value)| Some((name, value?)))).collect()
}

/// The names in `context` that a policy store may not use for claims.
pub const RESERVED_CONTEXT: [&str; 6] = [ACTION, "decision", POLICIES, "principal", "reason", "revision"];

const ACTION: &str = "action";
const POLICIES: &str = "policies";

/// The principal of a call that says nothing of one: API Gateway takes no empty one.
const UNKNOWN: &str = "unknown";

/// The version of IAM's policy language; anything older has no policy variables.
const VERSION: &str = "2012-10-17";

/// AWS service quotas, L-20859C74: the result of a Lambda authorizer.
pub const MAX_BYTES: usize = 8 * 1024;

/// What a response has around principal, grant and claims, 256 bytes, and room for one more statement, which denies
/// the method that was called.
const FRAME_BYTES: usize = 256 + 640;
