//! What can be said about grants without a token: which routes cannot be told apart, whether the grants of some
//! callers are larger than a response may be, and whether they take too long to compute.
//!
//! All this matters if API Gateway caches answers for more than one method and path, which is the default.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

use cedar_policy::{EntityTypeName, EntityUid, PolicyId, PrincipalConstraint};

use super::Store;
use super::build::separate;
use super::finding::{Code, Finding, Position};
use super::policies::StorePolicies;
use super::schema::StoreSchema;
use super::stored_policy::StoredPolicy;
use crate::bundle::files::SETTINGS_FILE;
use crate::bundle::policies::Dependence;
use crate::bundle::policies::with_ancestors;
use crate::decide::context;
use crate::decide::resource::Resource;
use crate::decide::subject::Effort;
use crate::gateway::cache_key::CacheKey;
use crate::gateway::route::RouteId;
use crate::grant::Grant;
use crate::store::inputs::PolicyInputs;

/// Finds these problems, in the order of the routes.
pub(super) fn check(
    store: &Store,
    schema: Option<&StoreSchema>,
    origins: &StorePolicies<'_>,
    findings: &mut Vec<Finding>,
) {
    let routes = store.routes.routes();
    let position = |index: RouteId| match routes.get(index.0) {
        Some(route) => store.settings.position_of(route, schema),
        None => Position::file(SETTINGS_FILE),
    };
    let Ok(separation) = separate(routes, store.settings.is_complete) else {
        let message = "the routes overlap in too many ways to be told apart by patterns: every answer allows one \
                       method and path alone";
        let finding = Finding::new(Code::GrantInexact, Position::file(SETTINGS_FILE), message);
        findings.push(finding.hint(KEY_HINT));
        return;
    };
    // Under the key `token`, a route that reads more than the token is denied, so it does not conflict with any other.
    let is_grantable = |index: RouteId| {
        let of_route = routes.get(index.0).zip(store.reads.get(index.0));
        of_route.is_some_and(|(route, reads)| CacheKey::Token.lacking(reads, route).next().is_none())
    };
    let decided_alike = |a: RouteId, b: RouteId| {
        let same = routes
            .get(a.0)
            .zip(routes.get(b.0))
            .is_some_and(|(a, b)| a.action == b.action && a.resource.is_none() && b.resource.is_none());
        same && is_grantable(a) == is_grantable(b)
    };
    // One finding for each two routes, whatever the reasons are.
    let mut pairs: BTreeMap<(RouteId, RouteId), Option<RouteId>> = BTreeMap::new();
    for overlap in separation.overlaps(decided_alike) {
        if is_grantable(overlap.route) && is_grantable(overlap.harmed) {
            let because_of = pairs.entry((overlap.route, overlap.harmed)).or_insert(overlap.because_of);
            // If no route takes a path, every caller is affected. So that is the better reason.
            *because_of = overlap.because_of.and(*because_of);
        }
    }
    let text = |index: RouteId| routes.get(index.0).map(|route| format!("`{route}`")).unwrap_or_default();
    let count = pairs.len();
    for ((route, harmed), because_of) in pairs.into_iter().take(MAX_PAIRS) {
        let (wide, harmed_text) = (text(route), text(harmed));
        let what = match (route == harmed, because_of) {
            (false, None) => format!(
                "a grant cannot have both {wide} and {harmed_text} and nothing beyond: a caller who may call both \
                 is denied {harmed_text}"
            ),
            (false, Some(denied)) => format!(
                "a grant cannot have both {wide} and {harmed_text} without {}: a caller who may call the two but \
                 not that one is denied some or all of {harmed_text}",
                text(denied)
            ),
            (true, None) => format!("a grant for {wide} cannot have all its paths and nothing beyond"),
            (true, Some(denied)) => format!(
                "a grant for {wide} cannot have all its paths without {}: a caller who may not call that one is \
                 denied some",
                text(denied)
            ),
        };
        let hint = match because_of {
            None => COMPLETE_HINT,
            Some(_) => KEY_HINT,
        };
        findings.push(Finding::new(Code::GrantInexact, position(harmed), what).hint(hint));
    }
    if count > MAX_PAIRS {
        let message = format!("{} more pairs of routes cannot be told apart", count - MAX_PAIRS);
        findings.push(Finding::new(Code::GrantInexact, Position::file(SETTINGS_FILE), message));
    }

    let all: Vec<RouteId> = (0..routes.len()).map(RouteId).filter(|index| is_grantable(*index)).collect();
    check_expense(store, &all, origins, findings);
    // All routes, and all but the first: there is no short pattern for these.
    let largest = [all.as_slice(), all.get(1..).unwrap_or_default()].into_iter();
    let left_out = largest.map(|allowed| match Grant::of_routes(LONG_PREFIX, &separation, allowed, None) {
        Some(of_routes) => of_routes.left_out,
        None => allowed.len(),
    });
    if let Some(left_out) = left_out.max().filter(|left_out| *left_out > 0) {
        let message = format!(
            "a caller who may call nearly all {} routes gets a grant with the requested and some others of them; \
             there is no room for {left_out}, which are denied until API Gateway asks again",
            all.len()
        );
        findings
            .push(Finding::new(Code::GrantTooLarge, Position::file(SETTINGS_FILE), message).hint(KEY_HINT));
    }
}

/// Finds out whether one answer may need more evaluations of conditions than it is allowed. The assumed caller is
/// the worst case. All policies apply that are not for single users or groups; of those, the policies of one user
/// and of the most expensive groups apply.
fn check_expense(
    store: &Store,
    grantable: &[RouteId],
    origins: &StorePolicies<'_>,
    findings: &mut Vec<Finding>,
) {
    let requests = RouteRequest::of(store, grantable);
    // Costs by what they depend on: the condition, and the actions and the type of resource of the scope.
    let mut costs: HashMap<(&PolicyInputs, [bool; 4]), Cost> = HashMap::new();
    let mut by_text: HashMap<&PolicyId, Option<Cost>> = HashMap::new();
    let (mut by_user, mut by_group): (Work, Work) = Default::default();
    let (mut by_linked_user, mut by_linked_group): (LinkedWork, LinkedWork) = Default::default();
    let mut total = Cost::default();
    for policy in store.stored_policies() {
        let cost = *by_text.entry(policy.text_id()).or_insert_with(|| {
            let facts = origins.facts(policy.text_id()).filter(|facts| facts.has_conditions)?;
            let Some(inputs) = &facts.inputs else {
                return Some(Cost::default());
            };
            let Dependence { action, resource, token, context } = facts.depends;
            let cost = costs.entry((inputs, [action, resource, token, context]));
            Some(*cost.or_insert_with(|| cost_of(&requests, inputs, facts.depends)))
        });
        let Some(cost) = cost else { continue };
        let linked = match policy {
            StoredPolicy::Static(_) => None,
            StoredPolicy::Linked(link, _) => link.principal.map(|principal| principal.number),
        };
        match (policy.principal_constraint(), linked) {
            (PrincipalConstraint::Any | PrincipalConstraint::Is(_), _) => total.add(cost),
            (PrincipalConstraint::Eq(_), Some(number)) => by_linked_user.entry(number).or_default().add(cost),
            (_, Some(number)) => by_linked_group.entry(number).or_default().add(cost),
            (PrincipalConstraint::Eq(uid), None) => by_user.entry(uid).or_default().add(cost),
            (PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid), None) => {
                by_group.entry(uid).or_default().add(cost);
            }
        }
    }
    // An entity may be named by static policies and in slots.
    for linked in store.links.entities() {
        for (of_linked, work) in [(&by_linked_user, &mut by_user), (&by_linked_group, &mut by_group)] {
            if let Some(cost) = of_linked.get(&linked.number) {
                work.entry(linked.uid()).or_default().add(*cost);
            }
        }
    }
    for (work, most) in [(by_user, 1), (by_group, MAX_GROUPS)] {
        let mut work: Vec<Cost> = work.into_values().collect();
        work.sort_unstable_by_key(|cost| Reverse(cost.conditions));
        work.into_iter().take(most).for_each(|cost| total.add(cost));
    }
    let evaluated = total.conditions.min(grantable.len() as u64);
    if Effort::estimate(total.conditions, evaluated, total.looks) > Effort::BUDGET {
        let message = format!(
            "an answer for the whole API may need {} evaluations of conditions for its {} routes, which is more than \
             one call may take: such a caller gets answers for one method and path each",
            total.conditions,
            grantable.len()
        );
        findings.push(
            Finding::new(Code::GrantExpensive, Position::file(SETTINGS_FILE), message).hint(EXPENSIVE_HINT),
        );
    }
}

/// The cost of policies by the entity that they are for.
type Work = HashMap<EntityUid, Cost>;

/// The same for entities in slots, by their numbers.
type LinkedWork = HashMap<usize, Cost>;

/// How often the condition of a policy is evaluated, and how often the policy is looked at.
#[derive(Clone, Copy, Default)]
struct Cost {
    conditions: u64,
    looks: u64,
}

impl Cost {
    fn add(&mut self, other: Self) {
        self.conditions = self.conditions.saturating_add(other.conditions);
        self.looks = self.looks.saturating_add(other.looks);
    }
}

/// What the requests for a route have in common, as far as a cost depends on it.
struct RouteRequest<'a> {
    id: RouteId,
    action: &'a EntityUid,
    /// The action with all that it is in.
    actions: Vec<EntityUid>,
    resource_type: &'a EntityTypeName,
    /// A number for each different resource.
    resource: usize,
    has_attributes: bool,
    /// A number for each different shape of a token.
    token: usize,
}

impl<'a> RouteRequest<'a> {
    fn of(store: &'a Store, grantable: &[RouteId]) -> Vec<Self> {
        let mut resources: HashMap<Option<(EntityUid, String)>, usize> = HashMap::new();
        let mut tokens: HashMap<Option<String>, usize> = HashMap::new();
        let of_route = |id: &RouteId| {
            let route = store.routes.route(*id)?;
            let made = route.resource.as_ref();
            let resource = made.map(|made| (Resource::unnamed(made).uid, format!("{:?}", made.attributes)));
            let shape = store.projection.context(&route.action);
            let token = shape.as_ref().and_then(|shape| context::token_shape(shape));
            let (next_resource, next_token) = (resources.len(), tokens.len());
            Some(Self {
                id: *id,
                action: &route.action,
                actions: with_ancestors(&store.entities, &route.action),
                resource_type: made.map_or(store.settings.resource.type_name(), |made| &made.entity_type),
                resource: *resources.entry(resource).or_insert(next_resource),
                has_attributes: made.is_some_and(|made| !made.attributes.is_empty()),
                token: *tokens.entry(token.map(|shape| format!("{shape:?}"))).or_insert(next_token),
            })
        };
        grantable.iter().filter_map(of_route).collect()
    }
}

/// The cost of one policy. Its condition is evaluated once for all routes that agree in what it depends on.
fn cost_of(requests: &[RouteRequest<'_>], inputs: &PolicyInputs, depends: Dependence) -> Cost {
    let (mut alike, mut looks) = (HashSet::new(), HashSet::new());
    for request in requests {
        let RouteRequest { id, action, actions, resource_type, resource, has_attributes, token } = request;
        if !inputs.may_match(actions, resource_type) {
            continue;
        }
        looks.insert((inputs.names_actions().then_some(*action), *resource));
        alike.insert((
            depends.action.then_some(*action),
            (depends.resource || *has_attributes).then_some(*resource),
            depends.token.then_some(*token),
            depends.context.then_some(*id),
        ));
    }
    Cost { conditions: alike.len() as u64, looks: looks.len() as u64 }
}

/// A user of a Cognito user pool is in at most this many groups (Amazon Cognito Developer Guide, "Quotas in
/// Amazon Cognito": maximum number of groups that each user can belong to).
const MAX_GROUPS: usize = 100;

const EXPENSIVE_HINT: &str = "conditions that read neither `action` nor `resource`, and of `context` only `token`, are \
                              evaluated once for all routes; what the scope says needs no condition. Otherwise key the \
                              cache by method and path";

const KEY_HINT: &str = "key the cache by method and path (CACHE_KEY and the identity sources \
                        `method.request.header.Authorization,context.httpMethod,context.path`), or set the TTL to 0 \
                        with CACHE_KEY=none";

const COMPLETE_HINT: &str = "if the API has no routes but those of the store, say so with `complete = true` in `[api]`; \
                             otherwise key the cache by method and path";

/// More findings of this kind would hide the others.
const MAX_PAIRS: usize = 20;

/// About as long as the ARN of an API gets, with a fairly long stage name.
const LONG_PREFIX: &str = "arn:aws-us-gov:execute-api:us-gov-west-1:123456789012:abcdefghij/production/";
