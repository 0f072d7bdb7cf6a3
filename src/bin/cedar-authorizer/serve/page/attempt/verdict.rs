//! The verdict in plain words.

use cedar_authorizer::reason::{Reason, Status};
use serde::Serialize;

use crate::explanation::report::Report;
use crate::serve::exchange::{CacheUse, Effect, Exchange};

/// What became of a request, for people who have never seen Cedar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// `Allowed`, `Denied`, ...
    word: &'static str,
    tone: Tone,
    /// Why. Code is in backticks.
    sentence: String,
    /// The reason code.
    code: Option<String>,
    /// What it means.
    meaning: Option<String>,
}

/// How it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Tone {
    Allow,
    Deny,
    Warn,
}

/// The verdict on an exchange. `report` is what the policies say to it, `who` is who asked.
pub fn of(exchange: &Exchange, report: Option<&Report>, who: &str) -> Verdict {
    let (word, tone) = match exchange.effect {
        Effect::Allow => ("Allowed", Tone::Allow),
        Effect::Open => ("Open", Tone::Warn),
        Effect::Deny => ("Denied", Tone::Deny),
        Effect::Unauthorized => ("Refused", Tone::Deny),
        Effect::NoRoute => ("No route", Tone::Warn),
        Effect::Fault => ("Fault", Tone::Warn),
        Effect::Invalid => ("Not taken", Tone::Warn),
    };
    // A kept answer has the reason of the request that it was made for, and that of a report is for this one.
    let report_agrees = report.filter(|report| agrees(report, exchange.effect));
    let decided = exchange.decision.as_ref();
    let (code, meaning) = match (report_agrees, decided) {
        (Some(report), _) => (Some(report.reason.code().to_owned()), Some(report.meaning.to_owned())),
        (None, Some(decided)) => (Some(decided.reason.clone()), Some(decided.meaning.clone())),
        (None, None) => (None, None),
    };
    Verdict { word, tone, sentence: sentence(exchange, report_agrees, who), code, meaning }
}

fn agrees(report: &Report, effect: Effect) -> bool {
    match effect {
        Effect::Allow => report.decision == Status::Allow,
        Effect::Deny | Effect::NoRoute => report.decision == Status::Deny,
        Effect::Unauthorized => report.decision == Status::Unauthorized,
        Effect::Fault => report.decision == Status::Fault,
        Effect::Open | Effect::Invalid => false,
    }
}

fn sentence(exchange: &Exchange, report: Option<&Report>, who: &str) -> String {
    let route = exchange.route.as_deref().unwrap_or("this");
    let is_kept = matches!(exchange.cache, CacheUse::Hit { .. });
    match (exchange.effect, report) {
        (Effect::Allow, Some(report)) => {
            let (policies, permit) = named(&report.policies, "permits", "permit");
            format!("{policies} {permit} {who} to `{route}`.")
        }
        (Effect::Allow, None) if is_kept => {
            "an answer that was made before is kept, and allows it.".to_owned()
        }
        (Effect::Allow, None) => format!("the authorizer allows {who} to `{route}`."),
        (Effect::Deny, Some(report)) => match report.reason {
            Reason::NoMatchingPermit => format!("no policy permits {who} to `{route}`."),
            Reason::ForbiddenByPolicy => {
                let (policies, forbid) = named(&report.policies, "forbids", "forbid");
                format!("{policies} {forbid} {who} to `{route}`.")
            }
            reason => lower(reason.meaning()),
        },
        (Effect::Deny, None) if is_kept => {
            "an answer that was made before is kept, and denies it.".to_owned()
        }
        (Effect::Deny, None) => match &exchange.decision {
            Some(decided) => lower(&decided.meaning),
            None => "the authorizer denies it.".to_owned(),
        },
        (Effect::Unauthorized, Some(report)) => lower(report.meaning),
        (Effect::Unauthorized, None) => "the token is missing or refused.".to_owned(),
        (Effect::NoRoute, _) => {
            format!("this API has none for `{} {}`.", exchange.method, exchange.target)
        }
        (Effect::Open, _) => format!("`{route}` has no authorizer, so everybody may call it."),
        (Effect::Fault, _) => match (&exchange.problem, report) {
            (Some(problem), _) => format!("{problem}."),
            (None, Some(report)) => lower(report.meaning),
            (None, None) => "the authorizer failed.".to_owned(),
        },
        (Effect::Invalid, _) => "API Gateway does not take such a request.".to_owned(),
    }
}

/// Policies as the subject of a sentence, and the verb that goes with them.
fn named<'a>(ids: &[String], one: &'a str, several: &'a str) -> (String, &'a str) {
    match ids {
        [] => ("a policy".to_owned(), one),
        [id] => (format!("`{id}`"), one),
        [id, other] => (format!("`{id}` and `{other}`"), several),
        [id, others @ ..] => (format!("`{id}` and {} other policies", others.len()), several),
    }
}

/// A sentence that goes on after a colon.
fn lower(sentence: &str) -> String {
    let mut chars = sentence.chars();
    let first = chars.next().map(|first| first.to_ascii_lowercase());
    // `API Gateway ...` and `JWT ...` stay as they are.
    let is_name = chars.clone().next().is_some_and(char::is_uppercase);
    if is_name { sentence.to_owned() } else { first.into_iter().chain(chars).collect() }
}
