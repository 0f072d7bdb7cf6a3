//! Which policy is which. A name counts before an id.

use std::collections::{BTreeMap, BTreeSet};

use crate::export::names::{REPLACED, live_name};

/// Which thing in AWS is which of ours.
pub struct Matches<'m> {
    /// AVP's ids, by ours.
    pub of: BTreeMap<&'m str, &'m str>,
    /// What an interrupted run left.
    pub stale: Vec<&'m str>,
    /// What is in AWS only.
    pub foreign: Vec<&'m str>,
}

impl<'m> Matches<'m> {
    /// Compares ids and names: ours, and those of AWS.
    pub fn new(
        own: impl Iterator<Item = (&'m str, Option<&'m str>)>,
        theirs: impl Iterator<Item = (&'m str, Option<&'m str>)>,
    ) -> Self {
        let own: Vec<(&str, String)> =
            own.map(|(id, name)| (id, name.map_or_else(|| live_name(id), str::to_owned))).collect();
        let theirs: Vec<(&str, Option<&str>)> = theirs.collect();
        let by_name: BTreeMap<&str, &str> =
            theirs.iter().filter_map(|(id, name)| Some(((*name)?, *id))).collect();
        let ids: BTreeSet<&str> = theirs.iter().map(|(id, _)| *id).collect();
        let mut of = BTreeMap::new();
        for (id, name) in &own {
            if let Some(there) = by_name.get(name.as_str()).copied().or_else(|| ids.get(id).copied()) {
                of.insert(*id, there);
            }
        }
        let matched: BTreeSet<&str> = of.values().copied().collect();
        let own_ids: BTreeSet<&str> = own.iter().map(|(id, _)| *id).collect();
        let own_names: BTreeSet<&str> = own.iter().map(|(_, name)| name.as_str()).collect();
        let is_stale = |id: &str, name: Option<&str>| {
            own_ids.contains(id)
                || name
                    .and_then(|name| name.strip_suffix(REPLACED))
                    .is_some_and(|name| own_names.contains(name))
        };
        let rest = theirs.iter().filter(|(id, _)| !matched.contains(id));
        let (stale, foreign): (Vec<_>, Vec<_>) = rest.partition(|(id, name)| is_stale(id, *name));
        let only_ids =
            |things: Vec<&(&'m str, Option<&'m str>)>| things.into_iter().map(|(id, _)| *id).collect();
        Self { of, stale: only_ids(stale), foreign: only_ids(foreign) }
    }
}
