//! The settings of the metrics. Their names are those of Powertools for AWS Lambda.

use crate::function::config::Problems;

/// Where metrics go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsSettings {
    /// The namespace in CloudWatch (`POWERTOOLS_METRICS_NAMESPACE`).
    pub namespace: String,
    /// The name of the function in Lambda (`AWS_LAMBDA_FUNCTION_NAME`), a dimension of cold starts.
    pub function_name: String,
}

impl MetricsSettings {
    /// Reads the environment. `None`: no namespace is set, or `POWERTOOLS_METRICS_DISABLED` is.
    pub(in crate::function::telemetry) fn read(
        lookup: &impl Fn(&str) -> Option<String>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let is_disabled = match lookup(DISABLED).as_deref().map(str::to_ascii_lowercase).as_deref() {
            None | Some("false" | "0") => false,
            Some("true" | "1") => true,
            Some(_) => {
                problems.add(DISABLED, "neither `true` nor `false`");
                false
            }
        };
        let namespace = lookup(NAMESPACE);
        if let Some(problem) = namespace.as_deref().and_then(problem_of_namespace) {
            problems.add(NAMESPACE, problem);
        }
        let function_name = lookup("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_default();
        namespace.filter(|_| !is_disabled).map(|namespace| Self { namespace, function_name })
    }
}

/// CloudWatch User Guide, "Namespaces", and `PutMetricData` in its API Reference.
fn problem_of_namespace(namespace: &str) -> Option<&'static str> {
    let is_allowed =
        |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '-' | '_' | '/' | '#' | ':' | ' ');
    if namespace.trim().is_empty() {
        Some("empty; without this variable there are no metrics")
    } else if namespace.len() > MAX_NAMESPACE {
        Some("longer than 255 characters")
    } else if !namespace.chars().all(is_allowed) {
        Some("has other characters than letters, digits, spaces and `.-_/#:`")
    } else if namespace.starts_with(':') {
        Some("begins with a colon")
    } else if namespace.starts_with("AWS/") {
        Some("begins with `AWS/`, which is for the services of AWS")
    } else {
        None
    }
}

/// The name of a service is the value of a dimension (`Dimension` in CloudWatch's API Reference).
pub(in crate::function::telemetry) fn problem_of_service(service: &str) -> Option<&'static str> {
    if service.trim().is_empty() {
        Some("empty; without this variable the name is `cedar-authorizer`")
    } else if service.len() > MAX_DIMENSION {
        Some("longer than 1024 characters")
    } else if !service.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        Some("has other characters than those of ASCII that can be printed")
    } else if service.starts_with(':') {
        Some("begins with a colon")
    } else {
        None
    }
}

const NAMESPACE: &str = "POWERTOOLS_METRICS_NAMESPACE";
const DISABLED: &str = "POWERTOOLS_METRICS_DISABLED";

const MAX_NAMESPACE: usize = 255;
const MAX_DIMENSION: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> (Option<MetricsSettings>, Vec<String>) {
        let mut problems = Problems::default();
        let lookup = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let settings = MetricsSettings::read(&lookup, &mut problems);
        (settings, problems.into_iter().collect())
    }

    #[test]
    fn metrics_are_written_if_there_is_a_namespace_and_they_are_not_disabled() {
        assert_eq!(read(&[]), (None, vec![]));
        let (settings, problems) =
            read(&[(NAMESPACE, "Shop / auth #1"), (DISABLED, "0"), ("AWS_LAMBDA_FUNCTION_NAME", "f")]);
        let (namespace, function_name) = ("Shop / auth #1".to_owned(), "f".to_owned());
        assert_eq!((settings, problems), (Some(MetricsSettings { namespace, function_name }), vec![]));
        for disabled in ["true", "True", "TRUE", "1"] {
            assert_eq!(read(&[(NAMESPACE, "Shop"), (DISABLED, disabled)]), (None, vec![]));
        }
    }

    #[test]
    fn a_namespace_that_cloudwatch_would_not_take_is_refused_without_its_text() {
        let long = "x".repeat(256);
        for namespace in ["", " ", ":shop", "AWS/Lambda", "caf\u{e9}", "a\nb", "a\"b", "a,b", &long] {
            let (_, problems) = read(&[(NAMESPACE, namespace), (DISABLED, "yes")]);
            let [of_disabled, of_namespace] = problems.as_slice() else {
                panic!("{namespace}: {problems:?}")
            };
            assert!(of_disabled.starts_with(DISABLED) && of_namespace.starts_with(NAMESPACE));
            assert!(namespace.len() < 3 || !of_namespace.contains(namespace), "{of_namespace}");
        }
        assert_eq!(read(&[(NAMESPACE, &"x".repeat(255))]).1, [""; 0]);
    }

    #[test]
    fn a_service_is_the_value_of_a_dimension() {
        for service in ["cedar-authorizer", "a b", "\"quoted\" \\", &"x".repeat(1024)] {
            assert_eq!(problem_of_service(service), None, "{service}");
        }
        for service in ["", "  ", ":a", "caf\u{e9}", "a\tb", &"x".repeat(1025)] {
            assert!(problem_of_service(service).is_some(), "{service}");
        }
    }
}
