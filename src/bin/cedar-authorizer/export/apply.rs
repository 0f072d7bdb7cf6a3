//! Does what a plan says, one request after the other.

use std::collections::BTreeMap;

use aws_sdk_verifiedpermissions::Client;
use aws_sdk_verifiedpermissions::error::ProvideErrorMetadata;
use aws_sdk_verifiedpermissions::types::{
    DeletionProtection, PolicyDefinition, SchemaDefinition, StaticPolicyDefinition,
    TemplateLinkedPolicyDefinition, UpdatePolicyDefinition, UpdateStaticPolicyDefinition,
    ValidationMode as Mode, ValidationSettings,
};

use super::names::live_name;
use super::plan::{Action, Step};
use crate::avp::contents::{StoreContents, ValidationMode};
use crate::import::live::{configuration, refused, sdk_entity, update_configuration};
use crate::output::Failure;

/// Changes a policy store.
pub struct Changer<'c> {
    client: &'c Client,
    store: &'c str,
    contents: &'c StoreContents,
    /// AVP's ids of our templates.
    templates: BTreeMap<String, String>,
    /// Whether validation was switched off for a schema that does not fit the old policies.
    is_loosened: bool,
}

impl<'c> Changer<'c> {
    /// `live`: what is there.
    pub fn new(
        client: &'c Client,
        store: &'c str,
        contents: &'c StoreContents,
        live: &StoreContents,
    ) -> Self {
        let mut templates = BTreeMap::new();
        for template in &contents.templates {
            let name = template.name.clone().unwrap_or_else(|| live_name(&template.id));
            let named = live.templates.iter().find(|there| there.name.as_ref() == Some(&name));
            let there = named.or_else(|| live.templates.iter().find(|there| there.id == template.id));
            if let Some(there) = there {
                templates.insert(template.id.clone(), there.id.clone());
            }
        }
        Self { client, store, contents, templates, is_loosened: false }
    }

    /// Does all steps. Calls `done` after each.
    pub async fn run(&mut self, steps: &[Step<'_>], mut done: impl FnMut()) -> Result<(), Failure> {
        for step in steps {
            self.step(&step.action).await?;
            done();
        }
        if self.is_loosened {
            self.update_store(self.contents.validation).await?;
        }
        Ok(())
    }

    async fn step(&mut self, action: &Action<'_>) -> Result<(), Failure> {
        let (client, store) = (self.client, self.store);
        match action {
            Action::UpdateStore { validation } => self.update_store(*validation).await?,
            Action::TagStore(tags) => {
                let there = client.get_policy_store().policy_store_id(store).send().await;
                let arn = there.map_err(|error| refused("GetPolicyStore", error))?.arn;
                let tags = tags.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
                let request = client.tag_resource().resource_arn(arn).set_tags(Some(tags)).send().await;
                request.map_err(|error| refused("TagResource", error))?;
            }
            Action::PutSchema(schema) => self.put_schema(schema).await?,
            Action::RenamePolicy { id, name } => {
                let request = client.update_policy().policy_store_id(store).policy_id(id).name(name);
                request.send().await.map_err(|error| refused("UpdatePolicy", error))?;
            }
            Action::RenameTemplate { id, name, statement } => {
                let request = client.update_policy_template().policy_store_id(store).policy_template_id(id);
                let request = request.name(name).statement(statement);
                request.send().await.map_err(|error| refused("UpdatePolicyTemplate", error))?;
            }
            Action::CreatePolicy { policy, name } => {
                let own = StaticPolicyDefinition::builder()
                    .statement(&policy.statement)
                    .set_description(policy.description.clone())
                    .build()
                    .map_err(Failure::could_not_run)?;
                let request = client.create_policy().policy_store_id(store).name(name);
                let request = request.definition(PolicyDefinition::Static(own)).send().await;
                request.map_err(|error| about(&policy.id, refused("CreatePolicy", error)))?;
            }
            Action::UpdatePolicy { id, policy } => {
                let own = UpdateStaticPolicyDefinition::builder()
                    .statement(&policy.statement)
                    .set_description(policy.description.clone())
                    .build()
                    .map_err(Failure::could_not_run)?;
                let request = client.update_policy().policy_store_id(store).policy_id(id);
                let request =
                    request.set_name(policy.name.clone()).definition(UpdatePolicyDefinition::Static(own));
                let request = request.send().await;
                request.map_err(|error| about(&policy.id, refused("UpdatePolicy", error)))?;
            }
            Action::CreateLink { link, name } => {
                let template = self.templates.get(&link.template_id).unwrap_or(&link.template_id);
                let entity =
                    |value: Option<&_>| value.map(sdk_entity).transpose().map_err(Failure::could_not_run);
                let own = TemplateLinkedPolicyDefinition::builder()
                    .policy_template_id(template)
                    .set_principal(entity(link.principal.as_ref())?)
                    .set_resource(entity(link.resource.as_ref())?)
                    .build()
                    .map_err(Failure::could_not_run)?;
                let request = client.create_policy().policy_store_id(store).name(name);
                let request = request.definition(PolicyDefinition::TemplateLinked(own)).send().await;
                request.map_err(|error| about(&link.id, refused("CreatePolicy", error)))?;
            }
            Action::DeletePolicy { id } => {
                match client.delete_policy().policy_store_id(store).policy_id(id).send().await {
                    // It went with its template.
                    Err(error) if error.code() == Some("ResourceNotFoundException") => {}
                    result => {
                        result.map_err(|error| refused("DeletePolicy", error))?;
                    }
                }
            }
            Action::CreateTemplate { template, name } => {
                let request = client.create_policy_template().policy_store_id(store).name(name);
                let request =
                    request.statement(&template.statement).set_description(template.description.clone());
                let made = request.send().await;
                let made =
                    made.map_err(|error| about(&template.id, refused("CreatePolicyTemplate", error)))?;
                self.templates.insert(template.id.clone(), made.policy_template_id);
            }
            Action::UpdateTemplate { id, template } => {
                let request = client.update_policy_template().policy_store_id(store).policy_template_id(id);
                let request = request.statement(&template.statement).set_name(template.name.clone());
                let request = request.set_description(template.description.clone()).send().await;
                request.map_err(|error| about(&template.id, refused("UpdatePolicyTemplate", error)))?;
            }
            Action::DeleteTemplate { id } => {
                let request = client.delete_policy_template().policy_store_id(store).policy_template_id(id);
                request.send().await.map_err(|error| refused("DeletePolicyTemplate", error))?;
            }
            Action::CreateIdentitySource(source) => {
                let own = configuration(&source.configuration).map_err(Failure::could_not_run)?;
                let request = client.create_identity_source().policy_store_id(store).configuration(own);
                let request =
                    request.set_principal_entity_type(source.principal_entity_type.clone()).send().await;
                request.map_err(|error| about(&source.id, refused("CreateIdentitySource", error)))?;
            }
            Action::UpdateIdentitySource { id, source } => {
                let own = update_configuration(&source.configuration).map_err(Failure::could_not_run)?;
                let request = client.update_identity_source().policy_store_id(store).identity_source_id(id);
                let request = request.update_configuration(own);
                let request =
                    request.set_principal_entity_type(source.principal_entity_type.clone()).send().await;
                request.map_err(|error| about(&source.id, refused("UpdateIdentitySource", error)))?;
            }
            Action::DeleteIdentitySource { id } => {
                let request = client.delete_identity_source().policy_store_id(store).identity_source_id(id);
                request.send().await.map_err(|error| refused("DeleteIdentitySource", error))?;
            }
            Action::CreateAlias(name) => {
                let request = client.create_policy_store_alias().policy_store_id(store).alias_name(*name);
                request
                    .send()
                    .await
                    .map_err(|error| about(name, refused("CreatePolicyStoreAlias", error)))?;
            }
        }
        Ok(())
    }

    async fn update_store(&self, validation: ValidationMode) -> Result<(), Failure> {
        let request = self.client.update_policy_store().policy_store_id(self.store);
        let request = request.validation_settings(settings(validation)?);
        let request = request.set_description(self.contents.description.clone());
        // Protection is only ever switched on.
        let protection = self.contents.deletion_protection.then_some(DeletionProtection::Enabled);
        let request = request.set_deletion_protection(protection).send().await;
        request.map(|_| ()).map_err(|error| refused("UpdatePolicyStore", error))
    }

    /// A schema may be refused because of policies that go later. Without validation it is taken; validation is
    /// switched on again at the end, or by the next run.
    async fn put_schema(&mut self, schema: &str) -> Result<(), Failure> {
        let put = || {
            let definition = SchemaDefinition::CedarJson(schema.to_owned());
            self.client.put_schema().policy_store_id(self.store).definition(definition).send()
        };
        match put().await {
            Ok(_) => return Ok(()),
            Err(error) if error.code() != Some("ValidationException") || self.is_loosened => {
                return Err(refused("PutSchema", error));
            }
            Err(_) => {}
        }
        self.update_store(ValidationMode::Off).await?;
        self.is_loosened = true;
        put().await.map(|_| ()).map_err(|error| refused("PutSchema", error))
    }
}

/// Validation as the SDK has it.
pub fn settings(validation: ValidationMode) -> Result<ValidationSettings, Failure> {
    let mode = match validation {
        ValidationMode::Off => Mode::Off,
        ValidationMode::Strict => Mode::Strict,
    };
    ValidationSettings::builder().mode(mode).build().map_err(Failure::could_not_run)
}

fn about(id: &str, failure: Failure) -> Failure {
    failure.about(id)
}
