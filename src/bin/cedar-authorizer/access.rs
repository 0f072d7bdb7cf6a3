//! What a change of policies does to access.

use serde::{Deserialize, Serialize};

/// What a change does to the access of one caller to one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Denied before, allowed now.
    Gained,
    /// Allowed before, not any more.
    Lost,
    /// Allowed, or not, before and now. Something else differs, such as the reason of a denial.
    Same,
}

impl Access {
    /// The change between two decisions. `allow` is allowed, all else is not.
    pub fn between(before: &str, after: &str) -> Self {
        match (before == ALLOW, after == ALLOW) {
            (false, true) => Self::Gained,
            (true, false) => Self::Lost,
            (true, true) | (false, false) => Self::Same,
        }
    }

    /// The name in reports: `gained`, `lost`, `same`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gained => "gained",
            Self::Lost => "lost",
            Self::Same => "same",
        }
    }
}

/// The name of the decision that allows.
const ALLOW: &str = "allow";
