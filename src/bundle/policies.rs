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
mod place;
mod rows;
mod scope;

use std::collections::HashSet;
use std::iter;
use std::sync::Arc;

use cedar_policy::{Effect, Entities, EntityUid, PolicyId, PolicySet};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::bundle::chunks::key::{self, KeyKind};
use crate::bundle::chunks::{ChunkMap, MapValue};
use crate::bundle::entities::StoredEntities;
use crate::bundle::table::{Table, Unreadable, entity_key};
use crate::cache::{bounded, weighted};
pub use dependence::Dependence;
use format::{ANY_ACTION, action_number};
use place::{Place, PlaceRef};
pub use rows::FiledPolicy;

/// All policies of a bundle, by their scopes.
#[derive(Clone, Debug)]
pub struct PolicyIndex {
    map: ChunkMap,
    /// By their keys. An inner `None`: the bundle has no policies there.
    places: Arc<Places>,
    templates: Arc<Cache<Box<str>, FiledPolicy>>,
    indexed: Arc<Cache<(Role, EntityUid), Arc<IndexedEntity>, ByMemory>>,
    /// Sets of policies, ready for Cedar. Callers in the same groups share them.
    sets: Arc<Cache<Vec<FiledPolicy>, Arc<PolicySet>>>,
}

type Places = Cache<Box<[u8]>, Option<Arc<Place>>, ByMemory>;

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
    /// Each with the position of its key.
    places: Vec<(usize, PlaceRef)>,
    /// If it is an action: it and its ancestors, in the order of the keys.
    actions: Vec<NamedAction>,
}

/// An action that a scope can name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct NamedAction {
    number: u64,
    key: Arc<str>,
}

/// A place of policies that may matter to a request. If two requests of one principal on one resource share a
/// list, they find the same policies in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PolicyList {
    at: ListLocation,
    /// The action that the policies name: that of the request, or one of its ancestors. `None`: they name none.
    action: Option<NamedAction>,
    /// Whether it is the action of the request itself, which `==` asks for.
    is_own: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum ListLocation {
    /// Policies that name neither principal nor resource.
    Elsewhere(PlaceRef),
    Resource(PlaceRef),
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
    /// Permits with conditions.
    pub(crate) conditional_permits: Vec<FiledPolicy>,
    /// Forbids with conditions.
    pub(crate) conditional_forbids: Vec<FiledPolicy>,
    /// How many were looked at.
    pub(crate) looked_at: u64,
}

/// A principal, and the policies that name it or one of its ancestors.
#[derive(Clone, Debug)]
pub struct PrincipalPolicies {
    keys: Vec<Box<str>>,
    places: Vec<Arc<Place>>,
}

/// The policies whose scopes match a request, each in the order of their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// Permits without conditions.
    pub permits: Vec<PolicyId>,
    /// Forbids without conditions.
    pub forbids: Vec<PolicyId>,
    /// Policies with conditions.
    pub conditional: Vec<FiledPolicy>,
}

/// Weighs what is read of the map by the memory that it takes.
#[derive(Clone, Copy, Debug)]
struct ByMemory;

impl Weighter<Box<[u8]>, Option<Arc<Place>>> for ByMemory {
    fn weight(&self, key: &Box<[u8]>, place: &Option<Arc<Place>>) -> u64 {
        place.as_ref().map_or(0, |place| place.weight()).saturating_add(key.len() as u64 + ENTRY)
    }
}

impl Weighter<(Role, EntityUid), Arc<IndexedEntity>> for ByMemory {
    fn weight(&self, _: &(Role, EntityUid), indexed: &Arc<IndexedEntity>) -> u64 {
        let places: u64 = indexed.places().map(|place| place.0.weight()).sum();
        let keys: usize = indexed.keys.iter().map(|key| key.len()).sum();
        places.saturating_add(keys as u64 + ENTRY)
    }
}

impl PolicyIndex {
    /// The policies of a map.
    pub(crate) fn new(map: ChunkMap) -> Self {
        let items = usize::try_from(PLACES / TYPICAL).unwrap_or(usize::MAX);
        Self {
            map,
            places: Arc::new(weighted(PLACES, items, ByMemory)),
            templates: Arc::new(bounded(TEMPLATES)),
            indexed: Arc::new(weighted(PLACES, items, ByMemory)),
            sets: Arc::new(bounded(SETS)),
        }
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
        let places = self.places(keys.iter().map(|key| key::principal(key)))?;
        Ok(PrincipalPolicies { keys, places: places.into_iter().map(|(_, place)| place.0).collect() })
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
        let action = self.indexed_entity(Role::Action, action, principal, entities);
        let resource = self.indexed_entity(Role::Resource, resource, principal, entities);
        self.matching(principal, &*action?, &*resource?)
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
        let indexed_entity =
            |role, line: &[EntityUid]| self.index_entity(role, line.iter().map(entity_key).collect());
        let principal = self.for_principal(principal);
        let action = indexed_entity(Role::Action, action);
        let resource = indexed_entity(Role::Resource, resource);
        self.matching(&principal?, &action?, &resource?)
    }

    fn matching(
        &self,
        principal: &PrincipalPolicies,
        action: &IndexedEntity,
        resource: &IndexedEntity,
    ) -> Result<Slice, Unreadable> {
        let (mut matching, mut unreadable) = (Matching::default(), None);
        let mut add = |place: &Arc<Place>, row: u32| match self.policy(place, row) {
            Ok(policy) if policy.0.scope.matches(&principal.keys, &action.keys, &resource.keys) => {
                matching.add(policy);
            }
            Ok(_) => {}
            // The others are looked for as well, so that all of them are asked for at once.
            Err(error) => unreadable = Some(error),
        };
        let others = self.others()?;
        for PlaceRef(place) in others.iter().chain(action.places()) {
            place.rows().for_each(|row| add(place, row));
        }
        let of_resource = resource.places().map(|place| &place.0);
        for place in of_resource.chain(&principal.places) {
            for number in action.numbers() {
                place.about(number).for_each(|row| add(place, row));
            }
        }
        unreadable.map_or_else(|| Ok(matching.into_slice()), Err)
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
        let action = self.indexed_entity(Role::Action, action, principal, entities);
        let resource = self.indexed_entity(Role::Resource, resource, principal, entities);
        let (action, resource) = (action?, resource?);
        let mut lists = Vec::new();
        if let Some(place) = self.others()? {
            lists.push(PolicyList { at: ListLocation::Elsewhere(place), action: None, is_own: false });
        }
        for (position, place) in &action.places {
            let (at, named) = (ListLocation::Elsewhere(place.clone()), action.actions.get(*position));
            lists.push(PolicyList { at, action: named.cloned(), is_own: *position == 0 });
        }
        let named = action.actions.iter().enumerate().map(|(position, named)| (position == 0, Some(named)));
        for (is_own, named) in iter::once((false, None)).chain(named) {
            let number = named.map_or(ANY_ACTION, |named| named.number);
            let list = |at| PolicyList { at, action: named.cloned(), is_own };
            let of_resource = resource.places().filter(|place| place.0.about(number).next().is_some());
            lists.extend(of_resource.map(|place| list(ListLocation::Resource(place.clone()))));
            if principal.about(number).next().is_some() {
                lists.push(list(ListLocation::Principal));
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
        list: &PolicyList,
        principal: &PrincipalPolicies,
        PolicyLists { action, resource, .. }: &PolicyLists,
    ) -> Result<ListedPolicies, Unreadable> {
        let (mut members, mut unreadable) = (ListedPolicies::default(), None);
        let about = list.action.as_ref().map_or(ANY_ACTION, |named| named.number);
        let mut add = |place: &Arc<Place>, row: u32| {
            let policy = match self.policy(place, row) {
                Ok(policy) => policy,
                // The others are looked for as well, so that all of them are asked for at once.
                Err(error) => {
                    unreadable = Some(error);
                    return;
                }
            };
            let scope = &policy.0.scope;
            members.looked_at += 1;
            if scope.matches(&principal.keys, &action.keys, &resource.keys) {
                match (scope.has_conditions, scope.effect) {
                    (false, Effect::Permit) => members.permits = true,
                    (false, Effect::Forbid) => members.forbids = true,
                    (true, Effect::Permit) => members.conditional_permits.push(policy),
                    (true, Effect::Forbid) => members.conditional_forbids.push(policy),
                }
            }
        };
        match &list.at {
            ListLocation::Principal => principal.about(about).for_each(|(place, row)| add(place, row)),
            ListLocation::Elsewhere(PlaceRef(place)) => place.rows().for_each(|row| add(place, row)),
            ListLocation::Resource(PlaceRef(place)) => place.about(about).for_each(|row| add(place, row)),
        }
        unreadable.map_or(Ok(members), Err)
    }

    /// Policies ready for Cedar.
    ///
    /// # Errors
    /// [`Unreadable`]: a policy cannot be read, and the decision could be another one without it.
    pub fn policies(&self, policies: Vec<FiledPolicy>) -> Result<Arc<PolicySet>, Unreadable> {
        if let Some(known) = self.sets.get(&policies) {
            return Ok(known);
        }
        let mut set = PolicySet::new();
        for policy in &policies {
            policy.add_to(&mut set)?;
        }
        let set = Arc::new(set);
        self.sets.insert(policies, Arc::clone(&set));
        Ok(set)
    }

    /// Reads some policies, at most so many, and lets Cedar parse their conditions. Those that are away are left out, as
    /// are those that cannot be read: a call that needs them says so.
    #[cfg_attr(
        not(feature = "function"),
        expect(dead_code, reason = "only the function prepares for its first call")
    )]
    pub(crate) fn prepare(&self, most: usize) {
        let mut left = most;
        for chunk in self.map.chunks_here().take(PREPARED_CHUNKS) {
            for (key, _) in chunk.rows.rows() {
                if left == 0 {
                    return;
                }
                let Some((KeyKind::Policies, _)) = key::read(key) else { continue };
                let Ok(Some(place)) = self.place(key) else { continue };
                for row in place.rows().take(left) {
                    if let Ok(policy) = self.policy(&place, row)
                        && policy.0.scope.has_conditions
                    {
                        let _ = policy.depends();
                    }
                    left -= 1;
                }
            }
        }
    }

    /// All policies, templates and links. This reads the whole map.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn all(&self) -> Result<PolicySet, Unreadable> {
        let mut set = PolicySet::new();
        let mut links: Vec<FiledPolicy> = Vec::new();
        let mut known: HashSet<PolicyId> = HashSet::new();
        for chunk in self.map.chunks() {
            for (key, value) in chunk?.values() {
                match key::read(key).ok_or(Unreadable::Malformed)? {
                    (KeyKind::Entity, _) => {}
                    (KeyKind::Template, id) => {
                        let id = str::from_utf8(id).map_err(|_| Unreadable::Malformed)?;
                        read_template(id, &value)?.add_template_to(&mut set)?;
                    }
                    (KeyKind::Policies, _) => {
                        let place = Place::read(key, &value)?;
                        for row in place.rows() {
                            let policy = self.policy(&place, row)?;
                            if !known.insert(policy.id().clone()) {
                                continue;
                            }
                            if policy.is_link() {
                                links.push(policy);
                            } else {
                                policy.add_to(&mut set)?;
                            }
                        }
                    }
                }
            }
        }
        links.iter().try_for_each(|link| link.add_to(&mut set))?;
        Ok(set)
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
        let (places, actions) = match role {
            Role::Action => {
                let named = |key: &str| NamedAction { number: action_number(key), key: key.into() };
                let actions = keys.iter().map(|key| named(key)).collect();
                (self.places(keys.iter().map(|key| key::action(key)))?, actions)
            }
            Role::Resource => (self.places(keys.iter().map(|key| key::resource(key)))?, Vec::new()),
        };
        Ok(IndexedEntity { keys, places, actions })
    }

    /// The policies that name no entity.
    fn others(&self) -> Result<Option<PlaceRef>, Unreadable> {
        Ok(self.place(key::OTHERS)?.map(PlaceRef))
    }

    /// The places with these keys, of those that the bundle has, each with the position of its key.
    fn places(&self, keys: impl Iterator<Item = Vec<u8>>) -> Result<Vec<(usize, PlaceRef)>, Unreadable> {
        let (mut places, mut unreadable) = (Vec::new(), None);
        for (position, key) in keys.enumerate() {
            match self.place(&key) {
                Ok(place) => places.extend(place.map(|place| (position, PlaceRef(place)))),
                // The others are looked for as well, so that all of them are asked for at once.
                Err(error) => unreadable = Some(error),
            }
        }
        unreadable.map_or(Ok(places), Err)
    }

    fn place(&self, key: &[u8]) -> Result<Option<Arc<Place>>, Unreadable> {
        if let Some(known) = self.places.get(key) {
            return Ok(known);
        }
        let value = self.map.get(key)?;
        let place = value.map(|value| Place::read(key, &value).map(Arc::new)).transpose()?;
        self.places.insert(key.into(), place.clone());
        Ok(place)
    }

    /// A policy of a place. A template by itself decides nothing, so none is there.
    fn policy(&self, place: &Place, row: u32) -> Result<FiledPolicy, Unreadable> {
        let policy = place.policy(row, |id, text, parts| {
            FiledPolicy::read(id, text, parts, |template| self.template(template))
        })?;
        if policy.0.scope.is_open() { Err(Unreadable::Malformed) } else { Ok(policy) }
    }

    fn template(&self, id: &str) -> Result<FiledPolicy, Unreadable> {
        if let Some(known) = self.templates.get(id) {
            return Ok(known);
        }
        let value = self.map.get(&key::template(id))?.ok_or(Unreadable::Malformed)?;
        let template = read_template(id, &value)?;
        self.templates.insert(id.into(), template.clone());
        Ok(template)
    }
}

/// Reads a template from what is under its key.
fn read_template(id: &str, value: &MapValue) -> Result<FiledPolicy, Unreadable> {
    // A link leads to a template, never to another link: that could go on forever.
    let no_link = |_: &str| Err(Unreadable::Malformed);
    FiledPolicy::read(id, &value.bytes, &Table::to_own(&value.parts), no_link)
}

/// Policies whose scopes match.
#[derive(Default)]
struct Matching {
    permits: Vec<PolicyId>,
    forbids: Vec<PolicyId>,
    conditional: Vec<FiledPolicy>,
}

impl Matching {
    fn add(&mut self, policy: FiledPolicy) {
        match (policy.0.scope.has_conditions, policy.0.scope.effect) {
            (false, Effect::Permit) => self.permits.push(policy.id().clone()),
            (false, Effect::Forbid) => self.forbids.push(policy.id().clone()),
            (true, _) => self.conditional.push(policy),
        }
    }

    /// A policy that names several actions may have been found several times.
    fn into_slice(self) -> Slice {
        let Self { mut permits, mut forbids, mut conditional } = self;
        for ids in [&mut permits, &mut forbids] {
            ids.sort_unstable();
            ids.dedup();
        }
        conditional.sort_unstable_by(|a, b| a.id().cmp(b.id()));
        conditional.dedup();
        Slice { permits, forbids, conditional }
    }
}

impl IndexedEntity {
    fn places(&self) -> impl Iterator<Item = &PlaceRef> {
        self.places.iter().map(|(_, place)| place)
    }

    /// The numbers under which policies about an action are filed.
    fn numbers(&self) -> impl Iterator<Item = u64> {
        self.actions.iter().map(|named| named.number).chain([ANY_ACTION])
    }
}

impl PrincipalPolicies {
    /// The policies whose scopes name an action, given by its number.
    fn about(&self, action: u64) -> impl Iterator<Item = (&Arc<Place>, u32)> {
        self.places.iter().flat_map(move |place| place.about(action).map(move |row| (place, row)))
    }
}

/// An entity with all its ancestors.
pub fn with_ancestors(entities: &Entities, uid: &EntityUid) -> Vec<EntityUid> {
    let ancestors = entities.ancestors(uid).into_iter().flatten().cloned();
    iter::once(uid.clone()).chain(ancestors).collect()
}

/// What is read of the map may take this much memory, in bytes, and a policy that Cedar has parsed some kilobytes more.
/// A grant for a thousand routes needs a few thousand policies.
const PLACES: u64 = 8 * 1024 * 1024;

/// A place with one policy, about.
const TYPICAL: u64 = 1024;

/// What an entry takes beside its place.
const ENTRY: u64 = 64;

/// Stores have a handful of templates.
const TEMPLATES: usize = 1000;

/// Those of a large file would take longer to read than what is in them takes to prepare.
const PREPARED_CHUNKS: usize = 4;

/// Each set has copies of a handful of policies.
const SETS: usize = 1250;
