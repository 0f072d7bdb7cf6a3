//! The service: what all its operations share.

/// The policy stores of one account, and how they are kept.
#[derive(Debug)]
pub struct Service {}
