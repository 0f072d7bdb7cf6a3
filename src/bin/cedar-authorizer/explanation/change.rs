//! The smallest change of a caller's groups and claims that would allow a denied request.
//!
//! What a change does is never predicted. Each one that is tried is decided as the function would decide it, so a
//! change that is named does allow the request.

mod edit;
mod wish;

use std::collections::BTreeSet;

use cedar_authorizer::cedar::Effect;
use cedar_authorizer::decide::{CedarRequest, Decision};
use cedar_authorizer::token::identity_source::IdentitySource;
use serde_json::{Map, Value};

use super::{ClauseKind, ClauseResult, ExplainedPolicy, Explainer, PolicyTrace};
pub use edit::Edit;
pub use wish::{Wish, wishes};

/// Edits of a caller's claims that together allow a request.
#[derive(Clone, Debug)]
pub struct Change {
    /// In the order in which they were found to be needed.
    pub edits: Vec<Edit>,
    /// The claims with these edits.
    pub claims: Map<String, Value>,
}

/// What was asked with some claims.
pub struct Asked {
    /// What the function would decide.
    pub decision: Decision,
    /// What the policies were asked. `None`: they were not.
    pub request: Option<CedarRequest>,
}

/// Finds the fewest edits of the claims of a caller that allow a request. `ask` makes the request with other claims.
///
/// `None`: none was found. That need not mean that there is none: only edits that the policies' own text suggests are
/// tried, and not more than [`MAX_EDITS`] together.
pub fn smallest_change(
    explainer: &Explainer,
    source: &IdentitySource,
    claims: &Map<String, Value>,
    ask: &mut dyn FnMut(&Map<String, Value>) -> Option<Asked>,
) -> Option<Change> {
    let asked = ask(claims)?;
    let request = asked.request.as_ref()?;
    let is_near = |policy: &&ExplainedPolicy| policy.effect == Effect::Permit && policy.is_about(request);
    let mut permits: Vec<PolicyTrace<'_>> =
        explainer.policies().iter().filter(is_near).map(|policy| policy.trace(request)).collect();
    permits.sort_by_key(PolicyTrace::distance);
    let about = explainer.policies().iter().filter(|policy| policy.is_about(request)).take(MAX_KNOWN);
    let clauses = about.flat_map(ExplainedPolicy::clauses);
    let mut known: Vec<Wish> = Vec::new();
    for wish in clauses.flat_map(|clause| clause.wishes(true).iter().chain(clause.wishes(false))) {
        if known.len() < MAX_KNOWN && !known.contains(wish) {
            known.push(wish.clone());
        }
    }
    let mut search = Search { explainer, source, known, ask, budget: MAX_DECISIONS, tried: BTreeSet::new() };
    for depth in 1..=MAX_EDITS {
        for permit in &permits {
            search.tried.clear();
            let mut edits = Vec::new();
            if search.within(depth, permit.policy, claims, &mut edits).is_some() {
                let (edits, claims) = search.minimized(edits, claims)?;
                return Some(Change { edits, claims });
            }
        }
    }
    None
}

struct Search<'a> {
    explainer: &'a Explainer,
    source: &'a IdentitySource,
    /// Everything that the policies about the request ask for.
    known: Vec<Wish>,
    ask: &'a mut dyn FnMut(&Map<String, Value>) -> Option<Asked>,
    /// How many decisions may still be made.
    budget: usize,
    /// The claims that were tried, as text, with how many edits were left.
    tried: BTreeSet<(String, usize)>,
}

impl Search<'_> {
    /// The claims after at most `depth` edits that make this policy allow the request.
    fn within(
        &mut self,
        depth: usize,
        permit: &ExplainedPolicy,
        claims: &Map<String, Value>,
        edits: &mut Vec<Edit>,
    ) -> Option<Map<String, Value>> {
        self.budget = self.budget.checked_sub(1)?;
        let asked = (self.ask)(claims)?;
        if asked.decision.is_allowed() {
            return (!edits.is_empty()).then(|| claims.clone());
        }
        let request = asked.request.filter(|_| depth > 0)?;
        for edit in self.next_edits(permit, &request, claims) {
            let Some(edited) = edit.apply(claims, self.source) else {
                continue;
            };
            let text = serde_json::to_string(&edited).unwrap_or_default();
            if edited == *claims || !self.tried.insert((text, depth)) {
                continue;
            }
            edits.push(edit);
            if let Some(found) = self.within(depth - 1, permit, &edited, edits) {
                return Some(found);
            }
            edits.pop();
        }
        None
    }

    /// Edits that bring the policy nearer to allowing the request: those for its first clause that is not met, and
    /// if it applies, those against the first policy that forbids.
    fn next_edits(
        &self,
        permit: &ExplainedPolicy,
        request: &CedarRequest,
        claims: &Map<String, Value>,
    ) -> Vec<Edit> {
        let trace = permit.trace(request);
        if !trace.applies() {
            return self.edits_for(&trace, request, claims);
        }
        let forbids = self.explainer.policies().iter().filter(|policy| policy.effect == Effect::Forbid);
        let mut traces = forbids.map(|policy| policy.trace(request));
        let forbidding = traces.find(|trace| trace.applies() || trace.fails());
        forbidding.map(|trace| self.edits_against(&trace, request, claims)).unwrap_or_default()
    }

    fn edits_for(
        &self,
        trace: &PolicyTrace<'_>,
        request: &CedarRequest,
        claims: &Map<String, Value>,
    ) -> Vec<Edit> {
        let is_unmet =
            |result: &ClauseResult| matches!(result, ClauseResult::NotMet | ClauseResult::Error(_));
        let Some(unmet) = trace.clauses.iter().find(|clause| is_unmet(&clause.result)) else {
            return Vec::new();
        };
        let wishes = match unmet.clause.kind {
            ClauseKind::Principal => {
                trace.policy.scope_principal().cloned().map(Wish::InGroup).into_iter().collect()
            }
            ClauseKind::Action | ClauseKind::Resource => Vec::new(),
            ClauseKind::When | ClauseKind::Unless => unmet.clause.wishes(true).to_vec(),
        };
        self.edits(wishes, request, claims)
    }

    fn edits_against(
        &self,
        trace: &PolicyTrace<'_>,
        request: &CedarRequest,
        claims: &Map<String, Value>,
    ) -> Vec<Edit> {
        let of_scope = trace.policy.scope_principal().cloned().map(Wish::NotInGroup);
        let of_clauses = trace.policy.clauses().iter().flat_map(|clause| clause.wishes(false)).cloned();
        self.edits(of_scope.into_iter().chain(of_clauses), request, claims)
    }

    /// Edits that may fulfil wishes. What must only be there gets a value that something else asks for. A value that
    /// one clause asks for may not be enough for another, so all values that are asked for are tried.
    fn edits(
        &self,
        wishes: impl IntoIterator<Item = Wish>,
        request: &CedarRequest,
        claims: &Map<String, Value>,
    ) -> Vec<Edit> {
        let all = wishes.into_iter().flat_map(|wish| {
            let others = self.known.iter().filter(|other| **other != wish && other.fills(&wish));
            [vec![wish.clone()], others.cloned().collect()].concat()
        });
        let resolved = all.filter_map(|wish| wish.resolved(request));
        resolved.flat_map(|wish| Edit::from_wish(&wish, self.source, claims)).collect()
    }

    /// The edits without those that do not matter: one of the same claim may come later.
    fn minimized(
        &mut self,
        edits: Vec<Edit>,
        claims: &Map<String, Value>,
    ) -> Option<(Vec<Edit>, Map<String, Value>)> {
        let mut edits = edits;
        let mut index = 0;
        while index < edits.len() {
            let mut fewer = edits.clone();
            fewer.remove(index);
            if self.allowed_after(&fewer, claims).is_some() {
                edits = fewer;
            } else {
                index += 1;
            }
        }
        let claims = self.allowed_after(&edits, claims)?;
        Some((edits, claims))
    }

    /// The claims after these edits, if they allow the request.
    fn allowed_after(&mut self, edits: &[Edit], claims: &Map<String, Value>) -> Option<Map<String, Value>> {
        let apply = |claims: Map<String, Value>, edit: &Edit| edit.apply(&claims, self.source);
        let edited = edits.iter().try_fold(claims.clone(), apply)?;
        (self.ask)(&edited)?.decision.is_allowed().then_some(edited)
    }
}

/// More edits than this are no hint any more.
const MAX_EDITS: usize = 5;

/// Values of more policies than this, and more values, are not tried.
const MAX_KNOWN: usize = 200;

/// A second or so of decisions.
const MAX_DECISIONS: usize = 3_000;
