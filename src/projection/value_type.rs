//! Cedar's types, and how JSON or a text becomes a value of each.

use std::borrow::Cow;

use cedar_policy::{Context, RestrictedExpression};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::record::{Attribute, Projected, Record};
#[cfg(feature = "function")]
use crate::token::identity_source::IdentitySource;

/// The type of an attribute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ValueType {
    Bool,
    /// Never filled from a token: a claim is data, not a reference.
    Entity,
    Extension(Extension),
    Long,
    Record(Record),
    Set(Box<ValueType>),
    String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Extension {
    Datetime,
    Decimal,
    Duration,
    IpAddr,
}

impl ValueType {
    pub(crate) fn convert(&self, claim: &Value) -> Option<RestrictedExpression> {
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

    /// JSON that can be converted. `None`: no JSON can.
    #[cfg(feature = "function")]
    pub(super) fn sample(&self, source: &IdentitySource) -> Option<Value> {
        Some(match self {
            Self::Bool => Value::Bool(false),
            Self::Entity => return None,
            Self::Extension(extension) => extension.sample().into(),
            Self::Long => 0.into(),
            Self::Record(record) => record.sample(source).into(),
            Self::Set(_) => Value::Array(Vec::new()),
            Self::String => "sample".into(),
        })
    }

    /// Converts a text from a URL or header, which have no types of their own. A number must be written as Cedar
    /// writes it, so that each number has only one text.
    pub(crate) fn convert_text(&self, text: &str) -> Option<RestrictedExpression> {
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

    /// The `scope` claim: words in one string (RFC 6749 3.3), which the schema declares as a set.
    pub(crate) fn convert_words(&self, claim: &Value) -> Option<RestrictedExpression> {
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
    #[cfg(feature = "function")]
    fn sample(self) -> &'static str {
        match self {
            Self::Datetime => "1970-01-01",
            Self::Decimal => "0.0",
            Self::Duration => "0s",
            Self::IpAddr => "192.0.2.1",
        }
    }

    /// `None` for a text that Cedar's constructor refuses. So the constructor cannot fail later.
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
