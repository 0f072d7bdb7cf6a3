//! What clients get from API Gateway itself, when no backend answers.
//!
//! REST APIs let their owner change these answers ("Gateway responses for REST APIs in API Gateway" in the Developer
//! Guide); HTTP and WebSocket APIs do not. The defaults are from the Developer Guide, "Gateway response types", and from
//! answers that others captured on AWS. Those for requests that are too large, and for backends that fail, are not
//! documented word by word.

mod cors;
mod template;
#[cfg(test)]
mod tests;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use cedar_authorizer::gateway::route::Route;
use serde_json::{Map, Value, json};

use super::api::{GatewayResponse, Kind, ServedApi};
pub use cors::{add_cors, preflight};
use template::Variables;

/// Why no backend answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Case {
    /// An identity source is missing, or the authorizer says `Unauthorized`.
    Unauthorized,
    /// A statement of the authorizer's answer denies it. For HTTP APIs the same as [`Case::ImplicitDeny`].
    ExplicitDeny,
    /// No statement of the authorizer's answer is about it.
    ImplicitDeny,
    /// The authorizer failed, or answered something that is no answer.
    AuthorizerFailed,
    /// The route is protected by something that is not served here, such as `AWS_IAM`.
    NotServed(String),
    /// No route has this method and path.
    NoRoute,
    /// The request is malformed.
    BadRequest,
    /// The body is larger than API Gateway takes.
    BodyTooLarge,
    /// The path is longer than API Gateway takes.
    PathTooLong,
    /// The headers are larger than API Gateway takes.
    HeadersTooLarge,
    /// The backend cannot be reached, or breaks off.
    BackendFailed,
    /// The backend does not answer in time.
    BackendTimeout,
}

/// What an answer may repeat of the request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Details<'a> {
    /// The id that API Gateway gave the request.
    pub request_id: &'a str,
    /// The method, in upper case.
    pub method: &'a str,
    /// The path as the client sent it, without a query.
    pub path: &'a str,
    /// Query parameters, decoded.
    pub query: &'a [(String, String)],
    /// The headers of the request.
    pub headers: &'a [(String, String)],
    /// The address of the client.
    pub source_ip: &'a str,
    /// The route that API Gateway chose.
    pub route: Option<&'a Route>,
    /// The `principalId` of the authorizer's answer.
    pub principal: Option<&'a str>,
    /// The `context` of the authorizer's answer.
    pub context: Option<&'a Map<String, Value>>,
}

/// What a client gets: status, headers and body.
///
/// The body and the headers may repeat a header of the request, and so a token, if the owner of the API wants that.
pub fn of(
    api: &ServedApi,
    kind: Kind,
    case: &Case,
    details: &Details<'_>,
) -> (StatusCode, HeaderMap, String) {
    let standard = Standard::of(kind, case);
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let request_id = if kind.is_rest() { REST_REQUEST_ID } else { HTTP_REQUEST_ID };
    insert(&mut headers, &request_id, details.request_id);
    if let Some(error_type) = standard.error_type {
        headers.insert(ERROR_TYPE, HeaderValue::from_static(error_type));
    }
    let Some((name, response)) = customized(api, kind, &standard) else {
        add_cors(api, kind, details.headers, &mut headers);
        return (standard.status, headers, standard.body());
    };
    let message = standard.message.as_deref();
    let variables = Variables { api, response_type: name, message, details };
    for (name, mapping) in &response.headers {
        let name = HeaderName::try_from(name.as_str());
        if let (Ok(name), Some(value)) = (name, variables.header(mapping)) {
            insert(&mut headers, &name, &value);
        }
    }
    let status = response.status.and_then(final_status);
    let body = response.json_template.as_ref().map(|template| variables.body(template));
    (status.unwrap_or(standard.status), headers, body.unwrap_or_else(|| standard.body()))
}

/// A status that can end an exchange.
fn final_status(status: u16) -> Option<StatusCode> {
    StatusCode::from_u16(status).ok().filter(|status| !status.is_informational())
}

/// Puts a header in place of one that is there. A value that no header can have is left out, and so is what belongs to
/// the connection: API Gateway keeps that to itself.
fn insert(headers: &mut HeaderMap, name: &HeaderName, value: &str) {
    if OF_CONNECTION.contains(name) {
        return;
    }
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// The gateway response of a case: that of its type, otherwise that of all errors of the client or of the server.
///
/// Source: Developer Guide, "Gateway response types": an unspecified type defaults to `DEFAULT_4XX` or `DEFAULT_5XX`.
fn customized<'a>(
    api: &'a ServedApi,
    kind: Kind,
    standard: &Standard,
) -> Option<(&'static str, &'a GatewayResponse)> {
    // WebSocket APIs have none.
    if !matches!(kind, Kind::RestRequest | Kind::RestToken) {
        return None;
    }
    let own = standard.response_type?;
    let fallback = if standard.status.is_server_error() { DEFAULT_5XX } else { DEFAULT_4XX };
    let response = api.gateway_responses.get(own).or_else(|| api.gateway_responses.get(fallback))?;
    Some((own, response))
}

/// What a client gets of an API whose owner changed nothing.
struct Standard {
    status: StatusCode,
    /// The type of its gateway response. `None`: it has none, because API Gateway does not know the API yet.
    response_type: Option<&'static str>,
    /// The header `x-amzn-ErrorType`.
    error_type: Option<&'static str>,
    /// The name of the message in the body.
    key: &'static str,
    /// `None`: the message is null.
    message: Option<String>,
}

impl Standard {
    fn of(kind: Kind, case: &Case) -> Self {
        if let Case::NotServed(protection) = case {
            let message = format!("this route is protected by {protection}, which is not served here");
            return Self::http(StatusCode::INTERNAL_SERVER_ERROR, &message);
        }
        if kind.is_rest() { Self::of_rest(case) } else { Self::of_http(case) }
    }

    fn of_rest(case: &Case) -> Self {
        let (status, response_type, error_type, message) = match case {
            Case::Unauthorized => (401, "UNAUTHORIZED", "UnauthorizedException", "Unauthorized"),
            Case::ExplicitDeny => (
                403,
                "ACCESS_DENIED",
                "AccessDeniedException",
                "User is not authorized to access this resource with an explicit deny",
            ),
            Case::ImplicitDeny => (
                403,
                "ACCESS_DENIED",
                "AccessDeniedException",
                "User is not authorized to access this resource",
            ),
            Case::AuthorizerFailed | Case::NotServed(_) => {
                (500, "AUTHORIZER_CONFIGURATION_ERROR", "AuthorizerConfigurationException", "")
            }
            Case::NoRoute => (
                403,
                "MISSING_AUTHENTICATION_TOKEN",
                "MissingAuthenticationTokenException",
                "Missing Authentication Token",
            ),
            Case::BadRequest => (400, "", "BadRequestException", "Bad Request"),
            Case::BodyTooLarge => (413, "REQUEST_TOO_LARGE", "RequestTooLargeException", "Request Too Long"),
            Case::PathTooLong => (414, "", "", "Request-URI Too Long"),
            Case::HeadersTooLarge => (431, "", "", "Request Header Fields Too Large"),
            Case::BackendFailed => {
                (502, "INTEGRATION_FAILURE", "InternalServerErrorException", "Internal server error")
            }
            Case::BackendTimeout => {
                (504, "INTEGRATION_TIMEOUT", "InternalServerErrorException", "Endpoint request timed out")
            }
        };
        let given = |text: &'static str| Some(text).filter(|text| !text.is_empty());
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            response_type: given(response_type),
            error_type: given(error_type),
            // Captured like this on AWS (aws/chalice, issue 971); its articles have `message`.
            key: if response_type == "ACCESS_DENIED" { "Message" } else { "message" },
            message: given(message).map(str::to_owned),
        }
    }

    fn of_http(case: &Case) -> Self {
        match case {
            Case::Unauthorized => Self::http(StatusCode::UNAUTHORIZED, "Unauthorized"),
            Case::ExplicitDeny | Case::ImplicitDeny => Self::http(StatusCode::FORBIDDEN, "Forbidden"),
            Case::AuthorizerFailed | Case::NotServed(_) => {
                Self::http(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
            }
            Case::NoRoute => Self::http(StatusCode::NOT_FOUND, "Not Found"),
            Case::BadRequest => Self::http(StatusCode::BAD_REQUEST, "Bad Request"),
            Case::BodyTooLarge => Self::http(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large"),
            Case::PathTooLong => Self::http(StatusCode::URI_TOO_LONG, "Request-URI Too Long"),
            Case::HeadersTooLarge => {
                Self::http(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "Request Header Fields Too Large")
            }
            Case::BackendFailed => Self::http(StatusCode::BAD_GATEWAY, "Internal Server Error"),
            Case::BackendTimeout => Self::http(StatusCode::GATEWAY_TIMEOUT, "Endpoint request timed out"),
        }
    }

    fn http(status: StatusCode, message: &str) -> Self {
        Self {
            status,
            response_type: None,
            error_type: None,
            key: "message",
            message: Some(message.to_owned()),
        }
    }

    fn body(&self) -> String {
        json!({ self.key: self.message }).to_string()
    }
}

const DEFAULT_4XX: &str = "DEFAULT_4XX";
const DEFAULT_5XX: &str = "DEFAULT_5XX";

/// RFC 9110, 7.6.1 and 8.6.
const OF_CONNECTION: [HeaderName; 6] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
const REST_REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const HTTP_REQUEST_ID: HeaderName = HeaderName::from_static("apigw-requestid");
