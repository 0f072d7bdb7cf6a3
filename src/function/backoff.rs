//! How long to wait before a failed attempt is repeated.

use std::time::Duration;

/// Counts failures in a row. The wait doubles with each failure after the first.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    pub(crate) fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// The wait: `first` until the second failure, and never more than `most`.
    pub(crate) fn wait(self, first: Duration, most: Duration) -> Duration {
        first.saturating_mul(2_u32.saturating_pow(self.failures.saturating_sub(1))).min(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_with_each_further_failure_up_to_the_most() {
        let mut backoff = Backoff::default();
        let wait = |backoff: Backoff| backoff.wait(Duration::from_secs(5), Duration::from_secs(60)).as_secs();
        assert_eq!(wait(backoff), 5);
        for expected in [5, 10, 20, 40, 60, 60] {
            backoff.failed();
            assert_eq!(wait(backoff), expected);
        }
        (0..100).for_each(|_| backoff.failed());
        assert_eq!(wait(backoff), 60);
        backoff.succeeded();
        assert_eq!(wait(backoff), 5);
    }
}
