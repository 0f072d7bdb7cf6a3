//! The value of the `Authorization` header.

use std::fmt;

use crate::reason::Reason;

/// A compact token as the caller sent it, without its scheme.
///
/// `Debug` prints only its length, because a token is a credential.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Bearer<'a>(&'a str);

impl<'a> Bearer<'a> {
    /// Reads a header value: `Bearer <token>` in any case (RFC 6750 2.1; RFC 9110 11.1), or only the token, which
    /// the authorizers of AVP and of Cognito user pools accept as well.
    ///
    /// # Errors
    /// [`Reason::TokenMissing`] without a token, [`Reason::TokenMalformed`] for another scheme,
    /// [`Reason::TokenTooLarge`] for more than [`MAX_BYTES`].
    pub fn parse(header: &'a str) -> Result<Self, Reason> {
        let text = header.trim_matches(' ');
        let is_scheme = |word: &str| word.eq_ignore_ascii_case(SCHEME);
        let token = match text.split_once(' ') {
            None if text.is_empty() || is_scheme(text) => return Err(Reason::TokenMissing),
            None => text,
            Some((scheme, rest)) => {
                let token = rest.trim_start_matches(' ');
                if !is_scheme(scheme) || has_space(token) {
                    return Err(Reason::TokenMalformed);
                }
                token
            }
        };
        if token.len() > MAX_BYTES {
            return Err(Reason::TokenTooLarge);
        }
        Ok(Self(token))
    }

    /// The compact serialization.
    pub fn as_str(self) -> &'a str {
        self.0
    }
}

impl fmt::Debug for Bearer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bearer({} bytes)", self.0.len())
    }
}

/// Without an end before the last byte, so that many bytes are compared at once.
fn has_space(text: &str) -> bool {
    text.bytes().fold(0, |found, byte| found | u8::from(byte == b' ')) != 0
}

const SCHEME: &str = "bearer";

/// The longest token. All headers of a request together have at most 10,240 bytes (API Gateway quotas), so API
/// Gateway never sends a longer one. The rest is room for `invoke` and other callers.
pub const MAX_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_scheme_is_optional_and_in_any_case() {
        for header in ["Bearer a.b.c", "bearer a.b.c", "BEARER   a.b.c", "a.b.c", " a.b.c "] {
            assert_eq!(Bearer::parse(header).map(Bearer::as_str), Ok("a.b.c"), "{header}");
        }
    }

    #[test]
    fn refuses_what_carries_no_one_token() {
        let long = "x".repeat(MAX_BYTES + 1);
        for (header, reason) in [
            ("", Reason::TokenMissing),
            ("   ", Reason::TokenMissing),
            ("Bearer", Reason::TokenMissing),
            ("Bearer ", Reason::TokenMissing),
            ("Basic YTpi", Reason::TokenMalformed),
            ("Bearer a.b.c d", Reason::TokenMalformed),
            (&long, Reason::TokenTooLarge),
        ] {
            assert_eq!(Bearer::parse(header), Err(reason), "{header}");
        }
    }

    proptest! {
        #[test]
        fn a_header_is_one_word_or_the_scheme_and_one_word(header in "[ ]{0,2}(([Bb]earer|Basic|a.b|x)[ ]{0,2}){0,3}") {
            let words: Vec<&str> = header.split(' ').filter(|word| !word.is_empty()).collect();
            let is_scheme = |word: &str| word.eq_ignore_ascii_case("bearer");
            let expected = match words.as_slice() {
                [] => Err(Reason::TokenMissing),
                [scheme] if is_scheme(scheme) => Err(Reason::TokenMissing),
                [token] => Ok(*token),
                [scheme, token] if is_scheme(scheme) => Ok(*token),
                _ => Err(Reason::TokenMalformed),
            };
            prop_assert_eq!(Bearer::parse(&header).map(Bearer::as_str), expected);
        }
    }

    #[test]
    fn debug_shows_nothing_of_the_token() {
        assert_eq!(format!("{:?}", Bearer::parse("secret").unwrap()), "Bearer(6 bytes)");
    }
}
