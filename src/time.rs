//! Time, which is always an argument.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SecondsFormat};

/// A moment, in whole seconds since 1970 (UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixTime(u64);

impl UnixTime {
    /// The moment so many seconds after 1970.
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds)
    }

    /// The seconds since 1970.
    pub fn as_seconds(self) -> u64 {
        self.0
    }

    /// How long ago an earlier moment was; zero if it is still to come.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }

    /// The moment this much later, in whole seconds.
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_secs()))
    }

    #[expect(clippy::cast_precision_loss, reason = "exact until the year 285,000,000")]
    pub(crate) fn as_seconds_f64(self) -> f64 {
        self.0 as f64
    }
}

/// A moment in the form of Cedar's `datetime`, e.g. `2024-02-29T12:30:00.123Z`. `None`: it is too far in the
/// future for a calendar.
pub fn iso_8601(milliseconds: u64) -> Option<String> {
    let moment = DateTime::from_timestamp_millis(i64::try_from(milliseconds).ok()?)?;
    Some(moment.to_rfc3339_opts(SecondsFormat::Millis, true))
}

impl From<SystemTime> for UnixTime {
    /// A clock before 1970 is as wrong as one at 1970: in both cases all tokens seem not to be valid yet.
    fn from(time: SystemTime) -> Self {
        Self(time.duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_moments_as_cedar_takes_them() {
        for (milliseconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_583_348_638_390, "2020-03-04T19:03:58.390Z"),
            (1_709_209_800_123, "2024-02-29T12:30:00.123Z"),
            (4_102_444_800_000, "2100-01-01T00:00:00.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(iso_8601(milliseconds).as_deref(), Some(text));
            let value = cedar_policy::RestrictedExpression::new_datetime(text);
            assert!(cedar_policy::Context::from_pairs([("at".to_owned(), value)]).is_ok());
        }
    }
}
