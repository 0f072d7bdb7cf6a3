//! Requests in Cedar's own terms: any principal, action, resource and context, with entities of their own.

use std::collections::{HashMap, HashSet};

use cedar_policy::{AuthorizationError, Context, Entities, Entity, EntityUid, EvalResult, Request, Response};

use super::decision::{Applying, Decision, Verdict};
use super::subject::ask_cedar;
use super::{context, principal};
use crate::bundle::entities::{StoredEntities, find_references, reachable};
use crate::bundle::policies::{PolicyIndex, Slice};
use crate::bundle::{Bundle, Unreadable};
use crate::projection::Projection;
use crate::reason::Reason;
use crate::token::VerifiedToken;
use crate::token::identity_source::IdentitySource;

/// What somebody wants to do, in Cedar's terms. The action need not belong to a route.
///
/// ```
/// # #[cfg(feature = "authoring")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use cedar_authorizer::bundle::{Bundle, DevelopmentKeys};
/// use cedar_authorizer::cedar::{Entity, EntityUid};
/// use cedar_authorizer::decide::{AuthorizationRequest, Gate};
/// # use cedar_authorizer::store::build::bundle_of_directory;
/// # let bytes = bundle_of_directory("policies".as_ref(), 1)?;
///
/// let gate = Gate::with_pinned_keys(Bundle::open(bytes, DevelopmentKeys::Allow)?);
/// let user: EntityUid = r#"PetStore::User::"alice""#.parse()?;
/// let group = r#"PetStore::UserGroup::"us-east-1_EXAMPLE|employee""#.parse()?;
/// let action = r#"PetStore::Action::"get /pets""#.parse()?;
/// let resource = r#"PetStore::Application::"PetStore""#.parse()?;
///
/// let entities = vec![Entity::new_no_attrs(user.clone(), [group].into())];
/// let request = AuthorizationRequest::new(action, resource);
/// assert!(!gate.is_authorized(&user, &request)?.is_allowed());
/// assert!(gate.is_authorized(&user, &request.with_entities(entities))?.is_allowed());
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "authoring"))]
/// # fn main() {}
/// ```
#[derive(Clone, Debug)]
pub struct AuthorizationRequest {
    /// The action.
    pub action: EntityUid,
    /// The resource that the action is done to.
    pub resource: EntityUid,
    /// The circumstances. They are not validated against the schema. If a policy reads a value that is missing or
    /// has another type, that policy cannot be evaluated.
    pub context: Context,
    /// Entities in addition to those of the store. Each has its direct parents, its attributes and its tags. If
    /// the store has an entity with the same id, this one replaces it. The other entities of the store keep all
    /// the ancestors that the store gives them, and get the ancestors of these as well.
    pub entities: Vec<Entity>,
}

impl AuthorizationRequest {
    /// A request with an empty context and no entities.
    pub fn new(action: EntityUid, resource: EntityUid) -> Self {
        Self { action, resource, context: Context::empty(), entities: Vec::new() }
    }

    /// The same request with this context.
    #[must_use]
    pub fn with_context(self, context: Context) -> Self {
        Self { context, ..self }
    }

    /// The same request with these entities.
    #[must_use]
    pub fn with_entities(self, entities: Vec<Entity>) -> Self {
        Self { entities, ..self }
    }

    /// The entities of the request and this entity, which replaces one of the request with the same id.
    pub(super) fn entities_with(&self, entity: Entity) -> Vec<Entity> {
        let uid = entity.uid();
        let others = self.entities.iter().filter(|other| other.uid() != uid).cloned();
        others.chain([entity]).collect()
    }

    /// Decides on the request with the policies and entities of a bundle.
    ///
    /// # Errors
    /// [`Reason::RequestInvalid`], if Cedar or the schema does not accept the request;
    /// [`Reason::BundleUnreadable`].
    pub(super) fn decide(&self, bundle: &Bundle, principal: &EntityUid) -> Result<Decision, Reason> {
        self.check_types(bundle, principal)?;
        Ok(self.evaluate(Known::of(bundle), principal)?.applying.decide())
    }

    /// Finds the policies that apply.
    ///
    /// # Errors
    /// [`Reason::RequestInvalid`], if Cedar does not accept the request; [`Reason::BundleUnreadable`].
    pub(super) fn evaluate(&self, known: Known<'_>, principal: &EntityUid) -> Result<Evaluation, Reason> {
        let Self { action, resource, context: _, entities } = self;
        let hierarchy = Hierarchy::new(entities, known.entities)?;
        let closed = hierarchy.closed()?;
        let line = |uid| hierarchy.with_ancestors(uid);
        let (principals, actions, resources) = (line(principal)?, line(action)?, line(resource)?);
        let Slice { permits, forbids, conditional } =
            known.policies.slice_of(&principals, &actions, &resources)?;
        let lines = [principals, actions, resources];
        let mut applying = Applying::new(permits, forbids);
        if conditional.is_empty() {
            return Ok(Evaluation { applying, response: None, lines });
        }
        let CedarRequest { request, entities: all } = self.with_reachable(known, principal, closed)?;
        let policies = known.policies.policies(conditional.clone())?;
        let response = ask_cedar(&request, &policies, &all);
        let failing: HashSet<_> = response
            .diagnostics()
            .errors()
            .map(|error| match error {
                AuthorizationError::PolicyEvaluationError(error) => error.policy_id(),
            })
            .collect();
        let holding: HashSet<_> = response.diagnostics().reason().collect();
        for policy in conditional {
            let (id, effect) = (policy.id().clone(), policy.effect());
            // If a forbid holds, Cedar does not say which permits hold. They would not change the decision.
            let verdict = if failing.contains(&id) {
                Verdict::Fails
            } else if holding.contains(&id) {
                Verdict::Holds
            } else {
                Verdict::HoldsNot
            };
            applying.add(id, effect, verdict);
        }
        Ok(Evaluation { applying, response: Some(response), lines })
    }

    /// # Errors
    /// [`Reason::RequestInvalid`], if the schema does not let the action apply to this principal and resource.
    fn check_types(&self, bundle: &Bundle, principal: &EntityUid) -> Result<(), Reason> {
        let is_possible = bundle.may_request(principal.type_name(), &self.action, self.resource.type_name());
        if is_possible { Ok(()) } else { Err(Reason::RequestInvalid) }
    }

    /// The request with `context.token` of an access token. If the request has a member of that name, it is left
    /// out, whatever the type of the token. `source` must be the one that vouches for the token.
    ///
    /// # Errors
    /// [`Reason::RequiredClaimMissing`], [`Reason::RequestInvalid`].
    pub fn with_token(
        self,
        token: &VerifiedToken,
        source: &IdentitySource,
        projection: &Projection,
    ) -> Result<Self, Reason> {
        let context = context::with_token(&self.context, &self.action, token, source, projection)?;
        Ok(self.with_context(context))
    }

    /// The request with the user of a token as principal, who has the groups of the token, and the claims of an ID
    /// token as attributes. If the request has an entity of that id, it is left out. `source` must be the one that
    /// vouches for the token. Also returns how many claims were dropped because the schema declares another type.
    ///
    /// # Errors
    /// [`Reason::RequiredClaimMissing`], [`Reason::RequestInvalid`].
    pub fn with_principal(
        self,
        token: &VerifiedToken,
        source: &IdentitySource,
        projection: &Projection,
    ) -> Result<(PrincipalRequest, usize), Reason> {
        let (principal, dropped) = principal::from_token(token, source, projection)?;
        let parents: Vec<EntityUid> = principal.parents.iter().cloned().collect();
        let entity = principal.entity(&parents).ok_or(Reason::RequestInvalid)?;
        let entities = self.entities_with(entity);
        Ok((PrincipalRequest { principal: principal.uid, request: self.with_entities(entities) }, dropped))
    }
}

/// What decides on requests in Cedar's terms.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    /// The policies, by their scopes.
    pub(super) policies: &'a PolicyIndex,
    /// The entities of the store, with the actions of the schema.
    pub(super) entities: &'a StoredEntities,
    /// Of these, those that policies name in their conditions.
    pub(super) named_entities: &'a [EntityUid],
}

impl<'a> Known<'a> {
    fn of(bundle: &'a Bundle) -> Self {
        Self {
            policies: bundle.policy_index(),
            entities: bundle.entities(),
            named_entities: bundle.named_entities(),
        }
    }
}

/// The policies that apply to a request, and how that was found.
pub(super) struct Evaluation {
    pub(super) applying: Applying,
    /// What Cedar said of the conditions. `None`: no policy of the slice has any.
    pub(super) response: Option<Response>,
    /// Principal, action and resource, each with its ancestors behind it.
    pub(super) lines: [Vec<EntityUid>; 3],
}

/// A request of somebody in Cedar's terms.
#[derive(Clone, Debug)]
pub struct PrincipalRequest {
    /// Who asks.
    pub principal: EntityUid,
    /// What they ask for. The principal, with its groups and attributes, is among the entities.
    pub request: AuthorizationRequest,
}

/// A request as Cedar evaluates it.
#[derive(Clone, Debug)]
pub struct CedarRequest {
    /// Principal, action, resource and context.
    pub request: Request,
    /// The entities that a policy of the bundle can reach from the request or from its own text, each with all its
    /// ancestors.
    pub entities: Entities,
}

impl AuthorizationRequest {
    /// The request as Cedar evaluates it, for whoever wants to know more than the decision: which condition holds,
    /// and what it saw. The decision itself is [`Gate::is_authorized`](super::Gate::is_authorized).
    ///
    /// # Errors
    /// [`Reason::RequestInvalid`], if Cedar or the schema does not accept the request;
    /// [`Reason::BundleUnreadable`].
    pub fn for_cedar(&self, bundle: &Bundle, principal: &EntityUid) -> Result<CedarRequest, Reason> {
        self.check_types(bundle, principal)?;
        let closed = Hierarchy::new(&self.entities, bundle.entities())?.closed()?;
        self.with_reachable(Known::of(bundle), principal, closed)
    }

    /// `closed` are the entities of the request, each with all its ancestors.
    fn with_reachable(
        &self,
        known: Known<'_>,
        principal: &EntityUid,
        closed: Vec<Entity>,
    ) -> Result<CedarRequest, Reason> {
        let Self { action, resource, context, entities: _ } = self;
        let roots = [principal, action, resource].into_iter().chain(known.named_entities).cloned();
        let roots = roots.chain(references(context));
        let reached = reachable(known.entities, closed, roots)?;
        let entities = Entities::from_entities(reached, None).map_err(|_| Reason::RequestInvalid)?;
        let request =
            Request::new(principal.clone(), action.clone(), resource.clone(), context.clone(), None)
                .map_err(|_| Reason::RequestInvalid)?;
        Ok(CedarRequest { request, entities })
    }
}

/// The parents of entities. The entities of the request take precedence over those of the store.
struct Hierarchy<'a> {
    given: HashMap<EntityUid, (&'a Entity, Vec<EntityUid>)>,
    stored: &'a StoredEntities,
}

impl<'a> Hierarchy<'a> {
    /// # Errors
    /// [`Reason::RequestInvalid`], if the request has an entity twice.
    fn new(entities: &'a [Entity], stored: &'a StoredEntities) -> Result<Self, Reason> {
        let mut given = HashMap::new();
        for entity in entities {
            let (uid, _, parents) = entity.clone().into_inner();
            if given.insert(uid, (entity, parents.into_iter().collect())).is_some() {
                return Err(Reason::RequestInvalid);
            }
        }
        Ok(Self { given, stored })
    }

    /// An entity and all its ancestors. The entity itself comes first.
    ///
    /// # Errors
    /// [`Reason::RequestInvalid`], if the entity is its own ancestor; [`Reason::BundleUnreadable`].
    fn with_ancestors(&self, uid: &EntityUid) -> Result<Vec<EntityUid>, Reason> {
        let (mut found, mut seen) = (vec![uid.clone()], HashSet::from([uid.clone()]));
        let mut next = 0;
        while let Some(current) = found.get(next).cloned() {
            for parent in self.parents(&current)? {
                if parent == *uid {
                    return Err(Reason::RequestInvalid);
                }
                if seen.insert(parent.clone()) {
                    found.push(parent);
                }
            }
            next += 1;
        }
        Ok(found)
    }

    fn parents(&self, uid: &EntityUid) -> Result<Vec<EntityUid>, Unreadable> {
        if let Some((_, parents)) = self.given.get(uid) {
            return Ok(parents.clone());
        }
        // The bundle keeps the fewest parents from which all ancestors follow, so one that the request describes
        // otherwise may stand for several.
        Ok(self.stored.with_ancestors(uid)?.into_iter().skip(1).collect())
    }

    /// The entities of the request, each with all its ancestors as parents. The entities of the store have this
    /// form, too.
    fn closed(&self) -> Result<Vec<Entity>, Reason> {
        let close = |(entity, _): &(&Entity, Vec<EntityUid>)| {
            let ancestors = self.with_ancestors(&entity.uid())?;
            super::resource::with_parents(entity, ancestors.into_iter().skip(1)).ok_or(Reason::RequestInvalid)
        };
        self.given.values().map(close).collect()
    }
}

/// The entities that a context names.
fn references(context: &Context) -> Vec<EntityUid> {
    let names = context.clone().into_iter().map(|(name, _)| name);
    let values: Vec<EvalResult> = names.filter_map(|name| context.get(&name)).collect();
    let mut found = Vec::new();
    values.iter().for_each(|value| find_references(value, &mut found));
    found
}
