//! The slice: of all policies those that may matter to a request.
//!
//! Cedar evaluates every policy it is given, one after the other. A policy whose scope does not match
//! contributes nothing, not even an error (Cedar Policy Language Reference, "Authorization: policy
//! evaluation"), so it can be left out. Each policy is filed under one entity of its scope: the principal
//! if there is one (`==` or `in`), else the resource, else the actions; see `slice/filing.rs`. What is in no slice
//! is never parsed.

pub(crate) mod filing;

use std::collections::HashMap;
use std::sync::Arc;

use cedar_policy::{Effect, Entities, EntityUid, Policy, PolicyId, PolicySet, SlotId, Template};
use quick_cache::sync::Cache;

use crate::bundle::table::{Table, Unreadable, entity_key};
use crate::bundle::text::uid;
use filing::{ACTION, ANY_ACTION, OTHERS, PRINCIPAL, RESOURCE};

/// All policies of a bundle, by their scopes.
#[derive(Clone, Debug)]
pub struct PolicyIndex {
    policies: Table,
    index: Table,
    /// Where the policies are filed that name nothing.
    others: Option<usize>,
    parsed: Arc<Cache<u32, Arc<Parsed>>>,
    /// Where the policies of an action or a resource are filed. `None`: no policy names it.
    places: Arc<Cache<(&'static str, EntityUid), Option<u32>>>,
    /// Slices as Cedar takes them: callers of the same groups have the same.
    sets: Arc<Cache<Vec<u32>, Arc<PolicySet>>>,
}

/// A row of the table of policies.
#[derive(Debug)]
enum Parsed {
    Policy(Policy),
    Template(Template),
    Link { template: Arc<Parsed>, id: PolicyId, values: HashMap<SlotId, EntityUid> },
}

impl Parsed {
    /// Adds a policy, or a link with its template; a template alone decides nothing.
    fn add_to(&self, set: &mut PolicySet) -> Result<(), Unreadable> {
        match self {
            Self::Policy(policy) => set.add(policy.clone()).map_err(|_| Unreadable),
            Self::Link { template, id, values } => {
                let Self::Template(template) = &**template else {
                    return Err(Unreadable);
                };
                if set.template(template.id()).is_none() {
                    set.add_template(template.clone()).map_err(|_| Unreadable)?;
                }
                let linked = set.link(template.id().clone(), id.clone(), values.clone());
                linked.map_err(|_| Unreadable)
            }
            Self::Template(_) => Err(Unreadable),
        }
    }

    fn effect(&self) -> Result<Effect, Unreadable> {
        match self {
            Self::Policy(policy) => Ok(policy.effect()),
            Self::Template(template) => Ok(template.effect()),
            Self::Link { template, .. } => match &**template {
                Self::Template(template) => Ok(template.effect()),
                Self::Policy(_) | Self::Link { .. } => Err(Unreadable),
            },
        }
    }
}

impl PolicyIndex {
    /// Opens what [`filing::file`] wrote.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub(crate) fn open(policies: &[u8], index: &[u8]) -> Result<Self, Unreadable> {
        let (policies, index) = (Table::open(policies)?, Table::open(index)?);
        let (parsed, sets) = (Arc::new(Cache::new(CAPACITY)), Arc::new(Cache::new(SETS)));
        let others = index.position(OTHERS);
        Ok(Self { policies, index, others, parsed, places: Arc::new(Cache::new(CAPACITY)), sets })
    }

    /// The policies whose scopes these principals (one and all that it is in) can match, by their actions.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn for_principal(&self, principals: &[EntityUid]) -> Result<ForPrincipal, Unreadable> {
        let mut by_action: HashMap<u32, Vec<u32>> = HashMap::new();
        for uid in principals {
            if let Some(row) = self.index.position(&entity_key(PRINCIPAL, uid)) {
                for (action, policy) in self.filed(row)? {
                    by_action.entry(action).or_default().push(policy);
                }
            }
        }
        Ok(ForPrincipal { by_action })
    }

    fn place(&self, prefix: &'static str, uid: &EntityUid) -> Result<Option<u32>, Unreadable> {
        let key = (prefix, uid.clone());
        if let Some(known) = self.places.get(&key) {
            return Ok(known);
        }
        let row = self.index.position(&entity_key(prefix, uid));
        let row = row.map(u32::try_from).transpose().map_err(|_| Unreadable)?;
        self.places.insert(key, row);
        Ok(row)
    }

    /// The policies at a place, given by its row, each with an action that its scope names.
    fn filed(&self, row: usize) -> Result<impl Iterator<Item = (u32, u32)>, Unreadable> {
        let (_, filed) = self.index.row(row).ok_or(Unreadable)?;
        let (numbers, rest) = filed.as_chunks::<NUMBER>();
        let (pairs, odd) = numbers.as_chunks::<2>();
        let read =
            |[action, policy]: &[[u8; NUMBER]; 2]| (u32::from_le_bytes(*action), u32::from_le_bytes(*policy));
        match rest.is_empty() && odd.is_empty() {
            true => Ok(pairs.iter().map(read)),
            false => Err(Unreadable),
        }
    }

    /// The policies that may matter to a request, by their number. Both an action and a resource come with all
    /// that they are in.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn slice(
        &self,
        principal: &ForPrincipal,
        actions: &[EntityUid],
        resources: &[EntityUid],
    ) -> Result<Vec<u32>, Unreadable> {
        let mut slice: Vec<u32> = Vec::new();
        if let Some(row) = self.others {
            slice.extend(self.filed(row)?.map(|(_, policy)| policy));
        }
        let mut numbers = vec![ANY_ACTION];
        for action in actions {
            // An action that no policy names has no row.
            if let Some(row) = self.place(ACTION, action)? {
                numbers.push(row);
                slice.extend(self.filed(row as usize)?.map(|(_, policy)| policy));
            }
        }
        slice.extend(numbers.iter().filter_map(|action| principal.by_action.get(action)).flatten());
        for resource in resources {
            if let Some(row) = self.place(RESOURCE, resource)? {
                let filed = self.filed(row as usize)?;
                slice.extend(filed.filter(|(action, _)| numbers.contains(action)).map(|(_, policy)| policy));
            }
        }
        slice.sort_unstable();
        slice.dedup();
        Ok(slice)
    }

    /// Whether any policy of a slice permits. Without one nothing is allowed, whatever the conditions say.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn has_permit(&self, slice: &[u32]) -> Result<bool, Unreadable> {
        for number in slice {
            if self.parsed(*number)?.effect()? == Effect::Permit {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The policies of a slice as Cedar takes them.
    ///
    /// # Errors
    /// [`Unreadable`]: one is missing, and without it another decision could be made.
    pub fn policies(&self, slice: Vec<u32>) -> Result<Arc<PolicySet>, Unreadable> {
        if let Some(known) = self.sets.get(&slice) {
            return Ok(known);
        }
        let mut set = PolicySet::new();
        for number in &slice {
            self.parsed(*number)?.add_to(&mut set)?;
        }
        let set = Arc::new(set);
        self.sets.insert(slice, Arc::clone(&set));
        Ok(set)
    }

    /// All policies, templates and links, each parsed anew.
    ///
    /// # Errors
    /// [`Unreadable`].
    #[cfg(feature = "cli")]
    pub fn all(&self) -> Result<PolicySet, Unreadable> {
        let mut set = PolicySet::new();
        let numbers = 0..u32::try_from(self.policies.len()).map_err(|_| Unreadable)?;
        for number in numbers {
            match self.parse(number).ok_or(Unreadable)? {
                Parsed::Template(template) if set.template(template.id()).is_some() => {}
                Parsed::Template(template) => set.add_template(template).map_err(|_| Unreadable)?,
                parsed => parsed.add_to(&mut set)?,
            }
        }
        Ok(set)
    }

    fn parsed(&self, number: u32) -> Result<Arc<Parsed>, Unreadable> {
        if let Some(parsed) = self.parsed.get(&number) {
            return Ok(parsed);
        }
        let parsed = Arc::new(self.parse(number).ok_or(Unreadable)?);
        self.parsed.insert(number, Arc::clone(&parsed));
        Ok(parsed)
    }

    fn parse(&self, number: u32) -> Option<Parsed> {
        let (id, text) = self.policies.row(usize::try_from(number).ok()?)?;
        let (id, text) = (PolicyId::new(str::from_utf8(id).ok()?), str::from_utf8(text).ok()?);
        if text.starts_with('[') {
            let (template, principal, resource): (String, Option<uid::Pair>, Option<uid::Pair>) =
                serde_json::from_str(text).ok()?;
            let template = self.policies.position(template.as_bytes())?;
            let mut values = HashMap::new();
            for (slot, uid) in [(SlotId::principal(), principal), (SlotId::resource(), resource)] {
                if let Some(uid) = uid {
                    values.insert(slot, uid::of_pair(&uid)?);
                }
            }
            // A link leads to a template, never to another link, which could go on forever.
            if self.policies.row(template)?.1.starts_with(b"[") {
                return None;
            }
            let template = self.parsed(u32::try_from(template).ok()?).ok()?;
            return Some(Parsed::Link { template, id, values });
        }
        parse_text(id, text)
    }
}

/// Reads a policy or a template.
fn parse_text(id: PolicyId, text: &str) -> Option<Parsed> {
    if !text.starts_with('{') {
        return match Policy::parse(Some(id.clone()), text) {
            Ok(policy) => Some(Parsed::Policy(policy)),
            Err(_) => Template::parse(Some(id), text).map(Parsed::Template).ok(),
        };
    }
    let json: serde_json::Value = serde_json::from_str(text).ok()?;
    // Of the scope alone: `==`, `in` and `is in` can have one.
    let has_slot = |part: &str| {
        let part = json.get(part);
        let inner = part.and_then(|part| part.get("in"));
        [part, inner].into_iter().flatten().any(|part| part.get("slot").is_some())
    };
    match has_slot("principal") || has_slot("resource") {
        true => Template::from_json(Some(id), json).map(Parsed::Template).ok(),
        false => Policy::from_json(Some(id), json).map(Parsed::Policy).ok(),
    }
}

/// The policies that may matter to a principal, by the actions of their scopes.
#[derive(Clone, Debug)]
pub struct ForPrincipal {
    by_action: HashMap<u32, Vec<u32>>,
}

/// An entity with all that it is in.
pub fn with_ancestors(entities: &Entities, uid: &EntityUid) -> Vec<EntityUid> {
    let ancestors = entities.ancestors(uid).into_iter().flatten().cloned();
    std::iter::once(uid.clone()).chain(ancestors).collect()
}

const NUMBER: usize = size_of::<u32>();

/// A parsed policy takes about four kilobytes, so these take ten megabytes if that many are needed. A grant for a
/// thousand routes needs as many.
const CAPACITY: usize = 2500;

/// A handful of policies each, which they have copies of.
const SETS: usize = 1250;

#[cfg(test)]
mod tests;
