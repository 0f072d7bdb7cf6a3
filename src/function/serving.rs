//! A bundle in use, with the keys and verified tokens that belong to it. A call uses the same one throughout.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tracing::warn;

use crate::bundle::{Bundle, BundledRoute};
use crate::decide::Session;
use crate::decide::outcome::Outcome;
use crate::function::jwks::KeyCache;
use crate::function::source::away::{AwayParts, S3Object};
use crate::function::telemetry::invocation::Stopwatch;
use crate::function::token_cache::{TokenCache, TokenHash};
use crate::gateway::cache_key::{CacheKey, CacheScope};
use crate::gateway::call::{Call, RouteKey};
use crate::reason::Reason;
use crate::time::UnixTime;
use crate::token::bearer::Bearer;
use crate::token::key_set::KeySet;
use crate::token::{self, Unverified};

/// A bundle in use.
#[derive(Debug)]
pub struct Serving {
    /// The bundle.
    pub bundle: Arc<Bundle>,
    /// The keys of its identity sources.
    pub keys: KeyCache,
    tokens: TokenCache,
    /// When the bundle was last found to be the current one, in seconds since 1970.
    confirmed: AtomicU64,
    /// The parts of the bundle that are still in S3. `None`: all of it is here.
    parts: Option<AwayParts>,
}

impl Serving {
    /// Puts a bundle into use that is the current one `now`, with room for `max_tokens` verified tokens.
    pub fn new(bundle: Bundle, keys: KeyCache, max_tokens: usize, now: UnixTime) -> Self {
        let confirmed = AtomicU64::new(now.as_seconds());
        let tokens = TokenCache::new(max_tokens);
        Self { bundle: Arc::new(bundle), keys, tokens, confirmed, parts: None }
    }

    /// The same, if parts of the bundle are still in this object.
    pub(super) fn with_parts(self, object: Option<S3Object>) -> Self {
        Self { parts: object.map(AwayParts::new), ..self }
    }

    /// Whether the bundle was found to be replaced by another one, so that no more parts of it can be fetched.
    pub(super) fn is_replaced(&self) -> bool {
        self.parts.as_ref().is_some_and(AwayParts::is_replaced)
    }

    /// The same bundle with these keys alone, for a [rehearsal](super::lambda::Function::rehearse). Nothing else is
    /// shared: neither the keys of this one nor the tokens that it has seen.
    pub(super) fn understudy(&self, keys: &Arc<KeySet>, now: UnixTime) -> Self {
        Self {
            bundle: Arc::clone(&self.bundle),
            keys: KeyCache::of_final_keys(self.bundle.identity_sources(), keys),
            tokens: TokenCache::new(1),
            confirmed: AtomicU64::new(now.as_seconds()),
            // What is not here, a rehearsal does without.
            parts: None,
        }
    }

    /// Whether it has verified no token.
    #[cfg(all(test, feature = "authoring"))]
    pub(super) fn has_seen_no_token(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Notes that the bundle is the current one.
    pub(super) fn confirmed(&self, now: UnixTime) {
        self.confirmed.store(now.as_seconds(), Ordering::Relaxed);
    }

    /// How long ago the bundle was last found to be the current one.
    pub fn age(&self, now: UnixTime) -> Duration {
        now.since(UnixTime::from_seconds(self.confirmed.load(Ordering::Relaxed)))
    }

    /// Decides on a call, for a cache with this key.
    ///
    /// # Errors
    /// The reason why there is no decision.
    pub async fn decide(
        &self,
        call: &Call,
        cache_key: &CacheKey,
        now: UnixTime,
    ) -> Result<DecidedCall, Reason> {
        self.decide_in(call, cache_key, now, &mut Stopwatch::start()).await
    }

    /// The same, and measures the steps.
    pub(super) async fn decide_in(
        &self,
        call: &Call,
        cache_key: &CacheKey,
        now: UnixTime,
        stopwatch: &mut Stopwatch,
    ) -> Result<DecidedCall, Reason> {
        let authenticated = self.authenticate_in(call, now, stopwatch).await;
        stopwatch.durations.verify = Some(stopwatch.lap());
        let (session, remembered) = authenticated?;
        stopwatch.durations.is_token_remembered = remembered == Remembered::Yes;
        let outcome = self.authorize(&session, call, cache_key, now, stopwatch).await?;
        stopwatch.durations.is_answer_remembered = stopwatch.durations.grant.is_none();
        Ok(DecidedCall { session, outcome })
    }

    /// Decides on a call. Parts of the bundle that the decision needs and that are not here are fetched, and then it is
    /// decided again.
    async fn authorize(
        &self,
        session: &Session,
        call: &Call,
        cache_key: &CacheKey,
        now: UnixTime,
        stopwatch: &mut Stopwatch,
    ) -> Result<Arc<Outcome>, Reason> {
        let Some(parts) = &self.parts else {
            return session.authorize_in(call, cache_key, stopwatch);
        };
        let _holding = self.bundle.hold();
        let mut is_here = true;
        for round in 0..MAX_ROUNDS {
            match session.authorize_in(call, cache_key, stopwatch) {
                Err(Reason::BundleAway) if !is_here => break,
                Err(Reason::BundleAway) if round == 0 => session.ask_ahead(call, cache_key),
                Err(Reason::BundleAway) => {}
                decided => return decided,
            }
            let begun = Instant::now();
            is_here = parts.fetch(&self.bundle, now).await;
            stopwatch.fetched_parts(begun);
        }
        Err(Reason::BundleAway)
    }

    /// Warns of routes that will be denied because they read something that is not in the cache key. The cache key of
    /// a TOKEN authorizer is narrower, but only the template says which routes have one. `check` reads the template.
    pub(crate) fn report_uncacheable(&self, cache_key: &CacheKey) {
        for BundledRoute { route, reads, .. } in self.bundle.bundled_routes() {
            let beyond: Vec<String> = cache_key.lacking(reads, route).map(ToString::to_string).collect();
            if !beyond.is_empty() {
                let reason = Reason::NotCacheable.code();
                warn!(%route, %cache_key, reads = beyond.join(", "), reason, "route is denied under this CACHE_KEY");
            }
        }
        // Only the template says which routes have such a key.
        let routes = self.bundle.routes();
        if cache_key.through(RouteKey::AnyMethod).mixes_methods()
            && let Some(route) =
                routes.routes().iter().find(|route| routes.tells_methods_apart(&route.template.to_string()))
        {
            let reason = Reason::NotCacheable.code();
            warn!(
                %cache_key, example = %route, reason,
                "calls through `ANY` and `$default` are denied under this CACHE_KEY where the method decides; \
                 context.httpMethod has to be in it"
            );
        }
        if self.bundle.separation().is_none() && cache_key.scope() != CacheScope::Method {
            warn!(%cache_key, "the routes cannot be told apart: each answer allows one method and path alone");
        }
    }

    /// Verifies the token of a call, and fetches keys for it if needed.
    ///
    /// # Errors
    /// What is wrong with the token, or that there are no keys.
    pub(crate) async fn authenticate(
        &self,
        call: &Call,
        now: UnixTime,
    ) -> Result<(Arc<Session>, Remembered), Reason> {
        self.authenticate_in(call, now, &mut Stopwatch::start()).await
    }

    async fn authenticate_in(
        &self,
        call: &Call,
        now: UnixTime,
        stopwatch: &mut Stopwatch,
    ) -> Result<(Arc<Session>, Remembered), Reason> {
        let bearer = Bearer::parse(call.authorization(self.bundle.token_location())?)?;
        let hash = TokenHash::new(bearer);
        let known = self.tokens.get(hash, |place| self.keys.usable(place, now), now);
        let (session, remembered) = match known {
            Some(known) => (known, Remembered::Yes),
            None => (self.verify(bearer, hash, now, stopwatch).await?, Remembered::No),
        };
        if let Some(begun) = self.keys.refresh_if_stale(session.token().keys(), now).await {
            stopwatch.fetched_keys(begun);
        }
        Ok((session, remembered))
    }

    /// Verifies a token that was not seen before.
    async fn verify(
        &self,
        bearer: Bearer<'_>,
        hash: TokenHash,
        now: UnixTime,
        stopwatch: &mut Stopwatch,
    ) -> Result<Arc<Session>, Reason> {
        let mut key_sets = self.keys.snapshot(now);
        let (sources, leeway) = (self.bundle.identity_sources(), self.bundle.leeway_seconds());
        let mut verified = token::verify(bearer, sources, &key_sets, leeway, now);
        if let Err(Unverified::KeyMissing(place)) = verified {
            if let Some(begun) = self.keys.refresh(place, now).await {
                stopwatch.fetched_keys(begun);
            }
            key_sets = self.keys.snapshot(now);
            verified = token::verify(bearer, sources, &key_sets, leeway, now);
        }
        let token = verified.map_err(|unverified| match unverified {
            Unverified::Refused(reason) => reason,
            // If there are some keys, the token was not signed with any of them. If there are none, nobody can say.
            Unverified::KeyMissing(place) if key_sets.get(place).is_some_and(|keys| !keys.is_empty()) => {
                Reason::KeyUnknown
            }
            Unverified::KeyMissing(_) => Reason::KeysUnavailable,
        })?;
        let session = Arc::new(Session::new(Arc::clone(&self.bundle), token));
        self.tokens.insert(hash, &session, &key_sets);
        Ok(session)
    }
}

/// Whether a token was verified before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remembered {
    Yes,
    No,
}

/// A call that was decided on, and its caller.
#[derive(Clone, Debug)]
pub struct DecidedCall {
    /// The caller.
    pub session: Arc<Session>,
    /// What is decided.
    pub outcome: Arc<Outcome>,
}

/// How often a decision may ask for further parts. Each round leads to the entities that the attributes and parents of known
/// ones name.
const MAX_ROUNDS: u32 = 32;
