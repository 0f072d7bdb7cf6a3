//! The keys of a map in a test file, read one by one. What is not as it should be is a problem of the file.

use std::fmt::Display;
use std::rc::Rc;
use std::str::FromStr;

use serde_json::{Map, Value};

use super::problem::Problems;
use super::value::json;
use crate::nearest::choice;
use crate::yaml::{Content, Entry, Node, Place};

/// The keys of a map, and the defaults for those that it does not have.
#[derive(Clone, Copy)]
pub struct Fields<'a> {
    /// Where problems go.
    pub problems: &'a Problems,
    /// Where the map is.
    pub place: Place,
    entries: &'a [Entry],
    defaults: &'a [Entry],
}

impl<'a> Fields<'a> {
    /// The keys of a node that should be a map.
    pub fn read(problems: &'a Problems, node: &'a Node, what: &str) -> Option<Self> {
        reject_tag(problems, node);
        let Some(entries) = node.map() else {
            problems.add(node.place, format!("{what} should be a map, not {}", kind(node)));
            return None;
        };
        Some(Self { problems, place: node.place, entries, defaults: &[] })
    }

    /// The same keys, and those of other fields for what these do not have.
    pub fn with_defaults(self, defaults: Self) -> Self {
        Self { defaults: defaults.entries, ..self }
    }

    /// Reports keys that are not among these. `others` are the keys of such maps in another place.
    pub fn allow(&self, what: &str, known: &[&str], others: &[&str]) {
        for entry in self.entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            let key = &entry.key;
            if others.contains(&key.as_str()) {
                let hint = format!("it takes {}", list(known));
                self.problems.add_with(entry.place, format!("{what} has no `{key}`"), hint);
            } else {
                let message = format!("the key `{key}` is not known");
                self.problems.add_with(entry.place, message, choice(key, known.iter().copied()));
            }
        }
    }

    /// Whether the map itself has no keys.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether the map itself has a key, even without a value.
    pub fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    /// The value of a key, its own or the default. A null stands for no value, and leaves out the default.
    pub fn get(&self, key: &str) -> Option<&'a Rc<Node>> {
        let find = |entries: &'a [Entry]| entries.iter().find(|entry| entry.key == key);
        let entry = find(self.entries).or_else(|| find(self.defaults))?;
        reject_tag(self.problems, &entry.value);
        Some(&entry.value).filter(|value| !value.is_null())
    }

    /// The value of a key that has to be a text.
    pub fn text(&self, key: &str) -> Option<(&'a str, Place)> {
        let node = self.get(key)?;
        if node.text().is_none() {
            self.problems.add(node.place, format!("`{key}` should be a text, not {}", kind(node)));
        }
        Some((node.text()?, node.place))
    }

    /// The value of a key that has to be a text of some form. What is wrong with another text is the error of `read`.
    pub fn parsed<T, E: Display>(&self, key: &str, read: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        let (text, place) = self.text(key)?;
        read(text).map_err(|error| self.problems.add(place, format!("`{key}: {text}`: {error}"))).ok()
    }

    /// The value of a key that has to be a number.
    pub fn number<T: FromStr>(&self, key: &str) -> Option<T> {
        self.parsed(key, |text| text.parse().map_err(|_| "not a number, or too large"))
    }

    /// The value of a key that has to be `true` or `false`.
    pub fn boolean(&self, key: &str) -> Option<bool> {
        self.parsed(key, |text| text.parse().map_err(|_| "neither `true` nor `false`"))
    }

    /// The value of a key that has to be one of these.
    pub fn one_of<T: Copy>(&self, key: &str, known: &[(&str, T)]) -> Option<T> {
        let (text, place) = self.text(key)?;
        let found = known.iter().find(|(name, _)| *name == text);
        if found.is_none() {
            let hint = choice(text, known.iter().map(|(name, _)| *name));
            self.problems.add_with(place, format!("`{key}` cannot be `{text}`"), hint);
        }
        found.map(|(_, value)| *value)
    }

    /// The values of a key that has to be a text or a list of texts. An empty list is a problem.
    pub fn texts(&self, key: &str) -> Option<Vec<(&'a str, Place)>> {
        let node = self.get(key)?;
        let Some(items) = node.list() else {
            return self.text(key).map(|text| vec![text]);
        };
        if items.is_empty() {
            self.problems.add(node.place, format!("`{key}` is an empty list"));
        }
        let texts = items.iter().filter_map(|item| self.item(key, item));
        Some(texts.collect())
    }

    /// The values of a key that has to be a list of texts, which may be empty.
    pub fn list(&self, key: &str) -> Option<Vec<(&'a str, Place)>> {
        let node = self.get(key)?;
        let Some(items) = node.list() else {
            self.problems.add(node.place, format!("`{key}` should be a list, not {}", kind(node)));
            return None;
        };
        Some(items.iter().filter_map(|item| self.item(key, item)).collect())
    }

    /// The names and values of a key that has to be a map of texts or of lists of texts.
    pub fn pairs(&self, key: &str) -> Vec<(String, String)> {
        let Some(node) = self.get(key) else { return Vec::new() };
        let Some(entries) = node.map() else {
            self.problems.add(node.place, format!("`{key}` should be a map, not {}", kind(node)));
            return Vec::new();
        };
        let values = |entry: &'a Entry| {
            let values = match &entry.value.content {
                Content::List(items) => items.iter().collect(),
                _ => vec![&entry.value],
            };
            let name = format!("{}` of `{key}", entry.key);
            let texts = values.into_iter().filter_map(move |value| self.item(&name, value));
            texts.map(|(text, _)| (entry.key.clone(), text.to_owned()))
        };
        entries.iter().flat_map(values).collect()
    }

    /// The value of a key as a JSON object.
    pub fn object(&self, key: &str) -> Option<(Map<String, Value>, Place)> {
        let node = self.get(key)?;
        match json(node, self.problems) {
            Value::Object(object) => Some((object, node.place)),
            _ => {
                self.problems.add(node.place, format!("`{key}` should be a map, not {}", kind(node)));
                None
            }
        }
    }

    /// An item of a list of texts.
    fn item(&self, key: &str, node: &'a Node) -> Option<(&'a str, Place)> {
        reject_tag(self.problems, node);
        let text = node.text().filter(|_| !node.is_null());
        if text.is_none() {
            let message = format!("a value of `{key}` should be a text, not {}", kind(node));
            self.problems.add(node.place, message);
        }
        Some((text?, node.place))
    }
}

fn reject_tag(problems: &Problems, node: &Node) {
    if let Some(tag) = &node.tag {
        problems.add_with(
            node.place,
            format!("the tag `!{tag}` has no meaning here"),
            "write the value itself",
        );
    }
}

/// What a node is, in words.
pub fn kind(node: &Node) -> &'static str {
    match &node.content {
        Content::List(_) => "a list",
        Content::Map(_) => "a map",
        Content::Text { .. } if node.is_null() => "nothing",
        Content::Text { .. } => "a text",
    }
}

/// Names in backticks, for people.
pub fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
