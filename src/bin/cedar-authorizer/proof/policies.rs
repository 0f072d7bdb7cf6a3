//! The policies of a store, made ready for proofs.

use std::collections::BTreeSet;

use cedar_authorizer::bundle::StoreFiles;
use cedar_authorizer::cedar::{
    Effect, Entities, EntityTypeName, EntityUid, Policy, PolicyId, PolicySet, Schema, SchemaFragment,
};
use cedar_authorizer::store::settings::Validation;
use serde_json::{Value, json};

use super::existence;
use super::expression::{all, any, binary, entity, may_err, not, permit_when, variable};
use crate::output::{Failure, printable};
use crate::test_bench::TestBench;

/// What somebody of one type can ask for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Environment {
    pub action: EntityUid,
    pub principal: EntityTypeName,
    pub resource: EntityTypeName,
}

impl Environment {
    /// In Cedar's form.
    pub fn for_cedar(&self) -> cedar_authorizer::cedar::RequestEnv {
        let Self { action, principal, resource } = self.clone();
        cedar_authorizer::cedar::RequestEnv::new(principal, action, resource)
    }
}

/// A policy store of which something can be proved.
pub struct Provable<'a> {
    pub bench: &'a TestBench,
    /// With [the attribute](existence::EXISTS) that says whether an entity is there.
    pub schema: Schema,
    pub environments: BTreeSet<Environment>,
    pub policies: Vec<ProvablePolicy>,
}

/// A policy, with a template link written out.
#[derive(Clone, Debug)]
pub struct ProvablePolicy {
    pub id: PolicyId,
    pub effect: Effect,
    /// In Cedar's JSON form.
    json: Value,
    /// What has to hold for it to apply, apart from the action.
    pub condition: Value,
}

impl<'a> Provable<'a> {
    /// # Errors
    /// The store has no schema, does not validate, or has one that proofs cannot work with.
    pub fn new(bench: &'a TestBench) -> Result<Self, Failure> {
        let store = bench.store();
        let unprovable = |why: &str| {
            let name = printable(bench.name());
            let failure =
                Failure::could_not_run(format_args!("nothing can be proved of the store `{name}`: {why}"));
            failure.hint("proofs need a schema, and policies that are valid by it: `validation = \"strict\"`")
        };
        if store.settings.validation != Validation::Strict {
            return Err(unprovable("its validation is off"));
        }
        let schema = store.schema.as_ref().ok_or_else(|| unprovable("it has no schema"))?;
        let environments = schema.request_envs().map(|environment| Environment {
            action: environment.action().clone(),
            principal: environment.principal().clone(),
            resource: environment.resource().clone(),
        });
        let environments = environments.collect();
        let schema = fragment(bench.files()).and_then(existence::extended).map_err(|why| unprovable(&why))?;
        let mut policies = Vec::new();
        for policy in store.policy_set().policies() {
            let why = |error: String| unprovable(&format!("policy `{}`: {error}", policy.id()));
            policies.push(ProvablePolicy::new(policy).map_err(why)?);
        }
        policies.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(Self { bench, schema, environments, policies })
    }

    /// The entities of the store, with the actions of the schema.
    pub fn entities(&self) -> &Entities {
        &self.bench.store().entities
    }

    /// The policies that may apply in an environment, as far as types and actions go.
    pub fn slice(&self, environment: &Environment) -> Vec<&ProvablePolicy> {
        self.policies.iter().filter(|policy| policy.is_about(environment, self.entities())).collect()
    }
}

/// The schema, as its file has it.
fn fragment(files: &StoreFiles) -> Result<SchemaFragment, String> {
    let text = |name: &str| files.get(name).and_then(|bytes| std::str::from_utf8(bytes).ok());
    if let Some(text) = text("schema.cedarschema") {
        let read = SchemaFragment::from_cedarschema_str(text);
        return read.map(|(fragment, _)| fragment).map_err(|error| error.to_string());
    }
    let text = text("schema.cedarschema.json").ok_or("it has no schema")?;
    SchemaFragment::from_json_str(text).map_err(|error| error.to_string())
}

impl ProvablePolicy {
    /// # Errors
    /// Cedar cannot write it as JSON.
    pub fn new(policy: &Policy) -> Result<Self, String> {
        let json = policy.to_json().map_err(|error| error.to_string())?;
        if !has_known_actions(&json) {
            return Err("its `action` is in a form that is not known".to_owned());
        }
        let mut parts = vec![scope(&json, "principal")?, scope(&json, "resource")?];
        let conditions = json.get("conditions").and_then(Value::as_array).ok_or("it has no conditions")?;
        for condition in conditions {
            let body = condition.get("body").cloned().ok_or("a condition without a body")?;
            let is_unless = condition.get("kind").and_then(Value::as_str) == Some("unless");
            parts.push(Some(if is_unless { not(body) } else { body }));
        }
        let condition = all(parts.into_iter().flatten().collect());
        Ok(Self { id: policy.id().clone(), effect: policy.effect(), json, condition })
    }

    /// Whether it may apply in an environment, as far as types and actions go.
    fn is_about(
        &self,
        Environment { action, principal, resource }: &Environment,
        entities: &Entities,
    ) -> bool {
        let is_in = |group: &EntityUid| action == group || entities.is_ancestor_of(group, action);
        let constraint = self.json.get("action");
        let op = constraint.and_then(|constraint| constraint.get("op")).and_then(Value::as_str);
        let meets_action = match op {
            Some("==" | "in") => named(constraint).iter().any(is_in),
            _ => true,
        };
        let meets = |part: &str, name: &EntityTypeName| {
            let constraint = self.json.get(part);
            let op = constraint.and_then(|constraint| constraint.get("op")).and_then(Value::as_str);
            match op {
                Some("is") => {
                    let wanted = constraint.and_then(|constraint| constraint.get("entity_type"));
                    wanted.and_then(Value::as_str).is_none_or(|wanted| wanted == name.to_string())
                }
                Some("==") => named(constraint).iter().all(|uid| uid.type_name() == name),
                _ => true,
            }
        };
        meets_action && meets("principal", principal) && meets("resource", resource)
    }
}

/// The entities of a scope constraint.
fn named(constraint: Option<&Value>) -> Vec<EntityUid> {
    let Some(constraint) = constraint else { return Vec::new() };
    let several = constraint.get("entities").and_then(Value::as_array).into_iter().flatten();
    let one = constraint.get("entity");
    several.chain(one).filter_map(|entity| EntityUid::from_json(entity.clone()).ok()).collect()
}

/// The part of a scope as an expression. `None`: it is open.
///
/// # Errors
/// It is in a form that is not known. It must not pass for one that is open.
fn scope(json: &Value, part: &str) -> Result<Option<Value>, String> {
    let unknown = || format!("its `{part}` is in a form that is not known");
    let constraint = json.get(part).ok_or_else(unknown)?;
    let subject = variable(part);
    // A template link writes its entities in the long form, with `__entity`.
    let group = |of: &Value| {
        let uid = of.get("entity").and_then(|uid| EntityUid::from_json(uid.clone()).ok());
        uid.as_ref().map(entity).ok_or_else(unknown)
    };
    match constraint.get("op").and_then(Value::as_str) {
        Some("All") => Ok(None),
        Some(operator @ ("==" | "in")) => Ok(Some(binary(operator, subject, group(constraint)?))),
        Some("is") => {
            let name = constraint.get("entity_type").and_then(Value::as_str).ok_or_else(unknown)?;
            let mut is = json!({"left": subject, "entity_type": name});
            if let (Some(inner), Some(object)) = (constraint.get("in"), is.as_object_mut()) {
                object.insert("in".to_owned(), group(inner)?);
            }
            Ok(Some(json!({"is": is})))
        }
        _ => Err(unknown()),
    }
}

/// Whether the actions that a policy is about can be read, all of them.
fn has_known_actions(json: &Value) -> bool {
    let Some(constraint) = json.get("action") else { return false };
    let count = match constraint.get("op").and_then(Value::as_str) {
        Some("All") => 0,
        Some("==") => 1,
        Some("in") => constraint.get("entities").and_then(Value::as_array).map_or(1, Vec::len),
        _ => return false,
    };
    named(Some(constraint)).len() == count
}

/// Policies that Cedar alone decides by as the function decides by these: no forbid may apply, and a forbid that cannot
/// be evaluated counts as one that applies. A permit that cannot be evaluated is skipped.
///
/// A permit of the result applies if each forbid can be evaluated and is false, and the permits of this part can be
/// evaluated and one is true. So permits that may err stand alone, and all others are together in one.
///
/// # Errors
/// A condition is nothing that Cedar reads back.
pub fn deciding(permits: &[Value], forbids: &[Value], assumptions: &[Value]) -> Result<PolicySet, String> {
    let (risky, sure): (Vec<Value>, Vec<Value>) = permits.iter().cloned().partition(may_err);
    let mut closed: Vec<Value> = assumptions.to_vec();
    closed.extend(forbids.iter().cloned().map(not));
    let parts = any(sure).into_iter().chain(risky);
    let conditions = parts.map(|part| {
        let mut whole = closed.clone();
        whole.push(part);
        all(whole)
    });
    policy_set(conditions)
}

/// A permit for each condition.
///
/// # Errors
/// A condition is nothing that Cedar reads back.
pub fn policy_set(conditions: impl Iterator<Item = Value>) -> Result<PolicySet, String> {
    let policies = conditions.enumerate().map(|(number, condition)| policy(number, condition));
    PolicySet::from_policies(policies.collect::<Result<Vec<_>, _>>()?).map_err(|error| error.to_string())
}

/// One permit.
///
/// # Errors
/// The condition is nothing that Cedar reads back.
pub fn policy(number: usize, condition: Value) -> Result<Policy, String> {
    let id = PolicyId::new(format!("part{number}"));
    Policy::from_json(Some(id), permit_when(condition)).map_err(|error| error.to_string())
}

/// Adds the entities that an expression names.
pub fn find_entities(expression: &Value, found: &mut BTreeSet<EntityUid>) {
    match expression {
        Value::Array(items) => items.iter().for_each(|item| find_entities(item, found)),
        Value::Object(members) => {
            if let Some(reference) = members.get("__entity")
                && let Ok(uid) = EntityUid::from_json(reference.clone())
            {
                found.insert(uid);
                return;
            }
            members.values().for_each(|inner| find_entities(inner, found));
        }
        _ => {}
    }
}
