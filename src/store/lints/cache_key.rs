//! Policies that read more than the cache key has. The function then denies all routes that they may matter to.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cedar_policy::PolicyId;

use super::{Scene, some_of};
use crate::bundle::policies::with_ancestors;
use crate::gateway::cache_key::CacheKey;
use crate::gateway::input::Input;
use crate::gateway::route::Route;
use crate::store::Store;
use crate::store::finding::{Code, Finding};
use crate::store::inputs::PolicyInputs;

pub(super) fn check(scene: &Scene<'_>, key: &CacheKey, findings: &mut Vec<Finding>) {
    let store = scene.store;
    let routes = store.routes.routes().iter().zip(&store.reads);
    let denied: DeniedRoutes<'_> = routes
        .enumerate()
        .filter(|(_, (route, reads))| key.lacking(*reads, route).next().is_some())
        .collect();
    if denied.is_empty() {
        return;
    }
    let hint = hint(store);
    let mut explained: BTreeSet<usize> = BTreeSet::new();
    // Many policies read the same.
    let mut by_inputs: HashMap<&PolicyInputs, Option<String>> = HashMap::new();
    for id in texts(store) {
        let inputs = scene.origins.facts(id).and_then(|facts| facts.inputs.as_ref());
        let Some(policy) = inputs.filter(|policy| !policy.inputs().is_empty()) else {
            continue;
        };
        let lack = by_inputs.entry(policy).or_insert_with(|| {
            let lack = Lack::of(policy, &denied, key, store);
            explained.extend(lack.routes.iter().copied());
            lack.message(&denied, key)
        });
        let Some(message) = lack else {
            continue;
        };
        let message = format!("policy `{id}` {message}");
        let position = scene.origins.effect_position(id);
        findings.push(Finding::new(Code::CacheKeyNeeded, position, message).about(id).hint(hint.as_str()));
    }
    for (_, (route, reads)) in denied.into_iter().filter(|(index, _)| !explained.contains(index)) {
        let inputs: Vec<String> = key.lacking(reads, route).map(ToString::to_string).collect();
        let message = format!(
            "`{route}` needs {} for its resource, which is not in the cache key `{key}`: it is always denied",
            inputs.join(", ")
        );
        let position = store.settings.position_of(route, scene.schema);
        findings.push(Finding::new(Code::CacheKeyNeeded, position, message).hint(hint.as_str()));
    }
}

/// The routes that are denied, by their numbers, and what their policies read.
type DeniedRoutes<'a> = BTreeMap<usize, (&'a Route, &'a BTreeSet<Input>)>;

/// What a policy reads beyond the key, and the routes that are denied for it.
struct Lack {
    inputs: BTreeSet<Input>,
    routes: Vec<usize>,
}

impl Lack {
    fn of(policy: &PolicyInputs, denied: &DeniedRoutes<'_>, key: &CacheKey, store: &Store) -> Self {
        let mut lack = Self { inputs: BTreeSet::new(), routes: Vec::new() };
        for (index, (route, _)) in denied {
            let made = route.resource.as_ref();
            let resource_type = made.map_or(store.settings.resource.type_name(), |made| &made.entity_type);
            let action = with_ancestors(&store.entities, &route.action);
            if !policy.may_match(&action, resource_type) {
                continue;
            }
            let mut beyond = key.lacking(policy.inputs(), route).peekable();
            if beyond.peek().is_some() {
                lack.routes.push(*index);
            }
            lack.inputs.extend(beyond.cloned());
        }
        lack
    }

    /// What to say of such a policy. `None`: it is no reason to deny anything.
    fn message(&self, denied: &DeniedRoutes<'_>, key: &CacheKey) -> Option<String> {
        let Self { inputs, routes } = self;
        let verb = match routes.len() {
            0 => return None,
            1 => "is",
            _ => "are",
        };
        let inputs: Vec<String> = inputs.iter().map(ToString::to_string).collect();
        let routes = routes.iter().filter_map(|index| Some(format!("`{}`", denied.get(index)?.0)));
        Some(format!(
            "reads {}, which is not in the cache key `{key}`: {} {verb} always denied",
            inputs.join(", "),
            some_of(routes)
        ))
    }
}

/// The ids of static policies and templates.
fn texts(store: &Store) -> impl Iterator<Item = &PolicyId> {
    let policies = store.policies.policies().map(|policy| policy.id());
    policies.chain(store.policies.templates().map(|template| template.id()))
}

/// The smallest key that is enough for all routes.
fn hint(store: &Store) -> String {
    let routes = store.routes.routes().iter().zip(&store.reads);
    let all: BTreeSet<&Input> =
        routes.flat_map(|(route, reads)| reads.iter().filter(|input| input.matters_to(route))).collect();
    match CacheKey::least_for(all, &store.settings.token_location) {
        CacheKey::None => {
            "no key has all of it: set the TTL of the authorizer to 0, and CACHE_KEY=none".to_owned()
        }
        key => format!("set CACHE_KEY and the identity sources of the authorizer to `{key}`"),
    }
}
