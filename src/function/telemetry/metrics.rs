//! Metrics in CloudWatch's embedded metric format: a line of JSON, of which CloudWatch makes metrics.
//!
//! ```json
//! {"_aws":{"CloudWatchMetrics":[{"Namespace":"CedarAuthorizer","Dimensions":[["service"],["service","effect"],
//!  ["service","effect","reasonClass"]],"Metrics":[{"Name":"Decisions","Unit":"Count"}]},{"Namespace":
//!  "CedarAuthorizer","Dimensions":[["service"]],"Metrics":[{"Name":"Latency","Unit":"Microseconds"}]}],
//!  "Timestamp":1700000000000},"service":"cedar-authorizer","effect":"deny","reasonClass":"policy","Decisions":1,
//!  "Latency":412}
//! ```
//!
//! Nothing in a line says who called or what was called: dimensions with many values would each be a metric to pay for.
//!
//! A metric is left out where nothing happened, because the sum of no values is zero as well. The lines are written by
//! hand, since most of a line never changes.

pub mod settings;

use std::time::UNIX_EPOCH;

use super::invocation::Invocation;
use super::json::write_number;
use crate::reason::Reason;
use settings::MetricsSettings;

/// Writes the metrics of events.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// The line of an event, up to the definitions of the metrics that not every event has.
    head: String,
    /// `"service":"..."`.
    service: String,
    /// The line of a cold start, up to its time, and what is behind the time.
    cold_start: (String, String),
}

impl Metrics {
    pub(super) fn new(settings: MetricsSettings, service: &str) -> Self {
        let MetricsSettings { namespace, function_name } = settings;
        let [namespace, service, function_name] = [namespace.as_str(), service, &function_name]
            .map(|text| serde_json::Value::from(text).to_string());
        let directive = |dimensions: &str, definition: &str| {
            format!(r#"{{"Namespace":{namespace},"Dimensions":[{dimensions}],"Metrics":[{definition}"#)
        };
        let of_decisions = directive(
            r#"["service"],["service","effect"],["service","effect","reasonClass"]"#,
            r#"{"Name":"Decisions","Unit":"Count"}]}"#,
        );
        let of_event = directive(r#"["service"]"#, r#"{"Name":"Latency","Unit":"Microseconds"}"#);
        let of_start =
            directive(r#"["service","function_name"]"#, r#"{"Name":"ColdStart","Unit":"Count"}]}"#);
        Self {
            head: format!(r#"{{"_aws":{{"CloudWatchMetrics":[{of_decisions},{of_event}"#),
            service: format!(r#""service":{service}"#),
            cold_start: (
                format!(r#"{{"_aws":{{"CloudWatchMetrics":[{of_start}],"Timestamp":"#),
                format!(r#"}},"service":{service},"function_name":{function_name},"ColdStart":1}}"#),
            ),
        }
    }

    /// Adds the line of an event, and before it that of a cold start.
    pub(super) fn write(&self, invocation: &Invocation<'_>, lines: &mut Vec<u8>) {
        let whole = |number: u128| u64::try_from(number).unwrap_or(u64::MAX);
        let since_1970 = invocation.received.duration_since(UNIX_EPOCH).unwrap_or_default();
        let milliseconds = whole(since_1970.as_millis());
        let reason = invocation.answer.reason();
        let values = values(invocation, reason);
        let present = || values.iter().filter_map(|(metric, value)| Some((metric, (*value)?)));
        if invocation.cold_start.is_some() {
            let (head, tail) = &self.cold_start;
            lines.extend_from_slice(head.as_bytes());
            write_number(lines, milliseconds);
            lines.extend_from_slice(tail.as_bytes());
            lines.push(b'\n');
        }
        lines.extend_from_slice(self.head.as_bytes());
        for (metric, _) in present() {
            lines.extend_from_slice(metric.definition.as_bytes());
        }
        lines.extend_from_slice(br#"]}],"Timestamp":"#);
        write_number(lines, milliseconds);
        lines.extend_from_slice(b"},");
        for part in [
            &self.service,
            r#","effect":""#,
            reason.status().name(),
            r#"","reasonClass":""#,
            reason.class().name(),
            r#"","Decisions":1,"Latency":"#,
        ] {
            lines.extend_from_slice(part.as_bytes());
        }
        write_number(lines, whole(invocation.durations.total.as_micros()));
        for (metric, value) in present() {
            lines.extend_from_slice(metric.member.as_bytes());
            write_number(lines, value);
        }
        lines.extend_from_slice(b"}\n");
    }
}

/// The metrics that not every event has. All values are whole numbers.
fn values(invocation: &Invocation<'_>, reason: Reason) -> [(Metric, Option<u64>); 15] {
    let happened = |is_so: bool| is_so.then_some(1);
    let count = |count: u32| (count > 0).then_some(u64::from(count));
    let (durations, counts) = (&invocation.durations, &invocation.counts);
    let init = invocation.cold_start.map(|init| u64::try_from(init.as_millis()).unwrap_or(u64::MAX));
    let age = invocation.in_use.map(|serving| serving.age(invocation.received.into()).as_secs());
    // The revisions of tenants have nothing to do with each other, so a number among them says nothing.
    let one_for_all = invocation.in_use.filter(|_| invocation.tenant.is_none());
    let revision = one_for_all.map(|serving| serving.bundle.revision());
    [
        (metric!("InitDuration", "Milliseconds"), init),
        (metric!("BundleAge", "Seconds"), age),
        (metric!("BundleRevision", "None"), revision),
        (metric!("BundleRefreshUnchanged", "Count"), count(counts.refreshes_unchanged)),
        (metric!("BundleRefreshReplaced", "Count"), count(counts.refreshes_replaced)),
        (metric!("BundleRefreshFailed", "Count"), count(counts.refreshes_failed)),
        (metric!("KeyFetches", "Count"), count(counts.key_fetches)),
        (metric!("KeyFetchFailures", "Count"), count(counts.key_fetch_failures)),
        (metric!("PartFetches", "Count"), happened(durations.parts.is_some())),
        (metric!("PartFetchFailures", "Count"), happened(reason == Reason::BundleAway)),
        (metric!("RememberedTokens", "Count"), happened(durations.is_token_remembered)),
        (metric!("RememberedAnswers", "Count"), happened(durations.is_answer_remembered)),
        (metric!("NotCacheable", "Count"), happened(reason == Reason::NotCacheable)),
        (metric!("RouteUnmapped", "Count"), happened(reason == Reason::RouteUnmapped)),
        (metric!("ShadowDifferences", "Count"), count(counts.shadow_differences)),
    ]
}

/// A metric that follows another.
struct Metric {
    /// What the directive says of it.
    definition: &'static str,
    /// The member with its value, without the value.
    member: &'static str,
}

macro_rules! metric {
    ($name:literal, $unit:literal) => {
        Metric {
            definition: concat!(r#",{"Name":""#, $name, r#"","Unit":""#, $unit, r#""}"#),
            member: concat!(r#",""#, $name, r#"":"#),
        }
    };
}
use metric;
