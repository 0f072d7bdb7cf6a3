//! The slice: of all policies those that may matter to a request.
//!
//! Cedar evaluates every policy it is given, one after the other. A policy whose scope does not match
//! contributes nothing, not even an error (Cedar Policy Language Reference, "Authorization: policy
//! evaluation"), so it can be left out. Each policy is filed under one entity of its scope: the principal
//! if there is one (`==` or `in`), else the resource, else the actions.

use std::collections::HashMap;

use cedar_policy::{
    ActionConstraint, Effect, Entities, EntityUid, Policy, PolicySet, PrincipalConstraint, ResourceConstraint,
};

/// All policies of a bundle, by their scopes.
#[derive(Clone, Debug, Default)]
pub struct PolicyIndex {
    policies: Vec<Policy>,
    actions: Vec<Option<Vec<EntityUid>>>,
    by_principal: HashMap<EntityUid, Vec<usize>>,
    by_resource: HashMap<EntityUid, Vec<usize>>,
    by_action: HashMap<EntityUid, Vec<usize>>,
    others: Vec<usize>,
}

impl PolicyIndex {
    /// Files the policies of a set, those that are linked to templates as static ones.
    ///
    /// # Errors
    /// The id of one that cannot be.
    pub fn of(set: &PolicySet) -> Result<Self, String> {
        let mut index = Self::default();
        let mut policies: Vec<&Policy> = set.policies().collect();
        policies.sort_by(|a, b| a.id().cmp(b.id()));
        for policy in policies {
            let number = index.policies.len();
            let actions = match policy.action_constraint() {
                ActionConstraint::Any => None,
                ActionConstraint::Eq(action) => Some(vec![action]),
                ActionConstraint::In(actions) => Some(actions),
            };
            let filed = match (principal_of(policy), resource_of(policy), &actions) {
                (Some(principal), ..) => index.by_principal.entry(principal).or_default(),
                (None, Some(resource), _) => index.by_resource.entry(resource).or_default(),
                (None, None, Some(actions)) => {
                    for action in actions {
                        index.by_action.entry(action.clone()).or_default().push(number);
                    }
                    &mut Vec::new()
                }
                (None, None, None) => &mut index.others,
            };
            filed.push(number);
            index.policies.push(as_static(policy).ok_or_else(|| policy.id().to_string())?);
            index.actions.push(actions);
        }
        Ok(index)
    }

    /// The policies whose scopes these principals (one and all that it is in) can match, by their actions.
    pub fn for_principal(&self, principals: &[EntityUid]) -> ForPrincipal<'_> {
        let mut found = ForPrincipal { index: self, by_action: HashMap::new(), any_action: Vec::new() };
        for number in principals.iter().filter_map(|uid| self.by_principal.get(uid)).flatten() {
            match self.actions.get(*number).and_then(Option::as_ref) {
                Some(actions) => {
                    for action in actions {
                        found.by_action.entry(action).or_default().push(*number);
                    }
                }
                None => found.any_action.push(*number),
            }
        }
        found
    }
}

/// The policies that may matter to a principal.
#[derive(Clone, Debug)]
pub struct ForPrincipal<'a> {
    index: &'a PolicyIndex,
    by_action: HashMap<&'a EntityUid, Vec<usize>>,
    any_action: Vec<usize>,
}

impl ForPrincipal<'_> {
    /// The policies that may matter to a request, by their number. Both an action and a resource come with all
    /// that they are in.
    pub fn slice(&self, actions: &[EntityUid], resources: &[EntityUid]) -> Vec<usize> {
        let index = self.index;
        let mut slice: Vec<usize> = self.any_action.iter().chain(&index.others).copied().collect();
        for action in actions {
            let of_principal = self.by_action.get(action).into_iter().flatten();
            slice.extend(of_principal.chain(index.by_action.get(action).into_iter().flatten()));
        }
        for number in resources.iter().filter_map(|uid| index.by_resource.get(uid)).flatten() {
            let of_policy = index.actions.get(*number).and_then(Option::as_ref);
            if of_policy.is_none_or(|of_policy| of_policy.iter().any(|action| actions.contains(action))) {
                slice.push(*number);
            }
        }
        slice.sort_unstable();
        slice.dedup();
        slice
    }

    /// Whether any policy of a slice permits. Without one nothing is allowed, whatever the conditions say.
    pub fn has_permit(&self, slice: &[usize]) -> bool {
        let mut policies = slice.iter().filter_map(|number| self.index.policies.get(*number));
        policies.any(|policy| policy.effect() == Effect::Permit)
    }

    /// The policies of a slice as Cedar takes them.
    pub fn policies(&self, slice: &[usize]) -> PolicySet {
        let policies = slice.iter().filter_map(|number| self.index.policies.get(*number).cloned());
        // Each is static and has an id of its own, so each can be added.
        PolicySet::from_policies(policies).unwrap_or_default()
    }
}

/// An entity with all that it is in.
pub fn with_ancestors(entities: &Entities, uid: &EntityUid) -> Vec<EntityUid> {
    let ancestors = entities.ancestors(uid).into_iter().flatten().cloned();
    std::iter::once(uid.clone()).chain(ancestors).collect()
}

fn principal_of(policy: &Policy) -> Option<EntityUid> {
    match policy.principal_constraint() {
        PrincipalConstraint::Any | PrincipalConstraint::Is(_) => None,
        PrincipalConstraint::In(uid) | PrincipalConstraint::Eq(uid) | PrincipalConstraint::IsIn(_, uid) => {
            Some(uid)
        }
    }
}

fn resource_of(policy: &Policy) -> Option<EntityUid> {
    match policy.resource_constraint() {
        ResourceConstraint::Any | ResourceConstraint::Is(_) => None,
        ResourceConstraint::In(uid) | ResourceConstraint::Eq(uid) | ResourceConstraint::IsIn(_, uid) => {
            Some(uid)
        }
    }
}

/// A linked policy with its slots filled in.
fn as_static(policy: &Policy) -> Option<Policy> {
    match policy.is_static() {
        true => Some(policy.clone()),
        false => Policy::from_json(Some(policy.id().clone()), policy.to_json().ok()?).ok(),
    }
}
