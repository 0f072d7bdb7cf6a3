//! A template: its resources with their properties, after intrinsic functions and `Globals`.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::fields::Fields;
use super::intrinsic::{self, IntrinsicScope, Unresolved};
use super::{AuthorizerFunction, Problem, ProblemKind, Setting, nested};
use crate::yaml::{self, Content, Entry, Node, Place};

/// A template, and the problems met so far.
pub struct Template<'a> {
    /// In the order of the template.
    pub resources: Vec<TemplateResource>,
    globals: Option<Rc<Node>>,
    outputs: Option<Rc<Node>>,
    scope: IntrinsicScope<'a>,
    problems: RefCell<Vec<Problem>>,
    nested: RefCell<BTreeSet<PathBuf>>,
    folder: Option<PathBuf>,
    depth: usize,
}

/// A resource whose condition holds, or may hold.
pub struct TemplateResource {
    /// Its logical id.
    pub id: String,
    /// Where its logical id is.
    pub place: Place,
    /// Its `Type`.
    pub kind: String,
    /// Its properties, merged with `Globals`.
    properties: Rc<Node>,
}

impl<'a> Template<'a> {
    /// Reads the resources of a template. `folder` is where it is: nested stacks are looked for from there.
    ///
    /// # Errors
    /// A problem that makes it impossible to read anything.
    pub fn read(
        text: &str,
        values: &'a BTreeMap<String, String>,
        folder: Option<&Path>,
    ) -> Result<Self, Problem> {
        Self::nested(text, values, &[], folder, 0)
    }

    /// The same for the template of a nested stack. `unknown` are the parameters whose values only a deployment knows.
    ///
    /// # Errors
    /// The same.
    pub fn nested(
        text: &str,
        values: &'a BTreeMap<String, String>,
        unknown: &'a [String],
        folder: Option<&Path>,
        depth: usize,
    ) -> Result<Self, Problem> {
        let invalid =
            |place, message: &str| Problem { place, kind: ProblemKind::Invalid, message: message.to_owned() };
        let mut unread = Vec::new();
        let root = yaml::parse(text, MAX_NODES, &mut unread);
        let root = root.map_err(|yaml::Problem { place, message }| Problem {
            place,
            kind: ProblemKind::Syntax,
            message,
        })?;
        let root = root.filter(|root| !root.is_null());
        let root = root.ok_or_else(|| invalid(Place::START, "the template is empty"))?;
        let resources = root.get("Resources").and_then(|resources| resources.map());
        let resources = resources.ok_or_else(|| invalid(root.place, "no template: it has no `Resources`"))?;
        let mut template = Self {
            resources: Vec::new(),
            globals: root.get("Globals").cloned(),
            outputs: root.get("Outputs").cloned(),
            scope: IntrinsicScope::new(&root, values, unknown),
            problems: RefCell::new(
                unread.into_iter().map(|problem| invalid(problem.place, &problem.message)).collect(),
            ),
            nested: RefCell::default(),
            folder: folder.map(Path::to_owned),
            depth,
        };
        let resources = resources.iter().filter_map(|entry| template.resource(entry)).collect();
        template.resources = resources;
        Ok(template)
    }

    fn resource(&self, entry: &Entry) -> Option<TemplateResource> {
        let Entry { key: id, place, value } = entry;
        if let Some(function) = id.strip_prefix("Fn::") {
            self.problem(
                *place,
                ProblemKind::NotRead,
                format!("resources made by `Fn::{function}` are not read"),
            );
            return None;
        }
        let Some(kind) = value.get("Type").and_then(|kind| kind.text()) else {
            self.problem(*place, ProblemKind::Invalid, format!("resource `{id}` has no `Type`"));
            return None;
        };
        if let Some(condition) = value.get("Condition") {
            let name = condition.text().unwrap_or_default();
            match self.scope.named_condition(name) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(Unresolved { kind, reason }) => {
                    let message = format!("whether `{id}` is deployed is not known: {reason}");
                    self.problem(condition.place, kind, message);
                }
            }
        }
        let own = value.get("Properties").cloned();
        let own = own.unwrap_or_else(|| Node::new(*place, None, Content::Map(Vec::new())));
        let properties = match self.global(kind) {
            Some(global) => merge(global, &own),
            None => own,
        };
        Some(TemplateResource { id: id.clone(), place: *place, kind: kind.to_owned(), properties })
    }

    /// The part of `Globals` for a type of resource.
    fn global(&self, kind: &str) -> Option<&Rc<Node>> {
        self.globals.as_ref()?.get(kind.strip_prefix("AWS::Serverless::")?)
    }

    /// The properties of a resource that SAM adds. `place` is what makes SAM add it.
    pub fn implicit(&self, id: &str, kind: &str, place: Place) -> Setting<Fields<'_>> {
        let global = self.global(kind).cloned();
        let global = global.unwrap_or_else(|| Node::new(place, None, Content::Map(Vec::new())));
        Fields::read(self, &global, format!("`{id}`"), place)
    }

    /// The resource of this logical id.
    pub fn resource_named(&self, id: &str) -> Option<&TemplateResource> {
        self.resources.iter().find(|resource| resource.id == id)
    }

    /// The properties of a resource.
    pub fn properties(&self, resource: &TemplateResource) -> Setting<Fields<'_>> {
        Fields::read(self, &resource.properties, format!("`{}`", resource.id), resource.place)
    }

    /// The function that a URI, an ARN or an id refers to.
    pub fn function(&self, uri: &Setting<String>) -> Option<AuthorizerFunction> {
        let mut text = uri.value()?.clone();
        // Versions and aliases have a `FunctionName`, so the function is at most two steps away.
        for _ in 0..=2 {
            let (resource, attribute) = intrinsic::attributes(&text)
                .find_map(|(name, attribute)| Some((self.resource_named(name)?, attribute)))?;
            if nested::is_stack(&resource.kind) {
                return nested::function(self, resource, attribute?.strip_prefix("Outputs.")?);
            }
            let properties = self.properties(resource);
            if matches!(resource.kind.as_str(), "AWS::Serverless::Function" | "AWS::Lambda::Function") {
                let environment = properties.then(|properties| properties.inner("Environment"));
                let variables = environment.then(|environment| environment.inner("Variables"));
                let variable = |name| variables.then(|variables| variables.text(name));
                return Some(AuthorizerFunction {
                    name: resource.id.clone(),
                    position: resource.place,
                    bundle_name: variable("BUNDLE_NAME"),
                    cache_key: variable("CACHE_KEY"),
                    simple_responses: variable("SIMPLE_RESPONSES"),
                });
            }
            let function = properties.then(|properties| properties.text("FunctionName"));
            text = function.value()?.clone();
        }
        None
    }

    /// The parameter that a variable of a function is, if it is nothing but that.
    pub fn parameter_of_variable(&self, function: &str, variable: &str) -> Option<String> {
        let properties = self.properties(self.resource_named(function)?);
        let environment = properties.then(|properties| properties.inner("Environment"));
        let variables = environment.then(|environment| environment.inner("Variables"));
        let (_, _, node) = variables.value()?.entries().find(|(name, ..)| *name == variable)?;
        intrinsic::parameter(node)
    }

    /// The value of an output.
    pub fn output(&self, name: &str) -> Setting<String> {
        let Some(output) = self.outputs.as_ref().and_then(|outputs| outputs.get(name)) else {
            return Setting::Absent;
        };
        let output = Fields::read(self, output, format!("the output `{name}`"), output.place);
        output.then(|output| output.text("Value"))
    }

    /// The path of a file that this template names, if it is known where this template is.
    pub fn beside(&self, location: &str) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(location))
    }

    /// Notes templates of nested stacks that are read, or looked for.
    pub fn reads(&self, nested: impl IntoIterator<Item = PathBuf>) {
        self.nested.borrow_mut().extend(nested);
    }

    /// All of them so far.
    pub fn nested_templates(&self) -> Vec<PathBuf> {
        self.nested.borrow().iter().cloned().collect()
    }

    /// How many stacks this template is nested in.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// What the names in the template refer to.
    pub fn scope(&self) -> &IntrinsicScope<'a> {
        &self.scope
    }

    /// Adds a problem.
    pub fn problem(&self, place: Place, kind: ProblemKind, message: impl Into<String>) {
        self.problems.borrow_mut().push(Problem { place, kind, message: message.into() });
    }

    /// Does some work, and returns its problems apart from those of the rest.
    pub fn apart<T>(&self, work: impl FnOnce() -> T) -> (T, Vec<Problem>) {
        let others = self.problems.take();
        let result = work();
        (result, in_order(self.problems.replace(others)))
    }

    /// All problems, in order.
    pub fn into_problems(self) -> Vec<Problem> {
        in_order(self.problems.into_inner())
    }
}

fn in_order(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort();
    // A node that aliases share is read more than once.
    problems.dedup();
    problems
}

/// SAM Developer Guide, "Globals section": maps are merged and lists joined. For anything else, the resource's
/// own value wins.
fn merge(global: &Rc<Node>, own: &Rc<Node>) -> Rc<Node> {
    if intrinsic::is_function(global) || intrinsic::is_function(own) {
        return Rc::clone(own);
    }
    match (&global.content, &own.content) {
        (Content::Map(global), Content::Map(entries)) => {
            let mut merged = entries.clone();
            for entry in global {
                match merged.iter_mut().find(|known| known.key == entry.key) {
                    Some(known) => known.value = merge(&entry.value, &known.value),
                    None => merged.push(entry.clone()),
                }
            }
            Node::new(own.place, None, Content::Map(merged))
        }
        (Content::List(global), Content::List(items)) => {
            Node::new(own.place, None, Content::List([global.as_slice(), items.as_slice()].concat()))
        }
        _ => Rc::clone(own),
    }
}

/// A template has at most 1 MB (CloudFormation User Guide, "Understand CloudFormation quotas"). At about 5 bytes for
/// each value, it has at most this many. If aliases multiply them beyond this, it is an attack.
const MAX_NODES: usize = 200_000;
