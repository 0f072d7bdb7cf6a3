//! The API that a store is made for, whatever it was read from.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::rc::Rc;

use cedar_authorizer::gateway::route::Method;

use super::text;
use crate::deployment::{self, ApiKind, DeployedApi, DeployedRoute, Deployment, Protection};
use crate::description::{
    Description, IdentityProvider, Operation, Problem, ProblemKind, Routes, WrittenPath,
};
use crate::output::{self, Failure, HINT, WARNING, paint, warn};
use crate::progress;

/// What is known of an API.
pub struct Api {
    /// What it calls itself; may be empty.
    pub title: String,
    /// What it was read from, for people.
    pub origin: String,
    /// Its operations.
    pub operations: Vec<Operation>,
    /// Its paths as they are written.
    pub written: Vec<WrittenPath>,
    /// Who issues the tokens for it.
    pub providers: Vec<IdentityProvider>,
    /// Whether it has other routes.
    pub extent: Extent,
    problems: Vec<Problem>,
}

/// Whether an API has routes that are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// It has none: what was read defines the API.
    Whole,
    /// It may have some.
    Unknown,
}

impl Api {
    /// Reads an OpenAPI document from a file.
    pub fn of_openapi(path: &Path) -> Result<Self, Failure> {
        let content = read(path)?;
        Self::of_description(&content, &path.display().to_string(), Extent::Unknown)
    }

    /// Reads an OpenAPI document. `extent`: what is known of it beforehand.
    pub fn of_description(content: &[u8], origin: &str, extent: Extent) -> Result<Self, Failure> {
        let message = format!("reading `{}`, {} KiB", text::comment(origin), content.len().div_ceil(1024));
        let read = progress::during(message, || Description::read(content));
        let description = read.map_err(|error| {
            let message = output::printable(&error.message);
            Failure::could_not_run(format_args!("`{origin}`, {}: {message}", error.place))
                .hint("`--openapi` takes OpenAPI 3.0 or 3.1, or Swagger 2.0, as JSON or YAML")
        })?;
        // Who writes API Gateway's extensions into a document imports it.
        let is_source = description.has_extensions || extent == Extent::Whole;
        let extent = if is_source && !description.is_partial() { Extent::Whole } else { Extent::Unknown };
        let Description { title, operations, written, identity_providers: providers, problems, .. } =
            description;
        Ok(Self { title, origin: origin.to_owned(), operations, written, providers, extent, problems })
    }

    /// Reads the API of a SAM or CloudFormation template.
    pub fn of_template(path: &Path, parameters: &BTreeMap<String, String>) -> Result<Self, Failure> {
        let origin = path.display().to_string();
        let content = read(path)?;
        let content = String::from_utf8(content)
            .map_err(|_| Failure::could_not_run(format_args!("`{origin}` is not UTF-8")))?;
        let Deployment { apis, problems } = Deployment::read(&content, parameters);
        if let Some(problem) = problems.iter().find(|problem| problem.kind == deployment::ProblemKind::Syntax)
        {
            let message = format!("`{origin}`, {}: {}", problem.place, output::printable(&problem.message));
            return Err(Failure::could_not_run(message));
        }
        let problems: Vec<Problem> = problems
            .into_iter()
            .map(|problem| Problem {
                place: problem.place,
                kind: ProblemKind::Suspicious,
                message: problem.message,
            })
            .collect();
        let mut apis: Vec<DeployedApi> = apis.into_iter().filter(|api| !api.routes.is_empty()).collect();
        let names: Vec<String> = apis.iter().map(|api| format!("`{}`", text::comment(&api.name))).collect();
        let api = match apis.pop() {
            Some(api) if apis.is_empty() => api,
            Some(_) => {
                let message = format!("`{origin}` has several APIs: {}", names.join(", "));
                let hint = "a policy store is for one API: name a description of it by --openapi, or its id by --api";
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
        let (title, providers) = (api.name, Vec::new());
        Ok(Self { title, origin, operations, written, providers, extent, problems: own })
    }

    /// Shows what was left out, and what is suspicious.
    pub fn show_problems(&self) {
        for Problem { place, kind, message } in self.problems.iter().take(MAX_SHOWN) {
            let what = match kind {
                ProblemKind::LeftOut => "left out",
                ProblemKind::Suspicious => "warning",
            };
            let (what, arrow) = (paint(WARNING, what), paint(HINT, "-->"));
            let (message, origin) = (output::printable(message), output::printable(&self.origin));
            warn(&format_args!("{what}: {message}\n  {arrow} {origin}:{place}"));
        }
        if let Some(more) = self.problems.len().checked_sub(MAX_SHOWN).filter(|more| *more > 0) {
            warn(&format_args!("... and {more} more"));
        }
    }

    /// How many things were left out.
    pub fn left_out(&self) -> usize {
        self.problems.iter().filter(|problem| problem.kind == ProblemKind::LeftOut).count()
    }
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
        routes.add(Operation { method, path, query, summary, id, tags, security, place: *position });
    }
    routes
}

/// Reads a file, which may also be a pipe.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let name = path.display();
    let unreadable = |error| Failure::could_not_run(format_args!("cannot read `{name}`: {error}"));
    let mut content = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAX_BYTES + 1).read_to_end(&mut content).map_err(unreadable)?;
    if u64::try_from(content.len()).is_ok_and(|length| length <= MAX_BYTES) {
        Ok(content)
    } else {
        Err(Failure::could_not_run(format_args!("`{name}` has more than {} MiB", MAX_BYTES >> 20)))
    }
}

const ANY: &str = "x-amazon-apigateway-any-method";

/// The largest descriptions have some 20 MB.
pub const MAX_BYTES: u64 = 128 << 20;

/// More would push what matters off the screen.
const MAX_SHOWN: usize = 50;
