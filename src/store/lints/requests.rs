//! The requests that the API can make: which principals, actions and resources they may have.

use std::collections::{BTreeSet, HashMap, HashSet};

use cedar_policy::{ActionConstraint, EntityTypeName, EntityUid, PrincipalConstraint, ResourceConstraint};

use crate::bundle::policies::with_ancestors;
use crate::gateway::route::ResourceTemplate;
use crate::store::Store;
use crate::token::identity_source::IdentitySource;

/// What requests through the API may have.
pub(super) struct Requests<'a> {
    store: &'a Store,
    /// The actions of the routes, each with the resources of its routes.
    actions: HashMap<&'a EntityUid, BTreeSet<usize>>,
    /// The same for everything that these actions are in, themselves included.
    action_groups: HashMap<EntityUid, BTreeSet<usize>>,
    /// The different resources of routes.
    resources: Vec<Resource<'a>>,
    /// What groups of callers are in, if the store says more of it than the token.
    above_groups: HashSet<EntityUid>,
}

/// The resources that some routes make.
struct Resource<'a> {
    /// How it is made. `None`: it is the resource of the API.
    made: Option<&'a ResourceTemplate>,
    entity_type: &'a EntityTypeName,
    /// All that such a resource may be in, except itself.
    ancestors: HashSet<EntityUid>,
    /// Whether the resource may be the caller, who is in groups that only the token knows.
    may_be_caller: bool,
}

impl<'a> Requests<'a> {
    pub(super) fn of(store: &'a Store) -> Self {
        let mut requests = Self {
            store,
            actions: HashMap::new(),
            action_groups: HashMap::new(),
            resources: Vec::new(),
            above_groups: HashSet::new(),
        };
        let mut known: HashMap<Option<(&EntityTypeName, String)>, usize> = HashMap::new();
        for route in store.routes.routes() {
            let made = route.resource.as_ref();
            let resource = *known
                .entry(made.map(|made| (&made.entity_type, made.id.to_string())))
                .or_insert_with(|| {
                    requests.resources.push(Resource::of(made, store));
                    requests.resources.len() - 1
                });
            requests.actions.entry(&route.action).or_default().insert(resource);
            for group in with_ancestors(&store.entities, &route.action) {
                requests.action_groups.entry(group).or_default().insert(resource);
            }
        }
        for entity in store.entities.iter() {
            let uid = entity.uid();
            if store.identity_sources.iter().any(|source| is_group_of(source, &uid)) {
                requests.above_groups.extend(with_ancestors(&store.entities, &uid));
            }
        }
        requests
    }

    /// The actions of the routes.
    pub(super) fn actions(&self) -> impl Iterator<Item = &EntityUid> {
        self.actions.keys().copied()
    }

    /// Whether a route leads to this action.
    pub(super) fn has_action(&self, action: &EntityUid) -> bool {
        self.actions.contains_key(action)
    }

    /// Whether any action of a route matches.
    pub(super) fn may_have_action(&self, constraint: &ActionConstraint) -> bool {
        match constraint {
            ActionConstraint::Any => true,
            ActionConstraint::Eq(action) => self.has_action(action),
            ActionConstraint::In(groups) => groups.iter().any(|group| self.action_groups.contains_key(group)),
        }
    }

    /// Whether any resource of a route matches whose action matches too.
    pub(super) fn may_have_resource(
        &self,
        action: &ActionConstraint,
        constraint: &ResourceConstraint,
    ) -> bool {
        let of = |indexes: Option<&BTreeSet<usize>>| {
            let mut resources = indexes.into_iter().flatten().filter_map(|index| self.resources.get(*index));
            resources.any(|resource| resource.matches(constraint, self.store))
        };
        match action {
            ActionConstraint::Any => {
                self.resources.iter().any(|resource| resource.matches(constraint, self.store))
            }
            ActionConstraint::Eq(action) => of(self.actions.get(action)),
            ActionConstraint::In(groups) => groups.iter().any(|group| of(self.action_groups.get(group))),
        }
    }

    /// A resource of this type that routes have, with the parameters of its id. `None`: they have none of this type.
    pub(super) fn resource_of_type(&self, entity_type: &EntityTypeName) -> Option<String> {
        let resource = self.resources.iter().find(|resource| resource.entity_type == entity_type)?;
        Some(match resource.made {
            Some(made) => format!("{}::\"{}\"", made.entity_type, made.id),
            None => self.store.settings.resource.to_string(),
        })
    }

    /// Whether an identity source may make a principal that matches.
    pub(super) fn may_have_principal(&self, constraint: &PrincipalConstraint) -> bool {
        let sources = &self.store.identity_sources;
        let is_type = |known: &EntityTypeName| sources.iter().any(|source| source.principal_type() == known);
        let is_user = |uid: &EntityUid| {
            sources.iter().any(|source| source.principal_type() == uid.type_name() && has_prefix(source, uid))
        };
        let is_above = |uid: &EntityUid| {
            sources.iter().any(|source| is_group_of(source, uid)) || self.above_groups.contains(uid)
        };
        match constraint {
            PrincipalConstraint::Any => true,
            PrincipalConstraint::Is(entity_type) => is_type(entity_type),
            PrincipalConstraint::Eq(uid) => is_user(uid),
            PrincipalConstraint::In(uid) => is_user(uid) || is_above(uid),
            PrincipalConstraint::IsIn(entity_type, uid) => {
                is_type(entity_type) && (is_user(uid) || is_above(uid))
            }
        }
    }

    /// Whether every caller matches.
    pub(super) fn is_every_principal(&self, constraint: &PrincipalConstraint) -> bool {
        match constraint {
            PrincipalConstraint::Any => true,
            PrincipalConstraint::Is(entity_type) => {
                self.store.identity_sources.iter().all(|source| source.principal_type() == entity_type)
            }
            _ => false,
        }
    }
}

impl<'a> Resource<'a> {
    fn of(made: Option<&'a ResourceTemplate>, store: &'a Store) -> Self {
        let api = &store.settings.resource;
        let entity_type = made.map_or(api.type_name(), |made| &made.entity_type);
        let is_it = |uid: &EntityUid| match made {
            Some(made) => *uid.type_name() == made.entity_type && made.id.may_make(uid.id().unescaped()),
            None => uid == api,
        };
        let entities = store.entities.iter().filter(|entity| is_it(&entity.uid()));
        let ancestors =
            entities.flat_map(|entity| store.entities.ancestors(&entity.uid()).into_iter().flatten());
        Self {
            made,
            entity_type,
            ancestors: ancestors.cloned().collect(),
            may_be_caller: store.identity_sources.iter().any(|source| source.principal_type() == entity_type),
        }
    }

    fn matches(&self, constraint: &ResourceConstraint, store: &Store) -> bool {
        let is_it = |uid: &EntityUid| match self.made {
            Some(made) => *uid.type_name() == made.entity_type && made.id.may_make(uid.id().unescaped()),
            None => *uid == store.settings.resource,
        };
        let is_in = |uid: &EntityUid| is_it(uid) || self.ancestors.contains(uid) || self.may_be_caller;
        match constraint {
            ResourceConstraint::Any => true,
            ResourceConstraint::Is(entity_type) => entity_type == self.entity_type,
            ResourceConstraint::Eq(uid) => is_it(uid),
            ResourceConstraint::In(uid) => is_in(uid),
            ResourceConstraint::IsIn(entity_type, uid) => entity_type == self.entity_type && is_in(uid),
        }
    }
}

/// Whether the tokens of a source can make this entity as a group.
pub(super) fn is_group_of(source: &IdentitySource, uid: &EntityUid) -> bool {
    source.group_type() == Some(uid.type_name()) && has_prefix(source, uid)
}

fn has_prefix(source: &IdentitySource, uid: &EntityUid) -> bool {
    match source.id_prefix() {
        Some(prefix) => uid
            .id()
            .unescaped()
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.starts_with('|') && rest.len() > 1),
        None => true,
    }
}
