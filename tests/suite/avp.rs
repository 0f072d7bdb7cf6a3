//! `avp`: the API of Verified Permissions, asked over HTTP.

/// Real clients.
mod clients;
/// Requests for decisions, without tokens and with them.
mod decisions;
/// AWS JSON 1.0, and who may speak it.
mod protocol;
/// The service as a process.
mod server;
