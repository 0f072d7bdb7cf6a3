//! Headers and query parameters: names with one value, or with several.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// Values by name. If a name has several values that differ, readers (API Gateway, the authorizer, the backend) may
/// take different ones. So nobody gets any of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values {
    by_name: BTreeMap<String, Result<String, Ambiguous>>,
    /// The values that nobody gets, with their names.
    ambiguous: BTreeSet<(String, String)>,
}

/// The name has several values that differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ambiguous;

impl Values {
    /// Adds a value.
    pub(crate) fn add(&mut self, name: String, value: String) {
        match self.by_name.entry(name) {
            Entry::Vacant(new) => {
                new.insert(Ok(value));
            }
            Entry::Occupied(mut known) if known.get().as_deref() != Ok(value.as_str()) => {
                if let Ok(other) = known.insert(Err(Ambiguous)) {
                    self.ambiguous.insert((known.key().clone(), other));
                }
                self.ambiguous.insert((known.key().clone(), value));
            }
            Entry::Occupied(_) => {}
        }
    }

    /// The value of a name, in the exact spelling of that name. `None`: there is none.
    ///
    /// # Errors
    /// [`Ambiguous`].
    pub fn get(&self, name: &str) -> Result<Option<&str>, Ambiguous> {
        self.by_name.get(name).map(|value| value.as_deref().map_err(|ambiguous| *ambiguous)).transpose()
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// Whether there are no names.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// All values of a name, also those that differ.
    #[cfg(feature = "function")]
    pub(crate) fn texts_of(&self, name: &str) -> impl Iterator<Item = &str> {
        let one = self.by_name.get(name).and_then(|value| value.as_deref().ok());
        let several = self.ambiguous.iter().filter(move |(of, _)| of == name);
        one.into_iter().chain(several.map(|(_, value)| value.as_str()))
    }

    /// All names and values, also those that differ.
    #[cfg(feature = "function")]
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        let values = self.by_name.values().filter_map(|value| value.as_deref().ok());
        let several = self.ambiguous.iter().map(|(_, value)| value.as_str());
        self.names().chain(values).chain(several)
    }
}
