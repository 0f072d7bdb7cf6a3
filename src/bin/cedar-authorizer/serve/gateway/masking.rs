//! Tokens, kept out of everything that is shown or recorded.
//!
//! The function masks what it logs. Here are the texts that come from the client itself: the event, the path, the answer
//! of an authorizer that repeats them. The rule is the function's: of a token that the request has, no more than
//! [`LONGEST_SHARED`] characters in a row are shown, and nothing that looks like the beginning of another one.

use std::borrow::Cow;
use std::collections::HashSet;

use aws_lc_rs::digest::{SHA256, digest};
use cedar_authorizer::function::masking::{LONGEST_SHARED, MASKED, Tokens, looks_like_token, without_tokens};
use cedar_authorizer::gateway::call::TokenLocation;
use percent_encoding::percent_decode_str;
use serde_json::Value;

/// The secrets of one request.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// Texts that are masked as a whole, the longest first.
    wholes: Vec<String>,
    /// Texts of which no part is shown either.
    tokens: Vec<String>,
}

impl Secrets {
    /// The values of a request that are secret: those of the headers and the query parameter that carry a token, and
    /// whatever else looks like one. `others` are names of more headers that carry one.
    pub fn of(
        headers: &[(String, String)],
        query: &[(String, String)],
        location: &TokenLocation,
        others: &[&str],
    ) -> Self {
        let mut found = Self::default();
        let carries = |name: &str| {
            TOKEN_HEADERS.iter().any(|known| name.eq_ignore_ascii_case(known))
                || others.iter().any(|known| name.eq_ignore_ascii_case(known))
                || name.eq_ignore_ascii_case(&location.header)
                || location.subprotocol.is_some() && name.eq_ignore_ascii_case(SUBPROTOCOL)
        };
        for (name, value) in headers {
            if carries(name) || looks_like_token(value) {
                found.add_token(value);
            } else if name.eq_ignore_ascii_case(COOKIE) {
                found.add_cookies(value);
            }
        }
        for (name, value) in query {
            if location.query.as_ref() == Some(name) || looks_like_token(value) {
                found.add_token(value);
            }
        }
        // So that the whole is replaced before its parts are.
        found.wholes.sort_by_key(|text| std::cmp::Reverse(text.len()));
        found
    }

    fn add_token(&mut self, value: &str) {
        // `Bearer eyJ...`, `bearer, eyJ...`: the parts alone are secrets, too.
        let parts = value.split([' ', ',', ';']).map(str::trim).filter(|part| part.len() > LONGEST_SHARED);
        self.add_wholes([value].into_iter().chain(parts));
        self.tokens.push(value.to_owned());
    }

    /// A cookie may be a secret, or no more than the language of a page. So its parts are no secrets.
    fn add_cookies(&mut self, value: &str) {
        self.add_wholes([value]);
        for cookie in value.split(';').map(str::trim) {
            let value =
                cookie.split_once('=').map(|(_, value)| value).filter(|value| value.len() > LONGEST_SHARED);
            self.add_wholes([cookie].into_iter().chain(value));
        }
    }

    fn add_wholes<'a>(&mut self, texts: impl IntoIterator<Item = &'a str>) {
        self.wholes.extend(texts.into_iter().filter(|text| !text.is_empty()).map(str::to_owned));
    }

    /// A text without the tokens in it.
    pub fn mask(&self, text: &str) -> String {
        let masked = self.without_wholes(text);
        if self.tokens().touch([masked.as_str()]) { self.without_parts(&masked) } else { masked }
    }

    /// The same for every text in a value.
    pub fn mask_all(&self, value: &mut Value) {
        change_texts(value, &|text| self.without_wholes(text));
        // Most values have no part of a token. It takes one look to know.
        let mut texts = Vec::new();
        collect_texts(value, &mut texts);
        if self.tokens().touch(texts) {
            change_texts(value, &|text| self.mask(text));
        }
    }

    /// The value of an identity source. A token becomes a short hash, so that two of them can be told apart.
    pub fn shown(&self, value: &str) -> String {
        let masked = self.mask(value);
        if masked == value {
            return masked;
        }
        let hash = digest(&SHA256, value.as_bytes());
        let hash: String = hash.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        format!("token {hash}…")
    }

    fn tokens(&self) -> Tokens<'_> {
        Tokens::of(self.tokens.iter().map(String::as_str).collect())
    }

    /// The text without whole secrets, and without what looks like a token.
    fn without_wholes(&self, text: &str) -> String {
        let mut masked = text.to_owned();
        for secret in &self.wholes {
            let is_all = masked == *secret;
            if is_all || secret.len() > LONGEST_SHARED {
                masked = masked.replace(secret.as_str(), MASKED);
            }
        }
        let masked = without_jwts(&masked);
        let masked = without_tokens(&masked);
        if self.is_encoded_in(&masked) { MASKED.to_owned() } else { masked.into_owned() }
    }

    /// The text without runs of characters that a token has, too.
    fn without_parts(&self, text: &str) -> String {
        let run = LONGEST_SHARED + 1;
        let runs: HashSet<&[u8]> =
            self.tokens.iter().flat_map(|token| token.as_bytes().windows(run)).collect();
        let mut shared = vec![false; text.len()];
        for (at, found) in text.as_bytes().windows(run).enumerate() {
            if runs.contains(found) {
                shared.iter_mut().skip(at).take(run).for_each(|shared| *shared = true);
            }
        }
        let mut masked = String::with_capacity(text.len());
        let mut is_within = false;
        for (at, char) in text.char_indices() {
            let is_shared = shared.iter().skip(at).take(char.len_utf8()).any(|shared| *shared);
            match (is_shared, is_within) {
                (false, _) => masked.push(char),
                (true, false) => masked.push_str(MASKED),
                (true, true) => {}
            }
            is_within = is_shared;
        }
        // What is left shows only once the text is decoded.
        if self.tokens().touch([masked.as_str()]) { MASKED.to_owned() } else { masked }
    }

    /// Whether there is a token in a text that shows only once the text is decoded.
    fn is_encoded_in(&self, text: &str) -> bool {
        let mut text = text.to_owned();
        for _ in 0..MAX_ENCODINGS {
            if !text.contains('%') {
                return false;
            }
            let decoded = percent_decode_str(&text).decode_utf8_lossy().into_owned();
            if decoded == text {
                return false;
            }
            let mut wholes = self.wholes.iter().filter(|secret| secret.len() > LONGEST_SHARED);
            if wholes.any(|secret| decoded.contains(secret.as_str())) || looks_like_token(&decoded) {
                return true;
            }
            text = decoded;
        }
        true
    }
}

/// Changes every text of a value, and every name.
fn change_texts(value: &mut Value, change: &impl Fn(&str) -> String) {
    match value {
        Value::String(text) => *text = change(text),
        Value::Array(values) => values.iter_mut().for_each(|value| change_texts(value, change)),
        Value::Object(members) => {
            let changed: Vec<(String, String)> = members
                .keys()
                .map(|name| (name.clone(), change(name)))
                .filter(|(before, after)| before != after)
                .collect();
            for (before, after) in changed {
                if let Some(value) = members.remove(&before) {
                    members.insert(after, value);
                }
            }
            members.values_mut().for_each(|value| change_texts(value, change));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn collect_texts<'a>(value: &'a Value, texts: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => texts.push(text),
        Value::Array(values) => values.iter().for_each(|value| collect_texts(value, texts)),
        Value::Object(members) => members.iter().for_each(|(name, value)| {
            texts.push(name);
            collect_texts(value, texts);
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A text without what looks like a JWT: base64url of `{"`, and all that follows of the alphabet of tokens.
fn without_jwts(text: &str) -> Cow<'_, str> {
    if !text.contains(TOKEN_BEGINS) {
        return Cow::Borrowed(text);
    }
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, from)) = rest.find(TOKEN_BEGINS).and_then(|at| rest.split_at_checked(at)) {
        let end = from.find(|char: char| !is_of_token(char)).unwrap_or(from.len());
        let (token, after) = from.split_at_checked(end).unwrap_or((from, ""));
        masked.push_str(before);
        masked.push_str(if token.len() >= SHORTEST_TOKEN { MASKED } else { token });
        rest = after;
    }
    masked.push_str(rest);
    Cow::Owned(masked)
}

fn is_of_token(char: char) -> bool {
    char.is_ascii_alphanumeric() || "-_.=+/".contains(char)
}

/// Headers that carry secrets of whoever calls, whatever the store says.
const TOKEN_HEADERS: [&str; 3] = ["authorization", "proxy-authorization", "x-api-key"];

const COOKIE: &str = "cookie";

const SUBPROTOCOL: &str = "sec-websocket-protocol";

/// `{"` in base64url.
const TOKEN_BEGINS: &str = "eyJ";

/// Shorter than this no JWT is: its header alone has `{"alg":"..."}`.
const SHORTEST_TOKEN: usize = 16;

/// What is encoded more often than this is not shown.
const MAX_ENCODINGS: usize = 8;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const JWT: &str = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl";

    fn secrets(headers: &[(&str, &str)]) -> Secrets {
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let location = TokenLocation { query: Some("token".to_owned()), ..TokenLocation::default() };
        let query = [("token".to_owned(), "opaque-secret".to_owned())];
        Secrets::of(&headers, &query, &location, &["X-Own"])
    }

    #[test]
    fn no_token_is_left_in_any_text() {
        let secrets = secrets(&[("Authorization", "Bearer opaque-of-somebody")]);
        for (text, expected) in [
            ("Bearer opaque-of-somebody", "***"),
            ("/a/opaque-of-somebody/b", "/a/***/b"),
            ("/a?token=opaque-secret&x=1", "/a?token=***&x=1"),
            (&format!("/a/{JWT}/b"), "/a/***"),
            (&format!("?t={JWT}&x"), "?t=***&x"),
            ("/a/%6fpaque-of-somebody", "***"),
            ("/a/%256fpaque-of-somebody", "***"),
            ("/pets/7", "/pets/7"),
            ("/eyJ/x y", "/eyJ/x y"),
            ("100%", "100%"),
            ("Bearer", "Bearer"),
        ] {
            assert_eq!(secrets.mask(text), expected, "{text}");
        }
    }

    #[test]
    fn no_eight_characters_of_a_token_are_left() {
        let secrets = secrets(&[
            ("X-Api-Key", "abcdefgh-0123456789"),
            ("x-own", "own-header-of-a-template"),
            ("authorization", &format!("Bearer {JWT}")),
            ("x-other", "eyJhbGciOiJFZERTQSJ9.zzzzyyyyxxxx"),
        ]);
        for (text, expected) in [
            ("/a/c2lnbmF0dXJl", "/a/***"),
            ("/a/c2lnbmF0/b", "/a/***/b"),
            ("/a/c2lnbmF/b", "/a/c2lnbmF/b"),
            ("/a?x=XX.eyJzdWIi&y=c2lnbmF0dX", "/a?x=XX***&y=***"),
            ("Bearer e", "***"),
            ("bcdefgh-0", "***"),
            ("/of-a-temp", "/***"),
            ("/zzzzyyyy", "/***"),
            ("/%632lnbmF0", "***"),
            ("/%25632lnbmF0", "***"),
            ("/é/c2lnbmF0/é", "/é/***/é"),
            ("/pets/7?page=2", "/pets/7?page=2"),
        ] {
            assert_eq!(secrets.mask(text), expected, "{text}");
        }
        let mut value = json!({"a": "/c2lnbmF0", "c2lnbmF0": ["pets"]});
        secrets.mask_all(&mut value);
        assert_eq!(value, json!({"a": "/***", "***": ["pets"]}));
    }

    #[test]
    fn each_cookie_is_a_secret_and_no_part_of_one_is() {
        let secrets = secrets(&[("cookie", "session=opaque-session; lang=en; theme=dark-and-light")]);
        for (text, expected) in [
            ("session=opaque-session; lang=en; theme=dark-and-light", "***"),
            ("session=opaque-session", "***"),
            ("lang=en", "***"),
            ("/a/opaque-session", "/a/***"),
            ("/a?lang=en", "/a?lang=en"),
            ("/dark-and", "/dark-and"),
        ] {
            assert_eq!(secrets.mask(text), expected, "{text}");
        }
    }

    #[test]
    fn a_short_secret_is_masked_where_it_is_the_whole_text() {
        let secrets = secrets(&[("authorization", "abc")]);
        assert_eq!(secrets.mask("abc"), "***");
        assert_eq!(secrets.mask("/abc/d"), "/abc/d");
    }

    #[test]
    fn a_value_is_masked_throughout() {
        let mut value = json!({JWT: [JWT, {"a": format!("Bearer {JWT}")}], "n": 1});
        secrets(&[]).mask_all(&mut value);
        assert_eq!(value, json!({"***": ["***", {"a": "Bearer ***"}], "n": 1}));
    }

    #[test]
    fn tokens_can_be_told_apart_and_other_values_are_shown() {
        let secrets = secrets(&[]);
        assert_eq!(secrets.shown("GET"), "GET");
        let (one, other) = (secrets.shown(JWT), secrets.shown(&format!("{JWT}x")));
        assert!(one.starts_with("token ") && one != other, "{one} {other}");
    }
}
