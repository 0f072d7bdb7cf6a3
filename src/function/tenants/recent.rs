//! A bounded map that forgets what has not been used for longest.

use std::collections::HashMap;

use crate::bundle::Tenant;

/// Something for each of so many tenants.
#[derive(Debug)]
pub(super) struct Recent<V> {
    /// With the number of the last use.
    entries: HashMap<Tenant, (u64, V)>,
    capacity: usize,
    uses: u64,
}

impl<V> Recent<V> {
    /// Room for so many, and for one at least.
    pub(super) fn new(capacity: usize) -> Self {
        Self { entries: HashMap::new(), capacity: capacity.max(1), uses: 0 }
    }

    pub(super) fn contains(&self, tenant: &Tenant) -> bool {
        self.entries.contains_key(tenant)
    }

    /// What there is for a tenant, which counts as a use of it.
    pub(super) fn get(&mut self, tenant: &Tenant) -> Option<&V> {
        self.uses += 1;
        let (last_use, value) = self.entries.get_mut(tenant)?;
        *last_use = self.uses;
        Some(value)
    }

    /// Takes something in, and gives back what had to go for it.
    pub(super) fn insert(&mut self, tenant: Tenant, value: V) -> Option<(Tenant, V)> {
        self.uses += 1;
        self.entries.insert(tenant, (self.uses, value));
        if self.entries.len() <= self.capacity {
            return None;
        }
        // To look at all of them costs less than what was done to open one.
        let oldest = self.entries.iter().min_by_key(|(_, (last_use, _))| *last_use);
        let oldest = oldest.map(|(tenant, _)| tenant.clone())?;
        self.entries.remove(&oldest).map(|(_, value)| (oldest, value))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn remove(&mut self, tenant: &Tenant) -> Option<V> {
        self.entries.remove(tenant).map(|(_, value)| value)
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
