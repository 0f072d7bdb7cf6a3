//! The file format of a bundle, version 6.
//!
//! ```text
//! bytes
//!    24   "cedar-authorizer bundle\n"
//!     4   format version, little-endian
//!     -   chunks of the map and of the sources, in any order; see `layout.rs`
//!         the head:
//!  4+32   length M of the manifest, little-endian, and its SHA-256
//!  4+32   length S of the signatures, and their SHA-256; S = 0: the bundle is not signed
//!  4+32   length L of the layout, and its SHA-256
//!     M   the manifest, JSON: name, tenant, revision, and path, size and SHA-256 of each member
//!     S   the signatures of the manifest, JSON; see `signature.rs`
//!     L   the layout: where the chunks are
//!     -   the members, one after the other, as the manifest lists them
//!         the end:
//!     4   length of the head, little-endian
//!     4   format version
//!    24   "cedar-authorizer bundle\n"
//! ```
//!
//! The head is all that the function reads before the first call, so it stands at the end: one request for the last
//! bytes of an object gives all of it, or all of a small bundle. The members of the head have the hashes of all chunks,
//! and the manifest has those of the members. The layout is not signed. It says where chunks are, not what they are.
//!
//! Every byte is accounted for: a file that is longer, shorter or different anywhere is refused, at the latest when the
//! different bytes are read. Nothing is compressed, so that each chunk can be read without the others, and none can
//! grow.
//!
//! The manifest may get new optional members without a new format version. A reader refuses members that it does
//! not know, so an older function never mistakes a tenant's bundle for one that is for no tenant.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};

use super::layout::Layout;
use super::manifest::{InvalidManifest, Manifest, Member};
use super::signature::{InvalidSignatures, Signatures};

/// The head of a bundle. Its signatures are not verified yet.
#[derive(Debug)]
pub(crate) struct Unpacked<'a> {
    pub(crate) manifest: Manifest,
    /// The text of the manifest, which the signatures sign.
    pub(crate) signed: &'a [u8],
    /// `None`: the bundle is not signed.
    pub(crate) signatures: Option<Signatures>,
    /// The text of the signatures; empty if there are none.
    #[cfg(feature = "authoring")]
    pub(crate) envelope: &'a [u8],
    pub(crate) layout: Layout,
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

    /// All paths and contents, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &'a [u8])> {
        self.0.iter().map(|(path, content)| (path.as_str(), *content))
    }
}

/// The last bytes of a file, with the whole head in them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FileEnd<'a> {
    pub(crate) head: &'a [u8],
    /// Where the head begins in the file, and so where the chunks end.
    pub(crate) head_start: u64,
}

impl<'a> FileEnd<'a> {
    /// Finds the head in the last bytes of a file that has `total` bytes.
    ///
    /// # Errors
    /// [`InvalidArchive`]; [`InvalidArchive::Truncated`] also if these bytes do not have all of the
    /// [end](end_length).
    pub(crate) fn find(bytes: &'a [u8], total: u64) -> Result<Self, InvalidArchive> {
        if total > MAX_BYTES as u64 {
            return Err(InvalidArchive::TooLarge);
        }
        if bytes.len() as u64 == total {
            let version = format_version(bytes)?;
            if version != FORMAT_VERSION {
                return Err(InvalidArchive::FormatVersion(version));
            }
        }
        let end = end_length(bytes)?;
        let head_start = total.checked_sub(end).filter(|start| *start >= START_BYTES as u64);
        let head_start = head_start.ok_or(InvalidArchive::Truncated)?;
        let head = usize::try_from(end).ok().and_then(|end| bytes.len().checked_sub(end));
        let head = head.and_then(|start| bytes.get(start..bytes.len().checked_sub(END_BYTES)?));
        Ok(Self { head: head.ok_or(InvalidArchive::Truncated)?, head_start })
    }
}

/// How many bytes of a file have to be known to open it, given by its last bytes: head and end.
///
/// # Errors
/// [`InvalidArchive`]
pub(crate) fn end_length(bytes: &[u8]) -> Result<u64, InvalidArchive> {
    let end = bytes.last_chunk::<END_BYTES>().ok_or(InvalidArchive::Truncated)?;
    let mut rest = end.as_slice();
    let (length, version) = (take_number(&mut rest)?, take_number(&mut rest)?);
    if rest != MAGIC {
        return Err(InvalidArchive::Truncated);
    }
    if version != FORMAT_VERSION {
        return Err(InvalidArchive::FormatVersion(version));
    }
    Ok(u64::from(length).saturating_add(END_BYTES as u64))
}

/// Reads a head. Checks every byte of it against the hashes in it.
///
/// # Errors
/// [`InvalidArchive`]: the first fault in the order of the head.
pub(crate) fn unpack(head: &[u8]) -> Result<Unpacked<'_>, InvalidArchive> {
    let Head { manifest, signatures, layout, mut rest } = Head::read(head)?;
    let signed = manifest.content()?.intact().ok_or(InvalidArchive::ManifestAltered)?;
    let envelope = signatures.content()?.intact().ok_or(InvalidArchive::SignaturesAltered)?;
    let signatures = match envelope {
        [] => None,
        signatures => Some(Signatures::parse(signatures)?),
    };
    let layout = layout.content()?.intact().and_then(Layout::parse).ok_or(InvalidArchive::LayoutAltered)?;
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
        Ok(Unpacked {
            #[cfg(feature = "authoring")]
            envelope,
            manifest,
            signed,
            signatures,
            layout,
            members: Members(members),
        })
    } else {
        Err(InvalidArchive::TrailingBytes)
    }
}

/// The format version of a file, by its first bytes.
///
/// # Errors
/// [`InvalidArchive`], for a file that is not a bundle of any version.
pub(super) fn format_version(bytes: &[u8]) -> Result<u32, InvalidArchive> {
    let mut rest = bytes;
    if take(&mut rest, MAGIC.len()) != Some(MAGIC.as_slice()) {
        return Err(InvalidArchive::NotABundle);
    }
    take_number(&mut rest)
}

/// The sections of a head, and the bytes of the members.
pub(super) struct Head<'a> {
    pub(super) manifest: HeadSection<'a>,
    pub(super) signatures: HeadSection<'a>,
    pub(super) layout: HeadSection<'a>,
    pub(super) rest: &'a [u8],
}

/// A part of the head, and the hash of it that the file has.
pub(super) struct HeadSection<'a> {
    /// `None`: the file ends before this part ends.
    content: Option<&'a [u8]>,
    sha256: &'a [u8],
}

impl<'a> Head<'a> {
    /// Reads the sections.
    ///
    /// # Errors
    /// [`InvalidArchive::Truncated`], if some of the lengths and hashes are missing.
    pub(super) fn read(mut rest: &'a [u8]) -> Result<Self, InvalidArchive> {
        let (manifest_length, manifest_sha256) = section(&mut rest)?;
        let (signatures_length, signatures_sha256) = section(&mut rest)?;
        let (layout_length, layout_sha256) = section(&mut rest)?;
        let mut content = |length: u32| {
            let content = take(&mut rest, length as usize);
            if content.is_none() {
                rest = &[];
            }
            content
        };
        let manifest = HeadSection { content: content(manifest_length), sha256: manifest_sha256 };
        let signatures = HeadSection { content: content(signatures_length), sha256: signatures_sha256 };
        let layout = HeadSection { content: content(layout_length), sha256: layout_sha256 };
        Ok(Self { manifest, signatures, layout, rest })
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
    pub(super) fn intact(self) -> Option<&'a [u8]> {
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
    /// A chunk is not the one that was built. Of the map it is `compiled/map`, of a source its path.
    #[error("`{0}` in the bundle was altered")]
    ChunkAltered(String),
    /// A format version that is too new or too old for this version.
    #[error("the bundle has format version {0}, this version reads {FORMAT_VERSION}")]
    FormatVersion(u32),
    /// The layout is not the one that was written, or leaves bytes of the file out.
    #[error("the layout of the bundle was altered")]
    LayoutAltered,
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
    /// The table of sources is not as a build writes it.
    #[error("the sources in the bundle are not listed as they should be")]
    Sources,
    /// Larger than is accepted.
    #[error("the bundle is larger than {MAX_BYTES} bytes")]
    TooLarge,
    /// There are bytes after the last member.
    #[error("the bundle goes on behind its last member")]
    TrailingBytes,
    /// The end is missing, or is not where it should be.
    #[error("the bundle is truncated, or goes on behind its end")]
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
pub(crate) const FORMAT_VERSION: u32 = 6;

/// Of the start of a file, before the first chunk.
pub(crate) const START_BYTES: usize = 28;

/// Of the end of a file, behind the head.
pub(crate) const END_BYTES: usize = 32;

/// The largest bundle. A million policies take some hundred megabytes with their sources. The command line holds a bundle
/// in memory; the function reads a large one in parts.
pub const MAX_BYTES: usize = 512 * 1024 * 1024;
