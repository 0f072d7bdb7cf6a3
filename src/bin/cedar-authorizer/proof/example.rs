//! What a solver found, made into a request that was decided and that people can read.

use std::collections::BTreeMap;

use cedar_authorizer::cedar::{EntityUid, Schema};
use cedar_policy_symcc::Env;
use serde_json::Value;

use super::policies::Environment;
use super::request::{self, Readable};
use super::shrink::{callers, shrunk};
use super::told::told;
use crate::test_bench::TestBench;

/// A request of which something holds: it was tried.
#[derive(Clone, Debug)]
pub struct Example {
    /// In the form of docs/decision-log.md, "The Cedar request".
    pub request: Value,
    /// In words, a line each.
    pub told: Vec<String>,
}

/// Makes examples of one environment.
pub struct Examples<'a> {
    pub environment: &'a Environment,
    /// The stores that it is about. The last is the one whose names are used.
    pub benches: &'a [&'a TestBench],
    /// The schema that the request has to fit.
    pub schema: &'a Schema,
}

impl Examples<'_> {
    /// The request of a counterexample, if it holds, as small as possible.
    ///
    /// A request brings its principal and its resource. What else the stores have is as they have it.
    ///
    /// # Errors
    /// Why it does not hold.
    pub fn example(&self, env: &Env, holds: impl Fn(&Readable) -> bool) -> Result<Example, String> {
        let (Some(principal), Some(resource)) = (env.request.principal(), env.request.resource()) else {
            return Err("the example of the solver has no principal".to_owned());
        };
        let is_stored =
            |uid: &EntityUid| self.benches.iter().any(|bench| bench.store().entities.get(uid).is_some());
        let is_brought = |uid: &EntityUid| uid == principal || uid == resource && !is_stored(uid);
        let is_new = |uid: &EntityUid| is_brought(uid) || !is_stored(uid);
        let holds = |value: &Value| request::read(value).is_some_and(|readable| holds(&readable));
        let as_called = request::of_env(env, is_brought).filter(holds);
        let with_others = || request::of_env(env, is_new).filter(holds);
        let Some(found) = as_called.or_else(with_others) else {
            return Err(
                "the solver found a request only for other entities than those of the store".to_owned()
            );
        };
        let fits = |value: &Value| {
            let caller = request::uid(value, "principal");
            caller.is_some_and(|caller| request::description(value, &caller).is_some())
                && request::conforms(value, self.schema)
                && holds(value)
        };
        let sources = self.benches.last().map_or(&[][..], |bench| bench.bundle().identity_sources());
        let of_type = sources.iter().filter(|source| *source.principal_type() == self.environment.principal);
        let prefixes: Vec<Option<&str>> = of_type.map(|source| source.id_prefix()).collect();
        let callers = callers(&found, &prefixes);
        let (resources, is_fixed) = self.resources();
        let preferred: Vec<Value> = resources.iter().map(request::of_uid).collect();
        let request = shrunk(found, &callers, &preferred, fits);
        let mut told = told(&request, sources);
        let resource = request::uid(&request, "resource");
        if is_fixed && resource.is_some_and(|resource| !resources.contains(&resource)) {
            told.push(
                "(no route leads to this resource: it can be asked for by the library alone)".to_owned(),
            );
        }
        Ok(Example { request, told })
    }

    /// The resources of the routes, with plain parameters; whether there are no others.
    fn resources(&self) -> (Vec<EntityUid>, bool) {
        let mut is_fixed = true;
        let mut found = Vec::new();
        for bench in self.benches {
            let routes = bench.store().routes.routes().iter();
            for route in routes.filter(|route| route.action == self.environment.action) {
                let Some(template) = &route.resource else {
                    found.push(bench.bundle().resource().clone());
                    continue;
                };
                let names = template.id.parameters();
                let parameters: BTreeMap<String, String> =
                    names.map(|name| (name.to_owned(), "1".to_owned())).collect();
                is_fixed &= parameters.is_empty();
                if let Some(id) = template.id.fill(&parameters) {
                    let name = template.entity_type.clone();
                    found.push(EntityUid::from_type_name_and_id(
                        name,
                        cedar_authorizer::cedar::EntityId::new(id),
                    ));
                }
            }
        }
        found.retain(|uid| *uid.type_name() == self.environment.resource);
        is_fixed &= !found.is_empty();
        (found, is_fixed)
    }
}
