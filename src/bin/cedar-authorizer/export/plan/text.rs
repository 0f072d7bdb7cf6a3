//! What is compared of texts.

use std::str::FromStr;

use cedar_authorizer::bundle::nesting;
use cedar_policy::PolicySet;
use serde_json::Value;

/// What a policy does to what it applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Permit,
    Forbid,
}

/// What an update cannot change (AVP API Reference, `UpdatePolicy`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its effect.
    pub effect: Effect,
    /// Principal and resource of the scope.
    scope: Option<(String, String)>,
}

impl Head {
    /// The head of a policy or template. One that does not parse is equal to none, and taken for a permit.
    pub fn of(statement: &str) -> Self {
        let set = nesting::policies(statement).ok().and_then(|_| PolicySet::from_str(statement).ok());
        let policy = set.as_ref().and_then(|set| set.policies().next()).map(|policy| {
            let scope = (policy.principal_constraint(), policy.resource_constraint());
            (policy.effect(), format!("{:?}", scope.0), format!("{:?}", scope.1))
        });
        let template = || {
            let template = set.as_ref()?.templates().next()?;
            let scope = (template.principal_constraint(), template.resource_constraint());
            Some((template.effect(), format!("{:?}", scope.0), format!("{:?}", scope.1)))
        };
        match policy.or_else(template) {
            Some((effect, principal, resource)) => {
                let effect = match effect {
                    cedar_policy::Effect::Permit => Effect::Permit,
                    cedar_policy::Effect::Forbid => Effect::Forbid,
                };
                Self { effect, scope: Some((principal, resource)) }
            }
            None => Self { effect: Effect::Permit, scope: None },
        }
    }
}

/// Whether two JSON texts mean the same.
pub fn is_same_json(left: &str, right: &str) -> bool {
    let read = |text: &str| serde_json::from_str::<Value>(text).ok();
    left == right || read(left).is_some_and(|left| Some(left) == read(right))
}

/// Whether two descriptions are the same. An empty one is none.
pub fn is_same(left: &Option<String>, right: &Option<String>) -> bool {
    left.as_deref().unwrap_or_default() == right.as_deref().unwrap_or_default()
}
