//! Policy templates.

use cedar_policy::{PolicySet, Template};
use serde::{Deserialize, Serialize};

use super::pages;
use super::policies::{replaced, text_of, unreadable, without};
use super::requests::{Empty, check_free_name, check_quota, checked_name, fingerprint, id_of, is_repeated};
use super::statements;
use crate::avp::error::{ResourceKind, ServiceError};
use crate::avp::moment::Moment;
use crate::avp::service::{Service, new_id};
use crate::avp::store::files::Step;
use crate::avp::store::index::{Dates, Definition, Index, Place, StoredPolicy, StoredTemplate};
use crate::avp::store::links;
use crate::avp::store::notes::{Kind, Note, written};
use crate::avp::store::{Change, Update, layout};

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatePolicyTemplate {
    client_token: Option<String>,
    policy_store_id: String,
    description: Option<String>,
    statement: String,
    name: Option<String>,
}

/// The answer of `CreatePolicyTemplate` and `UpdatePolicyTemplate`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MadeTemplate {
    policy_store_id: String,
    policy_template_id: String,
    created_date: Moment,
    last_updated_date: Moment,
}

impl MadeTemplate {
    fn of(store: &str, template: &StoredTemplate) -> Self {
        Self {
            policy_store_id: store.to_owned(),
            policy_template_id: template.id.clone(),
            created_date: template.dates.created,
            last_updated_date: template.dates.updated,
        }
    }
}

/// `CreatePolicyTemplate`.
pub fn create(service: &Service, input: CreatePolicyTemplate) -> Result<MadeTemplate, ServiceError> {
    let request = fingerprint("CreatePolicyTemplate", &input);
    let store = service.store(&input.policy_store_id)?;
    let name = checked_name(input.name.as_deref())?;
    let id = new_id()?;
    let now = Moment::now();
    store.change(|index, _| {
        let token = input.client_token.as_deref();
        let known = token.and_then(|token| index.templates.get(index.made_with(Kind::Template, token)?));
        if let Some(known) = known {
            let resource = ResourceKind::PolicyTemplate.named(&known.id);
            if is_repeated(resource, known.dates.created, known.note.request.as_deref(), &request)? {
                return Ok((None, MadeTemplate::of(&store.id, known)));
            }
        }
        check_free_name(index, Kind::Template, name, None)?;
        let resource = || ResourceKind::PolicyTemplate.named(&id);
        let what = "the templates of the policy store";
        check_quota(service, index.templates.len() + 1, MAX_TEMPLATES, what, resource())?;
        statements::check_size(service, &input.statement, resource())?;
        let template = statements::template(STATEMENT, &input.statement)?;
        validate(index, &input.statement, &template)?;
        let file = layout::template_file(&id);
        let note = Note {
            name: name.map(str::to_owned),
            description: input.description,
            client_token: input.client_token,
            request: Some(request),
            ..Note::new(&id, &file, now)
        };
        let statement = input.statement;
        let steps =
            layout::with_note(Kind::Template, &id, &note, file.clone(), statement.clone().into_bytes());
        let made = StoredTemplate {
            written_id: layout::written_template_id(&file, &statement),
            dates: Dates { created: now, updated: now },
            place: Place { file, part: None },
            id,
            note,
            statement,
            template,
        };
        let answer = MadeTemplate::of(&store.id, &made);
        Ok((Some(Change { steps, update: Update::Template(Box::new(made)) }), answer))
    })
}

fn validate(index: &Index, text: &str, template: &Template) -> Result<(), ServiceError> {
    let mut set = PolicySet::new();
    set.add_template(template.clone()).map_err(ServiceError::internal)?;
    statements::validate(index, STATEMENT, text, &set)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NamedTemplate {
    policy_store_id: String,
    policy_template_id: String,
}

fn find<'a>(index: &'a Index, template_id: &str) -> Result<&'a StoredTemplate, ServiceError> {
    let found = id_of(index, Kind::Template, template_id).and_then(|id| index.templates.get(id));
    let missing = || ServiceError::NotFound(ResourceKind::PolicyTemplate.named(template_id));
    found.map(|template| &**template).ok_or_else(missing)
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OneTemplate {
    #[serde(flatten)]
    template: MadeTemplate,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Items of lists go without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    statement: Option<String>,
}

/// `GetPolicyTemplate`.
pub fn get(service: &Service, input: NamedTemplate) -> Result<OneTemplate, ServiceError> {
    let store = service.store(&input.policy_store_id)?;
    store.read(|index| {
        let template = find(index, &input.policy_template_id)?;
        let statement = Some(template.statement.clone());
        Ok(OneTemplate { statement, ..item(&store.id, template) })
    })
}

fn item(store: &str, template: &StoredTemplate) -> OneTemplate {
    OneTemplate {
        template: MadeTemplate::of(store, template),
        description: template.note.description.clone(),
        name: template.note.name.clone(),
        statement: None,
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListPolicyTemplates {
    policy_store_id: String,
    next_token: Option<String>,
    max_results: Option<usize>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListPolicyTemplatesAnswer {
    policy_templates: Vec<OneTemplate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

/// `ListPolicyTemplates`.
pub fn list(
    service: &Service,
    input: ListPolicyTemplates,
) -> Result<ListPolicyTemplatesAnswer, ServiceError> {
    let store = service.store(&input.policy_store_id)?;
    let size = pages::size(input.max_results, pages::DEFAULT);
    store.read(|index| {
        let of = ["ListPolicyTemplates", &store.id];
        let page = service.pages().page(&of, input.next_token.as_deref(), size, |after| {
            let found = super::after(&index.templates, after);
            found.map(|(id, template)| (id.clone(), item(&store.id, template)))
        })?;
        Ok(ListPolicyTemplatesAnswer { policy_templates: page.items, next_token: page.next_token })
    })
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdatePolicyTemplate {
    policy_store_id: String,
    policy_template_id: String,
    description: Option<String>,
    statement: String,
    name: Option<String>,
}

/// `UpdatePolicyTemplate`.
pub fn update(service: &Service, input: UpdatePolicyTemplate) -> Result<MadeTemplate, ServiceError> {
    let store = service.store(&input.policy_store_id)?;
    let name = checked_name(input.name.as_deref())?;
    let now = Moment::now();
    store.change(|index, files| {
        let known = find(index, &input.policy_template_id)?;
        check_free_name(index, Kind::Template, name, Some(&known.id))?;
        let resource = ResourceKind::PolicyTemplate.named(&known.id);
        // The operation has no error for quotas (API reference).
        statements::check_size(service, &input.statement, resource).map_err(|error| match error {
            ServiceError::QuotaExceeded { message, .. } => ServiceError::invalid(STATEMENT, message),
            error => error,
        })?;
        let template = statements::template(STATEMENT, &input.statement)?;
        let refused = |what: &str| {
            Err(ServiceError::invalid(STATEMENT, format_args!("the {what} of a template cannot be changed")))
        };
        if template.effect() != known.template.effect() {
            return refused("effect");
        }
        if template.principal_constraint() != known.template.principal_constraint() {
            return refused("principal");
        }
        if template.resource_constraint() != known.template.resource_constraint() {
            return refused("resource");
        }
        validate(index, &input.statement, &template)?;
        let base = Note::new(&known.id, &known.place.file, now);
        let note = Note {
            id: base.id,
            file: base.file,
            index: known.place.part.is_some().then(|| number_in_file(index, known)),
            name: if input.name.is_some() { name.map(str::to_owned) } else { known.note.name.clone() },
            description: input.description.or_else(|| known.note.description.clone()),
            created_date: Some(known.dates.created),
            last_updated_date: Some(now),
            ..known.note.clone()
        };
        let content = replaced(files, &known.place, &input.statement, None)?;
        let mut steps = vec![(Kind::Template.note(&known.id), Some(written(&note)))];
        // Links name the template by its `@id` or its place.
        let written_id = match template.annotation("id") {
            Some(id) => id.to_owned(),
            None => placed_id(&known.place.file, number_in_file(index, known)),
        };
        if written_id != known.written_id
            && let Some(text) = text_of(files, links::FILE)
        {
            let of_template: Vec<&str> = index.links_of(&known.id).map(|link| written_link(link)).collect();
            let changed =
                links::with_template(text, |link| of_template.contains(&link.id.as_str()), &written_id);
            steps.push((links::FILE.to_owned(), Some(changed.ok_or_else(unreadable)?.into_bytes())));
        }
        steps.push((known.place.file.clone(), Some(content)));
        let dates = Dates { created: known.dates.created, updated: now };
        let made = StoredTemplate { dates, ..known.clone() };
        let answer = MadeTemplate::of(&store.id, &made);
        Ok((Some(Change { steps, update: Update::Reread }), answer))
    })
}

/// The id that a link has in its file.
fn written_link(link: &StoredPolicy) -> &str {
    match &link.definition {
        Definition::Linked { written_id, .. } => written_id,
        Definition::Static { .. } => &link.id,
    }
}

/// The number of a template in its file, from 1.
fn number_in_file(index: &Index, template: &StoredTemplate) -> usize {
    let start = |place: &Place| place.part.as_ref().map(|part| part.start);
    let others = index.templates.values().filter(|other| other.place.file == template.place.file);
    others.filter(|other| start(&other.place) < start(&template.place)).count() + 1
}

/// The id by which links name a template without `@id`.
fn placed_id(file: &str, number: usize) -> String {
    let name = file.rsplit('/').next().unwrap_or(file);
    format!("{}#{number}", name.strip_suffix(".cedar").unwrap_or(name))
}

/// `DeletePolicyTemplate`. The policies that are linked to it go with it.
pub fn delete(service: &Service, input: NamedTemplate) -> Result<Empty, ServiceError> {
    let store = service.store(&input.policy_store_id)?;
    store.change(|index, files| {
        let template = find(index, &input.policy_template_id)?;
        let mut steps = Vec::new();
        let linked: Vec<_> = index.links_of(&template.id).collect();
        let mut links_text = text_of(files, links::FILE).map(str::to_owned);
        if !linked.is_empty() {
            let ids: Vec<&str> = linked.iter().map(|link| written_link(link)).collect();
            let text = links_text.as_deref().ok_or_else(unreadable)?;
            let left = links::without(text, |link| ids.contains(&link.id.as_str()));
            links_text = Some(left.ok_or_else(unreadable)?);
        }
        if template.place.part.is_some() {
            let others = others_in(index, template);
            steps.extend(pinned(&others, &template.place));
            links_text = links_text.map(|text| renumbered(index, &others, text)).transpose()?;
        }
        if let Some(text) = links_text.filter(|text| text_of(files, links::FILE) != Some(text)) {
            steps.push((links::FILE.to_owned(), Some(text.into_bytes())));
        }
        let left = if template.place.part.is_some() { Some(without(files, &template.place)?) } else { None };
        steps.push((template.place.file.clone(), left));
        let notes = linked.iter().map(|link| Kind::Link.note(&link.id));
        let notes = notes.chain([Kind::Template.note(&template.id)]).filter(|note| files.contains_key(note));
        steps.extend(notes.map(|note| (note, None)));
        Ok((Some(Change { steps, update: Update::Reread }), Empty {}))
    })
}

/// The other templates of a file, in their order.
fn others_in<'a>(index: &'a Index, template: &StoredTemplate) -> Vec<&'a StoredTemplate> {
    let of_file = index.templates.values().filter(|other| other.place.file == template.place.file);
    let mut others: Vec<&StoredTemplate> =
        of_file.filter(|other| other.id != template.id).map(|other| &**other).collect();
    others.sort_by_key(|other| other.place.part.as_ref().map(|part| part.start));
    others
}

/// Notes that keep the ids of templates when one before them goes.
fn pinned(others: &[&StoredTemplate], place: &Place) -> Vec<Step> {
    let note = |(number, template): (usize, &&StoredTemplate)| {
        let base = Note::new(&template.id, &place.file, template.dates.created);
        let note = Note {
            id: base.id,
            file: base.file,
            index: (others.len() > 1).then_some(number + 1),
            created_date: Some(template.dates.created),
            last_updated_date: Some(template.dates.updated),
            ..template.note.clone()
        };
        (Kind::Template.note(&template.id), Some(written(&note)))
    };
    others.iter().enumerate().map(note).collect()
}

/// The links with the new numbers of templates when one before them goes.
fn renumbered(index: &Index, others: &[&StoredTemplate], text: String) -> Result<String, ServiceError> {
    let mut text = text;
    for (number, template) in others.iter().enumerate() {
        if template.template.annotation("id").is_some() {
            continue;
        }
        let written_id = placed_id(&template.place.file, number + 1);
        let ids: Vec<&str> = index.links_of(&template.id).map(|link| written_link(link)).collect();
        let changed = links::with_template(&text, |link| ids.contains(&link.id.as_str()), &written_id);
        text = changed.ok_or_else(unreadable)?;
    }
    Ok(text)
}

const STATEMENT: &str = "statement";

/// "Policy templates per policy store" (User Guide, "Quotas for resources").
const MAX_TEMPLATES: usize = 40;
