//! An explanation as data.

mod text;

use cedar_authorizer::cedar::{Effect, EntityUid};
use cedar_authorizer::decide::{CedarRequest, Decision};
use cedar_authorizer::reason::{Reason, Status};
use cedar_authorizer::store::finding::Position;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    Change, ClauseKind, ClauseResult, ClauseTrace, ExplainedPolicy, Explainer, PolicyTrace, PolicyVerdict,
    SeenValue,
};

/// Why a request is allowed or denied.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What becomes of the request.
    pub decision: Status,
    /// Why.
    pub reason: Reason,
    /// What the reason means, in one sentence.
    pub meaning: &'static str,
    /// The determining policies.
    pub policies: Vec<String>,
    /// The policies that could not be evaluated.
    pub errors: Vec<String>,
    /// The route, if the request is one of the API.
    pub route: Option<String>,
    /// The request as the policies see it. `None`: it did not get as far.
    pub request: Option<RequestReport>,
    /// What the policies say that are about this action and resource: those that decided, those that cannot be
    /// evaluated, then the nearest to applying.
    pub candidates: Vec<PolicyReport>,
    /// How many more are about this action and resource.
    pub left_out: usize,
    /// The smallest change that would allow it.
    pub change: Option<ChangeReport>,
    /// What else helps to see why.
    pub notes: Vec<String>,
}

/// A request as the policies see it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestReport {
    /// Who asks.
    pub principal: EntityReport,
    /// The uid of what the caller wants to do.
    pub action: String,
    /// What it would be done to.
    pub resource: EntityReport,
    /// What else the policies may read of the request, in Cedar's JSON form.
    pub context: Value,
}

/// An entity of a request.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EntityReport {
    /// As Cedar writes it: `User::"alice"`.
    pub uid: String,
    /// The uids of all that it is in.
    pub ancestors: Vec<String>,
    /// In Cedar's JSON form.
    pub attributes: Value,
}

/// What one policy says about a request.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyReport {
    /// The id by which decisions name it.
    pub id: String,
    /// What it does if it applies.
    pub effect: Effect,
    /// The id of the template that it was made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Where it, or its template, begins in the store. `None`: it has no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// Whether it applies.
    pub verdict: PolicyVerdict,
    /// What its clauses say, in the order in which Cedar evaluates them.
    pub clauses: Vec<ClauseReport>,
}

/// What one clause says about a request.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClauseReport {
    /// Which part of the policy it is.
    pub kind: ClauseKind,
    /// As it is written, on one line.
    pub text: String,
    /// Where it begins in the store. `None`: its policy has no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// `result`, and `error` if there is one.
    #[serde(flatten)]
    pub result: ClauseResult,
    /// What it read. Empty if it was not evaluated.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<SeenValue>,
}

/// A change of groups or claims.
#[derive(Clone, Debug, Serialize)]
pub struct ChangeReport {
    /// As orders to whoever administers the users.
    pub edits: Vec<String>,
    /// All claims with these edits.
    pub claims: Map<String, Value>,
}

impl Report {
    /// A report on a decision. `request` is what the policies were asked. Of the policies that did not decide, it has
    /// at most `most` of each effect.
    pub fn new(
        decision: &Decision,
        request: Option<&CedarRequest>,
        explainer: &Explainer,
        most: usize,
    ) -> Self {
        let reason = decision.reason;
        let candidates = request.map(|request| Candidates::new(decision, request, explainer, most));
        let Candidates { policies: candidates, left_out } = candidates.unwrap_or_default();
        Self {
            decision: reason.status(),
            reason,
            meaning: reason.meaning(),
            policies: decision.policies.iter().map(ToString::to_string).collect(),
            errors: decision.errors.iter().map(ToString::to_string).collect(),
            route: None,
            request: request.map(RequestReport::new),
            candidates,
            left_out,
            change: None,
            notes: Vec::new(),
        }
    }

    /// A report on a request that no policy was asked about.
    pub fn refused(reason: Reason, explainer: &Explainer) -> Self {
        Self::new(&Decision::deny(reason), None, explainer, 0)
    }

    /// The same report with the smallest change that would allow the request.
    pub fn with_change(self, change: Option<&Change>) -> Self {
        let report = |change: &Change| ChangeReport {
            edits: change.edits.iter().map(ToString::to_string).collect(),
            claims: change.claims.clone(),
        };
        Self { change: change.map(report), ..self }
    }
}

/// The policies of a report.
#[derive(Default)]
struct Candidates {
    policies: Vec<PolicyReport>,
    left_out: usize,
}

impl Candidates {
    fn new(decision: &Decision, request: &CedarRequest, explainer: &Explainer, most: usize) -> Self {
        let about = explainer.policies().iter().filter(|policy| policy.is_about(request));
        let mut traces: Vec<PolicyTrace<'_>> = about.map(|policy| policy.trace(request)).collect();
        traces.sort_by_key(PolicyTrace::distance);
        let all = traces.len();
        let (decided, others): (Vec<_>, Vec<_>) =
            traces.into_iter().partition(|trace| decision.policies.contains(&trace.policy.id));
        let (failed, others): (Vec<_>, Vec<_>) = others.into_iter().partition(PolicyTrace::fails);
        let (permits, forbids): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|trace| trace.policy.effect == Effect::Permit);
        let near = permits.into_iter().take(most).chain(forbids.into_iter().take(most));
        let shown = decided.iter().chain(&failed).map(|trace| PolicyReport::new(trace, request));
        let mut policies: Vec<PolicyReport> = shown.collect();
        policies.extend(near.map(|trace| PolicyReport::new(&trace, request)));
        let left_out = all - policies.len();
        Self { policies, left_out }
    }
}

impl RequestReport {
    fn new(asked: &CedarRequest) -> Self {
        let CedarRequest { request, .. } = asked;
        let entity = |uid: Option<&EntityUid>| uid.map(|uid| EntityReport::new(uid, asked));
        let none = || EntityReport { uid: String::new(), ancestors: Vec::new(), attributes: Value::Null };
        Self {
            principal: entity(request.principal()).unwrap_or_else(none),
            action: request.action().map(ToString::to_string).unwrap_or_default(),
            resource: entity(request.resource()).unwrap_or_else(none),
            context: request
                .context()
                .and_then(|context| context.to_json_value().ok())
                .unwrap_or(Value::Null),
        }
    }
}

impl EntityReport {
    fn new(uid: &EntityUid, CedarRequest { entities, .. }: &CedarRequest) -> Self {
        let mut ancestors: Vec<String> =
            entities.ancestors(uid).into_iter().flatten().map(ToString::to_string).collect();
        ancestors.sort();
        let json = entities.get(uid).and_then(|entity| entity.to_json_value().ok());
        let attributes = json.and_then(|mut json| Some(json.get_mut("attrs")?.take()));
        Self { uid: uid.to_string(), ancestors, attributes: attributes.unwrap_or(Value::Null) }
    }
}

impl PolicyReport {
    fn new(trace: &PolicyTrace<'_>, request: &CedarRequest) -> Self {
        let PolicyTrace { policy, clauses } = trace;
        Self {
            id: policy.id.to_string(),
            effect: policy.effect,
            template: policy.template.as_ref().map(ToString::to_string),
            position: policy.position.clone(),
            verdict: trace.verdict(),
            clauses: clauses.iter().map(|clause| ClauseReport::new(policy, clause, request)).collect(),
        }
    }
}

impl ClauseReport {
    fn new(policy: &ExplainedPolicy, trace: &ClauseTrace<'_>, request: &CedarRequest) -> Self {
        let ClauseTrace { clause, result } = trace;
        let values = match result {
            ClauseResult::Met | ClauseResult::NotMet | ClauseResult::Error(_) => trace.seen(policy, request),
            ClauseResult::NotEvaluated => Vec::new(),
        };
        Self {
            kind: clause.kind,
            text: clause.text.clone(),
            position: clause.position.clone(),
            result: result.clone(),
            values,
        }
    }
}
