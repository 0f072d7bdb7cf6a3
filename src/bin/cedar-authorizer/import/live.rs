//! `import avp`: a policy store by its API. `export avp` reads what is there in the same way.

mod shapes;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_verifiedpermissions::Client;
use aws_sdk_verifiedpermissions::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_verifiedpermissions::types::{
    AliasState, BatchGetPolicyInputItem, DeletionProtection, EncryptionState, PolicyDefinitionDetail,
    PolicyStoreAliasFilter, ValidationMode as SdkValidationMode,
};
use clap::Args;
use serde_json::{Map, Value, json};

use super::assembly::other_name;
use super::identity;
use super::imported::Imported;
use crate::avp::contents::{
    IdentitySource, PolicyTemplate, StaticPolicy, TemplateLinkedPolicy, ValidationMode,
};
use crate::init::text::comment;
use crate::output::{Failure, printable};
use crate::runtime::runtime;

pub use shapes::{configuration, entity, sdk_entity, update_configuration};

/// Where the API is, and as whom it is asked.
#[derive(Debug, Args)]
pub struct Connection {
    /// Another address of the API, such as that of `cedar-authorizer avp`
    #[arg(long, value_name = "URL")]
    endpoint_url: Option<String>,

    /// The region [default: that of the AWS settings]
    #[arg(long, value_name = "NAME")]
    region: Option<String>,

    /// The profile of the AWS settings
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
}

impl Connection {
    /// Finds region, endpoint and credentials as every AWS SDK does.
    pub async fn open(&self) -> Result<Client, Failure> {
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            // Policy stores have low quotas of requests per second.
            .retry_config(RetryConfig::adaptive().with_max_attempts(MAX_ATTEMPTS))
            .timeout_config(
                TimeoutConfig::builder().connect_timeout(TIMEOUT).operation_attempt_timeout(TIMEOUT).build(),
            );
        if let Some(profile) = &self.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(region) = &self.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(url) = &self.endpoint_url {
            let is_url = url::Url::parse(url)
                .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
            if !is_url {
                return Err(Failure::could_not_run("--endpoint-url gives no URL of the form https://host"));
            }
            loader = loader.endpoint_url(url);
        }
        let mut config = loader.load().await;
        if config.region().is_none() && self.endpoint_url.is_some() {
            // Another address has no region, but a signature must name one.
            config = config.into_builder().region(Region::from_static("us-east-1")).build();
        }
        if config.region().is_none() {
            let message = "which region? None is set";
            return Err(Failure::could_not_run(message).hint("name it by --region or AWS_REGION"));
        }
        Ok(Client::new(&config))
    }
}

/// A policy store as it is in AWS, with the ids that it has there.
#[derive(Debug)]
pub struct Live {
    /// Its id, if it was asked for by an alias too.
    pub id: String,
    /// What it holds. Ids are AVP's, names are as AVP has them.
    pub imported: Imported,
}

/// Reads a policy store and gives its policies the ids that an export noted in their names.
pub fn import(connection: &Connection, id: &str) -> Result<Imported, Failure> {
    let Live { id, mut imported } =
        runtime()?.block_on(async { read(&connection.open().await?, id).await })?;
    use_names(&mut imported);
    for source in std::mem::take(&mut imported.contents.identity_sources) {
        let IdentitySource { id, principal_entity_type, configuration } = source;
        let place = format!("identity source {id}");
        identity::add(&mut imported, &place, id, principal_entity_type, configuration, None, None);
    }
    imported.name = Some(id.clone());
    imported.policy_store_id = Some(id);
    Ok(imported)
}

/// An export writes our ids as `name/<id>`.
fn use_names(imported: &mut Imported) {
    let contents = &mut imported.contents;
    let mut ids = BTreeMap::new();
    let mut named = |id: &mut String, name: &mut Option<String>| {
        if let Some(own) =
            name.as_deref().and_then(|name| name.strip_prefix("name/")).filter(|own| !own.is_empty())
        {
            let own = own.to_owned();
            ids.insert(std::mem::replace(id, own.clone()), own);
            *name = other_name(name.as_deref(), id);
        }
    };
    for template in &mut contents.templates {
        named(&mut template.id, &mut template.name);
    }
    for policy in &mut contents.policies {
        named(&mut policy.id, &mut policy.name);
    }
    for link in &mut contents.links {
        named(&mut link.id, &mut link.name);
    }
    for link in &mut contents.links {
        if let Some(id) = ids.get(&link.template_id) {
            link.template_id.clone_from(id);
        }
    }
    contents.templates.sort_by(|left, right| left.id.cmp(&right.id));
    contents.policies.sort_by(|left, right| left.id.cmp(&right.id));
    contents.links.sort_by(|left, right| left.id.cmp(&right.id));
}

/// Reads a policy store.
pub async fn read(client: &Client, id: &str) -> Result<Live, Failure> {
    let mut imported = Imported::default();
    let store = client.get_policy_store().policy_store_id(id).tags(true).send().await;
    let store = store.map_err(|error| refused("GetPolicyStore", error))?;
    let contents = &mut imported.contents;
    contents.description = store.description.filter(|text| !text.is_empty());
    contents.deletion_protection = store.deletion_protection == Some(DeletionProtection::Enabled);
    contents.tags = store.tags.unwrap_or_default().into_iter().collect();
    let mode = store.validation_settings.map(|settings| settings.mode);
    if mode == Some(SdkValidationMode::Strict) {
        contents.validation = ValidationMode::Strict;
    }
    if let Some(EncryptionState::KmsEncryptionState(state)) = &store.encryption_state {
        let context: BTreeMap<&String, &String> = state.encryption_context.iter().collect();
        contents.encryption =
            Some(json!({ "kmsEncryptionSettings": { "key": state.key, "encryptionContext": context } }));
    }
    let id = store.policy_store_id;
    match client.get_schema().policy_store_id(&id).send().await {
        Ok(schema) => contents.schema = Some(schema.schema),
        // A store may have none.
        Err(error) if error.code() == Some("ResourceNotFoundException") => {}
        Err(error) => return Err(refused("GetSchema", error)),
    }
    read_templates(client, &id, &mut imported).await?;
    read_policies(client, &id, &mut imported).await?;
    read_identity_sources(client, &id, &mut imported).await?;
    read_aliases(client, &id, &mut imported).await?;
    Ok(Live { id, imported })
}

async fn read_templates(client: &Client, id: &str, imported: &mut Imported) -> Result<(), Failure> {
    let mut pages = client.list_policy_templates().policy_store_id(id).into_paginator().items().send();
    while let Some(item) = pages.next().await {
        let item = item.map_err(|error| refused("ListPolicyTemplates", error))?;
        let request =
            client.get_policy_template().policy_store_id(id).policy_template_id(&item.policy_template_id);
        let template = request.send().await.map_err(|error| refused("GetPolicyTemplate", error))?;
        imported.contents.templates.push(PolicyTemplate {
            id: template.policy_template_id,
            name: template.name.filter(|name| !name.is_empty()),
            description: template.description.filter(|text| !text.is_empty()),
            statement: template.statement,
        });
    }
    imported.contents.templates.sort_by(|left, right| left.id.cmp(&right.id));
    Ok(())
}

/// A list has no statements, and asking for each policy would be throttled: they come a hundred at a time.
async fn read_policies(client: &Client, id: &str, imported: &mut Imported) -> Result<(), Failure> {
    let mut ids = Vec::new();
    let mut pages = client.list_policies().policy_store_id(id).into_paginator().items().send();
    while let Some(item) = pages.next().await {
        ids.push(item.map_err(|error| refused("ListPolicies", error))?.policy_id);
    }
    for page in ids.chunks(BATCH) {
        let item = |policy: &String| {
            BatchGetPolicyInputItem::builder().policy_store_id(id).policy_id(policy).build()
        };
        let items: Result<Vec<_>, _> = page.iter().map(item).collect();
        let request = client.batch_get_policy().set_requests(Some(items.map_err(Failure::could_not_run)?));
        let answer = request.send().await.map_err(|error| refused("BatchGetPolicy", error))?;
        // With status 200 too.
        for error in answer.errors {
            let place = format!("policy {}", comment(&error.policy_id));
            imported.left_out(place, format!("{}: {}", error.code.as_str(), comment(&error.message)));
        }
        for policy in answer.results {
            let name = policy.name.filter(|name| !name.is_empty());
            match policy.definition {
                Some(PolicyDefinitionDetail::Static(own)) => imported.contents.policies.push(StaticPolicy {
                    id: policy.policy_id,
                    name,
                    description: own.description.filter(|text| !text.is_empty()),
                    statement: own.statement,
                }),
                Some(PolicyDefinitionDetail::TemplateLinked(own)) => {
                    imported.contents.links.push(TemplateLinkedPolicy {
                        id: policy.policy_id,
                        name,
                        template_id: own.policy_template_id,
                        principal: own.principal.map(entity),
                        resource: own.resource.map(entity),
                    });
                }
                _ => imported
                    .left_out(format!("policy {}", comment(&policy.policy_id)), "has no known definition"),
            }
        }
    }
    imported.contents.policies.sort_by(|left, right| left.id.cmp(&right.id));
    imported.contents.links.sort_by(|left, right| left.id.cmp(&right.id));
    Ok(())
}

async fn read_identity_sources(client: &Client, id: &str, imported: &mut Imported) -> Result<(), Failure> {
    let mut pages = client.list_identity_sources().policy_store_id(id).into_paginator().items().send();
    while let Some(item) = pages.next().await {
        let item = item.map_err(|error| refused("ListIdentitySources", error))?;
        let configuration = match &item.configuration {
            Some(known) => shapes::known_configuration(known),
            None => None,
        };
        // Older services answer with these only.
        #[expect(deprecated, reason = "the fallback")]
        let details = || {
            let details = item.details.as_ref()?;
            let members: Map<String, Value> = [
                ("userPoolArn".to_owned(), details.user_pool_arn().map(Value::from)?),
                ("clientIds".to_owned(), details.client_ids().iter().map(String::as_str).collect()),
            ]
            .into_iter()
            .collect();
            identity::of_details(&members)
        };
        let configuration = configuration.or_else(details).unwrap_or(Value::Null);
        imported.contents.identity_sources.push(IdentitySource {
            id: item.identity_source_id,
            principal_entity_type: Some(item.principal_entity_type).filter(|name| !name.is_empty()),
            configuration,
        });
    }
    imported.contents.identity_sources.sort_by(|left, right| left.id.cmp(&right.id));
    Ok(())
}

async fn read_aliases(client: &Client, id: &str, imported: &mut Imported) -> Result<(), Failure> {
    let filter = PolicyStoreAliasFilter::builder().policy_store_id(id).build();
    let mut pages = client.list_policy_store_aliases().filter(filter).into_paginator().items().send();
    while let Some(item) = pages.next().await {
        match item {
            Ok(item) if item.policy_store_id == id && item.state == AliasState::Active => {
                imported.contents.aliases.push(item.alias_name);
            }
            Ok(_) => {}
            Err(error) => {
                // Emulators and older policies of IAM do not know aliases, and no decision depends on them.
                imported.remark("the aliases", format!("were not read: {}", reason(&error)));
                break;
            }
        }
    }
    imported.contents.aliases.sort();
    Ok(())
}

/// Why the API did not do something.
pub fn refused<E>(operation: &str, error: SdkError<E>) -> Failure
where
    E: std::error::Error + ProvideErrorMetadata + Debug + Send + Sync + 'static,
{
    let code = error.code().unwrap_or_default().to_owned();
    let failure = Failure::could_not_run(format_args!("{operation}: {}", reason(&error)));
    match code.as_str() {
        "AccessDeniedException" => failure.hint(format!("the credentials need verifiedpermissions:{operation}")),
        "ResourceNotFoundException" => failure.hint("is the id right, and the region? See --region"),
        "ThrottlingException" => failure.hint("try again in a minute; what is done already is not done again"),
        "" => failure.hint(
            "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; name the region by --region, and an \
             address other than that of AWS by --endpoint-url",
        ),
        _ => failure,
    }
}

/// What the API or the connection says, on one line.
pub fn reason<E>(error: &SdkError<E>) -> String
where
    E: std::error::Error + ProvideErrorMetadata + Debug + Send + Sync + 'static,
{
    match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{}: {}", printable(code), comment(message)),
        (Some(code), None) => printable(code),
        _ => comment(&DisplayErrorContext(error).to_string()),
    }
}

/// AVP API Reference, `BatchGetPolicy`.
const BATCH: usize = 100;

/// With the SDK's waiting times, about half a minute.
const MAX_ATTEMPTS: u32 = 8;

/// For each request.
const TIMEOUT: Duration = Duration::from_secs(20);
