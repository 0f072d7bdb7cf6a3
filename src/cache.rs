//! Caches of a bounded size, and locks for what is remembered.

use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, UnitWeighter, Weighter};

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

/// A cache of values that together weigh at most this much. `items` is how many there may be, about.
pub(crate) fn weighted<K: Eq + Hash, V: Clone, W: Weighter<K, V> + Clone>(
    capacity: u64,
    items: usize,
    weighter: W,
) -> Cache<K, V, W> {
    let mut options = OptionsBuilder::new();
    options.estimated_items_capacity(items).weight_capacity(capacity).shards(1);
    let (hashes, lifecycle) = (DefaultHashBuilder::default(), DefaultLifecycle::default());
    match options.build() {
        Ok(options) => Cache::with_options(options, weighter, hashes, lifecycle),
        Err(_) => Cache::with(items, capacity, weighter, hashes, lifecycle),
    }
}

/// Locks what is remembered. A poisoned lock is used all the same: nothing here is changed in several steps, so a
/// panic leaves a complete value.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
