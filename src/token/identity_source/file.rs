//! The file of an identity source: AVP's `CreateIdentitySource`, unchanged, with members of our own.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::str::FromStr;

use cedar_policy::EntityTypeName;
use serde::{Deserialize, Deserializer};
use url::Url;

use super::user_pool::UserPoolArn;

/// The whole file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct IdentitySourceFile {
    pub(super) principal_entity_type: EntityType,
    pub(super) configuration: Configuration,
    pub(super) jwks_uri: Option<KeyUri>,
    pub(super) jwks_file: Option<String>,
    /// For emulators of Cognito, which issue tokens under their own name.
    pub(super) issuer: Option<String>,
    /// For emulators of AVP, which put no prefix before the ids of a pool's users and groups.
    pub(super) entity_id_prefix: Option<String>,
    /// Parts of AVP's request that mean nothing here.
    #[serde(rename = "policyStoreId")]
    pub(super) _policy_store_id: Option<serde::de::IgnoredAny>,
    #[serde(rename = "clientToken")]
    pub(super) _client_token: Option<serde::de::IgnoredAny>,
}

/// A union in AVP's API: exactly one member.
#[derive(Deserialize)]
pub(super) enum Configuration {
    #[serde(rename = "cognitoUserPoolConfiguration")]
    CognitoUserPool(CognitoUserPool),
    #[serde(rename = "openIdConnectConfiguration")]
    OpenIdConnect(OpenIdConnect),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CognitoUserPool {
    pub(super) user_pool_arn: UserPoolArn,
    #[serde(default)]
    pub(super) client_ids: BTreeSet<String>,
    pub(super) group_configuration: Option<CognitoGroups>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CognitoGroups {
    pub(super) group_entity_type: EntityType,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct OpenIdConnect {
    pub(super) issuer: IssuerUrl,
    pub(super) entity_id_prefix: Option<Prefix>,
    pub(super) group_configuration: Option<OpenIdConnectGroups>,
    pub(super) token_selection: TokenSelection,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct OpenIdConnectGroups {
    pub(super) group_claim: String,
    pub(super) group_entity_type: EntityType,
}

/// A union in AVP's API: exactly one member.
#[derive(Deserialize)]
pub(super) enum TokenSelection {
    #[serde(rename = "accessTokenOnly")]
    Access(AccessTokens),
    #[serde(rename = "identityTokenOnly")]
    Id(IdTokens),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AccessTokens {
    #[serde(default = "subject")]
    pub(super) principal_id_claim: String,
    #[serde(default)]
    pub(super) audiences: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct IdTokens {
    #[serde(default = "subject")]
    pub(super) principal_id_claim: String,
    #[serde(default)]
    pub(super) client_ids: BTreeSet<String>,
}

/// AVP's default for `principalIdClaim`.
pub(super) fn subject() -> String {
    "sub".to_owned()
}

/// The name of a Cedar entity type.
pub(super) struct EntityType(pub(super) EntityTypeName);

/// The text before the bar in the ids of principals and groups: 1 to 100 characters.
pub(super) struct Prefix(pub(super) String);

impl FromStr for Prefix {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.chars().count() {
            1..=100 => Ok(Self(text.to_owned())),
            _ => Err("not a prefix of 1 to 100 characters"),
        }
    }
}

/// The issuer of OIDC tokens: an https URL. It is kept as written, because `iss` is compared character by
/// character.
pub(super) struct IssuerUrl(pub(super) String);

impl FromStr for IssuerUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_url = text.parse::<KeyUri>().is_ok() && !text.contains('?');
        if is_url && text.len() <= MAX_ISSUER_BYTES {
            Ok(Self(text.to_owned()))
        } else {
            Err("not the https URL of an issuer")
        }
    }
}

/// A URL from which keys may be fetched: https, or plain http to this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUri {
    text: String,
    url: Url,
}

impl KeyUri {
    /// The URL as it is written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The parsed URL.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Whether the connection is encrypted, and the server authenticated by its certificate.
    pub fn has_tls(&self) -> bool {
        self.url.scheme() == "https"
    }
}

impl FromStr for KeyUri {
    type Err = InvalidKeyUri;

    fn from_str(text: &str) -> Result<Self, InvalidKeyUri> {
        let url = Url::parse(text).map_err(|_| InvalidKeyUri)?;
        let is_loopback = matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
        let is_plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        match url.scheme() {
            "https" if is_plain => Ok(Self { text: text.to_owned(), url }),
            "http" if is_plain && is_loopback => Ok(Self { text: text.to_owned(), url }),
            _ => Err(InvalidKeyUri),
        }
    }
}

/// The text is not a URL from which keys may be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an https URL without user name, password and fragment (http only to a loopback address)")]
pub struct InvalidKeyUri;

/// The text for use in a message: without the user name and password that a URL can have.
fn without_password(text: &str) -> Cow<'_, str> {
    let parts = text.split_once("//").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?)));
    match parts {
        Some((scheme, (_, host))) => Cow::Owned(format!("{scheme}//***@{host}")),
        None => Cow::Borrowed(text),
    }
}

/// Parses while `serde_json` still knows the line, so that every problem has a position.
macro_rules! deserialize_from_str {
    ($($name:ty = $parse:expr;)+) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                ($parse)(&text).map_err(|error| {
                    serde::de::Error::custom(format_args!("`{}` is {error}", without_password(&text)))
                })
            }
        }
    )+};
}

deserialize_from_str! {
    EntityType = |text: &str| text.parse().map(EntityType).map_err(|_| "not the name of an entity type");
    IssuerUrl = |text: &str| text.parse::<IssuerUrl>();
    KeyUri = |text: &str| text.parse::<KeyUri>();
    Prefix = |text: &str| text.parse::<Prefix>();
    UserPoolArn = |text: &str| text.parse::<UserPoolArn>();
}

/// AVP API Reference, `OpenIdConnectConfiguration`.
const MAX_ISSUER_BYTES: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

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
            // The metadata service of a machine, and addresses that are not loopback but may lead there.
            "http://169.254.169.254/latest/meta-data/",
            "http://169.254.170.2/v2/credentials",
            "http://[fd00:ec2::254]/latest/",
            "http://0.0.0.0/keys",
            "http://127.0.0.2/keys",
            "http://[::]/keys",
            "http://[::ffff:127.0.0.1]/keys",
            "http://localhost./keys",
            "http://keys.localhost/keys",
            "https://user:secret@example.com/",
            "file:///etc/passwd",
            "keys.json",
        ] {
            assert_eq!(uri.parse::<KeyUri>(), Err(InvalidKeyUri), "{uri}");
        }
    }

    #[test]
    fn a_message_has_no_password() {
        for uri in ["https://user:sekrit@example.com/k", "https://user:s@sekrit@example.com/k"] {
            let error = serde_json::from_str::<KeyUri>(&serde_json::json!(uri).to_string()).unwrap_err();
            let error = error.to_string();
            assert!(error.starts_with("`https://***@example.com/k` is not an https URL"), "{error}");
        }
    }
}
