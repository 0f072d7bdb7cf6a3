//! Serving: a bundle in use, with what was gathered for it. A call sees one of these throughout.

use std::sync::Arc;

use crate::authorize::{Outcome, authorize};
use crate::bundle::Bundle;
use crate::cache_key::CacheKey;
use crate::call::Call;
use crate::jwks::KeyCache;
use crate::reason::Reason;
use crate::time::UnixTime;
use crate::token::bearer::Bearer;
use crate::token::{self, Unverified};
use crate::token_cache::{KnownToken, TokenCache, TokenHash};

/// A bundle in use.
#[derive(Debug)]
pub struct Serving {
    /// The bundle.
    pub bundle: Bundle,
    /// The keys of its identity sources.
    pub keys: KeyCache,
    tokens: TokenCache,
}

impl Serving {
    /// Puts a bundle into use.
    pub fn new(bundle: Bundle, keys: KeyCache) -> Self {
        Self { bundle, keys, tokens: TokenCache::default() }
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
    ) -> Result<Arc<Outcome>, Reason> {
        let KnownToken { token, remembered } = self.authenticate(call, now).await?;
        authorize(call, &self.bundle, &token, cache_key, &remembered)
    }

    /// Verifies the token of a call, if need be with keys that are fetched for it.
    async fn authenticate(&self, call: &Call, now: UnixTime) -> Result<KnownToken, Reason> {
        let (sources, leeway) = (self.bundle.identity_sources(), self.bundle.leeway_seconds());
        let bearer = Bearer::parse(call.authorization(self.bundle.token_location())?)?;
        let hash = TokenHash::of(bearer);
        let mut key_sets = self.keys.snapshot(now);
        let known = match self.tokens.get(hash, &key_sets, leeway, now) {
            Some(known) => known,
            None => {
                let mut verified = token::verify(bearer, sources, &key_sets, leeway, now);
                if let Err(Unverified::KeyMissing(place)) = verified {
                    self.keys.refresh(place, now).await;
                    key_sets = self.keys.snapshot(now);
                    verified = token::verify(bearer, sources, &key_sets, leeway, now);
                }
                let known = KnownToken::new(verified.map_err(|unverified| match unverified {
                    Unverified::Refused(reason) => reason,
                    // With some keys at hand the token is not of them; without any, nobody can say.
                    Unverified::KeyMissing(place) => {
                        match key_sets.get(place).is_some_and(|keys| !keys.is_empty()) {
                            true => Reason::KeyUnknown,
                            false => Reason::KeysUnavailable,
                        }
                    }
                })?);
                self.tokens.insert(hash, &known, &key_sets);
                known
            }
        };
        self.keys.refresh_if_stale(known.token.keys(), now).await;
        Ok(known)
    }
}
