//! Functions of nested stacks: a template names them by an output of another template beside it.
//!
//! Rules: SAM Developer Guide, "AWS::Serverless::Application"; CloudFormation Template Reference,
//! "AWS::CloudFormation::Stack". A local path is relative to the template that names it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use super::fields::Fields;
use super::intrinsic::references;
use super::template::{Template, TemplateResource};
use super::{AuthorizerFunction, ProblemKind, Setting};
use crate::yaml::Place;

/// Whether a resource is a stack of another template.
pub fn is_stack(kind: &str) -> bool {
    location_key(kind).is_some()
}

/// The function that an output of a nested stack refers to. Its places are those in the outer template, where a reader
/// would change what is wrong.
pub fn function(outer: &Template<'_>, stack: &TemplateResource, output: &str) -> Option<AuthorizerFunction> {
    let problem = |kind, message: String| {
        outer.problem(
            stack.place,
            kind,
            format!("the function behind `{}.Outputs.{output}` is not read: {message}", stack.id),
        );
        None
    };
    let properties = outer.properties(stack);
    let properties = properties.value()?;
    let location = match properties.text(location_key(&stack.kind)?) {
        Setting::Given { value, .. } => value,
        Setting::Absent => return problem(ProblemKind::Invalid, "the stack has no template".to_owned()),
        // Already reported: a map that names an application of the Serverless Application Repository, for example.
        Setting::Unresolved { .. } => return None,
    };
    let Some(path) =
        outer.beside(&location).filter(|_| !location.contains("://") && !location.contains("${"))
    else {
        return problem(ProblemKind::NotRead, format!("`{location}` is no file beside this template"));
    };
    if outer.depth() >= MAX_DEPTH {
        return problem(ProblemKind::NotRead, "stacks are nested too deeply, or in a circle".to_owned());
    }
    outer.reads([path.clone()]);
    let text = match read(&path) {
        Ok(text) => text,
        Err(error) => {
            return problem(ProblemKind::NotRead, format!("cannot read `{}`: {error}", path.display()));
        }
    };
    let given = properties.inner("Parameters");
    let Parameters { values, places, unknown } = Parameters::read(outer, &given);
    let inner = match Template::nested(&text, &values, &unknown, path.parent(), outer.depth() + 1) {
        Ok(inner) => inner,
        Err(inner) => {
            return problem(
                ProblemKind::Invalid,
                format!("`{}`, {}: {}", path.display(), inner.place, inner.message),
            );
        }
    };
    let found = match inner.output(output) {
        Setting::Absent => {
            return problem(ProblemKind::Invalid, format!("`{}` has no such output", path.display()));
        }
        value => inner.function(&value),
    };
    let function = found.map(|function| {
        let moved = |setting: Setting<String>, variable: &str| {
            let parameter = inner.parameter_of_variable(&function.name, variable);
            let place = parameter.and_then(|name| places.get(&name).copied());
            setting.at(place.or(given.place()).unwrap_or(stack.place))
        };
        AuthorizerFunction {
            name: format!("{}.{}", stack.id, function.name),
            position: stack.place,
            bundle_name: moved(function.bundle_name, "BUNDLE_NAME"),
            cache_key: moved(function.cache_key, "CACHE_KEY"),
            simple_responses: moved(function.simple_responses, "SIMPLE_RESPONSES"),
        }
    });
    outer.reads(inner.nested_templates());
    for found in inner.into_problems() {
        let message = format!("`{}`, {}: {}", path.display(), found.place, found.message);
        outer.problem(stack.place, found.kind, message);
    }
    function
}

/// The text of a template. A template decides what is read here, so it is only a file of a sensible size.
fn read(path: &Path) -> io::Result<String> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() || metadata.len() > MAX_BYTES {
        return Err(io::Error::other("it is no template: not a file, or too large"));
    }
    fs::read_to_string(path)
}

/// What the outer template gives the parameters of a nested one.
#[derive(Default)]
struct Parameters {
    values: BTreeMap<String, String>,
    places: BTreeMap<String, Place>,
    /// Parameters with a value that only a deployment knows.
    unknown: Vec<String>,
}

impl Parameters {
    fn read(outer: &Template<'_>, given: &Setting<Fields<'_>>) -> Self {
        let mut parameters = Self::default();
        for (name, _, node) in given.value().into_iter().flat_map(Fields::entries) {
            parameters.places.insert(name.to_owned(), node.place);
            match outer.scope().text_or_list(node) {
                Ok(value) if references(&value).next().is_none() => {
                    parameters.values.insert(name.to_owned(), value);
                }
                // Reported only if it matters to what is read. A name of the outer template means something else in the
                // nested one.
                Ok(_) | Err(_) => parameters.unknown.push(name.to_owned()),
            }
        }
        parameters
    }
}

fn location_key(kind: &str) -> Option<&'static str> {
    match kind {
        "AWS::Serverless::Application" => Some("Location"),
        "AWS::CloudFormation::Stack" => Some("TemplateURL"),
        _ => None,
    }
}

/// CloudFormation takes templates of 1 MB (CloudFormation User Guide, "Understand CloudFormation quotas").
const MAX_BYTES: u64 = 1 << 20;

/// Nobody nests deeper, and a circle ends.
const MAX_DEPTH: usize = 4;
