//! Which identity source is which. They have no names in AVP.

use serde_json::{Value, json};

use crate::avp::contents::IdentitySource;

/// Pairs ours with those in AWS: by id, then by what they say, then the only ones left.
pub fn pairs<'c, 'l>(
    own: &'c [IdentitySource],
    theirs: &'l [IdentitySource],
) -> Vec<(Option<&'c IdentitySource>, Option<&'l IdentitySource>)> {
    let mut own: Vec<&IdentitySource> = own.iter().collect();
    let mut theirs: Vec<&IdentitySource> = theirs.iter().collect();
    let mut pairs = Vec::new();
    let tests: [fn(&IdentitySource, &IdentitySource) -> bool; 2] =
        [|left, right| left.id == right.id, is_same];
    for is_it in tests {
        own.retain(|source| {
            let Some(index) = theirs.iter().position(|known| is_it(source, known)) else { return true };
            pairs.push((Some(*source), Some(theirs.remove(index))));
            false
        });
    }
    if let ([one], [other]) = (own.as_slice(), theirs.as_slice()) {
        pairs.push((Some(*one), Some(*other)));
        return pairs;
    }
    pairs.extend(own.into_iter().map(|source| (Some(source), None)));
    pairs.extend(theirs.into_iter().map(|source| (None, Some(source))));
    pairs
}

/// Whether two identity sources mean the same.
pub fn is_same(left: &IdentitySource, right: &IdentitySource) -> bool {
    left.principal_entity_type == right.principal_entity_type
        && normal(&left.configuration) == normal(&right.configuration)
}

/// Without empty lists, and with AVP's defaults written out.
fn normal(value: &Value) -> Value {
    let Value::Object(members) = value else { return value.clone() };
    let is_given = |value: &Value| !value.is_null() && value.as_array().is_none_or(|items| !items.is_empty());
    let members: serde_json::Map<String, Value> = members
        .iter()
        .filter(|(_, value)| is_given(value))
        .map(|(key, value)| {
            let mut value = normal(value);
            if ["accessTokenOnly", "identityTokenOnly"].contains(&key.as_str())
                && let Some(selection) = value.as_object_mut()
            {
                selection.entry("principalIdClaim").or_insert_with(|| json!("sub"));
            }
            (key.clone(), value)
        })
        .collect();
    Value::Object(members)
}
