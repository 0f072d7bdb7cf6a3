//! The runtimes of the verbs that talk to other machines.

use tokio::runtime::{Builder, Runtime};

use crate::output::Failure;

/// A runtime on this thread, because a verb does one thing at a time.
pub fn runtime() -> Result<Runtime, Failure> {
    Builder::new_current_thread().enable_all().build().map_err(Failure::could_not_run)
}

/// A runtime of several threads, for what answers many clients at once.
pub fn of_server() -> Result<Runtime, Failure> {
    Builder::new_multi_thread().enable_all().build().map_err(Failure::could_not_run)
}
