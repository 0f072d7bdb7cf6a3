//! Inputs: what an answer may depend on in a request, beside its token and route.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::gateway::route::{Method, Route};

/// What a decision may depend on beside token and route.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Input {
    /// A header, by its name in lower case.
    Header(String),
    /// All headers.
    Headers,
    /// The domain name.
    Host,
    /// The method, where a route takes several.
    Method,
    /// The concrete path.
    Path,
    /// The values of the path parameters.
    PathParameters,
    /// A query parameter, by its name.
    Query(String),
    /// All query parameters.
    QueryParameters,
    /// Whether there are any query parameters.
    QueryPresence,
    /// The resource, where it is made from the path.
    Resource,
    /// The address of the caller.
    SourceIp,
    /// The stage.
    Stage,
    /// The time of the request.
    Time,
    /// What the caller claims to be.
    UserAgent,
}

impl Input {
    /// The input behind a member of `context.http`. `None`: that member is not an input.
    pub fn of_http(name: &str) -> Option<Self> {
        Some(match name {
            "host" => Self::Host,
            "method" => Self::Method,
            "path" => Self::Path,
            "requestTime" => Self::Time,
            "sourceIp" => Self::SourceIp,
            "stage" => Self::Stage,
            "userAgent" => Self::UserAgent,
            _ => return None,
        })
    }

    /// Whether it is part of the query string.
    pub fn is_of_query(&self) -> bool {
        matches!(self, Self::Query(_) | Self::QueryParameters | Self::QueryPresence)
    }

    /// Whether it can differ between the calls of a route. Some of what policies read is the same for all calls.
    pub fn matters_to(&self, route: &Route) -> bool {
        let has_parameters = || route.template.parameters().next().is_some();
        match self {
            Self::Method => route.method == Method::Any,
            // The `$default` route has no parameters, and takes any path.
            Self::PathParameters => has_parameters(),
            Self::Resource => route.resource.as_ref().is_some_and(|made| {
                let texts = std::iter::once(&made.id).chain(made.attributes.values());
                texts.flat_map(|text| text.parameters()).next().is_some()
            }),
            _ => true,
        }
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header `{name}`"),
            Self::Headers => f.write_str("all headers"),
            Self::Host => f.write_str("host"),
            Self::Method => f.write_str("method"),
            Self::Path => f.write_str("path"),
            Self::PathParameters => f.write_str("path parameters"),
            Self::Query(name) => write!(f, "query parameter `{name}`"),
            Self::QueryParameters => f.write_str("all query parameters"),
            Self::QueryPresence => f.write_str("whether there is a query"),
            Self::Resource => f.write_str("resource from the path"),
            Self::SourceIp => f.write_str("source address"),
            Self::Stage => f.write_str("stage"),
            Self::Time => f.write_str("time"),
            Self::UserAgent => f.write_str("user agent"),
        }
    }
}
