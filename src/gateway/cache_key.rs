//! The cache key: what API Gateway stores an answer under.
//!
//! API Gateway keeps the whole answer and applies it to every later request with the same values of the identity
//! sources. So an answer may depend on nothing else. API Gateway does not tell a function what the identity
//! sources are; `CACHE_KEY` does, in API Gateway's own syntax.

use std::fmt;
use std::str::FromStr;

use crate::gateway::call::{Api, RouteKey, TokenLocation};
use crate::gateway::input::Input;
use crate::gateway::route::Route;

/// What API Gateway stores an answer under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CacheKey {
    /// Nothing is cached: the TTL is 0.
    None,
    /// Only the token.
    Token,
    /// These identity sources, the token among them.
    Sources(Vec<IdentitySourceExpression>),
}

/// One identity source of an authorizer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentitySourceExpression {
    /// A variable of `$context`, e.g. `httpMethod`, `identity.sourceIp`.
    Context(String),
    /// A header, in lower case.
    Header(String),
    /// A query parameter.
    Query(String),
    /// A stage variable.
    StageVariable(String),
}

/// The requests for which an answer has to be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CacheScope {
    /// Those with one method and path.
    Method,
    /// Those of one route.
    Route,
    /// All requests of the API.
    Api,
}

impl CacheKey {
    /// The key that applies to a kind of API. A TOKEN authorizer is keyed only by the token, and the authorizer
    /// of a WebSocket API has no cache.
    ///
    /// Source: API Gateway Developer Guide, "Input to an API Gateway Lambda authorizer", and the API reference of
    /// `CreateAuthorizer` for `AuthorizerResultTtlInSeconds`.
    pub fn for_api(&self, api: Api) -> &Self {
        match (self, api) {
            (_, Api::WebSocket) | (Self::None, _) => &Self::None,
            (_, Api::RestToken) => &Self::Token,
            (key, _) => key,
        }
    }

    /// The key as it works for requests whose route key says this about their method.
    ///
    /// A route is a template and a method. `routeKey` has the template, but has the method only if the API's own
    /// route names one: under `ANY /pets` a GET and a DELETE have the same key. Only HTTP APIs have `routeKey`.
    /// Only REST APIs have `resourcePath` and `resourceId`, which contain just the template.
    ///
    /// Source: API Gateway Developer Guide, "Customize HTTP API access logs" and "Variables for access logging".
    pub fn through(&self, route_key: RouteKey) -> KeyOfRoute<'_> {
        let has = |name: &str| self.has_context(name);
        let (scope, mixes_methods) = match self {
            Self::None => (CacheScope::Method, false),
            Self::Token => (CacheScope::Api, false),
            Self::Sources(_) => {
                let has_template = match route_key {
                    RouteKey::Absent => has("resourcePath") || has("resourceId"),
                    RouteKey::AnyMethod | RouteKey::OneMethod => has("routeKey"),
                };
                let names_method = route_key == RouteKey::OneMethod && has_template;
                match (has_template, names_method || has("httpMethod")) {
                    (_, true) if has("path") => (CacheScope::Method, false),
                    (true, true) => (CacheScope::Route, false),
                    (true, false) if route_key == RouteKey::AnyMethod => (CacheScope::Route, true),
                    _ => (CacheScope::Api, false),
                }
            }
        };
        KeyOfRoute { key: self, scope, mixes_methods }
    }

    /// The key if nothing is known about the API: as if each of its routes had a method of its own.
    fn at_best(&self) -> KeyOfRoute<'_> {
        let [rest, http] = [RouteKey::Absent, RouteKey::OneMethod].map(|route_key| self.through(route_key));
        if rest.scope < http.scope { rest } else { http }
    }

    /// The requests for which an answer has to be right, at best; see [`through`](Self::through).
    pub fn scope(&self) -> CacheScope {
        self.at_best().scope
    }

    /// Whether all requests with one key have the same value of an input, at best.
    pub fn covers(&self, input: &Input) -> bool {
        self.at_best().covers(input)
    }

    /// The inputs of a route that can differ between requests with one key, at best. If there are any, an answer
    /// for one of these requests is not right for the others.
    pub fn lacking<'a>(
        &self,
        reads: impl IntoIterator<Item = &'a Input>,
        route: &Route,
    ) -> impl Iterator<Item = &'a Input> {
        self.at_best().lacking(reads, route)
    }

    /// The smallest key that covers these inputs; `none` if no key does.
    pub fn least_for<'a>(inputs: impl IntoIterator<Item = &'a Input>, location: &TokenLocation) -> Self {
        use IdentitySourceExpression::{Context, Header, Query};
        let mut sources = vec![Header(location.header.clone())];
        let mut add = |source: IdentitySourceExpression| {
            if !sources.contains(&source) {
                sources.push(source);
            }
        };
        let mut asks_for_any_query = false;
        for input in inputs {
            match input {
                Input::Header(name) => add(Header(name.clone())),
                Input::Query(name) => add(Query(name.clone())),
                Input::QueryPresence => asks_for_any_query = true,
                Input::Host => add(Context("domainName".to_owned())),
                Input::Method => add(Context("httpMethod".to_owned())),
                Input::Path | Input::PathParameters | Input::Resource => {
                    add(Context("httpMethod".to_owned()));
                    add(Context("path".to_owned()));
                }
                Input::SourceIp => add(Context("identity.sourceIp".to_owned())),
                Input::Stage => {}
                Input::UserAgent => add(Context("identity.userAgent".to_owned())),
                Input::Headers | Input::QueryParameters | Input::Time => return Self::None,
            }
        }
        let has_query = sources.iter().any(|source| matches!(source, Query(_)));
        match sources.len() {
            _ if asks_for_any_query && !has_query => Self::None,
            1 => Self::Token,
            _ => Self::Sources(sources),
        }
    }

    /// Whether all requests with one key have the same token. Otherwise one caller would get the answer for
    /// another.
    pub fn holds_token(&self, location: &TokenLocation) -> bool {
        match self {
            Self::None | Self::Token => true,
            Self::Sources(_) => self.has(
                |source| matches!(source, IdentitySourceExpression::Header(name) if *name == location.header),
            ),
        }
    }

    fn has(&self, is_it: impl Fn(&IdentitySourceExpression) -> bool) -> bool {
        matches!(self, Self::Sources(sources) if sources.iter().any(is_it))
    }

    /// Whether it has a variable of `$context`.
    pub(crate) fn has_context(&self, name: &str) -> bool {
        self.has(|source| matches!(source, IdentitySourceExpression::Context(known) if known == name))
    }
}

/// A cache key as it works for requests of one kind of route; see [`CacheKey::through`].
#[derive(Clone, Copy, Debug)]
pub struct KeyOfRoute<'a> {
    key: &'a CacheKey,
    scope: CacheScope,
    mixes_methods: bool,
}

impl KeyOfRoute<'_> {
    /// The requests for which an answer has to be right.
    pub fn scope(self) -> CacheScope {
        self.scope
    }

    /// Whether requests with one key have one template, but may have different methods. If those methods lead to
    /// different routes of the store, no single answer is right for all of them.
    pub fn mixes_methods(self) -> bool {
        self.mixes_methods
    }

    /// Whether all requests with one key have the same value of an input.
    pub fn covers(self, input: &Input) -> bool {
        let Self { key, scope, mixes_methods: _ } = self;
        if *key == CacheKey::None {
            return true;
        }
        match input {
            Input::Header(name) => {
                key.has(|source| matches!(source, IdentitySourceExpression::Header(known) if known == name))
            }
            Input::Query(name) => {
                key.has(|source| matches!(source, IdentitySourceExpression::Query(known) if known == name))
            }
            // API Gateway refuses a request that lacks an identity source before it asks the cache.
            Input::QueryPresence => key.has(|source| matches!(source, IdentitySourceExpression::Query(_))),
            Input::Host => key.has_context("domainName"),
            Input::Method => key.has_context("httpMethod"),
            Input::Path | Input::PathParameters | Input::Resource => {
                scope == CacheScope::Method && key.has_context("path")
            }
            Input::SourceIp => key.has_context("identity.sourceIp"),
            // Every statement names the stage.
            Input::Stage => true,
            Input::UserAgent => key.has_context("identity.userAgent"),
            Input::Headers | Input::QueryParameters | Input::Time => false,
        }
    }

    /// The inputs of a route that can differ between requests with one key. If there are any, an answer for one
    /// of these requests is not right for the others.
    pub fn lacking<'a>(
        self,
        reads: impl IntoIterator<Item = &'a Input>,
        route: &Route,
    ) -> impl Iterator<Item = &'a Input> {
        reads.into_iter().filter(move |input| input.matters_to(route) && !self.covers(input))
    }
}

impl FromStr for CacheKey {
    type Err = InvalidCacheKey;

    fn from_str(text: &str) -> Result<Self, InvalidCacheKey> {
        match text {
            "none" => Ok(Self::None),
            "token" => Ok(Self::Token),
            list => list
                .split(',')
                .map(|source| source.trim().parse())
                .collect::<Result<_, _>>()
                .map(Self::Sources),
        }
    }
}

impl fmt::Display for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Token => f.write_str("token"),
            Self::Sources(sources) => {
                let texts: Vec<String> = sources.iter().map(ToString::to_string).collect();
                f.write_str(&texts.join(","))
            }
        }
    }
}

impl FromStr for IdentitySourceExpression {
    type Err = InvalidCacheKey;

    /// Reads one identity source in the syntax of REST APIs (`method.request.header.Authorization`,
    /// `context.path`), of HTTP APIs (`$request.header.Authorization`, `$context.path`) or of WebSocket APIs
    /// (`route.request.header.Authorization`).
    fn from_str(text: &str) -> Result<Self, InvalidCacheKey> {
        let rest = text.strip_prefix('$').unwrap_or(text);
        let rest = ["method.", "route."].iter().find_map(|prefix| rest.strip_prefix(prefix)).unwrap_or(rest);
        let (read, name): (fn(String) -> Self, &str) =
            if let Some(name) = rest.strip_prefix("request.header.") {
                (|name| Self::Header(name.to_ascii_lowercase()), name)
            } else if let Some(name) = rest.strip_prefix("request.querystring.") {
                (Self::Query, name)
            } else if let Some(name) = rest.strip_prefix("stageVariables.") {
                (Self::StageVariable, name)
            } else if let Some(name) = rest.strip_prefix("context.") {
                (Self::Context, name)
            } else {
                return Err(InvalidCacheKey);
            };
        if name.is_empty() || name.contains(char::is_whitespace) {
            Err(InvalidCacheKey)
        } else {
            Ok(read(name.to_owned()))
        }
    }
}

impl fmt::Display for IdentitySourceExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Context(name) => write!(f, "context.{name}"),
            Self::Header(name) => write!(f, "method.request.header.{name}"),
            Self::Query(name) => write!(f, "method.request.querystring.{name}"),
            Self::StageVariable(name) => write!(f, "stageVariables.{name}"),
        }
    }
}

/// The text is not a cache key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not `none`, `token`, or a list of identity sources such as \
     `method.request.header.Authorization,context.httpMethod,context.path`"
)]
pub struct InvalidCacheKey;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> CacheKey {
        text.parse().unwrap()
    }

    const AUTHORIZATION: &str = "method.request.header.Authorization";

    #[test]
    fn what_a_key_spans_depends_on_method_path_and_route() {
        for (more, scope) in [
            ("", CacheScope::Api),
            (",context.httpMethod,context.path", CacheScope::Method),
            (",$context.routeKey,$context.path", CacheScope::Method),
            (",$context.routeKey", CacheScope::Route),
            (",context.httpMethod,context.resourcePath", CacheScope::Route),
            (",context.path", CacheScope::Api),
            (",context.httpMethod", CacheScope::Api),
            (",context.resourcePath", CacheScope::Api),
            (",method.request.header.X-Tenant,context.identity.sourceIp", CacheScope::Api),
        ] {
            assert_eq!(key(&format!("{AUTHORIZATION}{more}")).scope(), scope, "{more}");
        }
        assert_eq!((key("none").scope(), key("token").scope()), (CacheScope::Method, CacheScope::Api));
    }

    #[test]
    fn a_route_key_holds_no_more_than_the_route_of_the_api_names() {
        use RouteKey::{Absent, AnyMethod, OneMethod};
        for (more, route_key, scope, mixes_methods) in [
            (",$context.routeKey", OneMethod, CacheScope::Route, false),
            (",$context.routeKey", AnyMethod, CacheScope::Route, true),
            (",$context.routeKey", Absent, CacheScope::Api, false),
            (",$context.routeKey,$context.path", OneMethod, CacheScope::Method, false),
            (",$context.routeKey,$context.path", AnyMethod, CacheScope::Route, true),
            (",$context.routeKey,$context.path", Absent, CacheScope::Api, false),
            (",$context.routeKey,$context.httpMethod", AnyMethod, CacheScope::Route, false),
            (",$context.routeKey,$context.httpMethod,$context.path", AnyMethod, CacheScope::Method, false),
            (",context.httpMethod,context.path", Absent, CacheScope::Method, false),
            (",context.httpMethod,context.path", AnyMethod, CacheScope::Method, false),
            (",context.httpMethod,context.resourcePath", Absent, CacheScope::Route, false),
            (",context.httpMethod,context.resourceId", Absent, CacheScope::Route, false),
            (",context.resourcePath,context.path", Absent, CacheScope::Api, false),
            (",context.httpMethod,context.resourcePath", OneMethod, CacheScope::Api, false),
            (",context.httpMethod", AnyMethod, CacheScope::Api, false),
            ("", OneMethod, CacheScope::Api, false),
        ] {
            let key = key(&format!("{AUTHORIZATION}{more}"));
            let of_route = key.through(route_key);
            assert_eq!(
                (of_route.scope(), of_route.mixes_methods()),
                (scope, mixes_methods),
                "{more} {route_key:?}"
            );
            assert_eq!(
                of_route.covers(&Input::Resource),
                scope == CacheScope::Method,
                "{more} {route_key:?}"
            );
            assert!(key.scope() <= scope, "{more} {route_key:?}");
        }
        for route_key in [Absent, AnyMethod, OneMethod] {
            assert_eq!(key("none").through(route_key).scope(), CacheScope::Method);
            assert_eq!(key("token").through(route_key).scope(), CacheScope::Api);
        }
    }

    #[test]
    fn an_input_is_covered_by_its_own_source_alone() {
        let all = [
            Input::Header("x-a".to_owned()),
            Input::Headers,
            Input::Host,
            Input::Method,
            Input::Path,
            Input::PathParameters,
            Input::Query("q".to_owned()),
            Input::QueryParameters,
            Input::QueryPresence,
            Input::Resource,
            Input::SourceIp,
            Input::Time,
            Input::UserAgent,
        ];
        for (more, covered) in [
            ("", vec![]),
            (",method.request.header.X-A", vec![Input::Header("x-a".to_owned())]),
            (",method.request.header.X-B,stageVariables.a,context.requestId", vec![]),
            (",$request.querystring.q", vec![Input::Query("q".to_owned()), Input::QueryPresence]),
            (",$request.querystring.Q", vec![Input::QueryPresence]),
            (",context.identity.sourceIp", vec![Input::SourceIp]),
            (",context.identity.userAgent,context.domainName", vec![Input::Host, Input::UserAgent]),
            (",context.httpMethod", vec![Input::Method]),
            (",context.path", vec![]),
            (
                ",context.httpMethod,context.path",
                vec![Input::Method, Input::Path, Input::PathParameters, Input::Resource],
            ),
        ] {
            let key = key(&format!("{AUTHORIZATION}{more}"));
            let found: Vec<Input> = all.iter().filter(|input| key.covers(input)).cloned().collect();
            assert_eq!(found, covered, "{more}");
        }
        assert!(all.iter().all(|input| key("none").covers(input) && !key("token").covers(input)));
        for input in &all {
            let least = CacheKey::least_for([input], &TokenLocation::default());
            assert!(least.covers(input), "{input:?}: {least}");
        }
    }

    #[test]
    fn a_key_without_the_token_would_mix_up_callers() {
        let location = TokenLocation::default();
        assert!(key("token").holds_token(&location) && key("none").holds_token(&location));
        assert!(key("$request.header.authorization,$context.path").holds_token(&location));
        assert!(!key("context.httpMethod,context.path").holds_token(&location));
        assert!(!key("method.request.header.X-Token").holds_token(&location));
    }

    #[test]
    fn token_authorizers_are_keyed_by_the_token_and_web_sockets_by_nothing() {
        let full = key(&format!("{AUTHORIZATION},context.httpMethod,context.path"));
        assert_eq!(full.for_api(Api::RestToken), &CacheKey::Token);
        assert_eq!(full.for_api(Api::RestRequest), &full);
        assert_eq!(full.for_api(Api::WebSocket), &CacheKey::None);
        assert_eq!(CacheKey::None.for_api(Api::RestToken), &CacheKey::None);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in ["", "None", "TOKEN", "token,context.path", "header.Authorization", "context.", ","] {
            assert!(text.parse::<CacheKey>().is_err(), "{text}");
        }
        let text =
            "method.request.header.authorization,context.path,stageVariables.a,method.request.querystring.B";
        assert_eq!(key(text).to_string(), text);
    }
}
