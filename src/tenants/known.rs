//! What a function knows of its tenants: whose bundle is open or being opened, and for whom there was none.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;

use super::recent::Recent;
use crate::reason::Reason;
use crate::source::current::Current;
use crate::tenant::Tenant;
use crate::time::UnixTime;

/// What is known of tenants. However many names come, it stays of one size.
#[derive(Debug)]
pub(super) struct Known {
    open: Recent<Arc<Current>>,
    opening: HashMap<Tenant, Opening>,
    setbacks: HashMap<Tenant, Setback>,
    /// The revisions of those that are no longer open.
    revisions: Recent<u64>,
}

/// One opening of a bundle, however many calls wait for it.
pub(super) type Opening = Arc<OnceCell<Result<Arc<Current>, Reason>>>;

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
pub(super) enum Found {
    /// It is there.
    Open(Arc<Current>),
    /// It is to be opened, by whoever is first.
    Opening(Opening),
    /// Nothing, for now.
    Not(Reason),
}

impl Known {
    pub(super) fn new(max_open: usize) -> Self {
        Self {
            open: Recent::new(max_open),
            opening: HashMap::new(),
            setbacks: HashMap::new(),
            revisions: Recent::new(MAX_REVISIONS),
        }
    }

    pub(super) fn find(&mut self, tenant: &Tenant, now: UnixTime) -> Found {
        if let Some(current) = self.open.get(tenant) {
            return Found::Open(Arc::clone(current));
        }
        if let Some(opening) = self.opening.get(tenant) {
            return Found::Opening(Arc::clone(opening));
        }
        match self.setbacks.get(tenant) {
            Some(setback) if setback.holds(now) => return Found::Not(setback.reason),
            Some(_) => {}
            // Once open, it is no name that somebody made up.
            None if self.revisions.contains(tenant) => {}
            None => {
                if self.setbacks.len() >= MAX_SETBACKS {
                    self.setbacks.retain(|_, setback| setback.holds(now));
                }
                if self.setbacks.len() + self.opening.len() >= MAX_SETBACKS {
                    return Found::Not(Reason::TenantUnavailable);
                }
            }
        }
        Found::Opening(Arc::clone(self.opening.entry(tenant.clone()).or_default()))
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

/// How many names may be asked for in vain within [`MAX_WAIT`]. Behind a wildcard domain name anybody can
/// make names up; a thousand functions at once, Lambda's quota, then ask 3,333 times a second, and S3
/// answers 5,500 under one prefix (Amazon S3 User Guide, "Optimizing performance").
const MAX_SETBACKS: usize = 200;

/// More tenants than one function meets in its life, in about a megabyte.
const MAX_REVISIONS: usize = 10_000;
