//! The principal: the user that a verified token speaks of.

use std::collections::{HashMap, HashSet};

use cedar_policy::{Entity, EntityUid, RestrictedExpression};

use crate::projection::{Projected, Projection};
use crate::reason::Reason;
use crate::token::identity_source::IdentitySource;
use crate::token::{TokenType, VerifiedToken};

/// The id of the principal: `<principal type>::"<prefix>|<id>"`.
pub fn uid(token: &VerifiedToken, source: &IdentitySource) -> EntityUid {
    source.entity(source.principal_type(), token.principal_id())
}

/// A principal, which Cedar needs as an entity only where a condition could ask for it.
#[derive(Clone, Debug)]
pub struct Principal {
    /// Its id.
    pub uid: EntityUid,
    /// What the token says that it is in.
    pub parents: HashSet<EntityUid>,
    /// Its attributes.
    pub attributes: HashMap<String, RestrictedExpression>,
}

impl Principal {
    /// The entity, with all that it is in for parents. `None`: Cedar does not take it. The projection made sure of
    /// every value, so that does not happen.
    pub fn entity(&self, ancestors: &[EntityUid]) -> Option<Entity> {
        Entity::new(self.uid.clone(), self.attributes.clone(), ancestors.iter().cloned().collect()).ok()
    }
}

/// Makes the principal with its groups, `<group type>::"<prefix>|<group>"`, as parents. The
/// claims of an ID token become its attributes. The count is that of claims which were of
/// another type than the schema has.
///
/// # Errors
/// [`Reason::RequiredClaimMissing`], as for any required attribute with an access token.
pub fn from_token(
    token: &VerifiedToken,
    source: &IdentitySource,
    projection: &Projection,
) -> Result<(Principal, usize), Reason> {
    let Projected { values, dropped } = match source.token_type() {
        Some(TokenType::Id) => projection.principal(token.claims(), source)?,
        _ => projection.principal_without_claims(source)?,
    };
    let groups = token.groups().iter();
    let parents = source
        .group_type()
        .map(|group_type| groups.map(|group| source.entity(group_type, group)).collect())
        .unwrap_or_default();
    Ok((Principal { uid: uid(token, source), parents, attributes: values }, dropped))
}
