//! Masking: what keeps parts of tokens out of every output.
//!
//! Whoever calls an API chooses parts of what the function writes of the call: a part of its path may be the id of the
//! resource. If there is a token in it, whole or in part, it must not be written. The function knows the tokens of a
//! call, so it looks for what a text has in common with them. Of a token that is in the path alone, it knows only how
//! tokens begin.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::percent_decode_str;

use crate::gateway::call::{Call, TokenLocation};

/// Stands for a text that is not shown.
pub const MASKED: &str = "***";

/// So many characters of a token may be written, but not one more. Fewer are part of many words.
pub const LONGEST_SHARED: usize = 7;

/// The texts of a call that are tokens, or have tokens in them.
#[derive(Clone, Debug, Default)]
pub struct Tokens<'a>(Vec<&'a str>);

impl<'a> Tokens<'a> {
    /// The token of a call where it is by default, and whatever looks like another one in its headers and its query.
    pub(super) fn of_call(call: &'a Call) -> Self {
        let mut found: Vec<&str> = call.token_field().into_iter().collect();
        found.extend(call.headers().texts_of(DEFAULT_HEADER));
        let others = call.headers().texts().chain(call.query().texts());
        found.extend(others.filter(|text| looks_like_token(text)));
        Self::of(found)
    }

    /// The text of an event that cannot be read. Nobody knows where its token is.
    pub(super) fn of_event(event: &'a str) -> Self {
        Self::of(vec![event])
    }

    /// These, and the token of a call at the place that a bundle names.
    #[must_use]
    pub(super) fn and_at(mut self, call: &'a Call, location: &TokenLocation) -> Self {
        if location.header != DEFAULT_HEADER {
            self.0.extend(call.headers().texts_of(&location.header));
        }
        if let Some(name) = &location.query {
            self.0.extend(call.query().texts_of(name));
        }
        if location.subprotocol.is_some() {
            self.0.extend(call.headers().texts_of(SUBPROTOCOL));
        }
        Self::of(self.0)
    }

    /// These tokens.
    pub fn of(mut texts: Vec<&'a str>) -> Self {
        texts.retain(|text| text.len() > LONGEST_SHARED);
        Self(texts)
    }

    /// The texts.
    pub(super) fn texts(&self) -> impl Iterator<Item = &'a str> {
        self.0.iter().copied()
    }

    /// Whether one of the texts has part of a token in it.
    pub fn touch<'t>(&self, texts: impl IntoIterator<Item = &'t str>) -> bool {
        let mut forms = Vec::with_capacity(USUAL_TEXTS);
        // A shorter text has no room for what would be found, and decoding makes none longer.
        for text in texts.into_iter().filter(|text| text.len() > LONGEST_SHARED) {
            forms.push(Cow::Borrowed(text));
            forms.extend(decoded(text).map(Cow::Owned));
        }
        let pieces = Pieces::of(&forms);
        self.texts().any(|token| {
            pieces.are_in(token) || decoded(token).is_some_and(|decoded| pieces.are_in(&decoded))
        })
    }
}

/// A text as it reads without percent-encoding and in base64url, if that differs.
fn decoded(text: &str) -> Option<String> {
    // Without an end before the last byte, so that many bytes are compared at once.
    let differs = text.bytes().fold(0, |differs, byte| {
        differs | u8::from(byte == b'%') | u8::from(byte == b'+') | u8::from(byte == b'/')
    });
    if differs == 0 {
        return None;
    }
    let mut plain = text.to_owned();
    for _ in 0..MAX_ENCODINGS {
        let decoded = percent_decode_str(&plain).decode_utf8_lossy().into_owned();
        if decoded == plain {
            break;
        }
        plain = decoded;
    }
    Some(plain.replace('+', "-").replace('/', "_"))
}

/// The pieces of some texts, ready to be looked for.
///
/// A call has about two hundred bytes of such text, and a token has a thousand. A run of eight bytes contains four
/// bytes that begin at a multiple of five. So of the token only every fifth place is looked at.
struct Pieces<'t> {
    texts: &'t [Cow<'t, str>],
    /// Sixteen bits of the hash of every four bytes in a row, at the place that other bits of it say. Empty places are
    /// zero.
    table: Vec<u16>,
}

impl<'t> Pieces<'t> {
    fn of(texts: &'t [Cow<'t, str>]) -> Self {
        let bytes: usize = texts.iter().map(|text| text.len()).sum();
        // So sparse that most places are empty at the first look.
        let size = (4 * bytes).next_power_of_two().max(SMALLEST_TABLE);
        let mut pieces = Self { texts, table: vec![0; size] };
        for text in texts {
            for piece in text.as_bytes().windows(PIECE) {
                pieces.insert(spread(number(piece)));
            }
        }
        pieces
    }

    /// Whether more than [`LONGEST_SHARED`] bytes in a row of the token are in the texts.
    fn are_in(&self, token: &str) -> bool {
        let token = token.as_bytes();
        let (chunks, rest) = token.as_chunks::<STEP>();
        let is_shared =
            |(index, piece)| self.may_have(spread(piece)) && self.share_run_at(token, index * STEP);
        chunks.iter().map(|chunk| number(chunk)).enumerate().any(is_shared)
            || is_shared((chunks.len(), number(rest)))
    }

    fn share_run_at(&self, token: &[u8], at: usize) -> bool {
        let run = LONGEST_SHARED + 1;
        let around = token.get(at.saturating_sub(run - PIECE)..token.len().min(at + run)).unwrap_or_default();
        around.windows(run).any(|run_of_token| {
            self.texts.iter().any(|text| text.as_bytes().windows(run).any(|run| run == run_of_token))
        })
    }

    fn may_have(&self, (place, mark): (usize, u16)) -> bool {
        let mask = self.table.len() - 1;
        let mut place = place & mask;
        loop {
            match self.table.get(place) {
                Some(0) | None => return false,
                Some(known) if *known == mark => return true,
                Some(_) => place = (place + 1) & mask,
            }
        }
    }

    /// Takes the first place that is empty. There always is one, because most places stay empty.
    fn insert(&mut self, (place, mark): (usize, u16)) {
        let mask = self.table.len() - 1;
        let mut place = place & mask;
        while let Some(known) = self.table.get_mut(place) {
            if *known == 0 || *known == mark {
                *known = mark;
                return;
            }
            place = (place + 1) & mask;
        }
    }
}

/// The first four bytes as a number; zero if there are fewer.
fn number(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |piece| u32::from_le_bytes(*piece))
}

/// Where a piece is looked for, and a mark for it that is not zero: Fibonacci hashing.
fn spread(piece: u32) -> (usize, u16) {
    let hash = u64::from(piece).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let place = usize::try_from(hash >> 24 & 0x00ff_ffff).unwrap_or_default();
    (place, u16::try_from(hash >> 48).unwrap_or_default() | 1)
}

/// Whether a text has a token in it, or the beginning of one: a word with the beginning of a JSON object in base64url.
pub fn looks_like_token(text: &str) -> bool {
    text.len() >= SHORTEST_TOKEN
        && (text.contains("ey") || text.contains("ew"))
        && text.split(|char| !is_of_token(char)).any(has_object)
}

/// The text without words that look like tokens.
pub fn without_tokens(text: &str) -> Cow<'_, str> {
    if !looks_like_token(text) {
        return Cow::Borrowed(text);
    }
    let words = text.split_inclusive(|char| !is_of_token(char));
    let shown = words.map(|word| {
        let inner = word.trim_end_matches(|char| !is_of_token(char));
        if has_object(inner) { word.replacen(inner, MASKED, 1) } else { word.to_owned() }
    });
    Cow::Owned(shown.collect())
}

fn is_of_token(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.' | '%' | '=')
}

/// Whether a JSON object begins somewhere in a word. In a name such as `keyJobs` other bytes follow.
fn has_object(word: &str) -> bool {
    let begins = |(at, _): (usize, &str)| {
        let object = word.get(at..).and_then(|rest| rest.get(..SHORTEST_TOKEN));
        let object = object.and_then(|object| URL_SAFE_NO_PAD.decode(object).ok());
        object.is_some_and(|object| {
            object.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\n' | b'\r' | b'\t'))
        })
    };
    BEGINNINGS.iter().any(|beginning| word.match_indices(beginning).any(begins))
}

/// How JSON objects begin in base64url: `{"`, `{ "`, and `{` before a new line.
const BEGINNINGS: [&str; 5] = ["eyJ", "eyAi", "ewog", "ewoJ", "ew0K"];

/// A shorter part of a token is worth nothing. These characters are nine bytes, such as `{"sub":"a`.
const SHORTEST_TOKEN: usize = 12;

/// How many bytes are looked for at once.
const PIECE: usize = 4;

/// Every run of more than [`LONGEST_SHARED`] bytes has a whole piece that begins at a multiple of this.
const STEP: usize = LONGEST_SHARED + 1 - PIECE + 1;

const SMALLEST_TABLE: usize = 64;

/// About as many texts as a line has, so that their list need not grow.
const USUAL_TEXTS: usize = 12;

/// How often a text may be percent-encoded.
const MAX_ENCODINGS: usize = 4;

/// Where a token is, if the policy store names no other header.
const DEFAULT_HEADER: &str = "authorization";
const SUBPROTOCOL: &str = "sec-websocket-protocol";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn touches(token: &str, text: &str) -> bool {
        Tokens::of(vec![token]).touch([text])
    }

    #[test]
    fn a_text_with_eight_characters_of_a_token_is_found() {
        let token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ1MSJ9.c2ln_bmF0-dXJl";
        for text in
            ["eyJhbGci", "a/JSUzI1Ni/b", "c2ln_bmF", "c2ln/bmF0+dXJl", "%65%79JhbGciO", "%2565yJhbGciO"]
        {
            assert!(touches(token, text), "{text}");
        }
        for text in ["", "eyJhbGc", "eyJhbGc.iOiJSU", "8476a536-e9f4-11e8-9739-2dfe598c3fcd", "pets"] {
            assert!(!touches(token, text), "{text}");
        }
        assert!(touches("abc%2Edefgh", "abc.defgh"));
        assert!(touches("abc+def/gh", "abc-def_gh"));
    }

    proptest! {
        #[test]
        fn a_text_is_found_exactly_if_it_shares_eight_bytes(
            token in "[ab]{0,60}|[a-c]{0,60}|[A-Za-z0-9_.-]{0,300}",
            text in "[ab]{0,20}|[a-c]{0,30}|[A-Za-z0-9_.-]{0,60}",
            cut in any::<prop::sample::Index>(),
            length in 0_usize..40,
        ) {
            let at = cut.index(token.len() + 1);
            let part = token.get(at..token.len().min(at + length)).unwrap_or_default();
            for text in [text.clone(), format!("{text}{part}"), format!("{part}{text}"), part.to_owned()] {
                let run = LONGEST_SHARED + 1;
                let shares = token.as_bytes().windows(run).any(|run_of_token| {
                    text.as_bytes().windows(run).any(|run_of_text| run_of_text == run_of_token)
                });
                prop_assert_eq!(touches(&token, &text), shares, "{} {}", token, text);
            }
        }
    }
}
