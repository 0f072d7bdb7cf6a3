//! `import cloudformation`: templates, written by hand or synthesised by CDK.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde_json::{Map, Value};

use super::resource::{Kind, Resource};
use crate::deployment::{self, IntrinsicScope};
use crate::init::text::comment;
use crate::output::Failure;
use crate::yaml::{self, Content, Entry, Node};

/// Reads the resources of a template, or of all templates in the directory that `cdk synth` writes.
pub fn read(path: &Path, parameters: &BTreeMap<String, String>) -> Result<Vec<Resource>, Failure> {
    if !path.is_dir() {
        return read_template(path, parameters);
    }
    let mut templates = Vec::new();
    find_templates(path, 0, &mut templates)?;
    if templates.is_empty() {
        let message = format!("`{}` has no `*.template.json`", path.display());
        return Err(Failure::could_not_run(message).hint("run `cdk synth` first, or name a template"));
    }
    let mut resources = Vec::new();
    for template in templates {
        resources.extend(read_template(&template, parameters)?);
    }
    Ok(resources)
}

/// Stages of CDK have assemblies of their own, in folders.
fn find_templates(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let failed = |error| Failure::could_not_run(format_args!("cannot read `{}`: {error}", folder.display()));
    let entries = fs::read_dir(folder).map_err(failed)?;
    let paths: Result<Vec<PathBuf>, _> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut paths = paths.map_err(failed)?;
    paths.sort();
    for path in paths {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && !path.is_symlink() && name.starts_with("assembly-") && depth < MAX_ASSEMBLIES {
            find_templates(&path, depth + 1, found)?;
        } else if name.ends_with(".template.json") {
            found.push(path);
        }
    }
    Ok(())
}

fn read_template(path: &Path, parameters: &BTreeMap<String, String>) -> Result<Vec<Resource>, Failure> {
    let name = path.display().to_string();
    let invalid = |message: String| Failure::could_not_run(format_args!("`{name}`{message}"));
    let text = super::read_text(path)?;
    let mut problems = Vec::new();
    let root = yaml::parse(&text, MAX_NODES, &mut problems)
        .map_err(|problem| invalid(format!(":{}: {}", problem.place, problem.message)))?;
    let root = root.ok_or_else(|| invalid(" is empty".to_owned()))?;
    let entries = root.get("Resources").and_then(|resources| resources.map());
    let entries = entries.ok_or_else(|| {
        invalid(" is no template: it has no `Resources`".to_owned())
            .hint("name a CloudFormation template, or the directory that `cdk synth` writes")
    })?;
    let scope = IntrinsicScope::new(&root, parameters, &[]);
    let mut reader = Reader { scope, names: entries, unknown: Vec::new() };
    let mut resources = Vec::new();
    for Entry { key, place, value } in entries {
        let kind = value.get("Type").and_then(|kind| kind.text()).and_then(kind_of);
        let Some(kind) = kind else { continue };
        let place = format!("{name}:{}, {}", place.line, comment(key));
        if let Some(condition) = value.get("Condition").and_then(|condition| condition.text()) {
            match reader.scope.named_condition(condition) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(unresolved) => {
                    return Err(invalid(format!(
                        ": whether `{}` is deployed is not known: {}",
                        comment(key),
                        unresolved.reason
                    ))
                    .hint("give the value of the parameter by --parameter NAME=VALUE"));
                }
            }
        }
        let properties = value.get("Properties").map(|properties| reader.value(properties, "", true));
        let properties = match properties {
            Some(Value::Object(properties)) => properties,
            _ => Map::new(),
        };
        let metadata = value.get("Metadata").and_then(|metadata| metadata.get(NOTE));
        resources.push(Resource {
            address: key.clone(),
            name: key.clone(),
            place,
            kind,
            properties,
            noted_id: metadata.and_then(|note| note.get("Id")).and_then(|id| id.text()).map(str::to_owned),
            unknown: std::mem::take(&mut reader.unknown),
        });
    }
    Ok(resources)
}

fn kind_of(name: &str) -> Option<Kind> {
    Some(match name.strip_prefix("AWS::VerifiedPermissions::")? {
        "PolicyStore" => Kind::PolicyStore,
        "Policy" => Kind::Policy,
        "PolicyTemplate" => Kind::PolicyTemplate,
        "IdentitySource" => Kind::IdentitySource,
        "PolicyStoreAlias" => Kind::PolicyStoreAlias,
        _ => return None,
    })
}

/// Reads properties as JSON, with intrinsic functions resolved and names as in AVP's API.
struct Reader<'t> {
    scope: IntrinsicScope<'t>,
    /// The resources of the template.
    names: &'t [Entry],
    /// The paths that have no known value, and why.
    unknown: Vec<(String, String)>,
}

impl Reader<'_> {
    /// `is_shape`: the keys are members of AVP's shapes, rather than of a schema.
    fn value(&mut self, node: &Rc<Node>, path: &str, is_shape: bool) -> Value {
        if let Some(argument) = to_json_string(node) {
            return Value::String(self.value(&argument, path, false).to_string());
        }
        let is_function = deployment::is_function(node);
        let source = substituted(node);
        let source = source.as_deref();
        let node = match self.scope.resolve(node) {
            Ok(Some(node)) => node,
            Ok(None) => return Value::Null,
            Err(unresolved) => {
                self.unknown.push((path.to_owned(), unresolved.reason));
                return Value::Null;
            }
        };
        match &node.content {
            Content::Text { text, quoted } => {
                if is_function && let Some(name) = self.unknown_reference(text, path, source) {
                    let why = format!("it depends on `{}`, which only a deployment knows", comment(&name));
                    self.unknown.push((path.to_owned(), why));
                }
                scalar(text, *quoted || is_shape)
            }
            Content::List(items) => items.iter().map(|item| self.value(item, path, is_shape)).collect(),
            Content::Map(entries) => {
                let mut members = Map::new();
                for Entry { key, value, .. } in entries {
                    let name = if is_shape { camel_case(key) } else { key.clone() };
                    let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    let is_shape = is_shape && inner != "schema.cedarJson";
                    members.insert(name, self.value(value, &inner, is_shape));
                }
                Value::Object(members)
            }
        }
    }

    /// The name in a resolved text whose value is not known. References to other resources of a policy store are what
    /// the properties that hold ids are for.
    /// `source`: the text of `Fn::Sub`, in which `${!Name}` stands for a text that reads `${Name}`.
    fn unknown_reference(&self, text: &str, path: &str, source: Option<&str>) -> Option<String> {
        let is_literal = |name: &str| {
            let has = |start: &str| source.is_some_and(|source| source.contains(&format!("{start}{name}")));
            has("${!") && !has("${")
        };
        let holds_id = path == "policyStoreId" || path.ends_with(".policyTemplateId");
        let is_known =
            |name: &str| self.names.iter().any(|entry| entry.key == name) || name.starts_with("AWS::");
        deployment::references(text)
            .find(|name| !holds_id && is_known(name) && !is_literal(name))
            .map(str::to_owned)
    }
}

/// The text of `Fn::Sub`.
fn substituted(node: &Rc<Node>) -> Option<String> {
    let argument = match node.tag.as_deref() {
        Some("Sub") => node.untagged(),
        Some(_) => return None,
        None => Rc::clone(node.get("Fn::Sub")?),
    };
    let first = argument.list().and_then(|items| items.first()).cloned();
    first.unwrap_or(argument).text().map(str::to_owned)
}

/// The argument of `Fn::ToJsonString`, of the transform `AWS::LanguageExtensions`.
fn to_json_string(node: &Rc<Node>) -> Option<Rc<Node>> {
    if node.tag.as_deref() == Some("ToJsonString") {
        return Some(node.untagged());
    }
    let [Entry { key, value, .. }] = node.map()? else { return None };
    (key == "Fn::ToJsonString").then(|| Rc::clone(value))
}

/// `text_only`: the shapes read here have no other scalars than text.
fn scalar(text: &str, text_only: bool) -> Value {
    if text_only {
        return Value::from(text);
    }
    match text {
        "true" | "True" => Value::Bool(true),
        "false" | "False" => Value::Bool(false),
        "" | "~" | "null" => Value::Null,
        _ => text.parse::<i64>().map_or_else(|_| Value::from(text), Value::from),
    }
}

/// The member of AVP's API: CloudFormation begins it with a capital letter.
fn camel_case(key: &str) -> String {
    let mut chars = key.chars();
    let first = chars.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(chars).collect()
}

/// The member of `Metadata` in which an export notes an id that nothing else says.
pub const NOTE: &str = "CedarAuthorizer";

/// A template has at most 1 MB (CloudFormation User Guide, "Understand CloudFormation quotas").
const MAX_NODES: usize = 500_000;

/// Stages in stages are rare.
const MAX_ASSEMBLIES: usize = 4;
