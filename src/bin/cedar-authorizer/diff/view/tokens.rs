//! Whose tokens are accepted: no caller of the other views can show that, because each has a token that is.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::digest::{SHA256, digest};
use cedar_authorizer::bundle::StoreFiles;
use serde::Serialize;
use serde_json::{Value, json};

use super::changed::{SETTINGS, Setting, flatten, settings, toml};
use crate::diff::side::Side;

/// Settings of identity sources, of their kept keys, and of tokens.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tokens {
    pub differences: Vec<Setting>,
}

impl Tokens {
    /// What differs between two stores.
    pub fn between(old: &Side, new: &Side) -> Self {
        let (old, new) = (old.bench.files(), new.bench.files());
        let names: BTreeSet<&str> = old.iter().chain(new.iter()).map(|(path, _)| path).collect();
        let mut differences = settings(SETTINGS, &of_tokens(old), &of_tokens(new));
        for path in names.into_iter().filter(|path| FOLDERS.iter().any(|folder| path.starts_with(folder))) {
            differences.extend(settings(path, &values(old, path), &values(new, path)));
        }
        Self { differences }
    }
}

/// The settings of `store.toml` under `[tokens]`.
fn of_tokens(files: &StoreFiles) -> BTreeMap<String, Value> {
    let mut values = toml(files, SETTINGS);
    values.retain(|key, _| key.starts_with("tokens."));
    values
}

/// The values of a JSON file. A key set has a member for each key.
fn values(files: &StoreFiles, path: &str) -> BTreeMap<String, Value> {
    let Some(content) = files.get(path) else { return BTreeMap::new() };
    let mut values = BTreeMap::new();
    let mut read = serde_json::from_slice(content).unwrap_or(Value::Null);
    if path.starts_with(KEYS) {
        let keys = read.get("keys").and_then(Value::as_array).cloned().unwrap_or_default();
        read = keys.iter().map(|key| (key_id(key), fingerprint(key))).collect();
    }
    flatten("", read, &mut values);
    values
}

fn key_id(key: &Value) -> String {
    key.get("kid").and_then(Value::as_str).unwrap_or("(no kid)").to_owned()
}

/// The begin of the SHA-256 of a key: a key is too long to be read, and may change under its id.
fn fingerprint(key: &Value) -> Value {
    let hash = digest(&SHA256, key.to_string().as_bytes());
    json!(format!("sha256:{}", hex::encode(hash.as_ref().get(..16).unwrap_or_default())))
}

const FOLDERS: [&str; 2] = ["identity-sources/", KEYS];

/// The folder of kept keys.
const KEYS: &str = "jwks/";
