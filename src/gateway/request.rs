//! An HTTP request: the parts that policies can ask about.

use std::fmt;

use super::call::{Call, Values};
use super::route::Method;

/// An HTTP request to decide on without an event of API Gateway.
///
/// ```
/// use cedar_authorizer::gateway::request::Request;
/// use cedar_authorizer::gateway::route::Method;
///
/// let request = Request::new(Method::Get, "/pets/7")
///     .query("limit", "10")
///     .header("X-Tenant", "acme")
///     .source_ip("203.0.113.7");
/// # let _ = request;
/// ```
#[derive(Clone)]
pub struct Request {
    verb: String,
    path: String,
    stage: Option<String>,
    headers: Values,
    query: Values,
    host: Option<String>,
    source_ip: Option<String>,
    user_agent: Option<String>,
    time_milliseconds: Option<u64>,
}

impl Request {
    /// A request with this method and path. The path is as the client sent it, with its leading slash and without
    /// a query.
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self::with_verb(method.name().to_ascii_uppercase(), path)
    }

    /// The same with any HTTP method, in upper case. Only `any` routes take a method that [`Method`] does not
    /// know.
    pub fn with_verb(verb: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            verb: verb.into(),
            path: path.into(),
            stage: None,
            headers: Values::default(),
            query: Values::default(),
            host: None,
            source_ip: None,
            user_agent: None,
            time_milliseconds: None,
        }
    }

    /// Adds a header; its name may be in any case. Policies do not see a name with values that differ.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.add(name.to_ascii_lowercase(), value.into());
        self
    }

    /// Adds a query parameter, decoded. Policies do not see a name with values that differ.
    #[must_use]
    pub fn query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.query.add(name.into(), value.into());
        self
    }

    /// The stage, `context.http.stage`.
    #[must_use]
    pub fn stage(mut self, stage: impl Into<String>) -> Self {
        self.stage = Some(stage.into());
        self
    }

    /// The domain name in the request, `context.http.host`.
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// The address of the caller, `context.http.sourceIp`.
    #[must_use]
    pub fn source_ip(mut self, source_ip: impl Into<String>) -> Self {
        self.source_ip = Some(source_ip.into());
        self
    }

    /// What the caller claims to be, `context.http.userAgent`.
    #[must_use]
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = Some(user_agent.into());
        self
    }

    /// When the request was received, in milliseconds since 1970: `context.http.requestTime`.
    #[must_use]
    pub fn time_milliseconds(mut self, milliseconds: u64) -> Self {
        self.time_milliseconds = Some(milliseconds);
        self
    }

    /// What policies may read in it.
    pub fn fields(&self) -> RequestFields<'_> {
        RequestFields {
            verb: Some(&self.verb),
            path: Some(&self.path),
            stage: self.stage.as_deref(),
            headers: &self.headers,
            query: &self.query,
            host: self.host.as_deref(),
            source_ip: self.source_ip.as_deref(),
            user_agent: self.user_agent.as_deref(),
            time_milliseconds: self.time_milliseconds,
        }
    }

    /// The method and the path.
    pub(crate) fn target(&self) -> (&str, &str) {
        (&self.verb, &self.path)
    }
}

/// Prints no headers, because a header may be a token.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} {})", self.verb, self.path)
    }
}

/// What policies may read in a request, wherever it came from.
#[derive(Clone, Copy)]
#[expect(missing_docs, reason = "as in `Request`")]
pub struct RequestFields<'a> {
    pub verb: Option<&'a str>,
    pub path: Option<&'a str>,
    pub stage: Option<&'a str>,
    pub headers: &'a Values,
    pub query: &'a Values,
    pub host: Option<&'a str>,
    pub source_ip: Option<&'a str>,
    pub user_agent: Option<&'a str>,
    pub time_milliseconds: Option<u64>,
}

impl Call {
    /// What policies may read in it.
    pub fn fields(&self) -> RequestFields<'_> {
        RequestFields {
            verb: self.verb(),
            path: self.path(),
            stage: Some(self.method_arn().stage()),
            headers: self.headers(),
            query: self.query(),
            host: self.host(),
            source_ip: self.source_ip(),
            user_agent: self.user_agent(),
            time_milliseconds: self.time_milliseconds(),
        }
    }
}
