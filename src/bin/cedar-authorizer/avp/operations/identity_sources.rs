//! Identity sources.

use cedar_authorizer::token::identity_source::IdentitySource;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::pages;
use super::policies::text_of;
use super::requests::{Empty, check_quota, fingerprint, is_repeated};
use crate::avp::error::{ResourceKind, ServiceError};
use crate::avp::moment::Moment;
use crate::avp::service::{Service, new_id};
use crate::avp::store::index::{Dates, Index, NO_PRINCIPAL_TYPE, StoredIdentitySource};
use crate::avp::store::notes::{Kind, Note, written};
use crate::avp::store::{Change, Update, layout};

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateIdentitySource {
    client_token: Option<String>,
    policy_store_id: String,
    configuration: Value,
    principal_entity_type: Option<String>,
}

/// The answer of `CreateIdentitySource` and `UpdateIdentitySource`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MadeIdentitySource {
    created_date: Moment,
    identity_source_id: String,
    last_updated_date: Moment,
    policy_store_id: String,
}

impl MadeIdentitySource {
    fn of(store: &str, source: &StoredIdentitySource) -> Self {
        Self {
            created_date: source.dates.created,
            identity_source_id: source.id.clone(),
            last_updated_date: source.dates.updated,
            policy_store_id: store.to_owned(),
        }
    }
}

/// `CreateIdentitySource`.
pub fn create(service: &Service, input: CreateIdentitySource) -> Result<MadeIdentitySource, ServiceError> {
    let request = fingerprint("CreateIdentitySource", &input);
    let store = service.store(&input.policy_store_id)?;
    let id = new_id()?;
    let now = Moment::now();
    let content = layout::identity_source(input.principal_entity_type.as_deref(), &input.configuration);
    check("configuration", &content)?;
    store.change(|index, _| {
        let token = input.client_token.as_deref();
        let known =
            token.and_then(|token| index.identity_sources.get(index.made_with(Kind::IdentitySource, token)?));
        if let Some(known) = known {
            let resource = ResourceKind::IdentitySource.named(&known.id);
            if is_repeated(resource, known.dates.created, known.note.request.as_deref(), &request)? {
                return Ok((None, MadeIdentitySource::of(&store.id, known)));
            }
        }
        let count = index.identity_sources.len() + 1;
        let resource = ResourceKind::IdentitySource.named(&id);
        check_quota(service, count, MAX_SOURCES, "the identity sources of the policy store", resource)?;
        let file = layout::identity_source_file(&id);
        let note =
            Note { client_token: input.client_token, request: Some(request), ..Note::new(&id, &file, now) };
        let steps = layout::with_note(Kind::IdentitySource, &id, &note, file.clone(), written(&content));
        let made = StoredIdentitySource {
            dates: Dates { created: now, updated: now },
            principal_entity_type: input.principal_entity_type.filter(|name| name != NO_PRINCIPAL_TYPE),
            configuration: content.get("configuration").cloned().unwrap_or_default(),
            id,
            file,
            note,
        };
        let answer = MadeIdentitySource::of(&store.id, &made);
        Ok((Some(Change { steps, update: Update::IdentitySource(made) }), answer))
    })
}

/// Checks that tokens can be verified with it.
fn check(path: &str, content: &Value) -> Result<(), ServiceError> {
    match IdentitySource::from_json("", &content.to_string()) {
        Ok(_) => Ok(()),
        Err(error) => {
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or_default();
            Err(ServiceError::invalid(path, message))
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NamedIdentitySource {
    policy_store_id: String,
    identity_source_id: String,
}

fn find<'a>(index: &'a Index, id: &str) -> Result<&'a StoredIdentitySource, ServiceError> {
    let missing = || ServiceError::NotFound(ResourceKind::IdentitySource.named(id));
    index.identity_sources.get(id).map(|source| &**source).ok_or_else(missing)
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OneIdentitySource {
    #[serde(flatten)]
    source: MadeIdentitySource,
    principal_entity_type: String,
    configuration: Value,
    /// Of user pools only. AVP calls it deprecated.
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Value>,
}

impl OneIdentitySource {
    fn of(store: &str, source: &StoredIdentitySource) -> Self {
        let mut configuration = source.configuration.clone();
        let pool = configuration.get_mut("cognitoUserPoolConfiguration").and_then(Value::as_object_mut);
        let details = pool.map(with_issuer);
        Self {
            source: MadeIdentitySource::of(store, source),
            principal_entity_type: principal_entity_type(source).to_owned(),
            configuration,
            details,
        }
    }
}

/// Adds what answers have and requests do not. Returns AVP's `IdentitySourceDetails`.
fn with_issuer(pool: &mut Map<String, Value>) -> Value {
    let arn = pool.get("userPoolArn").and_then(Value::as_str).unwrap_or_default().to_owned();
    let clients = pool.entry("clientIds").or_insert_with(|| json!([])).clone();
    let mut parts = arn.split(':');
    let (partition, region) = (parts.nth(1).unwrap_or_default(), parts.nth(1).unwrap_or_default());
    let suffix = if partition == "aws-cn" { ".cn" } else { "" };
    let id = arn.rsplit('/').next().unwrap_or_default();
    let issuer = format!("https://cognito-idp.{region}.amazonaws.com{suffix}/{id}");
    pool.insert("issuer".to_owned(), json!(issuer));
    json!({
        "clientIds": clients,
        "userPoolArn": arn,
        "discoveryUrl": format!("{issuer}/.well-known/openid-configuration"),
        "openIdIssuer": "COGNITO",
    })
}

fn principal_entity_type(source: &StoredIdentitySource) -> &str {
    source.principal_entity_type.as_deref().unwrap_or(NO_PRINCIPAL_TYPE)
}

/// `GetIdentitySource`.
pub fn get(service: &Service, input: NamedIdentitySource) -> Result<OneIdentitySource, ServiceError> {
    let store = service.store(&input.policy_store_id)?;
    store.read(|index| {
        find(index, &input.identity_source_id).map(|source| OneIdentitySource::of(&store.id, source))
    })
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListIdentitySources {
    policy_store_id: String,
    next_token: Option<String>,
    max_results: Option<usize>,
    #[serde(default)]
    filters: Option<Vec<IdentitySourceFilter>>,
}

/// AVP's `IdentitySourceFilter`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct IdentitySourceFilter {
    principal_entity_type: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListIdentitySourcesAnswer {
    identity_sources: Vec<OneIdentitySource>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

/// `ListIdentitySources`. A source is listed if it matches any of the filters.
pub fn list(
    service: &Service,
    input: ListIdentitySources,
) -> Result<ListIdentitySourcesAnswer, ServiceError> {
    let store = service.store(&input.policy_store_id)?;
    let size = pages::size(input.max_results, pages::DEFAULT);
    let filters = input.filters.unwrap_or_default();
    let filter_text = serde_json::to_string(&filters).map_err(ServiceError::internal)?;
    let is_listed = |source: &StoredIdentitySource| {
        let matches = |filter: &IdentitySourceFilter| {
            filter.principal_entity_type.as_ref().is_none_or(|name| name == principal_entity_type(source))
        };
        filters.is_empty() || filters.iter().any(matches)
    };
    store.read(|index| {
        let of = ["ListIdentitySources", &store.id, &filter_text];
        let page = service.pages().page(&of, input.next_token.as_deref(), size, |after| {
            let found = super::after(&index.identity_sources, after).filter(|(_, source)| is_listed(source));
            found.map(|(id, source)| (id.clone(), OneIdentitySource::of(&store.id, source)))
        })?;
        Ok(ListIdentitySourcesAnswer { identity_sources: page.items, next_token: page.next_token })
    })
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateIdentitySource {
    policy_store_id: String,
    identity_source_id: String,
    update_configuration: Value,
    principal_entity_type: Option<String>,
}

/// `UpdateIdentitySource`. Members of the file that only this program knows stay.
pub fn update(service: &Service, input: UpdateIdentitySource) -> Result<MadeIdentitySource, ServiceError> {
    let store = service.store(&input.policy_store_id)?;
    let now = Moment::now();
    store.change(|index, files| {
        let known = find(index, &input.identity_source_id)?;
        let principal = input.principal_entity_type.or_else(|| known.principal_entity_type.clone());
        let new = layout::identity_source(principal.as_deref(), &input.update_configuration);
        let text = text_of(files, &known.file).unwrap_or_default();
        let mut content: Value = serde_json::from_str(text).unwrap_or_else(|_| json!({}));
        if let (Some(content), Value::Object(new)) = (content.as_object_mut(), new) {
            content.extend(new);
        }
        check("updateConfiguration", &content)?;
        let base = Note::new(&known.id, &known.file, now);
        let note = Note {
            id: base.id,
            file: base.file,
            created_date: Some(known.dates.created),
            last_updated_date: Some(now),
            ..known.note.clone()
        };
        let steps =
            layout::with_note(Kind::IdentitySource, &known.id, &note, known.file.clone(), written(&content));
        let made = StoredIdentitySource {
            dates: Dates { created: known.dates.created, updated: now },
            principal_entity_type: principal.filter(|name| name != NO_PRINCIPAL_TYPE),
            configuration: content.get("configuration").cloned().unwrap_or_default(),
            note,
            ..known.clone()
        };
        let answer = MadeIdentitySource::of(&store.id, &made);
        Ok((Some(Change { steps, update: Update::IdentitySource(made) }), answer))
    })
}

/// `DeleteIdentitySource`.
pub fn delete(service: &Service, input: NamedIdentitySource) -> Result<Empty, ServiceError> {
    let store = service.store(&input.policy_store_id)?;
    store.change(|index, files| {
        let known = find(index, &input.identity_source_id)?;
        let note = Kind::IdentitySource.note(&known.id);
        let mut steps = vec![(known.file.clone(), None)];
        if files.contains_key(&note) {
            steps.push((note, None));
        }
        Ok((Some(Change { steps, update: Update::NoIdentitySource(known.id.clone()) }), Empty {}))
    })
}

/// "Identity sources per policy store" (User Guide, "Quotas for resources").
const MAX_SOURCES: usize = 1;
