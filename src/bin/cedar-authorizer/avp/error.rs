//! The errors of Verified Permissions, as clients get them.
//!
//! Source: the API reference, "Common Errors" and the exceptions of each operation. What a client reads is the name
//! behind `#` in `__type`; the namespace before it says whose error it is.

use std::fmt::Display;

use serde_json::{Map, Value, json};

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceError {
    /// `AccessDeniedException`.
    AccessDenied {
        /// What is wrong with the signature.
        message: String,
    },
    /// An error of every AWS service.
    Common {
        /// Which one.
        error: CommonError,
        /// What is wrong.
        message: String,
    },
    /// `ConflictException`: something else uses the resource, or has its place.
    Conflict {
        /// What is in the way.
        message: String,
        /// The resources in the way.
        resources: Vec<ResourceName>,
    },
    /// `InternalServerException`: a fault of this program or machine.
    Internal {
        /// What went wrong.
        message: String,
    },
    /// `InvalidStateException`: the resource is protected from being deleted, or is being deleted.
    InvalidState {
        /// Which state it is in.
        message: String,
    },
    /// `ResourceNotFoundException`.
    NotFound(ResourceName),
    /// `ServiceQuotaExceededException`.
    QuotaExceeded {
        /// Which quota, and how much it is.
        message: String,
        /// What there are too many of.
        resource: ResourceName,
    },
    /// `SerializationException`: the body is not the JSON of an object. Every AWS service has this error.
    Serialization {
        /// Where the JSON ends to be JSON.
        message: String,
    },
    /// `ThrottlingException`: this program has no rates; `--throttle` asks for the error.
    Throttling,
    /// `TooManyTagsException`.
    TooManyTags {
        /// The ARN of the resource.
        resource: String,
    },
    /// `UnknownOperationException`: there is no such operation. Every AWS service has this error.
    UnknownOperation,
    /// `ValidationException`: the request is not what the operation takes.
    Validation {
        /// What is wrong, in short.
        message: String,
        /// What is wrong with which member.
        fields: Vec<Field>,
    },
}

/// The errors of every AWS service that have nothing but a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommonError {
    /// The `Authorization` header, or a header that it needs, is not what a signature is made of.
    IncompleteSignature,
    /// The signature is not that of this request, or too old.
    InvalidSignature,
    /// The request is not signed.
    MissingAuthenticationToken,
    /// The body did not come in time.
    RequestTimeout,
    /// The body is larger than any request may be.
    RequestTooLarge,
    /// The access key or the session token is unknown.
    UnrecognizedClient,
    /// The content type is not that of the protocol.
    UnsupportedMediaType,
}

impl CommonError {
    /// This error, with a message.
    pub fn because(self, message: impl Display) -> ServiceError {
        ServiceError::Common { error: self, message: message.to_string() }
    }

    fn name(self) -> &'static str {
        match self {
            Self::IncompleteSignature => "IncompleteSignatureException",
            Self::InvalidSignature => "InvalidSignatureException",
            Self::MissingAuthenticationToken => "MissingAuthenticationTokenException",
            Self::RequestTimeout => "RequestTimeoutException",
            Self::RequestTooLarge => "RequestEntityTooLargeException",
            Self::UnrecognizedClient => "UnrecognizedClientException",
            Self::UnsupportedMediaType => "UnsupportedMediaTypeException",
        }
    }

    fn status(self) -> u16 {
        match self {
            Self::IncompleteSignature
            | Self::InvalidSignature
            | Self::MissingAuthenticationToken
            | Self::UnrecognizedClient => 400,
            Self::RequestTimeout => 408,
            Self::RequestTooLarge => 413,
            Self::UnsupportedMediaType => 415,
        }
    }
}

/// What is wrong with a member of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The member, with dots between levels: `definition.static.statement`.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

/// A resource of a policy store, or the store itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceName {
    /// Its kind.
    pub kind: ResourceKind,
    /// Its id.
    pub id: String,
}

/// The kinds of resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceKind {
    IdentitySource,
    PolicyStore,
    Policy,
    PolicyTemplate,
    Schema,
    PolicyStoreAlias,
}

impl ResourceKind {
    /// As AVP writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::IdentitySource => "IDENTITY_SOURCE",
            Self::PolicyStore => "POLICY_STORE",
            Self::Policy => "POLICY",
            Self::PolicyTemplate => "POLICY_TEMPLATE",
            Self::Schema => "SCHEMA",
            Self::PolicyStoreAlias => "POLICY_STORE_ALIAS",
        }
    }

    /// A resource of this kind.
    pub fn named(self, id: impl Into<String>) -> ResourceName {
        ResourceName { kind: self, id: id.into() }
    }
}

impl ServiceError {
    /// A `ValidationException` about one member.
    pub fn invalid(path: impl Into<String>, message: impl Display) -> Self {
        let field = Field { path: path.into(), message: message.to_string() };
        Self::Validation { message: format!("{}: {}", field.path, field.message), fields: vec![field] }
    }

    /// An `InternalServerException`.
    pub fn internal(message: impl Display) -> Self {
        Self::Internal { message: message.to_string() }
    }

    /// The name of the error, as clients know it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::AccessDenied { .. } => "AccessDeniedException",
            Self::Common { error, .. } => error.name(),
            Self::Conflict { .. } => "ConflictException",
            Self::Internal { .. } => "InternalServerException",
            Self::InvalidState { .. } => "InvalidStateException",
            Self::NotFound(_) => "ResourceNotFoundException",
            Self::QuotaExceeded { .. } => "ServiceQuotaExceededException",
            Self::Serialization { .. } => "SerializationException",
            Self::Throttling => "ThrottlingException",
            Self::TooManyTags { .. } => "TooManyTagsException",
            Self::UnknownOperation => "UnknownOperationException",
            Self::Validation { .. } => "ValidationException",
        }
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::Common { error, .. } => error.status(),
            Self::Internal { .. } => 500,
            Self::UnknownOperation => 404,
            _ => 400,
        }
    }

    /// Whether every AWS service has this error, so that no operation lists it.
    pub fn is_of_every_service(&self) -> bool {
        matches!(self, Self::Common { .. } | Self::Serialization { .. } | Self::UnknownOperation)
    }

    /// The body of the answer.
    pub fn body(&self) -> Value {
        let mut body = Map::new();
        let namespace = if self.is_of_every_service() {
            "com.amazon.coral.service"
        } else {
            "com.amazonaws.verifiedpermissions"
        };
        body.insert("__type".to_owned(), json!(format!("{namespace}#{}", self.name())));
        let message = match self {
            Self::AccessDenied { message }
            | Self::Common { message, .. }
            | Self::Conflict { message, .. }
            | Self::Internal { message }
            | Self::InvalidState { message }
            | Self::QuotaExceeded { message, .. }
            | Self::Serialization { message }
            | Self::Validation { message, .. } => message.clone(),
            Self::NotFound(ResourceName { kind, id }) => format!("there is no {} `{id}`", kind.name()),
            Self::Throttling => "this request is refused because `--throttle` says so: try again".to_owned(),
            Self::TooManyTags { resource } => format!("`{resource}` has too many tags"),
            Self::UnknownOperation => "there is no such operation".to_owned(),
        };
        body.insert("message".to_owned(), json!(message));
        match self {
            Self::Conflict { resources, .. } => {
                let resources: Vec<Value> = resources.iter().map(ResourceName::json).collect();
                body.insert("resources".to_owned(), json!(resources));
            }
            Self::NotFound(resource) | Self::QuotaExceeded { resource, .. } => {
                body.insert("resourceId".to_owned(), json!(resource.id));
                body.insert("resourceType".to_owned(), json!(resource.kind.name()));
            }
            Self::TooManyTags { resource } => {
                body.insert("resourceName".to_owned(), json!(resource));
            }
            Self::Validation { fields, .. } if !fields.is_empty() => {
                let field = |field: &Field| json!({"path": field.path, "message": field.message});
                body.insert("fieldList".to_owned(), fields.iter().map(field).collect());
            }
            _ => {}
        }
        Value::Object(body)
    }
}

#[cfg(test)]
impl ServiceError {
    /// Each error once.
    pub fn one_of_each() -> Vec<Self> {
        let message = || "why".to_owned();
        let resource = || ResourceKind::Policy.named("p");
        vec![
            Self::AccessDenied { message: message() },
            CommonError::InvalidSignature.because("why"),
            Self::Conflict { message: message(), resources: vec![resource()] },
            Self::Internal { message: message() },
            Self::InvalidState { message: message() },
            Self::NotFound(resource()),
            Self::QuotaExceeded { message: message(), resource: resource() },
            Self::Serialization { message: message() },
            Self::Throttling,
            Self::TooManyTags { resource: "arn".to_owned() },
            Self::UnknownOperation,
            Self::invalid("definition", "why"),
        ]
    }
}

impl ResourceName {
    fn json(&self) -> Value {
        json!({"resourceId": self.id, "resourceType": self.kind.name()})
    }
}
