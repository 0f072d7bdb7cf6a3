//! One request and its answer, with everything that happened in between: what the page shows of it, and what is
//! recorded.

use serde::Serialize;
use serde_json::Value;

/// A request and its answer. Nothing of it has a token.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Exchange {
    /// A number that counts up from 1.
    pub id: u64,
    /// When it came, as `2026-01-01T00:00:00.000Z`.
    pub time: String,
    /// How long it took, in microseconds, without the backend.
    pub microseconds: u64,
    /// The method, e.g. `GET`. Empty for messages of a WebSocket API.
    pub method: String,
    /// The path with its query, as the client sent it, without tokens.
    pub target: String,
    /// The route that API Gateway chose, e.g. `get /pets/{petId}`. `None`: no route.
    pub route: Option<String>,
    /// The status that the client got.
    pub status: u16,
    /// Why it got it.
    pub effect: Effect,
    /// What API Gateway's own answer says, e.g. `{"message":"Unauthorized"}`. `None`: the backend answered.
    pub body: Option<String>,
    /// Whether the page sent it. Other clients' requests are not the page's.
    pub is_of_page: bool,
    /// What the authorizer said. `None`: it was not asked, and no answer of it was kept.
    pub decision: Option<Decided>,
    /// What API Gateway's cache did.
    pub cache: CacheUse,
    /// The event that the authorizer got, without the token. `None`: none was made.
    pub event: Option<Value>,
    /// The answer of the authorizer: an IAM policy, a simple response, or `{"errorType", "errorMessage"}`.
    pub answer: Option<Value>,
    /// What is wrong with the authorizer or the backend, for people. `None`: nothing.
    pub problem: Option<String>,
    /// The line of the decision log, with the Cedar request. `None`: the function was not asked, or it is elsewhere.
    pub log: Option<Value>,
}

/// Why a client got its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// The backend was called, because the authorizer allows it.
    Allow,
    /// The authorizer denies it: 403.
    Deny,
    /// No token, or one that is refused: 401.
    Unauthorized,
    /// The authorizer failed, or there is none that can be asked: 500.
    Fault,
    /// No route takes it: 403 or 404.
    NoRoute,
    /// The backend was called without asking anybody: the route has no authorizer.
    Open,
    /// The request is not one that API Gateway takes: 400, 413, 414, 431.
    Invalid,
}

/// What the authorizer decided, as its answer says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decided {
    /// The reason code. With a kept answer: of the request that it was made for.
    pub reason: String,
    /// What the reason code means, in one sentence.
    pub meaning: String,
    /// The determining policies.
    pub policies: Vec<String>,
    /// The id of the principal.
    pub principal: Option<String>,
    /// The revision of the bundle: it counts the changes of the store since the start.
    pub revision: Option<u64>,
}

/// What API Gateway's cache did with a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum CacheUse {
    /// There is no cache for this route, or nobody was to be asked.
    Off,
    /// The function was asked, and its answer is kept under this key from now on.
    Miss { key: Vec<KeyPart> },
    /// The function was asked, and its answer is not kept: an error.
    NotKept { key: Vec<KeyPart> },
    /// An answer was kept under this key.
    Hit {
        key: Vec<KeyPart>,
        /// The [`Exchange::id`] of the request that it was made for.
        made_for: u64,
        /// How long it has been kept, in seconds.
        age_seconds: u64,
    },
}

/// One identity source with its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyPart {
    /// E.g. `method.request.header.Authorization`.
    pub source: String,
    /// Its value; a token is shown as the beginning of its hash, such as `token 3f9a0c1d…`, so that two of them can be
    /// told apart.
    pub value: String,
}
