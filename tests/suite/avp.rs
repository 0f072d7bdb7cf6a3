//! `avp`: the API of Verified Permissions, asked over HTTP.

/// AWS JSON 1.0, and who may speak it.
mod protocol;
/// The service as a process.
mod server;
