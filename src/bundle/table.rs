//! A table of the compiled part: rows in the order of their keys. Each row can be read without the others.
//!
//! ```text
//! offset    bytes
//!      0        4   number of rows N, little-endian
//!      4     8N+4   where each key and value begins, and where the last one ends, from the end of
//!                   these numbers on; each little-endian
//!   8N+8        -   key and value of each row, one after the other
//! ```
//!
//! Keys are unique and in the order of their bytes, so a key is found by bisection. The numbers are checked when
//! a table is opened. The keys and values are read when they are needed.

use std::fmt;

use bytes::Bytes;
use cedar_policy::EntityUid;

/// A table.
#[derive(Clone)]
pub(crate) struct Table {
    bytes: Bytes,
    rows: usize,
}

impl Table {
    /// Opens a table.
    ///
    /// # Errors
    /// [`Unreadable`]: the table is shorter or longer than its numbers say, or they are out of order.
    pub(crate) fn open(bytes: Bytes) -> Result<Self, Unreadable> {
        let rows = number_at(&bytes, 0).ok_or(Unreadable::Malformed)? as usize;
        let table = Self { bytes, rows };
        let (numbers, cells) = table.bytes.split_at_checked(table.start()).ok_or(Unreadable::Malformed)?;
        let (_, ends) = numbers.split_at_checked(NUMBER).ok_or(Unreadable::Malformed)?;
        let (ends, _) = ends.as_chunks::<NUMBER>();
        let mut ends = ends.iter().map(|end| u32::from_le_bytes(*end) as usize);
        if ends.clone().is_sorted() && ends.next() == Some(0) && ends.next_back().unwrap_or(0) == cells.len()
        {
            Ok(table)
        } else {
            Err(Unreadable::Malformed)
        }
    }

    /// How many rows it has.
    pub(crate) fn len(&self) -> usize {
        self.rows
    }

    /// The key and the value of a row.
    pub(crate) fn row(&self, row: usize) -> Option<(&[u8], &[u8])> {
        Some((self.cell(row.checked_mul(2)?)?, self.cell(row.checked_mul(2)?.checked_add(1)?)?))
    }

    /// The row of a key.
    pub(crate) fn position(&self, key: &[u8]) -> Option<usize> {
        let (mut low, mut high) = (0, self.rows);
        while low < high {
            let middle = low + (high - low) / 2;
            let (found, _) = self.row(middle)?;
            match found.cmp(key) {
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// The last row whose key is not behind this one.
    pub(crate) fn floor(&self, key: &[u8]) -> Option<usize> {
        let (mut low, mut high) = (0, self.rows);
        while low < high {
            let middle = low + (high - low) / 2;
            let (found, _) = self.row(middle)?;
            if found <= key { low = middle + 1 } else { high = middle }
        }
        low.checked_sub(1)
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.row(self.position(key)?).map(|(_, value)| value)
    }

    /// The value of a key. It shares the memory of the table, and keeps all of it alive.
    pub(crate) fn get_shared(&self, key: &[u8]) -> Option<Bytes> {
        self.get(key).map(|value| self.bytes.slice_ref(value))
    }

    /// All rows, in order. The values share the memory of the table.
    pub(crate) fn shared_rows(&self) -> impl Iterator<Item = (&[u8], Bytes)> {
        self.rows().map(|(key, value)| (key, self.bytes.slice_ref(value)))
    }

    /// All rows: keys and values, in order.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        (0..self.rows).filter_map(|row| self.row(row))
    }

    /// A copy of the table that keeps nothing else alive.
    pub(crate) fn to_own(&self) -> Self {
        Self { bytes: Bytes::copy_from_slice(&self.bytes), rows: self.rows }
    }

    /// How many bytes it has.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    fn cell(&self, cell: usize) -> Option<&[u8]> {
        // The first number is the number of rows.
        let end = |cell: usize| number_at(&self.bytes, cell.checked_add(1)?.checked_mul(NUMBER)?);
        let (begin, end) = (end(cell)? as usize, end(cell.checked_add(1)?)? as usize);
        self.bytes.get(self.start()..)?.get(begin..end)
    }

    /// Where the first key begins.
    fn start(&self) -> usize {
        self.rows.saturating_mul(2).saturating_add(2).saturating_mul(NUMBER)
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes, rows } = self;
        f.debug_struct("Table").field("rows", rows).field("bytes", &bytes.len()).finish()
    }
}

/// An entity as a key: its type, a zero byte, which no type name contains, and its id.
pub(crate) fn entity_key(uid: &EntityUid) -> Box<str> {
    key_of(uid.type_name(), uid.id().unescaped())
}

/// The same from a type and an id.
pub(crate) fn key_of(entity_type: impl fmt::Display, id: &str) -> Box<str> {
    format!("{entity_type}\0{id}").into()
}

/// Why something in the compiled part of a bundle cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// A chunk of the bundle is not here yet. It is asked for.
    #[error("a part of the bundle is not here")]
    Away,
    /// It is not as it was built.
    #[error("the compiled part of the bundle cannot be read")]
    Malformed,
}

fn number_at(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..)?.first_chunk::<NUMBER>().map(|number| u32::from_le_bytes(*number))
}

const NUMBER: usize = size_of::<u32>();
