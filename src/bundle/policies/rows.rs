//! The policies of a bundle by their numbers, each read when it is needed and parsed when Cedar needs it.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use cedar_policy::{Policy, PolicyId, PolicySet, SlotId, Template};
use quick_cache::sync::Cache;
use serde_json::{Map, Value};

use super::scope::PolicyScope;
use super::{CAPACITY, Dependence};
use crate::bundle::table::{Table, Unreadable, key_of};
use crate::bundle::text::uid;
use crate::bundle::{nesting, with_room};
use crate::cache::bounded;

/// The tables of policies and of what they have in common, see `format`.
#[derive(Clone, Debug)]
pub(super) struct PolicyRows {
    table: Table,
    /// Texts that several policies have in common.
    parts: Table,
    rows: Arc<Cache<u32, Arc<PolicyRow>>>,
}

/// A row of the table of policies.
#[derive(Debug)]
pub(super) struct PolicyRow {
    pub(super) id: PolicyId,
    pub(super) scope: PolicyScope,
    form: RowContent,
}

#[derive(Debug)]
enum RowContent {
    /// A policy or a template. Cedar parses it when there are conditions to evaluate.
    Text(OnceLock<Result<Box<ParsedPolicy>, Unreadable>>),
    /// A template link: the row of its template, and the entities of its slots.
    Link { template: u32, principal: Option<uid::Pair>, resource: Option<uid::Pair> },
}

/// A row as Cedar parsed it.
#[derive(Clone, Debug)]
struct ParsedPolicy {
    body: PolicyOrTemplate,
    depends: Dependence,
}

#[derive(Clone, Debug)]
enum PolicyOrTemplate {
    Policy(Policy),
    Template(Template),
}

impl PolicyRows {
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
                RowContent::Text(parsed) => match &self.parsed(number, parsed)?.body {
                    PolicyOrTemplate::Template(template) if set.template(template.id()).is_some() => {}
                    PolicyOrTemplate::Template(template) => {
                        set.add_template(template.clone()).map_err(|_| Unreadable)?;
                    }
                    PolicyOrTemplate::Policy(policy) => set.add(policy.clone()).map_err(|_| Unreadable)?,
                },
                RowContent::Link { .. } => self.add(number, &mut set)?,
            }
        }
        Ok(set)
    }

    /// Adds a policy, or a link with its template. A template by itself decides nothing.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub(super) fn add(&self, number: u32, set: &mut PolicySet) -> Result<(), Unreadable> {
        let row = self.row(number)?;
        let (template, principal, resource) = match &row.form {
            RowContent::Text(parsed) => {
                return match &self.parsed(number, parsed)?.body {
                    PolicyOrTemplate::Policy(policy) => set.add(policy.clone()).map_err(|_| Unreadable),
                    PolicyOrTemplate::Template(_) => Err(Unreadable),
                };
            }
            RowContent::Link { template, principal, resource } => (*template, principal, resource),
        };
        let template_row = self.row(template)?;
        let RowContent::Text(parsed) = &template_row.form else {
            return Err(Unreadable);
        };
        let PolicyOrTemplate::Template(template) = &self.parsed(template, parsed)?.body else {
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

    /// What the condition of a policy depends on. For a template link, the condition of its template.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub(super) fn depends(&self, number: u32) -> Result<Dependence, Unreadable> {
        let row = self.row(number)?;
        if !row.scope.is_known {
            return Ok(Dependence::ALL);
        }
        match &row.form {
            RowContent::Text(parsed) => self.parsed(number, parsed).map(|parsed| parsed.depends),
            RowContent::Link { template, .. } => match &self.row(*template)?.form {
                RowContent::Text(parsed) => self.parsed(*template, parsed).map(|parsed| parsed.depends),
                RowContent::Link { .. } => Err(Unreadable),
            },
        }
    }

    /// A row.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub(super) fn row(&self, number: u32) -> Result<Arc<PolicyRow>, Unreadable> {
        if let Some(row) = self.rows.get(&number) {
            return Ok(row);
        }
        let row = Arc::new(self.read(number).ok_or(Unreadable)?);
        self.rows.insert(number, Arc::clone(&row));
        Ok(row)
    }

    fn read(&self, number: u32) -> Option<PolicyRow> {
        let (id, text) = self.cells(number)?;
        let id = PolicyId::new(id);
        if text.starts_with('[') {
            let (template, principal, resource): (String, Option<uid::Pair>, Option<uid::Pair>) =
                serde_json::from_str(text).ok()?;
            let template = u32::try_from(self.table.position(template.as_bytes())?).ok()?;
            let (_, text) = self.cells(template)?;
            // A link leads to a template, never to another link: that could go on forever.
            if text.starts_with('[') {
                return None;
            }
            let key = |pair: &Option<uid::Pair>| pair.as_ref().map(|(of, id)| key_of(of, id));
            let (of_principal, of_resource) = (key(&principal), key(&resource));
            let scope = self.scope(text)?.linked(of_principal.as_deref(), of_resource.as_deref())?;
            return Some(PolicyRow { id, scope, form: RowContent::Link { template, principal, resource } });
        }
        Some(PolicyRow { id, scope: self.scope(text)?, form: RowContent::Text(OnceLock::new()) })
    }

    /// A row as Cedar parses it.
    fn parsed<'a>(
        &self,
        number: u32,
        known: &'a OnceLock<Result<Box<ParsedPolicy>, Unreadable>>,
    ) -> Result<&'a ParsedPolicy, Unreadable> {
        let parse = || {
            let (id, text) = self.cells(number).ok_or(Unreadable)?;
            self.parse(PolicyId::new(id), text).map(Box::new).ok_or(Unreadable)
        };
        known.get_or_init(parse).as_deref().map_err(|unreadable| *unreadable)
    }

    /// The scope of a policy or template.
    fn scope(&self, text: &str) -> Option<PolicyScope> {
        if text.starts_with('{')
            && let Some(scope) = PolicyScope::read(text, |part| self.part(part.get()))
        {
            return Some(scope);
        }
        // Cedar's own syntax, or a form of JSON that is not supported here.
        Some(PolicyScope::unknown(match self.parse(PolicyId::new(""), text)?.body {
            PolicyOrTemplate::Policy(policy) => policy.effect(),
            PolicyOrTemplate::Template(template) => template.effect(),
        }))
    }

    /// Reads a policy or a template.
    fn parse(&self, id: PolicyId, text: &str) -> Option<ParsedPolicy> {
        if !text.starts_with('{') {
            nesting::policies(text).ok()?;
            let parse = || match Policy::parse(Some(id.clone()), text) {
                Ok(policy) => Some(PolicyOrTemplate::Policy(policy)),
                Err(_) => Template::parse(Some(id), text).map(PolicyOrTemplate::Template).ok(),
            };
            let body = with_room(parse).ok()??;
            return Some(ParsedPolicy { body, depends: Dependence::ALL });
        }
        let mut json: Map<String, Value> = serde_json::from_str(text).ok()?;
        for value in json.values_mut() {
            if let Value::Number(number) = value {
                *value = serde_json::from_str(self.part(&number.to_string())?).ok()?;
            }
        }
        // Only a scope has slots: in `==`, `in` and `is in`.
        let has_slot = |part: &str| {
            let part = json.get(part);
            let inner = part.and_then(|part| part.get("in"));
            [part, inner].into_iter().flatten().any(|part| part.get("slot").is_some())
        };
        let is_template = has_slot("principal") || has_slot("resource");
        let json = Value::Object(json);
        let depends = Dependence::from_policy(&json);
        let body = if is_template {
            PolicyOrTemplate::Template(Template::from_json(Some(id), json).ok()?)
        } else {
            PolicyOrTemplate::Policy(Policy::from_json(Some(id), json).ok()?)
        };
        Some(ParsedPolicy { body, depends })
    }

    /// The text of a part of a policy: the part itself, or the text that its number stands for.
    fn part<'a>(&'a self, text: &'a str) -> Option<&'a str> {
        if text.starts_with(|first: char| first.is_ascii_digit()) {
            str::from_utf8(self.parts.row(text.parse().ok()?)?.0).ok()
        } else {
            Some(text)
        }
    }

    fn cells(&self, number: u32) -> Option<(&str, &str)> {
        let (id, text) = self.table.row(usize::try_from(number).ok()?)?;
        Some((str::from_utf8(id).ok()?, str::from_utf8(text).ok()?))
    }
}
