//! What cannot be decided again, and why.

use std::collections::BTreeMap;
use std::fmt;

use cedar_authorizer::reason::Reason;

use super::LeftOut;
use super::message::Place;

/// Why a line cannot be decided again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// No caller is known.
    Refused,
    /// The function failed.
    Fault(Reason),
    /// The decision was made without asking a policy.
    NoPolicy(Reason),
    /// Requests are written only by opt-in.
    NotRecorded,
    /// Requests are never written without the ids of callers.
    Hidden,
    /// The function says why it wrote no request.
    Omitted(Omitted),
    /// `serve` answered out of the cache.
    FromCache,
    /// `serve` did not ask the function.
    NotAsked,
    /// The line is of another version.
    LineVersion(String),
    /// The request is of another version.
    RequestVersion(String),
    /// The reason is not one that is known.
    UnknownReason,
    /// A part of the request that Cedar does not take.
    Part(&'static str),
    /// The line is no JSON, or its members are not as documented.
    Malformed,
    /// The line is too long.
    TooLong,
    /// Redaction: what was recorded has a value that cannot be replaced.
    NotReplaceable,
    /// Redaction: a name has the id of a person in it.
    NamesPerson,
    /// Redaction: it would be decided otherwise.
    WouldChange,
    /// There are too many reasons already.
    Others,
}

/// Why the function wrote no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Omitted {
    Token,
    Size,
    Form,
    Unknown,
}

impl Why {
    /// Whether the line is one of the decision log.
    pub fn is_decision(&self) -> bool {
        match self {
            Self::Refused | Self::Fault(_) | Self::NoPolicy(_) | Self::NotRecorded | Self::Hidden => true,
            Self::Omitted(_) | Self::LineVersion(_) | Self::RequestVersion(_) | Self::UnknownReason => true,
            Self::Part(_) | Self::NotReplaceable | Self::NamesPerson | Self::WouldChange => true,
            Self::FromCache | Self::NotAsked | Self::Malformed | Self::TooLong | Self::Others => false,
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("the line has no request: its token was refused"),
            Self::Fault(reason) => write!(f, "the line has no request: the function failed (`{reason}`)"),
            Self::NoPolicy(reason) => write!(f, "the line has no request: no policy was asked (`{reason}`)"),
            Self::NotRecorded => {
                f.write_str("the line has no request: the function ran without DECISION_LOG_REQUESTS=true")
            }
            Self::Hidden => f.write_str(
                "the line has no request: the function hides callers (PRINCIPAL_IDS), who decide with it",
            ),
            Self::Omitted(Omitted::Token) => {
                f.write_str("the function left out the request: it had part of a token in it (`token`)")
            }
            Self::Omitted(Omitted::Size) => {
                f.write_str("the function left out the request: it was too long (`size`)")
            }
            Self::Omitted(Omitted::Form) => {
                f.write_str("the function left out the request: Cedar could not write it (`form`)")
            }
            Self::Omitted(Omitted::Unknown) => f.write_str("the function left out the request"),
            Self::FromCache => f.write_str("the answer came out of the cache of API Gateway"),
            Self::NotAsked => f.write_str("the function was not asked, or wrote no line"),
            Self::LineVersion(version) => {
                write!(f, "the line has version {version}; this program reads version 1")
            }
            Self::RequestVersion(version) => {
                write!(f, "the request has version {version}; this program reads version 1")
            }
            Self::UnknownReason => f.write_str("the line has a reason that this program does not know"),
            Self::Part(part) => write!(f, "the request is malformed: `{part}`"),
            Self::Malformed => f.write_str("the line is malformed"),
            Self::TooLong => f.write_str("the line is longer than 1 MiB"),
            Self::NotReplaceable => f.write_str("the request has a value that cannot be redacted"),
            Self::NamesPerson => f.write_str("a name that stays has the id of a person in it"),
            Self::WouldChange => f.write_str("without its values the request would be decided otherwise"),
            Self::Others => f.write_str("for other reasons"),
        }
    }
}

/// Counts what is left out, by reason.
#[derive(Debug, Default)]
pub struct LeftOuts(BTreeMap<Why, (u64, String)>);

impl LeftOuts {
    pub fn add(&mut self, why: Why, place: &Place) {
        let why = shortened(why);
        let why = if self.0.len() < MAX_REASONS || self.0.contains_key(&why) { why } else { Why::Others };
        self.0.entry(why).or_insert_with(|| (0, place.to_string())).0 += 1;
    }

    pub fn into_vec(self) -> Vec<LeftOut> {
        let left_out = |(why, (count, first)): (Why, _)| LeftOut { why: why.to_string(), count, first };
        self.0.into_iter().map(left_out).collect()
    }
}

/// Versions come from the file. They may be of any length.
fn shortened(why: Why) -> Why {
    let short = |version: String| version.chars().take(LONGEST_VERSION).collect();
    match why {
        Why::LineVersion(version) => Why::LineVersion(short(version)),
        Why::RequestVersion(version) => Why::RequestVersion(short(version)),
        other => other,
    }
}

/// More reasons than there are in any file that the function wrote.
const MAX_REASONS: usize = 64;

const LONGEST_VERSION: usize = 20;
