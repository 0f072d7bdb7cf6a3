//! The API of a policy store by itself.

use std::collections::BTreeMap;

use cedar_authorizer::gateway::route::{Route, RouteTable};
use cedar_authorizer::store::Store;

use super::{Kind, RouteProtection, ServedApi, ServedAuthorizer};
use crate::test_bench::{CONNECT, DEFAULT};

/// The API that has just the routes of a policy store, all with one authorizer.
pub fn of(store: &Store, authorizer: ServedAuthorizer) -> ServedApi {
    let kind = authorizer.kind;
    let mut routes = store.routes.clone();
    if kind == Kind::WebSocket
        && let Some(connect) = connect()
    {
        // If the store has the route, that one stays.
        let _ = routes.insert(connect);
    }
    let stage = if kind.is_rest() { REST_STAGE } else { DEFAULT };
    ServedApi {
        name: store.settings.name.clone(),
        stage: stage.to_owned(),
        protections: all(&routes),
        routes,
        authorizers: vec![authorizer],
        gateway_responses: BTreeMap::new(),
        cors: None,
        preflights: BTreeMap::new(),
        findings: Vec::new(),
    }
}

/// The first authorizer decides about every route.
fn all(routes: &RouteTable) -> Vec<RouteProtection> {
    routes.routes().iter().map(|_| RouteProtection::Authorizer(0)).collect()
}

/// The route that every WebSocket API has. The action is of no importance: the function has its own routes.
fn connect() -> Option<Route> {
    Route::from_action(&format!("Action::{CONNECT:?}").parse().ok()?)
}

const REST_STAGE: &str = "prod";
