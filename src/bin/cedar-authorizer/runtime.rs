//! The runtime of the verbs that talk to other machines.

use tokio::runtime::{Builder, Runtime};

use crate::output::Failure;

/// A runtime on this thread, because a verb does one thing at a time.
pub fn runtime() -> Result<Runtime, Failure> {
    Builder::new_current_thread().enable_all().build().map_err(Failure::could_not_run)
}
