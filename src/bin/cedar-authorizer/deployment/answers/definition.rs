//! The answers in an OpenAPI definition, with API Gateway's extensions.

use std::collections::BTreeMap;

use super::super::api::TemplateApi;
use super::super::fields::Fields;
use super::super::openapi;
use super::{
    Answers, ApiKind, Cors, GATEWAY_HEADER, GatewayResponse, Setting, add_gateway_response, add_preflight,
    cors, header, json_template, mock_headers, status,
};

/// Adds the answers of a definition.
pub fn read(body: &Fields<'_>, api: &TemplateApi, answers: &mut Answers) {
    match api.kind {
        ApiKind::Http => {
            if let Some(fields) = body.inner("x-amazon-apigateway-cors").value() {
                cors(fields, CORS, answers.cors.get_or_insert_with(Cors::default));
            }
        }
        ApiKind::Rest => {
            let responses = body.inner("x-amazon-apigateway-gateway-responses");
            for (response_type, _, fields) in responses.value().into_iter().flat_map(Fields::each) {
                let Some(fields) = fields.value() else { continue };
                let response = GatewayResponse {
                    status: status(fields, "statusCode"),
                    headers: gateway_headers(&fields.inner("responseParameters")),
                    json_template: json_template(&fields.inner("responseTemplates")),
                };
                add_gateway_response(answers, fields, response_type, response);
            }
            preflights(body, api, answers);
        }
        ApiKind::WebSocket => {}
    }
}

/// The headers in the parameters of a gateway response.
pub fn gateway_headers(parameters: &Setting<Fields<'_>>) -> BTreeMap<String, String> {
    let fields = parameters.value();
    let headers = fields.into_iter().flat_map(|fields| {
        fields.entries().filter_map(|(key, ..)| {
            let name = key.strip_prefix(GATEWAY_HEADER)?;
            Some((name.to_owned(), header(fields, key)?))
        })
    });
    headers.collect()
}

fn preflights(body: &Fields<'_>, api: &TemplateApi, answers: &mut Answers) {
    for (path, _, item) in body.inner("paths").value().into_iter().flat_map(Fields::each) {
        let Some(item) = item.value() else { continue };
        for (_, _, operation) in item.each_of(|key| key.eq_ignore_ascii_case("options")) {
            let integration = operation.then(|operation| operation.inner("x-amazon-apigateway-integration"));
            let Some(integration) = integration.value() else { continue };
            let kind = integration.text("type");
            if !kind.value().is_some_and(|kind| kind.eq_ignore_ascii_case("mock")) {
                continue;
            }
            // The keys are patterns. API Gateway takes the default, or what matches the status of the mock.
            let responses = integration.inner("responses");
            let Some(responses) = responses.value() else { continue };
            let all: Vec<_> = responses.each().collect();
            let default = all.iter().find(|(pattern, ..)| *pattern == "default").or(all.first());
            let Some(response) = default.and_then(|(.., response)| response.value()) else { continue };
            let headers = mock_headers(&response.inner("responseParameters"));
            let status = status(response, "statusCode").unwrap_or(200);
            let path = openapi::path(path).to_owned();
            add_preflight(answers, api, body.template, path, status, headers);
        }
    }
}

/// API Gateway Developer Guide, "x-amazon-apigateway-cors object".
const CORS: [&str; 6] =
    ["allowOrigins", "allowMethods", "allowHeaders", "exposeHeaders", "allowCredentials", "maxAge"];
