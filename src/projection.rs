//! The projection: which claims the schema reads, and as what type.
//!
//! It is computed once, when a bundle is opened. At request time each attribute of the schema
//! takes its claim and makes a typed Cedar value of it; claims that the schema does not know are
//! never looked at. The JSON of a token never reaches Cedar's own JSON parser, to which
//! `{"__entity": ...}` or `{"__extn": ...}` inside a claim would be an entity or a function call.

use std::collections::{BTreeMap, HashMap};

use cedar_policy::{Context, EntityTypeName, EntityUid, RestrictedExpression};
use serde_json::{Map, Value};

use crate::reason::Reason;

/// Every shape of a schema that a token can fill.
#[derive(Clone, Debug, Default)]
pub struct Projection {
    principals: HashMap<EntityTypeName, Record>,
    tokens: HashMap<EntityUid, Record>,
}

impl Projection {
    /// Reads the shapes of entity types and of the `token` record in the context of actions.
    ///
    /// # Errors
    /// [`UnknownType`] for a type that this version does not know.
    pub fn from_schema(schema: &ResolvedSchema) -> Result<Self, UnknownType> {
        let mut projection = Self::default();
        for (namespace, name, definition) in schema.definitions("entityTypes") {
            let Ok(entity_type) = qualify(namespace, name).parse() else {
                return Err(UnknownType(name.clone()));
            };
            let shape = match definition.get("shape") {
                Some(shape) => schema.record(shape)?,
                None => Record::default(),
            };
            projection.principals.insert(entity_type, shape);
        }
        for (namespace, id, definition) in schema.definitions("actions") {
            let Some(context) = definition.pointer("/appliesTo/context") else {
                continue;
            };
            let Some(Attribute { value_type: ValueType::Record(token), .. }) =
                schema.record(context)?.attributes.remove("token")
            else {
                continue;
            };
            let Ok(action_type) = qualify(namespace, "Action").parse() else {
                return Err(UnknownType(id.clone()));
            };
            let action = EntityUid::from_type_name_and_id(action_type, cedar_policy::EntityId::new(id));
            projection.tokens.insert(action, token);
        }
        Ok(projection)
    }

    /// The attributes of principals of a type. `None`: the schema does not define the type.
    pub fn principal(&self, principal_type: &EntityTypeName) -> Option<&Record> {
        self.principals.get(principal_type)
    }

    /// The attributes of `context.token` for an action. `None`: the action has no such record.
    pub fn token(&self, action: &EntityUid) -> Option<&Record> {
        self.tokens.get(action)
    }
}

/// A schema in Cedar's JSON form in which every type reference is resolved, as
/// [`cedar_policy::schema_str_to_json_with_resolved_types`] writes it.
#[derive(Clone, Debug)]
pub struct ResolvedSchema(pub(crate) Value);

impl ResolvedSchema {
    /// The entries of one section (`entityTypes`, `actions` or `commonTypes`) of all namespaces,
    /// as (namespace, name, definition).
    fn definitions<'a>(&'a self, section: &'a str) -> impl Iterator<Item = (&'a str, &'a String, &'a Value)> {
        let namespaces = self.0.as_object().into_iter().flatten();
        namespaces.flat_map(move |(namespace, body)| {
            let entries = body.get(section).and_then(Value::as_object);
            let entries = entries.into_iter().flatten();
            entries.map(move |(name, definition)| (namespace.as_str(), name, definition))
        })
    }

    fn record(&self, definition: &Value) -> Result<Record, UnknownType> {
        match self.value_type(definition)? {
            ValueType::Record(record) => Ok(record),
            _ => Err(UnknownType("a shape that is no record".to_owned())),
        }
    }

    // Cedar refuses common types that contain themselves, so this ends.
    fn value_type(&self, definition: &Value) -> Result<ValueType, UnknownType> {
        let name = definition.get("type").and_then(Value::as_str).unwrap_or_default();
        if let Some(common) = self.common_type(name) {
            return self.value_type(common);
        }
        Ok(match name.strip_prefix("__cedar::").unwrap_or(name) {
            "String" => ValueType::String,
            "Long" => ValueType::Long,
            "Bool" | "Boolean" => ValueType::Bool,
            "Set" => match definition.get("element") {
                Some(element) => ValueType::Set(Box::new(self.value_type(element)?)),
                None => return Err(UnknownType(name.to_owned())),
            },
            "Record" => {
                let attributes = definition.get("attributes").and_then(Value::as_object);
                let attributes = attributes.into_iter().flatten().map(|(name, attribute)| {
                    let value_type = self.value_type(attribute)?;
                    let required = attribute.get("required").and_then(Value::as_bool).unwrap_or(true);
                    Ok((name.clone(), Attribute { value_type, required }))
                });
                ValueType::Record(Record { attributes: attributes.collect::<Result<_, UnknownType>>()? })
            }
            "Entity" => ValueType::Entity,
            "Extension" => {
                let name = definition.get("name").and_then(Value::as_str).unwrap_or_default();
                ValueType::Extension(Extension::from_name(name)?)
            }
            name => ValueType::Extension(Extension::from_name(name)?),
        })
    }

    fn common_type(&self, name: &str) -> Option<&Value> {
        let (namespace, name) = name.rsplit_once("::").unwrap_or(("", name));
        self.0.get(namespace)?.get("commonTypes")?.get(name)
    }
}

fn qualify(namespace: &str, name: &str) -> String {
    match namespace {
        "" => name.to_owned(),
        namespace => format!("{namespace}::{name}"),
    }
}

/// A type that this version does not know, by its name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the schema uses a type that is not supported: `{0}`")]
pub struct UnknownType(String);

/// A record type: what it takes out of an object of claims.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    attributes: BTreeMap<String, Attribute>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Attribute {
    value_type: ValueType,
    required: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum ValueType {
    Bool,
    /// Never filled from a token: a claim is data, not a reference.
    Entity,
    Extension(Extension),
    Long,
    Record(Record),
    Set(Box<ValueType>),
    String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extension {
    Datetime,
    Decimal,
    Duration,
    IpAddr,
}

/// The values that a record type took, with how many claims were of the wrong type.
#[derive(Debug, Default)]
pub struct Projected {
    /// Values by the name of their attribute.
    pub values: HashMap<String, RestrictedExpression>,
    /// Claims that the schema knows but as another type: dropped.
    pub dropped: usize,
}

/// A required attribute has no claim of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequiredClaimMissing;

impl From<RequiredClaimMissing> for Reason {
    fn from(RequiredClaimMissing: RequiredClaimMissing) -> Self {
        Self::RequiredClaimMissing
    }
}

impl Record {
    /// Takes no attribute at all.
    ///
    /// # Errors
    /// [`RequiredClaimMissing`] where one is required.
    pub fn project_nothing(&self) -> Result<Projected, RequiredClaimMissing> {
        match self.attributes.values().any(|attribute| attribute.required) {
            true => Err(RequiredClaimMissing),
            false => Ok(Projected::default()),
        }
    }

    /// Takes the attributes of this record from claims. A claim that is null counts as absent,
    /// one of another type is dropped. `except` names a claim that is never taken.
    ///
    /// # Errors
    /// [`RequiredClaimMissing`] where nothing is left for a required attribute.
    pub fn project(
        &self,
        claims: &Map<String, Value>,
        except: &str,
    ) -> Result<Projected, RequiredClaimMissing> {
        let mut projected = Projected::default();
        for (name, attribute) in &self.attributes {
            let claim = claims.get(name).filter(|claim| !claim.is_null() && name != except);
            let value = claim.and_then(|claim| match name.as_str() {
                SCOPE => attribute.value_type.convert_words(claim),
                _ => attribute.value_type.convert(claim),
            });
            match value {
                Some(value) => {
                    projected.values.insert(name.clone(), value);
                }
                None if attribute.required => return Err(RequiredClaimMissing),
                None if claim.is_some() => projected.dropped += 1,
                None => {}
            }
        }
        Ok(projected)
    }
}

impl ValueType {
    fn convert(&self, claim: &Value) -> Option<RestrictedExpression> {
        match (self, claim) {
            (Self::Bool, Value::Bool(value)) => Some(RestrictedExpression::new_bool(*value)),
            (Self::Long, Value::Number(number)) => number.as_i64().map(RestrictedExpression::new_long),
            (Self::String, Value::String(text)) => Some(RestrictedExpression::new_string(text.clone())),
            (Self::Extension(extension), Value::String(text)) => extension.convert(text),
            (Self::Set(element), Value::Array(values)) => {
                let values: Option<Vec<_>> = values.iter().map(|value| element.convert(value)).collect();
                values.map(RestrictedExpression::new_set)
            }
            (Self::Record(record), Value::Object(object)) => {
                let Projected { values, dropped: _ } = record.project(object, "").ok()?;
                RestrictedExpression::new_record(values).ok()
            }
            _ => None,
        }
    }

    /// The `scope` claim: words in one string (RFC 6749 3.3), which the schema has as a set.
    fn convert_words(&self, claim: &Value) -> Option<RestrictedExpression> {
        match (self, claim) {
            (Self::Set(element), Value::String(text)) if **element == Self::String => {
                let words = text.split(' ').filter(|word| !word.is_empty());
                let words = words.map(|word| RestrictedExpression::new_string(word.to_owned()));
                Some(RestrictedExpression::new_set(words))
            }
            _ => self.convert(claim),
        }
    }
}

impl Extension {
    fn from_name(name: &str) -> Result<Self, UnknownType> {
        match name {
            "datetime" => Ok(Self::Datetime),
            "decimal" => Ok(Self::Decimal),
            "duration" => Ok(Self::Duration),
            "ipaddr" => Ok(Self::IpAddr),
            _ => Err(UnknownType(name.to_owned())),
        }
    }

    /// `None` for a text that Cedar's constructor refuses, so that it cannot fail later.
    fn convert(self, text: &str) -> Option<RestrictedExpression> {
        let value = match self {
            Self::Datetime => RestrictedExpression::new_datetime(text),
            Self::Decimal => RestrictedExpression::new_decimal(text),
            Self::Duration => RestrictedExpression::new_duration(text),
            Self::IpAddr => RestrictedExpression::new_ip(text),
        };
        Context::from_pairs([("value".to_owned(), value.clone())]).ok().map(|_| value)
    }
}

/// RFC 6749 3.3, RFC 8693 4.2.
const SCOPE: &str = "scope";

#[cfg(test)]
mod tests {
    use cedar_policy::{Entity, schema_str_to_json_with_resolved_types};
    use serde_json::json;

    use super::*;

    fn projection(schema: &str) -> Projection {
        let (json, _) = schema_str_to_json_with_resolved_types(schema).unwrap();
        Projection::from_schema(&ResolvedSchema(json)).unwrap()
    }

    const SCHEMA: &str = r#"
        type Place = { city: String, zip?: Long };
        namespace Shop {
            type Token = { scope?: Set<String>, client_id: String };
            entity Group;
            entity User in [Group] = {
                email: String, age?: Long, vip?: Bool, tags?: Set<String>, home?: Place, boss?: User,
                ip?: ipaddr, since?: datetime, limit?: decimal, every?: duration, "custom:shop"?: String,
            };
            entity Application;
            action "get /" appliesTo { principal: User, resource: Application, context: { token: Token } };
            action "get /free" appliesTo { principal: User, resource: Application };
        }"#;

    /// The attributes as Cedar has them, or the error.
    fn project(claims: Value) -> Result<(BTreeMap<String, String>, usize), RequiredClaimMissing> {
        let projection = projection(SCHEMA);
        let record = projection.principal(&"Shop::User".parse().unwrap()).unwrap();
        let Projected { values, dropped } = record.project(claims.as_object().unwrap(), "cognito:groups")?;
        let uid: EntityUid = "Shop::User::\"x\"".parse().unwrap();
        let names: Vec<String> = values.keys().cloned().collect();
        let entity = Entity::new(uid, values, [].into()).unwrap();
        let print = |name: String| (name.clone(), entity.attr(&name).unwrap().unwrap().to_string());
        Ok((names.into_iter().map(print).collect(), dropped))
    }

    #[test]
    fn takes_each_claim_as_the_type_of_its_attribute() {
        let (attributes, dropped) = project(json!({
            "email": "a@example.com", "age": 7, "vip": true, "tags": ["a", "b"], "custom:shop": "x",
            "home": {"city": "Bern", "zip": 3000, "street": "not in the schema"},
            "ip": "10.0.0.1", "since": "2024-01-02", "limit": "1.5", "every": "1h",
            "unknown": "not in the schema"
        }))
        .unwrap();
        assert_eq!(dropped, 0);
        let names: Vec<&str> = attributes.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            ["age", "custom:shop", "email", "every", "home", "ip", "limit", "since", "tags", "vip"]
        );
        assert_eq!(attributes["age"], "7");
        assert!(attributes["ip"].contains("ip(\"10.0.0.1\")"), "{attributes:?}");
        assert!(!attributes["home"].contains("street"));
    }

    #[test]
    fn drops_and_counts_claims_of_another_type() {
        for claims in [
            json!({"age": "7"}),
            json!({"age": 7.5}),
            json!({"age": u64::MAX}),
            json!({"vip": "true"}),
            json!({"tags": "a b"}),
            json!({"tags": ["a", 1]}),
            json!({"home": {"zip": 3000}}),
            json!({"home": "Bern"}),
            json!({"ip": "not an address"}),
            json!({"since": "yesterday"}),
            json!({"custom:shop": {"__entity": {"type": "Shop::User", "id": "admin"}}}),
            json!({"ip": {"__extn": {"fn": "ip", "arg": "10.0.0.1"}}}),
            json!({"boss": {"__entity": {"type": "Shop::User", "id": "admin"}}}),
            json!({"boss": "admin"}),
        ] {
            let mut whole = claims.clone();
            whole["email"] = json!("a@example.com");
            let (attributes, dropped) = project(whole).unwrap();
            assert_eq!((attributes.len(), dropped), (1, 1), "{claims}");
        }
    }

    #[test]
    fn null_is_absent() {
        let (attributes, dropped) = project(json!({"email": "a", "age": null})).unwrap();
        assert_eq!((attributes.len(), dropped), (1, 0));
    }

    #[test]
    fn a_required_attribute_without_its_claim_is_an_error() {
        for claims in [json!({}), json!({"email": null}), json!({"email": 5})] {
            assert_eq!(project(claims), Err(RequiredClaimMissing));
        }
    }

    #[test]
    fn scope_is_a_set_of_words() {
        let projection = projection(SCHEMA);
        let token = projection.token(&"Shop::Action::\"get /\"".parse().unwrap()).unwrap();
        let claims = json!({"client_id": "c", "scope": "read  write"});
        let values = token.project(claims.as_object().unwrap(), "").unwrap().values;
        let scope = Context::from_pairs(values).unwrap().get("scope").unwrap().to_string();
        assert!(scope.contains("\"read\"") && scope.contains("\"write\""), "{scope}");
    }

    #[test]
    fn an_action_without_the_record_takes_nothing_from_an_access_token() {
        assert!(projection(SCHEMA).token(&"Shop::Action::\"get /free\"".parse().unwrap()).is_none());
    }
}
