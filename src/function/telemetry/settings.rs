//! The settings of what the function tells.

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

/// Which events get a line in the decision log, and what is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DecisionLogSettings {
    /// Which events get a line (`DECISION_LOG`).
    pub extent: Extent,
}

/// Which events get a line in the decision log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extent {
    /// All.
    #[default]
    All,
    /// All but those that are allowed.
    Deny,
    /// None.
    Off,
}

impl Settings {
    /// Reads the environment.
    pub(in crate::function) fn read(
        lookup: &impl Fn(&str) -> Option<String>,
        problems: &mut Problems,
    ) -> Self {
        let extent = match lookup("DECISION_LOG").as_deref() {
            None | Some("all") => Extent::All,
            Some("deny") => Extent::Deny,
            Some("off") => Extent::Off,
            Some(_) => {
                problems.add("DECISION_LOG", "neither `all`, `deny` nor `off`");
                Extent::All
            }
        };
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
            decision_log: DecisionLogSettings { extent },
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
