//! The principal: the user whom a verified token identifies.

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

/// A principal. Cedar needs it as an entity only if a condition may read it.
#[derive(Clone, Debug)]
pub struct Principal {
    /// Its id.
    pub uid: EntityUid,
    /// Its parents, from the token.
    pub parents: HashSet<EntityUid>,
    /// Its attributes.
    pub attributes: HashMap<String, RestrictedExpression>,
}

impl Principal {
    /// The entity, with all its ancestors as parents. `None`: Cedar does not accept it. This does not happen,
    /// because the projection has checked every value.
    pub fn entity(&self, ancestors: &[EntityUid]) -> Option<Entity> {
        Entity::new(self.uid.clone(), self.attributes.clone(), ancestors.iter().cloned().collect()).ok()
    }
}

/// Makes the principal. Its groups, `<group type>::"<prefix>|<group>"`, become its parents. The claims of an ID
/// token become its attributes. The count says how many claims were dropped because the schema declares another
/// type.
///
/// # Errors
/// [`Reason::RequiredClaimMissing`]. With an access token, every attribute that the schema requires leads to it.
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
