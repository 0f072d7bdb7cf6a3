//! Coverage: what of a policy store its tests have tried.

use std::collections::{BTreeMap, BTreeSet};

use cedar_authorizer::decide::CedarRequest;
use cedar_authorizer::gateway::route::Route;
use cedar_authorizer::store::{Store, open_routes};
use cedar_policy::EntityUid;
use serde_json::{Value, json};

use super::run::Decided;
use crate::explanation::{ExplainedPolicy, Explainer};
use crate::output::{HINT, paint, printable};
use crate::test_bench::TestBench;

/// What the decisions of tests have met. Each thread makes its own, and then they are put together.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The policies that determined a decision.
    policies: BTreeSet<String>,
    /// The routes with the decisions on them.
    routes: BTreeMap<String, RouteSeen>,
    /// The groups that a principal was a direct member of.
    groups: BTreeSet<EntityUid>,
    /// The conditions of policies, with what they were.
    conditions: BTreeMap<ConditionId, ConditionSeen>,
}

/// A `when` or `unless`: the policy or template that it belongs to, and its number there.
type ConditionId = (String, usize);

#[derive(Clone, Copy, Debug, Default)]
struct ConditionSeen {
    was_met: bool,
    was_not_met: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct RouteSeen {
    is_allowed: bool,
    is_denied: bool,
}

impl Seen {
    /// Adds a decision.
    pub fn add(&mut self, decided: &Decided<'_>, bench: &TestBench) {
        let (decision, session) = match decided {
            Decided::Call { session, outcome, .. } => (&outcome.decision, Some(*session)),
            Decided::Request { session, decision, .. } => (*decision, *session),
        };
        if let Some(request) = decided.cedar_request(bench) {
            self.add_conditions(&request, bench.explainer());
        }
        self.policies.extend(decision.policies.iter().map(ToString::to_string));
        let is_allowed = decision.is_allowed();
        match decided {
            Decided::Call { outcome, .. } => self.add_route(outcome.route.as_ref(), is_allowed),
            Decided::Request { request, .. } => {
                self.add_route(Route::from_action(&request.action).as_ref(), is_allowed);
            }
        }
        if let Some(session) = session
            && let Ok(source) = session.source()
            && let Some(group_type) = source.group_type()
        {
            let groups = session.token().groups().iter();
            self.groups.extend(groups.map(|group| source.entity(group_type, group)));
        }
        if let Decided::Request { principal, request, .. } = decided {
            let own = request.entities.iter().find(|entity| entity.uid() == **principal);
            self.groups.extend(own.into_iter().flat_map(|entity| entity.clone().into_inner().2));
        }
    }

    fn add_route(&mut self, route: Option<&Route>, is_allowed: bool) {
        if let Some(route) = route {
            let seen = self.routes.entry(route.to_string()).or_default();
            seen.is_allowed |= is_allowed;
            seen.is_denied |= !is_allowed;
        }
    }

    /// Evaluates the conditions of all policies whose scopes match.
    fn add_conditions(&mut self, request: &CedarRequest, explainer: &Explainer) {
        for policy in explainer.policies().iter().filter(|policy| policy.has_conditions()) {
            for (number, is_met) in policy.trace(request).conditions() {
                let seen = self.conditions.entry((policy.text_id(), number)).or_default();
                seen.was_met |= is_met;
                seen.was_not_met |= !is_met;
            }
        }
    }

    /// Adds what another thread has seen.
    pub fn merge(&mut self, other: Self) {
        let Self { policies, routes, groups, conditions } = other;
        for (condition, seen) in conditions {
            let known = self.conditions.entry(condition).or_default();
            known.was_met |= seen.was_met;
            known.was_not_met |= seen.was_not_met;
        }
        self.policies.extend(policies);
        self.groups.extend(groups);
        for (route, seen) in routes {
            let known = self.routes.entry(route).or_default();
            known.is_allowed |= seen.is_allowed;
            known.is_denied |= seen.is_denied;
        }
    }

    /// What of a store this is.
    pub fn coverage(self, bench: &TestBench) -> Coverage {
        let store = bench.store();
        // A group has the members of the groups in it.
        let ancestors = self.groups.iter().filter_map(|group| store.entities.ancestors(group)).flatten();
        let groups: BTreeSet<&EntityUid> = self.groups.iter().chain(ancestors).collect();
        let ids: BTreeSet<String> = store.stored_policies().map(|policy| policy.id().to_owned()).collect();
        let policies = ids.into_iter().map(|id| Item { is_covered: self.policies.contains(&id), name: id });
        let routes: BTreeSet<String> = store.routes.routes().iter().map(ToString::to_string).collect();
        let open: BTreeSet<String> = open_routes(store)
            .into_iter()
            .filter_map(|id| store.routes.route(id))
            .map(ToString::to_string)
            .collect();
        let deniable: BTreeSet<String> = routes.difference(&open).cloned().collect();
        let of_routes = |routes: &BTreeSet<String>, is_covered: fn(RouteSeen) -> bool| {
            let item = |name: &String| {
                let seen = self.routes.get(name).copied().unwrap_or_default();
                Item { name: name.clone(), is_covered: is_covered(seen) }
            };
            routes.iter().map(item).collect()
        };
        let conditions = conditions(bench.explainer());
        let of_conditions = |is_covered: fn(ConditionSeen) -> bool| {
            let item = |(id, text): (&ConditionId, &String)| Item {
                name: format!("{}: {text}", id.0),
                is_covered: is_covered(self.conditions.get(id).copied().unwrap_or_default()),
            };
            conditions.iter().map(item).collect()
        };
        let group = |group: EntityUid| Item { is_covered: groups.contains(&group), name: group.to_string() };
        Coverage {
            policies: policies.collect(),
            met: of_conditions(|seen| seen.was_met),
            not_met: of_conditions(|seen| seen.was_not_met),
            allowed: of_routes(&routes, |seen| seen.is_allowed),
            denied: of_routes(&deniable, |seen| seen.is_denied),
            groups: named_groups(store).into_iter().map(group).collect(),
        }
    }
}

/// All conditions with their texts. Those of a template count once, however many links it has.
fn conditions(explainer: &Explainer) -> BTreeMap<ConditionId, String> {
    let of_policy = |policy: &ExplainedPolicy| {
        let id = policy.text_id();
        policy
            .conditions()
            .into_iter()
            .map(move |(number, text)| ((id.clone(), number), text))
            .collect::<Vec<_>>()
    };
    explainer.policies().iter().flat_map(of_policy).collect()
}

/// The groups that policies name.
fn named_groups(store: &Store) -> BTreeSet<EntityUid> {
    let types: Vec<_> = store.identity_sources.iter().filter_map(|source| source.group_type()).collect();
    store.entities_in_policies().into_iter().filter(|uid| types.contains(&uid.type_name())).collect()
}

/// What of a policy store its tests have tried.
#[derive(Clone, Debug)]
pub struct Coverage {
    /// The policies; tried, if one determined a decision.
    policies: Vec<Item>,
    /// The conditions of policies; tried, if one was as its policy asks for it.
    met: Vec<Item>,
    /// The conditions of policies; tried, if one was not as its policy asks for it.
    not_met: Vec<Item>,
    /// The routes; tried, if one was allowed to somebody.
    allowed: Vec<Item>,
    /// The routes that are not open to everybody; tried, if one was denied to somebody. Whoever a forbid denies an open
    /// route to counts for the policies.
    denied: Vec<Item>,
    /// The groups that policies name; tried, if somebody is a member.
    groups: Vec<Item>,
}

/// A part of a policy store.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its name.
    pub name: String,
    /// Whether a test has tried it.
    pub is_covered: bool,
}

impl Coverage {
    /// The parts of each kind, with the words for what was tried and for what was not.
    pub fn kinds(&self) -> [(&'static str, &'static str, &[Item]); 6] {
        [
            ("policies", "determined no decision", &self.policies),
            ("conditions met", "never met", &self.met),
            ("conditions not met", "never not met", &self.not_met),
            ("routes allowed", "allowed to nobody", &self.allowed),
            ("routes denied", "denied to nobody", &self.denied),
            ("groups", "without a member", &self.groups),
        ]
    }

    /// How many parts were tried, and of how many.
    pub fn counts(&self) -> (usize, usize) {
        let counts = self.kinds().map(|(_, _, items)| (covered(items), items.len()));
        counts.into_iter().fold((0, 0), |(tried, all), (of_kind, in_kind)| (tried + of_kind, all + in_kind))
    }

    /// How much was tried, in percent, rounded down. Nothing to try is 100.
    pub fn percent(&self) -> usize {
        let (tried, all) = self.counts();
        (tried * 100).checked_div(all).unwrap_or(100)
    }

    /// The coverage for people.
    pub fn lines(&self) -> Vec<String> {
        let (tried, all) = self.counts();
        let mut lines = vec![format!("coverage: {}% ({tried} of {all})", self.percent())];
        for (kind, missing, items) in self.kinds() {
            lines.push(format!(
                "  {} {} of {}",
                paint(HINT, &format!("{kind:<18}")),
                covered(items),
                items.len()
            ));
            let names = items.iter().filter(|item| !item.is_covered);
            lines.extend(names.map(|item| format!("    {missing}: {}", printable(&item.name))));
        }
        lines
    }

    /// The coverage for programs.
    pub fn json(&self) -> Value {
        let kind = |items: &[Item]| {
            let missing: Vec<&str> =
                items.iter().filter(|item| !item.is_covered).map(|item| item.name.as_str()).collect();
            json!({"covered": covered(items), "total": items.len(), "missing": missing})
        };
        let (covered, total) = self.counts();
        json!({
            "percent": self.percent(),
            "covered": covered,
            "total": total,
            "policies": kind(&self.policies),
            "conditionsMet": kind(&self.met),
            "conditionsNotMet": kind(&self.not_met),
            "routesAllowed": kind(&self.allowed),
            "routesDenied": kind(&self.denied),
            "groups": kind(&self.groups),
        })
    }
}

fn covered(items: &[Item]) -> usize {
    items.iter().filter(|item| item.is_covered).count()
}
