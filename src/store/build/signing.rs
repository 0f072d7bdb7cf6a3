//! Signs bundles. The function never has a private key.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::bundle::signature::pem::Block;
use crate::bundle::signature::{
    MAX_KEYS, PAYLOAD_TYPE, PublicKey, SIGNATURE_BYTES, Signatures, pre_authentication_encoding,
};
use crate::token::ed25519::PUBLIC_KEY_BYTES;

/// An Ed25519 private key. AWS-LC wipes the memory when it is dropped.
///
/// Read from unencrypted PKCS#8 in PEM: version 1, which OpenSSL writes (RFC 5208), or version 2 with the public
/// key (RFC 5958), which must match.
pub struct PrivateKey {
    pair: Ed25519KeyPair,
    public_key: PublicKey,
}

impl PrivateKey {
    /// Makes a new key, with the randomness of AWS-LC.
    ///
    /// # Errors
    /// [`LibraryFailure`]
    pub fn generate() -> Result<Self, LibraryFailure> {
        Self::new(Ed25519KeyPair::generate()?)
    }

    /// The public half.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// The key in PEM, byte for byte as `openssl genpkey -algorithm ed25519` writes it. This is version 1 of
    /// PKCS#8, because OpenSSL 3.0 does not read version 2.
    ///
    /// # Errors
    /// [`LibraryFailure`]
    pub fn to_pem(&self) -> Result<Zeroizing<String>, LibraryFailure> {
        let body = Zeroizing::new(STANDARD.encode(self.pair.to_pkcs8v1()?));
        // 48 bytes make 64 characters, which is a whole line of PEM.
        let parts = ["-----BEGIN PRIVATE KEY-----\n", &body, "\n-----END PRIVATE KEY-----\n"];
        Ok(Zeroizing::new(parts.concat()))
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<[u8; SIGNATURE_BYTES], LibraryFailure> {
        let signature = self.pair.try_sign(message)?;
        signature.as_ref().try_into().map_err(|_| LibraryFailure)
    }

    fn new(pair: Ed25519KeyPair) -> Result<Self, LibraryFailure> {
        let bytes: [u8; PUBLIC_KEY_BYTES] =
            pair.public_key().as_ref().try_into().map_err(|_| LibraryFailure)?;
        Ok(Self { pair, public_key: PublicKey::new(bytes) })
    }
}

impl FromStr for PrivateKey {
    type Err = InvalidPrivateKey;

    fn from_str(text: &str) -> Result<Self, InvalidPrivateKey> {
        let block = Block::parse(text).ok_or(InvalidPrivateKey::Encoding)?;
        match block.label {
            "PRIVATE KEY" => {}
            "ENCRYPTED PRIVATE KEY" => return Err(InvalidPrivateKey::Encrypted),
            "PUBLIC KEY" => return Err(InvalidPrivateKey::Public),
            _ => return Err(InvalidPrivateKey::Label),
        }
        let der = block.decode().ok_or(InvalidPrivateKey::Encoding)?;
        if !is_ed25519(&der) {
            return Err(InvalidPrivateKey::Algorithm);
        }
        // AWS-LC ignores what follows the key.
        if !matches!(&der[..], [_, length, content @ ..] if usize::from(*length) == content.len()) {
            return Err(InvalidPrivateKey::Der);
        }
        let pair = Ed25519KeyPair::from_pkcs8(&der).map_err(|_| InvalidPrivateKey::Der)?;
        Self::new(pair).map_err(|_| InvalidPrivateKey::Der)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pair: _, public_key } = self;
        f.debug_struct("PrivateKey").field("public_key", public_key).finish_non_exhaustive()
    }
}

/// Signs a manifest with all of these keys. The same manifest and keys always make the same signatures.
///
/// # Errors
/// [`CannotSign`]
pub fn sign(manifest: &[u8], keys: &[PrivateKey]) -> Result<Signatures, CannotSign> {
    if keys.is_empty() {
        return Err(CannotSign::NoKey);
    }
    if keys.len() > MAX_KEYS {
        return Err(CannotSign::TooManyKeys);
    }
    let message = pre_authentication_encoding(PAYLOAD_TYPE, manifest);
    let sign = |key: &PrivateKey| Ok((key.public_key().key_id().clone(), key.sign(&message)?));
    let signatures = keys.iter().map(sign).collect::<Result<Vec<_>, LibraryFailure>>()?;
    Signatures::in_order(signatures.into_iter()).ok_or(CannotSign::DuplicateKey)
}

/// Whether a PKCS#8 key is an Ed25519 key: a version, then the algorithm (RFC 8410 7).
fn is_ed25519(der: &[u8]) -> bool {
    matches!(der, [0x30, _, 0x02, 0x01, _, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, ..])
}

/// Why a text is not a private key. Says nothing about the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPrivateKey {
    /// A key of another kind.
    #[error("the private key is not an Ed25519 key")]
    Algorithm,
    /// An Ed25519 key that is damaged, or whose public key belongs to another key.
    #[error("the private key is damaged")]
    Der,
    /// Not one block of PEM.
    #[error("the private key is not in PEM, or is not alone")]
    Encoding,
    /// A key that is encrypted with a password.
    #[error("the private key is encrypted; `openssl pkey` decrypts it")]
    Encrypted,
    /// PEM of something else.
    #[error("the private key is not in PKCS#8, which starts with `-----BEGIN PRIVATE KEY-----`")]
    Label,
    /// A public key.
    #[error("this is a public key, not a private one")]
    Public,
}

/// Why a manifest cannot be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotSign {
    /// A key is given twice.
    #[error("the same key is given twice to sign with")]
    DuplicateKey,
    /// The cryptographic library failed.
    #[error(transparent)]
    Library(#[from] LibraryFailure),
    /// There is no key to sign with.
    #[error("no key is given to sign with")]
    NoKey,
    /// More keys than an envelope may have.
    #[error("more than {MAX_KEYS} keys are given to sign with")]
    TooManyKeys,
}

/// The cryptographic library failed: no memory, or no randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cryptographic library failed")]
pub struct LibraryFailure;

impl From<Unspecified> for LibraryFailure {
    fn from(_: Unspecified) -> Self {
        Self
    }
}
