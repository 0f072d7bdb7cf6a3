//! The SDK for Rust: every operation, and every error that can be provoked.

use std::collections::HashMap;
use std::fmt::Debug;

use aws_sdk_verifiedpermissions::Client;
use aws_sdk_verifiedpermissions::config::retry::RetryConfig;
use aws_sdk_verifiedpermissions::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_verifiedpermissions::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_verifiedpermissions::operation::create_policy::CreatePolicyError;
use aws_sdk_verifiedpermissions::types::{
    ActionIdentifier, BatchGetPolicyErrorCode, BatchGetPolicyInputItem, BatchIsAuthorizedInputItem,
    BatchIsAuthorizedWithTokenInputItem, CognitoUserPoolConfiguration, Configuration, Decision, DeletionMode,
    DeletionProtection, EntityIdentifier, EntityReference, PolicyDefinition, PolicyFilter,
    PolicyStoreAliasFilter, SchemaDefinition, StaticPolicyDefinition, TemplateLinkedPolicyDefinition,
    UpdateCognitoUserPoolConfiguration, UpdateConfiguration, UpdatePolicyDefinition,
    UpdateStaticPolicyDefinition, ValidationMode, ValidationSettings,
};

use super::with_tokens;
use crate::avp::server::AvpServer;

const POOL: &str = "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_EXAMPLE";
const SCHEMA: &str = r#"{"Photo": {"entityTypes": {"User": {}, "Album": {}}, "actions": {"view": {
    "appliesTo": {"principalTypes": ["User"], "resourceTypes": ["Album"]}}}}}"#;
const TEMPLATE: &str = r#"permit(principal == ?principal, action, resource == Photo::Album::"trip");"#;

fn client(endpoint: &str) -> Client {
    let config = aws_sdk_verifiedpermissions::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("AKIDEXAMPLE", "secret", None, None, "tests"))
        .retry_config(RetryConfig::disabled())
        .endpoint_url(endpoint);
    Client::from_conf(config.build())
}

fn run(story: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(story);
}

/// The name of the error.
#[track_caller]
fn error<O: Debug, E: ProvideErrorMetadata + Debug>(result: Result<O, SdkError<E>>) -> String {
    result.unwrap_err().code().unwrap().to_owned()
}

fn entity(entity_type: &str, id: &str) -> EntityIdentifier {
    EntityIdentifier::builder().entity_type(entity_type).entity_id(id).build().unwrap()
}

fn view() -> ActionIdentifier {
    ActionIdentifier::builder().action_type("Photo::Action").action_id("view").build().unwrap()
}

fn validation(mode: ValidationMode) -> ValidationSettings {
    ValidationSettings::builder().mode(mode).build().unwrap()
}

fn written(statement: &str) -> PolicyDefinition {
    PolicyDefinition::Static(StaticPolicyDefinition::builder().statement(statement).build().unwrap())
}

#[test]
fn rust_uses_every_operation() {
    let (server, token) = with_tokens(&[]);
    run(async {
        let client = client(&server.url());
        let (store, arn) = stores(&client).await;
        let store = store.as_str();
        policies(&client, store).await;
        decisions(&client, store, &token).await;
        aliases(&client, store).await;
        tags(&client, &arn).await;
        let refused = client.delete_policy_store().policy_store_id(store).send().await;
        assert!(refused.unwrap_err().into_service_error().is_invalid_state_exception());
        let unprotected = client.update_policy_store().policy_store_id(store);
        let unprotected = unprotected.deletion_protection(DeletionProtection::Disabled);
        unprotected.validation_settings(validation(ValidationMode::Off)).send().await.unwrap();
        client.delete_policy_store().policy_store_id(store).send().await.unwrap();
        let missing = client.get_policy_store().policy_store_id(store).send().await;
        let missing = missing.unwrap_err().into_service_error();
        assert!(missing.is_resource_not_found_exception(), "{missing:?}");
    });
}

/// Makes a store, and returns its id and ARN.
async fn stores(client: &Client) -> (String, String) {
    let made = client
        .create_policy_store()
        .validation_settings(validation(ValidationMode::Off))
        .deletion_protection(DeletionProtection::Enabled)
        .send()
        .await
        .unwrap();
    let (store, arn) = (made.policy_store_id, made.arn);
    let listed =
        client.list_policy_stores().into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
    assert_eq!(listed.unwrap().len(), 1);
    let known = client.get_policy_store().policy_store_id(&store).send().await.unwrap();
    assert_eq!((known.arn, known.created_date), (arn.clone(), made.created_date));
    let schema = SchemaDefinition::CedarJson(SCHEMA.to_owned());
    client.put_schema().policy_store_id(&store).definition(schema).send().await.unwrap();
    assert!(client.get_schema().policy_store_id(&store).send().await.unwrap().schema.contains("Album"));
    let strict = client.update_policy_store().policy_store_id(&store);
    strict.validation_settings(validation(ValidationMode::Strict)).send().await.unwrap();
    (store, arn)
}

async fn policies(client: &Client, store: &str) {
    let create =
        |statement: &str| client.create_policy().policy_store_id(store).definition(written(statement));
    let first =
        create(r#"permit(principal == Photo::User::"alice", action, resource);"#).client_token("once");
    let policy = first.clone().send().await.unwrap();
    let (id, alice) = (policy.policy_id, entity("Photo::User", "alice"));
    assert_eq!(policy.principal, Some(alice.clone()));
    assert_eq!(first.send().await.unwrap().policy_id, id);
    let other = create("forbid(principal, action, resource);").client_token("once").send().await;
    let conflict = other.unwrap_err().into_service_error();
    assert!(conflict.is_conflict_exception(), "{conflict:?}");
    let CreatePolicyError::ValidationException(invalid) =
        create("permit(principal);").send().await.unwrap_err().into_service_error()
    else {
        panic!()
    };
    assert_eq!(invalid.field_list()[0].path, "definition.static.statement", "{invalid:?}");
    let update = UpdateStaticPolicyDefinition::builder()
        .statement(r#"permit(principal == Photo::User::"alice", action, resource) when { true };"#)
        .build();
    let update = UpdatePolicyDefinition::Static(update.unwrap());
    client.update_policy().policy_store_id(store).policy_id(&id).definition(update).send().await.unwrap();
    let known = client.get_policy().policy_store_id(store).policy_id(&id).send().await.unwrap();
    assert!(known.definition.unwrap().as_static().unwrap().statement.contains("true"));

    let template =
        client.create_policy_template().policy_store_id(store).statement(TEMPLATE).send().await.unwrap();
    let template = template.policy_template_id;
    let known =
        client.get_policy_template().policy_store_id(store).policy_template_id(&template).send().await;
    assert_eq!(known.unwrap().statement, TEMPLATE);
    let update = client.update_policy_template().policy_store_id(store).policy_template_id(&template);
    update.statement(TEMPLATE).description("any album").send().await.unwrap();
    let listed = client.list_policy_templates().policy_store_id(store).send().await.unwrap();
    assert_eq!(listed.policy_templates[0].description.as_deref(), Some("any album"));
    let bob = entity("Photo::User", "bob");
    let link = TemplateLinkedPolicyDefinition::builder()
        .policy_template_id(&template)
        .principal(bob.clone())
        .build();
    let link = PolicyDefinition::TemplateLinked(link.unwrap());
    let link = client.create_policy().policy_store_id(store).definition(link).send().await.unwrap().policy_id;

    let filter = PolicyFilter::builder().principal(EntityReference::Identifier(bob)).build();
    let pages = client.list_policies().policy_store_id(store).filter(filter).into_paginator().items().send();
    let listed = pages.collect::<Result<Vec<_>, _>>().await.unwrap();
    assert_eq!(listed.iter().map(|policy| &policy.policy_id).collect::<Vec<_>>(), [&link]);
    let item =
        |id: &str| BatchGetPolicyInputItem::builder().policy_store_id(store).policy_id(id).build().unwrap();
    let batch = client.batch_get_policy().requests(item(&link)).requests(item("none")).send().await.unwrap();
    assert_eq!((batch.results.len(), &batch.errors[0].code), (1, &BatchGetPolicyErrorCode::PolicyNotFound));
    client.delete_policy().policy_store_id(store).policy_id(&link).send().await.unwrap();
    client
        .delete_policy_template()
        .policy_store_id(store)
        .policy_template_id(&template)
        .send()
        .await
        .unwrap();
}

async fn decisions(client: &Client, store: &str, token: &str) {
    let (alice, trip) = (entity("Photo::User", "alice"), entity("Photo::Album", "trip"));
    let asked = client.is_authorized().policy_store_id(store).principal(alice.clone()).action(view());
    let decision = asked.resource(trip.clone()).send().await.unwrap();
    assert_eq!((decision.decision, decision.determining_policies.len()), (Decision::Allow, 1));
    let request = |who: EntityIdentifier| {
        BatchIsAuthorizedInputItem::builder().principal(who).action(view()).resource(trip.clone()).build()
    };
    let batch = client.batch_is_authorized().policy_store_id(store);
    let batch =
        batch.requests(request(alice)).requests(request(entity("Photo::User", "eve"))).send().await.unwrap();
    let decisions: Vec<_> = batch.results.iter().map(|result| &result.decision).collect();
    assert_eq!(decisions, [&Decision::Allow, &Decision::Deny]);

    let pool =
        CognitoUserPoolConfiguration::builder().user_pool_arn(POOL).client_ids("1example23456789").build();
    let pool = Configuration::CognitoUserPoolConfiguration(pool.unwrap());
    let create = client.create_identity_source().policy_store_id(store).principal_entity_type("Photo::User");
    let source = create.clone().configuration(pool.clone()).send().await.unwrap().identity_source_id;
    assert_eq!(error(create.configuration(pool).send().await), "ServiceQuotaExceededException");
    let known = client.get_identity_source().policy_store_id(store).identity_source_id(&source).send().await;
    assert_eq!(known.unwrap().principal_entity_type, "Photo::User");
    let listed = client.list_identity_sources().policy_store_id(store).send().await.unwrap();
    assert_eq!(listed.identity_sources[0].identity_source_id, source);
    let update =
        UpdateCognitoUserPoolConfiguration::builder().user_pool_arn(POOL).client_ids("1example23456789");
    let update = update.build().unwrap();
    let update = UpdateConfiguration::CognitoUserPoolConfiguration(update);
    let updated = client.update_identity_source().policy_store_id(store).identity_source_id(&source);
    let updated = updated.principal_entity_type("Photo::User");
    updated.update_configuration(update).send().await.unwrap();

    let asked = client.is_authorized_with_token().policy_store_id(store).identity_token(token).action(view());
    let answer = asked.resource(trip.clone()).send().await.unwrap();
    let user = Some(entity("Photo::User", "us-east-1_EXAMPLE|3ab9e816"));
    assert_eq!((answer.decision, answer.principal), (Decision::Deny, user.clone()));
    let item = BatchIsAuthorizedWithTokenInputItem::builder().action(view()).resource(trip).build();
    let batch = client.batch_is_authorized_with_token().policy_store_id(store).identity_token(token);
    let batch = batch.requests(item).send().await.unwrap();
    assert_eq!((batch.principal, batch.results.len()), (user, 1));
    client.delete_identity_source().policy_store_id(store).identity_source_id(&source).send().await.unwrap();
}

async fn aliases(client: &Client, store: &str) {
    let name = "policy-store-alias/rust";
    client.create_policy_store_alias().alias_name(name).policy_store_id(store).send().await.unwrap();
    let known = client.get_policy_store_alias().alias_name(name).send().await.unwrap();
    assert_eq!(known.policy_store_id, store);
    let filter = PolicyStoreAliasFilter::builder().policy_store_id(store).build();
    let listed = client.list_policy_store_aliases().filter(filter).send().await.unwrap();
    assert_eq!(listed.policy_store_aliases[0].alias_name, name);
    let delete = client.delete_policy_store_alias().alias_name(name);
    delete.deletion_mode(DeletionMode::HardDelete).send().await.unwrap();
}

async fn tags(client: &Client, arn: &str) {
    client.tag_resource().resource_arn(arn).tags("team", "photo").tags("stage", "test").send().await.unwrap();
    client.untag_resource().resource_arn(arn).tag_keys("team").send().await.unwrap();
    let known = client.list_tags_for_resource().resource_arn(arn).send().await.unwrap().tags;
    assert_eq!(known, Some(HashMap::from([("stage".to_owned(), "test".to_owned())])));
    let many = (0..51).map(|number| (format!("tag{number}"), String::new())).collect();
    let refused = client.tag_resource().resource_arn(arn).set_tags(Some(many)).send().await;
    assert!(refused.unwrap_err().into_service_error().is_too_many_tags_exception());
}

#[test]
fn rust_knows_that_it_is_throttled_or_denied() {
    let always = AvpServer::start(&["--throttle", "1"]);
    run(async {
        let throttled = client(&always.url()).list_policy_stores().send().await;
        assert_eq!(error(throttled), "ThrottlingException");
        let elsewhere =
            client(&always.url().replace("127.0.0.1", "0.0.0.0")).list_policy_stores().send().await;
        assert_eq!(error(elsewhere), "AccessDeniedException");
    });
}
