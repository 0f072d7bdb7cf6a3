//! The bundle in use, and how it is replaced while the function runs.
//!
//! Lambda freezes the function between calls, so the function looks for a newer bundle during a call, when one is due
//! by the clock. There is only one look at a time. It is a conditional request, and the call waits for it only briefly.
//! A slow look continues while later calls are answered; at its limit it is given up. A new bundle is opened and
//! checked completely before it replaces the old one. If it cannot be used, that is reported and nothing changes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::rand;
use tracing::{error, info, warn};

use super::schedule::{BundleNeed, Schedule};
use super::{BundleUri, COLD_ATTEMPTS, Fetcher, Found, FoundBundle, LoadFailure};
use crate::bundle::file::UnreadableFile;
use crate::bundle::signature::PublicKeys;
use crate::bundle::{Bundle, Manifest, Opening, Tenant, Trust};
use crate::cache::lock;
use crate::function::config::TrustedIssuers;
use crate::function::jwks::{KeyCache, KeyClient, KeyTrust};
use crate::function::serving::Serving;
use crate::function::telemetry::counters::Counted;
use crate::function::under_way::{UnderWay, WorkState};
use crate::gateway::cache_key::CacheKey;
use crate::reason::Reason;
use crate::time::UnixTime;

/// The conditions that a bundle must meet to be used, and when the function looks for a newer one.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// Which keys may sign tokens, besides those of the issuers.
    pub key_trust: KeyTrust,
    /// The keys that may sign bundles. `None`: a bundle need not be signed.
    pub public_keys: Option<PublicKeys>,
    /// The name of its store (`BUNDLE_NAME`). `None`: any.
    pub name: Option<String>,
    /// The tenant that it must be for.
    pub audience: Audience,
    /// The lowest revision.
    pub min_revision: u64,
    /// The issuers whose tokens it may accept. `None`: any.
    pub trusted_issuers: Option<TrustedIssuers>,
    /// What API Gateway keys its cache by.
    pub cache_key: CacheKey,
    /// How often the function looks for a newer bundle.
    pub refresh: Duration,
    /// How long a bundle may serve without being confirmed as the current one.
    pub max_stale: Duration,
}

impl Conditions {
    /// Opens a bundle.
    ///
    /// # Errors
    /// [`LoadFailure`], if this is not a bundle or must not be used.
    fn open(&self, opening: Opening, least_revision: u64, now: UnixTime) -> Result<Bundle, LoadFailure> {
        let development_keys = self.key_trust.development_keys;
        let trust = Trust { development_keys, public_keys: self.public_keys.as_ref() };
        let bundle = Bundle::open(opening, trust)?;
        self.check_addressee(bundle.manifest())?;
        let (found, least) = (bundle.revision(), least_revision.max(self.min_revision));
        if found < least {
            return Err(LoadFailure::RevisionTooLow { found, least });
        }
        if bundle.manifest().has_ended(now) {
            return Err(LoadFailure::Expired);
        }
        if let Some(trusted) = &self.trusted_issuers {
            let strangers = bundle.identity_sources().iter().filter(|source| !trusted.covers(source));
            let names: Vec<&str> = strangers.map(|source| source.name()).collect();
            if !names.is_empty() {
                return Err(LoadFailure::UntrustedIdentitySource(names.join("`, `")));
            }
        }
        if !self.cache_key.holds_token(bundle.token_location()) {
            return Err(LoadFailure::CacheKeyWithoutToken(bundle.token_location().header.clone()));
        }
        Ok(bundle)
    }

    /// Whether a bundle is of the right store and for the right tenant. Without this check, whoever can write to
    /// the bucket could swap bundles that are signed with the same key.
    fn check_addressee(&self, manifest: &Manifest) -> Result<(), LoadFailure> {
        let Manifest { name: found, tenant, .. } = manifest;
        if let Some(expected) = self.name.as_ref().filter(|expected| *expected != found) {
            return Err(LoadFailure::NameMismatch { found: found.clone(), expected: expected.clone() });
        }
        let expected = match &self.audience {
            Audience::Any => return Ok(()),
            Audience::NoTenant => None,
            Audience::Tenant(tenant) => Some(tenant),
        };
        // This is no loss: whoever can swap unsigned bundles can also write a tenant into them.
        let may_lack_tenant = self.public_keys.is_none() && tenant.is_none();
        if tenant.as_ref() == expected || may_lack_tenant {
            return Ok(());
        }
        Err(LoadFailure::TenantMismatch { found: tenant.clone(), expected: expected.cloned() })
    }
}

/// The tenant that a bundle must be for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Any tenant or none.
    Any,
    /// No tenant in particular: one bundle answers all calls, or it is the root, which says who the tenant is.
    NoTenant,
    /// This tenant. A bundle may leave the tenant out only if bundles need not be signed.
    Tenant(Tenant),
}

/// The bundle in use.
#[derive(Debug)]
pub struct Current {
    fetcher: Fetcher,
    conditions: Conditions,
    max_tokens: usize,
    client: KeyClient,
    /// None of these is ever held across an await.
    serving: Mutex<Arc<Serving>>,
    schedule: Mutex<Schedule>,
    seen: Mutex<LastLook>,
    under_way: Mutex<Option<Arc<UnderWay<()>>>>,
}

/// What the last look found.
#[derive(Clone, Debug, Default)]
struct LastLook {
    etag: Option<String>,
    /// Why the bundle that was found is not in use.
    refused: Option<&'static str>,
    /// Why that look failed.
    failure: Option<&'static str>,
}

impl Current {
    /// Loads the bundle, or the fallback if that fails. `max_tokens` verified tokens are kept with it.
    ///
    /// # Errors
    /// Why no bundle could be loaded.
    pub async fn load(
        fetcher: Fetcher,
        fallback: Option<BundleUri>,
        conditions: Conditions,
        max_tokens: usize,
        client: KeyClient,
        now: UnixTime,
    ) -> Result<Arc<Self>, LoadFailure> {
        Self::load_with_keys(fetcher, fallback, conditions, max_tokens, client, None, now).await
    }

    /// The same, but with the keys that were fetched before for the same issuers, as long as they are not too old.
    pub(crate) async fn load_with_keys(
        fetcher: Fetcher,
        fallback: Option<BundleUri>,
        conditions: Conditions,
        max_tokens: usize,
        client: KeyClient,
        before: Option<&KeyCache>,
        now: UnixTime,
    ) -> Result<Arc<Self>, LoadFailure> {
        let loaded = match fetcher.fetch(None, COLD_ATTEMPTS).await {
            Ok(Found::New(FoundBundle { opening, etag, object })) => {
                conditions.open(opening, 0, now).map(|bundle| (bundle, etag, object))
            }
            Ok(Found::Unchanged) => Err(LoadFailure::Unreadable(UnreadableFile::Changed)),
            Err(failure) => Err(failure),
        };
        let (bundle, etag, object, uri) = match (loaded, fallback) {
            (Ok((bundle, etag, object)), _) => (bundle, etag, object, fetcher.uri().clone()),
            (Err(failure), None) => return Err(failure),
            (Err(failure), Some(fallback)) => {
                client.counters().count(Counted::RefreshFailed);
                error!(code = failure.code(), %failure, %fallback, "bundle not loaded; the fallback serves");
                let bundle = match Fetcher::from_env(fallback.clone()).await.fetch(None, 1).await? {
                    Found::New(found) => conditions.open(found.opening, 0, now)?,
                    Found::Unchanged => return Err(failure),
                };
                (bundle, None, None, fallback)
            }
        };
        let keys = KeyCache::load(&bundle, &conditions.key_trust, client.clone(), before, now).await;
        let manifest = bundle.manifest();
        info!(bundle = manifest.name, revision = manifest.revision, %uri, "bundle loaded");
        let mut jitter = [0];
        // Without random numbers all functions ask at the same time. That is no reason not to answer.
        let _ = rand::fill(&mut jitter);
        let schedule = Schedule::new(conditions.refresh, conditions.max_stale, jitter[0], now);
        Ok(Arc::new(Self {
            fetcher,
            conditions,
            max_tokens,
            client,
            serving: Mutex::new(Arc::new(Serving::new(bundle, keys, max_tokens, now).with_parts(object))),
            schedule: Mutex::new(schedule),
            seen: Mutex::new(LastLook { etag, ..LastLook::default() }),
            under_way: Mutex::default(),
        }))
    }

    /// The bundle for a call. Looks for a newer one first if that is due.
    ///
    /// # Errors
    /// [`Reason::BundleStale`], if the bundle was not confirmed as the current one for too long, or has expired.
    pub async fn get(self: &Arc<Self>, now: UnixTime) -> Result<Arc<Serving>, Reason> {
        match self.need(now) {
            // Parts of the bundle cannot be fetched any more. Calls that need them need the new one.
            _ if self.serving().is_replaced() => {
                lock(&self.schedule).replaced(now);
                self.refresh(now, BundleNeed::TooStale).await;
            }
            BundleNeed::Fresh => {}
            // After a long freeze the bundle is too stale as well. Then the call needs the result.
            need @ (BundleNeed::Due | BundleNeed::TooStale) => self.refresh(now, need).await,
        }
        match self.need(now) {
            BundleNeed::TooStale => Err(Reason::BundleStale),
            BundleNeed::Fresh | BundleNeed::Due => Ok(self.serving()),
        }
    }

    /// The bundle in use.
    pub fn serving(&self) -> Arc<Serving> {
        Arc::clone(&lock(&self.serving))
    }

    /// The code of the failure of the last look for a newer bundle, if it failed.
    pub fn last_failure(&self) -> Option<&'static str> {
        lock(&self.seen).failure
    }

    fn need(&self, now: UnixTime) -> BundleNeed {
        if self.serving().bundle.manifest().has_ended(now) {
            BundleNeed::TooStale
        } else {
            lock(&self.schedule).need(now)
        }
    }

    /// Begins a look, unless one is under way, and waits for it.
    async fn refresh(self: &Arc<Self>, now: UnixTime, need: BundleNeed) {
        let look = match self.look_under_way(now) {
            // Later calls wait for this look only if they cannot be answered without it.
            Some(_) if need == BundleNeed::Due => return,
            Some(look) => look,
            None if lock(&self.schedule).begin(now, need) => {
                let look = UnderWay::begin(LIMIT, now, Arc::clone(self).look(now, need));
                *lock(&self.under_way) = Some(Arc::clone(&look));
                look
            }
            None => return,
        };
        let patience = match need {
            BundleNeed::TooStale => STALE_PATIENCE,
            BundleNeed::Fresh | BundleNeed::Due => lock(&self.schedule).patience(),
        };
        look.within(patience).await;
    }

    /// The look that is under way, unless it took too long.
    fn look_under_way(&self, now: UnixTime) -> Option<Arc<UnderWay<()>>> {
        let look = lock(&self.under_way).clone()?;
        match look.state(now) {
            WorkState::Running => Some(look),
            WorkState::Ended => None,
            WorkState::Overdue => {
                warn!(limit = ?LIMIT, "a look for another bundle took too long and is given up");
                look.give_up();
                lock(&self.schedule).given_up(now);
                None
            }
        }
    }

    /// Looks for a newer bundle and puts it into use.
    ///
    /// It may be aborted at every await, so it changes everything at once, after the last of them. Otherwise it could
    /// keep the entity tag of a bundle that is not in use, and then that tag would confirm the old bundle for ever.
    async fn look(self: Arc<Self>, now: UnixTime, need: BundleNeed) {
        let seen = lock(&self.seen).clone();
        // A connection from before a freeze may be dead. A call that needs the result has time for a second attempt.
        let attempts = if need == BundleNeed::TooStale { 2 } else { 1 };
        let (opening, etag, object) = match self.fetcher.fetch(seen.etag.as_deref(), attempts).await {
            Ok(Found::New(FoundBundle { opening, etag, object })) => (opening, etag, object),
            Ok(Found::Unchanged) => match seen.refused {
                None => {
                    lock(&self.seen).failure = None;
                    return self.confirmed(Counted::RefreshUnchanged, now);
                }
                Some(code) => {
                    warn!(code, "the bundle that is there still cannot be used; the last good one serves");
                    return self.failed(now);
                }
            },
            Err(failure) => {
                lock(&self.seen).failure = Some(failure.code());
                return self.report(&failure, now);
            }
        };
        let old = self.serving();
        match self.conditions.open(opening, old.bundle.revision(), now) {
            Ok(bundle) => {
                let (trust, client) = (&self.conditions.key_trust, self.client.clone());
                let keys = KeyCache::load(&bundle, trust, client, Some(&old.keys), now).await;
                let (revision, before) = (bundle.revision(), old.bundle.revision());
                *lock(&self.seen) = LastLook { etag, ..LastLook::default() };
                let serving = Serving::new(bundle, keys, self.max_tokens, now).with_parts(object);
                *lock(&self.serving) = Arc::new(serving);
                self.confirmed(Counted::RefreshReplaced, now);
                info!(revision, before, "bundle refreshed");
            }
            Err(failure) => {
                let code = Some(failure.code());
                *lock(&self.seen) = LastLook { etag, refused: code, failure: code };
                self.report(&failure, now);
            }
        }
    }

    fn report(&self, failure: &LoadFailure, now: UnixTime) {
        let revision = self.serving().bundle.revision();
        error!(code = failure.code(), %failure, revision, "bundle not refreshed; the last good one serves");
        self.failed(now);
    }

    /// The bundle in use is the current one.
    fn confirmed(&self, how: Counted, now: UnixTime) {
        self.client.counters().count(how);
        self.serving().confirmed(now);
        lock(&self.schedule).confirmed(now);
    }

    fn failed(&self, now: UnixTime) {
        self.client.counters().count(Counted::RefreshFailed);
        lock(&self.schedule).failed(now);
    }
}

/// How long a call waits if it cannot be answered without a new look. An HTTP API waits ten seconds in all.
const STALE_PATIENCE: Duration = Duration::from_secs(3);

/// The limit for a look, or for opening a bundle. It covers the requests to S3 and to key servers, which have
/// deadlines of their own (`s3::DEADLINE`, `jwks::fetch::DEADLINE`). Lambda's init phase has ten seconds as well.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);
