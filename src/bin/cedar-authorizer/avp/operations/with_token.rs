//! `IsAuthorizedWithToken`, and what its batch shares with it.

use cedar_authorizer::cedar::{Entity, EntityTypeName, EntityUid};
use cedar_authorizer::decide::{AuthorizationRequest, PrincipalRequest, principal};
use cedar_authorizer::reason::Reason;
use cedar_authorizer::token::identity_source::IdentitySource;
use cedar_authorizer::token::{TokenType, VerifiedToken};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::is_authorized::{action, entity};
use crate::avp::Limits;
use crate::avp::contents::EntityIdentifier;
use crate::avp::decide::{Decider, Verdict, check_size, request};
use crate::avp::error::{ResourceKind, ServiceError};
use crate::avp::keys::{Keys, TokenReader};
use crate::avp::snapshot::Snapshot;
use crate::avp::value::{self, ActionIdentifier, Path};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    policy_store_id: String,
    #[serde(flatten)]
    tokens: Tokens,
    action: Option<ActionIdentifier>,
    resource: Option<EntityIdentifier>,
    context: Option<Value>,
    entities: Option<Value>,
}

/// What a client is told.
#[derive(Debug, Serialize)]
pub struct Output {
    #[serde(flatten)]
    verdict: Verdict,
    principal: EntityIdentifier,
}

/// Decides on one request of the user of a token.
///
/// # Errors
/// What the client is told.
pub async fn answer(
    snapshot: &Snapshot,
    limits: Limits,
    keys: &Keys,
    input: &Value,
) -> Result<Output, ServiceError> {
    check_size(input, limits)?;
    let Input { policy_store_id, tokens, action, resource, context, entities } =
        super::authorization::shaped(input)?;
    let action = self::action(action.as_ref(), Path::of("action"))?;
    let resource = entity(resource.as_ref(), Path::of("resource"))?;
    let context = value::context(context.as_ref(), Path::of("context"))?;
    let entities = value::entities(entities.as_ref(), Path::of("entities"))?;
    let decider = snapshot.decider()?;
    let caller = Caller::verify(decider, &policy_store_id, &entities, keys, &tokens).await?;
    let PrincipalRequest { principal, request } =
        caller.asks(request(action, resource, context, entities))?;
    let verdict = decider.decide(&principal, &request, limits)?;
    Ok(Output { verdict, principal: value::identifier(&principal) })
}

/// There is nobody whose tokens could be accepted.
fn no_identity_source(policy_store_id: &str) -> ServiceError {
    ServiceError::NotFound(ResourceKind::IdentitySource.named(policy_store_id))
}

/// What is known of users and their groups comes from tokens alone (User Guide, "Available API operations for
/// authorization").
fn check_entities(reader: &TokenReader, entities: &[Entity]) -> Result<(), ServiceError> {
    let sources = reader.sources(TokenType::Access);
    let of_tokens = |name: &EntityTypeName| {
        sources.iter().any(|source| source.principal_type() == name || source.group_type() == Some(name))
    };
    match entities.iter().map(Entity::uid).find(|uid| of_tokens(uid.type_name())) {
        Some(uid) => {
            let message = format!(
                "`{uid}` is of a type that the identity source defines; only tokens say who they are"
            );
            Err(ServiceError::invalid("entities", message))
        }
        None => Ok(()),
    }
}

/// The tokens of a request, not verified yet.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tokens {
    identity_token: Option<String>,
    access_token: Option<String>,
}

/// The user of the tokens of a request.
pub struct Caller<'a> {
    reader: &'a TokenReader,
    /// Who they are: from the ID token if there is one.
    named_by: TypedToken,
    access: Option<TypedToken>,
    principal: EntityUid,
}

#[derive(Clone)]
struct TypedToken {
    token_type: TokenType,
    token: VerifiedToken,
}

impl<'a> Caller<'a> {
    /// Verifies the tokens of a request with these entities. If there are two, they must be of the same user.
    ///
    /// # Errors
    /// A `ValidationException`; a `ResourceNotFoundException`, if the store has no identity source.
    pub async fn verify(
        decider: &'a Decider,
        policy_store_id: &str,
        entities: &[Entity],
        keys: &Keys,
        Tokens { identity_token, access_token }: &Tokens,
    ) -> Result<Self, ServiceError> {
        let reader = decider.tokens.as_ref().ok_or_else(|| no_identity_source(policy_store_id))?;
        check_entities(reader, entities)?;
        let identity = TypedToken::verify(reader, keys, TokenType::Id, identity_token.as_deref()).await?;
        let access = TypedToken::verify(reader, keys, TokenType::Access, access_token.as_deref()).await?;
        let Some(named_by) = identity.or_else(|| access.clone()) else {
            return Err(refused("either `identityToken` or `accessToken` must be set, or both"));
        };
        let principal = named_by.principal(reader)?;
        if let Some(access) = &access
            && (access.principal(reader)? != principal
                || access.token.keys().source != named_by.token.keys().source)
        {
            return Err(refused("`identityToken` and `accessToken` are not of the same user"));
        }
        Ok(Self { reader, named_by, access, principal })
    }

    /// The principal.
    pub fn principal(&self) -> &EntityUid {
        &self.principal
    }

    /// A request as this user makes it.
    ///
    /// # Errors
    /// A `ValidationException`, if the token lacks a claim that the schema requires.
    pub fn asks(&self, request: AuthorizationRequest) -> Result<PrincipalRequest, ServiceError> {
        let (TokenReader { projection, .. }, named_by) = (self.reader, &self.named_by);
        let (source, of_context) = (named_by.source(self.reader)?, self.access.as_ref().unwrap_or(named_by));
        let request = request.with_token(&of_context.token, of_context.source(self.reader)?, projection);
        let request = request.map_err(|reason| of_context.refused(reason))?;
        let asked = request.with_principal(&named_by.token, source, projection);
        Ok(asked.map_err(|reason| named_by.refused(reason))?.0)
    }
}

impl TypedToken {
    async fn verify(
        reader: &TokenReader,
        keys: &Keys,
        token_type: TokenType,
        token: Option<&str>,
    ) -> Result<Option<Self>, ServiceError> {
        let Some(token) = token else {
            return Ok(None);
        };
        let verified = keys.verify(reader, token_type, token).await;
        let token = verified.map_err(|reason| unverified(token_type, reason))?;
        Ok(Some(Self { token_type, token }))
    }

    fn source<'a>(&self, reader: &'a TokenReader) -> Result<&'a IdentitySource, ServiceError> {
        reader.source(self.token_type, &self.token).map_err(|reason| self.refused(reason))
    }

    fn principal(&self, reader: &TokenReader) -> Result<EntityUid, ServiceError> {
        Ok(principal::uid(&self.token, self.source(reader)?))
    }

    fn refused(&self, reason: Reason) -> ServiceError {
        unverified(self.token_type, reason)
    }
}

/// Says why a token is refused, and never anything that is in it.
fn unverified(token_type: TokenType, reason: Reason) -> ServiceError {
    let (name, other) = match token_type {
        TokenType::Access => ("AccessToken", "IdentityToken"),
        TokenType::Id => ("IdentityToken", "AccessToken"),
    };
    let text = match reason {
        // As AVP says it.
        Reason::TokenTypeMismatch => {
            format!("invalid token type: Expected {name} in the {name} parameter but received {other}.")
        }
        reason => reason.meaning().to_owned(),
    };
    refused(format!("Failed to verify {name}: {text} ({reason})"))
}

fn refused(message: impl Into<String>) -> ServiceError {
    ServiceError::Validation { message: message.into(), fields: Vec::new() }
}
