//! Inputs: what the policies read in a request.
//!
//! The analysis is syntactic: it walks the JSON form of a policy (Cedar Policy Language Reference, "JSON policy
//! format") and counts every attribute in it as read. It may report too much, never too little.

use std::collections::{BTreeSet, HashMap};

use cedar_policy::{EntityId, EntityTypeName, EntityUid};
use serde_json::Value;

use crate::gateway::input::Input;

/// All members of `context.http`.
const HTTP: &[Input] = &[
    Input::Headers,
    Input::Host,
    Input::Method,
    Input::Path,
    Input::SourceIp,
    Input::Stage,
    Input::Time,
    Input::UserAgent,
];

impl AttributeRead {
    /// The inputs behind an attribute of the context. Other attributes that a schema declares are never filled,
    /// so they are not inputs.
    pub fn inputs(&self) -> Vec<Input> {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        match (self.variable, path.as_slice()) {
            (Variable::Context, []) => [HTTP, &[Input::PathParameters, Input::QueryParameters]].concat(),
            // Whether they are present is the same for all calls of a route, but not known without a call.
            (Variable::Context, ["pathParameters", ..]) => vec![Input::PathParameters],
            (Variable::Context, ["queryStringParameters"]) if self.is_presence => vec![Input::QueryPresence],
            (Variable::Context, ["queryStringParameters"]) => vec![Input::QueryParameters],
            // A call without a query does not even have the record.
            (Variable::Context, ["queryStringParameters", name, ..]) => {
                vec![Input::Query((*name).to_owned()), Input::QueryPresence]
            }
            (Variable::Context, ["http"]) if !self.is_presence => HTTP.to_vec(),
            (Variable::Context, ["http", "headers"]) if !self.is_presence => vec![Input::Headers],
            (Variable::Context, ["http", "headers", name, ..]) => {
                vec![Input::Header(name.to_ascii_lowercase())]
            }
            (Variable::Context, ["http", name, ..]) => Input::of_http(name).into_iter().collect(),
            (Variable::Resource, _) => vec![Input::Resource],
            _ => Vec::new(),
        }
    }
}

/// Something that a policy reads: a variable and the attributes below it, as far as they are named. Without
/// attributes, the variable is read as a whole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AttributeRead {
    /// The variable.
    pub variable: Variable,
    /// The attributes, outermost first.
    pub path: Vec<String>,
    /// Whether only the presence of the last attribute is read, not its value.
    pub is_presence: bool,
}

/// A variable of Cedar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "Cedar's own words")]
pub enum Variable {
    Action,
    Context,
    Principal,
    Resource,
}

/// What the conditions of a policy or template read. `policy` is its JSON form.
pub fn reads(policy: &Value) -> BTreeSet<AttributeRead> {
    let mut reads = BTreeSet::new();
    if let Some(conditions) = policy.get("conditions") {
        collect(conditions, &mut reads);
    }
    reads
}

/// The requests to which a policy or template may apply, and the inputs that it reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PolicyInputs {
    /// The actions that its scope names. Actions in these match as well. `None`: any.
    actions: Option<BTreeSet<EntityUid>>,
    /// The type of resource of its scope. `None`: any.
    resource_type: Option<EntityTypeName>,
    inputs: BTreeSet<Input>,
}

impl PolicyInputs {
    /// Reads a policy or template in its JSON form. `None`: the JSON does not have that form.
    pub fn from_policy(policy: &Value) -> Option<Self> {
        let (action, resource) = (policy.get("action")?, policy.get("resource")?);
        let actions = match action.get("op")?.as_str()? {
            "All" => None,
            _ => {
                let several = action.get("entities").and_then(Value::as_array).into_iter().flatten();
                let named = action.get("entity").into_iter().chain(several);
                Some(named.map(entity).collect::<Option<BTreeSet<_>>>()?)
            }
        };
        let mut inputs: BTreeSet<Input> = reads(policy).iter().flat_map(AttributeRead::inputs).collect();
        let resource_op = resource.get("op")?.as_str()?;
        let is_type = resource_op == "is";
        if resource.get("in").is_some() || !(is_type || resource_op == "All") {
            inputs.insert(Input::Resource);
        }
        let resource_type =
            if is_type { Some(resource.get("entity_type")?.as_str()?.parse().ok()?) } else { None };
        Some(Self { actions, resource_type, inputs })
    }

    /// What it reads of a call.
    pub fn inputs(&self) -> &BTreeSet<Input> {
        &self.inputs
    }

    /// Whether its scope names actions.
    pub fn names_actions(&self) -> bool {
        self.actions.is_some()
    }

    /// Whether its scope may match a request for this action on a resource of this type. `action` is the action
    /// with all that it is in.
    pub fn may_match(&self, action: &[EntityUid], resource_type: &EntityTypeName) -> bool {
        let is_of_type = self.resource_type.as_ref().is_none_or(|own| own == resource_type);
        let mut action = action.iter();
        is_of_type
            && self.actions.as_ref().is_none_or(|actions| action.any(|action| actions.contains(action)))
    }
}

/// What policies read, by the actions of their scopes. Many policies read the same, and only a few concern each
/// route.
#[derive(Clone, Debug, Default)]
pub struct InputsByAction(HashMap<Option<EntityUid>, BTreeSet<InputsOnResource>>);

/// What is read if the resource has this type. `None`: any type.
type InputsOnResource = (Option<EntityTypeName>, BTreeSet<Input>);

impl InputsByAction {
    /// Adds a policy or template.
    pub fn add(&mut self, policy: PolicyInputs) {
        let PolicyInputs { actions, resource_type, inputs } = policy;
        let mut add = |action| {
            let read = (resource_type.clone(), inputs.clone());
            self.0.entry(action).or_default().insert(read);
        };
        match actions {
            Some(actions) => actions.into_iter().map(Some).for_each(add),
            None => add(None),
        }
    }

    /// What is read by the policies whose scopes may match a request for an action on a resource of this type.
    /// `action` is the action with all that it is in.
    pub fn for_request(&self, action: &[EntityUid], resource_type: &EntityTypeName) -> BTreeSet<Input> {
        let actions = action.iter().cloned().map(Some).chain([None]);
        let reads = actions.filter_map(|action| self.0.get(&action)).flatten();
        let of_type = reads.filter(|(of, _)| of.as_ref().is_none_or(|own| own == resource_type));
        of_type.flat_map(|(_, inputs)| inputs).cloned().collect()
    }
}

fn entity(json: &Value) -> Option<EntityUid> {
    let json = json.get("__entity").unwrap_or(json);
    let text = |name: &str| json.get(name).and_then(Value::as_str);
    Some(EntityUid::from_type_name_and_id(text("type")?.parse().ok()?, EntityId::new(text("id")?)))
}

/// The entities that the conditions of a policy or template name and may look into. A policy may ask for their
/// attributes and for what they are in, so every request needs them. An entity whose id is all that matters does
/// not count.
pub fn named_entities(policy: &Value) -> BTreeSet<EntityUid> {
    let mut found = BTreeSet::new();
    if let Some(conditions) = policy.get("conditions") {
        collect_entities(conditions, &mut found);
    }
    found
}

fn collect_entities(expression: &Value, found: &mut BTreeSet<EntityUid>) {
    found.extend(expression.get("__entity").and_then(entity));
    match expression {
        Value::Array(parts) => parts.iter().for_each(|part| collect_entities(part, found)),
        Value::Object(parts) => parts.iter().for_each(|(operator, part)| {
            // Nothing is read in an entity that something is only compared with, or may be in.
            let by_id: &[&str] = match operator.as_str() {
                "==" | "!=" => &["left", "right"],
                "in" => &["right"],
                "is" => &["in"],
                _ => &[],
            };
            match part {
                Value::Object(operands) if part.get("left").is_some() => {
                    let read = operands
                        .iter()
                        .filter(|(name, operand)| !(by_id.contains(&name.as_str()) && is_entities(operand)));
                    read.for_each(|(_, operand)| collect_entities(operand, found));
                }
                _ => collect_entities(part, found),
            }
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Whether it is an entity literal, or a list of them.
pub(super) fn is_entities(expression: &Value) -> bool {
    let is_entity = |value: &Value| value.get("__entity").is_some();
    let is_literal = |expression: &Value| match expression.get("Value") {
        Some(Value::Array(values)) => values.iter().all(is_entity),
        Some(value) => is_entity(value),
        None => false,
    };
    let set = expression.get("Set").and_then(Value::as_array);
    is_literal(expression) || set.is_some_and(|elements| elements.iter().all(is_literal))
}

fn collect(expression: &Value, reads: &mut BTreeSet<AttributeRead>) {
    if let Some(read) = access(expression) {
        // `context.a has b.c` also reads the presence of `context.a.b`, and of everything before it.
        if read.is_presence {
            let shorter = |length: usize| {
                Some(AttributeRead { path: read.path.get(..length)?.to_vec(), ..read.clone() })
            };
            reads.extend((1..read.path.len()).filter_map(shorter));
        }
        reads.insert(read);
        return;
    }
    // Whatever the operator is, everything below it counts.
    match expression {
        Value::Array(parts) => parts.iter().for_each(|part| collect(part, reads)),
        Value::Object(parts) => parts.values().for_each(|part| collect(part, reads)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// `variable`, `variable.a.b` or `variable.a has b`; nothing else.
fn access(expression: &Value) -> Option<AttributeRead> {
    let operators = expression.as_object().filter(|object| object.len() == 1)?;
    let (operator, operand) = operators.iter().next()?;
    if operator == "Var" {
        let variable = match operand.as_str()? {
            "action" => Variable::Action,
            "context" => Variable::Context,
            "principal" => Variable::Principal,
            "resource" => Variable::Resource,
            _ => return None,
        };
        return Some(AttributeRead { variable, path: Vec::new(), is_presence: false });
    }
    if operator != "." && operator != "has" {
        return None;
    }
    let mut read = access(operand.get("left")?)?;
    // The result of `has` is a boolean, which has no attributes.
    if read.is_presence {
        return None;
    }
    read.is_presence = operator == "has";
    match operand.get("attr")? {
        Value::String(attribute) => read.path.push(attribute.clone()),
        // `has a.b` names all its attributes at once.
        Value::Array(attributes) => {
            let names: Option<Vec<&str>> = attributes.iter().map(Value::as_str).collect();
            read.path.extend(names?.into_iter().map(str::to_owned));
        }
        _ => return None,
    }
    Some(read)
}

#[cfg(test)]
mod tests {
    use cedar_policy::Policy;

    use super::*;
    use crate::bundle::policies::Dependence;

    fn printed(condition: &str) -> Vec<String> {
        let text = format!("permit (principal, action, resource) when {{ {condition} }};");
        let policy = Policy::parse(None, text).unwrap().to_json().unwrap();
        let print = |read: AttributeRead| {
            let has = if read.is_presence { "?" } else { "" };
            format!("{:?} {}{has}", read.variable, read.path.join("."))
        };
        reads(&policy).into_iter().map(print).collect()
    }

    #[test]
    fn the_entities_of_conditions_are_named() {
        let text = "permit (principal in G::\"scope\", action, resource) when { [X::\"a\"].contains(A::B::\"b\".c) };";
        let policy = Policy::parse(None, text).unwrap().to_json().unwrap();
        let named: Vec<String> = named_entities(&policy).iter().map(ToString::to_string).collect();
        assert_eq!(named, ["A::B::\"b\"", "X::\"a\""]);
    }

    #[test]
    fn an_entity_of_which_only_the_id_matters_is_not_among_them() {
        for (condition, expected) in [
            ("principal in G::\"a\" && resource == X::\"b\" && X::\"c\" != resource", vec![]),
            ("principal in [G::\"a\", G::\"b\"] || principal is U in G::\"c\"", vec![]),
            ("G::\"a\" in G::\"b\"", vec!["G::\"a\""]),
            ("G::\"a\".next in G::\"b\"", vec!["G::\"a\""]),
            ("principal in G::\"a\".next", vec!["G::\"a\""]),
            ("principal in [G::\"a\", G::\"b\".next]", vec!["G::\"a\"", "G::\"b\""]),
            ("(if true then G::\"a\" else G::\"b\") in G::\"c\"", vec!["G::\"a\"", "G::\"b\""]),
            ("(if true then G::\"a\" else resource) == resource", vec!["G::\"a\""]),
            ("G::\"a\" has x || G::\"b\".hasTag(\"x\")", vec!["G::\"a\"", "G::\"b\""]),
            (
                "{\"==\": G::\"a\", left: G::\"b\", right: G::\"c\"}.left.x",
                vec!["G::\"a\"", "G::\"b\"", "G::\"c\""],
            ),
        ] {
            let text = format!("permit (principal, action, resource) when {{ {condition} }};");
            let policy = Policy::parse(None, text).unwrap().to_json().unwrap();
            let named: Vec<String> = named_entities(&policy).iter().map(ToString::to_string).collect();
            assert_eq!(named, expected, "{condition}");
        }
    }

    #[test]
    fn what_a_condition_depends_on_is_never_less_than_what_it_reads() {
        for (condition, expected) in [
            ("principal.x == 1 && G::\"a\".x == 1", ""),
            (
                "context.token.scope.contains(\"a\") && context has token.x && context[\"token\"] has y",
                "token",
            ),
            ("context has token", "token"),
            ("context.tokens.x", "context"),
            ("context has x.token", "context"),
            ("context == {token: 1}", "context"),
            ("(if true then context else context).token.x", "context"),
            ("{a: context}.a.token", "context"),
            ("action in G::\"a\" && resource.token == 1", "action resource"),
            ("[{\"x\": resource}].contains({\"x\": principal}) || context.token.y", "resource token"),
            ("{\"Var\": 1}.Var == 1 && {left: 1, attr: \"token\"}.left == 1", ""),
        ] {
            let text = format!("permit (principal, action, resource) when {{ {condition} }};");
            let policy = Policy::parse(None, text).unwrap().to_json().unwrap();
            let Dependence { action, resource, token, context } = Dependence::from_policy(&policy);
            let named = [(action, "action"), (resource, "resource"), (token, "token"), (context, "context")];
            let found: Vec<&str> = named.into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect();
            assert_eq!(found.join(" "), expected, "{condition}");
            // The other analysis of conditions agrees.
            for read in reads(&policy) {
                assert!(
                    match read.variable {
                        Variable::Principal => true,
                        Variable::Action => action,
                        Variable::Resource => resource,
                        Variable::Context if read.path.first().is_some_and(|name| name == "token") =>
                            token || context,
                        Variable::Context => context,
                    },
                    "{condition}: {read:?}"
                );
            }
        }
    }

    #[test]
    fn an_attribute_is_read_wherever_it_stands() {
        for (condition, expected) in [
            ("true", vec![]),
            ("principal.email == \"a\"", vec!["Principal email"]),
            ("principal[\"custom:x\"] == 1", vec!["Principal custom:x"]),
            (
                "context has token && context.token.scope.contains(\"a\")",
                vec!["Context token?", "Context token.scope"],
            ),
            ("principal has a.b", vec!["Principal a?", "Principal a.b?"]),
            ("[context.a, {\"x\": resource.b}].contains(1)", vec!["Context a", "Resource b"]),
            ("if context.a then context.b else context.c", vec!["Context a", "Context b", "Context c"]),
            ("ip(context.ip).isInRange(ip(\"10.0.0.0/8\"))", vec!["Context ip"]),
            ("principal.name like \"a*\" || !(principal.age < 5)", vec!["Principal age", "Principal name"]),
            ("(if true then principal else resource).a == 1", vec!["Principal ", "Resource "]),
            ("context == {}", vec!["Context "]),
            ("principal in resource.owners", vec!["Principal ", "Resource owners"]),
            ("resource.getTag(principal.key) == 1", vec!["Principal key", "Resource "]),
            ("{\"Var\": \"principal\"}.Var == 1", vec![]),
        ] {
            assert_eq!(printed(condition), expected, "{condition}");
        }
    }

    #[test]
    fn inputs_are_what_the_call_fills() {
        for (condition, expected) in [
            ("context.token.a == 1 && principal.b == 2", vec![]),
            ("context has http", vec![]),
            ("context has pathParameters", vec![Input::PathParameters]),
            ("context.pathParameters.id == \"7\"", vec![Input::PathParameters]),
            ("context has queryStringParameters", vec![Input::QueryPresence]),
            ("context has queryStringParameters.q", vec![Input::Query("q".to_owned()), Input::QueryPresence]),
            ("context.queryStringParameters == {}", vec![Input::QueryParameters]),
            ("context.http.headers has \"X-A\"", vec![Input::Header("x-a".to_owned())]),
            ("context.http.headers == {}", vec![Input::Headers]),
            ("context.http has sourceIp", vec![Input::SourceIp]),
            ("context.http.requestTime > context.http.requestTime", vec![Input::Time]),
            ("context.http.route == \"/\"", vec![]),
            ("context.unknown.value == 1", vec![]),
            ("resource.owner == principal", vec![Input::Resource]),
            ("principal in resource", vec![Input::Resource]),
        ] {
            let text = format!("permit (principal, action, resource) when {{ {condition} }};");
            let policy = Policy::parse(None, text).unwrap().to_json().unwrap();
            let found: Vec<Input> = PolicyInputs::from_policy(&policy).unwrap().inputs.into_iter().collect();
            assert_eq!(found, expected, "{condition}");
        }
        let whole =
            Policy::parse(None, "permit (principal, action, resource) when { context == {} };").unwrap();
        let whole = PolicyInputs::from_policy(&whole.to_json().unwrap()).unwrap().inputs;
        assert_eq!(whole.len(), HTTP.len() + 2);
    }

    #[test]
    fn the_scope_says_for_which_requests_a_policy_counts() {
        let uid = |text: &str| text.parse::<EntityUid>().unwrap();
        let scope_only =
            |scope: &str| Policy::parse(None, format!("permit ({scope});")).unwrap().to_json().unwrap();
        let of_one = |policy: &PolicyInputs| {
            let mut inputs = InputsByAction::default();
            inputs.add(policy.clone());
            inputs
        };
        let (read, group, write) =
            (uid("Action::\"read\""), uid("Action::\"group\""), uid("Action::\"write\""));
        for (scope, counts_for_read, reads_resource) in [
            ("principal, action, resource", true, false),
            ("principal, action == Action::\"read\", resource", true, false),
            ("principal, action == Action::\"write\", resource", false, false),
            ("principal, action in [Action::\"write\", Action::\"group\"], resource", true, false),
            ("principal, action in Action::\"other\", resource", false, false),
            ("principal, action, resource == T::\"a\"", true, true),
            ("principal, action, resource in T::\"a\"", true, true),
            ("principal, action, resource is T", true, false),
            ("principal, action, resource is T in T::\"a\"", true, true),
            ("principal, action, resource is Other", false, false),
        ] {
            let policy = scope_only(scope);
            let policy =
                PolicyInputs { inputs: [Input::Time].into(), ..PolicyInputs::from_policy(&policy).unwrap() };
            let counts = of_one(&policy).for_request(&[read.clone(), group.clone()], &"T".parse().unwrap());
            assert_eq!(!counts.is_empty(), counts_for_read, "{scope}");
            let inputs = PolicyInputs::from_policy(&scope_only(scope)).unwrap().inputs;
            assert_eq!(inputs.contains(&Input::Resource), reads_resource, "{scope}");
        }
        let template = "permit (principal == ?principal, action, resource in ?resource);";
        let template = cedar_policy::Template::parse(None, template).unwrap().to_json().unwrap();
        let inputs = of_one(&PolicyInputs::from_policy(&template).unwrap());
        assert!(inputs.for_request(&[write], &"T".parse().unwrap()).contains(&Input::Resource));
    }
}
