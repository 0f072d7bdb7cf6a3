//! The way of spans, from events to the outbox.

use opentelemetry_sdk::trace::Sampler;

use super::outbox::Outbox;
use super::settings::{Sampling, TracesSettings};
use super::spans;
use crate::function::telemetry::invocation::Invocation;

/// Records the spans of events.
#[derive(Debug)]
pub struct Traces {
    sampler: Sampler,
    function_name: String,
    outbox: Outbox,
}

impl Traces {
    /// Begins a task that sends spans, so there must be a Tokio runtime. Always `Some`: only without the feature there
    /// are none.
    pub(in crate::function::telemetry) fn new(settings: TracesSettings) -> Option<Self> {
        Some(Self {
            sampler: sampler(settings.sampling),
            function_name: settings.function.name.clone(),
            outbox: Outbox::open(settings),
        })
    }

    /// Puts the spans of an event into the outbox, if it is sampled. This never waits.
    pub(in crate::function::telemetry) fn tell(&self, invocation: &Invocation<'_>) {
        if let Some(spans) = spans::of(invocation, &self.sampler, &self.function_name) {
            self.outbox.put(spans);
        }
    }
}

fn sampler(sampling: Sampling) -> Sampler {
    let Sampling { of_roots, follows_parent } = sampling;
    let of_roots = if of_roots >= 1.0 {
        Sampler::AlwaysOn
    } else if of_roots <= 0.0 {
        Sampler::AlwaysOff
    } else {
        Sampler::TraceIdRatioBased(of_roots)
    };
    if follows_parent { Sampler::ParentBased(Box::new(of_roots)) } else { of_roots }
}
