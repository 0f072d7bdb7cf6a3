//! The spans of an event.
//!
//! ```text
//! cedar-authorizer ------------------------------------------   the event, named after the function
//!   bundle --  verify ----------  decide -  grant --  respond -
//!                 keys ------
//! ```
//!
//! Their attributes have few values, and none of them says who called: the route is in them, not the path.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status as SpanStatus, TraceContextExt, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{Context, InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{
    IdGenerator, RandomIdGenerator, Sampler, SamplingDecision, ShouldSample, SpanData, SpanEvents, SpanLinks,
};

use super::parent;
use crate::function::lambda::Answer;
use crate::function::telemetry::invocation::{Durations, Invocation};
use crate::reason::Status;

/// The span of an event and those of its steps. `None`: the event is not sampled.
pub(super) fn of(
    invocation: &Invocation<'_>,
    sampler: &Sampler,
    function_name: &str,
) -> Option<Vec<SpanData>> {
    let parent = parent::of(invocation);
    let trace =
        parent.as_ref().map_or_else(|| RandomIdGenerator::default().new_trace_id(), SpanContext::trace_id);
    let around = match &parent {
        Some(parent) => Context::new().with_remote_span_context(parent.clone()),
        None => Context::new(),
    };
    let sampled = sampler.should_sample(Some(&around), trace, function_name, &SpanKind::Server, &[], &[]);
    if sampled.decision != SamplingDecision::RecordAndSample {
        return None;
    }
    let Durations { total, bundle, verify, decide, grant, shadow, respond, keys, .. } = invocation.durations;
    let scope =
        InstrumentationScope::builder(env!("CARGO_PKG_NAME")).with_version(env!("CARGO_PKG_VERSION")).build();
    let event = Timed { trace, parent: SpanId::INVALID, begins: invocation.received, took: total };
    let mut of_event = event.span(function_name.to_owned(), &scope);
    of_event.span_kind = SpanKind::Server;
    if let Some(parent) = parent {
        (of_event.parent_span_id, of_event.parent_span_is_remote) = (parent.span_id(), true);
    }
    of_event.attributes = attributes(invocation);
    let reason = invocation.answer.reason();
    if reason.status() == Status::Fault {
        of_event.status = SpanStatus::error(reason.code());
    }
    let in_event = Timed { parent: of_event.span_context.span_id(), ..event };
    let mut spans = vec![of_event];
    let mut begins = invocation.received;
    for (name, took) in [
        ("bundle", bundle),
        ("verify", verify),
        ("decide", decide),
        ("grant", grant),
        ("shadow", shadow),
        ("respond", respond),
    ] {
        let Some(took) = took else { continue };
        let step = Timed { begins, took, ..in_event }.span(name, &scope);
        if let Some(keys) = keys.filter(|_| name == "verify") {
            let parent = step.span_context.span_id();
            let begins = invocation.received + keys.after;
            spans.push(Timed { parent, begins, took: keys.took, ..in_event }.span("keys", &scope));
        }
        spans.push(step);
        begins += took;
    }
    Some(spans)
}

/// The names are those of OpenTelemetry's semantic conventions (`faas.*`, `http.*`), or begin with the name of this
/// program.
fn attributes(invocation: &Invocation<'_>) -> Vec<KeyValue> {
    let reason = invocation.answer.reason();
    let mut attributes = vec![
        KeyValue::new("faas.trigger", "http"),
        KeyValue::new("faas.coldstart", invocation.cold_start.is_some()),
        KeyValue::new("cedar_authorizer.decision", reason.status().name()),
        KeyValue::new("cedar_authorizer.reason", reason.code()),
        KeyValue::new("cedar_authorizer.token.remembered", invocation.durations.is_token_remembered),
        KeyValue::new("cedar_authorizer.answer.remembered", invocation.durations.is_answer_remembered),
    ];
    if let Some(id) = &invocation.context.request_id {
        attributes.push(KeyValue::new("faas.invocation_id", id.clone()));
    }
    if let Some(call) = invocation.call {
        attributes.push(KeyValue::new("cedar_authorizer.api", call.api().name()));
    }
    if let Some(serving) = invocation.serving {
        let revision = i64::try_from(serving.bundle.revision()).unwrap_or(i64::MAX);
        attributes.push(KeyValue::new("cedar_authorizer.bundle.revision", revision));
    }
    if let Answer::Decided(outcome, _) = invocation.answer
        && let Some(route) = &outcome.route
    {
        attributes.push(KeyValue::new("http.route", route.template.to_string()));
    }
    attributes
}

/// What all spans have.
#[derive(Clone, Copy)]
struct Timed {
    trace: TraceId,
    parent: SpanId,
    begins: SystemTime,
    took: Duration,
}

impl Timed {
    fn span(self, name: impl Into<Cow<'static, str>>, scope: &InstrumentationScope) -> SpanData {
        let span = RandomIdGenerator::default().new_span_id();
        SpanData {
            span_context: SpanContext::new(self.trace, span, TraceFlags::SAMPLED, false, TraceState::NONE),
            parent_span_id: self.parent,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: name.into(),
            start_time: self.begins,
            end_time: self.begins + self.took,
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: SpanStatus::Unset,
            instrumentation_scope: scope.clone(),
        }
    }
}
