//! The log of a function with a shadow bundle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Deserialize;

use super::input::inputs;
use super::line::{Line, reason};
use super::message::Place;
use super::pipeline::{Item, each};
use super::{ShadowDifference, ShadowLog, Verdict};
use crate::access::Access;
use crate::output::Failure;

/// A line that says where the shadow bundle would have answered differently.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ShadowLine {
    /// `None`: no route.
    pub action: Option<String>,
    pub reason: String,
    /// Separated by commas. `None`: nothing was decided.
    pub policies: Option<String>,
    pub candidate_reason: String,
    pub candidate_policies: Option<String>,
    /// `None`: the candidate did not decide.
    pub candidate_revision: Option<u64>,
}

/// What such a line says.
pub const MESSAGE: &str = "the shadow bundle differs";

/// Reads such a line of the log format JSON.
pub fn of_json(json: &str) -> Option<ShadowLine> {
    serde_json::from_str(json).ok()
}

/// Reads such a line of the log format text: `INFO the shadow bundle differs action="..." reason="..."`.
pub fn of_text(text: &str) -> Option<ShadowLine> {
    let (level, rest) = text.split_once(' ')?;
    let rest = rest.strip_prefix(MESSAGE)?;
    if level.len() > LONGEST_LEVEL || !level.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let mut fields = fields(rest)?;
    Some(ShadowLine {
        action: fields.remove("action"),
        reason: fields.remove("reason")?,
        policies: fields.remove("policies"),
        candidate_reason: fields.remove("candidate_reason")?,
        candidate_policies: fields.remove("candidate_policies"),
        candidate_revision: fields.remove("candidate_revision").and_then(|revision| revision.parse().ok()),
    })
}

/// The fields of a line: ` name="text"`, as Rust writes texts for people, or ` name=value`. The first of a name counts:
/// those of the line itself come first.
fn fields(line: &str) -> Option<BTreeMap<&str, String>> {
    let (mut fields, mut rest) = (BTreeMap::new(), line);
    while let Some((name, behind)) = rest.trim_start().split_once('=') {
        let value = match behind.strip_prefix('"') {
            Some(quoted) => {
                let (value, behind) = unescaped(quoted)?;
                rest = behind;
                value
            }
            None => {
                let (value, behind) = behind.split_once(' ').unwrap_or((behind, ""));
                rest = behind;
                value.to_owned()
            }
        };
        fields.entry(name).or_insert(value);
    }
    Some(fields)
}

/// The text up to its closing quote, and what is behind it.
fn unescaped(quoted: &str) -> Option<(String, &str)> {
    let (mut text, mut chars) = (String::new(), quoted.chars());
    loop {
        match chars.next()? {
            '"' => return Some((text, chars.as_str())),
            '\\' => match chars.next()? {
                'n' => text.push('\n'),
                'r' => text.push('\r'),
                't' => text.push('\t'),
                '0' => text.push('\0'),
                'u' => {
                    let (digits, behind) = chars.as_str().strip_prefix('{')?.split_once('}')?;
                    text.push(char::from_u32(u32::from_str_radix(digits, 16).ok()?)?);
                    chars = behind.chars();
                }
                char => text.push(char),
            },
            char => text.push(char),
        }
    }
}

/// What a file says that matters here.
enum Said {
    Shadow(ShadowLine),
    Decision,
    OfFunction,
}

/// Reads what the shadow bundle of a function wrote.
///
/// # Errors
/// A file cannot be read, or is no log of the function.
pub fn shadow_log(files: &[PathBuf]) -> Result<ShadowLog, Failure> {
    let (mut decisions, mut is_log) = (0, false);
    let mut groups: BTreeMap<Key, Group> = BTreeMap::new();
    let said = |line: Line<'_>, _: &Place| match line {
        Line::Shadow(line) => Some(Said::Shadow(line)),
        Line::Decision(_) => Some(Said::Decision),
        Line::LeftOut(why) if why.is_decision() => Some(Said::Decision),
        Line::OfFunction => Some(Said::OfFunction),
        Line::LeftOut(_) | Line::Other => None,
    };
    each("reading the log", &inputs(files)?, &said, |Item { place, value }| {
        is_log = true;
        match value {
            Said::Decision => decisions += 1,
            Said::OfFunction => {}
            Said::Shadow(line) => {
                let revision = line.candidate_revision;
                let group = groups.entry(Key::of(line)).or_insert_with(|| Group::new(&place));
                group.count += 1;
                if group.revisions.len() < MAX_REVISIONS {
                    group.revisions.extend(revision);
                }
            }
        }
        Ok(())
    })?;
    if !is_log {
        return Err(Failure::could_not_run("there are no lines of the function in what was named").hint(
            "name its log: `aws logs filter-log-events --log-group-name /aws/lambda/NAME > function.log`",
        ));
    }
    let differences = groups.into_iter().map(|(key, group)| ShadowDifference {
        access: key.access,
        action: key.action,
        before: key.before,
        after: key.after,
        revisions: group.revisions.into_iter().collect(),
        count: group.count,
        first: group.first,
    });
    Ok(ShadowLog {
        files: files.iter().map(|file| file.display().to_string()).collect(),
        decisions: (decisions > 0).then_some(decisions),
        differences: differences.collect(),
    })
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    access: Access,
    action: Option<String>,
    before: Verdict,
    after: Verdict,
}

impl Key {
    fn of(line: ShadowLine) -> Self {
        let before = verdict(line.reason, line.policies.as_deref());
        let after = verdict(line.candidate_reason, line.candidate_policies.as_deref());
        let access = Access::between(&before.decision, &after.decision);
        Self { access, action: line.action, before, after }
    }
}

struct Group {
    count: u64,
    revisions: BTreeSet<u64>,
    first: String,
}

impl Group {
    fn new(place: &Place) -> Self {
        Self { count: 0, revisions: BTreeSet::new(), first: place.to_string() }
    }
}

/// A reason that is not known is of a newer function. It is no Allow: there is one reason for that.
fn verdict(code: String, policies: Option<&str>) -> Verdict {
    let decision = reason(&code).map_or("unknown", |reason| reason.status().name()).to_owned();
    let policies = policies.unwrap_or_default().split(',').filter(|policy| !policy.is_empty());
    let mut policies: Vec<String> = policies.map(str::to_owned).collect();
    policies.sort();
    Verdict { decision, reason: code, policies }
}

const MAX_REVISIONS: usize = 1000;

const LONGEST_LEVEL: usize = 8;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// `tests/data/shadow/` has lines that the function wrote; a test of the suite compares them.
    fn sample(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/shadow").join(name)
    }

    fn difference(access: Access, [before, after]: [(&str, &[&str]); 2]) -> (Access, Verdict, Verdict) {
        let verdict = |(code, policies): (&str, &[&str])| verdict(code.to_owned(), Some(&policies.join(",")));
        (access, verdict(before), verdict(after))
    }

    #[test]
    fn lines_of_the_function_are_read_in_both_formats_and_in_exports() {
        let expected = [
            difference(
                Access::Gained,
                [("no-matching-permit", &[]), ("allowed-by-policy", &["every \\\"one\\\" adds"])],
            ),
            difference(
                Access::Lost,
                [("allowed-by-policy", &["everyone-sees-the-front-page"]), ("issuer-unknown", &[])],
            ),
            difference(
                Access::Lost,
                [("allowed-by-policy", &["employees-see-pets"]), ("forbidden-by-policy", &["no-more-lists"])],
            ),
            difference(
                Access::Lost,
                [("allowed-by-policy", &["employees-see-pets"]), ("issuer-unknown", &[])],
            ),
        ];
        let folder = tempfile::tempdir().unwrap();
        let text = fs::read_to_string(sample("text.log")).unwrap();
        let exported = folder.path().join("exported");
        let lines: String = text.lines().map(|line| format!("2026-01-01T00:00:00.000Z {line}\n")).collect();
        fs::write(&exported, lines).unwrap();
        let filtered = folder.path().join("filtered");
        let events: Vec<_> = text.lines().map(|line| serde_json::json!({"message": line})).collect();
        fs::write(&filtered, format!("{:#}", serde_json::json!({"events": events}))).unwrap();
        for file in [sample("json.log"), sample("text.log"), exported, filtered] {
            let log = shadow_log(std::slice::from_ref(&file)).unwrap();
            assert_eq!(log.decisions, None);
            let counts: u64 = log.differences.iter().map(|difference| difference.count).sum();
            assert_eq!(counts, text.lines().count() as u64, "{file:?}: {log:#?}");
            for (access, before, after) in &expected {
                let is_it = |found: &&ShadowDifference| {
                    found.access == *access && found.before == *before && found.after == *after
                };
                assert!(log.differences.iter().any(|found| is_it(&found)), "{before:?} {after:?}: {log:#?}");
            }
            let actions = log.differences.iter().filter_map(|difference| difference.action.as_deref());
            assert!(
                actions.into_iter().any(|action| action == "PetStore::Action::\"get /pets\""),
                "{log:#?}"
            );
        }
    }

    #[test]
    fn decisions_are_counted_and_other_files_refused() {
        let decisions = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/decision_log/json.jsonl");
        let lines = fs::read_to_string(&decisions).unwrap().lines().count();
        let log = shadow_log(&[decisions, sample("json.log")]).unwrap();
        assert_eq!(log.decisions, Some(lines as u64));
        assert!(!log.differences.is_empty());
        let other = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        assert!(shadow_log(&[other]).unwrap_err().message().contains("no lines of the function"));
    }

    #[test]
    fn texts_are_read_as_rust_writes_them() {
        let hostile = "a \"b\" \\ \n\u{202e}\u{1b}é=x candidate_reason=\"no\"";
        let line = format!(
            "INFO the shadow bundle differs action={hostile:?} reason=\"x\" candidate_reason=\"y\" candidate_revision=7 \
             reason=\"later\""
        );
        let read = of_text(&line).unwrap();
        assert_eq!(read.action.as_deref(), Some(hostile));
        assert_eq!((read.reason.as_str(), read.candidate_reason.as_str()), ("x", "y"));
        assert_eq!((read.policies, read.candidate_revision), (None, Some(7)));
        for broken in [
            "INFO the shadow bundle differs",
            "the shadow bundle differs reason=\"x\"",
            "INFO the shadow bundle differs reason=\"x",
        ] {
            assert_eq!(of_text(broken), None, "{broken}");
        }
    }
}
