//! What the function tells of each event: the decision log, the metrics, the traces.
//!
//! Everything that they tell comes from one [`Invocation`], so they cannot contradict each other.

pub mod counters;
pub mod decision_log;
pub mod invocation;
mod json;
pub mod metrics;
pub mod sampling;
pub mod settings;
pub mod trace_ids;
pub mod traces;

use decision_log::DecisionLog;
use invocation::Invocation;
use metrics::Metrics;
use settings::Settings;
use traces::Traces;

/// Tells of each event. The default tells nothing.
#[derive(Debug, Default)]
pub struct Telemetry {
    decision_log: Option<DecisionLog>,
    metrics: Option<Metrics>,
    traces: Option<Traces>,
    output: Option<Output>,
}

/// Where lines go. It always gets whole lines.
pub type Output = fn(&[u8]);

impl Telemetry {
    /// Tells what the settings ask for, to `output`. Traces need a Tokio runtime.
    pub fn new(settings: Settings, output: Output) -> Self {
        let Settings { service, decision_log, metrics, traces } = settings;
        Self {
            metrics: metrics.map(|settings| Metrics::new(settings, &service)),
            decision_log: DecisionLog::new(decision_log, &service),
            traces: traces.and_then(Traces::new),
            output: Some(output),
        }
    }

    /// The same, but nobody gets to know: lines are written for nothing, and there are no traces.
    pub(super) fn in_silence(&self) -> Self {
        Self {
            decision_log: self.decision_log.clone(),
            metrics: self.metrics.clone(),
            traces: None,
            output: self.output.map(|_| nowhere as Output),
        }
    }

    /// Tells of an event.
    pub(super) fn tell(&self, invocation: &Invocation<'_>) {
        let Some(output) = self.output else {
            return;
        };
        // One write for all lines: a write costs more than a line.
        let mut lines = Vec::with_capacity(LINES_BYTES);
        if let Some(log) = &self.decision_log {
            log.write(invocation, &mut lines);
        }
        if let Some(metrics) = &self.metrics {
            metrics.write(invocation, &mut lines);
        }
        if !lines.is_empty() {
            output(&lines);
        }
        if let Some(traces) = &self.traces {
            traces.tell(invocation);
        }
    }
}

fn nowhere(_: &[u8]) {}

/// About what a line of the log and one of the metrics take.
const LINES_BYTES: usize = 2048;
