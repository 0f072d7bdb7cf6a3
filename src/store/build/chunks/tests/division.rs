//! Where one chunk ends and the next begins, and that every row is found again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::worlds::world;
use super::*;
use crate::bundle::Unreadable;
use crate::bundle::chunks::{Chunk, ChunkMap, key, listed};
use crate::bundle::opening::Read;
use crate::bundle::outline::{OUTLINE, Outline};
use crate::bundle::table::{Table, entity_key};
use crate::store::build::chunks::{RowValue, Rows, WrittenMap, early};
use crate::store::build::forms::Parts;

type Values = BTreeMap<Vec<u8>, Vec<u8>>;

fn written(values: &Values, sizes: ChunkSizes) -> WrittenMap {
    let mut rows = Rows::in_chunks_of(sizes);
    for (key, value) in values {
        rows.insert(key.clone(), RowValue::Bytes(value.clone()));
    }
    rows.write(&Parts::default()).unwrap()
}

/// The rows of each chunk.
fn divided(map: &WrittenMap) -> Vec<Vec<(Vec<u8>, Vec<u8>)>> {
    let opened: ChunkMap = map.clone().open().unwrap();
    let rows = |chunk: Result<Arc<Chunk>, Unreadable>| {
        let chunk = chunk.unwrap();
        chunk.rows.rows().map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
    };
    opened.chunks().map(rows).collect()
}

fn keys() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(0_u8..4, 0..6)
}

fn values() -> impl Strategy<Value = Values> {
    proptest::collection::btree_map(keys(), proptest::collection::vec(any::<u8>(), 0..30), 0..60)
}

fn any_sizes() -> impl Strategy<Value = ChunkSizes> {
    (1_usize..120, 0_usize..60, 1_usize..200).prop_map(|(typical, least, largest)| ChunkSizes {
        typical,
        least,
        largest,
    })
}

fn weight((key, value): &(Vec<u8>, Vec<u8>)) -> usize {
    key.len() + value.len()
}

#[test]
fn chunks_have_about_the_typical_size_on_the_average() {
    let sizes = ChunkSizes { typical: 2000, least: 500, largest: 8000 };
    for length in [20, 100, 700] {
        let rows = 400_000 / length;
        let value = |number: usize| (format!("{:08x}", number.wrapping_mul(2_654_435_761)), vec![0; length]);
        let values: Values = (0..rows).map(value).map(|(key, value)| (key.into_bytes(), value)).collect();
        let chunks = written(&values, sizes).chunks;
        let mean = chunks.iter().map(|chunk| chunk.bytes.len()).sum::<usize>() / chunks.len();
        assert!((1500..4500).contains(&mean), "{length}: {mean}");
    }
}

proptest! {
    #[test]
    fn every_row_is_in_one_chunk_and_found_there(
        values in values(),
        sizes in any_sizes(),
        others in proptest::collection::vec(keys(), 0..20),
    ) {
        let map = written(&values, sizes);
        let chunks = divided(&map);
        prop_assert_eq!(chunks.concat(), values.clone().into_iter().collect::<Vec<_>>());
        let index = Table::open(map.index.clone().into()).unwrap();
        let ids: Vec<_> = map.chunks.iter().map(|chunk| chunk.id).collect();
        prop_assert_eq!(listed(&index).unwrap(), ids);
        let opened = map.clone().open().unwrap();
        for key in values.keys().chain(&others) {
            let found = opened.get(key).unwrap().map(|value| value.bytes.to_vec());
            prop_assert_eq!(found.as_ref(), values.get(key));
        }
        // What divides two chunks is the shortest text between their keys.
        for (before, (chunk, after)) in chunks.iter().zip(map.chunks.iter().zip(&chunks).skip(1)) {
            let ((last, _), (first, _)) = (before.last().unwrap(), after.first().unwrap());
            prop_assert!(*last < chunk.from && chunk.from <= *first);
            prop_assert!(chunk.from[..chunk.from.len() - 1] <= last[..]);
        }
    }

    #[test]
    fn chunks_are_as_large_as_they_should_be(values in values(), sizes in any_sizes()) {
        let chunks = divided(&written(&values, sizes));
        for (number, rows) in chunks.iter().enumerate() {
            let size: usize = rows.iter().map(weight).sum();
            prop_assert!(size >= sizes.least || number + 1 == chunks.len(), "{size}");
            let mut before = 0;
            for row in rows {
                let fits = before + weight(row) <= sizes.largest;
                prop_assert!(fits || before < sizes.least || before == 0, "{before} {}", weight(row));
                before += weight(row);
            }
        }
    }

    /// What is before a change stays as it was. So does what is after it, from where both have the same boundary.
    #[test]
    fn a_change_of_a_row_is_a_change_of_its_neighbourhood(
        values in values(),
        sizes in any_sizes(),
        changed in keys(),
        value in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..30)),
    ) {
        let old = divided(&written(&values, sizes));
        let mut values = values;
        match value {
            Some(value) => values.insert(changed.clone(), value),
            None => values.remove(&changed),
        };
        let new = divided(&written(&values, sizes));
        let first = |rows: &Vec<(Vec<u8>, Vec<u8>)>| rows[0].0.clone();
        // A chunk ends where the next one begins, and that says nothing of what follows.
        let next_of = |chunks: &[Vec<_>], number: usize| chunks.get(number + 1).map(first);
        for number in 0..old.len() {
            match next_of(&old, number) {
                Some(next) if next < changed => prop_assert_eq!(&old[number], &new[number]),
                _ => break,
            }
        }
        let begins: BTreeSet<Vec<u8>> = new.iter().map(first).collect();
        if let Some(same) = old.iter().position(|rows| first(rows) > changed && begins.contains(&first(rows))) {
            let in_new = new.iter().position(|rows| first(rows) == first(&old[same])).unwrap();
            prop_assert_eq!(&old[same..], &new[in_new..]);
        }
    }

    /// What calls of different callers have in common is read with the head: it stands next to it.
    #[test]
    fn what_calls_have_in_common_stands_next_to_the_head(world in world(), sizes in sizes()) {
        let (store, file) = built(&world.files(), sizes, 1);
        let read = Read::of(&file, file.len() as u64).unwrap();
        let outline: Outline =
            serde_json::from_slice(read.unpacked.members.get(OUTLINE).unwrap()).unwrap();
        let named: Vec<&EntityUid> = outline.named_entities.iter().chain([&outline.resource]).collect();
        prop_assert_eq!(&outline.named_entities, &store.named_entities);
        let found = early(&read.index, named.iter().copied());
        let placed = &read.chunks.map;
        let number_of = |key: &[u8]| (0..placed.len()).rfind(|row| read.index.row(*row).unwrap().0 <= key);
        let of_named = named.iter().flat_map(|uid| {
            let name = entity_key(uid);
            [key::entity(uid), key::principal(&name), key::resource(&name)]
        });
        let mut expected: BTreeSet<usize> = of_named.filter_map(|key| number_of(&key)).collect();
        for (number, placed) in placed.iter().enumerate() {
            let bytes = file[placed.range.start as usize..placed.range.end as usize].to_vec();
            let chunk = Chunk::open(&bytes.into()).unwrap();
            if chunk.rows.rows().any(|(key, _)| key.starts_with(b"\0")) {
                expected.insert(number);
            }
        }
        prop_assert!(expected.is_subset(&found), "{expected:?} {found:?}");
        // The chunks in which the common keys could begin and end.
        let edges: BTreeSet<usize> = [b"\0", b"\x01"].iter().filter_map(|key| number_of(*key)).collect();
        prop_assert!(found.is_subset(&(&expected | &edges)), "{expected:?} {found:?}");
        let start = |number: &usize| placed[*number].range.start;
        let first_early = found.iter().map(start).min().unwrap_or(read.head_start);
        let others = (0..placed.len()).filter(|number| !found.contains(number));
        prop_assert!(others.map(|number| start(&number)).all(|start| start < first_early));
        let last = placed.iter().chain(&read.chunks.sources).map(|placed| placed.range.end).max();
        prop_assert_eq!(last, Some(read.head_start));
    }
}
