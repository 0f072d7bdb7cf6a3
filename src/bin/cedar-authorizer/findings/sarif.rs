//! Findings for code scanners: SARIF 2.1.0 (OASIS, "Static Analysis Results Interchange Format Version 2.1.0").

use std::collections::{BTreeSet, HashMap};

use aws_lc_rs::digest::{SHA256, digest};
use cedar_authorizer::store::finding::{Code, Finding, Severity};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::text::Lines;
use super::{Home, Sources};

/// A log with one run.
pub fn log<'a>(findings: impl IntoIterator<Item = (&'a Finding, Home)>, sources: &Sources<'_>) -> Value {
    let findings: Vec<(&Finding, Home)> = findings.into_iter().collect();
    let found: BTreeSet<Code> = findings.iter().map(|(finding, _)| finding.code).collect();
    let rules: Vec<Code> = found.into_iter().collect();
    let mut seen: HashMap<String, usize> = HashMap::new();
    let results: Vec<Value> =
        findings.iter().map(|(finding, home)| result(finding, *home, &rules, sources, &mut seen)).collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {
                "driver": {
                    "name": env!("CARGO_PKG_NAME"),
                    "semanticVersion": env!("CARGO_PKG_VERSION"),
                    "rules": rules.iter().map(|code| rule(*code)).collect::<Vec<_>>(),
                },
            },
            // Columns are counted in characters, not in the units of UTF-16.
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rule(code: Code) -> Value {
    json!({
        "id": code.name(),
        "name": pascal_case(code.name()),
        "shortDescription": { "text": code.meaning() },
        "fullDescription": { "text": code.meaning() },
        "help": { "text": format!("{} See docs/findings.md.", code.meaning()) },
        "defaultConfiguration": { "level": level(code.severity()) },
    })
}

fn result(
    finding: &Finding,
    home: Home,
    rules: &[Code],
    sources: &Sources<'_>,
    seen: &mut HashMap<String, usize>,
) -> Value {
    let Finding { severity, code, position, message, policy: _, hint } = finding;
    let path = sources.repository_path(finding, home);
    let text = match hint {
        Some(hint) => format!("{message}. Help: {hint}"),
        None => message.clone(),
    };
    let mut place = json!({ "artifactLocation": { "uri": uri(&path) } });
    let region = match position.line {
        Some(line) => Some(region(&[
            ("startLine", Some(line)),
            ("startColumn", position.column),
            ("endLine", position.end_line),
            ("endColumn", position.end_column),
        ])),
        // The file as a whole, if there is one.
        None => sources
            .with_lines(&position.file, home, Lines::count)
            .map(|count| region(&[("startLine", Some(1)), ("endLine", Some(count))])),
    };
    if let (Some(place), Some(region)) = (place.as_object_mut(), region) {
        place.insert("region".to_owned(), region);
    }
    let source = position.line.and_then(|number| {
        sources.with_lines(&position.file, home, |lines| lines.line(number).map(str::trim).map(str::to_owned))
    });
    json!({
        "ruleId": code.name(),
        "ruleIndex": rules.iter().position(|rule| rule == code),
        "level": level(*severity),
        "message": { "text": text },
        "locations": [{ "physicalLocation": place }],
        "partialFingerprints": {
            "cedarAuthorizer/v1": fingerprint(finding, &path, &source.flatten().unwrap_or_default(), seen),
        },
    })
}

fn region(members: &[(&str, Option<usize>)]) -> Value {
    members.iter().filter_map(|(name, number)| Some(((*name).to_owned(), Value::from((*number)?)))).collect()
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// What tells a finding from others and stays the same if lines move: everything but the numbers of line and
/// column. Of findings that are the same in all of it, the first is told from the second.
fn fingerprint(finding: &Finding, path: &str, source: &str, seen: &mut HashMap<String, usize>) -> String {
    let policy = finding.policy.as_deref().unwrap_or_default();
    let parts = [finding.code.name(), path, policy, &finding.message, source];
    let same = seen.entry(parts.join("\0")).or_default();
    *same += 1;
    let digest = digest(&SHA256, format!("{}\0{same}", parts.join("\0")).as_bytes());
    digest.as_ref().iter().take(FINGERPRINT_BYTES).map(|byte| format!("{byte:02x}")).collect()
}

/// A path as a URI reference (RFC 3986).
fn uri(path: &str) -> String {
    let encoded = utf8_percent_encode(path, RESERVED).to_string();
    if path.starts_with('/') { format!("file://{encoded}") } else { encoded }
}

/// `route-unknown` as `RouteUnknown`.
fn pascal_case(name: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters
            .next()
            .into_iter()
            .flat_map(char::to_uppercase)
            .chain(letters.as_str().chars())
            .collect::<String>()
    };
    name.split('-').map(word).collect()
}

/// Everything but what a path may have as it is.
const RESERVED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json";

const FINGERPRINT_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_a_uri_that_leads_back_to_it() {
        for (path, expected) in [
            ("policies/a b.cedar", "policies/a%20b.cedar"),
            ("p/\"q'?#%.cedar", "p/%22q%27%3F%23%25.cedar"),
            ("p/ü:x", "p/%C3%BC%3Ax"),
            ("/etc/x", "file:///etc/x"),
        ] {
            assert_eq!(uri(path), expected);
        }
        assert_eq!(pascal_case("cache-key-needed"), "CacheKeyNeeded");
    }
}
