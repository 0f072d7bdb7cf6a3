//! Policies as they are in the map, each parsed when Cedar needs it.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use cedar_policy::{Effect, Policy, PolicyId, PolicySet, SlotId, Template};
use serde_json::{Map, Value};

use super::Dependence;
use super::scope::PolicyScope;
use crate::bundle::table::{Table, Unreadable, key_of};
use crate::bundle::text::uid;
use crate::bundle::{nesting, with_room};

/// A policy or template link of a bundle. Of one bundle, policies with the same id are the same.
#[derive(Clone, Debug)]
pub struct FiledPolicy(pub(super) Arc<PolicyRow>);

/// A policy, a template or a template link.
#[derive(Debug)]
pub(super) struct PolicyRow {
    pub(super) id: PolicyId,
    pub(super) scope: PolicyScope,
    form: RowContent,
}

#[derive(Debug)]
enum RowContent {
    /// A policy or a template.
    Text(PolicyText),
    /// A template link, with the entities of its slots.
    Link { template: FiledPolicy, principal: Option<uid::Pair>, resource: Option<uid::Pair> },
}

/// The text of a policy or a template. Cedar parses it when there are conditions to evaluate.
#[derive(Debug)]
struct PolicyText {
    text: Bytes,
    parts: Table,
    /// `None`: it cannot be parsed.
    parsed: OnceLock<Option<Box<ParsedPolicy>>>,
}

/// A policy or a template as Cedar parsed it.
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

impl PartialEq for FiledPolicy {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.id == other.0.id
    }
}

impl Eq for FiledPolicy {}

impl Hash for FiledPolicy {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}

impl FiledPolicy {
    /// Reads a policy, template or link from its text. `template` gives the template of a link.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub(super) fn read(
        id: &str,
        text: &[u8],
        parts: &Table,
        template: impl FnOnce(&str) -> Result<Self, Unreadable>,
    ) -> Result<Self, Unreadable> {
        let text_of = str::from_utf8(text).map_err(|_| Unreadable::Malformed)?;
        let id = PolicyId::new(id);
        if text_of.starts_with('[') {
            let (template_id, principal, resource): (String, Option<uid::Pair>, Option<uid::Pair>) =
                serde_json::from_str(text_of).map_err(|_| Unreadable::Malformed)?;
            let template = template(&template_id)?;
            let key = |pair: &Option<uid::Pair>| pair.as_ref().map(|(of, id)| key_of(of, id));
            let (of_principal, of_resource) = (key(&principal), key(&resource));
            let scope = template.0.scope.linked(of_principal.as_deref(), of_resource.as_deref());
            let scope = scope.ok_or(Unreadable::Malformed)?;
            let form = RowContent::Link { template, principal, resource };
            return Ok(Self(Arc::new(PolicyRow { id, scope, form })));
        }
        let scope = scope(text_of, parts).ok_or(Unreadable::Malformed)?;
        let (text, parts) = (Bytes::copy_from_slice(text), parts.clone());
        let form = RowContent::Text(PolicyText { text, parts, parsed: OnceLock::new() });
        Ok(Self(Arc::new(PolicyRow { id, scope, form })))
    }

    /// The id.
    pub fn id(&self) -> &PolicyId {
        &self.0.id
    }

    /// The effect.
    pub fn effect(&self) -> Effect {
        self.0.scope.effect
    }

    /// Whether it is a template link.
    pub(super) fn is_link(&self) -> bool {
        matches!(self.0.form, RowContent::Link { .. })
    }

    /// What the condition depends on. For a template link, the condition of its template.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub(crate) fn depends(&self) -> Result<Dependence, Unreadable> {
        if !self.0.scope.is_known {
            return Ok(Dependence::ALL);
        }
        let of = match &self.0.form {
            RowContent::Text(_) => self,
            RowContent::Link { template, .. } => template,
        };
        Ok(of.parsed()?.depends)
    }

    /// Whether Cedar has parsed it.
    #[cfg(all(test, feature = "authoring"))]
    pub(crate) fn is_parsed(&self) -> bool {
        matches!(&self.0.form, RowContent::Text(PolicyText { parsed, .. }) if parsed.get().is_some())
    }

    /// Adds it to a set; a link with its template.
    ///
    /// # Errors
    /// [`Unreadable::Malformed`], also for a template, which by itself decides nothing.
    pub(super) fn add_to(&self, set: &mut PolicySet) -> Result<(), Unreadable> {
        let malformed = |_| Unreadable::Malformed;
        let RowContent::Link { template, principal, resource } = &self.0.form else {
            return match &self.parsed()?.body {
                PolicyOrTemplate::Policy(policy) => set.add(policy.clone()).map_err(malformed),
                PolicyOrTemplate::Template(_) => Err(Unreadable::Malformed),
            };
        };
        let template = template.add_template_to(set)?;
        let mut values = HashMap::new();
        for (slot, pair) in [(SlotId::principal(), principal), (SlotId::resource(), resource)] {
            if let Some(pair) = pair {
                values.insert(slot, uid::of_pair(pair).ok_or(Unreadable::Malformed)?);
            }
        }
        set.link(template, self.0.id.clone(), values).map_err(malformed)
    }

    /// Adds a template to a set that does not have it yet. Returns its id.
    ///
    /// # Errors
    /// [`Unreadable::Malformed`], also for anything else than a template.
    pub(super) fn add_template_to(&self, set: &mut PolicySet) -> Result<PolicyId, Unreadable> {
        let PolicyOrTemplate::Template(template) = &self.parsed()?.body else {
            return Err(Unreadable::Malformed);
        };
        if set.template(template.id()).is_none() {
            set.add_template(template.clone()).map_err(|_| Unreadable::Malformed)?;
        }
        Ok(template.id().clone())
    }

    /// A policy or a template as Cedar parses it.
    fn parsed(&self) -> Result<&ParsedPolicy, Unreadable> {
        let RowContent::Text(PolicyText { text, parts, parsed }) = &self.0.form else {
            return Err(Unreadable::Malformed);
        };
        let parse = || parse(self.0.id.clone(), str::from_utf8(text).ok()?, parts).map(Box::new);
        parsed.get_or_init(parse).as_deref().ok_or(Unreadable::Malformed)
    }
}

/// The scope of a policy or template.
fn scope(text: &str, parts: &Table) -> Option<PolicyScope> {
    if text.starts_with('{')
        && let Some(scope) = PolicyScope::read(text, |raw| part(parts, raw.get()))
    {
        return Some(scope);
    }
    // Cedar's own syntax, or a form of JSON that is not supported here.
    Some(PolicyScope::unknown(match parse(PolicyId::new(""), text, parts)?.body {
        PolicyOrTemplate::Policy(policy) => policy.effect(),
        PolicyOrTemplate::Template(template) => template.effect(),
    }))
}

/// Reads a policy or a template.
fn parse(id: PolicyId, text: &str, parts: &Table) -> Option<ParsedPolicy> {
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
            *value = serde_json::from_str(part(parts, &number.to_string())?).ok()?;
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
fn part<'a>(parts: &'a Table, text: &'a str) -> Option<&'a str> {
    if text.starts_with(|first: char| first.is_ascii_digit()) {
        str::from_utf8(parts.row(text.parse().ok()?)?.0).ok()
    } else {
        Some(text)
    }
}
