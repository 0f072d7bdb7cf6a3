//! The answer: how API Gateway is told an outcome.

use std::collections::BTreeMap;

use cedar_policy::EntityUid;
use serde_json::Value;

use super::outcome::{Breadth, Outcome};
use crate::gateway::call::{Api, Call};
use crate::gateway::response::{
    Body, ContextValue, MAX_BYTES, PolicyDocument, Response, ResponseContext, SimpleResponses,
    UNKNOWN_PRINCIPAL,
};
use crate::grant::{self, Grant};
use crate::reason::{Reason, Status};

impl Outcome {
    /// Writes the response.
    ///
    /// `context` has only flat values: `decision`, `reason`, `policies` (ids, separated by commas), `action`,
    /// `principal`, `revision`, and the claims that the policy store names. The first four describe one call, so
    /// they are left out if the grant covers the whole API.
    ///
    /// The response is never larger than API Gateway accepts. If necessary, it leaves out fields that are only
    /// for information: first `policies`, then `action`. The principal and the claims are never cut or left out.
    /// Otherwise a backend could mistake one user for another, or overlook a limit. If they are too large, the
    /// response [denies](Response::is_shortened).
    pub fn respond(&self, simple_responses: SimpleResponses) -> Response {
        if let Some(simple) = self.as_simple().filter(|_| simple_responses.are_for(self.api)) {
            return simple.respond(simple_responses);
        }
        let mut context = self.context();
        let mut for_information = [POLICIES, ACTION].into_iter();
        loop {
            let response = self.write(&context, simple_responses);
            if response.fits() {
                return response;
            }
            let Some(name) = for_information.next() else {
                let shortened = self.shortened();
                let response = deny(self.api, shortened.decision.reason, &shortened.grant, simple_responses);
                return response.shortened();
            };
            context.remove(name);
        }
    }

    fn write(&self, context: &ResponseContext<'_>, simple_responses: SimpleResponses) -> Response {
        if simple_responses.are_for(self.api) {
            return Body::Simple::<Grant> { is_authorized: self.decision.is_allowed(), context }.write();
        }
        let has_usage_plans = matches!(self.api, Api::RestRequest | Api::RestToken);
        let body = Body::Policy {
            principal_id: &self.texts().principal,
            policy_document: PolicyDocument::new(&*self.grant),
            context,
            usage_identifier_key: self.usage_identifier_key.as_deref().filter(|_| has_usage_plans),
        };
        body.write()
    }

    fn context(&self) -> ResponseContext<'_> {
        let effect = match self.decision.reason.status() {
            Status::Allow => "allow",
            Status::Deny | Status::Unauthorized | Status::Fault => "deny",
        };
        let action = self.route.as_ref().map(|route| route.action.id().unescaped());
        // API Gateway passes the context to the backend with every request that it answers from its cache.
        let is_of_call = !matches!(self.breadth, Breadth::Api { .. });
        let of_call = |text| is_of_call.then_some(ContextValue::Text(text));
        let texts = self.texts();
        let own = [
            ("decision", of_call(effect)),
            ("reason", of_call(self.decision.reason.code())),
            (POLICIES, of_call(&texts.policies)),
            (ACTION, action.and_then(of_call)),
            ("principal", Some(ContextValue::Text(&texts.principal))),
            ("revision", Some(ContextValue::Number(self.revision))),
        ];
        let claims = self.backend_claims.iter();
        let claims = claims.map(|(name, claim)| (name.as_str(), ContextValue::Claim(claim)));
        claims.chain(own.into_iter().filter_map(|(name, value)| Some((name, value?)))).collect()
    }
}

impl Response {
    /// Denies a call for which no token was verified and no policy decided.
    ///
    /// The whole API is denied explicitly. Otherwise a resource policy of the API could allow the call, also from
    /// the cache.
    pub fn denied(call: &Call, reason: Reason, simple_responses: SimpleResponses) -> Self {
        deny(call.api(), reason, &Grant::deny_api(call.method_arn()), simple_responses)
    }
}

fn deny(api: Api, reason: Reason, grant: &Grant, simple_responses: SimpleResponses) -> Response {
    let context =
        [("decision", ContextValue::Text("deny")), ("reason", ContextValue::Text(reason.code()))].into();
    if simple_responses.are_for(api) {
        return Body::Simple::<Grant> { is_authorized: false, context: &context }.write();
    }
    let body = Body::Policy {
        principal_id: UNKNOWN_PRINCIPAL,
        policy_document: PolicyDocument::new(grant),
        context: &context,
        usage_identifier_key: None,
    };
    body.write()
}

/// How many bytes of a response are left for a grant of several routes, after everything that it must contain.
pub(super) fn room_for_grant(
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

/// The names in `context` that a policy store may not use for claims.
pub const RESERVED_CONTEXT: [&str; 6] = [ACTION, "decision", POLICIES, "principal", "reason", "revision"];

const ACTION: &str = "action";
const POLICIES: &str = "policies";

/// What a response needs around the principal, the grant and the claims (256 bytes), and room for one more
/// statement that denies the requested method.
const FRAME_BYTES: usize = 256 + 640;
