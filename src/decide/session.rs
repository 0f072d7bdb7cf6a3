//! A session: a verified caller, and what they may do.

use std::fmt;
use std::sync::Arc;

use cedar_policy::EntityUid;

use super::asked::{Asked, RequestedResource};
use super::authorization_request::{AuthorizationRequest, PrincipalRequest};
use super::caller::{Caller, Decided};
use super::decision::Decision;
use super::memo::Memo;
use super::outcome::Outcome;
use super::principal;
use crate::bundle::{Bundle, BundledRoute};
use crate::gateway::cache_key::CacheKey;
use crate::gateway::call::Call;
use crate::gateway::path_parameters;
use crate::gateway::request::Request;
use crate::gateway::response::{Response, SimpleResponses};
use crate::reason::Reason;
use crate::time::UnixTime;
use crate::token::VerifiedToken;
use crate::token::identity_source::IdentitySource;

/// A caller whose token was verified with the identity sources of a bundle.
///
/// [`Gate::authenticate`](super::Gate::authenticate) makes the first one for a token, and [`afresh`](Self::afresh)
/// another from it, so whoever holds one knows that the token was verified. It owns the token, the bundle that it
/// was verified for, and everything that is remembered of the caller. So nothing of one caller or bundle can be used
/// for another.
///
/// A token can expire while a session is held. Check this with [`has_expired`](Self::has_expired).
pub struct Session {
    bundle: Arc<Bundle>,
    token: Arc<VerifiedToken>,
    memo: Memo,
}

impl Session {
    /// `token` must have been verified with the identity sources of this very bundle.
    pub(crate) fn new(bundle: Arc<Bundle>, token: VerifiedToken) -> Self {
        Self { bundle, token: Arc::new(token), memo: Memo::default() }
    }

    /// A session of the same caller in which nothing is remembered.
    #[must_use]
    pub fn afresh(&self) -> Self {
        Self { bundle: Arc::clone(&self.bundle), token: Arc::clone(&self.token), memo: Memo::default() }
    }

    /// The bundle that decides.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// The claims, the groups and the times of the caller's token.
    pub fn token(&self) -> &VerifiedToken {
        &self.token
    }

    /// The identity source that vouches for the caller.
    ///
    /// # Errors
    /// [`Reason::IssuerUnknown`]. This does not happen: a session is made with the bundle that has the source.
    pub fn source(&self) -> Result<&IdentitySource, Reason> {
        self.bundle.identity_sources().get(self.token.keys().source).ok_or(Reason::IssuerUnknown)
    }

    /// The caller as a Cedar principal.
    ///
    /// # Errors
    /// Those of [`source`](Self::source).
    pub fn principal(&self) -> Result<EntityUid, Reason> {
        Ok(principal::uid(&self.token, self.source()?))
    }

    /// Whether the token has expired since it was verified. `now` is the current time.
    pub fn has_expired(&self, now: UnixTime) -> bool {
        self.token.has_expired(self.bundle.leeway_seconds(), now)
    }

    pub(super) fn memo(&self) -> &Memo {
        &self.memo
    }

    /// Asks the bundle for what a decision on this call needs for certain: what it says of the caller, of the groups in the
    /// token, of the action and of the resource. So what is away is fetched together.
    #[cfg_attr(
        not(feature = "function"),
        expect(dead_code, reason = "only the function reads a bundle in parts")
    )]
    pub(crate) fn ask_ahead(&self, call: &Call, cache_key: &CacheKey) {
        let asked = Asked::new(call, &self.bundle, cache_key);
        let mut entities = Vec::new();
        if let Ok(source) = self.source() {
            entities.push(principal::uid(&self.token, source));
            let groups = source.group_type().into_iter();
            let of_type = |of| self.token.groups().iter().map(move |group| source.entity(of, group));
            entities.extend(groups.flat_map(of_type));
        }
        if let Ok(route) = asked.route() {
            entities.push(route.route.action.clone());
            // If its template makes it from an entity of the store, that is the entity.
            entities.extend(asked.resource_uid());
        }
        self.bundle.ask_ahead(&entities);
    }

    /// Decides on an HTTP request. Its method and path lead to a route, as on an API of API Gateway.
    ///
    /// # Errors
    /// Only faults ([`Reason::BundleUnreadable`]). Any other doubt leads to a denial: a path without a route is
    /// denied with [`Reason::RouteUnmapped`].
    pub fn decide(&self, request: &Request) -> Result<Decision, Reason> {
        let decide = || {
            let (route, resource) = self.requested(request)?;
            Caller::new(self, request.fields())?.decide(route, &resource)
        };
        Ok(Decided::or_deny(decide())?.decision)
    }

    /// An HTTP request in Cedar's terms, as the policies see it: the principal with its groups and attributes, the
    /// action of the route, the resource, and of the context what the schema declares.
    /// [`Gate::is_authorized`](super::Gate::is_authorized) decides on it as [`decide`](Self::decide) does on the
    /// HTTP request.
    ///
    /// # Errors
    /// The reason why the policies cannot decide, which is that of [`decide`](Self::decide).
    pub fn authorization_request(&self, request: &Request) -> Result<PrincipalRequest, Reason> {
        let (route, resource) = self.requested(request)?;
        Caller::new(self, request.fields())?.authorization_request(route, &resource)
    }

    /// A call of API Gateway in Cedar's terms; see [`authorization_request`](Self::authorization_request).
    ///
    /// # Errors
    /// The reason why the policies cannot decide.
    pub fn authorization_request_of_call(&self, call: &Call) -> Result<PrincipalRequest, Reason> {
        // Without a cache, the answer is about this call alone.
        self.authorization_request_under(call, &CacheKey::None)
    }

    /// The same as [`authorize`](Self::authorize) decides on it for this cache key: if the answer applies to other paths
    /// as well, the resource stands for the resources of all of them.
    ///
    /// # Errors
    /// The reason why the policies cannot decide.
    pub fn authorization_request_under(
        &self,
        call: &Call,
        cache_key: &CacheKey,
    ) -> Result<PrincipalRequest, Reason> {
        let asked = Asked::new(call, &self.bundle, cache_key);
        let (route, resource) = (asked.route()?, asked.resource()?);
        Caller::new(self, call.fields())?.authorization_request(route, &resource)
    }

    /// The route and the resource of an HTTP request.
    fn requested(&self, request: &Request) -> Result<(BundledRoute<'_>, RequestedResource), Reason> {
        let (verb, path) = request.target();
        let id = self.bundle.routes().find(verb, path)?;
        let route = self.bundle.route(id).ok_or(Reason::RouteUnmapped)?;
        let parameters = path_parameters::of_path(path, route.route)?;
        let resource = RequestedResource::of_path(parameters, route.route, &self.bundle)?;
        Ok((route, resource))
    }

    /// Decides on a request in Cedar's terms, as AVP's `IsAuthorizedWithToken` does. The principal, with its
    /// groups and attributes, comes from the token, and `context.token` has the claims of an access token.
    /// Anything that the request itself says about the principal or `context.token` is ignored.
    ///
    /// # Errors
    /// Only faults ([`Reason::BundleUnreadable`]).
    pub fn is_authorized(&self, request: &AuthorizationRequest) -> Result<Decision, Reason> {
        let decide = || {
            let (PrincipalRequest { principal, request }, dropped) = self.asked_by_caller(request)?;
            Ok(Decided { decision: request.decide(&self.bundle, &principal)?, dropped })
        };
        Ok(Decided::or_deny(decide())?.decision)
    }

    /// What [`is_authorized`](Self::is_authorized) decides on: the request with the principal and `context.token` of
    /// the caller.
    ///
    /// # Errors
    /// The reason why the policies cannot decide.
    pub fn request_of_caller(&self, request: &AuthorizationRequest) -> Result<PrincipalRequest, Reason> {
        Ok(self.asked_by_caller(request)?.0)
    }

    /// The same, with how many claims were dropped because the schema declares another type.
    fn asked_by_caller(&self, request: &AuthorizationRequest) -> Result<(PrincipalRequest, usize), Reason> {
        let (source, projection) = (self.source()?, self.bundle.projection());
        let request = request.clone().with_token(&self.token, source, projection)?;
        request.with_principal(&self.token, source, projection)
    }

    /// The response that tells API Gateway an outcome of this session for this call. If it has no room for the
    /// principal and the claims, it [denies](Response::is_shortened).
    pub fn respond(&self, call: &Call, outcome: &Outcome, simple_responses: SimpleResponses) -> Response {
        self.memo.response(call, outcome, simple_responses, || outcome.respond(simple_responses))
    }
}

/// Written by hand, because a token is a credential and claims identify a person.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({:?} at revision {})", self.token, self.bundle.revision())
    }
}
