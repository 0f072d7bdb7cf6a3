//! A place of the map where policies are filed.

use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use super::format::FILING_BYTES;
use super::rows::FiledPolicy;
use crate::bundle::chunks::MapValue;
use crate::bundle::table::{Table, Unreadable};

/// The policies under one key of the map. Each is read when it is needed.
#[derive(Debug)]
pub(super) struct Place {
    key: Box<[u8]>,
    /// Actions by their numbers, with rows of the table; in order.
    filings: Vec<(u64, u32)>,
    policies: Table,
    parts: Table,
    read: Box<[OnceLock<FiledPolicy>]>,
}

/// A place by its key. Of one bundle, places with the same key are the same.
#[derive(Clone, Debug)]
pub(super) struct PlaceRef(pub(super) Arc<Place>);

impl PartialEq for PlaceRef {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.key == other.0.key
    }
}

impl Eq for PlaceRef {}

impl Hash for PlaceRef {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.key.hash(state);
    }
}

impl Place {
    /// Reads what is under a key. The copy keeps nothing of the chunk alive.
    ///
    /// # Errors
    /// [`Unreadable::Malformed`].
    pub(super) fn read(key: &[u8], value: &MapValue) -> Result<Self, Unreadable> {
        let read = || {
            let (count, rest) = value.bytes.split_first_chunk::<4>()?;
            let bytes = (u32::from_le_bytes(*count) as usize).checked_mul(FILING_BYTES)?;
            let (filings, table) = rest.split_at_checked(bytes)?;
            let (filings, _) = filings.as_chunks::<FILING_BYTES>();
            let filings: Option<Vec<(u64, u32)>> = filings.iter().map(filing).collect();
            let filings = filings.filter(|filings| filings.is_sorted())?;
            Some((filings, Table::open(value.bytes.slice_ref(table)).ok()?.to_own()))
        };
        let (filings, policies) = read().ok_or(Unreadable::Malformed)?;
        let rows = policies.len();
        if filings.iter().any(|(_, row)| *row as usize >= rows) {
            return Err(Unreadable::Malformed);
        }
        let read = (0..rows).map(|_| OnceLock::new()).collect();
        Ok(Self { key: key.into(), filings, policies, parts: value.parts.to_own(), read })
    }

    /// The rows that are filed under an action, given by its number.
    pub(super) fn about(&self, action: u64) -> impl Iterator<Item = u32> {
        let (_, from) = self.filings.split_at(self.filings.partition_point(|(of, _)| *of < action));
        from.iter().take_while(move |(of, _)| *of == action).map(|(_, row)| *row)
    }

    /// All rows, in order; those that are filed several times only once.
    pub(super) fn rows(&self) -> impl Iterator<Item = u32> + use<> {
        0..u32::try_from(self.policies.len()).unwrap_or(u32::MAX)
    }

    /// A policy, read by `read` from its id, its text and the parts of its chunk if it was not read before.
    ///
    /// # Errors
    /// [`Unreadable`]. A failure is not kept: what is away now can be here the next time.
    pub(super) fn policy(
        &self,
        row: u32,
        read: impl FnOnce(&str, &[u8], &Table) -> Result<FiledPolicy, Unreadable>,
    ) -> Result<FiledPolicy, Unreadable> {
        let known = self.read.get(row as usize).ok_or(Unreadable::Malformed)?;
        if let Some(known) = known.get() {
            return Ok(known.clone());
        }
        let (id, text) = self.policies.row(row as usize).ok_or(Unreadable::Malformed)?;
        let id = str::from_utf8(id).map_err(|_| Unreadable::Malformed)?;
        let policy = read(id, text, &self.parts)?;
        Ok(known.get_or_init(|| policy).clone())
    }

    /// About how much memory it takes once its policies were read, in bytes.
    pub(super) fn weight(&self) -> u64 {
        let policies = self.read.len() as u64;
        let texts = self.policies.size().saturating_add(self.parts.size()) as u64;
        texts.saturating_mul(2).saturating_add(policies.saturating_mul(POLICY)).saturating_add(PLACE)
    }
}

fn filing(bytes: &[u8; FILING_BYTES]) -> Option<(u64, u32)> {
    let (action, row) = bytes.split_first_chunk::<8>()?;
    Some((u64::from_le_bytes(*action), u32::from_le_bytes(row.try_into().ok()?)))
}

/// The scope of a policy, and what keeps it.
const POLICY: u64 = 512;

/// What a place takes beside its policies.
const PLACE: u64 = 256;
