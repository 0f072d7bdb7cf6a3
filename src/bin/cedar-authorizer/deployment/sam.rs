//! The APIs of SAM, and the routes that the events of functions add to them.

use super::api::{Scheme, Security, TemplateApi, TemplateApis, TemplateRoute};
use super::fields::Fields;
use super::template::{Template, TemplateResource};
use super::{ApiKind, AuthorizerKind, DeployedAuthorizer, ProblemKind, Setting, intrinsic, openapi};
use crate::yaml::Place;

/// Adds the APIs that SAM resources define.
pub fn apis(template: &Template<'_>, apis: &mut TemplateApis) {
    for resource in &template.resources {
        let kind = match resource.kind.as_str() {
            REST => ApiKind::Rest,
            HTTP => ApiKind::Http,
            "AWS::Serverless::WebSocketApi" => ApiKind::WebSocket,
            _ => continue,
        };
        let api = apis.add(&resource.id, kind, resource.place);
        match template.properties(resource) {
            Setting::Absent => {}
            Setting::Given { value, .. } if kind == ApiKind::WebSocket => web_socket(&value, api),
            Setting::Given { value, .. } => self::api(&value, api),
            Setting::Unresolved { place } => {
                api.security = Setting::Unresolved { place };
                api.has_unknown_schemes = true;
            }
        }
    }
}

/// Adds the routes of events. Events that name no API get one that SAM makes.
pub fn events(template: &Template<'_>, apis: &mut TemplateApis) {
    for resource in &template.resources {
        if !matches!(resource.kind.as_str(), "AWS::Serverless::Function" | "AWS::Serverless::StateMachine") {
            continue;
        }
        let events = template.properties(resource).then(|properties| properties.inner("Events"));
        for (_, place, event) in events.value().into_iter().flat_map(Fields::each) {
            let Some(event) = event.value() else { continue };
            match event.text("Type").value().map(String::as_str) {
                Some("Api") => self::event(template, apis, event, place, ApiKind::Rest),
                Some("HttpApi") => self::event(template, apis, event, place, ApiKind::Http),
                _ => {}
            }
        }
    }
    for resource in &template.resources {
        if let (REST | HTTP, Some(api)) = (resource.kind.as_str(), apis.named(&resource.id)) {
            protect_by_default(&template.properties(resource), api);
        }
    }
    for (name, kind) in [(IMPLICIT_REST, REST), (IMPLICIT_HTTP, HTTP)] {
        if let (None, Some(api)) = (template.resource_named(name), apis.named(name)) {
            protect_by_default(&template.implicit(name, kind, api.place), api);
        }
    }
}

fn api(properties: &Fields<'_>, api: &mut TemplateApi) {
    if properties.has(URI) && !properties.has(BODY) {
        properties.elsewhere(URI);
        api.has_unknown_schemes = true;
    }
    let body = properties.inner(BODY);
    api.has_unknown_schemes |= body.is_unresolved();
    if let Some(body) = body.value() {
        openapi::read(body, api);
    }
    let authorizers = properties.inner("Auth").then(|auth| auth.inner("Authorizers"));
    api.has_unknown_schemes |= authorizers.is_unresolved();
    for (name, place, fields) in authorizers.value().into_iter().flat_map(Fields::each) {
        let scheme = match fields.value() {
            Some(fields) if api.kind == ApiKind::Rest => rest_authorizer(name, place, fields),
            Some(fields) => http_authorizer(name, place, fields),
            None => Scheme::Unresolved,
        };
        api.define(name, scheme);
    }
}

/// SAM Developer Guide, "LambdaTokenAuthorizer" and "LambdaRequestAuthorizer".
fn rest_authorizer(name: &str, position: Place, fields: &Fields<'_>) -> Scheme {
    if fields.has("UserPoolArn") {
        return Scheme::Other("COGNITO_USER_POOLS".to_owned());
    }
    let kind = match fields.text("FunctionPayloadType") {
        Setting::Given { value, .. } if value == "REQUEST" => AuthorizerKind::Request,
        Setting::Given { .. } | Setting::Absent => AuthorizerKind::Token,
        Setting::Unresolved { .. } => return Scheme::Unresolved,
    };
    let identity = fields.inner("Identity");
    let identity_sources = match kind {
        AuthorizerKind::Request => {
            identity_sources(&identity, ["method.request.", "stageVariables.", "context."])
        }
        AuthorizerKind::Token => {
            let header = match identity.then(|identity| identity.text("Header")) {
                Setting::Absent => Setting::Given { value: "Authorization".to_owned(), place: position },
                header => header,
            };
            header.map(|header| vec![format!("method.request.header.{header}")])
        }
    };
    Scheme::Lambda(Box::new(DeployedAuthorizer {
        name: name.to_owned(),
        position,
        kind,
        identity_sources,
        ttl_seconds: identity.then(|identity| identity.number("ReauthorizeEvery")),
        payload_version: Setting::Absent,
        simple_responses: Setting::Absent,
        validation_expression: identity.then(|identity| identity.text("ValidationExpression")),
        function: fields.template.function(&fields.text("FunctionArn")),
    }))
}

/// SAM Developer Guide, "LambdaAuthorizer".
fn http_authorizer(name: &str, position: Place, fields: &Fields<'_>) -> Scheme {
    if fields.has("JwtConfiguration") {
        return Scheme::Other("JWT".to_owned());
    }
    let identity = fields.inner("Identity");
    Scheme::Lambda(Box::new(DeployedAuthorizer {
        name: name.to_owned(),
        position,
        kind: AuthorizerKind::Request,
        identity_sources: identity_sources(&identity, ["$request.", "$stageVariables.", "$context."]),
        ttl_seconds: identity.then(|identity| identity.number("ReauthorizeEvery")),
        payload_version: fields.text("AuthorizerPayloadFormatVersion"),
        simple_responses: fields.flag("EnableSimpleResponses"),
        validation_expression: Setting::Absent,
        function: fields.template.function(&fields.text("FunctionArn")),
    }))
}

/// The identity sources in the order in which SAM lists them. The cache key has the same order.
fn identity_sources(
    identity: &Setting<Fields<'_>>,
    [request, stage, context]: [&str; 3],
) -> Setting<Vec<String>> {
    let (header, query) = (format!("{request}header."), format!("{request}querystring."));
    let kinds =
        [("Headers", &*header), ("QueryStrings", &query), ("StageVariables", stage), ("Context", context)];
    let (mut sources, mut first) = (Vec::new(), None);
    for (key, prefix) in kinds {
        match identity.then(|identity| identity.texts(key)) {
            Setting::Absent => {}
            Setting::Given { value: names, place } => {
                first.get_or_insert(place);
                sources.extend(names.iter().map(|name| format!("{prefix}{name}")));
            }
            Setting::Unresolved { place } => return Setting::Unresolved { place },
        }
    }
    first.map_or(Setting::Absent, |place| Setting::Given { value: sources, place })
}

/// SAM Developer Guide, "ApiAuth" and "HttpApiAuth": the default protects all routes that do not say otherwise,
/// including those of a definition.
fn protect_by_default(properties: &Setting<Fields<'_>>, api: &mut TemplateApi) {
    let auth = properties.then(|properties| properties.inner("Auth"));
    let default = auth.then(|auth| auth.text("DefaultAuthorizer"));
    if default == Setting::Absent {
        return;
    }
    // For an HTTP API, the translator never applies the default to OPTIONS, whatever the template says.
    let preflight = match api.kind {
        ApiKind::Rest => default_of_preflights(&auth, &default),
        ApiKind::Http | ApiKind::WebSocket => None,
    };
    let has_authorizer = |api: &TemplateApi, names: &[String]| {
        names.iter().any(|name| !matches!(api.scheme(name), Some(Scheme::NoAuthorizer)))
    };
    let mut routes = std::mem::take(&mut api.routes);
    for route in &mut routes {
        let default = if route.verb == "OPTIONS" { preflight.as_ref() } else { Some(&default) };
        let Some(default) = default else { continue };
        let decided = match &route.security {
            Setting::Absent => false,
            Setting::Given { value: names, .. } => match api.kind {
                ApiKind::Http => !names.is_empty(),
                ApiKind::Rest | ApiKind::WebSocket => has_authorizer(api, names),
            },
            Setting::Unresolved { .. } => true,
        };
        if !decided {
            route.security = default.clone().map(|name| vec![name]);
        }
    }
    api.routes = routes;
}

/// The default authorizer of the `OPTIONS` methods of a REST API, if they have one.
fn default_of_preflights(auth: &Setting<Fields<'_>>, default: &Setting<String>) -> Option<Setting<String>> {
    match auth.then(|auth| auth.flag("AddDefaultAuthorizerToCorsPreflight")) {
        Setting::Given { value: false, .. } => None,
        Setting::Given { value: true, .. } | Setting::Absent => Some(default.clone()),
        Setting::Unresolved { place } => Some(Setting::Unresolved { place }),
    }
}

/// What protects the `OPTIONS` methods that SAM adds to a REST API.
pub fn preflight_security(properties: &Fields<'_>) -> Security {
    let auth = properties.inner("Auth");
    let default = auth.then(|auth| auth.text("DefaultAuthorizer"));
    let default = default_of_preflights(&auth, &default).unwrap_or_default();
    default.map(|name| vec![name])
}

/// The type of the API that SAM makes under this name for events.
pub fn implicit_kind(name: &str) -> Option<&'static str> {
    match name {
        IMPLICIT_REST => Some(REST),
        IMPLICIT_HTTP => Some(HTTP),
        _ => None,
    }
}

/// SAM Developer Guide, "Api", "HttpApi" and "ApiFunctionAuth".
fn event(template: &Template<'_>, apis: &mut TemplateApis, event: &Fields<'_>, place: Place, kind: ApiKind) {
    let properties = event.inner("Properties");
    let (id_key, implicit, resource_kind) = match kind {
        ApiKind::Rest => ("RestApiId", IMPLICIT_REST, REST),
        ApiKind::Http | ApiKind::WebSocket => ("ApiId", IMPLICIT_HTTP, HTTP),
    };
    let name = match properties.then(|properties| properties.text(id_key)) {
        Setting::Absent => implicit.to_owned(),
        Setting::Given { value, .. } => {
            intrinsic::reference(&value).map_or(value.as_str(), |(id, _)| id).to_owned()
        }
        Setting::Unresolved { .. } => return,
    };
    let api = match apis.named(&name) {
        Some(_) => apis.named(&name),
        None if name == implicit => {
            let api = apis.add(implicit, kind, place);
            if let Some(properties) = template.implicit(implicit, resource_kind, place).value() {
                self::api(properties, api);
            }
            Some(api)
        }
        None => None,
    };
    // For an API that is not a SAM resource of this template, the event adds a permission, but no route.
    let Some(api) = api.filter(|api| api.kind == kind) else { return };
    let auth = properties.then(|properties| properties.inner("Auth"));
    let overrides = auth.then(|auth| auth.flag("OverrideApiAuth"));
    let is_new = template.resource_named(&api.name).is_none_or(|resource| takes_routes(template, resource));
    if !is_new && matches!(overrides, Setting::Absent | Setting::Given { value: false, .. }) {
        return;
    }
    let (path, method) = (
        properties.then(|properties| properties.text("Path")),
        properties.then(|properties| properties.text("Method")),
    );
    let (verb, path) = match (method, path) {
        (Setting::Given { value: verb, .. }, Setting::Given { value: path, .. }) => {
            (openapi::verb(&verb), openapi::path(&path).to_owned())
        }
        (Setting::Absent, Setting::Absent) if kind == ApiKind::Http => {
            ("ANY".to_owned(), "$default".to_owned())
        }
        (Setting::Absent, _) | (_, Setting::Absent) => {
            let message = format!("{} needs `Path` and `Method`", event.owner);
            return template.problem(place, ProblemKind::Invalid, message);
        }
        _ => return,
    };
    let security = match overrides {
        Setting::Unresolved { place } => Setting::Unresolved { place },
        Setting::Absent | Setting::Given { .. } => {
            auth.then(|auth| auth.text("Authorizer")).map(|name| vec![name])
        }
    };
    match api.routes.iter_mut().find(|route| route.verb == verb && route.path == path) {
        Some(route) => match (&mut route.security, security) {
            (_, Setting::Absent) | (Setting::Unresolved { .. }, _) => {}
            // The definition's own names go first.
            (Setting::Given { value: names, .. }, Setting::Given { value: more, .. }) => names.extend(more),
            (known, security) => *known = security,
        },
        None if is_new => api.routes.push(TemplateRoute { verb, path, place, security }),
        None => {}
    }
}

/// Whether SAM adds the routes of events to an API. It never does if the API is defined in another file. If a REST
/// API has its own definition, it does so only if told to.
fn takes_routes(template: &Template<'_>, resource: &TemplateResource) -> bool {
    let properties = template.properties(resource);
    let Some(properties) = properties.value() else { return true };
    match resource.kind.as_str() {
        REST => {
            !(properties.has(BODY) || properties.has(URI))
                || properties.flag("MergeDefinitions").value() == Some(&true)
        }
        HTTP => properties.has(BODY) || !properties.has(URI),
        _ => false,
    }
}

/// SAM Developer Guide, "AWS::Serverless::WebSocketApi": only `$connect` can have an authorizer.
fn web_socket(properties: &Fields<'_>, api: &mut TemplateApi) {
    let auth = properties.inner("Auth");
    let name = format!("{}ConnectAuthorizer", api.name);
    let security = match auth.then(|auth| auth.text("AuthType")) {
        Setting::Given { value, .. } if value.eq_ignore_ascii_case("CUSTOM") => {
            if let Setting::Given { value: fields, place } = &auth {
                let authorizer = DeployedAuthorizer {
                    name: name.clone(),
                    position: *place,
                    kind: AuthorizerKind::Request,
                    identity_sources: fields.texts("IdentitySource"),
                    ttl_seconds: Setting::Absent,
                    payload_version: Setting::Absent,
                    simple_responses: Setting::Absent,
                    validation_expression: Setting::Absent,
                    function: fields.template.function(&fields.text("AuthArn")),
                };
                api.define(&name, Scheme::Lambda(Box::new(authorizer)));
            }
            Setting::Given { value: vec![name], place: properties.place }
        }
        other => other.map(|kind| vec![kind.to_ascii_uppercase()]),
    };
    let routes = properties.inner("Routes");
    for (key, place, _) in routes.value().into_iter().flat_map(Fields::entries) {
        let security = if key == "$connect" { security.clone() } else { Setting::Absent };
        api.routes.push(TemplateRoute { verb: "ANY".to_owned(), path: key.to_owned(), place, security });
    }
}

const REST: &str = "AWS::Serverless::Api";
const HTTP: &str = "AWS::Serverless::HttpApi";
const BODY: &str = "DefinitionBody";
const URI: &str = "DefinitionUri";

/// SAM Developer Guide, "Generated CloudFormation resources".
const IMPLICIT_REST: &str = "ServerlessRestApi";
const IMPLICIT_HTTP: &str = "ServerlessHttpApi";
