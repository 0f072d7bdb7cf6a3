//! Which requests a property is about.

use cedar_authorizer::cedar::EntityUid;
use cedar_policy_symcc::SymEnv;
use cedar_policy_symcc::term_type::TermType;
use serde_json::{Map, Value, json};

use crate::proof::expression::{all, any, binary, entity, not, variable};

/// Which requests a property is about: those that meet all of this.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// One of these actions.
    pub actions: Vec<EntityUid>,
    pub principal: Option<EntityUid>,
    pub resource: Option<EntityUid>,
    /// The caller is in one group of each of these lists: a name may stand for groups of several identity sources.
    pub in_groups: Vec<Vec<EntityUid>>,
    /// The caller is in none of these.
    pub not_in_groups: Vec<EntityUid>,
    /// Claims of the caller's token that have these values.
    pub claims: Map<String, Value>,
    /// Cedar expressions, in its JSON form.
    pub when: Option<Value>,
}

impl Pattern {
    /// What has to be true of a request with these types.
    ///
    /// # Errors
    /// A claim is not one that policies could read.
    pub fn condition(&self, types: &SymEnv) -> Result<Value, String> {
        let principal = || variable("principal");
        let is_in = |group: &EntityUid| binary("in", principal(), entity(group));
        let mut parts = Vec::new();
        parts.extend(self.principal.as_ref().map(|uid| binary("==", principal(), entity(uid))));
        parts.extend(self.resource.as_ref().map(|uid| binary("==", variable("resource"), entity(uid))));
        for groups in &self.in_groups {
            parts.extend(any(groups.iter().map(is_in).collect()));
        }
        parts.extend(self.not_in_groups.iter().map(|group| not(is_in(group))));
        for (name, value) in &self.claims {
            parts.push(claim(name, value, types)?);
        }
        parts.extend(self.when.clone());
        Ok(all(parts))
    }
}

/// A claim of an access token is in `context.token`, one of an ID token is an attribute of the principal.
fn claim(name: &str, value: &Value, types: &SymEnv) -> Result<Value, String> {
    let token = attribute(&types.request.context.type_of(), "token").map(|(token, _)| token);
    let of_token = token.and_then(|token| attribute(&token, name));
    let TermType::Entity { ety } = types.request.principal.type_of() else {
        return Err("the principal has no type".to_owned());
    };
    let of_principal = || attribute(types.entities.get(&ety)?.attrs.out_type(), name);
    let (holder, (_, is_optional)) = if let Some(found) = of_token {
        (json!({".": {"left": variable("context"), "attr": "token"}}), found)
    } else if let Some(found) = of_principal() {
        (variable("principal"), found)
    } else {
        return Err(format!("the schema has no claim `{name}` here"));
    };
    let read = json!({".": {"left": holder.clone(), "attr": name}});
    let is_equal = binary("==", read, json!({"Value": value}));
    let has = json!({"has": {"left": holder, "attr": name}});
    Ok(if is_optional { binary("&&", has, is_equal) } else { is_equal })
}

/// The type of an attribute, and whether it is optional.
fn attribute(record: &TermType, name: &str) -> Option<(TermType, bool)> {
    let TermType::Record { rty } = record else { return None };
    Some(match rty.get(name)? {
        TermType::Option { ty } => (ty.as_ref().clone(), true),
        plain => (plain.clone(), false),
    })
}

/// Whether an action meets a pattern with `*` for any text: `delete *`.
pub fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.split_once(part) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, expected) in [
            ("delete *", "delete /pets/{petId}", true),
            ("delete *", "get /", false),
            ("get /", "get /", true),
            ("get /", "get /pets", false),
            ("*", "", true),
            ("* /pets*", "post /pets/{petId}/notes", true),
            ("*/{petId}*s", "post /pets/{petId}/notes", true),
            ("*a*a", "a", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
