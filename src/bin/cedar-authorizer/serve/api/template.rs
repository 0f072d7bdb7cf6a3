//! The API of a SAM or CloudFormation template.

mod routes;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use cedar_authorizer::gateway::cache_key::{CacheKey, IdentitySourceExpression};
use cedar_authorizer::gateway::call::TokenLocation;
use cedar_authorizer::store::Store;
use cedar_authorizer::store::finding::{Code, Finding, Position};

use super::{Kind, ServedApi, ServedAuthorizer};
use crate::check;
use crate::deployment::{
    ApiKind, AuthorizerKind, DeployedApi, DeployedAuthorizer, Deployment, ProblemKind, Setting,
};
use crate::init;
use crate::output::{Failure, printable};
use crate::serve::gateway::ValidationExpression;
use crate::yaml::Place;
use routes::ServedRoutes;

/// A template, and what of it is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateArgs {
    /// The file.
    pub path: PathBuf,
    /// Parameters, which override their defaults.
    pub parameters: Vec<(String, String)>,
    /// The name of the API. `None`: the one that has an authorizer.
    pub api: Option<String>,
}

/// Reads a template.
///
/// # Errors
/// It cannot be read, or does not say which API to serve.
pub fn read(template: &TemplateArgs, store: &Store) -> Result<ServedApi, Failure> {
    let name = template.path.display().to_string();
    let text = read_text(template)?;
    let parameters = template.parameters.iter().cloned().collect();
    let deployment = Deployment::read(&text, &parameters, template.path.parent());
    if let Some(problem) = deployment.problems.iter().find(|problem| problem.kind == ProblemKind::Syntax) {
        let message = format!("`{}`, {}: {}", printable(&name), problem.place, printable(&problem.message));
        return Err(Failure::could_not_run(message));
    }
    let api = choose(&deployment, template, &name)?;
    let mut findings = Findings { file: &name, all: Vec::new() };
    for problem in deployment.problems.iter().chain(&deployment.problems_of_answers) {
        findings.add(problem.place, &problem.message);
    }
    let authorizers = api.authorizers.iter().map(|authorizer| authorizer_of(api, authorizer, &mut findings));
    let authorizers: Vec<ServedAuthorizer> = authorizers.collect::<Result<_, _>>()?;
    let ServedRoutes { routes, protections, preflights } = routes::served(api, store, &mut findings);
    let mut all = findings.all;
    all.extend(check::template::compare_routes(api, store, &name));
    all.sort_by(|a, b| (&a.position, a.code).cmp(&(&b.position, b.code)));
    let stage = match api.kind {
        ApiKind::Http => "$default",
        ApiKind::Rest | ApiKind::WebSocket => "prod",
    };
    Ok(ServedApi {
        name: api.name.clone(),
        stage: api.answers.stage.clone().unwrap_or_else(|| stage.to_owned()),
        routes,
        authorizers,
        protections,
        gateway_responses: api.answers.gateway_responses.clone(),
        cors: api.answers.cors.clone(),
        preflights,
        findings: all,
    })
}

/// What is not served as the template says.
pub struct Findings<'a> {
    file: &'a str,
    all: Vec<Finding>,
}

impl Findings<'_> {
    /// Adds something that is not known, or not served.
    pub fn add(&mut self, place: Place, message: &str) {
        let position = Position::line(self.file, place.line, place.column);
        self.all.push(Finding::new(Code::TemplateUnresolved, position, message));
    }
}

fn read_text(template: &TemplateArgs) -> Result<String, Failure> {
    let content = init::api::read(&template.path)?;
    let name = template.path.display().to_string();
    String::from_utf8(content)
        .map_err(|_| Failure::could_not_run(format_args!("`{}` is not UTF-8", printable(&name))))
}

/// The API that is meant: the named one, otherwise the only one with a Lambda authorizer.
fn choose<'a>(
    deployment: &'a Deployment,
    template: &TemplateArgs,
    file: &str,
) -> Result<&'a DeployedApi, Failure> {
    let file = printable(file);
    let names = |apis: &[&DeployedApi]| {
        apis.iter().map(|api| format!("`{}`", printable(&api.name))).collect::<Vec<_>>().join(", ")
    };
    let all: Vec<&DeployedApi> = deployment.apis.iter().collect();
    let guarded: Vec<&DeployedApi> = all.iter().filter(|api| !api.authorizers.is_empty()).copied().collect();
    if let Some(wanted) = &template.api {
        return match all.iter().find(|api| api.name == *wanted) {
            Some(api) if api.authorizers.is_empty() => {
                let wanted = printable(wanted);
                Err(Failure::could_not_run(format_args!("`{wanted}` of `{file}` has no Lambda authorizer")))
            }
            Some(api) => Ok(api),
            None => {
                let wanted = printable(wanted);
                let failure =
                    Failure::could_not_run(format_args!("`{file}` has no API with the name `{wanted}`"));
                Err(if all.is_empty() { failure } else { failure.hint(format!("it has {}", names(&all))) })
            }
        };
    }
    match guarded.as_slice() {
        [api] => Ok(api),
        [] => {
            let failure =
                Failure::could_not_run(format_args!("`{file}` has no API with a Lambda authorizer"));
            let why = deployment
                .problems
                .first()
                .map(|problem| format!("at {}: {}", problem.place, printable(&problem.message)));
            Err(match why {
                Some(why) => failure.hint(why),
                None => failure,
            })
        }
        several => {
            let message = format!("`{file}` has several APIs with a Lambda authorizer: {}", names(several));
            Err(Failure::could_not_run(message).hint("name one of them by --api NAME"))
        }
    }
}

/// An authorizer as API Gateway runs it. What the template does not say, or what cannot be known, is the default.
fn authorizer_of(
    api: &DeployedApi,
    authorizer: &DeployedAuthorizer,
    findings: &mut Findings<'_>,
) -> Result<ServedAuthorizer, Failure> {
    let kind = kind_of(api.kind, authorizer);
    let default = match api.kind {
        ApiKind::Rest => REST_SECONDS,
        ApiKind::Http | ApiKind::WebSocket => 0,
    };
    let seconds = authorizer.effective_ttl(api.kind).unwrap_or(default);
    let function_key = authorizer.function.as_ref().and_then(|function| function.cache_key.value());
    let pattern = authorizer.validation_expression.value().map(|pattern| ValidationExpression::new(pattern));
    Ok(ServedAuthorizer {
        name: authorizer.name.clone(),
        kind,
        key: key_of(kind, authorizer, seconds, findings),
        time_to_live: Duration::from_secs(seconds.into()),
        validation_expression: pattern.transpose().map_err(Failure::could_not_run)?,
        function_key: function_key.and_then(|key| key.parse().ok()),
    })
}

fn kind_of(api: ApiKind, authorizer: &DeployedAuthorizer) -> Kind {
    let is_first_version = authorizer.payload_version.value().is_some_and(|version| version == "1.0");
    let is_simple = authorizer.simple_responses.value() == Some(&true);
    match (api, authorizer.kind) {
        (ApiKind::Rest, AuthorizerKind::Request) => Kind::RestRequest,
        (ApiKind::Rest, AuthorizerKind::Token) => Kind::RestToken,
        (ApiKind::WebSocket, _) => Kind::WebSocket,
        (ApiKind::Http, _) if is_first_version => Kind::HttpV1,
        (ApiKind::Http, _) if is_simple => Kind::HttpSimple,
        (ApiKind::Http, _) => Kind::Http,
    }
}

/// What clients must send, and what answers are kept under.
fn key_of(
    kind: Kind,
    authorizer: &DeployedAuthorizer,
    seconds: u32,
    findings: &mut Findings<'_>,
) -> CacheKey {
    let mut sources = Vec::new();
    if let Setting::Given { value, place } = &authorizer.identity_sources {
        for text in value {
            match text.parse() {
                Ok(source) => sources.push(source),
                Err(_) => {
                    let message =
                        format!("`{text}` of the authorizer `{}` is no identity source", authorizer.name);
                    findings.add(*place, &message);
                }
            }
        }
    }
    if !sources.is_empty() {
        return CacheKey::Sources(sources);
    }
    // Without a cache nothing has to be there, except what a TOKEN authorizer is about.
    if seconds == 0 && kind != Kind::RestToken {
        return CacheKey::None;
    }
    CacheKey::Sources(vec![IdentitySourceExpression::Header(TokenLocation::default().header)])
}

/// CloudFormation, "AWS::ApiGateway::Authorizer".
const REST_SECONDS: u32 = 300;
