//! The nodes of a YAML document, with the places, tags and duplicate keys that data formats lose.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::rc::Rc;

use granit_parser::{Event, Parser, ScalarStyle, Span, Tag, options};

/// A place in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
}

impl Place {
    /// Where a text begins.
    pub const START: Self = Self { line: 1, column: 1 };
}

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// What is wrong with a document, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it is.
    pub place: Place,
    /// What is wrong.
    pub message: String,
}

/// A value. Aliases share it, so they cost nothing until the document is walked.
#[derive(Debug)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// The tag without its `!`, if it is a local tag: `Ref`, `Sub`.
    pub tag: Option<String>,
    /// What it holds.
    pub content: Content,
    /// How many nodes a walk from here meets, with aliases expanded.
    size: usize,
    /// How many levels there are from here, including this one.
    depth: usize,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub enum Content {
    /// Values, in order.
    List(Vec<Rc<Node>>),
    /// Keys with their values, in order, each key once.
    Map(Vec<Entry>),
    /// Text. If `quoted`, it is text whatever it looks like.
    Text { text: String, quoted: bool },
}

/// A key with its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key is.
    pub place: Place,
    /// The value.
    pub value: Rc<Node>,
}

impl Node {
    /// A node with this content.
    pub fn new(place: Place, tag: Option<String>, content: Content) -> Rc<Self> {
        let inner = |values: &mut dyn Iterator<Item = &Rc<Self>>| {
            values.fold((1, 1), |(size, depth): (usize, usize), node| {
                (size.saturating_add(node.size), depth.max(node.depth + 1))
            })
        };
        let (size, depth) = match &content {
            Content::List(items) => inner(&mut items.iter()),
            Content::Map(entries) => inner(&mut entries.iter().map(|entry| &entry.value)),
            Content::Text { .. } => (1, 1),
        };
        Rc::new(Self { place, tag, content, size, depth })
    }

    /// A text that was computed, so it is text whatever it looks like.
    pub fn from_text(place: Place, text: impl Into<String>) -> Rc<Self> {
        Self::new(place, None, Content::Text { text: text.into(), quoted: true })
    }

    /// The same node without its tag.
    pub fn untagged(&self) -> Rc<Self> {
        Self::new(self.place, None, self.content.clone())
    }

    /// The text, if this is text.
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Text { text, .. } => Some(text),
            Content::List(_) | Content::Map(_) => None,
        }
    }

    /// The items, if this is a list.
    pub fn list(&self) -> Option<&[Rc<Self>]> {
        match &self.content {
            Content::List(items) => Some(items),
            Content::Map(_) | Content::Text { .. } => None,
        }
    }

    /// The entries, if this is a map.
    pub fn map(&self) -> Option<&[Entry]> {
        match &self.content {
            Content::Map(entries) => Some(entries),
            Content::List(_) | Content::Text { .. } => None,
        }
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Rc<Self>> {
        self.map()?.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// YAML 1.2.2, 10.3.2: the forms of null.
    pub fn is_null(&self) -> bool {
        let Content::Text { text, quoted: false } = &self.content else { return false };
        self.tag.is_none() && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }
}

/// Reads the single document of a text: YAML, or JSON, which is YAML. `None`: the text is empty.
///
/// `max_nodes` limits how many values it may have, with aliases expanded. What can be left out is added to
/// `problems`: keys that are no text, and keys that are there twice, of which the last counts.
///
/// # Errors
/// The text is not YAML, or exceeds a limit.
pub fn parse(text: &str, max_nodes: usize, problems: &mut Vec<Problem>) -> Result<Option<Rc<Node>>, Problem> {
    let (open, anchors) = (Vec::new(), BTreeMap::new());
    let mut reader = YamlReader { problems, open, anchors, root: None, nodes: 0, max_nodes };
    for event in Parser::new_from_str_with_options(text, options! { emit_comments: false }) {
        let (event, span) = event.map_err(|error| {
            let mark = error.marker();
            let place = Place { line: mark.line(), column: mark.col() + 1 };
            problem(place, format!("not YAML: {}", error.info()))
        })?;
        reader.take(event, place(&span))?;
    }
    Ok(reader.root)
}

struct YamlReader<'p> {
    problems: &'p mut Vec<Problem>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Rc<Node>>,
    root: Option<Rc<Node>>,
    nodes: usize,
    max_nodes: usize,
}

/// A list or map whose end has not been reached yet.
struct Open {
    place: Place,
    tag: Option<String>,
    anchor: usize,
    inside: Inside,
}

enum Inside {
    List(Vec<Rc<Node>>),
    Map { entries: Vec<Entry>, known: BTreeMap<String, usize>, merged: Vec<Entry>, key: Option<Rc<Node>> },
}

impl YamlReader<'_> {
    fn take(&mut self, event: Event<'_>, place: Place) -> Result<(), Problem> {
        match event {
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err(problem(place, "an alias inside of what it stands for"));
                };
                self.add(node, place)
            }
            Event::Scalar(text, style, anchor, tag) => {
                let quoted = style != ScalarStyle::Plain
                    || tag.as_ref().is_some_and(|tag| tag.is_yaml_core_schema_tag("str"));
                let content = Content::Text { text: text.into_owned(), quoted };
                self.finish(Node::new(place, own(tag.as_deref()), content), anchor, place)
            }
            Event::SequenceStart(_, anchor, tag) => {
                let inside = Inside::List(Vec::new());
                self.open.push(Open { place, tag: own(tag.as_deref()), anchor, inside });
                Ok(())
            }
            Event::MappingStart(_, anchor, tag) => {
                let (entries, known, merged) = (Vec::new(), BTreeMap::new(), Vec::new());
                let inside = Inside::Map { entries, known, merged, key: None };
                self.open.push(Open { place, tag: own(tag.as_deref()), anchor, inside });
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { place, tag, anchor, inside }) = self.open.pop() else { return Ok(()) };
                let content = match inside {
                    Inside::List(items) => Content::List(items),
                    Inside::Map { mut entries, mut known, merged, key: _ } => {
                        for entry in merged {
                            // The map's own keys win, then those of the earlier merged maps (yaml.org, "Merge
                            // Key Language-Independent Type").
                            if known.insert(entry.key.clone(), entries.len()).is_none() {
                                entries.push(entry);
                            }
                        }
                        Content::Map(entries)
                    }
                };
                self.finish(Node::new(place, tag, content), anchor, place)
            }
            Event::DocumentStart(..) if self.root.is_some() => {
                Err(problem(place, "a second document, where one is expected"))
            }
            _ => Ok(()),
        }
    }

    fn finish(&mut self, node: Rc<Node>, anchor: usize, place: Place) -> Result<(), Problem> {
        self.nodes += 1;
        if self.nodes > self.max_nodes || node.size > self.max_nodes {
            return Err(too_many(place, self.max_nodes));
        }
        if node.depth > MAX_DEPTH {
            return Err(problem(place, format!("nested more than {MAX_DEPTH} deep")));
        }
        // 0 means no anchor.
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        self.add(node, place)
    }

    /// Adds a node. `place` is where it is used. For an alias, that is not where it is defined.
    fn add(&mut self, node: Rc<Node>, place: Place) -> Result<(), Problem> {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        let (entries, known, merged, key) = match &mut open.inside {
            Inside::List(items) => {
                items.push(node);
                return Ok(());
            }
            Inside::Map { entries, known, merged, key } => (entries, known, merged, key),
        };
        let Some(key_node) = key.take() else {
            // An alias that is used as a key gets the place where it is used.
            *key = Some(Node::new(place, node.tag.clone(), node.content.clone()));
            return Ok(());
        };
        let at = key_node.place;
        let Content::Text { text, quoted } = &key_node.content else {
            self.problems.push(problem(at, "a key that is no text"));
            return Ok(());
        };
        if text == "<<" && !quoted {
            let sources = match &node.content {
                Content::List(items) => items.clone(),
                Content::Map(_) | Content::Text { .. } => vec![node],
            };
            for source in sources {
                let Some(source) = source.map() else {
                    self.problems.push(problem(at, "`<<` takes a map, or a list of maps"));
                    continue;
                };
                // Unlike an alias, a merge copies nodes, so they count at once.
                self.nodes = self.nodes.saturating_add(source.len());
                if self.nodes > self.max_nodes {
                    return Err(too_many(at, self.max_nodes));
                }
                merged.extend_from_slice(source);
            }
            return Ok(());
        }
        let entry = Entry { key: text.clone(), place: at, value: node };
        match known.get(text).and_then(|index| entries.get_mut(*index)) {
            Some(first) => {
                let message = format!("`{text}` stands here a second time, after line {}", first.place.line);
                self.problems.push(problem(at, message));
                // Like SAM's parser: the last one counts.
                *first = entry;
            }
            None => {
                known.insert(text.clone(), entries.len());
                entries.push(entry);
            }
        }
        Ok(())
    }
}

fn own(tag: Option<&Tag>) -> Option<String> {
    tag.filter(|tag| tag.handle() == "!" && !tag.suffix().is_empty()).map(|tag| tag.suffix().to_owned())
}

fn place(span: &Span) -> Place {
    // If there is a tag, the value begins there.
    let start = span.tag_start().unwrap_or(span.start);
    Place { line: start.line(), column: start.col() + 1 }
}

fn too_many(place: Place, max_nodes: usize) -> Problem {
    problem(place, format!("more than {max_nodes} values, aliases written out"))
}

fn problem(place: Place, message: impl Into<String>) -> Problem {
    Problem { place, message: message.into() }
}

/// Far more than people nest, and far less than fits on the stack.
const MAX_DEPTH: usize = 100;
