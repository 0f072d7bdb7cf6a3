//! Room on the stack for deeply nested policies.
//!
//! Cedar's parser, validator and evaluator recurse for each level of an expression, and so does the code that
//! drops one. A store refuses policies that are deeper than [`MAX_DEPTH`]. All others are processed [with
//! room](with_room).

use std::{io, panic, thread};

/// How deep a policy may go: this many levels of brackets, of `if`, of operators in a chain such as `a || b || c`
/// and of accesses such as `a.b.c`, added up along the deepest way into it.
///
/// A chain of a thousand alternatives fits. Cedar parses it as a tree of that depth.
pub const MAX_DEPTH: usize = 1024;

/// Room for [`MAX_DEPTH`]. Without optimisation, a level of brackets takes a hundred kilobytes of stack (measured
/// with Cedar 4.14.1). Only the levels that are used take up memory.
pub(crate) const STACK_BYTES: usize = 256 * 1024 * 1024;

/// Does work on something that may be [`MAX_DEPTH`] deep, on a stack that is large enough.
///
/// # Errors
/// The system gives no such stack.
pub fn with_room<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("cedar".to_owned()).stack_size(STACK_BYTES);
        let done = thread.spawn_scoped(scope, work)?.join();
        Ok(done.unwrap_or_else(|panic| panic::resume_unwind(panic)))
    })
}
