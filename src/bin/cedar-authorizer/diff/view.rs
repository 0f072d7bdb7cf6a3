//! The views of a comparison. Recorded traffic and proofs have rooms of their own.

pub mod changed;
pub mod matrix;
pub mod tokens;
