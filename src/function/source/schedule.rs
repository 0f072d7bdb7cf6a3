//! When the function looks for a newer bundle, and how long the last good one may serve.
//!
//! ```text
//! confirmed        interval                      max stale
//!    |---- fresh -----|------------ due ------------|---- too stale ----
//! ```
//!
//! Only the wall clock counts. Lambda freezes the function between calls, so nothing runs by itself.

use std::time::Duration;

use crate::function::backoff::Backoff;
use crate::time::UnixTime;

/// When to look for a newer bundle.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    interval: Duration,
    max_stale: Duration,
    /// When the bundle was last confirmed as the current one.
    confirmed: UnixTime,
    next: UnixTime,
    /// When the last look began.
    begun: Option<UnixTime>,
    backoff: Backoff,
    /// How many looks in a row the function gave up after a freeze.
    given_up: u32,
}

/// What has to be done about a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BundleNeed {
    /// Nothing.
    Fresh,
    /// It is time to look for a newer one. This one serves until then.
    Due,
    /// It must not serve.
    TooStale,
}

impl Schedule {
    /// The schedule of a bundle that was just loaded. `jitter`, from 0 to 255, spreads the looks of many functions.
    pub(super) fn new(interval: Duration, max_stale: Duration, jitter: u8, now: UnixTime) -> Self {
        // Up to a tenth less. Otherwise all functions that one burst started would ask at once.
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

    /// Whether a look may begin now. If so, it counts as begun. Without a bundle that may serve, every call is a
    /// fault, so then failures do not delay the next look.
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

    /// How long a call waits for a look that it does not need. A function with few calls is frozen in the middle of
    /// every slow look. So after each frozen look the next one gets twice the time.
    pub(super) fn patience(&self) -> Duration {
        PATIENCE.saturating_mul(2_u32.saturating_pow(self.given_up)).min(MAX_PATIENCE)
    }

    pub(super) fn confirmed(&mut self, now: UnixTime) {
        self.confirmed = now;
        self.backoff.succeeded();
        self.given_up = 0;
        self.next = now.after(self.interval);
    }

    /// The bundle in use is known not to be the current one any more, so the next look may begin at once.
    pub(super) fn replaced(&mut self, now: UnixTime) {
        self.begun = None;
        self.next = self.next.min(now);
    }

    /// The function was frozen during a look. That is not a failure of S3, so the next look may begin at once.
    pub(super) fn given_up(&mut self, now: UnixTime) {
        self.given_up = self.given_up.saturating_add(1);
        self.begun = None;
        self.next = now;
    }

    /// After a failure, look again sooner, then less and less often.
    pub(super) fn failed(&mut self, now: UnixTime) {
        self.backoff.failed();
        self.next = now.after(self.backoff.wait(MIN_WAIT, self.interval.max(MIN_WAIT)));
    }
}

/// Even if the interval is shorter, a failing look is not repeated sooner than this.
const MIN_WAIT: Duration = Duration::from_secs(5);

/// The time of a conditional request within a region.
const PATIENCE: Duration = Duration::from_millis(50);

/// The time of a new connection and a bundle of some megabytes, with the CPU of a small function.
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
        // Setting the clock back does not make it older.
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
