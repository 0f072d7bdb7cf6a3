//! A call: one API request as the authorizer sees it.

use std::fmt;

use aws_lambda_events::event::apigw::ApiGatewayCustomAuthorizerRequest;
use serde_json::Value;

use crate::arn::{InvalidArn, MethodArn};
use crate::reason::Reason;

/// A request to an API that waits for its authorization.
#[derive(Clone)]
pub struct Call {
    authorization: String,
    method_arn: MethodArn,
}

impl Call {
    /// Reads the event of a TOKEN authorizer:
    ///
    /// ```json
    /// {"type": "TOKEN", "authorizationToken": "Bearer eyJ...", "methodArn": "arn:aws:execute-api:..."}
    /// ```
    ///
    /// A token that is absent is no error here: the caller is then told so as a caller.
    ///
    /// # Errors
    /// [`InvalidEvent`], which says nothing of the event's values: the token is one of them.
    pub fn from_event(event: Value) -> Result<Self, InvalidEvent> {
        let event: ApiGatewayCustomAuthorizerRequest =
            serde_json::from_value(event).map_err(|_| InvalidEvent::NotAnAuthorizerEvent)?;
        match event.type_.as_deref() {
            Some("TOKEN") => {}
            Some("REQUEST") => return Err(InvalidEvent::RequestAuthorizer),
            _ => return Err(InvalidEvent::NotAnAuthorizerEvent),
        }
        let method_arn = event.method_arn.ok_or(InvalidEvent::NoMethodArn)?;
        Ok(Self {
            authorization: event.authorization_token.unwrap_or_default(),
            method_arn: method_arn.parse()?,
        })
    }

    /// The value of the header that carries the token; empty if there was none.
    pub fn authorization(&self) -> &str {
        &self.authorization
    }

    /// The method that is about to be called.
    pub fn method_arn(&self) -> &MethodArn {
        &self.method_arn
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Call({})", self.method_arn)
    }
}

/// Why an event is not one that can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEvent {
    /// The ARN cannot be read.
    #[error(transparent)]
    MethodArn(#[from] InvalidArn),
    /// There is no ARN.
    #[error("the event has no `methodArn`")]
    NoMethodArn,
    /// Not the shape of any authorizer event.
    #[error("the event is not that of an API Gateway Lambda authorizer")]
    NotAnAuthorizerEvent,
    /// The event of a REQUEST authorizer.
    #[error("the event is that of a REQUEST authorizer; this version answers TOKEN authorizers")]
    RequestAuthorizer,
}

impl InvalidEvent {
    /// The reason code.
    pub fn reason(self) -> Reason {
        match self {
            Self::RequestAuthorizer => Reason::EventUnsupported,
            Self::MethodArn(_) | Self::NoMethodArn | Self::NotAnAuthorizerEvent => Reason::EventMalformed,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ARN: &str = "arn:aws:execute-api:us-west-2:123456789012:ymy8tbxw7b/*/GET/";

    #[test]
    fn reads_the_event_of_a_token_authorizer() {
        let event = json!({"type": "TOKEN", "authorizationToken": "Bearer x", "methodArn": ARN});
        let call = Call::from_event(event).unwrap();
        assert_eq!((call.authorization(), call.method_arn().as_str()), ("Bearer x", ARN));
        assert!(!format!("{call:?}").contains("Bearer"));
    }

    #[test]
    fn a_missing_token_is_an_empty_one() {
        for event in [
            json!({"type": "TOKEN", "methodArn": ARN}),
            json!({"type": "TOKEN", "methodArn": ARN, "authorizationToken": null}),
        ] {
            assert_eq!(Call::from_event(event).unwrap().authorization(), "");
        }
    }

    #[test]
    fn refuses_other_events_without_repeating_them() {
        for (event, expected) in [
            (json!(null), InvalidEvent::NotAnAuthorizerEvent),
            (json!([]), InvalidEvent::NotAnAuthorizerEvent),
            (json!({}), InvalidEvent::NotAnAuthorizerEvent),
            (json!({"type": "token", "methodArn": ARN}), InvalidEvent::NotAnAuthorizerEvent),
            (
                json!({"type": "TOKEN", "authorizationToken": {"secret": 1}, "methodArn": ARN}),
                InvalidEvent::NotAnAuthorizerEvent,
            ),
            (json!({"type": "REQUEST", "methodArn": ARN}), InvalidEvent::RequestAuthorizer),
            (json!({"type": "TOKEN"}), InvalidEvent::NoMethodArn),
            (json!({"type": "TOKEN", "methodArn": "x"}), InvalidEvent::MethodArn(InvalidArn::Shape)),
        ] {
            let error = Call::from_event(event).unwrap_err();
            assert_eq!(error, expected);
            assert!(!error.to_string().contains("secret"));
        }
    }
}
