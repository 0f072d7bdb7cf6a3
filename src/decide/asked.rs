//! What a call asks for: its routes, its resource, and the key under which API Gateway caches the answer.

use std::collections::BTreeMap;

use cedar_policy::EntityUid;

use super::resource::Resource;
use crate::bundle::{Bundle, BundledRoute};
use crate::gateway::arn::ANY_STAGE;
use crate::gateway::cache_key::{CacheKey, CacheScope, KeyOfRoute};
use crate::gateway::call::{Call, Target};
use crate::gateway::path_parameters;
use crate::gateway::route::Route;
use crate::reason::{Reason, Status};

/// A call, together with the bundle that answers it.
pub(super) struct Asked<'a> {
    pub(super) call: &'a Call,
    pub(super) bundle: &'a Bundle,
    /// The key under which API Gateway caches the answer.
    pub(super) cache_key: &'a CacheKey,
    /// The same key, as it works for the route of the call.
    pub(super) key: KeyOfRoute<'a>,
    /// The route that the call takes comes first. The others are routes that it could take as well.
    routes: Result<Vec<BundledRoute<'a>>, Reason>,
    /// Whether the parameters of its path can be read in only one way.
    is_path_safe: bool,
}

/// A resource, and the parameters of the path that it was made from.
#[derive(Clone)]
pub(super) struct RequestedResource {
    pub(super) resource: Resource,
    pub(super) path_parameters: BTreeMap<String, String>,
}

impl<'a> Asked<'a> {
    /// Finds the routes of a call.
    pub(super) fn new(call: &'a Call, bundle: &'a Bundle, cache_key: &'a CacheKey) -> Self {
        let cache_key = cache_key.for_api(call.api());
        let key = cache_key.through(call.route_key());
        let routes = find_routes(call, bundle, key);
        let first = routes.as_ref().ok().and_then(|routes| routes.first());
        let is_path_safe = first.is_some_and(|first| path_parameters::check(call, first.route).is_ok());
        Self { call, bundle, cache_key, key, routes, is_path_safe }
    }

    /// Whether the answer also applies to other requests, of this route or of the whole API.
    pub(super) fn speaks_of_more(&self) -> bool {
        self.key.scope() != CacheScope::Method
    }

    /// The route, if its answer can be remembered for this path, because it depends only on the token and the
    /// route.
    pub(super) fn memorable_route(&self) -> Option<BundledRoute<'a>> {
        let is_memorable = self.is_path_safe && *self.cache_key == CacheKey::Token;
        self.first().ok().filter(|_| is_memorable)
    }

    /// The route of the call, and with it the action.
    ///
    /// # Errors
    /// The reason why there is no route, or none that is safe to name.
    pub(super) fn route(&self) -> Result<BundledRoute<'a>, Reason> {
        let is_of_path = *self.call.target() == Target::Path && !self.speaks_of_more();
        if is_of_path && self.call.method_arn().path().contains(':') {
            // A colon separates the fields of an ARN, and here only the ARN says what the path is.
            return Err(Reason::PathUnsafe);
        }
        self.first()
    }

    fn first(&self) -> Result<BundledRoute<'a>, Reason> {
        let routes = self.routes.as_ref().map_err(|reason| *reason)?;
        routes.first().copied().ok_or(Reason::RouteUnmapped)
    }

    /// The other routes that the call could take, if its path is read in other ways.
    pub(super) fn other_routes(&self) -> impl Iterator<Item = BundledRoute<'a>> {
        self.routes.iter().flatten().skip(1).copied()
    }

    /// The resource that the call acts on. If the answer applies to other paths as well, it stands for the
    /// resources of all of them.
    ///
    /// # Errors
    /// [`Reason::PathUnsafe`] and those of [`Resource::from_path`].
    pub(super) fn resource(&self) -> Result<RequestedResource, Reason> {
        let route = self.route()?.route;
        if !self.is_path_safe {
            return Err(Reason::PathUnsafe);
        }
        if self.speaks_of_more() {
            return RequestedResource::of_any_path(route, self.bundle);
        }
        RequestedResource::of_path(path_parameters::of_call(self.call, route)?, route, self.bundle)
    }
}

impl Asked<'_> {
    /// The id of the resource, whatever the bundle says of it.
    pub(super) fn resource_uid(&self) -> Option<EntityUid> {
        let route = self.route().ok()?.route;
        let Some(template) = &route.resource else {
            return Some(self.bundle.resource().clone());
        };
        let is_of_path = self.is_path_safe && !self.speaks_of_more();
        let parameters =
            if is_of_path { path_parameters::of_call(self.call, route).ok()? } else { BTreeMap::new() };
        Resource::uid_from_path(template, &parameters)
    }
}

impl RequestedResource {
    /// The resource of a route, if nothing depends on what the path says.
    ///
    /// # Errors
    /// Only faults.
    pub(super) fn of_any_path(route: &Route, bundle: &Bundle) -> Result<Self, Reason> {
        let resource = match &route.resource {
            // If the template has no parameters, the resource is the same for every path.
            Some(template) => {
                match Resource::from_path(template, &BTreeMap::new(), bundle.entities(), bundle.projection())
                {
                    Ok(resource) => resource,
                    Err(reason) if reason.status() == Status::Fault => return Err(reason),
                    Err(_) => Resource::unnamed(template),
                }
            }
            None => Resource { uid: bundle.resource().clone(), entity: None },
        };
        Ok(Self { resource, path_parameters: BTreeMap::new() })
    }

    /// The resource of a route for these path parameters, as the backend reads them.
    ///
    /// # Errors
    /// Those of [`Resource::from_path`].
    pub(super) fn of_path(
        path_parameters: BTreeMap<String, String>,
        route: &Route,
        bundle: &Bundle,
    ) -> Result<Self, Reason> {
        let resource = match &route.resource {
            Some(template) => {
                Resource::from_path(template, &path_parameters, bundle.entities(), bundle.projection())?
            }
            None => Resource { uid: bundle.resource().clone(), entity: None },
        };
        Ok(Self { resource, path_parameters })
    }
}

/// The routes of a call. If the event names the route that API Gateway chose, it is the only one. Otherwise it is
/// the route that API Gateway would choose for the path.
///
/// If the answer applies to more than this path, nothing of the path counts but its route. If the path can be
/// read in several ways, the routes of all of them are there. The route of the path as it was sent comes first.
fn find_routes<'a>(
    call: &Call,
    bundle: &'a Bundle,
    key: KeyOfRoute<'_>,
) -> Result<Vec<BundledRoute<'a>>, Reason> {
    // In an Allow, `*` would match other stages, too, and also parts of their paths.
    if call.method_arn().stage() == ANY_STAGE {
        return Err(Reason::StageWildcard);
    }
    if call.overrides_method() {
        return Err(Reason::MethodOverridden);
    }
    let table = bundle.routes();
    let ids = match call.target() {
        Target::Route { verb, template } => vec![table.get(verb.as_deref(), template)?],
        Target::Path => {
            let arn = call.method_arn();
            let verb = arn.verb().ok_or(Reason::RouteUnmapped)?;
            if key.scope() == CacheScope::Method {
                vec![table.find(verb, arn.path())?]
            } else {
                table.find_all(verb, arn.path())?
            }
        }
    };
    ids.into_iter().map(|id| bundle.route(id)).collect::<Option<_>>().ok_or(Reason::RouteUnmapped)
}
