//! What has to be done so that a policy store in AWS is as this one.
//!
//! The order keeps anything from opening in between: at any moment, what is allowed is allowed by the old policies or by
//! the new ones. For this the forbids of both are in force while permits change. So a forbid that changes is made anew
//! before its old form is deleted, and a permit that cannot be updated is deleted before its new form is made.

mod identity;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use crate::avp::contents::{
    IdentitySource, PolicyTemplate, StaticPolicy, StoreContents, TemplateLinkedPolicy, ValidationMode,
};
use crate::export::names::{REPLACED, live_name};
use text::{Effect, Head};

/// All that has to be done.
#[derive(Debug, Default)]
pub struct Plan<'c> {
    /// In the order in which it is done.
    pub steps: Vec<Step<'c>>,
    /// How many things are equal already.
    pub unchanged: usize,
    /// What is in AWS only, and stays.
    pub kept: Vec<String>,
    /// What cannot be done.
    pub notes: Vec<String>,
}

/// One request.
#[derive(Debug)]
pub struct Step<'c> {
    phase: Phase,
    /// What it is for the user. `None`: only a part of another step.
    pub verb: Option<Verb>,
    /// What it is about.
    pub what: String,
    /// The request.
    pub action: Action<'c>,
}

/// What happens to a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Create,
    Update,
    Replace,
    Delete,
}

impl Verb {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Replace => "replace",
            Self::Delete => "delete",
        }
    }

    /// The sign before it, as Terraform has it.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Create => "+",
            Self::Update => "~",
            Self::Replace => "±",
            Self::Delete => "-",
        }
    }
}

/// A request.
#[derive(Clone, Debug, PartialEq)]
pub enum Action<'c> {
    /// Description, deletion protection, and validation OFF.
    UpdateStore {
        validation: ValidationMode,
    },
    PutSchema(&'c str),
    RenamePolicy {
        id: String,
        name: String,
    },
    RenameTemplate {
        id: String,
        name: String,
        statement: String,
    },
    CreatePolicy {
        policy: &'c StaticPolicy,
        name: String,
    },
    UpdatePolicy {
        id: String,
        policy: &'c StaticPolicy,
    },
    CreateLink {
        link: &'c TemplateLinkedPolicy,
        name: String,
    },
    DeletePolicy {
        id: String,
    },
    CreateTemplate {
        template: &'c PolicyTemplate,
        name: String,
    },
    UpdateTemplate {
        id: String,
        template: &'c PolicyTemplate,
    },
    DeleteTemplate {
        id: String,
    },
    CreateIdentitySource(&'c IdentitySource),
    UpdateIdentitySource {
        id: String,
        source: &'c IdentitySource,
    },
    DeleteIdentitySource {
        id: String,
    },
    CreateAlias(&'c str),
}

/// When a request is made. The order of the variants is the order of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Validation is loosened, so that the rest is accepted.
    Loosen,
    /// New policies need the new schema. AVP does not look at existing policies again.
    Schema,
    /// What is made anew before its old form goes gives up its name.
    Rename,
    ForbidTemplates,
    Forbids,
    /// Permits that go, or that are made anew.
    DeletePermits,
    DeletePermitTemplates,
    /// Who callers are, while the fewest permits are in force.
    IdentitySources,
    PermitTemplates,
    UpdatePermits,
    Permits,
    DeleteForbids,
    DeleteForbidTemplates,
    Aliases,
    /// Validation is made strict, when everything fits.
    Tighten,
}

impl<'c> Plan<'c> {
    /// Compares. `live` has the ids and names of AWS. `deletes`: what is there only shall go.
    pub fn new(contents: &'c StoreContents, live: &StoreContents, deletes: bool) -> Self {
        let mut plan = Self::default();
        plan.store(contents, live);
        let replaced = plan.templates(contents, live, deletes);
        plan.policies(contents, live, deletes);
        plan.links(contents, live, deletes, &replaced);
        plan.identity_sources(contents, live, deletes);
        for alias in &contents.aliases {
            if live.aliases.contains(alias) {
                plan.unchanged += 1;
            } else {
                plan.add(
                    Phase::Aliases,
                    Verb::Create,
                    format!("alias `{alias}`"),
                    Action::CreateAlias(alias),
                );
            }
        }
        plan.steps.sort_by_key(|step| step.phase);
        plan
    }

    fn add(&mut self, phase: Phase, verb: Verb, what: String, action: Action<'c>) {
        self.steps.push(Step { phase, verb: Some(verb), what, action });
    }

    /// A request that is part of another step.
    fn also(&mut self, phase: Phase, what: &str, action: Action<'c>) {
        self.steps.push(Step { phase, verb: None, what: what.to_owned(), action });
    }

    fn store(&mut self, contents: &'c StoreContents, live: &StoreContents) {
        let is_described = contents.description.is_none() || contents.description == live.description;
        let is_protected = live.deletion_protection || !contents.deletion_protection;
        if live.deletion_protection && !contents.deletion_protection {
            self.notes.push("the policy store stays protected from being deleted".to_owned());
        }
        if contents.validation == live.validation && is_described && is_protected {
            self.unchanged += 1;
        } else {
            let phase = match contents.validation {
                ValidationMode::Off => Phase::Loosen,
                ValidationMode::Strict => Phase::Tighten,
            };
            let action = Action::UpdateStore { validation: contents.validation };
            self.add(phase, Verb::Update, "the policy store".to_owned(), action);
        }
        match (&contents.schema, &live.schema) {
            (Some(own), Some(theirs)) if text::is_same_json(own, theirs) => self.unchanged += 1,
            (Some(own), theirs) => {
                let verb = if theirs.is_some() { Verb::Update } else { Verb::Create };
                self.add(Phase::Schema, verb, "the schema".to_owned(), Action::PutSchema(own));
            }
            (None, Some(_)) => self.notes.push("AVP cannot remove a schema: it stays".to_owned()),
            (None, None) => {}
        }
    }

    /// Returns AVP's ids of the templates that are made anew.
    fn templates(
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

    fn policies(&mut self, contents: &'c StoreContents, live: &StoreContents, deletes: bool) {
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

    fn links(
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

    fn identity_sources(&mut self, contents: &'c StoreContents, live: &StoreContents, deletes: bool) {
        let pairs = identity::pairs(&contents.identity_sources, &live.identity_sources);
        for (own, theirs) in pairs {
            let phase = Phase::IdentitySources;
            match (own, theirs) {
                (Some(own), Some(theirs)) if identity::is_same(own, theirs) => self.unchanged += 1,
                (Some(source), Some(theirs)) => {
                    let action = Action::UpdateIdentitySource { id: theirs.id.clone(), source };
                    self.add(phase, Verb::Update, format!("identity source `{}`", source.id), action);
                }
                (Some(source), None) => {
                    let action = Action::CreateIdentitySource(source);
                    self.add(phase, Verb::Create, format!("identity source `{}`", source.id), action);
                }
                (None, Some(theirs)) if deletes => {
                    let action = Action::DeleteIdentitySource { id: theirs.id.clone() };
                    self.add(phase, Verb::Delete, format!("identity source `{}`", theirs.id), action);
                }
                (None, Some(theirs)) => self.kept.push(format!("identity source `{}`", theirs.id)),
                (None, None) => {}
            }
        }
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

/// Which thing in AWS is which of ours.
struct Matches<'m> {
    /// AVP's ids, by ours.
    of: BTreeMap<&'m str, &'m str>,
    /// What an interrupted run left.
    stale: Vec<&'m str>,
    /// What is in AWS only.
    foreign: Vec<&'m str>,
}

impl<'m> Matches<'m> {
    fn new(
        own: impl Iterator<Item = (&'m str, Option<&'m str>)>,
        theirs: impl Iterator<Item = (&'m str, Option<&'m str>)>,
    ) -> Self {
        let own: Vec<(&str, String)> =
            own.map(|(id, name)| (id, name.map_or_else(|| live_name(id), str::to_owned))).collect();
        let theirs: Vec<(&str, Option<&str>)> = theirs.collect();
        let by_name: BTreeMap<&str, &str> =
            theirs.iter().filter_map(|(id, name)| Some(((*name)?, *id))).collect();
        let ids: BTreeSet<&str> = theirs.iter().map(|(id, _)| *id).collect();
        let mut of = BTreeMap::new();
        for (id, name) in &own {
            if let Some(there) = by_name.get(name.as_str()).copied().or_else(|| ids.get(id).copied()) {
                of.insert(*id, there);
            }
        }
        let matched: BTreeSet<&str> = of.values().copied().collect();
        let own_ids: BTreeSet<&str> = own.iter().map(|(id, _)| *id).collect();
        let own_names: BTreeSet<&str> = own.iter().map(|(_, name)| name.as_str()).collect();
        let is_stale = |id: &str, name: Option<&str>| {
            own_ids.contains(id)
                || name
                    .and_then(|name| name.strip_suffix(REPLACED))
                    .is_some_and(|name| own_names.contains(name))
        };
        let rest = theirs.iter().filter(|(id, _)| !matched.contains(id));
        let (stale, foreign): (Vec<_>, Vec<_>) = rest.partition(|(id, name)| is_stale(id, *name));
        let only_ids =
            |things: Vec<&(&'m str, Option<&'m str>)>| things.into_iter().map(|(id, _)| *id).collect();
        Self { of, stale: only_ids(stale), foreign: only_ids(foreign) }
    }
}
