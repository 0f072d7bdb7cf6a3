//! A call: one API request as the authorizer sees it.

pub(super) mod event;
mod parameters;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::gateway::arn::{InvalidArn, MethodArn};
use crate::reason::Reason;
use event::AuthorizerEvent;
pub use parameters::{Ambiguous, Values};

/// A request to an API that waits for authorization.
#[derive(Clone)]
pub struct Call {
    api: Api,
    method_arn: MethodArn,
    target: Target,
    route_key: RouteKey,
    /// The token, if the event has a field for it.
    token_field: Option<String>,
    headers: Values,
    query: Values,
    path_parameters: BTreeMap<String, String>,
    path: Option<String>,
    host: Option<String>,
    source_ip: Option<String>,
    user_agent: Option<String>,
    time_milliseconds: Option<u64>,
    request_id: Option<String>,
}

/// The kind of API and authorizer that an event comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// An HTTP API, payload format 1.0.
    HttpV1,
    /// An HTTP API, payload format 2.0.
    HttpV2,
    /// A REST API with a REQUEST authorizer.
    RestRequest,
    /// A REST API with a TOKEN authorizer.
    RestToken,
    /// The connection of a WebSocket API.
    WebSocket,
}

impl Api {
    /// The name by which logs and settings know it.
    pub fn name(self) -> &'static str {
        match self {
            Self::HttpV1 => "http-1.0",
            Self::HttpV2 => "http",
            Self::RestRequest => "rest-request",
            Self::RestToken => "rest-token",
            Self::WebSocket => "websocket",
        }
    }
}

/// How an event says what is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// By the concrete path in its ARN. The route has to be found.
    Path,
    /// By the route that API Gateway chose. That choice is final.
    Route {
        /// The HTTP method of the request, in upper case. `None` for a WebSocket API.
        verb: Option<String>,
        /// A path template, `$default` or `$connect`.
        template: String,
    },
}

/// What the route key of an HTTP API says about the method of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteKey {
    /// There is none: the API is of another kind.
    Absent,
    /// `ANY /pets` or `$default`: nothing. Requests with other methods have the same key.
    AnyMethod,
    /// `GET /pets`: the method.
    OneMethod,
}

impl Call {
    /// Reads the event of a Lambda authorizer of API Gateway, of any kind:
    ///
    /// | event | kind |
    /// |---|---|
    /// | has `routeArn`, or `version` is `2.0` | HTTP API, format 2.0 |
    /// | has `requestContext.connectionId`, or `eventType` is `CONNECT` | WebSocket |
    /// | `type` is `TOKEN` | REST, TOKEN |
    /// | `version` is `1.0` | HTTP API, format 1.0 |
    /// | `type` is `REQUEST` | REST, REQUEST |
    ///
    /// A missing token is not an error here. The caller gets an answer about it later.
    ///
    /// # Errors
    /// [`InvalidEvent`], which says nothing about the values in the event, because the token is one of them.
    pub fn from_event(event: Value) -> Result<Self, InvalidEvent> {
        let event = serde_json::from_value::<AuthorizerEvent>(event);
        event.map_err(|_| InvalidEvent::NotAnAuthorizerEvent)?.try_into()
    }

    /// The same for the text of an event.
    ///
    /// # Errors
    /// [`InvalidEvent`].
    pub fn from_json(event: &str) -> Result<Self, InvalidEvent> {
        let event = serde_json::from_str::<AuthorizerEvent>(event);
        event.map_err(|_| InvalidEvent::NotAnAuthorizerEvent)?.try_into()
    }

    /// The kind of API.
    pub fn api(&self) -> Api {
        self.api
    }

    /// The ARN of the method that is about to be called.
    pub fn method_arn(&self) -> &MethodArn {
        &self.method_arn
    }

    /// What is called.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// What its route key says about the method.
    pub fn route_key(&self) -> RouteKey {
        self.route_key
    }

    /// The value that carries the token, found where the policy store says; empty if there is none.
    ///
    /// # Errors
    /// [`Reason::TokenMalformed`] if there are several values that differ: readers may take different ones.
    pub fn authorization(&self, location: &TokenLocation) -> Result<&str, Reason> {
        if let Some(token) = &self.token_field {
            return Ok(token);
        }
        let several = |_| Reason::TokenMalformed;
        if let Some(value) = self.headers.get(&location.header).map_err(several)? {
            return Ok(value);
        }
        // A browser cannot set headers on a WebSocket connection.
        if self.api == Api::WebSocket {
            if let Some(name) = &location.query
                && let Some(value) = self.query.get(name).map_err(several)?
            {
                return Ok(value);
            }
            if let Some(name) = &location.subprotocol
                && let Some(offered) = self.headers.get(SUBPROTOCOL).map_err(several)?
            {
                // `bearer, eyJ...`: the name that the store configures, then the token.
                let (first, token) = offered.split_once(',').ok_or(Reason::TokenMissing)?;
                return if first.trim() == name { Ok(token.trim()) } else { Err(Reason::TokenMissing) };
            }
        }
        Ok("")
    }

    /// The token, if the event has a field for it.
    #[cfg(feature = "function")]
    pub(crate) fn token_field(&self) -> Option<&str> {
        self.token_field.as_deref()
    }

    /// Whether the request asks for another method than the one it was made with, which API Gateway honours for
    /// `X-HTTP-Method-Override` (Developer Guide, "Important notes"). Which of the two an authorizer sees is not
    /// documented.
    pub fn overrides_method(&self) -> bool {
        let verb = match &self.target {
            Target::Route { verb: Some(verb), .. } => Some(verb.as_str()),
            _ => self.method_arn.verb(),
        };
        let asks = |value: Result<Option<&str>, Ambiguous>| match value {
            Ok(Some(asked)) => verb.is_none_or(|verb| !verb.eq_ignore_ascii_case(asked)),
            Ok(None) => false,
            Err(Ambiguous) => true,
        };
        let differs = self.method_arn.verb().is_some_and(|of_arn| verb != Some(of_arn));
        asks(self.headers.get(METHOD_OVERRIDE)) || differs
    }

    /// The values of the path parameters, as the event has them.
    pub fn path_parameters(&self) -> &BTreeMap<String, String> {
        &self.path_parameters
    }

    /// The query parameters.
    pub fn query(&self) -> &Values {
        &self.query
    }

    /// The headers.
    pub fn headers(&self) -> &Values {
        &self.headers
    }

    /// The HTTP method of the request, in upper case.
    pub fn verb(&self) -> Option<&str> {
        match &self.target {
            Target::Route { verb, .. } => verb.as_deref(),
            Target::Path => self.method_arn.verb(),
        }
    }

    /// The concrete path, for information only: APIs differ in how much of it they decode.
    pub fn path(&self) -> Option<&str> {
        match (&self.path, self.api) {
            (None, Api::RestToken) => Some(self.method_arn.path()),
            (path, _) => path.as_deref(),
        }
    }

    /// The domain name in the request.
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// The address of the caller.
    pub fn source_ip(&self) -> Option<&str> {
        self.source_ip.as_deref()
    }

    /// What the caller claims to be.
    pub fn user_agent(&self) -> Option<&str> {
        self.user_agent.as_deref()
    }

    /// When API Gateway received the request, in milliseconds since 1970.
    pub fn time_milliseconds(&self) -> Option<u64> {
        self.time_milliseconds
    }

    /// API Gateway's id of the request, as in its access log. Events of TOKEN authorizers have none.
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Call({:?} {})", self.api, self.method_arn)
    }
}

/// Where a request carries its token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenLocation {
    /// The name of a header, in any case.
    pub header: String,
    /// The name of a query parameter, only for WebSocket APIs.
    pub query: Option<String>,
    /// The subprotocol before the token in `Sec-WebSocket-Protocol`, only for WebSocket APIs.
    pub subprotocol: Option<String>,
}

impl Default for TokenLocation {
    fn default() -> Self {
        Self { header: "authorization".to_owned(), query: None, subprotocol: None }
    }
}

/// Why an event cannot be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEvent {
    /// The ARN cannot be read.
    #[error(transparent)]
    MethodArn(#[from] InvalidArn),
    /// There is no ARN.
    #[error("the event has neither a `methodArn` nor a `routeArn`")]
    NoMethodArn,
    /// There is no route.
    #[error("the event does not say which route was chosen")]
    NoRoute,
    /// Not the shape of any authorizer event.
    #[error("the event is not that of an API Gateway Lambda authorizer")]
    NotAnAuthorizerEvent,
}

impl InvalidEvent {
    /// The reason code.
    pub fn reason(self) -> Reason {
        Reason::EventMalformed
    }
}

const METHOD_OVERRIDE: &str = "x-http-method-override";
const SUBPROTOCOL: &str = "sec-websocket-protocol";

#[cfg(test)]
mod tests;
