//! Properties of a policy store: claims that are decided for every possible request.

pub mod decide;
pub mod pattern;
pub mod read;
pub mod report;

use cedar_authorizer::cedar::PolicyId;

use super::policies::Environment;
use crate::yaml::Place;
use pattern::Pattern;

/// A property, as a file has it.
#[derive(Clone, Debug)]
pub struct Property {
    pub name: String,
    /// Where it is in the file.
    pub place: Place,
    pub claim: Claim,
}

/// What is claimed.
#[derive(Clone, Debug)]
pub enum Claim {
    /// No request that matches is allowed.
    Never(Pattern),
    /// Every request that matches is allowed.
    Always(Pattern),
    /// These policies can be evaluated whatever is asked.
    NeverErrors(Vec<PolicyId>),
    /// There is no request that the policy applies to.
    NeverApplies(PolicyId),
    /// There is no request that both apply to.
    Disjoint(PolicyId, PolicyId),
    /// Both apply to the same requests.
    Equivalent(PolicyId, PolicyId),
    /// Without the policy, each request would be decided in the same way.
    ChangesNothing(PolicyId),
    /// Without the policy, some request would be decided otherwise.
    Matters(PolicyId),
}

impl Claim {
    /// The key in a file.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Never(_) => "never",
            Self::Always(_) => "always",
            Self::NeverErrors(_) => "never_errors",
            Self::NeverApplies(_) => "never_applies",
            Self::Disjoint(..) => "disjoint",
            Self::Equivalent(..) => "equivalent",
            Self::ChangesNothing(_) => "changes_nothing",
            Self::Matters(_) => "matters",
        }
    }

    /// Whether it is about an environment, as far as its actions go.
    pub fn is_about(&self, environment: &Environment) -> bool {
        match self {
            Self::Never(pattern) | Self::Always(pattern) => pattern.actions.contains(&environment.action),
            _ => true,
        }
    }
}
