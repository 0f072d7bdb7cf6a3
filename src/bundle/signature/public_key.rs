//! The public keys that verify bundles.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::pem::{self, Block};
use super::{MAX_KEYS, SIGNATURE_BYTES};
use crate::token::ed25519::{self, PUBLIC_KEY_BYTES};

/// The keys of which one must have signed a bundle: at least one, without duplicates.
///
/// Written one after the other, separated by commas or white space (`BUNDLE_PUBLIC_KEYS`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKeys(Vec<PublicKey>);

impl PublicKeys {
    /// The keys in the given order.
    pub fn iter(&self) -> impl Iterator<Item = &PublicKey> {
        self.0.iter()
    }

    /// Keys from several places, without duplicates. `None`: there is no key.
    pub fn new(keys: impl IntoIterator<Item = PublicKey>) -> Option<Self> {
        let mut all: Vec<PublicKey> = Vec::new();
        for key in keys {
            if !all.contains(&key) {
                all.push(key);
            }
        }
        (!all.is_empty()).then_some(Self(all))
    }

    /// The key with this id.
    pub(super) fn find(&self, key_id: &KeyId) -> Option<&PublicKey> {
        self.0.iter().find(|key| key.key_id == *key_id)
    }
}

impl FromStr for PublicKeys {
    type Err = InvalidPublicKeys;

    fn from_str(text: &str) -> Result<Self, InvalidPublicKeys> {
        let mut keys: Vec<PublicKey> = Vec::new();
        let mut rest = text.trim_start_matches(is_separator);
        while !rest.is_empty() {
            let position = keys.len() + 1;
            if position > MAX_KEYS {
                return Err(InvalidPublicKeys::TooMany);
            }
            let (key, left) = split_key(rest);
            let key: PublicKey = key.parse().map_err(|reason| InvalidPublicKeys::Key { position, reason })?;
            if let Some(first) = keys.iter().position(|other| *other == key) {
                return Err(InvalidPublicKeys::Duplicate { position, first: first + 1 });
            }
            keys.push(key);
            rest = left.trim_start_matches(is_separator);
        }
        if keys.is_empty() { Err(InvalidPublicKeys::Empty) } else { Ok(Self(keys)) }
    }
}

/// The text of the first key, and what follows it.
fn split_key(text: &str) -> (&str, &str) {
    let length = match Block::split(text) {
        Some((_, rest)) => text.len() - rest.len(),
        // Without its end line, a block goes on to the end of the text.
        None if pem::is_block(text) => text.len(),
        None => text.find(is_separator).unwrap_or(text.len()),
    };
    text.split_at_checked(length).unwrap_or((text, ""))
}

fn is_separator(character: char) -> bool {
    character == ',' || character.is_ascii_whitespace()
}

/// An Ed25519 public key.
///
/// Read from base64 of the 32 bytes of the key (RFC 8032 5.1.5), or from its `SubjectPublicKeyInfo` (RFC 8410 4)
/// in base64 of the DER or in PEM. Written as base64 of the DER, which names the kind of key, and is the middle
/// line of the PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    bytes: [u8; PUBLIC_KEY_BYTES],
    key_id: KeyId,
}

impl PublicKey {
    /// The id under which signatures name the key.
    pub fn key_id(&self) -> &KeyId {
        &self.key_id
    }

    pub(super) fn has_signed(&self, message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.bytes).verify(message, signature).is_ok()
    }

    /// A key that belongs to a private key, or that has been checked.
    pub(crate) fn new(bytes: [u8; PUBLIC_KEY_BYTES]) -> Self {
        let key_id = KeyId(URL_SAFE_NO_PAD.encode(digest(&SHA256, &to_der(&bytes))));
        Self { bytes, key_id }
    }

    fn from_der(der: &[u8]) -> Result<Self, InvalidPublicKey> {
        match der.strip_prefix(&SPKI_PREFIX) {
            Some(bytes) => Self::from_bytes(bytes),
            None if is_private(der) => Err(InvalidPublicKey::Private),
            None => Err(InvalidPublicKey::Algorithm),
        }
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidPublicKey> {
        let bytes = bytes.try_into().map_err(|_| InvalidPublicKey::Length)?;
        if ed25519::is_weak(&bytes) { Err(InvalidPublicKey::Weak) } else { Ok(Self::new(bytes)) }
    }
}

impl FromStr for PublicKey {
    type Err = InvalidPublicKey;

    fn from_str(text: &str) -> Result<Self, InvalidPublicKey> {
        if pem::is_block(text.trim_ascii_start()) {
            let block = Block::parse(text).ok_or(InvalidPublicKey::Encoding)?;
            if block.label.ends_with("PRIVATE KEY") {
                return Err(InvalidPublicKey::Private);
            }
            let der = block.decode().filter(|_| block.label == "PUBLIC KEY");
            return Self::from_der(&der.ok_or(InvalidPublicKey::Encoding)?);
        }
        let bytes = STANDARD.decode(text).map_err(|_| InvalidPublicKey::Encoding)?;
        match bytes.first() {
            // DER, unless it is as long as a raw key: any raw key may begin with this byte.
            Some(&SEQUENCE) if bytes.len() != PUBLIC_KEY_BYTES => Self::from_der(&bytes),
            _ => Self::from_bytes(&bytes),
        }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(to_der(&self.bytes)))
    }
}

/// Names a key: base64url, without padding, of the SHA-256 of its DER `SubjectPublicKeyInfo`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId(String);

impl KeyId {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let hash = URL_SAFE_NO_PAD.decode(text).ok()?;
        (hash.len() == SHA256.output_len()).then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is not a public key. Says nothing about the text, which may be a private key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPublicKey {
    /// A key of another kind, or something else in DER.
    #[error("not an Ed25519 public key")]
    Algorithm,
    /// Neither base64 nor PEM.
    #[error("neither a public key in PEM nor base64 with padding")]
    Encoding,
    /// Not as long as a key.
    #[error("not the {PUBLIC_KEY_BYTES} bytes of an Ed25519 public key")]
    Length,
    /// A private key, which has now been exposed.
    #[error("a private key: make a new one, and give its public key here")]
    Private,
    /// A key for which anybody can sign, or that is written in a second way.
    #[error("a value that no key has, and for which signatures can be forged")]
    Weak,
}

/// Why a text is not a list of public keys. Keys are counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPublicKeys {
    /// The same key occurs twice.
    #[error("key {position} is the same as key {first}")]
    Duplicate {
        /// The position of the duplicate.
        position: usize,
        /// The position of its first occurrence.
        first: usize,
    },
    /// No key at all.
    #[error("no public key")]
    Empty,
    /// A key that cannot be read.
    #[error("key {position} is {reason}")]
    Key {
        /// The position of the key.
        position: usize,
        /// What is wrong with it.
        #[source]
        reason: InvalidPublicKey,
    },
    /// More keys than are accepted.
    #[error("more than {MAX_KEYS} public keys")]
    TooMany,
}

fn to_der(bytes: &[u8; PUBLIC_KEY_BYTES]) -> Vec<u8> {
    [SPKI_PREFIX.as_slice(), bytes].concat()
}

/// Whether DER begins like PKCS#8: with a version, where a public key has its algorithm.
fn is_private(der: &[u8]) -> bool {
    matches!(der, [SEQUENCE, _, INTEGER, 1, 0 | 1, ..])
}

/// RFC 8410 4: a sequence of the algorithm 1.3.101.112 and a bit string of 32 bytes.
const SPKI_PREFIX: [u8; 12] = [SEQUENCE, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// ITU-T X.690 8.3 and 8.9.
const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;
