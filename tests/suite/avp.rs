//! `avp`: the API of Verified Permissions, asked over HTTP.

/// Policies, templates, schemas: what is taken, refused, listed.
mod policies;
/// The service as a process.
mod server;
/// What is on disk: layout, edits by people, crashes, restarts.
mod storage;
/// Policy stores, aliases, tags, identity sources.
mod stores;
