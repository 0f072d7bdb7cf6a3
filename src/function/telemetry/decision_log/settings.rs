//! The settings of the decision log.

use zeroize::Zeroizing;

use super::principal_ids::{HashKey, PrincipalIds};
use crate::function::config::Problems;
use crate::function::telemetry::sampling::SampleRate;

/// Which events get a line in the decision log, and what is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DecisionLogSettings {
    /// Which events get a line (`DECISION_LOG`).
    pub extent: Extent,
    /// The form of a line (`DECISION_LOG_FORMAT`).
    pub format: Format,
    /// The share of Allows that get a line (`DECISION_LOG_SAMPLE_RATE`).
    pub sample_rate: SampleRate,
    /// How a line names the caller (`PRINCIPAL_IDS`, `PRINCIPAL_IDS_KEY`).
    pub principal_ids: PrincipalIds,
    /// The claims whose values are in a line (`DECISION_LOG_CLAIMS`).
    pub claims: Vec<String>,
    /// Whether a line has the Cedar request (`DECISION_LOG_REQUESTS`).
    pub has_requests: bool,
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

/// The form of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// The one that `docs/decision-log.md` describes.
    #[default]
    Json,
    /// API Activity (class 6003) of the Open Cybersecurity Schema Framework.
    Ocsf,
}

impl DecisionLogSettings {
    /// Reads the environment.
    pub(in crate::function) fn read(
        lookup: &impl Fn(&str) -> Option<String>,
        problems: &mut Problems,
    ) -> Self {
        let extent = match lookup(EXTENT).as_deref() {
            None | Some("all") => Extent::All,
            Some("deny") => Extent::Deny,
            Some("off") => Extent::Off,
            Some(_) => {
                problems.add(EXTENT, "neither `all`, `deny` nor `off`");
                Extent::All
            }
        };
        let format = match lookup(FORMAT).as_deref() {
            None | Some("json") => Format::Json,
            Some("ocsf") => Format::Ocsf,
            Some(_) => {
                problems.add(FORMAT, "neither `json` nor `ocsf`");
                Format::Json
            }
        };
        let sample_rate = lookup(SAMPLE_RATE).and_then(|value| problems.parse(SAMPLE_RATE, &value));
        let principal_ids = read_principal_ids(lookup, problems);
        let has_requests = problems.flag(REQUESTS, lookup);
        if has_requests && principal_ids != PrincipalIds::Plain {
            problems.add(
                REQUESTS,
                "`true` needs PRINCIPAL_IDS=plain: a request without the id of its principal cannot be decided again",
            );
        }
        Self {
            extent,
            format,
            sample_rate: sample_rate.unwrap_or_default(),
            principal_ids,
            claims: read_claims(lookup, problems),
            has_requests,
        }
    }
}

fn read_principal_ids(lookup: &impl Fn(&str) -> Option<String>, problems: &mut Problems) -> PrincipalIds {
    let key = lookup(KEY).map(Zeroizing::new).map(|text| problems.parse::<HashKey>(KEY, &text));
    match (lookup(PRINCIPAL_IDS).as_deref(), key) {
        (Some("hashed"), Some(Some(key))) => return PrincipalIds::Hashed(key),
        // What is wrong with the key is said already.
        (Some("hashed"), Some(None)) => {}
        (Some("hashed"), None) => problems.add(KEY, "not set; PRINCIPAL_IDS=hashed needs it"),
        (None | Some("plain" | "off"), Some(_)) => {
            problems.add(KEY, "set without PRINCIPAL_IDS=hashed, which alone uses it");
        }
        (None | Some("plain"), None) => {}
        (Some("off"), None) => return PrincipalIds::Off,
        (Some(_), _) => problems.add(PRINCIPAL_IDS, "neither `plain`, `hashed` nor `off`"),
    }
    PrincipalIds::Plain
}

fn read_claims(lookup: &impl Fn(&str) -> Option<String>, problems: &mut Problems) -> Vec<String> {
    let Some(value) = lookup(CLAIMS) else {
        return Vec::new();
    };
    let mut names: Vec<String> = Vec::new();
    for name in value.split(',').map(str::trim) {
        if !name.is_empty() && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    if names.is_empty() {
        problems.add(CLAIMS, "empty; it lists names of claims, separated by commas");
    }
    names
}

const EXTENT: &str = "DECISION_LOG";
const FORMAT: &str = "DECISION_LOG_FORMAT";
const SAMPLE_RATE: &str = "DECISION_LOG_SAMPLE_RATE";
const REQUESTS: &str = "DECISION_LOG_REQUESTS";
const CLAIMS: &str = "DECISION_LOG_CLAIMS";
const PRINCIPAL_IDS: &str = "PRINCIPAL_IDS";
const KEY: &str = "PRINCIPAL_IDS_KEY";
