//! Resolves `!Ref`, `!Sub`, `!If` and so on, as far as the template and the parameters allow.
//!
//! A reference to a resource or pseudo parameter stays in the text as `${Name}`, `${Name.Attribute}` or
//! `${AWS::Region}`. Its value is known only when deployed, but often it is enough to know what it refers to.
//!
//! Rules: CloudFormation Template Reference, "Intrinsic functions", "Condition functions" and "Pseudo parameters".

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::ProblemKind;
use crate::yaml::{Content, Entry, Node, Place};

/// What names refer to.
pub struct IntrinsicScope<'a> {
    values: &'a BTreeMap<String, String>,
    unknown: &'a [String],
    parameters: Option<Rc<Node>>,
    mappings: Option<Rc<Node>>,
    conditions: Option<Rc<Node>>,
    steps: Cell<usize>,
    depth: Cell<usize>,
}

/// Why something has no known value.
#[derive(Debug)]
pub struct Unresolved {
    /// What kind of problem this is.
    pub kind: ProblemKind,
    /// Why, as the end of a sentence.
    pub reason: String,
}

impl<'a> IntrinsicScope<'a> {
    /// The names of a template. `values` override the defaults of its parameters. `unknown` are parameters that are
    /// given, with values that are not known.
    pub fn new(template: &Node, values: &'a BTreeMap<String, String>, unknown: &'a [String]) -> Self {
        let section = |name| template.get(name).cloned();
        Self {
            values,
            unknown,
            parameters: section("Parameters"),
            mappings: section("Mappings"),
            conditions: section("Conditions"),
            steps: Cell::new(0),
            depth: Cell::new(0),
        }
    }

    /// The node itself, or the result if it is an intrinsic function. `None`: it is `AWS::NoValue`.
    pub fn resolve(&self, node: &Rc<Node>) -> Result<Option<Rc<Node>>, Unresolved> {
        let Some(call) = IntrinsicCall::from_node(node) else { return Ok(Some(Rc::clone(node))) };
        self.deeper(|| {
            let IntrinsicCall { function, argument } = call;
            let text = |text: String| Ok(Some(Node::from_text(node.place, text)));
            match function.as_str() {
                "FindInMap" => self.find_in_map(&argument),
                "GetAtt" => match (argument.text(), argument.list()) {
                    (Some(name), _) => text(format!("${{{name}}}")),
                    (None, Some([name, attribute])) => {
                        text(format!("${{{}.{}}}", self.text(name)?, self.text(attribute)?))
                    }
                    _ => Err(malformed("GetAtt")),
                },
                "If" => {
                    let [condition, then, other] = arguments("If", &argument)?;
                    let name = condition.text().ok_or_else(|| malformed("If"))?;
                    self.resolve(if self.named_condition(name)? { then } else { other })
                }
                "Join" => {
                    let [separator, items] = arguments("Join", &argument)?;
                    text(self.texts(items)?.join(&self.text(separator)?))
                }
                "Ref" => self.reference(argument.text().ok_or_else(|| malformed("Ref"))?, node.place),
                "Select" => {
                    let [index, items] = arguments("Select", &argument)?;
                    let index: usize = self.text(index)?.parse().map_err(|_| malformed("Select"))?;
                    let items = self.list(items)?;
                    let item = items.get(index).ok_or_else(|| unresolved("`Select` goes beyond its list"))?;
                    self.resolve(item)
                }
                "Split" => {
                    let [separator, whole] = arguments("Split", &argument)?;
                    let (separator, whole) = (self.text(separator)?, self.text(whole)?);
                    let parts: Vec<_> = match own_arn(&whole).filter(|_| separator == ":") {
                        Some(parts) => parts.map(|part| Node::from_text(node.place, part)).to_vec(),
                        None => {
                            let whole = known(whole)?;
                            whole.split(&separator).map(|part| Node::from_text(node.place, part)).collect()
                        }
                    };
                    Ok(Some(Node::new(node.place, None, Content::List(parts))))
                }
                "Sub" => text(self.substitute(&argument)?),
                "Transform" => Err(not_read("`Fn::Transform` is not read")),
                other => Err(unresolved(format!("`{other}` is known to a deployment only"))),
            }
        })
    }

    /// Whether the condition of this name holds.
    pub fn named_condition(&self, name: &str) -> Result<bool, Unresolved> {
        let condition = self.conditions.as_ref().and_then(|conditions| conditions.get(name));
        let condition = condition.ok_or_else(|| unresolved(format!("there is no condition `{name}`")))?;
        self.condition(condition)
    }

    fn condition(&self, node: &Rc<Node>) -> Result<bool, Unresolved> {
        let malformed = || unresolved("its condition is malformed");
        let call = match node.map() {
            Some([Entry { key, value, .. }]) if key == "Condition" => {
                IntrinsicCall { function: key.clone(), argument: Rc::clone(value) }
            }
            _ => IntrinsicCall::from_node(node).ok_or_else(malformed)?,
        };
        self.deeper(|| {
            let IntrinsicCall { function, argument } = call;
            match function.as_str() {
                "And" => self.any(&argument, false).map(|found| !found),
                "Condition" => self.named_condition(argument.text().ok_or_else(malformed)?),
                "Equals" => {
                    let [left, right] = arguments("Equals", &argument)?;
                    let (left, right) = (self.text(left)?, self.text(right)?);
                    // An unknown text is equal to itself.
                    Ok(left == right || known(left)? == known(right)?)
                }
                "Not" => match argument.list() {
                    Some([condition]) => Ok(!self.condition(condition)?),
                    _ => Err(malformed()),
                },
                "Or" => self.any(&argument, true),
                _ => Err(malformed()),
            }
        })
    }

    /// Whether one of the conditions is `sought`. If one is, unknown ones do not matter.
    fn any(&self, conditions: &Node, sought: bool) -> Result<bool, Unresolved> {
        let conditions = conditions.list().ok_or_else(|| unresolved("its condition is malformed"))?;
        let mut unknown = None;
        for condition in conditions {
            match self.condition(condition) {
                Ok(found) if found == sought => return Ok(true),
                Ok(_) => {}
                Err(reason) => unknown = Some(reason),
            }
        }
        unknown.map_or(Ok(false), Err)
    }

    fn reference(&self, name: &str, place: Place) -> Result<Option<Rc<Node>>, Unresolved> {
        if name == "AWS::NoValue" {
            return Ok(None);
        }
        let declared = self.parameters.as_ref().and_then(|parameters| parameters.get(name));
        let Some(declared) = declared else {
            let pseudo = self.values.get(name).filter(|_| name.starts_with("AWS::")).cloned();
            return Ok(Some(Node::from_text(place, pseudo.unwrap_or_else(|| format!("${{{name}}}")))));
        };
        let kind = declared.get("Type").and_then(|kind| kind.text()).unwrap_or_default();
        if kind.starts_with("AWS::SSM::Parameter::Value") {
            let reason = format!("parameter `{name}` is the name of a value in the SSM parameter store");
            return Err(unresolved(reason));
        }
        if self.unknown.iter().any(|unknown| unknown == name) {
            return Err(unresolved(format!("parameter `{name}` is given by the outer stack, and not known")));
        }
        let default = declared.get("Default").filter(|default| !default.is_null());
        let value = self.values.get(name).map(String::as_str).or(default.and_then(|node| node.text()));
        let Some(value) = value else {
            return Err(unresolved(format!("parameter `{name}` has no default and was not given")));
        };
        if kind == "CommaDelimitedList" || kind.starts_with("List<") {
            let items = value.split(',').map(|item| Node::from_text(place, item.trim()));
            return Ok(Some(Node::new(place, None, Content::List(items.collect()))));
        }
        Ok(Some(Node::from_text(place, value)))
    }

    fn substitute(&self, argument: &Rc<Node>) -> Result<String, Unresolved> {
        let (template, variables) = match (argument.text(), argument.list()) {
            (Some(template), _) => (template, None),
            (None, Some([template, variables])) => {
                (template.text().ok_or_else(|| malformed("Sub"))?, Some(variables))
            }
            _ => return Err(malformed("Sub")),
        };
        let mut text = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}').ok_or_else(|| malformed("Sub"))?;
            text.push_str(before);
            rest = after;
            match (name.strip_prefix('!'), variables.and_then(|variables| variables.get(name))) {
                (Some(literal), _) => text.push_str(&format!("${{{literal}}}")),
                (None, Some(value)) => text.push_str(&self.text(value)?),
                (None, None) if name.contains('.') => text.push_str(&format!("${{{name}}}")),
                (None, None) => {
                    let value = self.reference(name, argument.place)?;
                    let value = value.as_ref().and_then(|value| value.text());
                    text.push_str(value.ok_or_else(|| malformed("Sub"))?);
                }
            }
            // Nested `Sub`s can double a text at every level.
            if text.len() > MAX_TEXT {
                return Err(unresolved("its text is too long"));
            }
        }
        text.push_str(rest);
        Ok(text)
    }

    fn find_in_map(&self, argument: &Rc<Node>) -> Result<Option<Rc<Node>>, Unresolved> {
        let [map, top, second] = arguments("FindInMap", argument)?;
        let mut found = self.mappings.as_ref();
        let mut path = Vec::new();
        for key in [map, top, second] {
            let key = known(self.text(key)?)?;
            found = found.and_then(|map| map.get(&key));
            path.push(key);
        }
        match found {
            Some(value) => Ok(Some(Rc::clone(value))),
            None => Err(unresolved(format!("there is no `{}` in the mappings", path.join(".")))),
        }
    }

    /// The text of a node, resolved.
    pub fn text(&self, node: &Rc<Node>) -> Result<String, Unresolved> {
        match self.resolve(node)?.as_ref().and_then(|node| node.text()) {
            Some(text) if text.len() <= MAX_TEXT => Ok(text.to_owned()),
            Some(_) => Err(unresolved("its text is too long")),
            None => Err(unresolved("it is no text")),
        }
    }

    /// The same, where a list is its texts with commas, as the parameters of nested stacks have it.
    pub fn text_or_list(&self, node: &Rc<Node>) -> Result<String, Unresolved> {
        match self.resolve(node)? {
            Some(list) if list.list().is_some() => Ok(self.texts(&list)?.join(",")),
            _ => self.text(node),
        }
    }

    fn list(&self, node: &Rc<Node>) -> Result<Vec<Rc<Node>>, Unresolved> {
        let node = self.resolve(node)?;
        let items = node.as_ref().and_then(|node| node.list());
        items.map(<[_]>::to_vec).ok_or_else(|| unresolved("it is no list"))
    }

    /// The texts of a list, resolved and without `AWS::NoValue`.
    pub fn texts(&self, node: &Rc<Node>) -> Result<Vec<String>, Unresolved> {
        let mut texts = Vec::new();
        for item in self.list(node)? {
            if let Some(item) = self.resolve(&item)? {
                texts.push(self.text(&item)?);
            }
        }
        Ok(texts)
    }

    /// Limits depth and work. Conditions may refer to each other, even in a circle.
    fn deeper<T>(&self, work: impl FnOnce() -> Result<T, Unresolved>) -> Result<T, Unresolved> {
        let (steps, depth) = (self.steps.get(), self.depth.get());
        if steps >= MAX_STEPS || depth >= MAX_DEPTH {
            return Err(unresolved("intrinsic functions are nested too deeply, or in a circle"));
        }
        self.steps.set(steps + 1);
        self.depth.set(depth + 1);
        let result = work();
        self.depth.set(depth);
        result
    }
}

/// A call of an intrinsic function: `!Ref Name`, `{Ref: Name}` or `{Fn::Sub: text}`.
struct IntrinsicCall {
    /// Without `Fn::`.
    function: String,
    argument: Rc<Node>,
}

impl IntrinsicCall {
    fn from_node(node: &Rc<Node>) -> Option<Self> {
        if let Some(tag) = &node.tag {
            return Some(Self { function: tag.clone(), argument: node.untagged() });
        }
        let Some([Entry { key, value, .. }]) = node.map() else { return None };
        let function = if key == "Ref" { key } else { key.strip_prefix("Fn::")? };
        Some(Self { function: function.to_owned(), argument: Rc::clone(value) })
    }
}

/// Whether a node is an intrinsic function.
pub fn is_function(node: &Rc<Node>) -> bool {
    IntrinsicCall::from_node(node).is_some()
}

/// The name in a text that is exactly one reference: `${Name}` or `${Name.Attribute}`.
pub fn reference(text: &str) -> Option<(&str, Option<&str>)> {
    let name = text.strip_prefix("${")?.strip_suffix('}').filter(|name| !name.contains('}'))?;
    Some(match name.split_once('.') {
        Some((name, attribute)) => (name, Some(attribute)),
        None => (name, None),
    })
}

/// All names that a text refers to as `${Name}` or `${Name.Attribute}`.
pub fn references(text: &str) -> impl Iterator<Item = &str> {
    attributes(text).map(|(name, _)| name)
}

/// The same, with the attributes.
pub fn attributes(text: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let names = text.split("${").skip(1).filter_map(|part| part.split_once('}')).map(|(name, _)| name);
    names.map(|name| match name.split_once('.') {
        Some((name, attribute)) => (name, Some(attribute)),
        None => (name, None),
    })
}

/// The name in a node that is nothing but `!Ref Name`.
pub fn parameter(node: &Rc<Node>) -> Option<String> {
    let IntrinsicCall { function, argument } = IntrinsicCall::from_node(node)?;
    (function == "Ref").then(|| argument.text().map(str::to_owned))?
}

/// The first parts of the ARN of a resource of this template, if the text is that. CDK takes partition and region from
/// the ARN of the function where it makes the URI of an authorizer. The service stands as the ARN itself: it is not known
/// here, and not needed.
fn own_arn(text: &str) -> Option<[&str; 5]> {
    let (_, attribute) = reference(text)?;
    (attribute == Some("Arn")).then_some([
        "arn",
        "${AWS::Partition}",
        text,
        "${AWS::Region}",
        "${AWS::AccountId}",
    ])
}

/// The text, unless it refers to something that is known only when deployed.
fn known(text: String) -> Result<String, Unresolved> {
    if let Some(name) = references(&text).next() {
        return Err(unresolved(format!("it depends on `{name}`, which only a deployment knows")));
    }
    Ok(text)
}

fn arguments<'n, const N: usize>(
    function: &str,
    argument: &'n Node,
) -> Result<&'n [Rc<Node>; N], Unresolved> {
    argument.list().and_then(|items| items.try_into().ok()).ok_or_else(|| malformed(function))
}

fn malformed(function: &str) -> Unresolved {
    Unresolved { kind: ProblemKind::Invalid, reason: format!("`{function}` is malformed") }
}

fn unresolved(reason: impl Into<String>) -> Unresolved {
    Unresolved { kind: ProblemKind::Unresolved, reason: reason.into() }
}

fn not_read(reason: impl Into<String>) -> Unresolved {
    Unresolved { kind: ProblemKind::NotRead, reason: reason.into() }
}

/// No property read here is longer. A URI has about 200 characters, and so has an expression.
const MAX_TEXT: usize = 65_536;

/// A template has at most 500 resources (CloudFormation User Guide, "Understand CloudFormation quotas").
const MAX_STEPS: usize = 1_000_000;

const MAX_DEPTH: usize = 100;
