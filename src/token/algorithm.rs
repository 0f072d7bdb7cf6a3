//! Signature algorithms, and the public keys that signatures are verified with.
//!
//! An RSA key is parsed for an algorithm when the first token of that algorithm comes, and then kept: that
//! takes an eighth of the time that the verification does. A point is parsed at once, since that also says
//! whether it is on its curve.

use std::sync::{Arc, OnceLock};

use super::ed25519::PUBLIC_KEY_BYTES;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
};

/// A signature algorithm that is accepted: asymmetric ones alone (RFC 7518 3.1, RFC 8037 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// ECDSA with P-384 and SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
}

impl Algorithm {
    /// Its name in headers and keys.
    pub fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
        }
    }

    /// The algorithm of a name, as it is written: names have one case.
    pub fn of_name(name: &str) -> Option<Self> {
        [
            Self::Es256,
            Self::Es384,
            Self::EdDsa,
            Self::Ps256,
            Self::Ps384,
            Self::Ps512,
            Self::Rs256,
            Self::Rs384,
            Self::Rs512,
        ]
        .into_iter()
        .find(|algorithm| algorithm.name() == name)
    }

    fn of_rsa(self) -> Option<&'static RsaParameters> {
        Some(match self {
            Self::Ps256 => &RSA_PSS_2048_8192_SHA256,
            Self::Ps384 => &RSA_PSS_2048_8192_SHA384,
            Self::Ps512 => &RSA_PSS_2048_8192_SHA512,
            Self::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
            Self::Rs384 => &RSA_PKCS1_2048_8192_SHA384,
            Self::Rs512 => &RSA_PKCS1_2048_8192_SHA512,
            Self::Es256 | Self::Es384 | Self::EdDsa => return None,
        })
    }
}

/// The public part of a key.
#[derive(Debug)]
pub(super) enum Material {
    /// Modulus and exponent, both big-endian without leading zeros.
    Rsa { n: Vec<u8>, e: Vec<u8> },
    /// An uncompressed point (SEC 1, 2.3.3).
    Ec { point: Vec<u8> },
    /// RFC 8032 5.1.5.
    Ed25519 { x: [u8; PUBLIC_KEY_BYTES] },
}

/// A key for some algorithms.
#[derive(Clone)]
pub(super) struct VerifyingKey {
    algorithms: &'static [Algorithm],
    shared: Arc<Shared>,
}

struct Shared {
    material: Material,
    /// As many as algorithms. `None` within: it is no key for that.
    parsed: Vec<OnceLock<Option<ParsedPublicKey>>>,
}

impl VerifyingKey {
    /// `None`: the point is not on its curve.
    pub(super) fn new(material: Material, algorithms: &'static [Algorithm]) -> Option<Self> {
        let parsed = algorithms.iter().map(|algorithm| match material {
            Material::Rsa { .. } => Some(OnceLock::new()),
            Material::Ec { .. } | Material::Ed25519 { .. } => {
                parse(&material, *algorithm).map(|key| OnceLock::from(Some(key)))
            }
        });
        let parsed = parsed.collect::<Option<_>>()?;
        Some(Self { algorithms, shared: Arc::new(Shared { material, parsed }) })
    }

    /// Those whose signatures it may verify.
    pub(super) fn algorithms(&self) -> &'static [Algorithm] {
        self.algorithms
    }

    /// Whether this is the signature of the message.
    pub(super) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let Shared { material, parsed } = &*self.shared;
        let of_algorithm = self.algorithms.iter().position(|known| *known == algorithm);
        let key =
            of_algorithm.and_then(|at| parsed.get(at)?.get_or_init(|| parse(material, algorithm)).as_ref());
        key.is_some_and(|key| key.verify_sig(message, signature).is_ok())
    }
}

fn parse(material: &Material, algorithm: Algorithm) -> Option<ParsedPublicKey> {
    match (material, algorithm) {
        (Material::Rsa { n, e }, _) => {
            RsaPublicKeyComponents { n, e }.to_parsed_public_key(algorithm.of_rsa()?).ok()
        }
        (Material::Ec { point }, Algorithm::Es256) => {
            ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).ok()
        }
        (Material::Ec { point }, Algorithm::Es384) => {
            ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).ok()
        }
        (Material::Ed25519 { x }, Algorithm::EdDsa) => ParsedPublicKey::new(&ED25519, x).ok(),
        _ => None,
    }
}
