//! An AWS Lambda authorizer for API Gateway that verifies the caller's JWT, evaluates Cedar
//! policies inside the function, and answers with an IAM policy.
//!
//! # One request
//! Alice, an employee of a pet store, asks for `GET /pets/7` with an access token of its Cognito
//! user pool. API Gateway sends her token and the ARN of the method to the function.
//!
//! 1. [`lambda`] reads the event into a [`Call`](call::Call); its [`MethodArn`](arn::MethodArn)
//!    is hostile input.
//! 2. [`token`] verifies the token, unless it was [seen](token_cache) before, against the [identity source](identity_source) that has its
//!    issuer. No claim counts before the signature does.
//! 3. [`route`] finds the route that API Gateway takes for the path: `get /pets/{petId}`, which is
//!    at the same time the id of the Cedar action.
//! 4. [`principal`] makes `PetStore::User::"us-east-1_EXAMPLE|<sub>"` with her groups as parents,
//!    and [`context`] puts the claims of the token into `context.token`; the [`projection`] of
//!    the schema says which claims, and as what type.
//! 5. [`decision`] finds the policies of the [`bundle`] that may matter, by their scopes (the [`slice`](mod@slice)), and
//!    lets Cedar evaluate their conditions.
//! 6. [`grant`] writes the decision as IAM statements, and [`response`] as what API Gateway reads.
//!
//! [`token::verify`] is step 2 and [`authorize`](authorize::authorize) steps 3 to 6, as functions of
//! their arguments; clock, keys and bundle are given to them. A [`cache_key`] says what API Gateway keeps the answer under, and
//! so for what it has to be right. [`source`] gives the bundle in use and replaces it under the running function;
//! [`serving`] is a bundle with what was gathered for it, and [`shadow`] one that is only compared. Where each
//! [`tenant`] has a bundle of its own, [`tenants`] gives that of the call. [`reason`] has the closed set of codes that say how any request ended.
//!
//! # Words
//! *Principal*, *action*, *resource* and *context* are Cedar's: who, does what, to what, and under
//! which circumstances. A *policy [`store`]* is a directory with schema, policies, entities and
//! identity sources; a *[`bundle`]* is one file built from it, at one *revision*.

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
