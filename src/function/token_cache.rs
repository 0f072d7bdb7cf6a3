//! Tokens that were verified before.
//!
//! Verifying a signature costs more than the rest of a call, and a caller sends the same token many times. An entry
//! never outlives its token, nor the key set that verified it. The cache belongs to one bundle and is dropped with it.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use quick_cache::sync::Cache;

use crate::cache::bounded;
use crate::decide::Session;
use crate::time::UnixTime;
use crate::token::bearer::Bearer;
use crate::token::key_set::{KeyPlace, KeySet, KeySets};

/// Verified tokens, by the hash of their whole text.
#[derive(Debug)]
pub struct TokenCache {
    entries: Cache<TokenHash, CachedSession>,
}

/// The hash of a whole token, signature included. If it covered only a part, another token could pass for this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The SHA-256 hash of the token.
    pub fn new(bearer: Bearer<'_>) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, bearer.as_str().as_bytes()).as_ref());
        Self(hash)
    }
}

#[derive(Clone, Debug)]
struct CachedSession {
    session: Arc<Session>,
    /// The key set that verified the token.
    keys: Arc<KeySet>,
}

impl TokenCache {
    /// A cache with room for `max_tokens` tokens.
    pub fn new(max_tokens: usize) -> Self {
        Self { entries: bounded(max_tokens) }
    }

    /// Whether no token is kept.
    #[cfg(all(test, feature = "authoring"))]
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The session of the token with this hash, if the keys that verified it are still in use. `usable` says which keys
    /// of a place are.
    pub fn get(
        &self,
        hash: TokenHash,
        usable: impl FnOnce(KeyPlace) -> Option<Arc<KeySet>>,
        now: UnixTime,
    ) -> Option<Arc<Session>> {
        let CachedSession { session, keys } = self.entries.get(&hash)?;
        let are_current = usable(session.token().keys()).is_some_and(|usable| Arc::ptr_eq(&usable, &keys));
        if are_current && !session.has_expired(now) {
            return Some(session);
        }
        self.entries.remove(&hash);
        None
    }

    /// Keeps a session whose token was verified with these keys.
    pub fn insert(&self, hash: TokenHash, session: &Arc<Session>, key_sets: &KeySets) {
        if let Some(keys) = key_sets.get(session.token().keys()) {
            let entry = CachedSession { session: Arc::clone(session), keys: Arc::clone(keys) };
            self.entries.insert(hash, entry);
        }
    }
}

/// An instance answers one call at a time, and API Gateway's cache answers most of them. So this is more than the
/// number of callers that an instance sees within minutes. A token takes up to twenty kilobytes with everything that
/// is remembered for it, so all of them take less than four megabytes.
pub const MAX_TOKENS: usize = 200;
