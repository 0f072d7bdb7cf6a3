//! What a function knows of its tenants: which bundles are open or being opened, and which could not be opened.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::budget::Budget;
use super::recent::Recent;
use crate::bundle::Tenant;
use crate::function::source::current::Current;
use crate::function::under_way::{UnderWay, WorkState};
use crate::reason::Reason;
use crate::time::UnixTime;

/// What is known of tenants. Its size is bounded, however many names come.
#[derive(Debug)]
pub(super) struct KnownTenants {
    open: Recent<Arc<Current>>,
    opening: HashMap<Tenant, Opening>,
    /// Made-up names push only each other out of this map.
    setbacks: Recent<Setback>,
    /// The revisions of the bundles that were closed.
    revisions: Recent<u64>,
    budget: Budget,
}

/// The opening of a bundle. Any number of calls may wait for it.
pub(super) type Opening = Arc<UnderWay<Result<Arc<Current>, Reason>>>;

/// A tenant whose bundle does not exist or cannot be used.
#[derive(Clone, Copy, Debug)]
struct Setback {
    reason: Reason,
    since: UnixTime,
    wait: Duration,
}

impl Setback {
    /// Whether it is too early to ask again. If the clock was set back, it is not.
    fn holds(&self, now: UnixTime) -> bool {
        now >= self.since && now.since(self.since) < self.wait
    }
}

/// What has to be done about the bundle of a tenant.
#[derive(Debug)]
pub(super) enum TenantState {
    /// It is open.
    Open(Arc<Current>),
    /// It is being opened.
    Opening(Opening),
    /// Nothing, for now.
    Not(Reason),
}

impl KnownTenants {
    pub(super) fn new(max_open: usize) -> Self {
        Self {
            open: Recent::new(max_open),
            opening: HashMap::new(),
            setbacks: Recent::new(MAX_SETBACKS),
            revisions: Recent::new(MAX_REVISIONS),
            budget: Budget::new(),
        }
    }

    /// What is known of a tenant. `begin` starts to open its bundle.
    pub(super) fn find(
        &mut self,
        tenant: &Tenant,
        now: UnixTime,
        begin: impl FnOnce() -> Opening,
    ) -> TenantState {
        if let Some(current) = self.open.get(tenant) {
            return TenantState::Open(Arc::clone(current));
        }
        match self.opening.get(tenant).map(|opening| (opening, opening.state(now))) {
            Some((opening, WorkState::Running)) => return TenantState::Opening(Arc::clone(opening)),
            Some((opening, WorkState::Overdue)) => opening.give_up(),
            Some((_, WorkState::Ended)) | None => {}
        }
        self.opening.remove(tenant);
        if let Some(setback) = self.setbacks.get(tenant).filter(|setback| setback.holds(now)) {
            return TenantState::Not(setback.reason);
        }
        // A bundle that was open before shows that the name is not made up.
        if !self.revisions.contains(tenant) && !self.may_look_up(now) {
            return TenantState::Not(Reason::TenantUnavailable);
        }
        let opening = begin();
        self.opening.insert(tenant.clone(), Arc::clone(&opening));
        TenantState::Opening(opening)
    }

    /// Whether a name that was never open here may be looked up now.
    fn may_look_up(&mut self, now: UnixTime) -> bool {
        if self.opening.len() >= MAX_OPENING {
            self.opening.retain(|_, opening| match opening.state(now) {
                WorkState::Running => true,
                WorkState::Overdue | WorkState::Ended => {
                    opening.give_up();
                    false
                }
            });
        }
        self.opening.len() < MAX_OPENING && self.budget.take(now)
    }

    /// The lowest revision that the bundle of a tenant may have: that of its last bundle.
    pub(super) fn least_revision(&mut self, tenant: &Tenant) -> u64 {
        self.revisions.get(tenant).copied().unwrap_or_default()
    }

    /// Notes that an opening has ended. Returns the tenant whose bundle was closed to make room.
    pub(super) fn opened(
        &mut self,
        tenant: &Tenant,
        opened: &Result<Arc<Current>, Reason>,
        now: UnixTime,
    ) -> Option<Tenant> {
        self.opening.remove(tenant);
        match opened {
            Ok(current) => {
                self.setbacks.remove(tenant);
                let (oldest, closed) = self.open.insert(tenant.clone(), Arc::clone(current))?;
                self.revisions.insert(oldest.clone(), closed.serving().bundle.revision());
                Some(oldest)
            }
            Err(reason) => {
                let before = self.setbacks.get(tenant).filter(|before| before.reason == *reason);
                let wait = match (reason, before) {
                    (Reason::TenantUnknown, _) => MAX_WAIT,
                    (_, Some(before)) => (before.wait * 2).min(MAX_WAIT),
                    (_, None) => MIN_WAIT,
                };
                self.setbacks.insert(tenant.clone(), Setback { reason: *reason, since: now, wait });
                None
            }
        }
    }

    /// Closes the bundle of a tenant, unless another one was opened since.
    pub(super) fn close(&mut self, tenant: &Tenant, current: &Arc<Current>) {
        if self.open.get(tenant).is_some_and(|open| Arc::ptr_eq(open, current)) {
            self.open.remove(tenant);
            self.revisions.insert(tenant.clone(), current.serving().bundle.revision());
        }
    }
}

/// For how long an unknown tenant stays unknown. A new tenant may have to wait this long.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// How soon the function asks again after it could not load or use a bundle.
const MIN_WAIT: Duration = Duration::from_secs(5);

/// How many failed names are remembered, in about two megabytes. That is nearly the budget of the minute that they
/// are remembered for. A name that is forgotten earlier is asked for again.
const MAX_SETBACKS: usize = 10_000;

/// How many bundles may be opened at once for names that were never open here. While S3 does not answer, each call
/// leaves one opening behind, for ten seconds at most. Each holds a connection and what it has read.
const MAX_OPENING: usize = 32;

/// More tenants than one function meets in its life. They take about a megabyte.
const MAX_REVISIONS: usize = 10_000;

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::runtime;

    use super::*;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::from_seconds(1_000_000 + seconds)
    }

    fn tenant(number: u64) -> Tenant {
        format!("x{number}.example.com").parse().unwrap()
    }

    fn begin() -> Opening {
        UnderWay::begin(Duration::from_secs(10), at(0), pending())
    }

    fn run(test: impl Future<Output = ()>) {
        runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
    }

    #[test]
    fn however_many_names_come_it_stays_of_one_size() {
        run(async {
            let mut known = KnownTenants::new(5);
            for number in 0..15_000 {
                let (tenant, now) = (tenant(number), at(number / 100));
                assert!(matches!(known.find(&tenant, now, begin), TenantState::Opening(_)), "{number}");
                known.opened(&tenant, &Err(Reason::TenantUnknown), now);
                assert!(known.opening.is_empty() && known.setbacks.len() <= MAX_SETBACKS);
            }
            // The last names are remembered.
            let is_known = |known: &mut KnownTenants, number| {
                matches!(known.find(&tenant(number), at(150), begin), TenantState::Not(Reason::TenantUnknown))
            };
            assert!(is_known(&mut known, 14_999) && is_known(&mut known, 9_100));
            assert!(!is_known(&mut known, 0));
        });
    }

    #[test]
    fn so_many_are_opened_at_once_until_they_are_overdue() {
        run(async {
            let mut known = KnownTenants::new(5);
            let is_opened = |known: &mut KnownTenants, number, now| {
                matches!(known.find(&tenant(number), now, begin), TenantState::Opening(_))
            };
            for number in 0..100 {
                assert_eq!(is_opened(&mut known, number, at(0)), number < 32, "{number}");
            }
            // Calls that already wait keep waiting. A bundle that was open before does not count.
            assert!(is_opened(&mut known, 31, at(10)));
            known.revisions.insert(tenant(50), 1);
            assert!(is_opened(&mut known, 50, at(10)));
            assert!(!is_opened(&mut known, 99, at(10)));
            assert!(is_opened(&mut known, 99, at(11)));
            assert_eq!(known.opening.len(), 1);
        });
    }
}
