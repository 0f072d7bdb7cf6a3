//! `avp`: the API of Verified Permissions, asked over HTTP.

/// Requests for decisions, without tokens and with them.
mod decisions;
/// The service as a process.
mod server;
