//! Bundles in chunks of a few rows. Whoever has only the head of one gets the same answers as whoever has all of it.

// Only the function reads a bundle in parts.
#![cfg(feature = "function")]

mod appending;
mod away;
mod division;
mod origin;
#[path = "../../../../tests/suite/slices/worlds.rs"]
mod worlds;

use cedar_policy::{Context, EntityUid, RestrictedExpression};
use proptest::prelude::*;
use proptest::sample::select;

use super::ChunkSizes;
use crate::bundle::{MAX_BUNDLE_BYTES, StoreFiles};
use crate::store::Store;
use crate::store::build::{Edition, bundle_within};

/// Each row is a chunk of its own.
const SINGLE: ChunkSizes = ChunkSizes { typical: 1, least: 0, largest: 1 };

/// Sizes of chunks that have a row or a few.
fn sizes() -> impl Strategy<Value = ChunkSizes> {
    let few = ChunkSizes { typical: 150, least: 60, largest: 500 };
    let more = ChunkSizes { typical: 500, least: 200, largest: 2000 };
    select(vec![SINGLE, few, more])
}

/// A store and the file of its bundle.
fn built(files: &StoreFiles, sizes: ChunkSizes, revision: u64) -> (Store, Vec<u8>) {
    let (store, findings) = Store::check(files);
    let store = store.unwrap_or_else(|| panic!("{findings:#?}"));
    let edition = Edition::from(revision);
    let file = bundle_within(MAX_BUNDLE_BYTES, sizes, &store, files, &edition).unwrap();
    (store, file)
}

/// `Doc d0` as an entity.
fn uid(name: &str) -> EntityUid {
    let (entity_type, id) = name.split_once(' ').unwrap();
    format!("{entity_type}::{id:?}").parse().unwrap()
}

fn context(x: Option<i64>) -> Context {
    Context::from_pairs(x.map(|x| ("x".to_owned(), RestrictedExpression::new_long(x)))).unwrap()
}
