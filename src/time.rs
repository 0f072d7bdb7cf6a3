//! Time, which is always an argument.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment, in whole seconds since 1970 (UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixTime(u64);

impl UnixTime {
    /// The moment so many seconds after 1970.
    pub fn from_seconds(seconds: u64) -> Self {
        Self(seconds)
    }

    /// The seconds since 1970.
    pub fn as_seconds(self) -> u64 {
        self.0
    }

    /// How long ago another moment was; nothing for one that is still to come.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }

    #[expect(clippy::cast_precision_loss, reason = "exact until the year 285,000,000")]
    pub(crate) fn as_seconds_f64(self) -> f64 {
        self.0 as f64
    }
}

impl From<SystemTime> for UnixTime {
    /// A clock that stands before 1970 is as wrong as one that stands at 1970: tokens issued
    /// since are not yet valid to either.
    fn from(time: SystemTime) -> Self {
        Self(time.duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs()))
    }
}
