//! What has to be done so that a policy store in AWS is as this one.
//!
//! The order keeps anything from opening in between: at any moment, what is allowed is allowed by the old policies or
//! by the new ones. For this the forbids of both are in force while permits change. So a forbid that changes is made
//! anew before its old form is deleted, and a permit that cannot be updated is deleted before its new form is made.

mod identity;
mod matches;
mod policies;
mod text;

use std::collections::BTreeMap;

use crate::avp::contents::{
    IdentitySource, PolicyTemplate, StaticPolicy, StoreContents, TemplateLinkedPolicy, ValidationMode,
};

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
    /// Tags that are missing or have another value. Others stay: they may be of somebody else.
    TagStore(BTreeMap<String, String>),
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
    Tags,
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
        let lacks = |(name, value): &(&String, &String)| live.tags.get(*name) != Some(value);
        let tags: BTreeMap<_, _> = contents.tags.iter().filter(lacks).collect();
        if !tags.is_empty() {
            let tags = tags.into_iter().map(|(name, value)| (name.clone(), value.clone())).collect();
            self.add(Phase::Tags, Verb::Update, "the tags".to_owned(), Action::TagStore(tags));
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
