//! Routes that nobody may ever take, and routes that everybody may.

use std::collections::HashMap;

use cedar_policy::{ActionConstraint, Effect, EntityUid, PrincipalConstraint, ResourceConstraint};

use super::requests::Resource;
use crate::bundle::policies::with_ancestors;
use crate::gateway::route::{Route, RouteId};
use crate::store::Store;
use crate::store::stored_policy::StoredPolicy;

/// The routes of a store that no permit policy is about, whoever asks: no permit has a scope that matches both their
/// action and their resource.
pub fn unpermitted_routes(store: &Store) -> Vec<RouteId> {
    let permits = Permits::of(store);
    let is_permitted = |route: &Route| {
        let resource = Resource::of(route.resource.as_ref(), store);
        permits.about(route, store).any(|policy| resource.matches(&policy.resource_constraint(), store))
    };
    routes_where(store, |route| !is_permitted(route))
}

/// The routes of a store that a permit policy allows to every caller and on every resource, without conditions. Only a
/// forbid can deny them.
pub fn open_routes(store: &Store) -> Vec<RouteId> {
    let permits = Permits::of(store);
    let is_open = |policy: StoredPolicy<'_>, route: &Route| {
        let is_for_resource = match policy.resource_constraint() {
            ResourceConstraint::Any => true,
            ResourceConstraint::Eq(uid) | ResourceConstraint::In(uid) => {
                route.resource.is_none() && uid == store.settings.resource
            }
            ResourceConstraint::Is(_) | ResourceConstraint::IsIn(..) => false,
        };
        let is_for_everyone = policy.principal_constraint() == PrincipalConstraint::Any;
        is_for_everyone && is_for_resource && !policy.has_conditions()
    };
    routes_where(store, |route| permits.about(route, store).any(|policy| is_open(policy, route)))
}

fn routes_where(store: &Store, is_sought: impl Fn(&Route) -> bool) -> Vec<RouteId> {
    let routes = store.routes.routes().iter().enumerate();
    routes.filter(|(_, route)| is_sought(route)).map(|(index, _)| RouteId(index)).collect()
}

/// The permit policies of a store by the action or action group in their scopes. `None`: any action.
struct Permits<'a>(HashMap<Option<EntityUid>, Vec<StoredPolicy<'a>>>);

impl<'a> Permits<'a> {
    fn of(store: &'a Store) -> Self {
        let mut permits = HashMap::<_, Vec<_>>::new();
        for policy in store.stored_policies().filter(|policy| policy.effect() == Effect::Permit) {
            let actions = match policy.action_constraint() {
                ActionConstraint::Any => vec![None],
                ActionConstraint::Eq(action) => vec![Some(action)],
                ActionConstraint::In(actions) => actions.into_iter().map(Some).collect(),
            };
            actions.into_iter().for_each(|action| permits.entry(action).or_default().push(policy));
        }
        Self(permits)
    }

    /// The permits whose scopes match the action of a route.
    fn about(&self, route: &Route, store: &Store) -> impl Iterator<Item = StoredPolicy<'a>> {
        let actions = with_ancestors(&store.entities, &route.action).into_iter().map(Some).chain([None]);
        actions.filter_map(|action| self.0.get(&action)).flatten().copied()
    }
}
