//! Records: what a record type takes from the claims of a token or the texts of a call.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use cedar_policy::RestrictedExpression;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::value_type::ValueType;
use crate::reason::Reason;
use crate::token::TokenType;
use crate::token::identity_source::{COGNITO_FAMILIES, IdentitySource, Provider};

/// A record type: what it takes from an object of claims.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Record {
    pub(crate) attributes: BTreeMap<String, Attribute>,
}

/// One of its attributes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Attribute {
    #[serde(rename = "type")]
    pub(crate) value_type: ValueType,
    pub(crate) required: bool,
}

/// The values that a record type took, and how many claims were of the wrong type.
#[derive(Debug, Default)]
pub struct Projected {
    /// Values by the name of their attribute.
    pub values: HashMap<String, RestrictedExpression>,
    /// How many claims were dropped: the schema knows them, but with another type.
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

    /// The attribute of this name, if it is a record itself.
    pub fn record(&self, name: &str) -> Option<&Self> {
        match &self.attributes.get(name)?.value_type {
            ValueType::Record(record) => Some(record),
            _ => None,
        }
    }

    /// The same, for changes.
    pub fn record_mut(&mut self, name: &str) -> Option<&mut Self> {
        match &mut self.attributes.get_mut(name)?.value_type {
            ValueType::Record(record) => Some(record),
            _ => None,
        }
    }

    /// Claims that have a value for each of its attributes.
    #[cfg(feature = "function")]
    pub(crate) fn sample(&self, source: &IdentitySource) -> Map<String, Value> {
        let mut claims = Map::new();
        for (name, attribute) in &self.attributes {
            match (source.provider(), &attribute.value_type) {
                (Provider::Cognito(_), ValueType::Record(record))
                    if COGNITO_FAMILIES.contains(&name.as_str()) =>
                {
                    let members = record.sample(source).into_iter();
                    claims.extend(members.map(|(member, value)| (format!("{name}:{member}"), value)));
                }
                (_, value_type) => {
                    claims.extend(value_type.sample(source).map(|value| (name.clone(), value)));
                }
            }
        }
        claims
    }

    /// Keeps only the attributes whose names are wanted.
    pub fn retain(&mut self, is_wanted: impl Fn(&str) -> bool) {
        self.attributes.retain(|name, _| is_wanted(name));
    }

    /// The same record without one of its attributes.
    pub fn without(&self, name: &str) -> Self {
        let mut record = self.clone();
        record.attributes.remove(name);
        record
    }

    /// Takes each attribute from a text, as its type. A text that is not of that type is dropped.
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

    /// Takes the attributes of this record from the claims of a token. The claim that lists groups never becomes
    /// an attribute: groups are parents.
    ///
    /// In dot notation, which AVP accepts only for Cognito, the claims `custom:...` are the members of an
    /// attribute `custom`, and likewise for `cognito` (User Guide, "Alternative notation for Amazon Cognito
    /// colon-delimited claims").
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

    /// Takes each attribute from its claim. A claim that is null counts as absent. A claim of another type is
    /// dropped.
    pub(crate) fn project<'a>(
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

/// If two names lead to the same place, the first one stays.
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

/// Takes every claim of a simple type, as AVP's example does.
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

/// RFC 6749 3.3, RFC 8693 4.2.
const SCOPE: &str = "scope";

/// How many colons a name may have. A longer name is not used: without a limit, its object would nest as deep as
/// the name is long.
const MAX_NESTING: usize = 8;

/// The claims that AVP's example leaves out.
const NOT_ATTRIBUTES: [&str; 5] = ["aud", "exp", "iss", "jti", "sub"];
