//! The file format of a bundle, version 5.
//!
//! ```text
//! offset  bytes
//!      0     24   "cedar-authorizer bundle\n"
//!     24      4   format version, little-endian
//!     28      4   length M of the manifest, little-endian
//!     32     32   SHA-256 of the manifest
//!     64      4   length S of the signatures, little-endian; 0: the bundle is not signed
//!     68     32   SHA-256 of the signatures
//!    100      M   the manifest, JSON: name, tenant, revision, and path, size and SHA-256 of each member
//!  100+M      S   the signatures of the manifest, JSON; see `signature.rs`
//!      -      -   the members, one after the other, as the manifest lists them
//! ```
//!
//! Every byte is accounted for: a file that is longer, shorter or different anywhere is refused.
//! Members are not compressed, so that one can be read without the others, and none can grow.
//!
//! The manifest may get new optional members within one version: a reader refuses what it does not
//! know, so an older function never takes a tenant's bundle for one that is for nobody in particular.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};

use super::manifest::{InvalidManifest, Manifest, Member};
use super::signature::{self, InvalidSignatures, Signatures};
use super::{CannotBuild, Edition};
use crate::store::StoreFiles;

pub(super) fn pack<'a>(
    max_bytes: usize,
    name: &str,
    edition: &Edition<'_>,
    files: impl Iterator<Item = (&'a str, &'a [u8])>,
) -> Result<Vec<u8>, CannotBuild> {
    let (mut members, mut contents) = (Vec::new(), Vec::new());
    for (path, content) in files {
        let sha256 = hex(digest(&SHA256, content).as_ref());
        members.push(Member { path: path.to_owned(), size: content.len() as u64, sha256 });
        contents.extend_from_slice(content);
    }
    let manifest = Manifest::new(name, edition, members);
    manifest.check_revision()?;
    let manifest = serde_json::to_vec(&manifest).map_err(InvalidManifest::Json)?;
    let signatures = match edition.signing_keys {
        [] => String::new(),
        keys => Signatures::sign(&manifest, keys)?.to_json(),
    };
    let length = |length: usize| u32::try_from(length).map_err(|_| InvalidArchive::TooLarge);
    let archive = [
        MAGIC.as_slice(),
        &FORMAT_VERSION.to_le_bytes(),
        &length(manifest.len())?.to_le_bytes(),
        digest(&SHA256, &manifest).as_ref(),
        &length(signatures.len())?.to_le_bytes(),
        digest(&SHA256, signatures.as_bytes()).as_ref(),
        &manifest,
        signatures.as_bytes(),
        &contents,
    ]
    .concat();
    // As if there were as many signatures as there may be: whether a store is too large does not depend on who signs.
    match archive.len() - signatures.len() + signature::MAX_BYTES > max_bytes {
        true => Err(InvalidArchive::TooLarge.into()),
        false => Ok(archive),
    }
}

/// What an archive has in it. Nobody has vouched for it yet.
#[derive(Debug)]
pub(super) struct Unpacked<'a> {
    pub(super) manifest: Manifest,
    /// The text of the manifest, which is what signatures are of.
    pub(super) signed: &'a [u8],
    /// `None`: it is not signed.
    pub(super) signatures: Option<Signatures>,
    pub(super) members: Members<'a>,
}

/// The members of a bundle, by their paths.
#[derive(Debug)]
pub(super) struct Members<'a>(BTreeMap<String, &'a [u8]>);

impl<'a> Members<'a> {
    /// The content of a member.
    pub(super) fn get(&self, path: &str) -> Option<&'a [u8]> {
        self.0.get(path).copied()
    }

    /// A copy of those whose paths are wanted.
    pub(super) fn files(&self, is_wanted: impl Fn(&str) -> bool) -> StoreFiles {
        let mut files = StoreFiles::default();
        for (path, content) in self.0.iter().filter(|(path, _)| is_wanted(path)) {
            files.insert(path.clone(), content.to_vec());
        }
        files
    }
}

pub(super) fn unpack(bytes: &[u8]) -> Result<Unpacked<'_>, InvalidArchive> {
    if bytes.len() > MAX_BYTES {
        return Err(InvalidArchive::TooLarge);
    }
    let mut rest = bytes;
    if take(&mut rest, MAGIC.len()) != Some(MAGIC.as_slice()) {
        return Err(InvalidArchive::NotABundle);
    }
    let version = take_number(&mut rest)?;
    if version != FORMAT_VERSION {
        return Err(InvalidArchive::FormatVersion(version));
    }
    let length = take_number(&mut rest)? as usize;
    let manifest_digest = take(&mut rest, SHA256.output_len()).ok_or(InvalidArchive::Truncated)?;
    let signatures_length = take_number(&mut rest)? as usize;
    let signatures_digest = take(&mut rest, SHA256.output_len()).ok_or(InvalidArchive::Truncated)?;
    let signed = take(&mut rest, length).ok_or(InvalidArchive::Truncated)?;
    if digest(&SHA256, signed).as_ref() != manifest_digest {
        return Err(InvalidArchive::ManifestAltered);
    }
    let signatures = take(&mut rest, signatures_length).ok_or(InvalidArchive::Truncated)?;
    if digest(&SHA256, signatures).as_ref() != signatures_digest {
        return Err(InvalidArchive::SignaturesAltered);
    }
    let signatures = match signatures {
        [] => None,
        signatures => Some(Signatures::parse(signatures)?),
    };
    let manifest = Manifest::parse(signed)?;

    let mut members = BTreeMap::new();
    for Member { path, size, sha256 } in &manifest.members {
        let size = usize::try_from(*size).map_err(|_| InvalidArchive::Truncated)?;
        let content = take(&mut rest, size).ok_or(InvalidArchive::Truncated)?;
        if hex(digest(&SHA256, content).as_ref()) != *sha256 {
            return Err(InvalidArchive::MemberAltered(path.clone()));
        }
        members.insert(path.clone(), content);
    }
    match rest.is_empty() {
        true => Ok(Unpacked { manifest, signed, signatures, members: Members(members) }),
        false => Err(InvalidArchive::TrailingBytes),
    }
}

/// Why a file is not a whole and unaltered bundle.
#[derive(Debug, thiserror::Error)]
pub enum InvalidArchive {
    /// Written by a version that is too new for this one, or too old.
    #[error("the bundle has format version {0}, this version reads {FORMAT_VERSION}")]
    FormatVersion(u32),
    /// The manifest cannot be used.
    #[error(transparent)]
    Manifest(#[from] InvalidManifest),
    /// The manifest is not the one that was built.
    #[error("the manifest of the bundle was altered")]
    ManifestAltered,
    /// A member is not the one that was built.
    #[error("`{0}` in the bundle was altered")]
    MemberAltered(String),
    /// Another kind of file.
    #[error("the file is not a bundle")]
    NotABundle,
    /// The signatures cannot be read.
    #[error(transparent)]
    Signatures(#[from] InvalidSignatures),
    /// The signatures are not those that were written.
    #[error("the signatures of the bundle were altered")]
    SignaturesAltered,
    /// Larger than is accepted.
    #[error("the bundle is larger than {MAX_BYTES} bytes")]
    TooLarge,
    /// Bytes behind the last member.
    #[error("the bundle goes on behind its last member")]
    TrailingBytes,
    /// The end is missing.
    #[error("the bundle is truncated")]
    Truncated,
}

pub(super) fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

pub(super) fn take_number(rest: &mut &[u8]) -> Result<u32, InvalidArchive> {
    let bytes = take(rest, size_of::<u32>()).and_then(|bytes| bytes.try_into().ok());
    bytes.map(u32::from_le_bytes).ok_or(InvalidArchive::Truncated)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

pub(super) const MAGIC: &[u8; 24] = b"cedar-authorizer bundle\n";
pub(super) const FORMAT_VERSION: u32 = 5;

/// The largest bundle. A cold start has ten seconds, and S3 gives 85 to 90 megabytes a second over one connection (Amazon S3
/// User Guide, "Performance guidelines"): this much takes three of them. While a bundle is replaced, the function holds
/// two of them in memory.
pub const MAX_BYTES: usize = 256 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::outline;
    use super::*;

    fn packed() -> Vec<u8> {
        let compiled = outline::FILES.map(|path| (path, b"\0\0".as_slice()));
        let files: [(&str, &[u8]); 2] = [("entities.json", b"[]"), ("store.toml", b"[store]\n")];
        pack(MAX_BYTES, "petstore", &7.into(), compiled.into_iter().chain(files)).unwrap()
    }

    #[test]
    fn what_is_packed_is_unpacked() {
        let bytes = packed();
        let Unpacked { manifest, members, signatures, .. } = unpack(&bytes).unwrap();
        assert!(signatures.is_none());
        assert_eq!((manifest.name.as_str(), manifest.revision), ("petstore", 7));
        assert_eq!(members.get(outline::OUTLINE), Some(b"\0\0".as_slice()));
        let files = members.files(|path| !path.starts_with("compiled/") && path != "store.toml");
        let files: Vec<_> = files.iter().collect();
        assert_eq!(files, [("entities.json", b"[]".as_slice())]);
    }

    #[test]
    fn every_truncation_and_every_addition_is_refused() {
        let bundle = packed();
        for length in 0..bundle.len() {
            assert!(unpack(&bundle[..length]).is_err(), "{length}");
        }
        assert!(matches!(unpack(&[&bundle[..], b"\0"].concat()), Err(InvalidArchive::TrailingBytes)));
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let bundle = packed();
        for position in 0..bundle.len() * 8 {
            let mut altered = bundle.clone();
            altered[position / 8] ^= 1 << (position % 8);
            assert!(unpack(&altered).is_err(), "bit {position}");
        }
    }

    #[test]
    fn members_that_do_not_belong_are_refused() {
        for paths in [
            ["../x", "store.toml"],
            ["policies/../../x.cedar", "store.toml"],
            ["policies/.x.cedar", "store.toml"],
            ["policies//x.cedar", "store.toml"],
            ["store.toml", "entities.json"],
            ["store.toml", "store.toml"],
        ] {
            let paths = outline::FILES.into_iter().chain(paths);
            let bundle =
                pack(MAX_BYTES, "x", &1.into(), paths.clone().map(|path| (path, b"".as_slice()))).unwrap();
            let error = unpack(&bundle).unwrap_err();
            let paths: Vec<&str> = paths.collect();
            assert!(matches!(error, InvalidArchive::Manifest(InvalidManifest::Members)), "{paths:?}");
        }
        for missing in outline::FILES {
            let paths = outline::FILES.into_iter().chain(["store.toml"]).filter(|path| *path != missing);
            let bundle = pack(MAX_BYTES, "x", &1.into(), paths.map(|path| (path, b"".as_slice()))).unwrap();
            let error = unpack(&bundle).unwrap_err();
            assert!(matches!(error, InvalidArchive::Manifest(InvalidManifest::Members)), "{missing}");
        }
    }

    #[test]
    fn another_format_version_is_named() {
        let mut bundle = packed();
        bundle[24] = 9;
        assert_eq!(
            unpack(&bundle).unwrap_err().to_string(),
            "the bundle has format version 9, this version reads 5"
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_refused_without_a_panic(tail in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(unpack(&tail).is_err());
            prop_assert!(unpack(&[MAGIC.as_slice(), &FORMAT_VERSION.to_le_bytes(), &tail].concat()).is_err());
        }
    }
}
