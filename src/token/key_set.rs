//! JSON Web Key Sets (RFC 7517): the public keys of an issuer.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::algorithm::{self, Algorithm};
use super::identity_source::{IdentitySource, KeyLocation};
use super::rsa::{self, InvalidRsaKey};
use super::verifier::{Material, SignatureVerifier, VerifyingKey};
use super::{ed25519, json};

/// The usable keys of an issuer, as published at one time.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    keys: Vec<Key>,
    skipped: usize,
    weak: usize,
    /// Keys that no issuer publishes; see [`with_test_keys`](Self::with_test_keys).
    test_keys: Option<Arc<Self>>,
}

impl KeySet {
    /// Reads a key set. A key that cannot be used is skipped, so that a provider may add keys of new kinds. A
    /// weak key is skipped as well: others than its owner could sign with it.
    ///
    /// # Errors
    /// [`InvalidKeySet`] if the text is not a key set at all.
    pub fn parse(text: &[u8]) -> Result<Self, InvalidKeySet> {
        if text.len() > MAX_BYTES {
            return Err(InvalidKeySet::TooLarge);
        }
        let object = json::parse_object(text).map_err(|_| InvalidKeySet::Json)?;
        let Some(Value::Array(members)) = object.get("keys") else {
            return Err(InvalidKeySet::NoKeys);
        };
        if members.len() > MAX_KEYS {
            return Err(InvalidKeySet::TooManyKeys);
        }
        let mut weak = 0;
        let usable = members.iter().filter_map(|jwk| match Key::from_jwk(jwk) {
            Ok(key) => Some(key),
            Err(Unusable::Weak) => {
                weak += 1;
                None
            }
            Err(Unusable::Unsupported) => None,
        });
        let usable: Vec<Key> = usable.collect();
        // If two keys have the same id, there is no way to know which one is meant (RFC 7517 4.5). Neither is
        // used.
        let is_unique = |key: &Key| usable.iter().filter(|other| other.id == key.id).count() == 1;
        let keys: Vec<Key> =
            usable.iter().filter(|key| key.id.is_none() || is_unique(key)).cloned().collect();
        let skipped = members.len() - keys.len();
        Ok(Self { keys, skipped, weak, test_keys: None })
    }

    /// How many keys can be used.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key can be used.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// How many keys were skipped as unusable.
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// How many of the skipped keys are weak: others than their owner could sign with them.
    pub fn weak(&self) -> usize {
        self.weak
    }

    /// Whether one of the keys is a [development key](DEVELOPMENT_KEY_THUMBPRINT).
    pub fn holds_development_key(&self) -> bool {
        self.keys.iter().any(Key::is_development_key)
    }

    /// The same set without its development keys.
    pub fn without_development_keys(mut self) -> Self {
        let before = self.keys.len();
        self.keys.retain(|key| !key.is_development_key());
        self.skipped += before - self.keys.len();
        self
    }

    /// The same set, which trusts these keys besides. They belong to a program that tries out a policy store. A token
    /// that none of them signed fares as if they were not there: they are not counted, and nobody finds them who does not
    /// name them.
    #[must_use]
    pub fn with_test_keys(self, test_keys: Option<Arc<Self>>) -> Self {
        Self { test_keys, ..self }
    }

    /// The test key that a token names.
    pub(super) fn find_test_key(&self, key_id: Option<&str>) -> Option<&Key> {
        self.test_keys.as_ref()?.find(Some(key_id?))
    }

    /// How tokens name each key, and what their signatures look like.
    #[cfg(feature = "function")]
    pub(crate) fn outlines(&self) -> impl Iterator<Item = KeyOutline<'_>> {
        self.keys.iter().filter_map(|key| {
            let (algorithm, signature_bytes) = key.verifying_key.outline()?;
            Some(KeyOutline { id: key.id.as_deref(), algorithm, signature_bytes })
        })
    }

    /// The key that a token names. If the token names none, the only key of the set.
    pub fn find(&self, key_id: Option<&str>) -> Option<&Key> {
        match (key_id, self.keys.as_slice()) {
            (Some(id), keys) => keys.iter().find(|key| key.id.as_deref() == Some(id)),
            (None, [key]) => Some(key),
            (None, _) => None,
        }
    }
}

/// How tokens name a key, and what their signatures look like.
#[cfg(feature = "function")]
pub(crate) struct KeyOutline<'a> {
    pub(crate) id: Option<&'a str>,
    /// The first of its algorithms.
    pub(crate) algorithm: Algorithm,
    pub(crate) signature_bytes: usize,
}

/// The keys of every issuer of every identity source.
#[derive(Clone, Debug, Default)]
pub struct KeySets(Vec<Vec<Arc<KeySet>>>);

impl KeySets {
    /// Takes the key sets of each identity source: one for each of its issuers, or one for all.
    pub fn new(sources: Vec<Vec<Arc<KeySet>>>) -> Self {
        Self(sources)
    }

    /// Collects the keys of each identity source. If keys came with the source, those are used. Otherwise
    /// `fetched` is asked for the keys of each place where the source publishes them. `None` means no keys, so
    /// that no token of that issuer is accepted.
    pub fn collect(
        sources: &[IdentitySource],
        mut fetched: impl FnMut(&KeyLocation) -> Option<Arc<KeySet>>,
    ) -> Self {
        let of_source = |source: &IdentitySource| match source.pinned_keys() {
            Some(keys) => vec![Arc::new(keys.clone())],
            None => {
                let locations = source.key_locations();
                locations.iter().map(|location| fetched(location).unwrap_or_default()).collect()
            }
        };
        Self(sources.iter().map(of_source).collect())
    }

    /// The keys of one issuer.
    pub fn get(&self, place: KeyPlace) -> Option<&Arc<KeySet>> {
        let of_source = self.0.get(place.source)?;
        of_source.get(place.issuer).or(of_source.last())
    }
}

/// Which keys are meant: those of one issuer of one identity source, both by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPlace {
    /// The identity source.
    pub source: usize,
    /// The issuer, among those of the source.
    pub issuer: usize,
}

/// A public key that signatures can be verified with.
#[derive(Clone)]
pub struct Key {
    id: Option<String>,
    verifying_key: VerifyingKey,
    thumbprint: [u8; 32],
}

impl Key {
    /// The verifier for signatures of this algorithm with this key. `None`: the key is for other algorithms. The
    /// key decides this, never the token (RFC 8725 3.1).
    pub fn verifier(&self, algorithm: Algorithm) -> Option<&SignatureVerifier> {
        self.verifying_key.verifier(algorithm)
    }

    fn is_development_key(&self) -> bool {
        self.thumbprint == DEVELOPMENT_KEY_THUMBPRINT
    }

    fn from_jwk(jwk: &Value) -> Result<Self, Unusable> {
        let (id, members, algorithms) = Self::read(jwk).ok_or(Unusable::Unsupported)?;
        let verifying_key =
            VerifyingKey::new(members.material()?, algorithms).ok_or(Unusable::Unsupported)?;
        Ok(Self { id, verifying_key, thumbprint: members.thumbprint() })
    }

    fn read(jwk: &Value) -> Option<(Option<String>, JwkMembers<'_>, &'static [Algorithm])> {
        let jwk = jwk.as_object()?;
        let id = match jwk.get("kid") {
            None => None,
            Some(Value::String(id)) if !id.is_empty() && id.len() <= MAX_KEY_ID_BYTES => Some(id.clone()),
            Some(_) => return None,
        };
        if !is_for_verification(jwk) || PRIVATE_MEMBERS.iter().any(|name| jwk.contains_key(*name)) {
            return None;
        }
        let members = JwkMembers::from_jwk(jwk)?;
        let all = members.algorithms();
        let algorithms = match jwk.get("alg") {
            None => all,
            Some(Value::String(name)) => {
                let only = algorithm::accepted(name)?;
                let at = all.iter().position(|algorithm| *algorithm == only)?;
                all.get(at..=at)?
            }
            Some(_) => return None,
        };
        Some((id, members, algorithms))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id: _, verifying_key, thumbprint: _ } = self;
        let algorithms: Vec<_> = verifying_key.algorithms().collect();
        f.debug_struct("Key").field("algorithms", &algorithms).finish_non_exhaustive()
    }
}

/// Why a key is skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unusable {
    /// Of a kind or form that is not supported, or for another use.
    Unsupported,
    /// Others than its owner could sign with it.
    Weak,
}

impl From<InvalidRsaKey> for Unusable {
    fn from(invalid: InvalidRsaKey) -> Self {
        match invalid {
            InvalidRsaKey::Unsupported => Self::Unsupported,
            InvalidRsaKey::Weak => Self::Weak,
        }
    }
}

/// Why a text is not a key set. Says nothing about the text, which may come from the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeySet {
    /// Not a JSON object with unique members.
    #[error("the key set is not a JSON object")]
    Json,
    /// No `keys` array.
    #[error("the key set has no `keys` array")]
    NoKeys,
    /// Larger than [`MAX_BYTES`].
    #[error("the key set is larger than {MAX_BYTES} bytes")]
    TooLarge,
    /// More keys than any provider has.
    #[error("the key set has more than {MAX_KEYS} keys")]
    TooManyKeys,
}

/// The members that hold the public part of a key.
enum JwkMembers<'a> {
    Rsa { n: &'a str, e: &'a str },
    Ec { curve: &'static Curve, x: &'a str, y: &'a str },
    Ed25519 { x: &'a str },
}

struct Curve {
    name: &'static str,
    coordinate_bytes: usize,
    algorithms: &'static [Algorithm],
}

impl<'a> JwkMembers<'a> {
    fn from_jwk(jwk: &'a Map<String, Value>) -> Option<Self> {
        let text = |name: &str| jwk.get(name)?.as_str();
        match text("kty")? {
            "RSA" => Some(Self::Rsa { n: text("n")?, e: text("e")? }),
            "EC" => {
                let name = text("crv")?;
                let curve = CURVES.iter().find(|curve| curve.name == name)?;
                Some(Self::Ec { curve, x: text("x")?, y: text("y")? })
            }
            "OKP" if text("crv")? == "Ed25519" => Some(Self::Ed25519 { x: text("x")? }),
            _ => None,
        }
    }

    fn algorithms(&self) -> &'static [Algorithm] {
        match self {
            Self::Rsa { .. } => RSA_ALGORITHMS,
            Self::Ec { curve, .. } => curve.algorithms,
            Self::Ed25519 { .. } => &[Algorithm::EdDSA],
        }
    }

    /// The key itself, if its numbers can be those of a key. AWS-LC checks whether a point is on its curve.
    fn material(&self) -> Result<Material, Unusable> {
        match self {
            Self::Rsa { n, e } => {
                let (n, e) = (decode(n)?, decode(e)?);
                rsa::check(&n, &e)?;
                Ok(Material::Rsa { n, e })
            }
            Self::Ec { curve, x, y } => {
                let (x, y) = (decode(x)?, decode(y)?);
                let fits = x.len() == curve.coordinate_bytes && y.len() == curve.coordinate_bytes;
                fits.then(|| Material::Ec { point: [vec![4], x, y].concat() }).ok_or(Unusable::Unsupported)
            }
            Self::Ed25519 { x } => {
                let x = decode(x)?.try_into().map_err(|_| Unusable::Unsupported)?;
                if ed25519::is_weak(&x) { Err(Unusable::Weak) } else { Ok(Material::Ed25519 { x }) }
            }
        }
    }

    /// RFC 7638 3: the hash of the required members in the order of their names. All values are base64url or
    /// names, so none of them needs escaping.
    fn thumbprint(&self) -> [u8; 32] {
        let canonical = match self {
            Self::Rsa { n, e } => format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#),
            Self::Ec { curve, x, y } => {
                format!(r#"{{"crv":"{}","kty":"EC","x":"{x}","y":"{y}"}}"#, curve.name)
            }
            Self::Ed25519 { x } => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#),
        };
        let mut thumbprint = [0; 32];
        thumbprint.copy_from_slice(digest(&SHA256, canonical.as_bytes()).as_ref());
        thumbprint
    }
}

/// RFC 7517 4.2 and 4.3: a key for another use must not verify signatures.
fn is_for_verification(jwk: &Map<String, Value>) -> bool {
    let for_use = match jwk.get("use") {
        None => true,
        Some(value) => value == "sig",
    };
    let for_operation = match jwk.get("key_ops") {
        None => true,
        Some(Value::Array(operations)) => operations.iter().any(|operation| operation == "verify"),
        Some(_) => false,
    };
    for_use && for_operation
}

fn decode(text: &str) -> Result<Vec<u8>, Unusable> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Unusable::Unsupported)
}

/// RFC 7638 thumbprint of the development key, the RSA key of `cedar-authorizer token`. Its private half is public,
/// so whoever trusts it trusts everybody. Every loader refuses it by default. It is recognized by its material,
/// because a key id can be changed.
pub const DEVELOPMENT_KEY_THUMBPRINT: [u8; 32] = [
    0x91, 0x9a, 0x9f, 0x8f, 0x2f, 0x2e, 0xf9, 0x76, 0xfe, 0x27, 0x6f, 0xcb, 0x24, 0xb9, 0x83, 0x17, 0x59,
    0xa3, 0xf5, 0xd0, 0xdb, 0xe3, 0xe0, 0xb8, 0xb6, 0xab, 0x07, 0xff, 0x1b, 0xbd, 0x73, 0x43,
];

const RSA_ALGORITHMS: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// RFC 7518 6.2.1: the curves and the exact length of their coordinates.
static CURVES: [Curve; 2] = [
    Curve { name: "P-256", coordinate_bytes: 32, algorithms: &[Algorithm::ES256] },
    Curve { name: "P-384", coordinate_bytes: 48, algorithms: &[Algorithm::ES384] },
];

/// RFC 7518 6.2.2, 6.3.2 and 6.4.1: members of private and symmetric keys only.
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Providers publish fewer than ten keys of a few hundred bytes. These limits are for a hostile or broken one.
pub const MAX_BYTES: usize = 256 * 1024;
const MAX_KEYS: usize = 100;
pub(super) const MAX_KEY_ID_BYTES: usize = 256;

#[cfg(test)]
mod tests;
