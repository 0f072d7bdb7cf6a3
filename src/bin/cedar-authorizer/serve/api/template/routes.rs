//! The routes of a template, and who decides about their calls.

use std::collections::{BTreeMap, HashMap};

use cedar_authorizer::gateway::route::{Method, RouteId, RouteTable};
use cedar_authorizer::store::Store;

use super::Findings;
use crate::deployment::{ApiKind, DeployedApi, DeployedRoute, Preflight, Protection};
use crate::description::Routes;
use crate::serve::api::{self, RouteProtection, route};
use crate::test_bench::CONNECT;
use crate::yaml::Place;

/// The routes of an API as it is served.
pub struct ServedRoutes {
    pub routes: RouteTable,
    /// In the order of the routes.
    pub protections: Vec<RouteProtection>,
    pub preflights: BTreeMap<RouteId, api::Preflight>,
}

/// The routes of an API. What API Gateway could not have is left out, with a finding.
pub fn served(api: &DeployedApi, store: &Store, findings: &mut Findings<'_>) -> ServedRoutes {
    let mut served =
        ServedRoutes { routes: RouteTable::default(), protections: Vec::new(), preflights: BTreeMap::new() };
    let mut paths = Routes::default();
    let mut taken = HashMap::new();
    for DeployedRoute { verb, path, protection, position } in &api.routes {
        // Only `$connect` of a WebSocket API has an authorizer. Messages are not routed here.
        if api.kind == ApiKind::WebSocket && path != CONNECT {
            continue;
        }
        let protection = protection_of(api, protection);
        let id = served.add((verb, path, *position), protection, &mut paths, store, findings);
        if let Some(id) = id {
            taken.insert((verb.as_str(), path.as_str()), id);
        }
    }
    if api.kind == ApiKind::WebSocket && taken.is_empty() {
        // Without this route everybody may connect.
        let open = RouteProtection::Nothing;
        served.add(("ANY", CONNECT, api.position), open, &mut paths, store, findings);
    }
    for Preflight { path, protection, status, headers, position } in &api.answers.preflights {
        let id = taken.get(&("OPTIONS", path.as_str())).copied();
        let id = id.or_else(|| {
            let protection = protection_of(api, protection);
            served.add(("OPTIONS", path, *position), protection, &mut paths, store, findings)
        });
        if let Some(id) = id {
            let preflight = api::Preflight { status: *status, headers: headers.clone() };
            served.preflights.insert(id, preflight);
        }
    }
    // One is enough: SAM makes one for each path.
    let guarded = api.answers.preflights.iter().find_map(|preflight| match &preflight.protection {
        Protection::Lambda(name) => Some((preflight.position, name)),
        _ => None,
    });
    if let Some((place, name)) = guarded {
        let message = format!(
            "preflight requests ask the authorizer `{name}`, and they have no token: pages of other origins get no \
             answer"
        );
        findings.add(place, &message);
    }
    let (_, problems) = paths.finish();
    for problem in problems {
        findings.add(problem.place, &problem.message);
    }
    served
}

impl ServedRoutes {
    fn add(
        &mut self,
        (verb, path, place): (&str, &str, Place),
        protection: RouteProtection,
        paths: &mut Routes,
        store: &Store,
        findings: &mut Findings<'_>,
    ) -> Option<RouteId> {
        let method = Method::from_verb(verb).or((verb == "ANY").then_some(Method::Any));
        let Some(method) = method else {
            findings.add(place, &format!("`{verb} {path}` is not served: API Gateway has no such method"));
            return None;
        };
        let template = paths.path(path, place)?;
        let id = RouteId(self.routes.routes().len());
        match self.routes.insert(route(store, method, template)?) {
            Ok(()) => {
                self.protections.push(protection);
                Some(id)
            }
            Err(conflict) => {
                let message = format!("`{verb} {path}` is not served: `{}` takes the same", conflict.with);
                findings.add(place, &message);
                None
            }
        }
    }
}

fn protection_of(api: &DeployedApi, protection: &Protection) -> RouteProtection {
    match protection {
        Protection::Nothing => RouteProtection::Nothing,
        Protection::Other(kind) => RouteProtection::Other(kind.clone()),
        Protection::Unresolved => RouteProtection::Other(UNKNOWN.to_owned()),
        Protection::Lambda(name) => {
            let index = api.authorizers.iter().position(|authorizer| authorizer.name == *name);
            index.map_or_else(|| RouteProtection::Other(UNKNOWN.to_owned()), RouteProtection::Authorizer)
        }
    }
}

const UNKNOWN: &str = "an authorizer that the template does not make known";
