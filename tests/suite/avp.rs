//! `avp`: the API of Verified Permissions, asked over HTTP.

/// Real clients.
mod clients;
/// Requests for decisions, without tokens and with them.
mod decisions;
/// Policies, templates, schemas: what is taken, refused, listed.
mod policies;
/// AWS JSON 1.0, and who may speak it.
mod protocol;
/// The service as a process.
pub mod server;
/// What is on disk: layout, edits by people, crashes, restarts.
mod storage;
/// Policy stores, aliases, tags, identity sources.
mod stores;
