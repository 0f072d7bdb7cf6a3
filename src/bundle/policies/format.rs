//! The format of the policies of a bundle.
//!
//! Each policy is in the [map](crate::bundle::chunks) where it is filed: under the principal that its scope names (`==`
//! or `in`), else under the resource, else under each of the actions, else with those that name none of them. What is
//! under such a key is
//!
//! ```text
//! offset    bytes
//!      0        4   number of filings N, little-endian
//!      4      12N   each: the number of an action of the scope, or `ANY_ACTION`, in 8 bytes, and a row of the table in
//!                   4, both little-endian; in the order of these numbers
//!  4+12N        -   a table from the id of each policy to its text
//! ```
//!
//! A policy that names several actions is filed once for each of them. The number of an action are the first 8 bytes of the
//! SHA-256 of its key, little-endian. A template is there under its id, as text alone. A text is one of three:
//!
//! ```text
//! {"effect":"permit", ...}                        a policy or template in Cedar's JSON form
//! ["template", ["T", "principal"], null]          a template link with the entities of its two slots
//! permit (principal, action, resource) ...        Cedar's own syntax, where JSON would lose something
//! ```
//!
//! JSON is read in half the time of Cedar's syntax and takes a third of the memory afterwards. Policies have much
//! in common. If several policies of a chunk have the same part (a `principal`, an `action`, all `conditions`), it is
//! replaced by a number: its row in the chunk's table of parts.

use aws_lc_rs::digest::{SHA256, digest};

/// For a policy whose scope names no action.
pub(crate) const ANY_ACTION: u64 = u64::MAX;

/// The number of an action, given by its key.
pub(crate) fn action_number(key: &str) -> u64 {
    let hash = digest(&SHA256, key.as_bytes());
    let number = hash.as_ref().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    number.min(ANY_ACTION - 1)
}

/// Of a filing.
pub(crate) const FILING_BYTES: usize = 12;
