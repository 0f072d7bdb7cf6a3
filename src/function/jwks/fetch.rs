//! One fetch of a key set, with discovery if the issuer has to be asked where its keys are.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::header::{CACHE_CONTROL, HeaderMap};
use reqwest::{Client, Proxy, StatusCode, redirect};
use serde::Deserialize;
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::runtime_api::RuntimeApi;
use crate::bundle::DevelopmentKeys;
use crate::cache::lock;
use crate::function::config;
use crate::function::telemetry::counters::Counters;
use crate::function::tls;
use crate::token::identity_source::{KeyLocation, KeyUri};
use crate::token::key_set::{self, InvalidKeySet, KeySet};

/// An HTTP client for keys, set up when first needed.
#[derive(Clone, Debug)]
pub struct KeyClient {
    proxy: Option<Proxy>,
    runtime_api: Option<RuntimeApi>,
    client: Arc<OnceCell<Client>>,
    early: Arc<EarlyFetches>,
    counters: Arc<Counters>,
}

/// A document, and how long it may be kept.
type Text = (Vec<u8>, Option<Duration>);

/// Fetches that began before anybody asked for their keys.
#[derive(Debug, Default)]
struct EarlyFetches(Mutex<Vec<(KeyLocation, EarlyFetch)>>);

type EarlyFetch = JoinHandle<Result<Text, FetchFailure>>;

impl EarlyFetches {
    fn insert(&self, location: KeyLocation, fetch: EarlyFetch) {
        lock(&self.0).push((location, fetch));
    }

    fn take(&self, location: &KeyLocation) -> Option<EarlyFetch> {
        let mut fetches = lock(&self.0);
        let found = fetches.iter().position(|(of, _)| of == location)?;
        Some(fetches.swap_remove(found).1)
    }

    fn clear(&self) {
        lock(&self.0).drain(..).for_each(|(_, fetch)| fetch.abort());
    }
}

/// A key set as it was published.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) keys: KeySet,
    /// `max-age` of `Cache-Control` (RFC 9111 5.2.2.1).
    pub(super) max_age: Option<Duration>,
}

impl KeyClient {
    /// A client that uses this proxy. `None`: no proxy, even if the system has one set.
    pub fn new(proxy: Option<Proxy>) -> Self {
        let runtime_api = config::runtime_api().as_deref().and_then(RuntimeApi::parse);
        Self { proxy, runtime_api, client: Arc::default(), early: Arc::default(), counters: Arc::default() }
    }

    /// The same client, whose fetches are counted here.
    #[must_use]
    pub fn counting(self, counters: Arc<Counters>) -> Self {
        Self { counters, ..self }
    }

    /// Where its fetches are counted, and the looks for the bundles whose keys it fetches.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Begins to fetch from these places, since their keys are about to be needed. The next fetch from one of them is
    /// this one.
    pub(in crate::function) fn begin(&self, locations: impl IntoIterator<Item = KeyLocation>) {
        for location in locations {
            let (client, of_task) = (self.clone(), location.clone());
            self.early.insert(location, tokio::spawn(async move { client.get_keys_now(&of_task).await }));
        }
    }

    /// Ends the fetches that were begun and that nobody needed. Later, their keys would pass for new.
    pub(in crate::function) fn end_early(&self) {
        self.early.clear();
    }

    /// Fetches and reads a key set.
    ///
    /// # Errors
    /// [`FetchFailure`].
    pub async fn fetch_keys(
        &self,
        location: &KeyLocation,
        development_keys: DevelopmentKeys,
    ) -> Result<(KeySet, Vec<u8>), FetchFailure> {
        let (text, _) = self.get_keys(location).await?;
        Ok((read(&text, development_keys)?, text))
    }

    pub(super) async fn fetch(
        &self,
        location: &KeyLocation,
        development_keys: DevelopmentKeys,
    ) -> Result<Fetched, FetchFailure> {
        let (text, max_age) = self.get_keys(location).await?;
        Ok(Fetched { keys: read(&text, development_keys)?, max_age })
    }

    /// Gets the text of a key set, from a fetch that was begun before if there is one.
    async fn get_keys(&self, location: &KeyLocation) -> Result<Text, FetchFailure> {
        match self.early.take(location) {
            Some(fetch) => match fetch.await {
                Ok(fetched) => fetched,
                // It did not come to its end.
                Err(_) => self.get_keys_now(location).await,
            },
            None => self.get_keys_now(location).await,
        }
    }

    /// Gets the text of a key set. One deadline covers discovery and all attempts.
    async fn get_keys_now(&self, location: &KeyLocation) -> Result<Text, FetchFailure> {
        let get = async {
            match location {
                KeyLocation::Url(url) => self.get(url).await,
                KeyLocation::Discovery { issuer } => self.get(self.discover(issuer).await?.as_str()).await,
            }
        };
        timeout(DEADLINE, get).await.unwrap_or(Err(FetchFailure::Timeout))
    }

    /// OpenID Connect Discovery 4.1 and 4.3: the document is below the issuer, without the final slash of the issuer.
    /// It must name exactly this issuer.
    async fn discover(&self, issuer: &str) -> Result<KeyUri, FetchFailure> {
        let url = format!("{}/.well-known/openid-configuration", issuer.strip_suffix('/').unwrap_or(issuer));
        let (text, _) = self.get(&url).await?;
        discovered(issuer, &text)
    }

    /// Gets a document, and tries again once if the first failure may have been chance. Every request goes through
    /// here, wherever its URL comes from.
    async fn get(&self, url: &str) -> Result<Text, FetchFailure> {
        let key_uri: KeyUri = url.parse().map_err(|_| FetchFailure::Address)?;
        if self.runtime_api.as_ref().is_some_and(|api| api.is_at(key_uri.url())) {
            return Err(FetchFailure::Address);
        }
        let client = self.client.get_or_try_init(|| async { self.set_up() }).await?;
        match get_once(client, url).await {
            Err(failure) if failure.is_passing() => get_once(client, url).await,
            answer => answer,
        }
    }

    fn set_up(&self) -> Result<Client, FetchFailure> {
        let builder = tls::client()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TOTAL_TIMEOUT);
        let builder = match &self.proxy {
            Some(proxy) => builder.proxy(proxy.clone()),
            None => builder,
        };
        builder.build().map_err(|_| FetchFailure::Client)
    }
}

/// Where the keys of an issuer are, according to its discovery document.
///
/// The document of an https issuer may only lead to https. Plain http would lead to a server on this very machine,
/// and that is not the issuer.
fn discovered(issuer: &str, document: &[u8]) -> Result<KeyUri, FetchFailure> {
    let document: DiscoveryDocument =
        serde_json::from_slice(document).map_err(|_| FetchFailure::Discovery)?;
    if document.issuer != issuer {
        return Err(FetchFailure::IssuerMismatch);
    }
    let keys: KeyUri = document.jwks_uri.parse().map_err(|_| FetchFailure::Discovery)?;
    let issuer: KeyUri = issuer.parse().map_err(|_| FetchFailure::Address)?;
    if keys.has_tls() || !issuer.has_tls() { Ok(keys) } else { Err(FetchFailure::Discovery) }
}

async fn get_once(client: &Client, url: &str) -> Result<Text, FetchFailure> {
    let unreachable = |error: reqwest::Error| {
        if error.is_timeout() { FetchFailure::Timeout } else { FetchFailure::Unreachable }
    };
    let mut response = client.get(url).send().await.map_err(unreachable)?;
    if response.status() != StatusCode::OK {
        return Err(FetchFailure::Status(response.status().as_u16()));
    }
    let max_age = max_age(response.headers());
    let mut text = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        text.extend_from_slice(&chunk);
        if text.len() > key_set::MAX_BYTES {
            return Err(InvalidKeySet::TooLarge.into());
        }
    }
    Ok((text, max_age))
}

fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let directives = headers.get(CACHE_CONTROL)?.to_str().ok()?.split(',');
    let seconds = directives.map(str::trim).find_map(|directive| directive.strip_prefix("max-age="));
    seconds?.parse().ok().map(Duration::from_secs)
}

fn read(text: &[u8], development_keys: DevelopmentKeys) -> Result<KeySet, FetchFailure> {
    let keys = KeySet::parse(text)?;
    let keys = match development_keys {
        DevelopmentKeys::Allow => keys,
        DevelopmentKeys::Refuse => keys.without_development_keys(),
    };
    // A good set must not be replaced by one that would refuse every token.
    if keys.is_empty() { Err(FetchFailure::NoUsableKey { weak: keys.weak() }) } else { Ok(keys) }
}

#[derive(Deserialize)]
struct DiscoveryDocument {
    issuer: String,
    jwks_uri: String,
}

/// Why a key set could not be fetched. Does not reveal the URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchFailure {
    /// The address is neither https nor on this machine, or it is the Lambda Runtime API, where a request would
    /// take an event.
    #[error("keys may not be fetched from this address: it is not https, or it is the Lambda Runtime API")]
    Address,
    /// TLS, certificates or proxy.
    #[error("the HTTP client cannot be set up")]
    Client,
    /// Not the JSON of a discovery document, or its URL for the keys is not secure.
    #[error("the discovery document of the issuer cannot be used")]
    Discovery,
    /// What was fetched is no key set.
    #[error(transparent)]
    Invalid(#[from] InvalidKeySet),
    /// The document of another issuer.
    #[error("the discovery document is that of another issuer")]
    IssuerMismatch,
    /// A key set without a single usable key.
    #[error("no key of the set can be used{}", of_weak(.weak))]
    NoUsableKey {
        /// How many are weak.
        weak: usize,
    },
    /// Any status but 200; redirects are not followed.
    #[error("the key server answered {0}")]
    Status(u16),
    /// No answer in time.
    #[error("the key server did not answer in time")]
    Timeout,
    /// No connection, or one that broke.
    #[error("the key server cannot be reached")]
    Unreachable,
}

/// The end of the message about unusable keys.
fn of_weak(weak: &usize) -> &'static str {
    if *weak > 0 { ": others than their owner could sign with some of them" } else { "" }
}

impl FetchFailure {
    /// Whether the same request may succeed if it is repeated at once.
    fn is_passing(self) -> bool {
        matches!(self, Self::Unreachable | Self::Status(500..))
    }
}

const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);

/// The limit for one request, from its connection to the last byte of its body.
const TOTAL_TIMEOUT: Duration = Duration::from_millis(1400);

/// The limit for a whole fetch, and the longest that a call waits for it: two requests at their own limit.
const DEADLINE: Duration = Duration::from_millis(2800);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_discovery_document_leads_to_plain_http_only_if_its_issuer_is_on_this_machine() {
        let discovered = |issuer: &str, jwks_uri: &str| {
            discovered(issuer, json!({"issuer": issuer, "jwks_uri": jwks_uri}).to_string().as_bytes())
        };
        for (issuer, jwks_uri) in [
            ("https://auth.example.com", "https://auth.example.com/keys"),
            ("https://auth.example.com/tenant/", "https://keys.example.net/"),
            ("http://127.0.0.1:8080/realm", "http://127.0.0.1:8080/realm/keys"),
            ("http://localhost:8080", "https://keys.example.net/"),
        ] {
            assert_eq!(
                discovered(issuer, jwks_uri).map(|uri| uri.as_str().to_owned()),
                Ok(jwks_uri.to_owned())
            );
        }
        for issuer in [
            "https://auth.example.com",
            "HTTPS://auth.example.com",
            "https://localhost:8443",
            "https://127.0.0.1",
        ] {
            for jwks_uri in [
                "http://127.0.0.1:9001/2018-06-01/runtime/invocation/next",
                "http://localhost/keys",
                "http://[::1]/keys",
                "HTTP://127.1/keys",
                "http://auth.example.com/keys",
                "http://169.254.169.254/latest/meta-data/",
                "//127.0.0.1/keys",
                "file:///etc/passwd",
                "",
            ] {
                assert_eq!(discovered(issuer, jwks_uri), Err(FetchFailure::Discovery), "{issuer} {jwks_uri}");
            }
        }
        let elsewhere = discovered("http://auth.example.com", "https://auth.example.com/keys");
        assert_eq!(elsewhere, Err(FetchFailure::Address));
    }

    #[tokio::test]
    async fn a_fetch_that_was_begun_is_used_once_and_only_by_whoever_needs_it_then() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let location = KeyLocation::Url(format!("http://{}/keys", listener.local_addr().unwrap()));
        let requests = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counted = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                assert!(connection.read(&mut [0; 4096]).await.unwrap() > 0);
                let answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}";
                connection.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let client = KeyClient::new(None);
        let requests = || requests.load(std::sync::atomic::Ordering::SeqCst);
        client.begin([location.clone()]);
        for expected in [1, 2] {
            assert_eq!(client.get_keys(&location).await.unwrap().0, b"{}");
            assert_eq!(requests(), expected);
        }
        client.begin([location.clone()]);
        client.end_early();
        assert!(client.early.take(&location).is_none(), "what nobody needed then could be used later");
    }

    #[tokio::test]
    async fn no_request_goes_to_the_runtime_api_or_over_plain_http() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let runtime_api = RuntimeApi::parse(&format!("127.0.0.1:{port}"));
        let client = KeyClient { runtime_api, ..KeyClient::new(None) };
        let next = "2018-06-01/runtime/invocation/next";
        for host in
            ["127.0.0.1", "localhost", "LOCALHOST", "[::1]", "127.1", "2130706433", "0x7f.1", "[0::1]"]
        {
            for location in [
                KeyLocation::Url(format!("http://{host}:{port}/{next}")),
                KeyLocation::Url(format!("https://{host}:{port}/{next}")),
                KeyLocation::Discovery { issuer: format!("http://{host}:{port}/{next}?") },
                KeyLocation::Discovery { issuer: format!("http://{host}:{port}") },
            ] {
                let fetched = client.fetch(&location, DevelopmentKeys::Refuse).await;
                assert_eq!(fetched.err(), Some(FetchFailure::Address), "{location:?}");
            }
        }
        for place in
            ["http://auth.example.com/keys", "http://169.254.169.254/keys", "ftp://127.0.0.1/keys", ""]
        {
            let location = KeyLocation::Url(place.to_owned());
            let fetched = client.fetch(&location, DevelopmentKeys::Refuse).await;
            assert_eq!(fetched.err(), Some(FetchFailure::Address), "{place}");
        }
        assert!(listener.accept().is_err(), "a request went to the Runtime API");
    }
}
