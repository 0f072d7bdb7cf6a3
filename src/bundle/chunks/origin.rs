//! Where the chunks of a map come from: memory, a file, or a place that takes time.
//!
//! Decisions never wait. If a chunk is in S3, and not in the cache, reading it fails with [`Unreadable::Away`], and it is
//! noted that it was asked for. Whoever wants the decision then fetches what was asked for, and decides again.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::{Chunk, ChunkId, PlacedChunk, Unreadable};
use crate::cache::{lock, weighted};

/// The chunks that were read last, by their ids. Those of several revisions can share it, since most chunks of two
/// revisions are the same.
pub(crate) type ChunkCache = Arc<Cache<ChunkId, Arc<Chunk>, ByBytes>>;

/// A cache for chunks with this many bytes.
pub(crate) fn chunk_cache(bytes: u64) -> ChunkCache {
    Arc::new(weighted(bytes, usize::try_from(bytes / TYPICAL).unwrap_or(usize::MAX).max(16), ByBytes))
}

/// Weighs chunks by their bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ByBytes;

impl Weighter<ChunkId, Arc<Chunk>> for ByBytes {
    fn weight(&self, id: &ChunkId, _: &Arc<Chunk>) -> u64 {
        u64::from(id.size).saturating_add(OVERHEAD)
    }
}

/// The chunks of a bundle, by their numbers.
pub(crate) struct Origin {
    chunks: Vec<PlacedChunk>,
    from: From,
    cache: ChunkCache,
    away: AwayChunks,
}

enum From {
    /// All bytes of the file.
    Memory(Bytes),
    File(Mutex<File>),
    Away,
}

impl Origin {
    /// The chunks of a file whose bytes are all here.
    pub(crate) fn memory(chunks: Vec<PlacedChunk>, bytes: Bytes, cache: ChunkCache) -> Arc<Self> {
        Self::new(chunks, From::Memory(bytes), cache)
    }

    /// The chunks of a file. It may be replaced by another one while it is open.
    pub(crate) fn file(chunks: Vec<PlacedChunk>, file: File, cache: ChunkCache) -> Arc<Self> {
        Self::new(chunks, From::File(Mutex::new(file)), cache)
    }

    /// Chunks that are elsewhere, unless the cache has them.
    pub(crate) fn away(chunks: Vec<PlacedChunk>, cache: ChunkCache) -> Arc<Self> {
        Self::new(chunks, From::Away, cache)
    }

    fn new(chunks: Vec<PlacedChunk>, from: From, cache: ChunkCache) -> Arc<Self> {
        Arc::new(Self { chunks, from, cache, away: AwayChunks::default() })
    }

    /// A chunk.
    ///
    /// # Errors
    /// [`Unreadable`]. If it is away, it counts as asked for.
    pub(super) fn chunk(&self, number: usize) -> Result<Arc<Chunk>, Unreadable> {
        let placed = self.chunks.get(number).ok_or(Unreadable::Malformed)?;
        if let Some(known) = self.known(placed.id) {
            return Ok(known);
        }
        let bytes = match &self.from {
            From::Memory(bytes) => in_memory(bytes, &placed.range).ok_or(Unreadable::Malformed)?,
            From::File(file) => in_file(file, placed).map_err(|_| Unreadable::Malformed)?,
            From::Away => {
                lock(&self.away.wanted).insert(number);
                return Err(Unreadable::Away);
            }
        };
        if !placed.id.is_of(&bytes) {
            return Err(Unreadable::Malformed);
        }
        let chunk = Arc::new(Chunk::open(&bytes)?);
        self.cache.insert(placed.id, Arc::clone(&chunk));
        Ok(chunk)
    }

    /// A chunk that can be read without waiting. It does not count as asked for.
    pub(super) fn chunk_here(&self, number: usize) -> Option<Arc<Chunk>> {
        match self.from {
            From::Memory(_) | From::File(_) => self.chunk(number).ok(),
            From::Away => self.known(self.chunks.get(number)?.id),
        }
    }

    /// Asks for a chunk, if it is away.
    pub(super) fn ask_for(&self, number: usize) {
        if let (From::Away, Some(placed)) = (&self.from, self.chunks.get(number))
            && self.known(placed.id).is_none()
        {
            lock(&self.away.wanted).insert(number);
        }
    }

    fn known(&self, id: ChunkId) -> Option<Arc<Chunk>> {
        self.cache.get(&id).or_else(|| lock(&self.away.held).get(&id).cloned())
    }

    /// The chunks that were asked for and are not here.
    pub(crate) fn wanted(&self) -> Vec<PlacedChunk> {
        let mut wanted = lock(&self.away.wanted);
        wanted
            .retain(|number| self.chunks.get(*number).is_some_and(|placed| self.known(placed.id).is_none()));
        wanted.iter().filter_map(|number| self.chunks.get(*number).cloned()).collect()
    }

    /// Takes the bytes of a chunk that was away.
    ///
    /// # Errors
    /// [`Unreadable::Malformed`]: they are not those of the chunk. Nothing has changed.
    pub(crate) fn supply(&self, id: ChunkId, bytes: &Bytes) -> Result<(), Unreadable> {
        if !id.is_of(bytes) {
            return Err(Unreadable::Malformed);
        }
        let chunk = Arc::new(Chunk::open(bytes)?);
        if self.away.calls.load(Ordering::Relaxed) > 0 {
            lock(&self.away.held).insert(id, Arc::clone(&chunk));
        }
        self.cache.insert(id, chunk);
        Ok(())
    }

    /// Takes the chunks that lie within these bytes of the file, which begin at `start`. Chunks whose hashes are wrong
    /// are left out: they count when they are asked for.
    pub(crate) fn supply_those_in(&self, bytes: &Bytes, start: u64) {
        for placed in &self.chunks {
            let begin = placed.range.start.checked_sub(start).and_then(|begin| usize::try_from(begin).ok());
            let end = begin.and_then(|begin| begin.checked_add(placed.id.size as usize));
            if let (Some(begin), Some(end)) = (begin, end)
                && let Some(chunk) = bytes.get(begin..end)
            {
                // The rest of these bytes need not stay.
                let _ = self.supply(placed.id, &Bytes::copy_from_slice(chunk));
            }
        }
    }

    /// Keeps every chunk that is supplied from now on, however small the cache is, until the last holding ends. So a
    /// call gets to its end that needs more chunks than the cache has room for. With the first one, what was asked for
    /// before is forgotten.
    pub(crate) fn hold(self: &Arc<Self>) -> Holding {
        if self.away.calls.fetch_add(1, Ordering::Relaxed) == 0 {
            lock(&self.away.wanted).clear();
        }
        Holding(Arc::clone(self))
    }

    /// Whether chunks may be away.
    pub(crate) fn may_be_away(&self) -> bool {
        matches!(self.from, From::Away)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = match &self.from {
            From::Memory(_) => "memory",
            From::File(_) => "file",
            From::Away => "elsewhere",
        };
        write!(f, "Origin({} chunks, {from})", self.chunks.len())
    }
}

/// What is known of chunks that are elsewhere.
#[derive(Debug, Default)]
pub(crate) struct AwayChunks {
    /// Those that were asked for, by their numbers.
    wanted: Mutex<BTreeSet<usize>>,
    /// Those that calls need which are under way.
    held: Mutex<HashMap<ChunkId, Arc<Chunk>>>,
    /// How many such calls there are.
    calls: AtomicUsize,
}

/// As long as there is one, supplied chunks stay; see [`Origin::hold`].
#[derive(Debug)]
pub(crate) struct Holding(Arc<Origin>);

impl Drop for Holding {
    fn drop(&mut self) {
        if self.0.away.calls.fetch_sub(1, Ordering::Relaxed) == 1 {
            lock(&self.0.away.held).clear();
        }
    }
}

fn in_memory(bytes: &Bytes, range: &Range<u64>) -> Option<Bytes> {
    let (start, end) = (usize::try_from(range.start).ok()?, usize::try_from(range.end).ok()?);
    Some(bytes.slice_ref(bytes.get(start..end)?))
}

fn in_file(file: &Mutex<File>, placed: &PlacedChunk) -> io::Result<Bytes> {
    let mut bytes = vec![0; placed.id.size as usize];
    let mut file = lock(file);
    file.seek(SeekFrom::Start(placed.range.start))?;
    file.read_exact(&mut bytes)?;
    Ok(bytes.into())
}

/// What a chunk takes beside its bytes.
const OVERHEAD: u64 = 256;

/// The bytes of a chunk.
const TYPICAL: u64 = 48 * 1024;
