//! Policies as they are written into a bundle: texts that have much in common with each other.

use std::collections::HashMap;
use std::sync::Arc;

use cedar_policy::{Policy, PolicyToJsonError, Template};
use serde_json::{Map, Value};

/// The texts of the parts of policies, each once.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    texts: Vec<Arc<str>>,
    known: HashMap<Arc<str>, PartId>,
    /// How often each text occurs.
    counts: Vec<u32>,
}

/// A text of [`Parts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PartId(u32);

/// A policy, template or link before it is written.
#[derive(Clone, Debug)]
pub(crate) enum Form {
    /// The members of Cedar's JSON in the order of their names: the name as JSON, and the value.
    Json(Box<[(PartId, PartId)]>),
    /// Written as it is.
    Text(Box<str>),
}

impl Parts {
    /// The text of a part.
    pub(super) fn text(&self, part: PartId) -> &str {
        self.texts.get(part.0 as usize).map_or("", |text| &**text)
    }

    fn add(&mut self, text: String) -> PartId {
        if let Some(known) = self.known.get(text.as_str()) {
            if let Some(count) = self.counts.get_mut(known.0 as usize) {
                *count = count.saturating_add(1);
            }
            return *known;
        }
        let (text, part) = (Arc::from(text), PartId(u32::try_from(self.texts.len()).unwrap_or(u32::MAX)));
        self.texts.push(Arc::clone(&text));
        self.counts.push(1);
        self.known.insert(text, part);
        part
    }

    fn is_common(&self, part: PartId) -> bool {
        self.counts.get(part.0 as usize).is_some_and(|count| *count > 1)
    }

    /// The form of a policy. `None`: it has neither an exact JSON form nor a text.
    pub(crate) fn policy(&mut self, policy: &Policy) -> Option<Form> {
        let json = exact(policy.to_json(), |json| Policy::from_json(None, json).ok()?.to_json().ok());
        match json {
            Some(json) => Some(self.json(json)),
            None => policy.to_cedar().map(|text| Form::Text(text.into())),
        }
    }

    /// The form of a template.
    pub(crate) fn template(&mut self, template: &Template) -> Form {
        let json = exact(template.to_json(), |json| Template::from_json(None, json).ok()?.to_json().ok());
        json.map_or_else(|| Form::Text(template.to_cedar().into()), |json| self.json(json))
    }

    fn json(&mut self, json: Map<String, Value>) -> Form {
        let member =
            |(name, value)| (self.add(Value::String(name).to_string()), self.add(Value::to_string(&value)));
        Form::Json(json.into_iter().map(member).collect())
    }
}

impl Form {
    /// The parts that can be replaced by numbers.
    pub(super) fn parts(&self) -> impl Iterator<Item = PartId> {
        let members = match self {
            Self::Json(members) => &**members,
            Self::Text(_) => &[],
        };
        members.iter().map(|(_, value)| *value)
    }

    /// About how many bytes it takes in a chunk, where what is common is written once.
    pub(super) fn size(&self, parts: &Parts) -> usize {
        let value_size = |part| if parts.is_common(part) { NUMBER } else { parts.text(part).len() };
        match self {
            Self::Json(members) => members
                .iter()
                .map(|(name, value)| parts.text(*name).len() + value_size(*value) + ",:".len())
                .sum(),
            Self::Text(text) => text.len(),
        }
    }

    /// The text, with numbers in the place of these parts.
    pub(super) fn written(&self, parts: &Parts, numbers: &HashMap<PartId, usize>) -> String {
        let members = match self {
            Self::Json(members) => members,
            Self::Text(text) => return text.to_string(),
        };
        let member = |(name, value): &(PartId, PartId)| match numbers.get(value) {
            Some(number) => format!("{}:{number}", parts.text(*name)),
            None => format!("{}:{}", parts.text(*name), parts.text(*value)),
        };
        let members: Vec<String> = members.iter().map(member).collect();
        format!("{{{}}}", members.join(","))
    }
}

/// A complete JSON form: it can be read again, and is then the same. If it nests too deeply, a reader of JSON
/// cannot read it.
fn exact(
    json: Result<Value, PolicyToJsonError>,
    read_again: impl Fn(Value) -> Option<Value>,
) -> Option<Map<String, Value>> {
    let json = json.ok()?;
    let again = read_again(serde_json::from_str(&json.to_string()).ok()?)?;
    match json {
        Value::Object(json) if again == Value::Object(json.clone()) => Some(json),
        _ => None,
    }
}

/// About what a number takes.
const NUMBER: usize = 3;
