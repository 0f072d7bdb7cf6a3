//! The differences between two bundles.

use std::collections::BTreeMap;

use cedar_authorizer::bundle::{Bundle, Unreadable};
use cedar_policy::PolicySet;
use serde::Serialize;
use serde_json::{Value, json};

/// The differences between two bundles: files by path, policies by id.
#[derive(Debug, Serialize)]
pub struct Changes {
    files: Difference,
    policies: Difference,
    /// The old and the new id of policies that say the same.
    #[serde(skip)]
    renamed: Vec<(String, String)>,
}

impl Changes {
    /// The changes from the old bundle, or from nothing, to the new one.
    ///
    /// # Errors
    /// [`Unreadable`]: the compiled part of one cannot be read.
    pub fn between(old: Option<&Bundle>, new: &Bundle) -> Result<Self, Unreadable> {
        let of_old = policies(&old.map(Bundle::policies).transpose()?.unwrap_or_default());
        let of_new = policies(&new.policies()?);
        Ok(Self {
            files: Difference::between(old.map(files).unwrap_or_default(), files(new)),
            renamed: renamed(&of_old, &of_new),
            policies: Difference::between(of_old, of_new),
        })
    }

    /// The files that people write: all but the compiled part of a bundle.
    pub fn written_files(&self) -> Difference {
        let written = |names: &Vec<String>| {
            let written = names.iter().filter(|name| !name.starts_with(COMPILED));
            written.cloned().collect()
        };
        let Difference { added, removed, changed } = &self.files;
        Difference { added: written(added), removed: written(removed), changed: written(changed) }
    }

    /// The policies, those that were renamed among the added and the removed ones.
    pub fn policies(&self) -> &Difference {
        &self.policies
    }

    /// The old and the new id of policies that say the same.
    pub fn renamed_policies(&self) -> &[(String, String)] {
        &self.renamed
    }

    /// Whether all files are the same. Then the policies are the same too.
    pub fn is_empty(&self) -> bool {
        self.count_of_files() == 0
    }

    /// How many files are added, removed or changed.
    pub fn count_of_files(&self) -> usize {
        self.files.len()
    }

    /// How many policies are added, removed or changed.
    pub fn count_of_policies(&self) -> usize {
        self.policies.len()
    }

    /// One line for each change.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = self.files.lines("");
        lines.extend(self.policies.lines("policy "));
        lines
    }
}

/// Names, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub added: Vec<String>,
    pub removed: Vec<String>,
    pub changed: Vec<String>,
}

impl Difference {
    fn between<T: PartialEq>(old: BTreeMap<String, T>, new: BTreeMap<String, T>) -> Self {
        let (mut added, mut changed) = (Vec::new(), Vec::new());
        for (name, value) in &new {
            match old.get(name) {
                None => added.push(name.clone()),
                Some(known) if known != value => changed.push(name.clone()),
                Some(_) => {}
            }
        }
        let removed = old.into_keys().filter(|name| !new.contains_key(name)).collect();
        Self { added, removed, changed }
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        let Self { added, removed, changed } = self;
        added.len() + removed.len() + changed.len()
    }

    fn lines(&self, kind: &str) -> Vec<String> {
        let Self { added, removed, changed } = self;
        [("added", added), ("removed", removed), ("changed", changed)]
            .iter()
            .flat_map(|(verb, names)| names.iter().map(move |name| format!("{verb:<8}{kind}{name}")))
            .collect()
    }
}

fn files(bundle: &Bundle) -> BTreeMap<String, String> {
    bundle.files().into_iter().map(|file| (file.path, file.sha256)).collect()
}

/// Static policies, templates and template links by id, in a form without white space and comments.
fn policies(set: &PolicySet) -> BTreeMap<String, Value> {
    let templates = set.templates().map(|template| {
        let body = template.to_json().unwrap_or_else(|_| template.to_string().into());
        (template.id().to_string(), body)
    });
    let policies = set.policies().map(|policy| {
        let body = match (policy.template_id(), policy.template_links()) {
            (Some(template), Some(slots)) => {
                let slots: BTreeMap<String, String> =
                    slots.iter().map(|(slot, entity)| (slot.to_string(), entity.to_string())).collect();
                json!({"templateId": template.to_string(), "slots": slots})
            }
            _ => policy.to_json().unwrap_or_else(|_| policy.to_string().into()),
        };
        (policy.id().to_string(), body)
    });
    templates.chain(policies).collect()
}

/// The policies that are gone, each with a new one that says the same under another id.
fn renamed(old: &BTreeMap<String, Value>, new: &BTreeMap<String, Value>) -> Vec<(String, String)> {
    let mut added: Vec<(&String, Value)> = new
        .iter()
        .filter(|(id, _)| !old.contains_key(*id))
        .map(|(id, body)| (id, without_id(body)))
        .collect();
    let removed = old.iter().filter(|(id, _)| !new.contains_key(*id));
    let mut renamed = Vec::new();
    for (id, body) in removed {
        let body = without_id(body);
        if let Some(place) = added.iter().position(|(_, new)| *new == body) {
            let (new, _) = added.remove(place);
            renamed.push((id.clone(), new.clone()));
        }
    }
    renamed
}

/// A policy without the annotation that names it.
fn without_id(policy: &Value) -> Value {
    let mut policy = policy.clone();
    if let Some(annotations) = policy.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.remove("id");
        if annotations.is_empty()
            && let Some(policy) = policy.as_object_mut()
        {
            policy.remove("annotations");
        }
    }
    policy
}

/// The folder of the compiled part of a bundle.
const COMPILED: &str = "compiled/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_added_removed_changed_or_not_named() {
        let map =
            |pairs: &[(&str, u8)]| pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        let difference =
            Difference::between(map(&[("a", 1), ("b", 1), ("c", 1)]), map(&[("b", 1), ("c", 2), ("d", 1)]));
        assert_eq!(difference.lines("policy "), ["added   policy d", "removed policy a", "changed policy c"]);
    }

    #[test]
    fn a_policy_is_renamed_if_it_says_the_same_under_another_id() {
        let parse = |text: &str| policies(&text.parse().unwrap());
        let named = |id: &str, condition: &str| {
            let mut set = PolicySet::new();
            let text = format!("@id(\"{id}\") permit(principal, action, resource) when {{ {condition} }};");
            set.add(cedar_policy::Policy::parse(Some(cedar_policy::PolicyId::new(id)), text).unwrap())
                .unwrap();
            policies(&set)
        };
        let pair = ("a".to_owned(), "b".to_owned());
        assert_eq!(renamed(&named("a", "1 < 2"), &named("b", "1 < 2")), [pair]);
        assert_eq!(renamed(&named("a", "1 < 2"), &named("b", "1 < 3")), []);
        assert_eq!(renamed(&named("a", "1 < 2"), &named("a", "1 < 2")), []);
        assert_eq!(renamed(&parse("permit(principal, action, resource);"), &named("b", "true")), []);
    }

    #[test]
    fn a_policy_is_the_same_however_it_is_written() {
        let parse = |text: &str| policies(&text.parse().unwrap());
        let plain = parse("permit(principal, action, resource) when { 1 < 2 };");
        assert_eq!(plain, parse("// why\npermit (\n  principal, action, resource\n)\nwhen { 1 < 2 };"));
        assert_ne!(plain, parse("permit(principal, action, resource) when { 1 < 3 };"));
    }
}
