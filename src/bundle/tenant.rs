//! The name of a tenant. A bundle may be for one tenant.
//!
//! It becomes part of the key or path of a bundle, so only a few harmless characters are allowed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Tenant(String);

impl Tenant {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tenant {
    type Err = InvalidTenant;

    /// Up to 64 ASCII letters and digits, and after the first one also `.`, `_` and `-`, but no `..`. So it
    /// contains nothing that leads out of a folder, or that S3, a file system or a log reads as more than itself.
    fn from_str(text: &str) -> Result<Self, InvalidTenant> {
        let is_harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let begins_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        if begins_well && text.len() <= MAX_BYTES && text.bytes().all(is_harmless) && !text.contains("..") {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidTenant)
        }
    }
}

impl TryFrom<String> for Tenant {
    type Error = InvalidTenant;

    fn try_from(text: String) -> Result<Self, InvalidTenant> {
        text.parse()
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Not the name of a tenant. Says nothing about the text, which may be a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a tenant")]
pub struct InvalidTenant;

/// A label of a domain name has up to 63 characters. A name of this length still fits into a key or a log.
pub(crate) const MAX_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_of_harmless_characters() {
        let longest = "a".repeat(MAX_BYTES);
        for text in ["acme", "A", "0", "api.example.com", "a_b-c.d", "a.", &longest] {
            assert_eq!(text.parse::<Tenant>().map(|tenant| tenant.to_string()), Ok(text.to_owned()));
        }
        let longer = "a".repeat(MAX_BYTES + 1);
        let hostile =
            ["", ".", "..", "../x", "a/b", "a\\b", "a..b", ".a", "-a", "_a", "a b", "a\0", "a\n", "*"];
        let others = ["%2e", "a%2fb", "{tenant}", "$default", "é", "аcme", "a?b", "a#b", "a:b", &longer];
        for text in hostile.into_iter().chain(others) {
            assert_eq!(text.parse::<Tenant>(), Err(InvalidTenant), "{text:?}");
        }
    }
}
