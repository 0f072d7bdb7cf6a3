//! When a bundle is looked for again, and how long the last good one may serve.
//!
//! ```text
//! confirmed        interval                      max stale
//!    |---- fresh -----|------------ due ------------|---- too stale ----
//! ```
//!
//! By the wall clock alone, since Lambda freezes the function between calls: nothing runs by itself.

use std::time::Duration;

use crate::function::backoff::Backoff;
use crate::time::UnixTime;

/// When to look for another bundle.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    interval: Duration,
    max_stale: Duration,
    /// When the bundle was last found to be the current one.
    confirmed: UnixTime,
    next: UnixTime,
    /// When the last look began.
    begun: Option<UnixTime>,
    backoff: Backoff,
    /// How many looks in a row the function gave up after a freeze.
    given_up: u32,
}

/// What is to be done about a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BundleNeed {
    /// Nothing.
    Fresh,
    /// It should be looked for, and serves until then.
    Due,
    /// It must not serve.
    TooStale,
}

impl Schedule {
    /// The schedule of a bundle that was loaded just now. `jitter`, of 256, spreads what many functions do.
    pub(super) fn new(interval: Duration, max_stale: Duration, jitter: u8, now: UnixTime) -> Self {
        // Up to a tenth less: all functions that were started by one burst would ask at once.
        let interval = interval.saturating_sub(interval.mul_f64(f64::from(jitter) / 2560.0));
        Self {
            interval,
            max_stale,
            confirmed: now,
            next: now.after(interval),
            begun: None,
            backoff: Backoff::default(),
            given_up: 0,
        }
    }

    pub(super) fn need(&self, now: UnixTime) -> BundleNeed {
        match now {
            _ if now.since(self.confirmed) > self.max_stale => BundleNeed::TooStale,
            _ if now >= self.next => BundleNeed::Due,
            _ => BundleNeed::Fresh,
        }
    }

    /// Whether it may be looked for now; if so that counts as begun. Without a bundle that may serve every call is a
    /// fault, so failures do not put off the next look.
    pub(super) fn begin(&mut self, now: UnixTime, need: BundleNeed) -> bool {
        let is_urgent = need == BundleNeed::TooStale;
        let may =
            now >= self.next || is_urgent && self.begun.is_none_or(|begun| now.since(begun) >= MIN_WAIT);
        if may {
            self.begun = Some(now);
            self.next = now.after(self.interval.max(MIN_WAIT));
        }
        may
    }

    /// How long a call waits for a look that it can do without. A function that is called seldom is frozen in the middle
    /// of a look that takes longer, each time anew; so the next one gets twice the time.
    pub(super) fn patience(&self) -> Duration {
        PATIENCE.saturating_mul(2_u32.saturating_pow(self.given_up)).min(MAX_PATIENCE)
    }

    pub(super) fn confirmed(&mut self, now: UnixTime) {
        self.confirmed = now;
        self.backoff.succeeded();
        self.given_up = 0;
        self.next = now.after(self.interval);
    }

    /// A look was under way when the function was frozen. That is no failure of S3, so the next one may begin at once.
    pub(super) fn given_up(&mut self, now: UnixTime) {
        self.given_up = self.given_up.saturating_add(1);
        self.begun = None;
        self.next = now;
    }

    /// After a failure it is tried again sooner, then less and less often.
    pub(super) fn failed(&mut self, now: UnixTime) {
        self.backoff.failed();
        self.next = now.after(self.backoff.wait(MIN_WAIT, self.interval.max(MIN_WAIT)));
    }
}

/// However short the interval is, a store that fails is not asked more often.
const MIN_WAIT: Duration = Duration::from_secs(5);

/// What a conditional request takes within a region.
const PATIENCE: Duration = Duration::from_millis(50);

/// A new connection and a bundle of some megabytes, with the CPU of a small function.
const MAX_PATIENCE: Duration = Duration::from_millis(400);

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_000_000;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::from_seconds(START + seconds)
    }

    fn schedule() -> Schedule {
        Schedule::new(Duration::from_secs(60), Duration::from_secs(600), 0, at(0))
    }

    #[test]
    fn a_bundle_is_fresh_then_due_then_too_stale() {
        let schedule = schedule();
        for (seconds, need) in [
            (0, BundleNeed::Fresh),
            (59, BundleNeed::Fresh),
            (60, BundleNeed::Due),
            (600, BundleNeed::Due),
            (601, BundleNeed::TooStale),
        ] {
            assert_eq!(schedule.need(at(seconds)), need, "{seconds}");
        }
        // A clock that was set back does not make it older.
        assert_eq!(schedule.need(UnixTime::from_seconds(START - 5)), BundleNeed::Fresh);
    }

    #[test]
    fn one_look_at_a_time_and_sooner_after_a_failure() {
        let mut schedule = schedule();
        assert!(!schedule.begin(at(59), BundleNeed::Due));
        assert!(schedule.begin(at(60), BundleNeed::Due));
        assert!(!schedule.begin(at(61), BundleNeed::Due));
        let mut now = 60;
        for wait in [5, 10, 20, 40, 60, 60] {
            schedule.failed(at(now));
            assert!(!schedule.begin(at(now + wait - 1), BundleNeed::Due), "{wait}");
            assert!(schedule.begin(at(now + wait), BundleNeed::Due), "{wait}");
            now += wait;
        }
        schedule.confirmed(at(now));
        assert_eq!(schedule.need(at(now + 59)), BundleNeed::Fresh);
        schedule.failed(at(now + 60));
        assert!(schedule.begin(at(now + 65), BundleNeed::Due));
    }

    #[test]
    fn failures_do_not_put_off_the_look_without_which_nothing_can_be_answered() {
        let mut schedule = schedule();
        let mut now = 700;
        for _ in 0..5 {
            assert!(schedule.begin(at(now), BundleNeed::TooStale));
            schedule.failed(at(now));
            assert!(!schedule.begin(at(now + 4), BundleNeed::TooStale));
            now += 5;
        }
        assert!(!schedule.begin(at(now), BundleNeed::Due));
        assert!(schedule.begin(at(now), BundleNeed::TooStale));
    }

    #[test]
    fn a_look_that_a_freeze_cut_off_is_begun_again_at_once_and_waited_for_longer() {
        let mut schedule = schedule();
        let mut patience = Vec::new();
        for now in [60, 80, 100, 120, 140] {
            assert!(schedule.begin(at(now), BundleNeed::Due), "{now}");
            patience.push(schedule.patience().as_millis());
            schedule.given_up(at(now + 20));
        }
        assert_eq!(patience, [50, 100, 200, 400, 400]);
        assert!(schedule.begin(at(160), BundleNeed::Due));
        schedule.confirmed(at(160));
        assert_eq!(schedule.patience().as_millis(), 50);
    }

    #[test]
    fn jitter_only_shortens() {
        let latest = Schedule::new(Duration::from_secs(60), Duration::from_secs(600), u8::MAX, at(0));
        assert_eq!(latest.need(at(53)), BundleNeed::Fresh);
        assert_eq!(latest.need(at(55)), BundleNeed::Due);
    }
}
