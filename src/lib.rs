//! An AWS Lambda authorizer for API Gateway. It verifies the caller's JWT, evaluates Cedar policies inside the
//! function, and answers with an IAM policy.
//!
//! # One request
//! Alice works for a pet store. She asks for `GET /pets/7` with an access token of the store's Cognito user pool. API
//! Gateway sends her token and the ARN of the method to the function.
//!
//! 1. [`gateway`] reads the event into a [`Call`](gateway::call::Call). Its
//!    [`MethodArn`](gateway::arn::MethodArn) is hostile input.
//! 2. [`token`] verifies the token against the [identity source](token::identity_source) that has its issuer. No
//!    claim counts until the signature is verified. The proof is a [`Session`](decide::Session).
//! 3. [`gateway::route`] finds the route that API Gateway takes for the path: `get /pets/{petId}`, which is also the id
//!    of the Cedar action.
//! 4. [`decide`] makes the principal `PetStore::User::"us-east-1_EXAMPLE|<sub>"` with her groups as parents, and the
//!    context with the claims of the token. The [`projection`] of the schema says which claims, and as what type.
//! 5. [`bundle`] finds the policies that may matter, by their scopes. Cedar evaluates their conditions.
//! 6. [`grant`] writes the decision as IAM statements. They are right for every request that API Gateway's cache
//!    may reuse them for.
//!
//! [`Session::authorize`](decide::Session::authorize) runs steps 3 to 6. The code that uses the library provides
//! the clock, the keys and the bundle.
//!
//! # Rooms
//! The modules below are rooms, from the ground up: each uses only those above it in this list. A test enforces
//! this.
//!
//! | room | what is in it |
//! |---|---|
//! | `cache`, [`reason`], [`time`] | leaves: bounded caches, the codes of all outcomes, points in time |
//! | [`token`] | whose token it is, and whether it is genuine |
//! | [`gateway`] | what API Gateway sends, and what it is told |
//! | [`projection`] | which claims and request fields are read, and as which Cedar type |
//! | [`grant`] | IAM statements that are right under the cache |
//! | [`bundle`] | the file that the function loads |
//! | [`decide`] | principal, resource, context, decision, outcome; [`Gate`](decide::Gate), entry point for embedders |
//! | `store` (feature `authoring`) | a policy store: read, checked, built into a bundle, published |
//! | `function` (feature `function`) | the edges: settings, sources of bundles, keys, tenants, log, Lambda |
//!
//! Without features, the library contains no code for HTTP, Lambda or S3. `docs/library.md` says how to embed it.
//!
//! # Words
//! *Principal*, *action*, *resource* and *context* are Cedar's: who, does what, to what, and under which circumstances.
//! A *policy store* is a directory with schema, policies, entities and identity sources. A *bundle* is one file built
//! from it, at one *revision*. `docs/glossary.md` has the others.

// The unit tests share files with the suite, which calls the library by its name.
#[cfg(test)]
extern crate self as cedar_authorizer;

mod cache;
pub mod reason;
pub mod time;

pub mod token;

pub mod gateway;

pub mod projection;

pub mod grant;

pub mod bundle;

pub mod decide;

#[cfg(feature = "authoring")]
pub mod store;

#[cfg(feature = "function")]
pub mod function;

/// Cedar's library. Its types appear in the interface of this library.
pub use cedar_policy as cedar;
