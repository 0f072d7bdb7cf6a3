//! The nodes of a YAML document: with places, tags and duplicate keys, which data formats lose.

use std::collections::BTreeMap;
use std::rc::Rc;

use granit_parser::{Event, Parser, ScalarStyle, Span, Tag, options};

use super::{Place, Problem, ProblemKind};

/// A value. Aliases share it, so that they cost nothing until somebody walks over them.
#[derive(Debug)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// The tag without its `!`, if it is one of the document's own: `Ref`, `Sub`.
    pub tag: Option<String>,
    /// What it holds.
    pub content: Content,
    /// How many nodes a walk meets here, aliases written out.
    size: usize,
    /// How many levels, itself included.
    depth: usize,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub enum Content {
    /// Values in order.
    List(Vec<Rc<Node>>),
    /// Keys with their values, in order, each once.
    Map(Vec<Entry>),
    /// Text; if `quoted`, it is text whatever it looks like.
    Text { text: String, quoted: bool },
}

/// A key with its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Of the key.
    pub place: Place,
    /// The value.
    pub value: Rc<Node>,
}

impl Node {
    /// A node of this content.
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

    /// Text that was worked out, and so is text whatever it looks like.
    pub fn from_text(place: Place, text: impl Into<String>) -> Rc<Self> {
        Self::new(place, None, Content::Text { text: text.into(), quoted: true })
    }

    /// The same without its tag.
    pub fn untagged(&self) -> Rc<Self> {
        Self::new(self.place, None, self.content.clone())
    }

    /// Its text, if it is text.
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Text { text, .. } => Some(text),
            Content::List(_) | Content::Map(_) => None,
        }
    }

    /// Its items, if it is a list.
    pub fn list(&self) -> Option<&[Rc<Self>]> {
        match &self.content {
            Content::List(items) => Some(items),
            Content::Map(_) | Content::Text { .. } => None,
        }
    }

    /// Its entries, if it is a map.
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

/// Reads the one document of a text; `None` if the text is empty.
///
/// # Errors
/// What is no YAML, and what goes beyond a limit.
pub fn parse(text: &str, problems: &mut Vec<Problem>) -> Result<Option<Rc<Node>>, Problem> {
    let mut reader =
        YamlReader { problems, open: Vec::new(), anchors: BTreeMap::new(), root: None, nodes: 0 };
    for event in Parser::new_from_str_with_options(text, options! { emit_comments: false }) {
        let (event, span) = event.map_err(|error| {
            let mark = error.marker();
            let place = Place { line: mark.line(), column: mark.col() + 1 };
            syntax(place, format!("not YAML: {}", error.info()))
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
}

/// A list or map whose end was not met yet.
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
                    return Err(syntax(place, "an alias inside of what it stands for"));
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
                            // What the map says itself goes first, then the earlier of the merged maps
                            // (yaml.org, "Merge Key Language-Independent Type").
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
                Err(syntax(place, "a second document: a template is one"))
            }
            _ => Ok(()),
        }
    }

    fn finish(&mut self, node: Rc<Node>, anchor: usize, place: Place) -> Result<(), Problem> {
        self.nodes += 1;
        if self.nodes > MAX_NODES || node.size > MAX_NODES {
            return Err(too_many(place));
        }
        if node.depth > MAX_DEPTH {
            return Err(syntax(place, format!("nested more than {MAX_DEPTH} deep")));
        }
        // 0 is no anchor.
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        self.add(node, place)
    }

    /// `place` is where it is used, which with an alias is not where it stands.
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
            // As a key, an alias stands where it is used.
            *key = Some(Node::new(place, node.tag.clone(), node.content.clone()));
            return Ok(());
        };
        let at = key_node.place;
        let Content::Text { text, quoted } = &key_node.content else {
            self.problems.push(invalid(at, "a key that is no text"));
            return Ok(());
        };
        if text == "<<" && !quoted {
            let sources = match &node.content {
                Content::List(items) => items.clone(),
                Content::Map(_) | Content::Text { .. } => vec![node],
            };
            for source in sources {
                let Some(source) = source.map() else {
                    self.problems.push(invalid(at, "`<<` takes a map, or a list of maps"));
                    continue;
                };
                // Unlike an alias, a merge copies, so that it counts at once.
                self.nodes = self.nodes.saturating_add(source.len());
                if self.nodes > MAX_NODES {
                    return Err(too_many(at));
                }
                merged.extend_from_slice(source);
            }
            return Ok(());
        }
        let entry = Entry { key: text.clone(), place: at, value: node };
        match known.get(text).and_then(|index| entries.get_mut(*index)) {
            Some(first) => {
                let message = format!("`{text}` stands here a second time, after line {}", first.place.line);
                self.problems.push(invalid(at, message));
                // As SAM's parser has it: the last one counts.
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
    // With a tag, a value begins there.
    let start = span.tag_start().unwrap_or(span.start);
    Place { line: start.line(), column: start.col() + 1 }
}

fn too_many(place: Place) -> Problem {
    syntax(place, format!("more than {MAX_NODES} values, aliases written out"))
}

fn syntax(place: Place, message: impl Into<String>) -> Problem {
    Problem { place, kind: ProblemKind::Syntax, message: message.into() }
}

fn invalid(place: Place, message: impl Into<String>) -> Problem {
    Problem { place, kind: ProblemKind::Invalid, message: message.into() }
}

/// A template has at most 1 MB (CloudFormation User Guide, "Understand CloudFormation quotas"), so at some 5
/// bytes each not more values than this. Aliases that multiply beyond it are an attack.
const MAX_NODES: usize = 200_000;

/// Far more than templates need, and far less than a stack holds.
const MAX_DEPTH: usize = 100;
