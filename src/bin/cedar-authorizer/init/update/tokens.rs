//! The tokens of a schema, in Cedar's syntax or in JSON, with their places. Only what is needed to find a place in it.

use std::ops::Range;

/// A token: a string, a word, or a character of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token<'t> {
    /// Its text; for a string without quotes, but with its escapes.
    pub text: &'t str,
    /// Whether it is a string.
    pub is_string: bool,
    /// Where it is, with quotes.
    pub place: Range<usize>,
}

impl Token<'_> {
    /// Whether it is this word or character, and no string.
    pub fn is(&self, text: &str) -> bool {
        !self.is_string && self.text == text
    }
}

/// The tokens of a text, without comments.
pub fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let Some(first) = rest.chars().next() else { break };
        let length = if first.is_whitespace() {
            first.len_utf8()
        } else if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else {
            let (length, is_string) = match first {
                '"' => (string_length(rest), true),
                _ if is_word(first) => (rest.find(|char| !is_word(char)).unwrap_or(rest.len()), false),
                _ => (first.len_utf8(), false),
            };
            let inside = if is_string { 1..length.saturating_sub(1).max(1) } else { 0..length };
            let place = at..at + length;
            tokens.push(Token { text: rest.get(inside).unwrap_or_default(), is_string, place });
            length
        };
        at += length;
    }
    tokens
}

/// The length of the string at the beginning of a text, with quotes.
fn string_length(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, char) in text.char_indices().skip(1) {
        match char {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// The index of the bracket that closes the one at `open`.
pub fn closing(tokens: &[Token<'_>], open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        if token.is("{") || token.is("[") {
            depth += 1;
        } else if token.is("}") || token.is("]") {
            depth = depth.checked_sub(1)?;
            if depth == 0 {
                return Some(index);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_strings_and_comments_do_not_count() {
        let text = "namespace A { // }\n  action \"get /{x}\\\"}\"; /* é */ }";
        let tokens = tokens(text);
        assert_eq!(closing(&tokens, 2), Some(tokens.len() - 1));
        let string = tokens.iter().find(|token| token.is_string).unwrap();
        assert_eq!(string.text, "get /{x}\\\"}");
        assert_eq!(text.get(string.place.clone()), Some("\"get /{x}\\\"}\""));
    }

    #[test]
    fn a_broken_text_ends_somewhere() {
        for text in ["\"", "\"\\", "{", "", "// x", "}"] {
            assert!(closing(&tokens(text), 0).is_none(), "{text}");
        }
    }
}
