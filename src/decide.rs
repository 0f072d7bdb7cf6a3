//! Decisions: who does what to what, and whether the policies let them.

pub mod authorize;
pub mod context;
pub mod decision;
pub mod memo;
pub mod principal;
pub mod resource;
pub mod response;
