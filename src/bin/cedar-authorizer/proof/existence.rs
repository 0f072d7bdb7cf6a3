//! Entities that need not be there.
//!
//! The symbolic compiler takes every entity to be there, with all the attributes that the schema requires. For the
//! principal that is so. A resource of the path may well not be in `entities.json`; then Cedar reads no attribute of it
//! (an error), and `has` is false. So every entity gets one more attribute, which says whether it is there, and what is
//! read of an entity asks for that first.

use cedar_authorizer::cedar::{Schema, SchemaFragment};
use cedar_policy_symcc::SymEnv;
use cedar_policy_symcc::term_type::TermType;
use serde_json::{Map, Value, json};

use super::expression::{binary, variable};

/// The attribute. No schema has one of this name, since it is not what a person would write.
pub const EXISTS: &str = "(exists)";

/// The schema with the attribute for every type of entity.
///
/// # Errors
/// Why that cannot be.
pub fn extended(fragment: SchemaFragment) -> Result<Schema, String> {
    let mut schema = fragment.to_json_value().map_err(|error| error.to_string())?;
    let namespaces = schema.as_object_mut().into_iter().flat_map(Map::values_mut);
    let types = namespaces.filter_map(|namespace| namespace.get_mut("entityTypes")?.as_object_mut());
    for (name, definition) in types.flatten() {
        let Some(definition) = definition.as_object_mut() else { continue };
        if definition.contains_key("enum") {
            continue;
        }
        let shape = definition.entry("shape").or_insert_with(|| json!({"type": "Record", "attributes": {}}));
        let attributes = shape.get_mut("attributes").and_then(Value::as_object_mut);
        let Some(attributes) = attributes else {
            return Err(format!("the shape of `{name}` is a common type"));
        };
        attributes.insert(EXISTS.to_owned(), json!({"type": "Boolean", "required": true}));
    }
    Schema::from_json_value(schema).map_err(|error| error.to_string())
}

/// The expression as it is evaluated where entities may be missing.
///
/// # Errors
/// It reads something whose type is not known.
pub fn guarded(expression: &Value, types: &SymEnv) -> Result<Value, String> {
    Ok(match expression {
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| guarded(item, types)).collect::<Result<_, _>>()?)
        }
        Value::Object(members) => {
            if let Some((name, inner)) = members.iter().next()
                && let Some(read) = Read::of(name, inner)
            {
                return read.guarded(types);
            }
            let mut all = Map::new();
            for (name, inner) in members {
                let inner = if name == "Value" { inner.clone() } else { guarded(inner, types)? };
                all.insert(name.clone(), inner);
            }
            Value::Object(all)
        }
        other => other.clone(),
    })
}

/// What reads an attribute or tag.
enum Read<'a> {
    /// `left.attr`.
    Attribute { left: &'a Value, name: &'a str },
    /// `left has a.b`.
    Has { left: &'a Value, path: Vec<&'a str> },
    /// `left.getTag(right)`.
    Tag { left: &'a Value, right: &'a Value },
    /// `left.hasTag(right)`.
    HasTag { left: &'a Value, right: &'a Value },
}

impl<'a> Read<'a> {
    fn of(operator: &str, inner: &'a Value) -> Option<Self> {
        let left = inner.get("left")?;
        Some(match operator {
            "." => Self::Attribute { left, name: inner.get("attr")?.as_str()? },
            "has" => {
                let path = match inner.get("attr")? {
                    Value::String(name) => vec![name.as_str()],
                    names => names.as_array()?.iter().filter_map(Value::as_str).collect(),
                };
                Self::Has { left, path }
            }
            "getTag" => Self::Tag { left, right: inner.get("right")? },
            "hasTag" => Self::HasTag { left, right: inner.get("right")? },
            _ => return None,
        })
    }

    fn guarded(self, types: &SymEnv) -> Result<Value, String> {
        match self {
            Self::Attribute { left, name } => {
                let inner = guarded(left, types)?;
                let read = attribute(inner.clone(), name);
                Ok(if is_optional(left, types)? { or_err(exists(inner), read) } else { read })
            }
            Self::Tag { left, right } => {
                let inner = guarded(left, types)?;
                let read = binary("getTag", inner.clone(), guarded(right, types)?);
                Ok(if is_optional(left, types)? { or_err(exists(inner), read) } else { read })
            }
            Self::HasTag { left, right } => {
                let inner = guarded(left, types)?;
                let asks = binary("hasTag", inner.clone(), guarded(right, types)?);
                Ok(if is_optional(left, types)? { binary("&&", exists(inner), asks) } else { asks })
            }
            // `a has b.c` is `a has b && a.b has c`.
            Self::Has { left, path } => {
                let mut whole: Option<Value> = None;
                let mut read = left.clone();
                for name in path {
                    let inner = guarded(&read, types)?;
                    let asks = json!({"has": {"left": inner.clone(), "attr": name}});
                    let asks =
                        if is_optional(&read, types)? { binary("&&", exists(inner), asks) } else { asks };
                    whole = Some(match whole {
                        Some(before) => binary("&&", before, asks),
                        None => asks,
                    });
                    read = attribute(read, name);
                }
                whole.ok_or_else(|| "a `has` of nothing".to_owned())
            }
        }
    }
}

fn attribute(left: Value, name: &str) -> Value {
    json!({".": {"left": left, "attr": name}})
}

/// Whether an entity is there.
pub fn exists(entity: Value) -> Value {
    attribute(entity, EXISTS)
}

/// The value if the condition holds, otherwise an error: an overflow. Both branches have one type.
fn or_err(condition: Value, value: Value) -> Value {
    let overflow = binary("+", json!({"Value": i64::MAX}), json!({"Value": 1}));
    let never = binary("==", overflow, json!({"Value": 0}));
    let failing = json!({"if-then-else": {"if": never, "then": value.clone(), "else": value.clone()}});
    json!({"if-then-else": {"if": condition, "then": value, "else": failing}})
}

/// Whether it is an entity that need not be there.
fn is_optional(expression: &Value, types: &SymEnv) -> Result<bool, String> {
    if *expression == variable("principal") {
        return Ok(false);
    }
    match type_of(expression, types) {
        // The values of an enumeration have no attributes, and actions are those of the schema.
        Some(TermType::Entity { ety }) => {
            let data = types.entities.get(&ety);
            Ok(data.is_some_and(|data| data.members.is_none()))
        }
        Some(TermType::Record { .. }) => Ok(false),
        _ => Err("a policy reads an attribute of something whose type is not plain".to_owned()),
    }
}

/// The type of what an attribute can be read of.
fn type_of(expression: &Value, types: &SymEnv) -> Option<TermType> {
    let (operator, inner) = expression.as_object()?.iter().next()?;
    match operator.as_str() {
        "Var" => Some(match inner.as_str()? {
            "principal" => types.request.principal.type_of(),
            "action" => types.request.action.type_of(),
            "resource" => types.request.resource.type_of(),
            "context" => types.request.context.type_of(),
            _ => return None,
        }),
        "Value" => {
            let name = inner.get("__entity")?.get("type")?.as_str()?;
            Some(TermType::Entity { ety: name.parse().ok()? })
        }
        "." => {
            let record = match type_of(inner.get("left")?, types)? {
                TermType::Entity { ety } => types.entities.get(&ety)?.attrs.out_type().clone(),
                record => record,
            };
            let TermType::Record { rty } = record else { return None };
            Some(match rty.get(inner.get("attr")?.as_str()?)? {
                TermType::Option { ty } => ty.as_ref().clone(),
                plain => plain.clone(),
            })
        }
        "getTag" => {
            let TermType::Entity { ety } = type_of(inner.get("left")?, types)? else { return None };
            match types.entities.get(&ety)?.tags.as_ref()?.vals.out_type() {
                TermType::Option { ty } => Some(ty.as_ref().clone()),
                plain => Some(plain.clone()),
            }
        }
        "if-then-else" => type_of(inner.get("then")?, types),
        _ => None,
    }
}
