//! A line of the format `ocsf`: an event of the class API Activity (6003) of the Open Cybersecurity Schema Framework,
//! with the profile `security_control`, which has decisions and policies. What has no place there is in `unmapped`.

use std::net::IpAddr;

use super::facts::{ApiFacts, Decided, Facts};
use super::line::{write_durations, write_opted_in, write_remembered};
use crate::bundle::Bundle;
use crate::function::telemetry::json::Json;
use crate::reason::Status;

/// Adds the line, without its end.
pub(super) fn write(facts: &Facts<'_>, line: &mut Vec<u8>) {
    let status = facts.reason.status();
    let activity = Activity::of(facts);
    let (severity_id, severity) = severity(status);
    let (disposition_id, disposition) = disposition(status);
    let is_allowed = status == Status::Allow;
    Json::new(line).object(|json| {
        json.number_at("time", facts.milliseconds);
        json.text_at("message", "decision");
        json.number_at("category_uid", 6);
        json.text_at("category_name", "Application Activity");
        json.number_at("class_uid", CLASS);
        json.text_at("class_name", CLASS_NAME);
        json.number_at("activity_id", activity.id);
        json.text_at("activity_name", activity.name);
        json.number_at("type_uid", CLASS * 100 + activity.id);
        json.text_at("type_name", &format!("{CLASS_NAME}: {}", activity.name));
        json.number_at("severity_id", severity_id);
        json.text_at("severity", severity);
        json.number_at("status_id", if is_allowed { 1 } else { 2 });
        json.text_at("status", if is_allowed { "Success" } else { "Failure" });
        json.text_at("status_code", facts.reason.code());
        json.text_at("status_detail", facts.detail.unwrap_or(facts.reason.meaning()));
        json.number_at("action_id", if is_allowed { 1 } else { 2 });
        json.text_at("action", if is_allowed { "Allowed" } else { "Denied" });
        json.number_at("disposition_id", disposition_id);
        json.text_at("disposition", disposition);
        json.object_at("metadata", |json| write_metadata(facts, json));
        json.object_at("actor", |json| write_actor(facts.decided.as_ref(), json));
        json.object_at("api", |json| write_api(facts, json));
        json.object_at("src_endpoint", |json| write_source(facts.api.as_ref(), json));
        write_http_request(facts.api.as_ref(), json);
        if let Some(decided) = &facts.decided {
            write_resource(decided, json);
            write_authorizations(decided, status.name(), json);
        }
        if let Some(bundle) = facts.bundle {
            json.object_at("policy", |json| write_bundle(bundle, json));
        }
        let milliseconds = facts.durations.total.as_millis();
        json.number_at("duration", u64::try_from(milliseconds).unwrap_or(u64::MAX));
        json.object_at("unmapped", |json| write_unmapped(facts, json));
    });
}

/// What the client does, as the method of its request says.
struct Activity {
    id: u64,
    name: &'static str,
}

impl Activity {
    fn of(facts: &Facts<'_>) -> Self {
        let (id, name) = match facts.api.as_ref().and_then(|api| api.verb) {
            Some("POST") => (1, "Create"),
            Some("GET" | "HEAD" | "OPTIONS") => (2, "Read"),
            Some("PATCH" | "PUT") => (3, "Update"),
            Some("DELETE") => (4, "Delete"),
            Some(_) => (99, "Other"),
            None => (0, "Unknown"),
        };
        Self { id, name }
    }
}

fn severity(status: Status) -> (u64, &'static str) {
    match status {
        Status::Allow => (1, "Informational"),
        Status::Deny | Status::Unauthorized => (2, "Low"),
        Status::Fault => (4, "High"),
    }
}

fn disposition(status: Status) -> (u64, &'static str) {
    match status {
        Status::Allow => (1, "Allowed"),
        Status::Deny => (2, "Blocked"),
        Status::Unauthorized => (26, "Unauthorized"),
        Status::Fault => (27, "Error"),
    }
}

fn write_metadata(facts: &Facts<'_>, json: &mut Json<'_>) {
    json.text_at("version", OCSF_VERSION);
    json.texts_at("profiles", ["security_control"]);
    json.object_at("product", |json| {
        json.text_at("name", env!("CARGO_PKG_NAME"));
        json.text_at("version", env!("CARGO_PKG_VERSION"));
    });
    json.text_at("log_name", facts.service);
    json.text_at("log_level", facts.level);
    json.text_at("event_code", facts.reason.code());
    json.some_text_at("uid", facts.request_id.as_deref());
    json.some_text_at("correlation_uid", facts.trace_id.as_deref());
    json.some_text_at("tenant_uid", facts.tenant.as_deref());
}

fn write_actor(decided: Option<&Decided<'_>>, json: &mut Json<'_>) {
    // Somebody must be named, also if the caller is not known or not to be named.
    json.text_at("invoked_by", "apigateway.amazonaws.com");
    let Some(decided) = decided else {
        return;
    };
    if let Some(id) = &decided.principal_id {
        json.object_at("user", |json| {
            json.text_at("uid", id);
            // Other: the type of a principal is whatever the schema calls it.
            json.number_at("type_id", 99);
            json.text_at("type", decided.principal_type);
        });
    }
    if let Some(source) = decided.identity_source {
        json.object_at("idp", |json| json.text_at("name", source));
    }
}

fn write_api(facts: &Facts<'_>, json: &mut Json<'_>) {
    let action = facts.decided.as_ref().and_then(|decided| decided.action);
    json.text_at("operation", action.unwrap_or("unknown"));
    let Some(ApiFacts { kind, id, request_id, .. }) = &facts.api else {
        return;
    };
    json.object_at("service", |json| {
        json.text_at("name", kind.name());
        json.text_at("uid", id);
    });
    if let Some(id) = request_id {
        json.object_at("request", |json| json.text_at("uid", id));
    }
}

fn write_source(api: Option<&ApiFacts<'_>>, json: &mut Json<'_>) {
    let address = api.and_then(|api| api.source_ip).and_then(|ip| ip.parse::<IpAddr>().ok());
    match address {
        Some(address) => json.text_at("ip", &address.to_string()),
        None => json.text_at("name", "unknown"),
    }
}

fn write_http_request(api: Option<&ApiFacts<'_>>, json: &mut Json<'_>) {
    let method = api.and_then(|api| api.verb).and_then(|verb| METHODS.iter().find(|known| **known == verb));
    if let Some(method) = method {
        json.object_at("http_request", |json| json.text_at("http_method", method));
    }
}

fn write_resource(decided: &Decided<'_>, json: &mut Json<'_>) {
    // A resource must have a name or an id.
    if let Some(id) = &decided.resource_id {
        json.objects_at("resources", [id], |json, id| {
            json.text_at("uid", id);
            json.text_at("type", decided.resource_type);
        });
    }
}

fn write_authorizations(decided: &Decided<'_>, decision: &str, json: &mut Json<'_>) {
    if decided.policies.is_empty() {
        json.objects_at("authorizations", [()], |json, ()| json.text_at("decision", decision));
    } else {
        json.objects_at("authorizations", &decided.policies, |json, policy| {
            json.text_at("decision", decision);
            json.object_at("policy", |json| json.text_at("uid", policy));
        });
    }
}

fn write_bundle(bundle: &Bundle, json: &mut Json<'_>) {
    json.text_at("name", &bundle.manifest().name);
    json.text_at("version", &bundle.revision().to_string());
    json.text_at("uid", bundle.digest());
    json.text_at("type", "Cedar");
}

fn write_unmapped(facts: &Facts<'_>, json: &mut Json<'_>) {
    json.text_at("decision", facts.reason.status().name());
    json.some_text_at("traceparent", facts.traceparent.as_deref());
    if facts.is_cold_start {
        json.flag_at("coldStart", true);
    }
    json.some_text_at("stage", facts.api.as_ref().map(|api| &*api.stage));
    if let Some(decided) = &facts.decided {
        json.some_text_at("route", decided.route);
        json.text_at("principalType", decided.principal_type);
        json.text_at("resourceType", decided.resource_type);
        if !decided.errors.is_empty() {
            json.texts_at("errors", &decided.errors);
        }
        if decided.dropped > 0 {
            json.number_at("dropped", decided.dropped);
        }
        write_remembered(facts.durations, json);
    }
    json.object_at("durations", |json| write_durations(facts.durations, json));
    if let Some(rate) = facts.sample_rate {
        json.raw_at("sampleRate", rate);
    }
    if let Some(decided) = &facts.decided {
        write_opted_in(decided, json);
    }
}

const CLASS: u64 = 6003;
const CLASS_NAME: &str = "API Activity";

/// Released in March 2026.
const OCSF_VERSION: &str = "1.8.0";

/// The methods that OCSF knows.
const METHODS: [&str; 9] = ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];
