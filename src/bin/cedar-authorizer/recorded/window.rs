//! A window on a file that is read from its beginning to its end.

use std::fmt;
use std::io::{self, Read};

/// The part of a file that is in memory, and where in it reading has come to.
pub struct Window<R> {
    reader: R,
    bytes: Vec<u8>,
    /// Before this, everything was read.
    at: usize,
    line: u64,
    is_at_line_start: bool,
    is_at_end: bool,
}

impl<R: Read> Window<R> {
    pub fn new(reader: R) -> Self {
        Self { reader, bytes: Vec::new(), at: 0, line: 1, is_at_line_start: true, is_at_end: false }
    }

    /// The number of the line that the next byte is on.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Whether the next byte is the first of its line.
    pub fn is_at_line_start(&self) -> bool {
        self.is_at_line_start
    }

    /// The next byte.
    pub fn peek(&mut self) -> io::Result<Option<u8>> {
        if self.at >= self.bytes.len() {
            self.more()?;
        }
        Ok(self.bytes.get(self.at).copied())
    }

    /// Goes on by one byte.
    pub fn bump(&mut self) {
        if let Some(byte) = self.bytes.get(self.at) {
            self.is_at_line_start = *byte == b'\n';
            self.line += u64::from(self.is_at_line_start);
            self.at += 1;
        }
    }

    /// Goes on past these bytes.
    pub fn skip(&mut self, is_skipped: impl Fn(u8) -> bool) -> io::Result<()> {
        while self.peek()?.is_some_and(&is_skipped) {
            self.bump();
        }
        Ok(())
    }

    /// The first byte, from `distance` on, that is not one of these. Looks ahead only a little.
    pub fn ahead(&mut self, distance: usize, is_passed: impl Fn(u8) -> bool) -> io::Result<Option<u8>> {
        let mut distance = distance;
        while distance < LOOK_AHEAD {
            while self.bytes.len() <= self.at + distance && !self.is_at_end {
                self.more()?;
            }
            match self.bytes.get(self.at + distance) {
                Some(byte) if is_passed(*byte) => distance += 1,
                found => return Ok(found.copied()),
            }
        }
        Ok(None)
    }

    /// The rest of the line, without its end. `None`: it is longer than the limit.
    pub fn whole_line(&mut self, limit: usize) -> io::Result<Option<&[u8]>> {
        let mut searched = 0;
        loop {
            let rest = self.bytes.get(self.at + searched..).unwrap_or_default();
            if let Some(found) = rest.iter().position(|byte| *byte == b'\n') {
                let length = searched + found;
                return Ok(self.bytes.get(self.at..self.at + length).filter(|_| length <= limit));
            }
            searched += rest.len();
            if searched > limit {
                return Ok(None);
            }
            if self.is_at_end {
                return Ok(self.bytes.get(self.at..));
            }
            self.more()?;
        }
    }

    /// Goes on to the next line. The [whole line](Self::whole_line) is in the window.
    pub fn drop_line(&mut self) {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        match rest.iter().position(|byte| *byte == b'\n') {
            Some(length) => {
                self.at += length + 1;
                self.line += 1;
                self.is_at_line_start = true;
            }
            None => {
                self.at = self.bytes.len();
                self.is_at_line_start = false;
            }
        }
    }

    /// Whether the rest of the window has these bytes.
    pub fn find(&self, searched: &[u8]) -> bool {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        rest.windows(searched.len().max(1)).any(|window| window == searched)
    }

    /// Reads on. What was read before is let go.
    fn more(&mut self) -> io::Result<()> {
        self.bytes.drain(..self.at);
        self.at = 0;
        let read = self.reader.by_ref().take(CHUNK).read_to_end(&mut self.bytes)?;
        self.is_at_end = read == 0;
        Ok(())
    }
}

impl<R> fmt::Debug for Window<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Window").field("line", &self.line).finish_non_exhaustive()
    }
}

const CHUNK: u64 = 256 * 1024;

/// How far it may be to what follows a bracket.
const LOOK_AHEAD: usize = 4096;
