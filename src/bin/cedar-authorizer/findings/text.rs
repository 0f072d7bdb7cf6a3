//! The lines of a file, from line and column to the piece of source.

use std::iter;
use std::ops::Range;

use cedar_authorizer::store::finding::Position;

/// A text in which lines and columns are found without reading all of it again.
pub struct Lines<'a> {
    text: &'a str,
    /// Where each line begins.
    starts: Vec<usize>,
    /// Where each block of [`BLOCK`] characters begins.
    blocks: Vec<usize>,
}

/// A piece of one line, and the bytes of it that a finding is about.
#[derive(Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    pub line: &'a str,
    pub part: Range<usize>,
}

impl<'a> Lines<'a> {
    pub fn new(text: &'a str) -> Self {
        let newlines = text.match_indices('\n').map(|(offset, _)| offset + 1);
        let blocks = text.char_indices().step_by(BLOCK).map(|(offset, _)| offset);
        Self { text, starts: iter::once(0).chain(newlines).collect(), blocks: blocks.collect() }
    }

    /// How many lines there are.
    pub fn count(&self) -> usize {
        self.starts.len()
    }

    /// A line without its end.
    pub fn line(&self, number: usize) -> Option<&'a str> {
        self.text.get(self.line_range(number)?)
    }

    /// The piece of the first line of a position, not much longer than a terminal is wide. `None`: there is no
    /// such place.
    pub fn piece(&self, position: &Position) -> Option<Piece<'a>> {
        let number = position.line?;
        let line = self.line_range(number)?;
        let start = self.offset(&line, position.column?)?;
        let end = match (position.end_line, position.end_column) {
            (Some(end_line), Some(column)) if end_line == number => self.offset(&line, column)?,
            (Some(end_line), _) if end_line > number => line.end,
            // The end is not known.
            _ => start + word_length(self.text.get(start..line.end)?),
        };
        let before = self.text.get(line.start..start)?.char_indices().rev().nth(AROUND - 1);
        let from = before.map_or(line.start, |(offset, _)| line.start + offset);
        let end =
            self.text.get(start..end)?.char_indices().nth(AROUND).map_or(end, |(offset, _)| start + offset);
        let behind = self.text.get(end..line.end)?.char_indices().nth(AROUND);
        let to = behind.map_or(line.end, |(offset, _)| end + offset);
        Some(Piece { line: self.text.get(from..to)?, part: start - from..end - from })
    }

    fn line_range(&self, number: usize) -> Option<Range<usize>> {
        let start = *self.starts.get(number.checked_sub(1)?)?;
        let end = self.starts.get(number).map_or(self.text.len(), |next| next - 1);
        let end = if self.text.get(start..end)?.ends_with('\r') { end - 1 } else { end };
        Some(start..end)
    }

    /// The byte offset of a column. The end of the line is a column too.
    fn offset(&self, line: &Range<usize>, column: usize) -> Option<usize> {
        let block = self.blocks.partition_point(|start| *start <= line.start).checked_sub(1);
        let before = match block {
            Some(block) => {
                block * BLOCK + self.text.get(*self.blocks.get(block)?..line.start)?.chars().count()
            }
            None => 0,
        };
        let target = before + column.checked_sub(1)?;
        let from = self.blocks.get(target / BLOCK).copied();
        let offset = from.and_then(|from| {
            let (offset, _) = self.text.get(from..)?.char_indices().nth(target % BLOCK)?;
            Some(from + offset)
        });
        Some(offset.unwrap_or(self.text.len()).min(line.end))
    }
}

/// The length of the word or quoted text at the beginning of a text, at least that of its first character.
fn word_length(text: &str) -> usize {
    let mut letters = text.char_indices();
    let Some((_, first)) = letters.next() else {
        return 0;
    };
    let end = match first {
        '"' | '\'' => {
            letters.find(|(_, char)| *char == first).map(|(offset, quote)| offset + quote.len_utf8())
        }
        _ if is_of_word(first) => {
            Some(letters.find(|(_, char)| !is_of_word(*char)).map_or(text.len(), |(offset, _)| offset))
        }
        _ => None,
    };
    end.unwrap_or(first.len_utf8())
}

fn is_of_word(char: char) -> bool {
    char.is_alphanumeric() || matches!(char, '_' | '-' | '.' | '/')
}

const BLOCK: usize = 256;

/// More characters to each side than a terminal shows.
const AROUND: usize = 400;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: usize, column: usize, end_column: usize) -> Position {
        let end_column = (end_column > 0).then_some(end_column);
        Position { end_line: end_column.map(|_| line), end_column, ..Position::line("f", line, column) }
    }

    #[test]
    fn a_piece_is_what_stands_at_line_and_column() {
        let lines = Lines::new("äb\tc\r\n\nlast");
        for (position, expected) in [
            (at(1, 2, 3), Some(("äb\tc", "b"))),
            (at(1, 1, 2), Some(("äb\tc", "ä"))),
            (at(1, 4, 99), Some(("äb\tc", "c"))),
            (at(1, 4, 0), Some(("äb\tc", "c"))),
            (at(1, 5, 0), Some(("äb\tc", ""))),
            (at(2, 1, 0), Some(("", ""))),
            (at(3, 1, 5), Some(("last", "last"))),
            (at(3, 2, 0), Some(("last", "ast"))),
            (at(4, 1, 0), None),
            (Position::file("f"), None),
        ] {
            let found = lines.piece(&position);
            let found = found.map(|piece| (piece.line, piece.line.get(piece.part).unwrap()));
            assert_eq!(found, expected, "{position:?}");
        }
        let two_lines = Position { end_line: Some(3), end_column: Some(2), ..Position::line("f", 1, 3) };
        assert_eq!(lines.piece(&two_lines).unwrap().part, 3..5);
    }

    #[test]
    fn a_place_without_an_end_is_a_word_or_a_quoted_text() {
        for (text, expected) in [
            ("CACHE_KEY: token", "CACHE_KEY"),
            ("/pets/{id}:", "/pets/"),
            ("\"a b\": 1", "\"a b\""),
            ("'ä'", "'ä'"),
            ("\"a b", "\""),
            ("{}", "{"),
            ("", ""),
        ] {
            assert_eq!(text.get(..word_length(text)), Some(expected));
        }
    }

    #[test]
    fn of_a_long_line_only_what_is_near_is_shown() {
        let text = format!("{}needle{}", "ä".repeat(100_000), "x".repeat(100_000));
        let lines = Lines::new(&text);
        let piece = lines.piece(&at(1, 100_001, 100_007)).unwrap();
        assert_eq!(piece.line.get(piece.part.clone()), Some("needle"));
        assert_eq!(piece.line.chars().count(), 2 * AROUND + "needle".len());
    }
}
