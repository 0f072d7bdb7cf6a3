//! Separation: which patterns tell the routes of an API apart.
//!
//! A statement that allows `/pets/{petId}` has to say `pets/?*`, which also matches `/pets/7/toys` and
//! `/pets/mine`. What else a pattern matches, where API Gateway routes that to, and by which patterns it
//! can be taken out again, follows from the route table alone. So it is worked out once, when a
//! bundle is built; a token then only says which routes are *kept*, those that it may call.
//!
//! For a kept route, with its pattern `a/?*/b`, a path that the pattern matches and that is not of a
//! kept route is one of two:
//!
//! - A *sibling* has as many segments and goes to a route that is preferred. It is taken out
//!   by the pattern of that route, or by what both have in common.
//! - A *deeper* path has a `?*` that stands for several segments: `a/?*/?*/b`. If those paths
//!   go to no kept route, that pattern takes them all out. If they go to a kept one, its own pattern
//!   matches them, too, and they are its concern.
//!
//! A pattern that takes out paths of kept routes as well (there may be no other: between `/pets/{id}` and
//! `/pets/{id}/food` no pattern takes out `/pets/7/unknown` alone) is used all the same. That denies
//! what was to be allowed, and never the other way round. [`Separation::overlaps`] names such routes
//! beforehand.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::pattern::Pattern;
use super::table::{Extent, MethodTable, OutOfSteps};
use crate::gateway::route::{Method, Route, Segment};

/// How the routes of an API are told apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Separation {
    /// Whether the API has no routes but these.
    is_complete: bool,
    tables: Vec<Table>,
}

/// The routes of some methods, which are the same for each of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Table {
    methods: Vec<String>,
    entries: Vec<Entry>,
    takes_everything: bool,
    subtrees: Vec<Subtree>,
}

/// A route and what its pattern matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    /// The index of the route in the route table.
    route: usize,
    pattern: String,
    is_wild: bool,
    is_default: bool,
    /// Entries whose patterns match all that this one does.
    within: Vec<usize>,
    siblings: Vec<Sibling>,
    deeper: Vec<Deeper>,
}

/// An entry whose paths the pattern matches, and the ways to take them out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Sibling {
    entry: usize,
    ways: Vec<Vec<Exclusion>>,
}

/// The paths that a pattern matches with one more segment in the place of one parameter, and all that
/// are deeper still.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Deeper {
    all: Exclusion,
    /// Where API Gateway routes those whose parameters are no texts of the table.
    leads_to: Vec<usize>,
    /// The ways to take out what is not kept one by one.
    each: Vec<Sibling>,
}

/// A pattern that takes paths out, and the entries of which it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Exclusion {
    pattern: String,
    reaches: Vec<usize>,
}

/// All that begins with some static segments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Subtree {
    pattern: String,
    /// The entries whose paths it matches.
    reaches: Vec<usize>,
    /// Those of them whose pattern lies within it.
    holds: Vec<usize>,
}

/// The patterns for some kept routes, each beginning with the method: `GET/pets/?*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// What is allowed.
    pub allow: BTreeSet<String>,
    /// What is denied within that.
    pub deny: BTreeSet<String>,
    /// Whether a pattern that allows could match more than its own routes.
    pub is_wild: bool,
    /// Whether a path that is spelt in another way could lead from what is allowed to a route that is
    /// not kept.
    pub is_entangled: bool,
    /// The kept routes of which paths are denied.
    pub harmed: BTreeSet<usize>,
}

/// Two routes that cannot both be allowed exactly.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Overlap {
    /// The route whose pattern matches too much.
    pub route: usize,
    /// The route of which paths are then denied; it may be the same.
    pub harmed: usize,
    /// The route that is denied. `None`: none at all takes the paths in question.
    pub because_of: Option<usize>,
}

/// The routes of a table overlap in too many ways to tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the routes overlap in too many ways to tell them apart by patterns")]
pub struct TooEntangled;

impl From<OutOfSteps> for TooEntangled {
    fn from(OutOfSteps: OutOfSteps) -> Self {
        Self
    }
}

impl Separation {
    /// Works it out. `is_complete` says that the API has no routes but these, so that API Gateway
    /// itself refuses a path that none of them takes.
    ///
    /// # Errors
    /// [`TooEntangled`].
    pub fn of(routes: &[Route], is_complete: bool) -> Result<Self, TooEntangled> {
        let mut tables: Vec<Table> = Vec::new();
        let mut by_routes: BTreeMap<Vec<usize>, usize> = BTreeMap::new();
        for method in Method::ALL.into_iter().filter(|method| *method != Method::Any) {
            let taking = taking(routes, method);
            if taking.is_empty() {
                continue;
            }
            let name = method.name().to_ascii_uppercase();
            match by_routes.get(&taking).and_then(|index| tables.get_mut(*index)) {
                Some(table) => table.methods.push(name),
                None => {
                    let table = Table::of(routes, &taking, name, is_complete)?;
                    by_routes.insert(taking, tables.len());
                    tables.push(table);
                }
            }
        }
        Ok(Self { is_complete, tables })
    }

    /// Whether it can be that of so many routes.
    pub fn fits(&self, routes: usize) -> bool {
        self.tables.iter().flat_map(|table| &table.entries).all(|entry| entry.route < routes)
    }

    /// The patterns that allow the kept routes, given by their index, and nothing else.
    pub fn select(&self, kept: impl Fn(usize) -> bool) -> Selection {
        let mut selection = Selection::default();
        let all = |table: &Table| {
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
            match all(table) {
                true => {
                    of_table.allow.insert("*".to_owned());
                    of_table.is_wild = true;
                }
                false => table.select(&kept, self.is_complete, &mut of_table),
            }
            for method in &table.methods {
                let with_method = |pattern: &String| format!("{method}/{pattern}");
                selection.allow.extend(of_table.allow.iter().map(with_method));
                selection.deny.extend(of_table.deny.iter().map(with_method));
            }
            let is_default_kept = table.entries.iter().any(|entry| entry.is_default && kept(entry.route));
            if is_default_kept {
                // What the ARN of this route looks like is not documented.
                selection.allow.insert(crate::gateway::arn::DEFAULT.to_owned());
            }
            selection.is_wild |= of_table.is_wild;
            selection.is_entangled |= of_table.is_entangled;
            selection.harmed.extend(of_table.harmed);
        }
        selection
    }

    /// The routes that cannot always be told apart. `same_decision` says of two routes that they are
    /// always decided alike.
    pub fn overlaps(&self, same_decision: impl Fn(usize, usize) -> bool) -> BTreeSet<Overlap> {
        let mut found = BTreeSet::new();
        for table in &self.tables {
            table.overlaps(self.is_complete, &same_decision, &mut found);
        }
        found
    }
}

/// The indices of the routes that take a method: on each resource that of the method itself, else `ANY`.
fn taking(routes: &[Route], method: Method) -> Vec<usize> {
    let mut by_resource: BTreeMap<Vec<Option<String>>, (bool, usize)> = BTreeMap::new();
    for (index, route) in routes.iter().enumerate() {
        let is_own = route.method == method;
        if route.template.is_connect() || !(is_own || route.method == Method::Any) {
            continue;
        }
        let resource = route.template.segments().iter().map(|segment| match segment {
            Segment::Static(text) | Segment::Key(text) => Some(text.clone()),
            Segment::Parameter(_) => None,
            // No static segment has a plus.
            Segment::Greedy(_) => Some("+".to_owned()),
        });
        let entry = by_resource.entry(resource.collect()).or_insert((is_own, index));
        if is_own {
            *entry = (true, index);
        }
    }
    let mut taking: Vec<usize> = by_resource.into_values().map(|(_, index)| index).collect();
    taking.sort_unstable();
    taking
}

impl Table {
    fn of(
        routes: &[Route],
        taking: &[usize],
        method: String,
        is_complete: bool,
    ) -> Result<Self, TooEntangled> {
        let mut table = MethodTable::default();
        for route in taking.iter().filter_map(|index| routes.get(*index)) {
            table.push(&route.template);
        }
        let patterns: Vec<Pattern> =
            (0..table.len()).filter_map(|index| Some(table.template(index)?.pattern())).collect();
        let builder = Builder { table: &table, patterns: &patterns, is_complete, wholes: RefCell::default() };
        let mut entries = Vec::new();
        for (index, (route, pattern)) in taking.iter().zip(&patterns).enumerate() {
            entries.push(builder.entry(index, *route, pattern)?);
        }
        let subtrees = if is_complete { builder.subtrees()? } else { Vec::new() };
        let takes_everything = table.takes_everything();
        Ok(Self { methods: vec![method], entries, takes_everything, subtrees })
    }

    fn select(&self, kept: impl Fn(usize) -> bool, is_complete: bool, selection: &mut Selection) {
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
            // What is within another pattern is allowed by that, but what it matches beyond its own
            // paths is left to it by the other.
            if !entry.within.iter().any(is_kept) {
                selection.allow.insert(entry.pattern.clone());
            }
            selection.is_wild |= entry.is_wild;
            for sibling in entry.siblings.iter().filter(|sibling| !is_kept(&sibling.entry)) {
                self.exclude(sibling, is_kept, selection);
            }
            for deeper in &entry.deeper {
                if deeper.leads_to.iter().any(is_kept) {
                    // Their concern: the pattern of what they lead to matches all of these paths.
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

    /// Takes a route out, in the first way that does no harm.
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
        same_decision: impl Fn(usize, usize) -> bool,
        found: &mut BTreeSet<Overlap>,
    ) {
        let route = |index: &usize| self.entries.get(*index).map(|entry| entry.route);
        // With `x` and `harmed` allowed and `denied` not.
        let mut add = |x: usize, denied: Option<usize>, reaches: &[usize]| {
            for harmed in reaches.iter().filter_map(route) {
                let differ = |denied: usize| !same_decision(denied, x) && !same_decision(denied, harmed);
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

struct Builder<'a> {
    table: &'a MethodTable,
    patterns: &'a [Pattern],
    is_complete: bool,
    /// By index; each is asked for many times.
    wholes: RefCell<BTreeMap<usize, Exclusion>>,
}

impl Builder<'_> {
    fn entry(&self, index: usize, route: usize, pattern: &Pattern) -> Result<Entry, OutOfSteps> {
        let template = self.table.template(index);
        let mut siblings = Vec::new();
        for other in (0..self.patterns.len()).filter(|other| *other != index) {
            if let Some(sibling) = self.sibling(index, pattern, other)? {
                siblings.push(sibling);
            }
        }
        let mut deeper = Vec::new();
        for at in template.into_iter().flat_map(|template| template.single_parameters()) {
            deeper.push(self.deeper(pattern.deeper(at))?);
        }
        let contains = |other: &usize| {
            self.patterns.get(*other).is_some_and(|wide| {
                // Of two that match the same, `{x}` lies within `{x+}`.
                let is_wider = self.table.template(*other).is_some_and(|template| !template.is_fixed());
                wide.contains(pattern) && (is_wider || !pattern.contains(wide))
            })
        };
        let within = (0..self.patterns.len()).filter(|other| *other != index).filter(contains).collect();
        Ok(Entry {
            route,
            pattern: pattern.to_string(),
            is_wild: pattern.is_wild(),
            is_default: template.is_some_and(|template| template.is_default()),
            within,
            siblings,
            deeper,
        })
    }

    /// How to take out the paths of another route that a template itself takes, too.
    fn sibling(&self, index: usize, pattern: &Pattern, other: usize) -> Result<Option<Sibling>, OutOfSteps> {
        let (Some(own), Some(theirs)) = (self.table.template(index), self.table.template(other)) else {
            return Ok(None);
        };
        // With as many segments as the template: no `?*` stands for more than one.
        if own.is_fixed() && theirs.is_fixed() && own.depth() != theirs.depth() {
            return Ok(None);
        }
        let mut matched = self.table.matched(pattern, other, Extent::Whole)?;
        matched.retain(|path| own.takes(path));
        if matched.is_empty() {
            return Ok(None);
        }
        // Between two routes whose paths have any number of segments there are too many.
        let are_few = own.is_fixed() || theirs.is_fixed();
        Ok(Some(Sibling { entry: other, ways: self.ways(other, are_few.then_some(matched))? }))
    }

    /// The ways to take out paths of a route: all of them by its own pattern, or just these.
    fn ways(
        &self,
        other: usize,
        paths: Option<BTreeSet<Vec<Option<String>>>>,
    ) -> Result<Vec<Vec<Exclusion>>, OutOfSteps> {
        let mut ways = vec![vec![self.whole(other)?]];
        if let Some(paths) = paths {
            let patterns: BTreeSet<Pattern> = paths.iter().map(|path| Pattern::of_path(path)).collect();
            let mut few = Vec::new();
            for pattern in &patterns {
                if !patterns.iter().any(|wide| wide != pattern && wide.contains(pattern)) {
                    few.push(self.exclusion(pattern.clone(), other)?);
                }
            }
            ways.push(few);
        }
        Ok(ways)
    }

    /// The pattern of a route, as what takes all its paths out.
    fn whole(&self, index: usize) -> Result<Exclusion, OutOfSteps> {
        if let Some(known) = self.wholes.borrow().get(&index) {
            return Ok(known.clone());
        }
        let pattern = self.patterns.get(index).cloned().unwrap_or_else(Pattern::everything);
        let whole = self.exclusion(pattern, index)?;
        self.wholes.borrow_mut().insert(index, whole.clone());
        Ok(whole)
    }

    fn exclusion(&self, pattern: Pattern, but: usize) -> Result<Exclusion, OutOfSteps> {
        Ok(Exclusion { reaches: self.table.reached(&pattern, but)?, pattern: pattern.to_string() })
    }

    fn deeper(&self, pattern: Pattern) -> Result<Deeper, OutOfSteps> {
        let generic: Vec<Option<String>> = pattern
            .parts()
            .iter()
            .map(|part| match part {
                super::pattern::Part::Literal(text) => Some(text.clone()),
                super::pattern::Part::Any => None,
            })
            .collect();
        let leads_to = self.table.routes(&generic);
        let all = self.exclusion(pattern.clone(), usize::MAX)?;
        let mut each = Vec::new();
        if self.is_complete && leads_to.is_empty() {
            for other in &all.reaches {
                let is_fixed = self.table.template(*other).is_some_and(|template| template.is_fixed());
                let paths = match is_fixed {
                    true => Some(self.table.matched(&pattern, *other, Extent::Whole)?),
                    false => None,
                };
                each.push(Sibling { entry: *other, ways: self.ways(*other, paths)? });
            }
        }
        Ok(Deeper { all, leads_to, each })
    }

    /// Every beginning of static segments that several routes have.
    fn subtrees(&self) -> Result<Vec<Subtree>, OutOfSteps> {
        let mut prefixes: BTreeSet<Vec<Option<String>>> = BTreeSet::new();
        for index in 0..self.patterns.len() {
            if let Some(template) = self.table.template(index) {
                let statics = template.leading_statics();
                prefixes.extend((1..=statics.len()).filter_map(|end| Some(statics.get(..end)?.to_vec())));
            }
        }
        let mut subtrees = Vec::new();
        for prefix in prefixes {
            let mut below = prefix;
            below.push(None);
            let pattern = Pattern::of_path(&below);
            let holds: Vec<usize> = (0..self.patterns.len())
                .filter(|index| self.patterns.get(*index).is_some_and(|inner| pattern.contains(inner)))
                .collect();
            if holds.len() > 1 {
                let reaches = self.table.reached(&pattern, usize::MAX)?;
                subtrees.push(Subtree { pattern: pattern.to_string(), reaches, holds });
            }
        }
        // The largest first.
        subtrees.sort_by_key(|subtree| std::cmp::Reverse(subtree.holds.len()));
        Ok(subtrees)
    }
}

/// The methods that API Gateway knows.
const METHODS: usize = Method::ALL.len() - 1;
