//! Headers and query parameters: names with one value, or with several.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Values by name. If a name has several values that differ, readers (API Gateway, the authorizer, the backend) may
/// take different ones. So nobody gets any of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values(BTreeMap<String, Result<String, Ambiguous>>);

/// The name has several values that differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ambiguous;

impl Values {
    /// Adds a value.
    pub(crate) fn add(&mut self, name: String, value: String) {
        match self.0.entry(name) {
            Entry::Vacant(new) => {
                new.insert(Ok(value));
            }
            Entry::Occupied(mut known) if *known.get() != Ok(value) => {
                drop(known.insert(Err(Ambiguous)));
            }
            Entry::Occupied(_) => {}
        }
    }

    /// The value of a name, in the exact spelling of that name. `None`: there is none.
    ///
    /// # Errors
    /// [`Ambiguous`].
    pub fn get(&self, name: &str) -> Result<Option<&str>, Ambiguous> {
        self.0.get(name).map(|value| value.as_deref().map_err(|ambiguous| *ambiguous)).transpose()
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether there are no names.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
