//! Chunks in memory, in a file and away: each is read as it was built, or not at all.

use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::bundle::Unreadable;
use crate::bundle::chunks::{ChunkCache, ChunkMap, Origin, PlacedChunk, chunk_cache};
use crate::bundle::table::Table;
use crate::store::build::chunks::{RowValue, Rows, WrittenMap};
use crate::store::build::forms::Parts;

const KEYS: [&str; 4] = ["a", "b", "c", "d"];

/// A map with a chunk for each key, and a file that has the chunks in another order.
struct World {
    map: WrittenMap,
    placed: Vec<PlacedChunk>,
    file: Bytes,
}

impl World {
    fn new(value: impl Fn(&str) -> String) -> Self {
        let mut rows = Rows::in_chunks_of(SINGLE);
        for key in KEYS {
            rows.insert(key.into(), RowValue::Bytes(value(key).into_bytes()));
        }
        let map = rows.write(&Parts::default()).unwrap();
        let (mut placed, mut file) = (Vec::new(), b"the beginning".to_vec());
        for chunk in map.chunks.iter().rev() {
            let start = file.len() as u64;
            placed.insert(0, PlacedChunk { id: chunk.id, range: start..start + chunk.bytes.len() as u64 });
            file.extend(&chunk.bytes);
        }
        assert_eq!(placed.len(), KEYS.len());
        file.extend(b"the end");
        Self { map, placed, file: file.into() }
    }

    fn map(&self, origin: Arc<Origin>) -> ChunkMap {
        ChunkMap::new(Table::open(self.map.index.clone().into()).unwrap(), origin)
    }

    fn away(&self, cache: &ChunkCache) -> ChunkMap {
        self.map(Origin::away(self.placed.clone(), Arc::clone(cache)))
    }

    fn bytes(&self, chunk: &PlacedChunk) -> Bytes {
        self.file.slice(chunk.range.start as usize..chunk.range.end as usize)
    }

    fn supply(&self, map: &ChunkMap, number: usize) -> Result<(), Unreadable> {
        map.origin().supply(self.placed[number].id, &self.bytes(&self.placed[number]))
    }

    /// The numbers of the chunks that are wanted.
    fn wanted(&self, map: &ChunkMap) -> Vec<usize> {
        let number = |wanted: &PlacedChunk| self.placed.iter().position(|placed| placed == wanted).unwrap();
        map.origin().wanted().iter().map(number).collect()
    }
}

fn get(map: &ChunkMap, key: &str) -> Result<String, Unreadable> {
    let value = map.get(key.as_bytes())?.unwrap();
    Ok(String::from_utf8(value.bytes.to_vec()).unwrap())
}

fn value(key: &str) -> String {
    format!("the value of {key}")
}

#[test]
fn what_was_supplied_stays_as_long_as_one_call_holds_it() {
    let world = World::new(value);
    let map = world.away(&chunk_cache(0));
    // Nobody holds it, and the cache has no room.
    assert_eq!(get(&map, "b"), Err(Unreadable::Away));
    assert_eq!(world.wanted(&map), [1]);
    world.supply(&map, 1).unwrap();
    assert_eq!(get(&map, "b"), Err(Unreadable::Away));

    // What was asked for before the first call is forgotten with it.
    map.ask_for(b"d");
    let first = map.origin().hold();
    assert_eq!(world.wanted(&map), [0; 0]);
    map.ask_for(b"c");
    assert_eq!(get(&map, "b"), Err(Unreadable::Away));
    assert_eq!(world.wanted(&map), [1, 2]);
    world.supply(&map, 1).unwrap();
    assert_eq!((get(&map, "b"), world.wanted(&map)), (Ok(value("b")), vec![2]));
    map.ask_for(b"b");
    // A second call does not take away what the first one asked for, or has.
    let second = map.origin().hold();
    assert_eq!((get(&map, "b"), world.wanted(&map)), (Ok(value("b")), vec![2]));
    drop(first);
    world.supply(&map, 2).unwrap();
    assert_eq!((get(&map, "b"), get(&map, "c")), (Ok(value("b")), Ok(value("c"))));
    drop(second);
    // Nothing stays without room.
    for key in ["b", "c"] {
        assert_eq!(get(&map, key), Err(Unreadable::Away));
    }
}

#[test]
fn a_cache_has_the_chunks_of_several_bundles_by_their_content() {
    let cache = chunk_cache(1 << 20);
    let (world, other) =
        (World::new(value), World::new(|key| if key == "b" { "x".into() } else { value(key) }));
    let (map, of_other) = (world.away(&cache), other.away(&cache));
    for number in 0..KEYS.len() {
        world.supply(&map, number).unwrap();
    }
    assert_eq!(get(&of_other, "b"), Err(Unreadable::Away));
    assert_eq!((get(&of_other, "a"), get(&of_other, "c")), (Ok(value("a")), Ok(value("c"))));
    assert_eq!(other.wanted(&of_other), [1]);
    // Each is compared with its own hash, whatever the other bundle has in this place.
    assert_eq!(
        of_other.origin().supply(other.placed[1].id, &world.bytes(&world.placed[1])),
        Err(Unreadable::Malformed)
    );
    other.supply(&of_other, 1).unwrap();
    assert_eq!((get(&of_other, "b"), get(&map, "b")), (Ok("x".to_owned()), Ok(value("b"))));
}

#[test]
fn a_cache_of_a_few_chunks_has_no_more_of_them() {
    let world = World::new(|key| key.repeat(1000));
    let cache = chunk_cache(3 * 1400);
    let map = world.away(&cache);
    for _ in 0..3 {
        for (number, key) in KEYS.iter().enumerate() {
            if get(&map, key).is_err() {
                world.supply(&map, number).unwrap();
            }
        }
    }
    let here = KEYS.iter().filter(|key| get(&map, key).is_ok()).count();
    assert!((1..=3).contains(&here), "{here}");
    assert!(cache.weight() <= 3 * 1400);
}

#[test]
fn of_bytes_of_the_file_those_chunks_are_taken_that_are_whole() {
    let world = World::new(value);
    for start in 0..world.file.len() {
        for end in start..=world.file.len() {
            let map = world.away(&chunk_cache(1 << 20));
            map.origin().supply_those_in(&world.file.slice(start..end), start as u64);
            let is_here =
                |placed: &PlacedChunk| start as u64 <= placed.range.start && placed.range.end <= end as u64;
            for (key, placed) in KEYS.iter().zip(&world.placed) {
                let expected = if is_here(placed) { Ok(value(key)) } else { Err(Unreadable::Away) };
                assert_eq!(get(&map, key), expected, "{start}..{end}");
            }
        }
    }
    // One of them is not as it was built. It counts when it is asked for.
    let mut altered = world.file.to_vec();
    altered[world.placed[2].range.start as usize + 9] ^= 1;
    let map = world.away(&chunk_cache(1 << 20));
    map.origin().supply_those_in(&altered.into(), 0);
    assert_eq!((get(&map, "c"), get(&map, "d")), (Err(Unreadable::Away), Ok(value("d"))));
}

#[test]
fn every_flipped_byte_is_refused_in_a_file_and_in_memory_and_the_other_chunks_are_read() {
    let world = World::new(value);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bundle");
    for position in 0..=world.file.len() {
        let mut altered = world.file.to_vec();
        if let Some(byte) = altered.get_mut(position) {
            *byte ^= 1;
        }
        std::fs::write(&path, &altered).unwrap();
        for room in [0, 1 << 20] {
            let of_file = Origin::file(world.placed.clone(), File::open(&path).unwrap(), chunk_cache(room));
            let of_memory = Origin::memory(world.placed.clone(), altered.clone().into(), chunk_cache(room));
            for map in [world.map(of_file), world.map(of_memory)] {
                for (key, placed) in KEYS.iter().zip(&world.placed) {
                    let is_altered = placed.range.contains(&(position as u64));
                    let expected = if is_altered { Err(Unreadable::Malformed) } else { Ok(value(key)) };
                    // The second time it may come out of the cache.
                    assert_eq!((get(&map, key), get(&map, key)), (expected.clone(), expected), "{position}");
                }
                assert_eq!(map.origin().wanted(), []);
            }
        }
    }
}

#[test]
fn a_file_that_ends_early_is_refused_and_one_that_was_replaced_is_read_to_its_end() {
    let world = World::new(value);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bundle");
    std::fs::write(&path, &world.file).unwrap();
    let open = || world.map(Origin::file(world.placed.clone(), File::open(&path).unwrap(), chunk_cache(0)));
    let map = open();
    let next = folder.path().join("next");
    std::fs::write(&next, "another").unwrap();
    std::fs::rename(&next, &path).unwrap();
    for key in KEYS {
        assert_eq!(get(&map, key), Ok(value(key)));
        assert_eq!(get(&open(), key), Err(Unreadable::Malformed));
    }
}
