//! The keys that test files have.

/// What sequences may say for all their requests.
pub const DEFAULTS: [&str; 12] = [
    "as",
    "claims",
    "token",
    "source",
    "query",
    "headers",
    "source_ip",
    "user_agent",
    "host",
    "stage",
    "time",
    "api",
];

/// The keys of a test of a request.
#[rustfmt::skip]
pub const REQUEST: [&str; 15] = [
    "name", "as", "claims", "token", "source", "request", "query", "headers", "source_ip", "user_agent", "host",
    "stage", "time", "api", "expect",
];
/// The keys of a test of an event.
pub const EVENT: [&str; 8] = ["name", "event", "as", "claims", "token", "source", "time", "expect"];
/// The keys of a test of a Cedar request.
#[rustfmt::skip]
pub const CEDAR: [&str; 13] = [
    "name", "as", "claims", "token", "source", "principal", "parents", "action", "resource", "context", "entities",
    "time", "expect",
];
/// The keys of a request of a sequence.
#[rustfmt::skip]
pub const SEQUENCE_STEP: [&str; 15] = [
    "as", "claims", "token", "source", "request", "query", "headers", "source_ip", "user_agent", "host",
    "stage", "api", "after", "from_cache", "expect",
];
/// The same for a request of a sequence that is an event.
pub const SEQUENCE_EVENT: [&str; 8] =
    ["event", "as", "claims", "token", "source", "after", "from_cache", "expect"];

/// The keys of all forms.
#[rustfmt::skip]
pub const ALL: [&str; 27] = [
    "name", "as", "claims", "token", "source", "request", "query", "headers", "source_ip", "user_agent", "host",
    "stage", "time", "api", "expect", "event", "principal", "parents", "action", "resource", "context", "entities",
    "cache_key", "ttl", "requests", "after", "from_cache",
];
