//! What is in force: the policy store and the API as they were read last without an error.

mod origin;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use cedar_authorizer::bundle::StoreFiles;
use cedar_authorizer::function::lambda::Function;
use cedar_authorizer::store::finding::{Finding, Severity};
use tokio::sync::watch;

use super::api::{ServedApi, ServedAuthorizer};
use super::gateway::Kept;
use crate::gateway_cache::GatewayCache;
use crate::locks;
use crate::test_bench::{TestBench, TestIssuer};

pub use origin::{ApiOrigin, Loaded, Origin, Overrides, StoreOrigin};

/// A policy store and an API that answer requests.
pub struct InForce {
    /// The API.
    pub api: Arc<ServedApi>,
    /// The policy store, to ask it in every other way.
    pub bench: TestBench,
    /// The function, once for each authorizer of the API. Empty with `--authorizer`.
    pub functions: Vec<Function>,
    /// What API Gateway keeps of the answers of each authorizer.
    pub caches: Caches,
    /// The digests of the files that describe the API, by their paths: the template with those it nests, or the description.
    pub api_files: BTreeMap<String, Vec<u8>>,
    /// Counts what was in force, from 1.
    pub revision: u64,
}

/// The caches of the authorizers of an API.
pub type Caches = Arc<Vec<Mutex<GatewayCache<Arc<Kept>>>>>;

impl InForce {
    /// The authorizer at a position, and its cache.
    pub fn authorizer(&self, index: usize) -> Option<(&ServedAuthorizer, &Mutex<GatewayCache<Arc<Kept>>>)> {
        Some((self.api.authorizers.get(index)?, self.caches.get(index)?))
    }
}

/// What the last look at the files found.
#[derive(Clone, Debug, Default)]
pub struct LastLook {
    /// The findings about the policy store. With an error among them, it is not in force.
    pub findings: Vec<Finding>,
    /// The files that the findings are about.
    pub files: Arc<StoreFiles>,
    /// What else is wrong, such as a file that cannot be read, and what to do about it. `None`: nothing.
    pub problem: Option<(String, Option<String>)>,
}

impl LastLook {
    /// Whether it put nothing into force.
    pub fn is_unusable(&self) -> bool {
        self.problem.is_some() || self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }
}

/// What is in force now.
pub struct InForceCell {
    current: RwLock<Arc<InForce>>,
    look: RwLock<Arc<LastLook>>,
    /// Whether files have changed that are not read yet.
    changing: watch::Sender<bool>,
    /// Signs the tokens of every revision.
    issuer: Arc<TestIssuer>,
}

impl InForceCell {
    /// Holds what was loaded first.
    pub fn new(loaded: Loaded, issuer: Arc<TestIssuer>) -> Self {
        Self {
            current: RwLock::new(Arc::new(loaded.in_force)),
            look: RwLock::new(Arc::new(loaded.look)),
            changing: watch::Sender::new(false),
            issuer,
        }
    }

    /// What is in force.
    pub fn get(&self) -> Arc<InForce> {
        Arc::clone(&locks::read(&self.current))
    }

    /// The same; if files have changed, waits until they are read.
    pub async fn settled(&self) -> Arc<InForce> {
        if *self.changing.borrow() {
            let mut changing = self.changing.subscribe();
            // Files that change all the time must not keep clients waiting.
            let _ = tokio::time::timeout(PATIENCE, changing.wait_for(|changing| !changing)).await;
        }
        self.get()
    }

    /// What the last look at the files found.
    pub fn findings(&self) -> Arc<LastLook> {
        Arc::clone(&locks::read(&self.look))
    }

    /// Signs the tokens of every revision.
    pub fn issuer(&self) -> &Arc<TestIssuer> {
        &self.issuer
    }

    /// Whether files have changed that are not read yet.
    pub fn set_changing(&self, changing: bool) {
        self.changing.send_replace(changing);
    }

    /// Puts something else into force. Returns what was in force before.
    pub fn replace(&self, loaded: Loaded) -> Arc<InForce> {
        self.set_look(loaded.look);
        let mut current = locks::write(&self.current);
        std::mem::replace(&mut *current, Arc::new(loaded.in_force))
    }

    /// Notes what a look found that put nothing into force.
    pub fn set_look(&self, look: LastLook) {
        *locks::write(&self.look) = Arc::new(look);
    }
}

/// How long a request waits for changed files to be read.
const PATIENCE: Duration = Duration::from_secs(5);
