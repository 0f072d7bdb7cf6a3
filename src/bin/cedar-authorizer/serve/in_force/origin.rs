//! Where everything comes from: files, and what arguments say instead of them.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use cedar_authorizer::bundle::signature::PublicKeys;
use cedar_authorizer::bundle::{self, Bundle, DevelopmentKeys, StoreFiles, Trust};
use cedar_authorizer::function::config::Config;
use cedar_authorizer::function::jwks::{KeyCache, KeyTrust};
use cedar_authorizer::function::lambda::Function;
use cedar_authorizer::function::source::current::{Audience, Conditions};
use cedar_authorizer::function::source::{BundleUri, DEFAULT_CACHE_BYTES};
use cedar_authorizer::function::telemetry::Telemetry;
use cedar_authorizer::function::telemetry::settings::{DecisionLogSettings, Settings};
use cedar_authorizer::gateway::cache_key::{CacheKey, CacheScope};
use cedar_authorizer::gateway::call::RouteKey;
use cedar_authorizer::gateway::response::SimpleResponses;
use cedar_authorizer::store::{Checks, Store, build, directory};

use super::{Caches, InForce, LastLook};
use crate::deployment;
use crate::gateway_cache::GatewayCache;
use crate::init;
use crate::output::Failure;
use crate::serve::api::template::{self, TemplateArgs};
use crate::serve::api::{Kind, ServedApi, ServedAuthorizer, openapi, store};
use crate::serve::gateway::take_line;
use crate::test_bench::{Personas, TestBench, TestIssuer};

/// Where everything comes from.
#[derive(Debug)]
pub struct Origin {
    /// The policies.
    pub store: StoreOrigin,
    /// The routes and the authorizers.
    pub api: ApiOrigin,
    /// What arguments say instead.
    pub overrides: Overrides,
    /// Whether an authorizer elsewhere is asked, and no function is needed.
    pub is_elsewhere: bool,
    /// Whether kept answers survive a change.
    pub keeps_cache: bool,
}

/// Where the policies come from.
#[derive(Debug)]
pub enum StoreOrigin {
    /// A policy store.
    Directory(PathBuf),
    /// A bundle, and the keys of which one must have signed it.
    Bundle(PathBuf, Option<PublicKeys>),
}

/// Where the routes come from.
#[derive(Debug)]
pub enum ApiOrigin {
    /// They are those of the policy store.
    Store,
    /// An OpenAPI description.
    Description(PathBuf),
    /// A template.
    Template(TemplateArgs),
}

/// What arguments say of every authorizer. `None`: what the template says, otherwise the default.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--kind`
    pub kind: Option<Kind>,
    /// `--cache-key`
    pub key: Option<CacheKey>,
    /// `--ttl`
    pub time_to_live: Option<Duration>,
}

/// What was read.
pub struct Loaded {
    /// What can be put into force.
    pub in_force: InForce,
    /// What was found on the way: there may be warnings.
    pub look: LastLook,
}

/// A policy store that was read, and the bundle of it.
struct ReadStore {
    store: Store,
    files: StoreFiles,
    bytes: Vec<u8>,
    bundle: Bundle,
    personas: Personas,
    look: LastLook,
}

impl Origin {
    /// The name of the policy store, as it was given.
    pub fn name(&self) -> String {
        self.store.path().display().to_string()
    }

    /// The files and folders that matter.
    pub fn paths(&self) -> Vec<PathBuf> {
        [self.store.path()].into_iter().chain(self.api.path()).cloned().collect()
    }

    /// The templates of nested stacks that the template names now.
    pub fn nested_templates(&self) -> Vec<PathBuf> {
        match &self.api {
            ApiOrigin::Template(template) => {
                deployment::nested_templates(&template.path, &template.parameters)
            }
            ApiOrigin::Store | ApiOrigin::Description(_) => Vec::new(),
        }
    }

    /// Reads everything. `before` is what is in force until then.
    ///
    /// # Errors
    /// What is wrong.
    pub async fn load(
        &self,
        issuer: &Arc<TestIssuer>,
        before: Option<&InForce>,
    ) -> Result<Loaded, Box<LastLook>> {
        let revision = before.map_or(1, |before| before.revision + 1);
        let read = self.read_store(revision)?;
        let failed = |failure: Failure, look: &LastLook| Box::new(look.clone().with(&failure));
        // Digests of what is about to be read: if a file changes meanwhile, the next look finds another one.
        let api_files = self.api_files();
        let api = self.read_api(&read.store).map_err(|failure| failed(failure, &read.look))?;
        let ReadStore { store, files, bytes, bundle, personas, look } = read;
        let mut functions: Vec<Function> = Vec::new();
        if !self.is_elsewhere {
            // The keys of an issuer are those of all authorizers, and a change of the store does not change them.
            let mut keys = before.and_then(|before| before.functions.first()).and_then(keys_of);
            for authorizer in &api.authorizers {
                let function = self.function(&bytes, authorizer, issuer, keys.as_ref()).await;
                let function = function.map_err(|failure| failed(failure, &look))?;
                keys = keys_of(&function);
                functions.push(function);
            }
        }
        let location = bundle.token_location().clone();
        let bench = TestBench::of_bundle(self.name(), store, files, bundle, personas, Arc::clone(issuer));
        let caches =
            match before.filter(|before| self.keeps_cache && before.api.authorizers == api.authorizers) {
                Some(before) => Arc::clone(&before.caches),
                None => caches(&api, &location).map_err(|failure| failed(failure, &look))?,
            };
        let in_force = InForce { api: Arc::new(api), bench, functions, caches, api_files, revision };
        Ok(Loaded { in_force, look })
    }

    fn api_files(&self) -> BTreeMap<String, Vec<u8>> {
        let paths = self.api.path().into_iter().cloned().chain(self.nested_templates());
        // What comes through a pipe can be read only once.
        let digest = |path: PathBuf| {
            let content = path.is_file().then(|| init::api::read(&path).ok()).flatten()?;
            Some((path.display().to_string(), digest(&SHA256, &content).as_ref().to_vec()))
        };
        paths.filter_map(digest).collect()
    }

    fn read_store(&self, revision: u64) -> Result<ReadStore, Box<LastLook>> {
        let failed = |failure: Failure| Box::new(LastLook::default().with(&failure));
        match &self.store {
            StoreOrigin::Directory(path) => {
                let files = directory::read(path).map_err(|error| {
                    let hint = "a policy store is a directory with a `store.toml`; name it by --store DIR";
                    failed(Failure::could_not_run(error).hint(hint))
                })?;
                self.check_store(path, files, revision)
            }
            StoreOrigin::Bundle(path, public_keys) => {
                read_bundle(path, public_keys.as_ref()).map_err(|failure| failed(failure.about(&self.name())))
            }
        }
    }

    fn check_store(&self, path: &Path, files: StoreFiles, revision: u64) -> Result<ReadStore, Box<LastLook>> {
        let checks = Checks { cache_key: self.overrides.key.clone(), avp_limits: false };
        let (store, findings) = Store::check_for(&files, &checks);
        let look = LastLook { findings, files: Arc::new(files.clone()), problem: None };
        let Some(store) = store else { return Err(Box::new(look)) };
        let failed = |failure: Failure| Box::new(look.clone().with(&failure));
        let personas = Personas::read(path).map_err(failed)?;
        let bytes = build::bundle(&store, &files, revision);
        let bytes = bytes.map_err(|error| failed(Failure::invalid(error)))?;
        // Events that are kept as examples have tokens that are signed with the development key.
        let bundle = Bundle::open(bytes.clone(), DevelopmentKeys::Allow);
        let bundle = bundle.map_err(|error| failed(Failure::invalid(error)))?;
        Ok(ReadStore { store, files, bytes, bundle, personas, look })
    }

    fn read_api(&self, policies: &Store) -> Result<ServedApi, Failure> {
        let kind = self.overrides.kind.unwrap_or(Kind::RestRequest);
        let authorizer = ServedAuthorizer {
            name: "authorizer".to_owned(),
            kind,
            key: CacheKey::Token,
            time_to_live: if kind == Kind::WebSocket { Duration::ZERO } else { TIME_TO_LIVE },
            validation_expression: None,
            function_key: None,
        };
        let authorizer = self.overrides.over(authorizer);
        let mut api = match &self.api {
            ApiOrigin::Store => store::of(policies, authorizer),
            ApiOrigin::Description(path) => openapi::read(path, policies, authorizer)?,
            ApiOrigin::Template(template) => template::read(template, policies)?,
        };
        api.authorizers =
            api.authorizers.into_iter().map(|authorizer| self.overrides.over(authorizer)).collect();
        api.authorizers.iter().try_for_each(check)?;
        Ok(api)
    }

    /// The function, as it is deployed for an authorizer.
    async fn function(
        &self,
        bundle: &[u8],
        authorizer: &ServedAuthorizer,
        issuer: &TestIssuer,
        keys: Option<&KeyCache>,
    ) -> Result<Function, Failure> {
        // The function reads its bundle from a file. It never looks for a newer one: that would be another function.
        let mut file = tempfile::NamedTempFile::new().map_err(Failure::could_not_run)?;
        file.write_all(bundle).map_err(Failure::could_not_run)?;
        let public_keys = match &self.store {
            StoreOrigin::Directory(_) => None,
            StoreOrigin::Bundle(_, public_keys) => public_keys.clone(),
        };
        let is_simple = authorizer.kind == Kind::HttpSimple;
        let config = Config {
            bundle_uri: BundleUri::File(file.path().to_owned()),
            fallback_uri: None,
            shadow_uri: None,
            tenancy: None,
            conditions: Conditions {
                key_trust: KeyTrust {
                    development_keys: DevelopmentKeys::Allow,
                    test_keys: Some(issuer.key_set()),
                },
                public_keys,
                name: None,
                audience: Audience::Any,
                min_revision: 0,
                trusted_issuers: None,
                cache_key: cache_key(authorizer),
                refresh: Duration::MAX,
                max_stale: Duration::MAX,
            },
            bundle_cache_bytes: DEFAULT_CACHE_BYTES,
            jwks_proxy: None,
            simple_responses: if is_simple { SimpleResponses::Enabled } else { SimpleResponses::Disabled },
            telemetry: Settings::default(),
        };
        let function = Function::init_with_keys(&config, keys, SystemTime::now().into()).await;
        let decision_log = DecisionLogSettings { has_requests: true, ..DecisionLogSettings::default() };
        let telemetry = Telemetry::new(Settings { decision_log, ..Settings::default() }, take_line);
        Ok(function.map_err(Failure::invalid)?.with_telemetry(telemetry))
    }
}

impl StoreOrigin {
    fn path(&self) -> &PathBuf {
        match self {
            Self::Directory(path) | Self::Bundle(path, _) => path,
        }
    }
}

impl ApiOrigin {
    fn path(&self) -> Option<&PathBuf> {
        match self {
            Self::Store => None,
            Self::Description(path) => Some(path),
            Self::Template(template) => Some(&template.path),
        }
    }
}

impl Overrides {
    fn over(&self, authorizer: ServedAuthorizer) -> ServedAuthorizer {
        let Self { kind, key, time_to_live } = self.clone();
        // What the function is deployed with fits the template, not these.
        let function_key = authorizer.function_key.filter(|_| key.is_none() && time_to_live.is_none());
        ServedAuthorizer {
            function_key,
            kind: kind.unwrap_or(authorizer.kind),
            key: key.unwrap_or(authorizer.key),
            time_to_live: time_to_live.unwrap_or(authorizer.time_to_live),
            ..authorizer
        }
    }
}

impl LastLook {
    fn with(self, failure: &Failure) -> Self {
        Self { problem: Some((failure.message().to_owned(), failure.advice().map(str::to_owned))), ..self }
    }
}

/// The keys of the issuers, as a function has them now.
fn keys_of(function: &Function) -> Option<KeyCache> {
    Some(function.current()?.serving().keys.clone())
}

/// What `CACHE_KEY` is for an authorizer; if nothing says it, what it has to be.
fn cache_key(authorizer: &ServedAuthorizer) -> CacheKey {
    let ServedAuthorizer { key, time_to_live, function_key, .. } = authorizer;
    let fitting = || if time_to_live.is_zero() { CacheKey::None } else { key.clone() };
    function_key.clone().unwrap_or_else(fitting)
}

/// Refuses what the function refuses, and what cannot be served.
fn check(authorizer: &ServedAuthorizer) -> Result<(), Failure> {
    let key = cache_key(authorizer);
    if authorizer.kind == Kind::HttpSimple && key.through(RouteKey::OneMethod).scope() == CacheScope::Api {
        let message = format!("with the cache key `{key}` API Gateway would apply one boolean to all routes");
        let hint = "use --ttl 0, or add `$context.httpMethod` and `$context.path` to --cache-key";
        return Err(Failure::could_not_run(message).hint(hint));
    }
    Ok(())
}

fn caches(
    api: &ServedApi,
    location: &cedar_authorizer::gateway::call::TokenLocation,
) -> Result<Caches, Failure> {
    let cache = |authorizer: &ServedAuthorizer| {
        let cache = GatewayCache::new(authorizer.key.clone(), authorizer.time_to_live, location.clone());
        cache.map(Mutex::new).map_err(Failure::could_not_run)
    };
    Ok(Arc::new(api.authorizers.iter().map(cache).collect::<Result<_, _>>()?))
}

fn read_bundle(path: &Path, public_keys: Option<&PublicKeys>) -> Result<ReadStore, Failure> {
    let bytes = fs::read(path).map_err(Failure::could_not_run)?;
    let trust = Trust { development_keys: DevelopmentKeys::Allow, public_keys };
    let bundle = Bundle::open(bytes.clone(), trust).map_err(Failure::invalid)?;
    let mut files = bundle::unpack(&bytes).map_err(Failure::invalid)?;
    files.retain_known();
    let look = LastLook { files: Arc::new(files.clone()), ..LastLook::default() };
    let store = Store::open(&files).map_err(|_| Failure::invalid("the sources in the bundle are invalid"))?;
    // A bundle has no personas.
    let personas = Personas::parse(path, "")?;
    Ok(ReadStore { store, files, bytes, bundle, personas, look })
}

/// API Gateway's default for REST APIs.
const TIME_TO_LIVE: Duration = Duration::from_secs(300);
