//! The answers of CloudFormation's own APIs, and the resources that add to any API.

use std::collections::BTreeMap;

use super::super::api::{TemplateApi, TemplateApis};
use super::super::cloudformation::method;
use super::super::fields::Fields;
use super::super::intrinsic::reference;
use super::super::template::Template;
use super::definition::{self, gateway_headers};
use super::{
    Answers, ApiKind, Cors, GatewayResponse, add_gateway_response, add_preflight, cors, header,
    json_template, mock_headers, status,
};

/// Adds the answers of an API.
pub fn read(properties: &Fields<'_>, api: &TemplateApi, answers: &mut Answers) {
    if let Some(body) = properties.inner("Body").value() {
        definition::read(body, api, answers);
    }
    if api.kind == ApiKind::Http
        && let Some(fields) = properties.inner("CorsConfiguration").value()
    {
        cors(fields, CORS, answers.cors.get_or_insert_with(Cors::default));
    }
}

/// Adds the answers that are resources of their own. They may belong to an API of another template.
pub fn resources(template: &Template<'_>, apis: &TemplateApis, all: &mut BTreeMap<String, Answers>) {
    for resource in &template.resources {
        let id_key = match resource.kind.as_str() {
            DEPLOYMENT | GATEWAY_RESPONSE | METHOD | STAGE => "RestApiId",
            STAGE_V2 => "ApiId",
            _ => continue,
        };
        let properties = template.properties(resource);
        let Some(fields) = properties.value() else { continue };
        let id = fields.text(id_key);
        let Some(id) = id.value() else { continue };
        let name = reference(id).map_or(id.as_str(), |(name, _)| name);
        let Some(api) = apis.iter().find(|api| api.name == name) else { continue };
        let answers = all.entry(name.to_owned()).or_default();
        match resource.kind.as_str() {
            GATEWAY_RESPONSE => {
                let response = GatewayResponse {
                    status: status(fields, "StatusCode"),
                    headers: gateway_headers(&fields.inner("ResponseParameters")),
                    json_template: json_template(&fields.inner("ResponseTemplates")),
                };
                if let Some(response_type) = header(fields, "ResponseType") {
                    add_gateway_response(answers, fields, &response_type, response);
                }
            }
            METHOD => mock_method(fields, api, answers),
            // An API may have several stages. The first one is as good as any.
            _ if answers.stage.is_none() => answers.stage = header(fields, "StageName"),
            _ => {}
        }
    }
}

/// CloudFormation Template Reference, "AWS::ApiGateway::Method Integration".
fn mock_method(fields: &Fields<'_>, api: &TemplateApi, answers: &mut Answers) {
    let integration = fields.inner("Integration");
    let Some(integration) = integration.value() else { return };
    let kind = integration.text("Type");
    if !kind.value().is_some_and(|kind| kind.eq_ignore_ascii_case("mock")) {
        return;
    }
    let Some((verb, path)) = method(fields) else { return };
    if verb != "OPTIONS" {
        return;
    }
    let responses = integration.maps("IntegrationResponses");
    // One without a pattern is the default.
    let default = responses.iter().find(|response| !response.has("SelectionPattern")).or(responses.first());
    let Some(response) = default else { return };
    let headers = mock_headers(&response.inner("ResponseParameters"));
    let status = status(response, "StatusCode").unwrap_or(200);
    add_preflight(answers, api, fields.template, path, status, headers);
}

const CORS: [&str; 6] =
    ["AllowOrigins", "AllowMethods", "AllowHeaders", "ExposeHeaders", "AllowCredentials", "MaxAge"];

const DEPLOYMENT: &str = "AWS::ApiGateway::Deployment";
const GATEWAY_RESPONSE: &str = "AWS::ApiGateway::GatewayResponse";
const METHOD: &str = "AWS::ApiGateway::Method";
const STAGE: &str = "AWS::ApiGateway::Stage";
const STAGE_V2: &str = "AWS::ApiGatewayV2::Stage";
