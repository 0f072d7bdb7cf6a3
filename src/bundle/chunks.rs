//! The map of a bundle: entities, policies and templates by their keys, in chunks of about 50 kilobytes.
//!
//! A call touches a handful of keys, so of a large bundle only the chunks with these keys are read. The index has the
//! first key, the length and the SHA-256 of each chunk, and the manifest, which is signed, has the SHA-256 of the index.
//! A chunk is compared with its hash when it is read, so nobody can change what a call reads.
//!
//! The index is a [table](super::table): as keys, texts that divide the keys of the map (the first is empty), and as
//! values 32 bytes of SHA-256 and four of length, little-endian. A chunk is
//!
//! ```text
//! offset    bytes
//!      0        4   length P of the table of parts, little-endian
//!      4        P   table of parts: texts that several policies of the chunk have in common, without values
//!    4+P        -   table of rows: keys and values of the map
//! ```
//!
//! [`key`] says what the keys are. Where one chunk ends and the next begins follows from the keys and the sizes of the
//! rows alone, so most chunks of two revisions are the same.

pub(crate) mod key;
mod origin;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;

use super::table::{Table, Unreadable};
pub(crate) use origin::{ChunkCache, Holding, Origin, chunk_cache};

/// Length and hash of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ChunkId {
    pub(crate) sha256: [u8; 32],
    pub(crate) size: u32,
}

/// A chunk and where it is in the file of the bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlacedChunk {
    pub(crate) id: ChunkId,
    pub(crate) range: Range<u64>,
}

/// The map.
#[derive(Clone)]
pub(crate) struct ChunkMap {
    index: Table,
    origin: Arc<Origin>,
}

/// A chunk that was read and compared with its hash.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    pub(crate) parts: Table,
    pub(crate) rows: Table,
}

/// What the map has under a key.
#[derive(Clone, Debug)]
pub(crate) struct MapValue {
    /// It shares the memory of its chunk.
    pub(crate) bytes: Bytes,
    /// The parts of the chunk, for which numbers stand.
    pub(crate) parts: Table,
}

impl ChunkId {
    /// The id of these bytes. `None`: there are too many of them.
    #[cfg(feature = "authoring")]
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        let sha256 = digest(&SHA256, bytes).as_ref().try_into().ok()?;
        Some(Self { sha256, size: u32::try_from(bytes.len()).ok()? })
    }

    /// The form in an index.
    #[cfg(feature = "authoring")]
    pub(crate) fn to_bytes(self) -> [u8; ID_BYTES] {
        let mut bytes = [0; ID_BYTES];
        let (sha256, size) = bytes.split_at_mut(self.sha256.len());
        sha256.copy_from_slice(&self.sha256);
        size.copy_from_slice(&self.size.to_le_bytes());
        bytes
    }

    /// Reads the form in an index.
    pub(crate) fn from_bytes(bytes: &[u8; ID_BYTES]) -> Option<Self> {
        let (sha256, size) = bytes.split_first_chunk::<32>()?;
        Some(Self { sha256: *sha256, size: u32::from_le_bytes(size.try_into().ok()?) })
    }

    /// Whether these bytes are the chunk.
    pub(crate) fn is_of(&self, bytes: &[u8]) -> bool {
        bytes.len() == self.size as usize && digest(&SHA256, bytes).as_ref() == self.sha256
    }
}

/// The chunks that an index lists, in order.
///
/// # Errors
/// [`Unreadable::Malformed`].
pub(crate) fn listed(index: &Table) -> Result<Vec<ChunkId>, Unreadable> {
    let read = |(_, value): (&[u8], &[u8])| ChunkId::from_bytes(value.try_into().ok()?);
    let ids: Option<Vec<ChunkId>> = index.rows().map(read).collect();
    let begins_empty = index.row(0).is_none_or(|(first, _)| first.is_empty());
    ids.filter(|_| begins_empty).ok_or(Unreadable::Malformed)
}

impl Chunk {
    /// Reads a chunk whose hash was checked.
    ///
    /// # Errors
    /// [`Unreadable::Malformed`].
    pub(crate) fn open(bytes: &Bytes) -> Result<Self, Unreadable> {
        let (length, rest) = bytes.split_first_chunk::<4>().ok_or(Unreadable::Malformed)?;
        let (parts, rows) =
            rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or(Unreadable::Malformed)?;
        Ok(Self { parts: Table::open(bytes.slice_ref(parts))?, rows: Table::open(bytes.slice_ref(rows))? })
    }

    /// The value of a key.
    fn get(&self, key: &[u8]) -> Option<MapValue> {
        Some(MapValue { bytes: self.rows.get_shared(key)?, parts: self.parts.clone() })
    }

    /// All keys with their values, in order.
    pub(crate) fn values(&self) -> impl Iterator<Item = (&[u8], MapValue)> {
        self.rows.shared_rows().map(|(key, bytes)| (key, MapValue { bytes, parts: self.parts.clone() }))
    }
}

impl ChunkMap {
    /// A map with this index. `origin` must have as many chunks as the index, in its order.
    pub(crate) fn new(index: Table, origin: Arc<Origin>) -> Self {
        Self { index, origin }
    }

    /// What is under a key. `None`: the bundle has nothing there.
    ///
    /// # Errors
    /// [`Unreadable::Away`]: the chunk is asked for, and can be [supplied](Origin::supply) before the next attempt.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<MapValue>, Unreadable> {
        match self.index.floor(key) {
            Some(number) => Ok(self.origin.chunk(number)?.get(key)),
            None => Ok(None),
        }
    }

    /// Asks for the chunk of a key, if it is not here.
    pub(crate) fn ask_for(&self, key: &[u8]) {
        if let Some(number) = self.index.floor(key) {
            self.origin.ask_for(number);
        }
    }

    /// All chunks, in order.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = Result<Arc<Chunk>, Unreadable>> {
        (0..self.index.len()).map(|number| self.origin.chunk(number))
    }

    /// The chunks that can be read without waiting, in order. Those of a file are read when they are taken.
    pub(crate) fn chunks_here(&self) -> impl Iterator<Item = Arc<Chunk>> {
        (0..self.index.len()).filter_map(|number| self.origin.chunk_here(number))
    }

    /// Where the chunks come from.
    pub(crate) fn origin(&self) -> &Arc<Origin> {
        &self.origin
    }
}

impl fmt::Debug for ChunkMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChunkMap({} chunks)", self.index.len())
    }
}

/// Of SHA-256 and length.
pub(crate) const ID_BYTES: usize = 36;
