//! How old a fetched key set may be, and when it may be fetched again.
//!
//! ```text
//! fetched          soft age              hard age
//!    |--- fresh ------|------ stale ---------|---- expired ----
//!      used as it is    used, fetched again    not used
//! ```

use std::time::Duration;

use crate::function::backoff::Backoff;
use crate::time::UnixTime;

/// When a key set was fetched and tried.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Freshness {
    fetched_at: Option<UnixTime>,
    soft_age: Duration,
    last_attempt: Option<UnixTime>,
    backoff: Backoff,
}

/// What has to be done about a key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyNeed {
    /// It must not be used.
    Expired,
    /// Nothing.
    Fresh,
    /// It should be fetched again, and may be used until then.
    Stale,
}

impl Freshness {
    pub(super) fn need(&self, now: UnixTime) -> KeyNeed {
        match self.fetched_at.map(|fetched_at| now.since(fetched_at)) {
            Some(age) if age < self.soft_age => KeyNeed::Fresh,
            Some(age) if age < HARD_AGE => KeyNeed::Stale,
            _ => KeyNeed::Expired,
        }
    }

    /// Whether a fetch may begin now. If so, it counts as begun. After each fetch, good or bad, there is a cooldown, so
    /// that forged key ids cannot make the function fetch all the time. The cooldown doubles with each further failure.
    pub(super) fn try_now(&mut self, now: UnixTime) -> bool {
        let cooldown = self.backoff.wait(COOLDOWN, MAX_COOLDOWN);
        if self.last_attempt.is_some_and(|last| now.since(last) < cooldown) {
            return false;
        }
        self.last_attempt = Some(now);
        true
    }

    pub(super) fn succeeded(&mut self, now: UnixTime, max_age: Option<Duration>) {
        self.fetched_at = Some(now);
        self.soft_age = max_age.unwrap_or(SOFT_AGE).clamp(MIN_SOFT_AGE, MAX_SOFT_AGE);
        self.backoff.succeeded();
    }

    pub(super) fn failed(&mut self) {
        self.backoff.failed();
    }
}

/// API Gateway's own JWT authorizer of REST APIs keeps keys for at most an hour.
const SOFT_AGE: Duration = Duration::from_secs(3600);

/// The bounds for `Cache-Control`: not so short that every call fetches, and not so long that a withdrawn key lives on.
const MIN_SOFT_AGE: Duration = Duration::from_secs(5 * 60);
const MAX_SOFT_AGE: Duration = HARD_AGE;

/// Keys that were not confirmed for a day are no longer trusted.
const HARD_AGE: Duration = Duration::from_secs(24 * 3600);

/// The wait of `aws-jwt-verify`, which uses it only after an unknown key id.
const COOLDOWN: Duration = Duration::from_secs(10);
const MAX_COOLDOWN: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_000_000;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::from_seconds(START + seconds)
    }

    fn fetched(max_age: Option<u64>) -> Freshness {
        let mut freshness = Freshness::default();
        assert!(freshness.try_now(at(0)));
        freshness.succeeded(at(0), max_age.map(Duration::from_secs));
        freshness
    }

    #[test]
    fn keys_age_from_fresh_to_stale_to_expired() {
        assert_eq!(Freshness::default().need(at(0)), KeyNeed::Expired);
        let freshness = fetched(None);
        for (seconds, need) in [
            (0, KeyNeed::Fresh),
            (3599, KeyNeed::Fresh),
            (3600, KeyNeed::Stale),
            (86_399, KeyNeed::Stale),
            (86_400, KeyNeed::Expired),
        ] {
            assert_eq!(freshness.need(at(seconds)), need, "{seconds}");
        }
        // Setting the clock back does not make them older.
        assert_eq!(freshness.need(UnixTime::from_seconds(START - 5)), KeyNeed::Fresh);
    }

    #[test]
    fn the_publisher_sets_the_soft_age_within_bounds() {
        for (max_age, soft_age) in [(0, 300), (60, 300), (7200, 7200), (u64::MAX, 86_400)] {
            let freshness = fetched(Some(max_age));
            assert_eq!(freshness.need(at(soft_age - 1)), KeyNeed::Fresh, "{max_age}");
            assert_ne!(freshness.need(at(soft_age)), KeyNeed::Fresh, "{max_age}");
        }
    }

    #[test]
    fn a_cooldown_counts_from_the_last_attempt_and_doubles_with_failures() {
        let mut freshness = fetched(None);
        assert!(!freshness.try_now(at(9)));
        assert!(freshness.try_now(at(10)));
        let mut now = 10;
        for wait in [10, 20, 40, 60, 60] {
            freshness.failed();
            assert!(!freshness.try_now(at(now + wait - 1)), "{wait}");
            assert!(freshness.try_now(at(now + wait)), "{wait}");
            now += wait;
        }
        freshness.succeeded(at(now), None);
        assert!(freshness.try_now(at(now + 10)));
    }
}
