//! An explanation as text for people.

use std::iter;

use cedar_authorizer::cedar::Effect;
use cedar_authorizer::reason::Status;
use serde_json::Value;

use super::{ChangeReport, ClauseReport, EntityReport, PolicyReport, Report, RequestReport};
use crate::explanation::{ClauseKind, ClauseResult, PolicyVerdict, SeenValue};
use crate::output::{ERROR, HINT, SUCCESS, WARNING, many, paint, printable};

impl Report {
    /// The report for people. `store` is the directory of the policy store.
    pub fn lines(&self, store: &str) -> Vec<String> {
        let (style, verdict) = match self.decision {
            Status::Allow => (SUCCESS, "allowed"),
            Status::Deny => (ERROR, "denied"),
            Status::Unauthorized => (ERROR, "unauthorized"),
            Status::Fault => (ERROR, "fault"),
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
        let failed = self.candidates.iter().filter(|policy| policy.verdict == PolicyVerdict::Error);
        let mut lines = Vec::new();
        for policy in decided {
            lines.push(policy.headline(store, "applies"));
            // A permit that applies is what was meant. A forbid is asked why.
            let is_forbid = policy.effect == Effect::Forbid;
            let asked = policy.clauses.iter().filter(|clause| is_forbid && clause.is_asked());
            lines.extend(asked.map(|clause| clause.on_one_line("met")));
        }
        for policy in failed {
            lines.push(policy.headline(store, "cannot be evaluated"));
            let errors = policy.clauses.iter().filter_map(|clause| clause.result.error());
            lines.extend(errors.map(|error| format!("  {error}")));
        }
        if self.decision != Status::Deny || self.request.is_none() || !self.policies.is_empty() {
            return lines;
        }
        let is_near = |policy: &&PolicyReport| {
            policy.effect == Effect::Permit && policy.verdict == PolicyVerdict::DoesNotApply
        };
        match self.candidates.iter().find(is_near) {
            Some(nearest) => {
                lines.push(nearest.headline(store, "does not apply"));
                let unmet = nearest.clauses.iter().filter(|clause| clause.result == ClauseResult::NotMet);
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
            others.into_iter().partition(|policy| policy.verdict == PolicyVerdict::Error);
        let (permits, forbids): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|policy| policy.effect == Effect::Permit);
        let is_allowed = self.decision == Status::Allow;
        section(if is_allowed { "allowed by:" } else { "denied by:" }, &decided);
        section("cannot be evaluated:", &failed);
        if !is_allowed && self.request.is_some() {
            section("permits for this action and resource, the nearest first:", &permits);
            section("forbids that do not apply:", &forbids);
            let no_permit = !self.candidates.iter().any(|policy| policy.effect == Effect::Permit);
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

impl EntityReport {
    /// One line each for what it is in and what attributes it has.
    fn details(&self) -> Vec<String> {
        let ancestors = self.ancestors.iter().map(|ancestor| format!("in {ancestor}"));
        ancestors.chain(members(&self.attributes, "")).collect()
    }
}

impl PolicyReport {
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
    /// Whether it leaves anything out: `action` alone does not.
    fn is_asked(&self) -> bool {
        self.text != self.kind.name()
    }

    /// `not met: principal.a == 1, where principal.a is 2`
    fn on_one_line(&self, result: &str) -> String {
        let unless = if self.kind == ClauseKind::Unless { "unless " } else { "" };
        let seen = self.values.iter().map(|SeenValue { path, value }| match value {
            Some(value) => format!("{path} is {value}"),
            None => format!("{path} is missing"),
        });
        let seen = seen.collect::<Vec<_>>().join(" and ");
        let seen = if seen.is_empty() { seen } else { format!(", where {seen}") };
        format!("  {result}: {unless}{}{seen}", self.text)
    }

    fn lines(&self) -> Vec<String> {
        let (style, mark) = match &self.result {
            ClauseResult::Met => (SUCCESS, "yes"),
            ClauseResult::NotMet => (ERROR, "no"),
            ClauseResult::Error(_) => (WARNING, "error"),
            ClauseResult::NotEvaluated => (HINT, "-"),
        };
        let text = printable(&self.text);
        let text = match (self.kind, &self.result) {
            (ClauseKind::Unless, ClauseResult::Met) => format!("unless {text} (which is false)"),
            (ClauseKind::Unless, ClauseResult::NotMet) => format!("unless {text} (which is true)"),
            (ClauseKind::Unless, _) => format!("unless {text}"),
            _ => text,
        };
        let mut lines = vec![format!("    {} {text}", paint(style, &format!("{mark:<5}")))];
        lines.extend(self.result.error().iter().map(|error| format!("            {}", printable(error))));
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
