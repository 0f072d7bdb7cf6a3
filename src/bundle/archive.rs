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
//! Every byte is accounted for: a file that is longer, shorter or different anywhere is refused. Members are not
//! compressed, so that each can be read without the others, and none can grow.
//!
//! The manifest may get new optional members without a new format version. A reader refuses members that it does
//! not know, so an older function never mistakes a tenant's bundle for one that is for no tenant.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};

use super::files::StoreFiles;
use super::manifest::{InvalidManifest, Manifest, Member};
use super::signature::{InvalidSignatures, Signatures};

/// The content of an archive. It is not verified yet.
#[derive(Debug)]
pub(crate) struct Unpacked<'a> {
    pub(crate) manifest: Manifest,
    /// The text of the manifest, which the signatures sign.
    pub(crate) signed: &'a [u8],
    /// `None`: the archive is not signed.
    pub(crate) signatures: Option<Signatures>,
    pub(crate) members: Members<'a>,
}

/// The members of a bundle, by their paths.
#[derive(Debug)]
pub(crate) struct Members<'a>(BTreeMap<String, &'a [u8]>);

impl<'a> Members<'a> {
    /// The content of a member.
    pub(crate) fn get(&self, path: &str) -> Option<&'a [u8]> {
        self.0.get(path).copied()
    }

    /// The paths, in order.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// A copy of all members.
    pub(crate) fn to_files(&self) -> StoreFiles {
        let mut files = StoreFiles::default();
        for (path, content) in &self.0 {
            files.insert(path.clone(), content.to_vec());
        }
        files
    }
}

/// Opens an archive. Checks every byte of it against the hashes in the manifest.
///
/// # Errors
/// [`InvalidArchive`]: the first fault in the order of the file.
pub(crate) fn unpack(bytes: &[u8]) -> Result<Unpacked<'_>, InvalidArchive> {
    let (version, rest) = format_version(bytes)?;
    if version != FORMAT_VERSION {
        return Err(InvalidArchive::FormatVersion(version));
    }
    let Head { manifest, signatures, mut rest } = Head::read(rest)?;
    let signed = manifest.content()?.intact().ok_or(InvalidArchive::ManifestAltered)?;
    let signatures = signatures.content()?.intact().ok_or(InvalidArchive::SignaturesAltered)?;
    let signatures = match signatures {
        [] => None,
        signatures => Some(Signatures::parse(signatures)?),
    };
    let manifest = Manifest::parse(signed)?;

    let mut members = BTreeMap::new();
    for Member { path, size, sha256 } in &manifest.members {
        let size = usize::try_from(*size).map_err(|_| InvalidArchive::Truncated)?;
        let content = take(&mut rest, size).ok_or(InvalidArchive::Truncated)?;
        if sha256_hex(content) != *sha256 {
            return Err(InvalidArchive::MemberAltered(path.clone()));
        }
        members.insert(path.clone(), content);
    }
    if rest.is_empty() {
        Ok(Unpacked { manifest, signed, signatures, members: Members(members) })
    } else {
        Err(InvalidArchive::TrailingBytes)
    }
}

/// The format version of a file, and the bytes after it.
///
/// # Errors
/// [`InvalidArchive`], for a file that is not a bundle of any version.
pub(super) fn format_version(bytes: &[u8]) -> Result<(u32, &[u8]), InvalidArchive> {
    if bytes.len() > MAX_BYTES {
        return Err(InvalidArchive::TooLarge);
    }
    let mut rest = bytes;
    if take(&mut rest, MAGIC.len()) != Some(MAGIC.as_slice()) {
        return Err(InvalidArchive::NotABundle);
    }
    Ok((take_number(&mut rest)?, rest))
}

/// The head of an archive, after its version: manifest and signatures, and the bytes of the members.
pub(super) struct Head<'a> {
    pub(super) manifest: HeadSection<'a>,
    pub(super) signatures: HeadSection<'a>,
    pub(super) rest: &'a [u8],
}

/// A part of the head, and the hash of it that the file has.
pub(super) struct HeadSection<'a> {
    /// `None`: the file ends before this part ends.
    content: Option<&'a [u8]>,
    sha256: &'a [u8],
}

impl<'a> Head<'a> {
    /// Reads the head from the bytes after the format version.
    ///
    /// # Errors
    /// [`InvalidArchive::Truncated`], if some of the lengths and hashes are missing.
    pub(super) fn read(mut rest: &'a [u8]) -> Result<Self, InvalidArchive> {
        let (manifest_length, manifest_sha256) = section(&mut rest)?;
        let (signatures_length, signatures_sha256) = section(&mut rest)?;
        let mut content = |length: u32| {
            let content = take(&mut rest, length as usize);
            if content.is_none() {
                rest = &[];
            }
            content
        };
        let manifest = HeadSection { content: content(manifest_length), sha256: manifest_sha256 };
        let signatures = HeadSection { content: content(signatures_length), sha256: signatures_sha256 };
        Ok(Self { manifest, signatures, rest })
    }
}

impl<'a> HeadSection<'a> {
    /// The bytes in the file, whether or not they are those that were written.
    ///
    /// # Errors
    /// [`InvalidArchive::Truncated`].
    pub(super) fn content(&self) -> Result<SectionContent<'a>, InvalidArchive> {
        let bytes = self.content.ok_or(InvalidArchive::Truncated)?;
        Ok(SectionContent { bytes, is_intact: digest(&SHA256, bytes).as_ref() == self.sha256 })
    }
}

/// The bytes of a section.
#[derive(Clone, Copy)]
pub(super) struct SectionContent<'a> {
    pub(super) bytes: &'a [u8],
    /// Whether they match the hash in the file.
    pub(super) is_intact: bool,
}

impl<'a> SectionContent<'a> {
    fn intact(self) -> Option<&'a [u8]> {
        self.is_intact.then_some(self.bytes)
    }
}

/// The length and the hash of a section.
fn section<'a>(rest: &mut &'a [u8]) -> Result<(u32, &'a [u8]), InvalidArchive> {
    let length = take_number(rest)?;
    Ok((length, take(rest, SHA256.output_len()).ok_or(InvalidArchive::Truncated)?))
}

/// Why a file is not a complete and unaltered bundle.
#[derive(Debug, thiserror::Error)]
pub enum InvalidArchive {
    /// A format version that is too new or too old for this version.
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
    /// There are bytes after the last member.
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

fn take_number(rest: &mut &[u8]) -> Result<u32, InvalidArchive> {
    let bytes = take(rest, size_of::<u32>()).and_then(|bytes| bytes.try_into().ok());
    bytes.map(u32::from_le_bytes).ok_or(InvalidArchive::Truncated)
}

/// The SHA-256 of a member in the form of the manifest: lower-case hexadecimal digits.
pub(crate) fn sha256_hex(content: &[u8]) -> String {
    hex::encode(digest(&SHA256, content).as_ref())
}

pub(crate) const MAGIC: &[u8; 24] = b"cedar-authorizer bundle\n";
pub(crate) const FORMAT_VERSION: u32 = 5;

/// The largest bundle. A cold start has ten seconds, and S3 sends 85 to 90 megabytes a second over one connection
/// (Amazon S3 User Guide, "Performance guidelines"), so this size takes three of them. While the function
/// replaces a bundle, it holds two in memory.
pub const MAX_BYTES: usize = 256 * 1024 * 1024;
