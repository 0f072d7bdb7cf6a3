//! The APIs, authorizers and routes of CloudFormation's own resources.
//!
//! Rules: CloudFormation Template Reference, "AWS::ApiGateway::Authorizer", "AWS::ApiGateway::Method",
//! "AWS::ApiGateway::Resource", "AWS::ApiGatewayV2::Api", "AWS::ApiGatewayV2::Authorizer" and
//! "AWS::ApiGatewayV2::Route".

use super::api::{self, NONE, Scheme, Security, TemplateApi, TemplateApis, TemplateRoute};
use super::fields::Fields;
use super::template::{Template, TemplateResource};
use super::{ApiKind, DeployedAuthorizer, ProblemKind, Setting, intrinsic, openapi};

/// Adds the APIs.
pub fn apis(template: &Template<'_>, apis: &mut TemplateApis) {
    for resource in &template.resources {
        let properties = template.properties(resource);
        let kind = match resource.kind.as_str() {
            "AWS::ApiGateway::RestApi" => ApiKind::Rest,
            "AWS::ApiGatewayV2::Api" => match properties.then(|properties| properties.text("ProtocolType")) {
                Setting::Given { value, .. } if value == "WEBSOCKET" => ApiKind::WebSocket,
                // With a `Body` the protocol may be left out. Only HTTP APIs have a `Body`.
                _ => ApiKind::Http,
            },
            _ => continue,
        };
        let api = apis.add(&resource.id, kind, resource.place);
        let Some(properties) = properties.value() else { continue };
        let body = properties.inner("Body");
        api.has_unknown_schemes = body.is_unresolved();
        if properties.has("BodyS3Location") {
            properties.elsewhere("BodyS3Location");
            api.has_unknown_schemes = true;
        }
        if let Some(body) = body.value() {
            openapi::read(body, api);
        }
        // An API that is created with a target has a route from the start, without an authorizer.
        if kind == ApiKind::Http && properties.has("Target") {
            let (key, place) = match properties.text("RouteKey") {
                Setting::Given { value, place } => (value, place),
                _ => ("$default".to_owned(), resource.place),
            };
            let (verb, path) = split_key(&key);
            api.routes.push(TemplateRoute { verb, path, place, security: Security::Absent });
        }
    }
}

/// Adds the authorizers.
pub fn authorizers(template: &Template<'_>, apis: &mut TemplateApis) {
    for resource in &template.resources {
        let (id_key, type_key) = match resource.kind.as_str() {
            REST_AUTHORIZER => ("RestApiId", "Type"),
            V2_AUTHORIZER => ("ApiId", "AuthorizerType"),
            _ => continue,
        };
        let properties = template.properties(resource);
        let Some(fields) = properties.value() else { continue };
        let Some(api) = owning_api(apis, resource, fields, id_key) else { continue };
        let scheme = match api::kind_of(fields, type_key) {
            Err(scheme) => scheme,
            Ok(kind) => Scheme::Lambda(Box::new(DeployedAuthorizer {
                name: resource.id.clone(),
                position: resource.place,
                kind,
                identity_sources: fields.texts("IdentitySource"),
                ttl_seconds: fields.number("AuthorizerResultTtlInSeconds"),
                payload_version: fields.text("AuthorizerPayloadFormatVersion"),
                simple_responses: fields.flag("EnableSimpleResponses"),
                validation_expression: fields.text("IdentityValidationExpression"),
                function: template.function(&fields.text("AuthorizerUri")),
            })),
        };
        api.define(&resource.id, scheme);
    }
}

/// Adds the routes.
pub fn routes(template: &Template<'_>, apis: &mut TemplateApis) {
    for resource in &template.resources {
        let id_key = match resource.kind.as_str() {
            "AWS::ApiGateway::Method" => "RestApiId",
            "AWS::ApiGatewayV2::Route" => "ApiId",
            _ => continue,
        };
        let properties = template.properties(resource);
        let Some(fields) = properties.value() else { continue };
        let route = if id_key == "ApiId" {
            required(fields, "RouteKey").map(|key| split_key(&key))
        } else {
            method(fields)
        };
        let Some((verb, path)) = route else { continue };
        let Some(api) = owning_api(apis, resource, fields, id_key) else { continue };
        let security = security(fields);
        api.routes.push(TemplateRoute { verb, path, place: resource.place, security });
    }
}

/// The API that a resource belongs to. An API of another template is known by the text that refers to its id.
fn owning_api<'a>(
    apis: &'a mut TemplateApis,
    resource: &TemplateResource,
    fields: &Fields<'_>,
    key: &str,
) -> Option<&'a mut TemplateApi> {
    let id = required(fields, key)?;
    let name = intrinsic::reference(&id).map_or(id.as_str(), |(name, _)| name);
    if apis.named(name).is_some() {
        return apis.named(name);
    }
    if !resource.kind.starts_with("AWS::ApiGateway::") && !fields.has("AuthorizerPayloadFormatVersion") {
        let message = format!("{} belongs to `{name}`, an API that is not in this template", fields.owner);
        fields.template.problem(resource.place, ProblemKind::NotRead, message);
        return None;
    }
    // Only HTTP APIs have payload versions, so this is not a WebSocket API.
    let kind = if key == "RestApiId" { ApiKind::Rest } else { ApiKind::Http };
    Some(apis.add(name, kind, resource.place))
}

fn security(fields: &Fields<'_>) -> Security {
    let names = |kind: String| match kind.to_ascii_uppercase().as_str() {
        "CUSTOM" | "COGNITO_USER_POOLS" | "JWT" => None,
        kind => Some(vec![kind.to_owned()]),
    };
    match fields.text("AuthorizationType").map(names) {
        Setting::Absent => Setting::Given { value: vec![NONE.to_owned()], place: fields.place },
        Setting::Given { value: Some(names), place } => Setting::Given { value: names, place },
        Setting::Given { value: None, place } => match fields.text("AuthorizerId") {
            Setting::Absent => {
                let message = format!("{} has no `AuthorizerId`", fields.owner);
                fields.template.problem(place, ProblemKind::Invalid, message);
                Setting::Unresolved { place }
            }
            id => {
                id.map(|id| vec![intrinsic::reference(&id).map_or(id.as_str(), |(name, _)| name).to_owned()])
            }
        },
        Setting::Unresolved { place } => Setting::Unresolved { place },
    }
}

/// The verb and the path of a method of a REST API.
pub fn method(fields: &Fields<'_>) -> Option<(String, String)> {
    let verb = required(fields, "HttpMethod")?.to_ascii_uppercase();
    let mut parts = Vec::new();
    let mut parent = required(fields, "ResourceId")?;
    // A path has at most 8,192 characters, and each part at least two (API Gateway Developer Guide, "Quotas"). This
    // limit also stops circles.
    for _ in 0..4_096 {
        let Some((id, attribute)) = intrinsic::reference(&parent) else { break };
        if attribute == Some("RootResourceId") {
            parts.reverse();
            return Some((verb, format!("/{}", parts.join("/"))));
        }
        let Some(resource) = fields.template.resource_named(id) else { break };
        let properties = fields.template.properties(resource);
        let properties = properties.value()?;
        parts.push(required(properties, "PathPart")?);
        parent = required(properties, "ParentId")?;
    }
    let message =
        format!("the path of {} does not lead to the root of an API in this template", fields.owner);
    fields.template.problem(fields.place, ProblemKind::NotRead, message);
    None
}

/// A required property. It is reported here if it is missing. If its value is unknown, that was already reported.
fn required(fields: &Fields<'_>, key: &str) -> Option<String> {
    match fields.text(key) {
        Setting::Absent => {
            let message = format!("`{key}` of {} is missing", fields.owner);
            fields.template.problem(fields.place, ProblemKind::Invalid, message);
            None
        }
        Setting::Given { value, .. } => Some(value),
        Setting::Unresolved { .. } => None,
    }
}

/// `GET /pets` is a verb and a path. `$default`, `$connect` and the keys of WebSocket APIs have no verb.
fn split_key(key: &str) -> (String, String) {
    match key.split_once(' ') {
        Some((verb, path)) => (openapi::verb(verb), path.trim().to_owned()),
        None => ("ANY".to_owned(), key.to_owned()),
    }
}

const REST_AUTHORIZER: &str = "AWS::ApiGateway::Authorizer";
const V2_AUTHORIZER: &str = "AWS::ApiGatewayV2::Authorizer";
