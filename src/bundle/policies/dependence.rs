//! What the condition of a policy depends on.
//!
//! The analysis is syntactic: it walks the JSON form of a policy (Cedar Policy Language Reference, "JSON policy
//! format"). It may report too much, never too little.

use serde_json::Value;

/// What the conditions of a policy or template depend on in a request, beside the principal and the entities of
/// the store. Like the analyses of a store, it may report too much, never too little.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dependence {
    /// The action.
    pub action: bool,
    /// The resource.
    pub resource: bool,
    /// `context.token`, or whether it is there.
    pub token: bool,
    /// Anything else in the context.
    pub context: bool,
}

impl Dependence {
    /// Everything.
    pub const ALL: Self = Self { action: true, resource: true, token: true, context: true };

    /// Reads a policy or template in its JSON form.
    pub fn from_policy(policy: &Value) -> Self {
        let mut found = Self::default();
        match policy.get("conditions") {
            Some(conditions) => found.add(conditions),
            None => found = Self::ALL,
        }
        found
    }

    fn add(&mut self, expression: &Value) {
        match expression {
            Value::Array(parts) => parts.iter().for_each(|part| self.add(part)),
            Value::Object(parts) => {
                for (operator, operand) in parts {
                    match (operator.as_str(), operand) {
                        ("Var", Value::String(variable)) => self.add_variable(variable),
                        ("." | "has", operand) if is_of_token(operand) => self.token = true,
                        (_, operand) => self.add(operand),
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn add_variable(&mut self, variable: &str) {
        match variable {
            "principal" => {}
            "action" => self.action = true,
            "resource" => self.resource = true,
            "context" => self.context = true,
            _ => *self = Self::ALL,
        }
    }
}

/// Whether the operands are those of `context.token`, or of `context has token`, perhaps with more after it.
fn is_of_token(operand: &Value) -> bool {
    let is_context = operand.get("left").is_some_and(|left| {
        left.as_object().is_some_and(|left| left.len() == 1)
            && left.get("Var").is_some_and(|of| of == "context")
    });
    let first = match operand.get("attr") {
        Some(Value::Array(attributes)) => attributes.first(),
        attribute => attribute,
    };
    is_context && first.is_some_and(|first| first == "token")
}
