//! Requests that were recorded in production, or by `serve --record`: read, decided again, compared.

pub mod input;
pub mod judge;
pub mod left_out;
pub mod line;
pub mod message;
pub mod pipeline;
pub mod policies;
pub mod request;
mod shadow;
pub mod traffic;
mod window;

use serde::Serialize;
use serde_json::Value;

pub use shadow::shadow_log;
pub use traffic::compare;

use crate::access::Access;

/// Recorded requests, decided under two stores.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Traffic {
    /// The files, as they were given.
    pub files: Vec<String>,
    /// How many requests were decided under both.
    pub requests: u64,
    /// What could not be decided again, by the reason for it.
    pub left_out: Vec<LeftOut>,
    /// The requests that are decided otherwise, in groups: those that gain access first, then by route.
    pub differences: Vec<TrafficDifference>,
}

/// Lines that cannot be decided again, for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LeftOut {
    /// Why, e.g. `the line has no request: its token was refused`.
    pub why: String,
    pub count: u64,
    /// The first of them: `calls.jsonl:12`.
    pub first: String,
}

/// Requests to one route that are decided otherwise in the same way.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TrafficDifference {
    pub access: Access,
    /// The route, such as `get /pets/{petId}`, or the action if the route is not known.
    pub route: String,
    pub before: Verdict,
    pub after: Verdict,
    /// How many requests.
    pub count: u64,
    /// How many different callers made them.
    pub callers: u64,
    pub example: Example,
}

/// How a request is decided.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// `allow` or `deny`.
    pub decision: String,
    /// The reason code.
    pub reason: String,
    /// The determining policies, sorted.
    pub policies: Vec<String>,
}

/// One of the requests of a group: the first.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Example {
    /// Where it is: `calls.jsonl:12`.
    pub place: String,
    /// `PetStore::User::"alice"`.
    pub principal: String,
    /// `PetStore::Action::"get /pets/{petId}"`.
    pub action: String,
    /// `PetStore::Application::"PetStore"`.
    pub resource: String,
    /// The request in the form of docs/decision-log.md, "The Cedar request".
    pub request: Value,
}

/// What the log of a function with a shadow bundle says: where the candidate would have answered differently.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShadowLog {
    /// The files, as they were given.
    pub files: Vec<String>,
    /// How many decisions the files have, which the shadow may have compared. `None`: they have no decision log.
    pub decisions: Option<u64>,
    /// The differences, in groups.
    pub differences: Vec<ShadowDifference>,
}

/// Differences of a shadow bundle in one action, of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShadowDifference {
    pub access: Access,
    /// The action. `None`: no route.
    pub action: Option<String>,
    /// The reason code and the policies of what served.
    pub before: Verdict,
    /// Those of the candidate.
    pub after: Verdict,
    /// The revisions of the candidate.
    pub revisions: Vec<u64>,
    pub count: u64,
    /// Where the first of them is: `function.log:12`.
    pub first: String,
}
