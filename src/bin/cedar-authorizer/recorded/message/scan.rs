//! A scan of JSON for where values begin and end, without parsing them.

/// Where a scan of a JSON value is.
#[derive(Debug, Default)]
pub struct Scan {
    depth: usize,
    text: Text,
    /// The last text at depth 1, as far as it may be the name of messages.
    name: Vec<u8>,
    /// The array was opened that has the messages of an export.
    pub opened_messages: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Text {
    #[default]
    Outside,
    Inside,
    /// Behind a backslash.
    Escaped,
}

/// What a byte does to the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is inside of it.
    Inside,
    /// It is its last.
    End,
    /// It is not of the value, which was never finished.
    Broken,
}

impl Scan {
    /// Begins behind the first bracket of an object.
    pub fn inside_object() -> Self {
        Self { depth: 1, ..Self::default() }
    }

    /// Goes on by a byte.
    pub fn step(&mut self, byte: u8, is_at_line_start: bool) -> Step {
        if self.text != Text::Outside {
            match (self.text, byte) {
                // JSON has no line breaks in texts: this line was never finished.
                (_, b'\n') => return Step::Broken,
                (Text::Escaped, _) => self.text = Text::Inside,
                (_, b'\\') => self.text = Text::Escaped,
                (_, b'"') => {
                    self.text = Text::Outside;
                    return if self.depth == 0 { Step::End } else { Step::Inside };
                }
                _ => {}
            }
            if self.depth == 1 && self.name.len() <= LONGEST_NAME {
                self.name.push(byte);
            }
            return Step::Inside;
        }
        // Who writes a value on several lines indents all but its end. So this is the next one.
        if is_at_line_start && !matches!(byte, b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n') {
            return Step::Broken;
        }
        match byte {
            b'"' => {
                self.text = Text::Inside;
                self.name.clear();
            }
            b'{' | b'[' => {
                self.opened_messages =
                    byte == b'[' && self.depth == 1 && MESSAGES.contains(&self.name.as_slice());
                self.name.clear();
                self.depth += 1;
            }
            b'}' | b']' => {
                self.name.clear();
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 0 {
                    return Step::End;
                }
            }
            b',' => self.name.clear(),
            _ => {}
        }
        Step::Inside
    }
}

/// The members of an export that are arrays of messages: of subscriptions and Firehose, of `aws logs
/// filter-log-events` and `get-log-events`, of `get-query-results`.
const MESSAGES: [&[u8]; 3] = [b"logEvents", b"events", b"results"];

const LONGEST_NAME: usize = 16;
