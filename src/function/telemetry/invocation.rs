//! What came of one event: everything that the decision log, the metrics and the traces tell of it.

use std::time::{Duration, Instant, SystemTime};

use lambda_runtime::Context;

use crate::bundle::Tenant;
use crate::decide::{Session, Steps};
use crate::function::lambda::Answer;
use crate::function::masking::Tokens;
use crate::function::serving::Serving;
use crate::function::telemetry::counters::Counts;
use crate::gateway::cache_key::CacheKey;
use crate::gateway::call::Call;

/// What Lambda says of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LambdaContext {
    /// The id of the invocation. `None`: the event does not come from Lambda.
    pub request_id: Option<String>,
    /// The X-Ray header: `Root=...;Parent=...;Sampled=...`.
    pub trace_id: Option<String>,
}

impl From<Context> for LambdaContext {
    fn from(context: Context) -> Self {
        Self { request_id: Some(context.request_id), trace_id: context.xray_trace_id }
    }
}

/// What came of an event.
#[derive(Debug)]
pub struct Invocation<'a> {
    /// When the event came.
    pub received: SystemTime,
    /// What Lambda says of it.
    pub context: &'a LambdaContext,
    /// How long the start of this instance took, if this is its first event.
    pub cold_start: Option<Duration>,
    /// The call. `None`: the event is not one of API Gateway.
    pub call: Option<&'a Call>,
    /// The tokens of the event, which nothing that is told may have in it.
    pub tokens: &'a Tokens<'a>,
    /// The key under which API Gateway caches the answer.
    pub cache_key: &'a CacheKey,
    /// The tenant that the call belongs to, if it is known and there are tenants.
    pub tenant: Option<&'a Tenant>,
    /// The bundle that served. `None`: there was none.
    pub serving: Option<&'a Serving>,
    /// The bundle in use, even if it did not serve because it is too stale, or was not needed. `None`: each tenant has
    /// one, and that of this call is not known.
    pub in_use: Option<&'a Serving>,
    /// The caller. `None`: the token was not verified.
    pub session: Option<&'a Session>,
    /// The answer.
    pub answer: &'a Answer,
    /// More than the reason code says, for people. Has nothing of the token.
    pub detail: Option<&'a str>,
    /// How long each step took, and which steps were not needed.
    pub durations: Durations,
    /// What else happened since the last event.
    pub counts: Counts,
}

/// How long the steps of an event took. `None`: the step was not reached, or was not needed because its result is
/// remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Durations {
    /// From the event to the answer, all steps and what is between them.
    pub total: Duration,
    /// To have a bundle, with the look for a newer one if it was due.
    pub bundle: Option<Duration>,
    /// To know whose token it is, with fetching keys if that was needed.
    pub verify: Option<Duration>,
    /// To decide.
    pub decide: Option<Duration>,
    /// To work out what API Gateway is told.
    pub grant: Option<Duration>,
    /// To write the response.
    pub respond: Option<Duration>,
    /// To ask the shadow bundle.
    pub shadow: Option<Duration>,
    /// To fetch parts of the bundle, within `decide`, if that was needed.
    pub parts: Option<Duration>,
    /// To fetch keys, within `verify`, if that was needed.
    pub keys: Option<Wait>,
    /// Whether the token was verified for an earlier event.
    pub is_token_remembered: bool,
    /// Whether the outcome is that of an earlier event.
    pub is_answer_remembered: bool,
}

/// A part of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// From the event to the beginning of this part.
    pub after: Duration,
    /// From its beginning to its end.
    pub took: Duration,
}

/// Measures the steps of an event.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    begun: Instant,
    /// When the last step ended.
    last: Instant,
    /// What was measured so far.
    pub durations: Durations,
}

impl Stopwatch {
    /// Begins now.
    pub fn start() -> Self {
        let now = Instant::now();
        Self { begun: now, last: now, durations: Durations::default() }
    }

    /// The time since the last step ended, or since the beginning. From here on the next step counts.
    pub fn lap(&mut self) -> Duration {
        let now = Instant::now();
        now.duration_since(std::mem::replace(&mut self.last, now))
    }

    /// Notes that keys were fetched from `begun` until now.
    pub fn fetched_keys(&mut self, begun: Instant) {
        let after = begun.duration_since(self.begun);
        self.durations.keys = Some(Wait { after, took: begun.elapsed() });
    }

    /// Notes that parts of the bundle were fetched from `begun` until now.
    pub fn fetched_parts(&mut self, begun: Instant) {
        *self.durations.parts.get_or_insert_default() += begun.elapsed();
    }

    /// All that was measured.
    pub fn stop(mut self) -> Durations {
        self.durations.total = self.begun.elapsed();
        self.durations
    }
}

impl Steps for Stopwatch {
    fn decided(&mut self) {
        self.durations.decide = Some(self.lap());
    }

    fn granted(&mut self) {
        self.durations.grant = Some(self.lap());
    }
}
