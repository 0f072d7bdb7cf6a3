//! An explanation as data, and as text for people.

use std::iter;

use cedar_authorizer::cedar::{Effect, EntityUid};
use cedar_authorizer::decide::{CedarRequest, Decision};
use cedar_authorizer::reason::{Reason, Status};
use cedar_authorizer::store::finding::Position;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{Change, ClauseResult, ClauseTrace, ExplainedPolicy, Explainer, PolicyTrace, SeenValue};
use crate::output::{ERROR, HINT, SUCCESS, WARNING, many, paint, printable};

/// Why a request is allowed or denied.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// `allow`, `deny`, `unauthorized` or `fault`.
    pub decision: &'static str,
    /// The reason code.
    pub reason: &'static str,
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
    pub principal: EntityReport,
    pub action: String,
    pub resource: EntityReport,
    /// In Cedar's JSON form.
    pub context: Value,
}

/// An entity of a request.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EntityReport {
    pub uid: String,
    /// All that it is in.
    pub ancestors: Vec<String>,
    /// In Cedar's JSON form.
    pub attributes: Value,
}

/// What one policy says about a request.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyReport {
    pub id: String,
    pub effect: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// `applies`, `does-not-apply` or `error`.
    pub verdict: &'static str,
    pub clauses: Vec<ClauseReport>,
}

/// What one clause says about a request.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClauseReport {
    /// `principal`, `action`, `resource`, `when` or `unless`.
    pub kind: &'static str,
    pub text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// `met`, `not-met`, `error` or `not-evaluated`.
    pub result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
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
            decision: match reason.status() {
                Status::Allow => "allow",
                Status::Deny => "deny",
                Status::Unauthorized => "unauthorized",
                Status::Fault => "fault",
            },
            reason: reason.code(),
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

    /// The report for people. `store` is the directory of the policy store.
    pub fn lines(&self, store: &str) -> Vec<String> {
        let (style, verdict) = match self.decision {
            "allow" => (SUCCESS, "allowed"),
            "deny" => (ERROR, "denied"),
            "unauthorized" => (ERROR, "unauthorized"),
            _ => (ERROR, "fault"),
        };
        let mut lines = vec![format!("{}: {}: {}", paint(style, verdict), self.reason, self.meaning)];
        let mut row = |name: &str, value: &str| {
            lines.push(format!("  {} {}", paint(HINT, &format!("{name:<10}")), printable(value)));
        };
        self.notes.iter().for_each(|note| row("note", note));
        if let Some(RequestReport { principal, .. }) = &self.request {
            row("principal", &principal.uid);
            principal.details().iter().for_each(|detail| row("", detail));
        }
        if let Some(route) = &self.route {
            row("route", route);
        }
        if let Some(RequestReport { action, resource, context, .. }) = &self.request {
            row("action", action);
            row("resource", &resource.uid);
            resource.details().iter().for_each(|detail| row("", detail));
            let names = iter::once("context").chain(iter::repeat(""));
            members(context, "").iter().zip(names).for_each(|(member, name)| row(name, member));
        }
        lines.extend(self.policy_lines(store));
        if let Some(ChangeReport { edits, .. }) = &self.change {
            lines.push(format!("{} the smallest change that would allow it:", paint(HINT, "help:")));
            lines.extend(edits.iter().map(|edit| format!("  {}", printable(edit))));
        }
        lines
    }

    /// In a few lines without colours: which policies decided, or by which clauses the nearest permit does not apply.
    pub fn brief(&self, store: &str) -> Vec<String> {
        let decided = self.candidates.iter().filter(|policy| self.policies.contains(&policy.id));
        let failed = self.candidates.iter().filter(|policy| policy.verdict == "error");
        let mut lines = Vec::new();
        for policy in decided {
            lines.push(policy.headline(store, "applies"));
            // A permit that applies is what was meant. A forbid is asked why.
            let asked = policy.clauses.iter().filter(|clause| policy.effect == "forbid" && clause.is_asked());
            lines.extend(asked.map(|clause| clause.on_one_line("met")));
        }
        for policy in failed {
            lines.push(policy.headline(store, "cannot be evaluated"));
            lines.extend(
                policy.clauses.iter().filter_map(|clause| Some(format!("  {}", clause.error.as_ref()?))),
            );
        }
        if self.decision != "deny" || self.request.is_none() || !self.policies.is_empty() {
            return lines;
        }
        let is_near =
            |policy: &&PolicyReport| policy.effect == "permit" && policy.verdict == "does-not-apply";
        match self.candidates.iter().find(is_near) {
            Some(nearest) => {
                lines.push(nearest.headline(store, "does not apply"));
                let unmet = nearest.clauses.iter().filter(|clause| clause.result == "not-met");
                lines.extend(unmet.map(|clause| clause.on_one_line("not met")));
            }
            None => lines.push("no policy permits this action on this resource, to anybody".to_owned()),
        }
        lines
    }

    fn policy_lines(&self, store: &str) -> Vec<String> {
        let mut lines = Vec::new();
        let mut section = |title: &str, policies: &[&PolicyReport]| {
            if !policies.is_empty() {
                lines.push(title.to_owned());
                lines.extend(policies.iter().flat_map(|policy| policy.lines(store)));
            }
        };
        let (decided, others): (Vec<_>, Vec<_>) =
            self.candidates.iter().partition(|policy| self.policies.contains(&policy.id));
        let (failed, others): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|policy| policy.verdict == "error");
        let (permits, forbids): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|policy| policy.effect == "permit");
        let is_allowed = self.decision == "allow";
        section(if is_allowed { "allowed by:" } else { "denied by:" }, &decided);
        section("cannot be evaluated:", &failed);
        if !is_allowed && self.request.is_some() {
            section("permits for this action and resource, the nearest first:", &permits);
            section("forbids that do not apply:", &forbids);
            let no_permit = !self.candidates.iter().any(|policy| policy.effect == "permit");
            if no_permit {
                lines.push("no policy permits this action on this resource, to anybody".to_owned());
            }
            if self.left_out > 0 {
                lines
                    .push(format!("{} more; see them with --all", many(self.left_out, "policy", "policies")));
            }
        }
        lines
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
    /// One line each for what it is in and what attributes it has.
    fn details(&self) -> Vec<String> {
        let ancestors = self.ancestors.iter().map(|ancestor| format!("in {ancestor}"));
        ancestors.chain(members(&self.attributes, "")).collect()
    }

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
            effect: match policy.effect {
                Effect::Permit => "permit",
                Effect::Forbid => "forbid",
            },
            template: policy.template.as_ref().map(ToString::to_string),
            position: policy.position.clone(),
            verdict: match (trace.applies(), trace.fails()) {
                (true, _) => "applies",
                (false, true) => "error",
                (false, false) => "does-not-apply",
            },
            clauses: clauses.iter().map(|clause| ClauseReport::new(policy, clause, request)).collect(),
        }
    }

    fn headline(&self, store: &str, verdict: &str) -> String {
        let place =
            self.position.as_ref().map(|position| format!(" ({store}/{position})")).unwrap_or_default();
        format!("{} `{}` {verdict}{place}", self.effect, self.id)
    }

    fn lines(&self, store: &str) -> Vec<String> {
        let place = self.position.as_ref().map(|position| format!("{store}/{position}"));
        let place = place.map(|place| format!("  {} {place}", paint(HINT, "-->")));
        let of_template = self.template.as_ref().map(|template| format!(" (template `{template}`)"));
        let head = format!(
            "  {} `{}`{}{}",
            self.effect,
            printable(&self.id),
            of_template.unwrap_or_default(),
            place.unwrap_or_default()
        );
        [head].into_iter().chain(self.clauses.iter().flat_map(ClauseReport::lines)).collect()
    }
}

impl ClauseReport {
    fn new(policy: &ExplainedPolicy, trace: &ClauseTrace<'_>, request: &CedarRequest) -> Self {
        let ClauseTrace { clause, result } = trace;
        let (result, error) = match result {
            ClauseResult::Met => ("met", None),
            ClauseResult::NotMet => ("not-met", None),
            ClauseResult::Error(error) => ("error", Some(error.clone())),
            ClauseResult::NotEvaluated => ("not-evaluated", None),
        };
        let values = if result == "not-evaluated" { Vec::new() } else { trace.seen(policy, request) };
        Self {
            kind: clause.kind.name(),
            text: clause.text.clone(),
            position: clause.position.clone(),
            result,
            error,
            values,
        }
    }

    /// Whether it leaves anything out: `action` alone does not.
    fn is_asked(&self) -> bool {
        self.text != self.kind
    }

    /// `not met: principal.a == 1, where principal.a is 2`
    fn on_one_line(&self, result: &str) -> String {
        let unless = if self.kind == "unless" { "unless " } else { "" };
        let seen = self.values.iter().map(|SeenValue { path, value }| match value {
            Some(value) => format!("{path} is {value}"),
            None => format!("{path} is missing"),
        });
        let seen = seen.collect::<Vec<_>>().join(" and ");
        let seen = if seen.is_empty() { seen } else { format!(", where {seen}") };
        format!("  {result}: {unless}{}{seen}", self.text)
    }

    fn lines(&self) -> Vec<String> {
        let (style, mark) = match self.result {
            "met" => (SUCCESS, "yes"),
            "not-met" => (ERROR, "no"),
            "error" => (WARNING, "error"),
            _ => (HINT, "-"),
        };
        let text = printable(&self.text);
        let text = match (self.kind, self.result) {
            ("unless", "met") => format!("unless {text} (which is false)"),
            ("unless", "not-met") => format!("unless {text} (which is true)"),
            ("unless", _) => format!("unless {text}"),
            _ => text,
        };
        let mut lines = vec![format!("    {} {text}", paint(style, &format!("{mark:<5}")))];
        lines.extend(self.error.iter().map(|error| format!("            {}", printable(error))));
        let seen = |SeenValue { path, value }: &SeenValue| match value {
            Some(value) => format!("            {path} = {}", printable(value)),
            None => format!("            {path} is missing"),
        };
        lines.extend(self.values.iter().map(seen));
        lines
    }
}

/// The members of a record, one a line: `token.scope = ["openid"]`.
fn members(value: &Value, prefix: &str) -> Vec<String> {
    let Some(object) = value.as_object() else {
        return Vec::new();
    };
    let member = |(name, value): (&String, &Value)| {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let is_record = value.as_object().is_some_and(|object| {
            !object.is_empty() && !object.contains_key("__extn") && !object.contains_key("__entity")
        });
        if is_record { members(value, &path) } else { vec![format!("{path} = {}", as_cedar(value))] }
    };
    object.iter().flat_map(member).collect()
}

/// A value of Cedar's JSON form in Cedar's own syntax.
fn as_cedar(value: &Value) -> String {
    let text = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    if let Some(entity) = value.get("__entity") {
        return format!("{}::{:?}", text(entity, "type"), text(entity, "id"));
    }
    if let Some(extension) = value.get("__extn") {
        return format!("{}({:?})", text(extension, "fn"), text(extension, "arg"));
    }
    match value {
        Value::Array(elements) => {
            format!("[{}]", elements.iter().map(as_cedar).collect::<Vec<_>>().join(", "))
        }
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| format!("{name:?}: {}", as_cedar(value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}
