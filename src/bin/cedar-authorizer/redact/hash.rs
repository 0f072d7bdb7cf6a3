//! Hashes in place of values.

use aws_lc_rs::{hmac, rand};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::callers::MARK;
use crate::output::Failure;

/// Hashes values under a key. The same value always has the same hash.
#[derive(Debug)]
pub struct Hasher(hmac::Key);

impl Hasher {
    /// A key in base64 with padding, as for `PRINCIPAL_IDS_KEY`.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text.trim()).map(Zeroizing::new).ok()?;
        (bytes.len() >= SHORTEST_KEY).then(|| Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    /// A key that nobody keeps.
    pub fn random() -> Result<Self, Failure> {
        let mut bytes = Zeroizing::new([0; 32]);
        rand::fill(bytes.as_mut_slice())
            .map_err(|_| Failure::could_not_run("the system gives no random numbers"))?;
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, bytes.as_slice())))
    }

    /// A text, as the decision log hashes the id of a caller.
    pub fn text(&self, text: &str) -> String {
        format!("hmac-sha256:{}", self.digits(text))
    }

    /// A caller who gets a number.
    pub fn caller(&self, id: &str) -> String {
        format!("{MARK}{}", self.digits(id))
    }

    /// Some bits of the hash, for values that are no texts.
    pub fn bits(&self, text: &str) -> u128 {
        let tag = hmac::sign(&self.0, text.as_bytes());
        let half = tag.as_ref().get(..HASH_BYTES).and_then(|half| half.try_into().ok());
        half.map_or(0, u128::from_be_bytes)
    }

    fn digits(&self, text: &str) -> String {
        format!("{:032x}", self.bits(text))
    }
}

/// As for the keys of the decision log.
const SHORTEST_KEY: usize = 16;

/// As in the decision log: half of the hash keeps all values apart.
const HASH_BYTES: usize = 16;
