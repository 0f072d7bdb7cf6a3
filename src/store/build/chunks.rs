//! Writes the map that [`crate::bundle::chunks`] reads: rows in, chunks and their index out.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::mem;

use aws_lc_rs::digest::{SHA256, digest};
use cedar_policy::EntityUid;
use rayon::prelude::*;

use super::forms::{Form, PartId, Parts};
use super::table::{self, TooLarge};
use crate::bundle::Unreadable;
use crate::bundle::chunks::{ChunkId, ChunkMap, Origin, PlacedChunk, chunk_cache, key};
use crate::bundle::policies::format::FILING_BYTES;
use crate::bundle::table::{Table, entity_key};

/// The rows of a map.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    rows: BTreeMap<Vec<u8>, RowValue>,
    sizes: ChunkSizes,
}

/// How large chunks are, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChunkSizes {
    /// A chunk ends this far behind `least`, on average.
    pub(crate) typical: usize,
    pub(crate) least: usize,
    pub(crate) largest: usize,
}

/// A key with what is under it.
type Row = (Vec<u8>, RowValue);

/// What is under a key.
#[derive(Debug)]
pub(crate) enum RowValue {
    /// An entity.
    Bytes(Vec<u8>),
    /// A template.
    Template(Form),
    /// Policies.
    Filed(Vec<Filing>),
}

/// A policy at a place, with the number of an action of its scope.
#[derive(Debug)]
pub(crate) struct Filing {
    pub(crate) action: u64,
    pub(crate) id: Box<str>,
    pub(crate) form: Form,
}

/// A map as it is written.
#[derive(Clone, Debug, Default)]
pub(crate) struct WrittenMap {
    /// The table that lists the chunks.
    pub(crate) index: Vec<u8>,
    pub(crate) chunks: Vec<WrittenChunk>,
}

/// A chunk of a map.
#[derive(Clone, Debug)]
pub(crate) struct WrittenChunk {
    pub(crate) bytes: Vec<u8>,
    pub(crate) id: ChunkId,
    /// The keys from this one on are in it, up to that of the next chunk.
    pub(crate) from: Vec<u8>,
}

/// About 48 kilobytes. S3 gives them in less than a millisecond, once the round trip is over, and they are hashed in a
/// tenth of that. The index has about 70 bytes for each chunk, and is always fetched. Most chunks are nearly as small as
/// they may be: what a call needs is more probably in a large chunk than in a small one.
impl Default for ChunkSizes {
    fn default() -> Self {
        Self { typical: 16 * 1024, least: 32 * 1024, largest: 128 * 1024 }
    }
}

impl Rows {
    /// No rows yet, for a map with chunks of these sizes.
    pub(super) fn in_chunks_of(sizes: ChunkSizes) -> Self {
        Self { rows: BTreeMap::new(), sizes }
    }

    /// Adds a row.
    pub(crate) fn insert(&mut self, key: Vec<u8>, value: RowValue) {
        self.rows.insert(key, value);
    }

    /// Files a policy.
    pub(crate) fn file(&mut self, key: Vec<u8>, filing: Filing) {
        match self.rows.entry(key).or_insert_with(|| RowValue::Filed(Vec::new())) {
            RowValue::Filed(filings) => filings.push(filing),
            // The keys of policies are those of nothing else.
            RowValue::Bytes(_) | RowValue::Template(_) => {}
        }
    }

    /// Writes the map. `parts` has the texts of the forms.
    ///
    /// # Errors
    /// [`TooLarge`].
    pub(crate) fn write(self, parts: &Parts) -> Result<WrittenMap, TooLarge> {
        let (mut chunks, mut divided, mut size) = (Vec::new(), Vec::new(), 0);
        let mut rows: Vec<Row> = Vec::new();
        let mut from = Vec::new();
        // Some at a time, since rows take more memory than what is written of them.
        let mut write = |divided: &mut Vec<(Vec<u8>, Vec<Row>)>| {
            let written = mem::take(divided).into_par_iter().map(|(from, rows)| chunk(from, rows, parts));
            let written: Result<Vec<WrittenChunk>, TooLarge> = written.collect();
            chunks.append(&mut written?);
            Ok(())
        };
        for (key, mut value) in self.rows {
            if let RowValue::Filed(filings) = &mut value {
                filings.sort_unstable_by(|a, b| (a.action, &a.id).cmp(&(b.action, &b.id)));
            }
            let of_row = key.len().saturating_add(value.size(parts));
            if !rows.is_empty() && self.sizes.ends_before(&key, of_row, size) {
                let next = rows.last().map_or_else(Vec::new, |(before, _)| divider(before, &key));
                divided.push((mem::replace(&mut from, next), mem::take(&mut rows)));
                size = 0;
                if divided.len() == AT_ONCE {
                    write(&mut divided)?;
                }
            }
            size = size.saturating_add(of_row);
            rows.push((key, value));
        }
        if !rows.is_empty() {
            divided.push((from, rows));
        }
        write(&mut divided)?;
        let listed = |chunk: &WrittenChunk| (chunk.from.clone(), chunk.id.to_bytes().to_vec());
        let index = chunks.iter().map(listed).collect();
        Ok(WrittenMap { index: table::write(&index)?, chunks })
    }
}

impl WrittenMap {
    /// The map, with all chunks in memory.
    ///
    /// # Errors
    /// [`Unreadable`]. This does not happen.
    pub(crate) fn open(self) -> Result<ChunkMap, Unreadable> {
        let (mut placed, mut bytes) = (Vec::new(), Vec::new());
        for WrittenChunk { bytes: content, id, .. } in &self.chunks {
            let start = bytes.len() as u64;
            placed.push(PlacedChunk { id: *id, range: start..start + content.len() as u64 });
            bytes.extend_from_slice(content);
        }
        let cache = chunk_cache(2 * bytes.len() as u64);
        Ok(ChunkMap::new(Table::open(self.index.into())?, Origin::memory(placed, bytes.into(), cache)))
    }
}

/// The chunks of a map with what calls of different callers have in common, by their positions in its index: actions,
/// templates, policies that name no principal and no resource, and what concerns these entities.
pub(super) fn early<'a>(index: &Table, entities: impl Iterator<Item = &'a EntityUid>) -> BTreeSet<usize> {
    let keys = entities.flat_map(|uid| {
        let name = entity_key(uid);
        [key::entity(uid), key::principal(&name), key::resource(&name)]
    });
    let common = index.floor(&[key::COMMON]).zip(index.floor(&[key::COMMON + 1]));
    let common = common.into_iter().flat_map(|(first, last)| first..=last);
    keys.filter_map(|key| index.floor(&key)).chain(common).collect()
}

impl ChunkSizes {
    /// Whether a new chunk begins with a row. This follows from the row itself, unless the chunk before it would be very
    /// small or large. So a change of one row changes the division only near it. `size` is that of the chunk before it.
    fn ends_before(&self, key: &[u8], of_row: usize, size: usize) -> bool {
        if size < self.least {
            return false;
        }
        let hash = digest(&SHA256, key);
        let random = hash.as_ref().first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes)) as usize;
        // A large row ends a chunk more probably than a small one, so that chunks have about the same size.
        size.saturating_add(of_row) > self.largest || random % self.typical < of_row
    }
}

/// The shortest text that is behind one key and not behind the next one: the beginning of the next one.
fn divider(key: &[u8], next: &[u8]) -> Vec<u8> {
    let common = key.iter().zip(next).take_while(|(a, b)| a == b).count();
    next.get(..=common).unwrap_or(next).to_vec()
}

/// Writes a chunk.
fn chunk(from: Vec<u8>, rows: Vec<Row>, parts: &Parts) -> Result<WrittenChunk, TooLarge> {
    let mut counts: HashMap<PartId, u32> = HashMap::new();
    for form in rows.iter().flat_map(|(_, value)| value.forms()) {
        for part in form.parts() {
            *counts.entry(part).or_default() += 1;
        }
    }
    let is_worth_it = |part: &PartId| parts.text(*part).len() >= LEAST_PART;
    let common: BTreeSet<(&str, PartId)> = counts
        .into_iter()
        .filter(|(part, count)| *count > 1 && is_worth_it(part))
        .map(|(part, _)| (parts.text(part), part))
        .collect();
    let numbers: HashMap<PartId, usize> =
        common.iter().enumerate().map(|(number, (_, part))| (*part, number)).collect();
    let texts = common.iter().map(|(text, _)| (text.as_bytes().to_vec(), Vec::new())).collect();
    let texts = table::write(&texts)?;

    let written: Result<BTreeMap<Vec<u8>, Vec<u8>>, TooLarge> =
        rows.into_iter().map(|(key, value)| Ok((key, value.written(parts, &numbers)?))).collect();
    let written = table::write(&written?)?;
    let length = u32::try_from(texts.len()).map_err(|_| TooLarge)?;
    let bytes = [length.to_le_bytes().as_slice(), &texts, &written].concat();
    let id = ChunkId::of(&bytes).ok_or(TooLarge)?;
    Ok(WrittenChunk { bytes, id, from })
}

impl RowValue {
    fn forms(&self) -> Vec<&Form> {
        match self {
            Self::Bytes(_) => Vec::new(),
            Self::Template(form) => vec![form],
            Self::Filed(filings) => filings.iter().map(|filing| &filing.form).collect(),
        }
    }

    /// About how many bytes it takes in a chunk.
    fn size(&self, parts: &Parts) -> usize {
        let form_size = |form: &Form| form.size(parts);
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Template(form) => form_size(form),
            Self::Filed(filings) => {
                filings.iter().map(|filing| filing.id.len() + form_size(&filing.form) + FILING_BYTES).sum()
            }
        }
    }

    fn written(self, parts: &Parts, numbers: &HashMap<PartId, usize>) -> Result<Vec<u8>, TooLarge> {
        let filings = match self {
            Self::Bytes(bytes) => return Ok(bytes),
            Self::Template(form) => return Ok(form.written(parts, numbers).into_bytes()),
            Self::Filed(filings) => filings,
        };
        let mut policies: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        for Filing { id, form, .. } in &filings {
            let text = || form.written(parts, numbers).into_bytes();
            policies.entry(id.as_bytes().to_vec()).or_insert_with(text);
        }
        let rows: HashMap<&[u8], u32> = policies.keys().map(Vec::as_slice).zip(0..).collect();
        let mut bytes = u32::try_from(filings.len()).map_err(|_| TooLarge)?.to_le_bytes().to_vec();
        for Filing { action, id, .. } in &filings {
            let row = rows.get(id.as_bytes()).ok_or(TooLarge)?;
            bytes.extend(action.to_le_bytes());
            bytes.extend(row.to_le_bytes());
        }
        bytes.extend(table::write(&policies)?);
        Ok(bytes)
    }
}

/// So many chunks are written at once.
pub(super) const AT_ONCE: usize = 64;

/// The shortest part for which a number saves room.
const LEAST_PART: usize = 16;

#[cfg(test)]
mod tests;
