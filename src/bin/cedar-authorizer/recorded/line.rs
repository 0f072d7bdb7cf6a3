//! Lines of the log of a function, and of `serve --record`: what each is.

mod decision;

use std::borrow::Cow;

use cedar_authorizer::reason::Reason;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::left_out::Why;
use super::message::{Content, MAX_BYTES};
use super::shadow::{self, ShadowLine};

pub use decision::reason;

/// What a line of a log is.
#[derive(Debug)]
pub enum Line<'a> {
    /// A decision with the request that it was made on.
    Decision(Box<Record<'a>>),
    /// A decision that cannot be made again.
    LeftOut(Why),
    /// Where a shadow bundle would have answered differently.
    Shadow(ShadowLine),
    /// Something else that the function or Lambda writes.
    OfFunction,
    /// Anything else.
    Other,
}

/// A decision with the request that it was made on.
#[derive(Debug)]
pub struct Record<'a> {
    pub timestamp: Option<String>,
    pub reason: Reason,
    /// In the order of the line.
    pub policies: Vec<String>,
    pub route: Option<String>,
    pub action: Option<String>,
    pub bundle_name: Option<String>,
    pub bundle_revision: Option<u64>,
    /// The Cedar request, as it is written.
    pub request: &'a str,
}

/// Gives each line of a message to `take`. A message may have several if it has no line breaks.
pub fn read(content: &Content, take: &mut impl FnMut(Line<'_>)) {
    match content {
        Content::Line(bytes) => of_text(&String::from_utf8_lossy(bytes), 0, take),
        Content::Broken => take(Line::LeftOut(Why::Malformed)),
        Content::TooLong => take(Line::LeftOut(Why::TooLong)),
    }
}

/// `depth` is how often it was wrapped.
fn of_text(text: &str, depth: usize, take: &mut impl FnMut(Line<'_>)) {
    if depth > MAX_WRAPPINGS {
        return take(Line::LeftOut(Why::Malformed));
    }
    if text.len() > MAX_BYTES * 2 {
        return take(Line::LeftOut(Why::TooLong));
    }
    let text = text.trim();
    let json = without_prefix(text);
    match json.as_bytes().first() {
        Some(b'{') => {}
        // An element of an array: a text, or the fields of a result of Insights.
        Some(b'"') => return of_string(json, depth, take),
        Some(b'[') if depth == 0 => {
            return match insights_message(json) {
                Some(message) => of_text(&message, depth + 1, take),
                None => take(Line::Other),
            };
        }
        _ => return take(of_plain(without_timestamp(text))),
    }
    let mut objects = serde_json::Deserializer::from_str(json).into_iter::<&RawValue>();
    for object in &mut objects {
        match object {
            Ok(object) => of_object(object.get(), depth, take),
            // What others write is of no interest, however it is written.
            Err(_) if OWN_MEMBERS.iter().any(|member| json.contains(member)) => {
                return take(Line::LeftOut(Why::Malformed));
            }
            Err(_) => return take(Line::Other),
        }
    }
}

/// The text behind what Lambda or CloudWatch Logs writes before a line: times, the id of the invocation, a level, the
/// name of a log stream.
fn without_prefix(text: &str) -> &str {
    if !text.starts_with(|char: char| char.is_ascii_digit()) {
        return text;
    }
    let Some((prefix, _)) = text.split_once('{') else { return text };
    let is_prefix = prefix.len() <= LONGEST_PREFIX
        && !prefix.contains(['"', '='])
        && prefix.split_whitespace().count() <= MOST_WORDS;
    text.get(prefix.len()..).filter(|_| is_prefix).unwrap_or(text)
}

/// The text behind the time that an export to S3 writes before each line.
fn without_timestamp(text: &str) -> &str {
    match text.split_once(' ') {
        Some((time, rest)) if time.len() >= 20 && time.ends_with('Z') && time.contains('T') => rest,
        _ => text,
    }
}

/// A line that is no JSON.
fn of_plain(text: &str) -> Line<'static> {
    if let Some(line) = shadow::of_text(text) {
        return Line::Shadow(line);
    }
    let is_of_function = OF_LAMBDA.iter().any(|begin| text.starts_with(begin));
    if is_of_function { Line::OfFunction } else { Line::Other }
}

/// A JSON text that has a line in it.
fn of_string(json: &str, depth: usize, take: &mut impl FnMut(Line<'_>)) {
    match serde_json::from_str::<String>(json) {
        Ok(text) => of_text(&text, depth + 1, take),
        Err(_) => take(Line::Other),
    }
}

/// The `@message` of a result of CloudWatch Logs Insights.
fn insights_message(json: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Field {
        field: String,
        value: Option<String>,
    }
    let fields: Vec<Field> = serde_json::from_str(json).ok()?;
    fields.into_iter().find(|field| field.field == "@message")?.value
}

/// The members of an object that say what it is.
#[derive(Debug, Default, Deserialize)]
struct Members<'a> {
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "@message")]
    at_message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    level: Option<&'a RawValue>,
    /// Of OCSF.
    #[serde(borrow, default)]
    class_uid: Option<&'a RawValue>,
    /// Of `serve --record`, with the two behind it.
    #[serde(borrow, default)]
    microseconds: Option<&'a RawValue>,
    #[serde(borrow, default)]
    cache: Option<&'a RawValue>,
    #[serde(borrow, default)]
    log: Option<&'a RawValue>,
    /// Of what Lambda itself writes: `platform.report` and the like.
    #[serde(borrow, default, rename = "type")]
    kind: Option<&'a RawValue>,
}

fn of_object(json: &str, depth: usize, take: &mut impl FnMut(Line<'_>)) {
    let Ok(members) = serde_json::from_str::<Members<'_>>(json) else {
        return take(Line::LeftOut(Why::Malformed));
    };
    // A null is a member of a record, too; `Option` takes it for none.
    if members.microseconds.is_some() && members.cache.is_some() {
        return match members.log {
            Some(log) => of_object(log.get(), depth, take),
            None => take(Line::LeftOut(not_asked(members.cache))),
        };
    }
    let message = members.message.or(members.at_message);
    let Some(text) = message.and_then(|raw| serde_json::from_str::<Cow<'_, str>>(raw.get()).ok()) else {
        let kind = members.kind.map(RawValue::get).unwrap_or_default();
        return take(if kind.starts_with("\"platform.") { Line::OfFunction } else { Line::Other });
    };
    match &*text {
        "decision" => {
            take(if members.class_uid.is_some() { decision::of_ocsf(json) } else { decision::of_json(json) })
        }
        shadow::MESSAGE => take(shadow::of_json(json).map_or(Line::LeftOut(Why::Malformed), Line::Shadow)),
        text if members.level.is_none() || text.starts_with('{') => of_text(text, depth + 1, take),
        _ => take(Line::OfFunction),
    }
}

/// Why a record of `serve` has no line of the decision log.
fn not_asked(cache: Option<&RawValue>) -> Why {
    #[derive(Deserialize)]
    struct Cache {
        outcome: String,
    }
    let cache = cache.and_then(|raw| serde_json::from_str::<Cache>(raw.get()).ok());
    if cache.is_some_and(|cache| cache.outcome == "hit") { Why::FromCache } else { Why::NotAsked }
}

/// How lines begin that Lambda writes, and those of the function with the log format text.
const OF_LAMBDA: [&str; 13] = [
    "START ",
    "END ",
    "REPORT ",
    "INIT_START ",
    "INIT_REPORT ",
    "EXTENSION",
    "XRAY ",
    "RESTORE_",
    "ERROR ",
    "WARN ",
    "INFO ",
    "DEBUG ",
    "TRACE ",
];

/// What is in every line with a decision, and in every record of `serve`.
const OWN_MEMBERS: [&str; 2] = ["\"decision\"", "\"microseconds\""];

/// A line may be in a text that is in an object, which is in a text again.
const MAX_WRAPPINGS: usize = 3;

const LONGEST_PREFIX: usize = 512;

/// `aws logs tail` writes two, Lambda three, with the time of an export before it four.
const MOST_WORDS: usize = 5;
