//! What has to be done about templates and policies.

use std::collections::{BTreeMap, BTreeSet};

use super::matches::Matches;
use super::text::{self, Effect, Head};
use super::{Action, Phase, Plan, Verb};
use crate::avp::contents::{PolicyTemplate, StaticPolicy, StoreContents, TemplateLinkedPolicy};
use crate::export::names::{REPLACED, live_name};

impl<'c> Plan<'c> {
    /// Returns AVP's ids of the templates that are made anew.
    pub(super) fn templates(
        &mut self,
        contents: &'c StoreContents,
        live: &StoreContents,
        deletes: bool,
    ) -> BTreeSet<String> {
        let own = contents.templates.iter().map(|template| (template.id.as_str(), template.name.as_deref()));
        let theirs = live.templates.iter().map(|template| (template.id.as_str(), template.name.as_deref()));
        let Matches { of, stale, foreign } = Matches::new(own, theirs);
        let known: BTreeMap<&str, &PolicyTemplate> =
            live.templates.iter().map(|template| (template.id.as_str(), template)).collect();
        let mut replaced = BTreeSet::new();
        for template in &contents.templates {
            let what = format!("template `{}`", template.id);
            let name = template.name.clone().unwrap_or_else(|| live_name(&template.id));
            let head = Head::of(&template.statement);
            let create = Action::CreateTemplate { template, name: name.clone() };
            let phase =
                if head.effect == Effect::Forbid { Phase::ForbidTemplates } else { Phase::PermitTemplates };
            let Some(there) = of.get(template.id.as_str()).and_then(|id| known.get(id)) else {
                self.add(phase, Verb::Create, what, create);
                continue;
            };
            let is_named = template.name.is_none() || template.name == there.name;
            let is_described = text::is_same(&template.description, &there.description);
            if template.statement == there.statement && is_described && is_named {
                self.unchanged += 1;
                continue;
            }
            let old = Head::of(&there.statement);
            let id = there.id.clone();
            if old == head && (head.effect == Effect::Permit || template.statement == there.statement) {
                self.add(phase, Verb::Update, what, Action::UpdateTemplate { id, template });
                continue;
            }
            replaced.insert(id.clone());
            let delete = delete_template(old.effect);
            if delete > phase && there.name.as_deref() == Some(&name) {
                let (name, statement) = (format!("{name}{REPLACED}"), there.statement.clone());
                self.also(Phase::Rename, &what, Action::RenameTemplate { id: id.clone(), name, statement });
            }
            self.also(delete, &what, Action::DeleteTemplate { id });
            self.add(phase, Verb::Replace, what, create);
        }
        for id in stale.iter().chain(&foreign) {
            let Some(template) = known.get(id) else { continue };
            let what = describe("template", id, template.name.as_deref());
            if !deletes && !stale.contains(id) {
                self.kept.push(what);
                continue;
            }
            let phase = delete_template(Head::of(&template.statement).effect);
            self.add(phase, Verb::Delete, what, Action::DeleteTemplate { id: (*id).to_owned() });
        }
        replaced
    }

    pub(super) fn policies(&mut self, contents: &'c StoreContents, live: &StoreContents, deletes: bool) {
        let own = contents.policies.iter().map(|policy| (policy.id.as_str(), policy.name.as_deref()));
        let theirs = live.policies.iter().map(|policy| (policy.id.as_str(), policy.name.as_deref()));
        let Matches { of, stale, foreign } = Matches::new(own, theirs);
        let known: BTreeMap<&str, &StaticPolicy> =
            live.policies.iter().map(|policy| (policy.id.as_str(), policy)).collect();
        for policy in &contents.policies {
            let what = format!("policy `{}`", policy.id);
            let name = policy.name.clone().unwrap_or_else(|| live_name(&policy.id));
            let head = Head::of(&policy.statement);
            let create = Action::CreatePolicy { policy, name: name.clone() };
            let phase = if head.effect == Effect::Forbid { Phase::Forbids } else { Phase::Permits };
            let Some(there) = of.get(policy.id.as_str()).and_then(|id| known.get(id)) else {
                self.add(phase, Verb::Create, what, create);
                continue;
            };
            let is_named = policy.name.is_none() || policy.name == there.name;
            let is_described = text::is_same(&policy.description, &there.description);
            if policy.statement == there.statement && is_described && is_named {
                self.unchanged += 1;
                continue;
            }
            let (old, id) = (Head::of(&there.statement), there.id.clone());
            if old == head && (head.effect == Effect::Permit || policy.statement == there.statement) {
                self.add(Phase::UpdatePermits, Verb::Update, what, Action::UpdatePolicy { id, policy });
                continue;
            }
            self.replace(what, old.effect, id, there.name.as_deref(), (phase, create, &name));
        }
        for id in stale.iter().chain(&foreign) {
            let Some(policy) = known.get(id) else { continue };
            let what = describe("policy", id, policy.name.as_deref());
            if deletes || stale.contains(id) {
                let phase = delete_policy(Head::of(&policy.statement).effect);
                self.add(phase, Verb::Delete, what, Action::DeletePolicy { id: (*id).to_owned() });
            } else {
                self.kept.push(what);
            }
        }
    }

    pub(super) fn links(
        &mut self,
        contents: &'c StoreContents,
        live: &StoreContents,
        deletes: bool,
        replaced: &BTreeSet<String>,
    ) {
        let own = contents.links.iter().map(|link| (link.id.as_str(), link.name.as_deref()));
        let theirs = live.links.iter().map(|link| (link.id.as_str(), link.name.as_deref()));
        let Matches { of, stale, foreign } = Matches::new(own, theirs);
        let known: BTreeMap<&str, &TemplateLinkedPolicy> =
            live.links.iter().map(|link| (link.id.as_str(), link)).collect();
        let own = contents.templates.iter().map(|template| (template.id.as_str(), template.name.as_deref()));
        let theirs = live.templates.iter().map(|template| (template.id.as_str(), template.name.as_deref()));
        let templates = Matches::new(own, theirs).of;
        let effect = |templates: &[PolicyTemplate], id: &str| {
            let template = templates.iter().find(|template| template.id == id);
            template.map_or(Effect::Permit, |template| Head::of(&template.statement).effect)
        };
        for link in &contents.links {
            let what = format!("template-linked policy `{}`", link.id);
            let name = link.name.clone().unwrap_or_else(|| live_name(&link.id));
            let create = Action::CreateLink { link, name: name.clone() };
            let phase = match effect(&contents.templates, &link.template_id) {
                Effect::Forbid => Phase::Forbids,
                Effect::Permit => Phase::Permits,
            };
            let Some(there) = of.get(link.id.as_str()).and_then(|id| known.get(id)) else {
                self.add(phase, Verb::Create, what, create);
                continue;
            };
            let is_of_template = templates.get(link.template_id.as_str())
                == Some(&there.template_id.as_str())
                && !replaced.contains(&there.template_id);
            let is_named = link.name.is_none() || link.name == there.name;
            if is_of_template
                && link.principal == there.principal
                && link.resource == there.resource
                && is_named
            {
                self.unchanged += 1;
                continue;
            }
            let old = effect(&live.templates, &there.template_id);
            self.replace(what, old, there.id.clone(), there.name.as_deref(), (phase, create, &name));
        }
        for id in stale.iter().chain(&foreign) {
            let Some(link) = known.get(id) else { continue };
            let what = describe("template-linked policy", id, link.name.as_deref());
            if deletes || stale.contains(id) {
                let phase = delete_policy(effect(&live.templates, &link.template_id));
                self.add(phase, Verb::Delete, what, Action::DeletePolicy { id: (*id).to_owned() });
            } else if replaced.contains(&link.template_id) {
                self.notes.push(format!("{what} goes with its template, which is made anew"));
            } else {
                self.kept.push(what);
            }
        }
    }

    /// Makes a policy anew. `new`: when, how, and its name.
    fn replace(
        &mut self,
        what: String,
        old: Effect,
        id: String,
        old_name: Option<&str>,
        new: (Phase, Action<'c>, &str),
    ) {
        let (phase, create, name) = new;
        let delete = delete_policy(old);
        // Two cannot have one name.
        if delete > phase && old_name == Some(name) {
            let name = format!("{name}{REPLACED}");
            self.also(Phase::Rename, &what, Action::RenamePolicy { id: id.clone(), name });
        }
        self.also(delete, &what, Action::DeletePolicy { id });
        self.add(phase, Verb::Replace, what, create);
    }
}

fn delete_policy(effect: Effect) -> Phase {
    match effect {
        Effect::Permit => Phase::DeletePermits,
        Effect::Forbid => Phase::DeleteForbids,
    }
}

fn delete_template(effect: Effect) -> Phase {
    match effect {
        Effect::Permit => Phase::DeletePermitTemplates,
        Effect::Forbid => Phase::DeleteForbidTemplates,
    }
}

fn describe(kind: &str, id: &str, name: Option<&str>) -> String {
    match name {
        Some(name) => format!("{kind} `{id}` ({name})"),
        None => format!("{kind} `{id}`"),
    }
}
