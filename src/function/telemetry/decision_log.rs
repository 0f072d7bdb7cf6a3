//! The decision log: one JSON object a line for each decision or refusal.

use serde_json::json;

use super::invocation::Invocation;
use super::settings::{DecisionLogSettings, Extent};
use crate::reason::Status;

/// Writes the lines of the decision log.
#[derive(Debug)]
pub struct DecisionLog {
    settings: DecisionLogSettings,
    service: String,
}

impl DecisionLog {
    /// `None`: nothing is to be logged.
    pub(super) fn new(settings: DecisionLogSettings, service: &str) -> Option<Self> {
        (settings.extent != Extent::Off).then(|| Self { settings, service: service.to_owned() })
    }

    /// Adds the line of an event, if it gets one.
    pub(super) fn write(&self, invocation: &Invocation<'_>, lines: &mut Vec<u8>) {
        let reason = invocation.answer.reason();
        if self.settings.extent == Extent::Deny && reason.status() == Status::Allow {
            return;
        }
        let line = json!({"message": "decision", "service": self.service, "reason": reason});
        lines.extend_from_slice(line.to_string().as_bytes());
        lines.push(b'\n');
    }
}
