//! The settings of what the function tells.

pub use super::decision_log::settings::{DecisionLogSettings, Extent, Format};
use crate::function::config::Problems;

/// What the function tells, and of whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The name of this function in logs, metrics and traces (`POWERTOOLS_SERVICE_NAME`).
    pub service: String,
    /// Which events get a line in the decision log.
    pub decision_log: DecisionLogSettings,
    /// `None`: there are no metrics.
    pub metrics: Option<MetricsSettings>,
}

/// Where metrics go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsSettings {
    /// The namespace in CloudWatch (`POWERTOOLS_METRICS_NAMESPACE`).
    pub namespace: String,
}

impl Settings {
    /// Reads the environment.
    pub(in crate::function) fn read(
        lookup: &impl Fn(&str) -> Option<String>,
        problems: &mut Problems,
    ) -> Self {
        let is_disabled = problems.flag("POWERTOOLS_METRICS_DISABLED", lookup);
        let namespace = lookup("POWERTOOLS_METRICS_NAMESPACE").filter(|_| !is_disabled);
        Self {
            service: lookup("POWERTOOLS_SERVICE_NAME").unwrap_or_else(|| DEFAULT_SERVICE.to_owned()),
            decision_log: DecisionLogSettings::read(lookup, problems),
            metrics: namespace.map(|namespace| MetricsSettings { namespace }),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            service: DEFAULT_SERVICE.to_owned(),
            decision_log: DecisionLogSettings::default(),
            metrics: None,
        }
    }
}

/// The name of a function that has none of its own.
const DEFAULT_SERVICE: &str = "cedar-authorizer";
