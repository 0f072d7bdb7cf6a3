//! The headers and the body of a gateway response: static text with values of the request.
//!
//! The template of a body is no Velocity template: it has variables, and nothing else (Developer Guide, "Gateway
//! responses for REST APIs in API Gateway" and "x-amazon-apigateway-gateway-responses.responseTemplates object").

use cedar_authorizer::gateway::route::Segment;
use serde_json::Value;

use super::Details;
use crate::serve::api::ServedApi;

/// What the variables of a gateway response stand for.
pub struct Variables<'a> {
    /// The API that answers.
    pub api: &'a ServedApi,
    /// The type of the gateway response.
    pub response_type: &'a str,
    /// The message that a client would get without it. `None`: null.
    pub message: Option<&'a str>,
    /// What is known of the request.
    pub details: &'a Details<'a>,
}

impl Variables<'_> {
    /// The value of a header: static text in single quotes, or the name of a value of the request. `None`: there is no
    /// such value, so there is no such header.
    pub fn header(&self, mapping: &str) -> Option<String> {
        let mapping = mapping.trim();
        match unquoted(mapping) {
            Some(text) => Some(text.to_owned()),
            None => self.value(mapping),
        }
    }

    /// The body. A variable without a value is left out.
    pub fn body(&self, template: &str) -> String {
        let mut body = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('$') {
            body.push_str(before);
            let name = name_at_start(after);
            if ROOTS.iter().any(|root| name.starts_with(root)) {
                body.push_str(&self.value(name).unwrap_or_default());
                rest = after.strip_prefix(name).unwrap_or_default();
            } else {
                body.push('$');
                rest = after;
            }
        }
        body + rest
    }

    /// The value of a variable, by its name without `$`.
    fn value(&self, name: &str) -> Option<String> {
        if let Some(name) = name.strip_prefix("method.request.") {
            return self.parameter(name);
        }
        let name = name.strip_prefix("context.")?;
        let Details { request_id, method, path, source_ip, route, principal, context, .. } = self.details;
        if let Some(name) = name.strip_prefix("authorizer.") {
            let of_context = || match context.as_ref()?.get(name)? {
                Value::String(text) => Some(text.clone()),
                other => Some(other.to_string()),
            };
            return if name == "principalId" { principal.map(str::to_owned) } else { of_context() };
        }
        Some(match name {
            "error.message" => self.message.unwrap_or("null").to_owned(),
            "error.messageString" => Value::from(self.message).to_string(),
            "error.responseType" => self.response_type.to_owned(),
            "extendedRequestId" | "requestId" => (*request_id).to_owned(),
            "httpMethod" => (*method).to_owned(),
            "identity.sourceIp" => (*source_ip).to_owned(),
            "identity.userAgent" => first(self.details.headers, "user-agent", str::eq_ignore_ascii_case)?,
            // With the stage, as on the domain of API Gateway.
            "path" => format!("/{}{path}", self.api.stage),
            "protocol" => "HTTP/1.1".to_owned(),
            "resourcePath" => (*route)?.template.to_string(),
            "stage" => self.api.stage.clone(),
            _ => return None,
        })
    }

    /// A parameter of the request, such as `header.Origin`.
    fn parameter(&self, name: &str) -> Option<String> {
        match name.split_once('.')? {
            ("header", name) => first(self.details.headers, name, str::eq_ignore_ascii_case),
            ("querystring", name) => first(self.details.query, name, str::eq),
            ("path", name) => self.path_parameter(name),
            _ => None,
        }
    }

    /// A parameter of the route, as the client sent it.
    fn path_parameter(&self, name: &str) -> Option<String> {
        let segments = self.details.route?.template.segments();
        let path = self.details.path.strip_prefix('/')?;
        for (index, segment) in segments.iter().enumerate() {
            match segment {
                Segment::Parameter(known) if known == name => {
                    return path.split('/').nth(index).map(str::to_owned);
                }
                Segment::Greedy(known) if known == name => {
                    return Some(path.split('/').skip(index).collect::<Vec<_>>().join("/"));
                }
                _ => {}
            }
        }
        None
    }
}

/// Static text, as the mappings of API Gateway have it: in single quotes.
pub fn unquoted(mapping: &str) -> Option<&str> {
    mapping.strip_prefix('\'')?.strip_suffix('\'')
}

fn first(values: &[(String, String)], name: &str, is_same: impl Fn(&str, &str) -> bool) -> Option<String> {
    values.iter().find(|(known, _)| is_same(known, name)).map(|(_, value)| value.clone())
}

/// The name of a variable: letters, digits, and `.`, `_` and `-` between them.
fn name_at_start(text: &str) -> &str {
    let is_part = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '_' | '-');
    let length = text.find(|char| !is_part(char)).unwrap_or(text.len());
    text.get(..length).unwrap_or_default().trim_end_matches(['.', '-'])
}

/// What the names of variables begin with. Any other `$` is text.
const ROOTS: [&str; 3] = ["context.", "method.request.", "stageVariables."];
