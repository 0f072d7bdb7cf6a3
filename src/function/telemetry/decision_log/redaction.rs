//! Redaction: what a line may show of a call.

use std::borrow::Cow;

use serde_json::Value;

use crate::decide::Session;
use crate::function::masking::{MASKED, Tokens, looks_like_token};
use crate::function::telemetry::json::decimal;

/// What must not be in a line.
pub(super) struct Redaction<'a> {
    /// `None`: no text has any of them in it.
    tokens: Option<&'a Tokens<'a>>,
    /// The id of the caller, if it must not be shown as it is.
    hidden_id: Option<&'a str>,
}

impl<'a> Redaction<'a> {
    /// `texts` is all that is going to be shown. Looking through it once is cheaper than looking through each text, and
    /// mostly there is nothing to be found.
    pub(super) fn new<'t>(
        tokens: &'a Tokens<'a>,
        hidden_id: Option<&'a str>,
        texts: impl IntoIterator<Item = &'t str>,
    ) -> Self {
        let is_touched = tokens.touch(texts);
        Self { tokens: is_touched.then_some(tokens), hidden_id }
    }

    /// A text as it is shown: masked as a whole if it must not be shown, and of bounded length.
    pub(super) fn shown<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.hides(text) { Cow::Borrowed(MASKED) } else { bounded(text) }
    }

    /// Whether a text must not be shown.
    pub(super) fn hides(&self, text: &str) -> bool {
        self.tokens.is_some_and(|tokens| tokens.touch([text])) || self.hides_id(text)
    }

    /// Whether a text has the id of the caller in it, although that must not be shown. Two or three characters are part
    /// of many words, so such an id must be the whole text, or all that is behind the prefix.
    fn hides_id(&self, text: &str) -> bool {
        self.hidden_id.is_some_and(|id| {
            if id.len() < SHORTEST_ID {
                text.strip_suffix(id).is_some_and(|before| before.is_empty() || before.ends_with('|'))
            } else {
                text.contains(id)
            }
        })
    }

    /// A text that the client wrote, as it is shown. It may have what looks like a token, or a claim of the caller,
    /// which is shown only if it is one of `opted_in`.
    pub(super) fn shown_of_client<'t>(
        &self,
        text: &'t str,
        session: &Session,
        opted_in: &[String],
    ) -> Cow<'t, str> {
        if looks_like_token(text) || has_claim(text, session, opted_in) {
            return Cow::Borrowed(MASKED);
        }
        self.shown(text)
    }
}

/// A text, or its beginning and a sign that it goes on.
pub(super) fn bounded(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_TEXT_BYTES {
        return Cow::Borrowed(text);
    }
    let end = text.floor_char_boundary(MAX_TEXT_BYTES);
    Cow::Owned(format!("{}{CUT}", text.get(..end).unwrap_or_default()))
}

/// Whether a claim that may not be shown is in a text. The id of the caller may.
fn has_claim(text: &str, session: &Session, opted_in: &[String]) -> bool {
    if text.len() < SHORTEST_CLAIM {
        return false;
    }
    let text = Searched { text, has_digits: has_digits(text), id: session.token().principal_id() };
    let claims = session.token().claims().iter();
    let mut hidden = claims.filter(|(name, _)| !opted_in.contains(name));
    hidden.any(|(_, claim)| text.has(claim))
}

/// A text in which claims are looked for.
struct Searched<'a> {
    text: &'a str,
    /// Whether there are as many digits in a row as the shortest whole number has that is looked for.
    has_digits: bool,
    /// The id of the caller.
    id: &'a str,
}

impl Searched<'_> {
    fn has(&self, claim: &Value) -> bool {
        match claim {
            Value::String(claim) => {
                claim.len() >= SHORTEST_CLAIM && claim != self.id && self.text.contains(claim.as_str())
            }
            // Most texts have no room for a whole number.
            Value::Number(claim) if !claim.is_f64() && !self.has_digits => false,
            Value::Number(claim) => {
                let text = match claim.as_u64() {
                    // Its own way of writing takes longer than all else here.
                    Some(claim) => decimal(claim),
                    None => claim.to_string(),
                };
                text.len() >= SHORTEST_CLAIM && self.text.contains(&text)
            }
            Value::Array(items) => items.iter().any(|item| self.has(item)),
            Value::Object(members) => members.values().any(|member| self.has(member)),
            Value::Null | Value::Bool(_) => false,
        }
    }
}

/// Whether a text has so many digits in a row that a whole number of [`SHORTEST_CLAIM`] characters may be in it. One of
/// them may be a sign.
fn has_digits(text: &str) -> bool {
    text.as_bytes().split(|byte| !byte.is_ascii_digit()).any(|digits| digits.len() + 1 >= SHORTEST_CLAIM)
}

/// The longest text of a line, but for the Cedar request. All lines of an invocation count for the price of CloudWatch,
/// and the client chooses how long its path is.
const MAX_TEXT_BYTES: usize = 512;

/// Behind a text that goes on.
pub(super) const CUT: char = '…';

/// A shorter claim, such as `admin` or `42`, is part of many paths and identifies nobody.
const SHORTEST_CLAIM: usize = 8;

const SHORTEST_ID: usize = 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_number_is_found_wherever_it_is_written(
            number in prop_oneof![any::<i64>(), -99_999_999_i64..99_999_999],
            before in "[-0-9a-f]{0,12}",
            after in "[-0-9a-f]{0,12}",
        ) {
            let text = format!("{before}{number}{after}");
            let searched = Searched { text: &text, has_digits: has_digits(&text), id: "" };
            prop_assert_eq!(searched.has(&number.into()), number.to_string().len() >= SHORTEST_CLAIM);
            let elsewhere = Searched { text: &before, has_digits: has_digits(&before), id: "" };
            let is_there = number.to_string().len() >= SHORTEST_CLAIM && before.contains(&number.to_string());
            prop_assert_eq!(elsewhere.has(&number.into()), is_there);
        }
    }
}
