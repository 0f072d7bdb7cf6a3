//! Computes how the routes of an API are told apart. What that means is in [`crate::grant`], in `separation.rs`.

mod pattern;
mod routes;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::gateway::route::{Method, Route, RouteId, Segment};
use crate::grant::separation::{
    DeeperPaths, Exclusion, MethodTable, RouteEntry, Separation, Sibling, Subtree,
};
use pattern::{Pattern, PatternSegment};
use routes::{Extent, MethodRoutes, OutOfSteps};

/// Computes how the routes of an API are told apart. If `is_complete`, the API has no routes but these, so API
/// Gateway itself refuses a path that none of them takes.
///
/// # Errors
/// [`TooEntangled`].
pub fn separate(routes: &[Route], is_complete: bool) -> Result<Separation, TooEntangled> {
    let mut tables: Vec<MethodTable> = Vec::new();
    let mut by_routes: BTreeMap<Vec<RouteId>, usize> = BTreeMap::new();
    for method in Method::ALL.into_iter().filter(|method| *method != Method::Any) {
        let taking = taking(routes, method);
        if taking.is_empty() {
            continue;
        }
        let name = method.name().to_ascii_uppercase();
        match by_routes.get(&taking).and_then(|index| tables.get_mut(*index)) {
            Some(table) => table.methods.push(name),
            None => {
                let table = table(routes, &taking, name, is_complete)?;
                by_routes.insert(taking, tables.len());
                tables.push(table);
            }
        }
    }
    Ok(Separation { is_complete, tables })
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

/// The routes that take a method: on each resource the route of the method itself, otherwise that of `ANY`.
fn taking(routes: &[Route], method: Method) -> Vec<RouteId> {
    let mut by_resource: BTreeMap<Vec<Option<String>>, (bool, RouteId)> = BTreeMap::new();
    for (index, route) in routes.iter().enumerate() {
        let id = RouteId(index);
        let is_own = route.method == method;
        if route.template.is_connect() || !(is_own || route.method == Method::Any) {
            continue;
        }
        let resource = route.template.segments().iter().map(|segment| match segment {
            Segment::Static(text) | Segment::Key(text) => Some(text.clone()),
            Segment::Parameter(_) => None,
            // A static segment never has a plus, so this is unique.
            Segment::Greedy(_) => Some("+".to_owned()),
        });
        let entry = by_resource.entry(resource.collect()).or_insert((is_own, id));
        if is_own {
            *entry = (true, id);
        }
    }
    let mut taking: Vec<RouteId> = by_resource.into_values().map(|(_, id)| id).collect();
    taking.sort_unstable();
    taking
}

/// The routes of some methods.
fn table(
    routes: &[Route],
    taking: &[RouteId],
    method: String,
    is_complete: bool,
) -> Result<MethodTable, TooEntangled> {
    let mut table = MethodRoutes::default();
    for route in taking.iter().filter_map(|index| routes.get(index.0)) {
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
    Ok(MethodTable { methods: vec![method], entries, takes_everything, subtrees })
}

struct Builder<'a> {
    table: &'a MethodRoutes,
    patterns: &'a [Pattern],
    is_complete: bool,
    /// By index, because each is asked for many times.
    wholes: RefCell<BTreeMap<usize, Exclusion>>,
}

impl Builder<'_> {
    fn entry(&self, index: usize, route: RouteId, pattern: &Pattern) -> Result<RouteEntry, OutOfSteps> {
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
                // Of two patterns that match the same, `{x}` lies within `{x+}`.
                let is_wider = self.table.template(*other).is_some_and(|template| !template.is_fixed());
                wide.contains(pattern) && (is_wider || !pattern.contains(wide))
            })
        };
        let within = (0..self.patterns.len()).filter(|other| *other != index).filter(contains).collect();
        Ok(RouteEntry {
            route,
            pattern: pattern.to_string(),
            is_wild: pattern.is_wild(),
            is_default: template.is_some_and(|template| template.is_default()),
            within,
            siblings,
            deeper,
        })
    }

    /// How to take out the paths of another route that a template itself also fits.
    fn sibling(&self, index: usize, pattern: &Pattern, other: usize) -> Result<Option<Sibling>, OutOfSteps> {
        let (Some(own), Some(theirs)) = (self.table.template(index), self.table.template(other)) else {
            return Ok(None);
        };
        // The paths have as many segments as the template: no `?*` stands for more than one.
        if own.is_fixed() && theirs.is_fixed() && own.depth() != theirs.depth() {
            return Ok(None);
        }
        let mut matched = self.table.matched(pattern, other, Extent::Whole)?;
        matched.retain(|path| own.takes(path));
        if matched.is_empty() {
            return Ok(None);
        }
        // Two routes whose paths can both have any number of segments have too many paths in common.
        let are_few = own.is_fixed() || theirs.is_fixed();
        Ok(Some(Sibling { entry: other, ways: self.ways(other, are_few.then_some(matched))? }))
    }

    /// The ways to take out paths of a route: all of them by its own pattern, or only these.
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

    /// The pattern of a route, as an exclusion that takes all its paths out.
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

    fn deeper(&self, pattern: Pattern) -> Result<DeeperPaths, OutOfSteps> {
        let generic: Vec<Option<String>> = pattern
            .parts()
            .iter()
            .map(|part| match part {
                PatternSegment::Literal(text) => Some(text.clone()),
                PatternSegment::Any => None,
            })
            .collect();
        let leads_to = self.table.routes(&generic);
        let all = self.exclusion(pattern.clone(), usize::MAX)?;
        let mut each = Vec::new();
        if self.is_complete && leads_to.is_empty() {
            for other in &all.reaches {
                let is_fixed = self.table.template(*other).is_some_and(|template| template.is_fixed());
                let paths =
                    if is_fixed { Some(self.table.matched(&pattern, *other, Extent::Whole)?) } else { None };
                each.push(Sibling { entry: *other, ways: self.ways(*other, paths)? });
            }
        }
        Ok(DeeperPaths { all, leads_to, each })
    }

    /// Every sequence of leading static segments that several routes share.
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
        // Largest first.
        subtrees.sort_by_key(|subtree| std::cmp::Reverse(subtree.holds.len()));
        Ok(subtrees)
    }
}
