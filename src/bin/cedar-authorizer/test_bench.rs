//! The test bench: a policy store that answers requests of people who do not exist.
//!
//! The [`TestBench`] builds a bundle of the store in memory, and signs the tokens of its [`Personas`] as their
//! [`TestIssuer`]. So every answer is made as in production, from an event of API Gateway and a token that is
//! verified.

mod issuer;
mod personas;
mod request;
mod routing;

use std::sync::{Arc, OnceLock};

use cedar_authorizer::bundle::{Bundle, DevelopmentKeys, StoreFiles};
use cedar_authorizer::decide::{Gate, Session};
use cedar_authorizer::gateway::call::{Call, InvalidEvent};
use cedar_authorizer::reason::Reason;
use cedar_authorizer::store::sources::PolicySources;
use cedar_authorizer::store::{Store, build};
use cedar_authorizer::time::UnixTime;
use cedar_authorizer::token::TokenType;
use cedar_authorizer::token::identity_source::IdentitySource;
use quick_cache::sync::Cache;
use serde_json::Value;

pub use issuer::{NoSource, TestIssuer, default_claims, find_source, token_type};
pub use personas::{Claims, Personas};
pub use request::{ApiKind, HttpRequest, Received};
pub use routing::{CONNECT, DEFAULT, chosen};

use crate::explanation::Explainer;
use crate::output::Failure;
use crate::progress;
use crate::store::StoreArgs;

/// A policy store with everything that answers requests.
pub struct TestBench {
    /// The directory of the policy store, as it was given.
    name: String,
    store: Store,
    files: StoreFiles,
    bundle: Arc<Bundle>,
    personas: Personas,
    issuer: Arc<TestIssuer>,
    /// Verifies the tokens of the issuer.
    gate: Gate,
    /// Verifies the tokens of others, with the keys that are kept with the store.
    pinned: Gate,
    known: Cache<TokenKey, Arc<SignedToken>>,
    explainer: OnceLock<Explainer>,
}

/// A token of the test issuer, and what comes of it.
#[derive(Debug)]
pub struct SignedToken {
    /// The token, as a client sends it.
    pub text: String,
    /// The session, or why the token is refused.
    pub session: Result<Session, Reason>,
}

/// Everything that a token depends on: its claims as JSON, and when it is verified.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct TokenKey {
    claims: String,
    now: u64,
}

impl TestBench {
    /// Reads and checks a policy store, and makes it ready to answer. Prints its errors to stderr.
    pub fn open(store: &StoreArgs) -> Result<Self, Failure> {
        let personas = Personas::read(&store.store)?;
        let (checked, files) = store.open_to_ask()?;
        Self::new(store.name(), checked, files, personas)
    }

    /// The test bench of a policy store that is read already. `files` are those of the store.
    pub fn new(name: String, store: Store, files: StoreFiles, personas: Personas) -> Result<Self, Failure> {
        let bundle = progress::during("building the bundle", || {
            let bytes = build::bundle(&store, &files, FIRST_REVISION).map_err(Failure::invalid)?;
            // Events that are kept as examples have tokens that are signed with the development key.
            Bundle::open(bytes, DevelopmentKeys::Allow).map_err(Failure::invalid)
        })?;
        Ok(Self::of_bundle(name, store, files, bundle, personas, Arc::new(TestIssuer::new()?)))
    }

    /// The test bench of a bundle. `store` and `files` are what it was built of. The issuer may be that of another test
    /// bench, so that tokens are good for both.
    pub fn of_bundle(
        name: String,
        store: Store,
        files: StoreFiles,
        bundle: Bundle,
        personas: Personas,
        issuer: Arc<TestIssuer>,
    ) -> Self {
        let bundle = Arc::new(bundle);
        let gate = Gate::new(Arc::clone(&bundle), issuer.key_sets(bundle.identity_sources()));
        let pinned = Gate::with_pinned_keys(Arc::clone(&bundle));
        Self {
            name,
            store,
            files,
            bundle,
            personas,
            issuer,
            gate,
            pinned,
            known: Cache::new(MAX_TOKENS),
            explainer: OnceLock::new(),
        }
    }

    /// The directory of the policy store, as it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The policy store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The files that it was read from.
    pub fn files(&self) -> &StoreFiles {
        &self.files
    }

    /// The bundle that was built of it.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// Decides on requests in Cedar's terms.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Explains decisions of its policies.
    pub fn explainer(&self) -> &Explainer {
        self.explainer
            .get_or_init(|| Explainer::new(&self.store.policy_set(), &PolicySources::read(&self.files)))
    }

    /// Its personas.
    pub fn personas(&self) -> &Personas {
        &self.personas
    }

    /// The identity source that a token with these claims is from; see [`find_source`].
    pub fn source(&self, name: Option<&str>, claims: &Claims) -> Result<&IdentitySource, NoSource> {
        find_source(self.bundle.identity_sources(), name, claims)
    }

    /// All claims of a token: those of its source and type, replaced by these. A null removes a claim.
    ///
    /// `token_type` is the one that the source accepts, unless it is given. `now` is when the token is issued; it is
    /// valid for an hour.
    pub fn claims(
        &self,
        claims: &Claims,
        source: &IdentitySource,
        token_type: Option<TokenType>,
        now: UnixTime,
    ) -> Claims {
        let token_type = token_type.unwrap_or_else(|| issuer::token_type(source));
        let mut all = default_claims(source, token_type, now, TOKEN_SECONDS);
        all.extend(claims.iter().map(|(name, value)| (name.clone(), value.clone())));
        all.retain(|_, value| !value.is_null());
        all
    }

    /// A token with exactly these claims, and the session of whoever sends it at this time.
    pub fn sign(&self, claims: &Claims, now: UnixTime) -> Result<Arc<SignedToken>, Failure> {
        let key = TokenKey {
            claims: serde_json::to_string(claims).map_err(Failure::could_not_run)?,
            now: now.as_seconds(),
        };
        self.known.get_or_insert_with(&key, || {
            let text = self.issuer.sign(claims)?;
            let session = self.gate.authenticate(&text, now).map_err(|refused| refused.reason());
            Ok(Arc::new(SignedToken { text, session }))
        })
    }

    /// The session of a call whose token is of somebody else. It is verified with the keys of the store.
    ///
    /// # Errors
    /// Why the token is refused.
    pub fn authenticate(&self, call: &Call, now: UnixTime) -> Result<Session, Reason> {
        let authorization = call.authorization(self.bundle.token_location())?;
        self.pinned.authenticate(authorization, now).map_err(|refused| refused.reason())
    }

    /// A request as a call of API Gateway, with the route that it would take.
    ///
    /// # Errors
    /// [`InvalidEvent`], for example if the path is longer than API Gateway takes.
    pub fn call(&self, request: &HttpRequest, token: Option<&str>) -> Result<Call, InvalidEvent> {
        Call::from_event(self.event(request, token))
    }

    /// The event of such a call.
    pub fn event(&self, request: &HttpRequest, token: Option<&str>) -> Value {
        request.event(&self.store.routes, self.bundle.token_location(), token)
    }
}

/// The moment of a request that has no time of its own: 2026-01-01. It is fixed, so that a test gives the same result
/// every day.
pub const DEFAULT_TIME: UnixTime = UnixTime::from_seconds(1_767_225_600);

/// The bundle is never published, so any revision will do.
const FIRST_REVISION: u64 = 1;

/// How long tokens are valid; Cognito's default.
const TOKEN_SECONDS: u64 = 3600;

/// How many tokens are kept with their sessions.
const MAX_TOKENS: usize = 4096;
