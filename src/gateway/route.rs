//! Routes: from a method and a concrete path to the route that API Gateway would take.
//!
//! Only TOKEN events need to be matched: they name only the concrete path. Every other kind of event carries the
//! template that API Gateway chose, and that choice is final.
//!
//! API Gateway's precedence (Developer Guide, "Set up a method request", and two measurements on real APIs): at
//! each level a static segment goes before `{param}`, which goes before `{proxy+}`. On one resource a verb goes
//! before `ANY`. The *pair* of resource and method must exist, so for a verb that a resource does not have, API
//! Gateway falls back to a more general resource. (`matchit` and similar crates refuse `/a/{x}` beside
//! `/a/{proxy+}`, hence the tree below.)

mod resource_template;
mod template;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::str::FromStr;

use cedar_policy::EntityUid;
use percent_encoding::percent_decode;
use serde::{Deserialize, Serialize};

use crate::gateway::arn::{CONNECT, DEFAULT};
use crate::reason::Reason;
pub use resource_template::{InvalidTextTemplate, ResourceTemplate, TextTemplate};
pub use template::{InvalidTemplate, PathTemplate, Segment};

/// A method and a path template, and the action that they lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The HTTP method.
    pub method: Method,
    /// The path template.
    pub template: PathTemplate,
    /// The Cedar action.
    pub action: EntityUid,
    /// How the resource is made. `None`: it is the resource of the API.
    pub resource: Option<ResourceTemplate>,
}

impl Route {
    /// Reads AVP's convention for action ids: `<method> <path template>`, with the method in lower case, e.g.
    /// `get /pets/{petId}`. `$default` and `$connect` have no method. `None` for any other id: that action is not
    /// a route.
    pub fn from_action(action: &EntityUid) -> Option<Self> {
        let id = action.id().unescaped();
        let (method, template) = id.split_once(' ').unwrap_or(("any", id));
        if !id.contains(' ') && ![CONNECT, DEFAULT].contains(&id) {
            return None;
        }
        Self::new(method, template, action)
    }

    /// A route from the name of its method, in lower case, and its template.
    pub fn new(method: &str, template: &str, action: &EntityUid) -> Option<Self> {
        Some(Self {
            method: Method::from_name(method)?,
            template: template.parse().ok()?,
            action: action.clone(),
            resource: None,
        })
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.template)
    }
}

/// The method of a route. `Display` prints it in lower case, as action ids have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the HTTP methods that API Gateway knows")]
pub enum Method {
    /// Any method without a route of its own on the same resource.
    Any,
    Delete,
    Get,
    Head,
    Options,
    Patch,
    Post,
    Put,
}

impl Method {
    /// The methods in the order of their names.
    pub const ALL: [Self; 8] =
        [Self::Any, Self::Delete, Self::Get, Self::Head, Self::Options, Self::Patch, Self::Post, Self::Put];

    /// The lower-case name, as action ids have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Delete => "delete",
            Self::Get => "get",
            Self::Head => "head",
            Self::Options => "options",
            Self::Patch => "patch",
            Self::Post => "post",
            Self::Put => "put",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }

    /// The method of a request, in upper case. `None` if only an `ANY` route takes it.
    pub fn from_verb(verb: &str) -> Option<Self> {
        let is_it = |method: &Self| *method != Self::Any && method.name().eq_ignore_ascii_case(verb);
        Self::ALL.into_iter().find(is_it).filter(|_| verb.bytes().all(|byte| byte.is_ascii_uppercase()))
    }
}

impl FromStr for Method {
    type Err = UnknownMethod;

    fn from_str(name: &str) -> Result<Self, UnknownMethod> {
        Self::from_name(name).ok_or(UnknownMethod)
    }
}

/// The text is not the lower-case name of a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a method in lower case")]
pub struct UnknownMethod;

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The position of a route in its [`RouteTable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RouteId(pub usize);

/// The routes of an API, indexed for matching.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    routes: Vec<Route>,
    root: RouteNode,
    keys: BTreeMap<String, RouteNode>,
    /// The same routes by the text of their template.
    by_template: HashMap<String, BTreeMap<Method, RouteId>>,
}

impl RouteTable {
    /// Adds a route.
    ///
    /// # Errors
    /// The route that already has this method on this resource. To API Gateway, two parameters in one place are
    /// the same resource, whatever their names.
    pub fn insert(&mut self, route: Route) -> Result<(), Conflict> {
        let id = RouteId(self.routes.len());
        let mut node = &mut self.root;
        for segment in &route.template.segments {
            node = match segment {
                Segment::Key(key) => self.keys.entry(key.clone()).or_default(),
                Segment::Static(text) => node.statics.entry(text.clone()).or_default(),
                Segment::Parameter(_) => node.parameter.get_or_insert_default(),
                Segment::Greedy(_) => node.greedy.get_or_insert_default(),
            };
        }
        if let Some(&taken) = node.methods.get(&route.method) {
            // The id is that of an inserted route, so the route exists.
            let with = self.route(taken).cloned().unwrap_or(route);
            return Err(Conflict { with: Box::new(with) });
        }
        node.methods.insert(route.method, id);
        self.by_template.entry(route.template.to_string()).or_default().insert(route.method, id);
        self.routes.push(route);
        Ok(())
    }

    /// The routes in the order in which they were added.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The route with this id.
    pub fn route(&self, id: RouteId) -> Option<&Route> {
        self.routes.get(id.0)
    }

    /// The route with this template, which API Gateway chose: that of the verb, otherwise that of `any`. `verb`
    /// is `None` for a WebSocket API.
    ///
    /// # Errors
    /// [`NoRoute::Unmapped`].
    pub fn get(&self, verb: Option<&str>, template: &str) -> Result<RouteId, NoRoute> {
        let methods = self.by_template.get(template).ok_or(NoRoute::Unmapped)?;
        let own = verb.and_then(Method::from_verb).and_then(|method| methods.get(&method));
        own.or_else(|| methods.get(&Method::Any)).copied().ok_or(NoRoute::Unmapped)
    }

    /// Whether the method of a request can decide which route it has on this template. It cannot if `any` is the
    /// only one.
    pub fn tells_methods_apart(&self, template: &str) -> bool {
        let mut methods = self.by_template.get(template).into_iter().flat_map(BTreeMap::keys);
        methods.any(|method| *method != Method::Any)
    }

    /// The route that API Gateway takes for a request.
    ///
    /// `path` is the concrete path as the client sent it. How much of it API Gateway decodes before it routes is
    /// not documented. So a path is matched only if every reading of it is text and leads to the same route.
    ///
    /// # Errors
    /// [`NoRoute::Unsafe`] for a path whose readings differ, [`NoRoute::Unmapped`] if no route has this method
    /// and path.
    pub fn find(&self, verb: &str, path: &str) -> Result<RouteId, NoRoute> {
        let Readings { routes, are_texts } = self.readings(verb, path)?;
        match routes.as_slice() {
            [route] if are_texts => Ok(*route),
            _ => Err(NoRoute::Unsafe),
        }
    }

    /// The routes that API Gateway may take for a request. The route of the path as it was sent comes first.
    ///
    /// This is enough if nothing in the path is read: if all of these routes are allowed, it does not matter
    /// which one is taken, nor what a parameter says.
    ///
    /// # Errors
    /// [`NoRoute::Unsafe`] for a path with a reading that leads nowhere or is not a path of an API,
    /// [`NoRoute::Unmapped`] if no route has this method and path.
    pub fn find_all(&self, verb: &str, path: &str) -> Result<Vec<RouteId>, NoRoute> {
        Ok(self.readings(verb, path)?.routes)
    }

    fn readings(&self, verb: &str, path: &str) -> Result<Readings, NoRoute> {
        let as_sent = self.find_reading(verb, path)?;
        let mut readings = Readings { routes: as_sent.into_iter().collect(), are_texts: true };
        let mut reading = Cow::Borrowed(path.as_bytes());
        for _ in 0..MAX_DECODINGS {
            let decoded = Cow::from(percent_decode(&reading));
            if decoded == reading {
                return if readings.routes.is_empty() { Err(NoRoute::Unmapped) } else { Ok(readings) };
            }
            if has_overlong_form(&decoded) {
                return Err(NoRoute::Unsafe);
            }
            // All static segments are ASCII, so bytes that are not UTF-8 always belong to parameters.
            let text = String::from_utf8_lossy(&decoded);
            readings.are_texts &= matches!(text, Cow::Borrowed(_));
            match (as_sent, self.find_reading(verb, &text)?) {
                (None, None) => {}
                (Some(_), Some(route)) if readings.routes.contains(&route) => {}
                (Some(_), Some(route)) => readings.routes.push(route),
                _ => return Err(NoRoute::Unsafe),
            }
            reading = Cow::Owned(decoded.into_owned());
        }
        Err(NoRoute::Unsafe)
    }

    fn find_reading(&self, verb: &str, path: &str) -> Result<Option<RouteId>, NoRoute> {
        let path = path.strip_prefix('/').ok_or(NoRoute::Unsafe)?;
        // A trailing slash leads to the same resource (seen on real APIs).
        let path = path.strip_suffix('/').unwrap_or(path);
        let segments: Vec<&str> = match path {
            "" => Vec::new(),
            _ => path.split('/').collect(),
        };
        if segments.iter().any(|segment| matches!(*segment, "" | "." | "..")) {
            return Err(NoRoute::Unsafe);
        }
        if path.contains(['\\', '?', '#']) || path.chars().any(char::is_control) {
            return Err(NoRoute::Unsafe);
        }
        Ok(self.root.find(Method::from_verb(verb), &segments))
    }
}

/// Where a path may lead, with its encoded characters taken as they are and decoded.
#[derive(Debug)]
struct Readings {
    /// Without duplicates. The route of the path as it was sent comes first.
    routes: Vec<RouteId>,
    /// Whether all of them are UTF-8.
    are_texts: bool,
}

/// Whether bytes hold a character in more bytes than UTF-8 allows (RFC 3629, section 3). A careless decoder reads
/// `C0 AF` as a slash (RFC 3629, section 10).
pub(crate) fn has_overlong_form(bytes: &[u8]) -> bool {
    let mut behind = bytes.iter().skip(1);
    bytes.iter().any(|byte| {
        let next = behind.next();
        match byte {
            0xC0 | 0xC1 => true,
            0xE0 => next.is_some_and(|next| (0x80..=0x9F).contains(next)),
            0xF0 => next.is_some_and(|next| (0x80..=0x8F).contains(next)),
            _ => false,
        }
    })
}

/// Two routes with the same method on the same resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The route that was there first.
    pub with: Box<Route>,
}

/// Why a request has no route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRoute {
    /// No route has this method and path.
    Unmapped,
    /// API Gateway could take another route for this path.
    Unsafe,
}

impl From<NoRoute> for Reason {
    fn from(no_route: NoRoute) -> Self {
        match no_route {
            NoRoute::Unmapped => Self::RouteUnmapped,
            NoRoute::Unsafe => Self::PathUnsafe,
        }
    }
}

/// A resource: the node that the segments so far lead to.
#[derive(Clone, Debug, Default)]
struct RouteNode {
    statics: BTreeMap<String, RouteNode>,
    parameter: Option<Box<RouteNode>>,
    greedy: Option<Box<RouteNode>>,
    methods: BTreeMap<Method, RouteId>,
}

impl RouteNode {
    // The recursion is as deep as the tree, which the policy store bounds, not the caller.
    fn find(&self, method: Option<Method>, segments: &[&str]) -> Option<RouteId> {
        let Some((first, rest)) = segments.split_first() else {
            return self.route(method);
        };
        let fixed = self.statics.get(*first).and_then(|node| node.find(method, rest));
        fixed
            .or_else(|| self.parameter.as_ref()?.find(method, rest))
            .or_else(|| self.greedy.as_ref()?.route(method))
    }

    fn route(&self, method: Option<Method>) -> Option<RouteId> {
        let own = method.and_then(|method| self.methods.get(&method));
        own.or_else(|| self.methods.get(&Method::Any)).copied()
    }
}

/// How often a path may be encoded on top of itself before it counts as an attack.
const MAX_DECODINGS: usize = 4;

#[cfg(test)]
mod tests;
