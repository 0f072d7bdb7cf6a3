//! Key sets over HTTP.
//!
//! An identity source whose keys are pinned needs no network: those keys are final. All other keys are fetched
//! during init, again when they are no longer fresh, and again when a token names a key that is missing. Nothing
//! runs in the background, because Lambda freezes the function between calls. Due work is done within a call, by
//! the wall clock.

mod fetch;
mod freshness;
mod runtime_api;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tracing::{debug, info, warn};

use crate::bundle::{Bundle, DevelopmentKeys};
use crate::cache::lock;
use crate::function::telemetry::counters::Counted;
use crate::function::under_way::{UnderWay, WorkState};
use crate::time::UnixTime;
use crate::token::identity_source::{IdentitySource, KeyLocation};
use crate::token::key_set::{KeyPlace, KeySet, KeySets};
use fetch::Fetched;
pub use fetch::{FetchFailure, KeyClient};
use freshness::{Freshness, KeyNeed};
pub use runtime_api::RuntimeApi;

/// The keys of every identity source of a bundle.
#[derive(Clone, Debug)]
pub struct KeyCache {
    /// One list for each identity source, with one entry for each of its key locations.
    sources: Vec<Vec<Arc<CachedKeys>>>,
}

#[derive(Debug)]
struct CachedKeys {
    /// The name of the identity source, for the log.
    source: String,
    /// `None`: the keys are pinned.
    location: Option<KeyLocation>,
    /// Whether this is not the first location of the source. It may well not exist: a Cognito pool has two issuers,
    /// and answers under the one that it is set to.
    is_alternative: bool,
    trust: KeyTrust,
    /// What is used instead of keys that are too old. It is always the same set, so that whoever remembers it knows it
    /// again.
    no_keys: Arc<KeySet>,
    client: KeyClient,
    /// Neither lock is ever held across an await.
    state: Mutex<KeyState>,
    under_way: Mutex<Option<Arc<UnderWay<()>>>>,
}

/// Which keys are trusted besides those of the issuers.
#[derive(Clone, Debug)]
pub struct KeyTrust {
    /// Whether the development key is trusted where an issuer publishes it.
    pub development_keys: DevelopmentKeys,
    /// Keys that are trusted as if every identity source published them. A token that none of them signed fares as if
    /// they were not there. Only programs that try out a policy store have such keys: no variable of the function sets
    /// them.
    pub test_keys: Option<Arc<KeySet>>,
}

impl From<DevelopmentKeys> for KeyTrust {
    fn from(development_keys: DevelopmentKeys) -> Self {
        Self { development_keys, test_keys: None }
    }
}

impl KeyTrust {
    /// The keys of an issuer, and those that are trusted besides.
    fn beside(&self, keys: KeySet) -> Arc<KeySet> {
        Arc::new(keys.with_test_keys(self.test_keys.clone()))
    }
}

#[derive(Debug, Default)]
struct KeyState {
    keys: Arc<KeySet>,
    freshness: Freshness,
}

impl KeyCache {
    /// Takes the pinned keys from a bundle and fetches the others, all at once. Keys in the cache of the bundle
    /// `before` it are kept instead. A failed fetch is only logged: the tokens of other sources can still be verified.
    pub async fn load(
        bundle: &Bundle,
        trust: &KeyTrust,
        client: KeyClient,
        before: Option<&Self>,
        now: UnixTime,
    ) -> Self {
        Self::load_for(bundle.identity_sources(), trust, client, before, now).await
    }

    /// The same for identity sources without a bundle.
    pub async fn load_for(
        sources: &[IdentitySource],
        trust: &KeyTrust,
        client: KeyClient,
        before: Option<&Self>,
        now: UnixTime,
    ) -> Self {
        let known = |source: &str, location: &Option<KeyLocation>| {
            let mut all = before?.sources.iter().flatten();
            all.find(|keys| location.is_some() && keys.source == source && keys.location == *location)
                .cloned()
        };
        let cached = |source: &str, location, is_alternative, keys| {
            // If an issuer is down right now, the keys that were already fetched must not be lost.
            if let Some(known) = known(source, &location) {
                return known;
            }
            Arc::new(CachedKeys {
                source: source.to_owned(),
                location,
                is_alternative,
                trust: trust.clone(),
                no_keys: trust.beside(KeySet::default()),
                client: client.clone(),
                state: Mutex::new(KeyState { keys: trust.beside(keys), freshness: Freshness::default() }),
                under_way: Mutex::default(),
            })
        };
        let sources = sources.iter().map(|source| match source.pinned_keys() {
            Some(keys) => {
                report_weak(source.name(), keys);
                vec![cached(source.name(), None, false, keys.clone())]
            }
            None => {
                let locations = source.key_locations().into_iter().enumerate();
                let cached =
                    |(number, location)| cached(source.name(), Some(location), number > 0, KeySet::default());
                locations.map(cached).collect()
            }
        });
        let cache = Self { sources: sources.collect() };
        let all = cache.sources.iter().flatten();
        let expired = all.filter(|keys| keys.lock().freshness.need(now) == KeyNeed::Expired);
        let fetches: Vec<_> = expired.filter_map(|keys| keys.fetch(now)).collect();
        for fetch in fetches {
            fetch.within(LIMIT).await;
        }
        cache
    }

    /// These keys for every identity source, as if they were pinned. Nothing is ever fetched.
    pub(super) fn of_final_keys(sources: &[IdentitySource], keys: &Arc<KeySet>) -> Self {
        let cached = |source: &IdentitySource| {
            vec![Arc::new(CachedKeys {
                source: source.name().to_owned(),
                location: None,
                is_alternative: false,
                trust: DevelopmentKeys::Refuse.into(),
                no_keys: Arc::default(),
                client: KeyClient::new(None),
                state: Mutex::new(KeyState { keys: Arc::clone(keys), freshness: Freshness::default() }),
                under_way: Mutex::default(),
            })]
        };
        Self { sources: sources.iter().map(cached).collect() }
    }

    /// The keys that may be used now. Keys that are too old are left out.
    pub fn snapshot(&self, now: UnixTime) -> KeySets {
        let usable = |keys: &Arc<CachedKeys>| keys.usable(now);
        KeySets::new(self.sources.iter().map(|source| source.iter().map(usable).collect()).collect())
    }

    /// The keys of a place, if there is such a place. Keys that are too old are left out.
    pub fn usable(&self, place: KeyPlace, now: UnixTime) -> Option<Arc<KeySet>> {
        Some(self.get(place)?.usable(now))
    }

    /// Fetches the keys of the place where a token's key should be, unless that was tried a moment ago. Returns when
    /// the fetch began, if there was one.
    pub async fn refresh(&self, place: KeyPlace, now: UnixTime) -> Option<Instant> {
        let fetch = self.get(place)?.fetch(now)?;
        let begun = Instant::now();
        fetch.within(LIMIT).await;
        Some(begun)
    }

    /// Fetches the keys of a place if they are stale. The call does not need the new keys, so it waits only about
    /// as long as a fetch usually takes. After that the fetch continues during later calls. Returns when the call began
    /// to wait, if it did.
    pub async fn refresh_if_stale(&self, place: KeyPlace, now: UnixTime) -> Option<Instant> {
        let keys = self.get(place).filter(|keys| keys.lock().freshness.need(now) == KeyNeed::Stale)?;
        let fetch = keys.fetch(now)?;
        let begun = Instant::now();
        fetch.within(STALE_BUDGET).await;
        Some(begun)
    }

    fn get(&self, place: KeyPlace) -> Option<&Arc<CachedKeys>> {
        let of_source = self.sources.get(place.source)?;
        of_source.get(place.issuer).or(of_source.last())
    }
}

impl CachedKeys {
    fn lock(&self) -> MutexGuard<'_, KeyState> {
        // A poisoned lock still holds a complete state, because the state is only ever replaced.
        lock(&self.state)
    }

    fn usable(&self, now: UnixTime) -> Arc<KeySet> {
        let state = self.lock();
        match (&self.location, state.freshness.need(now)) {
            (Some(_), KeyNeed::Expired) => Arc::clone(&self.no_keys),
            _ => Arc::clone(&state.keys),
        }
    }

    /// The fetch that is under way, or a new one. `None`: the last attempt was too recent.
    fn fetch(self: &Arc<Self>, now: UnixTime) -> Option<Arc<UnderWay<()>>> {
        let location = self.location.clone()?;
        let mut under_way = lock(&self.under_way);
        if let Some(fetch) = under_way.as_ref() {
            match fetch.state(now) {
                WorkState::Running => return Some(Arc::clone(fetch)),
                WorkState::Ended => {}
                WorkState::Overdue => {
                    fetch.give_up();
                    self.lock().freshness.failed();
                }
            }
        }
        if !self.lock().freshness.try_now(now) {
            return None;
        }
        let fetch = UnderWay::begin(LIMIT, now, Arc::clone(self).fetch_from(location, now));
        *under_way = Some(Arc::clone(&fetch));
        Some(fetch)
    }

    async fn fetch_from(self: Arc<Self>, location: KeyLocation, now: UnixTime) {
        self.client.counters().count(Counted::KeyFetch);
        // Neither the URL nor a key id may go to the log.
        match self.client.fetch(&location, self.trust.development_keys).await {
            Ok(Fetched { keys, max_age }) => {
                let mut state = self.lock();
                info!(source = self.source, keys = keys.len(), skipped = keys.skipped(), "key set fetched");
                report_weak(&self.source, &keys);
                // Keys that are no longer published are dropped here.
                state.keys = self.trust.beside(keys);
                state.freshness.succeeded(now, max_age);
            }
            Err(error) => {
                if self.is_alternative {
                    debug!(source = self.source, %error, "alternative key set not fetched")
                } else {
                    self.client.counters().count(Counted::KeyFetchFailure);
                    warn!(source = self.source, %error, "key set not fetched")
                }
                self.lock().freshness.failed();
            }
        }
    }
}

/// Warns of weak keys, which are skipped. Their issuer should replace them.
fn report_weak(source: &str, keys: &KeySet) {
    if keys.weak() > 0 {
        warn!(
            source,
            weak = keys.weak(),
            "the key set has weak keys, which are not used; others could sign with them"
        );
    }
}

/// The limit for a fetch, and for a call that needs its keys: a little more than the fetch's own deadline.
const LIMIT: Duration = Duration::from_secs(3);

/// How long a call waits for keys that it does not need: twice the time of a fetch within a region.
const STALE_BUDGET: Duration = Duration::from_millis(150);
