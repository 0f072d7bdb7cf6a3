//! `check --inputs`: what each route reads of a call, and which cache keys are enough for that.

use cedar_authorizer::gateway::cache_key::CacheKey;
use cedar_authorizer::store::Store;
use serde::Serialize;

/// What a route reads, and the smallest cache key that it needs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteInputs {
    route: String,
    reads: Vec<String>,
    cache_key: String,
}

/// All routes, in the order of the route table.
pub fn route_inputs(store: &Store) -> Vec<RouteInputs> {
    let routes = store.routes.routes().iter().zip(&store.reads);
    let of_route = routes.map(|(route, reads)| {
        let reads: Vec<_> = reads.iter().filter(|input| input.matters_to(route)).collect();
        RouteInputs {
            route: route.to_string(),
            cache_key: CacheKey::least_for(reads.iter().copied(), &store.settings.token_location).to_string(),
            reads: reads.iter().map(ToString::to_string).collect(),
        }
    });
    of_route.collect()
}

/// One line for people for each route.
pub fn lines(routes: &[RouteInputs]) -> Vec<String> {
    let width = |text: fn(&RouteInputs) -> usize| routes.iter().map(text).max().unwrap_or(0);
    let (route_width, reads_width) = (width(|route| route.route.len()), width(|route| reads(route).len()));
    let line = |route: &RouteInputs| {
        format!("{:<route_width$}  {:<reads_width$}  {}", route.route, reads(route), route.cache_key)
    };
    routes.iter().map(line).collect()
}

fn reads(route: &RouteInputs) -> String {
    if route.reads.is_empty() { "token and route alone".to_owned() } else { route.reads.join(", ") }
}
