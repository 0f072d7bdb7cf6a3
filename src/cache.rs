//! Caches of a bounded size, and locks for what is remembered.

use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, UnitWeighter};

/// A cache for this many items, in one piece. By default the library makes four pieces for each CPU of the
/// machine, each with its share of the room. A function that handles one call at a time does not need them.
pub(crate) fn bounded<K: Eq + Hash, V: Clone>(capacity: usize) -> Cache<K, V> {
    let mut options = OptionsBuilder::new();
    options.estimated_items_capacity(capacity).weight_capacity(capacity as u64).shards(1);
    match options.build() {
        Ok(options) => Cache::with_options(
            options,
            UnitWeighter,
            DefaultHashBuilder::default(),
            DefaultLifecycle::default(),
        ),
        Err(_) => Cache::new(capacity),
    }
}

/// Locks what is remembered. A poisoned lock is used all the same: nothing here is changed in several steps, so a
/// panic leaves a complete value.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
