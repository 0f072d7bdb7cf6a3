//! What a function knows of its tenants: whose bundle is open or being opened, and for whom there was none.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::budget::Budget;
use super::recent::Recent;
use crate::bundle::Tenant;
use crate::function::source::current::Current;
use crate::function::under_way::{State, UnderWay};
use crate::reason::Reason;
use crate::time::UnixTime;

/// What is known of tenants. However many names come, it stays of one size.
#[derive(Debug)]
pub(super) struct KnownTenants {
    open: Recent<Arc<Current>>,
    opening: HashMap<Tenant, Opening>,
    /// Names that somebody made up push out one another here, and nobody else.
    setbacks: Recent<Setback>,
    /// The revisions of those that are no longer open.
    revisions: Recent<u64>,
    budget: Budget,
}

/// One opening of a bundle, however many calls wait for it.
pub(super) type Opening = Arc<UnderWay<Result<Arc<Current>, Reason>>>;

/// A tenant for whom there was no bundle, or none that can be used.
#[derive(Clone, Copy, Debug)]
struct Setback {
    reason: Reason,
    since: UnixTime,
    wait: Duration,
}

impl Setback {
    /// Whether it is too early to ask again. With a clock that was set back it is not.
    fn holds(&self, now: UnixTime) -> bool {
        now >= self.since && now.since(self.since) < self.wait
    }
}

/// What is to be done about the bundle of a tenant.
#[derive(Debug)]
pub(super) enum TenantState {
    /// It is there.
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

    /// What there is of a tenant. `begin` begins to open its bundle.
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
            Some((opening, State::Running)) => return TenantState::Opening(Arc::clone(opening)),
            Some((opening, State::Overdue)) => opening.give_up(),
            Some((_, State::Ended)) | None => {}
        }
        self.opening.remove(tenant);
        if let Some(setback) = self.setbacks.get(tenant).filter(|setback| setback.holds(now)) {
            return TenantState::Not(setback.reason);
        }
        // Once open, it is no name that somebody made up.
        if !self.revisions.contains(tenant) && !self.may_look_up(now) {
            return TenantState::Not(Reason::TenantUnavailable);
        }
        let opening = begin();
        self.opening.insert(tenant.clone(), Arc::clone(&opening));
        TenantState::Opening(opening)
    }

    /// Whether a name may be looked up that was never open here.
    fn may_look_up(&mut self, now: UnixTime) -> bool {
        if self.opening.len() >= MAX_OPENING {
            self.opening.retain(|_, opening| match opening.state(now) {
                State::Running => true,
                State::Overdue | State::Ended => {
                    opening.give_up();
                    false
                }
            });
        }
        self.opening.len() < MAX_OPENING && self.budget.take(now)
    }

    /// The revision that the bundle of a tenant must have at least: that of the last one.
    pub(super) fn least_revision(&mut self, tenant: &Tenant) -> u64 {
        self.revisions.get(tenant).copied().unwrap_or_default()
    }

    /// An opening has ended. Gives back the tenant that was closed for it.
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

    /// Closes the bundle of a tenant, unless it is another one by now.
    pub(super) fn close(&mut self, tenant: &Tenant, current: &Arc<Current>) {
        if self.open.get(tenant).is_some_and(|open| Arc::ptr_eq(open, current)) {
            self.open.remove(tenant);
            self.revisions.insert(tenant.clone(), current.serving().bundle.revision());
        }
    }
}

/// For how long an unknown tenant stays unknown: so long a new one may have to wait.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// How soon a bundle that could not be had or used is asked for again.
const MIN_WAIT: Duration = Duration::from_secs(5);

/// How many names are remembered that were asked for in vain, in about two megabytes: nearly as many as the budget
/// has for the minute that they are remembered for. What is forgotten earlier is asked for again.
const MAX_SETBACKS: usize = 10_000;

/// How many bundles may be opened at once for names that were never open here. While S3 does not answer each call
/// leaves one behind, for ten seconds at most; each holds a connection and what it has read.
const MAX_OPENING: usize = 32;

/// More tenants than one function meets in its life, in about a megabyte.
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
            // The last ones are those that are remembered.
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
            // Whoever waits already goes on waiting, and one that was open before is not counted.
            assert!(is_opened(&mut known, 31, at(10)));
            known.revisions.insert(tenant(50), 1);
            assert!(is_opened(&mut known, 50, at(10)));
            assert!(!is_opened(&mut known, 99, at(10)));
            assert!(is_opened(&mut known, 99, at(11)));
            assert_eq!(known.opening.len(), 1);
        });
    }
}
