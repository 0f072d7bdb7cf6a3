//! `avp`: the API of Verified Permissions, asked over HTTP.

/// The service as a process.
pub mod server;
