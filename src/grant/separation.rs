//! Separation: which patterns tell the routes of an API apart.
//!
//! A statement that allows `/pets/{petId}` has to say `pets/?*`, which also matches `/pets/7/toys` and
//! `/pets/mine`. The route table alone tells what else a pattern matches, where API Gateway routes that to, and
//! which patterns can take it out again. So all this is computed once, when a bundle is built (`store::build`). A
//! token then only decides which routes are *kept*: those that it may call.
//!
//! Suppose that the pattern of a kept route is `a/?*/b`. A path that it matches, but that does not belong to a
//! kept route, is one of two:
//!
//! - A *sibling* has as many segments and goes to a route that is preferred. It is taken out by the pattern of
//!   that route, or by what the two patterns have in common.
//! - A *deeper* path has a `?*` that stands for several segments: `a/?*/?*/b`. If those paths go to no kept
//!   route, that pattern takes them all out. If they go to a kept route, the pattern of that route matches them,
//!   too, and they are handled there.
//!
//! Sometimes the only pattern also takes out paths of kept routes: between `/pets/{id}` and `/pets/{id}/food`, no
//! pattern takes out just `/pets/7/unknown`. It is used all the same. Then something is denied that was to be
//! allowed, never the reverse. [`Separation::overlaps`] names such routes in advance.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::gateway::route::{Method, RouteId};

/// How the routes of an API are told apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Separation {
    /// Whether the API has no routes but these.
    pub(crate) is_complete: bool,
    pub(crate) tables: Vec<MethodTable>,
}

/// The routes of one or more methods. Each of these methods has the same routes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MethodTable {
    pub(crate) methods: Vec<String>,
    pub(crate) entries: Vec<RouteEntry>,
    pub(crate) takes_everything: bool,
    pub(crate) subtrees: Vec<Subtree>,
}

/// A route and what its pattern matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RouteEntry {
    /// The route.
    pub(crate) route: RouteId,
    pub(crate) pattern: String,
    pub(crate) is_wild: bool,
    pub(crate) is_default: bool,
    /// Entries whose patterns match all that this one does.
    pub(crate) within: Vec<usize>,
    pub(crate) siblings: Vec<Sibling>,
    pub(crate) deeper: Vec<DeeperPaths>,
}

/// An entry some of whose paths the pattern matches, and the ways to take them out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sibling {
    pub(crate) entry: usize,
    pub(crate) ways: Vec<Vec<Exclusion>>,
}

/// The paths that a pattern matches with one more segment in the place of one parameter, and all paths that are
/// deeper still.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeeperPaths {
    pub(crate) all: Exclusion,
    /// Where API Gateway routes those paths if their parameters are not texts of the table.
    pub(crate) leads_to: Vec<usize>,
    /// The ways to take out, one by one, the entries that are not kept.
    pub(crate) each: Vec<Sibling>,
}

/// A pattern that takes paths out, and the entries to which these paths belong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Exclusion {
    pub(crate) pattern: String,
    pub(crate) reaches: Vec<usize>,
}

/// All paths that begin with certain static segments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Subtree {
    pub(crate) pattern: String,
    /// The entries whose paths it matches.
    pub(crate) reaches: Vec<usize>,
    /// Those of them whose pattern lies within it.
    pub(crate) holds: Vec<usize>,
}

/// The patterns for a set of kept routes, each beginning with the method: `GET/pets/?*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// What is allowed.
    pub allow: BTreeSet<String>,
    /// What is denied within that.
    pub deny: BTreeSet<String>,
    /// Whether a pattern that allows could match more than its own routes.
    pub is_wild: bool,
    /// Whether a path of an allowed route, spelt in another way, could lead to a route that is not kept.
    pub is_entangled: bool,
    /// The kept routes with paths that are denied.
    pub harmed: BTreeSet<RouteId>,
}

/// Two routes that cannot both be allowed exactly.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Overlap {
    /// The route whose pattern matches too much.
    pub route: RouteId,
    /// The route with paths that are then denied; it may be the same.
    pub harmed: RouteId,
    /// The route that is denied. `None`: no route takes the paths in question.
    pub because_of: Option<RouteId>,
}

impl Separation {
    /// Whether it can belong to a table of this many routes.
    pub fn fits(&self, routes: usize) -> bool {
        self.tables.iter().flat_map(|table| &table.entries).all(|entry| entry.route.0 < routes)
    }

    /// The patterns that allow the kept routes and nothing else.
    pub fn select(&self, kept: impl Fn(RouteId) -> bool) -> Selection {
        let mut selection = Selection::default();
        let all = |table: &MethodTable| {
            (self.is_complete || table.takes_everything)
                && table.entries.iter().all(|entry| kept(entry.route))
        };
        let methods: usize = self.tables.iter().map(|table| table.methods.len()).sum();
        let has_all_methods = self.is_complete || methods == METHODS;
        if has_all_methods && !self.tables.is_empty() && self.tables.iter().all(all) {
            selection.allow.insert("*".to_owned());
            selection.is_wild = true;
            return selection;
        }
        for table in &self.tables {
            let mut of_table = Selection::default();
            if all(table) {
                of_table.allow.insert("*".to_owned());
                of_table.is_wild = true;
            } else {
                table.select(&kept, self.is_complete, &mut of_table);
            }
            for method in &table.methods {
                let with_method = |pattern: &String| format!("{method}/{pattern}");
                selection.allow.extend(of_table.allow.iter().map(with_method));
                selection.deny.extend(of_table.deny.iter().map(with_method));
            }
            let is_default_kept = table.entries.iter().any(|entry| entry.is_default && kept(entry.route));
            if is_default_kept {
                // The form of the ARN for this route is not documented.
                selection.allow.insert(crate::gateway::arn::DEFAULT.to_owned());
            }
            selection.is_wild |= of_table.is_wild;
            selection.is_entangled |= of_table.is_entangled;
            selection.harmed.extend(of_table.harmed);
        }
        selection
    }

    /// The routes that cannot always be told apart. `same_decision` says whether two routes are always decided
    /// alike.
    pub fn overlaps(&self, same_decision: impl Fn(RouteId, RouteId) -> bool) -> BTreeSet<Overlap> {
        let mut found = BTreeSet::new();
        for table in &self.tables {
            table.overlaps(self.is_complete, &same_decision, &mut found);
        }
        found
    }
}

impl MethodTable {
    fn select(&self, kept: impl Fn(RouteId) -> bool, is_complete: bool, selection: &mut Selection) {
        let is_kept = |index: &usize| self.entries.get(*index).is_some_and(|entry| kept(entry.route));
        let mut held: BTreeSet<usize> = BTreeSet::new();
        for subtree in &self.subtrees {
            if !subtree.holds.iter().all(|index| held.contains(index)) && subtree.reaches.iter().all(is_kept)
            {
                selection.allow.insert(subtree.pattern.clone());
                selection.is_wild = true;
                held.extend(&subtree.holds);
            }
        }
        for (index, entry) in self.entries.iter().enumerate() {
            if !kept(entry.route) || held.contains(&index) {
                continue;
            }
            // A pattern that lies within an allowed one need not be allowed itself. But it is left to this entry to
            // take out what its pattern matches beyond its own paths.
            if !entry.within.iter().any(is_kept) {
                selection.allow.insert(entry.pattern.clone());
            }
            selection.is_wild |= entry.is_wild;
            for sibling in entry.siblings.iter().filter(|sibling| !is_kept(&sibling.entry)) {
                self.exclude(sibling, is_kept, selection);
            }
            for deeper in &entry.deeper {
                if deeper.leads_to.iter().any(is_kept) {
                    // Handled there: the pattern of the route to which these paths lead matches all of them.
                    continue;
                }
                let leads_nowhere = deeper.leads_to.is_empty();
                let reaches_denied = deeper.all.reaches.iter().any(|index| !is_kept(index));
                let reaches_kept = deeper.all.reaches.iter().any(is_kept);
                selection.is_entangled |= reaches_denied;
                if !(leads_nowhere && is_complete) || (reaches_denied && !reaches_kept) {
                    self.apply(&deeper.all, is_kept, selection);
                } else {
                    for sibling in deeper.each.iter().filter(|sibling| !is_kept(&sibling.entry)) {
                        self.exclude(sibling, is_kept, selection);
                    }
                }
            }
        }
    }

    /// Takes a route out in the first way that harms no kept route, otherwise in the last way.
    fn exclude(&self, sibling: &Sibling, is_kept: impl Fn(&usize) -> bool, selection: &mut Selection) {
        selection.is_entangled = true;
        let harmless =
            |way: &&Vec<Exclusion>| !way.iter().any(|exclusion| exclusion.reaches.iter().any(&is_kept));
        let way = sibling.ways.iter().find(harmless).or_else(|| sibling.ways.last());
        for exclusion in way.into_iter().flatten() {
            self.apply(exclusion, &is_kept, selection);
        }
    }

    fn apply(&self, exclusion: &Exclusion, is_kept: impl Fn(&usize) -> bool, selection: &mut Selection) {
        selection.deny.insert(exclusion.pattern.clone());
        let harmed = exclusion.reaches.iter().filter(|index| is_kept(index));
        selection.harmed.extend(harmed.filter_map(|index| Some(self.entries.get(*index)?.route)));
    }

    fn overlaps(
        &self,
        is_complete: bool,
        same_decision: impl Fn(RouteId, RouteId) -> bool,
        found: &mut BTreeSet<Overlap>,
    ) {
        let route = |index: &usize| self.entries.get(*index).map(|entry| entry.route);
        // For the case that `x` and `harmed` are allowed and `denied` is not.
        let mut add = |x: RouteId, denied: Option<RouteId>, reaches: &[usize]| {
            for harmed in reaches.iter().filter_map(route) {
                let differ = |denied: RouteId| !same_decision(denied, x) && !same_decision(denied, harmed);
                if denied.is_none_or(differ) {
                    found.insert(Overlap { route: x, harmed, because_of: denied });
                }
            }
        };
        for entry in &self.entries {
            let siblings = entry.siblings.iter();
            for sibling in siblings.chain(entry.deeper.iter().flat_map(|deeper| &deeper.each)) {
                let harmless =
                    |way: &Vec<Exclusion>| way.iter().all(|exclusion| exclusion.reaches.is_empty());
                if let (false, Some(way)) = (sibling.ways.iter().any(harmless), sibling.ways.last()) {
                    for exclusion in way {
                        add(entry.route, route(&sibling.entry), &exclusion.reaches);
                    }
                }
            }
            for deeper in &entry.deeper {
                if deeper.leads_to.is_empty() && !is_complete {
                    add(entry.route, None, &deeper.all.reaches);
                }
                if let Some(denied) = deeper.leads_to.first() {
                    let others: Vec<usize> = deeper
                        .all
                        .reaches
                        .iter()
                        .filter(|index| !deeper.leads_to.contains(index))
                        .copied()
                        .collect();
                    add(entry.route, route(denied), &others);
                }
            }
        }
    }
}

/// The methods that API Gateway knows.
const METHODS: usize = Method::ALL.len() - 1;
