//! Sampling: which of many events are told of.

use std::str::FromStr;

use aws_lc_rs::rand;

/// The share of events that are told of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SampleRate(f64);

impl SampleRate {
    /// Whether an event is among those that are told of. The id of the invocation decides. Without an id,
    /// chance decides.
    pub fn takes(self, request_id: Option<&str>) -> bool {
        self.is_all() || share_of(request_id) < self.0
    }

    /// Whether all events are told of.
    pub fn is_all(self) -> bool {
        self.0 >= 1.0
    }

    /// The rate, from 0 to 1.
    pub fn as_f64(self) -> f64 {
        self.0
    }
}

impl Default for SampleRate {
    /// All.
    fn default() -> Self {
        Self(1.0)
    }
}

impl Eq for SampleRate {}

impl FromStr for SampleRate {
    type Err = InvalidSampleRate;

    fn from_str(text: &str) -> Result<Self, InvalidSampleRate> {
        match text.parse() {
            Ok(rate) if (0.0..=1.0).contains(&rate) => Ok(Self(rate)),
            _ => Err(InvalidSampleRate),
        }
    }
}

/// Not a share. Says nothing about the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a number from 0 to 1, such as 0.1")]
pub struct InvalidSampleRate;

/// A number from 0 to 1, but not 1, that is spread evenly over ids.
fn share_of(request_id: Option<&str>) -> f64 {
    let mut random = [0; 4];
    let number = match request_id {
        Some(id) => spread(id),
        None => match rand::fill(&mut random) {
            Ok(()) => u32::from_le_bytes(random),
            // Without chance, it is told of.
            Err(_) => 0,
        },
    };
    f64::from(number) / (f64::from(u32::MAX) + 1.0)
}

/// FNV-1a, and then the last step of SplitMix64, which spreads what FNV leaves in the low bits. Lambda makes the ids, so
/// nobody can choose one to stay out of the log.
fn spread(id: &str) -> u32 {
    let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let mut hash = id.bytes().fold(0xcbf2_9ce4_8422_2325, fold);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    u32::try_from((hash ^ (hash >> 31)) >> 32).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_takes_its_share_of_ids_and_always_the_same() {
        for rate in [0.0, 0.01, 0.1, 0.5, 0.9] {
            let sample: SampleRate = rate.to_string().parse().unwrap();
            let ids = (0..20_000).map(|number| format!("8476a536-e9f4-11e8-9739-{number:012x}"));
            let taken = ids.filter(|id| sample.takes(Some(id))).count();
            let expected = 20_000.0 * rate;
            assert!((f64::from(u32::try_from(taken).unwrap()) - expected).abs() <= 300.0, "{rate}: {taken}");
            assert!((0..100).all(|_| sample.takes(Some("r-1")) == sample.takes(Some("r-1"))));
        }
        let taken = (0..10_000).filter(|_| "0.5".parse::<SampleRate>().unwrap().takes(None)).count();
        assert!((4_500..5_500).contains(&taken), "{taken}");
    }

    #[test]
    fn a_rate_is_a_share() {
        for text in ["", "-0.1", "1.1", "NaN", "inf", "50%", "0,5", " 1"] {
            assert_eq!(text.parse::<SampleRate>(), Err(InvalidSampleRate), "{text}");
        }
        let all: SampleRate = "1".parse().unwrap();
        assert!(all.is_all() && (0..1000).all(|_| all.takes(None)));
        let none: SampleRate = "0".parse().unwrap();
        assert!(!(0..1000).any(|_| none.takes(None)));
    }
}
