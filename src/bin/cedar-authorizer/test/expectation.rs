//! What a test expects, and how an answer differs from it.

use std::fmt;

use cedar_authorizer::reason::{Reason, Status};
use serde_json::{Map, Value, json};

use super::fields::{Fields, kind, list};
use super::problem::Problems;
use crate::nearest::choice;
use crate::yaml::Node;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The backend is called.
    Allow,
    /// The client gets 403.
    Deny,
    /// The client gets 401.
    Unauthorized,
    /// The client gets 500. No test of policies expects it by name.
    Fault,
}

impl Verdict {
    /// The name in test files and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Unauthorized => "unauthorized",
            Self::Fault => "fault",
        }
    }

    /// The status that the client gets; of an allowed request, that of a backend where all goes well.
    pub fn status(self) -> u16 {
        match self {
            Self::Allow => 200,
            Self::Deny => 403,
            Self::Unauthorized => 401,
            Self::Fault => 500,
        }
    }

    const ALL: [Self; 4] = [Self::Allow, Self::Deny, Self::Unauthorized, Self::Fault];
    /// Those that a test can expect by name.
    pub const EXPECTED: [Self; 3] = [Self::Allow, Self::Deny, Self::Unauthorized];
}

impl From<Status> for Verdict {
    fn from(status: Status) -> Self {
        match status {
            Status::Allow => Self::Allow,
            Status::Deny => Self::Deny,
            Status::Unauthorized => Self::Unauthorized,
            Status::Fault => Self::Fault,
        }
    }
}

/// What became of a request.
#[derive(Clone, Debug)]
pub struct Got {
    /// What becomes of the request.
    pub verdict: Verdict,
    /// Why. `None`: the function was not asked, and the answer does not say it.
    pub reason: Option<Reason>,
    /// The determining policies and those that could not be evaluated. `None`: as with the reason.
    pub policies: Option<Policies>,
    /// What the backend gets; nothing, if it is not called.
    pub backend: Map<String, Value>,
    /// Whether API Gateway's cache answered.
    pub from_cache: bool,
}

/// The policies that a decision names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policies {
    /// The determining ones, sorted.
    pub determining: Vec<String>,
    /// Those that could not be evaluated, sorted.
    pub errors: Vec<String>,
}

impl Got {
    /// The answer as JSON.
    pub fn json(&self) -> Value {
        let Self { verdict, reason, policies, backend, from_cache } = self;
        json!({
            "decision": verdict.name(),
            "reason": reason.map(Reason::code),
            "policies": policies.as_ref().map(|policies| &policies.determining),
            "errors": policies.as_ref().map(|policies| &policies.errors),
            "status": verdict.status(),
            "backend": backend,
            "fromCache": from_cache,
        })
    }
}

/// What a test expects. What it does not mention may be anything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expectation {
    verdict: Option<Verdict>,
    reason: Option<Reason>,
    policies: Option<Vec<String>>,
    errors: Option<Vec<String>>,
    status: Option<u16>,
    /// A null stands for a member that must be absent.
    backend: Map<String, Value>,
    from_cache: Option<bool>,
}

/// Something that is not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What it is: a key of `expect`.
    pub what: String,
    /// What the test expects.
    pub expected: String,
    /// What came.
    pub got: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}, got {}", self.what, self.expected, self.got)
    }
}

impl Expectation {
    /// Reads `expect` of a test: the name of a decision, or a map. `None`: it is missing or wrong, which is a problem.
    pub fn read(fields: &Fields<'_>) -> Option<Self> {
        let Some(node) = fields.get("expect") else {
            let hint = "add `expect: allow`, `expect: deny` or `expect: unauthorized`";
            fields.problems.add_with(fields.place, "the test expects nothing", hint);
            return None;
        };
        if node.map().is_some() {
            return Self::read_map(fields.problems, node);
        }
        if node.text().is_none() {
            let message = format!("`expect` should be a decision or a map, not {}", kind(node));
            fields.problems.add(node.place, message);
            return None;
        }
        let verdict = fields.one_of("expect", &Verdict::EXPECTED.map(|verdict| (verdict.name(), verdict)))?;
        Some(Self { verdict: Some(verdict), ..Self::default() })
    }

    fn read_map(problems: &Problems, node: &Node) -> Option<Self> {
        let fields = Fields::read(problems, node, "`expect`")?;
        fields.allow("`expect`", &KEYS, &[]);
        let names = |key: &str| {
            let listed = fields.list(key)?;
            let mut names: Vec<String> = listed.into_iter().map(|(name, _)| name.to_owned()).collect();
            names.sort();
            names.dedup();
            Some(names)
        };
        let statuses = Verdict::ALL.map(|verdict| (verdict.status().to_string(), verdict.status()));
        let expectation = Self {
            verdict: fields.one_of("decision", &Verdict::EXPECTED.map(|verdict| (verdict.name(), verdict))),
            reason: fields.text("reason").and_then(|(code, place)| {
                let found = Reason::ALL.iter().find(|reason| reason.code() == code).copied();
                if found.is_none() {
                    let hint = choice(code, Reason::ALL.iter().map(|reason| reason.code()));
                    problems.add_with(place, format!("there is no reason `{code}`"), hint);
                }
                found
            }),
            policies: names("policies"),
            errors: names("errors"),
            status: {
                let known: Vec<(&str, u16)> =
                    statuses.iter().map(|(text, status)| (text.as_str(), *status)).collect();
                fields.one_of("status", &known)
            },
            backend: Self::read_backend(&fields),
            from_cache: None,
        };
        if fields.is_empty() {
            problems.add_with(node.place, "`expect` is empty", format!("it takes {}", list(&KEYS)));
        }
        expectation.check_sense(&fields);
        Some(expectation)
    }

    fn read_backend(fields: &Fields<'_>) -> Map<String, Value> {
        let Some((backend, place)) = fields.object("backend") else { return Map::new() };
        if let Some((name, _)) = backend.iter().find(|(_, value)| value.is_array() || value.is_object()) {
            let message = format!("`{name}` of `backend` cannot be a list or a map");
            fields.problems.add_with(
                place,
                message,
                "API Gateway passes on texts, numbers and booleans only",
            );
        }
        backend
    }

    /// Adds whether API Gateway's cache is expected to answer.
    pub fn with_cache(self, from_cache: Option<bool>) -> Self {
        Self { from_cache, ..self }
    }

    /// Whether it expects what only a request to the API has.
    pub fn is_of_api(&self) -> bool {
        self.status.is_some() || !self.backend.is_empty()
    }

    /// Reports an expectation that nothing can fulfil.
    fn check_sense(&self, fields: &Fields<'_>) {
        let of_reason = self.reason.map(|reason| Verdict::from(reason.status()));
        let of_status = self
            .status
            .and_then(|status| Verdict::ALL.into_iter().find(|verdict| verdict.status() == status));
        let said = [("decision", self.verdict), ("reason", of_reason), ("status", of_status)];
        let mut said = said.into_iter().filter_map(|(key, verdict)| Some((key, verdict?)));
        let Some((first, verdict)) = said.next() else { return };
        for (key, other) in said.filter(|(_, other)| *other != verdict) {
            let message = format!(
                "no answer has this `{first}` and this `{key}`: one means {}, the other {}",
                verdict.name(),
                other.name()
            );
            fields.problems.add(fields.place, message);
        }
    }

    /// How an answer differs, with everything that does.
    pub fn differences(&self, got: &Got) -> Vec<Difference> {
        let Self { verdict, reason, policies, errors, status, backend, from_cache } = self;
        let mut differences = Vec::new();
        let mut compare = |what: &str, expected: Option<String>, got: String| {
            if let Some(expected) = expected.filter(|expected| *expected != got) {
                differences.push(Difference { what: what.to_owned(), expected, got });
            }
        };
        compare("decision", verdict.map(|verdict| verdict.name().to_owned()), got.verdict.name().to_owned());
        let code = got.reason.map_or(NOT_SAID, Reason::code);
        compare("reason", reason.map(|reason| reason.code().to_owned()), code.to_owned());
        let of_got = |of: fn(&Policies) -> &Vec<String>| {
            got.policies.as_ref().map_or_else(|| NOT_SAID.to_owned(), |policies| names(of(policies)))
        };
        compare("policies", policies.as_deref().map(names), of_got(|policies| &policies.determining));
        compare("errors", errors.as_deref().map(names), of_got(|policies| &policies.errors));
        compare("status", status.map(|status| status.to_string()), got.verdict.status().to_string());
        for (name, expected) in backend {
            // API Gateway passes values on as texts, so `7` and `"7"` are the same.
            let text = |value: Option<&Value>| match value {
                None | Some(Value::Null) => "nothing".to_owned(),
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
            };
            compare(&format!("backend.{name}"), Some(text(Some(expected))), text(got.backend.get(name)));
        }
        compare("from_cache", from_cache.map(|is| is.to_string()), got.from_cache.to_string());
        differences
    }

    /// The expectation as JSON, without what it does not mention.
    pub fn json(&self) -> Value {
        let Self { verdict, reason, policies, errors, status, backend, from_cache } = self;
        let members = [
            ("decision", verdict.map(|verdict| json!(verdict.name()))),
            ("reason", reason.map(|reason| json!(reason.code()))),
            ("policies", policies.as_ref().map(|policies| json!(policies))),
            ("errors", errors.as_ref().map(|errors| json!(errors))),
            ("status", status.map(|status| json!(status))),
            ("backend", Some(json!(backend)).filter(|_| !backend.is_empty())),
            ("fromCache", from_cache.map(|from_cache| json!(from_cache))),
        ];
        let members = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Value::Object(members.collect())
    }
}

/// Names for people.
fn names(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// The reason and the policies of an answer out of the cache that was made for more than one request.
const NOT_SAID: &str = "not known, because the function was not asked";

/// The keys of `expect`.
const KEYS: [&str; 6] = ["decision", "reason", "policies", "errors", "status", "backend"];
