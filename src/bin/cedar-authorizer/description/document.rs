//! The document: from its text to operations.

use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

use super::reference::References;
use super::routes::{ANY, Routes, method};
use super::{Description, MAX_NODES, Operation, QueryParameter, WrittenPath, identity};
use crate::yaml::{self, Content, Entry, Node, Place};

/// Reads a document.
///
/// # Errors
/// As [`Description::read`].
pub fn read(content: &[u8]) -> Result<Description, yaml::Problem> {
    let text = text_of(content)?;
    let mut unread = Vec::new();
    let root = yaml::parse(text, MAX_NODES, &mut unread)?.filter(|root| !root.is_null());
    let root = root.ok_or_else(|| problem(Place::START, "the description is empty"))?;
    check_version(&root)?;
    let title = root.get("info").and_then(|info| info.get("title")).and_then(|title| title.text());
    let title = title.unwrap_or_default().trim().to_owned();
    let identity_providers = identity::read(&root);
    let says_security = root.get("security").is_some();
    let security = root.get("security").map_or_else(|| Rc::from([]), security);
    let mut document = Document {
        references: References::new(Rc::clone(&root)),
        routes: Routes::default(),
        security,
        says_security,
        written: Vec::new(),
        has_extensions: false,
        keys: HashSet::new(),
        left: MAX_NODES,
    };
    if let Some(paths) = root.get("paths").filter(|paths| !paths.is_null()) {
        document.paths(paths)?;
    }
    for yaml::Problem { place, message } in unread {
        // Elsewhere nothing is lost that matters here.
        if document.keys.contains(&place) {
            document.routes.leave_out(place, message);
        } else {
            document.routes.suspect(place, message);
        }
    }
    let Document { routes, written, has_extensions, .. } = document;
    let (operations, problems) = routes.finish();
    Ok(Description { title, has_extensions, operations, written, identity_providers, problems })
}

/// The text, without the mark that some editors put at its beginning.
fn text_of(content: &[u8]) -> Result<&str, yaml::Problem> {
    let text = str::from_utf8(content).map_err(|error| {
        let before = content.get(..error.valid_up_to()).unwrap_or_default();
        let lines = before.split(|byte| *byte == b'\n');
        let last = lines.clone().next_back().unwrap_or_default();
        let column = String::from_utf8_lossy(last).chars().count() + 1;
        problem(Place { line: lines.count(), column }, "not UTF-8")
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

fn check_version(root: &Node) -> Result<(), yaml::Problem> {
    let version = ["openapi", "swagger"].into_iter().find_map(|key| Some((key, root.get(key)?)));
    let Some((key, version)) = version else {
        let message = "no description of an API: it has neither `openapi` nor `swagger`";
        return Err(problem(root.place, message));
    };
    match (key, version.text().unwrap_or_default()) {
        ("openapi", text) if text.starts_with("3.") => Ok(()),
        // In YAML, `swagger: 2` is one way to write it.
        ("swagger", "2.0" | "2") => Ok(()),
        (_, text) => {
            let message = format!("`{key}: {text}` is not read, only OpenAPI 3 and Swagger 2.0");
            Err(problem(version.place, message))
        }
    }
}

struct Document {
    references: References,
    routes: Routes,
    /// The security of operations that have none of their own.
    security: Rc<[String]>,
    says_security: bool,
    written: Vec<WrittenPath>,
    has_extensions: bool,
    /// Where paths and methods are named.
    keys: HashSet<Place>,
    /// How much may still be copied out of the document. References and aliases repeat what is written once.
    left: usize,
}

impl Document {
    fn paths(&mut self, paths: &Node) -> Result<(), yaml::Problem> {
        let Some(entries) = paths.map() else {
            return Err(problem(paths.place, "`paths` should be a map"));
        };
        for Entry { key, place, value } in entries {
            self.keys.insert(*place);
            if key.starts_with("x-") || value.is_null() {
                continue;
            }
            let keys = value.map().unwrap_or_default().iter().map(|entry| entry.key.clone()).collect();
            self.spend(value.map().map_or(0, <[_]>::len), *place)?;
            self.written.push(WrittenPath { path: key.clone(), keys });
            self.path_item(key, *place, value)?;
        }
        Ok(())
    }

    fn path_item(&mut self, path: &str, place: Place, item: &Rc<Node>) -> Result<(), yaml::Problem> {
        let layers = match self.references.chain(item) {
            Ok(layers) => layers,
            Err(yaml::Problem { place, message }) => {
                self.routes.leave_out(place, format!("`{path}`: {message}"));
                return Ok(());
            }
        };
        if let Some(layer) = layers.iter().find(|layer| layer.map().is_none()) {
            self.routes.leave_out(layer.place, format!("`{path}` should be a map"));
            return Ok(());
        }
        let Some(template) = self.routes.path(path, place) else { return Ok(()) };
        let mut seen = HashSet::new();
        // What is beside a `$ref` goes before what it leads to.
        let entries: Vec<&Entry> = layers.iter().filter_map(|layer| layer.map()).flatten().collect();
        let shared = entries.iter().find(|entry| entry.key == "parameters").map(|entry| &entry.value);
        let shared = shared.map_or_else(|| Ok(BTreeMap::new()), |node| self.query(node))?;
        for Entry { key, place, value } in entries {
            self.keys.insert(*place);
            if !seen.insert(key.as_str()) || is_no_method(key) {
                continue;
            }
            let Some(method) = method(key) else {
                let message = format!("`{key} {path}`: API Gateway has no method `{key}`");
                self.routes.leave_out(*place, message);
                continue;
            };
            if value.is_null() {
                continue;
            }
            let Some(fields) = value.map() else {
                self.routes.leave_out(value.place, format!("`{key} {path}` should be a map"));
                continue;
            };
            let is_extension = |entry: &Entry| entry.key.starts_with("x-amazon-apigateway-");
            self.has_extensions |= key == ANY || fields.iter().any(is_extension);
            let mut query = shared.clone();
            if let Some(own) = value.get("parameters") {
                query.extend(self.query(own)?);
            }
            let summary = ["summary", "description"].into_iter().find_map(|key| text(value, key));
            let tags = value.get("tags").and_then(|tags| tags.list()).unwrap_or_default().iter();
            let tags: Vec<String> = tags.filter_map(|tag| tag.text()).map(str::to_owned).collect();
            let security = value.get("security").map_or_else(|| Rc::clone(&self.security), security);
            let words = summary.as_ref().map_or(0, String::len) / BYTES_PER_NODE;
            self.spend(1 + query.len() + tags.len() + security.len() + words, *place)?;
            self.routes.add(Operation {
                method,
                path: template.clone(),
                query: query
                    .into_iter()
                    .map(|(name, is_required)| QueryParameter { name, is_required })
                    .collect(),
                summary,
                id: text(value, "operationId"),
                tags,
                security,
                says_security: self.says_security || value.get("security").is_some(),
                place: *place,
            });
        }
        Ok(())
    }

    /// The query parameters of a list, and whether each is required.
    fn query(&mut self, parameters: &Rc<Node>) -> Result<BTreeMap<String, bool>, yaml::Problem> {
        let mut query = BTreeMap::new();
        for item in parameters.list().unwrap_or_default() {
            self.spend(1, item.place)?;
            let parameter = match self.references.resolve(item) {
                Ok(parameter) => parameter,
                Err(yaml::Problem { place, message }) => {
                    self.routes.leave_out(place, format!("a parameter: {message}"));
                    continue;
                }
            };
            let (Some(name), Some(location)) = (text(&parameter, "name"), text(&parameter, "in")) else {
                self.routes.leave_out(parameter.place, "a parameter needs `name` and `in`");
                continue;
            };
            if location == "query" {
                self.spend(name.len() / BYTES_PER_NODE, item.place)?;
                let is_required = text(&parameter, "required").is_some_and(|text| text == "true");
                query.insert(name, is_required);
            }
        }
        Ok(query)
    }

    fn spend(&mut self, amount: usize, place: Place) -> Result<(), yaml::Problem> {
        self.left = self.left.checked_sub(amount).ok_or_else(|| {
            problem(place, format!("more than {MAX_NODES} values, references and aliases written out"))
        })?;
        Ok(())
    }
}

/// OpenAPI, "Path Item Object": the keys that are no methods.
fn is_no_method(key: &str) -> bool {
    matches!(key, "$ref" | "summary" | "description" | "servers" | "parameters")
        || key.starts_with("x-") && key != ANY
}

/// The names of the schemes in a list of requirements.
fn security(node: &Rc<Node>) -> Rc<[String]> {
    let requirements = node.list().unwrap_or_default().iter();
    requirements.filter_map(|item| item.map()).flatten().map(|entry| entry.key.clone()).collect()
}

fn text(node: &Node, key: &str) -> Option<String> {
    match &node.get(key)?.content {
        Content::Text { text, .. } => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Content::List(_) | Content::Map(_) => None,
    }
}

fn problem(place: Place, message: impl Into<String>) -> yaml::Problem {
    yaml::Problem { place, message: message.into() }
}

/// About what a value takes in memory beside its text.
const BYTES_PER_NODE: usize = 64;
