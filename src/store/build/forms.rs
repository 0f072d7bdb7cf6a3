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

/// A policy or template as it will be written, apart from what it has in common with others.
#[derive(Debug)]
pub(crate) enum Text {
    /// Cedar's JSON: names of members and values, each as JSON.
    Json(Vec<(String, String)>),
    /// Cedar's language, or a link.
    Plain(String),
}

impl Text {
    /// The text of a policy. `None`: it has neither an exact JSON form nor a text.
    pub(crate) fn of_policy(policy: &Policy) -> Option<Self> {
        let id = policy.id();
        let json = exact(without_text(policy).to_json(), |json| {
            Policy::from_json(Some(id.clone()), json).is_ok_and(|again| again == *policy)
        });
        match json {
            Some(json) => Some(Self::of_members(json)),
            None => policy.to_cedar().map(Self::Plain),
        }
    }

    /// The text of a template.
    pub(crate) fn of_template(template: &Template) -> Self {
        let json = exact(template.to_json(), |json| {
            Template::from_json(Some(template.id().clone()), json).is_ok_and(|again| again == *template)
        });
        json.map_or_else(|| Self::Plain(template.to_cedar()), Self::of_members)
    }

    fn of_members(json: Map<String, Value>) -> Self {
        let member = |(name, value): (String, Value)| (Value::String(name).to_string(), value.to_string());
        Self::Json(json.into_iter().map(member).collect())
    }
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

    /// The form of a policy, a template or a link.
    pub(crate) fn form(&mut self, text: Text) -> Form {
        match text {
            Text::Json(members) => {
                let member = |(name, value)| (self.add(name), self.add(value));
                Form::Json(members.into_iter().map(member).collect())
            }
            Text::Plain(text) => Form::Text(text.into()),
        }
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

/// The policy as Cedar evaluates it. To write one with a text as JSON, Cedar would read the text again, which takes
/// longer than all the rest of what is done to it.
fn without_text(policy: &Policy) -> Policy {
    Policy::from(policy.as_ref().clone())
}

/// A complete JSON form: what is read from it is the same again. If it nests too deeply, a reader of JSON cannot read
/// it.
fn exact(
    json: Result<Value, PolicyToJsonError>,
    is_same: impl Fn(Value) -> bool,
) -> Option<Map<String, Value>> {
    let json = json.ok()?;
    let again = serde_json::from_str(&json.to_string()).ok()?;
    match json {
        Value::Object(json) if is_same(again) => Some(json),
        _ => None,
    }
}

/// About what a number takes.
const NUMBER: usize = 3;

#[cfg(test)]
mod tests {
    use cedar_policy::{Policy, PolicyId};
    use serde_json::Value;

    use super::Text;
    use crate::bundle::with_room;

    /// With the text alone, the function would run Cedar's parser for it.
    #[test]
    fn whatever_cedar_can_say_is_written_as_json_and_read_as_the_same_policy() {
        let scopes = [
            "permit (principal, action, resource)",
            "forbid (principal == A::\"a\\n\\u{e9}\\\"\", action == Action::\"é\", resource in B::\"b\")",
            "@id(\"x\") @note(\"y\") permit (principal is A, action in [Action::\"r\", Action::\"w\"], \
             resource is N::B in C::\"c\")",
        ];
        let conditions = [
            "",
            "when { true } unless { principal == resource }",
            "when { principal != resource && !(context.a > 1) || context.b >= -9223372036854775808 }",
            "when { 1 < 2 && 2 <= 3 && 1 + 2 - 3 * -4 == context[\"a b\"] }",
            "when { principal has a.b.c && principal.a.b.c like \"x*\\*y\" } when { resource has \"if\" }",
            "when { if principal is A in B::\"b\" then [1, \"a\", {x: 1, \"y z\": [] }].contains(context) \
             else - -1 == 1 }",
            "unless { [1].containsAll([2]) || [1].containsAny([2]) || [].isEmpty() || resource.hasTag(\"t\") }",
            "when { resource.getTag(\"t\") == A::\"\\0\" && ip(\"10.0.0.1\").isInRange(ip(context.net)) }",
            "when { decimal(\"1.5\").lessThan(decimal(\"2.0\")) \
             && datetime(\"2026-01-01\").offset(duration(\"-1h\")).toTime() == duration(\"1ms\") }",
        ];
        for scope in scopes {
            for condition in conditions {
                let id = PolicyId::new("some id");
                let policy = Policy::parse(Some(id.clone()), format!("{scope} {condition};")).unwrap();
                let Some(Text::Json(members)) = Text::of_policy(&policy) else {
                    panic!("{scope} {condition}");
                };
                let members: Vec<String> =
                    members.iter().map(|(name, value)| format!("{name}:{value}")).collect();
                let json: Value = serde_json::from_str(&format!("{{{}}}", members.join(","))).unwrap();
                assert_eq!(Policy::from_json(Some(id), json).unwrap(), policy, "{scope} {condition}");
            }
        }
    }

    #[test]
    fn what_nests_too_deeply_for_json_is_written_as_text() {
        let deep = format!(
            "permit (principal, action, resource) when {{ {}context.a{} }};",
            "[".repeat(70),
            "]".repeat(70)
        );
        let written = with_room(|| Text::of_policy(&Policy::parse(None, &deep).unwrap())).unwrap();
        assert!(matches!(written, Some(Text::Plain(text)) if text == deep));
    }
}
