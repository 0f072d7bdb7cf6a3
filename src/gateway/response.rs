//! The response: what API Gateway reads.
//!
//! The writer is our own. The types of the crate `aws_lambda_events` let an effect be left out, which then reads
//! as Allow. They also write `null` where API Gateway expects a value or nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use super::call::Api;

/// The answer of the function, as JSON in the form that API Gateway expects: an IAM policy, which every kind of
/// API takes, or a boolean for HTTP APIs with payload format 2.0 and simple responses enabled.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Response {
    #[serde(serialize_with = "as_it_is")]
    text: Arc<RawValue>,
    #[serde(skip)]
    is_shortened: bool,
}

/// Whether HTTP APIs with payload format 2.0 get simple responses. Their authorizer is set to one or the other,
/// and its events do not say which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SimpleResponses {
    /// They get IAM policies, like all other APIs.
    Disabled,
    /// They get simple responses.
    Enabled,
}

impl SimpleResponses {
    /// Whether an API of this kind gets simple responses.
    pub(crate) fn are_for(self, api: Api) -> bool {
        (api, self) == (Api::HttpV2, Self::Enabled)
    }
}

/// The flat values for the backend, by name.
pub(crate) type ResponseContext<'a> = BTreeMap<&'a str, ContextValue<'a>>;

/// A flat value: API Gateway takes no others.
#[derive(Clone, Copy, Serialize)]
#[serde(untagged)]
pub(crate) enum ContextValue<'a> {
    Claim(&'a Value),
    Number(u64),
    Text(&'a str),
}

/// A response before it is written as JSON. `S` is the type of the IAM statements.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Body<'a, S> {
    #[serde(rename_all = "camelCase")]
    Policy {
        /// Never empty, because API Gateway does not accept that.
        principal_id: &'a str,
        policy_document: PolicyDocument<'a, S>,
        context: &'a ResponseContext<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        usage_identifier_key: Option<&'a str>,
    },
    #[serde(rename_all = "camelCase")]
    Simple { is_authorized: bool, context: &'a ResponseContext<'a> },
}

/// An IAM policy.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PolicyDocument<'a, S> {
    version: &'static str,
    statement: &'a S,
}

impl<'a, S> PolicyDocument<'a, S> {
    /// A policy with these statements.
    pub(crate) fn new(statement: &'a S) -> Self {
        Self { version: VERSION, statement }
    }
}

impl<S: Serialize> Body<'_, S> {
    pub(crate) fn write(&self) -> Response {
        // Every part has a form in JSON. Otherwise this writes `null`, and API Gateway answers 500.
        let text = to_raw_value(self).unwrap_or_else(|_| RawValue::NULL.to_owned());
        Response { text: text.into(), is_shortened: false }
    }
}

impl Response {
    /// The response as JSON.
    pub fn as_json(&self) -> &str {
        self.text.get()
    }

    /// Marks the response as one that replaces another whose principal and claims were too long.
    pub(crate) fn shortened(self) -> Self {
        Self { is_shortened: true, ..self }
    }

    /// Whether it is short enough for API Gateway.
    pub(crate) fn fits(&self) -> bool {
        self.text.get().len() <= MAX_BYTES
    }

    /// Whether principal and claims were too long for the response. It then denies, with a reason and nothing
    /// else.
    pub fn is_shortened(&self) -> bool {
        self.is_shortened
    }
}

fn as_it_is<S: Serializer>(text: &Arc<RawValue>, serializer: S) -> Result<S::Ok, S::Error> {
    (**text).serialize(serializer)
}

/// The principal of a call that names none. API Gateway does not accept an empty one.
pub(crate) const UNKNOWN_PRINCIPAL: &str = "unknown";

/// The version of IAM's policy language. Older versions have no policy variables.
const VERSION: &str = "2012-10-17";

/// AWS service quotas, L-20859C74: the result of a Lambda authorizer.
pub const MAX_BYTES: usize = 8 * 1024;
