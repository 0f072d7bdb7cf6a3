//! A bounded map that forgets the least recently used entry.

use lru::LruCache;

use crate::bundle::Tenant;

/// A value for each of a limited number of tenants.
#[derive(Debug)]
pub(super) struct Recent<V> {
    entries: LruCache<Tenant, V>,
    capacity: usize,
}

impl<V> Recent<V> {
    /// Room for `capacity` tenants, and for at least one.
    pub(super) fn new(capacity: usize) -> Self {
        // In a cache with its own bound, an insertion does not say whether it replaced a value or evicted another one.
        Self { entries: LruCache::unbounded(), capacity: capacity.max(1) }
    }

    pub(super) fn contains(&self, tenant: &Tenant) -> bool {
        self.entries.contains(tenant)
    }

    /// The value of a tenant. This counts as a use.
    pub(super) fn get(&mut self, tenant: &Tenant) -> Option<&V> {
        self.entries.get(tenant)
    }

    /// Inserts a value, and returns the entry that was dropped to make room.
    pub(super) fn insert(&mut self, tenant: Tenant, value: V) -> Option<(Tenant, V)> {
        self.entries.put(tenant, value);
        if self.entries.len() > self.capacity { self.entries.pop_lru() } else { None }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn remove(&mut self, tenant: &Tenant) -> Option<V> {
        self.entries.pop(tenant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let tenant = |name: &str| name.parse::<Tenant>().unwrap();
        let mut recent = Recent::new(2);
        assert_eq!(recent.insert(tenant("a"), 1), None);
        assert_eq!(recent.insert(tenant("b"), 2), None);
        assert_eq!(recent.get(&tenant("a")), Some(&1));
        assert_eq!(recent.insert(tenant("c"), 3), Some((tenant("b"), 2)));
        // Replacing a value takes no room.
        assert_eq!(recent.insert(tenant("a"), 4), None);
        assert_eq!(recent.get(&tenant("b")), None);
        assert_eq!(recent.insert(tenant("b"), 5), Some((tenant("c"), 3)));
        assert_eq!((recent.remove(&tenant("a")), recent.remove(&tenant("a"))), (Some(4), None));
        assert!(recent.contains(&tenant("b")) && !recent.contains(&tenant("a")));
    }
}
