//! How many names that were never open here may be looked up.

use crate::time::UnixTime;

/// A bucket that is filled all the time, so that a shortage ends with the second that it came in.
#[derive(Debug)]
pub(super) struct Budget {
    left: u32,
    filled: UnixTime,
}

impl Budget {
    /// A full one.
    pub(super) fn new() -> Self {
        Self { left: BURST, filled: UnixTime::from_seconds(0) }
    }

    /// Whether one more name may be looked up; if so that counts.
    pub(super) fn take(&mut self, now: UnixTime) -> bool {
        let seconds = u32::try_from(now.since(self.filled).as_secs()).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(seconds.saturating_mul(PER_SECOND)).min(BURST);
        // Also if the clock was set back: otherwise nothing would come in until it is where it was.
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

/// 12,000 a minute, more than one function can ask for: each look-up takes a call for as long as S3 takes to answer,
/// which is ten milliseconds and more, and a function has one call at a time. So whoever makes names up cannot spend
/// what a tenant needs that was not open yet. It bounds what goes wrong nevertheless.
const PER_SECOND: u32 = 200;

/// The clock has whole seconds: what two of them bring.
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
        // After a clock was set back it goes on from there.
        for (seconds, expected) in [(50, 0), (51, 200)] {
            assert_eq!(taken(&mut budget, at(seconds)), expected, "{seconds}");
        }
        assert_eq!(taken(&mut Budget::new(), UnixTime::from_seconds(0)), 400);
    }
}
