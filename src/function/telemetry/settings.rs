//! The settings of what the function tells.

pub use super::decision_log::settings::{DecisionLogSettings, Extent, Format};
use super::metrics::settings::{MetricsSettings, problem_of_service};
use super::traces::settings::TracesSettings;
use crate::function::config::Problems;
use crate::function::log;

/// What the function tells, and of whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The name of this function in logs, metrics and traces (`POWERTOOLS_SERVICE_NAME`).
    pub service: String,
    /// Which events get a line in the decision log.
    pub decision_log: DecisionLogSettings,
    /// `None`: there are no metrics.
    pub metrics: Option<MetricsSettings>,
    /// `None`: there are no traces.
    pub traces: Option<TracesSettings>,
}

impl Settings {
    /// Reads the environment.
    pub(in crate::function) fn read(
        lookup: &impl Fn(&str) -> Option<String>,
        problems: &mut Problems,
    ) -> Self {
        let service = lookup(SERVICE_NAME).unwrap_or_else(|| DEFAULT_SERVICE.to_owned());
        if let Some(problem) = problem_of_service(&service) {
            problems.add(SERVICE_NAME, problem);
        }
        if lookup(LOG_LEVEL).is_some_and(|level| !log::is_level(&level)) {
            problems.add(
                LOG_LEVEL,
                "not a level: `TRACE`, `DEBUG`, `INFO`, `WARN`, `ERROR`, `CRITICAL` or `SILENT`",
            );
        }
        let traces = TracesSettings::read(lookup, &service, problems);
        Self {
            service,
            decision_log: DecisionLogSettings::read(lookup, problems),
            metrics: MetricsSettings::read(lookup, problems),
            traces,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            service: DEFAULT_SERVICE.to_owned(),
            decision_log: DecisionLogSettings::default(),
            metrics: None,
            traces: None,
        }
    }
}

const SERVICE_NAME: &str = "POWERTOOLS_SERVICE_NAME";

/// The log reads it too, before there are settings.
const LOG_LEVEL: &str = "POWERTOOLS_LOG_LEVEL";

/// The name of a function that has none of its own.
const DEFAULT_SERVICE: &str = "cedar-authorizer";
