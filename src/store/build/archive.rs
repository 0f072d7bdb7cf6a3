//! Writes the archive: the format is in the room `bundle`, in `archive.rs`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_lc_rs::digest::{SHA256, digest};
use cedar_policy::get_lang_version;

use super::chunks::WrittenChunk;
use super::signing::sign;
use super::{CannotBuild, Edition};
use crate::bundle::archive::{FORMAT_VERSION, MAGIC, sha256_hex};
use crate::bundle::chunks::ChunkId;
use crate::bundle::layout::Layout;
use crate::bundle::signature::MAX_BYTES as MAX_SIGNATURES_BYTES;
use crate::bundle::{InvalidArchive, InvalidManifest, Manifest, Member};
use crate::time::UnixTime;

/// What a bundle is made of.
pub(super) struct Content<'a> {
    /// The members of the head, by their paths.
    pub(super) members: BTreeMap<&'a str, &'a [u8]>,
    /// The chunks of the map, in the order of its index.
    pub(super) map: &'a [WrittenChunk],
    /// Those of them that are best read together with the head, by their positions.
    pub(super) early: BTreeSet<usize>,
    /// The chunks of the sources, in the order of their table.
    pub(super) sources: &'a [(ChunkId, &'a [u8])],
}

/// Writes a bundle.
///
/// # Errors
/// [`CannotBuild`].
pub(super) fn pack(
    max_bytes: usize,
    name: &str,
    edition: &Edition<'_>,
    content: &Content<'_>,
) -> Result<Vec<u8>, CannotBuild> {
    let Content { members, map, early, sources } = content;
    let version = FORMAT_VERSION.to_le_bytes();
    let mut file = Placing { file: [MAGIC.as_slice(), &version].concat(), known: HashMap::new() };
    // What is read first stands next to the head, and what is never read stands far from it.
    let of_sources: Vec<u64> = sources.iter().map(|(id, content)| file.place(*id, content)).collect();
    let mut of_map = vec![0; map.len()];
    for is_early in [false, true] {
        for (number, (chunk, start)) in map.iter().zip(&mut of_map).enumerate() {
            if early.contains(&number) == is_early {
                *start = file.place(chunk.id, &chunk.bytes);
            }
        }
    }
    let layout = Layout { starts: [of_map, of_sources].concat(), unused: Vec::new() };
    let mut file = file.file;

    let member = |(path, content): (&&str, &&[u8])| Member {
        path: (*path).to_owned(),
        size: content.len() as u64,
        sha256: sha256_hex(content),
    };
    let manifest = manifest(name, edition, members.iter().map(member).collect());
    manifest.check_revision()?;
    let manifest = serde_json::to_vec(&manifest).map_err(InvalidManifest::Json)?;
    let signatures = match edition.signing_keys {
        [] => String::new(),
        keys => sign(&manifest, keys)?.to_json(),
    };
    let members: Vec<&[u8]> = members.values().copied().collect();
    file.extend(end(&manifest, signatures.as_bytes(), &layout, &members)?);
    // Counts as many signatures as there may be, so that the limit does not depend on who signs.
    if file.len() - signatures.len() + MAX_SIGNATURES_BYTES > max_bytes {
        return Err(InvalidArchive::TooLarge.into());
    }
    Ok(file)
}

/// The head and the end of a bundle.
///
/// # Errors
/// [`InvalidArchive::TooLarge`].
pub(super) fn end(
    manifest: &[u8],
    signatures: &[u8],
    layout: &Layout,
    members: &[&[u8]],
) -> Result<Vec<u8>, InvalidArchive> {
    let layout = layout.to_bytes().ok_or(InvalidArchive::TooLarge)?;
    let length = |length: usize| u32::try_from(length).map_err(|_| InvalidArchive::TooLarge);
    let mut head = Vec::new();
    for section in [manifest, signatures, &layout] {
        head.extend(length(section.len())?.to_le_bytes());
        head.extend_from_slice(digest(&SHA256, section).as_ref());
    }
    for part in [manifest, signatures, &layout].iter().chain(members) {
        head.extend_from_slice(part);
    }
    let length = length(head.len())?.to_le_bytes();
    head.extend(length);
    head.extend(FORMAT_VERSION.to_le_bytes());
    head.extend_from_slice(MAGIC);
    Ok(head)
}

/// A file that grows by chunks.
struct Placing {
    file: Vec<u8>,
    /// Where each chunk begins.
    known: HashMap<ChunkId, u64>,
}

impl Placing {
    /// Where a chunk begins. It is appended unless it is there.
    fn place(&mut self, id: ChunkId, content: &[u8]) -> u64 {
        let next = self.file.len() as u64;
        let file = &mut self.file;
        *self.known.entry(id).or_insert_with(|| {
            file.extend_from_slice(content);
            next
        })
    }
}

fn manifest(name: &str, edition: &Edition<'_>, members: Vec<Member>) -> Manifest {
    Manifest {
        name: name.to_owned(),
        tenant: edition.tenant.cloned(),
        revision: edition.revision,
        format_version: FORMAT_VERSION,
        created: edition.created.map(UnixTime::as_seconds),
        not_after: edition.not_after.map(UnixTime::as_seconds),
        cedar_version: get_lang_version().to_string(),
        members,
    }
}

#[cfg(test)]
mod tests;
