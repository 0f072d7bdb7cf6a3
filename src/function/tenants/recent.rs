//! A bounded map that forgets what has not been used for longest.

use lru::LruCache;

use crate::bundle::Tenant;

/// Something for each of so many tenants.
#[derive(Debug)]
pub(super) struct Recent<V> {
    entries: LruCache<Tenant, V>,
    capacity: usize,
}

impl<V> Recent<V> {
    /// Room for so many, and for one at least.
    pub(super) fn new(capacity: usize) -> Self {
        // Of a cache with a bound of its own an insertion would not say whether it replaced a value or drove one out.
        Self { entries: LruCache::unbounded(), capacity: capacity.max(1) }
    }

    pub(super) fn contains(&self, tenant: &Tenant) -> bool {
        self.entries.contains(tenant)
    }

    /// What there is for a tenant, which counts as a use of it.
    pub(super) fn get(&mut self, tenant: &Tenant) -> Option<&V> {
        self.entries.get(tenant)
    }

    /// Takes something in, and gives back what had to go for it.
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
        // To replace one takes no room.
        assert_eq!(recent.insert(tenant("a"), 4), None);
        assert_eq!(recent.get(&tenant("b")), None);
        assert_eq!(recent.insert(tenant("b"), 5), Some((tenant("c"), 3)));
        assert_eq!((recent.remove(&tenant("a")), recent.remove(&tenant("a"))), (Some(4), None));
        assert!(recent.contains(&tenant("b")) && !recent.contains(&tenant("a")));
    }
}
