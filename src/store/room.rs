//! Work on all processors, with [room] for deep policies on each.
//!
//! [room]: crate::bundle::with_room

use std::num::NonZeroUsize;
use std::{io, thread};

use rayon::ThreadPoolBuilder;

use crate::bundle::STACK_BYTES;

/// Does work that may be shared among threads by `rayon`. All of them have room for policies of
/// [`MAX_DEPTH`](crate::bundle::MAX_DEPTH).
///
/// # Errors
/// The system gives no such threads.
pub(super) fn with_room_on_all<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let pool = ThreadPoolBuilder::new()
        .thread_name(|number| format!("cedar-{number}"))
        .num_threads(processors.min(MAX_THREADS))
        .stack_size(STACK_BYTES)
        .build()
        .map_err(io::Error::other)?;
    Ok(pool.install(work))
}

/// More would find little to do, since one thread reads the files and puts the results together, and each takes address
/// space for its stack.
const MAX_THREADS: usize = 8;
