//! The resources of a template or plan, in one form: the members that AVP's API has.

use serde_json::{Map, Value};

use crate::avp::contents::EntityIdentifier;

/// A resource of Verified Permissions, wherever it was declared.
#[derive(Clone, Debug)]
pub struct Resource {
    /// What references to it name: a logical id, or an address.
    pub address: String,
    /// Its own part of the address, from which an id can be made.
    pub name: String,
    /// Where it is, for people.
    pub place: String,
    /// What it is.
    pub kind: Kind,
    /// Its properties, named as in AVP's API. References to other resources are `${Address}`.
    pub properties: Map<String, Value>,
    /// The id that an export noted because nothing else says it.
    pub noted_id: Option<String>,
    /// Properties whose value only a deployment knows: the path, and why.
    pub unknown: Vec<(String, String)>,
}

/// What a resource is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    PolicyStore,
    Schema,
    Policy,
    PolicyTemplate,
    IdentitySource,
    PolicyStoreAlias,
}

impl Resource {
    /// The value at a path, such as `definition.static.statement`.
    pub fn at(&self, path: &str) -> Option<&Value> {
        let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
        let value = self.properties.get(first)?;
        let value =
            rest.into_iter().flat_map(|rest| rest.split('.')).try_fold(value, |value, key| value.get(key));
        value.filter(|value| !value.is_null())
    }

    /// The text at a path. Empty text counts as none: Terraform has it for what was not set.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.at(path)?.as_str().filter(|text| !text.is_empty())
    }

    /// The entity at a path.
    pub fn entity(&self, path: &str) -> Option<EntityIdentifier> {
        serde_json::from_value(self.at(path)?.clone()).ok()
    }

    /// Why the value at a path, or a part of it, is not known.
    pub fn unknown_at(&self, path: &str) -> Option<&str> {
        let is_there = |known: &str| {
            known == path
                || known.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'))
                || path.strip_prefix(known).is_some_and(|rest| rest.starts_with('.'))
        };
        self.unknown.iter().find(|(known, _)| is_there(known)).map(|(_, why)| why.as_str())
    }
}

/// The address in a text that is exactly one reference: `${Address}` or `${Address.Attribute}`.
pub fn referred(text: &str) -> Option<&str> {
    text.strip_prefix("${")?.strip_suffix('}').filter(|name| !name.contains('}'))
}

/// A policy's id: what an export noted, else `@id`, else CDK's `@cdkId`, else the name, else the name of the resource.
pub fn id_of(noted: Option<&str>, statement: Option<&str>, name: Option<&str>, resource: &str) -> String {
    let annotated = || annotation(statement?, "id").or_else(|| annotation(statement?, "cdkId"));
    let named = || name.map(|name| name.strip_prefix("name/").unwrap_or(name).to_owned());
    let id = noted.map(str::to_owned).or_else(annotated).or_else(named).filter(|id| !id.is_empty());
    id.unwrap_or_else(|| resource.to_owned())
}

/// The value of an annotation of a policy or template.
pub fn annotation(statement: &str, name: &str) -> Option<String> {
    // A text that is nested too deeply is not parsed; `check` says so.
    cedar_authorizer::bundle::nesting::policies(statement).ok()?;
    let set: cedar_policy::PolicySet = statement.parse().ok()?;
    let of_policy = set.policies().find_map(|policy| policy.annotation(name).map(str::to_owned));
    of_policy.or_else(|| set.templates().find_map(|template| template.annotation(name).map(str::to_owned)))
}
