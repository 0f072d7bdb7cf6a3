//! Which part of an object an answer has.
//!
//! ```text
//! Content-Range: bytes 4096-8191/1048576    the first byte, the last one, and how many the whole object has
//! ```

use std::ops::Range;
use std::str::FromStr;

/// The header of a 206 (RFC 9110 14.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// The bytes of the answer. They are not none, and within the object.
    pub range: Range<u64>,
    /// The length of the object. `None`: the server does not know.
    pub total: Option<u64>,
}

impl FromStr for ContentRange {
    type Err = InvalidContentRange;

    fn from_str(text: &str) -> Result<Self, InvalidContentRange> {
        let (range, total) =
            text.strip_prefix("bytes ").and_then(|rest| rest.split_once('/')).ok_or(InvalidContentRange)?;
        let (first, last) = range.split_once('-').ok_or(InvalidContentRange)?;
        let (first, last) = (number(first)?, number(last)?);
        let total = if total == "*" { None } else { Some(number(total)?) };
        let end = last.checked_add(1).ok_or(InvalidContentRange)?;
        if first < end && total.is_none_or(|total| end <= total) {
            Ok(Self { range: first..end, total })
        } else {
            Err(InvalidContentRange)
        }
    }
}

/// Only digits: Rust would also accept a sign.
fn number(text: &str) -> Result<u64, InvalidContentRange> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().map_err(|_| InvalidContentRange) } else { Err(InvalidContentRange) }
}

/// The text is not the `Content-Range` of one part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not of the form bytes FIRST-LAST/TOTAL")]
pub struct InvalidContentRange;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_range_says_which_bytes_of_how_many() {
        for (text, range, total) in [
            ("bytes 0-0/1", 0..1, Some(1)),
            ("bytes 5-9/10", 5..10, Some(10)),
            ("bytes 5-9/11", 5..10, Some(11)),
            ("bytes 05-9/*", 5..10, None),
            ("bytes 0-18446744073709551614/18446744073709551615", 0..u64::MAX, Some(u64::MAX)),
        ] {
            assert_eq!(text.parse(), Ok(ContentRange { range, total }), "{text}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_no_content_range() {
        for text in [
            "",
            "bytes",
            "bytes 0-0",
            "bytes */10",
            "bytes 0-9/9",
            "bytes 5-4/10",
            "bytes 6-4/10",
            "bytes 10-10/10",
            "bytes -4/10",
            "bytes 4-/10",
            "bytes +4-5/10",
            "bytes 4-5/+10",
            "bytes 4 - 5/10",
            "bytes 4-5/10/10",
            "bytes 4-5-6/10",
            "bytes 4-5/",
            "bytes=4-5/10",
            "Bytes 4-5/10",
            "lines 4-5/10",
            "bytes 0-18446744073709551615/*",
            "bytes 0-18446744073709551616/*",
        ] {
            assert_eq!(text.parse::<ContentRange>(), Err(InvalidContentRange), "{text}");
        }
    }
}
