//! Description: the routes of an API, out of an OpenAPI document.
//!
//! This reads OpenAPI 3.0 and 3.1, Swagger 2.0 and the exports of API Gateway, as JSON or YAML. Whatever API Gateway
//! cannot have is left out, and a [`Problem`] says so. `servers`, `host` and `basePath` are not part of a path: the
//! routes of API Gateway are below the stage, and neither events nor action ids have what is before them.
//!
//! Rules: OpenAPI Specification 3.1.1, "Paths Object", "Path Item Object", "Operation Object", "Parameter Object" and
//! "Reference Object"; Swagger 2.0, the same; API Gateway Developer Guide, "x-amazon-apigateway-any-method object",
//! "x-amazon-apigateway-authorizer object" and "API Gateway important notes for REST APIs".

mod document;
mod identity;
mod path;
mod reference;
mod routes;
#[cfg(test)]
mod tests;

use std::rc::Rc;

use cedar_authorizer::gateway::route::{Method, PathTemplate};

use crate::yaml::{self, Place};
pub use identity::{IdentityProvider, ProviderKind};
pub use routes::Routes;

/// What an OpenAPI document says of an API, as far as authorization is concerned.
#[derive(Clone, Debug)]
pub struct Description {
    /// `info.title`; empty if it has none.
    pub title: String,
    /// Whether it has API Gateway's extensions: the API is made from it, or it is an export of the API.
    ///
    /// An export without extensions lacks the `ANY` methods, so it may not be the whole API.
    pub has_extensions: bool,
    /// The operations, in the order of the document.
    pub operations: Vec<Operation>,
    /// The paths as they are written, good or not.
    pub written: Vec<WrittenPath>,
    /// Who issues the tokens for it.
    pub identity_providers: Vec<IdentityProvider>,
    /// What was left out, and what is suspicious, in the order of the document.
    pub problems: Vec<Problem>,
}

impl Description {
    /// Reads a document.
    ///
    /// # Errors
    /// It is no OpenAPI document, or it exceeds a limit.
    pub fn read(content: &[u8]) -> Result<Self, yaml::Problem> {
        document::read(content)
    }

    /// Whether something is missing that the document has.
    pub fn is_partial(&self) -> bool {
        self.problems.iter().any(|problem| problem.kind == ProblemKind::LeftOut)
    }
}

/// A method of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The method. [`Method::Any`] is `x-amazon-apigateway-any-method`.
    pub method: Method,
    /// The path. It has the names of its parameters.
    pub path: PathTemplate,
    /// Its query parameters, in the order of their names.
    pub query: Vec<QueryParameter>,
    /// What it does, in a few words.
    pub summary: Option<String>,
    /// Its `operationId`.
    pub id: Option<String>,
    /// The groups that it is in.
    pub tags: Vec<String>,
    /// The names of the security schemes that protect it. None: nothing does.
    pub security: Rc<[String]>,
    /// Whether it says so itself, or the document does for all operations.
    pub says_security: bool,
    /// Where it is defined.
    pub place: Place,
}

impl Operation {
    /// The id of its action, by AVP's convention: `get /pets/{petId}`. `$default` and `$connect` have no method.
    pub fn action_id(&self) -> String {
        let path = self.path.to_string();
        if path.starts_with('$') { path } else { format!("{} {path}", self.method) }
    }
}

/// A query parameter of an operation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueryParameter {
    /// Its name.
    pub name: String,
    /// Whether every call should have it. API Gateway checks this only if a request validator is on.
    pub is_required: bool,
}

/// A path as it is written, with its keys. AVP's generator takes every path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenPath {
    /// The path.
    pub path: String,
    /// The keys below it.
    pub keys: Vec<String>,
}

/// Something that was left out, or is suspicious.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where it is.
    pub place: Place,
    /// What it means for the result.
    pub kind: ProblemKind,
    /// What is wrong.
    pub message: String,
}

/// The kinds of problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProblemKind {
    /// Part of the document is not in the result.
    LeftOut,
    /// Everything is in the result, but it may not be what was meant.
    Suspicious,
}

/// How many values a document may have. GitHub's, with 13 MB one of the largest, has 600,000.
const MAX_NODES: usize = 2_000_000;
