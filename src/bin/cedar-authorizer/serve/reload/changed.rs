//! Which files changed.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use crate::output::printable;
use crate::serve::in_force::InForce;

/// The files that differ between two revisions: a few by name, relative to the store, and how many more there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changed {
    names: Vec<String>,
    more: usize,
}

impl Changed {
    /// The files that make a revision another one. None is named that nobody could see, such as a test of the store.
    pub fn between(before: &InForce, now: &InForce) -> Self {
        let (old, new) = (before.bench.files(), now.bench.files());
        let edited = new.iter().filter(|(path, content)| old.get(path) != Some(content));
        let removed = old.iter().filter(|(path, _)| new.get(path).is_none());
        let mut names: Vec<String> = edited.chain(removed).map(|(path, _)| path.to_owned()).collect();
        if !before.bench.personas().iter().eq(now.bench.personas().iter()) {
            names.push("personas.toml".to_owned());
        }
        names.sort();
        let (old, new) = (&before.api_files, &now.api_files);
        names.extend(
            new.iter().filter(|(path, digest)| old.get(*path) != Some(digest)).map(|(path, _)| path.clone()),
        );
        names.extend(old.keys().filter(|path| !new.contains_key(*path)).cloned());
        let more = names.len().saturating_sub(MAX_NAMED);
        names.truncate(MAX_NAMED);
        Self { names, more }
    }

    /// Whether they are the same.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

/// As the subject of a sentence.
impl Display for Changed {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.names.iter().map(|name| format!("`{}`", printable(name))).collect();
        match (names.as_slice(), self.more) {
            ([], _) => write!(formatter, "nothing"),
            ([name], 0) => write!(formatter, "{name}"),
            ([names @ .., last], 0) => write!(formatter, "{} and {last}", names.join(", ")),
            (names, more) => write!(formatter, "{} and {more} more", names.join(", ")),
        }
    }
}

/// More names would hide what came of it.
const MAX_NAMED: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_named_and_the_others_counted() {
        let changed = |names: &[&str], more| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            Changed { names, more }.to_string()
        };
        assert_eq!(changed(&["a"], 0), "`a`");
        assert_eq!(changed(&["a", "b"], 0), "`a` and `b`");
        assert_eq!(changed(&["a", "b", "c"], 0), "`a`, `b` and `c`");
        assert_eq!(changed(&["a", "b", "c"], 9), "`a`, `b`, `c` and 9 more");
    }
}
