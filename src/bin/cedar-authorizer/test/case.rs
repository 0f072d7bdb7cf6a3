//! A case: what is asked, and what is expected.

use std::sync::Arc;
use std::time::Duration;

use cedar_authorizer::cedar::{Entity, EntityUid};
use cedar_authorizer::decide::AuthorizationRequest;
use cedar_authorizer::gateway::cache_key::CacheKey;
use cedar_authorizer::time::UnixTime;
use serde_json::Value;

use super::expectation::Expectation;
use crate::test_bench::{Claims, HttpRequest};
use crate::yaml::Place;

/// A test with one persona and one request, or with a sequence of requests.
#[derive(Clone, Debug)]
pub struct Case {
    /// The file that it is from.
    pub file: Arc<str>,
    /// Where it is in that file.
    pub place: Place,
    /// The name of the test; if it has several cases, also what sets this one apart.
    pub name: String,
    /// What is asked, in order. There is at least one step.
    pub steps: Vec<Step>,
    /// The cache of API Gateway in front of the function. `None`: each step is asked of the function alone.
    pub cache: Option<CacheSettings>,
}

/// What API Gateway's cache is set to.
#[derive(Clone, Debug)]
pub struct CacheSettings {
    /// The identity sources.
    pub key: CacheKey,
    /// How long an answer is kept.
    pub time_to_live: Duration,
}

/// One request and what is expected of it.
#[derive(Clone, Debug)]
pub struct Step {
    /// Where it is in the file.
    pub place: Place,
    /// Who asks.
    pub caller: Caller,
    /// What is asked.
    pub asked: Asked,
    /// When it is asked.
    pub now: UnixTime,
    /// What is expected.
    pub expected: Expectation,
}

/// Who asks.
#[derive(Clone, Debug)]
pub enum Caller {
    /// Whoever sent the token that the request or the event has itself, if any.
    Unknown,
    /// Somebody with a token of the test bench.
    Holder {
        /// The persona, if the token is that of one.
        persona: Option<String>,
        /// All claims of the token.
        claims: Claims,
    },
}

/// What is asked.
#[derive(Clone, Debug)]
pub enum Asked {
    /// A request to the API.
    Request(HttpRequest),
    /// An event of API Gateway.
    Event {
        /// The file, as the test names it.
        name: String,
        /// What is in it.
        event: Value,
    },
    /// A request in Cedar's terms.
    Cedar {
        /// Who asks. `None`: the caller.
        principal: Option<EntityUid>,
        /// What is asked.
        request: Box<AuthorizationRequest>,
    },
}

impl Step {
    /// What is asked and by whom, in one line.
    pub fn shown(&self) -> String {
        let asked = match &self.asked {
            Asked::Request(request) => request.line(),
            Asked::Event { name, .. } => name.clone(),
            Asked::Cedar { request, .. } => format!("{} on {}", request.action, request.resource),
        };
        match (self.who(), &self.asked) {
            (Some(who), _) => format!("{asked} as {who}"),
            (None, Asked::Event { .. }) => asked,
            (None, _) => format!("{asked} without a token"),
        }
    }

    /// Who asks, as the test says it.
    pub fn who(&self) -> Option<String> {
        match (&self.caller, &self.asked) {
            (_, Asked::Cedar { principal: Some(principal), .. }) => Some(principal.to_string()),
            (Caller::Holder { persona: Some(persona), .. }, _) => Some(persona.clone()),
            (Caller::Holder { persona: None, claims }, _) => {
                let subject = claims.get("sub").and_then(Value::as_str);
                Some(subject.map_or_else(|| "somebody".to_owned(), str::to_owned))
            }
            (Caller::Unknown, _) => None,
        }
    }
}

/// An entity without attributes, for a principal whose parents a test names.
pub fn entity(uid: &EntityUid, parents: impl IntoIterator<Item = EntityUid>) -> Entity {
    Entity::new_no_attrs(uid.clone(), parents.into_iter().collect())
}
