//! Routes: from a method and a concrete path to the route that API Gateway would take.
//!
//! Only TOKEN events need to be matched: they name the concrete path alone. Every other kind of event
//! carries the template that API Gateway chose, and that choice is then final.
//!
//! API Gateway's precedence (Developer Guide, "Set up a method request", and two measurements on
//! real APIs): at each level a static segment goes before `{param}`, which goes before
//! `{proxy+}`; on one resource a verb goes before `ANY`; and it is the *pair* of resource and
//! method that must exist, so a resource without the verb falls back to a more general one.
//! (`matchit` and its like refuse `/a/{x}` beside `/a/{proxy+}`, hence the tree below.)

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::str::FromStr;

use cedar_policy::EntityUid;
use percent_encoding::percent_decode_str;

use crate::arn::CONNECT;
use crate::resource::ResourceTemplate;

/// A method and a path template, and the action that they lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The HTTP method.
    pub method: Method,
    /// The path template.
    pub template: PathTemplate,
    /// The Cedar action.
    pub action: EntityUid,
    /// How the resource is made. `None`: it is that of the API.
    pub resource: Option<ResourceTemplate>,
}

impl Route {
    /// Reads AVP's convention for action ids: `<method> <path template>`, the method in lower
    /// case, e.g. `get /pets/{petId}`; `$default` and `$connect` stand alone. `None` for any other
    /// id: such an action is no route.
    pub fn from_action(action: &EntityUid) -> Option<Self> {
        let id = action.id().unescaped();
        let (method, template) = id.split_once(' ').unwrap_or(("any", id));
        if !id.contains(' ') && ![CONNECT, DEFAULT].contains(&id) {
            return None;
        }
        Self::new(method, template, action)
    }

    /// A route by the text of its method, in lower case, and its template.
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

/// The method of a route. `Display` prints it as action ids have it, in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the HTTP methods that API Gateway knows")]
pub enum Method {
    /// Any method that has no route of its own on the same resource.
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

    /// The method of a request, in upper case. `None` for one that only an `ANY` route takes.
    pub fn from_verb(verb: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|method| *method != Self::Any && method.name().to_ascii_uppercase() == verb)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A path template, e.g. `/pets/{petId}` or `/files/{path+}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTemplate {
    segments: Vec<Segment>,
}

impl PathTemplate {
    /// The segments, first to last; none for the root `/`.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The names of its parameters.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Parameter(name) | Segment::Greedy(name) => Some(name.as_str()),
            Segment::Key(_) | Segment::Static(_) => None,
        })
    }

    /// The values of its parameters in a path that leads to it, as they stand in the path.
    pub fn values(&self, path: &str) -> BTreeMap<String, String> {
        let path = path.strip_prefix('/').unwrap_or(path);
        let mut rest = Some(path.strip_suffix('/').unwrap_or(path));
        let mut values = BTreeMap::new();
        for segment in &self.segments {
            let Some(text) = rest else {
                break;
            };
            let (first, tail) = match text.split_once('/') {
                Some((first, tail)) => (first, Some(tail)),
                None => (text, None),
            };
            match segment {
                Segment::Greedy(name) => {
                    values.insert(name.clone(), text.to_owned());
                }
                Segment::Parameter(name) => {
                    values.insert(name.clone(), first.to_owned());
                }
                Segment::Key(_) | Segment::Static(_) => {}
            }
            rest = tail;
        }
        values
    }
}

/// One segment of a path template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// `$default` or `$connect`, which no path leads to: only an event names it.
    Key(String),
    /// Exactly this text.
    Static(String),
    /// `{name}`: any one segment.
    Parameter(String),
    /// `{name+}`: all the segments left, at least one.
    Greedy(String),
}

impl FromStr for PathTemplate {
    type Err = InvalidTemplate;

    fn from_str(text: &str) -> Result<Self, InvalidTemplate> {
        if [CONNECT, DEFAULT].contains(&text) {
            return Ok(Self { segments: vec![Segment::Key(text.to_owned())] });
        }
        let path = text.strip_prefix('/').ok_or(InvalidTemplate::NoSlash)?;
        let mut segments = Vec::new();
        if !path.is_empty() {
            for segment in path.split('/') {
                if let Some(Segment::Greedy(_)) = segments.last() {
                    return Err(InvalidTemplate::GreedyNotLast);
                }
                segments.push(segment.parse()?);
            }
        }
        Ok(Self { segments })
    }
}

impl FromStr for Segment {
    type Err = InvalidTemplate;

    fn from_str(text: &str) -> Result<Self, InvalidTemplate> {
        if let Some(name) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            let (name, greedy) = match name.strip_suffix('+') {
                Some(name) => (name, true),
                None => (name, false),
            };
            if name.is_empty() || !name.bytes().all(is_parameter_byte) {
                return Err(InvalidTemplate::Parameter);
            }
            return Ok(match greedy {
                true => Self::Greedy(name.to_owned()),
                false => Self::Parameter(name.to_owned()),
            });
        }
        if text.is_empty() || !text.bytes().all(is_static_byte) {
            return Err(InvalidTemplate::Static);
        }
        Ok(Self::Static(text.to_owned()))
    }
}

impl fmt::Display for PathTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.segments.is_empty() {
            return f.write_str("/");
        }
        self.segments.iter().try_for_each(|segment| match segment {
            Segment::Key(key) => f.write_str(key),
            Segment::Static(text) => write!(f, "/{text}"),
            Segment::Parameter(name) => write!(f, "/{{{name}}}"),
            Segment::Greedy(name) => write!(f, "/{{{name}+}}"),
        })
    }
}

/// Why a text is no path template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTemplate {
    /// `{name+}` before the end.
    #[error("a `{{name+}}` segment must be the last one")]
    GreedyNotLast,
    /// No leading slash.
    #[error("a path template begins with `/`")]
    NoSlash,
    /// A parameter without a name, or with one of other characters.
    #[error("the name of a parameter is of letters, digits, `_`, `-`, `.` and `:`")]
    Parameter,
    /// An empty segment, or one with characters that API Gateway does not take in a template.
    #[error("a static segment is of letters, digits, `_`, `-`, `.`, `,`, `:`, `~` and `@`")]
    Static,
}

/// The routes of an API, ready to match.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    routes: Vec<Route>,
    root: Node,
    keys: BTreeMap<String, Node>,
    /// The same routes by the text of their template.
    by_template: HashMap<String, BTreeMap<Method, usize>>,
}

impl RouteTable {
    /// Adds a route.
    ///
    /// # Errors
    /// The route that already has this method on this resource: two parameters at one place are
    /// one resource to API Gateway, whatever their names.
    pub fn insert(&mut self, route: Route) -> Result<(), Conflict> {
        let index = self.routes.len();
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
            // The index is that of a route that was inserted, so there is one.
            let with = self.routes.get(taken).cloned().unwrap_or(route);
            return Err(Conflict { with: Box::new(with) });
        }
        node.methods.insert(route.method, index);
        self.by_template.entry(route.template.to_string()).or_default().insert(route.method, index);
        self.routes.push(route);
        Ok(())
    }

    /// The routes in the order in which they were added.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The route with this template, as API Gateway chose it: that of the verb, else of `any`.
    /// `verb` is `None` for a WebSocket API.
    ///
    /// # Errors
    /// [`NoRoute::Unmapped`].
    pub fn get(&self, verb: Option<&str>, template: &str) -> Result<&Route, NoRoute> {
        let methods = self.by_template.get(template).ok_or(NoRoute::Unmapped)?;
        let own = verb.and_then(Method::from_verb).and_then(|method| methods.get(&method));
        let index = own.or_else(|| methods.get(&Method::Any)).ok_or(NoRoute::Unmapped)?;
        self.routes.get(*index).ok_or(NoRoute::Unmapped)
    }

    /// The route that API Gateway takes for a request.
    ///
    /// `path` is the concrete path as the client sent it. How much of it API Gateway decodes
    /// before it routes is not documented, so a path is matched only where every reading of it
    /// leads to the same route.
    ///
    /// # Errors
    /// [`NoRoute::Unsafe`] for a path whose readings differ or that IAM would read as a pattern,
    /// [`NoRoute::Unmapped`] where no route has this method and path.
    pub fn find(&self, verb: &str, path: &str) -> Result<&Route, NoRoute> {
        if UNSAFE_IN_POLICIES.iter().any(|text| path.contains(text)) {
            return Err(NoRoute::Unsafe);
        }
        let found = self.find_reading(verb, path)?;
        let mut reading = path.to_owned();
        for _ in 0..MAX_DECODINGS {
            let decoded =
                percent_decode_str(&reading).decode_utf8().map_err(|_| NoRoute::Unsafe)?.into_owned();
            if decoded == reading {
                return found.and_then(|index| self.routes.get(index)).ok_or(NoRoute::Unmapped);
            }
            if self.find_reading(verb, &decoded)? != found {
                return Err(NoRoute::Unsafe);
            }
            reading = decoded;
        }
        Err(NoRoute::Unsafe)
    }

    fn find_reading(&self, verb: &str, path: &str) -> Result<Option<usize>, NoRoute> {
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

/// Two routes with one method on one resource.
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
    /// The path could lead API Gateway elsewhere, or means more than itself in an IAM policy.
    Unsafe,
}

/// A resource: what is reached by the segments so far.
#[derive(Clone, Debug, Default)]
struct Node {
    statics: BTreeMap<String, Node>,
    parameter: Option<Box<Node>>,
    greedy: Option<Box<Node>>,
    methods: BTreeMap<Method, usize>,
}

impl Node {
    // The depth is that of the tree, which the policy store bounds, not the caller.
    fn find(&self, method: Option<Method>, segments: &[&str]) -> Option<usize> {
        let Some((first, rest)) = segments.split_first() else {
            return self.route(method);
        };
        let fixed = self.statics.get(*first).and_then(|node| node.find(method, rest));
        fixed
            .or_else(|| self.parameter.as_ref()?.find(method, rest))
            .or_else(|| self.greedy.as_ref()?.route(method))
    }

    fn route(&self, method: Option<Method>) -> Option<usize> {
        let own = method.and_then(|method| self.methods.get(&method));
        own.or_else(|| self.methods.get(&Method::Any)).copied()
    }
}

fn is_parameter_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte)
}

fn is_static_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-.,:~@".contains(&byte)
}

/// What IAM reads as more than itself in a `Resource`: its wildcards, the start of a policy
/// variable, and the separator of an ARN, which a `*` at the end of a pattern may also cross.
/// Source: IAM User Guide, "IAM JSON policy elements: Resource".
const UNSAFE_IN_POLICIES: [&str; 4] = ["*", "?", "${", ":"];

/// The route of an HTTP API that takes what no other does.
const DEFAULT: &str = "$default";

/// How often a path may be encoded over itself before it is taken for an attack.
const MAX_DECODINGS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn table(ids: &[&str]) -> RouteTable {
        let mut table = RouteTable::default();
        for id in ids {
            let action = format!("PetStore::Action::{id:?}").parse().unwrap();
            table.insert(Route::from_action(&action).unwrap()).unwrap();
        }
        table
    }

    #[track_caller]
    fn leads(table: &RouteTable, rows: &[(&str, &str, Result<&str, NoRoute>)]) {
        for (verb, path, expected) in rows {
            let found = table.find(verb, path).map(ToString::to_string);
            assert_eq!(found, expected.map(str::to_owned), "{verb} {path}");
        }
    }

    #[test]
    fn a_static_segment_goes_before_a_parameter_and_that_before_a_greedy_one() {
        let table = table(&["get /pets/{petId}", "get /pets/mine", "get /{proxy+}", "get /"]);
        leads(
            &table,
            &[
                ("GET", "/", Ok("get /")),
                ("GET", "/pets/mine", Ok("get /pets/mine")),
                ("GET", "/pets/7", Ok("get /pets/{petId}")),
                ("GET", "/pets/7/", Ok("get /pets/{petId}")),
                ("GET", "/pets/7/x", Ok("get /{proxy+}")),
                ("GET", "/pets", Ok("get /{proxy+}")),
                ("POST", "/pets", Err(NoRoute::Unmapped)),
            ],
        );
    }

    #[test]
    fn a_verb_goes_before_any() {
        let table = table(&["any /pets", "get /pets"]);
        leads(
            &table,
            &[
                ("GET", "/pets", Ok("get /pets")),
                ("POST", "/pets", Ok("any /pets")),
                ("PROPFIND", "/pets", Ok("any /pets")),
            ],
        );
    }

    // Measured on a real API: ministackorg/ministack#1423 and floci-io/floci#3399.
    #[test]
    fn a_resource_without_the_verb_falls_back_to_a_more_general_one() {
        let first = table(&["any /{proxy+}", "get /jobs/{op}", "options /cors_only"]);
        leads(
            &first,
            &[
                ("GET", "/jobs", Ok("any /{proxy+}")),
                ("POST", "/jobs", Ok("any /{proxy+}")),
                ("POST", "/jobs/reboot", Ok("any /{proxy+}")),
                ("GET", "/cors_only", Ok("any /{proxy+}")),
                ("GET", "/jobs/reboot", Ok("get /jobs/{op}")),
            ],
        );
        let second =
            table(&["patch /users/me", "get /users/{userId}", "get /things/real", "post /things/{proxy+}"]);
        leads(
            &second,
            &[
                ("GET", "/users/me", Ok("get /users/{userId}")),
                ("POST", "/things/real", Ok("post /things/{proxy+}")),
                ("DELETE", "/users/me", Err(NoRoute::Unmapped)),
            ],
        );
    }

    #[test]
    fn a_path_that_can_be_read_in_two_ways_is_unsafe() {
        let table = table(&["get /pets/{petId}", "get /pets/mine"]);
        leads(
            &table,
            &[
                ("GET", "/pets/M%C3%BCsli", Ok("get /pets/{petId}")),
                ("GET", "/pets/%6Dine", Err(NoRoute::Unsafe)),
                ("GET", "/pets/%256Dine", Err(NoRoute::Unsafe)),
                ("GET", "/pets/a%2Fb", Err(NoRoute::Unsafe)),
                ("GET", "/pets/a%00b", Err(NoRoute::Unsafe)),
                ("GET", "/pets/a%3Fb", Err(NoRoute::Unsafe)),
                ("GET", "/pets/%FF", Err(NoRoute::Unsafe)),
                ("GET", "/pets/%2525252525", Err(NoRoute::Unsafe)),
                ("GET", "/pets/..", Err(NoRoute::Unsafe)),
                ("GET", "/pets/%2e%2e", Err(NoRoute::Unsafe)),
                ("GET", "//pets/7", Err(NoRoute::Unsafe)),
                ("GET", "/pets//", Err(NoRoute::Unsafe)),
                ("GET", "/pets/a\\b", Err(NoRoute::Unsafe)),
                ("GET", "pets", Err(NoRoute::Unsafe)),
            ],
        );
    }

    #[test]
    fn a_path_that_iam_would_read_as_a_pattern_is_unsafe() {
        let table = table(&["get /pets/{petId}"]);
        for path in ["/pets/*", "/pets/a?", "/pets/${aws:username}", "/pets/a:b"] {
            assert_eq!(table.find("GET", path), Err(NoRoute::Unsafe), "{path}");
        }
    }

    #[test]
    fn two_parameters_at_one_place_are_one_resource() {
        let mut table = table(&["get /pets/{petId}"]);
        let action = "PetStore::Action::\"get /pets/{name}\"".parse().unwrap();
        let conflict = table.insert(Route::from_action(&action).unwrap()).unwrap_err();
        assert_eq!(conflict.with.to_string(), "get /pets/{petId}");
    }

    #[test]
    fn an_action_id_that_is_no_method_and_template_is_no_route() {
        for id in ["view", "GET /pets", "get pets", "get /pets/{}", "get /a/{p+}/b", "get /a//b"] {
            let action = format!("PetStore::Action::{id:?}").parse().unwrap();
            assert_eq!(Route::from_action(&action), None, "{id}");
        }
    }

    #[test]
    fn a_route_that_api_gateway_chose_is_found_by_its_template() {
        let table = table(&["get /pets/{petId}", "any /pets/{petId}", "get /pets", "$default", "$connect"]);
        for (verb, template, expected) in [
            (Some("GET"), "/pets/{petId}", Ok("get /pets/{petId}")),
            (Some("PUT"), "/pets/{petId}", Ok("any /pets/{petId}")),
            (Some("PROPFIND"), "/pets/{petId}", Ok("any /pets/{petId}")),
            (Some("PUT"), "/pets", Err(NoRoute::Unmapped)),
            (Some("GET"), "/pets/{id}", Err(NoRoute::Unmapped)),
            (Some("GET"), "/pets/7", Err(NoRoute::Unmapped)),
            (Some("GET"), "$default", Ok("any $default")),
            (None, "$connect", Ok("any $connect")),
            (None, "/pets", Err(NoRoute::Unmapped)),
        ] {
            assert_eq!(
                table.get(verb, template).map(ToString::to_string),
                expected.map(str::to_owned),
                "{template}"
            );
        }
        // No path leads to a route key.
        assert_eq!(table.find("GET", "/$default"), Err(NoRoute::Unmapped));
    }

    #[test]
    fn the_values_of_parameters_are_the_segments_of_the_path() {
        let values = |template: &str, path: &str| {
            let values = template.parse::<PathTemplate>().unwrap().values(path);
            values.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
        };
        assert_eq!(values("/pets/{petId}", "/pets/7/"), ["petId=7"]);
        assert_eq!(values("/{a}/x/{b+}", "/1/x/2/3"), ["a=1", "b=2/3"]);
        assert_eq!(values("/", "/"), [""; 0]);
    }

    #[test]
    fn templates_print_as_they_were_written() {
        for text in ["/", "/pets", "/pets/{petId}", "/files/{path+}", "/v1.0/a,b:c"] {
            assert_eq!(text.parse::<PathTemplate>().unwrap().to_string(), text);
        }
    }
}
