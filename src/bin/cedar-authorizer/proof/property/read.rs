//! Reading a file of properties. Nothing in it is ignored.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;

use cedar_authorizer::cedar::{EntityUid, Policy, PolicyId};
use serde_json::{Map, Value};

use super::pattern::{Pattern, matches};
use super::{Claim, Property};
use crate::nearest::choice;
use crate::proof::policies::{Provable, find_entities};
use crate::test::fields::{Fields, kind, list};
use crate::test::problem::{Problem, Problems};
use crate::test::read::read_text;
use crate::yaml::{self, Node, Place};

/// Reads a file of properties of a store.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read_file(store: &Provable<'_>, path: &Path) -> Result<Vec<Property>, Vec<Problem>> {
    let problems = Problems::new(&path.display().to_string(), MAX_PROPERTIES);
    let properties = match read_text(path) {
        Ok(text) => PropertyReader::new(store, &problems).read(&text),
        Err(message) => {
            problems.add(Place::START, message);
            Vec::new()
        }
    };
    if problems.count() == 0 { Ok(properties) } else { Err(problems.into_sorted()) }
}

struct PropertyReader<'a> {
    store: &'a Provable<'a>,
    problems: &'a Problems,
    actions: BTreeSet<EntityUid>,
    /// The entities that policies name, and those of the store.
    known: BTreeSet<EntityUid>,
}

impl<'a> PropertyReader<'a> {
    fn new(store: &'a Provable<'a>, problems: &'a Problems) -> Self {
        let mut known = BTreeSet::new();
        store.policies.iter().for_each(|policy| find_entities(&policy.condition, &mut known));
        known.extend(store.entities().iter().map(|entity| entity.uid()));
        let actions = store.environments.iter().map(|environment| environment.action.clone()).collect();
        Self { store, problems, actions, known }
    }

    fn read(&self, text: &str) -> Vec<Property> {
        let mut of_yaml = Vec::new();
        let root = yaml::parse(text, MAX_NODES, &mut of_yaml);
        of_yaml.into_iter().for_each(|problem| self.problems.add_yaml(problem));
        let root = match root {
            Ok(Some(root)) if !root.is_null() => root,
            Ok(_) => {
                self.none(Place::START);
                return Vec::new();
            }
            Err(problem) => {
                self.problems.add_yaml(problem);
                return Vec::new();
            }
        };
        let Some(file) = Fields::read(self.problems, &root, "a file of properties") else {
            return Vec::new();
        };
        file.allow("a file of properties", &["properties"], &[]);
        let Some(node) = file.get("properties") else {
            self.none(root.place);
            return Vec::new();
        };
        let Some(items) = node.list() else {
            self.problems.add(node.place, format!("`properties` should be a list, not {}", kind(node)));
            return Vec::new();
        };
        if items.is_empty() {
            self.none(node.place);
        }
        if !self.problems.take_room(items.len()) {
            self.problems.add(node.place, format!("more than {MAX_PROPERTIES} properties"));
            return Vec::new();
        }
        let mut known = BTreeMap::new();
        items.iter().filter_map(|item| self.property(item, &mut known)).collect()
    }

    fn none(&self, place: Place) {
        let hint = "add `properties:` with a list, each with a `name` and what is claimed, such as `never`";
        self.problems.add_with(place, "there are no properties in this file", hint);
    }

    fn property(&self, node: &Rc<Node>, known: &mut BTreeMap<String, Place>) -> Option<Property> {
        let fields = Fields::read(self.problems, node, "a property")?;
        let keys: Vec<&str> = ["name"].iter().chain(&CLAIMS).copied().collect();
        fields.allow("a property", &keys, &PATTERN);
        let name = fields.text("name");
        if !fields.has("name") {
            self.problems.add(node.place, "the property has no `name`");
        }
        let claims: Vec<&str> = CLAIMS.into_iter().filter(|claim| fields.has(claim)).collect();
        let claim = match claims.as_slice() {
            [claim] => self.claim(&fields, claim),
            [] => {
                let hint = format!("it takes one of {}", list(&CLAIMS));
                self.problems.add_with(node.place, "the property claims nothing", hint);
                None
            }
            several => {
                let message = format!("the property has {}, of which it takes one", list(several));
                self.problems.add_with(node.place, message, "make a property of each");
                None
            }
        };
        let (name, place) = name?;
        if let Some(first) = known.insert(name.to_owned(), place) {
            self.problems.add(place, format!("there is a property `{name}` already, in line {}", first.line));
        }
        Some(Property { name: name.to_owned(), place: node.place, claim: claim? })
    }

    fn claim(&self, fields: &Fields<'_>, name: &str) -> Option<Claim> {
        Some(match name {
            "never" => Claim::Never(self.pattern(fields, name)?),
            "always" => Claim::Always(self.pattern(fields, name)?),
            "never_errors" => {
                let texts = fields.texts(name)?;
                if texts.iter().any(|(text, _)| *text == "*") {
                    Claim::NeverErrors(self.store.policies.iter().map(|policy| policy.id.clone()).collect())
                } else {
                    let ids = texts.into_iter().map(|(text, place)| self.policy(text, place));
                    Claim::NeverErrors(ids.collect::<Option<Vec<_>>>()?)
                }
            }
            "disjoint" => {
                let (first, second) = self.two_policies(fields, name)?;
                Claim::Disjoint(first, second)
            }
            "equivalent" => {
                let (first, second) = self.two_policies(fields, name)?;
                Claim::Equivalent(first, second)
            }
            "changes_nothing" => Claim::ChangesNothing(self.one_policy(fields, name)?),
            "matters" => Claim::Matters(self.one_policy(fields, name)?),
            _ => Claim::NeverApplies(self.one_policy(fields, name)?),
        })
    }

    fn one_policy(&self, fields: &Fields<'_>, key: &str) -> Option<PolicyId> {
        let (text, place) = fields.text(key)?;
        self.policy(text, place)
    }

    fn two_policies(&self, fields: &Fields<'_>, key: &str) -> Option<(PolicyId, PolicyId)> {
        let texts = fields.texts(key)?;
        let place = fields.get(key).map_or(fields.place, |node| node.place);
        let [first, second] = texts.as_slice() else {
            self.problems.add(place, format!("`{key}` takes two policies"));
            return None;
        };
        let (first, second) = (self.policy(first.0, first.1), self.policy(second.0, second.1));
        if first.is_some() && first == second {
            self.problems.add(place, format!("`{key}` has one policy twice"));
        }
        Some((first?, second?))
    }

    fn policy(&self, text: &str, place: Place) -> Option<PolicyId> {
        let ids: Vec<String> = self.store.policies.iter().map(|policy| policy.id.to_string()).collect();
        if !ids.iter().any(|id| id == text) {
            let hint = choice(text, ids.iter().map(String::as_str));
            self.problems.add_with(place, format!("there is no policy `{text}`"), hint);
            return None;
        }
        Some(PolicyId::new(text))
    }

    fn pattern(&self, fields: &Fields<'_>, key: &str) -> Option<Pattern> {
        let node = fields.get(key).or_else(|| {
            self.problems.add(fields.place, format!("`{key}` says of no request"));
            None
        })?;
        let fields = Fields::read(self.problems, node, key)?;
        fields.allow(&format!("`{key}`"), &PATTERN, &CLAIMS);
        let uid = |key: &str| {
            let (text, place) = fields.text(key)?;
            self.entity(text, place)
        };
        let claims = fields.object("claims").map(|(claims, place)| self.claims(claims, place));
        let in_groups = fields.texts("in_group").unwrap_or_default().into_iter();
        let in_groups: Vec<_> = in_groups.map(|(name, place)| self.groups(name, place)).collect();
        let not_in = fields.texts("not_in_group").unwrap_or_default().into_iter();
        Some(Pattern {
            actions: self.actions(&fields),
            principal: uid("principal"),
            resource: uid("resource"),
            // The caller is in one of the groups that are named.
            in_groups: if in_groups.is_empty() { Vec::new() } else { vec![in_groups.concat()] },
            not_in_groups: not_in.flat_map(|(name, place)| self.groups(name, place)).collect(),
            claims: claims.unwrap_or_default(),
            when: fields.text("when").and_then(|(text, place)| self.expression(text, place)),
        })
    }

    /// The actions of a pattern; all, if it names none.
    fn actions(&self, fields: &Fields<'_>) -> Vec<EntityUid> {
        let found = |key: &str| {
            let texts = fields.texts(key)?;
            let found = texts.into_iter().flat_map(|(text, place)| self.actions_like(text, place));
            Some(found.collect::<BTreeSet<_>>())
        };
        let named = found("action").unwrap_or_else(|| self.actions.clone());
        let except = found("except_action").unwrap_or_default();
        let actions: Vec<EntityUid> = named.difference(&except).cloned().collect();
        if actions.is_empty() && self.problems.count() == 0 {
            self.problems.add(fields.place, "no action is left");
        }
        actions
    }

    fn actions_like(&self, text: &str, place: Place) -> Vec<EntityUid> {
        let is_like = |action: &&EntityUid| {
            matches(text, action.id().unescaped()) || matches(text, &action.to_string())
        };
        let found: Vec<EntityUid> = self.actions.iter().filter(is_like).cloned().collect();
        if found.is_empty() {
            let ids = self.actions.iter().map(|action| action.id().unescaped());
            self.problems.add_with(place, format!("no action is `{text}`"), choice(text, ids));
        }
        found
    }

    /// The groups of a name as a token has it, or one that is written out.
    fn groups(&self, text: &str, place: Place) -> Vec<EntityUid> {
        let sources = self.store.bench.bundle().identity_sources();
        let groups: BTreeSet<EntityUid> = match text.parse() {
            Ok(uid) => BTreeSet::from([uid]),
            Err(_) => {
                let group = |source: &cedar_authorizer::token::identity_source::IdentitySource| {
                    Some(source.entity(source.group_type()?, text))
                };
                sources.iter().filter_map(group).collect()
            }
        };
        let known: Vec<EntityUid> =
            groups.iter().filter(|group| self.known.contains(group)).cloned().collect();
        if known.is_empty() {
            let types: BTreeSet<_> = sources.iter().filter_map(|source| source.group_type()).collect();
            let names: BTreeSet<String> = self
                .known
                .iter()
                .filter(|uid| types.contains(uid.type_name()))
                .map(|uid| uid.id().unescaped().rsplit('|').next().unwrap_or_default().to_owned())
                .collect();
            let hint = choice(text, names.iter().map(String::as_str));
            let message = format!("no policy and no entity of the store names the group `{text}`");
            self.problems.add_with(place, message, hint);
        }
        known
    }

    fn entity(&self, text: &str, place: Place) -> Option<EntityUid> {
        let read = text.parse::<EntityUid>();
        if read.is_err() {
            let hint = "write it as Cedar does: `Type::\"id\"`";
            self.problems.add_with(place, format!("`{text}` is no entity"), hint);
        }
        read.ok()
    }

    fn claims(&self, claims: Map<String, Value>, place: Place) -> Map<String, Value> {
        for (name, value) in &claims {
            if !matches!(value, Value::String(_) | Value::Bool(_)) && value.as_i64().is_none() {
                let message =
                    format!("the claim `{name}` should be a text, a whole number, `true` or `false`");
                self.problems.add_with(place, message, "say more about it with `when`");
            }
        }
        claims
    }

    fn expression(&self, text: &str, place: Place) -> Option<Value> {
        // A comment ends with its line.
        let policy = format!("permit(principal, action, resource) when {{ {text}\n}};");
        let read = Policy::parse(None, policy).map_err(|error| error.to_string());
        let read = read.and_then(|policy| policy.to_json().map_err(|error| error.to_string()));
        let json = match read {
            Ok(json) => json,
            Err(error) => {
                self.problems.add(place, format!("`when` is no expression of Cedar: {error}"));
                return None;
            }
        };
        match json.get("conditions").and_then(Value::as_array).map(Vec::as_slice) {
            Some([condition]) => condition.get("body").cloned(),
            _ => {
                self.problems.add(place, "`when` should be one expression");
                None
            }
        }
    }
}

/// What a property can claim.
const CLAIMS: [&str; 8] = [
    "never",
    "always",
    "never_errors",
    "never_applies",
    "disjoint",
    "equivalent",
    "changes_nothing",
    "matters",
];

/// What says which requests a property is about.
const PATTERN: [&str; 8] =
    ["action", "except_action", "principal", "resource", "in_group", "not_in_group", "claims", "when"];

const MAX_PROPERTIES: usize = 1000;
const MAX_NODES: usize = 100_000;
