//! Divides the sources of a bundle into chunks; see [`crate::bundle::sources`].

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};

use super::table::{self, TooLarge};
use crate::bundle::StoreFiles;
use crate::bundle::chunks::ChunkId;
use crate::bundle::sources::{SourceFile, is_apart};

/// The sources as they are written.
#[derive(Debug, Default)]
pub(super) struct WrittenSources<'a> {
    /// The table that lists them.
    pub(super) table: Vec<u8>,
    /// The chunks of all files, in order.
    pub(super) chunks: Vec<(ChunkId, &'a [u8])>,
}

/// Divides the files that the function does not need.
///
/// # Errors
/// [`TooLarge`].
pub(super) fn write(files: &StoreFiles) -> Result<WrittenSources<'_>, TooLarge> {
    let (mut rows, mut chunks) = (BTreeMap::new(), Vec::new());
    for (path, content) in files.iter().filter(|(path, _)| is_apart(path)) {
        let sha256 = digest(&SHA256, content).as_ref().try_into().map_err(|_| TooLarge)?;
        let mut file = SourceFile { path: path.to_owned(), sha256, chunks: Vec::new() };
        for piece in pieces(content) {
            let id = ChunkId::of(piece).ok_or(TooLarge)?;
            file.chunks.push(id);
            chunks.push((id, piece));
        }
        rows.insert(path.as_bytes().to_vec(), file.to_bytes());
    }
    Ok(WrittenSources { table: table::write(&rows)?, chunks })
}

/// Divides a text where its content says so, and not at fixed places: if something is inserted, only the pieces around it
/// change. A rolling hash over the last 64 bytes decides, as in Gear (Xia et al., "Ddelta: A deduplication-inspired fast
/// delta compression approach", 2014).
fn pieces(mut content: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        if content.is_empty() {
            return None;
        }
        let (mut hash, least): (u64, _) = (0, LEAST.min(content.len()));
        let ends_here = |byte: &u8| {
            hash = (hash << 1).wrapping_add(mixed(*byte));
            hash & MASK == 0
        };
        let end = content.iter().take(LARGEST).skip(least).position(ends_here);
        let end = end.map_or(LARGEST.min(content.len()), |end| least + end + 1);
        let (piece, rest) = content.split_at_checked(end)?;
        content = rest;
        Some(piece)
    })
}

/// A number for each byte whose bits have nothing to do with each other (the finalizer of `SplitMix64`).
fn mixed(byte: u8) -> u64 {
    let mut number = u64::from(byte).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// The upper bits, which depend on the most bytes. Seventeen of them make pieces of 128 kilobytes.
const MASK: u64 = ((1 << 17) - 1) << 47;
const LEAST: usize = 32 * 1024;
const LARGEST: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(seed: u64, length: usize) -> Vec<u8> {
        let mut state = seed;
        std::iter::from_fn(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            Some((state >> 56) as u8 % 64 + 32)
        })
        .take(length)
        .collect()
    }

    #[test]
    fn an_insertion_changes_few_pieces() {
        let old = text(7, 3_000_000);
        let new = [&old[..1_000_000], b"inserted", &old[1_000_000..]].concat();
        let of_old: Vec<&[u8]> = pieces(&old).collect();
        let changed = pieces(&new).filter(|piece| !of_old.contains(piece)).count();
        assert!(of_old.len() > 8 && changed <= 2, "{} {changed}", of_old.len());
    }

    proptest! {
        #[test]
        fn the_pieces_are_the_text(seed in any::<u64>(), length in 0_usize..400_000, is_even in any::<bool>()) {
            let content = if is_even { vec![b'a'; length] } else { text(seed, length) };
            let all: Vec<&[u8]> = pieces(&content).collect();
            prop_assert_eq!(&all.concat(), &content);
            prop_assert!(all.iter().all(|piece| !piece.is_empty() && piece.len() <= LARGEST));
        }
    }
}
