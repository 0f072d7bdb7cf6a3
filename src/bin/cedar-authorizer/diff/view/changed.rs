//! What was written otherwise: files, policies and settings.

use std::collections::{BTreeMap, BTreeSet};

use cedar_authorizer::bundle::{StoreFiles, Unreadable};
use serde::Serialize;
use serde_json::Value;

use crate::changes::{Changes, Difference};
use crate::diff::side::Side;

/// Files, policies and settings that differ.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    /// By path, without the compiled part of a bundle.
    pub files: Difference,
    /// By id. Those that were renamed are here, too.
    pub policies: Difference,
    /// The old and the new id of policies that say the same.
    pub renamed_policies: Vec<(String, String)>,
    /// Settings of `store.toml`.
    pub settings: Vec<Setting>,
}

/// A setting with another value.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Setting {
    pub file: String,
    /// `tokens.type`.
    pub key: String,
    /// `None`: it was not set.
    pub before: Option<Value>,
    /// `None`: it is not set any more.
    pub after: Option<Value>,
}

impl Changed {
    /// What differs between two stores.
    ///
    /// # Errors
    /// [`Unreadable`]: the compiled part of one cannot be read.
    pub fn between(old: &Side, new: &Side) -> Result<Self, Unreadable> {
        let changes = Changes::between(Some(old.bench.bundle()), new.bench.bundle())?;
        let read = |side: &Side| toml(side.bench.files(), SETTINGS);
        Ok(Self {
            files: changes.written_files(),
            policies: changes.policies().clone(),
            renamed_policies: changes.renamed_policies().to_vec(),
            settings: settings(SETTINGS, &read(old), &read(new)),
        })
    }

    /// What differs for people, a line each.
    pub fn lines(&self) -> Vec<String> {
        let is_renamed = |id: &String| self.renamed_policies.iter().any(|(old, new)| old == id || new == id);
        let rest = |names: &Vec<String>| {
            let names: Vec<String> = names.iter().filter(|id| !is_renamed(id)).cloned().collect();
            names
        };
        let Difference { added, removed, changed } = &self.policies;
        let policies = Difference { added: rest(added), removed: rest(removed), changed: changed.clone() };
        let renamed = self.renamed_policies.iter().map(|(old, new)| format!("{old} is now {new}"));
        let mut lines = Vec::new();
        lines.extend(listed("files", &self.files));
        lines.extend(listed("policies", &policies));
        lines.extend(renamed.map(|line| format!("renamed: {line}")));
        lines.extend(self.settings.iter().map(|setting| format!("setting {}", setting.shown())));
        lines
    }
}

impl Setting {
    /// The setting for people: `tokens.type: "access" -> "id"`.
    pub fn shown(&self) -> String {
        let Self { file, key, .. } = self;
        format!("{key} of {file}: {} -> {}", self.value_before(), self.value_after())
    }

    /// The value before, as JSON.
    pub fn value_before(&self) -> String {
        shown(self.before.as_ref())
    }

    /// The value now, as JSON.
    pub fn value_after(&self) -> String {
        shown(self.after.as_ref())
    }
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "not set".to_owned(), Value::to_string)
}

/// A line for each way in which names differ.
fn listed(what: &str, difference: &Difference) -> impl Iterator<Item = String> {
    let Difference { added, removed, changed } = difference;
    let all = [("added", added), ("removed", removed), ("changed", changed)];
    let line = |(verb, names): (&str, &Vec<String>)| format!("{what} {verb}: {}", names.join(", "));
    all.into_iter().filter(|(_, names)| !names.is_empty()).map(line).collect::<Vec<_>>().into_iter()
}

/// The values of a TOML file by the paths of their keys.
pub fn toml(files: &StoreFiles, path: &str) -> BTreeMap<String, Value> {
    let text = files.get(path).and_then(|content| std::str::from_utf8(content).ok()).unwrap_or_default();
    let mut values = BTreeMap::new();
    // The store was read, so its settings can be.
    if let Ok(value) = toml::from_str::<Value>(text) {
        flatten("", value, &mut values);
    }
    values
}

/// Adds the values of an object by the paths of their keys.
pub fn flatten(key: &str, value: Value, values: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let key = if key.is_empty() { name } else { format!("{key}.{name}") };
                flatten(&key, value, values);
            }
        }
        value => {
            values.insert(key.to_owned(), value);
        }
    }
}

/// The settings of a file that differ.
pub fn settings(file: &str, old: &BTreeMap<String, Value>, new: &BTreeMap<String, Value>) -> Vec<Setting> {
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let setting = |key: &&String| Setting {
        file: file.to_owned(),
        key: (*key).clone(),
        before: old.get(*key).cloned(),
        after: new.get(*key).cloned(),
    };
    keys.iter().map(setting).filter(|setting| setting.before != setting.after).collect()
}

/// The settings of a store.
pub const SETTINGS: &str = "store.toml";
