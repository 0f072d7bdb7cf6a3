//! Public keys, each ready to verify the signatures of its algorithms.
//!
//! `jsonwebtoken` defines the trait of a verifier ([`JwtVerifier`]), and AWS-LC does the cryptography. The
//! verifiers of that crate hold the bytes of a key and parse them for each token. These hold the parsed key.
//!
//! An RSA key is parsed when the first token of an algorithm comes, and is then kept for that algorithm. Parsing
//! takes an eighth of the time of the verification. A point is parsed at once, because parsing also finds out
//! whether it is on its curve.

use std::fmt;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
};
use jsonwebtoken::crypto::JwtVerifier;
use jsonwebtoken::signature::{Error, Verifier};

use super::algorithm::Algorithm;
use super::ed25519::PUBLIC_KEY_BYTES;

/// A public key for one algorithm.
///
/// [`verify`](Verifier::verify) finds the key already parsed, except at the first signature of an RSA key.
pub struct SignatureVerifier {
    algorithm: Algorithm,
    material: Arc<Material>,
    /// An inner `None`: this is not a key for the algorithm.
    parsed: OnceLock<Option<ParsedPublicKey>>,
}

impl SignatureVerifier {
    /// `None`: the material is not a point on the curve of the algorithm.
    pub(super) fn new(material: Arc<Material>, algorithm: Algorithm) -> Option<Self> {
        let parsed = match *material {
            Material::Rsa { .. } => OnceLock::new(),
            Material::Ec { .. } | Material::Ed25519 { .. } => {
                OnceLock::from(Some(parse(&material, algorithm)?))
            }
        };
        Some(Self { algorithm, material, parsed })
    }
}

impl Verifier<Vec<u8>> for SignatureVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), Error> {
        let parsed = self.parsed.get_or_init(|| parse(&self.material, self.algorithm));
        let key = parsed.as_ref().ok_or_else(Error::new)?;
        key.verify_sig(message, signature).map_err(|_| Error::new())
    }
}

impl JwtVerifier for SignatureVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl fmt::Debug for SignatureVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignatureVerifier({:?})", self.algorithm)
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

/// A key with a verifier for each of its algorithms.
#[derive(Clone)]
pub(super) struct VerifyingKey(Arc<[SignatureVerifier]>);

impl VerifyingKey {
    /// `None`: the point is not on its curve.
    pub(super) fn new(material: Material, algorithms: &[Algorithm]) -> Option<Self> {
        let material = Arc::new(material);
        let verifiers =
            algorithms.iter().map(|algorithm| SignatureVerifier::new(Arc::clone(&material), *algorithm));
        verifiers.collect::<Option<_>>().map(Self)
    }

    /// The verifier of an algorithm, if the key is for that algorithm.
    pub(super) fn verifier(&self, algorithm: Algorithm) -> Option<&SignatureVerifier> {
        self.0.iter().find(|verifier| verifier.algorithm == algorithm)
    }

    /// The first of its algorithms, and the length of its signatures in bytes.
    #[cfg(feature = "function")]
    pub(super) fn outline(&self) -> Option<(Algorithm, usize)> {
        let first = self.0.first()?;
        let bytes = match &*first.material {
            Material::Rsa { n, .. } => n.len(),
            // Two numbers as long as the coordinates of the point, behind its first byte.
            Material::Ec { point } => point.len().saturating_sub(1),
            Material::Ed25519 { x } => 2 * x.len(),
        };
        Some((first.algorithm, bytes))
    }

    /// The algorithms of the key.
    pub(super) fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        self.0.iter().map(|verifier| verifier.algorithm)
    }
}

fn parse(material: &Material, algorithm: Algorithm) -> Option<ParsedPublicKey> {
    match (material, algorithm) {
        (Material::Rsa { n, e }, _) => {
            RsaPublicKeyComponents { n, e }.to_parsed_public_key(rsa_parameters(algorithm)?).ok()
        }
        (Material::Ec { point }, Algorithm::ES256) => {
            ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).ok()
        }
        (Material::Ec { point }, Algorithm::ES384) => {
            ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).ok()
        }
        (Material::Ed25519 { x }, Algorithm::EdDSA) => ParsedPublicKey::new(&ED25519, x).ok(),
        _ => None,
    }
}

fn rsa_parameters(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        Algorithm::PS256 => &RSA_PSS_2048_8192_SHA256,
        Algorithm::PS384 => &RSA_PSS_2048_8192_SHA384,
        Algorithm::PS512 => &RSA_PSS_2048_8192_SHA512,
        Algorithm::RS256 => &RSA_PKCS1_2048_8192_SHA256,
        Algorithm::RS384 => &RSA_PKCS1_2048_8192_SHA384,
        Algorithm::RS512 => &RSA_PKCS1_2048_8192_SHA512,
        _ => return None,
    })
}
