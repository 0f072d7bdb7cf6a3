//! The principal: the user that a verified token speaks of.

use cedar_policy::{Entity, EntityUid};

use crate::identity_source::IdentitySource;
use crate::projection::{Projected, Projection};
use crate::reason::Reason;
use crate::token::{TokenType, VerifiedToken};

/// The id of the principal: `<principal type>::"<prefix>|<id>"`.
pub fn uid(token: &VerifiedToken, source: &IdentitySource) -> EntityUid {
    source.entity(source.principal_type(), token.principal_id())
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
) -> Result<(Entity, usize), Reason> {
    let Projected { values, dropped } = match source.token_type() {
        Some(TokenType::Id) => projection.principal(token.claims(), source)?,
        _ => projection.principal_without_claims(source)?,
    };
    let groups = token.groups().iter();
    let parents = source
        .group_type()
        .map(|group_type| groups.map(|group| source.entity(group_type, group)).collect())
        .unwrap_or_default();
    // The projection made sure of every value, so this does not fail; were it to, it denies.
    let entity = Entity::new(uid(token, source), values, parents).map_err(|_| Reason::RequestInvalid)?;
    Ok((entity, dropped))
}
