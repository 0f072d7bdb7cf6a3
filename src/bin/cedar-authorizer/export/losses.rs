//! What of a store Verified Permissions cannot hold.

use crate::avp::contents::{self, StoreContents};
use crate::output::{Exit, Failure, HINT, WARNING, paint, printable, warn};
use crate::progress;
use crate::store::StoreArgs;

/// What is lost.
#[derive(Debug)]
pub struct Losses {
    /// What has no place there.
    notes: Vec<String>,
    /// Why decisions there could differ.
    differences: Vec<String>,
}

/// Reads a store, and what of it is lost.
pub fn read(store: &StoreArgs) -> Result<(StoreContents, Losses), Failure> {
    let files = store.read()?;
    let (contents, notes) = progress::during("reading the store", || contents::read(&store.store))?;
    let mut differences = Vec::new();
    let entities = files.get("entities.json").map(serde_json::from_slice::<serde_json::Value>);
    let has_entities = entities.is_some_and(|entities| {
        entities.ok().and_then(|entities| entities.as_array().map(Vec::len)).is_none_or(|count| count > 0)
    });
    if has_entities {
        differences.push("`entities.json`: callers of IsAuthorized send entities themselves".to_owned());
    }
    let sources = contents.identity_sources.len();
    if sources > 1 {
        differences.push(format!("{sources} identity sources: a policy store of AVP has one"));
    }
    Ok((contents, Losses { notes, differences }))
}

impl Losses {
    /// Adds a reason for which decisions could differ.
    pub fn differ(&mut self, why: String) {
        self.differences.push(why);
    }

    /// Says what is lost.
    pub fn report(self) -> Exit {
        for note in &self.notes {
            warn(&format_args!("{} {}", paint(HINT, "not in Verified Permissions:"), printable(note)));
        }
        for difference in &self.differences {
            warn(&format_args!("{} {}", paint(WARNING, "decisions could differ:"), printable(difference)));
        }
        if self.differences.is_empty() { Exit::Fine } else { Exit::Denied }
    }
}
