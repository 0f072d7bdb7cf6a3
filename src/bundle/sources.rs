//! The sources of a bundle: the files of the policy store that it was built from. Nothing needs them for a decision, so the
//! function never reads them; `inspect`, `diff` and a rollback do.
//!
//! The member `compiled/sources.table` is a [table](super::table) with the path of each file as key. The value is the
//! SHA-256 of the file, and then hash and length of each of its chunks, one after the other. Files with identity sources
//! and their keys are not there: they are members of the head, where the function reads them.

use super::archive::InvalidArchive;
use super::chunks::{ChunkId, ID_BYTES};
use super::files::{IDENTITY_SOURCE_FOLDER, KEY_FOLDER, StoreFiles, is_in};
use super::manifest::Member;
use super::table::Table;

/// A file of the sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SourceFile {
    pub(crate) path: String,
    pub(crate) sha256: [u8; 32],
    pub(crate) chunks: Vec<ChunkId>,
}

impl SourceFile {
    /// The length in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.chunks.iter().map(|chunk| u64::from(chunk.size)).sum()
    }

    /// Path, length and hash.
    pub(super) fn to_member(&self) -> Member {
        Member { path: self.path.clone(), size: self.size(), sha256: hex::encode(self.sha256) }
    }

    /// The value in the table.
    #[cfg(feature = "authoring")]
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.sha256.to_vec();
        self.chunks.iter().for_each(|chunk| bytes.extend(chunk.to_bytes()));
        bytes
    }

    fn read(path: &[u8], value: &[u8]) -> Option<Self> {
        let path = str::from_utf8(path).ok().filter(|path| is_apart(path))?.to_owned();
        let (sha256, chunks) = value.split_first_chunk::<32>()?;
        let (chunks, odd) = chunks.as_chunks::<ID_BYTES>();
        let chunks = chunks.iter().map(ChunkId::from_bytes).collect::<Option<_>>()?;
        odd.is_empty().then_some(Self { path, sha256: *sha256, chunks })
    }
}

/// Reads the table of sources.
///
/// # Errors
/// [`InvalidArchive::Sources`]: not as one is written, or with a path that does not belong there.
pub(crate) fn listed(table: &Table) -> Result<Vec<SourceFile>, InvalidArchive> {
    let files: Option<Vec<SourceFile>> =
        table.rows().map(|(path, value)| SourceFile::read(path, value)).collect();
    files.ok_or(InvalidArchive::Sources)
}

/// Whether a file of a policy store is apart from the head of a bundle. If not, the function needs it.
pub(crate) fn is_apart(path: &str) -> bool {
    let is_needed = is_in(path, IDENTITY_SOURCE_FOLDER, ".json") || is_in(path, KEY_FOLDER, ".json");
    StoreFiles::is_known(path) && !is_needed
}
