//! `avp`: the API of Verified Permissions, asked over HTTP.

/// The service as a process.
mod server;
