//! The slice: the policies that may matter to a request.
//!
//! Cedar evaluates every policy that it gets, one after the other. A policy whose scope does not match
//! contributes nothing, not even an error (Cedar Policy Language Reference, "Authorization: policy evaluation"),
//! so it can be left out. Each policy is filed under one entity of its scope: the principal if there is one (`==`
//! or `in`), otherwise the resource, otherwise the actions; see `format`. The policies that are found there are
//! compared with the rest of their scopes, see `scope`. For a policy without conditions, that is already the
//! result; only the others are left to Cedar. A policy that is in no slice is never read.

mod dependence;
pub(crate) mod format;
mod rows;
mod scope;

use std::iter;
use std::sync::Arc;

use bytes::Bytes;
use cedar_policy::{Effect, Entities, EntityUid, PolicyId, PolicySet};
use quick_cache::sync::Cache;

use crate::bundle::entities::StoredEntities;
use crate::bundle::table::{Table, Unreadable, entity_key};
use crate::cache::bounded;
pub use dependence::Dependence;
use format::{ACTION, ANY_ACTION, OTHERS, PRINCIPAL, RESOURCE};
use rows::PolicyRows;

/// All policies of a bundle, by their scopes.
#[derive(Clone, Debug)]
pub struct PolicyIndex {
    policies: PolicyRows,
    index: Table,
    /// Where the policies are filed whose scopes name no entity.
    others: Option<usize>,
    indexed: Arc<Cache<(Role, EntityUid), Arc<IndexedEntity>>>,
    /// Sets of policies, ready for Cedar. Callers in the same groups share them.
    sets: Arc<Cache<Vec<u32>, Arc<PolicySet>>>,
}

/// The part that an entity has in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Role {
    Action,
    Resource,
}

/// An action or a resource, and the places of the policies that name it or one of its ancestors.
#[derive(Clone, Debug)]
struct IndexedEntity {
    keys: Vec<Box<str>>,
    rows: Vec<u32>,
    /// The row of the entity itself, if it has one.
    own: Option<u32>,
}

/// A place of policies that may matter to a request. If two requests of one principal on one resource share a
/// list, they find the same policies in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PolicyList {
    at: ListLocation,
    /// The row of an action that the policies name: the action of the request, or one of its ancestors. `None`:
    /// they name none.
    action: Option<u32>,
    /// Whether it is the action of the request itself, which `==` asks for.
    is_own: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum ListLocation {
    /// Policies that name neither principal nor resource.
    Elsewhere(u32),
    Resource(u32),
    Principal,
}

/// The lists of a request.
#[derive(Debug)]
pub(crate) struct PolicyLists {
    action: Arc<IndexedEntity>,
    resource: Arc<IndexedEntity>,
    pub(crate) lists: Vec<PolicyList>,
}

/// The policies of a list whose scopes match.
#[derive(Debug, Default)]
pub(crate) struct ListedPolicies {
    /// Whether one without conditions permits.
    pub(crate) permits: bool,
    /// Whether one without conditions forbids.
    pub(crate) forbids: bool,
    /// Permits with conditions, by their numbers.
    pub(crate) conditional_permits: Vec<u32>,
    /// Forbids with conditions.
    pub(crate) conditional_forbids: Vec<u32>,
    /// How many were looked at.
    pub(crate) looked_at: u64,
}

/// A principal, and the policies that name it or one of its ancestors.
#[derive(Clone, Debug)]
pub struct PrincipalPolicies {
    keys: Vec<Box<str>>,
    /// Each with an action of its scope, in the order of the actions.
    filed: Vec<(u32, u32)>,
}

/// The policies whose scopes match a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// Permits without conditions.
    pub permits: Vec<PolicyId>,
    /// Forbids without conditions.
    pub forbids: Vec<PolicyId>,
    /// Policies with conditions, by their numbers.
    pub conditional: Vec<u32>,
}

impl PolicyIndex {
    /// Opens what `store::build` wrote.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub(crate) fn open(policies: Bytes, parts: Bytes, index: Bytes) -> Result<Self, Unreadable> {
        let (policies, index) = (PolicyRows::open(policies, parts)?, Table::open(index)?);
        let (indexed, sets) = (Arc::new(bounded(CAPACITY)), Arc::new(bounded(SETS)));
        let others = index.position(OTHERS);
        Ok(Self { policies, index, others, indexed, sets })
    }

    /// The policies that name these principals: one, and all its ancestors.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn for_principal<'a>(
        &self,
        principals: impl IntoIterator<Item = &'a EntityUid>,
    ) -> Result<PrincipalPolicies, Unreadable> {
        let keys: Vec<Box<str>> = principals.into_iter().map(entity_key).collect();
        let mut filed = Vec::new();
        for key in &keys {
            if let Some(row) = self.index.position(format::index_key(PRINCIPAL, key).as_bytes()) {
                filed.extend(self.filed(row)?);
            }
        }
        filed.sort_unstable();
        Ok(PrincipalPolicies { keys, filed })
    }

    /// The policies whose scopes match a request.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn slice(
        &self,
        principal: &PrincipalPolicies,
        action: &EntityUid,
        resource: &EntityUid,
        entities: &StoredEntities,
    ) -> Result<Slice, Unreadable> {
        let action = self.indexed_entity(Role::Action, action, principal, entities)?;
        let resource = self.indexed_entity(Role::Resource, resource, principal, entities)?;
        self.matching(principal, &action, &resource)
    }

    /// The same, with entities whose ancestors are known: each comes with all its ancestors, itself first.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub(crate) fn slice_of(
        &self,
        principal: &[EntityUid],
        action: &[EntityUid],
        resource: &[EntityUid],
    ) -> Result<Slice, Unreadable> {
        let principal = self.for_principal(principal)?;
        let indexed_entity =
            |role, line: &[EntityUid]| self.index_entity(role, line.iter().map(entity_key).collect());
        self.matching(
            &principal,
            &indexed_entity(Role::Action, action)?,
            &indexed_entity(Role::Resource, resource)?,
        )
    }

    fn matching(
        &self,
        principal: &PrincipalPolicies,
        action: &IndexedEntity,
        resource: &IndexedEntity,
    ) -> Result<Slice, Unreadable> {
        let mut found: Vec<u32> = Vec::new();
        if let Some(row) = self.others {
            found.extend(self.filed(row)?.map(|(_, policy)| policy));
        }
        for row in &action.rows {
            found.extend(self.filed(*row as usize)?.map(|(_, policy)| policy));
        }
        let is_about = |number: u32| number == ANY_ACTION || action.rows.contains(&number);
        for row in &resource.rows {
            let filed = self.filed(*row as usize)?.filter(|(action, _)| is_about(*action));
            found.extend(filed.map(|(_, policy)| policy));
        }
        for number in action.rows.iter().chain([&ANY_ACTION]) {
            found.extend(principal.about(*number));
        }
        found.sort_unstable();
        found.dedup();

        let mut slice = Slice::default();
        for number in found {
            let row = self.policies.row(number)?;
            if row.scope.is_open() {
                return Err(Unreadable);
            }
            if !row.scope.matches(&principal.keys, &action.keys, &resource.keys) {
                continue;
            }
            match (row.scope.has_conditions, row.scope.effect) {
                (false, Effect::Permit) => slice.permits.push(row.id.clone()),
                (false, Effect::Forbid) => slice.forbids.push(row.id.clone()),
                (true, _) => slice.conditional.push(number),
            }
        }
        Ok(slice)
    }

    /// The places of the policies of a request. Together they have the policies of [`PolicyIndex::slice`].
    ///
    /// # Errors
    /// [`Unreadable`].
    pub(crate) fn lists(
        &self,
        principal: &PrincipalPolicies,
        action: &EntityUid,
        resource: &EntityUid,
        entities: &StoredEntities,
    ) -> Result<PolicyLists, Unreadable> {
        let action = self.indexed_entity(Role::Action, action, principal, entities)?;
        let resource = self.indexed_entity(Role::Resource, resource, principal, entities)?;
        let own = |row: u32| action.own == Some(row);
        let actions = || iter::once(None).chain(action.rows.iter().copied().map(Some));
        let mut lists = Vec::new();
        if let Some(row) = self.others {
            let at = ListLocation::Elsewhere(u32::try_from(row).map_err(|_| Unreadable)?);
            lists.push(PolicyList { at, action: None, is_own: false });
        }
        for row in &action.rows {
            // Each action that a policy names has a row, often only for policies that are filed elsewhere.
            if self.filed(*row as usize)?.next().is_some() {
                lists.push(PolicyList {
                    at: ListLocation::Elsewhere(*row),
                    action: Some(*row),
                    is_own: own(*row),
                });
            }
        }
        for named in actions() {
            let is_own = named.is_some_and(own);
            lists.extend(resource.rows.iter().map(|row| PolicyList {
                at: ListLocation::Resource(*row),
                action: named,
                is_own,
            }));
            if principal.about(named.unwrap_or(ANY_ACTION)).next().is_some() {
                lists.push(PolicyList { at: ListLocation::Principal, action: named, is_own });
            }
        }
        Ok(PolicyLists { action, resource, lists })
    }

    /// The policies of a list whose scopes match. `lists` must be those of the same request.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub(crate) fn members(
        &self,
        list: PolicyList,
        principal: &PrincipalPolicies,
        PolicyLists { action, resource, .. }: &PolicyLists,
    ) -> Result<ListedPolicies, Unreadable> {
        let mut members = ListedPolicies::default();
        let about = list.action.unwrap_or(ANY_ACTION);
        let mut add = |number: u32| {
            let row = self.policies.row(number)?;
            if row.scope.is_open() {
                return Err(Unreadable);
            }
            members.looked_at += 1;
            if row.scope.matches(&principal.keys, &action.keys, &resource.keys) {
                match (row.scope.has_conditions, row.scope.effect) {
                    (false, Effect::Permit) => members.permits = true,
                    (false, Effect::Forbid) => members.forbids = true,
                    (true, Effect::Permit) => members.conditional_permits.push(number),
                    (true, Effect::Forbid) => members.conditional_forbids.push(number),
                }
            }
            Ok(())
        };
        match list.at {
            ListLocation::Principal => principal.about(about).try_for_each(add)?,
            ListLocation::Elsewhere(row) => {
                self.filed(row as usize)?.try_for_each(|(_, policy)| add(policy))?
            }
            ListLocation::Resource(row) => {
                let mut filed = self.filed(row as usize)?.filter(|(action, _)| *action == about);
                filed.try_for_each(|(_, policy)| add(policy))?;
            }
        }
        Ok(members)
    }

    /// What the condition of a policy depends on.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub(crate) fn depends(&self, number: u32) -> Result<Dependence, Unreadable> {
        self.policies.depends(number)
    }

    /// The id and the effect of a policy.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub(crate) fn policy(&self, number: u32) -> Result<(PolicyId, Effect), Unreadable> {
        let row = self.policies.row(number)?;
        Ok((row.id.clone(), row.scope.effect))
    }

    /// Policies ready for Cedar, given by their numbers.
    ///
    /// # Errors
    /// [`Unreadable`]: a policy is missing, and the decision could be another one without it.
    pub fn policies(&self, numbers: Vec<u32>) -> Result<Arc<PolicySet>, Unreadable> {
        if let Some(known) = self.sets.get(&numbers) {
            return Ok(known);
        }
        let mut set = PolicySet::new();
        for number in &numbers {
            self.policies.add(*number, &mut set)?;
        }
        let set = Arc::new(set);
        self.sets.insert(numbers, Arc::clone(&set));
        Ok(set)
    }

    /// All policies, templates and links.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn all(&self) -> Result<PolicySet, Unreadable> {
        self.policies.all()
    }

    fn indexed_entity(
        &self,
        role: Role,
        uid: &EntityUid,
        principal: &PrincipalPolicies,
        entities: &StoredEntities,
    ) -> Result<Arc<IndexedEntity>, Unreadable> {
        let at = (role, uid.clone());
        let known = self.indexed.get(&at);
        let indexed_entity = match known {
            Some(known) => known,
            None => {
                let all = entities.with_ancestors(uid)?;
                let indexed_entity = Arc::new(self.index_entity(role, all.iter().map(entity_key).collect())?);
                self.indexed.insert(at, Arc::clone(&indexed_entity));
                indexed_entity
            }
        };
        // The token says what the principal is in. The store does not know that.
        match principal.keys.split_first() {
            Some((itself, _)) if indexed_entity.keys.first() == Some(itself) => {
                Ok(Arc::new(self.index_entity(role, principal.keys.clone())?))
            }
            Some((itself, others)) if indexed_entity.keys.contains(itself) => {
                let mut keys = indexed_entity.keys.clone();
                keys.extend(others.iter().filter(|key| !indexed_entity.keys.contains(key)).cloned());
                Ok(Arc::new(self.index_entity(role, keys)?))
            }
            _ => Ok(indexed_entity),
        }
    }

    fn index_entity(&self, role: Role, keys: Vec<Box<str>>) -> Result<IndexedEntity, Unreadable> {
        let prefix = match role {
            Role::Action => ACTION,
            Role::Resource => RESOURCE,
        };
        // An entity that no policy names has no row.
        let row = |key: &str| self.index.position(format::index_key(prefix, key).as_bytes());
        let (mut rows, mut own) = (Vec::new(), None);
        for (position, key) in keys.iter().enumerate() {
            let Some(row) = row(key) else { continue };
            let row = u32::try_from(row).map_err(|_| Unreadable)?;
            if position == 0 {
                own = Some(row);
            }
            rows.push(row);
        }
        Ok(IndexedEntity { keys, rows, own })
    }

    /// The policies at a place of the index, given by its row. Each comes with an action that its scope names.
    fn filed(&self, row: usize) -> Result<impl Iterator<Item = (u32, u32)>, Unreadable> {
        let (_, filed) = self.index.row(row).ok_or(Unreadable)?;
        let (numbers, rest) = filed.as_chunks::<NUMBER>();
        let (pairs, odd) = numbers.as_chunks::<2>();
        let read =
            |[action, policy]: &[[u8; NUMBER]; 2]| (u32::from_le_bytes(*action), u32::from_le_bytes(*policy));
        if rest.is_empty() && odd.is_empty() { Ok(pairs.iter().map(read)) } else { Err(Unreadable) }
    }
}

impl PrincipalPolicies {
    /// The policies whose scopes name an action, given by its number.
    fn about(&self, action: u32) -> impl Iterator<Item = u32> {
        let (_, from) = self.filed.split_at(self.filed.partition_point(|(of, _)| *of < action));
        from.iter().take_while(move |(of, _)| *of == action).map(|(_, policy)| *policy)
    }
}

/// An entity with all its ancestors.
pub fn with_ancestors(entities: &Entities, uid: &EntityUid) -> Vec<EntityUid> {
    let ancestors = entities.ancestors(uid).into_iter().flatten().cloned();
    iter::once(uid.clone()).chain(ancestors).collect()
}

const NUMBER: usize = size_of::<u32>();

/// A parsed policy with conditions takes about four kilobytes, so this many take ten megabytes. A grant for a
/// thousand routes may need as many.
const CAPACITY: usize = 2500;

/// Each set has copies of a handful of policies.
const SETS: usize = 1250;
