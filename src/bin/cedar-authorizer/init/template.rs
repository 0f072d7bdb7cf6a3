//! The API of a SAM or CloudFormation template.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use cedar_authorizer::gateway::route::Method;
use cedar_authorizer::token::identity_source::{KeyUri, UserPoolArn};

use super::api::{self, Api, Extent};
use super::text;
use crate::deployment::{self, ApiKind, DeployedApi, DeployedRoute, Deployment, IntrinsicScope, Protection};
use crate::description::{
    IdentityProvider, Operation, Problem, ProblemKind, ProviderKind, Routes, WrittenPath,
};
use crate::output::{self, Failure};
use crate::yaml::{self, Content, Entry, Node};

/// Reads the API of a template.
pub fn read(path: &Path, parameters: &BTreeMap<String, String>) -> Result<Api, Failure> {
    let origin = path.display().to_string();
    let content = api::read(path)?;
    let content = String::from_utf8(content)
        .map_err(|_| Failure::could_not_run(format_args!("`{origin}` is not UTF-8")))?;
    let Deployment { apis, problems, .. } = Deployment::read(&content, parameters, path.parent());
    if let Some(problem) = problems.iter().find(|problem| problem.kind == deployment::ProblemKind::Syntax) {
        let message = format!("`{origin}`, {}: {}", problem.place, output::printable(&problem.message));
        return Err(Failure::could_not_run(message));
    }
    let problems: Vec<Problem> = problems
        .into_iter()
        .map(|deployment::Problem { place, message, .. }| Problem {
            place,
            kind: ProblemKind::Suspicious,
            message,
        })
        .collect();
    let mut apis: Vec<DeployedApi> = apis.into_iter().filter(|api| !api.routes.is_empty()).collect();
    let names: Vec<String> = apis.iter().map(|api| format!("`{}`", text::comment(&api.name))).collect();
    let api = match apis.pop() {
        Some(api) if apis.is_empty() => api,
        Some(_) => {
            let message = format!("`{origin}` has several APIs: {}", names.join(", "));
            let hint =
                "a policy store is for one API: name a description of it by --openapi, or its id by --api";
            return Err(Failure::could_not_run(message).hint(hint));
        }
        None => {
            let failure = Failure::could_not_run(format!("`{origin}` has no API with routes"));
            let why = problems
                .first()
                .map(|problem| format!("at {}: {}", problem.place, output::printable(&problem.message)));
            return Err(match why {
                Some(why) => failure.hint(why),
                None => failure,
            });
        }
    };
    let (operations, mut own) = routes(&api).finish();
    own.extend(problems);
    own.sort();
    let extent = if own.is_empty() { Extent::Whole } else { Extent::Unknown };
    let written = operations
        .iter()
        .map(|operation| {
            let (path, method) = (operation.path.to_string(), operation.method);
            let key = if method == Method::Any { ANY } else { method.name() };
            WrittenPath { path, keys: vec![key.to_owned()] }
        })
        .collect();
    let (title, providers) = (api.name, providers(&content, parameters));
    Ok(Api { title, origin, operations, written, providers, extent, problems: own })
}

fn routes(api: &DeployedApi) -> Routes {
    let mut routes = Routes::default();
    for DeployedRoute { verb, path, protection, position } in &api.routes {
        // Only `$connect` of a WebSocket API can have an authorizer.
        if api.kind == ApiKind::WebSocket && path != "$connect" {
            continue;
        }
        let method = Method::from_verb(verb).or((verb == "ANY").then_some(Method::Any));
        let Some(method) = method else {
            routes.leave_out(*position, format!("`{verb} {path}`: API Gateway has no such method"));
            continue;
        };
        let Some(path) = routes.path(path, *position) else { continue };
        let security: Rc<[String]> = match protection {
            Protection::Nothing => Rc::from([]),
            Protection::Lambda(name) | Protection::Other(name) => Rc::from([name.clone()]),
            // It may be protected.
            Protection::Unresolved => Rc::from([String::new()]),
        };
        let (query, summary, id, tags) = (Vec::new(), None, None, Vec::new());
        routes.add(Operation {
            method,
            path,
            query,
            summary,
            id,
            tags,
            security,
            says_security: true,
            place: *position,
        });
    }
    routes
}

/// The issuers of the authorizers, where the template has their names. What the template itself makes has one only when
/// deployed.
fn providers(content: &str, parameters: &BTreeMap<String, String>) -> Vec<IdentityProvider> {
    let root = yaml::parse(content, MAX_NODES, &mut Vec::new());
    let Ok(Some(root)) = root else { return Vec::new() };
    let scope = IntrinsicScope::new(&root, parameters, &[]);
    let mut providers = Vec::new();
    let mut open = vec![&root];
    while let Some(node) = open.pop() {
        match &node.content {
            Content::List(items) => open.extend(items),
            Content::Text { .. } => {}
            Content::Map(entries) => {
                for Entry { key, place, value } in entries {
                    open.push(value);
                    let kinds = kinds(key, value, &scope).into_iter();
                    providers.extend(kinds.map(|kind| IdentityProvider {
                        name: key.clone(),
                        place: *place,
                        kind,
                    }));
                }
            }
        }
    }
    providers
}

/// The issuers that a property of an authorizer names.
fn kinds(key: &str, value: &Rc<Node>, scope: &IntrinsicScope<'_>) -> Vec<ProviderKind> {
    match key {
        "UserPoolArn" | "ProviderARNs" | "providerARNs" => {
            let arns = texts(value, scope).into_iter();
            arns.filter(|arn| arn.parse::<UserPoolArn>().is_ok()).map(ProviderKind::UserPool).collect()
        }
        // As SAM spells them, and as CloudFormation does.
        "JwtConfiguration" => {
            let property = |names: [&str; 2]| {
                let value = names.iter().find_map(|name| value.get(name));
                value.map(|value| texts(value, scope))
            };
            let url = property(["issuer", "Issuer"]).and_then(|urls| urls.into_iter().next());
            let audiences = property(["audience", "Audience"]);
            let Some(url) = url.filter(|url| url.parse::<KeyUri>().is_ok()) else { return Vec::new() };
            match audiences {
                // To leave the audiences out would be to accept the tokens of every one.
                Some(audiences) if audiences.is_empty() => Vec::new(),
                audiences => {
                    vec![ProviderKind::Issuer { url, audiences: audiences.unwrap_or_default() }]
                }
            }
        }
        _ => Vec::new(),
    }
}

/// The known texts of a property, which may be one or a list.
fn texts(node: &Rc<Node>, scope: &IntrinsicScope<'_>) -> Vec<String> {
    let Ok(Some(node)) = scope.resolve(node) else { return Vec::new() };
    let items = node.list().map_or_else(|| vec![Rc::clone(&node)], <[_]>::to_vec);
    let texts = items.iter().filter_map(|item| scope.text(item).ok());
    texts.filter(|text| !text.contains("${")).collect()
}

const ANY: &str = "x-amazon-apigateway-any-method";

/// As for templates elsewhere: CloudFormation takes at most 1 MB.
const MAX_NODES: usize = 200_000;
