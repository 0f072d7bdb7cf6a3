//! The grant: the IAM statements that answer API Gateway.
//!
//! API Gateway keeps the whole answer and applies it to every later request with the same cache
//! key. With the key `none` nothing is kept, so a grant speaks of the requested method alone.

use serde::Serialize;

use crate::arn::MethodArn;
use crate::reason::Reason;

/// IAM statements.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Grant {
    statements: Vec<Statement>,
}

impl Grant {
    /// Allows the requested method and nothing else.
    ///
    /// # Errors
    /// [`NotGrantable`], where the ARN would allow more than itself, or could not stand whole.
    pub fn allow(arn: &MethodArn) -> Result<Self, NotGrantable> {
        // The stage alone may be a wildcard of API Gateway's own making.
        if WILDCARDS.iter().any(|text| arn.path().contains(text)) {
            return Err(NotGrantable::Pattern);
        }
        match arn.as_str().len() > MAX_RESOURCE_CHARACTERS {
            true => Err(NotGrantable::TooLong),
            false => Ok(Self::of(Effect::Allow, arn.as_str().to_owned())),
        }
    }

    /// Denies the requested method.
    ///
    /// Wildcards of the path stay, since each matches itself. The start of a policy variable is
    /// replaced by wildcards, since its value would stand in its place. What is too long is cut.
    /// All of this may deny more than was asked, which is safe, and never less.
    pub fn deny(arn: &MethodArn) -> Self {
        let resource = arn.as_str().replace("${", "??");
        let resource = match resource.len() > MAX_RESOURCE_CHARACTERS {
            true => {
                let head: String = resource.chars().take(MAX_RESOURCE_CHARACTERS - 1).collect();
                head + "*"
            }
            false => resource,
        };
        Self::of(Effect::Deny, resource)
    }

    /// The statements.
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    fn of(effect: Effect, resource: String) -> Self {
        Self { statements: vec![Statement { action: INVOKE, effect, resource: vec![resource] }] }
    }
}

/// One IAM statement. Every member is always written: none has a default that could be the wrong one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Statement {
    action: &'static str,
    effect: Effect,
    resource: Vec<String>,
}

impl Statement {
    /// Whether it allows or denies.
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// The patterns of method ARNs.
    pub fn resource(&self) -> &[String] {
        &self.resource
    }
}

/// What a statement does to what it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "IAM's own words")]
pub enum Effect {
    Allow,
    Deny,
}

/// Why an ARN cannot be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotGrantable {
    /// Its path holds what IAM reads as a pattern or a policy variable.
    #[error("the path of the method ARN is a pattern to IAM")]
    Pattern,
    /// It is longer than the resource of a policy may be.
    #[error("the method ARN is longer than {MAX_RESOURCE_CHARACTERS} characters")]
    TooLong,
}

impl From<NotGrantable> for Reason {
    fn from(not_grantable: NotGrantable) -> Self {
        match not_grantable {
            NotGrantable::Pattern => Self::PathUnsafe,
            NotGrantable::TooLong => Self::ResourceTooLong,
        }
    }
}

/// What IAM reads as more than itself in a `Resource`.
/// Source: IAM User Guide, "IAM JSON policy elements: Resource".
const WILDCARDS: [&str; 3] = ["*", "?", "${"];

/// API Gateway Developer Guide, "Control access to a REST API with IAM permissions".
const INVOKE: &str = "execute-api:Invoke";

/// API Gateway Developer Guide, "Output from an API Gateway Lambda authorizer".
const MAX_RESOURCE_CHARACTERS: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn arn(path: &str) -> MethodArn {
        format!("arn:aws:execute-api:us-east-1:123456789012:a/s/GET/{path}").parse().unwrap()
    }

    #[test]
    fn allows_the_very_arn() {
        let arn = arn("pets/7");
        let grant = Grant::allow(&arn).unwrap();
        assert_eq!(
            grant.statements(),
            [Statement {
                action: "execute-api:Invoke",
                effect: Effect::Allow,
                resource: vec![arn.to_string()],
            }]
        );
    }

    #[test]
    fn an_arn_beyond_the_limit_is_never_allowed_and_denied_by_its_beginning() {
        let longest = arn(&"x".repeat(MAX_RESOURCE_CHARACTERS - arn("").as_str().len()));
        assert!(Grant::allow(&longest).is_ok());
        let longer = arn(&"é".repeat(MAX_RESOURCE_CHARACTERS));
        assert_eq!(Grant::allow(&longer), Err(NotGrantable::TooLong));
        let resource = Grant::deny(&longer).statements()[0].resource()[0].clone();
        assert_eq!(resource.chars().count(), MAX_RESOURCE_CHARACTERS);
        assert!(resource.ends_with("é*"));
    }

    #[test]
    fn a_pattern_is_never_allowed() {
        for path in ["*", "a?", "${aws:username}", "a/*/b"] {
            assert_eq!(Grant::allow(&arn(path)), Err(NotGrantable::Pattern), "{path}");
        }
        assert!(Grant::allow(&arn("urn:a:b")).is_ok());
    }

    #[test]
    fn a_denial_holds_no_policy_variable() {
        let grant = Grant::deny(&arn("pets/${aws:username}"));
        assert!(grant.statements()[0].resource()[0].ends_with("pets/??aws:username}"));
    }
}
