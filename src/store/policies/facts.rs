//! What the conditions of policies read and name, computed once for all policies of a [shape](super::shape).

use std::collections::BTreeSet;

use cedar_policy::EntityUid;
use serde_json::{Value, json};

use crate::bundle::policies::Dependence;
use crate::store::inputs::{self, AttributeRead, PolicyInputs};

/// What is known of the policies and templates of one shape.
#[derive(Debug)]
pub(in crate::store) struct Facts {
    /// The requests to which they may apply, and what they read of a call. `None`: their JSON form is not supported.
    pub(in crate::store) inputs: Option<PolicyInputs>,
    /// What their conditions read.
    pub(in crate::store) reads: BTreeSet<AttributeRead>,
    /// The entities that their conditions name and may look into.
    pub(in crate::store) named_entities: BTreeSet<EntityUid>,
    /// What their conditions depend on.
    pub(in crate::store) depends: Dependence,
    /// Whether they have conditions.
    pub(in crate::store) has_conditions: bool,
    /// Whether all their conditions are `when { true }`.
    pub(in crate::store) is_always_true: bool,
    /// Whether a condition asks what something is in without naming it, as `principal in resource.readers`.
    pub(in crate::store) looks_up_groups: bool,
}

impl Facts {
    /// Looks at a policy or template in its JSON form.
    pub(super) fn of(policy: &Value) -> Self {
        let conditions = policy.get("conditions");
        let all = conditions.and_then(Value::as_array);
        let is_true = |condition: &Value| *condition == json!({"kind": "when", "body": {"Value": true}});
        Self {
            inputs: PolicyInputs::from_policy(policy),
            reads: inputs::reads(policy),
            named_entities: inputs::named_entities(policy),
            depends: Dependence::from_policy(policy),
            has_conditions: !all.is_some_and(Vec::is_empty),
            is_always_true: all.is_some_and(|all| all.iter().all(is_true)),
            looks_up_groups: conditions.is_some_and(looks_up),
        }
    }
}

fn looks_up(expression: &Value) -> bool {
    match expression {
        Value::Array(parts) => parts.iter().any(looks_up),
        Value::Object(parts) => parts.iter().any(|(operator, part)| {
            let group = match operator.as_str() {
                "in" => part.get("right"),
                "is" => part.get("in"),
                _ => None,
            };
            group.is_some_and(|group| !inputs::is_entities(group)) || looks_up(part)
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
