//! The policies that decide about requests: static ones, and templates with their slots filled.

use cedar_policy::{
    ActionConstraint, Effect, EntityUid, Policy, PolicyId, PolicySet, PrincipalConstraint,
    ResourceConstraint, Template, TemplatePrincipalConstraint, TemplateResourceConstraint,
};

use super::links::{LinkedEntity, TemplateLink, TemplateLinks};

/// A policy that decides about requests.
#[derive(Clone, Copy, Debug)]
pub enum StoredPolicy<'a> {
    /// It has no slots.
    Static(&'a Policy),
    /// A link, with its template.
    Linked(TemplateLink<'a>, &'a Template),
}

/// The policies of a set and the links of its templates.
pub(super) fn all<'a>(
    set: &'a PolicySet,
    links: &'a TemplateLinks,
) -> impl Iterator<Item = StoredPolicy<'a>> {
    let linked = links.iter().filter_map(|link| StoredPolicy::linked(link, set));
    set.policies().map(StoredPolicy::Static).chain(linked)
}

impl<'a> StoredPolicy<'a> {
    /// A link with its template, if the set has it.
    pub(super) fn linked(link: TemplateLink<'a>, set: &'a PolicySet) -> Option<Self> {
        Some(Self::Linked(link, set.template(link.template_id)?))
    }

    /// The id by which decisions name it.
    pub fn id(&self) -> &'a str {
        match self {
            Self::Static(policy) => policy.id().as_ref(),
            Self::Linked(link, _) => link.id,
        }
    }

    /// The template that it is made from.
    pub fn template_id(&self) -> Option<&'a PolicyId> {
        match self {
            Self::Static(_) => None,
            Self::Linked(link, _) => Some(link.template_id),
        }
    }

    /// The id of the policy or template with its text.
    pub fn text_id(&self) -> &'a PolicyId {
        match self {
            Self::Static(policy) => policy.id(),
            Self::Linked(link, _) => link.template_id,
        }
    }

    /// What is in its slots.
    pub fn linked_entities(&self) -> impl Iterator<Item = LinkedEntity<'a>> + use<'a> {
        let link = match self {
            Self::Static(_) => None,
            Self::Linked(link, _) => Some(*link),
        };
        link.into_iter().flat_map(|link| link.principal.into_iter().chain(link.resource))
    }

    /// What it does if it applies.
    pub fn effect(&self) -> Effect {
        match self {
            Self::Static(policy) => policy.effect(),
            Self::Linked(_, template) => template.effect(),
        }
    }

    /// Whether it has a `when` or `unless`.
    pub fn has_conditions(&self) -> bool {
        match self {
            Self::Static(policy) => policy.has_non_scope_constraint(),
            Self::Linked(_, template) => template.has_non_scope_constraint(),
        }
    }

    /// The principal of its scope.
    pub fn principal_constraint(&self) -> PrincipalConstraint {
        use TemplatePrincipalConstraint as Part;
        match self {
            Self::Static(policy) => policy.principal_constraint(),
            Self::Linked(link, template) => {
                match template.principal_constraint() {
                    Part::Any => PrincipalConstraint::Any,
                    Part::Is(entity_type) => PrincipalConstraint::Is(entity_type),
                    Part::Eq(named) => filled(named, link.principal)
                        .map_or(PrincipalConstraint::Any, PrincipalConstraint::Eq),
                    Part::In(named) => filled(named, link.principal)
                        .map_or(PrincipalConstraint::Any, PrincipalConstraint::In),
                    Part::IsIn(entity_type, named) => match filled(named, link.principal) {
                        Some(uid) => PrincipalConstraint::IsIn(entity_type, uid),
                        None => PrincipalConstraint::Is(entity_type),
                    },
                }
            }
        }
    }

    /// The actions of its scope.
    pub fn action_constraint(&self) -> ActionConstraint {
        match self {
            Self::Static(policy) => policy.action_constraint(),
            Self::Linked(_, template) => template.action_constraint(),
        }
    }

    /// The resource of its scope.
    pub fn resource_constraint(&self) -> ResourceConstraint {
        use TemplateResourceConstraint as Part;
        match self {
            Self::Static(policy) => policy.resource_constraint(),
            Self::Linked(link, template) => match template.resource_constraint() {
                Part::Any => ResourceConstraint::Any,
                Part::Is(entity_type) => ResourceConstraint::Is(entity_type),
                Part::Eq(named) => {
                    filled(named, link.resource).map_or(ResourceConstraint::Any, ResourceConstraint::Eq)
                }
                Part::In(named) => {
                    filled(named, link.resource).map_or(ResourceConstraint::Any, ResourceConstraint::In)
                }
                Part::IsIn(entity_type, named) => match filled(named, link.resource) {
                    Some(uid) => ResourceConstraint::IsIn(entity_type, uid),
                    None => ResourceConstraint::Is(entity_type),
                },
            },
        }
    }
}

/// The entity of a scope: the named one, or what is in the slot. A link without an entity for a slot of its template
/// is refused when it is read.
fn filled(named: Option<EntityUid>, linked: Option<LinkedEntity<'_>>) -> Option<EntityUid> {
    named.or_else(|| linked.map(|entity| entity.uid()))
}
