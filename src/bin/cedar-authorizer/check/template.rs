//! `check --template`: where the authorizers of a template, `CACHE_KEY` and the policy store disagree.

use std::collections::BTreeSet;

use cedar_authorizer::gateway::cache_key::{CacheKey, CacheScope, IdentitySourceExpression};
use cedar_authorizer::gateway::call::{Api, RouteKey, TokenLocation};
use cedar_authorizer::gateway::route::{Route, RouteId, RouteTable};
use cedar_authorizer::store::Store;
use cedar_authorizer::store::finding::{Code, Finding, Position};

use crate::deployment::{
    ApiKind, AuthorizerFunction, AuthorizerKind, DeployedApi, DeployedAuthorizer, DeployedRoute, Deployment,
    ProblemKind, Protection, Setting,
};
use crate::yaml::Place;

/// Compares a template with a store. `file` is the name of the template in findings.
pub fn audit(deployment: &Deployment, store: &Store, file: &str, token_life_seconds: u32) -> Vec<Finding> {
    let mut audit = Audit { store, file, token_life_seconds, findings: Vec::new() };
    for problem in &deployment.problems {
        let code = match problem.kind {
            ProblemKind::Syntax => Code::TemplateInvalid,
            ProblemKind::Invalid | ProblemKind::NotRead | ProblemKind::Unresolved => Code::TemplateUnresolved,
        };
        audit.add(code, problem.place, &problem.message, "");
    }
    let authorizers = deployment.apis.iter().map(|api| api.authorizers.len()).sum::<usize>();
    if authorizers == 0 && deployment.problems.iter().all(|problem| problem.kind != ProblemKind::Syntax) {
        let place = Place { line: 1, column: 1 };
        audit.add(Code::TemplateUnresolved, place, "there is no Lambda authorizer in the template", "");
    }
    for api in &deployment.apis {
        for authorizer in &api.authorizers {
            audit.authorizer(api, authorizer);
        }
        audit.routes(api);
    }
    let authorizers = deployment.apis.iter().flat_map(|api| &api.authorizers);
    let mut functions: Vec<_> = authorizers.filter_map(|authorizer| authorizer.function.as_ref()).collect();
    functions.sort_by_key(|function| function.position);
    // Several authorizers may share a function.
    functions.dedup_by_key(|function| function.position);
    for function in functions {
        audit.bundle_name(function);
    }
    audit.findings.sort_by(|a, b| (&a.position, a.code).cmp(&(&b.position, b.code)));
    audit.findings
}

/// Compares the routes of an API with those of a store.
pub fn compare_routes(api: &DeployedApi, store: &Store, file: &str) -> Vec<Finding> {
    // What it costs to keep an answer is no matter of routes.
    let mut audit = Audit { store, file, token_life_seconds: u32::MAX, findings: Vec::new() };
    audit.routes(api);
    audit.findings
}

struct Audit<'a> {
    store: &'a Store,
    file: &'a str,
    token_life_seconds: u32,
    findings: Vec<Finding>,
}

impl Audit<'_> {
    fn add(&mut self, code: Code, place: Place, message: &str, hint: &str) {
        let finding = Finding::new(code, Position::line(self.file, place.line, place.column), message);
        self.findings.push(if hint.is_empty() { finding } else { finding.hint(hint) });
    }

    fn authorizer(&mut self, api: &DeployedApi, authorizer: &DeployedAuthorizer) {
        let location = &self.store.settings.token_location;
        let name = &authorizer.name;
        let place = authorizer.position;
        let ttl = authorizer.effective_ttl(api.kind);
        let key = key_of(api, authorizer, ttl);
        let ttl_place = authorizer.ttl_seconds.place().unwrap_or(place);

        if let Some(seconds) = ttl.filter(|seconds| *seconds >= self.token_life_seconds) {
            let message = format!(
                "authorizer `{name}` keeps answers for {seconds} s, which is as long as a token lives ({} s): an \
                 expired or revoked token stays good for up to that long",
                self.token_life_seconds
            );
            self.add(Code::TtlTooLong, ttl_place, &message, "a few minutes save nearly as many calls");
        }
        // Without identity sources, a WebSocket or HTTP API always asks the function.
        if let Some(key) = key.as_ref().filter(|key| !key.holds_token(location)) {
            let message = format!(
                "authorizer `{name}` keeps answers under `{key}`, which does not have the token: one caller gets \
                 the answers of another"
            );
            let hint = format!("add the header `{}` to its identity sources", location.header);
            self.add(
                Code::TokenNotInKey,
                authorizer.identity_sources.place().unwrap_or(place),
                &message,
                &hint,
            );
        }
        if let Some(key) = &key {
            self.cache_key(authorizer, key, ttl_place);
            self.inputs(api, authorizer, key);
        }
        self.simple_responses(api, authorizer, key.as_ref());
    }

    /// Compares `BUNDLE_NAME` with the name of the store.
    fn bundle_name(&mut self, function: &AuthorizerFunction) {
        let (name, store) = (&function.name, &self.store.settings.name);
        match &function.bundle_name {
            Setting::Absent => {
                let message = format!("`{name}` has no BUNDLE_NAME: it accepts the bundle of any store");
                let hint = format!("set BUNDLE_NAME={store}");
                self.add(Code::BundleNameMissing, function.position, &message, &hint);
            }
            Setting::Given { value, place } if value != store => {
                let message = format!(
                    "BUNDLE_NAME of `{name}` is `{value}`, and this store is `{store}`: its bundles are refused"
                );
                self.add(Code::BundleNameMismatch, *place, &message, "");
            }
            Setting::Given { .. } | Setting::Unresolved { .. } => {}
        }
    }

    /// Compares `CACHE_KEY` with what API Gateway does.
    fn cache_key(&mut self, authorizer: &DeployedAuthorizer, key: &CacheKey, ttl_place: Place) {
        let Some(function) = &authorizer.function else {
            return;
        };
        let (declared, place) = match &function.cache_key {
            Setting::Absent => ("token", authorizer.position),
            Setting::Given { value, place } => (value.as_str(), *place),
            Setting::Unresolved { .. } => return,
        };
        let (name, function) = (&authorizer.name, &function.name);
        let Ok(declared) = declared.parse::<CacheKey>() else {
            self.add(
                Code::CacheKeyMismatch,
                place,
                &format!("CACHE_KEY of `{function}` is `{declared}`, which is none"),
                "",
            );
            return;
        };
        let declared = match authorizer.kind {
            AuthorizerKind::Token => declared.for_api(Api::RestToken).clone(),
            AuthorizerKind::Request => declared,
        };
        if *key == CacheKey::None {
            if declared != CacheKey::None {
                let message = format!(
                    "authorizer `{name}` keeps no answers (its TTL is 0), but CACHE_KEY of `{function}` is `{declared}`"
                );
                let hint = "set CACHE_KEY=none, or a TTL: as it is, routes may be denied for no reason";
                self.add(Code::CacheKeyUnused, place, &message, hint);
            }
            return;
        }
        let is_covered = match (&declared, key) {
            (CacheKey::None, _) => false,
            // Each answer is right for more requests than it is cached for.
            (CacheKey::Token, _) => true,
            (CacheKey::Sources(declared), CacheKey::Sources(actual)) => {
                declared.iter().all(|source| actual.contains(source))
            }
            (CacheKey::Sources(_), _) => false,
        };
        if !is_covered {
            let message = format!(
                "authorizer `{name}` keeps answers under `{key}`, but CACHE_KEY of `{function}` is `{declared}`: \
                 answers are applied to requests that they were not made for"
            );
            let hint = format!("set CACHE_KEY={key}, or the TTL to 0 with CACHE_KEY=none");
            self.add(Code::CacheKeyMismatch, ttl_place, &message, &hint);
        }
    }

    /// Finds routes that read more than the cache key has.
    fn inputs(&mut self, api: &DeployedApi, authorizer: &DeployedAuthorizer, key: &CacheKey) {
        let routes =
            api.routes.iter().filter(|route| route.protection == Protection::Lambda(authorizer.name.clone()));
        for deployed in routes {
            let known = self.known(&deployed.verb, &deployed.path);
            let of_route = key.through(route_key(api, deployed));
            if of_route.mixes_methods() && self.store.routes.tells_methods_apart(&deployed.path) {
                let names: Vec<String> = known.iter().map(|(route, _)| format!("`{route}`")).collect();
                let message = format!(
                    "`{} {}` leads to {} by its method, which is not in the key of `{}`, `{key}`: it is always denied",
                    deployed.verb,
                    deployed.path,
                    names.join(", "),
                    authorizer.name
                );
                let hint = "add `$context.httpMethod` to the identity sources and to CACHE_KEY, or set a TTL of 0 \
                            with CACHE_KEY=none";
                self.add(Code::RouteNotCacheable, deployed.position, &message, hint);
                continue;
            }
            if of_route.scope() != CacheScope::Method {
                self.beyond(deployed);
            }
            for (route, index) in known {
                let reads = self.store.reads.get(index.0).into_iter().flatten();
                let beyond: Vec<String> = of_route.lacking(reads, &route).map(ToString::to_string).collect();
                if beyond.is_empty() {
                    continue;
                }
                let message = format!(
                    "`{route}` reads {}, which is not in the key of `{}`, `{key}`: it is always denied",
                    beyond.join(", "),
                    authorizer.name
                );
                let all = self
                    .store
                    .reads
                    .get(index.0)
                    .into_iter()
                    .flatten()
                    .filter(|input| input.matters_to(&route));
                let least = CacheKey::least_for(all, &self.store.settings.token_location);
                let hint = match least {
                    CacheKey::None => "only a TTL of 0 with CACHE_KEY=none can answer it".to_owned(),
                    key => format!("give it an authorizer with the identity sources {key}, or a TTL of 0"),
                };
                self.add(Code::RouteNotCacheable, deployed.position, &message, &hint);
            }
        }
    }

    /// Finds methods that a route of the template accepts, but that the store leads to another route. A policy for
    /// the whole API allows them by that other route, while a direct call is denied.
    fn beyond(&mut self, deployed: &DeployedRoute) {
        let table = &self.store.routes;
        let is_known = |verb: &str| table.get(Some(verb), &deployed.path).is_ok();
        if deployed.verb != "ANY" || !METHODS.iter().any(|verb| is_known(verb)) {
            return;
        }
        let path = some_path(&deployed.path);
        for verb in METHODS.iter().filter(|verb| !is_known(verb)) {
            let found = table.find(verb, &path).or_else(|_| table.get(Some(verb), "$default"));
            let Some(other) = found.ok().and_then(|id| table.route(id)) else {
                continue;
            };
            let message = format!(
                "`ANY {0}` takes {verb} too, which the policy store has no route for at `{0}` but leads to `{other}`: \
                 an answer out of the cache allows it to those who may take that",
                deployed.path
            );
            let hint = format!(
                "add a route ANY `{}` to the store, or the methods of the store to the API",
                deployed.path
            );
            self.add(Code::RouteUnknown, deployed.position, &message, &hint);
            return;
        }
    }

    fn simple_responses(
        &mut self,
        api: &DeployedApi,
        authorizer: &DeployedAuthorizer,
        key: Option<&CacheKey>,
    ) {
        let place = authorizer.simple_responses.place().unwrap_or(authorizer.position);
        let name = &authorizer.name;
        let is_simple = authorizer.simple_responses.value().copied().unwrap_or(false);
        if is_simple && authorizer.payload_version.value().is_some_and(|version| version != "2.0") {
            let message = format!("authorizer `{name}` has simple responses, but not payload format 2.0");
            self.add(Code::SimpleResponsesMismatch, place, &message, "set the payload format version to 2.0");
        }
        let is_for_all = |key: &CacheKey| key.through(RouteKey::OneMethod).scope() == CacheScope::Api;
        if is_simple && key.is_some_and(is_for_all) {
            let message = format!(
                "authorizer `{name}` has simple responses and keeps them for all routes: one boolean would answer \
                 for every route of the API"
            );
            let hint = "add `$context.httpMethod` and `$context.path` to the identity sources, or turn simple \
                        responses off";
            self.add(Code::SimpleResponsesMismatch, place, &message, hint);
        }
        let Some(function) = authorizer.function.as_ref().filter(|_| api.kind == ApiKind::Http) else {
            return;
        };
        let declared = match &function.simple_responses {
            Setting::Absent => false,
            Setting::Given { value, .. } => value == "true",
            Setting::Unresolved { .. } => return,
        };
        let is_format_2 = authorizer.payload_version.value().is_some_and(|version| version == "2.0");
        if !authorizer.simple_responses.is_unresolved() && is_format_2 && declared != is_simple {
            let message = format!(
                "authorizer `{name}` {} simple responses, but SIMPLE_RESPONSES of `{}` is {declared}: every call \
                 would be answered 500",
                if is_simple { "has" } else { "has no" },
                function.name
            );
            self.add(
                Code::SimpleResponsesMismatch,
                place,
                &message,
                &format!("set SIMPLE_RESPONSES={is_simple}"),
            );
        }
    }

    /// Compares the routes of the template with those of the store.
    fn routes(&mut self, api: &DeployedApi) {
        let is_ours = |protection: &Protection| matches!(protection, Protection::Lambda(name) if api.authorizers.iter().any(|known| known.name == *name));
        if !api.routes.iter().any(|route| is_ours(&route.protection)) {
            return;
        }
        let mut found: BTreeSet<RouteId> = BTreeSet::new();
        for deployed in &api.routes {
            let known = self.known(&deployed.verb, &deployed.path);
            found.extend(known.iter().map(|(_, id)| *id));
            let (verb, path) = (&deployed.verb, &deployed.path);
            if is_ours(&deployed.protection) && known.is_empty() {
                let message = format!("the policy store has no route `{verb} {path}`: it is always denied");
                let hint = if self.store.settings.is_complete {
                    "add it, or take `complete` out of `[api]`: grants rely on it"
                } else {
                    "add an action of that name, or a `[[routes]]`"
                };
                self.add(Code::RouteUnknown, deployed.position, &message, hint);
            }
            if deployed.protection == Protection::Nothing && !known.is_empty() && verb != "OPTIONS" {
                let message = format!("`{verb} {path}` has no authorizer: everybody may call it");
                self.add(Code::RouteUnprotected, deployed.position, &message, "");
            }
        }
        let missing: Vec<String> = self
            .store
            .routes
            .routes()
            .iter()
            .enumerate()
            .filter(|(index, _)| !found.contains(&RouteId(*index)))
            .map(|(_, route)| format!("`{route}`"))
            .collect();
        if !missing.is_empty() {
            let message =
                format!("`{}` has not all routes of the policy store: {}", api.name, missing.join(", "));
            self.add(Code::RouteUndeployed, api.position, &message, "");
        }
    }

    /// The routes of the store that a route of the template leads to. `ANY` leads to several.
    fn known(&self, verb: &str, path: &str) -> Vec<(Route, RouteId)> {
        let table: &RouteTable = &self.store.routes;
        let verbs: Vec<&str> = match verb {
            "ANY" => METHODS.to_vec(),
            verb => vec![verb],
        };
        let ids: BTreeSet<RouteId> =
            verbs.iter().filter_map(|verb| table.get(Some(verb), path).ok()).collect();
        ids.into_iter().filter_map(|id| Some((table.route(id)?.clone(), id))).collect()
    }
}

/// The methods that the store may have routes for.
const METHODS: [&str; 7] = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];

/// A path that matches this template, and no template with more literal segments.
fn some_path(template: &str) -> String {
    let segment = |segment: &str| if segment.starts_with('{') { "~~".to_owned() } else { segment.to_owned() };
    template.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// What the route key of requests says about their method.
fn route_key(api: &DeployedApi, route: &DeployedRoute) -> RouteKey {
    match (api.kind, route.verb.as_str()) {
        (ApiKind::Rest | ApiKind::WebSocket, _) => RouteKey::Absent,
        (ApiKind::Http, "ANY") => RouteKey::AnyMethod,
        (ApiKind::Http, _) => RouteKey::OneMethod,
    }
}

/// What API Gateway keys the cache of an authorizer by. `None`: that cannot be known.
fn key_of(api: &DeployedApi, authorizer: &DeployedAuthorizer, ttl: Option<u32>) -> Option<CacheKey> {
    if ttl? == 0 || api.kind == ApiKind::WebSocket {
        return Some(CacheKey::None);
    }
    let sources: Vec<IdentitySourceExpression> = match &authorizer.identity_sources {
        Setting::Given { value, .. } => {
            value.iter().map(|source| source.parse().ok()).collect::<Option<_>>()?
        }
        // The default for both kinds of API.
        Setting::Absent => vec![IdentitySourceExpression::Header(TokenLocation::default().header)],
        Setting::Unresolved { .. } => return None,
    };
    Some(CacheKey::Sources(sources))
}
