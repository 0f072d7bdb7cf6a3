//! Key sets over HTTP.
//!
//! A source whose keys are kept with the store needs no network: those keys are final. For every
//! other one the keys are fetched in init and again when a token names a key that is not there,
//! at most once in ten seconds, so that forged key ids cannot make the function fetch.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use reqwest::{Client, StatusCode, redirect};
use tokio::sync::{Mutex, OnceCell};
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::bundle::{Bundle, DevelopmentKeys};
use crate::time::UnixTime;
use crate::token::key_set::{self, InvalidKeySet, KeySet};

/// The keys of every identity source of a bundle.
#[derive(Clone, Debug)]
pub struct KeyCache {
    sources: Vec<Arc<SourceKeys>>,
}

#[derive(Debug)]
struct SourceKeys {
    name: String,
    /// `None`: the keys are kept with the store.
    uri: Option<String>,
    development_keys: DevelopmentKeys,
    keys: RwLock<Arc<KeySet>>,
    /// When the last fetch began. Held while one is under way, so that there is only one.
    last_attempt: Mutex<Option<UnixTime>>,
    client: OnceCell<Client>,
}

impl KeyCache {
    /// Takes the keys of a bundle, and fetches the others. That a fetch fails is logged and no
    /// more: the tokens of other sources can still be verified.
    pub async fn load(bundle: &Bundle, development_keys: DevelopmentKeys, now: UnixTime) -> Self {
        let pinned = bundle.pinned_keys().iter();
        let sources = bundle.identity_sources().iter().zip(pinned).map(|(source, pinned)| {
            Arc::new(SourceKeys {
                name: source.name().to_owned(),
                uri: pinned.is_none().then(|| source.jwks_uri()),
                development_keys,
                keys: RwLock::new(Arc::new(pinned.clone().unwrap_or_default())),
                last_attempt: Mutex::new(None),
                client: OnceCell::new(),
            })
        });
        let cache = Self { sources: sources.collect() };
        let mut fetches = JoinSet::new();
        for source in &cache.sources {
            let source = Arc::clone(source);
            fetches.spawn(async move { source.refresh(now).await });
        }
        fetches.join_all().await;
        cache
    }

    /// The keys as they are now, in the order of the identity sources.
    pub fn snapshot(&self) -> Vec<Arc<KeySet>> {
        self.sources.iter().map(|source| source.keys()).collect()
    }

    /// Fetches the keys of a source again, unless that was tried just now.
    pub async fn refresh(&self, source: usize, now: UnixTime) {
        if let Some(source) = self.sources.get(source) {
            source.refresh(now).await;
        }
    }
}

impl SourceKeys {
    fn keys(&self) -> Arc<KeySet> {
        // A poisoned lock holds a whole key set all the same: it is only ever replaced.
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    async fn refresh(&self, now: UnixTime) {
        let Some(uri) = &self.uri else {
            return;
        };
        let mut last_attempt = self.last_attempt.lock().await;
        let since = last_attempt.map(|last| now.as_seconds().saturating_sub(last.as_seconds()));
        if since.is_some_and(|seconds| seconds < COOLDOWN_SECONDS) {
            return;
        }
        *last_attempt = Some(now);
        // The URL stays out of the log: it may have been set to something that is nobody's business.
        match self.fetch(uri).await {
            Ok(keys) => {
                info!(source = self.name, keys = keys.len(), skipped = keys.skipped(), "key set fetched");
                *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
            }
            Err(error) => warn!(source = self.name, %error, "key set not fetched"),
        }
    }

    async fn fetch(&self, uri: &str) -> Result<KeySet, FetchFailure> {
        let client = self.client.get_or_try_init(|| async { client() }).await?;
        let text = match get(client, uri).await {
            Err(failure) if failure.is_passing() => get(client, uri).await?,
            answer => answer?,
        };
        let keys = KeySet::parse(&text)?;
        let keys = match self.development_keys {
            DevelopmentKeys::Allow => keys,
            DevelopmentKeys::Refuse => keys.without_development_keys(),
        };
        match keys.is_empty() {
            true => Err(FetchFailure::NoUsableKey),
            false => Ok(keys),
        }
    }
}

fn client() -> Result<Client, FetchFailure> {
    Client::builder()
        .redirect(redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TOTAL_TIMEOUT)
        .build()
        .map_err(|_| FetchFailure::Client)
}

async fn get(client: &Client, uri: &str) -> Result<Vec<u8>, FetchFailure> {
    let unreachable = |error: reqwest::Error| match error.is_timeout() {
        true => FetchFailure::Timeout,
        false => FetchFailure::Unreachable,
    };
    let mut response = client.get(uri).send().await.map_err(unreachable)?;
    if response.status() != StatusCode::OK {
        return Err(FetchFailure::Status(response.status().as_u16()));
    }
    let mut text = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        text.extend_from_slice(&chunk);
        if text.len() > key_set::MAX_BYTES {
            return Err(InvalidKeySet::TooLarge.into());
        }
    }
    Ok(text)
}

/// Why a key set could not be fetched. Says nothing of the URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum FetchFailure {
    #[error("the HTTP client cannot be set up")]
    Client,
    #[error(transparent)]
    Invalid(#[from] InvalidKeySet),
    #[error("no key of the set can be used")]
    NoUsableKey,
    #[error("the key server answered {0}")]
    Status(u16),
    #[error("the key server did not answer in time")]
    Timeout,
    #[error("the key server cannot be reached")]
    Unreachable,
}

impl FetchFailure {
    /// Whether the same request may succeed at once.
    fn is_passing(self) -> bool {
        matches!(self, Self::Unreachable | Self::Status(500..))
    }
}

/// The least time between two fetches from one source, whether they succeed or not; that of
/// `aws-jwt-verify`.
const COOLDOWN_SECONDS: u64 = 10;

/// A call waits for a fetch at the worst: with one more attempt this stays below three seconds.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
const TOTAL_TIMEOUT: Duration = Duration::from_millis(1400);
