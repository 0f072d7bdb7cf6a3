//! `import terraform`: what `terraform show -json` or `tofu show -json` prints of a plan or a state.
//!
//! There all expressions are evaluated, except those that only an apply knows. What these refer to is in the
//! configuration, which a plan has too.
//!
//! Source: Terraform, "JSON Output Format".

use serde_json::{Map, Value};

use super::resource::{Kind, Resource};
use crate::init::text::comment;
use crate::output::Failure;

/// Reads the resources of a plan or state.
pub fn read(text: &str, file: &str) -> Result<Vec<Resource>, Failure> {
    let invalid = |message: &str| {
        Failure::could_not_run(format_args!("`{file}`{message}"))
            .hint("make it by `terraform show -json > FILE`, or `terraform show -json PLAN > FILE`")
    };
    let whole: Value =
        serde_json::from_str(text).map_err(|error| invalid(&format!(" is not JSON: {error}")))?;
    if whole.get("format_version").is_none() {
        let what = if whole.get("terraform_version").is_some() {
            " is a state file"
        } else {
            " is no plan or state"
        };
        return Err(invalid(what));
    }
    // A plan says what there will be; a state what there is.
    let values = whole.get("planned_values").or_else(|| whole.get("values"));
    let root = values.and_then(|values| values.get("root_module"));
    let root = root.ok_or_else(|| invalid(" has no resources"))?;
    let configuration = whole.get("configuration").and_then(|configuration| configuration.get("root_module"));
    let ids = values.and_then(|values| values.get("outputs")).and_then(|outputs| outputs.get(IDS_OUTPUT));
    let ids = ids.and_then(|output| output.get("value")).and_then(Value::as_object);
    let mut reader = Reader { file, ids, resources: Vec::new() };
    reader.module(root, configuration, 0)?;
    Ok(reader.resources)
}

struct Reader<'a> {
    file: &'a str,
    ids: Option<&'a Map<String, Value>>,
    resources: Vec<Resource>,
}

impl Reader<'_> {
    fn module(&mut self, module: &Value, configuration: Option<&Value>, depth: usize) -> Result<(), Failure> {
        if depth > MAX_MODULES {
            let message = format!("`{}` has modules more than {MAX_MODULES} deep", self.file);
            return Err(Failure::could_not_run(message));
        }
        let list = |name: &str| module.get(name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let prefix = module.get("address").and_then(Value::as_str).unwrap_or_default();
        for resource in list("resources") {
            self.resource(resource, prefix, configuration);
        }
        for child in list("child_modules") {
            let name = child.get("address").and_then(Value::as_str).and_then(module_name);
            let inner = configuration.zip(name).and_then(|(configuration, name)| {
                configuration.get("module_calls")?.get(name)?.get("module")
            });
            self.module(child, inner, depth + 1)?;
        }
        Ok(())
    }

    fn resource(&mut self, resource: &Value, module: &str, configuration: Option<&Value>) {
        let text = |name: &str| resource.get(name).and_then(Value::as_str);
        if text("mode") == Some("data") {
            return;
        }
        let (Some(kind), Some(address), Some(name)) =
            (text("type").and_then(kind_of), text("address"), text("name"))
        else {
            return;
        };
        let Some(values) = resource.get("values").and_then(Value::as_object) else { return };
        let mut properties = members(values);
        rename(&mut properties);
        let mut unknown = Vec::new();
        let own = configuration.and_then(|configuration| {
            let resources = configuration.get("resources")?.as_array()?;
            let (of_type, name) = (text("type")?, name);
            resources.iter().find(|known| {
                known.get("type").and_then(Value::as_str) == Some(of_type)
                    && known.get("name").and_then(Value::as_str) == Some(name)
            })
        });
        let index = resource.get("index");
        if let Some(expressions) = own.and_then(|own| own.get("expressions")) {
            for path in REFERENCES {
                // What is known needs no reference.
                if at(&properties, path).is_some_and(|value| !value.is_null()) {
                    continue;
                }
                if let Some(target) = reference(expressions, path) {
                    set(&mut properties, path, format!("${{{}}}", absolute(&target, module, index)));
                }
            }
            for (path, what) in TEXTS {
                let is_known = at(&properties, path).is_some_and(|value| !value.is_null());
                if let Some(target) = reference(expressions, path).filter(|_| !is_known) {
                    let why = format!("{what} depends on `{}`, which is known after apply", comment(&target));
                    unknown.push(((*path).to_owned(), why));
                }
            }
        }
        let suffix = match index {
            Some(Value::String(key)) => format!("-{key}"),
            Some(Value::Number(number)) => format!("-{number}"),
            _ => String::new(),
        };
        self.resources.push(Resource {
            address: address.to_owned(),
            name: format!("{name}{suffix}"),
            place: format!("{}, {}", self.file, comment(address)),
            kind,
            properties,
            noted_id: self.ids.and_then(|ids| ids.get(address)).and_then(Value::as_str).map(str::to_owned),
            unknown,
        });
    }
}

fn kind_of(name: &str) -> Option<Kind> {
    let (_, name) = name
        .split_once("verifiedpermissions_")
        .filter(|(provider, _)| ["aws_", "awscc_"].contains(provider))?;
    Some(match name {
        "policy_store" => Kind::PolicyStore,
        "schema" => Kind::Schema,
        "policy" => Kind::Policy,
        "policy_template" => Kind::PolicyTemplate,
        "identity_source" => Kind::IdentitySource,
        "policy_store_alias" => Kind::PolicyStoreAlias,
        _ => return None,
    })
}

/// The members as AVP's API names them. A block is a list of one object here.
fn members(values: &Map<String, Value>) -> Map<String, Value> {
    values.iter().map(|(name, value)| (camel_case(name), member(name, value))).collect()
}

fn member(name: &str, value: &Value) -> Value {
    match value {
        // Keys of tags are not names of members.
        Value::Object(tags) if name == "tags" => Value::Object(tags.clone()),
        Value::Object(inner) => Value::Object(members(inner)),
        Value::Array(items) if is_block(name) => match items.as_slice() {
            [] => Value::Null,
            [Value::Object(inner), ..] => Value::Object(members(inner)),
            _ => value.clone(),
        },
        Value::Array(items) => items.iter().map(|item| member("", item)).collect(),
        _ => value.clone(),
    }
}

fn is_block(name: &str) -> bool {
    const LISTS: [&str; 3] = ["client_ids", "audiences", "tags"];
    !LISTS.contains(&name) && !name.is_empty()
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut name, word| {
        let mut chars = word.chars();
        name.extend(chars.next().map(|first| first.to_ascii_uppercase()));
        name.extend(chars);
        name
    })
}

/// The names that the provider changed.
fn rename(properties: &mut Map<String, Value>) {
    for (from, to) in [("policyName", "name"), ("policyTemplateName", "name")] {
        if let Some(value) = properties.remove(from).filter(|value| !value.is_null()) {
            properties.insert(to.to_owned(), value);
        }
    }
}

fn at<'v>(properties: &'v Map<String, Value>, path: &str) -> Option<&'v Value> {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    rest.split('.')
        .filter(|key| !key.is_empty())
        .try_fold(properties.get(first)?, |value, key| value.get(key))
}

/// Sets the text at a path, if the objects on the way to it are there.
fn set(properties: &mut Map<String, Value>, path: &str, text: String) {
    let Some((parent, last)) = path.rsplit_once('.') else {
        properties.insert(path.to_owned(), Value::String(text));
        return;
    };
    let mut keys = parent.split('.');
    let first = keys.next().and_then(|first| properties.get_mut(first));
    let parent = first.and_then(|first| keys.try_fold(first, |value, key| value.get_mut(key)));
    if let Some(parent) = parent.and_then(Value::as_object_mut) {
        parent.insert(last.to_owned(), Value::String(text));
    }
}

/// The first address that an expression refers to.
fn reference(expressions: &Value, path: &str) -> Option<String> {
    let found = path.split('.').try_fold(expressions, |value, key| {
        // Blocks are lists of one object here too.
        let value = value.get(0).unwrap_or(value);
        value.get(snake_case(key))
    })?;
    let references = found.get("references")?.as_array()?;
    references.first()?.as_str().map(str::to_owned)
}

fn snake_case(name: &str) -> String {
    name.chars().fold(String::new(), |mut name, char| {
        if char.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(char.to_ascii_lowercase());
        name
    })
}

/// The address from the root. `index`: that of the resource that refers; the other one probably has the same.
fn absolute(target: &str, module: &str, index: Option<&Value>) -> String {
    let target = match index {
        Some(Value::String(key)) => target.replace("[each.key]", &format!("[{:?}]", key)),
        Some(Value::Number(number)) => target.replace("[count.index]", &format!("[{number}]")),
        _ => target.to_owned(),
    };
    if module.is_empty() { target } else { format!("{module}.{target}") }
}

/// The name of the innermost module of `module.a["x"].module.b[0]`.
fn module_name(address: &str) -> Option<&str> {
    let last = address.rsplit("module.").next()?;
    last.split('[').next()
}

/// The members that hold ids of other resources.
const REFERENCES: [&str; 2] = ["policyStoreId", "definition.templateLinked.policyTemplateId"];

/// The members whose values may be known after apply only, and what they are.
const TEXTS: &[(&str, &str)] = &[
    ("statement", "the text"),
    ("definition.static.statement", "the text"),
    ("definition.templateLinked.principal.entityId", "the principal"),
    ("definition.templateLinked.resource.entityId", "the resource"),
    ("definition.value", "the schema"),
    ("configuration.cognitoUserPoolConfiguration.userPoolArn", "it"),
    ("configuration.openIdConnectConfiguration.issuer", "the issuer"),
    ("aliasName", "it"),
];

/// The output in which an export notes ids that nothing else says, by the addresses of resources.
pub const IDS_OUTPUT: &str = "cedar_authorizer_ids";

/// More than anybody nests.
const MAX_MODULES: usize = 32;
