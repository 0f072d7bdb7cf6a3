//! What is remembered: caches of a bounded size, and locks.

use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, UnitWeighter};

/// A cache for so many items, in one piece. The library's own choice is four pieces for each CPU of the machine, each
/// with its share of the room, which a function with one call at a time has no use for.
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

/// Locks what is remembered. A lock that is poisoned holds a whole value all the same: nothing here is changed in
/// several steps of which one could panic.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
