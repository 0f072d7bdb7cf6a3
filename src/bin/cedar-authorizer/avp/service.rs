//! The service: what all its operations share.

use std::path::PathBuf;
use std::sync::Arc;

use cedar_authorizer::cedar::{Policy, PolicyId, PolicySet};
use cedar_authorizer::store::directory;

use super::Limits;
use super::error::{ResourceKind, ServiceError};
use super::keys::Keys;
use super::snapshot::Snapshot;

/// The policy stores of one account, and how they are kept.
#[derive(Debug)]
pub struct Service {
    pub data: PathBuf,
    pub limits: Limits,
    pub keys: Keys,
    pub known: std::sync::Mutex<std::collections::HashMap<String, Arc<Snapshot>>>,
}

impl Service {
    pub fn limits(&self) -> Limits {
        self.limits
    }

    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    pub fn snapshot(&self, id: &str) -> Result<Arc<Snapshot>, ServiceError> {
        let files = directory::read(&self.data.join(id))
            .map_err(|_| ServiceError::NotFound(ResourceKind::PolicyStore.named(id)))?;
        if let Ok(known) = self.known.lock()
            && let Some(snapshot) = known.get(id).filter(|known| known.files == files)
        {
            return Ok(Arc::clone(snapshot));
        }
        let policies = read_policies(&files);
        let snapshot = Arc::new(Snapshot::new(files, policies));
        if let Ok(mut known) = self.known.lock() {
            known.insert(id.to_owned(), Arc::clone(&snapshot));
        }
        Ok(snapshot)
    }
}

fn read_policies(files: &cedar_authorizer::bundle::StoreFiles) -> PolicySet {
    match cedar_authorizer::store::Store::open(files) {
        Ok(store) => store
            .policies
            .to_json()
            .ok()
            .and_then(|json| {
                PolicySet::from_json_str(json.to_string().replace("p#", "p/").replace("t#", "t/")).ok()
            })
            .unwrap_or_default(),
        Err(_) => {
            let mut policies = PolicySet::new();
            for (path, text) in files.iter().filter(|(path, _)| path.starts_with("policies/")) {
                let set: PolicySet = String::from_utf8_lossy(text).parse().unwrap_or_default();
                let stem = path.trim_start_matches("policies/").trim_end_matches(".cedar");
                for policy in set.policies() {
                    let policy: Policy = policy.new_id(PolicyId::new(stem));
                    let _ = policies.add(policy);
                }
            }
            policies
        }
    }
}
