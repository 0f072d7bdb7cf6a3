//! The events and answers of API Gateway as the types of `aws_lambda_events`, for people who write their own
//! handler.
//!
//! The function does not use these types. [`Call::from_json`] reads what comes in, and [`Response`], which is
//! already JSON, goes out. Both keep what these types lose:
//! | type | reads | loses |
//! |---|---|---|
//! | [`ApiGatewayCustomAuthorizerRequest`] | REST, TOKEN | nothing |
//! | [`ApiGatewayCustomAuthorizerRequestTypeRequest`] | REST, REQUEST | host, user agent, time |
//! | | WebSocket | the same, and the route key |
//! | [`ApiGatewayV2CustomAuthorizerV1Request`] | HTTP API, format 1.0 | the same, and all but one value of a header or query parameter |
//! | [`ApiGatewayV2CustomAuthorizerV2Request`] | HTTP API, format 2.0 | nothing |
//!
//! - Of headers in the single form whose names differ only in case, they keep one. Of two tokens, the [`Call`]
//!   then has one; the function's own reader refuses both.
//! - A single header fails the whole event if its name is not valid in HTTP or its value has control characters.
//! - A single parameter with the value `null` fails the whole event. So does `null` for the headers of an HTTP
//!   API.
//! - An empty HTTP method reads as GET.
//!
//! None of their WebSocket types is for an authorizer: [`ApiGatewayWebsocketProxyRequest`] has no ARN, so it
//! cannot become a [`Call`].
//!
//! The types of the answers are those for IAM policies and for simple responses:
//!
//! | type | loses | invents |
//! |---|---|---|
//! | [`ApiGatewayCustomAuthorizerResponse`] | cannot say `NotResource` | `"usageIdentifierKey": null` |
//! | [`ApiGatewayV2CustomAuthorizerIamPolicyResponse`] | cannot say `NotResource`; has no usage plan | |
//! | [`ApiGatewayV2CustomAuthorizerSimpleResponse`] | nothing | |
//!
//! If JSON is read into these types and leaves out an effect, the effect is Allow. So they are only written here,
//! and every part of them is set.
//!
//! [`ApiGatewayWebsocketProxyRequest`]: aws_lambda_events::apigw::ApiGatewayWebsocketProxyRequest

use std::collections::{BTreeMap, HashMap};

use aws_lambda_events::apigw::{
    ApiGatewayCustomAuthorizerPolicy, ApiGatewayCustomAuthorizerRequest,
    ApiGatewayCustomAuthorizerRequestTypeRequest, ApiGatewayCustomAuthorizerResponse,
    ApiGatewayV2CustomAuthorizerIamPolicyResponse, ApiGatewayV2CustomAuthorizerSimpleResponse,
    ApiGatewayV2CustomAuthorizerV1Request, ApiGatewayV2CustomAuthorizerV2Request,
};
use aws_lambda_events::iam::{IamPolicyEffect, IamPolicyStatement};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::call::event::{AuthorizerEvent, Http, Identity, RequestContext};
use super::call::{Call, InvalidEvent};
use crate::gateway::response::Response;

impl TryFrom<ApiGatewayCustomAuthorizerRequest> for Call {
    type Error = InvalidEvent;

    /// Reads the event of a TOKEN authorizer of a REST API.
    fn try_from(event: ApiGatewayCustomAuthorizerRequest) -> Result<Self, InvalidEvent> {
        only(event.type_.as_deref() == Some("TOKEN"))?;
        let event = AuthorizerEvent {
            r#type: event.type_,
            authorization_token: event.authorization_token,
            method_arn: event.method_arn,
            ..AuthorizerEvent::default()
        };
        event.try_into()
    }
}

impl TryFrom<ApiGatewayCustomAuthorizerRequestTypeRequest> for Call {
    type Error = InvalidEvent;

    /// Reads the event of a REQUEST authorizer of a REST API, or that of a WebSocket API.
    fn try_from(event: ApiGatewayCustomAuthorizerRequestTypeRequest) -> Result<Self, InvalidEvent> {
        only(event.type_.as_deref() == Some("REQUEST"))?;
        let context = event.request_context;
        // The type has no `version`. An HTTP API is recognized by its route key, which contains a space.
        let places = [&context.resource_id, &context.resource_path, &event.resource];
        only(!places.into_iter().flatten().any(|place| place.contains(' ')))?;
        // Nothing in the type marks a connection, except that it has no method. The ARN has to be that of
        // `$connect`.
        let is_connect = event.http_method.is_none() && context.http_method.is_none();
        let identity = context.identity.unwrap_or_default();
        let event = AuthorizerEvent {
            r#type: event.type_,
            method_arn: event.method_arn,
            resource: event.resource,
            http_method: event.http_method.map(|method| method.to_string()),
            path: event.path,
            headers: None,
            multi_value_headers: Some(merged([
                several(event.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())))?,
                several(
                    event.multi_value_headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())),
                )?,
            ])),
            multi_value_query_string_parameters: Some(merged([
                query(&event.query_string_parameters)?,
                query(&event.multi_value_query_string_parameters)?,
            ])),
            path_parameters: Some(single(event.path_parameters)),
            request_context: Some(RequestContext {
                event_type: is_connect.then(|| "CONNECT".to_owned()),
                resource_id: context.resource_id,
                resource_path: context.resource_path,
                http_method: context.http_method.map(|method| method.to_string()),
                identity: Some(Identity { source_ip: identity.source_ip, user_agent: None }),
                request_id: context.request_id,
                ..RequestContext::default()
            }),
            ..AuthorizerEvent::default()
        };
        event.try_into()
    }
}

impl TryFrom<ApiGatewayV2CustomAuthorizerV1Request> for Call {
    type Error = InvalidEvent;

    /// Reads the event of an HTTP API with payload format 1.0.
    ///
    /// The type has one value for each header and query parameter, and does not say whether there were others. A
    /// request with two tokens looks like a request with only the last of them.
    fn try_from(event: ApiGatewayV2CustomAuthorizerV1Request) -> Result<Self, InvalidEvent> {
        only(event.version.as_deref() == Some("1.0"))?;
        let context = event.request_context;
        let event = AuthorizerEvent {
            r#type: event.type_,
            version: event.version,
            method_arn: event.method_arn,
            resource: event.resource,
            http_method: Some(event.http_method.to_string()),
            path: event.path,
            multi_value_headers: Some(several(
                event.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())),
            )?),
            query_string_parameters: Some(single(event.query_string_parameters)),
            path_parameters: Some(single(event.path_parameters)),
            request_context: Some(RequestContext {
                resource_id: context.resource_id,
                resource_path: context.resource_path,
                http_method: Some(context.http_method.to_string()),
                identity: Some(Identity { source_ip: context.identity.source_ip, user_agent: None }),
                request_id: context.request_id,
                ..RequestContext::default()
            }),
            ..AuthorizerEvent::default()
        };
        event.try_into()
    }
}

impl TryFrom<ApiGatewayV2CustomAuthorizerV2Request> for Call {
    type Error = InvalidEvent;

    /// Reads the event of an HTTP API with payload format 2.0.
    fn try_from(event: ApiGatewayV2CustomAuthorizerV2Request) -> Result<Self, InvalidEvent> {
        only(event.version.as_deref() == Some("2.0"))?;
        let context = event.request_context;
        let event = AuthorizerEvent {
            r#type: event.type_,
            version: event.version,
            route_arn: event.route_arn,
            route_key: event.route_key,
            raw_path: event.raw_path,
            raw_query_string: event.raw_query_string,
            multi_value_headers: Some(several(
                event.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())),
            )?),
            query_string_parameters: Some(single(event.query_string_parameters)),
            path_parameters: Some(single(event.path_parameters)),
            request_context: Some(RequestContext {
                route_key: context.route_key,
                domain_name: context.domain_name,
                http: Some(Http {
                    method: Some(context.http.method.to_string()),
                    source_ip: context.http.source_ip,
                    user_agent: context.http.user_agent,
                }),
                // 0 means that the event has no time.
                time_epoch: u64::try_from(context.time_epoch).ok().filter(|time| *time != 0),
                request_id: context.request_id,
                ..RequestContext::default()
            }),
            ..AuthorizerEvent::default()
        };
        event.try_into()
    }
}

/// Refuses an event of another kind than the type is for.
fn only(is_of_kind: bool) -> Result<(), InvalidEvent> {
    if is_of_kind { Ok(()) } else { Err(InvalidEvent::NotAnAuthorizerEvent) }
}

type Single = BTreeMap<String, Option<String>>;
type Several = BTreeMap<String, Option<Vec<String>>>;

fn single(values: HashMap<String, String>) -> Single {
    values.into_iter().map(|(name, value)| (name, Some(value))).collect()
}

fn several<'a>(headers: impl Iterator<Item = (&'a str, &'a [u8])>) -> Result<Several, InvalidEvent> {
    let mut all = Several::new();
    for (name, value) in headers {
        let value = str::from_utf8(value).map_err(|_| InvalidEvent::NotAnAuthorizerEvent)?;
        all.entry(name.to_owned()).or_default().get_or_insert_default().push(value.to_owned());
    }
    Ok(all)
}

/// The parameters of a `QueryMap`. Goes through JSON, because its iterator panics at a name without values.
fn query(parameters: &impl Serialize) -> Result<Several, InvalidEvent> {
    let json = serde_json::to_value(parameters).and_then(serde_json::from_value);
    json.map_err(|_| InvalidEvent::NotAnAuthorizerEvent)
}

fn merged([mut one, other]: [Several; 2]) -> Several {
    for (name, values) in other {
        one.entry(name).or_default().get_or_insert_default().extend(values.into_iter().flatten());
    }
    one
}

/// An answer whose denial of all the rest may be left out.
///
/// The last statement of a grant denies all that the grant does not allow: everything except some patterns
/// (`NotResource`). The types cannot express that. Without the statement the same requests are denied, but
/// implicitly, and then a resource policy of a REST API can allow them. Use this type to say that the API has no
/// such policy. HTTP APIs and WebSocket APIs never have one.
#[derive(Clone, Copy, Debug)]
pub struct WithoutResourcePolicy<'a>(pub &'a Response);

impl TryFrom<&Response> for ApiGatewayCustomAuthorizerResponse {
    type Error = InexpressibleAnswer;

    /// Converts an answer with an IAM policy, complete. An answer that allows some of an API and denies the rest
    /// is [inexpressible](InexpressibleAnswer::NotResource): see [`WithoutResourcePolicy`].
    fn try_from(response: &Response) -> Result<Self, InexpressibleAnswer> {
        Policy::read(response)?.typed(Rest::Refused)
    }
}

impl TryFrom<WithoutResourcePolicy<'_>> for ApiGatewayCustomAuthorizerResponse {
    type Error = InexpressibleAnswer;

    /// Converts an answer with an IAM policy, without its denial of all the rest.
    fn try_from(response: WithoutResourcePolicy<'_>) -> Result<Self, InexpressibleAnswer> {
        Policy::read(response.0)?.typed(Rest::LeftOut)
    }
}

impl TryFrom<&Response> for ApiGatewayV2CustomAuthorizerIamPolicyResponse {
    type Error = InexpressibleAnswer;

    /// Converts an answer with an IAM policy, without its denial of all the rest, which [an HTTP
    /// API](WithoutResourcePolicy) does not need, and without a usage plan, which an HTTP API does not have.
    fn try_from(response: &Response) -> Result<Self, InexpressibleAnswer> {
        let typed = Policy::read(response)?.typed(Rest::LeftOut)?;
        let mut answer = Self::default();
        answer.principal_id = typed.principal_id;
        answer.policy_document = typed.policy_document;
        answer.context = typed.context;
        Ok(answer)
    }
}

impl TryFrom<&Response> for ApiGatewayV2CustomAuthorizerSimpleResponse {
    type Error = InexpressibleAnswer;

    /// Converts a simple answer.
    fn try_from(response: &Response) -> Result<Self, InexpressibleAnswer> {
        let Simple { is_authorized, context } = read(response)?;
        let mut answer = Self::default();
        answer.is_authorized = is_authorized;
        answer.context = context.into();
        Ok(answer)
    }
}

/// Why an answer cannot be converted to that type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InexpressibleAnswer {
    /// The answer is a policy and the type is for simple answers, or the reverse.
    #[error("the answer is of another form than this type")]
    AnotherForm,
    /// It denies all but what it allows.
    #[error("the answer has a statement with `NotResource`, which this type does not have")]
    NotResource,
}

/// What happens to the denial of all the rest.
#[derive(Clone, Copy)]
enum Rest {
    LeftOut,
    Refused,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Policy {
    principal_id: String,
    policy_document: PolicyDocumentJson,
    context: Map<String, Value>,
    usage_identifier_key: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PolicyDocumentJson {
    version: String,
    statement: Vec<StatementJson>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct StatementJson {
    action: String,
    effect: IamPolicyEffect,
    resource: Option<Vec<String>>,
    not_resource: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Simple {
    is_authorized: bool,
    context: Map<String, Value>,
}

impl Policy {
    fn read(response: &Response) -> Result<Self, InexpressibleAnswer> {
        read(response)
    }

    fn typed(self, rest: Rest) -> Result<ApiGatewayCustomAuthorizerResponse, InexpressibleAnswer> {
        let Self { principal_id, policy_document, context, usage_identifier_key } = self;
        let PolicyDocumentJson { version, statement } = policy_document;
        let mut policy = ApiGatewayCustomAuthorizerPolicy::default();
        policy.version = Some(version);
        for StatementJson { action, effect, resource, not_resource } in statement {
            match (resource, not_resource, rest) {
                (Some(resource), None, _) => {
                    let mut typed = IamPolicyStatement::default();
                    typed.action = vec![action];
                    typed.effect = effect;
                    typed.resource = resource;
                    policy.statement.push(typed);
                }
                // Only a denial can be left out.
                (None, Some(_), Rest::LeftOut) if effect == IamPolicyEffect::Deny => {}
                _ => return Err(InexpressibleAnswer::NotResource),
            }
        }
        let mut answer = ApiGatewayCustomAuthorizerResponse::default();
        answer.principal_id = Some(principal_id);
        answer.policy_document = policy;
        answer.context = context.into();
        answer.usage_identifier_key = usage_identifier_key;
        Ok(answer)
    }
}

fn read<T: DeserializeOwned>(response: &Response) -> Result<T, InexpressibleAnswer> {
    let json = serde_json::to_value(response).and_then(serde_json::from_value);
    json.map_err(|_| InexpressibleAnswer::AnotherForm)
}
