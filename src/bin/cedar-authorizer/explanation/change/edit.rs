//! Edits of the claims of a caller.

use std::fmt::{self, Display, Formatter};

use cedar_authorizer::token::TokenType;
use cedar_authorizer::token::identity_source::{IdentitySource, Provider};
use serde_json::{Map, Value, json};

use super::Wish;

/// One edit of the claims of a caller.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// The caller joins a group.
    AddGroup(String),
    /// The caller leaves a group.
    RemoveGroup(String),
    /// A claim, or a member of one, gets a value.
    Set(Vec<String>, Value),
    /// A claim, or a member of one, goes.
    Remove(Vec<String>),
    /// A claim gets one more element.
    AddTo(Vec<String>, Value),
    /// A claim loses an element.
    RemoveFrom(Vec<String>, Value),
}

impl Edit {
    /// The edits that may fulfil a wish. None, if it is about something that the claims do not decide.
    pub fn from_wish(wish: &Wish, source: &IdentitySource, claims: &Map<String, Value>) -> Vec<Self> {
        let of_claim = |path: &[String], edit: &dyn Fn(Vec<String>) -> Vec<Self>| {
            claim_path(path, source).map(edit).unwrap_or_default()
        };
        match wish {
            Wish::InGroup(uid) => {
                let is_group = source.group_type() == Some(uid.type_name());
                let id = uid.id().unescaped();
                let name = match source.id_prefix() {
                    Some(prefix) => id.strip_prefix(prefix).and_then(|id| id.strip_prefix('|')),
                    None => Some(id),
                };
                name.filter(|_| is_group).map(|name| Self::AddGroup(name.to_owned())).into_iter().collect()
            }
            // Groups may be in one another, so it can be any of them.
            Wish::NotInGroup(_) => groups(source, claims).into_iter().map(Self::RemoveGroup).collect(),
            Wish::Present(path) => of_claim(path, &|path| {
                samples().into_iter().map(|value| Self::Set(path.clone(), value)).collect()
            }),
            Wish::Absent(path) => of_claim(path, &|path| vec![Self::Remove(path)]),
            // Their values are known only in a request; see `Wish::resolved`.
            Wish::IsAs(..) | Wish::HasAs(..) => Vec::new(),
            Wish::Is(path, value) => of_claim(path, &|path| vec![Self::Set(path, value.clone())]),
            Wish::Has(path, value) => of_claim(path, &|path| vec![Self::AddTo(path, value.clone())]),
            Wish::HasNot(path, value) => of_claim(path, &|path| vec![Self::RemoveFrom(path, value.clone())]),
        }
    }

    /// The claims with this edit. `None`: they cannot be edited so.
    pub fn apply(&self, claims: &Map<String, Value>, source: &IdentitySource) -> Option<Map<String, Value>> {
        let mut edited = claims.clone();
        match self {
            Self::AddGroup(name) => {
                let mut groups = groups(source, claims);
                groups.push(name.clone());
                edited.insert(source.group_claim().to_owned(), groups.into());
            }
            Self::RemoveGroup(name) => {
                let mut groups = groups(source, claims);
                groups.retain(|group| group != name);
                edited.insert(source.group_claim().to_owned(), groups.into());
            }
            Self::Set(path, value) => *place(&mut edited, path)? = value.clone(),
            Self::Remove(path) => {
                let (last, before) = path.split_last()?;
                match before {
                    [] => edited.remove(last),
                    before => place(&mut edited, before)?.as_object_mut()?.remove(last),
                };
            }
            Self::AddTo(path, value) => {
                let is_scope = is_scope(path);
                let place = place(&mut edited, path)?;
                match (&mut *place, value.as_str()) {
                    (Value::String(words), Some(word)) if is_scope => *words = format!("{words} {word}"),
                    (Value::Array(elements), _) => elements.push(value.clone()),
                    (_, Some(_)) if is_scope => *place = value.clone(),
                    _ => *place = json!([value]),
                }
            }
            Self::RemoveFrom(path, value) => match place(&mut edited, path)? {
                Value::String(words) => {
                    let others = words.split(' ').filter(|word| Some(*word) != value.as_str());
                    *words = others.collect::<Vec<_>>().join(" ");
                }
                Value::Array(elements) => elements.retain(|element| element != value),
                _ => return None,
            },
        }
        Some(edited)
    }
}

/// As an order to whoever administers the users.
impl Display for Edit {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddGroup(name) => write!(f, "add the group `{name}`"),
            Self::RemoveGroup(name) => write!(f, "remove the group `{name}`"),
            Self::Set(path, value) => write!(f, "set the claim `{}` to `{value}`", path.join(".")),
            Self::Remove(path) => write!(f, "remove the claim `{}`", path.join(".")),
            Self::AddTo(path, value) => write!(f, "add `{}` to the claim `{}`", bare(value), path.join(".")),
            Self::RemoveFrom(path, value) => {
                write!(f, "remove `{}` from the claim `{}`", bare(value), path.join("."))
            }
        }
    }
}

fn bare(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The claim behind an attribute, and the members below it. `None`: no claim of this source fills it.
fn claim_path(path: &[String], source: &IdentitySource) -> Option<Vec<String>> {
    let path = match (path, source.token_type()) {
        ([principal, path @ ..], Some(TokenType::Id)) if principal == "principal" => path,
        ([context, token, path @ ..], Some(TokenType::Access))
            if context == "context" && token == "token" =>
        {
            path
        }
        _ => return None,
    };
    match path {
        [] => None,
        // `principal.custom.x` is the claim `custom:x` (see docs/tokens.md).
        [first, second, rest @ ..]
            if matches!(source.provider(), Provider::Cognito(_))
                && ["cognito", "custom"].contains(&first.as_str()) =>
        {
            Some([&[format!("{first}:{second}")], rest].concat())
        }
        path => Some(path.to_vec()),
    }
}

/// The groups that a caller has by name: an array, or text separated by spaces.
fn groups(source: &IdentitySource, claims: &Map<String, Value>) -> Vec<String> {
    match claims.get(source.group_claim()) {
        Some(Value::Array(groups)) => groups.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(Value::String(groups)) => groups.split_whitespace().map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// Where the value of a claim, or of a member of one, is or will be.
fn place<'a>(claims: &'a mut Map<String, Value>, path: &[String]) -> Option<&'a mut Value> {
    let (first, rest) = path.split_first()?;
    let mut place = claims.entry(first.clone()).or_insert(Value::Null);
    for name in rest {
        if place.is_null() {
            *place = json!({});
        }
        place = place.as_object_mut()?.entry(name.clone()).or_insert(Value::Null);
    }
    Some(place)
}

/// RFC 8693 4.2: scopes are one text, separated by spaces.
fn is_scope(path: &[String]) -> bool {
    matches!(path, [name] if name == "scope")
}

/// Values of each type that a claim may have to be of.
fn samples() -> [Value; 5] {
    [json!("x"), json!(true), json!(false), json!(1), json!(["x"])]
}
