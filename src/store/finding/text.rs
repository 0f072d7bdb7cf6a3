//! The text of a file, to look up positions in it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::iter;
use std::ops::Range;
use std::sync::OnceLock;

use super::Position;

/// The text of a file, to look up positions in it. The tables for that are computed once for all findings.
#[derive(Clone, Debug)]
pub(in crate::store) struct Text<'a> {
    file: Cow<'a, str>,
    text: Cow<'a, str>,
    places: OnceLock<Places>,
    words: OnceLock<Words>,
}

/// What comes before each block of [`BLOCK`] bytes of a text. A text of many short lines takes no more memory than one
/// of few long ones.
#[derive(Clone, Debug)]
struct Places {
    blocks: Vec<Block>,
}

/// What comes before a block.
#[derive(Clone, Copy, Debug, Default)]
struct Block {
    characters: usize,
    newlines: usize,
    /// Where the line begins that the block begins in.
    line_start: usize,
}

/// Where each word and each string, without its quotes, is first found, by its hash. Of two words with one hash, only
/// the first is here.
#[derive(Clone, Debug)]
struct Words {
    hasher: RandomState,
    first: HashMap<u64, usize>,
}

impl<'a> Text<'a> {
    pub(in crate::store) fn new(file: impl Into<Cow<'a, str>>, text: impl Into<Cow<'a, str>>) -> Self {
        Self { file: file.into(), text: text.into(), places: OnceLock::new(), words: OnceLock::new() }
    }

    /// The file as a whole.
    pub(in crate::store) fn whole(&self) -> Position {
        Position::file(&self.file)
    }

    /// The length in bytes.
    pub(in crate::store) fn len(&self) -> usize {
        self.text.len()
    }

    /// The position of a byte offset.
    pub(in crate::store) fn at(&self, offset: usize) -> Position {
        if !self.text.is_char_boundary(offset) {
            return self.whole();
        }
        let places = self.places.get_or_init(|| Places::new(&self.text));
        let (line, start) = places.line(&self.text, offset);
        let before = |offset| places.characters_before(&self.text, offset);
        Position::line(&self.file, line, before(offset) - before(start) + 1)
    }

    /// The position of a part, with its end.
    pub(in crate::store) fn span(&self, part: Range<usize>) -> Position {
        let (start, end) = (self.at(part.start), self.at(part.end));
        if part.is_empty() { start } else { Position { end_line: end.line, end_column: end.column, ..start } }
    }

    /// Where a text is first found in the file, otherwise the file as a whole.
    pub(in crate::store) fn find(&self, needle: &str) -> Position {
        let found = self.text.find(needle);
        found.map_or_else(|| self.whole(), |offset| self.span(offset..offset + needle.len()))
    }

    /// A part of the text.
    pub(in crate::store) fn part(&self, part: Range<usize>) -> Option<&str> {
        self.text.get(part)
    }

    /// Where a text is first found in a part of the file, as a byte offset.
    pub(in crate::store) fn find_in(&self, part: Range<usize>, needle: &str) -> Option<usize> {
        let start = part.start;
        self.text.get(part)?.find(needle).map(|offset| start + offset)
    }

    /// Where a string with this value is first found, as bytes with its quotes.
    pub(in crate::store) fn string(&self, value: &str) -> Option<Range<usize>> {
        let escaped = format!("{value:?}");
        let offset = self.word(escaped.get(1..escaped.len() - 1)?)?;
        let start = offset.checked_sub(1).filter(|quote| self.text.as_bytes().get(*quote) == Some(&b'"'))?;
        Some(start..start + escaped.len())
    }

    /// The position of a string with this value, otherwise the file as a whole.
    pub(in crate::store) fn find_string(&self, value: &str) -> Position {
        self.string(value).map_or_else(|| self.whole(), |part| self.span(part))
    }

    /// The position of a word or of a quoted string, otherwise the file as a whole.
    pub(in crate::store) fn find_word(&self, word: &str) -> Position {
        self.word(word).map_or_else(|| self.whole(), |offset| self.span(offset..offset + word.len()))
    }

    /// The words of a part of the text, in their order, as bytes. Words in strings and comments, and the names of
    /// annotations, are left out.
    pub(in crate::store) fn words_in(
        &self,
        part: Range<usize>,
    ) -> impl Iterator<Item = (&str, Range<usize>)> {
        let start = part.start;
        let text = self.text.get(part).unwrap_or_default();
        words_of(text).filter_map(move |(offset, word)| {
            let before = offset.checked_sub(1).and_then(|before| text.as_bytes().get(before));
            let at = start + offset;
            (!matches!(before, Some(b'"' | b'@'))).then_some((word, at..at + word.len()))
        })
    }

    fn word(&self, word: &str) -> Option<usize> {
        let words = self.words.get_or_init(|| Words::new(&self.text));
        let found = *words.first.get(&words.hasher.hash_one(word))?;
        if self.text.get(found..)?.starts_with(word) {
            return Some(found);
        }
        words_of(&self.text).find(|(_, other)| *other == word).map(|(offset, _)| offset)
    }
}

impl Places {
    fn new(text: &str) -> Self {
        let starts = (0..).step_by(BLOCK);
        let blocks =
            text.as_bytes().chunks(BLOCK).zip(starts).scan(Block::default(), |before, (block, start)| {
                let of_block = *before;
                before.characters += characters(block);
                before.newlines += newlines(block);
                before.line_start = line_start(block).map_or(before.line_start, |found| start + found);
                Some(of_block)
            });
        Self { blocks: blocks.collect() }
    }

    /// The number of the line with a byte offset, and where it begins.
    fn line(&self, text: &str, offset: usize) -> (usize, usize) {
        let (before, start, part) = self.block(text, offset);
        let line_start = line_start(part).map_or(before.line_start, |found| start + found);
        (before.newlines + newlines(part) + 1, line_start)
    }

    fn characters_before(&self, text: &str, offset: usize) -> usize {
        let (before, _, part) = self.block(text, offset);
        before.characters + characters(part)
    }

    /// What comes before the block with a byte offset, where it begins, and the part of it before the offset.
    fn block<'t>(&self, text: &'t str, offset: usize) -> (Block, usize, &'t [u8]) {
        // At the end of a text that is made of whole blocks, there is no further block.
        let number = (offset / BLOCK).min(self.blocks.len().saturating_sub(1));
        let start = number * BLOCK;
        let part = text.as_bytes().get(start..offset).unwrap_or_default();
        (self.blocks.get(number).copied().unwrap_or_default(), start, part)
    }
}

impl Words {
    fn new(text: &str) -> Self {
        let (hasher, mut first) = (RandomState::new(), HashMap::new());
        for (offset, word) in words_of(text) {
            first.entry(hasher.hash_one(word)).or_insert(offset);
        }
        Self { hasher, first }
    }
}

fn newlines(part: &[u8]) -> usize {
    part.iter().filter(|byte| **byte == b'\n').count()
}

/// Where the last line begins that begins in a part of a text.
fn line_start(part: &[u8]) -> Option<usize> {
    part.iter().rposition(|byte| *byte == b'\n').map(|newline| newline + 1)
}

/// How many characters begin in a part of a text.
fn characters(part: &[u8]) -> usize {
    part.iter().filter(|byte| !matches!(byte, 0x80..=0xbf)).count()
}

/// The words and the strings, without their quotes, of a text in Cedar or JSON; those in comments are left out.
fn words_of(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut rest = text;
    let is_part = |char: char| char.is_alphanumeric() || char == '_';
    iter::from_fn(move || {
        while let Some(start) = rest.find(|char: char| char == '"' || char == '/' || is_part(char)) {
            let (_, from) = rest.split_at(start);
            let (word, behind) = match from.strip_prefix('"') {
                Some(inside) => {
                    let mut is_escaped = false;
                    let end = inside.find(|char: char| {
                        let ends = char == '"' && !is_escaped;
                        is_escaped = char == '\\' && !is_escaped;
                        ends
                    });
                    let (word, quote) = inside.split_at(end.unwrap_or(inside.len()));
                    (Some(word), quote.strip_prefix('"').unwrap_or(quote))
                }
                None if from.starts_with("//") => (None, from.trim_start_matches(|char| char != '\n')),
                None if from.starts_with('/') => (None, from.trim_start_matches('/')),
                None => {
                    let (word, behind) =
                        from.split_at(from.find(|char| !is_part(char)).unwrap_or(from.len()));
                    (Some(word), behind)
                }
            };
            rest = behind;
            if let Some(word) = word {
                let quote = usize::from(from.starts_with('"'));
                return Some((text.len() - from.len() + quote, word));
            }
        }
        None
    })
}

/// Columns are counted from the beginning of a block, so that a text of one long line takes no longer.
const BLOCK: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_becomes_a_line_and_a_column_in_characters() {
        let text = Text::new("f", "ab\ncäd\n");
        for (offset, expected) in
            [(0, "f:1:1"), (1, "f:1:2"), (3, "f:2:1"), (5, "f"), (6, "f:2:3"), (8, "f:3:1"), (99, "f")]
        {
            assert_eq!(text.at(offset).to_string(), expected);
        }
        assert_eq!(text.find("d").to_string(), "f:2:3");
        assert_eq!(text.find("x").to_string(), "f");
        assert_eq!(Position::line("f", 0, 0).to_string(), "f");
    }

    #[test]
    fn positions_are_those_of_a_naive_count() {
        for text in [String::new(), "é".repeat(BLOCK), "aé\n".repeat(BLOCK), "x".repeat(3 * BLOCK)] {
            let known = Text::new("f", text.as_str());
            for offset in (0..=text.len()).filter(|offset| text.is_char_boundary(*offset)) {
                let lines: Vec<&str> = text.get(..offset).unwrap().split('\n').collect();
                let column = lines.last().unwrap().chars().count() + 1;
                assert_eq!(known.at(offset), Position::line("f", lines.len(), column), "{offset}");
            }
        }
    }

    #[test]
    fn a_hundred_thousand_positions_take_seconds_and_not_hours() {
        let begun = std::time::Instant::now();
        for line in
            ["permit (principal, action, resource) when { context.token.x };\n", "permit (principal) ; "]
        {
            let text = line.repeat(100_000);
            let known = Text::new("f", text.as_str());
            for number in 0..100_000 {
                let position = known.at(number * line.len() + 8);
                let expected =
                    if line.ends_with('\n') { (number + 1, 9) } else { (1, number * line.len() + 9) };
                assert_eq!((position.line.unwrap(), position.column.unwrap()), expected);
            }
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{:?}", begun.elapsed());
    }

    #[test]
    fn words_and_strings_are_found_where_they_first_stand() {
        let text = Text::new("f", r#"// "no" word / "a" wörd "b\"//" "a" "\\" x_1/y"#);
        let text = Text::new("f", text.text.replace("/ \"a\"", "\n\"a\""));
        for (word, expected) in
            [("no", "f"), ("a", "f:2:2"), ("wörd", "f:2:5"), ("x_1", "f:2:27"), ("y", "f:2:31"), ("z", "f")]
        {
            assert_eq!(text.find_word(word).to_string(), expected, "{word}");
        }
        assert_eq!(text.find_string("a").to_string(), "f:2:1");
        assert_eq!(text.find_string("b\"//").to_string(), "f:2:10");
        assert_eq!(text.find_string("x_1").to_string(), "f");
    }
}
