//! The function: its settings, where bundles and keys come from, and the adapter to Lambda.

mod backoff;
pub mod config;
pub mod jwks;
pub mod lambda;
pub mod log;
pub mod masking;
mod rehearsal;
pub mod runtime;
pub mod serving;
pub mod shadow;
pub mod source;
pub mod telemetry;
pub mod tenant;
pub mod tenants;
mod tls;
pub mod token_cache;
mod under_way;
mod warm_up;
