//! Permits that have no effect, because forbids without conditions cover all that they permit.

use std::collections::{BTreeSet, HashMap};

use cedar_policy::{
    ActionConstraint, Effect, EntityTypeName, EntityUid, PolicyId, PrincipalConstraint, ResourceConstraint,
};

use super::{Scene, some_of};
use crate::bundle::policies::with_ancestors;
use crate::store::finding::{Code, Finding};
use crate::store::stored_policy::StoredPolicy;

pub(super) fn check(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    let policies = || scene.store.stored_policies();
    let mut actions = Actions::new(scene);
    let mut forbids = Forbids::default();
    for policy in policies() {
        if policy.effect() == Effect::Forbid && !policy.has_conditions() {
            forbids.add(&policy, &mut actions);
        }
    }
    if forbids.0.is_empty() {
        return;
    }
    for policy in policies().filter(|policy| policy.effect() == Effect::Permit) {
        let Some(covering) = forbids.covering(&policy, &mut actions, scene) else {
            continue;
        };
        let id = policy.id();
        let covering = some_of(covering.into_iter().map(|id| format!("`{id}`")));
        let message = format!("policy `{id}` permits nothing: all of it is forbidden by {covering}");
        let position = scene.origins.effect_position(&PolicyId::new(id));
        findings.push(Finding::new(Code::PolicyShadowed, position, message).about(id));
    }
}

/// The forbids without conditions, by their scopes.
#[derive(Default)]
struct Forbids<'a>(HashMap<Part, HashMap<Part, ForbiddenActions<'a>>>);

/// What the scope says of principal or resource.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Part {
    Any,
    Is(EntityTypeName),
    Eq(EntityUid),
    In(EntityUid),
    IsIn(EntityTypeName, EntityUid),
}

/// The actions that are forbidden for some principals and resources, each with a policy that does it.
#[derive(Default)]
struct ForbiddenActions<'a> {
    all: Option<&'a str>,
    some: HashMap<EntityUid, &'a str>,
}

impl<'a> Forbids<'a> {
    fn add(&mut self, policy: &StoredPolicy<'a>, actions: &mut Actions<'_>) {
        let principal = Part::of_principal(policy.principal_constraint());
        let resource = Part::of_resource(policy.resource_constraint());
        let of_scope = self.0.entry(principal).or_default().entry(resource).or_default();
        let id = policy.id();
        match policy.action_constraint() {
            ActionConstraint::Any => of_scope.all = Some(of_scope.all.unwrap_or(id)),
            constraint => {
                for action in actions.of(&constraint) {
                    of_scope.some.entry((*action).clone()).or_insert(id);
                }
            }
        }
    }

    /// The forbids that together cover a policy. `None`: something of it is left.
    fn covering(
        &self,
        policy: &StoredPolicy<'_>,
        actions: &mut Actions<'_>,
        scene: &Scene<'_>,
    ) -> Option<BTreeSet<&'a str>> {
        let principals = Part::of_principal(policy.principal_constraint()).wider(scene);
        let by_resource: Vec<_> = principals.iter().filter_map(|part| self.0.get(part)).collect();
        if by_resource.is_empty() {
            return None;
        }
        let resources = Part::of_resource(policy.resource_constraint()).wider(scene);
        let found: Vec<&ForbiddenActions<'a>> = by_resource
            .into_iter()
            .flat_map(|by_resource| resources.iter().filter_map(|part| by_resource.get(part)))
            .collect();
        if let Some(id) = found.iter().find_map(|forbidden| forbidden.all) {
            return Some([id].into());
        }
        if found.is_empty() {
            return None;
        }
        let own = actions.of(&policy.action_constraint());
        // A policy for no action at all has another finding.
        let of_action =
            |action: &&EntityUid| found.iter().find_map(|forbidden| forbidden.some.get(*action).copied());
        own.iter().map(of_action).collect::<Option<BTreeSet<_>>>().filter(|covering| !covering.is_empty())
    }
}

impl Part {
    fn of_principal(constraint: PrincipalConstraint) -> Self {
        match constraint {
            PrincipalConstraint::Any => Self::Any,
            PrincipalConstraint::Is(entity_type) => Self::Is(entity_type),
            PrincipalConstraint::Eq(uid) => Self::Eq(uid),
            PrincipalConstraint::In(uid) => Self::In(uid),
            PrincipalConstraint::IsIn(entity_type, uid) => Self::IsIn(entity_type, uid),
        }
    }

    fn of_resource(constraint: ResourceConstraint) -> Self {
        match constraint {
            ResourceConstraint::Any => Self::Any,
            ResourceConstraint::Is(entity_type) => Self::Is(entity_type),
            ResourceConstraint::Eq(uid) => Self::Eq(uid),
            ResourceConstraint::In(uid) => Self::In(uid),
            ResourceConstraint::IsIn(entity_type, uid) => Self::IsIn(entity_type, uid),
        }
    }

    /// This part, and those that match whatever it matches.
    fn wider(&self, scene: &Scene<'_>) -> Vec<Self> {
        let (entity_type, uid) = match self {
            Self::Any => (None, None),
            Self::Is(entity_type) => (Some(entity_type), None),
            Self::Eq(uid) => (Some(uid.type_name()), Some(uid)),
            Self::In(uid) => (None, Some(uid)),
            Self::IsIn(entity_type, uid) => (Some(entity_type), Some(uid)),
        };
        let mut wider = vec![Self::Any];
        wider.extend(entity_type.cloned().map(Self::Is));
        for above in uid.into_iter().flat_map(|uid| with_ancestors(&scene.store.entities, uid)) {
            wider.extend(entity_type.map(|entity_type| Self::IsIn(entity_type.clone(), above.clone())));
            wider.push(Self::In(above));
        }
        if let Self::Eq(_) = self {
            wider.push(self.clone());
        }
        wider
    }
}

/// The actions of requests that match a scope. Many policies have one scope.
struct Actions<'a> {
    /// The actions in each group, the action itself included.
    members: HashMap<EntityUid, Vec<&'a EntityUid>>,
    all: Vec<&'a EntityUid>,
    known: HashMap<String, BTreeSet<&'a EntityUid>>,
}

impl<'a> Actions<'a> {
    fn new(scene: &Scene<'a>) -> Self {
        let all: Vec<&EntityUid> = match scene.schema {
            Some(schema) => schema.schema.actions().collect(),
            None => scene.store.routes.routes().iter().map(|route| &route.action).collect(),
        };
        let mut members: HashMap<EntityUid, Vec<&EntityUid>> = HashMap::new();
        for action in &all {
            for group in with_ancestors(&scene.store.entities, action) {
                members.entry(group).or_default().push(action);
            }
        }
        Self { members, all, known: HashMap::new() }
    }

    fn of(&mut self, constraint: &ActionConstraint) -> &BTreeSet<&'a EntityUid> {
        let Self { members, all, known } = self;
        known.entry(format!("{constraint:?}")).or_insert_with(|| match constraint {
            ActionConstraint::Any => all.iter().copied().collect(),
            ActionConstraint::Eq(action) => all.iter().copied().filter(|known| *known == action).collect(),
            ActionConstraint::In(groups) => {
                groups.iter().filter_map(|group| members.get(group)).flatten().copied().collect()
            }
        })
    }
}
