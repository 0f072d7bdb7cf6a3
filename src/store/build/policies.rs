//! Files the policies of a store by their scopes. The format is in [`crate::bundle::policies::format`].

use cedar_policy::{
    ActionConstraint, EntityUid, Policy, PolicyId, PolicySet, PrincipalConstraint, ResourceConstraint,
};
use rayon::prelude::*;
use serde_json::json;

use super::CannotBuild;
use super::chunks::{Filing, RowValue, Rows};
use super::forms::{Parts, Text};
use crate::bundle::chunks::key;
use crate::bundle::policies::format::{ANY_ACTION, action_number};
use crate::bundle::table::entity_key;
use crate::bundle::text::uid;
use crate::store::links::{LinkedEntity, TemplateLinks};
use crate::store::stored_policy::StoredPolicy;

/// Adds policies, templates and links to the rows of a map.
///
/// # Errors
/// [`CannotBuild`].
pub(crate) fn file(
    set: &PolicySet,
    links: &TemplateLinks,
    parts: &mut Parts,
    rows: &mut Rows,
) -> Result<(), CannotBuild> {
    for template in set.templates() {
        let form = parts.form(Text::of_template(template));
        rows.insert(key::template(template.id().as_ref()), RowValue::Template(form));
    }
    // Links have little text of their own. To share them among threads takes longer than to write them.
    let policies: Vec<&Policy> = set.policies().collect();
    for block in policies.chunks(BLOCK) {
        let written: Vec<_> = block.par_iter().map(|policy| written(&StoredPolicy::Static(policy))).collect();
        add(written, parts, rows)?;
    }
    let links = links.iter().filter_map(|link| StoredPolicy::linked(link, set));
    add(links.map(|link| written(&link)), parts, rows)
}

/// A policy as it is written, and where.
struct WrittenPolicy {
    id: Box<str>,
    text: Text,
    /// Keys of the map, each with the number of an action.
    places: Vec<(Vec<u8>, u64)>,
}

fn add(
    policies: impl IntoIterator<Item = Result<WrittenPolicy, CannotBuild>>,
    parts: &mut Parts,
    rows: &mut Rows,
) -> Result<(), CannotBuild> {
    for policy in policies {
        let WrittenPolicy { id, text, places } = policy?;
        let form = parts.form(text);
        for (place, action) in places {
            rows.file(place, Filing { action, id: id.clone(), form: form.clone() });
        }
    }
    Ok(())
}

fn written(policy: &StoredPolicy<'_>) -> Result<WrittenPolicy, CannotBuild> {
    let text = text(policy).ok_or_else(|| CannotBuild::Policy(PolicyId::new(policy.id())))?;
    Ok(WrittenPolicy { id: policy.id().into(), text, places: places(policy) })
}

/// Each place where a policy is filed, with the number of the action of its scope.
fn places(policy: &StoredPolicy<'_>) -> Vec<(Vec<u8>, u64)> {
    let named = principal_of(policy).map(|uid| key::principal(&entity_key(&uid)));
    let named = named.or_else(|| resource_of(policy).map(|uid| key::resource(&entity_key(&uid))));
    let actions = match policy.action_constraint() {
        ActionConstraint::Any => {
            return vec![(named.unwrap_or_else(|| key::OTHERS.to_vec()), ANY_ACTION)];
        }
        ActionConstraint::Eq(action) => vec![action],
        ActionConstraint::In(actions) => actions,
    };
    let mut places: Vec<(Vec<u8>, u64)> = Vec::new();
    for action in actions.iter().map(entity_key) {
        let number = action_number(&action);
        // A scope may name an action twice.
        if !places.iter().any(|(_, known)| *known == number) {
            places.push((named.clone().unwrap_or_else(|| key::action(&action)), number));
        }
    }
    places
}

fn text(policy: &StoredPolicy<'_>) -> Option<Text> {
    match policy {
        StoredPolicy::Static(policy) => Text::of_policy(policy),
        StoredPolicy::Linked(link, _) => {
            let value = |entity: Option<LinkedEntity<'_>>| entity.map(|entity| uid::pair(&entity.uid()));
            let template: &str = link.template_id.as_ref();
            let link = json!([template, value(link.principal), value(link.resource)]);
            Some(Text::Plain(link.to_string()))
        }
    }
}

fn principal_of(policy: &StoredPolicy<'_>) -> Option<EntityUid> {
    match policy.principal_constraint() {
        PrincipalConstraint::Any | PrincipalConstraint::Is(_) => None,
        PrincipalConstraint::In(uid) | PrincipalConstraint::Eq(uid) | PrincipalConstraint::IsIn(_, uid) => {
            Some(uid)
        }
    }
}

fn resource_of(policy: &StoredPolicy<'_>) -> Option<EntityUid> {
    match policy.resource_constraint() {
        ResourceConstraint::Any | ResourceConstraint::Is(_) => None,
        ResourceConstraint::In(uid) | ResourceConstraint::Eq(uid) | ResourceConstraint::IsIn(_, uid) => {
            Some(uid)
        }
    }
}

/// So many policies are written at once, for the memory that their texts take.
const BLOCK: usize = 8192;

#[cfg(test)]
mod tests;
