//! Tokens, kept out of everything that is shown or recorded.
//!
//! The function masks what it logs. Here are the texts that come from the client itself: the event, the path, the answer
//! of an authorizer that repeats them.

use aws_lc_rs::digest::{SHA256, digest};
use cedar_authorizer::gateway::call::TokenLocation;
use percent_encoding::percent_decode_str;
use serde_json::Value;

/// The secrets of one request.
#[derive(Clone, Debug, Default)]
pub struct Secrets(Vec<String>);

impl Secrets {
    /// The values of a request that are tokens: those of the headers and the query parameter that carry one.
    pub fn of(headers: &[(String, String)], query: &[(String, String)], location: &TokenLocation) -> Self {
        let mut found = Self::default();
        let carries = |name: &str| {
            SECRET_HEADERS.iter().any(|known| name.eq_ignore_ascii_case(known))
                || name.eq_ignore_ascii_case(&location.header)
        };
        for (name, value) in headers {
            if carries(name) {
                found.add(value);
            }
            if location.subprotocol.is_some() && name.eq_ignore_ascii_case(SUBPROTOCOL) {
                found.add(value);
            }
        }
        for (name, value) in query {
            if location.query.as_ref() == Some(name) {
                found.add(value);
            }
        }
        found
    }

    fn add(&mut self, value: &str) {
        // `Bearer eyJ...`, `bearer, eyJ...`: the parts alone are secrets, too.
        let parts = value.split([' ', ',']).map(str::trim).filter(|part| part.len() >= SHORTEST_PART);
        self.0.extend([value].into_iter().chain(parts).filter(|text| !text.is_empty()).map(str::to_owned));
        // So that the whole is replaced before its parts are.
        self.0.sort_by_key(|text| std::cmp::Reverse(text.len()));
    }

    /// A text without the tokens in it.
    pub fn mask(&self, text: &str) -> String {
        let mut masked = text.to_owned();
        for secret in &self.0 {
            let is_all = masked == *secret;
            if is_all || secret.len() >= SHORTEST_PART {
                masked = masked.replace(secret.as_str(), MASK);
            }
        }
        let masked = without_tokens(&masked);
        if self.is_encoded_in(&masked) { MASK.to_owned() } else { masked }
    }

    /// The same for every text in a value.
    pub fn mask_all(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.mask(text),
            Value::Array(values) => values.iter_mut().for_each(|value| self.mask_all(value)),
            Value::Object(members) => {
                let names: Vec<String> =
                    members.keys().filter(|name| self.mask(name) != **name).cloned().collect();
                for name in names {
                    if let Some(value) = members.remove(&name) {
                        members.insert(self.mask(&name), value);
                    }
                }
                members.values_mut().for_each(|value| self.mask_all(value));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
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
            let has_secret = self
                .0
                .iter()
                .any(|secret| secret.len() >= SHORTEST_PART && decoded.contains(secret.as_str()));
            if has_secret || without_tokens(&decoded) != decoded {
                return true;
            }
            text = decoded;
        }
        true
    }
}

/// A text without what looks like a JWT: base64url of `{"`, and all that follows of the alphabet of tokens.
fn without_tokens(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, from)) = rest.find(TOKEN_BEGINS).and_then(|at| rest.split_at_checked(at)) {
        let end = from.find(|char: char| !is_of_token(char)).unwrap_or(from.len());
        let (token, after) = from.split_at_checked(end).unwrap_or((from, ""));
        masked.push_str(before);
        masked.push_str(if token.len() >= SHORTEST_TOKEN { MASK } else { token });
        rest = after;
    }
    masked.push_str(rest);
    masked
}

fn is_of_token(char: char) -> bool {
    char.is_ascii_alphanumeric() || "-_.=+/".contains(char)
}

/// Headers that carry secrets of whoever calls, whatever the store says.
const SECRET_HEADERS: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "x-api-key"];

const SUBPROTOCOL: &str = "sec-websocket-protocol";

/// `{"` in base64url.
const TOKEN_BEGINS: &str = "eyJ";

/// Shorter than this no JWT is: its header alone has `{"alg":"..."}`.
const SHORTEST_TOKEN: usize = 16;

/// Shorter parts are words such as `Bearer`.
const SHORTEST_PART: usize = 8;

/// What is encoded more often than this is not shown.
const MAX_ENCODINGS: usize = 8;

/// Stands for a text that is not shown, as in the decision log.
const MASK: &str = "***";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const JWT: &str = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl";

    fn secrets(headers: &[(&str, &str)]) -> Secrets {
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let location = TokenLocation { query: Some("token".to_owned()), ..TokenLocation::default() };
        Secrets::of(&headers, &[("token".to_owned(), "opaque-secret".to_owned())], &location)
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
