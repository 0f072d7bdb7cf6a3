//! Text in the languages of a store's files.

use serde_json::Value;

use crate::output::printable;

/// Text for a comment: one line, without what a terminal would obey, and not too long.
pub fn comment(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = printable(&words.join(" "));
    match line.char_indices().nth(MAX_COMMENT) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default().trim_end()),
        None => line,
    }
}

/// A string of Cedar, with its quotes.
pub fn cedar(text: &str) -> String {
    format!("{text:?}")
}

/// The name of an attribute in a schema, in quotes if it needs them.
pub fn attribute(name: &str) -> String {
    if is_identifier(name) { name.to_owned() } else { cedar(name) }
}

/// A string of JSON. TOML and YAML read it too.
pub fn json(text: &str) -> String {
    let mut json = String::new();
    for char in Value::from(text).to_string().chars() {
        // JSON takes these as they are. TOML or YAML do not, or a terminal would obey them.
        let is_escaped = char.is_control()
            || matches!(char, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{fffe}'..='\u{ffff}');
        if is_escaped {
            json += &format!("\\u{:04x}", u32::from(char));
        } else {
            json.push(char);
        }
    }
    json
}

/// A text of YAML, in quotes if it needs them.
pub fn yaml(text: &str) -> String {
    let is_plain_char = |char: char| char.is_ascii_alphanumeric() || "-_./".contains(char);
    let mut words = text.split(' ');
    let is_word = |word: &str| !word.is_empty() && word.chars().all(is_plain_char);
    // Any text that begins with a letter and is more than a letter or a word such as `true` is text in YAML.
    let is_text = text.starts_with(|char: char| char.is_ascii_alphabetic())
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&text.to_ascii_lowercase().as_str());
    if is_text && words.all(is_word) { text.to_owned() } else { json(text) }
}

/// A key of TOML, in quotes if it needs them.
pub fn toml_key(text: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !text.is_empty() && text.bytes().all(is_bare) { text.to_owned() } else { json(text) }
}

/// A name in lower case for files and ids, of letters, digits and hyphens; empty if nothing is left.
pub fn slug(text: &str) -> String {
    let mut slug = String::new();
    for char in text.chars() {
        if char.is_ascii_alphanumeric() {
            slug.push(char.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.trim_end_matches('-').to_owned()
}

/// Whether Cedar reads this as a name without quotes.
pub fn is_identifier(text: &str) -> bool {
    let is_start = |char: char| char.is_ascii_alphabetic() || char == '_';
    text.starts_with(is_start)
        && text.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
        && !RESERVED.contains(&text)
}

/// Cedar Policy Language Reference, "Grammar specification for Cedar policies", `RESERVED`.
const RESERVED: [&str; 10] = ["__cedar", "else", "false", "has", "if", "in", "is", "like", "then", "true"];

/// With the indentation, about what fits on a line of 120.
const MAX_COMMENT: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_stays_on_its_line() {
        assert_eq!(comment("All\r\n  pets\u{7}"), "All pets\\u{7}");
        assert_eq!(comment(&"é".repeat(200)).chars().count(), MAX_COMMENT + 1);
        assert_eq!(comment(""), "");
    }

    #[test]
    fn text_is_quoted_where_it_would_be_read_as_something_else() {
        for text in ["GET /pets/1", "a b", "admin"] {
            assert_eq!(yaml(text), text);
        }
        for text in ["", "true", "a: b", "7", "- a", "a ", "GET /a:", "x #y", "é", "No"] {
            assert_eq!(yaml(text), json(text));
        }
        assert_eq!(json("a\u{0}\u{7f}\u{85}\u{202e}\u{feff}\"é"), r#""a\u0000\u007f\u0085\u202e\ufeff\"é""#);
        assert_eq!(attribute("petId"), "petId");
        assert_eq!(attribute("pet-id"), "\"pet-id\"");
        assert_eq!(attribute("in"), "\"in\"");
        assert_eq!(toml_key("store-owner"), "store-owner");
        assert_eq!(toml_key("a.b"), "\"a.b\"");
    }

    #[test]
    fn a_slug_has_letters_digits_and_hyphens() {
        assert_eq!(slug("Pet Store (v2)!"), "pet-store-v2");
        assert_eq!(slug("магазин"), "");
        assert_eq!(slug("--a--"), "a");
    }
}
