//! The events of API Gateway.
//!
//! The types of `aws_lambda_events` are too brittle for this: one header that they cannot parse fails the whole event,
//! and so do some nulls. This reader takes what it needs in one pass and tolerates the rest. Events that already have
//! those types come in through `gateway::events`, with the feature `events`.

use std::collections::BTreeMap;

use serde::Deserialize;
use url::form_urlencoded;

use super::parameters::Values;
use super::{Api, Call, InvalidEvent, RouteKey, Target};
use crate::gateway::arn::{CONNECT, MethodArn};

impl TryFrom<AuthorizerEvent> for Call {
    type Error = InvalidEvent;

    fn try_from(event: AuthorizerEvent) -> Result<Self, InvalidEvent> {
        let context = event.request_context.as_ref();
        let is_connect = |context: &RequestContext| {
            context.connection_id.is_some() || context.event_type.as_deref() == Some("CONNECT")
        };
        let api = match (event.r#type.as_deref(), event.version.as_deref()) {
            _ if event.route_arn.is_some() => Api::HttpV2,
            (_, Some("2.0")) => Api::HttpV2,
            _ if context.is_some_and(is_connect) => Api::WebSocket,
            (Some("TOKEN"), _) => return read_token_event(event),
            (_, Some("1.0")) => Api::HttpV1,
            (Some("REQUEST"), _) => Api::RestRequest,
            _ => return Err(InvalidEvent::NotAnAuthorizerEvent),
        };
        match event.r#type.as_deref() {
            Some("REQUEST") => read_request_event(api, event),
            _ => Err(InvalidEvent::NotAnAuthorizerEvent),
        }
    }
}

fn read_token_event(event: AuthorizerEvent) -> Result<Call, InvalidEvent> {
    let method_arn: MethodArn = event.method_arn.ok_or(InvalidEvent::NoMethodArn)?.parse()?;
    if method_arn.verb().is_none() {
        return Err(InvalidEvent::NoRoute);
    }
    Ok(Call {
        api: Api::RestToken,
        method_arn,
        target: Target::Path,
        route_key: RouteKey::Absent,
        token_field: Some(event.authorization_token.unwrap_or_default()),
        headers: Values::default(),
        query: Values::default(),
        path_parameters: BTreeMap::new(),
        path: None,
        host: None,
        source_ip: None,
        user_agent: None,
        time_milliseconds: None,
        request_id: None,
    })
}

fn read_request_event(api: Api, event: AuthorizerEvent) -> Result<Call, InvalidEvent> {
    let AuthorizerEvent {
        r#type: _,
        version: _,
        authorization_token: _,
        method_arn,
        route_arn,
        resource,
        http_method,
        path,
        route_key,
        raw_path,
        raw_query_string,
        headers,
        multi_value_headers,
        query_string_parameters,
        multi_value_query_string_parameters,
        path_parameters,
        request_context,
    } = event;
    let context = request_context.unwrap_or_default();
    let http = context.http.unwrap_or_default();
    let identity = context.identity.unwrap_or_default();
    let method_arn: MethodArn = route_arn.or(method_arn).ok_or(InvalidEvent::NoMethodArn)?.parse()?;

    let (target, route_key) = match api {
        Api::HttpV2 => {
            let verb = http.method.ok_or(InvalidEvent::NoRoute)?;
            let keys = [route_key, context.route_key];
            let says = route_key_of(&verb, keys.iter().flatten().map(String::as_str));
            let key = keys.into_iter().flatten().next().ok_or(InvalidEvent::NoRoute)?;
            // `GET /pets/{petId}`, `ANY /pets` or `$default`.
            let template = key.split_once(' ').map_or(key.as_str(), |(_, template)| template).to_owned();
            (Target::Route { verb: Some(verb), template }, says)
        }
        Api::WebSocket => match context.route_key.as_deref() {
            Some(CONNECT) | None => {
                (Target::Route { verb: None, template: CONNECT.to_owned() }, RouteKey::Absent)
            }
            Some(_) => return Err(InvalidEvent::NoRoute),
        },
        Api::HttpV1 | Api::RestRequest | Api::RestToken => {
            let verb = http_method.or(context.http_method).ok_or(InvalidEvent::NoRoute)?;
            let says = if api == Api::HttpV1 {
                let places =
                    [&context.resource_id, &context.resource_path, &resource, &context.route_key, &route_key];
                let texts = places.into_iter().flatten().map(String::as_str);
                route_key_of(&verb, texts.filter(|text| text.contains(' ')))
            } else {
                RouteKey::Absent
            };
            let template = context.resource_path.or(resource).ok_or(InvalidEvent::NoRoute)?;
            // An HTTP API may have `GET /pets` here. A REST API has `/pets`.
            let template =
                template.split_once(' ').map_or(template.as_str(), |(_, template)| template).to_owned();
            (Target::Route { verb: Some(verb), template }, says)
        }
    };
    // If a route key replaces verb and path, it must be that of the route.
    let fits = match (method_arn.verb(), &target) {
        (Some(_), _) => api != Api::WebSocket,
        (None, Target::Route { template, .. }) => method_arn.path() == template,
        (None, Target::Path) => false,
    };
    if !fits {
        return Err(InvalidEvent::NoRoute);
    }
    let lower = |name: String| name.to_ascii_lowercase();
    let query = match raw_query_string.filter(|_| api == Api::HttpV2) {
        // Format 2.0 joins values with commas. Only the raw text tells those from commas within values.
        Some(raw) => raw_values(&raw),
        None => values(query_string_parameters, multi_value_query_string_parameters, |name| name),
    };
    let single = path_parameters.into_iter().flatten();
    Ok(Call {
        api,
        method_arn,
        target,
        route_key,
        token_field: None,
        headers: values(headers, multi_value_headers, lower),
        query,
        path_parameters: single.filter_map(|(name, value)| Some((name, value?))).collect(),
        path: raw_path.or(path),
        host: context.domain_name,
        source_ip: http.source_ip.or(identity.source_ip),
        user_agent: http.user_agent.or(identity.user_agent),
        time_milliseconds: context.time_epoch.or(context.request_time_epoch),
        request_id: context.request_id,
    })
}

/// What route keys say about the method of a request, given all places of an event that have one. If there is
/// none, or if one names another method, the route key is not relied on.
fn route_key_of<'a>(verb: &str, mut keys: impl Iterator<Item = &'a str>) -> RouteKey {
    let names =
        |key: &str| verb != ANY && key.strip_prefix(verb).is_some_and(|template| template.starts_with(' '));
    match keys.next() {
        Some(first) if names(first) && keys.all(names) => RouteKey::OneMethod,
        _ => RouteKey::AnyMethod,
    }
}

/// In a route key: any method without a route of its own.
const ANY: &str = "ANY";

/// Merges the two forms of headers and query parameters that API Gateway sends. The single form repeats one of
/// the values of the other form.
fn values(
    single: Option<BTreeMap<String, Option<String>>>,
    multiple: Option<BTreeMap<String, Option<Vec<String>>>>,
    name: impl Fn(String) -> String,
) -> Values {
    let mut values = Values::default();
    for (key, value) in single.into_iter().flatten() {
        if let Some(value) = value {
            values.add(name(key), value);
        }
    }
    for (key, of_key) in multiple.into_iter().flatten() {
        for value in of_key.into_iter().flatten() {
            values.add(name(key.clone()), value);
        }
    }
    values
}

fn raw_values(query: &str) -> Values {
    let mut values = Values::default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        values.add(name.into_owned(), value.into_owned());
    }
    values
}

/// What API Gateway sends to authorizers of any kind. Each kind gets some of these fields.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::gateway) struct AuthorizerEvent {
    pub r#type: Option<String>,
    pub version: Option<String>,
    /// To TOKEN authorizers.
    pub authorization_token: Option<String>,
    pub method_arn: Option<String>,
    pub route_arn: Option<String>,
    pub resource: Option<String>,
    pub http_method: Option<String>,
    pub path: Option<String>,
    pub route_key: Option<String>,
    pub raw_path: Option<String>,
    pub raw_query_string: Option<String>,
    pub headers: Option<BTreeMap<String, Option<String>>>,
    pub multi_value_headers: Option<BTreeMap<String, Option<Vec<String>>>>,
    pub query_string_parameters: Option<BTreeMap<String, Option<String>>>,
    pub multi_value_query_string_parameters: Option<BTreeMap<String, Option<Vec<String>>>>,
    pub path_parameters: Option<BTreeMap<String, Option<String>>>,
    pub request_context: Option<RequestContext>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::gateway) struct RequestContext {
    /// WebSocket APIs.
    pub connection_id: Option<String>,
    pub event_type: Option<String>,
    /// Of an HTTP API with format 1.0: the route key.
    pub resource_id: Option<String>,
    pub resource_path: Option<String>,
    pub http_method: Option<String>,
    pub route_key: Option<String>,
    pub domain_name: Option<String>,
    pub identity: Option<Identity>,
    pub http: Option<Http>,
    pub request_id: Option<String>,
    /// HTTP APIs.
    pub time_epoch: Option<u64>,
    /// REST and WebSocket APIs.
    pub request_time_epoch: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::gateway) struct Identity {
    pub source_ip: Option<String>,
    pub user_agent: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::gateway) struct Http {
    pub method: Option<String>,
    pub source_ip: Option<String>,
    pub user_agent: Option<String>,
}
