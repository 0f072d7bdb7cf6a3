//! Paths: which of them API Gateway can have.

use std::collections::HashSet;

use cedar_authorizer::gateway::route::PathTemplate;

/// Reads a path of a document.
///
/// # Errors
/// Why API Gateway cannot have it.
pub fn read(path: &str) -> Result<PathTemplate, String> {
    // In OpenAPI every path begins with a slash, even where API Gateway's route has none.
    let path = if path == "/$default" { "$default" } else { path };
    if path.len() > MAX_PATH_BYTES {
        return Err(format!("a path of more than {MAX_PATH_BYTES} bytes"));
    }
    for segment in path.split('/') {
        let parameters = segment.matches('{').count();
        if parameters > 1 {
            return Err(format!("`{path}` has two parameters in one segment, which API Gateway cannot have"));
        }
        if segment.contains(['{', '}']) && !(segment.starts_with('{') && segment.ends_with('}')) {
            return Err(format!(
                "`{path}` has a parameter with other text in one segment, which API Gateway cannot have"
            ));
        }
    }
    let template: PathTemplate =
        without_last_slash(path).parse().map_err(|error| format!("`{path}`: {error}"))?;
    let mut names = HashSet::new();
    if let Some(twice) = template.parameters().find(|name| !names.insert(*name)) {
        return Err(format!("`{path}` has two parameters with the name `{twice}`"));
    }
    Ok(template)
}

/// The path without a slash at its end: for API Gateway that is the same resource.
pub fn without_last_slash(path: &str) -> &str {
    path.strip_suffix('/').filter(|rest| !rest.is_empty()).unwrap_or(path)
}

/// The longest ARN of a method (API Gateway Developer Guide, "Output from an API Gateway Lambda authorizer").
const MAX_PATH_BYTES: usize = 1600;
