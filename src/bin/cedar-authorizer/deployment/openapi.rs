//! The OpenAPI definition of an API, version 2 or 3, with API Gateway's extensions.
//!
//! Rules: API Gateway Developer Guide, "x-amazon-apigateway-authorizer object", "x-amazon-apigateway-authtype
//! property" and "x-amazon-apigateway-any-method object".

use super::api::{self, AWS_IAM, Scheme, TemplateApi, TemplateRoute};
use super::fields::Fields;
use super::{ApiKind, AuthorizerKind, DeployedAuthorizer, ProblemKind, Setting};
use crate::yaml::Place;

/// Adds the content of a definition to its API.
pub fn read(body: &Fields<'_>, api: &mut TemplateApi) {
    let schemes = body.inner("components").then(|components| components.inner("securitySchemes"));
    for schemes in [schemes, body.inner("securityDefinitions")] {
        api.has_unknown_schemes |= schemes.is_unresolved();
        for (name, place, scheme) in schemes.value().into_iter().flat_map(Fields::each) {
            let scheme = scheme
                .value()
                .map_or(Scheme::Unresolved, |scheme| read_scheme(name, place, scheme, api.kind));
            api.define(name, scheme);
        }
    }
    api.security = body.keys_of_each("security");
    for (path, _, item) in body.inner("paths").value().into_iter().flat_map(Fields::each) {
        let Some(item) = item.value() else { continue };
        if item.has("$ref") {
            let message = format!("`$ref` of {} is not read", item.owner);
            item.template.problem(item.place, ProblemKind::NotRead, message);
        }
        for (key, place, operation) in item.each_of(is_verb) {
            // Null and `AWS::NoValue` define no route.
            let security = match operation {
                Setting::Absent => continue,
                Setting::Given { value, .. } => value.keys_of_each("security"),
                Setting::Unresolved { place } => Setting::Unresolved { place },
            };
            let path = self::path(path).to_owned();
            api.routes.push(TemplateRoute { verb: verb(key), path, place, security });
        }
    }
}

fn read_scheme(name: &str, place: Place, fields: &Fields<'_>, api: ApiKind) -> Scheme {
    let authorizer = match fields.inner("x-amazon-apigateway-authorizer") {
        Setting::Absent => {
            return match fields.text("x-amazon-apigateway-authtype") {
                Setting::Absent => Scheme::NoAuthorizer,
                Setting::Given { value, .. } if value.eq_ignore_ascii_case("awsSigv4") => {
                    Scheme::Other(AWS_IAM.to_owned())
                }
                Setting::Given { value, .. } => Scheme::Other(value.to_ascii_uppercase()),
                Setting::Unresolved { .. } => Scheme::Unresolved,
            };
        }
        Setting::Given { value, .. } => value,
        Setting::Unresolved { .. } => return Scheme::Unresolved,
    };
    let kind = match api::kind_of(&authorizer, "type") {
        Ok(kind) => kind,
        Err(scheme) => return scheme,
    };
    let identity_sources = match (kind, authorizer.texts("identitySource")) {
        // The token is in the header that the scheme names.
        (AuthorizerKind::Token, Setting::Absent) if api == ApiKind::Rest => {
            fields.text("name").map(|header| vec![format!("method.request.header.{header}")])
        }
        (_, sources) => sources,
    };
    Scheme::Lambda(Box::new(DeployedAuthorizer {
        name: name.to_owned(),
        position: place,
        kind,
        identity_sources,
        ttl_seconds: authorizer.number("authorizerResultTtlInSeconds"),
        payload_version: authorizer.text("authorizerPayloadFormatVersion"),
        simple_responses: authorizer.flag("enableSimpleResponses"),
        validation_expression: authorizer.text("identityValidationExpression"),
        function: fields.template.function(&authorizer.text("authorizerUri")),
    }))
}

fn is_verb(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    matches!(key.as_str(), "get" | "put" | "post" | "delete" | "options" | "head" | "patch" | "trace" | ANY)
}

/// A verb, in the form of routes.
pub fn verb(key: &str) -> String {
    if key.eq_ignore_ascii_case(ANY) { "ANY".to_owned() } else { key.to_ascii_uppercase() }
}

/// A path, in the form of routes. In OpenAPI even `$default` must begin with a slash.
pub fn path(path: &str) -> &str {
    if path == "/$default" { "$default" } else { path }
}

const ANY: &str = "x-amazon-apigateway-any-method";
