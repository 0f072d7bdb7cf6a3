//! A request made as small and as plain as it can be, for people to read.

use serde_json::{Value, json};

use super::request;

/// A smaller request of which `holds` is true, as it is of the one that is given.
///
/// `callers` and `resources` are ids that are preferred, in this order.
pub fn shrunk(
    request: Value,
    callers: &[Value],
    resources: &[Value],
    holds: impl Fn(&Value) -> bool,
) -> Value {
    let mut shrinking = Shrinking { best: request, holds, left: MOST_TRIES };
    loop {
        let before = shrinking.best.clone();
        shrinking.rename("principal", callers);
        shrinking.rename("resource", resources);
        shrinking.remove_all();
        shrinking.make_plain();
        if shrinking.best == before || shrinking.left == 0 {
            return shrinking.best;
        }
    }
}

struct Shrinking<H> {
    best: Value,
    holds: H,
    /// How many requests may still be decided.
    left: usize,
}

impl<H: Fn(&Value) -> bool> Shrinking<H> {
    /// Takes the candidate if it still shows what is to be shown.
    fn try_this(&mut self, candidate: Value) -> bool {
        if self.left == 0 || candidate == self.best {
            return false;
        }
        self.left -= 1;
        let is_better = (self.holds)(&candidate);
        if is_better {
            self.best = candidate;
        }
        is_better
    }

    /// Gives the caller or the resource another name, wherever it is named.
    fn rename(&mut self, member: &str, names: &[Value]) {
        for name in names {
            let Some(known) = self.best.get(member).cloned() else { return };
            if known == *name || self.try_this(replaced(&self.best, &known, name)) {
                return;
            }
        }
    }

    /// Leaves out what is not needed: entities, parents, attributes, elements of sets. From behind, so that the paths
    /// of the others stay the same.
    fn remove_all(&mut self) {
        let mut paths = Vec::new();
        for part in ["entities", "context"] {
            if let Some(value) = self.best.get(part) {
                removable(value, &format!("/{part}"), &mut paths);
            }
        }
        for path in paths.into_iter().rev() {
            let mut candidate = self.best.clone();
            if remove(&mut candidate, &path) {
                self.try_this(candidate);
            }
        }
    }

    /// Replaces values by ones that are easy to read.
    fn make_plain(&mut self) {
        let mut paths = Vec::new();
        for part in ["entities", "context"] {
            if let Some(value) = self.best.get(part) {
                leaves(value, &format!("/{part}"), &mut paths);
            }
        }
        for path in paths {
            let Some(known) = self.best.pointer(&path).cloned() else { continue };
            for plain in plainer(&known) {
                let mut candidate = self.best.clone();
                if let Some(place) = candidate.pointer_mut(&path) {
                    *place = plain;
                }
                if self.try_this(candidate) {
                    break;
                }
            }
        }
    }
}

/// The value with each occurrence of one part replaced.
fn replaced(value: &Value, known: &Value, name: &Value) -> Value {
    if value == known {
        return name.clone();
    }
    match value {
        Value::Array(items) => items.iter().map(|item| replaced(item, known, name)).collect(),
        Value::Object(members) => {
            let members = members.iter().map(|(key, inner)| (key.clone(), replaced(inner, known, name)));
            Value::Object(members.collect())
        }
        other => other.clone(),
    }
}

/// The pointers of what could be left out. The identity of an entity cannot.
fn removable(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let inner = format!("{path}/{index}");
                found.push(inner.clone());
                removable(item, &inner, found);
            }
        }
        Value::Object(members) if is_escape(value) || members.contains_key("type") => {}
        Value::Object(members) => {
            let is_entity = members.contains_key("uid");
            for (name, item) in members.iter().filter(|(name, _)| !(is_entity && *name == "uid")) {
                let inner = format!("{path}/{}", escaped(name));
                if !is_entity {
                    found.push(inner.clone());
                }
                removable(item, &inner, found);
            }
        }
        _ => {}
    }
}

/// The pointers of values that could be plainer.
fn leaves(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, item)| leaves(item, &format!("{path}/{index}"), found));
        }
        Value::Object(members) if !is_escape(value) && !is_reference(value) => {
            let named = members.iter().filter(|(name, _)| !matches!(name.as_str(), "uid" | "parents"));
            named.for_each(|(name, item)| leaves(item, &format!("{path}/{}", escaped(name)), found));
        }
        _ => found.push(path.to_owned()),
    }
}

/// An entity, a date or an address.
fn is_escape(value: &Value) -> bool {
    value.get("__entity").is_some() || value.get("__extn").is_some()
}

fn is_reference(value: &Value) -> bool {
    value.get("type").is_some() && value.get("id").is_some()
}

/// What is easier to read than a value, the best first.
fn plainer(value: &Value) -> Vec<Value> {
    match value {
        Value::String(text) if PLAIN.contains(&text.as_str()) => Vec::new(),
        Value::String(_) => PLAIN.map(Value::from).to_vec(),
        Value::Number(number) => {
            let is_small = number.as_i64().is_some_and(|number| (0..=2).contains(&number));
            if is_small { Vec::new() } else { vec![json!(0), json!(1), json!(2), json!(100)] }
        }
        other => match other.pointer("/__extn/fn").and_then(Value::as_str) {
            Some(name) => examples(name).into_iter().filter(|example| example != other).collect(),
            None => Vec::new(),
        },
    }
}

/// Plain values of the extension types.
fn examples(function: &str) -> Vec<Value> {
    let texts: &[&str] = match function {
        "ip" => &["192.0.2.1", "10.0.0.1"],
        "decimal" => &["0.0", "1.0"],
        "datetime" => &["2026-01-01", "2020-01-01", "2030-01-01"],
        "duration" => &["0ms", "1h"],
        _ => &[],
    };
    let value = |text: &&str| json!({"__extn": {"fn": function, "arg": text}});
    // Cedar writes dates as an offset of the epoch; both forms are one value.
    texts.iter().map(value).collect()
}

fn remove(request: &mut Value, path: &str) -> bool {
    let Some((parent, name)) = path.rsplit_once('/') else { return false };
    match request.pointer_mut(parent) {
        Some(Value::Array(items)) => match name.parse::<usize>() {
            Ok(index) if index < items.len() => {
                items.remove(index);
                true
            }
            _ => false,
        },
        Some(Value::Object(members)) => members.remove(&unescaped(name)).is_some(),
        _ => false,
    }
}

/// A name in a JSON pointer (RFC 6901, 3).
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn unescaped(name: &str) -> String {
    name.replace("~1", "/").replace("~0", "~")
}

/// The callers that are preferred: a plain name behind each prefix.
pub fn callers(request: &Value, prefixes: &[Option<&str>]) -> Vec<Value> {
    let Some(principal) = request::uid(request, "principal") else { return Vec::new() };
    let name = |prefix: &Option<&str>| match prefix {
        Some(prefix) => format!("{prefix}|someone"),
        None => "someone".to_owned(),
    };
    let ids = prefixes.iter().map(name).chain(["someone".to_owned()]);
    ids.map(|id| json!({"type": principal.type_name().to_string(), "id": id})).collect()
}

const PLAIN: [&str; 4] = ["x", "a", "1", ""];

/// How many requests are decided to make one smaller. Each takes less than a millisecond.
const MOST_TRIES: usize = 600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_needed_is_left_out() {
        let user = json!({"type": "User", "id": "\u{1}"});
        let request = json!({
            "version": 1, "principal": user, "action": {"type": "Action", "id": "a"},
            "resource": {"type": "App", "id": ""},
            "context": {"n": 77, "rest": {"a/b": "\u{2}\u{3}", "c": true}, "tags": ["q", "w"]},
            "entities": [
                {
                    "uid": user, "attrs": {"x": 1, "s": "zzz"},
                    "parents": [{"type": "G", "id": "1"}, {"type": "G", "id": "2"}],
                },
                {"uid": {"type": "G", "id": "1"}, "attrs": {}, "parents": []},
            ],
        });
        let holds = |request: &Value| {
            let parents = request.pointer("/entities/0/parents").and_then(Value::as_array);
            parents.is_some_and(|all| all.contains(&json!({"type": "G", "id": "2"})))
                && request.pointer("/context/rest/a~1b").is_some_and(Value::is_string)
                && request.pointer("/context/n").and_then(Value::as_i64).is_some_and(|n| n > 50)
        };
        let someone = json!({"type": "User", "id": "someone"});
        let small = shrunk(request, std::slice::from_ref(&someone), &[], holds);
        assert_eq!(small["principal"], someone);
        assert_eq!(small["context"], json!({"n": 100, "rest": {"a/b": "x"}}));
        let parents = json!([{"type": "G", "id": "2"}]);
        assert_eq!(small["entities"], json!([{"uid": someone, "attrs": {}, "parents": parents}]));
    }
}
