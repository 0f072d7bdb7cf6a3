//! Routes while they are collected: each once, and none that API Gateway would refuse beside another.

use std::collections::{BTreeMap, HashMap, HashSet};

use cedar_authorizer::gateway::route::{Method, PathTemplate, Segment};

use super::{Operation, Problem, ProblemKind, path};
use crate::yaml::Place;

/// The operations met so far, and what is wrong with others.
#[derive(Default)]
pub struct Routes {
    operations: Vec<Operation>,
    problems: Vec<Problem>,
    /// The first path of each shape. The shape is the path without the names of its parameters.
    shapes: HashMap<String, (PathTemplate, Place)>,
    /// The first name of a parameter behind each shape.
    names: HashMap<String, (String, Place)>,
    /// Names that a shape has beside the first one, each reported once.
    other_names: HashSet<(String, String)>,
    /// Where each route is.
    taken: HashMap<String, Place>,
    ids: BTreeMap<String, Place>,
}

impl Routes {
    /// Reads a path. `None`: API Gateway cannot have it, and a problem says so.
    pub fn path(&mut self, text: &str, place: Place) -> Option<PathTemplate> {
        let template = match path::read(text) {
            Ok(template) => template,
            Err(message) => {
                self.leave_out(place, message);
                return None;
            }
        };
        if path::without_last_slash(text) != text {
            self.suspect(
                place,
                format!("`{text}` is read as `{template}`: no route ends with a slash in API Gateway"),
            );
        }
        let shape = shape(template.segments());
        if let Some((first, at)) = self.shapes.get(&shape) {
            if *first != template {
                let message = format!(
                    "`{template}` and `{first}`, line {}, differ only in the name of a parameter: to API Gateway they \
                     are one path",
                    at.line
                );
                self.leave_out(place, message);
                return None;
            }
        } else {
            self.shapes.insert(shape, (template.clone(), place));
        }
        self.check_siblings(&template, place);
        Some(template)
    }

    /// Adds an operation. A second one for the same method and path is left out.
    pub fn add(&mut self, operation: Operation) {
        let action = operation.action_id();
        if let Some(first) = self.taken.get(&action) {
            let message = format!("`{action}` is there a second time, after line {}", first.line);
            return self.leave_out(operation.place, message);
        }
        self.taken.insert(action, operation.place);
        if let Some(id) = &operation.id {
            if let Some(first) = self.ids.get(id) {
                let message =
                    format!("the operation id `{id}` is there a second time, after line {}", first.line);
                self.suspect(operation.place, message);
            } else {
                self.ids.insert(id.clone(), operation.place);
            }
        }
        self.operations.push(operation);
    }

    /// Reports something that is not in the result.
    pub fn leave_out(&mut self, place: Place, message: impl Into<String>) {
        self.problems.push(Problem { place, kind: ProblemKind::LeftOut, message: message.into() });
    }

    /// Reports something that may not be meant.
    pub fn suspect(&mut self, place: Place, message: impl Into<String>) {
        self.problems.push(Problem { place, kind: ProblemKind::Suspicious, message: message.into() });
    }

    /// The operations and the problems, in order.
    pub fn finish(self) -> (Vec<Operation>, Vec<Problem>) {
        let Self { operations, mut problems, .. } = self;
        problems.sort();
        // What aliases and references share is read more than once.
        problems.dedup();
        (operations, problems)
    }

    /// Reports parameters of one place that have several names. HTTP APIs take such routes, REST APIs do not.
    fn check_siblings(&mut self, template: &PathTemplate, place: Place) {
        let segments = template.segments();
        for (index, segment) in segments.iter().enumerate() {
            let Segment::Parameter(name) = segment else { continue };
            // The last one was compared with the whole path.
            if index + 1 == segments.len() {
                continue;
            }
            let before = shape(segments.get(..index).unwrap_or_default());
            let Some((first, at)) = self.names.get(&before) else {
                self.names.insert(before, (name.clone(), place));
                continue;
            };
            if first == name || self.other_names.contains(&(before.clone(), name.clone())) {
                continue;
            }
            let line = at.line;
            let message = format!(
                "`{template}` has `{{{name}}}` where the path of line {line} has `{{{first}}}`: a REST API cannot \
                 have both"
            );
            self.suspect(place, message);
            self.other_names.insert((before, name.clone()));
        }
    }
}

/// A path without the names of its parameters.
fn shape(segments: &[Segment]) -> String {
    segments.iter().fold(String::new(), |shape, segment| match segment {
        Segment::Key(text) => shape + text,
        Segment::Static(text) => shape + "/" + text,
        Segment::Parameter(_) => shape + "/{}",
        Segment::Greedy(_) => shape + "/{+}",
    })
}

/// The method of a key, e.g. `get`.
pub fn method(key: &str) -> Option<Method> {
    if key.eq_ignore_ascii_case(ANY) {
        return Some(Method::Any);
    }
    let method = key.to_ascii_lowercase().parse().ok();
    method.filter(|method| *method != Method::Any)
}

/// API Gateway Developer Guide, "x-amazon-apigateway-any-method object".
pub const ANY: &str = "x-amazon-apigateway-any-method";
