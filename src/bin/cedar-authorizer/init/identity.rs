//! Identity: whose tokens the new store accepts.

use cedar_authorizer::token::TokenType;
use cedar_authorizer::token::identity_source::{KeyUri, UserPoolArn};
use clap::{Args, ValueEnum};
use serde_json::json;

use super::text;
use crate::description::{IdentityProvider, ProviderKind};
use crate::output::Failure;

/// Whose tokens are accepted.
#[derive(Clone, Debug, Default, Args)]
pub struct IdentityArgs {
    /// The Cognito user pool that issues the tokens, by its id (eu-west-1_AbCdEfGhI) or its ARN
    #[arg(long, value_name = "ID|ARN", conflicts_with = "issuer")]
    pub user_pool: Option<String>,

    /// The OpenID provider that issues the tokens, as `iss` in a token has it
    #[arg(long, value_name = "URL")]
    pub issuer: Option<String>,

    /// A client or audience whose tokens are accepted; may be repeated [default: every one of the issuer]
    #[arg(long = "client-id", value_name = "ID")]
    pub client_ids: Vec<String>,

    /// The type of token that callers send
    #[arg(long, value_enum, value_name = "TYPE", default_value_t)]
    pub token_type: TypeOfToken,

    /// The claim of an OpenID provider that lists the groups of a user
    #[arg(long, value_name = "CLAIM", default_value = "groups")]
    pub group_claim: String,
}

/// The types of token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum TypeOfToken {
    /// An access token; its claims are in the context
    #[default]
    Access,
    /// An ID token; its claims are attributes of the principal
    Id,
}

impl From<TypeOfToken> for TokenType {
    fn from(token_type: TypeOfToken) -> Self {
        match token_type {
            TypeOfToken::Access => Self::Access,
            TypeOfToken::Id => Self::Id,
        }
    }
}

/// Whose tokens the new store accepts.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Who issues them.
    pub issuer: Issuer,
    /// The clients or audiences that they are for; none for any.
    pub clients: Vec<String>,
    /// Their type.
    pub token_type: TokenType,
}

/// Who issues tokens.
#[derive(Clone, Debug)]
pub enum Issuer {
    /// A Cognito user pool.
    UserPool {
        /// Its ARN.
        arn: UserPoolArn,
        /// Whether the ARN has the account of the pool, or [`ANY_ACCOUNT`].
        has_account: bool,
    },
    /// An OpenID provider.
    OpenId {
        /// Its URL, as `iss` has it.
        url: String,
        /// What the ids of its users and groups begin with.
        prefix: String,
        /// The claim that lists groups.
        group_claim: String,
    },
}

impl Identity {
    /// What the arguments say; or, if they say nothing, the only issuer that the API has an authorizer for.
    pub fn read(args: &IdentityArgs, providers: &[IdentityProvider]) -> Result<Self, Failure> {
        let (issuer, audiences) = match (&args.user_pool, &args.issuer) {
            (Some(pool), _) => (user_pool(with_account(pool, providers))?, Vec::new()),
            (None, Some(url)) => (open_id(url, &args.group_claim)?, Vec::new()),
            (None, None) => of_api(providers, &args.group_claim)?,
        };
        let clients = if args.client_ids.is_empty() { audiences } else { args.client_ids.clone() };
        if clients.iter().any(|id| id.trim().is_empty() || id.contains(char::is_control)) {
            let message = "a client id is empty, or has control characters";
            return Err(Failure::could_not_run(message).hint("name it by --client-id ID"));
        }
        Ok(Self { issuer, clients, token_type: args.token_type.into() })
    }

    /// The name of the identity source.
    pub fn name(&self) -> &'static str {
        match self.issuer {
            Issuer::UserPool { .. } => "cognito",
            Issuer::OpenId { .. } => "oidc",
        }
    }

    /// The claim that lists the groups of a user.
    pub fn group_claim(&self) -> &str {
        match &self.issuer {
            Issuer::UserPool { .. } => "cognito:groups",
            Issuer::OpenId { group_claim, .. } => group_claim,
        }
    }

    /// The entity id that tokens make of the name of a group.
    pub fn group_id(&self, group: &str) -> String {
        match &self.issuer {
            Issuer::UserPool { arn, .. } => format!("{}|{group}", arn.pool_id()),
            Issuer::OpenId { prefix, .. } => format!("{prefix}|{group}"),
        }
    }

    /// The issuer, for people.
    pub fn title(&self) -> String {
        match &self.issuer {
            Issuer::UserPool { arn, .. } => format!("the Cognito user pool `{}`", arn.pool_id()),
            Issuer::OpenId { url, .. } => format!("`{}`", text::comment(url)),
        }
    }

    /// The file of the identity source: what AVP's `CreateIdentitySource` takes. `group_type`: the entity type of
    /// groups, if there are any.
    pub fn file(&self, namespace: &str, group_type: Option<&str>) -> String {
        let qualified = |name: &str| super::plan::qualify(namespace, name);
        let configuration = match &self.issuer {
            Issuer::UserPool { arn, .. } => {
                let mut pool = json!({ "userPoolArn": arn.as_str(), "clientIds": self.clients });
                if let (Some(name), Some(pool)) = (group_type, pool.as_object_mut()) {
                    let groups = json!({ "groupEntityType": qualified(name) });
                    pool.insert("groupConfiguration".to_owned(), groups);
                }
                json!({ "cognitoUserPoolConfiguration": pool })
            }
            Issuer::OpenId { url, prefix, group_claim } => {
                let selection = match self.token_type {
                    TokenType::Access => json!({
                        "accessTokenOnly": { "principalIdClaim": "sub", "audiences": self.clients }
                    }),
                    TokenType::Id => json!({
                        "identityTokenOnly": { "principalIdClaim": "sub", "clientIds": self.clients }
                    }),
                };
                let mut provider = json!({
                    "issuer": url,
                    "entityIdPrefix": prefix,
                    "tokenSelection": selection,
                });
                if let (Some(name), Some(provider)) = (group_type, provider.as_object_mut()) {
                    let groups = json!({ "groupClaim": group_claim, "groupEntityType": qualified(name) });
                    provider.insert("groupConfiguration".to_owned(), groups);
                }
                json!({ "openIdConnectConfiguration": provider })
            }
        };
        let file = json!({ "principalEntityType": qualified("User"), "configuration": configuration });
        format!("{file:#}\n")
    }
}

/// The ARN of a user pool that was given by its id, if the API has an authorizer for it.
fn with_account<'a>(given: &'a str, providers: &'a [IdentityProvider]) -> &'a str {
    let arns = providers.iter().filter_map(|provider| match &provider.kind {
        ProviderKind::UserPool(arn) => Some(arn.as_str()),
        ProviderKind::Issuer { .. } => None,
    });
    let is_it = |arn: &&str| arn.rsplit_once('/').is_some_and(|(_, id)| id == given.trim());
    arns.into_iter().find(is_it).unwrap_or(given)
}

/// The ARN of a user pool that is given by its id or ARN.
pub fn user_pool_arn(given: &str) -> Result<String, String> {
    match user_pool(given) {
        Ok(Issuer::UserPool { arn, .. }) => Ok(arn.as_str().to_owned()),
        Ok(Issuer::OpenId { .. }) => Err("not the id or ARN of a user pool".to_owned()),
        Err(failure) => Err(failure.to_string()),
    }
}

fn user_pool(given: &str) -> Result<Issuer, Failure> {
    let given = given.trim();
    let invalid = || {
        let message = format!("`{}` is neither the id nor the ARN of a user pool", text::comment(given));
        Failure::could_not_run(message).hint("an id reads eu-west-1_AbCdEfGhI; see the console of Cognito")
    };
    if given.starts_with("arn:") {
        let arn = given.parse().map_err(|error| Failure::could_not_run(error).hint(EXAMPLE_ARN))?;
        return Ok(Issuer::UserPool { arn, has_account: true });
    }
    let (region, _) = given.split_once('_').ok_or_else(invalid)?;
    let partition = PARTITIONS.iter().find(|(prefix, _)| region.starts_with(prefix));
    let partition = partition.map_or("aws", |(_, partition)| partition);
    let arn = format!("arn:{partition}:cognito-idp:{region}:{ANY_ACCOUNT}:userpool/{given}");
    Ok(Issuer::UserPool { arn: arn.parse().map_err(|_| invalid())?, has_account: false })
}

fn open_id(given: &str, group_claim: &str) -> Result<Issuer, Failure> {
    let given = given.trim();
    let url: KeyUri = given
        .parse()
        .map_err(|error| Failure::could_not_run(format_args!("--issuer is {error}")).hint(ISSUER_HINT))?;
    let host = url.url().host_str().unwrap_or_default().to_owned();
    if given.contains('?') {
        return Err(Failure::could_not_run("--issuer is a URL with a query").hint(ISSUER_HINT));
    }
    if group_claim.is_empty() || group_claim.contains(char::is_control) {
        return Err(Failure::could_not_run("--group-claim is empty, or has control characters"));
    }
    // A user pool has a form of its own, with stricter checks of its tokens.
    let pool = url.url().path().trim_start_matches('/').trim_end_matches('/');
    if host.starts_with("cognito-idp.") && !pool.is_empty() && !pool.contains('/') {
        return user_pool(pool);
    }
    Ok(Issuer::OpenId { url: given.to_owned(), prefix: host, group_claim: group_claim.to_owned() })
}

/// The only issuer that the API has an authorizer for, and its audiences.
fn of_api(providers: &[IdentityProvider], group_claim: &str) -> Result<(Issuer, Vec<String>), Failure> {
    let mut found = Vec::new();
    for IdentityProvider { kind, .. } in providers {
        // Two schemes often name the same issuer, e.g. with different scopes.
        if !found.contains(&kind) {
            found.push(kind);
        }
    }
    match found.as_slice() {
        [ProviderKind::UserPool(arn)] => Ok((user_pool(arn)?, Vec::new())),
        [ProviderKind::Issuer { url, audiences }] => Ok((open_id(url, group_claim)?, audiences.clone())),
        [] => {
            let message = "whose tokens shall the store accept? Neither the flags nor the API say it";
            Err(Failure::could_not_run(message).hint(IDENTITY_HINT))
        }
        _ => {
            let message = format!("the API has authorizers for {} issuers", found.len());
            Err(Failure::could_not_run(message)
                .hint(format!("choose one: {IDENTITY_HINT}. More can be added to `identity-sources/` later")))
        }
    }
}

/// Stands in for the account of a user pool that was given by its id. Nothing here reads the account; AVP does.
pub const ANY_ACCOUNT: &str = "000000000000";

/// The partitions other than `aws`, by the first letters of their regions.
const PARTITIONS: [(&str, &str); 3] = [("cn-", "aws-cn"), ("eusc-", "aws-eusc"), ("us-gov-", "aws-us-gov")];

const EXAMPLE_ARN: &str = "the id of the pool, eu-west-1_AbCdEfGhI, is enough";
const ISSUER_HINT: &str = "give it as `iss` in a token has it, e.g. --issuer https://login.example.com/";
const IDENTITY_HINT: &str = "name a Cognito user pool by --user-pool ID, or another provider by --issuer URL";
