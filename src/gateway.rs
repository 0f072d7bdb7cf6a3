//! The gateway: what API Gateway says about a request, and what it is told.

pub mod arn;
pub mod cache_key;
pub mod call;
#[cfg(feature = "events")]
pub mod events;
pub mod input;
pub(crate) mod path_parameters;
pub mod request;
pub mod response;
pub mod route;
