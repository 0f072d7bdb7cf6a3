//! The decision log: one JSON object a line for each decision or refusal.
//!
//! A line has what an audit asks for: who was denied what, by which policies, in which revision of the bundle, and why.
//! `docs/decision-log.md` describes it for people. It goes to the same place as the [log](crate::function::log), but
//! depends neither on its level nor on its format.

mod claims;
mod facts;
mod line;
mod ocsf;
pub mod principal_ids;
mod redaction;
mod request;
pub mod settings;

use aws_lc_rs::hmac;

use super::invocation::Invocation;
use crate::reason::Status;
use facts::Facts;
use principal_ids::PrincipalIds;
use settings::{DecisionLogSettings, Extent, Format};

/// Writes the lines of the decision log.
#[derive(Clone, Debug)]
pub struct DecisionLog {
    settings: DecisionLogSettings,
    service: String,
    /// With `PRINCIPAL_IDS=hashed`.
    key: Option<hmac::Key>,
    /// The sample rate as a line has it. `None`: each Allow has a line.
    sample_rate: Option<String>,
}

impl DecisionLog {
    /// `None`: nothing is to be logged.
    pub(super) fn new(settings: DecisionLogSettings, service: &str) -> Option<Self> {
        let key = match &settings.principal_ids {
            PrincipalIds::Hashed(key) => Some(key.to_hmac()),
            PrincipalIds::Plain | PrincipalIds::Off => None,
        };
        let rate = settings.sample_rate;
        let sample_rate = (!rate.is_all()).then(|| serde_json::Value::from(rate.as_f64()).to_string());
        (settings.extent != Extent::Off).then(|| Self {
            settings,
            service: service.to_owned(),
            key,
            sample_rate,
        })
    }

    /// Adds the line of an event, if it gets one.
    pub(super) fn write(&self, invocation: &Invocation<'_>, lines: &mut Vec<u8>) {
        if !self.takes(invocation) {
            return;
        }
        let facts = Facts::of(invocation, self);
        match self.settings.format {
            Format::Json => line::write(&facts, lines),
            Format::Ocsf => ocsf::write(&facts, lines),
        }
        lines.push(b'\n');
    }

    fn takes(&self, invocation: &Invocation<'_>) -> bool {
        let is_allowed = invocation.answer.reason().status() == Status::Allow;
        let is_sampled = || self.settings.sample_rate.takes(invocation.context.request_id.as_deref());
        match self.settings.extent {
            Extent::Off => false,
            Extent::Deny => !is_allowed,
            Extent::All => !is_allowed || is_sampled(),
        }
    }
}
