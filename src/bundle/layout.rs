//! The layout: where the chunks of a bundle are in its file.
//!
//! ```text
//! bytes
//!     4   number of chunks N, little-endian
//!    8N   where each of them begins in the file: those of the map in the order of its index, then those of the
//!         sources; each little-endian
//!   48R   ranges of the file that nothing uses any more, each 8 bytes of start, 8 of length, 32 of SHA-256
//! ```
//!
//! Chunks with the same content are in the file once. A new revision can be made of an old file: chunks that it does not
//! use stay where they are, and so does the old head. The layout lists them, so that every byte is still accounted for.

use std::ops::Range;

use aws_lc_rs::digest::{SHA256, digest};

use super::archive::InvalidArchive;
use super::chunks::{ChunkId, PlacedChunk};

/// The layout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Where each chunk begins.
    pub(crate) starts: Vec<u64>,
    /// What nothing uses any more.
    pub(crate) unused: Vec<UnusedRange>,
}

/// A part of a file that nothing uses any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnusedRange {
    pub(crate) start: u64,
    pub(crate) length: u64,
    pub(crate) sha256: [u8; 32],
}

impl Layout {
    /// Reads a layout. `None`: it is not as one is written.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (count, rest) = bytes.split_first_chunk::<4>()?;
        let numbers = (u32::from_le_bytes(*count) as usize).checked_mul(8)?;
        let (starts, unused) = rest.split_at_checked(numbers)?;
        let (starts, _) = starts.as_chunks::<8>();
        let (unused, odd) = unused.as_chunks::<UNUSED_BYTES>();
        let starts = starts.iter().map(|start| u64::from_le_bytes(*start)).collect();
        let unused = unused.iter().map(UnusedRange::read).collect::<Option<_>>()?;
        odd.is_empty().then_some(Self { starts, unused })
    }

    /// The form in a file. `None`: more chunks than it has numbers for.
    #[cfg(feature = "authoring")]
    pub(crate) fn to_bytes(&self) -> Option<Vec<u8>> {
        let mut bytes = u32::try_from(self.starts.len()).ok()?.to_le_bytes().to_vec();
        self.starts.iter().for_each(|start| bytes.extend(start.to_le_bytes()));
        for UnusedRange { start, length, sha256 } in &self.unused {
            bytes.extend(start.to_le_bytes());
            bytes.extend(length.to_le_bytes());
            bytes.extend(sha256);
        }
        Some(bytes)
    }

    /// The chunks with their places, which must all be in this range of the file.
    ///
    /// # Errors
    /// [`InvalidArchive::LayoutAltered`].
    pub(super) fn place(
        &self,
        ids: impl ExactSizeIterator<Item = ChunkId>,
        within: &Range<u64>,
    ) -> Result<Vec<PlacedChunk>, InvalidArchive> {
        if ids.len() != self.starts.len() {
            return Err(InvalidArchive::LayoutAltered);
        }
        let place = |(id, start): (ChunkId, &u64)| {
            let range = *start..start.checked_add(u64::from(id.size))?;
            (within.start <= range.start && range.end <= within.end).then_some(PlacedChunk { id, range })
        };
        let placed: Option<Vec<PlacedChunk>> = ids.zip(&self.starts).map(place).collect();
        placed.ok_or(InvalidArchive::LayoutAltered)
    }

    /// Checks that these chunks and the unused ranges are all of a range of the file, that no byte is in two of them, and
    /// that the unused ranges are as they were. `bytes` are all of the file.
    ///
    /// # Errors
    /// [`InvalidArchive::LayoutAltered`].
    pub(super) fn check(
        &self,
        chunks: &[PlacedChunk],
        within: &Range<u64>,
        bytes: &[u8],
    ) -> Result<(), InvalidArchive> {
        let is_as_it_was = |UnusedRange { start, length, sha256 }: &UnusedRange| {
            let content = slice(bytes, &(*start..start.saturating_add(*length)));
            content.is_some_and(|content| digest(&SHA256, content).as_ref() == sha256)
        };
        if self.covers(chunks, within) && self.unused.iter().all(is_as_it_was) {
            Ok(())
        } else {
            Err(InvalidArchive::LayoutAltered)
        }
    }

    fn covers(&self, chunks: &[PlacedChunk], within: &Range<u64>) -> bool {
        let unused =
            self.unused.iter().map(|unused| unused.start..unused.start.saturating_add(unused.length));
        let mut ranges: Vec<Range<u64>> =
            chunks.iter().map(|placed| placed.range.clone()).chain(unused).collect();
        ranges.retain(|range| !range.is_empty());
        ranges.sort_unstable_by_key(|range| (range.start, range.end));
        ranges.dedup();
        let mut end = within.start;
        for range in ranges {
            if range.start != end {
                return false;
            }
            end = range.end;
        }
        end == within.end
    }
}

/// A part of the bytes of a file.
pub(crate) fn slice<'a>(bytes: &'a [u8], range: &Range<u64>) -> Option<&'a [u8]> {
    bytes.get(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?)
}

impl UnusedRange {
    fn read(bytes: &[u8; UNUSED_BYTES]) -> Option<Self> {
        let (start, rest) = bytes.split_first_chunk::<8>()?;
        let (length, sha256) = rest.split_first_chunk::<8>()?;
        Some(Self {
            start: u64::from_le_bytes(*start),
            length: u64::from_le_bytes(*length),
            sha256: sha256.try_into().ok()?,
        })
    }
}

const UNUSED_BYTES: usize = 48;
