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
}

impl Changes {
    /// The changes from the old bundle, or from nothing, to the new one.
    ///
    /// # Errors
    /// [`Unreadable`]: the compiled part of one cannot be read.
    pub fn between(old: Option<&Bundle>, new: &Bundle) -> Result<Self, Unreadable> {
        let of_old = old.map(Bundle::policies).transpose()?.unwrap_or_default();
        Ok(Self {
            files: Difference::between(old.map(files).unwrap_or_default(), files(new)),
            policies: Difference::between(policies(&of_old), policies(&new.policies()?)),
        })
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
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Difference {
    added: Vec<String>,
    removed: Vec<String>,
    changed: Vec<String>,
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

    fn len(&self) -> usize {
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
    let members = bundle.manifest().members.iter();
    members.map(|member| (member.path.clone(), member.sha256.clone())).collect()
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
    fn a_policy_is_the_same_however_it_is_written() {
        let parse = |text: &str| policies(&text.parse().unwrap());
        let plain = parse("permit(principal, action, resource) when { 1 < 2 };");
        assert_eq!(plain, parse("// why\npermit (\n  principal, action, resource\n)\nwhen { 1 < 2 };"));
        assert_ne!(plain, parse("permit(principal, action, resource) when { 1 < 3 };"));
    }
}
