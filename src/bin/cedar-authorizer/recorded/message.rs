//! Messages: the pieces of a file that may be lines of a log, in whatever they are wrapped.

mod scan;

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use super::window::Window;
use scan::{Scan, Step};

/// A piece of a file: a line, or one event of an export of CloudWatch Logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub place: Place,
    pub content: Content,
}

/// Where a message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub file: Arc<str>,
    /// Counted from 1, after decompression.
    pub line: u64,
    /// The number of the message on its line, from 1.
    pub nth: u64,
}

/// What a message has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A line, or a JSON object that may have several.
    Line(Vec<u8>),
    /// JSON that is not closed.
    Broken,
    /// More than [`MAX_BYTES`].
    TooLong,
}

/// `calls.jsonl:12`, and `calls.jsonl:12#3` for the third message of that line.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, nth } = self;
        write!(f, "{file}:{line}")?;
        if *nth > 1 { write!(f, "#{nth}") } else { Ok(()) }
    }
}

/// Takes a file apart, with bounded memory.
///
/// A file is lines, or JSON objects and arrays one after the other. Of an object of CloudWatch Logs each log event is a
/// message, and of an array each element.
#[derive(Debug)]
pub struct Messages<R> {
    window: Window<R>,
    file: Arc<str>,
    /// The line and the number of the last message.
    last: (u64, u64),
    /// What is open around the next message.
    around: Around,
}

/// What is open around the next message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Around {
    Nothing,
    /// An array of messages, alone.
    Array,
    /// An array of messages in an object.
    Export,
}

impl<R: Read> Messages<R> {
    pub fn new(name: &str, reader: R) -> Self {
        Self { window: Window::new(reader), file: name.into(), last: (0, 0), around: Around::Nothing }
    }

    /// The next message. `None`: the file ends.
    pub fn next(&mut self) -> io::Result<Option<Message>> {
        loop {
            match self.around {
                Around::Array | Around::Export => {
                    if let Some(message) = self.element()? {
                        return Ok(Some(message));
                    }
                }
                Around::Nothing => {
                    self.window.skip(|byte| byte.is_ascii_whitespace() || byte == 0)?;
                    let Some(first) = self.window.peek()? else { return Ok(None) };
                    let line = self.window.line();
                    let found = match first {
                        b'{' => self.object()?,
                        b'[' if self.begins_array()? => {
                            self.window.bump();
                            self.around = Around::Array;
                            None
                        }
                        _ => Some(self.rest_of_line()?),
                    };
                    if let Some(content) = found {
                        return Ok(Some(self.message(line, content)));
                    }
                }
            }
        }
    }

    fn message(&mut self, line: u64, content: Content) -> Message {
        let nth = if self.last.0 == line { self.last.1 + 1 } else { 1 };
        self.last = (line, nth);
        Message { place: Place { file: Arc::clone(&self.file), line, nth }, content }
    }

    /// An object. `None`: it is an export, and its messages follow.
    fn object(&mut self) -> io::Result<Option<Content>> {
        // Most are alone on their line, and need not be looked through.
        if let Some(line) = self.window.whole_line(MAX_BYTES)?
            && line.trim_ascii_end().ends_with(b"}")
            && !begins_export(line)
        {
            let content = Content::Line(line.to_vec());
            self.window.drop_line();
            return Ok(Some(content));
        }
        match self.value(MAX_BYTES, true)? {
            Scanned::Export => {
                self.around = Around::Export;
                Ok(None)
            }
            Scanned::Value(content) => Ok(Some(content)),
        }
    }

    /// The next element of an array of messages. `None`: there are no more.
    fn element(&mut self) -> io::Result<Option<Message>> {
        self.window.skip(|byte| byte.is_ascii_whitespace() || byte == b',')?;
        let line = self.window.line();
        match self.window.peek()? {
            Some(b'{' | b'[' | b'"') => match self.value(MAX_ELEMENT_BYTES, false)? {
                Scanned::Value(content) => {
                    if content == Content::Broken {
                        self.around = Around::Nothing;
                    }
                    Ok(Some(self.message(line, content)))
                }
                Scanned::Export => Ok(None),
            },
            Some(b']') => {
                self.window.bump();
                if self.around == Around::Export {
                    self.end_of_export()?;
                }
                self.around = Around::Nothing;
                Ok(None)
            }
            Some(_) => {
                self.around = Around::Nothing;
                Ok(Some(self.message(line, Content::Broken)))
            }
            None => {
                self.around = Around::Nothing;
                // The export is cut off.
                Ok(Some(self.message(line, Content::Broken)))
            }
        }
    }

    /// What follows the messages of an export: other members, which may have messages, too, and the end.
    fn end_of_export(&mut self) -> io::Result<()> {
        let mut scan = Scan::inside_object();
        while let Some(byte) = self.window.peek()? {
            match scan.step(byte, self.window.is_at_line_start()) {
                Step::Broken => return Ok(()),
                Step::Inside => self.window.bump(),
                Step::End => {
                    self.window.bump();
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Reads a JSON value. With `may_be_export` it stops behind the bracket that begins the messages of an export.
    fn value(&mut self, limit: usize, may_be_export: bool) -> io::Result<Scanned> {
        let (mut scan, mut bytes, mut is_too_long) = (Scan::default(), Vec::new(), false);
        loop {
            let Some(byte) = self.window.peek()? else { return Ok(Scanned::Value(Content::Broken)) };
            match scan.step(byte, self.window.is_at_line_start() && !bytes.is_empty()) {
                // The byte that does not fit begins the next message.
                Step::Broken => return Ok(Scanned::Value(Content::Broken)),
                step => {
                    self.window.bump();
                    is_too_long |= bytes.len() >= limit;
                    if !is_too_long {
                        bytes.push(byte);
                    }
                    if may_be_export && scan.opened_messages {
                        return Ok(Scanned::Export);
                    }
                    if step == Step::End {
                        let content = if is_too_long { Content::TooLong } else { Content::Line(bytes) };
                        return Ok(Scanned::Value(content));
                    }
                }
            }
        }
    }

    /// The line from here on, as far as it is not too long.
    fn rest_of_line(&mut self) -> io::Result<Content> {
        if let Some(line) = self.window.whole_line(MAX_BYTES)? {
            let content = Content::Line(line.to_vec());
            self.window.drop_line();
            return Ok(content);
        }
        let may_count = self.window.find(b"\"decision\"");
        self.window.skip(|byte| byte != b'\n')?;
        // Long lines of others are of no interest.
        Ok(if may_count { Content::TooLong } else { Content::Line(Vec::new()) })
    }

    /// Whether the bracket here begins an array of messages. Lines of other logs may begin with one, too.
    fn begins_array(&mut self) -> io::Result<bool> {
        let next = self.window.ahead(1, |byte| byte.is_ascii_whitespace())?;
        Ok(matches!(next, Some(b'{' | b'"' | b'[' | b']')))
    }
}

/// What a JSON value turned out to be.
enum Scanned {
    Export,
    Value(Content),
}

/// Whether the first member of an object is one of an export of CloudWatch Logs.
fn begins_export(line: &[u8]) -> bool {
    let inside = line.strip_prefix(b"{").unwrap_or(line).trim_ascii_start();
    let Some(name) = inside.strip_prefix(b"\"") else { return false };
    let name = name.split(|byte| *byte == b'"').next().unwrap_or_default();
    FIRST_MEMBERS.contains(&name)
}

/// The members that an export may begin with.
const FIRST_MEMBERS: [&[u8]; 16] = [
    b"encryptionKey",
    b"events",
    b"logEvents",
    b"logGroup",
    b"logStream",
    b"messageType",
    b"nextBackwardToken",
    b"nextForwardToken",
    b"nextToken",
    b"owner",
    b"queryLanguage",
    b"results",
    b"searchedLogStreams",
    b"statistics",
    b"status",
    b"subscriptionFilters",
];

/// The longest line. CloudWatch Logs takes events of 1 MiB.
pub const MAX_BYTES: usize = 1024 * 1024;

/// A line as a text in JSON: its quotes are escaped.
const MAX_ELEMENT_BYTES: usize = 2 * MAX_BYTES + 4096;
