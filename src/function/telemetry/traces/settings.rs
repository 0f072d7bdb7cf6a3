//! The settings of the traces: the variables of OpenTelemetry, as far as they are for spans and HTTP.

use std::time::Duration;

use url::Url;

use crate::function::config::Problems;

/// Where spans go, and which.
#[derive(Clone, Debug, PartialEq)]
pub struct TracesSettings {
    /// Where requests with spans go (`OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, or `OTEL_EXPORTER_OTLP_ENDPOINT` and then
    /// `/v1/traces`).
    pub endpoint: Url,
    /// How long a request may take (`OTEL_EXPORTER_OTLP_TRACES_TIMEOUT`, `OTEL_EXPORTER_OTLP_TIMEOUT`).
    pub timeout: Duration,
    /// Which events have spans.
    pub sampling: Sampling,
    /// The name of this service (`OTEL_SERVICE_NAME`, otherwise that of logs and metrics).
    pub service: ServiceName,
    /// What Lambda says of the function.
    pub function: FunctionFacts,
}

/// Which events have spans (`OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// The share of traces, from 0 to 1.
    pub of_roots: f64,
    /// Whether that is only for events without a trace around them, and those in a trace are recorded if it is.
    pub follows_parent: bool,
}

/// The name of this service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceName {
    /// Of logs and metrics. `service.name` in `OTEL_RESOURCE_ATTRIBUTES` counts before it.
    Usual(String),
    /// `OTEL_SERVICE_NAME`, which counts before all.
    OfTraces(String),
}

/// What Lambda says of the function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FunctionFacts {
    /// `AWS_LAMBDA_FUNCTION_NAME`.
    pub name: String,
    /// `AWS_LAMBDA_FUNCTION_VERSION`.
    pub version: Option<String>,
    /// `AWS_LAMBDA_FUNCTION_MEMORY_SIZE`, in MiB.
    pub memory_mib: Option<i64>,
    /// `AWS_LAMBDA_LOG_STREAM_NAME`.
    pub instance: Option<String>,
    /// `AWS_REGION`.
    pub region: Option<String>,
}

impl TracesSettings {
    /// Reads the environment. `None`: no endpoint is set, or spans are turned off (`OTEL_SDK_DISABLED=true`,
    /// `OTEL_TRACES_EXPORTER=none`).
    pub(in crate::function::telemetry) fn read(
        lookup: &impl Fn(&str) -> Option<String>,
        service: &str,
        problems: &mut Problems,
    ) -> Option<Self> {
        // An empty variable counts as none (OpenTelemetry Specification, "Environment Variable Specification").
        let lookup = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let is_disabled = match lookup(SDK_DISABLED).as_deref().map(str::to_ascii_lowercase).as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => {
                problems.add(SDK_DISABLED, "neither `true` nor `false`");
                false
            }
        };
        let (name, path) =
            if lookup(TRACES_ENDPOINT).is_some() { (TRACES_ENDPOINT, "") } else { (ENDPOINT, TRACES_PATH) };
        let endpoint =
            lookup(name).filter(|_| !is_disabled && lookup(EXPORTER).as_deref() != Some("none"))?;
        if !cfg!(feature = "otlp") {
            problems.add(
                name,
                "set, but this function is built without the feature `otlp`, so it sends no traces; build it with the \
                 feature, or set OTEL_SDK_DISABLED=true",
            );
            return None;
        }
        // Whoever asks for another way to send spans would otherwise wait for them in vain.
        for (names, accepted, problem) in [
            (&[EXPORTER][..], "otlp", "neither `otlp` nor `none`"),
            (&PROTOCOLS[..], "http/protobuf", "not `http/protobuf`, the only protocol here"),
            (&COMPRESSIONS[..], "none", "not `none`; spans are sent as they are"),
        ] {
            let set = names.iter().find_map(|name| Some((name, lookup(name)?)));
            if let Some((name, _)) = set.filter(|(_, value)| value != accepted) {
                problems.add(name, problem);
            }
        }
        let endpoint = Url::parse(&endpoint).ok();
        let endpoint = endpoint.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if endpoint.is_none() {
            problems.add(name, "not the URL of a collector, such as http://localhost:4318");
        }
        let sampling = Sampling::read(&lookup, problems);
        let timeout = timeout(&lookup, problems);
        let service = match lookup("OTEL_SERVICE_NAME") {
            Some(name) => ServiceName::OfTraces(name),
            None => ServiceName::Usual(service.to_owned()),
        };
        let function = FunctionFacts {
            name: lookup("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_default(),
            version: lookup("AWS_LAMBDA_FUNCTION_VERSION"),
            memory_mib: lookup("AWS_LAMBDA_FUNCTION_MEMORY_SIZE").and_then(|size| size.parse().ok()),
            instance: lookup("AWS_LAMBDA_LOG_STREAM_NAME"),
            region: lookup("AWS_REGION"),
        };
        let mut endpoint = endpoint?;
        if !path.is_empty() {
            endpoint.set_path(&format!("{}{path}", endpoint.path().trim_end_matches('/')));
        }
        Some(Self { endpoint, timeout, sampling, service, function })
    }
}

impl Sampling {
    fn read(lookup: &impl Fn(&str) -> Option<String>, problems: &mut Problems) -> Self {
        let sampler = lookup(SAMPLER).unwrap_or_else(|| "parentbased_always_on".to_owned());
        let (kind, follows_parent) = match sampler.strip_prefix("parentbased_") {
            Some(kind) => (kind, true),
            None => (sampler.as_str(), false),
        };
        let of_roots = match kind {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => {
                let share = lookup(SAMPLER_ARG).map_or(Ok(1.0), |share| share.parse());
                let share = share.ok().filter(|share| (0.0..=1.0).contains(share));
                if share.is_none() {
                    problems.add(SAMPLER_ARG, "not a number from 0 to 1");
                }
                share.unwrap_or_default()
            }
            _ => {
                problems.add(
                    SAMPLER,
                    "neither `always_on`, `always_off` nor `traceidratio`, with or without `parentbased_` before it",
                );
                0.0
            }
        };
        Self { of_roots, follows_parent }
    }
}

fn timeout(lookup: &impl Fn(&str) -> Option<String>, problems: &mut Problems) -> Duration {
    let Some((name, value)) = TIMEOUTS.iter().find_map(|name| Some((name, lookup(name)?))) else {
        return DEFAULT_TIMEOUT;
    };
    let timeout = value.parse().ok().map(Duration::from_millis);
    let timeout = timeout.filter(|timeout| !timeout.is_zero() && *timeout <= MAX_TIMEOUT);
    if timeout.is_none() {
        problems.add(name, "not a number of milliseconds from 1 to 60000");
    }
    timeout.unwrap_or(DEFAULT_TIMEOUT)
}

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const TRACES_PATH: &str = "/v1/traces";
const EXPORTER: &str = "OTEL_TRACES_EXPORTER";
const SDK_DISABLED: &str = "OTEL_SDK_DISABLED";
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARG: &str = "OTEL_TRACES_SAMPLER_ARG";
const PROTOCOLS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
const COMPRESSIONS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"];
const TIMEOUTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"];

/// That of the specification of the exporter.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

const MAX_TIMEOUT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> (Option<TracesSettings>, Vec<String>) {
        let mut problems = Problems::default();
        let lookup = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let settings = TracesSettings::read(&lookup, "shop", &mut problems);
        (settings, problems.into_iter().collect())
    }

    const COLLECTOR: (&str, &str) = (ENDPOINT, "http://localhost:4318");

    #[test]
    fn without_an_endpoint_or_turned_off_there_are_no_traces() {
        for variables in [
            &[][..],
            &[(ENDPOINT, "")],
            &[COLLECTOR, (SDK_DISABLED, "TRUE")],
            &[COLLECTOR, (EXPORTER, "none")],
            &[(SAMPLER, "nonsense")],
        ] {
            assert_eq!(read(variables), (None, vec![]), "{variables:?}");
        }
    }

    /// Who sets an endpoint expects spans there.
    #[test]
    #[cfg(not(feature = "otlp"))]
    fn an_endpoint_is_refused_in_a_function_that_cannot_send() {
        for name in [ENDPOINT, TRACES_ENDPOINT] {
            let (settings, problems) = read(&[(name, "http://sekrit")]);
            assert_eq!((settings, problems.len()), (None, 1));
            assert!(problems[0].starts_with(name) && problems[0].contains("`otlp`"), "{problems:?}");
            assert!(!problems[0].contains("sekrit"));
        }
    }

    #[test]
    #[cfg(feature = "otlp")]
    fn the_endpoint_of_traces_is_taken_as_it_is() {
        for (variables, expected) in [
            (&[COLLECTOR][..], "http://localhost:4318/v1/traces"),
            (&[(ENDPOINT, "https://c.example/otlp/")], "https://c.example/otlp/v1/traces"),
            (&[COLLECTOR, (TRACES_ENDPOINT, "http://x/spans")], "http://x/spans"),
            (&[(TRACES_ENDPOINT, "http://x")], "http://x/"),
        ] {
            let (settings, problems) = read(variables);
            assert_eq!(problems, [""; 0]);
            assert_eq!(settings.unwrap().endpoint.as_str(), expected);
        }
        for endpoint in ["localhost:4318", "collector", "ftp://x", "http://", "file:///x"] {
            let (settings, problems) = read(&[(ENDPOINT, endpoint)]);
            assert!(settings.is_none() && problems.len() == 1, "{endpoint}: {problems:?}");
        }
    }

    #[test]
    #[cfg(feature = "otlp")]
    fn samplers_are_those_of_the_specification() {
        let sampling = |sampler: &str, share: &str| {
            let (settings, problems) = read(&[COLLECTOR, (SAMPLER, sampler), (SAMPLER_ARG, share)]);
            settings.filter(|_| problems.is_empty()).map(|settings| settings.sampling)
        };
        for (sampler, share, of_roots, follows_parent) in [
            ("", "", 1.0, true),
            ("always_on", "nonsense", 1.0, false),
            ("always_off", "", 0.0, false),
            ("traceidratio", "0.25", 0.25, false),
            ("parentbased_always_off", "", 0.0, true),
            ("parentbased_traceidratio", "", 1.0, true),
            ("parentbased_traceidratio", "0", 0.0, true),
        ] {
            assert_eq!(sampling(sampler, share), Some(Sampling { of_roots, follows_parent }), "{sampler}");
        }
        for (sampler, share) in
            [("xray", ""), ("parentbased_", ""), ("traceidratio", "1.5"), ("traceidratio", "NaN")]
        {
            assert_eq!(sampling(sampler, share), None, "{sampler} {share}");
        }
    }

    #[test]
    #[cfg(feature = "otlp")]
    fn what_cannot_be_done_is_refused() {
        for (name, value) in [
            (SDK_DISABLED, "yes"),
            (EXPORTER, "zipkin"),
            (PROTOCOLS[0], "grpc"),
            (PROTOCOLS[1], "http/json"),
            (COMPRESSIONS[1], "gzip"),
            (TIMEOUTS[0], "0"),
            (TIMEOUTS[1], "1h"),
        ] {
            let (_, problems) = read(&[COLLECTOR, (name, value)]);
            assert!(problems.len() == 1 && problems[0].starts_with(name), "{name}: {problems:?}");
        }
        // That of traces counts, so the other may be for something else.
        let (settings, problems) =
            read(&[COLLECTOR, (PROTOCOLS[0], "http/protobuf"), (PROTOCOLS[1], "grpc"), (TIMEOUTS[0], "250")]);
        assert_eq!((problems, settings.unwrap().timeout), (vec![], Duration::from_millis(250)));
    }
}
