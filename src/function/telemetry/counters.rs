//! What happens beside the answers: looks for bundles, fetches of keys, differences of the shadow bundle.

use std::sync::atomic::{AtomicU32, Ordering};

/// Counts until the counts are [taken](Counters::take). Work that a call does not wait for is counted with the call
/// during which it ends.
#[derive(Debug, Default)]
pub struct Counters {
    refreshes_unchanged: AtomicU32,
    refreshes_replaced: AtomicU32,
    refreshes_failed: AtomicU32,
    key_fetches: AtomicU32,
    key_fetch_failures: AtomicU32,
    shadow_differences: AtomicU32,
}

/// What happened since the counts were last taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Looks for a newer bundle that found the one in use.
    pub refreshes_unchanged: u32,
    /// Looks that found a newer bundle, which is in use now.
    pub refreshes_replaced: u32,
    /// Looks that failed, or found a bundle that cannot be used.
    pub refreshes_failed: u32,
    /// Fetches of key sets, the failed ones too.
    pub key_fetches: u32,
    /// Fetches of key sets that failed.
    pub key_fetch_failures: u32,
    /// Calls that the shadow bundle would have answered differently.
    pub shadow_differences: u32,
}

/// What can be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::function) enum Counted {
    RefreshUnchanged,
    RefreshReplaced,
    RefreshFailed,
    KeyFetch,
    KeyFetchFailure,
    ShadowDifference,
}

impl Counters {
    pub(in crate::function) fn count(&self, what: Counted) {
        let counter = match what {
            Counted::RefreshUnchanged => &self.refreshes_unchanged,
            Counted::RefreshReplaced => &self.refreshes_replaced,
            Counted::RefreshFailed => &self.refreshes_failed,
            Counted::KeyFetch => &self.key_fetches,
            Counted::KeyFetchFailure => &self.key_fetch_failures,
            Counted::ShadowDifference => &self.shadow_differences,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The counts since the last time. They begin at zero again.
    pub fn take(&self) -> Counts {
        let take = |counter: &AtomicU32| counter.swap(0, Ordering::Relaxed);
        Counts {
            refreshes_unchanged: take(&self.refreshes_unchanged),
            refreshes_replaced: take(&self.refreshes_replaced),
            refreshes_failed: take(&self.refreshes_failed),
            key_fetches: take(&self.key_fetches),
            key_fetch_failures: take(&self.key_fetch_failures),
            shadow_differences: take(&self.shadow_differences),
        }
    }
}
