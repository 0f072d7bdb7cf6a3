//! What Cedar's validator finds in policies: once where it reports one mistake for each action, and with better guesses.
//!
//! Of many policies with one [shape](super::shape), and of many links that fill a template with entities of the same
//! types, the validator sees one. If it finds something there, it sees the others too, so that each finding is about
//! its own policy, in the validator's words.

use std::collections::{BTreeSet, HashMap, HashSet};

use cedar_policy::{
    EntityTypeName, EntityUid, PolicyId, PolicySet, Schema, Template, ValidationError, ValidationMode,
    ValidationWarning, Validator,
};
use rayon::prelude::*;

use super::{Code, Finding, StorePolicies, StoreSchema};
use crate::store::finding::Position;
use crate::store::guess::nearest;
use crate::store::links::LinkedEntity;
use crate::store::stored_policy::{self, StoredPolicy};

impl StorePolicies<'_> {
    /// Validates all policies strictly against the schema. Returns those that can never apply.
    pub(in crate::store) fn validate(
        &self,
        schema: &StoreSchema,
        findings: &mut Vec<Finding>,
    ) -> HashSet<PolicyId> {
        use ValidationWarning::{ImpossiblePolicy, InvalidActionApplication};
        let Problems { errors, warnings } = self.problems(&schema.schema);
        let names = Names::of(schema);
        let errors = errors.iter().map(|error| {
            let finding = self.finding(Code::PolicyMismatch, error, error.policy_id());
            let hint = names.hint(error, finding.hint.as_deref());
            Finding { hint, ..finding }
        });
        findings.extend(once_for_all_actions(errors));
        // No action for the scope is the better reason why a policy is impossible.
        let without_action: HashSet<&PolicyId> = warnings
            .iter()
            .filter(|warning| matches!(warning, InvalidActionApplication(_)))
            .map(ValidationWarning::policy_id)
            .collect();
        let mut impossible: HashSet<PolicyId> = without_action.iter().map(|id| (*id).clone()).collect();
        for warning in &warnings {
            let id = warning.policy_id();
            if matches!(warning, ImpossiblePolicy(_)) {
                impossible.insert(id.clone());
                if without_action.contains(id) {
                    continue;
                }
            }
            findings.push(self.finding(Code::PolicyWarning, warning, id));
        }
        impossible
    }

    /// What the validator finds.
    fn problems(&self, schema: &Schema) -> Problems {
        let validator = Validator::new(schema.clone());
        let mut known = HashSet::new();
        let first: Vec<Validated<'_>> = self
            .validated()
            .filter(|one| self.likeness(one).is_none_or(|likeness| known.insert(likeness)))
            .collect();
        drop(known);
        let mut problems = Problems::of_all(&first, &validator);
        let ids = problems.ids();
        let (mut blamed, mut done) = (HashSet::new(), HashSet::new());
        for one in first.iter().filter(|one| ids.contains(one.id())) {
            blamed.extend(self.likeness(one));
            done.insert(one.id());
        }
        if !blamed.is_empty() {
            let is_blamed = |one: &Validated<'_>| {
                self.likeness(one).is_some_and(|likeness| blamed.contains(&likeness))
                    && !done.contains(one.id())
            };
            let rest: Vec<Validated<'_>> = self.validated().filter(is_blamed).collect();
            let of_rest = Problems::of_all(&rest, &validator);
            problems.add(of_rest);
        }
        problems
    }

    fn validated(&self) -> impl Iterator<Item = Validated<'_>> {
        let templates = self.set.templates().map(Validated::Template);
        templates.chain(stored_policy::all(&self.set, &self.links).map(Validated::Policy))
    }

    /// `None`: it is like no other.
    fn likeness<'a>(&self, one: &Validated<'a>) -> Option<Likeness<'a>> {
        match one {
            Validated::Template(template) => self.shape(template.id()).map(Likeness::Shape),
            Validated::Policy(StoredPolicy::Static(policy)) => self.shape(policy.id()).map(Likeness::Shape),
            Validated::Policy(StoredPolicy::Linked(link, _)) => {
                let entity_type = |entity: Option<LinkedEntity<'a>>| entity.map(|entity| entity.entity_type);
                Some(Likeness::Types {
                    template: link.template_id,
                    principal: entity_type(link.principal),
                    resource: entity_type(link.resource),
                })
            }
        }
    }
}

/// Something that the validator looks at.
#[derive(Clone, Copy)]
enum Validated<'a> {
    Policy(StoredPolicy<'a>),
    Template(&'a Template),
}

impl<'a> Validated<'a> {
    fn id(&self) -> &'a str {
        match self {
            Self::Policy(policy) => policy.id(),
            Self::Template(template) => template.id().as_ref(),
        }
    }
}

/// What the validator looks at in a policy. Of two that are alike, it accepts both or neither.
#[derive(PartialEq, Eq, Hash)]
enum Likeness<'a> {
    /// The text.
    Shape(usize),
    /// The template, which is looked at by itself, and the types of what is in its slots (`validate_slots` in
    /// `validator.rs` of Cedar 4.14.1).
    Types {
        template: &'a PolicyId,
        principal: Option<&'a EntityTypeName>,
        resource: Option<&'a EntityTypeName>,
    },
}

/// What the validator has found.
#[derive(Default)]
struct Problems {
    errors: Vec<ValidationError>,
    warnings: Vec<ValidationWarning>,
}

impl Problems {
    fn of_all(all: &[Validated<'_>], validator: &Validator) -> Self {
        let found: Vec<Self> = all.par_chunks(AT_ONCE).map(|some| Self::of(some, validator)).collect();
        let mut problems = Self::default();
        found.into_iter().for_each(|found| problems.add(found));
        problems
    }

    fn of(some: &[Validated<'_>], validator: &Validator) -> Self {
        let mut set = PolicySet::new();
        for one in some {
            // INVARIANT: the store has each id once, and its links fit their templates.
            let _ = match one {
                Validated::Template(template) => set.add_template((*template).clone()),
                Validated::Policy(StoredPolicy::Static(policy)) => set.add((*policy).clone()),
                Validated::Policy(StoredPolicy::Linked(link, template)) => {
                    if set.template(template.id()).is_none() {
                        let _ = set.add_template((*template).clone());
                    }
                    set.link(template.id().clone(), PolicyId::new(link.id), link.values())
                }
            };
        }
        let ids: HashSet<&str> = some.iter().map(Validated::id).collect();
        // A template that is there for its links is looked at elsewhere.
        let is_asked = |id: &PolicyId| ids.contains::<str>(id.as_ref());
        let result = validator.validate(&set, ValidationMode::Strict);
        let errors = result.validation_errors().filter(|error| is_asked(error.policy_id()));
        let warnings = result.validation_warnings().filter(|warning| is_asked(warning.policy_id()));
        Self { errors: errors.cloned().collect(), warnings: warnings.cloned().collect() }
    }

    fn add(&mut self, Self { errors, warnings }: Self) {
        self.errors.extend(errors);
        self.warnings.extend(warnings);
    }

    fn ids(&self) -> HashSet<String> {
        let of_errors = self.errors.iter().map(ValidationError::policy_id);
        of_errors
            .chain(self.warnings.iter().map(ValidationWarning::policy_id))
            .map(ToString::to_string)
            .collect()
    }
}

/// So many policies are validated together. A set for each would take as long as a short policy.
const AT_ONCE: usize = 32;

/// The validator checks a policy for each action that its scope matches, and reports a mistake for each of them.
/// Makes one finding of those that differ in nothing else.
fn once_for_all_actions(findings: impl Iterator<Item = Finding>) -> Vec<Finding> {
    type Place = (Option<String>, Position, String, String, Option<String>);
    let mut merged: Vec<(Finding, BTreeSet<String>)> = Vec::new();
    let mut known: HashMap<Place, usize> = HashMap::new();
    for finding in findings {
        let Some((before, action, behind)) = around_action(&finding.message) else {
            merged.push((finding, BTreeSet::new()));
            continue;
        };
        let (action, behind) = (action.to_owned(), behind.to_owned());
        let place = (
            finding.policy.clone(),
            finding.position.clone(),
            before.to_owned(),
            behind,
            finding.hint.clone(),
        );
        let index = *known.entry(place).or_insert_with(|| {
            merged.push((finding, BTreeSet::new()));
            merged.len() - 1
        });
        if let Some((_, actions)) = merged.get_mut(index) {
            actions.insert(action);
        }
    }
    merged.into_iter().map(|(finding, actions)| named(finding, &actions)).collect()
}

/// The finding with the first few of the actions that it is about.
fn named(finding: Finding, actions: &BTreeSet<String>) -> Finding {
    let Some((before, _, behind)) = around_action(&finding.message) else {
        return finding;
    };
    let mut list: String =
        actions.iter().take(MAX_ACTIONS).map(String::as_str).collect::<Vec<_>>().join(", ");
    if actions.len() > MAX_ACTIONS {
        list.push_str(&format!(" and {} more", actions.len() - MAX_ACTIONS));
    }
    let message = format!("{before}{list}{behind}");
    Finding { message, ..finding }
}

/// The action in a message about an attribute of a context, and what stands around it.
fn around_action(message: &str) -> Option<(&str, &str, &str)> {
    let start = message.find(OF_ACTION)? + OF_ACTION.len();
    let (before, rest) = message.split_at_checked(start)?;
    let quote = rest.find('"')? + 1;
    let mut is_escaped = false;
    let end = rest.get(quote..)?.find(|char: char| {
        let ends = char == '"' && !is_escaped;
        is_escaped = char == '\\' && !is_escaped;
        ends
    })?;
    let (action, behind) = rest.split_at_checked(quote + end + 1)?;
    Some((before, action, behind))
}

/// The words of Cedar's message.
const OF_ACTION: &str = " in context for ";

/// More would not be read.
const MAX_ACTIONS: usize = 3;

/// The names that a schema has.
struct Names {
    actions: Vec<EntityUid>,
    entity_types: Vec<String>,
}

impl Names {
    fn of(schema: &StoreSchema) -> Self {
        let mut actions: Vec<EntityUid> = schema.schema.actions().cloned().collect();
        actions.sort();
        let mut entity_types: Vec<String> = schema.schema.entity_types().map(ToString::to_string).collect();
        entity_types.sort_unstable();
        Self { actions, entity_types }
    }

    /// What to say instead of Cedar's own hint. Its guess is the nearest name of all, however far it is, and by
    /// letters `get /` is nearer to `get /pet/{petId}` than a route with a longer parameter.
    fn hint(&self, error: &ValidationError, cedars: Option<&str>) -> Option<String> {
        let did_you_mean = |name: String| format!("did you mean `{name}`?");
        match error {
            ValidationError::UnrecognizedActionId(_) => {
                if cedars.is_some_and(|hint| !hint.starts_with(DID_YOU_MEAN)) {
                    return cedars.map(str::to_owned);
                }
                let name: EntityUid = last_quoted(&error.to_string())?.parse().ok()?;
                self.nearest_action(&name).map(|action| did_you_mean(action.to_string()))
            }
            ValidationError::UnrecognizedEntityType(_) => {
                let message = error.to_string();
                let name = last_quoted(&message)?;
                nearest_type(name, &self.entity_types).map(did_you_mean)
            }
            ValidationError::UnsafeAttributeAccess(_) => {
                let guess = cedars.and_then(|hint| hint.strip_prefix(DID_YOU_MEAN)?.split('`').next());
                let (Some(guess), Some(path)) = (guess, first_quoted_attribute(&error.to_string())) else {
                    return cedars.map(str::to_owned);
                };
                // A guess that is far from the name only leads astray.
                nearest(&path, [guess]).and(cedars).map(str::to_owned)
            }
            _ => cedars.map(str::to_owned),
        }
    }

    fn nearest_action(&self, name: &EntityUid) -> Option<&EntityUid> {
        let id = name.id().unescaped();
        let same_type = || self.actions.iter().filter(|action| action.type_name() == name.type_name());
        let found = nearest(id, same_type().map(|action| action.id().unescaped()));
        match found {
            Some(found) => same_type().find(|action| action.id().unescaped() == found),
            // The name is right, its namespace is not.
            None => self.actions.iter().find(|action| action.id().unescaped() == id),
        }
    }
}

/// The entity type that was probably meant: of a similar name in its namespace, or of the same name in another.
fn nearest_type(name: &str, known: &[String]) -> Option<String> {
    let (namespace, base) = parts(name);
    let same = known.iter().filter(|known| parts(known).0 == namespace);
    match nearest(base, same.map(|known| parts(known).1)) {
        Some(found) => known.iter().find(|known| parts(known) == (namespace, found)).cloned(),
        None => known.iter().find(|known| parts(known).1 == base).cloned(),
    }
}

/// The namespace and the rest of the name of an entity type.
fn parts(name: &str) -> (&str, &str) {
    name.rsplit_once("::").unwrap_or(("", name))
}

fn last_quoted(message: &str) -> Option<&str> {
    message.strip_suffix('`')?.rsplit_once(" `").map(|(_, name)| name)
}

/// The attribute at the end of a path such as `` attribute `token.x` ``.
fn first_quoted_attribute(message: &str) -> Option<String> {
    let (_, rest) = message.split_once(", attribute `")?;
    let path = rest.split('`').next()?;
    Some(path.rsplit('.').next()?.to_owned())
}

const DID_YOU_MEAN: &str = "did you mean `";

#[cfg(test)]
mod tests;
