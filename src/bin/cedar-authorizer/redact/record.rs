//! One record without people.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::hash::Hasher;
use super::known::Known;
use super::values::Values;
use super::{Groups, Principals};
use crate::recorded::left_out::Why;
use crate::recorded::line::Record;

/// How records are redacted.
#[derive(Debug)]
pub struct Redactor {
    pub hasher: Hasher,
    pub principals: Principals,
    pub groups: Groups,
    /// Paths of values that stay.
    pub keep: Vec<String>,
    /// What the policies and the store say themselves.
    pub known: Known,
}

impl Redactor {
    /// The line of a record. It has only what is listed here: what is not known is not passed on.
    ///
    /// # Errors
    /// Why it cannot be redacted.
    pub fn line(&self, record: &Record<'_>) -> Result<Value, Why> {
        let request: Value = serde_json::from_str(record.request).map_err(|_| Why::Part("request"))?;
        let people = People::of(&request, record.route.as_deref())?;
        let request = self.request(&request, &people)?;
        let mut line = json!({
            "level": "INFO",
            "message": "decision",
            "version": 1,
            "decision": record.reason.status().name(),
            "reason": record.reason.code(),
            "principal": request.get("principal"),
            "resource": request.get("resource"),
        });
        let Value::Object(members) = &mut line else { return Err(Why::Part("request")) };
        let is_of_time = |char: char| char.is_ascii_digit() || matches!(char, '-' | ':' | '.' | 'T' | 'Z');
        if let Some(time) =
            record.timestamp.as_ref().filter(|time| time.len() <= 30 && time.chars().all(is_of_time))
        {
            members.insert("timestamp".to_owned(), people.name(time)?.into());
        }
        for (name, text) in [("route", &record.route), ("action", &record.action)] {
            if let Some(text) = text {
                members.insert(name.to_owned(), people.name(text)?.into());
            }
        }
        let mut bundle = Map::new();
        if let Some(name) = &record.bundle_name {
            bundle.insert("name".to_owned(), people.name(name)?.into());
        }
        if let Some(revision) = record.bundle_revision {
            bundle.insert("revision".to_owned(), revision.into());
        }
        if !record.policies.is_empty() {
            let ids = record.policies.iter().map(|id| people.name(id)).collect::<Result<Vec<_>, _>>()?;
            members.insert("policies".to_owned(), ids.into());
        }
        members.insert("bundle".to_owned(), bundle.into());
        let how = match self.principals {
            Principals::Hash => "hash",
            Principals::Remove => "remove",
        };
        members.insert("redacted".to_owned(), json!({"version": VERSION, "principals": how}));
        members.insert("request".to_owned(), request);
        Ok(line)
    }

    fn request(&self, request: &Value, people: &People) -> Result<Value, Why> {
        let values = Values { redactor: self, people };
        let context = request.get("context").and_then(Value::as_object).ok_or(Why::Part("context"))?;
        let entities = request.get("entities").and_then(Value::as_array).ok_or(Why::Part("entities"))?;
        let uid = |name: &'static str| {
            let (kind, id) = read_uid(request.get(name)).ok_or(Why::Part(name))?;
            let is_kept = name == "resource" && self.keeps("resource");
            let id = people.entity(self, kind, id, is_kept)?;
            Ok(json!({"type": people.name(kind)?, "id": id}))
        };
        Ok(json!({
            "version": 1,
            "principal": uid("principal")?,
            "action": uid("action")?,
            "resource": uid("resource")?,
            "context": values.record("context", context)?,
            "entities": entities
                .iter()
                .map(|entity| self.entity(entity, people, &values))
                .collect::<Result<Vec<_>, _>>()?,
        }))
    }

    /// An entity with its attributes, tags and parents.
    fn entity(&self, entity: &Value, people: &People, values: &Values<'_>) -> Result<Value, Why> {
        let uid = read_uid(entity.get("uid")).ok_or(Why::Part("entities"))?;
        let role = people.role(uid);
        let of = |(kind, id): (&str, &str)| {
            let id = people.entity(self, kind, id, role == "resource" && self.keeps("resource"))?;
            Ok(json!({"type": people.name(kind)?, "id": id}))
        };
        let mut redacted = json!({"uid": of(uid)?});
        let Value::Object(members) = &mut redacted else { return Err(Why::Part("entities")) };
        for name in ["attrs", "tags"] {
            let attributes = entity.get(name).map(|value| value.as_object().ok_or(Why::Part("entities")));
            if let Some(attributes) = attributes.transpose()? {
                members.insert(name.to_owned(), values.record(role, attributes)?.into());
            }
        }
        members.entry("attrs").or_insert_with(|| json!({}));
        let parents = entity.get("parents").and_then(Value::as_array).into_iter().flatten();
        let parents = parents.map(|parent| read_uid(Some(parent)).ok_or(Why::Part("entities")).and_then(of));
        members.insert("parents".to_owned(), parents.collect::<Result<Vec<_>, _>>()?.into());
        Ok(redacted)
    }

    /// Whether the values at this path stay.
    pub fn keeps(&self, path: &str) -> bool {
        self.keep.iter().any(|kept| {
            path.strip_prefix(kept.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }

    /// What stands for a person.
    pub fn person(&self, id: &str) -> String {
        match self.principals {
            Principals::Hash => self.hasher.text(id),
            Principals::Remove => self.hasher.caller(id),
        }
    }
}

/// Who is in a request, and what in it is no person.
#[derive(Debug)]
pub struct People {
    /// The type of the caller. Others of that type are people, too.
    kind: String,
    caller: String,
    resource: (String, String),
    /// The resource is that of the API: the path has no parameters that could name another one.
    is_fixed: bool,
    /// Each text that is a person, with the id of that person: the id itself, and the part behind the name of the user
    /// pool.
    texts: BTreeMap<String, String>,
    /// The types of what callers are in.
    groups: BTreeSet<String>,
    actions: BTreeSet<String>,
}

impl People {
    fn of(request: &Value, route: Option<&str>) -> Result<Self, Why> {
        let uid = |name: &'static str| read_uid(request.get(name)).ok_or(Why::Part(name));
        let ((kind, caller), resource, action) = (uid("principal")?, uid("resource")?, uid("action")?);
        let mut people = Self {
            kind: kind.to_owned(),
            caller: caller.to_owned(),
            resource: (resource.0.to_owned(), resource.1.to_owned()),
            is_fixed: route.is_some_and(|route| !route.contains(['{', '+', '$'])) && resource.0 != kind,
            texts: BTreeMap::new(),
            groups: BTreeSet::new(),
            actions: [action.0.to_owned()].into(),
        };
        people.add(caller);
        people.find(request);
        let entities = request.get("entities").and_then(Value::as_array).into_iter().flatten();
        for entity in entities.filter(|entity| read_uid(entity.get("uid")) == Some((kind, caller))) {
            let parents = entity.get("parents").and_then(Value::as_array).into_iter().flatten();
            let types = parents.filter_map(|parent| read_uid(Some(parent))).map(|(kind, _)| kind.to_owned());
            people.groups.extend(types.filter(|parent| *parent != kind));
        }
        Ok(people)
    }

    /// Adds all people in a value.
    fn find(&mut self, value: &Value) {
        match value {
            Value::Array(values) => values.iter().for_each(|value| self.find(value)),
            Value::Object(members) => {
                if let Some((kind, id)) = read_uid(Some(value))
                    && kind == self.kind
                {
                    self.add(id);
                }
                members.values().for_each(|value| self.find(value));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn add(&mut self, id: &str) {
        if let Some((_, part)) = id.rsplit_once('|').filter(|(_, part)| !part.is_empty()) {
            self.texts.entry(part.to_owned()).or_insert_with(|| id.to_owned());
        }
        self.texts.insert(id.to_owned(), id.to_owned());
    }

    /// The person whom a text names.
    pub fn of_text(&self, text: &str) -> Option<&str> {
        self.texts.get(text).map(String::as_str)
    }

    /// A name that stays.
    ///
    /// # Errors
    /// It has the id of a person in it.
    pub fn name<'a>(&self, name: &'a str) -> Result<&'a str, Why> {
        let has = |id: &String| name == id || id.len() >= SHORTEST_ID && name.contains(id.as_str());
        if self.texts.keys().any(has) { Err(Why::NamesPerson) } else { Ok(name) }
    }

    /// What the entity is in the request.
    fn role(&self, (kind, id): (&str, &str)) -> &'static str {
        if kind == self.kind && id == self.caller {
            "principal"
        } else if kind == self.resource.0 && id == self.resource.1 {
            "resource"
        } else {
            "entity"
        }
    }

    /// The id of an entity, as it may be shown.
    pub fn entity(&self, redactor: &Redactor, kind: &str, id: &str, is_kept: bool) -> Result<String, Why> {
        if kind == self.kind {
            return Ok(redactor.person(id));
        }
        let is_resource = || self.is_fixed && self.resource.0 == kind && self.resource.1 == id;
        let is_group = || redactor.groups == Groups::Keep && self.groups.contains(kind);
        // An answer for all resources of a route has the template for an id.
        let is_template = || id.starts_with('{') && id.ends_with('}');
        if is_kept
            || self.actions.contains(kind)
            || is_group()
            || is_resource()
            || is_template()
            || redactor.known.has_entity(kind, id)
        {
            return self.name(id).map(str::to_owned);
        }
        Ok(redactor.hasher.text(id))
    }
}

/// The type and id of an entity.
fn read_uid(value: Option<&Value>) -> Option<(&str, &str)> {
    let value = value?;
    let value = value.get("__entity").unwrap_or(value);
    Some((value.get("type")?.as_str()?, value.get("id")?.as_str()?))
}

/// A shorter id is found in texts that have nothing to do with it; the same as in the decision log.
const SHORTEST_ID: usize = 4;

/// The version of redacted lines; docs/replay.md.
const VERSION: u64 = 1;
