//! Writes JSON. By hand, because there is a line for each call: see `docs/decisions.md`.

use serde_json::Value;

/// Writes one JSON value behind what is there already.
pub(super) struct Json<'a> {
    text: &'a mut Vec<u8>,
}

impl<'a> Json<'a> {
    /// Writes to the end of `text`.
    pub(super) fn new(text: &'a mut Vec<u8>) -> Self {
        Self { text }
    }

    /// An object, which `write` fills.
    pub(super) fn object(&mut self, write: impl FnOnce(&mut Self)) {
        self.enclosed(b'{', b'}', write);
    }

    /// A member that is an object.
    #[inline(always)]
    pub(super) fn object_at(&mut self, name: &'static str, write: impl FnOnce(&mut Self)) {
        self.name(name);
        self.object(write);
    }

    /// A member that is an array of objects.
    pub(super) fn objects_at<T>(
        &mut self,
        name: &'static str,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T),
    ) {
        self.name(name);
        self.enclosed(b'[', b']', |json| {
            for item in items {
                json.separate();
                json.object(|json| write(json, item));
            }
        });
    }

    /// A member that is an array of texts.
    pub(super) fn texts_at<T: AsRef<str>>(&mut self, name: &'static str, texts: impl IntoIterator<Item = T>) {
        self.name(name);
        self.enclosed(b'[', b']', |json| {
            for text in texts {
                json.separate();
                json.text(text.as_ref());
            }
        });
    }

    /// A member that is a text.
    #[inline(always)]
    pub(super) fn text_at(&mut self, name: &'static str, text: &str) {
        self.name(name);
        self.text(text);
    }

    /// A member that is a word of this crate, so that nothing of it has to be escaped.
    #[inline(always)]
    pub(super) fn word_at(&mut self, name: &'static str, word: &'static str) {
        debug_assert!(is_plain(word), "{word}");
        self.name(name);
        self.quoted(word);
    }

    /// A member that is a text, if there is one.
    #[inline(always)]
    pub(super) fn some_text_at(&mut self, name: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.text_at(name, text);
        }
    }

    /// A member that is a whole number.
    #[inline(always)]
    pub(super) fn number_at(&mut self, name: &'static str, number: u64) {
        self.name(name);
        self.number(number);
    }

    /// A member that is `true` or `false`.
    #[inline(always)]
    pub(super) fn flag_at(&mut self, name: &'static str, flag: bool) {
        self.raw_at(name, if flag { "true" } else { "false" });
    }

    /// A member with this value. Its name may be anything.
    pub(super) fn value_at(&mut self, name: &str, value: &Value) {
        self.separate();
        self.text(name);
        self.text.push(b':');
        self.value(value);
    }

    /// A member whose value is JSON already.
    #[inline(always)]
    pub(super) fn raw_at(&mut self, name: &'static str, json: &str) {
        self.name(name);
        self.add(json);
    }

    /// A value.
    pub(super) fn value(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.text(text),
            Value::Array(items) => self.enclosed(b'[', b']', |json| {
                for item in items {
                    json.separate();
                    json.value(item);
                }
            }),
            Value::Object(members) => self.object(|json| {
                for (name, member) in members {
                    json.value_at(name, member);
                }
            }),
            Value::Null | Value::Bool(_) | Value::Number(_) => self.add(&value.to_string()),
        }
    }

    fn enclosed(&mut self, open: u8, close: u8, write: impl FnOnce(&mut Self)) {
        self.text.push(open);
        write(self);
        self.text.push(close);
    }

    /// The name of a member. It is one of this crate, so nothing of it has to be escaped. Inlined, as its callers are:
    /// with a length that the compiler knows, it takes a third of the instructions.
    #[inline(always)]
    fn name(&mut self, name: &'static str) {
        debug_assert!(is_plain(name), "{name}");
        self.separate();
        self.text.push(b'"');
        self.add(name);
        self.text.extend_from_slice(b"\":");
    }

    /// A comma, unless this is the first member or item.
    fn separate(&mut self) {
        if !matches!(self.text.last(), None | Some(b'{' | b'[')) {
            self.text.push(b',');
        }
    }

    fn text(&mut self, text: &str) {
        if is_plain(text) {
            return self.quoted(text);
        }
        self.text.push(b'"');
        text.chars().for_each(|char| self.char(char));
        self.text.push(b'"');
    }

    /// A text of which nothing has to be escaped.
    fn quoted(&mut self, text: &str) {
        self.text.push(b'"');
        self.add(text);
        self.text.push(b'"');
    }

    /// Characters that end a line, steer a terminal or turn the direction of text are escaped: a line stays one line
    /// wherever it is shown.
    fn char(&mut self, char: char) {
        match char {
            '"' => self.add("\\\""),
            '\\' => self.add("\\\\"),
            '\n' => self.add("\\n"),
            '\r' => self.add("\\r"),
            '\t' => self.add("\\t"),
            _ if char.is_control()
                || matches!(char, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
            {
                // All of these have up to four digits.
                self.add(&format!("\\u{:04x}", u32::from(char)));
            }
            _ => self.add(char.encode_utf8(&mut [0; 4])),
        }
    }

    fn number(&mut self, number: u64) {
        write_number(self.text, number);
    }

    fn add(&mut self, text: &str) {
        self.text.extend_from_slice(text.as_bytes());
    }
}

/// Writes the digits of a number.
pub(super) fn write_number(text: &mut Vec<u8>, number: u64) {
    let start = text.len();
    let mut rest = number;
    loop {
        text.push(b'0' + u8::try_from(rest % 10).unwrap_or_default());
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if let Some(digits) = text.get_mut(start..) {
        digits.reverse();
    }
}

/// A number as text.
pub(super) fn decimal(number: u64) -> String {
    let mut text = Vec::with_capacity(MAX_DIGITS);
    write_number(&mut text, number);
    // Digits are ASCII.
    String::from_utf8(text).unwrap_or_default()
}

/// Whether nothing of a text has to be escaped. It looks at all of the text in any case: so it is compiled into
/// instructions for many bytes at once.
fn is_plain(text: &str) -> bool {
    let others = text.bytes().fold(0, |others, byte| {
        others | u8::from(!(b' '..=b'~').contains(&byte)) | u8::from(byte == b'"') | u8::from(byte == b'\\')
    });
    others == 0
}

/// Of a number of 64 bits.
const MAX_DIGITS: usize = 20;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn written(value: &Value) -> String {
        let mut text = Vec::new();
        Json::new(&mut text).value(value);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn an_object_has_its_members_in_order() {
        let mut text = b"before ".to_vec();
        Json::new(&mut text).object(|json| {
            json.text_at("text", "{");
            json.object_at("empty", |_| {});
            json.object_at("object", |json| json.number_at("number", u64::MAX));
            json.texts_at("texts", ["[", "]"]);
            json.objects_at("objects", [1, 2], |json, number| json.number_at("n", number));
            json.number_at("zero", 0);
            json.flag_at("flag", true);
            json.some_text_at("none", None);
            json.raw_at("raw", "0.5");
        });
        let expected = r#"before {"text":"{","empty":{},"object":{"number":18446744073709551615},"texts":["[","]"],"objects":[{"n":1},{"n":2}],"zero":0,"flag":true,"raw":0.5}"#;
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    proptest! {
        #[test]
        fn every_text_is_read_back_and_stays_on_one_line(text in "\\PC*|[\\x00-\\x7f]*|[\\x80-\\x9f\u{2020}-\u{2070}\"\\\\]*") {
            let value = json!({text.clone(): [text.clone(), null, true, 1.5, -1, {"a": {}}, []]});
            let written = written(&value);
            prop_assert_eq!(&serde_json::from_str::<Value>(&written).unwrap(), &value);
            let ends = |char: char| char.is_control() || matches!(char, '\u{2028}' | '\u{2029}' | '\u{202e}');
            prop_assert!(!written.contains(ends), "{}", written);
        }
    }
}
