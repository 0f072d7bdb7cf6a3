//! Which id a policy has in AVP's terms.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::avp::store::notes::Note;

/// The ids that are given so far. Those of notes come before all others, so that nothing else takes them.
pub(super) struct Ids<'a> {
    /// By file and number in it.
    by_place: HashMap<(&'a str, usize), &'a str>,
    notes: &'a BTreeMap<String, Note>,
    claimed: HashMap<(String, usize), String>,
    taken: HashSet<String>,
}

/// A policy that needs an id.
pub(super) struct Claim<'a> {
    pub path: &'a str,
    /// Its number in the file, from 1.
    pub number: usize,
    /// How many the file has.
    pub of: usize,
    /// What it calls itself: its `@id`, or the id of a link.
    pub named: Option<&'a str>,
}

impl Claim<'_> {
    /// The id by which the other files of the store name it.
    pub fn written_id(&self) -> String {
        self.named.map_or_else(|| format!("{}#{}", stem(self.path), self.number), str::to_owned)
    }
}

impl<'a> Ids<'a> {
    pub fn new(notes: &'a BTreeMap<String, Note>) -> Self {
        let by_place = notes
            .iter()
            .filter_map(|(id, note)| Some(((note.file.as_deref()?, note.index.unwrap_or(1)), id.as_str())));
        Self { by_place: by_place.collect(), notes, claimed: HashMap::new(), taken: HashSet::new() }
    }

    /// Gives a policy the id that a note has for its place. A note without a number is about the only policy of a
    /// file.
    pub fn claim_by_note(&mut self, path: &str, number: usize, of: usize) {
        let noted = self.by_place.get(&(path, number)).copied();
        let Some(id) =
            noted.filter(|id| self.notes.get(*id).is_some_and(|note| note.index.is_some() || of == 1))
        else {
            return;
        };
        self.taken.insert(id.to_owned());
        self.claimed.insert((path.to_owned(), number), id.to_owned());
    }

    /// Keeps an id from being given to others.
    pub fn claim(&mut self, id: &str) {
        self.taken.insert(id.to_owned());
    }

    /// The id of a policy: that of its note; else what it calls itself, if AVP can have that as an id; else the name of
    /// a file with one policy; else that name with the number of the policy.
    pub fn id(&mut self, claim: &Claim<'_>) -> String {
        if let Some(id) = self.claimed.get(&(claim.path.to_owned(), claim.number)) {
            return id.clone();
        }
        let stem = fit(stem(claim.path));
        let named = claim.named.filter(|name| fits(name)).map(str::to_owned);
        let alone = (claim.of == 1).then(|| stem.clone());
        let candidates = [named, alone, Some(format!("{stem}/{}", claim.number))];
        let free = candidates.into_iter().flatten().find(|id| !self.taken.contains(id));
        match free {
            Some(id) => {
                self.taken.insert(id.clone());
                id
            }
            None => self.unique(&format!("{stem}/{}", claim.number)),
        }
    }

    /// This id, or one that begins with it and is not taken.
    pub fn unique(&mut self, id: &str) -> String {
        let others = (2..).map(|number| format!("{id}-{number}"));
        let mut all = std::iter::once(id.to_owned()).chain(others);
        let free = all.find(|id| !self.taken.contains(id)).unwrap_or_default();
        self.taken.insert(free.clone());
        free
    }
}

/// Whether AVP can have a text as the id of a policy.
pub fn fits(id: &str) -> bool {
    (1..=200).contains(&id.len()) && id.bytes().all(is_of_ids) && !id.starts_with("name/")
}

/// The text with `-` for whatever ids of AVP cannot have.
pub fn fit(text: &str) -> String {
    let fitting =
        text.chars().take(150).map(|char| if u8::try_from(char).is_ok_and(is_of_ids) { char } else { '-' });
    match fitting.collect::<String>() {
        empty if empty.is_empty() => "-".to_owned(),
        fitting => fitting,
    }
}

fn is_of_ids(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'/' | b'_')
}

/// The name of a file without its folders and extension.
fn stem(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}
