//! Two schemas: whether a request under one is one under the other.

use cedar_authorizer::cedar::EntityTypeName;
use cedar_policy_symcc::SymEnv;
use cedar_policy_symcc::term_type::TermType;
use serde_json::Value;

use super::expression::variable;
use super::policies::Environment;

/// How the requests of one environment under two schemas have to do with each other.
#[derive(Debug, PartialEq, Eq)]
pub enum Relation {
    /// They are the same.
    Same,
    /// Each request under the old schema is one under the new one, without these optional attributes.
    NewHasMore(Vec<String>),
    /// The other way round.
    OldHasMore(Vec<String>),
    /// There are requests under each that the other does not know, or takes to be something else. This is where.
    Apart(String),
}

impl Relation {
    /// Compares the types of one environment.
    pub fn between(old: &SymEnv, new: &SymEnv, environment: &Environment) -> Self {
        let (new_has, old_has) = (covers(new, old, environment), covers(old, new, environment));
        match (new_has, old_has) {
            (Ok(more), Ok(_)) if more.is_empty() => Self::Same,
            (Ok(more), _) => Self::NewHasMore(more),
            (_, Ok(more)) => Self::OldHasMore(more),
            (Err(place), Err(_)) => Self::Apart(place),
        }
    }
}

/// The attributes that only the larger schema has.
///
/// # Errors
/// Where the larger one does not cover the smaller one.
fn covers(large: &SymEnv, small: &SymEnv, environment: &Environment) -> Result<Vec<String>, String> {
    let mut more = Vec::new();
    let context = (&large.request.context.type_of(), &small.request.context.type_of());
    record(context.0, context.1, "context", true, &mut more)?;
    for (name, of_small) in small.entities.iter() {
        // What an action is in, the slices know. Its type has no attributes here.
        if name == environment.action.type_name() {
            continue;
        }
        let of_large = large.entities.get(name).ok_or_else(|| name.to_string())?;
        let is_caller = *name == environment.principal;
        let attributes = (of_large.attrs.out_type(), of_small.attrs.out_type());
        record(attributes.0, attributes.1, &name.to_string(), is_caller, &mut more)?;
        let has = |parent: &EntityTypeName| of_large.ancestors.contains_key(parent);
        if of_large.members != of_small.members || !of_small.ancestors.keys().all(has) {
            return Err(name.to_string());
        }
        let tags = (of_large.tags.as_ref(), of_small.tags.as_ref());
        if tags.1.is_some() && tags.0 != tags.1 {
            return Err(format!("the tags of {name}"));
        }
    }
    Ok(more)
}

/// `must_be_optional`: the function denies a caller without a claim that the schema requires, so more such claims are
/// other requests.
fn record(
    large: &TermType,
    small: &TermType,
    place: &str,
    must_be_optional: bool,
    more: &mut Vec<String>,
) -> Result<(), String> {
    let (TermType::Record { rty: large }, TermType::Record { rty: small }) = (large, small) else {
        return if large == small { Ok(()) } else { Err(place.to_owned()) };
    };
    for (name, of_small) in small.iter() {
        let inner = format!("{place}.{name}");
        match large.get(name) {
            Some(of_large) if of_large == of_small => {}
            // The claims of an access token. Elsewhere a record is one value, which may be compared as a whole.
            Some(of_large) if inner == "context.token" => record(of_large, of_small, &inner, true, more)?,
            _ => return Err(inner),
        }
    }
    for (name, of_large) in large.iter().filter(|(name, _)| !small.contains_key(*name)) {
        if must_be_optional && !of_large.is_option_type() {
            return Err(format!("{place}.{name}"));
        }
        more.push(name.to_string());
    }
    Ok(())
}

/// Whether a condition of the smaller schema could tell that there is more: it names one of the attributes, or takes
/// the context or the token as a whole.
pub fn notices(condition: &Value, more: &[String]) -> bool {
    let token = || serde_json::json!({".": {"left": variable("context"), "attr": "token"}});
    if *condition == variable("context") || *condition == token() {
        return true;
    }
    match condition {
        Value::Array(items) => items.iter().any(|item| notices(item, more)),
        Value::Object(members) => members.iter().any(|(operator, inner)| {
            if !matches!(operator.as_str(), "." | "has") {
                return operator != "Value" && notices(inner, more);
            }
            let is_more =
                |name: &Value| name.as_str().is_some_and(|name| more.iter().any(|other| other == name));
            let names = inner.get("attr");
            let names_more = names.is_some_and(|names| match names {
                Value::Array(names) => names.iter().any(is_more),
                name => is_more(name),
            });
            let is_plain = |left: &Value| *left == variable("context") || *left == token();
            names_more || inner.get("left").is_none_or(|left| !is_plain(left) && notices(left, more))
        }),
        _ => false,
    }
}
