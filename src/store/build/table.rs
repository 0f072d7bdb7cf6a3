//! Writes the tables that [`crate::bundle::table`] reads.

use std::collections::BTreeMap;

/// Writes a table. The format is in [`crate::bundle::table`].
///
/// # Errors
/// [`TooLarge`].
pub(crate) fn write(rows: &BTreeMap<Vec<u8>, Vec<u8>>) -> Result<Vec<u8>, TooLarge> {
    let number = |number: usize| u32::try_from(number).map(u32::to_le_bytes);
    let number = |of: usize| number(of).map_err(|_| TooLarge);
    let cells = || rows.iter().flat_map(|(key, value)| [key, value]);
    let mut table = number(rows.len())?.to_vec();
    let mut end = 0;
    table.extend(number(end)?);
    for cell in cells() {
        end += cell.len();
        table.extend(number(end)?);
    }
    cells().for_each(|cell| table.extend(cell));
    Ok(table)
}

/// A table would be larger than its numbers can express.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than four gigabytes")]
pub(crate) struct TooLarge;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bundle::table::Table;

    proptest! {
        #[test]
        fn what_is_written_is_found(
            rows in proptest::collection::btree_map(
                proptest::collection::vec(0_u8..4, 0..4), proptest::collection::vec(any::<u8>(), 0..4), 0..20,
            ),
            other in proptest::collection::vec(0_u8..4, 0..4),
        ) {
            let table = Table::open(write(&rows).unwrap().into()).unwrap();
            prop_assert_eq!(table.len(), rows.len());
            for (row, (key, value)) in rows.iter().enumerate() {
                prop_assert_eq!(table.row(row), Some((key.as_slice(), value.as_slice())));
                prop_assert_eq!(table.position(key), Some(row));
            }
            prop_assert_eq!(table.row(rows.len()), None);
            prop_assert_eq!(table.get(&other), rows.get(&other).map(Vec::as_slice));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60), rows in 0_u8..6) {
            let small = [&[rows, 0, 0, 0], bytes.as_slice()].concat();
            for table in [&bytes, &small].into_iter().filter_map(|bytes| Table::open(bytes.clone().into()).ok()) {
                for row in [0, 1, 5, usize::MAX / 2, usize::MAX] {
                    table.row(row);
                }
                table.get(&bytes);
            }
        }
    }
}
