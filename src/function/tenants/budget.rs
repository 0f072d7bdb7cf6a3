//! A limit for looking up names that were never open here.

use crate::time::UnixTime;

/// A bucket that is refilled all the time, so a shortage ends within a second.
#[derive(Debug)]
pub(super) struct Budget {
    left: u32,
    filled: UnixTime,
}

impl Budget {
    /// A full bucket.
    pub(super) fn new() -> Self {
        Self { left: BURST, filled: UnixTime::from_seconds(0) }
    }

    /// Whether one more name may be looked up. If so, it counts.
    pub(super) fn take(&mut self, now: UnixTime) -> bool {
        let seconds = u32::try_from(now.since(self.filled).as_secs()).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(seconds.saturating_mul(PER_SECOND)).min(BURST);
        // Also if the clock was set back. Otherwise nothing would be added until the clock is back where it was.
        self.filled = now;
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

/// 12,000 a minute, more than one function can ask for. Each look-up takes a call for as long as S3 takes to answer,
/// at least ten milliseconds, and a function has one call at a time. So made-up names cannot use up what a tenant
/// needs whose bundle was never open. The limit is for the case that something goes wrong nevertheless.
const PER_SECOND: u32 = 200;

/// The clock has whole seconds, so this is the budget of two.
const BURST: u32 = 2 * PER_SECOND;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::from_seconds(1_000_000 + seconds)
    }

    fn taken(budget: &mut Budget, now: UnixTime) -> u32 {
        (0..1_000).map(|_| u32::from(budget.take(now))).sum()
    }

    #[test]
    fn it_is_filled_all_the_time_and_never_beyond_its_burst() {
        let mut budget = Budget::new();
        for (seconds, expected) in [(0, 400), (0, 0), (1, 200), (3, 400), (100, 400), (101, 200)] {
            assert_eq!(taken(&mut budget, at(seconds)), expected, "{seconds}");
        }
        // After the clock was set back, the budget continues from there.
        for (seconds, expected) in [(50, 0), (51, 200)] {
            assert_eq!(taken(&mut budget, at(seconds)), expected, "{seconds}");
        }
        assert_eq!(taken(&mut Budget::new(), UnixTime::from_seconds(0)), 400);
    }
}
