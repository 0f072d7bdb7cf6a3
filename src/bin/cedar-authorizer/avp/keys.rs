//! Tokens in requests, and the keys that verify them.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use cedar_authorizer::bundle::{DevelopmentKeys, StoreFiles};
use cedar_authorizer::function::jwks::{KeyCache, KeyClient};
use cedar_authorizer::projection::Projection;
use cedar_authorizer::reason::Reason;
use cedar_authorizer::store::Store;
use cedar_authorizer::time::UnixTime;
use cedar_authorizer::token::bearer::Bearer;
use cedar_authorizer::token::identity_source::IdentitySource;
use cedar_authorizer::token::key_set::{KeySet, KeySets};
use cedar_authorizer::token::{self, TokenType, Unverified, VerifiedToken};

use crate::locks;

/// The keys of all issuers. They are fetched when a token is first asked about, and outlive changes of policies.
pub struct Keys {
    /// The keys of every issuer. `None`: they are fetched.
    given: Option<Arc<KeySet>>,
    client: KeyClient,
    /// By the identity sources. Never locked across an await.
    fetched: Mutex<HashMap<SourceFiles, KeyCache>>,
}

/// The files that say where keys are: identity sources, and keys kept with the store.
type SourceFiles = Arc<Vec<(String, Vec<u8>)>>;

/// What reads the tokens of one policy store.
pub struct TokenReader {
    /// What the schema reads in a token.
    pub projection: Projection,
    for_access: Vec<IdentitySource>,
    for_id: Vec<IdentitySource>,
    leeway_seconds: u32,
    files: SourceFiles,
}

impl TokenReader {
    /// `None`: the store has no identity source.
    pub fn new(store: Store, files: &StoreFiles) -> Option<Self> {
        let Store { identity_sources, projection, settings, .. } = store;
        if identity_sources.is_empty() {
            return None;
        }
        let of_type = |token_type| {
            let sources = identity_sources.iter().cloned();
            sources.map(|source| source.for_token_type(token_type)).collect()
        };
        let about_keys = |path: &str| path.starts_with("identity-sources/") || path.starts_with("jwks/");
        let files = files.iter().filter(|(path, _)| about_keys(path));
        Some(Self {
            for_access: of_type(TokenType::Access),
            for_id: of_type(TokenType::Id),
            projection,
            leeway_seconds: settings.leeway_seconds,
            files: Arc::new(files.map(|(path, content)| (path.to_owned(), content.to_vec())).collect()),
        })
    }

    /// The identity sources, as they are for tokens of this type.
    pub fn sources(&self, token_type: TokenType) -> &[IdentitySource] {
        match token_type {
            TokenType::Access => &self.for_access,
            TokenType::Id => &self.for_id,
        }
    }

    /// The source that vouches for a token of this type.
    pub fn source(&self, token_type: TokenType, token: &VerifiedToken) -> Result<&IdentitySource, Reason> {
        self.sources(token_type).get(token.keys().source).ok_or(Reason::IssuerUnknown)
    }
}

impl Keys {
    /// `given` are the keys of every issuer. `None`: they are fetched from the issuers.
    pub fn new(given: Option<KeySet>) -> Self {
        Self { given: given.map(Arc::new), client: KeyClient::new(None), fetched: Mutex::default() }
    }

    /// Verifies a token that has to be of this type.
    ///
    /// # Errors
    /// The reason why it is refused.
    pub async fn verify(
        &self,
        reader: &TokenReader,
        token_type: TokenType,
        token: &str,
    ) -> Result<VerifiedToken, Reason> {
        let (bearer, now) = (Bearer::parse(token)?, UnixTime::from(SystemTime::now()));
        let sources = reader.sources(token_type);
        let verify = |keys: &KeySets| token::verify(bearer, sources, keys, reader.leeway_seconds, now);
        if let Some(given) = &self.given {
            let keys = KeySets::new(sources.iter().map(|_| vec![Arc::clone(given)]).collect());
            return verify(&keys).map_err(Unverified::reason);
        }
        let cache = self.cache(reader, now).await;
        let mut keys = cache.snapshot(now);
        let mut verified = verify(&keys);
        if let Err(Unverified::KeyMissing(place)) = verified {
            cache.refresh(place, now).await;
            keys = cache.snapshot(now);
            verified = verify(&keys);
        }
        match verified {
            Ok(token) => {
                cache.refresh_if_stale(token.keys(), now).await;
                Ok(token)
            }
            Err(Unverified::KeyMissing(place)) if keys.get(place).is_none_or(|keys| keys.is_empty()) => {
                Err(Reason::KeysUnavailable)
            }
            Err(unverified) => Err(unverified.reason()),
        }
    }

    async fn cache(&self, reader: &TokenReader, now: UnixTime) -> KeyCache {
        if let Some(known) = self.fetched().get(&reader.files) {
            return known.clone();
        }
        // The key locations do not depend on the type of token.
        let sources = reader.sources(TokenType::Access);
        let client = self.client.clone();
        let loaded = KeyCache::load_for(sources, &DevelopmentKeys::Refuse.into(), client, None, now).await;
        let mut fetched = self.fetched();
        if fetched.len() >= MAX_CACHES {
            fetched.clear();
        }
        // Another request may have been faster. Both have the same keys.
        fetched.entry(Arc::clone(&reader.files)).or_insert(loaded).clone()
    }

    fn fetched(&self) -> std::sync::MutexGuard<'_, HashMap<SourceFiles, KeyCache>> {
        // A map is complete whenever the lock is released.
        locks::lock(&self.fetched)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("given", &self.given).finish_non_exhaustive()
    }
}

impl fmt::Debug for TokenReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenReader").field("sources", &self.for_id.len()).finish_non_exhaustive()
    }
}

/// Identity sources change rarely. If they do, keys of former ones are forgotten at some time.
const MAX_CACHES: usize = 1000;
