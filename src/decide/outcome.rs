//! The outcome of a call: the decision, what API Gateway is told, and what explains both.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use cedar_policy::EntityUid;
use serde_json::Value;

use super::decision::{Decision, list};
use crate::gateway::call::Api;
use crate::gateway::route::Route;
use crate::grant::Grant;
use crate::reason::Reason;

/// A decision, with everything that explains it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What the policies say.
    pub decision: Decision,
    /// Who asks.
    pub principal: EntityUid,
    /// The route, and with it the action. `None`: there is none that is safe to name.
    pub route: Option<Route>,
    /// What is acted on.
    pub resource: EntityUid,
    /// What API Gateway is told.
    pub grant: Arc<Grant>,
    /// How much of the API the grant covers.
    pub breadth: Breadth,
    /// The kind of API that gets the answer.
    pub api: Api,
    /// The claims that the backend gets.
    pub backend_claims: BTreeMap<String, Value>,
    /// The API key of the caller, for usage plans of REST APIs.
    pub usage_identifier_key: Option<String>,
    /// What the policies decide, if they allow the call and no IAM statement can say so. A simple response needs none.
    pub(super) without_grant: Option<Decision>,
    /// How many values of the token and the call were dropped because the schema declares another type.
    pub dropped: usize,
    /// The revision of the bundle that decided.
    pub revision: u64,
    /// See [`Outcome::texts`].
    pub(super) texts: OnceLock<Texts>,
}

/// Parts of an outcome as people read them.
#[derive(Clone, Debug)]
pub struct Texts {
    /// Who asks.
    pub principal: String,
    /// The action, if there is a route.
    pub action: Option<String>,
    /// What is acted on.
    pub resource: String,
    /// The determining policies, separated by commas.
    pub policies: String,
    /// The policies that could not be evaluated, separated by commas.
    pub errors: String,
    /// The route, e.g. `GET /pets/{petId}`, if there is one.
    pub route: Option<String>,
    /// The Cedar type of the caller.
    pub principal_type: String,
    /// The Cedar type of the resource.
    pub resource_type: String,
}

/// How much of an API a grant covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breadth {
    /// Only the requested method. The cache key asks for no more.
    Method,
    /// The whole API.
    Api {
        /// How many routes it allows.
        allowed: usize,
        /// How many other routes the caller may take that had no room in the grant.
        left_out: usize,
        /// How many of the allowed routes are denied, in part or as a whole, because patterns cannot tell them
        /// apart from others.
        harmed: usize,
    },
    /// Only the requested method, although the cache key asks for more. This is safe, but other requests are
    /// denied until API Gateway forgets the answer.
    Fallback(Narrow),
}

/// Why a grant cannot cover the whole API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Narrow {
    /// The routes overlap in too many ways to be told apart.
    Inseparable,
    /// There is no room for a single route, or for the answer at all.
    TooLarge,
    /// Deciding on all routes would take too long, because too many conditions have to be evaluated.
    TooExpensive,
}

impl Outcome {
    /// The parts of the outcome as the log and the response show them. They are written only once.
    pub fn texts(&self) -> &Texts {
        self.texts.get_or_init(|| Texts {
            principal: self.principal.to_string(),
            action: self.route.as_ref().map(|route| route.action.to_string()),
            resource: self.resource.to_string(),
            policies: list(&self.decision.policies),
            errors: list(&self.decision.errors),
            route: self.route.as_ref().map(ToString::to_string),
            principal_type: self.principal.type_name().to_string(),
            resource_type: self.resource.type_name().to_string(),
        })
    }

    /// The outcome as a simple response tells it: its boolean is right for every request with the same cache key,
    /// whether or not an IAM statement could say so. `None`: it is the same.
    #[must_use]
    pub fn as_simple(&self) -> Option<Self> {
        let decision = self.without_grant.clone()?;
        Some(Self { decision, without_grant: None, texts: OnceLock::new(), ..self.clone() })
    }

    /// The outcome if the [response](crate::gateway::response::Response::is_shortened) has no room for the
    /// principal and the claims: everything is denied.
    #[must_use]
    pub fn shortened(&self) -> Self {
        let mut shortened = self.clone();
        if self.decision.is_allowed() {
            shortened.decision = Decision::deny(Reason::ResponseTooLarge);
            shortened.texts = OnceLock::new();
        }
        shortened.without_grant = None;
        shortened.grant = Arc::new(Grant::deny_all());
        shortened.breadth = Breadth::Fallback(Narrow::TooLarge);
        shortened
    }
}
