//! Between the SDK's types and the JSON of AVP's API, which is what a store has in its files.

use aws_sdk_verifiedpermissions::error::BuildError;
use aws_sdk_verifiedpermissions::types as sdk;
use serde_json::{Map, Value, json};

use crate::avp::contents::EntityIdentifier;
use crate::import::identity::{COGNITO, OPEN_ID};

/// The entity of an answer.
pub fn entity(entity: sdk::EntityIdentifier) -> EntityIdentifier {
    EntityIdentifier { entity_type: entity.entity_type, entity_id: entity.entity_id }
}

/// The entity of a request.
pub fn sdk_entity(entity: &EntityIdentifier) -> Result<sdk::EntityIdentifier, BuildError> {
    sdk::EntityIdentifier::builder().entity_type(&entity.entity_type).entity_id(&entity.entity_id).build()
}

/// The configuration of an answer. `None`: the SDK does not know this kind.
pub fn known_configuration(configuration: &sdk::ConfigurationItem) -> Option<Value> {
    if let Ok(pool) = configuration.as_cognito_user_pool_configuration() {
        // Without the issuer, which Create does not take.
        let mut members = object(json!({ "userPoolArn": pool.user_pool_arn, "clientIds": pool.client_ids }));
        if let Some(name) =
            pool.group_configuration.as_ref().and_then(|groups| groups.group_entity_type.as_ref())
        {
            members.insert("groupConfiguration".to_owned(), json!({ "groupEntityType": name }));
        }
        return Some(json!({ COGNITO: members }));
    }
    let provider = configuration.as_open_id_connect_configuration().ok()?;
    let mut members = object(json!({ "issuer": provider.issuer }));
    if let Some(prefix) = &provider.entity_id_prefix {
        members.insert("entityIdPrefix".to_owned(), json!(prefix));
    }
    if let Some(groups) = &provider.group_configuration {
        let groups = json!({ "groupClaim": groups.group_claim, "groupEntityType": groups.group_entity_type });
        members.insert("groupConfiguration".to_owned(), groups);
    }
    let selection = match provider.token_selection.as_ref()? {
        sdk::OpenIdConnectTokenSelectionItem::AccessTokenOnly(own) => {
            json!({ "accessTokenOnly": selection(&own.principal_id_claim, "audiences", own.audiences.as_ref()) })
        }
        sdk::OpenIdConnectTokenSelectionItem::IdentityTokenOnly(own) => {
            json!({ "identityTokenOnly": selection(&own.principal_id_claim, "clientIds", own.client_ids.as_ref()) })
        }
        _ => return None,
    };
    members.insert("tokenSelection".to_owned(), selection);
    Some(json!({ OPEN_ID: members }))
}

fn selection(claim: &str, list: &str, clients: Option<&Vec<String>>) -> Value {
    let mut members = object(json!({ "principalIdClaim": claim }));
    if let Some(clients) = clients {
        members.insert(list.to_owned(), json!(clients));
    }
    Value::Object(members)
}

fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(members) = value { members } else { Map::new() }
}

/// Create and Update have the same shapes under different names.
macro_rules! configuration_of {
    ($(#[$doc:meta])* $name:ident, $configuration:ident, $pool:ident, $pool_groups:ident, $provider:ident,
     $groups:ident, $selection:ident, $access:ident, $identity:ident) => {
        $(#[$doc])*
        pub fn $name(configuration: &Value) -> Result<sdk::$configuration, BuildError> {
            if let Some(pool) = configuration.get(COGNITO) {
                let groups = text(pool, &["groupConfiguration", "groupEntityType"]);
                let groups = groups.map(|name| sdk::$pool_groups::builder().group_entity_type(name).build());
                let pool = sdk::$pool::builder()
                    .set_user_pool_arn(text(pool, &["userPoolArn"]))
                    .set_client_ids(texts(pool, "clientIds"))
                    .set_group_configuration(groups.transpose()?)
                    .build()?;
                return Ok(sdk::$configuration::CognitoUserPoolConfiguration(pool));
            }
            let provider = configuration.get(OPEN_ID).unwrap_or(&Value::Null);
            let groups = provider.get("groupConfiguration").map(|groups| {
                sdk::$groups::builder()
                    .set_group_claim(text(groups, &["groupClaim"]))
                    .set_group_entity_type(text(groups, &["groupEntityType"]))
                    .build()
            });
            let selection = provider.get("tokenSelection").unwrap_or(&Value::Null);
            let selection = match selection.get("identityTokenOnly") {
                Some(own) => sdk::$selection::IdentityTokenOnly(
                    sdk::$identity::builder()
                        .set_principal_id_claim(text(own, &["principalIdClaim"]))
                        .set_client_ids(texts(own, "clientIds"))
                        .build(),
                ),
                None => {
                    let own = selection.get("accessTokenOnly").unwrap_or(&Value::Null);
                    sdk::$selection::AccessTokenOnly(
                        sdk::$access::builder()
                            .set_principal_id_claim(text(own, &["principalIdClaim"]))
                            .set_audiences(texts(own, "audiences"))
                            .build(),
                    )
                }
            };
            let provider = sdk::$provider::builder()
                .set_issuer(text(provider, &["issuer"]))
                .set_entity_id_prefix(text(provider, &["entityIdPrefix"]))
                .set_group_configuration(groups.transpose()?)
                .token_selection(selection)
                .build()?;
            Ok(sdk::$configuration::OpenIdConnectConfiguration(provider))
        }
    };
}

configuration_of!(
    /// The configuration of `CreateIdentitySource`.
    configuration, Configuration, CognitoUserPoolConfiguration, CognitoGroupConfiguration,
    OpenIdConnectConfiguration, OpenIdConnectGroupConfiguration, OpenIdConnectTokenSelection,
    OpenIdConnectAccessTokenConfiguration, OpenIdConnectIdentityTokenConfiguration
);

configuration_of!(
    /// The configuration of `UpdateIdentitySource`.
    update_configuration, UpdateConfiguration, UpdateCognitoUserPoolConfiguration,
    UpdateCognitoGroupConfiguration, UpdateOpenIdConnectConfiguration, UpdateOpenIdConnectGroupConfiguration,
    UpdateOpenIdConnectTokenSelection, UpdateOpenIdConnectAccessTokenConfiguration,
    UpdateOpenIdConnectIdentityTokenConfiguration
);

fn text(value: &Value, path: &[&str]) -> Option<String> {
    path.iter().try_fold(value, |value, key| value.get(key))?.as_str().map(str::to_owned)
}

fn texts(value: &Value, name: &str) -> Option<Vec<String>> {
    let items = value.get(name)?.as_array()?;
    Some(items.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}
