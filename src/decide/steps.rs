//! The steps of an answer, for whoever measures how long each takes.

/// Is told when a step of an answer ends. A step that is not told of was not needed, because its result is remembered.
pub trait Steps {
    /// The decision is made.
    fn decided(&mut self) {}

    /// What API Gateway is to be told is worked out.
    fn granted(&mut self) {}
}

/// Measures nothing.
impl Steps for () {}
