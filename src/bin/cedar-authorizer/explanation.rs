//! Explanations: why a request is allowed or denied, policy by policy and clause by clause.
//!
//! The decision itself is that of the function. An explanation evaluates the clauses of each policy again, with
//! Cedar, on the request as the policies see it, and says what every clause saw.

mod change;
mod clauses;
pub mod report;
mod trace;
mod values;

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::OnceLock;

use cedar_authorizer::cedar::{
    ActionConstraint, Effect, Entities, EntityTypeName, EntityUid, EvalResult, Expression, Policy, PolicyId,
    PolicySet, PrincipalConstraint, ResourceConstraint, eval_expression,
};
use cedar_authorizer::decide::CedarRequest;
use cedar_authorizer::store::finding::Position;
use cedar_authorizer::store::sources::PolicySources;

use change::Wish;
pub use change::{Asked, Change, smallest_change};
pub use clauses::ClauseKind;
pub use trace::{ClauseResult, ClauseTrace, PolicyTrace, PolicyVerdict};
pub use values::SeenValue;

/// The policies of a store, made ready to be explained.
pub struct Explainer {
    policies: Vec<ExplainedPolicy>,
}

/// A policy with its clauses.
pub struct ExplainedPolicy {
    /// The id by which decisions name it.
    pub id: PolicyId,
    /// What it does if it applies.
    pub effect: Effect,
    /// The template that it was made from.
    pub template: Option<PolicyId>,
    /// Where it, or its template, begins. `None`: it has no text.
    pub position: Option<Position>,
    principal: PrincipalConstraint,
    action: ActionConstraint,
    resource: ResourceConstraint,
    clauses: Vec<ExplainedClause>,
}

/// A clause of a policy.
pub struct ExplainedClause {
    /// Which part of the policy it is.
    pub kind: ClauseKind,
    /// Which `when` or `unless` of the policy it belongs to, counted from 1; 0 for the scope.
    pub number: usize,
    /// As it is written, on one line.
    pub text: String,
    /// Where it begins in the store.
    pub position: Option<Position>,
    /// What it evaluates. `None`: it is a part of the scope.
    condition: Option<Condition>,
}

/// The expression of a clause. What is only needed to explain it is found out when it is asked for.
struct Condition {
    expression: Expression,
    text: String,
    /// What it reads.
    reads: OnceLock<Vec<values::Read>>,
    /// What would make it true, and what would make it false.
    wishes: OnceLock<[Vec<Wish>; 2]>,
}

impl Explainer {
    /// Prepares all policies of a store. `sources` has their texts.
    pub fn new(policies: &PolicySet, sources: &PolicySources<'_>) -> Self {
        let mut policies: Vec<ExplainedPolicy> =
            policies.policies().map(|policy| ExplainedPolicy::new(policy, sources)).collect();
        policies.sort_by(|a, b| a.id.cmp(&b.id));
        Self { policies }
    }

    /// The policies, in the order of their ids.
    pub fn policies(&self) -> &[ExplainedPolicy] {
        &self.policies
    }
}

impl ExplainedPolicy {
    fn new(policy: &Policy, sources: &PolicySources<'_>) -> Self {
        let source = sources.source(policy.id());
        let text = source.as_ref().map_or("", |source| source.text.as_ref());
        let clauses = clauses::clauses(text).into_iter().filter_map(|clause| {
            let text = text.get(clause.range.clone())?;
            let condition = match clause.kind {
                ClauseKind::Principal | ClauseKind::Action | ClauseKind::Resource => None,
                ClauseKind::When | ClauseKind::Unless => Some(Condition {
                    expression: Expression::from_str(text).ok()?,
                    text: text.to_owned(),
                    reads: OnceLock::new(),
                    wishes: OnceLock::new(),
                }),
            };
            let position = sources.position(policy.id(), clause.range.start);
            let number = clause.condition;
            Some(ExplainedClause {
                kind: clause.kind,
                number,
                text: clauses::on_one_line(text),
                position,
                condition,
            })
        });
        Self {
            id: policy.id().clone(),
            effect: policy.effect(),
            template: policy.template_id().cloned(),
            position: sources.position(policy.id(), 0),
            principal: policy.principal_constraint(),
            action: policy.action_constraint(),
            resource: policy.resource_constraint(),
            clauses: clauses.collect(),
        }
    }

    /// What the policy says about a request.
    pub fn trace<'a>(&'a self, request: &CedarRequest) -> PolicyTrace<'a> {
        let CedarRequest { request: asked, entities } = request;
        // Cedar evaluates conditions only if the scope matches, and only up to the first that is not met. They are
        // evaluated here whatever the scope says: who mends a policy wants to know all at once.
        let mut is_open = true;
        let clauses = self.clauses.iter().map(|clause| {
            let result = match (clause.kind, &clause.condition) {
                (ClauseKind::Principal, _) => scope(self.meets_principal(asked.principal(), entities)),
                (ClauseKind::Action, _) => scope(self.meets_action(asked.action(), entities)),
                (ClauseKind::Resource, _) => scope(self.meets_resource(asked.resource(), entities)),
                (_, Some(condition)) if is_open => condition.result(clause.kind, request),
                (ClauseKind::When | ClauseKind::Unless, _) => ClauseResult::NotEvaluated,
            };
            is_open &= clause.condition.is_none() || result == ClauseResult::Met;
            ClauseTrace { clause, result }
        });
        PolicyTrace { policy: self, clauses: clauses.collect() }
    }

    /// Whether the scope matches, apart from the principal: whether the policy is about what is asked at all.
    pub fn is_about(&self, request: &CedarRequest) -> bool {
        let CedarRequest { request, entities } = request;
        self.meets_action(request.action(), entities) && self.meets_resource(request.resource(), entities)
    }

    fn meets_principal(&self, principal: Option<&EntityUid>, entities: &Entities) -> bool {
        let is_in = |group: &EntityUid| principal.is_some_and(|uid| is_in(uid, group, entities));
        let is = |name: &EntityTypeName| principal.is_some_and(|uid| uid.type_name() == name);
        match &self.principal {
            PrincipalConstraint::Any => true,
            PrincipalConstraint::Eq(uid) => principal == Some(uid),
            PrincipalConstraint::In(group) => is_in(group),
            PrincipalConstraint::Is(name) => is(name),
            PrincipalConstraint::IsIn(name, group) => is(name) && is_in(group),
        }
    }

    fn meets_action(&self, action: Option<&EntityUid>, entities: &Entities) -> bool {
        match &self.action {
            ActionConstraint::Any => true,
            ActionConstraint::Eq(uid) => action == Some(uid),
            ActionConstraint::In(groups) => {
                action.is_some_and(|uid| groups.iter().any(|group| is_in(uid, group, entities)))
            }
        }
    }

    fn meets_resource(&self, resource: Option<&EntityUid>, entities: &Entities) -> bool {
        let is_in = |parent: &EntityUid| resource.is_some_and(|uid| is_in(uid, parent, entities));
        let is = |name: &EntityTypeName| resource.is_some_and(|uid| uid.type_name() == name);
        match &self.resource {
            ResourceConstraint::Any => true,
            ResourceConstraint::Eq(uid) => resource == Some(uid),
            ResourceConstraint::In(parent) => is_in(parent),
            ResourceConstraint::Is(name) => is(name),
            ResourceConstraint::IsIn(name, parent) => is(name) && is_in(parent),
        }
    }

    /// The group or user that the scope asks for.
    pub fn scope_principal(&self) -> Option<&EntityUid> {
        match &self.principal {
            PrincipalConstraint::Any | PrincipalConstraint::Is(_) => None,
            PrincipalConstraint::Eq(uid)
            | PrincipalConstraint::In(uid)
            | PrincipalConstraint::IsIn(_, uid) => Some(uid),
        }
    }

    /// The value of the slot in a part of the scope of a template.
    fn slot(&self, clause: &ExplainedClause) -> Option<SeenValue> {
        let (path, value) = match (clause.kind, &self.resource) {
            (ClauseKind::Principal, _) => ("?principal", self.scope_principal()),
            (
                ClauseKind::Resource,
                ResourceConstraint::Eq(uid) | ResourceConstraint::In(uid) | ResourceConstraint::IsIn(_, uid),
            ) => ("?resource", Some(uid)),
            _ => return None,
        };
        let value = value.filter(|_| self.template.is_some() && clause.text.ends_with(path))?;
        Some(SeenValue { path: path.to_owned(), value: Some(value.to_string()) })
    }

    /// The clauses, in the order in which Cedar evaluates them.
    pub fn clauses(&self) -> &[ExplainedClause] {
        &self.clauses
    }

    /// Whether it has conditions besides its scope.
    pub fn has_conditions(&self) -> bool {
        self.clauses.iter().any(|clause| clause.number > 0)
    }

    /// The id of the policy or template that has its text.
    pub fn text_id(&self) -> String {
        self.template.as_ref().unwrap_or(&self.id).to_string()
    }

    /// The text of each `when` and `unless`, by its number.
    pub fn conditions(&self) -> BTreeMap<usize, String> {
        let mut conditions: BTreeMap<usize, String> = BTreeMap::new();
        for clause in self.clauses.iter().filter(|clause| clause.number > 0) {
            let (word, operator) =
                if clause.kind == ClauseKind::When { ("when", "&&") } else { ("unless", "||") };
            conditions
                .entry(clause.number)
                .and_modify(|text| *text += &format!(" {operator} {}", clause.text))
                .or_insert_with(|| format!("{word} {}", clause.text));
        }
        conditions
    }
}

impl Condition {
    fn result(&self, kind: ClauseKind, CedarRequest { request, entities }: &CedarRequest) -> ClauseResult {
        match eval_expression(request, entities, &self.expression) {
            Ok(EvalResult::Bool(value)) if value == (kind == ClauseKind::When) => ClauseResult::Met,
            Ok(EvalResult::Bool(_)) => ClauseResult::NotMet,
            Ok(value) => ClauseResult::Error(format!("`{value}` is neither true nor false")),
            Err(error) => ClauseResult::Error(error.to_string()),
        }
    }
}

impl ExplainedClause {
    /// What may make the policy apply, or not apply, as far as this clause goes.
    fn wishes(&self, applies: bool) -> &[Wish] {
        let Some(Condition { text, wishes, .. }) = &self.condition else {
            return &[];
        };
        let [to_be_true, to_be_false] =
            wishes.get_or_init(|| [true, false].map(|wanted| change::wishes(text, wanted)));
        // An `unless` is met if it is false.
        if applies == (self.kind == ClauseKind::When) { to_be_true } else { to_be_false }
    }
}

fn scope(is_met: bool) -> ClauseResult {
    if is_met { ClauseResult::Met } else { ClauseResult::NotMet }
}

/// Cedar's `in`.
fn is_in(uid: &EntityUid, group: &EntityUid, entities: &Entities) -> bool {
    uid == group || entities.is_ancestor_of(group, uid)
}
