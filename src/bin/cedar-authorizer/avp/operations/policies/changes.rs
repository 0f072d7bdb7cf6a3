//! Changes of policies. In a file with several, only the one that is meant changes.

use std::sync::Arc;

use cedar_authorizer::bundle::nesting;
use cedar_policy::PolicySet;
use serde::Deserialize;

use super::answers::MadePolicy;
use super::{NamedPolicy, STATEMENT, check_resource_size, find, stored};
use crate::avp::error::{ResourceKind, ServiceError};
use crate::avp::moment::Moment;
use crate::avp::operations::requests::{Empty, check_free_name, checked_name, id_of};
use crate::avp::operations::statements;
use crate::avp::service::Service;
use crate::avp::store::files::{Files, Step};
use crate::avp::store::index::{Definition, Index, Place, StaticDefinition, StoredPolicy, WrittenDefinition};
use crate::avp::store::links;
use crate::avp::store::notes::{Kind, Note, written};
use crate::avp::store::scope::Scope;
use crate::avp::store::{Change, Update, layout};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdatePolicy {
    policy_store_id: String,
    policy_id: String,
    definition: Option<UpdateDefinition>,
    name: Option<String>,
}

#[derive(Debug, Deserialize)]
struct UpdateDefinition {
    r#static: StaticDefinition,
}

/// `UpdatePolicy`.
pub fn update(service: &Service, input: UpdatePolicy) -> Result<MadePolicy, ServiceError> {
    let store = service.store(&input.policy_store_id)?;
    let name = checked_name(input.name.as_deref())?;
    let now = Moment::now();
    store.change(|index, files| {
        let known = find(index, &input.policy_id)?;
        check_free_name(index, Kind::Policy, name, Some(&known.id))?;
        let (kind, mut note) = (known.kind(), known.note.clone());
        if input.name.is_some() {
            note.name = name.map(str::to_owned);
        }
        pin(&mut note, index, known, now);
        let made = match (&known.definition, input.definition) {
            (Definition::Linked { .. }, Some(_)) => {
                let message = "the policy is linked to a template: update that with UpdatePolicyTemplate";
                return Err(ServiceError::invalid("definition", message));
            }
            (_, None) => {
                let made = stored(known.id.clone(), note, known.scope.clone(), known.definition.clone());
                let steps = vec![(kind.note(&known.id), Some(written(&made.note)))];
                let answer = MadePolicy::of(&store.id, &made);
                return Ok((Some(Change { steps, update: Update::Policy(made) }), answer));
            }
            (Definition::Static { policy, place, .. }, Some(UpdateDefinition { r#static: new })) => {
                note.description = new.description.or(note.description);
                let statement = new.statement;
                statements::check_size(service, &statement, ResourceKind::Policy.named(&known.id))?;
                let new_policy = statements::static_policy(STATEMENT, &statement)?;
                let refused = |what: &str| {
                    Err(ServiceError::invalid(
                        STATEMENT,
                        format_args!("the {what} of a policy cannot be changed"),
                    ))
                };
                if new_policy.effect() != policy.effect() {
                    return refused("effect");
                }
                if new_policy.principal_constraint() != policy.principal_constraint() {
                    return refused("principal");
                }
                if new_policy.resource_constraint() != policy.resource_constraint() {
                    return refused("resource");
                }
                let mut set = PolicySet::new();
                set.add(new_policy.clone()).map_err(ServiceError::internal)?;
                statements::validate(index, STATEMENT, &statement, &set)?;
                let scope = Scope::of(&new_policy);
                let bytes = statement.trim().len();
                check_resource_size(service, index, &known.id, &scope, bytes, Some(&known.id))?;
                let place = place.clone();
                stored(
                    known.id.clone(),
                    note,
                    scope,
                    Definition::Static { statement, policy: Box::new(new_policy), place },
                )
            }
        };
        let Definition::Static { statement, place, .. } = &made.definition else {
            return Err(ServiceError::internal("a static policy became another"));
        };
        let content = replaced(files, place, statement, made.note.description.as_deref())?;
        let steps = layout::with_note(kind, &made.id, &made.note, place.file.clone(), content);
        // In a file with several, all others may have moved.
        let is_alone = place.part.is_none();
        let answer = MadePolicy::of(&store.id, &made);
        let update = if is_alone { Update::Policy(made) } else { Update::Reread };
        Ok((Some(Change { steps, update }), answer))
    })
}

/// Writes down which policy a note is about, so that it keeps its id whatever its text says.
fn pin(note: &mut Note, index: &Index, policy: &StoredPolicy, now: Moment) {
    let file = match &policy.definition {
        Definition::Linked { .. } => links::FILE,
        Definition::Static { place, .. } => &place.file,
    };
    let base = Note::new(&policy.id, file, now);
    (note.id, note.file) = (base.id, base.file);
    (note.created_date, note.last_updated_date) = (Some(policy.dates.created), Some(now));
    let place = match &policy.definition {
        Definition::Linked { template_id, written_id, .. } => {
            note.template_id = Some(template_id.clone());
            note.link = (*written_id != policy.id).then(|| written_id.clone());
            return;
        }
        Definition::Static { place, .. } => place,
    };
    note.index = place.part.as_ref().map(|part| {
        let before = |other: &&Arc<StoredPolicy>| matches!(
            &other.definition,
            Definition::Static { place: other, .. }
                if other.file == place.file && other.part.as_ref().is_some_and(|other| other.start < part.start)
        );
        index.policies.values().filter(before).count() + 1
    });
}

/// The file of a policy with another statement.
pub fn replaced(
    files: &Files,
    place: &Place,
    statement: &str,
    description: Option<&str>,
) -> Result<Vec<u8>, ServiceError> {
    if place.file.ends_with(".json") {
        let definition =
            StaticDefinition { description: description.map(str::to_owned), statement: statement.to_owned() };
        return Ok(written(&WrittenDefinition { r#static: definition }));
    }
    let Some(part) = &place.part else {
        return Ok(statement.as_bytes().to_vec());
    };
    let text = text_of(files, &place.file).ok_or_else(unreadable)?;
    let (before, behind) = text.get(..part.start).zip(text.get(part.end..)).ok_or_else(unreadable)?;
    // A comment at the end of the statement must not swallow what follows it.
    let ends_line = statement.ends_with('\n') || behind.starts_with(['\r', '\n']) || behind.is_empty();
    let line_end = if ends_line { "" } else { "\n" };
    let count = |text: &str| nesting::policies(text).map_or(0, |starts| starts.len());
    let changed = [before, statement, line_end, behind].concat();
    if count(&changed) == count(text) { Ok(changed.into_bytes()) } else { Err(unreadable()) }
}

/// `DeletePolicy`.
pub fn delete(service: &Service, input: NamedPolicy) -> Result<Empty, ServiceError> {
    let store = service.store(&input.policy_store_id)?;
    store.change(|index, files| {
        let found = id_of(index, Kind::Policy, &input.policy_id).and_then(|id| index.policies.get(id));
        let Some(policy) = found else { return Ok((None, Empty {})) };
        let mut change = Change { steps: Vec::new(), update: Update::NoPolicy(policy.id.clone()) };
        match &policy.definition {
            Definition::Linked { written_id, .. } => {
                let text = text_of(files, links::FILE).ok_or_else(unreadable)?;
                let left = links::without(text, |link| link.id == *written_id).ok_or_else(unreadable)?;
                change.steps.push((links::FILE.to_owned(), Some(left.into_bytes())));
            }
            Definition::Static { place, .. } if place.part.is_none() => {
                change.steps.push((place.file.clone(), None));
            }
            Definition::Static { place, .. } => {
                let others = others_in(index, &policy.id, place);
                change.steps.extend(pinned(&others, place));
                change.steps.push((place.file.clone(), Some(without(files, place)?)));
                change.update = Update::Reread;
            }
        }
        let note = policy.kind().note(&policy.id);
        if files.contains_key(&note) {
            change.steps.push((note, None));
        }
        Ok((Some(change), Empty {}))
    })
}

/// The other policies of a file, in their order.
fn others_in<'a>(index: &'a Index, id: &str, place: &Place) -> Vec<(&'a StoredPolicy, usize)> {
    let mut others: Vec<(&StoredPolicy, usize)> = index
        .policies
        .values()
        .filter(|policy| policy.id != id)
        .filter_map(|policy| match &policy.definition {
            Definition::Static { place: other, .. } if other.file == place.file => {
                Some((&**policy, other.part.as_ref()?.start))
            }
            _ => None,
        })
        .collect();
    others.sort_by_key(|(_, start)| *start);
    others
}

/// Notes that keep the ids of policies when one before them goes.
fn pinned(others: &[(&StoredPolicy, usize)], place: &Place) -> Vec<Step> {
    let note = |(number, (policy, _)): (usize, &(&StoredPolicy, usize))| {
        let base = Note::new(&policy.id, &place.file, policy.dates.created);
        let note = Note {
            id: base.id,
            file: base.file,
            index: (others.len() > 1).then_some(number + 1),
            created_date: Some(policy.dates.created),
            last_updated_date: Some(policy.dates.updated),
            ..policy.note.clone()
        };
        (Kind::Policy.note(&policy.id), Some(written(&note)))
    };
    others.iter().enumerate().map(note).collect()
}

/// The file without one of its policies. A line that would be empty goes too.
pub fn without(files: &Files, place: &Place) -> Result<Vec<u8>, ServiceError> {
    let text = text_of(files, &place.file).ok_or_else(unreadable)?;
    let part = place.part.as_ref().ok_or_else(unreadable)?;
    let (before, behind) = text.get(..part.start).zip(text.get(part.end..)).ok_or_else(unreadable)?;
    let begins_line = before.is_empty() || before.ends_with('\n');
    let line_end = ["\r\n", "\n"].into_iter().find(|end| behind.starts_with(end)).filter(|_| begins_line);
    let behind = line_end.and_then(|end| behind.strip_prefix(end)).unwrap_or(behind);
    Ok([before, behind].concat().into_bytes())
}

/// The text of a file.
pub fn text_of<'a>(files: &'a Files, path: &str) -> Option<&'a str> {
    std::str::from_utf8(&files.get(path)?.bytes).ok()
}

/// A file is not what the index says. The index was made of it, so this does not happen.
pub fn unreadable() -> ServiceError {
    ServiceError::internal("the file of the policy has another form")
}
