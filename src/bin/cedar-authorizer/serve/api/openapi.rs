//! The API of an OpenAPI description.

#[cfg(test)]
mod tests;

use std::path::Path;

use cedar_authorizer::gateway::route::RouteTable;
use cedar_authorizer::store::Store;
use cedar_authorizer::store::finding::{Code, Finding, Position};

use super::{Kind, RouteProtection, ServedApi, ServedAuthorizer, route, store};
use crate::check;
use crate::description::{Description, Operation};
use crate::init;
use crate::output::{Failure, printable};

/// Reads a description. The authorizer decides about all its operations, except those that need no security.
///
/// A description that says nothing of security is protected as a whole: whoever wrote it left that to API Gateway.
pub fn read(path: &Path, policies: &Store, authorizer: ServedAuthorizer) -> Result<ServedApi, Failure> {
    let file = path.display().to_string();
    if authorizer.kind == Kind::WebSocket {
        let message = "a WebSocket API has no OpenAPI description";
        return Err(Failure::could_not_run(message).hint("leave out --openapi, or choose another --kind"));
    }
    let content = init::api::read(path)?;
    let description = Description::read(&content).map_err(|problem| {
        let (name, message) = (printable(&file), printable(&problem.message));
        Failure::could_not_run(format_args!("`{name}`, {}: {message}", problem.place))
            .hint("`--openapi` takes OpenAPI 3.0 or 3.1, or Swagger 2.0, as JSON or YAML")
    })?;
    let mut findings = check::openapi::audit(&description, policies, &file);
    let has_security = description.operations.iter().any(|operation| !operation.security.is_empty());
    let (mut routes, mut protections) = (RouteTable::default(), Vec::new());
    for operation in &description.operations {
        let Operation { method, path, security, says_security, place, .. } = operation;
        let Some(route) = route(policies, *method, path.clone()) else { continue };
        if let Err(conflict) = routes.insert(route) {
            let message =
                format!("`{}` is not served: `{}` takes the same", operation.action_id(), conflict.with);
            let position = Position::line(&file, place.line, place.column);
            findings.push(Finding::new(Code::DescriptionPartial, position, message));
            continue;
        }
        let is_open = security.is_empty() && (*says_security || has_security);
        protections.push(if is_open { RouteProtection::Nothing } else { RouteProtection::Authorizer(0) });
    }
    let title = Some(description.title).filter(|title| !title.is_empty());
    Ok(ServedApi {
        name: title.unwrap_or_else(|| policies.settings.name.clone()),
        routes,
        protections,
        findings,
        ..store::of(policies, authorizer)
    })
}
