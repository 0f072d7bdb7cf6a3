//! Signatures of a bundle: Ed25519 (RFC 8032) over its manifest, which has the SHA-256 of every member, in a
//! [DSSE] envelope.
//!
//! The envelope is detached: the manifest is in the bundle itself, so the envelope has no `payload`. It is
//! written exactly like this, but on one line and without a line end. The signatures are in ascending order of
//! their key ids (ASCII), one for each key:
//!
//! ```text
//! {"payloadType":"application/vnd.cedar-authorizer.manifest+json","signatures":[
//! {"keyid":"eI0b...6SI","sig":"R6fS...Bw=="},{"keyid":"...","sig":"..."}]}
//! ```
//!
//! `sig` is a signature of 64 bytes in base64 with padding (RFC 4648 4). The signed text is DSSE's
//! pre-authentication encoding, where M is the length of the manifest in decimal digits:
//!
//! ```text
//! DSSEv1 46 application/vnd.cedar-authorizer.manifest+json M <the M bytes of the manifest>
//!       ^  ^                                              ^ ^ one space each, nothing at the end
//! ```
//!
//! `keyid` says which key to try: base64url without padding of the SHA-256 of the public key as a DER
//! `SubjectPublicKeyInfo` (RFC 8410 4). It is a hint and is not signed. A bundle is accepted because a trusted
//! key verifies a signature, never because of what an envelope says.
//!
//! Anybody can verify this with OpenSSL 3, a public key in `key.pub.pem`, the manifest in
//! `manifest.json` and the envelope in `signatures.json`:
//!
//! ```sh
//! keyid=$(openssl pkey -pubin -in key.pub.pem -outform DER | openssl dgst -sha256 -binary |
//!     openssl base64 -A | tr '+/' '-_' | tr -d '=')
//! jq -r --arg keyid "$keyid" '.signatures[] | select(.keyid == $keyid).sig' signatures.json |
//!     openssl base64 -d -A > manifest.sig
//! { printf 'DSSEv1 46 application/vnd.cedar-authorizer.manifest+json %d ' "$(wc -c < manifest.json)"
//!   cat manifest.json; } > manifest.pae
//! openssl pkeyutl -verify -rawin -pubin -inkey key.pub.pem -in manifest.pae -sigfile manifest.sig
//! ```
//!
//! Signing is the reverse: `openssl genpkey -algorithm ed25519 -out key.pem`, then
//! `openssl pkeyutl -sign -rawin -inkey key.pem -in manifest.pae`.
//!
//! This is deliberately stricter than DSSE 1.0.2, so that each envelope has only one spelling. DSSE also allows
//! base64url signatures, no key id, and unknown members.
//!
//! [DSSE]: https://github.com/secure-systems-lab/dsse

pub(crate) mod pem;
mod public_key;

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

pub use public_key::{InvalidPublicKey, InvalidPublicKeys, KeyId, PublicKey, PublicKeys};

/// The signatures of a manifest: at least one, and one for each key. Only [`Signatures::verify`] finds out who
/// made them and whether they are valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signatures(Vec<Signature>);

impl Signatures {
    /// Puts signatures in the order of an envelope. `None`: two are of one key.
    #[cfg(feature = "authoring")]
    pub(crate) fn in_order(signatures: impl Iterator<Item = (KeyId, [u8; SIGNATURE_BYTES])>) -> Option<Self> {
        let mut signatures: Vec<Signature> =
            signatures.map(|(key_id, bytes)| Signature { key_id, bytes }).collect();
        signatures.sort_by(|a, b| a.key_id.cmp(&b.key_id));
        is_strictly_ordered(&signatures).then_some(Self(signatures))
    }

    /// Reads an envelope.
    ///
    /// # Errors
    /// [`InvalidSignatures`] for every spelling except that of [`Signatures::to_json`].
    pub fn parse(json: &[u8]) -> Result<Self, InvalidSignatures> {
        if json.len() > MAX_BYTES {
            return Err(InvalidSignatures::TooLarge);
        }
        let Envelope { payload_type, signatures } =
            serde_json::from_slice(json).map_err(InvalidSignatures::Json)?;
        if payload_type != PAYLOAD_TYPE {
            return Err(InvalidSignatures::PayloadType);
        }
        if signatures.is_empty() {
            return Err(InvalidSignatures::NoSignature);
        }
        if signatures.len() > MAX_KEYS {
            return Err(InvalidSignatures::TooManySignatures);
        }
        let signatures = signatures.iter().map(Signature::parse).collect::<Result<Vec<_>, _>>()?;
        if !is_strictly_ordered(&signatures) {
            return Err(InvalidSignatures::Order);
        }
        let signatures = Self(signatures);
        // serde also accepts white space, escapes, members in another order, and arrays for objects.
        if signatures.to_json().as_bytes() == json {
            Ok(signatures)
        } else {
            Err(InvalidSignatures::Spelling)
        }
    }

    /// The envelope.
    pub fn to_json(&self) -> String {
        // Nothing in it needs escaping: it is all base64 and base64url.
        let signature = |Signature { key_id, bytes }: &Signature| {
            format!(r#"{{"keyid":"{key_id}","sig":"{}"}}"#, STANDARD.encode(bytes))
        };
        let signatures: Vec<String> = self.0.iter().map(signature).collect();
        format!(r#"{{"payloadType":"{PAYLOAD_TYPE}","signatures":[{}]}}"#, signatures.join(","))
    }

    /// The ids of the keys that are said to have signed. They are not verified.
    pub fn unverified_key_ids(&self) -> impl Iterator<Item = &KeyId> {
        self.0.iter().map(|signature| &signature.key_id)
    }

    /// Verifies that a trusted key has signed the manifest, and returns its id. If several have, returns the id
    /// that comes first.
    ///
    /// Signatures of untrusted keys do not count, for or against. So one can sign with the next key before every
    /// function trusts it. A signature in the name of a trusted key must be valid, even if there is another valid
    /// one: no signer writes an invalid signature, so somebody has altered the bundle. (DSSE skips such a
    /// signature. Whoever alters an envelope can also remove signatures, so this check finds damage, not an
    /// attack. The protection against an attack is that a valid signature is required.)
    ///
    /// # Errors
    /// [`Untrusted`]
    pub fn verify(&self, manifest: &[u8], trusted: &PublicKeys) -> Result<KeyId, Untrusted> {
        let mut verified = None;
        for (key_id, status) in self.check(manifest, Some(trusted)) {
            match status {
                SignatureStatus::Invalid => return Err(Untrusted::Invalid(key_id.clone())),
                SignatureStatus::NotChecked => {}
                SignatureStatus::Valid => verified = verified.or(Some(key_id)),
            }
        }
        match verified {
            Some(key_id) => Ok(key_id.clone()),
            None => Err(Untrusted::Stranger { signers: self.unverified_key_ids().cloned().collect() }),
        }
    }

    /// The status of each signature. Only those in the name of a trusted key can be checked.
    pub fn check<'a>(
        &'a self,
        manifest: &[u8],
        trusted: Option<&'a PublicKeys>,
    ) -> impl Iterator<Item = (&'a KeyId, SignatureStatus)> {
        let message = pre_authentication_encoding(PAYLOAD_TYPE, manifest);
        self.0.iter().map(move |Signature { key_id, bytes }| {
            let status = match trusted.and_then(|trusted| trusted.find(key_id)) {
                Some(key) if key.has_signed(&message, bytes) => SignatureStatus::Valid,
                Some(_) => SignatureStatus::Invalid,
                None => SignatureStatus::NotChecked,
            };
            (key_id, status)
        })
    }
}

/// What is known about a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureStatus {
    /// It is in the name of a trusted key, but was not made by that key, or not for this manifest.
    Invalid,
    /// No trusted key has its id, so it cannot be checked.
    NotChecked,
    /// A trusted key has signed this manifest.
    Valid,
}

impl SignatureStatus {
    /// The stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::NotChecked => "not-checked",
            Self::Valid => "valid",
        }
    }
}

impl fmt::Display for SignatureStatus {
    /// The text for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotChecked => "not checked",
            status => status.name(),
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Signature {
    key_id: KeyId,
    bytes: [u8; SIGNATURE_BYTES],
}

impl Signature {
    fn parse(signature: &EnvelopeSignature) -> Result<Self, InvalidSignatures> {
        let EnvelopeSignature { keyid, sig } = signature;
        let key_id = KeyId::parse(keyid).ok_or(InvalidSignatures::KeyId)?;
        let bytes = STANDARD.decode(sig).ok().and_then(|bytes| bytes.try_into().ok());
        Ok(Self { key_id, bytes: bytes.ok_or(InvalidSignatures::Signature)? })
    }
}

/// The envelope as JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Envelope {
    payload_type: String,
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvelopeSignature {
    keyid: String,
    sig: String,
}

/// Why a text is not an envelope of a bundle.
#[derive(Debug, thiserror::Error)]
pub enum InvalidSignatures {
    /// Not the JSON of an envelope.
    #[error("the signatures of the bundle cannot be read: {0}")]
    Json(#[source] serde_json::Error),
    /// A key id that is not the hash of a key.
    #[error("a key id in the signatures of the bundle is not the SHA-256 of a key in base64url")]
    KeyId,
    /// An envelope without a signature.
    #[error("the bundle has an envelope for signatures, but no signature")]
    NoSignature,
    /// Signatures that are out of order, or two of one key.
    #[error("the signatures of the bundle are not in the order of their key ids, one for each key")]
    Order,
    /// Signatures of something else.
    #[error("the signatures of the bundle are for something else than `{PAYLOAD_TYPE}`")]
    PayloadType,
    /// Not the 64 bytes of a signature.
    #[error("a signature of the bundle is not {SIGNATURE_BYTES} bytes in base64")]
    Signature,
    /// The right content, but spelt in another way.
    #[error("the signatures of the bundle are not written as the format has it")]
    Spelling,
    /// Larger than any envelope.
    #[error("the signatures of the bundle are larger than {MAX_BYTES} bytes")]
    TooLarge,
    /// More signatures than are accepted.
    #[error("the bundle has more than {MAX_KEYS} signatures")]
    TooManySignatures,
}

/// Why a manifest is not trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// A signature in the name of a trusted key was not made by that key, or not for this manifest.
    #[error("the signature of the bundle by the trusted key `{0}` is not valid")]
    Invalid(KeyId),
    /// No signature is in the name of a trusted key.
    #[error("the bundle is not signed by a trusted key, but by {}", list(signers))]
    Stranger {
        /// The keys that are said to have signed.
        signers: Vec<KeyId>,
    },
}

fn list(signers: &[KeyId]) -> String {
    signers.iter().map(|key_id| format!("`{key_id}`")).collect::<Vec<_>>().join(", ")
}

fn is_strictly_ordered(signatures: &[Signature]) -> bool {
    signatures.is_sorted_by(|a, b| a.key_id < b.key_id)
}

/// DSSE's PAE: type and content with their lengths, so that no two pairs make the same bytes.
pub(crate) fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let header = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [header.as_bytes(), payload].concat()
}

/// Says what the signatures are for. So if the same key signs something else, that signature is not valid for a bundle.
pub(crate) const PAYLOAD_TYPE: &str = "application/vnd.cedar-authorizer.manifest+json";

/// RFC 8032 5.1.6.
pub(crate) const SIGNATURE_BYTES: usize = 64;

/// Rotation needs two keys. This limit leaves room for more, and bounds the work.
pub(crate) const MAX_KEYS: usize = 8;

/// An envelope with [`MAX_KEYS`] signatures has 1303 bytes.
pub(crate) const MAX_BYTES: usize = 2048;

#[cfg(feature = "authoring")]
#[cfg(test)]
mod tests;
