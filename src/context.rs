//! The context: what Cedar policies may ask about a request beyond its principal and resource.

use cedar_policy::{Context, EntityUid, RestrictedExpression};

use crate::identity_source::IdentitySource;
use crate::projection::{Projected, Projection};
use crate::reason::Reason;
use crate::token::{TokenType, VerifiedToken};

/// Makes the context of a request: the claims of an access token as `context.token`, where the
/// schema declares that record for the action. The count is that of claims which were of another
/// type than the schema has.
///
/// # Errors
/// [`Reason::RequiredClaimMissing`].
pub fn from_token(
    token: &VerifiedToken,
    source: &IdentitySource,
    action: &EntityUid,
    projection: &Projection,
) -> Result<(Context, usize), Reason> {
    let projected = match source.token_type() {
        Some(TokenType::Access) => projection.token(token.claims(), source, action)?,
        _ => None,
    };
    let Some(Projected { values, dropped }) = projected else {
        return Ok((Context::empty(), 0));
    };
    // As for the principal: the projection made sure of the values.
    let record = RestrictedExpression::new_record(values).map_err(|_| Reason::RequestInvalid)?;
    let context = Context::from_pairs([("token".to_owned(), record)]).map_err(|_| Reason::RequestInvalid)?;
    Ok((context, dropped))
}
