//! How the decision log names a caller.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// How the decision log names a caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PrincipalIds {
    /// By the id.
    #[default]
    Plain,
    /// By a hash of the id under this key. The same caller always has the same hash.
    Hashed(HashKey),
    /// Not at all.
    Off,
}

/// The key of the hash. It is never shown, and is wiped when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct HashKey(Arc<Zeroizing<Vec<u8>>>);

impl HashKey {
    /// The same key, ready to hash. AWS-LC wipes it, too.
    pub(super) fn to_hmac(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.0)
    }
}

impl FromStr for HashKey {
    type Err = InvalidHashKey;

    /// Base64 with padding.
    fn from_str(text: &str) -> Result<Self, InvalidHashKey> {
        let bytes = STANDARD.decode(text).map(Zeroizing::new).map_err(|_| InvalidHashKey)?;
        if bytes.len() >= SHORTEST_KEY { Ok(Self(Arc::new(bytes))) } else { Err(InvalidHashKey) }
    }
}

/// Not a key. Says nothing about the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the base64, with padding, of {SHORTEST_KEY} or more bytes")]
pub struct InvalidHashKey;

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey")
    }
}

/// The hash of an id, e.g. `hmac-sha256:0f6b...`: half of an HMAC-SHA256, in hexadecimal digits.
pub(super) fn hash(key: &hmac::Key, id: &str) -> String {
    let tag = hmac::sign(key, id.as_bytes());
    let half = tag.as_ref().get(..HASH_BYTES).unwrap_or_default();
    format!("hmac-sha256:{}", hex::encode(half))
}

/// A key that nobody can guess (NIST SP 800-131A: 112 bits at least).
const SHORTEST_KEY: usize = 16;

/// So many bytes keep the ids of all users apart. NIST SP 800-107, 5.3.3: an HMAC may be cut to half its length.
const HASH_BYTES: usize = 16;
