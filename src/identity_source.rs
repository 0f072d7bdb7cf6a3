//! Identity sources: whose tokens are accepted, and what they say about a principal.
//!
//! The file format is that of AVP's `CreateIdentitySource`, so a definition carries over as it
//! is. Rules: Verified Permissions User Guide, "Identity sources" and "Mapping identity provider
//! tokens to schema"; Cognito Developer Guide, "Authorization with Amazon Verified Permissions".

use std::collections::BTreeSet;
use std::str::FromStr;

use cedar_policy::EntityTypeName;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::reason::Reason;
use crate::token::{TokenType, required_text};

/// An issuer whose tokens are accepted.
#[derive(Clone, Debug)]
pub struct IdentitySource {
    name: String,
    principal_type: EntityTypeName,
    group_type: Option<EntityTypeName>,
    user_pool: UserPoolArn,
    issuers: Vec<String>,
    client_ids: BTreeSet<String>,
    jwks_uri: Option<KeyUri>,
    jwks_file: Option<String>,
}

impl IdentitySource {
    /// Reads an identity source file; `name` is the stem of its file name.
    ///
    /// # Errors
    /// What `serde_json` finds wrong, with the line and column where it stands.
    pub fn from_json(name: &str, text: &str) -> Result<Self, serde_json::Error> {
        let file: IdentitySourceFile = serde_json::from_str(text)?;
        let IdentitySourceFile {
            principal_entity_type,
            configuration: Configuration { cognito_user_pool_configuration: pool },
            jwks_uri,
            jwks_file,
            _policy_store_id: _,
            _client_token: _,
        } = file;
        let CognitoUserPoolConfiguration { user_pool_arn, client_ids, group_configuration } = pool;
        Ok(Self {
            name: name.to_owned(),
            principal_type: principal_entity_type.0,
            group_type: group_configuration.map(|groups| groups.group_entity_type.0),
            issuers: user_pool_arn.issuers(),
            user_pool: user_pool_arn,
            client_ids,
            jwks_uri,
            jwks_file,
        })
    }

    /// The name: the stem of the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The Cedar type of the users.
    pub fn principal_type(&self) -> &EntityTypeName {
        &self.principal_type
    }

    /// The Cedar type of the users' groups. `None`: groups are not read.
    pub fn group_type(&self) -> Option<&EntityTypeName> {
        self.group_type.as_ref()
    }

    /// The user pool.
    pub fn user_pool(&self) -> &UserPoolArn {
        &self.user_pool
    }

    /// The values that `iss` may have, compared character by character.
    pub fn issuers(&self) -> &[String] {
        &self.issuers
    }

    /// The clients whose tokens are accepted. Empty: those of any client of the pool.
    pub fn client_ids(&self) -> &BTreeSet<String> {
        &self.client_ids
    }

    /// What stands before the bar in the ids of principals and groups.
    pub fn id_prefix(&self) -> &str {
        &self.user_pool.pool_id
    }

    /// The claim that lists the groups of the user.
    pub fn group_claim(&self) -> &str {
        COGNITO_GROUPS
    }

    /// The groups that the claims list; none where groups are not read.
    ///
    /// # Errors
    /// [`Reason::ClaimInvalid`] for a claim that is no list of names: a group that goes unseen
    /// could be the one that a forbid policy names.
    pub(crate) fn groups(&self, claims: &Map<String, Value>) -> Result<Vec<String>, Reason> {
        let name_of = |group: &Value| match group {
            Value::String(name) if !name.is_empty() => Ok(name.clone()),
            _ => Err(Reason::ClaimInvalid),
        };
        match (&self.group_type, claims.get(COGNITO_GROUPS)) {
            (None, _) | (_, None | Some(Value::Null)) => Ok(Vec::new()),
            (Some(_), Some(Value::Array(groups))) => groups.iter().map(name_of).collect(),
            (Some(_), Some(_)) => Err(Reason::ClaimInvalid),
        }
    }

    /// Where the issuer publishes its keys.
    pub fn jwks_uri(&self) -> String {
        match &self.jwks_uri {
            Some(uri) => uri.0.clone(),
            None => self.user_pool.jwks_uri(),
        }
    }

    /// The file of the policy store that holds the keys, if the source names one itself.
    pub fn jwks_file(&self) -> Option<&str> {
        self.jwks_file.as_deref()
    }

    /// Checks that the token is of the type that the policy store works with.
    pub(crate) fn check_token_type(
        &self,
        claims: &Map<String, Value>,
        expected: TokenType,
    ) -> Result<(), Reason> {
        match required_text(claims, "token_use")? {
            token_use if token_use == expected.name() => Ok(()),
            _ => Err(Reason::TokenTypeMismatch),
        }
    }

    /// Checks that the token was issued to a client that is accepted: `aud` of an ID token,
    /// `client_id` of an access token.
    pub(crate) fn check_client(
        &self,
        claims: &Map<String, Value>,
        token_type: TokenType,
    ) -> Result<(), Reason> {
        let claim = match token_type {
            TokenType::Access => "client_id",
            TokenType::Id => "aud",
        };
        let client = required_text(claims, claim)?;
        match self.client_ids.is_empty() || self.client_ids.contains(client) {
            true => Ok(()),
            false => Err(Reason::ClientMismatch),
        }
    }
}

/// The ARN of a Cognito user pool, e.g.
/// `arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_EXAMPLE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserPoolArn {
    text: String,
    region: String,
    dns_suffix: &'static str,
    pool_id: String,
}

impl UserPoolArn {
    /// The whole ARN.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Both forms of issuer that a pool can be set to (Cognito API, `IssuerConfigurationType`
    /// `ORIGINAL` and `UPDATED`).
    fn issuers(&self) -> Vec<String> {
        let Self { region, dns_suffix, pool_id, text: _ } = self;
        ["cognito-idp", "issuer-cognito-idp"]
            .map(|host| format!("https://{host}.{region}.{dns_suffix}/{pool_id}"))
            .into()
    }

    fn jwks_uri(&self) -> String {
        let Self { region, dns_suffix, pool_id, text: _ } = self;
        format!("https://cognito-idp.{region}.{dns_suffix}/{pool_id}/.well-known/jwks.json")
    }
}

impl FromStr for UserPoolArn {
    type Err = InvalidUserPoolArn;

    fn from_str(text: &str) -> Result<Self, InvalidUserPoolArn> {
        let fields: Vec<&str> = text.split(':').collect();
        let ["arn", partition, "cognito-idp", region, account, resource] = fields.as_slice() else {
            return Err(InvalidUserPoolArn);
        };
        let pool_id = resource.strip_prefix("userpool/").ok_or(InvalidUserPoolArn)?;
        let name =
            pool_id.strip_prefix(region).and_then(|rest| rest.strip_prefix('_')).ok_or(InvalidUserPoolArn)?;
        let dns_suffix = PARTITIONS
            .iter()
            .find(|(known, _)| known == partition)
            .map(|(_, suffix)| *suffix)
            .ok_or(InvalidUserPoolArn)?;
        let is_region = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if region.is_empty()
            || !region.bytes().all(is_region)
            || account.len() != 12
            || !account.bytes().all(|byte| byte.is_ascii_digit())
            || name.is_empty()
            || !name.bytes().all(|byte| byte.is_ascii_alphanumeric())
        {
            return Err(InvalidUserPoolArn);
        }
        Ok(Self {
            text: text.to_owned(),
            region: (*region).to_owned(),
            dns_suffix,
            pool_id: pool_id.to_owned(),
        })
    }
}

/// The text is not the ARN of a user pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a user pool ARN of the form arn:aws:cognito-idp:REGION:ACCOUNT:userpool/REGION_ID")]
pub struct InvalidUserPoolArn;

/// A URL that keys may be fetched from: https, or plain http to this very machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUri(String);

impl FromStr for KeyUri {
    type Err = InvalidKeyUri;

    fn from_str(text: &str) -> Result<Self, InvalidKeyUri> {
        let url = reqwest::Url::parse(text).map_err(|_| InvalidKeyUri)?;
        let is_loopback = matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
        let is_plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        match url.scheme() {
            "https" if is_plain => Ok(Self(text.to_owned())),
            "http" if is_plain && is_loopback => Ok(Self(text.to_owned())),
            _ => Err(InvalidKeyUri),
        }
    }
}

/// The text is not a URL that keys may be fetched from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an https URL without user name, password and fragment (http only to a loopback address)")]
pub struct InvalidKeyUri;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct IdentitySourceFile {
    principal_entity_type: EntityType,
    configuration: Configuration,
    jwks_uri: Option<KeyUri>,
    jwks_file: Option<String>,
    /// Parts of AVP's request that mean nothing here.
    #[serde(rename = "policyStoreId")]
    _policy_store_id: Option<serde::de::IgnoredAny>,
    #[serde(rename = "clientToken")]
    _client_token: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Configuration {
    cognito_user_pool_configuration: CognitoUserPoolConfiguration,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CognitoUserPoolConfiguration {
    user_pool_arn: UserPoolArn,
    #[serde(default)]
    client_ids: BTreeSet<String>,
    group_configuration: Option<GroupConfiguration>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GroupConfiguration {
    group_entity_type: EntityType,
}

struct EntityType(EntityTypeName);

/// Parses while `serde_json` still knows the line, so that every problem has a position.
macro_rules! deserialize_from_str {
    ($($name:ty = $parse:expr;)+) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                ($parse)(&text).map_err(|error| {
                    serde::de::Error::custom(format_args!("`{text}` is {error}"))
                })
            }
        }
    )+};
}

deserialize_from_str! {
    UserPoolArn = |text: &str| text.parse::<UserPoolArn>();
    KeyUri = |text: &str| text.parse::<KeyUri>();
    EntityType = |text: &str| text.parse().map(EntityType).map_err(|_| "not the name of an entity type");
}

/// The claim of Cognito's tokens that lists groups; it cannot be renamed.
const COGNITO_GROUPS: &str = "cognito:groups";

/// The domain of each partition (AWS General Reference, "AWS service endpoints").
const PARTITIONS: [(&str, &str); 4] = [
    ("aws", "amazonaws.com"),
    ("aws-cn", "amazonaws.com.cn"),
    ("aws-eusc", "amazonaws.eu"),
    ("aws-us-gov", "amazonaws.com"),
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ARN: &str = "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_EXAMPLE";

    fn source() -> IdentitySource {
        let file = json!({
            "policyStoreId": "PSEXAMPLE",
            "principalEntityType": "PetStore::User",
            "configuration": {"cognitoUserPoolConfiguration": {
                "userPoolArn": ARN,
                "clientIds": ["1example23456789"],
                "groupConfiguration": {"groupEntityType": "PetStore::UserGroup"}
            }}
        });
        IdentitySource::from_json("cognito", &file.to_string()).unwrap()
    }

    #[test]
    fn reads_the_shape_of_create_identity_source() {
        let source = source();
        assert_eq!(source.principal_type().to_string(), "PetStore::User");
        assert_eq!(source.group_type().unwrap().to_string(), "PetStore::UserGroup");
        assert_eq!(source.id_prefix(), "us-east-1_EXAMPLE");
        assert_eq!(
            source.issuers(),
            [
                "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_EXAMPLE",
                "https://issuer-cognito-idp.us-east-1.amazonaws.com/us-east-1_EXAMPLE"
            ]
        );
        assert_eq!(
            source.jwks_uri(),
            "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_EXAMPLE/.well-known/jwks.json"
        );
    }

    #[test]
    fn the_domain_is_that_of_the_partition() {
        let arn = "arn:aws-cn:cognito-idp:cn-north-1:123456789012:userpool/cn-north-1_A1";
        let pool: UserPoolArn = arn.parse().unwrap();
        assert!(pool.jwks_uri().starts_with("https://cognito-idp.cn-north-1.amazonaws.com.cn/"));
    }

    #[test]
    fn refuses_what_is_no_user_pool() {
        for text in [
            "",
            "us-east-1_EXAMPLE",
            "arn:aws:cognito-idp:us-east-1:123456789012:userpool/",
            "arn:aws:cognito-idp:us-east-1:123456789012:userpool/eu-west-1_EXAMPLE",
            "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_EX/AMPLE",
            "arn:aws:cognito-idp:us-east-1@evil.example:123456789012:userpool/us-east-1@evil.example_A",
            "arn:aws:cognito-idp:us-east-1:1234:userpool/us-east-1_EXAMPLE",
            "arn:other:cognito-idp:us-east-1:123456789012:userpool/us-east-1_EXAMPLE",
            "arn:aws:iam:us-east-1:123456789012:userpool/us-east-1_EXAMPLE",
        ] {
            assert_eq!(text.parse::<UserPoolArn>(), Err(InvalidUserPoolArn), "{text}");
        }
    }

    #[test]
    fn keys_come_over_https_or_from_this_machine() {
        for uri in
            ["https://example.com/keys", "http://127.0.0.1:8080/keys", "http://[::1]/k", "http://localhost/k"]
        {
            assert!(uri.parse::<KeyUri>().is_ok(), "{uri}");
        }
        for uri in [
            "http://example.com/keys",
            "http://localhost.example.com/keys",
            "http://127.0.0.1@example.com/keys",
            "https://user:secret@example.com/",
            "file:///etc/passwd",
            "keys.json",
        ] {
            assert_eq!(uri.parse::<KeyUri>(), Err(InvalidKeyUri), "{uri}");
        }
    }

    #[test]
    fn a_problem_names_its_line() {
        let text = "{\n\"principalEntityType\": \"PetStore::\",\n\"configuration\": {}}";
        let error = IdentitySource::from_json("x", text).unwrap_err();
        assert_eq!(error.line(), 2);
        assert!(error.to_string().contains("`PetStore::` is not the name of an entity type"));
    }

    #[test]
    fn type_and_client_are_checked_by_the_claims_of_cognito() {
        let source = source();
        let claims = |value: Value| value.as_object().unwrap().clone();
        let access = claims(json!({"token_use": "access", "client_id": "1example23456789"}));
        let id = claims(json!({"token_use": "id", "aud": "1example23456789"}));
        assert_eq!(source.check_token_type(&access, TokenType::Access), Ok(()));
        assert_eq!(source.check_token_type(&id, TokenType::Access), Err(Reason::TokenTypeMismatch));
        assert_eq!(source.check_client(&access, TokenType::Access), Ok(()));
        assert_eq!(source.check_client(&id, TokenType::Id), Ok(()));
        assert_eq!(source.check_client(&access, TokenType::Id), Err(Reason::ClaimInvalid));
        let other = claims(json!({"client_id": "other"}));
        assert_eq!(source.check_client(&other, TokenType::Access), Err(Reason::ClientMismatch));
        let groups = claims(json!({"cognito:groups": ["a", "b c"]}));
        assert_eq!(source.groups(&groups), Ok(vec!["a".to_owned(), "b c".to_owned()]));
        for groups in [json!("a"), json!([1]), json!([""]), json!({})] {
            let groups = claims(json!({"cognito:groups": groups}));
            assert_eq!(source.groups(&groups), Err(Reason::ClaimInvalid));
        }
        let list = claims(json!({"aud": ["1example23456789"]}));
        assert_eq!(source.check_client(&list, TokenType::Id), Err(Reason::ClaimInvalid));
    }
}
