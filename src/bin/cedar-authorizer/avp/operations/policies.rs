//! Policies: static ones, and those that are linked to a template.

mod answers;
mod filter;

use cedar_authorizer::bundle::nesting;
use cedar_policy::{PolicyId, PolicySet};
use serde::{Deserialize, Serialize};

use super::pages;
use super::requests::{Empty, check_free_name, check_quota, checked_name, fingerprint, id_of, is_repeated};
use super::statements::{self, bytes_for_resource};
use crate::avp::contents::EntityIdentifier;
use crate::avp::error::{ResourceKind, ServiceError};
use crate::avp::moment::Moment;
use crate::avp::service::{Service, new_id};
use crate::avp::store::files::{Files, Step};
use crate::avp::store::index::{
    Dates, Definition, Index, Place, StaticDefinition, StoredPolicy, WrittenDefinition, linked_scope, values,
};
use crate::avp::store::links::{self, WrittenLink};
use crate::avp::store::notes::{Kind, Note, written};
use crate::avp::store::scope::Scope;
use crate::avp::store::{Change, Store, Update, layout};
use answers::{BatchPolicy, MadePolicy, OnePolicy, PolicyItem};
use filter::PolicyFilter;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatePolicy {
    client_token: Option<String>,
    policy_store_id: String,
    definition: PolicyDefinition,
    name: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum PolicyDefinition {
    Static(StaticDefinition),
    TemplateLinked(TemplateLinked),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct TemplateLinked {
    policy_template_id: String,
    principal: Option<EntityIdentifier>,
    resource: Option<EntityIdentifier>,
}

/// `CreatePolicy`.
pub fn create(service: &Service, input: CreatePolicy) -> Result<MadePolicy, ServiceError> {
    let request = fingerprint("CreatePolicy", &input);
    let store = service.store(&input.policy_store_id)?;
    let name = checked_name(input.name.as_deref())?;
    let id = new_id()?;
    let now = Moment::now();
    store.change(|index, files| {
        if let Some(known) = repeated(index, input.client_token.as_deref(), &request)? {
            return Ok((None, MadePolicy::of(&store.id, known)));
        }
        check_free_name(index, Kind::Policy, name, None)?;
        let note = Note {
            name: name.map(str::to_owned),
            client_token: input.client_token.clone(),
            request: Some(request),
            ..Note::new(&id, "", now)
        };
        let (steps, made) = match &input.definition {
            PolicyDefinition::Static(definition) => create_static(service, index, id, note, definition)?,
            PolicyDefinition::TemplateLinked(linked) => {
                create_linked(service, index, files, id, note, linked)?
            }
        };
        let answer = MadePolicy::of(&store.id, &made);
        Ok((Some(Change { steps, update: Update::Policy(made) }), answer))
    })
}

fn create_static(
    service: &Service,
    index: &Index,
    id: String,
    note: Note,
    StaticDefinition { description, statement }: &StaticDefinition,
) -> Result<(Vec<Step>, StoredPolicy), ServiceError> {
    statements::check_size(service, statement, ResourceKind::Policy.named(&id))?;
    let policy = statements::static_policy(STATEMENT, statement)?;
    let mut set = PolicySet::new();
    set.add(policy.clone()).map_err(ServiceError::internal)?;
    statements::validate(index, STATEMENT, statement, &set)?;
    let scope = Scope::of(&policy);
    check_resource_size(service, index, &id, &scope, statement.trim().len(), None)?;
    let file = layout::policy_file(&id);
    let note = Note { file: Some(file.clone()), description: description.clone(), ..note };
    let steps = layout::with_note(Kind::Policy, &id, &note, file.clone(), statement.clone().into_bytes());
    let place = Place { file, part: None };
    let definition = Definition::Static { statement: statement.clone(), policy, place };
    Ok((steps, stored(id, note, scope, definition)))
}

fn create_linked(
    service: &Service,
    index: &Index,
    files: &Files,
    id: String,
    note: Note,
    TemplateLinked { policy_template_id, principal, resource }: &TemplateLinked,
) -> Result<(Vec<Step>, StoredPolicy), ServiceError> {
    let template = id_of(index, Kind::Template, policy_template_id).and_then(|id| index.templates.get(id));
    let template = template
        .ok_or_else(|| ServiceError::NotFound(ResourceKind::PolicyTemplate.named(policy_template_id)))?;
    let (principal_value, resource_value) = (principal.as_ref(), resource.as_ref());
    let unlinkable = |message: String| ServiceError::invalid("definition.templateLinked", message);
    let scope = linked_scope(template, principal_value, resource_value).map_err(unlinkable)?;
    let mut set = PolicySet::new();
    let template_id = PolicyId::new("template");
    set.add_template(template.template.new_id(template_id.clone())).map_err(ServiceError::internal)?;
    let slots = values(principal_value, resource_value).map_err(unlinkable)?;
    set.link(template_id, PolicyId::new(&id), slots).map_err(ServiceError::internal)?;
    statements::validate(index, "definition.templateLinked", "", &set)?;
    let bytes = statements::link_bytes(index, template, principal_value, resource_value, &scope);
    check_resource_size(service, index, &id, &scope, bytes, None)?;
    let link = WrittenLink {
        id: id.clone(),
        template_id: template.written_id.clone(),
        principal: principal.clone(),
        resource: resource.clone(),
    };
    let note = Note { file: Some(links::FILE.to_owned()), template_id: Some(template.id.clone()), ..note };
    let steps = layout::link(&note, &link, text_of(files, links::FILE)).ok_or_else(unreadable)?;
    let definition = Definition::Linked {
        template_id: template.id.clone(),
        principal: principal.clone(),
        resource: resource.clone(),
        written_id: id.clone(),
    };
    Ok((steps, stored(id, note, scope, definition)))
}

fn stored(id: String, note: Note, scope: Scope, definition: Definition) -> StoredPolicy {
    let created = note.created_date.unwrap_or_default();
    let dates = Dates { created, updated: note.last_updated_date.unwrap_or(created) };
    StoredPolicy { id, dates, note, scope, definition }
}

/// The policy that a repeated request has made.
fn repeated<'a>(
    index: &'a Index,
    token: Option<&str>,
    request: &str,
) -> Result<Option<&'a StoredPolicy>, ServiceError> {
    let known = token.and_then(|token| index.policies.get(index.made_with(Kind::Policy, token)?));
    let Some(known) = known else { return Ok(None) };
    let resource = ResourceKind::Policy.named(&known.id);
    let is_it = is_repeated(resource, known.dates.created, known.note.request.as_deref(), request)?;
    Ok(is_it.then_some(known))
}

fn check_resource_size(
    service: &Service,
    index: &Index,
    id: &str,
    scope: &Scope,
    bytes: usize,
    except: Option<&str>,
) -> Result<(), ServiceError> {
    let total = bytes_for_resource(index, scope.resource.as_ref(), except) + bytes;
    let what = "the bytes of all policies with this resource in their scope";
    check_quota(service, total, MAX_RESOURCE_BYTES, what, ResourceKind::Policy.named(id))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NamedPolicy {
    policy_store_id: String,
    policy_id: String,
}

fn find<'a>(index: &'a Index, policy_id: &str) -> Result<&'a StoredPolicy, ServiceError> {
    let found = id_of(index, Kind::Policy, policy_id).and_then(|id| index.policies.get(id));
    found.map(|policy| &**policy).ok_or_else(|| ServiceError::NotFound(ResourceKind::Policy.named(policy_id)))
}

/// `GetPolicy`.
pub fn get(service: &Service, input: NamedPolicy) -> Result<OnePolicy, ServiceError> {
    let store = service.store(&input.policy_store_id)?;
    store.read(|index| find(index, &input.policy_id).map(|policy| OnePolicy::of(&store.id, policy)))
}

#[derive(Debug, Deserialize)]
pub struct BatchGetPolicy {
    requests: Vec<NamedPolicy>,
}

#[derive(Debug, Serialize)]
pub struct BatchGetPolicyAnswer {
    results: Vec<BatchPolicy>,
    errors: Vec<BatchGetPolicyError>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct BatchGetPolicyError {
    code: &'static str,
    policy_store_id: String,
    policy_id: String,
    message: String,
}

/// `BatchGetPolicy`.
pub fn batch_get(
    service: &Service,
    BatchGetPolicy { requests }: BatchGetPolicy,
) -> Result<BatchGetPolicyAnswer, ServiceError> {
    let mut answer = BatchGetPolicyAnswer { results: Vec::new(), errors: Vec::new() };
    for NamedPolicy { policy_store_id, policy_id } in requests {
        let found = service.store(&policy_store_id).and_then(|store| {
            store.read(|index| find(index, &policy_id).map(|policy| BatchPolicy::of(&store.id, policy)))
        });
        match found {
            Ok(policy) => answer.results.push(policy),
            Err(ServiceError::NotFound(resource)) => {
                let (code, what) = match resource.kind {
                    ResourceKind::PolicyStore => ("POLICY_STORE_NOT_FOUND", "policy store"),
                    ResourceKind::PolicyStoreAlias => ("POLICY_STORE_ALIAS_NOT_FOUND", "policy store alias"),
                    _ => ("POLICY_NOT_FOUND", "policy"),
                };
                let message = format!("there is no {what} `{}`", resource.id);
                answer.errors.push(BatchGetPolicyError { code, policy_store_id, policy_id, message });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(answer)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListPolicies {
    policy_store_id: String,
    next_token: Option<String>,
    max_results: Option<usize>,
    filter: Option<PolicyFilter>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListPoliciesAnswer {
    policies: Vec<PolicyItem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

/// `ListPolicies`.
pub fn list(service: &Service, input: ListPolicies) -> Result<ListPoliciesAnswer, ServiceError> {
    let store = service.store(&input.policy_store_id)?;
    let size = pages::size(input.max_results, pages::DEFAULT);
    let filter = input.filter.unwrap_or_default();
    let filter_text = serde_json::to_string(&filter).map_err(ServiceError::internal)?;
    store.read(|index| {
        let filter = filter.resolved(index);
        let of = ["ListPolicies", &store.id, &filter_text];
        let page = service.pages().page(&of, input.next_token.as_deref(), size, |after| {
            let found = super::after(&index.policies, after).filter(|(_, policy)| filter.matches(policy));
            found.map(|(id, policy)| (id.clone(), PolicyItem::of(&store.id, policy)))
        })?;
        Ok(ListPoliciesAnswer { policies: page.items, next_token: page.next_token })
    })
}

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
                    Definition::Static { statement, policy: new_policy, place },
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
    let Definition::Static { place, .. } = &policy.definition else {
        let base = Note::new(&policy.id, links::FILE, now);
        note.template_id = policy.template_id().map(str::to_owned);
        (note.id, note.file) = (base.id, base.file);
        note.created_date = Some(policy.dates.created);
        note.last_updated_date = Some(now);
        return;
    };
    let base = Note::new(&policy.id, &place.file, now);
    (note.id, note.file) = (base.id, base.file);
    note.created_date = Some(policy.dates.created);
    note.last_updated_date = Some(now);
    note.index = place.part.as_ref().map(|part| {
        let before = |other: &&std::sync::Arc<StoredPolicy>| matches!(
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

const STATEMENT: &str = "definition.static.statement";

/// "Policy size per resource" (User Guide, "Quotas for resources").
const MAX_RESOURCE_BYTES: usize = 200_000;
