//! The cryptography of `jsonwebtoken`, so that its `encode` and `decode` work: AWS-LC, with our checks of public keys.
//!
//! The command `token` signs through this. The function does not use it and cannot sign: it verifies through the
//! [verifiers](super::verifier) of its key sets, without a provider.
//!
//! `jsonwebtoken` has one provider for the whole process, and `encode` takes no other. So whoever signs must
//! [install](CryptoProvider::install_default) this one first. Only the first provider of a process counts.

use std::sync::Arc;

use aws_lc_rs::digest::{self, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512,
    RsaEncoding, RsaKeyPair,
};
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::jwk::ThumbprintHash;
use jsonwebtoken::signature::{self, Signer};
use jsonwebtoken::{AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey};

use super::algorithm::{ACCEPTED, Algorithm};
use super::ed25519;
use super::rsa::{self, InvalidRsaKey};
use super::verifier::{Material, SignatureVerifier};

/// Signs and verifies with AWS-LC.
///
/// | | |
/// |---|---|
/// | algorithms | those that are [accepted](ACCEPTED), so no HMAC |
/// | private keys | PKCS #8, for RSA also PKCS #1, both in DER |
/// | public keys | the numbers of a JWK; those that a [key set](super::key_set::KeySet) skips as weak are refused |
/// | not supported | public keys in DER, and making a JWK from a key |
pub static AWS_LC: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    key_utils: KeyUtils {
        rsa_pub_components_from_private_key: |_| Err(ErrorKind::InvalidKeyFormat.into()),
        rsa_pub_components_from_public_key: |_| Err(ErrorKind::InvalidKeyFormat.into()),
        ec_pub_components_from_private_key: |_, _| Err(ErrorKind::InvalidKeyFormat.into()),
        ed_pub_components_from_private_key: |_, _| Err(ErrorKind::InvalidKeyFormat.into()),
        compute_digest: |data, hash| {
            let algorithm = match hash {
                ThumbprintHash::SHA256 => &digest::SHA256,
                ThumbprintHash::SHA384 => &digest::SHA384,
                ThumbprintHash::SHA512 => &digest::SHA512,
                _ => return Err(ErrorKind::UnsupportedAlgorithm.into()),
            };
            Ok(digest(algorithm, data).as_ref().to_vec())
        },
    },
};

/// Parses the key each time: `decode` passes only the unparsed key with each token.
fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    check(*algorithm, key.family())?;
    let verifier = SignatureVerifier::new(Arc::new(material(key)?), *algorithm);
    Ok(Box::new(verifier.ok_or(ErrorKind::InvalidKeyFormat)?))
}

fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    check(*algorithm, key.family())?;
    let key = SigningKeyPair::parse(*algorithm, key.as_bytes())?;
    Ok(Box::new(SignatureSigner { algorithm: *algorithm, key }))
}

fn check(algorithm: Algorithm, of_key: AlgorithmFamily) -> Result<()> {
    if ACCEPTED.contains(&algorithm) && algorithm.family() == of_key {
        Ok(())
    } else {
        Err(ErrorKind::InvalidAlgorithm.into())
    }
}

/// The key itself, if its numbers can be those of a key. As strict as the reader of key sets.
fn material(key: &DecodingKey) -> Result<Material> {
    Ok(match (key.family(), key.kind()) {
        (AlgorithmFamily::Rsa, DecodingKeyKind::RsaModulusExponent { n, e }) => {
            rsa::check(n, e).map_err(|invalid| {
                let cause = match invalid {
                    InvalidRsaKey::Unsupported => "unsupported",
                    InvalidRsaKey::Weak => "weak",
                };
                ErrorKind::InvalidRsaKey(cause.to_owned())
            })?;
            Material::Rsa { n: n.clone(), e: e.clone() }
        }
        // An uncompressed point. AWS-LC checks its length and whether it is on the curve.
        (AlgorithmFamily::Ec, DecodingKeyKind::SecretOrDer(point)) if point.first() == Some(&4) => {
            Material::Ec { point: point.clone() }
        }
        (AlgorithmFamily::Ed, DecodingKeyKind::SecretOrDer(x)) => {
            let x = x.as_slice().try_into().map_err(|_| ErrorKind::InvalidEddsaKey)?;
            if ed25519::is_weak(&x) {
                return Err(ErrorKind::InvalidEddsaKey.into());
            }
            Material::Ed25519 { x }
        }
        _ => return Err(ErrorKind::InvalidKeyFormat.into()),
    })
}

/// A private key for one algorithm.
struct SignatureSigner {
    algorithm: Algorithm,
    key: SigningKeyPair,
}

enum SigningKeyPair {
    Ec(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
}

impl SigningKeyPair {
    fn parse(algorithm: Algorithm, der: &[u8]) -> Result<Self> {
        let rsa = |encoding| {
            let key = RsaKeyPair::from_der(der).or_else(|_| RsaKeyPair::from_pkcs8(der));
            let key = key.map_err(|rejected| ErrorKind::InvalidRsaKey(rejected.to_string()))?;
            Ok(Self::Rsa(key, encoding))
        };
        let ec = |curve| {
            let key = EcdsaKeyPair::from_pkcs8(curve, der).map_err(|_| ErrorKind::InvalidEcdsaKey)?;
            Ok(Self::Ec(key))
        };
        match algorithm {
            Algorithm::ES256 => ec(&ECDSA_P256_SHA256_FIXED_SIGNING),
            Algorithm::ES384 => ec(&ECDSA_P384_SHA384_FIXED_SIGNING),
            Algorithm::EdDSA => {
                let key = Ed25519KeyPair::from_pkcs8(der).map_err(|_| ErrorKind::InvalidEddsaKey)?;
                Ok(Self::Ed25519(key))
            }
            Algorithm::PS256 => rsa(&RSA_PSS_SHA256),
            Algorithm::PS384 => rsa(&RSA_PSS_SHA384),
            Algorithm::PS512 => rsa(&RSA_PSS_SHA512),
            Algorithm::RS256 => rsa(&RSA_PKCS1_SHA256),
            Algorithm::RS384 => rsa(&RSA_PKCS1_SHA384),
            Algorithm::RS512 => rsa(&RSA_PKCS1_SHA512),
            _ => Err(ErrorKind::UnsupportedAlgorithm.into()),
        }
    }
}

impl Signer<Vec<u8>> for SignatureSigner {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, signature::Error> {
        let random = SystemRandom::new();
        let failed = |_| signature::Error::new();
        match &self.key {
            SigningKeyPair::Ec(key) => Ok(key.sign(&random, message).map_err(failed)?.as_ref().to_vec()),
            SigningKeyPair::Ed25519(key) => Ok(key.sign(message).as_ref().to_vec()),
            SigningKeyPair::Rsa(key, encoding) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(*encoding, &random, message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
        }
    }
}

impl JwtSigner for SignatureSigner {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
