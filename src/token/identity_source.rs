//! Identity sources: whose tokens are accepted, and what they say about a principal.
//!
//! The file format is that of AVP's `CreateIdentitySource`, so a definition can be reused unchanged. The rules
//! are from the Verified Permissions User Guide, "Identity sources" and "Mapping identity provider tokens to
//! schema", and from the Cognito Developer Guide, "Authorization with Amazon Verified Permissions".

mod file;
mod user_pool;

use std::collections::BTreeSet;

use cedar_policy::{EntityId, EntityTypeName, EntityUid};
use serde_json::{Map, Value};

use crate::reason::Reason;
use crate::token::key_set::KeySet;
use crate::token::{TokenType, required_text};
use file::{CognitoUserPool, Configuration, IdentitySourceFile, OpenIdConnect, TokenSelection};
pub use file::{InvalidKeyUri, KeyUri};
pub use user_pool::{InvalidUserPoolArn, UserPoolArn};

/// An issuer whose tokens are accepted.
#[derive(Clone, Debug)]
pub struct IdentitySource {
    name: String,
    provider: Provider,
    token_type: Option<TokenType>,
    issuers: Vec<String>,
    accepted: BTreeSet<String>,
    principal_type: EntityTypeName,
    principal_id_claim: String,
    group_type: Option<EntityTypeName>,
    group_claim: String,
    id_prefix: Option<String>,
    jwks_uri: Option<KeyUri>,
    jwks_file: Option<String>,
    pinned_keys: Option<KeySet>,
}

/// What kind of issuer it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provider {
    /// A Cognito user pool.
    Cognito(UserPoolArn),
    /// Any other provider of OpenID Connect.
    OpenIdConnect,
}

/// Where the keys of an issuer are published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyLocation {
    /// At the `jwks_uri` of the issuer's discovery document (OpenID Connect Discovery 4).
    Discovery {
        /// The issuer, exactly as it must be in the document.
        issuer: String,
    },
    /// At this URL.
    Url(String),
}

impl KeyLocation {
    /// Where a user pool publishes its keys: one place for each of the issuers that it may have.
    pub fn of_user_pool(arn: &UserPoolArn) -> [Self; 2] {
        arn.issuers().map(|issuer| Self::of_cognito(&issuer))
    }

    fn of_cognito(issuer: &str) -> Self {
        Self::Url(format!("{issuer}/.well-known/jwks.json"))
    }

    /// Whether keys may be fetched from this place, that is, whether it is a [`KeyUri`].
    pub fn is_allowed(&self) -> bool {
        let (Self::Discovery { issuer: place } | Self::Url(place)) = self;
        place.parse::<KeyUri>().is_ok()
    }
}

impl IdentitySource {
    /// Reads an identity source file; `name` is the stem of its file name.
    ///
    /// # Errors
    /// What `serde_json` finds wrong, with line and column.
    pub fn from_json(name: &str, text: &str) -> Result<Self, serde_json::Error> {
        let file: IdentitySourceFile = serde_json::from_str(text)?;
        let IdentitySourceFile {
            principal_entity_type,
            configuration,
            jwks_uri,
            jwks_file,
            issuer,
            entity_id_prefix,
            _policy_store_id: _,
            _client_token: _,
        } = file;
        let principal_type = principal_entity_type.0;
        let mut source = match configuration {
            Configuration::CognitoUserPool(pool) => Self::from_user_pool(name, principal_type, pool),
            Configuration::OpenIdConnect(provider) => Self::from_provider(name, principal_type, provider),
        };
        source.jwks_uri = jwks_uri;
        source.jwks_file = jwks_file;
        if let Some(issuer) = issuer {
            source.issuers = vec![issuer];
        }
        if let Some(prefix) = entity_id_prefix {
            source.id_prefix = Some(prefix).filter(|prefix| !prefix.is_empty());
        }
        Ok(source)
    }

    fn from_user_pool(name: &str, principal_type: EntityTypeName, pool: CognitoUserPool) -> Self {
        let CognitoUserPool { user_pool_arn, client_ids, group_configuration } = pool;
        Self {
            name: name.to_owned(),
            // The store says which of the two tokens is used; see `set_token_type`.
            token_type: None,
            issuers: user_pool_arn.issuers().into(),
            accepted: client_ids,
            principal_type,
            principal_id_claim: file::subject(),
            group_type: group_configuration.map(|groups| groups.group_entity_type.0),
            group_claim: COGNITO_GROUPS.to_owned(),
            id_prefix: Some(user_pool_arn.pool_id().to_owned()),
            provider: Provider::Cognito(user_pool_arn),
            jwks_uri: None,
            jwks_file: None,
            pinned_keys: None,
        }
    }

    fn from_provider(name: &str, principal_type: EntityTypeName, provider: OpenIdConnect) -> Self {
        let OpenIdConnect { issuer, entity_id_prefix, group_configuration, token_selection } = provider;
        let (token_type, principal_id_claim, accepted) = match token_selection {
            TokenSelection::Access(tokens) => {
                (TokenType::Access, tokens.principal_id_claim, tokens.audiences)
            }
            TokenSelection::Id(tokens) => (TokenType::Id, tokens.principal_id_claim, tokens.client_ids),
        };
        let (group_type, group_claim) = match group_configuration {
            Some(groups) => (Some(groups.group_entity_type.0), groups.group_claim),
            None => (None, String::new()),
        };
        Self {
            name: name.to_owned(),
            provider: Provider::OpenIdConnect,
            token_type: Some(token_type),
            issuers: vec![issuer.0],
            accepted,
            principal_type,
            principal_id_claim,
            group_type,
            group_claim,
            id_prefix: entity_id_prefix.map(|prefix| prefix.0),
            jwks_uri: None,
            jwks_file: None,
            pinned_keys: None,
        }
    }

    /// Sets which of a pool's two tokens the policy store works with. An OIDC source says so in its own file.
    pub(crate) fn set_token_type(&mut self, token_type: TokenType) {
        self.token_type.get_or_insert(token_type);
    }

    /// The same source, for this type of token if it is a user pool without one. An OIDC source says in its own file
    /// which tokens it is for.
    #[must_use]
    pub fn for_token_type(mut self, token_type: TokenType) -> Self {
        self.set_token_type(token_type);
        self
    }

    /// The name: the stem of the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What kind of issuer it is.
    pub fn provider(&self) -> &Provider {
        &self.provider
    }

    /// The accepted token type. `None` until the policy store has set it.
    pub fn token_type(&self) -> Option<TokenType> {
        self.token_type
    }

    /// The Cedar type of the users.
    pub fn principal_type(&self) -> &EntityTypeName {
        &self.principal_type
    }

    /// The claim that says who the user is.
    pub fn principal_id_claim(&self) -> &str {
        &self.principal_id_claim
    }

    /// The Cedar type of the users' groups. `None`: groups are not read.
    pub fn group_type(&self) -> Option<&EntityTypeName> {
        self.group_type.as_ref()
    }

    /// The claim that lists the groups of the user.
    pub fn group_claim(&self) -> &str {
        &self.group_claim
    }

    /// The values that `iss` may have, compared character by character.
    pub fn issuers(&self) -> &[String] {
        &self.issuers
    }

    /// The clients or audiences that a token may be for. Empty: any.
    pub fn accepted(&self) -> &BTreeSet<String> {
        &self.accepted
    }

    /// The id of an entity of this source: `<prefix>|<id>`, or the id alone without a prefix.
    pub fn entity(&self, entity_type: &EntityTypeName, id: &str) -> EntityUid {
        let id = match &self.id_prefix {
            Some(prefix) => format!("{prefix}|{id}"),
            None => id.to_owned(),
        };
        EntityUid::from_type_name_and_id(entity_type.clone(), EntityId::new(id))
    }

    /// The text before the bar in the ids of principals and groups.
    pub fn id_prefix(&self) -> Option<&str> {
        self.id_prefix.as_deref()
    }

    /// Where the keys are published: one place for each issuer, or one for all.
    pub fn key_locations(&self) -> Vec<KeyLocation> {
        match (&self.jwks_uri, &self.provider) {
            (Some(uri), _) => vec![KeyLocation::Url(uri.as_str().to_owned())],
            // Cognito publishes its keys at a fixed address. Discovery would only cost a request.
            (None, Provider::Cognito(_)) => {
                self.issuers.iter().map(|issuer| KeyLocation::of_cognito(issuer)).collect()
            }
            (None, Provider::OpenIdConnect) => {
                let discovery = |issuer: &String| KeyLocation::Discovery { issuer: issuer.clone() };
                self.issuers.iter().map(discovery).collect()
            }
        }
    }

    /// The file of the policy store that holds the keys, if the source names one itself.
    pub fn jwks_file(&self) -> Option<&str> {
        self.jwks_file.as_deref()
    }

    /// The file of the policy store for the keys, if they are kept with the store: the file that the source
    /// names, otherwise `jwks/<name>.json`.
    pub fn pinned_keys_file(&self) -> String {
        match &self.jwks_file {
            Some(file) => file.clone(),
            None => format!("jwks/{}.json", self.name),
        }
    }

    /// The keys that are kept with the store. `None`: they are fetched.
    pub fn pinned_keys(&self) -> Option<&KeySet> {
        self.pinned_keys.as_ref()
    }

    /// Sets the keys that are kept with the store.
    pub(crate) fn pin_keys(&mut self, keys: KeySet) {
        self.pinned_keys = Some(keys);
    }

    /// The name of the source in a file: the stem of its name.
    pub(crate) fn name_of_file(path: &str) -> &str {
        path.rsplit('/').next().and_then(|name| name.strip_suffix(".json")).unwrap_or(path)
    }

    /// Whether this source and another could name the same entity. Then a user of one source could choose a name
    /// and pass for a user or group of the other. The ids of a source begin with its prefix and a bar, so none of
    /// these beginnings may begin with another one. A source without a prefix overlaps with every other.
    pub(crate) fn shares_ids_with(&self, other: &Self) -> bool {
        let types = |source: &Self| [Some(source.principal_type.clone()), source.group_type.clone()];
        let shares_type =
            types(self).iter().flatten().any(|name| types(other).iter().flatten().any(|of| of == name));
        let start = |source: &Self| source.id_prefix().map(|prefix| format!("{prefix}|")).unwrap_or_default();
        let (own, others) = (start(self), start(other));
        let shares_ids = own.starts_with(&others) || others.starts_with(&own);
        shares_type && shares_ids && !self.shares_issuer_with(other)
    }

    /// Whether one token could be for both this source and another, so that it could be read in two ways. The
    /// token types do not tell the sources apart, because a token need not have a mark of either type.
    pub(crate) fn shares_tokens_with(&self, other: &Self) -> bool {
        let shares_audience = self.accepted.is_empty()
            || other.accepted.is_empty()
            || !self.accepted.is_disjoint(&other.accepted);
        self.shares_issuer_with(other) && shares_audience
    }

    fn shares_issuer_with(&self, other: &Self) -> bool {
        self.issuers.iter().any(|issuer| other.issuers.contains(issuer))
    }

    /// Checks that the token is of the accepted type. `explicit_access` is whether its header says `at+jwt` (RFC
    /// 9068 2.1).
    ///
    /// Cognito tokens say their type in `token_use`. Other issuers have no claim in common that says it, so a
    /// token is refused if it has a mark of the other type (RFC 8725 3.12).
    pub(crate) fn check_token_type(
        &self,
        claims: &Map<String, Value>,
        explicit_access: bool,
    ) -> Result<(), Reason> {
        let token_type = self.token_type.ok_or(Reason::TokenTypeMismatch)?;
        let is_expected = match &self.provider {
            Provider::Cognito(_) => required_text(claims, TOKEN_USE)? == token_type.name(),
            Provider::OpenIdConnect => {
                let has = |names: &[&str]| names.iter().any(|name| claims.contains_key(*name));
                let says = |claim: &str, values: &[&str]| match claims.get(claim) {
                    None => true,
                    Some(value) => values.iter().any(|expected| value == expected),
                };
                match token_type {
                    TokenType::Access => {
                        (explicit_access || !has(&ID_TOKEN_MARKS) || claims.get("typ").is_some())
                            && says("typ", &["Bearer", "at+jwt", "JWT"])
                            && says(TOKEN_USE, &["access"])
                    }
                    TokenType::Id => {
                        !explicit_access
                            && !has(&ACCESS_TOKEN_MARKS)
                            && says("typ", &["ID", "JWT"])
                            && says(TOKEN_USE, &["id"])
                    }
                }
            }
        };
        if is_expected { Ok(()) } else { Err(Reason::TokenTypeMismatch) }
    }

    /// Checks that the token is for an accepted client or audience.
    ///
    /// | source | ID token | access token |
    /// |---|---|---|
    /// | Cognito | `aud` | `client_id` |
    /// | OIDC | any of `aud` | any of `aud`; where there is none, `cid` or `client_id` |
    ///
    /// (User Guide, "Client and audience validation".) The claim is required even where any value is accepted: a
    /// token that is for nobody is not for us (RFC 8725 3.9).
    pub(crate) fn check_audience(&self, claims: &Map<String, Value>) -> Result<(), Reason> {
        let audience = match (&self.provider, self.token_type) {
            (Provider::Cognito(_), Some(TokenType::Access)) => vec![required_text(claims, "client_id")?],
            (Provider::Cognito(_), _) => vec![required_text(claims, "aud")?],
            (Provider::OpenIdConnect, Some(TokenType::Access)) if !claims.contains_key("aud") => {
                let names: Vec<&str> =
                    ["cid", "client_id"].into_iter().filter(|name| claims.contains_key(*name)).collect();
                names.into_iter().map(|name| required_text(claims, name)).collect::<Result<_, _>>()?
            }
            (Provider::OpenIdConnect, _) => texts(claims.get("aud"))?,
        };
        if audience.is_empty() {
            return Err(Reason::ClaimInvalid);
        }
        if self.accepted.is_empty() || audience.iter().any(|name| self.accepted.contains(*name)) {
            Ok(())
        } else {
            Err(Reason::ClientMismatch)
        }
    }

    /// Refuses what AVP refuses in Cognito tokens: a claim `cognito:...` or `custom:...` beside one that is named
    /// `cognito` or `custom`. In dot notation both would be the same attribute (User Guide, "Working with Amazon
    /// Cognito identity sources").
    pub(crate) fn check_names(&self, claims: &Map<String, Value>) -> Result<(), Reason> {
        let is_ambiguous = |family: &&str| {
            let in_family =
                |name: &String| name.strip_prefix(*family).is_some_and(|rest| rest.starts_with(':'));
            claims.contains_key(*family) && claims.keys().any(in_family)
        };
        match (&self.provider, COGNITO_FAMILIES.iter().any(is_ambiguous)) {
            (Provider::Cognito(_), true) => Err(Reason::ClaimInvalid),
            _ => Ok(()),
        }
    }

    /// The groups that the claims list; none if groups are not read. In a list, each element is a group; in a
    /// string, each word is one (User Guide, "OIDC groups claim supports multiple formats").
    ///
    /// # Errors
    /// [`Reason::ClaimInvalid`] for a claim that is not a list of names. If it were skipped, a forbid policy for
    /// one of the groups would not apply.
    pub(crate) fn groups(&self, claims: &Map<String, Value>) -> Result<Vec<String>, Reason> {
        let names = match (&self.group_type, claims.get(&self.group_claim)) {
            (None, _) | (_, None | Some(Value::Null)) => Vec::new(),
            (_, Some(Value::String(words))) if self.provider == Provider::OpenIdConnect => {
                words.split(' ').filter(|word| !word.is_empty()).collect()
            }
            (_, Some(Value::String(_))) => return Err(Reason::ClaimInvalid),
            (_, groups) => texts(groups)?,
        };
        Ok(names.into_iter().map(str::to_owned).collect())
    }
}

/// A string, or an array of strings, none of them empty.
fn texts(claim: Option<&Value>) -> Result<Vec<&str>, Reason> {
    let text = |value: &'_ Value| matches!(value, Value::String(text) if !text.is_empty());
    match claim {
        Some(Value::Array(values)) if values.iter().all(text) => {
            Ok(values.iter().filter_map(Value::as_str).collect())
        }
        Some(value) if text(value) => Ok(value.as_str().into_iter().collect()),
        _ => Err(Reason::ClaimInvalid),
    }
}

/// The claim of Cognito's tokens that lists groups; it cannot be renamed.
const COGNITO_GROUPS: &str = "cognito:groups";

/// The text before the colon in the names of Cognito's own claims.
pub(crate) const COGNITO_FAMILIES: [&str; 2] = ["cognito", "custom"];

const TOKEN_USE: &str = "token_use";

/// OpenID Connect Core 2 and 3.3.2.11: claims that only ID tokens have. (Keycloak before 25 also puts `nonce`
/// into access tokens, but adds `typ`.)
const ID_TOKEN_MARKS: [&str; 3] = ["at_hash", "c_hash", "nonce"];

/// RFC 9068 2.2 and 2.2.3, and the names that Okta (`cid`, `scp`) and Entra (`scp`) use for the same claims.
const ACCESS_TOKEN_MARKS: [&str; 4] = ["cid", "client_id", "scope", "scp"];

#[cfg(test)]
mod tests;
