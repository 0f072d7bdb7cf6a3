//! The projection: which claims the schema reads, and as what type.
//!
//! It is computed once, when a bundle is opened. At request time each attribute of the schema
//! takes its claim and makes a typed Cedar value of it; claims that the schema does not know are
//! never looked at. The JSON of a token never reaches Cedar's own JSON parser, to which
//! `{"__entity": ...}` or `{"__extn": ...}` inside a claim would be an entity or a function call.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use cedar_policy::{
    CedarSchemaError, Context, EntityId, EntityTypeName, EntityUid, RestrictedExpression,
    schema_str_to_json_with_resolved_types,
};
use serde_json::{Map, Value};

use crate::identity_source::{COGNITO_FAMILIES, IdentitySource, Provider};
use crate::reason::Reason;
use crate::route::Route;
use crate::token::TokenType;

/// What is taken of a token, and as what.
#[derive(Clone, Debug)]
pub enum Projection {
    /// What the schema declares.
    Schema(Shapes),
    /// Without a schema: every claim of a simple type, as in AVP's example of client-side
    /// authorization (User Guide, "Client-side authorization for JWTs").
    Schemaless,
}

impl Projection {
    /// The attributes of a principal, from the claims of an ID token.
    ///
    /// # Errors
    /// [`RequiredClaimMissing`].
    pub fn principal(
        &self,
        claims: &Map<String, Value>,
        source: &IdentitySource,
    ) -> Result<Projected, RequiredClaimMissing> {
        match self {
            Self::Schema(shapes) => match shapes.entities.get(source.principal_type()) {
                Some(shape) => shape.project_claims(claims, source),
                None => Ok(Projected::default()),
            },
            Self::Schemaless => Ok(project_simple(claims, source)),
        }
    }

    /// The attributes of a principal that has none: those of an access token go elsewhere.
    ///
    /// # Errors
    /// [`RequiredClaimMissing`] where the schema requires one.
    pub fn principal_without_claims(
        &self,
        source: &IdentitySource,
    ) -> Result<Projected, RequiredClaimMissing> {
        self.principal(&Map::new(), source)
    }

    /// What the context of an action declares. `None`: there is no schema to declare anything.
    pub fn context(&self, action: &EntityUid) -> Option<Cow<'_, Record>> {
        match self {
            Self::Schema(shapes) => Some(match shapes.contexts.get(action) {
                Some(shape) => Cow::Borrowed(shape),
                None => Cow::Owned(Record::default()),
            }),
            Self::Schemaless => None,
        }
    }

    /// An attribute of a resource, from a text of the path. `None`: the schema does not have it, or
    /// the text is not of its type.
    pub fn text_attribute(
        &self,
        entity_type: &EntityTypeName,
        name: &str,
        text: &str,
    ) -> Option<RestrictedExpression> {
        match self {
            Self::Schema(shapes) => {
                shapes.entities.get(entity_type)?.attributes.get(name)?.value_type.convert_text(text)
            }
            Self::Schemaless => Some(RestrictedExpression::new_string(text.to_owned())),
        }
    }
}

/// Every shape of a schema that a token or a call can fill.
#[derive(Clone, Debug, Default)]
pub struct Shapes {
    entities: HashMap<EntityTypeName, Record>,
    contexts: HashMap<EntityUid, Record>,
}

impl Shapes {
    /// Reads the shapes of entity types and of the context of actions.
    ///
    /// # Errors
    /// [`UnknownType`] for a type that this version does not know.
    pub fn from_schema(schema: &ResolvedSchema) -> Result<Self, UnknownType> {
        let mut shapes = Self::default();
        for (namespace, name, definition) in schema.definitions("entityTypes") {
            let Ok(entity_type) = qualify(namespace, name).parse() else {
                return Err(UnknownType(name.clone()));
            };
            let shape = match definition.get("shape") {
                Some(shape) => schema.record(shape)?,
                None => Record::default(),
            };
            shapes.entities.insert(entity_type, shape);
        }
        for (namespace, id, definition) in schema.definitions("actions") {
            let Some(context) = definition.pointer("/appliesTo/context") else {
                continue;
            };
            let Ok(action_type) = qualify(namespace, "Action").parse() else {
                return Err(UnknownType(id.clone()));
            };
            let action = EntityUid::from_type_name_and_id(action_type, EntityId::new(id));
            shapes.contexts.insert(action, schema.record(context)?);
        }
        Ok(shapes)
    }
}

impl Shapes {
    /// The attributes of an entity type. `None`: the schema does not define it.
    pub fn entity(&self, entity_type: &EntityTypeName) -> Option<&Record> {
        self.entities.get(entity_type)
    }
}

/// A schema in Cedar's JSON form in which every type reference is resolved, as
/// [`cedar_policy::schema_str_to_json_with_resolved_types`] writes it.
#[derive(Clone, Debug)]
pub struct ResolvedSchema(Value);

impl ResolvedSchema {
    /// Reads a schema in Cedar's own syntax.
    ///
    /// # Errors
    /// What Cedar finds wrong with it.
    pub fn parse(schema: &str) -> Result<Self, Box<CedarSchemaError>> {
        let (json, _) = schema_str_to_json_with_resolved_types(schema)?;
        Ok(Self(json))
    }

    /// The routes that the annotations `httpVerb` and `httpPathTemplate` of actions say, which
    /// Cedar's generators for OpenAPI write.
    pub fn annotated_routes(&self) -> Vec<Route> {
        let route = |(namespace, id, definition): (&str, &String, &Value)| {
            let annotation = |name: &str| definition.get("annotations")?.get(name)?.as_str();
            let action_type = qualify(namespace, "Action").parse().ok()?;
            let action = EntityUid::from_type_name_and_id(action_type, EntityId::new(id));
            let verb = annotation("httpVerb")?.to_ascii_lowercase();
            Route::new(&verb, annotation("httpPathTemplate")?, &action)
        };
        self.definitions("actions").filter_map(route).collect()
    }

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
    /// The names of its attributes, and whether each is required.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, bool)> {
        self.attributes.iter().map(|(name, attribute)| (name.as_str(), attribute.required))
    }

    /// The attribute of a name, where it is a record itself.
    pub fn record(&self, name: &str) -> Option<&Self> {
        match &self.attributes.get(name)?.value_type {
            ValueType::Record(record) => Some(record),
            _ => None,
        }
    }

    /// The same record without one of its attributes.
    pub fn without(&self, name: &str) -> Self {
        let mut record = self.clone();
        record.attributes.remove(name);
        record
    }

    /// Takes each attribute from a text, as its type. One of another type is dropped.
    ///
    /// # Errors
    /// [`RequiredClaimMissing`].
    pub fn project_texts(
        &self,
        text_of: impl Fn(&str) -> Option<String>,
    ) -> Result<Projected, RequiredClaimMissing> {
        let mut projected = Projected::default();
        for (name, attribute) in &self.attributes {
            let text = text_of(name);
            match text.as_deref().and_then(|text| attribute.value_type.convert_text(text)) {
                Some(value) => {
                    projected.values.insert(name.clone(), value);
                }
                None if attribute.required => return Err(RequiredClaimMissing),
                None if text.is_some() => projected.dropped += 1,
                None => {}
            }
        }
        Ok(projected)
    }

    /// Takes the attributes of this record from the claims of a token. The claim that lists
    /// groups is never an attribute: groups are parents.
    ///
    /// In dot notation, which AVP takes for Cognito alone, the claims `custom:...` are the members
    /// of an attribute `custom`, likewise `cognito` (User Guide, "Alternative notation for Amazon
    /// Cognito colon-delimited claims").
    ///
    /// # Errors
    /// [`RequiredClaimMissing`].
    pub fn project_claims(
        &self,
        claims: &Map<String, Value>,
        source: &IdentitySource,
    ) -> Result<Projected, RequiredClaimMissing> {
        let families = match source.provider() {
            Provider::Cognito(_) => COGNITO_FAMILIES.as_slice(),
            Provider::OpenIdConnect => &[],
        };
        self.project(|name, attribute| {
            if name == source.group_claim() {
                return None;
            }
            let is_family = families.contains(&name) && matches!(attribute.value_type, ValueType::Record(_));
            match claims.get(name) {
                None if is_family => family(claims, name, source.group_claim()).map(Cow::Owned),
                claim => claim.map(Cow::Borrowed),
            }
        })
    }

    /// Takes each attribute from its claim. One that is null counts as absent, one of another
    /// type is dropped.
    fn project<'a>(
        &self,
        claim_of: impl Fn(&str, &Attribute) -> Option<Cow<'a, Value>>,
    ) -> Result<Projected, RequiredClaimMissing> {
        let mut projected = Projected::default();
        for (name, attribute) in &self.attributes {
            let claim = claim_of(name, attribute).filter(|claim| !claim.is_null());
            let value = claim.as_deref().and_then(|claim| match name.as_str() {
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

/// The claims of a family (`custom:a`, `custom:b:c`) as nested objects (`a`, `b.c`). `None` if
/// there are none.
fn family(claims: &Map<String, Value>, family: &str, except: &str) -> Option<Value> {
    let mut object = Map::new();
    for (name, value) in claims.iter().filter(|(name, _)| *name != except) {
        let path = name.strip_prefix(family).and_then(|rest| rest.strip_prefix(':'));
        if let Some(path) = path.filter(|path| path.matches(':').count() < MAX_NESTING) {
            insert(&mut object, path, value);
        }
    }
    (!object.is_empty()).then_some(Value::Object(object))
}

/// Where two names meet in one place the first one stays.
fn insert(object: &mut Map<String, Value>, path: &str, value: &Value) {
    match path.split_once(':') {
        None => {
            object.entry(path).or_insert_with(|| value.clone());
        }
        Some((head, rest)) => {
            if let Value::Object(inner) = object.entry(head).or_insert_with(|| Value::Object(Map::new())) {
                insert(inner, rest, value);
            }
        }
    }
}

/// Every claim of a simple type, as AVP's example has it.
pub fn project_simple(claims: &Map<String, Value>, source: &IdentitySource) -> Projected {
    let mut projected = Projected::default();
    let is_taken = |name: &str| !NOT_ATTRIBUTES.contains(&name) && name != source.group_claim();
    for (name, claim) in claims.iter().filter(|(name, claim)| is_taken(name) && !claim.is_null()) {
        let simple = match claim {
            Value::Array(_) => ValueType::Set(Box::new(ValueType::String)),
            Value::Bool(_) => ValueType::Bool,
            Value::Number(_) => ValueType::Long,
            Value::String(_) if name == SCOPE && source.token_type() == Some(TokenType::Access) => {
                ValueType::Set(Box::new(ValueType::String))
            }
            _ => ValueType::String,
        };
        match simple.convert_words(claim) {
            Some(value) => {
                projected.values.insert(name.clone(), value);
            }
            None => projected.dropped += 1,
        }
    }
    projected
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
                let member = |name: &str, _: &Attribute| object.get(name).map(Cow::Borrowed);
                let Projected { values, dropped: _ } = record.project(member).ok()?;
                RestrictedExpression::new_record(values).ok()
            }
            _ => None,
        }
    }

    /// A text of a URL or header, which has no types of its own: a number is written as Cedar
    /// writes it, so that one number has one text.
    fn convert_text(&self, text: &str) -> Option<RestrictedExpression> {
        match self {
            Self::Long => {
                let number: i64 = text.parse().ok()?;
                (number.to_string() == text).then(|| RestrictedExpression::new_long(number))
            }
            Self::Bool => text.parse().ok().map(RestrictedExpression::new_bool),
            Self::String => Some(RestrictedExpression::new_string(text.to_owned())),
            Self::Extension(extension) => extension.convert(text),
            Self::Entity | Self::Record(_) | Self::Set(_) => None,
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

/// How many colons a name may have before it is no name: without a bound a long one would nest as
/// deep as it is long.
const MAX_NESTING: usize = 8;

/// The claims that AVP's example leaves out.
const NOT_ATTRIBUTES: [&str; 5] = ["aud", "exp", "iss", "jti", "sub"];

#[cfg(test)]
mod tests;
