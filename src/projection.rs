//! The projection: which claims the schema reads, and as what type.
//!
//! It is computed once, when a bundle is built. At request time each attribute of the schema takes its claim and
//! makes a typed Cedar value of it. Claims that the schema does not know are never read. The JSON of a token
//! never reaches Cedar's own JSON parser, which would read `{"__entity": ...}` or `{"__extn": ...}` inside a
//! claim as an entity or a function call.

mod record;
mod value_type;

use std::borrow::Cow;
use std::collections::HashMap;

use cedar_policy::{EntityTypeName, EntityUid, RestrictedExpression};
use serde_json::{Map, Value};

use crate::token::identity_source::IdentitySource;
#[cfg(feature = "authoring")]
pub(crate) use record::Attribute;
pub use record::{Projected, Record, RequiredClaimMissing, project_simple};
#[cfg(feature = "authoring")]
pub(crate) use value_type::{Extension, ValueType};

/// What is taken from a token and a call, and as which types.
#[derive(Clone, Debug)]
pub enum Projection {
    /// What the schema declares.
    Schema(Shapes),
    /// Without a schema: every claim of a simple type, as in AVP's example of client-side authorization (User
    /// Guide, "Client-side authorization for JWTs").
    Schemaless,
}

impl Projection {
    /// The attributes of a principal, from the claims of an ID token.
    ///
    /// # Errors
    /// [`RequiredClaimMissing`].
    pub fn principal(
        &self,
        claims: &Map<String, Value>,
        source: &IdentitySource,
    ) -> Result<Projected, RequiredClaimMissing> {
        match self {
            Self::Schema(shapes) => match shapes.entity(source.principal_type()) {
                Some(shape) => shape.project_claims(claims, source),
                None => Ok(Projected::default()),
            },
            Self::Schemaless => Ok(project_simple(claims, source)),
        }
    }

    /// The attributes of a principal that gets none from claims. The claims of an access token go into the
    /// context.
    ///
    /// # Errors
    /// [`RequiredClaimMissing`] if the schema requires an attribute.
    pub fn principal_without_claims(
        &self,
        source: &IdentitySource,
    ) -> Result<Projected, RequiredClaimMissing> {
        self.principal(&Map::new(), source)
    }

    /// What the schema declares for the context of an action. `None`: there is no schema.
    pub fn context(&self, action: &EntityUid) -> Option<Cow<'_, Record>> {
        match self {
            Self::Schema(shapes) => Some(match shapes.contexts.get(action) {
                Some(shape) => Cow::Borrowed(shape),
                None => Cow::Owned(Record::default()),
            }),
            Self::Schemaless => None,
        }
    }

    /// An attribute of a resource, from a text in the path. `None`: the schema does not have it, or the text is
    /// not of its type.
    pub fn text_attribute(
        &self,
        entity_type: &EntityTypeName,
        name: &str,
        text: &str,
    ) -> Option<RestrictedExpression> {
        match self {
            Self::Schema(shapes) => {
                shapes.entity(entity_type)?.attributes.get(name)?.value_type.convert_text(text)
            }
            Self::Schemaless => Some(RestrictedExpression::new_string(text.to_owned())),
        }
    }
}

/// All shapes of a schema that a token or a call can fill.
#[derive(Clone, Debug, Default)]
pub struct Shapes {
    entities: HashMap<EntityTypeName, Record>,
    contexts: HashMap<EntityUid, Record>,
}

impl Shapes {
    /// Adds an entity type.
    pub(crate) fn insert_entity(&mut self, entity_type: EntityTypeName, shape: Record) {
        self.entities.insert(entity_type, shape);
    }

    /// Adds the context of an action.
    pub(crate) fn insert_context(&mut self, action: EntityUid, shape: Record) {
        self.contexts.insert(action, shape);
    }

    /// The context of an action, for changes.
    #[cfg(feature = "authoring")]
    pub(crate) fn context_mut(&mut self, action: &EntityUid) -> Option<&mut Record> {
        self.contexts.get_mut(action)
    }

    /// The attributes of an entity type. `None`: the schema does not define it.
    pub fn entity(&self, entity_type: &EntityTypeName) -> Option<&Record> {
        self.entities.get(entity_type)
    }
}
