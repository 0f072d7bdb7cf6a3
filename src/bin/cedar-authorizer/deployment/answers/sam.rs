//! The answers of SAM's APIs. Where the SAM guide says nothing, the source of its translator decides.

use std::collections::{BTreeMap, BTreeSet};

use super::super::api::TemplateApi;
use super::super::fields::Fields;
use super::super::sam as api_of_sam;
use super::super::template::Template;
use super::{
    Answers, ApiKind, Cors, GatewayResponse, Place, Preflight, add_gateway_response, cors, definition,
    header, json_template, static_header, status,
};

/// Adds the answers of an API that a resource defines.
pub fn read(properties: &Fields<'_>, api: &TemplateApi, answers: &mut Answers) {
    let default = match api.kind {
        ApiKind::Rest => None,
        ApiKind::Http => Some("$default"),
        ApiKind::WebSocket => Some("default"),
    };
    answers.stage = header(properties, "StageName").or(default.map(str::to_owned));
    if let Some(body) = properties.inner("DefinitionBody").value() {
        definition::read(body, api, answers);
    }
    match api.kind {
        ApiKind::Http => http_cors(properties, answers),
        ApiKind::Rest => {
            gateway_responses(properties, answers);
            rest_cors(properties, api, answers);
        }
        ApiKind::WebSocket => {}
    }
}

/// Adds the answers of an API that SAM makes for events, with what `Globals` says.
pub fn read_implicit(template: &Template<'_>, api: &TemplateApi, answers: &mut Answers) {
    let Some(kind) = api_of_sam::implicit_kind(&api.name) else { return };
    if let Some(properties) = template.implicit(&api.name, kind, api.place).value() {
        read(properties, api, answers);
    }
    if api.kind == ApiKind::Rest {
        answers.stage.get_or_insert_with(|| IMPLICIT_STAGE.to_owned());
    }
}

/// SAM Developer Guide, "AWS::Serverless::Api", `GatewayResponses`: each takes the place of that of the definition.
fn gateway_responses(properties: &Fields<'_>, answers: &mut Answers) {
    let responses = properties.inner("GatewayResponses");
    for (response_type, _, fields) in responses.value().into_iter().flat_map(Fields::each) {
        let Some(fields) = fields.value() else { continue };
        let headers = fields.inner("ResponseParameters").then(|parameters| parameters.inner("Headers"));
        let headers: BTreeMap<String, String> = headers
            .value()
            .into_iter()
            .flat_map(|headers| {
                headers.entries().filter_map(|(name, ..)| Some((name.to_owned(), header(headers, name)?)))
            })
            .collect();
        let response = GatewayResponse {
            status: status(fields, "StatusCode"),
            headers,
            json_template: json_template(&fields.inner("ResponseTemplates")),
        };
        add_gateway_response(answers, fields, response_type, response);
    }
}

/// SAM Developer Guide, "HttpApiCorsConfiguration". It goes before what the definition says. True lets in all origins.
fn http_cors(properties: &Fields<'_>, answers: &mut Answers) {
    if properties.is_text(CORS_CONFIGURATION) {
        if properties.flag(CORS_CONFIGURATION).value() == Some(&true) {
            answers.cors.get_or_insert_with(Cors::default).allow_origins = vec!["*".to_owned()];
        }
    } else if let Some(fields) = properties.inner(CORS_CONFIGURATION).value() {
        cors(fields, HTTP_CORS, answers.cors.get_or_insert_with(Cors::default));
    }
}

/// SAM Developer Guide, "CorsConfiguration": each path without an `OPTIONS` method gets one with a mock integration.
fn rest_cors(properties: &Fields<'_>, api: &TemplateApi, answers: &mut Answers) {
    let mut shared = Vec::new();
    let mut methods = None;
    if properties.is_text("Cors") {
        let origin = static_header(properties, "Cors");
        shared.extend(origin.map(|origin| (ALLOW_ORIGIN, origin)));
    } else {
        let fields = properties.inner("Cors");
        let Some(fields) = fields.value() else { return };
        let is_given = |(key, name): (&str, &'static str)| {
            let value = if fields.has(key) { static_header(fields, key) } else { None };
            value.map(|value| (name, value))
        };
        let [origin, headers, max_age] =
            [("AllowOrigin", ALLOW_ORIGIN), ("AllowHeaders", ALLOW_HEADERS), ("MaxAge", MAX_AGE)]
                .map(is_given);
        shared.extend([origin, headers, max_age].into_iter().flatten());
        methods = is_given(("AllowMethods", ALLOW_METHODS)).map(|(_, methods)| methods);
        if fields.flag("AllowCredentials").value() == Some(&true) {
            shared.push((ALLOW_CREDENTIALS, "true".to_owned()));
        }
    }
    let security = api_of_sam::preflight_security(properties);
    let mut paths: BTreeMap<&str, (Place, BTreeSet<&str>)> = BTreeMap::new();
    for route in &api.routes {
        let (_, verbs) = paths.entry(&route.path).or_insert_with(|| (route.place, BTreeSet::new()));
        verbs.insert(&route.verb);
    }
    for (path, (position, mut verbs)) in paths {
        if verbs.contains("OPTIONS") {
            continue;
        }
        if verbs.contains("ANY") {
            verbs = ALL_METHODS.into();
        }
        verbs.insert("OPTIONS");
        let all = || verbs.into_iter().collect::<Vec<_>>().join(",");
        let headers = shared.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        let headers = headers.chain([(ALLOW_METHODS.to_owned(), methods.clone().unwrap_or_else(all))]);
        answers.preflights.push(Preflight {
            path: path.to_owned(),
            protection: api.protection_of(&security, position, properties.template),
            status: 200,
            headers: headers.collect(),
            position,
        });
    }
}

/// SAM Developer Guide, "Generated CloudFormation resources for AWS::Serverless::Function when Api event source".
const IMPLICIT_STAGE: &str = "Prod";

const CORS_CONFIGURATION: &str = "CorsConfiguration";

const HTTP_CORS: [&str; 6] =
    ["AllowOrigins", "AllowMethods", "AllowHeaders", "ExposeHeaders", "AllowCredentials", "MaxAge"];

const ALL_METHODS: [&str; 7] = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];

const ALLOW_CREDENTIALS: &str = "Access-Control-Allow-Credentials";
const ALLOW_HEADERS: &str = "Access-Control-Allow-Headers";
const ALLOW_METHODS: &str = "Access-Control-Allow-Methods";
const ALLOW_ORIGIN: &str = "Access-Control-Allow-Origin";
const MAX_AGE: &str = "Access-Control-Max-Age";
