//! Files the policies of a store by their scopes. The format is in [`crate::bundle::policies::format`].

use cedar_policy::{
    ActionConstraint, EntityUid, PolicyId, PolicySet, PrincipalConstraint, ResourceConstraint,
};
use serde_json::json;

use super::CannotBuild;
use super::chunks::{Filing, RowValue, Rows};
use super::forms::{Form, Parts};
use crate::bundle::chunks::key;
use crate::bundle::policies::format::{ANY_ACTION, action_number};
use crate::bundle::table::entity_key;
use crate::bundle::text::uid;
use crate::store::links::{LinkedEntity, TemplateLinks};
use crate::store::stored_policy::{self, StoredPolicy};

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
        let form = parts.template(template);
        rows.insert(key::template(template.id().as_ref()), RowValue::Template(form));
    }
    for policy in stored_policy::all(set, links) {
        let form = form(&policy, parts).ok_or_else(|| CannotBuild::Policy(PolicyId::new(policy.id())))?;
        file_policy(&policy, &form, rows);
    }
    Ok(())
}

/// Adds a policy at each place where it is filed.
fn file_policy(policy: &StoredPolicy<'_>, form: &Form, rows: &mut Rows) {
    let filing = |action| Filing { action, id: policy.id().into(), form: form.clone() };
    let named = principal_of(policy).map(|uid| key::principal(&entity_key(&uid)));
    let named = named.or_else(|| resource_of(policy).map(|uid| key::resource(&entity_key(&uid))));
    let actions = match policy.action_constraint() {
        ActionConstraint::Any => {
            let place = named.unwrap_or_else(|| key::OTHERS.to_vec());
            return rows.file(place, filing(ANY_ACTION));
        }
        ActionConstraint::Eq(action) => vec![action],
        ActionConstraint::In(actions) => actions,
    };
    let mut numbers = Vec::new();
    for action in actions.iter().map(entity_key) {
        let number = action_number(&action);
        // A scope may name an action twice.
        if !numbers.contains(&number) {
            numbers.push(number);
            rows.file(named.clone().unwrap_or_else(|| key::action(&action)), filing(number));
        }
    }
}

fn form(policy: &StoredPolicy<'_>, parts: &mut Parts) -> Option<Form> {
    match policy {
        StoredPolicy::Static(policy) => parts.policy(policy),
        StoredPolicy::Linked(link, _) => {
            let value = |entity: Option<LinkedEntity<'_>>| entity.map(|entity| uid::pair(&entity.uid()));
            let template: &str = link.template_id.as_ref();
            let link = json!([template, value(link.principal), value(link.resource)]);
            Some(Form::Text(link.to_string().into()))
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

#[cfg(test)]
mod tests;
