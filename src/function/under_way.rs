//! Work that may outlive the call that began it: a look for a bundle, an opening, a fetch of keys.
//!
//! Lambda freezes the function between calls, so such work continues during later calls. By then its connection may
//! be dead, and a timer may not have noticed: AWS does not document whether the clock of timers stands still in a
//! freeze. So the same limit applies to both clocks, the timers' and the wall clock.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tracing::Instrument;

use crate::time::UnixTime;

/// Work in a task of its own. Any number of calls may wait for its result.
#[derive(Debug)]
pub(crate) struct UnderWay<T> {
    begun: UnixTime,
    limit: Duration,
    result: watch::Receiver<Option<T>>,
    task: AbortHandle,
}

impl<T: Clone + Send + Sync + 'static> UnderWay<T> {
    /// Begins the work. If it takes longer than `limit`, it ends without a result.
    pub(crate) fn begin(
        limit: Duration,
        now: UnixTime,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Arc<Self> {
        let (sender, result) = watch::channel(None);
        let work = async move {
            if let Ok(result) = timeout(limit, work).await {
                sender.send_replace(Some(result));
            }
        };
        let task = tokio::spawn(work.in_current_span()).abort_handle();
        Arc::new(Self { begun: now, limit, result, task })
    }

    /// How far the work is.
    pub(crate) fn state(&self, now: UnixTime) -> WorkState {
        if self.task.is_finished() {
            WorkState::Ended
        } else if now.since(self.begun) > self.limit {
            WorkState::Overdue
        } else {
            WorkState::Running
        }
    }

    /// Aborts the work where it waits, which closes its connection.
    pub(crate) fn give_up(&self) {
        self.task.abort();
    }

    /// The result, if it arrives within `patience`.
    pub(crate) async fn within(&self, patience: Duration) -> Option<T> {
        let mut result = self.result.clone();
        let known = timeout(patience, result.wait_for(Option::is_some)).await.ok()?.ok()?;
        known.clone()
    }
}

/// How far the work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WorkState {
    /// It has ended, with a result or without.
    Ended,
    /// It took too long by the wall clock, but timers have not noticed, because the function was frozen.
    Overdue,
    /// It is still running.
    Running,
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::runtime;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(2);

    fn at(seconds: u64) -> UnixTime {
        UnixTime::from_seconds(1_000_000 + seconds)
    }

    fn run<T>(test: impl Future<Output = T>) -> T {
        runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
    }

    #[test]
    fn a_result_is_for_all_who_wait() {
        run(async {
            let work = UnderWay::begin(LIMIT, at(0), async { 7 });
            assert_eq!(tokio::join!(work.within(LIMIT), work.within(LIMIT)), (Some(7), Some(7)));
            assert_eq!((work.state(at(9)), work.within(LIMIT).await), (WorkState::Ended, Some(7)));
        });
    }

    #[test]
    fn what_the_wall_clock_says_is_enough_to_give_up() {
        run(async {
            let work: Arc<UnderWay<()>> = UnderWay::begin(LIMIT, at(0), pending());
            assert_eq!(work.within(Duration::from_millis(10)).await, None);
            let states = [0, 2, 3].map(|seconds| work.state(at(seconds)));
            assert_eq!(states, [WorkState::Running, WorkState::Running, WorkState::Overdue]);
            // Setting the clock back does not make it older.
            assert_eq!(work.state(UnixTime::from_seconds(0)), WorkState::Running);
            work.give_up();
            assert_eq!(work.within(LIMIT).await, None);
            assert_eq!(work.state(at(0)), WorkState::Ended);
        });
    }

    #[test]
    fn what_timers_say_is_enough_as_well() {
        run(async {
            let work: Arc<UnderWay<()>> = UnderWay::begin(Duration::from_millis(20), at(0), pending());
            assert_eq!((work.within(LIMIT).await, work.state(at(0))), (None, WorkState::Ended));
        });
    }
}
