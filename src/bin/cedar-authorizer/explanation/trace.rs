//! What a policy and its clauses say about one request.

use std::collections::{BTreeMap, BTreeSet};

use cedar_authorizer::cedar::PrincipalConstraint;
use cedar_authorizer::decide::CedarRequest;
use serde::Serialize;

use super::values::{self, SeenValue};
use super::{ExplainedClause, ExplainedPolicy};

/// What a policy says about a request.
pub struct PolicyTrace<'a> {
    /// The policy that was asked.
    pub policy: &'a ExplainedPolicy,
    /// What its clauses say, in the order in which Cedar evaluates them.
    pub clauses: Vec<ClauseTrace<'a>>,
}

/// Whether a policy applies to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyVerdict {
    /// All of its clauses are met.
    Applies,
    /// A clause is not met.
    DoesNotApply,
    /// Its scope matches, but a condition cannot be evaluated.
    Error,
}

/// What a clause says about a request.
pub struct ClauseTrace<'a> {
    /// The clause that was evaluated.
    pub clause: &'a ExplainedClause,
    /// Whether it is as the policy asks for it.
    pub result: ClauseResult,
}

/// The result of a clause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "result", content = "error")]
pub enum ClauseResult {
    /// As the policy asks for it.
    Met,
    /// The other way round, so the policy does not apply.
    NotMet,
    /// It cannot be evaluated, for this reason.
    Error(String),
    /// A clause before it was not met, so Cedar does not evaluate it.
    NotEvaluated,
}

impl ClauseResult {
    /// Why it cannot be evaluated, if it cannot.
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Error(error) => Some(error),
            Self::Met | Self::NotMet | Self::NotEvaluated => None,
        }
    }
}

impl PolicyTrace<'_> {
    /// Whether the policy applies.
    pub fn applies(&self) -> bool {
        self.clauses.iter().all(|clause| clause.result == ClauseResult::Met)
    }

    /// Whether the scope matches.
    pub fn is_in_scope(&self) -> bool {
        let mut scope = self.clauses.iter().filter(|clause| clause.clause.condition.is_none());
        scope.all(|clause| clause.result == ClauseResult::Met)
    }

    /// Whether the policy cannot be evaluated.
    pub fn fails(&self) -> bool {
        self.is_in_scope() && self.clauses.iter().any(|clause| clause.result.error().is_some())
    }

    /// Whether the policy applies; if not, whether that is for an error.
    pub fn verdict(&self) -> PolicyVerdict {
        if self.applies() {
            PolicyVerdict::Applies
        } else if self.fails() {
            PolicyVerdict::Error
        } else {
            PolicyVerdict::DoesNotApply
        }
    }

    /// Of each `when` and `unless` that Cedar evaluates, its number, and whether it is as the policy asks for it. None
    /// if the scope does not match.
    pub fn conditions(&self) -> BTreeMap<usize, bool> {
        let mut conditions = BTreeMap::new();
        let evaluated = self.clauses.iter().filter(|_| self.is_in_scope());
        for ClauseTrace { clause, result } in evaluated.filter(|clause| clause.clause.number > 0) {
            match result {
                ClauseResult::Met => *conditions.entry(clause.number).or_insert(true) &= true,
                ClauseResult::NotMet => *conditions.entry(clause.number).or_insert(true) &= false,
                ClauseResult::Error(_) | ClauseResult::NotEvaluated => {}
            }
        }
        conditions
    }

    /// How far the policy is from applying: the clauses that are not met, then whether it is for somebody else, then
    /// the clauses that were not evaluated.
    pub fn distance(&self) -> (usize, bool, usize) {
        let count =
            |is: fn(&ClauseResult) -> bool| self.clauses.iter().filter(|clause| is(&clause.result)).count();
        let unmet = count(|result| matches!(result, ClauseResult::NotMet | ClauseResult::Error(_)));
        // Nobody can become somebody else, but anybody can join a group.
        let is_of_one = matches!(self.policy.principal, PrincipalConstraint::Eq(_)) && !self.is_in_scope();
        (unmet, is_of_one, count(|result| *result == ClauseResult::NotEvaluated))
    }
}

impl ClauseTrace<'_> {
    /// What the clause read, and the values that it saw. Of the scope, these are the values of its slots.
    pub fn seen(&self, policy: &ExplainedPolicy, request: &CedarRequest) -> Vec<SeenValue> {
        if let Some(slot) = policy.slot(self.clause) {
            return vec![slot];
        }
        let conditions = self.clause.condition.iter();
        let reads =
            conditions.flat_map(|condition| condition.reads.get_or_init(|| values::reads(&condition.text)));
        let mut shown = BTreeSet::new();
        reads.map(|read| read.value(request)).filter(|seen| shown.insert(seen.path.clone())).collect()
    }
}
