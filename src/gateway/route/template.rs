//! Path templates.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::gateway::arn::{CONNECT, DEFAULT};

/// A path template, e.g. `/pets/{petId}` or `/files/{path+}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTemplate {
    pub(super) segments: Vec<Segment>,
}

impl PathTemplate {
    /// The segments, first to last; none for the root `/`.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Whether it is `$connect`.
    pub fn is_connect(&self) -> bool {
        matches!(self.segments.as_slice(), [Segment::Key(key)] if key == CONNECT)
    }

    /// The names of its parameters.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Parameter(name) | Segment::Greedy(name) => Some(name.as_str()),
            Segment::Key(_) | Segment::Static(_) => None,
        })
    }

    /// Whether the parameter of this name takes several segments.
    pub fn is_greedy(&self, name: &str) -> bool {
        matches!(self.segments.last(), Some(Segment::Greedy(known)) if known == name)
    }

    /// The values of its parameters in a path that leads to it, exactly as the path has them.
    pub fn values(&self, path: &str) -> BTreeMap<String, String> {
        let path = path.strip_prefix('/').unwrap_or(path);
        let mut rest = Some(path.strip_suffix('/').unwrap_or(path));
        let mut values = BTreeMap::new();
        for segment in &self.segments {
            let Some(text) = rest else {
                break;
            };
            let (first, tail) = match text.split_once('/') {
                Some((first, tail)) => (first, Some(tail)),
                None => (text, None),
            };
            match segment {
                Segment::Greedy(name) => {
                    values.insert(name.clone(), text.to_owned());
                }
                Segment::Parameter(name) => {
                    values.insert(name.clone(), first.to_owned());
                }
                Segment::Key(_) | Segment::Static(_) => {}
            }
            rest = tail;
        }
        values
    }
}

/// One segment of a path template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// `$default` or `$connect`. No path leads to it: only an event names it.
    Key(String),
    /// Exactly this text.
    Static(String),
    /// `{name}`: any one segment.
    Parameter(String),
    /// `{name+}`: all remaining segments, at least one.
    Greedy(String),
}

impl FromStr for PathTemplate {
    type Err = InvalidTemplate;

    fn from_str(text: &str) -> Result<Self, InvalidTemplate> {
        if [CONNECT, DEFAULT].contains(&text) {
            return Ok(Self { segments: vec![Segment::Key(text.to_owned())] });
        }
        let path = text.strip_prefix('/').ok_or(InvalidTemplate::NoSlash)?;
        let mut segments = Vec::new();
        if !path.is_empty() {
            for segment in path.split('/') {
                if let Some(Segment::Greedy(_)) = segments.last() {
                    return Err(InvalidTemplate::GreedyNotLast);
                }
                segments.push(segment.parse()?);
            }
        }
        Ok(Self { segments })
    }
}

impl FromStr for Segment {
    type Err = InvalidTemplate;

    fn from_str(text: &str) -> Result<Self, InvalidTemplate> {
        if let Some(name) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            let (name, greedy) = match name.strip_suffix('+') {
                Some(name) => (name, true),
                None => (name, false),
            };
            if name.is_empty() || !name.bytes().all(is_parameter_byte) {
                return Err(InvalidTemplate::Parameter);
            }
            return Ok(if greedy { Self::Greedy(name.to_owned()) } else { Self::Parameter(name.to_owned()) });
        }
        if text.is_empty() || !text.bytes().all(is_static_byte) {
            return Err(InvalidTemplate::Static);
        }
        Ok(Self::Static(text.to_owned()))
    }
}

impl fmt::Display for PathTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.segments.is_empty() {
            return f.write_str("/");
        }
        self.segments.iter().try_for_each(|segment| match segment {
            Segment::Key(key) => f.write_str(key),
            Segment::Static(text) => write!(f, "/{text}"),
            Segment::Parameter(name) => write!(f, "/{{{name}}}"),
            Segment::Greedy(name) => write!(f, "/{{{name}+}}"),
        })
    }
}

/// Why a text is not a path template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTemplate {
    /// `{name+}` before the end.
    #[error("a `{{name+}}` segment must be the last one")]
    GreedyNotLast,
    /// No leading slash.
    #[error("a path template begins with `/`")]
    NoSlash,
    /// A parameter without a name, or with characters that are not allowed in it.
    #[error("the name of a parameter is of letters, digits, `_`, `-`, `.` and `:`")]
    Parameter,
    /// An empty segment, or one with characters that API Gateway does not accept in a template.
    #[error("a static segment is of letters, digits, `_`, `-`, `.`, `,`, `:`, `~` and `@`")]
    Static,
}

fn is_parameter_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte)
}

fn is_static_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-.,:~@".contains(&byte)
}
