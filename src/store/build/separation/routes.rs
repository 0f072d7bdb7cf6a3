//! The routes of one method, as API Gateway chooses among them, and which of their paths patterns can match.
//!
//! Everything here is about *segments*. A static segment is a text. A parameter is any single segment: a path can
//! fill it with any text. So a segment that no route names (`None` below) stands for all such texts.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use super::pattern::{Pattern, PatternSegment};
use crate::gateway::route::{PathTemplate, Segment};

/// A segment of a concrete path: one that some template names, or any other.
pub(super) type PathSegment = Option<String>;

/// The routes that take a method, each with its own index.
#[derive(Debug, Default)]
pub(super) struct MethodRoutes {
    templates: Vec<RouteTemplate>,
    root: PathNode,
    default: Option<usize>,
    deepest: usize,
    steps: Cell<u64>,
}

/// A path template, or `$default`.
#[derive(Clone, Debug)]
pub(super) struct RouteTemplate {
    /// The segments. Unless `is_greedy`, a path has exactly these.
    segments: Vec<PathSegment>,
    /// Whether the last segment also stands for all that follow.
    is_greedy: bool,
    is_default: bool,
}

#[derive(Debug, Default)]
struct PathNode {
    statics: BTreeMap<String, PathNode>,
    parameter: Option<Box<PathNode>>,
    greedy: Option<usize>,
    route: Option<usize>,
}

/// A table would take too much work. Tables of real APIs need a thousandth of the limit, but a table of nothing
/// but parameters could need any amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OutOfSteps;

impl MethodRoutes {
    /// Adds the next route. No two routes have the same resource.
    pub(super) fn push(&mut self, template: &PathTemplate) {
        let index = self.templates.len();
        let mut read = RouteTemplate { segments: Vec::new(), is_greedy: false, is_default: false };
        let mut node = &mut self.root;
        for segment in template.segments() {
            match segment {
                Segment::Key(_) => {
                    read.is_default = true;
                    self.default = Some(index);
                    self.templates.push(read);
                    return;
                }
                Segment::Static(text) => {
                    read.segments.push(Some(text.clone()));
                    node = node.statics.entry(text.clone()).or_default();
                }
                Segment::Parameter(_) => {
                    read.segments.push(None);
                    node = node.parameter.get_or_insert_default();
                }
                Segment::Greedy(_) => {
                    read.segments.push(None);
                    read.is_greedy = true;
                    node.greedy = Some(index);
                }
            }
        }
        if !read.is_greedy {
            node.route = Some(index);
        }
        self.deepest = self.deepest.max(read.segments.len());
        self.templates.push(read);
    }

    pub(super) fn len(&self) -> usize {
        self.templates.len()
    }

    pub(super) fn template(&self, index: usize) -> Option<&RouteTemplate> {
        self.templates.get(index)
    }

    /// The routes that API Gateway may take for a path; nearly always there is one. A REST API goes level by
    /// level. An HTTP API prefers any template without `{proxy+}` (Developer Guide, "Set up a method request" and
    /// "Routing API requests"). How it chooses among several with `{proxy+}` is not documented. If another
    /// template takes all paths of one, that one is more specific and is preferred. But of `/a/{p+}` and
    /// `/{x}/b/{p+}`, either may be taken.
    pub(super) fn routes(&self, path: &[PathSegment]) -> Vec<usize> {
        let mut routes: Vec<usize> = self.root.find(path, Greedy::AsTheyCome).into_iter().collect();
        match self.root.find(path, Greedy::Never) {
            Some(full) => routes.push(full),
            None => routes.extend(self.greedy_routes(path)),
        }
        if routes.is_empty() {
            routes.extend(self.default);
        }
        routes.sort_unstable();
        routes.dedup();
        routes
    }

    /// The routes with `{proxy+}` that take a path, except those that a more specific one precedes.
    fn greedy_routes(&self, path: &[PathSegment]) -> Vec<usize> {
        let mut found = Vec::new();
        self.root.greedy_routes(path, &mut found);
        let leaves_it = |wide: &usize| {
            let contains = |wide: usize, narrow: usize| match (self.template(wide), self.template(narrow)) {
                (Some(wide), Some(narrow)) => wide.takes(&narrow.segments),
                _ => false,
            };
            found.iter().any(|narrow| wide != narrow && contains(*wide, *narrow))
        };
        found.iter().copied().filter(|wide| !leaves_it(wide)).collect()
    }

    /// Whether every path has a route.
    pub(super) fn takes_everything(&self) -> bool {
        self.default.is_some() || (self.root.route.is_some() && self.root.greedy.is_some())
    }

    /// The paths of a route that a pattern matches, as patterns of their own; empty if it matches none. With
    /// [`Extent::Any`], the first one found is enough.
    ///
    /// A `?*` of the pattern may stand for several segments, so each number of segments is tried. Paths with more
    /// segments than the deepest template lead nowhere else.
    pub(super) fn matched(
        &self,
        pattern: &Pattern,
        index: usize,
        extent: Extent,
    ) -> Result<BTreeSet<Vec<PathSegment>>, OutOfSteps> {
        let mut found = BTreeSet::new();
        let Some(template) = self.template(index) else {
            return Ok(found);
        };
        if pattern.is_everything() {
            // The shortest path of the template stands for all its paths.
            found.insert(template.segments.clone());
            return Ok(found);
        }
        if !template.may_meet(pattern) {
            return Ok(found);
        }
        let least = template.segments.len().max(pattern.parts().len());
        let depths = if template.is_fixed() {
            template.segments.len()..=template.segments.len()
        } else {
            least..=least.max(self.deepest + pattern.parts().len())
        };
        for depth in depths {
            let mut path = Vec::with_capacity(depth);
            self.fill(pattern.parts(), depth, index, template, &mut path, extent, &mut found)?;
            if extent == Extent::Any && !found.is_empty() {
                break;
            }
        }
        Ok(found)
    }

    /// Whether a pattern matches a path of a route.
    pub(super) fn reaches(&self, pattern: &Pattern, index: usize) -> Result<bool, OutOfSteps> {
        Ok(!self.matched(pattern, index, Extent::Any)?.is_empty())
    }

    /// The routes, except `but`, with a path that a pattern matches.
    pub(super) fn reached(&self, pattern: &Pattern, but: usize) -> Result<Vec<usize>, OutOfSteps> {
        let mut reached = Vec::new();
        for index in (0..self.len()).filter(|index| *index != but) {
            if self.reaches(pattern, index)? {
                reached.push(index);
            }
        }
        Ok(reached)
    }

    /// Extends `path` to `depth` segments in every way that pattern and template allow. Keeps the paths that lead
    /// to the template's own route.
    #[expect(clippy::too_many_arguments, reason = "a recursion over a handful of positions")]
    fn fill(
        &self,
        parts: &[PatternSegment],
        depth: usize,
        index: usize,
        template: &RouteTemplate,
        path: &mut Vec<PathSegment>,
        extent: Extent,
        found: &mut BTreeSet<Vec<PathSegment>>,
    ) -> Result<(), OutOfSteps> {
        self.steps.set(self.steps.get() + 1);
        if self.steps.get() > MAX_STEPS {
            return Err(OutOfSteps);
        }
        let Some((part, rest)) = parts.split_first() else {
            if path.len() == depth && self.routes(path).contains(&index) {
                found.insert(path.clone());
            }
            return Ok(());
        };
        let start = path.len();
        let most = match part {
            PatternSegment::Literal(_) => 1,
            PatternSegment::Any => depth.saturating_sub(start + rest.len()),
        };
        for _ in 0..most {
            let wanted = template.segment(path.len());
            let segment = match (part, wanted) {
                (PatternSegment::Literal(text), Some(other)) if text != other => break,
                (PatternSegment::Literal(text), _) => Some(text.clone()),
                (PatternSegment::Any, wanted) => wanted.cloned(),
            };
            path.push(segment);
            self.fill(rest, depth, index, template, path, extent, found)?;
            if extent == Extent::Any && !found.is_empty() {
                break;
            }
        }
        path.truncate(start);
        Ok(())
    }
}

/// How many of the matched paths are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// Any one path.
    Any,
    /// All paths.
    Whole,
}

impl RouteTemplate {
    /// The pattern that matches all paths of the template, and as few others as a pattern can.
    pub(super) fn pattern(&self) -> Pattern {
        if self.is_default { Pattern::everything() } else { Pattern::of_path(&self.segments) }
    }

    /// Whether its paths have exactly as many segments as it has.
    pub(super) fn is_fixed(&self) -> bool {
        !self.is_greedy && !self.is_default
    }

    pub(super) fn is_default(&self) -> bool {
        self.is_default
    }

    pub(super) fn depth(&self) -> usize {
        self.segments.len()
    }

    /// The positions of the parameters that stand for exactly one segment.
    pub(super) fn single_parameters(&self) -> impl Iterator<Item = usize> {
        let singles = self.segments.len() - usize::from(self.is_greedy);
        self.segments
            .iter()
            .take(singles)
            .enumerate()
            .filter(|(_, segment)| segment.is_none())
            .map(|(at, _)| at)
    }

    /// Whether it would take a path if it were the only route.
    pub(super) fn takes(&self, path: &[PathSegment]) -> bool {
        let fits = if self.is_greedy {
            path.len() >= self.segments.len()
        } else {
            self.is_default || path.len() == self.segments.len()
        };
        fits && self.segments.iter().zip(path).all(|(own, other)| own.is_none() || own == other)
    }

    /// Its static segments before the first parameter.
    pub(super) fn leading_statics(&self) -> &[PathSegment] {
        let count = self.segments.iter().take_while(|segment| segment.is_some()).count();
        self.segments.get(..count).unwrap_or_default()
    }

    fn segment(&self, at: usize) -> Option<&String> {
        self.segments.get(at).and_then(Option::as_ref)
    }

    /// A quick check: false if the texts at the beginning of both differ.
    fn may_meet(&self, pattern: &Pattern) -> bool {
        for (part, segment) in pattern.parts().iter().zip(&self.segments) {
            match (part, segment) {
                (PatternSegment::Any, _) => return true,
                (PatternSegment::Literal(text), Some(other)) if text != other => return false,
                (PatternSegment::Literal(_), _) => {}
            }
        }
        true
    }
}

/// When a `{proxy+}` is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Greedy {
    AsTheyCome,
    Never,
}

impl PathNode {
    fn find(&self, path: &[PathSegment], greedy: Greedy) -> Option<usize> {
        let Some((first, rest)) = path.split_first() else {
            return self.route;
        };
        let fixed = first.as_ref().and_then(|text| self.statics.get(text)?.find(rest, greedy));
        let found = fixed.or_else(|| self.parameter.as_ref()?.find(rest, greedy));
        found.or(self.greedy.filter(|_| greedy == Greedy::AsTheyCome))
    }

    fn greedy_routes(&self, path: &[PathSegment], found: &mut Vec<usize>) {
        let Some((first, rest)) = path.split_first() else {
            return;
        };
        found.extend(self.greedy);
        if let Some(node) = first.as_ref().and_then(|text| self.statics.get(text)) {
            node.greedy_routes(rest, found);
        }
        if let Some(node) = &self.parameter {
            node.greedy_routes(rest, found);
        }
    }
}

const MAX_STEPS: u64 = 50_000_000;
