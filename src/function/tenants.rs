//! The bundles of tenants. Each is opened when it is first needed, with keys and caches of its own.
//!
//! ```text
//! call -> name -> open: its bundle in use
//!                 unknown within the last minute: denied, and S3 is not asked
//!                 never open here, and the budget of look-ups is spent: a fault, for a fraction of a second
//!                 otherwise: opened, once for all calls that wait, and the least recently used one is closed
//! ```
//!
//! No tenant affects another. A bundle in use has its own keys, verified tokens, schedule and failures. Opening a
//! bundle delays only the calls that wait for it.

mod budget;
mod known;
mod recent;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::Value;
use tracing::{Instrument, error, info, info_span, warn};

use crate::bundle::Tenant;
use crate::cache::lock;
use crate::function::jwks::KeyClient;
use crate::function::serving::Serving;
use crate::function::source::current::{Audience, Conditions, Current, LIMIT};
use crate::function::source::{Fetcher, LoadFailure};
use crate::function::tenant::{CallPart, Tenancy, TenantFrom, TenantUri};
use crate::function::token_cache::MAX_TOKENS;
use crate::function::under_way::UnderWay;
use crate::gateway::call::Call;
use crate::reason::Reason;
use crate::time::UnixTime;
use known::{KnownTenants, TenantState};

/// The bundles of all tenants.
#[derive(Debug)]
pub struct Tenants {
    naming: Naming,
    fetcher: Fetcher,
    uri: TenantUri,
    conditions: Conditions,
    /// How many verified tokens are kept for each tenant.
    max_tokens: usize,
    client: KeyClient,
    /// Never held across an await.
    known: Mutex<KnownTenants>,
}

/// How the tenant of a call is found.
#[derive(Debug)]
enum Naming {
    Call(CallPart),
    /// A claim. The root, which is the same for all tenants, vouches for it.
    Claim {
        name: String,
        root: Arc<Current>,
    },
}

/// Why no bundle serves a call.
#[derive(Clone, Debug)]
pub struct Unserved {
    /// The reason code.
    pub reason: Reason,
    /// The tenant of the call. `None`: it is not known.
    pub tenant: Option<Tenant>,
}

impl From<Reason> for Unserved {
    fn from(reason: Reason) -> Self {
        Self { reason, tenant: None }
    }
}

impl Tenants {
    /// Gets ready. Loads the root if a claim names the tenants. `fetcher` has the URI for the bundles of tenants.
    ///
    /// # Errors
    /// [`LoadFailure`].
    pub async fn load(
        fetcher: Fetcher,
        tenancy: &Tenancy,
        conditions: Conditions,
        client: KeyClient,
        now: UnixTime,
    ) -> Result<Arc<Self>, LoadFailure> {
        let uri = TenantUri::try_from(fetcher.uri())?;
        let naming = match &tenancy.from {
            TenantFrom::Call(part) => Naming::Call(*part),
            TenantFrom::Claim { name, root_uri } => {
                let root = fetcher.at(root_uri.clone()).await;
                let root =
                    Current::load(root, None, conditions.clone(), MAX_TOKENS, client.clone(), now).await?;
                Naming::Claim { name: name.clone(), root }
            }
        };
        let max_tokens = (MAX_TOKENS_OF_ALL / tenancy.max_open.max(1)).clamp(MIN_TOKENS, MAX_TOKENS);
        let known = Mutex::new(KnownTenants::new(tenancy.max_open));
        Ok(Arc::new(Self { naming, fetcher, uri, conditions, max_tokens, client, known }))
    }

    /// The root, if there is one.
    pub(super) fn root(&self) -> Option<&Arc<Current>> {
        match &self.naming {
            Naming::Call(_) => None,
            Naming::Claim { root, .. } => Some(root),
        }
    }

    /// The tenant of a call, and its bundle.
    ///
    /// # Errors
    /// [`Unserved`]: [`Reason::TenantUnknown`], [`Reason::TenantUnavailable`], [`Reason::BundleStale`], or what is
    /// wrong with the token that names the tenant.
    pub async fn get(
        self: &Arc<Self>,
        call: &Call,
        now: UnixTime,
    ) -> Result<(Tenant, Arc<Serving>), Unserved> {
        let (tenant, root) = match &self.naming {
            Naming::Call(part) => (part.tenant_of(call), None),
            Naming::Claim { name, root } => {
                let root = root.get(now).await?;
                let (known, _) = root.authenticate(call, now).await?;
                let claim = known.token().claims().get(name).and_then(Value::as_str);
                (claim.and_then(|claim| claim.parse().ok()), Some(root))
            }
        };
        let tenant = tenant.ok_or(Reason::TenantUnknown)?;
        let span = info_span!("tenant", %tenant);
        match self.serving(&tenant, root.as_deref(), now).instrument(span).await {
            Ok(serving) => Ok((tenant, serving)),
            Err(reason) => Err(Unserved { reason, tenant: Some(tenant) }),
        }
    }

    async fn serving(
        self: &Arc<Self>,
        tenant: &Tenant,
        root: Option<&Serving>,
        now: UnixTime,
    ) -> Result<Arc<Serving>, Reason> {
        let found = self.known().find(tenant, now, || {
            let (tenants, tenant) = (Arc::clone(self), tenant.clone());
            UnderWay::begin(LIMIT, now, async move { tenants.open(&tenant, now).await })
        });
        let current = match found {
            TenantState::Open(current) => current,
            // The call does not wait for ever. The opening continues during later calls.
            TenantState::Opening(opening) => {
                opening.within(PATIENCE).await.unwrap_or(Err(Reason::TenantUnavailable))?
            }
            TenantState::Not(reason) => return Err(reason),
        };
        let serving = current.get(now).await.inspect_err(|_| {
            // The tenant may be gone, so the next call asks as if the bundle had never been open.
            self.known().close(tenant, &current);
        })?;
        // The token that is decided on must be the one that names the tenant, and the one in API Gateway's cache key.
        if root.is_some_and(|root| root.bundle.token_location() != serving.bundle.token_location()) {
            error!("the bundle has the token in another place than the one of ROOT_BUNDLE_URI");
            return Err(Reason::TenantUnavailable);
        }
        Ok(serving)
    }

    async fn open(&self, tenant: &Tenant, now: UnixTime) -> Result<Arc<Current>, Reason> {
        let least = self.known().least_revision(tenant);
        let conditions = Conditions {
            audience: Audience::Tenant(tenant.clone()),
            min_revision: self.conditions.min_revision.max(least),
            ..self.conditions.clone()
        };
        let fetcher = self.fetcher.at(self.uri.for_tenant(tenant)).await;
        let loaded =
            Current::load(fetcher, None, conditions, self.max_tokens, self.client.clone(), now).await;
        let opened = loaded.map_err(|failure| {
            if failure.is_missing() && self.uri.has_home() {
                warn!(code = failure.code(), %failure, "no such tenant");
                Reason::TenantUnknown
            } else {
                error!(code = failure.code(), %failure, "the bundle of the tenant not loaded");
                Reason::TenantUnavailable
            }
        });
        if let Ok(current) = &opened {
            current.serving().report_uncacheable(&self.conditions.cache_key);
        }
        if let Some(closed) = self.known().opened(tenant, &opened, now) {
            info!(%closed, "bundle closed to make room");
        }
        opened
    }

    fn known(&self) -> MutexGuard<'_, KnownTenants> {
        // A poisoned lock still holds a complete value: nothing between its changes can panic.
        lock(&self.known)
    }
}

/// How long a call waits for the bundle of its tenant. An HTTP API waits ten seconds in all.
const PATIENCE: Duration = Duration::from_secs(3);

/// Shared by all bundles that may be open. So many tokens take less than fifty megabytes; with more than 200 tenants the
/// least for each counts, and there are more of them.
const MAX_TOKENS_OF_ALL: usize = 2_000;

/// Each tenant has at least this many, however many tenants there are: a page of a web application makes several
/// calls with one token.
const MIN_TOKENS: usize = 10;
