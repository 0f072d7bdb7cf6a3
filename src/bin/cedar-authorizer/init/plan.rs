//! Plan: what the new store is made of, before any of its files is written.

use std::collections::{BTreeSet, HashSet};

use cedar_authorizer::cedar::EntityNamespace;
use cedar_authorizer::gateway::route::Method;

use super::api::{Api, Extent};
use super::files::avp_schema;
use super::identity::Identity;
use super::text;
use crate::description::Operation;
use crate::output::Failure;

/// What a new store is made of.
pub struct Plan {
    /// The name of the store.
    pub name: String,
    /// Its Cedar namespace.
    pub namespace: String,
    /// What the API calls itself.
    pub title: String,
    /// What the API was read from, for people.
    pub origin: String,
    /// Whether the API has other routes.
    pub extent: Extent,
    /// The routes, each with its parameters.
    pub routes: Vec<Operation>,
    /// Whose tokens are accepted.
    pub identity: Identity,
    /// The groups that policies are made for. The first one may do everything.
    pub groups: Vec<Group>,
    /// The JSON of the schema, if it is that of AVP's own generator.
    pub avp_schema: Option<String>,
}

/// A group of users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name, as tokens have it.
    pub name: String,
    /// Its name for files and ids; no other group has it.
    pub slug: String,
}

/// What the flags say of a plan.
pub struct Wishes<'a> {
    pub name: Option<&'a str>,
    pub namespace: Option<&'a str>,
    pub groups: &'a [String],
    pub expand_any: bool,
    pub avp_exact: bool,
}

impl Plan {
    /// Plans a store for an API.
    pub fn new(api: Api, identity: Identity, wishes: &Wishes<'_>) -> Result<Self, Failure> {
        let namespace = namespace(wishes.namespace, &api.title)?;
        let groups = groups(wishes.groups)?;
        let Api { title, origin, operations, written, extent, .. } = api;
        let mut routes: Vec<Operation> = operations.into_iter().filter(is_asked).collect();
        if wishes.expand_any || wishes.avp_exact {
            routes = expand_any(routes);
        }
        let avp_schema = wishes.avp_exact.then(|| {
            let actions = avp_schema::actions(&written);
            let known: HashSet<&str> = actions.iter().map(String::as_str).collect();
            routes.retain(|route| known.contains(route.action_id().as_str()));
            avp_schema::file(&namespace, &actions, (!groups.is_empty()).then_some(GROUP_TYPE))
        });
        if routes.is_empty() {
            let message = format!("{origin} has no routes that a policy store could guard");
            return Err(Failure::invalid(message).hint("`paths` has none that API Gateway could have"));
        }
        let name = match wishes.name {
            Some(name) if name.trim().is_empty() || name.contains(char::is_control) => {
                return Err(Failure::could_not_run("--name is empty, or has control characters"));
            }
            Some(name) => name.to_owned(),
            None => {
                Some(text::slug(&title)).filter(|slug| !slug.is_empty()).unwrap_or_else(|| "api".to_owned())
            }
        };
        Ok(Self { name, namespace, title, origin, extent, routes, identity, groups, avp_schema })
    }

    /// A type of the namespace.
    pub fn qualify(&self, name: &str) -> String {
        qualify(&self.namespace, name)
    }

    /// The resource of every route: the API as a whole.
    pub fn application(&self) -> String {
        format!("{}::{}", self.qualify("Application"), text::cedar(&self.namespace))
    }

    /// The action of a route.
    pub fn action(&self, route: &Operation) -> String {
        format!("{}::{}", self.qualify("Action"), text::cedar(&route.action_id()))
    }

    /// The entity that tokens make of a group.
    pub fn group(&self, group: &Group) -> String {
        let id = self.identity.group_id(&group.name);
        format!("{}::{}", self.qualify(GROUP_TYPE), text::cedar(&id))
    }

    /// The entity type of groups. AVP's generator has one only if there are groups.
    pub fn group_type(&self) -> Option<&'static str> {
        (self.avp_schema.is_none() || !self.groups.is_empty()).then_some(GROUP_TYPE)
    }

    /// Whether a route looks at things and changes nothing, as far as its method says.
    pub fn is_read(route: &Operation) -> bool {
        matches!(route.method, Method::Get | Method::Head)
    }
}

/// A name in a namespace, which may be empty.
pub fn qualify(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}::{name}") }
}

/// Whether the authorizer is asked. Preflight requests have no token, so `OPTIONS` is left out unless it is protected.
pub fn is_asked(operation: &Operation) -> bool {
    operation.method != Method::Options || !operation.security.is_empty()
}

/// Writes `ANY` out as the six methods that AVP takes, without those that a path has anyhow.
pub fn expand_any(routes: Vec<Operation>) -> Vec<Operation> {
    let own: BTreeSet<(Method, String)> =
        routes.iter().map(|route| (route.method, route.path.to_string())).collect();
    let expand = |route: Operation| {
        if route.method != Method::Any || route.path.to_string().starts_with('$') {
            return vec![route];
        }
        let path = route.path.to_string();
        let methods =
            avp_schema::METHODS.into_iter().filter(|method| !own.contains(&(*method, path.clone())));
        methods.map(|method| Operation { method, ..route.clone() }).collect()
    };
    routes.into_iter().flat_map(expand).collect()
}

/// The namespace that was given, or that the title of an API makes.
pub fn namespace(given: Option<&str>, title: &str) -> Result<String, Failure> {
    let name = given.map_or_else(|| avp_schema::namespace(title), str::to_owned);
    let is_usable = name.parse::<EntityNamespace>().is_ok() && name.split("::").all(text::is_identifier);
    if is_usable {
        return Ok(name);
    }
    let shown = text::comment(&name);
    let failure = match given {
        Some(_) => format!("`{shown}` is not a Cedar namespace, or has a reserved word"),
        None => format!("the title of the API gives the namespace `{shown}`, a reserved word of Cedar"),
    };
    Err(Failure::could_not_run(failure).hint("choose another one, e.g. --namespace PetStore"))
}

fn groups(names: &[String]) -> Result<Vec<Group>, Failure> {
    let (mut known, mut slugs, mut groups) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for name in names.iter().map(|name| name.trim()) {
        if name.is_empty() || name.contains(char::is_control) {
            let message = "a group has no name, or one with control characters";
            return Err(Failure::could_not_run(message).hint("for example: --groups admin,viewer"));
        }
        if !known.insert(name) {
            continue;
        }
        let slug = Some(text::slug(name)).filter(|slug| !slug.is_empty());
        let slug = slug.unwrap_or_else(|| "group".to_owned());
        let slug = unused(&slug, |slug| !slugs.contains(slug));
        slugs.insert(slug.clone());
        groups.push(Group { name: name.to_owned(), slug });
    }
    Ok(groups)
}

/// The name, or the first of `name-2`, `name-3` that is free.
pub fn unused(name: &str, is_free: impl Fn(&str) -> bool) -> String {
    let numbered = (2..).map(|number: usize| format!("{name}-{number}"));
    std::iter::once(name.to_owned()).chain(numbered).find(|name| is_free(name)).unwrap_or_default()
}

/// As in AVP's samples.
pub const GROUP_TYPE: &str = "UserGroup";
