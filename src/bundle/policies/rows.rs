//! The policies of a bundle by their numbers, each read when it is needed and parsed when Cedar needs it.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use cedar_policy::{Policy, PolicyId, PolicySet, SlotId, Template};
use quick_cache::sync::Cache;
use serde_json::{Map, Value};

use super::scope::Scope;
use super::{CAPACITY, Dependence};
use crate::bundle::table::{Table, Unreadable, key_of};
use crate::bundle::text::uid;
use crate::bundle::{nesting, with_room};
use crate::cache::bounded;

/// The tables of policies and of what they have in common, see `filing`.
#[derive(Clone, Debug)]
pub(super) struct Policies {
    table: Table,
    /// Texts that several policies have in common.
    parts: Table,
    rows: Arc<Cache<u32, Arc<Row>>>,
}

/// A row of the table of policies.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: PolicyId,
    pub(super) scope: Scope,
    form: Form,
}

#[derive(Debug)]
enum Form {
    /// A policy or a template; Cedar parses it when there are conditions to evaluate.
    Text(OnceLock<Result<Box<Parsed>, Unreadable>>),
    /// A link of a template, given by its row, with the entities of its slots.
    Link { template: u32, principal: Option<uid::Pair>, resource: Option<uid::Pair> },
}

/// What Cedar made of a row.
#[derive(Clone, Debug)]
struct Parsed {
    body: Body,
    depends: Dependence,
}

#[derive(Clone, Debug)]
enum Body {
    Policy(Policy),
    Template(Template),
}

impl Policies {
    /// Opens the tables.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub(super) fn open(policies: Bytes, parts: Bytes) -> Result<Self, Unreadable> {
        let rows = Arc::new(bounded(CAPACITY));
        Ok(Self { table: Table::open(policies)?, parts: Table::open(parts)?, rows })
    }

    /// All policies, templates and links.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub(super) fn all(&self) -> Result<PolicySet, Unreadable> {
        let mut set = PolicySet::new();
        for number in 0..u32::try_from(self.table.len()).map_err(|_| Unreadable)? {
            let row = self.row(number)?;
            match &row.form {
                Form::Text(parsed) => match &self.parsed(number, parsed)?.body {
                    Body::Template(template) if set.template(template.id()).is_some() => {}
                    Body::Template(template) => {
                        set.add_template(template.clone()).map_err(|_| Unreadable)?;
                    }
                    Body::Policy(policy) => set.add(policy.clone()).map_err(|_| Unreadable)?,
                },
                Form::Link { .. } => self.add(number, &mut set)?,
            }
        }
        Ok(set)
    }

    /// Adds a policy, or a link with its template; a template alone decides nothing.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub(super) fn add(&self, number: u32, set: &mut PolicySet) -> Result<(), Unreadable> {
        let row = self.row(number)?;
        let (template, principal, resource) = match &row.form {
            Form::Text(parsed) => {
                return match &self.parsed(number, parsed)?.body {
                    Body::Policy(policy) => set.add(policy.clone()).map_err(|_| Unreadable),
                    Body::Template(_) => Err(Unreadable),
                };
            }
            Form::Link { template, principal, resource } => (*template, principal, resource),
        };
        let template_row = self.row(template)?;
        let Form::Text(parsed) = &template_row.form else {
            return Err(Unreadable);
        };
        let Body::Template(template) = &self.parsed(template, parsed)?.body else {
            return Err(Unreadable);
        };
        if set.template(template.id()).is_none() {
            set.add_template(template.clone()).map_err(|_| Unreadable)?;
        }
        let mut values = HashMap::new();
        for (slot, pair) in [(SlotId::principal(), principal), (SlotId::resource(), resource)] {
            if let Some(pair) = pair {
                values.insert(slot, uid::of_pair(pair).ok_or(Unreadable)?);
            }
        }
        set.link(template.id().clone(), row.id.clone(), values).map_err(|_| Unreadable)
    }

    /// What the condition of a policy depends on, or of the template that it links.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub(super) fn depends(&self, number: u32) -> Result<Dependence, Unreadable> {
        let row = self.row(number)?;
        if !row.scope.is_known {
            return Ok(Dependence::ALL);
        }
        match &row.form {
            Form::Text(parsed) => self.parsed(number, parsed).map(|parsed| parsed.depends),
            Form::Link { template, .. } => match &self.row(*template)?.form {
                Form::Text(parsed) => self.parsed(*template, parsed).map(|parsed| parsed.depends),
                Form::Link { .. } => Err(Unreadable),
            },
        }
    }

    /// A row.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub(super) fn row(&self, number: u32) -> Result<Arc<Row>, Unreadable> {
        if let Some(row) = self.rows.get(&number) {
            return Ok(row);
        }
        let row = Arc::new(self.read(number).ok_or(Unreadable)?);
        self.rows.insert(number, Arc::clone(&row));
        Ok(row)
    }

    fn read(&self, number: u32) -> Option<Row> {
        let (id, text) = self.cells(number)?;
        let id = PolicyId::new(id);
        if text.starts_with('[') {
            let (template, principal, resource): (String, Option<uid::Pair>, Option<uid::Pair>) =
                serde_json::from_str(text).ok()?;
            let template = u32::try_from(self.table.position(template.as_bytes())?).ok()?;
            let (_, text) = self.cells(template)?;
            // A link leads to a template, never to another link, which could go on for ever.
            if text.starts_with('[') {
                return None;
            }
            let key = |pair: &Option<uid::Pair>| pair.as_ref().map(|(of, id)| key_of(of, id));
            let (of_principal, of_resource) = (key(&principal), key(&resource));
            let scope = self.scope(text)?.linked(of_principal.as_deref(), of_resource.as_deref())?;
            return Some(Row { id, scope, form: Form::Link { template, principal, resource } });
        }
        Some(Row { id, scope: self.scope(text)?, form: Form::Text(OnceLock::new()) })
    }

    /// What Cedar makes of a row.
    fn parsed<'a>(
        &self,
        number: u32,
        known: &'a OnceLock<Result<Box<Parsed>, Unreadable>>,
    ) -> Result<&'a Parsed, Unreadable> {
        let parse = || {
            let (id, text) = self.cells(number).ok_or(Unreadable)?;
            self.parse(PolicyId::new(id), text).map(Box::new).ok_or(Unreadable)
        };
        known.get_or_init(parse).as_deref().map_err(|unreadable| *unreadable)
    }

    /// The scope of a policy or template.
    fn scope(&self, text: &str) -> Option<Scope> {
        if text.starts_with('{')
            && let Some(scope) = Scope::read(text, |part| self.part(part.get()))
        {
            return Some(scope);
        }
        // Cedar's own syntax, or a form of JSON that is not known here.
        Some(Scope::unknown(match self.parse(PolicyId::new(""), text)?.body {
            Body::Policy(policy) => policy.effect(),
            Body::Template(template) => template.effect(),
        }))
    }

    /// Reads a policy or a template.
    fn parse(&self, id: PolicyId, text: &str) -> Option<Parsed> {
        if !text.starts_with('{') {
            nesting::policies(text).ok()?;
            let parse = || match Policy::parse(Some(id.clone()), text) {
                Ok(policy) => Some(Body::Policy(policy)),
                Err(_) => Template::parse(Some(id), text).map(Body::Template).ok(),
            };
            let body = with_room(parse).ok()??;
            return Some(Parsed { body, depends: Dependence::ALL });
        }
        let mut json: Map<String, Value> = serde_json::from_str(text).ok()?;
        for value in json.values_mut() {
            if let Value::Number(number) = value {
                *value = serde_json::from_str(self.part(&number.to_string())?).ok()?;
            }
        }
        // Of the scope alone: `==`, `in` and `is in` can have one.
        let has_slot = |part: &str| {
            let part = json.get(part);
            let inner = part.and_then(|part| part.get("in"));
            [part, inner].into_iter().flatten().any(|part| part.get("slot").is_some())
        };
        let is_template = has_slot("principal") || has_slot("resource");
        let json = Value::Object(json);
        let depends = Dependence::of(&json);
        let body = if is_template {
            Body::Template(Template::from_json(Some(id), json).ok()?)
        } else {
            Body::Policy(Policy::from_json(Some(id), json).ok()?)
        };
        Some(Parsed { body, depends })
    }

    /// The text of a part of a policy: itself, or what its number stands for.
    fn part<'a>(&'a self, text: &'a str) -> Option<&'a str> {
        match text.starts_with(|first: char| first.is_ascii_digit()) {
            true => str::from_utf8(self.parts.row(text.parse().ok()?)?.0).ok(),
            false => Some(text),
        }
    }

    fn cells(&self, number: u32) -> Option<(&str, &str)> {
        let (id, text) = self.table.row(usize::try_from(number).ok()?)?;
        Some((str::from_utf8(id).ok()?, str::from_utf8(text).ok()?))
    }
}
