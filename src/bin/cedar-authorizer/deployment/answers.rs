//! Answers: what clients get from an API itself, and on which stage it is.
//!
//! Nothing of this decides who may call. So its problems are apart from those of the rest.
//!
//! Rules: API Gateway Developer Guide, "x-amazon-apigateway-gateway-responses object", "x-amazon-apigateway-cors object",
//! "Enable CORS on a REST API"; CloudFormation Template Reference, "AWS::ApiGateway::GatewayResponse",
//! "AWS::ApiGatewayV2::Api Cors", "AWS::ApiGateway::Stage"; SAM Developer Guide, "CorsConfiguration",
//! "HttpApiCorsConfiguration" and "AWS::Serverless::Api".

mod cloudformation;
mod definition;
mod sam;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::api::{TemplateApi, TemplateApis};
use super::fields::Fields;
use super::intrinsic::references;
use super::template::Template;
use super::{ApiKind, ProblemKind, Protection, Setting};
use crate::yaml::Place;

/// What clients get from an API itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// The stage. `None`: not known, or there is none in the template.
    pub stage: Option<String>,
    /// What clients of a REST API get instead of the default, by response type.
    pub gateway_responses: BTreeMap<String, GatewayResponse>,
    /// How an HTTP API answers pages of other origins.
    pub cors: Option<Cors>,
    /// What a REST API answers to preflight requests, one for each path. Those of SAM's `Cors` are methods that are not
    /// among the routes of the API.
    pub preflights: Vec<Preflight>,
}

/// What clients of a REST API get instead of a default response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GatewayResponse {
    /// Its status. `None`: the default.
    pub status: Option<u16>,
    /// Its headers, by name: static text in single quotes, or a mapping such as `method.request.header.Origin`.
    pub headers: BTreeMap<String, String>,
    /// The template of its body for `application/json`, with variables such as `$context.error.messageString`.
    pub json_template: Option<String>,
}

/// How an HTTP API answers pages of other origins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cors {
    /// Origins, `*`, or the beginning of an origin with `*` behind it: `https://*`.
    pub allow_origins: Vec<String>,
    /// Methods, or `*`.
    pub allow_methods: Vec<String>,
    /// Headers that a page may send, or `*`.
    pub allow_headers: Vec<String>,
    /// Headers that a page may read, or `*`.
    pub expose_headers: Vec<String>,
    /// Whether pages may send cookies.
    pub allow_credentials: bool,
    /// How long a browser may remember all this.
    pub max_age_seconds: Option<u32>,
}

/// What an `OPTIONS` method with a mock integration answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preflight {
    /// The path of the method.
    pub path: String,
    /// Who decides about calls.
    pub protection: Protection,
    /// The status.
    pub status: u16,
    /// The headers, by name.
    pub headers: Vec<(String, String)>,
    /// Where it is defined.
    pub position: Place,
}

/// Reads the answers of all APIs, by their names.
pub fn read(template: &Template<'_>, apis: &TemplateApis) -> BTreeMap<String, Answers> {
    let mut all: BTreeMap<String, Answers> = BTreeMap::new();
    for api in apis.iter() {
        let answers = all.entry(api.name.clone()).or_default();
        match template.resource_named(&api.name) {
            Some(resource) => {
                let properties = template.properties(resource);
                let Some(properties) = properties.value() else { continue };
                if resource.kind.starts_with(SAM) {
                    sam::read(properties, api, answers);
                } else {
                    cloudformation::read(properties, api, answers);
                }
            }
            None => sam::read_implicit(template, api, answers),
        }
    }
    cloudformation::resources(template, apis, &mut all);
    all
}

/// Reads a header that an API sends. A value that only a deployment knows is reported.
fn header(fields: &Fields<'_>, key: &str) -> Option<String> {
    let Setting::Given { value, place } = fields.text(key) else { return None };
    known(fields, key, value, place)
}

/// The same for a value that must be static text, without its single quotes.
fn static_header(fields: &Fields<'_>, key: &str) -> Option<String> {
    let Setting::Given { value, place } = fields.text(key) else { return None };
    let value = known(fields, key, value, place)?;
    let text = value.trim().strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
    if text.is_none() {
        let message = format!("`{key}` of {} should be static text in single quotes", fields.owner);
        fields.template.problem(place, ProblemKind::Invalid, message);
    }
    text.map(str::to_owned)
}

fn known(fields: &Fields<'_>, key: &str, value: String, place: Place) -> Option<String> {
    let Some(name) = references(&value).next() else { return Some(value) };
    let message = format!(
        "`{key}` of {} is not known: it depends on `{name}`, which only a deployment knows",
        fields.owner
    );
    fields.template.problem(place, ProblemKind::Unresolved, message);
    None
}

/// A status. What is none is reported.
fn status(fields: &Fields<'_>, key: &str) -> Option<u16> {
    let Setting::Given { value, place } = fields.number::<u16>(key) else { return None };
    if !(200..600).contains(&value) {
        let message = format!("`{key}` of {} is no status", fields.owner);
        fields.template.problem(place, ProblemKind::Invalid, message);
        return None;
    }
    Some(value)
}

/// Reads the CORS of an HTTP API over what is known of it. The names are those of [`Cors`], in its order.
fn cors(fields: &Fields<'_>, names: [&str; 6], cors: &mut Cors) {
    let [origins, methods, headers, exposed, credentials, max_age] = names;
    let lists = [
        (origins, &mut cors.allow_origins),
        (methods, &mut cors.allow_methods),
        (headers, &mut cors.allow_headers),
        (exposed, &mut cors.expose_headers),
    ];
    for (name, list) in lists {
        if let Setting::Given { value, place } = fields.texts(name) {
            *list = value.into_iter().filter_map(|value| known(fields, name, value, place)).collect();
        }
    }
    if let Some(value) = fields.flag(credentials).value() {
        cors.allow_credentials = *value;
    }
    if let Some(value) = fields.number(max_age).value() {
        cors.max_age_seconds = Some(*value);
    }
}

/// Adds a gateway response, in place of another of its type.
fn add_gateway_response(
    answers: &mut Answers,
    fields: &Fields<'_>,
    response_type: &str,
    response: GatewayResponse,
) {
    if !RESPONSE_TYPES.contains(&response_type) {
        let message = format!("`{response_type}` is no type of gateway responses");
        return fields.template.problem(fields.place, ProblemKind::Invalid, message);
    }
    answers.gateway_responses.insert(response_type.to_owned(), response);
}

/// The template of a body for JSON.
fn json_template(templates: &Setting<Fields<'_>>) -> Option<String> {
    header(templates.value()?, "application/json")
}

/// Adds the answer of an `OPTIONS` method that is one of the routes.
fn add_preflight(
    answers: &mut Answers,
    api: &TemplateApi,
    template: &Template<'_>,
    path: String,
    status: u16,
    headers: Vec<(String, String)>,
) {
    let route = api.routes.iter().find(|route| route.verb == "OPTIONS" && route.path == path);
    let Some(route) = route else { return };
    let protection = api.protection_of(&route.security, route.place, template);
    answers.preflights.push(Preflight { path, protection, status, headers, position: route.place });
}

/// The headers of the answer of a mock integration.
fn mock_headers(parameters: &Setting<Fields<'_>>) -> Vec<(String, String)> {
    let Some(fields) = parameters.value() else { return Vec::new() };
    let headers = fields.entries().filter_map(|(key, ..)| {
        let name = key.strip_prefix("method.response.header.")?;
        Some((name.to_owned(), static_header(fields, key)?))
    });
    headers.collect()
}

const SAM: &str = "AWS::Serverless::";

/// The key of a header in the parameters of a gateway response.
const GATEWAY_HEADER: &str = "gatewayresponse.header.";

/// API Gateway Developer Guide, "Gateway response types".
const RESPONSE_TYPES: [&str; 21] = [
    "ACCESS_DENIED",
    "API_CONFIGURATION_ERROR",
    "AUTHORIZER_CONFIGURATION_ERROR",
    "AUTHORIZER_FAILURE",
    "BAD_REQUEST_BODY",
    "BAD_REQUEST_PARAMETERS",
    "DEFAULT_4XX",
    "DEFAULT_5XX",
    "EXPIRED_TOKEN",
    "INTEGRATION_FAILURE",
    "INTEGRATION_TIMEOUT",
    "INVALID_API_KEY",
    "INVALID_SIGNATURE",
    "MISSING_AUTHENTICATION_TOKEN",
    "QUOTA_EXCEEDED",
    "REQUEST_TOO_LARGE",
    "RESOURCE_NOT_FOUND",
    "THROTTLED",
    "UNAUTHORIZED",
    "UNSUPPORTED_MEDIA_TYPE",
    "WAF_FILTERED",
];
