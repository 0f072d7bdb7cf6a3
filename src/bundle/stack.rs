//! Room on the stack for policies that are nested deeply.
//!
//! Cedar's parser, validator and evaluator call themselves for each level of an expression, and so does whatever drops
//! one. A store refuses what is deeper than [`MAX_DEPTH`]; what is not is worked on [with room](with_room).

use std::{io, panic, thread};

/// How deep a policy may go: so many levels of brackets, of `if`, of operators in a chain such as `a || b || c` and of
/// accesses such as `a.b.c`, added up along the deepest way into it.
///
/// A chain of a thousand alternatives fits. Cedar parses it as a tree of that depth.
pub const MAX_DEPTH: usize = 1024;

/// Room for [`MAX_DEPTH`]: without optimisation a level of brackets takes a hundred kilobytes of stack (measured with Cedar
/// 4.14.1), and no more than the levels that there are take up memory.
const STACK_BYTES: usize = 256 * 1024 * 1024;

/// Does work on what may be [`MAX_DEPTH`] deep, on a stack that is large enough.
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
