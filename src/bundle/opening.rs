//! What a bundle is opened from: its whole file, or the end of it and a way to the rest.

use std::fmt;
use std::fs::File;
use std::ops::Range;

use bytes::Bytes;

use super::archive::{FileEnd, InvalidArchive, START_BYTES, Unpacked, unpack};
use super::chunks::{ChunkCache, ChunkId, ChunkMap, Origin, PlacedChunk, chunk_cache, listed};
use super::layout::slice;
use super::outline::{MAP, SOURCES};
use super::sources::{self, SourceFile};
use super::table::Table;
use super::{InvalidBundle, StoreFiles};
use crate::bundle::archive::sha256_hex;

/// A bundle that is about to be opened.
///
/// The bytes of a whole file become one by `into`.
pub struct Opening {
    end: Bytes,
    total: u64,
    rest: Rest,
    cache: ChunkCache,
}

/// Where the rest of the file is.
enum Rest {
    /// There is none.
    Here,
    File(File),
    Away,
}

impl From<Bytes> for Opening {
    fn from(end: Bytes) -> Self {
        let total = end.len() as u64;
        Self { cache: chunk_cache(total.saturating_mul(2)), end, total, rest: Rest::Here }
    }
}

impl From<Vec<u8>> for Opening {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl Opening {
    /// A file of `total` bytes, of which the last ones were read. They must have all of the
    /// [end](super::archive::end_length).
    pub(crate) fn file(file: File, end: Bytes, total: u64, cache: ChunkCache) -> Self {
        Self { end, total, rest: Rest::File(file), cache }
    }

    /// An object of `total` bytes, of which the last ones were read. Its chunks are fetched when a call asks for them.
    #[cfg_attr(
        not(feature = "function"),
        expect(dead_code, reason = "only the function reads a bundle in parts")
    )]
    pub(crate) fn away(end: Bytes, total: u64, cache: ChunkCache) -> Self {
        Self { end, total, rest: Rest::Away, cache }
    }

    /// Reads the head.
    pub(super) fn read(&self) -> Result<Read<'_>, InvalidBundle> {
        Read::of(&self.end, self.total)
    }

    /// Whether all bytes of the file are here.
    pub(crate) fn is_whole(&self) -> bool {
        self.end.len() as u64 == self.total
    }

    /// The map of the bundle.
    pub(super) fn into_map(self, index: Table, chunks: Vec<PlacedChunk>) -> ChunkMap {
        let start = self.total.saturating_sub(self.end.len() as u64);
        let origin = match self.rest {
            Rest::File(file) if start > 0 => Origin::file(chunks, file, self.cache),
            Rest::Away if start > 0 => {
                let origin = Origin::away(chunks, self.cache);
                origin.supply_those_in(&self.end, start);
                origin
            }
            Rest::Here | Rest::File(_) | Rest::Away => Origin::memory(chunks, self.end, self.cache),
        };
        ChunkMap::new(index, origin)
    }

    /// All bytes that are here.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.end
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opening({} of {} bytes)", self.end.len(), self.total)
    }
}

/// The head of a bundle, and where its chunks are.
pub(crate) struct Read<'a> {
    pub(crate) unpacked: Unpacked<'a>,
    pub(crate) index: Table,
    pub(super) sources: Vec<SourceFile>,
    pub(crate) chunks: Placed,
    pub(crate) head_start: u64,
}

/// Where the chunks of a bundle are.
pub(crate) struct Placed {
    /// Those of the map, in the order of its index.
    pub(crate) map: Vec<PlacedChunk>,
    /// Those of the sources, in the order of the files.
    pub(crate) sources: Vec<PlacedChunk>,
}

impl Placed {
    pub(super) fn find(
        unpacked: &Unpacked<'_>,
        map: &[ChunkId],
        sources: &[SourceFile],
        head_start: u64,
    ) -> Result<Self, InvalidArchive> {
        let of_sources = sources.iter().flat_map(|file| file.chunks.iter().copied());
        let all: Vec<ChunkId> = map.iter().copied().chain(of_sources).collect();
        let mut map_chunks = unpacked.layout.place(all.into_iter(), &chunk_range(head_start))?;
        let sources = map_chunks.split_off(map.len());
        Ok(Self { map: map_chunks, sources })
    }
}

impl<'a> Read<'a> {
    /// Reads the head in the last bytes of a file that has `total` bytes.
    ///
    /// # Errors
    /// [`InvalidBundle`].
    pub(crate) fn of(end: &'a [u8], total: u64) -> Result<Self, InvalidBundle> {
        let FileEnd { head, head_start } = FileEnd::find(end, total)?;
        let unpacked = unpack(head)?;
        // A copy, so that the other bytes need not stay.
        let table = |path| {
            let content = unpacked.members.get(path).ok_or(InvalidBundle::Compiled)?;
            Ok::<_, InvalidBundle>(Table::open(Bytes::copy_from_slice(content))?)
        };
        let (index, sources) = (table(MAP)?, sources::listed(&table(SOURCES)?)?);
        let chunks = Placed::find(&unpacked, &listed(&index)?, &sources, head_start)?;
        Ok(Read { unpacked, index, sources, chunks, head_start })
    }

    /// Checks every byte of the file that is not in the head. `bytes` are all of the file.
    ///
    /// # Errors
    /// [`InvalidArchive`].
    pub(super) fn check_all(&self, bytes: &[u8]) -> Result<(), InvalidArchive> {
        let Placed { map, sources } = &self.chunks;
        if map.iter().any(|placed| !is_whole(placed, bytes)) {
            return Err(InvalidArchive::ChunkAltered(MAP_CHUNKS.to_owned()));
        }
        let mut of_files = sources.iter();
        for file in &self.sources {
            if of_files.by_ref().take(file.chunks.len()).any(|placed| !is_whole(placed, bytes)) {
                return Err(InvalidArchive::ChunkAltered(file.path.clone()));
            }
        }
        let all = [map.as_slice(), sources].concat();
        self.unpacked.layout.check(&all, &chunk_range(self.head_start), bytes)
    }

    /// All members and sources. `bytes` are all of the file.
    ///
    /// # Errors
    /// [`InvalidArchive`].
    pub(super) fn files(&self, bytes: &[u8]) -> Result<StoreFiles, InvalidArchive> {
        let mut files = StoreFiles::default();
        for (path, content) in self.unpacked.members.iter() {
            files.insert(path.to_owned(), content.to_vec());
        }
        let mut placed = self.chunks.sources.iter();
        for SourceFile { path, sha256, chunks } in &self.sources {
            let altered = || InvalidArchive::ChunkAltered(path.clone());
            let mut content = Vec::new();
            for placed in placed.by_ref().take(chunks.len()) {
                content.extend_from_slice(slice(bytes, &placed.range).ok_or_else(altered)?);
            }
            if sha256_hex(&content) != hex::encode(sha256) {
                return Err(altered());
            }
            files.insert(path.clone(), content);
        }
        Ok(files)
    }
}

/// Where chunks may be in a file.
pub(super) fn chunk_range(head_start: u64) -> Range<u64> {
    START_BYTES as u64..head_start
}

/// Whether a chunk is in these bytes of the whole file as it was built.
pub(crate) fn is_whole(placed: &PlacedChunk, bytes: &[u8]) -> bool {
    slice(bytes, &placed.range).is_some_and(|content| placed.id.is_of(content))
}

/// What the chunks of the map are called in messages.
pub(super) const MAP_CHUNKS: &str = "compiled/map";
