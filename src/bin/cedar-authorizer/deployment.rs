//! Deployment: the Lambda authorizers that a template puts in front of its APIs, and their settings.
//!
//! This reads the text of a SAM or CloudFormation template, not what was deployed from it. It never guesses what the
//! text does not say: such a setting is [`Setting::Unresolved`], and a [`Problem`] says why.
//!
//! Rules: SAM Developer Guide, "AWS::Serverless::Api", "AWS::Serverless::HttpApi", "AWS::Serverless::WebSocketApi" and
//! "Globals section"; CloudFormation Template Reference, "AWS::ApiGateway::Authorizer", "AWS::ApiGatewayV2::Authorizer"
//! and "Intrinsic functions"; API Gateway Developer Guide, "x-amazon-apigateway-authorizer object". Where the SAM guide
//! says nothing, the source of its translator (aws/serverless-application-model) decides.

mod answers;
mod api;
mod cloudformation;
mod fields;
mod intrinsic;
mod nested;
mod openapi;
mod sam;
mod template;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::yaml::Place;
pub use answers::{Answers, Cors, GatewayResponse, Preflight};
use api::TemplateApis;
pub use intrinsic::{IntrinsicScope, is_function, references};
use template::Template;

/// What a template deploys, as far as authorization is concerned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deployment {
    /// The APIs, in the order of the template.
    pub apis: Vec<DeployedApi>,
    /// What could not be read or resolved, in the order of the template.
    pub problems: Vec<Problem>,
    /// The same for the [`Answers`] of the APIs, which nobody's permission depends on.
    pub problems_of_answers: Vec<Problem>,
    /// The templates of nested stacks that were read, or looked for.
    pub nested: Vec<PathBuf>,
}

/// The templates of nested stacks that a template names, whether they exist or not. Empty if the template cannot be read.
pub fn nested_templates(template: &Path, parameters: &[(String, String)]) -> Vec<PathBuf> {
    // What comes through a pipe can be read only once, and not here.
    let text =
        if template.is_file() { fs::read_to_string(template).unwrap_or_default() } else { String::new() };
    Deployment::read(&text, &parameters.iter().cloned().collect(), template.parent()).nested
}

impl Deployment {
    /// Reads a template: YAML, or JSON, which is YAML.
    ///
    /// `parameters` are the values of a deployment. They override the defaults of the template, and may set pseudo
    /// parameters (`AWS::Region`) too. `folder` is where the template is: functions of nested stacks are read from
    /// templates beside it. `None`: they are not read.
    pub fn read(text: &str, parameters: &BTreeMap<String, String>, folder: Option<&Path>) -> Self {
        let template = match Template::read(text, parameters, folder) {
            Ok(template) => template,
            Err(problem) => return Self { problems: vec![problem], ..Self::default() },
        };
        let mut apis = TemplateApis::default();
        sam::apis(&template, &mut apis);
        cloudformation::apis(&template, &mut apis);
        sam::events(&template, &mut apis);
        cloudformation::authorizers(&template, &mut apis);
        cloudformation::routes(&template, &mut apis);
        let (answers, mut problems_of_answers) = template.apart(|| answers::read(&template, &apis));
        let apis = apis.deploy(&template, answers);
        let nested = template.nested_templates();
        let problems = template.into_problems();
        // What both read has its problem once.
        problems_of_answers.retain(|problem| !problems.contains(problem));
        Self { apis, problems, problems_of_answers, nested }
    }
}

/// A REST, HTTP or WebSocket API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeployedApi {
    /// Its logical id. For an API of another template, the text that refers to its id.
    pub name: String,
    /// Which kind of API.
    pub kind: ApiKind,
    /// Its Lambda authorizers.
    pub authorizers: Vec<DeployedAuthorizer>,
    /// Its routes.
    pub routes: Vec<DeployedRoute>,
    /// What clients get from it when no backend answers, and its stage.
    pub answers: Answers,
    /// Where it is defined, or where it is first mentioned.
    pub position: Place,
}

/// The kinds of API that API Gateway has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiKind {
    /// `AWS::Serverless::HttpApi`, or `AWS::ApiGatewayV2::Api` with the protocol `HTTP`.
    Http,
    /// `AWS::Serverless::Api` or `AWS::ApiGateway::RestApi`.
    Rest,
    /// `AWS::Serverless::WebSocketApi`, or `AWS::ApiGatewayV2::Api` with the protocol `WEBSOCKET`.
    WebSocket,
}

/// A Lambda authorizer with its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeployedAuthorizer {
    /// Its name in the SAM or OpenAPI definition, or the logical id of its resource.
    pub name: String,
    /// Where it is defined.
    pub position: Place,
    /// Which events it gets.
    pub kind: AuthorizerKind,
    /// What the caller must send, and with caching also the cache key: `method.request.header.Authorization` or
    /// `context.path` for REST APIs, `$request.header.Authorization` or `$context.routeKey` for HTTP APIs,
    /// `route.request.header.Authorization` for WebSocket APIs.
    pub identity_sources: Setting<Vec<String>>,
    /// How long an answer is reused; see [`effective_ttl`](Self::effective_ttl).
    pub ttl_seconds: Setting<u32>,
    /// `1.0` or `2.0`, for HTTP APIs.
    pub payload_version: Setting<String>,
    /// Whether it answers with `isAuthorized` instead of a policy, for HTTP APIs. The default is no.
    pub simple_responses: Setting<bool>,
    /// What the token must look like, for TOKEN authorizers.
    pub validation_expression: Setting<String>,
    /// The function it calls, if that is in the template.
    pub function: Option<AuthorizerFunction>,
}

impl DeployedAuthorizer {
    /// For how many seconds an API of this kind reuses an answer. 0 means never, `None` means unknown.
    ///
    /// The default is 300 for REST APIs (CloudFormation, "AWS::ApiGateway::Authorizer") and no caching for HTTP APIs
    /// (API Gateway Developer Guide, "Control access to HTTP APIs with AWS Lambda authorizers"). WebSocket APIs have
    /// no cache (CloudFormation, "AWS::ApiGatewayV2::Authorizer").
    pub fn effective_ttl(&self, kind: ApiKind) -> Option<u32> {
        match (kind, &self.ttl_seconds) {
            (ApiKind::WebSocket, _) => Some(0),
            (_, Setting::Given { value, .. }) => Some(*value),
            (_, Setting::Unresolved { .. }) => None,
            (ApiKind::Rest, Setting::Absent) => Some(300),
            (ApiKind::Http, Setting::Absent) => Some(0),
        }
    }
}

/// Which events a Lambda authorizer gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorizerKind {
    /// The request without its body.
    Request,
    /// A token and the ARN of the method, and nothing else. REST APIs only.
    Token,
}

/// The function behind an authorizer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizerFunction {
    /// Its logical id.
    pub name: String,
    /// Where the function is defined.
    pub position: Place,
    /// The variable `BUNDLE_NAME` of the function.
    pub bundle_name: Setting<String>,
    /// The variable `CACHE_KEY` of the function.
    pub cache_key: Setting<String>,
    /// The variable `SIMPLE_RESPONSES` of the function.
    pub simple_responses: Setting<String>,
}

/// A route, and what protects it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeployedRoute {
    /// In upper case, or `ANY`.
    pub verb: String,
    /// A template such as `/pets/{petId}`, or the key of a route without a path, such as `$default` or `$connect`.
    pub path: String,
    /// Who decides about calls.
    pub protection: Protection,
    /// Where it is defined.
    pub position: Place,
}

/// Who decides about the calls of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protection {
    /// The Lambda authorizer of this name.
    Lambda(String),
    /// No authorizer: everybody may call. An API key is not an authorizer.
    Nothing,
    /// Something else, such as `AWS_IAM`, `JWT` or `COGNITO_USER_POOLS`.
    Other(String),
    /// Not known; a problem says why.
    Unresolved,
}

/// A setting of a template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Setting<T> {
    /// Not in the template, so API Gateway's default applies.
    #[default]
    Absent,
    /// In the template, or resolved from what is there.
    Given {
        /// Its value.
        value: T,
        /// Where it is written.
        place: Place,
    },
    /// In the template, but with a value that cannot be known; a problem says why.
    Unresolved {
        /// Where it is written.
        place: Place,
    },
}

impl<T> Setting<T> {
    /// The value, if it is written and known.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Given { value, .. } => Some(value),
            Self::Absent | Self::Unresolved { .. } => None,
        }
    }

    /// Where it is written, unless it is absent.
    pub fn place(&self) -> Option<Place> {
        match self {
            Self::Absent => None,
            Self::Given { place, .. } | Self::Unresolved { place } => Some(*place),
        }
    }

    /// Whether it is in the template, but with an unknown value.
    pub fn is_unresolved(&self) -> bool {
        matches!(self, Self::Unresolved { .. })
    }

    /// A setting inside this one.
    fn then<U>(&self, read: impl FnOnce(&T) -> Setting<U>) -> Setting<U> {
        match self {
            Self::Absent => Setting::Absent,
            Self::Given { value, .. } => read(value),
            Self::Unresolved { place } => Setting::Unresolved { place: *place },
        }
    }

    /// The same value, written elsewhere.
    fn at(self, place: Place) -> Self {
        match self {
            Self::Absent => Self::Absent,
            Self::Given { value, .. } => Self::Given { value, place },
            Self::Unresolved { .. } => Self::Unresolved { place },
        }
    }

    fn map<U>(self, change: impl FnOnce(T) -> U) -> Setting<U> {
        match self {
            Self::Absent => Setting::Absent,
            Self::Given { value, place } => Setting::Given { value: change(value), place },
            Self::Unresolved { place } => Setting::Unresolved { place },
        }
    }
}

/// Something that could not be read or resolved.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where it is.
    pub place: Place,
    /// What kind of problem.
    pub kind: ProblemKind,
    /// What is wrong with which property, and why.
    pub message: String,
}

/// The kinds of problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProblemKind {
    /// A value that makes no sense there.
    Invalid,
    /// Part of the template is elsewhere, or in a form that is not read.
    NotRead,
    /// The text is not YAML or exceeds a limit. Nothing was read.
    Syntax,
    /// A value that is known only when deployed.
    Unresolved,
}
