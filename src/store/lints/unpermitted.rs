//! Routes that nobody may ever take.

use std::collections::HashMap;

use cedar_policy::{ActionConstraint, Effect, EntityUid, Policy};

use super::requests::Resource;
use crate::bundle::policies::with_ancestors;
use crate::gateway::route::{Route, RouteId};
use crate::store::Store;

/// The routes of a store that no permit policy is about, whoever asks: no permit has a scope that matches both their
/// action and their resource.
pub fn unpermitted_routes(store: &Store) -> Vec<RouteId> {
    let mut permits: HashMap<Option<EntityUid>, Vec<&Policy>> = HashMap::new();
    let all: Vec<Policy> =
        store.policies.policies().filter(|policy| policy.effect() == Effect::Permit).cloned().collect();
    for policy in &all {
        let actions = match policy.action_constraint() {
            ActionConstraint::Any => vec![None],
            ActionConstraint::Eq(action) => vec![Some(action)],
            ActionConstraint::In(actions) => actions.into_iter().map(Some).collect(),
        };
        actions.into_iter().for_each(|action| permits.entry(action).or_default().push(policy));
    }
    let is_permitted = |route: &Route| {
        let resource = Resource::of(route.resource.as_ref(), store);
        let actions = with_ancestors(&store.entities, &route.action).into_iter().map(Some).chain([None]);
        let mut about = actions.filter_map(|action| permits.get(&action)).flatten();
        about.any(|policy| resource.matches(&policy.resource_constraint(), store))
    };
    let routes = store.routes.routes().iter().enumerate();
    routes.filter(|(_, route)| !is_permitted(route)).map(|(index, _)| RouteId(index)).collect()
}
