//! The principal: the user that a verified token speaks of.

use cedar_policy::{Entity, EntityId, EntityTypeName, EntityUid};

use crate::identity_source::IdentitySource;
use crate::projection::{Projected, Projection};
use crate::reason::Reason;
use crate::token::{TokenType, VerifiedToken};

/// The id of the principal: `<principal type>::"<pool id>|<sub>"`.
pub fn uid(token: &VerifiedToken, source: &IdentitySource) -> EntityUid {
    prefixed(source.principal_type(), source, token.subject())
}

/// Makes the principal with its groups, `<group type>::"<pool id>|<group>"`, as parents. The
/// claims of an ID token become its attributes. The count is that of claims which were of
/// another type than the schema has.
///
/// # Errors
/// [`Reason::RequiredClaimMissing`], as for any required attribute with an access token.
pub fn from_token(
    token: &VerifiedToken,
    source: &IdentitySource,
    token_type: TokenType,
    projection: &Projection,
) -> Result<(Entity, usize), Reason> {
    let Projected { values, dropped } = match (projection.principal(source.principal_type()), token_type) {
        (None, _) => Projected::default(),
        (Some(shape), TokenType::Id) => shape.project(token.claims(), source.group_claim())?,
        (Some(shape), TokenType::Access) => shape.project_nothing()?,
    };
    let groups = token.groups().iter();
    let parents = source
        .group_type()
        .map(|group_type| groups.map(|group| prefixed(group_type, source, group)).collect())
        .unwrap_or_default();
    // The projection made sure of every value, so this does not fail; were it to, it denies.
    let entity = Entity::new(uid(token, source), values, parents).map_err(|_| Reason::RequestInvalid)?;
    Ok((entity, dropped))
}

fn prefixed(entity_type: &EntityTypeName, source: &IdentitySource, id: &str) -> EntityUid {
    let id = EntityId::new(format!("{}|{id}", source.id_prefix()));
    EntityUid::from_type_name_and_id(entity_type.clone(), id)
}
