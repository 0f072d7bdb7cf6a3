//! The properties of a template, read one by one: each is known, absent, or reported as a problem.

use std::rc::Rc;
use std::str::FromStr;

use super::intrinsic::{IntrinsicScope, Unresolved};
use super::template::Template;
use super::{ProblemKind, Setting};
use crate::yaml::{Entry, Node, Place};

/// The entries of a map. They are resolved when asked for; what cannot be resolved is reported.
#[derive(Clone)]
pub struct Fields<'t> {
    /// The template that they are from.
    pub template: &'t Template<'t>,
    /// What they belong to, for problems.
    pub owner: String,
    /// Where their owner is.
    pub place: Place,
    map: Rc<Node>,
    /// Where the map says that it continues elsewhere.
    continued: Option<Place>,
}

impl<'t> Fields<'t> {
    /// The entries of a node that should be a map. Anything else is reported, except null.
    pub fn read(template: &'t Template<'t>, node: &Rc<Node>, owner: String, place: Place) -> Setting<Self> {
        let unresolved = Setting::Unresolved { place: node.place };
        let map = match template.scope().resolve(node) {
            Ok(Some(map)) if !map.is_null() => map,
            Ok(_) => return Setting::Absent,
            Err(Unresolved { kind, reason }) => {
                template.problem(node.place, kind, format!("{owner} is not known: {reason}"));
                return unresolved;
            }
        };
        let Some(entries) = map.map() else {
            template.problem(node.place, ProblemKind::Invalid, format!("{owner} should be a map"));
            return unresolved;
        };
        let continued = entries.iter().find(|entry| entry.key == "Fn::Transform").map(|entry| entry.place);
        if let Some(place) = continued {
            let message = format!("part of {owner} is elsewhere: `Fn::Transform` is not read");
            template.problem(place, ProblemKind::NotRead, message);
        }
        Setting::Given { value: Self { template, owner, place, map, continued }, place: node.place }
    }

    /// The entries of a map under a key.
    pub fn inner(&self, key: &str) -> Setting<Self> {
        let Some(node) = self.map.get(key) else { return self.missing() };
        Self::read(self.template, node, format!("`{key}` of {}", self.owner), node.place)
    }

    /// The entries that should be maps, each with its key. `Fn::Transform` is left out; it was already reported.
    pub fn each(&self) -> impl Iterator<Item = (&str, Place, Setting<Self>)> {
        self.each_of(|key| key != "Fn::Transform")
    }

    /// The entries of some keys, which should be maps.
    pub fn each_of(
        &self,
        wanted: impl Fn(&str) -> bool,
    ) -> impl Iterator<Item = (&str, Place, Setting<Self>)> {
        self.entries().filter(move |(key, ..)| wanted(key)).map(|(key, place, value)| {
            let owner = format!("`{key}` of {}", self.owner);
            (key, place, Self::read(self.template, value, owner, place))
        })
    }

    /// The setting of a missing key: absent, unless the key may be in a part that is elsewhere.
    fn missing<T>(&self) -> Setting<T> {
        self.continued.map_or(Setting::Absent, |place| Setting::Unresolved { place })
    }

    /// All entries as written, with the places of their keys.
    pub fn entries(&self) -> impl Iterator<Item = (&str, Place, &Rc<Node>)> {
        let entries = self.map.map().unwrap_or_default().iter();
        entries.map(|Entry { key, place, value }| (key.as_str(), *place, value))
    }

    /// Reports that a key refers to a definition elsewhere, which is not read.
    pub fn elsewhere(&self, key: &str) {
        let place = self.map.get(key).map_or(self.place, |node| node.place);
        let message = format!("`{key}` of {}: a definition in another file is not read", self.owner);
        self.template.problem(place, ProblemKind::NotRead, message);
    }

    /// Whether a key has a value other than null.
    pub fn has(&self, key: &str) -> bool {
        self.map.get(key).is_some_and(|node| !node.is_null())
    }

    /// Whether a key has text, and no map or list. An unresolved value has none.
    pub fn is_text(&self, key: &str) -> bool {
        let value = self.map.get(key).and_then(|node| self.template.scope().resolve(node).ok().flatten());
        value.is_some_and(|value| !value.is_null() && value.text().is_some())
    }

    /// The maps in a list.
    pub fn maps(&self, key: &str) -> Vec<Self> {
        let list = self.setting(key, |_, node| {
            node.list().map(<[_]>::to_vec).ok_or_else(|| invalid("it should be a list"))
        });
        let read = |item: &Rc<Node>| {
            let owner = format!("an item of `{key}` of {}", self.owner);
            Self::read(self.template, item, owner, item.place).value().cloned()
        };
        list.value().into_iter().flatten().filter_map(read).collect()
    }

    /// Text. A number is taken as it is written.
    pub fn text(&self, key: &str) -> Setting<String> {
        self.setting(key, |scope, node| scope.text(node))
    }

    /// True or false.
    pub fn flag(&self, key: &str) -> Setting<bool> {
        self.setting(key, |_, node| match node.text().map(str::to_ascii_lowercase).as_deref() {
            // SAM's parser reads YAML 1.1.
            Some("true" | "yes" | "on") => Ok(true),
            Some("false" | "no" | "off") => Ok(false),
            _ => Err(invalid("it should be true or false")),
        })
    }

    /// A number. An unsigned type rejects negative ones.
    pub fn number<T: FromStr>(&self, key: &str) -> Setting<T> {
        self.setting(key, |_, node| {
            let number = node.text().and_then(|text| text.parse().ok());
            number.ok_or_else(|| invalid("it should be a whole number, 0 or more"))
        })
    }

    /// A list of texts, or one text with commas.
    pub fn texts(&self, key: &str) -> Setting<Vec<String>> {
        self.setting(key, |scope, node| {
            let texts = match node.text() {
                Some(text) => text.split(',').map(str::to_owned).collect(),
                None => scope.texts(node)?,
            };
            Ok(texts.iter().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()).collect())
        })
    }

    /// The keys of the maps in a list, as in `security: [{Name: []}]`.
    pub fn keys_of_each(&self, key: &str) -> Setting<Vec<String>> {
        self.setting(key, |scope, node| {
            let mut keys = Vec::new();
            for item in node.list().ok_or_else(|| invalid("it should be a list"))? {
                let Some(item) = scope.resolve(item)? else { continue };
                let entries = item.map().ok_or_else(|| invalid("it should be a list of maps"))?;
                keys.extend(entries.iter().map(|entry| entry.key.clone()));
            }
            Ok(keys)
        })
    }

    fn setting<T>(
        &self,
        key: &str,
        read: impl FnOnce(&IntrinsicScope<'t>, &Rc<Node>) -> Result<T, Unresolved>,
    ) -> Setting<T> {
        let Some(node) = self.map.get(key) else { return self.missing() };
        let scope = self.template.scope();
        let result = scope.resolve(node).and_then(|value| match value.filter(|value| !value.is_null()) {
            Some(value) => Ok(Some((read(scope, &value)?, value.place))),
            None => Ok(None),
        });
        match result {
            Ok(Some((value, place))) => Setting::Given { value, place },
            Ok(None) => Setting::Absent,
            Err(reason) => self.unresolved(key, node.place, reason),
        }
    }

    fn unresolved<T>(&self, key: &str, place: Place, reason: Unresolved) -> Setting<T> {
        let Unresolved { kind, reason } = reason;
        self.template.problem(place, kind, format!("`{key}` of {} is not known: {reason}", self.owner));
        Setting::Unresolved { place }
    }
}

fn invalid(reason: &str) -> Unresolved {
    Unresolved { kind: ProblemKind::Invalid, reason: reason.to_owned() }
}
