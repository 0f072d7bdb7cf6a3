//! A line of the format `json`, as `docs/decision-log.md` describes it.

use std::time::Duration;

use super::facts::{ApiFacts, Decided, Facts};
use crate::bundle::Bundle;
use crate::function::telemetry::invocation::Durations;
use crate::function::telemetry::json::Json;

/// Adds the line, without its end.
pub(super) fn write(facts: &Facts<'_>, line: &mut Vec<u8>) {
    Json::new(line).object(|json| {
        json.text_at("timestamp", &facts.timestamp());
        json.word_at("level", facts.level);
        json.word_at("message", "decision");
        json.number_at("version", VERSION);
        json.text_at("service", facts.service);
        json.some_text_at("requestId", facts.request_id.as_deref());
        json.some_text_at("traceId", facts.trace_id.as_deref());
        json.some_text_at("traceparent", facts.traceparent.as_deref());
        if facts.is_cold_start {
            json.flag_at("coldStart", true);
        }
        if let Some(ApiFacts { kind, id, stage, request_id, .. }) = &facts.api {
            json.object_at("api", |json| {
                json.word_at("kind", kind.name());
                json.text_at("id", id);
                json.text_at("stage", stage);
                json.some_text_at("requestId", request_id.as_deref());
            });
        }
        json.some_text_at("tenant", facts.tenant.as_deref());
        json.word_at("decision", facts.reason.status().name());
        json.word_at("reason", facts.reason.code());
        json.some_text_at("detail", facts.detail);
        if let Some(decided) = &facts.decided {
            write_decided(decided, json);
        }
        if let Some(bundle) = facts.bundle {
            write_bundle(bundle, json);
        }
        if facts.decided.is_some() {
            write_remembered(facts.durations, json);
        }
        json.object_at("durations", |json| write_durations(facts.durations, json));
        if let Some(rate) = facts.sample_rate {
            json.raw_at("sampleRate", rate);
        }
        if let Some(decided) = &facts.decided {
            write_opted_in(decided, json);
        }
    });
}

fn write_decided(decided: &Decided<'_>, json: &mut Json<'_>) {
    json.some_text_at("route", decided.route);
    json.some_text_at("action", decided.action);
    json.object_at("principal", |json| {
        json.text_at("type", decided.principal_type);
        json.some_text_at("id", decided.principal_id.as_deref());
        json.some_text_at("identitySource", decided.identity_source);
    });
    json.object_at("resource", |json| {
        json.text_at("type", decided.resource_type);
        json.some_text_at("id", decided.resource_id.as_deref());
    });
    for (name, policies) in [("policies", &decided.policies), ("errors", &decided.errors)] {
        if !policies.is_empty() {
            json.texts_at(name, policies);
        }
    }
    if decided.dropped > 0 {
        json.number_at("dropped", decided.dropped);
    }
}

fn write_bundle(bundle: &Bundle, json: &mut Json<'_>) {
    json.object_at("bundle", |json| {
        json.text_at("name", &bundle.manifest().name);
        json.number_at("revision", bundle.revision());
        json.text_at("digest", bundle.digest());
    });
}

/// Adds what was remembered.
pub(super) fn write_remembered(durations: &Durations, json: &mut Json<'_>) {
    json.object_at("remembered", |json| {
        json.flag_at("token", durations.is_token_remembered);
        json.flag_at("answer", durations.is_answer_remembered);
    });
}

/// Adds how long each step took, in microseconds.
pub(super) fn write_durations(durations: &Durations, json: &mut Json<'_>) {
    let microseconds = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    json.number_at("total", microseconds(durations.total));
    for (name, duration) in [
        ("bundle", durations.bundle),
        ("verify", durations.verify),
        ("decide", durations.decide),
        ("parts", durations.parts),
        ("grant", durations.grant),
        ("respond", durations.respond),
        ("shadow", durations.shadow),
    ] {
        if let Some(duration) = duration {
            json.number_at(name, microseconds(duration));
        }
    }
}

/// Adds what is there only because an operator asked for it.
pub(super) fn write_opted_in(decided: &Decided<'_>, json: &mut Json<'_>) {
    for (name, value) in [("claims", &decided.claims), ("request", &decided.request)] {
        if let Some(value) = value {
            json.raw_at(name, value);
        }
    }
}

/// The version of the line. It changes if the same members mean something else.
const VERSION: u64 = 1;
